//! Whole calls over connections: in segments of every size, and with the connection lost at every point.

use sipkit::{sim::StreamConfig, time::Duration};

use super::{Habit, Pair, Party, Phase, at, lossy, over, pair, up, wire};

/// Dials over TCP, talks for a second, hangs up.
fn whole(pair: &mut Pair) {
    pair.0.with(pair.1, Party::dial_over_tcp);
    assert!(up(pair), "{}", pair.0.ladder());
    pair.0.run_for(Duration::from_secs(1));
    pair.0.with(pair.1, Party::hang_up);
    assert!(over(pair), "{}", pair.0.ladder());
    pair.0.run_for(Duration::from_secs(40));
    assert!(pair.0.is_quiet(), "{}", pair.0.ladder());
}

fn logs(pair: &Pair) -> [Vec<String>; 2] {
    [pair.1, pair.2].map(|node| pair.0.user(node).log.clone())
}

#[test]
fn a_call_over_a_connection() {
    let mut pair = pair(1, &wire(), Habit::Answer);
    whole(&mut pair);
    let expected = "
        0.020  alice → bob  INVITE  cseq=1 offer
        0.030  bob → alice  180     tag=a
        1.032  bob → alice  200     tag=a answer
        1.042  alice → bob  ACK     cseq=1
        2.052  alice → bob  BYE     cseq=2
        2.062  bob → alice  200     BYE tag=a
    ";
    assert_eq!(pair.0.ladder().compare(expected), Ok(()));
    assert_eq!(pair.0.connections(), 1, "both ways by the same connection");
}

#[test]
fn the_same_call_whatever_the_segments() {
    let mut plain = pair(1, &wire(), Habit::Answer);
    whole(&mut plain);
    let expected = plain.0.ladder().to_string();
    // An INVITE with an offer has some 600 octets.
    for piece in 1..=700 {
        let mut pair = pair(1, &wire(), Habit::Answer);
        pair.0.streams(StreamConfig { piece, ..StreamConfig::default() });
        whole(&mut pair);
        assert_eq!(
            (pair.0.ladder().compare(&expected), logs(&pair)),
            (Ok(()), logs(&plain)),
            "{piece} octets"
        );
    }
}

/// Messages of a moment in one segment, and segments that are lost, come late and cut messages anywhere.
#[test]
fn coalesced_and_late_segments() {
    for (seed, piece) in (1..=100).zip([1, 7, 100, 333, 1_460].into_iter().cycle()) {
        let mut one = pair(seed, &lossy(), Habit::Answer);
        one.0.streams(StreamConfig {
            piece,
            gap: Duration::from_micros(100),
            hold: Duration::from_millis(40),
        });
        whole(&mut one);
        let [alice, bob] = logs(&one);
        assert_eq!(alice, ["answered true", "ended Local bye"], "seed {seed}");
        assert_eq!(bob, ["incoming", "acknowledged", "ended Remote bye"], "seed {seed}");
    }
}

#[test]
fn many_messages_in_one_segment() {
    let mut pair = pair(1, &wire(), Habit::Busy);
    pair.0.streams(StreamConfig { hold: Duration::from_millis(100), ..StreamConfig::default() });
    for _ in 0..20 {
        pair.0.with(pair.1, Party::dial_over_tcp);
    }
    pair.0.run_for(Duration::from_secs(60));
    let [alice, _] = logs(&pair);
    assert_eq!(alice, vec!["ended Remote 486"; 20], "{}", pair.0.ladder());
    assert!(pair.0.is_quiet());
    assert_eq!(pair.0.connections(), 1);
}

/// Whatever is lost, both sides end, once, and nothing is left.
fn is_legal(pair: &mut Pair, what: &str) {
    pair.0.run_for(Duration::from_secs(3));
    if pair.0.user(pair.1).phase() == Some(Phase::Confirmed) {
        pair.0.with(pair.1, Party::hang_up);
    }
    pair.0.run_for(Duration::from_secs(200));
    let ladder = pair.0.ladder();
    for log in logs(pair) {
        let ends = log.iter().filter(|line| line.starts_with("ended")).count();
        let is_untouched = log.is_empty();
        assert!(ends == 1 || is_untouched, "{what}: {log:?}\n{ladder}");
        assert!(
            is_untouched || log.last().is_some_and(|last| last.starts_with("ended")),
            "{what}: {log:?}\n{ladder}"
        );
    }
    for node in [pair.1, pair.2] {
        assert_eq!(pair.0.user(node).phase(), None, "{what}\n{ladder}");
        let stack = pair.0.stack(node);
        assert_eq!((stack.transactions(), stack.pending()), (0, 0), "{what}\n{ladder}");
    }
}

#[test]
fn the_connection_is_cut_after_each_message() {
    for cut in 1..=6 {
        // Before it arrives, and right after it did.
        for after in [0, 10] {
            let mut pair = pair(1, &wire(), Habit::Answer);
            let (alice, bob) = (pair.1, pair.2);
            pair.0.with(alice, Party::dial_over_tcp);
            if cut > 4 {
                assert!(up(&mut pair));
                pair.0.with(alice, Party::hang_up);
            }
            assert!(pair.0.run_until(|world| world.ladder().len() == cut), "message {cut}");
            pair.0.run_for(Duration::from_millis(after));
            pair.0.cut(alice, bob);
            is_legal(&mut pair, &format!("{after} ms after message {cut}"));
        }
    }
}

/// With a segment each half millisecond, every moment is in the middle of some message or between two.
#[test]
fn the_connection_is_cut_at_every_moment() {
    for (from, to) in [(0, 120), (1_000, 1_100), (2_000, 2_120)] {
        for moment in from..to {
            let mut pair = pair(1, &wire(), Habit::Answer);
            let (alice, bob) = (pair.1, pair.2);
            pair.0.streams(StreamConfig { piece: 16, gap: Duration::from_micros(500), hold: Duration::ZERO });
            pair.0.with(alice, Party::dial_over_tcp);
            pair.0.run_for(Duration::from_millis(moment.min(2_000)));
            if moment >= 2_000 {
                pair.0.with(alice, Party::hang_up);
                pair.0.run_for(Duration::from_millis(moment - 2_000));
            }
            pair.0.cut(alice, bob);
            is_legal(&mut pair, &format!("cut at {moment} ms"));
        }
    }
}

/// Cut while nothing is under way, the call goes on over a new connection.
#[test]
fn an_established_call_survives_the_loss_of_its_connection() {
    for caller_hangs_up in [true, false] {
        let mut pair = pair(1, &wire(), Habit::Answer);
        let (alice, bob) = (pair.1, pair.2);
        pair.0.with(alice, Party::dial_over_tcp);
        assert!(up(&mut pair));
        pair.0.cut(alice, bob);
        pair.0.run_for(Duration::from_secs(5));
        assert!(up(&mut pair), "it is still there");
        pair.0.with(if caller_hangs_up { alice } else { bob }, Party::hang_up);
        assert!(over(&mut pair), "{}", pair.0.ladder());
        let [alice, bob] = logs(&pair);
        let (local, remote) = ("ended Local bye", "ended Remote bye");
        let expected = if caller_hangs_up { (local, remote) } else { (remote, local) };
        assert_eq!((alice.last().unwrap().as_str(), bob.last().unwrap().as_str()), expected);
    }
}

#[test]
fn nobody_takes_connections() {
    let mut pair = pair(1, &wire(), Habit::Answer);
    pair.0.refuse_streams(at("192.0.2.2:5060"));
    pair.0.with(pair.1, Party::dial_over_tcp);
    pair.0.run_for(Duration::from_millis(20));
    assert_eq!(logs(&pair)[0], ["ended Network 192.0.2.2:5060 over TCP: connection refused"]);
}

#[test]
fn a_peer_that_vanishes_is_waited_for_as_long_as_a_transaction() {
    let mut pair = pair(1, &wire(), Habit::Answer);
    pair.0.with(pair.1, Party::dial_over_tcp);
    assert!(up(&mut pair));
    pair.0.unplug(pair.2);
    pair.0.with(pair.1, Party::hang_up);
    pair.0.run_for(Duration::from_secs(31));
    assert!(pair.0.user(pair.1).phase().is_some());
    pair.0.run_for(Duration::from_secs(2));
    assert_eq!(logs(&pair)[0].last().unwrap(), "ended Local bye");
}
