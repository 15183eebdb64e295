//! One publication (RFC 3903): a state of ours at an event state compositor, kept there and up to date until it is not
//! wanted any more; or a single PUBLISH that brings it or takes it away.
//!
//! It refreshes in time without repeating the state (§4.3), modifies it under the entity-tag it was given (§4.4), begins
//! anew where that is not known any more (412), follows 423, answers challenges and tries again after failures. Of states
//! that follow each other faster than they are answered the newest goes out. Bodies are sent as they are.
//!
//! `machine.rs` says what comes when, `request.rs` writes PUBLISHes, `response.rs` reads what comes back.

mod machine;
mod request;
mod response;

use crate::{
    auth,
    message::{AddressBuf, HeaderId, Request, UriBuf},
    stack::{Failure, NextHop, RequestId},
    time::{Duration, Instant},
    transport::Flow,
};

use super::{
    PublicationId, RegistrationId, UaCx, call::Body, package::Package, registration::Backoff, route::Way,
};
use machine::{Act, Aim, Input, Machine, State};

/// What to publish, where, and for how long.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Whose state it is: Request-URI and To (§4.1).
    pub target: UriBuf,
    /// From, without tag.
    pub from: AddressBuf,
    /// An outbound proxy, or where the Request-URI leads.
    pub next: NextHop,
    /// Takes the route of this account.
    pub registration: Option<RegistrationId>,
    /// The event package, by name.
    pub event: String,
    pub task: Task,
    /// The state.
    pub body: Body,
    /// Of an earlier publication that this one goes on with (§4.2).
    pub etag: Option<String>,
    /// Answers challenges.
    pub auth: auth::Client,
    pub backoff: Backoff,
    /// Further header fields, name and value.
    pub headers: Vec<(String, String)>,
}

impl Publish {
    /// Keeps `body` published as the state of `target`, for as long at a time as the package proposes.
    pub fn new(package: &dyn Package, target: UriBuf, from: AddressBuf, body: Body) -> Self {
        Self {
            target,
            from,
            next: NextHop::RequestUri,
            registration: None,
            event: package.name().to_owned(),
            task: Task::Keep { expires: package.expires() },
            body,
            etag: None,
            auth: auth::Client::default(),
            backoff: Backoff::default(),
            headers: Vec::new(),
        }
    }
}

/// What is wanted of the compositor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Publish, refresh until the end, then remove. In whole seconds of at least one.
    Keep { expires: Duration },
    /// Publish, and leave it at that: it lasts as long as the compositor grants.
    Once { expires: Duration },
    /// Remove what was published under [`Publish::etag`] (§4.5).
    Remove,
}

/// What a PUBLISH did (table 1 of §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Initial,
    Refresh,
    Modify,
    Remove,
}

impl Operation {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Refresh => "refresh",
            Self::Modify => "modify",
            Self::Remove => "remove",
        }
    }
}

/// What the application learns, in this order: any number of the others, exactly one `Ended`.
#[derive(Clone, Debug)]
pub enum PublicationEvent {
    /// Published, refreshed, or modified.
    Published(Box<Published>),
    /// Taken away.
    Removed { round_trip: Duration },
    /// A challenge is being answered.
    Challenged { offered: Vec<auth::Offered>, downgrade: Option<auth::Downgrade> },
    /// The PUBLISH goes out again for this reason.
    Adjusted(Adjusted),
    /// It failed and is tried again. What was published holds for `remaining`, if it is still known there.
    Failed { cause: Cause, retry_in: Duration, remaining: Option<Duration> },
    /// The end. No cause: what was asked for is done.
    Ended { cause: Option<Cause> },
}

/// What a 2xx granted.
#[derive(Clone, Debug)]
pub struct Published {
    pub operation: Operation,
    /// Names what is published; a compositor must give one (§6), not all do.
    pub etag: Option<String>,
    pub expires: Duration,
    /// When it is refreshed, if it is kept.
    pub refresh_in: Duration,
    pub flow: Option<Flow>,
    /// From the PUBLISH to its response.
    pub round_trip: Duration,
}

/// Why a PUBLISH is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// The compositor does not take less (423).
    TooBrief { asked: Duration, least: Duration },
    /// What was published is not there any more (412): the whole state goes there anew.
    Forgotten,
}

/// Why a PUBLISH failed.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A final response other than 2xx.
    Refused { status: u16, reason: String, retry_after: Option<Duration>, details: Vec<(String, String)> },
    /// The challenge could not be answered.
    Unauthorized { status: u16, why: auth::GiveUp, offered: Vec<auth::Offered> },
    /// No response, or no way to send.
    Failed(Failure),
    /// Every response asked for yet another PUBLISH.
    Endless,
}

/// See the module's description.
pub struct Publication {
    publish: Publish,
    machine: Machine,
    call_id: Box<str>,
    tag: Box<str>,
    number: u32,
    pending: Option<Pending>,
    etag: Option<String>,
    /// How often the state changed, and which of these states is published.
    version: u64,
    held: Option<u64>,
    /// Seconds asked for; a 423 may raise it.
    expires: u32,
    /// PUBLISHes from one wish to its outcome.
    rounds: u8,
    refresh_in: Duration,
    /// When what is published ends unless it is refreshed.
    until: Option<Instant>,
    /// In a row.
    failures: u32,
    due: Option<Instant>,
    /// The deadline the stack knows of.
    armed: Option<Instant>,
    /// The answer to a challenge, to go out with the next PUBLISH.
    credentials: Option<Vec<(HeaderId, String)>>,
    /// What the account says of requests, as of now.
    way: Way,
    /// The end was told.
    told: bool,
}

/// The PUBLISH under way.
struct Pending {
    id: RequestId,
    /// As sent, but for Via.
    sent: Request,
    operation: Operation,
    version: u64,
}

impl Publication {
    pub(super) fn new(publish: Publish) -> Self {
        let (aim, expires) = match publish.task {
            Task::Keep { expires } => (Aim::Keep, expires.max(SOONEST)),
            Task::Once { expires } => (Aim::Once, expires.max(SOONEST)),
            Task::Remove => (Aim::Remove, Duration::ZERO),
        };
        Self {
            machine: Machine::new(aim),
            call_id: Box::default(),
            tag: Box::default(),
            number: 0,
            pending: None,
            etag: publish.etag.clone(),
            version: 0,
            held: None,
            expires: u32::try_from(expires.as_secs()).unwrap_or(u32::MAX),
            rounds: 0,
            refresh_in: expires,
            until: None,
            failures: 0,
            due: None,
            armed: None,
            credentials: None,
            way: Way::default(),
            told: false,
            publish,
        }
    }

    /// The Call-ID of its PUBLISHes.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Names what is published now.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    pub(super) fn registration(&self) -> Option<RegistrationId> {
        self.publish.registration
    }

    pub(super) fn set_way(&mut self, way: Way) {
        self.way = way;
    }

    pub(super) fn is_over(&self) -> bool {
        self.machine.state() == State::Over
    }

    pub(super) fn request_ids(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.pending.iter().map(|pending| pending.id)
    }

    pub(super) fn start(&mut self, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.call_id = cx.stack.ids().call_id().into();
        self.tag = cx.stack.ids().tag().into();
        self.go_on(Input::Start, cx);
    }

    pub(super) fn modify(&mut self, body: Body, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.publish.body = body;
        self.version += 1;
        self.machine.changed = true;
        self.go_on(Input::Change, cx);
    }

    /// Refreshes now, or tries again now.
    pub(super) fn refresh(&mut self, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.go_on(Input::Due, cx);
    }

    pub(super) fn end(&mut self, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.go_on(Input::End, cx);
    }

    pub(super) fn deadline(&mut self, cx: &mut UaCx<'_, '_, PublicationId>) {
        let now = cx.now();
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
        if self.due.is_some_and(|due| due <= now) {
            self.go_on(Input::Due, cx);
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
    fn go_on(&mut self, input: Input, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.take(input, cx);
        if self.is_over() {
            self.tell_end(None, cx);
        }
    }

    fn tell_end(&mut self, cause: Option<Cause>, cx: &mut UaCx<'_, '_, PublicationId>) {
        if !std::mem::replace(&mut self.told, true) {
            cx.event(PublicationEvent::Ended { cause });
        }
    }

    fn take(&mut self, input: Input, cx: &mut UaCx<'_, '_, PublicationId>) {
        let act = self.machine.take(input);
        if matches!(act, Act::Send | Act::SendRemoval) {
            self.due = None;
            if input != Input::Again {
                self.rounds = 0;
            }
        }
        match act {
            Act::Nothing => {}
            Act::Send => self.send(false, cx),
            Act::SendRemoval => self.send(true, cx),
            Act::AwaitRefresh => self.due = Some(cx.now() + self.refresh_in),
            // `outcome` has set the time.
            Act::AwaitRetry => {}
            Act::Finish => self.due = None,
        }
    }

    /// A PUBLISH without success.
    fn outcome(&mut self, cause: Cause, cx: &mut UaCx<'_, '_, PublicationId>) {
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
                let backoff = self.publish.backoff.wait(self.failures, random);
                // A compositor may ask for patience, but not for ever.
                let retry_in = backoff.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
                self.due = Some(cx.now() + retry_in);
                let remaining =
                    self.until.map(|until| until - cx.now()).filter(|remaining| !remaining.is_zero());
                if remaining.is_none() {
                    self.forget();
                }
                cx.event(PublicationEvent::Failed { cause, retry_in, remaining });
            }
            State::Over => self.tell_end(Some(cause), cx),
            // The failure does not matter: it is being removed.
            _ => tracing::debug!(?cause, "a PUBLISH failed that is not wanted any more"),
        }
    }

    /// Nothing of ours is published any more.
    fn forget(&mut self) {
        self.etag = None;
        self.held = None;
        self.until = None;
        self.machine.published = false;
    }
}

impl Cause {
    /// Whether the same would happen again.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Unauthorized { .. } => true,
            Self::Refused { status, .. } => match status {
                // Timeout, condition, interval, unavailable, too many, server trouble: these pass.
                408 | 412 | 423 | 429 | 480 | 491 | 500 | 502..=599 => false,
                _ => true,
            },
            Self::Failed(why) => matches!(why, Failure::NoNextHop | Failure::Cancelled),
            Self::Endless => false,
        }
    }
}

/// PUBLISHes from one wish to its outcome.
const MAX_ROUNDS: u8 = 10;
const SOONEST: Duration = Duration::from_secs(1);
/// How far ahead the stack is asked to wake us.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
