//! Looking up where requests go (RFC 3263) on real sockets: DNS servers that are dead, slow or wrong, and SIP servers
//! that refuse, fall silent, are busy or die between two requests. Times are part of what is tested.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hickory_resolver::proto::op::ResponseCode;
use serde_json::Value;
use sipkit::{
    endpoint::{Builder, Endpoint},
    message::{self, HeaderId, Method, Request, Response, UriBuf},
    resolve::{
        Fault, LookupError, Query, QueryError, Records, Source,
        system::{Config, Resolver},
    },
    stack::{self, Cx, Failure, NextHop, Outgoing, RequestId, TransactionUser},
    transaction::{ServerId, Timing},
    transport::{Flow, Target},
};
use tokio::sync::mpsc;

use crate::support::{
    PATIENCE,
    dns::{DnsServer, Manner},
    folder::Folder,
    message::Text,
    program::{Program, Server},
};

fn resolver(servers: &[SocketAddr]) -> Resolver {
    Resolver::new(Config { servers: servers.to_vec() })
}

/// A UDP port that swallows everything.
fn mute() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// A UDP port that refuses: bound for as long as it takes to make sure, and connected to itself.
fn dead() -> (UdpSocket, SocketAddr) {
    let (socket, addr) = mute();
    socket.connect(addr).unwrap();
    (socket, addr)
}

/// A TCP port where nobody listens; ports are not given out again soon.
fn dead_tcp() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn addresses(resolver: &Resolver, name: &str) -> Result<(Vec<String>, Source), QueryError> {
    let response = resolver.answer(&Query::addresses(name), Duration::from_secs(5)).await?;
    let Records::Addresses(addresses) = response.records else { panic!("{response:?}") };
    Ok((addresses.iter().map(ToString::to_string).collect(), response.source))
}

const ZONE: &str = "\
    a.test A 192.0.2.1\n\
    a.test A 192.0.2.2\n\
    dual.test AAAA 2001:db8::1\n\
    dual.test A 192.0.2.1\n\
    slow6.test A 192.0.2.6\n\
    big.test A 192.0.2.9\n\
    alias.test CNAME alias2.test\n\
    alias2.test CNAME a.test\n\
    loop1.test CNAME loop2.test\n\
    loop2.test CNAME loop1.test\n\
    nowhere.test CNAME gone.test\n\
    _sip._udp.alias.test CNAME _sip._udp.real.test\n\
    _sip._udp.real.test SRV 10 20 5070 a.test\n\
    d.test NAPTR 10 50 \"s\" \"SIP+D2U\" \"\" _sip._udp.real.test\n\
    none.test SRV 0 0 0 .\n";

#[tokio::test]
async fn each_kind_of_answer_is_told_apart_and_says_who_gave_it() {
    let server = DnsServer::new(ZONE)
        .with("servfail.test", Manner::Code(ResponseCode::ServFail))
        .with("refused.test", Manner::Code(ResponseCode::Refused))
        .with("mute.test", Manner::Mute)
        .with("big.test", Manner::Truncated);
    let resolver = resolver(&[server.addr]);
    let by = Source::Server(server.addr);

    let (found, source) = addresses(&resolver, "a.test").await.unwrap();
    assert_eq!((found.len(), source), (2, by));
    let (mut found, _) = addresses(&resolver, "dual.test").await.unwrap();
    found.sort_unstable();
    assert_eq!(found, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(addresses(&resolver, "big.test").await.unwrap().0, ["192.0.2.9"], "by TCP");

    let error = addresses(&resolver, "missing.test").await.unwrap_err();
    let five = Duration::from_secs(5);
    assert!(matches!(&error, QueryError::NoName { by: b, ttl } if *b == by && *ttl == five), "{error:?}");
    assert_eq!(error.to_string(), format!("no such name, says DNS server {}", server.addr));
    let error = resolver.answer(&Query::srv("a.test"), five).await.unwrap_err();
    assert!(matches!(&error, QueryError::NoData { by: b, ttl } if *b == by && *ttl == five), "{error:?}");
    for (name, code) in [("servfail.test", 2), ("refused.test", 5)] {
        let error = addresses(&resolver, name).await.unwrap_err();
        let expected = Fault::Code(code);
        assert!(
            matches!(&error, QueryError::Fault { by: b, fault } if *b == by && *fault == expected),
            "{error:?}"
        );
    }
    let begun = Instant::now();
    let within = Duration::from_millis(300);
    let error = resolver.answer(&Query::addresses("mute.test"), within).await.unwrap_err();
    assert!(matches!(&error, QueryError::Timeout { asked } if **asked == [by]), "{error:?}");
    assert!(begun.elapsed() < Duration::from_millis(600), "our deadline, {:?}", begun.elapsed());
}

#[tokio::test]
async fn records_keep_their_numbers_and_aliases_are_followed() {
    let server = DnsServer::new(ZONE);
    let resolver = resolver(&[server.addr]);
    let within = Duration::from_secs(5);
    let response = resolver.answer(&Query::addresses("Alias.Test."), within).await.unwrap();
    assert_eq!(response.alias.as_deref(), Some("a.test"));
    assert_eq!((response.records.len(), response.ttl), (2, Duration::from_secs(60)));
    let response = resolver.answer(&Query::srv("_sip._udp.alias.test"), within).await.unwrap();
    assert_eq!(response.alias.as_deref(), Some("_sip._udp.real.test"));
    let Records::Srv(records) = &response.records else { panic!() };
    assert_eq!(records[0].to_string(), "10 20 5070 a.test");
    let response = resolver.answer(&Query::naptr("d.test"), within).await.unwrap();
    let Records::Naptr(records) = &response.records else { panic!() };
    assert_eq!(records[0].to_string(), "10 50 \"s\" SIP+D2U \"\" _sip._udp.real.test");
    let response = resolver.answer(&Query::srv("none.test"), within).await.unwrap();
    let Records::Srv(records) = &response.records else { panic!() };
    assert!(!records[0].is_available());

    let error = addresses(&resolver, "loop1.test").await.unwrap_err();
    assert!(matches!(error, QueryError::Fault { fault: Fault::Aliases, .. }), "{error:?}");
    let error = addresses(&resolver, "nowhere.test").await.unwrap_err();
    assert!(matches!(error, QueryError::NoName { .. }), "{error:?}");
    let too_long = format!("{}.test", "x".repeat(64));
    let error = addresses(&resolver, &too_long).await.unwrap_err();
    assert!(matches!(error, QueryError::NoName { by: Source::System, .. }), "{error:?}");
}

#[tokio::test]
async fn a_family_that_is_silent_does_not_hold_up_the_other() {
    let server = DnsServer::new(ZONE).with("slow6.test", Manner::MuteV6);
    let begun = Instant::now();
    let response = resolver(&[server.addr])
        .answer(&Query::addresses("slow6.test"), Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(response.records.len(), 1);
    assert!(response.ttl.is_zero(), "half an answer is not kept");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// Within a second, and only once: afterwards the server that answers is asked first.
#[tokio::test]
async fn a_dead_dns_server_is_passed_over_soon() {
    let server = DnsServer::new(ZONE);
    let (silent, refusing) = (mute(), dead());
    for bad in [silent.1, refusing.1] {
        let resolver = resolver(&[bad, server.addr]);
        let begun = Instant::now();
        let (_, source) = addresses(&resolver, "a.test").await.unwrap();
        let first = begun.elapsed();
        assert_eq!(source, Source::Server(server.addr));
        assert!(first < Duration::from_secs(1), "{first:?}");
        let begun = Instant::now();
        addresses(&resolver, "dual.test").await.unwrap();
        let second = begun.elapsed();
        assert!(second < Duration::from_millis(250), "{second:?}");
        println!("dead DNS server: {first:?}, then {second:?}");
    }
    let broken = DnsServer::new("").with("test", Manner::Code(ResponseCode::ServFail));
    let begun = Instant::now();
    let resolver = resolver(&[broken.addr, server.addr]);
    assert_eq!(addresses(&resolver, "a.test").await.unwrap().1, Source::Server(server.addr));
    assert!(begun.elapsed() < Duration::from_millis(400), "a failure is no silence: {:?}", begun.elapsed());
}

/// Sends OPTIONS and hands on what comes of them.
struct Sender(mpsc::UnboundedSender<Result<u16, Failure>>);

impl TransactionUser for Sender {
    fn request(&mut self, _: Request, _: Option<ServerId>, _: Flow, _: &mut Cx<'_>) {}

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, response: Response, _: &mut Cx<'_>) {
        if response.status() >= 200 {
            self.0.send(Ok(response.status())).unwrap();
        }
    }

    fn failed(&mut self, _: RequestId, why: Failure, _: &mut Cx<'_>) {
        self.0.send(Err(why)).unwrap();
    }

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
}

/// A client that asks `dns`, over UDP, and gives up on silence after 64 × 5 ms.
struct Client {
    endpoint: Endpoint<Sender>,
    outcomes: mpsc::UnboundedReceiver<Result<u16, Failure>>,
}

impl Client {
    fn new(dns: SocketAddr) -> Self {
        let (sender, outcomes) = mpsc::unbounded_channel();
        let ms = Duration::from_millis;
        let stack = stack::Config { timing: Timing::new(ms(5), ms(40), ms(50)), ..Builder::default().stack };
        let builder = Builder {
            listen: vec![Target::udp("127.0.0.1:0".parse().unwrap())],
            stack,
            resolver: Config { servers: vec![dns] },
            ..Builder::default()
        };
        Self { endpoint: builder.start(Sender(sender)).unwrap(), outcomes }
    }

    /// The outcome of an OPTIONS, and the time it took.
    async fn options(&mut self, uri: &str) -> (Result<u16, Failure>, Duration) {
        let target = UriBuf::parse(uri).unwrap();
        let begun = Instant::now();
        self.endpoint
            .with(move |_, cx| {
                let call_id = cx.ids().call_id();
                let request = message::Builder::request(Method::Options, target.as_uri())
                    .header(HeaderId::From, "<sip:tester@a.test>;tag=1")
                    .header(HeaderId::To, format_args!("<{target}>"))
                    .header(HeaderId::CallId, call_id)
                    .header(HeaderId::CSeq, "1 OPTIONS")
                    .finish();
                cx.send(Outgoing::new(request, NextHop::RequestUri));
            })
            .await
            .unwrap();
        let outcome =
            tokio::time::timeout(PATIENCE, self.outcomes.recv()).await.expect("no outcome").unwrap();
        (outcome, begun.elapsed())
    }
}

/// A SIP server that answers everything alike and counts.
struct Sip {
    addr: SocketAddr,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sip {
    fn answering(status: u16, more: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let addr = socket.local_addr().unwrap();
        let (requests, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (requests.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                counter.fetch_add(1, Ordering::Relaxed);
                let answer = Text::of(&buffer[..len]).response(status, "t", addr, more, "");
                let _ = socket.send_to(answer.as_bytes(), from);
            }
        });
        Self { addr, requests, stop, thread: Some(thread) }
    }

    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }

    /// Its port refuses afterwards.
    fn die(mut self) -> (UdpSocket, SocketAddr) {
        self.end();
        let socket = UdpSocket::bind(self.addr).unwrap();
        socket.connect(self.addr).unwrap();
        (socket, self.addr)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Sip {
    fn drop(&mut self) {
        self.end();
    }
}

/// SRV records for UDP at x.test, in this order of priority.
fn servers(ports: &[u16]) -> DnsServer {
    let mut zone = String::from("h.test A 127.0.0.1\n");
    for (priority, port) in ports.iter().enumerate() {
        zone += &format!("_sip._udp.x.test SRV {priority} 0 {port} h.test\n");
    }
    DnsServer::new(&zone)
}

const QUICKLY: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_refused_connection_moves_on_within_50_ms() {
    let (refusing, good) = (dead(), Sip::answering(200, ""));
    let dns = servers(&[refusing.1.port(), good.addr.port()]);
    let mut client = Client::new(dns.addr);
    // The lookup is timed apart: its answers are kept.
    client.options("sip:h.test:1").await.0.unwrap_err();
    let (first, took) = client.options("sip:x.test").await;
    assert_eq!(first.unwrap(), 200);
    println!("refused, then answered: {took:?} with the lookup");
    let asked = ["A h.test", "AAAA h.test", "NAPTR x.test", "SRV _sip._tcp.x.test", "SRV _sip._udp.x.test"];
    let mut all = dns.asked();
    // Where it is built in, WebSocket is asked for as well.
    all.retain(|question| !question.contains("_ws"));
    assert_eq!(all, asked);
    assert!(took < QUICKLY, "{took:?}");

    // It is remembered: the next request goes to the good one at once, and asks nobody.
    let (second, took) = client.options("sip:x.test").await;
    assert_eq!(second.unwrap(), 200);
    assert!(took < QUICKLY, "{took:?}");
    assert_eq!((good.requests(), dns.asked()), (2, vec![]));
    client.endpoint.stop().await;
}

/// Over TCP: nobody listens, then one who hangs up at once, then one who answers.
#[tokio::test]
async fn connections_that_fail_move_on_within_50_ms() {
    let (refused, closed) = (dead_tcp(), TcpListener::bind("127.0.0.1:0").unwrap());
    let rude = closed.local_addr().unwrap();
    thread::spawn(move || {
        for stream in closed.incoming() {
            drop(stream);
        }
    });
    let good = TcpListener::bind("127.0.0.1:0").unwrap();
    let polite = good.local_addr().unwrap();
    thread::spawn(move || {
        for stream in good.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                let answer = Text::of(&buffer[..len]).response(200, "t", polite, "", "");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    let mut zone = String::from("h.test A 127.0.0.1\n");
    for (priority, port) in [refused, rude.port(), polite.port()].iter().enumerate() {
        zone += &format!("_sip._tcp.x.test SRV {priority} 0 {port} h.test\n");
    }
    let dns = DnsServer::new(&zone);
    let mut client = Client::new(dns.addr);
    let (outcome, took) = client.options("sip:x.test;transport=tcp").await;
    assert_eq!(outcome.unwrap(), 200);
    println!("refused, closed, then answered over TCP: {took:?} with the lookup");
    assert!(took < QUICKLY, "{took:?}");
    // Without a word about the transport the SRV records decide it.
    let (outcome, took) = client.options("sip:x.test").await;
    assert_eq!(outcome.unwrap(), 200);
    assert!(took < QUICKLY, "{took:?}");
    client.endpoint.stop().await;
}

#[tokio::test]
async fn a_target_that_dies_between_two_requests() {
    let (first, second) = (Sip::answering(200, ""), Sip::answering(200, ""));
    let dns = servers(&[first.addr.port(), second.addr.port()]);
    let mut client = Client::new(dns.addr);
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 200);
    assert_eq!((first.requests(), second.requests()), (1, 0));
    let _dead = first.die();
    let (outcome, took) = client.options("sip:x.test").await;
    assert_eq!(outcome.unwrap(), 200);
    println!("died between two requests: {took:?}");
    assert!(took < QUICKLY, "{took:?}");
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 200);
    assert_eq!(second.requests(), 2);
    client.endpoint.stop().await;
}

#[tokio::test]
async fn a_silent_target_is_left_after_the_timeout_and_then_avoided() {
    let (silent, good) = (mute(), Sip::answering(200, ""));
    let dns = servers(&[silent.1.port(), good.addr.port()]);
    let mut client = Client::new(dns.addr);
    let (outcome, took) = client.options("sip:x.test").await;
    assert_eq!(outcome.unwrap(), 200);
    assert!(took >= Duration::from_millis(320), "64·T1: {took:?}");
    println!("silent, then answered: {took:?} with 64·T1 = 320 ms");
    let (outcome, took) = client.options("sip:x.test").await;
    assert_eq!(outcome.unwrap(), 200);
    assert!(took < QUICKLY, "{took:?}");
    client.endpoint.stop().await;
}

#[tokio::test]
async fn a_busy_target_is_left_alone_for_as_long_as_it_says() {
    let (busy, good) = (Sip::answering(503, "Retry-After: 1\r\n"), Sip::answering(200, ""));
    let dns = servers(&[busy.addr.port(), good.addr.port()]);
    let mut client = Client::new(dns.addr);
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 200);
    assert_eq!((busy.requests(), good.requests()), (1, 1));
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 200);
    assert_eq!((busy.requests(), good.requests()), (0, 1), "it asked for a second");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 200);
    assert_eq!((busy.requests(), good.requests()), (1, 1));
    client.endpoint.stop().await;

    // Of several the last one's word counts.
    let dns = servers(&[busy.addr.port()]);
    let mut client = Client::new(dns.addr);
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 503);
    assert_eq!(client.options("sip:x.test").await.0.unwrap(), 503, "avoided, and tried for want of another");
    client.endpoint.stop().await;
}

#[tokio::test]
async fn names_that_lead_nowhere() {
    let good = Sip::answering(200, "");
    let (one, two) = (dead(), dead());
    let zone = format!(
        "h.test A 127.0.0.1\n\
         _sip._udp.half.test SRV 1 0 {port} nowhere.test\n\
         _sip._udp.half.test SRV 2 0 {port} h.test\n\
         _sip._udp.all.test SRV 1 0 {one} h.test\n\
         _sip._udp.all.test SRV 2 0 {two} h.test\n\
         _sip._udp.lost.test SRV 1 0 {port} nowhere.test\n\
         _sip._udp.none.test SRV 0 0 0 .\n\
         none.test A 127.0.0.1\n\
         n.test NAPTR 10 1 \"s\" \"SIP+D2S\" \"\" _sip._sctp.half.test\n\
         n.test NAPTR 20 1 \"s\" \"SIP+D2U\" \"\" _sip._udp.half.test\n",
        port = good.addr.port(),
        one = one.1.port(),
        two = two.1.port()
    );
    let dns = DnsServer::new(&zone).with("mute.test", Manner::Mute);
    let mut client = Client::new(dns.addr);
    for uri in ["sip:half.test", "sip:n.test"] {
        let (outcome, took) = client.options(uri).await;
        assert_eq!(outcome.unwrap(), 200);
        println!("{uri}: {took:?}");
    }
    let (outcome, took) = client.options("sip:all.test").await;
    assert!(matches!(outcome, Err(Failure::Unreachable { .. })), "{outcome:?}");
    assert!(took < QUICKLY * 2, "{took:?}");
    let (outcome, took) = client.options("sip:missing.test").await;
    println!("NXDOMAIN: {took:?}");
    let Err(Failure::Lookup(LookupError::NoAddress { name, error: QueryError::NoName { .. } })) = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(&*name, "missing.test");
    let (outcome, _) = client.options("sip:lost.test").await;
    assert!(
        matches!(&outcome, Err(Failure::Lookup(LookupError::NoAddress { name, .. })) if &**name == "nowhere.test")
    );
    let (outcome, _) = client.options("sip:none.test").await;
    assert!(matches!(outcome, Err(Failure::Lookup(LookupError::Unavailable { .. }))), "{outcome:?}");
    let begun = dns.asked().len();
    assert!(begun > 0);
    let (again, _) = client.options("sip:missing.test").await;
    assert!(again.is_err() && dns.asked().is_empty(), "what does not exist is remembered, too");
    // A server that swallows NAPTR, SRV and addresses alike costs five seconds and not three times as much.
    let (outcome, took) = client.options("sip:mute.test").await;
    assert!(matches!(
        &outcome,
        Err(Failure::Lookup(LookupError::NoAddress { error: QueryError::Timeout { .. }, .. }))
    ));
    assert!((4_900..6_000).contains(&took.as_millis()), "{took:?}");
    client.endpoint.stop().await;
}

/// The programs, with nothing but `--dns`.
#[test]
fn sip_dns_and_sip_call_go_where_the_dns_says() {
    let server = Server::start();
    let refusing = dead();
    let zone = format!(
        "x.test NAPTR 10 50 \"s\" \"SIP+D2U\" \"\" _sip._udp.x.test\n\
         _sip._udp.x.test SRV 1 0 {} h.test\n_sip._udp.x.test SRV 2 0 {} h.test\nh.test A 127.0.0.1\n",
        refusing.1.port(),
        server.addr.port()
    );
    let dns = DnsServer::new(&zone);
    let at = dns.addr.to_string();

    let finished = Program::dns(["--json", "--dns", &at, "sip:x.test"]).finish().expect(0);
    let events = finished.events();
    let named =
        |name: &str| -> Vec<&Value> { events.iter().filter(|event| event["event"] == name).collect() };
    assert_eq!(named("rule")[0]["rule"], "domain");
    let kinds: Vec<_> = named("query").iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["NAPTR", "SRV", "A/AAAA"]);
    assert_eq!(named("query")[0]["records"][0]["protocol"], "UDP");
    let targets: Vec<_> = named("targets")[0]["targets"].as_array().unwrap().iter().collect();
    assert_eq!(targets[0]["address"], refusing.1.to_string());
    assert_eq!(targets[1]["address"], server.addr.to_string());
    assert_eq!(targets[1]["service"], "_sip._udp.x.test");

    let finished = Program::dns(["--dns", &at, "--count", "5", "x.test"]).finish().expect(0);
    for wanted in ["└─ ", "SRV _sip._udp.x.test: 2 records", "first of 5 lookups:", "100.00 %"] {
        assert!(finished.out.contains(wanted), "no {wanted:?} in {finished}");
    }
    let finished = Program::dns(["--dns", &at, "sip:missing.test"]).finish().expect(20);
    finished.says(&["missing.test has no address: no such name, says DNS server", &at]);
    for mistake in
        ["tel:+15550100", "sips:x.test;transport=udp", "sip:x.test;transport=sctp", "sip:", "http://x"]
    {
        Program::dns(["--dns", &at, mistake]).finish().expect(2);
    }
    Program::dns(["--dns", "nonsense", "sip:x.test"]).finish().expect(2);

    let flags = ["-v", "--dns", &at, "--audio", "none", "--local", "127.0.0.1", "--duration", "100ms"];
    let begun = Instant::now();
    let finished = Program::call(flags.iter().copied().chain(["sip:echo@x.test"])).finish().expect(0);
    println!("call through a dead target: {:?}", begun.elapsed());
    finished.says(&["SRV _sip._udp.x.test: 2 records", "the URI has neither port nor transport"]);
    server.stop();
}

/// Who answers is named, not who was asked first and refused.
#[test]
fn the_server_that_answers_is_named() {
    let folder = Folder::new();
    let file = folder.file("secret", "s3cr3t\n");
    let server = Server::with(&["--user", "alice", "--password-file", &file]);
    let refusing = dead();
    let dns = servers(&[refusing.1.port(), server.addr.port()]);
    let (at, answering) = (dns.addr.to_string(), server.addr.to_string());
    let common = ["--dns", &at, "--user", "alice", "--password-file", &file];
    let calls = |user: &str, exit: i32| {
        let quick = ["--json", "--audio", "none", "--local", "127.0.0.1", "--duration", "100ms"];
        let target = format!("sip:{user}@x.test");
        let finished = Program::call(quick.iter().chain(&common).chain(&[target.as_str()])).finish();
        let finished = finished.expect(exit);
        let remotes: Vec<_> = finished
            .events()
            .iter()
            .filter(|event| event["event"] == "calling")
            .map(|event| event["remote"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(remotes, [refusing.1.to_string(), answering.clone()], "{finished}");
        assert_eq!(finished.result()["remote"], answering, "{finished}");
        finished
    };
    calls("echo", 0);
    calls("busy", 10).says(&[&format!("{answering} answered 486")]);
    let others = [
        Program::register(common.iter().chain(&["--expires", "2m", "sip:alice@x.test"])),
        Program::message(common.iter().chain(&["sip:bob@x.test", "hello"])),
        Program::options(common.iter().chain(&["sip:x.test"])),
    ];
    for program in others {
        let finished = program.finish().expect(0);
        assert_eq!(finished.result()["remote"], answering, "{finished}");
    }
    // Credentials that do not do.
    let wrong = folder.file("wrong", "guess\n");
    let common = ["--dns", &at, "--user", "alice", "--password-file", &wrong];
    let finished = Program::message(common.iter().chain(&["sip:bob@x.test", "hello"])).finish().expect(13);
    assert_eq!(finished.result()["remote"], answering, "{finished}");
    server.stop();

    // Where none answers the message is about the last one, and so is the result.
    let other = dead();
    let dns = servers(&[refusing.1.port(), other.1.port()]);
    let at = dns.addr.to_string();
    let nobody = other.1.to_string();
    for program in [
        Program::call(["--json", "--audio", "none", "--local", "127.0.0.1", "--dns", &at, "sip:x@x.test"]),
        Program::options(["--dns", &at, "sip:x.test"]),
        Program::register(["--dns", &at, "sip:x@x.test"]),
    ] {
        let finished = program.finish().expect(21).says(&[&format!("connection refused by {nobody}")]);
        assert_eq!(finished.result()["remote"], nobody, "{finished}");
    }
}
