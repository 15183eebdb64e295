//! The callee's half of a call (RFC 3261 §13.3): provisional responses kept alive, the 2xx repeated until
//! its ACK comes, and re-INVITEs of the peer (§14.2).

use bytes::Bytes;

use crate::{
    dialog::Dialog,
    message::{HeaderError, HeaderId, Request, Scheme, header},
    stack::Contact,
    time::{Duration, Instant},
    transaction::ServerId,
    transport::Flow,
    util::id::Cookie,
};

use super::{Body, By, Call, CallEvent, Cause, Path, Phase, UaCx, offer::Signal};

/// An INVITE of the peer's that has no final response yet.
pub(super) struct Unanswered {
    pub id: ServerId,
    request: Request,
    flow: Flow,
    /// The last provisional response, repeated each minute so that no proxy gives up (§13.3.1.1).
    provisional: Option<(Bytes, Instant)>,
    /// When the caller said its interest ends (§13.3.1).
    expires: Option<Instant>,
    again: bool,
    /// It has a session description.
    offers: bool,
}

impl Unanswered {
    pub fn next(&self) -> Option<Instant> {
        let repeat = self.provisional.as_ref().map(|(_, at)| *at);
        match (repeat, self.expires) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// Our 2xx on its way to an ACK (§13.3.1.4).
pub(super) struct Unacked {
    response: Bytes,
    flow: Flow,
    number: u32,
    repeat_at: Instant,
    interval: Duration,
    give_up: Instant,
    /// The INVITE had no offer: the ACK must bring an answer to ours.
    answer_due: bool,
}

impl Unacked {
    pub fn next(&self) -> Instant {
        self.repeat_at.min(self.give_up)
    }
}

impl Call {
    /// A call for an INVITE from outside, and why there can be no dialog, if so.
    pub(in crate::ua) fn incoming(
        cookie: Cookie,
        request: &Request,
        id: ServerId,
        flow: Flow,
        contact: Contact,
    ) -> (Self, Option<HeaderError>) {
        let mut call = Self::outgoing(cookie);
        call.contact = contact;
        call.contact.sips = request.uri().is_ok_and(|uri| uri.scheme() == Scheme::Sips);
        call.caller = false;
        // The first number of the sequence we will use is free to choose (§12.1.1).
        let error = match Dialog::uas(request, &cookie.encode(), 0, flow) {
            Ok(dialog) => {
                call.dialog = Some(dialog);
                None
            }
            Err(error) => Some(error),
        };
        call.incoming = Some(Box::new(Unanswered {
            id,
            request: request.clone(),
            flow,
            provisional: None,
            expires: None,
            again: false,
            offers: false,
        }));
        (call, error)
    }

    pub(in crate::ua) fn arrived(&mut self, request: Request, cx: &mut UaCx<'_, '_>) {
        let offer = Body::offered(&request);
        if offer.is_some() {
            let _ = self.offer.take(Signal::RemoteOffer);
        }
        let seconds = request.find::<header::Expires>().ok().flatten();
        let Some(incoming) = &mut self.incoming else { return };
        incoming.offers = offer.is_some();
        incoming.expires = seconds.map(|seconds| cx.now() + Duration::from_secs(seconds.into()));
        let path = Path::of(&request, incoming.flow);
        cx.event(CallEvent::Incoming { request: Box::new(request), offer, path });
    }

    pub(in crate::ua) fn progress(&mut self, status: u16, body: Option<Body>, cx: &mut UaCx<'_, '_>) {
        let Some(incoming) = &mut self.incoming else { return };
        if incoming.again || !(101..=199).contains(&status) {
            return;
        }
        let mut builder = cx
            .response(&incoming.request, status)
            .to_tag(&self.cookie.encode())
            .record_route()
            .header(HeaderId::Contact, self.contact.on(&incoming.flow));
        if let Some(body) = &body {
            builder = builder.body(&body.kind, &body.bytes);
        }
        let response = builder.into_bytes();
        incoming.provisional = Some((response.clone(), cx.now() + MINUTE));
        let id = incoming.id;
        self.phase = Phase::Early;
        cx.provisional(id, response);
    }

    pub(in crate::ua) fn answer(&mut self, body: Option<Body>, cx: &mut UaCx<'_, '_>) {
        if self.incoming.as_ref().is_some_and(|incoming| !incoming.again) {
            self.accept(body, cx);
            if let Some(dialog) = &mut self.dialog {
                dialog.confirm_local();
            }
        }
    }

    pub(in crate::ua) fn reject(
        &mut self,
        status: u16,
        headers: Vec<(String, String)>,
        cx: &mut UaCx<'_, '_>,
    ) {
        let Some(incoming) = self.incoming.take_if(|incoming| !incoming.again) else { return };
        let mut builder = cx.response(&incoming.request, status).to_tag(&self.cookie.encode());
        for (name, value) in &headers {
            builder = builder.named(name, value);
        }
        let response = builder.into_bytes();
        let reason = crate::message::reason_phrase(status).to_owned();
        cx.reply(incoming.id, response);
        let refused =
            super::Refused { status, reason, contacts: Vec::new(), cause: None, details: Vec::new() };
        self.end(By::Local, Cause::Refused(Box::new(refused)), cx);
    }

    pub(in crate::ua) fn accept_offer(&mut self, body: Option<Body>, cx: &mut UaCx<'_, '_>) {
        if self.incoming.as_ref().is_some_and(|incoming| incoming.again) {
            self.accept(body, cx);
        }
    }

    pub(in crate::ua) fn reject_offer(&mut self, status: u16, cx: &mut UaCx<'_, '_>) {
        let Some(incoming) = self.incoming.take_if(|incoming| incoming.again) else { return };
        let _ = self.offer.take(Signal::Withdrawn);
        let response = cx.response(&incoming.request, status).into_bytes();
        cx.reply(incoming.id, response);
    }

    /// 200 with our half of the exchange, repeated until the ACK comes.
    fn accept(&mut self, body: Option<Body>, cx: &mut UaCx<'_, '_>) {
        let Some(incoming) = self.incoming.take() else { return };
        let signal = match (&body, incoming.offers) {
            (None, _) => Signal::Withdrawn,
            (Some(_), true) => Signal::LocalAnswer,
            (Some(_), false) => Signal::LocalOffer,
        };
        let _ = self.offer.take(signal);
        let mut builder = cx
            .response(&incoming.request, 200)
            .to_tag(&self.cookie.encode())
            .record_route()
            .header(HeaderId::Contact, self.contact.on(&incoming.flow));
        if let Some(body) = &body {
            builder = builder.body(&body.kind, &body.bytes);
        }
        let response = builder.into_bytes();
        let timing = cx.stack.timing();
        self.unacked = Some(Box::new(Unacked {
            response: response.clone(),
            flow: cx.stack.reply_flow(incoming.id).unwrap_or(incoming.flow),
            number: incoming.request.cseq().map_or(0, |cseq| cseq.number),
            repeat_at: cx.now() + timing.t1,
            interval: timing.t1,
            give_up: cx.now() + timing.t1 * 64,
            answer_due: signal == Signal::LocalOffer,
        }));
        if !incoming.again {
            self.phase = Phase::Accepted;
        }
        cx.reply(incoming.id, response);
    }

    pub(super) fn repeat_answer(&mut self, cx: &mut UaCx<'_, '_>) {
        let now = cx.now();
        let Some(unacked) = &mut self.unacked else { return };
        if unacked.give_up <= now {
            // §13.3.1.4: confirmed in our eyes, so it ends with BYE.
            self.unacked = None;
            self.bye(cx);
            return self.end(By::Network, Cause::NoAck, cx);
        }
        if unacked.repeat_at <= now {
            unacked.interval = (unacked.interval * 2).min(cx.stack.timing().t2);
            unacked.repeat_at = now + unacked.interval;
            cx.stack.transmit(unacked.flow, unacked.response.clone());
        }
    }

    pub(super) fn incoming_deadline(&mut self, cx: &mut UaCx<'_, '_>) {
        let now = cx.now();
        let Some(incoming) = &mut self.incoming else { return };
        if incoming.expires.is_some_and(|at| at <= now) {
            let id = incoming.id;
            return self.withdraw(id, By::Network, cx);
        }
        if let Some((response, at)) = &mut incoming.provisional
            && *at <= now
        {
            *at = now + MINUTE;
            let (id, response) = (incoming.id, response.clone());
            cx.provisional(id, response);
        }
    }

    /// The ACK for a 2xx of ours.
    pub(in crate::ua) fn acknowledged(&mut self, ack: &Request, flow: Flow, cx: &mut UaCx<'_, '_>) {
        let number = ack.cseq().map_or(0, |cseq| cseq.number);
        let Some(unacked) = self.unacked.take_if(|unacked| unacked.number == number) else { return };
        let body = Body::of(ack);
        if unacked.answer_due {
            let _ = self.offer.take(match body {
                Some(_) => Signal::RemoteAnswer,
                None => Signal::Withdrawn,
            });
        }
        if self.phase == Phase::Accepted {
            self.phase = Phase::Confirmed;
        }
        if !self.leaving {
            let body = body.filter(|_| unacked.answer_due);
            cx.event(CallEvent::Acknowledged { body, path: Path::of(ack, flow) });
        }
        self.leave_if_wanted(cx);
    }

    pub(in crate::ua) fn cancelled(&mut self, invite: ServerId, cx: &mut UaCx<'_, '_>) {
        self.withdraw(invite, By::Remote, cx);
    }

    /// The peer's INVITE is answered 487; a first one ends the call with it.
    fn withdraw(&mut self, invite: ServerId, by: By, cx: &mut UaCx<'_, '_>) {
        let Some(incoming) = self.incoming.take_if(|incoming| incoming.id == invite) else { return };
        let response = cx.response(&incoming.request, 487).to_tag(&self.cookie.encode()).into_bytes();
        cx.reply(incoming.id, response);
        let _ = self.offer.take(Signal::Withdrawn);
        if incoming.again {
            cx.event(CallEvent::OfferWithdrawn);
        } else {
            self.end(by, Cause::Cancelled, cx);
        }
    }

    /// §14.2: 491 while ours is under way, 500 while an earlier one of theirs is.
    pub(super) fn reinvited(&mut self, request: &Request, id: ServerId, flow: Flow, cx: &mut UaCx<'_, '_>) {
        if self.invite.is_some() {
            let response = cx.response(request, 491).into_bytes();
            return cx.reply(id, response);
        }
        if self.incoming.is_some() || self.unacked.is_some() || self.phase != Phase::Confirmed {
            let wait = cx.stack.ids().below(11);
            let response = cx.response(request, 500).header(HeaderId::RetryAfter, wait).into_bytes();
            return cx.reply(id, response);
        }
        let body = Body::offered(request);
        if body.is_some() {
            let _ = self.offer.take(Signal::RemoteOffer);
        }
        self.incoming = Some(Box::new(Unanswered {
            id,
            request: request.clone(),
            flow,
            provisional: None,
            expires: None,
            again: true,
            offers: body.is_some(),
        }));
        cx.invites.insert(id, cx.id);
        cx.event(CallEvent::Offered { body, path: Path::of(request, flow) });
    }

    /// A final response to whatever INVITE of the peer's is open, because the dialog ends.
    pub(super) fn close_incoming(&mut self, status: u16, cx: &mut UaCx<'_, '_>) {
        if let Some(incoming) = self.incoming.take() {
            let response = cx.response(&incoming.request, status).to_tag(&self.cookie.encode()).into_bytes();
            cx.reply(incoming.id, response);
        }
    }
}

/// How often a provisional response is repeated (§13.3.1.1).
const MINUTE: Duration = Duration::from_secs(60);
