//! DTMF as telephone-event (RFC 4733), both ways.
//!
//! Sending: an event packet at each packet time with the duration so far, the marker on the first, the last one three
//! times, events longer than the duration field cut into segments (§2.5.1.3). Receiving: one report per key, whatever
//! was repeated, reordered or lost. Only events 0–15 are keys; others are ignored.

use std::collections::VecDeque;

use thiserror::Error;

use crate::time::{Duration, Instant};

/// One thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A key (event 0–15) held for so long.
    Key { event: u8, length: Duration },
    /// Nothing for so long, beside the gap that follows each key.
    Pause(Duration),
}

/// Why keys cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DtmfError {
    /// What the caller wrote is no key.
    #[error("`{character}` at position {at} is no DTMF key: use 0-9, *, #, A-D, and w for a pause of 500 ms")]
    NoKey { character: char, at: usize },
    #[error("more than {MAX_QUEUE} keys and pauses are waiting")]
    QueueFull,
    /// The peer did not negotiate telephone-event.
    #[error("the peer does not take telephone-event")]
    NotNegotiated,
    /// The stream is held: keys would not arrive.
    #[error("nothing is sent while the call is held")]
    Held,
}

/// Reads keys as a person writes them: `0`–`9 * # A`–`D`, `w` for a pause of 500 ms; spaces only separate.
///
/// # Errors
/// [`DtmfError::NoKey`] names the first character that is none (position counts from 1),
/// [`DtmfError::QueueFull`] if there are too many.
pub fn parse(text: &str) -> Result<Vec<Tone>, DtmfError> {
    let mut tones = Vec::new();
    for (at, character) in text.chars().enumerate() {
        match character {
            ' ' => continue,
            'w' | 'W' => tones.push(Tone::Pause(PAUSE)),
            _ => {
                let event = event(character).ok_or(DtmfError::NoKey { character, at: at + 1 })?;
                tones.push(Tone::Key { event, length: LENGTH });
            }
        }
        if tones.len() > MAX_QUEUE {
            return Err(DtmfError::QueueFull);
        }
    }
    Ok(tones)
}

/// The event of a key (RFC 4733 §3.2).
pub fn event(key: char) -> Option<u8> {
    let key = key.to_ascii_uppercase();
    KEYS.iter().position(|&known| known == key).map(|event| event as u8)
}

/// The key of an event.
pub fn key(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).copied()
}

/// An event payload (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    pub event: u8,
    pub end: bool,
    /// −dBm0, 0…63.
    pub volume: u8,
    /// In timestamp units.
    pub duration: u16,
}

impl Payload {
    /// The first event of a payload; `None` if it is too short to hold one.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low, ..] = payload else { return None };
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    pub fn bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }
}

/// The sending side: a queue of tones, worked off one packet time at a time.
#[derive(Debug)]
pub struct Sender {
    queue: VecDeque<Tone>,
    state: Sending,
}

/// ```text
///            key             length reached           3rd copy             gap over
///  Idle ───────────► Key ───────────────────► End ───────────────► Gap ─────────────► Idle
///    └── pause ─────────────────────────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Idle,
    /// `elapsed` since `start`, the RTP time of this segment; `left` until the key is let go.
    Key {
        event: u8,
        start: u32,
        elapsed: u32,
        left: Duration,
        first: bool,
    },
    /// `copies` of the last packet still to send.
    End {
        event: u8,
        start: u32,
        duration: u16,
        copies: u8,
    },
    /// Sound goes on.
    Gap(Duration),
}

/// An event packet to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Payload,
    /// How often to send it in a row: 3 for the end of a segment that is not the end of the key.
    pub copies: u8,
}

impl Sender {
    pub fn new() -> Self {
        Self { queue: VecDeque::new(), state: Sending::Idle }
    }

    /// # Errors
    /// [`DtmfError::QueueFull`]; nothing is queued then.
    pub fn queue(&mut self, tones: &[Tone]) -> Result<(), DtmfError> {
        if self.queue.len() + tones.len() > MAX_QUEUE {
            return Err(DtmfError::QueueFull);
        }
        self.queue.extend(tones);
        Ok(())
    }

    /// Forgets everything not yet sent.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.state = Sending::Idle;
    }

    /// Whether anything is being sent or waits.
    pub fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.state != Sending::Idle
    }

    /// Moves on by one packet time that begins at RTP time `now`; `units` is its length in event clock units.
    ///
    /// `None`: sound is sent in this packet time, as ever.
    pub fn advance(&mut self, now: u32, packet_time: Duration, units: u32) -> Option<Report> {
        loop {
            match self.state {
                Sending::Idle => match self.queue.pop_front()? {
                    Tone::Key { event, length } => {
                        self.state =
                            Sending::Key { event, start: now, elapsed: 0, left: length, first: true };
                    }
                    Tone::Pause(length) => self.state = Sending::Gap(length),
                },
                Sending::Gap(left) if left.is_zero() => self.state = Sending::Idle,
                Sending::Gap(left) => {
                    self.state = Sending::Gap(left.saturating_sub(packet_time));
                    return None;
                }
                Sending::Key { event, start, elapsed, left, first } => {
                    let elapsed = elapsed + units;
                    let left = left.saturating_sub(packet_time);
                    let payload = |end, duration| Payload { event, end, volume: VOLUME, duration };
                    if elapsed > u32::from(u16::MAX) {
                        // §2.5.1.3: report the full field without E, and go on as a new segment.
                        let full = u32::from(u16::MAX);
                        self.state = Sending::Key {
                            event,
                            start: start.wrapping_add(full),
                            elapsed: elapsed - full,
                            left: left.max(packet_time),
                            first: false,
                        };
                        let payload = payload(false, u16::MAX);
                        return Some(Report { timestamp: start, marker: first, payload, copies: 3 });
                    }
                    let (end, duration) = (left.is_zero(), elapsed as u16);
                    self.state = if end {
                        Sending::End { event, start, duration, copies: 2 }
                    } else {
                        Sending::Key { event, start, elapsed, left, first: false }
                    };
                    return Some(Report {
                        timestamp: start,
                        marker: first,
                        payload: payload(end, duration),
                        copies: 1,
                    });
                }
                Sending::End { copies: 0, .. } => self.state = Sending::Gap(GAP),
                Sending::End { event, start, duration, copies } => {
                    self.state = Sending::End { event, start, duration, copies: copies - 1 };
                    let payload = Payload { event, end: true, volume: VOLUME, duration };
                    return Some(Report { timestamp: start, marker: false, payload, copies: 1 });
                }
            }
        }
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

/// The receiving side: packets in, one key press out.
#[derive(Debug, Default)]
pub struct Receiver {
    current: Option<Press>,
    /// RTP time of the last press that was reported, and when it was heard last: late copies are no new press.
    reported: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    event: u8,
    /// RTP time of the current segment.
    start: u32,
    /// Duration of the segments before it, and of this one so far.
    before: u64,
    duration: u16,
    clock: u32,
    heard: Instant,
}

/// One key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    pub key: char,
    pub duration_ms: u32,
}

impl Receiver {
    /// Takes one event packet; returns a press that ended with it. `clock` is the payload type's, Hz.
    pub fn receive(&mut self, now: Instant, timestamp: u32, clock: u32, payload: &[u8]) -> Option<Pressed> {
        let payload = Payload::read(payload).filter(|payload| key(payload.event).is_some())?;
        let newer_than = |past: u32| (timestamp.wrapping_sub(past) as i32) > 0;
        // A copy of, or one overtaken by, a press that is over.
        let copy = |(past, heard): (u32, Instant)| !newer_than(past) && now.since(heard) < MEMORY;
        if self.current.is_none() && self.reported.is_some_and(copy) {
            return None;
        }
        let mut over = None;
        match &mut self.current {
            Some(press) if press.start == timestamp && press.event == payload.event => {
                press.duration = press.duration.max(payload.duration);
                press.heard = now;
            }
            Some(press)
                if press.event == payload.event
                    && press.duration == u16::MAX
                    && press.start.wrapping_add(u32::from(u16::MAX)) == timestamp =>
            {
                press.before += u64::from(u16::MAX);
                press.start = timestamp;
                press.duration = payload.duration;
                press.heard = now;
            }
            Some(press) if !newer_than(press.start) => return None,
            _ => {
                over = self.finish();
                self.current = Some(Press {
                    event: payload.event,
                    start: timestamp,
                    before: 0,
                    duration: payload.duration,
                    clock,
                    heard: now,
                });
            }
        }
        // With the ends of one press all lost and only a final copy of the next come, the next waits for its time-out.
        if payload.end && over.is_none() { self.finish() } else { over }
    }

    /// Ends a press whose last packets were lost.
    pub fn advance(&mut self, now: Instant) -> Option<Pressed> {
        if self.deadline().is_some_and(|deadline| deadline <= now) { self.finish() } else { None }
    }

    /// When [`Receiver::advance`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.map(|press| press.heard + SILENT)
    }

    /// Another source: its timestamps have nothing to do with the last one's.
    pub fn restart(&mut self) -> Option<Pressed> {
        let pressed = self.finish();
        self.reported = None;
        pressed
    }

    fn finish(&mut self) -> Option<Pressed> {
        let press = self.current.take()?;
        self.reported = Some((press.start, press.heard));
        let units = press.before + u64::from(press.duration);
        let duration_ms = (units * 1000 / u64::from(press.clock.max(1))).min(u32::MAX.into()) as u32;
        Some(Pressed { key: key(press.event)?, duration_ms })
    }
}

/// How long a key is held unless the caller says otherwise.
pub const LENGTH: Duration = Duration::from_millis(100);
/// What `w` means.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Keys and pauses that may wait.
pub const MAX_QUEUE: usize = 256;

/// Between two keys; many receivers need 40 ms.
const GAP: Duration = Duration::from_millis(100);
/// −dBm0.
const VOLUME: u8 = 10;
/// Without packets for that long a key counts as released.
const SILENT: Duration = Duration::from_millis(200);
/// How long copies of a reported press may straggle in; later the timestamp may have gone half round.
const MEMORY: Duration = Duration::from_secs(10);
const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{rtp, testing::corpus};

    const PTIME: Duration = Duration::from_millis(20);

    #[test]
    fn keys_are_read() {
        let key = |event| Tone::Key { event, length: LENGTH };
        assert_eq!(parse("w2 1#").unwrap(), [Tone::Pause(PAUSE), key(2), key(1), key(11)]);
        assert_eq!(parse("dA*").unwrap(), [key(15), key(12), key(10)]);
        assert_eq!(parse("12x"), Err(DtmfError::NoKey { character: 'x', at: 3 }));
        assert_eq!(parse(&"1".repeat(MAX_QUEUE + 1)), Err(DtmfError::QueueFull));
    }

    /// Everything sent for `tones`, with the packet time it was sent in.
    fn sent(tones: &[Tone], clock: u32, frames: u32) -> Vec<(u32, Report)> {
        let (mut sender, mut all) = (Sender::new(), vec![]);
        sender.queue(tones).unwrap();
        for frame in 0..frames {
            let units = clock / 50;
            if let Some(report) = sender.advance(frame * units, PTIME, units) {
                all.push((frame, report));
            }
        }
        assert!(!sender.is_busy());
        all
    }

    #[test]
    fn a_key_is_five_packets_and_three_ends() {
        let all = sent(&parse("5w6").unwrap(), 8000, 80);
        let five = &all[..7];
        assert_eq!(
            five.iter().map(|(_, report)| report.payload.duration).collect::<Vec<_>>(),
            [160, 320, 480, 640, 800, 800, 800]
        );
        assert!(five.iter().all(|(_, report)| report.timestamp == 0 && report.payload.event == 5));
        assert_eq!(five.iter().map(|(_, report)| report.payload.end).filter(|&end| end).count(), 3);
        assert_eq!(five.iter().map(|(_, report)| report.marker).filter(|&marker| marker).count(), 1);
        assert!(five[0].1.marker);
        // 7 packet times, a gap of 100 ms, a pause of 500 ms.
        assert_eq!(all[7].0, 7 + 5 + 25);
        assert_eq!(all[7].1.timestamp, (7 + 5 + 25) * 160);
        assert!(all[7].1.marker);
        assert_eq!(all.len(), 14);
    }

    #[test]
    fn a_long_key_is_segmented_and_put_together_again() {
        let length = Duration::from_secs(3);
        let all = sent(&[Tone::Key { event: 1, length }], 48_000, 200);
        let segments = all.iter().filter(|(_, report)| report.copies == 3).count();
        assert_eq!(segments, 2, "144000 / 65535");
        assert_eq!(all.iter().filter(|(_, report)| report.marker).count(), 1);
        let (mut receiver, mut pressed) = (Receiver::default(), vec![]);
        for (frame, report) in all {
            for _ in 0..report.copies {
                let now = Instant::from_millis(u64::from(frame) * 20);
                pressed.extend(receiver.receive(now, report.timestamp, 48_000, &report.payload.bytes()));
            }
        }
        assert_eq!(pressed, [Pressed { key: '1', duration_ms: 3000 }]);
    }

    #[test]
    fn the_corpus_press_is_one_press() {
        let (mut receiver, mut pressed) = (Receiver::default(), vec![]);
        for case in corpus("rtp.json").iter().filter(|case| case.id.starts_with("dtmf")) {
            let packet = rtp::Packet::parse(&case.bytes).unwrap();
            pressed.extend(receiver.receive(Instant::ZERO, packet.timestamp, 8000, packet.payload));
        }
        assert_eq!(pressed, [Pressed { key: '5', duration_ms: 80 }]);
    }

    fn payload(event: u8, end: bool, duration: u16) -> [u8; 4] {
        Payload { event, end, volume: 10, duration }.bytes()
    }

    #[test]
    fn losses_and_disorder() {
        let at = Instant::from_millis;
        let mut receiver = Receiver::default();
        // All ends lost: time ends the press.
        assert_eq!(receiver.receive(at(0), 1000, 8000, &payload(3, false, 400)), None);
        assert_eq!(receiver.advance(at(199)), None);
        assert_eq!(receiver.advance(at(200)), Some(Pressed { key: '3', duration_ms: 50 }));
        assert_eq!(receiver.receive(at(210), 1000, 8000, &payload(3, true, 800)), None, "its end, too late");
        // All ends lost: the next press ends it.
        assert_eq!(receiver.receive(at(300), 5000, 8000, &payload(4, false, 160)), None);
        let four = Some(Pressed { key: '4', duration_ms: 20 });
        assert_eq!(receiver.receive(at(400), 9000, 8000, &payload(4, false, 160)), four);
        // A packet of the press before is no new press.
        assert_eq!(receiver.receive(at(410), 5000, 8000, &payload(4, true, 320)), None);
        let again = Some(Pressed { key: '4', duration_ms: 40 });
        assert_eq!(receiver.receive(at(420), 9000, 8000, &payload(4, true, 320)), again);
        // Only one of the final copies came.
        let only = Some(Pressed { key: '#', duration_ms: 100 });
        assert_eq!(receiver.receive(at(500), 20_000, 8000, &payload(11, true, 800)), only);
        assert_eq!(receiver.receive(at(500), 20_000, 8000, &payload(11, true, 800)), None);
    }

    #[test]
    fn the_timestamp_may_wrap() {
        let mut receiver = Receiver::default();
        for timestamp in [u32::MAX - 100, 900] {
            assert!(receiver.receive(Instant::ZERO, timestamp, 8000, &payload(1, true, 800)).is_some());
        }
    }

    #[test]
    fn what_is_no_key_is_ignored() {
        let mut receiver = Receiver::default();
        assert_eq!(receiver.receive(Instant::ZERO, 0, 8000, &payload(16, true, 800)), None);
        assert_eq!(receiver.receive(Instant::ZERO, 0, 8000, &[1, 2, 3]), None);
        assert_eq!(
            receiver.receive(Instant::ZERO, 0, 0, &payload(1, true, 800)).unwrap().duration_ms,
            800_000
        );
    }
}
