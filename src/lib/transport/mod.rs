//! How SIP messages travel (RFC 3261 §18): protocols, targets, flows, and the [`Tap`] that sees every packet.
//!
//! This file is types only and touches no socket; [`udp`] does. Which address a message is sent to is decided
//! above (`resolve`) or by the topmost Via ([`via`]).

use std::{fmt, net::SocketAddr, time::SystemTime};

use bytes::Bytes;

pub mod tapped;
pub mod tls;
pub mod udp;
pub mod via;

/// A transport of RFC 3261 §18 or RFC 7118.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Protocol {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Protocol {
    /// The token of a Via's sent-protocol: `UDP`, `TCP`, `TLS`, `WS`, `WSS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The value of a URI's `transport` parameter (RFC 3261 §19.1.1): `udp`, `tcp`, …
    pub const fn as_param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Reads either form, in any case; `None` for a transport this library does not speak (`SCTP`).
    pub fn parse(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| token.eq_ignore_ascii_case(protocol.as_str()))
    }

    /// Whether the transport itself delivers or fails; over the others the transactions retransmit (RFC 3261
    /// §17).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether it is encrypted, as a SIPS URI demands (RFC 3261 §26.2.2).
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The port meant when none is written: RFC 3261 §19.1.2; RFC 7118 §5.2.2 and RFC 6455 §3 for WebSocket.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A place a message can be sent to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    pub protocol: Protocol,
    pub addr: SocketAddr,
}

impl Target {
    pub const fn udp(addr: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, addr }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.addr, self.protocol)
    }
}

/// Where a message came from and how to answer there: a connection, or a socket and the two addresses.
///
/// `shard`, `slot` and `generation` name the socket or connection; with UDP, `local` is the address the
/// datagram was sent to (never the wildcard) and `remote` its source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    pub shard: u16,
    pub slot: u32,
    pub generation: u32,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// One datagram or one framed message, as received.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub bytes: Bytes,
    pub flow: Flow,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    Sent,
    Received,
}

/// What a tapped packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketKind {
    Sip,
    Rtp,
    Rtcp,
}

/// A packet on its way, as a [`Tap`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub at: SystemTime,
    pub kind: PacketKind,
    pub direction: Direction,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: &'a [u8],
}

/// An event of a connection, as a [`Tap`] sees it: the octets below TLS and WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub at: SystemTime,
    /// Names the connection: no other of this process has it, before or after.
    pub connection: u64,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub event: SegmentEvent<'a>,
}

/// What happens to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentEvent<'a> {
    /// It is established, opened by this side or by the peer.
    Opened {
        by: Direction,
    },
    Octets {
        direction: Direction,
        bytes: &'a [u8],
    },
    /// This side sends nothing more, or the peer does not.
    Finished {
        by: Direction,
    },
    /// It is gone.
    Closed,
}

/// Sees every SIP message and every RTP and RTCP packet once. Called on the socket threads: it must not
/// block.
pub trait Tap: Send + Sync {
    fn packet(&self, packet: &Packet<'_>);

    /// Sees what happens to a connection, below TLS and WebSocket.
    fn segment(&self, _segment: &Segment<'_>) {}

    /// Is given the secrets of TLS connections, a line of the NSS key log format each and without its line end.
    fn secret(&self, _line: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_read_as_they_are_written() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::parse(protocol.as_str()), Some(protocol));
            assert_eq!(Protocol::parse(protocol.as_param()), Some(protocol));
        }
        assert_eq!(Protocol::parse("SCTP"), None);
        assert_eq!(Protocol::parse(""), None);
    }
}
