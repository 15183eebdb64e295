//! Whom a certificate names, and whether that is whom we wanted: RFC 5922 §7.1 and §7.2.
//!
//! A SIP domain is named by a `sip:` URI without user part in the subjectAltName. Where there is one, only such URIs
//! count; otherwise the DNS names do; the common name only if there is no subjectAltName at all. Names are compared
//! whole, without regard to case. A wildcard is an ordinary name here: it matches itself and nothing else.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// The name a peer must prove: the domain of the URI or account, never what SRV, Contact or Record-Route said
/// (RFC 5922 §7.3).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reference {
    Domain(String),
    Ip(IpAddr),
}

impl Reference {
    /// Reads the host of a URI: a domain, an IPv4 address, or an IPv6 address with or without brackets.
    pub fn new(host: &str) -> Self {
        match ip(host) {
            Some(ip) => Self::Ip(ip),
            None => Self::Domain(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A name as it stands in a certificate.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Name {
    /// A URI of the subjectAltName, whole.
    Uri(String),
    Dns(String),
    Ip(IpAddr),
    /// The common name of the subject.
    CommonName(String),
}

impl Name {
    /// The host a `sip:` URI without user part names (RFC 5922 §7.1); `None` for every other name. Port and
    /// parameters do not count.
    pub fn sip_domain(&self) -> Option<&str> {
        let Self::Uri(uri) = self else { return None };
        let (scheme, rest) = uri.split_once(':')?;
        if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
            return None;
        }
        let host_port = rest.split([';', '?']).next().unwrap_or(rest);
        let host = match host_port.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or(literal),
            None => host_port.split(':').next().unwrap_or(host_port),
        };
        (!host.is_empty()).then_some(host)
    }

    /// The host that is named, by any kind of name; a wildcard names none.
    pub fn host(&self) -> Option<Cow<'_, str>> {
        let host = match self {
            Self::Uri(_) => self.sip_domain()?.into(),
            Self::Dns(name) | Self::CommonName(name) => name.as_str().into(),
            Self::Ip(ip) => Cow::Owned(ip.to_string()),
        };
        (!host.starts_with("*.")).then_some(host)
    }

    fn matches(&self, reference: &Reference) -> bool {
        match (self, reference) {
            (Self::Uri(_), Reference::Domain(domain)) => {
                self.sip_domain().is_some_and(|host| same_domain(host, domain))
            }
            (Self::Uri(_), Reference::Ip(wanted)) => self.sip_domain().and_then(ip) == Some(*wanted),
            (Self::Dns(name) | Self::CommonName(name), Reference::Domain(domain)) => {
                same_domain(name, domain)
            }
            (Self::Ip(own), Reference::Ip(wanted)) => own == wanted,
            (Self::Dns(_) | Self::CommonName(_), Reference::Ip(_)) | (Self::Ip(_), Reference::Domain(_)) => {
                false
            }
        }
    }

    /// `*.example.com` for a reference `sip.example.com`: what HTTP would have let pass.
    fn is_wildcard_for(&self, reference: &Reference) -> bool {
        let own = match self {
            Self::Dns(name) | Self::CommonName(name) => name.as_str(),
            Self::Uri(_) => self.sip_domain().unwrap_or_default(),
            Self::Ip(_) => return false,
        };
        let Reference::Domain(domain) = reference else { return false };
        let (Some(suffix), Some((_, rest))) = (own.strip_prefix("*."), domain.split_once('.')) else {
            return false;
        };
        same_domain(suffix, rest)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => write!(f, "URI {uri}"),
            Self::Dns(name) => write!(f, "DNS {name}"),
            Self::Ip(ip) => write!(f, "IP {ip}"),
            Self::CommonName(name) => write!(f, "CN {name}"),
        }
    }
}

/// All names of a certificate that could matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// URIs, DNS names and addresses of the subjectAltName, in its order.
    pub alternative: Vec<Name>,
    /// Whether there is a subjectAltName at all, with whatever in it.
    pub has_alternative: bool,
    pub common_name: Option<String>,
}

impl Names {
    /// The names that count (RFC 5922 §7.1). Addresses count where DNS names do: the RFC has no word on them, and a
    /// target that is an address has no other name.
    pub fn counting(&self) -> Vec<Name> {
        let is_sip_domain = |name: &&Name| name.sip_domain().is_some();
        if self.alternative.iter().any(|name| is_sip_domain(&name)) {
            return self.alternative.iter().filter(is_sip_domain).cloned().collect();
        }
        if self.has_alternative {
            let is_host = |name: &&Name| matches!(name, Name::Dns(_) | Name::Ip(_));
            return self.alternative.iter().filter(is_host).cloned().collect();
        }
        let valid = self.common_name.iter().filter(|name| is_domain(name));
        valid.cloned().map(Name::CommonName).collect()
    }

    /// Every name that is there, counting or not, for a person to read.
    pub fn presented(&self) -> Vec<Name> {
        let common_name = self.common_name.iter().cloned().map(Name::CommonName);
        self.alternative.iter().cloned().chain(common_name).collect()
    }

    /// Which name is the reference by the rules of HTTP (RFC 9525 §6): DNS names and addresses of the subjectAltName
    /// count and nothing else; a wildcard stands for one whole label, the first.
    pub fn find_web(&self, reference: &Reference) -> Result<Name, Mismatch> {
        let mut hosts = self.alternative.iter().filter(|name| matches!(name, Name::Dns(_) | Name::Ip(_)));
        let found = hosts.find(|name| name.matches(reference) || name.is_wildcard_for(reference));
        found.cloned().ok_or(if self.alternative.is_empty() { Mismatch::Nameless } else { Mismatch::Others })
    }

    /// Which name is the reference, or why none is.
    pub fn find(&self, reference: &Reference) -> Result<Name, Mismatch> {
        let counting = self.counting();
        if let Some(name) = counting.iter().find(|name| name.matches(reference)) {
            return Ok(name.clone());
        }
        if let Some(name) = counting.iter().find(|name| name.is_wildcard_for(reference)) {
            return Err(Mismatch::Wildcard(name.clone()));
        }
        if let Some(name) = self.presented().into_iter().find(|name| name.matches(reference)) {
            let by_uri = counting.iter().any(|name| matches!(name, Name::Uri(_)));
            return Err(if by_uri { Mismatch::BesideUri(name) } else { Mismatch::BesideAlternative(name) });
        }
        Err(if counting.is_empty() { Mismatch::Nameless } else { Mismatch::Others })
    }
}

/// Why no name of a certificate is the one expected.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Mismatch {
    /// It names others.
    Others,
    /// It names nobody that could be a SIP domain.
    Nameless,
    /// Only this wildcard would cover it (RFC 5922 §7.2 forbids to match it).
    Wildcard(Name),
    /// This name would be right, but a `sip:` URI makes all others irrelevant (§7.1).
    BesideUri(Name),
    /// The common name would be right, but does not count beside a subjectAltName (§7.1).
    BesideAlternative(Name),
}

/// The list of names for a message: bounded, for a certificate may have thousands.
pub(super) struct List<'a>(pub &'a [Name]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no names");
        }
        for (at, name) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// RFC 4343: ASCII case does not count. A trailing dot is the root and part of neither.
fn same_domain(a: &str, b: &str) -> bool {
    let bare = |name| str::strip_suffix(name, ".").unwrap_or(name);
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// Whether a common name could be a DNS name; many are prose.
fn is_domain(text: &str) -> bool {
    let text = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    ip(text).is_none() && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}

fn ip(host: &str) -> Option<IpAddr> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match literal {
        Some(literal) => literal.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Name {
        Name::Uri(text.into())
    }

    fn dns(text: &str) -> Name {
        Name::Dns(text.into())
    }

    fn names(alternative: &[Name], common_name: &str) -> Names {
        Names {
            alternative: alternative.to_vec(),
            has_alternative: !alternative.is_empty(),
            common_name: (!common_name.is_empty()).then(|| common_name.into()),
        }
    }

    #[test]
    fn the_web_has_wildcards_and_no_common_names() {
        let of = |name: Name| names(&[name], "a.example.com");
        let find = |name: Name, host: &str| of(name).find_web(&Reference::new(host)).is_ok();
        assert!(find(dns("A.example.com"), "a.Example.com"));
        assert!(find(dns("*.example.com"), "a.example.com"));
        assert!(find(Name::Ip([192, 0, 2, 1].into()), "192.0.2.1"));
        for (name, host) in [
            (dns("*.example.com"), "example.com"),
            (dns("*.example.com"), "a.b.example.com"),
            (dns("a*.example.com"), "ab.example.com"),
            (dns("192.0.2.1"), "192.0.2.1"),
            (uri("sip:a.example.com"), "a.example.com"),
            (dns("b.example.com"), "a.example.com"),
        ] {
            assert!(!find(name.clone(), host), "{name} for {host}");
        }
        assert!(names(&[], "a.example.com").find_web(&Reference::new("a.example.com")).is_err());
    }

    #[test]
    fn the_domain_of_a_sip_uri() {
        for (text, domain) in [
            ("sip:example.com", Some("example.com")),
            ("SIP:Example.com;transport=tls", Some("Example.com")),
            ("sip:example.com:5061", Some("example.com")),
            ("sip:[2001:db8::1]:5061", Some("2001:db8::1")),
            ("sip:example.com?x=y", Some("example.com")),
            ("sip:alice@example.com", None),
            ("sip:@example.com", None),
            ("sips:example.com", None),
            ("https://example.com", None),
            ("sip:", None),
            ("", None),
            ("example.com", None),
        ] {
            assert_eq!(uri(text).sip_domain(), domain, "{text}");
        }
    }

    #[test]
    fn which_names_count_and_match() {
        let ip_name = Name::Ip("192.0.2.1".parse().expect("an address"));
        let common = |text: &str| Name::CommonName(text.into());
        type Case = (Vec<Name>, &'static str, &'static str, Result<Name, Mismatch>);
        let cases: Vec<Case> = vec![
            (vec![uri("sip:example.com")], "", "example.com", Ok(uri("sip:example.com"))),
            (vec![uri("sip:EXAMPLE.com")], "", "example.COM.", Ok(uri("sip:EXAMPLE.com"))),
            (
                vec![uri("sip:other.test"), dns("example.com")],
                "",
                "example.com",
                Err(Mismatch::BesideUri(dns("example.com"))),
            ),
            (
                vec![uri("sip:alice@example.com"), dns("example.com")],
                "",
                "example.com",
                Ok(dns("example.com")),
            ),
            (vec![uri("sip:alice@example.com")], "", "example.com", Err(Mismatch::Nameless)),
            (vec![uri("sips:example.com")], "", "example.com", Err(Mismatch::Nameless)),
            (vec![uri("sip:a.test"), uri("sip:b.test")], "", "b.test", Ok(uri("sip:b.test"))),
            (vec![dns("example.com")], "other", "example.com", Ok(dns("example.com"))),
            (vec![dns("sip.example.com")], "", "example.com", Err(Mismatch::Others)),
            (vec![dns("example.com")], "", "sip.example.com", Err(Mismatch::Others)),
            (
                vec![dns("*.example.com")],
                "",
                "sip.example.com",
                Err(Mismatch::Wildcard(dns("*.example.com"))),
            ),
            (vec![dns("*.example.com")], "", "*.example.com", Ok(dns("*.example.com"))),
            (vec![dns("*.example.com")], "", "a.b.example.com", Err(Mismatch::Others)),
            (
                vec![uri("sip:*.example.com")],
                "",
                "sip.example.com",
                Err(Mismatch::Wildcard(uri("sip:*.example.com"))),
            ),
            (vec![dns(".example.com")], "", "sip.example.com", Err(Mismatch::Others)),
            (vec![], "example.com", "example.com", Ok(common("example.com"))),
            (
                vec![dns("a.test")],
                "example.com",
                "example.com",
                Err(Mismatch::BesideAlternative(common("example.com"))),
            ),
            (vec![], "A Company", "example.com", Err(Mismatch::Nameless)),
            (vec![], "", "example.com", Err(Mismatch::Nameless)),
            (vec![ip_name.clone()], "", "192.0.2.1", Ok(ip_name.clone())),
            (vec![dns("192.0.2.1")], "", "192.0.2.1", Err(Mismatch::Others)),
            (vec![uri("sip:192.0.2.1")], "", "192.0.2.1", Ok(uri("sip:192.0.2.1"))),
            (
                vec![uri("sip:example.com"), ip_name.clone()],
                "",
                "192.0.2.1",
                Err(Mismatch::BesideUri(ip_name.clone())),
            ),
            (
                vec![Name::Ip("2001:db8::1".parse().expect("an address"))],
                "",
                "[2001:db8::1]",
                Ok(Name::Ip("2001:db8::1".parse().expect("an address"))),
            ),
            (vec![], "192.0.2.1", "192.0.2.1", Err(Mismatch::Nameless)),
        ];
        for (alternative, common_name, reference, verdict) in cases {
            let names = names(&alternative, common_name);
            assert_eq!(names.find(&Reference::new(reference)), verdict, "{alternative:?} {reference}");
        }
        // A subjectAltName with nothing usable in it still keeps the common name from counting.
        let empty = Names { has_alternative: true, common_name: Some("a.test".into()), ..Names::default() };
        assert_eq!(empty.counting(), []);
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<Name> = (0..20).map(|at| dns(&format!("{at}.test"))).collect();
        assert!(List(&many).to_string().ends_with("DNS 7.test and 12 more"));
        assert_eq!(List(&[]).to_string(), "no names");
    }
}
