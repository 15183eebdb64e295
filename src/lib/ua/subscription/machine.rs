//! How far a wish to be notified is, and what comes next: no message, no clock (RFC 6665 §4.1.2, §4.1.3). What becomes
//! of each subscription it led to is `fork/machine.rs`.
//!
//! ```text
//!                     Renew: at once, as a new subscription
//!            ┌────────────────────────────────────────┐
//!            ▼                                        │
//!  Idle ─► Asking ── Notified ────────────────────► Held ── End ──┐
//!   Start  │ │ ▲ │ (the NOTIFY makes the dialog)      │           │
//!          │ │ └─┘ Again, Renew                       │           │
//!          │ │ ▲                             Failed   │           │
//!          │ │ └── Due ──┐     ┌──────────────────────┘           │
//!          │ └ Failed ► Waiting ── End ─► Over                    │
//!          │                                ▲                     ▼
//!          └── End ─────────────────────────┼───────────────► Leaving
//!                                           └─── Done, … ─────────┘
//! ```
//!
//! Refused leads to Over from everywhere, Done (all of them are over as they should be) too, unless state is polled:
//! then to Waiting. Who wants one answer is Over at the first outcome. Leaving waits for the last NOTIFY, and also for
//! the first one, as before that there is nothing to unsubscribe from.

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing was sent.
    Idle,
    /// A SUBSCRIBE outside dialogs is under way, or its first NOTIFY.
    Asking,
    /// There is at least one subscription.
    Held,
    /// The next SUBSCRIBE is to come.
    Waiting,
    /// Nothing is wanted any more; it is not over at the notifier.
    Leaving,
    /// Nothing more will happen.
    Over,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    Start,
    /// A NOTIFY made a subscription.
    Notified,
    /// The SUBSCRIBE is to go out again at once, changed.
    Again,
    /// No subscription came of it, or the last one ended, and another one may be had at once.
    Renew,
    /// The same, and another one may be had later.
    Failed,
    /// The same, and it would be so again.
    Refused,
    /// What was asked for is done.
    Done,
    /// The time waited for has come.
    Due,
    /// The application wants it no more.
    End,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Nothing,
    /// Send a SUBSCRIBE outside dialogs.
    Send,
    /// Unsubscribe from what there is.
    EndForks,
    /// Wait until it is time to ask.
    Await,
    /// Tell the end.
    Finish,
}

/// What is wanted in the long run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aim {
    /// To stay subscribed.
    Keep,
    /// One answer.
    Fetch,
    /// One answer from time to time.
    Poll,
}

/// The state, and what decides between two ways on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    state: State,
    aim: Aim,
}

impl Machine {
    pub fn new(aim: Aim) -> Self {
        Self { state: State::Idle, aim }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn take(&mut self, input: Input) -> Act {
        let (state, act) = self.next(input);
        self.state = state;
        act
    }

    fn next(&self, input: Input) -> (State, Act) {
        use Input::{Again, Done, Due, End, Failed, Notified, Refused, Renew, Start};
        use State::{Asking, Held, Idle, Leaving, Over, Waiting};
        let finish = (Over, Act::Finish);
        let send = (Asking, Act::Send);
        let wait = (Waiting, Act::Await);
        match (self.state, input) {
            (Idle, Start) | (Waiting, Due) | (Asking, Again) => send,
            (Idle | Waiting, End) => finish,
            (Asking, Notified) => (Held, Act::Nothing),
            (Asking | Held, End) => (Leaving, Act::EndForks),
            (Asking | Held, Renew) if self.aim == Aim::Keep => send,
            (Asking | Held, Failed) if self.aim != Aim::Fetch => wait,
            (Asking | Held, Renew | Done) if self.aim == Aim::Poll => wait,
            (Asking | Held, Renew | Failed | Refused | Done) => finish,
            // A SUBSCRIBE that would have to go out again has led to nothing.
            (Leaving, Again | Renew | Failed | Refused | Done) => finish,
            // The first NOTIFY of another one.
            (Leaving, Notified) => (Leaving, Act::EndForks),
            // Reports that came too late, or twice.
            (Idle | Asking | Held | Waiting | Leaving | Over, _) => (self.state, Act::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] =
        [State::Idle, State::Asking, State::Held, State::Waiting, State::Leaving, State::Over];
    const INPUTS: [Input; 9] = [
        Input::Start,
        Input::Notified,
        Input::Again,
        Input::Renew,
        Input::Failed,
        Input::Refused,
        Input::Done,
        Input::Due,
        Input::End,
    ];

    /// A row for each state, a column for each input; a dot is "nothing happens". Small letters in front:
    /// s send, e end what there is, w wait, f finish, - nothing to do.
    const KEEP: [(&str, &str); 6] = [
        //             Start    Notified  Again    Renew    Failed   Refused Done   Due      End
        ("Idle", "     sAsking  .         .        .        .        .       .      .        fOver"),
        ("Asking", "   .        -Held     sAsking  sAsking  wWaiting fOver   fOver  .        eLeaving"),
        ("Held", "     .        .         .        sAsking  wWaiting fOver   fOver  .        eLeaving"),
        ("Waiting", "  .        .         .        .        .        .       .      sAsking  fOver"),
        ("Leaving", "  .        eLeaving  fOver    fOver    fOver    fOver   fOver  .        ."),
        ("Over", "     .        .         .        .        .        .       .      .        ."),
    ];

    fn cell(state: State, aim: Aim, input: Input) -> String {
        let mut machine = Machine { state, aim };
        let letter = match machine.take(input) {
            Act::Nothing if machine.state == state => return ".".into(),
            Act::Nothing => '-',
            Act::Send => 's',
            Act::EndForks => 'e',
            Act::Await => 'w',
            Act::Finish => 'f',
        };
        format!("{letter}{:?}", machine.state)
    }

    #[test]
    fn every_state_and_every_input() {
        for (row, state) in STATES.into_iter().enumerate() {
            for (column, input) in INPUTS.into_iter().enumerate() {
                let expected = KEEP[row].1.split_whitespace().nth(column).unwrap();
                assert_eq!(format!("{state:?}"), KEEP[row].0);
                assert_eq!(cell(state, Aim::Keep, input), expected, "{state:?} {input:?}");
                let live = matches!(state, State::Asking | State::Held);
                // A fetch is over with its outcome, a poll waits for the next one.
                let fetch = match input {
                    Input::Renew | Input::Failed if live => "fOver",
                    _ => expected,
                };
                assert_eq!(cell(state, Aim::Fetch, input), fetch, "{state:?} {input:?}, fetch");
                let poll = match input {
                    Input::Renew | Input::Done if live => "wWaiting",
                    _ => expected,
                };
                assert_eq!(cell(state, Aim::Poll, input), poll, "{state:?} {input:?}, poll");
            }
        }
    }

    #[test]
    fn the_end_is_always_reached() {
        for state in STATES {
            for aim in [Aim::Keep, Aim::Fetch, Aim::Poll] {
                for outcome in [Input::Renew, Input::Failed, Input::Refused, Input::Done, Input::Again] {
                    let mut machine = Machine { state, aim };
                    machine.take(Input::End);
                    machine.take(outcome);
                    assert_eq!(machine.state, State::Over, "{state:?} {aim:?} {outcome:?}");
                }
            }
        }
    }
}
