//! The XML under every document of this module: elements with their namespaces resolved (XML 1.0, Namespaces in
//! XML 1.0), read within [`Limits`] and written.
//!
//! Prefixes do not matter, comments and processing instructions are dropped, white space between elements too.
//! Refused are document type declarations (and with them entities), encodings other than UTF-8, and whatever is
//! not well formed.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use super::{Error, Reason, Timestamp};

pub(super) use read::{is_name, position};
pub(super) use write::free_prefix;

/// How much a document may hold. Reading takes time and memory in proportion to its octets, which these bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the document.
    pub octets: usize,
    /// Elements inside each other.
    pub depth: usize,
    /// Elements in the document.
    pub elements: usize,
    /// Attributes of one element, declarations of namespaces included.
    pub attributes: usize,
    /// Declarations of namespaces in scope at one place.
    pub namespaces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { octets: 1 << 20, depth: 64, elements: 65_536, attributes: 64, namespaces: 64 }
    }
}

/// A name with its namespace; without one if that is empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The URI of the namespace, or nothing.
    pub namespace: Arc<str>,
    /// The name without a prefix.
    pub local: Box<str>,
}

impl Name {
    /// A name in a namespace, or in none if that is empty.
    pub fn new(namespace: &str, local: &str) -> Self {
        Self { namespace: namespace.into(), local: local.into() }
    }
}

/// `{namespace}local`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.local);
        }
        write!(f, "{{{}}}{}", self.namespace, self.local)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An element: what extensions are kept as, and what documents are read from and written to.
///
/// Two are equal if names, attributes (in any order), and content are; prefixes and places do not count.
#[derive(Clone)]
pub struct Element {
    /// Its name.
    pub name: Name,
    /// Its attributes, declarations of namespaces not included.
    pub attributes: Vec<(Name, String)>,
    /// What is in it.
    pub children: Vec<Node>,
    /// The prefixes that it declares: selectors of patches need them.
    pub(super) prefixes: Vec<(Box<str>, Arc<str>)>,
    /// Line and column of its start tag, 0 if it was not read.
    place: (u32, u32),
}

/// A part of the content of an element.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Characters, references resolved. White space between elements is none.
    Text(String),
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        let attributes = |one: &Self, two: &Self| {
            one.attributes.len() == two.attributes.len()
                && one.attributes.iter().all(|attribute| two.attributes.contains(attribute))
        };
        self.name == other.name && attributes(self, other) && self.children == other.children
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_struct(&self.name.to_string());
        if !self.attributes.is_empty() {
            tuple.field("attributes", &self.attributes);
        }
        tuple.field("children", &self.children).finish()
    }
}

impl Element {
    /// An empty element; both names must be such as XML allows.
    pub fn new(namespace: &str, local: &str) -> Self {
        Self::named(Name::new(namespace, local))
    }

    fn named(name: Name) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new(), prefixes: Vec::new(), place: (0, 0) }
    }

    /// The same with an attribute, whose name has no namespace.
    #[must_use]
    pub fn with(mut self, attribute: &str, value: &(impl fmt::Display + ?Sized)) -> Self {
        self.attributes.push((Name::new("", attribute), value.to_string()));
        self
    }

    /// The same with an attribute if there is a value.
    #[must_use]
    pub fn with_some(self, attribute: &str, value: Option<&(impl fmt::Display + ?Sized)>) -> Self {
        match value {
            Some(value) => self.with(attribute, value),
            None => self,
        }
    }

    /// The same with characters at its end.
    #[must_use]
    pub fn with_text(mut self, text: &(impl fmt::Display + ?Sized)) -> Self {
        let text = text.to_string();
        if !text.is_empty() {
            self.children.push(Node::Text(text));
        }
        self
    }

    /// The same with an element at its end.
    #[must_use]
    pub fn with_child(mut self, child: Self) -> Self {
        self.push(child);
        self
    }

    /// The same with elements at its end.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Puts an element at its end.
    pub fn push(&mut self, child: Self) {
        self.children.push(Node::Element(child));
    }

    /// Whether this is its name.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        *self.name.local == *local && *self.name.namespace == *namespace
    }

    /// The value of an attribute whose name has no namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attribute_in("", local)
    }

    /// The value of an attribute in a namespace.
    pub fn attribute_in(&self, namespace: &str, local: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(name, _)| *name.local == *local && *name.namespace == *namespace)?;
        Some(&found.1)
    }

    /// `xml:lang`, the language of what is in it.
    pub fn language(&self) -> Option<&str> {
        self.attribute_in(XML, "lang")
    }

    /// The elements in it.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first element of that name in it.
    pub fn child(&self, namespace: &str, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.is(namespace, local))
    }

    /// Its own characters without white space at both ends.
    pub fn text(&self) -> Cow<'_, str> {
        match self.children.as_slice() {
            [] => Cow::Borrowed(""),
            [Node::Text(text)] => Cow::Borrowed(text.trim_matches(WHITE)),
            nodes => {
                let texts = nodes.iter().filter_map(|node| match node {
                    Node::Text(text) => Some(text.as_str()),
                    Node::Element(_) => None,
                });
                Cow::Owned(texts.collect::<String>().trim_matches(WHITE).to_owned())
            }
        }
    }

    /// Line and column where it was read, from 1; 0 if it was made here.
    pub fn place(&self) -> (usize, usize) {
        (self.place.0 as usize, self.place.1 as usize)
    }

    /// Reads a document.
    pub fn read(document: &[u8], limits: &Limits) -> Result<Self, Error> {
        read::document(document, limits)
    }

    /// Writes a document, indented by one space a level, with an XML declaration.
    pub fn write(&self) -> String {
        write::document(self)
    }

    pub(super) fn refuse(&self, reason: Reason) -> Error {
        Error { line: self.place().0, column: self.place().1, reason }
    }

    pub(super) fn lacks(&self, missing: &'static str) -> Error {
        self.refuse(Reason::Missing { element: self.name.local.to_string(), missing })
    }

    /// The document must be this one.
    pub(super) fn expect(&self, namespace: &str, local: &'static str) -> Result<(), Error> {
        if self.is(namespace, local) {
            return Ok(());
        }
        Err(self.refuse(Reason::Root { expected: local, found: self.name.to_string() }))
    }

    pub(super) fn required(&self, attribute: &'static str) -> Result<&str, Error> {
        self.attribute(attribute).map(trim).ok_or_else(|| self.lacks(attribute))
    }

    /// The value of an attribute, as what it should be.
    pub(super) fn parsed<T: FromStr>(&self, attribute: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.attribute(attribute) else { return Ok(None) };
        match trim(value).parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(self.refuse(Reason::value(attribute, value))),
        }
    }

    pub(super) fn parsed_required<T: FromStr>(&self, attribute: &'static str) -> Result<T, Error> {
        self.parsed(attribute)?.ok_or_else(|| self.lacks(attribute))
    }

    /// `xs:boolean`.
    pub(super) fn boolean(&self, attribute: &str) -> Result<Option<bool>, Error> {
        match self.attribute(attribute).map(trim) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(value) => Err(self.refuse(Reason::value(attribute, value))),
        }
    }

    pub(super) fn timestamp(&self, attribute: &str) -> Result<Option<Timestamp>, Error> {
        self.parsed(attribute)
    }

    /// An attribute as it stands, owned.
    pub(super) fn string(&self, attribute: &str) -> Option<String> {
        self.attribute(attribute).map(|value| trim(value).to_owned())
    }

    /// Its characters, as what they should be.
    pub(super) fn content<T: FromStr>(&self) -> Result<T, Error> {
        let text = self.text();
        text.parse().map_err(|_| self.refuse(Reason::value(&self.name.local, &text)))
    }

    /// Its characters, as `xs:boolean`.
    pub(super) fn boolean_content(&self) -> Result<bool, Error> {
        match &*self.text() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(self.refuse(Reason::value(&self.name.local, other))),
        }
    }

    /// The characters of the first element of that name in it.
    pub(super) fn child_text(&self, namespace: &str, local: &str) -> Option<String> {
        self.child(namespace, local).map(|child| child.text().into_owned())
    }

    /// The same with an element that holds characters, if there are any.
    #[must_use]
    pub(super) fn with_some_child(self, local: &str, text: Option<&(impl fmt::Display + ?Sized)>) -> Self {
        let Some(text) = text else { return self };
        let child = Self::named(Name { namespace: self.name.namespace.clone(), local: local.into() });
        self.with_child(child.with_text(text))
    }

    /// The same with `xml:lang`.
    #[must_use]
    pub(super) fn with_language(mut self, language: Option<&str>) -> Self {
        if let Some(language) = language {
            self.attributes.push((Name::new(XML, "lang"), language.to_owned()));
        }
        self
    }
}

/// Without XML's white space at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(WHITE)
}

const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];
/// The namespace of `xml:lang`.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
