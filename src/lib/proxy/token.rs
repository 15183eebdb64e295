//! Flow tokens (RFC 5626 §5.2): the connection or socket, and the peer, that a message came by, as the user part of a URI
//! of ours or a parameter of our Via, with a keyed hash so that nobody can make one up or change one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::{
    transport::{Flow, Protocol},
    util::text,
};

/// The keys that tokens are made with.
///
/// A connection ends with the process that had it, and so do tokens of connections: their key is never the same twice.
/// What UDP needs outlives a restart, and does if the key is given.
#[derive(Clone, Debug)]
pub struct Secret {
    /// For branches and what goes over UDP.
    lasting: [u8; 16],
    /// For connections.
    passing: [u8; 16],
}

impl Secret {
    /// `lasting` may be known to several proxies; `passing` comes from the operating system's entropy at each start.
    pub const fn new(lasting: [u8; 16], passing: [u8; 16]) -> Self {
        Self { lasting, passing }
    }

    pub(super) const fn lasting(&self) -> [u8; 16] {
        self.lasting
    }

    /// The token of a flow, of characters that stand in a user part and in a token alike.
    pub fn token(&self, flow: &Flow) -> String {
        let mut bytes = Vec::with_capacity(ROOM);
        let place = Protocols::ALL.iter().position(|&protocol| protocol == flow.protocol).unwrap_or_default();
        let is = |addr: &SocketAddr, bit: u8| if addr.is_ipv6() { bit } else { 0 };
        bytes.push(place as u8 | is(&flow.local, 0x10) | is(&flow.remote, 0x20));
        bytes.extend(flow.shard.to_be_bytes());
        bytes.extend(flow.slot.to_be_bytes());
        bytes.extend(flow.generation.to_be_bytes());
        put(&mut bytes, flow.local);
        put(&mut bytes, flow.remote);
        let proof = self.proof(flow.protocol, &bytes);
        bytes.extend(proof);
        let mut digits = vec![0; (bytes.len() * 8).div_ceil(5)];
        text::base32(&bytes, &mut digits);
        digits.into_iter().map(char::from).collect()
    }

    /// The flow a token stands for; whether it is open still is not known here.
    pub fn flow(&self, token: &str) -> Result<Flow, Forged> {
        let length = token.len() * 5 / 8;
        if !(PROOF..=ROOM).contains(&length) {
            return Err(Forged);
        }
        let mut bytes = [0; ROOM];
        let bytes = bytes.get_mut(..length).ok_or(Forged)?;
        text::from_base32(token.as_bytes(), bytes).ok_or(Forged)?;
        let (content, proof) = bytes.split_at_checked(length - PROOF).ok_or(Forged)?;
        let mut rest = content;
        let [kind] = take(&mut rest).ok_or(Forged)?;
        let protocol = Protocols::ALL.get(usize::from(kind & 0x0f)).copied().ok_or(Forged)?;
        let expected = self.proof(protocol, content);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], proof)) {
            return Err(Forged);
        }
        let mut read = || {
            let shard = u16::from_be_bytes(take(&mut rest)?);
            let slot = u32::from_be_bytes(take(&mut rest)?);
            let generation = u32::from_be_bytes(take(&mut rest)?);
            let local = address(&mut rest, kind & 0x10 != 0)?;
            let remote = address(&mut rest, kind & 0x20 != 0)?;
            rest.is_empty().then_some(Flow { shard, slot, generation, protocol, local, remote })
        };
        read().ok_or(Forged)
    }

    fn proof(&self, protocol: Protocol, content: &[u8]) -> [u8; PROOF] {
        let key = if protocol.is_reliable() { &self.passing } else { &self.lasting };
        let mut hash = SipHasher24::new_with_key(key);
        std::hash::Hasher::write(&mut hash, b"flow");
        std::hash::Hasher::write(&mut hash, content);
        let hash = hash.finish128().as_bytes();
        let mut proof = [0; PROOF];
        proof.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        proof
    }
}

/// Nobody gave out such a token, or not with this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a flow token that is none of ours")]
pub struct Forged;

/// In the order in which tokens number them.
struct Protocols;

impl Protocols {
    const ALL: [Protocol; 5] = [Protocol::Udp, Protocol::Tcp, Protocol::Tls, Protocol::Ws, Protocol::Wss];
}

fn put(bytes: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => bytes.extend(ip.octets()),
        IpAddr::V6(ip) => bytes.extend(ip.octets()),
    }
    bytes.extend(addr.port().to_be_bytes());
}

fn address(rest: &mut &[u8], is_v6: bool) -> Option<SocketAddr> {
    let ip: IpAddr = match is_v6 {
        false => Ipv4Addr::from(take::<4>(rest)?).into(),
        true => Ipv6Addr::from(take::<16>(rest)?).into(),
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(take(rest)?)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, back) = rest.split_first_chunk()?;
    *rest = back;
    Some(*front)
}

/// 80 bits, as RFC 5626 §5.2 has it.
const PROOF: usize = 10;
/// The longest token's octets: two IPv6 addresses.
const ROOM: usize = 1 + 2 + 4 + 4 + 2 * 18 + PROOF;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new([1; 16], [2; 16])
    }

    fn flows() -> Vec<Flow> {
        let flow = |protocol, local: &str, remote: &str| Flow {
            shard: 3,
            slot: 70_000,
            generation: 9,
            protocol,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        };
        vec![
            flow(Protocol::Udp, "192.0.2.1:5060", "192.0.2.2:40000"),
            flow(Protocol::Tcp, "[2001:db8::1]:5060", "[2001:db8::2]:40000"),
            flow(Protocol::Tls, "192.0.2.1:5061", "[2001:db8::2]:1"),
            flow(Protocol::Ws, "[::1]:80", "192.0.2.2:65535"),
            flow(Protocol::Wss, "192.0.2.1:443", "192.0.2.2:40000"),
        ]
    }

    #[test]
    fn a_token_leads_back() {
        for flow in flows() {
            let token = secret().token(&flow);
            assert_eq!(secret().flow(&token), Ok(flow), "{token}");
            assert_eq!(
                secret().flow(&token.to_uppercase()),
                Ok(flow),
                "user parts have been seen in capitals"
            );
        }
    }

    #[test]
    fn nobody_else_makes_one() {
        for flow in flows() {
            let token = secret().token(&flow);
            for at in 0..token.len() {
                let mut forged = token.clone().into_bytes();
                forged[at] = if forged[at] == b'a' { b'b' } else { b'a' };
                let forged = String::from_utf8(forged).unwrap();
                assert_eq!(secret().flow(&forged), Err(Forged), "{forged}");
                assert_eq!(secret().flow(&token[..at]), Err(Forged));
            }
            assert_eq!(Secret::new([7; 16], [8; 16]).flow(&token), Err(Forged));
        }
        for text in ["", "a", "alice", "ä", &"a".repeat(500)] {
            assert_eq!(secret().flow(text), Err(Forged));
        }
    }

    #[test]
    fn connections_end_with_their_process() {
        let after = Secret::new([1; 16], [3; 16]);
        for flow in flows() {
            let outlives = after.flow(&secret().token(&flow)).is_ok();
            assert_eq!(outlives, !flow.protocol.is_reliable(), "{:?}", flow.protocol);
        }
    }
}
