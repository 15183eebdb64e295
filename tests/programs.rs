//! The programs as a script sees them: exit statuses, JSON Lines, `--write-out`; every row of the table of
//! exit statuses that can occur over UDP, against peers that follow a script.

use std::{
    io::{BufRead, BufReader},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    folder::Folder,
    message::{Draft, PCMU, Text, UNKNOWN_CODEC, sdp},
    peer::Peer,
    program::{Finished, Program, Server},
};

/// `sip-call` without a sound card, in JSON.
fn call(target: &str, more: &[&str]) -> Program {
    Program::call(
        ["--json", "--audio", "none", "--codec", "pcmu", "--local", "127.0.0.1", target].iter().chain(more),
    )
}

/// Every line is what the shipped schema says; gives the result.
#[track_caller]
pub fn valid(finished: &Finished) -> Value {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let schema = include_str!("../src/lib/cli/events.schema.json");
        jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
    });
    for event in finished.events() {
        let errors: Vec<_> = schema.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event}\n{errors:#?}");
    }
    finished.result()
}

#[test]
fn every_class_of_final_response_has_its_exit_status() {
    let rows: [(i32, &[u16]); 10] = [
        (10, &[486, 600]),
        (11, &[603, 607, 608]),
        (12, &[408, 480, 487]),
        (13, &[401, 403, 407]),
        (14, &[404, 410, 484, 485, 604]),
        (15, &[406, 415, 420, 421, 488, 494, 606]),
        (16, &[400, 402, 405, 416, 423, 481, 482, 483, 491, 499]),
        (17, &[500, 501, 503, 504, 505, 513, 580]),
        (18, &[300, 301, 302, 305, 380]),
        (19, &[601, 699]),
    ];
    for (exit, statuses) in rows {
        for &status in statuses {
            let peer = Peer::new();
            let program = call(&peer.uri(), &[]);
            let invite = peer.request("INVITE");
            peer.answer(&invite, 100, "", "");
            peer.answer(&invite, status, "", "");
            let (ack, _) = peer.request("ACK");
            assert_eq!(ack.must("Via"), invite.0.must("Via"), "part of the INVITE's transaction (§17.1.1.3)");
            let finished = program.finish().expect(exit);
            let result = valid(&finished);
            assert_eq!(result["code"], status);
            assert_eq!(result["ended_by"], "remote");
            assert!(result["media"].is_null(), "no media, so nothing was measured");
            finished.says(&[&format!("{} answered {status} ", peer.addr)]);
        }
    }
}

#[test]
fn a_redirection_says_where_to() {
    let peer = Peer::new();
    let program = call(&peer.uri(), &[]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 302, "Contact: <sip:elsewhere@192.0.2.7>\r\n", "");
    let finished = program.finish().expect(18).says(&["302", "sip:elsewhere@192.0.2.7", "not followed"]);
    valid(&finished);
}

#[test]
fn credentials_are_tried_once_for_each_challenge() {
    let folder = Folder::new();
    let password = folder.file("password", "secret\n");
    let login = ["--user", "alice", "--password-file", &password];
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256\r\n";

    // Without credentials a challenge is the end.
    let peer = Peer::new();
    let program = call(&peer.uri(), &[]);
    peer.answer(&peer.request("INVITE"), 401, challenge, "");
    valid(&program.finish().expect(13).says(&["401", "--user"]));

    // Refused again: no third attempt.
    let peer = Peer::new();
    let program = call(&peer.uri(), &login);
    let first = peer.request("INVITE");
    peer.answer(&first, 401, challenge, "");
    let (second, from) = peer.receive("second INVITE", |text| text.header("Authorization").is_some());
    assert_eq!((second.number(), second.must("Call-ID")), (first.0.number() + 1, first.0.must("Call-ID")));
    peer.answer(&(second, from), 401, &challenge.replace("n1", "n2"), "");
    let finished = program.finish().expect(13).says(&["401", "password"]);
    assert_eq!(valid(&finished)["code"], 401);
    assert!(finished.events().iter().any(|event| event["event"] == "challenged"), "{finished}");
    assert!(!finished.out.contains("secret") && !finished.err.contains("secret"));

    // Accepted.
    let peer = Peer::new();
    let program = call(&peer.uri(), &[&login[..], &["--duration", "100ms"]].concat());
    peer.answer(&peer.request("INVITE"), 401, challenge, "");
    let invite = peer.receive("second INVITE", |text| text.header("Authorization").is_some());
    peer.answer(&invite, 200, "Content-Type: application/sdp\r\n", &sdp(peer.addr, PCMU));
    assert!(peer.request("ACK").0.header("Authorization").is_some(), "§22.1");
    let bye = peer.request("BYE");
    peer.answer(&bye, 200, "", "");
    valid(&program.finish().expect(0));
}

#[test]
fn limits_of_time_hold_in_every_state() {
    type Script = fn(&Peer, &(Text, std::net::SocketAddr));
    let silent: Script = |_, _| {};
    let ringing: Script = |peer, invite| {
        peer.answer(invite, 180, "", "");
        let cancel = peer.request("CANCEL");
        assert_eq!(cancel.0.must("Via"), invite.0.must("Via"), "§9.1");
        peer.answer(&cancel, 200, "", "");
        peer.answer(invite, 487, "", "");
    };
    // Rings, and then answers neither CANCEL nor INVITE.
    let deaf: Script = |peer, invite| {
        peer.answer(invite, 180, "", "");
        peer.request("CANCEL");
    };
    let answered: Script = |peer, invite| {
        peer.answer(invite, 200, "Content-Type: application/sdp\r\n", &sdp(peer.addr, PCMU));
        peer.request("ACK");
        peer.request("BYE");
    };
    let rows: [(&[&str], Script, i32, &[&str]); 6] = [
        (&["--ring-timeout", "700ms"], silent, 23, &["did not respond", "0.7 s", "check the address"]),
        (&["--ring-timeout", "700ms"], ringing, 12, &["not answered", "--ring-timeout"]),
        (&["--timeout", "700ms"], silent, 3, &["--timeout"]),
        (&["--timeout", "700ms"], ringing, 3, &["--timeout"]),
        (&["--timeout", "700ms"], deaf, 3, &["--timeout"]),
        (&["--timeout", "700ms"], answered, 3, &["--timeout"]),
    ];
    thread::scope(|scope| {
        for (number, (args, script, exit, words)) in rows.into_iter().enumerate() {
            scope.spawn(move || {
                let peer = Peer::new();
                let begun = Instant::now();
                let program = call(&peer.uri(), args);
                let invite = peer.request("INVITE");
                script(&peer, &invite);
                let finished = program.finish();
                let took = begun.elapsed();
                let finished = finished.expect(exit).says(words);
                valid(&finished);
                // --timeout promises two seconds more at most; a busy machine gets one.
                let most = if exit == 3 { 3700 } else { 6000 };
                assert!(took < Duration::from_millis(most), "row {number} took {took:?}");
            });
        }
    });
}

#[test]
fn interrupts_end_gracefully() {
    // Before the answer: CANCEL, exit 130.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let peer = Peer::new();
        let program = call(&peer.uri(), &[]);
        let invite = peer.request("INVITE");
        peer.answer(&invite, 180, "", "");
        program.event("ringing");
        program.signal(signal);
        let cancel = peer.request("CANCEL");
        peer.answer(&cancel, 200, "", "");
        peer.answer(&invite, 487, "", "");
        let result = valid(&program.finish().expect(130));
        assert_eq!((&result["code"], &result["ended_by"]), (&json!(487), &json!("local")));
    }

    // After it: BYE, exit 0.
    let peer = Peer::new();
    let program = call(&peer.uri(), &[]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 200, "Content-Type: application/sdp\r\n", &sdp(peer.addr, PCMU));
    peer.request("ACK");
    program.event("answered");
    program.interrupt();
    let bye = peer.request("BYE");
    peer.answer(&bye, 200, "", "");
    let result = valid(&program.finish().expect(0));
    assert_eq!((&result["code"], &result["ended_by"]), (&json!(200), &json!("local")));

    // The CANCEL crosses the answer (§9.1): ACK and BYE, and it was still an interrupt.
    let peer = Peer::new();
    let program = call(&peer.uri(), &[]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 180, "", "");
    program.event("ringing");
    program.interrupt();
    let cancel = peer.request("CANCEL");
    peer.answer(&invite, 200, "Content-Type: application/sdp\r\n", &sdp(peer.addr, PCMU));
    peer.answer(&cancel, 200, "", "");
    peer.request("ACK");
    let bye = peer.request("BYE");
    peer.answer(&bye, 200, "", "");
    valid(&program.finish().expect(130));

    // A second one does not wait for a peer that does not answer.
    let peer = Peer::new();
    let program = call(&peer.uri(), &[]);
    peer.request("INVITE");
    program.interrupt();
    thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    program.interrupt();
    let finished = program.finish().expect(130);
    assert!(begun.elapsed() < Duration::from_secs(1), "{finished}");
}

#[test]
fn a_call_the_peer_ends_is_done_and_says_why() {
    let peer = Peer::new();
    let program = call(&peer.uri(), &[]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 180, "", "");
    let ok = peer.answer(&invite, 200, "Content-Type: application/sdp\r\n", &sdp(peer.addr, PCMU));
    peer.request("ACK");
    // A repeated 2xx gets its ACK again (§13.2.2.4).
    peer.send(invite.1, ok);
    peer.request("ACK");
    let bye = in_dialog(&invite.0, &peer, "BYE", 7).more("Reason: Q.850;cause=16;text=\"Bye now\"\r\n");
    assert_eq!(peer.ask(invite.1, &bye).status(), Some(200));
    let result = valid(&program.finish().expect(0));
    assert_eq!(result["ended_by"], "remote");
    assert_eq!(result["cause"], json!({"protocol": "Q.850", "cause": 16, "text": "Bye now"}));
    assert!(result["timings"]["ring_ms"].is_number() && result["timings"]["answer_ms"].is_number());
    assert!(result["timings"]["connect_ms"].is_null(), "nothing is connected over UDP");
}

#[test]
fn an_answer_that_does_not_fit_ends_the_call() {
    let broken = sdp("127.0.0.1:9".parse().unwrap(), PCMU).replace("c=IN IP4 127.0.0.1\r\n", "");
    for body in [sdp("127.0.0.1:9".parse().unwrap(), UNKNOWN_CODEC), broken, "nonsense".into(), String::new()]
    {
        let peer = Peer::new();
        let program = call(&peer.uri(), &[]);
        let invite = peer.request("INVITE");
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        peer.answer(&invite, 200, kind, &body);
        // Whatever it says, a 2xx is acknowledged; then the call is ended properly.
        peer.request("ACK");
        let bye = peer.request("BYE");
        peer.answer(&bye, 200, "", "");
        let finished = program.finish();
        assert_eq!(finished.code, Some(15), "{body:?}\n{finished}");
        valid(&finished);
    }
}

#[test]
fn what_cannot_be_reached_is_told_at_once() {
    let begun = Instant::now();
    let finished = call("sip:bob@host.invalid", &[]).finish().expect(20).says(&["host.invalid", "DNS"]);
    valid(&finished);
    let dead = Peer::new().addr;
    let finished = call(&format!("sip:bob@{dead}"), &[]).finish().expect(21);
    let finished = finished.says(&[&format!("connection refused by {dead}/udp"), "check the port"]);
    assert_eq!(valid(&finished)["ended_by"], "network");
    let six = Program::call(["--audio", "none", "sip:bob@[::1]:9"]).finish().expect(21);
    six.says(&["connection refused by [::1]:9/udp"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn write_out_prints_that_alone() {
    let server = Server::start();
    let args = ["--audio", "none", "--write-out", "%{code}|%{reason}|%{exit}|%{ring_ms}\\n"];
    let run = |user: &str| Program::call(args.iter().chain([&server.uri(user).as_str()])).finish();
    assert_eq!(run("busy").expect(10).out, "486|Busy Here|10|\n");
    assert_eq!(run("status-503").expect(17).out, "503|Service Unavailable|17|\n");
    assert_eq!(run("decline").expect(11).out, "603|Decline|11|\n");
    let unknown = Program::call(["--audio", "none", "--write-out", "%{cod}", &server.uri("busy")]).finish();
    unknown.expect(2).says(&["cod", "code"]);
    valid(&server.stop());
}

#[test]
fn a_reader_that_leaves_ends_the_call() {
    let peer = Peer::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sip-call"))
        .args(["--json", "--audio", "none", &peer.uri()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"event\":\"calling\""), "{line}");
    let invite = peer.request("INVITE");
    peer.answer(&invite, 180, "", "");
    let cancel = peer.request("CANCEL");
    peer.answer(&cancel, 200, "", "");
    peer.answer(&invite, 487, "", "");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn an_answered_call_of_theirs() {
    let waiting =
        Program::call(["--answer", "--json", "--audio", "none", "--local", "127.0.0.1:0", "--timeout", "1m"]);
    let addr = waiting.event("listening")["local"].as_str().unwrap().parse().unwrap();
    let peer = Peer::new();
    // What cannot be answered is refused, and the wait goes on.
    let unknown = Draft::new("INVITE", format!("sip:x@{addr}"), peer.addr);
    let refused = peer.ask(addr, &unknown.body(&sdp(peer.addr, UNKNOWN_CODEC)));
    assert_eq!(refused.status(), Some(488));
    let invite = Draft::invite(format!("sip:x@{addr}"), peer.addr);
    let ok = peer.ask(addr, &invite);
    assert_eq!(ok.status(), Some(200));
    assert_eq!(peer.ask(addr, &invite.within("BYE", &ok)).status(), Some(200));
    let result = valid(&waiting.finish().expect(0));
    assert_eq!(result["ended_by"], "remote");
}

#[test]
fn the_events_of_a_server_are_what_the_schema_says() {
    let server = Server::with(&["--calls", "3"]);
    for (user, exit) in [("busy", 10), ("nobody", 0), ("silence", 0)] {
        call(&server.uri(user), &["--duration", "100ms"]).finish().expect(exit);
    }
    let finished = server.program.finish().expect(0);
    let result = valid(&finished);
    assert_eq!(result["calls"], 3);
    for event in ["listening", "incoming", "answered", "ended"] {
        assert!(finished.events().iter().any(|told| told["event"] == event), "{event}\n{finished}");
    }
}

#[test]
fn a_server_without_media_answers_all_the_same_and_is_quiet_if_told_to() {
    let server = Server::with(&["--no-media", "--quiet", "--calls", "3"]);
    let peer = Peer::new();
    let invite = Draft::invite(server.uri("x"), peer.addr);
    let ok = peer.ask(server.addr, &invite);
    assert!(
        ok.body().contains("m=audio 9 RTP/AVP ") && ok.body().contains("a=inactive\r\n"),
        "{}",
        ok.body()
    );
    assert_eq!(peer.ask(server.addr, &invite.within("BYE", &ok)).status(), Some(200));
    for user in ["echo", "early"] {
        let called = call(&server.uri(user), &["--duration", "100ms"]).finish().expect(0);
        assert_eq!(valid(&called)["media"]["packets_received"], 0);
    }
    let finished = server.program.finish().expect(0);
    assert_eq!(valid(&finished)["calls"], 3);
    let told: Vec<_> = finished.events().iter().map(|event| event["event"].clone()).collect();
    assert!(
        told.iter().all(|event| ["listening", "rate", "result"].iter().any(|known| event == known)),
        "{told:?}"
    );
}

/// A request of the callee's in the dialog of its own 200.
fn in_dialog(invite: &Text, peer: &Peer, method: &'static str, number: u32) -> Draft {
    let mut draft = Draft::new(method, invite.contact(), peer.addr);
    draft.from_tag = "peer".into();
    draft.to = invite.must("From").to_owned();
    draft.call_id = invite.must("Call-ID").to_owned();
    draft.number = number;
    draft
}
