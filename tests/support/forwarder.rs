//! A stateless forwarder (RFC 3261 §16.11) on the library's public parts: it validates a request as §16.3 asks,
//! counts Max-Forwards down, puts its Via on top and sends everything to one next hop; responses go back by their
//! Vias. It keeps no routes of its own and challenges nobody.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, SocketAddr},
};

use sipkit::{
    message::{
        Builder, Edits, HeaderId, Message, Request, Response, Scheme,
        header::{MaxForwards, ProxyRequire, Via},
    },
    stack::{Cx, Failure, RequestId, TransactionUser},
    transaction::ServerId,
    transport::{Flow, Protocol},
};

pub struct Forwarder {
    local: SocketAddr,
    next: SocketAddr,
    /// All that was sent on, requests and responses.
    pub forwarded: Vec<Message>,
}

/// Why a request goes no further: the status, and a header field that explains it.
type Refusal = (u16, Option<(HeaderId, String)>);

impl Forwarder {
    pub fn new(local: SocketAddr, next: SocketAddr) -> Self {
        Self { local, next, forwarded: Vec::new() }
    }

    /// The Via of a proxy at this address, without parameters.
    pub fn via(local: SocketAddr) -> String {
        format!("SIP/2.0/UDP {local}")
    }

    fn pass_on(&self, request: &Request) -> Result<Message, Refusal> {
        let uri = request.uri().map_err(|_| (400, None))?;
        if uri.scheme() == Scheme::Other {
            return Err((416, None));
        }
        let hops = match request.find::<MaxForwards>().map_err(|_| (400, None))? {
            Some(0) => return Err((483, None)),
            Some(hops) => hops - 1,
            None => 70,
        };
        let wanted: Vec<_> = request.each::<ProxyRequire>().flatten().collect();
        if !wanted.is_empty() {
            return Err((420, Some((HeaderId::Unsupported, wanted.join(", ")))));
        }
        let mut edits = Edits::new(request);
        if uri.headers().next().is_some() {
            // §19.1.1: not allowed in a Request-URI.
            edits.uri(uri.without_headers());
        }
        let via = format_args!("{};branch=z9hG4bK{:016x}", Self::via(self.local), branch(request));
        edits.set(HeaderId::MaxForwards, hops).prepend(HeaderId::Via, via);
        Ok(edits.finish())
    }

    /// §16.7 step 3, §16.11: our own Via off, the rest goes where the next one says.
    fn pass_back(&self, response: &Response) -> Option<(SocketAddr, Message)> {
        let via = response.via().ok()?;
        if (via.host.ip()?, via.port.unwrap_or(5060)) != (self.local.ip(), self.local.port()) {
            return None;
        }
        let back = Edits::new(response).pop_value(HeaderId::Via).finish();
        let next = back.via().ok()?;
        let ip = next.received().or(next.host.ip())?;
        // RFC 4475 §3.3.10: nobody is to be made to flood a network.
        let crowd = ip.is_multicast() || ip == IpAddr::from([255; 4]);
        let port = next.rport().flatten().or(next.port).unwrap_or(5060);
        (!crowd).then_some((SocketAddr::new(ip, port), back))
    }
}

/// The same for a request and its repetitions, and for the CANCEL and the ACK of an INVITE (§16.11).
fn branch(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    let above = request.each::<Via>().next().and_then(|via| via.ok()?.branch());
    (above, request.call_id().ok(), request.from_tag().ok(), request.to_tag().ok()).hash(&mut hasher);
    (request.cseq().ok().map(|cseq| cseq.number), request.raw_uri()).hash(&mut hasher);
    hasher.finish()
}

impl TransactionUser for Forwarder {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        match (self.pass_on(&request), id) {
            (Ok(message), _) => {
                cx.transmit(Flow { remote: self.next, ..from }, &message);
                self.forwarded.push(message);
            }
            (Err((status, explained)), Some(id)) => {
                let response = Builder::response(&request, status, None).to_tag("proxy");
                let response = match explained {
                    Some((field, value)) => response.header(field, value),
                    None => response,
                };
                cx.respond(id, response.finish()).expect("its transaction has just begun");
            }
            (Err(_), None) => {}
        }
    }

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        let Some((remote, message)) = self.pass_back(&response) else { return };
        let flow =
            Flow { shard: 0, slot: 0, generation: 0, protocol: Protocol::Udp, local: self.local, remote };
        cx.transmit(flow, &message);
        self.forwarded.push(message);
    }

    fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
}
