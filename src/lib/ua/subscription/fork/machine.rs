//! How far one subscription within its dialog is, and what comes next: no message, no clock (RFC 6665 §4.1.2.2,
//! §4.1.2.3). It begins with the NOTIFY that made it.
//!
//! ```text
//!              ┌─────────── Granted after a NOTIFY, Quiet, Failed ──────────┐
//!              ▼                                                            │
//!            Live ── Due ──► Asking ── Granted ──► Awaiting                 │
//!              ▲              │ │ └┘ Again            │ │                   │
//!              │              │ └─────────────────────┼─┼───────────────────┘
//!              └──────────────┼────── Notified ───────┘ │
//!            End              │ End                     │ End
//!             │               ▼                         │
//!             │            Parting ── its SUBSCRIBE ends┤
//!             ▼                                         ▼
//!             └────────────────────────────────────► Leaving ── Granted ──► Last ──► Gone
//!                                                     │  └┘ Again
//!                                                     └── Quiet, Failed ──► Gone
//! ```
//!
//! Terminated (by a NOTIFY, by what the notifier answers, by timer N or for want of a refresh) leads to Gone from
//! everywhere. No second SUBSCRIBE leaves before the first one's end: that is what Parting waits for.

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It holds; the refresh is to come.
    Live,
    /// A SUBSCRIBE is under way.
    Asking,
    /// It was accepted; the NOTIFY that follows is to come.
    Awaiting,
    /// A SUBSCRIBE is under way, and the subscription is not wanted any more.
    Parting,
    /// The SUBSCRIBE that ends it is under way.
    Leaving,
    /// That was accepted; the last NOTIFY is to come.
    Last,
    /// Nothing more will happen.
    Gone,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// It is time to refresh, or the application wants to be notified.
    Due,
    /// A 2xx: a NOTIFY follows, or came already.
    Granted,
    /// A 204: no NOTIFY follows (RFC 5839 §7.1).
    Quiet,
    /// A NOTIFY of a subscription that goes on.
    Notified,
    /// The SUBSCRIBE is to go out again at once, changed.
    Again,
    /// It failed, and the subscription holds.
    Failed,
    /// The subscription is over.
    Terminated,
    /// The application wants it no more.
    End,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Nothing,
    /// Send the SUBSCRIBE that refreshes.
    Send,
    /// Send the one that ends it.
    SendEnd,
    /// Wait until it is time to refresh.
    AwaitRefresh,
    /// Wait until it is time to try again.
    AwaitRetry,
    /// It is over.
    Finish,
}

/// The state, and what decides between two ways on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    state: State,
    /// A NOTIFY has come since the SUBSCRIBE under way left.
    notified: bool,
}

impl Machine {
    pub fn new() -> Self {
        Self { state: State::Live, notified: false }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether a NOTIFY is owed for a SUBSCRIBE: timer N runs.
    pub fn is_awaiting(&self) -> bool {
        match self.state {
            State::Asking | State::Parting => !self.notified,
            State::Awaiting | State::Leaving | State::Last => true,
            State::Live | State::Gone => false,
        }
    }

    pub fn take(&mut self, input: Input) -> Act {
        let (state, act) = self.next(input);
        self.state = state;
        match (act, input) {
            (Act::Send | Act::SendEnd, _) => self.notified = false,
            (_, Input::Notified) => self.notified = true,
            _ => {}
        }
        act
    }

    fn next(&self, input: Input) -> (State, Act) {
        use Input::{Again, Due, End, Failed, Granted, Notified, Quiet, Terminated};
        use State::{Asking, Awaiting, Gone, Last, Leaving, Live, Parting};
        let (send, leave) = ((Asking, Act::Send), (Leaving, Act::SendEnd));
        let (gone, refreshed) = ((Gone, Act::Finish), (Live, Act::AwaitRefresh));
        match (self.state, input) {
            (Live | Asking | Awaiting | Parting | Leaving | Last, Terminated) => gone,
            (Live | Awaiting, Due) | (Asking, Again) => send,
            (Live | Awaiting, Notified) | (Asking, Quiet) => refreshed,
            (Asking, Granted) if self.notified => refreshed,
            (Asking, Granted) => (Awaiting, Act::Nothing),
            (Asking, Failed) => (Live, Act::AwaitRetry),
            (Asking, End) => (Parting, Act::Nothing),
            (Live | Awaiting, End) | (Parting, Granted | Quiet | Again | Failed) | (Leaving, Again) => leave,
            (Leaving, Granted) => (Last, Act::Nothing),
            // RFC 5839 §5.7: that concludes it.
            (Leaving, Quiet | Failed) => gone,
            // Reports that came too late, or twice; NOTIFYs that crossed the SUBSCRIBE.
            (Live | Asking | Awaiting | Parting | Leaving | Last | Gone, _) => (self.state, Act::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Live,
        State::Asking,
        State::Awaiting,
        State::Parting,
        State::Leaving,
        State::Last,
        State::Gone,
    ];
    const INPUTS: [Input; 8] = [
        Input::Due,
        Input::Granted,
        Input::Quiet,
        Input::Notified,
        Input::Again,
        Input::Failed,
        Input::Terminated,
        Input::End,
    ];

    /// A row for each state, a column for each input; a dot is "nothing happens". Small letters in front:
    /// s send, l leave, w wait for the refresh, t wait to try again, f finish, - nothing to do.
    const TABLE: [(&str, &str); 7] = [
        //             Due      Granted   Quiet    Notified  Again    Failed   Terminated End
        ("Live", "     sAsking  .         .        wLive     .        .        fGone      lLeaving"),
        ("Asking", "   .        -Awaiting wLive    .         sAsking  tLive    fGone      -Parting"),
        ("Awaiting", " sAsking  .         .        wLive     .        .        fGone      lLeaving"),
        ("Parting", "  .        lLeaving  lLeaving .         lLeaving lLeaving fGone      ."),
        ("Leaving", "  .        -Last     fGone    .         lLeaving fGone    fGone      ."),
        ("Last", "     .        .         .        .         .        .        fGone      ."),
        ("Gone", "     .        .         .        .         .        .        .          ."),
    ];

    fn cell(machine: Machine, input: Input) -> String {
        let mut after = machine;
        let letter = match after.take(input) {
            Act::Nothing if after.state == machine.state => return ".".into(),
            Act::Nothing => '-',
            Act::Send => 's',
            Act::SendEnd => 'l',
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
                let expected = TABLE[row].1.split_whitespace().nth(column).unwrap();
                assert_eq!(format!("{state:?}"), TABLE[row].0);
                assert_eq!(cell(Machine { state, notified: false }, input), expected, "{state:?} {input:?}");
                // Where the NOTIFY came before the 2xx there is nothing more to wait for.
                let notified = if expected == "-Awaiting" { "wLive" } else { expected };
                assert_eq!(cell(Machine { state, notified: true }, input), notified, "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn timer_n_runs_until_a_notify() {
        let mut machine = Machine::new();
        assert!(!machine.is_awaiting());
        machine.take(Input::Due);
        assert!(machine.is_awaiting());
        machine.take(Input::Notified);
        assert!(!machine.is_awaiting());
        machine.take(Input::Granted);
        assert_eq!(machine.state, State::Live);
        // Once more, and the other way round; what came before does not count.
        machine.take(Input::Due);
        machine.take(Input::Granted);
        assert!(machine.is_awaiting());
        machine.take(Input::Notified);
        assert_eq!(machine.state, State::Live);
        // Only the last NOTIFY will do for the end.
        machine.take(Input::End);
        machine.take(Input::Notified);
        machine.take(Input::Granted);
        assert!(machine.is_awaiting());
    }

    #[test]
    fn the_end_is_always_reached() {
        for state in STATES {
            for outcome in [Input::Quiet, Input::Failed, Input::Terminated] {
                let mut machine = Machine { state, notified: false };
                machine.take(Input::End);
                machine.take(outcome);
                machine.take(Input::Quiet);
                machine.take(Input::Terminated);
                assert_eq!(machine.state, State::Gone, "{state:?} {outcome:?}");
            }
        }
    }
}
