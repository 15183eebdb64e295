//! Reading the final response to a PUBLISH, and what follows from it (RFC 3903 §5).

use crate::{
    auth,
    message::{HeaderId, Response, header},
    stack::{Failure, RequestId},
    time::Duration,
    ua::registration::refresh_in,
};

use super::{
    Adjusted, Cause, Input, Operation, Pending, Publication, PublicationEvent, PublicationId, Published,
    State, UaCx,
};

impl Publication {
    pub(in crate::ua) fn failed(
        &mut self,
        id: RequestId,
        why: Failure,
        cx: &mut UaCx<'_, '_, PublicationId>,
    ) {
        if let Some(pending) = self.pending.take_if(|pending| pending.id == id) {
            self.unsaid(&pending);
            self.outcome(Cause::Failed(why), cx);
        }
    }

    pub(in crate::ua) fn response(
        &mut self,
        id: RequestId,
        response: &Response,
        cx: &mut UaCx<'_, '_, PublicationId>,
    ) {
        if response.status() < 200 {
            return;
        }
        let Some(pending) = self.pending.take_if(|pending| pending.id == id) else { return };
        match response.status() {
            200..=299 => self.granted(&pending, response, cx),
            401 | 407 => {
                self.unsaid(&pending);
                self.challenged(&pending, response, cx);
            }
            412 if self.etag.is_some() => self.forgotten(&pending, cx),
            423 => {
                self.unsaid(&pending);
                self.too_brief(response, cx);
            }
            _ => {
                self.unsaid(&pending);
                self.outcome(refused(response), cx);
            }
        }
    }

    /// A state that did not arrive is still to be said.
    fn unsaid(&mut self, pending: &Pending) {
        self.machine.changed |= matches!(pending.operation, Operation::Initial | Operation::Modify);
    }

    fn again(&mut self, why: Adjusted, cx: &mut UaCx<'_, '_, PublicationId>) {
        cx.event(PublicationEvent::Adjusted(why));
        self.go_on(Input::Again, cx);
    }

    fn challenged(&mut self, pending: &Pending, response: &Response, cx: &mut UaCx<'_, '_, PublicationId>) {
        let ids = cx.stack.ids();
        let answer = self.publish.auth.challenged(response, &pending.sent, &mut || ids.u64());
        let (offered, downgrade) = (answer.offered, answer.downgrade);
        match answer.outcome {
            auth::Outcome::Retry(credentials) => {
                self.credentials = Some(credentials);
                cx.event(PublicationEvent::Challenged { offered, downgrade });
                self.go_on(Input::Again, cx);
            }
            auth::Outcome::GiveUp(why) => {
                self.outcome(Cause::Unauthorized { status: response.status(), why, offered }, cx);
            }
        }
    }

    /// What was published is gone: not this PUBLISH again, but one of the whole state.
    fn forgotten(&mut self, pending: &Pending, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.forget();
        self.machine.changed = true;
        if pending.operation == Operation::Remove || self.machine.state() == State::Leaving {
            // It is removed, then.
            return self.go_on(Input::Granted, cx);
        }
        self.again(Adjusted::Forgotten, cx);
    }

    fn too_brief(&mut self, response: &Response, cx: &mut UaCx<'_, '_, PublicationId>) {
        match response.find::<header::MinExpires>() {
            Ok(Some(least)) if least > self.expires && self.expires > 0 => {
                let asked = seconds(std::mem::replace(&mut self.expires, least));
                self.again(Adjusted::TooBrief { asked, least: seconds(least) }, cx);
            }
            _ => self.outcome(refused(response), cx),
        }
    }

    fn granted(&mut self, pending: &Pending, response: &Response, cx: &mut UaCx<'_, '_, PublicationId>) {
        self.publish.auth.accepted(response);
        let round_trip = cx.stack.sent_at(pending.id).map_or(Duration::ZERO, |at| cx.now() - at);
        if pending.operation == Operation::Remove {
            self.forget();
            cx.event(PublicationEvent::Removed { round_trip });
            return self.go_on(Input::Granted, cx);
        }
        // A refresh gets a new one too (§4.3).
        let etag = response.find::<header::SipEtag>().ok().flatten().map(str::to_owned);
        self.etag.clone_from(&etag);
        self.held = Some(pending.version);
        self.machine.published = etag.is_some();
        self.machine.changed = self.version != pending.version;
        self.failures = 0;
        let granted = response.find::<header::Expires>().ok().flatten().unwrap_or(self.expires);
        let expires = seconds(granted.min(self.expires));
        self.until = Some(cx.now() + expires);
        self.refresh_in = refresh_in(expires, cx.stack.ids().u64());
        cx.event(PublicationEvent::Published(Box::new(Published {
            operation: pending.operation,
            etag,
            expires,
            refresh_in: self.refresh_in,
            flow: cx.stack.flow(pending.id),
            round_trip,
        })));
        self.go_on(Input::Granted, cx);
    }
}

fn refused(response: &Response) -> Cause {
    let details = [
        HeaderId::Warning,
        HeaderId::RetryAfter,
        HeaderId::MinExpires,
        HeaderId::AllowEvents,
        HeaderId::Accept,
        HeaderId::Unsupported,
    ];
    let rows = |id: HeaderId| response.raw(id).map(move |row| (id.name().to_owned(), row.text().to_string()));
    Cause::Refused {
        status: response.status(),
        reason: response.reason().to_string(),
        retry_after: response.find::<header::RetryAfter>().ok().flatten().map(|after| seconds(after.seconds)),
        details: details.into_iter().flat_map(rows).take(MAX_DETAILS).collect(),
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

const MAX_DETAILS: usize = 16;
