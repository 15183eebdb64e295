//! Codecs: what the names mean, and one face for all encoders and decoders.
//!
//! PCMU and PCMA are always there; Opus (RFC 6716, RFC 7587) needs the feature `opus`. Sound is mono signed 16-bit.
//! A decoder is told the rate its listener wants, so a session has one rate whatever the peer sends.

pub mod g711;
#[cfg(feature = "opus")]
mod opus;

use std::fmt;

use thiserror::Error;

use crate::media::{plc::Concealment, upsample::Upsampler};

/// A codec this library knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Pcmu,
    Pcma,
    Opus,
}

impl Codec {
    /// All of them, in the order in which they are worth offering.
    pub const ALL: [Self; 3] = [Self::Opus, Self::Pcmu, Self::Pcma];

    /// The encoding name of its rtpmap (RFC 3551, RFC 7587 §7).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Opus => "opus",
        }
    }

    /// By encoding name, letters of either case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// The RTP clock, Hz.
    pub const fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
            Self::Opus => 48_000,
        }
    }

    /// The rate of the sound it is given and gives, Hz.
    pub const fn rate(self) -> u32 {
        self.clock()
    }

    /// Channels as its rtpmap counts them: Opus always says 2 (RFC 7587 §4.1), whatever is sent.
    pub const fn channels(self) -> u8 {
        match self {
            Self::Pcmu | Self::Pcma => 1,
            Self::Opus => 2,
        }
    }

    /// The static payload type (RFC 3551 §6), if it has one.
    pub const fn payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::Opus => None,
        }
    }

    /// Whether this build can code and decode it.
    pub const fn is_available(self) -> bool {
        match self {
            Self::Pcmu | Self::Pcma => true,
            Self::Opus => cfg!(feature = "opus"),
        }
    }

    /// The packet time nearest below `millis` that it can make, ms: 10, 20, … 60, Opus without 30 and 50.
    pub const fn packet_time(self, millis: u32) -> u32 {
        let millis = if millis < 10 {
            10
        } else if millis > 60 {
            60
        } else {
            millis / 10 * 10
        };
        match (self, millis) {
            (Self::Opus, 30) => 20,
            (Self::Opus, 50) => 40,
            _ => millis,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the peer's format parameters ask of our encoder (RFC 7587 §6.1); nothing for G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The peer makes use of in-band forward error correction (`useinbandfec`).
    pub fec: bool,
    /// Bits per second at most (`maxaveragebitrate`), 6000…510000.
    pub bitrate: Option<u32>,
    /// Constant bit rate (`cbr`).
    pub constant: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { fec: true, bitrate: None, constant: false }
    }
}

/// Why a codec did not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The caller asked for a codec this build is without.
    #[error("{0} is not in this build (feature `opus`)")]
    NotBuilt(Codec),
    /// The caller asked for a rate or packet time the codec does not have.
    #[error("{0} does not work with these parameters")]
    Parameters(Codec),
    /// The peer sent a payload that is none.
    #[error("a payload that is no {0}")]
    Payload(Codec),
}

/// Sound to payloads.
pub struct Encoder(Coding);

enum Coding {
    Pcmu,
    Pcma,
    #[cfg(feature = "opus")]
    Opus(opus::Encoder),
}

impl Encoder {
    /// # Errors
    /// [`CodecError::NotBuilt`] without the feature, [`CodecError::Parameters`] if libopus refuses them.
    pub fn new(codec: Codec, tuning: Tuning) -> Result<Self, CodecError> {
        Ok(Self(match codec {
            Codec::Pcmu => Coding::Pcmu,
            Codec::Pcma => Coding::Pcma,
            #[cfg(feature = "opus")]
            Codec::Opus => Coding::Opus(opus::Encoder::new(tuning)?),
            #[cfg(not(feature = "opus"))]
            Codec::Opus => {
                let _ = tuning;
                return Err(CodecError::NotBuilt(codec));
            }
        }))
    }

    /// Writes the payload for one packet time of sound at the codec's rate; returns its length in bytes.
    ///
    /// # Errors
    /// [`CodecError::Parameters`] if the length of `pcm` is no packet time, or `out` is too short.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        match &mut self.0 {
            Coding::Pcmu => law(Codec::Pcmu, g711::to_ulaw, pcm, out),
            Coding::Pcma => law(Codec::Pcma, g711::to_alaw, pcm, out),
            #[cfg(feature = "opus")]
            Coding::Opus(encoder) => encoder.encode(pcm, out),
        }
    }

    /// The peer reports this loss, percent: how much redundancy is worth sending.
    pub fn expect_loss(&mut self, percent: u8) {
        match &mut self.0 {
            Coding::Pcmu | Coding::Pcma => _ = percent,
            #[cfg(feature = "opus")]
            Coding::Opus(encoder) => encoder.expect_loss(percent),
        }
    }
}

fn law(codec: Codec, code: fn(i16) -> u8, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
    let out = out.get_mut(..pcm.len()).ok_or(CodecError::Parameters(codec))?;
    for (octet, &sample) in out.iter_mut().zip(pcm) {
        *octet = code(sample);
    }
    Ok(pcm.len())
}

/// Payloads to sound, and sound for payloads that did not come.
pub struct Decoder(Decoding);

enum Decoding {
    Law(Box<Law>),
    #[cfg(feature = "opus")]
    Opus(opus::Decoder),
}

/// G.711 with its concealment and its way to a higher rate.
struct Law {
    codec: Codec,
    expand: fn(u8) -> i16,
    concealment: Concealment,
    upsampler: Upsampler,
    scratch: Vec<i16>,
}

impl Decoder {
    /// A decoder that gives sound at `rate` Hz, a multiple of 8000 up to 48000.
    ///
    /// # Errors
    /// [`CodecError::NotBuilt`] without the feature, [`CodecError::Parameters`] for a rate it cannot give.
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        if rate == 0 || rate > 48_000 || !rate.is_multiple_of(8000) {
            return Err(CodecError::Parameters(codec));
        }
        Ok(Self(match codec {
            Codec::Pcmu => Decoding::Law(Box::new(Law::new(codec, g711::from_ulaw, rate))),
            Codec::Pcma => Decoding::Law(Box::new(Law::new(codec, g711::from_alaw, rate))),
            #[cfg(feature = "opus")]
            Codec::Opus => Decoding::Opus(opus::Decoder::new(rate)?),
            #[cfg(not(feature = "opus"))]
            Codec::Opus => return Err(CodecError::NotBuilt(codec)),
        }))
    }

    /// Appends the sound of one payload to `out`, at most 120 ms of it for Opus and 250 ms for G.711.
    ///
    /// # Errors
    /// [`CodecError::Payload`]; `out` is then unchanged.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, CodecError> {
        match &mut self.0 {
            Decoding::Law(law) => law.decode(payload, out),
            #[cfg(feature = "opus")]
            Decoding::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// Appends made-up sound for `samples` (at the decoder's rate) that did not come.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        match &mut self.0 {
            Decoding::Law(law) => law.conceal(samples, out),
            #[cfg(feature = "opus")]
            Decoding::Opus(decoder) => decoder.conceal(samples, out),
        }
    }

    /// Appends `samples` of sound for a lost payload from the redundancy in the one after it (in-band FEC),
    /// or made up where there is none.
    pub fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<i16>) {
        match &mut self.0 {
            Decoding::Law(law) => {
                let _ = next;
                law.conceal(samples, out);
            }
            #[cfg(feature = "opus")]
            Decoding::Opus(decoder) => decoder.recover(next, samples, out),
        }
    }
}

impl Law {
    fn new(codec: Codec, expand: fn(u8) -> i16, rate: u32) -> Self {
        Self {
            codec,
            expand,
            concealment: Concealment::new(codec.rate()),
            upsampler: Upsampler::new((rate / codec.rate()) as usize),
            scratch: Vec::with_capacity(MAX_LAW),
        }
    }

    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, CodecError> {
        if payload.is_empty() || payload.len() > MAX_LAW {
            return Err(CodecError::Payload(self.codec));
        }
        self.scratch.clear();
        self.scratch.extend(payload.iter().map(|&octet| (self.expand)(octet)));
        self.concealment.heard(&mut self.scratch);
        let before = out.len();
        self.upsampler.run(&self.scratch, out);
        Ok(out.len() - before)
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let before = out.len();
        let factor = self.upsampler.factor();
        self.scratch.clear();
        self.scratch.resize(samples.div_ceil(factor).min(MAX_LAW), 0);
        self.concealment.conceal(&mut self.scratch);
        self.upsampler.run(&self.scratch, out);
        out.truncate(before + samples);
    }
}

/// 250 ms, far above any packet time in use (RFC 3551 §4.2 asks receivers to take 200 ms).
const MAX_LAW: usize = 2000;

/// The longest payload a codec here makes or takes, bytes.
pub const MAX_PAYLOAD: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{purity, tone};

    #[test]
    fn names_and_numbers() {
        assert_eq!(Codec::from_name("pcmu"), Some(Codec::Pcmu));
        assert_eq!(Codec::from_name("OPUS"), Some(Codec::Opus));
        assert_eq!(Codec::from_name("G729"), None);
        assert_eq!(Codec::Pcma.payload_type(), Some(8));
        assert_eq!(
            [0, 10, 25, 30, 35, 50, 90].map(|ms| Codec::Pcmu.packet_time(ms)),
            [10, 10, 20, 30, 30, 50, 60]
        );
        assert_eq!(
            [0, 10, 25, 30, 35, 50, 90].map(|ms| Codec::Opus.packet_time(ms)),
            [10, 10, 20, 20, 20, 40, 60]
        );
    }

    #[test]
    fn g711_carries_a_tone_at_either_rate() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            for rate in [8000, 48_000] {
                let sound = tone(8000, 440.0, 10_000.0, 1600);
                let mut encoder = Encoder::new(codec, Tuning::default()).unwrap();
                let mut decoder = Decoder::new(codec, rate).unwrap();
                let mut heard = vec![];
                for (number, block) in sound.chunks(160).enumerate() {
                    let mut payload = [0; 160];
                    assert_eq!(encoder.encode(block, &mut payload), Ok(160));
                    if number == 4 {
                        decoder.conceal(rate as usize / 50, &mut heard);
                    } else {
                        assert_eq!(decoder.decode(&payload, &mut heard), Ok(rate as usize / 50));
                    }
                }
                assert_eq!(heard.len(), rate as usize / 5);
                assert!(purity(&heard, rate, 440.0) > 0.95);
            }
        }
    }

    #[test]
    fn payloads_that_are_none_are_refused() {
        let mut out = vec![];
        let mut decoder = Decoder::new(Codec::Pcmu, 8000).unwrap();
        assert_eq!(decoder.decode(&[], &mut out), Err(CodecError::Payload(Codec::Pcmu)));
        assert_eq!(decoder.decode(&[0; MAX_LAW + 1], &mut out), Err(CodecError::Payload(Codec::Pcmu)));
        assert!(out.is_empty());
        assert_eq!(Decoder::new(Codec::Pcmu, 44_100).err(), Some(CodecError::Parameters(Codec::Pcmu)));
        let mut encoder = Encoder::new(Codec::Pcmu, Tuning::default()).unwrap();
        assert_eq!(encoder.encode(&[0; 160], &mut [0; 10]), Err(CodecError::Parameters(Codec::Pcmu)));
    }

    #[cfg(not(feature = "opus"))]
    #[test]
    fn opus_says_that_it_is_not_there() {
        assert!(!Codec::Opus.is_available());
        assert_eq!(Decoder::new(Codec::Opus, 48_000).err(), Some(CodecError::NotBuilt(Codec::Opus)));
    }
}
