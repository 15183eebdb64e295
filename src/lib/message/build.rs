//! Writing a new message straight into its final bytes.
//!
//! Rows stand in the order of the calls; Content-Length comes last and is always there, because a stream
//! needs it (RFC 3261 §20.14). Values are made safe as the `write` module says. A head can hold 64 KiB; a
//! row that would exceed this is left out.

use std::{fmt::Display, ops::Range};

use bytes::{BufMut, Bytes};

use super::{HeaderId, Message, Method, Request, header::values::Rows, reason_phrase, write};

/// A message in the making.
///
/// ```
/// use sipkit::message::{Builder, HeaderId, Method};
///
/// let message = Builder::request(Method::Options, "sip:bob@example.com")
///     .header(HeaderId::MaxForwards, 70)
///     .named("X-Trace", "on\r\noff")
///     .body("text/plain", b"hello")
///     .finish();
/// assert_eq!(
///     &message.bytes()[..],
///     b"OPTIONS sip:bob@example.com SIP/2.0\r\nMax-Forwards: 70\r\nX-Trace: on  off\r\n\
///       Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    head: Vec<u8>,
    body: Box<[u8]>,
    /// Where the row is that says what the body is.
    kind: Range<usize>,
    /// The Record-Route rows of what is answered, for a response that makes a dialog.
    recorded: Box<[u8]>,
    /// Where the To row of a response ends, before its line end, if it has no tag yet.
    to_end: Option<usize>,
}

impl Builder {
    /// A request with nothing but its request line.
    pub fn request(method: Method<'_>, uri: impl Display) -> Self {
        let mut head = Vec::with_capacity(CAPACITY);
        write::token(&mut head, method.as_str());
        head.put_u8(b' ');
        write::uri(&mut head, uri);
        head.put_slice(b" SIP/2.0\r\n");
        Self { head, body: Box::default(), kind: 0..0, recorded: Box::default(), to_end: None }
    }

    /// A response with what every response takes from its request: Via, From, To, Call-ID, CSeq
    /// (RFC 3261 §8.2.6.2), and the Timestamp in a 100 (§8.2.6.1). A status outside 100 to 699 is moved to
    /// the nearer end; without a reason the usual phrase is taken.
    pub fn response(request: &Request, status: u16, reason: Option<&str>) -> Self {
        let status = status.clamp(100, 699);
        let mut head = Vec::with_capacity(CAPACITY);
        head.put_slice(b"SIP/2.0 ");
        write::value(&mut head, format_args!("{status} "));
        write::value(&mut head, reason.unwrap_or_else(|| reason_phrase(status)));
        head.put_slice(b"\r\n");
        write::within(&mut head, 0, write::HEAD_ROOM / 2);
        if head.is_empty() {
            write::value(&mut head, format_args!("SIP/2.0 {status} {}", reason_phrase(status)));
            head.put_slice(b"\r\n");
        }
        let mut response =
            Self { head, body: Box::default(), kind: 0..0, recorded: Box::default(), to_end: None };
        response.put_rows(request, HeaderId::Via);
        response.put_rows(request, HeaderId::From);
        response.put_rows(request, HeaderId::To);
        // What cannot be read gets no tag: it might have one.
        response.to_end = matches!(request.to_tag(), Ok(None)).then(|| response.head.len().saturating_sub(2));
        response.put_rows(request, HeaderId::CallId);
        response.put_rows(request, HeaderId::CSeq);
        if status == 100 {
            response.put_rows(request, HeaderId::Timestamp);
        }
        if request.has(HeaderId::RecordRoute) {
            let before = response.head.len();
            response.put_rows(request, HeaderId::RecordRoute);
            response.recorded = response.head.split_off(before).into();
        }
        response
    }

    /// Record-Route of the request, as a response that makes a dialog must have it (RFC 3261 §12.1.1).
    pub fn record_route(mut self) -> Self {
        let before = self.head.len();
        self.head.extend_from_slice(&self.recorded);
        write::within(&mut self.head, before, write::HEAD_ROOM);
        self
    }

    /// The tag of To in a response, unless the request had one already.
    pub fn to_tag(mut self, tag: &str) -> Self {
        if let Some(at) = self.to_end.take() {
            let before = self.head.len();
            self.head.put_slice(b";tag=");
            write::token(&mut self.head, tag);
            write::within(&mut self.head, before, write::HEAD_ROOM);
            let grown = self.head.len() - before;
            self.kind = self.kind.start + grown..self.kind.end + grown;
            if let Some(rest) = self.head.get_mut(at..) {
                rest.rotate_right(grown);
            }
        }
        self
    }

    /// One row. Content-Length is not taken (it is always computed), nor is `Unknown`, which has no name.
    pub fn header(self, id: HeaderId, value: impl Display) -> Self {
        match id {
            HeaderId::Unknown | HeaderId::ContentLength => self,
            _ => self.put(id.name(), value),
        }
    }

    /// One row of any name; known names work as with [`Builder::header`].
    pub fn named(self, name: &str, value: impl Display) -> Self {
        match HeaderId::from_name(name.as_bytes()) {
            HeaderId::ContentLength => self,
            _ => self.put(name, value),
        }
    }

    /// All rows of a field as another message has them.
    pub fn copy(mut self, message: &Message, id: HeaderId) -> Self {
        if id != HeaderId::ContentLength {
            self.put_rows(message, id);
        }
        self
    }

    /// The body and its Content-Type, instead of an earlier one; an empty type writes no Content-Type.
    pub fn body(mut self, content_type: &str, bytes: &[u8]) -> Self {
        self.body = bytes.into();
        let kind = std::mem::replace(&mut self.kind, 0..0);
        self.head.drain(kind);
        let start = self.head.len();
        if !content_type.is_empty() {
            self = self.header(HeaderId::ContentType, content_type);
        }
        self.kind = start..self.head.len();
        self
    }

    /// The message, with Content-Length, the empty line and the body.
    pub fn finish(self) -> Message {
        Message::written(self.into_bytes())
    }

    /// The same for the wire only, without finding out what is where.
    pub fn into_bytes(mut self) -> Bytes {
        write::row(&mut self.head, HeaderId::ContentLength.name(), self.body.len());
        self.head.put_slice(b"\r\n");
        self.head.extend_from_slice(&self.body);
        // It may be kept for half a minute: it takes what it needs, and the large block is soon used again.
        Bytes::copy_from_slice(&self.head)
    }

    fn put(mut self, name: &str, value: impl Display) -> Self {
        let before = self.head.len();
        write::row(&mut self.head, name, value);
        write::within(&mut self.head, before, write::HEAD_ROOM);
        self
    }

    /// Rows of a message with their full names and on one line each.
    fn put_rows(&mut self, message: &Message, id: HeaderId) {
        for row in Rows::of(message, id) {
            let before = self.head.len();
            let name = if id == HeaderId::Unknown { row.name() } else { id.name() };
            self.head.put_slice(name.as_bytes());
            self.head.put_slice(b": ");
            write::octets(&mut self.head, row.value);
            self.head.put_slice(b"\r\n");
            write::within(&mut self.head, before, write::HEAD_ROOM);
        }
    }
}

/// Enough for most messages, so that they are written without growing, and little enough for the allocators that keep
/// small blocks at hand (those of 1,032 octets at most).
const CAPACITY: usize = 1000;

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
