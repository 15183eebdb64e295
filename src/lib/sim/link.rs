//! One direction of a simulated network path: loss, delay, jitter, reordering, duplication and a size limit.
//!
//! A link is a function of its seed and of what was sent when: it holds no packets, it only says when each
//! arrives.

use smallvec::SmallVec;

use crate::{
    time::{Duration, Instant},
    util::id::Ids,
};

/// What a link does to packets. The default delivers each once, at once. Probabilities are 0.0 to 1.0, each
/// drawn for every packet on its own.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LinkConfig {
    /// Probability that a packet does not arrive.
    pub loss: f64,
    /// The least time a packet takes.
    pub delay: Duration,
    /// Added to the delay: up to this much, evenly distributed. By itself it changes distances, not the
    /// order.
    pub jitter: Duration,
    /// Probability that a packet is held back by [`hold`](Self::hold), so that later ones overtake it.
    pub reorder: f64,
    /// How long a reordered packet is held back beyond its delay.
    pub hold: Duration,
    /// Probability that a second copy arrives, with a jitter of its own.
    pub duplicate: f64,
    /// Bytes of payload above which a packet never arrives (a path that loses fragments); `None` for no
    /// limit.
    pub mtu: Option<usize>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: 0.0,
            hold: Duration::from_millis(20),
            duplicate: 0.0,
            mtu: None,
        }
    }
}

/// The link itself: configuration, generator, and the arrival that in-order packets must not precede.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    ids: Ids,
    last: Instant,
}

impl Link {
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { config, ids: Ids::from_number(seed), last: Instant::ZERO }
    }

    /// Changes what happens to packets from now on; those already on their way arrive as foretold.
    pub const fn configure(&mut self, config: LinkConfig) {
        self.config = config;
    }

    pub const fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// When a packet of `len` bytes sent at `now` arrives: never, once, or twice; never before `now + delay`.
    ///
    /// Call it in the order of sending.
    pub fn deliver(&mut self, now: Instant, len: usize) -> SmallVec<[Instant; 2]> {
        // As many draws for each packet, whatever becomes of it: with the same seed, a link that only differs
        // in its delay still loses the same packets.
        let lost = self.ids.chance(self.config.loss);
        let held = self.ids.chance(self.config.reorder);
        let doubled = self.ids.chance(self.config.duplicate);
        let jitter = [self.jitter(), self.jitter()];

        let mut arrivals = SmallVec::new();
        if lost || self.config.mtu.is_some_and(|mtu| len > mtu) {
            return arrivals;
        }
        let earliest = now + self.config.delay;
        if held {
            // Leaves `last` alone: those behind need not wait for it.
            arrivals.push(earliest + jitter[0] + self.config.hold);
        } else {
            self.last = self.last.max(earliest + jitter[0]);
            arrivals.push(self.last);
        }
        if doubled {
            arrivals.push(arrivals[0] + jitter[1]);
        }
        arrivals
    }

    /// Zero to `jitter`, both included.
    fn jitter(&mut self) -> Duration {
        let micros = u64::try_from(self.config.jitter.as_micros()).unwrap_or(u64::MAX);
        // Scaled rather than drawn from a range, which may take more than one number.
        let scaled = (u128::from(self.ids.u64()) * (u128::from(micros) + 1)) >> 64;
        Duration::from_micros(u64::try_from(scaled).unwrap_or(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrivals of `count` packets of 100 bytes, sent every millisecond.
    fn run(config: LinkConfig, seed: u64, count: u64) -> Vec<SmallVec<[Instant; 2]>> {
        let mut link = Link::new(config, seed);
        (0..count).map(|n| link.deliver(Instant::from_millis(n), 100)).collect()
    }

    #[test]
    fn a_plain_link_delivers_each_packet_once_and_at_once() {
        for (n, arrivals) in run(LinkConfig::default(), 1, 100).into_iter().enumerate() {
            assert_eq!(arrivals.as_slice(), [Instant::from_millis(n as u64)]);
        }
    }

    #[test]
    fn the_seed_decides() {
        let config = LinkConfig { loss: 0.2, jitter: Duration::from_millis(5), ..LinkConfig::default() };
        assert_eq!(run(config, 7, 500), run(config, 7, 500));
        assert_ne!(run(config, 7, 500), run(config, 8, 500));
    }

    #[test]
    fn as_many_are_lost_and_doubled_as_configured() {
        let config = LinkConfig { loss: 0.2, duplicate: 0.1, ..LinkConfig::default() };
        let arrivals = run(config, 3, 10_000);
        let lost = arrivals.iter().filter(|arrivals| arrivals.is_empty()).count();
        let doubled = arrivals.iter().filter(|arrivals| arrivals.len() == 2).count();
        assert!((1_850..2_150).contains(&lost), "{lost}");
        assert!((700..900).contains(&doubled), "{doubled}");
        let always = LinkConfig { loss: 1.0, ..config };
        assert!(run(always, 3, 100).iter().all(SmallVec::is_empty));
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_breaks_it() {
        let jitter = LinkConfig {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(8),
            ..LinkConfig::default()
        };
        let steady: Vec<Instant> = run(jitter, 5, 1_000).into_iter().flatten().collect();
        assert!(steady.is_sorted());
        for (n, at) in steady.iter().enumerate() {
            let took = *at - Instant::from_millis(n as u64);
            assert!((10..=18).contains(&took.as_millis()), "{took:?}");
        }
        let reorder = LinkConfig { reorder: 0.1, ..jitter };
        let mixed: Vec<Instant> = run(reorder, 5, 1_000).into_iter().flatten().collect();
        assert_eq!(mixed.len(), 1_000);
        let overtaken = mixed.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!((50..150).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn what_is_too_large_never_arrives() {
        let mut link = Link::new(LinkConfig { mtu: Some(1_500), ..LinkConfig::default() }, 1);
        assert_eq!(link.deliver(Instant::ZERO, 1_500).len(), 1);
        assert_eq!(link.deliver(Instant::ZERO, 1_501).len(), 0);
        link.configure(LinkConfig::default());
        assert_eq!(link.deliver(Instant::ZERO, 65_000).len(), 1);
    }

    #[test]
    fn delay_and_jitter_do_not_decide_what_is_lost() {
        let config = LinkConfig { loss: 0.3, ..LinkConfig::default() };
        let slow = LinkConfig { delay: Duration::from_secs(1), jitter: Duration::from_micros(777), ..config };
        let lost = |config| run(config, 9, 300).iter().map(SmallVec::is_empty).collect::<Vec<_>>();
        assert_eq!(lost(config), lost(slow));
    }
}
