//! `sip-publish-presence`, `sip-publish-mwi` and the presence server of `sip-test-server` as scripts see them, with a
//! subscriber that speaks for itself.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{
    programs::valid,
    support::{
        message::{Draft, Text},
        peer::Peer,
        program::{Finished, Program, Server},
    },
};

const PRESENCE: &str = env!("CARGO_BIN_EXE_sip-publish-presence");
const MWI: &str = env!("CARGO_BIN_EXE_sip-publish-mwi");

/// A publishing program in JSON, from loopback.
fn start(program: &str, args: &[&str]) -> Program {
    Program::start(program, ["--json", "--local", "127.0.0.1", "--timeout", "1m"].iter().chain(args))
}

fn publish(program: &str, args: &[&str]) -> Finished {
    start(program, args).finish()
}

/// Somebody who subscribes and answers NOTIFYs.
struct Watcher {
    peer: Peer,
    server: SocketAddr,
    draft: Draft,
}

impl Watcher {
    fn new(server: SocketAddr, user: &str, event: &str, more: &str) -> (Self, Text) {
        let peer = Peer::new();
        let mut draft = Draft::new("SUBSCRIBE", format!("sip:{user}@{server}"), peer.addr);
        draft.more = format!("Event: {event}\r\nExpires: 600\r\nContact: <{}>\r\n{more}", peer.uri());
        let watcher = Self { peer, server, draft };
        watcher.peer.send(watcher.server, watcher.draft.text());
        let response = watcher.peer.receive("response", |text| text.status().is_some_and(|s| s >= 200)).0;
        (watcher, response)
    }

    /// The next NOTIFY.
    #[track_caller]
    fn told(&self) -> Text {
        let notify = self.peer.request("NOTIFY");
        self.peer.answer(&notify, 200, "", "");
        notify.0
    }
}

#[test]
fn presence_goes_from_the_publisher_to_the_watcher() {
    let server = Server::with(&["--event", "presence:alice=away"]);
    let alice = server.uri("alice");
    let (watcher, response) = Watcher::new(server.addr, "alice", "presence", "");
    assert_eq!(response.status(), Some(200));
    let accepted = server.program.event("watcher");
    assert_eq!(
        (&accepted["what"], &accepted["package"], &accepted["handling"]),
        (&json!("accepted"), &json!("presence"), &json!("allow"))
    );
    let notify = watcher.told();
    assert!(notify.body().contains("<rpid:away/>") || notify.body().contains("away"), "{}", notify.0);

    // Published for as long as it was granted, and left.
    let finished =
        publish(PRESENCE, &[&alice, "--status", "closed", "--note", "gone fishing", "--expires", "5m"]);
    let finished = finished.expect(0);
    let result = valid(&finished);
    assert_eq!((&result["code"], &result["reason"]), (&json!(200), &json!("OK")));
    let published = finished.events().into_iter().find(|event| event["event"] == "published").unwrap();
    assert_eq!((&published["operation"], &published["expires_ms"]), (&json!("initial"), &json!(300_000.0)));
    assert_eq!(published["refresh_ms"], Value::Null);
    let etag = published["etag"].as_str().unwrap().to_owned();
    let notify = watcher.told();
    assert!(notify.body().contains(">closed<") && notify.body().contains("gone fishing"), "{}", notify.0);
    assert!(!notify.body().contains("away"), "{}", notify.0);

    // Modified under its entity-tag, which is another one then.
    let changed = publish(PRESENCE, &[&alice, "--mood", "happy", "--etag", &etag]).expect(0);
    let published = changed.events().into_iter().find(|event| event["event"] == "published").unwrap();
    assert_eq!(published["operation"], "modify");
    let newer = published["etag"].as_str().unwrap();
    assert_ne!(newer, etag);
    assert!(watcher.told().body().contains("happy"));
    // And removed.
    let removed = publish(PRESENCE, &[&alice, "--remove", "--etag", newer]).expect(0);
    valid(&removed);
    assert!(removed.events().iter().any(|event| event["event"] == "unpublished"), "{removed}");
    assert!(watcher.told().body().contains("away"));
    // That it is not there any more is what was wanted, but not what was expected.
    let again = publish(PRESENCE, &[&alice, "--remove", "--etag", newer]).expect(0);
    assert!(again.events().iter().any(|event| event["event"] == "warning"), "{again}");
    valid(&server.stop());
}

#[test]
fn what_is_kept_is_changed_by_lines_and_removed_in_the_end() {
    let server = Server::start();
    let alice = server.uri("alice");
    let (watcher, _) = Watcher::new(server.addr, "alice", "presence", "");
    assert!(!watcher.told().body().contains("tuple"), "nothing is known");
    let args = ["--json", "--local", "127.0.0.1", "--timeout", "1m", "--commands", &alice];
    let lines = "mood happy\nmoood sad\nactivity meeting, busy\n";
    let program = Program::with_input(PRESENCE, args, lines);
    // States that follow each other fast may be told as one.
    while !watcher.told().body().contains("busy") {}
    let finished = program.finish().expect(0);
    valid(&finished);
    let names: Vec<_> = finished.events().iter().map(|event| event["event"].clone()).collect();
    assert!(names.contains(&json!("warning")), "{finished}");
    assert_eq!(names.iter().filter(|name| **name == "unpublished").count(), 1, "{finished}");
    while watcher.told().body().contains("tuple") {}

    // Ctrl-C does the same.
    let kept = start(PRESENCE, &[&alice, "--keep"]);
    let published = kept.event("published");
    assert!(published["refresh_ms"].as_f64().unwrap() > 0.0);
    while !watcher.told().body().contains("open") {}
    kept.interrupt();
    let finished = kept.finish().expect(0);
    valid(&finished);
    while watcher.told().body().contains("tuple") {}
    // And so does a change at an interval.
    let auto = start(PRESENCE, &[&alice, "--auto", "100ms"]);
    auto.event("published");
    auto.line("\"operation\":\"modify\"");
    auto.interrupt();
    auto.finish().expect(0);
    let counted = server.stop();
    valid(&counted);
    let publications = counted.events().into_iter().filter(|event| event["event"] == "publication");
    let whats: Vec<_> = publications.map(|event| event["what"].as_str().unwrap().to_owned()).collect();
    for what in ["initial", "modify", "remove"] {
        assert!(whats.iter().any(|told| told == what), "{whats:?}");
    }
}

#[test]
fn messages_wait() {
    let server = Server::with(&["--event", "mwi=3/1"]);
    let (watcher, _) = Watcher::new(server.addr, "bob", "message-summary", "");
    assert!(watcher.told().body().contains("Voice-Message: 3/1"));
    let finished = publish(MWI, &[&server.uri("bob"), "--voice", "5/2(1/0)", "--fax", "0/1"]).expect(0);
    valid(&finished);
    let notify = watcher.told();
    assert_eq!(notify.must("Content-Type"), "application/simple-message-summary");
    assert!(notify.body().contains("Voice-Message: 5/2 (1/0)\r\nFax-Message: 0/1\r\n"), "{}", notify.0);
    publish(MWI, &[&server.uri("bob"), "--voice", "lots"]).expect(2).says(&["NEW/OLD", "3/1"]);
    valid(&server.stop());
}

#[test]
fn lists_rules_and_refusals() {
    let server = Server::with(&[
        "--list",
        "friends=alice,bob",
        "--event",
        "presence=open",
        "--watcher",
        "@127.0.0.1=allow",
    ]);
    let (_, refused) = Watcher::new(server.addr, "friends", "presence", "");
    assert_eq!((refused.status(), refused.header("Require")), (Some(421), Some("eventlist")));
    let (list, accepted) = Watcher::new(server.addr, "friends", "presence", "Supported: eventlist\r\n");
    assert_eq!(accepted.header("Require"), Some("eventlist"));
    let notify = list.told();
    assert_eq!(notify.header("Require"), Some("eventlist"));
    assert!(notify.must("Content-Type").starts_with("multipart/related"), "{}", notify.0);
    assert_eq!(notify.body().matches("application/pidf+xml").count(), 2);
    for event in ["presence.winfo", "dialog", "conference", "reg", "xcap-diff"] {
        let (watcher, response) = Watcher::new(server.addr, "alice", event, "");
        assert_eq!(response.status(), Some(200), "{event}");
        assert!(!watcher.told().body().is_empty(), "{event}");
    }
    let (_, unknown) = Watcher::new(server.addr, "alice", "kpml", "");
    assert_eq!(unknown.status(), Some(489));
    valid(&server.stop());

    let server = Server::with(&["--watcher", "block"]);
    let (_, refused) = Watcher::new(server.addr, "alice", "presence", "");
    assert_eq!(refused.status(), Some(403));
    let event = server.program.event("watcher");
    assert_eq!((&event["what"], &event["code"]), (&json!("refused"), &json!(403)));
    server.stop();
    let mistake =
        Program::start(env!("CARGO_BIN_EXE_sip-test-server"), ["--event", "presence=bussy"]).finish();
    mistake.expect(2).says(&["`bussy` is no state of presence", "open, closed"]);
}

#[test]
fn what_goes_wrong_is_said() {
    let peer = Peer::new();
    for (status, more, exit, says) in [
        (489, "Allow-Events: dialog\r\n", 16, "it does not take presence, but dialog"),
        (415, "Accept: text/plain\r\n", 15, "it takes text/plain"),
        (404, "", 14, "nothing can be published there"),
        (405, "", 16, "it takes no publications"),
    ] {
        let program = start(PRESENCE, &[&peer.uri(), "--keep"]);
        let request = peer.request("PUBLISH");
        assert!(
            request.0.must("Event") == "presence" && request.0.body().contains("open"),
            "{}",
            request.0.0
        );
        peer.answer(&request, status, more, "");
        let finished = program.finish().expect(exit).says(&[says]);
        assert_eq!(valid(&finished)["code"], status);
    }
    publish(PRESENCE, &["--status", "open"]).expect(2).says(&["nothing to publish for"]);
    publish(PRESENCE, &[&peer.uri(), "--remove"]).expect(2).says(&["--etag"]);
    publish(PRESENCE, &[&peer.uri(), "--file", "/nonexistent.xml"]).expect(2).says(&["cannot read"]);
}

#[test]
fn who_subscribes_sees_what_is_published() {
    let server = Server::with(&["--list", "friends=alice,bob", "--event", "presence:bob=away"]);
    let alice = server.uri("alice");
    let watch = |program: &str, args: &[&str]| start(program, args);
    let presence =
        watch(env!("CARGO_BIN_EXE_sip-subscribe-presence"), &[&alice, "--expect", "activity=meeting"]);
    presence.event("notified");
    let winfo = watch(env!("CARGO_BIN_EXE_sip-subscribe-winfo"), &[&alice, "--expect", "active>=1"]);
    let list = watch(
        env!("CARGO_BIN_EXE_sip-subscribe-rls"),
        &[&server.uri("friends"), "--expect", "activity[alice]=meeting", "--expect", "activity[bob]=away"],
    );
    list.event("notified");
    let mwi = watch(env!("CARGO_BIN_EXE_sip-subscribe-mwi"), &[&alice, "--expect", "voice-new>=2"]);
    mwi.event("notified");
    publish(PRESENCE, &[&alice, "--activity", "meeting"]).expect(0);
    publish(MWI, &[&alice, "--voice", "2/0"]).expect(0);
    for program in [presence, winfo, list, mwi] {
        valid(&program.finish().expect(0));
    }
    valid(&server.stop());
}
