//! RTP packets (RFC 3550 §5.1): one validated view over received bytes, one writer that does not allocate.
//!
//! Header extensions (RFC 8285), CSRC lists and padding are stepped over and never interpreted. What is not version 2,
//! is cut short, or lies about its lengths is refused whole. RTCP on the same port is told apart first (RFC 5761 §4),
//! because an RTP parser would take it for payload types 64 to 95.

use rtp_rs::{RtpPacketBuilder, RtpReader, RtpReaderError, Seq};
use thiserror::Error;

/// The fixed RTP header without CSRCs, in bytes.
pub const HEADER: usize = 12;

/// One received RTP packet; `payload` excludes extension and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    /// In units of the payload type's clock.
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

/// Why bytes are no RTP packet: always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtpError {
    #[error("not RTP version 2")]
    Version,
    #[error("shorter than its headers say")]
    Truncated,
    #[error("impossible padding length")]
    Padding,
    #[error("an RTCP packet (RFC 5761 §4)")]
    Rtcp,
}

impl<'a> Packet<'a> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// [`RtpError`] for anything that is not a whole RTP version 2 packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        if is_rtcp(bytes) {
            return Err(RtpError::Rtcp);
        }
        let reader = RtpReader::new(bytes).map_err(|error| match error {
            RtpReaderError::UnsupportedVersion(_) => RtpError::Version,
            RtpReaderError::PaddingLengthInvalid(_) => RtpError::Padding,
            RtpReaderError::BufferTooShort(_) | RtpReaderError::HeadersTruncated { .. } => {
                RtpError::Truncated
            }
        })?;
        Ok(Self {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
            payload: reader.payload(),
        })
    }

    /// Appends the packet to `out`, without extension, CSRCs or padding.
    ///
    /// A payload type above 127 loses its top bit; whoever negotiated it has checked it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + HEADER + self.payload.len(), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let written = RtpPacketBuilder::new()
            .payload_type(self.payload_type & 0x7f)
            .marked(self.marker)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(self.payload)
            .build_into(room);
        debug_assert_eq!(written, Ok(HEADER + self.payload.len()));
    }
}

/// Whether a datagram on a shared port is RTCP: RTCP packet types 192 to 223, that is RTP payload types 64 to 95
/// with the marker set, which RFC 5761 §4 forbids to negotiate.
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first >> 6 == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{corpus, mutate};

    #[test]
    fn the_corpus_is_read_as_it_says() {
        let mut valid = 0;
        for case in corpus("rtp.json") {
            let parsed = Packet::parse(&case.bytes);
            assert_eq!(parsed.is_ok(), case.valid, "{}: {parsed:?}", case.id);
            let Ok(packet) = parsed else { continue };
            valid += 1;
            let facts = &case.facts;
            let check = |name: &str, got: u64| {
                if let Some(want) = facts.get(name).and_then(serde_json::Value::as_u64) {
                    assert_eq!(got, want, "{}: {name}", case.id);
                }
            };
            check("pt", packet.payload_type.into());
            check("marker", packet.marker.into());
            check("seq", packet.sequence.into());
            check("ts", packet.timestamp.into());
            check("ssrc", packet.ssrc.into());
            check("payload_len", packet.payload.len() as u64);
        }
        assert!(valid > 10);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let packet = Packet {
            payload_type: 96,
            marker: true,
            sequence: 65535,
            timestamp: u32::MAX,
            ssrc: 7,
            payload: b"abc",
        };
        let mut out = vec![1, 2];
        packet.write(&mut out);
        assert_eq!(Packet::parse(&out[2..]), Ok(packet));
    }

    #[test]
    fn rtcp_is_told_apart() {
        assert!(is_rtcp(&[0x80, 200, 0, 6]));
        assert!(is_rtcp(&[0x81, 223]));
        assert!(!is_rtcp(&[0x80, 0x80 | 96]));
        assert!(!is_rtcp(&[0x80, 0]));
        assert!(!is_rtcp(&[0x80]));
        assert_eq!(Packet::parse(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]), Err(RtpError::Rtcp));
    }

    #[test]
    fn mutations_never_panic() {
        let cases = corpus("rtp.json");
        mutate(&cases, 20_000, |bytes| {
            if let Ok(packet) = Packet::parse(bytes) {
                assert!(packet.payload.len() <= bytes.len() - HEADER);
            }
        });
    }
}
