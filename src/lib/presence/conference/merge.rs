//! The whole state of a conference out of documents that tell what changed (RFC 4575 §4.6).

use std::collections::HashMap;

use super::{CONFERENCE, Change, ConferenceInfo};
use crate::presence::{
    Applied, Element, Error, Node, XmlDocument,
    version::{Version, Weight},
};

/// A conference, kept from document to document of a subscription.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conference {
    version: Version,
    /// The conference as it is now; none before the first document. Deleted: it has ceased to exist, and there
    /// is nothing left to subscribe to.
    pub info: Option<ConferenceInfo>,
}

impl Conference {
    /// Takes a document in.
    pub fn apply(&mut self, document: ConferenceInfo) -> Result<Applied, Error> {
        let full = document.state != Change::Partial;
        let before = self.version;
        let applied = self.version.next(document.version.unwrap_or_default(), full);
        match (applied, &self.info) {
            (Applied::Stale, _) => {}
            // Partial documents after a gap are not taken in; what comes next is the whole state.
            (Applied::Gap, _) => self.version = before,
            (Applied::Partial, Some(info)) => {
                let mut whole = info.to_element();
                merge(&mut whole, &document.to_element());
                let mut weight = Weight::default();
                if !weight.add(whole.write().len(), || usize::MAX) {
                    (self.version, self.info) = (before, None);
                    return Ok(Applied::Gap);
                }
                let mut merged = ConferenceInfo::from_element(&whole)?;
                merged.version = document.version;
                self.info = Some(merged);
            }
            _ => self.info = Some(document),
        }
        Ok(applied)
    }
}

/// Steps 3.1 to 3.3 of §4.6 for what is in an element.
fn merge(whole: &mut Element, update: &Element) {
    let mut children: Vec<Option<Node>> = std::mem::take(&mut whole.children).into_iter().map(Some).collect();
    let places = children.iter().enumerate().filter_map(|(at, node)| match node {
        Some(Node::Element(element)) => Some(((element.name.clone(), key(element)), at)),
        _ => None,
    });
    let mut places: HashMap<_, _> = places.collect();
    for new in update.elements() {
        let at = *places.entry((new.name.clone(), key(new))).or_insert(children.len());
        if at == children.len() {
            children.push(None);
        }
        let Some(place) = children.get_mut(at) else { continue };
        match (&mut *place, Change::read(new).unwrap_or_default()) {
            (Some(Node::Element(old)), Change::Partial) => merge(old, new),
            (_, Change::Deleted) => *place = None,
            (_, Change::Full | Change::Partial) => *place = Some(Node::Element(settled(new))),
        }
    }
    whole.children = children.into_iter().flatten().collect();
}

/// A new row is the whole row, however it was told of.
fn settled(element: &Element) -> Element {
    let mut element = element.clone();
    element.attributes.retain(|(name, _)| !(name.namespace.is_empty() && &*name.local == "state"));
    let deleted =
        |node: &Node| matches!(node, Node::Element(inner) if Change::read(inner) == Ok(Change::Deleted));
    element.children.retain(|node| !deleted(node));
    for node in &mut element.children {
        if let Node::Element(inner) = node {
            *inner = settled(inner);
        }
    }
    element
}

/// What tells an element from its siblings of the same name (§4.5); those without a key stand alone.
fn key(element: &Element) -> Option<String> {
    if *element.name.namespace != *CONFERENCE {
        return None;
    }
    match &*element.name.local {
        "user" | "endpoint" => Some(element.attribute("entity").unwrap_or_default().to_owned()),
        "media" => element.attribute("id").map(str::to_owned),
        "entry" => {
            let uri = || element.child_text(CONFERENCE, "uri");
            let own = element.attribute("entity").or(element.attribute("label")).map(str::to_owned);
            own.or_else(uri).or_else(|| Some(element.text().into_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::Document;

    fn document(version: u32, state: &str, inside: &str) -> ConferenceInfo {
        let text = format!(
            "<conference-info xmlns='{CONFERENCE}' entity='sip:c@example.com' version='{version}' state='{state}'>\
             {inside}</conference-info>"
        );
        ConferenceInfo::read(text.as_bytes()).unwrap()
    }

    fn users(conference: &Conference) -> Vec<(&str, usize)> {
        let users = conference.info.iter().flat_map(ConferenceInfo::users);
        users.map(|user| (user.entity.as_str(), user.endpoints.len())).collect()
    }

    #[test]
    fn changes_are_merged_by_key() {
        let mut conference = Conference::default();
        let first = "<conference-state><user-count>2</user-count></conference-state><users>\
             <user entity='a'><endpoint entity='a1'><media id='1'><status>sendrecv</status></media></endpoint></user>\
             <user entity='b'><endpoint entity='b1'/></user></users>";
        assert_eq!(conference.apply(document(1, "full", first)), Ok(Applied::Full));
        let second = "<conference-state><user-count>3</user-count></conference-state><users state='partial'>\
             <user entity='a' state='partial'><endpoint entity='a2' state='partial'><status>connected</status>\
             </endpoint></user><user entity='b' state='deleted'/><user entity='c'/></users>";
        assert_eq!(conference.apply(document(2, "partial", second)), Ok(Applied::Partial));
        assert_eq!(users(&conference), [("a", 2), ("c", 0)]);
        let info = conference.info.clone().unwrap();
        assert_eq!(info.conference_state.as_ref().unwrap().user_count, Some(3));
        assert_eq!(info.users().next().unwrap().endpoints[0].media.len(), 1);
        assert_eq!((info.state, info.version), (Change::Full, Some(2)));

        assert_eq!(conference.apply(document(2, "partial", "")), Ok(Applied::Stale));
        assert_eq!(conference.apply(document(5, "partial", "<users/>")), Ok(Applied::Gap));
        assert_eq!(conference.info, Some(info), "what comes after a gap is not taken");
        assert_eq!(conference.apply(document(6, "deleted", "")), Ok(Applied::Full));
        assert_eq!(conference.info.unwrap().state, Change::Deleted);
    }
}
