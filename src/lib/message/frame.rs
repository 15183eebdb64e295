//! A scan over the head of a message: start line, header rows, where the body lies.
//!
//! Line ends are CRLF; a bare CR or LF in the head is refused (RFC 3261 §7, §25.1: elsewhere the same
//! octets could be read as different header fields). Empty lines before the start line are skipped
//! (§7.5). The scan notes the first error and goes on as far as sense can be made, so that the same code
//! serves `parse` (any error refuses) and `salvage` (what is there is enough to answer 400).

use memchr::{memchr, memchr2};

use super::{
    HeaderId, Limits, Method, ParseError, ParseErrorKind,
    index::{Index, Start},
    rows,
    scan::{self, Span},
};

/// What one scan found.
pub(super) struct Scan {
    /// `None`: this is no SIP message at all.
    pub(super) start: Option<Start>,
    /// Where the header rows end and the empty line begins.
    pub(super) rows_end: usize,
    pub(super) body: Span,
    pub(super) error: Option<ParseError>,
}

/// Octets of CR and LF before the start line.
pub(super) fn leading_line_ends(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte != b'\r' && byte != b'\n').unwrap_or(bytes.len())
}

/// Scans `bytes`, which begin with the start line, and puts the rows into `index`; what it held is dropped.
pub(super) fn scan(bytes: &[u8], limits: &Limits, index: &mut Index) -> Scan {
    index.clear();
    let head = &bytes[..bytes.len().min(limits.head).min(Limits::MAX_HEAD)];
    let mut scanner = Scanner {
        bytes,
        limits,
        head,
        index,
        found: Scan { start: None, rows_end: 0, body: Span::new(bytes.len(), bytes.len()), error: None },
        content_length: None,
        response: false,
    };
    scanner.run();
    scanner.found
}

struct Scanner<'b> {
    bytes: &'b [u8],
    limits: &'b Limits,
    /// The octets in which the head must end.
    head: &'b [u8],
    index: &'b mut Index,
    found: Scan,
    content_length: Option<u64>,
    response: bool,
}

impl Scanner<'_> {
    fn run(&mut self) {
        if self.bytes.is_empty() {
            return self.fail(0, ParseErrorKind::Empty);
        }
        let Some((end, next)) = self.line(0) else {
            return self.blame_uri();
        };
        self.start_line(end);
        if self.found.start.is_none() {
            return;
        }
        self.rows(next);
    }

    /// The rows one by one, with what is wrong with them.
    fn rows(&mut self, mut at: usize) {
        let mut count = 0;
        loop {
            self.found.rows_end = at;
            // The empty line that ends the head.
            let Some((mut end, mut next)) = self.line(at) else { return };
            if end == at {
                return self.body(next);
            }
            while matches!(self.head.get(next), Some(b' ' | b'\t')) {
                let Some(line) = self.line(next) else { return };
                (end, next) = line;
            }
            if count >= self.limits.rows {
                return self.fail(at, ParseErrorKind::TooManyRows);
            }
            count += usize::from(self.row(at, end));
            at = next;
        }
    }

    /// The end of the line that begins at `at`, and where the next begins.
    fn line(&mut self, at: usize) -> Option<(usize, usize)> {
        let mut from = at;
        loop {
            let Some(length) = self.head.get(from..).and_then(|rest| memchr2(b'\r', b'\n', rest)) else {
                self.unterminated();
                return None;
            };
            let stop = from + length;
            match (self.head[stop], self.head.get(stop + 1)) {
                (b'\r', Some(b'\n')) => return Some((stop, stop + 2)),
                (b'\r', None) => {
                    self.unterminated();
                    return None;
                }
                (b'\n', _) => {
                    self.fail(stop, ParseErrorKind::LineEnd);
                    return Some((stop, stop + 1));
                }
                _ => self.fail(stop, ParseErrorKind::LineEnd),
            }
            from = stop + 1;
        }
    }

    fn unterminated(&mut self) {
        if self.head.len() < self.bytes.len() {
            self.fail(self.head.len(), ParseErrorKind::HeadTooLarge);
        } else {
            self.fail(self.bytes.len(), ParseErrorKind::Unterminated);
        }
    }

    /// A head that is full before its first line ends has a Request-URI to blame, if that is one.
    fn blame_uri(&mut self) {
        let method = self.head.iter().take_while(|&&byte| scan::is_token(byte)).count();
        if let Some(error) = &mut self.found.error
            && error.kind == ParseErrorKind::HeadTooLarge
        {
            error.kind = match self.head.get(method) {
                Some(b' ') if method > 0 => ParseErrorKind::UriTooLong,
                _ => ParseErrorKind::StartLine,
            };
        }
    }

    /// Whether the lines from `start` to `end` are a header row.
    fn row(&mut self, start: usize, end: usize) -> bool {
        let Some((id, value)) = rows::row(self.head, start, end) else {
            self.fail(start, ParseErrorKind::HeaderLine);
            return false;
        };
        if id == HeaderId::ContentLength {
            self.content_length(value.start, &self.head[value.start..value.end]);
        }
        self.index.push(id, start, value);
        true
    }

    /// Two that agree are harmless; two that differ would let two elements see different bodies.
    fn content_length(&mut self, at: usize, value: &[u8]) {
        let length = match scan::number(value) {
            Ok(length) => length,
            Err(super::Malformed::Range) => u64::MAX,
            Err(_) => return self.fail(at, ParseErrorKind::ContentLength),
        };
        if self.content_length.is_some_and(|before| before != length) {
            return self.fail(at, ParseErrorKind::ContentLengthConflict);
        }
        self.content_length = Some(length);
    }

    /// Octets after the body are not part of the message (RFC 3261 §18.3).
    fn body(&mut self, start: usize) {
        let there = self.bytes.len() - start;
        let length = match self.content_length {
            None => there,
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= there => length,
                _ => {
                    self.fail(self.bytes.len(), ParseErrorKind::BodyTooShort);
                    there
                }
            },
        };
        if length > self.limits.body {
            self.fail(start, ParseErrorKind::BodyTooLarge);
        }
        self.found.body = Span::new(start, start + length);
    }

    fn start_line(&mut self, end: usize) {
        let line = &self.head[..end];
        if line.get(..4).is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/")) {
            self.response = true;
            self.status_line(line);
        } else {
            self.request_line(line);
        }
    }

    /// `SIP-Version SP 3DIGIT SP Reason-Phrase`; the second SP may be missing with an empty phrase.
    fn status_line(&mut self, line: &[u8]) {
        let version = memchr(b' ', line).unwrap_or(line.len());
        match Version::of(&line[..version]) {
            Version::Two => {}
            Version::Another => return self.fail(0, ParseErrorKind::Version),
            Version::None => return self.fail(0, ParseErrorKind::StartLine),
        }
        let code = version + 1;
        let rest = line.get(code..).unwrap_or_default();
        let length = memchr(b' ', rest).unwrap_or(rest.len());
        let status = match (length, scan::number(&rest[..length])) {
            (3, Ok(status @ 100..=699)) => short(status as usize),
            _ => return self.fail(code.min(line.len()), ParseErrorKind::StatusCode),
        };
        let reason = (code + length + 1).min(line.len());
        self.found.start = Some(Start::Response { status, reason: (short(reason), short(line.len())) });
    }

    /// `Method SP Request-URI SP SIP-Version` with single spaces (RFC 3261 §7.1).
    fn request_line(&mut self, line: &[u8]) {
        let Some(space) = memchr(b' ', line) else {
            return self.fail(0, ParseErrorKind::StartLine);
        };
        if space == 0 || !line[..space].iter().copied().all(scan::is_token) {
            return self.fail(0, ParseErrorKind::StartLine);
        }
        let trimmed = line.trim_ascii_end();
        let last = memchr::memrchr(b' ', trimmed).unwrap_or(space);
        let uri_end = match Version::of(&trimmed[last + usize::from(last < trimmed.len())..]) {
            Version::Two => last,
            Version::Another => {
                self.fail(last + 1, ParseErrorKind::Version);
                last
            }
            Version::None => {
                self.fail(last, ParseErrorKind::StartLine);
                trimmed.len()
            }
        };
        let between = line.get(space + 1..uri_end).unwrap_or_default();
        let uri = between.trim_ascii();
        let uri_start = space + 1 + between.len() - between.trim_ascii_start().len();
        if uri.is_empty()
            || uri.len() != between.len()
            || trimmed.len() != line.len()
            || uri.iter().any(|&byte| byte <= b' ' || byte == 0x7F)
            || std::str::from_utf8(uri).is_err()
        {
            self.fail(uri_start, ParseErrorKind::StartLine);
        }
        if uri.len() > self.limits.uri {
            self.fail(uri_start, ParseErrorKind::UriTooLong);
        }
        self.found.start = Some(Start::Request {
            method: (0, short(space)),
            uri: (short(uri_start), short(uri_start + uri.len())),
        });
    }

    /// The first error is the one that counts.
    fn fail(&mut self, at: usize, kind: ParseErrorKind) {
        let response = self.response;
        self.found.error.get_or_insert(ParseError { at, kind, response });
    }
}

enum Version {
    Two,
    Another,
    None,
}

impl Version {
    /// `SIP/2.0` in any case (RFC 3261 §7.1).
    fn of(text: &[u8]) -> Self {
        if text.eq_ignore_ascii_case(b"SIP/2.0") {
            return Self::Two;
        }
        let Some(number) =
            text.get(..4).filter(|front| front.eq_ignore_ascii_case(b"SIP/")).map(|_| &text[4..])
        else {
            return Self::None;
        };
        let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        match memchr(b'.', number) {
            Some(dot) if digits(&number[..dot]) && digits(&number[dot + 1..]) => Self::Another,
            _ => Self::None,
        }
    }
}

/// A position in the head, which is at most 65535 octets long.
fn short(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// The method a request line names; the span holds a token.
#[inline]
pub(super) fn method(name: &[u8]) -> Method<'_> {
    Method::of(name).unwrap_or_else(|| Method::Other(scan::ascii(name).unwrap_or_default()))
}
