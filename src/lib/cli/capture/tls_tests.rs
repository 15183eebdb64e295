use std::{fs, process::Command};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};

use super::*;
use crate::{
    cli::recorder::Recorder,
    message::Side,
    transport::{
        Packet, Tap,
        stream::Watched,
        tls::{
            ClientAuth, ClientSettings, ClientTls, Credentials, Roots, ServerSettings, ServerTls, Version,
            authority::{Authority, tls12},
        },
    },
};

const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKnashds8\r\n\
    Max-Forwards: 70\r\n\
    From: <sip:alice@example.com>;tag=1928301774\r\n\
    To: <sip:bob@example.com>\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 1 INVITE\r\n\
    Content-Length: 0\r\n\r\n";

const RINGING: &str = "SIP/2.0 180 Ringing\r\n\
    Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKnashds8\r\n\
    From: <sip:alice@example.com>;tag=1928301774\r\n\
    To: <sip:bob@example.com>;tag=a6c85cf\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 1 INVITE\r\n\
    Content-Length: 0\r\n\r\n";

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, say: &str, hear: &str, first: bool) {
    let mut heard = vec![0; hear.len()];
    if first {
        stream.write_all(say.as_bytes()).await.expect("room");
        stream.flush().await.expect("room");
    }
    stream.read_exact(&mut heard).await.expect("what the other says");
    if !first {
        stream.write_all(say.as_bytes()).await.expect("room");
        stream.flush().await.expect("room");
    }
    assert_eq!(heard, hear.as_bytes());
    let _ = stream.shutdown().await;
}

/// Writes a conversation of the client, by TLS 1.2 or 1.3, with its messages shown to the tap as an endpoint does.
async fn capture(name: &str, mode: Option<CaptureMode>, version: Version) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sipkit-{}-{name}", std::process::id()));
    let capture_path: CapturePath = path.to_str().expect("a plain path").parse().expect("a known ending");
    let mode = capture_path.mode(mode).expect("possible");
    let capture = Capture::create(&capture_path, mode, true).expect("a file");
    let recorder = Recorder::start(vec![Box::new(capture)], true, true).expect("a thread");
    let tap = Arc::clone(&recorder) as Arc<dyn Tap>;

    let authority = Authority::new("Test Authority");
    let issued = authority.usual();
    let roots = Roots::pem(authority.pem.as_bytes()).expect("a certificate");
    let client =
        ClientTls::new(ClientSettings { roots, ..ClientSettings::default() }, Some(Arc::clone(&tap)));
    let (near, far) = duplex(4096);
    let local = "192.0.2.1:40000".parse().expect("an address");
    let remote = "192.0.2.2:5061".parse().expect("an address");
    let near = Watched::new(near, Protocol::Tls, Side::Opened, (local, remote), Some(Arc::clone(&tap)));
    let call = async {
        let (stream, _) = client.connect("example.com", near).await.expect("a connection");
        for (direction, message) in [(Direction::Sent, INVITE), (Direction::Received, RINGING)] {
            let (at, bytes) = (SystemTime::now(), message.as_bytes());
            let (kind, protocol) = (PacketKind::Sip, Protocol::Tls);
            tap.packet(&Packet { at, kind, direction, protocol, local, remote, bytes });
        }
        exchange(stream, INVITE, RINGING, true).await;
    };
    let serve = async {
        match version {
            Version::Tls12 => {
                let stream = tls12(&issued).accept(far).await.expect("a connection");
                exchange(stream, RINGING, INVITE, false).await;
            }
            Version::Tls13 => {
                let credentials = Credentials::pem(issued.certificate.as_bytes(), issued.key.as_bytes());
                let credentials = credentials.expect("they belong together");
                let settings = ServerSettings { credentials, clients: ClientAuth::None, minimum: version };
                let server = ServerTls::new(settings, None).expect("settings of ours");
                let (stream, _) = server.accept(far).await.expect("a connection");
                exchange(stream, RINGING, INVITE, false).await;
            }
        }
    };
    tokio::join!(call, serve);
    assert_eq!(recorder.finish(), 0);
    path
}

/// What Wireshark has to say, without any help from outside.
fn tshark(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark").arg("-n").arg("-r").arg(path).args(arguments).output();
    let output = output.expect("tshark is installed with the other tools for tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

const LINES: [&str; 8] = ["-Y", "sip", "-T", "fields", "-e", "sip.Request-Line", "-e", "sip.Status-Line"];

#[tokio::test]
async fn wireshark_decrypts_both_versions_from_the_file_alone() {
    for (version, number) in [(Version::Tls12, "0x0303"), (Version::Tls13, "0x0304")] {
        let path = capture(&format!("{version}.pcapng"), None, version).await;
        let lines = tshark(&path, &LINES);
        let lines: Vec<&str> = lines.lines().map(str::trim).collect();
        assert_eq!(lines, ["INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 180 Ringing"], "TLS {version}");
        let troubles =
            "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || _ws.expert.severity == error";
        assert_eq!(tshark(&path, &["-o", "tcp.check_checksum:TRUE", "-Y", troubles]), "", "TLS {version}");
        let hello = ["-Y", "tls.handshake.type == 2", "-T", "fields"];
        let field = match version {
            Version::Tls12 => "tls.handshake.version",
            Version::Tls13 => "tls.handshake.extensions.supported_version",
        };
        assert_eq!(tshark(&path, &[&hello[..], &["-e", field]].concat()).trim(), number);
        let _ = fs::remove_file(path);
    }
}

#[tokio::test]
async fn plain_and_both() {
    for (name, mode, expected) in [
        ("plain.pcapng", Some(CaptureMode::Plain), 2),
        ("plain.pcap", None, 2),
        ("both.pcapng", Some(CaptureMode::Both), 4),
    ] {
        let path = capture(name, mode, Version::Tls13).await;
        assert_eq!(tshark(&path, &LINES).lines().count(), expected, "{name}");
        assert_eq!(tshark(&path, &["-Y", "_ws.malformed"]), "", "{name}");
        if mode == Some(CaptureMode::Both) {
            let second =
                ["-Y", "sip && frame.interface_id == 1", "-T", "fields", "-e", "frame.interface_name"];
            assert_eq!(tshark(&path, &second), "plain\nplain\n");
        } else {
            assert_eq!(tshark(&path, &["-Y", "tcp"]), "", "{name}");
        }
        let _ = fs::remove_file(path);
    }
}
