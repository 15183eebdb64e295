//! Byte classes of RFC 3261 §25.1 and the cursor with which values are read.
//!
//! Inside a header value CR and LF occur only as part of a fold (the index has seen to that), so all
//! four white-space octets count as LWS here.

use ascii::AsciiStr;
use memchr::{memchr, memchr2};

use super::{
    Malformed,
    block::{self, Walk, end_of},
};

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

/// A message, or text that stands alone, and the part of it that is known to be ASCII: to check that once is
/// cheaper than for each word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Octets<'m> {
    pub(super) bytes: &'m [u8],
    /// `None` if nobody has looked; empty if there is something beyond ASCII, so that each word is checked by
    /// itself.
    ascii: Option<&'m AsciiStr>,
    /// Where that part begins.
    base: usize,
}

impl<'m> Octets<'m> {
    #[inline]
    pub(super) fn new(bytes: &'m [u8]) -> Self {
        Self { bytes, ascii: None, base: 0 }
    }

    /// The same, if a part of them is not known to be ASCII or something else, with that looked at.
    #[inline]
    pub(super) fn checked(self, start: usize, end: usize) -> Self {
        match self.ascii {
            Some(_) => self,
            None => Self { ascii: Some(self.look(start, end)), base: start, ..self },
        }
    }

    #[inline]
    fn look(self, start: usize, end: usize) -> &'m AsciiStr {
        match self.bytes.get(start..end).map(AsciiStr::from_ascii) {
            Some(Ok(text)) => text,
            _ => <&AsciiStr>::default(),
        }
    }

    /// A part that is known to be ASCII.
    #[inline(always)]
    pub(super) fn ascii(self, start: usize, end: usize) -> Option<&'m AsciiStr> {
        let (start, end) = (start.wrapping_sub(self.base), end.wrapping_sub(self.base));
        self.ascii?.as_slice().get(start..end).map(Into::into)
    }

    /// A part, if it is UTF-8.
    #[inline]
    pub(super) fn text(self, start: usize, end: usize) -> Option<&'m str> {
        match self.ascii(start, end) {
            Some(text) => Some(text.as_str()),
            None => ascii(self.bytes.get(start..end)?),
        }
    }
}

/// Text, which is cut into words more cheaply if it is known to be ASCII.
#[derive(Clone, Copy)]
pub(super) enum Words<'m> {
    Ascii(&'m AsciiStr),
    Utf8(&'m str),
}

impl<'m> Words<'m> {
    pub(super) const NONE: Words<'static> = Words::Utf8("");

    #[inline]
    pub(super) fn as_str(self) -> &'m str {
        match self {
            Self::Ascii(text) => text.as_str(),
            Self::Utf8(text) => text,
        }
    }

    /// A part as words again.
    #[inline(always)]
    pub(super) fn words(self, (start, end): (u16, u16)) -> Self {
        let part = usize::from(start)..usize::from(end);
        match self {
            Self::Ascii(text) => Self::Ascii(text.as_slice().get(part).unwrap_or_default().into()),
            Self::Utf8(text) => Self::Utf8(text.get(part).unwrap_or_default()),
        }
    }

    /// A part, if there is one.
    #[inline(always)]
    pub(super) fn part(self, (start, end): (u16, u16)) -> Option<&'m str> {
        let part = usize::from(start)..usize::from(end);
        match self {
            Self::Ascii(text) => text.as_slice().get(part).map(|text| <&AsciiStr>::from(text).as_str()),
            Self::Utf8(text) => text.get(part),
        }
    }
}

impl Default for Words<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

/// A place in a header value, moved forward by what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'m> {
    pub(super) octets: Octets<'m>,
    /// Octets from the start of the message, or of text that stands alone.
    pub(super) at: usize,
    /// Where the value ends, within the octets.
    pub(super) end: usize,
}

impl<'m> Cursor<'m> {
    /// At the start of text that stands alone.
    pub fn new(bytes: &'m [u8]) -> Self {
        Self { octets: Octets::new(bytes), at: 0, end: bytes.len() }
    }

    /// At a value in a message.
    #[inline]
    pub(super) fn within(octets: Octets<'m>, span: Span) -> Self {
        let end = span.end.min(octets.bytes.len());
        Self { octets, at: span.start.min(end), end }
    }

    /// Octets from the start of the message.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// What is still to be read.
    #[inline]
    pub fn rest(&self) -> &'m [u8] {
        self.octets.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// The next octet.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        if self.is_done() { None } else { self.octets.bytes.get(self.at).copied() }
    }

    /// Passes over that many octets.
    #[inline]
    pub(super) fn advance(&mut self, length: usize) {
        self.at = self.end.min(self.at + length);
    }

    /// The next octets as text, if they are UTF-8; they are still to be read.
    #[inline]
    pub(super) fn ahead(&self, length: usize) -> Option<&'m str> {
        self.octets.text(self.at, self.end.min(self.at + length))
    }

    /// Takes that many octets as text; takes nothing if they are not UTF-8.
    #[inline]
    pub(super) fn take_text(&mut self, length: usize) -> Option<&'m str> {
        let text = self.ahead(length)?;
        self.at += length;
        Some(text)
    }

    /// Passes over SP, HTAB and folds.
    #[inline]
    pub fn skip_ws(&mut self) {
        if let Some(byte) = self.peek()
            && byte <= b' '
        {
            self.at = after_ws(self.octets.bytes, self.at, self.end);
        }
    }

    /// The next octet behind white space, which is passed over.
    #[inline]
    pub(super) fn peek_spaced(&mut self) -> Option<u8> {
        match self.peek() {
            Some(byte) if byte <= b' ' => {
                self.skip_ws();
                self.peek()
            }
            next => next,
        }
    }

    /// Takes `byte` if it comes next.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Goes behind `byte` if that is what is at `at`.
    #[inline(always)]
    pub(super) fn eat_at(&mut self, at: usize, byte: u8) -> bool {
        self.at = at;
        self.eat(byte)
    }

    /// Takes `byte` with the white space around it.
    #[inline]
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
    #[inline]
    pub fn take_while(&mut self, class: impl Fn(u8) -> bool) -> &'m [u8] {
        let rest = self.rest();
        let length = length_while(rest, class);
        self.at += length;
        &rest[..length]
    }

    /// Where the next value of a list begins, if one ends at `end`, where there is a comma or nothing more.
    #[inline(always)]
    pub(super) fn after_comma(&self, end: usize) -> Option<usize> {
        if end == self.end { None } else { Some(end + 1) }
    }

    /// Takes everything that is left, without white space at either end.
    pub fn take_rest(&mut self) -> &'m [u8] {
        let rest = trim(self.rest());
        self.at = self.end;
        rest
    }

    /// Takes a token of at least one octet.
    #[inline]
    pub fn token(&mut self) -> Result<&'m str, Malformed> {
        let start = self.at;
        // What ends a value is no octet of a host.
        let mut end = end_of::<block::Host>(self.octets.bytes, start);
        if end < self.end && self.octets.bytes.get(end).copied().is_some_and(is_token) {
            end += any_token(self.octets.bytes.get(end..self.end).unwrap_or_default());
        }
        if end == start {
            return Err(Malformed::Token);
        }
        self.at = end;
        self.octets.text(start, end).ok_or(Malformed::Token)
    }

    /// The token that comes next and where it ends, if it holds nothing that a host could not hold, as most do.
    #[inline(always)]
    pub(super) fn plain_token(self) -> Option<(&'m str, usize)> {
        // What ends a value is no such octet.
        let Octets { bytes, .. } = self.octets;
        let end = end_of::<block::Host>(bytes, self.at);
        let is_end = |&byte: &u8| byte == b',' || !is_token(byte);
        if end == self.at || !bytes.get(end).is_none_or(is_end) {
            return None;
        }
        Some((self.octets.text(self.at, end)?, end))
    }

    /// The same behind white space.
    #[inline(always)]
    pub(super) fn plain_spaced_token(mut self) -> Option<(&'m str, usize)> {
        self.skip_ws();
        self.plain_token()
    }

    /// Where the token that comes next ends, if it holds nothing that a host could not hold, or is "*".
    #[inline(always)]
    pub(super) fn plain_word_end(&self) -> Option<usize> {
        let bytes = self.octets.bytes;
        let end = end_of::<block::Host>(bytes, self.at);
        let end = if end == self.at { end + usize::from(bytes.get(end) == Some(&b'*')) } else { end };
        if end > self.at && end <= self.end { Some(end) } else { None }
    }

    /// Whether a value of a list ends at `end`, with no white space before its comma.
    #[inline(always)]
    pub(super) fn ends_at(&self, end: usize) -> bool {
        end == self.end || self.octets.bytes.get(end) == Some(&b',')
    }

    /// A token or "*" which is all of the value that comes next, behind white space, and where it ends.
    #[inline(always)]
    pub(super) fn plain_value(mut self) -> Option<(&'m str, usize)> {
        self.skip_ws();
        let end = self.plain_word_end().filter(|&end| self.ends_at(end))?;
        Some((self.octets.ascii(self.at, end)?.as_str(), end))
    }

    /// Where the value that comes next ends, if it is "*".
    #[inline(always)]
    pub(super) fn plain_star(&self) -> Option<usize> {
        let end = self.at + 1;
        if self.peek() == Some(b'*') && self.ends_at(end) { Some(end) } else { None }
    }

    /// Goes to the tokens of a list up to the first that holds what a host could not hold, or has other white space
    /// around it than one space before it; gives where that one begins, or `None` if there is none.
    #[inline(always)]
    pub(super) fn plain_tokens(self, mut with: impl FnMut(&&'m str)) -> Option<usize> {
        let octets = self.octets.checked(self.at, self.end);
        let (Some(row), Some(bytes)) = (octets.ascii(self.at, self.end), octets.bytes.get(self.at..)) else {
            return Some(self.at);
        };
        let row = row.as_slice();
        let mut walk = Walk::new(bytes, 0);
        let mut begin = 0;
        loop {
            let mut start = begin;
            let (mut end, mut byte) = walk.next();
            if byte == b' ' && end == start {
                start += 1;
                (end, byte) = walk.next();
            }
            match row.get(start..end) {
                Some(token @ [_, ..]) if byte == b',' || end == row.len() => {
                    with(&<&AsciiStr>::from(token).as_str());
                }
                _ => return Some(self.at + begin),
            }
            if byte != b',' {
                return None;
            }
            begin = end + 1;
        }
    }

    /// Takes 1*DIGIT; leading zeros are legal.
    #[inline]
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let (value, length) = leading_number(self.rest());
        self.at += length;
        value
    }

    /// Takes 1*DIGIT within 32 bits.
    #[inline]
    pub fn number_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed::Range)
    }

    /// Takes a quoted-string and gives what is between the quotes, escapes still in place.
    pub fn quoted(&mut self) -> Result<&'m [u8], Malformed> {
        let Some((b'"', text)) = self.rest().split_first() else { return Err(Malformed::Quote) };
        let length = closing_quote(text).ok_or(Malformed::Quote)?;
        self.at += length + 2;
        Ok(&text[..length])
    }

    /// Succeeds when nothing but white space is left.
    #[inline]
    pub fn finish(&mut self) -> Result<(), Malformed> {
        self.skip_ws();
        if self.is_done() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// Where the white space ends that begins at `at`, at the latest at `end`.
#[inline(always)]
fn after_ws(bytes: &[u8], at: usize, end: usize) -> usize {
    // Nearly always it is one space.
    match bytes.get(at..) {
        Some(&[b' ', next, ..]) if next > b' ' => at + 1,
        _ => after_all_ws(bytes, at, end),
    }
}

#[inline(never)]
fn after_all_ws(bytes: &[u8], mut at: usize, end: usize) -> usize {
    while at < end && bytes.get(at).copied().is_some_and(is_ws) {
        at += 1;
    }
    at
}

/// How long the token is that comes next, whatever it holds.
#[inline(never)]
fn any_token(text: &[u8]) -> usize {
    length_while(text, is_token)
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

/// How many octets there are before the first that is not visible in ASCII.
#[inline]
pub(super) fn visible_length(text: &[u8]) -> usize {
    end_of::<block::Visible>(text, 0)
}

/// Whether there is a CR or LF.
#[inline]
pub(super) fn has_line_end(text: &[u8]) -> bool {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let Some(last) = text.last_chunk::<8>() else {
        return text.iter().any(is_line_end);
    };
    // An octet below 14 sets the top bit, and so may others; then they are looked at one by one.
    let low = |block: &[u8; 8]| u64::from_le_bytes(*block).wrapping_sub(0x0E0E_0E0E_0E0E_0E0E);
    let found = text.as_chunks::<8>().0.iter().fold(low(last), |found, block| found | low(block));
    found & 0x8080_8080_8080_8080 != 0 && text.iter().any(is_line_end)
}

/// How many octets there are before the first that is not of a class.
#[inline]
pub(super) fn length_while(text: &[u8], class: impl Fn(u8) -> bool) -> usize {
    // Four at a time: fewer checks of the end.
    let (fours, rest) = text.as_chunks::<4>();
    let mut length = 0;
    for &[first, second, third, fourth] in fours {
        if !class(first) {
            return length;
        }
        if !class(second) {
            return length + 1;
        }
        if !class(third) {
            return length + 2;
        }
        if !class(fourth) {
            return length + 3;
        }
        length += 4;
    }
    length + rest.iter().position(|&byte| !class(byte)).unwrap_or(rest.len())
}

/// The octets before the next comma that separates values: outside quotes and angle brackets
/// (RFC 3261 §7.3.1). The whole text if there is none.
#[inline(always)]
pub(super) fn value_length(text: &[u8]) -> usize {
    // Most values are plain up to their comma.
    let plain = end_of::<block::Plain>(text, 0);
    if text.get(plain).is_none_or(|&byte| byte == b',') { plain } else { long_value_length(text, plain) }
}

/// The same from `at` on, where the first of a value's quotes or angle brackets is.
#[inline(never)]
fn long_value_length(text: &[u8], mut at: usize) -> usize {
    let mut bracketed = false;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if LIST[usize::from(byte)] {
            continue;
        }
        match byte {
            b',' if !bracketed => return at - 1,
            b'"' if !bracketed => match closing_quote(&text[at..]) {
                Some(length) => at += length + 1,
                None => return text.len(),
            },
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ => {}
        }
    }
    at
}

/// Whether there may be several values in a row.
pub(super) fn has_comma(text: &[u8]) -> bool {
    memchr(b',', text).is_some()
}

#[inline]
pub(super) fn is_ws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A parameter value that is not quoted. Wider than token / host: anything visible that cannot be
/// taken for a delimiter, because tags and branches in the field hold "=", "/", ":" and more.
pub(super) fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'<' | b'>')
}

/// Of a host name or IPv4 address; "_" is not in the grammar, but in names in use.
#[inline]
pub(super) fn is_host(byte: u8) -> bool {
    HOST[usize::from(byte)]
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_ws(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&byte| !is_ws(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The same as text, if it is UTF-8; mostly it is ASCII, which is sooner seen.
#[inline]
pub(super) fn ascii(bytes: &[u8]) -> Option<&str> {
    match AsciiStr::from_ascii(bytes) {
        Ok(text) => Some(text.as_str()),
        Err(_) => std::str::from_utf8(bytes).ok(),
    }
}

/// 1*DIGIT within 64 bits.
pub(super) fn number(digits: &[u8]) -> Result<u64, Malformed> {
    match leading_number(digits) {
        (Ok(_) | Err(Malformed::Range), length) if length < digits.len() => Err(Malformed::Number),
        (number, _) => number,
    }
}

/// The number at the front, and how many digits it has.
#[inline]
fn leading_number(text: &[u8]) -> (Result<u64, Malformed>, usize) {
    let mut sum = 0_u64;
    let mut length = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    match length {
        0 => (Err(Malformed::Number), 0),
        // Nineteen digits always fit.
        1..20 => (Ok(sum), length),
        _ => (long_number(&text[..length]), length),
    }
}

/// The same for so many digits that it may be too large, or has zeros before it.
#[cold]
fn long_number(digits: &[u8]) -> Result<u64, Malformed> {
    let more = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    digits.iter().try_fold(0, more).ok_or(Malformed::Range)
}

/// Everything but what `value_length` has to look at.
static LIST: [bool; 256] = {
    let mut table = [true; 256];
    table[b',' as usize] = false;
    table[b'"' as usize] = false;
    table[b'<' as usize] = false;
    table[b'>' as usize] = false;
    table
};

static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'.' | b'_');
        byte += 1;
    }
    table
};

static TOKEN: [bool; 256] = {
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
