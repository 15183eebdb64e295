//! From rows to values: walking the rows of a field and splitting its comma lists.

use std::marker::PhantomData;

use super::{Form, Header};
use crate::message::{
    Cursor, HeaderError, HeaderId, Limits, Malformed, Message, Span, Text, block,
    scan::{self, Octets},
};

/// One header row as it stands in the message.
#[derive(Debug, Clone, Copy)]
pub struct RawHeader<'m> {
    /// The field, or `Unknown`.
    pub id: HeaderId,
    /// Without white space at either end; folds are left in.
    pub value: &'m [u8],
    /// The place of the row among all rows, from 0.
    pub index: usize,
    /// Where `value` lies in the message.
    pub span: Span,
    /// Where the whole row lies, its line end included.
    pub line: Span,
    octets: Octets<'m>,
}

impl<'m> RawHeader<'m> {
    #[inline]
    pub(in crate::message) fn of(message: &'m Message, index: usize) -> Option<Self> {
        Self::within(message, Octets::new(&message.bytes), index)
    }

    #[inline(always)]
    fn within(message: &'m Message, octets: Octets<'m>, index: usize) -> Option<Self> {
        let row = message.index.row(index)?;
        let (span, line) = (row.value(), Span::new(row.start(), message.row_end(index)));
        Some(Self { id: row.id, value: message.octets(span), index, span, line, octets })
    }

    /// The name as written: in any case, possibly compact.
    pub fn name(&self) -> &'m str {
        let front = self.octets.bytes.get(self.line.start..self.span.start).unwrap_or_default();
        let length = scan::length_while(front, scan::is_token);
        scan::ascii(&front[..length]).unwrap_or_default()
    }

    /// The value for display.
    pub fn text(&self) -> Text<'m> {
        Text::plain(self.value)
    }

    /// Whether the value goes over several lines.
    pub fn is_folded(&self) -> bool {
        scan::has_line_end(self.value)
    }

    /// The values of the row, read as the field's type; a malformed value is one error, the values after it follow,
    /// unless it is the one with which [`Limits::MALFORMED`] is reached. For any other field's type the same as
    /// [`RawHeader::read`] goes.
    #[inline]
    pub fn values<H: Header>(&self) -> impl Iterator<Item = Result<H::View<'m>, HeaderError>> + use<'m, H> {
        RowValues::<H>::of(self.octets, self.span, Limits::MALFORMED)
    }

    /// The same as [`RawHeader::values`] for all that are sound up to the first malformed one, whose error it
    /// gives: the quickest way to read a row.
    #[inline(always)]
    pub fn visit<H: Header>(&self, mut with: impl FnMut(&H::View<'m>)) -> Result<(), HeaderError> {
        let all = Cursor::within(self.octets, self.span);
        let Some(next) = H::plain_front(all, &mut with) else { return Ok(()) };
        if H::FORM == Form::Single {
            with(&read_value::<H>(&mut { all })?);
            return Ok(());
        }
        let mut values = RowValues::<H>::of(self.octets, self.span, Limits::MALFORMED);
        values.rest.at = next;
        while values.left {
            with(&values.next_any()?);
        }
        Ok(())
    }

    /// Reads the row's first value as another field's type; for fields this library does not know.
    pub fn read<H: Header>(&self) -> Result<H::View<'m>, HeaderError> {
        let length = if H::FORM == Form::Single { self.value.len() } else { scan::value_length(self.value) };
        read_value::<H>(&mut Cursor::within(
            self.octets,
            Span::new(self.span.start, self.span.start + length),
        ))
    }
}

/// All rows of a message.
pub(in crate::message) struct AllRows<'m> {
    message: &'m Message,
    octets: Octets<'m>,
    next: usize,
}

impl<'m> AllRows<'m> {
    #[inline]
    pub(in crate::message) fn of(message: &'m Message) -> Self {
        let mut octets = Octets::new(&message.bytes);
        let checked = octets.checked(0, message.rows_end);
        // If there is anything beyond ASCII, each row is looked at by itself.
        if checked.ascii(0, message.rows_end).is_some() {
            octets = checked;
        }
        Self { message, octets, next: 0 }
    }
}

impl<'m> Iterator for AllRows<'m> {
    type Item = RawHeader<'m>;

    #[inline]
    fn next(&mut self) -> Option<RawHeader<'m>> {
        let row = RawHeader::within(self.message, self.octets, self.next)?;
        self.next += 1;
        Some(row)
    }
}

/// The rows of one field.
pub(in crate::message) struct Rows<'m> {
    message: &'m Message,
    id: HeaderId,
    next: usize,
}

impl<'m> Rows<'m> {
    pub(in crate::message) fn of(message: &'m Message, id: HeaderId) -> Self {
        Self { message, id, next: 0 }
    }
}

impl<'m> Iterator for Rows<'m> {
    type Item = RawHeader<'m>;

    fn next(&mut self) -> Option<RawHeader<'m>> {
        let index = &self.message.index;
        let at = if self.next == 0 { index.first(self.id)? } else { index.next(self.id, self.next)? };
        self.next = at + 1;
        RawHeader::of(self.message, at)
    }
}

/// The first value of a field.
#[inline]
pub(in crate::message) fn first<'m, H: Header>(
    message: &'m Message,
) -> Option<Result<H::View<'m>, HeaderError>> {
    let mut at = message.index.first(H::ID)?;
    loop {
        let span = message.index.row(at)?.value();
        if H::FORM == Form::OptionalList && span.is_empty() {
            at = message.index.next(H::ID, at + 1)?;
            continue;
        }
        let octets = Octets::new(&message.bytes);
        let all = Cursor::within(octets, span);
        if H::FORM == Form::Single {
            return Some(read_value::<H>(&mut { all }));
        }
        if let Some(view) = H::plain(&all) {
            return Some(Ok(view));
        }
        return RowValues::<H>::of(octets, span, Limits::MALFORMED).next();
    }
}

/// The values of one row.
struct RowValues<'m, H> {
    /// What is left of the row.
    rest: Cursor<'m>,
    /// Whether there is a value, which may be empty.
    left: bool,
    /// Whether values can be read without cutting them off first, which may look at all of the row.
    uncut: bool,
    /// How many malformed ones are still told of.
    patience: u8,
    field: PhantomData<H>,
}

impl<'m, H: Header> RowValues<'m, H> {
    #[inline]
    fn of(octets: Octets<'m>, row: Span, patience: u8) -> Self {
        let empty = H::FORM == Form::OptionalList && row.is_empty();
        // Otherwise it might be done for each value.
        let octets = if H::FORM == Form::Single { octets } else { octets.checked(row.start, row.end) };
        Self {
            rest: Cursor::within(octets, row),
            left: !empty,
            uncut: H::STOPS_AT_COMMA,
            patience,
            field: PhantomData,
        }
    }

    /// Passes over a value that ends at `end`, if another or nothing follows it right there.
    #[inline(always)]
    fn pass(&mut self, end: usize) -> bool {
        if end >= self.rest.end {
            self.left = false;
            return true;
        }
        let comma = self.rest.octets.bytes.get(end) == Some(&b',');
        if comma {
            self.rest.at = end + 1;
        }
        comma
    }

    /// Counts a malformed value; after the last that is told of the rest is not read.
    #[inline(always)]
    fn tire(&mut self) {
        self.patience = self.patience.saturating_sub(1);
        self.left &= self.patience > 0;
    }

    /// The next value, whatever it is.
    #[inline]
    fn next_any(&mut self) -> Result<H::View<'m>, HeaderError> {
        if H::FORM == Form::Single {
            self.left = false;
            return read_value::<H>(&mut self.rest);
        }
        if !self.uncut {
            return self.next_cut();
        }
        let mut cursor = self.rest;
        cursor.skip_ws();
        let empty = cursor.is_done();
        match H::read(&mut cursor) {
            Ok(view) => {
                match cursor.peek_spaced() {
                    None => self.left = false,
                    Some(b',') => self.rest.at = cursor.at + 1,
                    Some(_) => return self.next_cut(),
                }
                Ok(view)
            }
            Err(why) if !empty && !scan::has_comma(self.rest.rest()) => {
                self.left = false;
                Err(malformed::<H>(cursor.at, why))
            }
            Err(_) => self.next_cut(),
        }
    }

    /// The next value that is no plain word.
    #[inline(never)]
    fn next_slowly(&mut self) -> Result<H::View<'m>, HeaderError> {
        let value = self.next_any();
        if value.is_err() {
            self.tire();
        }
        value
    }

    /// From here on cuts values off, and gives the next value with all that is before its comma.
    fn next_cut(&mut self) -> Result<H::View<'m>, HeaderError> {
        let Cursor { octets, at, end } = self.rest;
        let value_end = at + scan::value_length(octets.bytes.get(at..end).unwrap_or_default());
        self.uncut = false;
        self.left = value_end < end;
        // What is left is the value itself for as long as it is read.
        self.rest.end = value_end;
        let value = read_value::<H>(&mut self.rest);
        self.rest.end = end;
        self.rest.at = value_end + usize::from(self.left);
        value
    }
}

impl<'m, H: Header> Iterator for RowValues<'m, H> {
    type Item = Result<H::View<'m>, HeaderError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.left {
            return None;
        }
        if let Some((view, end)) = H::plain_word(self.rest)
            && self.pass(end)
        {
            return Some(Ok(view));
        }
        Some(self.next_slowly())
    }
}

/// The values of one field.
pub(in crate::message) struct Values<'m, H> {
    message: &'m Message,
    /// The row that comes next.
    next_row: Option<usize>,
    row: RowValues<'m, H>,
}

impl<'m, H: Header> Values<'m, H> {
    #[inline(always)]
    pub(in crate::message) fn of(message: &'m Message) -> Self {
        let rest = Cursor::new(b"");
        let row =
            RowValues { rest, left: false, uncut: false, patience: Limits::MALFORMED, field: PhantomData };
        Self { message, next_row: message.index.first(H::ID), row }
    }
}

impl<'m, H: Header> Iterator for Values<'m, H> {
    type Item = Result<H::View<'m>, HeaderError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.row.left {
                return self.row.next();
            }
            let at = self.next_row.filter(|_| self.row.patience > 0)?;
            let index = &self.message.index;
            self.next_row = index.next(H::ID, at + 1);
            let span = index.row(at)?.value();
            let octets = Octets::new(&self.message.bytes);
            if H::FORM == Form::Single || is_short_value(octets.bytes, span) {
                let mut all = Cursor::within(octets, span);
                if let Some((view, end)) = H::plain_word(all)
                    && end == all.end
                {
                    return Some(Ok(view));
                }
                let value = read_value::<H>(&mut all);
                if value.is_err() {
                    self.row.tire();
                }
                return Some(value);
            }
            self.row = RowValues::of(octets, span, self.row.patience);
        }
    }
}

/// Where the comma-separated values of a row lie, white space not included.
pub(in crate::message) fn spans(row: RawHeader<'_>) -> impl Iterator<Item = Span> + '_ {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start = at?;
        let rest = row.value.get(start..)?;
        let length = scan::value_length(rest);
        at = (length < rest.len()).then_some(start + length + 1);
        let before = rest[..length].iter().take_while(|&&byte| scan::is_ws(byte)).count();
        let trimmed = scan::trim(&rest[..length]).len();
        let first = row.span.start + start + before;
        Some(Span::new(first, first + trimmed))
    })
}

/// Whether a row is at most sixteen octets with no comma, so that it is one value and soon read.
#[inline(always)]
fn is_short_value(bytes: &[u8], row: Span) -> bool {
    let block = bytes.get(row.start..).and_then(|rest| rest.first_chunk());
    let length = row.end.wrapping_sub(row.start);
    matches!(length, 1..=16) && block.is_some_and(|block| block::equal(b',', block) << (32 - length) == 0)
}

/// One value, and nothing after it.
#[inline(always)]
fn read_value<'m, H: Header>(cursor: &mut Cursor<'m>) -> Result<H::View<'m>, HeaderError> {
    cursor.skip_ws();
    if cursor.is_done() && H::FORM != Form::Single {
        return Err(malformed::<H>(cursor.at, Malformed::Empty));
    }
    match H::read(cursor) {
        Ok(view) => match cursor.finish() {
            Ok(()) => Ok(view),
            Err(why) => Err(malformed::<H>(cursor.at, why)),
        },
        Err(why) => Err(malformed::<H>(cursor.at, why)),
    }
}

fn malformed<H: Header>(at: usize, why: Malformed) -> HeaderError {
    HeaderError::Malformed { id: H::ID, at, why }
}
