//! URIs: sip, sips (RFC 3261 §19.1), tel (RFC 3966), and any other scheme as opaque text.
//!
//! Escapes stay as written; [`Uri::user_decoded`] and [`Uri::equivalent`] undo them where the RFC does.
//! [`Uri::normal`] writes equivalent URIs in one way.
//! White space, controls, quotes and angle brackets are refused; a visible character that the grammar
//! would have escaped ("#" in a dialled number) is not, because phones send it.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use super::{
    Host, Params, UriError,
    block::{self, IN_URI_PARAM, IN_USER, Walk, end_of, is_in_user},
    escape,
    host::{self, read_port},
    params::UriMarks,
    scan::{self, Cursor, Octets, Span, Words},
};

mod compare;

/// What kind of URI it is; the name of another scheme is [`Uri::scheme_name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:` (RFC 3261 §19.1).
    Sip,
    /// `sips:`: TLS on every hop (RFC 3261 §26.2.2, RFC 5630).
    Sips,
    /// `tel:`, a telephone number (RFC 3966).
    Tel,
    /// Any other; [`Uri::opaque`] is what follows it.
    Other,
}

/// A checked URI that lies in a message or another string.
#[derive(Clone, Copy)]
pub struct Uri<'m> {
    text: Words<'m>,
    parts: Parts,
}

impl<'m> Uri<'m> {
    /// Checks a URI, which must be the whole text.
    pub fn parse(text: &'m str) -> Result<Self, UriError> {
        Self::read(text).map_err(|(_, why)| why)
    }

    /// The same with the octet at which it is wrong.
    pub(super) fn read(text: &'m str) -> Result<Self, (usize, UriError)> {
        let parts = match Parts::plain(text.as_bytes(), 0) {
            Some((parts, Walked { at, .. })) if at == text.len() => parts,
            _ => Parts::of(text)?,
        };
        Ok(Self { text: Words::Utf8(text), parts })
    }

    /// The URI that lies there in a message.
    #[inline(never)]
    pub(super) fn within(message: &'m [u8], span: Span) -> Result<Self, UriError> {
        let octets = Octets::new(message).checked(span.start, span.end);
        match Self::plain(octets, span.start) {
            Some((uri, Walked { at, .. })) if at == span.end => Ok(uri),
            _ => Self::parse(octets.text(span.start, span.end).unwrap_or_default()),
        }
    }

    /// The URI that begins at `start`, if it is a sip URI without anything unusual, such as escapes; where it ends
    /// is for the caller to judge.
    #[inline(always)]
    pub(super) fn plain(octets: Octets<'m>, start: usize) -> Option<(Self, Walked<'m>)> {
        let (parts, walked) = Parts::plain(octets.bytes, start)?;
        Some((Self { text: Words::Ascii(octets.ascii(start, walked.at)?), parts }, walked))
    }

    /// As written.
    pub fn as_str(&self) -> &'m str {
        self.text.as_str()
    }

    /// The scheme, in any case.
    pub fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// The scheme as written, without the colon.
    pub fn scheme_name(&self) -> &'m str {
        self.part((0, self.parts.colon))
    }

    /// sip or sips, the schemes with a host.
    pub fn is_sip(&self) -> bool {
        matches!(self.parts.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// Everything after the scheme's colon.
    pub fn opaque(&self) -> &'m str {
        self.as_str().get(usize::from(self.parts.colon) + 1..).unwrap_or_default()
    }

    /// The user part as written, without the password; the subscriber of a tel URI.
    pub fn user(&self) -> Option<&'m str> {
        match self.parts.user {
            Some(place) => Some(self.part(place)),
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
            Some(place) => Some(self.part(place)),
            None => None,
        }
    }

    /// The host of a sip or sips URI; an empty name for others.
    pub fn host(&self) -> Host<'m> {
        match self.parts.address {
            Some(IpAddr::V4(address)) => Host::V4(address),
            Some(IpAddr::V6(address)) => Host::V6(address),
            None => Host::Name(self.part(self.parts.host)),
        }
    }

    /// The port if one is written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The URI parameters.
    #[inline]
    pub fn params(&self) -> Params<'m> {
        if self.parts.params.0 == self.parts.params.1 {
            return Params::NONE;
        }
        Params::in_uri(self.text.words(self.parts.params), self.parts.marks)
    }

    /// The header fields after "?", name and value as written.
    pub fn headers(&self) -> impl Iterator<Item = (&'m str, &'m str)> + use<'m> {
        let start = self.parts.headers.map(usize::from);
        let mut rest = start.and_then(|start| self.as_str().get(start..)).unwrap_or_default();
        // Nearly always there are none.
        std::iter::from_fn(move || if rest.is_empty() { None } else { next_header(&mut rest) })
    }

    /// The URI without its header fields, as a Request-URI must be (RFC 3261 §19.1.5).
    pub fn without_headers(&self) -> &'m str {
        match self.parts.headers {
            Some(start) => self.part((0, start - 1)),
            None => self.as_str(),
        }
    }

    /// Text between two positions; they come from `Parts`, an ASCII delimiter at each end.
    #[inline(always)]
    fn part(&self, place: (u16, u16)) -> &'m str {
        self.text.part(place).unwrap_or_default()
    }
}

/// Takes the next `name=value` of header fields; empty ones between "&" are passed over.
#[cold]
fn next_header<'m>(rest: &mut &'m str) -> Option<(&'m str, &'m str)> {
    loop {
        let (pair, after) = rest.split_once('&').unwrap_or((rest, ""));
        *rest = after;
        if !pair.is_empty() {
            return Some(pair.split_once('=').unwrap_or((pair, "")));
        }
        if after.is_empty() {
            return None;
        }
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.as_str())
    }
}

/// The same text; [`Uri::equivalent`] is the comparison of the RFC.
impl PartialEq for Uri<'_> {
    fn eq(&self, other: &Uri<'_>) -> bool {
        self.as_str() == other.as_str()
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
        Uri { text: Words::Utf8(&self.text), parts: self.parts }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<Uri<'_>> for UriBuf {
    fn from(uri: Uri<'_>) -> Self {
        Self { text: uri.as_str().into(), parts: uri.parts }
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

/// Where a URI ends, with what octet, and the way on from there.
pub(super) struct Walked<'m> {
    pub(super) walk: Walk<'m>,
    pub(super) at: usize,
    pub(super) byte: u8,
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
    marks: UriMarks,
    /// After the "?".
    headers: Option<u16>,
}

/// What is wrong with a URI and at which of its octets.
type Fault = (usize, UriError);

impl Parts {
    /// `sip:[user@]host[:port][;params]` from `start` on, without a password and escapes, and where it ends.
    #[inline(always)]
    fn plain<'m>(bytes: &'m [u8], start: usize) -> Option<(Self, Walked<'m>)> {
        let [s, i, p, b':'] = *bytes.get(start..)?.first_chunk::<4>()? else { return None };
        if [s | 0x20, i | 0x20, p | 0x20] != *b"sip" {
            return None;
        }
        let part = |at: usize| (at - start) as u16;
        let mut walk = Walk::new(bytes, start + 4);
        let (mut at, mut byte) = walk.next();
        if is_in_user(byte) {
            (at, byte) = walk.next_but(IN_USER);
            if byte != b'@' {
                return None;
            }
        }
        let (mut user, mut host) = (None, start + 4);
        if byte == b'@' {
            if at == host {
                return None;
            }
            (user, host) = (Some((4, part(at))), at + 1);
            (at, byte) = walk.next();
        }
        let host_end = at;
        let address = host::plain(bytes, host, host_end)?;
        let mut port = None;
        if byte == b':' {
            (at, byte) = walk.next();
            port = Some(host::plain_port(bytes, host_end + 1, at)?);
        }
        let params = at;
        let mut marks = UriMarks { more: false, ..UriMarks::UNKNOWN };
        while byte == b';' {
            let name = at + 1;
            (at, byte) = walk.next_but(IN_URI_PARAM);
            if at == name {
                return None;
            }
            let place = |start: usize, end: usize| ((start - params) as u16, (end - params) as u16);
            let (name, mut value) = (place(name, at), (0, 0));
            if byte == b'=' {
                let start = at + 1;
                (at, byte) = walk.next_but(IN_URI_PARAM);
                value = place(start, at);
            }
            marks.push(name, value);
        }
        if at - start > usize::from(u16::MAX) {
            return None;
        }
        let parts = Self {
            scheme: Scheme::Sip,
            colon: 3,
            user,
            password: None,
            host: (part(host), part(host_end)),
            address: address.map(IpAddr::V4),
            port,
            params: (part(params), part(at)),
            marks,
            headers: None,
        };
        Some((parts, Walked { walk, at, byte }))
    }

    /// Each octet is looked at once; only a host without a user part before it is looked at twice.
    fn of(text: &str) -> Result<Self, Fault> {
        let bytes = text.as_bytes();
        let end = u16::try_from(bytes.len()).map_err(|_| (usize::from(u16::MAX), UriError::TooLong))?;
        let (scheme, length) = scheme(bytes)?;
        let start = length + 1;
        if start == bytes.len() {
            return Err((start, UriError::Empty));
        }
        let mut parts = Self {
            scheme,
            colon: place(length),
            user: None,
            password: None,
            host: (end, end),
            address: None,
            port: None,
            params: (end, end),
            marks: UriMarks::UNKNOWN,
            headers: None,
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => parts.read_sip(text, start)?,
            Scheme::Tel => {
                let number = plain(bytes, start, |byte| byte == b';')?;
                if number == start {
                    return Err((start, UriError::User));
                }
                parts.user = Some((place(start), place(number)));
                parts.params = (place(number), end);
                let stop = params(bytes, number, true)?;
                if stop < bytes.len() {
                    return Err(fault(bytes, stop, UriError::Parameter));
                }
            }
            Scheme::Other => {
                if let Some(at) = bytes.iter().position(|&byte| URI[usize::from(byte)] & BAD != 0) {
                    return Err((at, UriError::Character));
                }
            }
        }
        Ok(parts)
    }

    /// `[userinfo@]host[:port][;params][?headers]`. The user part may hold ";" and "?", so "@" is what
    /// counts; a URI has at most one that is not escaped.
    fn read_sip(&mut self, text: &str, start: usize) -> Result<(), Fault> {
        let bytes = text.as_bytes();
        let mut host = start;
        // Most user parts hold nothing that a host could not hold, so this is either.
        let word = end_of::<block::Host>(bytes, start);
        match bytes.get(word) {
            Some(b'@') if word > start => {
                self.user = Some((place(start), place(word)));
                host = word + 1;
            }
            None => {}
            Some(_) if memchr::memchr(b'@', &bytes[word..]).is_none() => {}
            Some(_) => host = self.read_user(bytes, start)?,
        }
        let mut cursor = Cursor::within(Octets::new(bytes), Span::new(host, bytes.len()));
        let read = Host::read(&mut cursor).map_err(|_| fault(bytes, cursor.position(), UriError::Host))?;
        self.address = read.ip();
        self.host = (place(host), place(cursor.position()));
        if cursor.eat(b':') {
            let port = cursor.position();
            self.port = Some(read_port(&mut cursor).map_err(|_| fault(bytes, port, UriError::Port))?);
        }
        let at = cursor.position();
        let stop = params(bytes, at, false)?;
        self.params = (place(at), place(stop));
        match bytes.get(stop) {
            None => Ok(()),
            Some(b'?') => {
                self.headers = Some(place(stop + 1));
                plain(bytes, stop + 1, |_| false).map(|_| ())
            }
            Some(_) if stop > at => Err(fault(bytes, stop, UriError::Parameter)),
            Some(b':') => Err((stop, UriError::Port)),
            Some(_) => Err(fault(bytes, stop, UriError::Host)),
        }
    }

    /// The user part with its password, before the first "@"; gives where the host begins.
    fn read_user(&mut self, bytes: &[u8], start: usize) -> Result<usize, Fault> {
        let mut colon = None;
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            if URI[usize::from(byte)] & MARK != 0 {
                match byte {
                    b'@' => {
                        let user_end = colon.unwrap_or(at);
                        if user_end == start {
                            return Err((start, UriError::User));
                        }
                        self.user = Some((place(start), place(user_end)));
                        self.password = colon.map(|colon| (place(colon + 1), place(at)));
                        return Ok(at + 1);
                    }
                    b':' => colon = colon.or(Some(at)),
                    _ => at = escaped(bytes, at)?,
                }
            }
            at += 1;
        }
        Ok(start)
    }
}

/// The scheme and how long its name is.
#[inline]
fn scheme(bytes: &[u8]) -> Result<(Scheme, usize), Fault> {
    match bytes {
        [s, i, p, b':', ..] if [s | 0x20, i | 0x20, p | 0x20] == *b"sip" => return Ok((Scheme::Sip, 3)),
        [s, i, p, t, b':', ..] if [s | 0x20, i | 0x20, p | 0x20, t | 0x20] == *b"sips" => {
            return Ok((Scheme::Sips, 4));
        }
        [t, e, l, b':', ..] if [t | 0x20, e | 0x20, l | 0x20] == *b"tel" => return Ok((Scheme::Tel, 3)),
        _ => {}
    }
    let rest = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    match bytes.iter().position(|byte| !rest(byte)) {
        Some(at) if bytes[at] == b':' && bytes[0].is_ascii_alphabetic() => Ok((Scheme::Other, at)),
        _ => Err((0, UriError::Scheme)),
    }
}

/// Passes over `;name[=value]` and gives where they end: at the end, at what is wrong, or at "?"; that is
/// part of a value in a tel URI, which has no header fields.
fn params(bytes: &[u8], mut at: usize, tel: bool) -> Result<usize, Fault> {
    while bytes.get(at) == Some(&b';') {
        let name = at + 1;
        at = name;
        loop {
            at += scan::length_while(&bytes[at..], |byte| URI[usize::from(byte)] & PARAM != 0);
            match bytes.get(at) {
                Some(b'%') => at = escaped(bytes, at)? + 1,
                Some(b'=') if at > name => at += 1,
                Some(b'?') if tel && at > name => at += 1,
                _ => break,
            }
        }
        if at == name {
            return Err(fault(bytes, at, UriError::Parameter));
        }
    }
    Ok(at)
}

/// Passes over octets that may stand in a URI, until one that ends them.
fn plain(bytes: &[u8], mut at: usize, end: impl Fn(u8) -> bool) -> Result<usize, Fault> {
    while let Some(&byte) = bytes.get(at) {
        let class = URI[usize::from(byte)];
        if end(byte) {
            break;
        }
        if class & BAD != 0 || byte == b'%' {
            at = escaped(bytes, at)?;
        }
        at += 1;
    }
    Ok(at)
}

/// The last octet of the escape that begins here; anything else is no character of a URI.
fn escaped(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    match bytes.get(at..at + 3) {
        Some([b'%', high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Ok(at + 2),
        _ => Err(fault(bytes, at, UriError::Escape)),
    }
}

/// An octet that no URI may hold is the plainer reason.
fn fault(bytes: &[u8], at: usize, why: UriError) -> Fault {
    match bytes.get(at) {
        Some(&byte) if URI[usize::from(byte)] & BAD != 0 => (at, UriError::Character),
        _ => (at, why),
    }
}

/// A position in a text that is known to be no longer than 65535 octets.
fn place(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// What must be looked at in a user part: "@", ":", "%" and what must not be there.
const MARK: u8 = 1;
/// White space, controls, quotes, angle brackets.
const BAD: u8 = 2;
/// What a parameter may hold besides "=" and escapes.
const PARAM: u8 = 4;

static URI: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            0..=b' ' | 0x7F | b'<' | b'>' | b'"' => BAD | MARK,
            b'%' => MARK,
            b'@' | b':' => MARK | PARAM,
            b';' | b'=' | b'?' | b',' => 0,
            b'!'..=b'~' => PARAM,
            _ => 0,
        };
        byte += 1;
    }
    table
};

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

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
