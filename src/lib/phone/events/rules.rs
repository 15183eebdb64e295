//! Who may watch: rules for watchers, in the words of RFC 5025 §3.2.1. The last one that names a watcher counts.

use std::str::FromStr;

use crate::{message::Uri, presence::pres_rules::SubHandling};

use super::resource;

/// What happens to the subscriptions of a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    who: Who,
    pub handling: SubHandling,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Everybody,
    /// A user at any host.
    User(String),
    Domain(String),
    One(String),
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRule {
    #[error("`{0}` is none of allow, block, polite-block, confirm")]
    Handling(String),
    #[error("`{0}` names no watcher: write USER, USER@HOST or @HOST")]
    Watcher(String),
}

impl FromStr for Rule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let (who, handling) =
            text.rsplit_once('=').map_or((None, text), |(who, handling)| (Some(who), handling));
        let handling = match handling.trim() {
            // What the subscription is then.
            "pending" => SubHandling::Confirm,
            word => word.parse().map_err(|()| NoRule::Handling(word.to_owned()))?,
        };
        let who = match who.map(str::trim) {
            None | Some("*") => Who::Everybody,
            Some(who) => {
                let bare = who.strip_prefix("sip:").or_else(|| who.strip_prefix("sips:")).unwrap_or(who);
                let bare = bare.strip_prefix('*').filter(|rest| rest.starts_with('@')).unwrap_or(bare);
                match bare.rsplit_once('@') {
                    _ if bare.is_empty() || bare.contains(char::is_whitespace) => None,
                    Some((_, "")) => None,
                    Some(("", host)) => Some(Who::Domain(host.to_ascii_lowercase())),
                    Some((user, host)) => Some(Who::One(format!("sip:{user}@{}", host.to_ascii_lowercase()))),
                    None => Some(Who::User(bare.to_owned())),
                }
                .ok_or_else(|| NoRule::Watcher(who.to_owned()))?
            }
        };
        Ok(Self { who, handling })
    }
}

impl Rule {
    fn names(&self, watcher: &str) -> bool {
        match &self.who {
            Who::Everybody => true,
            Who::User(user) => resource::user(watcher) == user,
            Who::Domain(host) => resource::host(watcher) == host,
            Who::One(one) => one == watcher,
        }
    }
}

/// What the rules say of a watcher; without a rule everybody may watch.
pub fn handling(rules: &[Rule], watcher: &Uri<'_>) -> SubHandling {
    let watcher = resource::name(watcher);
    rules.iter().rev().find(|rule| rule.names(&watcher)).map_or(SubHandling::Allow, |rule| rule.handling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::UriBuf;

    #[test]
    fn the_last_rule_that_names_a_watcher_counts() {
        let rules: Vec<Rule> =
            ["confirm", "@Example.com=allow", "eve=polite-block", "sip:eve@example.net=block", "joe=pending"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let of = |uri: &str| handling(&rules, &UriBuf::parse(uri).unwrap().as_uri()).as_str();
        assert_eq!(of("sip:who@192.0.2.1"), "confirm");
        assert_eq!(of("sips:bob@EXAMPLE.com:5061"), "allow");
        assert_eq!(of("sip:eve@example.com"), "polite-block");
        assert_eq!(of("sip:eve@example.net;x=y"), "block");
        assert_eq!(handling(&[], &UriBuf::parse("sip:a@b").unwrap().as_uri()), SubHandling::Allow);
        assert_eq!(
            "x".parse::<Rule>().unwrap_err().to_string(),
            "`x` is none of allow, block, polite-block, confirm"
        );
        for wrong in ["=allow", "a b=allow", "a@=allow", "@=block"] {
            assert!(matches!(wrong.parse::<Rule>(), Err(NoRule::Watcher(_))), "{wrong}");
        }
    }
}
