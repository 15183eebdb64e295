//! Taking NOTIFYs (RFC 6665 §4.1.3): whose they are, what they make, and what they are answered.

use crate::{
    dialog::Dialog,
    message::{HeaderId, Request, header},
    transaction::ServerId,
    transport::Flow,
    ua::package,
};

use super::{
    Cause, Forking, Input, MAX_FORKS, Notification, State, Subscription, SubscriptionEvent, SubscriptionId,
    UaCx,
    fork::{self, Fork},
    seconds,
};

/// Why a NOTIFY is not taken.
struct Refusal {
    status: u16,
    why: &'static str,
    extra: Option<(HeaderId, String)>,
}

impl Subscription {
    /// Whether a NOTIFY to our tag carries our Call-ID too (§4.4.1).
    pub(in crate::ua) fn owns(&self, request: &Request) -> bool {
        request.call_id().is_ok_and(|call_id| *call_id == *self.call_id)
    }

    pub(in crate::ua) fn notified(
        &mut self,
        request: Request,
        id: ServerId,
        from: Flow,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        match self.judge(&request, from, cx) {
            Ok((number, state, expires)) => {
                let response = cx.response(&request, 200).record_route();
                let contact = self.contact(cx).on(&from);
                cx.reply(id, response.header(HeaderId::Contact, contact).finish());
                self.took(request, from, number, state, expires, cx);
            }
            Err(Refusal { status, why, extra }) => {
                tracing::debug!(status, why, "NOTIFY refused");
                let response = cx.response(&request, status);
                let response = match extra {
                    Some((name, value)) => response.header(name, value),
                    None => response,
                };
                cx.reply(id, response.finish());
                // Of what is not there nothing needs to be said.
                if status != 481 {
                    cx.event(SubscriptionEvent::NotifyRefused { status, why });
                }
            }
        }
    }

    /// Finds the subscription, or makes it; its number, the state, and what is left of it in seconds.
    fn judge(
        &mut self,
        request: &Request,
        from: Flow,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) -> Result<(u32, State, Option<crate::time::Duration>), Refusal> {
        let refuse = |status, why| Refusal { status, why, extra: None };
        let (event, event_id) = package::event(request).ok_or(refuse(489, "no Event"))?;
        if event != self.subscribe.event {
            return Err(refuse(489, "another event package"));
        }
        if event_id != self.subscribe.event_id.as_deref() {
            return Err(refuse(481, "another event id"));
        }
        let (state, expires) = State::of(request).ok_or(refuse(400, "no Subscription-State"))?;
        let tag = request.from_tag().ok().flatten().unwrap_or_default();
        let known = self.forks.iter().position(|fork| fork.dialog.remote_tag() == tag);
        if known.is_none() && !self.takes_another() {
            return Err(refuse(481, "no such subscription"));
        }
        self.readable(request)?;
        if let Some(fork) = known.and_then(|at| self.forks.get_mut(at)) {
            // §4.2.2: what was overtaken says nothing any more.
            fork.dialog.accept(request, from).map_err(|reject| {
                refuse(reject.status(), "out of order, or without a Contact that can be read")
            })?;
            return Ok((fork.number, state, expires));
        }
        let number = self.count;
        let mut dialog = Dialog::uas(request, self.cookie.encode().as_str(), self.number, from)
            .map_err(|_| refuse(400, "no Contact"))?;
        dialog.confirm_local();
        self.count += 1;
        if matches!(state, State::Terminated(_)) {
            // It makes no dialog (§4.4.1).
            return Ok((number, state, expires));
        }
        let (now, random) = (cx.now(), cx.stack.ids().u64());
        let mut granted = None;
        if let Some(attempt) = &mut self.attempt {
            let pending = attempt.pending.as_ref().map(|pending| pending.id);
            let domain = pending.and_then(|pending| cx.stack.domain(pending));
            attempt.domain = attempt.domain.take().or(domain);
            dialog.set_domain(attempt.domain.clone());
            granted =
                attempt.accepted.as_ref().filter(|(to, _)| **to == *tag).and_then(|(_, expires)| *expires);
        }
        let told = expires.or(granted.map(seconds));
        let mut holds = told.unwrap_or(seconds(self.expires));
        if self.expires == 0 {
            // Who asked once is owed one NOTIFY that ends it (§4.4.3), and waits no longer than for any.
            holds = holds.clamp(super::SOONEST, cx.stack.timing().t1 * 64);
        }
        self.forks.push(Fork::new(number, dialog, holds, told.is_some(), now, random));
        Ok((number, state, expires))
    }

    /// Whether a NOTIFY of an unknown dialog makes one (§4.1.2.4, §5.4.9).
    fn takes_another(&self) -> bool {
        let Some(attempt) = &self.attempt else { return false };
        match self.subscribe.forks {
            Forking::First => self.forks.is_empty() && attempt.ended.is_none(),
            Forking::All => self.forks.len() < MAX_FORKS,
        }
    }

    /// RFC 3261 §8.2.3, without a look into the body.
    fn readable(&self, request: &Request) -> Result<(), Refusal> {
        let refuse = |status, why, extra| Err(Refusal { status, why, extra });
        if request.body().len() > self.subscribe.largest {
            return refuse(413, "its body is too large", None);
        }
        if request.body().is_empty() {
            return Ok(());
        }
        let encoded = request
            .each::<header::ContentEncoding>()
            .any(|coding| coding.map_or(true, |coding| !coding.eq_ignore_ascii_case("identity")));
        if encoded {
            let extra = Some((HeaderId::AcceptEncoding, "identity".to_owned()));
            return refuse(415, "its body is encoded", extra);
        }
        match request.find::<header::ContentType>() {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => refuse(400, "its Content-Type cannot be read", None),
        }
    }

    /// It was answered 200.
    fn took(
        &mut self,
        request: Request,
        from: Flow,
        number: u32,
        state: State,
        expires: Option<crate::time::Duration>,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let etag = request.find::<header::SipEtag>().ok().flatten().map(str::to_owned);
        let conditional = self.subscribe.conditional;
        if conditional {
            self.etag.clone_from(&etag);
        }
        let (now, random) = (cx.now(), cx.stack.ids().u64());
        if let Some(fork) = self.fork(number) {
            fork.etag = etag.clone().filter(|_| conditional);
            if let Some(expires) = expires {
                fork.set_expires(expires, false, now, random);
            }
        }
        cx.event(SubscriptionEvent::Notified(Notification {
            request: Box::new(request),
            fork: number,
            state: state.clone(),
            expires,
            etag,
            flow: from,
        }));
        let is_known = self.fork(number).is_some();
        match state {
            State::Terminated(why) if is_known => {
                self.fork_input(number, fork::Input::Terminated, Some(Cause::Terminated(why)), cx);
            }
            State::Terminated(why) => self.ended_at_once(Cause::Terminated(why), cx),
            _ => self.go_on(number, cx),
        }
    }

    /// The first NOTIFY was the last one.
    fn ended_at_once(&mut self, cause: Cause, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        if self.forks.is_empty() {
            self.emptied(cause, false, cx);
        }
    }

    fn go_on(&mut self, number: u32, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.fork_input(number, fork::Input::Notified, None, cx);
        self.failures = 0;
        let is_settled = self.attempt.as_ref().is_some_and(|attempt| attempt.pending.is_none());
        if self.subscribe.forks == Forking::First && is_settled {
            self.attempt = None;
        }
        // The first of a SUBSCRIBE; or one that comes while none is wanted any more.
        self.take(Input::Notified, None, cx);
    }
}
