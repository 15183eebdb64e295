//! URIs: sip, sips (RFC 3261 §19.1), tel (RFC 3966), and any other scheme as opaque text.
//!
//! Escapes stay as written; [`Uri::user_decoded`] and [`Uri::equivalent`] undo them where the RFC does.
//! White space, controls, quotes and angle brackets are refused; a visible character that the grammar
//! would have escaped ("#" in a dialled number) is not, because phones send it.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use super::{
    Host, Params, UriError,
    escape::{self, eq_unescaped},
    host::read_port,
    scan::Cursor,
};

/// What kind of URI it is; the name of another scheme is [`Uri::scheme_name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

/// A checked URI that lies in a message or another string.
#[derive(Clone, Copy)]
pub struct Uri<'m> {
    text: &'m str,
    parts: Parts,
}

impl<'m> Uri<'m> {
    /// Checks a URI, which must be the whole text.
    pub fn parse(text: &'m str) -> Result<Self, UriError> {
        Ok(Self { text, parts: Parts::of(text)? })
    }

    /// As written.
    pub fn as_str(&self) -> &'m str {
        self.text
    }

    /// The scheme, in any case.
    pub fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// The scheme as written, without the colon.
    pub fn scheme_name(&self) -> &'m str {
        self.slice(0, self.parts.colon)
    }

    /// sip or sips, the schemes with a host.
    pub fn is_sip(&self) -> bool {
        matches!(self.parts.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// Everything after the scheme's colon.
    pub fn opaque(&self) -> &'m str {
        self.slice(self.parts.colon + 1, u16::MAX)
    }

    /// The user part as written, without the password; the subscriber of a tel URI.
    pub fn user(&self) -> Option<&'m str> {
        match self.parts.user {
            Some((start, end)) => Some(self.slice(start, end)),
            None => None,
        }
    }

    /// The user part with its escapes undone, once; it may hold any octets.
    pub fn user_decoded(&self) -> Option<Cow<'m, [u8]>> {
        self.user().map(escape::unescape)
    }

    /// The password as written; using one is not recommended (RFC 3261 §19.1.1).
    pub fn password(&self) -> Option<&'m str> {
        match self.parts.password {
            Some((start, end)) => Some(self.slice(start, end)),
            None => None,
        }
    }

    /// The host of a sip or sips URI; an empty name for others.
    pub fn host(&self) -> Host<'m> {
        match self.parts.address {
            Some(IpAddr::V4(address)) => Host::V4(address),
            Some(IpAddr::V6(address)) => Host::V6(address),
            None => Host::Name(self.slice(self.parts.host.0, self.parts.host.1)),
        }
    }

    /// The port if one is written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The URI parameters.
    pub fn params(&self) -> Params<'m> {
        Params::in_uri(self.slice(self.parts.params.0, self.parts.params.1))
    }

    /// The header fields after "?", name and value as written.
    pub fn headers(&self) -> impl Iterator<Item = (&'m str, &'m str)> + use<'m> {
        self.header_text()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// The URI without its header fields, as a Request-URI must be (RFC 3261 §19.1.5).
    pub fn without_headers(&self) -> &'m str {
        match self.parts.headers {
            Some(start) => self.slice(0, start - 1),
            None => self.text,
        }
    }

    /// Whether both name the same resource by RFC 3261 §19.1.4. A port that is left out differs from one
    /// that is written, even if it is the default. URIs of other schemes are compared as text, and so are
    /// those with so many parameters or header fields that comparing each with each would take long.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if !self.scheme_name().eq_ignore_ascii_case(other.scheme_name()) {
            return false;
        }
        if self.is_crowded() || other.is_crowded() {
            return self.text == other.text;
        }
        if !self.is_sip() {
            let ignore_case = self.parts.scheme == Scheme::Tel;
            return eq_unescaped(self.opaque().as_bytes(), other.opaque().as_bytes(), ignore_case);
        }
        let same = |left: Option<&str>, right: Option<&str>| match (left, right) {
            (Some(left), Some(right)) => eq_unescaped(left.as_bytes(), right.as_bytes(), false),
            (left, right) => left.is_none() && right.is_none(),
        };
        same(self.user(), other.user())
            && same(self.password(), other.password())
            && self.host() == other.host()
            && self.port() == other.port()
            && params_cover(self.params(), other.params())
            && params_cover(other.params(), self.params())
            && headers_cover(self, other)
            && headers_cover(other, self)
    }

    fn is_crowded(&self) -> bool {
        self.params().iter().nth(CROWD).is_some() || self.headers().nth(CROWD).is_some()
    }

    fn header_text(&self) -> &'m str {
        self.parts.headers.map_or("", |start| self.slice(start, u16::MAX))
    }

    /// Text between two positions; they come from `Parts::of`, an ASCII delimiter at each end.
    fn slice(&self, start: u16, end: u16) -> &'m str {
        let end = usize::from(end).min(self.text.len());
        self.text.get(usize::from(start)..end).unwrap_or_default()
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.text)
    }
}

/// The same text; [`Uri::equivalent`] is the comparison of the RFC.
impl PartialEq for Uri<'_> {
    fn eq(&self, other: &Uri<'_>) -> bool {
        self.text == other.text
    }
}

impl Eq for Uri<'_> {}

/// A URI of its own, for what outlives the message.
#[derive(Clone)]
pub struct UriBuf {
    text: Box<str>,
    parts: Parts,
}

impl UriBuf {
    /// Checks and keeps a URI.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        Ok(Uri::parse(text)?.into())
    }

    /// `scheme:user@host:port`; the user is escaped as needed. The scheme `Other` is refused.
    pub fn new(
        scheme: Scheme,
        user: Option<&str>,
        host: Host<'_>,
        port: Option<u16>,
    ) -> Result<Self, UriError> {
        let name = match scheme {
            Scheme::Sip => "sip:",
            Scheme::Sips => "sips:",
            Scheme::Tel => return Self::parse(&format!("tel:{}", user.unwrap_or_default())),
            Scheme::Other => return Err(UriError::Scheme),
        };
        let mut text = String::from(name);
        if let Some(user) = user {
            text.push_str(&escape_user(user));
            text.push('@');
        }
        text.push_str(&host.to_string());
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        Self::parse(&text)
    }

    /// The same URI with one more parameter, before its header fields if it has any.
    pub fn with_param(&self, name: &str, value: Option<&str>) -> Result<Self, UriError> {
        let uri = self.as_uri();
        let (front, headers) = self.text.split_at(uri.without_headers().len());
        match value {
            Some(value) => Self::parse(&format!("{front};{name}={value}{headers}")),
            None => Self::parse(&format!("{front};{name}{headers}")),
        }
    }

    /// The view.
    pub fn as_uri(&self) -> Uri<'_> {
        Uri { text: &self.text, parts: self.parts }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<Uri<'_>> for UriBuf {
    fn from(uri: Uri<'_>) -> Self {
        Self { text: uri.text.into(), parts: uri.parts }
    }
}

impl FromStr for UriBuf {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

impl fmt::Display for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_uri().fmt(f)
    }
}

/// The same text, as for [`Uri`].
impl PartialEq for UriBuf {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for UriBuf {}

impl std::hash::Hash for UriBuf {
    fn hash<S: std::hash::Hasher>(&self, state: &mut S) {
        self.text.hash(state);
    }
}

/// Where the parts of a URI lie: what both `Uri` and `UriBuf` keep beside the text.
#[derive(Clone, Copy)]
struct Parts {
    scheme: Scheme,
    colon: u16,
    user: Option<(u16, u16)>,
    password: Option<(u16, u16)>,
    host: (u16, u16),
    /// The host, if it is an address.
    address: Option<IpAddr>,
    port: Option<u16>,
    params: (u16, u16),
    /// After the "?".
    headers: Option<u16>,
}

impl Parts {
    fn of(text: &str) -> Result<Self, UriError> {
        let bytes = text.as_bytes();
        let end = u16::try_from(bytes.len()).map_err(|_| UriError::TooLong)?;
        let length = bytes.iter().position(|&byte| byte == b':').ok_or(UriError::Scheme)?;
        let scheme = scheme(&bytes[..length])?;
        if bytes.iter().any(|&byte| byte <= b' ' || matches!(byte, 0x7F | b'<' | b'>' | b'"')) {
            return Err(UriError::Character);
        }
        let colon = place(length);
        let rest = colon + 1;
        if rest == end {
            return Err(UriError::Empty);
        }
        let mut parts = Self {
            scheme,
            colon,
            user: None,
            password: None,
            host: (end, end),
            address: None,
            port: None,
            params: (end, end),
            headers: None,
        };
        if scheme == Scheme::Other {
            return Ok(parts);
        }
        if !escape::is_escaped_well(bytes) {
            return Err(UriError::Escape);
        }
        if scheme == Scheme::Tel {
            let number = find(bytes, rest, b";").unwrap_or(end);
            if number == rest {
                return Err(UriError::User);
            }
            parts.user = Some((rest, number));
            parts.params = (number, end);
        } else {
            parts.read_sip(bytes, rest, end)?;
        }
        let (start, stop) = parts.params;
        let mut cursor = Cursor::new(&bytes[usize::from(start)..usize::from(stop)]);
        Params::read(&mut cursor).and_then(|_| cursor.finish()).map_err(|_| UriError::Parameter)?;
        Ok(parts)
    }

    /// `[userinfo@]host[:port][;params][?headers]`. The user part may hold ";" and "?", so "@" is what
    /// counts; a URI has at most one that is not escaped.
    fn read_sip(&mut self, bytes: &[u8], start: u16, end: u16) -> Result<(), UriError> {
        let mut host = start;
        if let Some(at) = find(bytes, start, b"@") {
            let colon = find(&bytes[..usize::from(at)], start, b":");
            let user_end = colon.unwrap_or(at);
            if user_end == start {
                return Err(UriError::User);
            }
            self.user = Some((start, user_end));
            self.password = colon.map(|colon| (colon + 1, at));
            host = at + 1;
        }
        let mut cursor = Cursor::within(&bytes[usize::from(host)..], usize::from(host));
        let read = Host::read(&mut cursor).map_err(|_| UriError::Host)?;
        self.address = read.ip();
        self.host = (host, place(cursor.position()));
        if cursor.eat(b':') {
            self.port = Some(read_port(&mut cursor).map_err(|_| UriError::Port)?);
        }
        let params = place(cursor.position());
        let question = find(bytes, params, b"?");
        self.headers = question.map(|at| at + 1);
        self.params = (params, question.unwrap_or(end));
        match cursor.peek() {
            None | Some(b';' | b'?') => Ok(()),
            Some(b':') => Err(UriError::Port),
            Some(_) => Err(UriError::Host),
        }
    }
}

fn scheme(name: &[u8]) -> Result<Scheme, UriError> {
    let first = name.first().ok_or(UriError::Scheme)?;
    let rest = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    if !first.is_ascii_alphabetic() || !name.iter().all(rest) {
        return Err(UriError::Scheme);
    }
    let known = [(&b"sip"[..], Scheme::Sip), (b"sips", Scheme::Sips), (b"tel", Scheme::Tel)];
    let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    Ok(found.map_or(Scheme::Other, |&(_, scheme)| scheme))
}

/// A position in a text that is known to be no longer than 65535 octets.
fn place(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

fn find(bytes: &[u8], start: u16, any: &[u8]) -> Option<u16> {
    let tail = bytes.get(usize::from(start)..)?;
    tail.iter().position(|byte| any.contains(byte)).map(|at| start + place(at))
}

/// Escapes what the user part may not hold (RFC 3261 §25.1 user-unreserved) and keeps the rest readable.
fn escape_user(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for character in user.chars() {
        if character.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(character) {
            escaped.push(character);
        } else {
            escaped.push_str(&escape::escape(character.encode_utf8(&mut [0; 4]).as_bytes()));
        }
    }
    escaped
}

/// More than anybody writes by hand; few enough to compare each with each.
const CROWD: usize = 64;

/// Parameters that decide even if only one side has them (RFC 3261 §19.1.4).
const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// Each parameter of `left` is equal in `right`, or there missing and of no consequence.
fn params_cover(left: Params<'_>, right: Params<'_>) -> bool {
    left.iter().all(|(name, value)| {
        let plain = escape::unescape(name);
        let plain = std::str::from_utf8(&plain).unwrap_or(name);
        match (right.get(plain), value) {
            (None, _) => !DECISIVE.iter().any(|decisive| decisive.eq_ignore_ascii_case(plain)),
            (Some(None), None) => true,
            (Some(Some(there)), Some(here)) => eq_unescaped(here.as_bytes(), there.as_bytes(), true),
            _ => false,
        }
    })
}

/// Each header field of `left` is in `right` with the same value.
fn headers_cover(left: &Uri<'_>, right: &Uri<'_>) -> bool {
    left.headers().all(|(name, value)| {
        right.headers().any(|(other, there)| {
            eq_unescaped(name.as_bytes(), other.as_bytes(), true)
                && eq_unescaped(value.as_bytes(), there.as_bytes(), false)
        })
    })
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
