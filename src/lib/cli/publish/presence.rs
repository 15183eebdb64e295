//! `sip-publish-presence`: its flags, its manual, and presence as it is published (RFC 3863, 4479, 4480).

use std::time::SystemTime;

use clap::Parser;

use super::{Flags, State, flags, run};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
        nearest::nearest,
    },
    presence::{
        Document, Note, Timestamp,
        pidf::{Basic, Contact, Person, Presence, Tuple},
        rpid::{Activity, Mood, Place},
    },
    ua::{call::Body, package},
};

/// Publish presence: whether we can be reached, what we do and feel
///
/// Brings the state to the presence server of ADDRESS in a PUBLISH (RFC 3903), says how long it holds and under which
/// entity-tag, and leaves it so. With --keep it is refreshed until the run ends, and then removed; at a terminal it can be
/// changed meanwhile.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-publish-presence", version, max_term_width = 100)]
pub struct Args {
    /// Whose presence [default: --from or the account's]
    #[arg(value_name = "ADDRESS")]
    pub address: Option<String>,

    #[command(flatten)]
    pub state: Said,
    #[command(flatten)]
    pub file: flags::File,
    #[command(flatten)]
    pub flags: Flags,
}

/// What is said of us.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "State")]
pub struct Said {
    /// open or closed [default: open]
    #[arg(long, value_name = "WORD", value_parser = basic)]
    pub status: Option<Basic>,

    /// What we do, such as meeting or on-the-phone
    ///
    /// Activities of RFC 4480, separated by commas; the manual lists them. Free text after other:.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = activity)]
    pub activity: Vec<Activity>,

    /// How we feel, such as happy
    ///
    /// Moods of RFC 4480, separated by commas; the manual lists them. Free text after other:.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = mood)]
    pub mood: Vec<Mood>,

    /// Where we are, such as office
    ///
    /// Places of RFC 4589, separated by commas. Free text after other:.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = place)]
    #[arg(hide_short_help = true)]
    pub place: Vec<Place>,

    /// A few words for people to read
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,

    /// Where we are reached
    #[arg(long, value_name = "URI")]
    #[arg(hide_short_help = true)]
    pub contact: Option<String>,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] [ADDRESS]"],
        sections: &[
            Section {
                title: "COMMANDS",
                text: "With --keep at a terminal, and with --commands, each line changes the state, and it is published anew:",
                terms: Own::COMMANDS,
            },
            Section {
                title: "WORDS",
                text: "What RFC 4480 has words for; anything else is written after other:, such as --activity other:fishing.",
                terms: &[
                    (
                        "activity",
                        "appointment, away, breakfast, busy, dinner, holiday, in-transit, looking-for-work, lunch, meal, \
                         meeting, on-the-phone, performance, permanent-absence, playing, presentation, shopping, sleeping, \
                         spectator, steering, travel, tv, unknown, vacation, working, worship.",
                    ),
                    (
                        "mood",
                        "afraid, amazed, angry, annoyed, anxious, ashamed, bored, brave, calm, cold, confused, contented, \
                         cranky, curious, depressed, disappointed, disgusted, distracted, embarrassed, excited, \
                         flirtatious, frustrated, grumpy, guilty, happy, hot, humbled, humiliated, hungry, hurt, impressed, \
                         in_awe, in_love, indignant, interested, invincible, jealous, lonely, mean, moody, nervous, \
                         neutral, offended, playful, proud, relieved, remorseful, restless, sad, sarcastic, serious, \
                         shocked, shy, sick, sleepy, stressed, surprised, thirsty, unknown, worried.",
                    ),
                ],
            },
        ],
        examples: &[
            Example {
                about: "Say at a server on this machine that alice is in a meeting",
                command: "sip-publish-presence sip:alice@127.0.0.1:5070 --activity meeting",
            },
            Example {
                about: "Be there for an account until Ctrl-C",
                command: "sip-publish-presence --account work --keep",
            },
            Example {
                about: "Go on with what was published, and then take it away",
                command: "sip-publish-presence --account work --remove --etag 1.0a2b3c4d5e6f7788",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.flags.common
    }
}

/// Publishes it.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let state = Own::new(&args.state, args.file.read(&args.flags.publication)?)?;
    run::publish(package::PRESENCE, args.address.as_deref(), state, args.flags, cx).await
}

fn basic(text: &str) -> Result<Basic, String> {
    match text.to_ascii_lowercase().as_str() {
        "open" => Ok(Basic::Open),
        "closed" => Ok(Basic::Closed),
        _ => Err("say open or closed".into()),
    }
}

fn activity(text: &str) -> Result<Activity, String> {
    word(text, Activity::KNOWN, Activity::Other)
}

fn mood(text: &str) -> Result<Mood, String> {
    word(text, Mood::KNOWN, Mood::Other)
}

/// One of the known words, or free text after `other:`.
fn word<T: Clone + ToString>(text: &str, known: &[T], other: fn(String) -> T) -> Result<T, String> {
    let text = text.trim();
    if let Some(free) = text.strip_prefix("other:").map(str::trim).filter(|free| !free.is_empty()) {
        return Ok(other(free.to_owned()));
    }
    let names: Vec<_> = known.iter().map(ToString::to_string).collect();
    let found = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    found.and_then(|at| known.get(at)).cloned().ok_or_else(|| {
        match nearest(text, names.iter().map(String::as_str)) {
            Some(near) => format!("`{text}` is none; did you mean {near}? other:{text} is free text"),
            None => format!("`{text}` is none; known are {}, and other:TEXT", names.join(", ")),
        }
    })
}

fn place(text: &str) -> Result<Place, String> {
    match text.trim().split_once(':') {
        Some(("other", free)) if !free.trim().is_empty() => Ok(Place::Other(free.trim().to_owned())),
        None if !text.trim().is_empty()
            && text.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            Ok(Place::Known(text.trim().to_ascii_lowercase()))
        }
        _ => Err("say a place such as office, or other:TEXT".into()),
    }
}

/// The presence that is published.
struct Own {
    presence: Presence,
    /// The document as it was read, until it is changed.
    as_read: Option<Vec<u8>>,
    /// Names our service and our person: the same from run to run on this machine.
    id: String,
}

impl Own {
    fn new(said: &Said, file: Option<(String, Vec<u8>)>) -> Result<Self, Failure> {
        let (id, is_of_flags) = (machine(), file.is_none());
        let mut own = match file {
            None => Self { presence: Presence::default(), as_read: None, id },
            Some((name, content)) => {
                let presence =
                    Presence::read(&content).map_err(|why| Failure::usage(format_args!("{name}: {why}")))?;
                Self { presence, as_read: Some(content), id }
            }
        };
        if is_of_flags || said.status.is_some() {
            own.set_status(said.status.unwrap_or(Basic::Open));
        }
        if !said.activity.is_empty() {
            own.set_activities(said.activity.clone());
        }
        if !said.mood.is_empty() {
            own.set_mood(said.mood.clone());
        }
        if !said.place.is_empty() {
            own.set_place(said.place.clone());
        }
        if let Some(note) = &said.note {
            own.set_note(note);
        }
        if let Some(uri) = &said.contact {
            own.tuple().contact = Some(Contact { uri: uri.clone(), priority: None });
        }
        Ok(own)
    }

    fn tuple(&mut self) -> &mut Tuple {
        self.as_read = None;
        let tuples = &mut self.presence.tuples;
        if tuples.is_empty() {
            tuples.push(Tuple { id: format!("t{}", self.id), ..Tuple::default() });
        }
        let tuple = &mut tuples[0];
        tuple.timestamp = Timestamp::from_system(SystemTime::now());
        tuple
    }

    fn person(&mut self) -> &mut Person {
        self.as_read = None;
        let persons = &mut self.presence.persons;
        if persons.is_empty() {
            persons.push(Person { id: format!("p{}", self.id), ..Person::default() });
        }
        let person = &mut persons[0];
        person.timestamp = Timestamp::from_system(SystemTime::now());
        person
    }

    fn set_status(&mut self, status: Basic) {
        self.tuple().basic = Some(status);
    }

    fn set_activities(&mut self, activities: Vec<Activity>) {
        self.person().activities = if activities.is_empty() { Vec::new() } else { vec![activities.into()] };
    }

    fn set_mood(&mut self, mood: Vec<Mood>) {
        self.person().mood = if mood.is_empty() { Vec::new() } else { vec![mood.into()] };
    }

    fn set_place(&mut self, place: Vec<Place>) {
        self.person().place_type = if place.is_empty() { Vec::new() } else { vec![place.into()] };
    }

    fn set_note(&mut self, note: &str) {
        self.as_read = None;
        self.presence.notes = if note.is_empty() { Vec::new() } else { vec![Note::new(note)] };
    }
}

impl State for Own {
    const COMMANDS: &'static [(&'static str, &'static str)] = &COMMANDS;
    const EXAMPLE: &'static str = "mood happy";

    fn body(&self, entity: &str) -> Body {
        let bytes = match &self.as_read {
            Some(content) => content.clone().into(),
            None if self.presence.entity.is_empty() => {
                Presence { entity: entity.to_owned(), ..self.presence.clone() }.write().into()
            }
            None => self.presence.write().into(),
        };
        Body { kind: Presence::MEDIA_TYPE.into(), bytes }
    }

    fn describe(&self) -> String {
        let mut all: Vec<String> = self.presence.basic().iter().map(ToString::to_string).collect();
        for person in &self.presence.persons {
            all.extend(person.activities.iter().flat_map(|a| &a.values).map(ToString::to_string));
            all.extend(person.mood.iter().flat_map(|a| &a.values).map(ToString::to_string));
            all.extend(person.place_type.iter().flat_map(|a| &a.values).map(|place| match place {
                Place::Known(name) | Place::Other(name) => name.clone(),
            }));
        }
        all.extend(self.presence.notes.iter().map(|note| format!("“{}”", note.text)));
        all.join(", ")
    }

    fn take(&mut self, name: &str, rest: &str) -> Result<(), Option<String>> {
        match name {
            "status" => self.set_status(basic(rest)?),
            // In short, as a word of its own.
            "open" | "closed" => self.set_status(basic(name)?),
            "activity" => {
                let now = self.presence.persons.first().and_then(|person| person.activities.first());
                self.set_activities(amended(now.map(|now| &now.values), rest, activity)?);
            }
            "mood" => {
                let now = self.presence.persons.first().and_then(|person| person.mood.first());
                self.set_mood(amended(now.map(|now| &now.values), rest, mood)?);
            }
            "place" => {
                let now = self.presence.persons.first().and_then(|person| person.place_type.first());
                self.set_place(amended(now.map(|now| &now.values), rest, place)?);
            }
            "note" => self.set_note(if rest == "none" { "" } else { rest }),
            _ => return Err(None),
        }
        Ok(())
    }

    fn change(&mut self, random: u64) {
        let pick =
            |from: usize, shift: u32| usize::try_from(random >> shift).unwrap_or_default() % from.max(1);
        // Mostly there.
        self.set_status(if random.is_multiple_of(5) { Basic::Closed } else { Basic::Open });
        self.set_activities(
            Activity::KNOWN.get(pick(Activity::KNOWN.len(), 8)).cloned().into_iter().collect(),
        );
        self.set_mood(Mood::KNOWN.get(pick(Mood::KNOWN.len(), 16)).cloned().into_iter().collect());
    }
}

/// The words of a list after a change: others, none, or one more (`+`) and one less (`-`).
fn amended<T: Clone + PartialEq>(
    now: Option<&Vec<T>>,
    text: &str,
    one: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    if matches!(text, "" | "none") {
        return Ok(Vec::new());
    }
    let is_amended = |word: &str| word.trim().starts_with(['+', '-']);
    let mut all = now.cloned().filter(|_| text.split(',').all(is_amended)).unwrap_or_default();
    for word in text.split(',').map(str::trim) {
        let word_itself = one(word.strip_prefix(['+', '-']).unwrap_or(word))?;
        all.retain(|known| *known != word_itself);
        if !word.starts_with('-') {
            all.push(word_itself);
        }
    }
    Ok(all)
}

/// What can be typed.
const COMMANDS: [(&str, &str); 9] = [
    ("status open|closed", "Whether we can be reached."),
    ("activity NAME,...", "What we do; +NAME adds, -NAME takes away, or none."),
    ("mood NAME,...", "How we feel, likewise."),
    ("place NAME,...", "Where we are, likewise."),
    ("note TEXT", "A few words, or none."),
    ("random", "Something else, as --auto does."),
    ("show", "Prints the document."),
    ("refresh", "Refreshes it now."),
    ("quit", "Removes it and ends, as Ctrl-C and Ctrl-D do."),
];

/// A few hex digits for this machine and login.
fn machine() -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let text = format!("{} {}", machine.trim(), crate::cli::place::login_name());
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(flags: &str) -> Own {
        let args = Args::try_parse_from(format!("test {flags}").split_whitespace()).expect("known flags");
        let file = args.file.read(&args.flags.publication).expect("readable");
        Own::new(&args.state, file).expect("a document")
    }

    fn published(own: &Own) -> Presence {
        Presence::read(&own.body("sip:a@h").bytes).expect("a document")
    }

    #[test]
    fn flags_make_a_document() {
        let presence = published(&own(""));
        assert_eq!((presence.basic(), presence.persons.len()), (Some(Basic::Open), 0));
        assert!(presence.tuples[0].timestamp.is_some());
        let own = own(
            "--status closed --activity on-the-phone,other:fishing --mood Happy --place office --note hi",
        );
        let presence = published(&own);
        assert_eq!((presence.entity.as_str(), presence.basic()), ("sip:a@h", Some(Basic::Closed)));
        let person = &presence.persons[0];
        assert_eq!(person.activities[0].values, [Activity::OnThePhone, Activity::Other("fishing".into())]);
        assert_eq!(person.mood[0].values, [Mood::Happy]);
        assert_eq!(person.place_type[0].values, [Place::Known("office".into())]);
        assert_eq!(own.describe(), "closed, on-the-phone, fishing, happy, office, “hi”");
        let wrong = Args::try_parse_from(["test", "--mood", "hapy"]).unwrap_err().to_string();
        assert!(wrong.contains("did you mean happy?"), "{wrong}");
    }

    #[test]
    fn lines_change_it() {
        let mut own = own("--note hi");
        for line in ["closed", "activity busy, away", "mood happy", "note none", "place other:under a tree"] {
            let (word, rest) = crate::cli::typed::words(line);
            own.take(&word, rest).expect(line);
        }
        assert_eq!(own.describe(), "closed, busy, away, happy, under a tree");
        own.take("activity", "none").unwrap();
        own.take("status", "open").unwrap();
        assert_eq!(own.describe(), "open, happy, under a tree");
        own.take("mood", "+sad, -happy, +calm").unwrap();
        assert_eq!(own.describe(), "open, sad, calm, under a tree");
        assert_eq!(own.take("moood", ""), Err(None));
        assert!(own.take("mood", "hapy").is_err_and(|why| why.is_some_and(|why| why.contains("happy"))));
        let before = own.describe();
        own.change(0x1234_5678_9abc_def1);
        assert_ne!(own.describe(), before);
        published(&own);
    }

    #[test]
    fn a_document_is_published_as_it_is_until_it_is_changed() {
        let path = std::env::temp_dir().join(format!("sipkit-pidf-{}.xml", std::process::id()));
        let text = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:x@y'><!-- mine --><tuple id='1'>\
                    <status><basic>open</basic></status></tuple></presence>";
        std::fs::write(&path, text).unwrap();
        let mut own = own(&format!("--file {}", path.display()));
        assert_eq!(own.body("sip:a@h").bytes, text);
        own.take("closed", "").unwrap();
        assert_eq!(
            (published(&own).entity.as_str(), published(&own).basic()),
            ("sip:x@y", Some(Basic::Closed))
        );
        let broken = Some(("x.xml".to_owned(), b"<presence>".to_vec()));
        let wrong = Own::new(&Said::default(), broken).map(drop).unwrap_err().to_string();
        assert!(wrong.contains("x.xml: line 1"), "{wrong}");
        let both = Args::try_parse_from(["test", "--file", "-", "--commands"]).unwrap();
        assert!(both.file.read(&both.flags.publication).is_err(), "both read standard input");
        std::fs::remove_file(path).unwrap();
    }
}
