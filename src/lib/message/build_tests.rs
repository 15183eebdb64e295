use super::*;
use crate::message::Limits;

fn request(rows: &str) -> Request {
    let text = format!("INVITE sip:bob@example.com SIP/2.0\r\n{rows}\r\n");
    Message::parse(text.into(), &Limits::default()).unwrap().into_request().unwrap()
}

fn text(message: &Message) -> String {
    String::from_utf8(message.bytes().to_vec()).unwrap()
}

const ROWS: &str = "v: SIP/2.0/UDP a;branch=z9hG4bK1\r\nRecord-Route: <sip:p;lr>\r\nf: <sip:a>;tag=1\r\n\
                    t: \"Bob\"\r\n <sip:b>\r\nCall-ID: x@y\r\nVia: SIP/2.0/UDP b, SIP/2.0/UDP c\r\n\
                    CSeq: 1 INVITE\r\nTimestamp: 54.2\r\n";

#[test]
fn a_response_takes_what_it_must_from_the_request() {
    let response = Builder::response(&request(ROWS), 180, None)
        .record_route()
        .header(HeaderId::Contact, "<sip:b@c>")
        .to_tag("2")
        .finish();
    assert_eq!(
        text(&response),
        "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b, SIP/2.0/UDP c\r\n\
         From: <sip:a>;tag=1\r\nTo: \"Bob\"   <sip:b>;tag=2\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\n\
         Record-Route: <sip:p;lr>\r\nContact: <sip:b@c>\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(response.to().unwrap().tag(), Some("2"));
    assert!(!response.has(HeaderId::Timestamp));
    assert!(Builder::response(&request(ROWS), 100, None).finish().has(HeaderId::Timestamp));
}

#[test]
fn a_tag_that_is_there_stays() {
    let tagged = request("To: <sip:b>;tag=old\r\n");
    let response = Builder::response(&tagged, 200, None).to_tag("new").finish();
    assert_eq!(response.to().unwrap().tag(), Some("old"));
    let broken = request("To: \"<sip:b>;tag=old\r\n");
    assert!(!text(&Builder::response(&broken, 400, None).to_tag("new").finish()).contains("new"));
    let twice = Builder::response(&request("To: <sip:b>\r\n"), 200, None).to_tag("1").to_tag("2").finish();
    assert_eq!(twice.to().unwrap().tag(), Some("1"));
}

#[test]
fn the_last_body_counts() {
    let response = Builder::response(&request(ROWS), 200, None)
        .body("a/b", b"hello")
        .header(HeaderId::Contact, "<sip:b@c>")
        .to_tag("2")
        .body("c/d", b"hi")
        .to_tag("3")
        .header(HeaderId::Subject, "s");
    let rows = "CSeq: 1 INVITE\r\nContact: <sip:b@c>\r\n";
    let typed = text(&response.clone().finish());
    assert!(
        typed.ends_with(&format!("{rows}Content-Type: c/d\r\nSubject: s\r\nContent-Length: 2\r\n\r\nhi"))
    );
    let bare = text(&response.body("", b"").body("", b"").finish());
    assert!(bare.ends_with(&format!("{rows}Subject: s\r\nContent-Length: 0\r\n\r\n")), "{bare}");
}

#[test]
fn nothing_breaks_out_of_its_place() {
    let message = Builder::request(Method::Other("A B\r\nC"), "sip:a b\r\nX: y")
        .header(HeaderId::Subject, "a\r\nVia: evil\r\n\r\nbody")
        .named("X: evil\r\nY", "z")
        .named("", "empty")
        .header(HeaderId::Unknown, "no name")
        .header(HeaderId::ContentLength, 77)
        .named("l", 78)
        .body("text/plain\r\nX: y", b"1\r\n2")
        .finish();
    assert_eq!(
        text(&message),
        "A-B--C sip:a%20b%0D%0AX:%20y SIP/2.0\r\nSubject: a  Via: evil    body\r\nX--evil--Y: z\r\n-: empty\r\n\
         Content-Type: text/plain  X: y\r\nContent-Length: 4\r\n\r\n1\r\n2"
    );
    let reason = Builder::response(&request(ROWS), 1000, Some("a\r\nX: y")).finish();
    assert!(text(&reason).starts_with("SIP/2.0 699 a  X: y\r\n"));
}

#[test]
fn a_head_never_outgrows_its_index() {
    let long = "é".repeat(30_000);
    let message = Builder::request(Method::Options, format!("sip:{long}"))
        .header(HeaderId::Subject, &long)
        .named("X", &long)
        .header(HeaderId::MaxForwards, 70)
        .body("a/b", &[0; 100_000])
        .finish();
    assert!(!message.has(HeaderId::Subject) || message.named("X").count() == 0);
    assert!(message.has(HeaderId::MaxForwards));
    assert_eq!(message.body().len(), 100_000);
    assert_eq!(Message::parse(message.bytes().clone(), &Limits::NONE).unwrap(), message);
    let answer = Builder::response(&message.clone().into_request().unwrap(), 200, Some(&long)).finish();
    assert_eq!(answer.clone().into_response().unwrap().reason(), "OK");
}

#[test]
fn rows_are_copied_from_another_message() {
    let message = Builder::request(Method::Bye, "sip:x")
        .copy(&request(ROWS), HeaderId::RecordRoute)
        .copy(&request("X-1: 1\r\nX-2: 2\r\nl:0\r\n"), HeaderId::Unknown)
        .copy(&request("l:0\r\n"), HeaderId::ContentLength)
        .finish();
    assert_eq!(
        text(&message),
        "BYE sip:x SIP/2.0\r\nRecord-Route: <sip:p;lr>\r\nX-1: 1\r\nX-2: 2\r\nContent-Length: 0\r\n\r\n"
    );
}
