//! The agent over real sockets, and its channels.

use std::time::Duration;

use super::*;
use crate::{
    auth,
    message::AddressBuf,
    stack::{Config, NextHop, Stack},
    time::Instant,
    ua::call::{Body, By, Cause},
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
        routes: HashMap::new(),
        incoming,
        page,
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
