//! The programs over every transport: calls between `sip-call` and `sip-test-server`, what is told when there is no
//! connection, and a server with a thousand idle ones.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    PATIENCE,
    message::Draft,
    program::{Finished, Program, Server},
};

#[cfg(all(feature = "tls", feature = "ws"))]
mod secure;

/// `sip-call` without a sound card, in JSON.
fn call<'a>(target: &'a str, more: &[&'a str]) -> Program {
    let common = ["--json", "--audio", "none", "--codec", "pcmu", "--local", "127.0.0.1", target];
    Program::call(common.iter().chain(more))
}

/// The addresses a server listens at, by transport.
pub(crate) fn listening(server: &Program, transports: &[&str]) -> Vec<SocketAddr> {
    let address = |transport: &&str| {
        let line = server.line(&format!("\"protocol\":\"{transport}"));
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["event"], "listening");
        event["local"].as_str().unwrap().parse().unwrap()
    };
    transports.iter().map(address).collect()
}

fn code(finished: &Finished) -> Option<i64> {
    finished.result()["code"].as_i64()
}

#[test]
fn a_call_over_tcp_by_the_address_or_by_the_flag() {
    let server = Server::start();
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    for (target, more) in [
        (format!("sip:echo@{tcp};transport=tcp"), &["--duration", "100ms"][..]),
        (format!("sip:echo@{tcp}"), &["--transport", "tcp", "--duration", "100ms"]),
        ("sip:echo@example.invalid".to_owned(), &["--duration", "100ms"]),
    ] {
        let proxy = format!("sip:{tcp};transport=tcp");
        let more: Vec<&str> = match target.contains("invalid") {
            true => more.iter().copied().chain(["--proxy", &proxy]).collect(),
            false => more.to_vec(),
        };
        call(&target, &more).finish().expect(0);
    }
    let finished = call(&format!("sip:busy@{tcp};transport=tcp"), &[]).finish().expect(10);
    assert_eq!(code(&finished), Some(486));
    server.stop();
}

#[test]
fn a_refused_connection_is_told_with_its_transport_and_at_once() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = held.local_addr().unwrap();
    drop(held);
    let begun = Instant::now();
    let finished = call(&format!("sip:x@{dead}"), &["--transport", "tcp"]).finish().expect(21);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    finished.says(&[&format!("connection refused by {dead}/tcp")]);
    call("sip:x@127.0.0.1;transport=sctp", &[]).finish().expect(2).says(&["udp, tcp, tls, ws and wss"]);
}

#[test]
fn who_speaks_something_else_is_told() {
    for greeting in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "\0\u{1}\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 2048]);
            stream.write_all(greeting.as_bytes()).unwrap();
            // Until we hang up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let finished = call(&format!("sip:x@{addr};transport=tcp"), &[]).finish().expect(23);
        finished.says(&[&format!("what {addr}/tcp sent cannot be read as SIP")]);
        peer.join().unwrap();
    }
}

#[test]
fn a_call_is_taken_over_tcp() {
    let answering = Program::call([
        "--answer",
        "--local",
        "127.0.0.1:0",
        "--audio",
        "none",
        "--json",
        "--duration",
        "200ms",
        "--timeout",
        "1m",
    ]);
    let [_, tcp] = listening(&answering, &["UDP", "TCP"])[..] else { panic!("not both") };
    call(&format!("sip:bob@{tcp};transport=tcp"), &[]).finish().expect(0);
    answering.finish().expect(0);
}

#[cfg(feature = "ws")]
#[test]
fn a_call_over_websocket() {
    let server = Server::with(&["--listen", "ws:127.0.0.1:0"]);
    let [ws] = listening(&server.program, &["WS"])[..] else { panic!("no WebSocket") };
    call(&format!("sip:echo@{ws}"), &["--transport", "ws", "--duration", "100ms"]).finish().expect(0);
    server.stop();
}

/// All transports but the encrypted ones on IPv6 as well.
#[test]
fn calls_on_ipv6() {
    let server = Server::with(&["--listen", "[::1]:0"]);
    let addresses = listening(&server.program, &["UDP\",\"local\":\"[::1]", "TCP\",\"local\":\"[::1]"]);
    for (addr, transport) in addresses.iter().zip(["udp", "tcp"]) {
        let target = format!("sip:echo@{addr}");
        let arguments =
            ["--json", "--audio", "none", "--transport", transport, "--duration", "100ms", &target];
        Program::call(arguments).finish().expect(0);
    }
    server.stop();
}

#[test]
fn a_ladder_and_what_v_explains() {
    let server = Server::with(&["--ladder"]);
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    let target = format!("sip:echo@{tcp}");
    let finished = call(&target, &["--transport", "tcp", "--duration", "100ms", "--ladder", "-v"]).finish();
    let finished = finished.expect(0).says(&[
        &format!("{tcp} over TCP: connected from 127.0.0.1:"),
        &format!("{tcp} over TCP: the connection from 127.0.0.1:"),
    ]);
    let ends = format!("{tcp}/tcp");
    let ladder: Vec<&str> = finished.err.lines().skip_while(|line| !line.ends_with(&ends)).collect();
    let labels = [
        "INVITE, SDP ─",
        "─ 100 Trying",
        "─ 180 Ringing",
        "─ 200 OK, SDP",
        "ACK ─",
        "BYE ─",
        "─ 200 OK (BYE)",
    ];
    let mut wanted = labels.iter().filter(|label| **label != "─ 100 Trying");
    let mut next = wanted.next();
    for line in &ladder {
        next = if next.is_some_and(|label| line.contains(label)) { wanted.next() } else { next };
    }
    assert_eq!(next, None, "{finished}");
    let finished = server.stop();
    finished.says(&["─ INVITE, SDP", "200 OK, SDP ─", "─ BYE"]);
}

/// Idle connections cost little, and there may be many.
#[cfg(target_os = "linux")]
#[test]
fn a_thousand_idle_connections() {
    sipkit::endpoint::descriptors::raise().unwrap();
    let server = Server::start();
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    let ask = |stream: &mut TcpStream| {
        let draft = Draft::new("OPTIONS", format!("sip:echo@{tcp}"), stream.local_addr().unwrap());
        let text = draft.text().replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"SIP/2.0 200 "), "{}", answer[..read].escape_ascii());
    };
    let connect = || {
        let stream = TcpStream::connect(tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    // What the first ones need is needed once.
    let mut few: Vec<TcpStream> = (0..50).map(|_| connect()).collect();
    few.iter_mut().for_each(ask);
    let before = server.program.memory();
    let mut many: Vec<TcpStream> = (0..1_000).map(|_| connect()).collect();
    many.iter_mut().for_each(ask);
    let each = server.program.memory().saturating_sub(before) / many.len();
    assert!(each < 16 << 10, "{each} octets for each idle connection");
    // None is in the way of another.
    let begun = Instant::now();
    ask(&mut connect());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    many.iter_mut().rev().take(10).for_each(ask);
    drop(many);
    server.stop();
}
