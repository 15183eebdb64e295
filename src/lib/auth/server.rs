//! Issues challenges and checks credentials (RFC 3261 §22.2, RFC 7616 §3.3 to §3.5, RFC 8760 §2.3).
//!
//! A nonce carries its age and a keyed hash, so nothing is kept for challenges nobody answers; only
//! nonces that served are remembered, with the counts used, so that no request counts twice. That
//! table is bounded: when it is full the oldest nonce goes, and all nonces as old go stale with it.
//!
//! The `uri` parameter is part of the proof but is not compared with the Request-URI, which proxies
//! may change (RFC 8760 §2.6 bullet 6).

use std::{collections::BTreeMap, hash::Hasher as _};

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{
    client::Side,
    digest::{self, Algorithm, Login, Proof, Qop, Secret},
};
use crate::{
    message::{HeaderId, Quoted, Request, header::Credentials},
    time::{Duration, Instant},
};

/// What a server asks for.
#[derive(Clone, Debug)]
pub struct Policy {
    /// UAS and registrar, or proxy.
    pub side: Side,
    pub realm: String,
    /// One challenge each, in this order; clients take the first they know (RFC 8760 §2.4).
    pub algorithms: Vec<Algorithm>,
    /// Offered in this order; must not be empty (RFC 8760 §2.6 bullet 8).
    pub qop: Vec<Qop>,
    /// How long a nonce may be used.
    pub lifetime: Duration,
    /// Whether clients are asked to hash user names (RFC 7616 §3.4.4).
    pub userhash: bool,
    /// Nonces remembered.
    pub table: usize,
}

impl Policy {
    /// SHA-256 before MD5, `auth`, five minutes.
    pub fn new(side: Side, realm: impl Into<String>) -> Self {
        Self {
            side,
            realm: realm.into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            qop: vec![Qop::Auth],
            lifetime: Duration::from_secs(300),
            userhash: false,
            table: 65_536,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Let it pass; the name is that of the login.
    Accepted { username: String },
    /// Answer 401 or 407 with [`Server::challenges`]: there are no credentials for our realm, or their
    /// nonce is not good (any more). `stale` says that the password was right.
    Challenge { stale: bool },
    /// Answer 403: user or password are wrong.
    Forbidden { username: String },
    /// Answer 400: a parameter is missing or makes no sense.
    Malformed(&'static str),
}

/// The checking side of one realm.
pub struct Server {
    policy: Policy,
    key: [u64; 2],
    /// By age and salt, the oldest first.
    used: BTreeMap<(u64, u64), Window>,
    /// Nonces issued up to here count only if they are in `used`.
    floor: Option<u64>,
}

impl Server {
    /// `random` gives unpredictable numbers: here the key of the nonces.
    pub fn new(policy: Policy, random: &mut impl FnMut() -> u64) -> Self {
        Self { policy, key: [random(), random()], used: BTreeMap::new(), floor: None }
    }

    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The fields of a 401 or 407, one for each algorithm.
    pub fn challenges(
        &self,
        now: Instant,
        stale: bool,
        random: &mut impl FnMut() -> u64,
    ) -> Vec<(HeaderId, String)> {
        let Policy { side, realm, algorithms, qop, userhash, .. } = &self.policy;
        let qop = qop.iter().map(|qop| qop.as_str()).collect::<Vec<_>>().join(",");
        let challenge = |algorithm: &Algorithm| {
            let nonce = self.nonce(*algorithm, now.as_micros(), random());
            let stale = if stale { ", stale=true" } else { "" };
            let userhash = if *userhash { ", userhash=true" } else { "" };
            let realm = Quoted(realm);
            let value = format!(
                "Digest realm={realm}, nonce=\"{nonce}\", qop=\"{qop}\", algorithm={algorithm}{stale}{userhash}"
            );
            (side.challenge(), value)
        };
        algorithms.iter().map(challenge).collect()
    }

    /// Judges a request. Not for ACK and CANCEL, which cannot be challenged (RFC 3261 §22.1).
    pub fn check(&mut self, now: Instant, request: &Request, users: &[Login]) -> Check {
        let credentials = self.policy.side.credentials_in(request);
        let own =
            |c: &&Credentials<'_>| c.params.text("realm").is_some_and(|realm| realm == self.policy.realm);
        match credentials.iter().find(own) {
            Some(credentials) => {
                self.judge(now, request, credentials, users).unwrap_or_else(Check::Malformed)
            }
            None => Check::Challenge { stale: false },
        }
    }

    fn judge(
        &mut self,
        now: Instant,
        request: &Request,
        credentials: &Credentials<'_>,
        users: &[Login],
    ) -> Result<Check, &'static str> {
        let text = |name: &str| credentials.params.text(name);
        let username = text("username").ok_or("username is missing")?;
        let nonce = text("nonce").ok_or("nonce is missing")?;
        let uri = text("uri").ok_or("uri is missing")?;
        let response = text("response").ok_or("response is missing")?;
        let cnonce = text("cnonce").unwrap_or_default();
        let nc = text("nc").unwrap_or_default();
        let algorithm = match text("algorithm") {
            Some(name) => Algorithm::parse(&name),
            None => Some(Algorithm::Md5),
        };
        let Some(algorithm) = algorithm.filter(|known| self.policy.algorithms.contains(known)) else {
            return Ok(Check::Challenge { stale: false });
        };
        let (qop, count) = match text("qop") {
            Some(name) => {
                let qop = Qop::parse(&name).filter(|qop| self.policy.qop.contains(qop));
                let count = u32::from_str_radix(&nc, 16).ok().filter(|count| *count > 0);
                if cnonce.is_empty() {
                    return Err("cnonce is missing");
                }
                (Some(qop.ok_or("qop was not offered")?), count.ok_or("nc is no count")?)
            }
            // The form of RFC 2069 has no count: such a nonce serves once.
            None => (None, 1),
        };

        let hashed = credentials.params.get("userhash").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
        let realm = self.policy.realm.as_str();
        let is_named = |login: &&Login| match hashed {
            true => digest::userhash(algorithm, &login.username, realm).matches(&username),
            false => login.username == username,
        };
        let may = |login: &&Login| login.fits(realm) && login.secret.serves(algorithm);
        let login = users.iter().filter(may).find(is_named);
        // An unknown user costs the same work as a wrong password.
        let nobody = Secret::new("");
        let (name, secret) =
            login.map_or((username.as_ref(), &nobody), |login| (login.username.as_str(), &login.secret));
        let proof = Proof {
            algorithm,
            method: request.method().as_str(),
            uri: &uri,
            body: request.body(),
            nonce: &nonce,
            qop,
            nc: &nc,
            cnonce: &cnonce,
        };
        let ha1 = digest::ha1(algorithm, name, realm, secret, &nonce, &cnonce);
        let proved = proof.response(&ha1).matches(&response) && login.is_some();

        let issued = self.open(algorithm, &nonce);
        if !proved {
            // With a nonce that is not ours nothing is known about the password.
            return Ok(match issued {
                Some(_) => Check::Forbidden { username: username.into_owned() },
                None => Check::Challenge { stale: false },
            });
        }
        let fresh = issued.is_some_and(|issued| self.count(now, issued, count));
        Ok(match fresh {
            true => Check::Accepted { username: name.to_owned() },
            false => Check::Challenge { stale: true },
        })
    }

    /// Notes the use of a nonce; false if it is too old, or this count was used.
    fn count(&mut self, now: Instant, (issued, salt): (u64, u64), count: u32) -> bool {
        let lifetime = u64::try_from(self.policy.lifetime.as_micros()).unwrap_or(u64::MAX);
        let oldest = now.as_micros().saturating_sub(lifetime);
        if issued < oldest {
            return false;
        }
        if let Some(window) = self.used.get_mut(&(issued, salt)) {
            return window.note(count);
        }
        if self.floor.is_some_and(|floor| issued <= floor) {
            return false;
        }
        while let Some(entry) = self.used.first_entry() {
            let (issued, _) = *entry.key();
            if issued >= oldest {
                break;
            }
            entry.remove();
        }
        if self.used.len() >= self.policy.table.max(1)
            && let Some(((issued, _), _)) = self.used.pop_first()
        {
            self.floor = self.floor.max(Some(issued));
        }
        let mut window = Window::default();
        window.note(count);
        self.used.insert((issued, salt), window);
        true
    }

    /// Age, salt, and a keyed hash over both with algorithm and realm; all in hex.
    fn nonce(&self, algorithm: Algorithm, issued: u64, salt: u64) -> String {
        format!("{issued:016x}{salt:016x}{:032x}", self.seal(algorithm, issued, salt))
    }

    /// Age and salt of a nonce of ours.
    fn open(&self, algorithm: Algorithm, nonce: &str) -> Option<(u64, u64)> {
        let number = |from, to| u64::from_str_radix(nonce.get(from..to)?, 16).ok();
        let (issued, salt) = (number(0, 16)?, number(16, 32)?);
        // Written anew and compared as text: there is one form of each.
        (self.nonce(algorithm, issued, salt) == nonce).then_some((issued, salt))
    }

    fn seal(&self, algorithm: Algorithm, issued: u64, salt: u64) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write_u64(issued);
        hasher.write_u64(salt);
        hasher.write(algorithm.as_str().as_bytes());
        hasher.write(self.policy.realm.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// Which counts of a nonce were used: the highest, and the 64 below it, as requests overtake each
/// other.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    highest: u32,
    /// Bit n is `highest - n`.
    seen: u64,
}

impl Window {
    /// False if the count was used, or is too far behind to know.
    fn note(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let Some(bit) = 1u64.checked_shl(self.highest - count) else { return false };
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}
