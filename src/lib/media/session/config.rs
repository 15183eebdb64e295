//! What a session is told: formats, directions, addresses; and what it refuses of that.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

#[cfg(doc)]
use super::Session;
#[cfg(doc)]
use crate::time::Instant;
use crate::{
    media::codec::{Codec, CodecError, Tuning},
    time::Duration,
};

/// What offer/answer agreed on, and what the caller chose at random.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub local_ssrc: u32,
    /// RTCP's name for us: the same for all streams of a call, unlinkable to a person (RFC 7022).
    pub cname: String,
    /// For the first sequence number and timestamp and for RTCP's dice: must be unpredictable (RFC 3550 §5.1).
    pub seed: u64,
    /// NTP time (32.32 fixed point) of [`Instant::ZERO`], for sender reports.
    pub ntp_epoch: u64,
    pub send: Option<Format>,
    /// Payload types we announced, with their codecs.
    pub receive: Vec<(u8, Codec)>,
    pub telephone_event: TelephoneEvent,
    /// 10–60 ms; rounded down to what the send codec can do, see [`Session::ptime`].
    pub ptime: Duration,
    /// Seen from us.
    pub direction: Direction,
    /// Where the peer's description says media goes.
    pub remote_rtp: Option<SocketAddr>,
    /// Without rtcp-mux; `None` means the RTP port + 1 (RFC 3550 §11).
    pub remote_rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// The source IP of the peer's signalling, if that showed NAT.
    pub nat: Option<IpAddr>,
    /// Counts offer/answer exchanges: a new number lets media latch anew.
    pub exchange: u64,
}

impl Default for Config {
    /// PCMU at 20 ms, both ways, to nobody.
    fn default() -> Self {
        Self {
            local_ssrc: 0,
            cname: String::new(),
            seed: 0,
            ntp_epoch: 0,
            send: Some(Format { payload_type: 0, codec: Codec::Pcmu, tuning: Tuning::default() }),
            receive: vec![(0, Codec::Pcmu)],
            telephone_event: TelephoneEvent::default(),
            ptime: Duration::from_millis(20),
            direction: Direction::SendRecv,
            remote_rtp: None,
            remote_rtcp: None,
            rtcp_mux: false,
            nat: None,
            exchange: 0,
        }
    }
}

/// What we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub payload_type: u8,
    pub codec: Codec,
    pub tuning: Tuning,
}

/// Payload types and clocks (Hz) of telephone-event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Its clock should be the send codec's: durations count in it, timestamps in the codec's.
    pub send: Option<(u8, u32)>,
    pub receive: Vec<(u8, u32)>,
}

/// Which way sound may go, seen from us (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Why a configuration was refused: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// RFC 5761 §4: it would be taken for RTCP, or does not exist.
    #[error("payload type {0} cannot be used")]
    PayloadType(u8),
}

/// RFC 5761 §4: what shares a port with RTCP must not look like it.
pub(super) fn check(config: &Config) -> Result<(), SessionError> {
    let sent = config.send.iter().map(|format| format.payload_type);
    let events = &config.telephone_event;
    let all = sent
        .chain(config.receive.iter().map(|&(number, _)| number))
        .chain(events.send.iter().chain(&events.receive).map(|&(number, _)| number));
    match all.into_iter().find(|number| matches!(number, 64..=95 | 128..)) {
        Some(number) => Err(SessionError::PayloadType(number)),
        None => Ok(()),
    }
}

/// Hz of all sound.
pub(super) fn rate(config: &Config) -> u32 {
    let heard = || config.receive.first().map(|&(_, codec)| codec);
    config.send.map(|format| format.codec).or_else(heard).map_or(8000, Codec::rate)
}

/// The packet time the send codec makes of the one asked for.
pub(super) fn ptime_ms(config: &Config) -> u32 {
    let codec = config.send.map_or(Codec::Pcmu, |format| format.codec);
    codec.packet_time(config.ptime.as_millis().min(1000) as u32)
}

pub(super) fn frame_len(rate: u32, ptime_ms: u32) -> usize {
    (rate / 1000 * ptime_ms) as usize
}
