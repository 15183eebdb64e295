//! Requests outside dialogs as a small usage: MESSAGE (RFC 3428), OPTIONS (RFC 3261 §11), and any other method that
//! makes no dialog. Challenges are answered; a redirection is told, not followed.
//!
//! ```text
//!  Waiting ─► Over     one final response, or none
//!   └───┘ 401, 407 answered
//! ```

use crate::{
    auth,
    message::{AddressBuf, Builder, Edits, HeaderId, Method, Request, Response, Scheme, UriBuf},
    stack::{Contact, Failure, NextHop, Outgoing, RequestId},
    time::Duration,
    transport::Flow,
};

use super::{QueryId, RegistrationId, UaCx, call::Body, route};

/// A request to send.
#[derive(Clone, Debug)]
pub struct Query {
    /// `MESSAGE`, `OPTIONS`, … INVITE, ACK, CANCEL and BYE belong to calls and are sent as OPTIONS.
    pub method: String,
    /// Request-URI and To.
    pub target: UriBuf,
    /// From, without tag.
    pub from: AddressBuf,
    /// An outbound proxy, or where the Request-URI leads.
    pub next: NextHop,
    /// Takes the route and, where there is one, the Contact of this account.
    pub registration: Option<RegistrationId>,
    pub body: Option<Body>,
    /// Whether a Contact tells where we are. A MESSAGE never has one (RFC 3428 §4).
    pub contact: bool,
    pub auth: auth::Client,
    /// Further header fields, name and value.
    pub headers: Vec<(String, String)>,
}

impl Query {
    /// A MESSAGE. Beyond 1300 bytes in all it takes a transport that controls congestion on every hop, which a
    /// sender cannot know; larger texts belong to a session (RFC 3428 §8).
    pub fn message(target: UriBuf, from: AddressBuf, body: Body) -> Self {
        Self { body: Some(body), contact: false, ..Self::options(target, from) }.with_method("MESSAGE")
    }

    /// An OPTIONS: what can you do, or: are you there?
    pub fn options(target: UriBuf, from: AddressBuf) -> Self {
        Self {
            method: "OPTIONS".into(),
            target,
            from,
            next: NextHop::RequestUri,
            registration: None,
            body: None,
            contact: true,
            auth: auth::Client::default(),
            headers: Vec::new(),
        }
    }

    fn with_method(self, method: &str) -> Self {
        Self { method: method.into(), ..self }
    }
}

/// What the application learns: any number of the others, exactly one of `Answered`, `Unauthorized`, `Failed`.
#[derive(Clone, Debug)]
pub enum QueryEvent {
    Provisional {
        status: u16,
        reason: String,
    },
    /// A challenge is being answered.
    Challenged {
        offered: Vec<auth::Offered>,
        downgrade: Option<auth::Downgrade>,
    },
    /// The final response. `round_trip` is the time from the last request to it.
    Answered {
        response: Box<Response>,
        flow: Option<Flow>,
        round_trip: Duration,
    },
    /// The challenge cannot be answered.
    Unauthorized {
        response: Box<Response>,
        flow: Option<Flow>,
        why: auth::GiveUp,
        offered: Vec<auth::Offered>,
        round_trip: Duration,
    },
    Failed(Failure),
}

/// The usage; see the module's description.
pub(super) struct Asking {
    call_id: Box<str>,
    auth: auth::Client,
    pending: Option<Pending>,
}

struct Pending {
    id: RequestId,
    /// As sent but for Via, Contact and credentials.
    outgoing: Outgoing,
    sent: Request,
}

impl Asking {
    pub fn new() -> Self {
        Self { call_id: Box::default(), auth: auth::Client::default(), pending: None }
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    pub fn is_over(&self) -> bool {
        self.pending.is_none()
    }

    /// `way` is that of the registration.
    pub fn start(&mut self, query: Query, way: &route::Way, cx: &mut UaCx<'_, '_, QueryId>) {
        let Query { method, target, from, body, contact, auth, headers, next, registration: _ } = query;
        self.auth = auth;
        self.call_id = cx.stack.ids().call_id().into();
        let tag = cx.stack.ids().tag();
        let method = match Method::parse(&method) {
            Method::Invite | Method::Ack | Method::Cancel | Method::Bye => Method::Options,
            method => method,
        };
        let mut builder = Builder::request(method, &target)
            .header(HeaderId::MaxForwards, 70)
            .header(HeaderId::From, format_args!("{from};tag={tag}"))
            .header(HeaderId::To, format_args!("<{target}>"))
            .header(HeaderId::CallId, &self.call_id)
            .header(HeaderId::CSeq, format_args!("1 {method}"))
            .header(HeaderId::UserAgent, &cx.config.product);
        if method == Method::Options {
            builder = builder.header(HeaderId::Accept, "application/sdp");
        }
        builder = way.apply(builder);
        for (name, value) in &headers {
            builder = builder.named(name, value);
        }
        if let Some(body) = &body {
            builder = builder.body(&body.kind, &body.bytes);
        }
        let secure = target.as_uri().scheme() == Scheme::Sips;
        let contact = (contact && method != Method::Message)
            .then(|| way.contact.clone().unwrap_or_else(|| cx.own_contact()))
            // RFC 3261 §8.1.1.8: who is asked by a SIPS URI is given one.
            .map(|contact| Contact { sips: contact.sips || secure, ..contact });
        let outgoing = way.outgoing(builder, next, contact);
        let credentials = match outgoing.request.clone().into_request() {
            Ok(request) => self.auth.authorize(request.method().as_str(), request.raw_uri(), request.body()),
            Err(_) => Vec::new(),
        };
        self.send(outgoing, &credentials, cx);
    }

    fn send(
        &mut self,
        outgoing: Outgoing,
        credentials: &[(HeaderId, String)],
        cx: &mut UaCx<'_, '_, QueryId>,
    ) {
        let full = super::call::with_headers(&outgoing, credentials);
        let Ok(sent) = full.request.clone().into_request() else {
            // Nothing we build; a method that is no token would be one.
            return cx.event(QueryEvent::Failed(Failure::NoNextHop));
        };
        let id = cx.send(full);
        self.pending = Some(Pending { id, outgoing, sent });
    }

    pub fn response(&mut self, id: RequestId, response: &Response, cx: &mut UaCx<'_, '_, QueryId>) {
        if response.status() < 200 {
            let reason = response.reason().to_string();
            return cx.event(QueryEvent::Provisional { status: response.status(), reason });
        }
        let Some(pending) = self.pending.take_if(|pending| pending.id == id) else { return };
        let round_trip = cx.stack.sent_at(id).map_or(Duration::ZERO, |at| cx.now() - at);
        let (response, flow) = (Box::new(response.clone()), cx.stack.flow(id));
        if !matches!(response.status(), 401 | 407) {
            if response.status() < 300 {
                self.auth.accepted(&response);
            }
            return cx.event(QueryEvent::Answered { response, flow, round_trip });
        }
        let ids = cx.stack.ids();
        let answer = self.auth.challenged(&response, &pending.sent, &mut || ids.u64());
        let offered = answer.offered;
        match answer.outcome {
            auth::Outcome::Retry(credentials) => {
                cx.event(QueryEvent::Challenged { offered, downgrade: answer.downgrade });
                let number = pending.sent.cseq().map_or(1, |cseq| cseq.number) + 1;
                let mut edits = Edits::new(&pending.outgoing.request);
                edits.set(HeaderId::CSeq, format_args!("{number} {}", pending.sent.method()));
                let outgoing = Outgoing { request: edits.finish(), ..pending.outgoing.clone() };
                self.send(outgoing, &credentials, cx);
            }
            auth::Outcome::GiveUp(why) => {
                cx.event(QueryEvent::Unauthorized { response, flow, why, offered, round_trip });
            }
        }
    }

    pub fn failed(&mut self, id: RequestId, why: Failure, cx: &mut UaCx<'_, '_, QueryId>) {
        if self.pending.take_if(|pending| pending.id == id).is_some() {
            cx.event(QueryEvent::Failed(why));
        }
    }
}
