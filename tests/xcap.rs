//! `sip-xcap` against a small XCAP server, and against servers that are none.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::support::program::{Finished, Program};

/// Documents by their path, each with the number of its version; `challenge` wants credentials.
fn serve(challenge: bool, documents: &[(&str, &str)]) -> (SocketAddr, Documents) {
    let documents: HashMap<String, (u32, String)> =
        documents.iter().map(|(path, text)| ((*path).to_owned(), (1, (*text).to_owned()))).collect();
    let documents = Arc::new(Mutex::new(documents));
    let shared = Arc::clone(&documents);
    let addr = hostile(move |stream| {
        let Some((head, body)) = request(stream) else { return };
        let answer = answer(&head, &body, challenge, &mut shared.lock().unwrap());
        let _ = stream.write_all(answer.as_bytes());
    });
    (addr, documents)
}

type Documents = Arc<Mutex<HashMap<String, (u32, String)>>>;

fn answer(head: &str, body: &str, challenge: bool, documents: &mut HashMap<String, (u32, String)>) -> String {
    let whole = |status: &str, fields: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    if challenge && !field("authorization").is_some_and(|value| value.contains(&format!("uri=\"{target}\"")))
    {
        let fields = "WWW-Authenticate: Basic realm=\"a, b\", Digest realm=\"x\", nonce=\"n\", qop=\"auth\", \
                      algorithm=SHA-256\r\n";
        return whole("401 Unauthorized", fields, "");
    }
    let there = documents.get(target).cloned();
    let tag = there.as_ref().map(|(version, _)| format!("\"{version}\""));
    let matches =
        field("if-match").is_none_or(|wanted| tag.as_deref().is_some_and(|tag| [tag, "*"].contains(&wanted)));
    let none = field("if-none-match")
        .is_none_or(|refused| tag.as_deref().is_none_or(|tag| ![tag, "*"].contains(&refused)));
    if !matches || !none {
        return whole("412 Precondition Failed", "", "");
    }
    match (method, there) {
        ("GET", Some((version, text))) => whole("200 OK", &format!("ETag: \"{version}\"\r\n"), &text),
        ("DELETE", Some(_)) => {
            documents.remove(target);
            whole("200 OK", "", "")
        }
        ("PUT", _) if body.contains("conflict") => {
            let error = "<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><constraint-failure \
                         phrase=\"not so\"/></xcap-error>";
            whole("409 Conflict", "Content-Type: application/xcap-error+xml\r\n", error)
        }
        ("PUT", there) => {
            let version = there.map_or(1, |(version, _)| version + 1);
            documents.insert(target.to_owned(), (version, body.to_owned()));
            whole("201 Created", &format!("ETag: \"{version}\"\r\n"), "")
        }
        _ => whole("404 Not Found", "", ""),
    }
}

fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut all = Vec::new();
    let mut room = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0usize) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut room) {
            Ok(0) | Err(_) => return None,
            Ok(read) => all.extend_from_slice(&room[..read]),
        }
    }
}

/// A server that does this with each connection, until the test process ends.
fn hostile(with: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let with = Arc::new(with);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let with = Arc::clone(&with);
            thread::spawn(move || with(&mut stream));
        }
    });
    addr
}

fn xcap(addr: SocketAddr, args: &[&str], input: Option<&str>) -> Finished {
    let root = format!("http://{addr}/root");
    let common = ["--xcap-root", &root, "--from", "sip:alice@example.com", "--timeout", "30s"];
    let args: Vec<&str> = args.iter().copied().chain(common).collect();
    match input {
        Some(input) => Program::with_input(env!("CARGO_BIN_EXE_sip-xcap"), args, input).finish(),
        None => Program::start(env!("CARGO_BIN_EXE_sip-xcap"), args).finish(),
    }
}

const RULES: &str = "/root/pres-rules/users/sip:alice@example.com/index";
const LISTS: &str = "/root/resource-lists/users/sip:alice@example.com/index";

#[test]
fn documents_come_and_go() {
    let (addr, documents) = serve(false, &[]);
    let missing = xcap(addr, &["get"], None).expect(14);
    assert!(missing.err.contains("404 Not Found"), "{}", missing.err);
    xcap(addr, &["put", "--file", "-", "--if-none-match", "*"], Some("<a/>")).expect(0);
    xcap(addr, &["put", "--file", "-", "--if-none-match", "*"], Some("<a/>")).expect(16);
    let got = xcap(addr, &["get", "--raw"], None).expect(0);
    assert_eq!(got.out, "<a/>");
    let told = xcap(addr, &["get", "--json"], None).expect(0).events();
    assert_eq!((&told[0]["event"], &told[0]["etag"]), (&"xcap-answer".into(), &"\"1\"".into()));
    let conflict = xcap(addr, &["put", "--file", "-"], Some("<conflict/>")).expect(16);
    assert!(conflict.err.contains("a rule of its application usage (not so)"), "{}", conflict.err);
    xcap(addr, &["put", "--file", "-"], Some("<a>")).expect(2);
    xcap(addr, &["delete", "--if-match", "7"], None).expect(16);
    xcap(addr, &["delete", "--if-match", "1"], None).expect(0);
    assert!(documents.lock().unwrap().is_empty());
    let node = ["--auid", "resource-lists", "--node", "resource-lists/list[@name=\"a/b\"]"];
    let dry = xcap(addr, &[&["get", "--dry-run"][..], &node].concat(), None).expect(0);
    assert!(
        dry.out.contains(&format!("{LISTS}/~~/resource-lists/list%5B@name=%22a%2Fb%22%5D")),
        "{}",
        dry.out
    );
}

#[test]
fn edits_are_written_back() {
    let (addr, documents) = serve(false, &[]);
    xcap(addr, &["pres-rules", "allow", "sip:bob@example.com"], None).expect(0);
    xcap(addr, &["pres-rules", "block", "sip:bob@example.com"], None).expect(0);
    let rows = xcap(addr, &["pres-rules", "list", "--json"], None).expect(0).events();
    assert_eq!((&rows[0]["uri"], &rows[0]["value"]), (&"sip:bob@example.com".into(), &"block".into()));
    assert_eq!(rows.len(), 2, "one row and the result");
    assert_eq!(documents.lock().unwrap()[RULES].0, 2);
    xcap(addr, &["pres-rules", "remove", "sip:bob@example.com"], None).expect(0);
    xcap(addr, &["pres-rules", "remove", "sip:bob@example.com"], None).expect(14);
    xcap(addr, &["resource-lists", "add", "sip:bob@example.com", "--list", "friends"], None).expect(0);
    xcap(addr, &["resource-lists", "add", "sip:eve@example.com"], None).expect(0);
    xcap(addr, &["resource-lists", "remove", "sip:bob@example.com"], None).expect(0);
    let list = xcap(addr, &["resource-lists", "list"], None).expect(0);
    assert!(list.out.contains("eve") && !list.out.contains("bob"), "{}", list.out);
    xcap(addr, &["rls-services", "add", "sip:friends@example.com", "--list", "friends"], None).expect(0);
    let list = xcap(addr, &["rls-services", "list"], None).expect(0);
    assert!(list.out.contains("list%5B@name=%22friends%22%5D"), "{}", list.out);
}

#[test]
fn a_challenge_is_answered() {
    let (addr, _) = serve(true, &[(LISTS, "<a/>")]);
    let folder = crate::support::folder::Folder::new();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    let login =
        ["get", "--auid", "resource-lists", "--user", "alice", "--password-file", file.to_str().unwrap()];
    xcap(addr, &login, None).expect(0);
    let refused = xcap(addr, &["get"], None).expect(13);
    assert!(refused.err.contains("realm"), "{}", refused.err);
}

#[test]
fn hostile_servers_are_left_in_bounded_time() {
    let endless = |field: &'static [u8]| {
        move |stream: &mut TcpStream| {
            let _ = request(stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(field).is_ok() {}
        }
    };
    let drip = |stream: &mut TcpStream| {
        let _ = request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    };
    let around = |stream: &mut TcpStream| {
        let _ = request(stream);
        let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    };
    let away = |stream: &mut TcpStream| {
        let _ = request(stream);
        let _ = stream
            .write_all(b"HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n");
    };
    for (addr, code) in [
        (hostile(endless(b"\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")), 17),
        (hostile(endless(b"X-A: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n")), 17),
        (hostile(|stream| drop(stream.write_all(b"SIP/2.0 400 No\r\n\r\n"))), 17),
        (hostile(|stream| drop(request(stream))), 17),
        (hostile(drip), 23),
        (hostile(around), 18),
        (hostile(away), 18),
    ] {
        let started = Instant::now();
        xcap(addr, &["get", "--answer-timeout", "2s"], None).expect(code);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    xcap(free, &["get"], None).expect(21);
}
