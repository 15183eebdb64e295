//! What changed from one presence to the next, as patches.

use std::collections::HashSet;

use super::{Content, PartialPresence};
use crate::presence::{
    Document, Element, Node,
    patch::{self, Patch, Place, Selector},
    pidf::{DATA_MODEL, Device, PIDF, Person, Presence, Tuple},
};

impl PartialPresence {
    /// What makes `new` out of `old`: patches of whole services, persons and devices, or all of `new` where that is
    /// shorter or patches cannot tell.
    pub fn between(old: &Presence, new: &Presence, version: u32) -> Self {
        let full = Self { version: Some(version), content: Content::Full(new.clone()) };
        let Some(patches) = changes(old, new).filter(|patches| patches.len() <= patch::OPERATIONS) else {
            return full;
        };
        let diff = Self { version: Some(version), content: Content::Diff { entity: None, patches } };
        if diff.write().len() < full.write().len() { diff } else { full }
    }
}

/// None where patches cannot tell: other notes or extensions, another order, ids that are not unique.
fn changes(old: &Presence, new: &Presence) -> Option<Vec<Patch>> {
    if (&old.entity, &old.notes, &old.extensions) != (&new.entity, &new.notes, &new.extensions) {
        return None;
    }
    let mut patches = Vec::new();
    // Services come first in a document, the others last.
    rows(
        &mut patches,
        &old.tuples,
        &new.tuples,
        ("p:tuple", Place::Prepend),
        |row| &row.id,
        Tuple::to_element,
    )?;
    rows(
        &mut patches,
        &old.persons,
        &new.persons,
        ("dm:person", Place::Append),
        |row| &row.id,
        Person::to_element,
    )?;
    rows(
        &mut patches,
        &old.devices,
        &new.devices,
        ("dm:device", Place::Append),
        |row| &row.id,
        Device::to_element,
    )?;
    Some(patches)
}

fn rows<T: PartialEq>(
    patches: &mut Vec<Patch>,
    old: &[T],
    new: &[T],
    (name, first): (&str, Place),
    id: fn(&T) -> &String,
    element: fn(&T) -> Element,
) -> Option<()> {
    let content = |row: &T| vec![Node::Element(element(row))];
    let before: HashSet<&String> = old.iter().map(id).collect();
    let now: HashSet<&String> = new.iter().map(id).collect();
    if before.len() != old.len() || now.len() != new.len() {
        return None;
    }
    for row in old.iter().filter(|row| !now.contains(id(row))) {
        patches.push(Patch::Remove { selector: selector(name, id(row))? });
    }
    let mut staying = old.iter().filter(|row| now.contains(id(row)));
    let next = new.iter().map(id).find(|id| before.contains(id));
    let mut last: Option<&String> = None;
    for row in new {
        if !before.contains(id(row)) {
            let (selector, place) = match (last, next) {
                (Some(last), _) => (selector(name, last)?, Place::After),
                (None, Some(next)) => (selector(name, next)?, Place::Before),
                (None, None) => (Selector::read("*", &[]).ok()?, first),
            };
            patches.push(Patch::Add { selector, place, content: content(row) });
        } else {
            // What stays must keep its order.
            let was = staying.next().filter(|was| id(was) == id(row))?;
            if was != row {
                patches.push(Patch::Replace { selector: selector(name, id(row))?, content: content(row) });
            }
        }
        last = Some(id(row));
    }
    Some(())
}

fn selector(name: &str, id: &str) -> Option<Selector> {
    let quote = if id.contains('\'') { '"' } else { '\'' };
    let text = format!("*/{name}[@id={quote}{id}{quote}]");
    Selector::read(&text, &[("p".into(), PIDF.into()), ("dm".into(), DATA_MODEL.into())]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::presence::{Applied, Note, partial::PartialState, pidf::Basic};

    fn presence() -> impl Strategy<Value = Presence> {
        let rows = || prop::collection::vec((0_u8..6, any::<bool>()), 0..5);
        (rows(), rows(), rows()).prop_map(|(tuples, persons, devices)| {
            let mut presence =
                Presence { notes: vec![Note::new("a longer note")], ..Presence::new("sip:a@b") };
            let id = |number: u8| if number == 0 { "it's".to_owned() } else { format!("i{number}") };
            for (number, open) in tuples {
                let basic = Some(if open { Basic::Open } else { Basic::Closed });
                presence.tuples.push(Tuple { id: id(number), basic, ..Tuple::default() });
            }
            for (number, class) in persons {
                let class = class.then(|| "c".to_owned());
                presence.persons.push(Person { id: id(number), class, ..Person::default() });
            }
            for (number, class) in devices {
                let class = class.then(|| "c".to_owned());
                presence.devices.push(Device { id: id(number), class, ..Device::default() });
            }
            presence
        })
    }

    #[test]
    fn one_change_is_one_patch() {
        let mut old = Presence::new("sip:a@example.com");
        for number in 0..5 {
            let id = format!("t{number}");
            old.tuples.push(Tuple { id, basic: Some(Basic::Open), ..Tuple::default() });
        }
        let mut new = old.clone();
        new.tuples[3].basic = Some(Basic::Closed);
        let Content::Diff { patches, .. } = PartialPresence::between(&old, &new, 1).content else { panic!() };
        assert_eq!(patches.len(), 1);
        assert_eq!(patches[0].selector().text(), "*/p:tuple[@id='t3']");
    }

    proptest! {
        #[test]
        fn changes_make_the_new_out_of_the_old(old in presence(), new in presence()) {
            let full = PartialPresence { version: Some(1), content: Content::Full(old.clone()) };
            let mut state = PartialState::default();
            state.apply(&full).unwrap();
            let diff = PartialPresence::between(&old, &new, 2);
            let diff = PartialPresence::read(diff.write().as_bytes()).unwrap();
            let (applied, presence) = state.apply(&diff).unwrap();
            prop_assert!(matches!(applied, Applied::Full | Applied::Partial));
            prop_assert_eq!(presence, Some(new));
        }
    }
}
