//! All transactions of a shard: finds the machine for a message, wakes machines in time, and carries
//! their actions out as [`Effect`]s.

use std::{collections::BTreeSet, mem, net::SocketAddr};

use bytes::Bytes;
use hashbrown::HashTable;

use super::{
    Action, Branch, ClientId, Cx, Effect, Facts, Gone, NEVER, Received, Report, ServerId, Timing,
    client::Client,
    invite_client::InviteClient,
    invite_server::InviteServer,
    key::{Fingerprints, ServerKey, is_modern},
    server::Server,
    status_of,
};
use crate::{
    message::{Method, Request, Response},
    time::Instant,
    transport::Flow,
    util::{
        id::{Cookie, Ids},
        slab::{Key, Slab},
        wheel::Wheel,
    },
};

/// The transactions of one shard, at most as many as its capacity.
///
/// The order of calls: [`reserve`](Self::reserve), build the request with [`branch`](Self::branch) in
/// its Via, [`start`](Self::start); and [`request`](Self::request), then [`respond`](Self::respond) any
/// number of times. [`advance`](Self::advance) is due at [`next_deadline`](Self::next_deadline).
/// Effects are appended to `fx`, in the order in which they are to be carried out.
#[derive(Debug)]
pub struct Table {
    shard: u16,
    timing: Timing,
    /// When something last happened, which is now for those who do not say.
    now: Instant,
    ids: Ids,
    fingerprints: Fingerprints,
    entries: Slab<Entry>,
    /// Server transactions by the fingerprint of their request.
    servers: HashTable<Key>,
    /// CANCELs we sent, by the cookie of the INVITE's branch, which is theirs too.
    cancels: HashTable<Key>,
    /// Whom an ICMP error concerns, in order of destination: the table may hold millions, and a peer
    /// can cause as many errors as it likes.
    by_remote: BTreeSet<(SocketAddr, Key)>,
    /// Who is on which connection, in order of connection.
    by_connection: BTreeSet<(Key, Key)>,
    wheel: Wheel<Key>,
    /// The last final response: of which server transaction, with which status.
    answered: Option<(ServerId, u16)>,
    /// Empty between calls; kept for their memory.
    actions: Vec<Action>,
    fired: Vec<(Instant, Key)>,
}

impl Table {
    /// `seed` decides the branches and fingerprints: unpredictable in production, fixed in simulations.
    pub fn new(shard: u16, timing: Timing, seed: u64, capacity: usize) -> Self {
        let mut ids = Ids::from_number(seed);
        Self {
            shard,
            timing,
            now: Instant::ZERO,
            fingerprints: Fingerprints::new(&mut ids),
            ids,
            entries: Slab::with_limit(u32::try_from(capacity).unwrap_or(u32::MAX)),
            servers: HashTable::new(),
            cancels: HashTable::new(),
            by_remote: BTreeSet::new(),
            answered: None,
            by_connection: BTreeSet::new(),
            wheel: Wheel::new(),
            actions: Vec::new(),
            fired: Vec::new(),
        }
    }

    /// A place for a client transaction, so that its branch is known before the request is finished.
    /// `None` when the table is full. It is kept until it is started or abandoned.
    pub fn reserve(&mut self) -> Option<ClientId> {
        if self.entries.is_full() {
            return None;
        }
        let (shard, ids) = (self.shard, &mut self.ids);
        let entry = |key| Entry::new(Machine::Reserved { cookie: ids.cookie(shard, key) });
        Some(ClientId(self.entries.insert_with(entry)))
    }

    /// The branch for the request's Via. An ended transaction gets one that leads nowhere.
    pub fn branch(&self, id: ClientId) -> Branch {
        let gone = Cookie { shard: self.shard, slot: id.0.index, generation: id.0.generation, random: 0 };
        Branch(self.entries.get(id.0).and_then(|entry| entry.machine.cookie()).unwrap_or(gone))
    }

    /// Sends `request`, which bears our Via with [`branch`](Self::branch), and starts its timers.
    /// Nothing happens if `id` is not a reserved one.
    pub fn start(&mut self, id: ClientId, request: &Request, flow: Flow, now: Instant, fx: &mut Vec<Effect>) {
        let Some(entry) = self.entries.get_mut(id.0) else { return };
        let Machine::Reserved { cookie } = entry.machine else { return };
        let method = self.fingerprints.of_method(request.method());
        entry.flow = Some(flow);
        self.list(id.0, flow);
        self.drive(id.0, now, fx, |machine, cx| {
            *machine = match request.method() {
                Method::Invite => Machine::InviteClient { cookie, machine: InviteClient::start(request, cx) },
                _ => Machine::Client { cookie, method, machine: Client::start(request, cx) },
            };
        });
    }

    /// Sends the CANCEL for `invite`, on the INVITE's `flow` and with its branch (RFC 3261 §9.1), and
    /// ends the INVITE if that has no final response 64·T1 later.
    ///
    /// `None` when the INVITE has no provisional response yet (wait for one), has its final response or
    /// is gone (too late), is being cancelled already, and when the table is full.
    pub fn start_cancel(
        &mut self,
        invite: ClientId,
        request: &Request,
        flow: Flow,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Option<ClientId> {
        let entry = self.entries.get(invite.0)?;
        let cookie = entry.machine.cookie()?;
        let Machine::InviteClient { machine, .. } = &entry.machine else { return None };
        if !machine.is_cancellable() || self.cancel_of(cookie).is_some() || self.entries.is_full() {
            return None;
        }
        let key = self.entries.insert(Entry::new(Machine::Reserved { cookie }));
        let entries = &self.entries;
        self.cancels.insert_unique(cookie.random, key, |&key| cookie_hash(entries, key));
        self.start(ClientId(key), request, flow, now, fx);
        self.drive(invite.0, now, fx, |machine, cx| {
            if let Machine::InviteClient { machine, .. } = machine {
                machine.cancelled(cx);
            }
        });
        Some(ClientId(key))
    }

    /// The shard whose client transaction `response` belongs to, by its branch; nothing says that it is there.
    pub fn shard_of(response: &Response) -> Option<u16> {
        let Branch(cookie) = Branch::parse(response.via().ok()?.branch()?)?;
        Some(cookie.shard)
    }

    /// The client transaction of `response`, if it has one (§17.1.3). The response goes up only if the
    /// effects say [`Report::Deliver`]: all 1xx before and the first final response, and every 2xx of an
    /// INVITE while that is Accepted.
    pub fn response(&mut self, response: &Response, now: Instant, fx: &mut Vec<Effect>) -> Option<ClientId> {
        let Branch(cookie) = Branch::parse(response.via().ok()?.branch()?)?;
        let method = response.cseq().ok()?.method;
        let key = if method == Method::Cancel { self.cancel_of(cookie)? } else { cookie.key() };
        let entry = self.entries.get(key)?;
        let matches = match &entry.machine {
            Machine::InviteClient { .. } => method == Method::Invite,
            Machine::Client { method: sent, .. } => self.fingerprints.of_method(method) == *sent,
            Machine::Reserved { .. } | Machine::InviteServer { .. } | Machine::Server { .. } => false,
        };
        if !matches || entry.machine.cookie() != Some(cookie) {
            return None;
        }
        self.drive(key, now, fx, |machine, cx| match machine {
            Machine::InviteClient { machine, .. } => machine.response(response, cx),
            Machine::Client { machine, .. } => machine.response(response, cx),
            Machine::Reserved { .. } | Machine::InviteServer { .. } | Machine::Server { .. } => {}
        });
        Some(ClientId(key))
    }

    /// What `request` is (§17.2.3), after the top Via has got its `received` and `rport`. Responses go
    /// to `reply`: back where the request came from, or where its Via asks (§18.2.2).
    pub fn request(
        &mut self,
        request: &Request,
        reply: Flow,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Received {
        let method = request.method();
        let Ok(via) = request.via() else { return Received::Refused };
        let of_invite = || self.fingerprints.of(request, &via, Method::Invite);
        if method == Method::Ack {
            let known = of_invite().and_then(|fingerprint| self.server(fingerprint));
            let to_tag = if is_modern(&via) { None } else { Some(request.to_tag().ok().flatten()) };
            return known.map_or(Received::StrayAck, |key| self.ack(key, to_tag, now, fx));
        }
        let Some(fingerprint) = self.fingerprints.of(request, &via, method) else { return Received::Refused };
        if let Some(key) = self.server(fingerprint) {
            self.drive(key, now, fx, |machine, cx| match machine {
                Machine::InviteServer { machine, .. } => machine.request(cx),
                Machine::Server { machine, .. } => machine.request(cx),
                Machine::Reserved { .. } | Machine::InviteClient { .. } | Machine::Client { .. } => {}
            });
            return Received::Repeated;
        }
        if self.entries.is_full() {
            return Received::Refused;
        }
        let invite =
            if method == Method::Cancel { of_invite().and_then(|key| self.server(key)) } else { None };
        let id = ServerId(self.insert_server(request, fingerprint, reply, now, fx));
        if method == Method::Cancel {
            Received::Cancel { id, invite: invite.map(ServerId) }
        } else {
            Received::New(id)
        }
    }

    /// Sends `response`, as far as the rules allow one: what must not be sent (RFC 4320) is dropped
    /// without an error, what comes after the final response is [`Gone`].
    pub fn respond(
        &mut self,
        id: ServerId,
        response: &Bytes,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Gone> {
        let Some(status) = status_of(response) else { return Err(Gone) };
        let mut outcome = Err(Gone);
        self.drive(id.0, now, fx, |machine, cx| {
            outcome = match machine {
                Machine::InviteServer { machine, .. } => machine.respond(status, response, cx),
                Machine::Server { machine, .. } => machine.respond(status, response, cx),
                Machine::Reserved { .. } | Machine::InviteClient { .. } | Machine::Client { .. } => Err(Gone),
            };
        });
        if status >= 200 && outcome.is_ok() {
            self.answered = Some((id, status));
        }
        // A network error concerns an INVITE only while its failure response is repeated.
        if status >= 300
            && outcome.is_ok()
            && let Some(Entry { flow: Some(flow), machine: Machine::InviteServer { .. }, .. }) =
                self.entries.get(id.0)
            && !flow.protocol.is_reliable()
        {
            self.list(id.0, *flow);
        }
        outcome
    }

    /// The status of the final response to a request, if there was none to another one since.
    pub fn answered(&self, id: ServerId) -> Option<u16> {
        self.answered.filter(|(answered, _)| *answered == id).map(|(_, status)| status)
    }

    /// An ICMP error: fails the client transactions over UDP to `remote` that wait for a response. Server
    /// ones there stop repeating their response; they end in their own time (RFC 6026 §7.1) and report
    /// nothing, because an error of the network must not end a call.
    pub fn unreachable(&mut self, remote: SocketAddr, now: Instant, fx: &mut Vec<Effect>) {
        let found = self.by_remote.range((remote, FIRST)..=(remote, LAST));
        let found: Vec<Key> = found.map(|&(_, key)| key).collect();
        for key in found {
            self.drive(key, now, fx, |machine, cx| match machine {
                Machine::InviteClient { machine, .. } => machine.unreachable(cx),
                Machine::Client { machine, .. } => machine.unreachable(cx),
                Machine::InviteServer { machine, .. } => machine.unreachable(cx),
                Machine::Reserved { .. } | Machine::Server { .. } => {}
            });
        }
    }

    /// A connection is gone: fails the client transactions on it that wait for a response, and no others.
    /// Responses of server ones go to a new connection (RFC 3261 §18.2.2).
    pub fn closed(&mut self, connection: Key, now: Instant, fx: &mut Vec<Effect>) {
        let found = self.by_connection.range((connection, FIRST)..=(connection, LAST));
        let found: Vec<Key> = found.map(|&(_, key)| key).collect();
        for key in found {
            self.drive(key, now, fx, |machine, cx| match machine {
                Machine::InviteClient { machine, .. } => machine.unreachable(cx),
                Machine::Client { machine, .. } => machine.unreachable(cx),
                Machine::InviteServer { .. } | Machine::Reserved { .. } | Machine::Server { .. } => {}
            });
        }
    }

    /// Whether a transaction is alive on this connection.
    pub fn is_using(&self, connection: Key) -> bool {
        self.by_connection.range((connection, FIRST)..=(connection, LAST)).next().is_some()
    }

    /// The user does not care any more: `id` reports nothing from now on. An INVITE stays as long as it
    /// may have to acknowledge a failure, at most 64·T1; it is not cancelled.
    pub fn abandon(&mut self, id: ClientId) {
        let now = self.now;
        let mut none = Vec::new();
        self.drive(id.0, now, &mut none, |machine, cx| match machine {
            Machine::InviteClient { machine, .. } => machine.abandon(cx),
            Machine::Reserved { .. } | Machine::Client { .. } => cx.remove(),
            Machine::InviteServer { .. } | Machine::Server { .. } => {}
        });
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.is_silent = true;
        }
    }

    /// Wakes every machine whose deadline has come. A late call is no harm: each machine takes one step.
    pub fn advance(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        let mut fired = mem::take(&mut self.fired);
        self.wheel.expire(now, &mut fired);
        for (_, key) in fired.drain(..) {
            // Entries of deadlines since changed stay in the wheel; the machine's own is the valid one.
            if self.entries.get(key).is_none_or(|entry| entry.deadline > now) {
                continue;
            }
            self.drive(key, now, fx, |machine, cx| match machine {
                Machine::InviteClient { machine, .. } => machine.deadline(cx),
                Machine::Client { machine, .. } => machine.deadline(cx),
                Machine::InviteServer { machine, .. } => machine.deadline(cx),
                Machine::Server { machine, .. } => machine.deadline(cx),
                Machine::Reserved { .. } => {}
            });
        }
        self.fired = fired;
    }

    /// When to call [`advance`](Self::advance) next; it may come to nothing, but never comes too late.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.entries.is_empty() { None } else { self.wheel.next() }
    }

    /// Transactions alive, those reserved but not started included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of the request behind `id`; `None` once the transaction has ended.
    pub fn request_of(&self, id: ServerId) -> Option<Facts> {
        let entry = self.entries.get(id.0)?;
        let (is_invite, is_answered, to_tag) = match &entry.machine {
            Machine::InviteServer { machine, .. } => (true, machine.is_answered(), machine.to_tag()),
            Machine::Server { machine, .. } => (false, machine.is_answered(), None),
            Machine::Reserved { .. } | Machine::InviteClient { .. } | Machine::Client { .. } => return None,
        };
        Some(Facts { flow: entry.flow?, is_invite, is_answered, to_tag })
    }

    #[cfg(test)]
    pub(super) fn contains(&self, id: ClientId) -> bool {
        self.entries.contains(id.0)
    }

    /// Index entries: servers, CANCELs, destinations.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> (usize, usize, usize) {
        (self.servers.len(), self.cancels.len(), self.by_remote.len() + self.by_connection.len())
    }

    /// Where the responses to `id` go; `None` once the transaction has ended.
    pub fn reply_flow(&self, id: ServerId) -> Option<Flow> {
        self.entries.get(id.0)?.flow
    }

    fn ack(
        &mut self,
        key: Key,
        legacy_to_tag: Option<Option<&str>>,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Received {
        let mut received = Received::StrayAck;
        self.drive(key, now, fx, |machine, cx| {
            if let Machine::InviteServer { machine, .. } = machine
                && legacy_to_tag.is_none_or(|tag| machine.is_acknowledged_by(tag))
                && machine.ack(cx)
            {
                received = Received::Ack;
            }
        });
        received
    }

    fn insert_server(
        &mut self,
        request: &Request,
        fingerprint: ServerKey,
        flow: Flow,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Key {
        let mut cx =
            Cx { now, timing: &self.timing, reliable: flow.protocol.is_reliable(), out: &mut self.actions };
        let machine = match request.method() {
            Method::Invite => {
                Machine::InviteServer { fingerprint, machine: InviteServer::start(request, &mut cx) }
            }
            _ => Machine::Server { fingerprint, machine: Server::start(request, &mut cx) },
        };
        let key = self.entries.insert(Entry { flow: Some(flow), ..Entry::new(machine) });
        let entries = &self.entries;
        self.servers.insert_unique(fingerprint.hash(), key, |&key| fingerprint_hash(entries, key));
        if flow.protocol.is_reliable() {
            self.list(key, flow);
        }
        self.carry_out(key, fx);
        key
    }

    fn server(&self, fingerprint: ServerKey) -> Option<Key> {
        let is_it = |key: &Key| {
            self.entries.get(*key).and_then(|entry| entry.machine.fingerprint()) == Some(fingerprint)
        };
        self.servers.find(fingerprint.hash(), is_it).copied()
    }

    fn cancel_of(&self, cookie: Cookie) -> Option<Key> {
        let is_it =
            |key: &Key| self.entries.get(*key).and_then(|entry| entry.machine.cookie()) == Some(cookie);
        self.cancels.find(cookie.random, is_it).copied()
    }

    /// Enters a transaction that ICMP errors or the end of a connection concern.
    fn list(&mut self, key: Key, flow: Flow) {
        if flow.protocol.is_reliable() {
            self.by_connection.insert((flow.key(), key));
        } else {
            self.by_remote.insert((flow.remote, key));
        }
    }

    /// Hands one event to a machine and carries out what it wants.
    fn drive(
        &mut self,
        key: Key,
        now: Instant,
        fx: &mut Vec<Effect>,
        event: impl FnOnce(&mut Machine, &mut Cx<'_>),
    ) {
        self.now = self.now.max(now);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let reliable = entry.flow.is_some_and(|flow| flow.protocol.is_reliable());
        let mut cx = Cx { now, timing: &self.timing, reliable, out: &mut self.actions };
        event(&mut entry.machine, &mut cx);
        self.carry_out(key, fx);
    }

    fn carry_out(&mut self, key: Key, fx: &mut Vec<Effect>) {
        let mut actions = mem::take(&mut self.actions);
        let mut is_over = false;
        if let Some(entry) = self.entries.get_mut(key) {
            for action in actions.drain(..) {
                match action {
                    Action::Transmit(bytes) => {
                        fx.extend(entry.flow.map(|flow| Effect::Transmit { flow, bytes }));
                    }
                    Action::Arm(at) => {
                        if at != NEVER && at != entry.deadline {
                            self.wheel.insert(at, key);
                        }
                        entry.deadline = at;
                    }
                    Action::Report(report) if !entry.is_silent => fx.push(entry.machine.effect(key, report)),
                    Action::Report(_) => {}
                    Action::Remove => is_over = true,
                }
            }
        }
        actions.clear();
        self.actions = actions;
        if is_over {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        if let Some(flow) = entry.flow {
            if flow.protocol.is_reliable() {
                self.by_connection.remove(&(flow.key(), key));
            } else {
                self.by_remote.remove(&(flow.remote, key));
            }
        }
        if let Some(fingerprint) = entry.machine.fingerprint()
            && let Ok(found) = self.servers.find_entry(fingerprint.hash(), |&other| other == key)
        {
            found.remove();
        }
        if let Some(cookie) = entry.machine.cookie()
            && cookie.key() != key
            && let Ok(found) = self.cancels.find_entry(cookie.random, |&other| other == key)
        {
            found.remove();
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// `None` while reserved only.
    flow: Option<Flow>,
    deadline: Instant,
    /// Abandoned: reports nothing.
    is_silent: bool,
    machine: Machine,
}

impl Entry {
    const fn new(machine: Machine) -> Self {
        Self { flow: None, deadline: NEVER, is_silent: false, machine }
    }
}

const FIRST: Key = Key { index: 0, generation: 0 };
const LAST: Key = Key { index: u32::MAX, generation: u32::MAX };

/// The four machines, each with what a message must show to be its.
#[derive(Debug)]
enum Machine {
    Reserved { cookie: Cookie },
    InviteClient { cookie: Cookie, machine: InviteClient },
    Client { cookie: Cookie, method: u32, machine: Client },
    InviteServer { fingerprint: ServerKey, machine: InviteServer },
    Server { fingerprint: ServerKey, machine: Server },
}

impl Machine {
    fn cookie(&self) -> Option<Cookie> {
        match self {
            Self::Reserved { cookie } | Self::InviteClient { cookie, .. } | Self::Client { cookie, .. } => {
                Some(*cookie)
            }
            Self::InviteServer { .. } | Self::Server { .. } => None,
        }
    }

    fn fingerprint(&self) -> Option<ServerKey> {
        match self {
            Self::InviteServer { fingerprint, .. } | Self::Server { fingerprint, .. } => Some(*fingerprint),
            Self::Reserved { .. } | Self::InviteClient { .. } | Self::Client { .. } => None,
        }
    }

    fn effect(&self, key: Key, report: Report) -> Effect {
        match self {
            Self::InviteServer { .. } | Self::Server { .. } => Effect::Server { id: ServerId(key), report },
            Self::Reserved { .. } | Self::InviteClient { .. } | Self::Client { .. } => {
                Effect::Client { id: ClientId(key), report }
            }
        }
    }
}

fn fingerprint_hash(entries: &Slab<Entry>, key: Key) -> u64 {
    entries.get(key).and_then(|entry| entry.machine.fingerprint()).map_or(0, ServerKey::hash)
}

fn cookie_hash(entries: &Slab<Entry>, key: Key) -> u64 {
    entries.get(key).and_then(|entry| entry.machine.cookie()).map_or(0, |cookie| cookie.random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Builder,
        time::Duration,
        transaction::fixture::{START, flow, message, request, response, shown},
        transport::Protocol::{self, Tcp, Udp},
    };

    fn table() -> Table {
        Table::new(3, Timing::default(), 1, 100)
    }

    fn after(millis: u64) -> Instant {
        START + Duration::from_millis(millis)
    }

    fn started(table: &mut Table, method: &str, port: u16, fx: &mut Vec<Effect>) -> (ClientId, String) {
        let id = table.reserve().expect("room");
        let branch = table.branch(id).to_string();
        table.start(id, &request(method, &branch), flow(Udp, port), START, fx);
        (id, branch)
    }

    fn received(table: &mut Table, request: &Request, fx: &mut Vec<Effect>) -> Received {
        table.request(request, flow(Udp, 5070), START, fx)
    }

    fn answer(status: u16, to: &Request) -> Bytes {
        Builder::response(to, status, None).to_tag("b").into_bytes()
    }

    #[test]
    fn an_entry_is_small() {
        let size = size_of::<Entry>() + size_of::<Key>();
        assert!(size <= 192, "{size} octets");
    }

    #[test]
    fn a_response_finds_its_transaction_by_cookie_and_method() {
        let (mut table, mut fx) = (table(), Vec::new());
        let (id, branch) = started(&mut table, "INVITE", 5070, &mut fx);
        assert_eq!(shown(&mut fx), "send INVITE");
        let mut take = |method, branch: &str| table.response(&response(180, method, branch), START, &mut fx);
        assert_eq!(take("OPTIONS", &branch), None);
        assert_eq!(take("CANCEL", &branch), None);
        assert_eq!(take("INVITE", "z9hG4bKother"), None);
        assert_eq!(take("INVITE", &branch.replace("z9hG4bK", "")), None);
        let last = if branch.ends_with('a') { 'c' } else { 'a' };
        assert_eq!(take("INVITE", &format!("{}{last}", &branch[..branch.len() - 1])), None, "forged");
        assert_eq!(take("INVITE", &branch.to_uppercase()), Some(id));
        assert_eq!(shown(&mut fx), "client Deliver");
    }

    #[test]
    fn the_same_seed_gives_the_same_branches() {
        let branches = |seed| {
            let mut table = Table::new(0, Timing::default(), seed, 10);
            [(); 3].map(|()| table.reserve().map(|id| table.branch(id).to_string()))
        };
        assert_eq!(branches(1), branches(1));
        assert_ne!(branches(1), branches(2));
    }

    #[test]
    fn cancel_waits_for_a_provisional_shares_the_branch_and_ends_the_invite() {
        let (mut table, mut fx) = (table(), Vec::new());
        let (invite, branch) = started(&mut table, "INVITE", 5070, &mut fx);
        let cancel = request("CANCEL", &branch);
        assert_eq!(
            table.start_cancel(invite, &cancel, flow(Udp, 5070), START, &mut fx),
            None,
            "no response yet"
        );
        table.response(&response(180, "INVITE", &branch), START, &mut fx);
        fx.clear();
        let id = table.start_cancel(invite, &cancel, flow(Udp, 5070), START, &mut fx).expect("a transaction");
        assert_eq!(shown(&mut fx), "send CANCEL");
        assert_eq!(table.response(&response(200, "CANCEL", &branch), START, &mut fx), Some(id));
        assert_eq!(table.response(&response(487, "INVITE", &branch), START, &mut fx), Some(invite));
        assert_eq!(shown(&mut fx), "client Deliver, send ACK, client Deliver");
        assert_eq!(table.start_cancel(invite, &cancel, flow(Udp, 5070), START, &mut fx), None, "too late");
        table.advance(after(5_000), &mut fx);
        assert_eq!(table.len(), 1);
        assert_eq!(table.response(&response(200, "CANCEL", &branch), START, &mut fx), None);
        table.advance(after(32_000), &mut fx);
        assert!(table.is_empty() && table.cancels.is_empty() && table.by_remote.is_empty());
        assert_eq!(shown(&mut fx), "");
    }

    #[test]
    fn the_answer_to_cancel_outlives_its_invite() {
        let (mut table, mut fx) = (table(), Vec::new());
        let id = table.reserve().expect("room");
        let branch = table.branch(id).to_string();
        table.start(id, &request("INVITE", &branch), flow(Protocol::Tcp, 5070), START, &mut fx);
        table.response(&response(180, "INVITE", &branch), START, &mut fx);
        let cancel =
            table.start_cancel(id, &request("CANCEL", &branch), flow(Protocol::Tcp, 5070), START, &mut fx);
        table.response(&response(487, "INVITE", &branch), START, &mut fx);
        assert_eq!(table.len(), 1, "timer D is zero over TCP");
        assert_eq!(table.response(&response(200, "CANCEL", &branch), START, &mut fx), cancel);
        assert!(table.is_empty());
    }

    #[test]
    fn requests_are_matched_by_branch_sent_by_and_method() {
        let (mut table, mut fx) = (table(), Vec::new());
        let invite = request("INVITE", "z9hG4bKx");
        let Received::New(id) = received(&mut table, &invite, &mut fx) else { panic!("it is new") };
        assert_eq!(received(&mut table, &invite, &mut fx), Received::Repeated);
        assert_eq!(shown(&mut fx), "send 100");
        assert_eq!(received(&mut table, &request("INVITE", "Z9HG4BKX"), &mut fx), Received::Repeated);
        assert!(matches!(received(&mut table, &request("INVITE", "z9hG4bKy"), &mut fx), Received::New(_)));
        assert!(matches!(received(&mut table, &request("OPTIONS", "z9hG4bKx"), &mut fx), Received::New(_)));
        let other = String::from_utf8_lossy(invite.bytes())
            .replace("192.0.2.1:5060", "192.0.2.1")
            .replace("\r\n", "\n");
        let other = message(&other).into_request().expect("a request");
        assert!(matches!(received(&mut table, &other, &mut fx), Received::New(_)), "another sent-by");
        let cancel = received(&mut table, &request("CANCEL", "z9hG4bKx"), &mut fx);
        assert!(matches!(cancel, Received::Cancel { invite: Some(invite), .. } if invite == id));
        assert_eq!(received(&mut table, &request("CANCEL", "z9hG4bKx"), &mut fx), Received::Repeated);
        let stray = received(&mut table, &request("CANCEL", "z9hG4bKz"), &mut fx);
        assert!(matches!(stray, Received::Cancel { invite: None, .. }));
    }

    #[test]
    fn an_ack_is_absorbed_after_a_failure_and_the_calls_after_a_2xx() {
        let (mut table, mut fx) = (table(), Vec::new());
        for (branch, status, expected) in
            [("z9hG4bK1", 486, Received::Ack), ("z9hG4bK2", 200, Received::StrayAck)]
        {
            let invite = request("INVITE", branch);
            let Received::New(id) = received(&mut table, &invite, &mut fx) else { panic!("it is new") };
            table.respond(id, &answer(status, &invite), START, &mut fx).expect("it takes one");
            assert_eq!(received(&mut table, &request("ACK", branch), &mut fx), expected);
        }
        assert_eq!(shown(&mut fx), "send 486, server Ack, send 200");
        assert_eq!(received(&mut table, &request("ACK", "z9hG4bK3"), &mut fx), Received::StrayAck);
    }

    #[test]
    fn peers_of_rfc_2543_are_matched_by_everything_else() {
        let (mut table, mut fx) = (table(), Vec::new());
        let old = |method, to_tag: &str, number| {
            let text = format!(
                "{method} sip:bob@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060\nFrom: <sip:a@b>;tag=a\n\
                 To: <sip:bob@example.com>{to_tag}\nCall-ID: c1\nCSeq: {number} {method}\nContent-Length: 0\n\n"
            );
            message(&text).into_request().expect("a request")
        };
        let invite = old("INVITE", "", 1);
        let Received::New(id) = received(&mut table, &invite, &mut fx) else { panic!("it is new") };
        assert_eq!(received(&mut table, &invite, &mut fx), Received::Repeated);
        assert!(matches!(received(&mut table, &old("INVITE", "", 2), &mut fx), Received::New(_)));
        let cancel = received(&mut table, &old("CANCEL", "", 1), &mut fx);
        assert!(matches!(cancel, Received::Cancel { invite: Some(invite), .. } if invite == id));
        table.respond(id, &answer(487, &invite), START, &mut fx).expect("it takes one");
        assert_eq!(received(&mut table, &old("ACK", ";tag=z", 1), &mut fx), Received::StrayAck);
        assert_eq!(received(&mut table, &old("ACK", ";tag=b", 1), &mut fx), Received::Ack);
        assert_eq!(received(&mut table, &old("ACK", ";tag=b", 1), &mut fx), Received::Ack);
        assert!(matches!(received(&mut table, &old("OPTIONS", "", 3), &mut fx), Received::New(_)));
        assert!(matches!(received(&mut table, &old("OPTIONS", ";tag=q", 3), &mut fx), Received::New(_)));
    }

    #[test]
    fn responses_go_where_the_via_asks() {
        let (mut table, mut fx) = (table(), Vec::new());
        let invite = request("INVITE", "z9hG4bK1");
        let reply = flow(Udp, 9);
        let received = table.request(&invite, reply, START, &mut fx);
        let Received::New(id) = received else { panic!("it is new") };
        table.advance(after(200), &mut fx);
        let [Effect::Transmit { flow, bytes }] = &fx[..] else { panic!("one effect") };
        assert_eq!(*flow, reply);
        assert!(bytes.starts_with(b"SIP/2.0 100 "));
        let facts = table.request_of(id).expect("it lives");
        assert_eq!(facts, Facts { flow: reply, is_invite: true, is_answered: false, to_tag: None });
        assert_eq!(table.reply_flow(id), Some(reply));
        table.respond(id, &answer(180, &invite), START, &mut fx).expect("it takes one");
        assert_eq!(table.request_of(id).and_then(|facts| facts.to_tag).as_deref(), Some("b"));
    }

    #[test]
    fn an_icmp_error_fails_the_client_transactions_to_that_destination_only() {
        let (mut table, mut fx) = (table(), Vec::new());
        let (here, _) = started(&mut table, "INVITE", 5070, &mut fx);
        let (there, _) = started(&mut table, "INVITE", 5071, &mut fx);
        let (options, _) = started(&mut table, "OPTIONS", 5070, &mut fx);
        let (answered, branch) = started(&mut table, "INVITE", 5070, &mut fx);
        table.response(&response(200, "INVITE", &branch), START, &mut fx);
        let invite = request("INVITE", "z9hG4bK1");
        let Received::New(id) = received(&mut table, &invite, &mut fx) else { panic!("it is new") };
        table.respond(id, &answer(486, &invite), START, &mut fx).expect("it takes one");
        fx.clear();
        table.unreachable(flow(Udp, 5070).remote, after(1), &mut fx);
        let failed = |id| Effect::Client { id, report: Report::Unreachable };
        assert_eq!(fx, [failed(here), failed(options)]);
        fx.clear();
        table.advance(after(499), &mut fx);
        table.advance(after(600), &mut fx);
        assert_eq!(shown(&mut fx), "send INVITE", "only the one elsewhere is repeated");
        assert!(table.entries.contains(there.0) && table.entries.contains(answered.0));
        assert_eq!(received(&mut table, &invite, &mut fx), Received::Repeated);
        assert_eq!(shown(&mut fx), "send 486", "who asks again is answered again");
    }

    #[test]
    fn the_end_of_a_connection_fails_what_waits_on_it_and_nothing_else() {
        let (mut table, mut fx) = (table(), Vec::new());
        let on = |slot| Flow { slot, ..flow(Tcp, 5070) };
        let mut start = |table: &mut Table, method: &str, slot| {
            let id = table.reserve().expect("room");
            let branch = table.branch(id).to_string();
            table.start(id, &request(method, &branch), on(slot), START, &mut fx);
            id
        };
        let here = start(&mut table, "INVITE", 1);
        let there = start(&mut table, "INVITE", 2);
        let options = start(&mut table, "OPTIONS", 1);
        let mut fx = Vec::new();
        let invite = request("INVITE", "z9hG4bK1");
        let Received::New(_) = table.request(&invite, on(1), START, &mut fx) else { panic!("it is new") };
        assert!(table.is_using(on(1).key()) && table.is_using(on(2).key()) && !table.is_using(on(3).key()));
        table.closed(on(1).key(), after(1), &mut fx);
        let failed = |id| Effect::Client { id, report: Report::Unreachable };
        assert_eq!(fx, [failed(here), failed(options)]);
        assert!(table.contains(there) && table.len() == 2, "the server transaction goes on");
        // The successor in the slot is another connection.
        table.closed(Key { index: 2, generation: on(2).generation + 1 }, after(2), &mut fx);
        assert!(table.contains(there));
    }

    #[test]
    fn a_full_table_refuses() {
        let mut table = Table::new(0, Timing::default(), 1, 2);
        let mut fx = Vec::new();
        let id = table.reserve().expect("room");
        assert!(matches!(received(&mut table, &request("OPTIONS", "z9hG4bK1"), &mut fx), Received::New(_)));
        assert_eq!(table.reserve(), None);
        assert_eq!(received(&mut table, &request("OPTIONS", "z9hG4bK2"), &mut fx), Received::Refused);
        assert_eq!(received(&mut table, &request("OPTIONS", "z9hG4bK1"), &mut fx), Received::Repeated);
        table.abandon(id);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn an_abandoned_invite_acknowledges_in_silence() {
        let (mut table, mut fx) = (table(), Vec::new());
        let (id, branch) = started(&mut table, "INVITE", 5070, &mut fx);
        table.abandon(id);
        table.advance(after(500), &mut fx);
        table.response(&response(486, "INVITE", &branch), after(600), &mut fx);
        assert_eq!(shown(&mut fx), "send INVITE, send ACK");
        table.advance(after(40_000), &mut fx);
        assert_eq!((shown(&mut fx).as_str(), table.len()), ("", 0));
    }

    #[test]
    fn ended_transactions_take_nothing() {
        let (mut table, mut fx) = (table(), Vec::new());
        let options = request("OPTIONS", "z9hG4bK1");
        let Received::New(id) = received(&mut table, &options, &mut fx) else { panic!("it is new") };
        assert_eq!(table.respond(id, &answer(200, &options), START, &mut fx), Ok(()));
        assert_eq!(table.respond(id, &answer(200, &options), START, &mut fx), Err(Gone));
        table.advance(after(32_000), &mut fx);
        assert_eq!(table.respond(id, &answer(200, &options), START, &mut fx), Err(Gone));
        assert_eq!(table.request_of(id), None);
        assert_eq!(shown(&mut fx), "send 200");
        assert_eq!(table.next_deadline(), None);
    }
}
