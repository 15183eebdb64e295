//! Connections over loopback: calls over them, peers that are slow, half-hearted or gone, and many at once.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use sipkit::{
    auth,
    endpoint::{Builder, ConnectionOptions, Endpoint, agent::Agent},
    message::{AddressBuf, UriBuf},
    phone::responder::{self, Responder},
    sdp::Codec,
    stack::{Failure, NextHop},
    transport::{FlowError, Protocol, Target, stream::Times},
    ua::{
        self,
        call::{Body, By, CallEvent, Cause, Invite},
    },
};

use crate::support::message::{Draft, PCMU, Text, sdp};

pub fn responder() -> Responder {
    Responder::new(responder::Config {
        ua: ua::Config::default(),
        media: None,
        rtp_ports: None,
        codecs: vec![Codec::PCMU],
        behaviour: None,
        auth: None,
        registrar: None,
        events: None,
        notices: None,
    })
}

/// A server that answers calls, on any ports of this address.
fn server(ip: &str, options: ConnectionOptions) -> (Endpoint<Responder>, SocketAddr) {
    let at = if ip.contains(':') { format!("[{ip}]:0") } else { format!("{ip}:0") };
    let listen = vec![format!("tcp:{at}").parse().unwrap(), at.parse().unwrap()];
    let builder = Builder { listen, connections: options, ..Builder::default() };
    let endpoint = builder.start(responder()).unwrap();
    let addr = endpoint.local()[0].addr;
    assert_eq!(endpoint.local()[0].protocol, Protocol::Tcp);
    (endpoint, addr)
}

fn plain(ip: &str) -> (Endpoint<Responder>, SocketAddr) {
    server(ip, ConnectionOptions::default())
}

/// A caller that listens over UDP only.
fn caller(ip: &str) -> Agent {
    let at = if ip.contains(':') { format!("[{ip}]:0") } else { format!("{ip}:0") };
    let listen = vec![at.parse().unwrap()];
    Agent::start(Builder { listen, ..Builder::default() }, ua::Config::default()).unwrap()
}

pub fn invite(target: &str) -> Invite {
    Invite {
        target: UriBuf::parse(target).unwrap(),
        from: AddressBuf::parse("sip:alice@alice.example").unwrap(),
        next: NextHop::RequestUri,
        offer: Body::sdp(sdp(
            if target.contains('[') { "[::1]:9" } else { "127.0.0.1:9" }.parse().unwrap(),
            PCMU,
        )),
        auth: auth::Client::default(),
        registration: None,
        headers: Vec::new(),
    }
}

/// A peer at the other end of a connection, by hand.
struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    fn to(addr: SocketAddr) -> Self {
        Self::of(TcpStream::connect(addr).unwrap())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        Self { stream, read: Vec::new() }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The next message, `None` when the connection is closed.
    fn message(&mut self) -> Option<Text> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = Text::of(&self.read[..end + 4]);
                let length: usize = head.must("Content-Length").parse().unwrap();
                if self.read.len() >= end + 4 + length {
                    let rest = self.read.split_off(end + 4 + length);
                    return Some(Text::of(&std::mem::replace(&mut self.read, rest)));
                }
            }
            if self.more() == 0 {
                return None;
            }
        }
    }

    #[track_caller]
    fn status(&mut self) -> u16 {
        self.message().expect("closed").status().expect("a response")
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(read) => {
                self.read.extend(&buffer[..read]);
                read
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        }
    }

    fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    fn draft(&self, method: &'static str, user: &str) -> Draft {
        let uri = format!("sip:{user}@{}", self.stream.peer_addr().unwrap());
        Draft::new(method, uri, self.local())
    }

    fn text(&self, method: &'static str, user: &str) -> String {
        tcp(&self.draft(method, user))
    }
}

/// As a request over TCP says it.
fn tcp(draft: &Draft) -> String {
    let contact = format!("<sip:test@{}>", draft.local);
    let over_tcp = contact.replace('>', ";transport=tcp>");
    draft
        .text()
        .replace("SIP/2.0/UDP", "SIP/2.0/TCP")
        .replace(&format!("Contact: {contact}"), &format!("Contact: {over_tcp}"))
}

#[tokio::test]
async fn a_call_over_tcp_in_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let ((server, addr), caller) = (plain(ip), caller(ip));
        let mut call = caller.call(invite(&format!("sip:echo@{addr};transport=tcp"))).await.unwrap();
        let path = loop {
            match call.next().await.unwrap() {
                CallEvent::Answered { path, .. } => break path,
                CallEvent::Progress { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((path.flow.protocol, path.flow.remote), (Protocol::Tcp, addr));
        call.hang_up().unwrap();
        let ended = call.next().await.unwrap();
        assert!(matches!(ended, CallEvent::Ended { by: By::Local, cause: Cause::Bye { .. } }), "{ended:?}");
        let counts = server.with(|responder, _| responder.counts()).await.unwrap();
        assert_eq!((counts.calls, counts.ended), (1, 1));
        caller.stop().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn the_server_hangs_up_on_the_callers_connection() {
    let ((server, addr), caller) = (plain("127.0.0.1"), caller("127.0.0.1"));
    // Nobody can connect to this caller: the BYE has one way only.
    let mut call = caller.call(invite(&format!("sip:hangup@{addr};transport=tcp"))).await.unwrap();
    loop {
        match call.next().await.unwrap() {
            CallEvent::Answered { .. } | CallEvent::Progress { .. } => {}
            CallEvent::Ended { by, cause } => {
                assert!(matches!((by, &cause), (By::Remote, Cause::Bye { .. })), "{by:?} {cause:?}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    caller.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_told_at_once_and_by_name() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = held.local_addr().unwrap();
    drop(held);
    let caller = caller("127.0.0.1");
    let begun = Instant::now();
    let mut call = caller.call(invite(&format!("sip:x@{dead};transport=tcp"))).await.unwrap();
    let Some(CallEvent::Ended { by: By::Network, cause: Cause::Failed(why) }) = call.next().await else {
        panic!("not refused");
    };
    assert!(
        matches!(why, Failure::Unreachable { target, why: FlowError::Refused } if target == Target::tcp(dead)),
        "{why}"
    );
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    caller.stop().await;
}

#[test]
fn messages_come_octet_by_octet_or_all_together() {
    let (_server, addr) = plain("127.0.0.1");
    let mut wire = Wire::to(addr);
    for byte in wire.text("OPTIONS", "echo").bytes() {
        wire.send([byte]);
    }
    assert_eq!(wire.status(), 200);
    let together: String = (0..50).map(|_| wire.text("OPTIONS", "echo")).collect();
    wire.send(together);
    assert!((0..50).all(|_| wire.status() == 200));
    // And a malformed one in between costs only itself.
    let bad = wire.text("OPTIONS", "echo").replace("CSeq: 1 OPTIONS", "CSeq: one OPTIONS");
    wire.send(bad + &wire.text("OPTIONS", "echo"));
    assert_eq!((wire.status(), wire.status()), (400, 200));
}

#[test]
fn a_keep_alive_is_answered() {
    let (_server, addr) = plain("127.0.0.1");
    let mut wire = Wire::to(addr);
    wire.send("\r\n\r\n");
    while wire.read.len() < 2 {
        assert_ne!(wire.more(), 0);
    }
    assert_eq!(wire.read, b"\r\n");
}

#[test]
fn where_no_message_can_be_found_the_connection_ends_with_an_answer() {
    let (_server, addr) = plain("127.0.0.1");
    let mut wire = Wire::to(addr);
    let text = wire.text("OPTIONS", "echo").replace("Content-Length: 0\r\n", "");
    wire.send(text);
    assert_eq!(wire.status(), 400);
    assert!(wire.message().is_none());
}

#[test]
fn the_answer_follows_who_left() {
    let (_server, addr) = plain("127.0.0.1");
    let back = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wire = Wire::to(addr);
    let draft = Draft::invite(format!("sip:echo@{addr}"), back.local_addr().unwrap());
    wire.send(tcp(&draft));
    drop(wire);
    let mut wire = Wire::of(back.accept().unwrap().0);
    // What was said on the lost connection is lost; the final answer is repeated until the ACK.
    let answer = loop {
        let message = wire.message().unwrap();
        if message.status() == Some(200) {
            break message;
        }
    };
    assert_eq!(answer.must("Call-ID"), draft.call_id);
}

/// A peer that listens, takes one connection and follows its test.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn next(listener: &TcpListener) -> Wire {
    Wire::of(listener.accept().unwrap().0)
}

fn answer(request: &Text, status: u16, contact: SocketAddr) -> String {
    let body = if request.method() == "INVITE" && status == 200 { sdp(contact, PCMU) } else { String::new() };
    let more = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let text = request.response(status, "peer", contact, more, &body);
    text.replace(&format!("<sip:{contact}>"), &format!("<sip:{contact};transport=tcp>"))
}

pub async fn answered(call: &mut sipkit::endpoint::agent::Call) {
    loop {
        match call.next().await.unwrap() {
            CallEvent::Answered { .. } => return,
            CallEvent::Progress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

pub async fn ended(call: &mut sipkit::endpoint::agent::Call) -> (By, Cause) {
    loop {
        if let CallEvent::Ended { by, cause } = call.next().await.unwrap() {
            return (by, cause);
        }
    }
}

#[tokio::test]
async fn a_connection_lost_between_two_requests_is_opened_again() {
    let caller = caller("127.0.0.1");
    let (listener, addr) = listener();
    let mut call = caller.call(invite(&format!("sip:x@{addr};transport=tcp"))).await.unwrap();
    let mut wire = next(&listener);
    let request = wire.message().unwrap();
    // No port of ours is listened on for TCP: the connection is how we are reached.
    assert_eq!(request.contact(), format!("sip:{};transport=tcp", wire.stream.peer_addr().unwrap()));
    wire.send(answer(&request, 200, addr));
    answered(&mut call).await;
    assert_eq!(wire.message().unwrap().method(), "ACK");
    drop(wire);
    call.hang_up().unwrap();
    let mut wire = next(&listener);
    let bye = wire.message().unwrap();
    assert_eq!(bye.method(), "BYE");
    assert!(bye.must("Via").contains(&wire.stream.peer_addr().unwrap().to_string()), "{}", bye.0);
    wire.send(answer(&bye, 200, addr));
    assert!(matches!(ended(&mut call).await, (By::Local, Cause::Bye { .. })));
    caller.stop().await;
}

#[tokio::test]
async fn a_connection_that_served_before_and_is_lost_is_replaced_once() {
    let caller = caller("127.0.0.1");
    let (listener, addr) = listener();
    let mut busy = caller.call(invite(&format!("sip:x@{addr};transport=tcp"))).await.unwrap();
    let mut wire = next(&listener);
    let request = wire.message().unwrap();
    wire.send(answer(&request, 486, addr));
    assert!(matches!(ended(&mut busy).await, (By::Remote, Cause::Refused(_))));
    assert_eq!(wire.message().unwrap().method(), "ACK");
    let mut call = caller.call(invite(&format!("sip:x@{addr};transport=tcp"))).await.unwrap();
    let first = wire.message().unwrap();
    let text = answer(&first, 200, addr);
    wire.send(&text[..text.len() / 2]);
    drop(wire);
    let mut wire = next(&listener);
    let second = wire.message().unwrap();
    assert_eq!(first.must("Call-ID"), second.must("Call-ID"));
    assert_ne!(first.must("Via"), second.must("Via"), "a new branch");
    drop(wire);
    let (by, cause) = ended(&mut call).await;
    let Cause::Failed(Failure::Unreachable { target, why: FlowError::Lost }) = cause else {
        panic!("{by:?} {cause:?}");
    };
    assert_eq!(target, Target::tcp(addr));
    caller.stop().await;
}

/// The peer may have taken the request: a second one would be a second call.
#[tokio::test]
async fn a_new_connection_lost_in_the_middle_of_the_answer_ends_the_call() {
    let caller = caller("127.0.0.1");
    let (listener, addr) = listener();
    let mut call = caller.call(invite(&format!("sip:x@{addr};transport=tcp"))).await.unwrap();
    let mut wire = next(&listener);
    let text = answer(&wire.message().unwrap(), 200, addr);
    wire.send(&text[..text.len() / 2]);
    drop(wire);
    let (by, cause) = ended(&mut call).await;
    assert!(matches!(by, By::Network), "{by:?}");
    assert!(matches!(&cause, Cause::Failed(Failure::Unreachable { why: FlowError::Lost, .. })), "{cause:?}");
    caller.stop().await;
}

#[tokio::test]
async fn a_connection_lost_while_it_rings_ends_the_call() {
    let caller = caller("127.0.0.1");
    let (listener, addr) = listener();
    let mut call = caller.call(invite(&format!("sip:x@{addr};transport=tcp"))).await.unwrap();
    let mut wire = next(&listener);
    let request = wire.message().unwrap();
    wire.send(answer(&request, 180, addr));
    drop(wire);
    assert!(matches!(ended(&mut call).await, (By::Network, Cause::Failed(Failure::Unreachable { .. }))));
    caller.stop().await;
}

#[tokio::test]
async fn two_calls_share_a_connection() {
    let caller = caller("127.0.0.1");
    let (listener, addr) = listener();
    let target = format!("sip:x@{addr};transport=tcp");
    let _one = caller.call(invite(&target)).await.unwrap();
    // Whether it is still being opened or open already.
    let _two = caller.call(invite(&target)).await.unwrap();
    let mut wire = next(&listener);
    let (first, second) = (wire.message().unwrap(), wire.message().unwrap());
    assert_ne!(first.must("Call-ID"), second.must("Call-ID"));
    let _three = caller.call(invite(&target)).await.unwrap();
    assert_eq!(wire.message().unwrap().method(), "INVITE");
    caller.stop().await;
}

/// RFC 3261 §18.1.1.
#[tokio::test]
async fn a_large_request_goes_over_tcp_unless_that_is_refused_or_udp_was_asked_for() {
    let caller = caller("127.0.0.1");
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(WAIT)).unwrap();
    let addr = udp.local_addr().unwrap();
    let datagram = || {
        let mut buffer = [0; 65_535];
        let length = udp.recv(&mut buffer).unwrap();
        Text::of(&buffer[..length])
    };
    let large = |uri: String| {
        let mut invite = invite(&uri);
        invite.headers.push(("Subject".into(), "x".repeat(1_300)));
        invite
    };
    // Nobody listens for TCP there.
    let begun = Instant::now();
    let _refused = caller.call(large(format!("sip:refused@{addr}"))).await.unwrap();
    assert!(datagram().start().contains("refused"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let tcp = TcpListener::bind(addr).unwrap();
    let _taken = caller.call(large(format!("sip:taken@{addr}"))).await.unwrap();
    let request = next(&tcp).message().unwrap();
    assert!(request.start().contains("taken") && request.must("Via").contains("SIP/2.0/TCP"));
    let _asked = caller.call(large(format!("sip:asked@{addr};transport=udp"))).await.unwrap();
    let _small = caller.call(invite(&format!("sip:small@{addr}"))).await.unwrap();
    let mut seen = [false; 2];
    while seen != [true; 2] {
        let request = datagram();
        assert!(request.must("Via").contains("SIP/2.0/UDP"));
        seen[0] |= request.start().contains("asked");
        seen[1] |= request.start().contains("small");
    }
    caller.stop().await;
}

#[test]
fn half_a_message_and_then_silence_ends_the_connection() {
    let times = Times { message: Duration::from_millis(300), ..Times::default() };
    let (_server, addr) = server("127.0.0.1", ConnectionOptions { times, ..ConnectionOptions::default() });
    let mut half = Wire::to(addr);
    let text = half.text("OPTIONS", "echo");
    half.send(&text[..100]);
    // A lone line end is no half of anything.
    let mut whole = Wire::to(addr);
    whole.send(whole.text("OPTIONS", "echo") + "\r\n");
    assert_eq!(whole.status(), 200);
    let begun = Instant::now();
    assert!(half.message().is_none());
    assert!(begun.elapsed() < Duration::from_secs(5));
    std::thread::sleep(Duration::from_millis(600));
    whole.send(whole.text("OPTIONS", "echo"));
    assert_eq!(whole.status(), 200);
}

#[test]
fn who_does_not_read_is_left() {
    let times = Times { stall: Duration::from_millis(300), ..Times::default() };
    let (_server, addr) = server("127.0.0.1", ConnectionOptions { times, ..ConnectionOptions::default() });
    let mut wire = Wire::to(addr);
    let many: String = (0..100).map(|_| wire.text("OPTIONS", "echo")).collect();
    let begun = Instant::now();
    // Tens of megabytes of answers, of which nothing is read.
    while wire.stream.write_all(many.as_bytes()).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never closed");
    }
    // Others are served meanwhile and after.
    let mut other = Wire::to(addr);
    other.send(other.text("OPTIONS", "echo"));
    assert_eq!(other.status(), 200);
}

#[test]
fn there_are_only_so_many_connections() {
    let (_server, addr) = server("127.0.0.1", ConnectionOptions { most: 10, ..ConnectionOptions::default() });
    let mut wires: Vec<Wire> = (0..10).map(|_| Wire::to(addr)).collect();
    for wire in &mut wires {
        wire.send(wire.text("OPTIONS", "echo"));
        assert_eq!(wire.status(), 200);
    }
    assert!(Wire::to(addr).message().is_none(), "one too many");
    drop(wires.pop());
    // The place is free once the server has noticed.
    let begun = Instant::now();
    loop {
        let mut wire = Wire::to(addr);
        let text = wire.text("OPTIONS", "echo");
        if wire.stream.write_all(text.as_bytes()).is_ok() && wire.message().is_some() {
            break;
        }
        assert!(begun.elapsed() < WAIT);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_unless_a_call_needs_it() {
    let idle = Duration::from_millis(400);
    let (server, addr) = server("127.0.0.1", ConnectionOptions { idle, ..ConnectionOptions::default() });
    let mut wire = Wire::to(addr);
    wire.send(wire.text("OPTIONS", "echo"));
    assert_eq!(wire.status(), 200);
    let caller = caller("127.0.0.1");
    let mut call = caller.call(invite(&format!("sip:echo@{addr};transport=tcp"))).await.unwrap();
    answered(&mut call).await;
    assert!(wire.message().is_none(), "nobody needs it");
    tokio::time::sleep(2 * idle).await;
    call.hang_up().unwrap();
    assert!(matches!(ended(&mut call).await, (By::Local, Cause::Bye { .. })));
    let counts = server.with(|responder, _| responder.counts()).await.unwrap();
    assert_eq!((counts.calls, counts.ended), (1, 1));
    caller.stop().await;
    server.stop().await;
}

const WAIT: Duration = Duration::from_secs(15);
