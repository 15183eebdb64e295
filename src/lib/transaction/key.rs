//! How a message finds its transaction without comparing strings: branches that carry a cookie, and
//! fingerprints of what peers mint (RFC 3261 §17.1.3, §17.2.3).

use std::{fmt, hash::Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::{
    message::{Host, Method, Request, Via},
    util::id::{Cookie, Ids},
};

/// The branch of a request of ours: `z9hG4bK` and the cookie that leads a response home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch(pub Cookie);

impl Branch {
    /// Reads a branch of ours; `None` for everybody else's. What it names may be forged or long gone.
    pub fn parse(branch: &str) -> Option<Self> {
        Cookie::decode(after_magic(branch)?).map(Self)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MAGIC}{}", self.0)
    }
}

/// What makes requests the same request: 128 bits of keyed SipHash, so that nobody outside can make two
/// requests collide and nothing of them has to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ServerKey([u64; 2]);

impl ServerKey {
    /// The hash for the table: any part of a hash is one.
    pub fn hash(self) -> u64 {
        self.0[0]
    }
}

/// Makes fingerprints; each table has a secret of its own.
#[derive(Debug)]
pub(super) struct Fingerprints {
    secret: [u8; 16],
}

impl Fingerprints {
    pub fn new(ids: &mut Ids) -> Self {
        let mut secret = [0; 16];
        ids.fill(&mut secret);
        Self { secret }
    }

    /// The fingerprint of the transaction that `request` would belong to if its method were `method`:
    /// INVITE for an ACK, and for a CANCEL in search of its INVITE. `None` if a header it needs is
    /// missing or broken.
    pub fn of(&self, request: &Request, via: &Via<'_>, method: Method<'_>) -> Option<ServerKey> {
        let mut hash = Fields(SipHasher13::new_with_key(&self.secret));
        hash.exact(method.as_str());
        hash.sent_by(via);
        if let Some(branch) = modern_branch(via) {
            hash.caseless(branch);
        } else {
            // RFC 2543 made no unique branches. The To tag of an INVITE is left out, because its ACK has
            // the one of the response instead; re-INVITEs of a dialog differ in their CSeq anyway.
            hash.exact(via.transport);
            hash.caseless(via.branch().unwrap_or_default());
            hash.exact(request.raw_uri());
            hash.exact(request.from().ok()?.tag().unwrap_or_default());
            hash.exact(request.call_id().ok()?);
            hash.number(request.cseq().ok()?.number);
            if method != Method::Invite {
                hash.exact(request.to().ok()?.tag().unwrap_or_default());
            }
        }
        Some(hash.finish())
    }

    /// A short fingerprint of a method, for the second half of RFC 3261 §17.1.3.
    pub fn of_method(&self, method: Method<'_>) -> u32 {
        let mut hash = Fields(SipHasher13::new_with_key(&self.secret));
        hash.exact(method.as_str());
        hash.finish().0[0] as u32
    }
}

/// Whether the top Via is one of RFC 3261, so that its branch says it all.
pub(super) fn is_modern(via: &Via<'_>) -> bool {
    modern_branch(via).is_some()
}

fn modern_branch<'m>(via: &Via<'m>) -> Option<&'m str> {
    // A bare magic cookie makes nothing unique.
    after_magic(via.branch()?).filter(|rest| !rest.is_empty())
}

/// Parameter values compare without case (RFC 3261 §7.3.1), the magic cookie included.
fn after_magic(branch: &str) -> Option<&str> {
    let (magic, rest) = branch.split_at_checked(MAGIC.len())?;
    magic.eq_ignore_ascii_case(MAGIC).then_some(rest)
}

/// A hash over fields, each with its length, so that `ab, c` and `a, bc` differ.
struct Fields(SipHasher13);

impl Fields {
    fn exact(&mut self, field: &str) {
        self.number(field.len() as u32);
        self.0.write(field.as_bytes());
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

    fn number(&mut self, number: u32) {
        self.0.write(&number.to_le_bytes());
    }

    fn sent_by(&mut self, via: &Via<'_>) {
        match via.host {
            Host::Name(name) => self.caseless(name),
            Host::V4(address) => self.0.write(&address.octets()),
            Host::V6(address) => self.0.write(&address.octets()),
        }
        self.number(via.port.map_or(u32::MAX, u32::from));
    }

    fn finish(self) -> ServerKey {
        let hash = self.0.finish128();
        ServerKey([hash.h1, hash.h2])
    }
}

const MAGIC: &str = "z9hG4bK";
