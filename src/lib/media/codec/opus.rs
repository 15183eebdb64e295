//! Opus (RFC 6716) through libopus: mono, its own concealment, in-band FEC both ways.

use opus::{Application, Bitrate, Channels};

use super::{Codec, CodecError, Tuning};

pub struct Encoder(opus::Encoder);

impl Encoder {
    pub fn new(tuning: Tuning) -> Result<Self, CodecError> {
        let parameters = |_| CodecError::Parameters(Codec::Opus);
        let mut encoder =
            opus::Encoder::new(Codec::Opus.rate(), Channels::Mono, Application::Voip).map_err(parameters)?;
        let bitrate = tuning.bitrate.unwrap_or(BITRATE).clamp(6000, BITRATE);
        encoder.set_bitrate(Bitrate::Bits(bitrate as i32)).map_err(parameters)?;
        encoder.set_vbr(!tuning.constant).map_err(parameters)?;
        encoder.set_complexity(COMPLEXITY).map_err(parameters)?;
        encoder.set_inband_fec(tuning.fec).map_err(parameters)?;
        // libopus spends nothing on FEC while it believes in a line without loss.
        encoder.set_packet_loss_perc(LEAST_LOSS.into()).map_err(parameters)?;
        Ok(Self(encoder))
    }

    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        self.0.encode(pcm, out).map_err(|_| CodecError::Parameters(Codec::Opus))
    }

    pub fn expect_loss(&mut self, percent: u8) {
        // Cannot fail for 0…100; if it did, the last value would do.
        let _ = self.0.set_packet_loss_perc(percent.clamp(LEAST_LOSS, 100).into());
    }
}

pub struct Decoder {
    decoder: opus::Decoder,
    rate: u32,
}

impl Decoder {
    pub fn new(rate: u32) -> Result<Self, CodecError> {
        // A decoder for one channel mixes stereo down by itself (RFC 7587 §3.4).
        let decoder =
            opus::Decoder::new(rate, Channels::Mono).map_err(|_| CodecError::Parameters(Codec::Opus))?;
        Ok(Self { decoder, rate })
    }

    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, CodecError> {
        // An empty payload would mean "conceal" to libopus.
        if payload.is_empty() {
            return Err(CodecError::Payload(Codec::Opus));
        }
        self.run(payload, MAX_MILLIS * self.rate as usize / 1000, false, out)
    }

    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        self.fill(&[], samples, false, out);
    }

    pub fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<i16>) {
        // Falls back to concealment by itself when `next` carries no redundancy.
        self.fill(next, samples, !next.is_empty(), out);
    }

    /// Exactly `samples`, whatever libopus makes of it: it works in units of 2.5 ms.
    fn fill(&mut self, payload: &[u8], samples: usize, fec: bool, out: &mut Vec<i16>) {
        let (before, unit) = (out.len(), (self.rate / 400).max(1) as usize);
        let whole = samples.div_ceil(unit) * unit;
        let whole = whole.min(MAX_MILLIS * self.rate as usize / 1000);
        if self.run(payload, whole, fec, out).is_err() {
            out.truncate(before);
        }
        out.resize(before + samples, 0);
    }

    fn run(
        &mut self,
        payload: &[u8],
        room: usize,
        fec: bool,
        out: &mut Vec<i16>,
    ) -> Result<usize, CodecError> {
        let before = out.len();
        out.resize(before + room, 0);
        let target = out.get_mut(before..).unwrap_or_default();
        let result = self.decoder.decode(payload, target, fec);
        let len = result.as_ref().copied().unwrap_or(0).min(room);
        out.truncate(before + len);
        result.map(|_| len).map_err(|_| CodecError::Payload(Codec::Opus))
    }
}

/// Bits per second: wideband and better speech in hybrid mode, where FEC exists; CELT alone has none.
const BITRATE: u32 = 32_000;
/// Of 10. Above it the ear gains little and the processor loses much.
const COMPLEXITY: i32 = 6;
/// Percent.
const LEAST_LOSS: u8 = 5;
/// The longest packet there is (RFC 6716 §2.1.4).
const MAX_MILLIS: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{Dice, purity, tone, unhex};

    #[test]
    fn a_tone_comes_through_at_either_rate_with_losses() {
        for rate in [8000, 48_000] {
            let sound = tone(48_000, 440.0, 10_000.0, 96_000);
            let mut encoder = Encoder::new(Tuning::default()).unwrap();
            let mut decoder = Decoder::new(rate).unwrap();
            let packets: Vec<Vec<u8>> = sound
                .chunks(960)
                .map(|block| {
                    let mut payload = [0; 1500];
                    let len = encoder.encode(block, &mut payload).unwrap();
                    payload[..len].to_vec()
                })
                .collect();
            let (mut heard, frame) = (vec![], rate as usize / 50);
            for (number, payload) in packets.iter().enumerate() {
                match (number % 10, packets.get(number + 1)) {
                    (7, Some(next)) => decoder.recover(next, frame, &mut heard),
                    (3, _) => decoder.conceal(frame, &mut heard),
                    _ => assert_eq!(decoder.decode(payload, &mut heard), Ok(frame)),
                }
            }
            assert_eq!(heard.len(), rate as usize * 2);
            let purity = purity(&heard[rate as usize / 2..], rate, 440.0);
            assert!(purity > 0.9, "{rate}: {purity}");
        }
    }

    #[test]
    fn toc_octets_decode_to_their_duration() {
        let text = include_str!("../../../../tests/data/media/opus-toc.tsv");
        for line in text.lines().skip(1) {
            let row: Vec<&str> = line.split('\t').collect();
            let (toc, micros, code) =
                (row[0].parse::<u8>().unwrap(), row[4].parse::<usize>().unwrap(), row[6]);
            if code != "0" {
                continue;
            }
            let mut out = vec![];
            // A frame of length zero is DTX: decoded as its duration.
            let got = Decoder::new(48_000).unwrap().decode(&[toc], &mut out);
            assert_eq!(got, Ok(micros * 48 / 1000), "{toc}");
        }
    }

    #[test]
    fn bad_framing_is_refused() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/data/media/opus-framing.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let payload = unhex(case["hex"].as_str().unwrap());
            let invalid = case["expect"].as_str().unwrap().starts_with("INVALID");
            let got = Decoder::new(48_000).unwrap().decode(&payload, &mut vec![]);
            assert_eq!(got.is_err(), invalid, "{}", case["id"]);
        }
    }

    #[test]
    fn garbage_does_not_break_the_decoder() {
        let (mut dice, mut decoder) = (Dice::new(3), Decoder::new(48_000).unwrap());
        for _ in 0..500 {
            let payload: Vec<u8> = (0..1 + dice.below(300)).map(|_| dice.below(256) as u8).collect();
            let mut out = vec![];
            let _ = decoder.decode(&payload, &mut out);
            decoder.recover(&payload, 960, &mut out);
            assert!(out.len() <= 5760 + 960);
        }
    }
}
