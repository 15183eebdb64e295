//! Targets that failed, which are put last for a while: with every request that goes there the same silence would
//! have to be waited for again (RFC 3263 §4.3, RFC 3261 §21.5.4).
//!
//! ```text
//!            failed: 60 s                failed: twice as long, 10 min at most
//!  (none) ─────────────────▶ Avoided ◀────────────────────────────────────────┐
//!     ▲                       │   │ time passes                              │
//!     │ answered              │   ▼                                          │
//!     ├───────────────────────┘ Suspect (tried in its turn, count remembered) │
//!     │ answered, or 10 min more    │  │                                      │
//!     └────────────────────────────┘  └──────────────────────────────────────┘
//! ```

use std::collections::HashMap;

use crate::{
    time::{Duration, Instant},
    transport::Target,
};

/// Which targets are better tried last; bounded.
#[derive(Debug, Default)]
pub struct FailedTargets {
    marks: HashMap<Target, Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Avoided until then, suspect afterwards.
    until: Instant,
    /// Failures in a row.
    failures: u32,
}

impl FailedTargets {
    /// Nothing came from it, or it could not be reached.
    pub fn failed(&mut self, target: Target, now: Instant) {
        let failures = self.mark(&target, now).map_or(0, |mark| mark.failures);
        let back_off = FIRST.saturating_mul(1 << failures.min(8)).min(LONGEST);
        self.insert(target, Mark { until: now + back_off, failures: failures.saturating_add(1) }, now);
    }

    /// It said how long it wants to be left alone (503 with Retry-After). Gives the time that will be kept: no server
    /// is left alone for more than an hour.
    pub fn busy(&mut self, target: Target, wait: Duration, now: Instant) -> Duration {
        let wait = wait.min(LONGEST_BUSY);
        let failures = self.mark(&target, now).map_or(0, |mark| mark.failures);
        if !wait.is_zero() {
            self.insert(target, Mark { until: now + wait, failures }, now);
        }
        wait
    }

    /// It answered.
    pub fn answered(&mut self, target: Target) {
        if !self.marks.is_empty() {
            self.marks.remove(&target);
        }
    }

    /// How much longer `target` is avoided.
    pub fn avoided(&self, target: &Target, now: Instant) -> Option<Duration> {
        let mark = self.marks.get(target)?;
        (mark.until > now).then(|| mark.until.since(now))
    }

    /// Moves the avoided to the end, the order otherwise left as it is, and gives how many they are. If all are
    /// avoided, nothing changes: they are tried anyway.
    pub fn sort(&self, targets: &mut [Target], now: Instant) -> usize {
        if self.marks.is_empty() {
            return 0;
        }
        // Stable: priorities and weights still count among the good and among the bad.
        targets.sort_by_key(|target| self.avoided(target, now).is_some());
        targets.iter().filter(|target| self.avoided(target, now).is_some()).count()
    }

    pub fn len(&self) -> usize {
        self.marks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    fn mark(&self, target: &Target, now: Instant) -> Option<&Mark> {
        self.marks.get(target).filter(|mark| mark.until + MEMORY > now)
    }

    fn insert(&mut self, target: Target, mark: Mark, now: Instant) {
        if self.marks.len() >= CAPACITY && !self.marks.contains_key(&target) {
            self.marks.retain(|_, mark| mark.until > now);
            let soonest = self.marks.iter().min_by_key(|(_, mark)| mark.until).map(|(target, _)| *target);
            if let Some(soonest) = soonest.filter(|_| self.marks.len() >= CAPACITY) {
                self.marks.remove(&soonest);
            }
        }
        self.marks.insert(target, mark);
    }
}

/// Long enough for a second call not to wait again, short enough for a restart to be noticed.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(600);
const LONGEST_BUSY: Duration = Duration::from_secs(3_600);
/// How long a target stays suspect.
const MEMORY: Duration = Duration::from_secs(600);
const CAPACITY: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: u16) -> Target {
        Target::udp(([192, 0, 2, 1], n).into())
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    /// Every state with every event: how long the target is avoided after it.
    #[test]
    fn table() {
        type Act = fn(&mut FailedTargets, Instant);
        let none: Act = |_, _| {};
        let failed: Act = |targets, now| targets.failed(target(1), now);
        let failed_twice: Act = |targets, now| {
            targets.failed(target(1), now);
            targets.failed(target(1), now);
        };
        let busy: Act = |targets, now| {
            targets.busy(target(1), Duration::from_secs(30), now);
        };
        let not_busy: Act = |targets, now| {
            targets.busy(target(1), Duration::ZERO, now);
        };
        let answered: Act = |targets, _| targets.answered(target(1));
        // What brought it into its state at 0 s, when the event comes, the event, avoided for.
        let table: [(&str, Act, u64, Act, Option<u64>); 17] = [
            ("none, nothing", none, 0, none, None),
            ("none, failed", none, 0, failed, Some(60)),
            ("none, busy", none, 0, busy, Some(30)),
            ("none, busy for no time", none, 0, not_busy, None),
            ("none, answered", none, 0, answered, None),
            ("avoided, time", failed, 10, none, Some(50)),
            ("avoided, failed", failed, 10, failed, Some(120)),
            ("avoided, busy", failed, 10, busy, Some(30)),
            ("avoided, busy for no time", failed, 10, not_busy, Some(50)),
            ("avoided, answered", failed, 10, answered, None),
            ("suspect, nothing", failed, 60, none, None),
            ("suspect, failed", failed, 61, failed, Some(120)),
            ("suspect, failed for the third time", failed_twice, 130, failed, Some(240)),
            ("suspect, busy", failed, 61, busy, Some(30)),
            ("suspect, answered", failed, 61, answered, None),
            ("forgotten, failed", failed, 661, failed, Some(60)),
            ("busy before, failed", busy, 31, failed, Some(60)),
        ];
        for (name, before, when, event, avoided) in table {
            let mut targets = FailedTargets::default();
            before(&mut targets, at(0));
            event(&mut targets, at(when));
            assert_eq!(targets.avoided(&target(1), at(when)), avoided.map(Duration::from_secs), "{name}");
        }
    }

    #[test]
    fn the_back_off_ends_somewhere_and_so_does_patience() {
        let mut targets = FailedTargets::default();
        for _ in 0..100 {
            targets.failed(target(1), at(0));
        }
        assert_eq!(targets.avoided(&target(1), at(0)), Some(LONGEST));
        assert_eq!(targets.busy(target(1), Duration::from_secs(u64::MAX), at(0)), LONGEST_BUSY);
    }

    #[test]
    fn the_avoided_come_last_in_their_order() {
        let mut targets = FailedTargets::default();
        targets.failed(target(1), at(0));
        targets.failed(target(3), at(0));
        let mut list = [1, 2, 3, 4].map(target);
        assert_eq!(targets.sort(&mut list, at(1)), 2);
        assert_eq!(list, [2, 4, 1, 3].map(target));
        let mut all_bad = [3, 1].map(target);
        assert_eq!(targets.sort(&mut all_bad, at(1)), 2);
        assert_eq!(all_bad, [3, 1].map(target), "then they are tried anyway");
        let mut later = [1, 2, 3, 4].map(target);
        assert_eq!(targets.sort(&mut later, at(60)), 0);
        assert_eq!(later, [1, 2, 3, 4].map(target));
    }

    #[test]
    fn it_is_bounded() {
        let mut targets = FailedTargets::default();
        for n in 0..=CAPACITY as u16 {
            targets.failed(target(n), at(0));
        }
        assert_eq!(targets.len(), CAPACITY);
        assert!(targets.avoided(&target(CAPACITY as u16), at(1)).is_some());
    }
}
