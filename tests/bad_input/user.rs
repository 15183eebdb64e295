//! What a user may get wrong: files, flags, configuration, devices, ports.

use crate::support::{
    folder::Folder,
    peer::{Peer, free_pair},
    program::{Finished, Program, Server},
};

/// Nobody is called by these.
const TARGET: &str = "sip:bob@127.0.0.1:9";

fn run(args: &[&str]) -> Finished {
    Program::call(args).finish()
}

#[test]
fn a_file_that_is_no_wav() {
    let folder = Folder::new();
    let text = folder.file("song.wav", "This is not a song.\n");
    run(&["--audio", &format!("file:{text}"), TARGET]).expect(24).says(&["song.wav", "not a WAV", "RIFF"]);
    let cut = folder.file("cut.wav", b"RIFF\x24\0\0\0WAVEfmt ");
    run(&["--audio", &format!("file:{cut}"), TARGET]).expect(24).says(&["cut.wav"]);
    let empty = folder.file("empty.wav", "");
    run(&["--audio", &format!("file:{empty}"), TARGET]).expect(24).says(&["empty.wav"]);
    run(&["--audio", "file:/nonexistent/a.wav", TARGET]).expect(24).says(&["/nonexistent/a.wav"]);
    // A header that promises four gigabytes, in a format nobody has.
    let mut odd = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0".to_vec();
    odd.extend([0x99, 0x99, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    odd.extend(b"data\xff\xff\xff\xff");
    let odd = folder.file("odd.wav", odd);
    run(&["--audio", &format!("file:{odd}"), TARGET]).expect(24).says(&["odd.wav"]);
    run(&["--audio", "none", "--record", "/nonexistent/out.wav", TARGET])
        .expect(24)
        .says(&["/nonexistent/out.wav"]);
}

#[test]
fn a_sound_device_that_is_not_there() {
    let finished = run(&["--audio", "device:no-such-card", TARGET]).expect(24);
    finished.says(&["no-such-card"]);
}

#[test]
fn a_configuration_with_a_typo() {
    let folder = Folder::new();
    let rows: [(&str, &[&str]); 6] = [
        ("[defaults]\nring-timout = \"3s\"\n", &[":2:1:", "ring-timout", "did you mean `ring-timeout`?"]),
        ("[defalts]\n", &[":1:2:", "defalts", "did you mean `defaults`?"]),
        ("\n[media]\n  codecs = [\"pcmu\"]\n", &[":3:3:", "codecs", "`codec`"]),
        ("[account.work]\nform = \"sip:a@example.com\"\n", &[":2:1:", "form", "`from`"]),
        ("[defaults]\nring-timeout = 3 s\n", &[":2:16:", "quoted"]),
        ("[defaults]\nring-timeout = \"soon\"\n", &[":2:16:", "soon"]),
    ];
    for (text, words) in rows {
        let path = folder.file("config.toml", text);
        let finished = run(&["--config", &path, "--audio", "none", TARGET]);
        assert_eq!(finished.code, Some(2), "{text}\n{finished}");
        finished.says(&[&path]).says(words);
    }
    run(&["--config", "/nonexistent.toml", TARGET]).expect(2).says(&["/nonexistent.toml"]);
    let path = folder.file("config.toml", "[account.work]\nfrom = \"sip:a@example.com\"\n");
    run(&["--config", &path, "--account", "wrok", TARGET]).expect(2).says(&["wrok", "work"]);
}

#[test]
fn flags_and_targets_that_mean_nothing() {
    let rows: [(&[&str], &[&str]); 16] = [
        (&["--ring-timout", "3s", TARGET], &["--ring-timout", "--ring-timeout"]),
        (&["--duration", "3", TARGET], &["--duration", "3"]),
        (&["--duration", "soon", TARGET], &["--duration", "soon"]),
        (&["--codec", "g729", TARGET], &["g729", "pcmu"]),
        (&["--audio", "musik", TARGET], &["musik", "tone:"]),
        (&["--audio", "tone:loud", TARGET], &["loud"]),
        (&["--dtmf", "12x", TARGET], &["x"]),
        (&["--local", "example.com", TARGET], &["example.com"]),
        (&["--rtp-ports", "5000-4000", TARGET], &["5000-4000"]),
        (&["--pcap", "a.txt", TARGET], &["a.txt", ".pcap"]),
        (&["-H", "no colon", TARGET], &["no colon"]),
        (&["-H", "Evil: a\r\nVia: b", TARGET], &["Evil"]),
        (&[], &["TARGET"]),
        (&["--audio", "none", "sip:"], &["sip:bob@example.com"]),
        (&["--audio", "none", "sip:bob@exa mple.com"], &["sip:bob@example.com"]),
        (&["--audio", "none", "mailto:bob@example.com"], &["sip:bob@example.com"]),
    ];
    for (args, words) in rows {
        let finished = run(args);
        assert_eq!(finished.code, Some(2), "{args:?}\n{finished}");
        finished.says(words);
    }
}

#[test]
fn a_port_in_use() {
    let taken = Peer::new();
    let local = taken.addr.to_string();
    let finished = run(&["--audio", "none", "--local", &local, TARGET]).expect(2);
    finished.says(&[&local, "in use", "--local"]);
    let server = Server::start();
    let path = env!("CARGO_BIN_EXE_sip-test-server");
    let second =
        std::process::Command::new(path).args(["--listen", &server.addr.to_string()]).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use") && said.contains("--listen"), "{said}");
    // 198.51.100.0/24 is for documentation: no machine has it.
    let finished = run(&["--audio", "none", "--local", "198.51.100.7", TARGET]).expect(2);
    finished.says(&["198.51.100.7", "not an address of this host"]);
    // Both media ports of the only pair allowed are taken.
    let (first, _second) = free_pair();
    let port = first.local_addr().unwrap().port();
    let range = format!("{port}-{}", port + 1);
    let peer = Peer::new();
    let finished = run(&["--audio", "none", "--rtp-ports", &range, &peer.uri()]).expect(2);
    finished.says(&["--rtp-ports"]);
    server.stop();
}
