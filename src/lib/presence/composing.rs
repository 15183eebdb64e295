//! Somebody writes: is-composing (RFC 3994).

use super::{Element, Error, Timestamp, XmlDocument, tokens};

tokens! {
    /// Whether somebody writes (§3.1). A receiver takes what it does not know for idle.
    State { Active = "active", Idle = "idle" }
}

/// `<isComposing>`.
#[derive(Debug, Clone, PartialEq)]
pub struct IsComposing {
    /// Whether somebody writes.
    pub state: State,
    /// When they did last.
    pub last_active: Option<Timestamp>,
    /// What they write: a media type or its first part; text if not said.
    pub content_type: Option<String>,
    /// Seconds after which the state is told again, if it is active still.
    pub refresh: Option<u64>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

impl IsComposing {
    /// A state of which nothing more is said.
    pub fn new(state: State) -> Self {
        Self { state, last_active: None, content_type: None, refresh: None, extensions: Vec::new() }
    }
}

impl XmlDocument for IsComposing {
    const MEDIA_TYPE: &'static str = "application/im-iscomposing+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(COMPOSING, "isComposing")?;
        let state = root.child(COMPOSING, "state").ok_or_else(|| root.lacks("state"))?;
        let mut document = Self::new((&*state.text()).into());
        for child in root.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (COMPOSING, "state") => {}
                (COMPOSING, "lastactive") => document.last_active = Some(child.content()?),
                (COMPOSING, "contenttype") => document.content_type = Some(child.text().into_owned()),
                (COMPOSING, "refresh") => document.refresh = Some(child.content()?),
                _ => document.extensions.push(child.clone()),
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        Element::new(COMPOSING, "isComposing")
            .with_some_child("state", Some(&self.state))
            .with_some_child("lastactive", self.last_active.as_ref())
            .with_some_child("contenttype", self.content_type.as_ref())
            .with_some_child("refresh", self.refresh.as_ref())
            .with_children(self.extensions.iter().cloned())
    }
}

/// The namespace of is-composing.
pub const COMPOSING: &str = "urn:ietf:params:xml:ns:im-iscomposing";
