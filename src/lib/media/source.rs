//! One received synchronisation source: sequence numbers made endless, loss, reordering, duplicates, jitter.
//!
//! RFC 3550 A.1 (wraps, jumps, restarts), A.3 (what was lost), A.8 (interarrival jitter). There is no probation for
//! the first source, because an address and a payload type were negotiated before anything is let in here; a change of
//! SSRC is put on probation by the session.

use crate::time::{Duration, Instant};

/// Receive state of one SSRC.
#[derive(Clone, Debug)]
pub struct Source {
    pub ssrc: u32,
    clock: u32,
    /// Extended numbers start at 2³² + the first one, so that what was overtaken by the first packet still has one.
    base: u64,
    highest: u64,
    received: u64,
    /// Which of the 128 numbers up to `highest` have come; bit 0 is `highest`.
    seen: u128,
    /// RFC 3550 A.1: the number after a refused jump; if it comes, the jump is a restart.
    expected_after_jump: Option<u16>,
    reordered: u64,
    duplicates: u64,
    transit: Option<i64>,
    /// In timestamp units.
    jitter: f64,
    jitter_measured: bool,
    expected_prior: u64,
    received_prior: u64,
    /// Losses of the sequence spaces before the last restart.
    lost_before: u64,
}

/// Where a packet stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The extended sequence number.
    Fresh(u64),
    /// New numbering after a jump: what was buffered belongs to the past.
    Restarted(u64),
    Duplicate,
    /// A jump not yet confirmed by a second packet, or hopelessly old.
    Rejected,
}

impl Source {
    /// A source seen for the first time; pass the same packet to [`Source::arrive`] next.
    pub fn new(ssrc: u32, sequence: u16, clock: u32) -> Self {
        let first = FIRST_CYCLE + u64::from(sequence);
        Self {
            ssrc,
            clock,
            base: first,
            highest: first,
            received: 0,
            seen: 0,
            expected_after_jump: None,
            reordered: 0,
            duplicates: 0,
            transit: None,
            jitter: 0.0,
            jitter_measured: false,
            expected_prior: 0,
            received_prior: 0,
            lost_before: 0,
        }
    }

    /// Takes one sequence number.
    pub fn arrive(&mut self, sequence: u16) -> Arrival {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < MAX_DROPOUT {
            let ahead = u64::from(ahead);
            self.expected_after_jump = None;
            if ahead == 0 && self.seen & 1 == 1 {
                self.duplicates += 1;
                return Arrival::Duplicate;
            }
            self.highest += ahead;
            self.seen = self.seen.checked_shl(ahead as u32).unwrap_or(0) | 1;
            self.received += 1;
            return Arrival::Fresh(self.highest);
        }
        let behind = u64::from(ahead.wrapping_neg());
        if behind <= MAX_MISORDER {
            let bit = 1u128 << behind;
            if self.seen & bit != 0 {
                self.duplicates += 1;
                return Arrival::Duplicate;
            }
            self.seen |= bit;
            self.received += 1;
            self.reordered += 1;
            let number = self.highest - behind;
            self.base = self.base.min(number);
            return Arrival::Fresh(number);
        }
        if self.expected_after_jump == Some(sequence) {
            self.restart(sequence);
            self.received = 1;
            self.seen = 1;
            return Arrival::Restarted(self.highest);
        }
        self.expected_after_jump = Some(sequence.wrapping_add(1));
        Arrival::Rejected
    }

    /// Takes the timing of an audio packet (A.8). DTMF repeats its timestamp, so it is not passed in.
    pub fn timing(&mut self, now: Instant, timestamp: u32) {
        let arrival = (u128::from(now.as_micros()) * u128::from(self.clock) / 1_000_000) as i64;
        let transit = arrival.wrapping_sub(i64::from(timestamp));
        if let Some(last) = self.transit {
            // Both halves wrap at 32 bits, so their difference does.
            let difference = f64::from((transit.wrapping_sub(last) as i32).unsigned_abs());
            // A restart of the timestamp is not jitter.
            if difference < f64::from(self.clock) * MAX_STEP {
                self.jitter += (difference - self.jitter) / 16.0;
                self.jitter_measured = true;
            }
        }
        self.transit = Some(transit);
    }

    /// The payload type's clock changed; jitter is kept in time.
    pub fn set_clock(&mut self, clock: u32) {
        if clock != self.clock {
            self.jitter *= f64::from(clock) / f64::from(self.clock.max(1));
            self.clock = clock;
            self.transit = None;
        }
    }

    /// Packets that should have come, in this sequence space.
    fn expected(&self) -> u64 {
        if self.received == 0 { 0 } else { self.highest - self.base + 1 }
    }

    /// Packets missing so far; duplicates do not make up for losses.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.received)
    }

    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter as u32
    }

    /// Interarrival jitter, `None` before two packets could be compared.
    pub fn jitter_time(&self) -> Option<Duration> {
        self.jitter_measured.then(|| Duration::from_secs_f64(self.jitter / f64::from(self.clock.max(1))))
    }

    /// The extended highest sequence number as reports carry it.
    pub fn highest(&self) -> u32 {
        self.highest as u32
    }

    /// The fraction (of 256) lost since the last call, for a report block.
    pub fn fraction_lost(&mut self) -> u8 {
        let expected = self.expected() - self.expected_prior.min(self.expected());
        let received = self.received.saturating_sub(self.received_prior);
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let lost = expected.saturating_sub(received);
        if expected == 0 { 0 } else { (lost * 256 / expected).min(255) as u8 }
    }

    fn restart(&mut self, sequence: u16) {
        self.lost_before = self.lost();
        // Numbers keep growing over a restart, so that nobody downstream mixes old and new.
        let cycle = (self.highest >> 16) + 2;
        self.highest = cycle << 16 | u64::from(sequence);
        self.base = self.highest;
        self.received = 0;
        self.expected_prior = 0;
        self.received_prior = 0;
        self.expected_after_jump = None;
        self.transit = None;
    }
}

const FIRST_CYCLE: u64 = 1 << 32;
/// RFC 3550 A.1's values.
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u64 = 100;
/// Seconds; a larger step between two packets is a new timeline.
const MAX_STEP: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::{Arrival::*, *};

    fn source(first: u16) -> Source {
        let mut source = Source::new(1, first, 8000);
        assert_eq!(source.arrive(first), Fresh(FIRST_CYCLE + u64::from(first)));
        source
    }

    #[test]
    fn wraps_are_survived() {
        let mut source = source(65_534);
        for ahead in 1..200_000u64 {
            let number = 65_534 + ahead;
            assert_eq!(source.arrive(number as u16), Fresh(FIRST_CYCLE + number));
        }
        assert_eq!(source.lost(), 0);
        assert_eq!(source.highest(), 65_534 + 199_999);
    }

    #[test]
    fn loss_reorder_and_duplicates_are_counted() {
        let mut source = source(10);
        assert_eq!(source.arrive(13), Fresh(FIRST_CYCLE + 13));
        assert_eq!(source.lost(), 2);
        assert_eq!(source.arrive(12), Fresh(FIRST_CYCLE + 12));
        assert_eq!(source.arrive(12), Duplicate);
        assert_eq!(source.arrive(13), Duplicate);
        assert_eq!(source.arrive(9), Fresh(FIRST_CYCLE + 9), "overtaken by the first");
        assert_eq!((source.lost(), source.reordered(), source.duplicates()), (1, 2, 2));
        assert_eq!(source.fraction_lost(), 51, "1 of 5");
        assert_eq!(source.fraction_lost(), 0);
    }

    #[test]
    fn a_jump_needs_a_second_packet() {
        let mut source = source(10);
        assert_eq!(source.arrive(20_000), Rejected);
        assert_eq!(source.arrive(11), Fresh(FIRST_CYCLE + 11), "a stray is forgotten");
        assert_eq!(source.arrive(20_000), Rejected);
        let Restarted(number) = source.arrive(20_001) else { panic!("no restart") };
        assert!(number > FIRST_CYCLE + 65_536);
        assert_eq!(source.arrive(20_002), Fresh(number + 1));
        assert_eq!(source.lost(), 0);
    }

    #[test]
    fn far_behind_is_a_jump_too() {
        let mut source = source(50_000);
        assert_eq!(source.arrive(49_000), Rejected);
        assert!(matches!(source.arrive(49_001), Restarted(_)));
    }

    #[test]
    fn jitter_follows_the_formula() {
        let mut source = source(0);
        assert_eq!(source.jitter_time(), None);
        // 20 ms packets, every second one 8 ms late: |D| = 64 units each time.
        for packet in 0..400u64 {
            let late = if packet % 2 == 1 { 8 } else { 0 };
            source.timing(Instant::from_millis(packet * 20 + late), (packet * 160) as u32);
        }
        assert!((63..=64).contains(&source.jitter()), "{}", source.jitter());
        let jitter = source.jitter_time().unwrap();
        assert!((7.9..=8.0).contains(&(jitter.as_secs_f64() * 1000.0)), "{jitter:?}");
        source.timing(Instant::from_millis(8000), 4_000_000_000);
        assert!(source.jitter() <= 64, "a new timeline is no jitter");
    }
}
