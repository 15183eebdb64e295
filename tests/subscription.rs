//! Subscriptions in the simulator: what a notifier may answer and notify of, forks, ends of every kind; and the same at
//! 20 % loss with seeds 1 to 200.

use sipkit::{
    auth::{self, Login, Side},
    message::{AddressBuf, HeaderId, Request, Response, UriBuf, header},
    sim::{LinkConfig, Node, World},
    stack::{Cx, Failure, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::{Flow, FlowError},
    ua::{
        self, Event, SubscriptionId, UserAgent, package,
        subscription::{Adjusted, Cause, Forking, Subscribe, SubscriptionEvent, Task},
    },
};

use crate::support::notifier::{Notifier, Plan};

/// Subscribes, and notes what it learns.
struct Watcher {
    ua: UserAgent,
    id: Option<SubscriptionId>,
    log: Vec<String>,
}

impl Watcher {
    fn new() -> Self {
        Self { ua: UserAgent::new(ua::Config::default()), id: None, log: Vec::new() }
    }

    fn subscribe(&mut self, subscribe: Subscribe, cx: &mut Cx<'_>) {
        self.id = Some(self.ua.subscribe(subscribe, cx));
        self.react();
    }

    fn end(&mut self, cx: &mut Cx<'_>) {
        self.ua.unsubscribe(self.id.unwrap(), cx);
        self.react();
    }

    fn react(&mut self) {
        while let Some(event) = self.ua.event() {
            let Event::Subscription(_, event) = event else { panic!("{event:?}") };
            let line = told(event);
            self.log.push(line);
        }
    }
}

fn told(event: SubscriptionEvent) -> String {
    match event {
        SubscriptionEvent::Accepted { status, expires, .. } => format!("{status} for {}", expires.as_secs()),
        SubscriptionEvent::Notified(notification) => {
            let body = String::from_utf8_lossy(notification.body()).into_owned();
            format!("{}: {} {body}", notification.fork, notification.state).trim_end().to_owned()
        }
        SubscriptionEvent::Unchanged { fork, expires } => {
            format!("{fork}: unchanged for {}", expires.as_secs())
        }
        SubscriptionEvent::NotifyRefused { status, .. } => format!("NOTIFY refused {status}"),
        SubscriptionEvent::Challenged { .. } => "challenged".into(),
        SubscriptionEvent::Adjusted(Adjusted::TooBrief { least, .. }) => {
            format!("at least {}", least.as_secs())
        }
        SubscriptionEvent::Adjusted(Adjusted::Redirected { status, to }) => format!("{status} to {to}"),
        SubscriptionEvent::FlowLost { .. } => "flow lost".into(),
        SubscriptionEvent::ForkEnded { fork, cause } => format!("{fork}: ended, {}", why(&cause)),
        SubscriptionEvent::Renewing { cause } => format!("renewing: {}", why(&cause)),
        SubscriptionEvent::Failed { cause, remaining, .. } => {
            format!("failed: {}, still subscribed: {}", why(&cause), remaining.is_some())
        }
        SubscriptionEvent::Missed { count } => format!("missed {count}"),
        SubscriptionEvent::Ended { cause: None } => "ended".into(),
        SubscriptionEvent::Ended { cause: Some(cause) } => format!("ended: {}", why(&cause)),
    }
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, .. } => status.to_string(),
        Cause::Unauthorized { why, .. } => why.to_string(),
        Cause::Failed(Failure::Timeout(_)) => "timeout".into(),
        Cause::Failed(why) => why.to_string(),
        Cause::Silent => "silent".into(),
        Cause::Terminated(why) => why.reason.as_ref().map_or("no reason".into(), |reason| reason.to_string()),
        Cause::Expired => "expired".into(),
        Cause::Endless => "endless".into(),
    }
}

impl TransactionUser for Watcher {
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

    fn is_using(&self, flow: &Flow) -> bool {
        self.ua.is_using(flow)
    }
}

struct Lab {
    world: World,
    watcher: Node<Watcher>,
    notifier: Node<Notifier>,
}

impl Lab {
    fn new(script: Vec<Plan>) -> Self {
        Self::with(Notifier { script: script.into(), ..Notifier::default() })
    }

    fn with(notifier: Notifier) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() };
        Self::seeded(1, link, notifier)
    }

    fn seeded(seed: u64, link: LinkConfig, notifier: Notifier) -> Self {
        let mut world = World::new(seed);
        world.links(link);
        let watcher = world.add("alice", "192.0.2.1:5060".parse().unwrap(), Watcher::new());
        let notifier = world.add("notifier", "192.0.2.9:5060".parse().unwrap(), notifier);
        Self { world, watcher, notifier }
    }

    fn subscribe(&mut self, change: impl FnOnce(&mut Subscribe)) {
        let mut subscribe = subscribe();
        change(&mut subscribe);
        self.world.with(self.watcher, |watcher, cx| watcher.subscribe(subscribe, cx));
    }

    fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    fn notify(&mut self, fork: usize, state: &str, body: &str) {
        self.world.with(self.notifier, |notifier, cx| notifier.notify(fork, state, body, cx));
    }

    fn end(&mut self) {
        self.world.with(self.watcher, Watcher::end);
        self.run(80);
        self.quiet();
    }

    #[track_caller]
    fn quiet(&self) {
        let ua = &self.watcher().ua;
        let left = (ua.subscriptions(), ua.requests(), self.world.stack(self.watcher).pending());
        assert_eq!(left, (0, 0, 0), "{}", self.world.ladder());
    }

    fn watcher(&self) -> &Watcher {
        self.world.user(self.watcher)
    }

    fn notifier(&self) -> &Notifier {
        self.world.user(self.notifier)
    }

    #[track_caller]
    fn saw(&self, expected: &[&str]) {
        assert_eq!(self.watcher().log, expected, "{}", self.world.ladder());
    }

    fn row(&self, at: usize, id: HeaderId) -> Option<String> {
        self.notifier().requests[at].raw(id).next().map(|row| row.text().to_string())
    }
}

fn subscribe() -> Subscribe {
    let target = UriBuf::parse("sip:bob@192.0.2.9").unwrap();
    Subscribe::new(&package::PRESENCE, target, AddressBuf::parse("Alice <sip:alice@example.com>").unwrap())
}

fn login() -> auth::Client {
    auth::Client::new(vec![Login::new("alice", "s3cr3t")])
}

fn guarded() -> Notifier {
    let mut number = 0;
    let policy = auth::Policy { lifetime: Duration::from_secs(60), ..auth::Policy::new(Side::Server, "lab") };
    let server = auth::Server::new(policy, &mut || {
        number += 1;
        number
    });
    Notifier { auth: Some((server, vec![Login::new("alice", "s3cr3t")])), ..Notifier::default() }
}

#[test]
fn a_whole_life() {
    let mut lab = Lab::with(guarded());
    lab.subscribe(|subscribe| {
        subscribe.auth = login();
        subscribe.event_id = Some("7".into());
        subscribe.lists = true;
    });
    lab.run(1);
    lab.saw(&["challenged", "200 for 3600", "0: active state"]);
    assert_eq!(lab.row(1, HeaderId::Event).unwrap(), "presence;id=7");
    assert_eq!(
        lab.row(1, HeaderId::Accept).unwrap(),
        "application/pidf+xml, multipart/related, application/rlmi+xml"
    );
    assert_eq!(lab.row(1, HeaderId::Supported).unwrap(), "eventlist");
    assert_eq!(lab.row(1, HeaderId::Contact).unwrap(), "<sip:192.0.2.1:5060>");
    lab.notify(0, "active;expires=3000", "news");
    lab.run(3600);
    assert_eq!(
        lab.watcher().log[3..],
        ["0: active news", "challenged", "200 for 3600", "0: active state"],
        "{}",
        lab.world.ladder()
    );
    // Refreshed within the dialog, in time for the shorter expiry.
    let refresh = &lab.notifier().requests[2];
    assert!(refresh.to().unwrap().tag().is_some());
    assert!(lab.notifier().answers.iter().all(|&status| status == 200));
    lab.end();
    assert_eq!(lab.watcher().log[7..], ["challenged", "0: terminated (timeout) state", "ended"]);
    let numbers: Vec<_> = lab.notifier().requests.iter().map(|r| r.cseq().unwrap().number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn a_notify_before_the_2xx() {
    let early = Plan { early: true, ..Plan::says(&[(0, "pending;expires=600")]) };
    let mut lab = Lab::new(vec![early]);
    lab.subscribe(|_| ());
    lab.run(1);
    lab.saw(&["0: pending state", "200 for 3600"]);
    lab.notify(0, "active", "");
    lab.run(100);
    assert_eq!(lab.notifier().answers, [200, 200]);
    lab.end();
    assert_eq!(lab.watcher().log[2..], ["0: active", "0: terminated (timeout) state", "ended"]);

    // A 2xx that never comes does not matter; nor does a refusal by another branch.
    for status in [0, 401, 404, 503] {
        let early = Plan { status, early: true, ..Plan::says(&[(0, "active;expires=600")]) };
        let mut lab = Lab::new(vec![early]);
        lab.subscribe(|_| ());
        lab.run(60);
        lab.saw(&["0: active state"]);
        lab.end();
        assert_eq!(lab.watcher().log[1..], ["0: terminated (timeout) state", "ended"]);
    }
}

#[test]
fn forks() {
    let forked =
        || Plan::says(&[(0, "active;expires=3600"), (1, "pending;expires=600"), (2, "active;expires=3600")]);
    // One only: the others learn that nobody wants them (RFC 3856 §6.9).
    let mut lab = Lab::new(vec![forked()]);
    lab.subscribe(|_| ());
    lab.run(1);
    lab.saw(&["200 for 3600", "0: active state"]);
    assert_eq!(lab.notifier().answers, [200, 481, 481]);
    lab.end();

    // All.
    let mut lab = Lab::new(vec![forked()]);
    lab.subscribe(|subscribe| subscribe.forks = Forking::All);
    lab.run(1);
    lab.saw(&["200 for 3600", "0: active state", "1: pending state", "2: active state"]);
    assert_eq!(lab.notifier().answers, [200; 3]);
    // Each is refreshed by itself.
    lab.run(600);
    assert_eq!(lab.watcher().log[4..], ["200 for 3600", "1: active state"]);
    // One ends, and the others go on.
    lab.notify(1, "terminated;reason=noresource", "");
    lab.run(1);
    assert_eq!(lab.watcher().log[6..], ["1: terminated (noresource)", "1: ended, noresource"]);
    assert_eq!(lab.watcher().ua.subscription(lab.watcher().id.unwrap()).unwrap().forks(), 2);
    lab.notify(0, "terminated;reason=deactivated", "");
    lab.notify(2, "terminated;reason=deactivated", "");
    lab.run(1);
    assert_eq!(
        lab.watcher().log[8..],
        [
            "0: terminated (deactivated)",
            "0: ended, deactivated",
            "2: terminated (deactivated)",
            "renewing: deactivated",
            "200 for 3600",
            "3: active state"
        ]
    );
    lab.end();

    // Too late (timer N).
    let mut lab = Lab::new(vec![forked()]);
    lab.world.with(lab.notifier, |notifier, _| notifier.script[0].notifies.truncate(2));
    lab.subscribe(|subscribe| subscribe.forks = Forking::All);
    lab.run(33);
    let before = lab.notifier().answers.len();
    lab.world.with(lab.notifier, |notifier, cx| {
        let request = notifier.requests[0].clone();
        let flow = notifier.dialogs[0].flow();
        notifier.dialogs.push(sipkit::dialog::Dialog::uas(&request, "late", 0, flow).unwrap());
        notifier.notify(2, "active", "state", cx);
    });
    lab.run(1);
    assert_eq!(lab.notifier().answers[before..], [481]);
    lab.end();
}

#[test]
fn how_a_subscription_ends() {
    // What the notifier says, and what is done about it within a second, and within an hour.
    let rows = [
        ("deactivated", "renewing: deactivated", true, true),
        ("timeout", "renewing: timeout", true, true),
        ("probation", "failed: probation, still subscribed: false", false, true),
        ("probation;retry-after=1800", "failed: probation, still subscribed: false", false, true),
        ("giveup;retry-after=9", "failed: giveup, still subscribed: false", false, true),
        ("odd", "failed: odd, still subscribed: false", false, true),
        ("rejected;retry-after=9", "ended: rejected", false, false),
        ("noresource", "ended: noresource", false, false),
        ("invariant;retry-after=9", "ended: invariant", false, false),
    ];
    for (reason, line, at_once, later) in rows {
        // Of a subscription that held, and with the first NOTIFY.
        for first in [false, true] {
            let over = format!("terminated;reason={reason}");
            let mut lab = Lab::new(if first { vec![Plan::says(&[(0, &over)])] } else { Vec::new() });
            lab.subscribe(|_| ());
            lab.run(1);
            if !first {
                lab.notify(0, &over, "");
                lab.run(1);
            }
            let log = &lab.watcher().log;
            let at = log.iter().position(|said| said == line);
            let at = at.unwrap_or_else(|| panic!("{reason}: {log:?}"));
            assert_eq!(log.len() > at + 1, at_once, "{reason}: {log:?}");
            lab.run(1700);
            let waits = reason.contains("1800");
            assert_eq!(lab.watcher().log.len() > at + 1, later && !waits, "{reason}");
            lab.run(200);
            assert_eq!(lab.watcher().log.len() > at + 1, later, "{reason}");
            assert!(!later || lab.watcher().log.last().unwrap().ends_with("active state"));
            if later {
                // With a new Call-ID and tag (§4.1.2.2).
                let requests = &lab.notifier().requests;
                let (first, next) = (&requests[0], &requests[1]);
                assert_ne!(first.call_id().unwrap(), next.call_id().unwrap());
                assert_ne!(first.from_tag().unwrap(), next.from_tag().unwrap());
                lab.end();
            } else {
                lab.run(40);
                lab.quiet();
            }
        }
    }
    // Who ends all subscriptions at once is not asked for ever.
    let mut lab = Lab::new(vec![Plan::says(&[(0, "terminated;reason=deactivated")]); 100]);
    lab.subscribe(|_| ());
    lab.run(20);
    assert_eq!(lab.notifier().requests.len(), 4);
    assert_eq!(lab.watcher().log.last().unwrap(), "failed: deactivated, still subscribed: false");
    lab.end();
}

#[test]
fn what_a_notifier_may_answer() {
    // 423, remembered; 202; a redirection.
    let script = vec![
        Plan::status(423, &[("Min-Expires", "7200")]),
        Plan { status: 202, ..Plan::says(&[(0, "active;expires=7200")]) },
    ];
    let mut lab = Lab::with(Notifier { script: script.into(), most: 7200, ..Notifier::default() });
    lab.subscribe(|_| ());
    lab.run(7200);
    lab.saw(&["at least 7200", "202 for 7200", "0: active state", "200 for 7200", "0: active state"]);
    lab.end();
    let moved = |host: &str| Plan::status(302, &[("Contact", &format!("<sip:{host}>"))]);
    let mut lab = Lab::new(vec![moved("carol@192.0.2.9")]);
    lab.subscribe(|_| ());
    lab.run(1);
    lab.saw(&["302 to sip:carol@192.0.2.9", "200 for 3600", "0: active state"]);
    lab.end();

    // What would be said again ends it; 489 tells what there is.
    for status in [403, 404, 406, 489, 501, 603] {
        let mut lab = Lab::new(vec![Plan::status(status, &[("Allow-Events", "dialog")])]);
        lab.subscribe(|_| ());
        lab.run(10_000);
        lab.saw(&[&format!("ended: {status}")]);
        lab.quiet();
    }
    // What passes is tried again.
    let mut lab = Lab::new(vec![Plan::status(503, &[("Retry-After", "300")])]);
    lab.subscribe(|_| ());
    lab.run(299);
    lab.saw(&["failed: 503, still subscribed: false"]);
    lab.run(2);
    assert_eq!(lab.watcher().log[1..], ["200 for 3600", "0: active state"]);
    lab.end();

    // Accepted, and no NOTIFY.
    let mut lab = Lab::new(vec![Plan::says(&[])]);
    lab.subscribe(|_| ());
    lab.run(31);
    lab.saw(&["200 for 3600"]);
    lab.run(2);
    assert_eq!(lab.watcher().log[1..], ["failed: silent, still subscribed: false"]);
    lab.run(60);
    assert_eq!(lab.watcher().log.last().unwrap(), "0: active state");
    lab.end();

    // A wrong password; challenges without end.
    let mut lab = Lab::with(guarded());
    lab.subscribe(|subscribe| subscribe.auth = auth::Client::new(vec![Login::new("alice", "wrong")]));
    lab.run(100);
    assert!(lab.watcher().log.last().unwrap().starts_with("ended: "), "{:?}", lab.watcher().log);
    lab.quiet();
    let again = |n: u32| {
        let challenge = format!("Digest realm=\"r{n}\", nonce=\"{n}\", qop=\"auth\"");
        Plan::status(401, &[("WWW-Authenticate", &challenge)])
    };
    let mut lab = Lab::new((0..100).map(again).collect());
    lab.subscribe(|subscribe| subscribe.auth = login());
    lab.run(29);
    assert_eq!(lab.watcher().log.last().unwrap(), "failed: endless, still subscribed: false");
    assert!(lab.notifier().requests.len() <= 10);
    lab.end();
}

#[test]
fn what_a_refresh_may_be_answered() {
    let brief = |script: Vec<Plan>| {
        let mut lab = Lab::with(Notifier { script: script.into(), most: 200, ..Notifier::default() });
        lab.subscribe(|_| ());
        lab.run(165);
        lab
    };
    let first = || Plan::says(&[(0, "active;expires=200")]);
    // The dialog is not there any more: a new one.
    for status in [481, 480] {
        let lab = brief(vec![first(), Plan::status(status, &[])]);
        let line = match status {
            481 => "renewing: 481",
            _ => "failed: 480, still subscribed: false",
        };
        assert_eq!(lab.watcher().log[2], line, "{}", lab.world.ladder());
    }
    let lab = brief(vec![first(), Plan::status(404, &[])]);
    assert_eq!(lab.watcher().log[2..], ["ended: 404"]);
    // It holds until it expires, and then a new one is asked for.
    let mut lab = brief(vec![first(), Plan::status(500, &[])]);
    assert_eq!(lab.watcher().log[2..], ["failed: 500, still subscribed: true"], "{}", lab.world.ladder());
    lab.run(40);
    assert!(
        lab.watcher().log[3..].contains(&"0: active state".to_owned())
            || lab.watcher().log[3] == "renewing: expired"
    );
    lab.end();
    // A longer interval.
    let lab = brief(vec![first(), Plan::status(423, &[("Min-Expires", "7200")])]);
    assert_eq!(lab.watcher().log[2..], ["at least 7200", "200 for 200", "0: active state"]);
    // Accepted, and no NOTIFY (timer N): a new one.
    let mut lab = brief(vec![first(), Plan::says(&[])]);
    lab.run(33);
    assert!(lab.watcher().log.contains(&"renewing: silent".to_owned()), "{:?}", lab.watcher().log);
    lab.end();
    // Nobody there for a while.
    let mut lab = brief(vec![first()]);
    lab.world.unplug(lab.notifier);
    lab.run(500);
    assert!(lab.watcher().log.last().unwrap().starts_with("failed: timeout"), "{:?}", lab.watcher().log);
    lab.world.plug(lab.notifier);
    lab.run(1900);
    assert_eq!(lab.watcher().log.last().unwrap(), "1: active state");
    lab.end();
}

#[test]
fn what_is_no_notify_of_ours() {
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|subscribe| subscribe.largest = 100);
    lab.run(1);
    let say = |lab: &mut Lab, event: &str, state: &str, kind: &str, body: &str| {
        let before = lab.notifier().answers.len();
        let with =
            |notifier: &mut Notifier, cx: &mut Cx<'_>| notifier.notify_of(0, event, state, kind, body, cx);
        lab.world.with(lab.notifier, with);
        lab.run(1);
        lab.notifier().answers[before]
    };
    assert_eq!(say(&mut lab, "presence", "active", "text/plain", "x"), 200);
    assert_eq!(say(&mut lab, "Presence", "active", "text/plain", "x"), 489);
    assert_eq!(say(&mut lab, "dialog", "active", "text/plain", "x"), 489);
    assert_eq!(say(&mut lab, "presence;id=1", "active", "text/plain", "x"), 481);
    assert_eq!(say(&mut lab, "presence;x=1", "active", "text/plain", "x"), 200);
    assert_eq!(say(&mut lab, "presence", "", "text/plain", "x"), 400);
    assert_eq!(say(&mut lab, "presence", "active", "", "x"), 400);
    assert_eq!(say(&mut lab, "presence", "active", "text/plain", &"x".repeat(101)), 413);
    // Out of order (§4.2.2).
    lab.world.with(lab.notifier, |notifier, cx| {
        let mut late = notifier.dialogs[0].clone();
        notifier.notify(0, "active", "newer", cx);
        notifier.dialogs.push(late.clone());
        let _ = late.next_number();
    });
    lab.run(1);
    lab.world.with(lab.notifier, |notifier, cx| {
        // Two numbers behind by now.
        notifier.notify(0, "active", "newest", cx);
        notifier.notify(1, "active", "older", cx);
    });
    lab.run(1);
    assert_eq!(lab.notifier().answers.last(), Some(&500));
    assert_eq!(lab.watcher().log.last().unwrap(), "NOTIFY refused 500");
    // Somebody else's tag, and a dialog that is over.
    lab.end();
    let before = lab.notifier().answers.len();
    lab.notify(0, "active", "x");
    lab.run(1);
    assert_eq!(lab.notifier().answers[before..], [481]);
    assert_eq!(lab.watcher().ua.stats().strays, 1);
}

#[test]
fn fetching_and_polling() {
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|subscribe| subscribe.task = Task::Fetch);
    lab.run(1);
    lab.saw(&["200 for 0", "0: terminated (timeout) state", "ended"]);
    assert_eq!(lab.row(0, HeaderId::Expires).unwrap(), "0");
    lab.run(40);
    lab.quiet();

    let mut lab = Lab::new(vec![Plan::status(503, &[])]);
    lab.subscribe(|subscribe| subscribe.task = Task::Fetch);
    lab.run(1);
    lab.saw(&["ended: 503"]);

    // Notifiers that do not say that this was all.
    for (says, last) in [("active;expires=0", "ended"), ("pending;expires=600", "ended")] {
        let mut lab = Lab::new(vec![Plan::says(&[(0, says)])]);
        lab.subscribe(|subscribe| subscribe.task = Task::Fetch);
        lab.run(40);
        assert_eq!(lab.watcher().log.last().unwrap(), last, "{:?}", lab.watcher().log);
        lab.run(40);
        lab.quiet();
    }

    // All notifiers there are, until timer N.
    let over = "terminated;reason=timeout";
    let mut lab = Lab::new(vec![Plan::says(&[(0, over), (1, over)])]);
    lab.subscribe(|subscribe| (subscribe.task, subscribe.forks) = (Task::Fetch, Forking::All));
    lab.run(33);
    lab.saw(&["200 for 0", "0: terminated (timeout) state", "1: terminated (timeout) state", "ended"]);
    lab.run(40);
    lab.quiet();

    // Polling asks for what is new (RFC 5839 §5.4).
    let mut lab = Lab::with(Notifier { etag: Some("a1".into()), ..Notifier::default() });
    lab.subscribe(|subscribe| subscribe.task = Task::Poll { every: Duration::from_secs(60) });
    lab.run(130);
    let once = ["200 for 0", "0: terminated (timeout) state"];
    assert_eq!(lab.watcher().log[..2], once);
    assert_eq!(
        lab.watcher().log[2..],
        ["200 for 0", "1: terminated (timeout)", "200 for 0", "2: terminated (timeout)"]
    );
    assert_eq!(lab.row(1, HeaderId::SuppressIfMatch).unwrap(), "a1");
    lab.end();
    assert_eq!(lab.watcher().log.last().unwrap(), "ended");
}

#[test]
fn conditional_refreshes() {
    let notifier = Notifier { etag: Some("a1".into()), most: 200, ..Notifier::default() };
    let mut lab = Lab::with(notifier);
    lab.subscribe(|_| ());
    lab.run(165);
    lab.saw(&["200 for 200", "0: active state", "0: unchanged for 200"]);
    assert_eq!(lab.row(0, HeaderId::SuppressIfMatch), None);
    assert_eq!(lab.row(1, HeaderId::SuppressIfMatch).unwrap(), "a1");
    // The application wants it all.
    lab.world.with(lab.watcher, |watcher, cx| {
        watcher.ua.refresh_subscription(watcher.id.unwrap(), None, cx);
    });
    lab.run(1);
    assert_eq!(lab.row(2, HeaderId::SuppressIfMatch), None);
    assert_eq!(lab.watcher().log[3..], ["200 for 200", "0: active state"]);
    // A 204 concludes the end too (RFC 5839 §5.7).
    lab.end();
    assert_eq!(lab.watcher().log[5..], ["ended"]);

    // Resumed; and not wanted.
    let mut lab = Lab::with(Notifier { etag: Some("a1".into()), ..Notifier::default() });
    lab.subscribe(|subscribe| subscribe.etag = Some("a1".into()));
    lab.run(1);
    lab.saw(&["200 for 3600", "0: active"]);
    lab.end();
    let mut lab = Lab::with(Notifier { etag: Some("a1".into()), most: 200, ..Notifier::default() });
    lab.subscribe(|subscribe| subscribe.conditional = false);
    lab.run(165);
    lab.saw(&["200 for 200", "0: active state", "200 for 200", "0: active state"]);
    lab.end();
}

#[test]
fn the_end_comes_in_every_state() {
    // While the SUBSCRIBE is under way: its NOTIFY is waited for.
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|_| ());
    lab.end();
    lab.saw(&["200 for 3600", "0: active state", "0: terminated (timeout) state", "ended"]);
    assert_eq!(lab.notifier().requests.len(), 2);
    // Which may never come.
    let mut lab = Lab::new(vec![Plan::says(&[])]);
    lab.subscribe(|_| ());
    lab.end();
    lab.saw(&["200 for 3600", "ended: silent"]);
    // While it is challenged, while it waits.
    let mut lab = Lab::with(guarded());
    lab.subscribe(|subscribe| subscribe.auth = login());
    lab.end();
    lab.saw(&["challenged", "ended"]);
    let mut lab = Lab::new(vec![Plan::status(503, &[])]);
    lab.subscribe(|_| ());
    lab.run(1);
    lab.end();
    lab.saw(&["failed: 503, still subscribed: false", "ended"]);
    // While a refresh is under way.
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|_| ());
    lab.run(1);
    lab.world.with(lab.watcher, |watcher, cx| watcher.ua.refresh_subscription(watcher.id.unwrap(), None, cx));
    lab.end();
    assert_eq!(lab.watcher().log.last().unwrap(), "ended");
    assert_eq!(lab.notifier().requests.len(), 3);
    // Where the notifier knows of nothing, or does not say anything any more.
    let mut lab = Lab::new(vec![Plan::says(&[(0, "active")]), Plan::status(481, &[])]);
    lab.subscribe(|_| ());
    lab.run(1);
    lab.end();
    assert_eq!(lab.watcher().log.last().unwrap(), "ended");
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|_| ());
    lab.run(1);
    lab.world.unplug(lab.notifier);
    lab.end();
    assert_eq!(lab.watcher().log.last().unwrap(), "ended: timeout");
}

#[test]
fn a_lost_connection_is_replaced() {
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|subscribe| subscribe.target = UriBuf::parse("sip:bob@192.0.2.9;transport=tcp").unwrap());
    lab.run(1);
    lab.saw(&["200 for 3600", "0: active state"]);
    lab.world.cut(lab.watcher, lab.notifier);
    lab.run(5);
    assert_eq!(
        lab.watcher().log[2..],
        ["flow lost", "200 for 3600", "0: active state"],
        "{}",
        lab.world.ladder()
    );
    lab.end();
}

/// The same end of everything, whatever is lost on the way.
#[test]
fn at_twenty_percent_loss() {
    for seed in 1..=200 {
        let link = LinkConfig {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
            loss: 0.2,
            ..LinkConfig::default()
        };
        let mut lab = Lab::seeded(seed, link, Notifier { most: 300, ..guarded() });
        lab.subscribe(|subscribe| subscribe.auth = login());
        lab.run(600);
        lab.notify(0, "active;expires=200", "last");
        lab.run(40);
        let log = &lab.watcher().log;
        let active = log.iter().rev().find(|line| line.contains(": active")).unwrap();
        assert!(active.ends_with("last") || active.ends_with("state"), "seed {seed}: {log:?}");
        assert!(!log.iter().any(|line| line.starts_with("ended")), "seed {seed}: {log:?}");
        assert_eq!(
            lab.watcher().ua.subscription(lab.watcher().id.unwrap()).unwrap().forks(),
            1,
            "seed {seed}"
        );
        lab.end();
        let log = &lab.watcher().log;
        assert_eq!(log.last().unwrap(), "ended", "seed {seed}: {log:?}\n{}", lab.world.ladder());
        assert!(log.contains(&"0: terminated (timeout) state".to_owned()), "seed {seed}: {log:?}");
    }
}

#[test]
fn a_filter_is_sent_once() {
    let mut lab = Lab::new(Vec::new());
    lab.subscribe(|subscribe| {
        subscribe.body = Some(ua::call::Body { kind: "text/x".into(), bytes: "f".into() })
    });
    lab.run(1);
    let request = &lab.notifier().requests[0];
    assert_eq!(request.body(), b"f");
    assert!(request.each::<header::Allow>().flatten().any(|method| method == "NOTIFY"));
    lab.end();
    assert!(lab.notifier().requests[1].body().is_empty(), "a filter is sent once");
}
