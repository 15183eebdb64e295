//! Calls with a peer that does what ours would not: the test answers in its place, message by message.

use sipkit::{
    message::{Builder, HeaderId, Message},
    stack::Outgoing,
};

use super::*;

/// A peer without habits: it keeps what comes and says what it is told to.
#[derive(Default)]
struct Puppet {
    requests: Vec<(Request, Option<ServerId>, Flow)>,
    responses: Vec<Response>,
}

impl Puppet {
    fn all(&self, method: &str) -> impl DoubleEndedIterator<Item = &(Request, Option<ServerId>, Flow)> {
        self.requests.iter().filter(move |(request, ..)| request.method().as_str() == method)
    }

    fn count(&self, method: &str) -> usize {
        self.all(method).count()
    }

    /// A response to the last request with this method. `extra` are rows, `body` a session description.
    fn words(&self, method: &str, status: u16, tag: &str, extra: &[(&str, &str)], body: &str) -> Message {
        let (request, ..) = self.all(method).next_back().expect(method);
        let mut builder = Builder::response(request, status, None).to_tag(tag).record_route();
        for (name, value) in extra {
            builder = builder.named(name, value);
        }
        if !body.is_empty() {
            builder = builder.body("application/sdp", body.as_bytes());
        }
        builder.finish()
    }

    /// Sends it; a final one ends the request's turn.
    fn respond(&self, method: &str, status: u16, extra: &[(&str, &str)], body: &str, cx: &mut Cx<'_>) {
        let id = self.all(method).next_back().and_then(|(_, id, _)| *id).expect("a transaction");
        cx.respond(id, self.words(method, status, "puppet", extra, body)).expect("a live transaction");
    }

    fn pick_up(&mut self, cx: &mut Cx<'_>) {
        self.respond("INVITE", 200, &[CONTACT], SDP, cx);
    }

    /// A request within the dialog that the last INVITE made, or one outside.
    fn ask(&self, method: &str, number: u32, tag: &str, cx: &mut Cx<'_>) {
        let (invite, _, flow) = self.all("INVITE").next_back().expect("INVITE");
        let from = invite.to().expect("To").uri.to_string();
        let target = format!("sip:{}", flow.remote);
        let request = Builder::request(sipkit::message::Method::parse(method), target)
            .header(HeaderId::From, format_args!("<{from}>;tag={tag}"))
            .header(HeaderId::To, invite.raw(HeaderId::From).next().expect("From").text())
            .header(HeaderId::CallId, invite.call_id().expect("Call-ID"))
            .header(HeaderId::CSeq, format_args!("{number} {method}"))
            .named(CONTACT.0, CONTACT.1)
            .finish();
        cx.send(Outgoing::new(request, NextHop::RequestUri));
    }
}

impl TransactionUser for Puppet {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, _cx: &mut Cx<'_>) {
        self.requests.push((request, id, from));
    }

    fn cancel(&mut self, _invite: ServerId, _cx: &mut Cx<'_>) {}

    fn response(&mut self, _id: Option<RequestId>, response: Response, _cx: &mut Cx<'_>) {
        self.responses.push(response);
    }

    fn failed(&mut self, _id: RequestId, _why: Failure, _cx: &mut Cx<'_>) {}

    fn deadline(&mut self, _token: u64, _cx: &mut Cx<'_>) {}
}

const CONTACT: (&str, &str) = ("Contact", "<sip:puppet@192.0.2.2>");
const CHALLENGE: (&str, &str) =
    ("WWW-Authenticate", "Digest realm=\"x\", nonce=\"1\", qop=\"auth\", algorithm=MD5");

/// Alice has called a puppet.
struct Stage {
    world: World,
    alice: Node<Party>,
    puppet: Node<Puppet>,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::new(1);
        let mut party = Party::new(Habit::Answer);
        party.auth = auth::Client::new(vec![Login::new("alice", "secret")]);
        let alice = world.add("alice", at("192.0.2.1:5060"), party);
        let puppet = world.add("puppet", at("192.0.2.2:5060"), Puppet::default());
        world.links(wire());
        world.with(alice, Party::dial);
        let mut stage = Self { world, alice, puppet };
        stage.settle();
        assert_eq!(stage.puppet().count("INVITE"), 1);
        stage
    }

    fn answered() -> Self {
        let mut stage = Self::new();
        stage.act(Puppet::pick_up);
        assert_eq!(stage.puppet().count("ACK"), 1);
        stage
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Puppet, &mut Cx<'_>) -> R) -> R {
        let result = self.world.with(self.puppet, act);
        self.settle();
        result
    }

    fn alice(&mut self, act: impl FnOnce(&mut Party, &mut Cx<'_>)) {
        self.world.with(self.alice, act);
        self.settle();
    }

    /// Lets what is under way arrive, and its answers, before anything is repeated.
    fn settle(&mut self) {
        self.world.run_for(Duration::from_millis(100));
    }

    fn puppet(&self) -> &Puppet {
        self.world.user(self.puppet)
    }

    fn log(&self) -> Vec<&str> {
        self.world.user(self.alice).log.iter().map(String::as_str).collect()
    }

    /// Everything of Alice's is forgotten after a while.
    fn nothing_is_left(&mut self) {
        self.world.run_for(Duration::from_secs(130));
        let (party, stack) = (self.world.user(self.alice), self.world.stack(self.alice));
        let left = (party.ua.calls(), party.ua.requests(), stack.transactions(), stack.pending());
        assert_eq!(left, (0, 0, 0, 0), "{}", self.world.ladder());
    }
}

/// A re-INVITE is still unanswered when the call is hung up; then it is challenged, and the BYE as well.
#[test]
fn a_challenged_bye_survives_a_challenged_reinvite() {
    let mut stage = Stage::answered();
    stage.alice(Party::reoffer);
    stage.alice(Party::hang_up);
    assert_eq!((stage.puppet().count("INVITE"), stage.puppet().count("BYE")), (2, 1));
    stage.act(|puppet, cx| puppet.respond("INVITE", 401, &[CHALLENGE], "", cx));
    stage.act(|puppet, cx| puppet.respond("BYE", 401, &[CHALLENGE], "", cx));
    assert_eq!(stage.puppet().count("BYE"), 2, "{}", stage.world.ladder());
    let (bye, ..) = stage.puppet().all("BYE").next_back().unwrap();
    assert!(bye.raw(HeaderId::Authorization).next().is_some());
    stage.act(|puppet, cx| puppet.respond("BYE", 200, &[], "", cx));
    assert_eq!(stage.log(), ["answered true", "challenged", "ended Local bye"]);
    stage.nothing_is_left();
}

/// Whatever becomes of a re-INVITE after the BYE: there is one BYE, and the call ended by it.
#[test]
fn a_reinvite_that_ends_after_the_bye_ends_nothing() {
    for status in [200, 408, 481, 488, 491] {
        let mut stage = Stage::answered();
        stage.alice(Party::reoffer);
        stage.alice(Party::hang_up);
        let body = if status == 200 { SDP } else { "" };
        stage.act(|puppet, cx| puppet.respond("INVITE", status, &[CONTACT], body, cx));
        let acks = stage.puppet().count("ACK");
        assert_eq!(acks, if status == 200 { 2 } else { 1 }, "{status}\n{}", stage.world.ladder());
        stage.act(|puppet, cx| puppet.respond("BYE", 200, &[], "", cx));
        stage.world.run_for(Duration::from_secs(10));
        assert_eq!(stage.puppet().count("BYE"), 1, "{status}\n{}", stage.world.ladder());
        assert_eq!(stage.log(), ["answered true", "ended Local bye"], "{status}");
        stage.nothing_is_left();
    }
}

/// RFC 3261 §13.2.2.4: every 2xx is acknowledged for 64·T1, whether the call is still there or not, and one from
/// another fork is ended with BYE.
#[test]
fn a_second_answer_after_the_call_is_acknowledged_and_ended() {
    let mut stage = Stage::answered();
    stage.alice(Party::hang_up);
    stage.act(|puppet, cx| puppet.respond("BYE", 200, &[], "", cx));
    assert_eq!(stage.log(), ["answered true", "ended Local bye"]);
    let (acks, byes) = (stage.puppet().count("ACK"), stage.puppet().count("BYE"));
    stage.act(|puppet, cx| {
        let flow = puppet.all("INVITE").next().unwrap().2;
        cx.transmit(flow, puppet.words("INVITE", 200, "puppet", &[CONTACT], SDP));
    });
    assert_eq!((stage.puppet().count("ACK"), stage.puppet().count("BYE")), (acks + 1, byes));
    stage.act(|puppet, cx| {
        let flow = puppet.all("INVITE").next().unwrap().2;
        cx.transmit(flow, puppet.words("INVITE", 200, "other", &[CONTACT], SDP));
    });
    assert_eq!((stage.puppet().count("ACK"), stage.puppet().count("BYE")), (acks + 2, byes + 1));
    let (bye, ..) = stage.puppet().all("BYE").next_back().unwrap();
    assert_eq!(bye.to().unwrap().tag(), Some("other"));
    stage.nothing_is_left();
}

/// The other fork's 2xx comes after the first one crossed our CANCEL.
#[test]
fn two_answers_that_cross_a_cancel() {
    let mut stage = Stage::new();
    stage.act(|puppet, cx| puppet.respond("INVITE", 180, &[CONTACT], "", cx));
    stage.alice(Party::hang_up);
    stage.act(Puppet::pick_up);
    stage.act(|puppet, cx| {
        let flow = puppet.all("INVITE").next().unwrap().2;
        cx.transmit(flow, puppet.words("INVITE", 200, "other", &[CONTACT], SDP));
    });
    assert_eq!(
        (stage.puppet().count("ACK"), stage.puppet().count("BYE")),
        (2, 2),
        "{}",
        stage.world.ladder()
    );
    stage.nothing_is_left();
    assert_eq!(stage.log(), ["ended Local bye"]);
}

/// Each answered re-INVITE leaves something for 32 s, and nothing after.
#[test]
fn many_reinvites_leave_nothing() {
    let mut stage = Stage::answered();
    for _ in 0..10 {
        stage.alice(Party::reoffer);
        stage.act(Puppet::pick_up);
        stage.world.run_for(Duration::from_secs(33));
    }
    assert_eq!(stage.world.user(stage.alice).ua.requests(), 0);
    stage.alice(Party::hang_up);
    stage.act(|puppet, cx| puppet.respond("BYE", 200, &[], "", cx));
    stage.nothing_is_left();
}

/// A callee must not end an early dialog with BYE (§15). One that does is believed, but its INVITE is still
/// waited for.
#[test]
fn a_callee_that_hangs_up_before_it_answers() {
    for status in [487, 200] {
        let mut stage = Stage::new();
        stage.act(|puppet, cx| puppet.respond("INVITE", 180, &[CONTACT], "", cx));
        stage.act(|puppet, cx| puppet.ask("BYE", 1, "puppet", cx));
        assert_eq!(stage.puppet().responses.last().map(|response| response.status()), Some(200));
        let body = if status == 200 { SDP } else { "" };
        stage.act(|puppet, cx| puppet.respond("INVITE", status, &[CONTACT], body, cx));
        if status == 200 {
            assert_eq!((stage.puppet().count("ACK"), stage.puppet().count("BYE")), (1, 1));
            stage.act(|puppet, cx| puppet.respond("BYE", 481, &[], "", cx));
            assert_eq!(stage.log(), ["ended Local bye"]);
        } else {
            assert_eq!(stage.log(), ["ended Remote cancelled"]);
        }
        stage.nothing_is_left();
    }
}

/// The answer has a Contact nobody can read: it is acknowledged at the address that was called.
#[test]
fn an_answer_without_a_usable_contact() {
    for extra in [&[][..], &[("Contact", "<<nonsense")], &[("Contact", "*")]] {
        let mut stage = Stage::new();
        stage.act(|puppet, cx| puppet.respond("INVITE", 200, extra, SDP, cx));
        assert_eq!(stage.log(), ["answered true"], "{extra:?}");
        let (ack, ..) = stage.puppet().all("ACK").next().unwrap();
        assert_eq!(ack.raw_uri(), "sip:bob@192.0.2.2");
        stage.alice(Party::hang_up);
        stage.act(|puppet, cx| puppet.respond("BYE", 200, &[], "", cx));
        stage.nothing_is_left();
    }
}

/// A peer may say that its INVITE is of interest for ages; nothing of it stays when the call is over.
#[test]
fn a_far_expires_leaves_no_deadline() {
    let mut world = World::new(1);
    let bob = world.add("bob", at("192.0.2.2:5060"), Party::new(Habit::Busy));
    for number in 0..50 {
        world.inject(
            at("198.51.100.1:5060"),
            at("192.0.2.2:5060"),
            format!(
                "INVITE sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK{number}\r\n\
                 From: <sip:x@198.51.100.1>;tag={number}\r\nTo: <sip:bob@192.0.2.2>\r\nCall-ID: {number}\r\n\
                 CSeq: 1 INVITE\r\nContact: <sip:x@198.51.100.1>\r\nExpires: 4294967295\r\nContent-Length: 0\r\n\r\n"
            ),
        );
    }
    world.run_for(Duration::from_secs(130));
    assert_eq!(world.user(bob).log.len(), 100, "fifty came, fifty ended");
    assert_eq!(world.stack(bob).next_deadline(), None);
}

/// A user agent with room for one call is busy while it has one.
#[test]
fn a_second_call_finds_the_line_busy() {
    let mut pair = pair(1, &wire(), Habit::Answer);
    let bob = pair.0.add(
        "carol",
        at("192.0.2.3:5060"),
        Party {
            ua: UserAgent::new(ua::Config { calls: 1, ..ua::Config::default() }),
            ..Party::new(Habit::Answer)
        },
    );
    pair.0.with(pair.1, |party, cx| party.dial_to("sip:carol@192.0.2.3", cx));
    assert!(pair.0.run_until(|world| world.user(bob).phase() == Some(Phase::Confirmed)));
    pair.0.with(pair.2, |party, cx| party.dial_to("sip:carol@192.0.2.3", cx));
    pair.0.run_for(Duration::from_secs(1));
    assert_eq!(pair.0.user(pair.2).log, ["ended Remote 486"]);
    assert_eq!(pair.0.user(bob).phase(), Some(Phase::Confirmed));
}

/// An INVITE without an offer to somebody who plays early media: the offer waits for the 2xx, which comes. An ACK
/// without the answer ends the call.
#[test]
fn early_media_without_an_offer() {
    for answer in [SDP, ""] {
        let mut world = World::new(1);
        let responder = world.add("server", at("192.0.2.1:5060"), responder(None));
        let puppet = world.add("puppet", at("192.0.2.2:5060"), Puppet::default());
        let request = |method: &str, body: &str, tag: &str| {
            let builder = Builder::request(sipkit::message::Method::parse(method), "sip:early@192.0.2.1")
                .header(HeaderId::From, "<sip:puppet@192.0.2.2>;tag=p")
                .header(HeaderId::To, format_args!("<sip:early@192.0.2.1>{tag}"))
                .header(HeaderId::CallId, "late")
                .header(HeaderId::CSeq, format_args!("1 {method}"))
                .named(CONTACT.0, CONTACT.1);
            let builder =
                if body.is_empty() { builder } else { builder.body("application/sdp", body.as_bytes()) };
            Outgoing::new(builder.finish(), NextHop::RequestUri)
        };
        world.with(puppet, |_, cx| cx.send(request("INVITE", "", "")));
        world.run_for(Duration::from_secs(4));
        let seen: Vec<_> =
            world.user(puppet).responses.iter().map(|r| (r.status(), !r.body().is_empty())).collect();
        assert_eq!(seen[..2], [(183, false), (200, true)], "{}", world.ladder());
        let to = world.user(puppet).responses[1].to().unwrap().tag().unwrap().to_owned();
        world.with(puppet, |_, cx| cx.send(request("ACK", answer, &format!(";tag={to}"))));
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.user(puppet).count("BYE"), usize::from(answer.is_empty()), "{}", world.ladder());
        assert_eq!(world.user(responder).active(), 1);
    }
}

/// A MESSAGE within the dialog is one all the same.
#[test]
fn a_message_within_a_call_is_told() {
    let mut stage = Stage::answered();
    stage.act(|puppet, cx| puppet.ask("MESSAGE", 1, "puppet", cx));
    assert_eq!(stage.puppet().responses.last().map(|response| response.status()), Some(200));
    assert_eq!(stage.world.user(stage.alice).pages, 1);
}

/// With no room for another transaction the 2xx is still acknowledged.
#[test]
fn a_full_table_does_not_keep_a_call_from_being_acknowledged() {
    let mut world = World::new(1);
    let config = sipkit::stack::Config { transactions: 1, ..sipkit::stack::Config::default() };
    let alice = world.add_with("alice", &[at("192.0.2.1:5060")], config, Party::new(Habit::Answer));
    let bob = world.add("bob", at("192.0.2.2:5060"), Party::new(Habit::Answer));
    world.links(wire());
    world.with(alice, Party::dial);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.user(bob).phase(), Some(Phase::Confirmed), "{}", world.ladder());
}
