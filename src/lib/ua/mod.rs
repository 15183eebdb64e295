//! The user agent of RFC 3261 §8: a transaction user that dispatches to usages.
//!
//! It answers by itself what no application wants to see (unknown methods, unsupported extensions,
//! OPTIONS, requests for dialogs that are not there), finds the [`Call`] a message belongs
//! to, and queues [`Event`]s for whoever drives it. Applications that run inline on the shard wrap it;
//! everybody else uses the handles of `endpoint`.

pub mod call;
pub mod compositor;
mod incoming;
mod merged;
pub mod notifier;
pub mod package;
pub mod page;
pub mod publication;
pub mod registration;
mod route;
pub mod subscription;
mod usage;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    message::{Builder, Method, Request, Response},
    stack::{Cx, Failure, RequestId, Times, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::{Flow, FlowError},
    util::{
        id::Cookie,
        slab::{Key, KeyMap, Slab},
    },
};

use call::{Body, Call, CallEvent, Invite};
use incoming::Own;
use merged::Merged;
use notifier::{Audience, Turns, Watcher, WatcherEvent};
use page::{Asking, Query, QueryEvent};
use publication::{Publication, PublicationEvent, Publish};
use registration::{Register, Registration, RegistrationEvent};
use route::Way;
use subscription::{Subscribe, Subscription, SubscriptionEvent};
use usage::{Owner, UaCx, Usage, send_and_forget};

/// What a user agent says of itself and what it takes.
#[derive(Clone, Debug)]
pub struct Config {
    /// `User-Agent` in requests, `Server` in responses.
    pub product: String,
    /// User part of our Contact.
    pub contact_user: Option<String>,
    /// Whether MESSAGE is taken (RFC 3428); its text comes as [`Event::Page`].
    pub pages: bool,
    /// Whether INVITE from outside is taken; 486 otherwise.
    pub incoming_calls: bool,
    /// Most calls at once; 486 beyond.
    pub calls: usize,
    /// What others may subscribe to here; without it SUBSCRIBE and PUBLISH are not taken (405).
    pub notifier: Option<notifier::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            product: concat!("sipkit/", env!("CARGO_PKG_VERSION")).into(),
            contact_user: None,
            pages: false,
            incoming_calls: true,
            calls: 100_000,
            notifier: None,
        }
    }
}

/// Names one call for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(Key);

impl std::fmt::Debug for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "call {}.{}", self.0.index, self.0.generation)
    }
}

/// Names one registration for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId(Key);

impl std::fmt::Debug for RegistrationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "registration {}.{}", self.0.index, self.0.generation)
    }
}

/// Names one request outside calls until its outcome.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(Key);

impl std::fmt::Debug for QueryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "query {}.{}", self.0.index, self.0.generation)
    }
}

/// Names one wish to be notified for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(Key);

impl std::fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "subscription {}.{}", self.0.index, self.0.generation)
    }
}

/// Names one publication for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicationId(Key);

impl std::fmt::Debug for PublicationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "publication {}.{}", self.0.index, self.0.generation)
    }
}

/// Names one subscription of somebody else's for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatcherId(Key);

impl std::fmt::Debug for WatcherId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "watcher {}.{}", self.0.index, self.0.generation)
    }
}

/// What the application is told.
#[derive(Clone, Debug)]
pub enum Event {
    Call(CallId, CallEvent),
    Registration(RegistrationId, RegistrationEvent),
    Query(QueryId, QueryEvent),
    Subscription(SubscriptionId, SubscriptionEvent),
    Publication(PublicationId, PublicationEvent),
    Watcher(WatcherId, WatcherEvent),
    /// A PUBLISH came for a package we know. Answer it at once with [`UserAgent::answer_publish`] or
    /// [`UserAgent::refuse_publish`].
    Publish {
        request: Box<Request>,
        id: ServerId,
        from: Flow,
    },
    /// A MESSAGE came and was answered 200.
    Page {
        request: Box<Request>,
        from: Flow,
    },
    /// A [`UserAgent::route`] question was answered.
    Routed {
        id: RequestId,
        flow: Flow,
        times: Times,
    },
    /// The same, without success.
    NoRoute {
        id: RequestId,
        why: Failure,
    },
}

/// Counted, not reported one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub incoming_calls: u64,
    pub outgoing_calls: u64,
    /// Requests for dialogs that are not there (481).
    pub strays: u64,
    /// ACKs that belong to nothing.
    pub stray_acks: u64,
    /// Requests that came by two paths (482).
    pub merged: u64,
}

/// What the usage `id` works with, all of the user agent but the usages themselves.
macro_rules! cx {
    ($agent:ident, $stack:ident, $id:ident) => {
        UaCx {
            stack: $stack,
            config: &$agent.config,
            requests: &mut $agent.requests,
            invites: &mut $agent.invites,
            events: &mut $agent.events,
            id: $id,
        }
    };
}

/// See the module's description.
pub struct UserAgent {
    config: Own,
    calls: Slab<Call>,
    registrations: Slab<Registration>,
    queries: Slab<Asking>,
    subscriptions: Slab<Subscription>,
    publications: Slab<Publication>,
    watchers: Slab<Watcher>,
    audience: Audience,
    turns: Turns,
    requests: KeyMap<RequestId, Owner>,
    invites: KeyMap<ServerId, CallId>,
    merged: Merged,
    events: VecDeque<Event>,
    stats: Stats,
}

impl UserAgent {
    /// A deadline with this token is the application's own: it may ask the stack for it, and the user agent does nothing
    /// when it has come.
    pub const SPARE_TOKEN: u64 = usage::SPARE_TOKEN;

    pub fn new(config: Config) -> Self {
        Self {
            config: Own::new(config),
            calls: Slab::new(),
            registrations: Slab::new(),
            queries: Slab::new(),
            subscriptions: Slab::new(),
            publications: Slab::new(),
            watchers: Slab::new(),
            audience: Audience::default(),
            turns: Turns::default(),
            requests: KeyMap::default(),
            invites: KeyMap::default(),
            merged: Merged::default(),
            events: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// The next thing to tell the application.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Calls that are not over.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Outgoing requests something may still come of, for leak checks.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.get(id.0)
    }

    /// Every call alive, oldest slot first.
    pub fn call_ids(&self) -> impl Iterator<Item = CallId> + '_ {
        self.calls.iter().map(|(key, _)| CallId(key))
    }

    /// Which flow a request to `uri` would take: [`Event::Routed`] or [`Event::NoRoute`] answers.
    pub fn route(&mut self, uri: crate::message::UriBuf, cx: &mut Cx<'_>) -> RequestId {
        let id = cx.route(uri);
        self.requests.insert(id, Owner::Route);
        id
    }

    /// Places a call (§13.2). Everything that becomes of it comes as events of the id.
    pub fn invite(&mut self, invite: Invite, cx: &mut Cx<'_>) -> CallId {
        self.stats.outgoing_calls += 1;
        let shard = cx.shard();
        let key = self.calls.insert_with(|key| Call::outgoing(cx.ids().cookie(shard, key)));
        let id = CallId(key);
        let way = self.way(invite.registration);
        self.act(id, cx, |call, cx| call.invite(invite, way, cx));
        id
    }

    /// Registers, or does whatever else the task says; what becomes of it comes as events of the id.
    pub fn register(&mut self, register: Register, cx: &mut Cx<'_>) -> RegistrationId {
        let id = RegistrationId(self.registrations.insert(Registration::new(register)));
        self.act_on_registration(id, cx, Registration::start);
        id
    }

    /// Ends a registration: the binding is removed, or was never wanted to last. [`RegistrationEvent::Ended`]
    /// follows.
    pub fn unregister(&mut self, id: RegistrationId, cx: &mut Cx<'_>) {
        self.act_on_registration(id, cx, Registration::end);
    }

    pub fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.get(id.0)
    }

    /// Sends a request outside calls; its outcome comes as events of the id.
    pub fn query(&mut self, query: Query, cx: &mut Cx<'_>) -> QueryId {
        let id = QueryId(self.queries.insert(Asking::new()));
        let way = self.way(query.registration);
        self.act_on_query(id, cx, |asking, cx| asking.start(query, &way, cx));
        id
    }

    /// The Call-ID of a request outside calls, while it is under way.
    pub fn query_call_id(&self, id: QueryId) -> Option<&str> {
        self.queries.get(id.0).map(Asking::call_id)
    }

    /// Subscribes to somebody's state, or asks for it; what becomes of it comes as events of the id.
    pub fn subscribe(&mut self, subscribe: Subscribe, cx: &mut Cx<'_>) -> SubscriptionId {
        let shard = cx.shard();
        let key =
            self.subscriptions.insert_with(|key| Subscription::new(subscribe, cx.ids().cookie(shard, key)));
        let id = SubscriptionId(key);
        self.act_on_subscription(id, cx, Subscription::start);
        id
    }

    /// Asks to be notified now, of the whole state; `body` replaces the filter or list that was sent before.
    pub fn refresh_subscription(&mut self, id: SubscriptionId, body: Option<Body>, cx: &mut Cx<'_>) {
        self.act_on_subscription(id, cx, |subscription, cx| subscription.refresh(body, cx));
    }

    /// Unsubscribes. The last NOTIFY and then [`SubscriptionEvent::Ended`] follow.
    pub fn unsubscribe(&mut self, id: SubscriptionId, cx: &mut Cx<'_>) {
        self.act_on_subscription(id, cx, Subscription::end);
    }

    pub fn subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(id.0)
    }

    /// Subscriptions of ours that are not over.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Publishes a state, or removes one; what becomes of it comes as events of the id.
    pub fn publish(&mut self, publish: Publish, cx: &mut Cx<'_>) -> PublicationId {
        let id = PublicationId(self.publications.insert(Publication::new(publish)));
        self.act_on_publication(id, cx, Publication::start);
        id
    }

    /// Publishes another state in place of the last one.
    pub fn modify_publication(&mut self, id: PublicationId, body: Body, cx: &mut Cx<'_>) {
        self.act_on_publication(id, cx, |publication, cx| publication.modify(body, cx));
    }

    /// Refreshes a publication now, or tries again now.
    pub fn refresh_publication(&mut self, id: PublicationId, cx: &mut Cx<'_>) {
        self.act_on_publication(id, cx, Publication::refresh);
    }

    /// Removes what is published. [`PublicationEvent::Ended`] follows.
    pub fn unpublish(&mut self, id: PublicationId, cx: &mut Cx<'_>) {
        self.act_on_publication(id, cx, Publication::end);
    }

    pub fn publication(&self, id: PublicationId) -> Option<&Publication> {
        self.publications.get(id.0)
    }

    /// The way of requests made under a registration.
    fn way(&self, id: Option<RegistrationId>) -> Way {
        let Some(registration) = id.and_then(|id| self.registrations.get(id.0)) else {
            return Way::default();
        };
        Way {
            service_route: registration.service_route().to_vec(),
            next: Some(registration.next().clone()),
            flow: registration
                .granted()
                .map(|granted| granted.flow)
                .filter(|flow| flow.protocol.is_reliable()),
            domain: Some(registration.domain()),
            contact: Some(registration.contact(self.config.contact_user.clone())),
        }
    }

    /// Our Contact in what we answer over `flow`: the one that was registered from there, if any.
    fn contact_on(&self, flow: &Flow) -> crate::stack::Contact {
        let there = |registration: &&Registration| {
            let on = registration.granted().map(|granted| granted.flow);
            on.is_some_and(|on| (on.protocol, on.local) == (flow.protocol, flow.local))
        };
        let user = self.config.contact_user.clone();
        let registration = self.registrations.iter().map(|(_, registration)| registration).find(there);
        match registration {
            Some(registration) => registration.contact(user),
            None => crate::stack::Contact { user, ..Default::default() },
        }
    }

    /// Answers an incoming call provisionally (101–199), with a session description for early media.
    pub fn progress(&mut self, id: CallId, status: u16, body: Option<Body>, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.progress(status, body, cx));
    }

    /// Answers an incoming call with 200: `body` is our answer, or our offer if the INVITE had none.
    pub fn answer(&mut self, id: CallId, body: Option<Body>, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.answer(body, cx));
    }

    /// Refuses an incoming call with a final status of 300–699.
    pub fn reject(&mut self, id: CallId, status: u16, headers: Vec<(String, String)>, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.reject(status, headers, cx));
    }

    /// Offers a changed session in the call (re-INVITE, §14.1).
    pub fn reoffer(&mut self, id: CallId, body: Body, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.reoffer(body, cx));
    }

    /// Accepts the session a re-INVITE offered ([`CallEvent::Offered`]), with our answer (or offer).
    pub fn accept_offer(&mut self, id: CallId, body: Option<Body>, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.accept_offer(body, cx));
    }

    /// Refuses it; the call goes on as it was (§14.2).
    pub fn reject_offer(&mut self, id: CallId, status: u16, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.reject_offer(status, cx));
    }

    /// Ends the call in whatever way its phase asks for: CANCEL, a final response, or BYE.
    pub fn hang_up(&mut self, id: CallId, cx: &mut Cx<'_>) {
        self.act(id, cx, Call::hang_up);
    }

    /// Asks for [`CallEvent::Alarm`] after a while; one at a time per call.
    pub fn alarm(&mut self, id: CallId, after: Duration, cx: &mut Cx<'_>) {
        self.act(id, cx, |call, cx| call.set_alarm(cx.now() + after));
    }

    /// Runs `act` on a call, arms its next deadline, and removes it once it is over.
    fn act(&mut self, id: CallId, stack: &mut Cx<'_>, act: impl FnOnce(&mut Call, &mut UaCx<'_, '_>)) {
        let Some(call) = self.calls.get_mut(id.0) else { return };
        let mut cx = cx!(self, stack, id);
        act(call, &mut cx);
        if call.is_over() {
            if let Some(mut call) = self.calls.remove(id.0) {
                call.requests().for_each(|request| {
                    self.requests.remove(&request);
                });
                self.requests.extend(call.past().map(|acked| (acked.invite, Owner::Past(Box::new(acked)))));
                call.server().map(|invite| self.invites.remove(&invite));
            }
        } else if let Some(at) = call.arm(stack.now()) {
            stack.wake(at, Usage::Call(id).token());
        }
    }

    fn act_on_registration(
        &mut self,
        id: RegistrationId,
        stack: &mut Cx<'_>,
        act: impl FnOnce(&mut Registration, &mut UaCx<'_, '_, RegistrationId>),
    ) {
        let Some(registration) = self.registrations.get_mut(id.0) else { return };
        let mut cx = cx!(self, stack, id);
        act(registration, &mut cx);
        if registration.is_over() {
            for request in registration.request_ids() {
                self.requests.remove(&request);
            }
            self.registrations.remove(id.0);
        } else if let Some(at) = registration.arm(stack.now()) {
            stack.wake(at, Usage::Registration(id).token());
        }
    }

    fn act_on_query(
        &mut self,
        id: QueryId,
        stack: &mut Cx<'_>,
        act: impl FnOnce(&mut Asking, &mut UaCx<'_, '_, QueryId>),
    ) {
        let Some(asking) = self.queries.get_mut(id.0) else { return };
        let mut cx = cx!(self, stack, id);
        act(asking, &mut cx);
        if asking.is_over() {
            self.queries.remove(id.0);
        }
    }

    fn act_on_subscription(
        &mut self,
        id: SubscriptionId,
        stack: &mut Cx<'_>,
        act: impl FnOnce(&mut Subscription, &mut UaCx<'_, '_, SubscriptionId>),
    ) {
        let account = self.subscriptions.get(id.0).and_then(Subscription::registration);
        let way = account.map(|account| self.way(Some(account)));
        let Some(subscription) = self.subscriptions.get_mut(id.0) else { return };
        if let Some(way) = way {
            subscription.set_way(way);
        }
        let mut cx = cx!(self, stack, id);
        act(subscription, &mut cx);
        if subscription.is_over() {
            for request in subscription.request_ids() {
                self.requests.remove(&request);
            }
            self.subscriptions.remove(id.0);
        } else if let Some(at) = subscription.arm(stack.now()) {
            stack.wake(at, Usage::Subscription(id).token());
        }
    }

    fn act_on_publication(
        &mut self,
        id: PublicationId,
        stack: &mut Cx<'_>,
        act: impl FnOnce(&mut Publication, &mut UaCx<'_, '_, PublicationId>),
    ) {
        let account = self.publications.get(id.0).and_then(Publication::registration);
        let way = account.map(|account| self.way(Some(account)));
        let Some(publication) = self.publications.get_mut(id.0) else { return };
        if let Some(way) = way {
            publication.set_way(way);
        }
        let mut cx = cx!(self, stack, id);
        act(publication, &mut cx);
        if publication.is_over() {
            for request in publication.request_ids() {
                self.requests.remove(&request);
            }
            self.publications.remove(id.0);
        } else if let Some(at) = publication.arm(stack.now()) {
            stack.wake(at, Usage::Publication(id).token());
        }
    }

    fn act_on_watcher(
        &mut self,
        id: WatcherId,
        stack: &mut Cx<'_>,
        act: impl FnOnce(&mut Watcher, &mut UaCx<'_, '_, WatcherId>),
    ) {
        let Some(watcher) = self.watchers.get_mut(id.0) else { return };
        let mut cx = cx!(self, stack, id);
        act(watcher, &mut cx);
        if watcher.takes_turn(stack.now()) {
            self.turns.queue(id);
        }
        let mut moved = None;
        if let Some((package, resource, place)) = watcher.seat().filter(|_| watcher.has_left()) {
            watcher.unseat();
            moved = self.audience.leave(package, &resource, place).map(|moved| (moved, place));
        }
        if watcher.is_over() {
            if let Some(request) = watcher.request_id() {
                self.requests.remove(&request);
            }
            self.watchers.remove(id.0);
        } else if let Some(at) = watcher.arm(stack.now()) {
            stack.wake(at, Usage::Watcher(id).token());
        }
        if let Some((moved, place)) = moved
            && let Some(watcher) = self.watchers.get_mut(moved)
        {
            watcher.set_place(place);
        }
    }

    /// The subscription whose local tag this is, if the Call-ID is its own too.
    fn subscription_of(&self, request: &Request, tag: &str) -> Option<SubscriptionId> {
        let cookie = Cookie::decode(tag)?;
        let subscription = self.subscriptions.get(cookie.key())?;
        let is_its = subscription.cookie() == cookie && subscription.owns(request);
        is_its.then_some(SubscriptionId(cookie.key()))
    }

    /// The call whose local tag this is, if it says so itself.
    fn by_tag(&self, tag: &str) -> Option<CallId> {
        let cookie = Cookie::decode(tag)?;
        let call = self.calls.get(cookie.key())?;
        (call.cookie() == cookie).then_some(CallId(cookie.key()))
    }

    /// A response with what every one of ours carries.
    fn response(&self, request: &Request, status: u16) -> Builder {
        incoming::response(&self.config, request, status)
    }

    fn reply(&self, id: ServerId, response: impl Into<Bytes>, cx: &mut Cx<'_>) {
        if cx.respond(id, response).is_err() {
            tracing::debug!(?id, "answered too late: the transaction is over");
        }
    }
}

impl TransactionUser for UserAgent {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        let tag = request.to_tag().ok().flatten().map(str::to_owned);
        match (id, tag) {
            (Some(id), Some(tag)) => self.in_dialog(request, &tag, id, from, cx),
            (Some(id), None) => self.out_of_dialog(request, id, from, cx),
            (None, tag) => {
                let call = tag.and_then(|tag| self.by_tag(&tag));
                // The tag alone is no proof: a stranger may have seen it.
                let call = call.filter(|&id| self.call(id).is_some_and(|call| call.owns(&request)));
                match call {
                    Some(call) => self.act(call, cx, |call, cx| call.acknowledged(&request, from, cx)),
                    None => self.stats.stray_acks += 1,
                }
            }
        }
    }

    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>) {
        if let Some(id) = self.invites.get(&invite).copied() {
            self.act(id, cx, |call, cx| call.cancelled(invite, cx));
        }
    }

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        let Some(id) = id else { return };
        // An INVITE's id lives on after a 2xx, for the 2xx of other forks and repeated ones.
        let lasting = response.status() < 200
            || (response.status() < 300 && response.cseq().is_ok_and(|cseq| cseq.method == Method::Invite));
        match self.requests.get(&id) {
            Some(&Owner::Call(call)) => {
                if !lasting {
                    self.requests.remove(&id);
                }
                self.act(call, cx, |call, cx| call.response(id, &response, cx));
            }
            Some(&Owner::Registration(registration)) => {
                if !lasting {
                    self.requests.remove(&id);
                }
                self.act_on_registration(registration, cx, |r, cx| r.response(id, &response, cx));
            }
            Some(&Owner::Query(query)) => {
                if !lasting {
                    self.requests.remove(&id);
                }
                self.act_on_query(query, cx, |asking, cx| asking.response(id, &response, cx));
            }
            Some(&Owner::Subscription(subscription)) => {
                if !lasting {
                    self.requests.remove(&id);
                }
                self.act_on_subscription(subscription, cx, |s, cx| s.response(id, &response, cx));
            }
            Some(&Owner::Publication(publication)) => {
                if !lasting {
                    self.requests.remove(&id);
                }
                self.act_on_publication(publication, cx, |p, cx| p.response(id, &response, cx));
            }
            Some(&Owner::Watcher(watcher)) => {
                if !lasting {
                    self.requests.remove(&id);
                }
                self.watcher_answered(watcher, id, &response, cx);
            }
            Some(Owner::Past(acked)) => {
                for outgoing in acked.again(&response, cx.flow(id)) {
                    send_and_forget(outgoing, cx, &mut self.requests);
                }
            }
            Some(Owner::Nobody | Owner::Route) if !lasting => {
                self.requests.remove(&id);
            }
            Some(Owner::Nobody | Owner::Route) | None => {}
        }
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        match self.requests.remove(&id) {
            Some(Owner::Call(call)) => self.act(call, cx, |call, cx| call.failed(id, why, cx)),
            Some(Owner::Registration(registration)) => {
                self.act_on_registration(registration, cx, |registration, cx| {
                    registration.failed(id, why, cx)
                });
            }
            Some(Owner::Query(query)) => {
                self.act_on_query(query, cx, |asking, cx| asking.failed(id, why, cx))
            }
            Some(Owner::Subscription(subscription)) => {
                self.act_on_subscription(subscription, cx, |s, cx| s.failed(id, why, cx));
            }
            Some(Owner::Publication(publication)) => {
                self.act_on_publication(publication, cx, |p, cx| p.failed(id, why, cx));
            }
            Some(Owner::Watcher(watcher)) => {
                self.act_on_watcher(watcher, cx, |watcher, cx| watcher.failed(id, why, cx));
            }
            Some(Owner::Route) => self.events.push_back(Event::NoRoute { id, why }),
            Some(Owner::Nobody | Owner::Past(_)) | None => {}
        }
    }

    fn ended(&mut self, id: RequestId, cx: &mut Cx<'_>) {
        if let Some(Owner::Call(call)) = self.requests.remove(&id) {
            self.act(call, cx, |call, _| call.invite_ended(id));
        }
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        match Usage::of_token(token) {
            Some(Usage::Call(id)) => self.act(id, cx, Call::deadline),
            Some(Usage::Registration(id)) => self.act_on_registration(id, cx, Registration::deadline),
            Some(Usage::Subscription(id)) => self.act_on_subscription(id, cx, Subscription::deadline),
            Some(Usage::Publication(id)) => self.act_on_publication(id, cx, Publication::deadline),
            Some(Usage::Watcher(id)) => self.watcher_deadline(id, cx),
            Some(Usage::Turns) => self.next_turns(cx),
            // A query waits for its transaction alone.
            Some(Usage::Query(_)) | None => {}
        }
    }

    fn routed(&mut self, id: RequestId, flow: Flow, cx: &mut Cx<'_>) {
        self.requests.remove(&id);
        let times = cx.times(id).unwrap_or_default();
        self.events.push_back(Event::Routed { id, flow, times });
    }

    fn flow_lost(&mut self, flow: Flow, _why: &FlowError, cx: &mut Cx<'_>) {
        let uses = |registration: &Registration| registration.is_using(&flow);
        let ids: Vec<_> =
            self.registrations.iter().filter(|(_, r)| uses(r)).map(|(key, _)| RegistrationId(key)).collect();
        for id in ids {
            self.act_on_registration(id, cx, |registration, cx| registration.flow_lost(flow, cx));
        }
        let uses = |subscription: &Subscription| subscription.is_using(&flow);
        let ids: Vec<_> =
            self.subscriptions.iter().filter(|(_, s)| uses(s)).map(|(key, _)| SubscriptionId(key)).collect();
        for id in ids {
            self.act_on_subscription(id, cx, |subscription, cx| subscription.flow_lost(flow, cx));
        }
    }

    fn flows(&self, tell: &mut dyn FnMut(&Flow)) {
        let mut each = |flow: Option<Flow>| flow.iter().for_each(&mut *tell);
        self.calls.iter().for_each(|(_, call)| each(call.flow()));
        self.registrations.iter().for_each(|(_, registration)| each(registration.flow()));
        let forks = self.subscriptions.iter().flat_map(|(_, subscription)| subscription.flows());
        forks.for_each(|flow| each(Some(flow)));
        self.watchers.iter().for_each(|(_, watcher)| each(Some(watcher.flow())));
    }
}
