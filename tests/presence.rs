//! The documents of the event packages: every example of tests/data/presence is read as its INDEX.tsv says, read
//! again as it was written, and refused in bounded time when it is cut, large or hostile.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sipkit::presence::{
    Document, Element, Error, Limits, Reason,
    composing::IsComposing,
    conference::{Change, ConferenceInfo},
    dialog_info::DialogInfo,
    imdn::Imdn,
    mwi::MessageSummary,
    partial::{self, PartialPresence},
    pidf::Presence,
    pres_rules::{Ruleset, SubHandling},
    reg::RegInfo,
    resource_lists::{List, Member, ResourceLists, RlsServices},
    rlmi::ResourceList,
    winfo::WatcherInfo,
    xcap_diff::{self, XcapDiff},
};

struct Example {
    file: String,
    kind: String,
    valid: bool,
    facts: String,
    body: Vec<u8>,
}

fn examples() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/presence");
    let index = fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let rows = index.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, _, kind, verdict, facts] = fields[..] else { panic!("{line}") };
        Example {
            file: file.to_owned(),
            kind: kind.to_owned(),
            valid: verdict == "valid",
            facts: facts.to_owned(),
            body: fs::read(folder.join(file)).unwrap(),
        }
    });
    rows.collect()
}

#[test]
fn every_example_is_in_the_index() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/presence");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_example = |path: &PathBuf| path.extension().is_some_and(|end| end == "xml" || end == "txt");
    assert_eq!(files.filter(is_example).count(), examples().len());
}

#[test]
fn examples_say_what_the_index_says() {
    for Example { file, kind, valid, facts, body } in examples() {
        match facts_of(&kind, &body) {
            Ok(found) => {
                assert!(valid, "{file} is read: {found}");
                assert_eq!(found, facts, "{file}");
            }
            Err(error) => {
                assert!(!valid, "{file}: {error}");
                assert!(error.line > 0 && error.column > 0 && !error.reason.to_string().is_empty());
                // The place that the other parser gives, where it gives one.
                if let Some((_, line)) = facts.split_once("line ") {
                    let line = line.split(',').next().unwrap();
                    if line != "1" {
                        assert_eq!(error.line.to_string(), line, "{file}: {error}");
                    }
                } else if facts != "-" {
                    assert!(error.to_string().contains(&facts), "{file}: {error}");
                }
            }
        }
    }
}

/// What the index tells of a document, and that it reads the same after it was written.
fn facts_of(kind: &str, body: &[u8]) -> Result<String, Error> {
    Ok(match kind {
        "presence" => presence(&again(body)?),
        "watcherinfo" => watchers(&again(body)?),
        "rlmi" => resources(&again(body)?),
        "dialog-info" => dialogs(&again(body)?),
        "reginfo" => registrations(&again(body)?),
        "iscomposing" => composing(&again(body)?),
        "imdn" => notification(&again(body)?),
        "pidf-full" | "pidf-diff" => partial(&again(body)?),
        "xcap-diff" => changes(&again(body)?),
        "resource-lists" => lists(&again(body)?),
        "rls-services" => services(&again(body)?),
        "ruleset" => rules(&again(body)?),
        "conference-info" => conference(&again(body)?),
        "mwi" => summary(&again(body)?),
        _ => {
            let root = Element::read(body, &Limits::default())?;
            assert_eq!(Element::read(root.write().as_bytes(), &Limits::default()).as_ref(), Ok(&root));
            format!("elements={} root={}", count(&root), root.name)
        }
    })
}

fn again<D: Document + PartialEq + std::fmt::Debug>(body: &[u8]) -> Result<D, Error> {
    let document = D::read(body)?;
    let written = document.write();
    assert_eq!(D::read(written.as_bytes()).as_ref(), Ok(&document), "{written}");
    Ok(document)
}

fn count(element: &Element) -> usize {
    1 + element.elements().map(count).sum::<usize>()
}

fn list<T>(items: &[T], tell: impl Fn(&T) -> String) -> String {
    joined(items.iter().map(tell), ",")
}

fn joined(items: impl Iterator<Item = String>, between: &str) -> String {
    let all: Vec<String> = items.collect();
    if all.is_empty() { "-".to_owned() } else { all.join(between) }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn state(full: bool) -> &'static str {
    if full { "full" } else { "partial" }
}

fn presence(presence: &Presence) -> String {
    let tuples = list(&presence.tuples, |tuple| {
        let basic = tuple.basic.map_or("-", sipkit::presence::pidf::Basic::as_str);
        let contact = tuple.contact.as_ref().map_or("-", |contact| or_dash(&contact.uri));
        format!("{}/{basic}/{contact}", tuple.id)
    });
    let activities = presence.persons.iter().flat_map(|person| &person.activities);
    let activities = activities.flat_map(|activities| &activities.values);
    format!(
        "entity={} tuples={tuples} persons={} devices={} notes={} activities={}",
        or_dash(&presence.entity),
        presence.persons.len(),
        presence.devices.len(),
        presence.notes.len(),
        joined(activities.map(ToString::to_string), ","),
    )
}

fn partial(document: &PartialPresence) -> String {
    let version = document.version.map_or("-".to_owned(), |version| version.to_string());
    match &document.content {
        partial::Content::Full(full) => format!("version={version} {}", presence(full)),
        partial::Content::Diff { patches, .. } => {
            let patches = list(patches, |patch| format!("{} {}", patch.operation(), patch.selector().text()));
            format!("version={version} ops={patches}")
        }
    }
}

fn changes(document: &XcapDiff) -> String {
    let changes = list(&document.changes, |change| {
        let (kind, inside) = match change {
            xcap_diff::Change::Document { content: xcap_diff::Content::Patches(all), .. } => {
                ("document", all.len())
            }
            xcap_diff::Change::Document { .. } => ("document", 0),
            xcap_diff::Change::Element { element, .. } => ("element", usize::from(element.is_some())),
            xcap_diff::Change::Attribute { .. } => ("attribute", 0),
        };
        format!("{kind} {} {inside}", change.selector())
    });
    format!("root={} changes={changes}", document.xcap_root)
}

fn lists(document: &ResourceLists) -> String {
    let mut counts = [0; 4];
    let mut open: Vec<&List> = document.lists.iter().collect();
    while let Some(list) = open.pop() {
        counts[0] += 1;
        for member in &list.members {
            match member {
                Member::List(inner) => open.push(inner),
                Member::Entry(_) => counts[1] += 1,
                Member::External { .. } => counts[2] += 1,
                Member::EntryRef { .. } => counts[3] += 1,
            }
        }
    }
    assert_eq!(document.entries().count(), counts[1]);
    let [lists, entries, external, refs] = counts;
    format!("lists={lists} entries={entries} external={external} refs={refs}")
}

fn services(document: &RlsServices) -> String {
    list(&document.services, |service| format!("{}:{}", service.uri, service.packages.join("+")))
}

fn rules(document: &Ruleset) -> String {
    list(&document.rules, |rule| {
        let handling = rule.permissions.sub_handling.map_or("-", SubHandling::as_str);
        format!("{}/{handling}", rule.id)
    })
}

fn watchers(info: &WatcherInfo) -> String {
    let all = info.lists.iter().flat_map(|list| &list.watchers);
    let all =
        all.map(|watcher| format!("{}:{}:{}:{}", watcher.uri, watcher.id, watcher.status, watcher.event));
    format!("version={} state={} watchers={}", info.version, state(info.full), joined(all, ","))
}

fn resources(root: &ResourceList) -> String {
    let resources = list(&root.resources, |resource| {
        let instances = resource.instances.iter().map(|instance| {
            format!("{}/{}/{}", instance.id, instance.state, instance.cid.as_deref().unwrap_or("-"))
        });
        format!("{}:{}", resource.uri, joined(instances, "+"))
    });
    let (version, full, names) = (root.version, root.full, root.names.len());
    format!("uri={} version={version} full={full} names={names} resources={resources}", root.uri)
}

fn dialogs(info: &DialogInfo) -> String {
    let dialogs = list(&info.dialogs, |dialog| {
        let direction = dialog.direction.as_ref().map_or("-", |direction| direction.as_str());
        format!("{}/{}/{direction}", dialog.id, dialog.state)
    });
    let (version, state, entity) = (info.version, state(info.full), or_dash(&info.entity));
    format!("version={version} state={state} entity={entity} dialogs={dialogs}")
}

fn registrations(info: &RegInfo) -> String {
    let registrations = list(&info.registrations, |registration| {
        let contacts = registration.contacts.iter();
        let contacts = contacts.map(|contact| format!("{}/{}/{}", contact.id, contact.state, contact.uri));
        format!("{}:{}", registration.aor, joined(contacts, "+"))
    });
    format!("version={} state={} registrations={registrations}", info.version, state(info.full))
}

fn conference(info: &ConferenceInfo) -> String {
    let users = info.users().map(|user| {
        let endpoints = user.endpoints.iter().map(|endpoint| {
            let status = endpoint.status.as_ref().map_or("-", |status| status.as_str());
            format!("{}/{status}/{}", endpoint.entity, endpoint.media.len())
        });
        format!("{}:{}", user.entity, joined(endpoints, "+"))
    });
    let count = info.conference_state.as_ref().and_then(|state| state.user_count);
    format!(
        "entity={} version={} state={} count={} users={}",
        info.entity,
        info.version.unwrap_or_default(),
        if info.state == Change::Full { "full" } else { "partial" },
        count.unwrap_or_default(),
        joined(users, ","),
    )
}

fn composing(document: &IsComposing) -> String {
    let last = document.last_active.map_or("-".to_owned(), |last| last.to_string());
    let content_type = document.content_type.as_deref().unwrap_or("-");
    format!("state={} last={last} type={content_type}", document.state)
}

fn notification(imdn: &Imdn) -> String {
    format!("id={} at={} status={}", imdn.message_id, imdn.datetime, imdn.status)
}

fn summary(summary: &MessageSummary) -> String {
    let counts = list(&summary.counts, |count| {
        let urgent = count.urgent.map_or(String::new(), |(new, old)| format!(" ({new}/{old})"));
        format!("{} {}/{}{urgent}", count.class, count.new, count.old)
    });
    format!(
        "waiting={} account={} counts={counts} messages={}",
        if summary.waiting { "yes" } else { "no" },
        summary.account.as_deref().unwrap_or("-"),
        summary.messages.len(),
    )
}

/// A document that ends too early is no document; a cut in the white space after it does no harm.
#[test]
fn documents_cut_at_every_octet_are_refused() {
    for Example { file, kind, valid, body, .. } in examples() {
        let end = body.iter().rposition(|&byte| byte == b'>').unwrap_or(body.len());
        for cut in 0..body.len() {
            let read = facts_of(&kind, &body[..cut]);
            if kind == "mwi" || cut > end {
                assert!(valid || read.is_err() || kind == "mwi", "{file} at {cut}");
            } else {
                assert!(read.is_err(), "{file} at {cut}");
            }
        }
    }
}

#[test]
fn hostile_documents_are_refused_at_once() {
    let bomb = {
        let mut text = String::from("<!DOCTYPE a [<!ENTITY l0 \"lol\">");
        for level in 1..30 {
            let before = level - 1;
            text += &format!("<!ENTITY l{level} \"{}\">", format!("&l{before};").repeat(10));
        }
        text + "]><presence xmlns='urn:ietf:params:xml:ns:pidf'>&l29;</presence>"
    };
    let deep = "<a>".repeat(100_000);
    let closed = format!("{deep}{}", "</a>".repeat(100_000));
    let large =
        format!("<presence xmlns='urn:ietf:params:xml:ns:pidf'>{}</presence>", "<a/>".repeat(2_600_000));
    let attributes = (0..60_000).map(|number| format!(" a{number}=''")).collect::<String>();
    let namespaces = (0..40_000).map(|number| format!(" xmlns:a{number}='u'")).collect::<String>();
    let hidden = format!("<a{}/>", " xmlns:p='u'".repeat(80_000));
    let references = format!("<a>{}</a>", "&lt;".repeat(260_000));
    let texts = format!("<a>{}</a>", "x<!---->".repeat(120_000));
    let declared = format!("<a>{}</a>", "<b xmlns='urn:u'/>".repeat(50_000));
    for (document, reason) in [
        (bomb, "a document type declaration is refused"),
        (
            "<!DOCTYPE a SYSTEM \"http://192.0.2.1/\"><a/>".to_owned(),
            "a document type declaration is refused",
        ),
        (deep, "more than 64 elements inside each other"),
        (closed, "more than 64 elements inside each other"),
        (large, "octets, 1048576 are allowed"),
        (format!("<a{attributes}/>"), "more than 64 attributes"),
        (format!("<a{namespaces}/>"), "more than 64 "),
        (hidden, ""),
        (references, "the document is <a>"),
        (texts, "the document is <a>"),
        (declared, "the document is <a>"),
        (format!("<a b='{}", "<".repeat(900_000)), ""),
        (format!("<a>{}", "&a".repeat(400_000)), ""),
        (format!("<a>{}", "<!-".repeat(300_000)), ""),
        (format!("<a>{}", "<![CDATA[".repeat(100_000)), ""),
        ("<!DOCTYPE [".repeat(90_000), ""),
    ] {
        let start = Instant::now();
        let error = Presence::read(document.as_bytes()).unwrap_err();
        let took = start.elapsed();
        let begin: String = document.chars().take(40).collect();
        assert!(error.to_string().contains(reason), "{begin}: {error}");
        assert!(took < Duration::from_secs(2), "{begin}: {took:?}");
    }
    let summary = format!("Messages-Waiting: yes\n{}", "a:1/1\n".repeat(150_000));
    assert!(matches!(
        MessageSummary::read(summary.as_bytes()).unwrap_err().reason,
        Reason::TooMany { what: "lines", .. }
    ));
}

#[test]
fn other_encodings_are_refused_with_a_reason() {
    let text = "<?xml version='1.0'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'/>";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked: Vec<u8> =
        [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let latin = text.replace("?>", " encoding='iso-8859-1'?>").into_bytes();
    for body in [utf16, marked, latin] {
        let error = Presence::read(&body).unwrap_err();
        assert!(matches!(error.reason, Reason::Encoding(_)), "{error}");
    }
    let mark = format!("\u{FEFF}{text}");
    assert_eq!(Presence::read(mark.as_bytes()).unwrap().entity, "sip:a@b");
    let error = Presence::read(b"<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='\xFC'/>").unwrap_err();
    assert_eq!((error.line, error.column, error.reason), (1, 55, Reason::NotUtf8));
}
