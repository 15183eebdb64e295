//! Why there is no TLS connection, as data and as text: what was expected, what came, from whom, and what to try.
//!
//! Types only, there without the feature `tls` too, so that the layers above need not ask for it.

use std::{fmt, io, path::PathBuf, time::SystemTime};

use super::{
    certificate::{Certificate, Unreadable, Usage},
    date::{Span, Utc},
    identity::{List, Mismatch, Reference},
};

/// Why the handshake failed, or the connection ended because of TLS.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsError {
    /// We do not accept the peer's certificate.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No common version: the peer knows none of TLS 1.2 and 1.3.
    #[error(
        "the peer speaks only TLS {version} or older; TLS 1.2 is the oldest version supported here: update the peer, \
         or use another transport"
    )]
    PeerTooOld { version: &'static str },
    /// No common version, because of the least one that we were told to accept.
    #[error("the peer does not speak TLS 1.3, and --tls-min 1.3 asks for it")]
    BelowMinimum,
    /// The peer knows only key exchange by RSA encryption, which has no forward secrecy.
    #[error(
        "the peer knows only RSA key exchange or CBC ciphers, which are not supported: allow ECDHE with AES-GCM or \
         ChaCha20 on the peer, or use another transport"
    )]
    ObsoleteCipher,
    /// The peer ended the negotiation: nothing in common with us, but it does not say what.
    #[error(
        "the peer finds no common cipher, key exchange or signature with us (alert handshake_failure); it may know \
         only RSA key exchange or CBC ciphers, which are not supported"
    )]
    NothingInCommon,
    /// The peer wants a certificate of us, and we have shown none.
    #[error("the peer asks for a client certificate: give one with --tls-cert and --tls-key")]
    ClientCertificateRequired,
    /// We want a certificate of the peer, and it has shown none.
    #[error("the client has shown no certificate, but one is required here")]
    NoClientCertificate,
    /// The peer does not accept our certificate.
    #[error("the peer does not accept our certificate (alert {alert}); {}", advice(alert))]
    OurCertificateRefused { alert: &'static str },
    /// The peer knows no such name (RFC 6066 §3).
    #[error(
        "the peer has no certificate for this name (alert unrecognized_name); name another with --tls-name"
    )]
    UnrecognizedName,
    /// Any other alert of the peer (RFC 8446 §6).
    #[error("the peer ended TLS with the alert {alert}")]
    Alert { alert: String },
    /// What came is no TLS.
    #[error(
        "the peer does not speak TLS on this port; 5061 is the usual port for SIP over TLS, and 5060 is without"
    )]
    NotTls,
    /// The connection was closed within the handshake, without an alert.
    #[error(
        "the peer closed the connection during the TLS handshake without a reason; it may not speak TLS on this \
         port, or refuse our address"
    )]
    Eof,
    /// The connection is there, and nobody answers on it.
    #[error("the peer does not answer the TLS handshake; it may not speak TLS on this port")]
    Silent,
    /// The peer broke the protocol.
    #[error("the peer broke the TLS protocol: {what}")]
    Misbehaved { what: String },
    /// The connection below failed.
    #[error("the connection failed during TLS: {0}")]
    Io(io::ErrorKind),
    /// Our own settings cannot be used.
    #[error("{0}")]
    Setup(TlsConfigError),
    /// The target's host can be no name of a certificate.
    #[error("{0:?} is no name that a certificate can have: name one with --tls-name")]
    BadName(String),
}

/// A certificate that is not accepted: what was wrong, and with which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub why: Why,
    /// The name the peer should prove; `None` for a client's certificate.
    pub expected: Option<Reference>,
    /// The peer's own certificate; `None` if it cannot be read.
    pub certificate: Option<Box<Certificate>>,
    /// How many certificates came with it.
    pub intermediates: usize,
}

/// What is wrong with a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// No chain leads to a root that we trust.
    UnknownIssuer,
    Expired {
        not_after: SystemTime,
        now: SystemTime,
    },
    NotYetValid {
        not_before: SystemTime,
        now: SystemTime,
    },
    /// The same, of a certificate between the peer's and the root.
    IntermediateExpired,
    Name(Mismatch),
    /// extendedKeyUsage allows neither TLS servers nor SIP domains (RFC 5280 §4.2.1.12, RFC 5924).
    NotForServers(Vec<Usage>),
    NotForClients(Vec<Usage>),
    /// A certificate that may sign others (basicConstraints CA) is shown as the peer's own.
    CaAsLeaf,
    /// Not signed with the key of the authority it names: changed, or by another one of that name.
    BadSignature,
    /// A signature with an algorithm or key that is too weak or unknown.
    WeakAlgorithm,
    Revoked,
    /// Version 1 or 2 of X.509.
    OldVersion,
    /// A constraint of an authority above is broken: names or length of the chain (RFC 5280 §4.2.1.9, §4.2.1.10).
    Constraint,
    Unreadable(Unreadable),
    /// Whatever else keeps a chain from being built.
    Chain(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match &self.expected {
            Some(expected) => format!("the peer's certificate for {expected}"),
            None => "the client's certificate".to_owned(),
        };
        match &self.why {
            Why::Name(mismatch) => return self.name(mismatch, f),
            Why::UnknownIssuer => {
                let own = self.certificate.as_deref().is_some_and(Certificate::is_self_issued);
                match own {
                    true => write!(f, "{whose} is signed by itself, and we do not know it")?,
                    false => write!(f, "{whose} comes from an authority that we do not know")?,
                }
            }
            Why::Expired { not_after, now } => {
                let ago = Span(now.duration_since(*not_after).unwrap_or_default());
                write!(f, "{whose} has expired {ago} ago, on {}", Utc(*not_after))?;
            }
            Why::NotYetValid { not_before, now } => {
                let left = Span(not_before.duration_since(*now).unwrap_or_default());
                write!(f, "{whose} is valid only in {left}, from {}", Utc(*not_before))?;
            }
            Why::IntermediateExpired => {
                write!(f, "{whose} is valid, but one of the authorities above it is not at this time")?;
            }
            Why::NotForServers(usages) => {
                write!(f, "{whose} is not for servers: its usages are {}", Usages(usages))?;
            }
            Why::NotForClients(usages) => {
                write!(f, "{whose} is not for clients: its usages are {}", Usages(usages))?;
            }
            Why::CaAsLeaf => {
                write!(f, "{whose} is the certificate of an authority, which may only sign others")?
            }
            Why::BadSignature => write!(
                f,
                "{whose} names an authority that we know, but is not signed with its key: it is changed, or there are \
                 two authorities of one name"
            )?,
            Why::WeakAlgorithm => {
                write!(f, "{whose} is signed with an algorithm or key that is too weak or not supported")?;
            }
            Why::Revoked => write!(f, "{whose} has been revoked")?,
            Why::OldVersion => write!(f, "{whose} is of X.509 version 1 or 2; version 3 is needed")?,
            Why::Constraint => write!(f, "{whose} breaks a constraint of an authority above it")?,
            Why::Unreadable(what) => write!(f, "{whose} cannot be used: {what}")?,
            Why::Chain(what) => write!(f, "{whose} cannot be verified: {what}")?,
        }
        self.particulars(f)?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// What the user may try.
    fn advice(&self) -> Option<&'static str> {
        let of_server = self.expected.is_some();
        Some(match self.why {
            Why::UnknownIssuer if !of_server => "give its authority with the setting for client certificates",
            Why::UnknownIssuer if self.certificate.as_ref().is_some_and(|leaf| !leaf.is_self_issued()) => {
                match self.intermediates {
                    0 => {
                        "trust its authority with --tls-ca FILE; no intermediate certificates came with it, which may \
                         be the peer's mistake"
                    }
                    _ => "trust its authority with --tls-ca FILE",
                }
            }
            Why::UnknownIssuer => "trust it with --tls-ca FILE",
            Why::Expired { .. } | Why::IntermediateExpired => "it must be renewed, unless our clock is wrong",
            Why::NotYetValid { .. } => "look at the clocks of both sides",
            Why::NotForServers(_) => "it needs serverAuth or sipDomain, or no extendedKeyUsage at all",
            Why::NotForClients(_) => "it needs clientAuth or sipDomain, or no extendedKeyUsage at all",
            Why::CaAsLeaf => {
                "the peer needs one of its own, made with basicConstraints CA:FALSE (openssl req -x509 makes CA:TRUE)"
            }
            _ => return None,
        })
    }

    fn name(&self, mismatch: &Mismatch, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = self.expected.as_ref().map_or_else(String::new, Reference::to_string);
        match mismatch {
            Mismatch::Others => write!(f, "the peer's certificate is not for {expected}")?,
            Mismatch::Nameless => write!(
                f,
                "the peer's certificate names no SIP domain: expected {expected} as a sip: URI or a DNS name of its \
                 subjectAltName"
            )?,
            Mismatch::Wildcard(name) => write!(
                f,
                "the peer's certificate has only the wildcard {name} for {expected}, and wildcards never match in SIP \
                 (RFC 5922 section 7.2)"
            )?,
            Mismatch::BesideUri(name) => write!(
                f,
                "the peer's certificate is not for {expected}: it has a sip: URI, and beside that {name} does not \
                 count (RFC 5922 section 7.1)"
            )?,
            Mismatch::BesideAlternative(name) => write!(
                f,
                "the peer's certificate is not for {expected}: it has a subjectAltName, and beside that {name} does \
                 not count (RFC 5922 section 7.1)"
            )?,
        }
        self.particulars(f)?;
        match (mismatch, &self.certificate) {
            (Mismatch::Wildcard(_), _) => f.write_str(
                "; check the very text with --tls-name '*.DOMAIN', or another name with --tls-name NAME",
            ),
            _ => f.write_str("; if the peer is the right one, give the name to check with --tls-name NAME"),
        }
    }

    /// Names, issuer and expiry of the certificate.
    fn particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(certificate) = &self.certificate else { return Ok(()) };
        let presented = certificate.names.presented();
        write!(
            f,
            " (it names {}; issued by {}; expires {})",
            List(&presented),
            if certificate.issuer.is_empty() { "an issuer without a name" } else { &certificate.issuer },
            Utc(certificate.not_after),
        )
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for TlsError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

struct Usages<'a>(&'a [Usage]);

impl fmt::Display for Usages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().take(MOST_USAGES).map(Usage::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

fn advice(alert: &str) -> &'static str {
    match alert {
        "unknown_ca" => "it does not know the authority that signed it",
        "certificate_expired" => "it has expired, or the peer's clock is wrong",
        "certificate_revoked" => "it has been revoked",
        "unsupported_certificate" => "it is of a kind or usage that the peer does not take",
        "access_denied" => "it is valid, but not allowed there",
        _ => "the peer's log may say more",
    }
}

/// What is wrong with the TLS settings: files that cannot be read or do not belong together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("cannot read {}: {}", path.display(), plain(*kind))]
    Read { path: PathBuf, kind: io::ErrorKind },
    #[error("there is no certificate in {} (PEM with BEGIN CERTIFICATE is wanted)", .0.display())]
    NoCertificate(PathBuf),
    #[error("there is no private key in {} (PEM with BEGIN PRIVATE KEY is wanted)", .0.display())]
    NoKey(PathBuf),
    #[error("the private key in {} is encrypted; decrypt it: openssl pkey -in FILE -out PLAIN", .0.display())]
    EncryptedKey(PathBuf),
    #[error("{} is no proper PEM: {what}", path.display())]
    Malformed { path: PathBuf, what: String },
    #[error("the certificate in {} cannot be used: {what}", path.display())]
    BadCertificate { path: PathBuf, what: String },
    #[error("the private key in {} cannot be used: {what}", path.display())]
    BadKey { path: PathBuf, what: String },
    #[error("the private key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error(
        "the system has no trusted certificates: install ca-certificates, or name a file with --tls-ca ({0})"
    )]
    NoSystemRoots(String),
    #[error("TLS cannot be set up: {0}")]
    Refused(String),
}

/// What people call it.
fn plain(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "there is no such file".into(),
        kind => kind.to_string(),
    }
}

const MOST_USAGES: usize = 16;
