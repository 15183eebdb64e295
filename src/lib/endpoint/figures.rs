//! What a shard has counted since it started, and what it has at the moment. Figures of several shards add up.

use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

use crate::{stack::Stats, transport::udp};

/// The figures of one shard, or of several together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// How many shards these are of.
    pub shards: u64,
    pub stack: Stats,
    /// Transactions alive.
    pub transactions: u64,
    /// Outgoing requests without a final outcome.
    pub pending: u64,
    /// Names that are being looked up.
    pub lookups: u64,
    pub datagrams: Datagrams,
    /// Messages left to another shard, which has what it takes to deal with them.
    pub handed_over: u64,
    /// Those that another shard had no time for: lost.
    pub unclaimed: u64,
    /// Of 255 new requests so many are too many at the moment; of several shards the sum.
    pub excess: u64,
    pub connections: ConnectionFigures,
}

/// What became of datagrams that were not delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Datagrams {
    /// What the sockets counted.
    pub sockets: udp::Counters,
    /// Could not be sent, for another reason than a full buffer.
    pub unsendable: u64,
    /// Reads of a socket that failed.
    pub unreadable: u64,
    /// ICMP errors: somebody did not get what was sent.
    pub icmp: u64,
}

/// Connections, and messages that did not get onto one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionFigures {
    /// At the moment, those included that are being opened.
    pub open: u64,
    pub accepted: u64,
    /// Opened by us, whether anything came of it or not.
    pub opened: u64,
    /// Opened by us, and nothing came of it.
    pub failed: u64,
    /// Not accepted or not opened, because there were too many.
    pub refused: u64,
    /// Closed because nothing happened.
    pub idle: u64,
    /// Messages lost because too much waited to be written: the peer reads more slowly than we write.
    pub overrun: u64,
    /// Messages lost because their connection was gone, and there was no way to another one.
    pub stranded: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.shards += other.shards;
        self.stack += other.stack;
        self.transactions += other.transactions;
        self.pending += other.pending;
        self.lookups += other.lookups;
        self.datagrams += other.datagrams;
        self.handed_over += other.handed_over;
        self.unclaimed += other.unclaimed;
        self.excess += other.excess;
        self.connections += other.connections;
    }
}

impl AddAssign for Datagrams {
    fn add_assign(&mut self, other: Self) {
        self.sockets += other.sockets;
        self.unsendable += other.unsendable;
        self.unreadable += other.unreadable;
        self.icmp += other.icmp;
    }
}

impl AddAssign for ConnectionFigures {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.accepted += other.accepted;
        self.opened += other.opened;
        self.failed += other.failed;
        self.refused += other.refused;
        self.idle += other.idle;
        self.overrun += other.overrun;
        self.stranded += other.stranded;
    }
}

impl Add for Figures {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
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
        let one = Figures {
            shards: 1,
            stack: Stats { garbage: 2, sent: 3, ..Stats::default() },
            datagrams: Datagrams { icmp: 4, ..Datagrams::default() },
            connections: ConnectionFigures { open: 5, refused: 6, ..ConnectionFigures::default() },
            ..Figures::default()
        };
        let all: Figures = [one, one, Figures::default()].into_iter().sum();
        assert_eq!((all.shards, all.stack.garbage, all.stack.sent, all.datagrams.icmp), (2, 4, 6, 8));
        assert_eq!((all.connections.open, all.connections.refused, all.connections.idle), (10, 12, 0));
    }
}
