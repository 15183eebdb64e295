//! Writing PUBLISHes (RFC 3903 §4).

use crate::{
    message::{Builder, HeaderId, Method},
    stack::Failure,
};

use super::{Cause, MAX_ROUNDS, Operation, Pending, Publication, PublicationId, UaCx};

impl Publication {
    pub(super) fn send(&mut self, removal: bool, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return self.outcome(Cause::Endless, cx);
        }
        self.number += 1;
        if self.until.is_some_and(|until| until <= cx.now()) {
            self.forget();
        }
        let operation = match &self.etag {
            _ if removal => Operation::Remove,
            None => Operation::Initial,
            Some(_) if self.held == Some(self.version) => Operation::Refresh,
            Some(_) => Operation::Modify,
        };
        let target = &self.publish.target;
        let mut builder = Builder::request(Method::Publish, target)
            .header(HeaderId::MaxForwards, 70)
            .header(HeaderId::From, format_args!("{};tag={}", self.publish.from, self.tag))
            .header(HeaderId::To, format_args!("<{target}>"))
            .header(HeaderId::CallId, &self.call_id)
            .header(HeaderId::CSeq, format_args!("{} PUBLISH", self.number));
        builder = self
            .way
            .apply(builder)
            .header(HeaderId::Event, &self.publish.event)
            .header(HeaderId::Expires, if removal { 0 } else { self.expires })
            .header(HeaderId::UserAgent, &cx.config.product);
        if let Some(etag) = &self.etag {
            builder = builder.header(HeaderId::SipIfMatch, etag);
        }
        for (name, value) in &self.publish.headers {
            builder = builder.named(name, value);
        }
        if matches!(operation, Operation::Initial | Operation::Modify) {
            builder = builder.body(&self.publish.body.kind, &self.publish.body.bytes);
        }
        let plain = builder.clone().finish().into_request();
        let credentials = self.credentials.take().unwrap_or_else(|| match &plain {
            Ok(plain) => self.publish.auth.authorize("PUBLISH", plain.raw_uri(), plain.body()),
            Err(_) => Vec::new(),
        });
        let builder = credentials.into_iter().fold(builder, |builder, (id, value)| builder.header(id, value));
        let Ok(sent) = builder.finish().into_request() else {
            // Nothing we build; a package whose name is no token would be one.
            return self.outcome(Cause::Failed(Failure::NoNextHop), cx);
        };
        let message = sent.clone().into_message();
        let id = cx.send(self.way.outgoing_message(message, self.publish.next.clone(), None));
        if operation != Operation::Remove {
            self.machine.changed = false;
        }
        self.pending = Some(Pending { id, sent, operation, version: self.version });
    }
}
