//! Client hellos of old versions and ciphers, written by hand, and what a server answers to them (RFC 5246 §7.4.1).
//!
//! For finding out what a server would still accept; no connection comes of it. rustls neither offers nor reads
//! these, on purpose.

use super::outcome::alert_name;

/// A version as the records and hellos write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Old {
    Tls10,
    Tls11,
    /// TLS 1.2 with key exchange by RSA encryption and nothing else.
    RsaOnly,
}

impl Old {
    const fn version(self) -> [u8; 2] {
        match self {
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
            Self::RsaOnly => [3, 3],
        }
    }

    const fn suites(self) -> &'static [u16] {
        match self {
            Self::Tls10 | Self::Tls11 => &CBC,
            Self::RsaOnly => &RSA,
        }
    }
}

/// What a server answers to a client hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// A server hello that agrees to the version.
    Agreed,
    /// An alert, by its name if it has one.
    Alert(Option<&'static str>),
    /// A server hello of another version.
    OtherVersion,
    /// No TLS at all.
    Other,
}

/// The octets of a client hello; `name` is asked for by SNI (RFC 6066 §3).
pub(super) fn client_hello(old: Old, name: Option<&str>, random: [u8; 32]) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = name.filter(|name| name.len() <= LONGEST_NAME) {
        let name = prefixed::<2>(name.as_bytes());
        let entry = [&[0], name.as_slice()].concat();
        push_extension(&mut extensions, 0, &prefixed::<2>(&entry));
    }
    // Groups (secp256r1, secp384r1, x25519), point formats (uncompressed), signature algorithms: RFC 8422 §5.1,
    // RFC 5246 §7.4.1.4.1.
    push_extension(&mut extensions, 10, &prefixed::<2>(&[0, 23, 0, 24, 0, 29]));
    push_extension(&mut extensions, 11, &prefixed::<1>(&[0]));
    if old == Old::RsaOnly {
        push_extension(&mut extensions, 13, &prefixed::<2>(&[4, 1, 5, 1, 6, 1, 4, 3, 5, 3, 2, 1]));
    }
    let suites: Vec<u8> = old.suites().iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let mut body = Vec::new();
    body.extend(old.version());
    body.extend(random);
    // No session to resume, and no compression.
    body.push(0);
    body.extend(prefixed::<2>(&suites));
    body.extend([1, 0]);
    body.extend(prefixed::<2>(&extensions));
    let message = [&[CLIENT_HELLO], prefixed::<3>(&body).as_slice()].concat();
    // The record says TLS 1.0, which every server reads (RFC 5246 appendix E.1).
    [&[HANDSHAKE, 3, 1], prefixed::<2>(&message).as_slice()].concat()
}

/// Reads the first [`REPLY`] octets of an answer, or all there are.
pub(super) fn reply(octets: &[u8], old: Old) -> Reply {
    match octets {
        [ALERT, _, _, _, _, _, alert, ..] => Reply::Alert(alert_name(*alert)),
        [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, major, minor, ..]
            if [*major, *minor] == old.version() =>
        {
            Reply::Agreed
        }
        [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, _, _, ..] => Reply::OtherVersion,
        _ => Reply::Other,
    }
}

fn push_extension(extensions: &mut Vec<u8>, kind: u16, body: &[u8]) {
    extensions.extend(kind.to_be_bytes());
    extensions.extend(prefixed::<2>(body));
}

/// With its length before it, in so many octets.
fn prefixed<const N: usize>(body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [length.get(4 - N..).unwrap_or_default(), body].concat()
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Enough to see what an answer is.
pub(super) const REPLY: usize = 11;
/// Of a DNS name.
const LONGEST_NAME: usize = 255;
/// ECDHE, DHE and RSA with AES-CBC and SHA-1, and RSA with 3DES: what servers of those versions have.
const CBC: [u16; 9] = [0xc009, 0xc00a, 0xc013, 0xc014, 0x0033, 0x0039, 0x002f, 0x0035, 0x000a];
/// RSA key exchange with GCM and CBC.
const RSA: [u16; 7] = [0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0x000a];

#[cfg(test)]
mod tests {
    use rustls::{PeerIncompatible, server::Acceptor};

    use super::*;

    #[test]
    fn hellos_are_well_formed() {
        for old in [Old::Tls10, Old::Tls11, Old::RsaOnly] {
            let hello = client_hello(old, Some("example.com"), [7; 32]);
            let mut acceptor = Acceptor::default();
            acceptor.read_tls(&mut hello.as_slice()).expect("memory");
            let accepted = match acceptor.accept() {
                Ok(accepted) => accepted.expect("a whole one"),
                // All else is well-formed: the extension is younger than these versions (RFC 5246 §7.4.1.4.1).
                Err((why, _)) => {
                    let young = PeerIncompatible::SignatureAlgorithmsExtensionRequired;
                    assert_eq!(why, rustls::Error::PeerIncompatible(young), "{old:?}");
                    assert_ne!(old, Old::RsaOnly);
                    continue;
                }
            };
            assert_eq!(accepted.client_hello().server_name(), Some("example.com"), "{old:?}");
            let suites = accepted.client_hello().cipher_suites().len();
            assert_eq!(suites, old.suites().len());
        }
    }

    #[test]
    fn answers() {
        for (octets, expected) in [
            (&[22, 3, 3, 0, 80, 2, 0, 0, 76, 3, 3, 1][..], Reply::Agreed),
            (&[22, 3, 1, 0, 80, 2, 0, 0, 76, 3, 1, 1], Reply::OtherVersion),
            (&[21, 3, 1, 0, 2, 2, 70], Reply::Alert(Some("protocol_version"))),
            (&[21, 3, 1, 0, 2, 2, 255], Reply::Alert(None)),
            (&[21, 3, 1], Reply::Other),
            (b"SIP/2.0 400 Bad Request", Reply::Other),
            (b"", Reply::Other),
        ] {
            assert_eq!(reply(octets, Old::RsaOnly), expected, "{octets:?}");
        }
    }
}
