//! What a server answers to messages that are wrong, strange or merely unwelcome (RFC 3261 §8.2, §21.4).

use std::{fs, net::SocketAddr, path::Path};

use serde_json::Value;

use crate::support::{
    message::{Draft, PCMU, Text, UNKNOWN_CODEC, sdp},
    peer::Peer,
    program::Server,
};

/// The server still answers, and has not answered anything of what came before.
#[track_caller]
fn alive(peer: &Peer, server: SocketAddr) -> Text {
    let options = Draft::new("OPTIONS", format!("sip:echo@{server}"), peer.addr);
    peer.send(server, options.text());
    let (next, _) = peer.receive("anything", |_| true);
    assert_eq!(next.header("Call-ID"), Some(&*options.call_id), "{}", next.0);
    assert_eq!(next.status(), Some(200));
    next
}

#[test]
fn datagrams_that_are_no_message_are_dropped() {
    let server = Server::start();
    let peer = Peer::new();
    let datagrams: [&[u8]; 12] = [
        b"",
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"hello",
        &[0xff; 1200],
        &[b'A'; 65_507],
        &[b'\n'; 65_507],
        &[0; 65_507],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 999999999999 OK\r\nVia: SIP/2.0/UDP 127.0.0.1\r\n\r\n",
        b"\x80\x00\x00\x01\x00\x00\x00\x00\x12\x34\x56\x78",
    ];
    for datagram in datagrams {
        peer.send(server.addr, datagram);
        alive(&peer, server.addr);
    }
    for seed in 0..500 {
        peer.send(server.addr, noise(seed, seed as usize));
        if seed % 50 == 0 {
            alive(&peer, server.addr);
        }
    }
    alive(&peer, server.addr);
    server.stop();
}

#[test]
fn a_message_cut_anywhere_gets_400_or_nothing() {
    let server = Server::start();
    let peer = Peer::new();
    let whole = Draft::invite(format!("sip:busy@{}", server.addr), peer.addr).text();
    let head = whole.find("\r\n\r\n").unwrap() + 4;
    for cut in (1..whole.len()).step_by(7) {
        let stranger = Peer::new();
        // A branch of its own, so that each is a new request.
        let text = whole.replace(&format!("{}", peer.addr), &stranger.addr.to_string());
        let cut = cut.min(text.len() - 1);
        stranger.send(server.addr, &text.as_bytes()[..cut]);
        stranger.send(server.addr, Draft::new("OPTIONS", "sip:x@127.0.0.1", stranger.addr).text());
        let (first, _) = stranger.receive("anything", |_| true);
        match first.status() {
            Some(400) => {}
            Some(200) => assert!(cut < head, "a cut body is an error: {cut}"),
            other => panic!("{other:?} to a message cut at {cut}:\n{}", first.0),
        }
    }
    server.stop();
}

#[test]
fn every_status_a_server_owes() {
    let server = Server::start();
    let to = server.addr;
    let uri = |user: &str| format!("sip:{user}@{to}");
    let peer = Peer::new();
    let here = peer.addr;
    let invite = |user: &str| Draft::invite(uri(user), here);
    let plain = |method| Draft::new(method, uri("echo"), here);

    // A wrong Content-Length: larger is an error, smaller cuts the body short (RFC 3261 §18.3).
    let raw = |draft: Draft, from: &str, with: &str| {
        let text = draft.text();
        assert!(text.contains(from), "{text}");
        peer.send(to, text.replace(from, with));
        peer.receive("final response", |text| text.status().is_some_and(|status| status >= 200)).0
    };
    let length = format!("Content-Length: {}", invite("busy").body.len());
    let rows: [(Draft, &str, &str, u16); 13] = [
        (invite("busy"), &length, "Content-Length: 9999", 400),
        (invite("busy"), &length, "Content-Length: -1", 400),
        (invite("busy"), &length, "Content-Length: 12a", 400),
        (invite("busy"), &length, "Content-Length: 99999999999999999999", 400),
        (plain("OPTIONS"), "Content-Length: 0", "Content-Length: 0\r\nContent-Length: 7", 400),
        (plain("OPTIONS"), "CSeq: 1 OPTIONS", "CSeq: 1 INVITE", 400),
        (plain("OPTIONS"), "CSeq: 1 OPTIONS", "CSeq: 99999999999 OPTIONS", 400),
        (plain("OPTIONS"), "From: <sip:test", "From: <sip:te st", 400),
        (plain("OPTIONS"), "Call-ID: ", "X-Call: ", 400),
        (plain("OPTIONS"), "To: ", "To: <sip:a@b>\r\nTo: ", 400),
        (plain("OPTIONS"), "Max-Forwards: 70", "Max-Forwards: many", 400),
        (plain("OPTIONS"), " SIP/2.0\r\n", " SIP/3.0\r\n", 505),
        (plain("OPTIONS"), "sip:echo@", "news:echo@", 416),
    ];
    for (draft, from, with, status) in rows {
        let response = raw(draft, from, with);
        assert_eq!(response.status(), Some(status), "{with}\n{}", response.0);
    }

    // 4xx of §8.2 by method, extension, content.
    let other_method = peer.ask(to, &plain("FROBNICATE"));
    assert_eq!(other_method.status(), Some(501));
    assert!(other_method.must("Allow").contains("INVITE"));
    for method in ["NOTIFY", "REFER", "INFO", "UPDATE", "PRACK"] {
        let response = peer.ask(to, &plain(method));
        assert_eq!(response.status(), Some(405), "{method}");
        let allow = response.must("Allow");
        assert!(["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"].iter().all(|method| allow.contains(method)));
    }
    // RFC 6665 §7.2.2, RFC 3903 §6: no package is named.
    for method in ["SUBSCRIBE", "PUBLISH"] {
        let response = peer.ask(to, &plain(method));
        assert_eq!(response.status(), Some(489), "{method}");
        assert!(response.must("Allow-Events").contains("presence"), "{method}");
    }
    let required = peer.ask(to, &invite("echo").more("Require: 100rel, teleport\r\nRequire: magic\r\n"));
    assert_eq!(
        (required.status(), required.header("Unsupported")),
        (Some(420), Some("100rel, teleport, magic"))
    );
    let xml = invite("echo").text().replace("application/sdp", "text/xml");
    peer.send(to, xml);
    let (unread, _) = peer.receive("415", |text| text.status().is_some_and(|status| status >= 200));
    assert_eq!((unread.status(), unread.header("Accept")), (Some(415), Some("application/sdp")));
    let zipped = peer.ask(to, &invite("echo").more("Content-Encoding: gzip\r\n"));
    assert_eq!((zipped.status(), zipped.header("Accept-Encoding")), (Some(415), Some("identity")));
    assert_eq!(peer.ask(to, &invite("echo").more("Accept: text/plain\r\n")).status(), Some(406));

    // Sessions that cannot be.
    let with = |body: &str| Draft::new("INVITE", uri("echo"), here).body(body);
    let offer = sdp(here, PCMU);
    assert_eq!(peer.ask(to, &with(&sdp(here, UNKNOWN_CODEC))).status(), Some(488));
    assert_eq!(peer.ask(to, &with(&offer.replace("m=audio", "m=video"))).status(), Some(488));
    for bad in [offer.replace("c=IN IP4 127.0.0.1\r\n", ""), "v=0\r\n".into(), "hello".into()] {
        let status = peer.ask(to, &with(&bad)).status();
        assert!(matches!(status, Some(400 | 488)), "{status:?} to\n{bad}");
    }

    // Dialogs that are not there, requests that came twice.
    let mut bye = plain("BYE");
    assert_eq!(peer.ask(to, &bye).status(), Some(481), "without a tag");
    bye = plain("BYE");
    bye.to += ";tag=nobody";
    assert_eq!(peer.ask(to, &bye).status(), Some(481));
    let mut again = invite("echo");
    again.to += ";tag=nobody";
    assert_eq!(peer.ask(to, &again).status(), Some(481), "a re-INVITE of a call that is not there");
    assert_eq!(peer.ask(to, &plain("CANCEL")).status(), Some(481));
    let first = plain("OPTIONS");
    assert_eq!(peer.ask(to, &first).status(), Some(200));
    let merged = Draft { branch: "z9hG4bKanotherway".into(), ..first };
    assert_eq!(peer.ask(to, &merged).status(), Some(482), "§8.2.2.2");

    // Limits: a long Request-URI, many headers, a large head.
    let long = Draft::new("OPTIONS", format!("sip:{}@{to}", "a".repeat(3000)), here);
    assert_eq!(peer.ask(to, &Draft { to: "<sip:a@b>".into(), ..long }).status(), Some(414));
    assert_eq!(peer.ask(to, &plain("OPTIONS").more(&"X-Row: 1\r\n".repeat(400))).status(), Some(513));
    let big = format!("X-Big: {}\r\n", "b".repeat(40_000));
    assert_eq!(peer.ask(to, &plain("OPTIONS").more(&big)).status(), Some(513));

    // Behaviours, and what they owe.
    assert_eq!(peer.ask(to, &invite("busy")).status(), Some(486));
    assert_eq!(peer.ask(to, &invite("status-999")).status(), Some(404));
    let options = alive(&peer, to);
    assert!(options.must("Allow").contains("INVITE") && options.must("Accept") == "application/sdp");
    assert!(options.tag("To").is_some() && options.header("Contact").is_some());
    server.stop();
}

#[test]
fn a_call_cancelled_while_it_rings() {
    let server = Server::start();
    let peer = Peer::new();
    let invite = Draft::invite(format!("sip:ring@{}", server.addr), peer.addr);
    peer.send(server.addr, invite.text());
    let ringing = peer.response(180);
    // The same request again gets the same response, with the same tag.
    peer.send(server.addr, invite.text());
    assert_eq!(peer.response(180).tag("To"), ringing.tag("To"));
    let cancel = invite.same("CANCEL", &invite.to);
    peer.send(server.addr, cancel.text());
    let (mut cancelled, mut terminated) = (None, None);
    while cancelled.is_none() || terminated.is_none() {
        let (response, _) =
            peer.receive("200 and 487", |text| text.status().is_some_and(|status| status >= 200));
        let which = if response.must("CSeq").ends_with("CANCEL") { &mut cancelled } else { &mut terminated };
        *which = Some(response);
    }
    let terminated = terminated.unwrap();
    assert_eq!((cancelled.unwrap().status(), terminated.status()), (Some(200), Some(487)));
    assert_eq!(terminated.tag("To"), ringing.tag("To"));
    peer.send(server.addr, invite.same("ACK", terminated.must("To")).text());
    let finished = server.stop();
    let ended = finished.events().into_iter().find(|event| event["event"] == "ended").unwrap();
    assert_eq!((&ended["code"], &ended["by"]), (&Value::from(487), &Value::from("remote")));
}

#[test]
fn the_torture_messages_of_rfc_4475_and_5118_get_what_they_deserve() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture");
    let mut wrong = Vec::new();
    for folder in ["rfc4475", "rfc5118"] {
        let folder = data.join(folder);
        let facts = fs::read(folder.join("facts.json")).unwrap();
        let facts: serde_json::Map<String, Value> = serde_json::from_slice(&facts).unwrap();
        for (name, about) in facts {
            let bytes = fs::read(folder.join(about["file"].as_str().unwrap())).unwrap();
            let wanted: Vec<&str> =
                about["uas"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let got = first_response(&bytes);
            if !deserved(&wanted, about["facts"]["method"].as_str(), got) {
                wrong.push(format!("{name}: {got:?} instead of {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The status of what a server sends for this datagram, as its trace tells: the messages' Vias point to ports
/// of the RFC's choice, where nobody is. The server is a new one, since some messages share a branch.
fn first_response(bytes: &[u8]) -> Option<u16> {
    let server = Server::with(&["--trace"]);
    let (peer, prober) = (Peer::new(), Peer::new());
    peer.send(server.addr, bytes);
    // What it sent at once is in the trace before its answer to somebody else's question.
    let probe = Draft::new("OPTIONS", "sip:echo@127.0.0.1", prober.addr);
    assert_eq!(prober.ask(server.addr, &probe).status(), Some(200));
    let trace = server.program.errors_until(&format!(" -> {}, ", prober.addr));
    assert!(!trace.contains("panicked"), "{trace}");
    let since = trace.split_once(&format!("received UDP {} -> ", peer.addr)).unwrap().1;
    let between = since.split_once(&format!("received UDP {} -> ", prober.addr)).unwrap().0;
    let sent = between.split(" sent UDP ").skip(1);
    sent.filter_map(|sent| sent.split_once("SIP/2.0 ")?.1.get(..3)?.parse().ok()).find(|&status| status > 100)
}

fn deserved(wanted: &[&str], method: Option<&str>, got: Option<u16>) -> bool {
    wanted.iter().any(|wanted| match (*wanted, got) {
        ("discard" | "ignore" | "accept-response", got) => got.is_none(),
        // We are no registrar: what one would take, we refuse as a method not allowed.
        ("200", Some(405)) => method == Some("REGISTER"),
        // Taken as a valid request; what becomes of it is another matter.
        ("accept" | "accept-as-rfc2543", Some(got)) => !matches!(got, 400 | 500..),
        (status, Some(got)) => status.trim_end_matches("+Allow") == got.to_string(),
        (_, None) => false,
    })
}

/// Noise, the same for the same seed (splitmix64).
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
