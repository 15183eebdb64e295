//! The notifier in the simulator: what it takes and refuses, what watchers are told and when, how subscriptions end; with
//! a subscriber that follows a script, and with our own at 20 % loss, seeds 1 to 200.

use std::sync::Arc;

use sipkit::{
    message::{AddressBuf, Builder, HeaderId, Message, Method, Request, Response, UriBuf},
    sim::{LinkConfig, Node, World},
    stack::{self, Contact, Cx, Failure, NextHop, Outgoing, Output, RequestId, Stack, TransactionUser},
    time::{Duration, Instant},
    transaction::ServerId,
    transport::{Flow, Incoming},
    ua::{
        self, Event, SubscriptionId, UserAgent, WatcherId,
        compositor::{Compositor, Limits},
        notifier::{self, Acceptance, Cause, Document, Standing, WatcherEvent},
        package::{self, Known, Reason},
        publication::{Publish, Task},
        subscription::{Subscribe, SubscriptionEvent},
    },
};

/// A server whose users say by their names what becomes of who watches them.
struct Server {
    ua: UserAgent,
    compositor: Compositor,
    watchers: Vec<WatcherId>,
    log: Vec<String>,
}

impl Server {
    fn new(config: notifier::Config) -> Self {
        let config = ua::Config { notifier: Some(config), ..ua::Config::default() };
        Self {
            ua: UserAgent::new(config),
            compositor: Compositor::new(Limits::default()),
            watchers: Vec::new(),
            log: Vec::new(),
        }
    }

    fn react(&mut self, cx: &mut Cx<'_>) {
        while let Some(event) = self.ua.event() {
            match event {
                Event::Watcher(id, WatcherEvent::Asked { request, expires, event, .. }) => {
                    self.log.push(format!("{} for {}", event.name(), expires.as_secs()));
                    self.decide(id, &request, cx);
                }
                Event::Watcher(_, WatcherEvent::Refreshed { expires }) => {
                    self.log.push(format!("refreshed for {}", expires.as_secs()));
                }
                Event::Watcher(_, WatcherEvent::NotifyFailed { status }) => {
                    self.log.push(format!("NOTIFY failed {status}"));
                }
                Event::Watcher(id, WatcherEvent::Ended { cause }) => {
                    self.watchers.retain(|watcher| *watcher != id);
                    self.log.push(match cause {
                        Cause::Expired => "expired".into(),
                        Cause::Unsubscribed => "unsubscribed".into(),
                        Cause::Fetched => "fetched".into(),
                        Cause::Terminated(reason) => format!("terminated, {reason}"),
                        Cause::NotifyRefused { status } => format!("NOTIFY refused {status}"),
                        Cause::NotifyFailed(_) => "NOTIFY failed".into(),
                        Cause::Refused { status } => format!("refused {status}"),
                        Cause::Undecided => "undecided".into(),
                    });
                }
                Event::Publish { request, id, .. } => {
                    let now = cx.now();
                    self.compositor.expire(now);
                    let outcome = self.compositor.publish(&request, BOB, now, cx.ids().u64());
                    self.ua.answer_publish(id, &request, &outcome, cx);
                    if outcome.is_ok_and(|stored| stored.has_changed()) {
                        let document = self.composed();
                        self.ua.notify_all("presence", BOB, &document, cx);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn decide(&mut self, id: WatcherId, request: &Request, cx: &mut Cx<'_>) {
        let user = request.uri().unwrap().user().unwrap_or_default().to_owned();
        let accept = |standing, document| Acceptance { resource: BOB.into(), standing, document };
        let acceptance = match user.as_str() {
            "denied" => return self.ua.refuse_watcher(id, 403, &[], cx),
            "nobody" => return,
            "pending" => accept(Standing::Pending, None),
            _ => accept(Standing::Active, Some(self.composed())),
        };
        self.watchers.push(id);
        self.ua.accept_watcher(id, acceptance, cx);
    }

    fn composed(&self) -> Arc<Document> {
        let states = self.compositor.states("presence", BOB);
        let text: Vec<_> = states.iter().map(|state| String::from_utf8_lossy(&state.body)).collect();
        state(&format!("[{}]", text.join(" ")))
    }

    fn tell(&mut self, text: &str, cx: &mut Cx<'_>) -> usize {
        let count = self.ua.notify_all("presence", BOB, &state(text), cx);
        self.react(cx);
        count
    }
}

const BOB: &str = "sip:bob@example.com";

fn state(text: &str) -> Arc<Document> {
    Arc::new(Document::new("text/plain", text.to_owned()))
}

impl TransactionUser for Server {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        self.ua.request(request, id, from, cx);
        self.react(cx);
    }

    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>) {
        self.ua.cancel(invite, cx);
    }

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        self.ua.response(id, response, cx);
        self.react(cx);
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        self.ua.failed(id, why, cx);
        self.react(cx);
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        self.ua.deadline(token, cx);
        self.react(cx);
    }
}

/// Sends what it is told to, and notes what comes.
struct Peer {
    /// How NOTIFYs are answered; 0: not at all.
    answer: u16,
    notifies: Vec<Request>,
    responses: Vec<Response>,
}

impl Peer {
    fn send(
        &mut self,
        text: &[(HeaderId, &str)],
        user: &str,
        number: u32,
        tag: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        let uri = format!("sip:{user}@192.0.2.9");
        let to = tag.map_or(format!("<{uri}>"), |tag| format!("<{uri}>;tag={tag}"));
        let mut builder = Builder::request(Method::Subscribe, &uri)
            .header(HeaderId::From, "<sip:alice@example.com>;tag=a")
            .header(HeaderId::To, to)
            .header(HeaderId::CallId, "call")
            .header(HeaderId::CSeq, format_args!("{number} SUBSCRIBE"))
            .header(HeaderId::MaxForwards, 70);
        for (id, value) in text {
            builder = builder.header(*id, value);
        }
        let contact = (!text.iter().any(|(id, _)| *id == HeaderId::Subject)).then(Contact::default);
        let outgoing = Outgoing { contact, ..Outgoing::new(builder.finish(), NextHop::RequestUri) };
        cx.send(outgoing);
    }
}

impl TransactionUser for Peer {
    fn request(&mut self, request: Request, id: Option<ServerId>, _: Flow, cx: &mut Cx<'_>) {
        let Some(id) = id else { return };
        self.notifies.push(request.clone());
        if self.answer > 0 {
            cx.respond(id, Builder::response(&request, self.answer, None).finish()).unwrap();
        }
    }

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, response: Response, _: &mut Cx<'_>) {
        self.responses.push(response);
    }

    fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
}

struct Lab {
    world: World,
    server: Node<Server>,
    peer: Node<Peer>,
    number: u32,
}

fn config() -> notifier::Config {
    notifier::Config {
        packages: vec![
            Arc::new(package::PRESENCE),
            Arc::new(package::PRESENCE_WINFO),
            Arc::new(package::DIALOG),
        ],
        publications: true,
        ..notifier::Config::default()
    }
}

impl Lab {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: notifier::Config) -> Self {
        let mut world = World::new(1);
        world.links(LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() });
        let server = world.add("server", "192.0.2.9:5060".parse().unwrap(), Server::new(config));
        let peer = Peer { answer: 200, notifies: Vec::new(), responses: Vec::new() };
        let peer = world.add("alice", "192.0.2.1:5060".parse().unwrap(), peer);
        Self { world, server, peer, number: 0 }
    }

    fn run(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
    }

    /// A SUBSCRIBE outside dialogs; its final status.
    fn ask(&mut self, user: &str, rows: &[(HeaderId, &str)]) -> u16 {
        self.subscribe(user, rows, None)
    }

    /// One in the dialog of the first response.
    fn again(&mut self, rows: &[(HeaderId, &str)]) -> u16 {
        let tag = self.peer().responses[0].to().unwrap().tag().unwrap().to_owned();
        self.subscribe("bob", rows, Some(&tag))
    }

    fn subscribe(&mut self, user: &str, rows: &[(HeaderId, &str)], tag: Option<&str>) -> u16 {
        self.number += 1;
        let number = self.number;
        self.world.with(self.peer, |peer, cx| peer.send(rows, user, number, tag, cx));
        self.run(100);
        self.peer().responses.last().unwrap().status()
    }

    fn tell(&mut self, text: &str) -> usize {
        let told = self.world.with(self.server, |server, cx| server.tell(text, cx));
        self.run(100);
        told
    }

    fn peer(&self) -> &Peer {
        self.world.user(self.peer)
    }

    fn server(&self) -> &Server {
        self.world.user(self.server)
    }

    /// The last NOTIFY, in short.
    fn last(&self) -> String {
        let notify = self.peer().notifies.last().unwrap();
        let row = |id| notify.raw(id).next().map(|row| row.text().to_string()).unwrap_or_default();
        format!("{} {}", row(HeaderId::SubscriptionState), String::from_utf8_lossy(notify.body()))
            .trim_end()
            .to_owned()
    }

    #[track_caller]
    fn quiet(&mut self) {
        self.run(70_000);
        let ua = &self.server().ua;
        let left = (ua.watchers(), ua.requests(), self.world.stack(self.server).transactions());
        assert_eq!(left, (0, 0, 0), "{}", self.world.ladder());
        assert!(ua.watchers_of("presence", BOB).next().is_none());
    }
}

const PRESENCE: (HeaderId, &str) = (HeaderId::Event, "presence");

fn expires(text: &str) -> (HeaderId, &str) {
    (HeaderId::Expires, text)
}

#[test]
fn a_whole_life() {
    let mut lab = Lab::new();
    assert_eq!(lab.ask("bob", &[(HeaderId::Event, "presence;id=4"), expires("7200")]), 200);
    let response = &lab.peer().responses[0];
    let row = |id| response.raw(id).next().map(|row| row.text().to_string());
    assert_eq!(row(HeaderId::Expires).unwrap(), "3600");
    assert_eq!(row(HeaderId::Contact).unwrap(), "<sip:192.0.2.9:5060>");
    assert_eq!(lab.last(), "active;expires=3600 []");
    let first = &lab.peer().notifies[0];
    assert_eq!(first.raw(HeaderId::Event).next().unwrap().text().to_string(), "presence;id=4");
    assert!(first.has(HeaderId::SipEtag) && first.has(HeaderId::Contact));
    let watcher = lab.server().ua.watcher(lab.server().watchers[0]).unwrap();
    assert_eq!(watcher.subscriber().to_string(), "<sip:alice@example.com>");
    assert_eq!((watcher.resource(), watcher.standing()), (BOB, Standing::Active));
    // Refreshed, for less.
    lab.run(10_000);
    assert_eq!(lab.again(&[(HeaderId::Event, "presence;id=4"), expires("600")]), 200);
    assert_eq!(lab.last(), "active;expires=600 []");
    // Other packages, other ids, brief ones.
    assert_eq!(lab.again(&[(HeaderId::Event, "dialog;id=4")]), 489);
    assert_eq!(lab.again(&[PRESENCE]), 481);
    assert_eq!(lab.again(&[(HeaderId::Event, "presence;id=4"), expires("59")]), 423);
    // And unsubscribed; the last NOTIFY brings the state (§4.2.1.4).
    assert_eq!(lab.again(&[(HeaderId::Event, "presence;id=4"), expires("0")]), 200);
    assert_eq!(lab.last(), "terminated;reason=timeout []");
    assert_eq!(lab.again(&[(HeaderId::Event, "presence;id=4"), expires("600")]), 481);
    assert_eq!(lab.server().log, ["presence for 3600", "refreshed for 600", "unsubscribed"]);
    lab.quiet();
    let numbers: Vec<_> = lab.peer().notifies.iter().map(|n| n.cseq().unwrap().number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn what_is_not_taken() {
    let mut lab = Lab::with(notifier::Config { watchers: 1, ..config() });
    assert_eq!(lab.ask("bob", &[(HeaderId::Event, "kpml")]), 489);
    let names = lab.peer().responses[0].raw(HeaderId::AllowEvents).next().unwrap().text().to_string();
    assert_eq!(names, "presence, dialog", "templates are not listed (§4.4.4)");
    assert_eq!(lab.ask("bob", &[]), 489);
    assert_eq!(lab.ask("bob", &[PRESENCE, (HeaderId::Accept, "text/html, application/*;q=0.1")]), 200);
    assert_eq!(lab.ask("bob", &[PRESENCE]), 503);
    lab.world.with(lab.server, |server, cx| {
        server.ua.terminate_watcher(server.watchers[0], Reason::Deactivated, None, cx);
        server.react(cx);
    });
    lab.run(100);
    assert_eq!(lab.last(), "terminated;reason=deactivated");
    assert_eq!(lab.ask("bob", &[PRESENCE, (HeaderId::Accept, "text/html")]), 406);
    assert_eq!(lab.ask("bob", &[PRESENCE, expires("59")]), 423);
    let least = lab.peer().responses.last().unwrap().raw(HeaderId::MinExpires).next().unwrap();
    assert_eq!(least.text().to_string(), "60");
    assert_eq!(lab.ask("bob", &[PRESENCE, expires("many")]), 400);
    assert_eq!(lab.ask("bob", &[PRESENCE, (HeaderId::Require, "magic")]), 420);
    assert_eq!(lab.ask("bob", &[PRESENCE, (HeaderId::Subject, "no Contact")]), 400);
    assert_eq!(lab.ask("denied", &[PRESENCE]), 403);
    assert_eq!(lab.subscribe("bob", &[PRESENCE], Some("unknown")), 481);
    assert_eq!(lab.ask("bob", &[PRESENCE, (HeaderId::Require, "eventlist"), expires("0")]), 200);
    // Nobody decides.
    lab.run(40_000);
    let before = lab.peer().responses.len();
    lab.ask("nobody", &[PRESENCE]);
    lab.run(10_000);
    let finals = lab.peer().responses[before..].iter().map(|r| r.status()).filter(|&status| status >= 200);
    assert_eq!(finals.collect::<Vec<_>>(), [480]);
    assert_eq!(lab.server().log.last().unwrap(), "undecided");
    lab.quiet();

    // Without a notifier all is as before.
    let mut lab = Lab::new();
    lab.world.with(lab.server, |server, _| server.ua = UserAgent::new(ua::Config::default()));
    assert_eq!(lab.ask("bob", &[PRESENCE]), 405);
}

#[test]
fn changes_are_told_at_the_pace_of_the_package() {
    let mut lab = Lab::new();
    lab.ask("bob", &[PRESENCE]);
    assert_eq!(lab.tell("one"), 1);
    lab.tell("two");
    assert_eq!(lab.peer().notifies.len(), 1, "no more than one in five seconds (RFC 3856 §6.10)");
    lab.run(5000);
    assert_eq!((lab.last().as_str(), lab.peer().notifies.len()), ("active;expires=3595 two", 2));
    // What is known is not told again, and what comes after a pause is told at once.
    lab.run(10_000);
    lab.tell("two");
    assert_eq!(lab.peer().notifies.len(), 2);
    lab.tell("three");
    assert!(lab.last().ends_with("three"));

    // One is under way at most, and the newest state follows it, whatever the pace.
    let brisk: Arc<dyn package::Package> = Arc::new(Known { pace: Duration::ZERO, ..package::PRESENCE });
    let mut lab = Lab::with(notifier::Config { packages: vec![brisk], ..config() });
    lab.ask("bob", &[PRESENCE]);
    lab.world.with(lab.peer, |peer, _| peer.answer = 0);
    lab.tell("one");
    lab.world.with(lab.peer, |peer, _| peer.notifies.clear());
    for text in ["two", "three", "four"] {
        lab.tell(text);
    }
    // Not answered: repeated by its transaction, and nothing else is sent.
    lab.run(2000);
    assert!(lab.peer().notifies.is_empty());
    let ua = &lab.server().ua;
    assert_eq!(ua.requests(), 1);
    // Until it has failed (timer F), which ends the subscription.
    lab.run(40_000);
    assert_eq!(lab.server().log.last().unwrap(), "NOTIFY failed");
    lab.quiet();

    let brisk: Arc<dyn package::Package> = Arc::new(Known { pace: Duration::ZERO, ..package::PRESENCE });
    let mut lab = Lab::with(notifier::Config { packages: vec![brisk], ..config() });
    lab.ask("bob", &[PRESENCE]);
    lab.world.with(lab.server, |server, cx| {
        for text in ["one", "two", "three", "four"] {
            server.tell(text, cx);
        }
    });
    lab.run(100);
    let bodies: Vec<_> =
        lab.peer().notifies.iter().map(|n| String::from_utf8_lossy(n.body()).into_owned()).collect();
    assert_eq!(bodies, ["[]", "one", "four"]);
}

#[test]
fn how_subscriptions_end() {
    // It is not refreshed.
    let mut lab = Lab::new();
    lab.ask("bob", &[PRESENCE, expires("600")]);
    lab.run(600_000);
    assert_eq!(lab.last(), "terminated;reason=timeout");
    assert_eq!(lab.server().log, ["presence for 600", "expired"]);
    lab.quiet();

    // The subscriber knows nothing of it, or is not there.
    for (status, line) in [(481, "NOTIFY refused 481"), (489, "NOTIFY refused 489"), (0, "NOTIFY failed")] {
        let mut lab = Lab::new();
        lab.world.with(lab.peer, |peer, _| peer.answer = status);
        lab.ask("bob", &[PRESENCE]);
        lab.run(33_000);
        assert_eq!(lab.server().log, ["presence for 3600", line]);
        lab.quiet();
    }
    // Other errors do not end it.
    let mut lab = Lab::new();
    lab.world.with(lab.peer, |peer, _| peer.answer = 500);
    lab.ask("bob", &[PRESENCE]);
    assert_eq!(lab.server().log[1..], ["NOTIFY failed 500"]);
    lab.world.with(lab.peer, |peer, _| peer.answer = 200);
    lab.run(6000);
    lab.tell("news");
    assert!(lab.last().ends_with("news"));

    // Pending, active, and not any more.
    let mut lab = Lab::new();
    lab.ask("pending", &[PRESENCE]);
    assert_eq!(lab.last(), "pending;expires=3600");
    lab.world.with(lab.server, |server, cx| {
        server.ua.set_standing(server.watchers[0], Standing::Active, Some(state("now")), cx);
    });
    lab.run(100);
    assert_eq!(lab.last(), "active;expires=3600 now");
    assert_eq!(lab.peer().notifies.len(), 2);
    lab.world.with(lab.server, |server, cx| {
        // While a NOTIFY is under way: after it, and after that nothing more.
        server.ua.set_standing(server.watchers[0], Standing::Pending, None, cx);
        server.ua.terminate_watcher(server.watchers[0], Reason::Rejected, None, cx);
        server.ua.notify(server.watchers[0], state("secret"), cx);
        server.react(cx);
    });
    lab.run(100);
    assert_eq!(lab.last(), "terminated;reason=rejected");
    assert_eq!(lab.server().log[1..], ["terminated, rejected"]);
    lab.quiet();
    let mut lab = Lab::new();
    lab.ask("bob", &[PRESENCE]);
    lab.world.with(lab.server, |server, cx| {
        let after = Some(Duration::from_secs(7));
        server.ua.terminate_watcher(server.watchers[0], Reason::Probation, after, cx);
        server.react(cx);
    });
    lab.run(100);
    assert_eq!(lab.last(), "terminated;reason=probation;retry-after=7");
    lab.quiet();

    // Asked once.
    let mut lab = Lab::new();
    assert_eq!(lab.ask("bob", &[PRESENCE, expires("0")]), 200);
    assert_eq!(lab.last(), "terminated;reason=timeout []");
    assert_eq!(lab.server().log, ["presence for 0", "fetched"]);
    lab.quiet();
}

/// RFC 5839.
#[test]
fn who_knows_the_state_is_not_told_it() {
    let mut lab = Lab::new();
    lab.ask("bob", &[PRESENCE]);
    let tag = |lab: &Lab| {
        let notify = lab.peer().notifies.last().unwrap();
        notify.raw(HeaderId::SipEtag).next().unwrap().text().to_string()
    };
    let etag = tag(&lab);
    // §6.3: nothing at all within the dialog.
    let count = lab.peer().notifies.len();
    assert_eq!(lab.again(&[PRESENCE, (HeaderId::SuppressIfMatch, &etag), expires("1200")]), 204);
    let granted = lab.peer().responses.last().unwrap().raw(HeaderId::Expires).next().unwrap();
    assert_eq!(granted.text().to_string(), "1200");
    assert_eq!(lab.peer().notifies.len(), count);
    lab.run(10_000);
    lab.tell("news");
    assert!(lab.last().ends_with("news"));
    assert_ne!(tag(&lab), etag);
    // An old one is told what is new.
    assert_eq!(lab.again(&[PRESENCE, (HeaderId::SuppressIfMatch, &etag)]), 200);
    assert!(lab.last().ends_with("news"));
    // §5.2: nothing of the state for the time being, but of the subscription.
    assert_eq!(lab.again(&[PRESENCE, (HeaderId::SuppressIfMatch, "*")]), 204);
    lab.run(10_000);
    let count = lab.peer().notifies.len();
    lab.tell("more news");
    assert_eq!(lab.peer().notifies.len(), count);
    lab.world.with(lab.server, |server, cx| {
        server.ua.set_standing(server.watchers[0], Standing::Pending, None, cx);
    });
    lab.run(100);
    assert_eq!(lab.last().split(';').next().unwrap(), "pending");
    assert!(lab.peer().notifies.last().unwrap().body().is_empty());
    // §5.7.
    let etag = tag(&lab);
    let count = lab.peer().notifies.len();
    assert_eq!(lab.again(&[PRESENCE, (HeaderId::SuppressIfMatch, &etag), expires("0")]), 204);
    assert_eq!(lab.peer().notifies.len(), count);
    assert_eq!(lab.server().log.last().unwrap(), "unsubscribed");
    // §6.2: outside a dialog a NOTIFY without a body.
    let current = state("[]").etag.clone();
    assert_eq!(lab.ask("bob", &[PRESENCE, (HeaderId::SuppressIfMatch, &current), expires("0")]), 200);
    assert_eq!(lab.last(), "terminated;reason=timeout");
    assert_eq!(tag(&lab), current);
    lab.quiet();
}

/// Subscribes and publishes with a user agent of ours.
struct Friend {
    ua: UserAgent,
    subscription: Option<SubscriptionId>,
    /// The last state, and how often it was told.
    state: Option<String>,
    over: bool,
}

impl Friend {
    fn react(&mut self) {
        while let Some(event) = self.ua.event() {
            match event {
                Event::Subscription(_, SubscriptionEvent::Notified(news)) if !news.body().is_empty() => {
                    self.state = Some(String::from_utf8_lossy(news.body()).into_owned());
                }
                Event::Subscription(_, SubscriptionEvent::Ended { cause }) => {
                    assert!(cause.is_none(), "{cause:?}");
                    self.over = true;
                }
                _ => {}
            }
        }
    }
}

impl TransactionUser for Friend {
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
}

/// Published by one and seen by the others; the same in the end, whatever is lost on the way.
#[test]
fn at_twenty_percent_loss() {
    for seed in 1..=200 {
        let mut world = World::new(seed);
        world.links(LinkConfig {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
            loss: 0.2,
            ..LinkConfig::default()
        });
        let limits = notifier::Config { most: Duration::from_secs(300), ..config() };
        let server = world.add("server", "192.0.2.9:5060".parse().unwrap(), Server::new(limits));
        let friends: Vec<_> = (1..=3)
            .map(|n| {
                let friend = Friend {
                    ua: UserAgent::new(ua::Config::default()),
                    subscription: None,
                    state: None,
                    over: false,
                };
                world.add(&format!("friend{n}"), format!("192.0.2.{n}:5060").parse().unwrap(), friend)
            })
            .collect();
        let target = || UriBuf::parse("sip:bob@192.0.2.9").unwrap();
        let from = || AddressBuf::parse("<sip:friend@example.com>").unwrap();
        for &friend in &friends {
            world.with(friend, |friend, cx| {
                let subscribe = Subscribe::new(&package::PRESENCE, target(), from());
                friend.subscription = Some(friend.ua.subscribe(subscribe, cx));
            });
        }
        let publication = world.with(friends[0], |friend, cx| {
            let body = ua::call::Body { kind: "text/plain".into(), bytes: "one".into() };
            let publish = Publish {
                task: Task::Keep { expires: Duration::from_secs(300) },
                ..Publish::new(&package::PRESENCE, target(), from(), body)
            };
            friend.ua.publish(publish, cx)
        });
        world.run_for(Duration::from_secs(700));
        world.with(friends[0], |friend, cx| {
            let body = ua::call::Body { kind: "text/plain".into(), bytes: "two".into() };
            friend.ua.modify_publication(publication, body, cx);
        });
        world.run_for(Duration::from_secs(80));
        for &friend in &friends {
            let seen = world.user(friend).state.as_deref();
            assert_eq!(seen, Some("[two]"), "seed {seed}\n{}", world.ladder());
        }
        assert_eq!(world.user(server).ua.watchers_of("presence", BOB).count(), 3, "seed {seed}");
        for &friend in &friends {
            world.with(friend, |friend, cx| friend.ua.unsubscribe(friend.subscription.unwrap(), cx));
        }
        world.with(friends[0], |friend, cx| friend.ua.unpublish(publication, cx));
        world.run_for(Duration::from_secs(120));
        for &friend in &friends {
            assert!(world.user(friend).over, "seed {seed}");
            let ua = &world.user(friend).ua;
            assert_eq!((ua.subscriptions(), ua.requests()), (0, 0), "seed {seed}");
        }
        let ua = &world.user(server).ua;
        assert_eq!((ua.watchers(), ua.requests()), (0, 0), "seed {seed}: {:?}", world.user(server).log);
        assert!(world.user(server).compositor.is_empty(), "seed {seed}");
    }
}

/// A stack alone, whose NOTIFYs are all answered 200 at once: many watchers, and what each costs.
struct Crowd {
    stack: Stack,
    server: Server,
    flow: Flow,
    now: Instant,
    notifies: usize,
}

impl Crowd {
    fn new() -> Self {
        let at = |text: &str| text.parse().unwrap();
        let flow = Flow {
            shard: 0,
            slot: 0,
            generation: 1,
            protocol: sipkit::transport::Protocol::Udp,
            local: at("192.0.2.9:5060"),
            remote: at("192.0.2.1:5060"),
        };
        let stack = Stack::new(stack::Config::default());
        Self { stack, server: Server::new(config()), flow, now: Instant::ZERO, notifies: 0 }
    }

    fn subscribe(&mut self, number: usize) {
        let text = format!(
            "SUBSCRIBE sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:watcher{number}@example.com>;tag=tag{number}\r\n\
             To: <sip:bob@192.0.2.9>\r\nCall-ID: 8d2a6c5be5f04b8b{number}@192.0.2.1\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:watcher{number}@192.0.2.1>\r\nEvent: presence\r\nExpires: 3600\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let incoming = Incoming { bytes: text.into(), flow: self.flow };
        self.stack.receive(self.now, incoming, &mut self.server);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.stack.output() {
            match output {
                Output::Connect { id, .. } => {
                    self.stack.connected(self.now, id, Ok(self.flow), &mut self.server);
                }
                Output::Transmit { bytes, .. } if bytes.starts_with(b"NOTIFY") => {
                    self.notifies += 1;
                    let notify = Message::parse(bytes, &sipkit::message::Limits::default()).unwrap();
                    let notify = notify.into_request().unwrap();
                    let bytes = Builder::response(&notify, 200, None).finish().bytes().clone();
                    let incoming = Incoming { bytes, flow: self.flow };
                    self.stack.receive(self.now, incoming, &mut self.server);
                }
                Output::Transmit { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.stack.next_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.stack.advance(self.now, &mut self.server);
            self.carry_out();
        }
        self.now = until;
    }
}

#[test]
fn a_watcher_is_small() {
    const MANY: usize = 2000;
    let mut crowd = Crowd::new();
    crowd.subscribe(MANY);
    crowd.run(60);
    let before = crate::allocations::held();
    (0..MANY).for_each(|number| crowd.subscribe(number));
    crowd.run(60);
    assert_eq!((crowd.stack.transactions(), crowd.stack.pending()), (0, 0));
    let each = (crate::allocations::held() - before) / MANY as isize;
    println!("{each} octets for a watcher");
    assert!(each < 2048, "{each} octets for a watcher");
    // One document for all of them.
    let count = crowd.notifies;
    let told = crowd.stack.with(crowd.now, &mut crowd.server, |server, cx| server.tell("news", cx));
    crowd.carry_out();
    assert_eq!((told, crowd.notifies - count), (MANY + 1, 100), "so many at once");
    crowd.run(1);
    assert_eq!(crowd.notifies - count, MANY + 1);
    crowd.run(60);
    // What is left beside is room for as many transactions at once.
    let again = (crate::allocations::held() - before) / MANY as isize;
    assert!(again < each + 500, "{again} octets after a change");
}
