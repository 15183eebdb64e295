//! A proxy that forwards each message on its own (RFC 3261 §16.11).
//!
//! ```text
//!  request ─► admit (§16.3) ─► own marks off (§16.4) ─► where to (§16.5) ─┬─ known ──► Via on, away with it (§16.6)
//!               │                 │                        │              └─ asked ─► waits, bounded ─┘   │ unreachable
//!               └─ 400 416 420 483 482 ◄──────────────── 403 404 430 ◄────────────────── 503, 404 ◄─┘
//!  response ─► is the top Via ours, and does its branch fit the next one? ─► Via off, back by its flow (§16.7)
//!               └─ no: dropped and counted
//! ```
//!
//! Nothing is kept of a request once it has left. What is remembered is about ways, not about messages: which flow leads
//! to a next hop, and which next hops are out of order.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;

use crate::{
    message::{
        Builder, Edits, HeaderId, Host, Limits, Message, Method, Request, Response, Scheme, UriBuf, header,
    },
    resolve::{Destination, LookupError},
    stack::{Cx, Failure, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::{Flow, FlowError, Protocol, via},
};

use super::{
    Own, Rule, Secret, Table,
    admit::{self, Facts, Refusal},
    branch::{Branch, Branches},
    counters::{Counters, Figures},
    path::Way,
    probe::Probes,
    record::{self, Passage},
    table,
    ways::{Way as Reached, Ways},
};

/// What a proxy is made with.
#[derive(Debug)]
pub struct Config {
    pub own: Own,
    pub table: Table,
    pub secret: Secret,
    pub record_route: RecordRoute,
    /// How often next hops are asked with OPTIONS whether they are there; `None`: never.
    pub probe: Option<Duration>,
}

/// When a proxy stays on the path of a dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RecordRoute {
    /// When the sides could not reach each other without it: another transport, family or socket, or a client that is
    /// reached by its own connection only.
    #[default]
    Needed,
    Always,
}

/// See the module's description.
#[derive(Debug)]
pub struct Stateless {
    own: Own,
    table: Table,
    secret: Secret,
    branches: Branches,
    record_route: RecordRoute,
    ways: Ways,
    asking: HashMap<RequestId, Asking>,
    by_destination: HashMap<Destination, RequestId>,
    /// Requests waiting for a way, and their octets.
    waiting: (usize, usize),
    probes: Probes,
    /// Our Via, while it is being written.
    via: String,
    counters: Counters,
}

/// Requests that wait until it is known how to reach a destination.
#[derive(Debug)]
struct Asking {
    destination: Destination,
    requests: Vec<(Request, Flow)>,
}

/// Where a request goes next.
enum Next {
    /// By a flow that a token named.
    Token(Flow),
    /// By a connection of another shard, which must see for itself.
    Elsewhere(u16),
    To(Destination),
}

/// Why a response goes nowhere.
enum NoWay {
    /// We have not forwarded its request.
    Foreign,
    /// Its next Via is missing, unreadable, or leads where nothing may be sent.
    Stuck,
}

impl Stateless {
    pub fn new(config: Config) -> Self {
        Self {
            own: config.own,
            table: config.table,
            branches: Branches::new(config.secret.lasting()),
            secret: config.secret,
            record_route: config.record_route,
            ways: Ways::default(),
            asking: HashMap::new(),
            by_destination: HashMap::new(),
            waiting: (0, 0),
            probes: Probes::new(config.probe),
            via: String::new(),
            counters: Counters::default(),
        }
    }

    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What was counted, and how things are at the moment.
    pub fn figures(&self) -> Figures {
        let hops = self.table.hops().map(|hop| hop.uri().as_str());
        Figures {
            counters: self.counters.clone(),
            waiting: self.waiting.0 as u64,
            waiting_octets: self.waiting.1 as u64,
            ways: self.ways.len() as u64,
            hops: hops.map(|hop| (hop.to_owned(), !self.table.is_down(hop))).collect(),
        }
    }

    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Begins to ask next hops whether they are there.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.probes.start(cx);
    }

    /// Other rules and names from now on; requests under way are not lost by it.
    pub fn reload(&mut self, rules: Vec<Rule>, names: Vec<String>, record_route: RecordRoute) {
        self.table.replace(rules);
        self.own.rename(names);
        self.record_route = record_route;
    }

    /// Forwards a request, keeps it until it is known how its destination is reached, or says why not.
    fn pass_on(&mut self, request: &Request, from: &Flow, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let facts = admit::check(request)?;
        let Facts { uri, via, marks, call_id, cseq, .. } = facts;
        let unique = self.branches.unique(request, &via, &marks, from.remote.ip());
        let unique = unique.ok_or(Refusal::bad("A field that tells transactions apart cannot be read"))?;
        if self.is_for_us(request, unique, call_id) {
            self.counters.acks_own += 1;
            return Ok(());
        }
        if cx.excess() > 0 && is_new(request) && table::spread(call_id) % 255 < u64::from(cx.excess()) {
            return Err(overload(call_id));
        }
        let routes = request.raw(HeaderId::Route).map(|row| row.value);
        let branch = Branch { unique, path: self.branches.path(request.raw_uri(), routes, call_id, cseq) };
        if self.has_been_here(request, &facts, branch.path) {
            return Err(Refusal::new(482, None));
        }
        let way = Way::of(request, uri, &self.own)?;
        let (to, by_token) = match self.next(request, &way, call_id, from, cx)? {
            Next::Token(flow) => (Reached::new(flow, cx.now()), true),
            Next::Elsewhere(shard) => {
                // It is counted where it is dealt with.
                self.counters.requests -= 1;
                cx.hand_over(shard, request.clone().into_message(), *from);
                return Ok(());
            }
            Next::To(destination) => match self.ways.get(&destination, cx.now()) {
                Some(known) => (known, false),
                None => return self.ask(destination, request, from, cx),
            },
        };
        self.send(request, &facts, &way, from, &to, branch, by_token, cx)
    }

    /// Whether it acknowledges a response of our own: whoever forwarded the INVITE to nobody has nobody to give it to.
    fn is_for_us(&self, request: &Request, unique: u64, call_id: &str) -> bool {
        request.method() == Method::Ack
            && request.to_tag().is_ok_and(|tag| {
                tag.is_some_and(|tag| tag.len() == Branches::TAG && tag == self.branches.tag(unique, call_id))
            })
    }

    /// RFC 5393 §4.2.2: whether what decides its way is what it was when it was here before.
    fn has_been_here(&self, request: &Request, facts: &Facts<'_>, path: u64) -> bool {
        let is_own = |via: &header::Via<'_>, branch: Option<&str>| {
            branch.and_then(Branch::parse).is_some_and(|branch| branch.path == path) && {
                let protocol = Protocol::parse(via.transport).unwrap_or(Protocol::Udp);
                self.own.is_at(via.host, via.port, protocol.default_port())
            }
        };
        let mut rows = request.raw(HeaderId::Via);
        let is_only =
            rows.next().is_some_and(|row| row.span.end == facts.via.span.end) && rows.next().is_none();
        is_own(&facts.via, facts.marks.branch)
            || !is_only && request.each::<header::Via>().flatten().any(|via| is_own(&via, via.branch()))
    }

    fn next(
        &self,
        request: &Request,
        way: &Way<'_>,
        call_id: &str,
        from: &Flow,
        cx: &Cx<'_>,
    ) -> Result<Next, Refusal> {
        let target = way.target();
        let mut in_dialog = false;
        if let Some(user) = way.ours().map(|uri| uri.user().unwrap_or_default()) {
            in_dialog = record::is_plain(Some(user));
            match self.secret.flow(user) {
                // From who is meant by it: it goes on to the other side (RFC 5626 §5.3).
                Ok(flow) if flow.is_same(from) => in_dialog = true,
                // Every shard can send from every address.
                Ok(flow) if !flow.protocol.is_reliable() => {
                    return Ok(Next::Token(Flow { shard: cx.shard(), ..flow }));
                }
                Ok(flow) if flow.shard != cx.shard() && flow.shard < cx.shards() => {
                    return Ok(Next::Elsewhere(flow.shard));
                }
                Ok(flow) if cx.is_open(&flow) => return Ok(Next::Token(flow)),
                Ok(_) => return Err(Refusal::new(430, Some("Flow Failed"))),
                Err(_) if user.len() >= SHORTEST_TOKEN => return Err(Refusal::new(403, None)),
                // A proxy may be written with any user by who was configured to go through it.
                Err(_) => {}
            }
        }
        let destination = if let Some(route) = way.route() {
            Destination::of(&route)
        } else if !in_dialog && let Some(hop) = self.table.choose(&target, call_id) {
            Ok(hop.destination().clone())
        } else if self.own.is(&target) {
            let asked = request.method() == Method::Options && target.user().is_none();
            return Err(Refusal::new(if asked { 200 } else { 404 }, None));
        } else {
            Destination::of(&target)
        };
        match destination {
            // RFC 3261 §16.6 step 7: what is meant for a SIPS URI goes securely whatever the Route says.
            Ok(destination) => {
                let sips = destination.sips || target.scheme() == Scheme::Sips;
                Ok(Next::To(Destination { sips, ..destination }))
            }
            Err(LookupError::NoTransport { .. }) => Err(Refusal::new(503, Some("No Such Transport"))),
            Err(_) => Err(Refusal::new(404, None)),
        }
    }

    /// Finds out how to reach a destination; the request waits for it.
    fn ask(
        &mut self,
        destination: Destination,
        request: &Request,
        from: &Flow,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        let octets = request.bytes().len();
        if self.waiting.0 >= MOST_WAITING || self.waiting.1 + octets > MOST_OCTETS {
            return Err(overload(request.call_id().unwrap_or_default()));
        }
        let id = match self.by_destination.get(&destination) {
            Some(id) => *id,
            None => {
                let uri = UriBuf::parse(&written(&destination)).map_err(|_| Refusal::new(404, None))?;
                let id = cx.route(uri);
                self.by_destination.insert(destination.clone(), id);
                id
            }
        };
        let asking = self.asking.entry(id).or_insert_with(|| Asking { destination, requests: Vec::new() });
        asking.requests.push((request.clone(), *from));
        self.waiting = (self.waiting.0 + 1, self.waiting.1 + octets);
        Ok(())
    }

    /// Those who waited for a destination.
    fn asked(&mut self, id: RequestId) -> Option<Asking> {
        let asking = self.asking.remove(&id)?;
        self.by_destination.remove(&asking.destination);
        for (request, _) in &asking.requests {
            self.waiting = (self.waiting.0 - 1, self.waiting.1.saturating_sub(request.bytes().len()));
        }
        Some(asking)
    }

    #[expect(clippy::too_many_arguments, reason = "what a request consists of, and once only")]
    fn send(
        &mut self,
        request: &Request,
        facts: &Facts<'_>,
        way: &Way<'_>,
        from: &Flow,
        to: &Reached,
        branch: Branch,
        by_token: bool,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        let Reached { flow: to, via: own, .. } = to;
        let mut edits = Edits::new(request);
        way.apply(&mut edits);
        via::Received::of(facts.via.host, &facts.marks, from.remote).apply(&mut edits);
        edits.set(HeaderId::MaxForwards, facts.hops.map_or(70, |hops| hops.saturating_sub(1)));
        let passage = Passage { from, to, by_token, own: &self.own };
        passage.record(request, facts, self.record_route, &self.secret, &mut edits);
        self.via.clear();
        self.via.push_str(own);
        branch.write(&mut self.via);
        if !leaves_where_it_came(from, to) {
            for part in [";", FLOW, "=", &self.secret.token(from)] {
                self.via.push_str(part);
            }
        }
        edits.prepend(HeaderId::Via, &self.via);
        if to.protocol.is_reliable() && !request.has(HeaderId::ContentLength) {
            edits.append(HeaderId::ContentLength, request.body().len());
        }
        let bytes = edits.bytes();
        if bytes.len() > MOST_IN_A_DATAGRAM && !to.protocol.is_reliable() {
            return Err(Refusal::new(513, None));
        }
        cx.forward(*to, bytes);
        self.counters.requests_forwarded += 1;
        self.counters.by_transport[to.protocol as usize] += 1;
        Ok(())
    }

    /// Answers a request without keeping anything of it: its repetitions get the same tag (RFC 3261 §8.2.7).
    fn refuse(&mut self, request: &Request, from: &Flow, refusal: &Refusal, cx: &mut Cx<'_>) {
        if request.method() == Method::Ack {
            self.counters.acks_dropped += 1;
            return;
        }
        *self.counters.answered.entry(refusal.status).or_default() += 1;
        let Ok(via) = request.via() else {
            // It says nothing that can be gone by; that much can still be said, to where it came from.
            let response = Builder::response(request, refusal.status, refusal.reason).to_tag("none").finish();
            return cx.forward(*from, response.bytes().clone());
        };
        let unique = self.branches.unique(request, &via, &via.marks(), from.remote.ip()).unwrap_or_default();
        let tag = self.branches.tag(unique, request.call_id().unwrap_or_default());
        let remote = via::response_target(&via, from).addr;
        let mut edits = Edits::new(request);
        via::received_params(&via, from.remote).apply(&mut edits);
        let Ok(marked) = edits.finish().into_request() else { return };
        let mut response = Builder::response(&marked, refusal.status, refusal.reason).to_tag(&tag);
        if let Some((field, value)) = &refusal.row {
            response = response.header(*field, value);
        }
        cx.forward(Flow { remote, ..*from }, response.finish().bytes().clone());
    }

    /// Sends a response on to where its next Via leads; `None` if it has no branch of ours, as a question of our own.
    fn pass_back(
        &mut self,
        response: &Response,
        from: &Flow,
        cx: &mut Cx<'_>,
    ) -> Option<Result<Flow, NoWay>> {
        let mut vias = response.each::<header::Via>();
        let own = vias.next()?.ok()?;
        let branch = own.branch().and_then(Branch::parse)?;
        let Some(Ok(next)) = vias.next() else { return Some(Err(NoWay::Stuck)) };
        let marks = next.marks();
        let unique =
            source(&next, &marks).and_then(|source| self.branches.unique(response, &next, &marks, source));
        if unique != Some(branch.unique) {
            return Some(Err(NoWay::Foreign));
        }
        let Some(flow) = self.back(own.params.value(FLOW), &next, &marks, from) else {
            return Some(Err(NoWay::Stuck));
        };
        let mut edits = Edits::new(response);
        edits.pop_value(HeaderId::Via);
        if flow.protocol.is_reliable() && !response.has(HeaderId::ContentLength) {
            edits.append(HeaderId::ContentLength, response.body().len());
        }
        cx.forward(flow, edits.bytes());
        Some(Ok(flow))
    }

    /// Where a response goes whose own Via had this flow token, if any; `None` if that cannot be found out.
    fn back(
        &self,
        token: Option<&str>,
        next: &header::Via<'_>,
        marks: &header::Marks<'_>,
        came: &Flow,
    ) -> Option<Flow> {
        let flow = match token {
            Some(token) => self.secret.flow(token).ok()?,
            None => *came,
        };
        if flow.protocol.is_reliable() {
            // Should the connection be gone (RFC 3261 §18.2.2).
            let port = next.port.filter(|&port| port != 0).unwrap_or(flow.protocol.default_port());
            return Some(Flow { remote: SocketAddr::new(flow.remote.ip(), port), ..flow });
        }
        // The branch is a proof of these.
        let source = source(next, marks)?;
        let port = next.port.filter(|&port| port != 0).unwrap_or(5060);
        let remote = match marks.maddr().and_then(|maddr| maddr.ip()) {
            Some(maddr) => SocketAddr::new(maddr, port),
            None => SocketAddr::new(source, marks.rport().flatten().unwrap_or(port)),
        };
        let ip = remote.ip();
        // RFC 4475 §3.1.2.19: nobody is to be made to flood a network.
        let crowd = ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::from([255; 4]);
        (!crowd && ip.is_ipv4() == flow.local.is_ipv4()).then_some(Flow { remote, ..flow })
    }
}

impl TransactionUser for Stateless {
    fn forwards_request(&mut self, request: &Request, from: Flow, cx: &mut Cx<'_>) -> bool {
        self.counters.requests += 1;
        self.own.see(from.local.ip());
        if let Err(refusal) = self.pass_on(request, &from, cx) {
            self.refuse(request, &from, &refusal, cx);
        }
        true
    }

    fn forwards_response(&mut self, response: &Response, from: Flow, cx: &mut Cx<'_>) -> bool {
        let Some(outcome) = self.pass_back(response, &from, cx) else { return false };
        self.counters.responses += 1;
        match outcome {
            Ok(flow) => {
                self.counters.responses_forwarded += 1;
                self.counters.by_transport[flow.protocol as usize] += 1;
            }
            Err(NoWay::Foreign) => self.counters.responses_foreign += 1,
            Err(NoWay::Stuck) => self.counters.responses_stuck += 1,
        }
        true
    }

    /// As if the next hop had answered 503 (RFC 3261 §16.9). A response that is lost was counted by who lost it.
    fn unsent(&mut self, bytes: &Bytes, flow: Flow, cx: &mut Cx<'_>) {
        let request = Message::parse(bytes.clone(), &Limits::default()).ok().map(Message::into_request);
        let Some(Ok(request)) = request else { return };
        if request.method() == Method::Ack {
            self.counters.acks_dropped += 1;
            return;
        }
        let (Ok(via), Ok(call_id)) = (request.via(), request.call_id()) else { return };
        let unique = via.branch().and_then(Branch::parse).map(|branch| branch.unique);
        let tag = self.branches.tag(unique.unwrap_or_default(), call_id);
        let refusal = overload(call_id);
        let mut response = Builder::response(&request, refusal.status, refusal.reason).to_tag(&tag);
        if let Some((field, value)) = &refusal.row {
            response = response.header(*field, value);
        }
        if let Ok(response) = response.finish().into_response()
            && let Some(Ok(_)) = self.pass_back(&response, &flow, cx)
        {
            *self.counters.answered.entry(refusal.status).or_default() += 1;
        }
    }

    fn request(&mut self, _: Request, _: Option<ServerId>, _: Flow, _: &mut Cx<'_>) {}

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        match id {
            Some(id) => self.probes.answered(id, response.status(), &mut self.table, cx.now()),
            None => self.counters.responses_foreign += 1,
        }
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        let Some(asking) = self.asked(id) else {
            return self.probes.failed(id, &why, &mut self.table, cx.now());
        };
        tracing::info!("{}: {why}", written(&asking.destination));
        let refusal = match why {
            Failure::Lookup(LookupError::NoAddress { error, .. }) if error.is_negative() => {
                Refusal::new(404, Some("No Such Domain"))
            }
            Failure::Lookup(LookupError::NoName { .. }) => Refusal::new(404, Some("No Such Domain")),
            // The client may try elsewhere.
            _ => Refusal::new(503, None),
        };
        for (request, from) in &asking.requests {
            self.refuse(request, from, &refusal, cx);
        }
    }

    fn routed(&mut self, id: RequestId, flow: Flow, cx: &mut Cx<'_>) {
        let Some(asking) = self.asked(id) else { return };
        self.own.see(flow.local.ip());
        self.ways.insert(asking.destination, Reached::new(flow, cx.now()));
        for (request, from) in &asking.requests {
            if let Err(refusal) = self.pass_on(request, from, cx) {
                self.refuse(request, from, &refusal, cx);
            }
        }
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        self.probes.deadline(token, &mut self.table, cx);
    }

    fn flow_lost(&mut self, flow: Flow, _why: &FlowError, _cx: &mut Cx<'_>) {
        self.ways.lost(&flow);
    }
}

/// Whether it begins something: what belongs to what was let in has a To tag or another method.
fn is_new(request: &Request) -> bool {
    !matches!(request.method(), Method::Ack | Method::Cancel)
        && request.to_tag().is_ok_and(|tag| tag.is_none())
}

/// 503 for who may come again, not all of them at the same moment.
fn overload(call_id: &str) -> Refusal {
    let seconds = 2 + table::spread(call_id) / 255 % 8;
    Refusal { row: Some((HeaderId::RetryAfter, seconds.to_string())), ..Refusal::new(503, None) }
}

/// Where the request came from that had this Via, by what was noted in it.
fn source(via: &header::Via<'_>, marks: &header::Marks<'_>) -> Option<IpAddr> {
    marks.received().or(via.host.ip())
}

/// Whether the response finds back without more than its next Via.
fn leaves_where_it_came(from: &Flow, to: &Flow) -> bool {
    !from.protocol.is_reliable()
        && !to.protocol.is_reliable()
        && (from.shard, from.slot, from.local) == (to.shard, to.slot, to.local)
}

/// A URI that leads to a destination.
fn written(destination: &Destination) -> String {
    let Destination { host, port, transport, sips } = destination;
    let mut text = String::from(if *sips { "sips:" } else { "sip:" });
    text += &match host {
        crate::resolve::Host::Name(name) => name.to_string(),
        crate::resolve::Host::Ip(ip) => Host::from(*ip).to_string(),
    };
    if let Some(port) = port {
        text += &format!(":{port}");
    }
    if let Some(transport) = transport {
        text += &format!(";transport={}", transport.as_param());
    }
    text
}

/// The parameter of our Via that says by which flow the response goes back.
const FLOW: &str = "flow";
/// A flow token is never shorter.
const SHORTEST_TOKEN: usize = 48;
/// What fits into a datagram.
const MOST_IN_A_DATAGRAM: usize = 65_507;
/// Requests that wait for a way at most, and their octets.
const MOST_WAITING: usize = 4_096;
const MOST_OCTETS: usize = 8 << 20;
