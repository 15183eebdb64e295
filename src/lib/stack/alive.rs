//! The keep-alives of a shard's flows (RFC 5626 §4.4): whose turn it is, and who answered.

use std::{collections::HashMap, net::SocketAddr};

use crate::{
    time::Instant,
    transport::{
        Flow, FlowError,
        keepalive::{KeepAlive, Pulse, Step, Stun, binding_response},
    },
    util::{slab::Key, wheel::Wheel},
};

use super::{Core, Event};

/// The flows that are kept alive.
#[derive(Default)]
pub(super) struct Alive {
    flows: HashMap<Name, (Flow, KeepAlive)>,
    wheel: Wheel<Name>,
    fired: Vec<(Instant, Name)>,
}

/// A connection; or a socket and the peer.
type Name = (Key, Option<SocketAddr>);

impl Alive {
    /// When the next keep-alive is due; it may come to nothing.
    pub fn next(&self) -> Option<Instant> {
        if self.flows.is_empty() { None } else { self.wheel.next() }
    }

    pub fn has(&self, flow: &Flow) -> bool {
        self.flows.contains_key(&name(flow))
    }

    pub fn forget(&mut self, flow: &Flow) {
        self.flows.remove(&name(flow));
    }
}

impl Core {
    pub(super) fn keep_alive(&mut self, flow: Flow, pulse: Option<Pulse>, now: Instant) {
        let Some(pulse) = pulse else { return self.alive.forget(&flow) };
        let machine = KeepAlive::new(pulse, flow.protocol.is_reliable(), now, &mut self.ids);
        self.alive.wheel.insert(machine.deadline(), name(&flow));
        self.alive.flows.insert(name(&flow), (flow, machine));
    }

    /// Sends what is due, and gives up what is dead.
    pub(super) fn pulse(&mut self, now: Instant) {
        let mut fired = std::mem::take(&mut self.alive.fired);
        self.alive.wheel.expire(now, &mut fired);
        for (_, name) in fired.drain(..) {
            // What was put off meanwhile has another entry in the wheel.
            let Some((flow, machine)) = self.alive.flows.get_mut(&name) else { continue };
            let (flow, step) = (*flow, machine.advance(now, &mut self.ids));
            if step != Step::Nothing {
                self.alive.wheel.insert(machine.deadline(), name);
            }
            self.step(flow, step);
        }
        self.alive.fired = fired;
    }

    /// Something came by a connection.
    pub(super) fn heard(&mut self, flow: &Flow, now: Instant) {
        if let Some((_, machine)) = self.alive.flows.get_mut(&name(flow))
            && machine.heard(now, &mut self.ids)
        {
            self.alive.wheel.insert(machine.deadline(), name(flow));
        }
    }

    /// STUN came by a UDP flow.
    pub(super) fn stun(&mut self, stun: Stun, flow: Flow, now: Instant) {
        match stun {
            Stun::BindingRequest { id } => {
                self.stats.keep_alives += 1;
                self.transmit(flow, binding_response(id, flow.remote));
            }
            Stun::Response(response) => {
                let Some((_, machine)) = self.alive.flows.get_mut(&name(&flow)) else {
                    self.stats.garbage += 1;
                    return;
                };
                self.stats.keep_alives += 1;
                let step = machine.answered(&response, now, &mut self.ids);
                self.alive.wheel.insert(machine.deadline(), name(&flow));
                self.step(flow, step);
            }
            Stun::Other => self.stats.garbage += 1,
        }
    }

    fn step(&mut self, flow: Flow, step: Step) {
        match step {
            Step::Send(bytes) => self.transmit(flow, bytes),
            Step::Dead if flow.protocol.is_reliable() => {
                tracing::info!("{} does not answer keep-alives: closing the connection", flow.target());
                self.alive.forget(&flow);
                self.close(flow, FlowError::Silent);
            }
            Step::Dead => {
                tracing::info!("{} does not answer keep-alives, or sees us elsewhere", flow.target());
                self.alive.forget(&flow);
                self.events.push_back(Event::Lost(flow, FlowError::Silent));
            }
            Step::Nothing => {}
        }
    }
}

fn name(flow: &Flow) -> Name {
    (flow.key(), (!flow.protocol.is_reliable()).then_some(flow.remote))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Request, Response},
        stack::{Config, Cx, Failure, Output, RequestId, Stack, TransactionUser},
        time::Duration,
        transaction::ServerId,
        transport::{Incoming, Protocol},
    };

    /// Counts the flows it loses.
    #[derive(Default)]
    struct Loser(Vec<(Flow, FlowError)>);

    impl TransactionUser for Loser {
        fn request(&mut self, _: Request, _: Option<ServerId>, _: Flow, _: &mut Cx<'_>) {}
        fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}
        fn response(&mut self, _: Option<RequestId>, _: Response, _: &mut Cx<'_>) {}
        fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}
        fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}

        fn flow_lost(&mut self, flow: Flow, why: &FlowError, _: &mut Cx<'_>) {
            self.0.push((flow, why.clone()));
        }
    }

    fn flow(protocol: Protocol) -> Flow {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Flow { shard: 0, slot: 3, generation: 1, protocol, local: at(5060), remote: at(5070) }
    }

    fn kept(protocol: Protocol, every: u64) -> (Stack, Loser) {
        let (mut stack, mut user) = (Stack::new(Config::default()), Loser::default());
        let pulse = Some(Pulse { every: Duration::from_secs(every), checked: true });
        stack.with(Instant::ZERO, &mut user, |_, cx| cx.keep_alive(flow(protocol), pulse));
        (stack, user)
    }

    /// Lets time pass until the stack wants something.
    fn next(stack: &mut Stack, user: &mut Loser) -> (Instant, Output) {
        loop {
            let now = stack.next_deadline().expect("something to come");
            stack.advance(now, user);
            if let Some(output) = stack.output() {
                return (now, output);
            }
        }
    }

    #[test]
    fn a_connection_lives_as_long_as_it_answers() {
        let (mut stack, mut user) = kept(Protocol::Tcp, 100);
        let mut last = Instant::ZERO;
        for _ in 0..5 {
            let (now, output) = next(&mut stack, &mut user);
            assert!((80..=100).contains(&now.since(last).as_secs()), "{now:?} after {last:?}");
            assert!(matches!(output, Output::Transmit { bytes, .. } if bytes == "\r\n\r\n"));
            assert_eq!(stack.unused(vec![flow(Protocol::Tcp)], &user), []);
            last = now + Duration::from_millis(30);
            stack.pong(last, flow(Protocol::Tcp));
        }
        let (sent, _) = next(&mut stack, &mut user);
        let (now, output) = next(&mut stack, &mut user);
        assert!((10_000..10_010).contains(&now.since(sent).as_millis()), "{:?}", now.since(sent));
        assert!(matches!(output, Output::Close { flow } if flow.slot == 3));
        assert_eq!(user.0, [(flow(Protocol::Tcp), FlowError::Silent)]);
        assert_eq!(stack.next_deadline(), None);
    }

    #[test]
    fn a_udp_flow_lives_as_long_as_it_is_answered_from_the_same_address() {
        let (mut stack, mut user) = kept(Protocol::Udp, 30);
        let answer = |stack: &mut Stack, user: &mut Loser, mapped: &str| {
            let (now, output) = next(stack, user);
            let Output::Transmit { bytes, .. } = output else { panic!("{output:?}") };
            let Some(Stun::BindingRequest { id }) = Stun::parse(&bytes) else { panic!("no request") };
            let bytes = binding_response(id, mapped.parse().expect("an address"));
            stack.receive(now, Incoming { bytes, flow: flow(Protocol::Udp) }, user);
        };
        for _ in 0..3 {
            answer(&mut stack, &mut user, "192.0.2.1:1024");
        }
        assert_eq!(user.0, []);
        answer(&mut stack, &mut user, "192.0.2.1:1025");
        assert_eq!(user.0, [(flow(Protocol::Udp), FlowError::Silent)]);
        assert_eq!((stack.next_deadline(), stack.output().is_none()), (None, true));
    }

    #[test]
    fn a_lost_or_forgotten_flow_is_left_alone() {
        for forget in [true, false] {
            let (mut stack, mut user) = kept(Protocol::Tcp, 10);
            if forget {
                stack.with(Instant::ZERO, &mut user, |_, cx| cx.keep_alive(flow(Protocol::Tcp), None));
            } else {
                stack.closed(Instant::ZERO, flow(Protocol::Tcp), FlowError::Lost, &mut user);
            }
            assert_eq!((stack.next_deadline(), user.0.len()), (None, usize::from(!forget)));
        }
    }

    #[test]
    fn who_asks_is_told_its_address() {
        let (mut stack, mut user) = (Stack::new(Config::default()), Loser::default());
        let bytes = crate::transport::keepalive::binding_request([9; 12]);
        stack.receive(Instant::ZERO, Incoming { bytes, flow: flow(Protocol::Udp) }, &mut user);
        let Some(Output::Transmit { bytes, .. }) = stack.output() else { panic!("no answer") };
        let Some(Stun::Response(response)) = Stun::parse(&bytes) else { panic!("no response") };
        assert_eq!((response.id, response.mapped), ([9; 12], Some(flow(Protocol::Udp).remote)));
    }
}
