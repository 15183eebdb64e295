//! Watchers that wait for a decision, and what becomes of them. No IO.
//!
//! ```text
//!                a pattern means them                 taken          written
//!   (waits) ────────────────────────────▶ wanted ──────────▶ writing ────────▶ decided
//!      │                                    ▲ ▲                 │
//!      │ --ask          allow, block, …     │ └─────────────────┘ failed: later again
//!      ├─────────▶ asked ───────────────────┤
//!      │             │ later                │ by name
//!      └─────────────┴───────▶ left ────────┘
//! ```
//!
//! Who does not wait any more is forgotten in any of these states.

use std::collections::BTreeMap;

use super::{
    super::expect::{Facts, is_called},
    pattern::Pattern,
};
use crate::presence::pres_rules::SubHandling;

/// What is to become of whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub allow: Vec<Pattern>,
    pub block: Vec<Pattern>,
    /// Who is in none of them is asked for.
    pub ask: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asked,
    Left,
    Wanted(SubHandling),
    Writing(SubHandling),
    Decided,
}

/// Those who wait.
#[derive(Debug)]
pub(super) struct Pending {
    wishes: Wishes,
    watchers: BTreeMap<String, Stage>,
}

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Handle(SubHandling),
    Later,
}

impl Pending {
    pub fn new(wishes: Wishes) -> Self {
        Self { wishes, watchers: BTreeMap::new() }
    }

    /// Takes in who waits now. Who is to be asked for is told.
    pub fn look(&mut self, facts: &Facts) -> Vec<String> {
        // Those who have gone meanwhile wait for a decision as well (RFC 3857 §4.7.1).
        let waits = facts.0.iter().filter(|fact| {
            fact.key == "status" && matches!(&*fact.value.to_ascii_lowercase(), "pending" | "waiting")
        });
        let mut before = std::mem::take(&mut self.watchers);
        let mut asked = Vec::new();
        for uri in waits.filter_map(|fact| fact.of.as_ref()) {
            if self.watchers.contains_key(uri) {
                continue;
            }
            let is_new = !before.contains_key(uri);
            let stage = before.remove(uri).unwrap_or_else(|| self.first(uri));
            if is_new && stage == Stage::Asked {
                asked.push(uri.clone());
            }
            self.watchers.insert(uri.clone(), stage);
        }
        asked
    }

    /// What blocks goes before what allows.
    fn first(&self, uri: &str) -> Stage {
        let means = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.means(uri));
        match () {
            () if means(&self.wishes.block) => Stage::Wanted(SubHandling::Block),
            () if means(&self.wishes.allow) => Stage::Wanted(SubHandling::Allow),
            () if self.wishes.ask => Stage::Asked,
            () => Stage::Left,
        }
    }

    /// Takes an answer to the question that was asked first, or about somebody who is named. What is wrong about it is
    /// told.
    pub fn answer(&mut self, word: Word, who: &str) -> Result<(), String> {
        let open = |stage: &Stage| matches!(stage, Stage::Asked | Stage::Left);
        let mut found = match who {
            "" => self.watchers.iter_mut().filter(|(_, stage)| **stage == Stage::Asked).take(1).collect(),
            who => self
                .watchers
                .iter_mut()
                .filter(|(uri, stage)| open(stage) && is_called(uri, who))
                .collect::<Vec<_>>(),
        };
        match &mut found[..] {
            [(_, stage)] => {
                **stage = match word {
                    Word::Handle(handling) => Stage::Wanted(handling),
                    Word::Later => Stage::Left,
                };
                Ok(())
            }
            [] if who.is_empty() => Err("nobody is asked for; name somebody".into()),
            [] => Err(format!("{who} does not wait for a decision")),
            [_, ..] => {
                let all: Vec<_> = found.iter().map(|(uri, _)| uri.as_str()).collect();
                Err(format!("{who} can be {}", all.join(" or ")))
            }
        }
    }

    /// Whom the next answer is about, if it names nobody.
    pub fn question(&self) -> Option<&str> {
        let mut asked = self.watchers.iter().filter(|(_, stage)| **stage == Stage::Asked);
        asked.next().map(|(uri, _)| uri.as_str())
    }

    /// Those about whom nothing is decided.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        let open = self.watchers.iter().filter(|(_, stage)| matches!(stage, Stage::Asked | Stage::Left));
        open.map(|(uri, _)| uri.as_str())
    }

    /// What is to be written next; it is being written from now on.
    pub fn take(&mut self) -> Vec<(String, SubHandling)> {
        let mut taken = Vec::new();
        for (uri, stage) in &mut self.watchers {
            if let Stage::Wanted(handling) = *stage
                && taken.len() < AT_ONCE
            {
                *stage = Stage::Writing(handling);
                taken.push((uri.clone(), handling));
            }
        }
        taken
    }

    /// What was being written is written, or has to be written another time.
    pub fn written(&mut self, is_written: bool) {
        for stage in self.watchers.values_mut() {
            if let Stage::Writing(handling) = *stage {
                *stage = if is_written { Stage::Decided } else { Stage::Wanted(handling) };
            }
        }
    }

    /// Whether there is something to be written.
    pub fn is_wanted(&self) -> bool {
        self.watchers.values().any(|stage| matches!(stage, Stage::Wanted(_)))
    }
}

/// In one edit of a document.
const AT_ONCE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use SubHandling::{Allow, Block};

    fn facts(waiting: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        facts.say("subscription", "active");
        for (uri, status) in waiting {
            facts.say_of(uri, "watcher", uri);
            facts.say_of(uri, "status", status);
        }
        facts
    }

    fn pending(allow: &str, block: &str, ask: bool) -> Pending {
        let read = |text: &str| text.split_whitespace().map(|text| text.parse().expect(text)).collect();
        Pending::new(Wishes { allow: read(allow), block: read(block), ask })
    }

    const ALL: &[(&str, &str)] = &[
        ("sip:a@good.example", "pending"),
        ("sip:b@good.example", "waiting"),
        ("sip:c@bad.example", "pending"),
        ("sip:d@good.example", "active"),
        ("sip:e@bad.example", "terminated"),
    ];

    #[test]
    fn patterns_decide_about_those_who_wait() {
        let mut pending = pending("*@good.example", "b@* *@bad.example", false);
        assert!(pending.look(&facts(ALL)).is_empty());
        let wanted =
            [("sip:a@good.example", Allow), ("sip:b@good.example", Block), ("sip:c@bad.example", Block)];
        assert_eq!(pending.take(), wanted.map(|(uri, handling)| (uri.to_owned(), handling)));
        assert!(pending.take().is_empty(), "it is being written");
        pending.written(false);
        assert!(pending.is_wanted());
        assert_eq!(pending.take().len(), 3);
        pending.written(true);
        pending.look(&facts(ALL));
        assert!(!pending.is_wanted(), "the server may take a moment");
        // Who comes back waits anew.
        pending.look(&facts(&[]));
        pending.look(&facts(ALL));
        assert!(pending.is_wanted());
    }

    #[test]
    fn somebody_is_asked() {
        let mut pending = pending("*@good.example", "", true);
        let all: Vec<_> = [ALL, &[("sip:c@worse.example", "pending")]].concat();
        assert_eq!(pending.look(&facts(&all)), ["sip:c@bad.example", "sip:c@worse.example"]);
        assert!(pending.look(&facts(&all)).is_empty(), "once");
        assert_eq!(pending.take().len(), 2);
        assert_eq!(pending.answer(Word::Later, ""), Ok(()));
        assert_eq!(pending.question(), Some("sip:c@worse.example"));
        assert!(pending.answer(Word::Later, "c").expect_err("two").contains("c can be sip:c@bad"));
        assert!(pending.answer(Word::Later, "x").is_err());
        assert!(pending.answer(Word::Later, "a").is_err(), "decided");
        assert_eq!(pending.answer(Word::Handle(Block), "c@bad.example"), Ok(()));
        assert_eq!(pending.open().collect::<Vec<_>>(), ["sip:c@worse.example"]);
        assert_eq!(pending.answer(Word::Handle(Allow), ""), Ok(()));
        assert!(pending.answer(Word::Handle(Allow), "").is_err());
        assert_eq!(pending.take().len(), 2);
    }

    /// Every state and what can happen to it.
    #[test]
    fn every_state_and_event() {
        use Stage::{Asked, Decided, Left, Wanted, Writing};
        let uri = "sip:a@b";
        for (stage, named, later, taken, written, failed) in [
            (Asked, Wanted(Block), Left, Asked, Asked, Asked),
            (Left, Wanted(Block), Left, Left, Left, Left),
            (Wanted(Allow), Wanted(Allow), Wanted(Allow), Writing(Allow), Wanted(Allow), Wanted(Allow)),
            (Writing(Allow), Writing(Allow), Writing(Allow), Writing(Allow), Decided, Wanted(Allow)),
            (Decided, Decided, Decided, Decided, Decided, Decided),
        ] {
            let after = |event: &dyn Fn(&mut Pending)| {
                let mut pending = pending("", "", true);
                pending.watchers.insert(uri.to_owned(), stage);
                event(&mut pending);
                pending.watchers.get(uri).copied()
            };
            assert_eq!(
                after(&|it| drop(it.answer(Word::Handle(Block), "a"))),
                Some(named),
                "{stage:?} named"
            );
            assert_eq!(after(&|it| drop(it.answer(Word::Later, "a"))), Some(later), "{stage:?} later");
            assert_eq!(after(&|it| drop(it.take())), Some(taken), "{stage:?} taken");
            assert_eq!(after(&|it| it.written(true)), Some(written), "{stage:?} written");
            assert_eq!(after(&|it| it.written(false)), Some(failed), "{stage:?} failed");
            assert_eq!(
                after(&|it| drop(it.look(&facts(&[(uri, "pending")])))),
                Some(stage),
                "{stage:?} waits"
            );
            assert_eq!(after(&|it| drop(it.look(&facts(&[(uri, "active")])))), None, "{stage:?} gone");
        }
    }
}
