//! Registrations and requests outside calls in the simulator: what the registrar may answer, address translators,
//! lost flows; and all the same at 20 % loss with seeds 1 to 50.

use std::net::SocketAddr;

use sipkit::{
    auth::{self, Login, Side},
    message::{AddressBuf, HeaderId, Request, Response, UriBuf, header},
    phone::bindings::Limits,
    sim::{LinkConfig, Node, World},
    stack::{Cx, Failure, NextHop, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::{Flow, FlowError},
    ua::{
        self, Event, RegistrationId, UserAgent,
        call::Body,
        page::{Query, QueryEvent},
        registration::{Adjusted, Binding, Cause, Granted, Register, RegistrationEvent, Task},
    },
};

use crate::support::registrar::Registrar;

/// A phone that registers, and notes what it learns.
struct Phone {
    ua: UserAgent,
    id: Option<RegistrationId>,
    log: Vec<String>,
    granted: Vec<Granted>,
}

impl Phone {
    fn new() -> Self {
        let config = ua::Config { contact_user: Some("alice".into()), ..ua::Config::default() };
        Self { ua: UserAgent::new(config), id: None, log: Vec::new(), granted: Vec::new() }
    }

    fn register(&mut self, register: Register, cx: &mut Cx<'_>) {
        self.id = Some(self.ua.register(register, cx));
        self.react();
    }

    fn end(&mut self, cx: &mut Cx<'_>) {
        self.ua.unregister(self.id.unwrap(), cx);
        self.react();
    }

    fn message(&mut self, text: &'static str, auth: auth::Client, cx: &mut Cx<'_>) {
        let target = UriBuf::parse("sip:bob@192.0.2.9").unwrap();
        let body = Body { kind: "text/plain".into(), bytes: text.into() };
        let mut query = Query::message(target, AddressBuf::parse(AOR).unwrap(), body);
        query.registration = self.id;
        query.auth = auth;
        self.ua.query(query, cx);
        self.react();
    }

    fn react(&mut self) {
        while let Some(event) = self.ua.event() {
            let line = match event {
                Event::Registration(_, event) => self.told(event),
                Event::Query(_, QueryEvent::Answered { response, .. }) => {
                    format!("answered {}", response.status())
                }
                Event::Query(_, QueryEvent::Challenged { .. }) => "query challenged".into(),
                Event::Query(_, other) => format!("{other:?}"),
                other => panic!("{other:?}"),
            };
            self.log.push(line);
        }
    }

    fn told(&mut self, event: RegistrationEvent) -> String {
        match event {
            RegistrationEvent::Registered(granted) => {
                let line = format!("registered {}", granted.expires.as_secs());
                self.granted.push(*granted);
                line
            }
            RegistrationEvent::Bindings { bindings, .. } => {
                let uris: Vec<_> = bindings.iter().map(|binding| binding.uri.to_string()).collect();
                format!("bindings {}", uris.join(" "))
            }
            RegistrationEvent::Removed { bindings, .. } => format!("removed, {} left", bindings.len()),
            RegistrationEvent::Challenged { .. } => "challenged".into(),
            RegistrationEvent::Adjusted(why) => match why {
                Adjusted::TooBrief { least, .. } => format!("at least {}", least.as_secs()),
                Adjusted::Redirected { status, to } => format!("{status} to {to}"),
                Adjusted::Translated { public, .. } => format!("seen as {public}"),
                Adjusted::Moved { from } => format!("moved from {from}"),
                Adjusted::NoOutbound => "no outbound".into(),
            },
            RegistrationEvent::FlowLost { .. } => "flow lost".into(),
            RegistrationEvent::Unread { number, why } => format!("Contact {number}: {why}"),
            RegistrationEvent::Failed { cause, retry_in, remaining } => {
                assert!(retry_in >= Duration::from_secs(30));
                format!("failed: {}, still bound: {}", why(&cause), remaining.is_some())
            }
            RegistrationEvent::Ended { cause } => match cause {
                None => "ended".into(),
                Some(cause) => format!("ended: {}", why(&cause)),
            },
        }
    }
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, .. } => status.to_string(),
        Cause::Unauthorized { why, .. } => why.to_string(),
        Cause::Failed(Failure::Timeout(_)) => "timeout".into(),
        Cause::Failed(why) => why.to_string(),
        Cause::NotGranted => "not granted".into(),
        Cause::Endless => "endless".into(),
    }
}

impl TransactionUser for Phone {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        self.ua.request(request, id, from, cx);
        self.react();
    }

    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>) {
        self.ua.cancel(invite, cx);
    }

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        self.ua.response(id, response, cx);
        self.react();
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        self.ua.failed(id, why, cx);
        self.react();
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        self.ua.deadline(token, cx);
        self.react();
    }

    fn flow_lost(&mut self, flow: Flow, why: &FlowError, cx: &mut Cx<'_>) {
        self.ua.flow_lost(flow, why, cx);
        self.react();
    }
}

struct Lab {
    world: World,
    phone: Node<Phone>,
    registrar: Node<Registrar>,
}

const AOR: &str = "Alice <sip:alice@example.com>";

impl Lab {
    fn new(registrar: Registrar) -> Self {
        Self::with(1, LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() }, registrar)
    }

    fn with(seed: u64, link: LinkConfig, registrar: Registrar) -> Self {
        let mut world = World::new(seed);
        world.links(link);
        world.name("example.com", &["192.0.2.9".parse().unwrap()]);
        let phone = world.add("alice", "192.0.2.1:5060".parse().unwrap(), Phone::new());
        let registrar = world.add("registrar", "192.0.2.9:5060".parse().unwrap(), registrar);
        Self { world, phone, registrar }
    }

    fn register(&mut self, change: impl FnOnce(&mut Register)) {
        let mut register = register();
        change(&mut register);
        self.world.with(self.phone, |phone, cx| phone.register(register, cx));
    }

    fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    fn end(&mut self) {
        self.world.with(self.phone, Phone::end);
        self.run(40);
        self.quiet();
    }

    #[track_caller]
    fn quiet(&self) {
        let left = (self.phone().ua.requests(), self.world.stack(self.phone).pending());
        assert_eq!(left, (0, 0), "{}", self.world.ladder());
        assert!(self.phone().ua.registration(self.phone().id.unwrap()).is_none());
    }

    fn phone(&self) -> &Phone {
        self.world.user(self.phone)
    }

    fn registrar(&self) -> &Registrar {
        self.world.user(self.registrar)
    }

    #[track_caller]
    fn saw(&self, expected: &[&str]) {
        assert_eq!(self.phone().log, expected, "{}", self.world.ladder());
    }

    /// Contact rows of the REGISTERs that came.
    fn contacts(&self) -> Vec<String> {
        let rows = |request: &Request| {
            let rows: Vec<_> = request.raw(HeaderId::Contact).map(|row| row.text().to_string()).collect();
            rows.join(", ")
        };
        self.registrar().requests.iter().map(rows).collect()
    }
}

fn register() -> Register {
    Register::new(AddressBuf::parse(AOR).unwrap(), UriBuf::parse("sip:example.com").unwrap())
}

fn guarded(registrar: Registrar, lifetime: u64) -> Registrar {
    let mut number = 0;
    let policy =
        auth::Policy { lifetime: Duration::from_secs(lifetime), ..auth::Policy::new(Side::Server, "lab") };
    let server = auth::Server::new(policy, &mut || {
        number += 1;
        number
    });
    Registrar { auth: Some((server, vec![Login::new("alice", "s3cr3t")])), ..registrar }
}

fn login() -> auth::Client {
    auth::Client::new(vec![Login::new("alice", "s3cr3t")])
}

#[test]
fn a_whole_life() {
    let mut lab = Lab::new(guarded(Registrar::default(), 100_000));
    lab.register(|register| register.auth = login());
    lab.run(1);
    lab.saw(&["challenged", "registered 3600"]);
    let granted = &lab.phone().granted[0];
    assert_eq!(granted.own, Some(0));
    assert_eq!(granted.contact.as_ref().unwrap().as_str(), "sip:alice@192.0.2.1:5060");
    assert_eq!(granted.round_trip, Duration::from_millis(20));
    let early = Duration::from_secs(3600 - 40);
    assert!(granted.refresh_in > Duration::from_secs(2400) && granted.refresh_in < early);
    // Refreshed with the nonce in hand.
    lab.run(3600);
    lab.saw(&["challenged", "registered 3600", "registered 3600"]);
    let first = &lab.registrar().requests[0];
    let ids = |request: &Request| {
        (request.call_id().unwrap().to_owned(), request.from_tag().unwrap().map(str::to_owned))
    };
    assert!(
        lab.registrar().requests.iter().all(|request| ids(request) == ids(first)),
        "one Call-ID and tag (§10.2.4)"
    );
    lab.end();
    assert_eq!(lab.phone().log[3..], ["removed, 0 left", "ended"]);
    let numbers: Vec<_> = lab.registrar().requests.iter().map(|r| r.cseq().unwrap().number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn stale_nonces_and_wrong_passwords() {
    let mut lab = Lab::new(guarded(Registrar::default(), 60));
    lab.register(|register| register.auth = login());
    lab.run(7200);
    assert_eq!(lab.phone().log[..4], ["challenged", "registered 3600", "challenged", "registered 3600"]);
    lab.end();

    let mut lab = Lab::new(Registrar::default());
    let challenge =
        || (401, vec![("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"".to_owned())]);
    lab.world.with(lab.registrar, |registrar, _| registrar.script.extend([challenge(), challenge()]));
    lab.register(|register| register.auth = login());
    lab.run(100_000);
    lab.saw(&["challenged", "ended: realm \"r\" does not accept user or password"]);
    assert_eq!(lab.registrar().requests.len(), 2);
    lab.quiet();
}

#[test]
fn what_the_registrar_wants_otherwise() {
    // 423 raises the interval for good; once it is what was asked for, it is a failure.
    let limits = Limits { least: Duration::from_secs(600), ..Limits::default() };
    let mut lab = Lab::new(Registrar::new(limits));
    lab.register(|r| {
        r.task = Task::Keep { contacts: vec![Binding::default()], expires: Duration::from_secs(60) }
    });
    lab.run(700);
    lab.saw(&["at least 600", "registered 600", "registered 600"]);
    lab.end();

    let brief = || (423, vec![("Min-Expires", "60".to_owned())]);
    let mut lab = Lab::new(Registrar { script: [brief()].into(), ..Registrar::default() });
    lab.register(|_| ());
    lab.run(1);
    lab.saw(&["failed: 423, still bound: false"]);

    // One redirection, remembered if it is permanent.
    let to = |status: u16, host: &str| (status, vec![("Contact", format!("<sip:{host}>"))]);
    let mut lab = Lab::new(Registrar { script: [to(301, "192.0.2.9")].into(), ..Registrar::default() });
    lab.register(|_| ());
    lab.run(3600);
    lab.saw(&["301 to sip:192.0.2.9", "registered 3600", "registered 3600"]);
    let uris: Vec<_> = lab.registrar().requests.iter().map(|r| r.raw_uri().to_owned()).collect();
    assert_eq!(uris, ["sip:example.com", "sip:192.0.2.9", "sip:192.0.2.9"]);
    let script = [to(302, "192.0.2.9"), to(302, "192.0.2.9")].into();
    let mut lab = Lab::new(Registrar { script, ..Registrar::default() });
    lab.register(|_| ());
    lab.run(1);
    lab.saw(&["302 to sip:192.0.2.9", "ended: 302"]);

    // Outbound given up where the first hop cannot.
    let mut lab = Lab::new(Registrar { script: [(439, Vec::new())].into(), ..Registrar::default() });
    lab.register(|r| (r.instance, r.reg_id) = (Some("urn:uuid:1".into()), Some(1)));
    lab.run(1);
    lab.saw(&["no outbound", "registered 3600"]);
    assert_eq!(
        lab.contacts(),
        [
            "<sip:alice@192.0.2.1:5060>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
            "<sip:alice@192.0.2.1:5060>;+sip.instance=\"<urn:uuid:1>\""
        ]
    );
}

#[test]
fn failures_pass_or_last() {
    // 503 with Retry-After: not before.
    let busy = (503, vec![("Retry-After", "300".to_owned())]);
    let mut lab = Lab::new(Registrar { script: [busy].into(), ..Registrar::default() });
    lab.register(|_| ());
    lab.run(299);
    lab.saw(&["failed: 503, still bound: false"]);
    lab.run(2);
    lab.saw(&["failed: 503, still bound: false", "registered 3600"]);

    // No answer for a while, after it had been registered.
    lab.world.unplug(lab.registrar);
    lab.run(8000);
    let log = lab.phone().log[2..].to_vec();
    assert!(log.len() > 2 && log[0] == "failed: timeout, still bound: true", "{log:?}");
    assert_eq!(log.last().unwrap(), "failed: timeout, still bound: false");
    lab.world.plug(lab.registrar);
    lab.run(1900);
    assert_eq!(lab.phone().log.last().unwrap(), "registered 3600");
    lab.end();

    // What would be said again ends it.
    for status in [403, 404, 600] {
        let mut lab = Lab::new(Registrar { script: [(status, Vec::new())].into(), ..Registrar::default() });
        lab.register(|_| ());
        lab.run(10_000);
        lab.saw(&[&format!("ended: {status}")]);
    }
    // A single REGISTER is not tried again.
    let mut lab = Lab::new(Registrar { script: [(500, Vec::new())].into(), ..Registrar::default() });
    lab.register(|r| r.task = Task::Query);
    lab.run(10_000);
    lab.saw(&["ended: 500"]);
    // Nor is there an end of 401s with a fresh nonce each.
    let again = |n: u32| {
        let challenge = format!("Digest realm=\"r{n}\", nonce=\"{n}\", qop=\"auth\"");
        (401, vec![("WWW-Authenticate", challenge)])
    };
    let mut lab = Lab::new(Registrar { script: (0..100).map(again).collect(), ..Registrar::default() });
    lab.register(|register| register.auth = login());
    lab.run(29);
    assert_eq!(lab.phone().log.last().unwrap(), "failed: endless, still bound: false");
    assert!(lab.registrar().requests.len() <= 10);
}

#[test]
fn an_address_translator_is_noticed_once() {
    let public: SocketAddr = "198.51.100.7:40001".parse().unwrap();
    // From the challenge already: the private address is never bound.
    let mut lab = Lab::new(Registrar { seen_from: vec![public], ..guarded(Registrar::default(), 100_000) });
    lab.register(|register| register.auth = login());
    lab.run(3600);
    lab.saw(&["seen as 198.51.100.7:40001", "challenged", "registered 3600", "registered 3600"]);
    assert_eq!(lab.contacts()[1], "<sip:alice@198.51.100.7:40001>");
    lab.end();

    // From the 200: the private address is replaced.
    let mut lab = Lab::new(Registrar { seen_from: vec![public], ..Registrar::default() });
    lab.register(|_| ());
    lab.run(1);
    lab.saw(&["seen as 198.51.100.7:40001", "registered 3600"]);
    assert_eq!(lab.contacts()[1], "<sip:alice@192.0.2.1:5060>;expires=0, <sip:alice@198.51.100.7:40001>");
    assert_eq!(lab.registrar().bound, [1, 1]);
    lab.end();
    assert_eq!(lab.registrar().bound, [1, 1, 0]);

    // Another address for each request: given up after a few.
    let many = (0..50).map(|port| SocketAddr::new(public.ip(), 40_000 + port)).collect();
    let mut lab = Lab::new(Registrar { seen_from: many, ..Registrar::default() });
    lab.register(|_| ());
    lab.run(36_000);
    let seen = lab.phone().log.iter().filter(|line| line.starts_with("seen as")).count();
    assert_eq!(seen, 3, "{:?}", lab.phone().log);
    lab.end();
    assert_eq!(lab.registrar().bound.last(), Some(&0));

    // Outbound does not need it if it is granted, and does if not.
    for granted in [true, false] {
        let extra = if granted { vec![("Require", "outbound".to_owned())] } else { Vec::new() };
        let registrar = Registrar { seen_from: vec![public], extra, ..Registrar::default() };
        let mut lab = Lab::new(registrar);
        lab.register(|register| {
            register.instance = Some("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into());
            register.reg_id = Some(1);
        });
        lab.run(1);
        match granted {
            true => lab.saw(&["registered 3600"]),
            false => lab.saw(&["seen as 198.51.100.7:40001", "registered 3600"]),
        }
        assert_eq!(lab.registrar().bound.last(), Some(&1), "granted: {granted}");
    }

    // Not wanted.
    let mut lab = Lab::new(Registrar { seen_from: vec![public], ..Registrar::default() });
    lab.register(|register| register.rewrite = false);
    lab.run(1);
    lab.saw(&["registered 3600"]);
}

#[test]
fn outbound_gruu_and_service_route_are_used() {
    let extra = vec![
        ("Require", "outbound".to_owned()),
        ("Flow-Timer", "120".to_owned()),
        ("Path", "<sip:edge.example.com;lr;ob>".to_owned()),
        ("Service-Route", "<sip:192.0.2.9;lr>, <sip:192.0.2.10;lr>".to_owned()),
    ];
    let mut lab = Lab::new(Registrar { extra, ..Registrar::default() });
    lab.register(|register| {
        register.instance = Some("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into());
        register.reg_id = Some(1);
        register.gruu = true;
    });
    lab.run(1);
    lab.saw(&["registered 3600"]);
    let request = &lab.registrar().requests[0];
    let supported: Vec<_> = request.each::<header::Supported>().flatten().collect();
    assert_eq!(supported, ["path", "outbound", "gruu"]);
    let granted = &lab.phone().granted[0];
    assert!(granted.outbound);
    assert_eq!(granted.flow_timer, Some(Duration::from_secs(120)));
    assert_eq!(granted.path, ["<sip:edge.example.com;lr;ob>"]);
    let gruu = granted.bindings[granted.own.unwrap()].public_gruu.clone().unwrap();
    assert_eq!(gruu.as_str(), "sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6");

    lab.world.with(lab.phone, |phone, cx| {
        let mut query =
            Query::options(UriBuf::parse("sip:bob@example.net").unwrap(), AddressBuf::parse(AOR).unwrap());
        query.registration = phone.id;
        phone.ua.query(query, cx);
        phone.message("hello", auth::Client::default(), cx);
    });
    lab.run(1);
    let request = |at: usize| &lab.registrar().requests[at];
    for at in [1, 2] {
        let routes: Vec<_> = request(at).raw(HeaderId::Route).map(|row| row.text().to_string()).collect();
        assert_eq!(routes, ["<sip:192.0.2.9;lr>", "<sip:192.0.2.10;lr>"]);
    }
    assert_eq!(request(1).contact().unwrap().unwrap().to_string(), format!("<{gruu}>"));
    assert!(!request(2).has(HeaderId::Contact), "a MESSAGE has no Contact (RFC 3428 §4)");
}

#[test]
fn several_bindings_query_and_remove() {
    let other = UriBuf::parse("sip:alice@192.0.2.77:5070").unwrap();
    let mut lab = Lab::new(Registrar::default());
    let contacts =
        vec![Binding { uri: None, q: Some(1000) }, Binding { uri: Some(other.clone()), q: Some(250) }];
    lab.register(|r| r.task = Task::Once { contacts, expires: Duration::from_secs(600) });
    lab.run(1);
    lab.saw(&["registered 600", "ended"]);
    lab.register(|r| r.task = Task::Query);
    lab.run(1);
    lab.register(|r| r.task = Task::Remove(vec![other]));
    lab.run(1);
    lab.register(|r| r.task = Task::RemoveAll);
    lab.run(1);
    assert_eq!(
        lab.phone().log[2..],
        [
            "bindings sip:alice@192.0.2.77:5070 sip:alice@192.0.2.1:5060",
            "ended",
            "removed, 1 left",
            "ended",
            "removed, 0 left",
            "ended"
        ]
    );
    assert_eq!(
        lab.contacts(),
        [
            "<sip:alice@192.0.2.77:5070>;q=0.250, <sip:alice@192.0.2.1:5060>;q=1.000",
            "",
            "<sip:alice@192.0.2.77:5070>",
            "*"
        ]
    );
    lab.run(60);
    lab.quiet();
}

#[test]
fn the_end_comes_in_every_state() {
    // While the first REGISTER is under way: it is waited for, and undone.
    let mut lab = Lab::new(guarded(Registrar::default(), 600));
    lab.register(|register| register.auth = login());
    lab.world.with(lab.phone, Phone::end);
    lab.run(1);
    lab.saw(&["challenged", "ended"]);
    let mut lab = Lab::new(Registrar::default());
    lab.register(|_| ());
    lab.world.with(lab.phone, Phone::end);
    lab.run(1);
    lab.saw(&["removed, 0 left", "ended"]);
    // While it waits to try again.
    let mut lab = Lab::new(Registrar { script: [(500, Vec::new())].into(), ..Registrar::default() });
    lab.register(|_| ());
    lab.run(1);
    lab.end();
    lab.saw(&["failed: 500, still bound: false", "ended"]);
    // The registrar is gone.
    let mut lab = Lab::new(Registrar::default());
    lab.register(|_| ());
    lab.run(1);
    lab.world.unplug(lab.registrar);
    lab.end();
    lab.saw(&["registered 3600", "ended: timeout"]);
}

#[test]
fn a_message_is_challenged_and_arrives() {
    let mut lab = Lab::new(guarded(Registrar::default(), 600));
    lab.world.with(lab.phone, |phone, cx| phone.message("hello", login(), cx));
    lab.run(1);
    lab.saw(&["query challenged", "answered 200"]);
    assert_eq!(lab.registrar().text, ["hello"]);
    lab.world.with(lab.phone, |phone, cx| phone.message("again", auth::Client::default(), cx));
    lab.run(1);
    assert!(lab.phone().log[2].starts_with("Unauthorized"), "{:?}", lab.phone().log);
    assert_eq!(lab.phone().ua.requests(), 0);
}

/// Whatever is lost: registered, refreshed, and gone at the end.
#[test]
fn twenty_per_cent_loss() {
    let link = LinkConfig {
        loss: 0.2,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(30),
        reorder: 0.05,
        hold: Duration::from_millis(100),
        duplicate: 0.05,
        ..LinkConfig::default()
    };
    for seed in 1..=50 {
        let public = "198.51.100.7:40001".parse().unwrap();
        let registrar = Registrar { seen_from: vec![public], ..guarded(Registrar::default(), 1000) };
        let mut lab = Lab::with(seed, link, registrar);
        lab.register(|register| {
            register.auth = login();
            register.task =
                Task::Keep { contacts: vec![Binding::default()], expires: Duration::from_secs(300) };
        });
        lab.run(1500);
        let log = &lab.phone().log;
        let registered = log.iter().filter(|line| *line == "registered 300").count();
        let failed = log.iter().any(|line| line.starts_with("failed"));
        assert!(registered >= 5 && !failed, "seed {seed}: {log:?}\n{}", lab.world.ladder());
        lab.world.with(lab.phone, Phone::end);
        lab.run(70);
        let log = &lab.phone().log;
        assert_eq!(log[log.len() - 2..], ["removed, 0 left", "ended"], "seed {seed}\n{}", lab.world.ladder());
        lab.quiet();
        let now = lab.world.now();
        assert_eq!(lab.registrar().bindings.len(now), 0, "seed {seed}");
    }
}

/// An outbound proxy is what requests go to, whatever the address of record says.
#[test]
fn by_way_of_a_proxy() {
    let mut lab = Lab::new(Registrar::default());
    lab.register(|register| {
        register.registrar = UriBuf::parse("sip:nowhere.invalid").unwrap();
        register.next = NextHop::Uri(UriBuf::parse("sip:192.0.2.9").unwrap());
    });
    lab.run(1);
    lab.saw(&["registered 3600"]);
}
