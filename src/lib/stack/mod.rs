//! One shard of the stack: messages in, messages out, users in the middle, no IO.
//!
//! A driver (`endpoint`, or `sim` in tests) feeds it with what happened and when, then carries out the
//! [`Output`]s:
//!
//! 1. [`Stack::receive`], [`Stack::unreachable`], [`Stack::resolved`], [`Stack::connected`] as things happen,
//!    and of connections [`Stack::message`], [`Stack::malformed`], [`Stack::ping`], [`Stack::closed`];
//! 2. [`Stack::advance`] when [`Stack::next_deadline`] has come;
//! 3. [`Stack::with`] to let the application act on its user;
//! 4. after each of these, [`Stack::output`] until there is none.
//!
//! Every call that can reach the application takes it as `&mut dyn TransactionUser`, so one stack serves
//! any program. The stack never reads a clock, opens a socket or spawns.

mod admit;
mod alive;
mod lookup;
mod send;
mod user;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    ops::AddAssign,
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    message::{Builder, Edits, FrameError, HeaderId, Limits, Message, Method, Request, Response},
    resolve::{self, Protocols},
    time::{Duration, Instant},
    transaction::{ClientId, Effect, Gone, Received, Report, ServerId, Table, Timing},
    transport::{Flow, FlowError, Incoming, Protocol, Target, keepalive::Stun, via},
    util::{
        id::Ids,
        slab::{Key, KeyMap, Slab},
        wheel::Wheel,
    },
};

pub use user::{Contact, Cx, Failure, NextHop, Outgoing, RequestId, Times, TransactionUser};

/// What a stack is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// This shard's number, carried in cookies.
    pub shard: u16,
    /// How many shards there are.
    pub shards: u16,
    /// All identifiers and keys derive from it: entropy in production, a constant in the simulator.
    pub seed: [u8; 32],
    pub timing: Timing,
    pub limits: Limits,
    /// Most transactions alive at once; requests beyond are answered 503.
    pub transactions: usize,
    /// The transports the driver has; no others are looked for.
    pub spoken: Protocols,
    /// Whether the peer may send requests to us over the TLS connections we open (RFC 5923 §8.1), which takes that we
    /// are listened to over TLS as well, and show a certificate.
    pub aliases: bool,
    /// How long finding out where a request goes may take in all.
    pub lookup: Duration,
    /// How long servers of equal rank keep the order drawn for a destination. Zero draws anew for every request.
    pub keep_order: Duration,
    /// Servers of equal rank always have the same order, whatever [`Config::keep_order`] says: a stateless proxy must
    /// send what belongs together to one place (RFC 3263 §4.4).
    pub fixed_order: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shard: 0,
            shards: 1,
            seed: [0; 32],
            timing: Timing::default(),
            limits: Limits::default(),
            transactions: 1 << 20,
            spoken: Protocols::UDP.and(Protocol::Tcp),
            aliases: false,
            lookup: Duration::from_secs(5),
            keep_order: Duration::from_secs(32),
            fixed_order: false,
        }
    }
}

/// What the driver has to do for the stack.
#[derive(Clone, Debug)]
pub enum Output {
    /// Put these bytes on the wire. Losing them is the network's right, reporting an error the driver's
    /// duty ([`Stack::unreachable`], [`Stack::closed`]). A response whose connection is gone goes to a new one,
    /// to the flow's remote address (RFC 3261 §18.2.2).
    Transmit { flow: Flow, bytes: Bytes },
    /// Find or open a flow and answer with [`Stack::connected`].
    Connect {
        id: RequestId,
        target: Target,
        /// Whom the peer's certificate must name (RFC 5922 §7.2): the host of the URI that led to the target,
        /// whatever the DNS made of it.
        domain: Arc<str>,
        /// This connection and no other: an error if it is gone.
        flow: Option<Flow>,
    },
    /// Who is at the other end of the connection listens there, and would have requests for there come over this
    /// connection (RFC 5923 §8.2); whether it is who listens there is for the driver to know.
    Alias { flow: Flow, target: Target },
    /// Close the connection, once what was sent on it has left; do not report it with [`Stack::closed`].
    Close { flow: Flow },
    /// Another shard has what it takes to deal with this message: it goes to its [`Stack::handed_over`].
    HandOver { shard: u16, message: Box<Message>, flow: Flow },
    /// Ask the DNS and answer with [`Stack::resolved`], at the latest at `until`.
    Resolve { id: RequestId, query: resolve::Query, until: Instant },
}

/// Things counted, since nothing that is dropped may go unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub requests_received: u64,
    pub responses_received: u64,
    pub sent: u64,
    /// Requests or transmissions repeated by a peer and absorbed.
    pub repeated: u64,
    /// CRLF keep-alives and empty datagrams.
    pub keep_alives: u64,
    /// Datagrams that are no SIP message.
    pub garbage: u64,
    /// Malformed requests answered with an error.
    pub refused: u64,
    /// Malformed responses.
    pub bad_responses: u64,
    /// Responses that match no transaction.
    pub stray_responses: u64,
    /// Requests refused with 503 because the table was full.
    pub overrun: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.requests_received += other.requests_received;
        self.responses_received += other.responses_received;
        self.sent += other.sent;
        self.repeated += other.repeated;
        self.keep_alives += other.keep_alives;
        self.garbage += other.garbage;
        self.refused += other.refused;
        self.bad_responses += other.bad_responses;
        self.stray_responses += other.stray_responses;
        self.overrun += other.overrun;
    }
}

/// One shard; see the module's description.
pub struct Stack {
    core: Core,
}

impl Stack {
    pub fn new(config: Config) -> Self {
        let mut ids = Ids::from_seed(config.seed);
        let key = ids.u64();
        Self {
            core: Core {
                shard: config.shard,
                shards: config.shards,
                table: Table::new(config.shard, config.timing, key, config.transactions),
                limits: config.limits,
                timing: config.timing,
                ids,
                aliases: config.aliases,
                memory: lookup::Memory::new(
                    config.spoken,
                    (!config.fixed_order).then_some(config.keep_order),
                ),
                within: config.lookup,
                sends: Slab::default(),
                by_client: KeyMap::default(),
                wakes: Wheel::default(),
                alive: alive::Alive::default(),
                proven: HashSet::new(),
                events: VecDeque::new(),
                unread: VecDeque::new(),
                effects: Vec::new(),
                expired: Vec::new(),
                out: VecDeque::new(),
                why: FlowError::Lost,
                stats: Stats::default(),
                excess: 0,
            },
        }
    }

    /// One datagram.
    pub fn receive(&mut self, now: Instant, incoming: Incoming, user: &mut dyn TransactionUser) {
        let Incoming { bytes, flow } = incoming;
        if let Some(stun) = Stun::parse(&bytes) {
            self.core.stun(stun, flow, now);
            return self.settle(now, user);
        }
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            self.core.stats.keep_alives += 1;
            return;
        }
        let message = match Message::parse_plain(bytes, &self.core.limits) {
            Ok(message) => Some(message),
            // What is wrong with it may be worth an answer, for which all of it is needed.
            Err(bytes) => match Message::parse(bytes.clone(), &self.core.limits) {
                Ok(message) => Some(message),
                Err(error) => {
                    self.core.broken(error.status(), error.is_response(), bytes, flow, &error);
                    None
                }
            },
        };
        if let Some(message) = message {
            self.dispatch(now, message, flow, user);
        }
        self.settle(now, user);
    }

    /// One message framed off a connection.
    pub fn message(&mut self, now: Instant, message: Message, flow: Flow, user: &mut dyn TransactionUser) {
        self.core.proven.insert(flow.key());
        self.core.heard(&flow, now);
        self.dispatch(now, message, flow, user);
        self.settle(now, user);
    }

    /// A message that came to another shard, which sent it on ([`Output::HandOver`]).
    pub fn handed_over(
        &mut self,
        now: Instant,
        message: Message,
        flow: Flow,
        user: &mut dyn TransactionUser,
    ) {
        self.dispatch(now, message, flow, user);
        self.settle(now, user);
    }

    /// What came by a connection and is no message: answered if it can be. If the error is final the driver
    /// closes the connection after that.
    pub fn malformed(&mut self, error: &FrameError, flow: Flow) {
        let bytes = error.bytes().clone();
        let is_response = bytes.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
        self.core.broken(error.status(), is_response, bytes, flow, error);
    }

    /// The peer of a connection wants a sign of life (RFC 5626 §4.4.1).
    pub fn ping(&mut self, flow: Flow) {
        self.core.stats.keep_alives += 1;
        self.core.out.push_back(Output::Transmit { flow, bytes: Bytes::from_static(b"\r\n") });
    }

    /// The peer of a connection gave the sign of life we wanted.
    pub fn pong(&mut self, now: Instant, flow: Flow) {
        self.core.stats.keep_alives += 1;
        self.core.heard(&flow, now);
    }

    /// A connection is gone: fails exactly the requests waiting on it, or sends them elsewhere.
    pub fn closed(&mut self, now: Instant, flow: Flow, why: FlowError, user: &mut dyn TransactionUser) {
        self.core.closed(now, flow, why);
        self.settle(now, user);
    }

    /// Of these idle connections those that nothing needs any more, so that they may be closed. What the user relies on
    /// is gone through once, however many there are.
    pub fn unused(&self, mut idle: Vec<Flow>, user: &dyn TransactionUser) -> Vec<Flow> {
        idle.retain(|flow| !self.core.alive.has(flow) && !self.core.table.is_using(flow.key()));
        if idle.is_empty() {
            return idle;
        }
        let name = |flow: &Flow| (flow.protocol, flow.slot, flow.generation);
        let mut unused: HashMap<_, _> = idle.into_iter().map(|flow| (name(&flow), flow)).collect();
        user.flows(&mut |flow| {
            unused.remove(&name(flow));
        });
        unused.into_values().collect()
    }

    fn dispatch(&mut self, now: Instant, message: Message, flow: Flow, user: &mut dyn TransactionUser) {
        let cx = &mut Cx { core: &mut self.core, now };
        match message.into_request() {
            Ok(request) if user.forwards_request(&request, flow, cx) => {}
            Ok(request) => self.request(now, request, flow, user),
            Err(message) => match message.into_response() {
                Ok(response) if user.forwards_response(&response, flow, cx) => {}
                Ok(response) => self.response(now, response, flow, user),
                // It is the one or the other.
                Err(_) => {}
            },
        }
    }

    fn request(&mut self, now: Instant, request: Request, flow: Flow, user: &mut dyn TransactionUser) {
        let core = &mut self.core;
        core.stats.requests_received += 1;
        let has_alias =
            flow.protocol == Protocol::Tls && request.via().is_ok_and(|via| via.params.has("alias"));
        let (request, reply) = match core.mark_source(&request, flow) {
            Some((marked, reply)) => (marked.unwrap_or(request), reply),
            None if request.raw(HeaderId::Via).next().is_some() => {
                // No transaction can come of it; that much can still be said, to where it came from.
                core.refuse(&request, admit::Refusal { status: 400, why: "Bad Via" }, flow);
                return;
            }
            None => {
                core.stats.garbage += 1;
                return;
            }
        };
        if let Err(refusal) = admit::request(&request) {
            core.refuse(&request, refusal, reply);
            return;
        }
        if has_alias {
            core.out.push_back(Output::Alias { flow, target: reply.target() });
        }
        let mut effects = std::mem::take(&mut core.effects);
        let received = core.table.request(&request, reply, now, &mut effects);
        core.apply(&mut effects, None, now);
        core.effects = effects;
        match received {
            Received::New(id) => {
                user.request(request, Some(id), flow, &mut Cx { core, now });
            }
            Received::StrayAck => user.request(request, None, flow, &mut Cx { core, now }),
            Received::Repeated | Received::Ack => core.stats.repeated += 1,
            Received::Cancel { id, invite } => {
                let status = if invite.is_some() { 200 } else { 481 };
                // §9.2: the same To tag as the INVITE's responses, where there was one.
                let known = invite.and_then(|invite| core.table.request_of(invite)?.to_tag);
                let tag = known.unwrap_or_else(|| core.ids.tag());
                let response = Builder::response(&request, status, None).to_tag(&tag).into_bytes();
                // The transaction was created a moment ago: it cannot be gone.
                let _ = core.respond(id, &response, now);
                if let Some(invite) = invite {
                    user.cancel(invite, &mut Cx { core, now });
                }
            }
            Received::Refused => {
                core.stats.overrun += 1;
                core.refuse(&request, admit::Refusal { status: 503, why: "" }, reply);
            }
        }
    }

    fn response(&mut self, now: Instant, response: Response, flow: Flow, user: &mut dyn TransactionUser) {
        let core = &mut self.core;
        core.stats.responses_received += 1;
        if let Err(error) = admit::response(&response) {
            core.stats.bad_responses += 1;
            core.unread(flow, &error);
            return;
        }
        // Whose transaction it is stands in the branch.
        if core.shards > 1
            && let Some(shard) = Table::shard_of(&response)
            && shard != core.shard
            && shard < core.shards
        {
            core.hand_over(shard, response.into_message(), flow);
            return;
        }
        if !core.unread.is_empty() {
            core.unread.retain(|from| *from != flow.target());
        }
        let mut effects = std::mem::take(&mut core.effects);
        let matched = core.table.response(&response, now, &mut effects);
        core.apply(&mut effects, Some(&response), now);
        core.effects = effects;
        if matched.is_none() {
            core.stats.stray_responses += 1;
            user.response(None, response, &mut Cx { core, now });
        }
    }

    /// The network says that `remote` cannot be reached over UDP: fails the requests waiting for it, and nothing
    /// else.
    pub fn unreachable(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        why: FlowError,
        user: &mut dyn TransactionUser,
    ) {
        let core = &mut self.core;
        core.why = why;
        let mut effects = std::mem::take(&mut core.effects);
        core.table.unreachable(remote, now, &mut effects);
        core.apply(&mut effects, None, now);
        core.effects = effects;
        self.settle(now, user);
    }

    /// A message could not be put on the wire by this flow, and nothing else is wrong.
    pub fn unsent(&mut self, now: Instant, bytes: &Bytes, flow: Flow, user: &mut dyn TransactionUser) {
        user.unsent(bytes, flow, &mut Cx { core: &mut self.core, now });
        self.settle(now, user);
    }

    /// Of 255 new requests so many are too many at the moment; 0 while the driver keeps up.
    pub const fn overloaded(&mut self, excess: u8) {
        self.core.excess = excess;
    }

    /// The DNS answered an [`Output::Resolve`].
    pub fn resolved(
        &mut self,
        now: Instant,
        id: RequestId,
        query: &resolve::Query,
        answer: resolve::Answer,
        user: &mut dyn TransactionUser,
    ) {
        self.core.resolved(id, query, answer, now);
        self.settle(now, user);
    }

    /// An [`Output::Connect`] was carried out.
    pub fn connected(
        &mut self,
        now: Instant,
        id: RequestId,
        flow: Result<Flow, FlowError>,
        user: &mut dyn TransactionUser,
    ) {
        self.core.connected(id, flow, now);
        self.settle(now, user);
    }

    /// Lets time pass: retransmissions, timeouts, the user's own deadlines.
    pub fn advance(&mut self, now: Instant, user: &mut dyn TransactionUser) {
        let core = &mut self.core;
        let mut effects = std::mem::take(&mut core.effects);
        core.table.advance(now, &mut effects);
        core.apply(&mut effects, None, now);
        core.effects = effects;
        let mut expired = std::mem::take(&mut core.expired);
        core.wakes.expire(now, &mut expired);
        core.events.extend(expired.drain(..).map(|(_, token)| Event::Deadline(token)));
        core.expired = expired;
        core.pulse(now);
        self.settle(now, user);
    }

    /// When [`Stack::advance`] must be called next, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let core = &self.core;
        [core.table.next_deadline(), core.wakes.next(), core.alive.next()].into_iter().flatten().min()
    }

    /// Runs `act` with everything a user may do, then delivers what came of it.
    pub fn with<U: TransactionUser, R>(
        &mut self,
        now: Instant,
        user: &mut U,
        act: impl FnOnce(&mut U, &mut Cx<'_>) -> R,
    ) -> R {
        let result = act(user, &mut Cx { core: &mut self.core, now });
        self.settle(now, user);
        result
    }

    /// The next thing to do for the stack.
    pub fn output(&mut self) -> Option<Output> {
        self.core.out.pop_front()
    }

    pub fn stats(&self) -> Stats {
        self.core.stats
    }

    /// Transactions alive, for leak checks and gauges.
    pub fn transactions(&self) -> usize {
        self.core.table.len()
    }

    /// Outgoing requests without a final outcome yet.
    pub fn pending(&self) -> usize {
        self.core.sends.len()
    }

    fn settle(&mut self, now: Instant, user: &mut dyn TransactionUser) {
        while let Some(event) = self.core.events.pop_front() {
            let cx = &mut Cx { core: &mut self.core, now };
            match event {
                Event::Response(id, response) => user.response(Some(id), *response, cx),
                Event::Told(id) => cx.core.told(id),
                Event::Failed(id, why) => user.failed(id, why, cx),
                Event::Ended(id) => user.ended(id, cx),
                Event::Routed(id, flow) => user.routed(id, flow, cx),
                Event::Deadline(token) => user.deadline(token, cx),
                Event::Lost(flow, why) => user.flow_lost(flow, &why, cx),
                Event::Closing(flow, why) => cx.core.closed(now, flow, why),
            }
        }
    }
}

/// What waits to be told to the user: nothing calls back while the user itself is running.
enum Event {
    Response(RequestId, Box<Response>),
    /// The response before it was the last.
    Told(RequestId),
    Failed(RequestId, Failure),
    Ended(RequestId),
    Routed(RequestId, Flow),
    Deadline(u64),
    Lost(Flow, FlowError),
    /// A connection was closed from this side.
    Closing(Flow, FlowError),
}

/// The state behind [`Stack`] and [`Cx`].
pub(in crate::stack) struct Core {
    shard: u16,
    shards: u16,
    table: Table,
    limits: Limits,
    timing: Timing,
    ids: Ids,
    aliases: bool,
    memory: lookup::Memory,
    /// How long a lookup may take.
    within: Duration,
    sends: Slab<send::Sending>,
    by_client: KeyMap<ClientId, RequestId>,
    wakes: Wheel<u64>,
    alive: alive::Alive,
    /// Connections by which something came.
    proven: HashSet<Key>,
    events: VecDeque<Event>,
    effects: Vec<Effect>,
    expired: Vec<(Instant, u64)>,
    out: VecDeque<Output>,
    /// Why the flow was lost that transactions are being told of.
    why: FlowError,
    /// Who sent lately what cannot be read.
    unread: VecDeque<Target>,
    stats: Stats,
    excess: u8,
}

impl Core {
    fn close(&mut self, flow: Flow, why: FlowError) {
        self.out.push_back(Output::Close { flow });
        // Not at once: the user itself may be asking.
        self.events.push_back(Event::Closing(flow, why));
    }

    fn closed(&mut self, now: Instant, flow: Flow, why: FlowError) {
        self.alive.forget(&flow);
        self.why = why.clone();
        let mut effects = std::mem::take(&mut self.effects);
        self.table.closed(flow.key(), now, &mut effects);
        self.apply(&mut effects, None, now);
        self.effects = effects;
        self.proven.remove(&flow.key());
        self.events.push_back(Event::Lost(flow, why));
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.stats.sent += 1;
        self.out.push_back(Output::Transmit { flow, bytes });
    }

    fn hand_over(&mut self, shard: u16, message: Message, flow: Flow) {
        self.out.push_back(Output::HandOver { shard, message: Box::new(message), flow });
    }

    /// Carries out what the transactions want; `response` is the one being processed, if any.
    fn apply(&mut self, effects: &mut Vec<Effect>, response: Option<&Response>, now: Instant) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Transmit { flow, bytes } => self.transmit(flow, bytes),
                Effect::Client { id, report } => self.report(id, report, response, now),
                // A server transaction's own end concerns nobody: who must know whether an ACK came
                // (the call, for its 2xx) watches for it itself.
                Effect::Server { report: Report::Ack | Report::Deliver, .. } => {}
                Effect::Server { id, report } => tracing::debug!(?id, ?report, "server transaction"),
            }
        }
    }

    fn respond(&mut self, id: ServerId, response: &Bytes, now: Instant) -> Result<(), Gone> {
        let mut effects = std::mem::take(&mut self.effects);
        let done = self.table.respond(id, response, now, &mut effects);
        self.apply(&mut effects, None, now);
        self.effects = effects;
        done
    }

    /// Notes where the request really came from in its top Via (RFC 3261 §18.2.1, RFC 3581 §4), and finds
    /// where its responses go (§18.2.2). Gives the request only if it had to be changed; `None` when the top
    /// Via cannot be read.
    fn mark_source(&self, request: &Request, flow: Flow) -> Option<(Option<Request>, Flow)> {
        let via = request.via().ok()?;
        let marks = via::received_params(&via, flow.remote);
        if marks.is_nothing() {
            return Some((None, Flow { remote: via::response_target(&via, &flow).addr, ..flow }));
        }
        let mut edits = Edits::new(request);
        marks.apply(&mut edits);
        let marked = edits.finish().into_request().ok()?;
        let target = via::response_target(&marked.via().ok()?, &flow);
        Some((Some(marked), Flow { remote: target.addr, ..flow }))
    }

    /// Answers a request without state; an ACK is never answered.
    fn refuse(&mut self, request: &Request, refusal: admit::Refusal, reply: Flow) {
        self.stats.refused += 1;
        if request.method() == Method::Ack {
            return;
        }
        let reason = (!refusal.why.is_empty()).then_some(refusal.why);
        let tag = self.ids.tag();
        let mut response = Builder::response(request, refusal.status, reason).to_tag(&tag);
        if refusal.status == 503 {
            response = response.header(HeaderId::RetryAfter, 5);
        }
        self.transmit(reply, response.into_bytes());
    }

    /// Remembers who sends what cannot be read: a request that waits for him in vain can say so.
    fn unread(&mut self, flow: Flow, why: &dyn std::fmt::Display) {
        let from = flow.target();
        tracing::info!("what came from {from} cannot be read: {why}");
        if !self.unread.contains(&from) {
            self.unread.truncate(MOST_UNREAD - 1);
            self.unread.push_front(from);
        }
    }

    fn broken(
        &mut self,
        status: Option<u16>,
        is_response: bool,
        bytes: Bytes,
        flow: Flow,
        why: &dyn std::fmt::Display,
    ) {
        self.unread(flow, why);
        let salvaged = Message::salvage(bytes, &self.limits);
        let refusal = salvaged.as_ref().and_then(|message| admit::broken(status, message));
        match (salvaged.map(Message::into_request), refusal) {
            (Some(Ok(request)), Some(refusal)) => {
                self.stats.requests_received += 1;
                if let Some((marked, reply)) = self.mark_source(&request, flow) {
                    self.refuse(marked.as_ref().unwrap_or(&request), refusal, reply);
                } else {
                    self.stats.garbage += 1;
                }
            }
            _ if is_response => self.stats.bad_responses += 1,
            _ => self.stats.garbage += 1,
        }
    }
}

/// How many of those who send what cannot be read are remembered.
const MOST_UNREAD: usize = 16;
