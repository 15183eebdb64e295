//! Who watches what: by package and resource, so that a change finds everybody it concerns at once; and who is told
//! next, as not everybody can be at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    time::{Duration, Instant},
    ua::WatcherId,
    util::slab::Key,
};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Audience {
    /// By the package's place in the configuration.
    packages: Vec<HashMap<Arc<str>, Vec<Key>>>,
}

impl Audience {
    /// Adds a watcher; the name of the resource, shared with all who watch it, and the place among them.
    pub fn join(&mut self, package: u8, resource: Arc<str>, watcher: Key) -> (Arc<str>, u32) {
        let at = usize::from(package);
        if self.packages.len() <= at {
            self.packages.resize_with(at + 1, HashMap::new);
        }
        let resources = &mut self.packages[at];
        let resource = match resources.get_key_value(&resource) {
            Some((known, _)) => known.clone(),
            None => resource,
        };
        let watchers = resources.entry(resource.clone()).or_default();
        watchers.push(watcher);
        (resource, u32::try_from(watchers.len() - 1).unwrap_or(u32::MAX))
    }

    /// Takes the one at `place` away; who stands there now.
    pub fn leave(&mut self, package: u8, resource: &str, place: u32) -> Option<Key> {
        let resources = self.packages.get_mut(usize::from(package))?;
        let watchers = resources.get_mut(resource)?;
        let place = place as usize;
        if place < watchers.len() {
            watchers.swap_remove(place);
        }
        let moved = watchers.get(place).copied();
        if watchers.is_empty() {
            resources.remove(resource);
        }
        moved
    }

    pub fn of(&self, package: u8, resource: &str) -> &[Key] {
        let resources = self.packages.get(usize::from(package));
        resources.and_then(|resources| resources.get(resource)).map_or(&[], Vec::as_slice)
    }
}

/// Those who are to be told something, each once: so many in a span of time, then so many in the next.
#[derive(Debug, Default)]
pub struct Turns {
    waiting: VecDeque<WatcherId>,
    /// When the span began.
    since: Option<Instant>,
    /// Told in it.
    count: usize,
    /// The stack was asked to wake us.
    pub is_armed: bool,
}

impl Turns {
    pub fn queue(&mut self, watcher: WatcherId) {
        self.waiting.push_back(watcher);
    }

    /// Whose turn it is now.
    pub fn next(&mut self, now: Instant, burst: usize) -> Option<WatcherId> {
        if self.since.is_none_or(|since| now - since >= SPAN) {
            (self.since, self.count) = (Some(now), 0);
        }
        if self.count >= burst {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.count += 1;
        Some(next)
    }

    /// When to go on, if somebody waits and that is not seen to yet.
    pub fn arm(&mut self) -> Option<Instant> {
        if self.waiting.is_empty() || std::mem::replace(&mut self.is_armed, true) {
            return None;
        }
        self.since.map(|since| since + SPAN)
    }
}

const SPAN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_take_their_turns_at_a_time() {
        let mut turns = Turns::default();
        let id = |index| WatcherId(Key { index, generation: 1 });
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        (0..5).for_each(|index| turns.queue(id(index)));
        assert_eq!((turns.next(at(3), 2), turns.next(at(4), 2)), (Some(id(0)), Some(id(1))));
        assert_eq!((turns.next(at(12), 2), turns.arm()), (None, Some(at(13))));
        assert_eq!(turns.arm(), None);
        turns.is_armed = false;
        assert_eq!((turns.next(at(13), 9), turns.next(at(13), 9)), (Some(id(2)), Some(id(3))));
        assert_eq!((turns.next(at(13), 9), turns.next(at(13), 9)), (Some(id(4)), None));
        assert_eq!(turns.arm(), None);
    }

    #[test]
    fn places_are_kept_in_order() {
        let mut audience = Audience::default();
        let key = |index| Key { index, generation: 1 };
        for index in 0..3 {
            let (_, place) = audience.join(1, "a".into(), key(index));
            assert_eq!(place, index);
        }
        audience.join(0, "a".into(), key(9));
        assert_eq!(audience.leave(1, "a", 0), Some(key(2)));
        assert_eq!(audience.of(1, "a"), [key(2), key(1)]);
        assert_eq!(audience.leave(1, "a", 1), None);
        assert_eq!(audience.leave(1, "a", 7), None);
        assert_eq!(audience.leave(1, "a", 0), None);
        assert!(audience.of(1, "a").is_empty() && audience.packages[1].is_empty());
        assert_eq!(audience.of(0, "a"), [key(9)]);
    }
}
