//! One registration (RFC 3261 §10.2): a binding of our address of record to where we are, kept alive until it is not
//! wanted any more; or a single REGISTER that binds, asks or removes.
//!
//! It refreshes in time, follows 423 and one redirection, answers challenges, learns from the response what a NAT
//! made of our address (RFC 3581), and tries again after a failure with growing pauses (RFC 5626 §4.5). Path
//! (RFC 3327), Service-Route (RFC 3608), Outbound (RFC 5626) and GRUU (RFC 5627) are asked for, and what the
//! registrar grants of them is used by the requests of the account.
//!
//! `machine.rs` says what comes when, `request.rs` writes REGISTERs, `response.rs` reads what comes back.

mod machine;
mod request;
mod response;

pub(super) use response::refresh_in;

use std::{net::SocketAddr, sync::Arc};

use crate::{
    auth,
    message::{AddressBuf, HeaderId, Request, Response, Scheme, UriBuf},
    stack::{self, Failure, NextHop, RequestId, Times},
    time::{Duration, Instant},
    transport::{Flow, keepalive::Pulse},
};

use super::{RegistrationId, UaCx};
use machine::{Act, Input, Machine, State};

/// What to register, where, and for whom.
#[derive(Clone, Debug)]
pub struct Register {
    /// The address of record: To and From.
    pub aor: AddressBuf,
    /// The Request-URI: the domain of the address of record, without a user (§10.2).
    pub registrar: UriBuf,
    /// Where the Request-URI leads, or an outbound proxy.
    pub next: NextHop,
    pub task: Task,
    /// Answers challenges.
    pub auth: auth::Client,
    /// Names our device for Outbound and GRUU, such as `urn:uuid:…`; the same for ever (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// Asks for Outbound with this number of the flow, from 1 (RFC 5626 §4.2). Needs an instance.
    pub reg_id: Option<u32>,
    /// Asks for GRUUs (RFC 5627). Needs an instance.
    pub gruu: bool,
    /// Whether the address a NAT gave us is registered instead of our own, once the registrar tells it.
    pub rewrite: bool,
    pub backoff: Backoff,
    /// Further header fields, name and value.
    pub headers: Vec<(String, String)>,
}

impl Register {
    /// Keeps our own address bound for an hour at a time.
    pub fn new(aor: AddressBuf, registrar: UriBuf) -> Self {
        Self {
            aor,
            registrar,
            next: NextHop::RequestUri,
            task: Task::Keep { contacts: vec![Binding::default()], expires: HOUR },
            auth: auth::Client::default(),
            instance: None,
            reg_id: None,
            gruu: false,
            rewrite: true,
            backoff: Backoff::default(),
            headers: Vec::new(),
        }
    }
}

/// What is wanted of the registrar.
#[derive(Clone, Debug)]
pub enum Task {
    /// Bind, refresh until the end, then remove.
    Keep { contacts: Vec<Binding>, expires: Duration },
    /// Bind, and leave it at that: the binding lasts as long as the registrar grants.
    Once { contacts: Vec<Binding>, expires: Duration },
    /// Ask what is bound (§10.2.3).
    Query,
    /// Remove these (§10.2.2).
    Remove(Vec<UriBuf>),
    /// Remove all there are (`Contact: *`).
    RemoveAll,
}

/// One Contact to register.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// None: where we are reached ourselves.
    pub uri: Option<UriBuf>,
    /// Preference in thousandths, 0 to 1000 (§10.2.1.2).
    pub q: Option<u16>,
}

/// How long to wait after failures (RFC 5626 §4.5): between half and all of `base` doubled with each failure in a
/// row, but at most `longest`. A Retry-After may make it longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(30), longest: Duration::from_secs(1800) }
    }
}

impl Backoff {
    /// `failures` in a row, at least one; `random` is any number.
    pub(super) fn wait(&self, failures: u32, random: u64) -> Duration {
        let doubled = self.base.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        let bound = doubled.min(self.longest);
        let half = bound / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(random % micros)
    }
}

/// A binding as the registrar lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub uri: UriBuf,
    /// What is left of it.
    pub expires: Option<Duration>,
    /// In thousandths.
    pub q: Option<u16>,
    pub instance: Option<String>,
    pub reg_id: Option<u32>,
    pub public_gruu: Option<UriBuf>,
    pub temporary_gruu: Option<UriBuf>,
}

/// What a 2xx granted.
#[derive(Clone, Debug)]
pub struct Granted {
    /// All bindings of the address of record, at most [`MAX_LISTED`].
    pub bindings: Vec<Listed>,
    /// Which of them is ours; `None` if the registrar lists none that we would know again.
    pub own: Option<usize>,
    pub expires: Duration,
    /// When it is refreshed.
    pub refresh_in: Duration,
    /// What requests of this account take as their route (RFC 3608).
    pub service_route: Vec<AddressBuf>,
    /// The proxies between the registrar and us (RFC 3327), as listed.
    pub path: Vec<String>,
    /// The registrar uses the flow itself (RFC 5626 §6).
    pub outbound: bool,
    /// How often the flow must be used so that it is not given up (RFC 5626 §4.4).
    pub flow_timer: Option<Duration>,
    /// Where we said we are.
    pub contact: Option<UriBuf>,
    pub flow: Flow,
    /// From the last REGISTER to its response.
    pub round_trip: Duration,
    /// How long it took until the first REGISTER left.
    pub times: Times,
}

/// What the application learns, in this order: any number of the others, exactly one `Ended`.
#[derive(Clone, Debug)]
pub enum RegistrationEvent {
    /// Bound, or bound anew.
    Registered(Box<Granted>),
    /// The answer to [`Task::Query`].
    Bindings { bindings: Vec<Listed>, flow: Flow, round_trip: Duration, times: Times },
    /// What remains after a removal.
    Removed { bindings: Vec<Listed>, flow: Flow, round_trip: Duration, times: Times },
    /// A Contact of the response cannot be read: its number, from 1, and why. What it binds is not listed.
    Unread { number: usize, why: String },
    /// A challenge is being answered.
    Challenged { offered: Vec<auth::Offered>, downgrade: Option<auth::Downgrade> },
    /// The REGISTER goes out again for this reason.
    Adjusted(Adjusted),
    /// The flow is gone; registering again.
    FlowLost { flow: Flow },
    /// It failed and is tried again. What was bound stays so for `remaining`, if the registrar still knows it.
    Failed { cause: Cause, retry_in: Duration, remaining: Option<Duration> },
    /// The end. No cause: what was asked for is done.
    Ended { cause: Option<Cause> },
}

/// Why a REGISTER is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// The registrar does not bind for less (423).
    TooBrief { asked: Duration, least: Duration },
    /// Another registrar (301, 302).
    Redirected { status: u16, to: UriBuf },
    /// Seen from outside we have this address.
    Translated { local: SocketAddr, public: SocketAddr },
    /// An earlier address of ours is removed.
    Moved { from: UriBuf },
    /// The first hop cannot do Outbound (439).
    NoOutbound,
}

/// Why a REGISTER failed.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A final response other than 2xx.
    Refused { status: u16, reason: String, retry_after: Option<Duration>, details: Vec<(String, String)> },
    /// The challenge could not be answered.
    Unauthorized { status: u16, why: auth::GiveUp, offered: Vec<auth::Offered> },
    /// No response, or no way to send.
    Failed(Failure),
    /// A 2xx that binds nothing.
    NotGranted,
    /// Every response asked for yet another REGISTER.
    Endless,
}

/// One registration; see the module's description.
pub struct Registration {
    register: Register,
    machine: Machine,
    call_id: Box<str>,
    tag: Box<str>,
    number: u32,
    pending: Option<Pending>,
    cycle: Cycle,
    /// Of the first REGISTER.
    times: Option<Times>,
    /// Seconds asked for; a 423 may raise it.
    expires: u32,
    outbound: bool,
    /// What a NAT made of our address.
    public: Option<SocketAddr>,
    /// Cycles in a row in which that address was found to be another one.
    translations: u8,
    /// Addresses of ours the registrar may still have, and should not.
    stale: Vec<UriBuf>,
    /// What was registered last under our own address.
    current: Option<UriBuf>,
    granted: Option<Granted>,
    /// When the binding ends unless it is refreshed.
    bound_until: Option<Instant>,
    /// In a row.
    failures: u32,
    due: Option<Instant>,
    /// The flow that keep-alives are sent on.
    kept_alive: Option<Flow>,
    /// The deadline the stack knows of.
    armed: Option<Instant>,
    /// The answer to a challenge, to go out with the next REGISTER.
    credentials: Option<Vec<(HeaderId, String)>>,
    /// The end was told.
    told: bool,
}

/// The REGISTER under way.
struct Pending {
    id: RequestId,
    /// As sent, but for Via and our own Contact.
    sent: Request,
    contact: Option<stack::Contact>,
    removal: bool,
}

/// From one Send to the outcome: nothing may go round without end.
#[derive(Default)]
struct Cycle {
    rounds: u8,
    redirected: Option<UriBuf>,
    translated: bool,
}

impl Registration {
    pub(super) fn new(register: Register) -> Self {
        let (keep, expires) = match &register.task {
            Task::Keep { expires, .. } => (true, *expires),
            Task::Once { expires, .. } => (false, *expires),
            Task::Query | Task::Remove(_) | Task::RemoveAll => (false, Duration::ZERO),
        };
        Self {
            machine: Machine::new(keep),
            call_id: Box::default(),
            tag: Box::default(),
            number: 0,
            pending: None,
            cycle: Cycle::default(),
            times: None,
            expires: u32::try_from(expires.as_secs()).unwrap_or(u32::MAX),
            outbound: register.reg_id.is_some() && register.instance.is_some(),
            public: None,
            translations: 0,
            stale: Vec::new(),
            current: None,
            granted: None,
            bound_until: None,
            failures: 0,
            due: None,
            kept_alive: None,
            armed: None,
            credentials: None,
            told: false,
            register,
        }
    }

    /// The Call-ID of its REGISTERs.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// What the registrar granted last, while it holds.
    pub fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// Our address of record.
    pub fn aor(&self) -> &AddressBuf {
        &self.register.aor
    }

    /// The Contact of requests and responses of this account: a GRUU, or our address on the flow.
    pub(super) fn contact(&self, user: Option<String>) -> stack::Contact {
        let own = self.granted.as_ref().and_then(|granted| granted.bindings.get(granted.own?));
        stack::Contact {
            user,
            uri: own.and_then(|own| own.public_gruu.clone()),
            address: self.public,
            params: String::new(),
            sips: self.is_sips(),
        }
    }

    /// Whoever is to be reached by a SIPS URI binds one (RFC 3261 §10.2.1).
    fn is_sips(&self) -> bool {
        self.register.aor.as_uri().scheme() == Scheme::Sips
    }

    /// The route of its requests (RFC 3608 §6.1).
    pub(super) fn service_route(&self) -> &[AddressBuf] {
        self.granted.as_ref().map_or(&[], |granted| &granted.service_route)
    }

    /// Where its requests go first, unless a service route says so.
    pub(super) fn next(&self) -> &NextHop {
        &self.register.next
    }

    /// The domain of the proxy, or of the registrar.
    pub(super) fn domain(&self) -> Arc<str> {
        let uri = match &self.register.next {
            NextHop::Uri(proxy) => proxy,
            NextHop::RequestUri | NextHop::TopRoute => &self.register.registrar,
        };
        uri.as_uri().host().to_string().into()
    }

    /// Whether what is bound depends on this connection.
    pub(super) fn is_using(&self, flow: &Flow) -> bool {
        self.granted.as_ref().is_some_and(|granted| granted.flow.is_same(flow))
    }

    pub(super) fn is_over(&self) -> bool {
        self.machine.state() == State::Over
    }

    pub(super) fn request_ids(&self) -> impl Iterator<Item = RequestId> {
        self.pending.iter().map(|pending| pending.id)
    }

    pub(super) fn start(&mut self, cx: &mut UaCx<'_, '_, RegistrationId>) {
        self.call_id = cx.stack.ids().call_id().into();
        self.tag = cx.stack.ids().tag().into();
        self.take(Input::Start, cx);
    }

    pub(super) fn end(&mut self, cx: &mut UaCx<'_, '_, RegistrationId>) {
        self.go_on(Input::End, cx);
    }

    pub(super) fn deadline(&mut self, cx: &mut UaCx<'_, '_, RegistrationId>) {
        let now = cx.now();
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
        if self.due.is_some_and(|due| due <= now) {
            self.take(Input::Due, cx);
        }
    }

    pub(super) fn flow_lost(&mut self, flow: Flow, cx: &mut UaCx<'_, '_, RegistrationId>) {
        if self.is_using(&flow) && self.machine.state() == State::Bound {
            // The address belonged to the connection.
            self.public = None;
            self.kept_alive = None;
            cx.event(RegistrationEvent::FlowLost { flow });
            self.take(Input::FlowLost, cx);
        }
    }

    pub(super) fn failed(&mut self, id: RequestId, why: Failure, cx: &mut UaCx<'_, '_, RegistrationId>) {
        if self.pending.take_if(|pending| pending.id == id).is_some() {
            if let (Failure::Timeout(target), Some(granted)) = (&why, &self.granted)
                && granted.flow.protocol.is_reliable()
                && granted.flow.target() == *target
            {
                // A connection on which nobody answers any more (RFC 5626 §4.4.1).
                cx.stack.close(granted.flow);
            }
            self.outcome(Cause::Failed(why), cx);
        }
    }

    pub(super) fn response(
        &mut self,
        id: RequestId,
        response: &Response,
        cx: &mut UaCx<'_, '_, RegistrationId>,
    ) {
        if response.status() < 200 {
            return;
        }
        if let Some(pending) = self.pending.take_if(|pending| pending.id == id) {
            self.answered(&pending, response, cx);
        }
    }

    /// Far deadlines are asked for in steps: the stack keeps what it was asked for though it may be wanted no more.
    pub(super) fn arm(&mut self, now: Instant) -> Option<Instant> {
        let next = self.due?.min(now + LONGEST_WAIT);
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        Some(next)
    }

    /// Takes an input that is no failure; the end is told if it led there.
    fn go_on(&mut self, input: Input, cx: &mut UaCx<'_, '_, RegistrationId>) {
        self.take(input, cx);
        if self.machine.state() == State::Over {
            self.tell_end(None, cx);
        }
    }

    fn tell_end(&mut self, cause: Option<Cause>, cx: &mut UaCx<'_, '_, RegistrationId>) {
        if !std::mem::replace(&mut self.told, true) {
            cx.event(RegistrationEvent::Ended { cause });
        }
    }

    fn take(&mut self, input: Input, cx: &mut UaCx<'_, '_, RegistrationId>) {
        let before = self.machine.state();
        match self.machine.take(input) {
            Act::Nothing => {}
            Act::Send => {
                if before != State::Asking {
                    self.cycle = Cycle::default();
                }
                self.due = None;
                self.send(false, cx);
            }
            Act::SendRemoval => {
                if before != State::Removing {
                    self.cycle = Cycle::default();
                }
                self.due = None;
                self.send(true, cx);
            }
            Act::AwaitRefresh => {
                let wait = self.granted.as_ref().map_or(HOUR, |granted| granted.refresh_in);
                self.due = Some(cx.now() + wait);
            }
            // `outcome` has set the time.
            Act::AwaitRetry => {}
            Act::Finish => {
                self.keep_alive(None, cx);
                self.granted = None;
                self.due = None;
            }
        }
    }

    /// Keep-alives go by the flow that is registered, and by no other.
    fn keep_alive(&mut self, pulse: Option<(Flow, Pulse)>, cx: &mut UaCx<'_, '_, RegistrationId>) {
        if let Some(old) = self.kept_alive.take_if(|old| pulse.is_none_or(|(flow, _)| !old.is_same(&flow))) {
            cx.stack.keep_alive(old, None);
        }
        if let Some((flow, pulse)) = pulse {
            self.kept_alive = Some(flow);
            cx.stack.keep_alive(flow, Some(pulse));
        }
    }

    /// A REGISTER without success.
    fn outcome(&mut self, cause: Cause, cx: &mut UaCx<'_, '_, RegistrationId>) {
        let lasting = cause.is_lasting();
        let retry_after = match &cause {
            Cause::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        self.take(if lasting { Input::Refused } else { Input::Failed }, cx);
        match self.machine.state() {
            State::Waiting => {
                self.failures += 1;
                let random = cx.stack.ids().u64();
                let backoff = self.register.backoff.wait(self.failures, random);
                // A registrar may ask for patience, but not for ever.
                let retry_in = backoff.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
                self.due = Some(cx.now() + retry_in);
                let remaining =
                    self.bound_until.map(|until| until - cx.now()).filter(|remaining| !remaining.is_zero());
                if remaining.is_none() {
                    self.granted = None;
                    self.machine.bound = false;
                }
                cx.event(RegistrationEvent::Failed { cause, retry_in, remaining });
            }
            State::Over => self.tell_end(Some(cause), cx),
            // The failure does not matter: it is being removed.
            _ => tracing::debug!(?cause, "a REGISTER failed that is not wanted any more"),
        }
    }
}

impl Cause {
    /// Whether the same would happen again: the registrar knows us not, or does not let us in.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Unauthorized { .. } => true,
            Self::Refused { status, .. } => match status {
                // Timeout, interval, unavailable, too many, server trouble: these pass.
                408 | 423 | 429 | 480 | 491 | 500..=599 => false,
                // A redirection that was not followed stays what it is, as do all others.
                _ => true,
            },
            Self::Failed(why) => matches!(why, Failure::NoNextHop | Failure::Cancelled),
            Self::NotGranted | Self::Endless => false,
        }
    }
}

fn uri_in(value: &str) -> Option<UriBuf> {
    crate::message::NameAddr::parse(value).ok().map(|address| address.uri.into())
}

/// Bindings of a response that are looked at.
pub const MAX_LISTED: usize = 64;
/// Routes of a response that are kept.
const MAX_ROUTES: usize = 16;
/// REGISTERs from one wish to its outcome.
const MAX_ROUNDS: u8 = 10;
/// Refreshes in a row that find yet another public address, before that is given up.
const MAX_TRANSLATIONS: u8 = 3;
const HOUR: Duration = Duration::from_secs(3600);
/// How far ahead the stack is asked to wake us.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_RETRY_AFTER: Duration = HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5626 §4.5: the first retry after 30 to 60 seconds, the fourth after 240 to 480, and never rarer than
    /// every half an hour.
    #[test]
    fn pauses_grow_to_a_limit() {
        let backoff = Backoff::default();
        for (failures, low, high) in
            [(1, 30, 60), (3, 120, 240), (5, 480, 960), (6, 900, 1800), (200, 900, 1800)]
        {
            for random in [0, 1, 12_345_678_901, u64::MAX] {
                let wait = backoff.wait(failures, random);
                let bounds = Duration::from_secs(low)..=Duration::from_secs(high);
                assert!(bounds.contains(&wait), "{wait:?} after {failures} failures");
            }
        }
        let none = Backoff { base: Duration::ZERO, longest: Duration::ZERO };
        assert_eq!(none.wait(1, 7), Duration::ZERO);
    }
}
