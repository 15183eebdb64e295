//! Where requests go that no Route sends anywhere (RFC 3261 §16.5): rules by domain or pattern, and among the next hops of
//! a rule one by the Call-ID.
//!
//! The choice is a pure function of the message and of the table, as a proxy without memory must make it again for each
//! repetition (§16.11). It is by rendezvous: each hop's weight is a hash of hop and Call-ID, and the heaviest is taken. When
//! a hop leaves the table only the calls move that went there, and all of them come back when it does.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use regex::Regex;

use crate::{
    message::{Host, Uri, UriBuf},
    resolve::{Destination, LookupError},
};

use super::branch::Fields;

/// Rules in their order: the first that matches counts.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rules: Vec<Rule>,
}

/// Requests that match go to one of these.
#[derive(Clone, Debug)]
pub struct Rule {
    pub when: Match,
    /// None: by the Request-URI itself.
    pub hops: Vec<Hop>,
}

/// What a rule is about.
#[derive(Clone, Debug)]
pub enum Match {
    /// Every request.
    Any,
    /// The host of the Request-URI, in any case; `*.example.com` is every host below.
    Domain(String),
    /// A part of the Request-URI as it is written.
    Pattern(Regex),
}

/// A next hop.
#[derive(Clone, Debug)]
pub struct Hop {
    uri: UriBuf,
    destination: Destination,
    /// Whether it is out of order. Copies have it in common: those who share the work judge alike.
    down: Arc<AtomicBool>,
}

impl PartialEq for Hop {
    fn eq(&self, other: &Self) -> bool {
        self.uri == other.uri && self.destination == other.destination
    }
}

impl Eq for Hop {}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when && self.hops == other.hops
    }
}

impl Eq for Rule {}

impl PartialEq for Match {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Domain(one), Self::Domain(other)) => one == other,
            (Self::Pattern(one), Self::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Eq for Match {}

impl Hop {
    /// Fails if no request can be sent to such a URI.
    pub fn new(uri: UriBuf) -> Result<Self, LookupError> {
        let destination = Destination::of(&uri.as_uri())?;
        Ok(Self { uri, destination, down: Arc::default() })
    }

    pub const fn uri(&self) -> &UriBuf {
        &self.uri
    }

    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Whether it is out of order.
    pub fn is_down(&self) -> bool {
        // Nothing else is read by it.
        self.down.load(Ordering::Relaxed)
    }
}

impl Match {
    fn is_met(&self, uri: &Uri<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Pattern(pattern) => pattern.is_match(uri.as_str()),
            Self::Domain(domain) => {
                let host = match uri.host() {
                    Host::Name(name) => return below(name.strip_suffix('.').unwrap_or(name), domain),
                    host => host.to_string(),
                };
                uri.is_sip() && host.eq_ignore_ascii_case(domain)
            }
        }
    }
}

/// Whether a name is the domain, or below one that begins with `*.`.
fn below(name: &str, domain: &str) -> bool {
    match domain.strip_prefix('*') {
        Some(end) => name
            .len()
            .checked_sub(end.len())
            .and_then(|at| name.get(at..).filter(|_| at > 0))
            .is_some_and(|back| back.eq_ignore_ascii_case(end)),
        None => name.eq_ignore_ascii_case(domain),
    }
}

impl Table {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Other rules; a hop that is down stays down.
    pub fn replace(&mut self, rules: Vec<Rule>) {
        let before = std::mem::replace(&mut self.rules, rules);
        for hop in before.iter().flat_map(|rule| &rule.hops).filter(|hop| hop.is_down()) {
            self.set_down(hop.uri.as_str(), true);
        }
    }

    /// Every next hop once.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        let mut seen = HashSet::new();
        self.rules.iter().flat_map(|rule| &rule.hops).filter(move |hop| seen.insert(hop.uri.as_str()))
    }

    /// A hop that is out of order is taken by no request, unless all of its rule are.
    pub fn set_down(&mut self, hop: &str, is_down: bool) {
        for known in self.rules.iter().flat_map(|rule| &rule.hops).filter(|known| known.uri.as_str() == hop) {
            known.down.store(is_down, Ordering::Relaxed);
        }
    }

    pub fn is_down(&self, hop: &str) -> bool {
        self.hops().any(|known| known.uri.as_str() == hop && known.is_down())
    }

    /// Where a request for `uri` goes; `None` if the table leaves it to the URI.
    pub fn choose(&self, uri: &Uri<'_>, call_id: &str) -> Option<&Hop> {
        let rule = self.rules.iter().find(|rule| rule.when.is_met(uri))?;
        if let [only] = &rule.hops[..] {
            return Some(only);
        }
        let heaviest = |all: bool| {
            let hops = rule.hops.iter().filter(|hop| all || !hop.is_down());
            hops.max_by_key(|hop| weight(hop.uri.as_str(), call_id))
        };
        heaviest(false).or_else(|| heaviest(true))
    }
}

/// A number that is the same for all of a call, and far from that of the next.
pub fn spread(call_id: &str) -> u64 {
    weight("", call_id)
}

fn weight(hop: &str, call_id: &str) -> u64 {
    // Without a secret: proxies side by side choose alike.
    let mut hash = Fields::new(&[0; 16], b'h');
    hash.exact(hop);
    hash.exact(call_id);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(uri: &str) -> Hop {
        Hop::new(UriBuf::parse(uri).unwrap()).unwrap()
    }

    fn chosen(table: &Table, uri: &str, call_id: &str) -> Option<String> {
        Some(table.choose(&Uri::parse(uri).unwrap(), call_id)?.uri().as_str().to_owned())
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rule = |when, hops: &[&str]| Rule { when, hops: hops.iter().map(|uri| hop(uri)).collect() };
        let table = Table::new(vec![
            rule(Match::Domain("a.example".into()), &["sip:1.example"]),
            rule(Match::Domain("*.a.example".into()), &["sip:2.example"]),
            rule(Match::Domain("192.0.2.9".into()), &["sip:3.example"]),
            rule(Match::Pattern(Regex::new(r"^sips?:\+49\d+@").unwrap()), &["sip:4.example"]),
            rule(Match::Domain("direct.example".into()), &[]),
            rule(Match::Any, &["sip:5.example"]),
        ]);
        let rows = [
            ("sip:x@A.Example", Some("sip:1.example")),
            ("sip:x@a.example.", Some("sip:1.example")),
            ("sip:x@b.a.example", Some("sip:2.example")),
            ("sip:x@c.b.A.example;transport=tcp", Some("sip:2.example")),
            ("sip:x@.a.example", Some("sip:5.example")),
            ("sip:x@ba.example", Some("sip:5.example")),
            ("sip:x@192.0.2.9:5070", Some("sip:3.example")),
            ("sip:+4930@other.example", Some("sip:4.example")),
            ("tel:+4930", Some("sip:5.example")),
            ("sip:x@direct.example", None),
        ];
        for (uri, expected) in rows {
            if let Ok(parsed) = Uri::parse(uri) {
                let got = table.choose(&parsed, "1").map(|hop| hop.uri().as_str());
                assert_eq!(got, expected, "{uri}");
            }
        }
        assert_eq!(chosen(&Table::default(), "sip:x@a.example", "1"), None);
    }

    #[test]
    fn calls_are_spread_and_only_those_of_a_lost_hop_move() {
        let names: Vec<_> = (1..=4).map(|n| format!("sip:192.0.2.{n}")).collect();
        let hops = names.iter().map(|name| hop(name)).collect();
        let mut table = Table::new(vec![Rule { when: Match::Any, hops }]);
        let all = |table: &Table| -> Vec<String> {
            (0..4_000).map(|n| chosen(table, "sip:x@y", &format!("call-{n}")).unwrap()).collect()
        };
        let before = all(&table);
        for name in &names {
            let share = before.iter().filter(|hop| *hop == name).count();
            assert!((850..1_150).contains(&share), "{name}: {share} of 4,000");
        }
        table.set_down(&names[2], true);
        let without = all(&table);
        for (before, without) in before.iter().zip(&without) {
            assert!(before == without || *before == names[2]);
            assert_ne!(*without, names[2]);
        }
        table.set_down(&names[2], false);
        assert_eq!(all(&table), before);
        names.iter().for_each(|name| table.set_down(name, true));
        assert_eq!(all(&table), before, "if all are down, they are tried all the same");
    }
}
