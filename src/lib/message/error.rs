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
    /// Only CR and LF: a keep-alive (RFC 5626 §3.5.1), which is not answered.
    #[error("nothing but line ends: a keep-alive, not a message")]
    Empty,
    /// Garbage: neither `Method SP Request-URI SP SIP-Version` nor a status line (RFC 3261 §7.1, §7.2).
    #[error("the start line is neither a Request-Line nor a Status-Line")]
    StartLine,
    /// A start line of another version of SIP; a request of it is answered 505.
    #[error("the SIP version is not 2.0")]
    Version,
    /// A status line whose code is outside 100 to 699.
    #[error("the status code is not within 100 to 699")]
    StatusCode,
    /// More octets than [`Limits::uri`](super::Limits::uri) in the Request-URI: 414.
    #[error("the Request-URI is longer than allowed")]
    UriTooLong,
    /// A line that is no header row (§7.3.1), white space before the first row included.
    #[error("a header line has no name or no colon")]
    HeaderLine,
    /// A bare CR or LF, which others might take for the end of a row (§25.1).
    #[error("a CR or LF stands alone in the head")]
    LineEnd,
    /// The bytes end before the head does.
    #[error("the empty line after the header fields is missing")]
    Unterminated,
    /// More octets than [`Limits::head`](super::Limits::head) before the body: 513.
    #[error("the head is larger than allowed")]
    HeadTooLarge,
    /// More rows than [`Limits::rows`](super::Limits::rows): 513.
    #[error("there are more header fields than allowed")]
    TooManyRows,
    /// A Content-Length that is no decimal number, or a greater one than 64 bits hold.
    #[error("Content-Length is not a number")]
    ContentLength,
    /// Two Content-Length rows that say different things: where the body ends is anybody's guess.
    #[error("Content-Length is given twice and differs")]
    ContentLengthConflict,
    /// The datagram ends before Content-Length is reached (§18.3).
    #[error("the body is shorter than Content-Length says")]
    BodyTooShort,
    /// More octets than [`Limits::body`](super::Limits::body) in the body: 413.
    #[error("the body is larger than allowed")]
    BodyTooLarge,
    /// Octets after the body in a WebSocket message, which holds one SIP message (RFC 7118 §5).
    #[error("something follows the message")]
    TrailingOctets,
}

/// A header field that was asked for is not there or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// There is no such row, or none with a value.
    #[error("{} is missing", .0.name())]
    Missing(HeaderId),
    /// The row is there, and what it says is against the grammar.
    #[error("{} is malformed: {why} (octet {at})", .id.name())]
    Malformed {
        /// The field that was read.
        id: HeaderId,
        /// Where reading stopped, in octets from the start of the message.
        at: usize,
        /// What is wrong there.
        why: Malformed,
    },
}

/// Why a header value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Nothing where a value must be, such as between two commas of a list (RFC 3261 §7.3.1).
    #[error("a value is empty")]
    Empty,
    /// No token (§25.1) where one must be.
    #[error("a token is expected")]
    Token,
    /// No decimal digit where a number begins.
    #[error("a number is expected")]
    Number,
    /// A number that is greater than the field allows.
    #[error("a number is out of range")]
    Range,
    /// A quotation mark without its partner.
    #[error("a quoted string does not end")]
    Quote,
    /// A "(" without its partner.
    #[error("a comment does not end")]
    Comment,
    /// A "<" without ">", or none where the field demands them.
    #[error("an angle bracket is missing")]
    Angle,
    /// Octets that are no UTF-8 in a quoted string or text.
    #[error("text is neither ASCII nor UTF-8")]
    Utf8,
    /// What stands for a host is neither a name nor an address (§25.1 host).
    #[error("a host is expected")]
    Host,
    /// No decimal number, or one above 65535, after the colon of a port.
    #[error("the port is not within 0 to 65535")]
    Port,
    /// A parameter without a name or with a value that is neither token, host nor quoted string, or one is missing that must be there.
    #[error("a parameter is broken")]
    Parameter,
    /// A display name that needs quotation marks (§25.1 display-name).
    #[error("a display name without quotes holds more than tokens")]
    DisplayName,
    /// A URI outside "<>" that holds a question mark, which §20.10 forbids.
    #[error("a URI with '?' needs angle brackets")]
    BareUri,
    /// Not the SIP-date of §20.17.
    #[error("a date as RFC 1123 writes it, in GMT, is expected")]
    Date,
    /// A feature set (RFC 3841 §10) that does not begin with "*".
    #[error("'*' is expected")]
    Star,
    /// A History-Info entry (RFC 7044 §5) without an index, or with one that is no list of numbers.
    #[error("an index such as 1.2 is expected")]
    Index,
    /// An Identity (RFC 8224 §4) without a signature.
    #[error("a signature in base64 is expected")]
    Digest,
    /// Something other than hexadecimal digits in a value that consists of them.
    #[error("hexadecimal digits are expected")]
    Hex,
    /// A Session-ID (RFC 7989 §5) that is no UUID as that RFC writes it.
    #[error("32 hexadecimal digits in lower case are expected")]
    Uuid,
    /// A Resource-Priority (RFC 4412 §3.1) without one of its two halves.
    #[error("a namespace, a dot and a priority are expected")]
    ResourcePriority,
    /// A truth value that is neither.
    #[error("true or false is expected")]
    Boolean,
    /// The value was read, and more stands before the end of the row or the next comma.
    #[error("something follows the value")]
    Trailing,
    /// The URI in the value.
    #[error("the URI is wrong: {0}")]
    Uri(#[from] UriError),
}

/// Why a URI cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UriError {
    /// No `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` before a colon (RFC 3986 §3.1).
    #[error("the scheme is missing")]
    Scheme,
    /// A scheme and its colon alone.
    #[error("nothing follows the scheme")]
    Empty,
    /// Longer than the index of a message can express.
    #[error("it is longer than 65535 octets")]
    TooLong,
    /// A character that must be escaped in this place (RFC 3261 §25.1), or that no URI may hold.
    #[error("a character is not allowed")]
    Character,
    /// A percent sign that escapes nothing.
    #[error("'%' is not followed by two hexadecimal digits")]
    Escape,
    /// An "@" with nothing before it.
    #[error("the user part before '@' is empty")]
    User,
    /// Between "@" and port or parameters stands no host (§25.1 host).
    #[error("the host is neither a name nor an address")]
    Host,
    /// No decimal number, or one above 65535, after the colon of the host.
    #[error("the port is not within 0 to 65535")]
    Port,
    /// A parameter without a name, or with an empty value after "=".
    #[error("a parameter is broken")]
    Parameter,
}
