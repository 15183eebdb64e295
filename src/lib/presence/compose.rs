//! One document out of what several devices publish: the composition that RFC 3903 leaves to the server and
//! RFC 4479 §3 and RFC 4480 §1 describe the parts of.
//!
//! * Services (`<tuple>`) are told apart by their ids. Of two with the same id the newer one counts.
//! * There is one person. What is newer counts, but activities add up: who telephones in a meeting does both. Anybody
//!   who uses anything is active.
//! * Devices are told apart by their device ids; the newer one counts.
//! * Notes, and elements of other namespaces, add up.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::Hash,
};

use super::{
    Element, Note, Timestamp,
    pidf::{Device, Person, Presence, Tuple},
    rpid::{Activities, Activity, UserInput},
};

/// What is known about a presentity, out of its publications from the oldest to the newest.
pub fn compose<'p>(
    entity: impl Into<String>,
    publications: impl IntoIterator<Item = &'p Presence>,
) -> Presence {
    let mut tuples: Rows<&str, Tuple> = Rows::default();
    let mut devices: Rows<&str, Device> = Rows::default();
    let mut persons = Vec::new();
    let (mut notes, mut extensions) = (Vec::new(), Vec::new());
    for publication in publications {
        for tuple in &publication.tuples {
            tuples.put(&tuple.id, tuple, tuple.timestamp);
        }
        for device in &publication.devices {
            let key = if device.device_id.is_empty() { &device.id } else { &device.device_id };
            devices.put(key, device, device.timestamp);
        }
        persons.extend(&publication.persons);
        notes.extend(&publication.notes);
        extensions.extend(&publication.extensions);
    }
    Presence {
        entity: entity.into(),
        tuples: tuples.rows.into_iter().map(|(row, _)| row.clone()).collect(),
        notes: different(notes),
        persons: person(persons).into_iter().collect(),
        devices: devices.rows.into_iter().map(|(row, _)| row.clone()).collect(),
        extensions: different_elements(extensions),
    }
}

/// Rows in the order they came first, each the newest of its key.
struct Rows<'p, K, T> {
    rows: Vec<(&'p T, Option<Timestamp>)>,
    places: HashMap<K, usize>,
}

impl<K, T> Default for Rows<'_, K, T> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: HashMap::new() }
    }
}

impl<'p, K: Hash + Eq, T> Rows<'p, K, T> {
    /// Without a time, who publishes later is newer.
    fn put(&mut self, key: K, row: &'p T, timestamp: Option<Timestamp>) {
        match self.places.entry(key) {
            Entry::Vacant(place) => {
                place.insert(self.rows.len());
                self.rows.push((row, timestamp));
            }
            Entry::Occupied(place) => {
                if let Some(known) = self.rows.get_mut(*place.get())
                    && !is_older(timestamp, known.1)
                {
                    *known = (row, timestamp);
                }
            }
        }
    }
}

fn is_older(this: Option<Timestamp>, that: Option<Timestamp>) -> bool {
    matches!((this, that), (Some(this), Some(that)) if this < that)
}

/// One person out of several.
fn person(mut persons: Vec<&Person>) -> Option<Person> {
    let id = persons.first()?.id.clone();
    // Those without a time stay where they are.
    let mut timed: Vec<&Person> =
        persons.iter().copied().filter(|person| person.timestamp.is_some()).collect();
    timed.sort_by_key(|person| person.timestamp);
    let mut timed = timed.into_iter();
    for place in persons.iter_mut().filter(|person| person.timestamp.is_some()) {
        *place = timed.next()?;
    }
    let mut whole = Person { id, ..Person::default() };
    for person in &persons {
        // The newest that says anything counts.
        macro_rules! newest {
            ($($field:ident)*) => {$(
                if !person.$field.is_empty() {
                    whole.$field.clone_from(&person.$field);
                }
            )*};
        }
        newest!(mood place_is place_type privacy sphere status_icon time_offset);
        if person.class.is_some() {
            whole.class.clone_from(&person.class);
        }
        whole.timestamp = whole.timestamp.max(person.timestamp);
        whole.user_input = match (whole.user_input, person.user_input) {
            (Some(one), Some(other)) => Some(used(one, other)),
            (one, other) => other.or(one),
        };
    }
    whole.activities = activities(&persons);
    whole.notes = different(persons.iter().flat_map(|person| &person.notes).collect());
    whole.extensions = different_elements(persons.iter().flat_map(|person| &person.extensions).collect());
    Some(whole)
}

/// The activities of all; those of the same time are one element.
fn activities(persons: &[&Person]) -> Vec<Activities> {
    let mut all: Vec<Activities> = Vec::new();
    let mut places = HashMap::new();
    for activities in persons.iter().flat_map(|person| &person.activities) {
        let at = *places.entry((activities.span.from, activities.span.until)).or_insert(all.len());
        let Some(same) = all.get_mut(at) else {
            all.push(activities.clone());
            continue;
        };
        same.values.extend(activities.values.iter().cloned());
        same.notes.extend(activities.notes.iter().cloned());
        same.extensions.extend(activities.extensions.iter().cloned());
    }
    for activities in &mut all {
        let mut seen = HashSet::new();
        activities.values.retain(|value| seen.insert(value.clone()));
        // Not to know what else somebody does is no activity (RFC 4480 §3.2).
        if activities.values.len() > 1 {
            activities.values.retain(|value| *value != Activity::Unknown);
        }
        activities.notes = different(activities.notes.iter().collect());
        activities.extensions = different_elements(activities.extensions.iter().collect());
    }
    all
}

/// RFC 4480 §3.14: the person is active if anything of theirs is, and the last input counts.
fn used(one: UserInput, other: UserInput) -> UserInput {
    let newer = if one.last_input > other.last_input { one } else { other };
    UserInput {
        idle: one.idle && other.idle,
        last_input: one.last_input.max(other.last_input),
        idle_threshold: newer.idle_threshold.or(one.idle_threshold).or(other.idle_threshold),
    }
}

fn different(notes: Vec<&Note>) -> Vec<Note> {
    let mut seen = HashSet::new();
    notes.into_iter().filter(|note| seen.insert(*note)).cloned().collect()
}

fn different_elements(elements: Vec<&Element>) -> Vec<Element> {
    let mut seen = HashSet::new();
    elements.into_iter().filter(|element| seen.insert(element.write())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::pidf::Basic;

    fn tuple(id: &str, basic: Basic, time: Option<&str>) -> Tuple {
        let timestamp = time.map(|time| time.parse().unwrap());
        Tuple { id: id.into(), basic: Some(basic), timestamp, ..Tuple::default() }
    }

    fn publication(tuples: &[Tuple], person: Option<Person>) -> Presence {
        Presence {
            tuples: tuples.to_vec(),
            persons: person.into_iter().collect(),
            ..Presence::new("sip:x@y")
        }
    }

    #[test]
    fn services_are_united_by_id_and_the_newest_counts() {
        let (early, late) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:01Z"));
        let one = publication(&[tuple("a", Basic::Open, late), tuple("b", Basic::Open, None)], None);
        let two = publication(&[tuple("a", Basic::Closed, early), tuple("b", Basic::Closed, None)], None);
        let three = publication(&[tuple("c", Basic::Closed, None)], None);
        let whole = compose("sip:a@example.com", [&one, &two, &three]);
        let states: Vec<_> =
            whole.tuples.iter().map(|tuple| (tuple.id.as_str(), tuple.basic.unwrap())).collect();
        assert_eq!(states, [("a", Basic::Open), ("b", Basic::Closed), ("c", Basic::Closed)]);
        assert_eq!((whole.entity.as_str(), whole.basic()), ("sip:a@example.com", Some(Basic::Open)));
    }

    #[test]
    fn persons_become_one() {
        let phone = Person {
            id: "p1".into(),
            activities: vec![vec![Activity::OnThePhone, Activity::Unknown].into()],
            mood: vec![vec![crate::presence::rpid::Mood::Happy].into()],
            notes: vec![Note::new("hello")],
            user_input: Some(UserInput::default()),
            ..Person::default()
        };
        let calendar = Person {
            id: "p2".into(),
            activities: vec![vec![Activity::Meeting, Activity::OnThePhone].into()],
            notes: vec![Note::new("hello"), Note::new("until four")],
            user_input: Some(UserInput { idle: true, ..UserInput::default() }),
            ..Person::default()
        };
        let whole = compose("sip:a@b", [&publication(&[], Some(phone)), &publication(&[], Some(calendar))]);
        let [person] = whole.persons.as_slice() else { panic!("{whole:?}") };
        assert_eq!(person.id, "p1");
        assert_eq!(person.activities[0].values, [Activity::OnThePhone, Activity::Meeting]);
        assert_eq!((person.mood.len(), person.notes.len()), (1, 2));
        assert!(!person.user_input.unwrap().idle);
        assert!(compose("sip:a@b", []).persons.is_empty());
    }
}
