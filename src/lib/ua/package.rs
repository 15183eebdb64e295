//! Event packages (RFC 6665 §5) behind one small trait, for subscriber and notifier alike, and what both say of a
//! subscription's state (§8.2.3). What is in a document is none of their business.

use std::fmt;

use crate::{
    message::{Message, Params, header},
    time::Duration,
};

/// An event package: what a specification settles for everybody who subscribes to it or notifies of it (§5.4).
pub trait Package: fmt::Debug + Send + Sync {
    /// The token in Event, with its templates: `presence`, `presence.winfo` (§5.4.1).
    fn name(&self) -> &str;

    /// The media types of its documents, the default one first (§5.4.5).
    fn types(&self) -> &[&str];

    /// How long a subscription lasts if nothing is said (§5.4.4).
    fn expires(&self) -> Duration {
        Duration::from_secs(3600)
    }

    /// The least time between two notifications of one subscription (§5.4.10). Zero: no bound.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether one SUBSCRIBE may lead to several subscriptions (§5.4.9).
    fn forks(&self) -> bool {
        false
    }
}

/// A package that is no more than what its specification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// See [`Package::name`], and so on.
    pub name: &'static str,
    pub types: &'static [&'static str],
    pub expires: Duration,
    pub pace: Duration,
    pub forks: bool,
}

impl Package for Known {
    fn name(&self) -> &str {
        self.name
    }

    fn types(&self) -> &[&str] {
        self.types
    }

    fn expires(&self) -> Duration {
        self.expires
    }

    fn pace(&self) -> Duration {
        self.pace
    }

    fn forks(&self) -> bool {
        self.forks
    }
}

impl Known {
    /// The packages there are constants for.
    pub const ALL: [Self; 7] =
        [PRESENCE, PRESENCE_WINFO, MESSAGE_SUMMARY, DIALOG, CONFERENCE, REGISTRATION, XCAP_DIFF];

    const fn of(name: &'static str, types: &'static [&'static str], pace: u64) -> Self {
        let (expires, pace) = (Duration::from_secs(3600), Duration::from_secs(pace));
        Self { name, types, expires, pace, forks: false }
    }

    const fn forking(self) -> Self {
        Self { forks: true, ..self }
    }
}

/// RFC 3856 §6.
pub const PRESENCE: Known = Known::of("presence", &["application/pidf+xml"], 5);
/// RFC 3857 §4.
pub const PRESENCE_WINFO: Known = Known::of("presence.winfo", &["application/watcherinfo+xml"], 5).forking();
/// RFC 3842 §3. Its notifiers hold back as they like.
pub const MESSAGE_SUMMARY: Known =
    Known::of("message-summary", &["application/simple-message-summary"], 0).forking();
/// RFC 4235 §3.
pub const DIALOG: Known = Known::of("dialog", &["application/dialog-info+xml"], 1).forking();
/// RFC 4575 §3.
pub const CONFERENCE: Known = Known::of("conference", &["application/conference-info+xml"], 5);
/// RFC 3680 §4: a little longer than a registration lasts.
pub const REGISTRATION: Known =
    Known { expires: Duration::from_secs(3761), ..Known::of("reg", &["application/reginfo+xml"], 5) };
/// RFC 5875 §4.
pub const XCAP_DIFF: Known = Known::of("xcap-diff", &["application/xcap-diff+xml"], 5);

/// What a Subscription-State says of a subscription (§4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted, and in general authorized.
    Active,
    /// Received; whether it is authorized is not settled.
    Pending,
    /// Over.
    Terminated(Termination),
    /// Any other word. The subscription goes on.
    Other(String),
}

impl State {
    /// Reads the Subscription-State of a NOTIFY with the time that is left, if it says; `None` if there is none that
    /// can be read.
    pub fn of(notify: &Message) -> Option<(Self, Option<Duration>)> {
        let value = notify.find::<header::SubscriptionState>().ok()??;
        // An expiry has no meaning in what is over (§4.1.3).
        let expires = value.params.number("expires").map(Duration::from_secs);
        Some(match value.token {
            word if word.eq_ignore_ascii_case("active") => (Self::Active, expires),
            word if word.eq_ignore_ascii_case("pending") => (Self::Pending, expires),
            word if word.eq_ignore_ascii_case("terminated") => {
                (Self::Terminated(Termination::of(&value.params)), None)
            }
            word => (Self::Other(word.to_owned()), expires),
        })
    }

    /// The word itself.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Terminated(_) => "terminated",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::Terminated(Termination { reason: Some(reason), .. }) => write!(f, " ({reason})"),
            _ => Ok(()),
        }
    }
}

/// Why a subscription is over, and when another one may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Termination {
    pub reason: Option<Reason>,
    /// As it came; whether it means something depends on the reason.
    pub retry_after: Option<Duration>,
}

impl Termination {
    fn of(params: &Params<'_>) -> Self {
        Self {
            reason: params.value("reason").map(Reason::parse),
            retry_after: params.number("retry-after").map(Duration::from_secs),
        }
    }
}

/// The reasons of §4.1.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Subscribe again at once: another notifier has taken over (§4.4.2).
    Deactivated,
    /// Subscribe again later.
    Probation,
    /// Not authorized any more.
    Rejected,
    /// Not refreshed, or only fetched.
    Timeout,
    /// Nobody decided about it in time.
    Giveup,
    /// What was watched is not there any more.
    NoResource,
    /// It will not change.
    Invariant,
    /// Of another specification.
    Other(String),
}

impl Reason {
    /// By name, in any case.
    pub fn parse(word: &str) -> Self {
        let known = [
            Self::Deactivated,
            Self::Probation,
            Self::Rejected,
            Self::Timeout,
            Self::Giveup,
            Self::NoResource,
            Self::Invariant,
        ];
        let same = |reason: &Self| reason.as_str().eq_ignore_ascii_case(word);
        known.into_iter().find(same).unwrap_or_else(|| Self::Other(word.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Probation => "probation",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Giveup => "giveup",
            Self::NoResource => "noresource",
            Self::Invariant => "invariant",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The package a message names in Event, and its `id`.
pub fn event(message: &Message) -> Option<(&str, Option<&str>)> {
    let event = message.find::<header::Event>().ok()??;
    Some((event.token, event.params.value("id")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Builder, HeaderId, Method};

    fn read(value: &str) -> Option<(State, Option<Duration>)> {
        let notify =
            Builder::request(Method::Notify, "sip:a@b").header(HeaderId::SubscriptionState, value).finish();
        State::of(&notify)
    }

    #[test]
    fn states_are_read() {
        let over = |reason, retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            Some((State::Terminated(Termination { reason, retry_after }), None))
        };
        let left = Some(Duration::from_secs(59));
        assert_eq!(read("active;expires=59"), Some((State::Active, left)));
        assert_eq!(read("Pending ; expires=59"), Some((State::Pending, left)));
        assert_eq!(read("active"), Some((State::Active, None)));
        assert_eq!(read("waiting;expires=x"), Some((State::Other("waiting".into()), None)));
        assert_eq!(read("terminated"), over(None, None));
        assert_eq!(
            read("terminated;reason=Probation;retry-after=7;expires=59"),
            over(Some(Reason::Probation), Some(7))
        );
        assert_eq!(
            read("terminated;reason=odd;retry-after=-1"),
            over(Some(Reason::Other("odd".into())), None)
        );
        assert_eq!(read(";"), None);
    }

    #[test]
    fn packages_are_told_apart_by_name() {
        for (at, package) in Known::ALL.iter().enumerate() {
            assert!(!package.types().is_empty());
            assert!(Known::ALL[..at].iter().all(|other| other.name() != package.name()));
        }
    }
}
