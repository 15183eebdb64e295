//! Why a publication is over, as an exit status and a text.

use crate::{
    cli::{ExitStatus, Failure, ask, conversation},
    ua::publication::{Adjusted, Cause},
};

/// What the end of a publication means.
pub(super) fn failure(cause: &Cause, target: &str, package: &str) -> Failure {
    match cause {
        Cause::Refused { status, reason, details, .. } => {
            let failure = Failure::response(*status, reason, target);
            let detail = |wanted: &str| {
                let found = details.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.as_str())
            };
            match status {
                404 => failure.hint("check the address: nothing can be published there"),
                405 | 501 => failure.hint("it takes no publications"),
                412 => {
                    failure.hint("what was published is not there any more: leave --etag out to publish anew")
                }
                413 => failure.hint("the document is too large for it"),
                415 => match detail("Accept") {
                    Some(types) => failure.hint(format_args!("it takes {types}")),
                    None => failure,
                },
                489 => match detail("Allow-Events") {
                    Some(known) => failure.hint(format_args!("it does not take {package}, but {known}")),
                    None => failure.hint(format_args!("it does not take {package}")),
                },
                _ => failure,
            }
        }
        Cause::Unauthorized { status, why, offered } => ask::unauthorized(target, *status, why, offered),
        Cause::Failed(why) => conversation::failure(why),
        Cause::Endless => {
            Failure::new(ExitStatus::ServerFailure, format_args!("{target}: {}", reason(cause)))
        }
    }
}

/// Its status code, if it has one.
pub(super) fn code(cause: &Cause) -> Option<u16> {
    match cause {
        Cause::Refused { status, .. } | Cause::Unauthorized { status, .. } => Some(*status),
        Cause::Failed(_) | Cause::Endless => None,
    }
}

/// In a few words.
pub(super) fn reason(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, reason, .. } => format!("{status} {reason}"),
        Cause::Unauthorized { status, why, .. } => format!("{status}: {why}"),
        Cause::Failed(why) => conversation::failure(why).message(),
        Cause::Endless => "the server asks again and again for another PUBLISH".into(),
    }
}

pub(super) fn adjusted(why: &Adjusted) -> String {
    match why {
        Adjusted::TooBrief { asked, least } => {
            format!("{} s is too brief, at least {} s are wanted", asked.as_secs(), least.as_secs())
        }
        Adjusted::Forgotten => {
            "what was published is not known any more: the whole state goes out anew".into()
        }
    }
}
