//! Packet loss concealment for codecs that have none of their own, in the manner of ITU-T G.711 Appendix I.
//!
//! A gap is filled with the last pitch period of what was heard, repeated, more periods being taken in as the gap
//! grows so that it does not buzz, fading to silence within 60 ms. When sound comes back it is blended in. Unlike
//! Appendix I nothing is delayed: the first period starts with a short ramp that takes up the step instead.

use std::f64::consts::FRAC_PI_2;

/// Concealment state of one stream of mono sound.
#[derive(Clone, Debug)]
pub struct Concealment {
    rate: usize,
    /// The last sound that was heard or made up, oldest first, always [`HISTORY`] long.
    history: Vec<i16>,
    /// What is repeated now: `cycle[0..period]`, ends blended so that it can be repeated.
    cycle: Vec<i16>,
    position: usize,
    /// One pitch period, and how much is repeated now: one to three of it.
    single: usize,
    period: usize,
    /// The sound just before the gap, as it was, for building longer cycles.
    before: Vec<i16>,
    /// Samples made up so far in this gap.
    made: usize,
    /// A step that the first samples of the gap take up.
    step: i32,
}

impl Concealment {
    /// For sound at `rate` Hz.
    pub fn new(rate: u32) -> Self {
        let rate = rate.max(1000) as usize;
        Self {
            rate,
            history: vec![0; millis(rate, HISTORY)],
            cycle: Vec::with_capacity(millis(rate, HISTORY)),
            position: 0,
            single: 0,
            period: 0,
            before: vec![0; millis(rate, HISTORY)],
            made: 0,
            step: 0,
        }
    }

    /// Sound that came: remembered, and blended with the made-up sound if it ends a gap.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        if self.made > 0 {
            // A quarter period plus 4 ms for each 10 ms of gap, at most 10 ms (Appendix I §I.2.7).
            let gap = self.made / millis(self.rate, 10).max(1);
            let blend =
                (self.period / 4 + gap * millis(self.rate, 4)).min(millis(self.rate, 10)).min(pcm.len());
            for (at, sample) in pcm.iter_mut().take(blend).enumerate() {
                let weight = (at as f64 + 0.5) / blend as f64;
                let made_up = f64::from(self.next());
                *sample = (made_up * (1.0 - weight) + f64::from(*sample) * weight).round() as i16;
            }
            self.made = 0;
        }
        self.remember(pcm);
    }

    /// Makes up sound for a gap; call again as long as the gap lasts.
    pub fn conceal(&mut self, out: &mut [i16]) {
        for sample in out.iter_mut() {
            *sample = self.next();
        }
        self.remember(out);
    }

    fn next(&mut self) -> i16 {
        if self.made == 0 {
            self.begin();
        } else if self.position == self.period {
            self.position = 0;
            // Appendix I §I.2.5: one period for 10 ms, two for the next 10 ms, then three.
            let periods = (1 + self.made / millis(self.rate, 10).max(1)).min(3);
            self.lengthen(periods);
        }
        let ramp = millis(self.rate, 2).max(1);
        let mut sample = i32::from(self.cycle.get(self.position).copied().unwrap_or(0));
        if self.made < ramp {
            sample += self.step * (ramp - self.made) as i32 / ramp as i32;
        }
        // Full for 10 ms, silent after 60 ms.
        let (full, silent) = (millis(self.rate, 10), millis(self.rate, 60));
        let gain = silent.saturating_sub(self.made).min(silent - full) as i64;
        let sample = i64::from(sample) * gain / (silent - full).max(1) as i64;
        self.position += 1;
        // Saturates where it has long been silent.
        self.made = (self.made + 1).min(silent);
        sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }

    fn begin(&mut self) {
        self.before.clone_from(&self.history);
        self.single = pitch(&self.before, self.rate);
        self.period = self.single;
        self.position = 0;
        let len = self.before.len();
        let last = self.before.last().copied().unwrap_or(0);
        let resumed = self.before.get(len - self.period - 1).copied().unwrap_or(0);
        self.step = i32::from(last) - i32::from(resumed);
        self.build(self.period);
    }

    /// Takes more periods into the cycle, as far as the history goes.
    fn lengthen(&mut self, periods: usize) {
        let fits = (self.before.len() / self.single.max(1)).saturating_sub(1).max(1);
        self.period = self.single * periods.min(fits);
        self.build(self.period);
    }

    /// `cycle` = the last `period` samples before the gap, the last quarter blended into what came before them.
    fn build(&mut self, period: usize) {
        let len = self.before.len();
        self.cycle.clear();
        self.cycle.extend_from_slice(self.before.get(len - period..).unwrap_or_default());
        let quarter = (self.single / 4).min(period).min(len - period);
        for at in 0..quarter {
            let weight = ((at as f64 + 0.5) / quarter as f64 * FRAC_PI_2).sin().powi(2);
            let (Some(&earlier), Some(tail)) =
                (self.before.get(len - period - quarter + at), self.cycle.get_mut(period - quarter + at))
            else {
                return;
            };
            *tail = (f64::from(*tail) * (1.0 - weight) + f64::from(earlier) * weight).round() as i16;
        }
    }

    fn remember(&mut self, pcm: &[i16]) {
        let room = self.history.len();
        let new = pcm.get(pcm.len().saturating_sub(room)..).unwrap_or_default();
        self.history.copy_within(new.len().., 0);
        if let Some(end) = self.history.get_mut(room - new.len()..) {
            end.copy_from_slice(new);
        }
    }
}

/// The lag of 5–15 ms at which the last 20 ms resemble what came before most.
fn pitch(history: &[i16], rate: usize) -> usize {
    let (shortest, longest, window) = (millis(rate, 5), millis(rate, 15), millis(rate, 20));
    let len = history.len();
    let now = history.get(len.saturating_sub(window)..).unwrap_or_default();
    let mut best = (longest, f64::MIN);
    for lag in shortest..=longest {
        let then = history.get((len - lag).saturating_sub(window)..len - lag).unwrap_or_default();
        let (mut cross, mut energy) = (0.0, 1.0);
        for (&a, &b) in now.iter().zip(then) {
            cross += f64::from(a) * f64::from(b);
            energy += f64::from(b) * f64::from(b);
        }
        let likeness = cross / energy.sqrt();
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best.0
}

const fn millis(rate: usize, millis: usize) -> usize {
    rate * millis / 1000
}

/// Milliseconds of history: three periods of the lowest pitch and a quarter of one.
const HISTORY: usize = 49;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{purity, tone};

    fn steps(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
    }

    #[test]
    fn a_lost_packet_of_a_tone_is_hardly_heard() {
        for hz in [150.0, 300.0, 440.0, 700.0, 1000.0] {
            let mut sound = tone(8000, hz, 10_000.0, 1600);
            let clean = steps(&sound);
            let mut plc = Concealment::new(8000);
            for (number, block) in sound.chunks_mut(160).enumerate() {
                if number == 5 { plc.conceal(block) } else { plc.heard(block) }
            }
            assert!(steps(&sound) < clean * 3 / 2 + 300, "{hz}: {} over {clean}", steps(&sound));
            assert!(
                purity(&sound[800..960], 8000, hz) > 0.85,
                "{hz}: {}",
                purity(&sound[800..960], 8000, hz)
            );
        }
    }

    #[test]
    fn a_long_gap_fades_to_silence() {
        let mut plc = Concealment::new(8000);
        plc.heard(&mut tone(8000, 440.0, 10_000.0, 800));
        let mut gap = vec![1; 800];
        for block in gap.chunks_mut(80) {
            plc.conceal(block);
        }
        assert!(gap[..80].iter().any(|&sample| sample > 8000));
        assert!(gap[320..400].iter().all(|&sample| sample.abs() < 6000));
        assert!(gap[480..].iter().all(|&sample| sample == 0));
        let mut back = tone(8000, 440.0, 10_000.0, 160);
        plc.heard(&mut back);
        assert!(back[0].abs() < 500, "blended in from silence");
    }

    #[test]
    fn nothing_heard_is_concealed_with_nothing() {
        let mut plc = Concealment::new(8000);
        let mut gap = [9; 160];
        plc.conceal(&mut gap);
        assert!(gap.iter().all(|&sample| sample == 0));
    }
}
