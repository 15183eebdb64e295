//! Next hops and routing rules as they are written.

use std::str::FromStr;

use regex::Regex;

use crate::{
    message::UriBuf,
    proxy::{Hop, Match, Rule},
};

/// `--next-hop URI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopUri(pub Hop);

/// `--route MATCH=URI[,URI...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule(pub Rule);

/// What is wrong with one of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("write it as MATCH=URI, such as a.example=sip:192.0.2.7")]
    NoTarget,
    #[error("`{uri}` is no SIP URI: {why}")]
    Uri { uri: String, why: String },
    #[error("the regular expression does not end: write it as /EXPRESSION/=URI")]
    Open,
    #[error("{0}")]
    Pattern(String),
    #[error("`{0}` is no host name")]
    Host(String),
}

impl FromStr for HopUri {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong =
            |why: &dyn std::fmt::Display| RuleError::Uri { uri: text.to_owned(), why: why.to_string() };
        // As elsewhere, the scheme may be left out.
        let uri = match UriBuf::parse(text) {
            Ok(uri) if uri.as_uri().is_sip() => uri,
            _ => UriBuf::parse(&format!("sip:{text}")).map_err(|why| wrong(&why))?,
        };
        Hop::new(uri).map(Self).map_err(|why| wrong(&why))
    }
}

impl FromStr for RouteRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (when, targets) = match text.strip_prefix('/') {
            Some(rest) => {
                let (pattern, targets) = rest.rsplit_once("/=").ok_or(RuleError::Open)?;
                let pattern =
                    Regex::new(pattern).map_err(|why| RuleError::Pattern(last_line(&why.to_string())))?;
                (Match::Pattern(pattern), targets)
            }
            None => {
                let (domain, targets) = text.split_once('=').ok_or(RuleError::NoTarget)?;
                let name = domain.strip_prefix("*.").unwrap_or(domain);
                let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
                if name.is_empty() || !name.bytes().all(is_host) {
                    return Err(RuleError::Host(domain.to_owned()));
                }
                (Match::Domain(domain.strip_suffix('.').unwrap_or(domain).to_owned()), targets)
            }
        };
        let hops = match targets {
            "dns" => Vec::new(),
            targets => targets
                .split(',')
                .map(|target| target.trim().parse().map(|HopUri(hop)| hop))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self(Rule { when, hops }))
    }
}

/// The explanation of a regular expression's mistake has a picture before it.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rule = |text: &str| {
            text.parse::<RouteRule>().map(|RouteRule(rule)| {
                let when = match rule.when {
                    Match::Any => "any".to_owned(),
                    Match::Domain(domain) => domain,
                    Match::Pattern(pattern) => format!("/{pattern}/"),
                };
                let hops: Vec<_> = rule.hops.iter().map(|hop| hop.uri().as_str().to_owned()).collect();
                (when, hops.join(" "))
            })
        };
        let table = [
            ("a.example=sip:192.0.2.7", "a.example", "sip:192.0.2.7"),
            ("*.a.example=192.0.2.7:5070,sips:b.example", "*.a.example", "sip:192.0.2.7:5070 sips:b.example"),
            ("a.example.=dns", "a.example", ""),
            (
                "[2001:db8::1]=sip:[2001:db8::2];transport=tcp",
                "[2001:db8::1]",
                "sip:[2001:db8::2];transport=tcp",
            ),
            ("/^sip:[0-9]+@x/=/=sip:gw.example", "/^sip:[0-9]+@x/=/", "sip:gw.example"),
        ];
        for (text, when, hops) in table {
            assert_eq!(rule(text), Ok((when.to_owned(), hops.to_owned())), "{text}");
        }
        let wrong = [
            ("a.example", "write it as MATCH=URI"),
            ("/abc", "does not end"),
            ("/(/=sip:a", "unclosed group"),
            ("a b=sip:a", "no host name"),
            ("=sip:a", "no host name"),
            ("a.example=", "is no SIP URI"),
            ("a.example=sip:b.example,,", "is no SIP URI"),
            ("a.example=sip:b.example;transport=pigeon", "is no SIP URI"),
        ];
        for (text, why) in wrong {
            let mistake = rule(text).expect_err(text).to_string();
            assert!(mistake.contains(why), "{text}: {mistake}");
        }
    }
}
