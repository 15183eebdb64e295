//! The notifier (RFC 6665 §4.2): who is subscribed to what of ours, and what they are told.
//!
//! A SUBSCRIBE for one of our packages is a [`Watcher`] that the application accepts, as pending or active, or refuses.
//! From then on it is notified: at once, when the application has a new [`Document`], and when it ends. One NOTIFY at a
//! time is under way to each; what changes meanwhile, or faster than the package allows, goes out as one. Refreshes,
//! expiry, 481, 423 and 489 are seen to here, and so is who knows the state already (RFC 5839). PUBLISH is handed up; a
//! [`Compositor`](super::compositor::Compositor) knows what to answer.
//!
//! A watcher is meant to be small, as there may be tens of thousands: documents and names of resources are shared.
//!
//! `machine.rs` says what comes when, `watcher.rs` does it, `notify.rs` writes NOTIFYs, `incoming.rs` takes requests,
//! `audience.rs` knows who watches what.

mod audience;
mod incoming;
mod machine;
mod notify;
mod watcher;

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::{
    message::{Request, Response},
    stack::{Cx, Failure, RequestId},
    time::Duration,
    transaction::ServerId,
    transport::Flow,
};

use super::{
    UserAgent, WatcherId,
    compositor::{Refused, Stored},
    package::{Package, Reason},
    usage::Usage,
};
pub(super) use audience::{Audience, Turns};
pub use watcher::Watcher;

/// What a user agent notifies of, and how much.
#[derive(Clone, Debug)]
pub struct Config {
    /// The packages it knows; 489 to others. The first 255 count.
    pub packages: Vec<Arc<dyn Package>>,
    /// Who asks for less, but for something, is told so (423), if it is less than an hour too (§4.2.1.1).
    pub least: Duration,
    /// Nobody gets more.
    pub most: Duration,
    /// Watchers at once; 503 beyond.
    pub watchers: usize,
    /// Watchers who are told of changes within ten milliseconds; the others have to wait for the next ten. What leaves at
    /// once in greater numbers is lost on the way.
    pub burst: usize,
    /// Whether PUBLISH is taken ([`Event::Publish`](super::Event::Publish)).
    pub publications: bool,
}

impl Default for Config {
    /// Knows no package.
    fn default() -> Self {
        Self {
            packages: Vec::new(),
            least: Duration::from_secs(60),
            most: Duration::from_secs(3600),
            watchers: 100_000,
            burst: 100,
            publications: false,
        }
    }
}

impl Config {
    /// The value of Allow-Events (§4.4.4), which has no templates.
    pub(super) fn allow_events(&self) -> String {
        let names: Vec<_> =
            self.packages.iter().map(|package| package.name()).filter(|name| !name.contains('.')).collect();
        names.join(", ")
    }
}

/// A state to notify of, shared by all who are told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its Content-Type, with parameters. Empty: it has no body.
    pub kind: String,
    pub bytes: Bytes,
    /// Names it among all states of its resource (RFC 5839 §6.1).
    pub etag: String,
    /// Further header fields of the NOTIFY, such as `Require: eventlist`.
    pub headers: Vec<(String, String)>,
}

impl Document {
    /// Named after what is in it.
    pub fn new(kind: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let (kind, bytes) = (kind.into(), bytes.into());
        let sum = Sha256::new().chain_update(&kind).chain_update([0]).chain_update(&bytes).finalize();
        let etag = sum.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        Self { kind, bytes, etag, headers: Vec::new() }
    }
}

/// Whether a subscription is authorized (§4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has decided yet.
    Pending,
    Active,
}

/// How a SUBSCRIBE is accepted.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// What is watched, as the application names it; [`UserAgent::notify_all`] finds the watcher by it.
    pub resource: Arc<str>,
    pub standing: Standing,
    /// What it is told at once. For a watcher that is blocked politely: not the truth.
    pub document: Option<Arc<Document>>,
}

/// What the application learns of a watcher, in this order: `Asked`, to be answered with
/// [`UserAgent::accept_watcher`] or [`UserAgent::refuse_watcher`], then any number of the others, exactly one `Ended`.
#[derive(Clone, Debug)]
pub enum WatcherEvent {
    /// Somebody wants to be notified, for so long; zero: once. Not answered within ten seconds it is refused (480).
    Asked { request: Box<Request>, event: Arc<dyn Package>, expires: Duration, from: Flow },
    /// The subscription was refreshed.
    Refreshed { expires: Duration },
    /// A NOTIFY was answered with an error that does not end the subscription.
    NotifyFailed { status: u16 },
    /// It is over.
    Ended { cause: Cause },
}

/// Why a subscription at the notifier is over.
#[derive(Clone, Debug)]
pub enum Cause {
    /// It was not refreshed.
    Expired,
    /// The subscriber wanted it no more.
    Unsubscribed,
    /// It was for one answer.
    Fetched,
    /// The application ended it.
    Terminated(Reason),
    /// The subscriber does not know of it any more.
    NotifyRefused { status: u16 },
    /// The subscriber cannot be reached any more.
    NotifyFailed(Failure),
    /// It was refused.
    Refused { status: u16 },
    /// Nobody decided about it in time.
    Undecided,
}

impl UserAgent {
    /// Accepts a SUBSCRIBE: 200, and the first NOTIFY at once.
    pub fn accept_watcher(&mut self, id: WatcherId, acceptance: Acceptance, cx: &mut Cx<'_>) {
        let Acceptance { resource, standing, document } = acceptance;
        let Some(package) = self.watchers.get(id.0).map(Watcher::package_index) else { return };
        if self.watchers.get(id.0).is_some_and(Watcher::is_asked) {
            let (resource, place) = self.audience.join(package, resource, id.0);
            self.act_on_watcher(id, cx, |watcher, cx| {
                watcher.accept(resource, place, standing, document, cx)
            });
        }
    }

    /// Refuses one with a final status of 300–699; 403 or 603 to who may not (§4.2.1.3).
    pub fn refuse_watcher(
        &mut self,
        id: WatcherId,
        status: u16,
        headers: &[(String, String)],
        cx: &mut Cx<'_>,
    ) {
        self.act_on_watcher(id, cx, |watcher, cx| {
            watcher.refuse(status, headers, Cause::Refused { status }, cx)
        });
    }

    /// Tells one watcher a new state, as soon as the package allows. Who is known to have it is told nothing.
    pub fn notify(&mut self, id: WatcherId, document: Arc<Document>, cx: &mut Cx<'_>) {
        self.act_on_watcher(id, cx, |watcher, _| watcher.learn(document));
        self.take_turns(cx);
    }

    /// Tells it to all who watch this resource for this package; how many there are.
    pub fn notify_all(
        &mut self,
        event: &str,
        resource: &str,
        document: &Arc<Document>,
        cx: &mut Cx<'_>,
    ) -> usize {
        let watchers: Vec<_> = self.watchers_of(event, resource).collect();
        for &id in &watchers {
            self.act_on_watcher(id, cx, |watcher, _| watcher.learn(document.clone()));
        }
        self.take_turns(cx);
        watchers.len()
    }

    /// Says of a watcher that it is authorized, or is not yet any more, with what it is to be told from now on.
    pub fn set_standing(
        &mut self,
        id: WatcherId,
        standing: Standing,
        document: Option<Arc<Document>>,
        cx: &mut Cx<'_>,
    ) {
        self.act_on_watcher(id, cx, |watcher, cx| watcher.set_standing(standing, document, cx));
        self.take_turns(cx);
    }

    /// Ends a subscription with its last NOTIFY (§4.2.2).
    pub fn terminate_watcher(
        &mut self,
        id: WatcherId,
        reason: Reason,
        retry_after: Option<Duration>,
        cx: &mut Cx<'_>,
    ) {
        self.act_on_watcher(id, cx, |watcher, cx| {
            watcher.terminate(Cause::Terminated(reason), retry_after, cx);
        });
    }

    /// A watcher, from `Asked` to its end.
    pub fn watcher(&self, id: WatcherId) -> Option<&Watcher> {
        self.watchers.get(id.0)
    }

    /// All who were accepted and watch this resource for this package.
    pub fn watchers_of(&self, event: &str, resource: &str) -> impl Iterator<Item = WatcherId> + '_ {
        let package = self.config.notifier.as_ref().and_then(|config| {
            let at = config.packages.iter().position(|package| package.name() == event)?;
            u8::try_from(at).ok()
        });
        let keys = package.map_or(&[][..], |package| self.audience.of(package, resource));
        keys.iter().map(|&key| WatcherId(key))
    }

    /// Watchers there are, those included whose last NOTIFY is under way.
    pub fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// Answers a PUBLISH ([`Event::Publish`](super::Event::Publish)) with what a compositor made of it.
    pub fn answer_publish(
        &mut self,
        id: ServerId,
        request: &Request,
        outcome: &Result<Stored, Refused>,
        cx: &mut Cx<'_>,
    ) {
        let tag = cx.ids().tag();
        let response = match outcome {
            Ok(stored) => stored.rows(self.response(request, 200)),
            Err(refused) => refused.rows(self.response(request, refused.status())),
        };
        self.reply(id, response.to_tag(&tag).finish(), cx);
    }

    /// Refuses a PUBLISH for another reason: 404, 403, 415 with Accept.
    pub fn refuse_publish(
        &mut self,
        id: ServerId,
        request: &Request,
        status: u16,
        headers: &[(String, String)],
        cx: &mut Cx<'_>,
    ) {
        let tag = cx.ids().tag();
        let mut response = self.response(request, status).to_tag(&tag);
        for (name, value) in headers {
            response = response.named(name, value);
        }
        self.reply(id, response.finish(), cx);
    }

    pub(super) fn watcher_answered(
        &mut self,
        watcher: WatcherId,
        id: RequestId,
        response: &Response,
        cx: &mut Cx<'_>,
    ) {
        self.act_on_watcher(watcher, cx, |watcher, cx| watcher.response(id, response, cx));
        self.take_turns(cx);
    }

    pub(super) fn watcher_deadline(&mut self, watcher: WatcherId, cx: &mut Cx<'_>) {
        self.act_on_watcher(watcher, cx, Watcher::deadline);
        self.take_turns(cx);
    }

    /// It is time for the next who wait to be told.
    pub(super) fn next_turns(&mut self, cx: &mut Cx<'_>) {
        self.turns.is_armed = false;
        self.take_turns(cx);
    }

    fn take_turns(&mut self, cx: &mut Cx<'_>) {
        let Some(burst) = self.config.notifier.as_ref().map(|config| config.burst.max(1)) else { return };
        while let Some(id) = self.turns.next(cx.now(), burst) {
            self.act_on_watcher(id, cx, Watcher::turn);
        }
        if let Some(at) = self.turns.arm() {
            cx.wake(at, Usage::Turns.token());
        }
    }
}
