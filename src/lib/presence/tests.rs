//! States out of documents that tell what changed, and documents made here that read as they were made.

use proptest::prelude::*;

use super::{
    dialog_info::{self, Dialog, DialogInfo, Dialogs, Identity, Participant, Target},
    mwi::{Class, Count, MessageSummary},
    pidf::{Basic, Contact, Device, Person, Presence, Tuple},
    reg::{self, RegInfo, Registration, Registrations},
    rlmi::{self, Instance, Part, Resource, ResourceList, Resources},
    rpid::{
        Activity, AudioPlace, Mood, Place, PlaceIs, Relation, Role, Span, StatusIcon, TimeOffset, UserInput,
    },
    winfo::{self, Watcher, WatcherInfo, WatcherList, Watchers},
    *,
};

#[test]
fn watchers_are_kept_by_list_and_id() {
    let watcher =
        |id: &str, status| Watcher::new(format!("sip:{id}@example.com"), id, status, winfo::Event::Subscribe);
    let document = |version, full, package: &str, watchers| WatcherInfo {
        version,
        full,
        lists: vec![WatcherList { resource: "sip:a@example.com".into(), package: package.into(), watchers }],
        extensions: Vec::new(),
    };
    let mut state = Watchers::default();
    let first = vec![watcher("b", winfo::Status::Pending), watcher("c", winfo::Status::Active)];
    assert_eq!(state.apply(document(0, true, "presence", first)), Applied::Full);
    let second = vec![watcher("c", winfo::Status::Terminated), watcher("d", winfo::Status::Active)];
    assert_eq!(state.apply(document(1, false, "presence", second)), Applied::Partial);
    assert_eq!(
        state.apply(document(2, false, "dialog", vec![watcher("b", winfo::Status::Active)])),
        Applied::Partial
    );
    let told = |state: &Watchers| -> Vec<(String, winfo::Status)> {
        let all = state.lists.iter().flat_map(|list| &list.watchers);
        all.map(|watcher| (watcher.id.clone(), watcher.status.clone())).collect()
    };
    use winfo::Status::{Active, Pending, Terminated};
    let expected = [("b", Pending), ("c", Terminated), ("d", Active), ("b", Active)];
    assert_eq!(told(&state), expected.map(|(id, status)| (id.to_owned(), status)));
    state.forget_terminated();
    assert_eq!(told(&state).len(), 3);
    let gap = state.apply(document(5, false, "presence", vec![watcher("e", Active)]));
    assert!(gap.needs_refresh());
    assert_eq!(told(&state).len(), 4, "it is taken all the same");
    assert_eq!(state.apply(document(6, true, "presence", Vec::new())), Applied::Full);
    assert!(told(&state).is_empty());
}

#[test]
fn states_do_not_grow_for_ever() {
    let mut state = Watchers::default();
    let name = "x".repeat(800_000);
    for number in 0..40 {
        let mut watcher =
            Watcher::new("sip:a@b", format!("i{number}"), winfo::Status::Active, winfo::Event::Subscribe);
        watcher.display_name = Some(name.clone());
        let list = WatcherList { resource: "r".into(), package: "p".into(), watchers: vec![watcher] };
        let document =
            WatcherInfo { version: number, full: number == 0, lists: vec![list], ..WatcherInfo::default() };
        let applied = state.apply(document);
        assert_eq!(applied.needs_refresh(), number == 20, "{number}");
        assert!(state.lists.iter().map(|list| list.watchers.len()).sum::<usize>() <= 21);
    }
}

/// RFC 4235 §4.1.6: what is not told again is as it was.
#[test]
fn dialogs_keep_what_is_not_told_again() {
    let mut dialog = Dialog::new("1", dialog_info::State::Early);
    dialog.remote = Participant {
        identities: vec![Identity { uri: "sip:b@example.com".into(), display: Some("Bob".into()) }],
        target: Some(Target {
            uri: "sip:b@192.0.2.1".into(),
            params: vec![("isfocus".into(), "true".into())],
        }),
        ..Participant::default()
    };
    let document = |version, full, dialogs| DialogInfo { version, full, dialogs, ..DialogInfo::default() };
    let mut state = Dialogs::default();
    assert_eq!(state.apply(document(0, false, vec![dialog.clone()])), Applied::Gap);
    assert_eq!(state.apply(document(1, true, vec![dialog.clone()])), Applied::Full);
    let confirmed = Dialog::new("1", dialog_info::State::Confirmed);
    let other = Dialog::new("2", dialog_info::State::Trying);
    assert_eq!(state.apply(document(2, false, vec![confirmed, other])), Applied::Partial);
    assert_eq!(state.dialogs.len(), 2);
    assert_eq!(state.dialogs[0].state, dialog_info::State::Confirmed);
    assert_eq!(state.dialogs[0].remote, dialog.remote);
    assert_eq!(state.apply(document(1, true, Vec::new())), Applied::Stale);
    let ended = Dialog::new("1", dialog_info::State::Terminated);
    assert_eq!(state.apply(document(3, false, vec![ended])), Applied::Partial);
    state.forget_terminated();
    assert_eq!(state.dialogs.len(), 1);
}

#[test]
fn registrations_keep_their_contacts() {
    let contact = |id: &str, state, event| reg::Contact::new(id, format!("sip:{id}@192.0.2.1"), state, event);
    let document = |version, full, state, contacts| {
        let mut registration = Registration::new("sip:a@example.com", "r", state);
        registration.contacts = contacts;
        RegInfo { version, full, registrations: vec![registration], extensions: Vec::new() }
    };
    use reg::{ContactState, Event, State};
    let mut state = Registrations::default();
    let first = contact("1", ContactState::Active, Event::Registered);
    assert_eq!(state.apply(document(0, true, State::Active, vec![first])), Applied::Full);
    let second = contact("2", ContactState::Active, Event::Created);
    assert_eq!(state.apply(document(1, false, State::Active, vec![second])), Applied::Partial);
    assert_eq!(state.registrations[0].contacts.len(), 2);
    let gone = contact("1", ContactState::Terminated, Event::Expired);
    assert_eq!(state.apply(document(2, false, State::Active, vec![gone])), Applied::Partial);
    assert_eq!(state.registrations[0].contacts[0].event, Event::Expired);
    state.forget_terminated();
    assert_eq!(state.registrations[0].contacts.len(), 1);
    assert_eq!(state.apply(document(3, false, State::Terminated, Vec::new())), Applied::Partial);
    state.forget_terminated();
    assert!(state.registrations.is_empty());
}

#[test]
fn instances_find_their_parts() {
    let instance =
        |state, cid: Option<&str>| Instance { cid: cid.map(str::to_owned), ..Instance::new("i", state) };
    let resource = |user: &str, instance| Resource {
        uri: format!("sip:{user}@example.com"),
        instances: vec![instance],
        ..Resource::default()
    };
    let root = |version, full, resources| ResourceList {
        uri: "sip:list@example.com".into(),
        version,
        full,
        resources,
        ..ResourceList::default()
    };
    let part =
        |cid: &str, body| Part { content_id: cid.into(), content_type: "application/pidf+xml".into(), body };
    let mut state = Resources::default();
    use rlmi::State::{Active, Pending, Terminated};
    let first = vec![
        resource("a", instance(Active, Some("1@x"))),
        resource("b", instance(Active, Some("2@x"))),
        resource("c", instance(Pending, None)),
    ];
    let (applied, told) =
        state.apply(root(0, true, first), [part("<1@x>", "one"), part("<9@x>", "nobody's")]);
    assert_eq!(applied, Applied::Full);
    assert_eq!(told.iter().map(|told| told.part).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(state.part("sip:a@example.com", "i").unwrap().body, "one");

    let second =
        vec![resource("b", instance(Active, Some("3@x"))), resource("c", instance(Terminated, None))];
    let (applied, told) = state.apply(root(1, false, second), [part("3@x", "three")]);
    assert_eq!((applied, told.len(), state.resources.len()), (Applied::Partial, 2, 3));
    assert_eq!(state.part("sip:a@example.com", "i").unwrap().body, "one", "what is not told stays");
    assert_eq!(state.part("sip:b@example.com", "i").unwrap().body, "three");
    state.forget_terminated();
    assert_eq!(state.resources.len(), 2);

    let (applied, told) = state.apply(root(1, false, Vec::new()), []);
    assert_eq!((applied, told.len()), (Applied::Stale, 0));
    let (applied, _) = state.apply(root(7, false, Vec::new()), []);
    assert!(applied.needs_refresh());
    let (applied, _) = state.apply(root(8, true, Vec::new()), []);
    assert_eq!((applied, state.parts.len()), (Applied::Full, 0));
}

#[test]
fn timestamps_are_points_in_time() {
    let one: Timestamp = "2026-11-21T12:00:00+01:00".parse().unwrap();
    assert_eq!((one.to_string().as_str(), one.unix()), ("2026-11-21T12:00:00+01:00", 1_795_258_800));
    assert_eq!(one, "2026-11-21T11:00:00Z".parse().unwrap());
    assert_eq!(one, "2026-11-21T11:00:00".parse().unwrap(), "without an offset it is UTC");
    assert_eq!(one.utc().to_string(), "2026-11-21T11:00:00Z");
    assert_eq!(Timestamp::from_unix(1_795_258_800), Some(one));
    assert!("2026-11-21T11:00:00.250Z".parse::<Timestamp>().unwrap() > one);
    for text in
        ["", "2026-11-21", "2026-13-21T11:00:00Z", "2026-11-21T25:00:00Z", "now", "2026-11-21T11:00:00+1"]
    {
        assert_eq!(text.parse::<Timestamp>(), Err(NoTimestamp), "{text}");
    }
    assert_eq!(Timestamp::from_unix(i64::MAX), None);
}

/// Text as it may stand anywhere: none of XML's white space at the ends.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z<>&\"' é\u{1F600}]{0,12}".prop_map(|text| text.trim().to_owned())
}

fn notes() -> impl Strategy<Value = Vec<Note>> {
    let language = prop::option::of("[a-z]{2}");
    let note = (language, text()).prop_map(|(language, text)| Note { language, text });
    prop::collection::vec(note, 0..3)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_000_000_000).prop_map(|seconds| Timestamp::from_unix(seconds).unwrap())
}

fn span() -> impl Strategy<Value = Span> {
    (prop::option::of(timestamp()), prop::option::of(timestamp()), prop::option::of("[a-z]{1,4}"))
        .prop_map(|(from, until, id)| Span { from, until, id })
}

fn user_input() -> impl Strategy<Value = UserInput> {
    (any::<bool>(), any::<Option<u64>>(), prop::option::of(timestamp()))
        .prop_map(|(idle, idle_threshold, last_input)| UserInput { idle, idle_threshold, last_input })
}

fn extensions() -> impl Strategy<Value = Vec<Element>> {
    let element = ("[a-z]{1,4}", text())
        .prop_map(|(name, text)| Element::new("urn:example:x", &name).with("y", &text).with_text(&text));
    prop::collection::vec(element, 0..2)
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let contact =
        (text(), prop::option::of(0_u16..=1000)).prop_map(|(uri, priority)| Contact { uri, priority });
    let basic = prop::option::of(prop_oneof![Just(Basic::Open), Just(Basic::Closed)]);
    let relationship =
        prop::option::of(prop::sample::select(Relation::KNOWN).prop_map(|one| vec![one].into()));
    let rest = (relationship, prop::option::of(user_input()), extensions(), extensions());
    (
        text(),
        basic,
        prop::option::of(contact),
        notes(),
        prop::option::of(timestamp()),
        prop::option::of(text()),
        rest,
    )
        .prop_map(|(id, basic, contact, notes, timestamp, class, rest)| Tuple {
            id,
            basic,
            contact,
            notes,
            timestamp,
            class,
            device_ids: vec!["urn:x:1".into()],
            relationship: rest.0,
            user_input: rest.1,
            status: rest.2,
            extensions: rest.3,
            ..Tuple::default()
        })
}

fn person() -> impl Strategy<Value = Person> {
    let activity =
        prop_oneof![prop::sample::select(Activity::KNOWN), text().prop_map(|text| text.as_str().into())];
    let activities = (prop::collection::vec(activity, 0..4), notes(), span())
        .prop_map(|(values, notes, span)| rpid::Described { values, notes, span, extensions: Vec::new() });
    let place = prop_oneof!["[a-z]{1,8}".prop_map(Place::Known), text().prop_map(Place::Other)];
    let sphere = prop_oneof![prop::sample::select(Role::KNOWN), text().prop_map(|text| text.as_str().into())];
    let offset = (any::<i32>(), prop::option::of(text()), span())
        .prop_map(|(minutes, description, span)| TimeOffset { minutes, description, span });
    let icon = (text(), span()).prop_map(|(uri, span)| StatusIcon { uri, span });
    let vec = |strategy: BoxedStrategy<_>| prop::collection::vec(strategy, 0..2);
    let rest =
        (prop::collection::vec(offset, 0..2), prop::collection::vec(icon, 0..2), extensions(), notes());
    (vec(activities.boxed()), prop::sample::select(Mood::KNOWN), place, sphere, span(), rest).prop_map(
        |(activities, mood, place, sphere, span, rest)| Person {
            id: "p".into(),
            activities,
            mood: vec![vec![mood].into()],
            place_is: vec![PlaceIs { audio: Some(AudioPlace::Noisy), span, ..PlaceIs::default() }],
            place_type: vec![vec![place].into()],
            sphere: vec![vec![sphere].into()],
            time_offset: rest.0,
            status_icon: rest.1,
            extensions: rest.2,
            notes: rest.3,
            ..Person::default()
        },
    )
}

proptest! {
    #[test]
    fn presence_reads_as_it_was_made(
        entity in text(),
        tuples in prop::collection::vec(tuple(), 0..3),
        persons in prop::collection::vec(person(), 0..2),
        notes in notes(),
        input in user_input(),
        extensions in extensions(),
    ) {
        let device = Device { id: "d".into(), device_id: "urn:x:1".into(), user_input: Some(input), ..Device::default() };
        let presence = Presence { entity, tuples, notes, persons, devices: vec![device], extensions };
        prop_assert_eq!(Presence::read(presence.write().as_bytes()), Ok(presence));
    }

    #[test]
    fn summaries_read_as_they_were_made(
        waiting in any::<bool>(),
        account in prop::option::of("[a-z:@.]{0,12}"),
        counts in prop::collection::vec((prop::sample::select(Class::KNOWN), any::<(u32, u32, Option<(u32, u32)>)>()), 0..4),
        messages in prop::collection::vec(prop::collection::vec(("[A-Z][a-z-]{0,6}", "[a-z]{0,6}"), 1..3), 0..3),
    ) {
        let counts = counts.into_iter().map(|(class, (new, old, urgent))| Count { class, new, old, urgent });
        let summary = MessageSummary { waiting, account, counts: counts.collect(), messages };
        prop_assert_eq!(MessageSummary::read(summary.write().as_bytes()), Ok(summary));
    }
}
