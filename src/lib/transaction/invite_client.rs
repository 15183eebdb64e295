//! The INVITE client transaction: RFC 3261 §17.1.1 as corrected by RFC 6026 §7.2.
//!
//! It repeats the INVITE until something answers and acknowledges failures. It never acknowledges a 2xx
//! and never gives up in Proceeding by itself: the user sends CANCEL, from which on it waits 64·T1
//! (§9.1).

use bytes::Bytes;

use super::{Cx, NEVER, Report, reread, right_sized};
use crate::{
    message::{Builder, HeaderId, Method, Request, Response},
    time::Instant,
};

/// ```text
///                  |INVITE from user, sent
///      timer A     v
///      INVITE  +---------+  timer B: Timeout, or Unreachable
///      +-------| Calling |--------------------------------------+
///      +------>|         |                                      |
///              +---------+                                      |
///  300-699:     |   |1xx: Deliver  \ 2xx: Deliver              |
///  ACK, Deliver |   v               \                           |
///      +--------+  +------------+    \                          |
///      |           | Proceeding |-----+--+ 2xx: Deliver         |
///      |   1xx:    |            |        |                      |
///      |  Deliver  +------------+        v                      |
///      |              |       |      +----------+               |
///      |   300-699:   |       |      | Accepted | 2xx: Deliver  |
///      v ACK, Deliver |       |      +----------+               |
///  +-----------+      |       |          |timer M: Ended        |
///  | Completed |<-----+       +----------+------+               |
///  +-----------+   64·T1 after CANCEL: Timeout, |               |
///   300-699: ACK      or Unreachable            v               |
///      |timer D                           +------------+        |
///      +--------------------------------->| Terminated |<-------+
///                                         +------------+
/// ```
/// Unreachable in Completed or Accepted changes nothing: the user has its final response, and the peer
/// may repeat it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

#[derive(Debug)]
pub(super) struct InviteClient {
    state: State,
    repeats: u8,
    /// Timer B; in Proceeding the end of the wait after a CANCEL.
    give_up: Instant,
    /// The INVITE, from which the ACK is made; in Completed the ACK; in Accepted nothing.
    message: Bytes,
}

impl InviteClient {
    pub fn start(request: &Request, cx: &mut Cx<'_>) -> Self {
        let machine = Self {
            state: State::Calling,
            repeats: 0,
            give_up: cx.now + cx.timing.b,
            message: right_sized(request.bytes()),
        };
        cx.transmit(&machine.message);
        machine.arm_a(cx);
        machine
    }

    pub fn response(&mut self, response: &Response, cx: &mut Cx<'_>) {
        use State::{Accepted, Calling, Completed, Proceeding};
        match (self.state, response.status()) {
            (Calling, ..200) => {
                self.state = Proceeding;
                self.give_up = NEVER;
                cx.arm(NEVER);
                cx.report(Report::Deliver);
            }
            (Proceeding, ..200) | (Accepted, 200..300) => cx.report(Report::Deliver),
            (Calling | Proceeding, 200..300) => {
                self.state = Accepted;
                self.message = Bytes::new();
                cx.report(Report::Deliver);
                cx.linger(cx.timing.m);
            }
            (Calling | Proceeding, 300..) => {
                self.state = Completed;
                self.message = acknowledge(&self.message, response).unwrap_or_default();
                self.send_ack(cx);
                cx.report(Report::Deliver);
                cx.absorb(cx.timing.d);
            }
            (Completed, 300..) => self.send_ack(cx),
            // A 1xx that was overtaken, a 2xx after a failure, a failure after a 2xx: RFC 6026 figure 5
            // has no arrows for them.
            (Completed | Accepted, _) => {}
        }
    }

    pub fn deadline(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Calling | State::Proceeding if cx.now >= self.give_up => {
                cx.report(Report::Timeout);
                cx.remove();
            }
            State::Calling => {
                cx.transmit(&self.message);
                self.repeats = self.repeats.saturating_add(1);
                self.arm_a(cx);
            }
            State::Proceeding => cx.arm(self.give_up),
            State::Completed => cx.remove(),
            State::Accepted => {
                cx.report(Report::Ended);
                cx.remove();
            }
        }
    }

    pub fn unreachable(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.state, State::Calling | State::Proceeding) {
            cx.report(Report::Unreachable);
            cx.remove();
        }
    }

    /// Whether a CANCEL may be sent: after a provisional response and before a final one (§9.1).
    pub fn is_cancellable(&self) -> bool {
        self.state == State::Proceeding
    }

    /// A CANCEL was sent. A peer of RFC 2543 does not answer 487, so the wait is limited (§9.1).
    pub fn cancelled(&mut self, cx: &mut Cx<'_>) {
        if self.state == State::Proceeding {
            self.give_up = self.give_up.min(cx.now + cx.timing.b);
            cx.arm(self.give_up);
        }
    }

    /// Nobody listens any more. What is left to do is acknowledging a failure, so that the peer can end.
    pub fn abandon(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Calling => {
                self.state = State::Proceeding;
                self.cancelled(cx);
            }
            State::Proceeding => self.cancelled(cx),
            State::Completed => {}
            State::Accepted => cx.remove(),
        }
    }

    fn arm_a(&self, cx: &mut Cx<'_>) {
        let a = if cx.reliable { NEVER } else { cx.now + cx.timing.doubled(self.repeats) };
        cx.arm(a.min(self.give_up));
    }

    fn send_ack(&self, cx: &mut Cx<'_>) {
        if !self.message.is_empty() {
            cx.transmit(&self.message);
        }
    }
}

/// The ACK for a failure response: RFC 3261 §17.1.1.3, with the credentials §22.1 asks for.
///
/// `None` only if the peer's To cannot be read: then there is nothing it would recognise.
fn acknowledge(invite: &Bytes, response: &Response) -> Option<Bytes> {
    let invite = reread(invite)?.into_request().ok()?;
    let via = invite.via().ok()?;
    let number = invite.cseq().ok()?.number;
    response.to().ok()?;
    let ack = Builder::request(Method::Ack, invite.raw_uri())
        .header(HeaderId::Via, via)
        .header(HeaderId::MaxForwards, 70)
        .copy(&invite, HeaderId::Route)
        .copy(&invite, HeaderId::From)
        .copy(response, HeaderId::To)
        .copy(&invite, HeaderId::CallId)
        .header(HeaderId::CSeq, format_args!("{number} ACK"))
        .copy(&invite, HeaderId::Authorization)
        .copy(&invite, HeaderId::ProxyAuthorization);
    Some(ack.into_bytes())
}

#[cfg(test)]
mod tests {
    use State::{Accepted, Calling, Completed, Proceeding};

    use super::*;
    use crate::{
        time::Duration,
        transaction::fixture::{START, during, message, request, response},
    };

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Response(u16),
        TimerA,
        GiveUp,
        Unreachable,
        Cancelled,
        Abandon,
    }

    fn machine_in(state: State, reliable: bool) -> InviteClient {
        let mut machine = None;
        during(START, reliable, |cx| {
            let mut new = InviteClient::start(&request("INVITE", "z9hG4bK1"), cx);
            match state {
                Calling => {}
                Proceeding => new.response(&response(180, "INVITE", "z9hG4bK1"), cx),
                Completed => new.response(&response(486, "INVITE", "z9hG4bK1"), cx),
                Accepted => new.response(&response(200, "INVITE", "z9hG4bK1"), cx),
            }
            assert_eq!(new.state, state);
            machine = Some(new);
        });
        machine.expect("it was started")
    }

    fn happen(machine: &mut InviteClient, event: Event, reliable: bool) -> String {
        let late = if matches!(event, Event::GiveUp) { 32_000 } else { 500 };
        during(START + Duration::from_millis(late), reliable, |cx| match event {
            Event::Response(status) => machine.response(&response(status, "INVITE", "z9hG4bK1"), cx),
            Event::TimerA | Event::GiveUp => machine.deadline(cx),
            Event::Unreachable => machine.unreachable(cx),
            Event::Cancelled => machine.cancelled(cx),
            Event::Abandon => machine.abandon(cx),
        })
    }

    const EVENTS: [Event; 8] = [
        Event::Response(180),
        Event::Response(200),
        Event::Response(486),
        Event::TimerA,
        Event::GiveUp,
        Event::Unreachable,
        Event::Cancelled,
        Event::Abandon,
    ];

    #[test]
    fn every_event_in_every_state() {
        // In the order of EVENTS: what the machine does, and its state afterwards.
        let table = [
            (
                Calling,
                [
                    ("arm never, Deliver", Proceeding),
                    ("Deliver, arm 32000", Accepted),
                    ("send ACK, Deliver, arm 32000", Completed),
                    ("send INVITE, arm 1000", Calling),
                    ("Timeout, remove", Calling),
                    ("Unreachable, remove", Calling),
                    ("", Calling),
                    ("arm 31500", Proceeding),
                ],
            ),
            (
                Proceeding,
                [
                    ("Deliver", Proceeding),
                    ("Deliver, arm 32000", Accepted),
                    ("send ACK, Deliver, arm 32000", Completed),
                    ("arm never", Proceeding),
                    ("arm never", Proceeding),
                    ("Unreachable, remove", Proceeding),
                    ("arm 32000", Proceeding),
                    ("arm 32000", Proceeding),
                ],
            ),
            (
                Completed,
                [
                    ("", Completed),
                    ("", Completed),
                    ("send ACK", Completed),
                    ("remove", Completed),
                    ("remove", Completed),
                    ("", Completed),
                    ("", Completed),
                    ("", Completed),
                ],
            ),
            (
                Accepted,
                [
                    ("", Accepted),
                    ("Deliver", Accepted),
                    ("", Accepted),
                    ("Ended, remove", Accepted),
                    ("Ended, remove", Accepted),
                    ("", Accepted),
                    ("", Accepted),
                    ("remove", Accepted),
                ],
            ),
        ];
        for (state, row) in table {
            for (event, (does, then)) in EVENTS.into_iter().zip(row) {
                let mut machine = machine_in(state, false);
                assert_eq!(happen(&mut machine, event, false), does, "{event:?} in {state:?}");
                assert_eq!(machine.state, then, "after {event:?} in {state:?}");
            }
        }
    }

    #[test]
    fn a_reliable_transport_repeats_and_absorbs_nothing() {
        assert_eq!(
            during(START, true, |cx| drop(InviteClient::start(&request("INVITE", "z9hG4bK1"), cx))),
            "send INVITE, arm 32000"
        );
        let mut machine = machine_in(Calling, true);
        assert_eq!(happen(&mut machine, Event::Response(486), true), "send ACK, Deliver, remove");
        let mut machine = machine_in(Calling, true);
        assert_eq!(happen(&mut machine, Event::Response(200), true), "Deliver, arm 32000");
    }

    #[test]
    fn seven_invites_then_timeout() {
        let mut machine = machine_in(Calling, false);
        let mut sent = vec![0];
        let mut now = START + Duration::from_millis(500);
        loop {
            let does = during(now, false, |cx| machine.deadline(cx));
            let Some(wait) = does.strip_prefix("send INVITE, arm ") else {
                assert_eq!(does, "Timeout, remove");
                break;
            };
            sent.push(now.since(START).as_millis());
            now += Duration::from_millis(wait.parse().expect("a number"));
        }
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(now.since(START).as_secs(), 32);
    }

    #[test]
    fn a_cancelled_invite_without_a_final_response_ends_after_64_t1() {
        let mut machine = machine_in(Proceeding, false);
        happen(&mut machine, Event::Cancelled, false);
        let end = START + Duration::from_millis(32_500);
        assert_eq!(during(end, false, |cx| machine.deadline(cx)), "Timeout, remove");
    }

    #[test]
    fn the_ack_is_that_of_17_1_1_3() {
        let invite = request("INVITE", "z9hG4bK1");
        let ack = acknowledge(invite.bytes(), &response(486, "INVITE", "z9hG4bK1")).expect("an ACK");
        let ack =
            message(&String::from_utf8_lossy(&ack).replace("\r\n", "\n")).into_request().expect("a request");
        assert_eq!((ack.method(), ack.raw_uri()), (Method::Ack, invite.raw_uri()));
        assert_eq!(ack.raw(HeaderId::Via).count(), 1);
        assert_eq!(ack.via().expect("Via").branch(), Some("z9hG4bK1"));
        assert_eq!(ack.raw(HeaderId::Route).count(), 2);
        assert_eq!(ack.to().expect("To").tag(), Some("b"));
        assert_eq!(ack.from().expect("From").tag(), Some("a"));
        assert_eq!(ack.call_id().expect("Call-ID"), "c1");
        assert_eq!(ack.cseq().expect("CSeq").number, 7);
        assert_eq!(ack.cseq().expect("CSeq").method, Method::Ack);
        assert_eq!(ack.raw(HeaderId::ProxyAuthorization).count(), 1);
        assert!(ack.body().is_empty());
    }
}
