//! Which flow leads to a destination, as far as that is known.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    resolve::Destination,
    time::{Duration, Instant},
    transport::Flow,
};

/// What was found out a while ago; bounded.
#[derive(Debug, Default)]
pub struct Ways {
    all: HashMap<Destination, Way>,
    /// Those asked for last, which are found by looking: most proxies have few next hops.
    recent: VecDeque<(Destination, Way)>,
}

/// The flow that leads to a destination.
#[derive(Clone, Debug)]
pub struct Way {
    pub flow: Flow,
    /// Our Via up to the branch.
    pub via: Arc<str>,
    /// Until when it is taken for granted.
    until: Instant,
}

impl Way {
    pub fn new(flow: Flow, now: Instant) -> Self {
        let via = format!("SIP/2.0/{} {};branch=", flow.protocol, flow.local).into();
        Self { flow, via, until: now + KEPT }
    }
}

impl Ways {
    /// The way to a destination, unless it must be found out again.
    pub fn get(&mut self, destination: &Destination, now: Instant) -> Option<Way> {
        let fresh = |way: &&Way| way.until > now;
        if let Some((_, way)) = self.recent.iter().find(|(known, _)| known == destination) {
            return Some(way).filter(fresh).cloned();
        }
        let way = self.all.get(destination).filter(fresh)?.clone();
        self.recent.truncate(RECENT - 1);
        self.recent.push_front((destination.clone(), way.clone()));
        Some(way)
    }

    pub fn insert(&mut self, destination: Destination, way: Way) {
        if self.all.len() >= MOST {
            self.all.clear();
        }
        self.recent.retain(|(known, _)| *known != destination);
        self.all.insert(destination, way);
    }

    /// A connection is gone.
    pub fn lost(&mut self, flow: &Flow) {
        self.recent.retain(|(_, way)| !way.flow.is_same(flow));
        self.all.retain(|_, way| !way.flow.is_same(flow));
    }
}

const MOST: usize = 4_096;
const RECENT: usize = 8;
const KEPT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::Uri, transport::Protocol};

    fn destination(number: usize) -> Destination {
        let uri = format!("sip:192.0.2.{}:{number}", number % 200);
        Destination::of(&Uri::parse(&uri).unwrap()).unwrap()
    }

    fn flow(number: u32) -> Flow {
        let (local, remote) = ("[2001:db8::1]:5061".parse().unwrap(), "[2001:db8::2]:5061".parse().unwrap());
        Flow { shard: 0, slot: number, generation: 0, protocol: Protocol::Tls, local, remote }
    }

    #[test]
    fn ways_are_known_until_they_are_old_or_lost() {
        let mut ways = Ways::default();
        let now = Instant::from_millis(1_000);
        for number in 1..50 {
            ways.insert(destination(number), Way::new(flow(number as u32), now));
        }
        for _ in 0..2 {
            for number in 1..50 {
                let way = ways.get(&destination(number), now).unwrap();
                assert_eq!(way.flow, flow(number as u32));
                assert_eq!(&*way.via, "SIP/2.0/TLS [2001:db8::1]:5061;branch=");
            }
        }
        assert!(ways.recent.len() <= RECENT);
        assert!(ways.get(&destination(50), now).is_none());
        ways.insert(destination(49), Way::new(flow(7), now));
        assert_eq!(ways.get(&destination(49), now).unwrap().flow, flow(7), "the newer one counts");
        ways.lost(&flow(7));
        assert!(ways.get(&destination(49), now).is_none() && ways.get(&destination(7), now).is_none());
        assert!(ways.get(&destination(48), now).is_some());
        assert!(ways.get(&destination(48), now + KEPT).is_none());
        for number in 0..MOST * 2 {
            ways.insert(destination(number), Way::new(flow(1), now));
            assert!(ways.all.len() <= MOST);
        }
    }
}
