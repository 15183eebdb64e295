//! The topmost Via at the transport layer: what a server adds to it, and where it sends the response
//! (RFC 3261 §18.2, RFC 3581 §4).
//!
//! Responses follow the packet's real source, never a `received` or `rport` value that came in the request:
//! otherwise anyone could have them sent to anyone.

use std::net::{IpAddr, SocketAddr};

use super::{Flow, Target};
use crate::message::{Edits, Host, Via, header::Marks};

/// What to write into the topmost Via of a received request before anyone else reads it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Received {
    /// Value of `received`, replacing one that is there. Written without brackets (RFC 3261 §25.1
    /// via-received).
    pub received: Option<IpAddr>,
    /// Value of `rport`, replacing one that is there.
    pub rport: Option<u16>,
}

impl Received {
    /// See [`received_params`]; `host` is that of sent-by.
    pub fn of(host: Host<'_>, marks: &Marks<'_>, from: SocketAddr) -> Self {
        let source = from.ip();
        let rport = marks.rport.is_some().then_some(from.port());
        let differs = host.ip() != Some(source);
        let claimed = marks.received.is_some();
        Self { received: (differs || rport.is_some() || claimed).then_some(source), rport }
    }

    /// Whether the Via stays as it came.
    pub const fn is_nothing(&self) -> bool {
        self.received.is_none() && self.rport.is_none()
    }

    /// Writes it into the topmost Via.
    pub fn apply(&self, edits: &mut Edits<'_>) {
        if let Some(received) = &self.received {
            edits.top_via_param("received", Some(received));
        }
        if let Some(rport) = &self.rport {
            edits.top_via_param("rport", Some(rport));
        }
    }
}

/// What a server adds to the topmost Via of a request that came from `from`.
///
/// `received` if the sent-by host is a name or another address (RFC 3261 §18.2.1), or if the client asked
/// with `rport` (RFC 3581 §4), or to overwrite a false one. `rport` if the client asked, even if it wrote a
/// value already.
pub fn received_params(via: &Via<'_>, from: SocketAddr) -> Received {
    Received::of(via.host, &via.marks(), from)
}

/// Where the response to a request with this topmost Via goes, which came over `flow` (RFC 3261 §18.2.2).
///
/// Over a reliable transport that is the connection itself; the target says where to connect if it is gone.
/// Over UDP: `maddr` if it is an address, else the source address, with the source port if the client asked
/// for it (`rport`) and otherwise the port of sent-by. The response leaves from `flow.local` in every case.
pub fn response_target(via: &Via<'_>, flow: &Flow) -> Target {
    let port = via.port.filter(|&port| port != 0).unwrap_or(flow.protocol.default_port());
    let mut addr = flow.remote;
    if flow.protocol.is_reliable() {
        addr.set_port(port);
    } else if let Some(ip) = maddr(via) {
        addr = SocketAddr::new(ip, port);
    } else if via.rport().is_none() {
        // set_port, not a new address: a link-local source keeps its link.
        addr.set_port(port);
    }
    Target { protocol: flow.protocol, addr }
}

/// An address, with or without brackets. A name would take a lookup before each response: nobody uses one.
fn maddr(via: &Via<'_>) -> Option<IpAddr> {
    via.maddr()?.ip().filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        message::{Limits, Message},
        transport::Protocol,
    };

    fn with_via<R>(value: &str, read: impl FnOnce(&Via<'_>) -> R) -> R {
        let text = format!(
            "OPTIONS sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/{value}\r\nTo: <sip:bob@biloxi.example>\r\n\
             From: <sip:alice@atlanta.example>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        let message = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
        read(&message.via().unwrap())
    }

    fn flow(protocol: Protocol, remote: &str) -> Flow {
        let local = if remote.starts_with('[') { "[::1]:5060" } else { "127.0.0.1:5060" };
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        Flow { shard: 0, slot: 0, generation: 0, protocol, local, remote }
    }

    #[test]
    fn received_and_rport() {
        let from = "192.0.2.4:9988";
        let table = [
            // RFC 3261 §18.2.1, its own example.
            ("UDP bobspc.biloxi.example:5060", from, Some("192.0.2.4"), None),
            ("UDP 192.0.2.4:5060", from, None, None),
            ("UDP 10.1.1.1:5060", from, Some("192.0.2.4"), None),
            // RFC 3581 §4: received although it is the same.
            ("UDP 192.0.2.4;rport", from, Some("192.0.2.4"), Some(9988)),
            ("UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff", from, Some("192.0.2.4"), Some(9988)),
            ("TCP 10.1.1.1;rport", from, Some("192.0.2.4"), Some(9988)),
            // Values that only the server may write.
            ("UDP 192.0.2.4;rport=7", from, Some("192.0.2.4"), Some(9988)),
            ("UDP 192.0.2.4;received=203.0.113.9", from, Some("192.0.2.4"), None),
            ("UDP [2001:db8::9:1]", "[2001:db8::9:1]:5060", None, None),
            ("UDP [2001:DB8:0::9:1];rport", "[2001:db8::9:1]:6050", Some("2001:db8::9:1"), Some(6050)),
            ("UDP 192.0.2.4", "[2001:db8::9:1]:5060", Some("2001:db8::9:1"), None),
        ];
        for (via, from, received, rport) in table {
            let got = with_via(via, |via| received_params(via, from.parse().unwrap()));
            let expected = Received { received: received.map(|ip| ip.parse().unwrap()), rport };
            assert_eq!(got, expected, "{via} from {from}");
            assert_eq!(got.is_nothing(), received.is_none());
        }
    }

    #[test]
    fn responses_go_to() {
        use Protocol::{Tcp, Tls, Udp};
        let from = "192.0.2.4:9988";
        let table = [
            (Udp, "UDP 192.0.2.4", from, "192.0.2.4:5060"),
            (Udp, "UDP bobspc.biloxi.example:5070", from, "192.0.2.4:5070"),
            (Udp, "UDP 10.1.1.1:4540;rport", from, "192.0.2.4:9988"),
            (Udp, "UDP 10.1.1.1:4540;received=192.0.2.4;rport=9988", from, "192.0.2.4:9988"),
            // Nobody else is sent a response for it.
            (Udp, "UDP 10.1.1.1;received=203.0.113.9;rport=53", from, "192.0.2.4:9988"),
            (Udp, "UDP 10.1.1.1:0", from, "192.0.2.4:5060"),
            (Udp, "UDP 10.1.1.1:4540;maddr=192.0.2.77;rport", from, "192.0.2.77:4540"),
            (Udp, "UDP 10.1.1.1;maddr=[2001:db8::77]", from, "[2001:db8::77]:5060"),
            (Udp, "UDP 10.1.1.1:4540;maddr=some.name", from, "192.0.2.4:4540"),
            (Udp, "UDP [2001:db8::1]:6050", "[2001:db8::9:1]:7000", "[2001:db8::9:1]:6050"),
            (Udp, "UDP [fe80::1]:6050", "[fe80::1%3]:7000", "[fe80::1%3]:6050"),
            (Tcp, "TCP 10.1.1.1;maddr=192.0.2.77", from, "192.0.2.4:5060"),
            (Tls, "TLS client.example;rport", from, "192.0.2.4:5061"),
        ];
        for (protocol, via, from, expected) in table {
            let got = with_via(via, |via| response_target(via, &flow(protocol, from)));
            assert_eq!(got, Target { protocol, addr: expected.parse().unwrap() }, "{via} from {from}");
        }
    }
}
