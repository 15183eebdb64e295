//! What may be written into a head. A caller's value can hold anything, so the rule that nothing breaks
//! out of its place is kept here and nowhere else:
//!
//! * in a header value every CR and LF becomes a space;
//! * in a header name or method every octet that is not of a token becomes "-";
//! * in a Request-URI white space and controls are %-escaped.

use std::fmt::{self, Display, Write};

use bytes::{BufMut, BytesMut};

use super::{Limits, scan};

/// `name: value CRLF`; leaves `out` as it was, and says so, if the head would grow beyond `limit`.
pub(super) fn row(out: &mut BytesMut, name: &str, value: impl Display, limit: usize) -> bool {
    let before = out.len();
    token(out, name);
    out.put_slice(b": ");
    self::value(out, value);
    out.put_slice(b"\r\n");
    within(out, before, limit)
}

pub(super) fn value(out: &mut BytesMut, value: impl Display) {
    // Writing to memory does not fail; a Display that fails leaves what it wrote.
    let _ = write!(Value(out), "{value}");
}

/// The same for octets that need not be UTF-8.
pub(super) fn octets(out: &mut BytesMut, value: &[u8]) {
    out.extend(value.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
}

pub(super) fn token(out: &mut BytesMut, token: &str) {
    if token.is_empty() {
        out.put_u8(b'-');
    }
    out.extend(token.bytes().map(|byte| if scan::is_token(byte) { byte } else { b'-' }));
}

/// What is too long for any start line is cut off, what is empty named invalid.
pub(super) fn uri(out: &mut BytesMut, uri: impl Display) {
    let before = out.len();
    let _ = write!(UriText(out), "{uri}");
    if out.len() == before {
        out.put_slice(b"sip:invalid");
    }
    let end = out.len().min(before + MAX_URI);
    // The cut must not split a character: the start line is UTF-8.
    let cut = (before..=end).rev().find(|&at| out.get(at).is_none_or(|byte| byte & 0xC0 != 0x80));
    out.truncate(cut.unwrap_or(end));
}

/// Takes back what was written since `before` if that is too much.
pub(super) fn within(out: &mut BytesMut, before: usize, limit: usize) -> bool {
    let fits = out.len() <= limit;
    if !fits {
        out.truncate(before);
    }
    fits
}

/// Room for what the head needs in the end: Content-Length and the empty line.
pub(super) const HEAD_ROOM: usize = Limits::MAX_HEAD - 64;

const MAX_URI: usize = 16 << 10;

struct Value<'b>(&'b mut BytesMut);

impl fmt::Write for Value<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        octets(self.0, text.as_bytes());
        Ok(())
    }
}

struct UriText<'b>(&'b mut BytesMut);

impl fmt::Write for UriText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte <= b' ' || byte == 0x7F {
                write!(self.0, "%{byte:02X}")?;
            } else {
                self.0.put_u8(byte);
            }
        }
        Ok(())
    }
}
