//! One subscription at the notifier: its dialog, what it was told, and how long it lasts.

use std::sync::Arc;

use crate::{
    dialog::Dialog,
    message::{AddressBuf, HeaderId, Method, Request, Response, Scheme, header},
    stack::{Contact, Failure, Outgoing, RequestId},
    time::{Duration, Instant},
    transaction::ServerId,
    transport::Flow,
    ua::{UaCx, WatcherId, package},
    util::id::Cookie,
};

use super::{
    Cause, Document, Standing, WatcherEvent,
    challenge::Challenges,
    machine::{Act, Input, Machine, State},
};

/// See the module's description.
pub struct Watcher {
    pub(super) dialog: Dialog,
    cookie: Cookie,
    machine: Machine,
    /// Its place in the configuration.
    package: u8,
    pub(super) standing: Standing,
    /// To be reached by SIPS.
    sips: bool,
    /// There is something it was not told.
    dirty: bool,
    /// It is among those who are told next.
    queued: bool,
    /// The state it was told, or is to be told.
    pub(super) document: Option<Arc<Document>>,
    pub(super) condition: Condition,
    pub(super) event_id: Option<Box<str>>,
    /// What it watches, and its place among all who do.
    resource: Arc<str>,
    place: u32,
    pub(super) until: Instant,
    /// The package has nothing said before.
    not_before: Instant,
    since: Instant,
    pending: Option<RequestId>,
    challenges: Option<Box<Challenges>>,
    /// The SUBSCRIBE that is not answered.
    asked: Option<Box<Asked>>,
    decide_until: Instant,
    pub(super) ending: Option<Box<Ending>>,
    armed: Option<Instant>,
}

/// A SUBSCRIBE that is not answered.
pub(super) struct Asked {
    pub id: ServerId,
    pub request: Request,
    pub expires: Duration,
    pub from: Flow,
}

/// How it ends.
pub(super) struct Ending {
    pub reason: package::Reason,
    pub retry_after: Option<Duration>,
    /// The last NOTIFY brings the state (§4.4.3).
    pub with_state: bool,
}

/// What a subscriber has already (RFC 5839).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    /// It wants no state at all for the time being.
    Any,
    Tag(Box<str>),
}

impl Condition {
    fn of(request: &Request) -> Self {
        match request.find::<header::SuppressIfMatch>() {
            Ok(Some("*")) => Self::Any,
            Ok(Some(etag)) => Self::Tag(etag.into()),
            Ok(None) | Err(_) => Self::None,
        }
    }

    pub fn holds(&self, document: Option<&Arc<Document>>) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Tag(etag) => document.is_some_and(|document| *document.etag == **etag),
        }
    }
}

impl Watcher {
    pub(super) fn new(cookie: Cookie, package: u8, mut dialog: Dialog, asked: Asked, now: Instant) -> Self {
        dialog.set_local_tag(cookie.encode().as_str());
        let request = &asked.request;
        let event_id = package::event(request).and_then(|(_, id)| id.map(Box::from));
        Self {
            dialog,
            cookie,
            machine: Machine::new(),
            package,
            standing: Standing::Pending,
            sips: request.uri().is_ok_and(|uri| uri.scheme() == Scheme::Sips),
            dirty: false,
            queued: false,
            document: None,
            condition: Condition::of(request),
            event_id,
            resource: Arc::from(""),
            place: NOWHERE,
            until: now + asked.expires,
            not_before: now,
            since: now,
            pending: None,
            challenges: None,
            decide_until: now + DECISION,
            asked: Some(Box::new(asked)),
            ending: None,
            armed: None,
        }
    }

    pub(super) fn answering(mut self, challenges: Option<Box<Challenges>>) -> Self {
        self.challenges = challenges;
        self
    }

    /// The Call-ID of its dialog.
    pub fn call_id(&self) -> &str {
        self.dialog.call_id()
    }

    /// Who watches, as From says.
    pub fn subscriber(&self) -> &AddressBuf {
        self.dialog.remote()
    }

    /// What is watched, as it was named when it was accepted.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// What it was told last, or is about to be told.
    pub fn document(&self) -> Option<&Arc<Document>> {
        self.document.as_ref()
    }

    /// When it asked.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// When it ends unless it is refreshed.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Whether its last NOTIFY is under way.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some() || self.machine.state() == State::Last
    }

    pub(super) fn package_index(&self) -> u8 {
        self.package
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(in crate::ua) fn cookie(&self) -> Cookie {
        self.cookie
    }

    pub(in crate::ua) fn is_over(&self) -> bool {
        self.machine.state() == State::Over
    }

    pub(in crate::ua) fn request_id(&self) -> Option<RequestId> {
        self.pending
    }

    /// Where it stands in the audience, if it does.
    pub(in crate::ua) fn seat(&self) -> Option<(u8, Arc<str>, u32)> {
        (self.place != NOWHERE).then(|| (self.package, self.resource.clone(), self.place))
    }

    pub(in crate::ua) fn set_place(&mut self, place: u32) {
        self.place = place;
    }

    /// It is in the audience no more.
    pub(in crate::ua) fn unseat(&mut self) {
        self.place = NOWHERE;
    }

    /// Whether it is told nothing more but its end.
    pub(in crate::ua) fn has_left(&self) -> bool {
        self.is_ending() || self.is_over()
    }

    /// What its dialog relies on.
    pub(in crate::ua) fn flow(&self) -> Flow {
        self.dialog.flow()
    }

    /// Whether a request within a dialog is within ours.
    pub(in crate::ua) fn owns(&self, request: &Request) -> bool {
        let (Ok(call_id), Ok(local), Ok(remote)) = (request.call_id(), request.to_tag(), request.from_tag())
        else {
            return false;
        };
        self.dialog.is(call_id, local.unwrap_or_default(), remote.unwrap_or_default())
    }

    /// Tells the application; the request goes with it, as who refuses has seen it.
    pub(super) fn arrived(&mut self, cx: &mut UaCx<'_, '_, WatcherId>) {
        let Some(asked) = &self.asked else { return };
        let Some(event) = cx.package(self.package) else { return };
        cx.event(WatcherEvent::Asked {
            request: Box::new(asked.request.clone()),
            event,
            expires: asked.expires,
            from: asked.from,
        });
    }

    pub(super) fn accept(
        &mut self,
        resource: Arc<str>,
        place: u32,
        standing: Standing,
        document: Option<Arc<Document>>,
        cx: &mut UaCx<'_, '_, WatcherId>,
    ) {
        let Some(asked) = self.asked.take() else { return };
        (self.resource, self.place) = (resource, place);
        (self.standing, self.document) = (standing, document);
        self.until = cx.now() + asked.expires;
        self.dialog.confirm_local();
        let tag = self.cookie.encode();
        let contact = self.contact(cx).on(&asked.from);
        let mut response = cx
            .response(&asked.request, 200)
            .to_tag(tag.as_str())
            .record_route()
            .header(HeaderId::Expires, asked.expires.as_secs())
            .header(HeaderId::Contact, contact);
        // What NOTIFYs make use of is said in the response as well (RFC 4662 §4.2).
        let required = self.document.iter().flat_map(|document| &document.headers);
        for (_, value) in required.filter(|(name, _)| name.eq_ignore_ascii_case("Require")) {
            response = response.header(HeaderId::Require, value);
        }
        cx.reply(asked.id, response.finish());
        if asked.expires.is_zero() {
            return self.terminate(Cause::Fetched, None, cx);
        }
        self.take(Input::Accept, cx);
    }

    pub(super) fn refuse(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        cause: Cause,
        cx: &mut UaCx<'_, '_, WatcherId>,
    ) {
        let Some(asked) = self.asked.take() else { return };
        let tag = self.cookie.encode();
        let mut response = cx.response(&asked.request, status.clamp(300, 699)).to_tag(tag.as_str());
        for (name, value) in headers {
            response = response.named(name, value);
        }
        cx.reply(asked.id, response.finish());
        cx.event(WatcherEvent::Ended { cause });
        self.take(Input::Refuse, cx);
    }

    /// A new state; it is told when its turn has come.
    pub(super) fn learn(&mut self, document: Arc<Document>) {
        let is_same = self.document.as_ref().is_some_and(|known| *known.etag == *document.etag);
        self.document = Some(document);
        self.dirty |= !is_same && !self.condition.holds(self.document.as_ref());
    }

    /// Whether it is to stand among those who are told next, where it does not yet.
    pub(in crate::ua) fn takes_turn(&mut self, now: Instant) -> bool {
        let is_due = self.dirty && self.machine.state() == State::Held && now >= self.not_before;
        is_due && !std::mem::replace(&mut self.queued, true)
    }

    /// Its turn has come.
    pub(super) fn turn(&mut self, cx: &mut UaCx<'_, '_, WatcherId>) {
        self.queued = false;
        if self.dirty {
            self.take(Input::Say, cx);
        }
    }

    pub(super) fn set_standing(
        &mut self,
        standing: Standing,
        document: Option<Arc<Document>>,
        cx: &mut UaCx<'_, '_, WatcherId>,
    ) {
        let is_new = self.standing != standing;
        self.standing = standing;
        match document {
            Some(document) if !is_new => return self.learn(document),
            Some(document) => self.document = Some(document),
            None => {}
        }
        if is_new {
            self.say_now(cx);
        }
    }

    /// Says how things are, whatever the pace.
    fn say_now(&mut self, cx: &mut UaCx<'_, '_, WatcherId>) {
        self.dirty = true;
        self.not_before = cx.now();
        self.take(Input::Say, cx);
    }

    /// Ends it; told at once, though its last NOTIFY may wait for the one before.
    pub(super) fn terminate(
        &mut self,
        cause: Cause,
        retry_after: Option<Duration>,
        cx: &mut UaCx<'_, '_, WatcherId>,
    ) {
        if self.has_left() || self.asked.is_some() {
            return;
        }
        let (reason, with_state) = match &cause {
            Cause::Terminated(reason) => (reason.clone(), matches!(reason, package::Reason::Invariant)),
            _ => (package::Reason::Timeout, !matches!(cause, Cause::Expired)),
        };
        self.ending = Some(Box::new(Ending { reason, retry_after, with_state }));
        cx.event(WatcherEvent::Ended { cause });
        self.take(Input::Terminate, cx);
    }

    /// A SUBSCRIBE within the dialog: a refresh, or the end (§4.2.1.4).
    pub(super) fn subscribed(
        &mut self,
        request: &Request,
        id: ServerId,
        from: Flow,
        cx: &mut UaCx<'_, '_, WatcherId>,
    ) {
        let answer = |cx: &mut UaCx<'_, '_, WatcherId>, status| {
            let response = cx.response(request, status).finish();
            cx.reply(id, response);
        };
        let Some(package) = cx.package(self.package) else { return answer(cx, 489) };
        let event = package::event(request);
        if self.has_left() || event.is_none_or(|(_, id)| id != self.event_id.as_deref()) {
            return answer(cx, 481);
        }
        if event.is_none_or(|(name, _)| name != package.name()) {
            return answer(cx, 489);
        }
        if let Err(reject) = self.dialog.accept(request, from) {
            return answer(cx, reject.status());
        }
        let expires = match cx.interval(request, &*package) {
            Ok(expires) => expires,
            Err(unfit) => {
                let response = unfit.response(cx.config, request);
                return cx.reply(id, response.finish());
            }
        };
        self.condition = Condition::of(request);
        let quiet = !self.dirty && self.condition.holds(self.document.as_ref());
        self.until = cx.now() + expires;
        let contact = self.contact(cx).on(&from);
        let response = cx
            .response(request, if quiet { 204 } else { 200 })
            .header(HeaderId::Expires, expires.as_secs())
            .header(HeaderId::Contact, contact);
        cx.reply(id, response.finish());
        match (expires.is_zero(), quiet) {
            (true, true) => {
                // RFC 5839 §5.7: the 204 concludes it.
                cx.event(WatcherEvent::Ended { cause: Cause::Unsubscribed });
                self.machine.take(Input::Terminate);
                self.machine.take(Input::Gone);
            }
            (true, false) => self.terminate(Cause::Unsubscribed, None, cx),
            (false, quiet) => {
                cx.event(WatcherEvent::Refreshed { expires });
                if !quiet {
                    self.say_now(cx);
                }
            }
        }
    }

    pub(super) fn response(&mut self, id: RequestId, response: &Response, cx: &mut UaCx<'_, '_, WatcherId>) {
        if response.status() < 200 || self.pending.take_if(|pending| *pending == id).is_none() {
            return;
        }
        match response.status() {
            200..=299 => {
                if let Some(challenges) = &mut self.challenges {
                    challenges.accepted(response);
                }
                // A Contact that cannot be read leaves the target as it is.
                let _ = self.dialog.refresh(response);
                self.take(Input::Answered, cx);
            }
            status @ (401 | 407) => {
                let challenges = self.challenges.as_mut();
                match challenges.and_then(|known| known.answer(response, &mut self.dialog, cx)) {
                    Some(outgoing) => self.pending = Some(cx.send(outgoing)),
                    None => {
                        cx.event(WatcherEvent::NotifyFailed { status });
                        self.take(Input::Answered, cx);
                    }
                }
            }
            // The dialog usage is gone (§4.2.2).
            status @ (404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604) => {
                self.gone(Cause::NotifyRefused { status }, cx);
            }
            status => {
                cx.event(WatcherEvent::NotifyFailed { status });
                self.take(Input::Answered, cx);
            }
        }
    }

    pub(in crate::ua) fn failed(&mut self, id: RequestId, why: Failure, cx: &mut UaCx<'_, '_, WatcherId>) {
        if self.pending.take_if(|pending| *pending == id).is_some() {
            self.gone(Cause::NotifyFailed(why), cx);
        }
    }

    fn gone(&mut self, cause: Cause, cx: &mut UaCx<'_, '_, WatcherId>) {
        if self.ending.is_none() {
            cx.event(WatcherEvent::Ended { cause });
        }
        self.take(Input::Gone, cx);
    }

    pub(in crate::ua) fn deadline(&mut self, cx: &mut UaCx<'_, '_, WatcherId>) {
        let now = cx.now();
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
        if self.asked.is_some() && self.decide_until <= now {
            tracing::warn!("nobody decided about a SUBSCRIBE");
            return self.refuse(480, &[], Cause::Undecided, cx);
        }
        if self.asked.is_none() && self.until <= now {
            self.terminate(Cause::Expired, None, cx);
        }
    }

    /// Far deadlines are asked for in steps: the stack keeps what it was asked for though it may be wanted no more.
    pub(in crate::ua) fn arm(&mut self, now: Instant) -> Option<Instant> {
        let next = match (&self.asked, self.machine.state()) {
            (Some(_), _) => self.decide_until,
            (None, State::Held) if self.dirty && !self.queued => self.not_before.min(self.until),
            (None, State::Held | State::Notifying) if self.ending.is_none() => self.until,
            // Its last NOTIFY ends by itself.
            _ => return None,
        };
        let next = next.min(now + LONGEST_WAIT);
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        Some(next)
    }

    fn take(&mut self, input: Input, cx: &mut UaCx<'_, '_, WatcherId>) {
        match self.machine.take(input) {
            Act::Nothing => {}
            Act::Notify => {
                self.dirty = false;
                self.not_before = cx.now() + cx.package(self.package).map_or(Duration::ZERO, |p| p.pace());
                self.send(cx);
            }
            Act::NotifyEnd => self.send(cx),
            Act::Finish => self.document = None,
        }
    }

    fn send(&mut self, cx: &mut UaCx<'_, '_, WatcherId>) {
        let Some(package) = cx.package(self.package) else { return };
        let builder = self.dialog.request(Method::Notify);
        let message = self.written(builder, package.name(), cx);
        let outgoing = self.dialog.outgoing(message);
        let outgoing = Outgoing { contact: Some(self.contact(cx)), ..outgoing };
        let outgoing = match &mut self.challenges {
            Some(challenges) => challenges.dressed(outgoing),
            None => outgoing,
        };
        self.pending = Some(cx.send(outgoing));
    }

    fn contact(&self, cx: &UaCx<'_, '_, WatcherId>) -> Contact {
        Contact { sips: self.sips, ..cx.own_contact() }
    }
}

/// How long the application may think about a SUBSCRIBE.
const DECISION: Duration = Duration::from_secs(10);
/// How far ahead the stack is asked to wake us.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// No place among those who watch.
const NOWHERE: u32 = u32::MAX;
