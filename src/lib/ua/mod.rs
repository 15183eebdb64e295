//! The user agent of RFC 3261 §8: a transaction user that dispatches to usages.
//!
//! It answers by itself what no application wants to see (unknown methods, unsupported extensions,
//! OPTIONS, requests for dialogs that are not there), finds the [`Call`] a message belongs
//! to, and queues [`Event`]s for whoever drives it. Applications that run inline on the shard wrap it;
//! everybody else uses the handles of `endpoint`.

pub mod call;
mod incoming;
mod merged;

use std::collections::{HashMap, VecDeque};

use crate::{
    message::{Builder, Message, Method, Request, Response},
    stack::{Cx, Failure, Outgoing, RequestId, TransactionUser},
    time::{Duration, Instant},
    transaction::ServerId,
    transport::Flow,
    util::{
        id::Cookie,
        slab::{Key, Slab},
    },
};

use call::{Acked, Body, Call, CallEvent, Invite};
use merged::Merged;

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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            product: concat!("sipkit/", env!("CARGO_PKG_VERSION")).into(),
            contact_user: None,
            pages: false,
            incoming_calls: true,
            calls: 100_000,
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

/// What the application is told.
#[derive(Clone, Debug)]
pub enum Event {
    Call(CallId, CallEvent),
    /// A MESSAGE came and was answered 200.
    Page {
        request: Box<Request>,
        from: Flow,
    },
    /// A [`UserAgent::route`] question was answered.
    Routed {
        id: RequestId,
        flow: Flow,
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

/// See the module's description.
pub struct UserAgent {
    config: Config,
    calls: Slab<Call>,
    requests: HashMap<RequestId, Owner>,
    invites: HashMap<ServerId, CallId>,
    merged: Merged,
    events: VecDeque<Event>,
    stats: Stats,
}

/// Whose request it is.
enum Owner {
    Call(CallId),
    /// An answered INVITE of a call that is over: further 2xx must still be acknowledged.
    Past(Box<Acked>),
    Route,
    /// Sent to tidy up; nobody waits for the outcome.
    Nobody,
}

/// What a usage works with: the stack, and what the user agent keeps for all of them.
struct UaCx<'a, 'b> {
    stack: &'a mut Cx<'b>,
    config: &'a Config,
    requests: &'a mut HashMap<RequestId, Owner>,
    invites: &'a mut HashMap<ServerId, CallId>,
    events: &'a mut VecDeque<Event>,
    id: CallId,
}

impl UaCx<'_, '_> {
    fn now(&self) -> Instant {
        self.stack.now()
    }

    fn event(&mut self, event: CallEvent) {
        self.events.push_back(Event::Call(self.id, event));
    }
}

impl UserAgent {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            calls: Slab::new(),
            requests: HashMap::new(),
            invites: HashMap::new(),
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
        self.act(id, cx, |call, cx| call.invite(invite, cx));
        id
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
        let mut cx = UaCx {
            stack,
            config: &self.config,
            requests: &mut self.requests,
            invites: &mut self.invites,
            events: &mut self.events,
            id,
        };
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
            stack.wake(at, token(id.0));
        }
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

    fn reply(&self, id: ServerId, response: Message, cx: &mut Cx<'_>) {
        if cx.respond(id, response).is_err() {
            tracing::debug!(?id, "answered too late: the transaction is over");
        }
    }
}

impl TransactionUser for UserAgent {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        let tag = request.to().ok().and_then(|to| to.tag().map(str::to_owned));
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
        self.act(CallId(key(token)), cx, Call::deadline);
    }

    fn routed(&mut self, id: RequestId, flow: Flow, _cx: &mut Cx<'_>) {
        self.requests.remove(&id);
        self.events.push_back(Event::Routed { id, flow });
    }

    fn is_using(&self, flow: &Flow) -> bool {
        self.calls.iter().any(|(_, call)| call.is_using(flow))
    }
}

/// Sends something whose outcome nobody waits for.
fn send_and_forget(outgoing: Outgoing, cx: &mut Cx<'_>, requests: &mut HashMap<RequestId, Owner>) {
    let is_ack = outgoing.is_ack();
    let id = cx.send(outgoing);
    // An ACK's id ends at once.
    if !is_ack {
        requests.insert(id, Owner::Nobody);
    }
}

fn token(key: Key) -> u64 {
    u64::from(key.generation) << 32 | u64::from(key.index)
}

fn key(token: u64) -> Key {
    Key { index: token as u32, generation: (token >> 32) as u32 }
}
