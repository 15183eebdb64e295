//! Peers that break the rules of a call, on a virtual clock: no ACK, two offers at once, requests out of turn.

use std::net::SocketAddr;

use sipkit::{
    auth,
    message::{AddressBuf, UriBuf},
    stack::{Config, Failure, NextHop, Output, Stack},
    time::{Duration, Instant},
    transport::{Flow, FlowError, Incoming, Protocol},
    ua::{
        self, CallId, Event, UserAgent,
        call::{Body, By, CallEvent, Cause, Invite},
    },
};

use crate::support::message::{Draft, PCMU, Text, sdp};

/// A user agent whose network is this test.
struct Bench {
    stack: Stack,
    ua: UserAgent,
    now: Instant,
    /// What it sent, and when.
    sent: Vec<(Duration, Text)>,
    events: Vec<(Duration, CallId, CallEvent)>,
}

impl Bench {
    fn new() -> Self {
        Self {
            stack: Stack::new(Config::default()),
            ua: UserAgent::new(ua::Config::default()),
            now: Instant::ZERO,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    fn flow() -> Flow {
        let (local, remote) = (us(), peer());
        Flow { shard: 0, slot: 0, generation: 0, protocol: Protocol::Udp, local, remote }
    }

    fn feed(&mut self, text: impl Into<String>) {
        let incoming = Incoming { bytes: text.into().into(), flow: Self::flow() };
        self.stack.receive(self.now, incoming, &mut self.ua);
        self.settle();
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut UserAgent, &mut sipkit::stack::Cx<'_>) -> R) -> R {
        let result = self.stack.with(self.now, &mut self.ua, act);
        self.settle();
        result
    }

    fn settle(&mut self) {
        let time = self.now.since(Instant::ZERO);
        while let Some(output) = self.stack.output() {
            match output {
                Output::Transmit { bytes, .. } => self.sent.push((time, Text::of(&bytes))),
                Output::Connect { id, .. } => {
                    self.stack.connected(self.now, id, Ok(Self::flow()), &mut self.ua);
                }
                Output::Close { .. } | Output::Alias { .. } => panic!("there are no connections"),
                Output::Resolve { .. } => panic!("every host here is an address"),
                Output::HandOver { .. } => panic!("there are no other shards"),
            }
        }
        while let Some(event) = self.ua.event() {
            if let Event::Call(id, event) = event {
                self.events.push((time, id, event));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.stack.next_deadline().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.stack.advance(self.now, &mut self.ua);
            self.settle();
        }
        self.now = until;
    }

    /// When messages that begin like this were sent, in milliseconds.
    fn times(&self, start: &str) -> Vec<u128> {
        let those = self.sent.iter().filter(|(_, text)| text.0.starts_with(start));
        those.map(|(time, _)| time.as_millis()).collect()
    }

    fn last(&self, start: &str) -> &Text {
        let found = self.sent.iter().rev().find(|(_, text)| text.0.starts_with(start));
        &found.unwrap_or_else(|| panic!("no {start} was sent")).1
    }

    /// A call of ours, on its way.
    fn calling() -> (Self, CallId, Text) {
        let mut bench = Self::new();
        let invite = Invite {
            target: UriBuf::parse(&format!("sip:peer@{}", peer())).unwrap(),
            from: AddressBuf::parse("sip:us@192.0.2.1").unwrap(),
            next: NextHop::RequestUri,
            offer: session(),
            auth: auth::Client::new(Vec::new()),
            registration: None,
            headers: Vec::new(),
        };
        let id = bench.act(|ua, cx| ua.invite(invite, cx));
        let invite = bench.last("INVITE ").clone();
        (bench, id, invite)
    }

    /// A call of ours that the peer answered.
    fn answered() -> (Self, CallId, Text) {
        let (mut bench, id, invite) = Self::calling();
        let kind = "Content-Type: application/sdp\r\n";
        bench.feed(invite.response(200, "peer", peer(), kind, &sdp(peer(), PCMU)));
        assert!(matches!(bench.events.last(), Some((_, _, CallEvent::Answered { .. }))));
        assert_eq!(bench.times("ACK "), [0]);
        (bench, id, invite)
    }

    /// A call of the peer's that we answered; its ACK is still to come.
    fn unacknowledged() -> (Self, CallId, Draft) {
        let mut bench = Self::new();
        let invite = Draft::invite(format!("sip:us@{}", us()), peer());
        bench.feed(invite.text());
        let id = match bench.events.last() {
            Some((_, id, CallEvent::Incoming { .. })) => *id,
            other => panic!("{other:?}"),
        };
        bench.act(|ua, cx| ua.answer(id, Some(session()), cx));
        (bench, id, invite)
    }
}

fn us() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

fn peer() -> SocketAddr {
    "192.0.2.2:5060".parse().unwrap()
}

fn session() -> Body {
    Body::sdp(sdp(us(), PCMU))
}

#[test]
fn a_peer_that_never_acknowledges_gets_the_2xx_again_and_then_a_bye() {
    let (mut bench, id, _) = Bench::unacknowledged();
    bench.run(Duration::from_secs(31));
    assert_eq!(bench.ua.calls(), 1);
    bench.run(Duration::from_secs(1));
    // T1, doubled up to T2, for 64·T1 (§13.3.1.4).
    let schedule = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(bench.times("SIP/2.0 200"), schedule);
    assert_eq!(bench.times("BYE ").first(), Some(&32_000));
    match bench.events.last() {
        Some((time, ended, CallEvent::Ended { by: By::Network, cause: Cause::NoAck })) => {
            assert_eq!((time.as_secs(), *ended), (32, id));
        }
        other => panic!("{other:?}"),
    }
    bench.run(Duration::from_secs(64));
    assert_eq!((bench.ua.calls(), bench.stack.transactions(), bench.stack.pending()), (0, 0, 0));
}

#[test]
fn who_answers_what_cannot_be_read_is_not_taken_for_silent() {
    let (heard, readable) = (
        |_: &Text| "what is this?\r\n\r\n".to_owned(),
        |invite: &Text| invite.response(200, "peer", peer(), "", "").replace("CSeq: 1 INVITE", "CSeq: one"),
    );
    for (answer, named) in [(None, false), (Some(heard as fn(&Text) -> String), true), (Some(readable), true)]
    {
        let (mut bench, _, invite) = Bench::calling();
        if let Some(answer) = answer {
            bench.feed(answer(&invite));
        }
        bench.run(Duration::from_secs(33));
        let Some((_, _, CallEvent::Ended { cause: Cause::Failed(why), .. })) = bench.events.last() else {
            panic!("{:?}", bench.events)
        };
        let is_named = matches!(why, Failure::Unreachable { why: FlowError::NotSip, .. });
        assert_eq!(is_named, named, "{why}");
        assert_eq!(matches!(why, Failure::Timeout(_)), !named, "{why}");
    }
}

#[test]
fn an_ack_of_a_stranger_is_none() {
    let (mut bench, _, invite) = Bench::unacknowledged();
    let ok = bench.last("SIP/2.0 200").clone();
    let ack = invite.within("ACK", &ok);
    bench.feed(Draft { from_tag: "other".into(), ..ack.clone() }.text());
    bench.feed(Draft { call_id: "other".into(), ..ack.clone() }.text());
    bench.feed(Draft { to: "<sip:us@192.0.2.1>;tag=other".into(), ..ack.clone() }.text());
    bench.feed(Draft { number: 7, ..ack.clone() }.text());
    assert!(!bench.events.iter().any(|(.., event)| matches!(event, CallEvent::Acknowledged { .. })));
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.times("SIP/2.0 200"), [0, 500]);
    bench.feed(ack.text());
    assert!(matches!(bench.events.last(), Some((.., CallEvent::Acknowledged { .. }))));
    bench.run(Duration::from_secs(40));
    assert_eq!(bench.times("SIP/2.0 200"), [0, 500], "no more after the ACK");
    assert_eq!(bench.ua.calls(), 1);
}

#[test]
fn an_invite_before_the_last_one_is_done_waits() {
    let (mut bench, _, invite) = Bench::unacknowledged();
    let ok = bench.last("SIP/2.0 200").clone();
    let early = invite.within("INVITE", &ok).body(&sdp(peer(), PCMU));
    bench.feed(early.text());
    let refused = bench.last("SIP/2.0 500");
    assert!(refused.must("Retry-After").parse::<u32>().unwrap() <= 10, "§14.2");
    assert_eq!(bench.ua.calls(), 1);
}

#[test]
fn two_offers_at_once_are_both_refused_and_ours_comes_again() {
    let (mut bench, id, first) = Bench::answered();
    bench.run(Duration::from_secs(1));
    bench.act(|ua, cx| ua.reoffer(id, session(), cx));
    let ours = bench.last("INVITE ").clone();
    assert_eq!(ours.number(), first.number() + 1);
    let mut theirs = Draft::new("INVITE", first.contact(), peer()).body(&sdp(peer(), PCMU));
    theirs.from_tag = "peer".into();
    theirs.to = first.must("From").into();
    theirs.call_id = first.must("Call-ID").into();
    bench.feed(theirs.text());
    assert_eq!(bench.last("SIP/2.0 491").header("Call-ID"), first.header("Call-ID"), "§14.2");
    bench.feed(theirs.same("ACK", &theirs.to.clone()).text());
    bench.feed(ours.response(491, "peer", peer(), "", ""));
    assert_eq!(bench.last("ACK ").number(), ours.number());
    // The Call-ID is ours, so we wait 2.1 to 4 s (§14.1).
    bench.run(Duration::from_millis(2_099));
    assert_eq!(bench.last("INVITE ").number(), ours.number());
    bench.run(Duration::from_millis(1_902));
    let again = bench.last("INVITE ").clone();
    assert_eq!(again.number(), ours.number() + 1);
    bench.feed(again.response(200, "peer", peer(), "Content-Type: application/sdp\r\n", &sdp(peer(), PCMU)));
    assert!(matches!(bench.events.last(), Some((.., CallEvent::Reanswered { .. }))));
    assert_eq!(bench.ua.calls(), 1);
}

#[test]
fn a_request_out_of_order_is_refused_and_the_call_goes_on() {
    let (mut bench, _, first) = Bench::answered();
    let within = |method, number| {
        let mut draft = Draft::new(method, first.contact(), peer());
        draft.from_tag = "peer".into();
        draft.to = first.must("From").into();
        draft.call_id = first.must("Call-ID").into();
        draft.number = number;
        draft
    };
    bench.feed(within("OPTIONS", 100).text());
    assert_eq!(bench.sent.last().unwrap().1.status(), Some(200));
    // §12.2.2: a lower number is out of order.
    bench.feed(within("BYE", 50).text());
    assert_eq!(bench.sent.last().unwrap().1.status(), Some(500));
    for method in ["REGISTER", "SUBSCRIBE", "INFO", "UPDATE", "REFER"] {
        bench.feed(within(method, 101).text());
        assert_eq!(bench.sent.last().unwrap().1.status(), Some(405), "{method}");
    }
    bench.feed(within("FROBNICATE", 102).text());
    assert_eq!(bench.sent.last().unwrap().1.status(), Some(501));
    bench.feed(within("BYE", 103).more("Require: magic\r\n").text());
    assert_eq!(bench.sent.last().unwrap().1.status(), Some(420));
    assert_eq!(bench.ua.calls(), 1);
    bench.feed(within("BYE", 104).text());
    assert_eq!(bench.sent.last().unwrap().1.status(), Some(200));
    assert_eq!(bench.ua.calls(), 0);
    // It is gone: the next request finds nothing.
    bench.feed(within("BYE", 105).text());
    assert_eq!(bench.sent.last().unwrap().1.status(), Some(481));
}
