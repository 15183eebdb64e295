//! Hears and sends the same: a bounded ring from a sink to a source.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Input, Output, Sink, Source};

/// The two ends of an echo. What is written to the sink comes out of the source, at most 200 ms later.
pub fn pair() -> (EchoSource, EchoSink) {
    let ring = Arc::new(Mutex::new(Ring { samples: VecDeque::new(), rate: 8000 }));
    (EchoSource(Arc::clone(&ring)), EchoSink(ring))
}

/// The end that speaks.
#[derive(Debug)]
pub struct EchoSource(Arc<Mutex<Ring>>);

/// The end that listens.
#[derive(Debug)]
pub struct EchoSink(Arc<Mutex<Ring>>);

/// Both ends live on one media thread, so the lock is never contended.
#[derive(Debug)]
struct Ring {
    samples: VecDeque<i16>,
    rate: u32,
}

impl Ring {
    /// What is inside is at the old rate: dropping a few milliseconds beats playing them at the wrong pitch.
    fn set_rate(&mut self, rate: u32) {
        if rate != self.rate {
            self.rate = rate;
            self.samples.clear();
        }
    }
}

impl Source for EchoSource {
    fn read(&mut self, out: &mut [i16]) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let have = ring.samples.len().min(out.len());
        for (sample, echoed) in out.iter_mut().zip(ring.samples.drain(..have)) {
            *sample = echoed;
        }
        out.iter_mut().skip(have).for_each(|sample| *sample = 0);
    }
}

impl Sink for EchoSink {
    fn write(&mut self, pcm: &[i16]) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.samples.extend(pcm);
        // A reader that stopped (a call on hold) must not find minutes of old sound when it comes back.
        let most = (ring.rate / 5) as usize;
        let excess = ring.samples.len().saturating_sub(most);
        ring.samples.drain(..excess);
    }
}

impl Input for EchoSource {
    fn set_rate(&mut self, rate: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set_rate(rate);
    }
}

impl Output for EchoSink {
    fn set_rate(&mut self, rate: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set_rate(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_in_order_and_stays_bounded() {
        let (mut source, mut sink) = pair();
        let mut out = [9i16; 4];
        source.read(&mut out);
        assert_eq!(out, [0; 4]);
        sink.write(&[1, 2, 3]);
        source.read(&mut out);
        assert_eq!(out, [1, 2, 3, 0]);
        for block in 0..1000 {
            sink.write(&[block; 160]);
        }
        source.read(&mut out);
        assert_eq!(out, [990; 4]);
        sink.set_rate(48000);
        source.read(&mut out);
        assert_eq!(out, [0; 4]);
    }
}
