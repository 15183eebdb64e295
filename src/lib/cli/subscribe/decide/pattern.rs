//! `--allow` and `--block`: whom a pattern means.
//!
//! User and host are compared apart from each other, each with `*` for any characters, so that a user part cannot look
//! like a host. The host counts without regard to case, scheme and parameters not at all.

use std::{fmt, str::FromStr};

/// `user@host` with asterisks, or `*` alone for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Nothing: everybody.
    parts: Option<(String, String)>,
}

/// Why something is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A user without a host would mean users of any host.
    #[error("{0} names no domain: write it as bob@example.com, *@example.com or *")]
    NoDomain(String),
    /// Parameters and the like are not compared.
    #[error("{0} is no pattern: write it as bob@example.com, *@example.com or *")]
    NoPattern(String),
}

impl Pattern {
    /// Whether this URI is meant.
    pub(super) fn means(&self, uri: &str) -> bool {
        let Some((user, host)) = &self.parts else { return true };
        parts(uri).is_some_and(|(its_user, its_host)| {
            matches(user, its_user) && matches(host, &its_host.to_ascii_lowercase())
        })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self { parts: None });
        }
        if !text.contains('@') {
            return Err(PatternError::NoDomain(text.to_owned()));
        }
        let whole = if has_scheme(text) { text.to_owned() } else { format!("sip:{text}") };
        match parts(&whole).filter(|_| !text.contains([';', '?', '<', ' '])) {
            Some((user, host)) => Ok(Self { parts: Some((user.to_owned(), host.to_ascii_lowercase())) }),
            None => Err(PatternError::NoPattern(text.to_owned())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts {
            None => f.write_str("*"),
            Some((user, host)) => write!(f, "{user}@{host}"),
        }
    }
}

fn has_scheme(text: &str) -> bool {
    ["sip:", "sips:", "pres:"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
}

/// User and host of an address of record; nothing if it is none.
fn parts(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.split_once(':').filter(|_| has_scheme(uri))?.1;
    // An at sign can stand only once outside of parameters, and a user part has its own escaped (RFC 3261 §25.1).
    let (user, host) = rest.split_once('@')?;
    let host = host.split([';', '?']).next().unwrap_or_default();
    let is_whole = !user.is_empty() && !host.is_empty() && !host.contains('@');
    is_whole.then_some((user, host))
}

/// Compares with asterisks, without going back further than to the last one.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece).and_then(|at| rest.get(at + piece.len()..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_pattern_means() {
        for (pattern, uri, means) in [
            ("*", "sip:bob@example.com", true),
            ("*", "tel:+1", true),
            ("*@example.com", "sip:bob@Example.com", true),
            ("*@example.com", "sips:bob@example.com;transport=tcp", true),
            ("*@example.com", "sip:bob@a.example.com", false),
            ("*@*.example.com", "sip:bob@a.example.com", true),
            ("sip:b*b@EXAMPLE.com", "pres:bob@example.com", true),
            ("b*b@example.com", "sip:b@example.com", false),
            ("bob@example.com", "sip:bob@example.com.evil.example", false),
            ("bob@example.com", "sip:Bob@example.com", false),
            // What only looks like the host.
            ("*@example.com", "sip:eve@evil.example;x=@example.com", false),
            ("*@example.com", "sip:eve@evil.example?x=@example.com", false),
            ("*@example.com", "sip:eve@evil.example@example.com", false),
            ("*@example.com", "sip:example.com", false),
            ("*@example.com", "http://a@example.com", false),
            ("a*b*c@x", "sip:a-b-b-c@x", true),
            ("a*b*c@x", "sip:a-c-b@x", false),
        ] {
            let read: Pattern = pattern.parse().expect(pattern);
            assert_eq!(read.means(uri), means, "{pattern} {uri}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for text in ["bob", "", "@", "bob@", "@example.com", "a@b@c", "a@b;x", "Bob <sip:bob@example.com>"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
