//! What a certificate says (RFC 5280), for the name check and for people. It decides nothing.
//!
//! Types only; `x509` reads them.

use std::{fmt, time::SystemTime};

use super::identity::Names;

/// A certificate, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The distinguished name, such as `CN=example.com, O=Example`; may be empty.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    pub serial: String,
    pub names: Names,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    /// basicConstraints: may sign other certificates.
    pub is_ca: bool,
    /// What it may be used for; `None` without an extendedKeyUsage, which allows everything.
    pub usages: Option<Vec<Usage>>,
    /// Such as `EC 256 bits` or `RSA 2048 bits`.
    pub key: String,
    /// The octets, as DER.
    pub der: Vec<u8>,
}

impl Certificate {
    /// Whether subject and issuer are the same: signed by itself, or at least it says so.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// A name for messages: the subject, or the first name it has.
    pub fn title(&self) -> String {
        match self.names.alternative.first() {
            _ if !self.subject.is_empty() => self.subject.clone(),
            Some(name) => name.to_string(),
            None => format!("the certificate with serial number {}", self.serial),
        }
    }
}

/// A purpose of the extendedKeyUsage extension (RFC 5280 §4.2.1.12).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Usage {
    ServerAuth,
    ClientAuth,
    /// id-kp-sipDomain, 1.3.6.1.5.5.7.3.20 (RFC 5924).
    SipDomain,
    Any,
    CodeSigning,
    EmailProtection,
    TimeStamping,
    OcspSigning,
    /// An object identifier that means nothing to us.
    Other(String),
}

impl Usage {
    /// Whether a server of SIP may show a certificate with it. RFC 5924 §4 also knows a strict reading, by which
    /// serverAuth is not enough; no public authority issues certificates that would pass it.
    pub const fn suits_server(&self) -> bool {
        matches!(self, Self::ServerAuth | Self::SipDomain | Self::Any)
    }

    /// The same for the client's certificate in mutual TLS.
    pub const fn suits_client(&self) -> bool {
        matches!(self, Self::ClientAuth | Self::SipDomain | Self::Any)
    }

    /// From the numbers of an object identifier, as `1.3.6.1.5.5.7.3.1`.
    pub fn of_oid(oid: &str) -> Self {
        match oid.strip_prefix("1.3.6.1.5.5.7.3.") {
            Some("1") => Self::ServerAuth,
            Some("2") => Self::ClientAuth,
            Some("3") => Self::CodeSigning,
            Some("4") => Self::EmailProtection,
            Some("8") => Self::TimeStamping,
            Some("9") => Self::OcspSigning,
            Some("20") => Self::SipDomain,
            _ if oid == "2.5.29.37.0" => Self::Any,
            _ => Self::Other(oid.to_owned()),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerAuth => "serverAuth",
            Self::ClientAuth => "clientAuth",
            Self::SipDomain => "sipDomain",
            Self::Any => "anyExtendedKeyUsage",
            Self::CodeSigning => "codeSigning",
            Self::EmailProtection => "emailProtection",
            Self::TimeStamping => "timeStamping",
            Self::OcspSigning => "OCSPSigning",
            Self::Other(oid) => oid,
        })
    }
}

/// What in a certificate cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is no X.509 certificate")]
    NotX509,
    #[error("its subjectAltName cannot be read")]
    AlternativeName,
    #[error("its extendedKeyUsage cannot be read")]
    KeyUsage,
    #[error("its basicConstraints cannot be read")]
    BasicConstraints,
}
