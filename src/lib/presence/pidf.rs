//! Presence: PIDF (RFC 3863) with the persons and devices of the data model (RFC 4479) and their RPID (RFC 4480).
//!
//! Contact information (CIPID, RFC 4482), capabilities (RFC 5196), locations (RFC 4119) and whatever else stands
//! in other namespaces is kept in `extensions`. A time, number or state that is none is refused.

use super::{
    Element, Error, Note, Reason, Timestamp, XmlDocument,
    rpid::{
        Activities, Described, Moods, PlaceIs, PlaceType, Privacy, RPID, Relationship, ServiceClass, Sphere,
        StatusIcon, TimeOffset, UserInput,
    },
};

/// What is known about a presentity.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Presence {
    /// The URI of the presentity; required, but some leave it out: then it is empty.
    pub entity: String,
    /// The services.
    pub tuples: Vec<Tuple>,
    /// For people to read.
    pub notes: Vec<Note>,
    /// The person; several if sources disagree (RFC 4479 §3.2).
    pub persons: Vec<Person>,
    /// The devices.
    pub devices: Vec<Device>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Whether a service takes communication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basic {
    /// It does.
    Open,
    /// It does not.
    Closed,
}

impl Basic {
    /// `open` or `closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl std::fmt::Display for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A service (RFC 3863 §4.1.2, RFC 4479 §3.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tuple {
    /// Unique in the document, and the same from one document to the next.
    pub id: String,
    /// Whether it takes communication.
    pub basic: Option<Basic>,
    /// Elements of other namespaces in its status.
    pub status: Vec<Element>,
    /// Where to reach it.
    pub contact: Option<Contact>,
    /// For people to read.
    pub notes: Vec<Note>,
    /// When it changed.
    pub timestamp: Option<Timestamp>,
    /// The devices that it runs on.
    pub device_ids: Vec<String>,
    /// What it is grouped by.
    pub class: Option<String>,
    /// Who cannot listen.
    pub privacy: Vec<Privacy>,
    /// Who it reaches, if not the presentity.
    pub relationship: Option<Relationship>,
    /// How it delivers.
    pub service_class: Option<ServiceClass>,
    /// A picture.
    pub status_icon: Vec<StatusIcon>,
    /// Whether it is in use.
    pub user_input: Option<UserInput>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Where a service is reached (RFC 3863 §4.1.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// The URI; not looked into.
    pub uri: String,
    /// The preference in thousandths, 0 to 1000; the higher the better.
    pub priority: Option<u16>,
}

/// The person (RFC 4479 §3.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Person {
    /// Unique in the document.
    pub id: String,
    /// What they do.
    pub activities: Vec<Activities>,
    /// What they are grouped by.
    pub class: Option<String>,
    /// How they feel.
    pub mood: Vec<Moods>,
    /// What the place suits.
    pub place_is: Vec<PlaceIs>,
    /// Where they are.
    pub place_type: Vec<PlaceType>,
    /// Who cannot listen.
    pub privacy: Vec<Privacy>,
    /// The role they are in.
    pub sphere: Vec<Sphere>,
    /// A picture.
    pub status_icon: Vec<StatusIcon>,
    /// Their time zone.
    pub time_offset: Vec<TimeOffset>,
    /// Whether they use anything.
    pub user_input: Option<UserInput>,
    /// For people to read.
    pub notes: Vec<Note>,
    /// When it changed.
    pub timestamp: Option<Timestamp>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A device (RFC 4479 §3.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Device {
    /// Unique in the document.
    pub id: String,
    /// The URN that tuples refer to it by.
    pub device_id: String,
    /// What it is grouped by.
    pub class: Option<String>,
    /// Whether it is in use.
    pub user_input: Option<UserInput>,
    /// For people to read.
    pub notes: Vec<Note>,
    /// When it changed.
    pub timestamp: Option<Timestamp>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

impl Presence {
    /// Nothing known about a presentity.
    pub fn new(entity: impl Into<String>) -> Self {
        Self { entity: entity.into(), ..Self::default() }
    }

    /// Somebody who is not there: what a watcher sees who is blocked politely (RFC 5025 §3.2.1).
    pub fn unavailable(entity: impl Into<String>) -> Self {
        let tuple = Tuple { id: "none".to_owned(), basic: Some(Basic::Closed), ..Tuple::default() };
        Self { tuples: vec![tuple], ..Self::new(entity) }
    }

    /// Open if any service is, closed if all are that say anything.
    pub fn basic(&self) -> Option<Basic> {
        let states = self.tuples.iter().filter_map(|tuple| tuple.basic);
        states.reduce(|one, other| if one == Basic::Open { one } else { other })
    }

    /// The first contact information of that name (RFC 4482), such as `display-name`, `homepage` or `icon`, of
    /// the presentity.
    pub fn contact_information(&self, name: &str) -> Option<String> {
        let persons = self.persons.iter().flat_map(|person| &person.extensions);
        let mut all = persons.chain(&self.extensions);
        all.find(|element| element.is(CIPID, name)).map(|element| element.text().into_owned())
    }

    /// Reads the children of `<presence>`, or of `<pidf-full>`.
    pub(super) fn read_children(root: &Element) -> Result<Self, Error> {
        let mut presence = Self::new(root.string("entity").unwrap_or_default());
        for child in root.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (PIDF, "tuple") => presence.tuples.push(Tuple::from_element(child)?),
                (PIDF, "note") => presence.notes.push(Note::from_element(child)),
                (DATA_MODEL, "person") => presence.persons.push(Person::from_element(child)?),
                (DATA_MODEL, "device") => presence.devices.push(Device::from_element(child)?),
                _ => presence.extensions.push(child.clone()),
            }
        }
        Ok(presence)
    }

    /// Fills `<presence>` or `<pidf-full>`.
    pub(super) fn write_children(&self, root: Element) -> Element {
        let entity = (!self.entity.is_empty()).then_some(&self.entity);
        root.with_some("entity", entity)
            .with_children(self.tuples.iter().map(Tuple::to_element))
            .with_children(notes(PIDF, &self.notes))
            .with_children(self.persons.iter().map(Person::to_element))
            .with_children(self.devices.iter().map(Device::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl XmlDocument for Presence {
    const MEDIA_TYPE: &'static str = "application/pidf+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(PIDF, "presence")?;
        Self::read_children(root)
    }

    fn to_element(&self) -> Element {
        self.write_children(Element::new(PIDF, "presence"))
    }
}

impl Tuple {
    /// Reads `<tuple>`.
    pub fn from_element(element: &Element) -> Result<Self, Error> {
        let mut tuple = Self { id: element.required("id")?.to_owned(), ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (PIDF, "status") => tuple.read_status(child)?,
                (PIDF, "contact") => tuple.contact = Some(Contact::from_element(child)?),
                (PIDF, "note") => tuple.notes.push(Note::from_element(child)),
                (PIDF, "timestamp") => tuple.timestamp = Some(child.content()?),
                (DATA_MODEL, "deviceID") => tuple.device_ids.push(child.text().into_owned()),
                (RPID, "class") => tuple.class = Some(child.text().into_owned()),
                (RPID, "privacy") => tuple.privacy.push(Described::read(child)?),
                (RPID, "relationship") => tuple.relationship = Some(Described::read(child)?),
                (RPID, "service-class") => tuple.service_class = Some(Described::read(child)?),
                (RPID, "status-icon") => tuple.status_icon.push(StatusIcon::read(child)?),
                (RPID, "user-input") => tuple.user_input = Some(UserInput::read(child)?),
                _ => tuple.extensions.push(child.clone()),
            }
        }
        Ok(tuple)
    }

    fn read_status(&mut self, status: &Element) -> Result<(), Error> {
        for child in status.elements() {
            if !child.is(PIDF, "basic") {
                self.status.push(child.clone());
                continue;
            }
            self.basic = Some(match &*child.text() {
                "open" => Basic::Open,
                "closed" => Basic::Closed,
                other => return Err(child.refuse(Reason::value("basic", other))),
            });
        }
        Ok(())
    }

    /// Writes `<tuple>`.
    pub fn to_element(&self) -> Element {
        let basic = self.basic.map(Basic::as_str);
        let status = Element::new(PIDF, "status").with_some_child("basic", basic);
        Element::new(PIDF, "tuple")
            .with("id", &self.id)
            .with_child(status.with_children(self.status.iter().cloned()))
            .with_children(self.class.iter().map(|class| Element::new(RPID, "class").with_text(class)))
            .with_children(self.privacy.iter().map(|privacy| privacy.write("privacy")))
            .with_children(self.relationship.iter().map(|relationship| relationship.write("relationship")))
            .with_children(self.service_class.iter().map(|class| class.write("service-class")))
            .with_children(self.status_icon.iter().map(StatusIcon::write))
            .with_children(self.user_input.iter().map(UserInput::write))
            .with_children(self.device_ids.iter().map(device_id))
            .with_children(self.extensions.iter().cloned())
            .with_children(self.contact.iter().map(Contact::to_element))
            .with_children(notes(PIDF, &self.notes))
            .with_some_child("timestamp", self.timestamp.as_ref())
    }
}

impl Contact {
    fn from_element(element: &Element) -> Result<Self, Error> {
        let priority = match element.attribute("priority") {
            None => None,
            Some(text) => match thousandths(text.trim()) {
                None => return Err(element.refuse(Reason::value("priority", text))),
                some => some,
            },
        };
        Ok(Self { uri: element.text().into_owned(), priority })
    }

    fn to_element(&self) -> Element {
        let priority = self.priority.map(|priority| match (priority / 1000, priority % 1000) {
            (0, part) => format!("0.{part:03}"),
            _ => "1".to_owned(),
        });
        let priority = priority.as_deref().map(|text| match text {
            "0.000" => "0",
            text => text.trim_end_matches('0'),
        });
        Element::new(PIDF, "contact").with_some("priority", priority).with_text(&self.uri)
    }
}

/// A number from 0 to 1 with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(whole, "0" | "1" | "") {
        return None;
    }
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    let all = part + if whole == "1" { 1000 } else { 0 };
    (all <= 1000).then_some(all)
}

impl Person {
    /// Reads `<person>`.
    pub fn from_element(element: &Element) -> Result<Self, Error> {
        let mut person = Self { id: element.string("id").unwrap_or_default(), ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (RPID, "activities") => person.activities.push(Described::read(child)?),
                (RPID, "class") => person.class = Some(child.text().into_owned()),
                (RPID, "mood") => person.mood.push(Described::read(child)?),
                (RPID, "place-is") => person.place_is.push(PlaceIs::read(child)?),
                (RPID, "place-type") => person.place_type.push(Described::read(child)?),
                (RPID, "privacy") => person.privacy.push(Described::read(child)?),
                (RPID, "sphere") => person.sphere.push(Described::read(child)?),
                (RPID, "status-icon") => person.status_icon.push(StatusIcon::read(child)?),
                (RPID, "time-offset") => person.time_offset.push(TimeOffset::read(child)?),
                (RPID, "user-input") => person.user_input = Some(UserInput::read(child)?),
                (DATA_MODEL | PIDF, "note") => person.notes.push(Note::from_element(child)),
                (DATA_MODEL | PIDF, "timestamp") => person.timestamp = Some(child.content()?),
                _ => person.extensions.push(child.clone()),
            }
        }
        Ok(person)
    }

    /// Writes `<person>`.
    pub fn to_element(&self) -> Element {
        Element::new(DATA_MODEL, "person")
            .with("id", &self.id)
            .with_children(self.activities.iter().map(|activities| activities.write("activities")))
            .with_children(self.class.iter().map(|class| Element::new(RPID, "class").with_text(class)))
            .with_children(self.mood.iter().map(|mood| mood.write("mood")))
            .with_children(self.place_is.iter().map(PlaceIs::write))
            .with_children(self.place_type.iter().map(|place| place.write("place-type")))
            .with_children(self.privacy.iter().map(|privacy| privacy.write("privacy")))
            .with_children(self.sphere.iter().map(|sphere| sphere.write("sphere")))
            .with_children(self.status_icon.iter().map(StatusIcon::write))
            .with_children(self.time_offset.iter().map(TimeOffset::write))
            .with_children(self.user_input.iter().map(UserInput::write))
            .with_children(self.extensions.iter().cloned())
            .with_children(notes(DATA_MODEL, &self.notes))
            .with_some_child("timestamp", self.timestamp.as_ref())
    }
}

impl Device {
    /// Reads `<device>`.
    pub fn from_element(element: &Element) -> Result<Self, Error> {
        let mut device = Self { id: element.string("id").unwrap_or_default(), ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (DATA_MODEL, "deviceID") => device.device_id = child.text().into_owned(),
                (RPID, "class") => device.class = Some(child.text().into_owned()),
                (RPID, "user-input") => device.user_input = Some(UserInput::read(child)?),
                (DATA_MODEL | PIDF, "note") => device.notes.push(Note::from_element(child)),
                (DATA_MODEL | PIDF, "timestamp") => device.timestamp = Some(child.content()?),
                _ => device.extensions.push(child.clone()),
            }
        }
        Ok(device)
    }

    /// Writes `<device>`.
    pub fn to_element(&self) -> Element {
        Element::new(DATA_MODEL, "device")
            .with("id", &self.id)
            .with_children(self.class.iter().map(|class| Element::new(RPID, "class").with_text(class)))
            .with_children(self.user_input.iter().map(UserInput::write))
            .with_children(self.extensions.iter().cloned())
            .with_child(device_id(&self.device_id))
            .with_children(notes(DATA_MODEL, &self.notes))
            .with_some_child("timestamp", self.timestamp.as_ref())
    }
}

fn notes<'n>(namespace: &str, notes: &'n [Note]) -> impl Iterator<Item = Element> + use<'n> {
    let namespace = namespace.to_owned();
    notes.iter().map(move |note| note.to_element(&namespace, "note"))
}

fn device_id(id: &String) -> Element {
    Element::new(DATA_MODEL, "deviceID").with_text(id)
}

/// The namespace of PIDF.
pub const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
/// The namespace of persons and devices.
pub const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
/// The namespace of contact information (RFC 4482).
pub const CIPID: &str = "urn:ietf:params:xml:ns:pidf:cipid";
