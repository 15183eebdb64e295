//! The documents of presence and of the other event packages, read and written: no clock, no IO, nothing of SIP.
//!
//! Each document is a plain struct that implements [`Document`]:
//!
//! ```
//! use sipkit::presence::{Document, pidf::{Basic, Presence}};
//!
//! let body = br#"<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:alice@example.com">
//!     <tuple id="t1"><status><basic>open</basic></status><contact>sip:alice@192.0.2.1</contact></tuple>
//!   </presence>"#;
//! let presence = Presence::read(body)?;
//! assert_eq!(presence.basic(), Some(Basic::Open));
//! assert_eq!(Presence::read(presence.write().as_bytes())?, presence);
//! # Ok::<(), sipkit::presence::Error>(())
//! ```
//!
//! | document | media type | RFC |
//! |---|---|---|
//! | [`pidf::Presence`] with [`rpid`] | application/pidf+xml | 3863, 4479, 4480 |
//! | [`partial::PartialPresence`] | application/pidf-diff+xml | 5262, 5263, with [`patch`]: 5261 |
//! | [`winfo::WatcherInfo`] | application/watcherinfo+xml | 3857, 3858 |
//! | [`rlmi::ResourceList`] | application/rlmi+xml | 4662 |
//! | [`mwi::MessageSummary`] | application/simple-message-summary | 3842 |
//! | [`dialog_info::DialogInfo`] | application/dialog-info+xml | 4235, 7463 |
//! | [`conference::ConferenceInfo`] | application/conference-info+xml | 4575 |
//! | [`reg::RegInfo`] | application/reginfo+xml | 3680, 5628 |
//! | [`xcap_diff::XcapDiff`] | application/xcap-diff+xml | 5874, 5875 |
//! | [`resource_lists::ResourceLists`] | application/resource-lists+xml | 4826, 5364 |
//! | [`resource_lists::RlsServices`] | application/rls-services+xml | 4826 |
//! | [`pres_rules::Ruleset`] | application/auth-policy+xml | 5025, 4745 |
//! | [`composing::IsComposing`] | application/im-iscomposing+xml | 3994 |
//! | [`imdn::Imdn`] | message/imdn+xml | 5438 |
//!
//! What is not known is left alone: elements of other namespaces are kept as [`Element`]s where extensions may
//! stand, unknown attributes are dropped. What breaks a rule is refused with line and column.
#![warn(missing_docs)]

pub mod compose;
pub mod composing;
pub mod conference;
pub mod dialog_info;
mod error;
mod fuzz;
pub mod imdn;
pub mod mwi;
pub mod partial;
pub mod patch;
pub mod pidf;
pub mod pres_rules;
pub mod reg;
pub mod resource_lists;
pub mod rlmi;
pub mod rpid;
#[cfg(test)]
mod tests;
mod timestamp;
mod token;
mod version;
pub mod winfo;
pub mod xcap_diff;
mod xml;

pub use error::{Error, Reason};
pub use fuzz::fuzz_parse;
pub use timestamp::{NoTimestamp, Timestamp};
pub use version::Applied;
pub use xml::{Element, Limits, Name, Node};

use std::{collections::HashMap, hash::Hash};

use token::tokens;

/// A document that is the body of a message.
pub trait Document: Sized {
    /// The media type of the body.
    const MEDIA_TYPE: &'static str;

    /// Reads a body within the limits.
    fn read_within(body: &[u8], limits: &Limits) -> Result<Self, Error>;

    /// Writes a body.
    fn write(&self) -> String;

    /// Reads a body within the usual [`Limits`]: 1 MiB.
    fn read(body: &[u8]) -> Result<Self, Error> {
        Self::read_within(body, &Limits::default())
    }
}

/// A document in XML.
pub trait XmlDocument: Sized {
    /// The media type of the body.
    const MEDIA_TYPE: &'static str;

    /// Reads the root element.
    fn from_element(root: &Element) -> Result<Self, Error>;

    /// The root element.
    fn to_element(&self) -> Element;
}

impl<T: XmlDocument> Document for T {
    const MEDIA_TYPE: &'static str = <T as XmlDocument>::MEDIA_TYPE;

    fn read_within(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        Self::from_element(&Element::read(body, limits)?)
    }

    fn write(&self) -> String {
        self.to_element().write()
    }
}

/// What people write to people, in a language that may be named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Note {
    /// `xml:lang`.
    pub language: Option<String>,
    /// The text, without white space at both ends.
    pub text: String,
}

impl Note {
    /// A note in no named language.
    pub fn new(text: impl Into<String>) -> Self {
        Self { language: None, text: text.into() }
    }

    fn from_element(element: &Element) -> Self {
        Self { language: element.language().map(str::to_owned), text: element.text().into_owned() }
    }

    fn to_element(&self, namespace: &str, local: &str) -> Element {
        Element::new(namespace, local).with_language(self.language.as_deref()).with_text(&self.text)
    }
}

/// Rows by what names them.
fn by_key<'r, T, K: Hash + Eq>(rows: &'r [T], key: impl Fn(&'r T) -> K) -> HashMap<K, &'r T> {
    rows.iter().map(|row| (key(row), row)).collect()
}

/// Rows that are there are replaced in their places, new ones come last.
fn replace_by<T, K: Hash + Eq>(rows: &mut Vec<T>, new: Vec<T>, key: impl Fn(&T) -> K) {
    merge_by(rows, new, key, |row, new| *row = new);
}

/// Rows that are there are merged with new ones, other new ones come last.
fn merge_by<T, K: Hash + Eq>(
    rows: &mut Vec<T>,
    new: Vec<T>,
    key: impl Fn(&T) -> K,
    mut merge: impl FnMut(&mut T, T),
) {
    let mut places: HashMap<K, usize> = rows.iter().enumerate().map(|(at, row)| (key(row), at)).collect();
    for row in new {
        let at = *places.entry(key(&row)).or_insert(rows.len());
        match rows.get_mut(at) {
            Some(place) => merge(place, row),
            None => rows.push(row),
        }
    }
}
