//! From rows to values: walking the rows of a field and splitting its comma lists.

use std::marker::PhantomData;

use super::{Form, Header};
use crate::message::{Cursor, HeaderError, HeaderId, Malformed, Message, Span, Text, index::COMMA, scan};

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
    /// From the name to the value.
    front: &'m [u8],
    flags: u8,
}

impl<'m> RawHeader<'m> {
    pub(in crate::message) fn of(message: &'m Message, index: usize) -> Option<Self> {
        let (start, span) = message.index.row(index)?;
        let end = message.index.row(index + 1).map_or(message.rows_end, |(next, _)| next);
        Some(Self {
            id: message.index.id(index),
            value: message.octets(span),
            index,
            span,
            line: Span::new(start, end),
            front: message.octets(Span::new(start, span.start)),
            flags: message.index.flags(index),
        })
    }

    /// The name as written: in any case, possibly compact.
    pub fn name(&self) -> &'m str {
        let length = self.front.iter().position(|&byte| !scan::is_token(byte)).unwrap_or(self.front.len());
        scan::ascii(&self.front[..length]).unwrap_or_default()
    }

    /// The value for display.
    pub fn text(&self) -> Text<'m> {
        Text::plain(self.value)
    }

    /// Whether the value goes over several lines.
    pub fn is_folded(&self) -> bool {
        memchr::memchr2(b'\r', b'\n', self.value).is_some()
    }

    /// The values of the row, read as the field's type; a malformed value is one error, the values after
    /// it follow. For any other field's type the same as [`RawHeader::read`] goes.
    pub fn values<H: Header>(&self) -> impl Iterator<Item = Result<H::View<'m>, HeaderError>> + use<'m, H> {
        RowValues::<H>::of(self.value, self.span.start, self.flags)
    }

    /// Reads the row's first value as another field's type; for fields this library does not know.
    pub fn read<H: Header>(&self) -> Result<H::View<'m>, HeaderError> {
        let length = if H::FORM == Form::Single { self.value.len() } else { scan::value_length(self.value) };
        read_value::<H>(&self.value[..length], self.span.start)
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
        let at = self.message.index.next(self.id, self.next)?;
        self.next = at + 1;
        RawHeader::of(self.message, at)
    }
}

/// The values of one row.
struct RowValues<'m, H> {
    /// What is left of the row; `None`: nothing.
    rest: Option<&'m [u8]>,
    /// Where that lies in the message.
    at: usize,
    comma: bool,
    field: PhantomData<H>,
}

impl<'m, H: Header> RowValues<'m, H> {
    fn of(value: &'m [u8], at: usize, flags: u8) -> Self {
        let empty = H::FORM == Form::OptionalList && value.is_empty();
        let comma = H::FORM != Form::Single && flags & COMMA != 0;
        Self { rest: (!empty).then_some(value), at, comma, field: PhantomData }
    }
}

impl<'m, H: Header> Iterator for RowValues<'m, H> {
    type Item = Result<H::View<'m>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let at = self.at;
        if !self.comma {
            return Some(read_value::<H>(rest, at));
        }
        let length = scan::value_length(rest);
        self.rest = rest.get(length + 1..);
        self.at += length + 1;
        Some(read_value::<H>(&rest[..length], at))
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
        let row = RowValues { rest: None, at: 0, comma: false, field: PhantomData };
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
            let row = index.next(H::ID, self.next_row)?;
            self.next_row = row + 1;
            let (_, span) = index.row(row)?;
            self.row = RowValues::of(self.message.octets(span), span.start, index.flags(row));
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

fn read_value<H: Header>(value: &[u8], origin: usize) -> Result<H::View<'_>, HeaderError> {
    let mut cursor = Cursor::within(value, origin);
    cursor.skip_ws();
    let read = if cursor.is_done() && H::FORM != Form::Single {
        Err(Malformed::Empty)
    } else {
        H::read(&mut cursor).and_then(|view| cursor.finish().map(|()| view))
    };
    read.map_err(|why| HeaderError::Malformed { id: H::ID, at: cursor.position(), why })
}
