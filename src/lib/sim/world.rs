//! The world itself: nodes with addresses, what is on its way between them, names, and the clock.

mod connections;

use std::{
    any::Any,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fmt,
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;

use connections::Happening;

use super::{
    ladder::{Fate, Ladder},
    link::{Link, LinkConfig},
    stream::{StreamConfig, Streams},
};
use crate::{
    resolve::{Answer, Query, QueryError, Records, Response, Source, Srv},
    stack::{Config, Cx, Output, RequestId, Stack, TransactionUser},
    time::{Duration, Instant},
    transport::{Flow, FlowError, Incoming, Protocol},
    util::{id::Ids, slab::Key},
};

/// A network of stacks with a clock of its own.
///
/// ```
/// # use sipkit::{sim::World, stack::{Cx, Failure, RequestId, TransactionUser}};
/// # use sipkit::{message::{Builder, Request, Response}, transaction::ServerId, transport::Flow};
/// struct Nobody;
/// # impl TransactionUser for Nobody {
/// #     fn request(&mut self, request: Request, id: Option<ServerId>, _: Flow, cx: &mut Cx<'_>) {
/// #         let Some(id) = id else { return };
/// #         let _ = cx.respond(id, Builder::response(&request, 404, None).to_tag("t").finish());
/// #     }
/// #     fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}
/// #     fn response(&mut self, _: Option<RequestId>, _: Response, _: &mut Cx<'_>) {}
/// #     fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}
/// #     fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
/// # }
/// let mut world = World::new(1);
/// let bob = world.add("bob", "192.0.2.2:5060".parse().unwrap(), Nobody);
/// world.inject(
///     "192.0.2.1:5060".parse().unwrap(),
///     "192.0.2.2:5060".parse().unwrap(),
///     "OPTIONS sip:x@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
///      From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:x@192.0.2.2>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
///      Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
/// );
/// assert!(world.run_until(|world| world.stack(bob).transactions() == 1));
/// print!("{}", world.ladder());
/// ```
pub struct World {
    now: Instant,
    ids: Ids,
    nodes: Vec<Place>,
    /// Which node has an address.
    addresses: BTreeMap<SocketAddr, usize>,
    /// Addresses whose host answers with ICMP errors.
    closed: BTreeSet<SocketAddr>,
    /// Addresses of nodes that take datagrams and no connections.
    deaf: BTreeSet<SocketAddr>,
    streams: Streams,
    stream_config: StreamConfig,
    names: BTreeMap<String, Vec<IpAddr>>,
    services: BTreeMap<String, Vec<Srv>>,
    default_link: LinkConfig,
    /// By direction; the end is `None` for addresses of no node.
    links: BTreeMap<(Option<usize>, Option<usize>), Link>,
    under_way: BinaryHeap<Reverse<Arrival>>,
    /// Number of the next arrival: keeps those of one moment in the order of sending.
    sequence: u64,
    ladder: Ladder,
}

/// A stack in a [`World`], and the type of its user.
pub struct Node<U> {
    at: usize,
    user: PhantomData<fn() -> U>,
}

impl World {
    /// An empty world. Everything random in it, the identifiers of its stacks included, comes from
    /// `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            ids: Ids::from_number(seed),
            nodes: Vec::new(),
            addresses: BTreeMap::new(),
            closed: BTreeSet::new(),
            deaf: BTreeSet::new(),
            streams: Streams::default(),
            stream_config: StreamConfig::default(),
            names: BTreeMap::new(),
            services: BTreeMap::new(),
            default_link: LinkConfig::default(),
            links: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            sequence: 0,
            ladder: Ladder::new(),
        }
    }

    /// Puts a stack with default configuration and its user at `address`.
    pub fn add<U: TransactionUser + 'static>(&mut self, name: &str, address: SocketAddr, user: U) -> Node<U> {
        self.add_with(name, &[address], Config::default(), user)
    }

    /// The same with a configuration, whose seed is replaced by the world's, and with several addresses:
    /// requests leave from the first one of the target's family.
    pub fn add_with<U: TransactionUser + 'static>(
        &mut self,
        name: &str,
        addresses: &[SocketAddr],
        mut config: Config,
        user: U,
    ) -> Node<U> {
        self.ids.fill(&mut config.seed);
        let at = self.nodes.len();
        self.addresses.extend(addresses.iter().map(|&address| (address, at)));
        self.nodes.push(Place {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
            is_up: true,
            stack: Stack::new(config),
            user: Box::new(user),
        });
        Node { at, user: PhantomData }
    }

    /// What all links do that are not configured by themselves, from now on.
    pub fn links(&mut self, config: LinkConfig) {
        self.default_link = config;
        self.links.values_mut().for_each(|link| link.configure(config));
    }

    /// What the link does that leads from one node to another. The way back is another link.
    pub fn link<A, B>(&mut self, from: Node<A>, to: Node<B>, config: LinkConfig) {
        self.link_between(Some(from.at), Some(to.at)).configure(config);
    }

    /// What all connections do with octets written from now on.
    pub fn streams(&mut self, config: StreamConfig) {
        self.stream_config = config;
    }

    /// From now on connections to `address` are refused, although a node has it.
    pub fn refuse_streams(&mut self, address: SocketAddr) {
        self.deaf.insert(address);
    }

    /// Cuts all connections between two nodes: what is under way is lost, and both learn of it now.
    pub fn cut<A, B>(&mut self, one: Node<A>, other: Node<B>) {
        for key in self.streams.of(one.at) {
            if self.streams.get(key).is_some_and(|s| s.ends.iter().any(|end| end.node == other.at)) {
                self.lose(key, &FlowError::Lost);
            }
        }
    }

    /// Connections that are open or being opened, for leak checks.
    pub fn connections(&self) -> usize {
        self.streams.len()
    }

    /// Gives `name` addresses: what the DNS answers, in the order to try them. No addresses: no such
    /// name.
    pub fn name(&mut self, name: &str, addresses: &[IpAddr]) {
        self.names.insert(name.to_ascii_lowercase(), addresses.to_vec());
    }

    /// Gives `name`, such as `_sip._udp.example.com`, SRV records (RFC 2782).
    pub fn service(&mut self, name: &str, records: &[Srv]) {
        self.services.insert(name.to_ascii_lowercase(), records.to_vec());
    }

    /// From now on packets to `address`, if no node has it, are answered with an ICMP error; elsewhere
    /// they vanish.
    pub fn close(&mut self, address: SocketAddr) {
        self.closed.insert(address);
    }

    /// Unplugs a node: what it sends and what is sent to it vanishes. Its stack lives on. Its connections are dead from
    /// then on, and nobody is told.
    pub fn unplug<U>(&mut self, node: Node<U>) {
        self.plug_in(node.at, false);
    }

    /// Undoes [`unplug`](Self::unplug).
    pub fn plug<U>(&mut self, node: Node<U>) {
        self.plug_in(node.at, true);
    }

    /// Sends bytes over UDP from an address that may belong to nobody: a stranger, a forger, a replay.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: impl Into<Bytes>) {
        self.send(Protocol::Udp, from, to, bytes.into());
    }

    /// Lets the application act: `act` gets the user and everything a user may do.
    pub fn with<U: TransactionUser + 'static, R>(
        &mut self,
        node: Node<U>,
        act: impl FnOnce(&mut U, &mut Cx<'_>) -> R,
    ) -> R {
        let now = self.now;
        let Place { stack, user, .. } = self.place_mut(node.at);
        let result = stack.with(now, user_of::<U>(user), act);
        self.settle(node.at);
        result
    }

    /// Makes a node believe that of 255 new requests so many are too many ([`Cx::excess`]).
    pub fn overload<U>(&mut self, node: Node<U>, excess: u8) {
        self.place_mut(node.at).stack.overloaded(excess);
    }

    /// A node's user, to look at.
    pub fn user<U: TransactionUser + 'static>(&self, node: Node<U>) -> &U {
        let user: &dyn Any = &*self.place(node.at).user;
        user.downcast_ref().expect(FOREIGN)
    }

    /// A node's stack, to look at: counters, transactions alive.
    pub fn stack<U>(&self, node: Node<U>) -> &Stack {
        &self.place(node.at).stack
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    /// What was sent so far.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Lets things happen until `done`; whether that came about before nothing was left to happen, or an
    /// hour had passed.
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + PATIENCE;
        loop {
            if done(self) {
                return true;
            }
            match self.next() {
                Some(next) if next <= end => self.happen(next),
                _ => return false,
            }
        }
    }

    /// Lets `span` pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.happen(next);
        }
        self.now = end;
    }

    /// Whether nothing is under way and no transaction is alive anywhere.
    pub fn is_quiet(&self) -> bool {
        let idle = |place: &Place| place.stack.transactions() == 0 && place.stack.pending() == 0;
        self.under_way.is_empty() && self.nodes.iter().all(idle)
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.peek().map(|Reverse(arrival)| arrival.at);
        let deadlines = self.nodes.iter().filter_map(|place| place.stack.next_deadline());
        deadlines.chain(arrival).min().map(|next| next.max(self.now))
    }

    /// Everything of one moment: first what arrives, in the order of sending, then what is due.
    fn happen(&mut self, now: Instant) {
        self.now = now;
        while let Some(arrival) = self
            .under_way
            .peek()
            .is_some_and(|Reverse(arrival)| arrival.at <= now)
            .then(|| self.under_way.pop())
            .flatten()
        {
            self.arrive(arrival.0);
        }
        for at in 0..self.nodes.len() {
            let Place { stack, user, .. } = self.place_mut(at);
            if stack.next_deadline().is_some_and(|deadline| deadline <= now) {
                stack.advance(now, &mut **user);
                self.settle(at);
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let (now, Arrival { from, to, protocol, what, .. }) = (self.now, arrival);
        let what = match what {
            What::Stream(key, happening) => return self.stream(key, happening),
            What::NoStream { node, id, why } => return self.connected(node, id, Err(why)),
            what => what,
        };
        let Some(&at) = self.addresses.get(&to) else { return };
        let place = self.place_mut(at);
        if !place.is_up {
            return;
        }
        let flow = Flow { local: to, remote: from, protocol, ..FLOW };
        match what {
            What::Packet(bytes) => place.stack.receive(now, Incoming { bytes, flow }, &mut *place.user),
            What::Unreachable => {
                place.stack.unreachable(now, from, FlowError::Refused, &mut *place.user);
            }
            What::NoStream { .. } | What::Stream(..) => {}
        }
        self.settle(at);
    }

    /// Carries out what a stack wants, as the endpoint would.
    fn settle(&mut self, at: usize) {
        let now = self.now;
        loop {
            let place = self.place_mut(at);
            let Some(output) = place.stack.output() else { return };
            match output {
                Output::Transmit { flow, bytes } if flow.protocol.is_reliable() => {
                    self.write(at, &flow, bytes);
                }
                Output::Transmit { flow, bytes } => {
                    self.send(flow.protocol, flow.local, flow.remote, bytes);
                }
                Output::Close { flow } => self.close_stream(&flow),
                // Nobody has a certificate here, nor several shards.
                Output::Alias { .. } | Output::HandOver { .. } => {}
                Output::Connect { id, target, flow, .. } if target.protocol.is_reliable() => {
                    self.connect(at, id, target, flow);
                }
                Output::Connect { id, target, .. } => {
                    let family = |address: &&SocketAddr| address.is_ipv4() == target.addr.is_ipv4();
                    let local = place.addresses.iter().find(family).copied();
                    let flow = local
                        .map(|local| Flow { protocol: target.protocol, local, remote: target.addr, ..FLOW })
                        .ok_or(FlowError::Unreachable(std::io::ErrorKind::NetworkUnreachable));
                    place.stack.connected(now, id, flow, &mut *place.user);
                }
                Output::Resolve { id, query, .. } => {
                    let answer = self.look_up(&query);
                    let place = self.place_mut(at);
                    place.stack.resolved(now, id, &query, answer, &mut *place.user);
                }
            }
        }
    }

    /// What the DNS says; nothing is to be kept, as the table may change.
    fn look_up(&self, query: &Query) -> Answer {
        let (by, ttl) = (Source::System, Duration::ZERO);
        let name = &query.name().to_ascii_lowercase();
        let records = match query {
            Query::Addresses { .. } => self.names.get(name).cloned().map(Records::Addresses),
            Query::Srv { .. } => self.services.get(name).cloned().map(Records::Srv),
            _ => None,
        };
        match records.filter(|records| !records.is_empty()) {
            Some(records) => Ok(Response::new(records, ttl, by)),
            None if self.names.contains_key(name) => Err(QueryError::NoData { by, ttl }),
            None => Err(QueryError::NoName { by, ttl }),
        }
    }

    fn send(&mut self, protocol: Protocol, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let now = self.now;
        let (source, destination) = (self.addresses.get(&from).copied(), self.addresses.get(&to).copied());
        let link = self.link_between(source, destination);
        let mut arrivals = link.deliver(now, bytes.len());
        let is_up = |at: Option<usize>| at.is_none_or(|at| self.place(at).is_up);
        if !is_up(source) || !is_up(destination) {
            arrivals.clear();
        }
        let is_refused = destination.is_none() && self.closed.contains(&to);
        let fate = match arrivals.len() {
            _ if is_refused => Fate::Refused,
            0 => Fate::Lost,
            _ if destination.is_none() => Fate::Lost,
            1 => Fate::Arrived,
            _ => Fate::Doubled,
        };
        let (from_name, to_name) = (self.name_of(from), self.name_of(to));
        self.ladder.message(now, &from_name, &to_name, &bytes, fate);
        for at in arrivals {
            let (sequence, what) = (self.sequence, What::Packet(bytes.clone()));
            self.sequence += 1;
            self.under_way.push(Reverse(if is_refused {
                Arrival { at, sequence, from: to, to: from, protocol, what: What::Unreachable }
            } else {
                Arrival { at, sequence, from, to, protocol, what }
            }));
        }
    }

    fn link_between(&mut self, from: Option<usize>, to: Option<usize>) -> &mut Link {
        let (ids, config) = (&mut self.ids, self.default_link);
        self.links.entry((from, to)).or_insert_with(|| Link::new(config, ids.u64()))
    }

    fn name_of(&self, address: SocketAddr) -> String {
        let node = self.addresses.get(&address).and_then(|&at| self.nodes.get(at));
        node.map_or_else(|| address.to_string(), |place| place.name.clone())
    }

    fn plug_in(&mut self, at: usize, is_up: bool) {
        self.place_mut(at).is_up = is_up;
        for key in self.streams.of(at) {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.is_whole &= is_up;
            }
        }
    }

    fn place(&self, at: usize) -> &Place {
        self.nodes.get(at).expect(FOREIGN)
    }

    fn place_mut(&mut self, at: usize) -> &mut Place {
        self.nodes.get_mut(at).expect(FOREIGN)
    }
}

impl<U> Clone for Node<U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U> Copy for Node<U> {}

impl<U> PartialEq for Node<U> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<U> Eq for Node<U> {}

impl<U> fmt::Debug for Node<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.at)
    }
}

struct Place {
    name: String,
    addresses: Vec<SocketAddr>,
    is_up: bool,
    stack: Stack,
    user: Box<dyn User>,
}

/// A user whose own type can be had back.
trait User: TransactionUser + Any {}

impl<U: TransactionUser + Any> User for U {}

fn user_of<U: TransactionUser + 'static>(user: &mut Box<dyn User>) -> &mut U {
    let user: &mut dyn Any = &mut **user;
    user.downcast_mut().expect(FOREIGN)
}

/// Something on its way, in the order of arrival, then of sending.
#[derive(Debug)]
struct Arrival {
    at: Instant,
    sequence: u64,
    from: SocketAddr,
    to: SocketAddr,
    protocol: Protocol,
    what: What,
}

#[derive(Debug)]
enum What {
    Packet(Bytes),
    /// An ICMP error: `from` cannot be reached.
    Unreachable,
    /// Something happens to a connection.
    Stream(Key, Happening),
    /// The connection a request waits for will not be.
    NoStream {
        node: usize,
        id: RequestId,
        why: FlowError,
    },
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Arrival {}

/// Every node has one socket: what differs between flows are the addresses.
const FLOW: Flow =
    Flow { shard: 0, slot: 0, generation: 1, protocol: Protocol::Udp, local: NOWHERE, remote: NOWHERE };
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
/// How long [`World::run_until`] waits, virtually.
const PATIENCE: Duration = Duration::from_secs(3_600);
const FOREIGN: &str = "the node belongs to this world";
