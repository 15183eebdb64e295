//! Fewer wake-ups under load, as network cards moderate their interrupts.
//!
//! ```text
//!          40 datagrams or more in 20 ms
//!  quiet ───────────────────────────────► busy
//!    ▲   ◄───────────────────────────────   │ what is there is read together; nothing left: rests for 0.5 ms, unless
//!    └ each datagram    fewer in 20 ms      └ such rests were in vain lately
//!      is read when it comes
//! ```
//!
//! To be woken costs several times what reading a datagram does. From some thousand datagrams a second on they are
//! therefore taken in lots, and each waits for half a millisecond at most: a thousandth of T1 (RFC 3261 §17.1.1.1), and no
//! user agent that makes a few calls ever gets there.
//!
//! A rest saves as many wake-ups as datagrams came in it, less its own. Signalling comes in bursts that answer one another:
//! the INVITEs of a peer's timer tick, half a millisecond later the ACKs for what was said to them, then nothing until the
//! next tick. So what a rest was worth is remembered by how many rests had gone before it since the last time of waiting.

use crate::time::{Duration, Instant};

/// See the module's description.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moderation {
    /// Since when the datagrams are counted.
    since: Instant,
    datagrams: usize,
    is_busy: bool,
    /// Rests without waiting in between, so far.
    rests: usize,
    /// Whether the last turn ended in one.
    has_rested: bool,
    /// What a rest after so many others was worth lately; below zero it is not taken.
    worth: [i16; STEPS],
}

impl Moderation {
    /// What is to be done after that many datagrams were read: how long to rest until the next are, if at all.
    pub fn rest(&mut self, datagrams: usize, now: Instant) -> Option<Duration> {
        self.datagrams += datagrams;
        if now.since(self.since) >= WINDOW {
            // A window that ended long ago says nothing about now.
            self.is_busy = self.datagrams >= MANY && now.since(self.since) < WINDOW * 2;
            (self.since, self.datagrams) = (now, 0);
        }
        if std::mem::take(&mut self.has_rested) {
            let worth = &mut self.worth[self.rests];
            let saved = i16::try_from(datagrams).unwrap_or(i16::MAX).saturating_sub(1);
            *worth = worth.saturating_add(saved.saturating_mul(WAKE_UP)).clamp(-WAKE_UP, MOST);
            self.rests = if datagrams > 0 { (self.rests + 1).min(STEPS - 1) } else { 0 };
        } else {
            self.rests = 0;
        }
        if !self.is_busy || datagrams == 0 {
            return None;
        }
        let worth = &mut self.worth[self.rests];
        if *worth < 0 {
            // Times change: it is tried again now and then.
            *worth += 1;
            return None;
        }
        self.has_rested = true;
        Some(REST)
    }

    pub const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// When to wake up for something due at `deadline` if nothing is read before. Whoever is busy looks at what is due so
    /// often that an alarm is only for when the datagrams stop; thousands of them a second would be set and not be needed.
    pub fn alarm(&self, deadline: Instant, now: Instant) -> Instant {
        if self.is_busy { deadline.max(now + WINDOW) } else { deadline }
    }
}

const WINDOW: Duration = Duration::from_millis(20);
const MANY: usize = 40;
const REST: Duration = Duration::from_micros(500);
/// Rests in a row that are told apart.
const STEPS: usize = 8;
/// What a wake-up saved or spent counts for: after one spent in vain so many rests are left out.
const WAKE_UP: i16 = 16;
/// No success counts for more than so many failures.
const MOST: i16 = 4 * WAKE_UP;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_rest_who_have_much_to_do() {
        let mut moderation = Moderation::default();
        let mut now = Instant::from_micros(0);
        // Microseconds between datagrams, how many turns, how many datagrams in each, and how many were followed by a rest.
        for (every, turns, datagrams, rests) in [
            (10_000, 50, 1, 0..=0),
            // 1,500 a second are no reason.
            (667, 1_000, 1, 0..=0),
            // 4,000 are, once a window of them is over.
            (500, 1_000, 2, 950..=980),
            // Nor does anybody wait who comes after a break.
            (1_000_000, 1, 1, 0..=0),
            (10_000, 50, 1, 0..=0),
        ] {
            let rested = (0..turns).filter(|_| {
                now += Duration::from_micros(every);
                moderation.rest(datagrams, now).is_some()
            });
            let rested = rested.count();
            assert!(rests.contains(&rested), "{rested} rests at {datagrams} each {every} µs");
        }
    }

    #[test]
    fn who_is_busy_sets_no_alarm_for_each_message() {
        let at = Instant::from_micros;
        let mut moderation = Moderation::default();
        assert_eq!(moderation.alarm(at(1), at(0)), at(1));
        for turn in 0..100 {
            moderation.rest(4, at(turn * 1_000));
        }
        assert_eq!(moderation.alarm(at(101_000), at(100_000)), at(120_000));
        assert_eq!(moderation.alarm(at(500_000), at(100_000)), at(500_000));
    }

    /// Bursts of eight 4 ms apart, each followed by so many others at rests after it.
    #[test]
    fn rests_that_were_in_vain_are_left_out() {
        for answers in 0..STEPS + 2 {
            let mut moderation = Moderation::default();
            let (mut rests, mut vain) = (0, 0);
            for burst in 0..1_000 {
                let mut now = Instant::from_micros(burst * 4_000);
                let mut left = answers;
                let mut rest = moderation.rest(8, now);
                while let Some(some) = rest {
                    now += some;
                    let datagrams = if left > 0 { 8 } else { 0 };
                    (rests, vain) = (rests + 1, vain + usize::from(left == 0));
                    left = left.saturating_sub(1);
                    rest = moderation.rest(datagrams, now);
                }
            }
            // More than a few in a row are one to it.
            let most = if answers < STEPS { 1_000 / 16 + 10 } else { 1_000 };
            assert!(vain <= most, "{answers}: {vain} rests in vain");
            assert!(rests - vain >= answers * 900, "{answers}: {rests} rests, {vain} of them in vain");
        }
    }
}
