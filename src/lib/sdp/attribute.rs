//! The attributes a call reads: rtpmap, fmtp, ptime and direction (RFC 8866 §6), rtcp (RFC 3605),
//! rtcp-mux (RFC 5761), the fmtp of Opus (RFC 7587 §6.1), and the payload types that need no rtpmap
//! (RFC 3551 §6).
//!
//! All are views of a kept line; what they cannot read is none, and the line stays as it was.

use super::{Connection, Media};

/// `a=name` or `a=name:value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

impl<'a> Attribute<'a> {
    /// Reads what follows `a=`. Names are compared as written, for they are case-sensitive.
    pub fn of(text: &'a str) -> Self {
        match text.split_once(':') {
            Some((name, value)) => Self { name: name.trim_ascii(), value: Some(value.trim_ascii()) },
            None => Self { name: text.trim_ascii(), value: None },
        }
    }

    /// The value as `PT rest`, as in rtpmap and fmtp.
    fn payload(&self) -> Option<(u8, &'a str)> {
        let (number, rest) = self.value?.split_once([' ', '\t'])?;
        let number = number.parse().ok().filter(|pt| *pt < 128)?;
        Some((number, rest.trim_ascii()))
    }
}

/// Who sends, seen from the owner of the description (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// From the name of an attribute.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same stream seen from the other end.
    pub const fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What both allow, both seen from the same end.
    pub const fn and(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// Holding the peer: it is no longer asked to send (RFC 3264 §8.4).
    pub const fn held(self) -> Self {
        Self::of(self.sends(), false)
    }

    /// The end of a hold: receive again.
    pub const fn resumed(self) -> Self {
        Self::of(self.sends(), true)
    }
}

/// What a payload type means: `a=rtpmap:96 opus/48000/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    pub payload_type: u8,
    /// Compared without regard to case (RFC 4855 §3).
    pub encoding: &'a str,
    /// In Hz.
    pub clock_rate: u32,
    /// 1 unless said otherwise.
    pub channels: u8,
}

impl<'a> RtpMap<'a> {
    fn of(attribute: &Attribute<'a>) -> Option<Self> {
        if attribute.name != "rtpmap" {
            return None;
        }
        let (payload_type, rest) = attribute.payload()?;
        let mut parts = rest.split('/').map(str::trim_ascii);
        let encoding = parts.next().filter(|name| !name.is_empty())?;
        let clock_rate = parts.next()?.parse().ok().filter(|rate| *rate > 0)?;
        let channels = parts.next().and_then(|text| text.parse().ok()).unwrap_or(1);
        Some(Self { payload_type, encoding, clock_rate, channels })
    }
}

impl Media {
    /// What a payload type of this section means: its rtpmap, else the static assignment.
    pub fn rtpmap(&self, payload_type: u8) -> Option<RtpMap<'_>> {
        self.attributes()
            .filter_map(|a| RtpMap::of(&a))
            .find(|map| map.payload_type == payload_type)
            .or_else(|| static_payload_type(payload_type))
    }

    /// The format parameters of a payload type.
    pub fn fmtp(&self, payload_type: u8) -> Option<&str> {
        self.attributes()
            .filter(|a| a.name == "fmtp")
            .find_map(|a| a.payload().filter(|(number, _)| *number == payload_type).map(|(_, rest)| rest))
    }

    /// Milliseconds of audio the owner would like in a packet.
    pub fn ptime(&self) -> Option<u32> {
        self.milliseconds("ptime")
    }

    /// Milliseconds of audio the owner takes in a packet at most.
    pub fn maxptime(&self) -> Option<u32> {
        self.milliseconds("maxptime")
    }

    /// Where RTCP goes if not to the port after RTP's: port, and the address if it is another one.
    pub fn rtcp(&self) -> Option<(u16, Option<Connection>)> {
        let value = self.attribute("rtcp")?.value?;
        let (port, rest) = value.split_once(' ').unwrap_or((value, ""));
        Some((port.parse().ok()?, Connection::parse(rest)))
    }

    /// RTP and RTCP may share a port.
    pub fn rtcp_mux(&self) -> bool {
        self.attribute("rtcp-mux").is_some()
    }

    /// Some peers write a fraction (`20.0`); only whole milliseconds are of use.
    fn milliseconds(&self, name: &str) -> Option<u32> {
        let value = self.attribute(name)?.value?;
        value.split('.').next()?.trim().parse().ok()
    }
}

/// The parameters of `fmtp` for Opus: what its owner wants to receive (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusParams {
    /// Highest sampling rate the receiver renders, in Hz.
    pub max_playback_rate: u32,
    /// In bit/s.
    pub max_average_bitrate: Option<u32>,
    pub stereo: bool,
    pub cbr: bool,
    pub use_inband_fec: bool,
    pub use_dtx: bool,
}

impl Default for OpusParams {
    fn default() -> Self {
        Self {
            max_playback_rate: 48_000,
            max_average_bitrate: None,
            stereo: false,
            cbr: false,
            use_inband_fec: false,
            use_dtx: false,
        }
    }
}

impl OpusParams {
    /// Unknown and unreadable parameters are ignored, as the RFC asks.
    pub fn parse(fmtp: &str) -> Self {
        let mut params = Self::default();
        for (name, value) in parameters(fmtp) {
            let number = value.parse::<u32>().ok();
            let flag = number == Some(1);
            match name.to_ascii_lowercase().as_str() {
                "maxplaybackrate" => {
                    let rate = number.filter(|rate| (8_000..=48_000).contains(rate));
                    params.max_playback_rate = rate.unwrap_or(params.max_playback_rate);
                }
                "maxaveragebitrate" => {
                    params.max_average_bitrate = number.filter(|rate| (6_000..=510_000).contains(rate));
                }
                "stereo" => params.stereo = flag,
                "cbr" => params.cbr = flag,
                "useinbandfec" => params.use_inband_fec = flag,
                "usedtx" => params.use_dtx = flag,
                _ => {}
            }
        }
        params
    }
}

/// `name=value` pairs of an fmtp in the customary form `a=1; b=2`.
pub fn parameters(fmtp: &str) -> impl Iterator<Item = (&str, &str)> {
    fmtp.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

/// RFC 3551 §6, audio; for 9 the clock rate is 8000 by an error that stays (§4.5.2).
fn static_payload_type(payload_type: u8) -> Option<RtpMap<'static>> {
    let (encoding, clock_rate, channels) = match payload_type {
        0 => ("PCMU", 8_000, 1),
        3 => ("GSM", 8_000, 1),
        4 => ("G723", 8_000, 1),
        5 => ("DVI4", 8_000, 1),
        6 => ("DVI4", 16_000, 1),
        7 => ("LPC", 8_000, 1),
        8 => ("PCMA", 8_000, 1),
        9 => ("G722", 8_000, 1),
        10 => ("L16", 44_100, 2),
        11 => ("L16", 44_100, 1),
        12 => ("QCELP", 8_000, 1),
        13 => ("CN", 8_000, 1),
        14 => ("MPA", 90_000, 1),
        15 => ("G728", 8_000, 1),
        16 => ("DVI4", 11_025, 1),
        17 => ("DVI4", 22_050, 1),
        18 => ("G729", 8_000, 1),
        _ => return None,
    };
    Some(RtpMap { payload_type, encoding, clock_rate, channels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::{Line, Port};

    #[test]
    fn directions() {
        use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
        for direction in Direction::ALL {
            assert_eq!(Direction::parse(direction.as_str()), Some(direction));
            assert_eq!(direction.reversed().reversed(), direction);
            assert_eq!(direction.and(SendRecv), direction);
            assert_eq!(direction.and(Inactive), Inactive);
        }
        assert_eq!(SendOnly.and(RecvOnly), Inactive);
        // RFC 3264 §8.4: sendrecv is held as sendonly, recvonly as inactive.
        assert_eq!(SendRecv.held(), SendOnly);
        assert_eq!(RecvOnly.held(), Inactive);
        assert_eq!(SendOnly.resumed(), SendRecv);
        assert_eq!(Inactive.resumed(), RecvOnly);
    }

    #[test]
    fn reads_attributes() {
        let media = media(&[
            "rtpmap:96 Opus/48000/2",
            "fmtp:96 useinbandfec=1; maxplaybackrate=16000;stereo=1;x",
            "rtpmap:x nonsense",
            "rtpmap:97 nothing",
            "rtpmap:200 PCMU/8000",
            "ptime:20.0",
            "maxptime:abc",
            "rtcp:53020 IN IP6 2001:db8::1",
            "rtcp-mux",
            "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xyz",
        ]);
        let opus = RtpMap { payload_type: 96, encoding: "Opus", clock_rate: 48_000, channels: 2 };
        assert_eq!(media.rtpmap(96), Some(opus));
        assert_eq!(media.rtpmap(97), None);
        assert_eq!(media.rtpmap(0).map(|map| map.encoding), Some("PCMU"));
        assert_eq!(media.ptime(), Some(20));
        assert_eq!(media.maxptime(), None);
        assert!(media.rtcp_mux());
        let (port, connection) = media.rtcp().unwrap();
        assert_eq!((port, connection.unwrap().host()), (53020, "2001:db8::1"));

        let params = OpusParams::parse(media.fmtp(96).unwrap());
        assert!(params.use_inband_fec && params.stereo && !params.use_dtx);
        assert_eq!(params.max_playback_rate, 16_000);
        assert_eq!(OpusParams::parse("maxplaybackrate=1;;=;stereo"), OpusParams::default());
    }

    fn media(attributes: &[&str]) -> Media {
        Media {
            kind: "audio".into(),
            port: Port::Number(4000),
            proto: "RTP/AVP".into(),
            formats: vec!["96".into(), "0".into()],
            lines: attributes.iter().map(|text| Line::new('a', text)).collect(),
        }
    }
}
