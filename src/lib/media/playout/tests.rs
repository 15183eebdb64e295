//! A tone over a seeded bad line, heard through jitter buffer, decoder and concealment.

use std::collections::BTreeMap;

use super::*;
use crate::media::{
    codec::{Encoder, MAX_PAYLOAD, Tuning},
    testing::{Dice, purity, tone},
};

const HZ: f64 = 440.0;

/// A line from a sender of 20 ms packets to a listener with a 10 ms beat.
struct Line {
    codec: Codec,
    rate: u32,
    seconds: usize,
    seed: u64,
    /// ms added to each packet, evenly spread.
    jitter: u64,
    /// Percent.
    loss: u64,
    duplicates: u64,
    /// The sender's clock against ours, parts per million.
    drift: i64,
    /// Packets not sent at all, timestamps going on: from, to (ms).
    pause: (u64, u64),
    /// Packets held back until the end of it: from, to (ms).
    stall: (u64, u64),
    first_number: u16,
    first_timestamp: u32,
}

const GOOD: Line = Line {
    codec: Codec::Pcmu,
    rate: 8000,
    seconds: 10,
    seed: 1,
    jitter: 0,
    loss: 0,
    duplicates: 0,
    drift: 0,
    pause: (0, 0),
    stall: (0, 0),
    first_number: 65_500,
    first_timestamp: u32::MAX - 100_000,
};

struct Heard {
    pcm: Vec<i16>,
    counters: Counters,
    concealed: Duration,
    target: Duration,
    rate: u32,
    /// Sender time to ear of the last sample, ms, from the jitter buffer's view.
    lost: usize,
}

impl Line {
    fn run(&self) -> Heard {
        let mut dice = Dice::new(self.seed);
        let mut encoder = Encoder::new(self.codec, Tuning::default()).unwrap();
        let codec_rate = self.codec.rate();
        let frame = codec_rate as usize / 50;
        let sound = tone(codec_rate, HZ, 10_000.0, codec_rate as usize * self.seconds);
        // Arrival in µs, then a number to keep equal ones apart.
        let mut arrivals = BTreeMap::new();
        let mut lost = 0;
        let mut number = 0;
        for (packet, block) in sound.chunks(frame).enumerate() {
            let mut payload = [0; MAX_PAYLOAD];
            let len = encoder.encode(block, &mut payload).unwrap();
            let at = packet as u64 * 20;
            if (self.pause.0..self.pause.1).contains(&at) {
                continue;
            }
            number += 1;
            let copies =
                if dice.chance(self.loss) { 0 } else { 1 + usize::from(dice.chance(self.duplicates)) };
            lost += usize::from(copies == 0);
            for copy in 0..copies {
                let mut arrival = at + 50 + dice.below(self.jitter + 1);
                if (self.stall.0..self.stall.1).contains(&arrival) {
                    arrival = self.stall.1;
                }
                let arrival = (arrival * 1000) as i64;
                let arrival = (arrival + arrival * self.drift / 1_000_000) as u64;
                arrivals.insert((arrival, packet, copy), (number - 1, packet, payload[..len].to_vec()));
            }
        }
        let mut playout = Playout::new(self.rate, &[(96, self.codec)]).unwrap();
        let mut source = crate::media::source::Source::new(1, self.first_number, self.codec.clock());
        let mut pcm = vec![];
        for beat in 0..self.seconds as u64 * 100 {
            let now = beat * 10_000;
            while let Some(entry) = arrivals.first_entry()
                && entry.key().0 <= now
            {
                let ((arrival, ..), (number, packet, payload)) = entry.remove_entry();
                let arrived = Instant::from_micros(arrival);
                let number = self.first_number.wrapping_add(number as u16);
                let timestamp = self.first_timestamp.wrapping_add((packet * frame) as u32);
                use crate::media::source::Arrival;
                match source.arrive(number) {
                    Arrival::Fresh(number) => playout.insert(arrived, number, timestamp, 96, &payload),
                    Arrival::Duplicate => {}
                    other => panic!("{other:?}"),
                }
            }
            let mut out = vec![0; self.rate as usize / 100];
            playout.read(Instant::from_micros(now), &mut out);
            pcm.extend(out);
        }
        Heard {
            pcm,
            counters: playout.counters(),
            concealed: playout.concealed(),
            target: playout.target(),
            rate: self.rate,
            lost,
        }
    }
}

impl Heard {
    /// The part from `from` to `to` ms.
    fn part(&self, from: usize, to: usize) -> &[i16] {
        let per_ms = self.rate as usize / 1000;
        &self.pcm[from * per_ms..to * per_ms]
    }

    /// How many of the 25 ms windows (11 whole periods) in a part are not that tone.
    fn torn(&self, from: usize, to: usize) -> usize {
        let windows = self.part(from, to).chunks(self.rate as usize / 40);
        windows.filter(|window| purity(window, self.rate, HZ) < 0.8).count()
    }

    /// Neighbouring samples further apart than twice what the tone does.
    fn clicks(&self, from: usize, to: usize) -> usize {
        let slope = 10_000.0 * std::f64::consts::TAU * HZ / f64::from(self.rate);
        let most = (slope * 2.0) as i32 + 500;
        self.part(from, to).windows(2).filter(|w| (i32::from(w[1]) - i32::from(w[0])).abs() > most).count()
    }

    /// When the tone begins, ms.
    fn begins(&self) -> usize {
        self.pcm.iter().position(|&sample| sample.abs() > 1000).unwrap() / (self.rate as usize / 1000)
    }
}

#[test]
fn a_good_line_is_heard_as_it_is() {
    for rate in [8000, 48_000] {
        let heard = Line { rate, ..GOOD }.run();
        assert_eq!(heard.counters, Counters::default(), "at {rate}");
        assert_eq!(heard.concealed, Duration::ZERO);
        assert!((50..=110).contains(&heard.begins()), "{}", heard.begins());
        assert!(
            purity(heard.part(200, 9200), rate, HZ) > 0.99,
            "{}",
            purity(heard.part(200, 9200), rate, HZ)
        );
        assert_eq!(heard.clicks(200, 9900), 0);
        assert!(heard.target <= Duration::from_millis(20), "{:?}", heard.target);
    }
}

#[test]
fn jitter_is_taken_up() {
    for seed in 1..=10 {
        let heard = Line { jitter: 40, seed, ..GOOD }.run();
        // 3 % of the packets may be late by design; while it learns, more.
        let Counters { late, underruns, .. } = heard.counters;
        assert!(late <= 25 && underruns <= 25, "seed {seed}: {:?}", heard.counters);
        assert!((35..=60).contains(&heard.target.as_millis()), "seed {seed}: {:?}", heard.target);
        let torn = heard.torn(1000, 9900);
        assert!(torn <= 20, "seed {seed}: {torn} of 356 windows");
        assert!(heard.clicks(1000, 9900) <= 20, "seed {seed}: {} clicks", heard.clicks(1000, 9900));
    }
}

#[test]
fn losses_are_concealed_one_for_one() {
    for seed in 1..=10 {
        let heard = Line { loss: 5, duplicates: 3, jitter: 10, seed, ..GOOD }.run();
        let lost = heard.lost as u128 * 20;
        let concealed = heard.concealed.as_millis();
        assert!(concealed + 200 > lost && concealed < lost + 300, "seed {seed}: {concealed} for {lost} ms");
        let torn = heard.torn(500, 9900);
        assert!(torn <= 12, "seed {seed}: {torn} windows torn, {} packets lost", heard.lost);
        assert!(heard.clicks(500, 9900) <= 4, "seed {seed}: {}", heard.clicks(500, 9900));
    }
}

#[test]
fn heavy_weather_is_survived() {
    for seed in 1..=10 {
        let heard = Line { loss: 20, duplicates: 10, jitter: 100, seed, ..GOOD }.run();
        assert!(heard.target <= Duration::from_millis(130), "{:?}", heard.target);
        let whole =
            heard.part(1000, 9900).chunks(200).filter(|window| purity(window, 8000, HZ) > 0.8).count();
        assert!(whole > 356 * 7 / 10, "seed {seed}: only {whole} of 356 windows are the tone");
    }
}

#[test]
fn a_drifting_clock_is_followed() {
    for drift in [-500, 500] {
        // Half a millisecond a second, for a minute: 30 ms to be made up for.
        let heard = Line { drift, seconds: 60, ..GOOD }.run();
        assert!(heard.counters.underruns <= 2, "{drift}: {:?}", heard.counters);
        assert_eq!(heard.counters.discarded, 0);
        assert!(heard.torn(500, 59_000) <= 6, "{drift}: {} torn", heard.torn(500, 59_000));
        assert!(heard.clicks(500, 59_000) <= 6, "{drift}: {} clicks", heard.clicks(500, 59_000));
    }
}

#[test]
fn silence_between_talkspurts_is_silence() {
    let heard = Line { pause: (3000, 5000), jitter: 20, ..GOOD }.run();
    assert!(heard.part(3500, 5000).iter().all(|&sample| sample == 0));
    assert!(heard.concealed < Duration::from_millis(400), "{:?}", heard.concealed);
    assert!(heard.torn(5200, 9900) <= 4);
    assert!(heard.part(5150, 5250).iter().any(|&sample| sample > 5000), "back within 150 ms");
}

#[test]
fn a_stall_is_caught_up_with() {
    let heard = Line { stall: (3000, 3800), seconds: 20, ..GOOD }.run();
    assert!(heard.counters.discarded > 0, "{:?}", heard.counters);
    assert!(heard.torn(5000, 19_000) <= 12, "{}", heard.torn(5000, 19_000));
    assert!(heard.target <= Duration::from_millis(60), "{:?}: the stall is forgotten", heard.target);
}

#[test]
fn a_stall_longer_than_the_buffer_is_a_new_start() {
    let heard = Line { stall: (3000, 6500), seconds: 20, ..GOOD }.run();
    assert!(heard.torn(8000, 19_000) <= 12, "{}", heard.torn(8000, 19_000));
}

#[test]
fn memory_is_bounded_and_nothing_panics() {
    let mut dice = Dice::new(5);
    let mut playout = Playout::new(8000, &[(0, Codec::Pcmu), (8, Codec::Pcma)]).unwrap();
    for packet in 0..20_000u64 {
        let payload = vec![1; dice.below(3000) as usize];
        let number = (1 << 32) + dice.below(packet + 10);
        let now = Instant::from_micros(dice.below(1 << 40));
        playout.insert(now, number, dice.next() as u32, (dice.below(3) * 4) as u8, &payload);
        playout.insert_other((1 << 32) + dice.below(packet + 10));
        if dice.chance(10) {
            playout.read(now, &mut [0; 160]);
        }
        assert!(playout.ready.len() < 8000);
    }
}

#[test]
fn another_payload_type_is_another_codec() {
    let mut playout = Playout::new(8000, &[(0, Codec::Pcmu), (8, Codec::Pcma)]).unwrap();
    let mut changes = vec![];
    for packet in 0..40u32 {
        let now = Instant::from_millis(u64::from(packet) * 20);
        let payload_type = if packet < 20 { 0 } else { 8 };
        playout.insert(now, (1 << 32) + u64::from(packet), packet * 160, payload_type, &[0x55; 160]);
        for beat in 0..2 {
            playout.read(now + Duration::from_millis(beat * 10), &mut [0; 80]);
            changes.extend(playout.take_change());
        }
    }
    assert_eq!(changes, [(0, Codec::Pcmu), (8, Codec::Pcma)]);
}

#[cfg(feature = "opus")]
#[test]
fn opus_over_the_same_lines() {
    for rate in [8000, 48_000] {
        let opus = Line { codec: Codec::Opus, rate, ..GOOD };
        let heard = Line { ..opus }.run();
        assert_eq!(heard.counters, Counters::default());
        assert!(heard.torn(500, 9900) <= 2, "{}", heard.torn(500, 9900));
        for seed in 1..=3 {
            let heard = Line { codec: Codec::Opus, rate, jitter: 40, loss: 5, seed, ..GOOD }.run();
            // Each loss may tear the window it is in and the next one.
            let torn = heard.torn(1000, 9900);
            assert!(torn <= heard.lost * 2 + 10, "seed {seed}: {torn} of 356, {} lost", heard.lost);
        }
    }
}
