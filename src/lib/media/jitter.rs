//! The adaptive jitter buffer: packets in as they come, told out in order when their time has come.
//!
//! Each packet has a *transit*: arrival time minus RTP time. The least transit of the last packets is the base, what
//! others take longer is jitter, and the target delay covers all but the worst 3 % of it. A packet is due when
//! base + target has passed since its RTP time. How far playout is from that point is its *deviation*; it is worked off
//! by time scaling while someone talks, and at once where there is silence. Sound that did not come is not waited for
//! once later sound is there; while nothing is there the gap is concealed without giving it up, so that a delayed
//! packet still finds its place.
//!
//! Bounded: [`CAPACITY`] packets of at most [`MAX_PAYLOAD`] bytes. What is full loses its oldest.

use std::collections::VecDeque;

use crate::{
    media::codec::MAX_PAYLOAD,
    time::{Duration, Instant},
};

/// Limits of the target delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub least: Duration,
    /// Before enough packets were seen to know better.
    pub first: Duration,
    pub most: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            least: Duration::from_millis(20),
            first: Duration::from_millis(40),
            most: Duration::from_millis(500),
        }
    }
}

/// The buffer of one stream; timestamps count in its `clock`.
pub struct Jitter {
    bounds: Bounds,
    clock: i64,
    /// By rising sequence number.
    packets: VecDeque<Entry>,
    spare: Vec<Vec<u8>>,
    /// Transits of the last packets, µs.
    transits: VecDeque<i64>,
    unsorted: u32,
    base: i64,
    target: i64,
    last_timestamp: Option<i64>,
    last_transit: i64,
    state: State,
    /// RTP time of the next sample to tell out.
    head: i64,
    /// Extended number of the last packet told out.
    done: u64,
    /// Length of the last packet told out, clock units.
    length: i64,
    /// Clock units concealed at `head` without giving it up.
    stretched: i64,
    over: u32,
    under: u32,
    pub counters: Counters,
}

/// ```text
///             due              nothing came for a while
///  Waiting ─────────► Playing ─────────────────────────► Waiting
///     ▲                  │
///     └── restart ◄──────┘ new timeline, other clock
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until the first packet there is, is due.
    Waiting,
    Playing,
}

/// What never reached the ear, and what was made up instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came after their time.
    pub late: u64,
    /// Packets thrown away because playout had fallen far behind, or the buffer was full.
    pub discarded: u64,
    /// Times the buffer ran dry while someone talked.
    pub underruns: u64,
}

struct Entry {
    number: u64,
    timestamp: i64,
    payload_type: u8,
    /// False for a number that carries no sound here: DTMF, comfort noise.
    sound: bool,
    payload: Vec<u8>,
}

/// What to do about the next stretch of sound.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Decode this, then report its length with [`Jitter::played`].
    Play { payload_type: u8, payload: &'a [u8], scale: Scale },
    /// Make up `length` clock units; `next` is the packet after a single loss, which may carry redundancy.
    Lost { length: u32, next: Option<(u8, &'a [u8])> },
    /// Nothing is there: make something up and report it with [`Jitter::stretched`].
    Dry,
    /// Silence: between talkspurts, or before the first packet is due.
    Silence,
}

/// How the sound of a packet should be scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Keep,
    Shorten { insist: bool },
    Lengthen,
}

impl Jitter {
    pub fn new(clock: u32, bounds: Bounds) -> Self {
        Self {
            bounds,
            clock: i64::from(clock.max(1)),
            packets: VecDeque::with_capacity(CAPACITY),
            spare: Vec::new(),
            transits: VecDeque::with_capacity(WINDOW),
            unsorted: 0,
            base: 0,
            target: micros(bounds.first),
            last_timestamp: None,
            last_transit: 0,
            state: State::Waiting,
            head: 0,
            done: 0,
            length: 0,
            stretched: 0,
            over: 0,
            under: 0,
            counters: Counters::default(),
        }
    }

    /// Forgets the stream (other SSRC, new numbering, other clock); counters stay.
    pub fn restart(&mut self, clock: u32) {
        self.clock = i64::from(clock.max(1));
        while let Some(entry) = self.packets.pop_front() {
            self.recycle(entry);
        }
        self.transits.clear();
        self.unsorted = 0;
        self.target = micros(self.bounds.first);
        self.last_timestamp = None;
        self.state = State::Waiting;
        self.done = 0;
        self.stretched = 0;
        (self.over, self.under) = (0, 0);
    }

    /// Takes a packet with sound; `number` is its extended sequence number, duplicates are already gone.
    pub fn insert(&mut self, now: Instant, number: u64, timestamp: u32, payload_type: u8, payload: &[u8]) {
        let mut endless = self.endless(timestamp);
        let transit = now.as_micros() as i64 - self.time(endless);
        if self.last_timestamp.is_some() && (transit - self.last_transit).abs() > NEW_TIMELINE {
            self.restart(self.clock as u32);
            endless = self.endless(timestamp);
        }
        let transit = now.as_micros() as i64 - self.time(endless);
        self.last_timestamp = Some(self.last_timestamp.map_or(endless, |last| last.max(endless)));
        self.last_transit = transit;
        self.learn(transit);
        if number <= self.done || (self.state == State::Playing && endless < self.head) {
            self.counters.late += 1;
            return;
        }
        self.put(number, endless, payload_type, Some(payload));
    }

    /// A number came that carries no sound: it is not lost, and what follows is a new talkspurt.
    pub fn insert_other(&mut self, number: u64) {
        if number > self.done && self.last_timestamp.is_some() {
            self.put(number, self.last_timestamp.unwrap_or(0), 0, None);
        }
    }

    /// What to play at `at`: now plus what is decoded already and still unheard.
    pub fn next(&mut self, at: Instant) -> Step<'_> {
        let at = at.as_micros() as i64;
        self.skip(at);
        let Some(front) = self.packets.front() else {
            return match self.state {
                State::Playing if self.stretched < self.units(GIVE_UP) => {
                    if self.stretched == 0 {
                        self.counters.underruns += 1;
                    }
                    Step::Dry
                }
                _ => {
                    self.state = State::Waiting;
                    Step::Silence
                }
            };
        };
        let (number, timestamp) = (front.number, front.timestamp);
        let gap = timestamp - self.head;
        let in_sequence = number == self.done + 1;
        if self.state == State::Waiting || (gap > 0 && (in_sequence || gap > self.units(TALKSPURT))) {
            // Before a talkspurt playout moves to its ideal point for free.
            if self.deviation(at, timestamp) < 0 {
                return Step::Silence;
            }
            return self.play(Scale::Keep);
        }
        let missing = gap - self.stretched;
        if gap <= 0 || missing <= 0 {
            let scale = self.scale(self.deviation(at, timestamp));
            return self.play(scale);
        }
        // Given up: what was made up while waiting covers the first part of it.
        let length = missing.min(if self.length > 0 { self.length } else { missing });
        let single = number == self.done + 2 && missing <= self.length && self.stretched == 0;
        self.head += self.stretched + length;
        self.stretched = 0;
        let next = if single {
            self.packets.front().map(|entry| (entry.payload_type, entry.payload.as_slice()))
        } else {
            None
        };
        Step::Lost { length: length as u32, next }
    }

    /// The packet just told out was this long, clock units.
    pub fn played(&mut self, length: u32) {
        self.length = i64::from(length);
        self.head += self.length;
    }

    /// This much was made up for [`Step::Dry`], clock units.
    pub fn stretched(&mut self, length: u32) {
        self.stretched += i64::from(length);
    }

    /// The delay aimed at.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.target as u64)
    }

    fn play(&mut self, scale: Scale) -> Step<'_> {
        let Some(entry) = self.packets.pop_front() else { return Step::Silence };
        self.state = State::Playing;
        self.done = entry.number;
        self.head = entry.timestamp;
        self.stretched = 0;
        let payload_type = entry.payload_type;
        self.recycle(entry);
        let payload = self.spare.last().map_or(&[][..], Vec::as_slice);
        Step::Play { payload_type, payload, scale }
    }

    /// Drops what is in front and not to be heard: numbers without sound, late ones, and, if playout is far behind,
    /// as much as brings it back.
    fn skip(&mut self, at: i64) {
        while let Some(front) = self.packets.front() {
            let (number, timestamp, sound) = (front.number, front.timestamp, front.sound);
            let late = self.state == State::Playing && timestamp < self.head && sound;
            let behind = self.packets.len() > 1
                && self.state == State::Playing
                && self.deviation(at, timestamp) > FAR_BEHIND
                && sound;
            if sound && !late && !behind {
                return;
            }
            if late {
                self.counters.late += 1;
            } else if behind {
                self.counters.discarded += 1;
                self.head = timestamp + self.length;
            }
            self.done = number;
            if let Some(entry) = self.packets.pop_front() {
                self.recycle(entry);
            }
            if behind {
                // One jump, all the way.
                while self.packets.len() > 1 {
                    let Some(front) = self.packets.front() else { break };
                    if self.deviation(at, front.timestamp) <= 0 {
                        break;
                    }
                    self.done = front.number;
                    self.head = front.timestamp + self.length;
                    self.counters.discarded += u64::from(front.sound);
                    if let Some(entry) = self.packets.pop_front() {
                        self.recycle(entry);
                    }
                }
            }
        }
    }

    /// Playing `timestamp` at `at`: µs later (positive) or earlier than its ideal time.
    fn deviation(&self, at: i64, timestamp: i64) -> i64 {
        at - self.time(timestamp) - self.base - self.target
    }

    fn scale(&mut self, deviation: i64) -> Scale {
        let slack = SLACK.max(self.time(self.length));
        self.over = if deviation > slack { self.over + 1 } else { 0 };
        self.under = if deviation < -SLACK { self.under + 1 } else { 0 };
        if self.over >= PATIENCE {
            self.over = PATIENCE - 2;
            Scale::Shorten { insist: deviation > slack + INSIST }
        } else if self.under >= PATIENCE {
            self.under = PATIENCE - 2;
            Scale::Lengthen
        } else {
            Scale::Keep
        }
    }

    fn put(&mut self, number: u64, timestamp: i64, payload_type: u8, payload: Option<&[u8]>) {
        let at = self.packets.partition_point(|entry| entry.number < number);
        if self.packets.get(at).is_some_and(|entry| entry.number == number) {
            return;
        }
        let mut store = self.spare.pop().unwrap_or_default();
        store.clear();
        let payload_ = payload.unwrap_or_default();
        store.extend_from_slice(payload_.get(..payload_.len().min(MAX_PAYLOAD)).unwrap_or_default());
        self.packets
            .insert(at, Entry { number, timestamp, payload_type, sound: payload.is_some(), payload: store });
        if self.packets.len() > CAPACITY
            && let Some(oldest) = self.packets.pop_front()
        {
            self.counters.discarded += u64::from(oldest.sound);
            self.done = self.done.max(oldest.number);
            self.recycle(oldest);
        }
    }

    /// Keeps a payload's memory for the next packet.
    fn recycle(&mut self, entry: Entry) {
        self.spare.push(entry.payload);
    }

    fn learn(&mut self, transit: i64) {
        if self.transits.len() == WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back(transit);
        self.unsorted += 1;
        // Sorting each time is not worth it; but a first, a faster or a late packet changes things at once.
        let surprising = transit < self.base || transit > self.base + self.target;
        if surprising || self.unsorted >= 8 || self.transits.len() < 8 {
            self.unsorted = 0;
            self.aim();
        }
    }

    /// Finds base and target anew.
    fn aim(&mut self) {
        let mut sorted = [0i64; WINDOW];
        let mut count = 0;
        for (slot, &transit) in sorted.iter_mut().zip(&self.transits) {
            *slot = transit;
            count += 1;
        }
        let Some(sorted) = sorted.get_mut(..count).filter(|sorted| !sorted.is_empty()) else { return };
        self.base = sorted.iter().copied().min().unwrap_or(0);
        let worst = (count - 1) * 97 / 100;
        let (_, &mut covered, _) = sorted.select_nth_unstable(worst);
        let mut target = covered - self.base + MARGIN;
        if count < LEARNING {
            target = target.max(micros(self.bounds.first));
        }
        self.target =
            target.clamp(micros(self.bounds.least), micros(self.bounds.most).max(micros(self.bounds.least)));
    }

    /// The timestamp without its wraps, near the last one.
    fn endless(&self, timestamp: u32) -> i64 {
        match self.last_timestamp {
            None => i64::from(timestamp) + (1 << 32),
            Some(last) => last + i64::from(timestamp.wrapping_sub(last as u32) as i32),
        }
    }

    /// Clock units as µs.
    fn time(&self, units: i64) -> i64 {
        (i128::from(units) * 1_000_000 / i128::from(self.clock)) as i64
    }

    /// µs as clock units.
    fn units(&self, micros: i64) -> i64 {
        micros * self.clock / 1_000_000
    }
}

fn micros(span: Duration) -> i64 {
    span.as_micros().min(10_000_000) as i64
}

/// Packets: 1.28 s at 10 ms each, more than any target.
const CAPACITY: usize = 128;
/// Transits remembered: about 5 s at 20 ms.
const WINDOW: usize = 256;
/// Transits needed before the first target may be undercut.
const LEARNING: usize = 50;
/// Playout is asked for every 10 ms, so a packet may miss its beat by that much.
const MARGIN: i64 = 10_000;
/// Two successive transits further apart than this are different timelines.
const NEW_TIMELINE: i64 = 1_000_000;
/// A gap longer than this is not concealed but waited out.
const TALKSPURT: i64 = 200_000;
/// How long a dry buffer is concealed before it counts as silence: G.711's concealment ends at 60 ms, Opus makes
/// comfort noise of it.
const GIVE_UP: i64 = 200_000;
/// Deviation tolerated before scaling starts; a packet's length if that is more.
const SLACK: i64 = 12_000;
/// So many packets in a row must agree.
const PATIENCE: u32 = 4;
/// Beyond this much too late, anything is cut.
const INSIST: i64 = 60_000;
/// Beyond this, packets are thrown away.
const FAR_BEHIND: i64 = 250_000;
