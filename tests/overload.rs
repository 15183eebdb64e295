//! More than a proxy can do: new calls are told to come again, and of those that were let in nothing is lost. The sockets
//! are real, and the shard is kept from them for a moment.

use std::{
    collections::HashSet,
    fmt::Display,
    io::Read,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use sipkit::{
    endpoint::{Builder, Endpoint},
    message::UriBuf,
    proxy::{Config, Hop, Match, Own, RecordRoute, Rule, Secret, Stateless, Table},
    stack,
    transport::{Target, udp},
};

use crate::support::{
    PATIENCE,
    message::{Draft, Text},
    peer::Peer,
};

const CALLS: usize = 40;

fn start(next_hop: impl Display) -> Endpoint<Stateless> {
    let hop = Hop::new(UriBuf::parse(&format!("sip:{next_hop}")).unwrap()).unwrap();
    let builder = Builder {
        listen: vec![Target::udp("127.0.0.1:0".parse().unwrap())],
        stack: stack::Config { fixed_order: true, ..Builder::default().stack },
        ..Builder::default()
    };
    let make = |local: &[Target]| {
        Stateless::new(Config {
            own: Own::new(local.to_vec(), Vec::new()),
            table: Table::new(vec![Rule { when: Match::Any, hops: vec![hop] }]),
            secret: Secret::new([1; 16], [2; 16]),
            record_route: RecordRoute::Needed,
            probe: None,
        })
    };
    builder.start_at(make).unwrap()
}

/// How many datagrams of this length fit into a socket such as the proxy has.
fn room(length: usize) -> usize {
    let options = udp::Options::buffer(4 << 20);
    let socket = udp::Socket::bind_with("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let bytes = vec![b'x'; length];
    let mut sent = 0;
    while socket.fill().unwrap() < 0.9 {
        socket.try_send(&bytes, socket.local_addr(), None).unwrap();
        sent += 1;
    }
    sent
}

/// Everything that has come, and what comes until it has been quiet for a moment.
fn drain(peer: &Peer) -> Vec<Text> {
    let (mut got, mut patience) = (Vec::new(), PATIENCE);
    while let Some((bytes, _)) = peer.receive_within(patience) {
        got.push(Text::of(&bytes));
        patience = Duration::from_millis(700);
    }
    got
}

fn of(messages: &[Text], wanted: impl Fn(&Text) -> bool) -> HashSet<&str> {
    messages.iter().filter(|text| wanted(text)).map(|text| text.must("Call-ID")).collect()
}

#[test]
fn new_calls_are_refused_and_no_response_is_lost() {
    let (alice, bob) = (Peer::new(), Peer::new());
    // What they do not read in time is none of the proxy's business.
    for peer in [&alice, &bob] {
        SockRef::from(&peer.socket).set_recv_buffer_size(4 << 20).unwrap();
    }
    let proxy = start(bob.addr);
    let at = proxy.local()[0].addr;
    let invite =
        || Draft::invite("sip:x@example.com", alice.addr).more(&format!("X: {}\r\n", "x".repeat(12_000)));
    // Some calls are let in, and Bob has not answered yet.
    let calls: Vec<Draft> = (0..CALLS).map(|_| invite()).collect();
    let asked: Vec<_> = calls
        .iter()
        .map(|call| {
            alice.send(at, call.text());
            bob.request("INVITE")
        })
        .collect();
    let room = room(invite().text().len());
    assert!(room > 100, "too small a buffer for this test: {room}");
    let sent = room.min(2_000);
    // While the shard sleeps more comes than it can read in a turn.
    proxy.post(|_, _| thread::sleep(Duration::from_millis(1_500))).unwrap();
    thread::sleep(Duration::from_millis(50));
    let mut new = Vec::new();
    let begun = Instant::now();
    for index in 0..sent {
        let draft = invite();
        alice.send(at, draft.text());
        new.push(draft.call_id);
        if let Some(asked) = index.is_multiple_of(2).then(|| asked.get(index / 2)).flatten() {
            bob.answer(asked, 200, "", "");
            // Within the dialog.
            let call = &calls[index / 2];
            alice.send(at, Draft { to: format!("{};tag=peer", call.to), ..call.same("INFO", "") }.text());
        }
    }
    assert!(begun.elapsed() < Duration::from_millis(1_300), "the shard was not kept long enough");
    // Both read at once.
    let (to_alice, to_bob) = thread::scope(|scope| {
        let to_bob = scope.spawn(|| drain(&bob));
        (drain(&alice), to_bob.join().unwrap())
    });
    let answered = of(&to_alice, |text| text.status() == Some(200));
    assert_eq!(answered.len(), CALLS, "responses");
    assert_eq!(of(&to_bob, |text| text.method() == "INFO").len(), CALLS, "requests within a dialog");
    let refused = of(&to_alice, |text| text.status() == Some(503));
    assert!(refused.len() > sent / 10, "{} of {sent} refused", refused.len());
    assert!(
        to_alice
            .iter()
            .filter(|text| text.status() == Some(503))
            .all(|text| { (2..10).contains(&text.must("Retry-After").parse::<u32>().unwrap()) })
    );
    let let_in = of(&to_bob, |text| text.method() == "INVITE");
    assert!(let_in.is_disjoint(&refused));
    assert!(new.iter().any(|call| let_in.contains(call.as_str())), "those who came first");
    // It is over as soon as everything is read.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let figures = runtime.block_on(proxy.figures()).unwrap();
    assert_eq!(figures.excess, 0);
    let late = invite();
    alice.send(at, late.text());
    assert_eq!(bob.request("INVITE").0.must("Call-ID"), late.call_id);
}

#[test]
fn calls_for_a_hop_that_does_not_read_are_answered_for_it() {
    let (alice, bob) = (Peer::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    SockRef::from(&alice.socket).set_recv_buffer_size(4 << 20).unwrap();
    let proxy = start(format_args!("{};transport=tcp", bob.local_addr().unwrap()));
    let at = proxy.local()[0].addr;
    let (mut sent, mut refused) = (HashSet::new(), HashSet::new());
    let begun = Instant::now();
    // The system takes some megabytes, then our queue some more. Those for whom there is no room are told at once.
    while refused.len() < 20 {
        assert!(begun.elapsed() < PATIENCE, "{} sent, {} refused", sent.len(), refused.len());
        for _ in 0..10 {
            let invite = Draft::invite("sip:x@example.com", alice.addr)
                .more(&format!("X: {}\r\n", "x".repeat(12_000)));
            alice.send(at, invite.text());
            sent.insert(invite.call_id);
        }
        while let Some((bytes, _)) = alice.receive_within(Duration::from_millis(2)) {
            let text = Text::of(&bytes);
            assert_eq!(text.status(), Some(503));
            assert!((2..10).contains(&text.must("Retry-After").parse::<u32>().unwrap()));
            refused.insert(text.must("Call-ID").to_owned());
        }
    }
    // And all others arrive once Bob reads.
    let (mut connection, _) = bob.accept().unwrap();
    let (mut octets, mut some) = (Vec::new(), vec![0; 64 << 10]);
    let mut wait = PATIENCE;
    loop {
        connection.set_read_timeout(Some(wait)).unwrap();
        match connection.read(&mut some) {
            Ok(read @ 1..) => octets.extend_from_slice(&some[..read]),
            Ok(0) => panic!("the connection was closed"),
            Err(_) => break,
        }
        wait = Duration::from_millis(700);
    }
    refused.extend(std::iter::from_fn(|| {
        let (bytes, _) = alice.receive_within(Duration::from_millis(10))?;
        Some(Text::of(&bytes).must("Call-ID").to_owned())
    }));
    let text = String::from_utf8(octets).unwrap();
    let came: HashSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("Call-ID: ")).map(str::to_owned).collect();
    assert!(came.len() > 300 && came.is_disjoint(&refused), "{} came", came.len());
    assert_eq!(
        came.len() + refused.len(),
        sent.len(),
        "of {} nothing is known",
        sent.len() - came.len() - refused.len()
    );
}
