//! Feature tags (RFC 3840 §9) and the fields that consist of them: Accept-Contact, Reject-Contact
//! (RFC 3841 §10), Feature-Caps (RFC 6809 §6). The same parameters stand in Contact.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params};

header!(
    /// What a contact should be able to do to get the request.
    AcceptContact, List, FeatureSet<'m>, FeatureSet::read, words FeatureSet::plain);
header!(
    /// What a contact that gets the request must not be able to do.
    RejectContact, List, FeatureSet<'m>, FeatureSet::read, words FeatureSet::plain);
header!(
    /// What the elements on the way can do.
    FeatureCaps, List, FeatureSet<'m>, FeatureSet::read, words FeatureSet::plain);

/// `*` with feature parameters.
#[derive(Debug, Clone, Copy)]
pub struct FeatureSet<'m> {
    /// Feature tags, require and explicit among them.
    pub params: Params<'m>,
}

impl<'m> FeatureSet<'m> {
    /// Contacts that do not match are not used at all.
    pub fn is_required(&self) -> bool {
        self.params.has("require")
    }

    /// Contacts that say nothing of a feature do not match.
    pub fn is_explicit(&self) -> bool {
        self.params.has("explicit")
    }

    /// The feature tags.
    pub fn features(&self) -> impl Iterator<Item = Feature<'m>> + use<'m> {
        features(self.params)
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        if !cursor.eat(b'*') {
            return Err(Malformed::Star);
        }
        Ok(Self { params: Params::read(cursor)? })
    }

    /// One without any, and where it ends.
    #[inline(always)]
    fn plain(cursor: Cursor<'m>) -> Option<(Self, usize)> {
        let end = cursor.plain_star()?;
        Some((Self { params: Params::none_at(end) }, end))
    }
}

impl fmt::Display for FeatureSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*{}", self.params)
    }
}

/// The feature tags among parameters: the base tags by name, others by their "+".
pub(super) fn features<'m>(params: Params<'m>) -> impl Iterator<Item = Feature<'m>> + use<'m> {
    params
        .iter()
        .filter(|(name, _)| name.starts_with('+') || BASE.iter().any(|base| base.eq_ignore_ascii_case(name)))
        .map(|(name, value)| Feature { name, value })
}

/// One feature tag with what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature<'m> {
    /// As written: audio, methods, +sip.instance, …
    pub name: &'m str,
    /// What stood in the quotes; `None` means TRUE.
    pub value: Option<&'m str>,
}

/// One of the alternatives of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureValue<'m> {
    /// A token or boolean, `TRUE` if nothing is written.
    Token(&'m str),
    /// What stood between "<" and ">".
    String(&'m str),
    /// A number or range after "#", as written: `=4`, `>=2`, `<=3`, `1:5`.
    Numeric(&'m str),
}

impl<'m> Feature<'m> {
    /// The alternatives; the flag says that a value is excluded ("!").
    pub fn values(&self) -> impl Iterator<Item = (bool, FeatureValue<'m>)> + use<'m> {
        let text = self.value.unwrap_or("TRUE").trim_ascii();
        let string = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).map(FeatureValue::String);
        let list = if string.is_none() { text } else { "" };
        let values = list.split(',').map(str::trim_ascii).filter(|value| !value.is_empty()).map(|value| {
            let (excluded, value) = match value.strip_prefix('!') {
                Some(value) => (true, value),
                None => (false, value),
            };
            (excluded, value.strip_prefix('#').map_or(FeatureValue::Token(value), FeatureValue::Numeric))
        });
        string.into_iter().map(|string| (false, string)).chain(values)
    }

    /// Whether this token is among the alternatives and not excluded; tokens in any case.
    pub fn allows(&self, token: &str) -> bool {
        self.values().any(|(excluded, value)| match value {
            FeatureValue::Token(other) => other.eq_ignore_ascii_case(token) != excluded,
            _ => false,
        })
    }
}

/// The tags that need no "+" (RFC 3840 §9 base-tags).
const BASE: [&str; 20] = [
    "audio",
    "automata",
    "class",
    "duplex",
    "data",
    "control",
    "mobility",
    "description",
    "events",
    "priority",
    "methods",
    "schemes",
    "application",
    "video",
    "language",
    "type",
    "isfocus",
    "actor",
    "text",
    "extensions",
];
