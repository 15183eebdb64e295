//! `sip-xcap` against a small XCAP server, and against servers that are none.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::Digest;

#[cfg(feature = "tls")]
use crate::authority::{Authority, Leaf};
use crate::{
    subscribing::{ACTIVE, Notifier},
    support::{
        folder::Folder,
        peer::Peer,
        program::{Finished, Program},
    },
};

/// Documents by their path, each with the number of its version.
fn documents(documents: &[(&str, &str)]) -> Documents {
    let all = documents.iter().map(|(path, text)| ((*path).to_owned(), (1, (*text).to_owned())));
    Arc::new(Mutex::new(all.collect()))
}

fn serve(documents: &Documents) -> SocketAddr {
    serve_to(None, documents)
}

/// With an algorithm alice's credentials are wanted.
fn serve_to(challenge: Option<&'static str>, documents: &Documents) -> SocketAddr {
    let shared = Arc::clone(documents);
    hostile(move |stream| {
        let Some((head, body)) = request(stream) else { return };
        let answer = answer(&head, &body, challenge, &mut shared.lock().unwrap());
        let _ = stream.write_all(answer.as_bytes());
    })
}

type Documents = Arc<Mutex<HashMap<String, (u32, String)>>>;

/// Whether these are the credentials of alice, whose password is "secret" (RFC 7616 §3.4).
fn is_alice(algorithm: &str, method: &str, target: &str, credentials: &str) -> bool {
    let fields: HashMap<&str, &str> = credentials
        .trim_start_matches("Digest ")
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect();
    let hash = |text: String| match algorithm {
        "MD5" => hex(&md5::Md5::digest(text)),
        _ => hex(&sha2::Sha256::digest(text)),
    };
    let (one, two) = (hash("alice:x:secret".into()), hash(format!("{method}:{target}")));
    let said = |name: &str| fields.get(name).copied().unwrap_or_default();
    let response = hash(format!("{one}:n:{}:{}:auth:{two}", said("nc"), said("cnonce")));
    said("uri") == target && said("algorithm") == algorithm && said("response") == response
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn answer(
    head: &str,
    body: &str,
    challenge: Option<&str>,
    documents: &mut HashMap<String, (u32, String)>,
) -> String {
    let whole = |status: &str, fields: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    if let Some(algorithm) = challenge
        && !field("authorization").is_some_and(|said| is_alice(algorithm, method, target, said))
    {
        let fields = format!(
            "WWW-Authenticate: Basic realm=\"a, b\", Digest realm=\"x\", nonce=\"n\", qop=\"auth\", \
             algorithm={algorithm}\r\n"
        );
        return whole("401 Unauthorized", &fields, "");
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
    let documents = documents(&[]);
    let addr = serve(&documents);
    let missing = xcap(addr, &["get"], None).expect(14);
    assert!(missing.err.contains("404 Not Found"), "{}", missing.err);
    xcap(addr, &["put", "--file", "-", "--if-none-match", "*"], Some("<a/>")).expect(0);
    xcap(addr, &["put", "--file", "-", "--if-none-match", "*"], Some("<a/>")).expect(16);
    let got = xcap(addr, &["get", "--raw"], None).expect(0);
    assert_eq!(got.out.trim_end(), "<a/>");
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
    let documents = documents(&[]);
    let addr = serve(&documents);
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
fn challenges_are_answered() {
    let documents = documents(&[(LISTS, "<a/>")]);
    let folder = Folder::new();
    let (right, wrong) = (folder.file("right", "secret\n"), folder.file("wrong", "guess\n"));
    for algorithm in ["MD5", "SHA-256"] {
        let addr = serve_to(Some(algorithm), &documents);
        let as_alice = |file: &str| {
            let login = ["get", "--auid", "resource-lists", "--user", "alice", "--password-file", file];
            xcap(addr, &login, None)
        };
        as_alice(&right).expect(0);
        as_alice(&wrong).expect(13).says(&["401 Unauthorized", "check --user and the password"]);
        let nobody = xcap(addr, &["get"], None).expect(13);
        assert!(nobody.err.contains("realm"), "{}", nobody.err);
    }
}

#[test]
fn redirections_on_the_same_host_are_followed() {
    let documents = documents(&[("/there/index", "<a/>")]);
    let addr = hostile(move |stream| {
        let Some((head, body)) = request(stream) else { return };
        let answer = match head.starts_with("GET /there") {
            true => answer(&head, &body, None, &mut documents.lock().unwrap()),
            false => "HTTP/1.1 307 Elsewhere\r\nLocation: /there/index\r\nContent-Length: 0\r\n\r\n".into(),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(xcap(addr, &["get", "--raw"], None).expect(0).out.trim_end(), "<a/>");
}

/// Somebody else writes between our reading and our writing: both changes are there in the end.
#[test]
fn nobody_elses_edit_is_lost() {
    let documents = documents(&[]);
    let (shared, raced) = (Arc::clone(&documents), AtomicBool::new(false));
    let addr = hostile(move |stream| {
        let Some((head, body)) = request(stream) else { return };
        let mut documents = shared.lock().unwrap();
        if head.starts_with("PUT") && !raced.swap(true, Ordering::Relaxed) {
            documents.insert(RULES.to_owned(), (7, rules("dave", "block")));
        }
        let answer = answer(&head, &body, None, &mut documents);
        let _ = stream.write_all(answer.as_bytes());
    });
    xcap(addr, &["pres-rules", "allow", "sip:bob@example.com"], None).expect(0);
    let written = documents.lock().unwrap()[RULES].clone();
    assert_eq!(written.0, 8);
    assert!(written.1.contains("sip:dave@example.com") && written.1.contains("sip:bob@example.com"));
    let again = xcap(addr, &["pres-rules", "allow", "sip:bob@example.com"], None).expect(0);
    assert!(again.out.contains("unchanged"), "{}", again.out);
}

fn rules(who: &str, handling: &str) -> String {
    format!(
        "<ruleset xmlns='urn:ietf:params:xml:ns:common-policy'><rule id='own'><conditions><identity>\
         <one id='sip:{who}@example.com'/></identity></conditions><actions>\
         <sub-handling xmlns='urn:ietf:params:xml:ns:pres-rules'>{handling}</sub-handling></actions></rule></ruleset>"
    )
}

/// Runs `sip-subscribe-winfo` as alice, by way of `peer`.
fn winfo(peer: &Peer, root: SocketAddr, args: &[&str]) -> Vec<String> {
    let (proxy, root) = (peer.uri(), format!("http://{root}/root"));
    let common =
        ["--from", "sip:alice@example.com", "--proxy", &proxy, "--xcap-root", &root, "--timeout", "30s"];
    common.iter().chain(args).map(|&arg| arg.to_owned()).collect()
}

fn watchers(version: u32, watchers: &[(&str, &str)]) -> String {
    let watcher = |(who, status): &(&str, &str)| {
        format!("<watcher id='{who}' event='subscribe' status='{status}'>sip:{who}</watcher>")
    };
    format!(
        "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='{version}' state='full'><watcher-list \
         resource='sip:alice@example.com' package='presence'>{}</watcher-list></watcherinfo>",
        watchers.iter().map(watcher).collect::<String>()
    )
}

const WINFO: &str = "application/watcherinfo+xml";

#[test]
fn watchers_are_allowed_and_blocked() {
    let documents = documents(&[(RULES, &rules("dave", "allow"))]);
    let (addr, peer) = (serve(&documents), Peer::new());
    let patterns =
        ["--json", "--allow", "*@example.com", "--block", "eve@*", "--expect", "status[bob]=active"];
    let args = winfo(&peer, addr, &patterns);
    let running = Program::start(env!("CARGO_BIN_EXE_sip-subscribe-winfo"), args);
    let mut notifier = Notifier::accept(peer);
    let waiting = [
        ("bob@example.com", "pending"),
        ("eve@example.com", "waiting"),
        ("carol@elsewhere.example", "pending"),
        ("dave@example.com", "pending"),
        ("frank@example.com", "active"),
    ];
    notifier.notify(ACTIVE, WINFO, &watchers(0, &waiting));
    running.line("sip:eve@example.com\",\"handling\":\"block\"");
    // They still wait, as the server has not looked yet.
    notifier.notify(ACTIVE, WINFO, &watchers(1, &waiting));
    notifier.notify(ACTIVE, WINFO, &watchers(2, &[("bob@example.com", "active")]));
    notifier.left();
    let events = running.finish().expect(0).events();
    let decided = events.iter().filter(|event| event["event"] == "decided");
    let decided: Vec<_> = decided
        .map(|event| (event["watcher"].as_str().unwrap(), &event["handling"], &event["changed"]))
        .map(|(watcher, handling, changed)| (watcher, handling.as_str().unwrap(), changed == true))
        .collect();
    let wanted = [
        ("sip:bob@example.com", "allow", true),
        ("sip:dave@example.com", "allow", false),
        ("sip:eve@example.com", "block", true),
    ];
    assert_eq!(decided, wanted);
    let (version, text) = documents.lock().unwrap()[RULES].clone();
    assert_eq!(version, 2, "one edit for all: {text}");
    for (needed, is_there) in [("sip:bob@", true), ("sip:eve@", true), ("id=\"own\"", true), ("carol", false)]
    {
        assert_eq!(text.contains(needed), is_there, "{needed}: {text}");
    }
}

#[test]
fn somebody_is_asked_about_watchers() {
    let documents = documents(&[]);
    let (addr, peer) = (serve(&documents), Peer::new());
    let args = winfo(&peer, addr, &["--ask"]);
    let program = env!("CARGO_BIN_EXE_sip-subscribe-winfo");
    let lines = "what\nallow\nlater\nblock bob\npolite-block carol@x.example\nquit\n";
    let running = Program::with_input(program, args, lines);
    let mut notifier = Notifier::accept(peer);
    let waiting = [
        ("bob@example.com", "pending"),
        ("carol@example.com", "pending"),
        ("carol@x.example", "pending"),
        ("erin@example.com", "pending"),
    ];
    notifier.notify(ACTIVE, WINFO, &watchers(0, &waiting));
    notifier.left();
    let finished = running.finish().expect(0);
    for told in [
        "sip:bob@example.com wants to watch sip:alice@example.com: allow, block, polite-block or later?",
        "sip:carol@example.com wants to watch",
        "sip:erin@example.com wants to watch",
        "what is not understood",
        "bob does not wait for a decision",
    ] {
        assert!(finished.out.contains(told), "{told}\n{}", finished.out);
    }
    let (_, text) = documents.lock().unwrap()[RULES].clone();
    let order = ["sip:bob@example.com", "allow", "sip:carol@x.example", "polite-block"];
    let places: Vec<_> = order.iter().map(|word| text.find(word)).collect();
    assert!(places.iter().all(Option::is_some) && !text.contains("erin"), "{text}");
}

#[test]
fn decisions_that_cannot_be_written_are_told() {
    let program = env!("CARGO_BIN_EXE_sip-subscribe-winfo");
    let nowhere = ["--from", "sip:alice@127.0.0.1", "--allow", "*"];
    Program::start(program, nowhere).finish().expect(2).says(&["XCAP server", "--xcap-root URL"]);
    let pattern = ["--from", "sip:alice@127.0.0.1", "--allow", "bob"];
    Program::start(program, pattern).finish().expect(2).says(&["names no domain", "*@example.com"]);
    let (documents, peer) = (documents(&[]), Peer::new());
    let args = winfo(&peer, serve_to(Some("MD5"), &documents), &["--allow", "*"]);
    let running = Program::start(program, args);
    let mut notifier = Notifier::accept(peer);
    notifier.notify(ACTIVE, WINFO, &watchers(0, &[("bob@example.com", "pending")]));
    notifier.left();
    running.finish().expect(13).says(&["401 Unauthorized"]);
}

#[cfg(feature = "tls")]
#[test]
fn https_is_verified() {
    use sipkit::transport::tls::{ClientAuth, Credentials, ServerSettings, ServerTls, Version};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let folder = Folder::new();
    let (authority, stranger) = (Authority::new("Test Authority"), Authority::new("Another Authority"));
    let issued =
        authority.issue(&Leaf { dns: vec!["*.example.com"], ips: vec!["127.0.0.1"], ..Leaf::default() });
    let credentials = Credentials::pem(issued.certificate.as_bytes(), issued.key.as_bytes()).unwrap();
    let settings = ServerSettings { credentials, clients: ClientAuth::None, minimum: Version::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (tls, listener) = (
                ServerTls::new(settings, None).unwrap(),
                tokio::net::TcpListener::from_std(listener).unwrap(),
            );
            while let Ok((stream, _)) = listener.accept().await {
                let Ok((mut stream, _)) = tls.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/>").await;
                let _ = stream.shutdown().await;
            }
        });
    });
    let ca = folder.file("ca.pem", &authority.pem);
    let other = folder.file("other.pem", &stranger.pem);
    let root = format!("https://{addr}/root");
    let get = |args: &[&str]| {
        let common = ["get", "--raw", "--from", "sip:alice@example.com", "--xcap-root", &root];
        let args: Vec<_> = common.iter().chain(args).copied().collect();
        Program::start(env!("CARGO_BIN_EXE_sip-xcap"), args).finish()
    };
    assert_eq!(get(&["--tls-ca", &ca]).expect(0).out.trim_end(), "<a/>");
    // Wildcards count on the web, where they do not for SIP.
    get(&["--tls-ca", &ca, "--tls-name", "xcap.example.com"]).expect(0);
    get(&["--tls-ca", &other]).expect(22).says(&["authority", "127.0.0.1"]);
    get(&["--tls-ca", &ca, "--tls-name", "xcap.example.org"])
        .expect(22)
        .says(&["xcap.example.org", "*.example.com"]);
    get(&["--tls-ca", &other, "--tls-insecure"]).expect(0);
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
    let chunked = |stream: &mut TcpStream| {
        let _ = request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
        // 10 MB, if they are taken.
        for _ in 0..160 {
            if stream.write_all(&chunk).is_err() {
                return;
            }
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
        (hostile(endless(b"Content-Length: 10000000\r\n\r\n")), 17),
        (hostile(chunked), 17),
        (hostile(|_| thread::sleep(Duration::from_secs(60))), 23),
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
