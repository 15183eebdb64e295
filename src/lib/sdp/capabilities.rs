//! What we bring to an offer or an answer: codecs, where we receive, and our `o=` line.

use std::{borrow::Cow, fmt, net::IpAddr};

use super::{Direction, Origin, RtpMap, Session, address_type};
use crate::util::text::Ip;

/// What we can do and want, for one audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// In order of preference.
    pub codecs: Vec<Codec>,
    /// Whether an answer lists codecs in our order. RFC 3264 §6.1 recommends the offerer's unless
    /// there is a reason, such as a user who named codecs.
    pub own_order: bool,
    /// Whether DTMF as RTP events is offered and accepted (RFC 4733).
    pub telephone_event: bool,
    /// Milliseconds of audio we would like in a packet: 10, 20 … 60.
    pub ptime: u32,
    /// Where we receive media.
    pub address: IpAddr,
    pub rtp_port: u16,
    pub rtcp_port: u16,
    /// Whether RTCP may share the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// What we are ready to do; `sendonly` or `inactive` while we hold the peer.
    pub direction: Direction,
}

/// A codec under a payload type number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The encoding name of rtpmap; compared without regard to case.
    pub name: Cow<'static, str>,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    pub channels: u8,
    /// In [`Capabilities`] the number we would like; elsewhere the number in force.
    pub payload_type: u8,
    /// Format parameters of whoever receives: ours in what we receive, the peer's in what we send.
    pub fmtp: Option<String>,
}

impl Codec {
    pub const PCMU: Self = Self::new("PCMU", 8_000, 1, 0);
    pub const PCMA: Self = Self::new("PCMA", 8_000, 1, 8);
    /// RFC 3551 §4.5.2: the RTP clock of G.722 is 8000 Hz although it samples at 16000 Hz.
    pub const G722: Self = Self::new("G722", 8_000, 1, 9);
    /// RFC 7587 §7: always 48000 Hz and two channels, whatever is in the stream.
    pub const OPUS: Self = Self::new("opus", 48_000, 2, 96);

    pub const fn new(name: &'static str, clock_rate: u32, channels: u8, payload_type: u8) -> Self {
        Self { name: Cow::Borrowed(name), clock_rate, channels, payload_type, fmtp: None }
    }

    #[must_use]
    pub fn with_fmtp(mut self, fmtp: impl Into<String>) -> Self {
        self.fmtp = Some(fmtp.into());
        self
    }

    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether the two are the same encoding, under whatever numbers.
    pub(super) fn is_map(&self, map: &RtpMap<'_>) -> bool {
        // Some peers forget the channels of Opus, which are fixed anyway.
        let channels = self.channels == map.channels || self.is("opus");
        self.is(map.encoding) && self.clock_rate == map.clock_rate && channels
    }

    pub(super) fn is_codec(&self, other: &Self) -> bool {
        self.is(&other.name) && self.clock_rate == other.clock_rate && self.channels == other.channels
    }
}

/// `name/rate`, with the channels if there are several: the form of rtpmap.
impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.clock_rate)?;
        if self.channels > 1 {
            write!(f, "/{}", self.channels)?;
        }
        Ok(())
    }
}

/// A payload type for RFC 4733 events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    pub payload_type: u8,
    /// Clock of timestamps and durations in Hz.
    pub clock_rate: u32,
}

/// Our `o=` line: constant but for the version, which rises by one with each different description
/// we give out (RFC 3264 §8).
#[derive(Clone, Debug)]
pub struct LocalOrigin {
    session_id: u64,
    version: u64,
    address: IpAddr,
    last: Option<Session>,
}

impl LocalOrigin {
    /// `session_id` must differ between our sessions (random, say); `address` is ours.
    pub fn new(session_id: u64, address: IpAddr) -> Self {
        // Many peers read the numbers into a signed 64 bit one.
        Self { session_id: session_id >> 1, version: 1, address, last: None }
    }

    /// The same, some descriptions later: for those who keep the two numbers and nothing else.
    #[must_use]
    pub fn at(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Puts the `o=` line into a description that is about to be given out.
    pub(super) fn stamp(&mut self, mut session: Session) -> Session {
        if let Some(last) = &self.last {
            session.origin = last.origin.clone();
            if session != *last {
                self.version += 1;
            }
        }
        session.origin = self.line();
        self.last = Some(session.clone());
        session
    }

    /// The `o=` line as it is now.
    pub(super) fn line(&self) -> Origin {
        Origin {
            username: "-".into(),
            session_id: self.session_id.to_string(),
            version: self.version.to_string(),
            net_type: "IN".into(),
            address_type: address_type(self.address).into(),
            address: Ip(self.address).to_string(),
        }
    }
}
