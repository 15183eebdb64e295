//! `--expect KEY=VALUE`: what a script waits for, and whether it holds.
//!
//! Which keys there are, a package says. A key may stand several times in a state (every activity of a person, every
//! dialog): `=` holds if any of them is equal, `!=` if none is. `KEY[WHO]` looks only at what is said of WHO: a URI, or
//! its user part. Before the first document nothing holds.

use std::{fmt, str::FromStr};

use crate::cli::{Failure, nearest::nearest};

/// An expectation as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    key: String,
    of: Option<String>,
    is: Is,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Equal,
    Different,
    Least,
    Most,
    More,
    Less,
    Holds,
}

impl Is {
    /// Longer signs before those they begin with.
    const ALL: [(&str, Self); 7] = [
        ("!=", Self::Different),
        (">=", Self::Least),
        ("<=", Self::Most),
        ("=", Self::Equal),
        (">", Self::More),
        ("<", Self::Less),
        ("~", Self::Holds),
    ];

    fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, is)| *is == self).map_or("", |(sign, _)| sign)
    }

    const fn is_of_numbers(self) -> bool {
        matches!(self, Self::Least | Self::Most | Self::More | Self::Less)
    }
}

/// Why something is no expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectationError {
    #[error("{0} is no expectation: write it as status=open, voice-new>=1, activity!=away or note~lunch")]
    NoSign(String),
    #[error("{0} compares with nothing")]
    NoValue(String),
}

impl FromStr for Expectation {
    type Err = ExpectationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_sign = || ExpectationError::NoSign(text.to_owned());
        // What stands in brackets may hold signs: URIs do.
        let from = match (text.find('['), text.find(']')) {
            (Some(open), Some(close)) if open < close => close,
            _ => 0,
        };
        let signs = Is::ALL.iter().filter_map(|&(sign, is)| {
            let at = text.get(from..)?.find(sign)?;
            Some((from + at, sign, is))
        });
        // The first one, and of those that begin there the longest.
        let (at, sign, is) =
            signs.min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len()))).ok_or_else(no_sign)?;
        let key = text.get(..at).unwrap_or_default().trim();
        let value = text.get(at + sign.len()..).unwrap_or_default().trim();
        let (key, of) = match key.split_once('[') {
            Some((key, of)) => (key, Some(of.strip_suffix(']').ok_or_else(no_sign)?.to_owned())),
            None => (key, None),
        };
        if key.is_empty() {
            return Err(no_sign());
        }
        if value.is_empty() {
            return Err(ExpectationError::NoValue(text.to_owned()));
        }
        Ok(Self { key: key.to_ascii_lowercase(), of, is, value: value.to_owned() })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(of) = &self.of {
            write!(f, "[{of}]")?;
        }
        write!(f, "{}{}", self.is.sign(), self.value)
    }
}

/// The keys that a package knows: each with what it means; and which of them are numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Keys {
    pub all: &'static [(&'static str, &'static str)],
    pub numbers: &'static [&'static str],
}

/// Something that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Fact {
    pub key: &'static str,
    /// Of whom it is said, where there are several.
    pub of: Option<String>,
    pub value: String,
}

/// Everything that is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Facts(pub Vec<Fact>);

impl Facts {
    pub fn say(&mut self, key: &'static str, value: impl ToString) {
        self.0.push(Fact { key, of: None, value: value.to_string() });
    }

    pub fn say_of(&mut self, of: &str, key: &'static str, value: impl ToString) {
        self.0.push(Fact { key, of: Some(of.to_owned()), value: value.to_string() });
    }
}

impl Expectation {
    /// Whether it can ever hold.
    pub(in crate::cli) fn check(&self, keys: &Keys) -> Result<(), Failure> {
        let names = || keys.all.iter().map(|(name, _)| *name);
        let Some(key) = names().find(|name| *name == self.key) else {
            let known = names().collect::<Vec<_>>().join(", ");
            let failure = Failure::usage(format_args!("--expect {self}: there is no {}", self.key));
            return Err(match nearest(&self.key, names()) {
                Some(nearest) => failure.hint(format_args!("did you mean {nearest}? Known are {known}")),
                None => failure.hint(format_args!("known are {known}")),
            });
        };
        let is_number = keys.numbers.contains(&key);
        if (is_number && self.is != Is::Holds) || self.is.is_of_numbers() {
            if !is_number {
                let what = format_args!("--expect {self}: {key} is no number");
                return Err(Failure::usage(what).hint("compare it with =, != or ~"));
            }
            if self.value.parse::<u64>().is_err() {
                return Err(Failure::usage(format_args!("--expect {self}: {} is no number", self.value)));
            }
        }
        Ok(())
    }

    /// Whether it holds now.
    pub(in crate::cli) fn holds(&self, facts: &Facts) -> bool {
        let mut found = self.found(facts);
        match self.is {
            Is::Different => {
                !facts.0.is_empty() && found.all(|fact| !fact.value.eq_ignore_ascii_case(&self.value))
            }
            Is::Equal => found.any(|fact| fact.value.eq_ignore_ascii_case(&self.value)),
            Is::Holds => {
                let wanted = self.value.to_lowercase();
                found.any(|fact| fact.value.to_lowercase().contains(&wanted))
            }
            Is::Least | Is::Most | Is::More | Is::Less => found.any(|fact| {
                let (Ok(is), Ok(wanted)) = (fact.value.parse::<u64>(), self.value.parse::<u64>()) else {
                    return false;
                };
                match self.is {
                    Is::Least => is >= wanted,
                    Is::Most => is <= wanted,
                    Is::More => is > wanted,
                    _ => is < wanted,
                }
            }),
        }
    }

    /// What is the case instead.
    pub(in crate::cli) fn instead(&self, facts: &Facts) -> String {
        let mut found: Vec<_> = self.found(facts).map(|fact| fact.value.as_str()).collect();
        found.dedup();
        match &found[..] {
            [] if facts.0.is_empty() => format!("expected {self}, but no state came"),
            [] => format!("expected {self}, but there is no {}", self.key),
            found => format!("expected {self}, but it is {}", found.join(", ")),
        }
    }

    fn found<'f>(&'f self, facts: &'f Facts) -> impl Iterator<Item = &'f Fact> {
        facts.0.iter().filter(move |fact| {
            let of =
                self.of.as_deref().is_none_or(|who| fact.of.as_deref().is_some_and(|of| is_called(of, who)));
            fact.key == self.key && of
        })
    }
}

/// Whether somebody meant this URI: the whole of it, without its scheme, or its user part.
pub(super) fn is_called(uri: &str, who: &str) -> bool {
    let bare = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let user = bare.split_once('@').map_or(bare, |(user, _)| user);
    [uri, bare, user].iter().any(|name| name.eq_ignore_ascii_case(who))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys =
        Keys { all: &[("status", ""), ("activity", ""), ("voice-new", "")], numbers: &["voice-new"] };

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.say("status", "open");
        facts.say_of("sip:bob@example.com", "activity", "On-The-Phone");
        facts.say_of("sip:carol@example.com", "activity", "meeting");
        facts.say("voice-new", 3);
        facts
    }

    #[test]
    fn what_holds() {
        for (text, expected) in [
            ("status=open", true),
            ("STATUS = Open", true),
            ("status!=open", false),
            ("status=closed", false),
            ("activity=meeting", true),
            ("activity!=meeting", false),
            ("activity!=away", true),
            ("activity~phone", true),
            ("activity[bob]=meeting", false),
            ("activity[bob]!=meeting", true),
            ("activity[sip:carol@example.com]=meeting", true),
            ("activity[carol@example.com]=meeting", true),
            ("activity[dave]=meeting", false),
            ("voice-new>=3", true),
            ("voice-new>3", false),
            ("voice-new<4", true),
            ("voice-new<=2", false),
            ("voice-new=3", true),
            ("voice-new!=3", false),
        ] {
            let expectation: Expectation = text.parse().expect(text);
            expectation.check(&KEYS).expect(text);
            assert_eq!(expectation.holds(&facts()), expected, "{text}");
            assert!(!expectation.holds(&Facts::default()), "{text}: nothing is known yet");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, told) in [
            ("status", "is no expectation"),
            ("=open", "is no expectation"),
            ("status[x=open", "is no expectation"),
            ("status=", "compares with nothing"),
        ] {
            let told_is = text.parse::<Expectation>().expect_err(text).to_string();
            assert!(told_is.contains(told), "{told_is}");
        }
        for (text, told) in [
            ("sttaus=open", "did you mean status? Known are status, activity, voice-new"),
            ("colour=red", "there is no colour; known are status, activity, voice-new"),
            ("status>=1", "status is no number; compare it with"),
            ("voice-new=many", "many is no number"),
        ] {
            let expectation: Expectation = text.parse().expect(text);
            let failure = expectation.check(&KEYS).expect_err(text).to_string();
            assert!(failure.contains(told), "{failure}");
        }
    }

    #[test]
    fn what_is_the_case_instead() {
        let instead = |text: &str, facts: &Facts| text.parse::<Expectation>().expect(text).instead(facts);
        assert_eq!(instead("status=closed", &facts()), "expected status=closed, but it is open");
        assert_eq!(instead("voice-new>=7", &facts()), "expected voice-new>=7, but it is 3");
        assert_eq!(instead("mood=sad", &facts()), "expected mood=sad, but there is no mood");
        assert_eq!(instead("status=open", &Facts::default()), "expected status=open, but no state came");
    }
}
