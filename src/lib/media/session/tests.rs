//! Two sessions on a virtual line, and what strangers and odd peers do to one.

use super::*;
#[cfg(feature = "opus")]
use crate::media::codec::Tuning;
use crate::media::testing::{corpus, mutate, purity, tone};

const ALICE: &str = "192.0.2.1:4000";
const BOB: &str = "192.0.2.2:5000";
const MALLORY: &str = "203.0.113.66:6000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn is_send<T: Send>() {}
const _: () = is_send::<Session>();

/// A session that talks to `peer`.
fn config(ssrc: u32, peer: &str) -> Config {
    Config {
        local_ssrc: ssrc,
        cname: format!("{ssrc}@test"),
        seed: ssrc.into(),
        ntp_epoch: 0xe000_0000_0000_0000 + (u64::from(ssrc) << 32),
        receive: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        telephone_event: TelephoneEvent { send: Some((101, 8000)), receive: vec![(101, 8000)] },
        remote_rtp: Some(addr(peer)),
        ..Config::default()
    }
}

fn session(ssrc: u32, peer: &str) -> Session {
    Session::new(Instant::ZERO, config(ssrc, peer)).unwrap()
}

fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// A PCMU packet.
fn rtp(ssrc: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
    let mut bytes = vec![];
    let timestamp = u32::from(sequence) * 160;
    rtp::Packet { payload_type, marker: false, sequence, timestamp, ssrc, payload: &[0x55; 160] }
        .write(&mut bytes);
    bytes
}

/// What a session sends in one packet time.
fn sent(session: &mut Session, now: Instant) -> Vec<(Destination, SocketAddr, Vec<u8>)> {
    let (mut out, frame) = (Outgoing::new(), vec![1000; session.frame_len()]);
    session.frame(now, &frame, &mut out);
    session.advance(now, &mut out);
    out.iter().map(|(destination, to, bytes)| (destination, to, bytes.to_vec())).collect()
}

fn is_rtp(packet: &(Destination, SocketAddr, Vec<u8>)) -> bool {
    packet.0 == Destination::Rtp
}

/// Two sessions, 30 ms apart, for `millis`; returns what each heard.
fn call(sessions: [&mut Session; 2], millis: u64, from: u64) -> [Vec<i16>; 2] {
    let [alice, bob] = sessions;
    let delay = Duration::from_millis(30);
    let mut wire: VecDeque<(Instant, bool, Vec<u8>)> = VecDeque::new();
    let mut heard = [vec![], vec![]];
    let tones = [440.0, 1000.0].map(|hz| tone(8000, hz, 8000.0, 8 * millis as usize));
    let mut out = Outgoing::new();
    for beat in 0..millis / 10 {
        let now = ms(from + beat * 10);
        for (is_bob, session) in [(false, &mut *alice), (true, &mut *bob)] {
            out.clear();
            if beat % 2 == 0 {
                let at = beat as usize * 80;
                let sound = tones[usize::from(is_bob)].get(at..at + 160).unwrap_or(&[0; 160]);
                session.frame(now, sound, &mut out);
            }
            session.advance(now, &mut out);
            for (destination, to, bytes) in out.iter() {
                let want = if is_bob { ALICE } else { BOB };
                let rtcp = u16::from(destination == Destination::Rtcp);
                assert_eq!(to, SocketAddr::new(addr(want).ip(), addr(want).port() + rtcp));
                assert_eq!(rtp::is_rtcp(bytes), rtcp == 1);
                wire.push_back((now + delay, !is_bob, bytes.to_vec()));
            }
        }
        while wire.front().is_some_and(|&(at, ..)| at <= now) {
            let (_, to_bob, bytes) = wire.pop_front().unwrap();
            let (session, from) = if to_bob { (&mut *bob, ALICE) } else { (&mut *alice, BOB) };
            session.receive(now, addr(from), &bytes);
        }
        for (heard, session) in heard.iter_mut().zip([&mut *alice, &mut *bob]) {
            let mut out = [0; 80];
            session.playout(now, &mut out);
            heard.extend(out);
        }
    }
    heard
}

#[test]
fn a_call_both_ways() {
    let (mut alice, mut bob) = (session(1, BOB), session(2, ALICE));
    alice.dtmf(&dtmf::parse("w12").unwrap()).unwrap();
    let [by_alice, by_bob] = call([&mut alice, &mut bob], 20_000, 0);
    assert!(purity(&by_alice[8000..80_000], 8000, 1000.0) > 0.95);
    assert!(purity(&by_bob[40_000..120_000], 8000, 440.0) > 0.95);

    let from = addr(ALICE);
    assert_eq!(
        events(&mut bob),
        [
            Event::FirstRtp { from },
            Event::CodecChanged { payload_type: 0, codec: Codec::Pcmu },
            Event::Dtmf { digit: '1', duration_ms: 100 },
            Event::Dtmf { digit: '2', duration_ms: 100 },
        ]
    );
    for session in [&alice, &bob] {
        let stats = session.stats();
        assert_eq!(stats.sent.packets, 1000);
        assert!(stats.received.packets >= 998);
        assert_eq!(
            (stats.received.lost, stats.received.duplicates, stats.received.reordered),
            (Some(0), Some(0), Some(0))
        );
        assert_eq!((stats.strangers, stats.malformed, stats.unnegotiated), (0, 0, 0));
        assert_eq!(stats.sent.lost, Some(0));
        let round_trip = stats.round_trip.unwrap().as_millis();
        assert!((59..=61).contains(&round_trip), "{round_trip}");
        assert!(stats.received.jitter_ms.unwrap() < 0.1, "{:?}", stats.received.jitter_ms);
        // A sine of 8000 has −15.2 dBFS.
        for level in [stats.sent.level_dbfs, stats.received.level_dbfs] {
            assert!((level.unwrap() + 15.2).abs() < 0.5, "{level:?}");
        }
    }
}

#[test]
fn nothing_measured_is_nothing_said() {
    let stats = session(1, BOB).stats();
    assert_eq!(stats, Stats::default());
    assert_eq!(stats.round_trip, None);
    assert_eq!(stats.received.lost, None);
    assert_eq!(stats.sent.level_dbfs, None);
}

#[test]
fn markers_and_timestamps() {
    let mut alice = session(1, BOB);
    let mut packets = vec![];
    alice.dtmf(&dtmf::parse("5").unwrap()).unwrap();
    for frame in 0..20 {
        packets.extend(sent(&mut alice, ms(frame * 20)).into_iter().filter(is_rtp));
    }
    // A pause of a second in the beat itself.
    packets.extend(sent(&mut alice, ms(19 * 20 + 1020)));
    let packets: Vec<_> = packets.iter().map(|(_, _, bytes)| rtp::Packet::parse(bytes).unwrap()).collect();
    let start = packets[0].timestamp;
    let since = |at: usize| packets[at].timestamp.wrapping_sub(start);
    assert!(packets[..7].iter().all(|packet| packet.payload_type == 101 && packet.timestamp == start));
    assert_eq!(packets.iter().map(|packet| packet.marker).collect::<Vec<_>>(), {
        let mut marks = vec![false; 21];
        (marks[0], marks[7], marks[20]) = (true, true, true);
        marks
    });
    assert_eq!(since(7), 7 * 160);
    assert_eq!(since(19), 19 * 160);
    assert_eq!(since(20), 19 * 160 + 8160, "1020 ms later");
    for (at, packet) in packets.iter().enumerate() {
        assert_eq!(packet.sequence, packets[0].sequence.wrapping_add(at as u16));
        assert_eq!(packet.ssrc, 1);
    }
}

#[test]
fn a_held_stream_sends_only_rtcp() {
    let mut alice = session(1, BOB);
    assert_eq!(sent(&mut alice, ms(0)).len(), 1);
    for (exchange, direction) in [(1, Direction::RecvOnly), (2, Direction::Inactive)] {
        alice.reconfigure(ms(20), Config { direction, exchange, ..config(1, BOB) }).unwrap();
        let from = exchange * 10_000;
        let packets: Vec<_> = (0..500).flat_map(|frame| sent(&mut alice, ms(from + frame * 20))).collect();
        assert!(!packets.is_empty());
        assert!(
            packets
                .iter()
                .all(|(destination, _, bytes)| { *destination == Destination::Rtcp && rtp::is_rtcp(bytes) })
        );
        assert_eq!(alice.dtmf(&dtmf::parse("1").unwrap()), Err(DtmfError::Held));
    }
    alice.reconfigure(ms(30_000), Config { exchange: 3, ..config(1, BOB) }).unwrap();
    let packets = sent(&mut alice, ms(30_000));
    let packet = packets.iter().find(|packet| is_rtp(packet)).unwrap();
    assert!(rtp::Packet::parse(&packet.2).unwrap().marker, "a new talkspurt");
}

#[test]
fn what_a_held_peer_sends_is_counted_and_not_heard() {
    let direction = Direction::SendOnly;
    let mut alice = Session::new(ms(0), Config { direction, ..config(1, BOB) }).unwrap();
    let mut heard = vec![0; 80];
    for sequence in 0..50 {
        alice.receive(ms(u64::from(sequence) * 20), addr(BOB), &rtp(2, sequence, 0));
        alice.playout(ms(u64::from(sequence) * 20), &mut heard);
        assert!(heard.iter().all(|&sample| sample == 0));
    }
    assert_eq!(alice.stats().received.packets, 50);
}

#[test]
fn what_was_buffered_before_the_hold_is_not_heard_after_it() {
    let mut alice = session(1, BOB);
    for sequence in 0..10 {
        alice.receive(ms(u64::from(sequence) * 20), addr(BOB), &rtp(2, sequence, 0));
    }
    let direction = Direction::Inactive;
    alice.reconfigure(ms(200), Config { direction, exchange: 1, ..config(1, BOB) }).unwrap();
    alice.reconfigure(ms(400), Config { exchange: 2, ..config(1, BOB) }).unwrap();
    for beat in 0..20 {
        let mut heard = [1; 80];
        alice.playout(ms(400 + beat * 10), &mut heard);
        assert_eq!(heard, [0; 80]);
    }
}

#[test]
fn addresses_that_mean_nowhere() {
    for peer in ["0.0.0.0:5000", "192.0.2.2:0", "[::]:5000"] {
        let mut alice = session(1, peer);
        assert!((0..500).all(|frame| sent(&mut alice, ms(frame * 20)).is_empty()), "{peer}");
    }
    let mut alice = Session::new(ms(0), Config { remote_rtp: None, ..config(1, BOB) }).unwrap();
    assert!((0..500).all(|frame| sent(&mut alice, ms(frame * 20)).is_empty()));
    let mut out = Outgoing::new();
    alice.bye(ms(10_000), &mut out);
    assert!(out.is_empty(), "who never spoke says no goodbye");
}

#[test]
fn muted_is_silence_not_absence() {
    let mut alice = session(1, BOB);
    alice.mute(true);
    let packets = sent(&mut alice, ms(0));
    let packet = rtp::Packet::parse(&packets[0].2).unwrap();
    assert_eq!(packet.payload, [0xff; 160]);
    assert!(alice.is_muted());
}

#[test]
fn attackers_first_and_in_mid_call() {
    let nat = "198.51.100.7:31000";
    let mut alice =
        Session::new(ms(0), Config { nat: Some(addr(nat).ip()), ..config(1, "10.0.0.2:5000") }).unwrap();
    for sequence in 0..10 {
        alice.receive(ms(0), addr(MALLORY), &rtp(666, sequence, 0));
    }
    assert_eq!(events(&mut alice), []);
    assert_eq!(alice.send_to(), Some(addr("10.0.0.2:5000")));
    alice.receive(ms(10), addr(nat), &rtp(2, 0, 0));
    assert_eq!(events(&mut alice), [Event::Latched { to: addr(nat) }, Event::FirstRtp { from: addr(nat) }]);
    for sequence in 0..10 {
        alice.receive(ms(20), addr(MALLORY), &rtp(666, sequence, 0));
        alice.receive(ms(20), addr("198.51.100.7:31001"), &rtp(666, sequence, 0));
        alice.receive(ms(20), addr(MALLORY), &[0x81, 203, 0, 1, 0, 0, 0, 2]);
        alice.receive(ms(20), addr(MALLORY), b"garbage");
    }
    assert_eq!(events(&mut alice), []);
    assert_eq!(alice.send_to(), Some(addr(nat)));
    assert_eq!(alice.stats().strangers, 50);
    assert_eq!(alice.stats().received.packets, 1);
    // RTCP follows once the peer's was seen.
    let reported = |alice: &mut Session, from: u64| {
        (0..500)
            .flat_map(|frame| sent(alice, ms(from + frame * 20)))
            .find(|packet| !is_rtp(packet))
            .map(|packet| packet.1)
    };
    assert_eq!(reported(&mut alice, 100), None);
    alice.receive(ms(11_000), addr("198.51.100.7:31009"), &[0x80, 201, 0, 1, 0, 0, 0, 2]);
    assert_eq!(reported(&mut alice, 11_000), Some(addr("198.51.100.7:31009")));
    // A re-INVITE resets.
    alice.reconfigure(ms(30_000), Config { exchange: 1, ..config(1, BOB) }).unwrap();
    assert_eq!(alice.send_to(), Some(addr(BOB)));
    alice.receive(ms(30_000), addr(nat), &rtp(2, 1, 0));
    assert_eq!(alice.send_to(), Some(addr(BOB)));
    assert_eq!(alice.stats().strangers, 51);
}

#[test]
fn the_same_exchange_keeps_the_latch() {
    let mut alice = session(1, BOB);
    alice.receive(ms(0), addr("192.0.2.2:5999"), &rtp(2, 0, 0));
    assert_eq!(alice.send_to(), Some(addr("192.0.2.2:5999")));
    let change =
        alice.reconfigure(ms(0), Config { ptime: Duration::from_millis(40), ..config(1, BOB) }).unwrap();
    assert_eq!(change, Change { rate: false, frame: true });
    assert_eq!(alice.frame_len(), 320);
    assert_eq!(alice.send_to(), Some(addr("192.0.2.2:5999")));
}

#[test]
fn rtcp_goes_where_it_should() {
    let to = |config: Config| {
        let mut alice = Session::new(ms(0), config).unwrap();
        let packets: Vec<_> = (0..500).flat_map(|frame| sent(&mut alice, ms(frame * 20))).collect();
        packets
            .into_iter()
            .find(|(_, _, bytes)| rtp::is_rtcp(bytes))
            .map(|(destination, to, _)| (destination, to))
    };
    let plain = config(1, BOB);
    assert_eq!(to(plain.clone()), Some((Destination::Rtcp, addr("192.0.2.2:5001"))));
    let mux = Config { rtcp_mux: true, ..plain.clone() };
    assert_eq!(to(mux), Some((Destination::Rtp, addr(BOB))));
    let own = Config { remote_rtcp: Some(addr("192.0.2.9:7")), ..plain };
    assert_eq!(to(own), Some((Destination::Rtcp, addr("192.0.2.9:7"))));
    assert_eq!(to(config(1, "192.0.2.2:65535")), None);
}

#[test]
fn a_call_ends_with_bye() {
    let mut alice = session(1, BOB);
    sent(&mut alice, ms(0));
    let mut out = Outgoing::new();
    alice.bye(ms(20), &mut out);
    let mut said = vec![];
    for (_, _, bytes) in out.iter() {
        rtcp::read(bytes, |word| said.push(word)).unwrap();
    }
    assert!(matches!(said[0], Said::Sender { ssrc: 1, packets: 1, octets: 160, .. }));
    assert_eq!(said.last(), Some(&Said::Bye { ssrc: 1 }));
}

#[test]
fn another_ssrc_is_another_stream() {
    let mut alice = session(1, BOB);
    let mut now = 0;
    let mut receive = |alice: &mut Session, ssrc, sequence| {
        now += 20;
        alice.receive(ms(now), addr(BOB), &rtp(ssrc, sequence, 0));
    };
    receive(&mut alice, 2, 100);
    receive(&mut alice, 2, 102);
    events(&mut alice);
    // One stray packet of another stream changes nothing.
    receive(&mut alice, 3, 500);
    receive(&mut alice, 2, 103);
    receive(&mut alice, 3, 501);
    receive(&mut alice, 2, 104);
    assert_eq!(events(&mut alice), []);
    // Two in sequence do.
    receive(&mut alice, 3, 600);
    receive(&mut alice, 3, 601);
    receive(&mut alice, 3, 602);
    assert_eq!(events(&mut alice), [Event::RemoteSsrcChanged { from: 2, to: 3 }]);
    let received = alice.stats().received;
    assert_eq!((received.lost, received.packets), (Some(1), 6), "the first stream's loss is kept");
    // After a silence one is enough.
    alice.receive(ms(5000), addr(BOB), &rtp(4, 9, 0));
    assert_eq!(events(&mut alice), [Event::RemoteSsrcChanged { from: 3, to: 4 }]);
}

#[test]
fn our_own_sound_in_a_loop_gives_way_to_anybody_else() {
    let mut alice = session(1, BOB);
    // Alone it is heard: an echo service may send back the very packets it got.
    for sequence in 0..5 {
        alice.receive(ms(u64::from(sequence) * 20), addr(BOB), &rtp(1, sequence, 0));
    }
    assert_eq!(alice.stats().received.packets, 5);
    events(&mut alice);
    // Between them the peer speaks: its first packet is heard at once, and ours no more.
    for sequence in 5..50 {
        alice.receive(ms(u64::from(sequence) * 20), addr(BOB), &rtp(2, sequence, 0));
        alice.receive(ms(u64::from(sequence) * 20 + 5), addr(BOB), &rtp(1, sequence, 0));
    }
    assert_eq!(events(&mut alice), [Event::RemoteSsrcChanged { from: 1, to: 2 }]);
    assert_eq!(alice.stats().received.packets, 50);
    assert_eq!(alice.stats().received.lost, Some(0));
    // Once the peer has gone quiet, the loop is all there is to hear.
    alice.receive(ms(1500), addr(BOB), &rtp(1, 75, 0));
    assert_eq!(events(&mut alice), [Event::RemoteSsrcChanged { from: 2, to: 1 }]);
}

#[test]
fn keys_under_another_ssrc_are_heard_and_not_followed() {
    let mut alice = session(1, BOB);
    alice.receive(ms(0), addr(BOB), &rtp(2, 1, 0));
    events(&mut alice);
    let mut bytes = vec![];
    let payload = &[7, 0x8a, 3, 0x20];
    rtp::Packet { payload_type: 101, marker: true, sequence: 9, timestamp: 5, ssrc: 77, payload }
        .write(&mut bytes);
    for _ in 0..3 {
        alice.receive(ms(10), addr(BOB), &bytes);
    }
    assert_eq!(events(&mut alice), [Event::Dtmf { digit: '7', duration_ms: 100 }]);
}

#[test]
fn unnegotiated_payload_types_are_counted_and_not_lost() {
    let mut alice = session(1, BOB);
    for sequence in 0..10 {
        alice.receive(
            ms(u64::from(sequence) * 20),
            addr(BOB),
            &rtp(2, sequence, if sequence == 5 { 13 } else { 0 }),
        );
    }
    let stats = alice.stats();
    assert_eq!((stats.unnegotiated, stats.received.packets, stats.received.lost), (1, 9, Some(0)));
}

#[test]
fn whatever_comes_the_call_goes_on() {
    let (mut alice, mut bob) = (session(1, BOB), session(2, ALICE));
    call([&mut alice, &mut bob], 2000, 0);
    let before = events(&mut alice).len();
    assert_eq!(before, 2);
    let (mut cases, mut turn) = (corpus("rtp.json"), 0);
    cases.extend(corpus("rtcp.json"));
    mutate(&cases, 20_000, |bytes| {
        turn += 1;
        let from = if turn % 2 == 0 { BOB } else { MALLORY };
        alice.receive(ms(2000 + turn / 20), addr(from), bytes);
        if turn % 200 == 0 {
            alice.playout(ms(2000 + turn / 20), &mut [0; 80]);
        }
    });
    assert!(alice.events.len() <= MAX_EVENTS);
    assert!(alice.stats().strangers >= 9_000);
    let [heard, _] = call([&mut alice, &mut bob], 4000, 4000);
    assert!(purity(&heard[16_000..], 8000, 1000.0) > 0.9, "{}", purity(&heard[16_000..], 8000, 1000.0));
}

#[test]
fn a_bad_configuration_is_refused_and_changes_nothing() {
    let bad = Config { receive: vec![(72, Codec::Pcmu)], ..config(1, BOB) };
    assert_eq!(Session::new(ms(0), bad.clone()).err(), Some(SessionError::PayloadType(72)));
    let mut alice = session(1, BOB);
    assert_eq!(alice.reconfigure(ms(0), bad).err(), Some(SessionError::PayloadType(72)));
    assert_eq!(alice.config(), &config(1, BOB));
    assert_eq!(
        Session::new(ms(0), Config { telephone_event: TelephoneEvent::default(), ..config(1, BOB) })
            .unwrap()
            .dtmf(&dtmf::parse("1").unwrap()),
        Err(DtmfError::NotNegotiated)
    );
}

#[test]
fn sending_does_not_allocate_once_warm() {
    let (mut alice, mut out) = (session(1, BOB), Outgoing::new());
    let frame = vec![100; 160];
    alice.frame(ms(0), &frame, &mut out);
    let room = (out.bytes.capacity(), out.packets.capacity(), out.bytes.as_ptr());
    for beat in 1..100 {
        out.clear();
        alice.frame(ms(beat * 20), &frame, &mut out);
    }
    assert_eq!((out.bytes.capacity(), out.packets.capacity(), out.bytes.as_ptr()), room);
}

#[cfg(feature = "opus")]
#[test]
fn opus_and_pcmu_in_one_session() {
    let opus = |ssrc, peer| Config {
        send: Some(Format { payload_type: 96, codec: Codec::Opus, tuning: Tuning::default() }),
        receive: vec![(96, Codec::Opus), (0, Codec::Pcmu)],
        telephone_event: TelephoneEvent { send: Some((97, 48_000)), receive: vec![(97, 48_000)] },
        ..config(ssrc, peer)
    };
    let mut alice = session(1, BOB);
    let change = alice.reconfigure(ms(0), opus(1, BOB)).unwrap();
    assert_eq!(change, Change { rate: true, frame: true });
    assert_eq!((alice.rate(), alice.frame_len()), (48_000, 960));
    // Bob sends Opus for two seconds and PCMU after that; Alice hears both at 48000 Hz.
    let mut bob = Session::new(ms(0), opus(2, ALICE)).unwrap();
    let sound = tone(48_000, 440.0, 8000.0, 96_000);
    let narrow = tone(8000, 440.0, 8000.0, 16_000);
    let (mut heard, mut out) = (vec![], Outgoing::new());
    bob.dtmf(&dtmf::parse("9").unwrap()).unwrap();
    for packet in 0..200u64 {
        if packet == 100 {
            bob.reconfigure(ms(packet * 20), config(2, ALICE)).unwrap();
        }
        out.clear();
        let at = (packet % 100) as usize;
        let block = if packet < 100 { &sound[at * 960..][..960] } else { &narrow[at * 160..][..160] };
        bob.frame(ms(packet * 20), block, &mut out);
        for (_, _, bytes) in out.iter() {
            alice.receive(ms(packet * 20), addr(BOB), bytes);
        }
        for beat in 0..2 {
            let mut pcm = [0; 480];
            alice.playout(ms(packet * 20 + beat * 10), &mut pcm);
            heard.extend(pcm);
        }
    }
    assert!(purity(&heard[48_000..90_000], 48_000, 440.0) > 0.95);
    assert!(purity(&heard[120_000..], 48_000, 440.0) > 0.95);
    let events = events(&mut alice);
    assert!(events.contains(&Event::CodecChanged { payload_type: 96, codec: Codec::Opus }));
    assert!(events.contains(&Event::CodecChanged { payload_type: 0, codec: Codec::Pcmu }));
    assert!(events.contains(&Event::Dtmf { digit: '9', duration_ms: 100 }));
}
