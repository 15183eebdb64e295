//! Made-up IP, UDP and TCP headers for a capture written without root: RFC 791, RFC 8200, RFC 768, RFC 9293, checksums
//! RFC 1071.
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

/// What of a TCP header is not always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp {
    pub sequence: u32,
    pub acknowledged: u32,
    pub flags: u8,
}

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

impl Datagram {
    pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Self {
        Self::new(from, to, UDP, UDP_HEADER, payload, |bytes, pseudo, kept| {
            push_udp(bytes, pseudo, from.port(), to.port(), kept);
        })
    }

    pub fn tcp(from: SocketAddr, to: SocketAddr, header: Tcp, payload: &[u8]) -> Self {
        Self::new(from, to, TCP, TCP_HEADER, payload, |bytes, pseudo, kept| {
            push_tcp(bytes, pseudo, (from.port(), to.port()), header, kept);
        })
    }

    /// `push` is given the packet so far, the pseudo header and what of the payload fits.
    fn new(
        from: SocketAddr,
        to: SocketAddr,
        protocol: u8,
        header: usize,
        payload: &[u8],
        push: impl FnOnce(&mut Vec<u8>, &[u8], &[u8]),
    ) -> Self {
        let (from, to) = (from.ip().to_canonical(), to.ip().to_canonical());
        let (mut bytes, ip_header, kept) = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let kept = payload.get(..MAX_IP - IPV4_HEADER - header).unwrap_or(payload);
                (ipv4(from, to, protocol, header + kept.len()), IPV4_HEADER, kept)
            }
            (from, to) => {
                let kept = payload.get(..MAX_IP - header).unwrap_or(payload);
                (ipv6(as_v6(from), as_v6(to), protocol, header + kept.len()), IPV6_HEADER, kept)
            }
        };
        let [high, low] = ((header + kept.len()) as u16).to_be_bytes();
        let addresses = match ip_header {
            IPV4_HEADER => bytes.get(12..20),
            _ => bytes.get(8..40),
        };
        let pseudo = [addresses.unwrap_or_default(), &[0, protocol, high, low]].concat();
        push(&mut bytes, &pseudo, kept);
        let original = u32::try_from(ip_header + header + payload.len()).unwrap_or(u32::MAX);
        Self { bytes, original_length: original }
    }
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: usize) -> Vec<u8> {
    let total = IPV4_HEADER + length;
    let mut bytes = Vec::with_capacity(total);
    bytes.extend([0x45, 0]);
    bytes.extend((total as u16).to_be_bytes());
    // Identification 0 with DF set: an atomic datagram (RFC 6864 §4). TTL 64.
    bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    let sum = checksum(&[&bytes]);
    if let Some(field) = bytes.get_mut(10..12) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IPV6_HEADER + length);
    bytes.extend([0x60, 0, 0, 0]);
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend([protocol, 64]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes
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

fn push_tcp(bytes: &mut Vec<u8>, pseudo: &[u8], ports: (u16, u16), tcp: Tcp, payload: &[u8]) {
    let mut header = Vec::with_capacity(TCP_HEADER);
    header.extend(ports.0.to_be_bytes());
    header.extend(ports.1.to_be_bytes());
    header.extend(tcp.sequence.to_be_bytes());
    header.extend(tcp.acknowledged.to_be_bytes());
    // Five words, the flags, the largest window; checksum and urgent pointer follow.
    header.extend([5 << 4, tcp.flags, 0xff, 0xff]);
    let sum = checksum(&[pseudo, &header, payload]);
    bytes.extend(header);
    bytes.extend(sum.to_be_bytes());
    bytes.extend([0, 0]);
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

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

const UDP: u8 = 17;
const TCP: u8 = 6;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
/// What a length of 16 bits can say; with IPv6 it does not count the IP header.
const MAX_IP: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_ipv4_packet_byte_by_byte() {
        let packet = Datagram::udp(addr("192.0.2.1:5060"), addr("192.0.2.2:5070"), b"hello");
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
        let packet = Datagram::udp(addr("[2001:db8::1]:5060"), addr("[2001:db8::2]:5070"), b"abc");
        assert_eq!((packet.bytes[0], packet.bytes[6], packet.bytes.len()), (0x60, 17, 51));
        let pseudo = [&packet.bytes[8..40], &[0, 0, 0, 11, 0, 0, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &packet.bytes[40..]]), 0);
        // An IPv6 socket names IPv4 peers as mapped addresses: on the wire they were IPv4.
        let mapped = Datagram::udp(addr("[::ffff:192.0.2.1]:1"), addr("192.0.2.2:2"), b"x");
        assert_eq!(mapped.bytes[0], 0x45);
        let mixed = Datagram::udp(addr("[::1]:1"), addr("192.0.2.2:2"), b"x");
        assert_eq!(mixed.bytes[0], 0x60);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let payload = vec![7; 200_000];
        for (to, ip) in [("127.0.0.1:9", IPV4_HEADER), ("[::1]:9", IPV6_HEADER)] {
            let packet = Datagram::udp(addr(to), addr(to), &payload);
            assert!(packet.bytes.len() <= 65_535 + IPV6_HEADER);
            assert_eq!(packet.original_length as usize, 200_000 + ip + UDP_HEADER);
        }
        let full = Datagram::udp(addr("127.0.0.1:9"), addr("127.0.0.1:9"), &payload[..65_507]);
        assert_eq!((full.bytes.len(), full.original_length), (65_535, 65_535));
    }

    #[test]
    fn tcp_in_both_families() {
        let header = Tcp { sequence: 0x0102_0304, acknowledged: 5, flags: PSH | ACK };
        for (ip, ip_header) in [("127.0.0.1", IPV4_HEADER), ("[::1]", IPV6_HEADER)] {
            let (from, to) = (addr(&format!("{ip}:5061")), addr(&format!("{ip}:40000")));
            let packet = Datagram::tcp(from, to, header, b"odd");
            assert_eq!(packet.original_length as usize, packet.bytes.len());
            let segment = &packet.bytes[ip_header..];
            assert_eq!(segment[..12], [0x13, 0xc5, 0x9c, 0x40, 1, 2, 3, 4, 0, 0, 0, 5]);
            assert_eq!((segment[13], &segment[20..]), (0x18, &b"odd"[..]));
            let addresses =
                if ip_header == IPV4_HEADER { &packet.bytes[12..20] } else { &packet.bytes[8..40] };
            assert_eq!(checksum(&[addresses, &[0, TCP, 0, 23], segment]), 0);
        }
    }
}
