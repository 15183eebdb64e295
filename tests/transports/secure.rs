//! Calls over TLS and secure WebSocket: who is believed and who is not, and what a capture of them shows.

use std::{path::Path, process::Command};

use tokio::io::copy_bidirectional;

use super::*;
#[cfg(feature = "dns")]
use crate::support::dns::DnsServer;
use crate::{
    authority::{Authority, Issued, Leaf, tls12},
    support::folder::Folder,
};

/// A folder with an authority's certificate, and what is issued by it.
struct Scene {
    folder: Folder,
    authority: Authority,
    ca: String,
}

impl Scene {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("Test Authority"));
        let ca = folder.file("ca.pem", &authority.pem);
        Self { folder, authority, ca }
    }

    fn issue(&self, name: &'static str, valid: (i64, i64)) -> Issued {
        self.authority.issue(&Leaf { dns: vec![name], valid, ..Leaf::default() })
    }

    /// The file of a certificate with its key.
    fn certificate(&self, name: &'static str, valid: (i64, i64)) -> String {
        let issued = self.issue(name, valid);
        self.folder.file(&format!("{name}{}.pem", valid.1), issued.certificate + &issued.key)
    }
}

const VALID: (i64, i64) = (-1, 30);

fn server(certificate: &str, more: &[&str]) -> (Server, SocketAddr) {
    let common = ["--listen", "tls:127.0.0.1:0", "--tls-cert", certificate];
    let server = Server::with(&[&common[..], more].concat());
    let [tls] = listening(&server.program, &["TLS"])[..] else { panic!("no TLS") };
    (server, tls)
}

#[test]
fn calls_over_tls_and_secure_websocket() {
    let scene = Scene::new();
    let issued = scene.issue("server.example", VALID);
    let cert = scene.folder.file("cert.pem", &issued.certificate);
    let key = scene.folder.file("key.pem", &issued.key);
    let (server, tls) =
        server(&cert, &["--tls-key", &key, "--listen", "wss:127.0.0.1:0", "--listen", "tls:[::1]:0"]);
    let [wss] = listening(&server.program, &["WSS"])[..] else { panic!("no WSS") };
    let [six] = listening(&server.program, &["TLS\",\"local\":\"[::1]"])[..] else { panic!("no IPv6") };
    let over = |target: &str, more: &[&str]| {
        let trust = ["--tls-ca", &scene.ca, "--tls-name", "server.example", "--duration", "100ms"];
        Program::call([&["--json", "--audio", "none", target], &trust[..], more].concat()).finish()
    };
    over(&format!("sips:echo@{tls}"), &["-v"]).expect(0).says(&["TLS 1.3", "server.example"]);
    over(&format!("sip:echo@{tls}"), &["--transport", "tls", "--tls-min", "1.3"]).expect(0);
    over(&format!("sip:echo@{tls};transport=tls"), &[]).expect(0);
    over(&format!("sips:echo@{six}"), &[]).expect(0);
    over(&format!("sip:echo@{wss}"), &["--transport", "wss"]).expect(0);
    server.stop();
    let server = Program::start(env!("CARGO_BIN_EXE_sip-test-server"), ["--listen", "tls:127.0.0.1:0"]);
    server.finish().expect(2).says(&["--tls-cert"]);
}

#[test]
fn who_is_not_believed_is_not_called() {
    let scene = Scene::new();
    let strangers = scene.folder.file("others.pem", &Authority::new("Other Authority").pem);
    let good = scene.certificate("server.example", VALID);
    let late = scene.certificate("server.example", (-30, -2));
    let refused = |certificate: &str, ca: &str, name: &str, words: &[&str]| {
        let (server, tls) = server(certificate, &[]);
        let target = format!("sips:echo@{tls}");
        let finished = call(&target, &["--tls-ca", ca, "--tls-name", name]).finish().expect(22);
        let short = format!("TLS with {tls}/tls failed");
        let finished = finished.says(&[&short]).says(words);
        assert_eq!(finished.result()["code"], Value::Null);
        call(&target, &["--tls-insecure", "--duration", "100ms"])
            .finish()
            .expect(0)
            .says(&["--tls-insecure"]);
        server.stop();
    };
    refused(&good, &scene.ca, "other.example", &["other.example", "server.example", "Test Authority"]);
    refused(&late, &scene.ca, "server.example", &["expired"]);
    refused(&good, &strangers, "server.example", &["Test Authority", "--tls-ca"]);
}

/// RFC 3263 §4.3: a server whose TLS fails is one that cannot be reached.
#[cfg(feature = "dns")]
#[test]
fn who_is_not_believed_is_left_for_the_next() {
    let scene = Scene::new();
    let right = scene.certificate("x.example", VALID);
    let wrong = scene.certificate("other.example", VALID);
    let own = scene.certificate("client.example", VALID);
    let (good, good_at) = server(&right, &[]);
    let (bad, bad_at) = server(&wrong, &[]);
    // With TLS 1.3 it refuses who has no certificate only after the handshake, when the request is under way.
    let (strict, strict_at) = server(&right, &["--tls-ca", &scene.ca]);
    let zone = |ports: &[SocketAddr]| {
        let mut zone = String::from("h.example A 127.0.0.1\n");
        for (priority, at) in ports.iter().enumerate() {
            zone += &format!("_sips._tcp.x.example SRV {priority} 0 {} h.example\n", at.port());
        }
        DnsServer::new(&zone)
    };
    let over = |ports: &[SocketAddr], more: &[&str], exit: i32| {
        let dns = zone(ports);
        let at = dns.addr.to_string();
        let flags = ["-v", "--dns", &at, "--tls-ca", &scene.ca, "--duration", "100ms"];
        call("sips:echo@x.example", &[&flags[..], more].concat()).finish().expect(exit)
    };

    let finished = over(&[bad_at, good_at], &[], 0);
    assert_eq!(finished.result()["remote"], good_at.to_string(), "{finished}");
    // Why the first one was left, and for which.
    let left = format!("trying {good_at}");
    let why = finished.err.lines().find(|line| line.contains(&left)).unwrap_or_else(|| panic!("{finished}"));
    for word in [&bad_at.to_string(), "x.example", "other.example"] {
        assert!(why.contains(word), "{word:?} is not in {why:?}");
    }

    let finished = over(&[strict_at, good_at], &[], 0);
    assert_eq!(finished.result()["remote"], good_at.to_string(), "{finished}");
    finished.says(&[&left, "asks for a client certificate"]);
    let finished = over(&[strict_at, good_at], &["--tls-cert", &own], 0);
    assert_eq!(finished.result()["remote"], strict_at.to_string(), "{finished}");

    // None is believed: as with one alone.
    let (late, late_at) = server(&scene.certificate("x.example", (-30, -2)), &[]);
    let finished = over(&[bad_at, late_at], &[], 22);
    let finished = finished.says(&[&format!("TLS with {late_at}/tls failed"), "expired"]);
    assert_eq!(finished.result()["remote"], late_at.to_string(), "{finished}");
    for server in [good, bad, strict, late] {
        server.stop();
    }
}

#[test]
fn mutual_tls() {
    let scene = Scene::new();
    let certificate = scene.certificate("server.example", VALID);
    let own = scene.certificate("client.example", VALID);
    let (server, tls) = server(&certificate, &["--tls-ca", &scene.ca]);
    let target = format!("sips:echo@{tls}");
    let trust = ["--tls-ca", &scene.ca, "--tls-name", "server.example", "--duration", "100ms"];
    call(&target, &trust).finish().expect(22).says(&["asks for a client certificate", "--tls-cert"]);
    call(&target, &[&trust[..], &["--tls-cert", &own]].concat()).finish().expect(0);
    server.stop();
}

#[test]
fn a_call_is_taken_over_tls() {
    let scene = Scene::new();
    let certificate = scene.certificate("phone.example", VALID);
    let common =
        "--answer --local 127.0.0.1:0 --transport tls --audio none --json --duration 200ms --timeout 1m";
    let answering = Program::call(common.split(' ').chain(["--tls-cert", &certificate]));
    let [tls] = listening(&answering, &["TLS"])[..] else { panic!("no TLS") };
    let target = format!("sips:bob@{tls}");
    call(&target, &["--tls-ca", &scene.ca, "--tls-name", "phone.example"]).finish().expect(0);
    answering.finish().expect(0);
}

/// What Wireshark makes of the file alone.
fn tshark(path: &Path, port: u16, arguments: &[&str]) -> String {
    let (tls, sip) = (format!("tcp.port=={port},tls"), format!("tls.port=={port},sip"));
    let output = Command::new("tshark")
        .arg("-n")
        .arg("-r")
        .arg(path)
        .args(["-d", &tls, "-d", &sip])
        .args(arguments)
        .output();
    let output = output.expect("tshark is installed with the other tools for tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A relay that speaks TLS 1.2 with who connects, and TCP with the server behind.
fn relay(issued: &Issued, behind: SocketAddr) -> SocketAddr {
    let (acceptor, listener) = (tls12(issued), TcpListener::bind("127.0.0.1:0").unwrap());
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (near, _) = listener.accept().await.unwrap();
            let mut near = acceptor.accept(near).await.unwrap();
            let mut far = tokio::net::TcpStream::connect(behind).await.unwrap();
            // How it ends is for the two ends to tell.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    });
    addr
}

#[test]
fn a_call_is_read_off_its_capture_alone() {
    let scene = Scene::new();
    let (server, tls) = server(&scene.certificate("server.example", VALID), &[]);
    let [tcp] = listening(&server.program, &["TCP"])[..] else { panic!("no TCP") };
    for (version, addr) in [("0x0304", tls), ("0x0303", relay(&scene.issue("server.example", VALID), tcp))] {
        let path = scene.folder.path().join(format!("{version}.pcapng"));
        let keys = scene.folder.path().join(format!("{version}.keys"));
        let target = format!("sip:tone@{addr}");
        let logged = format!("SSLKEYLOGFILE={}", keys.display());
        let arguments = [
            &logged,
            env!("CARGO_BIN_EXE_sip-call"),
            "--json",
            "--audio",
            "none",
            "--codec",
            "pcmu",
            "--transport",
            "tls",
            "--tls-ca",
            &scene.ca,
            "--tls-name",
            "server.example",
            "--duration",
            "300ms",
            "--pcap",
            path.to_str().unwrap(),
            &target,
        ];
        Program::start("/usr/bin/env", arguments).finish().expect(0);
        let port = addr.port();
        let fields = ["-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code"];
        let lines = tshark(&path, port, &[&["-Y", "sip"], &fields[..]].concat());
        // Two that came in one piece stand in one line.
        let lines: Vec<&str> = lines.split([',', '\n', '\t']).filter(|word| !word.is_empty()).collect();
        assert_eq!(lines, ["INVITE", "180", "200", "ACK", "BYE", "200"], "{version}");
        // Sequence numbers run on, checksums are right, nothing is malformed.
        let faults =
            "tcp.analysis.flags || _ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0";
        assert_eq!(tshark(&path, port, &["-o", "tcp.check_checksum:TRUE", "-Y", faults]), "", "{version}");
        let chosen = match version {
            "0x0304" => "tls.handshake.extensions.supported_version",
            _ => "tls.handshake.version",
        };
        let hello = ["-Y", "tls.handshake.type == 2", "-T", "fields", "-e", chosen];
        assert_eq!(tshark(&path, port, &hello).trim(), version);
        assert!(!tshark(&path, port, &["-Y", "rtp"]).is_empty(), "{version}: no RTP");
        // The same secrets are in the key log.
        let logged = std::fs::read_to_string(&keys).unwrap();
        let label = if version == "0x0304" { "CLIENT_TRAFFIC_SECRET_0 " } else { "CLIENT_RANDOM " };
        assert!(logged.lines().any(|line| line.starts_with(label)), "{logged}");
    }
    server.stop();
}
