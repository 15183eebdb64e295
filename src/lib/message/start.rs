//! The two kinds of message and their start lines (RFC 3261 §7.1, §7.2).

use std::{fmt, ops::Deref};

use super::{Message, Method, Span, Text, Uri, UriError, frame, index::Start, scan};

/// What a message begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'m> {
    /// A request line; the Request-URI as it is written, checked or not.
    Request {
        /// What is asked for.
        method: Method<'m>,
        /// Whom it is asked of.
        uri: &'m str,
    },
    /// A status line: the status code, 100 to 699, and the reason phrase, whatever it holds.
    Response {
        /// 100 to 699.
        status: u16,
        /// For people.
        reason: Text<'m>,
    },
}

impl Message {
    /// The start line.
    #[inline]
    pub fn start_line(&self) -> StartLine<'_> {
        match self.start {
            Start::Request { method, uri } => StartLine::Request {
                method: frame::method(self.head(method)),
                uri: scan::ascii(self.head(uri)).unwrap_or_default(),
            },
            Start::Response { status, reason } => {
                StartLine::Response { status, reason: Text::plain(self.head(reason)) }
            }
        }
    }

    /// The Request-URI, read; `None` if it is a response. The quickest way to it.
    #[inline]
    pub fn request_uri(&self) -> Option<Result<Uri<'_>, UriError>> {
        match self.start {
            Start::Request { uri, .. } => {
                Some(Uri::within(&self.bytes, Span::new(usize::from(uri.0), usize::from(uri.1))))
            }
            Start::Response { .. } => None,
        }
    }
}

/// A message that begins with a request line.
#[derive(Clone, PartialEq, Eq)]
pub struct Request(Message);

impl Request {
    /// The message back if it is a response.
    #[expect(clippy::result_large_err, reason = "not an error: the message goes back to the caller")]
    pub fn from_message(message: Message) -> Result<Self, Message> {
        if message.is_request() { Ok(Self(message)) } else { Err(message) }
    }

    /// The message it is.
    pub fn into_message(self) -> Message {
        self.0
    }

    /// The method of the request line.
    pub fn method(&self) -> Method<'_> {
        match self.0.start {
            Start::Request { method, .. } => frame::method(self.0.head(method)),
            Start::Response { .. } => Method::Other(""),
        }
    }

    /// The Request-URI.
    pub fn uri(&self) -> Result<Uri<'_>, UriError> {
        self.0.request_uri().unwrap_or(Err(UriError::Scheme))
    }

    /// The Request-URI as it is written, checked or not.
    pub fn raw_uri(&self) -> &str {
        match self.0.start {
            Start::Request { uri, .. } => scan::ascii(self.0.head(uri)).unwrap_or_default(),
            Start::Response { .. } => "",
        }
    }
}

/// A message that begins with a status line.
#[derive(Clone, PartialEq, Eq)]
pub struct Response(Message);

impl Response {
    /// The message back if it is a request.
    #[expect(clippy::result_large_err, reason = "not an error: the message goes back to the caller")]
    pub fn from_message(message: Message) -> Result<Self, Message> {
        if message.is_request() { Err(message) } else { Ok(Self(message)) }
    }

    /// The message it is.
    pub fn into_message(self) -> Message {
        self.0
    }

    /// The status code, 100 to 699.
    pub fn status(&self) -> u16 {
        match self.0.start {
            Start::Response { status, .. } => status,
            Start::Request { .. } => 0,
        }
    }

    /// The reason phrase if it is UTF-8, as it should be; otherwise empty.
    pub fn reason(&self) -> &str {
        std::str::from_utf8(self.reason_text().raw()).unwrap_or_default()
    }

    /// The reason phrase, whatever it holds.
    pub fn reason_text(&self) -> Text<'_> {
        match self.0.start {
            Start::Response { reason, .. } => Text::plain(self.0.head(reason)),
            Start::Request { .. } => Text::plain(b""),
        }
    }

    /// 100 to 199.
    pub fn is_provisional(&self) -> bool {
        self.status() < 200
    }

    /// 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }
}

impl Deref for Request {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0
    }
}

impl Deref for Response {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        request.0
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        response.0
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
