//! HTTP URLs as far as XCAP has them (RFC 3986, RFC 9110 §4.2): scheme, host, port, path and query. No user, no
//! fragment.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// `http` or `https`, a host, perhaps a port, and what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    secure: bool,
    /// Lower case; an IPv6 address without brackets.
    host: String,
    port: Option<u16>,
    /// Begins with a slash; the query too if there is one.
    target: String,
}

impl Url {
    /// Whether the scheme is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, by default that of the scheme.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// Path and query, as the request line has them.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the field Host has them (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The same place with more path behind it; both are encoded already.
    pub(super) fn below(&self, path: &str) -> Self {
        Self { target: format!("{}/{path}", self.target.trim_end_matches('/')), ..self.clone() }
    }

    /// Where a field Location leads (RFC 9110 §10.2.2): a URL, or a path from here.
    pub(super) fn resolve(&self, location: &str) -> Result<Self, UrlError> {
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with("//") {
            let scheme = if self.secure { "https" } else { "http" };
            return format!("{scheme}:{location}").parse();
        }
        if location.starts_with('/') {
            check_target(location)?;
            return Ok(Self { target: location.to_owned(), ..self.clone() });
        }
        location.parse()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > LONGEST {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let secure = match scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => true,
            scheme if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (address, port) = literal.split_once(']').ok_or(UrlError::Host)?;
                address.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
                (address, port)
            }
            None => match authority.find(':') {
                Some(at) => authority.split_at_checked(at).ok_or(UrlError::Host)?,
                None => (authority, ""),
            },
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        if host.is_empty() || host.len() > 255 || !host.bytes().all(is_host) {
            return Err(UrlError::Host);
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?)
            }
            _ => return Err(UrlError::Port),
        };
        check_target(target)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { secure, host: host.to_ascii_lowercase(), port, target })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "https" } else { "http" }, self.authority(), self.target)
    }
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither http nor https.
    #[error("it must begin with http:// or https://")]
    Scheme,
    /// No host, or none that could be one.
    #[error("there is no host in it")]
    Host,
    /// Not 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// `user@`.
    #[error("a user name or password has no place in it")]
    User,
    /// `#`.
    #[error("a fragment (#) has no place in it")]
    Fragment,
    /// A query in a root (RFC 4825 §6.1).
    #[error("an XCAP root has no query (?)")]
    Query,
    /// A character that must be percent-encoded.
    #[error("the character {0:?} must be percent-encoded")]
    Character(char),
    /// Of more than 8192 octets.
    #[error("it is too long")]
    TooLong,
}

fn check_target(target: &str) -> Result<(), UrlError> {
    let wrong = |character: &char| {
        !(character.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%".contains(*character))
    };
    match target.chars().find(wrong) {
        _ if target.len() > LONGEST => Err(UrlError::TooLong),
        Some(character) => Err(UrlError::Character(character)),
        None => Ok(()),
    }
}

/// Percent-encodes what is no `pchar` (RFC 3986 §3.3), the slash included.
pub(super) fn encode_segment(text: &str) -> String {
    encode(text, b"-._~!$&'()*+,;=:@")
}

/// Percent-encodes what may not stand in a query (RFC 3986 §3.4).
pub(super) fn encode_query(text: &str) -> String {
    encode(text, b"-._~!$&'()*+,;=:@/?")
}

fn encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

const LONGEST: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, secure, host, port, target, authority) in [
            ("http://xcap.example.com", false, "xcap.example.com", 80, "/", "xcap.example.com"),
            (
                "HTTPS://Example.com:8443/xcap-root/",
                true,
                "example.com",
                8443,
                "/xcap-root/",
                "example.com:8443",
            ),
            ("http://[::1]:80/a?b", false, "::1", 80, "/a?b", "[::1]:80"),
            ("https://a?b", true, "a", 443, "/?b", "a"),
        ] {
            let url: Url = text.parse().expect(text);
            let parts = (url.is_secure(), url.host(), url.port(), url.target(), url.authority());
            assert_eq!(parts, (secure, host, port, target, authority.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, why) in [
            ("xcap.example.com", UrlError::Scheme),
            ("ftp://a/", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///a", UrlError::Host),
            ("http://a b/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://a:0/", UrlError::Port),
            ("http://a:70000/", UrlError::Port),
            ("http://a:x/", UrlError::Port),
            ("http://a:pw@b/", UrlError::User),
            ("http://a/#b", UrlError::Fragment),
            ("http://a/ b", UrlError::Character(' ')),
            ("http://a/\r\nX: y", UrlError::Character('\r')),
            ("http://a/ü", UrlError::Character('ü')),
        ] {
            assert_eq!(text.parse::<Url>(), Err(why), "{text}");
        }
    }

    #[test]
    fn locations_lead_on() {
        let here: Url = "https://a.example:444/root/x?y".parse().expect("a URL");
        for (location, there) in [
            ("/z?q#f", "https://a.example:444/z?q"),
            ("//b.example/z", "https://b.example/z"),
            ("http://b.example/z", "http://b.example/z"),
        ] {
            assert_eq!(here.resolve(location).map(|url| url.to_string()), Ok(there.to_owned()));
        }
        assert!(here.resolve("z").is_err());
    }
}
