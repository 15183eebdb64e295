//! Fewer wake-ups under load, as network cards moderate their interrupts.
//!
//! ```text
//!          40 datagrams or more in 20 ms
//!  quiet ───────────────────────────────► busy
//!    ▲   ◄───────────────────────────────   │ what is there is read together; nothing left: rests for 0.5 ms
//!    └ each datagram is read when it comes  └ fewer in 20 ms
//! ```
//!
//! To be woken costs several times what reading a datagram does. From some thousand datagrams a second on they are
//! therefore taken in lots, and each waits for half a millisecond at most: a thousandth of T1 (RFC 3261 §17.1.1.1), and no
//! user agent that makes a few calls ever gets there.

use crate::time::{Duration, Instant};

/// See the module's description.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moderation {
    /// Since when the datagrams are counted.
    since: Instant,
    datagrams: usize,
    is_busy: bool,
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
        self.is_busy.then_some(REST)
    }

    pub const fn is_busy(&self) -> bool {
        self.is_busy
    }
}

const WINDOW: Duration = Duration::from_millis(20);
const MANY: usize = 40;
const REST: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_rest_who_have_much_to_do() {
        let mut moderation = Moderation::default();
        let mut now = Instant::from_micros(0);
        // Microseconds between datagrams, how many of them, and how many were followed by a rest.
        for (every, many, rests) in [
            (10_000, 50, 0..=0),
            // 1,500 a second are no reason.
            (667, 1_000, 0..=0),
            // 4,000 are, once a window of them is over.
            (250, 1_000, 920..=980),
            // Nor does anybody wait who comes after a break.
            (1_000_000, 1, 0..=0),
            (10_000, 50, 0..=0),
        ] {
            let rested = (0..many).filter(|_| {
                now += Duration::from_micros(every);
                moderation.rest(1, now).is_some()
            });
            let rested = rested.count();
            assert!(rests.contains(&rested), "{rested} rests at one each {every} µs");
        }
    }
}
