//! How a call ends (RFC 3261 §15): CANCEL, a refusal or BYE, whichever its phase asks for.

use crate::{
    message::{HeaderId, Method, Request, Response},
    stack::Outgoing,
    transaction::ServerId,
};

use super::{
    By, Call, Cause, Phase, Reason, UaCx,
    uac::{Pending, with_headers},
};

impl Call {
    pub(in crate::ua) fn hang_up(&mut self, cx: &mut UaCx<'_, '_>) {
        if self.leaving {
            return;
        }
        match self.phase {
            Phase::Trying | Phase::Early if self.invite.is_some() => {
                self.leaving = true;
                self.phase = Phase::Ending;
                if let Some(pending) = &self.invite {
                    cx.stack.cancel(pending.id);
                }
            }
            // Not answered by us: 480, nobody is there for it.
            Phase::Trying | Phase::Early => self.reject(480, Vec::new(), cx),
            // §15: the callee waits for the ACK, or for the time it may take.
            Phase::Accepted => self.leaving = true,
            Phase::Confirmed => {
                self.leaving = true;
                self.leave_if_wanted(cx);
            }
            Phase::Ending | Phase::Over => {}
        }
    }

    /// Sends the BYE that had to wait for something else to finish.
    pub(super) fn leave_if_wanted(&mut self, cx: &mut UaCx<'_, '_>) {
        if self.leaving && self.phase == Phase::Confirmed && self.unacked.is_none() {
            self.close_incoming(487, cx);
            self.bye(cx);
        }
    }

    pub(super) fn bye(&mut self, cx: &mut UaCx<'_, '_>) {
        if self.bye.is_some() {
            return;
        }
        let Some(dialog) = &mut self.dialog else { return };
        let builder = dialog.request(Method::Bye).header(HeaderId::UserAgent, &cx.config.product);
        let outgoing = dialog.outgoing(builder.finish());
        self.phase = Phase::Ending;
        let credentials = self.credentials(&outgoing);
        self.send_bye(outgoing, credentials, cx);
    }

    fn send_bye(&mut self, outgoing: Outgoing, credentials: Vec<(HeaderId, String)>, cx: &mut UaCx<'_, '_>) {
        let id = cx.send(with_headers(&outgoing, &credentials));
        self.bye = Some(Box::new(Pending::new(id, outgoing, credentials)));
    }

    pub(super) fn bye_response(&mut self, response: &Response, cx: &mut UaCx<'_, '_>) {
        if response.status() < 200 {
            return;
        }
        let Some(pending) = self.bye.take() else { return };
        if matches!(response.status(), 401 | 407)
            && let Ok((outgoing, credentials)) = self.authorize(&pending, response, cx)
        {
            return self.send_bye(outgoing, credentials, cx);
        }
        // 481 included: the dialog is over in any case (§15.1.1).
        self.end(By::Local, Cause::Bye { reason: None }, cx);
    }

    pub(super) fn bye_received(&mut self, request: &Request, id: ServerId, cx: &mut UaCx<'_, '_>) {
        let response = cx.response(request, 200).into_bytes();
        cx.reply(id, response);
        // §15.1.2: pending requests of the peer's are answered 487.
        self.close_incoming(487, cx);
        if let Some(pending) = &self.invite {
            cx.stack.cancel(pending.id);
            if !pending.again {
                // Only an early dialog ended (which is not for the callee to do, §15). The INVITE is still
                // to be heard of: its 2xx would have to be acknowledged.
                self.phase = Phase::Ending;
                return;
            }
        }
        let reason = Reason::of(request);
        let by = if self.leaving { By::Local } else { By::Remote };
        self.end(by, Cause::Bye { reason }, cx);
    }
}
