//! From a codec's rate to a whole multiple of it: 8000 Hz sound for a session that runs at 48000 Hz.
//!
//! A polyphase low-pass (Hann-windowed sinc). Only the receiving side needs it: what is sent is already at the send
//! codec's rate, and libopus decodes to 8000 Hz by itself.

/// A streaming 1:`factor` interpolator for mono sound.
#[derive(Clone, Debug)]
pub struct Upsampler {
    factor: usize,
    /// `factor` phases of [`TAPS`] coefficients each.
    phases: Vec<[f32; TAPS]>,
    /// The last [`TAPS`] input samples, newest last.
    line: [f32; TAPS],
}

impl Upsampler {
    /// A factor of 1 passes sound through.
    pub fn new(factor: usize) -> Self {
        let factor = factor.max(1);
        let len = (factor * TAPS) as f64;
        let phases = (0..factor)
            .map(|phase| {
                let mut taps = std::array::from_fn::<f64, TAPS, _>(|tap| {
                    // Position of this coefficient relative to the middle of the filter, in input samples.
                    let at = (tap * factor + phase) as f64 + 0.5;
                    let x = (at - len / 2.0) / factor as f64;
                    let sinc = if x == 0.0 {
                        1.0
                    } else {
                        (std::f64::consts::PI * x * CUTOFF).sin() / (std::f64::consts::PI * x * CUTOFF)
                    };
                    let hann = (std::f64::consts::PI * at / len).sin().powi(2);
                    sinc * hann
                });
                // Each phase passes a constant unchanged, so no phase can be heard against another.
                let sum: f64 = taps.iter().sum();
                taps.iter_mut().for_each(|tap| *tap /= sum);
                taps.map(|tap| tap as f32)
            })
            .collect();
        Self { factor, phases, line: [0.0; TAPS] }
    }

    pub fn factor(&self) -> usize {
        self.factor
    }

    /// Appends `factor` samples to `out` for each of `pcm`.
    pub fn run(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        if self.factor == 1 {
            out.extend_from_slice(pcm);
            return;
        }
        for &sample in pcm {
            self.line.copy_within(1.., 0);
            self.line[TAPS - 1] = f32::from(sample);
            for phase in &self.phases {
                // The filter is applied backwards in time: tap 0 belongs to the newest sample.
                let sum: f32 =
                    phase.iter().zip(self.line.iter().rev()).map(|(tap, sample)| tap * sample).sum();
                out.push(sum.round().clamp(-32768.0, 32767.0) as i16);
            }
        }
    }
}

/// Input samples each output sample is made from.
const TAPS: usize = 24;
/// Pass band as a part of the input's Nyquist frequency.
const CUTOFF: f64 = 0.92;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{purity, tone};

    #[test]
    fn a_tone_is_the_same_tone() {
        for hz in [300.0, 440.0, 1000.0, 3000.0] {
            let mut out = Vec::new();
            Upsampler::new(6).run(&tone(8000, hz, 10_000.0, 1600), &mut out);
            assert_eq!(out.len(), 9600);
            let purity = purity(&out[600..], 48_000, hz);
            assert!(purity > 0.999, "{hz}: {purity}");
            let power = out[600..].iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 9000.0;
            assert!((power / 5e7 - 1.0).abs() < 0.15, "{hz}: {power}");
        }
    }

    #[test]
    fn one_is_no_change() {
        let mut out = vec![];
        Upsampler::new(1).run(&[1, 2, 3], &mut out);
        assert_eq!(out, [1, 2, 3]);
    }
}
