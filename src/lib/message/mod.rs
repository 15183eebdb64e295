//! The syntax layer: bytes to meaning and back, without state (RFC 3261 §7, §19.1, §20, §25).
//!
//! A [`Message`] is its bytes and an index of where things are. Views ([`Via`], [`NameAddr`], [`Uri`], …)
//! are read when asked for, borrow from the message and cost no allocation; nothing is cached, so the
//! caller keeps what it read. [`Edits`] change a message by splices, [`Builder`] writes a new one.
//!
//! Validity is layered. [`Message::parse`] refuses a broken frame only; a header is judged when it is
//! read. So an unknown or malformed header that nobody asks for is passed on octet for octet.
//!
//! ```
//! use sipkit::message::{HeaderId, Limits, Message, Method, header};
//!
//! let bytes = b"OPTIONS sip:bob@example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
//!     CSeq: 7 OPTIONS\r\n\
//!     Accept: application/sdp, text/plain\r\n\r\n";
//! let message = Message::parse(bytes[..].into(), &Limits::default()).unwrap();
//! assert_eq!(message.via().unwrap().branch(), Some("z9hG4bK1"));
//! assert_eq!(message.cseq().unwrap().method, Method::Options);
//! assert_eq!(message.each::<header::Accept>().count(), 2);
//! assert_eq!(message.raw(HeaderId::Route).count(), 0);
//! ```

#![warn(missing_docs)]

mod address;
mod block;
mod build;
pub mod cpim;
mod edit;
mod error;
pub mod escape;
mod frame;
mod fuzz;
pub mod header;
mod host;
mod index;
mod limits;
mod method;
mod multipart;
mod name;
mod params;
mod rows;
mod scan;
mod sipfrag;
mod start;
mod status;
mod stream;
mod text;
mod uri;
mod write;

use bytes::{Buf, Bytes};

pub use address::{AddressBuf, NameAddr};
pub use build::Builder;
pub use edit::Edits;
pub use error::{HeaderError, Malformed, ParseError, ParseErrorKind, UriError};
#[doc(hidden)]
pub use fuzz::{count_values, fuzz_header, fuzz_parse};
pub use header::{CSeq, ContactValue, Header, RawHeader, Via};
pub use host::Host;
pub use limits::Limits;
pub use method::Method;
pub use multipart::{Multipart, MultipartError, Part};
pub use name::HeaderId;
pub use params::{Param, Params};
pub use scan::{Cursor, Span};
pub use sipfrag::Fragment;
pub use start::{Request, Response, StartLine};
pub use status::reason_phrase;
pub use stream::{Frame, FrameError, Framer, Side, websocket};
pub use text::{Quoted, Text};
pub use uri::{Scheme, Uri, UriBuf};

use frame::Scan;
use header::values::{self, AllRows, Rows, Values};
use index::{Index, Start};
use rows::Plain;

/// One SIP message exactly as it is on the wire, and where its parts are.
///
/// Cloning shares the bytes.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    start: Start,
    index: Index,
    /// Where the header rows end and the empty line begins.
    rows_end: usize,
    body: Span,
}

impl Message {
    /// Reads one datagram, or one message that was framed on a stream.
    ///
    /// Without Content-Length the body goes to the end; octets after the body it states are dropped
    /// (RFC 3261 §18.3). Line ends before the start line are dropped too.
    #[inline]
    pub fn parse(mut bytes: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        let leading = frame::leading_line_ends(&bytes);
        bytes.advance(leading);
        // It is built where it goes to, for it is large.
        let mut parsed = Ok(Self::unread(bytes));
        if let Ok(message) = &mut parsed
            && !message.index_plain(limits)
            && let Some(error) = message.index_any(limits)
        {
            parsed = Err(ParseError { at: error.at + leading, ..error });
        }
        parsed
    }

    /// The same for a message in which nothing is unusual; of any other the octets are given back as they are, for
    /// [`Message::parse`] to judge.
    #[inline]
    pub fn parse_plain(bytes: Bytes, limits: &Limits) -> Result<Self, Bytes> {
        let mut parsed = Ok(Self::unread(bytes));
        if let Ok(message) = &mut parsed
            && !message.index_plain(limits)
        {
            let bytes = std::mem::take(&mut message.bytes);
            parsed = Err(bytes);
        }
        parsed
    }

    /// What can be made of a request that [`Message::parse`] refuses, so that the refusal can be answered
    /// from its Via, From, To, Call-ID and CSeq. `None` if no request line begins it: a response or
    /// garbage is not answered.
    ///
    /// Rows that cannot be told apart are left out; limits on the head do not apply, or 513 could not be
    /// answered. Do not forward or edit such a message.
    pub fn salvage(bytes: Bytes, limits: &Limits) -> Option<Self> {
        let leading = frame::leading_line_ends(&bytes);
        let limits = Limits { head: Limits::MAX_HEAD, rows: usize::MAX, ..*limits };
        let (message, _) = Self::assemble(bytes.slice(leading..), &limits);
        message.filter(Self::is_request)
    }

    /// The message if it has a start line, and the first error.
    fn assemble(bytes: Bytes, limits: &Limits) -> (Option<Self>, Option<ParseError>) {
        let mut message = Self::unread(bytes);
        let (readable, error) = message.index_all(limits);
        (readable.then_some(message), error)
    }

    #[inline]
    fn unread(bytes: Bytes) -> Self {
        let start = Start::Request { method: (0, 0), uri: (0, 0) };
        Self { bytes, start, index: Index::default(), rows_end: 0, body: Span::default() }
    }

    /// Finds what the message consists of, if nothing is unusual in it.
    #[inline]
    fn index_plain(&mut self, limits: &Limits) -> bool {
        let found = rows::scan(&self.bytes, limits, &mut self.index);
        if let Some(Plain { start, rows_end, body }) = found {
            self.bytes.truncate(body.end);
            self.start = start;
            self.rows_end = rows_end;
            self.body = body;
        }
        found.is_some()
    }

    /// Finds what the message consists of: whether it has a start line, and the first error.
    fn index_all(&mut self, limits: &Limits) -> (bool, Option<ParseError>) {
        if self.index_plain(limits) {
            return (true, None);
        }
        let Scan { start, rows_end, body, error } = frame::scan(&self.bytes, limits, &mut self.index);
        self.bytes.truncate(body.end);
        self.rows_end = rows_end;
        self.body = body;
        if let Some(start) = start {
            self.start = start;
        }
        (start.is_some(), error)
    }

    /// The same for a message that must have a start line.
    #[cold]
    fn index_any(&mut self, limits: &Limits) -> Option<ParseError> {
        let (readable, error) = self.index_all(limits);
        let none = ParseError { at: 0, kind: ParseErrorKind::StartLine, response: false };
        error.or((!readable).then_some(none))
    }

    /// Indexes what this library wrote; that always begins with a start line.
    fn written(bytes: Bytes) -> Self {
        let mut message = Self::unread(bytes);
        message.index_all(&Limits::NONE);
        message
    }

    /// The message as it goes over the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body as Content-Length bounds it.
    pub fn body(&self) -> &[u8] {
        self.octets(self.body)
    }

    /// Whether the start line is a request line.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The message back if it is a response.
    #[expect(clippy::result_large_err, reason = "not an error: the message goes back to the caller")]
    pub fn into_request(self) -> Result<Request, Self> {
        Request::from_message(self)
    }

    /// The message back if it is a request.
    #[expect(clippy::result_large_err, reason = "not an error: the message goes back to the caller")]
    pub fn into_response(self) -> Result<Response, Self> {
        Response::from_message(self)
    }

    /// The first value of a header field, if there is one.
    #[inline]
    pub fn find<H: Header>(&self) -> Result<Option<H::View<'_>>, HeaderError> {
        values::first::<H>(self).transpose()
    }

    /// The first value of a header field that must be there.
    #[inline]
    pub fn header<H: Header>(&self) -> Result<H::View<'_>, HeaderError> {
        self.find::<H>()?.ok_or(HeaderError::Missing(H::ID))
    }

    /// Every value of a header field, over all its rows; comma lists are split (RFC 3261 §7.3.1).
    /// A malformed value is one error, the values after it follow, unless it is the one with which
    /// [`Limits::MALFORMED`] is reached.
    pub fn each<H: Header>(&self) -> impl Iterator<Item = Result<H::View<'_>, HeaderError>> {
        Values::<H>::of(self)
    }

    /// The rows of a header field as they are.
    pub fn raw(&self, id: HeaderId) -> impl Iterator<Item = RawHeader<'_>> {
        Rows::of(self, id)
    }

    /// The number of rows of a header field.
    pub fn count(&self, id: HeaderId) -> usize {
        Rows::of(self, id).count()
    }

    /// The first of these fields that stands in more than one row.
    pub fn repeated(&self, fields: &[HeaderId]) -> Option<HeaderId> {
        fields.iter().copied().find(|&id| self.index.repeats(id))
    }

    /// Whether there is a row of that field.
    pub fn has(&self, id: HeaderId) -> bool {
        self.index.first(id).is_some()
    }

    /// The rows of any header field by name, in any case; compact and full names mean the same.
    pub fn named(&self, name: &str) -> impl Iterator<Item = RawHeader<'_>> {
        let id = HeaderId::from_name(name.as_bytes());
        self.headers().filter(move |row| {
            row.id == id && (id != HeaderId::Unknown || row.name().eq_ignore_ascii_case(name))
        })
    }

    /// All rows in order.
    pub fn headers(&self) -> impl Iterator<Item = RawHeader<'_>> {
        AllRows::of(self)
    }

    /// The topmost Via.
    pub fn via(&self) -> Result<Via<'_>, HeaderError> {
        self.header::<header::Via>()
    }

    /// Who sends the request (From).
    pub fn from(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.header::<header::From>()
    }

    /// Whom the request is meant for (To).
    pub fn to(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.header::<header::To>()
    }

    /// The tag of From; the address before it is neither read nor judged.
    pub fn from_tag(&self) -> Result<Option<&str>, HeaderError> {
        self.header::<header::FromTag>()
    }

    /// The tag of To; the address before it is neither read nor judged.
    pub fn to_tag(&self) -> Result<Option<&str>, HeaderError> {
        self.header::<header::ToTag>()
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        self.header::<header::CallId>()
    }

    /// Sequence number and method (CSeq).
    pub fn cseq(&self) -> Result<CSeq<'_>, HeaderError> {
        self.header::<header::CSeq>()
    }

    /// The first Contact value.
    pub fn contact(&self) -> Result<Option<ContactValue<'_>>, HeaderError> {
        self.find::<header::Contact>()
    }

    /// Where a row ends, its line end included.
    fn row_end(&self, at: usize) -> usize {
        self.index.row(at + 1).map_or(self.rows_end, |next| next.start())
    }

    #[inline]
    fn octets(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    /// Two ends in the head, as the index keeps them.
    fn head(&self, (start, end): (u16, u16)) -> &[u8] {
        self.octets(Span::new(usize::from(start), usize::from(end)))
    }
}

/// The message as it goes over the wire.
impl From<Message> for Bytes {
    fn from(message: Message) -> Self {
        message.bytes
    }
}

/// The same octets.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

/// The start line and the size: a log line, not a dump.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
        write!(f, "Message({}, {} octets)", String::from_utf8_lossy(line), self.bytes.len())
    }
}

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
