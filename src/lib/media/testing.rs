//! What the media tests share: the packet files of tests/data/media, byte mutations, tones, a seeded generator.

use serde_json::Value;

/// One packet of a data file: what it is and whether a parser must take it.
pub struct Case {
    pub id: String,
    pub bytes: Vec<u8>,
    pub valid: bool,
    pub facts: Value,
}

/// Reads `rtp.json` or `rtcp.json`.
pub fn corpus(name: &str) -> Vec<Case> {
    let text = match name {
        "rtp.json" => include_str!("../../../tests/data/media/rtp.json"),
        "rtcp.json" => include_str!("../../../tests/data/media/rtcp.json"),
        _ => panic!("no such data file: {name}"),
    };
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    cases
        .into_iter()
        .map(|case| Case {
            id: case["id"].as_str().unwrap().to_owned(),
            bytes: unhex(case["hex"].as_str().unwrap()),
            valid: case["verdict"] == "valid",
            facts: case["facts"].clone(),
        })
        .collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Calls `check` with `runs` seeded mutations of the cases: flips, cuts, insertions, length lies, repeats.
pub fn mutate(cases: &[Case], runs: usize, mut check: impl FnMut(&[u8])) {
    let mut dice = Dice::new(7);
    for run in 0..runs {
        let mut bytes = cases[run % cases.len()].bytes.clone();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(bytes.len() as u64 + 1) as usize;
            match dice.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
                1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at, dice.below(256) as u8),
                4 if bytes.len() < 2000 => bytes.extend_from_within(at..),
                5 if bytes.len() >= 4 => bytes[3] = dice.below(16) as u8,
                _ => {}
            }
        }
        check(&bytes);
    }
}

/// A sine of `hz` and `amplitude` at `rate`, `len` samples long.
pub fn tone(rate: u32, hz: f64, amplitude: f64, len: usize) -> Vec<i16> {
    (0..len)
        .map(|at| {
            let phase = at as f64 * hz / f64::from(rate);
            ((phase * std::f64::consts::TAU).sin() * amplitude).round() as i16
        })
        .collect()
}

/// How much of the power of `pcm` is at `hz`, 0…1 (Goertzel).
pub fn purity(pcm: &[i16], rate: u32, hz: f64) -> f64 {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
    for (at, &sample) in pcm.iter().enumerate() {
        let sample = f64::from(sample);
        re += sample * (step * at as f64).cos();
        im += sample * (step * at as f64).sin();
        all += sample * sample;
    }
    if all == 0.0 { 0.0 } else { 2.0 * (re * re + im * im) / pcm.len() as f64 / all }
}

/// splitmix64: the same numbers for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
