//! The media thread's ends of a card's rings: session rate here, the card's rate and clock there.

use std::sync::Arc;

use rtrb::{Consumer, Producer};

use super::super::resample::{Pull, Push, RateError};
use super::super::{Condition, Input, Output, Sink, Source, to_float, to_pcm};
use super::Card;
use super::drift::Drift;

/// Frames that should wait in a ring at `rate` Hz: one period of the card, one block of ours, and 10 ms for the
/// scheduler.
pub(super) fn target(rate: u32) -> usize {
    rate as usize / 25
}

/// Frames a ring holds: half a second, far more than we let it fill.
pub(super) fn capacity(rate: u32) -> usize {
    rate as usize / 2
}

/// Above this a ring is cut back to its target at once: too much for steering.
fn most(rate: u32) -> usize {
    target(rate) + rate as usize / 10
}

/// The microphone as a source.
pub struct Capture {
    card: Arc<Card>,
    ring: Ring,
    /// Hz.
    device_rate: u32,
    resampler: Pull,
    drift: Drift,
    scratch: Vec<f32>,
}

/// The reading end, with its memory of whether sound is flowing.
struct Ring {
    consumer: Consumer<f32>,
    flowing: bool,
    target: usize,
}

impl Ring {
    fn fetch(&mut self, out: &mut [f32]) {
        let waiting = self.consumer.slots();
        self.flowing &= waiting > 0;
        self.flowing |= waiting >= self.target;
        let ready = if self.flowing { waiting.min(out.len()) } else { 0 };
        let (now, rest) = out.split_at_mut(ready);
        match self.consumer.read_chunk(ready) {
            Ok(chunk) => now.iter_mut().zip(chunk).for_each(|(slot, sample)| *slot = sample),
            Err(_) => now.fill(0.0),
        }
        rest.fill(0.0);
    }

    /// Cuts what is too much; says whether it did.
    fn cut(&mut self, most: usize) -> bool {
        let waiting = self.consumer.slots();
        if waiting <= most {
            return false;
        }
        if let Ok(chunk) = self.consumer.read_chunk(waiting - self.target) {
            chunk.commit_all();
        }
        true
    }
}

impl Capture {
    pub(super) fn new(consumer: Consumer<f32>, device_rate: u32, card: Arc<Card>) -> Result<Self, RateError> {
        Ok(Self {
            card,
            ring: Ring { consumer, flowing: false, target: target(device_rate) },
            device_rate,
            resampler: Pull::new(device_rate, 8000, true)?,
            drift: Drift::new(target(device_rate), device_rate),
            scratch: Vec::new(),
        })
    }
}

impl Source for Capture {
    fn read(&mut self, out: &mut [i16]) {
        if self.card.loss().is_some() {
            return out.fill(0);
        }
        if self.ring.cut(most(self.device_rate)) {
            self.drift.reset();
        }
        if self.ring.flowing {
            let speed = self.drift.update(self.ring.consumer.slots());
            self.resampler.steer(speed);
        }
        let Self { ring, scratch, resampler, .. } = self;
        scratch.resize(out.len(), 0.0);
        resampler.read(scratch, |wanted| ring.fetch(wanted));
        for (sample, float) in out.iter_mut().zip(scratch.iter()) {
            *sample = to_pcm(*float);
        }
    }
}

impl Input for Capture {
    fn set_rate(&mut self, rate: u32) {
        match Pull::new(self.device_rate, rate, true) {
            Ok(resampler) => self.resampler = resampler,
            Err(why) => tracing::warn!(%why, "the card cannot follow the session's rate"),
        }
    }

    fn condition(&self) -> Condition {
        self.card.loss().map_or(Condition::Working, Condition::Lost)
    }
}

/// The loudspeaker as a sink.
pub struct Playback {
    card: Arc<Card>,
    producer: Producer<f32>,
    /// Hz.
    device_rate: u32,
    resampler: Push,
    drift: Drift,
    scratch: Vec<f32>,
}

impl Playback {
    pub(super) fn new(producer: Producer<f32>, device_rate: u32, card: Arc<Card>) -> Result<Self, RateError> {
        Ok(Self {
            card,
            producer,
            device_rate,
            resampler: Push::new(8000, device_rate, true)?,
            drift: Drift::new(target(device_rate), device_rate),
            scratch: Vec::new(),
        })
    }
}

impl Sink for Playback {
    fn write(&mut self, pcm: &[i16]) {
        if self.card.loss().is_some() {
            return;
        }
        let waiting = capacity(self.device_rate).saturating_sub(self.producer.slots());
        if waiting > most(self.device_rate) {
            // The card paused and came back, or is far too slow: leaving blocks out brings the delay down again.
            return self.drift.reset();
        }
        // An empty ring means that the card waits for its target; that is no drift.
        if waiting > 0 {
            let speed = self.drift.update(waiting);
            self.resampler.steer(speed);
        }
        let Self { producer, scratch, resampler, .. } = self;
        scratch.clear();
        scratch.extend(pcm.iter().map(|sample| to_float(*sample)));
        resampler.write(scratch, |piece| {
            let room = producer.slots().min(piece.len());
            if let Ok(chunk) = producer.write_chunk_uninit(room) {
                chunk.fill_from_iter(piece.iter().copied());
            }
        });
    }
}

impl Output for Playback {
    fn set_rate(&mut self, rate: u32) {
        match Push::new(rate, self.device_rate, true) {
            Ok(resampler) => self.resampler = resampler,
            Err(why) => tracing::warn!(%why, "the card cannot follow the session's rate"),
        }
    }

    fn condition(&self) -> Condition {
        self.card.loss().map_or(Condition::Working, Condition::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shared;
    use super::*;
    use crate::media::device::Loss;
    use rtrb::RingBuffer;

    fn card() -> (Arc<Card>, Arc<Shared>) {
        let shared = Arc::new(Shared::default());
        (Arc::new(Card { shared: Arc::clone(&shared), owner: std::thread::current() }), shared)
    }

    #[test]
    fn a_microphone_on_a_slightly_fast_clock_neither_overflows_nor_runs_dry() {
        let (card, _) = card();
        let (mut producer, consumer) = RingBuffer::new(capacity(48000));
        let mut capture = Capture::new(consumer, 48000, card).unwrap();
        capture.set_rate(16000);
        let (mut owed, mut phase, mut silent) = (0.0, 0u32, 0);
        let mut block = [0i16; 160];
        for beat in 0..6000 {
            if beat % 2 == 0 {
                owed += 960.0 * 1.0002;
                while owed >= 1.0 {
                    owed -= 1.0;
                    let sample = (std::f32::consts::TAU * phase as f32 / 48.0).sin() * 0.5;
                    phase = (phase + 1) % 48;
                    producer.push(sample).expect("the ring never fills up");
                }
            }
            capture.read(&mut block);
            if beat > 20 {
                silent += usize::from(block.iter().all(|s| s.unsigned_abs() < 100));
            }
        }
        assert_eq!(silent, 0);
        let waiting = producer.buffer().capacity() - producer.slots();
        assert!((960..3000).contains(&waiting), "{waiting}");
    }

    #[test]
    fn a_backlog_is_cut_and_a_full_ring_drops() {
        let (card, shared) = card();
        let (mut producer, consumer) = RingBuffer::new(capacity(48000));
        let mut capture = Capture::new(consumer, 48000, Arc::clone(&card)).unwrap();
        producer.push_entire_slice(&[0.5; 20_000]).unwrap();
        let mut block = [0i16; 80];
        capture.read(&mut block);
        assert!(capture.ring.consumer.slots() <= target(48000));

        let (producer, consumer) = RingBuffer::new(capacity(48000));
        let mut playback = Playback::new(producer, 48000, card).unwrap();
        for _ in 0..1000 {
            playback.write(&[1000; 160]);
        }
        assert!(consumer.slots() <= most(48000) + 1000, "{}", consumer.slots());

        shared.lose(Loss::Stalled);
        shared.lose(Loss::Failed);
        assert_eq!(capture.condition(), Condition::Lost(Loss::Stalled));
        assert_eq!(playback.condition(), Condition::Lost(Loss::Stalled));
        capture.read(&mut block);
        assert_eq!(block, [0; 80]);
    }
}
