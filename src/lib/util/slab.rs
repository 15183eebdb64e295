//! A generational slab: values in one growing vector, named by keys that never come to name another value.
//!
//! A key is what crosses a shard border, sits in a timer or travels inside a cookie; it may arrive long after
//! its value is gone. The generation makes such a key miss instead of hitting whatever took the slot since.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

/// Values of type `T`, reached by [`Key`] in constant time.
#[derive(Clone)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// First slot of the chain of vacant ones, [`END`] if there is none.
    vacant: u32,
    len: u32,
    limit: u32,
}

/// Names one value for ever: a removed value's key never finds its successor (until 2³² reuses of the slot).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub index: u32,
    /// Never 0 for a key a slab has given out, so that `Key { index: 0, generation: 0 }` finds nothing.
    pub generation: u32,
}

/// A map by keys, or by names made of them.
pub type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// Spreads keys over a table. They are counted up here and chosen by nobody outside, so no secret is needed.
#[derive(Clone, Copy, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, half: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(half)).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        // Tables look at the highest bits and at the lowest.
        self.0 ^ self.0 >> 32
    }
}

impl<T> Slab<T> {
    pub const fn new() -> Self {
        Self { slots: Vec::new(), vacant: END, len: 0, limit: END }
    }

    /// A slab that [`try_insert`](Self::try_insert) fills up to `limit` values and no further.
    pub const fn with_limit(limit: u32) -> Self {
        Self { slots: Vec::new(), vacant: END, len: 0, limit }
    }

    /// Stores `value`, whatever the limit.
    pub fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// Stores `value`, or hands it back if the slab holds as many values as its limit allows.
    pub fn try_insert(&mut self, value: T) -> Result<Key, T> {
        if self.is_full() { Err(value) } else { Ok(self.insert(value)) }
    }

    /// Stores what `make` builds, for values that must know their own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.vacant;
        let key = match self.slots.get_mut(index as usize) {
            Some(slot) => {
                let key = Key { index, generation: slot.generation };
                let value = make(key);
                if let Content::Vacant { next } =
                    std::mem::replace(&mut slot.content, Content::Occupied(value))
                {
                    self.vacant = next;
                }
                key
            }
            None => {
                // Fewer than 2³² slots: memory ends long before the index does.
                let key = Key { index: self.slots.len() as u32, generation: 1 };
                self.slots.push(Slot { generation: 1, content: Content::Occupied(make(key)) });
                key
            }
        };
        self.len += 1;
        key
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.index as usize) {
            Some(Slot { generation, content: Content::Occupied(value) }) if *generation == key.generation => {
                Some(value)
            }
            _ => None,
        }
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some(Slot { generation, content: Content::Occupied(value) }) if *generation == key.generation => {
                Some(value)
            }
            _ => None,
        }
    }

    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// Takes the value out; its key finds nothing from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation || matches!(slot.content, Content::Vacant { .. }) {
            return None;
        }
        let content = std::mem::replace(&mut slot.content, Content::Vacant { next: self.vacant });
        slot.generation = slot.generation.wrapping_add(1).max(1);
        self.vacant = key.index;
        self.len -= 1;
        match content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    pub const fn len(&self) -> usize {
        self.len as usize
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the limit given to [`with_limit`](Self::with_limit) is reached.
    pub const fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// All values with their keys, in slot order (which is not the order of insertion).
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| match &slot.content {
            Content::Occupied(value) => Some((Key { index, generation: slot.generation }, value)),
            Content::Vacant { .. } => None,
        })
    }

    /// As [`iter`](Self::iter), with the values to be changed in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| match &mut slot.content {
            Content::Occupied(value) => Some((Key { index, generation: slot.generation }, value)),
            Content::Vacant { .. } => None,
        })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.generation)
    }
}

#[derive(Clone)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Clone)]
enum Content<T> {
    Vacant { next: u32 },
    Occupied(T),
}

/// No such slot: ends the chain of vacant slots, and is the limit of a slab without one.
const END: u32 = u32::MAX;
/// 2⁶⁴ over the golden ratio, odd: neighbours come to lie far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_misses_the_value_that_took_its_slot() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(old.index, new.index);
        assert_eq!((slab.get(old), slab.get(new)), (None, Some(&"new")));
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn keys_from_elsewhere_find_nothing() {
        let mut slab = Slab::new();
        slab.insert(1);
        for key in [
            Key { index: 0, generation: 0 },
            Key { index: 7, generation: 1 },
            Key { index: END, generation: 1 },
        ] {
            assert!(slab.get(key).is_none() && slab.get_mut(key).is_none() && slab.remove(key).is_none());
        }
    }

    #[test]
    fn a_full_slab_hands_the_value_back() {
        let mut slab = Slab::with_limit(2);
        let first = slab.try_insert('a').unwrap();
        slab.try_insert('b').unwrap();
        assert_eq!(slab.try_insert('c'), Err('c'));
        slab.remove(first);
        assert!(slab.try_insert('c').is_ok());
    }

    #[test]
    fn values_may_know_their_key_and_slots_are_reused() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..4).map(|_| slab.insert_with(|key| key)).collect();
        slab.remove(keys[1]);
        slab.remove(keys[2]);
        let again = [slab.insert_with(|key| key), slab.insert_with(|key| key)];
        assert!(slab.iter().all(|(key, value)| key == *value));
        assert_eq!(slab.slots.len(), 4);
        assert!(again.iter().all(|key| key.generation == 2));
        for (_, value) in slab.iter_mut() {
            value.index = 9;
        }
        assert_eq!(slab.iter().filter(|(_, value)| value.index == 9).count(), 4);
    }
}
