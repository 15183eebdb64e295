//! The scan of a message with nothing unusual in it: each part is looked at as few times as can be, line
//! ends sixteen octets at a time.
//!
//! What is wrong with a message, and where, is not found here: this gives up, and `frame` looks again.

use memchr::memchr;

use super::{
    HeaderId, Limits,
    block::{self, LineEnds, end_of, equal, same},
    index::{Index, Row, Start},
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
    let mut ends = LineEnds::default();
    let (start, end) = start_line(head, &mut ends, limits)?;
    let rows_end = lines(head, ends, end + 2, index)?;
    if index.len() > limits.rows {
        return None;
    }
    fields(head, index)?;
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

/// Finds where the rows from `start` up to the empty line begin and end, and gives where that is.
#[inline(never)]
fn lines(head: &[u8], mut ends: LineEnds, mut start: usize, index: &mut Index) -> Option<usize> {
    let mut count = 0;
    loop {
        while let Some(end) = ends.next() {
            match line_end(head, start, end)? {
                Line::Row => {
                    ends.pass_feed();
                    if !index.put(count, start, end) {
                        return more_lines(head, ends, start, end, index);
                    }
                    count += 1;
                    start = end + 2;
                }
                Line::Fold => ends.pass_feed(),
                Line::Other => {}
                Line::Empty => {
                    index.set_len(count);
                    return Some(start);
                }
            }
        }
        ends.look(head)?;
    }
}

/// The same for rows beyond those that `index` has place for, the first of which goes from `start` to `end`: a loop of its
/// own, as one for both would cost every message.
#[cold]
#[inline(never)]
fn more_lines(
    head: &[u8],
    mut ends: LineEnds,
    mut start: usize,
    end: usize,
    index: &mut Index,
) -> Option<usize> {
    let rows = index.spill();
    rows.push(Row::line_of(start, end));
    start = end + 2;
    loop {
        while let Some(end) = ends.next() {
            match line_end(head, start, end)? {
                Line::Row => {
                    ends.pass_feed();
                    rows.push(Row::line_of(start, end));
                    start = end + 2;
                }
                Line::Fold => ends.pass_feed(),
                Line::Other => {}
                Line::Empty => {
                    index.spilled();
                    return Some(start);
                }
            }
        }
        ends.look(head)?;
    }
}

/// What a low octet ends.
enum Line {
    Row,
    /// A line whose row goes on.
    Fold,
    /// The empty line behind all rows.
    Empty,
    /// Nothing.
    Other,
}

/// What the low octet at `end` ends, in a line that begins at `start`; `None` if it may not be there.
#[inline(always)]
fn line_end(head: &[u8], start: usize, end: usize) -> Option<Line> {
    Some(match head.get(end..).and_then(|rest| rest.first_chunk()) {
        Some(&[b'\r', b'\n', next]) => {
            if end == start {
                Line::Empty
            } else if next <= b' ' && matches!(next, b' ' | b'\t') {
                // White space at the start of a line makes it part of the row.
                Line::Fold
            } else {
                Line::Row
            }
        }
        // Nothing is left but the empty line.
        None if end == start && head.get(end..) == Some(b"\r\n") => Line::Empty,
        _ if is_other(head, end) => Line::Other,
        _ => return None,
    })
}

/// Finds names and values of the rows that `lines` found.
#[inline(never)]
fn fields(head: &[u8], index: &mut Index) -> Option<()> {
    let (rows, first) = index.parts();
    // From the last on, so that the first row of a field is noted last.
    for (at, place) in rows.iter_mut().enumerate().rev() {
        let (start, end) = place.line();
        match known(head, start) {
            Some((id, value)) if head.get(end.wrapping_sub(1)).is_some_and(|&last| last > b' ') => {
                place.set(id, value);
            }
            _ => {
                let (id, value) = row(head, start, end)?;
                place.set_any(id, value);
            }
        }
        first.note(place.id, at);
    }
    Some(())
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
    // Most names are letters, digits and hyphens, with the colon right behind.
    let word = end_of::<block::Host>(head, start);
    if start < word
        && word < end
        && let Some(&[ref name @ .., b':']) = head.get(start..=word)
    {
        return Some((HeaderId::from_name(name), word));
    }
    let line = head.get(start..end)?;
    let colon = memchr(b':', line)?;
    let end = line[..colon].iter().rposition(|byte| !matches!(byte, b' ' | b'\t'))? + 1;
    let name = &line[..end];
    name.iter().copied().all(scan::is_token).then(|| (HeaderId::from_name(name), start + colon))
}

/// A name of up to 15 octets at `start` that is known, or surely is not, and where the value begins; with a colon behind
/// the name and one space at most, as nearly always. Something is before `start`.
#[inline(always)]
fn known(head: &[u8], start: usize) -> Option<(HeaderId, usize)> {
    let around = head.get(start.wrapping_sub(1)..)?.first_chunk::<19>()?;
    let [_, octets @ ..] = around.first_chunk::<17>()?;
    let colons = equal(b':', octets);
    if colons == 0 {
        return None;
    }
    let length = colons.trailing_zeros() as usize % 16;
    let value = match (around[length + 2], around[length + 3]) {
        (b' ', b'!'..) => start + length + 2,
        (b'!'.., _) => start + length + 1,
        _ => return None,
    };
    let key =
        Key { first: around[1], second: around[2], middle: around[length / 2 + 1], last: around[length] };
    let name = usize::from(NAMES.slots[key.slot(NAMES.factor)]) % COUNT;
    // All up to the first colon.
    let all = colons ^ colons.wrapping_sub(1);
    if same(octets, UPPER, &NAMES.names[name]) & all == all {
        return Some((NAMES.ids[name], value));
    }
    is_word(head, start, length).then_some((HeaderId::Unknown, value))
}

/// Whether the name at `start` is of letters, digits and hyphens, as most names are that are not known.
#[cold]
#[inline(never)]
fn is_word(head: &[u8], start: usize, length: usize) -> bool {
    length > 0 && end_of::<block::Host>(head, start) == start + length
}

/// Makes letters upper case, and nothing else a letter. It makes a hyphen a CR: a CR that stands alone is found
/// with the ends of lines.
const UPPER: u8 = !0x20;

/// Some octets of a name and the colon after it, enough to tell all names apart.
struct Key {
    first: u8,
    second: u8,
    middle: u8,
    last: u8,
}

impl Key {
    const fn of(name: &[u8; 16], length: usize) -> Self {
        Self { first: name[0], second: name[1], middle: name[length / 2], last: name[length - 1] }
    }

    #[inline(always)]
    const fn slot(&self, factor: u32) -> usize {
        let octets = u32::from_le_bytes([self.first, self.second, self.middle, self.last]);
        let letters = octets & u32::from_le_bytes([UPPER; 4]);
        (letters.wrapping_mul(factor) >> (32 - SLOT_BITS)) as usize
    }
}

/// Every known name of up to 15 octets and every compact form, found by its slot.
struct Names {
    factor: u32,
    slots: [u8; 1 << SLOT_BITS],
    /// In upper case, with a colon after each.
    names: [[u8; 16]; COUNT],
    ids: [HeaderId; COUNT],
}

const SLOT_BITS: u32 = 11;
const COUNT: usize = 128;

/// The first factor with which no two names share a slot.
static NAMES: Names = {
    let mut names = Names {
        factor: 0,
        slots: [0; 1 << SLOT_BITS],
        names: [[0; 16]; COUNT],
        ids: [HeaderId::Unknown; COUNT],
    };
    let mut lengths = [0; COUNT];
    // The entry 0 is for no name.
    let mut count = 1;
    let mut at = 0;
    while at < HeaderId::KNOWN.len() {
        let id = HeaderId::KNOWN[at];
        if id.name().len() < 16 {
            names.names[count] = upper(id.name().as_bytes());
            names.ids[count] = id;
            lengths[count] = id.name().len();
            count += 1;
        }
        if let Some(letter) = id.compact() {
            names.names[count] = upper(&[letter as u8]);
            names.ids[count] = id;
            lengths[count] = 1;
            count += 1;
        }
        at += 1;
    }
    let mut factor: u32 = 0x9E37_79B9;
    loop {
        let mut slots = [0; 1 << SLOT_BITS];
        let mut at = 1;
        while at < count {
            let slot = Key::of(&names.names[at], lengths[at]).slot(factor);
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
        factor = factor.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    names
};

/// A name in upper case with its colon.
const fn upper(name: &[u8]) -> [u8; 16] {
    let mut octets = [0; 16];
    let mut at = 0;
    while at < name.len() {
        octets[at] = name[at] & UPPER;
        at += 1;
    }
    octets[at] = b':' & UPPER;
    octets
}

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
