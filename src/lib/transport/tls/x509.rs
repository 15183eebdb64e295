//! Reads certificates (RFC 5280).
//!
//! They come from strangers: text is freed of control characters and cut, and what cannot be read is an error, never
//! a guess.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, public_key::PublicKey,
};

use super::{
    certificate::{Certificate, Unreadable, Usage},
    identity::{Name, Names},
};

impl Certificate {
    /// Reads a certificate from DER.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
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

fn names(parsed: &X509Certificate<'_>) -> Result<Names, Unreadable> {
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

fn usages(parsed: &X509Certificate<'_>) -> Result<Option<Vec<Usage>>, Unreadable> {
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
