//! The INVITE server transaction: RFC 3261 §17.2.1 as corrected by RFC 6026 §7.1.
//!
//! It says 100 where the user says nothing for 200 ms, repeats a failure response until its ACK comes,
//! and absorbs copies of the INVITE after a 2xx. It never repeats a 2xx itself: the user does, through
//! [`respond`](InviteServer::respond), until the ACK comes.

use bytes::Bytes;

use super::{Cx, Gone, NEVER, Report, reread, trying};
use crate::{message::Request, time::Instant};

/// ```text
///                       |INVITE: to user
///  INVITE, 200 ms: 100  v
///            +------+----------+ 101-199 from user: sent
///            |      | Received |------------------+
///            v      +----------+                  |
///          +------------+   |  \                  |
///          | Proceeding |<--|---\-----------------+     INVITE: last 1xx again
///          |            |   |    \                      1xx from user: sent
///          +------------+   |     \
///   300-699 |     |   2xx   |2xx   \300-699
///   sent    |     |   sent  |sent   \sent
///           |     |         v        v
///           |     |   +----------+  +-----------+ INVITE, timer G: response again
///           |     +-->| Accepted |  | Completed | Unreachable: timer G ends
///           |         +----------+  +-----------+
///           |  INVITE: -   |         ^ |    |ACK: Ack
///           |  ACK: to user|         | |    v
///           |  2xx: sent   |         | | +-----------+ ACK, INVITE: -
///           +--------------|---------+ | | Confirmed |
///                   timer L|           | +-----------+
///                          v           |    |timer I
///               +------------+  timer H|    |
///               | Terminated |<--------+----+
///               +------------+  Timeout
/// ```
/// `Received` is the RFC's Proceeding before anything was sent. A network error ends nothing (RFC 6026
/// §7.1): copies of the INVITE would become new requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Received,
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
}

#[derive(Debug)]
pub(super) struct InviteServer {
    state: State,
    repeats: u8,
    /// Timer H.
    give_up: Instant,
    /// In Received the INVITE, to make the 100 from; in Proceeding and Completed the last response.
    message: Bytes,
}

impl InviteServer {
    pub fn start(request: &Request, cx: &mut Cx<'_>) -> Self {
        cx.arm(cx.now + cx.timing.trying);
        // Not copied: it is dropped after 200 ms at the latest.
        Self { state: State::Received, repeats: 0, give_up: NEVER, message: request.bytes().clone() }
    }

    /// A copy of the INVITE.
    pub fn request(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            // A peer that repeats within 200 ms needs its 100 now.
            State::Received => self.try_it(cx),
            State::Proceeding | State::Completed => cx.transmit(&self.message),
            State::Accepted | State::Confirmed => {}
        }
    }

    /// An ACK with the INVITE's branch; false if it is the user's.
    pub fn ack(&mut self, cx: &mut Cx<'_>) -> bool {
        match self.state {
            State::Completed => {
                self.state = State::Confirmed;
                self.message = Bytes::new();
                cx.report(Report::Ack);
                cx.absorb(cx.timing.i);
                true
            }
            State::Received | State::Proceeding | State::Confirmed => true,
            State::Accepted => false,
        }
    }

    pub fn respond(&mut self, status: u16, response: &Bytes, cx: &mut Cx<'_>) -> Result<(), Gone> {
        match (self.state, status) {
            (State::Received | State::Proceeding, ..200) => {
                self.state = State::Proceeding;
                self.message = response.clone();
                cx.transmit(&self.message);
                cx.arm(NEVER);
            }
            (State::Received | State::Proceeding, 200..300) => {
                self.state = State::Accepted;
                self.message = Bytes::new();
                cx.transmit(response);
                cx.linger(cx.timing.l);
            }
            (State::Received | State::Proceeding, 300..) => {
                self.state = State::Completed;
                self.message = response.clone();
                self.give_up = cx.now + cx.timing.h;
                cx.transmit(&self.message);
                self.arm_g(cx);
            }
            (State::Accepted, 200..300) => cx.transmit(response),
            (State::Completed | State::Confirmed | State::Accepted, _) => return Err(Gone),
        }
        Ok(())
    }

    pub fn deadline(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Received => self.try_it(cx),
            State::Proceeding => cx.arm(NEVER),
            State::Completed if cx.now >= self.give_up => {
                cx.report(Report::Timeout);
                cx.remove();
            }
            State::Completed => {
                cx.transmit(&self.message);
                self.repeats = self.repeats.saturating_add(1);
                self.arm_g(cx);
            }
            State::Accepted | State::Confirmed => cx.remove(),
        }
    }

    /// Nobody can be reached there: stop repeating, keep absorbing.
    pub fn unreachable(&mut self, cx: &mut Cx<'_>) {
        if self.state == State::Completed {
            cx.arm(self.give_up);
        }
    }

    pub fn is_answered(&self) -> bool {
        !matches!(self.state, State::Received | State::Proceeding)
    }

    /// The To tag of the response that is kept, if one is.
    pub fn to_tag(&self) -> Option<String> {
        let kept = matches!(self.state, State::Proceeding | State::Completed);
        let response = if kept { reread(&self.message)? } else { return None };
        response.to_tag().ok()?.map(str::to_owned)
    }

    /// Whether an ACK of RFC 2543 with this To tag is for our failure response (§17.2.3).
    pub fn is_acknowledged_by(&self, to_tag: Option<&str>) -> bool {
        self.state != State::Completed || self.to_tag().as_deref() == to_tag
    }

    fn try_it(&mut self, cx: &mut Cx<'_>) {
        self.state = State::Proceeding;
        self.message = trying(&self.message);
        if !self.message.is_empty() {
            cx.transmit(&self.message);
        }
        cx.arm(NEVER);
    }

    fn arm_g(&self, cx: &mut Cx<'_>) {
        let g = if cx.reliable { NEVER } else { cx.now + cx.timing.doubled_to_t2(self.repeats) };
        cx.arm(g.min(self.give_up));
    }
}

#[cfg(test)]
mod tests {
    use State::{Accepted, Completed, Confirmed, Proceeding, Received};

    use super::*;
    use crate::{
        time::Duration,
        transaction::fixture::{START, during, request, response},
    };

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Invite,
        Ack,
        Respond(u16),
        Deadline,
        TimerH,
        Unreachable,
    }

    fn machine_in(state: State, reliable: bool) -> InviteServer {
        let mut machine = None;
        during(START, reliable, |cx| {
            let mut new = InviteServer::start(&request("INVITE", "z9hG4bK1"), cx);
            let status = match state {
                Received => None,
                Proceeding => Some(180),
                Completed | Confirmed => Some(486),
                Accepted => Some(200),
            };
            if let Some(status) = status {
                new.respond(status, response(status, "INVITE", "z9hG4bK1").bytes(), cx)
                    .expect("it takes one");
            }
            if state == Confirmed {
                assert!(new.ack(cx));
            }
            assert_eq!(new.state, state);
            machine = Some(new);
        });
        machine.expect("it was started")
    }

    /// What it does; a refused response or an ACK that is the user's in brackets.
    fn happen(machine: &mut InviteServer, event: Event, reliable: bool) -> String {
        let late = if matches!(event, Event::TimerH) { 32_000 } else { 500 };
        let mut refused = false;
        let does = during(START + Duration::from_millis(late), reliable, |cx| match event {
            Event::Invite => machine.request(cx),
            Event::Ack => refused = !machine.ack(cx),
            Event::Respond(status) => {
                refused =
                    machine.respond(status, response(status, "INVITE", "z9hG4bK1").bytes(), cx).is_err();
            }
            Event::Deadline | Event::TimerH => machine.deadline(cx),
            Event::Unreachable => machine.unreachable(cx),
        });
        if refused { format!("[{does}]") } else { does }
    }

    const EVENTS: [Event; 8] = [
        Event::Invite,
        Event::Ack,
        Event::Respond(183),
        Event::Respond(200),
        Event::Respond(487),
        Event::Deadline,
        Event::TimerH,
        Event::Unreachable,
    ];

    #[test]
    fn every_event_in_every_state() {
        // In the order of EVENTS: what the machine does, and its state afterwards.
        let table = [
            (
                Received,
                [
                    ("send 100, arm never", Proceeding),
                    ("", Received),
                    ("send 183, arm never", Proceeding),
                    ("send 200, arm 32000", Accepted),
                    ("send 487, arm 500", Completed),
                    ("send 100, arm never", Proceeding),
                    ("send 100, arm never", Proceeding),
                    ("", Received),
                ],
            ),
            (
                Proceeding,
                [
                    ("send 180", Proceeding),
                    ("", Proceeding),
                    ("send 183, arm never", Proceeding),
                    ("send 200, arm 32000", Accepted),
                    ("send 487, arm 500", Completed),
                    ("arm never", Proceeding),
                    ("arm never", Proceeding),
                    ("", Proceeding),
                ],
            ),
            (
                Completed,
                [
                    ("send 486", Completed),
                    ("Ack, arm 5000", Confirmed),
                    ("[]", Completed),
                    ("[]", Completed),
                    ("[]", Completed),
                    ("send 486, arm 1000", Completed),
                    ("Timeout, remove", Completed),
                    ("arm 31500", Completed),
                ],
            ),
            (
                Confirmed,
                [
                    ("", Confirmed),
                    ("", Confirmed),
                    ("[]", Confirmed),
                    ("[]", Confirmed),
                    ("[]", Confirmed),
                    ("remove", Confirmed),
                    ("remove", Confirmed),
                    ("", Confirmed),
                ],
            ),
            (
                Accepted,
                [
                    ("", Accepted),
                    ("[]", Accepted),
                    ("[]", Accepted),
                    ("send 200", Accepted),
                    ("[]", Accepted),
                    ("remove", Accepted),
                    ("remove", Accepted),
                    ("", Accepted),
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
        let mut machine = machine_in(Received, true);
        assert_eq!(happen(&mut machine, Event::Respond(486), true), "send 486, arm 32000");
        assert_eq!(happen(&mut machine, Event::Ack, true), "Ack, remove");
    }

    #[test]
    fn timer_g_doubles_up_to_t2_and_h_ends_it() {
        let mut machine = machine_in(Completed, false);
        let mut sent = vec![0];
        let mut now = START + Duration::from_millis(500);
        loop {
            let does = during(now, false, |cx| machine.deadline(cx));
            let Some(wait) = does.strip_prefix("send 486, arm ") else {
                assert_eq!(does, "Timeout, remove");
                break;
            };
            sent.push(now.since(START).as_millis());
            now += Duration::from_millis(wait.parse().expect("a number"));
        }
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(now.since(START).as_secs(), 32);
    }

    #[test]
    fn only_what_must_be_kept_is_kept() {
        for (state, kept) in
            [(Received, true), (Proceeding, true), (Completed, true), (Confirmed, false), (Accepted, false)]
        {
            assert_eq!(!machine_in(state, false).message.is_empty(), kept, "{state:?}");
        }
        assert_eq!(machine_in(Proceeding, false).to_tag().as_deref(), Some("b"));
        assert_eq!(machine_in(Received, false).to_tag(), None);
    }
}
