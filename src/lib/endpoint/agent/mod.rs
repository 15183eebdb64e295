//! A user agent with an asynchronous face: calls, registrations, subscriptions, publications and requests as values,
//! their events as streams.
//!
//! Handles hold ids and channels only. Dropping a [`Call`] hangs it up, dropping a [`Registration`] removes its
//! binding, dropping a [`Subscription`] unsubscribes, dropping a [`Publication`] removes it; nothing waits in `Drop`.

mod call;
mod publication;
mod query;
mod registration;
mod subscription;
mod watcher;

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use crate::{
    message::{Request, Response, UriBuf},
    stack::{Cx, Failure, RequestId, Times, TransactionUser},
    transaction::ServerId,
    transport::{Flow, FlowError, Target},
    ua::{
        self, CallId, Event, PublicationId, QueryId, RegistrationId, SubscriptionId, UserAgent, WatcherId,
        call::{CallEvent, Invite},
        notifier::WatcherEvent,
        page::{Query, QueryEvent},
        publication::{PublicationEvent, Publish},
        registration::{Register, RegistrationEvent},
        subscription::{Subscribe, SubscriptionEvent},
    },
};

use super::{Builder, Endpoint, Poster, StartError, Unavailable};

pub use call::Call;
pub use publication::Publication;
pub use query::Pending;
pub use registration::Registration;
pub use subscription::Subscription;
pub use watcher::{Submission, Watcher};

/// The flow that requests take, and how long it took to find and open it; or why there is none.
pub type Routed = Result<(Flow, Times), Failure>;

/// A user agent on a shard of its own.
pub struct Agent {
    endpoint: Endpoint<Agency>,
    incoming: mpsc::Receiver<Call>,
    pages: mpsc::Receiver<Page>,
    watchers: mpsc::Receiver<Watcher>,
    submissions: mpsc::Receiver<Submission>,
}

/// A MESSAGE that came (RFC 3428), already answered.
#[derive(Clone, Debug)]
pub struct Page {
    pub request: Request,
    pub from: Flow,
}

impl Agent {
    pub fn start(builder: Builder, config: ua::Config) -> Result<Self, StartError> {
        let (incoming, calls) = mpsc::channel(QUEUE);
        let (page, pages) = mpsc::channel(QUEUE);
        let (arrival, watchers) = mpsc::channel(QUEUE);
        let (submission, submissions) = mpsc::channel(QUEUE);
        let endpoint = builder.start_with(|poster, _| Agency {
            ua: UserAgent::new(config),
            calls: HashMap::new(),
            registrations: HashMap::new(),
            queries: HashMap::new(),
            subscriptions: HashMap::new(),
            publications: HashMap::new(),
            watchers: HashMap::new(),
            routes: HashMap::new(),
            incoming,
            page,
            arrival,
            submission,
            poster,
        })?;
        Ok(Self { endpoint, incoming: calls, pages, watchers, submissions })
    }

    /// The addresses the agent listens on.
    pub fn local(&self) -> &[Target] {
        self.endpoint.local()
    }

    /// Which flow requests to `uri` would take: its local address is what Via, Contact and SDP will say. And how long
    /// it took to find out and to open it.
    pub async fn route(&self, uri: UriBuf) -> Result<Routed, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.endpoint
            .with(move |agency, cx| {
                let id = agency.ua.route(uri, cx);
                agency.routes.insert(id, reply);
            })
            .await?;
        answer.await.map_err(|_| Unavailable::Stopped)
    }

    /// Places a call.
    pub async fn call(&self, invite: Invite) -> Result<Call, Unavailable> {
        self.endpoint
            .with(move |agency, cx| {
                let id = agency.ua.invite(invite, cx);
                agency.adopt(id)
            })
            .await
    }

    /// Registers, or does whatever else the task says.
    pub async fn register(&self, register: Register) -> Result<Registration, Unavailable> {
        self.endpoint
            .with(move |agency, cx| {
                let id = agency.ua.register(register, cx);
                let (sender, events) = mpsc::channel(QUEUE);
                agency.registrations.insert(id, sender);
                agency.distribute(cx);
                Registration { id, events, poster: agency.poster.clone() }
            })
            .await
    }

    /// Subscribes to somebody's state, or asks for it.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, Unavailable> {
        self.endpoint
            .with(move |agency, cx| {
                let id = agency.ua.subscribe(subscribe, cx);
                let (sender, events) = mpsc::channel(QUEUE);
                agency.subscriptions.insert(id, subscription::Mailbox::new(sender));
                let call_id = agency.ua.subscription(id).map(|one| one.call_id().to_owned());
                agency.distribute(cx);
                let call_id = call_id.unwrap_or_default();
                Subscription { id, call_id, events, poster: agency.poster.clone() }
            })
            .await
    }

    /// Publishes a state, or removes one.
    pub async fn publish(&self, publish: Publish) -> Result<Publication, Unavailable> {
        self.endpoint
            .with(move |agency, cx| {
                let id = agency.ua.publish(publish, cx);
                let (sender, events) = mpsc::channel(QUEUE);
                agency.publications.insert(id, sender);
                agency.distribute(cx);
                Publication { id, events, poster: agency.poster.clone() }
            })
            .await
    }

    /// Sends a request outside calls.
    pub async fn query(&self, query: Query) -> Result<Pending, Unavailable> {
        self.endpoint
            .with(move |agency, cx| {
                let id = agency.ua.query(query, cx);
                let (sender, events) = mpsc::channel(QUEUE);
                agency.queries.insert(id, sender);
                let call_id = agency.ua.query_call_id(id).unwrap_or_default().to_owned();
                agency.distribute(cx);
                Pending { call_id, events }
            })
            .await
    }

    /// The next call from outside; its first event is [`CallEvent::Incoming`].
    pub async fn incoming(&mut self) -> Option<Call> {
        self.incoming.recv().await
    }

    /// The next MESSAGE, if the configuration takes them.
    pub async fn page(&mut self) -> Option<Page> {
        self.pages.recv().await
    }

    /// The next who wants to watch us, if the configuration has packages.
    pub async fn watcher(&mut self) -> Option<Watcher> {
        self.watchers.recv().await
    }

    /// The next PUBLISH, if the configuration takes them.
    pub async fn submission(&mut self) -> Option<Submission> {
        self.submissions.recv().await
    }

    /// Ends the shard.
    pub async fn stop(self) {
        self.endpoint.stop().await;
    }
}

/// The transaction user on the shard: a user agent and the channels its events go to.
struct Agency {
    ua: UserAgent,
    calls: HashMap<CallId, mpsc::Sender<CallEvent>>,
    registrations: HashMap<RegistrationId, mpsc::Sender<RegistrationEvent>>,
    queries: HashMap<QueryId, mpsc::Sender<QueryEvent>>,
    subscriptions: HashMap<SubscriptionId, subscription::Mailbox>,
    publications: HashMap<PublicationId, mpsc::Sender<PublicationEvent>>,
    watchers: HashMap<WatcherId, mpsc::Sender<WatcherEvent>>,
    routes: HashMap<RequestId, oneshot::Sender<Routed>>,
    incoming: mpsc::Sender<Call>,
    page: mpsc::Sender<Page>,
    arrival: mpsc::Sender<Watcher>,
    submission: mpsc::Sender<Submission>,
    poster: Poster<Agency>,
}

impl Agency {
    fn adopt(&mut self, id: CallId) -> Call {
        let (sender, events) = mpsc::channel(QUEUE);
        self.calls.insert(id, sender);
        let call_id = self.ua.call(id).map(|call| call.call_id().to_owned()).unwrap_or_default();
        Call { id, call_id, events, poster: self.poster.clone() }
    }

    fn distribute(&mut self, cx: &mut Cx<'_>) {
        while let Some(event) = self.ua.event() {
            match event {
                Event::Call(id, event) => self.call_event(id, event, cx),
                Event::Registration(id, event) => self.registration_event(id, event),
                Event::Query(id, event) => self.query_event(id, event),
                Event::Subscription(id, event) => self.subscription_event(id, event),
                Event::Publication(id, event) => self.publication_event(id, event),
                Event::Watcher(id, event) => self.watcher_event(id, event, cx),
                Event::Publish { request, id, from } => {
                    let poster = self.poster.clone();
                    let sent = self.submission.try_send(Submission { request, from, id, poster });
                    if let Err(mpsc::error::TrySendError::Full(it) | mpsc::error::TrySendError::Closed(it)) =
                        sent
                    {
                        self.ua.refuse_publish(id, &it.request, 503, &[], cx);
                    }
                }
                Event::Page { request, from } => {
                    if self.page.try_send(Page { request: *request, from }).is_err() {
                        tracing::warn!("nobody reads the messages that come in");
                    }
                }
                Event::Routed { id, flow, times } => {
                    if let Some(reply) = self.routes.remove(&id) {
                        let _ = reply.send(Ok((flow, times)));
                    }
                }
                Event::NoRoute { id, why } => {
                    if let Some(reply) = self.routes.remove(&id) {
                        let _ = reply.send(Err(why));
                    }
                }
            }
        }
    }

    fn registration_event(&mut self, id: RegistrationId, event: RegistrationEvent) {
        let Some(sender) = self.registrations.get(&id) else { return };
        let over = matches!(event, RegistrationEvent::Ended { .. });
        // The last place is kept for the end; who does not read misses news, and the binding lives on.
        if over || sender.capacity() > 1 {
            let _ = sender.try_send(event);
        }
        if over {
            self.registrations.remove(&id);
        }
    }

    fn query_event(&mut self, id: QueryId, event: QueryEvent) {
        let Some(sender) = self.queries.get(&id) else { return };
        let over = !matches!(event, QueryEvent::Provisional { .. } | QueryEvent::Challenged { .. });
        if over || sender.capacity() > 1 {
            let _ = sender.try_send(event);
        }
        if over {
            self.queries.remove(&id);
        }
    }

    fn subscription_event(&mut self, id: SubscriptionId, event: SubscriptionEvent) {
        let Some(mailbox) = self.subscriptions.get_mut(&id) else { return };
        let over = matches!(event, SubscriptionEvent::Ended { .. });
        mailbox.put(event);
        if over {
            self.subscriptions.remove(&id);
        }
    }

    fn publication_event(&mut self, id: PublicationId, event: PublicationEvent) {
        let Some(sender) = self.publications.get(&id) else { return };
        let over = matches!(event, PublicationEvent::Ended { .. });
        // As with registrations.
        if over || sender.capacity() > 1 {
            let _ = sender.try_send(event);
        }
        if over {
            self.publications.remove(&id);
        }
    }

    fn watcher_event(&mut self, id: WatcherId, event: WatcherEvent, cx: &mut Cx<'_>) {
        if matches!(event, WatcherEvent::Asked { .. }) {
            let (sender, events) = mpsc::channel(WATCHER_QUEUE);
            let _ = sender.try_send(event);
            let watcher = Watcher { id, events, poster: self.poster.clone() };
            if self.arrival.try_send(watcher).is_err() {
                // Nobody takes watchers, or too many wait already.
                return self.ua.refuse_watcher(id, 503, &[], cx);
            }
            self.watchers.insert(id, sender);
            return;
        }
        let Some(sender) = self.watchers.get(&id) else { return };
        let over = matches!(event, WatcherEvent::Ended { .. });
        // The last place is kept for the end.
        if over || sender.capacity() > 1 {
            let _ = sender.try_send(event);
        }
        if over {
            self.watchers.remove(&id);
        }
    }

    fn call_event(&mut self, id: CallId, event: CallEvent, cx: &mut Cx<'_>) {
        let over = matches!(event, CallEvent::Ended { .. });
        if matches!(event, CallEvent::Incoming { .. }) {
            let call = self.adopt(id);
            if self.incoming.try_send(call).is_err() {
                // Nobody takes calls, or too many wait already.
                self.calls.remove(&id);
                return self.ua.reject(id, 486, Vec::new(), cx);
            }
        }
        let Some(sender) = self.calls.get(&id) else { return };
        if over {
            // Nobody waits for it where the call was dropped.
            let _ = sender.try_send(event);
            self.calls.remove(&id);
        } else if sender.capacity() <= 1 || sender.try_send(event).is_err() {
            // The last place is kept for the end.
            tracing::debug!(?id, "the call's events are not read: hanging up");
            self.ua.hang_up(id, cx);
        }
    }
}

impl TransactionUser for Agency {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        self.ua.request(request, id, from, cx);
        self.distribute(cx);
    }

    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>) {
        self.ua.cancel(invite, cx);
        self.distribute(cx);
    }

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        self.ua.response(id, response, cx);
        self.distribute(cx);
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        self.ua.failed(id, why, cx);
        self.distribute(cx);
    }

    fn ended(&mut self, id: RequestId, cx: &mut Cx<'_>) {
        self.ua.ended(id, cx);
        self.distribute(cx);
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        self.ua.deadline(token, cx);
        self.distribute(cx);
    }

    fn routed(&mut self, id: RequestId, flow: Flow, cx: &mut Cx<'_>) {
        self.ua.routed(id, flow, cx);
        self.distribute(cx);
    }

    fn flow_lost(&mut self, flow: Flow, why: &FlowError, cx: &mut Cx<'_>) {
        self.ua.flow_lost(flow, why, cx);
        self.distribute(cx);
    }

    fn flows(&self, tell: &mut dyn FnMut(&Flow)) {
        self.ua.flows(tell);
    }
}

/// Events, incoming calls or messages waiting to be read at most.
const QUEUE: usize = 128;
/// Events of one watcher, of whom there may be many.
const WATCHER_QUEUE: usize = 8;

#[cfg(test)]
mod tests;
