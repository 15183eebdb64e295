//! UDP over the loopback interface: both families, where answers leave from, and what ICMP errors say. Connections
//! have a file of their own.

mod layers;
mod streams;

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use sipkit::transport::udp::{
    BATCH, BindError, Datagram, DestinationError, Inbox, MAX_DATAGRAM, Outgoing, UdpSocket,
};
use tokio::time::timeout;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn bind(text: &str) -> UdpSocket {
    UdpSocket::bind(addr(text)).unwrap()
}

/// The address of `socket`'s port at `ip`.
fn at(ip: &str, socket: &UdpSocket) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), socket.local_addr().port())
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, Datagram) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        match socket.try_recv(&mut buffer) {
            Ok(datagram) => return (buffer[..datagram.len].to_vec(), datagram),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        while socket.take_error().is_some() {}
        timeout(WAIT, socket.readable()).await.expect("nothing arrived").unwrap();
    }
}

async fn error(socket: &UdpSocket) -> DestinationError {
    loop {
        if let Some(error) = socket.take_error() {
            return error;
        }
        let _ = socket.try_recv(&mut [0; 1]);
        timeout(WAIT, socket.readable()).await.expect("no error came").unwrap();
    }
}

/// A port nobody else can take meanwhile: connected to itself, it refuses what others send.
fn unreachable_port(any: &str) -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind(addr(any)).unwrap();
    let addr = socket.local_addr().unwrap();
    socket.connect(addr).unwrap();
    (socket, addr)
}

/// A link-local address of this host with its link, if there is one (`/proc/net/if_inet6`: address, index,
/// prefix length, scope, flags, name).
fn link_local() -> Option<(Ipv6Addr, u32)> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ip = Ipv6Addr::from(u128::from_str_radix(fields.first()?, 16).ok()?);
        let index = u32::from_str_radix(fields.get(1)?, 16).ok()?;
        ip.is_unicast_link_local().then_some((ip, index))
    })
}

#[tokio::test]
async fn there_and_back_over_both_families() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let (left, right) = (bind(any), bind(any));
        left.try_send(b"there", right.local_addr(), None).unwrap();
        let (bytes, datagram) = receive(&right).await;
        assert_eq!(
            (bytes.as_slice(), datagram.from, datagram.to),
            (&b"there"[..], left.local_addr(), right.local_addr())
        );
        right.try_send(b"back", datagram.from, Some(datagram.to.ip())).unwrap();
        let (bytes, datagram) = receive(&left).await;
        assert_eq!((bytes.as_slice(), datagram.from), (&b"back"[..], right.local_addr()));
    }
}

#[tokio::test]
async fn a_wildcard_socket_answers_from_the_address_it_was_asked_at() {
    for (wildcard, client, asked) in [
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
        ("0.0.0.0:0", "127.0.0.3:0", "127.0.0.1"),
        ("[::]:0", "[::1]:0", "::1"),
    ] {
        let (server, client) = (bind(wildcard), bind(client));
        let asked = at(asked, &server);
        client.try_send(b"request", asked, None).unwrap();
        let (_, request) = receive(&server).await;
        assert_eq!((request.to, request.from), (asked, client.local_addr()));
        server.try_send(b"response", request.from, Some(request.to.ip())).unwrap();
        let (_, response) = receive(&client).await;
        assert_eq!(response.from, asked);
    }
}

#[tokio::test]
async fn link_local_addresses_keep_their_link() {
    let Some((ip, link)) = link_local() else { return };
    // Between two sockets of one host the kernel loops these datagrams back.
    let (server, client) = (bind("[::]:0"), bind("[::]:0"));
    let asked = SocketAddr::from(SocketAddrV6::new(ip, server.local_addr().port(), 0, link));
    client.try_send(b"request", asked, Some(ip.into())).unwrap();
    let (_, request) = receive(&server).await;
    assert_eq!(request.to, asked);
    server.try_send(b"response", request.from, Some(request.to.ip())).unwrap();
    assert_eq!(receive(&client).await.1.from, asked);
}

#[tokio::test]
async fn one_port_serves_both_families() {
    let v4 = bind("0.0.0.0:0");
    let v6 = UdpSocket::bind(at("::", &v4)).unwrap();
    let (client4, client6) = (bind("127.0.0.1:0"), bind("[::1]:0"));
    client4.try_send(b"four", at("127.0.0.1", &v4), None).unwrap();
    client6.try_send(b"six", at("::1", &v6), None).unwrap();
    assert_eq!(receive(&v4).await.0, b"four");
    assert_eq!(receive(&v6).await.0, b"six");
}

#[tokio::test]
async fn port_unreachable_names_its_destination_and_only_that() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let (socket, alive) = (bind(any), bind(any));
        let (_held, dead) = unreachable_port(any);
        let from: Option<IpAddr> = None;
        for round in 0..3u8 {
            socket.try_send(&[round], alive.local_addr(), from).unwrap();
            socket.try_send(b"dead", dead, from).unwrap();
            // The error about `dead` is pending now; it must not be taken for one about this destination.
            socket.try_send(&[round + 100], alive.local_addr(), from).unwrap();
        }
        for _ in 0..3 {
            let expected = DestinationError { to: dead, kind: ErrorKind::ConnectionRefused };
            assert_eq!(error(&socket).await, expected);
        }
        assert_eq!(socket.take_error(), None);
        for round in 0..3u8 {
            assert_eq!(receive(&alive).await.0, [round]);
            assert_eq!(receive(&alive).await.0, [round + 100]);
        }
        // And the socket still receives.
        alive.try_send(b"still here", socket.local_addr(), None).unwrap();
        assert_eq!(receive(&socket).await.0, b"still here");
    }
}

#[tokio::test]
async fn an_error_wakes_a_socket_that_only_waits() {
    let socket = bind("127.0.0.1:0");
    let (_held, dead) = unreachable_port("127.0.0.1:0");
    // Drained first, so that only the error can wake it.
    assert_eq!(socket.try_recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(socket.take_error(), None);
    socket.try_send(b"x", dead, None).unwrap();
    timeout(WAIT, socket.readable()).await.expect("not woken").unwrap();
    assert_eq!(socket.take_error().map(|error| error.to), Some(dead));
    // Once both are drained nothing wakes it again: no busy loop.
    assert_eq!(socket.take_error(), None);
    assert_eq!(socket.try_recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(timeout(Duration::from_millis(50), socket.readable()).await.is_err());
}

#[tokio::test]
async fn the_largest_and_the_empty_datagram() {
    for (any, largest) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let (left, right) = (bind(any), bind(any));
        let big: Vec<u8> = (0..largest).map(|n| n as u8).collect();
        left.try_send(&big, right.local_addr(), None).unwrap();
        left.try_send(b"", right.local_addr(), None).unwrap();
        assert!(receive(&right).await.0 == big);
        assert_eq!(receive(&right).await.1.len, 0);
        assert_eq!(right.counters().truncated, 0);
        // One more byte is the caller's mistake, reported at once.
        assert!(left.try_send(&vec![0; largest + 1], right.local_addr(), None).is_err());
    }
}

#[tokio::test]
async fn a_cut_datagram_is_counted_and_never_seen() {
    let (left, right) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    left.try_send(&[1; 101], right.local_addr(), None).unwrap();
    left.try_send(&[2; 100], right.local_addr(), None).unwrap();
    timeout(WAIT, right.readable()).await.unwrap().unwrap();
    let mut buffer = [0; 100];
    assert_eq!(right.try_recv(&mut buffer).unwrap().len, 100);
    assert_eq!((buffer[0], right.counters().truncated), (2, 1));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_says_which() {
    let first = bind("127.0.0.1:0");
    let taken = first.local_addr();
    let error = UdpSocket::bind(taken).map(drop).unwrap_err();
    assert!(matches!(error, BindError::InUse { addr } if addr == taken));
    assert!(error.to_string().contains(&taken.to_string()));
}

#[tokio::test]
async fn an_unsendable_datagram_fails_at_once() {
    let socket = bind("127.0.0.1:0");
    assert!(socket.try_send(b"x", addr("[::1]:9"), None).is_err());
    assert!(socket.try_send(b"x", addr("127.0.0.1:9"), Some(addr("198.51.100.1:0").ip())).is_err());
}

const WAIT: Duration = Duration::from_secs(5);

/// What came together is told of one by one, in order: what it says, where from, and where it was sent to.
#[tokio::test]
async fn batches_keep_order_and_addresses() {
    for (wild, ips) in [("0.0.0.0:0", ["127.0.0.1", "127.0.0.7"]), ("[::]:0", ["::1", "::1"])] {
        let (server, client) = (bind(wild), bind(wild));
        let texts: Vec<String> = (0..BATCH + 3).map(|n| format!("datagram {n}")).collect();
        let datagrams: Vec<Outgoing> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| Outgoing {
                bytes: bytes::Bytes::from(text.clone()),
                to: at(ips[n % 2], &server),
                from: ips[1 - n % 2].parse().unwrap(),
            })
            .collect();
        let mut left = &datagrams[..];
        while !left.is_empty() {
            let (count, outcome) = client.try_send_batch(left);
            outcome.unwrap();
            left = &left[count..];
        }
        let (mut inbox, mut seen) = (Inbox::new(), 0);
        while seen < texts.len() {
            timeout(WAIT, server.readable()).await.expect("nothing arrived").unwrap();
            if let Err(error) = server.try_recv_batch(&mut inbox) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                continue;
            }
            for index in 0..inbox.len() {
                let (bytes, datagram) = inbox.datagram(index).unwrap();
                assert_eq!(bytes, texts[seen].as_bytes());
                let expected = (at(ips[1 - seen % 2], &client), at(ips[seen % 2], &server));
                assert_eq!((datagram.from, datagram.to), expected);
                seen += 1;
            }
        }
        assert!(inbox.datagram(inbox.len()).is_none());
    }
}

/// One that cannot be sent keeps none of the others from leaving.
#[tokio::test]
async fn a_batch_goes_on_behind_an_error() {
    let (server, client) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let to = |text: &'static [u8], to| Outgoing { bytes: text.into(), to, from: server.local_addr().ip() };
    let outgoing = [
        to(b"1", server.local_addr()),
        to(b"of another family", addr("[::1]:9")),
        to(b"2", server.local_addr()),
    ];
    let (mut left, mut errors) = (&outgoing[..], 0);
    while !left.is_empty() {
        let (count, outcome) = client.try_send_batch(left);
        errors += usize::from(outcome.is_err());
        left = &left[count..];
    }
    assert_eq!(errors, 1);
    assert_eq!((receive(&server).await.0, receive(&server).await.0), (b"1".to_vec(), b"2".to_vec()));
}
