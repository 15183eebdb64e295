//! What an answering test endpoint does with a call, chosen by the user part of the Request-URI.

use std::fmt;

use crate::time::Duration;

/// One way to treat a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Answers and sends back what it hears.
    Echo,
    /// Answers and plays a tone of 440 Hz.
    Tone,
    /// Answers and sends silence.
    Silence,
    /// 486.
    Busy,
    /// 603.
    Decline,
    /// 180 and nothing more.
    Ring,
    /// 183 with the tone as early media, answered after [`Behaviour::EARLY`].
    Early,
    /// Answers with the tone, and sends BYE after [`Behaviour::HANGUP`].
    Hangup,
    /// Refuses with this status, 300–699.
    Status(u16),
    /// 302 to `echo` at the same place.
    Redirect,
}

impl Behaviour {
    /// How long early media plays before the answer.
    pub const EARLY: Duration = Duration::from_secs(3);
    /// When `ring` gives up, with 480: a caller that is gone without CANCEL must not be kept for ever.
    pub const RING: Duration = Duration::from_secs(600);
    /// When `hangup` hangs up.
    pub const HANGUP: Duration = Duration::from_secs(2);

    /// The names, and what each does, for help and manual.
    pub const NAMES: [(&'static str, &'static str); 10] = [
        ("echo", "Answered; sends back what it hears. So is every user not listed here."),
        ("tone", "Answered; sends a tone of 440 Hz."),
        ("silence", "Answered; sends silence."),
        ("busy", "486 Busy Here."),
        ("decline", "603 Decline."),
        ("ring", "180 Ringing, and never answered."),
        ("early", "183 with the tone as early media, answered after 3 seconds."),
        ("hangup", "Answered with the tone; hung up with BYE after 2 seconds."),
        ("status-NNN", "Refused with that final status, 300 to 699: status-503. So are MESSAGE and OPTIONS."),
        ("redirect", "302 with a Contact for echo at this server."),
    ];

    /// The behaviour for a user part; `None` for a `status-` that is no status to refuse with.
    pub fn of(user: &str) -> Option<Self> {
        let known = match user.to_ascii_lowercase().as_str() {
            "tone" => Self::Tone,
            "silence" => Self::Silence,
            "busy" => Self::Busy,
            "decline" => Self::Decline,
            "ring" => Self::Ring,
            "early" => Self::Early,
            "hangup" => Self::Hangup,
            "redirect" => Self::Redirect,
            other => match other.strip_prefix("status-") {
                Some(status) => {
                    let status = status.parse().ok().filter(|status| (300..700).contains(status))?;
                    Self::Status(status)
                }
                None => Self::Echo,
            },
        };
        Some(known)
    }

    /// The final status it refuses with, if it does.
    pub const fn refusal(self) -> Option<u16> {
        match self {
            Self::Busy => Some(486),
            Self::Decline => Some(603),
            Self::Redirect => Some(302),
            Self::Status(status) => Some(status),
            Self::Echo | Self::Tone | Self::Silence | Self::Ring | Self::Early | Self::Hangup => None,
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo"),
            Self::Tone => f.write_str("tone"),
            Self::Silence => f.write_str("silence"),
            Self::Busy => f.write_str("busy"),
            Self::Decline => f.write_str("decline"),
            Self::Ring => f.write_str("ring"),
            Self::Early => f.write_str("early"),
            Self::Hangup => f.write_str("hangup"),
            Self::Status(status) => write!(f, "status-{status}"),
            Self::Redirect => f.write_str("redirect"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_help_says() {
        for (name, _) in Behaviour::NAMES {
            let name = name.replace("NNN", "404");
            assert_eq!(Behaviour::of(&name).unwrap().to_string(), name);
        }
        assert_eq!(Behaviour::of("alice"), Some(Behaviour::Echo));
        assert_eq!(Behaviour::of("BUSY"), Some(Behaviour::Busy));
        for bad in ["status-", "status-200", "status-700", "status-4x4", "status-99999"] {
            assert_eq!(Behaviour::of(bad), None, "{bad}");
        }
    }
}
