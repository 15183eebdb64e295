//! Time scaling: one pitch period more or less in a block of sound, without changing its pitch.
//!
//! Overlap-add at the lag where the block resembles itself most. Silence may be cut anywhere; sound that does not
//! resemble itself (a click, a consonant) is left alone unless the caller insists.

/// How to change a block's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Shorten,
    Lengthen,
}

/// Rewrites `pcm` (mono at `rate` Hz) to be one period shorter or longer; returns by how many samples.
///
/// Zero means nothing fitted: the block is too short or unlike itself, and `insist` was not set.
pub fn stretch(pcm: &mut Vec<i16>, rate: u32, change: Change, insist: bool) -> usize {
    let step = (rate / COARSE_RATE).max(1) as usize;
    let shortest = (rate / 400) as usize; // 2.5 ms
    let longest = ((rate / 66) as usize).min(pcm.len() / 2); // 15 ms
    if shortest == 0 || shortest > longest {
        return 0;
    }
    let Some((lag, likeness)) = best_lag(pcm, shortest, longest, step) else { return 0 };
    if likeness < LIKE_ITSELF && !insist {
        return 0;
    }
    match change {
        Change::Shorten => {
            for at in 0..lag {
                pcm[at] = mix(pcm[at], pcm[at + lag], at, lag);
            }
            pcm.drain(lag..2 * lag);
        }
        Change::Lengthen => {
            // x[0..lag], then x[lag..2 lag] turning into x[0..lag], then on from x[lag].
            let bridge = pcm.len();
            for at in 0..lag {
                let sample = mix(pcm[at + lag], pcm[at], at, lag);
                pcm.push(sample);
            }
            pcm[lag..].rotate_right(lag);
            debug_assert_eq!(pcm.len(), bridge + lag);
        }
    }
    lag
}

/// The lag with the highest normalised correlation, and that correlation (1 for silence).
fn best_lag(pcm: &[i16], shortest: usize, longest: usize, step: usize) -> Option<(usize, f64)> {
    let energy: f64 = pcm.iter().step_by(step).map(|&sample| f64::from(sample) * f64::from(sample)).sum();
    if energy / (pcm.len() / step).max(1) as f64 <= SILENCE {
        return Some((longest, 1.0));
    }
    let mut best = None::<(usize, f64)>;
    let mut consider = |lag: usize, step: usize| {
        let likeness = likeness(pcm, lag, step);
        if best.is_none_or(|(_, most)| likeness > most) {
            best = Some((lag, likeness));
        }
        best
    };
    let mut coarse = None;
    for lag in (shortest..=longest).step_by(step) {
        coarse = consider(lag, step);
    }
    if step > 1 {
        let (centre, _) = coarse?;
        for lag in centre.saturating_sub(step).max(shortest)..=(centre + step).min(longest) {
            coarse = consider(lag, step);
        }
    }
    coarse
}

fn likeness(pcm: &[i16], lag: usize, step: usize) -> f64 {
    let (Some(here), Some(there)) = (pcm.get(..lag), pcm.get(lag..2 * lag)) else { return -1.0 };
    let (mut cross, mut left, mut right) = (0.0, 1.0, 1.0);
    for (&a, &b) in here.iter().step_by(step).zip(there.iter().step_by(step)) {
        let (a, b) = (f64::from(a), f64::from(b));
        cross += a * b;
        left += a * a;
        right += b * b;
    }
    cross / (left * right).sqrt()
}

/// From `a` to `b` as `at` goes from 0 to `len`.
fn mix(a: i16, b: i16, at: usize, len: usize) -> i16 {
    let weight = (at as i64 * 2 + 1) * 16_384 / len.max(1) as i64; // of 32768
    ((i64::from(a) * (32_768 - weight) + i64::from(b) * weight) >> 15) as i16
}

/// The search looks at this many samples per second, and refines the winner.
const COARSE_RATE: u32 = 8000;
const LIKE_ITSELF: f64 = 0.85;
/// Mean square below which sound is silence: an amplitude of about 16 of 32768, −66 dBFS.
const SILENCE: f64 = 256.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{Dice, purity, tone};

    #[test]
    fn a_tone_stays_a_tone() {
        for rate in [8000, 16_000, 48_000] {
            for hz in [200.0, 440.0, 1000.0] {
                for change in [Change::Shorten, Change::Lengthen] {
                    let before = tone(rate, hz, 10_000.0, rate as usize / 50);
                    let mut after = before.clone();
                    let by = stretch(&mut after, rate, change, false);
                    assert!(by > 0, "{rate} {hz} {change:?}");
                    let want = if change == Change::Shorten { before.len() - by } else { before.len() + by };
                    assert_eq!(after.len(), want);
                    // Seen as part of a longer tone, nothing jumps.
                    let most =
                        after.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
                    let slope = 10_000.0 * std::f64::consts::TAU * hz / f64::from(rate);
                    assert!(
                        f64::from(most) < slope * 1.6 + 50.0,
                        "{rate} {hz} {change:?}: {most} over {slope}"
                    );
                    assert!(purity(&after, rate, hz) > 0.9, "{rate} {hz} {change:?}");
                }
            }
        }
    }

    #[test]
    fn silence_goes_and_noise_stays() {
        let mut silence = vec![0; 160];
        assert_eq!(stretch(&mut silence, 8000, Change::Shorten, false), 80);
        let mut dice = Dice::new(1);
        let mut noise: Vec<i16> = (0..160).map(|_| dice.below(20_000) as i16 - 10_000).collect();
        assert_eq!(stretch(&mut noise, 8000, Change::Shorten, false), 0);
        assert!(stretch(&mut noise, 8000, Change::Shorten, true) > 0);
    }

    #[test]
    fn too_short_is_left_alone() {
        for len in 0..40 {
            let mut pcm = vec![5; len];
            assert_eq!(stretch(&mut pcm, 8000, Change::Lengthen, true), 0);
            assert_eq!(pcm.len(), len);
        }
        assert_eq!(stretch(&mut vec![5; 100], 0, Change::Lengthen, true), 0);
    }
}
