//! From what was negotiated to what the media session needs.

use std::net::IpAddr;

use crate::{
    media::{
        codec::{self, Tuning},
        session::{self, Format, TelephoneEvent},
    },
    sdp::{Codec, Direction, attribute::OpusParams, negotiate::AudioStream},
    time::Duration,
    ua::call::Path,
    util::id::Ids,
};

/// What a stream is called, chosen at random when the call starts and kept for its life.
#[derive(Clone, Debug)]
pub struct StreamIdentity {
    pub ssrc: u32,
    pub cname: String,
    pub seed: u64,
}

impl StreamIdentity {
    pub fn new(ids: &mut Ids) -> Self {
        Self { ssrc: ids.u32(), cname: ids.hex::<12>(), seed: ids.u64() }
    }

    /// The session's configuration for a negotiated stream. `exchange` is the number of the offer/answer
    /// exchange, `path` the way the peer's description came.
    ///
    /// The peer's media address may be a name (RFC 8866 §5.7); those are not looked up, and nothing is sent
    /// until media arrives.
    pub fn config(&self, audio: &AudioStream, exchange: u64, path: Option<&Path>) -> session::Config {
        let known = |codec: &Codec| codec::Codec::from_name(&codec.name);
        let remote_rtp = audio.remote_rtp.as_ref().and_then(|address| address.socket_addr());
        session::Config {
            local_ssrc: self.ssrc,
            cname: self.cname.clone(),
            seed: self.seed,
            // The media thread knows its own clock.
            ntp_epoch: 0,
            send: known(&audio.send_codec).map(|codec| Format {
                payload_type: audio.send_codec.payload_type,
                codec,
                tuning: tuning(&audio.send_codec),
            }),
            receive: audio
                .receive
                .iter()
                .filter_map(|codec| Some((codec.payload_type, known(codec)?)))
                .collect(),
            telephone_event: TelephoneEvent {
                send: audio.telephone_event_send.map(|event| (event.payload_type, event.clock_rate)),
                receive: audio
                    .telephone_event_receive
                    .iter()
                    .map(|event| (event.payload_type, event.clock_rate))
                    .collect(),
            },
            ptime: Duration::from_millis(audio.ptime.into()),
            direction: match audio.direction {
                Direction::SendRecv => session::Direction::SendRecv,
                Direction::SendOnly => session::Direction::SendOnly,
                Direction::RecvOnly => session::Direction::RecvOnly,
                Direction::Inactive => session::Direction::Inactive,
            },
            remote_rtp,
            remote_rtcp: audio.remote_rtcp.as_ref().and_then(|address| address.socket_addr()),
            rtcp_mux: audio.rtcp_mux,
            nat: path.and_then(|path| nat(path, remote_rtp.map(|address| address.ip()))),
            exchange,
        }
    }
}

/// The source of the signalling, if its Contact or the media address differ from it: then there is a NAT in
/// between, and media may come from that source.
fn nat(path: &Path, media: Option<IpAddr>) -> Option<IpAddr> {
    let source = path.flow.remote.ip();
    let differs = |address: Option<IpAddr>| address.is_some_and(|address| address != source);
    (differs(path.contact) || differs(media)).then_some(source)
}

/// What the peer wants of our encoder (RFC 7587 §6.1).
fn tuning(codec: &Codec) -> Tuning {
    let params = OpusParams::parse(codec.fmtp.as_deref().unwrap_or_default());
    Tuning { fec: params.use_inband_fec, bitrate: params.max_average_bitrate, constant: params.cbr }
}
