//! The connections of a shard: which there are, which one leads where, and when one may go.
//!
//! Requests to one target share a connection that this side opened (RFC 3261 §18.1.1), also one that is still
//! being opened; with TLS only if it was opened for the same domain (RFC 5922 §7). A connection the peer opened
//! without TLS is used for requests to the very address it came from. With TLS that would let anybody pretend to be
//! somebody else, so there the peer must ask for it (`alias` in its Via, RFC 5923), and only those requests go by it
//! that are for where it says it listens and for whom its certificate names.
//!
//! There are at most [`Options::most`]; more are refused. One that is idle for [`Options::idle`] and that
//! nobody relies on is closed, one on which no message ever came sooner.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use crate::{
    stack::RequestId,
    time::{Duration, Instant},
    transport::{
        Flow, FlowError, Protocol, Target,
        stream::{self, Event, Queue, Times},
    },
    util::slab::{Key, Slab},
};

use super::{
    connection::{Common, Start, live},
    figures::ConnectionFigures,
};

/// Bounds of a shard's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Most connections at once, whoever opened them.
    pub most: usize,
    /// How long one is kept on which nothing happens and on which no dialog or registration relies.
    pub idle: Duration,
    pub times: Times,
}

impl Default for Options {
    fn default() -> Self {
        Self { most: 16_384, idle: Duration::from_secs(180), times: Times::default() }
    }
}

/// What became of the wish for a flow.
pub(super) enum Way {
    Open(Flow),
    /// It is being opened; who asked is told later.
    Opening,
    Failed(FlowError),
}

/// What a shard has to tell its stack.
pub(super) enum Told {
    /// The connection that these requests wait for is there, or is not.
    Connected(SmallVec<[RequestId; 2]>, Result<Flow, FlowError>),
    Closed(Flow, FlowError),
    /// What came by it is for the caller.
    Came(Flow, Event),
    Nothing,
}

pub(super) struct Connections {
    shard: u16,
    options: Options,
    common: Common,
    table: Slab<Connection>,
    /// Those we opened, and those the peer opened where that is safe, by where they lead.
    by_target: HashMap<(Target, Option<Arc<str>>), Key>,
    /// What is listened on, of every protocol.
    listening: Vec<Target>,
    tasks: JoinSet<()>,
    /// When idle ones are looked for next.
    sweep: Instant,
    counted: ConnectionFigures,
}

struct Connection {
    state: State,
    flow: Flow,
    /// Our end, as the network has it.
    local: SocketAddr,
    /// The key in `by_target`.
    route: Option<(Target, Option<Arc<str>>)>,
    /// Whom the peer's certificate names, if it connected to us and has shown a good one.
    names: Box<[Arc<str>]>,
    /// Where the peer listens as well: further keys in `by_target`.
    aliases: SmallVec<[(Target, Option<Arc<str>>); 0]>,
    queue: Queue,
    task: AbortHandle,
    /// When something came or went last.
    active: Instant,
    /// Whether a whole message or keep-alive ever came, or the connection is our own.
    has_spoken: bool,
}

enum State {
    Opening { waiting: SmallVec<[RequestId; 2]> },
    Open,
}

impl Connections {
    pub fn new(shard: u16, options: Options, common: Common, listening: Vec<Target>) -> Self {
        Self {
            shard,
            options,
            common,
            table: Slab::new(),
            by_target: HashMap::new(),
            listening,
            tasks: JoinSet::new(),
            sweep: Instant::ZERO + SWEEP.min(options.idle / 2),
            counted: ConnectionFigures::default(),
        }
    }

    /// Starts taking connections.
    pub fn listen(&mut self, listener: TcpListener, protocol: Protocol, to: mpsc::Sender<Accepted>) {
        self.tasks.spawn(stream::accept(listener, protocol, to));
    }

    /// A connection was taken from a listener.
    pub fn accepted(&mut self, (protocol, stream, remote): Accepted, now: Instant) {
        let Ok(local) = stream.local_addr() else { return };
        if self.is_full() {
            self.counted.refused += 1;
            tracing::debug!(%remote, refused = self.counted.refused, "too many connections: refused");
            return;
        }
        self.counted.accepted += 1;
        let route = (!protocol.is_secure()).then_some((Target { protocol, addr: remote }, None));
        let target = Target { protocol, addr: remote };
        self.insert(target, local, route, Start::Accepted(stream, remote), now);
    }

    /// Finds the connection for a request, or opens one.
    pub fn connect(&mut self, id: RequestId, target: Target, domain: &Arc<str>, now: Instant) -> Way {
        let route = (target, target.protocol.is_secure().then(|| plain(domain)));
        if let Some(&key) = self.by_target.get(&route)
            && let Some(connection) = self.table.get_mut(key)
        {
            return match &mut connection.state {
                State::Open => {
                    tracing::info!("{target}: the connection from {} serves again", connection.local);
                    Way::Open(connection.flow)
                }
                State::Opening { waiting } => {
                    waiting.push(id);
                    Way::Opening
                }
            };
        }
        match self.open(route, domain.clone(), now) {
            Ok(key) => {
                if let Some(Connection { state: State::Opening { waiting }, .. }) = self.table.get_mut(key) {
                    waiting.push(id);
                }
                Way::Opening
            }
            Err(why) => Way::Failed(why),
        }
    }

    /// Whether this connection, and not a successor of it, is open.
    pub fn is_open(&self, flow: &Flow) -> bool {
        self.get(flow).is_some_and(|connection| matches!(connection.state, State::Open))
    }

    /// Writes a message. A response whose connection is gone goes to where its Via says, over a new one (RFC 3261
    /// §18.2.2). Gives our end's address, for those who watch, if the message is on its way.
    pub fn transmit(&mut self, flow: &Flow, bytes: Bytes, now: Instant) -> Option<(SocketAddr, SocketAddr)> {
        let Some(key) = self.carrier(flow, &bytes, now) else {
            self.counted.stranded += 1;
            return None;
        };
        let connection = self.table.get_mut(key)?;
        connection.active = now;
        if let Err(full) = connection.queue.push(bytes) {
            self.counted.overrun += 1;
            tracing::debug!(remote = %flow.remote, %full, "message lost");
            return None;
        }
        Some((connection.local, connection.flow.remote))
    }

    /// The connection that a message goes by.
    fn carrier(&mut self, flow: &Flow, bytes: &[u8], now: Instant) -> Option<Key> {
        match self.get(flow) {
            Some(_) => Some(flow.key()),
            // Nobody can connect to a WebSocket client (RFC 7118 §5.3).
            None if matches!(flow.protocol, Protocol::Ws | Protocol::Wss) => None,
            None if bytes.starts_with(b"SIP/2.0 ") => {
                let domain: Arc<str> = flow.remote.ip().to_string().into();
                let route = (flow.target(), flow.protocol.is_secure().then(|| domain.clone()));
                match self.by_target.get(&route) {
                    Some(&key) => Some(key),
                    None => self.open(route, domain, now).ok(),
                }
            }
            None => None,
        }
    }

    /// What was counted, and how many there are.
    pub fn figures(&self) -> ConnectionFigures {
        ConnectionFigures { open: self.table.len() as u64, ..self.counted }
    }

    /// Has requests for `target`, and for one of whom the peer's certificate names, go by this connection (RFC 5923
    /// §8.2): had we connected there, the same certificate would have been shown (§9.2). Whoever has shown none is
    /// not believed.
    pub fn alias(&mut self, flow: &Flow, target: Target) {
        let Self { table, by_target, .. } = self;
        let Some(connection) = table.get_mut(flow.key()) else { return };
        for name in &connection.names {
            let route = (target, Some(name.clone()));
            if connection.aliases.len() < MOST_ALIASES && !by_target.contains_key(&route) {
                tracing::info!(
                    "{target}, {name}: requests go by the connection from {}",
                    connection.flow.remote
                );
                by_target.insert(route.clone(), flow.key());
                connection.aliases.push(route);
            }
        }
    }

    /// Closes a connection once everything is written.
    pub fn close(&mut self, flow: &Flow) {
        self.remove(flow.key());
    }

    /// The same for one on which nothing happens.
    pub fn idle(&mut self, flow: &Flow) {
        self.counted.idle += 1;
        self.close(flow);
    }

    /// Our end and the peer's, as the network has them.
    pub fn ends(&self, flow: &Flow) -> Option<(SocketAddr, SocketAddr)> {
        self.get(flow).map(|connection| (connection.local, connection.flow.remote))
    }

    /// What a connection's task says.
    pub fn event(&mut self, key: Key, event: Event, now: Instant) -> Told {
        let listening = &self.listening;
        let Some(connection) = self.table.get_mut(key) else { return Told::Nothing };
        match event {
            Event::Opened { local, remote, names } => {
                connection.names = names;
                connection.local = local;
                connection.flow.local = told(listening, connection.flow.protocol, local);
                connection.flow.remote = remote;
                connection.active = now;
                match std::mem::replace(&mut connection.state, State::Open) {
                    State::Opening { waiting } => {
                        tracing::info!("{}: connected from {local}", connection.flow.target());
                        Told::Connected(waiting, Ok(connection.flow))
                    }
                    State::Open => Told::Nothing,
                }
            }
            Event::Closed(why) => match self.remove(key) {
                Some(Connection { state: State::Opening { waiting }, .. }) => {
                    self.counted.failed += 1;
                    Told::Connected(waiting, Err(why))
                }
                Some(connection) => Told::Closed(connection.flow, why),
                None => Told::Nothing,
            },
            event => {
                connection.active = now;
                connection.has_spoken = true;
                Told::Came(connection.flow, event)
            }
        }
    }

    /// When [`sweep`](Self::sweep) is due.
    pub fn next_sweep(&self) -> Option<Instant> {
        (!self.table.is_empty()).then_some(self.sweep)
    }

    /// Those that nothing came by for too long; the caller closes them unless something relies on them.
    pub fn sweep(&mut self, now: Instant) -> Vec<Flow> {
        if now < self.sweep {
            return Vec::new();
        }
        self.sweep = now + SWEEP.min(self.options.idle / 2);
        // A finished task leaves its place only when it is looked at.
        while self.tasks.try_join_next().is_some() {}
        let silent = self.options.idle.min(self.options.times.message);
        let is_idle = |connection: &Connection| {
            let patience = if connection.has_spoken { self.options.idle } else { silent };
            matches!(connection.state, State::Open) && now.since(connection.active) >= patience
        };
        self.table.iter().filter(|(_, c)| is_idle(c)).map(|(_, connection)| connection.flow).collect()
    }

    /// This idle connection stays: it is asked again later.
    pub fn keep(&mut self, flow: &Flow, now: Instant) {
        if let Some(connection) = self.table.get_mut(flow.key()) {
            connection.active = now;
        }
    }

    /// Closes everything, with a moment to write what waits.
    pub async fn end(mut self) {
        self.table = Slab::new();
        let finish =
            async { while self.tasks.len() > self.listening() && self.tasks.join_next().await.is_some() {} };
        let _ = timeout(END, finish).await;
    }

    fn get(&self, flow: &Flow) -> Option<&Connection> {
        self.table.get(flow.key()).filter(|connection| connection.flow.protocol == flow.protocol)
    }

    /// Those that are being closed count as well: they hold descriptors.
    fn is_full(&mut self) -> bool {
        if self.tasks.len() >= self.options.most {
            while self.tasks.try_join_next().is_some() {}
        }
        self.tasks.len() >= self.options.most + self.listening()
    }

    /// Tasks that accept.
    fn listening(&self) -> usize {
        self.listening.iter().filter(|target| target.protocol.is_reliable()).count()
    }

    fn open(
        &mut self,
        route: (Target, Option<Arc<str>>),
        domain: Arc<str>,
        now: Instant,
    ) -> Result<Key, FlowError> {
        let target = route.0;
        if !self.common.security.can_open(target.protocol) {
            return Err(FlowError::Unsupported(target.protocol));
        }
        // As with datagrams: from the address that was asked for, and in no family that was not.
        let own =
            self.listening.iter().map(|own| own.addr).find(|own| own.is_ipv4() == target.addr.is_ipv4());
        let Some(own) = own else {
            return Err(FlowError::Unreachable(std::io::ErrorKind::AddrNotAvailable));
        };
        if self.is_full() {
            self.counted.refused += 1;
            return Err(FlowError::Overrun);
        }
        self.counted.opened += 1;
        let from = (!own.ip().is_unspecified()).then(|| own.ip());
        let start = Start::Open { from, to: target.addr, domain };
        Ok(self.insert(target, own, Some(route), start, now))
    }

    fn insert(
        &mut self,
        target: Target,
        local: SocketAddr,
        route: Option<(Target, Option<Arc<str>>)>,
        start: Start,
        now: Instant,
    ) -> Key {
        let Self { shard, common, table, by_target, listening, tasks, .. } = self;
        let (queue, outgoing) = stream::queue();
        let (state, has_spoken) = match &start {
            Start::Accepted(..) => (State::Open, false),
            Start::Open { .. } => (State::Opening { waiting: SmallVec::new() }, true),
        };
        let key = table.insert_with(|key| {
            let flow = Flow {
                shard: *shard,
                slot: key.index,
                generation: key.generation,
                protocol: target.protocol,
                local: told(listening, target.protocol, local),
                remote: target.addr,
            };
            let task = tasks.spawn(live(key, target.protocol, start, common.clone(), outgoing));
            let (names, aliases) = (Box::default(), SmallVec::new());
            let route = route.clone();
            Connection { state, flow, local, route, names, aliases, queue, task, active: now, has_spoken }
        });
        if let Some(route) = route {
            by_target.insert(route, key);
        }
        key
    }

    fn remove(&mut self, key: Key) -> Option<Connection> {
        let connection = self.table.remove(key)?;
        for route in connection.route.iter().chain(&connection.aliases) {
            if self.by_target.get(route) == Some(&key) {
                self.by_target.remove(route);
            }
        }
        if matches!(connection.state, State::Opening { .. }) {
            connection.task.abort();
        }
        Some(connection)
    }
}

/// Names are the same in capitals (RFC 4343).
fn plain(domain: &Arc<str>) -> Arc<str> {
    match domain.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => domain.to_ascii_lowercase().into(),
        false => domain.clone(),
    }
}

/// A peer listens in one place or two; who names many is not believed.
const MOST_ALIASES: usize = 8;

/// What a listener took: the protocol to be spoken, the connection, the peer's address.
pub(super) type Accepted = (Protocol, TcpStream, SocketAddr);

/// The address to be named in Via and Contact: the connection's own, with the port others can connect to.
fn told(listening: &[Target], protocol: Protocol, local: SocketAddr) -> SocketAddr {
    let fits = |own: &&Target| {
        own.protocol == protocol
            && own.addr.is_ipv4() == local.is_ipv4()
            && (own.addr.ip().is_unspecified() || own.addr.ip() == local.ip())
    };
    let mut told = local;
    if let Some(own) = listening.iter().find(fits) {
        told.set_port(own.addr.port());
    }
    told
}

/// How often idle connections are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// How long the end waits for what is still to be written.
const END: Duration = Duration::from_millis(250);
