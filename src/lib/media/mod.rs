//! Media of a call: RTP and RTCP, codecs, the adaptive jitter buffer, concealment, DTMF, statistics.
//!
//! Everything here except [`device`] is sans-IO: time is an [`Instant`](crate::time::Instant) argument, packets are
//! byte slices in and out, sound is PCM in and out. Sound is always mono signed 16-bit at a fixed rate (Hz) that
//! source, session and sink agree on when they are made, moved in blocks of a multiple of 10 ms.

pub mod codec;
pub mod device;
pub mod dtmf;
mod jitter;
pub mod latch;
pub mod level;
mod playout;
mod plc;
pub mod rtcp;
pub mod rtp;
pub mod session;
mod source;
pub mod stats;
mod stretch;
#[cfg(test)]
mod testing;
mod upsample;

/// Where the sound we send comes from: a microphone, a file, a tone, nothing.
///
/// The rate (Hz, mono) is fixed when the source is made. Called from the media thread on its beat, so it must never
/// block.
pub trait Source: Send {
    /// Fills all of `out` with the next samples; writes silence when it has nothing to say.
    fn read(&mut self, out: &mut [i16]);
}

/// Where the sound we hear goes: a loudspeaker, a recording, nothing.
///
/// The rate (Hz, mono) is fixed when the sink is made. Called from the media thread on its beat, so it must never
/// block.
pub trait Sink: Send {
    /// Takes the next samples, in order and without gaps: concealment and silence are already filled in.
    fn write(&mut self, pcm: &[i16]);
}
