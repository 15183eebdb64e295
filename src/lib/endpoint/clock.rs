//! The real clock, read in one place.

use crate::time::Instant;

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The standard library's time of an instant of this clock.
    pub fn std(&self, at: Instant) -> std::time::Instant {
        self.0 + std::time::Duration::from_micros(at.as_micros())
    }
}
