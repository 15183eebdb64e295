//! Changing a message without rebuilding it: a sorted list of splices over its bytes.
//!
//! Positions are those of the message as it was: an edit does not see rows that an earlier one put in. What a
//! removal covers is gone with it; an edit inside a removed part is ignored. Of two edits that say what
//! something shall be (a URI, a row's value, what a field is set to, a parameter of the top Via, the body) the
//! last wins. Values are made safe as the `write` module says. A head can hold 64 KiB; an edit that would
//! exceed this is left out.

use std::fmt::Display;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::{
    HeaderId, Message, RawHeader, Span, header,
    header::{
        has_lists,
        values::{Rows, spans},
    },
    index::Start,
    scan, write,
};

/// Edits of one message, to be written out in one pass.
///
/// ```
/// # use sipkit::message::{Edits, HeaderId, Limits, Message};
/// # let bytes = b"BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;rport\r\nMax-Forwards: 70\r\n\r\n";
/// # let message = Message::parse(bytes[..].into(), &Limits::default()).unwrap();
/// let mut edits = Edits::new(&message);
/// edits.top_via_param("rport", Some(&5070)).prepend(HeaderId::Via, "SIP/2.0/UDP p;branch=z9hG4bK2");
/// assert_eq!(edits.finish().count(HeaderId::Via), 2);
/// ```
#[derive(Debug)]
pub struct Edits<'m> {
    base: &'m Message,
    /// Sorted by start; at the same place insertions come before a removal.
    splices: SmallVec<[Splice; 8]>,
    /// What the splices put in.
    added: Vec<u8>,
    body: Option<Box<[u8]>>,
}

/// Octets `cut` of the message give way to octets `text` of what was added.
#[derive(Debug, Clone, Copy)]
struct Splice {
    cut: Span,
    text: Span,
    what: What,
}

/// What was put in where nothing was, and would be there twice if it were put in again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// It may be there again.
    Any,
    /// The row of a field that was set.
    Row(HeaderId),
    /// A parameter of the top Via.
    ViaParam,
}

/// Where an insertion goes among others at the same place.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    First,
    Last,
}

impl<'m> Edits<'m> {
    /// No edits yet.
    pub fn new(message: &'m Message) -> Self {
        Self { base: message, splices: SmallVec::new(), added: Vec::new(), body: None }
    }

    /// Another Request-URI; nothing happens to a response.
    pub fn uri(&mut self, uri: impl Display) -> &mut Self {
        if let Start::Request { uri: (start, end), .. } = self.base.start {
            let text = self.add(|out| write::uri(out, uri));
            self.splice(Span::new(usize::from(start), usize::from(end)), text);
        }
        self
    }

    /// A new row before the first of that field, or first of all. The last one prepended is on top.
    pub fn prepend(&mut self, id: HeaderId, value: impl Display) -> &mut Self {
        let index = &self.base.index;
        let row = index.row(index.first(id).unwrap_or(0));
        let at = row.map_or(self.base.rows_end, |row| row.start());
        self.insert_known(at, id, value, Order::First)
    }

    /// A new row after the last of that field, or last of all.
    pub fn append(&mut self, id: HeaderId, value: impl Display) -> &mut Self {
        let last = Rows::of(self.base, id).last().map(|row| row.line.end);
        self.insert_known(last.unwrap_or(self.base.rows_end), id, value, Order::Last)
    }

    /// A new row of a field this library need not know, last of all.
    pub fn append_named(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.insert_row(self.base.rows_end, name, value, Order::Last)
    }

    /// Another value for a row of this message.
    pub fn replace(&mut self, row: RawHeader<'_>, value: impl Display) -> &mut Self {
        let text = self.add(|out| value_text(out, row, value));
        self.splice(value_place(row), text);
        self
    }

    /// The first row gets this value and the others go; without a row one is appended. A row that was removed
    /// comes back.
    pub fn set(&mut self, id: HeaderId, value: impl Display) -> &mut Self {
        self.set_within(id, value, self.room())
    }

    fn set_within(&mut self, id: HeaderId, value: impl Display, room: usize) -> &mut Self {
        if id == HeaderId::Unknown {
            return self;
        }
        let mut rows = Rows::of(self.base, id);
        let Some(first) = rows.next() else {
            let text = self.add_within(room, |out| known_row(out, id, value));
            self.put_in(self.base.rows_end, text, What::Row(id), |_, _| true);
            return self;
        };
        let Some(text) = self.add_within(room, |out| value_text(out, first, value)) else { return self };
        self.splices.retain(|splice| splice.cut != first.line);
        self.splice(value_place(first), text);
        rows.for_each(|row| {
            self.remove_row(row);
        });
        self
    }

    /// All rows of a field go that are in the message, and the one that was set.
    pub fn remove(&mut self, id: HeaderId) -> &mut Self {
        self.splices.retain(|splice| splice.what != What::Row(id));
        Rows::of(self.base, id).for_each(|row| {
            self.remove_row(row);
        });
        self
    }

    /// A row of this message goes.
    pub fn remove_row(&mut self, row: RawHeader<'_>) -> &mut Self {
        self.splice(row.line, Span::default());
        self
    }

    /// A parameter at `at`, the end of some [`Params`](super::Params); the ";" is added if it is missing.
    pub fn insert_param(&mut self, at: usize, text: impl Display) -> &mut Self {
        if at > self.base.rows_end {
            return self;
        }
        let text = self.add(|out| {
            let start = out.len();
            out.put_u8(b';');
            write::value(out, text);
            if out.get(start + 1) == Some(&b';') {
                let doubled = out.split_off(start + 1);
                out.truncate(start);
                out.extend_from_slice(&doubled);
            }
        });
        self.splice(Span::new(at, at), text);
        self
    }

    /// Sets a parameter of the topmost Via; a malformed Via is left alone.
    pub fn top_via_param(&mut self, name: &str, value: Option<&dyn Display>) -> &mut Self {
        let Ok(Some(via)) = self.base.find::<header::Via>() else { return self };
        let found = via.params.find(name);
        let text = self.add(|out| {
            if found.is_none() {
                out.put_u8(b';');
            }
            write::token(out, name);
            if let Some(value) = value {
                out.put_u8(b'=');
                write::value(out, value);
            }
        });
        match found {
            Some(param) => self.splice(param.span, text),
            None => self.put_in(via.span.end, text, What::ViaParam, |one, other| {
                param_name(one).eq_ignore_ascii_case(param_name(other))
            }),
        }
        self
    }

    /// The first value of a field goes that is still there, and the row if it was its last
    /// (RFC 3261 §16.7: the top Via; §16.4: the top Route). Where a comma belongs to the value, as in Subject, that is
    /// the row.
    pub fn pop_value(&mut self, id: HeaderId) -> &mut Self {
        for row in Rows::of(self.base, id) {
            if !scan::has_comma(row.value) || !has_lists(id) {
                // The whole row, unless it is gone already.
                if self.is_cut(value_place(row).start) {
                    continue;
                }
                self.splice(row.line, Span::default());
                return self;
            }
            let mut values = spans(row).peekable();
            while let Some(value) = values.next() {
                if self.is_cut(value.start) {
                    continue;
                }
                let cut = match values.peek() {
                    Some(next) => Span::new(row.span.start, next.start),
                    None => row.line,
                };
                self.splice(cut, Span::default());
                return self;
            }
        }
        self
    }

    /// Another body of that type; Content-Type and Content-Length follow. An empty type and body leave
    /// a message without a body.
    pub fn body(&mut self, kind: &str, bytes: &[u8]) -> &mut Self {
        if kind.is_empty() {
            self.remove(HeaderId::ContentType);
        } else {
            self.set(HeaderId::ContentType, kind);
        }
        // Room was left for this: a body must never go with the length of another.
        self.set_within(HeaderId::ContentLength, bytes.len(), usize::MAX);
        self.body = Some(bytes.into());
        self
    }

    /// The message as edited.
    pub fn finish(&self) -> Message {
        Message::written(self.bytes())
    }

    /// The octets of the message as edited.
    pub fn bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.length());
        self.put(&mut out);
        out.freeze()
    }

    /// Appends the message as edited, in one pass.
    pub fn write(&self, out: &mut BytesMut) {
        out.reserve(self.length());
        self.put(out);
    }

    fn put(&self, out: &mut BytesMut) {
        let base = self.base;
        let mut at = 0;
        for splice in &self.splices {
            out.extend_from_slice(base.octets(Span::new(at, splice.cut.start)));
            out.extend_from_slice(&self.added[splice.text.start..splice.text.end]);
            at = splice.cut.end;
        }
        match &self.body {
            None => out.extend_from_slice(base.octets(Span::new(at, base.bytes.len()))),
            Some(body) => {
                out.extend_from_slice(base.octets(Span::new(at, base.body.start)));
                out.extend_from_slice(body);
            }
        }
    }

    /// The message as edited, in pieces for a vectored write.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let base = self.base;
        let mut at = 0;
        let spliced = self.splices.iter().flat_map(move |splice| {
            let kept = base.octets(Span::new(at, splice.cut.start));
            at = splice.cut.end;
            [kept, &self.added[splice.text.start..splice.text.end]]
        });
        let last = self.splices.last().map_or(0, |splice| splice.cut.end);
        let rest = match self.body {
            Some(_) => base.octets(Span::new(last, base.body.start)),
            None => base.octets(Span::new(last, base.bytes.len())),
        };
        spliced.chain([rest, self.body.as_deref().unwrap_or_default()]).filter(|segment| !segment.is_empty())
    }

    fn length(&self) -> usize {
        let base = self.base;
        // They are in order and do not overlap.
        let change = |length: usize, splice: &Splice| {
            let cut = splice.cut.end.saturating_sub(splice.cut.start);
            length + (splice.text.end - splice.text.start) - cut.min(length)
        };
        let head = match self.body {
            Some(_) => base.body.start,
            None => base.bytes.len(),
        };
        self.splices.iter().fold(head, change) + self.body.as_ref().map_or(0, |body| body.len())
    }

    fn insert_row(&mut self, at: usize, name: &str, value: impl Display, order: Order) -> &mut Self {
        if !name.is_empty() {
            let text = self.add(|out| {
                write::token(out, name);
                write::row_value(out, value);
            });
            self.splice_in(Span::new(at, at), text, order, What::Any);
        }
        self
    }

    /// The same for a field known by name.
    fn insert_known(&mut self, at: usize, id: HeaderId, value: impl Display, order: Order) -> &mut Self {
        if id != HeaderId::Unknown {
            let text = self.add(|out| known_row(out, id, value));
            self.splice_in(Span::new(at, at), text, order, What::Any);
        }
        self
    }

    /// Puts in text at `at`, or in the place of what is the `same` and was put in there.
    fn put_in(&mut self, at: usize, text: Option<Span>, what: What, same: impl Fn(&[u8], &[u8]) -> bool) {
        let Some(text) = text else { return };
        let octets = |span: Span| self.added.get(span.start..span.end).unwrap_or_default();
        let is_it = |splice: &Splice| {
            splice.what == what && splice.cut.start == at && same(octets(splice.text), octets(text))
        };
        match self.splices.iter().position(is_it) {
            Some(before) => self.splices[before].text = text,
            None => self.splice_in(Span::new(at, at), Some(text), Order::Last, what),
        }
    }

    /// Writes text to be put in; `None` if the head has no room for it.
    fn add(&mut self, text: impl FnOnce(&mut Vec<u8>)) -> Option<Span> {
        self.add_within(self.room(), text)
    }

    fn add_within(&mut self, room: usize, text: impl FnOnce(&mut Vec<u8>)) -> Option<Span> {
        let start = self.added.len();
        if self.added.capacity() == 0 {
            self.added = Vec::with_capacity(CAPACITY);
        }
        text(&mut self.added);
        write::within(&mut self.added, start, room).then(|| Span::new(start, self.added.len()))
    }

    /// The octets that may be added to the head.
    fn room(&self) -> usize {
        write::HEAD_ROOM.saturating_sub(self.base.body.start)
    }

    fn is_cut(&self, at: usize) -> bool {
        self.splices.iter().any(|splice| splice.cut.start <= at && at < splice.cut.end)
    }

    fn splice(&mut self, cut: Span, text: impl Into<Option<Span>>) {
        self.splice_in(cut, text.into(), Order::Last, What::Any);
    }

    fn splice_in(&mut self, cut: Span, text: Option<Span>, order: Order, what: What) {
        let Some(text) = text else { return };
        // Mostly no edit touches another.
        let apart = |other: Span| cut.end < other.start || other.end < cut.start;
        if self.splices.iter().all(|splice| apart(splice.cut)) {
            let at = self.splices.iter().take_while(|splice| splice.cut.start < cut.start).count();
            self.splices.insert(at, Splice { cut, text, what });
            return;
        }
        let covers = |splice: &Splice| {
            let other = splice.cut;
            let strictly = if cut.is_empty() { other.start < cut.start } else { other.start <= cut.start };
            !other.is_empty() && other != cut && strictly && cut.end <= other.end && cut.start < other.end
        };
        if self.splices.iter().any(covers) {
            return;
        }
        if !cut.is_empty() {
            self.splices.retain(|splice| {
                let other = splice.cut;
                let inside = if other.is_empty() {
                    cut.start < other.start && other.start < cut.end
                } else {
                    cut.start <= other.start && other.end <= cut.end
                };
                !inside
            });
        }
        let at = self.splices.partition_point(|splice| {
            let other = splice.cut;
            other.start < cut.start || other.start == cut.start && other.is_empty() && order == Order::Last
        });
        self.splices.insert(at, Splice { cut, text, what });
    }
}

/// What gives way to a row's new value: its value, or everything from the colon on if it is empty. So there is
/// something to cut, and the next new value comes instead of this one and not beside it.
fn value_place(row: RawHeader<'_>) -> Span {
    if !row.span.is_empty() {
        return row.span;
    }
    // White space may stand before the colon (RFC 3261 §25.1 HCOLON).
    let colon = row.line.start + row.name().len();
    Span::new(colon, row.line.end.saturating_sub(LINE_END).max(colon))
}

/// A row's new value, as it goes into [`value_place`].
fn value_text(out: &mut Vec<u8>, row: RawHeader<'_>, value: impl Display) {
    if row.span.is_empty() {
        out.extend_from_slice(b": ");
    }
    write::value(out, value);
}

fn known_row(out: &mut Vec<u8>, id: HeaderId, value: impl Display) {
    out.extend_from_slice(id.name().as_bytes());
    write::row_value(out, value);
}

/// Of `;name=value`.
fn param_name(text: &[u8]) -> &[u8] {
    let name = text.get(1..).unwrap_or_default();
    name.split(|&byte| byte == b'=').next().unwrap_or_default()
}

/// CR and LF; a row has no other line end (see `frame`).
const LINE_END: usize = 2;

/// Enough for what a proxy adds.
const CAPACITY: usize = 256;

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
