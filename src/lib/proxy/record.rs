//! The URIs by which a proxy stays on a path: Record-Route (RFC 3261 §16.6 step 4, RFC 5658) and Path (RFC 3327, RFC 5626
//! §5.1), with the flow that leads to a client nobody can connect to.

use std::fmt;

use crate::{
    message::{Edits, HeaderId, Method, Request, Scheme, header::Supported},
    transport::{Flow, Protocol},
};

use super::{Own, RecordRoute, admit::Facts, token::Secret};

/// How a request goes through this proxy.
pub struct Passage<'a> {
    pub from: &'a Flow,
    pub to: &'a Flow,
    /// A flow token said where it goes.
    pub by_token: bool,
    pub own: &'a Own,
}

impl Passage<'_> {
    /// Whether it leaves by another transport, family or socket than it came by.
    fn is_bridge(&self) -> bool {
        self.from.protocol != self.to.protocol || self.from.local != self.to.local
    }

    /// Whether the sender is a client that is reached by the flow it opened only: the first hop, over a connection, or
    /// from behind an address translator.
    fn is_edge(&self, request: &Request, facts: &Facts<'_>) -> bool {
        if matches!(self.from.protocol, Protocol::Ws | Protocol::Wss) {
            return true;
        }
        let via = &facts.via;
        // A name may stand for any address.
        let translated = via.host.ip().is_some_and(|ip| ip != self.from.remote.ip())
            || facts.marks.rport.is_some() && via.port.unwrap_or(5060) != self.from.remote.port();
        (self.from.protocol.is_reliable() || translated)
            && !request.has(HeaderId::RecordRoute)
            && request.each::<crate::message::header::Via>().nth(1).is_none()
    }

    /// The flow by whose end of ours one side is told to send to us: its own one, but the other one if we only opened a
    /// connection there and do not listen. No URI names such an end.
    fn named<'f>(&'f self, side: &'f Flow) -> &'f Flow {
        let other = if side == self.to { self.from } else { self.to };
        let listens = |flow: &Flow| self.own.listens(flow.protocol, flow.local);
        if !listens(side) && listens(other) { other } else { side }
    }

    /// Puts in what keeps this proxy on the path of what the request begins.
    pub fn record(
        &self,
        request: &Request,
        facts: &Facts<'_>,
        when: RecordRoute,
        secret: &Secret,
        edits: &mut Edits<'_>,
    ) {
        let method = request.method();
        let registers = method == Method::Register;
        if !registers
            && !matches!(method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify)
        {
            return;
        }
        let (edge, bridge) = (self.is_edge(request, facts), self.is_bridge());
        let secure = facts.uri.scheme() == Scheme::Sips;
        let user = |flow: &Flow, token: bool| if token { secret.token(flow) } else { PLAIN.to_owned() };
        let entry =
            |flow, token, more| Entry { secure, user: user(flow, token), flow: *self.named(flow), more };
        if registers {
            let supported =
                || request.each::<Supported>().flatten().any(|tag| tag.eq_ignore_ascii_case("path"));
            if edge || bridge && supported() {
                // What is sent to the registrar's side leads to the client's.
                let more = if edge { ";ob" } else { "" };
                let flow = *self.named(self.to);
                edits.prepend(HeaderId::Path, Entry { secure, user: user(self.from, edge), flow, more });
            }
            return;
        }
        // Nobody else opens such a connection: its end is named by no URI.
        let pinned = self.by_token || matches!(self.to.protocol, Protocol::Ws | Protocol::Wss);
        if edge || bridge || pinned {
            // Two of them, so that each side is led over its own one (RFC 5658 §5), if it has one.
            let (towards_caller, towards_callee) = (entry(self.from, edge, ""), entry(self.to, pinned, ""));
            if towards_caller != towards_callee {
                edits.prepend(HeaderId::RecordRoute, towards_caller);
            }
            edits.prepend(HeaderId::RecordRoute, towards_callee);
        } else if when == RecordRoute::Always {
            edits.prepend(HeaderId::RecordRoute, entry(self.to, false, ""));
        }
    }
}

/// Whether a Route that names us is one that we put in, and no flow with it.
pub fn is_plain(user: Option<&str>) -> bool {
    user == Some(PLAIN)
}

/// An address of ours in a Record-Route or Path.
#[derive(PartialEq)]
struct Entry {
    secure: bool,
    user: String,
    flow: Flow,
    more: &'static str,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secure, user, flow, more } = self;
        let sips = *secure && flow.protocol.is_secure();
        let transport = match flow.protocol {
            Protocol::Udp => "",
            Protocol::Tls if sips => "",
            Protocol::Tcp => ";transport=tcp",
            Protocol::Tls => ";transport=tls",
            // RFC 7118 §5.2: one value for both.
            Protocol::Ws | Protocol::Wss => ";transport=ws",
        };
        let scheme = if sips { "sips" } else { "sip" };
        write!(f, "<{scheme}:{user}@{}{transport};lr{more}>", flow.local)
    }
}

/// The user part of what we put in without a flow.
const PLAIN: &str = "p";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Limits, Message};

    /// What is told to either side, by where we listen.
    #[test]
    fn a_side_without_a_listener_is_led_over_the_other_one() {
        let plain = |uri: &str| format!("<sip:p@192.0.2.1:{uri};lr>");
        let (udp, tls, opened) = (plain("5060"), plain("5061;transport=tls"), plain("40000;transport=tls"));
        let table: [(&[&str], &str, &str, &[&str]); 5] = [
            (&["udp:192.0.2.1:5060", "tls:192.0.2.1:5061"], "udp 5060", "tls 5061", &[&tls, &udp]),
            (&["udp:192.0.2.1:5060"], "udp 5060", "tls 40000", &[&udp]),
            (&["udp:192.0.2.1:5060"], "tls 40000", "udp 5060", &[&udp]),
            (&["udp:0.0.0.0:5060"], "udp 5060", "tls 40000", &[&udp]),
            (&[], "udp 5060", "tls 40000", &[&opened, &udp]),
        ];
        for (listening, from, to, expected) in table {
            let listening = listening.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(recorded(&Own::new(listening, Vec::new()), from, to), expected, "{from} to {to}");
        }
    }

    fn flow(text: &str) -> Flow {
        let (protocol, port) = text.split_once(' ').unwrap();
        Flow {
            shard: 0,
            slot: 0,
            generation: 0,
            protocol: if protocol == "udp" { Protocol::Udp } else { Protocol::Tls },
            local: format!("192.0.2.1:{port}").parse().unwrap(),
            remote: "192.0.2.9:5060".parse().unwrap(),
        }
    }

    /// The Record-Route values of an INVITE that another proxy forwarded to us.
    fn recorded(own: &Own, from: &str, to: &str) -> Vec<String> {
        let text = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
                    Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK2\r\nFrom: <sip:a@example.com>;tag=1\r\n\
                    To: <sip:bob@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n";
        let message = Message::parse(text.as_bytes().to_vec().into(), &Limits::default()).unwrap();
        let request = message.into_request().unwrap();
        let facts = super::super::admit::check(&request).unwrap();
        let mut edits = Edits::new(&request);
        let passage = Passage { from: &flow(from), to: &flow(to), by_token: false, own };
        passage.record(&request, &facts, RecordRoute::Needed, &Secret::new([1; 16], [2; 16]), &mut edits);
        let text = String::from_utf8(edits.finish().bytes().to_vec()).unwrap();
        let rows = text.lines().filter_map(|row| row.strip_prefix("Record-Route: "));
        rows.flat_map(|row| row.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}
