//! The scan of a message with nothing unusual in it: each part is looked at as few times as can be, line
//! ends sixteen octets at a time.
//!
//! What is wrong with a message, and where, is not found here: this gives up, and `frame` looks again.

use memchr::memchr;

use super::{
    HeaderId, Limits,
    frame::Scan,
    index::{Index, Row, Start},
    scan::{self, Span},
};

/// Scans `bytes`, which begin with the start line, and puts the rows into `index`.
///
/// `None`, and a part of the rows, if there is anything to find fault with, and for a Request-URI beyond
/// ASCII or a second Content-Length, which can be right.
pub(super) fn scan(bytes: &[u8], limits: &Limits, index: &mut Index) -> Option<Scan> {
    let head = bytes.get(..bytes.len().min(limits.head).min(Limits::MAX_HEAD))?;
    let (start, next) = request_line(head, limits).or_else(|| status_line(head))?;
    let (rows_end, length) = rows(head, next, limits.rows, index)?;
    let body = rows_end + 2;
    let there = bytes.len() - body;
    let length = match length {
        Some(length) => usize::try_from(length).ok().filter(|&length| length <= there)?,
        None => there,
    };
    let body = Span::new(body, body + length);
    (length <= limits.body).then_some(Scan { start: Some(start), rows_end, body, error: None })
}

/// `Method SP Request-URI SP SIP/2.0 CRLF`, and where the next line begins.
#[inline]
fn request_line(head: &[u8], limits: &Limits) -> Option<(Start, usize)> {
    let space = scan::length_while(head, scan::is_token);
    let uri = space + 1;
    let length = scan::visible_length(head.get(uri..)?);
    let end = uri + length;
    let version = b" SIP/2.0\r\n";
    let sound = space > 0 && head[space] == b' ' && length > 0 && length <= limits.uri;
    if !sound || !head.get(end..)?.starts_with(version) {
        return None;
    }
    let start = Start::Request { method: (0, space as u16), uri: (uri as u16, end as u16) };
    Some((start, end + version.len()))
}

/// `SIP/2.0 SP 3DIGIT SP Reason-Phrase CRLF`, and where the next line begins.
#[inline]
fn status_line(head: &[u8]) -> Option<(Start, usize)> {
    let rest = head.strip_prefix(b"SIP/2.0 ")?;
    let [hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', ..] = *rest else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let end = line_end(head, 12)?;
    let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    Some((Start::Response { status, reason: (12, end as u16) }, end + 2))
}

/// Reads the rows from `start` up to the empty line, and gives where that is, and Content-Length.
fn rows(head: &[u8], mut start: usize, limit: usize, index: &mut Index) -> Option<(usize, Option<u64>)> {
    let mut content_length = None;
    loop {
        let name = known(head, start);
        if name.is_none() && head.get(start..)?.starts_with(b"\r\n") {
            return Some((start, content_length));
        }
        let mut end = line_end(head, start)?;
        let mut folded = false;
        while let Some(b' ' | b'\t') = head.get(end + 2) {
            end = line_end(head, end + 2)?;
            folded = true;
        }
        let (id, colon) = match name {
            Some(name) => name,
            None => any(head, start, end)?,
        };
        let mut row = placed(head, start, colon, end, id);
        row.folded = folded;
        if id == HeaderId::ContentLength {
            let value = row.value();
            let length = scan::number(head.get(value.start..value.end)?).ok()?;
            if content_length.replace(length).is_some() {
                return None;
            }
        }
        if index.len() >= limit {
            return None;
        }
        index.push(row);
        start = end + 2;
    }
}

/// Where the CRLF is that ends the line from `at`; `None` if a bare CR or LF comes first.
#[inline(always)]
fn line_end(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += next_low(head.get(at..)?);
        match head.get(at..)? {
            [b'\r', b'\n', ..] => return Some(at),
            [b'\r' | b'\n', ..] => return None,
            _ => at += 1,
        }
    }
}

/// The place of an octet before which there is no CR or LF; 16 are looked at in one go.
#[inline(always)]
fn next_low(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((block, more)) = rest.split_first_chunk::<16>() {
        let [first, second] = low(block);
        if (first | second) & TOPS != 0
            && let Some(at) = first_low(block)
        {
            return text.len() - rest.len() + at;
        }
        rest = more;
    }
    text.len() - rest.len() + scan::length_while(rest, |byte| byte >= 14)
}

/// Sets the top bit of each octet below 14: CR, LF, HTAB and what is rare. It is set for other octets too,
/// those above ASCII and 14 right behind a lower one.
#[inline(always)]
fn low(block: &[u8; 16]) -> [u64; 2] {
    let [first, second] = words(block);
    [first.wrapping_sub(FOURTEENS), second.wrapping_sub(FOURTEENS)]
}

/// The first octet below 14, if those above ASCII are left out of account.
#[inline(always)]
fn first_low(block: &[u8; 16]) -> Option<usize> {
    let [first, second] = words(block);
    let first = first.wrapping_sub(FOURTEENS) & !first & TOPS;
    let second = second.wrapping_sub(FOURTEENS) & !second & TOPS;
    let (half, found) = if first != 0 { (0, first) } else { (8, second) };
    (found != 0).then(|| half + found.trailing_zeros() as usize / 8)
}

#[inline(always)]
fn words(block: &[u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *block;
    [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest)]
}

/// The top bit of each octet.
const TOPS: u64 = 0x8080_8080_8080_8080;
const FOURTEENS: u64 = 0x0E0E_0E0E_0E0E_0E0E;

/// The row from `start` to the line end at `end`, if it is one.
pub(super) fn row(head: &[u8], start: usize, end: usize) -> Option<Row> {
    let (id, colon) = any(head, start, end)?;
    let mut row = placed(head, start, colon, end, id);
    row.folded = scan::has_line_end(head.get(start..end)?);
    Some(row)
}

/// The row with the place of its value.
#[inline]
fn placed(head: &[u8], start: usize, colon: usize, end: usize, id: HeaderId) -> Row {
    let is_ws = |at: usize| head.get(at).copied().is_some_and(scan::is_ws);
    let mut value = Span::new(colon + 1, end);
    while value.start < end && is_ws(value.start) {
        value.start += 1;
    }
    while value.end > value.start && is_ws(value.end - 1) {
        value.end -= 1;
    }
    if value.is_empty() {
        // An empty value lies right after the colon.
        value = Span::new(colon + 1, colon + 1);
    }
    Row::new(id, start, value, false)
}

/// Any name that is a token, and where its colon is. Before the colon there may be SP and HTAB, but no fold
/// (RFC 3261 §25.1 HCOLON).
#[cold]
fn any(head: &[u8], start: usize, end: usize) -> Option<(HeaderId, usize)> {
    let line = head.get(start..end)?;
    let colon = memchr(b':', line)?;
    let end = line[..colon].iter().rposition(|byte| !matches!(byte, b' ' | b'\t'))? + 1;
    let name = &line[..end];
    name.iter().copied().all(scan::is_token).then(|| (HeaderId::from_name(name), start + colon))
}

/// A known name of up to 15 octets at `start`, and where the colon right behind it is.
#[inline]
fn known(head: &[u8], start: usize) -> Option<(HeaderId, usize)> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *head.get(start..)?.first_chunk::<16>()?;
    let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let colon = colons(first);
    let (key, length) = if colon != 0 {
        // The octets before the colon: below its lowest bit.
        let before = colon.wrapping_sub(1) >> 7 & !colon;
        (Key(first & before | before & CASE, 0), colon.trailing_zeros() / 8)
    } else {
        let second = u64::from_le_bytes(rest);
        let colon = colons(second);
        if colon == 0 {
            return None;
        }
        let before = colon.wrapping_sub(1) >> 7 & !colon;
        (Key(first | CASE, second & before | before & CASE), 8 + colon.trailing_zeros() / 8)
    };
    let id = NAMES.slots[key.slot(NAMES.factor)];
    (NAMES.keys[usize::from(id)] == key).then(|| (NAMES.ids[usize::from(id)], start + length as usize))
}

/// Sets the top bit of the first ":" in eight octets; bits above it mean nothing.
#[inline]
fn colons(octets: u64) -> u64 {
    // Zero where there is a colon; subtracting one from each octet then borrows into its top bit.
    let other = octets ^ 0x3A3A_3A3A_3A3A_3A3A;
    other.wrapping_sub(0x0101_0101_0101_0101) & !other & TOPS
}

/// Makes letters lower case, and nothing else a letter. It makes CR a hyphen: a bare CR is found with the
/// line's end.
const CASE: u64 = 0x2020_2020_2020_2020;

/// A name of up to 15 octets in lower case, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64, u64);

impl Key {
    const fn of(name: &[u8]) -> Self {
        let mut octets = [[0; 8]; 2];
        let mut at = 0;
        while at < name.len() {
            octets[at / 8][at % 8] = name[at] | 0x20;
            at += 1;
        }
        Self(u64::from_le_bytes(octets[0]), u64::from_le_bytes(octets[1]))
    }

    #[inline]
    const fn slot(self, factor: u64) -> usize {
        ((self.0 ^ self.1.rotate_left(23)).wrapping_mul(factor) >> (64 - SLOT_BITS)) as usize
    }
}

/// Every known name of up to 15 octets and every compact form, found by its slot.
struct Names {
    factor: u64,
    slots: [u8; 1 << SLOT_BITS],
    keys: [Key; COUNT],
    ids: [HeaderId; COUNT],
}

const SLOT_BITS: u32 = 11;
const COUNT: usize = 256;

/// The first factor with which no two names share a slot.
static NAMES: Names = {
    let mut names = Names {
        factor: 0,
        slots: [0; 1 << SLOT_BITS],
        keys: [Key(0, 0); COUNT],
        ids: [HeaderId::Unknown; COUNT],
    };
    // The entry 0 is for no name.
    let mut count = 1;
    let mut at = 0;
    while at < HeaderId::KNOWN.len() {
        let id = HeaderId::KNOWN[at];
        if id.name().len() < 16 {
            names.keys[count] = Key::of(id.name().as_bytes());
            names.ids[count] = id;
            count += 1;
        }
        if let Some(letter) = id.compact() {
            names.keys[count] = Key::of(&[letter as u8]);
            names.ids[count] = id;
            count += 1;
        }
        at += 1;
    }
    let mut factor: u64 = 0x9E37_79B9_7F4A_7C15;
    loop {
        let mut slots = [0; 1 << SLOT_BITS];
        let mut at = 1;
        while at < count {
            let slot = names.keys[at].slot(factor);
            if slots[slot] != 0 {
                break;
            }
            slots[slot] = at as u8;
            at += 1;
        }
        if at == count {
            names.factor = factor;
            names.slots = slots;
            break;
        }
        factor = factor.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
    names
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_any_case_and_no_other() {
        let read = |name: &str| {
            let line = format!("{name}: value of it\r\n");
            row(line.as_bytes(), 0, line.len() - 2).map(|row| (row.id, row.value().start))
        };
        for id in HeaderId::KNOWN {
            let name = id.name();
            for text in [name.to_owned(), name.to_uppercase(), name.to_lowercase()] {
                assert_eq!(read(&text), Some((id, text.len() + 2)), "{text}");
            }
            if let Some(letter) = id.compact() {
                assert_eq!(read(&letter.to_string()), Some((id, 3)));
            }
            for at in 0..name.len() {
                for octet in 1..128_u8 {
                    let mut other = name.to_owned().into_bytes();
                    other[at] = octet;
                    let other = String::from_utf8(other).unwrap();
                    if !other.bytes().all(scan::is_token) {
                        continue;
                    }
                    let id = HeaderId::from_name(other.as_bytes());
                    assert_eq!(read(&other), Some((id, name.len() + 2)), "{other}");
                }
            }
        }
    }

    /// A bare CR is close to a hyphen, and 14 behind a low octet close to a line end.
    #[test]
    fn near_misses_are_left_to_the_frame() {
        let limits = Limits::default();
        let scan = |text: &str| scan(text.as_bytes(), &limits, &mut Index::default()).is_some();
        assert!(scan("BYE sip:a SIP/2.0\r\nMax-Forwards: 70\r\n\r\n"));
        assert!(scan("BYE sip:a SIP/2.0\r\nMax-Forwards: 7\t\u{e}\u{e}0\r\n\r\n"));
        for wrong in
            ["Max\rForwards: 70", "Max-Forwards:\r70", "Max-Forwards: 7\n0", "Max-Forwards 70", ": 70"]
        {
            assert!(!scan(&format!("BYE sip:a SIP/2.0\r\n{wrong}\r\n\r\n")), "{wrong:?}");
        }
    }

    #[test]
    fn line_ends_wherever_they_lie() {
        for length in 0..70 {
            for rest in 0..20 {
                let text = format!(
                    "{}\r\n{}",
                    "a\tb\u{e9}\u{e}".repeat(12).get(..length).unwrap_or("aé"),
                    "x".repeat(rest)
                );
                assert_eq!(line_end(text.as_bytes(), 0), text.find('\r'), "{text:?}");
                assert_eq!(line_end(text.replace("\r\n", "\n").as_bytes(), 0), None);
                assert_eq!(line_end(text.replace("\r\n", "\r").as_bytes(), 0), None);
            }
        }
    }
}
