//! A steady sine, for tests and for being heard: −6 dBFS peak, continuous in phase across blocks and rate changes.

use std::f64::consts::TAU;

use super::{Input, Source};

/// A sine wave that never ends.
#[derive(Debug, Clone)]
pub struct Tone {
    /// Hz.
    frequency: f64,
    /// Hz.
    rate: f64,
    /// Turns, 0…1: where the next sample is.
    phase: f64,
}

impl Tone {
    /// A tone of `hz` Hz. Above half the session rate it cannot be represented, and silence is sent.
    pub fn new(hz: f32) -> Self {
        Self { frequency: f64::from(hz), rate: 8000.0, phase: 0.0 }
    }
}

impl Source for Tone {
    fn read(&mut self, out: &mut [i16]) {
        if !(self.frequency > 0.0 && self.frequency < self.rate / 2.0) {
            return out.fill(0);
        }
        let step = self.frequency / self.rate;
        // One turn of the pointer per sample instead of one sine: exact at the start of each block, so that the error
        // (about 1e-16 a step) never adds up. A server plays thousands of these.
        let (mut sine, mut cosine) = (self.phase * TAU).sin_cos();
        let (turn_sine, turn_cosine) = (step * TAU).sin_cos();
        for sample in out.iter_mut() {
            *sample = (sine * AMPLITUDE).round() as i16;
            (sine, cosine) =
                (sine * turn_cosine + cosine * turn_sine, cosine * turn_cosine - sine * turn_sine);
        }
        self.phase = (self.phase + step * out.len() as f64).fract();
    }
}

impl Input for Tone {
    fn set_rate(&mut self, rate: u32) {
        self.rate = f64::from(rate);
    }
}

/// −6.02 dBFS: loud enough to be found, far from clipping when it is mixed or companded.
const AMPLITUDE: f64 = 16384.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_is_exact_after_an_hour_of_odd_blocks() {
        let mut tone = Tone::new(440.0);
        tone.set_rate(8000);
        let mut block = [0i16; 160];
        for _ in 0..50 * 3600 {
            tone.read(&mut block);
        }
        // An hour is a whole number of periods: the wave starts again where it began.
        let mut first = Tone::new(440.0);
        let mut expected = [0i16; 160];
        first.read(&mut expected);
        tone.read(&mut block);
        for (sample, expected) in block.iter().zip(expected) {
            assert!((sample - expected).abs() <= 1, "{sample} {expected}");
        }
        let peak = block.iter().map(|s| s.unsigned_abs()).max();
        assert!(peak > Some(16000) && peak <= Some(16384), "{peak:?}");
    }

    #[test]
    fn a_rate_change_keeps_the_wave_continuous() {
        let mut tone = Tone::new(1000.0);
        let mut narrow = [0i16; 83];
        tone.read(&mut narrow);
        tone.set_rate(48000);
        let mut wide = [0i16; 960];
        tone.read(&mut wide);
        // At 1 kHz and 8 kHz neighbours differ by at most A·2·sin(π/8).
        assert!((i32::from(wide[0]) - i32::from(narrow[82])).abs() < 12600);
    }

    #[test]
    fn what_cannot_be_represented_is_silence() {
        for hz in [0.0, -5.0, 4000.0, 9000.0, f32::NAN, f32::INFINITY] {
            let mut block = [7i16; 80];
            Tone::new(hz).read(&mut block);
            assert_eq!(block, [0; 80], "{hz}");
        }
    }
}
