//! What people do, feel and have around them: RPID (RFC 4480), parts of persons, services and devices.
//!
//! Values that the RFC does not list are kept: text of `<other>` and unknown names as `Other`, elements of other
//! namespaces as they are.

use super::{Element, Error, Note, Reason, Timestamp, tokens, xml::is_name};

tokens! {
    /// What somebody does (§3.2).
    Activity {
        Appointment = "appointment", Away = "away", Breakfast = "breakfast", Busy = "busy", Dinner = "dinner",
        Holiday = "holiday", InTransit = "in-transit", LookingForWork = "looking-for-work", Lunch = "lunch",
        Meal = "meal", Meeting = "meeting", OnThePhone = "on-the-phone", Performance = "performance",
        PermanentAbsence = "permanent-absence", Playing = "playing", Presentation = "presentation",
        Shopping = "shopping", Sleeping = "sleeping", Spectator = "spectator", Steering = "steering",
        Travel = "travel", Tv = "tv", Unknown = "unknown", Vacation = "vacation", Working = "working",
        Worship = "worship",
    }
}

tokens! {
    /// How somebody feels (§3.5).
    Mood {
        Afraid = "afraid", Amazed = "amazed", Angry = "angry", Annoyed = "annoyed", Anxious = "anxious",
        Ashamed = "ashamed", Bored = "bored", Brave = "brave", Calm = "calm", Cold = "cold",
        Confused = "confused", Contented = "contented", Cranky = "cranky", Curious = "curious",
        Depressed = "depressed", Disappointed = "disappointed", Disgusted = "disgusted",
        Distracted = "distracted", Embarrassed = "embarrassed", Excited = "excited",
        Flirtatious = "flirtatious", Frustrated = "frustrated", Grumpy = "grumpy", Guilty = "guilty",
        Happy = "happy", Hot = "hot", Humbled = "humbled", Humiliated = "humiliated", Hungry = "hungry",
        Hurt = "hurt", Impressed = "impressed", InAwe = "in_awe", InLove = "in_love",
        Indignant = "indignant", Interested = "interested", Invincible = "invincible", Jealous = "jealous",
        Lonely = "lonely", Mean = "mean", Moody = "moody", Nervous = "nervous", Neutral = "neutral",
        Offended = "offended", Playful = "playful", Proud = "proud", Relieved = "relieved",
        Remorseful = "remorseful", Restless = "restless", Sad = "sad", Sarcastic = "sarcastic",
        Serious = "serious", Shocked = "shocked", Shy = "shy", Sick = "sick", Sleepy = "sleepy",
        Stressed = "stressed", Surprised = "surprised", Thirsty = "thirsty", Unknown = "unknown",
        Worried = "worried",
    }
}

tokens! {
    /// What third parties cannot overhear or see (§3.8).
    Medium { Audio = "audio", Text = "text", Video = "video", Unknown = "unknown" }
}

tokens! {
    /// Who a service reaches (§3.9).
    Relation {
        Assistant = "assistant", Associate = "associate", Family = "family", Friend = "friend",
        OneSelf = "self", Supervisor = "supervisor", Unknown = "unknown",
    }
}

tokens! {
    /// How a service delivers (§3.10).
    Service {
        Courier = "courier", Electronic = "electronic", Freight = "freight", InPerson = "in-person",
        Postal = "postal", Unknown = "unknown",
    }
}

tokens! {
    /// The role that somebody is in (§3.11).
    Role { Home = "home", Work = "work", Unknown = "unknown" }
}

tokens! {
    /// Whether a place suits audio (§3.6).
    AudioPlace { Noisy = "noisy", Suitable = "ok", Quiet = "quiet", Unknown = "unknown" }
}

tokens! {
    /// Whether a place suits video (§3.6).
    VideoPlace { TooBright = "toobright", Suitable = "ok", Dark = "dark", Unknown = "unknown" }
}

tokens! {
    /// Whether a place suits text (§3.6).
    TextPlace {
        Uncomfortable = "uncomfortable", Inappropriate = "inappropriate", Suitable = "ok",
        Unknown = "unknown",
    }
}

/// Where somebody is (§3.7): the name of a place of RFC 4589, such as `office`, or free text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// An element of `urn:ietf:params:xml:ns:location-type`.
    Known(String),
    /// The text of `<other>`.
    Other(String),
}

/// When something holds, and how it is referred to (§3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// Since when it holds.
    pub from: Option<Timestamp>,
    /// Until when it will.
    pub until: Option<Timestamp>,
    /// What it is referred to by.
    pub id: Option<String>,
}

/// Values from a list with what was noted to them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Described<T> {
    /// The values, in order.
    pub values: Vec<T>,
    /// For people to read.
    pub notes: Vec<Note>,
    /// When it holds; not for relationships and service classes.
    pub span: Span,
    /// Values from other namespaces.
    pub extensions: Vec<Element>,
}

/// `<activities>`.
pub type Activities = Described<Activity>;
/// `<mood>`.
pub type Moods = Described<Mood>;
/// `<place-type>`.
pub type PlaceType = Described<Place>;
/// `<privacy>`.
pub type Privacy = Described<Medium>;
/// `<relationship>`.
pub type Relationship = Described<Relation>;
/// `<service-class>`.
pub type ServiceClass = Described<Service>;
/// `<sphere>`.
pub type Sphere = Described<Role>;

impl<T> From<Vec<T>> for Described<T> {
    fn from(values: Vec<T>) -> Self {
        Self { values, notes: Vec::new(), span: Span::default(), extensions: Vec::new() }
    }
}

/// `<place-is>`: what a place is good for (§3.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceIs {
    /// For audio.
    pub audio: Option<AudioPlace>,
    /// For video.
    pub video: Option<VideoPlace>,
    /// For text.
    pub text: Option<TextPlace>,
    /// For people to read.
    pub notes: Vec<Note>,
    /// When it holds.
    pub span: Span,
}

/// `<status-icon>`: a picture of the state (§3.12).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusIcon {
    /// Where the picture is.
    pub uri: String,
    /// When it holds.
    pub span: Span,
}

/// `<time-offset>`: the time zone of a person (§3.13).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeOffset {
    /// Minutes east of UTC.
    pub minutes: i32,
    /// The name of the zone, for people to read.
    pub description: Option<String>,
    /// When it holds.
    pub span: Span,
}

/// `<user-input>`: whether anybody uses the thing (§3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserInput {
    /// `idle` if set, else `active`.
    pub idle: bool,
    /// Seconds without input after which it is idle.
    pub idle_threshold: Option<u64>,
    /// When there was input last.
    pub last_input: Option<Timestamp>,
}

impl Span {
    fn read(element: &Element) -> Result<Self, Error> {
        let (from, until) = (element.timestamp("from")?, element.timestamp("until")?);
        Ok(Self { from, until, id: element.string("id") })
    }

    fn write(&self, element: Element) -> Element {
        let element = element.with_some("from", self.from.as_ref()).with_some("until", self.until.as_ref());
        element.with_some("id", self.id.as_ref())
    }
}

/// A value of a list: an element that is empty, or `<other>` with text.
trait Listed: Sized {
    /// None if the element is not in one of the namespaces of the list.
    fn read(element: &Element) -> Option<Self>;
    fn write(&self) -> Element;
    /// Characters that stand for themselves, which only spheres have.
    fn other(_text: &str) -> Option<Self> {
        None
    }
}

macro_rules! listed {
    ($($name:ident)*) => {$(
        impl Listed for $name {
            fn read(element: &Element) -> Option<Self> {
                if *element.name.namespace != *RPID {
                    return None;
                }
                Some(match &*element.name.local {
                    "other" => (&*element.text()).into(),
                    name => name.into(),
                })
            }

            fn write(&self) -> Element {
                match self {
                    Self::Other(text) => Element::new(RPID, "other").with_text(text),
                    known => Element::new(RPID, known.as_str()),
                }
            }

            fn other(text: &str) -> Option<Self> {
                (!text.is_empty()).then(|| text.into())
            }
        }
    )*};
}
listed!(Activity Mood Medium Relation Service Role);

impl Listed for Place {
    fn read(element: &Element) -> Option<Self> {
        if element.is(RPID, "other") {
            return Some(Self::Other(element.text().into_owned()));
        }
        (*element.name.namespace == *LOCATION_TYPE).then(|| Self::Known(element.name.local.to_string()))
    }

    fn write(&self) -> Element {
        match self {
            Self::Known(name) if is_name(name) => Element::new(LOCATION_TYPE, name),
            Self::Known(text) | Self::Other(text) => Element::new(RPID, "other").with_text(text),
        }
    }
}

#[expect(private_bounds)]
impl<T: Listed> Described<T> {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut described = Self::from(Vec::new());
        described.span = Span::read(element)?;
        for child in element.elements() {
            if child.is(RPID, "note") {
                described.notes.push(Note::from_element(child));
            } else if let Some(value) = T::read(child) {
                described.values.push(value);
            } else {
                described.extensions.push(child.clone());
            }
        }
        // The example of §4 has a sphere of characters alone.
        if element.elements().next().is_none() {
            described.values.extend(T::other(&element.text()));
        }
        Ok(described)
    }

    pub(super) fn write(&self, local: &str) -> Element {
        let mut element = self.span.write(Element::new(RPID, local));
        // Spheres have no `<other>`: text stands by itself.
        if let ("sphere", [value], [], []) =
            (local, self.values.as_slice(), self.notes.as_slice(), self.extensions.as_slice())
        {
            let child = value.write();
            return match child.text() {
                text if text.is_empty() => element.with_child(child),
                text => element.with_text(&text),
            };
        }
        element = element.with_children(self.notes.iter().map(|note| note.to_element(RPID, "note")));
        element = element.with_children(self.values.iter().map(Listed::write));
        element.with_children(self.extensions.iter().cloned())
    }
}

impl PlaceIs {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let first = |local: &str| {
            let inside = element.child(RPID, local)?.elements().next()?;
            Some(inside.name.local.to_string())
        };
        let notes = element.elements().filter(|child| child.is(RPID, "note")).map(Note::from_element);
        Ok(Self {
            audio: first("audio").map(|name| name.as_str().into()),
            video: first("video").map(|name| name.as_str().into()),
            text: first("text").map(|name| name.as_str().into()),
            notes: notes.collect(),
            span: Span::read(element)?,
        })
    }

    pub(super) fn write(&self) -> Element {
        let mut element = self.span.write(Element::new(RPID, "place-is"));
        element = element.with_children(self.notes.iter().map(|note| note.to_element(RPID, "note")));
        let media = [
            ("audio", self.audio.as_ref().map(AudioPlace::as_str)),
            ("video", self.video.as_ref().map(VideoPlace::as_str)),
            ("text", self.text.as_ref().map(TextPlace::as_str)),
        ];
        for (local, value) in media {
            if let Some(value) = value.filter(|value| is_name(value)) {
                element.push(Element::new(RPID, local).with_child(Element::new(RPID, value)));
            }
        }
        element
    }
}

impl StatusIcon {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        Ok(Self { uri: element.text().into_owned(), span: Span::read(element)? })
    }

    pub(super) fn write(&self) -> Element {
        self.span.write(Element::new(RPID, "status-icon")).with_text(&self.uri)
    }
}

impl TimeOffset {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let description = element.attribute("description").map(str::to_owned);
        Ok(Self { minutes: element.content()?, description, span: Span::read(element)? })
    }

    pub(super) fn write(&self) -> Element {
        let element = self.span.write(Element::new(RPID, "time-offset"));
        element.with_some("description", self.description.as_ref()).with_text(&self.minutes)
    }
}

impl UserInput {
    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let text = element.text();
        let idle = match &*text {
            "idle" => true,
            "active" => false,
            other => return Err(element.refuse(Reason::value("user-input", other))),
        };
        let idle_threshold = element.parsed("idle-threshold")?;
        Ok(Self { idle, idle_threshold, last_input: element.timestamp("last-input")? })
    }

    pub(super) fn write(&self) -> Element {
        let element = Element::new(RPID, "user-input");
        let element = element.with_some("idle-threshold", self.idle_threshold.as_ref());
        let element = element.with_some("last-input", self.last_input.as_ref());
        element.with_text(if self.idle { "idle" } else { "active" })
    }
}

/// The namespace of RPID.
pub const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";
/// The namespace of the names of places (RFC 4589).
pub const LOCATION_TYPE: &str = "urn:ietf:params:xml:ns:location-type";
