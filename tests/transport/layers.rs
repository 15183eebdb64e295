//! TLS and WebSocket over loopback: whole calls, and what happens when the handshake comes to nothing. What makes a
//! certificate good is judged elsewhere.

#![cfg(all(feature = "tls", feature = "ws"))]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sipkit::{
    endpoint::{Builder, Endpoint, Security, agent::Agent},
    message::{AddressBuf, UriBuf},
    phone::responder::Responder,
    resolve::LookupError,
    stack::Failure,
    transport::{
        Direction, FlowError, Packet, Protocol, Segment, SegmentEvent, Tap, Target, WebSocketError,
        tls::{
            ClientAuth, ClientSettings, ClientTls, Credentials, Roots, ServerSettings, ServerTls, Version,
        },
    },
    ua::{
        self,
        call::{By, Cause},
        page::{Query, QueryEvent},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use super::streams::{answered, ended, invite, responder};
use crate::support::message::{Draft, Text};

/// An authority and a certificate of it for `server.example`, as PEM.
fn certificates() -> (String, Credentials) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["server.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let credentials = Credentials::pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    (authority.pem(), credentials)
}

/// Trusts this authority, and wants the server to have this name.
fn client(authority: &str, name: &str, tap: Option<Arc<dyn Tap>>) -> Security {
    let roots = Roots::pem(authority.as_bytes()).unwrap();
    let settings = ClientSettings { roots, name: Some(name.to_owned()), ..ClientSettings::default() };
    Security { client: Some(Arc::new(ClientTls::new(settings, tap))), server: None }
}

/// A server that listens over WebSocket and TLS in all combinations, and its addresses in this order: WS, TLS, WSS.
fn server(ip: &str, credentials: Credentials) -> (Endpoint<Responder>, [SocketAddr; 3]) {
    let at = if ip.contains(':') { format!("[{ip}]:0") } else { format!("{ip}:0") };
    let listen = ["ws", "tls", "wss"].map(|protocol| format!("{protocol}:{at}").parse().unwrap()).to_vec();
    let settings = ServerSettings { credentials, clients: ClientAuth::None, minimum: Version::Tls12 };
    let tls = Some(Arc::new(ServerTls::new(settings, None).unwrap()));
    let security = Security { client: None, server: tls };
    let endpoint = Builder { listen, security, ..Builder::default() }.start(responder()).unwrap();
    let local = [0, 1, 2].map(|at| endpoint.local()[at].addr);
    (endpoint, local)
}

fn caller(ip: &str, security: Security, tap: Option<Arc<dyn Tap>>) -> Agent {
    let at = if ip.contains(':') { format!("[{ip}]:0") } else { format!("{ip}:0") };
    let builder = Builder { listen: vec![at.parse().unwrap()], security, tap, ..Builder::default() };
    Agent::start(builder, ua::Config::default()).unwrap()
}

#[tokio::test]
async fn a_call_over_each_in_both_families() {
    let (authority, credentials) = certificates();
    for ip in ["127.0.0.1", "::1"] {
        let (server, [ws, tls, wss]) = server(ip, credentials.clone());
        let caller = caller(ip, client(&authority, "server.example", None), None);
        for target in [
            format!("sip:echo@{ws};transport=ws"),
            format!("sip:echo@{tls};transport=tls"),
            format!("sips:echo@{wss};transport=ws"),
            format!("sip:hangup@{tls};transport=tls"),
            format!("sip:hangup@{ws};transport=ws"),
        ] {
            let mut call = caller.call(invite(&target)).await.unwrap();
            if target.contains("hangup") {
                assert!(matches!(ended(&mut call).await, (By::Remote, Cause::Bye { .. })), "{target}");
                continue;
            }
            answered(&mut call).await;
            call.hang_up().unwrap();
            assert!(matches!(ended(&mut call).await, (By::Local, Cause::Bye { .. })), "{target}");
        }
        // The answer to its own BYE may still be on its way to the server.
        let finished = async {
            while server.with(|responder, _| responder.counts()).await.unwrap().ended < 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), finished).await.expect("five calls ended");
        caller.stop().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_certificate_for_somebody_else_ends_the_call_with_the_reason() {
    let (authority, credentials) = certificates();
    let (server, [_, tls, wss]) = server("127.0.0.1", credentials);
    let caller = caller("127.0.0.1", client(&authority, "other.example", None), None);
    for (protocol, addr) in [(Protocol::Tls, tls), (Protocol::Wss, wss)] {
        let transport = if protocol == Protocol::Tls { "tls" } else { "ws" };
        let mut call = caller.call(invite(&format!("sips:echo@{addr};transport={transport}"))).await.unwrap();
        let (By::Network, Cause::Failed(why)) = ended(&mut call).await else { panic!("not refused") };
        let Failure::Unreachable { target, why: FlowError::Tls(error) } = why else { panic!("{why}") };
        assert_eq!(target, Target { protocol, addr });
        let text = error.to_string();
        assert!(text.contains("other.example") && text.contains("server.example"), "{text}");
    }
    caller.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn without_settings_there_is_no_tls() {
    let caller = caller("127.0.0.1", Security::default(), None);
    let mut call = caller.call(invite("sips:x@127.0.0.1:9")).await.unwrap();
    let (_, Cause::Failed(why)) = ended(&mut call).await else { panic!("a call over nothing") };
    assert!(matches!(why, Failure::Lookup(LookupError::NotSpoken { protocol: Protocol::Tls, .. })), "{why}");
    let listen = vec!["tls:127.0.0.1:0".parse().unwrap()];
    assert!(Builder { listen, ..Builder::default() }.start(responder()).is_err());
    caller.stop().await;
}

async fn socket(addr: SocketAddr, subprotocol: Option<&str>) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = format!("ws://{addr}/").into_client_request().unwrap();
    if let Some(name) = subprotocol {
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_str(name).unwrap());
    }
    let stream = TcpStream::connect(addr).await.unwrap();
    client_async(request, stream).await.map(|(socket, response)| {
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
        socket
    })
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    tokio::time::timeout(Duration::from_secs(15), socket.next()).await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn text_binary_and_keep_alives_over_websocket() {
    let (server, [ws, ..]) = server("127.0.0.1", certificates().1);
    let mut socket = socket(ws, Some("chat, sip")).await.unwrap();
    let draft = || {
        let local = "192.0.2.1:5060".parse().unwrap();
        let text = Draft::new("OPTIONS", format!("sip:echo@{ws}"), local)
            .text()
            .replace("SIP/2.0/UDP", "SIP/2.0/WS");
        // Not needed there (RFC 7118 §5).
        text.replace("Content-Length: 0\r\n", "").replace("192.0.2.1:5060", "df7jal23ls0d.invalid")
    };
    let status = |message: Message| Text::of(&message.into_data()).status();
    socket.send(Message::text(draft())).await.unwrap();
    assert_eq!(status(next(&mut socket).await), Some(200));
    socket.send(Message::binary(draft())).await.unwrap();
    assert_eq!(status(next(&mut socket).await), Some(200));
    socket.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("\r\n"));
    socket.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("x".into()));
    // Two messages in one is one too many, and the connection lives on.
    socket
        .send(Message::text(draft().replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n") + &draft()))
        .await
        .unwrap();
    assert_eq!(status(next(&mut socket).await), Some(400));
    socket.send(Message::text(draft())).await.unwrap();
    assert_eq!(status(next(&mut socket).await), Some(200));
    // More than a message may have ends it.
    // The server may hang up before all of it is written.
    let _ = socket.send(Message::binary(vec![b'x'; 2 << 20])).await;
    assert!(!matches!(socket.next().await, Some(Ok(Message::Text(_)))));
    server.stop().await;
}

#[tokio::test]
async fn who_wants_no_websocket_is_answered_in_http() {
    let (server, [ws, ..]) = server("127.0.0.1", certificates().1);
    let handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, status, more) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426", "\r\nUpgrade: websocket\r\n"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".into(), "400", ""),
        (
            format!("{handshake}Sec-WebSocket-Version: 8\r\n{key}\r\n"),
            "426",
            "\r\nSec-WebSocket-Version: 13\r\n",
        ),
        (format!("{handshake}Sec-WebSocket-Version: 13\r\n{key}\r\n"), "400", "subprotocol sip"),
        ("OPTIONS sip:x@y SIP/2.0\r\n\r\n".into(), "400", ""),
        ("\u{16}\u{3}\u{1}\r\n".into(), "400", ""),
        ("x".repeat(8 << 10), "400", ""),
    ] {
        let mut stream = TcpStream::connect(ws).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(15), stream.read_to_string(&mut answer));
        read.await.unwrap().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(answer.contains(more), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    }
    // In pieces, and with the first frame behind it.
    let mut stream = TcpStream::connect(ws).await.unwrap();
    let whole = format!("{handshake}Sec-WebSocket-Version: 13\r\n{key}Sec-WebSocket-Protocol: sip\r\n\r\n");
    for octet in whole.bytes() {
        stream.write_all(&[octet]).await.unwrap();
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 101");
    server.stop().await;
}

#[tokio::test]
async fn websocket_without_sip_is_refused_by_either_side() {
    let (server, [ws, ..]) = server("127.0.0.1", certificates().1);
    for subprotocol in [None, Some("chat")] {
        let Err(Error::Http(response)) = socket(ws, subprotocol).await else { panic!("taken") };
        assert_eq!(response.status(), 400);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // Knows WebSocket, and nothing of SIP.
        let (stream, _) = listener.accept().await.unwrap();
        let _ = tokio_tungstenite::accept_async(stream).await;
        // Knows no WebSocket at all.
        let (stream, _) = listener.accept().await.unwrap();
        stream.try_write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let caller = caller("127.0.0.1", Security::default(), None);
    for expected in [WebSocketError::NoSubprotocol, WebSocketError::Refused { status: 404 }] {
        let mut call = caller.call(invite(&format!("sip:x@{addr};transport=ws"))).await.unwrap();
        let (_, Cause::Failed(Failure::Unreachable { why, .. })) = ended(&mut call).await else { panic!() };
        assert_eq!(why, FlowError::WebSocket(expected));
    }
    caller.stop().await;
    server.stop().await;
}

/// What a tap saw of connections.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Tap for Seen {
    fn packet(&self, packet: &Packet<'_>) {
        let text = Text::of(packet.bytes);
        self.0.lock().unwrap().push(format!("{:?} {}", packet.direction, text.start()));
    }

    fn segment(&self, segment: &Segment<'_>) {
        let what = match segment.event {
            SegmentEvent::Octets { direction, bytes } => {
                // The header of a record: handshake, or something encrypted; the version of TLS 1.0 to 1.2.
                assert!((20..=23).contains(&bytes[0]) || direction == Direction::Received, "{bytes:?}");
                assert!(!bytes.windows(3).any(|three| three == b"SIP"));
                return;
            }
            event => format!("{event:?}"),
        };
        self.0.lock().unwrap().push(what);
    }

    fn secret(&self, line: &str) {
        self.0.lock().unwrap().push(line.split(' ').next().unwrap().to_owned());
    }
}

#[tokio::test]
async fn a_tap_sees_messages_and_what_is_on_the_wire() {
    let (authority, credentials) = certificates();
    let (server, [_, tls, _]) = server("127.0.0.1", credentials);
    let seen = Arc::new(Seen::default());
    let caller =
        caller("127.0.0.1", client(&authority, "server.example", Some(seen.clone())), Some(seen.clone()));
    let mut call = caller.call(invite(&format!("sip:status-404@{tls};transport=tls"))).await.unwrap();
    assert!(matches!(ended(&mut call).await, (By::Remote, Cause::Refused(_))));
    caller.stop().await;
    server.stop().await;
    let seen = seen.0.lock().unwrap().clone();
    let first = |wanted: &str| {
        seen.iter()
            .position(|seen| seen.starts_with(wanted))
            .unwrap_or_else(|| panic!("no {wanted} in {seen:?}"))
    };
    let order = [
        "Opened { by: Sent }",
        "CLIENT_TRAFFIC_SECRET_0",
        "Sent INVITE",
        "Received SIP/2.0 404",
        "Sent ACK",
        "Closed",
    ]
    .map(first);
    assert!(order.is_sorted(), "{seen:?}");
}

/// Credentials that name `name`, by an authority.
fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Credentials {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    Credentials::pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

/// Somebody who listens over TLS and TCP, asks clients for a certificate, and shows `own` if there is one.
fn peer(authority: &CertifiedIssuer<'_, KeyPair>, own: Option<Credentials>) -> Agent {
    let roots = || Roots::pem(authority.pem().as_bytes()).unwrap();
    let settings = ClientSettings { roots: roots(), credentials: own, ..ClientSettings::default() };
    let client = Some(Arc::new(ClientTls::new(settings, None)));
    let credentials = issue(authority, "127.0.0.1");
    let settings =
        ServerSettings { credentials, clients: ClientAuth::Optional(roots()), minimum: Version::Tls12 };
    let server = Some(Arc::new(ServerTls::new(settings, None).unwrap()));
    let listen = ["tls:127.0.0.1:0", "tcp:127.0.0.1:0"].map(|target| target.parse().unwrap()).to_vec();
    let builder = Builder { listen, security: Security { client, server }, ..Builder::default() };
    Agent::start(builder, ua::Config::default()).unwrap()
}

/// Sends an OPTIONS to `target`; gives where it went, as the network has it.
async fn options(from: &Agent, target: &str) -> Option<SocketAddr> {
    let query =
        Query::options(UriBuf::parse(target).unwrap(), AddressBuf::parse("sip:alice@alice.example").unwrap());
    let outcome = from.query(query).await.unwrap().outcome();
    match tokio::time::timeout(Duration::from_secs(15), outcome).await.expect("in time") {
        Some(QueryEvent::Answered { flow, .. }) => flow.map(|flow| flow.remote),
        outcome => panic!("{target}: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_connection_serves_both_ways_if_the_certificate_says_who_opened_it() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    for (named, is_shared) in [(Some("127.0.0.1"), true), (Some("server.example"), false), (None, false)] {
        let ours = peer(&authority, None);
        let theirs = peer(&authority, named.map(|name| issue(&authority, name)));
        let uri = |agent: &Agent| format!("sip:x@{};transport=tls", agent.local()[0].addr);
        assert_eq!(options(&theirs, &uri(&ours)).await, Some(ours.local()[0].addr));
        for _ in 0..2 {
            let way = options(&ours, &uri(&theirs)).await.unwrap();
            assert_eq!(way != theirs.local()[0].addr, is_shared, "{named:?} {way}");
        }
        ours.stop().await;
        theirs.stop().await;
    }
}

#[tokio::test]
async fn nobody_takes_the_requests_of_others_by_asking_for_them() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let ours = peer(&authority, None);
    // Who really listens there.
    let victim = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = victim.local_addr().unwrap();
    let draft = |protocol: &str, own: Target| {
        let text = Draft::new("OPTIONS", format!("sip:x@{}", own.addr), addr).text();
        let via = format!("SIP/2.0/{protocol} {addr};alias");
        let text = text.replace(&format!("SIP/2.0/UDP {addr}"), &via);
        assert!(text.contains(";alias"), "{text}");
        text
    };
    let roots = Roots::pem(authority.pem().as_bytes()).unwrap();
    let tls = ClientTls::new(ClientSettings { roots, ..ClientSettings::default() }, None);
    let mut answer = [0; 12];
    // Over TLS without a certificate.
    let stream = TcpStream::connect(ours.local()[0].addr).await.unwrap();
    let (mut secure, _) = tls.connect("127.0.0.1", stream).await.unwrap();
    secure.write_all(draft("TLS", ours.local()[0]).as_bytes()).await.unwrap();
    secure.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"SIP/2.0 200 ");
    // Over TCP.
    let mut plain = TcpStream::connect(ours.local()[1].addr).await.unwrap();
    plain.write_all(draft("TCP", ours.local()[1]).as_bytes()).await.unwrap();
    plain.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"SIP/2.0 200 ");
    for transport in ["tls", "tcp"] {
        let target = UriBuf::parse(&format!("sip:x@{addr};transport={transport}")).unwrap();
        let from = AddressBuf::parse("sip:alice@alice.example").unwrap();
        let query = ours.query(Query::options(target, from)).await.unwrap();
        let came = tokio::time::timeout(Duration::from_secs(15), victim.accept()).await;
        drop((came.expect("a connection of its own").unwrap(), query));
    }
    ours.stop().await;
}
