//! `sip-register`, `sip-message` and `sip-options` as a script sees them, against `sip-test-server` and against
//! peers that follow a script.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    programs::valid,
    support::{
        folder::Folder,
        message::Draft,
        peer::Peer,
        program::{Finished, Program, Server},
    },
    transports::listening,
};

fn secret(folder: &Folder) -> String {
    let path = folder.path().join("secret");
    std::fs::write(&path, "s3cr3t\n").unwrap();
    path.display().to_string()
}

/// The events of that name.
fn events(finished: &Finished, name: &str) -> Vec<Value> {
    finished.events().into_iter().filter(|event| event["event"] == name).collect()
}

/// An address of record at this server.
fn at(server: &Server) -> String {
    server.uri("alice")
}

#[test]
fn registered_listed_and_removed() {
    let folder = Folder::new();
    let file = secret(&folder);
    let server = Server::with(&["--user", "alice", "--password-file", &file, "--auth-alg", "SHA-256,MD5"]);
    let aor = at(&server);
    let run = |more: &[&str]| {
        let login = ["--user", "alice", "--password-file", &file, &aor];
        let finished = Program::register(login.iter().chain(more)).finish().expect(0);
        valid(&finished);
        finished
    };
    let once = run(&["--expires", "2m", "--q", "0.5"]);
    let registered = &events(&once, "registered")[0];
    assert_eq!((&registered["expires_ms"], &registered["refresh_ms"]), (&json!(120_000.0), &Value::Null));
    assert_eq!(registered["bindings"][0]["q"], 0.5);
    assert_eq!(events(&once, "challenged")[0]["algorithm"], "SHA-256", "the strongest");
    assert_eq!(once.result()["code"], 200);

    let elsewhere = run(&["--contact", "sip:alice@192.0.2.7"]);
    assert_eq!(events(&elsewhere, "registered")[0]["bindings"].as_array().unwrap().len(), 2);
    let query = run(&["--query"]);
    let bindings = events(&query, "bindings")[0]["bindings"].clone();
    assert_eq!(bindings.as_array().unwrap().len(), 2, "{bindings}");
    assert!(bindings.as_array().unwrap().iter().any(|binding| binding["uri"] == "sip:alice@192.0.2.7"));

    // Ours, whatever port it had; the other one stays.
    let removed = run(&["--remove"]);
    assert_eq!(events(&removed, "unregistered")[0]["bindings"][0]["uri"], "sip:alice@192.0.2.7");
    let nothing = run(&["--remove"]);
    assert!(events(&nothing, "warning")[0]["message"].as_str().unwrap().contains("nothing of"));
    let all = run(&["--remove-all"]);
    assert_eq!(events(&all, "unregistered")[0]["bindings"], json!([]));

    // Less than the server takes.
    let brief = run(&["--expires", "5s"]);
    assert!(events(&brief, "register-again")[0]["reason"].as_str().unwrap().contains("at least 60 s"));
    let stopped = server.stop();
    valid(&stopped);
    let codes: Vec<_> = events(&stopped, "bound").iter().map(|event| event["code"].clone()).collect();
    assert!(codes.contains(&json!(423)) && codes.contains(&json!(200)), "{codes:?}");
}

/// A binding that cannot outlive the program is warned of, once; no other one is.
#[test]
fn a_binding_to_a_connection_that_ends_is_warned_of() {
    let server = Server::start();
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    let (tcp, udp) = (format!("sip:alice@{tcp}"), at(&server));
    let warnings = |more: &[&str]| {
        let finished = Program::register(["--expires", "2m"].iter().chain(more)).finish().expect(0);
        valid(&finished);
        events(&finished, "warning")
    };
    let warned = warnings(&["--transport", "tcp", &tcp]);
    assert_eq!(warned.len(), 1, "{warned:?}");
    let message = warned[0]["message"].as_str().unwrap();
    assert!(message.contains("over TCP") && message.contains("--keep"), "{message}");
    assert_eq!(warnings(&[&udp]).len(), 0);
    assert_eq!(warnings(&["--transport", "tcp", "--contact", "sip:alice@192.0.2.7", &tcp]).len(), 0);
    let kept = Program::register(["--transport", "tcp", "--keep", &tcp]);
    kept.event("registered");
    kept.interrupt();
    assert_eq!(events(&kept.finish().expect(0), "warning").len(), 0);
    // And to people.
    let plain = ["--local", "127.0.0.1", "--timeout", "1m", "--transport", "tcp", &tcp];
    let finished = Program::start(env!("CARGO_BIN_EXE_sip-register"), plain).finish().expect(0);
    assert_eq!(format!("{finished}").matches("--keep stays").count(), 1, "{finished}");
    server.stop();
}

/// A challenge for each algorithm in the order asked for; what was proved once proves nothing again; and a nonce ages.
#[test]
fn challenges_in_order_no_replay_and_stale_nonces() {
    let folder = Folder::new();
    let file = secret(&folder);
    let flags = ["--user", "alice", "--password-file", &file, "--auth-alg", "MD5,SHA-512-256,SHA-256"];
    let more = ["--auth-qop", "auth-int,auth", "--nonce-lifetime", "2s", "--userhash", "--realm", "here"];
    let server = Server::with(&[&flags[..], &more[..]].concat());
    let peer = Peer::new();
    let ask =
        |more: String| peer.ask(server.addr, &Draft::new("REGISTER", at(&server), peer.addr).more(&more));
    let refused = ask(String::new());
    assert_eq!(refused.status(), Some(401));
    let challenges: Vec<_> = refused.headers("WWW-Authenticate").collect();
    let names: Vec<_> = challenges.iter().filter_map(|row| parameter(row, "algorithm")).collect();
    assert_eq!(names, ["MD5", "SHA-512-256", "SHA-256"]);
    for row in &challenges {
        assert_eq!(parameter(row, "qop"), Some("auth-int,auth"), "{row}");
        assert_eq!(
            (parameter(row, "realm"), parameter(row, "userhash")),
            (Some("here"), Some("true")),
            "{row}"
        );
        assert_ne!(parameter(row, "stale"), Some("true"), "{row}");
    }

    // The strongest is taken though it is not the first, with the stronger protection, and a hash for the name.
    let login = ["--trace", "--user", "alice", "--password-file", &file, "--expires", "2m", &at(&server)];
    let once = Program::register(login).finish().expect(0);
    valid(&once);
    assert_eq!(events(&once, "challenged")[0]["algorithm"], "SHA-512-256");
    let sent: Vec<_> =
        once.err.lines().filter_map(|line| line.trim().strip_prefix("Authorization: ")).collect();
    assert_eq!(sent.len(), 1, "{once}");
    assert!(!sent[0].contains("alice") || sent[0].contains("uri="), "{}", sent[0]);

    // Who overheard it gets another challenge, not a binding.
    let overheard = format!("Authorization: {}\r\nExpires: 120\r\n", sent[0]);
    let contact = format!("Contact: <sip:thief@{}>\r\n", peer.addr);
    let replayed = ask(format!("{overheard}{contact}"));
    assert_eq!(replayed.status(), Some(401), "{}", replayed.0);
    std::thread::sleep(Duration::from_millis(2200));
    let aged = ask(format!("{overheard}{contact}"));
    let row = aged.must("WWW-Authenticate");
    assert_eq!((aged.status(), parameter(row, "stale")), (Some(401), Some("true")), "{row}");

    // A nonce that aged under a registration is renewed without another word of the user.
    let kept = Program::register([
        "--keep",
        "--user",
        "alice",
        "--password-file",
        &file,
        "--expires",
        "1m",
        &at(&server),
    ]);
    kept.event("registered");
    std::thread::sleep(Duration::from_millis(2200));
    kept.interrupt();
    let kept = kept.finish().expect(0);
    assert_eq!(events(&kept, "unregistered").len(), 1);
    let stopped = server.stop();
    let bound: Vec<_> = events(&stopped, "bound");
    assert!(!bound.iter().any(|event| event.to_string().contains("thief")), "{bound:?}");
}

/// A parameter of a challenge, without its quotes.
fn parameter<'a>(row: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = row.split_once(' ')?.1;
    loop {
        let (found, value) = rest.split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        if found.trim_start_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

#[test]
fn a_registrar_reads_what_it_is_asked() {
    let server = Server::start();
    let peer = Peer::new();
    let ask = |more: &str| peer.ask(server.addr, &Draft::new("REGISTER", at(&server), peer.addr).more(more));
    let required = ask("Require: gruu, teleport\r\n");
    assert_eq!((required.status(), required.header("Unsupported")), (Some(420), Some("teleport")));
    assert_eq!(ask("Contact: *\r\n").status(), Some(400));
    let brief = ask("Contact: <sip:x@192.0.2.1>;expires=1\r\n");
    assert_eq!((brief.status(), brief.header("Min-Expires")), (Some(423), Some("60")));
    let bound = ask("Contact: <sip:x@192.0.2.1>, <sip:y@192.0.2.1>;q=0.1\r\nExpires: 90\r\n");
    // Ours, which every request of this peer has, and the two.
    assert_eq!((bound.status(), bound.headers("Contact").count()), (Some(200), 3));
    let stopped = server.stop();
    valid(&stopped);
    let codes: Vec<_> = events(&stopped, "bound").iter().map(|event| event["code"].clone()).collect();
    assert_eq!(codes, [420, 400, 423, 200]);
}

#[test]
fn over_a_connection() {
    let server = Server::with(&["--min-expires", "1s"]);
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    let aor = format!("sip:alice@{tcp}");
    let phone = Program::register(["--transport", "tcp", "--answer=busy", &aor]);
    let registered = phone.event("registered");
    let contact = registered["contact"].as_str().unwrap();
    assert!(contact.ends_with(";transport=tcp"), "{contact}");
    for program in [
        Program::message(["--transport", "tcp", &aor, "hello"]),
        Program::options(["--transport", "tcp", &aor]),
        Program::register(["--transport", "tcp", "--query", &aor]),
    ] {
        let finished = program.finish().expect(0);
        assert_eq!(valid(&finished)["remote"], tcp.to_string());
    }
    // The server goes away: the connection tells it at once.
    server.stop();
    assert_eq!(phone.event("flow-lost")["remote"], tcp.to_string());
    let failed = phone.event("registration-failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("refused") || reason.contains("lost"), "{failed}");
    phone.interrupt();
    valid(&phone.finish().expect(0));
}

#[test]
fn kept_until_the_end_and_answering() {
    let server = Server::with(&["--min-expires", "1s"]);
    let aor = at(&server);
    let flags = ["--answer=busy", "--expires", "3s", &aor];
    let phone = Program::register(flags);
    let registered = phone.event("registered");
    assert!(registered["refresh_ms"].as_f64().unwrap() < 3000.0);
    let contact = registered["contact"].as_str().unwrap().to_owned();
    let busy =
        Program::call(["--json", "--audio", "none", "--local", "127.0.0.1", &contact]).finish().expect(10);
    valid(&busy);
    let sent = Program::message([contact.as_str(), "Grüße"]).finish().expect(0);
    assert_eq!(events(&sent, "response")[0]["code"], 200);
    valid(&sent);
    assert_eq!(phone.event("request")["text"], "Grüße");
    // Refreshed before it runs out.
    std::thread::sleep(Duration::from_millis(3200));
    let query = Program::register(["--query", &aor]).finish().expect(0);
    assert_eq!(events(&query, "bindings")[0]["bindings"].as_array().unwrap().len(), 1);
    phone.interrupt();
    let ended = phone.finish().expect(0);
    valid(&ended);
    assert!(events(&ended, "registered").len() >= 2, "{ended}");
    assert_eq!(events(&ended, "unregistered")[0]["bindings"], json!([]));
    server.stop();
}

#[test]
fn a_registrar_that_refuses_or_is_not_there() {
    let peer = Peer::new();
    let aor = peer.uri();
    for (status, exit) in [(403, 13), (404, 14), (500, 17), (302, 18)] {
        let program = Program::register([&aor]);
        let request = peer.request("REGISTER");
        assert!(
            request.0.must("Contact").starts_with("<sip:peer@127.0.0.1:"),
            "{}",
            request.0.must("Contact")
        );
        peer.answer(&request, status, "", "");
        let result = valid(&program.finish().expect(exit));
        assert_eq!(result["code"], status);
    }
    // With nothing to answer the challenge with.
    let program = Program::register([&aor]);
    let request = peer.request("REGISTER");
    peer.answer(&request, 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "");
    valid(&program.finish().expect(13).says(&["realm", "--password-file"]));
    drop(peer);
    valid(&Program::register([&aor]).finish().expect(21).says(&["connection refused"]));
    // Kept, it goes on trying, and says so; interrupted before it got there it did not do what it was to.
    let program = Program::register(["--keep", &aor]);
    let failed = program.event("registration-failed");
    assert!(failed["retry_ms"].as_f64().unwrap() >= 30_000.0 && failed["code"].is_null(), "{failed}");
    program.interrupt();
    valid(&program.finish().expect(130));
}

#[test]
fn an_account_registers() {
    let folder = Folder::new();
    let server = Server::with(&["--min-expires", "1s"]);
    let config = folder.path().join("config.toml");
    let text = format!(
        "[account.work]\nfrom = 'Alice <sip:alice@example.com>'\nproxy = 'sip:{}'\nexpires = '90s'\ngruu = true\n",
        server.addr
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let finished = Program::register(["--config", &config, "--account", "work"]).finish().expect(0);
    valid(&finished);
    let registered = &events(&finished, "registered")[0];
    assert_eq!(
        (&registered["aor"], &registered["expires_ms"]),
        (&json!("sip:alice@example.com"), &json!(90_000.0))
    );
    let gruu = registered["public_gruu"].as_str().unwrap();
    assert!(gruu.starts_with("sip:alice@example.com;gr=urn:uuid:"), "{gruu}");
    server.stop();
}

#[test]
fn messages_from_everywhere() {
    let server = Server::start();
    let target = server.uri("echo");
    let folder = Folder::new();
    let file = folder.path().join("text");
    std::fs::write(&file, "from a file").unwrap();
    let file = file.display().to_string();
    let common = ["--json", "--local", "127.0.0.1", "--timeout", "1m", &target];
    let path = env!("CARGO_BIN_EXE_sip-message");
    let sent = [
        Program::message([target.as_str(), "as an argument"]),
        Program::message(["--file", &file, &target]),
        Program::with_input(path, common, "from standard input"),
        Program::message(["--imdn", &target, "in an envelope"]),
    ];
    for program in sent {
        let result = valid(&program.finish().expect(0));
        assert_eq!(result["code"], 200);
    }
    let stopped = server.stop();
    valid(&stopped);
    let mut texts: Vec<_> = events(&stopped, "request").iter().map(|event| event["text"].clone()).collect();
    texts.sort_by_key(ToString::to_string);
    assert_eq!(
        texts,
        [
            json!("as an argument"),
            json!("from a file"),
            json!("from standard input"),
            json!("in an envelope")
        ]
    );

    // Received by another one, out of its envelope.
    let listener = Program::message(["--listen", "--count", "2"]);
    let local = listener.event("listening")["local"].as_str().unwrap().to_owned();
    for flags in [&["--cpim"][..], &["--type", "text/html"]] {
        let words = [&format!("sip:x@{local}"), "Grüße"];
        valid(&Program::message(flags.iter().copied().chain(words)).finish().expect(0));
    }
    let received = listener.finish().expect(0);
    valid(&received);
    assert!(events(&received, "request").iter().all(|event| event["text"] == "Grüße"), "{received}");
}

#[test]
fn what_a_message_is_and_how_it_ends() {
    let peer = Peer::new();
    let program = Program::message(["-H", "Subject: x", "--type", "text/html", &peer.uri(), "<b>hi</b>"]);
    let request = peer.request("MESSAGE");
    let text = &request.0;
    assert_eq!((text.must("Content-Type"), text.must("Subject")), ("text/html", "x"));
    assert_eq!((text.header("Contact"), text.must("CSeq")), (None, "1 MESSAGE"));
    peer.answer(&request, 202, "", "");
    assert_eq!(valid(&program.finish().expect(0))["code"], 202);
    for (status, exit) in [(404, 14), (486, 10), (503, 17), (603, 11)] {
        let program = Program::message([peer.uri().as_str(), "hi"]);
        let request = peer.request("MESSAGE");
        peer.answer(&request, status, "", "");
        assert_eq!(valid(&program.finish().expect(exit))["code"], status);
    }
    let long = "x".repeat(2000);
    let program = Program::message([peer.uri().as_str(), &long]);
    program.event("warning");
    drop(program);
    let uri = peer.uri();
    drop(peer);
    valid(&Program::message([uri.as_str(), "hi"]).finish().expect(21));
}

/// What an address of record says of the way is how its registrar is reached; a SIPS address binds one (RFC 3261 §10.2).
#[test]
fn an_address_says_which_way() {
    let server = Server::start();
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    let aor = format!("sip:alice@{tcp};transport=tcp");
    let once = Program::register([&aor]).finish().expect(0);
    let contact = events(&once, "registered")[0]["contact"].as_str().unwrap().to_owned();
    assert!(contact.ends_with(";transport=tcp"), "{contact}");
    Program::register([at(&server).as_str(), "--expires", "0s"]).finish().expect(2);
    server.stop();
    let refused = Program::options(["sip:x@127.0.0.1?Subject=y"]).finish().expect(2);
    assert!(refused.err.contains("say sip:x@127.0.0.1, and what is wanted with --header"), "{refused}");
}

#[test]
fn what_cannot_be_read_is_said_and_what_took_how_long() {
    let peer = Peer::new();
    let program = Program::register(["--query", &peer.uri()]);
    let request = peer.request("REGISTER");
    // Behind the Contact that the peer writes of its own.
    let rows = "Contact: <sip:a@192.0.2.7>;expires=60\r\nContact: <sip:c@192.0.2.8:x>;expires=60\r\n";
    peer.answer(&request, 200, rows, "");
    let finished = program.finish().expect(0);
    let result = valid(&finished);
    let warnings = events(&finished, "warning");
    let [warning] = &warnings[..] else { panic!("{finished}") };
    assert!(
        warning["message"].as_str().unwrap().starts_with("Contact 3 of the response cannot be read"),
        "{warning}"
    );
    assert_eq!(events(&finished, "bindings")[0]["bindings"].as_array().unwrap().len(), 2);
    let timings = &result["timings"];
    assert!(timings["resolve_ms"].is_number() && timings["answer_ms"].is_number(), "{timings}");
    assert_eq!(timings["connect_ms"], Value::Null, "nothing over UDP");
    // Over a connection there is something to wait for.
    let server = Server::start();
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    let target = format!("sip:alice@{tcp};transport=tcp");
    for program in [Program::options([&target]), Program::register(["--query", &target])] {
        let result = valid(&program.finish().expect(0));
        let timings = &result["timings"];
        assert!(
            ["resolve_ms", "connect_ms", "answer_ms"].iter().all(|name| timings[name].is_number()),
            "{timings}"
        );
    }
    server.stop();
}

#[test]
fn a_status_that_is_asked_for_is_that_of_other_requests_too() {
    let server = Server::start();
    for (user, exit, code) in [("status-404", 14, 404), ("status-503", 17, 503), ("status-99", 14, 404)] {
        let target = server.uri(user);
        for program in [Program::options([&target]), Program::message([target.as_str(), "hi"])] {
            assert_eq!(valid(&program.finish().expect(exit))["code"], code, "{user}");
        }
    }
    let stopped = server.stop();
    assert_eq!(events(&stopped, "request").len(), 6, "{stopped}");
}

#[test]
fn options_once_and_again() {
    let server = Server::start();
    let target = server.uri("x");
    let result = valid(&Program::options([&target]).finish().expect(0));
    assert_eq!((&result["ping"]["sent"], &result["ping"]["received"]), (&json!(1), &json!(1)));
    let many = Program::options(["--count", "3", "--interval", "20ms", &target]).finish().expect(0);
    let result = valid(&many);
    let numbers: Vec<_> = events(&many, "response").iter().map(|event| event["sequence"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let trip = |name: &str| result["ping"][name].as_f64().unwrap();
    assert!(trip("min_ms") <= trip("avg_ms") && trip("avg_ms") <= trip("max_ms") && trip("min_ms") > 0.0);
    assert_eq!(trip("lost_percent"), 0.0);
    server.stop();

    // Half of them lost, as far as we wait.
    let peer = Peer::new();
    let program = Program::options(["--count", "5", "--interval", "10ms", &peer.uri()]);
    let first = peer.request("OPTIONS");
    assert_eq!(first.0.must("Accept"), "application/sdp");
    peer.answer(&first, 200, "", "");
    let second = peer.receive("second OPTIONS", |text| text.header("Call-ID") != first.0.header("Call-ID"));
    peer.answer(&second, 404, "", "");
    program.line("404");
    program.interrupt();
    let result = valid(&program.finish().expect(130));
    assert_eq!((&result["ping"]["sent"], &result["ping"]["received"]), (&json!(2), &json!(2)));
}

#[test]
fn monitoring_says_it_in_one_line() {
    let path = env!("CARGO_BIN_EXE_sip-options");
    let run = |flags: &[&str]| {
        let common = ["--monitoring", "--local", "127.0.0.1", "--timeout", "1m"];
        Program::with_input(path, common.iter().chain(flags), "").finish()
    };
    let server = Server::start();
    let target = server.uri("x");
    let line = run(&[&target]).expect(0).out;
    assert!(line.starts_with("SIP OK - 1 of 1 answered, round trip "), "{line}");
    assert!(
        line.contains(" | rtt=") && line.ends_with("loss=0%;;;0;100\n") && line.lines().count() == 1,
        "{line}"
    );
    assert!(run(&["--warn", "1us", &target]).expect(1).out.starts_with("SIP WARNING"));
    assert!(run(&["--warn", "1us", "--crit", "2us", &target]).expect(2).out.starts_with("SIP CRITICAL"));
    server.stop();
    assert!(run(&[&target]).expect(2).out.starts_with("SIP CRITICAL - 0 of 1 answered, connection refused"));
    assert!(run(&["sip:"]).expect(3).out.starts_with("SIP UNKNOWN - "));

    // Somebody who asks for a password answers all the same.
    let peer = Peer::new();
    let uri = peer.uri();
    let program = Program::with_input(path, ["--monitoring", "--local", "127.0.0.1", &uri], "");
    let request = peer.request("OPTIONS");
    peer.answer(&request, 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "");
    let line = program.finish().expect(1).out;
    assert!(line.starts_with("SIP WARNING - 1 of 1 answered, 401 Because, round trip "), "{line}");
    // Whoever falls silent is missed, and so is who was silent all the time.
    for (answers, code, said) in
        [(1, 1, "SIP WARNING - 1 of 2 answered, "), (0, 2, "SIP CRITICAL - 0 of 1 answered, ")]
    {
        let flags =
            ["--monitoring", "--local", "127.0.0.1", "--count", "3", "--interval", "10ms", "--timeout", "2s"];
        let program = Program::with_input(path, flags.into_iter().chain([uri.as_str()]), "");
        if answers > 0 {
            let first = peer.receive("OPTIONS", |text| text.header("Call-ID") != request.0.header("Call-ID"));
            peer.answer(&first, 200, "", "");
        }
        let line = program.finish().expect(code).out;
        assert!(line.starts_with(said) && line.contains("loss="), "{line}");
    }
    run(&["--no-such-flag"]).expect(3);
}
