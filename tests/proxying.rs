//! The stateless proxy in the simulator, message by message: what it adds, takes away, refuses, and where it sends what.

use std::net::SocketAddr;

use sipkit::{
    message::{Message, UriBuf, header},
    proxy::{Config, Hop, Match, Own, RecordRoute, Rule, Secret, Stateless, Table},
    resolve::Srv,
    sim::{Node, World},
    stack,
    time::Duration,
    transport::Target,
};

use crate::support::peer_in_sim::Plain;

const PROXY: &str = "192.0.2.10:5060";
const ALICE: &str = "192.0.2.1:5060";
const BOB: &str = "192.0.2.2:5060";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A proxy at [`PROXY`] with these rules.
pub fn proxy(rules: Vec<Rule>, change: impl FnOnce(&mut Config)) -> (stack::Config, Stateless) {
    let listening = vec![Target::udp(at(PROXY)), Target::tcp(at(PROXY))];
    let mut config = Config {
        own: Own::new(listening, vec!["proxy.example".into()]),
        table: Table::new(rules),
        secret: Secret::new([3; 16], [4; 16]),
        record_route: RecordRoute::Needed,
        probe: None,
    };
    change(&mut config);
    (stack::Config { fixed_order: true, ..stack::Config::default() }, Stateless::new(config))
}

fn to(hops: &[&str]) -> Vec<Rule> {
    let hops = hops.iter().map(|uri| Hop::new(UriBuf::parse(uri).unwrap()).unwrap()).collect();
    vec![Rule { when: Match::Any, hops }]
}

struct Lab {
    world: World,
    proxy: Node<Stateless>,
    alice: Node<Plain>,
    bob: Node<Plain>,
}

impl Lab {
    fn new(rules: Vec<Rule>) -> Self {
        Self::with(rules, |_| {})
    }

    fn with(rules: Vec<Rule>, change: impl FnOnce(&mut Config)) -> Self {
        let mut world = World::new(16);
        let (config, user) = proxy(rules, change);
        let proxy = world.add_with("proxy", &[at(PROXY)], config, user);
        let alice = world.add("alice", at(ALICE), Plain::default());
        let bob = world.add("bob", at(BOB), Plain::default());
        Self { world, proxy, alice, bob }
    }

    /// Alice sends; what Bob has got then and Alice.
    fn send(&mut self, text: &str) -> (Option<String>, Option<String>) {
        let before = (self.got(self.bob), self.got(self.alice));
        self.world.inject(at(ALICE), at(PROXY), text.to_owned());
        self.run();
        let last = |lab: &Self, node, before| (lab.got(node) > before).then(|| lab.world.user(node).last());
        (last(self, self.bob, before.0), last(self, self.alice, before.1))
    }

    fn got(&self, node: Node<Plain>) -> usize {
        self.world.user(node).got.len()
    }

    fn run(&mut self) {
        self.world.run_for(Duration::from_secs(1));
    }

    /// Alice has a connection to the proxy, and sends over it.
    fn send_over(&mut self, transport: &str, text: &str) {
        if self.world.user(self.alice).flow.is_none() {
            let uri = format!("sip:{PROXY};transport={transport}");
            self.world.with(self.alice, |alice, cx| alice.reach(&uri, cx));
            self.run();
        }
        let text = text.to_owned();
        self.world.with(self.alice, |alice, cx| alice.send(text, cx));
        self.run();
    }
}

fn request(method: &str, uri: &str, rows: &str) -> String {
    let cseq = if matches!(method, "ACK" | "CANCEL") { "INVITE" } else { method };
    let number = if cseq == "INVITE" { 1 } else { 2 };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKalice{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@atlanta.example>;tag=a\r\nTo: <sip:bob@biloxi.example>\r\nCall-ID: one\r\n\
         CSeq: {number} {method}\r\n{rows}Content-Length: 0\r\n\r\n"
    )
}

fn row<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    rows(text, name).next()
}

fn rows<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn branch(text: &str) -> &str {
    row(text, "Via").and_then(|via| via.split("branch=").nth(1)).unwrap()
}

#[test]
fn a_request_goes_on_with_a_via_and_one_hop_less_and_nothing_else() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    let invite = request("INVITE", "sip:bob@biloxi.example", "X: y\r\n");
    let (bob, alice) = lab.send(&invite);
    let bob = bob.unwrap();
    assert_eq!(alice, None, "no 100 (§16.11)");
    let own = format!("Via: SIP/2.0/UDP {PROXY};branch={}\r\n", branch(&bob));
    let expected = invite.replace("Via:", &format!("{own}Via:")).replace("70", "69");
    assert_eq!(bob, expected);
    assert!(branch(&bob).starts_with("z9hG4bK") && branch(&bob).len() == 33);
}

#[test]
fn what_belongs_together_has_one_branch() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    let uri = "sip:bob@biloxi.example";
    let mut branch_of = |text: &str| branch(&lab.send(text).0.unwrap()).to_owned();
    let invite = branch_of(&request("INVITE", uri, ""));
    assert_eq!(branch_of(&request("INVITE", uri, "")), invite, "sent again");
    assert_eq!(branch_of(&request("CANCEL", uri, "")), invite);
    let ack = request("ACK", uri, "").replace("biloxi.example>\r\n", "biloxi.example>;tag=b\r\n");
    assert_eq!(branch_of(&ack), invite);
    assert_ne!(branch_of(&request("BYE", uri, "")), invite);
    assert_ne!(branch_of(&request("INVITE", uri, "").replace("Kalice1", "Kalice3")), invite);
    assert_ne!(branch_of(&request("INVITE", "sip:bob@other.example", "")), invite, "the second part");
    // RFC 2543 clients write no such branch.
    let old = |method| request(method, uri, "").replace(";branch=z9hG4bKalice1", "");
    let before = branch_of(&old("INVITE"));
    assert_eq!(branch_of(&old("CANCEL")), before);
    assert_eq!(branch_of(&old("ACK").replace("biloxi.example>\r\n", "biloxi.example>;tag=b\r\n")), before);
    assert_ne!(branch_of(&old("INVITE").replace("CSeq: 1", "CSeq: 2")), before);
    assert_ne!(branch_of(&old("INVITE").replace("tag=a", "tag=c")), before);
}

#[test]
fn a_response_goes_back_to_who_asked() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    // From behind an address translator.
    let invite = request("INVITE", "sip:bob@biloxi.example", "").replace(ALICE, "10.0.0.1:5062;rport");
    let bob = lab.send(&invite).0.unwrap();
    assert_eq!(rows(&bob, "Via").nth(1).unwrap().matches(";received=192.0.2.1").count(), 1, "{bob}");
    assert!(bob.contains("rport=5060"), "{bob}");
    lab.world.with(lab.bob, |bob, cx| bob.answer(180, cx));
    lab.run();
    let alice = lab.world.user(lab.alice).last();
    assert!(alice.starts_with("SIP/2.0 180"), "{alice}");
    assert_eq!(rows(&alice, "Via").count(), 1);
    assert!(row(&alice, "Via").unwrap().contains("10.0.0.1:5062"));
}

#[test]
fn a_response_to_what_was_not_asked_goes_nowhere() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    let victim = lab.world.add("victim", at("192.0.2.66:5060"), Plain::default());
    let bob = lab.send(&request("INVITE", "sip:bob@biloxi.example", "")).0.unwrap();
    let (_, rest) = bob.split_once("\r\n").unwrap();
    let response = format!("SIP/2.0 200 OK\r\n{rest}");
    let forgeries = [
        response.replace(&format!("UDP {ALICE}"), "UDP 192.0.2.66:5060"),
        response.replace("branch=z9hG4bKalice1", "branch=z9hG4bKalice1;received=192.0.2.66"),
        response.replace("branch=z9hG4bKalice1", "branch=z9hG4bKalice1;maddr=192.0.2.66"),
        response.replace("branch=z9hG4bKalice1", "branch=z9hG4bKother"),
        response.replace(branch(&bob), &format!("z9hG4bK{}", "a".repeat(26))),
        response.replace(branch(&bob), "z9hG4bKelse"),
    ];
    let before = lab.got(lab.alice);
    for forged in &forgeries {
        lab.world.inject(at(BOB), at(PROXY), forged.clone());
    }
    lab.run();
    assert_eq!((lab.got(victim), lab.got(lab.alice)), (0, before));
    assert_eq!(lab.world.user(lab.proxy).counters().responses_foreign, forgeries.len() as u64);
    lab.world.inject(at(BOB), at(PROXY), response.clone());
    // Without a second Via it is for us, and we did not ask.
    let lines: Vec<_> = response.lines().filter(|line| !line.contains("Kalice1")).collect();
    lab.world.inject(at(BOB), at(PROXY), lines.join("\r\n") + "\r\n\r\n");
    lab.run();
    assert_eq!(lab.got(lab.alice), before + 1, "the true one");
    assert_eq!(lab.world.user(lab.proxy).counters().responses_stuck, 1);
}

#[test]
fn what_must_not_go_on_is_answered() {
    let uri = "sip:bob@biloxi.example";
    let ordinary = || request("INVITE", uri, "");
    let table = [
        (ordinary().replace("Forwards: 70", "Forwards: 0"), 483, ""),
        (ordinary().replace("Forwards: 70", "Forwards: many"), 400, ""),
        (request("INVITE", uri, "Proxy-Require: a, b\r\nProxy-Require: c\r\n"), 420, "Unsupported: a, b, c"),
        (request("INVITE", "unknown:bob", ""), 416, ""),
        (request("INVITE", uri, "Route: <nonsense\r\n"), 400, ""),
        (ordinary().replace("Call-ID: one", "Call-ID: one\r\nCall-ID: two"), 400, ""),
        (ordinary().replace("1 INVITE", "1 BYE"), 400, ""),
        (request("INVITE", uri, "Route: <sip:192.0.2.2;transport=pigeon;lr>\r\n"), 503, ""),
        (request("INVITE", uri, &format!("Route: <sip:{}@{PROXY};lr>\r\n", "a".repeat(53))), 403, ""),
    ];
    for (text, status, explained) in table {
        let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
        let (bob, alice) = lab.send(&text);
        let alice = alice.unwrap_or_else(|| panic!("no answer to\n{text}"));
        assert_eq!((bob, alice.get(8..11)), (None, Some(status.to_string().as_str())), "{text}");
        assert!(alice.contains(explained), "{alice}");
        // Sent again it is answered with the same tag (§8.2.7).
        assert_eq!(lab.send(&text).1, Some(alice.clone()));
        assert!(row(&alice, "To").unwrap().contains(";tag="), "{alice}");
        // An ACK is never answered.
        let ack = text
            .replace("INVITE sip", "ACK sip")
            .replace("INVITE unknown", "ACK unknown")
            .replace("1 INVITE", "1 ACK");
        if status != 400 {
            assert_eq!(lab.send(&ack), (None, None), "{ack}");
            assert_eq!(lab.world.user(lab.proxy).counters().acks_dropped, 1);
        }
    }
}

#[test]
fn what_is_for_the_proxy_itself() {
    let mut lab = Lab::new(Vec::new());
    let status =
        |lab: &mut Lab, text: &str| lab.send(text).1.and_then(|alice| Some(alice.get(8..11)?.to_owned()));
    assert_eq!(status(&mut lab, &request("OPTIONS", &format!("sip:{PROXY}"), "")), Some("200".into()));
    assert_eq!(status(&mut lab, &request("OPTIONS", "sip:proxy.example", "")), Some("200".into()));
    assert_eq!(status(&mut lab, &request("OPTIONS", &format!("sip:bob@{PROXY}"), "")), Some("404".into()));
    assert_eq!(status(&mut lab, &request("INVITE", &format!("sip:bob@{PROXY}"), "")), Some("404".into()));
    assert_eq!(status(&mut lab, &request("INVITE", "tel:+49301234", "")), Some("404".into()));
    assert_eq!(status(&mut lab, &request("INVITE", "sip:bob@nowhere.example", "")), Some("404".into()));
    // And without a table requests go where their URI says.
    assert!(lab.send(&request("INVITE", &format!("sip:bob@{BOB}"), "")).0.is_some());
}

#[test]
fn a_loop_is_told_from_a_spiral() {
    // The next hop is the proxy itself.
    let mut lab = Lab::new(to(&[&format!("sip:{PROXY}")]));
    let alice = lab.send(&request("INVITE", "sip:bob@biloxi.example", "")).1.unwrap();
    assert!(alice.starts_with("SIP/2.0 482"), "{alice}");
    assert_eq!(rows(&alice, "Via").count(), 1, "it came back by its Vias");
    assert_eq!(lab.world.user(lab.proxy).counters().requests, 2, "found out on the second visit");
    // Bob sends it back with another Request-URI: a spiral.
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    let bob = lab.send(&request("INVITE", "sip:bob@biloxi.example", "")).0.unwrap();
    let via = format!("Via: SIP/2.0/UDP {BOB};branch=z9hG4bKbob\r\n");
    let again = bob.replacen("Via:", &format!("{via}Via:"), 1);
    let spiral = again.replacen("sip:bob@biloxi", "sip:bobby@biloxi", 1);
    let before = lab.got(lab.bob);
    lab.world.inject(at(BOB), at(PROXY), spiral);
    lab.run();
    assert_eq!(lab.got(lab.bob), before + 1);
    assert_eq!(rows(&lab.world.user(lab.bob).last(), "Via").count(), 4);
    // The same unchanged is a loop.
    lab.world.inject(at(BOB), at(PROXY), again.clone());
    lab.run();
    assert!(lab.world.user(lab.bob).last().starts_with("SIP/2.0 482"));
    // Nobody can make others' requests look like loops: the branch is a secret's.
    let forged = request("INVITE", "sip:bob@biloxi.example", "").replacen(
        "Via:",
        &format!(
            "Via: SIP/2.0/UDP {ALICE};branch=z9hG4bKx\r\nVia: SIP/2.0/UDP {PROXY};branch=z9hG4bK{}\r\nVia:",
            "b".repeat(26)
        ),
        1,
    );
    assert!(lab.send(&forged).0.is_some());
}

/// Request-URI and Routes as they come, and as they leave.
#[test]
fn routes() {
    let bob = "sip:bob@biloxi.example";
    let table = [
        // §16.4: ours goes, whoever wrote it, and one behind it.
        (bob, format!("<sip:{PROXY};lr>"), bob, None),
        (bob, "<sip:PROXY.example;lr>".into(), bob, None),
        (
            bob,
            format!("<sip:p@{PROXY};transport=tcp;lr>, <sip:p@{PROXY};lr>, <sip:192.0.2.2;lr>"),
            bob,
            Some("<sip:192.0.2.2;lr>"),
        ),
        (
            bob,
            "<sip:192.0.2.2;lr>, <sip:c.example;lr>".into(),
            bob,
            Some("<sip:192.0.2.2;lr>, <sip:c.example;lr>"),
        ),
        // §16.6 step 6: a strict router comes next.
        (
            bob,
            "<sip:192.0.2.2>, <sip:c.example;lr>".into(),
            "sip:192.0.2.2",
            Some("<sip:c.example;lr>, <sip:bob@biloxi.example>"),
        ),
        (
            bob,
            format!("<sip:{PROXY};lr>, <sip:192.0.2.2>"),
            "sip:192.0.2.2",
            Some("<sip:bob@biloxi.example>"),
        ),
        // §16.4: a strict router came before.
        ("sip:p@192.0.2.10;lr", format!("<sip:c@{BOB}>"), "sip:c@192.0.2.2:5060", None),
        (
            "sip:p@192.0.2.10;lr",
            format!("<sip:192.0.2.2;lr>, <sip:c@{BOB}>"),
            "sip:c@192.0.2.2:5060",
            Some("<sip:192.0.2.2;lr>"),
        ),
        // §16.4: maddr names us.
        (
            "sip:bob@biloxi.example:5060;maddr=192.0.2.10;transport=udp;x=y",
            String::new(),
            "sip:bob@biloxi.example;x=y",
            None,
        ),
        ("sip:bob@biloxi.example?a=b", String::new(), bob, None),
    ];
    for (uri, route, left, routes) in table {
        let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
        let row_of = if route.is_empty() { String::new() } else { format!("Route: {route}\r\n") };
        let (got, alice) = lab.send(&request("INVITE", uri, &row_of));
        let got = got.unwrap_or_else(|| panic!("{uri} {route}: {alice:?}"));
        assert_eq!(got.split(' ').nth(1), Some(left), "{uri} {route}");
        assert_eq!(row(&got, "Route"), routes, "{uri} {route}");
    }
}

#[test]
fn rows_are_recorded_where_they_are_needed() {
    let recorded = |record_route, hops: &str, method: &str| {
        let mut lab = Lab::with(to(&[hops]), |config| config.record_route = record_route);
        let bob = lab.send(&request(method, "sip:bob@biloxi.example", "")).0.unwrap();
        rows(&bob, "Record-Route").map(str::to_owned).collect::<Vec<_>>()
    };
    let (udp, tcp) = (format!("<sip:p@{PROXY};lr>"), format!("<sip:p@{PROXY};transport=tcp;lr>"));
    let nothing: [&str; 0] = [];
    assert_eq!(recorded(RecordRoute::Needed, "sip:192.0.2.2", "INVITE"), nothing);
    assert_eq!(recorded(RecordRoute::Always, "sip:192.0.2.2", "INVITE"), std::slice::from_ref(&udp));
    assert_eq!(recorded(RecordRoute::Always, "sip:192.0.2.2", "MESSAGE"), nothing);
    assert_eq!(recorded(RecordRoute::Needed, "sip:192.0.2.2;transport=tcp", "MESSAGE"), nothing);
    // RFC 5658 §5: the side that the callee sees on top.
    for method in ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"] {
        assert_eq!(
            recorded(RecordRoute::Needed, "sip:192.0.2.2;transport=tcp", method),
            [tcp.clone(), udp.clone()]
        );
    }
}

#[test]
fn a_client_is_reached_by_the_connection_it_opened() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    lab.send_over("tcp", &request("INVITE", "sip:bob@biloxi.example", "Contact: <sip:alice@10.0.0.1>\r\n"));
    let invite = lab.world.user(lab.bob).last();
    let recorded: Vec<_> = rows(&invite, "Record-Route").map(str::to_owned).collect();
    assert_eq!(recorded.len(), 2);
    // The response goes back by it.
    lab.world.with(lab.bob, |bob, cx| bob.answer(200, cx));
    lab.run();
    assert!(lab.world.user(lab.alice).last().starts_with("SIP/2.0 200"));
    // What Bob sends within the dialog, too, although Alice's address leads nowhere.
    let bye = request("BYE", "sip:alice@10.0.0.1", &format!("Route: {}\r\n", recorded.join(", ")))
        .replace(ALICE, BOB)
        .replace("alice2", "bob2");
    let before = lab.got(lab.alice);
    lab.world.inject(at(BOB), at(PROXY), bye.clone());
    lab.run();
    assert_eq!(lab.got(lab.alice), before + 1);
    assert!(lab.world.user(lab.alice).last().starts_with("BYE sip:alice@10.0.0.1 "));
    assert_eq!(row(&lab.world.user(lab.alice).last(), "Route"), None);
    // And what Alice sends goes to Bob.
    let reversed = format!("Route: {}, {}\r\n", recorded[1], recorded[0]);
    lab.send_over("tcp", &request("BYE", &format!("sip:bob@{BOB}"), &reversed));
    assert!(lab.world.user(lab.bob).last().starts_with("BYE sip:bob@192.0.2.2"));
    // Somebody has a token of his own making.
    let forged = bye.replace("<sip:", "<sip:x").replace("sip:xp@", "sip:p@");
    lab.world.inject(at(BOB), at(PROXY), forged);
    lab.run();
    assert!(lab.world.user(lab.bob).last().starts_with("SIP/2.0 403"), "{}", lab.world.user(lab.bob).last());
    // The connection is gone (RFC 5626 §5.3.1).
    lab.world.cut(lab.alice, lab.proxy);
    lab.run();
    lab.world.inject(at(BOB), at(PROXY), bye.replace("bob2", "bob3"));
    lab.run();
    assert!(lab.world.user(lab.bob).last().starts_with("SIP/2.0 430 Flow Failed"));
}

#[test]
fn a_registration_leads_back_by_its_path() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    let register = request(
        "REGISTER",
        "sip:biloxi.example",
        "Contact: <sip:alice@10.0.0.1;ob>\r\nSupported: path, outbound\r\n",
    );
    lab.send_over("tcp", &register);
    let got = lab.world.user(lab.bob).last();
    let path = row(&got, "Path").unwrap();
    assert!(path.starts_with("<sip:") && path.ends_with(&format!("@{PROXY};lr;ob>")), "{path}");
    let invite =
        request("INVITE", "sip:alice@10.0.0.1;ob", &format!("Route: {path}\r\n")).replace(ALICE, BOB);
    let before = lab.got(lab.alice);
    lab.world.inject(at(BOB), at(PROXY), invite);
    lab.run();
    assert_eq!(lab.got(lab.alice), before + 1);
    let invite = lab.world.user(lab.alice).last();
    assert_eq!(rows(&invite, "Record-Route").count(), 2, "it stays on the way that only it knows");
    // Over UDP from an open address nothing of the kind is needed.
    let bob = lab.send(&register.replace("alice2", "alice9")).0.unwrap();
    assert_eq!(row(&bob, "Path"), None);
}

#[test]
fn messages_wait_for_their_way_in_order_and_are_bounded() {
    let mut lab = Lab::new(to(&["sip:next.example"]));
    lab.world.service(
        "_sip._udp.next.example",
        &[Srv { priority: 1, weight: 1, port: 5060, target: "h.example".into() }],
    );
    lab.world.name("h.example", &["192.0.2.2".parse().unwrap()]);
    let text =
        |n: usize| request("MESSAGE", "sip:bob@biloxi.example", "").replace("alice2", &format!("alice{n}"));
    for n in 0..50 {
        lab.world.inject(at(ALICE), at(PROXY), text(n));
    }
    lab.run();
    let order: Vec<_> =
        lab.world.user(lab.bob).got.iter().map(|(message, _)| branch_below(message)).collect();
    assert_eq!(order, (0..50).map(|n| format!("z9hG4bKalice{n}")).collect::<Vec<_>>());
    // Nobody knows the name: 404. Too many wait: 503 with a hint.
    let mut lab = Lab::new(to(&["sip:unknown.example"]));
    let answer = lab.send(&text(0)).1.unwrap();
    assert!(answer.starts_with("SIP/2.0 404 No Such Domain"), "{answer}");
    // A host that does not answer at all: those who came first wait, the others are told to come again.
    let mut lab = Lab::new(to(&["sip:192.0.2.77;transport=tcp"]));
    let large = format!("X: {}\r\n", "x".repeat(12_000));
    for n in 0..1_000 {
        let text = text(n).replace("Content-Length", &format!("{large}Content-Length"));
        lab.world.inject(at(ALICE), at(PROXY), text);
    }
    lab.run();
    let refused = lab.world.user(lab.proxy).counters().answered[&503];
    assert!((200..500).contains(&refused), "{refused}");
    assert!(lab.world.user(lab.alice).last().contains("\r\nRetry-After: "));
    lab.world.run_for(Duration::from_secs(200));
    assert_eq!(lab.world.user(lab.proxy).counters().answered[&503], 1_000, "at last they are all told");
}

fn branch_below(message: &Message) -> String {
    message.each::<header::Via>().nth(1).unwrap().unwrap().branch().unwrap().to_owned()
}

#[test]
fn a_hop_that_does_not_answer_is_left_after_a_while() {
    let mut world = World::new(17);
    let hops = ["sip:192.0.2.2", "sip:192.0.2.3"];
    let (config, user) = proxy(to(&hops), |config| config.probe = Some(Duration::from_secs(2)));
    let proxy = world.add_with("proxy", &[at(PROXY)], config, user);
    let nodes =
        ["192.0.2.2:5060", "192.0.2.3:5060"].map(|a| (at(a), world.add(a, at(a), Answering::default())));
    world.with(proxy, |proxy, cx| proxy.start(cx));
    let mut calls = 0;
    let mut shares = |world: &mut World| {
        let before = nodes.map(|(_, node)| world.user(node).invites);
        for _ in 0..100 {
            calls += 1;
            let text = request("INVITE", "sip:bob@biloxi.example", "");
            world.inject(
                at(ALICE),
                at(PROXY),
                text.replace("Call-ID: one", &format!("Call-ID: c{}", calls % 100)),
            );
        }
        world.run_for(Duration::from_secs(1));
        [0, 1].map(|n| world.user(nodes[n].1).invites - before[n])
    };
    let both = shares(&mut world);
    assert!(both.iter().all(|share| *share > 25) && both[0] + both[1] == 100, "{both:?}");
    world.unplug(nodes[0].1);
    world.run_for(Duration::from_secs(30));
    assert!(!world.user(proxy).table().is_down(hops[0]), "not yet");
    world.run_for(Duration::from_secs(60));
    assert!(world.user(proxy).table().is_down(hops[0]));
    assert_eq!(shares(&mut world), [0, 100]);
    world.plug(nodes[0].1);
    world.run_for(Duration::from_secs(40));
    assert!(!world.user(proxy).table().is_down(hops[0]));
    assert_eq!(shares(&mut world), both, "and all its calls come back");
}

/// Answers OPTIONS and counts INVITEs.
#[derive(Default)]
struct Answering {
    invites: usize,
}

impl sipkit::stack::TransactionUser for Answering {
    fn request(
        &mut self,
        request: sipkit::message::Request,
        id: Option<sipkit::transaction::ServerId>,
        _: sipkit::transport::Flow,
        cx: &mut sipkit::stack::Cx<'_>,
    ) {
        self.invites += usize::from(request.method() == sipkit::message::Method::Invite);
        if let Some(id) = id {
            let response = sipkit::message::Builder::response(&request, 200, None).to_tag("t").finish();
            cx.respond(id, response).expect("it is new");
        }
    }

    fn cancel(&mut self, _: sipkit::transaction::ServerId, _: &mut sipkit::stack::Cx<'_>) {}

    fn response(
        &mut self,
        _: Option<sipkit::stack::RequestId>,
        _: sipkit::message::Response,
        _: &mut sipkit::stack::Cx<'_>,
    ) {
    }

    fn failed(
        &mut self,
        _: sipkit::stack::RequestId,
        _: sipkit::stack::Failure,
        _: &mut sipkit::stack::Cx<'_>,
    ) {
    }

    fn deadline(&mut self, _: u64, _: &mut sipkit::stack::Cx<'_>) {}
}

#[test]
fn too_much_is_answered_503_and_what_was_let_in_goes_on() {
    let mut lab = Lab::new(to(&["sip:192.0.2.2"]));
    let uri = "sip:bob@biloxi.example";
    let (bob, _) = lab.send(&request("INVITE", uri, ""));
    let forwarded = bob.unwrap();
    lab.world.overload(lab.proxy, 255);
    let (bob, alice) = lab.send(&request("MESSAGE", uri, ""));
    let refused = alice.unwrap();
    assert_eq!((bob, refused.lines().next()), (None, Some("SIP/2.0 503 Service Unavailable")));
    let seconds: u32 = row(&refused, "Retry-After").unwrap().parse().unwrap();
    assert!((2..10).contains(&seconds));
    // ACK and CANCEL, requests in a dialog, and responses.
    assert!(lab.send(&request("CANCEL", uri, "")).0.is_some());
    let in_dialog =
        |method| request(method, uri, "").replace("biloxi.example>\r\n", "biloxi.example>;tag=b\r\n");
    assert!(lab.send(&in_dialog("BYE")).0.is_some());
    assert!(lab.send(&in_dialog("ACK")).0.is_some());
    let head = forwarded.replace("INVITE sip:bob@biloxi.example SIP/2.0", "SIP/2.0 200 OK");
    let before = lab.got(lab.alice);
    lab.world.inject(at(BOB), at(PROXY), head);
    lab.run();
    assert_eq!(lab.got(lab.alice), before + 1);
    // The ACK for our own 503 has come to its end.
    let (_, alice) = lab.send(&request("INVITE", uri, ""));
    let tag = row(alice.as_deref().unwrap(), "To").and_then(|to| to.split("tag=").nth(1)).unwrap().to_owned();
    let ack =
        request("ACK", uri, "").replace("biloxi.example>\r\n", &format!("biloxi.example>;tag={tag}\r\n"));
    assert_eq!(lab.send(&ack), (None, None));
    // Half of it: some calls, and those again.
    lab.world.overload(lab.proxy, 127);
    let verdicts = |lab: &mut Lab| -> Vec<bool> {
        let send =
            |n: u32| lab.send(&request("MESSAGE", uri, "").replace("Call-ID: one", &format!("Call-ID: {n}")));
        (0..100).map(send).map(|(bob, _)| bob.is_some()).collect()
    };
    let first = verdicts(&mut lab);
    let let_in = first.iter().filter(|is_in| **is_in).count();
    assert!((30..70).contains(&let_in), "{let_in}");
    assert_eq!(verdicts(&mut lab), first, "repetitions fare as the first did");
    lab.world.overload(lab.proxy, 0);
    assert!(verdicts(&mut lab).iter().all(|is_in| *is_in));
}
