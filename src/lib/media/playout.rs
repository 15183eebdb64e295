//! From received packets to an unbroken stream of sound: jitter buffer, decoders, concealment, time scaling.

use crate::{
    media::{
        codec::{Codec, CodecError, Decoder},
        jitter::{Bounds, Counters, Jitter, Scale, Step},
        stretch::{Change, stretch},
    },
    time::{Duration, Instant},
};

/// The receiving half of a session.
pub struct Playout {
    rate: u32,
    formats: Vec<(u8, Codec)>,
    decoders: Vec<(u8, Decoder)>,
    jitter: Jitter,
    clock: u32,
    /// The newest sequence number inserted: an older packet does not turn the clock back.
    newest: u64,
    /// Payload type last played, and whether that was reported.
    playing: Option<u8>,
    changed: Option<(u8, Codec)>,
    /// Decoded and not yet heard.
    ready: Vec<i16>,
    block: Vec<i16>,
    concealed: u64,
    undecodable: u64,
}

impl Playout {
    /// Sound comes out at `rate` Hz.
    ///
    /// # Errors
    /// [`CodecError`] if a format cannot be decoded at that rate by this build.
    pub fn new(rate: u32, formats: &[(u8, Codec)]) -> Result<Self, CodecError> {
        for &(_, codec) in formats {
            Decoder::new(codec, rate)?;
        }
        let clock = formats.first().map_or(rate, |&(_, codec)| codec.clock());
        Ok(Self {
            rate,
            formats: formats.to_vec(),
            decoders: Vec::new(),
            jitter: Jitter::new(clock, Bounds::default()),
            clock,
            newest: 0,
            playing: None,
            changed: None,
            ready: Vec::with_capacity(rate as usize / 4),
            block: Vec::with_capacity(rate as usize / 4),
            concealed: 0,
            undecodable: 0,
        })
    }

    /// Takes a packet of a negotiated format; `number` is its extended sequence number.
    pub fn insert(&mut self, now: Instant, number: u64, timestamp: u32, payload_type: u8, payload: &[u8]) {
        let Some(codec) = self.codec(payload_type) else { return };
        if codec.clock() != self.clock {
            if number < self.newest {
                return;
            }
            self.clock = codec.clock();
            self.jitter.restart(self.clock);
        }
        self.newest = self.newest.max(number);
        self.jitter.insert(now, number, timestamp, payload_type, payload);
    }

    /// A number came that carries no sound.
    pub fn insert_other(&mut self, number: u64) {
        self.jitter.insert_other(number);
    }

    /// Another stream begins: what is buffered belongs to the old one.
    pub fn restart(&mut self) {
        self.jitter.restart(self.clock);
        self.newest = 0;
    }

    /// Fills `out` with the next sound; false if all of it is silence because nobody is talking.
    pub fn read(&mut self, now: Instant, out: &mut [i16]) -> bool {
        let mut sound = !self.ready.is_empty();
        // Each turn adds at least a sample; the bound is against a decoder that gives none.
        let mut turns = 0;
        while self.ready.len() < out.len() && turns < MAX_TURNS {
            turns += 1;
            sound |= self.step(now, out.len());
        }
        self.ready.resize(self.ready.len().max(out.len()), 0);
        out.copy_from_slice(self.ready.get(..out.len()).unwrap_or_default());
        self.ready.drain(..out.len());
        sound
    }

    /// The payload type and codec now heard, once after each change.
    pub fn take_change(&mut self) -> Option<(u8, Codec)> {
        self.changed.take()
    }

    pub fn counters(&self) -> Counters {
        self.jitter.counters
    }

    /// Sound made up for what did not come.
    pub fn concealed(&self) -> Duration {
        Duration::from_micros(self.concealed * 1_000_000 / u64::from(self.rate.max(1)))
    }

    /// Payloads of a negotiated type that their codec refused.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// The delay the jitter buffer aims at.
    pub fn target(&self) -> Duration {
        self.jitter.target()
    }

    fn step(&mut self, now: Instant, wanted: usize) -> bool {
        let at =
            now + Duration::from_micros(self.ready.len() as u64 * 1_000_000 / u64::from(self.rate.max(1)));
        let (rate, clock) = (u64::from(self.rate), u64::from(self.clock));
        match self.jitter.next(at) {
            Step::Play { payload_type, payload, scale } => {
                self.block.clear();
                let decoder = decoder(&mut self.decoders, &self.formats, payload_type, self.rate);
                let decoded = decoder.and_then(|decoder| decoder.decode(payload, &mut self.block).ok());
                let Some(samples) = decoded else {
                    self.undecodable += 1;
                    return false;
                };
                self.jitter.played((samples as u64 * clock / rate) as u32);
                match scale {
                    Scale::Keep => 0,
                    Scale::Shorten { insist } => stretch(&mut self.block, self.rate, Change::Shorten, insist),
                    Scale::Lengthen => stretch(&mut self.block, self.rate, Change::Lengthen, false),
                };
                self.ready.append(&mut self.block);
                if self.playing != Some(payload_type) {
                    self.playing = Some(payload_type);
                    self.changed = self.codec(payload_type).map(|codec| (payload_type, codec));
                }
                true
            }
            Step::Lost { length, next } => {
                let samples = (u64::from(length) * rate / clock) as usize;
                let playing = self.playing.unwrap_or_default();
                let decoder = decoder(&mut self.decoders, &self.formats, playing, self.rate);
                match (decoder, next) {
                    (Some(decoder), Some((payload_type, payload))) if payload_type == playing => {
                        decoder.recover(payload, samples, &mut self.ready);
                    }
                    (Some(decoder), _) => decoder.conceal(samples, &mut self.ready),
                    (None, _) => self.ready.resize(self.ready.len() + samples, 0),
                }
                self.concealed += samples as u64;
                true
            }
            Step::Dry => {
                let samples = (rate / 100) as usize;
                self.jitter.stretched((clock / 100) as u32);
                let playing = self.playing.unwrap_or_default();
                match decoder(&mut self.decoders, &self.formats, playing, self.rate) {
                    Some(decoder) => decoder.conceal(samples, &mut self.ready),
                    None => self.ready.resize(self.ready.len() + samples, 0),
                }
                self.concealed += samples as u64;
                true
            }
            Step::Silence => {
                let samples = (rate as usize / 100).min(wanted - self.ready.len().min(wanted));
                self.ready.resize(self.ready.len() + samples.max(1), 0);
                false
            }
        }
    }

    fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.formats.iter().find(|&&(number, _)| number == payload_type).map(|&(_, codec)| codec)
    }
}

/// The decoder of a payload type, made when it is first needed.
fn decoder<'d>(
    decoders: &'d mut Vec<(u8, Decoder)>,
    formats: &[(u8, Codec)],
    payload_type: u8,
    rate: u32,
) -> Option<&'d mut Decoder> {
    let at = match decoders.iter().position(|&(number, _)| number == payload_type) {
        Some(at) => at,
        None => {
            let &(_, codec) = formats.iter().find(|&&(number, _)| number == payload_type)?;
            decoders.push((payload_type, Decoder::new(codec, rate).ok()?));
            decoders.len() - 1
        }
    };
    decoders.get_mut(at).map(|(_, decoder)| decoder)
}

/// More steps than one read can need: each fills at least 2.5 ms.
const MAX_TURNS: usize = 200;

#[cfg(test)]
mod tests;
