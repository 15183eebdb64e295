//! How far a publication is, and what comes next: no message, no clock (RFC 3903 §4, §5).
//!
//! ```text
//!                          Due, Change
//!            ┌────────────────────────────────────────────────┐
//!            ▼                                                │
//!  Idle ─► Asking ── Granted, nothing changed meanwhile ───► Held ── End ─┐
//!   Start  │ │ ▲ │                                                        ▼
//!          │ │ └─┘ Again, Granted after a change                       Removing ─► Over
//!          │ │ ▲                                                        ▲  │ └──┘ Again
//!          │ │ └── Due ──┐                                              │  │
//!          │ └ Failed ► Waiting ── End, if something is published ──────┤  └─► Over: Granted, Failed
//!          │                                                            │
//!          └── End ─► Leaving ── its PUBLISH ends ──────────────────────┘
//! ```
//!
//! No second PUBLISH leaves before the first one's end (§4): what changes meanwhile goes out after it, the newest state
//! only. A state that is to be tried again later waits for that although it changes. Who does not want it kept is Over
//! at the first outcome; who wants it removed begins with that.

/// Where a publication stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing was sent.
    Idle,
    /// A PUBLISH is under way.
    Asking,
    /// Published as it is; the refresh is to come.
    Held,
    /// The last PUBLISH failed; another try is to come.
    Waiting,
    /// A PUBLISH is under way, and the publication is not wanted any more.
    Leaving,
    /// The PUBLISH that removes it is under way.
    Removing,
    /// Nothing more will happen.
    Over,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    Start,
    /// A 2xx.
    Granted,
    /// The PUBLISH is to go out again at once, changed.
    Again,
    /// It failed; later it may succeed.
    Failed,
    /// It failed, and would again.
    Refused,
    /// The time waited for has come.
    Due,
    /// The application has a new state.
    Change,
    /// The application wants nothing published any more.
    End,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Nothing,
    /// Send a PUBLISH: of the state, if it changed or is not known there, else a refresh.
    Send,
    /// Send the one that removes it.
    SendRemoval,
    /// Wait until it is time to refresh.
    AwaitRefresh,
    /// Wait until it is time to try again.
    AwaitRetry,
    /// Tell the end.
    Finish,
}

/// What is wanted in the long run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aim {
    /// To stay published.
    Keep,
    /// One PUBLISH.
    Once,
    /// One PUBLISH that removes.
    Remove,
}

/// The state, and what decides between two ways on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    state: State,
    aim: Aim,
    /// Something of ours is published, as far as is known.
    pub published: bool,
    /// It is not what the last PUBLISH said.
    pub changed: bool,
}

impl Machine {
    pub fn new(aim: Aim) -> Self {
        Self { state: State::Idle, aim, published: false, changed: false }
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
        use Input::{Again, Change, Due, End, Failed, Granted, Refused, Start};
        use State::{Asking, Held, Idle, Leaving, Over, Removing, Waiting};
        let finish = (Over, Act::Finish);
        let (send, remove) = ((Asking, Act::Send), (Removing, Act::SendRemoval));
        match (self.state, input) {
            (Idle, Start) if self.aim == Aim::Remove => remove,
            (Idle, Start) | (Held | Waiting, Due) | (Held, Change) | (Asking, Again) => send,
            (Idle, End) => finish,
            (Asking, Granted) if self.aim == Aim::Keep && self.changed => send,
            (Asking, Granted) if self.aim == Aim::Keep => (Held, Act::AwaitRefresh),
            (Asking, Failed) if self.aim == Aim::Keep => (Waiting, Act::AwaitRetry),
            (Asking, Granted | Failed | Refused) => finish,
            (Asking, End) => (Leaving, Act::Nothing),
            (Held, End) => remove,
            (Waiting, End) | (Leaving, Granted | Again | Failed | Refused) if self.published => remove,
            (Waiting, End) | (Leaving, Granted | Again | Failed | Refused) => finish,
            (Removing, Again) => remove,
            (Removing, Granted | Failed | Refused) => finish,
            // Reports that came too late, or twice; changes of what is sent or retried anyway.
            (Idle | Asking | Held | Waiting | Leaving | Removing | Over, _) => (self.state, Act::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Idle,
        State::Asking,
        State::Held,
        State::Waiting,
        State::Leaving,
        State::Removing,
        State::Over,
    ];
    const INPUTS: [Input; 8] = [
        Input::Start,
        Input::Granted,
        Input::Again,
        Input::Failed,
        Input::Refused,
        Input::Due,
        Input::Change,
        Input::End,
    ];

    /// A row for each state, a column for each input; a dot is "nothing happens". Small letters in front:
    /// s send, r remove, w wait for the refresh, t wait to try again, f finish, - nothing to do.
    const PUBLISHED: [(&str, &str); 7] = [
        //             Start   Granted   Again     Failed    Refused   Due     Change  End
        ("Idle", "     sAsking .         .         .         .         .       .       fOver"),
        ("Asking", "   .       wHeld     sAsking   tWaiting  fOver     .       .       -Leaving"),
        ("Held", "     .       .         .         .         .         sAsking sAsking rRemoving"),
        ("Waiting", "  .       .         .         .         .         sAsking .       rRemoving"),
        ("Leaving", "  .       rRemoving rRemoving rRemoving rRemoving .       .       ."),
        ("Removing", " .       fOver     rRemoving fOver     fOver     .       .       ."),
        ("Over", "     .       .         .         .         .         .       .       ."),
    ];

    fn cell(machine: Machine, input: Input) -> String {
        let mut after = machine;
        let letter = match after.take(input) {
            Act::Nothing if after.state == machine.state => return ".".into(),
            Act::Nothing => '-',
            Act::Send => 's',
            Act::SendRemoval => 'r',
            Act::AwaitRefresh => 'w',
            Act::AwaitRetry => 't',
            Act::Finish => 'f',
        };
        format!("{letter}{:?}", after.state)
    }

    #[test]
    fn every_state_and_every_input() {
        for (row, state) in STATES.into_iter().enumerate() {
            for (column, input) in INPUTS.into_iter().enumerate() {
                let expected = PUBLISHED[row].1.split_whitespace().nth(column).unwrap();
                assert_eq!(format!("{state:?}"), PUBLISHED[row].0);
                let machine = Machine { state, aim: Aim::Keep, published: true, changed: false };
                assert_eq!(cell(machine, input), expected, "{state:?} {input:?}");
                // What changed meanwhile goes out at once.
                let changed = if expected == "wHeld" { "sAsking" } else { expected };
                assert_eq!(cell(Machine { changed: true, ..machine }, input), changed, "{state:?} {input:?}");
                // Where nothing is published nothing is removed.
                let unpublished = match (state, expected) {
                    (State::Waiting | State::Leaving, "rRemoving") => "fOver",
                    _ => expected,
                };
                let machine = Machine { published: false, ..machine };
                assert_eq!(cell(machine, input), unpublished, "{state:?} {input:?}, nothing published");
                // One PUBLISH, or one removal.
                let once = match unpublished {
                    "wHeld" | "tWaiting" => "fOver",
                    other => other,
                };
                assert_eq!(cell(Machine { aim: Aim::Once, ..machine }, input), once, "{state:?} {input:?}");
                let removal = if (state, input) == (State::Idle, Input::Start) { "rRemoving" } else { once };
                assert_eq!(cell(Machine { aim: Aim::Remove, ..machine }, input), removal, "{state:?}");
            }
        }
    }

    #[test]
    fn the_end_is_always_reached() {
        for state in STATES {
            for outcome in [Input::Granted, Input::Failed, Input::Refused] {
                for published in [false, true] {
                    let mut machine = Machine { state, aim: Aim::Keep, published, changed: true };
                    machine.take(Input::End);
                    machine.take(outcome);
                    machine.take(outcome);
                    assert_eq!(machine.state, State::Over, "{state:?} {outcome:?}");
                }
            }
        }
    }
}
