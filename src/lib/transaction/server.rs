//! The non-INVITE server transaction: RFC 3261 §17.2.2 with RFC 4320.
//!
//! It repeats the response to a repeated request. It sends no 1xx but 100, over unreliable transports
//! not before the client's timer E has reached T2 and then by itself (RFC 4320 §4.1), and never a 408
//! (§4.2): a request answered too late is not answered at all.

use bytes::Bytes;

use super::{Cx, Gone, Report, trying};
use crate::{message::Request, time::Instant};

/// ```text
///                  |request: to user
///                  v
///            +---------+
///            | Trying  |  request: -
///            |         |  100 from user over UDP: not sent yet
///            +---------+
///     200-699 |   |3.5 s, or 100 from user over TCP: 100 sent
///     sent    |   v
///             |  +------------+
///             |  | Proceeding |  request: 100 again
///             |  +------------+
///             |     |200-699 from user: sent, or 64·T1 (also from Trying): Timeout
///             v     v
///            +-----------+
///            | Completed |  request: response again
///            +-----------+
///                  |timer J; T4 after a Timeout
///                  v
///            +------------+
///            | Terminated |
///            +------------+
/// ```
/// The RFC lets a user leave a request in Trying for ever; here it ends with its client's timer F.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
}

#[derive(Debug)]
pub(super) struct Server {
    state: State,
    /// When the client's timer F fires, if it began when its request came.
    give_up: Instant,
    /// In Trying the request, to make the 100 from; then the last response, empty if none was sent.
    message: Bytes,
}

impl Server {
    pub fn start(request: &Request, cx: &mut Cx<'_>) -> Self {
        let machine = Self {
            state: State::Trying,
            give_up: cx.now + cx.timing.f,
            // Not copied: it is dropped with the first response, at the latest after 3.5 s.
            message: request.bytes().clone(),
        };
        cx.arm(machine.give_up.min(cx.now + cx.timing.until_e_is_t2()));
        machine
    }

    /// A copy of the request.
    pub fn request(&mut self, cx: &mut Cx<'_>) {
        if self.state != State::Trying {
            self.send(cx);
        }
    }

    pub fn respond(&mut self, status: u16, response: &Bytes, cx: &mut Cx<'_>) -> Result<(), Gone> {
        match (self.state, status) {
            (State::Completed, _) => return Err(Gone),
            (State::Trying, 100) if cx.reliable => self.proceed(response.clone(), cx),
            (State::Proceeding, 100) => cx.transmit(response),
            // RFC 4320 §4.1: no other 1xx, and no 100 yet.
            (State::Trying | State::Proceeding, ..200) => {}
            (State::Trying | State::Proceeding, _) => {
                self.state = State::Completed;
                self.message = Bytes::new();
                if status != 408 {
                    cx.transmit(response);
                    if !cx.reliable {
                        self.message = response.clone();
                    }
                }
                cx.absorb(cx.timing.j);
            }
        }
        Ok(())
    }

    pub fn deadline(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Trying | State::Proceeding if cx.now >= self.give_up => {
                self.state = State::Completed;
                self.message = Bytes::new();
                cx.report(Report::Timeout);
                cx.linger(cx.timing.t4);
            }
            State::Trying => self.proceed(trying(&self.message), cx),
            State::Proceeding => cx.arm(self.give_up),
            State::Completed => cx.remove(),
        }
    }

    pub fn is_answered(&self) -> bool {
        self.state == State::Completed
    }

    fn proceed(&mut self, response: Bytes, cx: &mut Cx<'_>) {
        self.state = State::Proceeding;
        self.message = response;
        self.send(cx);
        cx.arm(self.give_up);
    }

    fn send(&self, cx: &mut Cx<'_>) {
        if !self.message.is_empty() {
            cx.transmit(&self.message);
        }
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
        Request,
        Respond(u16),
        Deadline,
        GiveUp,
    }

    fn machine_in(state: State, reliable: bool) -> Server {
        let mut machine = None;
        during(START, reliable, |cx| {
            let mut new = Server::start(&request("OPTIONS", "z9hG4bK1"), cx);
            match state {
                Trying => {}
                Proceeding => new.deadline(cx),
                Completed => {
                    new.respond(404, response(404, "OPTIONS", "z9hG4bK1").bytes(), cx).expect("it takes one")
                }
            }
            assert_eq!(new.state, state);
            machine = Some(new);
        });
        machine.expect("it was started")
    }

    /// What it does; a refused response in brackets.
    fn happen(machine: &mut Server, event: Event, reliable: bool) -> String {
        let late = if matches!(event, Event::GiveUp) { 32_000 } else { 500 };
        let mut refused = false;
        let does = during(START + Duration::from_millis(late), reliable, |cx| match event {
            Event::Request => machine.request(cx),
            Event::Respond(status) => {
                refused =
                    machine.respond(status, response(status, "OPTIONS", "z9hG4bK1").bytes(), cx).is_err();
            }
            Event::Deadline | Event::GiveUp => machine.deadline(cx),
        });
        if refused { format!("[{does}]") } else { does }
    }

    const EVENTS: [Event; 7] = [
        Event::Request,
        Event::Respond(100),
        Event::Respond(183),
        Event::Respond(200),
        Event::Respond(408),
        Event::Deadline,
        Event::GiveUp,
    ];

    #[test]
    fn every_event_in_every_state() {
        // In the order of EVENTS: what the machine does, and its state afterwards.
        let table = [
            (
                Trying,
                [
                    ("", Trying),
                    ("", Trying),
                    ("", Trying),
                    ("send 200, arm 32000", Completed),
                    ("arm 32000", Completed),
                    ("send 100, arm 31500", Proceeding),
                    ("Timeout, arm 5000", Completed),
                ],
            ),
            (
                Proceeding,
                [
                    ("send 100", Proceeding),
                    ("send 100", Proceeding),
                    ("", Proceeding),
                    ("send 200, arm 32000", Completed),
                    ("arm 32000", Completed),
                    ("arm 31500", Proceeding),
                    ("Timeout, arm 5000", Completed),
                ],
            ),
            (
                Completed,
                [
                    ("send 404", Completed),
                    ("[]", Completed),
                    ("[]", Completed),
                    ("[]", Completed),
                    ("[]", Completed),
                    ("remove", Completed),
                    ("remove", Completed),
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
    fn a_reliable_transport_may_get_its_100_early_and_no_copies() {
        assert_eq!(
            during(START, false, |cx| drop(Server::start(&request("OPTIONS", "z9hG4bK1"), cx))),
            "arm 3500"
        );
        let mut machine = machine_in(Trying, true);
        assert_eq!(happen(&mut machine, Event::Respond(100), true), "send 100, arm 31500");
        assert_eq!(happen(&mut machine, Event::Respond(200), true), "send 200, remove");
    }

    #[test]
    fn what_was_never_answered_is_absorbed_in_silence() {
        for event in [Event::Respond(408), Event::GiveUp] {
            let mut machine = machine_in(Trying, false);
            happen(&mut machine, event, false);
            assert_eq!(happen(&mut machine, Event::Request, false), "", "{event:?}");
        }
    }
}
