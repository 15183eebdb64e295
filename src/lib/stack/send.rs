//! From "send this" to a transaction on the right flow (RFC 3261 §8.1.2, RFC 3263 §4.3).
//!
//! ```text
//!  send ──► Resolving ──► Connecting ──► Active ──► gone (final response, failure)
//!    │          │  ▲        ▲  │  ▲         │
//!    │          └──┼─ failed┼──┘  └─────────┘ timeout, ICMP, lost connection, 503: next target, new branch
//!    └─ on the dialog's ───┼─┘ connection gone
//!       connection ─────────┘
//! ```

use std::sync::Arc;

use crate::{
    message::{Builder, Edits, HeaderId, Message, Method, Request, Response, UriBuf, header::Route},
    resolve::{Answer, Destination, Host, Lookup, Progress, Query},
    time::Instant,
    transaction::{Branch, ClientId, Report},
    transport::{Flow, FlowError, Protocol, Target},
    util::slab::Key,
};

use super::{Core, Event, Failure, NextHop, Outgoing, Output, RequestId, Times};

/// One outgoing request on its way.
pub(super) struct Sending {
    what: What,
    /// Where to look for targets, until that is done.
    destination: Option<Destination>,
    /// Whom a certificate must be for.
    domain: Arc<str>,
    /// Targets not tried yet, the next one last.
    targets: Vec<Target>,
    begun: Instant,
    /// When the first target was known.
    found: Option<Instant>,
    /// Another target was tried before the present one.
    moved: bool,
    state: State,
    /// When the lookup must be over.
    until: Instant,
    /// A connection that had served before was lost, and the request sent again over a new one.
    repeated: bool,
    /// The user no longer wants the INVITE.
    cancelled: bool,
}

enum What {
    Request(Box<Outgoing>),
    /// Only the way is asked for.
    Probe,
}

enum State {
    /// Before the lookup starts.
    Waiting,
    Resolving(Box<Lookup>),
    Connecting(Target),
    Active {
        client: ClientId,
        flow: Flow,
        sent: Box<Request>,
        at: Instant,
        provisional: bool,
    },
    /// The outcome is about to be told.
    Answered {
        flow: Flow,
        at: Instant,
    },
}

impl Core {
    pub(super) fn send(&mut self, outgoing: Outgoing, now: Instant) -> RequestId {
        let destination = next_hop(&outgoing);
        self.begin(What::Request(Box::new(outgoing)), destination, now)
    }

    pub(super) fn probe(&mut self, uri: UriBuf, now: Instant) -> RequestId {
        let destination = Destination::of(&uri.as_uri()).map_err(Failure::Lookup);
        self.begin(What::Probe, destination, now)
    }

    fn begin(&mut self, what: What, destination: Result<Destination, Failure>, now: Instant) -> RequestId {
        let mut sending = Sending {
            what,
            destination: None,
            domain: "".into(),
            targets: Vec::new(),
            begun: now,
            found: None,
            moved: false,
            state: State::Waiting,
            until: now,
            repeated: false,
            cancelled: false,
        };
        let destination = match destination {
            Ok(destination) => destination,
            Err(why) => {
                // An id is always given, so that the caller has one way to learn of the outcome.
                let id = RequestId(self.sends.insert(sending));
                self.fail(id, why);
                return id;
            }
        };
        let asked = match &sending.what {
            What::Request(outgoing) => (outgoing.flow, outgoing.domain.clone()),
            What::Probe => (None, None),
        };
        sending.domain = asked.1.unwrap_or_else(|| domain(&destination));
        // A request for a SIPS URI takes no flow that is not encrypted.
        let flow = asked.0.filter(|flow| flow.protocol.is_secure() || !destination.sips);
        sending.destination = Some(destination);
        let id = RequestId(self.sends.insert(sending));
        match flow {
            Some(flow) => self.connect(id, flow.target(), Some(flow), now),
            None => self.next_target(id, Failure::NoNextHop, now),
        }
        id
    }

    fn connect(&mut self, id: RequestId, target: Target, flow: Option<Flow>, now: Instant) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        sending.found.get_or_insert(now);
        sending.state = State::Connecting(target);
        let domain = sending.domain.clone();
        self.out.push_back(Output::Connect { id, target, domain, flow });
    }

    pub(super) fn resolved(&mut self, id: RequestId, query: &Query, answer: Answer, now: Instant) {
        if let Some(Sending { state: State::Resolving(lookup), .. }) = self.sends.get_mut(id.0) {
            let progress = self.memory.answer(lookup, query, answer, now);
            self.progress(id, progress, now);
        }
    }

    fn progress(&mut self, id: RequestId, progress: Progress, now: Instant) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        if let (What::Probe, State::Resolving(lookup)) = (&sending.what, &sending.state) {
            match &progress {
                Progress::Found(targets) => self.memory.explain(lookup, targets, now),
                Progress::Failed(_) => self.memory.explain(lookup, &[], now),
                Progress::Ask(_) | Progress::Wait => {}
            }
        }
        match progress {
            Progress::Ask(queries) => {
                let rest = sending.until.since(now);
                self.out.extend(queries.into_iter().map(|query| {
                    let until = now + query.share(rest);
                    Output::Resolve { id, query, until }
                }));
            }
            Progress::Wait => {}
            Progress::Failed(error) => self.fail(id, Failure::Lookup(error)),
            Progress::Found(mut targets) => {
                if let (What::Request(outgoing), State::Resolving(lookup)) = (&sending.what, &sending.state)
                    && lookup.destination().transport.is_none()
                {
                    targets = over_tcp_if_large(targets, outgoing);
                }
                targets.reverse();
                sending.targets = targets;
                self.next_target(id, Failure::NoNextHop, now);
            }
        }
    }

    /// Tries the next target, after finding out which there are, or gives up for the reason the last one failed.
    fn next_target(&mut self, id: RequestId, why: Failure, now: Instant) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        if sending.cancelled {
            return self.fail(id, why);
        }
        if let Some(target) = sending.targets.pop() {
            tell(&why, target);
            sending.moved = matches!(sending.state, State::Connecting(_) | State::Active { .. });
            return self.connect(id, target, None, now);
        }
        match sending.destination.take() {
            Some(destination) => {
                let explain = matches!(sending.what, What::Probe);
                let (lookup, progress) = self.memory.start(destination, explain, &mut self.ids, now);
                sending.state = State::Resolving(Box::new(lookup));
                sending.until = now + self.within;
                self.progress(id, progress, now);
            }
            None => self.fail(id, why),
        }
    }

    pub(super) fn connected(&mut self, id: RequestId, flow: Result<Flow, FlowError>, now: Instant) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        let State::Connecting(target) = sending.state else { return };
        let flow = match flow {
            Ok(flow) => flow,
            Err(why) => {
                if sending.destination.is_none() {
                    self.memory.unreachable(target, &why, now);
                }
                return self.next_target(id, Failure::Unreachable { target, why }, now);
            }
        };
        // It need not be tried over UDP then.
        if target.protocol == Protocol::Tcp && sending.targets.last() == Some(&Target::udp(target.addr)) {
            sending.targets.pop();
        }
        let What::Request(outgoing) = &sending.what else {
            sending.state = State::Answered { flow, at: now };
            self.events.extend([Event::Routed(id, flow), Event::Told(id)]);
            return;
        };
        if outgoing.is_ack() {
            // Only the ACK for a 2xx comes here: it has a branch but no transaction (§17.1), so a full table
            // does not keep a call from being acknowledged.
            let nothing = Key { index: 0, generation: 0 };
            let branch = Branch(self.ids.cookie(self.shard, nothing));
            let bytes = complete(outgoing, &flow, &branch, self.aliases).bytes().clone();
            self.sends.remove(id.0);
            return self.transmit(flow, bytes);
        }
        let Some(client) = self.table.reserve() else {
            return self.fail(id, Failure::Overrun);
        };
        let branch = self.table.branch(client);
        let Ok(request) = complete(outgoing, &flow, &branch, self.aliases).into_request() else {
            self.table.abandon(client);
            return self.fail(id, Failure::NoNextHop);
        };
        sending.state =
            State::Active { client, flow, sent: Box::new(request.clone()), at: now, provisional: false };
        self.by_client.insert(client, id);
        let mut effects = std::mem::take(&mut self.effects);
        self.table.start(client, &request, flow, now, &mut effects);
        self.apply(&mut effects, None, now);
        self.effects = effects;
    }

    /// What a client transaction has to say.
    pub(super) fn report(
        &mut self,
        client: ClientId,
        report: Report,
        response: Option<&Response>,
        now: Instant,
    ) {
        let Some(&id) = self.by_client.get(&client) else { return };
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        let State::Active { flow, sent, at, provisional, .. } = &mut sending.state else { return };
        let (flow, at) = (*flow, *at);
        let (target, invite) = (flow.target(), sent.method() == Method::Invite);
        if let Some(response) = response {
            self.memory.answered(target, response, now);
        }
        if *provisional && matches!(report, Report::Timeout | Report::Unreachable) {
            // Who has answered has been contacted: another server would be a second call (RFC 3263 §4.3).
            sending.targets.clear();
            sending.destination = None;
        }
        match (report, response) {
            (Report::Deliver, Some(response)) if response.status() < 200 => {
                let first = !std::mem::replace(provisional, true);
                if first && sending.cancelled {
                    self.send_cancel(id, now);
                }
                self.events.push_back(Event::Response(id, Box::new(response.clone())));
            }
            (Report::Deliver, Some(response)) => {
                if response.status() == 503 && !sending.targets.is_empty() && !sending.cancelled {
                    tracing::info!("{target} answered 503; trying the next target");
                    self.by_client.remove(&client);
                    return self.next_target(id, Failure::NoNextHop, now);
                }
                // A 2xx to an INVITE may come again, from here or from another fork (RFC 6026 §7.2).
                let lasts = invite && response.status() < 300;
                if !lasts {
                    self.by_client.remove(&client);
                    sending.state = State::Answered { flow, at };
                }
                self.events.push_back(Event::Response(id, Box::new(response.clone())));
                if !lasts {
                    self.events.push_back(Event::Told(id));
                }
            }
            (Report::Ended, _) => {
                self.forget(id, client);
                self.events.push_back(Event::Ended(id));
            }
            (Report::Timeout, _) => {
                self.by_client.remove(&client);
                // Who does not answer on the dialog's connection does not answer on another one.
                sending.destination = None;
                self.memory.failed(target, now);
                let why = match self.unread.contains(&target) {
                    true => Failure::Unreachable { target, why: FlowError::NotSip },
                    false => Failure::Timeout(target),
                };
                self.next_target(id, why, now);
            }
            (Report::Unreachable, _) => {
                self.by_client.remove(&client);
                let (heard, repeated) = (*provisional, std::mem::replace(&mut sending.repeated, true));
                let is_stale = target.protocol.is_reliable() && self.proven.contains(&flow.key());
                let why = self.why.clone();
                if sending.destination.is_some() {
                    // A new lookup will tell.
                } else if is_stale && !heard && !repeated {
                    // It served before; the peer may have left long ago, and only now it shows.
                    sending.targets.push(target);
                } else {
                    self.memory.unreachable(target, &why, now);
                }
                self.next_target(id, Failure::Unreachable { target, why }, now);
            }
            (Report::Ack | Report::Deliver, _) => {}
        }
    }

    pub(super) fn cancel(&mut self, id: RequestId, now: Instant) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        if std::mem::replace(&mut sending.cancelled, true) {
            return;
        }
        match sending.state {
            State::Active { provisional: true, .. } => self.send_cancel(id, now),
            // Before any response the CANCEL waits (§9.1); the INVITE runs into timer B at worst.
            State::Active { .. } | State::Answered { .. } => {}
            State::Waiting | State::Resolving(_) | State::Connecting(_) => self.fail(id, Failure::Cancelled),
        }
    }

    /// §9.1: same Request-URI, Call-ID, To, From, Route and CSeq number, and the INVITE's own top Via.
    fn send_cancel(&mut self, id: RequestId, now: Instant) {
        let Some(Sending { state: State::Active { client, flow, sent, .. }, .. }) = self.sends.get(id.0)
        else {
            return;
        };
        let (client, flow) = (*client, *flow);
        let number = sent.cseq().map_or(1, |cseq| cseq.number);
        let mut cancel = Builder::request(Method::Cancel, sent.raw_uri());
        if let Some(via) = sent.raw(HeaderId::Via).next() {
            cancel = cancel.header(HeaderId::Via, via.text());
        }
        let cancel = cancel
            .header(HeaderId::MaxForwards, 70)
            .copy(sent, HeaderId::Route)
            .copy(sent, HeaderId::From)
            .copy(sent, HeaderId::To)
            .copy(sent, HeaderId::CallId)
            .header(HeaderId::CSeq, format_args!("{number} CANCEL"))
            .finish();
        if let Ok(cancel) = cancel.into_request() {
            let mut effects = std::mem::take(&mut self.effects);
            self.table.start_cancel(client, &cancel, flow, now, &mut effects);
            self.apply(&mut effects, None, now);
            self.effects = effects;
        }
    }

    pub(super) fn flow(&self, id: RequestId) -> Option<Flow> {
        self.sent(id).map(|(flow, _)| flow)
    }

    pub(super) fn has_moved(&self, id: RequestId) -> bool {
        self.sends.get(id.0).is_some_and(|sending| sending.moved)
    }

    /// Whom the certificate of the peer had to be for.
    pub(super) fn domain(&self, id: RequestId) -> Option<Arc<str>> {
        self.sends.get(id.0).map(|sending| sending.domain.clone())
    }

    pub(super) fn sent_at(&self, id: RequestId) -> Option<Instant> {
        self.sent(id).map(|(_, at)| at)
    }

    pub(super) fn times(&self, id: RequestId) -> Option<Times> {
        let (flow, at) = self.sent(id)?;
        let Sending { begun, found, .. } = self.sends.get(id.0)?;
        let found = found.unwrap_or(at);
        let connect = flow.protocol.is_reliable().then(|| at.since(found));
        Some(Times { lookup: found.since(*begun), connect })
    }

    fn sent(&self, id: RequestId) -> Option<(Flow, Instant)> {
        match self.sends.get(id.0)?.state {
            State::Active { flow, at, .. } | State::Answered { flow, at } => Some((flow, at)),
            State::Waiting | State::Resolving(_) | State::Connecting(_) => None,
        }
    }

    /// The user has been told the outcome.
    pub(super) fn told(&mut self, id: RequestId) {
        self.sends.remove(id.0);
    }

    fn fail(&mut self, id: RequestId, why: Failure) {
        self.sends.remove(id.0);
        self.events.push_back(Event::Failed(id, why));
    }

    fn forget(&mut self, id: RequestId, client: ClientId) {
        self.by_client.remove(&client);
        self.sends.remove(id.0);
    }
}

/// A request that may not fit into one packet goes over TCP, and over UDP only to where no connection can be had
/// (RFC 3261 §18.1.1).
fn over_tcp_if_large(targets: Vec<Target>, outgoing: &Outgoing) -> Vec<Target> {
    let is_large = |target: &Target| {
        let (local, remote, protocol) = (target.addr, target.addr, target.protocol);
        let flow = Flow { shard: 0, slot: 0, generation: 0, protocol, local, remote };
        complete(outgoing, &flow, &BRANCH, false).bytes().len() > LARGE
    };
    let both = |target: Target| {
        let tcp = (target.protocol == Protocol::Udp && is_large(&target)).then_some(Target::tcp(target.addr));
        tcp.into_iter().chain([target])
    };
    let is_small = outgoing.request.bytes().len() + LARGE / 4 < LARGE;
    if is_small { targets } else { targets.into_iter().flat_map(both).collect() }
}

/// More octets than may go over UDP where the size of the largest packet is not known.
const LARGE: usize = 1_300;
/// As long as ours are.
const BRANCH: &str = "z9hG4bK0123456789abcdef0123456789abc";

/// For a user who asks why a request goes where it goes. That it goes unencrypted all of a sudden, everybody is told:
/// the domain would rather have had it otherwise.
fn tell(why: &Failure, next: Target) {
    match why {
        Failure::Unreachable { target, .. } | Failure::Timeout(target)
            if target.protocol.is_secure() && !next.protocol.is_secure() =>
        {
            tracing::warn!("{why}; going on unencrypted with {next}");
        }
        Failure::Unreachable { .. } | Failure::Timeout(_) => tracing::info!("{why}; trying {next}"),
        _ => {}
    }
}

/// The host as the URI has it.
fn domain(destination: &Destination) -> Arc<str> {
    match &destination.host {
        Host::Name(name) => name.clone(),
        Host::Ip(ip) => ip.to_string().into(),
    }
}

fn next_hop(outgoing: &Outgoing) -> Result<Destination, Failure> {
    let destination = match &outgoing.next {
        NextHop::Uri(uri) => Destination::of(&uri.as_uri()),
        NextHop::TopRoute => {
            let route = outgoing.request.header::<Route>().map_err(|_| Failure::NoNextHop)?;
            Destination::of(&route.uri)
        }
        NextHop::RequestUri => {
            let request = outgoing.request.clone().into_request().map_err(|_| Failure::NoNextHop)?;
            let uri = request.uri().map_err(|_| Failure::NoNextHop)?;
            Destination::of(&uri)
        }
    };
    destination.map_err(Failure::Lookup)
}

/// Adds what depends on the flow: Via with our branch and `rport` (RFC 3581 §3), Contact, and the
/// Max-Forwards nobody should have to think of.
fn complete(outgoing: &Outgoing, flow: &Flow, branch: &impl std::fmt::Display, aliases: bool) -> Message {
    let alias = if aliases && flow.protocol == Protocol::Tls { ";alias" } else { "" };
    let mut edits = Edits::new(&outgoing.request);
    edits.prepend(
        HeaderId::Via,
        format_args!("SIP/2.0/{} {};rport;branch={branch}{alias}", flow.protocol.as_str(), flow.local),
    );
    if outgoing.request.raw(HeaderId::MaxForwards).next().is_none() {
        edits.append(HeaderId::MaxForwards, 70);
    }
    if let Some(contact) = &outgoing.contact {
        edits.append(HeaderId::Contact, contact.on(flow));
    }
    edits.finish()
}
