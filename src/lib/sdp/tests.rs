//! The corpus in tests/data/sdp, and offers and answers by table.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use super::*;

// ---- reading and writing

#[test]
fn corpus_by_verdict() {
    let mut seen = 0;
    for (name, verdict, bytes) in corpus() {
        seen += 1;
        let parsed = Session::parse(&bytes);
        match verdict.as_str() {
            "valid" | "liberal" => {
                let session = parsed.unwrap_or_else(|why| panic!("{name} is {verdict}, but {why}"));
                let again = session.to_bytes();
                assert_eq!(Session::parse(&again).as_ref(), Ok(&session), "{name}");
                if verdict == "valid" {
                    assert_eq!(again.escape_ascii().to_string(), bytes.escape_ascii().to_string(), "{name}");
                }
            }
            "invalid" => assert!(parsed.is_err(), "{name} is invalid, but was read"),
            "fragment" | "doubtful" => {}
            other => panic!("{name}: unknown verdict {other}"),
        }
    }
    assert!(seen > 250, "only {seen} files");
}

#[test]
fn errors_say_where() {
    let table: [(&[u8], usize, usize, ParseErrorKind); 14] = [
        (b"", 1, 1, ParseErrorKind::Empty),
        (b"\r\n\r\n", 1, 1, ParseErrorKind::Empty),
        (b"v=1\r\n", 1, 3, ParseErrorKind::Version),
        (b"v=0\r\n", 2, 1, ParseErrorKind::Expected('o')),
        (b"o=x\r\n", 1, 1, ParseErrorKind::Expected('v')),
        (b"v=0\r\no=x\r\nnonsense\r\n", 3, 1, ParseErrorKind::NotALine),
        (b"v=0\r\no=x\r\n =1\r\n", 3, 1, ParseErrorKind::NotALine),
        (b"v=0\r\no=x\r\ns=a\0b\r\n", 3, 4, ParseErrorKind::Control(0)),
        (b"v=0\r\no=x\r\ns=a\rb\r\n", 3, 4, ParseErrorKind::Control(b'\r')),
        (b"v=0\no=x\ns=a\ns=b\n", 4, 1, ParseErrorKind::Twice('s')),
        (b"v=0\no=x\ns=a\nc=IN IP4\n", 4, 3, ParseErrorKind::Connection),
        (b"v=0\no=x\nc=IN IP4 h\nm=audio 65536 RTP/AVP 0\n", 4, 9, ParseErrorKind::Port),
        (b"v=0\no=x\nc=IN IP4 h\nm=audio 4000 RTP/AVP 0 128\n", 4, 24, ParseErrorKind::PayloadType),
        (b"v=0\no=x\ns=-\nm=video 0 RTP/AVP 9\nm=audio 1 RTP/AVP 0\n", 5, 1, ParseErrorKind::NoConnection),
    ];
    for (bytes, line, column, kind) in table {
        let expected = ParseError { line, column, kind };
        assert_eq!(Session::parse(bytes), Err(expected), "{}", bytes.escape_ascii());
    }
    let error = Session::parse(b"v=0\no=x\nc=IN IP4 h\nm=audio x RTP/AVP 0\n").unwrap_err();
    assert_eq!(error.to_string(), "SDP line 4, column 9: the port is no number from 0 to 65535");
}

#[test]
fn limits_hold() {
    let head = b"v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 h\n".to_vec();
    let limits = Limits { bytes: 1_000, lines: 20, media: 2, formats: 3 };
    let parse = |tail: &str| Session::parse_with(&[&head, tail.as_bytes()].concat(), &limits);
    let kind = |tail: &str| parse(tail).unwrap_err().kind;
    assert!(parse("m=a 1 p 1 2 3\nm=b 1 p\n").is_ok());
    assert_eq!(kind("m=a 1 p 1 2 3 4\n"), ParseErrorKind::TooManyFormats(3));
    assert_eq!(kind(&"m=a 1 p\n".repeat(3)), ParseErrorKind::TooManyMedia(2));
    assert_eq!(kind(&"\n".repeat(17)), ParseErrorKind::TooManyLines(20));
    assert_eq!(kind(&"a=x\n".repeat(250)), ParseErrorKind::TooLong(1_000));
}

#[test]
fn keeps_what_it_does_not_know() {
    let text =
        b"v=0\r\no=\xe9 1 1 IN IP6 ::1\r\ns=caf\xe9\r\nx=?\r\nb=X-Y:12\r\nt=1 2\r\nr=7d 1h 0\r\nk=prompt\r\n\
        a=\xff\xfe\r\na=ssrc:1 cname:a b\r\nm=audio 4000/2 RTP/AVP 0 8\r\nc=IN IP6 ::1\r\nb=AS:64\r\n\
        a=crypto:1 X inline:y|2^20|1:32\r\na=\r\nZ=\r\n";
    let session = Session::parse(text).unwrap();
    assert_eq!(session.to_bytes().escape_ascii().to_string(), text.escape_ascii().to_string());
    assert_eq!(session.media[0].port, Port::Range { first: 4000, count: 2 });
    assert_eq!(session.connection(&session.media[0]).unwrap().host(), "::1");
    assert_eq!(session.media[0].attribute("crypto").unwrap().value, Some("1 X inline:y|2^20|1:32"));
    assert_eq!(session.attributes().map(|a| a.name).collect::<Vec<_>>(), ["ssrc"]);
}

#[test]
fn values_cannot_add_lines() {
    let line = Line::attribute("tool", Some("x\r\na=evil\0"));
    assert_eq!(line.value().as_bytes(), b"tool:xa=evil");
}

/// Corpus files with octets changed, dropped, doubled and swapped: never a panic, and whatever is
/// read survives writing, reading and answering.
#[test]
fn mutations() {
    let mut random = Random(0x5d_1e_55_10);
    let own = caps();
    for (name, _, bytes) in corpus() {
        for _ in 0..120 {
            let mutant = random.mutate(&bytes);
            let Ok(session) = Session::parse(&mutant) else { continue };
            let again = Session::parse(&session.to_bytes());
            assert_eq!(again.as_ref(), Ok(&session), "{name}: {}", mutant.escape_ascii());
            let mut origin = origin();
            if let Ok(done) = answer(&session, &own, &mut origin, None) {
                assert_eq!(done.local.media.len(), session.media.len());
                assert_eq!(Session::parse(&done.local.to_bytes()).as_ref(), Ok(&done.local), "{name}");
                reoffer_with(&done, &own, &mut origin);
            }
            let ours = offer(&own, &mut origin);
            let _ = accept_answer(&ours, &session, &own);
            let _ = accept_answer(&session, &ours, &own);
        }
    }
}

// ---- offer and answer

#[test]
fn our_offer() {
    let mut origin = origin();
    let text = offer(&caps(), &mut origin).to_string();
    let expected = "v=0\r\no=- 500 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 96 0 8 101 102\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(text, expected);
    // The same again is the same version; a change raises it by one.
    assert_eq!(offer(&caps(), &mut origin).origin.version, "1");
    let other = Capabilities { rtcp_port: 5000, rtcp_mux: true, ..caps() };
    let second = offer(&other, &mut origin);
    assert_eq!(second.origin.version, "2");
    assert_eq!(second.media[0].rtcp(), Some((5000, None)));
    assert!(second.media[0].rtcp_mux());
    let v6 = Capabilities { address: "2001:db8::7".parse().unwrap(), ..caps() };
    assert!(offer(&v6, &mut origin).to_string().contains("c=IN IP6 2001:db8::7\r\n"));
}

#[test]
fn numbers_never_clash() {
    let clash = vec![
        Codec::new("A", 8_000, 1, 101),
        Codec::new("B", 16_000, 1, 101),
        Codec::new("C", 8_000, 1, 127),
        Codec::new("D", 8_000, 1, 127),
        Codec::new("a", 8_000, 1, 99),
    ];
    let session = offer(&Capabilities { codecs: clash, ..caps() }, &mut origin());
    assert_eq!(session.media[0].formats, ["101", "102", "127", "96", "103", "104"]);
}

#[test]
fn answers_a_phone() {
    let offer = remote(
        "a=tool:x\nm=audio 2388 RTP/AVP 9 8 109 0 101\nb=AS:64\na=rtpmap:9 G722/8000\na=rtpmap:109 OPUS/48000/2\n\
         a=fmtp:109 stereo=1;sprop-stereo=1\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=label:1\n\
         a=ssrc:1 cname:x\na=ptime:30\nm=video 2390 RTP/AVP 99\na=rtpmap:99 H264/90000\n\
         m=audio 2400 RTP/AVP 0\n",
    );
    let done = answer(&offer, &caps(), &mut origin(), None).unwrap();
    let text = done.local.to_string();
    let expected = "v=0\r\no=- 500 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8 109 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:109 opus/48000/2\r\n\
        a=fmtp:109 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\nm=video 0 RTP/AVP 99\r\nm=audio 0 RTP/AVP 0\r\n";
    assert_eq!(text, expected);
    let audio = done.audio.unwrap();
    assert_eq!((audio.line, audio.direction, audio.ptime), (0, Direction::SendRecv, 30));
    assert_eq!((audio.send_codec.name.as_ref(), audio.send_codec.payload_type), ("PCMA", 8));
    assert_eq!(numbers(&audio.receive), [8, 109, 0]);
    assert_eq!(audio.receive[1].fmtp.as_deref(), Some("useinbandfec=1"));
    assert_eq!(audio.telephone_event_send, Some(TelephoneEvent { payload_type: 101, clock_rate: 8_000 }));
    assert_eq!(audio.remote_rtp.unwrap().socket_addr(), Some("192.0.2.2:2388".parse().unwrap()));
    assert_eq!(audio.remote_rtcp.unwrap().to_string(), "192.0.2.2:2389");
    assert!(!audio.held_by_peer && !audio.rtcp_mux);

    // In our order of preference Opus leads, with the peer's parameters for what we send.
    let own = Capabilities { own_order: true, ..caps() };
    let audio = answer(&offer, &own, &mut origin(), None).unwrap().audio.unwrap();
    assert_eq!(numbers(&audio.receive), [109, 0, 8]);
    assert_eq!(audio.send_codec.fmtp.as_deref(), Some("stereo=1;sprop-stereo=1"));
    // 30 ms is no frame of Opus; the only events the peer takes have the other clock.
    assert_eq!(audio.ptime, 20);
    assert_eq!(audio.telephone_event_send.unwrap().clock_rate, 8_000);
}

#[test]
fn what_is_refused() {
    let table = [
        (
            "m=audio 4000 RTP/AVP 96 97\na=rtpmap:96 X-NONE/8000\n",
            1,
            305,
            "no codec in common, the peer has X-NONE/8000, 97",
        ),
        (
            "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n",
            1,
            305,
            "no codec in common, the peer has telephone-event/8000",
        ),
        (
            "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/16000/2\n",
            1,
            305,
            "no codec in common, the peer has opus/16000",
        ),
        ("m=audio 4000 RTP/SAVP 0\n", 1, 302, "protocol RTP/SAVP is not supported, only RTP/AVP is"),
        (
            "m=audio 9 UDP/TLS/RTP/SAVPF 0\n",
            1,
            302,
            "protocol UDP/TLS/RTP/SAVPF is not supported, only RTP/AVP is",
        ),
        ("m=audio 9 FOO 0\n", 1, 302, "protocol FOO is not supported, only RTP/AVP is"),
        ("m=video 4000 RTP/AVP 31\n", 1, 304, "video is not supported, only audio is"),
        ("m=audio 0 RTP/AVP 0\nm=video 5000 RTP/AVP 96\n", 2, 304, "video is not supported, only audio is"),
        ("m=video 4 RTP/AVP 31\nm=audio 4 RTP/AVP 3\n", 2, 305, "no codec in common, the peer has GSM/8000"),
        ("m=audio 4 RTP/AVP 0\nc=IN IP4 224.2.1.1/127/3\n", 1, 330, "multicast is not supported"),
        (
            "m=audio 4 RTP/AVP 0\nc=IN IP6 2001:db8::1\n",
            1,
            300,
            "the peer's address 2001:db8::1 is of another family than ours, 192.0.2.1",
        ),
        ("m=audio 4 RTP/AVP 0\nc=ATM NSAP 47.00\n", 1, 399, "ATM NSAP 47.00 is no usable address"),
        ("m=audio 4 RTP/AVP 0\nc=IN IP4 a%b\n", 1, 399, "IN IP4 a%b is no usable address"),
        ("m=audio $ RTP/AVP 0\n", 1, 399, "$ is no usable address"),
    ];
    for (media, line, warning, why) in table {
        let refused = answer(&remote(media), &caps(), &mut origin(), None).unwrap_err();
        assert_eq!((refused.line, refused.warning()), (line, warning), "{media}");
        assert_eq!(refused.to_string(), format!("media section {line}: {why}"), "{media}");
    }
    // Nothing in use is answered in kind.
    for media in ["", "m=audio 0 RTP/AVP 0\n", "m=video 0 RTP/AVP 31 32\nm=audio 0 FOO x\n", "m=audio\n"] {
        let offer = remote(media);
        let Ok(done) = answer(&offer, &caps(), &mut origin(), None) else {
            assert_eq!(media, "m=audio\n");
            continue;
        };
        assert_eq!(done.audio, None);
        assert_eq!(done.local.media, offer.media);
    }
    // Of several sections the first usable one is taken, wherever it is.
    let offer =
        remote("m=video 4 RTP/AVP 31\nm=audio 6 RTP/SAVP 0\nm=audio 8 RTP/AVPF 8\nm=audio 10 RTP/AVP 0\n");
    let done = answer(&offer, &caps(), &mut origin(), None).unwrap();
    let lines: Vec<_> =
        done.local.media.iter().map(|m| (m.kind.as_str(), m.port.number(), m.proto.as_str())).collect();
    let expected = [
        ("video", Some(0), "RTP/AVP"),
        ("audio", Some(0), "RTP/SAVP"),
        ("audio", Some(4000), "RTP/AVPF"),
        ("audio", Some(0), "RTP/AVP"),
    ];
    assert_eq!(lines, expected);
    // What was in force stays in force, though an earlier section is usable now.
    let offer =
        remote("m=audio 2 RTP/AVP 8\nm=audio 6 RTP/AVP 0\nm=audio 8 RTP/AVP 8\nm=audio 10 RTP/AVP 0\n");
    assert_eq!(answer(&offer, &caps(), &mut origin(), Some(&done)).unwrap().audio.unwrap().line, 2);
}

/// Every direction offered × every direction we are ready for.
#[test]
fn directions_of_answers() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let table = [
        // offered, ready for: sendrecv, sendonly, recvonly, inactive
        (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive], false),
        (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive], true),
        (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive], false),
        (Inactive, [Inactive, Inactive, Inactive, Inactive], true),
    ];
    for (offered, answers, held) in table {
        for (ready, expected) in Direction::ALL.into_iter().zip(answers) {
            for text in [
                format!("m=audio 4 RTP/AVP 0\na={}\n", offered.as_str()),
                format!("a={}\nm=audio 4 RTP/AVP 0\n", offered.as_str()),
            ] {
                let own = Capabilities { direction: ready, ..caps() };
                let done = answer(&remote(&text), &own, &mut origin(), None).unwrap();
                let audio = done.audio.as_ref().unwrap();
                assert_eq!(audio.direction, expected, "{offered:?} {ready:?}");
                assert_eq!(done.local.direction(&done.local.media[0]), expected);
                assert_eq!(audio.held_by_peer, held);
                assert!(audio.remote_rtp.is_some());

                // And the peer, reading that answer, agrees.
                let peer =
                    Capabilities { direction: offered, address: "192.0.2.2".parse().unwrap(), ..caps() };
                let seen = accept_answer(&done.remote, &done.local, &peer).unwrap().audio.unwrap();
                assert_eq!(seen.direction, expected.reversed());
                assert_eq!(seen.held_by_peer, offered.sends() && !expected.receives());
            }
        }
    }
}

/// RFC 2543 hold: 0.0.0.0 is sendonly without a place to send to.
#[test]
fn hold_by_address() {
    for media in ["m=audio 4 RTP/AVP 0\nc=IN IP4 0.0.0.0\n", "m=audio 4 RTP/AVP 0\nc=IN IP6 ::\na=sendrecv\n"]
    {
        let done = answer(&remote(media), &caps(), &mut origin(), None).unwrap();
        let audio = done.audio.unwrap();
        assert_eq!((audio.direction, audio.held_by_peer), (Direction::RecvOnly, true));
        assert_eq!((audio.remote_rtp, audio.remote_rtcp), (None, None));
    }
    let ours = offer(&caps(), &mut origin());
    let audio = accept_answer(&ours, &remote("m=audio 4 RTP/AVP 0\nc=IN IP4 0.0.0.0\n"), &caps());
    let audio = audio.unwrap().audio.unwrap();
    assert_eq!((audio.direction, audio.held_by_peer), (Direction::RecvOnly, true));
}

#[test]
fn answers_to_our_offer() {
    let ours = offer(&Capabilities { rtcp_mux: true, ..caps() }, &mut origin());
    let accept = |media: &str| accept_answer(&ours, &remote(media), &caps());

    // The peer's own numbers: we send with them, and receive with ours.
    let audio = accept(
        "m=audio 7000 RTP/AVP 111 110\na=rtpmap:111 opus/48000/2\na=fmtp:111 maxplaybackrate=8000\n\
         a=rtpmap:110 telephone-event/48000\na=ptime:60\na=maxptime:45\na=rtcp-mux\n",
    );
    let audio = audio.unwrap().audio.unwrap();
    assert_eq!((audio.send_codec.payload_type, numbers(&audio.receive)), (111, vec![96]));
    assert_eq!(audio.send_codec.fmtp.as_deref(), Some("maxplaybackrate=8000"));
    assert_eq!(audio.receive[0].fmtp.as_deref(), Some("useinbandfec=1"));
    assert_eq!(audio.telephone_event_send, Some(TelephoneEvent { payload_type: 110, clock_rate: 48_000 }));
    assert_eq!(audio.telephone_event_receive, [TelephoneEvent { payload_type: 102, clock_rate: 48_000 }]);
    assert_eq!(audio.ptime, 40);
    assert!(audio.rtcp_mux);
    assert_eq!(audio.remote_rtcp, audio.remote_rtp);

    // No rtpmap at all, a host name, RTCP elsewhere.
    let audio =
        accept("m=audio 7000 RTP/AVP 8 96 101\nc=IN IP4 media.example.com\na=rtcp:9000 IN IP4 192.0.2.9\n");
    let audio = audio.unwrap().audio.unwrap();
    assert_eq!(numbers(&audio.receive), [8, 96]);
    assert_eq!(audio.telephone_event_send.unwrap().payload_type, 101);
    let rtp = audio.remote_rtp.unwrap();
    assert_eq!((rtp.to_string().as_str(), rtp.socket_addr()), ("media.example.com:7000", None));
    assert_eq!(audio.remote_rtcp.unwrap().to_string(), "192.0.2.9:9000");

    // The last port has no successor.
    let audio = accept("m=audio 65535 RTP/AVP 0\n").unwrap().audio.unwrap();
    assert_eq!(audio.remote_rtcp, None);

    assert_eq!(accept("m=audio 0 RTP/AVP 0\n").unwrap().audio, None);
    let why = |media: &str| accept(media).unwrap_err().why;
    assert_eq!(why("m=audio 9 RTP/AVP 18\n"), Unusable::Codecs("G729/8000".into()));
    assert_eq!(why("m=video 9 RTP/AVP 31\n"), Unusable::Kind("video".into()));
    assert_eq!(why(""), Unusable::Count { offered: 1, answered: 0 });
    assert_eq!(accept("").unwrap_err().to_string(), "1 sections offered, 0 answered");
}

#[test]
fn packet_times() {
    let table = [
        ("", 20),
        ("a=ptime:10\n", 10),
        ("a=ptime:40\n", 40),
        ("a=ptime:60\n", 60),
        ("a=ptime:80\n", 20),
        ("a=ptime:25\n", 20),
        ("a=ptime:0\n", 20),
        ("a=ptime:x\n", 20),
        ("a=ptime:99999999999\n", 20),
        ("a=maxptime:15\n", 10),
        ("a=maxptime:5\n", 20),
        ("a=ptime:60\na=maxptime:50\n", 50),
    ];
    for (lines, expected) in table {
        let offer = remote(&format!("m=audio 4 RTP/AVP 0\n{lines}"));
        let audio = answer(&offer, &caps(), &mut origin(), None).unwrap().audio.unwrap();
        assert_eq!(audio.ptime, expected, "{lines}");
    }
}

#[test]
fn hold_and_resume() {
    let mut origin = origin();
    let first = offer(&caps(), &mut origin);
    let held = reoffer(&first, Direction::SendRecv.held(), &mut origin);
    let diff = |a: &Session, b: &Session| -> Vec<String> {
        let (a, b) = (a.to_string(), b.to_string());
        b.lines().filter(|line| !a.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    assert_eq!(diff(&first, &held), ["o=- 500 2 IN IP4 192.0.2.1", "a=sendonly"]);
    // The peer does not take the hold literally: we still do not receive.
    let audio = accept_answer(&held, &remote("m=audio 4 RTP/AVP 0\na=sendrecv\n"), &caps()).unwrap();
    assert_eq!(audio.audio.as_ref().unwrap().direction, Direction::SendOnly);
    let again = reoffer(&held, Direction::SendOnly, &mut origin);
    assert_eq!(again, held);
    let resumed = reoffer(&again, Direction::SendOnly.resumed(), &mut origin);
    assert_eq!(diff(&held, &resumed), ["o=- 500 3 IN IP4 192.0.2.1", "a=sendrecv"]);
    assert_eq!(resumed.media, first.media);
}

#[test]
fn offers_anew_in_place() {
    let mut origin = origin();
    let theirs = remote(
        "m=video 9 RTP/AVP 31\nm=audio 4 RTP/AVP 8 101 102\na=rtpmap:101 opus/48000/2\na=rtpmap:102 telephone-event/8000\n",
    );
    let done = answer(&theirs, &caps(), &mut origin, None).unwrap();
    let moved = Capabilities { rtp_port: 6000, rtcp_port: 6001, ..caps() };
    let offer = reoffer_with(&done, &moved, &mut origin);
    assert_eq!(offer.origin.version, "2");
    assert_eq!(offer.media.len(), 2);
    assert_eq!((offer.media[0].kind.as_str(), &offer.media[0].port), ("video", &Port::Number(0)));
    let audio = &offer.media[1];
    assert_eq!(audio.port, Port::Number(6000));
    // 101 stays Opus, 102 stays the 8000 Hz events; the 48000 Hz ones get a new number.
    assert_eq!(audio.formats, ["101", "0", "8", "102", "103"]);
    assert_eq!(audio.rtpmap(103).map(|map| map.clock_rate), Some(48_000));
}

/// A new section goes to the end, unless nobody would read so many: then it takes the place of a refused one (RFC 3264
/// §8.1).
#[test]
fn a_new_section_is_never_one_too_many() {
    for (count, expected) in [(1, 2), (63, 64), (64, 64)] {
        let mut origin = origin();
        let theirs = remote(&"m=video 0 RTP/AVP 31\n".repeat(count));
        let done = answer(&theirs, &caps(), &mut origin, None).unwrap();
        let offer = reoffer_with(&done, &caps(), &mut origin);
        let again = Session::parse(&offer.to_bytes()).unwrap();
        assert_eq!(again.media.len(), expected);
        let audio = again.media.iter().filter(|media| media.kind == "audio" && !media.port.is_zero());
        assert_eq!(audio.count(), 1);
    }
}

/// The audio of the pairs of RFC 4317 and RFC 3264 §10, read as offerer and as answerer.
#[test]
fn rfc_pairs() {
    let codecs = vec![
        Codec::PCMU,
        Codec::PCMA,
        Codec::new("iLBC", 8_000, 1, 97),
        Codec::new("G723", 8_000, 1, 4),
        Codec::new("G729", 8_000, 1, 18),
    ];
    let own = Capabilities { codecs, ..caps() };
    use Direction::{Inactive, RecvOnly, SendRecv};
    // offer, answer, what the offerer sends and where, its direction
    type Row = (&'static str, &'static str, Option<(&'static str, u16, Direction)>);
    let table: [Row; 12] = [
        ("rfc4317/2.1-01-offer", "rfc4317/2.1-02-answer", Some(("PCMU", 49174, SendRecv))),
        ("rfc4317/2.2-01-offer", "rfc4317/2.2-02-answer", Some(("PCMU", 49172, SendRecv))),
        ("rfc4317/2.2-03-offer", "rfc4317/2.2-04-answer", Some(("PCMU", 49172, SendRecv))),
        ("rfc4317/2.5-03-offer", "rfc4317/2.5-04-answer", Some(("iLBC", 49170, SendRecv))),
        ("rfc4317/2.7-03-offer", "rfc4317/2.7-04-answer", Some(("iLBC", 49172, SendRecv))),
        ("rfc4317/3.1-01-offer", "rfc4317/3.1-02-answer", Some(("iLBC", 49172, RecvOnly))),
        ("rfc4317/3.2-01-offer", "rfc4317/3.2-02-answer", Some(("iLBC", 49172, SendRecv))),
        ("rfc4317/5.1-01-offer", "rfc4317/5.1-02-answer", None),
        ("rfc4317/5.2-01-offer", "rfc4317/5.2-02-answer", Some(("iLBC", 49170, SendRecv))),
        ("rfc3264/10.1-01-offer", "rfc3264/10.1-02-answer", Some(("PCMU", 49920, SendRecv))),
        ("rfc3264/10.2-01-sdp", "rfc3264/10.2-02-answer", Some(("PCMU", 54344, Inactive))),
        ("rfc3264/10.2-03-offer", "rfc3264/10.2-04-sdp", Some(("G723", 54344, SendRecv))),
    ];
    for (offered, answered, expected) in table {
        let read =
            |name: &str| Session::parse(&fs::read(data().join(format!("{name}.sdp"))).unwrap()).unwrap();
        let (offered, answered) = (read(offered), read(answered));
        let done = accept_answer(&offered, &answered, &own).unwrap();
        let audio = done.audio.as_ref().map(|audio| {
            let port = audio.remote_rtp.as_ref().map_or(0, |rtp| rtp.port);
            (audio.send_codec.name.as_ref(), port, audio.direction)
        });
        assert_eq!(audio, expected, "{offered}\n{answered}");

        let ours = answer(&offered, &own, &mut origin(), None).unwrap();
        assert_eq!(ours.local.media.len(), offered.media.len());
        assert_eq!(ours.audio.is_some(), expected.is_some());
        assert!(accept_answer(&offered, &ours.local, &own).is_ok());
    }
}

// ---- what the tests stand on

fn caps() -> Capabilities {
    Capabilities {
        codecs: vec![Codec::OPUS.with_fmtp("useinbandfec=1"), Codec::PCMU, Codec::PCMA],
        own_order: false,
        telephone_event: true,
        ptime: 20,
        address: address(),
        rtp_port: 4000,
        rtcp_port: 4001,
        rtcp_mux: false,
        direction: Direction::SendRecv,
    }
}

fn address() -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 1).into()
}

fn origin() -> LocalOrigin {
    LocalOrigin::new(1_000, address())
}

fn remote(media: &str) -> Session {
    let text = format!("v=0\no=- 1 1 IN IP4 192.0.2.2\ns=-\nc=IN IP4 192.0.2.2\nt=0 0\n{media}");
    Session::parse(text.as_bytes()).unwrap()
}

fn numbers(codecs: &[Codec]) -> Vec<u8> {
    codecs.iter().map(|codec| codec.payload_type).collect()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdp")
}

fn corpus() -> Vec<(String, String, Vec<u8>)> {
    let index = fs::read_to_string(data().join("INDEX.tsv")).unwrap();
    let rows = index.lines().skip(1).map(|row| {
        let mut columns = row.split('\t');
        let (name, verdict) = (columns.next().unwrap(), columns.nth(1).unwrap());
        (name.to_owned(), verdict.to_owned(), fs::read(data().join(name)).unwrap())
    });
    rows.collect()
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below.max(1)
    }

    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.next(4) {
            let (at, to) = (self.next(out.len()), self.next(out.len()));
            match self.next(6) {
                _ if out.is_empty() => {}
                0 => out[at] = self.next(256) as u8,
                1 => out[at] = b" \r\n\0=:/09$"[self.next(10)],
                2 => drop(out.drain(at.min(to)..at.max(to))),
                3 => out.extend_from_within(at.min(to)..at.max(to)),
                4 => out.swap(at, to),
                _ => out.truncate(at),
            }
        }
        out
    }
}
