//! What each program makes of documents, one after the other: the human view beside `tests/data/views`, the data beside
//! the schema, and the facts beside the keys. `UPDATE=1` writes the views anew.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    Content, Spec, Watched, conference, dialog, mwi, presence, reg, rls, view::View, winfo, xcap_diff,
};
use crate::{
    cli::EVENT_SCHEMA,
    message::{Limits, Message},
};

/// A document: a file of `tests/data/presence`, or what stands here.
enum Step {
    File(&'static str),
    Body(&'static str),
    /// A multipart/related of documents with their Content-IDs; the first is the root.
    List(&'static [(&'static str, &'static str, &'static str)]),
}
use Step::{Body, File, List};

const PIDF: &str = "application/pidf+xml";
const PIDF_DIFF: &str = "application/pidf-diff+xml";
const DIALOG: &str = "application/dialog-info+xml";
const RLMI: &str = "application/rlmi+xml";

const TABLE: &[(&str, &Spec, &str, &[Step])] = &[
    (
        "presence-rich",
        &presence::SPEC,
        PIDF,
        &[File("rfc4480-4-01-presence.xml"), File("rfc4479-7.1-01-presence.xml")],
    ),
    (
        "presence-status",
        &presence::SPEC,
        PIDF,
        &[
            Body(
                "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@example.com'><tuple id='a'><status>\
                  <basic>open</basic></status><contact priority='0.5'>sip:bob@192.0.2.1</contact></tuple></presence>",
            ),
            Body(
                "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@example.com'><tuple id='a'><status>\
                  <basic>closed</basic></status></tuple><note>\x7f\u{202e}gone</note></presence>",
            ),
            Body("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@example.com'/>"),
            Body(
                "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@example.com'>\n<tuple/></presence>",
            ),
        ],
    ),
    (
        "presence-partial",
        &presence::SPEC,
        PIDF_DIFF,
        &[
            File("rfc5263-5-02-p_pidf-diff.xml"),
            File("rfc5262-6-01-p_pidf-full.xml"),
            File("rfc5262-6-03-p_pidf-full.xml"),
        ],
    ),
    (
        "mwi",
        &mwi::SPEC,
        "application/simple-message-summary",
        &[File("mwi-full.txt"), File("mwi-headers.txt"), File("mwi-no.txt"), File("mwi-bad-counts.txt")],
    ),
    (
        "winfo",
        &winfo::SPEC,
        "application/watcherinfo+xml",
        &[
            File("rfc3858-5-01-watcherinfo.xml"),
            Body(
                "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='1' state='partial'><watcher-list \
                  resource='sip:professor@example.net' package='presence'><watcher id='77ajsyy76' event='approved' \
                  status='active'>sip:A@example.net</watcher><watcher id='x' event='subscribe' status='pending' \
                  display-name='Carol'>sip:carol@example.net</watcher></watcher-list></watcherinfo>",
            ),
            Body(
                "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='2' state='partial'><watcher-list \
                  resource='sip:professor@example.net' package='presence'><watcher id='77ajsyy76' event='timeout' \
                  status='terminated'>sip:A@example.net</watcher></watcher-list></watcherinfo>",
            ),
            Body("<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='7' state='partial'/>"),
            Body("<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='8' state='full'/>"),
        ],
    ),
    (
        "dialog",
        &dialog::SPEC,
        DIALOG,
        &[
            File("rfc4235-6.1-01-dialog-info.xml"),
            File("rfc4235-6.1-02-dialog-info.xml"),
            File("rfc4235-6.1-03-dialog-info.xml"),
            File("rfc4235-6.1-04-dialog-info.xml"),
            File("rfc4235-6.1-05-dialog-info.xml"),
            Body(
                "<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='9' state='full' entity='sip:a@b'/>",
            ),
        ],
    ),
    (
        "conference",
        &conference::SPEC,
        "application/conference-info+xml",
        &[File("rfc4575-7.1-01-conference-info.xml"), File("rfc4575-7.2-01-conference-info.xml")],
    ),
    (
        "reg",
        &reg::SPEC,
        "application/reginfo+xml",
        &[
            File("rfc3680-6-01-reginfo.xml"),
            File("rfc3680-6-02-reginfo.xml"),
            File("rfc5628-8.2-01-reginfo.xml"),
        ],
    ),
    (
        "xcap-diff",
        &xcap_diff::SPEC,
        "application/xcap-diff+xml",
        &[
            File("rfc5875-5-01-d_xcap-diff.xml"),
            File("rfc5874-A.1-01-xcap-diff.xml"),
            File("rfc5875-A.4-01-d_xcap-diff.xml"),
            File("rfc5874-A.3-01-d_xcap-diff.xml"),
        ],
    ),
    (
        "rls",
        &rls::SPEC,
        "",
        &[
            List(&[
                ("root@x", RLMI, "rfc4662-5.1-01-list.xml"),
                ("12345.aaa@vancouver.example.com", PIDF, "rfc4662-6-02-presence.xml"),
                ("12345.aab@vancouver.example.com", PIDF, "mwi-no.txt"),
            ]),
            List(&[
                ("root@x", RLMI, "rfc4662-6-04-list.xml"),
                ("mrEakg@stockholm.example.org", PIDF, "rfc4662-6-05-presence.xml"),
                ("KKMDmv@stockholm.example.org", DIALOG, "rfc4235-6.1-05-dialog-info.xml"),
            ]),
            List(&[("x@y", PIDF, "rfc4662-6-02-presence.xml")]),
        ],
    ),
];

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/presence").join(name)).expect(name)
}

/// A NOTIFY with such a body.
fn notify(kind: &str, body: &[u8]) -> Message {
    let mut text =
        format!("NOTIFY sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut bytes = std::mem::take(&mut text).into_bytes();
    bytes.extend_from_slice(body);
    Message::parse(bytes.into(), &Limits::default()).expect("a message")
}

/// The multipart body that such parts make.
fn related(parts: &[(&str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (id, kind, bytes) in parts {
        let head = format!("--b\r\nContent-ID: <{id}>\r\nContent-Type: {kind}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

fn message(kind: &str, step: &Step) -> (String, Message) {
    match step {
        File(name) => ((*name).to_owned(), notify(kind, &file(name))),
        Body(text) => ("-".to_owned(), notify(kind, text.as_bytes())),
        List(parts) => {
            let names: Vec<_> = parts.iter().map(|(.., name)| *name).collect();
            let parts: Vec<_> = parts.iter().map(|(id, kind, name)| (*id, *kind, file(name))).collect();
            let kind = format!("multipart/related;type=\"{RLMI}\";start=\"<root@x>\";boundary=b");
            (names.join(" "), notify(&kind, &related(&parts)))
        }
    }
}

/// Takes a message in as the programs do, and tells it.
fn tell(watched: &mut dyn Watched, before: &mut Option<View>, message: &Message) -> String {
    match watched.take(&Content::of(message)) {
        Err(refused) => {
            let place = refused.place().map(|(line, column)| format!("line {line}, column {column}: "));
            format!("refused: {}{}\n", place.unwrap_or_default(), refused.reason())
        }
        Ok(applied) => {
            let view = watched.view();
            let text = format!("{applied:?}\n{}", view.render(before.as_ref(), false));
            watched.settle();
            *before = Some(watched.view());
            text
        }
    }
}

/// The document as the schema has it.
fn check(schema: &jsonschema::Validator, name: &str, document: &Value) {
    let errors: Vec<_> = schema.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{document:#}");
}

fn documents() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(EVENT_SCHEMA).expect("JSON");
    let document = json!({ "$ref": "#/$defs/document", "$defs": schema["$defs"] });
    jsonschema::validator_for(&document).expect("a schema")
}

#[test]
fn views_data_and_facts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/views");
    let update = std::env::var_os("UPDATE").is_some_and(|update| update == "1");
    let schema = documents();
    let mut stale = Vec::new();
    for (name, spec, kind, steps) in TABLE {
        let mut watched = (spec.watched)();
        let mut before = None;
        let mut shown = String::new();
        assert!(watched.facts().0.is_empty(), "{name}: nothing is known before the first document");
        for step in *steps {
            let (title, message) = message(kind, step);
            shown += &format!("== {title}: {}", tell(&mut *watched, &mut before, &message));
            check(&schema, name, &watched.document());
            for fact in watched.facts().0 {
                assert!(
                    spec.keys.all.iter().any(|(key, _)| *key == fact.key),
                    "{name}: {} is no key",
                    fact.key
                );
                if spec.keys.numbers.contains(&fact.key) {
                    assert!(fact.value.parse::<u64>().is_ok(), "{name}: {} is {}", fact.key, fact.value);
                }
            }
        }
        let path = folder.join(format!("{name}.txt"));
        if update {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&path, &shown).expect("written");
        }
        if fs::read_to_string(&path).unwrap_or_default() != shown {
            stale.push(format!("{}:\n{shown}", path.display()));
        }
    }
    assert!(stale.is_empty(), "UPDATE=1 writes these anew:\n{}", stale.join("\n"));
}

#[test]
fn keys_are_listed_once_and_numbers_are_among_them() {
    for (name, spec, ..) in TABLE {
        let mut keys: Vec<_> = spec.keys.all.iter().map(|(key, _)| *key).collect();
        assert!(spec.keys.numbers.iter().all(|number| keys.contains(number)), "{name}");
        assert!(spec.keys.all.iter().all(|(_, about)| about.is_ascii()), "{name}: manual pages are");
        assert!(keys.contains(&"subscription"), "{name}");
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "{name}");
    }
}

/// A list inside a list is told of in rows below its own.
#[test]
fn lists_inside_lists() {
    let inner = related(&[
        ("inner@x", RLMI, file("rfc4662-6-04-list.xml")),
        ("mrEakg@stockholm.example.org", PIDF, file("rfc4662-6-05-presence.xml")),
        ("KKMDmv@stockholm.example.org", PIDF, file("rfc4662-6-06-presence.xml")),
    ]);
    // The inner boundary is to differ from the outer one.
    let inner = String::from_utf8(inner).expect("text").replace("--b", "--inner").into_bytes();
    let outer = related(&[
        ("root@x", RLMI, file("rfc4662-6-07-list.xml")),
        (
            "1KQhyE@pres.vancouver.example.com",
            "multipart/related;type=\"application/rlmi+xml\";start=\"<inner@x>\";boundary=inner",
            inner,
        ),
    ]);
    let message =
        notify("multipart/related;type=\"application/rlmi+xml\";start=\"<root@x>\";boundary=b", &outer);
    let mut watched = (rls::SPEC.watched)();
    let shown = tell(&mut *watched, &mut None, &message);
    for row in
        ["    sip:adam-friends@stockholm.example.org", "\n      sip:joe@stockholm.example.org", "Joe Thomas"]
    {
        assert!(shown.contains(row), "{row:?} is not in\n{shown}");
    }
    let facts = watched.facts();
    let holds = |text: &str| text.parse::<super::expect::Expectation>().expect(text).holds(&facts);
    assert!(holds("open=1") && holds("closed=1") && holds("status[joe]=open") && !holds("status[mark]=open"));
    check(&documents(), "lists", &watched.document());
    assert_eq!(watched.document()["resources"][2]["depth"], 1);
}

/// Bodies of another kind are refused by name, and nothing is lost by them.
#[test]
fn another_kind_of_body() {
    for (name, spec, kind, steps) in TABLE {
        let mut watched = (spec.watched)();
        for step in *steps {
            let (_, message) = message(kind, step);
            let _ = watched.take(&Content::of(&message));
        }
        let before = watched.document();
        for wrong in [
            "text/plain",
            "application/sdp;charset=x",
            "multipart/related",
            "application/pidf+xml;boundary=b",
        ] {
            let message = notify(wrong, b"v=0\r\n--b--");
            if watched.take(&Content::of(&message)).is_ok() {
                panic!("{name} takes {wrong}");
            }
        }
        assert_eq!(watched.document(), before, "{name}");
    }
}
