//! Lists of people: resource-lists and rls-services (RFC 4826), kept by XCAP servers and carried by requests
//! (RFC 5363), with copy control (RFC 5364) as attributes of entries.

use super::{Element, Error, Name, Note, XmlDocument};

/// `<resource-lists>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceLists {
    /// The lists.
    pub lists: Vec<List>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A list (§3.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct List {
    /// Unique among its siblings.
    pub name: Option<String>,
    /// What it is called.
    pub display_name: Option<Note>,
    /// What is in it, in order.
    pub members: Vec<Member>,
    /// Attributes of other namespaces.
    pub attributes: Vec<(Name, String)>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Something in a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    /// A list inside the list.
    List(List),
    /// Somebody.
    Entry(Entry),
    /// A list elsewhere.
    External {
        /// Its HTTP URI.
        anchor: String,
        /// What it is called.
        display_name: Option<Note>,
    },
    /// An entry elsewhere in the XCAP root.
    EntryRef {
        /// Its relative URI.
        reference: String,
        /// What it is called.
        display_name: Option<Note>,
    },
}

/// Somebody in a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// Their URI.
    pub uri: String,
    /// What they are called.
    pub display_name: Option<Note>,
    /// Attributes of other namespaces.
    pub attributes: Vec<(Name, String)>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// `<rls-services>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RlsServices {
    /// The services.
    pub services: Vec<Service>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A list that can be subscribed to (§4.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The URI to subscribe to.
    pub uri: String,
    /// Who is in it.
    pub source: Source,
    /// The event packages it is there for; any if there are none.
    pub packages: Vec<String>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Where the list of a service is.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The HTTP URI of a list.
    ResourceList(String),
    /// The list itself.
    List(List),
}

impl Entry {
    /// Somebody of whom nothing more is said.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), ..Self::default() }
    }
}

impl List {
    /// The entries in it and in lists inside it.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let mut open = vec![self.members.iter()];
        std::iter::from_fn(move || {
            loop {
                match open.last_mut()?.next() {
                    None => _ = open.pop(),
                    Some(Member::Entry(entry)) => return Some(entry),
                    Some(Member::List(list)) => open.push(list.members.iter()),
                    Some(Member::External { .. } | Member::EntryRef { .. }) => {}
                }
            }
        })
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        let mut list = Self { name: element.attribute("name").map(str::to_owned), ..Self::default() };
        list.attributes = foreign(element);
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (RESOURCE_LISTS, "display-name") => list.display_name = Some(Note::from_element(child)),
                (RESOURCE_LISTS, "list") => list.members.push(Member::List(Self::from_element(child)?)),
                (RESOURCE_LISTS, "entry") => list.members.push(Member::Entry(Entry::from_element(child)?)),
                (RESOURCE_LISTS, "external") => list.members.push(Member::External {
                    anchor: joined(child.required("anchor")?),
                    display_name: display_name(child),
                }),
                (RESOURCE_LISTS, "entry-ref") => list.members.push(Member::EntryRef {
                    reference: joined(child.required("ref")?),
                    display_name: display_name(child),
                }),
                _ => list.extensions.push(child.clone()),
            }
        }
        Ok(list)
    }

    fn to_element(&self, namespace: &str) -> Element {
        let mut element = Element::new(namespace, "list").with_some("name", self.name.as_ref());
        element.attributes.extend(self.attributes.iter().cloned());
        element
            .with_children(name_element(self.display_name.as_ref()))
            .with_children(self.members.iter().map(Member::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl Member {
    fn to_element(&self) -> Element {
        let (element, display_name) = match self {
            Self::List(list) => return list.to_element(RESOURCE_LISTS),
            Self::Entry(entry) => return entry.to_element(),
            Self::External { anchor, display_name } => {
                (Element::new(RESOURCE_LISTS, "external").with("anchor", anchor), display_name)
            }
            Self::EntryRef { reference, display_name } => {
                (Element::new(RESOURCE_LISTS, "entry-ref").with("ref", reference), display_name)
            }
        };
        element.with_children(name_element(display_name.as_ref()))
    }
}

impl Entry {
    /// Reads `<entry>`.
    pub fn from_element(element: &Element) -> Result<Self, Error> {
        let others = element.elements().filter(|child| !child.is(RESOURCE_LISTS, "display-name"));
        Ok(Self {
            uri: element.required("uri")?.to_owned(),
            display_name: display_name(element),
            attributes: foreign(element),
            extensions: others.cloned().collect(),
        })
    }

    /// Writes `<entry>`.
    pub fn to_element(&self) -> Element {
        let mut element = Element::new(RESOURCE_LISTS, "entry").with("uri", &self.uri);
        element.attributes.extend(self.attributes.iter().cloned());
        element
            .with_children(name_element(self.display_name.as_ref()))
            .with_children(self.extensions.iter().cloned())
    }
}

impl ResourceLists {
    /// Every entry of every list.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lists.iter().flat_map(List::entries)
    }
}

impl XmlDocument for ResourceLists {
    const MEDIA_TYPE: &'static str = "application/resource-lists+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(RESOURCE_LISTS, "resource-lists")?;
        let mut document = Self::default();
        for child in root.elements() {
            if child.is(RESOURCE_LISTS, "list") {
                document.lists.push(List::from_element(child)?);
            } else {
                document.extensions.push(child.clone());
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        Element::new(RESOURCE_LISTS, "resource-lists")
            .with_children(self.lists.iter().map(|list| list.to_element(RESOURCE_LISTS)))
            .with_children(self.extensions.iter().cloned())
    }
}

impl XmlDocument for RlsServices {
    const MEDIA_TYPE: &'static str = "application/rls-services+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(RLS_SERVICES, "rls-services")?;
        let mut document = Self::default();
        for child in root.elements() {
            if child.is(RLS_SERVICES, "service") {
                document.services.push(Service::from_element(child)?);
            } else {
                document.extensions.push(child.clone());
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        Element::new(RLS_SERVICES, "rls-services")
            .with_children(self.services.iter().map(Service::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl Service {
    /// Reads `<service>`.
    pub fn from_element(element: &Element) -> Result<Self, Error> {
        let (mut source, mut packages, mut extensions) = (None, Vec::new(), Vec::new());
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (RLS_SERVICES, "resource-list") => source = Some(Source::ResourceList(joined(&child.text()))),
                (RLS_SERVICES, "list") => source = Some(Source::List(List::from_element(child)?)),
                (RLS_SERVICES, "packages") => {
                    let all = child.elements().filter(|package| package.is(RLS_SERVICES, "package"));
                    packages.extend(all.map(|package| package.text().into_owned()));
                }
                _ => extensions.push(child.clone()),
            }
        }
        let source = source.ok_or_else(|| element.lacks("list"))?;
        Ok(Self { uri: element.required("uri")?.to_owned(), source, packages, extensions })
    }

    /// Writes `<service>`.
    pub fn to_element(&self) -> Element {
        let source = match &self.source {
            Source::ResourceList(uri) => Element::new(RLS_SERVICES, "resource-list").with_text(uri),
            Source::List(list) => list.to_element(RLS_SERVICES),
        };
        let packages = self.packages.iter().map(|name| Element::new(RLS_SERVICES, "package").with_text(name));
        let packages = Element::new(RLS_SERVICES, "packages").with_children(packages);
        Element::new(RLS_SERVICES, "service")
            .with("uri", &self.uri)
            .with_child(source)
            .with_children((!self.packages.is_empty()).then_some(packages))
            .with_children(self.extensions.iter().cloned())
    }
}

/// A URI as it is without the line breaks and spaces that lay it out.
fn joined(uri: &str) -> String {
    uri.split_ascii_whitespace().collect()
}

fn display_name(element: &Element) -> Option<Note> {
    element.child(RESOURCE_LISTS, "display-name").map(Note::from_element)
}

fn name_element(name: Option<&Note>) -> Option<Element> {
    name.map(|name| name.to_element(RESOURCE_LISTS, "display-name"))
}

fn foreign(element: &Element) -> Vec<(Name, String)> {
    let foreign = element.attributes.iter().filter(|(name, _)| !name.namespace.is_empty());
    foreign.cloned().collect()
}

/// The namespace of resource lists.
pub const RESOURCE_LISTS: &str = "urn:ietf:params:xml:ns:resource-lists";
/// The namespace of list services.
pub const RLS_SERVICES: &str = "urn:ietf:params:xml:ns:rls-services";
