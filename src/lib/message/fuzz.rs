//! Everything this layer does to bytes from outside, in one call: what tests feed with mutations and a
//! fuzzer with its inputs.

use std::fmt::{Debug, Display, Write};

use bytes::Bytes;

use super::{
    AddressBuf, Builder, Edits, Header, HeaderId, Host, Limits, Message, NameAddr, Uri,
    header::{self, Contact, Date, Via, every_header},
};

/// Reads every value of every known field, and gives how many there are and how many of them are malformed.
pub fn count_values(message: &Message) -> (usize, usize) {
    let (mut count, mut malformed) = (0, 0);
    macro_rules! count {
        ($($field:ident)*) => {$(
            if message.has(HeaderId::$field) {
                for value in message.each::<header::$field>() {
                    count += 1;
                    malformed += usize::from(value.is_err());
                }
            }
        )*};
    }
    every_header!(count);
    (count, malformed)
}

/// Reads any bytes in every way there is.
///
/// # Panics
///
/// If a property is broken that must hold for every input: bytes come back unchanged without edits, what
/// the library writes it can read, nothing breaks out of a header value.
pub fn fuzz_parse(bytes: &[u8]) {
    let limits = Limits::default();
    let bytes = Bytes::copy_from_slice(bytes);
    if let Some(broken) = Message::salvage(bytes.clone(), &limits) {
        read_all(&broken);
        answer(broken);
    }
    if let Ok(message) = Message::parse(bytes.clone(), &limits) {
        assert!(
            bytes.windows(message.bytes().len().max(1)).any(|window| window == message.bytes()),
            "a message is a part of the datagram"
        );
        read_all(&message);
        edit(&message);
        answer(message);
    }
    if let Ok(text) = std::str::from_utf8(&bytes) {
        if let Ok(uri) = Uri::parse(text) {
            assert!(uri.equivalent(&uri));
            read_uri(uri);
        }
        if let Ok(address) = NameAddr::parse(text) {
            let written = AddressBuf::from(address);
            assert_eq!(AddressBuf::parse(&written.to_string()).as_ref(), Ok(&written));
        }
        let _ = Host::parse(text);
    }
}

/// Reads any octets as the value of one field, and what is written of each view again.
///
/// # Panics
///
/// If what a view writes does not read as one value that is written the same.
pub fn fuzz_header(id: HeaderId, value: &[u8]) {
    /// Three views are plain values, which say nothing of how they are written.
    macro_rules! one {
        (ContentId) => {
            read::<header::ContentId>(value)
        };
        (GeolocationRouting) => {
            read::<header::GeolocationRouting>(value)
        };
        (MimeVersion) => {
            read::<header::MimeVersion>(value)
        };
        ($field:ident) => {
            read_and_write::<header::$field>(value)
        };
    }
    macro_rules! chosen {
        ($($field:ident)*) => {
            match id {
                $(HeaderId::$field => one!($field),)*
                HeaderId::Unknown => {}
            }
        };
    }
    every_header!(chosen);
}

fn read<H: Header>(value: &[u8]) {
    if let Some(message) = one_row(H::ID, value) {
        message.each::<H>().for_each(drop);
    }
}

fn read_and_write<H: Header>(value: &[u8])
where
    for<'m> H::View<'m>: Display + Debug,
{
    let Some(message) = one_row(H::ID, value) else { return };
    visit::<H>(&message);
    for view in message.each::<H>() {
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        let written = view.to_string();
        let again = one_row(H::ID, written.as_bytes());
        let values = again.iter().flat_map(|message| message.each::<H>());
        let values: Result<Vec<_>, _> = values.map(|value| value.map(|view| view.to_string())).collect();
        assert_eq!(values, Ok(vec![written]), "{}: {view:?}", H::ID);
    }
}

/// Both ways to read a row must agree.
fn visit<H: Header>(message: &Message)
where
    for<'m> H::View<'m>: Debug,
{
    for row in message.raw(H::ID) {
        let mut values = row.values::<H>().map(|value| value.map(|view| format!("{view:?}")));
        let end = row.visit::<H>(|view| assert_eq!(values.next(), Some(Ok(format!("{view:?}")))));
        assert_eq!(values.next(), end.err().map(Err), "{}", row.name());
    }
}

/// A request with this row. Not one that must be whole: Content-Length may say what it likes.
fn one_row(id: HeaderId, value: &[u8]) -> Option<Message> {
    let front = format!("OPTIONS sip:a@b SIP/2.0\r\n{}: ", id.name());
    Message::salvage([front.as_bytes(), value, b"\r\n\r\n"].concat().into(), &Limits::NONE)
}

fn read_all(message: &Message) {
    let mut sink = String::new();
    for row in message.headers() {
        assert_eq!(message.named(row.name()).filter(|same| same.index == row.index).count(), 1);
        assert!(row.line.start < row.span.start && row.span.end < row.line.end);
        let _ = write!(sink, "{} {:?} {}", row.name(), row.text(), row.is_folded());
    }
    macro_rules! read {
        ($($field:ident)*) => {$(
            visit::<header::$field>(message);
            for value in message.each::<header::$field>() {
                match value {
                    Ok(view) => _ = write!(sink, "{view:?}"),
                    Err(error) => _ = write!(sink, "{error}"),
                }
            }
        )*};
    }
    every_header!(read);
    let (count, malformed) = count_values(message);
    assert!(malformed <= count && count <= message.bytes().len());
    assert_eq!(header::check(message).is_ok(), malformed == 0);
    check_rows(message);
    for via in message.each::<Via>().flatten() {
        let _ = (via.branch(), via.received(), via.rport(), via.maddr(), via.ttl());
        let _ = write!(sink, "{via}");
    }
    for contact in message.each::<Contact>().flatten() {
        let _ = (contact.q(), contact.expires());
        let _ = write!(sink, "{contact}");
        contact.address().into_iter().for_each(|address| read_uri(address.uri));
    }
    for date in message.each::<Date>().flatten() {
        let _ = write!(sink, "{date}");
    }
}

/// Rows read one by one hold what the message says of their fields.
fn check_rows(message: &Message) {
    let vias = message.raw(HeaderId::Via).flat_map(|row| row.values::<Via>());
    assert_eq!(told(vias), verdicts::<Via>(message));
    let contacts = message.headers().filter(|row| row.id == HeaderId::Contact);
    assert_eq!(told(contacts.flat_map(|row| row.values::<Contact>())), verdicts::<Contact>(message));
    if let (Ok(from), Ok(tag)) = (message.from(), message.from_tag()) {
        assert_eq!(from.tag(), tag);
    }
}

/// Of each value of a field that is told of, whether it is sound.
fn verdicts<H: Header>(message: &Message) -> Vec<bool> {
    message.each::<H>().map(|value| value.is_ok()).collect()
}

/// The same of any values, up to the malformed one that is the last told of.
fn told<V, E>(values: impl Iterator<Item = Result<V, E>>) -> Vec<bool> {
    let mut malformed = 0;
    let mut all = Vec::new();
    for value in values {
        all.push(value.is_ok());
        malformed += u8::from(value.is_err());
        if malformed == Limits::MALFORMED {
            break;
        }
    }
    all
}

fn read_uri(uri: Uri<'_>) {
    let _ = (uri.user_decoded(), uri.password(), uri.host(), uri.port(), uri.opaque(), uri.without_headers());
    let _ = (uri.params().iter().count(), uri.headers().count());
}

/// Edits of a sound message give a sound message.
fn edit(message: &Message) {
    assert_eq!(Edits::new(message).finish(), *message, "no edit, no change");
    let vias = verdicts::<Via>(message);
    let mut edits = Edits::new(message);
    edits.top_via_param("received", Some(&"192.0.2.1")).top_via_param("rport", Some(&5060));
    edits.prepend(HeaderId::Via, "SIP/2.0/UDP a;branch=z9hG4bK1\r\nX: y");
    edits.append(HeaderId::Route, "<sip:r;lr>").pop_value(HeaderId::Route).set(HeaderId::MaxForwards, 69);
    edits.append_named("X Y", "z\r\n\r\nz").uri("sip:a b\r\n").body("text/plain", b"body");
    let edited = edits.finish();
    let again = Message::parse(edited.bytes().clone(), &Limits::NONE);
    assert_eq!(again.as_ref(), Ok(&edited), "what is written can be read");
    assert_eq!(edited.body(), b"body");
    // One Via more, and none of the others is another one or gone; with it one fewer of them may be told of.
    let edited_vias = verdicts::<Via>(&edited);
    let expected = edited_vias.first().copied().into_iter().chain(vias);
    let expected: Vec<_> = expected.map(|sound| if sound { Ok(()) } else { Err(()) }).collect();
    assert_eq!(edited_vias, told(expected.into_iter()));
    assert_eq!(edited.named("X").count(), message.named("X").count(), "nothing breaks out");
}

/// A response to anything that looks like a request can be read.
fn answer(message: Message) {
    let Ok(request) = message.into_request() else { return };
    let _ = (request.method().known(), request.uri().map(read_uri));
    let response = Builder::response(&request, 400, Some("no\r\nway")).record_route().to_tag("a b").finish();
    let again = Message::parse(response.bytes().clone(), &Limits::NONE);
    assert_eq!(again.as_ref(), Ok(&response), "what is written can be read");
    assert_eq!(response.count(HeaderId::Via), request.count(HeaderId::Via));
    assert_eq!(response.count(HeaderId::To), request.count(HeaderId::To));
}
