//! Several shards behind one address: real sockets, since it is the kernel that deals out what comes.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    num::NonZeroU16,
};

use sipkit::{
    endpoint::{Builder, Figures, Shards, StartError},
    message::UriBuf,
    proxy::{Config, Hop, Match, Own, RecordRoute, Rule, Secret, Stateless, Table},
    stack,
    transport::Target,
};

use crate::support::{
    PATIENCE,
    message::{Draft, Text},
    peer::Peer,
};

const SHARDS: NonZeroU16 = NonZeroU16::new(3).unwrap();

fn start(listen: Vec<Target>, next_hops: &[SocketAddr]) -> Result<Shards<Stateless>, StartError> {
    let hop = |addr: &SocketAddr| Hop::new(UriBuf::parse(&format!("sip:{addr}")).unwrap()).unwrap();
    let rules = vec![Rule { when: Match::Any, hops: next_hops.iter().map(hop).collect() }];
    let builder = Builder {
        listen,
        stack: stack::Config { fixed_order: true, ..Builder::default().stack },
        ..Builder::default()
    };
    builder.start_shards(SHARDS, |_, local| {
        Stateless::new(Config {
            own: Own::new(local.to_vec(), Vec::new()),
            table: Table::new(rules.clone()),
            secret: Secret::new([1; 16], [2; 16]),
            record_route: RecordRoute::Needed,
            probe: None,
        })
    })
}

/// Peers at neighbouring ports, so that the kernel spreads them evenly.
fn neighbours(count: u16) -> Vec<UdpSocket> {
    (20_000..32_000)
        .step_by(usize::from(count))
        .find_map(|first| {
            (first..first + count).map(|port| UdpSocket::bind(("127.0.0.1", port)).ok()).collect()
        })
        .expect("free ports")
}

async fn messages(shards: &Shards<Stateless>) -> Vec<u64> {
    let each = shards.each(|proxy, _| proxy.counters().requests + proxy.counters().responses);
    each.await.expect("it runs")
}

#[tokio::test]
async fn each_shard_has_its_share_and_what_one_peer_sends_keeps_its_order() {
    let bob = Peer::new();
    let shards = start(vec![Target::udp("127.0.0.1:0".parse().unwrap())], &[bob.addr]).unwrap();
    let proxy = shards.local()[0].addr;
    let peers = neighbours(24);
    for peer in &peers {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    for number in 0..20 {
        for peer in &peers {
            let from = peer.local_addr().unwrap();
            let ask = Draft::new("OPTIONS", "sip:bob@example.com", from).more(&format!("X: {number}\r\n"));
            peer.send_to(ask.text().as_bytes(), proxy).unwrap();
        }
        // Everybody asked before anybody asks again, so that no buffer is too small.
        let mut last: HashMap<String, u32> = HashMap::new();
        for _ in &peers {
            let request = bob.request("OPTIONS");
            let who = request.0.headers("Via").last().unwrap().to_owned();
            let said: u32 = request.0.must("X").parse().unwrap();
            assert!(said == number && last.insert(who, said).is_none(), "{}", request.0.start());
            bob.answer(&request, 200, "", "");
        }
    }
    let mut buffer = [0; 4_096];
    for peer in &peers {
        for _ in 0..20 {
            let length = peer.recv(&mut buffer).expect("an answer for each");
            assert_eq!(Text::of(&buffer[..length]).status(), Some(200));
        }
    }
    let each = messages(&shards).await;
    assert_eq!(each.iter().sum::<u64>(), 24 * 20 * 2);
    // Bob's responses all come to one of them; of the requests each has its share.
    assert!(each.iter().all(|&count| count >= 24 * 20 / 3 / 2), "{each:?}");
    shards.stop().await;
}

#[tokio::test]
async fn a_connection_is_reached_by_whatever_shard_is_asked() {
    let any = "127.0.0.1:0".parse().unwrap();
    let shards = start(vec![Target::udp(any), Target::tcp(any)], &[]).unwrap();
    let (udp, tcp) = (shards.local()[0].addr, shards.local()[1].addr);
    let bob = Peer::new();
    let mut phone = TcpStream::connect(tcp).unwrap();
    phone.set_read_timeout(Some(PATIENCE)).unwrap();
    let at = phone.local_addr().unwrap();
    let over_tcp = |text: String| text.replacen("/UDP ", "/TCP ", 1);
    let invite = Draft::invite(format!("sip:bob@{}", bob.addr), at);
    phone.write_all(over_tcp(invite.text()).as_bytes()).unwrap();
    let (asked, _) = bob.request("INVITE");
    // Two of them; the one towards the phone has the token of its connection.
    let mark = asked.headers("Record-Route").last().unwrap().to_owned();
    assert!(mark.contains(&format!("@{tcp};transport=tcp")), "{mark}");
    let peers = neighbours(24);
    let mut framed = String::new();
    for peer in &peers {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let from = peer.local_addr().unwrap();
        let ask = Draft::new("MESSAGE", "sip:phone@192.0.2.1", from)
            .more(&format!("Route: {mark}\r\nContent-Length: 0\r\n"));
        peer.send_to(ask.text().as_bytes(), udp).unwrap();
        let request = read(&mut phone, &mut framed, "MESSAGE");
        let answer = request.response(200, "there", at, "Content-Length: 0\r\n", "");
        phone.write_all(answer.as_bytes()).unwrap();
        let mut buffer = [0; 4_096];
        let length = peer.recv(&mut buffer).expect("an answer");
        let answer = Text::of(&buffer[..length]);
        assert_eq!((answer.status(), answer.headers("Via").count()), (Some(200), 1));
    }
    let figures: Figures = shards.figures().await.expect("it runs").into_iter().sum();
    // About two of three requests came to another shard.
    assert!(figures.handed_over >= 12 && figures.unclaimed == 0, "{figures:?}");
    shards.stop().await;
}

/// The next request of that method; what was read behind it is kept in `framed`.
fn read(stream: &mut TcpStream, framed: &mut String, method: &str) -> Text {
    let mut buffer = [0; 4_096];
    loop {
        while let Some(end) = framed.find("\r\n\r\n") {
            let message: String = framed.drain(..end + 4).collect();
            if message.starts_with(method) {
                return Text(message);
            }
        }
        let length = stream.read(&mut buffer).expect("a request");
        assert!(length > 0, "the connection was closed");
        *framed += str::from_utf8(&buffer[..length]).unwrap();
    }
}

#[tokio::test]
async fn a_port_that_somebody_serves_is_an_error() {
    let taken = Peer::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap();
    for target in [Target::udp(taken.addr), Target::tcp(tcp)] {
        let outcome = start(vec![target], &[taken.addr]);
        let Err(error) = outcome else { panic!("{target} is taken") };
        assert!(error.to_string().contains("in use by another process"), "{error}");
    }
    // Nor does one that has several shards itself let others in.
    let first = start(vec![Target::udp("127.0.0.1:0".parse().unwrap())], &[taken.addr]).unwrap();
    let outcome = start(first.local().to_vec(), &[taken.addr]);
    let Err(error) = outcome else { panic!("it is taken") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    first.stop().await;
}
