//! A user agent with an asynchronous face: calls as values, their events as streams.
//!
//! Handles hold ids and channels only. Dropping a [`Call`] hangs it up; nothing waits in `Drop`.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use crate::{
    message::{Request, Response, UriBuf},
    stack::{Cx, Failure, RequestId, TransactionUser},
    transaction::ServerId,
    transport::{Flow, FlowError, Target},
    ua::{
        self, CallId, Event, UserAgent,
        call::{Body, CallEvent, Invite},
    },
};

use super::{Builder, Endpoint, Poster, StartError, Unavailable};

/// A user agent on a shard of its own.
pub struct Agent {
    endpoint: Endpoint<Agency>,
    incoming: mpsc::Receiver<Call>,
    pages: mpsc::Receiver<Page>,
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
        let endpoint = builder.start_with(|poster| Agency {
            ua: UserAgent::new(config),
            calls: HashMap::new(),
            routes: HashMap::new(),
            incoming,
            page,
            poster,
        })?;
        Ok(Self { endpoint, incoming: calls, pages })
    }

    /// The addresses the agent listens on.
    pub fn local(&self) -> &[Target] {
        self.endpoint.local()
    }

    /// Which flow requests to `uri` would take: its local address is what Via, Contact and SDP will say.
    pub async fn route(&self, uri: UriBuf) -> Result<Result<Flow, Failure>, Unavailable> {
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

    /// The next call from outside; its first event is [`CallEvent::Incoming`].
    pub async fn incoming(&mut self) -> Option<Call> {
        self.incoming.recv().await
    }

    /// The next MESSAGE, if the configuration takes them.
    pub async fn page(&mut self) -> Option<Page> {
        self.pages.recv().await
    }

    /// Ends the shard.
    pub async fn stop(self) {
        self.endpoint.stop().await;
    }
}

/// A call as the application holds it.
pub struct Call {
    id: CallId,
    call_id: String,
    events: mpsc::Receiver<CallEvent>,
    poster: Poster<Agency>,
}

impl Call {
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The Call-ID of its messages.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The next event; `None` after [`CallEvent::Ended`], or when the endpoint stopped.
    pub async fn next(&mut self) -> Option<CallEvent> {
        self.events.recv().await
    }

    /// See [`UserAgent::progress`].
    pub fn progress(&self, status: u16, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.progress(id, status, body, cx))
    }

    /// See [`UserAgent::answer`].
    pub fn answer(&self, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.answer(id, body, cx))
    }

    /// See [`UserAgent::reject`].
    pub fn reject(&self, status: u16) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.reject(id, status, Vec::new(), cx))
    }

    /// See [`UserAgent::reoffer`].
    pub fn reoffer(&self, body: Body) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.reoffer(id, body, cx))
    }

    /// See [`UserAgent::accept_offer`].
    pub fn accept_offer(&self, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.accept_offer(id, body, cx))
    }

    /// See [`UserAgent::reject_offer`].
    pub fn reject_offer(&self, status: u16) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.reject_offer(id, status, cx))
    }

    /// Ends the call in whatever way its phase asks for; [`CallEvent::Ended`] follows.
    pub fn hang_up(&self) -> Result<(), Unavailable> {
        self.act(|ua, id, cx| ua.hang_up(id, cx))
    }

    fn act(
        &self,
        act: impl FnOnce(&mut UserAgent, CallId, &mut Cx<'_>) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let id = self.id;
        self.poster.post(move |agency, cx| {
            act(&mut agency.ua, id, cx);
            agency.distribute(cx);
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A call that is over, or an endpoint that stopped, needs no ending.
        let _ = self.hang_up();
    }
}

/// The transaction user on the shard: a user agent and the channels its events go to.
struct Agency {
    ua: UserAgent,
    calls: HashMap<CallId, mpsc::Sender<CallEvent>>,
    routes: HashMap<RequestId, oneshot::Sender<Result<Flow, Failure>>>,
    incoming: mpsc::Sender<Call>,
    page: mpsc::Sender<Page>,
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
                Event::Page { request, from } => {
                    if self.page.try_send(Page { request: *request, from }).is_err() {
                        tracing::warn!("nobody reads the messages that come in");
                    }
                }
                Event::Routed { id, flow } => {
                    if let Some(reply) = self.routes.remove(&id) {
                        let _ = reply.send(Ok(flow));
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

    fn is_using(&self, flow: &Flow) -> bool {
        self.ua.is_using(flow)
    }
}

/// Events, incoming calls or messages waiting to be read at most.
const QUEUE: usize = 128;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        auth,
        message::AddressBuf,
        stack::{Config, NextHop, Stack},
        time::Instant,
        ua::call::{By, Cause},
    };

    /// An ICMP error wakes the shard by itself: no datagram comes with it, and none of ours follows soon.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_without_a_listener_is_reported_at_once() {
        let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let builder = Builder { listen, ..Builder::default() };
        let agent = Agent::start(builder, ua::Config::default()).unwrap();
        for any in ["127.0.0.1:0", "[::1]:0"] {
            // A connected socket keeps the port from others and refuses what is not its peer's.
            let held = std::net::UdpSocket::bind(any).unwrap();
            held.connect(held.local_addr().unwrap()).unwrap();
            let dead = held.local_addr().unwrap();
            let target = UriBuf::parse(&format!("sip:{dead}")).unwrap();
            let invite = Invite {
                from: AddressBuf::new(None, target.clone()),
                target,
                next: NextHop::RequestUri,
                offer: Body::sdp("v=0\r\n"),
                auth: auth::Client::default(),
                headers: Vec::new(),
            };
            let mut call = agent.call(invite).await.unwrap();
            let event =
                tokio::time::timeout(std::time::Duration::from_millis(400), call.next()).await.unwrap();
            let Some(CallEvent::Ended { by: By::Network, cause: Cause::Failed(why) }) = event else {
                panic!("{event:?}");
            };
            assert!(
                matches!(why, Failure::Unreachable { target, why: FlowError::Refused } if target.addr == dead),
                "{why}"
            );
        }
        agent.stop().await;
    }

    /// Nobody reads the events of a call: they stop coming, but its end is still told.
    #[test]
    fn the_end_is_told_however_many_events_wait() {
        let (incoming, _calls) = mpsc::channel(1);
        let (page, _pages) = mpsc::channel(1);
        let (inbox, _commands) = mpsc::channel(1);
        let mut agency = Agency {
            ua: UserAgent::new(ua::Config::default()),
            calls: HashMap::new(),
            routes: HashMap::new(),
            incoming,
            page,
            poster: Poster(inbox),
        };
        let mut stack = Stack::new(Config::default());
        let mut call = stack.with(Instant::ZERO, &mut agency, |agency, cx| {
            let invite = Invite {
                target: UriBuf::parse("sip:bob@192.0.2.2").unwrap(),
                from: AddressBuf::parse("sip:alice@192.0.2.1").unwrap(),
                next: NextHop::RequestUri,
                offer: Body::sdp(""),
                auth: auth::Client::default(),
                headers: Vec::new(),
            };
            let id = agency.ua.invite(invite, cx);
            let call = agency.adopt(id);
            for _ in 0..2 * QUEUE {
                agency.call_event(id, CallEvent::Alarm, cx);
            }
            agency.call_event(id, CallEvent::Ended { by: By::Remote, cause: Cause::NoAck }, cx);
            call
        });
        let mut last = None;
        while let Ok(event) = call.events.try_recv() {
            last = Some(event);
        }
        assert!(matches!(last, Some(CallEvent::Ended { .. })), "{last:?}");
    }

    #[tokio::test]
    async fn a_dropped_agent_gives_its_port_back() {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let agent = Agent::start(Builder { listen, ..Builder::default() }, ua::Config::default()).unwrap();
        let local = agent.local()[0].addr;
        drop(agent);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while let Err(error) = std::net::UdpSocket::bind(local) {
            assert!(std::time::Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
