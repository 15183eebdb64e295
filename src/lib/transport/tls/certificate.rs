//! What a certificate says (RFC 5280), for the name check and for people. It decides nothing.
//!
//! Certificates come from strangers: text is freed of control characters and cut, and what cannot be read is an
//! error, never a guess.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::identity::{Name, Names};

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

#[cfg(feature = "tls")]
impl Certificate {
    /// Reads a certificate from DER.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        use x509_parser::{certificate::X509Certificate, prelude::FromDer, public_key::PublicKey};

        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Unreadable::NotX509)?;
        if !rest.is_empty() {
            return Err(Unreadable::NotX509);
        }
        let constraints = parsed.basic_constraints().map_err(|_| Unreadable::BasicConstraints)?;
        let key = match parsed.public_key().parsed() {
            Ok(PublicKey::EC(point)) => format!("EC {} bits", point.key_size()),
            Ok(PublicKey::RSA(rsa)) => format!("RSA {} bits", rsa.key_size()),
            _ => match parsed.public_key().algorithm.algorithm.to_id_string().as_str() {
                "1.3.101.112" => "Ed25519".to_owned(),
                oid => oid.to_owned(),
            },
        };
        Ok(Self {
            subject: clean(&parsed.subject().to_string()),
            issuer: clean(&parsed.issuer().to_string()),
            serial: clean(&parsed.raw_serial_as_string()),
            names: names(&parsed)?,
            not_before: system_time(parsed.validity().not_before.timestamp()),
            not_after: system_time(parsed.validity().not_after.timestamp()),
            is_ca: constraints.is_some_and(|constraints| constraints.value.ca),
            usages: usages(&parsed)?,
            key,
            der: der.to_vec(),
        })
    }
}

#[cfg(feature = "tls")]
fn names(parsed: &x509_parser::certificate::X509Certificate<'_>) -> Result<Names, Unreadable> {
    use x509_parser::extensions::GeneralName;

    let alternative = parsed.subject_alternative_name().map_err(|_| Unreadable::AlternativeName)?;
    let mut names = Names { has_alternative: alternative.is_some(), ..Names::default() };
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        let name = match name {
            GeneralName::URI(uri) => Name::Uri(clean(uri)),
            GeneralName::DNSName(name) => Name::Dns(clean(name)),
            GeneralName::IPAddress(octets) => match ip_of(octets) {
                Some(ip) => Name::Ip(ip),
                None => return Err(Unreadable::AlternativeName),
            },
            // A name that is not text could be a URI, which would decide which others count.
            GeneralName::Invalid(..) => return Err(Unreadable::AlternativeName),
            _ => continue,
        };
        names.alternative.push(name);
    }
    // The last one is the most specific.
    let common_name = parsed.subject().iter_common_name().last();
    names.common_name = common_name.and_then(|name| name.as_str().ok()).map(clean);
    Ok(names)
}

#[cfg(feature = "tls")]
fn usages(parsed: &x509_parser::certificate::X509Certificate<'_>) -> Result<Option<Vec<Usage>>, Unreadable> {
    let Some(extension) = parsed.extended_key_usage().map_err(|_| Unreadable::KeyUsage)? else {
        return Ok(None);
    };
    let known = extension.value;
    let flags = [
        (known.server_auth, Usage::ServerAuth),
        (known.client_auth, Usage::ClientAuth),
        (known.any, Usage::Any),
        (known.code_signing, Usage::CodeSigning),
        (known.email_protection, Usage::EmailProtection),
        (known.time_stamping, Usage::TimeStamping),
        (known.ocsp_signing, Usage::OcspSigning),
    ];
    let flags = flags.into_iter().filter_map(|(set, usage)| set.then_some(usage));
    let others = known.other.iter().map(|oid| Usage::of_oid(&oid.to_id_string()));
    Ok(Some(flags.chain(others).collect()))
}

fn ip_of(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Control characters could act on a terminal, and a name of a megabyte is none. What is cut or replaced matches
/// no reference name any more.
fn clean(text: &str) -> String {
    let mut clean: String =
        text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        clean.push('…');
    }
    clean
}

fn system_time(unix: i64) -> SystemTime {
    let distance = Duration::from_secs(unix.unsigned_abs());
    let time = match unix < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

const LONGEST_TEXT: usize = 512;
