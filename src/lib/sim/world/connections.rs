//! What the world does with connections: opening, writing in segments, cutting.

use std::cmp::Reverse;

use bytes::Bytes;

use super::{Arrival, NOWHERE, Place, What, World};
use crate::{
    message::Frame,
    sim::{
        ladder::Fate,
        stream::{State, StreamConfig},
    },
    stack::RequestId,
    time::{Duration, Instant},
    transport::{Flow, FlowError, Protocol, Target},
    util::slab::Key,
};

/// What happens to a connection; the numbers are ends.
#[derive(Debug)]
pub(super) enum Happening {
    Opened,
    /// What waits at this end is sent.
    Flush(usize),
    /// Octets arrive at this end.
    Segment(usize, Bytes),
    /// This end learns that the other one has closed.
    End(usize),
}

impl World {
    /// Finds or opens a connection, as the endpoint would.
    pub(super) fn connect(&mut self, at: usize, id: RequestId, target: Target, flow: Option<Flow>) {
        if let Some(flow) = flow {
            let open = self.streams.of_flow(&flow).and_then(|(key, end)| {
                let stream = self.streams.get(key)?;
                (stream.closed_by.is_none() && stream.state == State::Open).then(|| stream.flow(key, end))
            });
            return self.connected(at, id, open.ok_or(FlowError::Lost));
        }
        if let Some(key) = self.streams.to(at, target)
            && let Some(stream) = self.streams.get_mut(key)
        {
            match &mut stream.state {
                State::Opening(waiting) => waiting.push(id),
                State::Open => {
                    let end = usize::from(stream.ends[0].node != at);
                    let flow = stream.flow(key, end);
                    self.connected(at, id, Ok(flow));
                }
            }
            return;
        }
        match self.begin(at, target) {
            Ok(key) => {
                if let Some(State::Opening(waiting)) = self.streams.get_mut(key).map(|s| &mut s.state) {
                    waiting.push(id);
                }
            }
            Err((after, why)) => self.later(self.now + after, What::NoStream { node: at, id, why }),
        }
    }

    /// Begins to open a connection, or says after which time it turns out that there will be none.
    fn begin(&mut self, at: usize, target: Target) -> Result<Key, (Duration, FlowError)> {
        let addresses = &self.place(at).addresses;
        let local = addresses.iter().find(|address| address.is_ipv4() == target.addr.is_ipv4()).copied();
        let unreachable = FlowError::Unreachable(std::io::ErrorKind::NetworkUnreachable);
        let local = local.ok_or((Duration::ZERO, unreachable))?;
        let destination = self.addresses.get(&target.addr).copied();
        let delay = self.link_between(Some(at), destination).config().delay;
        let is_refused = match destination {
            Some(_) => self.deaf.contains(&target.addr),
            None => self.closed.contains(&target.addr),
        };
        match destination {
            _ if is_refused => Err((2 * delay, FlowError::Refused)),
            Some(to) if self.place(at).is_up && self.place(to).is_up => {
                let key = self.streams.begin(target.protocol, (at, local), (to, target.addr));
                self.later(self.now + 2 * delay, What::Stream(key, Happening::Opened));
                Ok(key)
            }
            _ => Err((OPENING, FlowError::TimedOut)),
        }
    }

    pub(super) fn connected(&mut self, at: usize, id: RequestId, flow: Result<Flow, FlowError>) {
        let now = self.now;
        let Place { stack, user, .. } = self.place_mut(at);
        stack.connected(now, id, flow, &mut **user);
        self.settle(at);
    }

    /// What becomes of a connection.
    pub(super) fn stream(&mut self, key: Key, happening: Happening) {
        match happening {
            Happening::Opened => {
                let Some(stream) = self.streams.get_mut(key) else { return };
                let early: Vec<Bytes> = stream.ends[0].early.drain(..).collect();
                let (node, flow) = (stream.ends[0].node, stream.flow(key, 0));
                for bytes in early {
                    self.push(key, 0, &bytes);
                }
                for id in self.streams.opened(key) {
                    self.connected(node, id, Ok(flow));
                }
            }
            Happening::Flush(end) => self.flush(key, end),
            Happening::Segment(end, bytes) => self.segment(key, end, &bytes),
            Happening::End(end) => {
                let Some(stream) = self.streams.remove(key) else { return };
                self.told_closed(stream.ends[end].node, stream.flow(key, end), &FlowError::Lost);
            }
        }
    }

    /// Octets arrive at an end.
    fn segment(&mut self, key: Key, end: usize, bytes: &Bytes) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.is_whole) else { return };
        if stream.closed_by == Some(end) {
            return;
        }
        stream.ends[end].framer.push(bytes);
        // The stack may close it between two messages.
        while let Some(stream) = self.streams.get_mut(key) {
            let Some(frame) = stream.ends[end].framer.next() else { return };
            let (node, flow) = (stream.ends[end].node, stream.flow(key, end));
            let Place { stack, user, .. } = self.place_mut(node);
            let mut is_final = false;
            match frame {
                Ok(Frame::Message(message)) => stack.message(now, *message, flow, &mut **user),
                Ok(Frame::Ping) => stack.ping(flow),
                Ok(Frame::Pong) => stack.pong(now, flow),
                Err(error) => {
                    is_final = error.is_final();
                    stack.malformed(&error, flow);
                }
            }
            self.settle(node);
            if is_final {
                self.close_stream(&flow);
                return self.told_closed(node, flow, &FlowError::Lost);
            }
        }
    }

    /// A node writes to a connection; a response whose connection is gone goes over a new one.
    pub(super) fn write(&mut self, at: usize, flow: &Flow, bytes: Bytes) {
        let open = self
            .streams
            .of_flow(flow)
            .filter(|(key, end)| self.streams.get(*key).is_some_and(|stream| stream.closed_by != Some(*end)));
        let key = match open {
            Some((key, _)) => Some(key),
            None if bytes.starts_with(b"SIP/2.0 ") => {
                self.streams.to(at, flow.target()).or_else(|| self.begin(at, flow.target()).ok())
            }
            None => None,
        };
        let stream = key.and_then(|key| self.streams.get(key));
        let is_lost = stream.is_none_or(|stream| !stream.is_whole);
        let to = stream
            .map(|stream| stream.ends.iter().map(|end| end.node).find(|node| *node != at).unwrap_or(at));
        let (from_name, to_name) = (
            self.place(at).name.clone(),
            match to {
                Some(to) => self.place(to).name.clone(),
                None => self.name_of(flow.remote),
            },
        );
        let fate = if is_lost { Fate::Lost } else { Fate::Arrived };
        self.ladder.message(self.now, &from_name, &to_name, &bytes, fate);
        let Some(key) = key else { return };
        let Some(stream) = self.streams.get_mut(key) else { return };
        let end = open.map_or(usize::from(stream.ends[0].node != at), |(_, end)| end);
        match stream.state {
            State::Opening(_) => stream.ends[end].early.push_back(bytes),
            State::Open => self.push(key, end, &bytes),
        }
    }

    /// Octets to be sent, perhaps together with later ones.
    fn push(&mut self, key: Key, end: usize, bytes: &[u8]) {
        let hold = self.stream_config.hold;
        let Some(stream) = self.streams.get_mut(key) else { return };
        let is_first = stream.ends[end].pending.is_empty();
        stream.ends[end].pending.extend_from_slice(bytes);
        if hold.is_zero() {
            self.flush(key, end);
        } else if is_first {
            self.later(self.now + hold, What::Stream(key, Happening::Flush(end)));
        }
    }

    /// Sends what waits, in segments.
    fn flush(&mut self, key: Key, end: usize) {
        let (now, StreamConfig { piece, gap, .. }) = (self.now, self.stream_config);
        let Some(stream) = self.streams.get_mut(key) else { return };
        let other = 1 - end;
        let (from, to) = (stream.ends[end].node, stream.ends[other].node);
        let mut pending = stream.ends[end].pending.split().freeze();
        let (mut sent, mut arrives) = (stream.ends[end].sent, stream.ends[end].arrives);
        while !pending.is_empty() {
            let bytes = pending.split_to(piece.max(1).min(pending.len()));
            sent = now.max(sent + gap);
            let link = self.link_between(Some(from), Some(to));
            let arrival = link.deliver(sent, bytes.len()).first().copied();
            // Lost ones are sent again.
            arrives = arrives.max(arrival.unwrap_or(sent + link.config().delay + AGAIN));
            self.later(arrives, What::Stream(key, Happening::Segment(other, bytes)));
        }
        if let Some(stream) = self.streams.get_mut(key) {
            (stream.ends[end].sent, stream.ends[end].arrives) = (sent, arrives);
        }
    }

    /// One end closes; the other learns of it after all that was sent.
    pub(super) fn close_stream(&mut self, flow: &Flow) {
        let Some((key, end)) = self.streams.of_flow(flow) else { return };
        self.flush(key, end);
        let now = self.now;
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.closed_by = Some(end);
        let (from, to, arrives) =
            (stream.ends[end].node, stream.ends[1 - end].node, stream.ends[end].arrives);
        self.streams.forget(key);
        let delay = self.link_between(Some(from), Some(to)).config().delay;
        self.later(arrives.max(now + delay), What::Stream(key, Happening::End(1 - end)));
    }

    /// A connection is gone for both.
    pub(super) fn lose(&mut self, key: Key, why: &FlowError) {
        let Some(stream) = self.streams.remove(key) else { return };
        let flows = [stream.flow(key, 0), stream.flow(key, 1)];
        let nodes = [stream.ends[0].node, stream.ends[1].node];
        match stream.state {
            State::Opening(waiting) => {
                for id in waiting {
                    self.connected(nodes[0], id, Err(why.clone()));
                }
            }
            State::Open => {
                for (end, (node, flow)) in nodes.into_iter().zip(flows).enumerate() {
                    if stream.closed_by != Some(end) {
                        self.told_closed(node, flow, why);
                    }
                }
            }
        }
    }

    fn told_closed(&mut self, at: usize, flow: Flow, why: &FlowError) {
        let now = self.now;
        let Place { stack, user, .. } = self.place_mut(at);
        stack.closed(now, flow, why.clone(), &mut **user);
        self.settle(at);
    }

    fn later(&mut self, at: Instant, what: What) {
        let sequence = self.sequence;
        self.sequence += 1;
        let (from, to, protocol) = (NOWHERE, NOWHERE, Protocol::Tcp);
        self.under_way.push(Reverse(Arrival { at, sequence, from, to, protocol, what }));
    }
}

/// How long a connection to nowhere is tried.
const OPENING: Duration = Duration::from_secs(4);
/// After so long a lost segment is sent again.
const AGAIN: Duration = Duration::from_millis(200);
