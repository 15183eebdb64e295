//! Writing SUBSCRIBEs (RFC 6665 §4.1.2).

use crate::{
    message::{Builder, HeaderId, Method, Request},
    stack::Outgoing,
};

use super::{Attempt, Cause, Forking, MAX_ROUNDS, Pending, Subscription, SubscriptionId, UaCx, fork};

impl Subscription {
    /// The SUBSCRIBE that begins a subscription.
    pub(super) fn send(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return self.outcome(Cause::Endless, false, cx);
        }
        self.number += 1;
        let target = self.redirected.as_ref().unwrap_or(&self.subscribe.target).clone();
        let to = &self.subscribe.target;
        let mut builder = Builder::request(Method::Subscribe, &target)
            .header(HeaderId::MaxForwards, 70)
            .header(HeaderId::From, format_args!("{};tag={}", self.subscribe.from, self.cookie))
            .header(HeaderId::To, format_args!("<{to}>"))
            .header(HeaderId::CallId, &self.call_id)
            .header(HeaderId::CSeq, format_args!("{} SUBSCRIBE", self.number));
        builder = self.way.apply(builder);
        // One tag stands for the state of one notifier.
        let etag = self.etag.clone().filter(|_| self.subscribe.forks == Forking::First);
        let body = self.subscribe.body.clone();
        builder = self.common(builder, self.expires, etag.as_deref(), cx);
        if let Some(body) = &body {
            builder = builder.body(&body.kind, &body.bytes);
        }
        let Some(sent) = self.authorized(builder) else {
            // Nothing we build; a package whose name is no token would be one.
            return self.outcome(Cause::Failed(crate::stack::Failure::NoNextHop), false, cx);
        };
        let contact = self.contact(cx);
        let message = sent.clone().into_message();
        let outgoing = self.way.outgoing_message(message, self.subscribe.next.clone(), Some(contact));
        let id = cx.send(outgoing);
        let pending = Some(Pending { id, sent, conditional: etag.is_some(), body: None });
        self.attempt = Some(Attempt { pending, until: None, accepted: None, domain: None, ended: None });
    }

    /// One within the dialog of a subscription: a refresh, or its end.
    pub(super) fn send_within(&mut self, number: u32, end: bool, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return self.fork_input(number, fork::Input::Failed, Some(Cause::Endless), cx);
        }
        let conditional = self.subscribe.conditional;
        let expires = if end { 0 } else { self.expires };
        let Some(at) = self.forks.iter().position(|fork| fork.number == number) else { return };
        let fork = &mut self.forks[at];
        let builder = fork.dialog.request(Method::Subscribe);
        let etag = fork.etag.clone().filter(|_| conditional);
        let body = fork.body.take();
        let mut builder = self.common(builder, expires, etag.as_deref(), cx);
        if let Some(body) = &body {
            builder = builder.body(&body.kind, &body.bytes);
        }
        let Some(sent) = self.authorized(builder) else { return };
        let contact = self.contact(cx);
        let fork = &mut self.forks[at];
        let message = sent.clone().into_message();
        let outgoing = Outgoing { contact: Some(contact), ..fork.dialog.outgoing(message) };
        let id = cx.send(outgoing);
        let conditional = etag.is_some();
        fork.sent(Pending { id, sent, conditional, body });
    }

    /// What every SUBSCRIBE of ours says.
    fn common(
        &self,
        builder: Builder,
        expires: u32,
        etag: Option<&str>,
        cx: &UaCx<'_, '_, SubscriptionId>,
    ) -> Builder {
        let subscribe = &self.subscribe;
        let mut event = subscribe.event.clone();
        let id = subscribe.event_id.as_ref().map(|id| ("id", id.as_str()));
        let parameters = subscribe.event_parameters.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in id.into_iter().chain(parameters) {
            event.push_str(&format!(";{name}={value}"));
        }
        let mut builder = builder
            .header(HeaderId::Event, event)
            .header(HeaderId::Expires, expires)
            .header(HeaderId::Allow, format_args!("{}, NOTIFY", crate::ua::incoming::allow(cx.config)))
            .header(HeaderId::UserAgent, &cx.config.product);
        if subscribe.lists {
            builder = builder.header(HeaderId::Supported, EVENTLIST);
        }
        let accept = self.accept();
        if !accept.is_empty() {
            builder = builder.header(HeaderId::Accept, accept);
        }
        if let Some(etag) = etag {
            builder = builder.header(HeaderId::SuppressIfMatch, etag);
        }
        subscribe.headers.iter().fold(builder, |builder, (name, value)| builder.named(name, value))
    }

    /// RFC 4662 §4.3: who takes lists must take what they are written in.
    fn accept(&self) -> String {
        let mut accept = self.subscribe.accept.clone();
        let lists: &[&str] = if self.subscribe.lists { &LIST_TYPES } else { &[] };
        for kind in lists {
            if !accept.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
                accept.push((*kind).to_owned());
            }
        }
        accept.join(", ")
    }

    /// With credentials, if there are any.
    fn authorized(&mut self, builder: Builder) -> Option<Request> {
        let credentials = self.credentials.take();
        // A body is covered where auth-int is asked for.
        let plain = builder.clone().finish().into_request().ok()?;
        let credentials = credentials
            .unwrap_or_else(|| self.subscribe.auth.authorize("SUBSCRIBE", plain.raw_uri(), plain.body()));
        if credentials.is_empty() {
            return Some(plain);
        }
        let builder = credentials.into_iter().fold(builder, |builder, (id, value)| builder.header(id, value));
        builder.finish().into_request().ok()
    }
}

/// RFC 4662 §8.
pub const EVENTLIST: &str = "eventlist";
const LIST_TYPES: [&str; 2] = ["multipart/related", "application/rlmi+xml"];
