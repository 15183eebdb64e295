//! `sip-tls-check` against servers of ours, and against OpenSSL for what rustls does not speak.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rcgen::ExtendedKeyUsagePurpose as Purpose;
use serde_json::Value;
use sipkit::transport::tls::{ClientAuth, Credentials, Roots, ServerSettings, ServerTls, Version};
use tokio::io::AsyncReadExt;

use crate::{
    authority::{Authority, Issued, Leaf, sip_domain, tls12},
    support::{PATIENCE, folder::Folder, program::Finished, program::Program},
};

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Test Authority"))
}

/// A server on a free port, until the test process ends.
fn serve(server: impl FnOnce() -> Kind + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let server = server();
            while let Ok((stream, _)) = listener.accept().await {
                match &server {
                    Kind::Ours(server) => {
                        if let Ok((mut stream, _)) = server.accept(stream).await {
                            let _ = stream.read(&mut [0; 64]).await;
                        }
                    }
                    Kind::Old(server) => {
                        if let Ok(mut stream) = server.accept(stream).await {
                            let _ = stream.read(&mut [0; 64]).await;
                        }
                    }
                    Kind::Plain => {
                        use tokio::io::AsyncWriteExt;
                        let mut stream = stream;
                        let _ = stream.read(&mut [0; 64]).await;
                        let _ = stream.write_all(b"SIP/2.0 400 Bad Request\r\n\r\n").await;
                    }
                }
            }
        });
    });
    addr
}

enum Kind {
    Ours(ServerTls),
    Old(tokio_rustls::TlsAcceptor),
    Plain,
}

fn ours(issued: &Issued, clients: ClientAuth) -> SocketAddr {
    let credentials = Credentials::pem(issued.certificate.as_bytes(), issued.key.as_bytes()).unwrap();
    let settings = ServerSettings { credentials, clients, minimum: Version::default() };
    serve(|| Kind::Ours(ServerTls::new(settings, None).unwrap()))
}

/// Checks it as example.com, trusting the authority of these tests.
fn check(addr: SocketAddr, more: &[&str]) -> Finished {
    let folder = Folder::new();
    let ca = folder.file("ca.pem", &authority().pem);
    let target = addr.to_string();
    let usual = ["--json", "--tls-ca", &ca, "--tls-name", "example.com", &target];
    run(usual.iter().chain(more))
}

fn run<'a>(args: impl IntoIterator<Item = &'a &'a str>) -> Finished {
    Program::start(env!("CARGO_BIN_EXE_sip-tls-check"), args).finish()
}

/// The event, after it was held against the schema.
#[track_caller]
fn report(finished: &Finished) -> Value {
    let schema: Value = serde_json::from_str(sipkit::cli::EVENT_SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for event in finished.events() {
        let errors: Vec<_> = schema.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event}\n{errors:#?}");
    }
    finished.events().into_iter().find(|event| event["event"] == "tls").expect("a report")
}

#[test]
fn a_server_that_is_in_order() {
    let leaf = Leaf {
        uris: vec!["sip:example.com", "sip:alice@example.com"],
        dns: vec!["*.example.com"],
        usages: vec![sip_domain(), Purpose::ServerAuth],
        ..Leaf::default()
    };
    let addr = ours(&authority().issue(&leaf), ClientAuth::None);
    let finished = check(addr, &[]).expect(0);
    let report = report(&finished);
    assert_eq!(report["verified_as"], "URI sip:example.com");
    assert_eq!((&report["trusted"], &report["problem"]), (&Value::from(true), &Value::Null));
    assert_eq!((&report["version"], &report["expires_soon"]), (&"1.3".into(), &false.into()));
    let accepted: Vec<_> = (0..4).map(|at| report["versions"][at]["accepted"].clone()).collect();
    assert_eq!(accepted, [true, true, false, false]);
    assert_eq!(report["rsa_key_exchange"], false);
    assert_eq!(report["certificates"][0]["counting"], serde_json::json!(["URI sip:example.com"]));
    assert_eq!(report["certificates"][0]["usages"], serde_json::json!(["serverAuth", "sipDomain"]));
    let remarks = report["remarks"].to_string();
    for needed in ["only sip: URIs count", "names a user", "wildcard, which never matches", "sipDomain"] {
        assert!(remarks.contains(needed), "{remarks}");
    }

    // For a person.
    let folder = Folder::new();
    let ca = folder.file("ca.pem", &authority().pem);
    let finished =
        run(&["--tls-ca", &ca, "--tls-name", "example.com", &addr.to_string(), "--warn-days", "60"]);
    let finished = finished.expect(0).says(&["the certificate expires in 29 days"]);
    for needed in [
        &format!("example.com at {addr}\n  verdict      trusted as URI sip:example.com\n")[..],
        "issued by    CN=Test Authority",
        "29 days left: RENEW IT",
        "versions     1.3 yes, 1.2 yes, 1.1 no, 1.0 no",
    ] {
        assert!(finished.out.contains(needed), "no {needed:?} in {}", finished.out);
    }
}

#[test]
fn every_kind_of_certificate_has_its_verdict() {
    let dns = || vec!["example.com"];
    for (leaf, exit, told) in [
        (Leaf { dns: dns(), ..Leaf::default() }, 0, ""),
        (Leaf { common_name: "example.com", ..Leaf::default() }, 0, ""),
        (Leaf { dns: dns(), usages: vec![], ..Leaf::default() }, 0, ""),
        (
            Leaf { uris: vec!["sip:other.test"], dns: dns(), ..Leaf::default() },
            22,
            "it has a sip: URI, and beside that DNS example.com does not count",
        ),
        (
            Leaf { uris: vec!["sip:a@example.com"], ..Leaf::default() },
            22,
            "names no SIP domain: expected example.com",
        ),
        (
            Leaf { dns: vec!["*.com"], ..Leaf::default() },
            22,
            "wildcards never match in SIP (RFC 5922 section 7.2)",
        ),
        (
            Leaf { dns: vec!["other.test"], ..Leaf::default() },
            22,
            "it names DNS other.test; issued by CN=Test Authority",
        ),
        (Leaf { dns: dns(), valid: (-9, -2), ..Leaf::default() }, 22, "has expired 2 days ago"),
        (Leaf { dns: dns(), ca: true, ..Leaf::default() }, 22, "is the certificate of an authority"),
        (Leaf { dns: dns(), usages: vec![Purpose::ClientAuth], ..Leaf::default() }, 22, "is not for servers"),
    ] {
        let addr = ours(&authority().issue(&leaf), ClientAuth::None);
        let finished = check(addr, &[]).expect(exit);
        let report = report(&finished);
        assert_eq!(report["trusted"], exit == 0, "{finished}");
        if exit != 0 {
            finished.says(&[told, &addr.to_string()]);
        }
    }
    // With what leads to the authority, and without it.
    let below = authority().below("Intermediate");
    let mut issued = below.usual();
    let finished = check(ours(&issued, ClientAuth::None), &[]).expect(22);
    finished.says(&["no intermediate certificates came with it"]);
    issued.certificate += &below.pem;
    let report_of_chain = report(&check(ours(&issued, ClientAuth::None), &[]).expect(0));
    assert_eq!(report_of_chain["certificates"][1]["subject"], "CN=Intermediate");
    let own = Leaf { dns: dns(), common_name: "pbx", ..Leaf::default() }.self_signed();
    let addr = ours(&own, ClientAuth::None);
    check(addr, &[]).expect(22).says(&["is signed by itself", "trust it with --tls-ca FILE"]);
    let folder = Folder::new();
    check(addr, &["--tls-ca", &folder.file("own.pem", &own.certificate)]).expect(0);

    let addr = ours(&Authority::new("Stranger").usual(), ClientAuth::None);
    let finished = check(addr, &[]).expect(22).says(&["from an authority that we do not know", "--tls-ca"]);
    assert_eq!(report(&finished)["certificates"][0]["issuer"], "CN=Stranger");
    let finished = check(addr, &["--tls-insecure"]).expect(0).says(&["--tls-insecure", "do not know"]);
    assert_eq!(report(&finished)["trusted"], false);
}

#[test]
fn clients_with_and_without_a_certificate() {
    let issued = authority().usual();
    let roots = Roots::pem(authority().pem.as_bytes()).unwrap();
    let addr = ours(&issued, ClientAuth::Required(roots.clone()));
    let finished = check(addr, &[]).expect(22).says(&["asks for a client certificate", "--tls-cert"]);
    assert_eq!(report(&finished)["asks_client"], true);
    let folder = Folder::new();
    let own = folder.file("own.pem", issued.certificate.clone() + &issued.key);
    let finished = check(addr, &["--tls-cert", &own]).expect(0);
    assert_eq!(report(&finished)["asks_client"], true);
    let stranger = Authority::new("Stranger").usual();
    let stranger = folder.file("stranger.pem", stranger.certificate.clone() + &stranger.key);
    check(addr, &["--tls-cert", &stranger]).expect(22).says(&["the peer does not accept our certificate"]);
    check(addr, &["--tls-cert", "nowhere.pem"]).expect(2).says(&["cannot read nowhere.pem"]);
    let addr = ours(&issued, ClientAuth::Optional(roots));
    assert_eq!(report(&check(addr, &[]).expect(0))["asks_client"], true);
}

#[test]
fn servers_that_are_not_there_or_not_what_they_should_be() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(unused, &[]).expect(21).says(&[&format!("connection refused by {unused}/tls")]);
    let plain = serve(|| Kind::Plain);
    check(plain, &[]).expect(22).says(&["does not speak TLS on this port"]);
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    check(addr, &["--step-timeout", "200ms"]).expect(22).says(&["does not answer the TLS handshake"]);
    run(&["--json", "nobody.invalid"]).expect(20).says(&["nobody.invalid"]);
    run(&["--json", "sip:"]).expect(2);
    let issued = authority().usual();
    let old = serve(move || Kind::Old(tls12(&issued)));
    let finished = check(old, &[]).expect(0);
    assert_eq!(report(&finished)["version"], "1.2");
    check(old, &["--tls-min", "1.3"]).expect(22).says(&["does not speak TLS 1.3"]);
}

/// `openssl s_server`, ended with the test.
struct OpenSsl {
    child: Child,
    addr: SocketAddr,
}

impl OpenSsl {
    fn start(folder: &Folder, flags: &[&str]) -> Self {
        let leaf = authority().usual();
        let own = folder.file("server.pem", leaf.certificate + &leaf.key);
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &addr.to_string(), "-cert", &own, "-key", &own]);
        let child = command.args(flags).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = child.spawn().expect("openssl is installed with the other tools for tests");
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < until, "openssl s_server {flags:?} does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, addr }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn old_versions_are_told_apart() {
    for (flags, told, accepted) in [
        (&["-tls1_1", "-cipher", "ALL@SECLEVEL=0"][..], "speaks only TLS 1.1", [false, false, true, false]),
        (&["-tls1", "-cipher", "ALL@SECLEVEL=0"], "speaks only TLS 1.0", [false, false, false, true]),
        (&["-no_tls1_3", "-cipher", "ALL@SECLEVEL=0"], "", [false, true, true, true]),
    ] {
        let folder = Folder::new();
        let server = OpenSsl::start(&folder, flags);
        let finished = check(server.addr, &[]);
        let report = report(&finished);
        let versions: Vec<_> = (0..4).map(|at| report["versions"][at]["accepted"].clone()).collect();
        assert_eq!(versions, accepted, "{flags:?}");
        if told.is_empty() {
            finished.expect(0);
        } else {
            finished.expect(22).says(&[told, "TLS 1.2 is the oldest version supported"]);
        }
    }
}

#[test]
fn a_capture_has_the_handshakes() {
    let folder = Folder::new();
    let path = folder.path().join("a.pcapng");
    let addr = ours(&authority().usual(), ClientAuth::None);
    check(addr, &["--pcap", path.to_str().unwrap()]).expect(0);
    let port = format!("tcp.port=={},tls", addr.port());
    let filter = ["-Y", "tls.handshake.type == 11", "-T", "fields", "-e", "x509ce.dNSName"];
    let output =
        Command::new("tshark").arg("-n").arg("-r").arg(&path).args(["-d", &port]).args(filter).output();
    let output = output.expect("tshark is installed with the other tools for tests");
    // In TLS 1.3 a certificate is seen only by who has the secrets.
    let names = String::from_utf8(output.stdout).unwrap();
    assert!(names.lines().count() >= 2 && names.lines().all(|line| line == "example.com"), "{names}");
}
