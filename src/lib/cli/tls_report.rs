//! What `sip-tls-check` tells: a card for a person, the same as fields for a script.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{output::rfc3339, printable::Printable};
use crate::transport::tls::{
    Findings,
    certificate::{Certificate, Usage},
    date::Utc,
    identity::Name,
};

/// A server's TLS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TlsReport {
    pub target: String,
    pub remote: String,
    /// The name that the certificate must have.
    pub expected: String,
    /// Whether a SIP program would trust the server.
    pub trusted: bool,
    /// The name by which it does.
    pub verified_as: Option<String>,
    /// Why it does not.
    pub problem: Option<String>,
    /// What was agreed upon.
    pub version: Option<String>,
    pub cipher: Option<String>,
    pub group: Option<String>,
    pub versions: Vec<VersionReport>,
    /// Whether key exchange by RSA encryption is accepted.
    pub rsa_key_exchange: Option<bool>,
    /// Whether the server asks for a certificate of the client.
    pub asks_client: bool,
    /// Whether the server's certificate expires sooner than it should.
    pub expires_soon: bool,
    /// The server's own first.
    pub certificates: Vec<CertificateReport>,
    /// What the RFCs say to it.
    pub remarks: Vec<String>,
}

/// Whether a version is accepted, if that could be found out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VersionReport {
    pub version: &'static str,
    pub accepted: Option<bool>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateReport {
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    pub names: Vec<String>,
    /// Those that count for SIP.
    pub counting: Vec<String>,
    pub not_before: String,
    pub not_after: String,
    /// Whole days; negative once it has expired.
    pub days_left: i64,
    pub key: String,
    /// `null` without an extendedKeyUsage.
    pub usages: Option<Vec<String>>,
    pub ca: bool,
    /// The fingerprint, in hexadecimal.
    pub sha256: String,
    #[serde(skip)]
    not_after_time: SystemTime,
}

impl TlsReport {
    pub(super) fn new(
        target: &str,
        remote: SocketAddr,
        findings: &Findings,
        warn_days: u64,
        now: SystemTime,
    ) -> Self {
        let session = findings.session.as_ref();
        let mut report = Self {
            target: target.to_owned(),
            remote: remote.to_string(),
            expected: findings.expected.to_string(),
            trusted: findings.verdict.is_ok(),
            verified_as: findings.verdict.as_ref().ok().map(Name::to_string),
            problem: findings.verdict.as_ref().err().map(ToString::to_string),
            version: session.map(|session| session.version.to_owned()),
            cipher: session.map(|session| session.cipher.clone()),
            group: session.and_then(|session| session.group.clone()),
            versions: findings
                .versions
                .iter()
                .map(|&(version, accepted)| VersionReport { version, accepted })
                .collect(),
            rsa_key_exchange: findings.rsa_key_exchange,
            asks_client: findings.asks_client,
            expires_soon: false,
            certificates: findings
                .chain
                .iter()
                .map(|certificate| CertificateReport::new(certificate, now))
                .collect(),
            remarks: remarks(findings),
        };
        let limit = i64::try_from(warn_days).unwrap_or(i64::MAX);
        report.expires_soon = report.days_left().is_some_and(|days| days < limit);
        report
    }

    /// How long the server's certificate is valid.
    pub(super) fn days_left(&self) -> Option<i64> {
        self.certificates.first().map(|certificate| certificate.days_left)
    }
}

impl CertificateReport {
    fn new(certificate: &Certificate, now: SystemTime) -> Self {
        let texts = |names: Vec<Name>| names.iter().map(Name::to_string).collect();
        Self {
            subject: certificate.subject.clone(),
            issuer: certificate.issuer.clone(),
            serial: certificate.serial.clone(),
            names: texts(certificate.names.presented()),
            counting: texts(certificate.names.counting()),
            not_before: rfc3339(certificate.not_before),
            not_after: rfc3339(certificate.not_after),
            days_left: days_between(now, certificate.not_after),
            key: certificate.key.clone(),
            usages: certificate.usages.as_ref().map(|usages| usages.iter().map(Usage::to_string).collect()),
            ca: certificate.is_ca,
            sha256: Sha256::digest(&certificate.der).iter().map(|octet| format!("{octet:02x}")).collect(),
            not_after_time: certificate.not_after,
        }
    }
}

/// What a person should know beyond the verdict.
fn remarks(findings: &Findings) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut say = |remark: String| remarks.push(remark);
    if let Some(leaf) = findings.chain.first() {
        let has_sip_uri = leaf.names.alternative.iter().any(|name| name.sip_domain().is_some());
        say(match (has_sip_uri, leaf.names.has_alternative) {
            (true, _) => "there is a sip: URI, so only sip: URIs count (RFC 5922 section 7.1)".into(),
            (false, true) => {
                "there is no sip: URI, so DNS names and addresses count (RFC 5922 section 7.1)".into()
            }
            (false, false) => {
                "there is no subjectAltName, so the common name counts (RFC 5922 section 7.1)".into()
            }
        });
        for name in &leaf.names.alternative {
            match name {
                Name::Uri(uri) if name.sip_domain().is_none() && uri.contains('@') => {
                    say(format!("{name} names a user and no domain (RFC 5922 section 7.1)"));
                }
                Name::Uri(_) if name.sip_domain().is_none() => {
                    say(format!("{name} is no sip: URI and does not count (RFC 5922 section 7.1)"));
                }
                Name::Dns(text) if text.starts_with("*.") => {
                    say(format!("{name} is a wildcard, which never matches (RFC 5922 section 7.2)"));
                }
                _ => {}
            }
        }
        say(match &leaf.usages {
            None => "no extendedKeyUsage: every use is allowed (RFC 5924)".into(),
            Some(usages) if usages.contains(&Usage::SipDomain) => {
                "the extendedKeyUsage has sipDomain, made for this (RFC 5924)".into()
            }
            Some(usages) if usages.iter().any(Usage::suits_server) => {
                "the extendedKeyUsage has no sipDomain (RFC 5924), but fits a server; that is accepted".into()
            }
            Some(_) => "the extendedKeyUsage fits no server".into(),
        });
    }
    for (version, accepted) in &findings.versions {
        if matches!(*version, "1.0" | "1.1") && *accepted == Some(true) {
            say(format!("TLS {version} is accepted, and should not be any more (RFC 8996)"));
        }
    }
    if findings.rsa_key_exchange == Some(true) {
        say("key exchange by RSA encryption is accepted: it has no forward secrecy (RFC 9325 section 4.1)"
            .into());
    }
    remarks
}

/// Whole days from one moment to the other.
fn days_between(from: SystemTime, to: SystemTime) -> i64 {
    let days = |distance: Duration| i64::try_from(distance.as_secs() / 86_400).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(left) => days(left),
        Err(past) => -days(past.duration()) - 1,
    }
}

impl fmt::Display for TlsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", Printable(&self.expected), self.remote)?;
        match (&self.verified_as, &self.problem) {
            (Some(name), _) => row(f, "verdict", &format!("trusted as {name}"))?,
            (None, Some(problem)) => row(f, "verdict", &format!("NOT trusted: {problem}"))?,
            (None, None) => {}
        }
        for (at, certificate) in self.certificates.iter().enumerate() {
            let title = if at == 0 { "certificate" } else { "sent with it" };
            let subject = if certificate.subject.is_empty() { "(no subject)" } else { &certificate.subject };
            row(f, title, &format!("{subject}, {}", certificate.key))?;
            if at == 0 {
                row(f, "names", &listed(&certificate.names))?;
                row(f, "that count", &listed(&certificate.counting))?;
                if let Some(usages) = &certificate.usages {
                    row(f, "usage", &listed(usages))?;
                }
            }
            row(f, "issued by", &certificate.issuer)?;
            let left = match certificate.days_left {
                days if days < 0 => "EXPIRED".to_owned(),
                1 => "1 day left".to_owned(),
                days => format!("{days} days left"),
            };
            let left = if at == 0 && self.expires_soon { left + ": RENEW IT" } else { left };
            row(f, "expires", &format!("{}, {left}", Utc(certificate.not_after_time)))?;
        }
        let versions = self.versions.iter().map(|version| {
            let accepted = match version.accepted {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            };
            format!("{} {accepted}", version.version)
        });
        row(f, "versions", &versions.collect::<Vec<_>>().join(", "))?;
        if let (Some(version), Some(cipher)) = (&self.version, &self.cipher) {
            let group = self.group.as_ref().map(|group| format!(", {group}")).unwrap_or_default();
            row(f, "agreed", &format!("TLS {version}, {cipher}{group}"))?;
        }
        row(
            f,
            "client",
            if self.asks_client { "is asked for a certificate" } else { "needs no certificate" },
        )?;
        for (at, remark) in self.remarks.iter().enumerate() {
            row(f, if at == 0 { "remarks" } else { "" }, remark)?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, title: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {title:<13}{}", Printable(text))
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_negative_afterwards() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 100);
        let in_seconds = |seconds: i64| match u64::try_from(seconds) {
            Ok(seconds) => now + Duration::from_secs(seconds),
            Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
        };
        for (seconds, days) in [(86_400, 1), (86_399, 0), (0, 0), (-1, -1), (-86_401, -2)] {
            assert_eq!(days_between(now, in_seconds(seconds)), days, "{seconds}");
        }
    }
}
