//! Merged requests (RFC 3261 §8.2.2.2): one request that reached us by two paths is answered once, and
//! 482 the second time. Remembered as keyed fingerprints for as long as copies can come.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::{
    message::Request,
    time::{Duration, Instant},
};

/// Fingerprints of requests outside a dialog seen lately.
#[derive(Default)]
pub(super) struct Merged {
    hasher: RandomState,
    /// Call-ID, From tag and CSeq → topmost branch.
    seen: HashMap<u64, u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Merged {
    /// Notes the request; true if it is a second copy of one with another branch.
    pub fn is_copy(&mut self, request: &Request, now: Instant) -> bool {
        while let Some(&(until, print)) = self.order.front()
            && (until <= now || self.order.len() >= MOST)
        {
            self.order.pop_front();
            self.seen.remove(&print);
        }
        let (Ok(via), Ok(Some(tag)), Ok(call_id), Ok(cseq)) =
            (request.via(), request.from_tag(), request.call_id(), request.cseq())
        else {
            return false;
        };
        let print = self.hasher.hash_one((call_id, tag, cseq.number, cseq.method.as_str()));
        let branch = self.hasher.hash_one(via.branch());
        match self.seen.get(&print) {
            Some(&first) => first != branch,
            None => {
                self.seen.insert(print, branch);
                self.order.push_back((now + KEPT, print));
                false
            }
        }
    }
}

/// As long as a non-INVITE transaction lives (64·T1).
const KEPT: Duration = Duration::from_secs(32);
/// Memory is bounded; the oldest goes first.
const MOST: usize = 1 << 18;
