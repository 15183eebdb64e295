//! Why a subscription is over, as an exit status and a text.

use crate::{
    cli::{ExitStatus, Failure, ask, conversation},
    ua::{
        package::{Reason, Termination},
        subscription::{Adjusted, Cause},
    },
};

/// What the end of a subscription means; nothing where it was no failure.
pub(super) fn failure(cause: &Cause, target: &str, package: &str) -> Option<Failure> {
    Some(match cause {
        Cause::Refused { status, reason, retry_after, details } => {
            let failure = refused(*status, reason, details, target, package);
            match retry_after {
                Some(after) => failure.hint(format_args!("it says to try again in {} s", after.as_secs())),
                None => failure,
            }
        }
        Cause::Unauthorized { status, why, offered } => ask::unauthorized(target, *status, why, offered),
        Cause::Failed(why) => conversation::failure(why),
        Cause::Terminated(Termination { reason: Some(Reason::Invariant), .. }) => return None,
        Cause::Terminated(termination) => {
            let status = match &termination.reason {
                Some(Reason::Rejected) => ExitStatus::Declined,
                Some(Reason::NoResource) => ExitStatus::NotFound,
                Some(Reason::Giveup) => ExitStatus::NotAnswered,
                _ => ExitStatus::ServerFailure,
            };
            let failure = Failure::new(status, format_args!("{target}: {}", reason(cause)));
            match &termination.reason {
                Some(Reason::Rejected) => failure.hint("it is not allowed to you to watch this"),
                Some(Reason::NoResource) => failure.hint("check the target"),
                Some(Reason::Giveup) => {
                    failure.hint("nobody decided in time whether you may watch; try again")
                }
                _ => failure,
            }
        }
        Cause::Silent => Failure::new(ExitStatus::NoResponse, format_args!("{target}: {}", reason(cause)))
            .hint("its NOTIFY may be lost on the way: check a firewall, or use --transport tcp"),
        Cause::Expired => Failure::new(ExitStatus::NoResponse, format_args!("{target}: {}", reason(cause))),
        Cause::Endless => {
            Failure::new(ExitStatus::ServerFailure, format_args!("{target}: {}", reason(cause)))
        }
    })
}

fn refused(status: u16, reason: &str, details: &[(String, String)], target: &str, package: &str) -> Failure {
    let failure = Failure::response(status, reason, target);
    let detail = |wanted: &str| {
        let found = details.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let told = |header: &str, what: &str, otherwise: &str| match detail(header) {
        Some(value) => format!("{what} {value}"),
        None => otherwise.to_owned(),
    };
    match status {
        403 => failure.hint("check --user and the password, and whether you may watch this"),
        405 | 501 => failure.hint("it takes no subscriptions"),
        406 | 415 => failure.hint(told("Accept", "it can say", "try another --accept")),
        420 => failure.hint(told("Unsupported", "it cannot do", "it cannot do what we require")),
        421 => failure.hint("it wants what we cannot do"),
        480 => failure.hint("nobody is there who could tell; try again later"),
        489 => {
            let otherwise = format!("it does not know {package}, and does not say what it knows");
            failure.hint(told("Allow-Events", &format!("it does not know {package}, but"), &otherwise))
        }
        488 | 606 => failure.hint("nothing that it could tell suits us"),
        _ => failure,
    }
}

/// Its status code, if it has one.
pub(super) fn code(cause: &Cause) -> Option<u16> {
    match cause {
        Cause::Refused { status, .. } | Cause::Unauthorized { status, .. } => Some(*status),
        _ => None,
    }
}

/// In a few words.
pub(super) fn reason(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, reason, .. } => format!("{status} {reason}"),
        Cause::Unauthorized { status, why, .. } => format!("{status}: {why}"),
        Cause::Failed(why) => conversation::failure(why).message(),
        Cause::Silent => "the subscription was accepted, but no NOTIFY came".into(),
        Cause::Expired => "the subscription could not be refreshed in time".into(),
        Cause::Endless => "the notifier asks again and again for another SUBSCRIBE".into(),
        Cause::Terminated(Termination { reason, .. }) => match reason {
            None => "the notifier ended the subscription".into(),
            Some(Reason::Deactivated) => "the notifier moves the subscription elsewhere (deactivated)".into(),
            Some(Reason::Probation) => "the notifier ended the subscription for now (probation)".into(),
            Some(Reason::Rejected) => "the subscription was rejected".into(),
            Some(Reason::Timeout) => "the subscription ran out (timeout)".into(),
            Some(Reason::Giveup) => "the notifier could not get a decision in time (giveup)".into(),
            Some(Reason::NoResource) => "what was watched is not there any more (noresource)".into(),
            Some(Reason::Invariant) => "it will not change any more (invariant)".into(),
            Some(Reason::Other(word)) => format!("the notifier ended the subscription ({word})"),
        },
    }
}

pub(super) fn adjusted(why: &Adjusted) -> String {
    match why {
        Adjusted::TooBrief { asked, least } => {
            format!("{} s is too brief, at least {} s are wanted", asked.as_secs(), least.as_secs())
        }
        Adjusted::Redirected { status, to } => format!("{status}: sent on to {to}"),
    }
}
