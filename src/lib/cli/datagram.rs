//! Made-up IP and UDP headers for a capture written without root: RFC 791, RFC 8200, RFC 768, checksums RFC 1071.
//!
//! The addresses are the real ones, everything else is plain: no options, no fragments. What does not fit into one
//! IP packet is cut and the original length kept, as a capture with a snapshot length has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IP packet for LINKTYPE_RAW.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    pub bytes: Vec<u8>,
    /// The length it would have, were IP packets as long as they like.
    pub original_length: u32,
}

impl Datagram {
    pub fn new(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Self {
        let (from_ip, to_ip) = (from.ip().to_canonical(), to.ip().to_canonical());
        match (from_ip, to_ip) {
            (IpAddr::V4(from_ip), IpAddr::V4(to_ip)) => {
                Self::v4((from_ip, from.port()), (to_ip, to.port()), payload)
            }
            (from_ip, to_ip) => Self::v6((as_v6(from_ip), from.port()), (as_v6(to_ip), to.port()), payload),
        }
    }

    fn v4(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Self {
        let kept = payload.get(..MAX_V4_PAYLOAD).unwrap_or(payload);
        let udp_length = (UDP_HEADER + kept.len()) as u16;
        let total = IPV4_HEADER as u16 + udp_length;
        let mut bytes = Vec::with_capacity(total.into());
        bytes.extend([0x45, 0]);
        bytes.extend(total.to_be_bytes());
        // Identification 0 with DF set: an atomic datagram (RFC 6864 §4). TTL 64, protocol UDP.
        bytes.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
        bytes.extend(from.0.octets());
        bytes.extend(to.0.octets());
        let sum = checksum(&[&bytes]);
        if let Some(field) = bytes.get_mut(10..12) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        let [high, low] = udp_length.to_be_bytes();
        let pseudo = [&from.0.octets()[..], &to.0.octets(), &[0, UDP, high, low]].concat();
        push_udp(&mut bytes, &pseudo, from.1, to.1, kept);
        Self { bytes, original_length: original(IPV4_HEADER, payload) }
    }

    fn v6(from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), payload: &[u8]) -> Self {
        let kept = payload.get(..MAX_V6_PAYLOAD).unwrap_or(payload);
        let udp_length = (UDP_HEADER + kept.len()) as u16;
        let mut bytes = Vec::with_capacity(IPV6_HEADER + usize::from(udp_length));
        bytes.extend([0x60, 0, 0, 0]);
        bytes.extend(udp_length.to_be_bytes());
        bytes.extend([UDP, 64]);
        bytes.extend(from.0.octets());
        bytes.extend(to.0.octets());
        let [high, low] = udp_length.to_be_bytes();
        let pseudo = [&from.0.octets()[..], &to.0.octets(), &[0, 0, high, low, 0, 0, 0, UDP]].concat();
        push_udp(&mut bytes, &pseudo, from.1, to.1, kept);
        Self { bytes, original_length: original(IPV6_HEADER, payload) }
    }
}

fn push_udp(bytes: &mut Vec<u8>, pseudo: &[u8], from: u16, to: u16, payload: &[u8]) {
    let [from, to] = [from.to_be_bytes(), to.to_be_bytes()];
    let length = ((UDP_HEADER + payload.len()) as u16).to_be_bytes();
    let header = [from, to, length].concat();
    // A computed zero is sent as all ones; zero means "no checksum" (RFC 768).
    let sum = match checksum(&[pseudo, &header, payload]) {
        0 => 0xffff,
        sum => sum,
    };
    bytes.extend(header);
    bytes.extend(sum.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// The complement of the one's complement sum; every part but the last must be of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        let (pairs, odd) = part.as_chunks::<2>();
        sum += pairs.iter().map(|&pair| u64::from(u16::from_be_bytes(pair))).sum::<u64>();
        sum += odd.iter().map(|&byte| u64::from(byte) << 8).sum::<u64>();
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn original(ip_header: usize, payload: &[u8]) -> u32 {
    u32::try_from(ip_header + UDP_HEADER + payload.len()).unwrap_or(u32::MAX)
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

const UDP: u8 = 17;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
/// What a total length of 65,535 leaves.
const MAX_V4_PAYLOAD: usize = 65_535 - IPV4_HEADER - UDP_HEADER;
const MAX_V6_PAYLOAD: usize = 65_535 - UDP_HEADER;

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_ipv4_packet_byte_by_byte() {
        let packet = Datagram::new(addr("192.0.2.1:5060"), addr("192.0.2.2:5070"), b"hello");
        assert_eq!(packet.original_length, 33);
        assert_eq!(packet.bytes.len(), 33);
        assert_eq!(packet.bytes[..10], [0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17]);
        assert_eq!(checksum(&[&packet.bytes[..20]]), 0, "a header with its checksum sums to zero");
        assert_eq!(packet.bytes[20..26], [0x13, 0xc4, 0x13, 0xce, 0, 13]);
        let pseudo = [&packet.bytes[12..20], &[0, 17, 0, 13]].concat();
        assert_eq!(checksum(&[&pseudo, &packet.bytes[20..]]), 0);
        assert_eq!(&packet.bytes[28..], b"hello");
    }

    #[test]
    fn ipv6_and_mixed_families() {
        let packet = Datagram::new(addr("[2001:db8::1]:5060"), addr("[2001:db8::2]:5070"), b"abc");
        assert_eq!((packet.bytes[0], packet.bytes[6], packet.bytes.len()), (0x60, 17, 51));
        let pseudo = [&packet.bytes[8..40], &[0, 0, 0, 11, 0, 0, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &packet.bytes[40..]]), 0);
        // An IPv6 socket names IPv4 peers as mapped addresses: on the wire they were IPv4.
        let mapped = Datagram::new(addr("[::ffff:192.0.2.1]:1"), addr("192.0.2.2:2"), b"x");
        assert_eq!(mapped.bytes[0], 0x45);
        let mixed = Datagram::new(addr("[::1]:1"), addr("192.0.2.2:2"), b"x");
        assert_eq!(mixed.bytes[0], 0x60);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let payload = vec![7; 200_000];
        for (to, ip) in [("127.0.0.1:9", IPV4_HEADER), ("[::1]:9", IPV6_HEADER)] {
            let packet = Datagram::new(addr(to), addr(to), &payload);
            assert!(packet.bytes.len() <= 65_535 + IPV6_HEADER);
            assert_eq!(packet.original_length as usize, 200_000 + ip + UDP_HEADER);
        }
        let full = Datagram::new(addr("127.0.0.1:9"), addr("127.0.0.1:9"), &payload[..MAX_V4_PAYLOAD]);
        assert_eq!((full.bytes.len(), full.original_length), (65_535, 65_535));
    }
}
