//! A timing wheel: 4 levels of 256 slots, ticks of 4 ms, one bit per slot for "when is the next deadline".
//!
//! An entry never fires before its deadline and fires within one tick after it. There is no cancelling:
//! whoever armed a deadline keeps its own current one and ignores an entry that no longer matches, so that
//! re-arming costs one insert. Inserting and finding the next deadline take constant time; an entry is moved
//! at most 4 times. Deadlines beyond the span of the wheel (2³² ticks, 198 days) wait in a list of their own.

use crate::time::{Duration, Instant};

/// Deadlines, each with a small `T` saying whose it is.
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    /// The last tick that has been expired.
    tick: u64,
    len: usize,
    /// Inserted when their tick had already passed.
    due: Vec<Entry<T>>,
    levels: [Level<T>; LEVELS],
    far: Vec<Entry<T>>,
    /// The lowest tick in `far`.
    far_first: u64,
}

impl<T: Copy> Wheel<T> {
    /// How late an entry may fire.
    pub const TICK: Duration = Duration::from_micros(TICK_MICROS);

    pub fn new() -> Self {
        Self {
            tick: 0,
            len: 0,
            due: Vec::new(),
            levels: std::array::from_fn(|_| Level::new()),
            far: Vec::new(),
            far_first: u64::MAX,
        }
    }

    /// Entries waiting, among them those their owners have forgotten.
    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Arms `entry` for `at`. A deadline that has already passed fires at the next [`expire`](Self::expire).
    pub fn insert(&mut self, at: Instant, entry: T) {
        self.len += 1;
        self.place(Entry { at, value: entry });
    }

    /// When to call [`expire`](Self::expire) next: at or before the tick in which the earliest entry fires.
    /// It may be earlier (nothing fires then, and the next answer is a better one), never later.
    pub fn next(&self) -> Option<Instant> {
        if let Some(at) = self.due.iter().map(|entry| entry.at).min() {
            return Some(at);
        }
        let tick = match self.first_slot() {
            Some((level, slot)) => self.slot_start(level, slot),
            None if self.far.is_empty() => return None,
            None => self.far_first,
        };
        Some(Instant::from_micros(tick.saturating_mul(TICK_MICROS)))
    }

    /// Moves what has fired by `now` to the end of `out`, in order of deadline, those of the same deadline in
    /// no particular but always the same order.
    pub fn expire(&mut self, now: Instant, out: &mut Vec<(Instant, T)>) {
        let target = now.as_micros() / TICK_MICROS;
        let before = out.len();
        out.extend(self.due.drain(..).map(|entry| (entry.at, entry.value)));
        // Lower levels hold nearer deadlines than higher ones, so the first occupied slot is always the
        // nearest.
        while let Some((level, slot)) = self.first_slot() {
            let start = self.slot_start(level, slot);
            if start > target {
                break;
            }
            self.tick = start;
            let mut entries = self.levels[level].take(slot);
            if level == 0 {
                out.extend(entries.drain(..).map(|entry| (entry.at, entry.value)));
                self.levels[0].give_back(slot, entries);
            } else {
                // The vector is not kept: the higher levels would hoard the memory of their busiest minute.
                self.cascade(entries, out);
            }
        }
        self.tick = self.tick.max(target);
        if !self.far.is_empty() && epoch(self.tick) >= epoch(self.far_first) {
            let far = std::mem::take(&mut self.far);
            self.far_first = u64::MAX;
            self.cascade(far, out);
        }
        self.len -= out.len() - before;
        out[before..].sort_by_key(|(at, _)| *at);
    }

    fn cascade(&mut self, entries: Vec<Entry<T>>, out: &mut Vec<(Instant, T)>) {
        for entry in entries {
            if entry.tick() <= self.tick {
                out.push((entry.at, entry.value));
            } else {
                self.place(entry);
            }
        }
    }

    /// An entry belongs to the level of the highest byte in which its tick differs from the current one, so
    /// all occupied slots of a level lie ahead of the current position within the same turn.
    fn place(&mut self, entry: Entry<T>) {
        let tick = entry.tick();
        if tick <= self.tick {
            self.due.push(entry);
            return;
        }
        let level = (tick ^ self.tick).ilog2() as usize / SLOT_BITS;
        match self.levels.get_mut(level) {
            Some(level_slots) => level_slots.push((tick >> (level * SLOT_BITS)) as usize % SLOTS, entry),
            None => {
                self.far_first = self.far_first.min(tick);
                self.far.push(entry);
            }
        }
    }

    fn first_slot(&self) -> Option<(usize, usize)> {
        self.levels.iter().enumerate().find_map(|(level, slots)| Some((level, slots.first()?)))
    }

    /// The first tick of a slot, in the current turn of its level.
    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = level * SLOT_BITS;
        let turn = self.tick >> (shift + SLOT_BITS) << SLOT_BITS;
        (turn | slot as u64) << shift
    }
}

impl<T: Copy> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    at: Instant,
    value: T,
}

impl<T> Entry<T> {
    /// Rounded up: an entry must not fire early.
    const fn tick(&self) -> u64 {
        self.at.as_micros().div_ceil(TICK_MICROS)
    }
}

#[derive(Clone, Debug)]
struct Level<T> {
    occupied: [u64; SLOTS / 64],
    slots: Box<[Vec<Entry<T>>; SLOTS]>,
}

impl<T: Copy> Level<T> {
    fn new() -> Self {
        Self { occupied: [0; SLOTS / 64], slots: Box::new(std::array::from_fn(|_| Vec::new())) }
    }

    fn first(&self) -> Option<usize> {
        let word = self.occupied.iter().position(|&word| word != 0)?;
        Some(word * 64 + self.occupied[word].trailing_zeros() as usize)
    }

    fn push(&mut self, slot: usize, entry: Entry<T>) {
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.slots[slot].push(entry);
    }

    fn take(&mut self, slot: usize) -> Vec<Entry<T>> {
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        std::mem::take(&mut self.slots[slot])
    }

    /// Returns an emptied vector, so that its memory serves the next turn.
    fn give_back(&mut self, slot: usize, entries: Vec<Entry<T>>) {
        self.slots[slot] = entries;
    }
}

const fn epoch(tick: u64) -> u64 {
    tick >> (LEVELS * SLOT_BITS)
}

const TICK_MICROS: u64 = 4_000;
const LEVELS: usize = 4;
const SLOT_BITS: usize = 8;
const SLOTS: usize = 1 << SLOT_BITS;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::util::id::Ids;

    fn fired(wheel: &mut Wheel<u32>, now: Instant) -> Vec<u32> {
        let mut out = Vec::new();
        wheel.expire(now, &mut out);
        out.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn never_early_and_within_a_tick() {
        let mut wheel = Wheel::new();
        wheel.insert(Instant::from_micros(500_001), 1);
        assert!(fired(&mut wheel, Instant::from_micros(500_000)).is_empty());
        assert!(fired(&mut wheel, Instant::from_micros(503_999)).is_empty());
        assert_eq!(fired(&mut wheel, Instant::from_micros(504_000)), [1]);
        assert_eq!((wheel.next(), wheel.len()), (None, 0));
    }

    #[test]
    fn a_passed_deadline_fires_at_once() {
        let mut wheel = Wheel::new();
        fired(&mut wheel, Instant::from_millis(1000));
        wheel.insert(Instant::from_millis(10), 1);
        assert_eq!(wheel.next(), Some(Instant::from_millis(10)));
        assert_eq!(fired(&mut wheel, Instant::from_millis(1000)), [1]);
    }

    #[test]
    fn deadlines_beyond_the_span_of_the_wheel() {
        let mut wheel = Wheel::new();
        let year = Instant::from_millis(365 * 86_400_000);
        wheel.insert(year, 1);
        wheel.insert(year + Duration::from_secs(1), 2);
        wheel.insert(Instant::from_micros(u64::MAX), 3);
        assert!(fired(&mut wheel, Instant::from_millis(364 * 86_400_000)).is_empty());
        assert!(wheel.next().is_some_and(|at| at <= year));
        assert_eq!(fired(&mut wheel, year), [1]);
        assert_eq!(fired(&mut wheel, year + Duration::from_secs(2)), [2]);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn each_level_starts_where_the_one_below_ends() {
        for level in 0..=LEVELS as u32 {
            let edge = 1u64 << (8 * level);
            for tick in [edge - 1, edge, edge + 1] {
                for start in [0, 1, 255, 256, 65_535, 65_536, (1 << 32) - 1] {
                    let mut wheel = Wheel::new();
                    fired(&mut wheel, Instant::from_micros(start * TICK_MICROS));
                    let at = Instant::from_micros((start + tick) * TICK_MICROS);
                    wheel.insert(at, 1);
                    let mut now = Instant::ZERO;
                    let mut wakes = 0;
                    while let Some(next) = wheel.next() {
                        assert!(next <= at && (next >= now || tick == 0), "{start}+{tick}: slept past");
                        now = next;
                        wakes += 1;
                        assert!(wakes <= LEVELS + 1);
                        assert_eq!(!fired(&mut wheel, now).is_empty(), now == at, "{start}+{tick}");
                    }
                    assert_eq!(now, at);
                }
            }
        }
    }

    /// Random inserts and steps of every size, against a sorted map that is always right.
    #[test]
    fn agrees_with_a_sorted_map() {
        for seed in 0..40 {
            let mut ids = Ids::from_number(seed);
            let (mut wheel, mut model) = (Wheel::new(), BTreeMap::new());
            let mut now = Instant::ZERO;
            for number in 0..3_000u32 {
                let magnitude = ids.below(46);
                let span = Duration::from_micros(ids.below(1 << magnitude));
                if ids.below(3) > 0 {
                    wheel.insert(now + span, number);
                    model.insert((now + span, number), ());
                    continue;
                }
                // Either what a driver does, or an arbitrary late wake-up.
                now = match wheel.next() {
                    Some(next) if ids.below(4) > 0 => next.max(now),
                    _ => now + span,
                };
                let mut out = Vec::new();
                wheel.expire(now, &mut out);
                assert!(out.is_sorted_by_key(|(at, _)| *at));
                for (at, value) in out {
                    assert!(at <= now, "early");
                    assert!(model.remove(&(at, value)).is_some(), "fired twice or never armed");
                }
                if let Some(((at, _), ())) = model.first_key_value() {
                    assert!(*at + Wheel::<u32>::TICK > now, "late");
                    assert!(wheel.next().is_some_and(|next| next <= *at + Wheel::<u32>::TICK), "slept past");
                }
                assert_eq!(wheel.len(), model.len());
            }
        }
    }
}
