//! One of the subscriptions a SUBSCRIBE led to (RFC 6665 §4.4.1): its dialog, how long it holds, what is under way.

mod machine;

use crate::{
    dialog::Dialog,
    message::Response,
    time::{Duration, Instant},
    ua::{UaCx, call::Body, registration::refresh_in},
};

use super::{Cause, Pending, Subscription, SubscriptionEvent, SubscriptionId, seconds};
use machine::{Act, Machine, State};

pub use machine::Input;

/// See the module's description.
pub struct Fork {
    pub number: u32,
    pub dialog: Dialog,
    pub machine: Machine,
    /// When it ends unless it is refreshed.
    pub expires_at: Instant,
    /// Whether the notifier has said when that is.
    pub is_told: bool,
    refresh_at: Instant,
    pub pending: Option<Pending>,
    /// Timer N.
    silent_at: Option<Instant>,
    /// The SUBSCRIBE whose NOTIFY is awaited had a condition.
    pub conditional: bool,
    /// Names the state that was notified of last.
    pub etag: Option<String>,
    /// To go out with the next SUBSCRIBE.
    pub body: Option<Body>,
    /// The application wants another NOTIFY than that of what is under way.
    again: bool,
}

impl Fork {
    /// The subscription a first NOTIFY makes. `expires` is told, or else what was asked for.
    pub fn new(
        number: u32,
        dialog: Dialog,
        expires: Duration,
        is_told: bool,
        now: Instant,
        random: u64,
    ) -> Self {
        Self {
            number,
            dialog,
            machine: Machine::new(),
            expires_at: now + expires,
            is_told,
            refresh_at: now + refresh_in(expires, random),
            pending: None,
            silent_at: None,
            conditional: false,
            etag: None,
            body: None,
            again: false,
        }
    }

    /// A SUBSCRIBE of its dialog left.
    pub fn sent(&mut self, pending: Pending) {
        self.conditional = pending.conditional;
        self.silent_at = None;
        self.pending = Some(pending);
    }

    /// Its next deadline.
    pub fn next(&self) -> Instant {
        let refresh = (self.machine.state() == State::Live).then_some(self.refresh_at);
        [Some(self.expires_at), refresh, self.silent_at]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.expires_at)
    }

    /// The notifier says how long it holds. `anew`: because it was refreshed; otherwise the refresh is only moved to
    /// an earlier time.
    pub fn set_expires(&mut self, expires: Duration, anew: bool, now: Instant, random: u64) {
        self.expires_at = now + expires;
        self.is_told = true;
        let refresh_at = now + refresh_in(expires, random);
        self.refresh_at = if anew { refresh_at } else { self.refresh_at.min(refresh_at) };
    }
}

impl Subscription {
    /// The application wants to be notified of everything.
    pub(super) fn renew_fork(
        &mut self,
        number: u32,
        body: Option<Body>,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let Some(fork) = self.fork(number) else { return };
        fork.etag = None;
        fork.body = body;
        match fork.machine.state() {
            State::Asking => fork.again = true,
            _ => self.fork_input(number, Input::Due, None, cx),
        }
    }

    pub(super) fn fork(&mut self, number: u32) -> Option<&mut Fork> {
        self.forks.iter_mut().find(|fork| fork.number == number)
    }

    pub(super) fn fork_deadline(&mut self, number: u32, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let now = cx.now();
        let Some(fork) = self.fork(number) else { return };
        if fork.silent_at.is_some_and(|at| at <= now) {
            // RFC 5839 §5.8: what is between us may not understand the condition.
            if fork.conditional {
                self.subscribe.conditional = false;
            }
            return self.fork_input(number, Input::Terminated, Some(Cause::Silent), cx);
        }
        if fork.expires_at <= now {
            return self.fork_input(number, Input::Terminated, Some(Cause::Expired), cx);
        }
        if fork.machine.state() == State::Live && fork.refresh_at <= now {
            self.fork_input(number, Input::Due, None, cx);
        }
    }

    /// `cause` goes with Terminated and Failed.
    pub(super) fn fork_input(
        &mut self,
        number: u32,
        input: Input,
        cause: Option<Cause>,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let now = cx.now();
        let Some(fork) = self.fork(number) else { return };
        let before = fork.machine.state();
        let act = fork.machine.take(input);
        if !fork.machine.is_awaiting() {
            fork.silent_at = None;
        }
        match act {
            Act::Nothing => {}
            Act::Send | Act::SendEnd => {
                if input != Input::Again {
                    self.rounds = 0;
                }
                self.send_within(number, act == Act::SendEnd, cx);
            }
            Act::AwaitRefresh => {
                if before != State::Live {
                    let left = fork.expires_at - now;
                    fork.refresh_at = now + refresh_in(left, cx.stack.ids().u64());
                    if std::mem::take(&mut fork.again) {
                        fork.refresh_at = now;
                    }
                    self.failures = 0;
                }
            }
            Act::AwaitRetry => self.retry_within(number, cause, cx),
            Act::Finish => self.fork_gone(number, cause.unwrap_or(Cause::Expired), cx),
        }
    }

    /// A refresh failed; what there is holds until it expires (§4.1.2.2).
    fn retry_within(&mut self, number: u32, cause: Option<Cause>, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        let now = cx.now();
        let retry_in = self.pause(cause.as_ref().and_then(Cause::retry_after), cx);
        let Some(fork) = self.fork(number) else { return };
        fork.refresh_at = now + retry_in;
        let remaining = Some(fork.expires_at - now);
        if let Some(cause) = cause {
            cx.event(SubscriptionEvent::Failed { cause, retry_in, remaining });
        }
    }

    fn fork_gone(&mut self, number: u32, cause: Cause, cx: &mut UaCx<'_, '_, SubscriptionId>) {
        self.forks.retain(|fork| fork.number != number);
        if self.forks.is_empty() {
            self.emptied(cause, true, cx);
        } else if !self.is_leaving() {
            cx.event(SubscriptionEvent::ForkEnded { fork: number, cause });
        }
    }

    /// The 2xx of a SUBSCRIBE within the dialog.
    pub(super) fn fork_granted(
        &mut self,
        number: u32,
        response: &Response,
        expires: Option<u32>,
        cx: &mut UaCx<'_, '_, SubscriptionId>,
    ) {
        let (now, random) = (cx.now(), cx.stack.ids().u64());
        let silent_at = now + cx.stack.timing().t1 * 64;
        let Some(fork) = self.fork(number) else { return };
        // A Contact that cannot be read leaves the target as it is.
        let _ = fork.dialog.refresh(response);
        fork.silent_at = Some(silent_at);
        if matches!(fork.machine.state(), State::Asking)
            && let Some(expires) = expires
        {
            fork.set_expires(seconds(expires), true, now, random);
        }
        if matches!(fork.machine.state(), State::Leaving | State::Parting) {
            // It does not expire while its last NOTIFY is waited for.
            fork.expires_at = fork.expires_at.max(silent_at);
        }
        let quiet = response.status() == 204;
        self.fork_input(number, if quiet { Input::Quiet } else { Input::Granted }, None, cx);
    }
}
