//! What stands on the stack: the transaction user of RFC 3261 §5, and what it may do.
//!
//! A user is called inline by the shard that owns the stack: no channel, no task, no lock. It must not
//! block. Everything it wants done goes through [`Cx`]; effects leave the stack after it returns.

use std::{
    fmt::{self, Write},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    message::{Message, Request, Response, UriBuf},
    resolve::LookupError,
    time::{Duration, Instant},
    transaction::{Gone, ServerId, Timing},
    transport::{Flow, FlowError, Protocol, Target, keepalive::Pulse},
    util::{id::Ids, slab::Key, text::Socket},
};

use super::Core;

/// Application logic driven by a [`Stack`](super::Stack).
///
/// A request that starts a server transaction comes with its id and must be answered with
/// [`Cx::respond`]; an ACK that belongs to no transaction (the ACK for a 2xx) comes without.
pub trait TransactionUser {
    /// A request as it came, before any transaction is looked for: whether it was forwarded, or otherwise done with,
    /// without one (RFC 3261 §16.11). Transactions see only what is left.
    fn forwards_request(&mut self, _request: &Request, _from: Flow, _cx: &mut Cx<'_>) -> bool {
        false
    }

    /// The same for a response.
    fn forwards_response(&mut self, _response: &Response, _from: Flow, _cx: &mut Cx<'_>) -> bool {
        false
    }

    /// A request nobody answered yet. CANCEL never comes here, see [`TransactionUser::cancel`].
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>);

    /// The INVITE `invite` was cancelled by its sender (RFC 3261 §9.2). The CANCEL itself has been
    /// answered; the user answers the INVITE with 487 unless it already sent a final response.
    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>);

    /// A response to a request of ours; `None` when it matches no transaction, which only a stateless
    /// proxy cares about.
    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>);

    /// The request got no final response and never will.
    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>);

    /// An INVITE that was answered 2xx gives no more of them (RFC 6026 §7.2, timer M): its id is over.
    fn ended(&mut self, _id: RequestId, _cx: &mut Cx<'_>) {}

    /// A message that was to be sent by this flow did not get onto it: its connection is gone or takes nothing more, or
    /// the system refuses it. Transactions are told otherwise; this is for who forwards without one.
    fn unsent(&mut self, _bytes: &Bytes, _flow: Flow, _cx: &mut Cx<'_>) {}

    /// A time asked for with [`Cx::wake`] has come. Tokens are the user's own; a user that changed its
    /// mind ignores the call.
    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>);

    /// A [`Cx::route`] question was answered: requests to that URI would leave by this flow.
    fn routed(&mut self, _id: RequestId, _flow: Flow, _cx: &mut Cx<'_>) {}

    /// A connection is gone, whoever closed it. What waited on it has been told already, or tried elsewhere.
    fn flow_lost(&mut self, _flow: Flow, _why: &FlowError, _cx: &mut Cx<'_>) {}

    /// Tells each flow that a dialog or a registration relies on, in any order and as often as it likes: connections
    /// among them are not closed for being idle. Transactions under way keep theirs open by themselves.
    fn flows(&self, _tell: &mut dyn FnMut(&Flow)) {}
}

/// Names one outgoing request from [`Cx::send`] to its final response or failure, across the targets
/// it was tried at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub(super) Key);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}.{}", self.0.index, self.0.generation)
    }
}

/// A request to send. It carries no Via yet and, if `contact` is given, no Contact: both name the
/// local address, which is known only once the target is.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub request: Message,
    pub next: NextHop,
    pub contact: Option<Contact>,
    /// Goes by this connection if it is still open, whatever `next` says: that of the dialog, or of the
    /// registration that led here (RFC 5626 §5.3).
    pub flow: Option<Flow>,
    /// The domain a peer's certificate must be for (RFC 5922 §7), if another than that of the next hop: that of
    /// the URI which began the dialog.
    pub domain: Option<Arc<str>>,
}

impl Outgoing {
    /// Over any flow, to whom `next` says, and with the Contact it may have.
    pub const fn new(request: Message, next: NextHop) -> Self {
        Self { request, next, contact: None, flow: None, domain: None }
    }

    /// Whether it is an ACK, which starts no transaction (RFC 3261 §17).
    pub(crate) fn is_ack(&self) -> bool {
        self.request.bytes().starts_with(b"ACK ")
    }
}

/// Where a request goes first (RFC 3261 §8.1.2).
#[derive(Clone, Debug)]
pub enum NextHop {
    /// To the Request-URI: no route set, or a strict router put there by §12.2.1.1.
    RequestUri,
    /// To the topmost Route, a loose router.
    TopRoute,
    /// To a configured outbound proxy, whatever the message says.
    Uri(UriBuf),
}

/// The Contact of a request, completed with the local address of the flow it leaves by.
#[derive(Clone, Debug, Default)]
pub struct Contact {
    /// User part, already escaped; none gives `<sip:host:port>`.
    pub user: Option<String>,
    /// This instead of our own address: a GRUU.
    pub uri: Option<UriBuf>,
    /// What a NAT made of our address on the flow.
    pub address: Option<SocketAddr>,
    /// Parameters of the header field, each with its `;`.
    pub params: String,
    /// A SIPS URI where the flow is encrypted: what was begun with one needs it (RFC 3261 §12.1.1).
    pub sips: bool,
}

impl Contact {
    /// The header value for a flow (RFC 3261 §8.1.1.8).
    pub fn on(&self, flow: &Flow) -> String {
        let sips = self.sips && flow.protocol.is_secure();
        let scheme = if sips { "sips" } else { "sip" };
        let transport = match flow.protocol {
            Protocol::Udp => "",
            Protocol::Tcp => ";transport=tcp",
            Protocol::Tls if sips => "",
            Protocol::Tls => ";transport=tls",
            // RFC 7118 §5.2: one value for both.
            Protocol::Ws | Protocol::Wss => ";transport=ws",
        };
        let (address, params) = (Socket(self.address.unwrap_or(flow.local)), &self.params);
        let mut value = String::with_capacity(64 + params.len());
        // Writing to a string does not fail.
        let _ = match (&self.uri, &self.user) {
            (Some(uri), _) => write!(value, "<{uri}>{params}"),
            (None, Some(user)) => write!(value, "<{scheme}:{user}@{address}{transport}>{params}"),
            (None, None) => write!(value, "<{scheme}:{address}{transport}>{params}"),
        };
        value
    }
}

/// Why a request got no final response.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The caller withdrew it before it was sent.
    #[error("cancelled before it was sent")]
    Cancelled,
    /// The message could not be sent as it is: no usable next hop in it.
    #[error("the request names no next hop that can be reached")]
    NoNextHop,
    #[error(transparent)]
    Lookup(LookupError),
    /// Too many transactions at once; nothing was sent.
    #[error("too many transactions at once")]
    Overrun,
    /// No final response within 64·T1 (timers B and F).
    #[error("no response from {0}")]
    Timeout(Target),
    /// An ICMP error, a refused or lost connection, or no route.
    #[error("{target}: {why}")]
    Unreachable { target: Target, why: FlowError },
}

/// How long it took until a request left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Finding out where it goes.
    pub lookup: Duration,
    /// From there to the connection, those that failed included; next to nothing if it was open already, `None` over UDP.
    pub connect: Option<Duration>,
}

/// Everything a transaction user may do.
pub struct Cx<'a> {
    pub(super) core: &'a mut Core,
    pub(super) now: Instant,
}

impl Cx<'_> {
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Fresh identifiers: tags, Call-IDs, random numbers.
    pub fn ids(&mut self) -> &mut Ids {
        &mut self.core.ids
    }

    /// The shard this stack is, for cookies.
    pub fn shard(&self) -> u16 {
        self.core.shard
    }

    /// Sends a request: finds the target, chooses the flow, adds Via (and Contact, Max-Forwards),
    /// retransmits, and fails over to the next target (RFC 3263 §4.3). An ACK, which only
    /// acknowledges a 2xx here, is sent once and its id ends at once.
    ///
    /// Never calls back before it returns.
    pub fn send(&mut self, outgoing: Outgoing) -> RequestId {
        self.core.send(outgoing, self.now)
    }

    /// Withdraws an INVITE (RFC 3261 §9.1): CANCEL is sent as soon as a provisional response allows.
    /// The outcome comes as the INVITE's own: usually 487, a 2xx when the two crossed,
    /// [`Failure::Cancelled`] if nothing had been sent yet.
    pub fn cancel(&mut self, id: RequestId) {
        self.core.cancel(id, self.now);
    }

    /// Asks which flow a request to `uri` would take; [`TransactionUser::routed`] or
    /// [`TransactionUser::failed`] answers.
    pub fn route(&mut self, uri: UriBuf) -> RequestId {
        self.core.probe(uri, self.now)
    }

    /// Answers a request, with a message or its bytes. [`Gone`] when its transaction is over.
    pub fn respond(&mut self, id: ServerId, response: impl Into<Bytes>) -> Result<(), Gone> {
        self.core.respond(id, &response.into(), self.now)
    }

    /// The status of the final response to a request that was just answered; `None` once another one was.
    pub fn answered(&self, id: ServerId) -> Option<u16> {
        self.core.table.answered(id)
    }

    /// Retransmits a 2xx to an INVITE, which its transaction no longer does (RFC 6026 §7.1).
    pub fn transmit(&mut self, flow: Flow, response: impl Into<Bytes>) {
        self.core.transmit(flow, response.into());
    }

    /// Sends a message that belongs to no transaction of this element, as a stateless proxy does.
    pub fn forward(&mut self, flow: Flow, bytes: Bytes) {
        self.core.transmit(flow, bytes);
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.core.shards
    }

    /// Leaves a message to another shard, as what it takes to deal with it is there: its user is asked as if the message
    /// had come to it.
    pub fn hand_over(&mut self, shard: u16, message: Message, flow: Flow) {
        self.core.hand_over(shard, message, flow);
    }

    /// Whether something came by this connection and it is open still; over UDP always. Only of this shard's own.
    pub fn is_open(&self, flow: &Flow) -> bool {
        !flow.protocol.is_reliable() || self.core.proven.contains(&flow.key())
    }

    /// Of 255 new requests so many are too many: the driver does not keep up ([`Stack::overloaded`](super::Stack::overloaded)).
    pub fn excess(&self) -> u8 {
        self.core.excess
    }

    /// Keeps a flow alive that leads to `flow.remote`, or no longer (RFC 5626 §4.4): CRLF on connections we opened,
    /// STUN on UDP. When it fails [`TransactionUser::flow_lost`] tells, after closing it if it is a connection. What
    /// is kept alive is not closed for being idle.
    pub fn keep_alive(&mut self, flow: Flow, pulse: Option<Pulse>) {
        self.core.keep_alive(flow, pulse, self.now);
    }

    /// Closes a connection, once what was sent on it has left. [`TransactionUser::flow_lost`] follows.
    pub fn close(&mut self, flow: Flow) {
        self.core.close(flow, FlowError::Lost);
    }

    /// The flow an outgoing request was last sent by; `None` before that and once the user was told its
    /// outcome (an INVITE lives on after its 2xx for as long as copies may come).
    pub fn flow(&self, id: RequestId) -> Option<Flow> {
        self.core.flow(id)
    }

    /// Whether an outgoing request left its first target for another one (RFC 3263 §4.3), which
    /// [`flow`](Self::flow) leads to.
    pub fn has_moved(&self, id: RequestId) -> bool {
        self.core.has_moved(id)
    }

    /// The domain that a certificate on the way of an outgoing request must be for ([`Outgoing::domain`]); `None` once
    /// the request is over.
    pub fn domain(&self, id: RequestId) -> Option<Arc<str>> {
        self.core.domain(id)
    }

    /// How long it took until a request left; of [`Cx::route`] in [`TransactionUser::routed`].
    pub fn times(&self, id: RequestId) -> Option<Times> {
        self.core.times(id)
    }

    /// When it was first sent there; `None` as with [`Cx::flow`].
    pub fn sent_at(&self, id: RequestId) -> Option<Instant> {
        self.core.sent_at(id)
    }

    /// Where responses to an incoming request go.
    pub fn reply_flow(&self, id: ServerId) -> Option<Flow> {
        self.core.table.reply_flow(id)
    }

    /// T1, T2 and what derives from them.
    pub fn timing(&self) -> Timing {
        self.core.timing
    }

    /// Calls [`TransactionUser::deadline`] with `token` at `at` (to 4 ms, never early).
    pub fn wake(&mut self, at: Instant, token: u64) {
        self.core.wakes.insert(at, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_says_how_to_connect() {
        let at = |text: &str| text.parse().expect("an address");
        let on = |protocol, sips| {
            let flow = Flow {
                shard: 0,
                slot: 0,
                generation: 1,
                protocol,
                local: at("[2001:db8::1]:5061"),
                remote: at("[2001:db8::2]:5061"),
            };
            Contact { user: Some("a".into()), sips, ..Contact::default() }.on(&flow)
        };
        let table = [
            (Protocol::Udp, false, "<sip:a@[2001:db8::1]:5061>"),
            (Protocol::Tcp, false, "<sip:a@[2001:db8::1]:5061;transport=tcp>"),
            (Protocol::Tcp, true, "<sip:a@[2001:db8::1]:5061;transport=tcp>"),
            (Protocol::Tls, false, "<sip:a@[2001:db8::1]:5061;transport=tls>"),
            (Protocol::Tls, true, "<sips:a@[2001:db8::1]:5061>"),
            (Protocol::Ws, true, "<sip:a@[2001:db8::1]:5061;transport=ws>"),
            (Protocol::Wss, true, "<sips:a@[2001:db8::1]:5061;transport=ws>"),
        ];
        for (protocol, sips, expected) in table {
            assert_eq!(on(protocol, sips), expected);
        }
    }
}
