//! HEP version 3, in which capture servers such as Homer are told of messages (Extensible Encapsulation Protocol): a
//! packet for each message, with where it came from, where it went, and when.
//!
//! ```text
//!  "HEP3" │ length of all, 16 bit │ chunk │ chunk │ …
//!                                   └─ vendor 16 bit (0) │ type 16 bit │ length with this head 16 bit │ value
//! ```
//!
//! Numbers are in network order. Nothing is sent here, and what does not fit into 64 KiB is not written.

use std::{net::IpAddr, time::SystemTime};

use super::{Direction, Packet, Protocol};

/// Who tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Agent<'a> {
    /// The number by which the server knows it.
    pub id: u32,
    /// What the server wants to be told by who may tell it something.
    pub key: Option<&'a [u8]>,
}

/// A message that does not fit into a packet, and its octets.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[error("a message of {0} octets is too long for HEP")]
pub struct TooLong(pub usize);

impl Agent<'_> {
    /// Writes a packet to `out`, which is emptied first.
    pub fn write(&self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (from, to) = match packet.direction {
            Direction::Sent => (packet.local, packet.remote),
            Direction::Received => (packet.remote, packet.local),
        };
        let (from_ip, to_ip) = (from.ip().to_canonical(), to.ip().to_canonical());
        let since = packet.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        out.clear();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 2]);
        let mut chunks = Chunks(out);
        let family = if from_ip.is_ipv4() { INET } else { INET6 };
        chunks.push(1, &[family]);
        chunks.push(2, &[if packet.protocol == Protocol::Udp { UDP } else { TCP }]);
        match (from_ip, to_ip) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                chunks.push(3, &from.octets());
                chunks.push(4, &to.octets());
            }
            (from, to) => {
                chunks.push(5, &wide(from));
                chunks.push(6, &wide(to));
            }
        }
        chunks.push(7, &from.port().to_be_bytes());
        chunks.push(8, &to.port().to_be_bytes());
        // Until 2106.
        chunks.push(9, &(since.as_secs() as u32).to_be_bytes());
        chunks.push(10, &since.subsec_micros().to_be_bytes());
        chunks.push(11, &[SIP]);
        chunks.push(12, &self.id.to_be_bytes());
        if let Some(key) = self.key {
            chunks.push(14, key);
        }
        chunks.push(15, packet.bytes);
        let length = u16::try_from(out.len()).ok().filter(|_| out.len() <= MOST);
        let length = length.ok_or(TooLong(packet.bytes.len()))?;
        if let Some(field) = out.get_mut(4..6) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

struct Chunks<'o>(&'o mut Vec<u8>);

impl Chunks<'_> {
    /// A chunk of the types that every vendor has. One that is too long makes the whole too long.
    fn push(&mut self, kind: u16, value: &[u8]) {
        let length = (HEAD + value.len()) as u16;
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
    }
}

fn wide(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

const MAGIC: &[u8] = b"HEP3";
/// Octets of a chunk before its value.
const HEAD: usize = 6;
/// What a datagram carries.
const MOST: usize = 65_507;
/// Address families, by the numbers that Linux has for them.
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The protocol of what is in the packet.
const SIP: u8 = 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::PacketKind;

    fn packet<'a>(
        direction: Direction,
        protocol: Protocol,
        local: &str,
        remote: &str,
        bytes: &'a [u8],
    ) -> Packet<'a> {
        Packet {
            at: SystemTime::UNIX_EPOCH + Duration::new(0x0102_0304, 5_000),
            kind: PacketKind::Sip,
            direction,
            protocol,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            bytes,
        }
    }

    /// The chunks of a packet, by type.
    fn read(mut packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let number = |bytes: &[u8]| usize::from(u16::from_be_bytes(bytes.try_into().unwrap()));
        assert_eq!((&packet[..4], number(&packet[4..6])), (&b"HEP3"[..], packet.len()));
        packet = &packet[6..];
        let mut chunks = Vec::new();
        while !packet.is_empty() {
            assert_eq!(&packet[..2], [0, 0]);
            let length = number(&packet[4..6]);
            chunks.push((number(&packet[2..4]) as u16, packet[6..length].to_vec()));
            packet = &packet[length..];
        }
        chunks
    }

    #[test]
    fn octet_by_octet() {
        let agent = Agent { id: 2001, key: Some(b"key") };
        let mut out = vec![1; 3];
        let sent = packet(Direction::Sent, Protocol::Udp, "192.0.2.1:5060", "198.51.100.2:5070", b"SIP");
        agent.write(&sent, &mut out).unwrap();
        let expected: &[&[u8]] = &[
            b"HEP3\0\x6f",
            b"\0\0\0\x01\0\x07\x02",
            b"\0\0\0\x02\0\x07\x11",
            b"\0\0\0\x03\0\x0a\xc0\0\x02\x01",
            b"\0\0\0\x04\0\x0a\xc6\x33\x64\x02",
            b"\0\0\0\x07\0\x08\x13\xc4",
            b"\0\0\0\x08\0\x08\x13\xce",
            b"\0\0\0\x09\0\x0a\x01\x02\x03\x04",
            b"\0\0\0\x0a\0\x0a\0\0\0\x05",
            b"\0\0\0\x0b\0\x07\x01",
            b"\0\0\0\x0c\0\x0a\0\0\x07\xd1",
            b"\0\0\0\x0e\0\x09key",
            b"\0\0\0\x0f\0\x09SIP",
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn what_was_written_is_read() {
        let agent = Agent { id: 7, key: None };
        let mut out = Vec::new();
        let received =
            packet(Direction::Received, Protocol::Wss, "[2001:db8::1]:443", "[2001:db8::2]:9", b"OPTIONS");
        agent.write(&received, &mut out).unwrap();
        let chunks = read(&out);
        let kinds: Vec<u16> = chunks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 15]);
        let value = |kind| chunks.iter().find(|(of, _)| *of == kind).map(|(_, value)| &value[..]).unwrap();
        assert_eq!(
            (value(1), value(2), value(7), value(8)),
            (&[10][..], &[6][..], &[0, 9][..], &[1, 0xbb][..])
        );
        assert_eq!(value(5)[15], 2, "from the peer");
        assert_eq!(value(15), b"OPTIONS");
        // As addresses of IPv4 come by a socket of both families.
        let mapped = packet(Direction::Sent, Protocol::Tcp, "[::ffff:192.0.2.1]:1", "192.0.2.2:2", b"");
        agent.write(&mapped, &mut out).unwrap();
        assert_eq!(read(&out)[2], (3, vec![192, 0, 2, 1]));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let agent = Agent::default();
        let mut out = Vec::new();
        for (length, is_fine) in [(65_000, true), (65_507, false), (70_000, false), (200_000, false)] {
            let bytes = vec![b'x'; length];
            let long = packet(Direction::Sent, Protocol::Tcp, "192.0.2.1:1", "192.0.2.2:2", &bytes);
            assert_eq!(agent.write(&long, &mut out).is_ok(), is_fine, "{length}");
        }
    }
}
