//! What a shard knows about the way to others: answers of the DNS, targets that failed, orders that were drawn.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::{
    message::{Response, header::RetryAfter},
    resolve::{
        Answer, Destination, Host, Lookup, Order, Progress, Protocols, Query, Settings, Step, cache::Cache,
        failed::FailedTargets,
    },
    time::{Duration, Instant},
    transport::{FlowError, Target},
    util::id::Ids,
};

/// One per shard, for all its lookups.
#[derive(Debug)]
pub(super) struct Memory {
    spoken: Protocols,
    cache: Cache,
    failed: FailedTargets,
    /// By which chance servers of equal priority were ordered, and how long that is kept.
    drawn: HashMap<Destination, (u64, Instant)>,
    /// `None` if nothing is drawn.
    keep_order: Option<Duration>,
}

impl Memory {
    pub fn new(spoken: Protocols, keep_order: Option<Duration>) -> Self {
        Self {
            spoken,
            cache: Cache::new(CACHE),
            failed: FailedTargets::default(),
            drawn: HashMap::new(),
            keep_order,
        }
    }

    /// Starts a lookup and takes it as far as what is remembered goes.
    pub fn start(
        &mut self,
        destination: Destination,
        explain: bool,
        ids: &mut Ids,
        now: Instant,
    ) -> (Lookup, Progress) {
        let order = match self.keep_order {
            None => Order::Fixed,
            Some(keep) => Order::Weighted { seed: self.seed(&destination, keep, ids, now) },
        };
        let (mut lookup, progress) =
            Lookup::start(destination, Settings { spoken: self.spoken, order, explain });
        let progress = self.go_on(&mut lookup, progress, now);
        (lookup, progress)
    }

    /// Gives `answer` to the lookup and keeps it for others.
    pub fn answer(&mut self, lookup: &mut Lookup, query: &Query, answer: Answer, now: Instant) -> Progress {
        let progress = lookup.answer(query, answer.clone());
        self.cache.insert(query.clone(), answer, now);
        self.go_on(lookup, progress, now)
    }

    fn go_on(&self, lookup: &mut Lookup, mut progress: Progress, now: Instant) -> Progress {
        while let Progress::Ask(queries) = progress {
            let mut unknown: SmallVec<[Query; 2]> = SmallVec::new();
            progress = Progress::Wait;
            for query in queries {
                match self.cache.get(&query, now) {
                    Some(answer) => progress = lookup.answer(&query, answer),
                    None => unknown.push(query),
                }
            }
            if !unknown.is_empty() {
                return Progress::Ask(unknown);
            }
        }
        if let (Progress::Found(targets), Some(_)) = (&mut progress, self.keep_order) {
            self.failed.sort(targets, now);
        }
        progress
    }

    /// An order once drawn holds for a while: the call after the question for its route, and the request with
    /// credentials after its challenge, shall meet the same server.
    fn seed(&mut self, destination: &Destination, keep: Duration, ids: &mut Ids, now: Instant) -> u64 {
        if matches!(destination.host, Host::Ip(_)) || destination.port.is_some() {
            return 0;
        }
        if let Some(&(seed, _)) = self.drawn.get(destination).filter(|(_, until)| *until > now) {
            return seed;
        }
        let seed = ids.u64();
        if self.drawn.len() >= DRAWN {
            self.drawn.retain(|_, (_, until)| *until > now);
        }
        if self.drawn.len() < DRAWN && !keep.is_zero() {
            self.drawn.insert(destination.clone(), (seed, now + keep));
        }
        seed
    }

    /// The next request goes elsewhere first, if there is an elsewhere.
    pub fn failed(&mut self, target: Target, now: Instant) {
        self.failed.failed(target, now);
    }

    /// The same for a target that cannot be reached, unless that says nothing about it.
    pub fn unreachable(&mut self, target: Target, why: &FlowError, now: Instant) {
        if !matches!(why, FlowError::Overrun | FlowError::Unsupported(_) | FlowError::Idle) {
            self.failed(target, now);
        }
    }

    /// What a response says about the health of its sender.
    pub fn answered(&mut self, target: Target, response: &Response, now: Instant) {
        if response.status() != 503 {
            return self.failed.answered(target);
        }
        // Without Retry-After it says nothing about the next request (RFC 3261 §21.5.4).
        if let Ok(after) = response.header::<RetryAfter>() {
            let wait = self.failed.busy(target, Duration::from_secs(after.seconds.into()), now);
            tracing::info!("{target} is overloaded and wants to be left alone for {} s", wait.as_secs());
        }
    }

    /// For a user who asks why a request goes where it goes.
    pub fn explain(&self, lookup: &Lookup, targets: &[Target], now: Instant) {
        for step in lookup.steps() {
            let indent = "  ".repeat(step.depth());
            tracing::info!("{indent}{step}");
            if let Step::Targets(choices) = step {
                for target in targets {
                    let Some(choice) = choices.iter().find(|choice| choice.target == *target) else {
                        continue;
                    };
                    match self.failed.avoided(target, now) {
                        None => tracing::info!("  {choice}"),
                        Some(rest) => {
                            tracing::info!("  {choice}; put last for {} s, it failed lately", rest.as_secs());
                        }
                    }
                }
            }
        }
    }
}

/// Answers of the DNS kept.
const CACHE: usize = 1_024;
/// Orders kept.
const DRAWN: usize = 256;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        message::{Limits, Message, Uri},
        resolve::{Records, Response as Found, Source, Srv},
    };

    fn memory(keep_order: u64) -> (Memory, Ids) {
        (Memory::new(Protocols::ALL, Some(Duration::from_secs(keep_order))), Ids::from_number(1))
    }

    fn destination(uri: &str) -> Destination {
        Destination::of(&Uri::parse(uri).unwrap()).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    fn found(records: Records) -> Answer {
        Ok(Found::new(records, Duration::from_secs(60), Source::System))
    }

    /// Four servers of equal weight at `_sip._udp.a.example`.
    fn answer(query: &Query) -> Answer {
        let srv = |n: u16| Srv { priority: 1, weight: 1, port: n, target: "h.example".into() };
        match query {
            Query::Srv { .. } => found(Records::Srv((1..=4).map(srv).collect())),
            _ => found(Records::Addresses(vec![[192, 0, 2, 1].into()])),
        }
    }

    /// The targets' ports and how many questions it took.
    fn look_up(memory: &mut Memory, ids: &mut Ids, now: Instant) -> (Vec<u16>, usize) {
        let uri = destination("sip:a.example;transport=udp");
        let (mut lookup, mut progress) = memory.start(uri, true, ids, now);
        let mut asked = 0;
        loop {
            match progress {
                Progress::Ask(queries) => {
                    asked += queries.len();
                    progress = Progress::Wait;
                    for query in &queries {
                        progress = memory.answer(&mut lookup, query, answer(query), now);
                    }
                }
                Progress::Found(targets) => {
                    memory.explain(&lookup, &targets, now);
                    return (targets.iter().map(|target| target.addr.port()).collect(), asked);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn nothing_is_asked_twice_while_it_holds() {
        let (mut memory, mut ids) = memory(32);
        assert_eq!(look_up(&mut memory, &mut ids, at(0)).1, 2);
        assert_eq!(look_up(&mut memory, &mut ids, at(59)).1, 0);
        assert_eq!(look_up(&mut memory, &mut ids, at(60)).1, 2);
    }

    #[test]
    fn an_order_is_kept_for_a_while_and_then_drawn_anew() {
        let (mut sticky, mut ids) = memory(32);
        let first = look_up(&mut sticky, &mut ids, at(0)).0;
        assert!((1..32).all(|s| look_up(&mut sticky, &mut ids, at(s)).0 == first));
        let later: Vec<_> = (1..20).map(|n| look_up(&mut sticky, &mut ids, at(n * 32)).0).collect();
        assert!(later.iter().any(|order| *order != first));
        let (mut fickle, mut ids) = memory(0);
        let orders: Vec<_> = (0..20).map(|_| look_up(&mut fickle, &mut ids, at(0)).0).collect();
        assert!(orders.iter().any(|order| *order != orders[0]));
    }

    #[test]
    fn a_fixed_order_is_drawn_by_nobody_and_changed_by_no_failure() {
        let mut ids = Ids::from_number(1);
        let orders: Vec<_> = (0..20)
            .map(|_| {
                let mut memory = Memory::new(Protocols::ALL, None);
                memory.failed(Target::udp(([192, 0, 2, 1], 1).into()), at(0));
                look_up(&mut memory, &mut ids, at(1)).0
            })
            .collect();
        assert!(orders.iter().all(|order| *order == [1, 2, 3, 4]), "{orders:?}");
    }

    #[test]
    fn failed_targets_come_last_until_they_answer() {
        let (mut memory, mut ids) = memory(600);
        let order = look_up(&mut memory, &mut ids, at(0)).0;
        let target = |port| Target::udp(([192, 0, 2, 1], port).into());
        memory.failed(target(order[0]), at(0));
        let moved = [order[1], order[2], order[3], order[0]];
        assert_eq!(look_up(&mut memory, &mut ids, at(1)).0, moved);
        let response = |text: &str| {
            let head = "Via: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n\
                        CSeq: 1 OPTIONS\r\n";
            let text = format!("SIP/2.0 {text}\r\n{head}\r\n", text = text.replace('|', "\r\n"));
            let bytes = Bytes::from(text.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"));
            Message::parse(bytes, &Limits::default()).unwrap().into_response().unwrap()
        };
        memory.answered(target(order[0]), &response("503 Busy"), at(1));
        assert_eq!(look_up(&mut memory, &mut ids, at(1)).0, moved, "a 503 makes nothing better");
        memory.answered(target(order[0]), &response("200 OK"), at(2));
        assert_eq!(look_up(&mut memory, &mut ids, at(2)).0, order);
        memory.answered(target(order[0]), &response("503 Busy|Retry-After: 10"), at(3));
        assert_eq!(look_up(&mut memory, &mut ids, at(12)).0, moved);
        assert_eq!(look_up(&mut memory, &mut ids, at(13)).0, order);
    }

    #[test]
    fn the_memory_of_orders_is_bounded() {
        let (mut memory, mut ids) = memory(32);
        for n in 0..=DRAWN {
            memory.start(destination(&format!("sip:h{n}.example")), false, &mut ids, at(0));
        }
        assert_eq!(memory.drawn.len(), DRAWN);
        memory.start(destination("sip:192.0.2.1"), false, &mut ids, at(0));
        memory.start(destination("sip:late.example"), false, &mut ids, at(33));
        assert_eq!(memory.drawn.len(), 1);
    }
}
