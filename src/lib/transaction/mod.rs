//! Transactions: a request with everything the network does to it on the way to its final response
//! (RFC 3261 §17, RFC 6026, RFC 4320).
//!
//! Four machines – client and server, each for INVITE and for all else – know the rules, and
//! [`Table`] finds the machine a message belongs to and wakes it in time. No IO and no clock: whoever
//! drives the table says what time it is and carries out the [`Effect`]s.
//!
//! What is not done here: repeating a 2xx until its ACK comes and acknowledging a 2xx (the call's, RFC
//! 6026 §8.1), choosing where a request goes or where to try next (the stack's), answering 481 or 503
//! to what finds no transaction or no room (the stack's).

use bytes::Bytes;
use thiserror::Error;

use crate::{
    message::{Builder, Limits, Message},
    time::{Duration, Instant},
    transport::Flow,
    util::slab::Key,
};

mod client;
mod invite_client;
mod invite_server;
mod key;
mod server;
mod table;
mod timing;

pub use key::Branch;
pub use table::Table;
pub use timing::Timing;

/// Names a client transaction for ever: the id of an ended one finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientId(Key);

/// Names a server transaction for ever: the id of an ended one finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServerId(Key);

/// What the table wants done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    Transmit { flow: Flow, bytes: Bytes },
    Client { id: ClientId, report: Report },
    Server { id: ServerId, report: Report },
}

/// What a transaction tells its user.
///
/// A client transaction that was not abandoned ends in exactly one of: a final response delivered,
/// `Timeout`, `Unreachable`. Only an INVITE delivers further responses after its first final one: every
/// 2xx, until it says `Ended`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// Client: the response just handed in goes up.
    Deliver,
    /// Server: the ACK for our failure response came.
    Ack,
    /// Client: no (final) response in time. Server: no ACK for our failure response, or the user left a
    /// non-INVITE request unanswered until its client has given up (RFC 4320 §4.2).
    Timeout,
    /// Client: the time in which an INVITE delivers further 2xx is over (RFC 6026 §7.2, timer M).
    Ended,
    /// Client: the network says that nobody can be reached there.
    Unreachable,
}

/// What a request is to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A new request, to be answered with [`Table::respond`].
    New(ServerId),
    /// A copy of a known request; answered again where an answer is known, otherwise absorbed.
    Repeated,
    /// An ACK for our failure response (or for none at all): absorbed.
    Ack,
    /// An ACK that ends no transaction: normally the one for a 2xx, which belongs to the call.
    StrayAck,
    /// A CANCEL: a new request of its own, to be answered 200, or 481 if there is no `invite` (§9.2).
    /// The user of `invite` is told, if [`Facts::is_answered`] is false.
    Cancel { id: ServerId, invite: Option<ServerId> },
    /// No room for another transaction, or a request without the headers that identify one (which
    /// admission excludes).
    Refused,
}

/// What a server transaction knows about itself. The request is not kept: its user has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Where responses go.
    pub flow: Flow,
    pub is_invite: bool,
    /// Whether the final response has been given (or can no longer be given).
    pub is_answered: bool,
    /// The To tag of the last response, as long as that is kept: the 200 for a CANCEL should bear the
    /// same (RFC 3261 §9.2).
    pub to_tag: Option<String>,
}

/// The transaction has ended or has its final response already; the response was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the transaction takes no further response")]
pub struct Gone;

/// What a machine sees of the world while it handles one event.
struct Cx<'a> {
    now: Instant,
    timing: &'a Timing,
    /// The transport delivers or fails by itself, so nothing is sent twice.
    reliable: bool,
    out: &'a mut Vec<Action>,
}

/// What a machine wants; the table carries it out after the event.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Action {
    Transmit(Bytes),
    /// The machine's one deadline is now this one; [`NEVER`] for none.
    Arm(Instant),
    Report(Report),
    /// The machine is in the Terminated state and is destroyed.
    Remove,
}

impl Cx<'_> {
    fn transmit(&mut self, bytes: &Bytes) {
        self.out.push(Action::Transmit(bytes.clone()));
    }

    fn arm(&mut self, at: Instant) {
        self.out.push(Action::Arm(at));
    }

    /// Ends after `wait`, at once if there is nothing to wait for.
    fn linger(&mut self, wait: Duration) {
        if wait.is_zero() { self.remove() } else { self.arm(self.now + wait) }
    }

    /// The wait of states that only absorb copies: none where the transport makes no copies.
    fn absorb(&mut self, wait: Duration) {
        self.linger(if self.reliable { Duration::ZERO } else { wait });
    }

    fn report(&mut self, report: Report) {
        self.out.push(Action::Report(report));
    }

    fn remove(&mut self) {
        self.out.push(Action::Remove);
    }
}

/// A copy with a buffer of its own size. A request that is passed on or was changed may share a larger buffer or have room to
/// spare; transactions live half a minute and must not pin it. (Responses are built, and have what they need.)
fn right_sized(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The 100 for a request that came in and was found good (RFC 3261 §8.2.6.1), or nothing if it was not.
fn trying(request: &Bytes) -> Bytes {
    let Some(request) = reread(request).and_then(|request| request.into_request().ok()) else {
        return Bytes::new();
    };
    Builder::response(&request, 100, None).into_bytes()
}

/// The status of a response, `None` for a request.
fn status_of(message: &[u8]) -> Option<u16> {
    let code = message.strip_prefix(b"SIP/2.0 ")?.first_chunk::<3>()?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// Indexes again what was kept as bytes. It passed whatever limits there are when it came.
fn reread(bytes: &Bytes) -> Option<Message> {
    let any = Limits {
        head: Limits::MAX_HEAD,
        rows: usize::MAX,
        uri: Limits::MAX_HEAD,
        body: usize::MAX,
        ..Limits::default()
    };
    Message::parse(bytes.clone(), &any).ok()
}

/// The deadline of a state that waits for the peer or the user only.
const NEVER: Instant = Instant::from_micros(u64::MAX);

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod model;
