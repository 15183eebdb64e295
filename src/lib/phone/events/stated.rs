//! States that a server is given at its start: `presence:alice=busy`, `mwi=3/1`.
//!
//! `PACKAGE[:USER]=STATE`; without a user it is the state of everybody. They stand where nothing is published.

use std::str::FromStr;

use bytes::Bytes;

use crate::{
    presence::{
        Document,
        conference::{ConferenceInfo, ConferenceState, Endpoint, EndpointStatus, User, Users},
        dialog_info,
        mwi::{Class, Count, MessageSummary},
        pidf::{Basic, Person, Presence, Tuple},
        reg,
        rpid::Activity,
        xcap_diff::{Change, Content, XcapDiff},
    },
    ua::package::{self, Known},
};

use super::{compose, resource};

/// A state of somebody, or of everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    pub package: Known,
    /// The user part of the address; nothing: all of which nothing else is known.
    pub user: Option<String>,
    pub state: State,
}

/// What is the case.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Presence {
        basic: Basic,
        activities: Vec<Activity>,
    },
    Summary(MessageSummary),
    /// One dialog in this state, or none.
    Dialog(Option<dialog_info::State>),
    /// Who takes part.
    Conference(Vec<String>),
    /// Where the user is reached; what registers counts more.
    Contacts(Vec<String>),
    /// Paths below the XCAP root.
    Documents(Vec<String>),
    /// A document as it is.
    Body(Bytes),
}

/// What the state of a package may be said to be, for help and manual.
pub const SYNTAX: [(&str, &str); 6] = [
    (
        "presence=WORD,...",
        "open, closed, and what somebody does (RFC 4480): busy, away, on-the-phone, meeting, ...",
    ),
    ("mwi=NEW/OLD", "Messages; also with urgent ones and of several kinds: voice:3/1(1/0),fax:2/0."),
    (
        "dialog=STATE",
        "One dialog that is trying, proceeding, early, confirmed or terminated, beside calls; or none.",
    ),
    ("conference=USER,...", "Who takes part."),
    ("reg=URI,...", "Where the user is reached, as long as nothing is registered."),
    ("xcap-diff=PATH,...", "Documents of an XCAP server."),
];

/// Why a text states nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unstated {
    #[error("write it as PACKAGE[:USER]=STATE, such as presence:alice=busy or mwi=3/1")]
    Form,
    #[error(
        "no state can be given for package `{0}`; known are presence, mwi, dialog, conference, reg, xcap-diff"
    )]
    Package(String),
    #[error("winfo tells who watches, which follows from the subscriptions there are")]
    Watchers,
    #[error("`{word}` is no state of {package}: {allowed}")]
    State { package: &'static str, word: String, allowed: String },
    #[error("the document is none of {package}: {why}")]
    Document { package: &'static str, why: crate::presence::Error },
}

impl Stated {
    /// A document as it is, for `PACKAGE[:USER]`.
    pub fn with_document(of: &str, body: impl Into<Bytes>) -> Result<Self, Unstated> {
        let (package, user) = topic(of)?;
        let body = body.into();
        compose::check(package.name, &body)
            .map_err(|why| Unstated::Document { package: package.name, why })?;
        Ok(Self { package, user, state: State::Body(body) })
    }

    /// The document, for who is named by `entity`.
    pub(super) fn document(&self, entity: &str) -> Bytes {
        let uri = |name: &String| resource::uri(name, entity);
        match &self.state {
            State::Presence { basic, activities } => {
                let tuple = Tuple { id: "state".into(), basic: Some(*basic), ..Tuple::default() };
                let person = Person {
                    id: "person".into(),
                    activities: vec![activities.clone().into()],
                    ..Person::default()
                };
                let persons = if activities.is_empty() { Vec::new() } else { vec![person] };
                Presence { tuples: vec![tuple], persons, ..Presence::new(entity) }.write()
            }
            State::Summary(summary) => {
                MessageSummary { account: Some(entity.to_owned()), ..summary.clone() }.write()
            }
            State::Dialog(state) => {
                let dialogs =
                    state.iter().map(|state| dialog_info::Dialog::new("state", state.clone())).collect();
                dialog_info::DialogInfo { full: true, entity: entity.into(), dialogs, ..Default::default() }
                    .write()
            }
            State::Conference(names) => conference(entity, names.iter().map(uri)).write(),
            State::Contacts(uris) => {
                let state = if uris.is_empty() { reg::State::Init } else { reg::State::Active };
                let mut registration = reg::Registration::new(entity, "r", state);
                let contacts = uris.iter().enumerate().map(|(at, uri)| {
                    let id = format!("s{at}");
                    reg::Contact::new(id, uri, reg::ContactState::Active, reg::Event::Created)
                });
                registration.contacts = contacts.collect();
                reg::RegInfo { full: true, registrations: vec![registration], ..Default::default() }.write()
            }
            State::Documents(paths) => {
                let changes = paths.iter().map(|path| Change::Document {
                    selector: path.clone(),
                    new_etag: Some("1".into()),
                    previous_etag: None,
                    content: Content::Untold,
                });
                XcapDiff {
                    xcap_root: compose::xcap_root(entity),
                    changes: changes.collect(),
                    ..Default::default()
                }
                .write()
            }
            State::Body(body) => return body.clone(),
        }
        .into()
    }
}

fn conference(entity: &str, users: impl Iterator<Item = String>) -> ConferenceInfo {
    let users: Vec<_> = users
        .map(|uri| {
            let endpoint = Endpoint {
                entity: uri.clone(),
                status: Some(EndpointStatus::Connected),
                ..Endpoint::default()
            };
            User { entity: uri, endpoints: vec![endpoint], ..User::default() }
        })
        .collect();
    let state = ConferenceState {
        user_count: u32::try_from(users.len()).ok(),
        active: Some(!users.is_empty()),
        ..ConferenceState::default()
    };
    ConferenceInfo {
        entity: entity.into(),
        conference_state: Some(state),
        users: Some(Users { users, ..Users::default() }),
        ..ConferenceInfo::default()
    }
}

/// `PACKAGE[:USER]`.
fn topic(of: &str) -> Result<(Known, Option<String>), Unstated> {
    let (name, user) = of.split_once(':').map_or((of, None), |(name, user)| (name, Some(user)));
    let package = match name.trim().to_ascii_lowercase().as_str() {
        "presence" => package::PRESENCE,
        "mwi" | "message-summary" => package::MESSAGE_SUMMARY,
        "dialog" => package::DIALOG,
        "conference" => package::CONFERENCE,
        "reg" => package::REGISTRATION,
        "xcap-diff" => package::XCAP_DIFF,
        "winfo" | "presence.winfo" => return Err(Unstated::Watchers),
        other => return Err(Unstated::Package(other.to_owned())),
    };
    match user.map(str::trim) {
        Some("") => Err(Unstated::Form),
        user => Ok((package, user.map(str::to_owned))),
    }
}

impl FromStr for Stated {
    type Err = Unstated;

    fn from_str(text: &str) -> Result<Self, Unstated> {
        let (of, state) = text.split_once('=').ok_or(Unstated::Form)?;
        let (package, user) = topic(of)?;
        let words = || state.split(',').map(str::trim).filter(|word| !word.is_empty());
        let wrong = |word: &str, allowed: &str| Unstated::State {
            package: package.name,
            word: word.to_owned(),
            allowed: allowed.to_owned(),
        };
        let list = |what: &str| match words().next() {
            Some(_) => Ok(words().map(str::to_owned).collect()),
            None => Err(wrong(state, what)),
        };
        let state = match package.name {
            "presence" => presence(words()).map_err(|word| {
                let known: Vec<_> = Activity::KNOWN.iter().map(Activity::as_str).collect();
                wrong(word, &format!("say open, closed, or {}", known.join(", ")))
            })?,
            "message-summary" => State::Summary(
                summary(words())
                    .map_err(|word| wrong(word, "say NEW/OLD, such as 3/1, voice:3/1(1/0) or fax:2/0"))?,
            ),
            "dialog" => match state.trim() {
                "none" => State::Dialog(None),
                word if dialog_info::State::KNOWN.contains(&word.into()) => State::Dialog(Some(word.into())),
                word => {
                    return Err(wrong(word, "say trying, proceeding, early, confirmed, terminated or none"));
                }
            },
            "conference" => State::Conference(list("say who takes part, such as alice,bob")?),
            "reg" => State::Contacts(list("say where, such as sip:alice@192.0.2.1")?),
            _ => State::Documents(list("say which documents, such as resource-lists/users/alice/index")?),
        };
        Ok(Self { package, user, state })
    }
}

fn presence<'t>(words: impl Iterator<Item = &'t str>) -> Result<State, &'t str> {
    let (mut basic, mut activities) = (None, Vec::new());
    for word in words {
        match (word, Activity::from(word)) {
            ("open", _) => basic = Some(Basic::Open),
            ("closed", _) => basic = Some(Basic::Closed),
            (word, Activity::Other(_)) => return Err(word),
            (_, activity) => activities.push(activity),
        }
    }
    if basic.is_none() && activities.is_empty() {
        return Err("");
    }
    Ok(State::Presence { basic: basic.unwrap_or(Basic::Open), activities })
}

fn summary<'t>(words: impl Iterator<Item = &'t str>) -> Result<MessageSummary, &'t str> {
    let mut summary = MessageSummary::default();
    for word in words {
        let (kind, numbers) = word.split_once(':').unwrap_or(("voice", word));
        let class = kind_of_message(kind).ok_or(word)?;
        let count = counted(class, numbers).ok_or(word)?;
        summary.waiting |= count.new > 0;
        summary.counts.push(count);
    }
    if summary.counts.is_empty() { Err("") } else { Ok(summary) }
}

/// The kind of a message by its short name: voice, fax, pager, multimedia, text, none.
pub fn kind_of_message(name: &str) -> Option<Class> {
    Some(match name {
        "voice" => Class::Voice,
        "fax" => Class::Fax,
        "pager" => Class::Pager,
        "multimedia" => Class::Multimedia,
        "text" => Class::Text,
        "none" => Class::None,
        _ => return None,
    })
}

/// Numbers of messages: `NEW/OLD` or `NEW/OLD(NEW/OLD)`, the latter being the urgent ones among them.
pub fn counted(class: Class, text: &str) -> Option<Count> {
    let pair = |text: &str| {
        let (new, old) = text.split_once('/')?;
        Some((new.trim().parse().ok()?, old.trim().parse().ok()?))
    };
    let (all, urgent) = match text.split_once('(') {
        Some((all, urgent)) => (all, Some(pair(urgent.strip_suffix(')')?)?)),
        None => (text, None),
    };
    let (new, old) = pair(all)?;
    Some(Count { class, new, old, urgent })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(text: &str) -> Result<Stated, String> {
        text.parse().map_err(|why: Unstated| why.to_string())
    }

    #[test]
    fn every_package_has_its_words() {
        let document = |text: &str| {
            let stated = stated(text).unwrap();
            let body = stated.document("sip:alice@example.com");
            compose::check(stated.package.name, &body).unwrap_or_else(|why| panic!("{text}: {why}"));
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert!(document("presence=open").contains("<basic>open</basic>"));
        let busy = document("presence:alice=on-the-phone, closed");
        assert!(busy.contains("on-the-phone") && busy.contains("closed"), "{busy}");
        let mwi = document("mwi=3/1(1/0),fax:0/2");
        assert!(mwi.contains("Voice-Message: 3/1 (1/0)\r\nFax-Message: 0/2"), "{mwi}");
        assert!(document("message-summary:a=0/4").starts_with("Messages-Waiting: no"));
        assert!(document("dialog=confirmed").contains("confirmed"));
        assert!(!document("dialog=none").contains("<dialog "));
        let room = document("conference:room=alice,sip:bob@example.net");
        assert!(room.contains("sip:alice@example.com") && room.contains("sip:bob@example.net"), "{room}");
        assert!(document("reg=sip:a@192.0.2.1").contains("sip:a@192.0.2.1"));
        assert!(document("xcap-diff=resource-lists/users/a/index").contains("resource-lists/users/a/index"));
        assert_eq!(stated("presence:bob=away").unwrap().user.as_deref(), Some("bob"));
    }

    #[test]
    fn mistakes_are_told_with_what_is_allowed() {
        for (text, expected) in [
            ("presence", "PACKAGE[:USER]=STATE"),
            ("presence:=open", "PACKAGE[:USER]=STATE"),
            ("kpml=1", "known are presence, mwi"),
            ("winfo=alice", "follows from the subscriptions"),
            ("presence=bussy", "`bussy` is no state of presence: say open, closed, or appointment, away"),
            ("presence=", "say open, closed"),
            ("mwi=many", "say NEW/OLD"),
            ("mwi=3/1(1/0", "say NEW/OLD"),
            ("mwi=mail:3/1", "say NEW/OLD"),
            ("dialog=up", "say trying"),
            ("conference=", "say who takes part"),
        ] {
            let why = stated(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
        let why = Stated::with_document("presence", "<x/>").unwrap_err().to_string();
        assert!(why.contains("none of presence: "), "{why}");
    }
}
