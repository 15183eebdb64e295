use bytes::Bytes;

use super::*;
use crate::{
    message::{Limits, Message},
    transport::Protocol,
};

fn parse(text: &str) -> Message {
    Message::parse(Bytes::from(text.to_owned()), &Limits::default()).unwrap()
}

fn request(method: &str, extra: &str) -> Request {
    let text = format!(
        "{method} sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
         From: \"Alice\" <sip:alice@atlanta.example>;tag=al\r\nTo: <sip:bob@biloxi.example>\r\n\
         Call-ID: c1\r\nCSeq: 7 {method}\r\n{extra}Content-Length: 0\r\n\r\n"
    );
    parse(&text).into_request().unwrap()
}

fn response(status: u16, extra: &str) -> Response {
    let text = format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
         From: \"Alice\" <sip:alice@atlanta.example>;tag=al\r\nTo: <sip:bob@biloxi.example>;tag=bo\r\n\
         Call-ID: c1\r\nCSeq: 7 INVITE\r\n{extra}Content-Length: 0\r\n\r\n"
    );
    parse(&text).into_response().unwrap()
}

fn flow() -> Flow {
    let addr = "192.0.2.1:5060".parse().unwrap();
    Flow { shard: 0, slot: 0, generation: 0, protocol: Protocol::Udp, local: addr, remote: addr }
}

fn rows(message: &Message, id: HeaderId) -> Vec<String> {
    message.raw(id).map(|row| row.text().to_string()).collect()
}

const PATH: &str =
    "Contact: <sip:bob@192.0.2.4>\r\nRecord-Route: <sip:p2.example;lr>, <sip:p1.example;lr>\r\n";

#[test]
fn the_caller_takes_the_route_in_reverse() {
    let mut dialog = Dialog::uac(&request("INVITE", ""), &response(200, PATH), flow()).unwrap();
    assert_eq!(dialog.state(), State::Confirmed);
    let bye = dialog.request(Method::Bye).finish().into_request().unwrap();
    assert_eq!(bye.raw_uri(), "sip:bob@192.0.2.4");
    assert_eq!(rows(&bye, HeaderId::Route), ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
    assert_eq!(bye.cseq().unwrap().number, 8);
    assert_eq!(bye.from().unwrap().tag(), Some("al"));
    assert_eq!(bye.to().unwrap().tag(), Some("bo"));
    assert!(matches!(dialog.next_hop(), NextHop::TopRoute));
    let ack = dialog.ack(7).finish().into_request().unwrap();
    assert_eq!(ack.cseq().unwrap().number, 7);
}

#[test]
fn the_callee_takes_it_as_it_stands() {
    let invite = request("INVITE", PATH);
    let mut dialog = Dialog::uas(&invite, "bo", 0, flow()).unwrap();
    dialog.confirm_local();
    let bye = dialog.request(Method::Bye).finish().into_request().unwrap();
    assert_eq!(rows(&bye, HeaderId::Route), ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]);
    assert_eq!((bye.from().unwrap().tag(), bye.to().unwrap().tag()), (Some("bo"), Some("al")));
    assert!(Dialog::uas(&request("INVITE", ""), "bo", 0, flow()).is_err(), "a Contact is needed");
}

/// RFC 3261 §12.2.1.1: a strict router takes the place of the Request-URI, the target ends the route.
#[test]
fn a_strict_router_is_humoured() {
    let strict = "Contact: <sip:bob@192.0.2.4>\r\nRecord-Route: <sip:p1.example;lr>\r\nRecord-Route: <sip:old.example>\r\n";
    let mut dialog = Dialog::uac(&request("INVITE", ""), &response(200, strict), flow()).unwrap();
    let bye = dialog.request(Method::Bye).finish().into_request().unwrap();
    assert_eq!(bye.raw_uri(), "sip:old.example");
    assert_eq!(rows(&bye, HeaderId::Route), ["<sip:p1.example;lr>", "<sip:bob@192.0.2.4>"]);
    assert!(matches!(dialog.next_hop(), NextHop::RequestUri));
}

#[test]
fn requests_out_of_order_are_refused() {
    let mut dialog = Dialog::uas(&request("INVITE", PATH), "bo", 0, flow()).unwrap();
    let numbered = |number: u32| {
        let text = format!(
            "BYE sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
             From: <sip:alice@atlanta.example>;tag=al\r\nTo: <sip:bob@biloxi.example>;tag=bo\r\n\
             Call-ID: c1\r\nCSeq: {number} BYE\r\nContent-Length: 0\r\n\r\n"
        );
        parse(&text).into_request().unwrap()
    };
    assert_eq!(dialog.accept(&numbered(9), flow()), Ok(()));
    assert_eq!(dialog.accept(&numbered(8), flow()), Err(Reject::OutOfOrder { got: 8, last: 9 }));
    assert_eq!(dialog.accept(&numbered(10), flow()), Ok(()));
}

#[test]
fn a_target_refresh_moves_the_target() {
    let mut dialog = Dialog::uas(&request("INVITE", PATH), "bo", 0, flow()).unwrap();
    let again = request("INVITE", "Contact: <sip:alice@192.0.2.99:5070>\r\n");
    dialog.accept(&again, flow()).unwrap();
    assert_eq!(dialog.target().as_str(), "sip:alice@192.0.2.99:5070");
    let bye = request("BYE", "Contact: <sip:evil@192.0.2.66>\r\n");
    dialog.accept(&bye, flow()).unwrap();
    assert_eq!(dialog.target().as_str(), "sip:alice@192.0.2.99:5070", "BYE is no target refresh");
}

#[test]
fn forks_are_told_apart_and_bounded() {
    let mut forks = Forks::default();
    let invite = request("INVITE", "");
    for n in 0..100 {
        let text = format!(
            "SIP/2.0 180 X\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
             From: <sip:alice@atlanta.example>;tag=al\r\nTo: <sip:bob@biloxi.example>;tag=t{n}\r\n\
             Call-ID: c1\r\nCSeq: 7 INVITE\r\nContact: <sip:bob@192.0.2.{n}>\r\nContent-Length: 0\r\n\r\n"
        );
        forks.early(&invite, &parse(&text).into_response().unwrap(), flow()).unwrap();
    }
    assert_eq!(forks.iter().count(), Forks::MOST);
    let dialog = forks.confirm(&invite, &response(200, PATH), flow()).unwrap();
    assert_eq!(dialog.remote_tag(), "bo");
    assert_eq!(forks.iter().count(), Forks::MOST, "the answer came from yet another branch");
}
