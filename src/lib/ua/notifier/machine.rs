//! How far a subscription at the notifier is, and what comes next: no message, no clock (RFC 6665 §4.2). Whether it is
//! pending or active is no state of this: both are notified alike.
//!
//! ```text
//!           Accept                    Answered
//!  Asked ──────────► Notifying ◄──────────────────► Held
//!    │                │ │  └─┘ Say                   │  (Say: the newest state goes out)
//!    │                │ └ Answered after Terminate ┐ │ Terminate
//!    │ Refuse         │ Gone                       ▼ ▼
//!    └──────► Over ◄──┴──────────────────────────── Last
//!                             Answered, Gone          (the NOTIFY that says so is under way)
//! ```
//!
//! One NOTIFY at most is under way: what is to be said meanwhile is remembered, the newest state only. A fetch goes from
//! Asked to Last.

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The SUBSCRIBE is not answered; the application decides.
    Asked,
    /// Nothing is under way.
    Held,
    /// A NOTIFY is under way.
    Notifying,
    /// The last one is.
    Last,
    /// Nothing more will happen.
    Over,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The SUBSCRIBE was answered 2xx.
    Accept,
    /// The SUBSCRIBE was refused.
    Refuse,
    /// There is something to say.
    Say,
    /// The NOTIFY got a response that leaves the subscription as it is.
    Answered,
    /// The subscriber is not there any more.
    Gone,
    /// It is to end: expired, unsubscribed, or for another reason.
    Terminate,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Nothing,
    /// Send a NOTIFY of the state as it is.
    Notify,
    /// Send the last one.
    NotifyEnd,
    /// Forget it.
    Finish,
}

/// The state, and what decides between two ways on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    state: State,
    ending: bool,
}

impl Machine {
    pub fn new() -> Self {
        Self { state: State::Asked, ending: false }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn take(&mut self, input: Input) -> Act {
        let (state, act) = self.next(input);
        self.state = state;
        self.ending |= input == Input::Terminate;
        act
    }

    fn next(&self, input: Input) -> (State, Act) {
        use Input::{Accept, Answered, Gone, Refuse, Say, Terminate};
        use State::{Asked, Held, Last, Notifying, Over};
        let last = (Last, Act::NotifyEnd);
        let over = (Over, Act::Finish);
        match (self.state, input) {
            (Asked, Accept) | (Held, Say) => (Notifying, Act::Notify),
            (Asked, Refuse) | (Held | Notifying | Last, Gone) | (Last, Answered) => over,
            (Asked | Held, Terminate) => last,
            (Notifying, Answered) if self.ending => last,
            (Notifying, Answered) => (Held, Act::Nothing),
            // What is to be said is remembered while something is under way; the rest came too late, or twice.
            (Asked | Held | Notifying | Last | Over, _) => (self.state, Act::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [State::Asked, State::Held, State::Notifying, State::Last, State::Over];
    const INPUTS: [Input; 6] =
        [Input::Accept, Input::Refuse, Input::Say, Input::Answered, Input::Gone, Input::Terminate];

    /// A row for each state, a column for each input; a dot is "nothing happens". Small letters in front:
    /// n notify, l notify for the last time, f finish, - nothing to do.
    const TABLE: [(&str, &str); 5] = [
        //              Accept      Refuse Say        Answered Gone   Terminate
        ("Asked", "     nNotifying  fOver  .          .        .      lLast"),
        ("Held", "      .           .      nNotifying .        fOver  lLast"),
        ("Notifying", " .           .      .          -Held    fOver  ."),
        ("Last", "      .           .      .          fOver    fOver  ."),
        ("Over", "      .           .      .          .        .      ."),
    ];

    #[test]
    fn every_state_and_every_input() {
        for (row, state) in STATES.into_iter().enumerate() {
            for (column, input) in INPUTS.into_iter().enumerate() {
                for ending in [false, true] {
                    let mut machine = Machine { state, ending };
                    let letter = match machine.take(input) {
                        Act::Nothing if machine.state == state => '.',
                        Act::Nothing => '-',
                        Act::Notify => 'n',
                        Act::NotifyEnd => 'l',
                        Act::Finish => 'f',
                    };
                    let after =
                        if letter == '.' { ".".into() } else { format!("{letter}{:?}", machine.state) };
                    let expected = TABLE[row].1.split_whitespace().nth(column).unwrap();
                    // What is to end ends as soon as nothing is under way.
                    let expected = if ending && expected == "-Held" { "lLast" } else { expected };
                    assert_eq!(format!("{state:?}"), TABLE[row].0);
                    assert_eq!(after, expected, "{state:?} {input:?} {ending}");
                }
            }
        }
    }

    #[test]
    fn the_end_is_always_reached() {
        for state in STATES {
            for answer in [Input::Answered, Input::Gone] {
                let mut machine = Machine { state, ending: false };
                machine.take(Input::Terminate);
                machine.take(answer);
                machine.take(answer);
                assert_eq!(machine.state, State::Over, "{state:?} {answer:?}");
            }
        }
    }
}
