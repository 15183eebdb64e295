//! The scan of a message with nothing unusual in it: each part is looked at as few times as can be, line
//! ends sixteen octets at a time.
//!
//! What is wrong with a message, and where, is not found here: this gives up, and `frame` looks again.

use memchr::memchr;

use super::{
    HeaderId, Limits,
    block::{LineEnds, first},
    index::{Index, Start},
    scan::{self, Span},
};

/// What a message consists of.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    pub(super) start: Start,
    /// Where the header rows end and the empty line begins.
    pub(super) rows_end: usize,
    pub(super) body: Span,
}

/// Scans `bytes`, which begin with the start line, and puts the rows into `index`, which is empty.
///
/// `None`, and a part of the rows, if there is anything to find fault with, and for a Request-URI beyond
/// ASCII or a second Content-Length, which can be right.
#[inline]
pub(super) fn scan(bytes: &[u8], limits: &Limits, index: &mut Index) -> Option<Plain> {
    let head = bytes.get(..bytes.len().min(limits.head).min(Limits::MAX_HEAD))?;
    let mut lines = LineEnds::default();
    let (start, end) = start_line(head, &mut lines, limits)?;
    let rows_end = rows(head, lines, end + 2, index)?;
    if index.len() > limits.rows {
        return None;
    }
    let body = rows_end + 2;
    let there = bytes.len() - body;
    let length = match length(head, index)? {
        Some(length) => usize::try_from(length).ok().filter(|&length| length <= there)?,
        None => there,
    };
    let body = Span::new(body, body + length);
    (length <= limits.body).then_some(Plain { start, rows_end, body })
}

/// The start line, and where it ends.
#[inline(always)]
fn start_line(head: &[u8], lines: &mut LineEnds, limits: &Limits) -> Option<(Start, usize)> {
    let end = loop {
        match lines.next() {
            None => lines.look(head)?,
            Some(end) if head.get(end..)?.first_chunk() == Some(b"\r\n") => break end,
            Some(end) if is_other(head, end) => {}
            Some(_) => return None,
        }
    };
    lines.pass_feed();
    let line = head.get(..end)?;
    let start = request_line(line, limits).or_else(|| status_line(line))?;
    Some((start, end))
}

/// `Method SP Request-URI SP SIP/2.0`.
#[inline]
fn request_line(line: &[u8], limits: &Limits) -> Option<Start> {
    let space = scan::length_while(line, scan::is_token);
    let end = line.len().checked_sub(VERSION.len())?;
    let uri = line.get(space + 1..end)?;
    let sound = space > 0
        && line[space] == b' '
        && line.ends_with(VERSION)
        && !uri.is_empty()
        && uri.len() <= limits.uri
        && scan::visible_length(uri) == uri.len();
    sound.then_some(Start::Request { method: (0, space as u16), uri: (space as u16 + 1, end as u16) })
}

const VERSION: &[u8] = b" SIP/2.0";

/// `SIP/2.0 SP 3DIGIT SP Reason-Phrase`.
#[inline]
fn status_line(line: &[u8]) -> Option<Start> {
    let rest = line.strip_prefix(b"SIP/2.0 ")?;
    let [hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', ..] = *rest else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    Some(Start::Response { status, reason: (12, line.len() as u16) })
}

/// Reads the rows from `start` up to the empty line, and gives where that is.
#[inline(never)]
fn rows(head: &[u8], mut lines: LineEnds, mut start: usize, index: &mut Index) -> Option<usize> {
    let mut count = 0;
    loop {
        while let Some(end) = lines.next() {
            // The octet before the line end too, which is looked at below.
            let &[last, b'\r', b'\n'] = head.get(end.wrapping_sub(1)..)?.first_chunk()? else {
                if is_other(head, end) {
                    continue;
                }
                return None;
            };
            lines.pass_feed();
            if end == start {
                index.set_len(count);
                return Some(start);
            }
            // Nearly always a name follows, at last the CR of the empty line; white space makes a fold.
            if *head.get(end + 2)? <= b' ' && head[end + 2] != b'\r' {
                if matches!(head[end + 2], b' ' | b'\t') {
                    continue;
                }
                return None;
            }
            match known(head, start) {
                // Nearly always there is one space before the value and none after it.
                Some((id, colon, [b' ', first])) if first > b' ' && last > b' ' => {
                    index.put(count, id, start, Span::new(colon + 2, end));
                }
                _ => {
                    let (id, value) = row(head, start, end)?;
                    index.put(count, id, start, value);
                }
            }
            count += 1;
            start = end + 2;
        }
        lines.look(head)?;
    }
}

/// Whether a low octet at the end of no line is no CR or LF that stands alone: HTAB, or what is rare, or the LF
/// of a line that ended with the block before.
#[cold]
fn is_other(head: &[u8], at: usize) -> bool {
    match head.get(at) {
        Some(b'\r') => false,
        Some(b'\n') => at > 0 && head.get(at - 1) == Some(&b'\r'),
        _ => true,
    }
}

/// The number of octets in the body, if it is given; `None` if that is no number, or given twice.
fn length(head: &[u8], index: &Index) -> Option<Option<u64>> {
    let Some(at) = index.first(HeaderId::ContentLength) else { return Some(None) };
    if index.next(HeaderId::ContentLength, at + 1).is_some() {
        return None;
    }
    let value = index.row(at)?.value();
    scan::number(head.get(value.start..value.end)?).ok().map(Some)
}

/// The field and the value of the row from `start` to the line end at `end`, if it is one.
#[cold]
pub(super) fn row(head: &[u8], start: usize, end: usize) -> Option<(HeaderId, Span)> {
    let (id, colon) = any(head, start, end)?;
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
    Some((id, value))
}

/// Any name that is a token, and where its colon is. Before the colon there may be SP and HTAB, but no fold
/// (RFC 3261 §25.1 HCOLON).
fn any(head: &[u8], start: usize, end: usize) -> Option<(HeaderId, usize)> {
    let line = head.get(start..end)?;
    let colon = memchr(b':', line)?;
    let end = line[..colon].iter().rposition(|byte| !matches!(byte, b' ' | b'\t'))? + 1;
    let name = &line[..end];
    name.iter().copied().all(scan::is_token).then(|| (HeaderId::from_name(name), start + colon))
}

/// A known name of up to 15 octets at `start`, where the colon right behind it is, and the two octets after that.
#[inline(always)]
fn known(head: &[u8], start: usize) -> Option<(HeaderId, usize, [u8; 2])> {
    let front = head.get(start..)?.first_chunk::<18>()?;
    let octets = front.first_chunk::<16>()?;
    let length = first(b':', octets)?;
    let key = Key::new(octets).and(MASKS[length]);
    let name = &NAMES.names[usize::from(NAMES.slots[key.slot(NAMES.factor)])];
    (name.0 == key).then_some((name.1, start + length, [front[length + 1], front[length + 2]]))
}

/// A name of up to 15 octets in upper case, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64, u64);

impl Key {
    #[inline(always)]
    const fn new(octets: &[u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *octets;
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest))
    }

    const fn of(name: &[u8]) -> Self {
        let mut octets = [0; 16];
        let mut at = 0;
        while at < name.len() {
            octets[at] = name[at] & UPPER;
            at += 1;
        }
        Self::new(&octets)
    }

    #[inline(always)]
    const fn and(self, mask: Self) -> Self {
        Self(self.0 & mask.0, self.1 & mask.1)
    }

    #[inline(always)]
    const fn slot(self, factor: u64) -> usize {
        ((self.0 ^ self.1.rotate_left(23)).wrapping_mul(factor) >> (64 - SLOT_BITS)) as usize
    }
}

/// Makes letters upper case, and nothing else a letter. It makes a hyphen a CR: a CR that stands alone is found
/// with the ends of lines.
const UPPER: u8 = !0x20;

/// For a name of each length, what is kept of sixteen octets.
static MASKS: [Key; 16] = {
    let mut masks = [Key(0, 0); 16];
    let mut length = 0;
    while length < 16 {
        masks[length] = Key::of([0xFF; 16].split_at(length).0);
        length += 1;
    }
    masks
};

/// Every known name of up to 15 octets and every compact form, found by its slot.
struct Names {
    factor: u64,
    slots: [u8; 1 << SLOT_BITS],
    names: [(Key, HeaderId); COUNT],
}

const SLOT_BITS: u32 = 11;
const COUNT: usize = 256;

/// The first factor with which no two names share a slot.
static NAMES: Names = {
    let mut names = Names {
        factor: 0,
        slots: [0; 1 << SLOT_BITS],
        names: [(Key(0, 0), HeaderId::Unknown); COUNT],
    };
    // The entry 0 is for no name.
    let mut count = 1;
    let mut at = 0;
    while at < HeaderId::KNOWN.len() {
        let id = HeaderId::KNOWN[at];
        if id.name().len() < 16 {
            names.names[count] = (Key::of(id.name().as_bytes()), id);
            count += 1;
        }
        if let Some(letter) = id.compact() {
            names.names[count] = (Key::of(&[letter as u8]), id);
            count += 1;
        }
        at += 1;
    }
    let mut factor: u64 = 0x9E37_79B9_7F4A_7C15;
    loop {
        let mut slots = [0; 1 << SLOT_BITS];
        let mut at = 1;
        while at < count {
            let slot = names.names[at].0.slot(factor);
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
            row(line.as_bytes(), 0, line.len() - 2).map(|(id, value)| (id, value.start))
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

    /// A start line and a row that end anywhere in a block.
    #[test]
    fn line_ends_wherever_they_lie() {
        let limits = Limits::default();
        for first in 0..140 {
            for second in 0..140 {
                let uri = "a".repeat(first + 1);
                let value: String = "a\tb\u{e9}\u{e}c".chars().cycle().take(second).collect();
                let text = format!("BYE {uri} SIP/2.0\r\nX:{value}\r\n\r\n");
                let mut index = Index::default();
                let Some(found) = scan(text.as_bytes(), &limits, &mut index) else { panic!("{text:?}") };
                assert_eq!((found.rows_end, index.len()), (text.len() - 2, 1), "{text:?}");
                for wrong in [text.replacen("\r\n", "\n", 1), text.replacen("\r\n", "\r", 1)] {
                    assert!(scan(wrong.as_bytes(), &limits, &mut Index::default()).is_none(), "{wrong:?}");
                }
            }
        }
    }
}
