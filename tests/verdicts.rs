//! What the whole stack with a user agent or a forwarder on top makes of strange messages, in the simulator:
//! RFC 4475 and RFC 5118 with their verdicts, messages that were damaged, and the status of each limit.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::Value;
use sipkit::{
    message::{HeaderId, Limits, Message, UriBuf, header},
    phone::responder::{self, Responder},
    proxy::{
        self, Hop, Match, Own, RecordRoute, Rule, Secret, Stateless, Table,
        branch::{Branch, Branches},
    },
    sim::{Node, World},
    stack::{self, Stats},
    time::Duration,
    transport::Target,
    ua,
};

use crate::support::peer_in_sim::Plain;

/// A test server without media in a world of its own.
fn server(limits: Limits) -> (World, Node<Responder>) {
    let mut world = World::new(4475);
    let responder = Responder::new(responder::Config {
        ua: ua::Config { pages: true, ..ua::Config::default() },
        media: None,
        rtp_ports: None,
        codecs: vec![sipkit::sdp::Codec::PCMU],
        behaviour: None,
        auth: None,
        registrar: None,
        events: None,
        notices: None,
    });
    let config = stack::Config { limits, ..stack::Config::default() };
    let addresses = [at(SERVER), at("[2001:db8::2]:5060")];
    let node = world.add_with("server", &addresses, config, responder);
    (world, node)
}

/// The first final or ringing status sent in answer to `bytes`, and what was counted.
fn answer(bytes: &[u8], limits: Limits) -> (Option<u16>, Stats) {
    let (mut world, server) = server(limits);
    world.inject(at("192.0.2.99:5060"), at(SERVER), bytes.to_vec());
    world.run_for(Duration::from_millis(100));
    (first_status(&world), world.stack(server).stats())
}

fn first_status(world: &World) -> Option<u16> {
    let sent = world.ladder().steps().filter(|step| step.from == "server");
    sent.filter_map(|step| step.what.get(..3)?.parse().ok()).find(|&status| status > 100)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const SERVER: &str = "192.0.2.2:5060";

struct Case {
    name: String,
    bytes: Vec<u8>,
    /// What a user agent server may do.
    uas: Vec<String>,
    /// What a proxy may do, where that is known.
    proxy: Vec<String>,
    method: Option<String>,
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for folder in ["rfc4475", "rfc5118"] {
        let folder = data().join(folder);
        let facts = fs::read(folder.join("facts.json")).unwrap();
        let facts: serde_json::Map<String, Value> = serde_json::from_slice(&facts).unwrap();
        all.extend(facts.into_iter().map(|(name, about)| Case {
            bytes: fs::read(folder.join(about["file"].as_str().unwrap())).unwrap(),
            uas: strings(&about["uas"]),
            proxy: strings(&about["proxy"]),
            method: about["facts"]["method"].as_str().map(str::to_owned),
            name,
        }));
    }
    all
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|is| is.as_str().unwrap().to_owned()).collect()
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture")
}

#[test]
fn every_torture_message_gets_an_allowed_answer() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for Case { name, bytes, uas, method, .. } in cases() {
        count += 1;
        let (got, _) = answer(&bytes, Limits::default());
        let allowed = |verdict: &String| match (verdict.as_str(), got) {
            ("discard" | "ignore" | "accept-response", got) => got.is_none(),
            // This is no registrar: what one would take is a method not allowed (§8.2.1 comes before the rest).
            ("200", Some(405)) => method.as_deref() == Some("REGISTER"),
            ("400", Some(405)) => name == "unksm2",
            // Taken as a valid request; what becomes of it then is another matter.
            ("accept" | "accept-as-rfc2543", Some(status)) => !matches!(status, 400 | 500..),
            (status, Some(got)) => status.trim_end_matches("+Allow") == got.to_string(),
            (_, None) => false,
        };
        if !uas.iter().any(allowed) {
            wrong.push(format!("{name}: {got:?} instead of {uas:?}"));
        }
    }
    assert_eq!(count, 50 + 12);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A proxy answers what it must not forward, and forwards the rest with nothing changed but what is its business.
#[test]
fn every_torture_message_is_forwarded_or_refused_as_it_should_be() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for Case { name, bytes, proxy, .. } in cases().into_iter().filter(|case| !case.proxy.is_empty()) {
        count += 1;
        let (status, forwarded) = through_a_proxy(&bytes);
        let allowed = |verdict: &String| match verdict.as_str() {
            "discard" | "ignore" => status.is_none() && forwarded.is_none(),
            "accept-as-rfc2543" => forwarded.is_some(),
            verdict if verdict.starts_with("forward") => forwarded.is_some(),
            expected => status.is_some_and(|status| status.to_string() == expected) && forwarded.is_none(),
        };
        if !proxy.iter().any(allowed) {
            wrong.push(format!("{name}: {status:?} or {forwarded:?} instead of {proxy:?}"));
        }
        if let Some(forwarded) = forwarded {
            wrong.extend(
                changed(&on_its_way(&bytes), &forwarded).map(|what| format!("{name}: {what} was changed")),
            );
        }
    }
    assert_eq!(count, 50);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The status that was answered, and the message that was sent on.
fn through_a_proxy(bytes: &[u8]) -> (Option<u16>, Option<Message>) {
    let mut world = World::new(4475);
    let local = at("192.0.2.10:5060");
    // The next hop, and where the messages of the RFC want to go.
    let addresses = ["192.0.2.3:5060", "127.0.0.1:5080", "192.0.2.105:5060", "192.0.2.198:5060"].map(at);
    let next = world.add_with("next", &addresses, stack::Config::default(), Plain::default());
    world.name("services.example.com", &["192.0.2.3".parse().unwrap()]);
    let hop = Hop::new(UriBuf::parse("sip:192.0.2.3").unwrap()).unwrap();
    let proxy = Stateless::new(proxy::Config {
        own: Own::new(vec![Target::udp(local)], Vec::new()),
        table: Table::new(vec![Rule { when: Match::Any, hops: vec![hop] }]),
        secret: Secret::new(KEY, [2; 16]),
        record_route: RecordRoute::Needed,
        probe: None,
    });
    world.add("proxy", local, proxy);
    let message = Message::parse(bytes.to_vec().into(), &Limits::default()).ok();
    let source = message.as_ref().and_then(|message| {
        let via = message.via().ok()?;
        Some(SocketAddr::new(via.host.ip()?, via.port.unwrap_or(5060)))
    });
    world.inject(source.unwrap_or(at("192.0.2.99:5060")), local, on_its_way(bytes));
    world.run_for(Duration::from_millis(100));
    let answers = world.ladder().steps().filter(|step| step.from == "proxy");
    let mut statuses = answers.filter_map(|step| step.what.get(..3)?.parse().ok());
    let forwarded = &world.user(next).got;
    assert!(forwarded.len() <= 1);
    let forwarded = forwarded.first().map(|(message, _)| message.clone());
    (statuses.find(|&status| forwarded.is_none() && status > 100), forwarded)
}

/// A response is given the Via of a proxy that forwarded its request, and the next router of a request a mark that
/// it is a loose one, as the message would be changed for another one.
fn on_its_way(bytes: &[u8]) -> Vec<u8> {
    let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    let octets = |text: String| text.chars().map(|c| c as u8).collect::<Vec<_>>();
    let message = Message::parse(bytes.to_vec().into(), &Limits::default());
    let Some(response) = message.ok().filter(|message| !message.is_request()) else {
        let loose =
            text(bytes).replace("\r\nRoute: <sip:127.0.0.1:5080>", "\r\nRoute: <sip:127.0.0.1:5080;lr>");
        return octets(loose);
    };
    let vias: Vec<_> = response.each::<header::Via>().flatten().collect();
    let branch = |via: &header::Via<'_>| {
        // What a name stands for does not matter: such a response could not go back.
        let ip = via.host.ip().unwrap_or([192, 0, 2, 99].into());
        let unique = Branches::new(KEY).unique(&response, via, &via.marks(), ip).expect("it can be read");
        let mut branch = String::new();
        Branch { unique, path: 1 }.write(&mut branch);
        branch
    };
    match &vias[..] {
        [one] => {
            let own = format!("\r\nVia: SIP/2.0/UDP 192.0.2.10;branch={}\r\n", branch(one));
            octets(text(bytes).replacen("\r\n", &own, 1))
        }
        [own, next, ..] => octets(text(bytes).replacen(own.branch().expect("a branch"), &branch(next), 1)),
        [] => bytes.to_vec(),
    }
}

const KEY: [u8; 16] = [1; 16];

/// What a proxy should have left as it was.
fn changed(before: &[u8], after: &Message) -> Option<&'static str> {
    let before = Message::parse(before.to_vec().into(), &Limits::default()).ok()?;
    let rows = |message: &Message| -> Vec<_> {
        let own = [HeaderId::Via, HeaderId::MaxForwards];
        let others = message.headers().filter(|row| !own.contains(&row.id));
        others.map(|row| (row.name().to_owned(), row.value.to_vec())).collect()
    };
    let line = |message: &Message| message.bytes().split(|&byte| byte == b'\r').next().map(<[u8]>::to_vec);
    let has_headers = |line: Vec<u8>| line.windows(7).any(|text| text == b"?Route=");
    let hops = |message: &Message| message.find::<header::MaxForwards>().ok().flatten();
    let is_request = after.is_request();
    let one_hop_less = hops(after) == Some(hops(&before).map_or(70, |hops| hops - 1));
    let checks = [
        (
            "Via",
            after.count(HeaderId::Via) + usize::from(!is_request)
                == before.count(HeaderId::Via) + usize::from(is_request),
        ),
        ("Max-Forwards", if is_request { one_hop_less } else { hops(after) == hops(&before) }),
        ("another header field", rows(&before) == rows(after)),
        ("the body", before.body() == after.body()),
        ("the start line", line(&before) == line(after) || line(&before).is_some_and(has_headers)),
    ];
    checks.into_iter().find(|(_, is_right)| !is_right).map(|(what, _)| what)
}

/// Nobody answers a response; each is counted for what it is.
#[test]
fn responses_are_dropped_and_counted() {
    let table = [
        ("rfc4475/bigcode.dat", (1, 0)),
        ("rfc4475/scalarlg.dat", (1, 0)),
        ("rfc4475/bcast.dat", (0, 1)),
        ("rfc4475/noreason.dat", (0, 1)),
        ("rfc4475/unreason.dat", (0, 1)),
    ];
    for (file, counted) in table {
        let (got, stats) = answer(&fs::read(data().join(file)).unwrap(), Limits::default());
        let nothing = (stats.sent, stats.requests_received, stats.garbage, stats.refused);
        assert_eq!((got, nothing), (None, (0, 0, 0, 0)), "{file}");
        assert_eq!((stats.bad_responses, stats.stray_responses), counted, "{file}");
    }
    let faults = [
        "SIP/3.0 200 OK\r\n",
        "SIP/2.0 200 OK\r\nl: 9\r\n",
        "SIP/2.0 200 OK\r\nl: x\r\n",
        "SIP/2.0 200 OK\r\n",
    ];
    for fault in faults {
        let (got, stats) = answer(format!("{fault}\r\n").as_bytes(), Limits::default());
        assert_eq!((got, stats.bad_responses, stats.sent), (None, 1, 0), "{fault}");
    }
}

/// One server gets them all, and answers the next honest question.
#[test]
fn damaged_messages_are_survived() {
    let (mut world, server) = server(Limits::default());
    let mut files: Vec<_> =
        fs::read_dir(data().join("survive")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 80);
    let mut whole = cases().into_iter().map(|case| case.bytes).collect::<Vec<_>>();
    whole.extend(files.iter().map(|file| fs::read(file).unwrap()));
    let count = whole.len() as u64;
    for bytes in whole {
        world.inject(at("192.0.2.99:5060"), at(SERVER), bytes);
        world.run_for(Duration::from_millis(10));
    }
    let stats = world.stack(server).stats();
    let seen = stats.requests_received + stats.responses_received + stats.bad_responses + stats.garbage;
    assert!(seen + stats.keep_alives >= count, "each is counted: {stats:?}");
    world.run_for(Duration::from_secs(64));
    let before = world.ladder().len();
    world.inject(
        at("192.0.2.98:5060"),
        at(SERVER),
        request("OPTIONS", "sip:x@192.0.2.2", "", "").into_bytes(),
    );
    world.run_for(Duration::from_millis(10));
    let said: Vec<_> = world.ladder().steps().skip(before).map(|step| step.what.clone()).collect();
    assert!(said.iter().any(|what| what.starts_with("200")), "{said:?}");
}

fn request(method: &str, uri: &str, rows: &str, body: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.98;branch=z9hG4bKhonest\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.98>;tag=1\r\nTo: <sip:x@192.0.2.2>\r\nCall-ID: honest\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@192.0.2.98>\r\n{rows}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Each limit is met by one request that keeps it, and by one that breaks it by one.
#[test]
fn each_limit_has_its_status() {
    let limits = Limits { head: 600, rows: 12, uri: 60, body: 4_000, parts: 3, depth: 2 };
    let status = |text: String| answer(text.as_bytes(), limits).0;
    let options = |uri: &str, rows: &str, body: &str| request("OPTIONS", uri, rows, body);
    let here = "sip:x@192.0.2.2";

    let uri = |length: usize| format!("{here};x={}", "a".repeat(length - here.len() - 3));
    assert_eq!(status(options(&uri(60), "", "")), Some(200));
    assert_eq!(status(options(&uri(61), "", "")), Some(414), "Request-URI Too Long");
    assert_eq!(status(options(&uri(900), "", "")), Some(414), "longer than a whole head may be");

    let body = |length: usize| options(here, "Content-Type: text/plain\r\n", &"b".repeat(length));
    assert_eq!(status(body(4_000)), Some(200));
    assert_eq!(status(body(4_001)), Some(413), "Request Entity Too Large");

    let rows = |count: usize| options(here, &"X: y\r\n".repeat(count - 8), "");
    assert_eq!(status(rows(12)), Some(200));
    assert_eq!(status(rows(13)), Some(513), "Message Too Large");

    let head = |length: usize| {
        let bare = options(here, "X: \r\n", "").len();
        options(here, &format!("X: {}\r\n", "h".repeat(length - bare)), "")
    };
    assert_eq!(status(head(600)), Some(200));
    assert_eq!(status(head(601)), Some(513), "Message Too Large");

    // What bodies may hold is for those who read them: the user agent, with the default limits.
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.98\r\ns=-\r\nc=IN IP4 192.0.2.98\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let invite = |kind: &str, body: &str| {
        let text = request("INVITE", "sip:busy@192.0.2.2", &format!("Content-Type: {kind}\r\n"), body);
        answer(text.as_bytes(), Limits::default()).0
    };
    let parts = |count: usize| {
        let optional = "--b\r\nContent-Type: a/b\r\nContent-Disposition: x;handling=optional\r\n\r\n\r\n";
        let body = format!(
            "{}--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b--",
            optional.repeat(count - 1)
        );
        invite("multipart/mixed;boundary=b", &body)
    };
    let most = Limits::default();
    assert_eq!(parts(most.parts), Some(486));
    assert_eq!(parts(most.parts + 1), Some(400), "too many parts");
    let nested = |depth: usize| {
        let mut body = format!("--b0\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b0--");
        for level in 1..depth {
            let kind = format!("multipart/alternative;boundary=b{}", level - 1);
            body = format!("--b{level}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--b{level}--");
        }
        invite(&format!("multipart/alternative;boundary=b{}", depth - 1), &body)
    };
    assert_eq!(nested(most.depth), Some(486));
    assert_eq!(nested(most.depth + 1), Some(400), "nested too deep");
}
