//! The agent over real sockets, and its channels.

use std::time::Duration;

use super::*;
use crate::{
    auth,
    message::AddressBuf,
    stack::{Config, NextHop, Stack},
    time::Instant,
    ua::{
        call::{Body, By, Cause},
        compositor::{Compositor, Limits},
        notifier::{self, Acceptance, Document, Standing},
        package::{self, Known},
        publication::Operation,
    },
};

/// An ICMP error wakes the shard by itself: no datagram comes with it, and none of ours follows soon.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_port_without_a_listener_is_reported_at_once() {
    let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let builder = Builder { listen, ..Builder::default() };
    let agent = Agent::start(builder, ua::Config::default()).unwrap();
    for any in ["127.0.0.1:0", "[::1]:0"] {
        // A connected socket keeps the port from others and refuses what is not its peer's.
        let held = std::net::UdpSocket::bind(any).unwrap();
        held.connect(held.local_addr().unwrap()).unwrap();
        let dead = held.local_addr().unwrap();
        let target = UriBuf::parse(&format!("sip:{dead}")).unwrap();
        let invite = Invite {
            from: AddressBuf::new(None, target.clone()),
            target,
            next: NextHop::RequestUri,
            offer: Body::sdp("v=0\r\n"),
            auth: auth::Client::default(),
            registration: None,
            headers: Vec::new(),
        };
        let mut call = agent.call(invite).await.unwrap();
        let event = tokio::time::timeout(std::time::Duration::from_millis(400), call.next()).await.unwrap();
        let Some(CallEvent::Ended { by: By::Network, cause: Cause::Failed(why) }) = event else {
            panic!("{event:?}");
        };
        assert!(
            matches!(why, Failure::Unreachable { target, why: FlowError::Refused } if target.addr == dead),
            "{why}"
        );
    }
    agent.stop().await;
}

/// Nobody reads the events of a call: they stop coming, but its end is still told.
#[test]
fn the_end_is_told_however_many_events_wait() {
    let (incoming, _calls) = mpsc::channel(1);
    let (page, _pages) = mpsc::channel(1);
    let (inbox, _commands) = mpsc::channel(1);
    let mut agency = Agency {
        ua: UserAgent::new(ua::Config::default()),
        calls: HashMap::new(),
        registrations: HashMap::new(),
        queries: HashMap::new(),
        subscriptions: HashMap::new(),
        publications: HashMap::new(),
        watchers: HashMap::new(),
        routes: HashMap::new(),
        incoming,
        page,
        arrival: mpsc::channel(1).0,
        submission: mpsc::channel(1).0,
        poster: Poster(inbox),
    };
    let mut stack = Stack::new(Config::default());
    let mut call = stack.with(Instant::ZERO, &mut agency, |agency, cx| {
        let invite = Invite {
            target: UriBuf::parse("sip:bob@192.0.2.2").unwrap(),
            from: AddressBuf::parse("sip:alice@192.0.2.1").unwrap(),
            next: NextHop::RequestUri,
            offer: Body::sdp(""),
            auth: auth::Client::default(),
            registration: None,
            headers: Vec::new(),
        };
        let id = agency.ua.invite(invite, cx);
        let call = agency.adopt(id);
        for _ in 0..2 * QUEUE {
            agency.call_event(id, CallEvent::Alarm, cx);
        }
        agency.call_event(id, CallEvent::Ended { by: By::Remote, cause: Cause::NoAck }, cx);
        call
    });
    let mut last = None;
    while let Ok(event) = call.events.try_recv() {
        last = Some(event);
    }
    assert!(matches!(last, Some(CallEvent::Ended { .. })), "{last:?}");
}

#[tokio::test]
async fn a_dropped_agent_gives_its_port_back() {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let agent = Agent::start(Builder { listen, ..Builder::default() }, ua::Config::default()).unwrap();
    let local = agent.local()[0].addr;
    drop(agent);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while let Err(error) = std::net::UdpSocket::bind(local) {
        assert!(std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Subscribed to, changed, published and unsubscribed over real sockets.
#[tokio::test]
async fn one_agent_watches_another() {
    let builder = || Builder { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Builder::default() };
    let brisk = Known { pace: Duration::ZERO, types: &["text/plain"], ..package::PRESENCE };
    let packages: Vec<std::sync::Arc<dyn package::Package>> = vec![std::sync::Arc::new(brisk)];
    let config = notifier::Config { packages, publications: true, ..notifier::Config::default() };
    let config = ua::Config { notifier: Some(config), ..ua::Config::default() };
    let mut server = Agent::start(builder(), config).unwrap();
    let client = Agent::start(builder(), ua::Config::default()).unwrap();
    let target = UriBuf::parse(&format!("sip:bob@{}", server.local()[0].addr)).unwrap();
    let from = AddressBuf::parse("<sip:alice@example.com>").unwrap();
    let document = |text: &'static str| std::sync::Arc::new(Document::new("text/plain", text));

    let mut subscription =
        client.subscribe(Subscribe::new(&brisk, target.clone(), from.clone())).await.unwrap();
    let mut watcher = tokio::time::timeout(Duration::from_secs(10), server.watcher()).await.unwrap().unwrap();
    let asked = watcher.next().await;
    assert!(matches!(&asked, Some(WatcherEvent::Asked { expires, .. }) if expires.as_secs() == 3600));
    let acceptance =
        Acceptance { resource: "bob".into(), standing: Standing::Active, document: Some(document("one")) };
    watcher.accept(acceptance).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.unwrap().unwrap() {
            SubscriptionEvent::Notified(news) => {
                seen.push(String::from_utf8_lossy(news.body()).into_owned());
                if seen.len() == 1 {
                    watcher.notify(document("two")).unwrap();
                }
            }
            SubscriptionEvent::Accepted { status: 200, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["one", "two"]);

    let body = Body { kind: "text/plain".into(), bytes: "mine".into() };
    let mut publication = client.publish(Publish::new(&brisk, target, from, body)).await.unwrap();
    let mut compositor = Compositor::new(Limits::default());
    for operation in [Operation::Initial, Operation::Remove] {
        let submission =
            tokio::time::timeout(Duration::from_secs(10), server.submission()).await.unwrap().unwrap();
        let stored = compositor.publish(&submission.request, "bob", Instant::ZERO, 7);
        assert_eq!(stored.as_ref().unwrap().operation, operation);
        submission.answer(stored).unwrap();
        match publication.next().await {
            Some(PublicationEvent::Published(granted)) => {
                assert_eq!(granted.operation, operation);
                publication.remove().unwrap();
            }
            Some(PublicationEvent::Removed { .. }) => assert_eq!(operation, Operation::Remove),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(publication.next().await, Some(PublicationEvent::Ended { cause: None })));
    assert!(publication.next().await.is_none());

    tokio::time::timeout(Duration::from_secs(10), subscription.end()).await.unwrap().unwrap();
    let last = tokio::time::timeout(Duration::from_secs(10), watcher.next()).await.unwrap();
    assert!(matches!(last, Some(WatcherEvent::Ended { cause: notifier::Cause::Unsubscribed })), "{last:?}");
    assert!(watcher.next().await.is_none());
    client.stop().await;
    server.stop().await;
}
