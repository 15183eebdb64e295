//! `sip-stateless-proxy --metrics`: the page of a proxy that runs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::support::{message::Draft, peer::Peer, program::Program};

fn get(at: SocketAddr) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn proxy(args: &[&str]) -> Program {
    let common = ["--json", "--listen", "udp:127.0.0.1:0"];
    Program::start(env!("CARGO_BIN_EXE_sip-stateless-proxy"), common.iter().chain(args))
}

fn listening(program: &Program, protocol: &str) -> SocketAddr {
    let line = program.line(&format!("\"protocol\":\"{protocol}\""));
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    event["local"].as_str().unwrap().parse().unwrap()
}

#[test]
fn what_went_through_is_on_the_page() {
    let (alice, bob) = (Peer::new(), Peer::new());
    let hop = format!("sip:{}", bob.addr);
    let program = proxy(&["--next-hop", &hop, "--metrics", "0"]);
    let (at, page) = (listening(&program, "UDP"), listening(&program, "HTTP"));
    assert!(page.ip().is_loopback());
    alice.send(at, Draft::new("MESSAGE", "sip:x@example.com", alice.addr).text());
    let request = bob.request("MESSAGE");
    bob.answer(&request, 200, "", "");
    alice.response(200);
    let old =
        Draft::new("MESSAGE", "sip:x@example.com", alice.addr).text().replace("Forwards: 70", "Forwards: 0");
    alice.send(at, old);
    alice.response(483);
    alice.send(at, "what is that\r\n\r\n");
    let told = get(page);
    let (head, text) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "sipkit_proxy_requests_total 2",
        "sipkit_proxy_forwarded_total{kind=\"request\"} 1",
        "sipkit_proxy_forwarded_total{kind=\"response\"} 1",
        "sipkit_proxy_forwarded_by_transport_total{transport=\"udp\"} 2",
        "sipkit_proxy_answered_total{status=\"483\"} 1",
        "sipkit_messages_malformed_total{kind=\"garbage\"} 1",
        &format!("sipkit_proxy_next_hop_up{{next_hop=\"{hop}\"}} 1"),
        "sipkit_shards 1",
        "sipkit_overload_ratio 0",
    ] {
        assert!(text.lines().any(|told| told == line), "no {line} in\n{text}");
    }
    // A second one cannot have the place of the first.
    let taken = proxy(&["--metrics", &page.to_string()]).finish();
    assert_eq!(taken.code, Some(2), "{taken}");
    assert!(taken.err.contains(&format!("{page} is in use")), "{taken}");
    program.interrupt();
    assert_eq!(program.finish().code, Some(0));
}
