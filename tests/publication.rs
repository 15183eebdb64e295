//! Publications in the simulator: initial, refresh, modify, remove, and what a compositor may answer; and the same at
//! 20 % loss with seeds 1 to 200.

use sipkit::{
    auth::{self, Login, Side},
    message::{AddressBuf, HeaderId, Request, Response, UriBuf},
    sim::{LinkConfig, Node, World},
    stack::{Cx, Failure, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::Flow,
    ua::{
        self, Event, PublicationId, UserAgent,
        call::Body,
        compositor::{Compositor, Limits},
        package,
        publication::{Adjusted, Cause, PublicationEvent, Publish, Task},
    },
};

use crate::support::compositor::Desk;

struct Person {
    ua: UserAgent,
    id: Option<PublicationId>,
    log: Vec<String>,
}

impl Person {
    fn publish(&mut self, publish: Publish, cx: &mut Cx<'_>) {
        self.id = Some(self.ua.publish(publish, cx));
        self.react();
    }

    fn modify(&mut self, text: &'static str, cx: &mut Cx<'_>) {
        self.ua.modify_publication(self.id.unwrap(), body(text), cx);
        self.react();
    }

    fn end(&mut self, cx: &mut Cx<'_>) {
        self.ua.unpublish(self.id.unwrap(), cx);
        self.react();
    }

    fn react(&mut self) {
        while let Some(event) = self.ua.event() {
            let Event::Publication(_, event) = event else { panic!("{event:?}") };
            self.log.push(match event {
                PublicationEvent::Published(published) => {
                    format!("{} for {}", published.operation.as_str(), published.expires.as_secs())
                }
                PublicationEvent::Removed { .. } => "removed".into(),
                PublicationEvent::Challenged { .. } => "challenged".into(),
                PublicationEvent::Adjusted(Adjusted::TooBrief { least, .. }) => {
                    format!("at least {}", least.as_secs())
                }
                PublicationEvent::Adjusted(Adjusted::Forgotten) => "forgotten".into(),
                PublicationEvent::Failed { cause, remaining, .. } => {
                    format!("failed: {}, still published: {}", why(&cause), remaining.is_some())
                }
                PublicationEvent::Ended { cause: None } => "ended".into(),
                PublicationEvent::Ended { cause: Some(cause) } => format!("ended: {}", why(&cause)),
            });
        }
    }
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, .. } => status.to_string(),
        Cause::Unauthorized { why, .. } => why.to_string(),
        Cause::Failed(Failure::Timeout(_)) => "timeout".into(),
        Cause::Failed(why) => why.to_string(),
        Cause::Endless => "endless".into(),
    }
}

impl TransactionUser for Person {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        self.ua.request(request, id, from, cx);
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

struct Lab {
    world: World,
    person: Node<Person>,
    desk: Node<Desk>,
}

const TARGET: &str = "sip:alice@192.0.2.9";

impl Lab {
    fn new(desk: Desk) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() };
        Self::seeded(1, link, desk)
    }

    fn scripted(script: &[(u16, &[(&'static str, &str)])]) -> Self {
        let row = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
        let script = script.iter().map(|(status, rows)| (*status, rows.iter().map(row).collect())).collect();
        Self::new(Desk { script, ..Desk::default() })
    }

    fn seeded(seed: u64, link: LinkConfig, desk: Desk) -> Self {
        let mut world = World::new(seed);
        world.links(link);
        let person = Person { ua: UserAgent::new(ua::Config::default()), id: None, log: Vec::new() };
        let person = world.add("alice", "192.0.2.1:5060".parse().unwrap(), person);
        let desk = world.add("desk", "192.0.2.9:5060".parse().unwrap(), desk);
        Self { world, person, desk }
    }

    fn publish(&mut self, change: impl FnOnce(&mut Publish)) {
        let from = AddressBuf::parse("<sip:alice@example.com>").unwrap();
        let mut publish = Publish::new(&package::PRESENCE, UriBuf::parse(TARGET).unwrap(), from, body("one"));
        change(&mut publish);
        self.world.with(self.person, |person, cx| person.publish(publish, cx));
    }

    fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    fn modify(&mut self, text: &'static str) {
        self.world.with(self.person, |person, cx| person.modify(text, cx));
    }

    fn end(&mut self) {
        self.world.with(self.person, Person::end);
        self.run(70);
        self.quiet();
    }

    #[track_caller]
    fn quiet(&self) {
        let ua = &self.person().ua;
        assert!(ua.publication(self.person().id.unwrap()).is_none(), "{}", self.world.ladder());
        let left = (ua.requests(), self.world.stack(self.person).pending());
        assert_eq!(left, (0, 0), "{}", self.world.ladder());
    }

    fn person(&self) -> &Person {
        self.world.user(self.person)
    }

    fn desk(&self) -> &Desk {
        self.world.user(self.desk)
    }

    fn states(&self) -> Vec<String> {
        let states = self.desk().compositor.states("presence", TARGET);
        states.iter().map(|state| String::from_utf8_lossy(&state.body).into_owned()).collect()
    }

    #[track_caller]
    fn saw(&self, expected: &[&str]) {
        assert_eq!(self.person().log, expected, "{}", self.world.ladder());
    }
}

fn body(text: &'static str) -> Body {
    Body { kind: "text/plain".into(), bytes: text.into() }
}

fn login() -> auth::Client {
    auth::Client::new(vec![Login::new("alice", "s3cr3t")])
}

fn guarded(limits: Limits) -> Desk {
    let mut number = 0;
    let policy = auth::Policy { lifetime: Duration::from_secs(60), ..auth::Policy::new(Side::Server, "lab") };
    let server = auth::Server::new(policy, &mut || {
        number += 1;
        number
    });
    let auth = Some((server, vec![Login::new("alice", "s3cr3t")]));
    Desk { auth, compositor: Compositor::new(limits), ..Desk::default() }
}

#[test]
fn a_whole_life() {
    let mut lab = Lab::new(guarded(Limits::default()));
    lab.publish(|publish| publish.auth = login());
    lab.run(3600);
    lab.saw(&["challenged", "initial for 3600", "challenged", "refresh for 3600"]);
    assert_eq!(lab.states(), ["one"]);
    lab.modify("two");
    lab.run(1);
    assert_eq!(lab.states(), ["two"]);
    lab.end();
    assert_eq!(lab.person().log[4..], ["challenged", "modify for 3600", "removed", "ended"]);
    assert!(lab.states().is_empty());
    // Table 1 of §4.1.
    let rows = |request: &Request| {
        (request.body().len(), request.has(HeaderId::SipIfMatch), request.has(HeaderId::Contact))
    };
    let rows: Vec<_> = lab.desk().requests.iter().map(rows).collect();
    let (refresh, modify) = ((0, true, false), (3, true, false));
    assert_eq!(rows, [(3, false, false), (3, false, false), refresh, refresh, modify, modify, refresh]);
    let numbers: Vec<_> = lab.desk().requests.iter().map(|r| r.cseq().unwrap().number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_newest_state_goes_out_after_what_is_under_way() {
    let mut lab = Lab::new(Desk::default());
    lab.publish(|_| ());
    for text in ["two", "three", "four"] {
        lab.modify(text);
    }
    lab.run(1);
    lab.saw(&["initial for 3600", "modify for 3600"]);
    assert_eq!(lab.states(), ["four"]);
    assert_eq!(lab.desk().requests.len(), 2);
    lab.end();
}

#[test]
fn what_a_compositor_may_answer() {
    // A compositor that forgot: the whole state anew, and no second try with the old tag (§5).
    let mut lab = Lab::new(Desk::default());
    lab.publish(|_| ());
    lab.run(1);
    lab.world.with(lab.desk, |desk, _| desk.compositor = Compositor::default());
    lab.run(3600);
    lab.saw(&["initial for 3600", "forgotten", "initial for 3600"]);
    assert_eq!(lab.states(), ["one"]);
    lab.world.with(lab.desk, |desk, _| desk.compositor = Compositor::default());
    lab.modify("two");
    lab.run(1);
    assert_eq!(lab.person().log[3..], ["forgotten", "initial for 3600"]);
    assert_eq!(lab.states(), ["two"]);
    lab.world.with(lab.desk, |desk, _| desk.compositor = Compositor::default());
    lab.end();
    assert_eq!(lab.person().log[5..], ["ended"]);

    // 423; a shorter time than what was asked for.
    let limits = Limits { least: Duration::from_secs(600), ..Limits::default() };
    let mut lab = Lab::new(Desk { compositor: Compositor::new(limits), ..Desk::default() });
    lab.publish(|publish| publish.task = Task::Keep { expires: Duration::from_secs(60) });
    lab.run(600);
    lab.saw(&["at least 600", "initial for 600", "refresh for 600"]);
    lab.end();

    // What would be said again ends it, what passes is tried again.
    for status in [403, 404, 415, 489, 501] {
        let mut lab = Lab::scripted(&[(status, &[])]);
        lab.publish(|_| ());
        lab.run(10_000);
        lab.saw(&[&format!("ended: {status}")]);
        lab.quiet();
    }
    let mut lab = Lab::scripted(&[(503, &[("Retry-After", "300")])]);
    lab.publish(|_| ());
    lab.run(200);
    lab.modify("two");
    lab.run(99);
    lab.saw(&["failed: 503, still published: false"]);
    lab.run(2);
    assert_eq!(lab.person().log[1..], ["initial for 3600"]);
    assert_eq!(lab.states(), ["two"]);

    // Silence: until it has expired, and beyond.
    lab.world.unplug(lab.desk);
    lab.modify("three");
    lab.run(8000);
    assert_eq!(lab.person().log[2], "failed: timeout, still published: true");
    assert_eq!(lab.person().log.last().unwrap(), "failed: timeout, still published: false");
    lab.world.plug(lab.desk);
    lab.run(1900);
    assert_eq!(lab.person().log.last().unwrap(), "initial for 3600");
    assert_eq!(lab.states(), ["three"]);
    lab.end();

    // Challenges without end; a wrong password.
    let mut lab = Lab::new(guarded(Limits::default()));
    lab.publish(|publish| publish.auth = auth::Client::new(vec![Login::new("alice", "wrong")]));
    lab.run(100);
    assert!(lab.person().log.last().unwrap().starts_with("ended: "), "{:?}", lab.person().log);
    let mut lab = Lab::scripted(&[]);
    lab.world.with(lab.desk, |desk, _| {
        desk.script = (0..100)
            .map(|n| (401, vec![("WWW-Authenticate", format!("Digest realm=\"r{n}\", nonce=\"{n}\""))]))
            .collect();
    });
    lab.publish(|publish| publish.auth = login());
    lab.run(29);
    assert_eq!(lab.person().log.last().unwrap(), "failed: endless, still published: false");
    assert!(lab.desk().requests.len() <= 10);
    lab.end();
}

#[test]
fn one_publish() {
    let mut lab = Lab::new(Desk::default());
    lab.publish(|publish| publish.task = Task::Once { expires: Duration::from_secs(600) });
    lab.run(1);
    lab.saw(&["initial for 600", "ended"]);
    assert_eq!(lab.states(), ["one"]);
    // Another one goes on with it, and a third one removes it.
    let etag = |lab: &Lab| lab.desk().compositor.states("presence", TARGET)[0].etag.to_string();
    let tag = etag(&lab);
    lab.publish(|publish| {
        publish.task = Task::Once { expires: Duration::from_secs(600) };
        publish.etag = Some(tag);
        publish.body = body("two");
    });
    lab.run(1);
    assert_eq!(lab.person().log[2..], ["modify for 600", "ended"]);
    let tag = etag(&lab);
    lab.publish(|publish| (publish.task, publish.etag) = (Task::Remove, Some(tag)));
    lab.run(1);
    assert_eq!(lab.person().log[4..], ["removed", "ended"]);
    assert!(lab.states().is_empty());
    lab.publish(|publish| (publish.task, publish.etag) = (Task::Remove, Some("gone".into())));
    lab.run(40);
    assert_eq!(lab.person().log[6..], ["ended"]);
    lab.quiet();
    let mut lab = Lab::scripted(&[(500, &[])]);
    lab.publish(|publish| publish.task = Task::Once { expires: Duration::from_secs(600) });
    lab.run(1);
    lab.saw(&["ended: 500"]);
}

#[test]
fn the_end_comes_in_every_state() {
    // While it is under way: waited for, and undone.
    let mut lab = Lab::new(Desk::default());
    lab.publish(|_| ());
    lab.end();
    lab.saw(&["initial for 3600", "removed", "ended"]);
    // While it is challenged or waits there is nothing to undo.
    let mut lab = Lab::new(guarded(Limits::default()));
    lab.publish(|publish| publish.auth = login());
    lab.end();
    assert_eq!(lab.person().log.last().unwrap(), "ended");
    assert!(lab.states().is_empty());
    let mut lab = Lab::scripted(&[(503, &[])]);
    lab.publish(|_| ());
    lab.run(1);
    lab.end();
    lab.saw(&["failed: 503, still published: false", "ended"]);
    // Nobody there.
    let mut lab = Lab::new(Desk::default());
    lab.publish(|_| ());
    lab.run(1);
    lab.world.unplug(lab.desk);
    lab.end();
    assert_eq!(lab.person().log.last().unwrap(), "ended: timeout");
}

/// The same state in the end, whatever is lost on the way.
#[test]
fn at_twenty_percent_loss() {
    for seed in 1..=200 {
        let link = LinkConfig {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
            loss: 0.2,
            ..LinkConfig::default()
        };
        let limits = Limits { most: Duration::from_secs(300), ..Limits::default() };
        let mut lab = Lab::seeded(seed, link, guarded(limits));
        lab.publish(|publish| publish.auth = login());
        lab.run(50);
        lab.modify("two");
        lab.run(600);
        lab.modify("three");
        lab.run(40);
        assert_eq!(lab.states(), ["three"], "seed {seed}: {:?}\n{}", lab.person().log, lab.world.ladder());
        lab.end();
        assert_eq!(lab.person().log.last().unwrap(), "ended", "seed {seed}: {:?}", lab.person().log);
        assert!(lab.states().is_empty(), "seed {seed}");
    }
}
