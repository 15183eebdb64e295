//! A toy user that calls, answers and hangs up, to test the world with.

use std::net::SocketAddr;

use super::{Fate, LinkConfig, Node, World};
use crate::{
    message::{Builder, HeaderId, Message, Method, Request, Response},
    resolve::Srv,
    stack::{Cx, Failure, NextHop, Outgoing, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::Flow,
};

/// Rings at once, answers after a second, ends a call when asked. It knows one call and no dialogs.
#[derive(Default)]
struct Toy {
    ringing: Option<(ServerId, Request)>,
    statuses: Vec<u16>,
    failures: Vec<Failure>,
    is_acknowledged: bool,
}

impl Toy {
    fn send(&mut self, method: Method<'_>, number: u32, to: &str, cx: &mut Cx<'_>) -> RequestId {
        let request = Builder::request(method, to)
            .header(HeaderId::From, "<sip:alice@example.com>;tag=alice")
            .header(HeaderId::To, format_args!("<{to}>"))
            .header(HeaderId::CallId, "call-1")
            .header(HeaderId::CSeq, format_args!("{number} {method}"))
            .finish();
        cx.send(Outgoing::new(request, NextHop::RequestUri))
    }

    fn answer(request: &Request, status: u16) -> Message {
        Builder::response(request, status, None).to_tag("bob").finish()
    }
}

impl TransactionUser for Toy {
    fn request(&mut self, request: Request, id: Option<ServerId>, _: Flow, cx: &mut Cx<'_>) {
        match (request.method(), id) {
            (Method::Invite, Some(id)) => {
                cx.respond(id, Self::answer(&request, 180)).expect("it is new");
                cx.wake(cx.now() + Duration::from_secs(1), 1);
                self.ringing = Some((id, request));
            }
            (_, Some(id)) => cx.respond(id, Self::answer(&request, 200)).expect("it is new"),
            (_, None) => self.is_acknowledged = true,
        }
    }

    fn cancel(&mut self, _: ServerId, cx: &mut Cx<'_>) {
        if let Some((id, request)) = self.ringing.take() {
            cx.respond(id, Self::answer(&request, 487)).expect("it is not answered");
        }
    }

    fn response(&mut self, _: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        self.statuses.push(response.status());
        if response.status() == 200 && response.cseq().is_ok_and(|cseq| cseq.method == Method::Invite) {
            self.send(Method::Ack, 1, BOB, cx);
        }
    }

    fn failed(&mut self, _: RequestId, why: Failure, _: &mut Cx<'_>) {
        self.failures.push(why);
    }

    fn deadline(&mut self, _: u64, cx: &mut Cx<'_>) {
        if let Some((id, request)) = self.ringing.take() {
            cx.respond(id, Self::answer(&request, 200)).expect("it is not answered");
        }
    }
}

const BOB: &str = "sip:bob@bob.example.com";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn pair(seed: u64) -> (World, Node<Toy>, Node<Toy>) {
    let mut world = World::new(seed);
    let alice = world.add("alice", at("192.0.2.1:5060"), Toy::default());
    let bob = world.add("bob", at("192.0.2.2:5060"), Toy::default());
    world.name("bob.example.com", &[at("192.0.2.2:0").ip()]);
    (world, alice, bob)
}

#[test]
fn a_call_is_a_ladder() {
    let (mut world, alice, bob) = pair(1);
    world.links(LinkConfig { delay: Duration::from_millis(12), ..LinkConfig::default() });
    world.with(alice, |toy, cx| toy.send(Method::Invite, 1, BOB, cx));
    assert!(world.run_until(|world| world.user(bob).is_acknowledged));
    world.with(alice, |toy, cx| toy.send(Method::Bye, 2, BOB, cx));
    assert!(world.run_until(|world| world.user(alice).statuses.len() == 3));
    assert_eq!(world.user(alice).statuses, [180, 200, 200]);
    let expected = "
        0.000  alice → bob  INVITE  cseq=1
        0.012  bob → alice  180     tag=a
        1.012  bob → alice  200     tag=a
        1.024  alice → bob  ACK     cseq=1
        1.036  alice → bob  BYE     cseq=2
        1.048  bob → alice  200     BYE tag=a
    ";
    assert_eq!(world.ladder().compare(expected), Ok(()));
    assert!(!world.is_quiet());
    world.run_for(Duration::from_secs(33));
    assert!(world.is_quiet(), "timers J and M are over");
}

#[test]
fn the_seed_decides_what_is_lost_and_what_is_said() {
    let run = |seed| {
        let (mut world, alice, _) = pair(seed);
        world.links(LinkConfig { loss: 0.3, delay: Duration::from_millis(5), ..LinkConfig::default() });
        for number in 1..20 {
            world.with(alice, |toy, cx| toy.send(Method::Options, number, BOB, cx));
        }
        assert!(world.run_until(|world| world.user(alice).statuses.len() == 19), "{}", world.ladder());
        assert!(world.ladder().steps().any(|step| step.fate == Fate::Lost));
        world.ladder().to_string()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn silence_and_refusal_are_different() {
    let (mut world, alice, _) = pair(1);
    world.close(at("192.0.2.7:5060"));
    world.with(alice, |toy, cx| toy.send(Method::Options, 1, "sip:x@192.0.2.7", cx));
    assert!(world.run_until(|world| world.user(alice).failures.len() == 1));
    assert_eq!(world.now().as_micros(), 0);
    world.with(alice, |toy, cx| toy.send(Method::Options, 2, "sip:x@192.0.2.8", cx));
    assert!(world.run_until(|world| world.user(alice).failures.len() == 2));
    assert_eq!(world.now().as_micros() / 1_000_000, 32);
    let failures = &world.user(alice).failures;
    assert!(
        matches!(failures[0], Failure::Unreachable { target, .. } if target.addr == at("192.0.2.7:5060"))
    );
    assert!(matches!(failures[1], Failure::Timeout(target) if target.addr == at("192.0.2.8:5060")));
    assert_eq!(world.ladder().len(), 12);
}

#[test]
fn an_unplugged_node_is_silent_until_it_is_plugged_in() {
    let (mut world, alice, bob) = pair(1);
    world.unplug(bob);
    world.with(alice, |toy, cx| toy.send(Method::Options, 1, BOB, cx));
    world.run_for(Duration::from_secs(1));
    world.plug(bob);
    assert!(world.run_until(|world| world.user(alice).statuses == [200]));
    let expected = "
        0.000  alice ⇢ bob  OPTIONS  cseq=1  (lost)
        0.500  alice ⇢ bob  OPTIONS  cseq=1  (lost)
        1.500  alice → bob  OPTIONS  cseq=1
        1.500  bob → alice  200      OPTIONS tag=a
    ";
    assert_eq!(world.ladder().compare(expected), Ok(()));
}

#[test]
fn a_cancelled_call_ends_with_487() {
    let (mut world, alice, _) = pair(1);
    let invite = world.with(alice, |toy, cx| toy.send(Method::Invite, 1, BOB, cx));
    world.run_for(Duration::from_millis(100));
    world.with(alice, |_, cx| cx.cancel(invite));
    assert!(world.run_until(|world| world.user(alice).statuses == [180, 487]), "{}", world.ladder());
    world.run_for(Duration::from_secs(40));
    assert!(world.is_quiet());
}

#[test]
fn a_strangers_packets_arrive_too() {
    let (mut world, _, bob) = pair(1);
    world.inject(at("198.51.100.1:9"), at("192.0.2.2:5060"), "what?");
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.stack(bob).stats().garbage, 1);
    assert_eq!(world.ladder().compare("0.000 198.51.100.1:9 → bob - 5 octets"), Ok(()));
}

/// RFC 3263 §4.3: the next server of the SRV records when one is silent, and not again that way.
#[test]
fn a_silent_server_is_left_for_the_next() {
    let (mut world, alice, bob) = pair(3);
    world.name("dead.example.com", &[at("192.0.2.9:0").ip()]);
    let srv = |priority, target: &str| Srv { priority, weight: 0, port: 5060, target: target.into() };
    let records = [srv(1, "dead.example.com"), srv(2, "bob.example.com")];
    world.service("_sip._udp.bob.example.com", &records);
    world.with(alice, |toy, cx| toy.send(Method::Options, 1, BOB, cx));
    world.run_for(Duration::from_millis(31_900));
    assert!(world.user(alice).statuses.is_empty(), "64·T1 are not over");
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.user(alice).statuses, [200]);
    world.with(alice, |toy, cx| toy.send(Method::Options, 2, BOB, cx));
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.user(alice).statuses, [200, 200], "the silent one is avoided for a minute");

    // One that refuses costs nothing, even when all were bad lately.
    world.close(at("192.0.2.9:5060"));
    world.unplug(bob);
    world.with(alice, |toy, cx| toy.send(Method::Options, 3, BOB, cx));
    world.run_for(Duration::from_secs(33));
    assert!(matches!(world.user(alice).failures[..], [Failure::Unreachable { .. }]));
    world.plug(bob);
    world.with(alice, |toy, cx| toy.send(Method::Options, 4, BOB, cx));
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.user(alice).statuses, [200; 3]);
}
