//! Presence that tells what changed: application/pidf-diff+xml (RFC 5262), as notifications (RFC 5263) and
//! publications (RFC 5264) carry it.

mod diff;

use super::{
    Applied, Element, Error, Limits, Reason, XmlDocument,
    patch::{self, Patch, Unpatched},
    pidf::{PIDF, Presence},
    version::Version,
};

/// `<pidf-full>` or `<pidf-diff>`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartialPresence {
    /// One higher from document to document of a subscription, from 1; publications have none.
    pub version: Option<u32>,
    /// What it tells.
    pub content: Content,
}

/// What partial presence tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The whole state.
    Full(Presence),
    /// What changed.
    Diff {
        /// The presentity, if told.
        entity: Option<String>,
        /// The changes, in order.
        patches: Vec<Patch>,
    },
}

impl XmlDocument for PartialPresence {
    const MEDIA_TYPE: &'static str = "application/pidf-diff+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        let version = root.parsed("version")?;
        if root.is(PIDF_DIFF, "pidf-full") {
            return Ok(Self { version, content: Content::Full(Presence::read_children(root)?) });
        }
        root.expect(PIDF_DIFF, "pidf-diff")?;
        let mut patches = Vec::new();
        for child in root.elements().filter(|child| *child.name.namespace == *PIDF_DIFF) {
            if patches.len() >= patch::OPERATIONS {
                let reason = Reason::TooMany { what: "patch operations", limit: patch::OPERATIONS };
                return Err(child.refuse(reason));
            }
            patches.extend(Patch::from_element(child, &root.prefixes)?);
        }
        Ok(Self { version, content: Content::Diff { entity: root.string("entity"), patches } })
    }

    fn to_element(&self) -> Element {
        let mut root = match &self.content {
            Content::Full(presence) => presence.write_children(Element::new(PIDF_DIFF, "pidf-full")),
            Content::Diff { entity, patches } => Element::new(PIDF_DIFF, "pidf-diff")
                .with_some("entity", entity.as_ref())
                .with_children(patches.iter().map(|patch| patch.to_element(PIDF_DIFF))),
        };
        root = root.with_some("version", self.version.as_ref());
        // Presence is the namespace of almost everything in it. With patches there must be no default one, which
        // would be that of names without a prefix in selectors.
        if matches!(self.content, Content::Full(_)) {
            root.prefixes.push(("".into(), PIDF.into()));
        }
        root.prefixes.push(("d".into(), PIDF_DIFF.into()));
        root
    }
}

/// The presence of a subscription, kept from document to document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartialState {
    version: Version,
    root: Option<Element>,
}

/// Why a document cannot be taken in: subscribe again, so that the whole state is sent (RFC 5263 §4.5).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failed {
    /// A change cannot be made.
    #[error("{0}")]
    Patch(#[from] Unpatched),
    /// With its changes, the document is no presence any more.
    #[error("the changed document is refused: {}", .0.reason)]
    Presence(Error),
    /// Changes came before there was anything to change.
    #[error("changes without a whole document before them")]
    NothingBefore,
}

impl PartialState {
    /// Takes a document in and gives the presence as it is now, if it is not older than what is there. After
    /// [`Applied::Gap`] the presence is as it was. Without a version, a document is the next one.
    pub fn apply(&mut self, document: &PartialPresence) -> Result<(Applied, Option<Presence>), Failed> {
        let before = self.version;
        let full = matches!(document.content, Content::Full(_));
        let applied = match document.version {
            Some(version) => self.version.next(version, full),
            None if full => Applied::Full,
            None => Applied::Partial,
        };
        match (&document.content, applied) {
            (_, Applied::Stale) => Ok((applied, None)),
            (Content::Full(presence), _) => {
                // Selectors name `<presence>`, however the document came (RFC 5263 §5).
                self.root = Some(presence.to_element());
                Ok((applied, Some(presence.clone())))
            }
            (Content::Diff { .. }, Applied::Gap) => {
                self.version = before;
                if self.root.is_none() { Err(Failed::NothingBefore) } else { Ok((applied, None)) }
            }
            (Content::Diff { patches, .. }, _) => {
                let mut root = self.root.clone().ok_or(Failed::NothingBefore)?;
                let changed = patch::apply_all(&mut root, patches, &Limits::default()).map_err(Failed::Patch);
                let presence = changed.and_then(|()| Presence::from_element(&root).map_err(Failed::Presence));
                match presence {
                    Ok(presence) => {
                        self.root = Some(root);
                        Ok((applied, Some(presence)))
                    }
                    Err(failed) => {
                        self.version = before;
                        Err(failed)
                    }
                }
            }
        }
    }
}

/// The namespace of partial presence.
pub const PIDF_DIFF: &str = "urn:ietf:params:xml:ns:pidf-diff";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::{Document, pidf::Basic};

    const FULL: &str = "<p:pidf-full xmlns='urn:ietf:params:xml:ns:pidf' xmlns:p='urn:ietf:params:xml:ns:pidf-diff'
        entity='sip:a@example.com' version='1'>
        <tuple id='t1'><status><basic>open</basic></status><contact priority='0.8'>sip:a@192.0.2.1</contact></tuple>
        <tuple id='t2'><status><basic>closed</basic></status></tuple><note>Full</note></p:pidf-full>";

    fn diff(version: u32, operations: &str) -> PartialPresence {
        let text = format!(
            "<p:pidf-diff xmlns='urn:ietf:params:xml:ns:pidf' xmlns:p='urn:ietf:params:xml:ns:pidf-diff'
                version='{version}'>{operations}</p:pidf-diff>"
        );
        let read = PartialPresence::read(text.as_bytes()).unwrap();
        assert_eq!(PartialPresence::read(read.write().as_bytes()).as_ref(), Ok(&read), "{}", read.write());
        read
    }

    #[test]
    fn changes_are_applied_in_order() {
        let mut state = PartialState::default();
        let open = diff(
            2,
            "<p:replace sel=\"*/tuple[@id='t2']/status/basic/text()\">open</p:replace>
            <p:add sel='presence/note' pos='before'><tuple id='t3'><status/></tuple></p:add>
            <p:replace sel=\"*/tuple[@id='t1']/contact/@priority\">0.7</p:replace>",
        );
        assert_eq!(state.apply(&open), Err(Failed::NothingBefore));
        let full = PartialPresence::read(FULL.as_bytes()).unwrap();
        let (applied, presence) = state.apply(&full).unwrap();
        assert_eq!((applied, presence.unwrap().tuples.len()), (Applied::Full, 2));

        let (applied, presence) = state.apply(&open).unwrap();
        let presence = presence.unwrap();
        assert_eq!(applied, Applied::Partial);
        assert_eq!(presence.tuples[1].basic, Some(Basic::Open));
        assert_eq!(presence.tuples[0].contact.as_ref().unwrap().priority, Some(700));
        assert_eq!(presence.tuples[2].id, "t3");

        assert_eq!(state.apply(&open).unwrap(), (Applied::Stale, None));
        assert_eq!(state.apply(&diff(4, "")).unwrap(), (Applied::Gap, None));
        let broken = diff(3, "<p:remove sel='presence/note'/><p:remove sel='presence/tuple'/>");
        assert!(matches!(state.apply(&broken), Err(Failed::Patch(_))));
        let (applied, presence) = state.apply(&diff(3, "<p:remove sel='presence/note'/>")).unwrap();
        assert_eq!(
            (applied, presence.unwrap().notes.len()),
            (Applied::Partial, 0),
            "what failed changed nothing"
        );
        let wrong = diff(4, "<p:replace sel=\"*/tuple[@id='t2']/status/basic/text()\">perhaps</p:replace>");
        assert!(matches!(state.apply(&wrong), Err(Failed::Presence(_))));
    }
}
