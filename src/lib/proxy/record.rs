//! The URIs by which a proxy stays on a path: Record-Route (RFC 3261 §16.6 step 4, RFC 5658) and Path (RFC 3327, RFC 5626
//! §5.1), with the flow that leads to a client nobody can connect to.

use std::fmt;

use crate::{
    message::{Edits, HeaderId, Method, Request, Scheme, header::Supported},
    transport::{Flow, Protocol},
};

use super::{RecordRoute, admit::Facts, token::Secret};

/// How a request goes through this proxy.
pub struct Passage<'a> {
    pub from: &'a Flow,
    pub to: &'a Flow,
    /// A flow token said where it goes.
    pub by_token: bool,
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
        let entry = |flow: &Flow, token: bool, more| Entry {
            secure,
            user: if token { secret.token(flow) } else { PLAIN.to_owned() },
            flow: *flow,
            more,
        };
        if registers {
            let supported =
                || request.each::<Supported>().flatten().any(|tag| tag.eq_ignore_ascii_case("path"));
            if edge || bridge && supported() {
                // What is sent to the registrar's side leads to the client's.
                let more = if edge { ";ob" } else { "" };
                let user = if edge { secret.token(self.from) } else { PLAIN.to_owned() };
                edits.prepend(HeaderId::Path, Entry { secure, user, flow: *self.to, more });
            }
            return;
        }
        // Nobody else opens such a connection: its end is named by no URI.
        let pinned = self.by_token || matches!(self.to.protocol, Protocol::Ws | Protocol::Wss);
        if edge || bridge || pinned {
            // Two of them, so that each side is led over its own one (RFC 5658 §5).
            edits.prepend(HeaderId::RecordRoute, entry(self.from, edge, ""));
            edits.prepend(HeaderId::RecordRoute, entry(self.to, pinned, ""));
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
