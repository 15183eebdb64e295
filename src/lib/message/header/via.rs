//! Via: the way back (RFC 3261 §20.42, rport of RFC 3581).
//!
//! Protocol name and version are read but not judged: a request of another version is answered 505 by
//! way of its Via (RFC 4475 §3.1.2.16).

use std::{fmt, net::IpAddr};

use super::{Form, Header};
use crate::message::{
    Cursor, HeaderId, Host, Malformed, Params, Span,
    block::Walk,
    host::{self, plain_port, read_port},
};

/// One Via value. As a type parameter it names the header field.
#[derive(Debug, Clone, Copy)]
pub struct Via<'m> {
    /// The version of the protocol, "2.0".
    pub version: &'m str,
    /// As written: UDP, TCP, TLS, WS, … in any case.
    pub transport: &'m str,
    /// The host of sent-by.
    pub host: Host<'m>,
    /// The port of sent-by, if written.
    pub port: Option<u16>,
    /// branch, received, rport and others.
    pub params: Params<'m>,
    /// Where this value lies in the message.
    pub span: Span,
}

/// What the parameters of a Via say of the way back, found in one pass. Of a name that stands twice the first counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks<'m> {
    /// The transaction, as its client named it.
    pub branch: Option<&'m str>,
    /// The source that a server noted, as written; `Some(None)` without a value.
    pub received: Option<Option<&'m str>>,
    /// The same of the source port.
    pub rport: Option<Option<&'m str>>,
    /// The same of where responses go instead of sent-by.
    pub maddr: Option<Option<&'m str>>,
}

impl<'m> Marks<'m> {
    /// As [`Via::has_magic_cookie`].
    pub fn has_magic_cookie(&self) -> bool {
        self.branch.is_some_and(is_magic)
    }

    /// As [`Via::received`].
    pub fn received(&self) -> Option<IpAddr> {
        Host::parse(self.received??)?.ip()
    }

    /// As [`Via::rport`].
    pub fn rport(&self) -> Option<Option<u16>> {
        Some(self.rport?.and_then(|port| port.parse().ok()))
    }

    /// As [`Via::maddr`].
    pub fn maddr(&self) -> Option<Host<'m>> {
        Host::parse(self.maddr??)
    }
}

impl<'m> Via<'m> {
    /// What several parameters say that are needed together.
    pub fn marks(&self) -> Marks<'m> {
        let mut marks = Marks::default();
        for (name, value) in self.params.iter() {
            let is = |wanted| name.eq_ignore_ascii_case(wanted);
            match name.len() {
                6 if is("branch") => marks.branch = marks.branch.or(value),
                8 if is("received") => marks.received = marks.received.or(Some(value)),
                5 if is("rport") => marks.rport = marks.rport.or(Some(value)),
                5 if is("maddr") => marks.maddr = marks.maddr.or(Some(value)),
                _ => {}
            }
        }
        marks
    }

    /// The transaction, as its client named it.
    pub fn branch(&self) -> Option<&'m str> {
        self.params.value("branch")
    }

    /// Whether the branch is one of RFC 3261 (§8.1.1.7): the magic cookie, in any case, and more.
    pub fn has_magic_cookie(&self) -> bool {
        self.branch().is_some_and(is_magic)
    }

    /// The source address a server noted; an IPv6 address may be in brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        Host::parse(self.params.value("received")?)?.ip()
    }

    /// `Some(None)` is the empty parameter of a client that asks for the port (RFC 3581 §3).
    pub fn rport(&self) -> Option<Option<u16>> {
        Some(self.params.get("rport")?.and_then(|port| port.parse().ok()))
    }

    /// Where responses go instead of sent-by.
    pub fn maddr(&self) -> Option<Host<'m>> {
        Host::parse(self.params.value("maddr")?)
    }

    /// The time to live of a multicast packet.
    pub fn ttl(&self) -> Option<u8> {
        self.params.value("ttl")?.parse().ok()
    }
}

impl Header for Via<'_> {
    const ID: HeaderId = HeaderId::Via;
    const FORM: Form = Form::List;
    const STOPS_AT_COMMA: bool = true;
    type View<'m> = Via<'m>;

    #[inline]
    fn read<'m>(cursor: &mut Cursor<'m>) -> Result<Via<'m>, Malformed> {
        match plain(cursor) {
            Some(via) => {
                cursor.at = via.span.end;
                Ok(via)
            }
            None => any(cursor),
        }
    }

    #[inline(always)]
    fn plain<'m>(cursor: &Cursor<'m>) -> Option<Via<'m>> {
        plain(cursor)
    }

    #[inline(always)]
    fn plain_front<'m>(mut cursor: Cursor<'m>, mut with: impl FnMut(&Via<'m>)) -> Option<usize> {
        loop {
            // It stays where it is read to.
            let via = plain(&cursor);
            let Some(via) = &via else { return Some(cursor.at) };
            let end = via.span.end;
            with(via);
            cursor.at = cursor.after_comma(end)?;
        }
    }
}

/// A Via as nearly all are: one of the usual transports, single spaces, no escapes.
#[inline(never)]
fn plain<'m>(cursor: &Cursor<'m>) -> Option<Via<'m>> {
    let Cursor { octets, mut at, end } = *cursor;
    // One in a list has a space before it.
    at += usize::from(octets.bytes.get(at) == Some(&b' '));
    let start = at;
    let octets = octets.checked(start, end);
    let bytes = octets.bytes;
    let front = bytes.get(start..)?.first_chunk::<12>()?;
    if front.first_chunk() != Some(b"SIP/2.0/") {
        return None;
    }
    let transport = match front.last_chunk().map(|word| u32::from_le_bytes(*word))? {
        UDP => "UDP",
        TCP => "TCP",
        TLS => "TLS",
        _ => return None,
    };
    let mut walk = Walk::new(bytes, start + 12);
    let (host_end, mut byte) = walk.next();
    let host = match host::plain(bytes, start + 12, host_end)? {
        Some(address) => Host::V4(address),
        None => Host::Name(octets.ascii(start + 12, host_end)?.as_str()),
    };
    let mut port = None;
    at = host_end;
    if byte == b':' {
        (at, byte) = walk.next();
        port = Some(plain_port(bytes, host_end + 1, at)?);
    }
    let params = Params::walked(octets, &mut walk, at, byte, end)?;
    let span = Span::new(start, params.end());
    Some(Via { version: "2.0", transport, host, port, params, span })
}

const UDP: u32 = u32::from_le_bytes(*b"UDP ");
const TCP: u32 = u32::from_le_bytes(*b"TCP ");
const TLS: u32 = u32::from_le_bytes(*b"TLS ");

/// Any Via.
#[inline(never)]
fn any<'m>(cursor: &mut Cursor<'m>) -> Result<Via<'m>, Malformed> {
    let start = cursor.position();
    cursor.token()?;
    let version = slash(cursor)?;
    let transport = slash(cursor)?;
    cursor.skip_ws();
    let host = Host::read(cursor)?;
    let port = if cursor.eat_spaced(b':') { Some(read_port(cursor)?) } else { None };
    let params = Params::read(cursor)?;
    Ok(Via { version, transport, host, port, params, span: Span::new(start, cursor.position()) })
}

/// `SLASH token`
fn slash<'m>(cursor: &mut Cursor<'m>) -> Result<&'m str, Malformed> {
    if cursor.eat_spaced(b'/') { cursor.token() } else { Err(Malformed::Token) }
}

fn is_magic(branch: &str) -> bool {
    let front = branch.as_bytes().split_at_checked(COOKIE.len());
    front.is_some_and(|(front, rest)| front.eq_ignore_ascii_case(COOKIE.as_bytes()) && !rest.is_empty())
}

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/{}/{} {}", self.version, self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

const COOKIE: &str = "z9hG4bK";
