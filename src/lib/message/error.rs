//! What can be wrong with a message: its frame ([`ParseError`]), one header field ([`HeaderError`]),
//! or a value inside it ([`Malformed`], [`UriError`]). All are small and `Copy`.

use thiserror::Error;

use super::HeaderId;

/// The frame of a message is broken: `at` octets into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} (octet {at})")]
pub struct ParseError {
    /// Octets from the start of the datagram.
    pub at: usize,
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Whether the start line was that of a response, which nobody answers.
    pub(super) response: bool,
}

impl ParseError {
    /// Whether the start line was that of a response.
    pub fn is_response(&self) -> bool {
        self.response
    }

    /// The status that answers a request broken like this; `None` where nothing can or may be answered
    /// (a keep-alive, garbage, a response: RFC 3261 §8.1.3.5, §18.3).
    pub fn status(&self) -> Option<u16> {
        if self.response {
            return None;
        }
        match self.kind {
            ParseErrorKind::Empty | ParseErrorKind::StatusCode => None,
            ParseErrorKind::Version => Some(505),
            ParseErrorKind::UriTooLong => Some(414),
            ParseErrorKind::BodyTooLarge => Some(413),
            ParseErrorKind::HeadTooLarge | ParseErrorKind::TooManyRows => Some(513),
            ParseErrorKind::StartLine
            | ParseErrorKind::HeaderLine
            | ParseErrorKind::LineEnd
            | ParseErrorKind::Unterminated
            | ParseErrorKind::ContentLength
            | ParseErrorKind::ContentLengthConflict
            | ParseErrorKind::BodyTooShort
            | ParseErrorKind::TrailingOctets => Some(400),
        }
    }
}

/// What can be wrong with a frame; [`ParseError::status`] answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    #[error("nothing but line ends: a keep-alive, not a message")]
    Empty,
    #[error("the start line is neither a Request-Line nor a Status-Line")]
    StartLine,
    #[error("the SIP version is not 2.0")]
    Version,
    #[error("the status code is not within 100 to 699")]
    StatusCode,
    #[error("the Request-URI is longer than allowed")]
    UriTooLong,
    #[error("a header line has no name or no colon")]
    HeaderLine,
    #[error("a CR or LF stands alone in the head")]
    LineEnd,
    #[error("the empty line after the header fields is missing")]
    Unterminated,
    #[error("the head is larger than allowed")]
    HeadTooLarge,
    #[error("there are more header fields than allowed")]
    TooManyRows,
    #[error("Content-Length is not a number")]
    ContentLength,
    #[error("Content-Length is given twice and differs")]
    ContentLengthConflict,
    #[error("the body is shorter than Content-Length says")]
    BodyTooShort,
    #[error("the body is larger than allowed")]
    BodyTooLarge,
    #[error("something follows the message")]
    TrailingOctets,
}

/// A header field that was asked for is not there or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// There is no such row, or none with a value.
    #[error("{} is missing", .0.name())]
    Missing(HeaderId),
    /// `at` counts octets from the start of the message.
    #[error("{} is malformed: {why} (octet {at})", .id.name())]
    Malformed { id: HeaderId, at: usize, why: Malformed },
}

/// Why a header value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    #[error("a value is empty")]
    Empty,
    #[error("a token is expected")]
    Token,
    #[error("a number is expected")]
    Number,
    #[error("a number is out of range")]
    Range,
    #[error("a quoted string does not end")]
    Quote,
    #[error("a comment does not end")]
    Comment,
    #[error("an angle bracket is missing")]
    Angle,
    #[error("text is neither ASCII nor UTF-8")]
    Utf8,
    #[error("the SIP version is not 2.0")]
    Version,
    #[error("a host is expected")]
    Host,
    #[error("the port is not within 0 to 65535")]
    Port,
    #[error("a parameter is broken")]
    Parameter,
    #[error("a display name without quotes holds more than tokens")]
    DisplayName,
    #[error("a URI with '?' needs angle brackets")]
    BareUri,
    #[error("a date as RFC 1123 writes it, in GMT, is expected")]
    Date,
    #[error("'*' is expected")]
    Star,
    #[error("an index such as 1.2 is expected")]
    Index,
    #[error("a signature in base64 is expected")]
    Digest,
    #[error("hexadecimal digits are expected")]
    Hex,
    #[error("32 hexadecimal digits in lower case are expected")]
    Uuid,
    #[error("a namespace, a dot and a priority are expected")]
    ResourcePriority,
    #[error("true or false is expected")]
    Boolean,
    #[error("something follows the value")]
    Trailing,
    #[error("the URI is wrong: {0}")]
    Uri(#[from] UriError),
}

/// Why a URI cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UriError {
    #[error("the scheme is missing")]
    Scheme,
    #[error("nothing follows the scheme")]
    Empty,
    #[error("it is longer than 65535 octets")]
    TooLong,
    #[error("a character is not allowed")]
    Character,
    #[error("'%' is not followed by two hexadecimal digits")]
    Escape,
    #[error("the user part before '@' is empty")]
    User,
    #[error("the host is neither a name nor an address")]
    Host,
    #[error("the port is not within 0 to 65535")]
    Port,
    #[error("a parameter is broken")]
    Parameter,
}
