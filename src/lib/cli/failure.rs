//! What a program returns when it did not get what was asked for: the exit status and a message for a person.
//!
//! A good message says what was expected, what came, from whom, and what to try. Here, at the very top, errors
//! become text; every layer below keeps them as data.

use std::fmt;

use super::{exit::ExitStatus, printable::Printable, stop::Why};

/// The reason a program did not reach its goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: ExitStatus,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn new(status: ExitStatus, message: impl fmt::Display) -> Self {
        Self { status, message: message.to_string(), hint: None }
    }

    /// A mistake in flags or configuration: exit status 2.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// A final response other than the one hoped for; `from` is the peer's address.
    pub fn response(code: u16, reason: &str, from: impl fmt::Display) -> Self {
        let failure = Self::new(
            ExitStatus::from_sip(code),
            format_args!("{from} answered {code} {reason}").to_string().trim_end_matches(' '),
        );
        match code {
            300..=399 => {
                failure.hint("call the address of its Contact yourself; redirections are not followed")
            }
            401 | 407 => failure.hint("check --user and the password (--password-file or SIPKIT_PASSWORD)"),
            403 => failure.hint("check --user and the password, and whether this call is allowed to you"),
            404 => failure.hint("check the user part of the target"),
            488 | 606 => failure.hint("offer other codecs with --codec"),
            _ => failure,
        }
    }

    /// Adds what the user may try.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// The message without the hint, in one line free of control characters.
    pub fn message(&self) -> String {
        Printable(&self.message).to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "; {}", Printable(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Being told to stop before the goal was reached.
impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        match why {
            Why::Deadline => Self::new(ExitStatus::Deadline, "the --timeout deadline passed"),
            Why::Defect => Self::new(ExitStatus::Defect, "a part of the program failed"),
            Why::Interrupt => Self::new(ExitStatus::Interrupted, "interrupted"),
            Why::OutputClosed => {
                Self::new(ExitStatus::Interrupted, "the reader of standard output went away")
            }
            Why::Terminate => Self::new(ExitStatus::Interrupted, "terminated by a signal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_names_the_peer_and_what_to_try() {
        let failure = Failure::response(401, "Unauthorized", "192.0.2.1:5060");
        assert_eq!(failure.status(), ExitStatus::AuthenticationFailed);
        assert_eq!(
            failure.to_string(),
            "192.0.2.1:5060 answered 401 Unauthorized; check --user and the password (--password-file or SIPKIT_PASSWORD)"
        );
    }

    #[test]
    fn a_hostile_reason_cannot_reach_the_terminal() {
        let failure = Failure::response(486, "\x1b[2Jgone\r\n", "192.0.2.1");
        assert_eq!(failure.to_string(), "192.0.2.1 answered 486 \\x1b[2Jgone\\r\\n");
    }
}
