//! A call is up, and strangers send all they can think of to its signalling and media ports. It must go on
//! to the end its own users chose, with all of its packets.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::messages::noise;
use crate::support::{
    message::{Draft, PCMU, Text, sdp},
    peer::{Peer, free_pair},
    program::{Program, Server},
};

#[test]
fn a_call_between_our_programs_survives_a_flood() {
    let server = Server::start();
    let (rtp, rtcp) = free_pair();
    let port = rtp.local_addr().unwrap().port();
    drop((rtp, rtcp));
    let ports = format!("{port}-{}", port + 1);
    let args = ["--json", "--audio", "tone:440", "--codec", "pcmu", "--duration", "2500ms"];
    let target = server.uri("echo");
    let program = Program::call(args.iter().chain(&["--rtp-ports", &ports, &target]));
    let calling = program.event("calling");
    let answered = program.event("answered");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (sip, call_id) = (text(&calling["local"]), text(&calling["call_id"]));
    let media: SocketAddr = text(&answered["media_remote"]).parse().unwrap();
    let signalling = [sip.parse().unwrap(), server.addr];
    let rtp = [media, SocketAddr::new(media.ip(), port)];

    let stop = AtomicBool::new(false);
    let finished = thread::scope(|scope| {
        scope.spawn(|| {
            flood(&stop, "127.0.0.66", |stranger, turn| {
                let to = signalling[turn % 2];
                stranger.send(to, forged(stranger, to, &call_id, turn));
            })
        });
        scope.spawn(|| {
            flood(&stop, "127.0.0.67", |stranger, turn| {
                let to = rtp[turn % 2];
                let to = SocketAddr::new(to.ip(), to.port() + u16::from(turn % 5 == 0));
                stranger.send(to, forged_media(turn));
            })
        });
        let finished = program.finish();
        stop.store(true, Ordering::Relaxed);
        finished
    });
    let finished = finished.expect(0);
    let result = finished.result();
    let media = &result["media"];
    let count = |name: &str| media[name].as_u64().unwrap_or_else(|| panic!("{name}\n{finished}"));
    assert!((100..=128).contains(&count("packets_sent")), "{finished}");
    assert!(count("packets_received") + 5 >= count("packets_sent"), "{finished}");
    assert_eq!((count("packets_lost"), count("packets_duplicated")), (0, 0), "{finished}");
    assert!(count("packets_rejected") >= 50, "{finished}");
    assert_eq!((&result["ended_by"], &result["code"]), (&Value::from("local"), &Value::from(200)));
    let served = server.stop();
    let ours = served.events().into_iter().filter(|event| event["call_id"] == *call_id);
    let ours: Vec<_> = ours.map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ours.first().map(String::as_str), Some("incoming"), "{served}");
    assert_eq!(ours.iter().filter(|event| *event == "ended").count(), 1, "{served}");
}

#[test]
fn a_call_survives_mutated_copies_of_its_own_messages() {
    let (peer, media) = (Peer::new(), Peer::new());
    let args =
        ["--json", "--audio", "tone:440", "--codec", "pcmu", "--duration", "2s", "--local", "127.0.0.1"];
    let program = Program::call(args.iter().chain([&peer.uri().as_str()]));
    let invite = peer.request("INVITE");
    let call = invite.1;
    let ringing = peer.answer(&invite, 180, "", "");
    let kind = "Content-Type: application/sdp\r\n";
    let ok = peer.answer(&invite, 200, kind, &sdp(media.addr, PCMU));
    let (ack, _) = peer.request("ACK");

    // A request of the real peer fixes where its numbers are.
    let within = |method, number| {
        let mut draft = Draft::new(method, invite.0.contact(), peer.addr);
        draft.from_tag = "peer".into();
        draft.to = invite.0.must("From").into();
        draft.call_id = invite.0.must("Call-ID").into();
        draft.number = number;
        draft
    };
    assert_eq!(peer.ask(call, &within("OPTIONS", 100)).status(), Some(200));
    let bye = within("BYE", 99);
    let other = |text: &str| text.replace("peer", "pear");
    let forged = [
        bye.text(),
        Draft { from_tag: other(&bye.from_tag), number: 200, ..bye.clone() }.text(),
        Draft { to: format!("{}x", bye.to), number: 200, ..bye.clone() }.text(),
        Draft { call_id: format!("{}x", bye.call_id), number: 200, ..bye.clone() }.text(),
    ];

    let (stop, heard) = (AtomicBool::new(false), AtomicU64::new(0));
    let finished = thread::scope(|scope| {
        scope.spawn(|| talk(&media.socket, invite.0.audio(), &stop, &heard));
        scope.spawn(|| {
            let mut random = 0xbad_5eed;
            let mut turn = 0;
            flood(&stop, "127.0.0.68", |stranger, _| {
                turn += 1;
                let bytes = match turn % 6 {
                    0 => forged[turn / 6 % forged.len()].clone().into_bytes(),
                    1 => mutated(&ringing, &mut random),
                    2 if turn < 900 => mutated(&ok, &mut random),
                    3 => mutated(&ack.0, &mut random),
                    4 => final_response(&invite.0, turn).into_bytes(),
                    _ => mutated(&invite.0.0, &mut random),
                };
                stranger.send(call, bytes);
            });
        });
        let ours = |text: &Text| text.method() == "BYE" && text.tag("To") == Some("peer");
        let bye = peer.receive("BYE", ours);
        peer.answer(&bye, 200, "", "");
        let finished = program.finish();
        stop.store(true, Ordering::Relaxed);
        finished
    });
    let finished = finished.expect(0);
    let result = finished.result();
    assert_eq!(result["ended_by"], "local", "{finished}");
    let received = result["media"]["packets_received"].as_u64().unwrap();
    assert!((80..=103).contains(&received), "{finished}");
    assert_eq!(result["media"]["packets_lost"], 0, "{finished}");
    assert!(
        heard.load(Ordering::Relaxed) >= 80,
        "{} packets came\n{finished}",
        heard.load(Ordering::Relaxed)
    );
}

/// Calls `act` with a socket at `ip` about a thousand times a second.
fn flood(stop: &AtomicBool, ip: &str, mut act: impl FnMut(&Peer, usize)) {
    let stranger = Peer::at(ip);
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        act(&stranger, turn);
        // Now and then from another port.
        if turn % 4 == 0 {
            act(&Peer::at(ip), turn);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// What somebody may send who knows the Call-ID, but not the tags.
fn forged(stranger: &Peer, to: SocketAddr, call_id: &str, turn: usize) -> Vec<u8> {
    let uri = format!("sip:busy@{to}");
    let dialog = |method| {
        let mut draft = Draft::new(method, uri.clone(), stranger.addr);
        draft.call_id = call_id.into();
        draft.to += ";tag=guess";
        draft
    };
    match turn / 2 % 10 {
        0 => dialog("BYE").text().into(),
        1 => dialog("INVITE").body(&sdp(stranger.addr, PCMU)).text().into(),
        2 => dialog("ACK").text().into(),
        3 => Draft { call_id: call_id.into(), ..Draft::new("CANCEL", uri, stranger.addr) }.text().into(),
        4 => {
            let request = Text(Draft { call_id: call_id.into(), ..Draft::invite(uri, to) }.text());
            final_response(&request, turn).into()
        }
        5 => Draft::invite(uri, stranger.addr).text().into(),
        6 => Vec::new(),
        7 if turn % 500 < 20 => vec![b'x'; 65_507],
        8 => noise(turn as u64, 700),
        _ => b"SIP/2.0 500\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK\r\n\r\n".to_vec(),
    }
}

fn final_response(request: &Text, turn: usize) -> String {
    let status = [200, 302, 401, 404, 408, 481, 486, 500, 503, 603][turn % 10];
    request.response(status, "stranger", "127.0.0.1:9".parse().unwrap(), "", "")
}

/// RTP of the right payload type, RTCP that says goodbye, noise.
fn forged_media(turn: usize) -> Vec<u8> {
    match turn % 7 {
        0 => Vec::new(),
        1 => noise(turn as u64, 300),
        2 => vec![0x80; 12],
        // BYE for a source (RFC 3550 §6.6).
        3 => vec![0x81, 203, 0, 1, 0, 0, 0, turn as u8],
        4 if turn % 500 < 7 => vec![0x80; 65_507],
        _ => rtp(turn as u16, 0xdead_beef),
    }
}

fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

/// The real peer's media: a packet each 20 ms, and what comes is counted.
fn talk(socket: &UdpSocket, to: SocketAddr, stop: &AtomicBool, heard: &AtomicU64) {
    socket.set_nonblocking(true).unwrap();
    let begun = std::time::Instant::now();
    let mut buffer = [0; 2000];
    for sequence in 0_u16.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // The port is gone once the call is.
        let _ = socket.send_to(&rtp(sequence, 7), to);
        while let Ok((len, _)) = socket.recv_from(&mut buffer) {
            if len == 172 {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        }
        let next = begun + Duration::from_millis(20) * (u32::from(sequence) + 1);
        thread::sleep(next.saturating_duration_since(std::time::Instant::now()));
    }
}

/// The message with some octets changed, never so that it would send us off this machine: the Contact stays.
fn mutated(text: &str, random: &mut u64) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let contact = text.find("Contact:").map_or(0..0, |at| at..at + text[at..].find("\r\n").unwrap() + 2);
    for noise in noise(*random, 8).chunks(4) {
        *random = random.wrapping_add(1);
        let at = usize::from(u16::from_be_bytes([noise[0], noise[1]])) % bytes.len();
        if !contact.contains(&at) {
            bytes[at] ^= 1 << (noise[2] % 8);
        }
    }
    bytes
}
