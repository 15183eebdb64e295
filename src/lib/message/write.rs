//! What may be written into a head. A caller's value can hold anything, so the rule that nothing breaks
//! out of its place is kept here and nowhere else:
//!
//! * in a header value every CR and LF becomes a space;
//! * in a header name or method every octet that is not of a token becomes "-";
//! * in a Request-URI white space and controls are %-escaped.

use std::fmt::{self, Display, Write};

use bytes::BufMut;

use super::{Limits, scan};

/// `name: value CRLF`
pub(super) fn row(out: &mut Vec<u8>, name: &str, value: impl Display) {
    token(out, name);
    row_value(out, value);
}

/// The same after the name.
pub(super) fn row_value(out: &mut Vec<u8>, value: impl Display) {
    out.extend_from_slice(b": ");
    self::value(out, value);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn value(out: &mut Vec<u8>, value: impl Display) {
    let start = out.len();
    // Writing to memory does not fail; a Display that fails leaves what it wrote.
    let _ = write!(Raw(out), "{value}");
    blank(&mut out[start..]);
}

/// Makes every CR and LF a space.
#[inline]
fn blank(text: &mut [u8]) {
    if scan::has_line_end(text) {
        text.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
    }
}

/// The same for octets that need not be UTF-8.
pub(super) fn octets(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    blank(&mut out[start..]);
}

pub(super) fn token(out: &mut Vec<u8>, token: &str) {
    let sound = scan::length_while(token.as_bytes(), scan::is_token);
    if sound == token.len() && sound > 0 {
        out.extend_from_slice(token.as_bytes());
        return;
    }
    if token.is_empty() {
        out.push(b'-');
    }
    out.extend(token.bytes().map(|byte| if scan::is_token(byte) { byte } else { b'-' }));
}

/// What is too long for any start line is cut off, what is empty named invalid.
pub(super) fn uri(out: &mut Vec<u8>, uri: impl Display) {
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
pub(super) fn within(out: &mut Vec<u8>, before: usize, limit: usize) -> bool {
    let fits = out.len() <= limit;
    if !fits {
        out.truncate(before);
    }
    fits
}

/// Room for what the head needs in the end: Content-Length and the empty line.
pub(super) const HEAD_ROOM: usize = Limits::MAX_HEAD - 64;

const MAX_URI: usize = 16 << 10;

struct Raw<'b>(&'b mut Vec<u8>);

impl fmt::Write for Raw<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

struct UriText<'b>(&'b mut Vec<u8>);

impl fmt::Write for UriText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte <= b' ' || byte == 0x7F {
                let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
                self.0.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            } else {
                self.0.put_u8(byte);
            }
        }
        Ok(())
    }
}
