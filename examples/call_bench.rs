//! What a call costs without a network: `call_bench MODE ITERS`.
//!
//! Two stacks hand each other their messages, INVITE, 200, ACK, BYE and 200, and time passes until everything of the
//! call is over. MODE is `transactions` (messages, transactions and stack; who uses them does nothing else) or `calls`
//! (the user agent with its dialogs on top). Runs ITERS/10 times to warm up, then ITERS times, and prints one line with
//! `N ns/call` of processor time of both sides together.

use std::{env, net::SocketAddr, process::ExitCode};

use nix::time::{ClockId, clock_gettime};
use sipkit::{
    auth,
    message::{AddressBuf, Builder, HeaderId, Method, Request, Response, UriBuf},
    stack::{Config, Cx, Failure, NextHop, Outgoing, Output, RequestId, Stack, TransactionUser},
    time::{Duration, Instant},
    transaction::ServerId,
    transport::{Flow, Incoming, Protocol},
    ua::{
        self, Event, UserAgent,
        call::{Body, CallEvent, Invite},
    },
};

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("call_bench: {what}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Vec<String>) -> Result<String, String> {
    let [mode, iterations] = &args[..] else {
        return Err("usage: call_bench transactions|calls ITERS".into());
    };
    let iterations: u64 = iterations.parse().map_err(|_| format!("ITERS is a number, not {iterations}"))?;
    let seconds = match mode.as_str() {
        "transactions" => measure(iterations, &mut Pair::new(Bare::default(), Bare::default()))?,
        "calls" => {
            let agent = || Agent { ua: UserAgent::new(ua::Config::default()), ended: 0 };
            measure(iterations, &mut Pair::new(agent(), agent()))?
        }
        _ => return Err(format!("no mode {mode}: transactions or calls")),
    };
    Ok(format!("sipkit {mode} {iterations} it {:.0} ns/call", seconds * 1e9 / iterations.max(1) as f64))
}

/// Warms up, then runs; the seconds it took.
fn measure<U: Party>(iterations: u64, pair: &mut Pair<U>) -> Result<f64, String> {
    for _ in 0..iterations / 10 {
        pair.call()?;
    }
    let start = processor_time();
    for _ in 0..iterations {
        pair.call()?;
    }
    Ok((processor_time() - start).as_secs_f64())
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or((0, 0), |t| (t.tv_sec(), t.tv_nsec()));
    Duration::new(now.0.unsigned_abs(), u32::try_from(now.1).unwrap_or(0))
}

/// Who stands on a stack here.
trait Party: TransactionUser {
    /// Calls whoever is at [`address`]`(1)`.
    fn dial(&mut self, cx: &mut Cx<'_>);
    /// Does what the events of a call ask for.
    fn react(&mut self, cx: &mut Cx<'_>);
    /// Calls that are over.
    fn ended(&self) -> u64;
}

/// Caller and callee, and the time both go by.
struct Pair<U> {
    sides: [(Stack, U); 2],
    now: Instant,
    calls: u64,
}

impl<U: Party> Pair<U> {
    fn new(caller: U, callee: U) -> Self {
        let stack = |seed| Stack::new(Config { seed: [seed; 32], ..Config::default() });
        Self { sides: [(stack(1), caller), (stack(2), callee)], now: Instant::from_millis(1_000), calls: 0 }
    }

    /// One call, from its INVITE until no timer of it is left.
    fn call(&mut self) -> Result<(), String> {
        let (stack, user) = &mut self.sides[0];
        stack.with(self.now, user, |user, cx| user.dial(cx));
        self.exchange();
        let until = self.now + LIFETIME;
        while self.now < until {
            let next = self.sides.iter().filter_map(|(stack, _)| stack.next_deadline()).min();
            self.now = next.unwrap_or(until).clamp(self.now, until);
            let now = self.now;
            for (stack, user) in &mut self.sides {
                stack.advance(now, user);
            }
            self.exchange();
        }
        self.calls += 1;
        let is_over = |(stack, user): &(Stack, U)| stack.transactions() == 0 && user.ended() == self.calls;
        if self.sides.iter().all(is_over) { Ok(()) } else { Err(format!("call {} is not over", self.calls)) }
    }

    /// Hands messages over until nobody has anything to say.
    fn exchange(&mut self) {
        let now = self.now;
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for side in [0, 1] {
                loop {
                    let (stack, user) = &mut self.sides[side];
                    stack.with(now, user, |user, cx| user.react(cx));
                    let Some(output) = stack.output() else { break };
                    is_quiet = false;
                    match output {
                        Output::Transmit { flow, bytes } => {
                            let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                            let (stack, user) = &mut self.sides[1 - side];
                            stack.receive(now, Incoming { bytes, flow }, user);
                        }
                        Output::Connect { id, .. } => {
                            stack.connected(now, id, Ok(flow(side)), user);
                        }
                        Output::Alias { .. }
                        | Output::Close { .. }
                        | Output::HandOver { .. }
                        | Output::Resolve { .. } => {}
                    }
                }
            }
        }
    }
}

/// Longer than any transaction lives.
const LIFETIME: Duration = Duration::from_secs(80);

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5060 + side as u16))
}

fn flow(side: usize) -> Flow {
    let (local, remote) = (address(side), address(1 - side));
    Flow { shard: 0, slot: 0, generation: 0, protocol: Protocol::Udp, local, remote }
}

/// Uses transactions and does nothing else.
#[derive(Default)]
struct Bare {
    invite: Option<RequestId>,
    ended: u64,
}

impl Bare {
    fn send(method: Method<'_>, number: u32, cx: &mut Cx<'_>) -> RequestId {
        let target = format!("sip:bob@{}", address(1));
        let request = Builder::request(method, &target)
            .header(HeaderId::From, "<sip:alice@127.0.0.1>;tag=alice")
            .header(HeaderId::To, format_args!("<{target}>"))
            .header(HeaderId::CallId, "a84b4c76e66710")
            .header(HeaderId::CSeq, format_args!("{number} {method}"))
            .header(HeaderId::Contact, "<sip:alice@127.0.0.1:5060>");
        let request = if method == Method::Invite { request.body("application/sdp", SDP) } else { request };
        cx.send(Outgoing::new(request.finish(), NextHop::RequestUri))
    }
}

impl Party for Bare {
    fn dial(&mut self, cx: &mut Cx<'_>) {
        self.invite = Some(Self::send(Method::Invite, 1, cx));
    }

    fn react(&mut self, _: &mut Cx<'_>) {}

    fn ended(&self) -> u64 {
        self.ended
    }
}

impl TransactionUser for Bare {
    fn request(&mut self, request: Request, id: Option<ServerId>, _: Flow, cx: &mut Cx<'_>) {
        let Some(id) = id else { return };
        let response = Builder::response(&request, 200, None).to_tag("bob");
        let response = match request.method() {
            Method::Invite => {
                let contact = format_args!("<sip:{}>", address(1));
                response.header(HeaderId::Contact, contact).body("application/sdp", SDP)
            }
            _ => {
                self.ended += 1;
                response
            }
        };
        // A transaction that is gone shows as a call that is not over.
        let _ = cx.respond(id, response.into_bytes());
    }

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, id: Option<RequestId>, _: Response, cx: &mut Cx<'_>) {
        if id.is_some() && id == self.invite.take() {
            Self::send(Method::Ack, 1, cx);
            Self::send(Method::Bye, 2, cx);
        } else {
            self.ended += 1;
        }
    }

    fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
}

/// A user agent that answers at once and, as the caller, hangs up at once.
struct Agent {
    ua: UserAgent,
    ended: u64,
}

impl Party for Agent {
    fn dial(&mut self, cx: &mut Cx<'_>) {
        let uri = |text: String| UriBuf::parse(&text).expect("it is a URI");
        let invite = Invite {
            target: uri(format!("sip:bob@{}", address(1))),
            from: AddressBuf::new(None, uri("sip:alice@127.0.0.1".into())),
            next: NextHop::RequestUri,
            offer: Body::sdp(SDP),
            auth: auth::Client::default(),
            registration: None,
            headers: Vec::new(),
        };
        self.ua.invite(invite, cx);
    }

    fn react(&mut self, cx: &mut Cx<'_>) {
        while let Some(event) = self.ua.event() {
            match event {
                Event::Call(id, CallEvent::Incoming { .. }) => self.ua.answer(id, Some(Body::sdp(SDP)), cx),
                Event::Call(id, CallEvent::Answered { .. }) => self.ua.hang_up(id, cx),
                Event::Call(_, CallEvent::Ended { .. }) => self.ended += 1,
                _ => {}
            }
        }
    }

    fn ended(&self) -> u64 {
        self.ended
    }
}

impl TransactionUser for Agent {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        self.ua.request(request, id, from, cx);
    }

    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>) {
        self.ua.cancel(invite, cx);
    }

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        self.ua.response(id, response, cx);
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        self.ua.failed(id, why, cx);
    }

    fn ended(&mut self, id: RequestId, cx: &mut Cx<'_>) {
        TransactionUser::ended(&mut self.ua, id, cx);
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        self.ua.deadline(token, cx);
    }
}

const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n";
