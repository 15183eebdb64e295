//! Identifiers we mint: cookies that lead back to their owner, Call-IDs, tags, and the random numbers behind
//! them.
//!
//! A branch (RFC 3261 §8.1.1.7) or local tag (§19.3) contains a [`Cookie`], so that a response or a request
//! within a dialog finds its owner without a table of strings. Everything random comes from one [`Ids`] per
//! shard, whose seed is handed in: the endpoint takes it from the operating system, the simulator from its
//! own seed.

use std::{fmt, ops::Deref, str};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{slab::Key, text};

/// Where the owner of an identifier is (shard, slot, generation), and 64 random bits that make it
/// unguessable.
///
/// The owner keeps `random` and compares it: slot and generation alone are easy to guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cookie {
    pub shard: u16,
    pub slot: u32,
    pub generation: u32,
    pub random: u64,
}

impl Cookie {
    /// Characters of an encoded cookie.
    pub const LEN: usize = (Self::BYTES * 8).div_ceil(5);
    const BYTES: usize = 18;

    pub const fn key(&self) -> Key {
        Key { index: self.slot, generation: self.generation }
    }

    /// As [`Cookie::LEN`] characters a SIP token allows, of one case: RFC 3261 §7.3.1 compares parameter
    /// values without case.
    pub fn encode(&self) -> CookieText {
        let mut bytes = [0; Self::BYTES];
        let fields = self.shard.to_be_bytes().into_iter().chain(self.slot.to_be_bytes());
        let fields = fields.chain(self.generation.to_be_bytes()).chain(self.random.to_be_bytes());
        bytes.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        let mut out = CookieText([0; Self::LEN]);
        text::base32(&bytes, &mut out.0);
        out
    }

    /// Reads an encoded cookie back; `None` if `text` is anything else. It may still be forged: see
    /// [`Cookie`].
    pub fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES];
        text::from_base32(text.as_bytes(), &mut bytes)?;
        let (shard, rest) = bytes.split_first_chunk()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let random = rest.first_chunk()?;
        Some(Self {
            shard: u16::from_be_bytes(*shard),
            slot: u32::from_be_bytes(*slot),
            generation: u32::from_be_bytes(*generation),
            random: u64::from_be_bytes(*random),
        })
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode())
    }
}

/// An encoded [`Cookie`], on the stack; use it as a `str`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieText([u8; Cookie::LEN]);

impl CookieText {
    pub fn as_str(&self) -> &str {
        // base32 writes ASCII only, so this never falls back.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Deref for CookieText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for CookieText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for CookieText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The source of everything random in a shard: cryptographically strong, and repeatable for a given seed.
#[derive(Debug)]
pub struct Ids(StdRng);

impl Ids {
    /// For production: `seed` must come from the operating system's entropy.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    /// For simulations and tests: the same number gives the same identifiers.
    pub fn from_number(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Another generator whose output tells nothing about this one's, for a part with a life of its own.
    pub fn fork(&mut self) -> Self {
        Self(StdRng::from_seed(self.0.random()))
    }

    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number of `0..bound`, each as likely as the others; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// True with probability `p`: never for 0, always for 1.
    pub fn chance(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A cookie for the owner in slot `key` of shard `shard`.
    pub fn cookie(&mut self, shard: u16, key: Key) -> Cookie {
        Cookie { shard, slot: key.index, generation: key.generation, random: self.u64() }
    }

    /// A globally unique Call-ID of 128 random bits (RFC 3261 §8.1.1.4); without `@host`, which would tell
    /// our address.
    pub fn call_id(&mut self) -> String {
        self.token::<16>()
    }

    /// A tag of 64 random bits, for the cases without a cookie (RFC 3261 §19.3 asks for 32).
    pub fn tag(&mut self) -> String {
        self.token::<8>()
    }

    /// `2 × N` hexadecimal digits: the cnonce of digest, file names.
    pub fn hex<const N: usize>(&mut self) -> String {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        text::hex(&bytes)
    }

    fn token<const N: usize>(&mut self) -> String {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        let mut out = vec![0; (N * 8).div_ceil(5)];
        text::base32(&bytes, &mut out);
        out.into_iter().map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back_whatever_the_case() {
        let mut ids = Ids::from_number(1);
        for _ in 0..1000 {
            let key = Key { index: ids.u32(), generation: ids.u32() };
            let shard = ids.u32() as u16;
            let cookie = ids.cookie(shard, key);
            assert_eq!(Cookie::decode(&cookie.encode()), Some(cookie));
            assert_eq!(Cookie::decode(&cookie.to_string().to_ascii_uppercase()), Some(cookie));
            assert_eq!(cookie.key(), key);
        }
        let edge = Cookie { shard: u16::MAX, slot: u32::MAX, generation: 0, random: u64::MAX };
        assert_eq!(Cookie::decode(&edge.encode()), Some(edge));
    }

    #[test]
    fn what_is_no_cookie_is_refused() {
        let good = Ids::from_number(2).cookie(3, Key { index: 4, generation: 5 }).to_string();
        assert_eq!(good.len(), Cookie::LEN);
        let bad = ["", "1", &good[1..], &format!("{good}a"), &good.replace(&good[..1], "!"), &"é".repeat(15)];
        for text in bad {
            assert_eq!(Cookie::decode(text), None, "{text}");
        }
        // The last character carries one padding bit.
        assert_eq!(Cookie::decode(&format!("{}b", "a".repeat(28))), None);
    }

    #[test]
    fn the_seed_decides_everything() {
        let take = |mut ids: Ids| (ids.call_id(), ids.tag(), ids.hex::<4>(), ids.below(10), ids.fork().u64());
        assert_eq!(take(Ids::from_number(7)), take(Ids::from_number(7)));
        assert_ne!(take(Ids::from_number(7)), take(Ids::from_number(8)));
        let (call_id, tag, hex, below, _) = take(Ids::from_seed([9; 32]));
        assert_eq!((call_id.len(), tag.len(), hex.len()), (26, 13, 8));
        let mut ids = Ids::from_number(0);
        assert!((0..100).all(|_| !ids.chance(0.0) && ids.chance(1.0)));
        assert!(below < 10 && Ids::from_number(0).below(0) == 0);
    }
}
