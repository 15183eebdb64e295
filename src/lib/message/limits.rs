//! What a message may cost, in one place: each limit with the status that answers its breach.

/// Bounds on what [`Message::parse`](super::Message::parse) accepts, in octets unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Start line and header fields with the empty line: 513 Message Too Large (RFC 3261 §21.5.7).
    /// Positions are 16 bits wide, so values above [`Limits::MAX_HEAD`] act as that.
    pub head: usize,
    /// Number of header field rows: 513.
    pub rows: usize,
    /// The Request-URI: 414 Request-URI Too Long (RFC 3261 §21.4.12).
    pub uri: usize,
    /// The body as Content-Length states it: 413 Request Entity Too Large (RFC 3261 §21.4.11).
    pub body: usize,
    /// Parts of a multipart body: 400.
    pub parts: usize,
    /// How deep multipart bodies may be nested: 400.
    pub depth: usize,
}

impl Limits {
    /// The largest head an index can describe.
    pub const MAX_HEAD: usize = u16::MAX as usize;
    /// How many malformed values of one field [`Message::each`](super::Message::each) tells of: who sends more sends
    /// nothing that is worth reading on, and each costs more than the octets of a sound message.
    pub const MALFORMED: u8 = 16;
    /// For what this library wrote itself: only what the index cannot hold is refused.
    pub(super) const NONE: Self = Self {
        head: Self::MAX_HEAD,
        rows: usize::MAX,
        uri: Self::MAX_HEAD,
        body: usize::MAX,
        parts: usize::MAX,
        depth: 8,
    };
}

impl Default for Limits {
    /// 16 KiB of head in at most 256 rows, a Request-URI of 2 KiB, a body of 1 MiB in at most 64 parts, 8 deep.
    fn default() -> Self {
        Self { head: 16 << 10, rows: 256, uri: 2 << 10, body: 1 << 20, parts: 64, depth: 8 }
    }
}
