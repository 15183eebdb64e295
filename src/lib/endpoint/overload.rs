//! Whether a shard keeps up with its sockets, and how many new requests are too many if it does not.
//!
//! What waits to be read waits in the kernel, which drops what there is no room for: responses and requests alike. So
//! before it is full, new work is refused, and what belongs to work that was let in goes on. How much is refused follows
//! from how full the socket is after a full turn: nothing up to [`LOW`], everything from [`HIGH`], and in between a share
//! that grows. At a steady excess it settles where as much is refused as there is too much.
//!
//! ```text
//!            drained ┌────────────────────────────────────┐ drained
//!                    ▼                                    │
//!   keeping up (share 0) ── full turn, above LOW ──► behind (share by how full it is) ─┐
//!                    ▲                                    ▲        full turn           │
//!                    └── full turn, below LOW ────────────┴────────────────────────────┘
//! ```
//!
//! Where the kernel does not say how full a socket is, one that was not drained for [`PATIENCE`] counts as full.
//! Connections need nothing of this: who is not read from does not send.

use smallvec::SmallVec;

use crate::time::{Duration, Instant};

/// Judges the turns of a shard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overload {
    sockets: SmallVec<[Socket; 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Socket {
    /// When it was found out first that there is more than a turn can read.
    since: Option<Instant>,
    share: u8,
}

impl Overload {
    /// A turn at a socket has ended: either nothing was left to be read, or as much was read as may be in one turn.
    /// `fill` says how full the socket is, from 0 to 1, and is asked only if something is left. Gives the
    /// [`share`](Self::share).
    pub fn turn(
        &mut self,
        now: Instant,
        socket: usize,
        is_drained: bool,
        fill: impl FnOnce() -> Option<f32>,
    ) -> u8 {
        if is_drained && self.sockets.get(socket).is_none_or(|socket| socket.since.is_none()) {
            return self.share();
        }
        if self.sockets.len() <= socket {
            self.sockets.resize(socket + 1, Socket::default());
        }
        if let Some(socket) = self.sockets.get_mut(socket) {
            *socket = if is_drained { Socket::default() } else { socket.after(now, fill()) };
        }
        self.share()
    }

    /// Of 255 new requests so many are too many, by the socket that is worst off.
    pub fn share(&self) -> u8 {
        self.sockets.iter().map(|socket| socket.share).max().unwrap_or(0)
    }
}

impl Socket {
    /// After a turn that left something.
    fn after(self, now: Instant, fill: Option<f32>) -> Self {
        let since = self.since.unwrap_or(now);
        let share = match fill {
            // A cast of a float saturates.
            Some(fill) => ((fill - LOW) / (HIGH - LOW) * 255.0) as u8,
            None if now.since(since) >= PATIENCE => u8::MAX,
            None => 0,
        };
        Self { since: Some(since), share }
    }
}

/// How full a socket is when the first request is refused, and when every new one is.
pub const LOW: f32 = 0.4;
/// See [`LOW`].
pub const HIGH: f32 = 0.8;
/// How long a socket may not be drained where nothing else is known.
pub const PATIENCE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_from_how_full_it_is() {
        // Milliseconds, socket, drained, how full it is, the share then.
        let table = [
            (0, 0, true, None, 0),
            (1, 0, false, Some(0.2), 0),
            (2, 0, false, Some(0.4), 0),
            (3, 0, false, Some(0.6), 127),
            (4, 0, false, Some(0.8), 255),
            (5, 0, false, Some(1.3), 255),
            (6, 0, false, Some(0.5), 63),
            // The worst off counts.
            (7, 1, false, Some(0.7), 191),
            (8, 0, true, None, 191),
            (9, 1, true, None, 0),
            // Nothing is known but the time.
            (10, 0, false, None, 0),
            (29, 0, false, None, 0),
            (30, 0, false, None, 255),
            (31, 0, true, None, 0),
            (32, 0, false, None, 0),
            (33, 0, false, Some(f32::NAN), 0),
        ];
        let mut overload = Overload::default();
        for (at, socket, is_drained, fill, share) in table {
            let got = overload.turn(Instant::from_millis(at), socket, is_drained, || fill);
            assert_eq!(got, share, "at {at} ms");
        }
        assert_eq!(overload.turn(Instant::from_millis(34), 0, true, || unreachable!()), 0);
    }

    #[test]
    fn it_settles_where_the_excess_is_refused() {
        // 64 messages a turn are read and as many more come as the excess says; a refused one spares another one.
        for excess in [1.1_f32, 1.5, 2.0] {
            let (mut overload, mut waiting, mut lost) = (Overload::default(), 0.0_f32, 0.0);
            const ROOM: f32 = 600.0;
            for turn in 0..2_000 {
                let refused = f32::from(overload.share()) / 255.0;
                // Who is refused sends one message, who is let in two.
                let offered = 64.0 * excess * (1.0 - refused / 2.0);
                waiting = (waiting + offered - 64.0).max(0.0);
                lost += (waiting - ROOM).max(0.0);
                waiting = waiting.min(ROOM);
                overload.turn(Instant::from_millis(turn), 0, waiting == 0.0, || Some(waiting / ROOM));
            }
            assert_eq!(lost, 0.0, "at {excess}");
            let refused = f32::from(overload.share()) / 255.0;
            let needed = 2.0 * (1.0 - 1.0 / excess);
            assert!((refused - needed).abs() < 0.05, "at {excess}: {refused} instead of {needed}");
        }
    }
}
