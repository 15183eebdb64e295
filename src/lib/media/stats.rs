//! What a session measured. What was not measured is `None`, never a default.

use crate::time::Duration;

/// Both directions of one audio stream since it began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub sent: Sent,
    pub received: Received,
    /// From the peer's reports about us (RFC 3550 §6.4.1); `None` before the first usable one.
    pub round_trip: Option<Duration>,
    /// RTP and RTCP packets from addresses that are not the peer's: dropped.
    pub strangers: u64,
    /// Datagrams that are neither RTP nor RTCP, or broken: dropped.
    pub malformed: u64,
    /// RTP from the peer with a payload type nobody negotiated: dropped.
    pub unnegotiated: u64,
    /// ICMP errors for packets we sent.
    pub icmp_errors: u64,
}

/// What we sent, and how the peer says it arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    pub packets: u64,
    /// Payload bytes.
    pub octets: u64,
    /// Packets the peer reports missing.
    pub lost: Option<u64>,
    /// Jitter the peer reports, ms.
    pub jitter_ms: Option<f64>,
    /// Now, dBFS; see [`level`](crate::media::level).
    pub level_dbfs: Option<f64>,
    /// Over the whole stream, dBFS.
    pub mean_level_dbfs: Option<f64>,
}

/// What we received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    pub packets: u64,
    /// Payload bytes.
    pub octets: u64,
    /// `None` before the first packet, and so on below.
    pub lost: Option<u64>,
    pub reordered: Option<u64>,
    pub duplicates: Option<u64>,
    /// Interarrival jitter (RFC 3550 A.8), ms.
    pub jitter_ms: Option<f64>,
    pub level_dbfs: Option<f64>,
    pub mean_level_dbfs: Option<f64>,
    /// Packets that came after their time or had to be thrown away to catch up.
    pub discarded: Option<u64>,
    /// Sound made up for what did not come, ms.
    pub concealed_ms: Option<f64>,
    /// The delay the jitter buffer aims at, ms.
    pub delay_ms: Option<f64>,
}
