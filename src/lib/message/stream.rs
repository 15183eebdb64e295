//! Messages out of a byte stream (RFC 3261 §7.5, §18.3) and out of WebSocket messages (RFC 7118 §5), with the
//! CRLF keep-alive of RFC 5626 §4.4.1.
//!
//! On a stream only Content-Length tells where a message ends, so one that is missing, broken or too large
//! ends the connection: nothing after it can be found again. A message that is framed well but malformed
//! costs only itself. Nothing is scanned twice, however slowly the bytes come.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use thiserror::Error;

use super::{
    HeaderId, Limits, Malformed, Message, ParseError, ParseErrorKind, frame,
    scan::{number, trim},
};

/// Which end of the connection this is: who opened it sends pings, who accepted it answers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The peer opened it: its pings are answered.
    Accepted,
    /// We opened it: a CRLF is the answer to our ping.
    Opened,
}

/// What came out of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A whole message, as [`Message::parse`] reads it.
    Message(Box<Message>),
    /// CRLF CRLF between messages: the peer wants a CRLF back (RFC 5626 §3.5.1).
    Ping,
    /// The CRLF that answers our ping.
    Pong,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FrameError {
    /// This message only; the next one can be read.
    #[error("{error}")]
    Malformed {
        /// What is wrong; it counts octets from the start of this message.
        error: ParseError,
        /// The message, from which a refusal can be made ([`Message::salvage`]).
        bytes: Bytes,
    },
    /// Nothing more can be read: answer what can be answered, then close.
    #[error("{error}, and so the end of the message cannot be found")]
    Lost {
        /// What is wrong; it counts octets from the start of this message.
        error: ParseError,
        /// The head as far as it came.
        bytes: Bytes,
    },
    /// A request or response without Content-Length, which a stream needs (§18.3); as `Lost`.
    #[error("Content-Length is missing, and so the end of the message cannot be found (octet {})", .bytes.len())]
    NoLength {
        /// The head.
        bytes: Bytes,
    },
}

impl FrameError {
    /// The status that answers a request broken like this; `None` for a response and for garbage.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Malformed { error, .. } | Self::Lost { error, .. } => error.status(),
            Self::NoLength { bytes } => (!is_response(bytes)).then_some(400),
        }
    }

    /// Whether the connection must be closed.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Malformed { .. })
    }

    /// The octets the error is about, for [`Message::salvage`].
    pub fn bytes(&self) -> &Bytes {
        let (Self::Malformed { bytes, .. } | Self::Lost { bytes, .. } | Self::NoLength { bytes }) = self;
        bytes
    }
}

/// Cuts a stream into messages; it holds at most one message and what was pushed after it.
///
/// ```text
///          ┌──── CRLFs ───┐                  Content-Length octets
///          ▼              │   empty line  ┌──────┐  are there
///  ──► Between ──other──► Head ─────────► │ Body │ ───────────► Between
///                           │             └──────┘
///                           └─ too large, no length ──► Broken
/// ```
///
/// ```
/// # use sipkit::message::{Framer, Frame, Limits, Side};
/// let mut framer = Framer::new(Side::Accepted, Limits::default());
/// framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n");
/// assert!(matches!(framer.next(), Some(Ok(Frame::Message(_)))));
/// assert!(matches!(framer.next(), Some(Ok(Frame::Ping))));
/// assert!(framer.next().is_none());
/// ```
#[derive(Debug)]
pub struct Framer {
    side: Side,
    limits: Limits,
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    /// Looked for the empty line up to here.
    Head {
        seen: usize,
    },
    /// The whole message is this long.
    Body {
        total: usize,
    },
    Broken,
}

impl Framer {
    /// The stream of a new connection. What is buffered stays below `limits.head` + `limits.body` octets and one
    /// read.
    pub fn new(side: Side, limits: Limits) -> Self {
        Self { side, limits, buffer: BytesMut::new(), state: State::Between }
    }

    /// Takes what was read. Call [`Framer::next`] until `None` before reading more: that is what bounds the
    /// memory. After a final error what comes is dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether no message has begun; a line end or two may wait for what they belong to.
    pub fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Octets held.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next thing that is complete.
    #[allow(clippy::should_implement_trait)] // an iterator would borrow the framer for as long as it lives
    pub fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        loop {
            match self.state {
                State::Between => {
                    if let Some(frame) = self.between()? {
                        return Some(Ok(frame));
                    }
                }
                State::Head { seen } => {
                    if let Err(error) = self.head(seen)? {
                        self.state = State::Broken;
                        return Some(Err(error));
                    }
                }
                State::Body { total } => {
                    if self.buffer.len() < total {
                        return None;
                    }
                    self.state = State::Between;
                    let bytes = self.buffer.split_to(total).freeze();
                    return Some(match Message::parse(bytes.clone(), &self.limits) {
                        Ok(message) => Ok(Frame::Message(Box::new(message))),
                        Err(error) => Err(FrameError::Malformed { error, bytes }),
                    });
                }
                State::Broken => return None,
            }
        }
    }

    /// Line ends between messages. `None`: more octets are needed; `Some(None)`: a message begins.
    fn between(&mut self) -> Option<Option<Frame>> {
        match (self.side, &self.buffer[..]) {
            (_, [] | [b'\r']) => None,
            // Half a ping, perhaps: only the next octet tells.
            (Side::Accepted, [b'\r', b'\n'] | [b'\r', b'\n', b'\r']) => None,
            (Side::Accepted, [b'\r', b'\n', b'\r', b'\n', ..]) => {
                let _ = self.buffer.split_to(4);
                Some(Some(Frame::Ping))
            }
            (Side::Opened, [b'\r', b'\n', ..]) => {
                let _ = self.buffer.split_to(2);
                Some(Some(Frame::Pong))
            }
            // §7.5: CRLF before a start line is to be ignored.
            (Side::Accepted, [b'\r', b'\n', ..]) => {
                let _ = self.buffer.split_to(2);
                Some(None)
            }
            _ => {
                self.state = State::Head { seen: 0 };
                Some(None)
            }
        }
    }

    fn head(&mut self, seen: usize) -> Option<Result<(), FrameError>> {
        let most = self.limits.head.min(Limits::MAX_HEAD);
        // The empty line may straddle what was seen and what is new.
        let from = seen.saturating_sub(3);
        let Some(end) = memmem::find(&self.buffer[from..], b"\r\n\r\n").map(|at| from + at + 4) else {
            if self.buffer.len() > most {
                return Some(Err(self.too_large(most)));
            }
            self.state = State::Head { seen: self.buffer.len() };
            return None;
        };
        if end > most {
            return Some(Err(self.too_large(most)));
        }
        let length = match content_length(&self.buffer[..end]) {
            Ok(Some(length)) => length,
            Ok(None) => return Some(Err(FrameError::NoLength { bytes: self.take(end) })),
            Err(at) => return Some(Err(self.lost(at, end))),
        };
        match end.checked_add(length) {
            Some(total) if length <= self.limits.body => self.state = State::Body { total },
            _ => return Some(Err(self.lost((ParseErrorKind::BodyTooLarge, end), end))),
        }
        Some(Ok(()))
    }

    /// The head has no end within its limit; what is first wrong in it, perhaps a long Request-URI, is to blame.
    fn too_large(&mut self, most: usize) -> FrameError {
        let bytes = self.take(most + 1);
        let response = is_response(&bytes);
        let error = Message::parse(bytes.clone(), &self.limits).err();
        let error = error.unwrap_or(ParseError { at: most, kind: ParseErrorKind::HeadTooLarge, response });
        FrameError::Lost { error, bytes }
    }

    fn lost(&mut self, (kind, at): (ParseErrorKind, usize), end: usize) -> FrameError {
        let bytes = self.take(end);
        FrameError::Lost { error: ParseError { at, kind, response: is_response(&bytes) }, bytes }
    }

    /// The first octets; the others are of no use any more.
    fn take(&mut self, end: usize) -> Bytes {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.truncate(end);
        buffer.freeze()
    }
}

/// As the index tells them apart.
fn is_response(bytes: &[u8]) -> bool {
    bytes.get(..4).is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/"))
}

/// One WebSocket message is one SIP message (RFC 7118 §5): a Content-Length need not be there, but must not lie.
pub fn websocket(bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    let length = bytes.len();
    let leading = frame::leading_line_ends(&bytes);
    let message = Message::parse(bytes, limits)?;
    let at = leading + message.bytes().len();
    if at < length {
        return Err(ParseError { at, kind: ParseErrorKind::TrailingOctets, response: !message.is_request() });
    }
    Ok(message)
}

/// What Content-Length says, if all of its rows say the same, or what is wrong and where.
///
/// Lines, folds and names are told apart as the index does it, so that the length that cuts the stream is the one
/// the message has.
fn content_length(head: &[u8]) -> Result<Option<usize>, (ParseErrorKind, usize)> {
    let line_end = |from: usize| {
        let rest = head.get(from..).unwrap_or_default();
        memchr::memchr(b'\n', rest).map_or(head.len(), |at| from + at + 1)
    };
    let mut found = None;
    // The start line is no header field, whatever it looks like.
    let mut next = line_end(0);
    while next < head.len() {
        let start = next;
        next = line_end(start);
        while matches!(head.get(next), Some(b' ' | b'\t')) {
            next = line_end(next);
        }
        let row = &head[start..next];
        let Some(colon) = memchr::memchr(b':', row) else { continue };
        let name =
            row[..colon].iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        if HeaderId::from_name(&row[..name]) != HeaderId::ContentLength {
            continue;
        }
        let at = start + colon + 1;
        let value = match number(trim(&row[colon + 1..])) {
            Ok(value) => usize::try_from(value).unwrap_or(usize::MAX),
            Err(Malformed::Range) => usize::MAX,
            Err(_) => return Err((ParseErrorKind::ContentLength, at)),
        };
        if found.is_some_and(|before| before != value) {
            return Err((ParseErrorKind::ContentLengthConflict, at));
        }
        found = Some(value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] =
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\nl: 5\r\n\r\nhello";

    fn framer(side: Side) -> Framer {
        Framer::new(side, Limits::default())
    }

    fn body(frame: Option<Result<Frame, FrameError>>) -> Vec<u8> {
        match frame {
            Some(Ok(Frame::Message(message))) => message.body().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_and_keep_alives_in_any_pieces() {
        let mut stream = b"\r\n\r\n".to_vec();
        stream.extend(OPTIONS);
        stream.extend(b"\r\n");
        stream.extend(OPTIONS);
        stream.extend(b"\r\n\r\n\r\n\r\n");
        stream.extend(OPTIONS);
        for piece in [1, 2, 3, 7, 64, stream.len()] {
            let mut framer = framer(Side::Accepted);
            let mut seen = String::new();
            for chunk in stream.chunks(piece) {
                framer.push(chunk);
                while let Some(frame) = framer.next() {
                    seen.push(match frame {
                        Ok(Frame::Message(message)) => {
                            assert_eq!(message.body(), b"hello");
                            'm'
                        }
                        Ok(Frame::Ping) => 'p',
                        Ok(Frame::Pong) => 'o',
                        Err(error) => panic!("{error}"),
                    });
                }
            }
            assert_eq!(seen, "pmmppm", "in pieces of {piece}");
            assert_eq!(framer.buffered(), 0);
        }
    }

    #[test]
    fn who_opened_the_connection_gets_pongs() {
        let mut framer = framer(Side::Opened);
        framer.push(b"\r\n");
        assert_eq!(framer.next(), Some(Ok(Frame::Pong)));
        assert_eq!(framer.next(), None);
        framer.push(OPTIONS);
        assert_eq!(body(framer.next()), b"hello");
    }

    #[test]
    fn a_malformed_message_costs_only_itself() {
        let mut framer = framer(Side::Accepted);
        framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nno colon\r\nContent-Length: 2\r\n\r\nhi");
        framer.push(OPTIONS);
        let Some(Err(error)) = framer.next() else { panic!("it is malformed") };
        assert!(!error.is_final());
        assert_eq!(body(framer.next()), b"hello");
    }

    #[test]
    fn without_an_end_the_connection_is_over() {
        let table: [(&[u8], Option<u16>); 9] = [
            (b"OPTIONS sip:a@b SIP/2.0\r\nX: y\r\n\r\n", Some(400)),
            (b"SIP/2.0 200 OK\r\nX: y\r\n\r\n", None),
            (b"sip/2.0 200 OK\r\nl: x\r\n\r\n", None),
            (b"l: 0\r\nX: the start line is none\r\n\r\n", Some(400)),
            (b"OPTIONS sip:a@b SIP/2.0\r\nl: 99999999999999999999999999\r\n\r\n", Some(413)),
            (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: x\r\n\r\n", Some(400)),
            (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n", Some(400)),
            (b"OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n", Some(400)),
            (b"OPTIONS sip:a@b SIP/2.0\r\nl: 99999999\r\n\r\n", Some(413)),
        ];
        for (bytes, status) in table {
            let mut framer = framer(Side::Accepted);
            framer.push(bytes);
            let Some(Err(error)) = framer.next() else { panic!("{}", bytes.escape_ascii()) };
            assert!(error.is_final());
            assert_eq!(error.status(), status, "{}", bytes.escape_ascii());
            framer.push(OPTIONS);
            assert_eq!(framer.next(), None);
            assert_eq!(framer.buffered(), 0);
        }
    }

    #[test]
    fn a_length_is_read_as_the_index_reads_it() {
        for length in ["Content-Length:\r\n 5", "L :5", "content-length: 5\r\n\t", "l: 5\r\nl: 0005"] {
            let mut framer = framer(Side::Accepted);
            framer.push(
                format!("OPTIONS sip:a@b SIP/2.0\r\nX: y\r\n l: 9\r\n{length}\r\n\r\nhello").as_bytes(),
            );
            assert_eq!(body(framer.next()), b"hello", "{length:?}");
            assert_eq!(framer.buffered(), 0);
        }
        let mut framer = framer(Side::Accepted);
        framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\n 0\r\n\r\n");
        let error = framer.next().unwrap().unwrap_err();
        assert!(error.is_final(), "two readings of one length");
        let why = "Content-Length is not a number (octet 27), and so the end of the message cannot be found";
        assert_eq!(error.to_string(), why);
    }

    #[test]
    fn limits_without_bounds_do_not_overflow() {
        let limits = Limits { head: usize::MAX, body: usize::MAX, ..Limits::default() };
        let mut framer = Framer::new(Side::Accepted, limits);
        framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nl: 18446744073709551615\r\n\r\n");
        assert_eq!(framer.next().unwrap().unwrap_err().status(), Some(413));
        let mut framer = Framer::new(Side::Accepted, limits);
        framer.push(&vec![b'a'; Limits::MAX_HEAD + 1]);
        assert!(framer.next().unwrap().unwrap_err().is_final());
    }

    #[test]
    fn what_makes_a_head_too_large_is_said() {
        let table = [
            (format!("OPTIONS sip:{} SIP/2.0\r\n", "a".repeat(20_000)), Some(414)),
            (format!("OPTIONS sip:a SIP/2.0\r\nX: {}\r\n\r\n", "a".repeat(20_000)), Some(513)),
            (format!("SIP/2.0 200 OK\r\nX: {}\r\n\r\n", "a".repeat(20_000)), None),
        ];
        for (text, status) in table {
            let mut framer = framer(Side::Accepted);
            framer.push(text.as_bytes());
            let error = framer.next().unwrap().unwrap_err();
            assert_eq!((error.is_final(), error.status()), (true, status), "{error}");
            assert_eq!(error.bytes().len(), Limits::default().head + 1);
        }
    }

    #[test]
    fn a_head_without_end_is_bounded_and_scanned_once() {
        let mut framer = framer(Side::Accepted);
        let mut pushed = 0;
        let error = loop {
            framer.push(b"a");
            pushed += 1;
            match framer.next() {
                None => assert!(pushed < 20_000, "unbounded"),
                Some(outcome) => break outcome.unwrap_err(),
            }
        };
        assert!(error.is_final());
        assert_eq!(pushed, Limits::default().head + 1);
    }

    #[test]
    fn a_websocket_message_is_one_sip_message() {
        let limits = Limits::default();
        let bare = b"OPTIONS sip:a@b SIP/2.0\r\nX: y\r\n\r\nbody";
        assert_eq!(websocket(Bytes::from_static(bare), &limits).unwrap().body(), b"body");
        assert_eq!(websocket(Bytes::from_static(OPTIONS), &limits).unwrap().body(), b"hello");
        let after = [b"\r\n", OPTIONS].concat();
        assert_eq!(websocket(after.into(), &limits).unwrap().body(), b"hello");
        assert_eq!(websocket(Bytes::from_static(b"\r\n\r\n"), &limits).unwrap_err().status(), None);
        let longer = [OPTIONS, b"!"].concat();
        let error = websocket(longer.into(), &limits).unwrap_err();
        assert_eq!((error.kind, error.status()), (ParseErrorKind::TrailingOctets, Some(400)));
    }
}
