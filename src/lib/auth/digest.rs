//! The computations of digest authentication (RFC 7616 §3.4, RFC 8760 §2.6): hashes in, hex out.
//!
//! Strings go in as they are meant, without quotes and with quoted pairs undone. Everything that
//! would let a stranger log in ([`Secret`], H(A1)) is wiped when dropped and never printed.

use std::fmt;

use md5::Md5;
use sha2::{Sha256, Sha512_256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// A digest algorithm; with `-sess` the key depends on nonce and cnonce (RFC 7616 §3.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
    Sha512_256,
    Sha512_256Sess,
}

impl Algorithm {
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess, Self::Sha512_256, Self::Sha512_256Sess];

    /// By its name, without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha512_256Sess => "SHA-512-256-sess",
        }
    }

    /// More is better; both SHA-2 forms give 256 bits and count the same.
    pub const fn strength(self) -> u8 {
        match self {
            Self::Md5 | Self::Md5Sess => 0,
            _ => 1,
        }
    }

    pub const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess | Self::Sha512_256Sess)
    }

    /// The same without `-sess`.
    const fn basic(self) -> Self {
        match self {
            Self::Md5 | Self::Md5Sess => Self::Md5,
            Self::Sha256 | Self::Sha256Sess => Self::Sha256,
            Self::Sha512_256 | Self::Sha512_256Sess => Self::Sha512_256,
        }
    }

    /// H() of the RFC over the parts with colons between them.
    fn hash(self, parts: &[&[u8]]) -> Hex {
        match self {
            Self::Md5 | Self::Md5Sess => hash::<Md5>(parts),
            Self::Sha256 | Self::Sha256Sess => hash::<Sha256>(parts),
            Self::Sha512_256 | Self::Sha512_256Sess => hash::<Sha512_256>(parts),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Quality of protection (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qop {
    Auth,
    /// The body is protected as well.
    AuthInt,
}

impl Qop {
    /// By its name, without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|qop| qop.as_str().eq_ignore_ascii_case(name))
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// A password, or H(A1) in its place (RFC 7616 §3.4.2). Wiped when dropped; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Password(Zeroizing<String>),
    /// H(user ":" realm ":" password) in lower case hex, of this algorithm without `-sess`.
    Ha1(Algorithm, Zeroizing<String>),
}

impl Secret {
    pub fn new(password: impl Into<String>) -> Self {
        Self(Kind::Password(Zeroizing::new(password.into())))
    }

    /// H(user ":" realm ":" password) in hex: good for that user, realm and algorithm only, and as secret as the
    /// password there. `None` if `hex` is no hash of the algorithm.
    pub fn ha1(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let digits = if algorithm.basic() == Algorithm::Md5 { 32 } else { 64 };
        let is_hash = hex.len() == digits && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| Self(Kind::Ha1(algorithm.basic(), Zeroizing::new(hex.to_ascii_lowercase()))))
    }

    /// Whether it answers challenges of this algorithm.
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Kind::Password(_) => true,
            Kind::Ha1(own, _) => *own == algorithm.basic(),
        }
    }

    /// H(user ":" realm ":" password).
    fn basic(&self, algorithm: Algorithm, username: &str, realm: &str) -> Hex {
        match &self.0 {
            Kind::Password(password) => {
                algorithm.hash(&[username.as_bytes(), realm.as_bytes(), password.as_bytes()])
            }
            Kind::Ha1(_, hex) => Hex::written(hex),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A user and password, for one realm or for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub secret: Secret,
    /// `None` fits every realm.
    pub realm: Option<String>,
}

impl Login {
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), secret: Secret::new(password), realm: None }
    }

    pub(super) fn fits(&self, realm: &str) -> bool {
        self.realm.as_deref().is_none_or(|own| own == realm)
    }
}

/// A hash in lower case hex: at most 64 digits, wiped when dropped.
#[derive(Clone)]
pub struct Hex {
    digits: [u8; 64],
    len: usize,
}

impl Hex {
    fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = Self { digits: [0; 64], len: 0 };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
            hex.len += 2;
        }
        hex
    }

    /// Digits that are hex already.
    fn written(digits: &str) -> Self {
        let mut hex = Self { digits: [0; 64], len: digits.len().min(64) };
        hex.digits.iter_mut().zip(digits.bytes()).for_each(|(digit, byte)| *digit = byte);
        hex
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// Compares with what a peer sent, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &str) -> bool {
        self.as_bytes().ct_eq(other.to_ascii_lowercase().as_bytes()).into()
    }
}

impl Drop for Hex {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

/// H(A1) for an algorithm: what stands for the password (RFC 7616 §3.4.2).
pub fn ha1(
    algorithm: Algorithm,
    username: &str,
    realm: &str,
    secret: &Secret,
    nonce: &str,
    cnonce: &str,
) -> Hex {
    let basic = secret.basic(algorithm, username, realm);
    match algorithm.is_session() {
        true => algorithm.hash(&[basic.as_bytes(), nonce.as_bytes(), cnonce.as_bytes()]),
        false => basic,
    }
}

/// What of a request and its credentials enters the response.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    pub algorithm: Algorithm,
    pub method: &'a str,
    /// The `uri` parameter.
    pub uri: &'a str,
    /// Only looked at with `auth-int`.
    pub body: &'a [u8],
    pub nonce: &'a str,
    /// `None` is the form of RFC 2069, without nc and cnonce.
    pub qop: Option<Qop>,
    /// As written: eight hex digits.
    pub nc: &'a str,
    pub cnonce: &'a str,
}

impl Proof<'_> {
    /// The response for this H(A1) (RFC 7616 §3.4.1).
    pub fn response(&self, ha1: &Hex) -> Hex {
        let ha2 = self.ha2();
        let (ha1, nonce, ha2) = (ha1.as_bytes(), self.nonce.as_bytes(), ha2.as_bytes());
        match self.qop {
            Some(qop) => {
                let (nc, cnonce, qop) = (self.nc.as_bytes(), self.cnonce.as_bytes(), qop.as_str().as_bytes());
                self.algorithm.hash(&[ha1, nonce, nc, cnonce, qop, ha2])
            }
            None => self.algorithm.hash(&[ha1, nonce, ha2]),
        }
    }

    fn ha2(&self) -> Hex {
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        match self.qop {
            // RFC 8760 §2.6 bullet 7: without a body this is the hash of nothing.
            Some(Qop::AuthInt) => {
                let body = self.algorithm.hash(&[self.body]);
                self.algorithm.hash(&[method, uri, body.as_bytes()])
            }
            Some(Qop::Auth) | None => self.algorithm.hash(&[method, uri]),
        }
    }
}

/// The user name as it is sent with `userhash=true` (RFC 7616 §3.4.4).
pub fn userhash(algorithm: Algorithm, username: &str, realm: &str) -> Hex {
    algorithm.hash(&[username.as_bytes(), realm.as_bytes()])
}

fn hash<D: sha2::Digest>(parts: &[&[u8]]) -> Hex {
    let mut state = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            state.update(b":");
        }
        state.update(part);
    }
    Hex::of(&state.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/data/digest/vectors.tsv: the examples of RFC 2617 and 7616 and generated ones.
    #[test]
    fn vectors() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/digest/vectors.tsv");
        let table = std::fs::read_to_string(path).unwrap();
        let mut rows = table.lines().map(|row| row.split('\t').collect::<Vec<_>>());
        let names = rows.next().unwrap();
        let mut seen = 0;
        for row in rows {
            let get = |name: &str| row[names.iter().position(|n| *n == name).unwrap()];
            let algorithm = Algorithm::parse(get("algorithm")).unwrap();
            let (username, realm) = (get("username"), get("realm"));
            let body: Vec<u8> = get("body_hex")
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            let proof = Proof {
                algorithm,
                method: get("method"),
                uri: get("uri"),
                body: &body,
                nonce: get("nonce"),
                qop: Qop::parse(get("qop")),
                nc: get("nc"),
                cnonce: get("cnonce"),
            };
            let secret = Secret::new(get("password"));
            let ha1 = ha1(algorithm, username, realm, &secret, proof.nonce, proof.cnonce);
            let id = get("id");
            if !algorithm.is_session() {
                // The hash serves as well as what it was made from.
                let hashed = Secret::ha1(algorithm, &get("ha1").to_uppercase()).unwrap();
                let again = super::ha1(algorithm, "anybody", "any", &hashed, proof.nonce, proof.cnonce);
                assert_eq!(again.as_str(), get("ha1"), "{id}");
            }
            assert_eq!(ha1.as_str(), get("ha1"), "{id} ha1");
            assert_eq!(proof.ha2().as_str(), get("ha2"), "{id} ha2");
            assert_eq!(proof.response(&ha1).as_str(), get("response"), "{id}");
            assert!(proof.response(&ha1).matches(&get("response").to_uppercase()));
            assert!(!proof.response(&ha1).matches(""));
            if get("userhash") == "true" {
                assert_eq!(userhash(algorithm, username, realm).as_str(), get("userhash_value"), "{id}");
            }
            seen += 1;
        }
        assert!(seen >= 50, "only {seen} vectors");
    }

    #[test]
    fn secrets_are_not_printed() {
        let login = Login::new("alice", "s3cr3t");
        assert!(!format!("{login:?}").contains("s3cr3t"));
        let hash = "0123456789abcdef0123456789abcdef";
        assert!(!format!("{:?}", Secret::ha1(Algorithm::Md5, hash)).contains(hash));
    }

    #[test]
    fn a_hash_serves_its_own_algorithm() {
        let md5 = Secret::ha1(Algorithm::Md5Sess, &"0".repeat(32)).unwrap();
        let sha = Secret::ha1(Algorithm::Sha512_256, &"0".repeat(64)).unwrap();
        let serves = |secret: &Secret| Algorithm::ALL.map(|algorithm| secret.serves(algorithm));
        assert_eq!(serves(&md5), [true, true, false, false, false, false]);
        assert_eq!(serves(&sha), [false, false, false, false, true, true]);
        assert_eq!(serves(&Secret::new("x")), [true; 6]);
        for (algorithm, text) in [(Algorithm::Md5, "0".repeat(64)), (Algorithm::Sha256, "x".repeat(64))] {
            assert_eq!(Secret::ha1(algorithm, &text), None);
        }
    }
}
