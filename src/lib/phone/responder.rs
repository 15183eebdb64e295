//! An answering endpoint for tests: what it does with a call is chosen by the user part of the Request-URI.
//!
//! It is a transaction user called inline by the shard. A call costs an entry in a map beside the user
//! agent's own; media is attached by id, and only where there is any.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use tokio::sync::mpsc;

use crate::{
    auth::{self, Check, Login},
    endpoint::media::{MediaHandle, MediaId, Overloaded, Start},
    media::device::Audio,
    message::{Builder, HeaderId, Limits, Method, Request, Response, cpim::Cpim, header},
    sdp::{Capabilities, Codec, Direction},
    stack::{Contact, Cx, Failure, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::{Flow, FlowError},
    ua::{
        self, CallId, Event, RegistrationId, UserAgent,
        call::{Body, By, CallEvent, Cause, Path},
        registration::{Register, Registration, RegistrationEvent},
    },
    util::slab::KeyMap,
};

use super::{
    behaviour::Behaviour,
    bindings::{self, Bindings, Refused},
    events::{self, Around, Events, Happened},
    exchange::Exchange,
    inactive::Inactive,
    stream::StreamIdentity,
};

/// How a responder is set up.
pub struct Config {
    pub ua: ua::Config,
    /// Carries the media of calls. Without it calls are answered all the same: our descriptions say `inactive` and name
    /// the discard port, nothing is opened and nothing sent.
    pub media: Option<MediaHandle>,
    pub rtp_ports: Option<RangeInclusive<u16>>,
    pub codecs: Vec<Codec>,
    /// What happens to every call; None: what the user part of its Request-URI says.
    pub behaviour: Option<Behaviour>,
    /// Challenges INVITE, MESSAGE, REGISTER, SUBSCRIBE and PUBLISH outside a dialog.
    pub auth: Option<(auth::Policy, Vec<Login>)>,
    /// Takes registrations.
    pub registrar: Option<bindings::Limits>,
    /// Answers SUBSCRIBE and PUBLISH.
    pub events: Option<events::Config>,
    /// Told what happens; notices beyond what fits are dropped and counted.
    pub notices: Option<mpsc::Sender<Notice>>,
}

/// What a program may want to tell.
#[derive(Clone, Debug)]
pub enum Notice {
    Incoming {
        call_id: Arc<str>,
        from: String,
        target: String,
        remote: SocketAddr,
        behaviour: Behaviour,
    },
    Answered {
        call_id: Arc<str>,
        codec: Option<String>,
    },
    Ended {
        call_id: Arc<str>,
        by: By,
        cause: Cause,
    },
    /// A request outside calls was answered.
    Request {
        call_id: String,
        method: String,
        from: String,
        remote: SocketAddr,
        status: u16,
        /// The body of a MESSAGE that is text, at most its first 2048 octets.
        text: Option<String>,
    },
    /// A REGISTER was answered; what is bound now.
    Bound {
        aor: String,
        remote: SocketAddr,
        status: u16,
        bindings: Vec<Bound>,
    },
    /// A registration of our own.
    Registration(RegistrationEvent),
    /// Of subscriptions and publications.
    Events(events::Notice),
}

/// A binding of the registrar.
#[derive(Clone, Debug)]
pub struct Bound {
    pub uri: String,
    pub expires: Duration,
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that came in.
    pub calls: u64,
    pub answered: u64,
    pub ended: u64,
    /// Requests challenged or refused for want of credentials.
    pub challenged: u64,
    /// Subscriptions accepted.
    pub subscriptions: u64,
    /// PUBLISHes that were taken.
    pub publications: u64,
    /// Notices nobody read in time.
    pub unread: u64,
}

/// See the module's description.
pub struct Responder {
    ua: UserAgent,
    media: Option<MediaHandle>,
    rtp_ports: Option<RangeInclusive<u16>>,
    /// Those of a call without media; address and ports are of the last call.
    caps: Capabilities,
    behaviour: Option<Behaviour>,
    auth: Option<Guard>,
    registrar: Option<Bindings>,
    events: Option<Events>,
    notices: Option<mpsc::Sender<Notice>>,
    calls: KeyMap<CallId, Served>,
    counts: Counts,
}

struct Guard {
    policy: auth::Policy,
    /// Made at the first request, when there is randomness to make it from.
    server: Option<auth::Server>,
    logins: Vec<Login>,
}

impl Guard {
    /// The status that carries the challenge (RFC 3261 §22.1).
    fn status(&self) -> u16 {
        match self.policy.side {
            auth::Side::Server => 401,
            auth::Side::Proxy => 407,
        }
    }
}

/// What is kept of a call.
struct Served {
    behaviour: Behaviour,
    /// Where notices are wanted.
    call_id: Option<Arc<str>>,
    /// Who was called, where that is told.
    resource: Option<Arc<str>>,
    session: Described,
}

/// The session of a call, once it is described.
enum Described {
    Not,
    /// With media.
    Full(Box<Session>),
    /// Without.
    Inactive(Inactive),
}

/// The session of a call that has one.
struct Session {
    exchange: Exchange,
    identity: StreamIdentity,
    port: MediaId,
    started: bool,
    path: Path,
}

impl Responder {
    pub fn new(config: Config) -> Self {
        let Config { ua, media, rtp_ports, codecs, behaviour, auth, registrar, events, notices } = config;
        let notifier = events.as_ref().map(events::Config::notifier).or_else(|| ua.notifier.clone());
        Self {
            ua: UserAgent::new(ua::Config { notifier, ..ua }),
            media,
            rtp_ports,
            caps: Capabilities {
                codecs,
                own_order: false,
                telephone_event: true,
                ptime: 20,
                address: Ipv4Addr::UNSPECIFIED.into(),
                rtp_port: DISCARD,
                rtcp_port: DISCARD + 1,
                rtcp_mux: true,
                direction: Direction::Inactive,
            },
            behaviour,
            registrar: registrar.map(Bindings::new),
            events: events.as_ref().map(Events::new),
            auth: auth.map(|(policy, logins)| Guard { policy, server: None, logins }),
            notices,
            calls: KeyMap::default(),
            counts: Counts::default(),
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Calls that are not over.
    pub fn active(&self) -> usize {
        self.ua.calls()
    }

    /// Subscriptions and publications there are.
    pub fn event_counts(&self) -> (usize, usize) {
        self.events.as_ref().map_or((0, 0), |events| (events.watchers(), events.publications()))
    }

    /// Ends all calls.
    pub fn hang_up_all(&mut self, cx: &mut Cx<'_>) {
        let ids: Vec<_> = self.ua.call_ids().collect();
        for id in ids {
            self.ua.hang_up(id, cx);
        }
        self.react(cx);
    }

    /// Registers; what becomes of it comes as [`Notice::Registration`].
    pub fn register(&mut self, register: Register, cx: &mut Cx<'_>) -> RegistrationId {
        let id = self.ua.register(register, cx);
        self.react(cx);
        id
    }

    pub fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.ua.registration(id)
    }

    /// Ends a registration.
    pub fn unregister(&mut self, id: RegistrationId, cx: &mut Cx<'_>) {
        self.ua.unregister(id, cx);
        self.react(cx);
    }

    fn notice(&mut self, notice: Notice) {
        let Some(notices) = &self.notices else { return };
        // What becomes of a registration is rare, and somebody waits for it: the last places are its own.
        let is_kept = matches!(notice, Notice::Registration(_));
        let has_room = is_kept || notices.capacity() > notices.max_capacity() / 8;
        if !has_room || notices.try_send(notice).is_err() {
            self.counts.unread += 1;
        }
    }

    fn react(&mut self, cx: &mut Cx<'_>) {
        while let Some(event) = self.ua.event() {
            match event {
                Event::Call(id, event) => self.call_event(id, event, cx),
                Event::Page { request, from } => {
                    let text = self.notices.as_ref().and_then(|_| page_text(&request));
                    self.told(&request, from, 200, text);
                }
                Event::Registration(_, event) => self.notice(Notice::Registration(event)),
                Event::Watcher(id, event) => {
                    let notice = self.events(cx, |events, around| events.watcher(id, event, around));
                    self.event_notice(notice.flatten());
                }
                Event::Publish { request, id, from } => {
                    let notice = self.events(cx, |events, around| events.publish(&request, id, from, around));
                    self.event_notice(notice.flatten());
                }
                // Nobody asked for these here.
                Event::Query(..)
                | Event::Subscription(..)
                | Event::Publication(..)
                | Event::Routed { .. }
                | Event::NoRoute { .. } => {}
            }
        }
    }

    /// What the presence server makes of something, if there is one.
    fn events<R>(
        &mut self,
        cx: &mut Cx<'_>,
        act: impl FnOnce(&mut Events, &mut Around<'_, '_>) -> R,
    ) -> Option<R> {
        let Self { ua, registrar, events, .. } = self;
        let events = events.as_mut()?;
        Some(act(events, &mut Around { ua, bindings: registrar.as_ref(), cx }))
    }

    fn event_notice(&mut self, notice: Option<events::Notice>) {
        let Some(notice) = notice else { return };
        match &notice {
            events::Notice::Watcher { what: Happened::Accepted { .. }, .. } => self.counts.subscriptions += 1,
            events::Notice::Published { status: 200, .. } => self.counts.publications += 1,
            _ => {}
        }
        self.notice(Notice::Events(notice));
    }

    fn call_event(&mut self, id: CallId, event: CallEvent, cx: &mut Cx<'_>) {
        match event {
            CallEvent::Incoming { request, offer, path } => self.incoming(id, &request, offer, path, cx),
            CallEvent::Acknowledged { body, path } => self.acknowledged(id, body, path, cx),
            CallEvent::Offered { body, path } => self.offered(id, body, path, cx),
            CallEvent::Alarm => self.alarm(id, cx),
            CallEvent::Ended { by, cause } => self.ended(id, by, cause, cx),
            // The rest is about calls we place, which we do not.
            _ => {}
        }
    }

    fn incoming(&mut self, id: CallId, request: &Request, offer: Option<Body>, path: Path, cx: &mut Cx<'_>) {
        self.counts.calls += 1;
        // A `status-` that is none: nobody of that name.
        let behaviour = self.behaviour.or_else(|| behaviour_of(request)).unwrap_or(Behaviour::Status(404));
        let call_id: Option<Arc<str>> =
            self.notices.is_some().then(|| request.call_id().unwrap_or_default().into());
        let resource = request
            .uri()
            .ok()
            .and_then(|uri| self.events(cx, |events, around| events.calling(&uri, id, around)));
        if let Some(call_id) = call_id.clone() {
            self.notice(Notice::Incoming {
                call_id,
                from: request.from().map(|from| from.uri.to_string()).unwrap_or_default(),
                target: request.raw_uri().to_owned(),
                remote: path.flow.remote,
                behaviour,
            });
        }
        self.calls.insert(id, Served { behaviour, call_id, resource, session: Described::Not });
        if let Some(status) = behaviour.refusal() {
            let contact =
                Contact { user: Some(Behaviour::Echo.to_string()), ..Contact::default() }.on(&path.flow);
            let headers = match status {
                300..=399 => vec![(HeaderId::Contact.name().to_owned(), contact)],
                _ => Vec::new(),
            };
            return self.ua.reject(id, status, headers, cx);
        }
        if behaviour == Behaviour::Ring {
            self.ua.progress(id, 180, None, cx);
            return self.ua.alarm(id, Behaviour::RING, cx);
        }
        let offered = offer.is_some();
        let described = match self.media {
            Some(_) => self.describe(id, offer, path, cx),
            None => self.describe_inactive(id, offer, path, cx),
        };
        let body = match described {
            Ok(body) => body,
            Err(status) => return self.ua.reject(id, status, Vec::new(), cx),
        };
        match behaviour {
            Behaviour::Early => {
                self.start(id);
                // An offer of ours must wait for the 2xx (RFC 3261 §13.2.1).
                self.ua.progress(id, 183, offered.then_some(body), cx);
                self.ua.alarm(id, Behaviour::EARLY, cx);
            }
            _ => {
                // As a phone does, so that a caller sees both.
                self.ua.progress(id, 180, None, cx);
                self.answer(id, body, cx);
            }
        }
    }

    /// Our answer to the offer, or our offer; opens the media ports.
    fn describe(
        &mut self,
        id: CallId,
        offer: Option<Body>,
        path: Path,
        cx: &mut Cx<'_>,
    ) -> Result<Body, u16> {
        let Some(media) = &self.media else { return Err(500) };
        let ip = path.flow.local.ip();
        let port = media.open(ip, self.rtp_ports.clone()).map_err(|error| {
            tracing::warn!(%error, "no media port for a call");
            500_u16
        })?;
        let caps = Capabilities {
            address: ip,
            rtp_port: port.rtp.port(),
            rtcp_port: port.rtcp.port(),
            direction: Direction::SendRecv,
            ..self.caps.clone()
        };
        let mut exchange = Exchange::new(caps, cx.ids().u64());
        let body = match &offer {
            Some(offer) => exchange.answer(offer),
            None => Ok(exchange.offer()),
        };
        let body = body.map_err(|unfit| {
            tracing::debug!(%unfit, "offer refused");
            self.discard(port.id);
            unfit.status()
        })?;
        if let Some(served) = self.calls.get_mut(&id) {
            let identity = StreamIdentity::new(cx.ids());
            let session = Session { exchange, identity, port: port.id, started: false, path };
            served.session = Described::Full(Box::new(session));
        }
        Ok(body)
    }

    /// The same without media.
    fn describe_inactive(
        &mut self,
        id: CallId,
        offer: Option<Body>,
        path: Path,
        cx: &mut Cx<'_>,
    ) -> Result<Body, u16> {
        let mut session = Inactive::new(cx.ids().u64());
        self.caps.address = path.flow.local.ip();
        let body = match &offer {
            Some(offer) => session.answer(offer, &self.caps),
            None => Ok(session.offer(&self.caps)),
        };
        let body = body.map_err(|unfit| {
            tracing::debug!(%unfit, "offer refused");
            unfit.status()
        })?;
        if let Some(served) = self.calls.get_mut(&id) {
            if served.behaviour == Behaviour::Early {
                session.keep(&body);
            }
            served.session = Described::Inactive(session);
        }
        Ok(body)
    }

    fn discard(&self, port: MediaId) {
        if let Some(media) = &self.media {
            // What it measured is of no interest.
            drop(media.close(port));
        }
    }

    fn answer(&mut self, id: CallId, body: Body, cx: &mut Cx<'_>) {
        self.start(id);
        self.counts.answered += 1;
        let Some(served) = self.calls.get(&id) else { return };
        let resource = served.resource.clone();
        if let Some(call_id) = served.call_id.clone() {
            let codec = self.codec(id);
            self.notice(Notice::Answered { call_id, codec });
        }
        self.ua.answer(id, Some(body), cx);
        if let Some(resource) = resource {
            self.events(cx, |events, around| events.call_answered(&resource, around));
        }
    }

    /// The session of a call with media.
    fn session(&mut self, id: CallId) -> Option<&mut Session> {
        match &mut self.calls.get_mut(&id)?.session {
            Described::Full(session) => Some(session),
            Described::Inactive(_) | Described::Not => None,
        }
    }

    fn codec(&mut self, id: CallId) -> Option<String> {
        let audio = self.session(id)?.exchange.current()?.audio.as_ref()?;
        Some(audio.send_codec.to_string())
    }

    /// Starts the media, or brings it up to what was agreed last.
    fn start(&mut self, id: CallId) {
        let Some(media) = &self.media else { return };
        let Some(served) = self.calls.get_mut(&id) else { return };
        let Described::Full(session) = &mut served.session else { return };
        let port = session.port;
        let Some(current) = session.exchange.current() else { return };
        let Some(audio) = &current.audio else { return };
        let number = session.exchange.number();
        let config = session.identity.config(audio, number, Some(&session.path));
        if session.started {
            return overloaded(media.reconfigure(port, config));
        }
        session.started = true;
        let audio = match served.behaviour {
            Behaviour::Echo => Audio::echo(),
            Behaviour::Tone | Behaviour::Early | Behaviour::Hangup => Audio::tone(440.0),
            _ => Audio::silence(),
        };
        overloaded(media.start(port, Start { config, audio, record: None, events: None }));
    }

    fn acknowledged(&mut self, id: CallId, body: Option<Body>, path: Path, cx: &mut Cx<'_>) {
        let Some(served) = self.calls.get_mut(&id) else { return };
        let behaviour = served.behaviour;
        let taken = match &mut served.session {
            Described::Full(session) => {
                session.path = Path { contact: session.path.contact, ..path };
                session.exchange.acknowledged(body.as_ref())
            }
            Described::Inactive(session) => {
                self.caps.address = path.flow.local.ip();
                session.acknowledged(body.as_ref(), &self.caps).map(|()| false)
            }
            Described::Not => Ok(false),
        };
        match taken {
            Ok(true) => self.start(id),
            Ok(false) => {}
            Err(unfit) => {
                tracing::debug!(%unfit, "the answer in the ACK does not do");
                return self.ua.hang_up(id, cx);
            }
        }
        if behaviour == Behaviour::Hangup {
            self.ua.alarm(id, Behaviour::HANGUP, cx);
        }
    }

    fn offered(&mut self, id: CallId, body: Option<Body>, path: Path, cx: &mut Cx<'_>) {
        let session = self.calls.get_mut(&id).map(|served| &mut served.session);
        let answer = match (session, &body) {
            (None | Some(Described::Not), _) => return self.ua.reject_offer(id, 488, cx),
            (Some(Described::Full(session)), offer) => {
                session.path = path;
                match offer {
                    Some(offer) => session.exchange.answer(offer),
                    None => Ok(session.exchange.offer()),
                }
            }
            (Some(Described::Inactive(session)), offer) => {
                self.caps.address = path.flow.local.ip();
                match offer {
                    Some(offer) => session.answer(offer, &self.caps),
                    None => Ok(session.offer(&self.caps)),
                }
            }
        };
        match answer {
            Ok(answer) => {
                if body.is_some() {
                    self.start(id);
                }
                self.ua.accept_offer(id, Some(answer), cx);
            }
            Err(unfit) => self.ua.reject_offer(id, unfit.status(), cx),
        }
    }

    fn alarm(&mut self, id: CallId, cx: &mut Cx<'_>) {
        let Some(served) = self.calls.get(&id) else { return };
        match served.behaviour {
            Behaviour::Early => {
                // The answer repeats what the 183 said (RFC 3261 §13.2.1).
                let body = match &served.session {
                    Described::Full(session) => session.exchange.given(),
                    Described::Inactive(session) => session.given(),
                    Described::Not => None,
                };
                if let Some(body) = body {
                    self.answer(id, body, cx);
                }
            }
            _ => self.ua.hang_up(id, cx),
        }
    }

    fn ended(&mut self, id: CallId, by: By, cause: Cause, cx: &mut Cx<'_>) {
        self.counts.ended += 1;
        let Some(Served { call_id, resource, session, .. }) = self.calls.remove(&id) else { return };
        if let Some(resource) = resource {
            self.events(cx, |events, around| events.call_ended(&resource, id, around));
        }
        if let Described::Full(session) = session {
            self.discard(session.port);
        }
        if let Some(call_id) = call_id {
            self.notice(Notice::Ended { call_id, by, cause });
        }
    }

    fn told(&mut self, request: &Request, from: Flow, status: u16, text: Option<String>) {
        if self.notices.is_none() {
            return;
        }
        self.notice(Notice::Request {
            call_id: request.call_id().unwrap_or_default().to_owned(),
            method: request.method().to_string(),
            from: request.from().map(|from| from.uri.to_string()).unwrap_or_default(),
            remote: from.remote,
            status,
            text,
        });
    }

    /// Whether the request may go on; if not it has been answered.
    fn admitted(&mut self, request: &Request, id: ServerId, cx: &mut Cx<'_>) -> bool {
        let Some(guard) = &mut self.auth else { return true };
        let in_dialog = matches!(request.to_tag(), Ok(Some(_)));
        let is_guarded = matches!(
            request.method(),
            Method::Invite | Method::Message | Method::Register | Method::Subscribe | Method::Publish
        );
        if in_dialog || !is_guarded {
            return true;
        }
        let now = cx.now();
        let ids = cx.ids();
        let server =
            guard.server.get_or_insert_with(|| auth::Server::new(guard.policy.clone(), &mut || ids.u64()));
        let (status, headers) = match server.check(now, request, &guard.logins) {
            Check::Accepted { .. } => return true,
            Check::Challenge { stale } => {
                let headers = server.challenges(now, stale, &mut || ids.u64());
                (guard.status(), headers)
            }
            Check::Forbidden { .. } => (403, Vec::new()),
            Check::Malformed(_) => (400, Vec::new()),
        };
        self.counts.challenged += 1;
        let tag = ids.tag();
        let mut response = Builder::response(request, status, None).to_tag(&tag);
        for (id, value) in headers {
            response = response.header(id, value);
        }
        if cx.respond(id, response.into_bytes()).is_err() {
            tracing::debug!("challenge too late");
        }
        false
    }
}

impl Responder {
    /// The status of the user `status-NNN`, also for requests that are no calls; those in a dialog are its own.
    fn refusal(&self, request: &Request) -> Option<u16> {
        let is_asked = matches!(request.method(), Method::Message | Method::Options)
            && self.behaviour.is_none()
            && matches!(request.to_tag(), Ok(None));
        match is_asked.then(|| behaviour_of(request)) {
            Some(Some(Behaviour::Status(status))) => Some(status),
            Some(None) => Some(404),
            _ => None,
        }
    }

    /// RFC 3261 §10.3.
    fn bind(&mut self, request: &Request, id: ServerId, from: Flow, cx: &mut Cx<'_>) {
        let Some(registrar) = &mut self.registrar else { return };
        let now = cx.now();
        let tag = cx.ids().tag();
        let answer = |status| Builder::response(request, status, None).to_tag(&tag);
        // §10.3 step 2.
        let unknown: Vec<_> =
            request.each::<header::Require>().flatten().filter(|o| !o.eq_ignore_ascii_case("gruu")).collect();
        let outcome =
            if unknown.is_empty() { registrar.register(request, now) } else { Err(Refused::Extension) };
        let (response, status, bindings) = match outcome {
            Ok(bindings) => {
                let rows = bindings.iter().map(|binding| binding.row(now));
                let response =
                    rows.fold(answer(200), |response, row| response.header(HeaderId::Contact, row));
                let known = |binding: &bindings::Binding| Bound {
                    uri: binding.uri.to_string(),
                    expires: binding.until - now,
                };
                (response, 200, bindings.iter().map(known).collect())
            }
            Err(refused) => {
                let response = answer(refused.status());
                let response = match refused {
                    Refused::TooBrief(least) => response.header(HeaderId::MinExpires, least.as_secs()),
                    Refused::Full => response.header(HeaderId::RetryAfter, RETRY_AFTER.as_secs()),
                    Refused::Extension => response.header(HeaderId::Unsupported, unknown.join(", ")),
                    Refused::Malformed | Refused::OutOfOrder => response,
                };
                (response, refused.status(), Vec::new())
            }
        };
        if cx.respond(id, response.into_bytes()).is_err() {
            tracing::debug!("a REGISTER was answered too late");
        }
        let aor = request.to().map(|to| to.uri.to_string()).unwrap_or_default();
        if status == 200 {
            self.events(cx, |events, around| events.bound(&aor, around));
        }
        self.notice(Notice::Bound { aor, remote: from.remote, status, bindings });
    }
}

impl TransactionUser for Responder {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        if let Some(id) = id
            && !self.admitted(&request, id, cx)
        {
            return;
        }
        if let Some(id) = id
            && let Some(status) = self.refusal(&request)
        {
            let tag = cx.ids().tag();
            let response = Builder::response(&request, status, None).to_tag(&tag).into_bytes();
            if cx.respond(id, response).is_err() {
                tracing::debug!("a request was answered too late");
            }
            return self.told(&request, from, status, None);
        }
        let is_told = request.method() == Method::Options && self.notices.is_some();
        let options = is_told.then(|| request.clone());
        if let (Method::Register, Some(id)) = (request.method(), id)
            && self.registrar.is_some()
        {
            return self.bind(&request, id, from, cx);
        }
        self.ua.request(request, id, from, cx);
        if let Some(request) = options
            && let Some(status) = id.and_then(|id| cx.answered(id))
        {
            self.told(&request, from, status, None);
        }
        self.react(cx);
    }

    fn cancel(&mut self, invite: ServerId, cx: &mut Cx<'_>) {
        self.ua.cancel(invite, cx);
        self.react(cx);
    }

    fn response(&mut self, id: Option<RequestId>, response: Response, cx: &mut Cx<'_>) {
        self.ua.response(id, response, cx);
        self.react(cx);
    }

    fn failed(&mut self, id: RequestId, why: Failure, cx: &mut Cx<'_>) {
        self.ua.failed(id, why, cx);
        self.react(cx);
    }

    fn ended(&mut self, id: RequestId, cx: &mut Cx<'_>) {
        self.ua.ended(id, cx);
        self.react(cx);
    }

    fn deadline(&mut self, token: u64, cx: &mut Cx<'_>) {
        if token == UserAgent::SPARE_TOKEN {
            let notices = self.events(cx, Events::deadline).unwrap_or_default();
            notices.into_iter().for_each(|notice| self.event_notice(Some(notice)));
        }
        self.ua.deadline(token, cx);
        self.react(cx);
    }

    fn flow_lost(&mut self, flow: Flow, why: &FlowError, cx: &mut Cx<'_>) {
        self.ua.flow_lost(flow, why, cx);
        self.react(cx);
    }

    fn flows(&self, tell: &mut dyn FnMut(&Flow)) {
        self.ua.flows(tell);
    }
}

/// What the user part of the Request-URI asks for.
fn behaviour_of(request: &Request) -> Option<Behaviour> {
    let uri = request.uri().ok();
    let user = uri.and_then(|uri| uri.user_decoded()).unwrap_or_default();
    Behaviour::of(&String::from_utf8_lossy(&user))
}

/// A call whose media cannot keep up goes on without it.
fn overloaded(done: Result<(), Overloaded>) {
    if let Err(error) = done {
        tracing::warn!(%error, "media not started");
    }
}

/// The words of a MESSAGE (RFC 3428 §4: every recipient knows text/plain); what is not text is nobody's reading.
fn page_text(request: &Request) -> Option<String> {
    let is_text = |kind: &header::MediaType<'_>| kind.type_.eq_ignore_ascii_case("text");
    let kind = request.find::<header::ContentType>();
    let is_envelope = matches!(&kind, Ok(Some(kind)) if kind.is("message", "cpim"));
    // What is in an envelope is what was written (RFC 3862).
    let envelope = is_envelope.then(|| Cpim::parse(request.body(), &Limits::default()).ok()).flatten();
    let (is_text, body) = match (&envelope, kind) {
        (Some(envelope), _) => {
            (envelope.content_type().is_none_or(|kind| is_text(&kind)), envelope.content())
        }
        (None, Ok(kind)) => (kind.is_none_or(|kind| is_text(&kind)), request.body()),
        (None, Err(_)) => (false, request.body()),
    };
    let body = body.get(..TEXT).unwrap_or(body);
    is_text.then(|| String::from_utf8_lossy(body).into_owned())
}

/// How long who finds the registrar full should wait.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// What fits into the one packet a MESSAGE is to fit into (RFC 3428 §8: 1300 bytes), and some more.
const TEXT: usize = 2048;
/// Nothing listens to what is sent there (RFC 863), and nothing has to.
const DISCARD: u16 = 9;
