//! From "send this" to a transaction on the right flow (RFC 3261 §8.1.2, RFC 3263 §4.3).
//!
//! ```text
//!  send ──► Resolving ──► Connecting ──► Active ──► gone (final response, failure)
//!               │  ▲           │  ▲         │
//!               └──┼─ failed ──┘  └─────────┘ timeout, ICMP, 503: next target, new branch
//! ```

use crate::{
    message::{Builder, Edits, HeaderId, Message, Method, Request, Response, UriBuf, header::Route},
    resolve::{Answer, Destination, Lookup, Progress, Query},
    time::Instant,
    transaction::{Branch, ClientId, Report},
    transport::{Flow, Target},
    util::slab::Key,
};

use super::{Core, Event, Failure, NextHop, Outgoing, Output, RequestId};

/// One outgoing request on its way.
pub(super) struct Sending {
    what: What,
    /// Targets not tried yet, the next one last.
    targets: Vec<Target>,
    state: State,
    /// When the lookup must be over.
    until: Instant,
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
        provisional: bool,
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
        let explain = matches!(what, What::Probe);
        let until = now + self.within;
        let sending = Sending { what, targets: Vec::new(), state: State::Waiting, until, cancelled: false };
        // An id is always given, so that the caller has one way to learn of the outcome.
        let id = RequestId(self.sends.insert(sending));
        match destination {
            Ok(destination) => {
                let (lookup, progress) = self.memory.start(destination, explain, &mut self.ids, now);
                if let Some(sending) = self.sends.get_mut(id.0) {
                    sending.state = State::Resolving(Box::new(lookup));
                }
                self.progress(id, progress, now);
            }
            Err(why) => self.fail(id, why),
        }
        id
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
                targets.reverse();
                sending.targets = targets;
                self.next_target(id, Failure::NoNextHop);
            }
        }
    }

    /// Tries the next target, or gives up for the reason the last one failed.
    fn next_target(&mut self, id: RequestId, why: Failure) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        match sending.targets.pop() {
            Some(target) if !sending.cancelled => {
                sending.state = State::Connecting(target);
                self.out.push_back(Output::Connect { id, target });
            }
            _ => self.fail(id, why),
        }
    }

    pub(super) fn connected(&mut self, id: RequestId, flow: Option<Flow>, now: Instant) {
        let Some(sending) = self.sends.get_mut(id.0) else { return };
        let State::Connecting(target) = sending.state else { return };
        let Some(flow) = flow else {
            self.memory.failed(target, now);
            return self.next_target(id, Failure::Unreachable(target.addr));
        };
        let What::Request(outgoing) = &sending.what else {
            self.sends.remove(id.0);
            self.events.push_back(Event::Routed(id, flow));
            return;
        };
        if outgoing.is_ack() {
            // Only the ACK for a 2xx comes here: it has a branch but no transaction (§17.1), so a full table
            // does not keep a call from being acknowledged.
            let nothing = Key { index: 0, generation: 0 };
            let branch = Branch(self.ids.cookie(self.shard, nothing));
            let bytes = complete(outgoing, &flow, &branch).bytes().clone();
            self.sends.remove(id.0);
            return self.transmit(flow, bytes);
        }
        let Some(client) = self.table.reserve() else {
            return self.fail(id, Failure::Overrun);
        };
        let branch = self.table.branch(client);
        let Ok(request) = complete(outgoing, &flow, &branch).into_request() else {
            self.table.abandon(client);
            return self.fail(id, Failure::NoNextHop);
        };
        sending.state = State::Active { client, flow, sent: Box::new(request.clone()), provisional: false };
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
        let State::Active { flow, sent, provisional, .. } = &mut sending.state else { return };
        let (remote, invite) = (flow.remote, sent.method() == Method::Invite);
        let target = Target { protocol: flow.protocol, addr: remote };
        match (&report, response) {
            (Report::Deliver, Some(response)) => self.memory.answered(target, response, now),
            (Report::Timeout | Report::Unreachable, _) => self.memory.failed(target, now),
            _ => {}
        }
        if *provisional && matches!(report, Report::Timeout | Report::Unreachable) {
            // Who has answered has been contacted: another server would be a second call (RFC 3263 §4.3).
            sending.targets.clear();
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
                    self.by_client.remove(&client);
                    return self.next_target(id, Failure::Unreachable(remote));
                }
                // A 2xx to an INVITE may come again, from here or from another fork (RFC 6026 §7.2).
                if !(invite && response.status() < 300) {
                    self.forget(id, client);
                }
                self.events.push_back(Event::Response(id, Box::new(response.clone())));
            }
            (Report::Ended, _) => {
                self.forget(id, client);
                self.events.push_back(Event::Ended(id));
            }
            (Report::Timeout, _) => {
                self.by_client.remove(&client);
                self.next_target(id, Failure::Timeout(remote));
            }
            (Report::Unreachable, _) => {
                self.by_client.remove(&client);
                self.next_target(id, Failure::Unreachable(remote));
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
            State::Active { .. } => {}
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
        match self.sends.get(id.0)?.state {
            State::Active { flow, .. } => Some(flow),
            State::Waiting | State::Resolving(_) | State::Connecting(_) => None,
        }
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
fn complete(outgoing: &Outgoing, flow: &Flow, branch: &impl std::fmt::Display) -> Message {
    let mut edits = Edits::new(&outgoing.request);
    edits.prepend(
        HeaderId::Via,
        format_args!("SIP/2.0/{} {};rport;branch={branch}", flow.protocol.as_str(), flow.local),
    );
    if outgoing.request.raw(HeaderId::MaxForwards).next().is_none() {
        edits.append(HeaderId::MaxForwards, 70);
    }
    if let Some(contact) = &outgoing.contact {
        edits.append(HeaderId::Contact, contact.on(flow));
    }
    edits.finish()
}
