//! `sip-stateless-proxy --metrics`: the page of a proxy that runs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::support::{PATIENCE, message::Draft, peer::Peer, program::Program};

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
fn what_went_through_is_on_the_page_and_told_to_a_capture_server() {
    let (alice, bob, homer) = (Peer::new(), Peer::new(), Peer::new());
    let (hop, server) = (format!("sip:{}", bob.addr), homer.addr.to_string());
    let program = proxy(&["--next-hop", &hop, "--metrics", "0", "--hep", &server, "--hep-id", "2001"]);
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
    // The request as it came in and as it went out, the response likewise, the refused one and its answer, the garbage.
    let told: Vec<Vec<u8>> = (0..7).map(|_| homer.receive_within(PATIENCE).unwrap().0).collect();
    let holds = |packet: &[u8], wanted: &[u8]| packet.windows(wanted.len()).any(|window| window == wanted);
    for packet in &told {
        assert!(packet.starts_with(b"HEP3") && holds(packet, b"\0\0\0\x0c\0\x0a\0\0\x07\xd1"));
    }
    assert!(holds(&told[0], b"MESSAGE sip:x@example.com") && holds(&told[0], b"Max-Forwards: 70"));
    assert!(holds(&told[1], b"Max-Forwards: 69") && holds(&told[2], b"SIP/2.0 200 "));
    assert!(get(page).contains("\nsipkit_hep_messages_total{outcome=\"sent\"} 7\n"));
    // A second one cannot have the place of the first.
    let taken = proxy(&["--metrics", &page.to_string()]).finish();
    assert_eq!(taken.code, Some(2), "{taken}");
    assert!(taken.err.contains(&format!("{page} is in use")), "{taken}");
    program.interrupt();
    assert_eq!(program.finish().code, Some(0));
}
