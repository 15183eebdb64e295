//! The programs that subscribe, as a script sees them, against a notifier that follows a script.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::{
    programs::valid,
    support::{
        folder::Folder,
        message::Text,
        peer::Peer,
        program::{Finished, Program},
    },
};

/// A dialog with a subscriber.
pub struct Notifier {
    peer: Peer,
    subscribe: (Text, SocketAddr),
    number: u32,
}

impl Notifier {
    /// Waits for a SUBSCRIBE and accepts it.
    pub fn accept(peer: Peer) -> Self {
        let subscribe = peer.request("SUBSCRIBE");
        Self::of(peer, subscribe)
    }

    fn of(peer: Peer, subscribe: (Text, SocketAddr)) -> Self {
        let expires = format!("Expires: {}\r\n", subscribe.0.must("Expires"));
        peer.answer(&subscribe, 200, &expires, "");
        Self { peer, subscribe, number: 0 }
    }

    /// Notifies, and waits for the answer.
    pub fn notify(&mut self, state: &str, kind: &str, body: &str) -> u16 {
        self.number += 1;
        let Self { peer, subscribe: (subscribe, to), number } = self;
        let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let branch = subscribe.must("Call-ID").to_owned();
        let tag = if subscribe.must("To").contains(";tag=") { "" } else { ";tag=peer" };
        let text = format!(
            "NOTIFY {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{branch}x{number}\r\nMax-Forwards: 70\r\n\
             From: {}{tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} NOTIFY\r\nContact: <sip:{}>\r\nEvent: {}\r\n\
             Subscription-State: {state}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            subscribe.contact(),
            peer.addr,
            subscribe.must("To"),
            subscribe.must("From"),
            subscribe.must("Call-ID"),
            peer.addr,
            subscribe.must("Event"),
            body.len(),
        );
        peer.send(*to, text);
        let wanted = format!("{number} NOTIFY");
        let answer = peer.receive("answer to NOTIFY", |text| {
            text.status().is_some() && text.header("CSeq") == Some(&wanted)
        });
        answer.0.status().unwrap()
    }

    /// The subscriber leaves.
    #[track_caller]
    pub fn left(mut self) {
        let end =
            self.peer.receive("end", |text| text.method() == "SUBSCRIBE" && text.must("Expires") == "0");
        self.peer.answer(&end, 200, "Expires: 0\r\n", "");
        self.notify("terminated;reason=timeout", "", "");
    }
}

fn program(name: &str) -> &'static str {
    match name {
        "presence" => env!("CARGO_BIN_EXE_sip-subscribe-presence"),
        "mwi" => env!("CARGO_BIN_EXE_sip-subscribe-mwi"),
        "winfo" => env!("CARGO_BIN_EXE_sip-subscribe-winfo"),
        "rls" => env!("CARGO_BIN_EXE_sip-subscribe-rls"),
        "dialog" => env!("CARGO_BIN_EXE_sip-subscribe-dialog"),
        "conference" => env!("CARGO_BIN_EXE_sip-subscribe-conference"),
        "reg" => env!("CARGO_BIN_EXE_sip-subscribe-reg"),
        _ => env!("CARGO_BIN_EXE_sip-subscribe-xcap-diff"),
    }
}

/// One of the programs, from loopback.
pub fn subscribe(name: &str, args: &[&str]) -> Program {
    let common = ["--local", "127.0.0.1", "--timeout", "1m"];
    Program::start(program(name), common.iter().chain(args))
}

fn events(finished: &Finished, name: &str) -> Vec<Value> {
    finished.events().into_iter().filter(|event| event["event"] == name).collect()
}

const PIDF: &str = "application/pidf+xml";
const MWI: &str = "application/simple-message-summary";
pub const ACTIVE: &str = "active;expires=3600";

fn presence(basic: &str, note: &str) -> String {
    format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:peer@example.com'><tuple id='t'><status><basic>\
         {basic}</basic></status><contact>sip:peer@192.0.2.1</contact></tuple><note>{note}</note></presence>"
    )
}

#[test]
fn changes_are_told_until_it_is_enough() {
    let peer = Peer::new();
    let running = subscribe(
        "presence",
        &["--json", "--expect", "status=closed", "--expect", "note~lunch", &peer.uri()],
    );
    let mut notifier = Notifier::accept(peer);
    let (subscribe, _) = &notifier.subscribe;
    assert_eq!(subscribe.must("Event"), "presence");
    assert_eq!(subscribe.must("Accept"), "application/pidf+xml, application/pidf-diff+xml");
    assert_eq!(notifier.notify(ACTIVE, PIDF, &presence("open", "here")), 200);
    // What says nothing leaves the subscription and the state as they are.
    assert_eq!(notifier.notify(ACTIVE, PIDF, "<presence>\n</presense>"), 200);
    assert_eq!(notifier.notify(ACTIVE, "text/html", "<html/>"), 200);
    assert_eq!(notifier.notify(ACTIVE, PIDF, &presence("closed", "here")), 200);
    assert_eq!(notifier.notify(ACTIVE, PIDF, &presence("closed", "Gone for lunch")), 200);
    notifier.left();
    let finished = running
        .finish()
        .expect(0)
        .says(&["line 2, column 1", "text/html, expected was application/pidf+xml"]);
    assert_eq!(valid(&finished)["code"], 200);
    let notified = events(&finished, "notified");
    let status: Vec<_> = notified.iter().map(|event| event["document"]["status"].clone()).collect();
    assert_eq!(status, ["open", "closed", "closed"]);
    assert_eq!(notified[0]["changes"], Value::Null);
    assert_eq!(
        notified[1]["changes"][0],
        json!({"change": "changed", "what": "status", "from": "open", "to": "closed"})
    );
    let malformed = events(&finished, "malformed");
    assert_eq!((&malformed[0]["line"], &malformed[0]["column"]), (&json!(2), &json!(1)));
    assert_eq!(malformed[1]["line"], Value::Null);
    let names: Vec<_> = finished.events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names[names.len() - 3..], ["expected", "unsubscribed", "result"]);
}

#[test]
fn asked_once() {
    let run = |more: &[&str], exit: i32| {
        let peer = Peer::new();
        let running = subscribe("mwi", &[&["--once", &peer.uri()], more].concat());
        let mut notifier = Notifier::accept(peer);
        assert_eq!(notifier.subscribe.0.must("Expires"), "0");
        notifier.notify("terminated;reason=timeout", MWI, "Messages-Waiting: yes\r\nVoice-Message: 2/1\r\n");
        running.finish().expect(exit)
    };
    let plain = run(&[], 0);
    let card = "    waiting  yes\n\n    messages  new  old\n    voice     2    1\n";
    assert!(plain.out.ends_with(card) && plain.out.starts_with("sip:peer@"), "{plain}");
    assert_eq!(
        run(&["--raw"], 0).out,
        "Messages-Waiting: yes\r\nVoice-Message: 2/1\r\n".replace("\r\n", "\n")
    );
    let json = run(&["--json", "--raw"], 0);
    valid(&json);
    assert_eq!(events(&json, "notified")[0]["body"], "Messages-Waiting: yes\r\nVoice-Message: 2/1\r\n");
    run(&["--expect", "voice-new>=2"], 0);
    let unmet = run(&["--json", "--expect", "voice-new>=3", "--expect", "waiting=yes"], 31);
    valid(&unmet.says(&["expected voice-new>=3, but it is 2"]));
    let chosen = run(&["--write-out", "%{code} %{status}\\n"], 0);
    assert_eq!(chosen.out, "200 done\n");
}

#[test]
fn what_ends_it_has_an_exit_status() {
    // What the notifier answers, and what that is.
    for (status, more, exit, told) in [
        (480, "", 12, "nobody is there who could tell"),
        (603, "", 11, "answered 603"),
        (404, "", 14, "answered 404"),
        (403, "", 13, "whether you may watch"),
        (405, "", 16, "it takes no subscriptions"),
        (489, "Allow-Events: presence, dialog\r\n", 16, "it does not know reg, but presence, dialog"),
        (489, "", 16, "does not say what it knows"),
        (406, "", 15, "--accept"),
    ] {
        let peer = Peer::new();
        let running = subscribe("reg", &["--json", &peer.uri()]);
        peer.answer(&peer.request("SUBSCRIBE"), status, more, "");
        let finished = running.finish().expect(exit).says(&[&format!("answered {status}"), told]);
        assert_eq!(valid(&finished)["code"], status);
    }
    // How it ends a subscription.
    for (reason, exit, told) in
        [("rejected", 11, "rejected"), ("noresource", 14, "noresource"), ("invariant", 0, "")]
    {
        let peer = Peer::new();
        let running = subscribe("reg", &["--json", &peer.uri()]);
        Notifier::accept(peer).notify(&format!("terminated;reason={reason}"), "", "");
        let finished = running.finish().expect(exit).says(&[told]);
        valid(&finished);
        assert_eq!(events(&finished, "notified")[0]["reason"], reason);
    }
    // Nobody is there.
    let peer = Peer::new();
    let uri = peer.uri();
    drop(peer);
    valid(&subscribe("reg", &["--json", &uri]).finish().expect(21));
}

#[test]
fn limits_and_interruptions() {
    // What is expected does not come about.
    let peer = Peer::new();
    let args = ["--local", "127.0.0.1", "--timeout", "1500ms", "--json", "--expect", "status=open"];
    let running = Program::start(program("presence"), args.iter().copied().chain([&*peer.uri()]));
    let mut notifier = Notifier::accept(peer);
    notifier.notify(ACTIVE, PIDF, &presence("closed", ""));
    notifier.left();
    let finished = running.finish().expect(3);
    valid(&finished);
    let warned = events(&finished, "warning");
    assert_eq!(warned[0]["message"], "expected status=open, but it is closed");

    // So many, and no more.
    let peer = Peer::new();
    let running = subscribe("presence", &["--json", "--count", "2", &peer.uri()]);
    let mut notifier = Notifier::accept(peer);
    notifier.notify("pending;expires=60", "", "");
    notifier.notify(ACTIVE, PIDF, &presence("closed", ""));
    notifier.left();
    let finished = running.finish().expect(0);
    valid(&finished);
    let notified = events(&finished, "notified");
    assert_eq!((&notified[0]["state"], &notified[0]["document"]), (&json!("pending"), &Value::Null));
    assert_eq!((notified.len(), &notified[1]["state"]), (2, &json!("active")));

    // Watching ends well when somebody says so, unless something was waited for.
    for (more, exit) in [(&[][..], 0), (&["--expect", "status=open"], 130)] {
        let peer = Peer::new();
        let running = subscribe("presence", &[&["--json", &*peer.uri()], more].concat());
        let mut notifier = Notifier::accept(peer);
        notifier.notify(ACTIVE, PIDF, &presence("closed", ""));
        running.event("notified");
        running.interrupt();
        notifier.left();
        valid(&running.finish().expect(exit));
    }
}

#[test]
fn mistakes_are_named_before_anything_is_sent() {
    for (name, args, told) in [
        (
            "presence",
            &["--expect", "staus=open", "sip:a@127.0.0.1"][..],
            "did you mean status? Known are status, activity",
        ),
        ("mwi", &["--expect", "voice-new>=x", "sip:a@127.0.0.1"], "x is no number"),
        ("mwi", &["--expect", "waiting", "sip:a@127.0.0.1"], "is no expectation"),
        ("mwi", &[], "nothing to watch; give an address"),
        ("reg", &["--once", "--poll", "5s", "sip:a@127.0.0.1"], "cannot be used with"),
        ("reg", &["--poll", "10ms", "sip:a@127.0.0.1"], "too often"),
        ("reg", &["--expires", "0s", "sip:a@127.0.0.1"], "--once asks once"),
        ("winfo", &["--event", "a b", "sip:a@127.0.0.1"], "no name of an event package"),
        ("dialog", &["--accept", "pidf", "sip:a@127.0.0.1"], "application/pidf+xml"),
    ] {
        subscribe(name, args).finish().expect(2).says(&[told]);
    }
}

/// Documents are missing: the whole state is asked for, once.
#[test]
fn a_gap_is_filled() {
    let winfo = |version: u32, state: &str, watchers: &str| {
        format!(
            "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='{version}' state='{state}'><watcher-list \
             resource='sip:a@b' package='presence'>{watchers}</watcher-list></watcherinfo>"
        )
    };
    let watcher = |who: &str, status: &str| {
        format!("<watcher id='{who}' event='subscribe' status='{status}'>sip:{who}@example.com</watcher>")
    };
    let kind = "application/watcherinfo+xml";
    let peer = Peer::new();
    let running = subscribe("winfo", &["--json", "--expect", "status[dave]=terminated", &peer.uri()]);
    let mut notifier = Notifier::accept(peer);
    assert_eq!(notifier.subscribe.0.must("Event"), "presence.winfo");
    notifier.notify(ACTIVE, kind, &winfo(0, "full", &watcher("bob", "active")));
    notifier.notify(ACTIVE, kind, &winfo(4, "partial", &watcher("carol", "pending")));
    let refresh = notifier.peer.request("SUBSCRIBE");
    assert_ne!(refresh.0.must("Expires"), "0");
    notifier.peer.answer(&refresh, 200, "Expires: 3600\r\n", "");
    let all = [watcher("bob", "active"), watcher("carol", "pending"), watcher("dave", "active")].concat();
    notifier.notify(ACTIVE, kind, &winfo(5, "full", &all));
    // Another gap right after it is not asked about at once.
    notifier.notify(ACTIVE, kind, &winfo(7, "partial", &watcher("erin", "active")));
    notifier.notify(ACTIVE, kind, &winfo(8, "partial", &watcher("dave", "terminated")));
    notifier.left();
    let finished = running.finish().expect(0);
    valid(&finished);
    let applied: Vec<_> =
        events(&finished, "notified").iter().map(|event| event["applied"].clone()).collect();
    assert_eq!(applied, ["full", "gap", "full", "gap", "partial"]);
    let watchers = &events(&finished, "notified")[4]["document"]["lists"][0]["watchers"];
    assert_eq!(watchers.as_array().map(Vec::len), Some(4), "{watchers}");
}

/// A list in its envelope, and members that go along.
#[test]
fn a_list_and_its_members() {
    let peer = Peer::new();
    let args = [
        "--json",
        "--member",
        "sip:bob@example.com",
        "--member",
        "sip:carol@example.com",
        "--expect",
        "open>=1",
    ];
    let running = subscribe("rls", &[&args[..], &[&peer.uri()]].concat());
    let mut notifier = Notifier::accept(peer);
    let (subscribe, _) = &notifier.subscribe;
    assert_eq!(
        (subscribe.must("Supported"), subscribe.must("Require")),
        ("eventlist", "recipient-list-subscribe")
    );
    assert!(subscribe.must("Accept").contains("multipart/related"), "{}", subscribe.0);
    assert_eq!(subscribe.must("Content-Type"), "application/resource-lists+xml");
    assert!(subscribe.body().contains("sip:carol@example.com"), "{}", subscribe.0);
    let list = "<list xmlns='urn:ietf:params:xml:ns:rlmi' uri='sip:l@example.com' version='1' fullState='true'>\
                <resource uri='sip:bob@example.com'><name>Bob</name><instance id='1' state='active' cid='b@x'/></resource>\
                <resource uri='sip:carol@example.com'><instance id='1' state='pending'/></resource></list>";
    let body = format!(
        "--b\r\nContent-ID: <r@x>\r\nContent-Type: application/rlmi+xml\r\n\r\n{list}\r\n\
         --b\r\nContent-ID: <b@x>\r\nContent-Type: {PIDF}\r\n\r\n{}\r\n--b--\r\n",
        presence("open", "")
    );
    notifier.notify(
        ACTIVE,
        "multipart/related;type=\"application/rlmi+xml\";start=\"<r@x>\";boundary=b",
        &body,
    );
    notifier.left();
    let finished = running.finish().expect(0);
    valid(&finished);
    let resources = events(&finished, "notified")[0]["document"]["resources"].clone();
    assert_eq!((&resources[0]["status"], &resources[1]["state"]), (&json!("open"), &json!("pending")));
    assert_eq!(resources[0]["presence"]["services"][0]["contact"], "sip:peer@192.0.2.1");
}

/// The other packages: the name of the event, and one document each.
#[test]
fn every_package() {
    let example = |name: &str| std::fs::read_to_string(format!("tests/data/presence/{name}")).unwrap();
    for (name, event, kind, file, expect) in [
        ("dialog", "dialog", "application/dialog-info+xml", "rfc4235-6.1-01-dialog-info.xml", "state=trying"),
        (
            "conference",
            "conference",
            "application/conference-info+xml",
            "rfc4575-7.1-01-conference-info.xml",
            "users>=2",
        ),
        ("reg", "reg", "application/reginfo+xml", "rfc5628-8.2-01-reginfo.xml", "contacts>=1"),
        (
            "xcap-diff",
            "xcap-diff",
            "application/xcap-diff+xml",
            "rfc5875-5-01-d_xcap-diff.xml",
            "documents>=1",
        ),
        ("presence", "presence", PIDF, "rfc4480-4-01-presence.xml", "activity=away"),
    ] {
        let peer = Peer::new();
        let mut args = vec!["--json", "--expect", expect];
        if name == "xcap-diff" {
            args.extend(["--document", "resource-lists/"]);
        }
        let uri = peer.uri();
        args.push(&uri);
        let running = subscribe(name, &args);
        let mut notifier = Notifier::accept(peer);
        let (subscribe, _) = &notifier.subscribe;
        assert_eq!(
            (subscribe.must("Event"), subscribe.must("Accept").split(',').next()),
            (event, Some(kind))
        );
        assert_eq!(subscribe.body().contains("resource-lists/"), name == "xcap-diff", "{name}");
        notifier.notify(ACTIVE, kind, &example(file));
        notifier.left();
        valid(&running.finish().expect(0));
    }
}

/// The address of an account is what its own mailbox, watchers and registrations are asked by.
#[test]
fn an_account_is_its_own_target() {
    let folder = Folder::new();
    let peer = Peer::new();
    let config = folder.file("config.toml", format!("[account.work]\nfrom = 'sip:alice@{}'\n", peer.addr));
    let running = subscribe("mwi", &["--config", &config, "--account", "work", "--json", "--once"]);
    let mut notifier = Notifier::accept(peer);
    assert!(
        notifier.subscribe.0.start().starts_with("SUBSCRIBE sip:alice@"),
        "{}",
        notifier.subscribe.0.start()
    );
    notifier.notify("terminated;reason=timeout", MWI, "Messages-Waiting: no\r\n");
    valid(&running.finish().expect(0));
}

/// Without a body: the state is the one before if that is said (RFC 5839), and otherwise there is none any more.
#[test]
fn nothing_told() {
    let peer = Peer::new();
    let running = subscribe("presence", &["--json", "--expect", "status!=open", &peer.uri()]);
    let mut notifier = Notifier::accept(peer);
    let tagged = |tag: &str| format!("{ACTIVE}\r\nSIP-ETag: {tag}");
    assert_eq!(notifier.notify(&tagged("one"), PIDF, &presence("open", "here")), 200);
    assert_eq!(notifier.notify(&tagged("one"), "", ""), 200);
    assert_eq!(notifier.notify(&tagged("two"), "", ""), 200);
    notifier.left();
    let notified = events(&running.finish().expect(0), "notified");
    let status: Vec<_> = notified[..3].iter().map(|event| event["document"]["status"].clone()).collect();
    assert_eq!(status, [json!("open"), json!("open"), Value::Null]);

    // By the next question it still holds too.
    let peer = Peer::new();
    let args = ["--json", "--poll", "1s", "--count", "2", "--expect", "note=none", "--expect", "status=open"];
    let running = subscribe("presence", &[&args[..], &[&peer.uri()]].concat());
    let mut notifier = Notifier::accept(peer);
    notifier.notify("terminated;reason=timeout\r\nSIP-ETag: one", PIDF, &presence("open", "here"));
    let Notifier { peer, .. } = notifier;
    let next = peer.receive("another SUBSCRIBE", |text| text.method() == "SUBSCRIBE");
    assert_eq!(next.0.header("Suppress-If-Match"), Some("one"));
    let mut notifier = Notifier::of(peer, next);
    notifier.notify("terminated;reason=timeout\r\nSIP-ETag: one", "", "");
    let finished = running.finish().expect(31).says(&["expected note=none, but it is here"]);
    assert_eq!(events(&finished, "notified")[1]["document"]["status"], "open");
}

/// A document that is none is no answer to who asks once.
#[test]
fn once_and_nothing_to_read() {
    let peer = Peer::new();
    let running = subscribe("rls", &["--json", "--once", &peer.uri()]);
    let mut notifier = Notifier::accept(peer);
    notifier.notify("terminated;reason=timeout", PIDF, &presence("open", ""));
    valid(&running.finish().expect(15).says(&["cannot be read", "expected was multipart/related"]));
}

/// Asked again and again, and what is new each time.
#[test]
fn polling() {
    let peer = Peer::new();
    let running = subscribe("presence", &["--json", "--poll", "1s", "--count", "2", &peer.uri()]);
    let mut notifier = Notifier::accept(peer);
    notifier.notify("terminated;reason=timeout", PIDF, &presence("open", ""));
    let Notifier { peer, .. } = notifier;
    let next = peer.receive("another SUBSCRIBE", |text| text.method() == "SUBSCRIBE");
    assert!(next.0.header("To").is_some_and(|to| !to.contains(";tag=")), "{}", next.0.0);
    let mut notifier = Notifier::of(peer, next);
    assert_eq!(notifier.notify("terminated;reason=timeout", PIDF, &presence("closed", "")), 200);
    let finished = running.finish().expect(0);
    valid(&finished);
    let changes = &events(&finished, "notified")[1]["changes"];
    assert_eq!(changes[0]["to"], "closed", "{changes}");
    assert!(
        notifier.peer.receive_within(Duration::from_millis(50)).is_none(),
        "there is nothing to unsubscribe from"
    );
}
