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

use std::{fmt, hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher13;

use crate::{
    message::{Host, Message, Via},
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

    /// The first part, of a message whose sender wrote `via`, and whose requests come from `source`. `None` if it takes
    /// other fields to tell transactions apart, as the client is one of RFC 2543, and one of them cannot be read.
    pub fn unique(&self, message: &Message, via: &Via<'_>, source: IpAddr) -> Option<u64> {
        let mut hash = Fields::new(&self.key, b'u');
        match via.host {
            Host::Name(name) => hash.caseless(name),
            Host::V4(ip) => hash.ip(ip.into()),
            Host::V6(ip) => hash.ip(ip.into()),
        }
        hash.number(via.port.map_or(u32::MAX, u32::from));
        hash.ip(source);
        hash.caseless(via.params.value("maddr").unwrap_or_default());
        let branch = via.branch().unwrap_or_default();
        hash.caseless(branch);
        if !via.has_magic_cookie() {
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
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = u128::from(self.unique) << 64 | u128::from(self.path);
        let mut digits = [0; DIGITS];
        text::base32(&both.to_be_bytes(), &mut digits);
        f.write_str(MAGIC)?;
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

/// A hash over fields, each with its length, so that `ab, c` and `a, bc` differ.
pub(super) struct Fields(SipHasher13);

impl Fields {
    /// `what` keeps hashes for different purposes apart.
    pub fn new(key: &[u8; 16], what: u8) -> Self {
        let mut hash = SipHasher13::new_with_key(key);
        hash.write(&[what]);
        Self(hash)
    }

    pub fn octets(&mut self, field: &[u8]) {
        self.number(field.len() as u32);
        self.0.write(field);
    }

    pub fn exact(&mut self, field: &str) {
        self.octets(field.as_bytes());
    }

    fn caseless(&mut self, field: &str) {
        self.number(field.len() as u32);
        let mut lower = [0; 64];
        for chunk in field.as_bytes().chunks(lower.len()) {
            for (to, from) in lower.iter_mut().zip(chunk) {
                *to = from.to_ascii_lowercase();
            }
            self.0.write(lower.split_at(chunk.len()).0);
        }
    }

    fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.octets(&ip.octets()),
            IpAddr::V6(ip) => self.octets(&ip.octets()),
        }
    }

    fn number(&mut self, number: u32) {
        self.0.write(&number.to_le_bytes());
    }

    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

const MAGIC: &str = "z9hG4bK";
/// 128 bits in base32.
const DIGITS: usize = 26;
