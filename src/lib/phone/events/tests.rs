//! The server in the simulator: what subscribers of ours are told, and what becomes of publications.

use super::*;
use crate::{
    message::{AddressBuf, Builder, Limits, Method, Multipart},
    phone::responder::{self, Responder},
    presence::{
        Document as _,
        dialog_info::{self, DialogInfo},
        mwi::MessageSummary,
        pidf::{Basic, Presence},
        reg::{self, RegInfo},
        rlmi::ResourceList,
        rpid::Activity,
        winfo::WatcherInfo,
    },
    sim::{Node, World},
    stack::NextHop,
    ua::{
        self, Event, SubscriptionId,
        call::{Body, Invite},
        package,
        publication::{PublicationEvent, Publish},
        registration::{Binding, Register, Task},
        subscription::{Subscribe, SubscriptionEvent},
    },
};

struct Lab {
    world: World,
    server: Node<Responder>,
    peer: Node<UserAgent>,
}

type Told = (String, Vec<u8>);

impl Lab {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut events = Config::default();
        change(&mut events);
        let config = responder::Config {
            ua: ua::Config::default(),
            media: None,
            rtp_ports: None,
            codecs: vec![crate::sdp::Codec::PCMU],
            behaviour: None,
            auth: None,
            registrar: Some(super::super::bindings::Limits::default()),
            events: Some(events),
            notices: None,
        };
        let mut world = World::new(1);
        let server = world.add("server", "192.0.2.9:5060".parse().unwrap(), Responder::new(config));
        let peer =
            world.add("peer", "192.0.2.1:5060".parse().unwrap(), UserAgent::new(ua::Config::default()));
        Self { world, server, peer }
    }

    fn run(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
    }

    fn subscribe(&mut self, event: Known, user: &str, from: &str) -> SubscriptionId {
        let target = UriBuf::parse(&format!("sip:{user}@192.0.2.9")).unwrap();
        let mut subscribe = Subscribe::new(&event, target, AddressBuf::parse(from).unwrap());
        subscribe.lists = user == "friends";
        let id = self.world.with(self.peer, |ua, cx| ua.subscribe(subscribe, cx));
        self.run(1000);
        id
    }

    fn publish(&mut self, event: Known, user: &str, body: &str, seconds: u64) -> ua::PublicationId {
        let target = UriBuf::parse(&format!("sips:{user}@192.0.2.9:5061")).unwrap();
        let from = AddressBuf::new(None, target.clone());
        let body = Body { kind: event.types[0].into(), bytes: body.to_owned().into() };
        let mut publish = Publish::new(&event, target, from, body);
        publish.next = NextHop::Uri(UriBuf::parse("sip:192.0.2.9").unwrap());
        publish.task = ua::publication::Task::Once { expires: Duration::from_secs(seconds) };
        let id = self.world.with(self.peer, |ua, cx| ua.publish(publish, cx));
        self.run(1000);
        id
    }

    /// What the subscriber learnt since it was asked last: states of subscriptions with documents.
    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        self.world.with(self.peer, |ua, _| {
            while let Some(event) = ua.event() {
                match event {
                    Event::Subscription(_, SubscriptionEvent::Notified(notified)) => {
                        told.push((notified.state.as_str().to_owned(), notified.body().to_vec()));
                    }
                    Event::Subscription(_, SubscriptionEvent::Ended { cause: Some(cause) }) => {
                        told.push((format!("{cause:?}"), Vec::new()));
                    }
                    Event::Publication(_, PublicationEvent::Ended { cause: Some(cause) }) => {
                        panic!("{cause:?}")
                    }
                    _ => {}
                }
            }
        });
        told
    }

    #[track_caller]
    fn last<D: crate::presence::Document>(&mut self) -> D {
        let told = self.told();
        let (_, body) = told.last().expect("a NOTIFY");
        D::read(body).unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(body)))
    }

    fn counts(&self) -> (usize, usize) {
        self.world.user(self.server).event_counts()
    }
}

const BOB: &str = "sip:bob@example.com";

fn stated(texts: &[&str]) -> Vec<Stated> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn what_is_stated_holds_until_something_is_published() {
    let mut lab =
        Lab::new(|config| config.stated = stated(&["presence=closed", "presence:alice=busy", "mwi=3/1"]));
    lab.subscribe(package::PRESENCE, "alice", BOB);
    let presence: Presence = lab.last();
    assert_eq!((presence.entity.as_str(), presence.basic()), ("sip:alice@192.0.2.9", Some(Basic::Open)));
    assert_eq!(presence.persons[0].activities[0].values, [Activity::Busy]);
    lab.subscribe(package::PRESENCE, "carol", BOB);
    assert_eq!(lab.last::<Presence>().basic(), Some(Basic::Closed));
    lab.subscribe(package::MESSAGE_SUMMARY, "alice", BOB);
    let summary: MessageSummary = lab.last();
    assert!(summary.waiting && summary.counts[0].new == 3);

    // Two devices publish; a person is one.
    let one = Presence::unavailable("sip:alice@192.0.2.9").write();
    lab.publish(package::PRESENCE, "alice", &one, 100);
    assert_eq!(lab.last::<Presence>().basic(), Some(Basic::Closed));
    let two = "presence:x=on-the-phone".parse::<Stated>().unwrap().document("sip:x@y");
    lab.publish(package::PRESENCE, "alice", std::str::from_utf8(&two).unwrap(), 200);
    let both: Presence = lab.last();
    assert_eq!((both.tuples.len(), both.basic()), (2, Some(Basic::Open)));
    assert_eq!((lab.counts(), both.persons.len()), ((3, 2), 1));
    // The first runs out, then the other one.
    lab.run(100_000);
    assert_eq!((lab.last::<Presence>().tuples.len(), lab.counts().1), (1, 1));
    lab.run(100_000);
    assert_eq!(lab.last::<Presence>().persons[0].activities[0].values, [Activity::Busy]);
    assert_eq!(lab.counts(), (3, 0));
}

#[test]
fn rules_say_who_is_told_what() {
    let rules = ["eve=block", "joe=polite-block", "new=confirm"];
    let mut lab = Lab::new(|config| {
        config.stated = stated(&["presence=open,busy"]);
        config.rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    });
    lab.subscribe(package::PRESENCE, "alice", "sip:eve@example.com");
    let told = lab.told();
    assert!(told[0].0.contains("status: 403"), "{told:?}");
    lab.subscribe(package::PRESENCE, "alice", "sip:joe@example.com");
    let polite: Presence = lab.last();
    assert_eq!((polite.basic(), polite.persons.len()), (Some(Basic::Closed), 0));
    lab.subscribe(package::PRESENCE, "alice", "sip:new@example.com");
    assert_eq!(lab.told(), [("pending".to_owned(), Vec::new())]);
    lab.subscribe(package::PRESENCE, "alice", BOB);
    assert_eq!(lab.last::<Presence>().persons.len(), 1);

    // A change reaches who may see it.
    lab.publish(package::PRESENCE, "alice", &Presence::unavailable("sip:alice@192.0.2.9").write(), 3600);
    assert_eq!(lab.told().len(), 1);

    // And who watches is told who is there.
    let id = lab.subscribe(package::PRESENCE_WINFO, "alice", "sip:alice@192.0.2.9");
    let info: WatcherInfo = lab.last();
    let of = |info: &WatcherInfo| {
        let mut all: Vec<_> =
            info.lists[0].watchers.iter().map(|w| format!("{} {} {}", w.uri, w.status, w.event)).collect();
        all.sort();
        all
    };
    assert_eq!(
        of(&info),
        [
            "sip:bob@example.com active subscribe",
            "sip:joe@example.com active subscribe",
            "sip:new@example.com pending subscribe"
        ]
    );
    let joe = lab.subscribe(package::PRESENCE, "alice", "sip:carol@example.com");
    assert_eq!(of(&lab.last()).len(), 4);
    lab.world.with(lab.peer, |ua, cx| ua.unsubscribe(joe, cx));
    lab.run(1000);
    let info: WatcherInfo = lab.last();
    assert!(of(&info).contains(&"sip:carol@example.com terminated timeout".to_owned()), "{info:?}");
    assert_eq!(info.version, 2);
    lab.world.with(lab.peer, |ua, cx| ua.unsubscribe(id, cx));
    lab.run(1000);
    assert_eq!(lab.counts(), (3, 1));
}

#[test]
fn a_list_is_the_states_of_its_members() {
    let mut lab = Lab::new(|config| {
        config.lists = vec!["friends=alice,bob,carol".parse().unwrap()];
        config.stated = stated(&["presence:alice=busy"]);
    });
    let mut plain = |lists| {
        let target = UriBuf::parse("sip:friends@192.0.2.9").unwrap();
        let mut subscribe = Subscribe::new(&package::PRESENCE, target, AddressBuf::parse(BOB).unwrap());
        subscribe.lists = lists;
        lab.world.with(lab.peer, |ua, cx| ua.subscribe(subscribe, cx));
        lab.run(1000);
        lab.told()
    };
    let refused = plain(false);
    assert!(refused[0].0.contains("status: 421"), "{refused:?}");
    let told = plain(true);
    assert_eq!(told[0].0, "active");
    let states = |body: &[u8]| {
        let boundary = String::from_utf8_lossy(body).lines().next().unwrap()[2..].to_owned();
        let kind = format!("multipart/related;boundary=\"{boundary}\"");
        let notify = Builder::request(Method::Notify, "sip:x@y").body(&kind, body).finish();
        let multipart = Multipart::of(&notify, &Limits::default()).unwrap();
        multipart.check().unwrap();
        let list = ResourceList::read(multipart.find("application", "rlmi+xml").unwrap().body()).unwrap();
        let parts = multipart.parts().filter_map(|part| Presence::read(part.unwrap().body()).ok());
        (list.version, list.resources.len(), parts.map(|p| (p.entity.clone(), p.basic())).collect::<Vec<_>>())
    };
    let of = |user: &str| format!("sip:{user}@192.0.2.9");
    let (version, resources, parts) = states(&told[0].1);
    assert_eq!((version, resources), (0, 3));
    assert_eq!(parts, [(of("alice"), Some(Basic::Open)), (of("bob"), None), (of("carol"), None)]);
    lab.publish(package::PRESENCE, "bob", &Presence::unavailable("sip:bob@192.0.2.9").write(), 3600);
    let told = lab.told();
    let (version, _, parts) = states(&told[0].1);
    assert_eq!((told.len(), version, parts[1].clone()), (1, 1, (of("bob"), Some(Basic::Closed))));
    // A member is watched on its own as ever.
    lab.subscribe(package::PRESENCE, "bob", BOB);
    assert_eq!(lab.last::<Presence>().basic(), Some(Basic::Closed));
}

#[test]
fn bindings_and_calls_are_told() {
    let mut lab = Lab::new(|_| {});
    lab.subscribe(package::REGISTRATION, "alice", BOB);
    assert_eq!(lab.last::<RegInfo>().registrations[0].state, reg::State::Init);
    let register = |lab: &mut Lab, contacts: Vec<Binding>, seconds| {
        let aor = AddressBuf::parse("sip:alice@192.0.2.9").unwrap();
        let mut register = Register::new(aor, UriBuf::parse("sip:192.0.2.9").unwrap());
        register.task = Task::Once { contacts, expires: Duration::from_secs(seconds) };
        lab.world.with(lab.peer, |ua, cx| ua.register(register, cx));
        lab.run(1000);
    };
    register(&mut lab, vec![Binding { uri: None, q: None }], 100);
    let info: RegInfo = lab.last();
    let registration = &info.registrations[0];
    assert_eq!((&registration.state, registration.contacts.len()), (&reg::State::Active, 1));
    assert_eq!(registration.contacts[0].event, reg::Event::Registered);
    // It runs out by itself.
    lab.run(101_000);
    let info: RegInfo = lab.last();
    let contact = &info.registrations[0].contacts[0];
    assert_eq!(
        (&info.registrations[0].state, &contact.event),
        (&reg::State::Terminated, &reg::Event::Expired)
    );

    lab.subscribe(package::DIALOG, "echo", BOB);
    assert!(lab.last::<DialogInfo>().dialogs.is_empty());
    let capabilities = crate::sdp::Capabilities {
        codecs: vec![crate::sdp::Codec::PCMU],
        own_order: false,
        telephone_event: false,
        ptime: 20,
        address: "192.0.2.1".parse().unwrap(),
        rtp_port: 9,
        rtcp_port: 10,
        rtcp_mux: true,
        direction: crate::sdp::Direction::SendRecv,
    };
    let offer = crate::phone::exchange::Exchange::new(capabilities, 1).offer();
    let call = lab.world.with(lab.peer, |ua, cx| {
        let to = UriBuf::parse("sip:echo@192.0.2.9").unwrap();
        let (from, headers, registration) = (AddressBuf::parse(BOB).unwrap(), Vec::new(), None);
        let (next, auth) = (NextHop::RequestUri, crate::auth::Client::default());
        ua.invite(Invite { target: to, from, next, offer, auth, registration, headers }, cx)
    });
    lab.run(1000);
    let info: DialogInfo = lab.last();
    assert_eq!(info.dialogs[0].state, dialog_info::State::Confirmed);
    assert_eq!(info.dialogs[0].remote.identities[0].uri, BOB);
    lab.world.with(lab.peer, |ua, cx| ua.hang_up(call, cx));
    lab.run(1000);
    assert!(lab.last::<DialogInfo>().dialogs.is_empty());
}

#[test]
fn what_is_not_taken() {
    let mut lab = Lab::new(|config| {
        config.watchers = 1;
        config.publications.largest = 400;
        config.publications.publications = 1;
    });
    let mut ask = |method: Method, user: &str, rows: &str, (kind, body): (&str, &str)| {
        let request = format!(
            "{method} sip:{user}@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{user}\r\n\
             From: <sip:bob@example.com>;tag=1\r\nTo: <sip:{user}@192.0.2.9>\r\nCall-ID: {user}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:bob@192.0.2.1>\r\nMax-Forwards: 70\r\n{rows}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        lab.world.inject("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap(), request);
        lab.run(1000);
        lab.world.ladder().steps().filter(|step| step.from == "server").last().unwrap().what.clone()
    };
    let presence = "Event: presence\r\n";
    let document = Presence::unavailable("sip:alice@192.0.2.9").write();
    let pidf = ("application/pidf+xml", document.as_str());
    let long = format!("{document}<!--{}-->", "x".repeat(400));
    for (status, method, rows, body) in [
        ("489", Method::Publish, "Event: reg\r\n", pidf),
        ("489", Method::Publish, "Event: kpml\r\n", pidf),
        ("415", Method::Publish, presence, ("text/plain", "open")),
        ("400", Method::Publish, presence, (pidf.0, "<presence>")),
        ("413", Method::Publish, presence, (pidf.0, &long)),
        ("423", Method::Publish, "Event: presence\r\nExpires: 1\r\n", pidf),
        ("200", Method::Publish, presence, pidf),
        ("503", Method::Publish, presence, pidf),
        ("423", Method::Subscribe, "Event: presence\r\nExpires: 1\r\n", ("", "")),
    ] {
        let user = format!("{status}x{}", rows.len() + body.1.len());
        let answer = ask(method, &user, rows, body);
        assert!(answer.starts_with(status), "{status}: {answer}");
    }
    assert!(ask(Method::Subscribe, "status-404", presence, ("", "")).starts_with("404"));
    assert!(ask(Method::Subscribe, "decline", presence, ("", "")).starts_with("603"));
    lab.subscribe(package::PRESENCE, "alice", BOB);
    assert_eq!((lab.told().len(), lab.counts()), (1, (1, 1)));
    lab.subscribe(package::PRESENCE, "bob", BOB);
    // Who is refused so tries again later, and is not told of an end.
    let ladder = lab.world.ladder();
    let answer = ladder.steps().filter(|step| step.from == "server").last().unwrap();
    assert!(answer.what.starts_with("503"), "{}", answer.what);
}
