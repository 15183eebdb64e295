//! Byte classes of RFC 3261 §25.1 and the cursor with which values are read.
//!
//! Inside a header value CR and LF occur only as part of a fold (the index has seen to that), so all
//! four white-space octets count as LWS here.

use memchr::memchr2;

use super::Malformed;

/// Where something lies in a message, in octets from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first octet.
    pub start: usize,
    /// The octet after the last.
    pub end: usize,
}

impl Span {
    /// From the first octet to the one after the last.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Whether nothing lies in it.
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A place in a header value, moved forward by what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'m> {
    bytes: &'m [u8],
    at: usize,
    /// Where `bytes` begins in the message; 0 for text that stands alone.
    origin: usize,
}

impl<'m> Cursor<'m> {
    /// At the start of text that stands alone.
    pub fn new(bytes: &'m [u8]) -> Self {
        Self::within(bytes, 0)
    }

    pub(super) fn within(bytes: &'m [u8], origin: usize) -> Self {
        Self { bytes, at: 0, origin }
    }

    /// Octets from the start of the message.
    pub fn position(&self) -> usize {
        self.origin + self.at
    }

    /// What is still to be read.
    pub fn rest(&self) -> &'m [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Passes over SP, HTAB and folds.
    pub fn skip_ws(&mut self) {
        while self.peek().is_some_and(is_ws) {
            self.at += 1;
        }
    }

    /// Takes `byte` if it comes next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte` with the white space around it.
    pub fn eat_spaced(&mut self, byte: u8) -> bool {
        let before = self.at;
        self.skip_ws();
        if self.eat(byte) {
            self.skip_ws();
            return true;
        }
        self.at = before;
        false
    }

    /// Takes octets as long as `class` holds, possibly none.
    pub fn take_while(&mut self, class: impl Fn(u8) -> bool) -> &'m [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !class(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Takes everything that is left, without white space at either end.
    pub fn take_rest(&mut self) -> &'m [u8] {
        let rest = trim(self.rest());
        self.at = self.bytes.len();
        rest
    }

    /// Takes a token of at least one octet.
    pub fn token(&mut self) -> Result<&'m str, Malformed> {
        ascii(self.take_while(is_token)).filter(|token| !token.is_empty()).ok_or(Malformed::Token)
    }

    /// Takes 1*DIGIT; leading zeros are legal.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        number(self.take_while(|byte| byte.is_ascii_digit()))
    }

    /// Takes 1*DIGIT within 32 bits.
    pub fn number_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed::Range)
    }

    /// Takes a quoted-string and gives what is between the quotes, escapes still in place.
    pub fn quoted(&mut self) -> Result<&'m [u8], Malformed> {
        if !self.eat(b'"') {
            return Err(Malformed::Quote);
        }
        let length = closing_quote(self.rest()).ok_or(Malformed::Quote)?;
        let inner = &self.rest()[..length];
        self.at += length + 1;
        Ok(inner)
    }

    /// Succeeds when nothing but white space is left.
    pub fn finish(&mut self) -> Result<(), Malformed> {
        self.skip_ws();
        if self.is_done() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// The octets before the quote that ends a quoted-string; `text` begins after the opening one.
pub(super) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The octets before the next comma that separates values: outside quotes and angle brackets
/// (RFC 3261 §7.3.1). The whole text if there is none.
pub(super) fn value_length(text: &[u8]) -> usize {
    let mut at = 0;
    let mut bracketed = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b',' if !bracketed => return at,
            b'"' if !bracketed => match closing_quote(&text[at + 1..]) {
                Some(length) => at += length + 1,
                None => return text.len(),
            },
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ => {}
        }
        at += 1;
    }
    at
}

pub(super) fn is_ws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A parameter value that is not quoted. Wider than token / host: anything visible that cannot be
/// taken for a delimiter, because tags and branches in the field hold "=", "/", ":" and more.
pub(super) fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'<' | b'>')
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_ws(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&byte| !is_ws(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

pub(super) fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// 1*DIGIT within 64 bits.
pub(super) fn number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() {
        return Err(Malformed::Number);
    }
    digits.iter().try_fold(0_u64, |sum, &digit| match digit {
        b'0'..=b'9' => sum
            .checked_mul(10)
            .and_then(|sum| sum.checked_add(u64::from(digit - b'0')))
            .ok_or(Malformed::Range),
        _ => Err(Malformed::Number),
    })
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
            | b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_end_at_the_first_unescaped_quote() {
        let mut cursor = Cursor::new(br#""a\"b\\" c"#);
        assert_eq!(cursor.quoted(), Ok(&br#"a\"b\\"#[..]));
        assert_eq!(cursor.rest(), b" c");
        for open in [&b"\"abc"[..], b"\"abc\\\"", b"\"abc\\", b"\"", b"abc\""] {
            assert_eq!(Cursor::new(open).quoted(), Err(Malformed::Quote), "{open:?}");
        }
    }

    #[test]
    fn commas_split_outside_quotes_and_brackets() {
        let cases: [(&[u8], usize); 6] = [
            (b"a,b", 1),
            (b"\"a,b\" <sip:x>,c", 13),
            (b"<sip:a,b@c>;q=1,d", 15),
            (b"\"a\\\",b\",c", 7),
            (b"abc", 3),
            (b"\"never ends, so", 15),
        ];
        for (text, length) in cases {
            assert_eq!(value_length(text), length, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn numbers_do_not_overflow() {
        assert_eq!(number(b"0009"), Ok(9));
        assert_eq!(number(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), Err(Malformed::Range));
        assert_eq!(number(b""), Err(Malformed::Number));
        assert_eq!(number(b"-1"), Err(Malformed::Number));
    }
}
