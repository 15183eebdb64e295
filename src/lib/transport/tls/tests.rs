//! Certificates against names, and whole handshakes over a pipe in memory.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use rcgen::ExtendedKeyUsagePurpose as Purpose;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::{
    authority::{Authority, Issued, Leaf, sip_domain, tls12},
    certificate::Usage,
    config::provider,
    error::{Refusal, Why},
    identity::{Mismatch, Name, Reference},
    *,
};
use crate::transport::{Packet, Tap};

fn trust(roots: &Roots) -> Trust {
    match roots {
        Roots::These(store) => Trust::new(Arc::clone(store), provider()),
        Roots::Platform => panic!("tests have their own roots"),
    }
}

fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(issued.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .expect("PEM of ours")
}

fn roots(authority: &Authority) -> Roots {
    Roots::pem(authority.pem.as_bytes()).expect("a certificate")
}

fn credentials(issued: &Issued) -> Credentials {
    Credentials::pem(issued.certificate.as_bytes(), issued.key.as_bytes()).expect("they belong together")
}

/// A verdict without the particulars.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Verdict {
    Fine,
    Others,
    Nameless,
    Wildcard,
    BesideUri,
    BesideAlternative,
    Expired,
    NotYet,
    NotForServers,
    CaAsLeaf,
    UnknownIssuer,
}

fn verdict(result: Result<Name, Refusal>) -> Verdict {
    match result.map_err(|refusal| refusal.why) {
        Ok(_) => Verdict::Fine,
        Err(Why::Name(Mismatch::Others)) => Verdict::Others,
        Err(Why::Name(Mismatch::Nameless)) => Verdict::Nameless,
        Err(Why::Name(Mismatch::Wildcard(_))) => Verdict::Wildcard,
        Err(Why::Name(Mismatch::BesideUri(_))) => Verdict::BesideUri,
        Err(Why::Name(Mismatch::BesideAlternative(_))) => Verdict::BesideAlternative,
        Err(Why::Expired { .. }) => Verdict::Expired,
        Err(Why::NotYetValid { .. }) => Verdict::NotYet,
        Err(Why::NotForServers(_)) => Verdict::NotForServers,
        Err(Why::CaAsLeaf) => Verdict::CaAsLeaf,
        Err(Why::UnknownIssuer) => Verdict::UnknownIssuer,
        Err(other) => panic!("no row for {other:?}"),
    }
}

#[test]
fn certificates_against_names() {
    use Verdict::*;
    let authority = Authority::new("Test Authority");
    let trust = trust(&roots(&authority));
    let leaf = Leaf::default;
    let domain = || vec!["example.com"];
    for (what, leaf, reference, expected) in [
        ("URI only", Leaf { uris: vec!["sip:example.com"], ..leaf() }, "example.com", Fine),
        ("URI only, of another case", Leaf { uris: vec!["SIP:Example.COM"], ..leaf() }, "example.com", Fine),
        ("URI only, another domain", Leaf { uris: vec!["sip:example.com"], ..leaf() }, "example.net", Others),
        (
            "URI for another name, the right DNS name",
            Leaf { uris: vec!["sip:other.test"], dns: domain(), ..leaf() },
            "example.com",
            BesideUri,
        ),
        (
            "the URI is right, the DNS name is another",
            Leaf { uris: vec!["sip:example.com"], dns: vec!["sip1.example.net"], ..leaf() },
            "example.com",
            Fine,
        ),
        ("user URI only", Leaf { uris: vec!["sip:alice@example.com"], ..leaf() }, "example.com", Nameless),
        (
            "user URI and DNS name",
            Leaf { uris: vec!["sip:alice@example.com"], dns: domain(), ..leaf() },
            "example.com",
            Fine,
        ),
        ("sips URI only", Leaf { uris: vec!["sips:example.com"], ..leaf() }, "example.com", Nameless),
        ("DNS name", Leaf { dns: domain(), ..leaf() }, "example.com", Fine),
        ("DNS name, a host below it", Leaf { dns: domain(), ..leaf() }, "sip.example.com", Others),
        ("wildcard", Leaf { dns: vec!["*.example.com"], ..leaf() }, "sip.example.com", Wildcard),
        ("wildcard by its letters", Leaf { dns: vec!["*.example.com"], ..leaf() }, "*.example.com", Fine),
        ("CN only", Leaf { common_name: "example.com", ..leaf() }, "example.com", Fine),
        ("CN only, another", Leaf { common_name: "example.com", ..leaf() }, "example.net", Others),
        (
            "CN beside a DNS name",
            Leaf { common_name: "example.com", dns: vec!["other.test"], ..leaf() },
            "example.com",
            BesideAlternative,
        ),
        ("IP address", Leaf { ips: vec!["192.0.2.1", "2001:db8::1"], ..leaf() }, "[2001:db8::1]", Fine),
        ("IP address, another", Leaf { ips: vec!["192.0.2.1"], ..leaf() }, "192.0.2.2", Others),
        ("no usages", Leaf { dns: domain(), usages: vec![], ..leaf() }, "example.com", Fine),
        (
            "sipDomain alone",
            Leaf { dns: domain(), usages: vec![sip_domain()], ..leaf() },
            "example.com",
            Fine,
        ),
        (
            "sipDomain among others",
            Leaf { dns: domain(), usages: vec![Purpose::EmailProtection, sip_domain()], ..leaf() },
            "example.com",
            Fine,
        ),
        ("any usage", Leaf { dns: domain(), usages: vec![Purpose::Any], ..leaf() }, "example.com", Fine),
        (
            "clients only",
            Leaf { dns: domain(), usages: vec![Purpose::ClientAuth], ..leaf() },
            "example.com",
            NotForServers,
        ),
        ("an authority", Leaf { dns: domain(), ca: true, ..leaf() }, "example.com", CaAsLeaf),
        ("expired", Leaf { dns: domain(), valid: (-30, -3), ..leaf() }, "example.com", Expired),
        ("not yet valid", Leaf { dns: domain(), valid: (2, 30), ..leaf() }, "example.com", NotYet),
    ] {
        let chain = chain(&authority.issue(&leaf));
        let result = trust.server(&chain, &Reference::new(reference), SystemTime::now());
        if let Err(refusal) = &result {
            assert!(!refusal.to_string().contains("  "), "{refusal}");
        }
        assert_eq!(verdict(result), expected, "{what}");
    }
}

#[test]
fn chains() {
    let authority = Authority::new("Test Authority");
    let trust_authority = trust(&roots(&authority));
    let now = SystemTime::now();
    let reference = Reference::new("example.com");
    let below = authority.below("Intermediate");
    let mut issued = below.usual();
    let alone =
        trust_authority.server(&chain(&issued), &reference, now).expect_err("nothing leads to the root");
    assert_eq!(alone.why, Why::UnknownIssuer);
    assert!(alone.to_string().contains("no intermediate certificates came with it"), "{alone}");
    issued.certificate.push_str(&below.pem);
    assert_eq!(verdict(trust_authority.server(&chain(&issued), &reference, now)), Verdict::Fine);

    let stranger = chain(&Authority::new("Stranger").usual());
    let refusal = trust_authority.server(&stranger, &reference, now).expect_err("not trusted");
    assert_eq!(
        refusal.to_string().split(" (it names").next(),
        Some("the peer's certificate for example.com comes from an authority that we do not know")
    );
    // The same name, another key.
    let refusal = trust_authority.server(&chain(&Authority::new("Test Authority").usual()), &reference, now);
    assert_eq!(refusal.expect_err("not trusted").why, Why::BadSignature);

    // Signed by itself and no authority: fine for who says so.
    let leaf = Leaf { dns: vec!["example.com"], common_name: "pbx", ..Leaf::default() }.self_signed();
    let refusal = trust_authority.server(&chain(&leaf), &reference, now).expect_err("not trusted");
    assert!(refusal.to_string().contains("signed by itself"), "{refusal}");
    let pinned = Roots::pem(leaf.certificate.as_bytes()).expect("a certificate");
    assert_eq!(verdict(trust(&pinned).server(&chain(&leaf), &reference, now)), Verdict::Fine);

    let nonsense = [CertificateDer::from(vec![0x30, 3, 1, 2, 3])];
    let refusal = trust_authority.server(&nonsense, &reference, now).expect_err("no certificate");
    assert!(refusal.to_string().contains("it is no X.509 certificate"), "{refusal}");
    assert!(trust_authority.server(&[], &reference, now).is_err());
}

#[test]
fn refusals_say_what_was_expected_and_what_came() {
    let authority = Authority::new("Test Authority");
    let trust = trust(&roots(&authority));
    let now = SystemTime::now();
    let text = |leaf: &Leaf, reference: &str| {
        let refusal = trust.server(&chain(&authority.issue(leaf)), &Reference::new(reference), now);
        refusal.expect_err("refused").to_string()
    };
    let wrong = text(&Leaf { dns: vec!["a.test", "b.test"], ..Leaf::default() }, "example.com");
    let start = "the peer's certificate is not for example.com (it names DNS a.test, DNS b.test; issued by CN=Test \
                 Authority; expires 2";
    assert!(wrong.starts_with(start), "{wrong}");
    assert!(wrong.ends_with("--tls-name NAME"), "{wrong}");
    let wildcard = text(&Leaf { dns: vec!["*.example.com"], ..Leaf::default() }, "sip.example.com");
    assert!(wildcard.contains("RFC 5922 section 7.2") && wildcard.contains("--tls-name"), "{wildcard}");
    let expired =
        text(&Leaf { dns: vec!["example.com"], valid: (-30, -3), ..Leaf::default() }, "example.com");
    assert!(
        expired.starts_with("the peer's certificate for example.com has expired 3 days ago, on 2"),
        "{expired}"
    );
    let client = Leaf { dns: vec!["example.com"], usages: vec![Purpose::ClientAuth], ..Leaf::default() };
    let client = text(&client, "example.com");
    assert!(client.contains("is not for servers: its usages are clientAuth"), "{client}");
}

#[test]
fn a_certificate_is_read_whole() {
    let authority = Authority::new("Test Authority");
    let leaf = Leaf {
        uris: vec!["sip:example.com"],
        dns: vec!["sip.example.com"],
        ips: vec!["192.0.2.1"],
        common_name: "bad\u{1b}[31mname",
        usages: vec![sip_domain(), Purpose::ServerAuth],
        ..Leaf::default()
    };
    let read = certificate::Certificate::read(&chain(&authority.issue(&leaf))[0]).expect("well-formed");
    assert_eq!(read.issuer, "CN=Test Authority");
    assert_eq!(read.key, "EC 256 bits");
    assert_eq!(read.names.alternative.len(), 3);
    assert!(!read.subject.contains('\u{1b}'), "control characters do not reach a terminal");
    assert_eq!(read.usages, Some(vec![Usage::ServerAuth, Usage::SipDomain]));
    assert!(!read.is_ca && !read.is_self_issued());
    assert!(read.not_before < read.not_after);
}

/// What a tap is told in confidence.
#[derive(Default)]
struct Confidant(Mutex<Vec<String>>);

impl Tap for Confidant {
    fn packet(&self, _: &Packet<'_>) {}

    fn secret(&self, line: &str) {
        self.0.lock().expect("unpoisoned").push(line.to_owned());
    }
}

type Outcome = (Result<Session, TlsError>, Result<Session, TlsError>);

/// A handshake, and then a few octets both ways: in TLS 1.3 the client learns only with them what the server thinks
/// of its certificate.
async fn meet(client: &ClientTls, server: &ServerTls, domain: &str) -> Outcome {
    let (near, far) = duplex(4096);
    let serve = async {
        let (mut stream, session) = server.accept(far).await?;
        let mut got = [0; 4];
        let failed = |error: std::io::Error| {
            TlsError::of_connection(&error).unwrap_or_else(|| TlsError::Io(error.kind()))
        };
        stream.read_exact(&mut got).await.map_err(failed)?;
        stream.write_all(&got).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        Ok(session)
    };
    let call = async {
        let (mut stream, session) = client.connect(domain, near).await?;
        let failed = |error: std::io::Error| {
            TlsError::of_connection(&error).unwrap_or_else(|| TlsError::Io(error.kind()))
        };
        stream.write_all(b"ping").await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let mut got = [0; 4];
        stream.read_exact(&mut got).await.map_err(failed)?;
        assert_eq!(&got, b"ping");
        Ok(session)
    };
    tokio::join!(call, serve)
}

fn client(settings: ClientSettings) -> ClientTls {
    ClientTls::new(settings, None)
}

fn server(issued: &Issued, clients: ClientAuth) -> ServerTls {
    let settings = ServerSettings { credentials: credentials(issued), clients, minimum: Version::default() };
    ServerTls::new(settings, None).expect("settings of ours")
}

#[tokio::test]
async fn both_versions_and_their_secrets() {
    let authority = Authority::new("Test Authority");
    let issued = authority.usual();
    let confidant = Arc::new(Confidant::default());
    let settings = ClientSettings { roots: roots(&authority), ..ClientSettings::default() };
    let client = ClientTls::new(settings.clone(), Some(Arc::clone(&confidant) as Arc<dyn Tap>));

    let (called, served) = meet(&client, &server(&issued, ClientAuth::None), "example.com").await;
    let (called, served) = (called.expect("a connection"), served.expect("a connection"));
    assert_eq!((called.version, called.alpn.as_deref()), ("1.3", None));
    assert!(called.cipher.starts_with("TLS_"), "{}", called.cipher);
    assert_eq!(called.verification, Verification::Server(Name::Dns("example.com".into())));
    assert_eq!(served.verification, Verification::NoCertificate);
    let text = called.to_string();
    assert!(text.starts_with("TLS 1.3 with TLS_") && text.contains("verified as DNS example.com"), "{text}");
    let labels: Vec<String> = {
        let lines = confidant.0.lock().expect("unpoisoned");
        lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"] {
        assert!(labels.iter().any(|own| own == label), "{labels:?}");
    }

    let (near, far) = duplex(4096);
    let old = tls12(&issued);
    let (called, served) = tokio::join!(client.connect("example.com", near), old.accept(far));
    served.expect("a connection");
    assert_eq!(called.expect("a connection").1.version, "1.2");
    let secrets = confidant.0.lock().expect("unpoisoned").join("\n");
    assert!(secrets.contains("CLIENT_RANDOM "));

    let (near, far) = duplex(4096);
    let strict = self::client(ClientSettings { minimum: Version::Tls13, ..settings });
    let (called, _) = tokio::join!(strict.connect("example.com", near), old.accept(far));
    assert_eq!(called.expect_err("too old").to_string(), TlsError::BelowMinimum.to_string());
}

#[tokio::test]
async fn refused_servers() {
    let authority = Authority::new("Test Authority");
    let settings = || ClientSettings { roots: roots(&authority), ..ClientSettings::default() };
    let strict = client(settings());
    let refusal = |outcome: Outcome| match outcome {
        (Err(TlsError::Refused(refusal)), Err(served)) => {
            assert!(
                matches!(served, TlsError::Alert { .. } | TlsError::OurCertificateRefused { .. }),
                "{served}"
            );
            *refusal
        }
        other => panic!("{other:?}"),
    };
    let usual = server(&authority.usual(), ClientAuth::None);
    let wrong = refusal(meet(&strict, &usual, "example.net").await);
    assert_eq!(wrong.why, Why::Name(Mismatch::Others));
    assert_eq!(wrong.expected, Some(Reference::new("example.net")));

    let expired = authority.issue(&Leaf { dns: vec!["example.com"], valid: (-30, -3), ..Leaf::default() });
    let expired = server(&expired, ClientAuth::None);
    let outcome = refusal(meet(&strict, &expired, "example.com").await);
    assert!(matches!(outcome.why, Why::Expired { .. }), "{outcome}");

    let stranger = server(&Authority::new("Stranger").usual(), ClientAuth::None);
    assert_eq!(refusal(meet(&strict, &stranger, "example.com").await).why, Why::UnknownIssuer);

    // Another name to check, by its letters if it is a wildcard.
    let named = client(ClientSettings { name: Some("example.com".into()), ..settings() });
    meet(&named, &usual, "192.0.2.1").await.0.expect("the right name");
    let wildcard = authority.issue(&Leaf { dns: vec!["*.example.com"], ..Leaf::default() });
    let wildcard = server(&wildcard, ClientAuth::None);
    let named = client(ClientSettings { name: Some("*.example.com".into()), ..settings() });
    meet(&named, &wildcard, "sip.example.com").await.0.expect("the right letters");

    // Told not to care: accepted, and remembered.
    let careless = client(ClientSettings { insecure: true, ..settings() });
    let session = meet(&careless, &stranger, "example.com").await.0.expect("accepted");
    assert!(matches!(&session.verification, Verification::Insecure(why) if why.why == Why::UnknownIssuer));
    assert!(session.to_string().contains("NOT verified"), "{session}");

    let (near, _far) = duplex(64);
    let failed = strict.connect("", near).await.map(|(_, session)| session);
    assert_eq!(failed, Err(TlsError::BadName(String::new())));
}

#[tokio::test]
async fn mutual_tls() {
    let authority = Authority::new("Test Authority");
    let own = authority.issue(&Leaf { uris: vec!["sip:client.test"], ..Leaf::default() });
    let settings =
        |credentials| ClientSettings { roots: roots(&authority), credentials, ..ClientSettings::default() };
    let usual = authority.usual();
    let required = server(&usual, ClientAuth::Required(roots(&authority)));
    let optional = server(&usual, ClientAuth::Optional(roots(&authority)));

    let known = client(settings(Some(credentials(&own))));
    for server in [&required, &optional] {
        let (called, served) = meet(&known, server, "example.com").await;
        assert!(called.expect("accepted").shown);
        let served = served.expect("accepted");
        assert_eq!(served.verification, Verification::Client);
        let names = served.peer.expect("a certificate").names.counting();
        assert_eq!(names, [Name::Uri("sip:client.test".into())]);
    }

    let unknown = client(settings(None));
    let (called, served) = meet(&unknown, &required, "example.com").await;
    assert_eq!(called.expect_err("refused"), TlsError::ClientCertificateRequired);
    assert_eq!(served.expect_err("refused"), TlsError::NoClientCertificate);
    let (called, served) = meet(&unknown, &optional, "example.com").await;
    assert!(!called.expect("accepted").shown);
    assert_eq!(served.expect("accepted").verification, Verification::NoCertificate);

    let stranger = Authority::new("Stranger").usual();
    let (called, served) =
        meet(&client(settings(Some(credentials(&stranger)))), &required, "example.com").await;
    assert_eq!(
        called.expect_err("refused"),
        TlsError::OurCertificateRefused { alert: "certificate_unknown" }
    );
    let served = served.expect_err("refused").to_string();
    assert!(
        served.starts_with("the client's certificate comes from an authority that we do not know"),
        "{served}"
    );

    let for_servers = Leaf { dns: vec!["a.test"], usages: vec![Purpose::ServerAuth], ..Leaf::default() };
    let for_servers = client(settings(Some(credentials(&authority.issue(&for_servers)))));
    let served = meet(&for_servers, &required, "example.com").await.1.expect_err("refused").to_string();
    assert!(served.contains("is not for clients: its usages are serverAuth"), "{served}");
}

#[tokio::test]
async fn peers_that_speak_something_else() {
    let authority = Authority::new("Test Authority");
    let client = client(ClientSettings { roots: roots(&authority), ..ClientSettings::default() });
    for (answer, expected) in [
        (&b"SIP/2.0 400 Bad Request\r\n\r\n"[..], TlsError::NotTls),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", TlsError::NotTls),
        (b"", TlsError::Eof),
        // Alerts: handshake_failure and protocol_version, as old servers answer.
        (&[21, 3, 1, 0, 2, 2, 40], TlsError::NothingInCommon),
        (&[21, 3, 1, 0, 2, 2, 70], TlsError::PeerTooOld { version: "1.1" }),
    ] {
        let (near, mut far) = duplex(4096);
        let serve = async {
            let mut hello = [0; 64];
            far.read_exact(&mut hello).await.expect("a hello");
            far.write_all(answer).await.expect("room");
            drop(far);
        };
        let (called, ()) = tokio::join!(client.connect("example.com", near), serve);
        assert_eq!(called.map(|(_, session)| session), Err(expected), "{answer:?}");
    }
    // And a server hello of TLS 1.1 that chooses RSA key exchange.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let (near, mut far) = duplex(4096);
    let serve = async {
        let mut ours = [0; 64];
        far.read_exact(&mut ours).await.expect("a hello");
        far.write_all(&hello).await.expect("room");
        far
    };
    let (called, _far) = tokio::join!(client.connect("example.com", near), serve);
    assert_eq!(
        called.map(|(_, session)| session).expect_err("too old"),
        TlsError::PeerTooOld { version: "1.1" }
    );
}

#[test]
fn files_that_cannot_be_used() {
    let authority = Authority::new("Test Authority");
    let (a, b) = (authority.usual(), authority.usual());
    let error = |certificate: &str, key: &str| {
        Credentials::pem(certificate.as_bytes(), key.as_bytes()).expect_err("unusable").to_string()
    };
    assert!(error(&a.certificate, &b.key).contains("does not belong to the certificate"));
    assert!(error("", &a.key).starts_with("there is no certificate in memory"));
    assert!(error(&a.certificate, &a.certificate).starts_with("there is no private key in memory"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(error(&a.certificate, encrypted).contains("is encrypted"));
    let missing = Roots::files(&["/nonexistent/ca.pem"]).expect_err("not there").to_string();
    assert_eq!(missing, "cannot read /nonexistent/ca.pem: there is no such file");
}
