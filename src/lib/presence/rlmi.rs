//! Lists of resources: resource list meta-information (RFC 4662), the root of a multipart/related body, and the
//! other parts of that body by their Content-IDs.

use std::collections::{HashMap, HashSet};

use super::{
    Applied, Document, Element, Error, Note, XmlDocument, tokens,
    version::{Version, Weight},
};

tokens! {
    /// The state of the subscription to a resource (§5.5), as in Subscription-State.
    State { Active = "active", Pending = "pending", Terminated = "terminated" }
}

/// `<list>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceList {
    /// The URI of the list.
    pub uri: String,
    /// One higher from document to document of a subscription.
    pub version: u32,
    /// Whether it is the whole state, or what changed.
    pub full: bool,
    /// The Content-ID of the part about the list as a whole.
    pub cid: Option<String>,
    /// What the list is called.
    pub names: Vec<Note>,
    /// The resources.
    pub resources: Vec<Resource>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A resource of a list (§5.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// Its URI.
    pub uri: String,
    /// What it is called.
    pub names: Vec<Note>,
    /// Those who notify of it; several if subscriptions fork.
    pub instances: Vec<Instance>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Somebody who notifies of a resource (§5.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Unique in the resource.
    pub id: String,
    /// The state of the subscription.
    pub state: State,
    /// Why it is terminated.
    pub reason: Option<String>,
    /// The Content-ID of the part with the state of the resource.
    pub cid: Option<String>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

impl Instance {
    /// An instance of which nothing more is known.
    pub fn new(id: impl Into<String>, state: State) -> Self {
        Self { id: id.into(), state, reason: None, cid: None, extensions: Vec::new() }
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        let mut instance = Self::new(element.required("id")?, element.required("state")?.into());
        (instance.reason, instance.cid) = (element.string("reason"), element.string("cid"));
        instance.extensions = element.elements().cloned().collect();
        Ok(instance)
    }

    fn to_element(&self) -> Element {
        Element::new(RLMI, "instance")
            .with("id", &self.id)
            .with("state", &self.state)
            .with_some("reason", self.reason.as_ref())
            .with_some("cid", self.cid.as_ref())
            .with_children(self.extensions.iter().cloned())
    }
}

impl Resource {
    fn from_element(element: &Element) -> Result<Self, Error> {
        let mut resource = Self { uri: element.required("uri")?.to_owned(), ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (RLMI, "name") => resource.names.push(Note::from_element(child)),
                (RLMI, "instance") => resource.instances.push(Instance::from_element(child)?),
                _ => resource.extensions.push(child.clone()),
            }
        }
        Ok(resource)
    }

    fn to_element(&self) -> Element {
        Element::new(RLMI, "resource")
            .with("uri", &self.uri)
            .with_children(self.names.iter().map(|name| name.to_element(RLMI, "name")))
            .with_children(self.instances.iter().map(Instance::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl XmlDocument for ResourceList {
    const MEDIA_TYPE: &'static str = "application/rlmi+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(RLMI, "list")?;
        let mut list = Self {
            uri: root.required("uri")?.to_owned(),
            version: root.parsed_required("version")?,
            full: root.boolean("fullState")?.ok_or_else(|| root.lacks("fullState"))?,
            cid: root.string("cid"),
            ..Self::default()
        };
        for child in root.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (RLMI, "name") => list.names.push(Note::from_element(child)),
                (RLMI, "resource") => list.resources.push(Resource::from_element(child)?),
                _ => list.extensions.push(child.clone()),
            }
        }
        Ok(list)
    }

    fn to_element(&self) -> Element {
        Element::new(RLMI, "list")
            .with("uri", &self.uri)
            .with("version", &self.version)
            .with("fullState", &self.full)
            .with_some("cid", self.cid.as_ref())
            .with_children(self.names.iter().map(|name| name.to_element(RLMI, "name")))
            .with_children(self.resources.iter().map(Resource::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

/// A part of the multipart/related body that a list is the root of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<B> {
    /// The value of its Content-ID, with or without angle brackets.
    pub content_id: String,
    /// The value of its Content-Type.
    pub content_type: String,
    /// What is in it.
    pub body: B,
}

/// The state of a list kept from document to document, each instance with the last part that told of it (§5.6).
#[derive(Debug, Clone, PartialEq)]
pub struct Resources<B> {
    version: Version,
    weight: Weight,
    /// What the list is called.
    pub names: Vec<Note>,
    /// The resources as they are now.
    pub resources: Vec<Resource>,
    /// The part that an instance of a resource told last, by the URI of the resource and the id of the instance.
    pub parts: HashMap<(String, String), Part<B>>,
}

impl<B> Default for Resources<B> {
    fn default() -> Self {
        Self {
            version: Version::default(),
            weight: Weight::default(),
            names: Vec::new(),
            resources: Vec::new(),
            parts: HashMap::new(),
        }
    }
}

/// What a notification told of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The URI of the resource.
    pub resource: String,
    /// The id of the instance.
    pub instance: String,
    /// Whether there was a part for it; an instance may name one that is not there.
    pub part: bool,
}

impl<B> Resources<B> {
    /// Takes a notification in: the root and the parts beside it. Says what the root told of, in its order.
    ///
    /// A part that is itself a multipart/related is the state of a list inside this one: the caller takes it apart
    /// and keeps its state in [`Resources`] of its own. Parts that no instance names are dropped, and those above
    /// 10,000.
    pub fn apply(
        &mut self,
        root: ResourceList,
        parts: impl IntoIterator<Item = Part<B>>,
    ) -> (Applied, Vec<Told>) {
        let applied = self.version.next(root.version, root.full);
        let mut told = Vec::new();
        if applied == Applied::Stale {
            return (applied, told);
        }
        let size = root.write().len();
        let mut parts: HashMap<String, Part<B>> =
            parts.into_iter().map(|part| (bare(&part.content_id).to_owned(), part)).collect();
        let mut before = std::mem::take(&mut self.parts);
        if applied != Applied::Full {
            self.parts = std::mem::take(&mut before);
        }
        for resource in &root.resources {
            for instance in &resource.instances {
                let key = (resource.uri.clone(), instance.id.clone());
                let room = self.parts.len() < PARTS || self.parts.contains_key(&key);
                let part = instance.cid.as_deref().filter(|_| room).and_then(|cid| parts.remove(bare(cid)));
                let (resource, instance) = key.clone();
                told.push(Told { resource, instance, part: part.is_some() });
                if let Some(part) = part {
                    self.parts.insert(key, part);
                }
            }
        }
        if !root.names.is_empty() || root.full {
            self.names = root.names;
        }
        if applied == Applied::Full {
            self.resources = root.resources;
        } else {
            super::replace_by(&mut self.resources, root.resources, |resource| resource.uri.clone());
            let resources = self.resources.iter();
            let instances = resources.flat_map(|resource| {
                resource.instances.iter().map(|instance| (resource.uri.as_str(), instance.id.as_str()))
            });
            let there: HashSet<_> = instances.collect();
            self.parts
                .retain(|(resource, instance), _| there.contains(&(resource.as_str(), instance.as_str())));
        }
        if applied == Applied::Full {
            self.weight = Weight::default();
        }
        let whole = || ResourceList { resources: self.resources.clone(), ..ResourceList::default() };
        if !self.weight.add(size, || whole().write().len()) {
            *self = Self { version: self.version, ..Self::default() };
            return (Applied::Gap, told);
        }
        (applied, told)
    }

    /// What an instance told last.
    pub fn part(&self, resource: &str, instance: &str) -> Option<&Part<B>> {
        self.parts.get(&(resource.to_owned(), instance.to_owned()))
    }

    /// Drops instances whose subscriptions have ended, and resources that have no other.
    pub fn forget_terminated(&mut self) {
        let parts = &mut self.parts;
        self.resources.retain_mut(|resource| {
            let all = resource.instances.len();
            resource.instances.retain(|instance| {
                let stays = instance.state != State::Terminated;
                if !stays {
                    parts.remove(&(resource.uri.clone(), instance.id.clone()));
                }
                stays
            });
            all == 0 || !resource.instances.is_empty()
        });
    }
}

/// A Content-ID without its angle brackets and the `cid:` that some write.
fn bare(cid: &str) -> &str {
    let cid = cid.trim();
    let cid = cid.strip_prefix('<').and_then(|cid| cid.strip_suffix('>')).unwrap_or(cid);
    cid.strip_prefix("cid:").unwrap_or(cid)
}

const PARTS: usize = 10_000;
/// The namespace of resource list meta-information.
pub const RLMI: &str = "urn:ietf:params:xml:ns:rlmi";
