//! Who may watch whom: rules for watchers, in the words of RFC 5025 §3.2.1. The last one that names both counts.

use std::str::FromStr;

use crate::{message::Uri, presence::pres_rules::SubHandling};

use super::resource;

/// What happens to the subscriptions of a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    watcher: Who,
    watched: Who,
    pub handling: SubHandling,
}

/// Users and hosts, as patterns: a star stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Who {
    user: String,
    host: String,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRule {
    #[error("`{0}` is none of allow, block, polite-block, confirm")]
    Handling(String),
    #[error("`{0}` names nobody: write USER, USER@HOST or @HOST, without a port; * stands for anything")]
    Who(String),
}

/// What watchers see of it, for a manual.
pub const RULES: [(&str, &str); 4] = [
    ("allow", "They are told the state."),
    ("block", "Their subscriptions are refused (403); in a list that member is rejected."),
    ("polite-block", "They are told that nobody is there, whatever is the case."),
    (
        "confirm",
        "Their subscriptions are pending, and told nothing: the decision never comes. Also: pending.",
    ),
];

/// `[WATCHER][:WATCHED]=HANDLING`.
impl FromStr for Rule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let (who, handling) = text.rsplit_once('=').unwrap_or(("*", text));
        let handling = match handling.trim() {
            // What the subscription is then.
            "pending" => SubHandling::Confirm,
            word => word.parse().map_err(|()| NoRule::Handling(word.to_owned()))?,
        };
        let (watcher, watched) = halves(who.trim());
        // Neither of them is nobody at all.
        if watcher.is_empty() && watched.is_none() {
            return Err(NoRule::Who(who.to_owned()));
        }
        let watcher = if watcher.is_empty() { "*" } else { watcher };
        Ok(Self { watcher: watcher.parse()?, watched: watched.unwrap_or("*").parse()?, handling })
    }
}

/// The watcher, and who is watched: what follows a colon that belongs to no scheme and no IPv6 address.
fn halves(text: &str) -> (&str, Option<&str>) {
    let scheme = text.len() - bare(text).len();
    let mut is_within = false;
    let colon = text.bytes().enumerate().skip(scheme).find(|&(_, byte)| {
        match byte {
            b'[' => is_within = true,
            b']' => is_within = false,
            _ => {}
        }
        byte == b':' && !is_within
    });
    match colon.and_then(|(at, _)| text.split_at_checked(at)) {
        Some((watcher, watched)) => (watcher.trim(), watched.get(1..).map(str::trim)),
        None => (text, None),
    }
}

fn bare(text: &str) -> &str {
    text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")).unwrap_or(text)
}

impl FromStr for Who {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let named = bare(text);
        let (user, host) = match named.rsplit_once('@') {
            Some(("", host)) => ("*", host),
            Some(parts) => parts,
            None => (named, "*"),
        };
        let is_user = !user.is_empty() && !user.contains(':');
        let is_host = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
        if !is_user || host.is_empty() || !is_host || named.contains(char::is_whitespace) {
            return Err(NoRule::Who(text.to_owned()));
        }
        Ok(Self { user: user.to_owned(), host: host.to_ascii_lowercase() })
    }
}

impl Who {
    /// Whether it names a resource.
    fn names(&self, resource: &str) -> bool {
        fits(&self.user, resource::user(resource)) && fits(&self.host, resource::host(resource))
    }
}

/// Whether a text is what a pattern says. Each star takes as little as it can, which is right with stars alone.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

/// What the rules say of a watcher of this resource; without a rule everybody may watch. Nobody has to be allowed to watch
/// themselves.
pub fn handling(rules: &[Rule], watcher: &Uri<'_>, watched: &str) -> SubHandling {
    let watcher = resource::name(watcher);
    if watcher == watched {
        return SubHandling::Allow;
    }
    let names = |rule: &&Rule| rule.watcher.names(&watcher) && rule.watched.names(watched);
    rules.iter().rev().find(names).map_or(SubHandling::Allow, |rule| rule.handling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::UriBuf;

    fn of(rules: &[&str], watcher: &str, watched: &str) -> &'static str {
        let rules: Vec<Rule> = rules.iter().map(|text| text.parse().expect(text)).collect();
        handling(&rules, &UriBuf::parse(watcher).unwrap().as_uri(), watched).as_str()
    }

    #[test]
    fn the_last_rule_that_names_a_watcher_counts() {
        let rules =
            ["confirm", "@Example.com=allow", "eve=polite-block", "sip:eve@example.net=block", "joe=pending"];
        let of = |uri: &str| of(&rules, uri, "sip:alice@h");
        assert_eq!(of("sip:who@192.0.2.1"), "confirm");
        assert_eq!(of("sips:bob@EXAMPLE.com:5061"), "allow");
        assert_eq!(of("sip:eve@example.com"), "polite-block");
        assert_eq!(of("sip:eve@example.net;x=y"), "block");
        assert_eq!(of("sip:joe@[::1]"), "confirm");
        assert_eq!(of("sip:alice@H:5070"), "allow");
    }

    #[test]
    fn rules_may_be_for_one_who_is_watched() {
        let rules =
            [":alice=confirm", "bob:alice=allow", "eve@*.example.com:sip:bob@[::1]=block", "*:door-*=block"];
        let of = |watcher: &str, watched: &str| of(&rules, watcher, watched);
        assert_eq!(of("sip:carol@h", "sip:alice@h"), "confirm");
        assert_eq!(of("sip:bob@h", "sip:alice@h"), "allow");
        assert_eq!(of("sip:carol@h", "sip:bob@h"), "allow");
        assert_eq!(of("sip:eve@a.example.com", "sip:bob@[::1]"), "block");
        assert_eq!(of("sip:eve@example.com", "sip:bob@[::1]"), "allow");
        assert_eq!(of("sip:bob@[::1]", "sip:door-1@h"), "block");
        assert_eq!(of("sip:bob@[::1]", "sip:door@h"), "allow");
    }

    #[test]
    fn what_is_no_rule_is_said() {
        assert_eq!(
            "x".parse::<Rule>().unwrap_err().to_string(),
            "`x` is none of allow, block, polite-block, confirm"
        );
        for wrong in
            ["=allow", "a b=allow", "a@=allow", "@=block", "a:=allow", ":=block", "a@h:5060:b:c=allow"]
        {
            assert!(matches!(wrong.parse::<Rule>(), Err(NoRule::Who(_))), "{wrong}");
        }
    }

    #[test]
    fn stars_stand_for_anything() {
        let rows = [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c*d", "a-b-c-b-c-d", true),
            ("a**b", "ab", true),
            ("*b*", "abc", true),
            ("*bb*", "abc", false),
            ("a", "A", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
