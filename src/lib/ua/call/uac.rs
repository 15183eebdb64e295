//! The caller's half of a call: INVITE, its responses, CANCEL (RFC 3261 §13.2, §9.1), and re-INVITEs of
//! ours (§14.1).

use crate::{
    auth,
    dialog::Dialog,
    message::{Builder, Edits, HeaderId, Method, Request, Response, Scheme},
    stack::{Failure, Outgoing, RequestId},
    time::{Duration, Instant},
    transport::Flow,
    ua::route::Way,
};

use super::{Body, By, Call, CallEvent, Cause, Invite, Path, Phase, UaCx, offer::Signal, refused};

/// Authorization and Proxy-Authorization rows.
pub(super) type Credentials = Vec<(HeaderId, String)>;

/// A request of ours that waits for its final response.
pub(super) struct Pending {
    pub id: RequestId,
    /// As sent but for Via and credentials, so that it can go out again (RFC 3261 §22.2).
    pub outgoing: Outgoing,
    /// The credentials it carried; the ACK for its 2xx repeats them (§22.1).
    credentials: Credentials,
    /// A re-INVITE rather than the first one.
    pub again: bool,
}

/// An ACK of ours, sent again for each repeated 2xx (§13.2.2.4).
pub(in crate::ua) struct Acked {
    pub invite: RequestId,
    tag: Box<str>,
    ack: Outgoing,
}

/// A re-INVITE that met another one and waits for its second chance (§14.1).
pub(super) struct Glare {
    pub at: Instant,
    body: Body,
}

impl Acked {
    /// What a further 2xx asks for: the ACK once more if it is the same one again, ACK and BYE if it comes
    /// from another branch of a forked INVITE (§13.2.2.4).
    pub fn again(&self, response: &Response, flow: Option<Flow>) -> Vec<Outgoing> {
        let (200..300, Ok(to), Some(flow)) = (response.status(), response.to(), flow) else {
            return Vec::new();
        };
        if to.tag().unwrap_or_default() == &*self.tag {
            return vec![self.ack.clone()];
        }
        // The ACK carries the identifiers of the INVITE, which is all a dialog needs of it.
        let Ok(request) = self.ack.request.clone().into_request() else { return Vec::new() };
        let Ok(mut other) = Dialog::uac(&request, response, flow) else { return Vec::new() };
        let number = response.cseq().map_or(1, |cseq| cseq.number);
        let ack = ack(&other, number, &[]);
        // BYE follows the ACK on the same path.
        let bye = other.request(Method::Bye).finish();
        vec![ack, other.outgoing(bye)]
    }
}

impl Pending {
    /// A request other than INVITE.
    pub fn new(id: RequestId, outgoing: Outgoing, credentials: Credentials) -> Self {
        Self { id, outgoing, credentials, again: false }
    }
}

impl Call {
    /// `way` is that of the registration.
    pub(in crate::ua) fn invite(&mut self, invite: Invite, way: Way, cx: &mut UaCx<'_, '_>) {
        let Invite { target, from, next, offer, auth, headers, registration: _ } = invite;
        self.auth = auth;
        self.contact = way.contact.clone().unwrap_or_else(|| cx.own_contact());
        self.contact.sips = target.as_uri().scheme() == Scheme::Sips;
        // A fresh call cannot be in an exchange already.
        let _ = self.offer.take(Signal::LocalOffer);
        self.call_id = cx.stack.ids().call_id().into();
        let mut builder = Builder::request(Method::Invite, &target)
            .header(HeaderId::MaxForwards, 70)
            .header(HeaderId::From, format_args!("{from};tag={}", self.cookie))
            .header(HeaderId::To, format_args!("<{target}>"))
            .header(HeaderId::CallId, &self.call_id)
            .header(HeaderId::CSeq, "1 INVITE");
        builder = way.apply(builder);
        for (name, value) in &headers {
            builder = builder.named(name, value);
        }
        let contact = Some(self.contact.clone());
        let outgoing = way.outgoing(cx.described(builder, &offer), next, contact);
        self.send_invite(outgoing, Vec::new(), false, cx);
    }

    /// §14.1: not while another INVITE of either side is under way; the application is told 491 then.
    pub(in crate::ua) fn reoffer(&mut self, body: Body, cx: &mut UaCx<'_, '_>) {
        let busy = self.phase != Phase::Confirmed
            || self.leaving
            || self.invite.is_some()
            || self.incoming.is_some()
            || self.glare.is_some();
        if busy {
            return cx.event(CallEvent::OfferRefused { status: Some(491) });
        }
        self.glare_since = None;
        self.send_reoffer(body, cx);
    }

    fn send_reoffer(&mut self, body: Body, cx: &mut UaCx<'_, '_>) {
        let Some(dialog) = &mut self.dialog else { return };
        if self.offer.take(Signal::LocalOffer).is_err() {
            return cx.event(CallEvent::OfferRefused { status: Some(491) });
        }
        let builder = dialog.request(Method::Invite);
        let request = dialog.outgoing(cx.described(builder, &body).finish());
        let outgoing = Outgoing { contact: Some(self.contact.clone()), ..request };
        let credentials = self.credentials(&outgoing);
        self.send_invite(outgoing, credentials, true, cx);
    }

    pub(super) fn offer_again(&mut self, glare: Glare, cx: &mut UaCx<'_, '_>) {
        if self.phase != Phase::Confirmed || self.leaving {
            return;
        }
        if self.incoming.is_some() || self.invite.is_some() {
            return cx.event(CallEvent::OfferRefused { status: Some(491) });
        }
        self.send_reoffer(glare.body, cx);
    }

    fn send_invite(
        &mut self,
        outgoing: Outgoing,
        credentials: Credentials,
        again: bool,
        cx: &mut UaCx<'_, '_>,
    ) {
        let id = cx.send(with_headers(&outgoing, &credentials));
        self.invite = Some(Box::new(Pending { id, outgoing, credentials, again }));
    }

    pub(super) fn invite_response(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(pending) = &self.invite else { return };
        if !pending.again
            && cx.stack.has_moved(pending.id)
            && let Some(flow) = cx.stack.flow(pending.id)
            && self.moved.replace(flow.target()) != Some(flow.target())
        {
            cx.event(CallEvent::Moved { flow });
        }
        match (response.status(), pending.again) {
            (100..=199, false) => self.provisional(response, cx),
            (100..=199, true) => {}
            (200..=299, _) => self.answered(response, cx),
            (401 | 407, _) => self.challenged(response, cx),
            (_, false) => self.refused(response, cx),
            (_, true) => self.reoffer_refused(response, cx),
        }
    }

    fn provisional(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(pending) = &self.invite else { return };
        let Some(flow) = cx.stack.flow(pending.id) else { return };
        if self.phase == Phase::Ending {
            return;
        }
        if response.status() > 100 {
            self.phase = Phase::Early;
            if let Ok(request) = self.sent(pending)
                && let Err(error) = self.forks.early(&request, response, flow)
            {
                tracing::debug!(%error, "no early dialog");
            }
        }
        cx.event(CallEvent::Progress {
            status: response.status(),
            reason: response.reason().to_string(),
            body: (response.status() > 100).then(|| Body::of(response)).flatten(),
            path: Path::of(response, flow),
        });
    }

    /// A 2xx ends the INVITE; the ACK is ours to send (§13.2.2.4).
    fn answered(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(pending) = self.invite.take() else { return };
        let Some(flow) = cx.stack.flow(pending.id) else { return };
        self.auth.accepted(response);
        if pending.again {
            if let Some(dialog) = &mut self.dialog
                && let Err(error) = dialog.refresh(response)
            {
                tracing::debug!(%error, "target not refreshed");
            }
        } else {
            let dialog = self
                .sent(&pending)
                .and_then(|request| self.forks.confirm(&request, response, flow).map_err(|_| NotOurs));
            match dialog {
                Ok(mut dialog) => {
                    dialog.set_domain(cx.stack.domain(pending.id));
                    self.dialog = Some(dialog);
                }
                Err(NotOurs) => {
                    // A 2xx nobody can acknowledge: the callee will give up by itself.
                    return self.end(By::Network, Cause::Failed(Failure::NoNextHop), cx);
                }
            }
            self.forks.clear();
        }
        self.acknowledge(&pending, response, cx);
        let body = Body::of(response);
        let _ = self.offer.take(if body.is_some() { Signal::RemoteAnswer } else { Signal::Withdrawn });
        if self.bye.is_some() {
            // The BYE overtook the answer to our re-INVITE.
            return;
        }
        if self.phase == Phase::Ending || self.leaving {
            // The CANCEL crossed the answer (§9.1): the call exists, and ends with BYE.
            self.phase = Phase::Confirmed;
            return self.bye(cx);
        }
        self.phase = Phase::Confirmed;
        let path = Path::of(response, flow);
        cx.event(if pending.again {
            CallEvent::Reanswered { body, path }
        } else {
            CallEvent::Answered { body, path }
        });
    }

    fn acknowledge(&mut self, pending: &Pending, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(dialog) = &self.dialog else { return };
        let Ok(number) = response.cseq().map(|cseq| cseq.number) else { return };
        let ack = ack(dialog, number, &pending.credentials);
        cx.send_and_forget(ack.clone());
        self.acked.push(Acked { invite: pending.id, tag: dialog.remote_tag().into(), ack });
    }

    pub(super) fn repeated_answer(&mut self, id: RequestId, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(acked) = self.acked.iter().find(|acked| acked.invite == id) else { return };
        for outgoing in acked.again(response, cx.stack.flow(id)) {
            cx.send_and_forget(outgoing);
        }
    }

    fn challenged(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(pending) = self.invite.take() else { return };
        self.forks.clear();
        if self.bye.is_some() {
            return;
        }
        if self.phase == Phase::Ending {
            return self.end(By::Local, Cause::Cancelled, cx);
        }
        match self.authorize(&pending, response, cx) {
            Ok((outgoing, credentials)) => self.send_invite(outgoing, credentials, pending.again, cx),
            Err((..)) if pending.again => {
                let _ = self.offer.take(Signal::Withdrawn);
                cx.event(CallEvent::OfferRefused { status: Some(response.status()) });
            }
            Err((why, offered)) => {
                self.end(By::Remote, Cause::Unauthorized { status: response.status(), why, offered }, cx);
            }
        }
    }

    /// The request once more, under the next CSeq number and with credentials (§22.2).
    pub(super) fn authorize(
        &mut self,
        pending: &Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_>,
    ) -> Result<(Outgoing, Credentials), (auth::GiveUp, Vec<auth::Offered>)> {
        let sent = with_headers(&pending.outgoing, &pending.credentials).request.into_request();
        let Ok(sent) = sent else { return Err((auth::GiveUp::Malformed, Vec::new())) };
        let ids = cx.stack.ids();
        let answer = self.auth.challenged(response, &sent, &mut || ids.u64());
        let credentials = match answer.outcome {
            auth::Outcome::Retry(credentials) => credentials,
            auth::Outcome::GiveUp(why) => return Err((why, answer.offered)),
        };
        cx.event(CallEvent::Challenged { offered: answer.offered, downgrade: answer.downgrade });
        let number = match &mut self.dialog {
            Some(dialog) => dialog.next_number(),
            None => sent.cseq().map_or(1, |cseq| cseq.number) + 1,
        };
        let mut edits = Edits::new(&pending.outgoing.request);
        edits.set(HeaderId::CSeq, format_args!("{number} {}", sent.method()));
        Ok((Outgoing { request: edits.finish(), ..pending.outgoing.clone() }, credentials))
    }

    /// Credentials for a request in a call that was challenged before, to save the round trip.
    pub(super) fn credentials(&mut self, outgoing: &Outgoing) -> Credentials {
        match outgoing.request.clone().into_request() {
            Ok(request) => self.auth.authorize(request.method().as_str(), request.raw_uri(), request.body()),
            Err(_) => Vec::new(),
        }
    }

    fn refused(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        self.invite = None;
        let cause = match response.status() {
            487 if self.phase == Phase::Ending => {
                let by = if self.leaving { By::Local } else { By::Remote };
                return self.end(by, Cause::Cancelled, cx);
            }
            _ => Cause::Refused(refused(response)),
        };
        self.end(By::Remote, cause, cx);
    }

    fn reoffer_refused(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        let Some(pending) = self.invite.take() else { return };
        let _ = self.offer.take(Signal::Withdrawn);
        if self.bye.is_some() {
            return;
        }
        match response.status() {
            // §14.1: whoever owns the Call-ID waits 2.1 to 4 s, the other side 0 to 2 s.
            491 if cx.now() - *self.glare_since.get_or_insert(cx.now()) < GLARE_PATIENCE => {
                let Some(body) = Body::of(&pending.outgoing.request) else { return };
                let steps = if self.caller { (210, 401) } else { (0, 201) };
                let wait = steps.0 + cx.stack.ids().below(steps.1 - steps.0);
                let at = cx.now() + Duration::from_millis(wait * 10);
                self.glare = Some(Box::new(Glare { at, body }));
            }
            // §12.2.1.2: the peer has no such dialog any more.
            status @ (408 | 481) => {
                self.bye(cx);
                self.end(By::Remote, Cause::Broken { status }, cx);
            }
            status => cx.event(CallEvent::OfferRefused { status: Some(status) }),
        }
        self.leave_if_wanted(cx);
    }

    pub(super) fn invite_failed(&mut self, why: Failure, cx: &mut UaCx<'_, '_>) {
        let Some(pending) = self.invite.take() else { return };
        if !pending.again {
            let local = self.phase == Phase::Ending;
            // No 487 came, so none is told, although it was we who gave up.
            return self.end(if local { By::Local } else { By::Network }, Cause::Failed(why), cx);
        }
        let _ = self.offer.take(Signal::Withdrawn);
        if self.bye.is_some() {
            return;
        }
        match why {
            // §12.2.1.2: no response at all ends the dialog.
            Failure::Timeout(_) => {
                self.bye(cx);
                self.end(By::Network, Cause::Failed(why), cx);
            }
            // An ICMP error may be a stranger's; what is established stays.
            _ => cx.event(CallEvent::OfferRefused { status: None }),
        }
        self.leave_if_wanted(cx);
    }

    /// The INVITE as a request, for the dialog it makes.
    fn sent(&self, pending: &Pending) -> Result<Request, NotOurs> {
        pending.outgoing.request.clone().into_request().map_err(|_| NotOurs)
    }
}

/// The message is none of ours, which cannot happen with one we built.
struct NotOurs;

impl UaCx<'_, '_> {
    /// Adds what every INVITE and its answers tell of us, and the body.
    pub(super) fn described(&self, builder: Builder, body: &Body) -> Builder {
        builder
            .header(HeaderId::Allow, crate::ua::incoming::allow(self.config))
            .header(HeaderId::Supported, "")
            .header(HeaderId::UserAgent, &self.config.product)
            .body(&body.kind, &body.bytes)
    }
}

fn ack(dialog: &Dialog, number: u32, credentials: &[(HeaderId, String)]) -> Outgoing {
    with_headers(&dialog.outgoing(dialog.ack(number).finish()), credentials)
}

pub(in crate::ua) fn with_headers(outgoing: &Outgoing, headers: &[(HeaderId, String)]) -> Outgoing {
    if headers.is_empty() {
        return outgoing.clone();
    }
    let mut edits = Edits::new(&outgoing.request);
    for (id, value) in headers {
        edits.append(*id, value);
    }
    Outgoing { request: edits.finish(), ..outgoing.clone() }
}

/// How long a re-INVITE that meets another is tried again: the other one may take as long as a transaction.
const GLARE_PATIENCE: Duration = Duration::from_secs(32);
