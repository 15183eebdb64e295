//! Reads a session description (RFC 8866 §5 and §9), line by line, in one pass.
//!
//! Strict where a call would go wrong (start, addresses, ports, payload types), tolerant where it
//! would not. Values are only checked, not interpreted: their octets go into the [`Session`] as
//! they are. The work is linear in the input and what is kept is no larger than it.

use super::{Connection, Line, Media, Origin, Port, Session, Text, is_rtp};

/// What a description may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of the whole description.
    pub bytes: usize,
    /// Lines, empty ones included.
    pub lines: usize,
    /// `m=` sections.
    pub media: usize,
    /// Formats of one `m=` line; RTP knows 128.
    pub formats: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 65_535, lines: 2_000, media: 64, formats: 128 }
    }
}

/// What is wrong with a description, and where; both counts start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SDP line {line}, column {column}: {kind}")]
pub struct ParseError {
    pub line: usize,
    /// In octets.
    pub column: usize,
    pub kind: ParseErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    #[error("the description is empty")]
    Empty,
    #[error("longer than {0} octets")]
    TooLong(usize),
    #[error("more than {0} lines")]
    TooManyLines(usize),
    #[error("more than {0} media sections")]
    TooManyMedia(usize),
    #[error("more than {0} formats")]
    TooManyFormats(usize),
    #[error("not of the form letter=value")]
    NotALine,
    #[error("octet {0:#04x} is not allowed in a value")]
    Control(u8),
    #[error("{0}= is expected here")]
    Expected(char),
    #[error("only version 0 is known")]
    Version,
    #[error("{0}= is there twice")]
    Twice(char),
    #[error("c= needs network type, address type and address")]
    Connection,
    #[error("m= needs a media type")]
    Media,
    #[error("the port is no number from 0 to 65535")]
    Port,
    #[error("the port count is no number")]
    PortCount,
    #[error("an RTP payload type is a number from 0 to 127")]
    PayloadType,
    #[error("no c= gives the address of this medium")]
    NoConnection,
}

pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Session, ParseError> {
    if bytes.len() > limits.bytes {
        return Err(ParseError { line: 1, column: 1, kind: ParseErrorKind::TooLong(limits.bytes) });
    }
    let mut reader = Reader { rest: bytes, number: 0, limit: limits.lines };

    let Some(first) = reader.next()? else {
        return Err(ParseError { line: 1, column: 1, kind: ParseErrorKind::Empty });
    };
    first.expect(b'v')?;
    // The grammar allows more digits; all of them are zero in version 0.
    if first.value.is_empty() || first.value.iter().any(|b| *b != b'0') {
        return Err(first.error(0, ParseErrorKind::Version));
    }
    let second = reader.next()?.ok_or_else(|| reader.end(ParseErrorKind::Expected('o')))?;
    second.expect(b'o')?;

    let mut session =
        Session { origin: origin(second.value), name: None, lines: Vec::new(), media: Vec::new() };
    let mut places = Vec::new();
    while let Some(raw) = reader.next()? {
        match raw.kind {
            b'v' | b'o' => return Err(raw.error_at_start(ParseErrorKind::Twice(raw.kind as char))),
            b's' if !session.media.is_empty() => {
                return Err(raw.error_at_start(ParseErrorKind::Expected('m')));
            }
            b's' if session.name.is_some() => {
                return Err(raw.error_at_start(ParseErrorKind::Twice('s')));
            }
            b's' => session.name = Some(raw.text()),
            b'm' if session.media.len() == limits.media => {
                return Err(raw.error_at_start(ParseErrorKind::TooManyMedia(limits.media)));
            }
            b'm' => {
                session.media.push(media(&raw, limits)?);
                places.push(raw.number);
            }
            _ => {
                if raw.kind == b'c' && raw.str().and_then(Connection::fields).is_none() {
                    return Err(raw.error(0, ParseErrorKind::Connection));
                }
                let line = Line { kind: raw.kind, value: raw.text() };
                match session.media.last_mut() {
                    Some(media) => media.lines.push(line),
                    None => session.lines.push(line),
                }
            }
        }
    }
    connected(&session, &places)?;
    Ok(session)
}

/// One line as it lies in the input.
struct Raw<'a> {
    kind: u8,
    value: &'a [u8],
    /// From 1.
    number: usize,
}

impl<'a> Raw<'a> {
    fn expect(&self, kind: u8) -> Result<(), ParseError> {
        if self.kind == kind {
            return Ok(());
        }
        Err(self.error_at_start(ParseErrorKind::Expected(kind as char)))
    }

    /// `offset` counts within the value.
    const fn error(&self, offset: usize, kind: ParseErrorKind) -> ParseError {
        ParseError { line: self.number, column: offset + 3, kind }
    }

    const fn error_at_start(&self, kind: ParseErrorKind) -> ParseError {
        ParseError { line: self.number, column: 1, kind }
    }

    fn text(&self) -> Text {
        Text::read(self.value)
    }

    fn str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    number: usize,
    limit: usize,
}

impl<'a> Reader<'a> {
    /// The next line that is not empty.
    fn next(&mut self) -> Result<Option<Raw<'a>>, ParseError> {
        while !self.rest.is_empty() {
            let (line, rest) = match memchr::memchr(b'\n', self.rest) {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            self.number += 1;
            if self.number > self.limit {
                return Err(self.here(1, ParseErrorKind::TooManyLines(self.limit)));
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let [kind, b'=', value @ ..] = line else {
                return Err(self.here(1, ParseErrorKind::NotALine));
            };
            if !kind.is_ascii_alphabetic() {
                return Err(self.here(1, ParseErrorKind::NotALine));
            }
            if let Some(at) = value.iter().position(|b| matches!(b, 0 | b'\r')) {
                return Err(self.here(at + 3, ParseErrorKind::Control(value[at])));
            }
            return Ok(Some(Raw { kind: *kind, value, number: self.number }));
        }
        Ok(None)
    }

    const fn here(&self, column: usize, kind: ParseErrorKind) -> ParseError {
        ParseError { line: self.number, column, kind }
    }

    /// The input ended too early.
    const fn end(&self, kind: ParseErrorKind) -> ParseError {
        ParseError { line: self.number + 1, column: 1, kind }
    }
}

fn origin(value: &[u8]) -> Origin {
    let whole = || Origin {
        username: Text::read(value),
        session_id: String::new(),
        version: String::new(),
        net_type: String::new(),
        address_type: String::new(),
        address: String::new(),
    };
    let mut fields = value.split(|b| *b == b' ');
    let username = fields.next().filter(|field| !field.is_empty());
    let mut text =
        || fields.next().filter(|field| !field.is_empty()).and_then(|field| std::str::from_utf8(field).ok());
    let rest = [text(), text(), text(), text(), text()];
    match (username, rest) {
        (
            Some(username),
            [Some(session_id), Some(version), Some(net_type), Some(address_type), Some(address)],
        ) if fields.next().is_none() => Origin {
            username: Text::read(username),
            session_id: session_id.into(),
            version: version.into(),
            net_type: net_type.into(),
            address_type: address_type.into(),
            address: address.into(),
        },
        _ => whole(),
    }
}

fn media(raw: &Raw<'_>, limits: &Limits) -> Result<Media, ParseError> {
    let value = raw.str().ok_or_else(|| raw.error(0, ParseErrorKind::Media))?;
    let place = |field: &str| field.as_ptr() as usize - value.as_ptr() as usize;
    let mut fields = value.split(' ').filter(|field| !field.is_empty());

    let kind = fields.next().ok_or_else(|| raw.error(0, ParseErrorKind::Media))?;
    let port = match fields.next() {
        Some(field) => port(field).map_err(|kind| raw.error(place(field), kind))?,
        None => Port::Open(String::new()),
    };
    let proto = fields.next().unwrap_or_default();
    // A refused line is not used, so whatever it lists does no harm.
    let check = is_rtp(proto) && !port.is_zero();
    let mut formats = Vec::new();
    for field in fields {
        if formats.len() == limits.formats {
            return Err(raw.error(place(field), ParseErrorKind::TooManyFormats(limits.formats)));
        }
        if check && !field.parse::<u8>().is_ok_and(|pt| pt < 128) {
            return Err(raw.error(place(field), ParseErrorKind::PayloadType));
        }
        formats.push(field.to_owned());
    }
    Ok(Media { kind: kind.into(), port, proto: proto.into(), formats, lines: Vec::new() })
}

fn port(field: &str) -> Result<Port, ParseErrorKind> {
    // RFC 3108: `$` is for the other side to choose (`$`, `PORT-$/VPI-0/VCI-$`).
    if field.contains('$') {
        return Ok(Port::Open(field.into()));
    }
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse().map_err(|_| ParseErrorKind::Port),
        false => Err(ParseErrorKind::Port),
    };
    let Some((first, count)) = field.split_once('/') else {
        return number(field).map(Port::Number);
    };
    let count = count.parse().map_err(|_| ParseErrorKind::PortCount)?;
    Ok(Port::Range { first: number(first)?, count })
}

/// RFC 8866 §5.7: each medium in use has a `c=`, of its own or the session's. `places` are the line
/// numbers of the `m=` lines.
fn connected(session: &Session, places: &[usize]) -> Result<(), ParseError> {
    let has = |lines: &[Line]| lines.iter().any(|line| line.kind == b'c');
    if has(&session.lines) {
        return Ok(());
    }
    let lost =
        session.media.iter().zip(places).find(|(media, _)| !media.port.is_zero() && !has(&media.lines));
    match lost {
        Some((_, line)) => Err(ParseError { line: *line, column: 1, kind: ParseErrorKind::NoConnection }),
        None => Ok(()),
    }
}
