//! Session descriptions: read, kept octet for octet, written (RFC 8866), and negotiated (RFC 3264).
//!
//! A [`Session`] owns its text. What the call does not need (`b=`, `k=`, unknown letters, unknown
//! attributes, text that is not UTF-8) is kept as [`Line`]s in the order it came, so that a parsed
//! description writes back as it was read; only line ends become CRLF. Attributes are read on
//! demand ([`attribute`]). [`negotiate`] turns an offer and our capabilities into an answer.
//!
//! It opens no sockets, looks up no names, asks no clock and knows nothing of SIP.

pub mod attribute;
mod capabilities;
pub mod negotiate;
mod parse;
#[cfg(test)]
mod tests;

use std::{
    fmt::{self, Write},
    net::IpAddr,
};

use smallvec::SmallVec;

pub use self::{
    attribute::{Attribute, Direction, OpusParams, RtpMap},
    capabilities::{Capabilities, Codec, LocalOrigin, TelephoneEvent},
    negotiate::{
        AudioStream, Negotiated, Refused, TransportAddress, Unusable, accept_answer, answer, answer_once,
        offer, reoffer, reoffer_with,
    },
    parse::{Limits, ParseError, ParseErrorKind},
};

/// A session description (RFC 8866 §5): `v=0`, who made it, and its media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `o=`
    pub origin: Origin,
    /// `s=`; `None` if the peer left the line out (RFC 8866 §5.3 wants one), which is tolerated.
    pub name: Option<Text>,
    /// All other lines before the first `m=`, in their order.
    pub lines: Vec<Line>,
    /// The `m=` sections. Their order is their identity in offer and answer (RFC 3264 §5).
    pub media: Vec<Media>,
}

impl Session {
    /// Reads a description with the default [`Limits`].
    ///
    /// Tolerated: LF line ends, no line end at the end, empty lines, unknown letters, a missing
    /// `s=` or `t=`, session lines out of order after `o=`. Refused: anything before `v=0` and
    /// `o=`, ports above 65535, RTP payload types above 127, a medium in use without any `c=`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        parse::parse(bytes, &Limits::default())
    }

    /// As [`Session::parse`], with limits of the caller's choice.
    pub fn parse_with(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        parse::parse(bytes, limits)
    }

    /// Appends the description to `out`, each line ended by CRLF.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"v=0\r\n");
        self.origin.write(out);
        if let Some(name) = &self.name {
            write_line(out, b's', &name.0);
        }
        self.lines.iter().for_each(|line| line.write(out));
        self.media.iter().for_each(|media| media.write(out));
    }

    /// The description as octets, ready to be a body of type `application/sdp`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write(&mut out);
        out
    }

    /// Where this medium is received: its own first `c=`, else the session's.
    pub fn connection(&self, media: &Media) -> Option<Connection> {
        connection_in(&media.lines).or_else(|| connection_in(&self.lines))
    }

    /// The direction of a medium as its owner sees it: its own attribute, else the session's, else
    /// `sendrecv` (RFC 8866 §6.7).
    pub fn direction(&self, media: &Media) -> Direction {
        let find = |lines| attributes_in(lines).find_map(|a| Direction::parse(a.name));
        find(&media.lines).or_else(|| find(&self.lines)).unwrap_or_default()
    }

    /// The session-level attributes that are text.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        attributes_in(&self.lines)
    }
}

/// Text form; octets that are not UTF-8 appear as U+FFFD. For the wire use [`Session::to_bytes`].
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// One `m=` section (RFC 8866 §5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `application` …
    pub kind: String,
    pub port: Port,
    /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF` …; empty if the line ended before it.
    pub proto: String,
    /// Payload types for RTP, whatever the protocol says for others.
    pub formats: Vec<String>,
    /// The lines of the section after `m=`, in their order.
    pub lines: Vec<Line>,
}

impl Media {
    /// The attributes of this section that are text.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        attributes_in(&self.lines)
    }

    /// The first attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.attributes().find(|a| a.name == name)
    }

    /// RTP payload types in order of preference; formats that are none are left out.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|f| f.parse().ok()).filter(|pt| *pt < 128)
    }

    /// Whether the protocol carries RTP, secured or not (RFC 8866 §8.2.2 and its registry).
    pub fn is_rtp(&self) -> bool {
        is_rtp(&self.proto)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"m=");
        out.extend_from_slice(self.kind.as_bytes());
        let port = Text::of(format_args!("{}", self.port));
        let rest = [self.proto.as_bytes()].into_iter().chain(self.formats.iter().map(String::as_bytes));
        for field in [port.as_bytes()].into_iter().chain(rest).filter(|field| !field.is_empty()) {
            out.push(b' ');
            out.extend_from_slice(field);
        }
        out.extend_from_slice(b"\r\n");
        self.lines.iter().for_each(|line| line.write(out));
    }
}

/// The port of an `m=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// `4000`; 0 means refused or ended (RFC 3264 §6).
    Number(u16),
    /// `4000/2`: consecutive ports for hierarchical encodings.
    Range { first: u16, count: u32 },
    /// With a `$`: left to the other side (RFC 3108). Empty if the line ended before it. Not usable.
    Open(String),
}

impl Port {
    /// The (first) port, if it is a number.
    pub const fn number(&self) -> Option<u16> {
        match self {
            Self::Number(port) | Self::Range { first: port, .. } => Some(*port),
            Self::Open(_) => None,
        }
    }

    /// Whether the medium is refused or ended.
    pub fn is_zero(&self) -> bool {
        self.number() == Some(0)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(port) => write!(f, "{port}"),
            Self::Range { first, count } => write!(f, "{first}/{count}"),
            Self::Open(text) => f.write_str(text),
        }
    }
}

/// `o=` (RFC 8866 §5.2). The numbers stay text: they may exceed 64 bits.
///
/// A line that does not have six fields is kept whole in `username`, the rest empty: nothing in a
/// call depends on a peer's origin but whether it is the same as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub username: Text,
    pub session_id: String,
    pub version: String,
    pub net_type: String,
    pub address_type: String,
    pub address: String,
}

impl Origin {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"o=");
        out.extend_from_slice(&self.username.0);
        let rest = [&self.session_id, &self.version, &self.net_type, &self.address_type, &self.address];
        for field in rest.into_iter().filter(|field| !field.is_empty()) {
            out.push(b' ');
            out.extend_from_slice(field.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// `c=` (RFC 8866 §5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `IN` as a rule.
    pub net_type: String,
    /// `IP4` or `IP6` as a rule.
    pub address_type: String,
    /// An IP address or a host name, with `/ttl/count` if multicast.
    pub address: String,
}

impl Connection {
    /// Reads the value of a `c=` line.
    pub fn parse(value: &str) -> Option<Self> {
        let [net_type, address_type, address] = Self::fields(value)?.map(str::to_owned);
        Some(Self { net_type, address_type, address })
    }

    fn fields(value: &str) -> Option<[&str; 3]> {
        let mut fields = value.split(' ').filter(|field| !field.is_empty());
        let three = [fields.next()?, fields.next()?, fields.next()?];
        fields.next().is_none().then_some(three)
    }

    /// The address without multicast scope.
    pub fn host(&self) -> &str {
        self.address.split('/').next().unwrap_or_default()
    }

    /// The address, unless it is a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// `0.0.0.0` or `::`: nothing may be sent, the hold of RFC 2543 (RFC 3264 §8.4).
    pub fn is_unspecified(&self) -> bool {
        self.address().is_some_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.net_type, self.address_type, self.address)
    }
}

/// Any other line: a letter and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    kind: u8,
    value: Text,
}

impl Line {
    /// `kind` is an ASCII letter other than `v`, `o`, `s`, `m`, which have places of their own.
    pub fn new(kind: char, value: &str) -> Self {
        Self::of(kind, format_args!("{value}"))
    }

    fn of(kind: char, value: fmt::Arguments<'_>) -> Self {
        debug_assert!(kind.is_ascii_alphabetic() && !"vosm".contains(kind), "{kind}= is no plain line");
        Self { kind: kind as u8, value: Text::of(value) }
    }

    /// `a=name` or `a=name:value`.
    pub fn attribute(name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => Self::of('a', format_args!("{name}:{value}")),
            None => Self::new('a', name),
        }
    }

    pub const fn kind(&self) -> char {
        self.kind as char
    }

    pub const fn value(&self) -> &Text {
        &self.value
    }

    /// This line as an attribute, if it is one and is text.
    pub fn as_attribute(&self) -> Option<Attribute<'_>> {
        (self.kind == b'a').then(|| self.value.as_str().map(Attribute::of)).flatten()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_line(out, self.kind, &self.value.0);
    }
}

/// The octets of a value: UTF-8 as a rule, anything but NUL, CR and LF in fact (RFC 8866 §9).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(SmallVec<[u8; 24]>);

impl Text {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Of octets that may stand in a line.
    fn read(octets: &[u8]) -> Self {
        Self(SmallVec::from_slice(octets))
    }

    fn of(text: fmt::Arguments<'_>) -> Self {
        let mut written = Self::default();
        // It has room for everything.
        let _ = written.write_fmt(text);
        written
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::of(format_args!("{text}"))
    }
}

/// Octets that would end the line are dropped: a value never smuggles in a line of its own.
impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_out = |byte: &u8| matches!(byte, 0 | b'\r' | b'\n');
        if text.as_bytes().iter().any(is_out) {
            self.0.extend(text.bytes().filter(|byte| !is_out(byte)));
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

fn write_line(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.extend_from_slice(&[kind, b'=']);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn connection_in(lines: &[Line]) -> Option<Connection> {
    lines.iter().filter(|line| line.kind == b'c').find_map(|line| Connection::parse(line.value.as_str()?))
}

fn attributes_in(lines: &[Line]) -> impl Iterator<Item = Attribute<'_>> {
    lines.iter().filter_map(Line::as_attribute)
}

fn is_rtp(proto: &str) -> bool {
    proto.split('/').any(|part| part.eq_ignore_ascii_case("RTP"))
}

fn address_type(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}
