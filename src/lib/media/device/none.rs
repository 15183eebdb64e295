//! No sound: silence out, and a sink that forgets.

use super::{Input, Output, Sink, Source};

/// Sends silence for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence;

impl Source for Silence {
    fn read(&mut self, out: &mut [i16]) {
        out.fill(0);
    }
}

impl Input for Silence {
    fn set_rate(&mut self, _rate: u32) {}
}

/// Takes everything and keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Sink for Discard {
    fn write(&mut self, _pcm: &[i16]) {}
}

impl Output for Discard {
    fn set_rate(&mut self, _rate: u32) {}
}
