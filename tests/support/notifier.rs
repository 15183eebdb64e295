//! A notifier that does as it is told: what it answers to the next SUBSCRIBEs, and what it notifies of.

use std::collections::VecDeque;

use sipkit::{
    auth,
    dialog::Dialog,
    message::{Builder, HeaderId, Message, Method, Request, Response, header},
    stack::{Contact, Cx, Failure, Outgoing, RequestId, TransactionUser},
    time::Duration,
    transaction::ServerId,
    transport::Flow,
};

pub struct Notifier {
    /// For the next SUBSCRIBEs; then they are taken as usual.
    pub script: VecDeque<Plan>,
    /// Expires of a 2xx at most.
    pub most: u32,
    pub auth: Option<(auth::Server, Vec<auth::Login>)>,
    /// What came, as it is.
    pub requests: Vec<Request>,
    /// How NOTIFYs were answered; 408 for those that were not.
    pub answers: Vec<u16>,
    /// Named in NOTIFYs; a SUBSCRIBE that knows it gets 204 within a dialog.
    pub etag: Option<String>,
    pub dialogs: Vec<Dialog>,
    /// Of the subscriber, by the last SUBSCRIBE.
    pub event: String,
    /// Responses that follow their NOTIFYs.
    pub held: Vec<(ServerId, Message)>,
}

/// What to do with a SUBSCRIBE.
#[derive(Clone, Default)]
pub struct Plan {
    /// 0: nothing is answered.
    pub status: u16,
    pub rows: Vec<(&'static str, String)>,
    /// Sent after the response, or before it.
    pub notifies: Vec<Say>,
    pub early: bool,
}

/// A NOTIFY: by which of several notifiers, and what it says.
#[derive(Clone)]
pub struct Say(pub usize, pub String);

impl Plan {
    pub fn status(status: u16, rows: &[(&'static str, &str)]) -> Self {
        let rows = rows.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Self { status, rows, ..Self::default() }
    }

    pub fn says(states: &[(usize, &str)]) -> Self {
        let notifies = states.iter().map(|&(fork, state)| Say(fork, state.to_owned())).collect();
        Self { status: 200, notifies, ..Self::default() }
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            script: VecDeque::new(),
            most: 3600,
            auth: None,
            requests: Vec::new(),
            answers: Vec::new(),
            etag: None,
            dialogs: Vec::new(),
            event: String::new(),
            held: Vec::new(),
        }
    }
}

impl Notifier {
    /// Notifies in the dialog that is this one of the last SUBSCRIBE outside dialogs.
    pub fn notify(&mut self, fork: usize, state: &str, body: &str, cx: &mut Cx<'_>) {
        let event = self.event.clone();
        self.notify_of(fork, &event, state, "text/plain", body, cx);
    }

    pub fn notify_of(
        &mut self,
        fork: usize,
        event: &str,
        state: &str,
        kind: &str,
        body: &str,
        cx: &mut Cx<'_>,
    ) {
        let dialog = &mut self.dialogs[fork];
        let mut builder = dialog.request(Method::Notify).header(HeaderId::Event, event);
        if !state.is_empty() {
            builder = builder.header(HeaderId::SubscriptionState, state);
        }
        if let Some(etag) = &self.etag {
            builder = builder.header(HeaderId::SipEtag, etag);
        }
        if !body.is_empty() {
            builder = builder.body(kind, body.as_bytes());
        }
        let outgoing = dialog.outgoing(builder.finish());
        cx.send(Outgoing { contact: Some(Contact::default()), ..outgoing });
    }

    fn subscribed(&mut self, request: &Request, id: ServerId, from: Flow, cx: &mut Cx<'_>) {
        let tag = request.to().unwrap().tag().map(str::to_owned);
        let asked = request.find::<header::Expires>().unwrap().unwrap();
        let expires = asked.min(self.most);
        self.event = request.raw(HeaderId::Event).next().unwrap().text().to_string();
        if let Some(tag) = &tag {
            let Some(at) = self.dialogs.iter().position(|dialog| dialog.local_tag() == tag) else {
                let gone = Builder::response(request, 481, None).finish();
                return cx.respond(id, gone).unwrap();
            };
            self.dialogs[at].accept(request, from).unwrap();
        }
        if let Some(status) = self.refused(request, cx) {
            return cx.respond(id, status).unwrap();
        }
        let usual = || match (asked, tag.is_some()) {
            (0, _) => Plan::says(&[(0, "terminated;reason=timeout")]),
            _ => Plan::says(&[(0, &format!("active;expires={expires}"))]),
        };
        let known = request.find::<header::SuppressIfMatch>().unwrap().map(str::to_owned);
        let quiet = tag.is_some() && known.is_some() && known == self.etag;
        let plan = match self.script.pop_front() {
            Some(plan) => plan,
            None if quiet => Plan::status(204, &[]),
            None => usual(),
        };
        let forks = plan.notifies.iter().map(|say| say.0 + 1).max().unwrap_or(1);
        let local = tag.clone().unwrap_or_else(|| cx.ids().tag());
        if tag.is_none() && ((200..300).contains(&plan.status) || !plan.notifies.is_empty()) {
            self.dialogs = (0..forks)
                .map(|fork| {
                    let tag = if fork == 0 { local.clone() } else { format!("fork{fork}") };
                    Dialog::uas(request, &tag, 0, from).unwrap()
                })
                .collect();
        }
        let at = self.dialogs.iter().position(|dialog| Some(dialog.local_tag()) == tag.as_deref());
        if plan.early {
            self.say(&plan, at, known.is_some() && known == self.etag, cx);
        }
        if plan.status > 0 {
            let mut response = Builder::response(request, plan.status, None).to_tag(&local);
            if (200..300).contains(&plan.status) {
                response = response.header(HeaderId::Expires, expires);
            }
            for (name, value) in &plan.rows {
                response = response.named(name, value);
            }
            let contact = Contact::default().on(&from);
            let response = response.header(HeaderId::Contact, contact).finish();
            if plan.early {
                self.held.push((id, response));
                cx.wake(cx.now() + Duration::from_millis(100), 0);
            } else {
                cx.respond(id, response).unwrap();
            }
        }
        if !plan.early {
            self.say(&plan, at, known.is_some() && known == self.etag, cx);
        }
    }

    fn say(&mut self, plan: &Plan, at: Option<usize>, is_known: bool, cx: &mut Cx<'_>) {
        for Say(fork, state) in &plan.notifies {
            let body = if is_known { "" } else { "state" };
            self.notify(at.unwrap_or(*fork), state, body, cx);
        }
    }

    fn refused(&mut self, request: &Request, cx: &mut Cx<'_>) -> Option<Message> {
        let (server, logins) = self.auth.as_mut()?;
        let stale = match server.check(cx.now(), request, logins) {
            auth::Check::Challenge { stale } => stale,
            auth::Check::Accepted { .. } => return None,
            _ => return Some(Builder::response(request, 403, None).to_tag("challenge").finish()),
        };
        let now = cx.now();
        let ids = cx.ids();
        let rows = server.challenges(now, stale, &mut || ids.u64());
        let reply = Builder::response(request, 401, None).to_tag("challenge");
        Some(rows.iter().fold(reply, |builder, (id, value)| builder.header(*id, value)).finish())
    }
}

impl TransactionUser for Notifier {
    fn request(&mut self, request: Request, id: Option<ServerId>, from: Flow, cx: &mut Cx<'_>) {
        let Some(id) = id else { return };
        self.requests.push(request.clone());
        self.subscribed(&request, id, from, cx);
    }

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, response: Response, _: &mut Cx<'_>) {
        if response.status() >= 200 {
            self.answers.push(response.status());
        }
    }

    fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {
        self.answers.push(408);
    }

    fn deadline(&mut self, _: u64, cx: &mut Cx<'_>) {
        for (id, response) in self.held.drain(..) {
            cx.respond(id, response).unwrap();
        }
    }
}
