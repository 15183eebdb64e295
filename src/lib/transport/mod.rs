//! How SIP messages travel (RFC 3261 §18): protocols, targets, flows, and the [`Tap`] that sees every packet.
//!
//! This file is types only and touches no socket; [`udp`] does. Which address a message is sent to is decided
//! above (`resolve`) or by the topmost Via ([`via`]).

use std::{fmt, io, net::SocketAddr, str::FromStr, time::SystemTime};

use bytes::Bytes;

use crate::util::slab::Key;

pub mod hep;
pub mod keepalive;
pub mod stream;
pub mod tls;
pub mod udp;
pub mod via;
#[cfg(feature = "ws")]
pub mod ws;

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

    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or(UnknownProtocol)
    }
}

/// None of the five.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the transports known here are udp, tcp, tls, ws and wss")]
pub struct UnknownProtocol;

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

    pub const fn tcp(addr: SocketAddr) -> Self {
        Self { protocol: Protocol::Tcp, addr }
    }
}

/// `192.0.2.1:5060` and `udp:192.0.2.1:5060`, `tcp:[2001:db8::1]:5060`.
impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(addr) = text.parse() {
            return Ok(Self::udp(addr));
        }
        let (protocol, addr) = text.split_once(':').ok_or(TargetError)?;
        match (Protocol::parse(protocol), addr.parse()) {
            (Some(protocol), Ok(addr)) => Ok(Self { protocol, addr }),
            _ => Err(TargetError),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an IP address and a port are wanted, after a transport and a colon if that is not UDP")]
pub struct TargetError;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.addr, self.protocol)
    }
}

/// Where a message came from and how to answer there: a connection, or a socket and the two addresses.
///
/// `shard`, `slot` and `generation` name the socket or connection, a connection for ever: one that is gone is
/// never taken for its successor. `local` is where others reach us: with UDP the address the datagram was sent
/// to (never the wildcard), with a connection our end's IP address and the port that is listened on for its
/// protocol, or our end's own port if none is. `remote` is the peer's address; in the flow of a response,
/// where to connect to should the connection be gone (RFC 3261 §18.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    pub shard: u16,
    pub slot: u32,
    pub generation: u32,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Flow {
    /// The socket or connection, without the addresses.
    pub const fn key(&self) -> Key {
        Key { index: self.slot, generation: self.generation }
    }

    /// Where it leads.
    pub const fn target(&self) -> Target {
        Target { protocol: self.protocol, addr: self.remote }
    }

    /// Whether both are the same connection, or the same address towards the same peer: all shards have the same ones.
    pub fn is_same(&self, other: &Self) -> bool {
        let name = |flow: &Self| (flow.protocol, flow.slot, flow.generation);
        let more =
            if self.protocol.is_reliable() { self.shard == other.shard } else { self.remote == other.remote };
        name(self) == name(other) && more
    }
}

/// Why a flow cannot be had, or was lost.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FlowError {
    /// Nobody listens there, and the peer says so.
    #[error("connection refused")]
    Refused,
    /// The network says that there is no way, or this host has no address of the family.
    #[error("{0}")]
    Unreachable(io::ErrorKind),
    /// No connection within the time for it, TLS and WebSocket included.
    #[error("no connection in time")]
    TimedOut,
    /// It was open, and the peer or the network closed it.
    #[error("connection lost")]
    Lost,
    /// The peer began a message and did not finish it in time: we closed it.
    #[error("half a message came, and no more")]
    Unfinished,
    /// What came is no SIP message, and where the next one would begin cannot be told: we closed it.
    #[error("what came is no SIP")]
    NotSip,
    /// Nothing came or went for too long, and nothing relied on it: we closed it.
    #[error("connection idle")]
    Idle,
    /// The peer does not answer keep-alives any more (RFC 5626 §4.4).
    #[error("the peer is silent")]
    Silent,
    /// As many connections as there may be.
    #[error("too many connections")]
    Overrun,
    /// There is a connection, but no TLS came of it, or it ended because of TLS.
    #[error("{0}")]
    Tls(Box<tls::TlsError>),
    /// There is a connection, but no WebSocket came of it.
    #[error("{0}")]
    WebSocket(WebSocketError),
    /// This endpoint does not speak the protocol.
    #[error("{0} is not available")]
    Unsupported(Protocol),
}

/// Why a handshake of WebSocket failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The server answered with another status than 101.
    #[error("the server refuses WebSocket with status {status}")]
    Refused { status: u16 },
    /// It speaks WebSocket but not SIP over it (RFC 7118 §4.1).
    #[error("the server does not speak the WebSocket subprotocol sip")]
    NoSubprotocol,
    /// What it answered is no handshake.
    #[error("what came is no WebSocket handshake")]
    Protocol,
}

impl From<io::ErrorKind> for FlowError {
    fn from(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Self::Lost,
            kind => Self::Unreachable(kind),
        }
    }
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

    #[test]
    fn targets_are_read() {
        let table = [
            ("192.0.2.1:5060", Some((Protocol::Udp, "192.0.2.1:5060"))),
            ("[2001:db8::1]:5060", Some((Protocol::Udp, "[2001:db8::1]:5060"))),
            ("tcp:192.0.2.1:5060", Some((Protocol::Tcp, "192.0.2.1:5060"))),
            ("WSS:[::1]:443", Some((Protocol::Wss, "[::1]:443"))),
            ("sctp:192.0.2.1:5060", None),
            ("tcp:192.0.2.1", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(protocol, addr)| Target { protocol, addr: addr.parse().unwrap() });
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
