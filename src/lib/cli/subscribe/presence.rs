//! `sip-subscribe-presence`: its flags, its manual, and what presence (RFC 3856) looks like. Documents that tell only
//! what changed (RFC 5263) are applied.

use clap::Parser;
use serde_json::{Value, json};

use super::{
    Content, EXPECTATIONS, Facts, Flags, Keys, Refused, Spec, View, Watched, Wish,
    json::{joined, notes, said, time},
    run,
    view::{Column, Table, column},
};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
    },
    presence::{
        Applied, Document, Note, Timestamp,
        partial::{PartialPresence, PartialState},
        pidf::{Device, Person, Presence, Tuple},
        rpid::{Described, Place, PlaceIs, UserInput},
    },
    ua::package,
};

/// Watch somebody's presence
///
/// Subscribes to the presence of TARGET (RFC 3856) and shows it as a card: whether it can be reached, what it does and
/// where, and by which services. What changes is marked. --expect waits for something, for scripts.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-presence", version, max_term_width = 100)]
pub struct Args {
    /// Whom to watch, such as sip:bob@example.com
    #[arg(value_name = "TARGET")]
    pub target: String,

    #[command(flatten)]
    pub flags: Flags,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET", "[OPTIONS] --once TARGET"],
        sections: &[Section { title: "EXPECTATIONS", text: EXPECTATIONS, terms: SPEC.keys.all }],
        examples: &[
            Example { about: "Watch somebody", command: "sip-subscribe-presence sip:bob@127.0.0.1:5070" },
            Example {
                about: "Wait until somebody can be reached, for a minute at most",
                command: "sip-subscribe-presence sip:bob@pbx --expect status=open --timeout 1m",
            },
            Example {
                about: "Look once, and keep the document",
                command: "sip-subscribe-presence --account work --once --raw sip:bob@example.com",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.flags.common
    }

    fn is_timeline(&self) -> bool {
        self.flags.is_timeline()
    }
}

/// Watches.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let wish = Wish { target: Some(args.target), ..Wish::default() };
    run::watch(&SPEC, wish, args.flags, cx).await
}

pub(super) const SPEC: Spec = Spec {
    package: package::PRESENCE,
    types: &[<Presence as Document>::MEDIA_TYPE, <PartialPresence as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("status", "open if any service takes communication, closed if none does."),
            (
                "activity",
                "What the person does: meeting, away, on-the-phone and others of RFC 4480, or text.",
            ),
            ("mood", "How the person feels: happy, sad and others of RFC 4480, or text."),
            ("place", "Where the person is: office, train and others of RFC 4589, or text."),
            ("sphere", "The role the person is in: work, home, or text."),
            ("idle", "yes if nobody used the service, device or person's things lately, else no."),
            ("note", "What is noted for people to read."),
            ("contact", "Where a service is reached."),
            ("services", "How many services there are (a number)."),
            ("open", "How many of them are open (a number)."),
            ("subscription", "The state of the subscription: active, pending or terminated."),
        ],
        numbers: &["services", "open"],
    },
    watched: || Box::new(Watch::default()),
};

/// The presence as it is now, whole or by what changed.
#[derive(Default)]
struct Watch {
    presence: Option<Presence>,
    partial: PartialState,
}

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        if !content.is(<PartialPresence as Document>::MEDIA_TYPE) {
            self.presence = Some(content.document()?);
            return Ok(Applied::Full);
        }
        let document: PartialPresence = content.document()?;
        let (applied, presence) = self.partial.apply(&document)?;
        if presence.is_some() {
            self.presence = presence;
        }
        Ok(applied)
    }

    fn view(&self) -> View {
        self.presence.as_ref().map(view).unwrap_or_default()
    }

    fn document(&self) -> Value {
        self.presence.as_ref().map_or(Value::Null, document)
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if let Some(presence) = &self.presence {
            tell(presence, None, &mut facts);
        }
        facts
    }
}

/// Facts about presence; `of` somebody, where there are several.
pub(super) fn tell(presence: &Presence, of: Option<&str>, facts: &mut Facts) {
    let mut say = |key: &'static str, value: String| match of {
        Some(of) => facts.say_of(of, key, value),
        None => facts.say(key, value),
    };
    if let Some(basic) = presence.basic() {
        say("status", basic.to_string());
    }
    for person in &presence.persons {
        words(&person.activities).for_each(|word| say("activity", word));
        words(&person.mood).for_each(|word| say("mood", word));
        words(&person.sphere).for_each(|word| say("sphere", word));
        for place in person.place_type.iter().flat_map(|places| &places.values) {
            say("place", place_name(place).to_owned());
        }
    }
    all_notes(presence).for_each(|note| say("note", note.text.clone()));
    inputs(presence).for_each(|input| say("idle", if input.idle { "yes" } else { "no" }.to_owned()));
    if of.is_some() {
        return;
    }
    for contact in presence.tuples.iter().filter_map(|tuple| tuple.contact.as_ref()) {
        facts.say("contact", &contact.uri);
    }
    facts.say("services", presence.tuples.len());
    facts.say("open", open(presence));
}

fn open(presence: &Presence) -> usize {
    use crate::presence::pidf::Basic;
    presence.tuples.iter().filter(|tuple| tuple.basic == Some(Basic::Open)).count()
}

fn inputs(presence: &Presence) -> impl Iterator<Item = &UserInput> {
    let persons = presence.persons.iter().filter_map(|person| person.user_input.as_ref());
    let tuples = presence.tuples.iter().filter_map(|tuple| tuple.user_input.as_ref());
    persons.chain(tuples).chain(presence.devices.iter().filter_map(|device| device.user_input.as_ref()))
}

fn all_notes(presence: &Presence) -> impl Iterator<Item = &Note> {
    let persons = presence.persons.iter().flat_map(|person| {
        let activities = person.activities.iter().flat_map(|activities| &activities.notes);
        person.notes.iter().chain(activities).chain(person.mood.iter().flat_map(|mood| &mood.notes))
    });
    let tuples = presence.tuples.iter().flat_map(|tuple| &tuple.notes);
    let devices = presence.devices.iter().flat_map(|device| &device.notes);
    presence.notes.iter().chain(persons).chain(tuples).chain(devices)
}

fn words<T: ToString>(all: &[Described<T>]) -> impl Iterator<Item = String> {
    all.iter().flat_map(|one| &one.values).map(ToString::to_string)
}

fn place_name(place: &Place) -> &str {
    match place {
        Place::Known(name) | Place::Other(name) => name,
    }
}

/// Presence in a few words, for a row of a list: status, and what the person does.
pub(super) fn brief(presence: &Presence) -> (String, String) {
    let status = presence.basic().map(|basic| basic.to_string()).unwrap_or_default();
    let doing =
        presence.persons.iter().flat_map(|person| words(&person.activities).chain(words(&person.mood)));
    let first = all_notes(presence).next().map(|note| format!("“{}”", note.text));
    (status, joined(doing.chain(first), ", "))
}

const SERVICES: &[Column] = &[
    column("service"),
    column("status"),
    column("priority"),
    column("contact"),
    column("note"),
    column("since"),
];
const DEVICES: &[Column] = &[column("device"), column("used"), column("note"), column("since")];

fn view(presence: &Presence) -> View {
    let mut view = View::default();
    view.line("name", presence.contact_information("display-name").unwrap_or_default());
    view.line("status", presence.basic().map_or("unknown", |basic| basic.as_str()));
    for (at, person) in presence.persons.iter().enumerate() {
        // Sources that disagree stand one after the other (RFC 4479 §3.2).
        let label = |name: &str| if at == 0 { name.to_owned() } else { format!("{name} ({})", at + 1) };
        view.line(label("activity"), described(&person.activities, ToString::to_string));
        view.line(label("mood"), described(&person.mood, ToString::to_string));
        view.line(label("place"), described(&person.place_type, |place| place_name(place).to_owned()));
        view.line(label("good for"), joined(person.place_is.iter().map(suits), "; "));
        view.line(label("sphere"), described(&person.sphere, ToString::to_string));
        view.line(label("privacy"), described(&person.privacy, ToString::to_string));
        view.line(label("used"), person.user_input.as_ref().map(used).unwrap_or_default());
        view.line(
            label("time zone"),
            joined(person.time_offset.iter().map(|zone| offset(zone.minutes)), ", "),
        );
        view.line(label("note"), said(&person.notes));
        view.line(label("since"), since(person.timestamp));
    }
    view.line("notes", said(&presence.notes));
    view.line("homepage", presence.contact_information("homepage").unwrap_or_default());
    let mut services = Table::new(SERVICES, "no services");
    for tuple in &presence.tuples {
        let contact = tuple.contact.as_ref();
        let priority =
            contact.and_then(|contact| contact.priority).map(|priority| f64::from(priority) / 1000.0);
        let status = tuple.basic.map(|basic| basic.to_string());
        services.row(
            &tuple.id,
            false,
            [
                tuple.class.clone().unwrap_or_else(|| tuple.id.clone()),
                joined(status.into_iter().chain(tuple.user_input.as_ref().map(used)), ", "),
                priority.map(|priority| priority.to_string()).unwrap_or_default(),
                contact.map(|contact| contact.uri.clone()).unwrap_or_default(),
                said(&tuple.notes),
                since(tuple.timestamp),
            ],
        );
    }
    view.tables.push(services);
    if !presence.devices.is_empty() {
        let mut devices = Table::new(DEVICES, "");
        for device in &presence.devices {
            let name = if device.device_id.is_empty() { &device.id } else { &device.device_id };
            let used = device.user_input.as_ref().map(used).unwrap_or_default();
            devices.row(
                &device.id,
                false,
                [name.clone(), used, said(&device.notes), since(device.timestamp)],
            );
        }
        view.tables.push(devices);
    }
    view
}

/// Values with what was noted to them, and until when they hold.
fn described<T>(all: &[Described<T>], name: impl Fn(&T) -> String) -> String {
    let one = |one: &Described<T>| {
        let mut text = joined(one.values.iter().map(&name), ", ");
        if !one.notes.is_empty() {
            text = joined([text, format!("({})", said(&one.notes))], " ");
        }
        match one.span.until {
            Some(until) if !text.is_empty() => format!("{text} until {until}"),
            _ => text,
        }
    };
    joined(all.iter().map(one), "; ")
}

fn suits(place: &PlaceIs) -> String {
    let part = |name: &str, value: Option<&str>| value.map(|value| format!("{name} {value}"));
    let parts = [
        part("audio", place.audio.as_ref().map(|place| place.as_str())),
        part("video", place.video.as_ref().map(|place| place.as_str())),
        part("text", place.text.as_ref().map(|place| place.as_str())),
    ];
    joined(parts.into_iter().flatten(), ", ")
}

fn used(input: &UserInput) -> String {
    let word = if input.idle { "idle" } else { "active" };
    match input.last_input {
        Some(last) => format!("{word}, last used {last}"),
        None => word.to_owned(),
    }
}

fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("UTC{sign}{:02}:{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60)
}

fn since(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// Presence as data.
pub(super) fn document(presence: &Presence) -> Value {
    json!({
        "entity": presence.entity,
        "status": presence.basic().map(|basic| basic.as_str()),
        "display_name": presence.contact_information("display-name"),
        "notes": notes(&presence.notes),
        "persons": presence.persons.iter().map(person).collect::<Vec<_>>(),
        "services": presence.tuples.iter().map(service).collect::<Vec<_>>(),
        "devices": presence.devices.iter().map(device).collect::<Vec<_>>(),
    })
}

fn person(person: &Person) -> Value {
    let places = person.place_type.iter().flat_map(|places| &places.values);
    let zone = person.time_offset.first().map(|zone| zone.minutes);
    json!({
        "id": person.id,
        "activities": words(&person.activities).collect::<Vec<_>>(),
        "moods": words(&person.mood).collect::<Vec<_>>(),
        "places": places.map(place_name).collect::<Vec<_>>(),
        "spheres": words(&person.sphere).collect::<Vec<_>>(),
        "privacy": words(&person.privacy).collect::<Vec<_>>(),
        "idle": person.user_input.as_ref().map(|input| input.idle),
        "time_offset_minutes": zone,
        "notes": notes(&person.notes),
        "timestamp": time(person.timestamp),
    })
}

fn service(tuple: &Tuple) -> Value {
    let contact = tuple.contact.as_ref();
    let priority = contact.and_then(|contact| contact.priority).map(|priority| f64::from(priority) / 1000.0);
    json!({
        "id": tuple.id,
        "status": tuple.basic.map(|basic| basic.as_str()),
        "contact": contact.map(|contact| &contact.uri),
        "priority": priority,
        "class": tuple.class,
        "devices": tuple.device_ids,
        "idle": tuple.user_input.as_ref().map(|input| input.idle),
        "notes": notes(&tuple.notes),
        "timestamp": time(tuple.timestamp),
    })
}

fn device(device: &Device) -> Value {
    json!({
        "id": device.id,
        "device_id": device.device_id,
        "idle": device.user_input.as_ref().map(|input| input.idle),
        "notes": notes(&device.notes),
        "timestamp": time(device.timestamp),
    })
}
