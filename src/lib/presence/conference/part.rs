//! The small parts of conference-info (RFC 4575 §5.3–5.5, §5.7–5.9).

use super::{CONFERENCE, Change, ConferenceInfo, MediaStatus};
use crate::presence::{Element, Error, Timestamp};

/// What a conference is about (§5.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// Its name, for people to read.
    pub display_text: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
    /// More about it.
    pub free_text: Option<String>,
    /// Words to find it by, with spaces between.
    pub keywords: Option<String>,
    /// Where to reach it.
    pub conf_uris: Option<Uris>,
    /// What belongs to it: pages, recordings.
    pub service_uris: Option<Uris>,
    /// How many users it takes.
    pub maximum_user_count: Option<u32>,
    /// The media it offers.
    pub available_media: Vec<AvailableMedia>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A medium that a conference offers (§5.3.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AvailableMedia {
    /// What it is referred to by, as in SDP.
    pub label: String,
    /// Its name, for people to read.
    pub display_text: Option<String>,
    /// Its type, as in SDP: `audio`, `video`.
    pub media_type: String,
    /// Which way it goes by default.
    pub status: Option<MediaStatus>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Who holds a conference (§5.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostInfo {
    /// The name, for people to read.
    pub display_text: Option<String>,
    /// A page about the host.
    pub web_page: Option<String>,
    /// Where to reach the host.
    pub uris: Option<Uris>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// How a conference is (§5.5).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConferenceState {
    /// How many users take part.
    pub user_count: Option<u32>,
    /// Whether it takes place.
    pub active: Option<bool>,
    /// Whether nobody else can come in.
    pub locked: Option<bool>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A list of URIs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Uris {
    /// Whether they are all.
    pub state: Change,
    /// The URIs.
    pub entries: Vec<Uri>,
}

/// A URI with what is to be known of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Uri {
    /// The URI.
    pub uri: String,
    /// Its name, for people to read.
    pub display_text: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// When it was changed, and by whom.
    pub modified: Option<Execution>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// When, why and by whom something was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// When.
    pub when: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// By whom: a URI.
    pub by: Option<String>,
}

/// A medium of an endpoint (§5.8).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Media {
    /// Unique in the endpoint.
    pub id: String,
    /// Its name, for people to read.
    pub display_text: Option<String>,
    /// Its type, as in SDP.
    pub media_type: Option<String>,
    /// The label of the medium of the conference.
    pub label: Option<String>,
    /// Its source: an SSRC in RTP.
    pub src_id: Option<String>,
    /// Which way it goes.
    pub status: Option<MediaStatus>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// The dialog of an endpoint with the focus (§5.7.9).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallInfo {
    /// Its name, for people to read.
    pub display_text: Option<String>,
    /// The Call-ID; empty if it is no SIP dialog.
    pub call_id: String,
    /// The From tag.
    pub from_tag: String,
    /// The To tag.
    pub to_tag: String,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// `<sidebars-by-val>`: conferences beside one (§5.9.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SidebarsByVal {
    /// Whether they are all.
    pub state: Change,
    /// The conferences.
    pub entries: Vec<ConferenceInfo>,
}

impl Description {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut description = Self::default();
        for child in element.elements() {
            let text = || Some(child.text().into_owned());
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => description.display_text = text(),
                (CONFERENCE, "subject") => description.subject = text(),
                (CONFERENCE, "free-text") => description.free_text = text(),
                (CONFERENCE, "keywords") => description.keywords = text(),
                (CONFERENCE, "conf-uris") => description.conf_uris = Some(Uris::read(child)?),
                (CONFERENCE, "service-uris") => description.service_uris = Some(Uris::read(child)?),
                (CONFERENCE, "maximum-user-count") => description.maximum_user_count = Some(child.content()?),
                (CONFERENCE, "available-media") => {
                    for entry in child.elements().filter(|entry| entry.is(CONFERENCE, "entry")) {
                        description.available_media.push(AvailableMedia::read(entry)?);
                    }
                }
                _ => description.extensions.push(child.clone()),
            }
        }
        Ok(description)
    }

    pub(super) fn write(&self) -> Element {
        let media = self.available_media.iter().map(AvailableMedia::write);
        let media = Element::new(CONFERENCE, "available-media").with_children(media);
        Element::new(CONFERENCE, "conference-description")
            .with_some_child("display-text", self.display_text.as_ref())
            .with_some_child("subject", self.subject.as_ref())
            .with_some_child("free-text", self.free_text.as_ref())
            .with_some_child("keywords", self.keywords.as_ref())
            .with_children(self.conf_uris.iter().map(|uris| uris.write("conf-uris")))
            .with_children(self.service_uris.iter().map(|uris| uris.write("service-uris")))
            .with_some_child("maximum-user-count", self.maximum_user_count.as_ref())
            .with_children((!self.available_media.is_empty()).then_some(media))
            .with_children(self.extensions.iter().cloned())
    }
}

impl AvailableMedia {
    fn read(element: &Element) -> Result<Self, Error> {
        let mut media = Self { label: element.required("label")?.to_owned(), ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => media.display_text = Some(child.text().into_owned()),
                (CONFERENCE, "type") => media.media_type = child.text().into_owned(),
                (CONFERENCE, "status") => media.status = Some(child.content()?),
                _ => media.extensions.push(child.clone()),
            }
        }
        Ok(media)
    }

    fn write(&self) -> Element {
        Element::new(CONFERENCE, "entry")
            .with("label", &self.label)
            .with_some_child("display-text", self.display_text.as_ref())
            .with_some_child("type", Some(&self.media_type))
            .with_some_child("status", self.status.as_ref())
            .with_children(self.extensions.iter().cloned())
    }
}

impl HostInfo {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut host = Self::default();
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => host.display_text = Some(child.text().into_owned()),
                (CONFERENCE, "web-page") => host.web_page = Some(child.text().into_owned()),
                (CONFERENCE, "uris") => host.uris = Some(Uris::read(child)?),
                _ => host.extensions.push(child.clone()),
            }
        }
        Ok(host)
    }

    pub(super) fn write(&self) -> Element {
        Element::new(CONFERENCE, "host-info")
            .with_some_child("display-text", self.display_text.as_ref())
            .with_some_child("web-page", self.web_page.as_ref())
            .with_children(self.uris.iter().map(|uris| uris.write("uris")))
            .with_children(self.extensions.iter().cloned())
    }
}

impl ConferenceState {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut state = Self::default();
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "user-count") => state.user_count = Some(child.content()?),
                (CONFERENCE, "active") => state.active = Some(child.boolean_content()?),
                (CONFERENCE, "locked") => state.locked = Some(child.boolean_content()?),
                _ => state.extensions.push(child.clone()),
            }
        }
        Ok(state)
    }

    pub(super) fn write(&self) -> Element {
        Element::new(CONFERENCE, "conference-state")
            .with_some_child("user-count", self.user_count.as_ref())
            .with_some_child("active", self.active.as_ref())
            .with_some_child("locked", self.locked.as_ref())
            .with_children(self.extensions.iter().cloned())
    }
}

impl Uris {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let entries = element.elements().filter(|entry| entry.is(CONFERENCE, "entry")).map(Uri::read);
        Ok(Self { state: Change::read(element)?, entries: entries.collect::<Result<_, _>>()? })
    }

    pub(super) fn write(&self, local: &str) -> Element {
        let element = Element::new(CONFERENCE, local).with_some("state", self.state.written());
        element.with_children(self.entries.iter().map(Uri::write))
    }
}

impl Uri {
    fn read(element: &Element) -> Result<Self, Error> {
        let uri = element.child_text(CONFERENCE, "uri").ok_or_else(|| element.lacks("uri"))?;
        let mut entry = Self { uri, ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "uri") => {}
                (CONFERENCE, "display-text") => entry.display_text = Some(child.text().into_owned()),
                (CONFERENCE, "purpose") => entry.purpose = Some(child.text().into_owned()),
                (CONFERENCE, "modified") => entry.modified = Some(Execution::read(child)?),
                _ => entry.extensions.push(child.clone()),
            }
        }
        Ok(entry)
    }

    fn write(&self) -> Element {
        Element::new(CONFERENCE, "entry")
            .with_some_child("uri", Some(&self.uri))
            .with_some_child("display-text", self.display_text.as_ref())
            .with_some_child("purpose", self.purpose.as_ref())
            .with_children(self.modified.iter().map(|modified| modified.write("modified")))
            .with_children(self.extensions.iter().cloned())
    }
}

impl Execution {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let when = element.child(CONFERENCE, "when").map(Element::content).transpose()?;
        let (reason, by) = (element.child_text(CONFERENCE, "reason"), element.child_text(CONFERENCE, "by"));
        Ok(Self { when, reason, by })
    }

    pub(super) fn write(&self, local: &str) -> Element {
        Element::new(CONFERENCE, local)
            .with_some_child("when", self.when.as_ref())
            .with_some_child("reason", self.reason.as_ref())
            .with_some_child("by", self.by.as_ref())
    }
}

impl Media {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut media = Self { id: element.required("id")?.to_owned(), ..Self::default() };
        for child in element.elements() {
            let text = || Some(child.text().into_owned());
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => media.display_text = text(),
                (CONFERENCE, "type") => media.media_type = text(),
                (CONFERENCE, "label") => media.label = text(),
                (CONFERENCE, "src-id") => media.src_id = text(),
                (CONFERENCE, "status") => media.status = Some(child.content()?),
                _ => media.extensions.push(child.clone()),
            }
        }
        Ok(media)
    }

    pub(super) fn write(&self) -> Element {
        Element::new(CONFERENCE, "media")
            .with("id", &self.id)
            .with_some_child("display-text", self.display_text.as_ref())
            .with_some_child("type", self.media_type.as_ref())
            .with_some_child("label", self.label.as_ref())
            .with_some_child("src-id", self.src_id.as_ref())
            .with_some_child("status", self.status.as_ref())
            .with_children(self.extensions.iter().cloned())
    }
}

impl CallInfo {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut info = Self::default();
        let Some(sip) = element.child(CONFERENCE, "sip") else {
            info.extensions = element.elements().cloned().collect();
            return Ok(info);
        };
        for child in sip.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => info.display_text = Some(child.text().into_owned()),
                (CONFERENCE, "call-id") => info.call_id = child.text().into_owned(),
                (CONFERENCE, "from-tag") => info.from_tag = child.text().into_owned(),
                (CONFERENCE, "to-tag") => info.to_tag = child.text().into_owned(),
                (CONFERENCE, _) => {}
                _ => info.extensions.push(child.clone()),
            }
        }
        Ok(info)
    }

    pub(super) fn write(&self) -> Element {
        let element = Element::new(CONFERENCE, "call-info");
        let ids = [&self.call_id, &self.from_tag, &self.to_tag];
        if self.display_text.is_none() && ids.iter().all(|id| id.is_empty()) {
            return element.with_children(self.extensions.iter().cloned());
        }
        let sip = Element::new(CONFERENCE, "sip")
            .with_some_child("display-text", self.display_text.as_ref())
            .with_some_child("call-id", Some(&self.call_id))
            .with_some_child("from-tag", Some(&self.from_tag))
            .with_some_child("to-tag", Some(&self.to_tag))
            .with_children(self.extensions.iter().cloned());
        element.with_child(sip)
    }
}

impl SidebarsByVal {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let entries = element
            .elements()
            .filter(|entry| entry.is(CONFERENCE, "entry"))
            .map(ConferenceInfo::read_as_entry);
        Ok(Self { state: Change::read(element)?, entries: entries.collect::<Result<_, _>>()? })
    }

    pub(super) fn write(&self) -> Element {
        let element = Element::new(CONFERENCE, "sidebars-by-val").with_some("state", self.state.written());
        element.with_children(self.entries.iter().map(|entry| entry.write_as("entry")))
    }
}
