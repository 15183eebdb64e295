//! What a proxy counts, and how it is. Figures of several proxies that share their work add up.

use std::{
    collections::BTreeMap,
    iter::Sum,
    ops::{Add, AddAssign},
};

use crate::transport::Protocol;

/// What was done, and what was dropped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pub requests: u64,
    pub responses: u64,
    pub requests_forwarded: u64,
    pub responses_forwarded: u64,
    /// Messages forwarded, by the transport they left by, in the order of [`Protocol::ALL`].
    pub by_transport: [u64; Protocol::ALL.len()],
    /// Requests answered here, by status.
    pub answered: BTreeMap<u16, u64>,
    /// ACKs that could not go on; they are never answered.
    pub acks_dropped: u64,
    /// ACKs for responses of our own: they have come to their end.
    pub acks_own: u64,
    /// Responses whose top Via is none of ours, or whose branch fits no request that we forwarded.
    pub responses_foreign: u64,
    /// Responses that cannot go on: their next Via is missing, unreadable, or leads to a multicast group.
    pub responses_stuck: u64,
}

/// Counters, and the state of the moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub counters: Counters,
    /// Requests that wait until it is known how their destination is reached, and their octets.
    pub waiting: u64,
    pub waiting_octets: u64,
    /// Destinations that it is known of.
    pub ways: u64,
    /// Next hops by their URI, and whether requests go there.
    pub hops: BTreeMap<String, bool>,
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        self.requests += other.requests;
        self.responses += other.responses;
        self.requests_forwarded += other.requests_forwarded;
        self.responses_forwarded += other.responses_forwarded;
        self.by_transport.iter_mut().zip(other.by_transport).for_each(|(mine, more)| *mine += more);
        for (status, more) in &other.answered {
            *self.answered.entry(*status).or_default() += more;
        }
        self.acks_dropped += other.acks_dropped;
        self.acks_own += other.acks_own;
        self.responses_foreign += other.responses_foreign;
        self.responses_stuck += other.responses_stuck;
    }
}

impl Add for Figures {
    type Output = Self;

    /// A next hop is up if it is for all.
    fn add(mut self, other: Self) -> Self {
        self.counters += &other.counters;
        self.waiting += other.waiting;
        self.waiting_octets += other.waiting_octets;
        self.ways += other.ways;
        for (hop, is_up) in other.hops {
            *self.hops.entry(hop).or_insert(true) &= is_up;
        }
        self
    }
}

impl Sum for Figures {
    fn sum<I: Iterator<Item = Self>>(figures: I) -> Self {
        figures.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_shards_add_up() {
        for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol as usize, index, "they are counted by it");
        }
        let figures = |status, hop: &str, is_up| Figures {
            counters: Counters {
                requests: 3,
                by_transport: [1, 2, 0, 0, 4],
                answered: BTreeMap::from([(status, 2)]),
                ..Counters::default()
            },
            waiting: 1,
            hops: BTreeMap::from([(hop.to_owned(), is_up), ("sip:both".to_owned(), is_up)]),
            ..Figures::default()
        };
        let all: Figures = [figures(404, "sip:a", true), figures(404, "sip:b", false)].into_iter().sum();
        assert_eq!((all.counters.requests, all.counters.by_transport), (6, [2, 4, 0, 0, 8]));
        assert_eq!((all.counters.answered, all.waiting), (BTreeMap::from([(404, 4)]), 2));
        let hops: Vec<_> = all.hops.iter().map(|(hop, is_up)| (hop.as_str(), *is_up)).collect();
        assert_eq!(hops, [("sip:a", true), ("sip:b", false), ("sip:both", false)]);
    }
}
