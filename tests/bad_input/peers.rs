//! Peers that answer our programs badly, vanish, or say what is meant for the terminal.

use std::time::{Duration, Instant};

use crate::support::{
    folder::Folder,
    message::{Draft, PCMU, UNKNOWN_CODEC, sdp},
    peer::Peer,
    program::{Program, Server},
};

const SDP: &str = "Content-Type: application/sdp\r\n";

fn call(target: &str, more: &[&str]) -> Program {
    let args = ["--json", "--audio", "none", "--codec", "pcmu", "--local", "127.0.0.1", target];
    Program::call(args.iter().chain(more))
}

#[test]
fn a_hostile_reason_reaches_neither_the_terminal_nor_the_json() {
    for (reason, said) in [(&b"\x1b[2J\x07\"gone\\"[..], "gone"), (b"\x1b\xff\xfe", "486")] {
        let peer = Peer::new();
        let program = call(&peer.uri(), &[]);
        let (invite, from) = peer.request("INVITE");
        let response = invite.response(486, "peer", peer.addr, "", "");
        let (before, after) = response.split_once("Because").unwrap();
        peer.send(from, [before.as_bytes(), reason, after.as_bytes()].concat());
        let finished = program.finish().expect(10);
        assert_eq!(finished.result()["code"], 486);
        for printed in [&finished.out, &finished.err] {
            assert!(!printed.contains(['\x1b', '\x07']), "{printed:?}");
        }
        finished.says(&[said]);
    }
}

#[test]
fn a_2xx_is_acknowledged_whatever_its_contact() {
    for contact in
        ["", "Contact: \r\n", "Contact: <sip:\r\n", "Contact: *\r\n", "Contact: <nobody:knows>\r\n"]
    {
        let peer = Peer::new();
        let program = call(&peer.uri(), &["--duration", "100ms"]);
        let (invite, from) = peer.request("INVITE");
        let ok = invite.response(200, "peer", peer.addr, SDP, &sdp(peer.addr, PCMU));
        peer.send(from, ok.replace(&format!("Contact: <sip:{}>\r\n", peer.addr), contact));
        if contact.contains("nobody") {
            // There is no way to that; it is no reason to hang.
            assert_ne!(program.finish().code, Some(1));
            continue;
        }
        peer.request("ACK");
        let bye = peer.request("BYE");
        peer.answer(&bye, 200, "", "");
        program.finish().expect(0);
    }
}

#[test]
fn media_nobody_listens_to_is_no_reason_to_hang_up() {
    let (peer, dead) = (Peer::new(), Peer::new().addr);
    let program = call(&peer.uri(), &["--duration", "600ms"]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 200, SDP, &sdp(dead, PCMU));
    peer.request("ACK");
    // Strangers who call meanwhile find us busy.
    let stranger = Peer::at("127.0.0.69");
    let busy = stranger.ask(invite.1, &Draft::invite("sip:us@127.0.0.1", stranger.addr));
    assert_eq!(busy.status(), Some(486));
    let bye = peer.request("BYE");
    peer.answer(&bye, 200, "", "");
    let finished = program.finish().expect(0);
    let sent = finished.result()["media"]["packets_sent"].as_u64().unwrap();
    assert!(sent >= 20, "{finished}");
}

#[test]
fn a_peer_that_is_gone_does_not_hold_up_the_end() {
    let peer = Peer::new();
    let program = call(&peer.uri(), &["--duration", "300ms"]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 200, SDP, &sdp(peer.addr, PCMU));
    peer.request("ACK");
    drop(peer);
    let begun = Instant::now();
    program.finish().expect(0);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn provisionals_of_all_kinds_do_no_harm() {
    let peer = Peer::new();
    let program = call(&peer.uri(), &["--duration", "100ms"]);
    let invite = peer.request("INVITE");
    peer.answer(&invite, 100, "", "");
    for status in [180, 181, 183, 199] {
        peer.answer(&invite, status, "", "");
    }
    peer.answer(&invite, 183, SDP, "no session at all");
    peer.answer(&invite, 183, "Content-Type: text/html\r\n", "<html>");
    for tag in 0..100 {
        let fork = invite.0.response(180, &format!("fork{tag}"), peer.addr, "", "");
        peer.send(invite.1, fork);
    }
    peer.answer(&invite, 200, SDP, &sdp(peer.addr, PCMU));
    let bye = peer.request("BYE");
    peer.answer(&bye, 200, "", "");
    program.finish().expect(0);
}

#[test]
fn a_late_offer_with_an_answer_that_does_not_do_ends_with_bye() {
    let server = Server::start();
    let peer = Peer::new();
    let invite = Draft::new("INVITE", server.uri("echo"), peer.addr);
    peer.send(server.addr, invite.text());
    let ok = peer.response(200);
    assert!(ok.body().contains("m=audio"), "an INVITE without offer is answered with one (§13.2.1)");
    let ack = invite.within("ACK", &ok).body(&sdp(peer.addr, UNKNOWN_CODEC));
    peer.send(server.addr, ack.text());
    let bye = peer.request("BYE");
    peer.answer(&bye, 200, "", "");
    server.stop();
}

#[test]
fn a_challenge_wants_the_right_password() {
    let folder = Folder::new();
    let (right, wrong) = (folder.file("right", "open sesame\n"), folder.file("wrong", "open says me\n"));
    for algorithm in ["MD5", "SHA-256", "SHA-512-256"] {
        let server = Server::with(&["--user", "ali", "--password-file", &right, "--auth-alg", algorithm]);
        let uri = server.uri("silence");
        let run = |user: &str, password: &str| {
            call(&uri, &["--user", user, "--password-file", password, "--duration", "50ms"]).finish()
        };
        run("ali", &right).expect(0);
        run("ali", &wrong).expect(13).says(&["403", "password"]);
        run("baba", &right).expect(13).says(&["403", "--user"]);
        call(&uri, &[]).finish().expect(13).says(&["--user"]);
        server.stop();
    }
}
