//! One rate to another, in the direction the caller drives: [`Pull`] when the reader decides how much, [`Push`] when
//! the writer does. Both can be steered by a fraction of a percent, for two clocks that are never quite the same.
//!
//! Samples are `f32`, −1…1, mono. The work is rubato's windowed sinc.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::WindowFunction;
use rubato::{Adjustable, Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType};

/// The rate of a file or device is outside of what can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate of {0} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")]
pub struct RateError(pub u32);

/// Hz.
pub const MIN_RATE: u32 = 2_000;
/// Hz.
pub const MAX_RATE: u32 = 384_000;
/// How far [`Pull::steer`] and [`Push::steer`] may go, as a fraction of the nominal speed.
pub const MAX_STEER: f64 = 0.01;

/// Converts what it fetches from `from` to `to` Hz, as much as its reader asks for.
pub struct Pull {
    core: Option<Async<f32>>,
    input: Vec<f32>,
    output: Vec<f32>,
    /// How much of `output` the reader has had.
    used: usize,
}

impl Pull {
    /// Equal rates cost nothing, unless `steered`.
    pub fn new(from: u32, to: u32, steered: bool) -> Result<Self, RateError> {
        let core = core(from, to, steered, FixedAsync::Output)?;
        Ok(Self { core, input: Vec::new(), output: Vec::new(), used: 0 })
    }

    /// Fills `out`; `feed` is asked for input as it is needed and must fill all it is given.
    pub fn read(&mut self, mut out: &mut [f32], mut feed: impl FnMut(&mut [f32])) {
        let Some(core) = &mut self.core else { return feed(out) };
        while !out.is_empty() {
            if self.used == self.output.len() {
                self.input.resize(core.input_frames_next(), 0.0);
                self.output.resize(core.output_frames_next(), 0.0);
                feed(&mut self.input);
                let written = convert(core, &self.input, &mut self.output);
                self.output.truncate(written.max(1));
                self.used = 0;
            }
            let ready = &self.output[self.used..];
            let (now, later) = out.split_at_mut(ready.len().min(out.len()));
            now.copy_from_slice(&ready[..now.len()]);
            self.used += now.len();
            out = later;
        }
    }

    /// Uses up input `speed` times as fast as the nominal rates say; within ±[`MAX_STEER`] of 1.
    pub fn steer(&mut self, speed: f64) {
        steer(&mut self.core, speed);
    }
}

/// Converts what it is given from `from` to `to` Hz, and hands it on.
pub struct Push {
    core: Option<Async<f32>>,
    /// Input that does not fill a chunk yet.
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Push {
    /// Equal rates cost nothing, unless `steered`.
    pub fn new(from: u32, to: u32, steered: bool) -> Result<Self, RateError> {
        let core = core(from, to, steered, FixedAsync::Input)?;
        Ok(Self { core, input: Vec::new(), output: Vec::new() })
    }

    /// Takes `pcm`; `emit` gets what has become of it, in zero or more pieces.
    pub fn write(&mut self, mut pcm: &[f32], mut emit: impl FnMut(&[f32])) {
        let Some(core) = &mut self.core else { return emit(pcm) };
        while !pcm.is_empty() {
            let wanted = core.input_frames_next().saturating_sub(self.input.len());
            let (now, later) = pcm.split_at(wanted.min(pcm.len()));
            self.input.extend_from_slice(now);
            pcm = later;
            if self.input.len() >= core.input_frames_next() {
                self.output.resize(core.output_frames_max(), 0.0);
                let written = convert(core, &self.input, &mut self.output);
                self.input.clear();
                emit(&self.output[..written]);
            }
        }
    }

    /// Uses up input `speed` times as fast as the nominal rates say; within ±[`MAX_STEER`] of 1.
    pub fn steer(&mut self, speed: f64) {
        steer(&mut self.core, speed);
    }
}

fn core(from: u32, to: u32, steered: bool, fixed: FixedAsync) -> Result<Option<Async<f32>>, RateError> {
    for rate in [from, to] {
        if !(MIN_RATE..=MAX_RATE).contains(&rate) {
            return Err(RateError(rate));
        }
    }
    if from == to && !steered {
        return Ok(None);
    }
    let chunk = match fixed {
        FixedAsync::Input => from,
        FixedAsync::Output => to,
    };
    // The filter's length counts input samples: going down in rate it must span as much *output* time as going up,
    // or the transition band is too wide and what lies above half the output rate folds back.
    let length = BASE_LENGTH * (from.div_ceil(to) as usize).clamp(1, 8);
    let parameters = SincInterpolationParameters::new(length, WindowFunction::BlackmanHarris2)
        .oversampling_factor(128)
        .interpolation(SincInterpolationType::Linear);
    let ratio = f64::from(to) / f64::from(from);
    Async::new_sinc(ratio, 1.0 + 2.0 * MAX_STEER, &parameters, (chunk / 100).max(1) as usize, 1, fixed)
        .map(Some)
        .map_err(|_| RateError(from))
}

/// How many samples were written. The buffers always fit, so the refusals that rubato could utter cannot occur;
/// silence would be the answer.
fn convert(core: &mut Async<f32>, input: &[f32], output: &mut [f32]) -> usize {
    let frames = output.len();
    let Ok(from) = InterleavedSlice::new(input, 1, input.len()) else { return 0 };
    let Ok(mut to) = InterleavedSlice::new_mut(output, 1, frames) else { return 0 };
    core.process_into_buffer(&from, &mut to, None).map_or(0, |(_, written)| written)
}

fn steer(core: &mut Option<Async<f32>>, speed: f64) {
    if let Some(core) = core {
        let relative = 1.0 / speed.clamp(1.0 - MAX_STEER, 1.0 + MAX_STEER);
        // Cannot be refused: the clamp keeps it inside the bound given at construction.
        let _ = core.set_resample_ratio_relative(relative, true);
    }
}

/// Taps at equal or rising rates.
const BASE_LENGTH: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 7] = [8000, 11025, 16000, 22050, 44100, 48000, 96000];

    fn sine(hz: f64, rate: u32, count: usize) -> Vec<f32> {
        (0..count)
            .map(|n| (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin() as f32 * 0.5)
            .collect()
    }

    /// Amplitude of `hz` in `pcm`, by correlation.
    fn amplitude(pcm: &[f32], hz: f64, rate: u32) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in pcm.iter().enumerate() {
            let angle = std::f64::consts::TAU * hz * n as f64 / f64::from(rate);
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        2.0 * re.hypot(im) / pcm.len() as f64
    }

    fn pulled(from: u32, to: u32, hz: f64) -> Vec<f32> {
        let input = sine(hz, from, 2 * from as usize);
        let mut at = 0;
        let mut pull = Pull::new(from, to, false).unwrap();
        let mut out = vec![0.0; to as usize];
        for block in out.chunks_mut(to as usize / 50) {
            pull.read(block, |wanted| {
                wanted.copy_from_slice(&input[at..at + wanted.len()]);
                at += wanted.len();
            });
        }
        // About a second in for a second out: nothing is hoarded.
        assert!((at as i64 - i64::from(from)).abs() < i64::from(from) / 20, "{from} {to} {at}");
        out.split_off(to as usize / 10 * 5)
    }

    #[test]
    fn a_tone_survives_every_pair_of_rates() {
        for from in RATES {
            for to in RATES {
                let level = amplitude(&pulled(from, to, 1000.0), 1000.0, to);
                assert!((level - 0.5).abs() < 0.01, "{from} → {to}: {level}");
            }
        }
    }

    #[test]
    fn nothing_folds_back_from_above_half_the_rate() {
        // 5.5 kHz cannot be at 8 kHz; unfiltered it would be heard as 2.5 kHz.
        for from in [16000, 44100, 48000] {
            let level = amplitude(&pulled(from, 8000, 5500.0), 2500.0, 8000);
            assert!(level < 0.5 * 0.002, "{from}: {level}");
        }
    }

    #[test]
    fn pushing_equals_pulling_in_length_and_level() {
        for from in RATES {
            for to in RATES {
                let mut push = Push::new(from, to, false).unwrap();
                let mut out = Vec::new();
                for block in sine(1000.0, from, from as usize).chunks(from as usize / 50) {
                    push.write(block, |piece| out.extend_from_slice(piece));
                }
                assert!(
                    (out.len() as i64 - i64::from(to)).abs() < i64::from(to) / 20,
                    "{from} {to} {}",
                    out.len()
                );
                let tail = out.split_off(to as usize / 2);
                let level = amplitude(&tail, 1000.0, to);
                assert!((level - 0.5).abs() < 0.01, "{from} → {to}: {level}");
            }
        }
    }

    #[test]
    fn steering_changes_how_fast_input_is_used() {
        let mut used = [0usize; 2];
        for (speed, used) in [0.995, 1.005].into_iter().zip(&mut used) {
            let mut pull = Pull::new(48000, 48000, true).unwrap();
            pull.steer(speed);
            let mut block = [0.0; 480];
            for _ in 0..1000 {
                pull.read(&mut block, |wanted| *used += wanted.len());
            }
        }
        assert!((used[0] as f64 / 480_000.0 - 0.995).abs() < 0.0005, "{used:?}");
        assert!((used[1] as f64 / 480_000.0 - 1.005).abs() < 0.0005, "{used:?}");
        let mut pull = Pull::new(48000, 8000, true).unwrap();
        pull.steer(f64::MAX);
        pull.steer(0.0);
    }

    #[test]
    fn absurd_rates_are_refused() {
        for (from, to) in [(0, 8000), (8000, 0), (1, 8000), (u32::MAX, 8000), (48000, 500_000)] {
            assert!(Pull::new(from, to, false).is_err());
            assert!(Push::new(from, to, true).is_err());
        }
    }
}
