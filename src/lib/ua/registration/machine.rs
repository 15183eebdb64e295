//! How far a registration is, and what comes next: no message, no clock (RFC 3261 §10.2, RFC 5626 §4.5).
//!
//! ```text
//!                          Due, FlowLost
//!            ┌────────────────────────────────────────┐
//!            ▼                                        │
//!  Idle ─► Asking ── Granted ─────────────────────► Bound ── End ─┐
//!   Start  │ │ ▲ │                                                ▼
//!          │ │ └─┘ Again                                       Removing ─► Over
//!          │ │ ▲                                                ▲  │ └──┘ Again
//!          │ │ └── Due ──┐                                      │  │
//!          │ └ Failed ► Waiting ── End, if something is bound ──┤  └─► Over: Granted, Failed
//!          │                                                    │
//!          └── End ─► Leaving ── its REGISTER ends ─────────────┘
//! ```
//!
//! No second REGISTER leaves before the first one's end (§10.2): that is what Leaving waits for. Who does not
//! want the binding kept is Over at the first outcome.

/// Where a registration stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing was sent.
    Idle,
    /// A REGISTER is under way.
    Asking,
    /// Registered; the refresh is to come.
    Bound,
    /// The last REGISTER failed; another try is to come.
    Waiting,
    /// A REGISTER is under way, and the binding is not wanted any more.
    Leaving,
    /// The REGISTER that removes the binding is under way.
    Removing,
    /// Nothing more will happen.
    Over,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    Start,
    /// A 2xx, and nothing to add.
    Granted,
    /// The REGISTER is to go out again at once, changed.
    Again,
    /// It failed; later it may succeed.
    Failed,
    /// It failed, and would again.
    Refused,
    /// The time waited for has come.
    Due,
    /// The flow that carried the last REGISTER is gone.
    FlowLost,
    /// The application wants no binding any more.
    End,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Nothing,
    /// Send the REGISTER.
    Send,
    /// Send the one that removes the binding.
    SendRemoval,
    /// Wait until it is time to refresh.
    AwaitRefresh,
    /// Wait until it is time to try again.
    AwaitRetry,
    /// Tell the end.
    Finish,
}

/// The state, and what decides between two ways on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    state: State,
    /// Refresh and retry, rather than one REGISTER.
    keep: bool,
    /// The registrar has accepted a binding of ours that is not removed yet.
    pub bound: bool,
}

impl Machine {
    pub fn new(keep: bool) -> Self {
        Self { state: State::Idle, keep, bound: false }
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
        use Input::{Again, Due, End, Failed, FlowLost, Granted, Refused, Start};
        use State::{Asking, Bound, Idle, Leaving, Over, Removing, Waiting};
        let stay = (self.state, Act::Nothing);
        let finish = (Over, Act::Finish);
        let remove = (Removing, Act::SendRemoval);
        match (self.state, input) {
            (Idle, Start) | (Bound, Due | FlowLost) | (Waiting, Due) | (Asking, Again) => (Asking, Act::Send),
            (Idle, End) => finish,
            (Asking, Granted) if self.keep => (Bound, Act::AwaitRefresh),
            (Asking, Failed) if self.keep => (Waiting, Act::AwaitRetry),
            (Asking, Granted | Failed | Refused) => finish,
            (Asking, End) => (Leaving, Act::Nothing),
            (Bound, End) => remove,
            (Waiting, End) | (Leaving, Granted | Again | Failed | Refused) if self.bound => remove,
            (Waiting, End) | (Leaving, Granted | Again | Failed | Refused) => finish,
            (Removing, Again) => remove,
            (Removing, Granted | Failed | Refused) => finish,
            // Reports that came too late, or twice.
            (Idle | Bound | Waiting | Leaving | Removing | Over | Asking, _) => stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Idle,
        State::Asking,
        State::Bound,
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
        Input::FlowLost,
        Input::End,
    ];

    /// A row for each state, a column for each input; a dot is "nothing happens". Small letters in front:
    /// s send, r remove, w wait for the refresh, t wait to try again, f finish, - nothing to do.
    const BOUND: [(&str, &str); 7] = [
        //             Start      Granted   Again      Failed     Refused    Due       FlowLost  End
        ("Idle", "     sAsking    .         .          .          .          .         .         fOver"),
        ("Asking", "   .          wBound    sAsking    tWaiting   fOver      .         .         -Leaving"),
        ("Bound", "    .          .         .          .          .          sAsking   sAsking   rRemoving"),
        ("Waiting", "  .          .         .          .          .          sAsking   .         rRemoving"),
        ("Leaving", "  .          rRemoving rRemoving  rRemoving  rRemoving  .         .         ."),
        ("Removing", " .          fOver     rRemoving  fOver      fOver      .         .         ."),
        ("Over", "     .          .         .          .          .          .         .         ."),
    ];

    fn cell(state: State, keep: bool, bound: bool, input: Input) -> String {
        let mut machine = Machine { state, keep, bound };
        let act = machine.take(input);
        let letter = match act {
            Act::Nothing if machine.state == state => return ".".into(),
            Act::Nothing => '-',
            Act::Send => 's',
            Act::SendRemoval => 'r',
            Act::AwaitRefresh => 'w',
            Act::AwaitRetry => 't',
            Act::Finish => 'f',
        };
        format!("{letter}{:?}", machine.state)
    }

    fn expected(state: State, input: Input) -> String {
        let row = BOUND.iter().find(|(name, _)| *name == format!("{state:?}")).map(|(_, row)| row);
        let column = INPUTS.iter().position(|known| *known == input).unwrap();
        row.unwrap().split_whitespace().nth(column).unwrap().to_owned()
    }

    #[test]
    fn every_state_and_every_input() {
        for state in STATES {
            for input in INPUTS {
                assert_eq!(cell(state, true, true, input), expected(state, input), "{state:?} {input:?}");
                // With nothing bound there is nothing to remove.
                let unbound = match expected(state, input) {
                    removal if removal == "rRemoving" && matches!(state, State::Waiting | State::Leaving) => {
                        "fOver".to_owned()
                    }
                    other => other,
                };
                assert_eq!(cell(state, true, false, input), unbound, "{state:?} {input:?}, nothing bound");
                // A single REGISTER is over with its outcome.
                let once = match expected(state, input) {
                    wait if wait == "wBound" || wait == "tWaiting" => "fOver".to_owned(),
                    other => other,
                };
                assert_eq!(cell(state, false, true, input), once, "{state:?} {input:?}, once");
            }
        }
    }

    /// Whatever happens, End and the end of what is under way lead to Over.
    #[test]
    fn the_end_is_always_reached() {
        for state in STATES {
            for outcome in [Input::Granted, Input::Failed, Input::Refused] {
                for bound in [false, true] {
                    let mut machine = Machine { state, keep: true, bound };
                    machine.take(Input::End);
                    machine.take(outcome);
                    machine.take(outcome);
                    assert_eq!(machine.state, State::Over, "{state:?} {outcome:?}");
                }
            }
        }
    }
}
