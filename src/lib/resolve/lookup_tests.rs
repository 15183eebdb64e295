//! A zone as a table, and what RFC 3263 makes of it.

use std::collections::HashMap;

use crate::message::Uri;

use super::{
    super::{Fault, Naptr, Source},
    *,
};

/// What a DNS server would say. Names it does not have do not exist.
#[derive(Default)]
struct Zone(HashMap<Query, Answer>);

const SERVER: Source = Source::Hosts;
const TTL: Duration = Duration::from_secs(60);

fn no_name() -> Answer {
    Err(QueryError::NoName { by: SERVER, ttl: TTL })
}

fn no_data() -> Answer {
    Err(QueryError::NoData { by: SERVER, ttl: TTL })
}

fn fault() -> Answer {
    Err(QueryError::Fault { by: SERVER, fault: Fault::Code(2) })
}

fn timeout() -> Answer {
    Err(QueryError::Timeout { asked: [SERVER].into() })
}

fn ips(list: &str) -> Answer {
    let addresses = list.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
    Ok(Response::new(Records::Addresses(addresses), TTL, SERVER))
}

/// `PRIORITY WEIGHT PORT TARGET`, separated by commas.
fn srv(list: &str) -> Answer {
    let records = list.split(", ").map(|record| {
        let fields: Vec<&str> = record.split_whitespace().collect();
        Srv {
            priority: fields[0].parse().unwrap(),
            weight: fields[1].parse().unwrap(),
            port: fields[2].parse().unwrap(),
            target: fields[3].into(),
        }
    });
    Ok(Response::new(Records::Srv(records.collect()), TTL, SERVER))
}

/// `ORDER PREFERENCE SERVICE REPLACEMENT`, separated by commas.
fn naptr(list: &str) -> Answer {
    let records = list.split(", ").map(|record| {
        let fields: Vec<&str> = record.split_whitespace().collect();
        Naptr {
            order: fields[0].parse().unwrap(),
            preference: fields[1].parse().unwrap(),
            flags: "s".into(),
            service: fields[2].into(),
            regexp: "".into(),
            replacement: fields[3].into(),
        }
    });
    Ok(Response::new(Records::Naptr(records.collect()), TTL, SERVER))
}

impl Zone {
    fn with(mut self, query: Query, answer: Answer) -> Self {
        self.0.insert(query, answer);
        self
    }

    /// What is asked, in rounds separated by `|`, and what is found.
    fn look_up(&self, uri: &str, spoken: Protocols) -> (String, Result<String, LookupError>) {
        let settings = Settings { spoken, order: Order::Fixed, explain: true };
        let (mut lookup, mut progress) = Lookup::start(destination(uri), settings);
        let mut rounds: Vec<String> = Vec::new();
        loop {
            match progress {
                Progress::Ask(queries) => {
                    assert!(!queries.is_empty());
                    rounds.push(queries.iter().map(Query::to_string).collect::<Vec<_>>().join(", "));
                    progress = Progress::Wait;
                    for query in &queries {
                        assert!(matches!(progress, Progress::Wait));
                        let answer = self.0.get(query).cloned().unwrap_or_else(no_name);
                        progress = lookup.answer(query, answer);
                    }
                }
                Progress::Wait => panic!("{uri}: waits for nothing"),
                Progress::Found(targets) => {
                    assert!(matches!(lookup.steps().last(), Some(Step::Targets(_))));
                    let targets: Vec<_> = targets.iter().map(Target::to_string).collect();
                    return (rounds.join(" | "), Ok(targets.join(", ")));
                }
                Progress::Failed(error) => {
                    assert!(matches!(lookup.steps().last(), Some(Step::Failed(_)) | None));
                    return (rounds.join(" | "), Err(error));
                }
            }
        }
    }

    fn found(&self, uri: &str) -> String {
        let (asked, found) = self.look_up(uri, Protocols::ALL);
        found.unwrap_or_else(|error| panic!("{uri}: {asked}: {error}"))
    }

    fn error(&self, uri: &str) -> LookupError {
        self.look_up(uri, Protocols::ALL).1.expect_err(uri)
    }
}

fn destination(uri: &str) -> Destination {
    Destination::of(&Uri::parse(uri).unwrap()).unwrap()
}

/// The example of RFC 3263 §4.1, and hosts with one address each.
fn example() -> Zone {
    Zone::default()
        .with(
            Query::naptr("example.com"),
            naptr(
                "90 50 SIP+D2T _sip._tcp.example.com., 50 50 SIPS+D2T _sips._tcp.example.com., 100 50 SIP+D2U \
                 _sip._udp.example.com.",
            ),
        )
        .with(Query::srv("_sips._tcp.example.com"), srv("0 1 5061 server1.example.com., 1 1 5061 server2.example.com."))
        .with(Query::srv("_sip._tcp.example.com"), srv("0 1 5060 server1.example.com., 1 2 5060 server2.example.com."))
        .with(Query::srv("_sip._udp.example.com"), srv("0 1 5060 server1.example.com."))
        .with(Query::addresses("example.com"), ips("192.0.2.80"))
        .with(Query::addresses("server1.example.com"), ips("192.0.2.1"))
        .with(Query::addresses("server2.example.com"), ips("192.0.2.2"))
}

/// RFC 3263 §4.1 and §4.2.
#[test]
fn literals_need_no_question() {
    let table = [
        ("sip:192.0.2.1", "192.0.2.1:5060 over UDP"),
        ("sip:192.0.2.1:5070", "192.0.2.1:5070 over UDP"),
        ("sip:[2001:db8::1]", "[2001:db8::1]:5060 over UDP"),
        ("sip:bob@[2001:db8::1]:5070", "[2001:db8::1]:5070 over UDP"),
        ("sip:bob@phone.example;maddr=192.0.2.9", "192.0.2.9:5060 over UDP"),
        ("sip:192.0.2.1;transport=TCP", "192.0.2.1:5060 over TCP"),
        ("sip:192.0.2.1;transport=tls", "192.0.2.1:5061 over TLS"),
        ("sips:192.0.2.1", "192.0.2.1:5061 over TLS"),
        ("sips:192.0.2.1;transport=tcp", "192.0.2.1:5061 over TLS"),
        ("sips:192.0.2.1;transport=ws", "192.0.2.1:443 over WSS"),
        ("sip:192.0.2.1;transport=ws", "192.0.2.1:80 over WS"),
    ];
    for (uri, target) in table {
        let (asked, found) = Zone::default().look_up(uri, Protocols::ALL);
        assert_eq!((asked.as_str(), found.unwrap().as_str()), ("", target), "{uri}");
    }
}

/// Which questions a URI leads to (RFC 3263 §4): everything that the host, port, transport and scheme may say.
#[test]
fn what_is_asked() {
    let services = "SRV _sip._udp.a.example, SRV _sip._tcp.a.example, SRV _sips._tcp.a.example, \
                    SRV _sip._ws.a.example, SRV _sips._ws.a.example";
    let secure = "SRV _sips._tcp.a.example, SRV _sips._ws.a.example";
    let host = "A/AAAA a.example";
    let table = [
        ("sip:a.example", format!("NAPTR a.example | {services} | {host}"), "192.0.2.1:5060 over UDP"),
        ("sip:A.Example.", format!("NAPTR a.example | {services} | {host}"), "192.0.2.1:5060 over UDP"),
        ("sips:a.example", format!("NAPTR a.example | {secure} | {host}"), "192.0.2.1:5061 over TLS"),
        ("sip:a.example:5062", host.into(), "192.0.2.1:5062 over UDP"),
        ("sip:a.example:5060", host.into(), "192.0.2.1:5060 over UDP"),
        ("sips:a.example:5062", host.into(), "192.0.2.1:5062 over TLS"),
        ("sip:a.example:5062;transport=tcp", host.into(), "192.0.2.1:5062 over TCP"),
        ("sip:x.example:99;maddr=a.example", host.into(), "192.0.2.1:99 over UDP"),
        (
            "sip:a.example;transport=udp",
            format!("SRV _sip._udp.a.example | {host}"),
            "192.0.2.1:5060 over UDP",
        ),
        (
            "sip:a.example;transport=tcp",
            format!("SRV _sip._tcp.a.example | {host}"),
            "192.0.2.1:5060 over TCP",
        ),
        (
            "sip:a.example;transport=tls",
            format!("SRV _sips._tcp.a.example | {host}"),
            "192.0.2.1:5061 over TLS",
        ),
        ("sip:a.example;transport=ws", format!("SRV _sip._ws.a.example | {host}"), "192.0.2.1:80 over WS"),
        (
            "sip:a.example;transport=wss",
            format!("SRV _sips._ws.a.example | {host}"),
            "192.0.2.1:443 over WSS",
        ),
        (
            "sips:a.example;transport=tcp",
            format!("SRV _sips._tcp.a.example | {host}"),
            "192.0.2.1:5061 over TLS",
        ),
        (
            "sips:a.example;transport=ws",
            format!("SRV _sips._ws.a.example | {host}"),
            "192.0.2.1:443 over WSS",
        ),
    ];
    let zone = Zone::default().with(Query::addresses("a.example"), ips("192.0.2.1"));
    for (uri, asked, found) in &table {
        let (really, targets) = zone.look_up(uri, Protocols::ALL);
        assert_eq!((&really, targets.unwrap().as_str()), (asked, *found), "{uri}");
    }
}

#[test]
fn only_what_is_spoken_is_looked_for() {
    let zone = Zone::default().with(Query::addresses("a.example"), ips("192.0.2.1"));
    let tcp = Protocols::NONE.and(Protocol::Tcp);
    let (asked, found) = zone.look_up("sip:a.example", tcp);
    assert_eq!(asked, "NAPTR a.example | SRV _sip._tcp.a.example | A/AAAA a.example");
    assert_eq!(found.unwrap(), "192.0.2.1:5060 over TCP");
    assert_eq!(zone.look_up("sip:192.0.2.1", tcp).1.unwrap(), "192.0.2.1:5060 over TCP");
    for (uri, missing) in [
        ("sips:a.example", Protocol::Tls),
        ("sips:192.0.2.1", Protocol::Tls),
        ("sip:a.example;transport=udp", Protocol::Udp),
        ("sip:192.0.2.1;transport=ws", Protocol::Ws),
    ] {
        let error = zone.look_up(uri, tcp).1.unwrap_err();
        assert!(
            matches!(error, LookupError::NotSpoken { protocol, .. } if protocol == missing),
            "{uri}: {error}"
        );
    }
    let error = zone.look_up("sips:a.example;transport=udp", Protocols::ALL).1.unwrap_err();
    assert!(matches!(error, LookupError::Insecure { protocol: Protocol::Udp, .. }), "{error}");
}

/// RFC 3263 §4.1: the order of the NAPTR records is the order of the transports.
#[test]
fn the_example_of_the_rfc() {
    let zone = example();
    assert_eq!(
        zone.look_up("sip:user@example.com", Protocols::ALL).0,
        "NAPTR example.com | SRV _sips._tcp.example.com, SRV _sip._tcp.example.com, SRV _sip._udp.example.com | \
         A/AAAA server1.example.com, A/AAAA server2.example.com"
    );
    assert_eq!(
        zone.found("sip:user@example.com"),
        "192.0.2.1:5061 over TLS, 192.0.2.2:5061 over TLS, 192.0.2.1:5060 over TCP, 192.0.2.2:5060 over TCP, \
         192.0.2.1:5060 over UDP"
    );
    assert_eq!(zone.found("sips:user@example.com"), "192.0.2.1:5061 over TLS, 192.0.2.2:5061 over TLS");
    let (asked, found) = zone.look_up("sip:user@example.com", Protocols::UDP);
    assert_eq!(asked, "NAPTR example.com | SRV _sip._udp.example.com | A/AAAA server1.example.com");
    assert_eq!(found.unwrap(), "192.0.2.1:5060 over UDP");
    // A port or a transport leaves NAPTR out, a port SRV too.
    assert_eq!(zone.found("sip:user@example.com:5060"), "192.0.2.80:5060 over UDP");
    let tcp = "192.0.2.1:5060 over TCP, 192.0.2.2:5060 over TCP";
    assert_eq!(zone.found("sip:user@example.com;transport=tcp"), tcp);
}

#[test]
fn naptr_records_of_no_use_are_as_good_as_none() {
    for records in ["10 50 SIP+D2S _sip._sctp.example.com", "10 50 E2U+sip enum.example.com"] {
        let zone = example().with(Query::naptr("example.com"), naptr(records));
        let (asked, _) = zone.look_up("sip:example.com", Protocols::UDP);
        assert!(asked.starts_with("NAPTR example.com | SRV _sip._udp.example.com | "), "{asked}");
    }
    for answer in [no_name(), no_data(), fault(), timeout(), naptr("10 50 SIP+D2U ."), srv("1 1 1 nonsense")]
    {
        let zone = example().with(Query::naptr("example.com"), answer);
        assert_eq!(zone.look_up("sip:example.com", Protocols::UDP).1.unwrap(), "192.0.2.1:5060 over UDP");
    }
}

#[test]
fn naptr_records_may_lead_to_another_domain() {
    let zone = example().with(Query::naptr("other.example"), naptr("1 1 SIP+D2T _sip._tcp.example.com."));
    let tcp = "192.0.2.1:5060 over TCP, 192.0.2.2:5060 over TCP";
    assert_eq!(zone.found("sip:other.example"), tcp);
}

/// RFC 3263 §4.2: the transport of the NAPTR record stays, the host is the domain's own.
#[test]
fn without_srv_records_the_host_itself_is_meant() {
    let zone = Zone::default()
        .with(
            Query::naptr("a.example"),
            naptr("1 1 SIPS+D2T _sips._tcp.a.example, 2 1 SIP+D2T _sip._tcp.a.example"),
        )
        .with(Query::addresses("a.example"), ips("192.0.2.1"));
    assert_eq!(zone.found("sip:a.example"), "192.0.2.1:5061 over TLS");
    for answer in [no_data(), fault(), timeout(), ips("192.0.2.9")] {
        let zone = Zone::default()
            .with(Query::srv("_sip._tcp.a.example"), answer)
            .with(Query::addresses("a.example"), ips("192.0.2.1"));
        assert_eq!(zone.found("sip:a.example;transport=tcp"), "192.0.2.1:5060 over TCP");
    }
}

#[test]
fn srv_records_for_one_transport_decide_it() {
    let zone = Zone::default()
        .with(Query::srv("_sip._tcp.a.example"), srv("1 1 5070 h.example"))
        .with(Query::addresses("h.example"), ips("192.0.2.1"))
        .with(Query::addresses("a.example"), ips("192.0.2.80"));
    assert_eq!(zone.found("sip:a.example"), "192.0.2.1:5070 over TCP");
}

/// RFC 2782: a target of `.` means that there is no such service, and an A record does not change that.
#[test]
fn a_service_that_is_not_available() {
    let zone = Zone::default()
        .with(Query::srv("_sip._udp.a.example"), srv("0 0 0 ."))
        .with(Query::srv("_sip._tcp.a.example"), srv("0 0 0 ."))
        .with(Query::addresses("a.example"), ips("192.0.2.1"));
    for uri in ["sip:a.example", "sip:a.example;transport=tcp", "sip:a.example;transport=udp"] {
        assert!(matches!(zone.error(uri), LookupError::Unavailable { .. }), "{uri}");
    }
    assert_eq!(zone.found("sip:a.example:5060"), "192.0.2.1:5060 over UDP");
    let mixed = zone
        .with(Query::srv("_sip._tcp.a.example"), srv("0 0 0 ., 1 0 5060 h.example, 2 0 0 h.example"))
        .with(Query::addresses("h.example"), ips("192.0.2.2"));
    assert_eq!(mixed.found("sip:a.example"), "192.0.2.2:5060 over TCP", "UDP is not available, TCP is");
    let only_tcp_refused = Zone::default()
        .with(Query::srv("_sip._tcp.a.example"), srv("0 0 0 ."))
        .with(Query::addresses("a.example"), ips("192.0.2.1"));
    assert_eq!(only_tcp_refused.found("sip:a.example"), "192.0.2.1:5060 over UDP");
}

#[test]
fn targets_without_an_address_are_passed_over() {
    let zone = Zone::default()
        .with(Query::srv("_sip._udp.a.example"), srv("1 0 5060 nowhere.example, 2 0 5060 h.example"))
        .with(Query::addresses("h.example"), ips("192.0.2.1"))
        .with(Query::addresses("a.example"), ips("192.0.2.80"));
    assert_eq!(zone.found("sip:a.example;transport=udp"), "192.0.2.1:5060 over UDP");
    let none = zone.with(Query::addresses("h.example"), no_data());
    let error = none.error("sip:a.example;transport=udp");
    assert!(
        matches!(&error, LookupError::NoAddress { name, error } if &**name == "nowhere.example" && error.is_negative()),
        "{error}"
    );
    let unknown = none.with(Query::addresses("h.example"), timeout());
    let error = unknown.error("sip:a.example;transport=udp");
    assert!(
        matches!(&error, LookupError::NoAddress { name, error: QueryError::Timeout { .. } } if &**name == "h.example"),
        "{error}"
    );
}

#[test]
fn every_address_of_every_target_in_order() {
    let zone = Zone::default()
        .with(
            Query::srv("_sip._udp.a.example"),
            srv("2 0 5060 h1.example, 1 0 5062 h2.example, 3 0 5060 h1.example"),
        )
        .with(Query::addresses("h1.example"), ips("2001:db8::1 192.0.2.1"))
        .with(Query::addresses("h2.example"), ips("2001:db8::2 2001:db8::3 192.0.2.2 192.0.2.2"));
    assert_eq!(
        zone.found("sip:a.example;transport=udp"),
        "[2001:db8::2]:5062 over UDP, 192.0.2.2:5062 over UDP, [2001:db8::3]:5062 over UDP, \
         [2001:db8::1]:5060 over UDP, 192.0.2.1:5060 over UDP"
    );
}

#[test]
fn what_came_along_is_not_asked_for() {
    let along = |name: &str, ip: &str| Additional {
        name: name.into(),
        addresses: vec![ip.parse().unwrap()],
        ttl: TTL,
    };
    let Ok(mut response) = srv("1 0 5060 h1.example, 2 0 5060 h2.example, 3 0 5060 192.0.2.9") else {
        panic!()
    };
    response.additional = vec![along("h1.example", "192.0.2.1")];
    let zone = Zone::default()
        .with(Query::srv("_sip._udp.a.example"), Ok(response.clone()))
        .with(Query::addresses("h2.example"), ips("192.0.2.2"));
    let (asked, found) = zone.look_up("sip:a.example;transport=udp", Protocols::ALL);
    assert_eq!(asked, "SRV _sip._udp.a.example | A/AAAA h2.example");
    assert_eq!(
        found.unwrap(),
        "192.0.2.1:5060 over UDP, 192.0.2.2:5060 over UDP, 192.0.2.9:5060 over UDP",
        "an address in the place of a name is taken for one"
    );
    response.additional.push(along("h2.example", "192.0.2.3"));
    let zone = Zone::default().with(Query::srv("_sip._udp.a.example"), Ok(response));
    let (asked, found) = zone.look_up("sip:a.example;transport=udp", Protocols::ALL);
    assert_eq!(asked, "SRV _sip._udp.a.example");
    assert!(found.unwrap().contains("192.0.2.3:5060"));
}

/// Every state with every event.
#[test]
fn table() {
    use State::{Addresses, Done, Naptr, Srv};
    let foreign = |kind: &Query| match kind {
        Query::Naptr { .. } => Query::naptr("b.example"),
        Query::Srv { .. } => Query::srv("_sip._udp.b.example"),
        Query::Addresses { .. } => Query::addresses("b.example"),
    };
    let questions =
        [Query::naptr("a.example"), Query::srv("_sip._udp.a.example"), Query::addresses("a.example")];
    type Events = [(&'static str, fn() -> Answer); 8];
    let events: Events = [
        ("naptr", || naptr("1 1 SIP+D2U _sip._udp.a.example")),
        ("srv", || srv("1 1 5060 a.example")),
        ("ips", || ips("192.0.2.1")),
        ("empty", || Ok(Response::new(Records::Addresses(Vec::new()), TTL, SERVER))),
        ("no name", no_name),
        ("no data", no_data),
        ("fault", fault),
        ("timeout", timeout),
    ];
    // The state, which question of the three it waits for, the state after each event.
    let table = [
        (Naptr, Some(0), [Srv; 8]),
        (Srv, Some(1), [Addresses; 8]),
        (Addresses, Some(2), [Done; 8]),
        (Done, None, [Done; 8]),
    ];
    for (state, waits_for, after) in table {
        for (index, query) in questions.iter().enumerate() {
            for ((name, answer), after) in events.iter().zip(after) {
                let settings = Settings { spoken: Protocols::UDP, order: Order::Fixed, explain: false };
                let (mut lookup, _) = Lookup::start(destination("sip:a.example"), settings);
                let before = [Naptr, Srv, Addresses, Done].iter().position(|s| *s == state).unwrap();
                let ways = [no_data(), no_data(), ips("192.0.2.1")];
                for (question, answer) in questions.iter().zip(ways).take(before) {
                    lookup.answer(question, answer);
                }
                assert_eq!(lookup.state, state);
                assert!(
                    matches!(lookup.answer(&foreign(query), answer()), Progress::Wait),
                    "{state:?} {name}"
                );
                assert_eq!(lookup.state, state, "a foreign question changes nothing");
                let progress = lookup.answer(query, answer());
                if Some(index) != waits_for {
                    assert!(matches!(progress, Progress::Wait), "{state:?} {query} {name}");
                    assert_eq!(lookup.state, state);
                    continue;
                }
                assert_eq!(lookup.state, after, "{state:?} {name}");
                let as_expected = match (state, *name) {
                    (Addresses, "ips") => matches!(progress, Progress::Found(_)),
                    (Addresses, _) => matches!(progress, Progress::Failed(LookupError::NoAddress { .. })),
                    _ => matches!(progress, Progress::Ask(_)),
                };
                assert!(as_expected, "{state:?} {name}: {progress:?}");
                assert!(lookup.steps().is_empty(), "nobody asked for reasons");
            }
        }
    }
}

#[test]
fn errors_keep_their_kind() {
    for (answer, text) in [
        (no_name(), "a.example has no address: no such name, says the hosts file"),
        (no_data(), "a.example has no address: no record of that kind, says the hosts file"),
        (fault(), "a.example has no address: the hosts file failed to find out (SERVFAIL)"),
        (timeout(), "a.example has no address: no answer in time from the hosts file"),
    ] {
        let zone = Zone::default().with(Query::addresses("a.example"), answer);
        assert_eq!(zone.error("sip:a.example").to_string(), text);
    }
}

#[test]
fn nonsense_is_not_asked_for() {
    for name in ["", "a b", "a\0b", "a\nb", &"x".repeat(300)] {
        let nonsense = Destination { host: Host::parse(name), port: None, transport: None, sips: false };
        let settings = Settings { spoken: Protocols::ALL, order: Order::Fixed, explain: true };
        let progress = Lookup::start(nonsense, settings).1;
        assert!(matches!(progress, Progress::Failed(LookupError::NoName { .. })), "{name:?}");
    }
}

#[test]
fn what_cannot_be_a_destination() {
    let of = |uri| Destination::of(&Uri::parse(uri).unwrap());
    assert!(matches!(of("tel:+1-201-555-0123"), Err(LookupError::NoHost)));
    assert!(matches!(of("sip:a.example;transport=sctp"), Err(LookupError::NoTransport { .. })));
}

/// A hostile zone cannot make it ask or find without end.
#[test]
fn everything_is_bounded() {
    let many = (0..200).map(|n| format!("192.0.2.{n}")).collect::<Vec<_>>().join(" ");
    let zone = Zone::default().with(Query::addresses("a.example"), ips(&many));
    assert_eq!(zone.found("sip:a.example").split(", ").count(), MAX_TARGETS);

    let records: Vec<_> = (0..500).map(|n| format!("1 0 5060 h{n}.example")).collect();
    let naptrs: Vec<_> = (0..500).map(|n| format!("{n} 0 SIP+D2U _x{n}.example")).collect();
    let mut zone = Zone::default().with(Query::naptr("a.example"), naptr(&naptrs.join(", ")));
    for n in 0..500 {
        zone = zone.with(Query::srv(&format!("_x{n}.example")), srv(&records.join(", ")));
    }
    let (asked, found) = zone.look_up("sip:a.example", Protocols::ALL);
    let rounds: Vec<_> = asked.split(" | ").map(|round| round.split(", ").count()).collect();
    assert_eq!(rounds, [1, 8, MAX_HOSTS]);
    assert!(matches!(found, Err(LookupError::NoAddress { .. })));
}

/// The text of a whole lookup, as `-v` has it.
#[test]
fn each_step_is_explained() {
    let zone = example().with(Query::srv("_sip._tcp.example.com"), srv("0 0 0 ."));
    let settings =
        Settings { spoken: Protocols::ALL.secure().and(Protocol::Tcp), order: Order::Fixed, explain: true };
    let (mut lookup, mut progress) = Lookup::start(destination("sip:example.com"), settings);
    while let Progress::Ask(queries) = progress {
        progress = Progress::Wait;
        for query in &queries {
            progress = lookup.answer(query, zone.0.get(query).cloned().unwrap_or_else(no_name));
        }
    }
    let text: Vec<_> =
        lookup.steps().iter().map(|step| format!("{}{step}", "  ".repeat(step.depth()))).collect();
    assert_eq!(
        text,
        [
            "the URI has neither port nor transport: NAPTR records say which transports the domain offers",
            "NAPTR example.com: 3 records, says the hosts file",
            "  50 50 \"s\" SIPS+D2T \"\" _sips._tcp.example.com.: TLS",
            "  90 50 \"s\" SIP+D2T \"\" _sip._tcp.example.com.: TCP",
            "  100 50 \"s\" SIP+D2U \"\" _sip._udp.example.com.: passed over, UDP, which is not spoken here",
            "SRV _sips._tcp.example.com: 2 records, says the hosts file",
            "  0 1 5061 server1.example.com.",
            "  1 1 5061 server2.example.com.",
            "SRV _sip._tcp.example.com: 1 record, says the hosts file",
            "  0 0 0 .: the service is not available",
            "A/AAAA server1.example.com: 192.0.2.1, says the hosts file",
            "A/AAAA server2.example.com: 192.0.2.2, says the hosts file",
            "2 targets, each tried when the one before fails",
        ]
    );
    let Some(Step::Targets(choices)) = lookup.steps().last() else { panic!() };
    assert_eq!(
        choices[0].to_string(),
        "192.0.2.1:5061 over TLS, server1.example.com, priority 0 weight 1 of _sips._tcp.example.com"
    );
}
