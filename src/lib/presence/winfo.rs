//! Watcher information: who subscribes to what (RFC 3857, RFC 3858).

use super::{
    Applied, Document, Element, Error, Reason, XmlDocument, tokens,
    version::{Version, Weight},
};

tokens! {
    /// The state of a subscription (RFC 3857 §4.7.1).
    Status { Pending = "pending", Active = "active", Waiting = "waiting", Terminated = "terminated" }
}

tokens! {
    /// What made the state change (RFC 3857 §4.7.1).
    Event {
        Subscribe = "subscribe", Approved = "approved", Deactivated = "deactivated", Probation = "probation",
        Rejected = "rejected", Timeout = "timeout", GiveUp = "giveup", NoResource = "noresource",
    }
}

/// `<watcherinfo>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WatcherInfo {
    /// One higher from document to document of a subscription.
    pub version: u32,
    /// Whether it is the whole state, or what changed.
    pub full: bool,
    /// The lists, one for each resource and package.
    pub lists: Vec<WatcherList>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// The watchers of a resource.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WatcherList {
    /// The URI of what is watched.
    pub resource: String,
    /// The event package it is watched by.
    pub package: String,
    /// Who watches.
    pub watchers: Vec<Watcher>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// The URI of the watcher.
    pub uri: String,
    /// Unique among the watchers of the list.
    pub id: String,
    /// Its state.
    pub status: Status,
    /// What brought it there.
    pub event: Event,
    /// The name of the watcher, for people to read.
    pub display_name: Option<String>,
    /// Seconds until the subscription ends.
    pub expiration: Option<u64>,
    /// Seconds since it began.
    pub duration_subscribed: Option<u64>,
    /// The language of the name.
    pub language: Option<String>,
}

impl Watcher {
    /// A watcher with what must be told.
    pub fn new(uri: impl Into<String>, id: impl Into<String>, status: Status, event: Event) -> Self {
        Self {
            uri: uri.into(),
            id: id.into(),
            status,
            event,
            display_name: None,
            expiration: None,
            duration_subscribed: None,
            language: None,
        }
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        Ok(Self {
            uri: element.text().into_owned(),
            id: element.required("id")?.to_owned(),
            status: element.required("status")?.into(),
            event: element.required("event")?.into(),
            display_name: element.attribute("display-name").map(str::to_owned),
            expiration: element.parsed("expiration")?,
            duration_subscribed: element.parsed("duration-subscribed")?,
            language: element.language().map(str::to_owned),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(WATCHERINFO, "watcher")
            .with("id", &self.id)
            .with("status", &self.status)
            .with("event", &self.event)
            .with_some("display-name", self.display_name.as_ref())
            .with_some("expiration", self.expiration.as_ref())
            .with_some("duration-subscribed", self.duration_subscribed.as_ref())
            .with_language(self.language.as_deref())
            .with_text(&self.uri)
    }
}

impl XmlDocument for WatcherInfo {
    const MEDIA_TYPE: &'static str = "application/watcherinfo+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(WATCHERINFO, "watcherinfo")?;
        let (version, full) = (root.parsed_required("version")?, full(root)?);
        let mut document = Self { version, full, ..Self::default() };
        for child in root.elements() {
            if !child.is(WATCHERINFO, "watcher-list") {
                document.extensions.push(child.clone());
                continue;
            }
            let watchers = child.elements().filter(|watcher| watcher.is(WATCHERINFO, "watcher"));
            document.lists.push(WatcherList {
                resource: child.required("resource")?.to_owned(),
                package: child.required("package")?.to_owned(),
                watchers: watchers.map(Watcher::from_element).collect::<Result<_, _>>()?,
            });
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        let list = |list: &WatcherList| {
            Element::new(WATCHERINFO, "watcher-list")
                .with("resource", &list.resource)
                .with("package", &list.package)
                .with_children(list.watchers.iter().map(Watcher::to_element))
        };
        Element::new(WATCHERINFO, "watcherinfo")
            .with("version", &self.version)
            .with("state", if self.full { "full" } else { "partial" })
            .with_children(self.lists.iter().map(list))
            .with_children(self.extensions.iter().cloned())
    }
}

/// `state`: full or partial.
pub(super) fn full(root: &Element) -> Result<bool, Error> {
    match root.required("state")? {
        "full" => Ok(true),
        "partial" => Ok(false),
        other => Err(root.refuse(Reason::value("state", other))),
    }
}

/// Every watcher of a subscription to watcher information, kept from document to document (RFC 3858 §4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watchers {
    version: Version,
    weight: Weight,
    /// The lists as they are now.
    pub lists: Vec<WatcherList>,
}

impl Watchers {
    /// Takes a document in. Terminated watchers stay until [`forget_terminated`](Self::forget_terminated).
    pub fn apply(&mut self, document: WatcherInfo) -> Applied {
        let applied = self.version.next(document.version, document.full);
        let size = document.write().len();
        match applied {
            Applied::Stale => {}
            Applied::Full => self.lists = document.lists,
            Applied::Partial | Applied::Gap => super::merge_by(
                &mut self.lists,
                document.lists,
                |list| (list.resource.clone(), list.package.clone()),
                |list, new| {
                    super::replace_by(&mut list.watchers, new.watchers, |watcher| watcher.id.clone());
                },
            ),
        }
        if applied == Applied::Full {
            self.weight = Weight::default();
        }
        if !self
            .weight
            .add(size, || WatcherInfo { lists: self.lists.clone(), ..WatcherInfo::default() }.write().len())
        {
            *self = Self { version: self.version, ..Self::default() };
            return Applied::Gap;
        }
        applied
    }

    /// Drops watchers whose subscriptions have ended.
    pub fn forget_terminated(&mut self) {
        for list in &mut self.lists {
            list.watchers.retain(|watcher| watcher.status != Status::Terminated);
        }
    }
}

/// The namespace of watcher information.
pub const WATCHERINFO: &str = "urn:ietf:params:xml:ns:watcherinfo";
