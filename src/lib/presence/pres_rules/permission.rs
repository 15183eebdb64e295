//! What a rule gives (RFC 5025 §3.2, §3.3), and what is left of a document for who was given it.

use std::collections::BTreeSet;

use super::{COMMON_POLICY, PRES_RULES};
use crate::presence::{
    Element, Error, Reason,
    pidf::{Device, Person, Presence, Tuple},
    rpid::UserInput,
};

/// What happens to a subscription (§3.2.1); the greatest that a rule gives counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SubHandling {
    /// It is refused. This is so without any rule.
    #[default]
    Block,
    /// The presentity is to decide: it is pending.
    Confirm,
    /// It is accepted, and the presentity seems not to be there.
    PoliteBlock,
    /// It is accepted.
    Allow,
}

impl SubHandling {
    /// As documents have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Confirm => "confirm",
            Self::PoliteBlock => "polite-block",
            Self::Allow => "allow",
        }
    }
}

impl std::fmt::Display for SubHandling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for SubHandling {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = [Self::Block, Self::Confirm, Self::PoliteBlock, Self::Allow].into_iter();
        all.find(|handling| handling.as_str() == text).ok_or(())
    }
}

/// How much of user input is shown (§3.3.2.12); the greatest that a rule gives counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum UserInputLevel {
    /// Nothing.
    #[default]
    Hidden,
    /// Active or idle.
    Bare,
    /// And the threshold.
    Thresholds,
    /// And the time of the last input.
    Full,
}

impl UserInputLevel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "false",
            Self::Bare => "bare",
            Self::Thresholds => "thresholds",
            Self::Full => "full",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Hidden, Self::Bare, Self::Thresholds, Self::Full]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

/// What of a person, service or device is shown (§3.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// `<activities>`
    Activities,
    /// `<class>`
    Class,
    /// `<deviceID>` of services.
    DeviceId,
    /// `<mood>`
    Mood,
    /// `<place-is>`
    PlaceIs,
    /// `<place-type>`
    PlaceType,
    /// `<privacy>`
    Privacy,
    /// `<relationship>`
    Relationship,
    /// `<sphere>`
    Sphere,
    /// `<status-icon>`
    StatusIcon,
    /// `<time-offset>`
    TimeOffset,
    /// `<note>`
    Note,
}

impl Attribute {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Activities, "provide-activities"),
        (Self::Class, "provide-class"),
        (Self::DeviceId, "provide-deviceID"),
        (Self::Mood, "provide-mood"),
        (Self::PlaceIs, "provide-place-is"),
        (Self::PlaceType, "provide-place-type"),
        (Self::Privacy, "provide-privacy"),
        (Self::Relationship, "provide-relationship"),
        (Self::Sphere, "provide-sphere"),
        (Self::StatusIcon, "provide-status-icon"),
        (Self::TimeOffset, "provide-time-offset"),
        (Self::Note, "provide-note"),
    ];
}

/// Which persons, services or devices are shown (§3.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provided {
    /// All of them.
    pub all: bool,
    /// Those of a kind: the name of the element (`class`, `occurrence-id`, `deviceID`, `service-uri`,
    /// `service-uri-scheme`) and its value.
    pub chosen: BTreeSet<(String, String)>,
}

/// What a watcher may see.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Permissions {
    /// What happens to the subscription; [`SubHandling::Block`] if nothing is said.
    pub sub_handling: Option<SubHandling>,
    /// Services.
    pub services: Provided,
    /// Persons.
    pub persons: Provided,
    /// Devices.
    pub devices: Provided,
    /// What of them.
    pub attributes: BTreeSet<Attribute>,
    /// How much of user input.
    pub user_input: UserInputLevel,
    /// Elements of other namespaces: their namespaces and names.
    pub unknown: BTreeSet<(String, String)>,
    /// Everything of them.
    pub all_attributes: bool,
}

impl Permissions {
    /// What happens to the subscription.
    pub fn handling(&self) -> SubHandling {
        self.sub_handling.unwrap_or_default()
    }

    /// Gives everything there is to see.
    pub fn show_all(&mut self) {
        for provided in [&mut self.services, &mut self.persons, &mut self.devices] {
            provided.all = true;
        }
        self.all_attributes = true;
    }

    /// What another rule gives is given too.
    pub fn add(&mut self, other: &Self) {
        self.sub_handling = self.sub_handling.max(other.sub_handling);
        self.services.add(&other.services);
        self.persons.add(&other.persons);
        self.devices.add(&other.devices);
        self.attributes.extend(&other.attributes);
        self.user_input = self.user_input.max(other.user_input);
        self.unknown.extend(other.unknown.iter().cloned());
        self.all_attributes |= other.all_attributes;
    }

    /// What is left of a document.
    pub fn filter(&self, presence: &Presence) -> Presence {
        let scheme = |uri: &str| uri.split_once(':').map(|(scheme, _)| scheme.to_owned());
        let tuples = presence.tuples.iter().filter(|tuple| {
            let uri = tuple.contact.as_ref().map(|contact| contact.uri.as_str());
            self.services.holds("class", tuple.class.as_deref())
                || self.services.holds("occurrence-id", Some(&tuple.id))
                || self.services.holds("service-uri", uri)
                || self.services.holds("service-uri-scheme", uri.and_then(scheme).as_deref())
        });
        let persons = presence.persons.iter().filter(|person| {
            self.persons.holds("class", person.class.as_deref())
                || self.persons.holds("occurrence-id", Some(&person.id))
        });
        let devices = presence.devices.iter().filter(|device| {
            self.devices.holds("class", device.class.as_deref())
                || self.devices.holds("occurrence-id", Some(&device.id))
                || self.devices.holds("deviceID", Some(&device.device_id))
        });
        Presence {
            entity: presence.entity.clone(),
            tuples: tuples.map(|tuple| self.tuple(tuple)).collect(),
            notes: self.shown(Attribute::Note, &presence.notes),
            persons: persons.map(|person| self.person(person)).collect(),
            devices: devices.map(|device| self.device(device)).collect(),
            extensions: self.extensions(&presence.extensions),
        }
    }

    fn tuple(&self, tuple: &Tuple) -> Tuple {
        Tuple {
            id: tuple.id.clone(),
            basic: tuple.basic,
            status: self.extensions(&tuple.status),
            contact: tuple.contact.clone(),
            notes: self.shown(Attribute::Note, &tuple.notes),
            timestamp: tuple.timestamp,
            device_ids: self.shown(Attribute::DeviceId, &tuple.device_ids),
            class: self.shown(Attribute::Class, &tuple.class),
            privacy: self.shown(Attribute::Privacy, &tuple.privacy),
            relationship: self.shown(Attribute::Relationship, &tuple.relationship),
            service_class: tuple.service_class.clone(),
            status_icon: self.shown(Attribute::StatusIcon, &tuple.status_icon),
            user_input: self.user_input(tuple.user_input),
            extensions: self.extensions(&tuple.extensions),
        }
    }

    fn person(&self, person: &Person) -> Person {
        Person {
            id: person.id.clone(),
            activities: self.shown(Attribute::Activities, &person.activities),
            class: self.shown(Attribute::Class, &person.class),
            mood: self.shown(Attribute::Mood, &person.mood),
            place_is: self.shown(Attribute::PlaceIs, &person.place_is),
            place_type: self.shown(Attribute::PlaceType, &person.place_type),
            privacy: self.shown(Attribute::Privacy, &person.privacy),
            sphere: self.shown(Attribute::Sphere, &person.sphere),
            status_icon: self.shown(Attribute::StatusIcon, &person.status_icon),
            time_offset: self.shown(Attribute::TimeOffset, &person.time_offset),
            user_input: self.user_input(person.user_input),
            notes: self.shown(Attribute::Note, &person.notes),
            timestamp: person.timestamp,
            extensions: self.extensions(&person.extensions),
        }
    }

    fn device(&self, device: &Device) -> Device {
        Device {
            id: device.id.clone(),
            device_id: device.device_id.clone(),
            class: self.shown(Attribute::Class, &device.class),
            user_input: self.user_input(device.user_input),
            notes: self.shown(Attribute::Note, &device.notes),
            timestamp: device.timestamp,
            extensions: self.extensions(&device.extensions),
        }
    }

    fn shown<T: Clone + Default>(&self, attribute: Attribute, value: &T) -> T {
        if self.all_attributes || self.attributes.contains(&attribute) { value.clone() } else { T::default() }
    }

    fn user_input(&self, input: Option<UserInput>) -> Option<UserInput> {
        let level = if self.all_attributes { UserInputLevel::Full } else { self.user_input };
        let mut input = input.filter(|_| level > UserInputLevel::Hidden)?;
        if level < UserInputLevel::Full {
            input.last_input = None;
        }
        if level < UserInputLevel::Thresholds {
            input.idle_threshold = None;
        }
        Some(input)
    }

    fn extensions(&self, elements: &[Element]) -> Vec<Element> {
        let shown = elements.iter().filter(|element| {
            let name = (element.name.namespace.to_string(), element.name.local.to_string());
            self.all_attributes || self.unknown.contains(&name)
        });
        shown.cloned().collect()
    }

    pub(super) fn read_actions(&mut self, actions: &Element) -> Result<(), Error> {
        let Some(handling) = actions.child(PRES_RULES, "sub-handling") else { return Ok(()) };
        self.sub_handling = Some(handling.content()?);
        Ok(())
    }

    pub(super) fn read_transformations(&mut self, transformations: &Element) -> Result<(), Error> {
        let ours = transformations.elements().filter(|child| *child.name.namespace == *PRES_RULES);
        for child in ours {
            match &*child.name.local {
                "provide-services" => self.services.read(child),
                "provide-persons" => self.persons.read(child),
                "provide-devices" => self.devices.read(child),
                "provide-all-attributes" => self.all_attributes = true,
                "provide-user-input" => {
                    let text = child.text();
                    let level = UserInputLevel::of(&text);
                    let wrong = || child.refuse(Reason::value("provide-user-input", &text));
                    self.user_input = level.ok_or_else(wrong)?;
                }
                "provide-unknown-attribute" => {
                    if child.boolean_content()? {
                        let name = child.required("name")?.to_owned();
                        self.unknown.insert((child.required("ns")?.to_owned(), name));
                    }
                }
                local => {
                    let known = Attribute::ALL.iter().find(|(_, name)| *name == local);
                    if let Some((attribute, _)) = known
                        && child.boolean_content()?
                    {
                        self.attributes.insert(*attribute);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn write_actions(&self) -> Element {
        let handling = self.sub_handling;
        let handling = handling.map(|handling| Element::new(PRES_RULES, "sub-handling").with_text(&handling));
        Element::new(COMMON_POLICY, "actions").with_children(handling)
    }

    pub(super) fn write_transformations(&self) -> Element {
        let new = |local: &str| Element::new(PRES_RULES, local);
        let names = Attribute::ALL.iter().filter(|(attribute, _)| self.attributes.contains(attribute));
        let input = (self.user_input > UserInputLevel::Hidden)
            .then(|| new("provide-user-input").with_text(self.user_input.as_str()));
        let unknown = self.unknown.iter().map(|(namespace, name)| {
            new("provide-unknown-attribute").with("ns", namespace).with("name", name).with_text("true")
        });
        Element::new(COMMON_POLICY, "transformations")
            .with_children(self.services.write("provide-services", "all-services"))
            .with_children(self.persons.write("provide-persons", "all-persons"))
            .with_children(self.devices.write("provide-devices", "all-devices"))
            .with_children(names.map(|(_, name)| new(name).with_text("true")))
            .with_children(input)
            .with_children(unknown)
            .with_children(self.all_attributes.then(|| new("provide-all-attributes")))
    }
}

impl Provided {
    fn add(&mut self, other: &Self) {
        self.all |= other.all;
        self.chosen.extend(other.chosen.iter().cloned());
    }

    fn holds(&self, kind: &str, value: Option<&str>) -> bool {
        let chosen = |value: &str| self.chosen.contains(&(kind.to_owned(), value.to_owned()));
        self.all || value.is_some_and(chosen)
    }

    fn read(&mut self, element: &Element) {
        for child in element.elements().filter(|child| *child.name.namespace == *PRES_RULES) {
            match &*child.name.local {
                "all-services" | "all-persons" | "all-devices" => self.all = true,
                kind @ ("class" | "occurrence-id" | "deviceID" | "service-uri" | "service-uri-scheme") => {
                    self.chosen.insert((kind.to_owned(), child.text().into_owned()));
                }
                _ => {}
            }
        }
        if self.all {
            self.chosen.clear();
        }
    }

    fn write(&self, local: &str, all: &str) -> Option<Element> {
        let element = Element::new(PRES_RULES, local);
        if self.all {
            return Some(element.with_child(Element::new(PRES_RULES, all)));
        }
        let chosen = self.chosen.iter().filter(|(kind, _)| KINDS.contains(&kind.as_str()));
        let chosen = chosen.map(|(kind, value)| Element::new(PRES_RULES, kind).with_text(value));
        (!self.chosen.is_empty()).then(|| element.with_children(chosen))
    }
}

const KINDS: [&str; 5] = ["class", "occurrence-id", "deviceID", "service-uri", "service-uri-scheme"];
