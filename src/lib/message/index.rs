//! Where the parts of a head are: the start line and the header rows.

use super::{HeaderId, scan::Span};

/// The header rows in order.
#[derive(Debug, Clone)]
pub(super) struct Index {
    inline: [Row; INLINE],
    /// All rows, if they are more than fit inline.
    spilled: Vec<Row>,
    count: usize,
    first: First,
}

/// For each field, by its number, how many rows come up to its first one; 0 if it has none.
#[derive(Debug, Clone)]
pub(super) struct First([u8; FIELDS]);

impl First {
    /// The row at `at` is the first of that field.
    #[inline(always)]
    pub(super) fn note(&mut self, id: HeaderId, at: usize) {
        self.0[id as usize % FIELDS] = (at + 1).min(usize::from(u8::MAX)) as u8;
    }
}

/// Most messages have no more rows than this; more are kept on the heap.
const INLINE: usize = 32;

/// One header row, in octets from the start of the message; the next row's name ends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    name: u16,
    value: u16,
    end: u16,
    pub(super) id: HeaderId,
}

impl Row {
    /// All zeros, which is quickly written.
    const EMPTY: Self = Self { name: 0, value: 0, end: 0, id: HeaderId::KNOWN[0] };

    /// From `start` to the line's end at `end`; all lies in the head, so 16 bits do.
    #[inline(always)]
    pub(super) fn line_of(start: usize, end: usize) -> Self {
        Self { name: start as u16, end: end as u16, ..Self::EMPTY }
    }

    /// From where the name begins to the line's end, before anything in it is found.
    #[inline(always)]
    pub(super) fn line(&self) -> (usize, usize) {
        (usize::from(self.name), usize::from(self.end))
    }

    /// A value that begins at `value` and goes to the line's end.
    #[inline(always)]
    pub(super) fn set(&mut self, id: HeaderId, value: usize) {
        self.id = id;
        self.value = value as u16;
    }

    /// Any value.
    pub(super) fn set_any(&mut self, id: HeaderId, value: Span) {
        self.set(id, value.start);
        self.end = value.end as u16;
    }

    /// Where the name begins.
    #[inline]
    pub(super) fn start(self) -> usize {
        usize::from(self.name)
    }

    /// Where the trimmed value lies.
    #[inline]
    pub(super) fn value(self) -> Span {
        Span::new(usize::from(self.value), usize::from(self.end))
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { inline: [Row::EMPTY; INLINE], spilled: Vec::new(), count: 0, first: First([0; FIELDS]) }
    }
}

impl Index {
    #[inline]
    fn rows(&self) -> &[Row] {
        match self.inline.get(..self.count) {
            Some(rows) => rows,
            None => &self.spilled,
        }
    }

    #[inline]
    pub(super) fn row(&self, at: usize) -> Option<Row> {
        self.rows().get(at).copied()
    }

    /// The first row of a field.
    #[inline]
    pub(super) fn first(&self, id: HeaderId) -> Option<usize> {
        match self.first.0[id as usize % FIELDS] {
            0 => None,
            // Beyond that rows are not told apart.
            u8::MAX => self.next(id, usize::from(u8::MAX) - 1),
            row => Some(usize::from(row) - 1),
        }
    }

    /// The first row of a field at or after `from`.
    #[inline]
    pub(super) fn next(&self, id: HeaderId, from: usize) -> Option<usize> {
        self.rows().get(from..)?.iter().position(|row| row.id == id).map(|at| from + at)
    }

    /// Whether a field stands in more than one row.
    #[inline]
    pub(super) fn repeats(&self, id: HeaderId) -> bool {
        self.first(id).is_some_and(|at| self.next(id, at + 1).is_some())
    }

    /// Puts a row from `start` to `end` behind the `count` that there are, if there is place for one more inline;
    /// [`Index::set_len`] says at last how many they have become. What is in it is found later.
    #[inline(always)]
    pub(super) fn put(&mut self, count: usize, start: usize, end: usize) -> bool {
        let place = self.inline.get_mut(count);
        let there = place.is_some();
        if let Some(place) = place {
            place.name = start as u16;
            place.end = end as u16;
        }
        there
    }

    /// All rows in a place with room for any number, once there are as many as fit inline;
    /// [`Index::spilled`] says that they are all there.
    pub(super) fn spill(&mut self) -> &mut Vec<Row> {
        self.spilled.clear();
        self.spilled.reserve(INLINE * 8);
        self.spilled.extend_from_slice(&self.inline);
        &mut self.spilled
    }

    pub(super) fn spilled(&mut self) {
        self.count = self.spilled.len();
    }

    pub(super) fn set_len(&mut self, count: usize) {
        self.count = count;
    }

    /// The rows, and the first of each field, for what is found in them.
    #[inline(always)]
    pub(super) fn parts(&mut self) -> (&mut [Row], &mut First) {
        let rows = match self.inline.get_mut(..self.count) {
            Some(rows) => rows,
            None => &mut self.spilled,
        };
        (rows, &mut self.first)
    }

    pub(super) fn push(&mut self, id: HeaderId, name: usize, value: Span) {
        let at = self.count;
        if !self.put(at, name, value.end) {
            if at == INLINE {
                self.spill();
            }
            self.spilled.push(Row::line_of(name, value.end));
        }
        self.count += 1;
        let (rows, first) = self.parts();
        if let Some(row) = rows.get_mut(at) {
            row.set_any(id, value);
            if first.0[id as usize % FIELDS] == 0 {
                first.note(id, at);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn clear(&mut self) {
        self.spilled.clear();
        self.count = 0;
        self.first = First([0; FIELDS]);
    }
}

/// More than there are fields.
const FIELDS: usize = 128;
const _: () = assert!((HeaderId::Unknown as usize) < FIELDS);

/// The start line; spans count from the start of the message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    Request { method: (u16, u16), uri: (u16, u16) },
    Response { status: u16, reason: (u16, u16) },
}
