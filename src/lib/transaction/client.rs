//! The non-INVITE client transaction: RFC 3261 §17.1.2.
//!
//! It repeats the request until a final response comes, delivers that one and absorbs its copies.

use bytes::Bytes;

use super::{Cx, NEVER, Report, right_sized};
use crate::{
    message::{Request, Response},
    time::Instant,
};

/// ```text
///               |request from user, sent
///      timer E  v
///      request +---------+  timer F: Timeout, or Unreachable
///      +-------| Trying  |-----------------------------------+
///      +------>|         |                                   |
///              +---------+                                   |
///  200-699:     |   |1xx: Deliver                            |
///  Deliver      |   v                                        |
///      +--------+  +------------+                            |
///      |  timer E  | Proceeding | timer F: Timeout,          |
///      |  request, |            | or Unreachable             |
///      |  1xx:     +------------+------------------------+   |
///      |  Deliver     |200-699: Deliver                  |   |
///      v              |                                  |   |
///  +-----------+<-----+                                  v   v
///  | Completed |               timer K              +------------+
///  |           |----------------------------------->| Terminated |
///  +-----------+                                    +------------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
}

#[derive(Debug)]
pub(super) struct Client {
    state: State,
    repeats: u8,
    /// Timer F.
    give_up: Instant,
    /// The request, as long as it may have to be sent again.
    message: Bytes,
}

impl Client {
    pub fn start(request: &Request, cx: &mut Cx<'_>) -> Self {
        let message = if cx.reliable { Bytes::new() } else { right_sized(request.bytes()) };
        cx.transmit(if cx.reliable { request.bytes() } else { &message });
        let machine = Self { state: State::Trying, repeats: 0, give_up: cx.now + cx.timing.f, message };
        machine.arm_e(cx);
        machine
    }

    pub fn response(&mut self, response: &Response, cx: &mut Cx<'_>) {
        match (self.state, response.status()) {
            // Timer E goes on: a 1xx may come from a hop that has lost the request since (§17.1.2.1).
            (State::Trying | State::Proceeding, ..200) => {
                self.state = State::Proceeding;
                cx.report(Report::Deliver);
            }
            (State::Trying | State::Proceeding, 200..) => {
                self.state = State::Completed;
                self.message = Bytes::new();
                cx.report(Report::Deliver);
                cx.absorb(cx.timing.k);
            }
            (State::Completed, _) => {}
        }
    }

    pub fn deadline(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Trying | State::Proceeding if cx.now >= self.give_up => {
                cx.report(Report::Timeout);
                cx.remove();
            }
            State::Trying | State::Proceeding => {
                cx.transmit(&self.message);
                self.repeats = self.repeats.saturating_add(1);
                self.arm_e(cx);
            }
            State::Completed => cx.remove(),
        }
    }

    pub fn unreachable(&mut self, cx: &mut Cx<'_>) {
        if self.state != State::Completed {
            cx.report(Report::Unreachable);
            cx.remove();
        }
    }

    fn arm_e(&self, cx: &mut Cx<'_>) {
        let e = match self.state {
            _ if cx.reliable => NEVER,
            State::Trying => cx.now + cx.timing.doubled_to_t2(self.repeats),
            State::Proceeding | State::Completed => cx.now + cx.timing.t2,
        };
        cx.arm(e.min(self.give_up));
    }
}

#[cfg(test)]
mod tests {
    use State::{Completed, Proceeding, Trying};

    use super::*;
    use crate::{
        time::Duration,
        transaction::fixture::{START, during, request, response},
    };

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Response(u16),
        TimerE,
        TimerF,
        Unreachable,
    }

    fn machine_in(state: State, reliable: bool) -> Client {
        let mut machine = None;
        during(START, reliable, |cx| {
            let mut new = Client::start(&request("OPTIONS", "z9hG4bK1"), cx);
            match state {
                Trying => {}
                Proceeding => new.response(&response(100, "OPTIONS", "z9hG4bK1"), cx),
                Completed => new.response(&response(404, "OPTIONS", "z9hG4bK1"), cx),
            }
            assert_eq!(new.state, state);
            machine = Some(new);
        });
        machine.expect("it was started")
    }

    fn happen(machine: &mut Client, event: Event, reliable: bool) -> String {
        let late = if matches!(event, Event::TimerF) { 32_000 } else { 500 };
        during(START + Duration::from_millis(late), reliable, |cx| match event {
            Event::Response(status) => machine.response(&response(status, "OPTIONS", "z9hG4bK1"), cx),
            Event::TimerE | Event::TimerF => machine.deadline(cx),
            Event::Unreachable => machine.unreachable(cx),
        })
    }

    const EVENTS: [Event; 6] = [
        Event::Response(100),
        Event::Response(200),
        Event::Response(404),
        Event::TimerE,
        Event::TimerF,
        Event::Unreachable,
    ];

    #[test]
    fn every_event_in_every_state() {
        // In the order of EVENTS: what the machine does, and its state afterwards.
        let table = [
            (
                Trying,
                [
                    ("Deliver", Proceeding),
                    ("Deliver, arm 5000", Completed),
                    ("Deliver, arm 5000", Completed),
                    ("send OPTIONS, arm 1000", Trying),
                    ("Timeout, remove", Trying),
                    ("Unreachable, remove", Trying),
                ],
            ),
            (
                Proceeding,
                [
                    ("Deliver", Proceeding),
                    ("Deliver, arm 5000", Completed),
                    ("Deliver, arm 5000", Completed),
                    ("send OPTIONS, arm 4000", Proceeding),
                    ("Timeout, remove", Proceeding),
                    ("Unreachable, remove", Proceeding),
                ],
            ),
            (
                Completed,
                [
                    ("", Completed),
                    ("", Completed),
                    ("", Completed),
                    ("remove", Completed),
                    ("remove", Completed),
                    ("", Completed),
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
            during(START, true, |cx| drop(Client::start(&request("OPTIONS", "z9hG4bK1"), cx))),
            "send OPTIONS, arm 32000"
        );
        let mut machine = machine_in(Trying, true);
        assert!(machine.message.is_empty());
        assert_eq!(happen(&mut machine, Event::Response(200), true), "Deliver, remove");
    }

    #[test]
    fn timer_e_doubles_up_to_t2() {
        let mut machine = machine_in(Trying, false);
        let mut sent = vec![0];
        let mut now = START + Duration::from_millis(500);
        loop {
            let does = during(now, false, |cx| machine.deadline(cx));
            let Some(wait) = does.strip_prefix("send OPTIONS, arm ") else {
                assert_eq!(does, "Timeout, remove");
                break;
            };
            sent.push(now.since(START).as_millis());
            now += Duration::from_millis(wait.parse().expect("a number"));
        }
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(now.since(START).as_secs(), 32);
    }
}
