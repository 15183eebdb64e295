//! Properties that hold for every message: what is parsed is what was written, what is edited is what a plain
//! list of lines would become, and how a stream is cut into pieces does not matter.

use std::fmt::Write;

use proptest::{prelude::*, sample::select};

use super::*;

/// A header row as its author sees it.
#[derive(Debug, Clone)]
struct Row {
    /// As it stands in the message: in any case, perhaps compact.
    name: &'static str,
    values: Vec<String>,
    separator: &'static str,
}

/// A request of known rows; Content-Length comes last, if at all.
#[derive(Debug, Clone)]
struct Plan {
    method: &'static str,
    uri: String,
    rows: Vec<Row>,
    has_length: bool,
    body: Vec<u8>,
}

impl Row {
    fn id(&self) -> HeaderId {
        HeaderId::from_name(self.name.as_bytes())
    }

    fn text(&self) -> String {
        format!("{}: {}\r\n", self.name, self.values.join(self.separator))
    }
}

impl Plan {
    fn text(&self) -> Vec<u8> {
        let mut text = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        self.all_rows().iter().for_each(|row| text += &row.text());
        text += "\r\n";
        [text.as_bytes(), &self.body].concat()
    }

    fn all_rows(&self) -> Vec<Row> {
        let length = Row { name: "l", values: vec![self.body.len().to_string()], separator: "" };
        self.rows.iter().cloned().chain(self.has_length.then_some(length)).collect()
    }

    fn parse(&self) -> Message {
        Message::parse(self.text().into(), &Limits::default()).unwrap()
    }
}

fn row() -> impl Strategy<Value = Row> {
    let separators = select(vec![", ", ",", " ,\t", ",\r\n "]);
    let list = |names: Vec<&'static str>, value: BoxedStrategy<String>| {
        (select(names), prop::collection::vec(value, 1..4), separators.clone())
            .prop_map(|(name, values, separator)| Row { name, values, separator })
    };
    let one = |names: Vec<&'static str>, value: BoxedStrategy<String>| {
        (select(names), value).prop_map(|(name, value)| Row { name, values: vec![value], separator: "" })
    };
    let via =
        "SIP/2\\.0/(UDP|tcp) [a-z]{1,8}(:[1-9][0-9]{3})?(;rport)?;branch=z9hG4bK[a-z0-9]{1,8}(;RPORT=9)?";
    prop_oneof![
        list(vec!["Via", "v", "VIA"], via.boxed()),
        list(vec!["Route", "route"], "(\"[a-z, ]{0,6}\" )?<sip:[a-z]{1,6};lr>(;x=\",[a-z]\")?".boxed()),
        list(vec!["Record-Route"], "<sip:[a-z]{1,6};lr>".boxed()),
        one(vec!["Route"], "".boxed()),
        one(vec!["Max-Forwards"], "[0-9]{1,2}".boxed()),
        one(vec!["Subject", "s"], "([!-~]([ -~é]{0,20}[!-~])?)?".boxed()),
        one(vec!["X-a", "x-A", "Y"], "[!-~]([ -~]{0,10}\r\n [ -~]{0,10})?[!-~]".boxed()),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let uri = "(sips?:([a-z%+]{1,5}@)?[a-z]{1,8}(:[1-9][0-9]{2})?(;lr)?|tel:\\+[0-9]{5}|urn:[a-z:]{1,9})";
    let methods = select(vec!["INVITE", "OPTIONS", "MESSAGE", "x-%~method"]);
    let body = prop::collection::vec(any::<u8>(), 0..60);
    (methods, uri, prop::collection::vec(row(), 0..12), any::<bool>(), body)
        .prop_map(|(method, uri, rows, has_length, body)| Plan { method, uri, rows, has_length, body })
}

/// One call of [`Edits`].
#[derive(Debug, Clone)]
enum Edit {
    Uri(String),
    Prepend(HeaderId, String),
    Append(HeaderId, String),
    AppendNamed(&'static str, String),
    /// A row by its place, if there are that many.
    Replace(usize, String),
    Set(HeaderId, String),
    Remove(HeaderId),
    Pop(HeaderId),
    ViaParam(&'static str, Option<u16>),
    Body(&'static str, Vec<u8>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = || "[!-~]([ -~]{0,12}[!-~])?";
    let any_id = || {
        select(vec![
            HeaderId::Via,
            HeaderId::Route,
            HeaderId::RecordRoute,
            HeaderId::Subject,
            HeaderId::UserAgent,
            HeaderId::ContentType,
        ])
    };
    let settable =
        select(vec![HeaderId::Route, HeaderId::MaxForwards, HeaderId::Subject, HeaderId::UserAgent]);
    prop_oneof![
        "sip:[a-z]{1,12}".prop_map(Edit::Uri),
        (any_id(), value()).prop_map(|(id, value)| Edit::Prepend(id, value)),
        (any_id(), value()).prop_map(|(id, value)| Edit::Append(id, value)),
        (select(vec!["X-a", "Z"]), value()).prop_map(|(name, value)| Edit::AppendNamed(name, value)),
        (0..12usize, value()).prop_map(|(at, value)| Edit::Replace(at, value)),
        (settable, value()).prop_map(|(id, value)| Edit::Set(id, value)),
        any_id().prop_map(Edit::Remove),
        any_id().prop_map(Edit::Pop),
        (select(vec!["received", "rport", "X", "x"]), any::<Option<u16>>())
            .prop_map(|(name, value)| Edit::ViaParam(name, value)),
        (select(vec!["", "text/plain"]), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, body)| Edit::Body(kind, body)),
    ]
}

/// What becomes of a row.
#[derive(Debug, Clone)]
enum Fate {
    Stays,
    Replaced(String),
    Gone,
}

/// The message as a list of lines, edited in the slowest way that could be right.
struct Model {
    plan: Plan,
    rows: Vec<(Row, Fate)>,
    /// New lines before each row, and after the last; with the field if it was set.
    before: Vec<Vec<(String, Option<HeaderId>)>>,
    /// Values popped off the front of each row.
    popped: Vec<usize>,
}

impl Model {
    fn new(plan: &Plan) -> Self {
        let rows: Vec<_> = plan.all_rows().into_iter().map(|row| (row, Fate::Stays)).collect();
        let before = vec![Vec::new(); rows.len() + 1];
        let popped = vec![0; rows.len()];
        Self { plan: plan.clone(), rows, before, popped }
    }

    fn places(&self, id: HeaderId) -> Vec<usize> {
        (0..self.rows.len()).filter(|&at| self.rows[at].0.id() == id).collect()
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Uri(uri) => self.plan.uri.clone_from(uri),
            Edit::Prepend(id, value) => {
                let at = self.places(*id).first().copied().unwrap_or_default();
                self.before[at].insert(0, (format!("{}: {value}\r\n", id.name()), None));
            }
            Edit::Append(id, value) => {
                let at = self.places(*id).last().map_or(self.rows.len(), |last| last + 1);
                self.before[at].push((format!("{}: {value}\r\n", id.name()), None));
            }
            Edit::AppendNamed(name, value) => {
                self.before.last_mut().unwrap().push((format!("{name}: {value}\r\n"), None));
            }
            Edit::Replace(at, value) => {
                if !matches!(self.rows[*at].1, Fate::Gone) {
                    self.rows[*at].1 = Fate::Replaced(value.clone());
                }
            }
            Edit::Set(id, value) => self.set(*id, value),
            Edit::Remove(id) => self.remove(*id),
            Edit::Pop(id) => self.pop(*id),
            Edit::ViaParam(name, value) => self.via_param(name, *value),
            Edit::Body(kind, body) => {
                if kind.is_empty() {
                    self.remove(HeaderId::ContentType);
                } else {
                    self.set(HeaderId::ContentType, kind);
                }
                self.set(HeaderId::ContentLength, &body.len().to_string());
                self.plan.body.clone_from(body);
            }
        }
    }

    fn set(&mut self, id: HeaderId, value: &str) {
        match self.places(id).split_first() {
            Some((&first, others)) => {
                self.rows[first].1 = Fate::Replaced(value.to_owned());
                others.iter().for_each(|&at| self.rows[at].1 = Fate::Gone);
            }
            None => {
                let line = (format!("{}: {value}\r\n", id.name()), Some(id));
                let last = self.before.last_mut().unwrap();
                match last.iter_mut().find(|(_, set)| *set == Some(id)) {
                    Some(before) => *before = line,
                    None => last.push(line),
                }
            }
        }
    }

    fn remove(&mut self, id: HeaderId) {
        self.before.last_mut().unwrap().retain(|(_, set)| *set != Some(id));
        self.places(id).into_iter().for_each(|at| self.rows[at].1 = Fate::Gone);
    }

    /// A row that was replaced has nothing left of what it was.
    fn pop(&mut self, id: HeaderId) {
        let Some(at) = self.places(id).into_iter().find(|&at| matches!(self.rows[at].1, Fate::Stays)) else {
            return;
        };
        self.popped[at] += 1;
        if self.popped[at] == self.rows[at].0.values.len() {
            self.rows[at].1 = Fate::Gone;
        }
    }

    /// What was popped does not matter any more, so nobody looks.
    fn via_param(&mut self, name: &str, value: Option<u16>) {
        let Some(&at) = self.places(HeaderId::Via).first() else { return };
        let via = &mut self.rows[at].0.values[0];
        let param = value.map_or(name.to_owned(), |value| format!("{name}={value}"));
        let mut parts: Vec<_> = via.split(';').map(str::to_owned).collect();
        let is_it = |part: &String| part.split('=').next().unwrap().eq_ignore_ascii_case(name);
        match parts.iter().skip(1).position(is_it) {
            Some(found) => parts[found + 1] = param,
            None => parts.push(param),
        }
        *via = parts.join(";");
    }

    fn text(&self) -> Vec<u8> {
        let mut text = format!("{} {} SIP/2.0\r\n", self.plan.method, self.plan.uri);
        for (at, (row, fate)) in self.rows.iter().enumerate() {
            self.before[at].iter().for_each(|(line, _)| text += line);
            match fate {
                Fate::Stays => {
                    let values = row.values[self.popped[at]..].to_vec();
                    text += &Row { values, ..row.clone() }.text();
                }
                Fate::Replaced(value) => write!(text, "{}: {value}\r\n", row.name).unwrap(),
                Fate::Gone => {}
            }
        }
        self.before.last().into_iter().flatten().for_each(|(line, _)| text += line);
        text += "\r\n";
        [text.as_bytes(), &self.plan.body].concat()
    }
}

/// What may be asked of this message: rows that are there, and no Via replaced, whose parameters may be asked for.
fn sensible(plan: &Plan, edits: Vec<Edit>) -> Vec<Edit> {
    edits
        .into_iter()
        .filter(|edit| match edit {
            Edit::Replace(at, _) => plan.rows.get(*at).is_some_and(|row| row.id() != HeaderId::Via),
            _ => true,
        })
        .collect()
}

fn apply(edits: &mut Edits<'_>, message: &Message, edit: &Edit) {
    match edit {
        Edit::Uri(uri) => edits.uri(uri),
        Edit::Prepend(id, value) => edits.prepend(*id, value),
        Edit::Append(id, value) => edits.append(*id, value),
        Edit::AppendNamed(name, value) => edits.append_named(name, value),
        Edit::Replace(at, value) => edits.replace(message.headers().nth(*at).unwrap(), value),
        Edit::Set(id, value) => edits.set(*id, value),
        Edit::Remove(id) => edits.remove(*id),
        Edit::Pop(id) => edits.pop_value(*id),
        Edit::ViaParam(name, Some(value)) => edits.top_via_param(name, Some(value)),
        Edit::ViaParam(name, None) => edits.top_via_param(name, None),
        Edit::Body(kind, body) => edits.body(kind, body),
    };
}

/// What may stand on a stream.
#[derive(Debug, Clone)]
enum Item {
    Message(Plan),
    LineEnds(usize),
    Noise(&'static str),
}

fn stream(items: &[Item]) -> Vec<u8> {
    let bytes = |item: &Item| match item {
        Item::Message(plan) => Plan { has_length: true, ..plan.clone() }.text(),
        Item::LineEnds(count) => b"\r\n".repeat(*count),
        Item::Noise(noise) => noise.as_bytes().to_vec(),
    };
    items.iter().flat_map(bytes).collect()
}

fn valid() -> impl Strategy<Value = Vec<Item>> {
    let item = prop_oneof![3 => plan().prop_map(Item::Message), 1 => (1..6usize).prop_map(Item::LineEnds)];
    prop::collection::vec(item, 0..8)
}

fn broken() -> impl Strategy<Value = Vec<Item>> {
    let noise = [
        "\r",
        "\n",
        "\r\n\r",
        "x",
        "l: 3\r\n",
        "l: x\r\n\r\n",
        "SIP/2.0 200 OK\r\n",
        "\r\n l: 1\r\n",
        "l:\r\n 2\r\n\r\n",
        "A b SIP/2.0\r\nl: 2\r\n\r\n",
        "a\r\n\r\n",
        "A b\r\nl: 9999\r\n\r\n",
        "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let item = prop_oneof![
        1 => plan().prop_map(Item::Message),
        1 => (1..4usize).prop_map(Item::LineEnds),
        4 => select(noise.to_vec()).prop_map(Item::Noise),
    ];
    prop::collection::vec(item, 0..10)
}

/// Everything that comes out when the stream comes in pieces of these sizes, again and again.
fn frames(stream: &[u8], pieces: &[usize], side: Side, limits: Limits) -> Vec<Result<Frame, FrameError>> {
    let mut framer = Framer::new(side, limits);
    let mut out = Vec::new();
    let mut rest = stream;
    for &size in pieces.iter().cycle() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        framer.push(piece);
        out.extend(std::iter::from_fn(|| framer.next()));
        assert!(framer.buffered() <= limits.head.saturating_add(limits.body).saturating_add(size));
        if rest.is_empty() {
            break;
        }
    }
    out
}

fn side() -> impl Strategy<Value = Side> {
    select(vec![Side::Accepted, Side::Opened])
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..4usize, 1..200usize], 1..20)
}

proptest! {
    #[test]
    fn what_is_parsed_is_what_was_written(plan in plan()) {
        let text = plan.text();
        let message = Message::parse(text.clone().into(), &Limits::default()).unwrap();
        prop_assert_eq!(&message.bytes()[..], &text[..]);
        prop_assert_eq!(&Edits::new(&message).finish(), &message);
        prop_assert_eq!(message.body(), &plan.body[..]);
        let rows = plan.all_rows();
        prop_assert_eq!(message.headers().count(), rows.len());
        for (found, row) in message.headers().zip(&rows) {
            prop_assert_eq!((found.name(), found.id), (row.name, row.id()));
            let value = row.values.join(row.separator);
            prop_assert_eq!(found.value, value.as_bytes());
        }
        let vias = rows.iter().filter(|row| row.id() == HeaderId::Via).flat_map(|row| &row.values);
        for (via, text) in message.each::<header::Via>().zip(vias) {
            let span = via.unwrap().span;
            prop_assert_eq!(message.octets(span), text.as_bytes());
        }
        let request = message.into_request().unwrap();
        prop_assert_eq!((request.method().as_str(), request.raw_uri()), (plan.method, &plan.uri[..]));
    }

    #[test]
    fn edits_do_what_they_do_to_a_list_of_lines(plan in plan(), edits in prop::collection::vec(edit(), 0..10)) {
        let message = plan.parse();
        let (mut real, mut model) = (Edits::new(&message), Model::new(&plan));
        for edit in sensible(&plan, edits) {
            apply(&mut real, &message, &edit);
            model.apply(&edit);
        }
        let (edited, expected) = (real.finish(), model.text());
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        prop_assert_eq!(text(edited.bytes()), text(&expected));
        prop_assert_eq!(real.segments().collect::<Vec<_>>().concat(), expected);
        let again = Message::parse(edited.bytes().clone(), &Limits::default()).unwrap();
        prop_assert_eq!(again.body(), &model.plan.body[..]);
        for (one, other) in again.headers().zip(edited.headers()) {
            prop_assert_eq!((one.id, one.span, one.line), (other.id, other.span, other.line));
        }
        prop_assert_eq!(again, edited);
    }

    #[test]
    fn a_valid_stream_gives_its_messages_however_it_is_cut(
        items in valid(), pieces in pieces(), side in side(),
    ) {
        let stream = stream(&items);
        let limits = Limits::default();
        let whole = frames(&stream, &[usize::MAX / 2], side, limits);
        prop_assert_eq!(&frames(&stream, &pieces, side, limits), &whole);
        let found = whole.iter().filter_map(|frame| match frame {
            Ok(Frame::Message(message)) => Some(message.bytes().to_vec()),
            _ => None,
        });
        let sent = items.iter().filter_map(|item| match item {
            Item::Message(plan) => Some(Plan { has_length: true, ..plan.clone() }.text()),
            _ => None,
        });
        prop_assert_eq!(found.collect::<Vec<_>>(), sent.collect::<Vec<_>>());
        prop_assert!(whole.iter().all(Result::is_ok));
    }

    /// Errors too are the same, and so is where they are.
    #[test]
    fn a_broken_stream_breaks_in_the_same_way_however_it_is_cut(
        items in broken(), pieces in pieces(), side in side(),
    ) {
        let stream = stream(&items);
        let limits = Limits { head: 120, rows: 4, uri: 12, body: 40, ..Limits::default() };
        let whole = frames(&stream, &[usize::MAX / 2], side, limits);
        prop_assert_eq!(&frames(&stream, &pieces, side, limits), &whole);
        let last = whole.iter().position(|frame| frame.as_ref().is_err_and(FrameError::is_final));
        prop_assert!(last.is_none_or(|at| at + 1 == whole.len()), "nothing comes after the end");
    }
}
