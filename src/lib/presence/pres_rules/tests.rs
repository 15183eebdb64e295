//! Which rules apply to whom, and what they leave of a document.

use super::*;
use crate::presence::{
    Document, Note,
    pidf::{Basic, Contact, Person, Presence, Tuple},
    rpid::{Activity, UserInput},
};

fn ruleset(conditions: &str) -> Ruleset {
    let text = format!(
        "<ruleset xmlns='{COMMON_POLICY}' xmlns:pr='{PRES_RULES}'><rule id='a'><conditions>{conditions}</conditions>\
         <actions><pr:sub-handling>allow</pr:sub-handling></actions></rule></ruleset>"
    );
    let read = Ruleset::read(text.as_bytes()).unwrap();
    assert_eq!(Ruleset::read(read.write().as_bytes()).as_ref(), Ok(&read), "{}", read.write());
    read
}

#[test]
fn rules_apply_to_whom_they_name() {
    let bob = "<identity><one id='sip:bob@example.com'/></identity>";
    let most = "<identity><many domain='example.com'><except id='sip:eve@example.com'/></many></identity>";
    let others = "<identity><many><except domain='example.com'/></many></identity>";
    let table = [
        ("", None, true),
        (bob, Some("sip:bob@example.com"), true),
        (bob, Some("sips:bob@EXAMPLE.com:5061;transport=tls"), true),
        (bob, Some("sip:Bob@example.com"), false),
        (bob, Some("sip:alice@example.com"), false),
        (bob, None, false),
        (most, Some("sip:bob@example.com"), true),
        (most, Some("sip:eve@example.com"), false),
        (most, Some("sip:bob@example.org"), false),
        (others, Some("sip:bob@example.org"), true),
        (others, Some("sip:bob@example.com"), false),
        ("<identity/>", Some("sip:bob@example.com"), false),
        ("<sphere value='work'/>", None, false),
        ("<x:unknown xmlns:x='urn:x'/>", None, false),
    ];
    for (conditions, watcher, allowed) in table {
        let context = Context { watcher, ..Context::default() };
        let handling = ruleset(conditions).permissions(&context).handling();
        let expected = if allowed { SubHandling::Allow } else { SubHandling::Block };
        assert_eq!(handling, expected, "{conditions} {watcher:?}");
    }
}

#[test]
fn rules_apply_when_they_say() {
    let rules = ruleset(
        "<sphere value='work'/><validity><from>2026-01-01T00:00:00Z</from><until>2026-02-01T00:00:00Z</until></validity>",
    );
    for (sphere, now, handling) in [
        (Some("work"), Some("2026-01-15T00:00:00+01:00"), SubHandling::Allow),
        (Some("home"), Some("2026-01-15T00:00:00+01:00"), SubHandling::Block),
        (Some("work"), Some("2026-02-15T00:00:00+01:00"), SubHandling::Block),
        (Some("work"), None, SubHandling::Block),
    ] {
        let context = Context { sphere, now: now.map(|now| now.parse().unwrap()), watcher: None };
        assert_eq!(rules.permissions(&context).handling(), handling);
    }
}

#[test]
fn documents_are_filtered() {
    let presence = Presence {
        tuples: vec![
            Tuple {
                id: "t1".into(),
                basic: Some(Basic::Open),
                contact: Some(Contact { uri: "sip:a@example.com".into(), priority: None }),
                notes: vec![Note::new("no")],
                user_input: Some(UserInput { idle: true, idle_threshold: Some(5), last_input: None }),
                ..Tuple::default()
            },
            Tuple {
                id: "t2".into(),
                contact: Some(Contact { uri: "tel:1".into(), priority: None }),
                ..Tuple::default()
            },
        ],
        persons: vec![Person {
            activities: vec![vec![Activity::Away].into()],
            notes: vec![Note::new("no")],
            ..Person::default()
        }],
        ..Presence::new("sip:a@example.com")
    };
    let text = format!(
        "<ruleset xmlns='{COMMON_POLICY}' xmlns:pr='{PRES_RULES}'><rule id='a'><transformations>\
         <pr:provide-services><pr:service-uri-scheme>sip</pr:service-uri-scheme></pr:provide-services>\
         <pr:provide-user-input>bare</pr:provide-user-input></transformations></rule>\
         <rule id='b'><transformations><pr:provide-persons><pr:all-persons/></pr:provide-persons>\
         <pr:provide-activities>true</pr:provide-activities><pr:provide-note>false</pr:provide-note>\
         </transformations></rule></ruleset>"
    );
    let rules = Ruleset::read(text.as_bytes()).unwrap();
    let seen = rules.permissions(&Context::default()).filter(&presence);
    assert_eq!(seen.tuples.len(), 1);
    assert_eq!(seen.tuples[0].user_input, Some(UserInput { idle: true, ..UserInput::default() }));
    assert!(seen.tuples[0].notes.is_empty() && seen.persons[0].notes.is_empty());
    assert_eq!(seen.persons[0].activities.len(), 1);

    let rule = Rule::for_watcher("w", "sip:bob@example.com", SubHandling::Allow);
    assert_eq!(rule.permissions.filter(&presence), presence);
    let rules = Ruleset { rules: vec![rule], extensions: Vec::new() };
    assert_eq!(Ruleset::read(rules.write().as_bytes()), Ok(rules));
}
