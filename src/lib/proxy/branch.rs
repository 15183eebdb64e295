//! The branch of a proxy that remembers nothing (RFC 3261 §16.11), in two parts, as RFC 5393 §4.2.1 wants it.
//!
//! ```text
//! z9hG4bK aaaaaaaaaaaaa bbbbbbbbbbbbb
//!         │             └ what decides where the request goes: the same again is a loop
//!         └ who sent the request, as its topmost Via says: the same for a request, its repetitions, its CANCEL, and
//!           the ACK for its failure
//! ```
//!
//! Both are keyed hashes. From a response the first part can be computed again, as its second Via is the topmost one of
//! the request: what does not fit is no answer to a request that we forwarded, and nobody can have us send responses to
//! somebody who never asked.

use std::{hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher13;

use crate::{
    message::{Host, Message, Via, header::Marks},
    util::text,
};

/// Makes branches; all proxies that share the key make the same ones.
#[derive(Clone, Debug)]
pub struct Branches {
    key: [u8; 16],
}

/// The two parts of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    /// Of the transaction.
    pub unique: u64,
    /// Of what decides where the request goes.
    pub path: u64,
}

impl Branches {
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The first part, of a message whose sender wrote `via` with these `marks`, and whose requests come from `source`. `None` if it takes
    /// other fields to tell transactions apart, as the client is one of RFC 2543, and one of them cannot be read.
    pub fn unique(&self, message: &Message, via: &Via<'_>, marks: &Marks<'_>, source: IpAddr) -> Option<u64> {
        let mut hash = Fields::new(&self.key, b'u');
        match via.host {
            Host::Name(name) => hash.caseless(name),
            Host::V4(ip) => hash.ip(ip.into()),
            Host::V6(ip) => hash.ip(ip.into()),
        }
        hash.number(via.port.map_or(u32::MAX, u32::from));
        hash.ip(source);
        hash.caseless(marks.maddr.flatten().unwrap_or_default());
        hash.caseless(marks.branch.unwrap_or_default());
        if !marks.has_magic_cookie() {
            // The To tag is left out, and the Request-URI, which no response has: an ACK has another one than its INVITE.
            hash.caseless(via.transport);
            hash.exact(message.from_tag().ok()?.unwrap_or_default());
            hash.exact(message.call_id().ok()?);
            hash.number(message.cseq().ok()?.number);
        }
        Some(hash.finish())
    }

    /// The second part: of the Request-URI and the Routes that a request came with, and of its Call-ID and CSeq number,
    /// so that no two requests collide for ever (RFC 5393 §4.2.4). The method is no part of it.
    pub fn path<'m>(
        &self,
        uri: &str,
        routes: impl Iterator<Item = &'m [u8]>,
        call_id: &str,
        cseq: u32,
    ) -> u64 {
        let mut hash = Fields::new(&self.key, b'p');
        hash.exact(uri);
        for route in routes {
            hash.octets(route);
        }
        hash.exact(call_id);
        hash.number(cseq);
        hash.finish()
    }

    /// A tag for To in a response of our own: the same for a request and its repetitions (RFC 3261 §8.2.7).
    pub fn tag(&self, unique: u64, call_id: &str) -> String {
        let mut hash = Fields::new(&self.key, b't');
        hash.exact(call_id);
        hash.number(unique as u32);
        hash.number((unique >> 32) as u32);
        let mut tag = [0; 13];
        text::base32(&hash.finish().to_be_bytes(), &mut tag);
        tag.iter().copied().map(char::from).collect()
    }
}

impl Branch {
    /// Reads a branch that looks like ours; whether it is, its first part says.
    pub fn parse(branch: &str) -> Option<Self> {
        if branch.len() != MAGIC.len() + DIGITS {
            return None;
        }
        let (magic, digits) = branch.split_at_checked(MAGIC.len())?;
        let mut bytes = [0; 16];
        text::from_base32(digits.as_bytes(), &mut bytes)?;
        let both = u128::from_be_bytes(bytes);
        magic.eq_ignore_ascii_case(MAGIC).then_some(Self { unique: (both >> 64) as u64, path: both as u64 })
    }

    /// Writes it behind what is there.
    pub fn write(&self, out: &mut String) {
        let both = u128::from(self.unique) << 64 | u128::from(self.path);
        let mut digits = [0; DIGITS];
        text::base32(&both.to_be_bytes(), &mut digits);
        out.push_str(MAGIC);
        // Letters and digits.
        out.push_str(str::from_utf8(&digits).unwrap_or_default());
    }
}

/// A hash over fields, each with its length, so that `ab, c` and `a, bc` differ. They are gathered before they are hashed,
/// which is quicker than one by one.
pub(super) struct Fields {
    hash: SipHasher13,
    gathered: [u8; 256],
    len: usize,
}

impl Fields {
    /// `what` keeps hashes for different purposes apart.
    pub fn new(key: &[u8; 16], what: u8) -> Self {
        let mut fields = Self { hash: SipHasher13::new_with_key(key), gathered: [0; 256], len: 0 };
        fields.gather(&[what]);
        fields
    }

    /// Gives what was put down, for a change; what does not fit is hashed at once.
    fn gather(&mut self, octets: &[u8]) -> &mut [u8] {
        if octets.len() > self.gathered.len() - self.len {
            self.hash.write(self.gathered.get(..self.len).unwrap_or_default());
            self.len = 0;
        }
        let Some(place) = self.gathered.get_mut(self.len..self.len + octets.len()) else {
            self.hash.write(octets);
            return &mut [];
        };
        place.copy_from_slice(octets);
        self.len += octets.len();
        place
    }

    pub fn octets(&mut self, field: &[u8]) {
        self.number(field.len() as u32);
        self.gather(field);
    }

    pub fn exact(&mut self, field: &str) {
        self.octets(field.as_bytes());
    }

    fn caseless(&mut self, field: &str) {
        self.number(field.len() as u32);
        // In parts that fit.
        for part in field.as_bytes().chunks(128) {
            self.gather(part).make_ascii_lowercase();
        }
    }

    fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.octets(&ip.octets()),
            IpAddr::V6(ip) => self.octets(&ip.octets()),
        }
    }

    fn number(&mut self, number: u32) {
        self.gather(&number.to_le_bytes());
    }

    pub fn finish(mut self) -> u64 {
        self.hash.write(self.gathered.get(..self.len).unwrap_or_default());
        self.hash.finish()
    }
}

const MAGIC: &str = "z9hG4bK";
/// 128 bits in base32.
const DIGITS: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_however_long_they_are() {
        let hash = |fields: &[&str]| {
            let mut hash = Fields::new(&[7; 16], b'x');
            fields.iter().for_each(|field| hash.caseless(field));
            hash.finish()
        };
        let long = "Z9hG4bK".repeat(100);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(hash(&["AB", &long]), hash(&["ab", &long.to_lowercase()]));
        assert_ne!(hash(&["ab", &long]), hash(&["ab", &long[1..]]));
        // What is gathered makes no difference: a field at each place of what is gathered together.
        for length in 0..300 {
            let field = "x".repeat(length);
            let mut plain = SipHasher13::new_with_key(&[7; 16]);
            plain.write(b"x");
            for field in [field.as_str(), "tail"] {
                plain.write(&(field.len() as u32).to_le_bytes());
                plain.write(field.as_bytes());
            }
            assert_eq!(hash(&[&field, "tail"]), plain.finish(), "{length}");
        }
    }
}
