//! From rows to values: walking the rows of a field and splitting its comma lists.

use std::marker::PhantomData;

use super::{Form, Header};
use crate::message::{
    Cursor, HeaderError, HeaderId, Malformed, Message, Span, Text,
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
    message: &'m Message,
    /// The head, if it is known to be UTF-8.
    head: Option<&'m str>,
}

impl<'m> RawHeader<'m> {
    pub(in crate::message) fn of(message: &'m Message, index: usize) -> Option<Self> {
        Self::within(message, None, index)
    }

    #[inline]
    fn within(message: &'m Message, head: Option<&'m str>, index: usize) -> Option<Self> {
        let row = message.index.row(index)?;
        let (span, line) = (row.value(), Span::new(row.start(), message.row_end(index)));
        Some(Self { id: row.id, value: message.octets(span), index, span, line, message, head })
    }

    /// The name as written: in any case, possibly compact.
    pub fn name(&self) -> &'m str {
        let front = Span::new(self.line.start, self.span.start);
        let length = scan::length_while(self.message.octets(front), scan::is_token);
        let name = Span::new(front.start, front.start + length);
        scan::ascii(self.message.octets(name)).unwrap_or_default()
    }

    #[inline]
    fn octets(&self) -> Octets<'m> {
        match self.head {
            Some(head) => Octets::of(head.get(self.span.start..self.span.end).unwrap_or_default()),
            None => Octets::new(self.value),
        }
    }

    /// The value for display.
    pub fn text(&self) -> Text<'m> {
        Text::plain(self.value)
    }

    /// Whether the value goes over several lines.
    pub fn is_folded(&self) -> bool {
        scan::has_line_end(self.value)
    }

    /// The values of the row, read as the field's type; a malformed value is one error, the values after
    /// it follow. For any other field's type the same as [`RawHeader::read`] goes.
    #[inline]
    pub fn values<H: Header>(&self) -> impl Iterator<Item = Result<H::View<'m>, HeaderError>> + use<'m, H> {
        RowValues::<H>::of(self.octets(), self.span.start)
    }

    /// Reads the row's first value as another field's type; for fields this library does not know.
    pub fn read<H: Header>(&self) -> Result<H::View<'m>, HeaderError> {
        let length = if H::FORM == Form::Single { self.value.len() } else { scan::value_length(self.value) };
        read_value::<H>(self.octets().part(0, length), self.span.start)
    }
}

/// All rows of a message.
pub(in crate::message) struct AllRows<'m> {
    message: &'m Message,
    head: Option<&'m str>,
    next: usize,
}

impl<'m> AllRows<'m> {
    pub(in crate::message) fn of(message: &'m Message) -> Self {
        let head = message.octets(Span::new(0, message.rows_end));
        Self { message, head: scan::ascii(head), next: 0 }
    }
}

impl<'m> Iterator for AllRows<'m> {
    type Item = RawHeader<'m>;

    #[inline]
    fn next(&mut self) -> Option<RawHeader<'m>> {
        let row = RawHeader::within(self.message, self.head, self.next)?;
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
        let value = message.octets(span);
        if H::FORM == Form::OptionalList && value.is_empty() {
            at = message.index.next(H::ID, at + 1)?;
            continue;
        }
        return Some(read_first::<H>(Octets::new(value), span.start, true).0);
    }
}

/// The first value of a row or of its rest, how long it is, and whether it could be read without cutting it
/// off first; `uncut`: to try that, as it may look at all of the row.
#[inline]
fn read_first<H: Header>(
    octets: Octets<'_>,
    origin: usize,
    uncut: bool,
) -> (Result<H::View<'_>, HeaderError>, usize, bool) {
    if H::FORM == Form::Single {
        return (read_value::<H>(octets, origin), octets.bytes.len(), true);
    }
    if H::STOPS_AT_COMMA && uncut {
        let mut cursor = Cursor::within(octets, origin);
        cursor.skip_ws();
        let empty = cursor.is_done();
        match H::read(&mut cursor) {
            Ok(view) => {
                cursor.skip_ws();
                if let None | Some(b',') = cursor.peek() {
                    return (Ok(view), cursor.position() - origin, true);
                }
            }
            Err(why) if !empty && !scan::has_comma(octets.bytes) => {
                let error = HeaderError::Malformed { id: H::ID, at: cursor.position(), why };
                return (Err(error), octets.bytes.len(), true);
            }
            Err(_) => {}
        }
    }
    let length = scan::value_length(octets.bytes);
    (read_value::<H>(octets.part(0, length), origin), length, false)
}

/// The values of one row.
struct RowValues<'m, H> {
    /// What is left of the row.
    rest: Octets<'m>,
    /// Where that lies in the message; `None`: nothing is left.
    at: Option<usize>,
    uncut: bool,
    /// Whether this is not the first value; before the second the rest is checked to be text.
    listed: bool,
    field: PhantomData<H>,
}

impl<'m, H: Header> RowValues<'m, H> {
    #[inline]
    fn of(row: Octets<'m>, origin: usize) -> Self {
        let empty = H::FORM == Form::OptionalList && row.bytes.is_empty();
        Self { rest: row, at: (!empty).then_some(origin), uncut: true, listed: false, field: PhantomData }
    }
}

impl<'m, H: Header> Iterator for RowValues<'m, H> {
    type Item = Result<H::View<'m>, HeaderError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at?;
        let (value, length, uncut) = read_first::<H>(self.rest, at, self.uncut);
        self.uncut &= uncut;
        self.at = (length < self.rest.bytes.len()).then_some(at + length + 1);
        if self.at.is_some() {
            self.rest = self.rest.part(length + 1, self.rest.bytes.len());
            if !self.listed {
                self.listed = true;
                self.rest = self.rest.checked();
            }
        }
        Some(value)
    }
}

/// The values of one field.
pub(in crate::message) struct Values<'m, H> {
    message: &'m Message,
    next_row: usize,
    row: RowValues<'m, H>,
}

impl<'m, H: Header> Values<'m, H> {
    pub(in crate::message) fn of(message: &'m Message) -> Self {
        let row =
            RowValues { rest: Octets::new(b""), at: None, uncut: true, listed: false, field: PhantomData };
        Self { message, next_row: 0, row }
    }
}

impl<'m, H: Header> Iterator for Values<'m, H> {
    type Item = Result<H::View<'m>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(value) = self.row.next() {
                return Some(value);
            }
            let index = &self.message.index;
            let at = match self.next_row {
                0 => index.first(H::ID)?,
                next => index.next(H::ID, next)?,
            };
            self.next_row = at + 1;
            let span = self.message.index.row(at)?.value();
            self.row = RowValues::of(Octets::new(self.message.octets(span)), span.start);
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

fn read_value<H: Header>(value: Octets<'_>, origin: usize) -> Result<H::View<'_>, HeaderError> {
    let mut cursor = Cursor::within(value, origin);
    cursor.skip_ws();
    let read = if cursor.is_done() && H::FORM != Form::Single {
        Err(Malformed::Empty)
    } else {
        H::read(&mut cursor).and_then(|view| cursor.finish().map(|()| view))
    };
    read.map_err(|why| HeaderError::Malformed { id: H::ID, at: cursor.position(), why })
}
