//! What the tests of this folder share: messages to feed machines with, and actions as short text.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Action, Cx, Effect, NEVER, Timing};
use crate::{
    message::{Limits, Message, Request, Response},
    time::Instant,
    transport::{Flow, Protocol},
};

/// A moment on a tick of the wheel, so that deadlines come out even.
pub const START: Instant = Instant::from_millis(1_000);

pub fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.replace('\n', "\r\n")), &Limits::default()).expect(text)
}

pub fn request(method: &str, branch: &str) -> Request {
    let text = format!(
        "{method} sip:bob@192.0.2.2 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\n\
         Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKfirst\n\
         Max-Forwards: 70\n\
         Route: <sip:p1.example.com;lr>\n\
         Route: <sip:p2.example.com;lr>\n\
         From: Alice <sip:alice@example.com>;tag=a\n\
         To: <sip:bob@example.com>\n\
         Call-ID: c1\n\
         CSeq: 7 {method}\n\
         Proxy-Authorization: Digest username=\"alice\"\n\
         Content-Length: 0\n\n"
    );
    message(&text).into_request().expect("a request")
}

/// The response a peer would give to [`request`].
pub fn response(status: u16, method: &str, branch: &str) -> Response {
    let text = format!(
        "SIP/2.0 {status} Whatever\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\n\
         Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKfirst\n\
         From: Alice <sip:alice@example.com>;tag=a\n\
         To: <sip:bob@example.com>;tag=b\n\
         Call-ID: c1\n\
         CSeq: 7 {method}\n\
         Content-Length: 0\n\n"
    );
    message(&text).into_response().expect("a response")
}

pub fn flow(protocol: Protocol, port: u16) -> Flow {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Flow { shard: 0, slot: 0, generation: 1, protocol, local: at(5060), remote: at(port) }
}

/// Lets `event` happen to a machine at `now`; what it wants, as text.
pub fn during(now: Instant, reliable: bool, event: impl FnOnce(&mut Cx<'_>)) -> String {
    let (timing, mut out) = (Timing::default(), Vec::new());
    event(&mut Cx { now, timing: &timing, reliable, out: &mut out });
    let words = out.iter().map(|action| match action {
        Action::Transmit(bytes) => format!("send {}", first_word(bytes)),
        Action::Arm(NEVER) => "arm never".into(),
        Action::Arm(at) => format!("arm {}", at.since(now).as_millis()),
        Action::Report(report) => format!("{report:?}"),
        Action::Remove => "remove".into(),
    });
    words.collect::<Vec<String>>().join(", ")
}

/// The same of a table's effects, without their ids.
pub fn shown(effects: &mut Vec<Effect>) -> String {
    let words = effects.drain(..).map(|effect| match effect {
        Effect::Transmit { bytes, .. } => format!("send {}", first_word(&bytes)),
        Effect::Client { report, .. } => format!("client {report:?}"),
        Effect::Server { report, .. } => format!("server {report:?}"),
    });
    words.collect::<Vec<String>>().join(", ")
}

/// The method of a request, the status of a response.
pub fn first_word(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split(' ');
    match words.next() {
        Some("SIP/2.0") => words.next().unwrap_or_default().into(),
        word => word.unwrap_or_default().into(),
    }
}
