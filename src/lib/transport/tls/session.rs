//! What a TLS connection has agreed upon and whom it leads to, for `-v` and for results.

use std::fmt;

use rustls::CommonState;

use super::{
    certificate::Certificate,
    date::Utc,
    error::Refusal,
    identity::{List, Name},
};

/// An established TLS connection, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The name of the cipher suite as IANA has it.
    pub cipher: String,
    /// The group of the key exchange, such as `X25519`.
    pub group: Option<String>,
    /// The protocol agreed upon by ALPN; SIP has none.
    pub alpn: Option<String>,
    /// The peer's certificate.
    pub peer: Option<Certificate>,
    /// How many certificates the peer sent.
    pub sent: usize,
    pub verification: Verification,
    /// Whether we have shown a certificate.
    pub shown: bool,
}

/// How the peer was verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verification {
    /// A server, by this one of its names.
    Server(Name),
    /// A server that is not verified, although this is wrong with it.
    Insecure(Box<Refusal>),
    /// A client with a valid certificate; its names are for policies to judge (RFC 5922 §7.4).
    Client,
    /// A client that has shown none.
    NoCertificate,
}

impl Session {
    pub(super) fn new(connection: &CommonState, verification: Verification, shown: bool) -> Self {
        let chain = connection.peer_certificates().unwrap_or_default();
        let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        // rustls has its own prefix for those of TLS 1.3.
        let cipher = suite.map(|suite| suite.replacen("TLS13_", "TLS_", 1)).unwrap_or_default();
        Self {
            version: match connection.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
                _ => "1.2",
            },
            cipher,
            group: connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
            alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            peer: chain.first().and_then(|leaf| Certificate::read(leaf).ok()),
            sent: chain.len(),
            verification,
            shown,
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {} with {}", self.version, self.cipher)?;
        if let Some(group) = &self.group {
            write!(f, " and {group}")?;
        }
        match &self.alpn {
            Some(alpn) => write!(f, ", ALPN {alpn}")?,
            None => f.write_str(", no ALPN")?,
        }
        if self.shown {
            f.write_str(", our certificate shown")?;
        }
        match &self.verification {
            Verification::Server(name) => write!(f, "; the peer is verified as {name}")?,
            Verification::Insecure(_) => f.write_str("; the peer is NOT verified")?,
            Verification::Client => f.write_str("; the client's certificate is valid")?,
            Verification::NoCertificate => f.write_str("; the client has shown no certificate")?,
        }
        let Some(peer) = &self.peer else { return Ok(()) };
        let names = peer.names.presented();
        write!(f, " (names: {}; issued by {}; expires {})", List(&names), peer.issuer, Utc(peer.not_after))
    }
}
