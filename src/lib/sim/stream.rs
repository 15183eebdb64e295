//! Connections of the simulator: octets in order, in segments as small as asked for, until somebody cuts them.
//!
//! This is bookkeeping only. When a segment arrives is up to the world and its links; what is lost there comes
//! late, as TCP would have it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use crate::{
    message::{Framer, Limits, Side},
    stack::RequestId,
    time::{Duration, Instant},
    transport::{Flow, Protocol, Target},
    util::slab::{Key, Slab},
};

/// What connections do to the octets written to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamConfig {
    /// Octets in a segment at most; 0 counts as 1.
    pub piece: usize,
    /// From one segment to the next.
    pub gap: Duration,
    /// How long what is written waits for more to travel with it.
    pub hold: Duration,
}

impl Default for StreamConfig {
    /// Each message in a segment of its own, at once.
    fn default() -> Self {
        Self { piece: usize::MAX, gap: Duration::ZERO, hold: Duration::ZERO }
    }
}

/// All connections of a world.
#[derive(Default)]
pub(super) struct Streams {
    table: Slab<Stream>,
    /// Those that a node can use for requests.
    by_target: BTreeMap<(usize, Protocol, SocketAddr), Key>,
    ports: u16,
}

pub(super) struct Stream {
    pub protocol: Protocol,
    pub state: State,
    /// First the one that opened it.
    pub ends: [End; 2],
    /// Whether what is sent arrives. Once a node was unplugged it does not.
    pub is_whole: bool,
    /// The end that has closed it; what it sent before is still under way.
    pub closed_by: Option<usize>,
}

#[derive(PartialEq, Eq)]
pub(super) enum State {
    /// These wait for it.
    Opening(Vec<RequestId>),
    Open,
}

pub(super) struct End {
    pub node: usize,
    /// As the other end sees it.
    pub address: SocketAddr,
    /// Where others reach this node.
    pub told: SocketAddr,
    pub framer: Framer,
    /// Written and not yet sent.
    pub pending: BytesMut,
    /// When the latest segment was or will be sent, and when it arrives.
    pub sent: Instant,
    pub arrives: Instant,
    /// To be sent first of all, once the connection is open.
    pub early: VecDeque<Bytes>,
}

impl Streams {
    /// A connection that begins; `from` is the opener's own address, `to` the other node and its address.
    pub fn begin(
        &mut self,
        protocol: Protocol,
        (from_node, from): (usize, SocketAddr),
        (to_node, to): (usize, SocketAddr),
    ) -> Key {
        // Ports nobody listens on, as a system picks them.
        let mut address = from;
        address.set_port(EPHEMERAL + self.ports);
        self.ports = (self.ports + 1) % (u16::MAX - EPHEMERAL);
        let end = |node, address, told, side| End {
            node,
            address,
            told,
            framer: Framer::new(side, Limits::default()),
            pending: BytesMut::new(),
            sent: Instant::ZERO,
            arrives: Instant::ZERO,
            early: VecDeque::new(),
        };
        let ends = [end(from_node, address, from, Side::Opened), end(to_node, to, to, Side::Accepted)];
        let state = State::Opening(Vec::new());
        let key = self.table.insert(Stream { protocol, state, ends, is_whole: true, closed_by: None });
        self.by_target.insert((from_node, protocol, to), key);
        key
    }

    /// The connection a node uses for requests to a target.
    pub fn to(&self, node: usize, target: Target) -> Option<Key> {
        self.by_target.get(&(node, target.protocol, target.addr)).copied()
    }

    /// The connection is open: the accepting node can use it for requests to where it came from.
    pub fn opened(&mut self, key: Key) -> Vec<RequestId> {
        let Some(stream) = self.table.get_mut(key) else { return Vec::new() };
        let [opener, acceptor] = &stream.ends;
        self.by_target.insert((acceptor.node, stream.protocol, opener.address), key);
        match std::mem::replace(&mut stream.state, State::Open) {
            State::Opening(waiting) => waiting,
            State::Open => Vec::new(),
        }
    }

    pub fn get(&self, key: Key) -> Option<&Stream> {
        self.table.get(key)
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut Stream> {
        self.table.get_mut(key)
    }

    /// Ends a connection for both sides.
    pub fn remove(&mut self, key: Key) -> Option<Stream> {
        let stream = self.table.remove(key)?;
        self.by_target.retain(|_, other| *other != key);
        Some(stream)
    }

    /// No further request uses it.
    pub fn forget(&mut self, key: Key) {
        self.by_target.retain(|_, other| *other != key);
    }

    /// All connections a node has an end of.
    pub fn of(&self, node: usize) -> Vec<Key> {
        let mine = |stream: &Stream| stream.ends.iter().any(|end| end.node == node);
        self.table.iter().filter(|(_, stream)| mine(stream)).map(|(key, _)| key).collect()
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The connection and the end a flow names.
    pub fn of_flow(&self, flow: &Flow) -> Option<(Key, usize)> {
        let key = Key { index: flow.slot / 2, generation: flow.generation };
        self.table.get(key).map(|_| (key, (flow.slot % 2) as usize))
    }
}

impl Stream {
    /// The flow as one end names it.
    pub fn flow(&self, key: Key, end: usize) -> Flow {
        let [here, there] = if end == 0 { [0, 1] } else { [1, 0] }.map(|end| &self.ends[end]);
        Flow {
            shard: 0,
            slot: key.index * 2 + end as u32,
            generation: key.generation,
            protocol: self.protocol,
            local: here.told,
            remote: there.address,
        }
    }
}

const EPHEMERAL: u16 = 49_152;
