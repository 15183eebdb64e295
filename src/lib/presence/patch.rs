//! Changes to documents: the patch operations of RFC 5261, `<add>`, `<replace>` and `<remove>`, on what is kept of
//! a document: elements, attributes and characters.
//!
//! Comments and processing instructions are not kept, so that selectors of them find nothing; white space between
//! elements neither, so that `ws` changes nothing. Declarations of namespaces are not patched.

mod selector;
#[cfg(test)]
mod tests;

pub use selector::{NoSelector, Selector};

use thiserror::Error;

use super::{Element, Error, Limits, Name, Node, Reason, xml::XML};
use selector::Target;

/// One change (§4.1).
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// `<add>` of elements and characters (§4.3).
    Add {
        /// The element beside or in which they are put.
        selector: Selector,
        /// Where they are put.
        place: Place,
        /// What is put there.
        content: Vec<Node>,
    },
    /// `<add>` of an attribute (§4.3.2).
    AddAttribute {
        /// The element that gets it.
        selector: Selector,
        /// The name of the attribute.
        name: Name,
        /// Its value.
        value: String,
    },
    /// `<replace>` (§4.4).
    Replace {
        /// An element, an attribute or characters.
        selector: Selector,
        /// One element, or characters.
        content: Vec<Node>,
    },
    /// `<remove>` (§4.5).
    Remove {
        /// An element, an attribute or characters.
        selector: Selector,
    },
}

/// Where `<add>` puts something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// At the end of the element.
    #[default]
    Append,
    /// At its beginning.
    Prepend,
    /// Before it.
    Before,
    /// Behind it.
    After,
}

/// Why a change cannot be made (§5).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unpatched {
    /// The selector finds nothing, or more than one thing.
    #[error("\"{0}\" does not find one thing")]
    Unlocated(String),
    /// What is given does not fit what is found, or the place.
    #[error("what is given does not fit \"{0}\"")]
    Unfit(String),
    /// The document has become larger than allowed.
    #[error("the document has become too large")]
    TooLarge,
}

impl Patch {
    /// The selector.
    pub fn selector(&self) -> &Selector {
        match self {
            Self::Add { selector, .. }
            | Self::AddAttribute { selector, .. }
            | Self::Replace { selector, .. }
            | Self::Remove { selector } => selector,
        }
    }

    /// `add`, `replace` or `remove`.
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Add { .. } | Self::AddAttribute { .. } => "add",
            Self::Replace { .. } => "replace",
            Self::Remove { .. } => "remove",
        }
    }

    /// Changes the document with this root element.
    pub fn apply(&self, root: &mut Element) -> Result<(), Unpatched> {
        let selector = self.selector();
        let unlocated = || Unpatched::Unlocated(selector.text().to_owned());
        let unfit = || Unpatched::Unfit(selector.text().to_owned());
        let path = selector.locate(root).ok_or_else(unlocated)?;
        match (self, &selector.target) {
            (Self::Add { place: Place::Append, content, .. }, Target::Element) => {
                at(root, &path).ok_or_else(unlocated)?.children.extend(content.iter().cloned());
            }
            (Self::Add { place: Place::Prepend, content, .. }, Target::Element) => {
                let element = at(root, &path).ok_or_else(unlocated)?;
                element.children.splice(0..0, content.iter().cloned());
            }
            (Self::Add { place, content, .. }, Target::Element) => {
                // There is one root element.
                let (index, parent) = path.split_last().ok_or_else(unfit)?;
                let index = index + usize::from(*place == Place::After);
                let parent = at(root, parent).ok_or_else(unlocated)?;
                parent.children.splice(index..index, content.iter().cloned());
            }
            (Self::AddAttribute { name, value, .. }, Target::Element) => {
                let element = at(root, &path).ok_or_else(unlocated)?;
                if element.attributes.iter().any(|(known, _)| known == name) {
                    return Err(unfit());
                }
                element.attributes.push((name.clone(), value.clone()));
            }
            (Self::Replace { content, .. }, Target::Element) => {
                let [Node::Element(new)] = content.as_slice() else { return Err(unfit()) };
                *at(root, &path).ok_or_else(unlocated)? = new.clone();
            }
            (Self::Replace { content, .. }, Target::Attribute(name)) => {
                let mut attributes = at(root, &path).ok_or_else(unlocated)?.attributes.iter_mut();
                let found = attributes.find(|(known, _)| known == name).ok_or_else(unlocated)?;
                found.1 = characters(content).ok_or_else(unfit)?;
            }
            (Self::Replace { content, .. }, Target::Text(number)) => {
                let new = characters(content).ok_or_else(unfit)?;
                let element = at(root, &path).ok_or_else(unlocated)?;
                let index = text(element, *number).ok_or_else(unlocated)?;
                if let Some(node) = element.children.get_mut(index) {
                    *node = Node::Text(new);
                }
            }
            (Self::Remove { .. }, Target::Element) => {
                let (index, parent) = path.split_last().ok_or_else(unfit)?;
                let parent = at(root, parent).ok_or_else(unlocated)?;
                if *index < parent.children.len() {
                    parent.children.remove(*index);
                }
            }
            (Self::Remove { .. }, Target::Attribute(name)) => {
                let attributes = &mut at(root, &path).ok_or_else(unlocated)?.attributes;
                let index = attributes.iter().position(|(known, _)| known == name).ok_or_else(unlocated)?;
                attributes.remove(index);
            }
            (Self::Remove { .. }, Target::Text(number)) => {
                let element = at(root, &path).ok_or_else(unlocated)?;
                let index = text(element, *number).ok_or_else(unlocated)?;
                element.children.remove(index);
            }
            (Self::Add { .. } | Self::AddAttribute { .. }, _) => return Err(unfit()),
        }
        Ok(())
    }

    /// Reads `<add>`, `<replace>` or `<remove>`, whichever namespace it is in; `scope` has the prefixes that are
    /// declared around it. None if it is another element.
    pub(super) fn from_element(
        element: &Element,
        scope: &[(Box<str>, std::sync::Arc<str>)],
    ) -> Result<Option<Self>, Error> {
        if !matches!(&*element.name.local, "add" | "replace" | "remove") {
            return Ok(None);
        }
        let mut prefixes = scope.to_vec();
        prefixes.extend(element.prefixes.iter().cloned());
        let text = element.required("sel")?;
        let refuse = |what: &str, value: &str| element.refuse(Reason::value(what, value));
        let selector = Selector::read(text, &prefixes).map_err(|NoSelector| refuse("sel", text))?;
        let content = element.children.clone();
        Ok(Some(match &*element.name.local {
            "remove" => Self::Remove { selector },
            "replace" => Self::Replace { selector, content },
            _ => match element.attribute("type") {
                Some(kind) if kind.starts_with('@') => {
                    let name =
                        kind.strip_prefix('@').and_then(|name| selector::name(name.trim(), &prefixes, false));
                    let name = name.ok_or_else(|| refuse("type", kind))?;
                    let value = characters(&content).ok_or_else(|| refuse("type", kind))?;
                    Self::AddAttribute { selector, name, value }
                }
                Some(kind) => return Err(refuse("type", kind)),
                None => {
                    let place = match element.attribute("pos").map(str::trim) {
                        None => Place::Append,
                        Some("prepend") => Place::Prepend,
                        Some("before") => Place::Before,
                        Some("after") => Place::After,
                        Some(other) => return Err(refuse("pos", other)),
                    };
                    Self::Add { selector, place, content }
                }
            },
        }))
    }

    /// Writes the operation as an element of this namespace, which declares the prefixes of its selector.
    pub(super) fn to_element(&self, namespace: &str) -> Element {
        let mut element = Element::new(namespace, self.operation());
        let (text, mut prefixes) = self.selector().write();
        element = element.with("sel", &text);
        match self {
            Self::Add { place, content, .. } => {
                let place = match place {
                    Place::Append => None,
                    Place::Prepend => Some("prepend"),
                    Place::Before => Some("before"),
                    Place::After => Some("after"),
                };
                element = element.with_some("pos", place);
                element.children.clone_from(content);
            }
            Self::AddAttribute { name, value, .. } => {
                let name = selector::qualified(name, &mut prefixes);
                element = element.with("type", &format!("@{name}")).with_text(value);
            }
            Self::Replace { content, .. } => element.children.clone_from(content),
            Self::Remove { .. } => {}
        }
        element.prefixes = prefixes.into_iter().filter(|(_, namespace)| **namespace != *XML).collect();
        element
    }
}

/// Applies changes one after the other; all of them or, if one cannot be made, none. The limits bound what the
/// document may become.
pub fn apply_all(root: &mut Element, patches: &[Patch], limits: &Limits) -> Result<(), Unpatched> {
    let mut changed = root.clone();
    for patch in patches {
        patch.apply(&mut changed)?;
        merge_texts(&mut changed);
    }
    let mut octets = 0;
    let mut elements = 0;
    let mut stack = vec![(&changed, 1)];
    while let Some((element, depth)) = stack.pop() {
        elements += 1;
        octets += element.name.local.len();
        octets +=
            element.attributes.iter().map(|(name, value)| name.local.len() + value.len()).sum::<usize>();
        for node in &element.children {
            match node {
                Node::Element(inner) => stack.push((inner, depth + 1)),
                Node::Text(text) => octets += text.len(),
            }
        }
        if elements > limits.elements
            || octets > limits.octets
            || depth > limits.depth
            || element.attributes.len() > limits.attributes
        {
            return Err(Unpatched::TooLarge);
        }
    }
    *root = changed;
    Ok(())
}

/// Characters beside each other are one text.
fn merge_texts(root: &mut Element) {
    let mut stack = vec![root];
    while let Some(element) = stack.pop() {
        element.children.dedup_by(|later, first| match (first, later) {
            (Node::Text(first), Node::Text(later)) => {
                first.push_str(later);
                true
            }
            _ => false,
        });
        stack.extend(element.children.iter_mut().filter_map(|node| match node {
            Node::Element(inner) => Some(inner),
            Node::Text(_) => None,
        }));
    }
}

/// The element at the end of a path of places among children.
fn at<'e>(root: &'e mut Element, path: &[usize]) -> Option<&'e mut Element> {
    path.iter().try_fold(root, |element, &index| match element.children.get_mut(index) {
        Some(Node::Element(inner)) => Some(inner),
        _ => None,
    })
}

/// The place of the text of that number, from 1; without a number, of the only one.
fn text(element: &Element, number: Option<usize>) -> Option<usize> {
    let texts = element.children.iter().enumerate();
    let mut texts = texts.filter(|(_, node)| matches!(node, Node::Text(_))).map(|(index, _)| index);
    match number {
        Some(number) => texts.nth(number.checked_sub(1)?),
        None => texts.next().filter(|_| texts.next().is_none()),
    }
}

/// Nothing but characters.
fn characters(content: &[Node]) -> Option<String> {
    content.iter().try_fold(String::new(), |all, node| match node {
        Node::Text(text) => Some(all + text),
        Node::Element(_) => None,
    })
}

/// How many operations a document may have: each walks through the whole document that it changes.
pub(super) const OPERATIONS: usize = 256;
