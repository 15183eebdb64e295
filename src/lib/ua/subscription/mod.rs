//! One wish to be notified of somebody's state (RFC 6665): subscribed for, kept up until it is not wanted any more, or
//! asked for once or from time to time (§4.4.3).
//!
//! A SUBSCRIBE may lead to several subscriptions where it forks (§4.1.4): each is a `Fork` with a dialog of its own,
//! made by its first NOTIFY, which may come before the 2xx. They are refreshed in time; when the last is gone its reason
//! says whether and when to subscribe anew (§4.1.3). Challenges, 423 and one redirection are followed, failures tried
//! again after growing pauses. Where the notifier names its state by an entity-tag, refreshes ask only for what changed
//! (RFC 5839). Bodies are handed up as they are.
//!
//! `machine.rs` says what comes when, `fork/` the same for one subscription, `request.rs` writes SUBSCRIBEs,
//! `response.rs` reads what comes back, `notify.rs` takes NOTIFYs.

mod fork;
mod machine;
mod notify;
mod request;
mod response;

use std::sync::Arc;

use crate::{
    auth,
    message::{AddressBuf, HeaderId, Request, Response, Scheme, UriBuf, header},
    stack::{Contact, Failure, NextHop, RequestId},
    time::{Duration, Instant},
    transport::Flow,
    util::id::Cookie,
};

use super::{
    RegistrationId, SubscriptionId, UaCx,
    call::Body,
    package::{Package, Reason, State, Termination},
    registration::Backoff,
    route::Way,
};
use fork::Fork;
use machine::{Act, Aim, Input, Machine};

/// What to subscribe to, and how.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The resource: Request-URI and To.
    pub target: UriBuf,
    /// From, without tag.
    pub from: AddressBuf,
    /// An outbound proxy, or where the Request-URI leads.
    pub next: NextHop,
    /// Takes the route and, where there is one, the Contact of this account.
    pub registration: Option<RegistrationId>,
    /// The event package, by name.
    pub event: String,
    /// The `id` of Event, which tells subscriptions of one dialog apart (§8.2.1); seldom needed.
    pub event_id: Option<String>,
    /// Further parameters of Event that the package defines: names and values, which are tokens.
    pub event_parameters: Vec<(String, String)>,
    /// Media types of documents that are understood; none leaves it to the package (§8.2).
    pub accept: Vec<String>,
    pub task: Task,
    /// What becomes of a SUBSCRIBE that several notifiers take.
    pub forks: Forking,
    /// A filter, or a list of resources; sent with what begins a subscription.
    pub body: Option<Body>,
    /// Whether the target may be a list of resources (RFC 4662): adds what must be said in Supported and Accept.
    pub lists: bool,
    /// Whether refreshes ask for nothing if nothing changed, where the notifier can (RFC 5839).
    pub conditional: bool,
    /// The entity-tag of the state that is known already (RFC 5839 §5.5).
    pub etag: Option<String>,
    /// The largest body of a NOTIFY, in octets; 413 beyond.
    pub largest: usize,
    /// Answers challenges.
    pub auth: auth::Client,
    pub backoff: Backoff,
    /// Further header fields, name and value.
    pub headers: Vec<(String, String)>,
}

impl Subscribe {
    /// Stays subscribed to what the package says of `target`, for as long at a time as the package proposes.
    pub fn new(package: &dyn Package, target: UriBuf, from: AddressBuf) -> Self {
        Self {
            target,
            from,
            next: NextHop::RequestUri,
            registration: None,
            event: package.name().to_owned(),
            event_id: None,
            event_parameters: Vec::new(),
            accept: package.types().iter().map(|&kind| kind.to_owned()).collect(),
            task: Task::Keep { expires: package.expires() },
            forks: if package.forks() { Forking::All } else { Forking::First },
            body: None,
            lists: false,
            conditional: true,
            etag: None,
            largest: LARGEST,
            auth: auth::Client::default(),
            backoff: Backoff::default(),
            headers: Vec::new(),
        }
    }
}

/// What is wanted in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Subscribe, refresh, subscribe anew, until the end. `expires` is asked for, in whole seconds of at least one.
    Keep { expires: Duration },
    /// Ask once (§4.4.3).
    Fetch,
    /// Ask, and again so long after each answer.
    Poll { every: Duration },
}

/// Which subscriptions are kept of those a SUBSCRIBE led to (§4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forking {
    /// The one that notifies first; 481 to the others.
    First,
    /// All, up to [`MAX_FORKS`].
    All,
}

/// A NOTIFY that was answered 200.
#[derive(Clone, Debug)]
pub struct Notification {
    /// As it came: its body, and Content-Type, Content-ID and what else may matter.
    pub request: Box<Request>,
    /// Which of the subscriptions a forked SUBSCRIBE led to; counted from 0, and on, through new ones.
    pub fork: u32,
    pub state: State,
    /// What is left of the subscription.
    pub expires: Option<Duration>,
    /// Names the state (RFC 5839). Without a body it is still the one that was named so before.
    pub etag: Option<String>,
    /// The way it came.
    pub flow: Flow,
}

impl Notification {
    /// The Content-Type as it stands, without which there is no body.
    pub fn content_type(&self) -> Option<String> {
        self.request.raw(HeaderId::ContentType).next().map(|row| row.text().to_string())
    }

    /// What the document is about nobody here knows. Empty: nothing to say, or nothing new.
    pub fn body(&self) -> &[u8] {
        self.request.body()
    }
}

/// What the application learns, in this order: any number of the others, exactly one `Ended`.
#[derive(Clone, Debug)]
pub enum SubscriptionEvent {
    /// A 2xx: subscribed, or subscribed anew. The state follows, unless it came already.
    Accepted { status: u16, expires: Duration, flow: Option<Flow>, round_trip: Duration },
    /// A NOTIFY.
    Notified(Notification),
    /// A refresh found nothing new (204), and holds so long.
    Unchanged { fork: u32, expires: Duration },
    /// A NOTIFY was refused: its body is too large (413) or cannot be read (400, 415), or it is another event's (489).
    NotifyRefused { status: u16, why: &'static str },
    /// A challenge is being answered.
    Challenged { offered: Vec<auth::Offered>, downgrade: Option<auth::Downgrade> },
    /// The SUBSCRIBE goes out again for this reason.
    Adjusted(Adjusted),
    /// The connection is gone; refreshing by another one.
    FlowLost { flow: Flow },
    /// One of several subscriptions is over; the others go on.
    ForkEnded { fork: u32, cause: Cause },
    /// The subscription is over, and another one is asked for at once.
    Renewing { cause: Cause },
    /// It failed and is tried again. What there is holds for `remaining`.
    Failed { cause: Cause, retry_in: Duration, remaining: Option<Duration> },
    /// So many events were not read in time; the handle of an agent says so.
    Missed { count: u64 },
    /// The end. No cause: what was asked for is done.
    Ended { cause: Option<Cause> },
}

/// Why a SUBSCRIBE is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// The notifier does not take less (423).
    TooBrief { asked: Duration, least: Duration },
    /// Another notifier (301, 302).
    Redirected { status: u16, to: UriBuf },
}

/// Why there is no subscription, or none any more.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A final response other than 2xx.
    Refused { status: u16, reason: String, retry_after: Option<Duration>, details: Vec<(String, String)> },
    /// The challenge could not be answered.
    Unauthorized { status: u16, why: auth::GiveUp, offered: Vec<auth::Offered> },
    /// No response, or no way to send.
    Failed(Failure),
    /// Accepted, but not notified of anything (timer N, §4.1.2.4).
    Silent,
    /// The notifier ended it.
    Terminated(Termination),
    /// It could not be refreshed in time.
    Expired,
    /// Every response asked for yet another SUBSCRIBE.
    Endless,
}

/// See the module's description.
pub struct Subscription {
    subscribe: Subscribe,
    machine: Machine,
    /// Our tag, by which NOTIFYs find us; another one for each subscription.
    cookie: Cookie,
    call_id: Box<str>,
    /// CSeq outside dialogs.
    number: u32,
    /// What began outside a dialog, while it may still lead to something.
    attempt: Option<Attempt>,
    forks: Vec<Fork>,
    /// The number of the next fork.
    count: u32,
    /// Seconds asked for; a 423 may raise it.
    expires: u32,
    /// SUBSCRIBEs from one wish to its outcome.
    rounds: u8,
    redirected: Option<UriBuf>,
    /// The state known last.
    etag: Option<String>,
    /// In a row.
    failures: u32,
    /// Subscriptions begun anew at once, one shortly after the other.
    renewals: u8,
    renewed_at: Option<Instant>,
    due: Option<Instant>,
    /// The deadline the stack knows of.
    armed: Option<Instant>,
    /// The answer to a challenge, to go out with the next SUBSCRIBE.
    credentials: Option<Vec<(HeaderId, String)>>,
    /// What the account says of requests, as of now.
    way: Way,
    /// The end was told.
    told: bool,
}

/// A SUBSCRIBE under way.
struct Pending {
    id: RequestId,
    /// As sent, but for Via and Contact.
    sent: Request,
    /// It had a Suppress-If-Match.
    conditional: bool,
    /// What it carried that a further one would not.
    body: Option<Body>,
}

/// A SUBSCRIBE outside dialogs, from its sending until no NOTIFY can make a subscription of it any more.
struct Attempt {
    pending: Option<Pending>,
    /// Timer N. It starts with the 2xx rather than the SUBSCRIBE: a fail-over may take several times 64·T1.
    until: Option<Instant>,
    /// To tag and Expires of the 2xx, for the subscription it belongs to.
    accepted: Option<(Box<str>, Option<u32>)>,
    /// Whom a certificate must be for (RFC 5922 §7), as long as it is known.
    domain: Option<Arc<str>>,
    /// How the last of its subscriptions ended.
    ended: Option<Cause>,
}

impl Subscription {
    pub(super) fn new(subscribe: Subscribe, cookie: Cookie) -> Self {
        let (aim, expires) = match subscribe.task {
            Task::Keep { expires } => (Aim::Keep, expires.max(SOONEST)),
            Task::Fetch => (Aim::Fetch, Duration::ZERO),
            Task::Poll { .. } => (Aim::Poll, Duration::ZERO),
        };
        Self {
            machine: Machine::new(aim),
            cookie,
            call_id: Box::default(),
            number: 0,
            attempt: None,
            forks: Vec::new(),
            count: 0,
            expires: u32::try_from(expires.as_secs()).unwrap_or(u32::MAX),
            rounds: 0,
            redirected: None,
            etag: subscribe.etag.clone(),
            failures: 0,
            renewals: 0,
            renewed_at: None,
            due: None,
            armed: None,
            credentials: None,
            way: Way::default(),
            told: false,
            subscribe,
        }
    }

    /// The Call-ID of its messages; another one for each new subscription.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Subscriptions it consists of now.
    pub fn forks(&self) -> usize {
        self.forks.len()
    }

    pub(super) fn cookie(&self) -> Cookie {
        self.cookie
    }

    pub(super) fn registration(&self) -> Option<RegistrationId> {
        self.subscribe.registration
    }

    pub(super) fn set_way(&mut self, way: Way) {
        self.way = way;
    }

    /// Whether lists of resources were asked for.
    pub(super) fn takes_lists(&self) -> bool {
        self.subscribe.lists
    }

    pub(super) fn is_over(&self) -> bool {
        self.machine.state() == machine::State::Over
    }

    /// What its dialogs rely on.
    pub(super) fn flows(&self) -> impl Iterator<Item = Flow> + '_ {
        self.forks.iter().map(|fork| fork.dialog.flow())
    }

    pub(super) fn is_using(&self, flow: &Flow) -> bool {
        self.flows().any(|of| of.is_same(flow))
    }

    pub(super) fn request_ids(&self) -> impl Iterator<Item = RequestId> + '_ {
        let attempt = self.attempt.iter().filter_map(|attempt| attempt.pending.as_ref());
        attempt.chain(self.forks.iter().filter_map(|fork| fork.pending.as_ref())).map(|pending| pending.id)
    }

    pub(super) fn start(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.take(Input::Start, None, cx);
    }

    pub(super) fn end(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.take(Input::End, None, cx);
    }

    /// Asks to be notified now, of everything; `body` replaces the filter that was sent before.
    pub(super) fn refresh(&mut self, body: Option<Body>, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        if body.is_some() {
            self.subscribe.body.clone_from(&body);
        }
        self.etag = None;
        for number in self.numbers() {
            self.renew_fork(number, body.clone(), cx);
        }
        if self.machine.state() == machine::State::Waiting {
            self.take(Input::Due, None, cx);
        }
    }

    pub(super) fn flow_lost(&mut self, flow: Flow, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let lost = |fork: &&Fork| fork.dialog.flow().is_same(&flow);
        let numbers: Vec<_> = self.forks.iter().filter(lost).map(|fork| fork.number).collect();
        if !numbers.is_empty() {
            cx.event(SubscriptionEvent::FlowLost { flow });
        }
        for number in numbers {
            // What is there knows where we are only from the next SUBSCRIBE on.
            self.fork_input(number, fork::Input::Due, None, cx);
        }
    }

    pub(super) fn deadline(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let now = cx.now();
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
        for number in self.numbers() {
            self.fork_deadline(number, cx);
        }
        if self.attempt.as_ref().is_some_and(|attempt| attempt.until.is_some_and(|until| until <= now)) {
            self.attempt_ended(cx);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.take(Input::Due, None, cx);
        }
    }

    /// Far deadlines are asked for in steps: the stack keeps what it was asked for though it may be wanted no more.
    pub(super) fn arm(&mut self, now: Instant) -> Option<Instant> {
        let attempt = self.attempt.as_ref().and_then(|attempt| attempt.until);
        let forks = self.forks.iter().map(Fork::next).min();
        let next = [self.due, attempt, forks].into_iter().flatten().min()?.min(now + LONGEST_WAIT);
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        Some(next)
    }

    /// Timer N of what began outside a dialog: no more subscriptions come of it.
    fn attempt_ended(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let Some(attempt) = self.attempt.take() else { return };
        if self.forks.is_empty() {
            self.outcome(attempt.ended.unwrap_or(Cause::Silent), false, cx);
        }
    }

    /// There is no subscription left. Who wants one answer of each waits for the others until timer N.
    fn emptied(&mut self, cause: Cause, held: bool, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let waits = self.aim() != Aim::Keep && self.subscribe.forks == Forking::All && !self.is_leaving();
        match &mut self.attempt {
            Some(attempt) if waits => attempt.ended = Some(cause),
            _ => self.outcome(cause, held, cx),
        }
    }

    /// There is no subscription, or none any more: what follows from why.
    fn outcome(&mut self, cause: Cause, held: bool, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.attempt = None;
        let input = match cause.verdict(self.aim(), held) {
            Input::Renew if self.is_hasty(cx.now()) => Input::Failed,
            input => input,
        };
        // What was to be left and is gone is no failure.
        let done =
            matches!(cause, Cause::Terminated(_) | Cause::Expired | Cause::Refused { status: 481, .. });
        if input == Input::Done || self.is_leaving() && done {
            return self.take(Input::Done, None, cx);
        }
        self.take(input, Some(cause), cx);
    }

    fn is_leaving(&self) -> bool {
        self.machine.state() == machine::State::Leaving
    }

    /// Whether subscriptions begun anew at once have led to nothing lasting.
    fn is_hasty(&mut self, now: Instant) -> bool {
        let shortly = self.renewed_at.is_some_and(|at| now - at < SHORT_LIFE);
        self.renewed_at = Some(now);
        self.renewals = if shortly { self.renewals.saturating_add(1) } else { 0 };
        self.renewals >= MAX_RENEWALS
    }

    fn aim(&self) -> Aim {
        match self.subscribe.task {
            Task::Keep { .. } => Aim::Keep,
            Task::Fetch => Aim::Fetch,
            Task::Poll { .. } => Aim::Poll,
        }
    }

    /// `cause` goes with the inputs that end something.
    fn take(&mut self, input: Input, cause: Option<Cause>, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        match self.machine.take(input) {
            Act::Nothing => {}
            Act::Send => {
                if input != Input::Again {
                    self.begin(cx);
                }
                if let (Input::Renew, Some(cause)) = (input, cause) {
                    cx.event(SubscriptionEvent::Renewing { cause });
                }
                self.due = None;
                self.send(cx);
            }
            Act::EndForks => {
                for number in self.numbers() {
                    self.fork_input(number, fork::Input::End, None, cx);
                }
            }
            Act::Await => {
                self.attempt = None;
                self.wait(input, cause, cx);
            }
            Act::Finish => {
                self.attempt = None;
                self.due = None;
                if !std::mem::replace(&mut self.told, true) {
                    cx.event(SubscriptionEvent::Ended { cause });
                }
            }
        }
    }

    /// A new subscription has nothing to do with an earlier one (§4.1.2.2).
    fn begin(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let (shard, key) = (cx.stack.shard(), self.cookie.key());
        if self.number > 0 {
            self.cookie = cx.stack.ids().cookie(shard, key);
        }
        self.call_id = cx.stack.ids().call_id().into();
        self.number = 0;
        self.rounds = 0;
        self.redirected = None;
    }

    /// Until the next poll, or until it is time to try again.
    fn wait(&mut self, input: Input, cause: Option<Cause>, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let every = match self.subscribe.task {
            Task::Poll { every } => every,
            Task::Keep { .. } | Task::Fetch => Duration::ZERO,
        };
        if input == Input::Done {
            self.failures = 0;
            self.due = Some(cx.now() + every);
            return;
        }
        let retry_after = cause.as_ref().and_then(Cause::retry_after);
        let retry_in = self.pause(retry_after, cx).max(every);
        self.due = Some(cx.now() + retry_in);
        if let Some(cause) = cause {
            cx.event(SubscriptionEvent::Failed { cause, retry_in, remaining: None });
        }
    }

    /// How long to wait after one more failure.
    fn pause(&mut self, retry_after: Option<Duration>, cx: &mut UaCx<'_, '_, SubscriptionId>) -> Duration {
        self.failures += 1;
        let random = cx.stack.ids().u64();
        let backoff = self.subscribe.backoff.wait(self.failures, random);
        // A notifier may ask for patience, but not for ever.
        backoff.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }

    fn numbers(&self) -> Vec<u32> {
        self.forks.iter().map(|fork| fork.number).collect()
    }

    /// Whoever subscribes with a SIPS URI is reached by one (RFC 3261 §8.1.1.8).
    fn contact(&self, cx: &UaCx<'_, '_, SubscriptionId>) -> Contact {
        let contact = self.way.contact.clone().unwrap_or_else(|| cx.own_contact());
        let secure = self.subscribe.target.as_uri().scheme() == Scheme::Sips;
        Contact { sips: contact.sips || secure, ..contact }
    }
}

impl Cause {
    /// What follows for the wish (§4.1.3). `held`: there was a subscription.
    fn verdict(&self, aim: Aim, held: bool) -> Input {
        let one = aim != Aim::Keep;
        match self {
            Self::Terminated(Termination { reason, .. }) => match reason {
                Some(Reason::Timeout | Reason::Invariant | Reason::Other(_)) | None if one => Input::Done,
                Some(Reason::Deactivated | Reason::Timeout) => Input::Renew,
                Some(Reason::Probation | Reason::Giveup | Reason::Other(_)) | None => Input::Failed,
                Some(Reason::Rejected | Reason::NoResource | Reason::Invariant) => Input::Refused,
            },
            // What failed within a dialog may go well in a new one.
            Self::Refused { status: 481, .. } | Self::Failed(_) | Self::Silent if held => Input::Renew,
            Self::Expired if one => Input::Done,
            Self::Expired => Input::Renew,
            Self::Refused { status, .. } => match status {
                // Timeout, interval, unavailable, too many, server trouble: these pass.
                408 | 423 | 429 | 480 | 491 | 500 | 502..=599 => Input::Failed,
                _ => Input::Refused,
            },
            Self::Unauthorized { .. } => Input::Refused,
            Self::Failed(Failure::NoNextHop | Failure::Cancelled) => Input::Refused,
            Self::Failed(_) | Self::Silent | Self::Endless => Input::Failed,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Terminated(Termination { reason, retry_after }) => {
                retry_after.filter(|_| !matches!(reason, Some(Reason::Deactivated | Reason::Timeout)))
            }
            Self::Unauthorized { .. } | Self::Failed(_) | Self::Silent | Self::Expired | Self::Endless => {
                None
            }
        }
    }

    /// What a final response says.
    fn refused(response: &Response) -> Self {
        let details = [
            HeaderId::Warning,
            HeaderId::RetryAfter,
            HeaderId::MinExpires,
            HeaderId::AllowEvents,
            HeaderId::Accept,
            HeaderId::Unsupported,
            HeaderId::Require,
        ];
        let rows =
            |id: HeaderId| response.raw(id).map(move |row| (id.name().to_owned(), row.text().to_string()));
        Self::Refused {
            status: response.status(),
            reason: response.reason().to_string(),
            retry_after: response
                .find::<header::RetryAfter>()
                .ok()
                .flatten()
                .map(|after| seconds(after.seconds)),
            details: details.into_iter().flat_map(rows).take(MAX_DETAILS).collect(),
        }
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// Subscriptions of one SUBSCRIBE that are kept at most; 481 to further ones.
pub const MAX_FORKS: usize = 32;
/// The largest body of a NOTIFY if nothing else is said: what a list of some hundred resources needs.
const LARGEST: usize = 1 << 20;
/// SUBSCRIBEs from one wish to its outcome.
const MAX_ROUNDS: u8 = 10;
/// Subscriptions begun anew at once, each before the last one had lived so long; then there are pauses.
const MAX_RENEWALS: u8 = 3;
const SHORT_LIFE: Duration = Duration::from_secs(60);
const SOONEST: Duration = Duration::from_secs(1);
/// How far ahead the stack is asked to wake us.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
const MAX_DETAILS: usize = 16;
