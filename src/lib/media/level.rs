//! How loud: a meter over PCM, in dBFS.
//!
//! 0 dBFS is the power of a full-scale square wave, as RFC 6464 §3 counts dBov; a full-scale sine reads −3.01.
//! The floor is −127 dB, RFC 6464's value for digital silence.

/// A smoothed power meter with a time constant of 200 ms.
#[derive(Clone, Debug)]
pub struct Level {
    rate: f64,
    /// Mean square of samples in the range −1…1; `None` until something was measured.
    power: Option<f64>,
    /// Sum of squares of all samples, and how many they were.
    total: (f64, u64),
}

impl Level {
    /// A meter for mono sound at `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate.max(1)), power: None, total: (0.0, 0) }
    }

    /// Measures the next block.
    pub fn measure(&mut self, pcm: &[i16]) {
        if pcm.is_empty() {
            return;
        }
        let sum: f64 = pcm.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
        let sum = sum / (32768.0 * 32768.0);
        self.total = (self.total.0 + sum, self.total.1 + pcm.len() as u64);
        self.smooth(sum / pcm.len() as f64, pcm.len());
    }

    /// So many samples during which nothing was to be heard: the meter falls, the mean does not.
    pub fn rest(&mut self, samples: usize) {
        if self.power.is_some() {
            self.smooth(0.0, samples);
        }
    }

    fn smooth(&mut self, mean: f64, samples: usize) {
        let weight = 1.0 - (-(samples as f64) / (self.rate * TIME_CONSTANT)).exp();
        self.power = Some(match self.power {
            Some(power) => power + (mean - power) * weight,
            None => mean,
        });
    }

    /// The level now, dBFS in −127…0; `None` if nothing was ever measured.
    pub fn dbfs(&self) -> Option<f64> {
        self.power.map(decibels)
    }

    /// The mean level of everything measured.
    pub fn mean_dbfs(&self) -> Option<f64> {
        (self.total.1 > 0).then(|| decibels(self.total.0 / self.total.1 as f64))
    }
}

fn decibels(power: f64) -> f64 {
    (10.0 * power.max(1e-20).log10()).clamp(FLOOR, 0.0)
}

const FLOOR: f64 = -127.0;
/// Seconds.
const TIME_CONSTANT: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::tone;

    #[test]
    fn known_levels() {
        let mut level = Level::new(8000);
        assert_eq!(level.dbfs(), None);
        level.measure(&[]);
        assert_eq!(level.dbfs(), None);
        level.rest(160);
        assert_eq!(level.dbfs(), None, "a rest is no measurement");
        level.measure(&[0; 160]);
        assert_eq!(level.dbfs(), Some(FLOOR));

        let mut level = Level::new(8000);
        level.measure(&[-32768; 1600]);
        level.rest(16_000);
        assert!(level.dbfs().unwrap() < -40.0);
        assert!(level.mean_dbfs().unwrap().abs() < 0.001);

        let mut level = Level::new(8000);
        level.measure(&[-32768; 160]);
        assert!(level.dbfs().unwrap().abs() < 0.001);

        let mut level = Level::new(8000);
        for block in tone(8000, 440.0, 16384.0, 16_000).chunks(160) {
            level.measure(block);
        }
        assert!((level.dbfs().unwrap() + 9.03).abs() < 0.1, "{:?}", level.dbfs());
    }

    #[test]
    fn it_follows_within_a_second() {
        let mut level = Level::new(48_000);
        level.measure(&[20_000; 48_000]);
        for _ in 0..100 {
            level.measure(&[0; 480]);
        }
        assert!(level.dbfs().unwrap() < -20.0);
    }
}
