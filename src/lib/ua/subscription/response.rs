//! Reading the final response to a SUBSCRIBE, and what follows from it (RFC 6665 §4.1.2).

use crate::{
    auth,
    message::{Response, UriBuf, header},
    stack::{Failure, RequestId},
    time::Duration,
};

use super::{
    Adjusted, Attempt, Cause, Forking, Input, Pending, Subscription, SubscriptionEvent, SubscriptionId, UaCx,
    fork, seconds,
};

impl Subscription {
    pub(in crate::ua) fn response(
        &mut self,
        id: RequestId,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        if response.status() < 200 {
            return;
        }
        if let Some(pending) = self.attempt.as_mut().and_then(|attempt| attempt.take(id)) {
            self.attempt_answered(&pending, response, cx);
        } else if let Some((number, pending)) = self.pending_of_fork(id) {
            self.fork_answered(number, pending, response, cx);
        }
    }

    pub(in crate::ua) fn failed(
        &mut self,
        id: RequestId,
        why: Failure,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        if self.attempt.as_mut().and_then(|attempt| attempt.take(id)).is_some() {
            self.attempt_failed(Cause::Failed(why), cx);
        } else if let Some((number, _)) = self.pending_of_fork(id) {
            // Timer N would have come to the same (§4.1.2.2).
            self.fork_input(number, fork::Input::Terminated, Some(Cause::Failed(why)), cx);
        }
    }

    fn pending_of_fork(&mut self, id: RequestId) -> Option<(u32, Pending)> {
        let fork = self.forks.iter_mut().find(|fork| fork.pending.as_ref().is_some_and(|p| p.id == id))?;
        Some((fork.number, fork.pending.take()?))
    }

    /// The response to what began outside a dialog. NOTIFYs may have come before it, and then it is they that count.
    fn attempt_answered(
        &mut self,
        pending: &Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let is_settled = !self.forks.is_empty();
        match response.status() {
            200..=299 => self.attempt_accepted(pending, response, cx),
            _ if is_settled => self.attempt = None,
            401 | 407 => match self.challenged(pending, response, cx) {
                Ok(()) => self.again(cx),
                Err(cause) => self.attempt_failed(cause, cx),
            },
            423 => match self.too_brief(response, cx) {
                Ok(()) => self.again(cx),
                Err(cause) => self.attempt_failed(cause, cx),
            },
            301 | 302 => match self.redirected(response, cx) {
                Ok(()) => self.again(cx),
                Err(cause) => self.attempt_failed(cause, cx),
            },
            _ => self.attempt_failed(Cause::refused(response), cx),
        }
    }

    /// Before that it may have led to something that is over already.
    fn attempt_failed(&mut self, cause: Cause, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let Some(attempt) = self.attempt.take() else { return };
        if self.forks.is_empty() {
            self.outcome(attempt.ended.unwrap_or(cause), false, cx);
        }
    }

    fn again(&mut self, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.take(Input::Again, None, cx);
    }

    fn attempt_accepted(
        &mut self,
        pending: &Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        self.subscribe.auth.accepted(response);
        let expires = self.granted(response);
        self.tell_accepted(pending, response, expires, cx);
        let (now, random) = (cx.now(), cx.stack.ids().u64());
        let until = now + cx.stack.timing().t1 * 64;
        let to = response.to().ok().and_then(|to| to.tag().map(Box::from)).unwrap_or_default();
        if let (Some(expires), Some(fork)) =
            (expires, self.forks.iter_mut().find(|fork| fork.dialog.remote_tag() == &*to && !fork.is_told))
        {
            fork.set_expires(seconds(expires), true, now, random);
        }
        let one = self.subscribe.forks == Forking::First && !self.forks.is_empty();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.until = Some(until);
        attempt.domain = attempt.domain.take().or_else(|| cx.stack.domain(pending.id));
        attempt.accepted = Some((to, expires));
        if one {
            self.attempt = None;
        }
    }

    /// The response to a SUBSCRIBE within a dialog.
    fn fork_answered(
        &mut self,
        number: u32,
        pending: Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        use fork::Input::{Again, Failed, Terminated};
        let again = match response.status() {
            200..=299 => {
                self.subscribe.auth.accepted(response);
                return self.fork_accepted(number, &pending, response, cx);
            }
            401 | 407 => self.challenged(&pending, response, cx),
            423 => self.too_brief(response, cx),
            // The dialog usage is gone (§4.1.2.2).
            404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604 => {
                return self.fork_input(number, Terminated, Some(Cause::refused(response)), cx);
            }
            _ => Err(Cause::refused(response)),
        };
        match again {
            Ok(()) => {
                if let Some(fork) = self.fork(number) {
                    fork.body = pending.body;
                }
                self.fork_input(number, Again, None, cx);
            }
            Err(cause) => {
                if pending.conditional {
                    // RFC 5839 §5.8: it may be the condition that does harm.
                    self.subscribe.conditional = false;
                }
                self.fork_input(number, Failed, Some(cause), cx);
            }
        }
    }

    fn fork_accepted(
        &mut self,
        number: u32,
        pending: &Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let expires = self.granted(response);
        if !self.is_leaving() {
            if response.status() == 204 {
                let expires = seconds(expires.unwrap_or(self.expires));
                cx.event(SubscriptionEvent::Unchanged { fork: number, expires });
            } else {
                self.tell_accepted(pending, response, expires, cx);
            }
        }
        self.fork_granted(number, response, expires, cx);
    }

    /// Expires of a 2xx; it cannot be longer than what was asked for (§4.1.2.1).
    fn granted(&self, response: &Response) -> Option<u32> {
        let granted = response.find::<header::Expires>().ok().flatten()?;
        Some(granted.min(self.expires))
    }

    fn tell_accepted(
        &self,
        pending: &Pending,
        response: &Response,
        expires: Option<u32>,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let round_trip = cx.stack.sent_at(pending.id).map_or(Duration::ZERO, |at| cx.now() - at);
        cx.event(SubscriptionEvent::Accepted {
            status: response.status(),
            expires: seconds(expires.unwrap_or(self.expires)),
            flow: cx.stack.flow(pending.id),
            round_trip,
        });
    }

    /// Whether the SUBSCRIBE is to be sent again with credentials.
    fn challenged(
        &mut self,
        pending: &Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) -> Result<(), Cause> {
        let ids = cx.stack.ids();
        let answer = self.subscribe.auth.challenged(response, &pending.sent, &mut || ids.u64());
        let (offered, downgrade) = (answer.offered, answer.downgrade);
        match answer.outcome {
            auth::Outcome::Retry(credentials) => {
                self.credentials = Some(credentials);
                cx.event(SubscriptionEvent::Challenged { offered, downgrade });
                Ok(())
            }
            auth::Outcome::GiveUp(why) => {
                Err(Cause::Unauthorized { status: response.status(), why, offered })
            }
        }
    }

    /// Whether it is to be sent again for longer. What is to end has no length.
    fn too_brief(&mut self, response: &Response, cx: &mut UaCx<'_, '_, SubscriptionId>) -> Result<(), Cause> {
        match response.find::<header::MinExpires>() {
            Ok(Some(least)) if least > self.expires && self.expires > 0 => {
                let asked = seconds(std::mem::replace(&mut self.expires, least));
                let adjusted = Adjusted::TooBrief { asked, least: seconds(least) };
                cx.event(SubscriptionEvent::Adjusted(adjusted));
                Ok(())
            }
            _ => Err(Cause::refused(response)),
        }
    }

    /// Whether it is to be sent elsewhere: once, and not from sips to sip (RFC 3261 §8.1.3.4). 301 is remembered.
    fn redirected(
        &mut self,
        response: &Response,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) -> Result<(), Cause> {
        let secure = self.subscribe.target.as_uri().scheme_name().eq_ignore_ascii_case("sips");
        let target = response.each::<header::Contact>().flatten().find_map(|contact| {
            let uri = contact.address()?.uri;
            let fits = uri.is_sip() && (!secure || uri.scheme_name().eq_ignore_ascii_case("sips"));
            fits.then(|| UriBuf::parse(uri.without_headers()).ok()).flatten()
        });
        let Some(to) = target.filter(|_| self.redirected.is_none()) else {
            return Err(Cause::refused(response));
        };
        self.redirected = Some(to.clone());
        let status = response.status();
        if status == 301 {
            self.subscribe.target = to.clone();
        }
        cx.event(SubscriptionEvent::Adjusted(Adjusted::Redirected { status, to }));
        Ok(())
    }
}

impl Attempt {
    fn take(&mut self, id: RequestId) -> Option<Pending> {
        self.pending.take_if(|pending| pending.id == id)
    }
}
