//! One shard's loop: wait for a socket, a connection, a command, a lookup or a deadline; feed the stack; carry
//! out what it wants.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    pin::pin,
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use tokio::{
    sync::{
        mpsc::{self, error::TryRecvError},
        oneshot,
    },
    task::JoinSet,
};

use crate::{
    message::Frame,
    resolve::{self, system::Resolver},
    stack::{self, Output, RequestId, Stack, TransactionUser},
    time::Duration,
    transport::{
        Direction, Flow, FlowError, Incoming, Packet, PacketKind, Protocol, Tap, Target,
        stream::Event,
        udp::{BATCH, Inbox, Outgoing, UdpSocket, local_address_for},
    },
    util::slab::Key,
};

use super::{
    Clock, Command,
    connections::{Accepted, Connections, Told, Way},
    figures::{Datagrams, Figures},
    moderation::Moderation,
    overload::Overload,
};

pub(super) struct Shard<U> {
    stack: Stack,
    sockets: Vec<UdpSocket>,
    /// What waits to leave by each of them.
    outboxes: Vec<Vec<Outgoing>>,
    moderation: Moderation,
    connections: Connections,
    tap: Option<Arc<dyn Tap>>,
    resolver: Arc<Resolver>,
    lookups: JoinSet<(RequestId, resolve::Query, resolve::Answer)>,
    clock: Clock,
    number: u16,
    /// The inboxes of all shards, this one's included, by their numbers.
    peers: Vec<mpsc::Sender<Command<U>>>,
    /// What was left to other shards, and what they had no time for.
    handed_over: u64,
    unclaimed: u64,
    datagrams: Datagrams,
    overload: Overload,
    user: U,
}

impl<U: TransactionUser + Send + 'static> Shard<U> {
    pub fn new(
        config: stack::Config,
        sockets: Vec<UdpSocket>,
        connections: Connections,
        tap: Option<Arc<dyn Tap>>,
        resolver: Resolver,
        peers: Vec<mpsc::Sender<Command<U>>>,
        user: U,
    ) -> Self {
        Self {
            number: config.shard,
            peers,
            handed_over: 0,
            unclaimed: 0,
            stack: Stack::new(config),
            outboxes: sockets.iter().map(|_| Vec::with_capacity(BATCH)).collect(),
            sockets,
            moderation: Moderation::default(),
            connections,
            tap,
            resolver: Arc::new(resolver),
            lookups: JoinSet::new(),
            clock: Clock::start(),
            datagrams: Datagrams::default(),
            overload: Overload::default(),
            user,
        }
    }

    /// Runs until it is told to stop.
    pub async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command<U>>,
        mut accepted: mpsc::Receiver<Accepted>,
        mut events: mpsc::Receiver<(Key, Event)>,
    ) {
        let mut inbox = Inbox::new();
        let mut turn = Turn::Idle;
        let mut alarm = pin!(tokio::time::sleep_until(tokio::time::Instant::now()));
        let mut alarm_at = None;
        loop {
            self.carry_out();
            match turn {
                Turn::Idle => {}
                Turn::Rest(rest) => {
                    // The thread is the shard's own, and what else runs on it may wait that long, too.
                    std::thread::sleep(rest);
                    tokio::task::yield_now().await;
                }
                // The connections are tasks of their own, which must not starve.
                Turn::More => tokio::task::yield_now().await,
            }
            turn = Turn::Idle;
            let deadlines = [self.stack.next_deadline(), self.connections.next_sweep()];
            // An alarm that comes too early costs a look at the deadlines; to set it anew for each message costs more.
            if let Some(deadline) = deadlines.into_iter().flatten().min() {
                let at = self.moderation.alarm(deadline, self.clock.now());
                if alarm_at.is_none_or(|set| at < set) {
                    alarm.as_mut().reset(self.clock.std(at).into());
                    alarm_at = Some(at);
                }
            }
            tokio::select! {
                // Replies and deadlines before new wishes: a flood of commands must not starve the wire.
                biased;
                () = readable(&self.sockets) => {
                    turn = self.receive(&mut inbox);
                    // Nor must a flood of datagrams starve the connections, or keep the user from hanging up.
                    if let Ok((key, event)) = events.try_recv() {
                        self.connection(key, event, &mut events);
                    }
                    self.accept(&mut accepted);
                    if self.obey(&mut commands).is_break() {
                        break;
                    }
                }
                Some((key, event)) = events.recv() => {
                    self.connection(key, event, &mut events);
                    self.accept(&mut accepted);
                    if self.obey(&mut commands).is_break() {
                        break;
                    }
                }
                Some(accepted) = accepted.recv() => self.connections.accepted(accepted, self.clock.now()),
                Some(answer) = self.lookups.join_next() => {
                    if let Ok((id, query, answer)) = answer {
                        self.stack.resolved(self.clock.now(), id, &query, answer, &mut self.user);
                    }
                }
                () = alarm.as_mut(), if alarm_at.is_some() => alarm_at = None,
                command = commands.recv() => {
                    if command.is_none_or(|command| self.command(command).is_break())
                        || self.obey(&mut commands).is_break()
                    {
                        break;
                    }
                }
            }
            let now = self.clock.now();
            if self.stack.next_deadline().is_some_and(|at| at <= now) {
                self.stack.advance(now, &mut self.user);
            }
            let idle = self.connections.sweep(now);
            idle.iter().for_each(|flow| self.connections.keep(flow, now));
            for flow in self.stack.unused(idle, &self.user) {
                tracing::debug!(remote = %flow.remote, "idle connection closed");
                self.connections.idle(&flow);
                self.stack.closed(now, flow, FlowError::Idle, &mut self.user);
            }
        }
        self.carry_out();
        self.connections.end().await;
    }

    /// Commands that wait, but not for ever.
    fn obey(&mut self, commands: &mut mpsc::Receiver<Command<U>>) -> ControlFlow<()> {
        for _ in 0..EVENTS {
            match commands.try_recv() {
                Ok(command) => self.command(command)?,
                Err(TryRecvError::Disconnected) => return ControlFlow::Break(()),
                Err(TryRecvError::Empty) => break,
            }
        }
        ControlFlow::Continue(())
    }

    fn command(&mut self, command: Command<U>) -> ControlFlow<()> {
        let now = self.clock.now();
        match command {
            Command::Act(act) => self.stack.with(now, &mut self.user, act),
            Command::Message(message, flow) => self.stack.handed_over(now, *message, flow, &mut self.user),
            Command::Transmit(flow, bytes) => self.transmit_own(flow, bytes),
            Command::Figures(reply) => self.tell(reply),
            Command::Stop => return ControlFlow::Break(()),
        }
        self.carry_out();
        ControlFlow::Continue(())
    }

    /// Leaves something to another shard.
    fn leave(&mut self, shard: u16, command: Command<U>) {
        let peer = self.peers.get(usize::from(shard));
        // One that does not keep up loses it, as a socket would that is full.
        match peer.map(|peer| peer.try_send(command)) {
            Some(Ok(())) => self.handed_over += 1,
            Some(Err(_)) | None => self.unclaimed += 1,
        }
    }

    /// Sends something on a connection of ours.
    fn transmit_own(&mut self, flow: Flow, bytes: Bytes) {
        let now = self.clock.now();
        match self.connections.transmit(&flow, bytes.clone(), now) {
            Some(ends) => self.show(Direction::Sent, flow.protocol, ends, &bytes),
            None => self.stack.unsent(now, &bytes, flow, &mut self.user),
        }
    }

    /// New connections, but not for ever: a flood on those that are there must not keep others from coming.
    fn accept(&mut self, accepted: &mut mpsc::Receiver<Accepted>) {
        for _ in 0..EVENTS {
            let Ok(accepted) = accepted.try_recv() else { return };
            self.connections.accepted(accepted, self.clock.now());
        }
    }

    /// What a connection says, and others after it, but not for ever.
    fn connection(&mut self, key: Key, event: Event, events: &mut mpsc::Receiver<(Key, Event)>) {
        let mut next = (key, event);
        for left in (0..EVENTS).rev() {
            let (key, event) = next;
            let now = self.clock.now();
            match self.connections.event(key, event, now) {
                Told::Connected(waiting, outcome) => {
                    for id in waiting {
                        self.stack.connected(now, id, outcome.clone(), &mut self.user);
                    }
                }
                Told::Closed(flow, why) => self.stack.closed(now, flow, why, &mut self.user),
                Told::Came(flow, event) => self.came(flow, event),
                Told::Nothing => {}
            }
            self.carry_out();
            if left == 0 {
                return;
            }
            let Ok(more) = events.try_recv() else { return };
            next = more;
        }
    }

    fn came(&mut self, flow: Flow, event: Event) {
        let now = self.clock.now();
        let ends = self.connections.ends(&flow).unwrap_or((flow.local, flow.remote));
        let show = |bytes: &[u8]| self.show(Direction::Received, flow.protocol, ends, bytes);
        match event {
            Event::Frame(Frame::Message(message)) => {
                show(message.bytes());
                self.stack.message(now, *message, flow, &mut self.user);
            }
            Event::Frame(Frame::Ping) => {
                show(b"\r\n\r\n");
                self.stack.ping(flow);
            }
            Event::Frame(Frame::Pong) => {
                show(b"\r\n");
                self.stack.pong(now, flow);
            }
            Event::Malformed(error) => {
                show(error.bytes());
                self.stack.malformed(&error, flow);
            }
            Event::Opened { .. } | Event::Closed(_) => {}
        }
    }

    /// Reads what the sockets have, but not for ever: what is left makes them readable again at once.
    fn receive(&mut self, inbox: &mut Inbox) -> Turn {
        let (mut read, mut all_drained) = (0, true);
        for index in 0..self.sockets.len() {
            let is_drained = self.receive_from(index, inbox, &mut read);
            all_drained &= is_drained;
            let fill = || self.sockets[index].fill();
            self.stack.overloaded(self.overload.turn(self.clock.now(), index, is_drained, fill));
            while let Some(error) = self.sockets[index].take_error() {
                self.datagrams.icmp += 1;
                tracing::debug!(to = %error.to, kind = %error.kind, "ICMP");
                self.stack.unreachable(self.clock.now(), error.to, error.kind.into(), &mut self.user);
            }
        }
        match self.moderation.rest(read, self.clock.now()) {
            _ if !all_drained => Turn::More,
            Some(rest) => Turn::Rest(rest),
            None => {
                // Who reads less than there was room for has seen the end, and asks once more only in quiet times: an
                // error that cut it short would then hold up what came behind it.
                if self.moderation.is_busy() {
                    self.sockets.iter().for_each(UdpSocket::set_drained);
                }
                Turn::Idle
            }
        }
    }

    /// Reads from one socket; says whether there is no more.
    fn receive_from(&mut self, index: usize, inbox: &mut Inbox, read: &mut usize) -> bool {
        for _ in 0..LOTS {
            match self.sockets[index].try_recv_batch(inbox) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // ICMP errors surface here as well as in the error queue, which names the destination.
                Err(error) => {
                    self.datagrams.unreadable += 1;
                    tracing::debug!(%error, "receive");
                    continue;
                }
            }
            // One look at the clock for all of them.
            let now = self.clock.now();
            for at in 0..inbox.len() {
                let Some((bytes, datagram)) = inbox.datagram(at) else { break };
                let bytes = Bytes::copy_from_slice(bytes);
                let flow = self.flow(index, datagram.to, datagram.from);
                self.show(Direction::Received, flow.protocol, (flow.local, flow.remote), &bytes);
                self.stack.receive(now, Incoming { bytes, flow }, &mut self.user);
                self.stage();
            }
            self.flush();
            *read += inbox.len();
            // Who is busy comes back in any case, and need not be told that nothing is left.
            if inbox.len() < BATCH && self.moderation.is_busy() {
                return true;
            }
        }
        false
    }

    /// Does what the stack asks for until it asks for nothing.
    fn carry_out(&mut self) {
        self.stage();
        while self.flush() {
            self.stage();
        }
    }

    /// Does what the stack asks for until it asks for nothing; datagrams wait for others to leave with.
    fn stage(&mut self) {
        while let Some(output) = self.stack.output() {
            match output {
                Output::Transmit { flow, bytes } if flow.protocol.is_reliable() => {
                    if flow.shard == self.number {
                        self.transmit_own(flow, bytes);
                    } else {
                        self.leave(flow.shard, Command::Transmit(flow, bytes));
                    }
                }
                Output::HandOver { shard, message, flow } => {
                    self.leave(shard, Command::Message(message, flow));
                }
                Output::Transmit { flow, bytes } => self.transmit(flow, bytes),
                Output::Connect { id, target, domain, flow } => {
                    let now = self.clock.now();
                    let way = match flow {
                        Some(flow) if !flow.protocol.is_reliable() || self.connections.is_open(&flow) => {
                            Way::Open(flow)
                        }
                        Some(_) => Way::Failed(FlowError::Lost),
                        None if target.protocol.is_reliable() => {
                            self.connections.connect(id, target, &domain, now)
                        }
                        None => self.connect(target).map_or_else(Way::Failed, Way::Open),
                    };
                    match way {
                        Way::Open(flow) => self.stack.connected(now, id, Ok(flow), &mut self.user),
                        Way::Failed(why) => self.stack.connected(now, id, Err(why), &mut self.user),
                        Way::Opening => {}
                    }
                }
                Output::Alias { flow, target } => self.connections.alias(&flow, target),
                Output::Close { flow } => self.connections.close(&flow),
                Output::Resolve { id, query, until } => {
                    let within = until.since(self.clock.now());
                    let resolver = self.resolver.clone();
                    self.lookups.spawn(async move {
                        let answer = resolver.answer(&query, within).await;
                        (id, query, answer)
                    });
                }
            }
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.show(Direction::Sent, flow.protocol, (flow.local, flow.remote), &bytes);
        let index = flow.slot as usize;
        let Some(outbox) = self.outboxes.get_mut(index) else { return };
        outbox.push(Outgoing { bytes, to: flow.remote, from: flow.local.ip() });
        if outbox.len() >= BATCH {
            self.send(index);
        }
    }

    /// Sends what waits; says whether there was anything.
    fn flush(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.outboxes.len() {
            if self.outboxes.get(index).is_some_and(|outbox| !outbox.is_empty()) {
                self.send(index);
                any = true;
            }
        }
        any
    }

    /// Sends what waits for one socket.
    fn send(&mut self, index: usize) {
        let Some(outbox) = self.outboxes.get_mut(index) else { return };
        let mut outbox = std::mem::take(outbox);
        let mut left = &outbox[..];
        while let [first, ..] = left {
            let (count, outcome) = self.sockets[index].try_send_batch(left);
            if let Err(error) = outcome {
                self.unsent(index, first, &error);
            }
            left = left.get(count.max(1)..).unwrap_or_default();
        }
        outbox.clear();
        if let Some(place) = self.outboxes.get_mut(index) {
            *place = outbox;
        }
    }

    fn unsent(&mut self, index: usize, outgoing: &Outgoing, error: &io::Error) {
        match error.kind() {
            // The kernel's buffer is full: a lost datagram, which retransmission is for.
            io::ErrorKind::WouldBlock => {}
            // A pending ICMP error of an earlier datagram; the error queue tells whose.
            io::ErrorKind::ConnectionRefused => {
                while let Some(error) = self.sockets[index].take_error() {
                    self.datagrams.icmp += 1;
                    self.stack.unreachable(self.clock.now(), error.to, error.kind.into(), &mut self.user);
                }
            }
            _ => {
                self.datagrams.unsendable += 1;
                let Outgoing { bytes, to, from } = outgoing;
                tracing::debug!(%to, %error, "send");
                let now = self.clock.now();
                let flow = self.flow(index, with_ip(self.sockets[index].local_addr(), *from), *to);
                self.stack.unreachable(now, *to, error.kind().into(), &mut self.user);
                self.stack.unsent(now, bytes, flow, &mut self.user);
            }
        }
    }

    /// For UDP every socket of the right family is a flow to everywhere its address can send to.
    fn connect(&self, target: Target) -> Result<Flow, FlowError> {
        let mut why = io::ErrorKind::AddrNotAvailable;
        for (index, socket) in self.sockets.iter().enumerate() {
            let local = socket.local_addr();
            if local.is_ipv4() != target.addr.is_ipv4() {
                continue;
            }
            let ip = if local.ip().is_unspecified() {
                match local_address_for(target.addr) {
                    Ok(ip) => ip,
                    Err(error) => {
                        why = error.kind();
                        continue;
                    }
                }
            } else {
                local.ip()
            };
            return Ok(self.flow(index, with_ip(local, ip), target.addr));
        }
        Err(why.into())
    }

    fn flow(&self, index: usize, local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow { shard: self.number, slot: index as u32, generation: 0, protocol: Protocol::Udp, local, remote }
    }

    /// To who has left it is of no use.
    fn tell(&self, reply: oneshot::Sender<Figures>) {
        let mut datagrams = self.datagrams;
        self.sockets.iter().for_each(|socket| datagrams.sockets += socket.counters());
        let _ = reply.send(Figures {
            shards: 1,
            stack: self.stack.stats(),
            transactions: self.stack.transactions() as u64,
            pending: self.stack.pending() as u64,
            lookups: self.lookups.len() as u64,
            datagrams,
            handed_over: self.handed_over,
            unclaimed: self.unclaimed,
            excess: u64::from(self.overload.share()),
            connections: self.connections.figures(),
        });
    }

    /// `ends` are ours and the peer's, as the network has them.
    fn show(
        &self,
        direction: Direction,
        protocol: Protocol,
        (local, remote): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        if let Some(tap) = &self.tap {
            tap.packet(&Packet {
                at: SystemTime::now(),
                kind: PacketKind::Sip,
                direction,
                protocol,
                local,
                remote,
                bytes,
            });
        }
    }
}

/// Waits until a socket has something: a datagram, or an ICMP error alone.
async fn readable(sockets: &[UdpSocket]) {
    // An error of the reactor's own will show again in the read.
    match sockets {
        [] => std::future::pending().await,
        [one] => drop(one.readable().await),
        [first, rest @ ..] => tokio::select! {
            _ = first.readable() => {}
            () = Box::pin(readable(rest)) => {}
        },
    }
}

fn with_ip(addr: SocketAddr, ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, addr.port())
}

/// What follows when the sockets were read.
enum Turn {
    /// To wait until there is more.
    Idle,
    /// To let more come, and look again.
    Rest(Duration),
    /// There is more.
    More,
}

/// What is taken from connections before the sockets, commands and deadlines get their turn.
const EVENTS: usize = 64;
/// What one socket is read for before the others, connections, commands and deadlines get their turn, in batches.
const LOTS: usize = 2;
