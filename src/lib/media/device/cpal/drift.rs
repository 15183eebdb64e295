//! Keeps a ring between two clocks near its target fill, by telling how fast its reader should read.
//!
//! Pure arithmetic: a smoothed fill and a proportional answer. A sound card is off by up to a few hundred ppm, which
//! this holds with the fill a millisecond or so beside its target; what is far off is the caller's to cut or fill.

/// The state of one direction.
#[derive(Debug, Clone)]
pub struct Drift {
    /// Frames that should be waiting.
    target: f64,
    /// Hz of the device.
    rate: f64,
    smoothed: f64,
}

impl Drift {
    /// For a ring of `rate` Hz samples in which `target` of them should wait.
    pub fn new(target: usize, rate: u32) -> Self {
        Self { target: target as f64, rate: f64::from(rate), smoothed: target as f64 }
    }

    /// Once per 10 ms beat: `fill` samples are waiting. Returns the speed at which to take them, 1 being nominal.
    pub fn update(&mut self, fill: usize) -> f64 {
        self.smoothed += (fill as f64 - self.smoothed) * SMOOTHING;
        let seconds_off = (self.smoothed - self.target) / self.rate;
        1.0 + (seconds_off * GAIN).clamp(-MOST, MOST)
    }

    /// The ring was cut or filled up to its target: what was learned of the fill is void.
    pub fn reset(&mut self) {
        self.smoothed = self.target;
    }
}

/// Per update: a second and a half of memory, so that the card's periods do not show.
const SMOOTHING: f64 = 0.015;
/// 10 ms beside the target is caught up at 0.1 %.
const GAIN: f64 = 0.1;
/// Nobody hears half a percent.
const MOST: f64 = 0.005;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_off_is_followed() {
        for off in [-300e-6, 300e-6] {
            let mut drift = Drift::new(1920, 48000);
            let (mut fill, mut speed) = (1920.0f64, 1.0);
            let mut extremes = (f64::MAX, f64::MIN);
            for beat in 0..60_000 {
                // The card delivers 20 ms periods, we take 10 ms.
                if beat % 2 == 0 {
                    fill += 960.0 * (1.0 + off);
                }
                fill -= 480.0 * speed;
                speed = drift.update(fill.max(0.0) as usize);
                if beat > 6000 {
                    extremes = (extremes.0.min(fill), extremes.1.max(fill));
                }
            }
            assert!(extremes.0 > 1000.0 && extremes.1 < 2900.0, "{off}: {extremes:?}");
            assert!((speed - 1.0 - off).abs() < 100e-6, "{off}: {speed}");
        }
    }
}
