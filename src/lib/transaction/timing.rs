//! How long everything lasts: T1, T2, T4 and the timers A–M derived from them (RFC 3261 §17.1.1.1
//! and table 4, RFC 6026 §7, RFC 4320 §4.1). Plain numbers; whoever changes them owns the result.

use crate::time::Duration;

/// The timers of RFC 3261 table 4; the default is the RFC's.
///
/// The intervals come from [`Timing::new`]; each wait may then be set by itself, for instance to
/// compare with a peer that keeps answered requests for 5 s only. Timers D, I, J and K are zero on
/// reliable transports whatever stands here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Round-trip estimate and first retransmission interval: timers A, E and G start with it.
    pub t1: Duration,
    /// Longest retransmission interval of non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// How long the network may hold a message.
    pub t4: Duration,
    /// An INVITE nobody answered for so long is answered 100 by the transaction itself (§17.2.1).
    pub trying: Duration,
    /// INVITE client: no response at all. Also the wait for a final response after CANCEL (§9.1).
    pub b: Duration,
    /// INVITE client: repeated failures are acknowledged again for so long. At least 32 s (§17.1.1.2).
    pub d: Duration,
    /// Non-INVITE: no final response, seen from either side.
    pub f: Duration,
    /// INVITE server: no ACK for a failure response.
    pub h: Duration,
    /// INVITE server: repeated ACKs are absorbed for so long.
    pub i: Duration,
    /// Non-INVITE server: repeated requests are answered again for so long.
    pub j: Duration,
    /// Non-INVITE client: repeated responses are absorbed for so long.
    pub k: Duration,
    /// INVITE server: the user may repeat its 2xx and repeated INVITEs are absorbed (RFC 6026 §7.1).
    pub l: Duration,
    /// INVITE client: 2xx, repeated or of other forks, still belong to the INVITE (RFC 6026 §7.2).
    pub m: Duration,
}

impl Timing {
    /// All timers derived from the three the RFC lets a deployment choose.
    pub fn new(t1: Duration, t2: Duration, t4: Duration) -> Self {
        let timeout = t1 * 64;
        Self {
            t1,
            t2,
            t4,
            trying: Duration::from_millis(200),
            b: timeout,
            d: timeout.max(Duration::from_secs(32)),
            f: timeout,
            h: timeout,
            i: t4,
            j: timeout,
            k: t4,
            l: timeout,
            m: timeout,
        }
    }

    /// Interval after the request or response has been repeated `repeats` times: T1 doubling.
    pub(super) fn doubled(&self, repeats: u8) -> Duration {
        self.t1.saturating_mul(1_u32.checked_shl(u32::from(repeats)).unwrap_or(u32::MAX))
    }

    /// The same, up to T2.
    pub(super) fn doubled_to_t2(&self, repeats: u8) -> Duration {
        self.doubled(repeats).min(self.t2)
    }

    /// How long a client's timer E takes to reach T2: a non-INVITE request gets a 100 then, and over
    /// an unreliable transport not before (RFC 4320 §4.1).
    pub(super) fn until_e_is_t2(&self) -> Duration {
        let mut spent = Duration::ZERO;
        let mut interval = self.t1.min(self.t2);
        while interval < self.t2 && !interval.is_zero() {
            spent += interval;
            interval *= 2;
        }
        spent
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_table_4() {
        let timing = Timing::default();
        assert_eq!(timing.b, Duration::from_secs(32));
        assert_eq!(timing.d, Duration::from_secs(32));
        assert_eq!(timing.k, Duration::from_secs(5));
        assert_eq!(timing.until_e_is_t2(), Duration::from_millis(3_500));
    }

    #[test]
    fn intervals_double_and_saturate() {
        let timing = Timing::default();
        let millis = |repeats| timing.doubled_to_t2(repeats).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 255].map(millis), [500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        assert_eq!(timing.doubled(5), Duration::from_secs(16));
        assert!(timing.doubled(255) > timing.doubled(31));
    }

    #[test]
    fn timer_d_never_falls_below_32_seconds() {
        let fast =
            Timing::new(Duration::from_millis(10), Duration::from_millis(80), Duration::from_millis(100));
        assert_eq!(fast.d, Duration::from_secs(32));
        assert_eq!(fast.b, Duration::from_millis(640));
        assert_eq!(
            Timing::new(Duration::ZERO, Duration::ZERO, Duration::ZERO).until_e_is_t2(),
            Duration::ZERO
        );
    }
}
