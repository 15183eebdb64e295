//! The registrations of a user: reginfo (RFC 3680), with the GRUUs of RFC 5628.

use super::{
    Applied, Document, Element, Error, Note, XmlDocument, tokens,
    version::{Version, Weight},
    winfo,
};

tokens! {
    /// The state of a registration (RFC 3680 §4.7.1).
    State { Init = "init", Active = "active", Terminated = "terminated" }
}

tokens! {
    /// The state of a contact (§5.1).
    ContactState { Active = "active", Terminated = "terminated" }
}

tokens! {
    /// What happened to a contact (§4.7.2).
    Event {
        Registered = "registered", Created = "created", Refreshed = "refreshed", Shortened = "shortened",
        Expired = "expired", Deactivated = "deactivated", Probation = "probation",
        Unregistered = "unregistered", Rejected = "rejected",
    }
}

/// `<reginfo>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegInfo {
    /// One higher from document to document of a subscription.
    pub version: u32,
    /// Whether it is the whole state, or what changed.
    pub full: bool,
    /// The registrations.
    pub registrations: Vec<Registration>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// The bindings of an address of record.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The address of record: a URI.
    pub aor: String,
    /// Unique among the registrations.
    pub id: String,
    /// Its state.
    pub state: State,
    /// The contacts.
    pub contacts: Vec<Contact>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A binding.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Unique in the registration.
    pub id: String,
    /// Where it points to.
    pub uri: String,
    /// Its state.
    pub state: ContactState,
    /// What happened to it last.
    pub event: Event,
    /// The name of the contact.
    pub display_name: Option<Note>,
    /// Seconds since it was made.
    pub duration_registered: Option<u64>,
    /// Seconds until it ends.
    pub expires: Option<u64>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
    /// The preference as it was registered.
    pub q: Option<String>,
    /// The Call-ID of the last REGISTER.
    pub call_id: Option<String>,
    /// The sequence number of the last REGISTER.
    pub cseq: Option<u64>,
    /// Parameters of the Contact that have no place of their own, as they were registered.
    pub params: Vec<(String, String)>,
    /// The public GRUU (RFC 5628).
    pub pub_gruu: Option<String>,
    /// The latest temporary GRUU (RFC 5628), with the first sequence number that it is good for.
    pub temp_gruu: Option<(String, u32)>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

impl Registration {
    /// A registration without contacts.
    pub fn new(aor: impl Into<String>, id: impl Into<String>, state: State) -> Self {
        Self { aor: aor.into(), id: id.into(), state, contacts: Vec::new(), extensions: Vec::new() }
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        let (aor, id) = (element.required("aor")?, element.required("id")?);
        let mut registration = Self::new(aor, id, element.required("state")?.into());
        for child in element.elements() {
            if child.is(REGINFO, "contact") {
                registration.contacts.push(Contact::from_element(child)?);
            } else {
                registration.extensions.push(child.clone());
            }
        }
        Ok(registration)
    }

    fn to_element(&self) -> Element {
        Element::new(REGINFO, "registration")
            .with("aor", &self.aor)
            .with("id", &self.id)
            .with("state", &self.state)
            .with_children(self.contacts.iter().map(Contact::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl Contact {
    /// A contact of which nothing more is known.
    pub fn new(id: impl Into<String>, uri: impl Into<String>, state: ContactState, event: Event) -> Self {
        Self {
            id: id.into(),
            uri: uri.into(),
            state,
            event,
            display_name: None,
            duration_registered: None,
            expires: None,
            retry_after: None,
            q: None,
            call_id: None,
            cseq: None,
            params: Vec::new(),
            pub_gruu: None,
            temp_gruu: None,
            extensions: Vec::new(),
        }
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        let uri = element.child(REGINFO, "uri").ok_or_else(|| element.lacks("uri"))?.text().into_owned();
        let (state, event) = (element.required("state")?.into(), element.required("event")?.into());
        let mut contact = Self::new(element.required("id")?, uri, state, event);
        contact.duration_registered = element.parsed("duration-registered")?;
        contact.expires = element.parsed("expires")?;
        contact.retry_after = element.parsed("retry-after")?;
        contact.q = element.string("q");
        contact.call_id = element.string("callid");
        contact.cseq = element.parsed("cseq")?;
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (REGINFO, "uri") => {}
                (REGINFO, "display-name") => contact.display_name = Some(Note::from_element(child)),
                (REGINFO, "unknown-param") => {
                    contact.params.push((child.required("name")?.to_owned(), child.text().into_owned()));
                }
                (GRUU, "pub-gruu") => contact.pub_gruu = Some(child.required("uri")?.to_owned()),
                (GRUU, "temp-gruu") => {
                    let first = child.parsed_required("first-cseq")?;
                    contact.temp_gruu = Some((child.required("uri")?.to_owned(), first));
                }
                _ => contact.extensions.push(child.clone()),
            }
        }
        Ok(contact)
    }

    fn to_element(&self) -> Element {
        let param = |(name, value): &(String, String)| {
            Element::new(REGINFO, "unknown-param").with("name", name).with_text(value)
        };
        let public = |uri: &String| Element::new(GRUU, "pub-gruu").with("uri", uri);
        let temporary = |(uri, first): &(String, u32)| {
            Element::new(GRUU, "temp-gruu").with("uri", uri).with("first-cseq", first)
        };
        Element::new(REGINFO, "contact")
            .with("id", &self.id)
            .with("state", &self.state)
            .with("event", &self.event)
            .with_some("duration-registered", self.duration_registered.as_ref())
            .with_some("expires", self.expires.as_ref())
            .with_some("retry-after", self.retry_after.as_ref())
            .with_some("q", self.q.as_ref())
            .with_some("callid", self.call_id.as_ref())
            .with_some("cseq", self.cseq.as_ref())
            .with_some_child("uri", Some(&self.uri))
            .with_children(self.display_name.iter().map(|name| name.to_element(REGINFO, "display-name")))
            .with_children(self.params.iter().map(param))
            .with_children(self.pub_gruu.iter().map(public))
            .with_children(self.temp_gruu.iter().map(temporary))
            .with_children(self.extensions.iter().cloned())
    }
}

impl XmlDocument for RegInfo {
    const MEDIA_TYPE: &'static str = "application/reginfo+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(REGINFO, "reginfo")?;
        let (version, full) = (root.parsed_required("version")?, winfo::full(root)?);
        let mut document = Self { version, full, ..Self::default() };
        for child in root.elements() {
            if child.is(REGINFO, "registration") {
                document.registrations.push(Registration::from_element(child)?);
            } else {
                document.extensions.push(child.clone());
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        Element::new(REGINFO, "reginfo")
            .with("version", &self.version)
            .with("state", if self.full { "full" } else { "partial" })
            .with_children(self.registrations.iter().map(Registration::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

/// Every registration of a subscription, kept from document to document (§5.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registrations {
    version: Version,
    weight: Weight,
    /// The registrations as they are now.
    pub registrations: Vec<Registration>,
}

impl Registrations {
    /// Takes a document in. What has ended stays until [`forget_terminated`](Self::forget_terminated).
    pub fn apply(&mut self, document: RegInfo) -> Applied {
        let applied = self.version.next(document.version, document.full);
        let size = document.write().len();
        match applied {
            Applied::Stale => {}
            Applied::Full => self.registrations = document.registrations,
            Applied::Partial | Applied::Gap => super::merge_by(
                &mut self.registrations,
                document.registrations,
                |registration| registration.id.clone(),
                |registration, new| {
                    (registration.aor, registration.state) = (new.aor, new.state);
                    super::replace_by(&mut registration.contacts, new.contacts, |contact| contact.id.clone());
                },
            ),
        }
        if applied == Applied::Full {
            self.weight = Weight::default();
        }
        if !self.weight.add(size, || {
            RegInfo { registrations: self.registrations.clone(), ..RegInfo::default() }.write().len()
        }) {
            *self = Self { version: self.version, ..Self::default() };
            return Applied::Gap;
        }
        applied
    }

    /// Drops contacts and registrations that have ended.
    pub fn forget_terminated(&mut self) {
        self.registrations.retain_mut(|registration| {
            registration.contacts.retain(|contact| contact.state != ContactState::Terminated);
            registration.state != State::Terminated
        });
    }
}

/// The namespace of registration information.
pub const REGINFO: &str = "urn:ietf:params:xml:ns:reginfo";
/// The namespace of GRUUs in it (RFC 5628).
pub const GRUU: &str = "urn:ietf:params:xml:ns:gruuinfo";
