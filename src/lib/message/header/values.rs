//! From rows to values: walking the rows of a field and splitting its comma lists.

use std::marker::PhantomData;

use super::{Form, Header};
use crate::message::{Cursor, HeaderError, HeaderId, Malformed, Message, Span, Text, index::COMMA, scan};

/// One header row as it stands in the message.
#[derive(Debug, Clone, Copy)]
pub struct RawHeader<'m> {
    /// The field, or `Unknown`.
    pub id: HeaderId,
    /// As written: in any case, possibly compact.
    pub name: &'m str,
    /// Without white space at either end; folds are left in.
    pub value: &'m [u8],
    /// The place of the row among all rows, from 0.
    pub index: usize,
    /// Where `value` lies in the message.
    pub span: Span,
    /// Where the whole row lies, its line end included.
    pub line: Span,
}

impl<'m> RawHeader<'m> {
    pub(in crate::message) fn of(message: &'m Message, index: usize) -> Option<Self> {
        let (start, span) = message.index.row(index)?;
        let end = message.index.row(index + 1).map_or(message.rows_end, |(next, _)| next);
        let row = message.octets(Span::new(start, span.start));
        let name = row.iter().position(|&byte| !scan::is_token(byte)).unwrap_or(row.len());
        Some(Self {
            id: message.index.id(index),
            name: scan::ascii(&row[..name]).unwrap_or_default(),
            value: message.octets(span),
            index,
            span,
            line: Span::new(start, end),
        })
    }

    /// The value for display.
    pub fn text(&self) -> Text<'m> {
        Text::plain(self.value)
    }

    /// Whether the value goes over several lines.
    pub fn is_folded(&self) -> bool {
        memchr::memchr2(b'\r', b'\n', self.value).is_some()
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

/// The values of one field.
pub(in crate::message) struct Values<'m, H> {
    message: &'m Message,
    next_row: usize,
    /// What is left of the current row; `None`: go to the next.
    rest: Option<Span>,
    comma: bool,
    field: PhantomData<H>,
}

impl<'m, H: Header> Values<'m, H> {
    pub(in crate::message) fn of(message: &'m Message) -> Self {
        Self { message, next_row: 0, rest: None, comma: false, field: PhantomData }
    }
}

impl<'m, H: Header> Iterator for Values<'m, H> {
    type Item = Result<H::View<'m>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.message;
        let span = loop {
            if let Some(span) = self.rest.take() {
                break span;
            }
            let row = message.index.next(H::ID, self.next_row)?;
            self.next_row = row + 1;
            let (_, span) = message.index.row(row)?;
            self.comma = H::FORM != Form::Single && message.index.flags(row) & COMMA != 0;
            if !(H::FORM == Form::OptionalList && span.is_empty()) {
                break span;
            }
        };
        let mut value = message.octets(span);
        if self.comma {
            let length = scan::value_length(value);
            if length < value.len() {
                self.rest = Some(Span::new(span.start + length + 1, span.end));
            }
            value = &value[..length];
        }
        Some(read_value::<H>(value, span.start))
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
