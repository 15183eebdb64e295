//! A call through a sound card: cpal's ALSA host on a PulseAudio of the test's own, whose sinks go nowhere.
//!
//! Sound systems read their configuration from the environment, which cannot be changed safely in a process with
//! threads: each test runs its half of the call in a child, which is this same test binary.
#![cfg(feature = "audio")]

mod pulse;

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sipkit::endpoint::media::{MediaEvent, MediaThread, Start};
use sipkit::media::device::{Audio, AudioSpec, Recorder};
use sipkit::media::session::Config;

use self::pulse::Pulse;

#[test]
fn both_tones_get_through_a_sound_card_and_the_call_outlives_it() {
    let mut pulse = Pulse::start("call");
    pulse.speak(MICROPHONE_HZ);
    let mut call = Running::start(&pulse, "call");
    call.wait_for("begun", 10);
    std::thread::sleep(Duration::from_secs(1));

    let heard = hear_the_peer(&pulse);
    assert!(share(&heard, 48000, MICROPHONE_HZ) < 0.05, "the microphone must not be heard here");

    pulse.stop();
    call.wait_for("lost", 10);
    let rest = call.finish(20);
    assert!(!rest.iter().any(|line| line.contains("Lost")), "the loss is told once: {rest:?}");
    let packets = |of| number(&rest, of);
    // The call goes on for two seconds without the card, in both directions.
    assert!(packets("sent_after_loss=") >= 80.0, "{rest:?}");
    assert!(packets("received_after_loss=") >= 80.0, "{rest:?}");

    let (rate, remote) = right_side(&pulse.folder().join("peer.wav"));
    let second = rate as usize;
    assert!(remote.len() > 4 * second, "{} samples at the peer", remote.len());
    let there = purest(&remote[..remote.len() - second], rate, MICROPHONE_HZ);
    assert!(there > 0.8, "the microphone's tone at the peer: {there}");
    let end = &remote[remote.len() - second..];
    let loudest = end.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(loudest < Some(50), "silence follows the loss of the card: {loudest:?}");
}

/// The same with the programs: `sip-call` at the card, and another one that answers it with a tone and records.
#[test]
fn sip_call_sounds_through_the_card_and_outlives_it() {
    let mut pulse = Pulse::start("sip-call");
    pulse.speak(MICROPHONE_HZ);
    let port = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let local = port.expect("a free port").to_string();
    let record = pulse.folder().join("peer.wav");
    let mut peer = Command::new(SIP_CALL);
    peer.args(["--answer", "--json", "--timeout", "60s", "--local", &local, "--audio"]);
    let mut peer = Running::spawn(peer.arg(format!("tone:{PEER_HZ}")).arg("--record").arg(&record));
    peer.wait_for("{\"event\":\"listening\"", 10);
    let mut command = pulse.command(SIP_CALL);
    command.args(["--audio", "device", "--json", "--duration", "9s", "--timeout", "60s"]);
    let mut call = Running::spawn(command.arg(format!("sip:peer@{local}")));
    call.wait_for("{\"event\":\"answered\"", 10);
    std::thread::sleep(Duration::from_millis(1500));

    hear_the_peer(&pulse);
    pulse.stop();

    let rest = call.finish(30);
    let warnings: Vec<_> = rest.iter().filter(|line| line.contains("\"event\":\"warning\"")).collect();
    assert_eq!(warnings.len(), 1, "{rest:#?}");
    assert!(warnings.iter().all(|line| line.contains("goes on with silence")), "{warnings:?}");
    let last = rest.last().expect("a result");
    assert!(last.contains("\"exit\":0") && last.contains("\"ended_by\":\"local\""), "{last}");
    peer.finish(30);

    let (rate, remote) = right_side(&record);
    let second = rate as usize;
    assert!(remote.len() > 4 * second, "{} samples at the peer", remote.len());
    let there = purest(&remote[..remote.len() - second], rate, MICROPHONE_HZ);
    assert!(there > 0.8, "the microphone's tone at the peer: {there}");
    let end = &remote[remote.len() - second..];
    let loudest = end.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(loudest < Some(50), "silence follows the loss of the card: {loudest:?}");
}

/// A second of what the card plays, with the peer's tone in it. A machine that is busy may stop the sound for a
/// moment, so the first second that is whole will do.
fn hear_the_peer(pulse: &Pulse) -> Vec<i16> {
    let mut shares = Vec::new();
    for _ in 0..4 {
        let heard = pulse.listen(Duration::from_secs(1));
        shares.push(share(&heard, 48000, PEER_HZ));
        if shares.last() > Some(&0.8) {
            return heard;
        }
    }
    panic!("the peer's tone on the monitor: {shares:?}");
}

/// The greatest share of a tone in any second of a recording.
fn purest(samples: &[i16], rate: u32, hz: f32) -> f64 {
    let second = rate as usize;
    let shares = samples.windows(second).step_by(second / 4).map(|window| share(window, rate, hz));
    shares.fold(0.0, f64::max)
}

#[test]
fn without_a_usable_card_the_default_is_silence_with_one_warning_and_a_name_is_an_error() {
    let mut pulse = Pulse::start("none");
    pulse.stop();
    let lines = Running::start(&pulse, "open").finish(30);
    let opened = |spec: &str| lines.iter().find(|line| line.starts_with(spec)).cloned().unwrap_or_default();
    let default = opened("device →");
    assert!(default.contains("warning") && default.contains("silence stands in"), "{lines:?}");
    let named = opened("device:pulse →");
    assert!(named.contains("error") && named.contains("`pulse` cannot be used"), "{lines:?}");
    let absent = opened("device:no such card →");
    assert!(
        absent.contains("`no such card` does not exist; there are: ") && absent.contains("pulse"),
        "{lines:?}"
    );
}

/// The call: one side with the sound card, its peer with a tone and a recording. Does nothing unless it is run as a
/// child of the test above.
#[test]
fn child() {
    // The test runner has begun a line of its own.
    println!();
    match std::env::var(ROLE).as_deref() {
        Ok("call") => call(Path::new(&std::env::var(FOLDER).expect("the test's folder"))),
        Ok("open") => open(),
        _ => {}
    }
}

fn call(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let audio = AudioSpec::Device(None).open().expect("the default device never fails");
    assert!(audio.warning.is_none(), "{:?}", audio.warning);
    let media = MediaThread::spawn(None).expect("the media thread");
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let [phone, peer] = [(); 2].map(|()| media.open(here, None).expect("a port"));
    let config = |to| Config { remote_rtp: Some(to), cname: "device test".into(), ..Config::default() };
    let (sender, mut events) = tokio::sync::mpsc::channel(16);
    runtime.block_on(async {
        let start = Start { config: config(peer.rtp), audio, record: None, events: Some(sender) };
        media.start(phone.id, start).expect("started");
        let record = Some(Recorder::create(&folder.join("peer.wav")).expect("a recording"));
        let start = Start { config: config(phone.rtp), audio: Audio::tone(PEER_HZ), record, events: None };
        media.start(peer.id, start).expect("started");
        println!("begun");
        let lost = async {
            loop {
                if let Some(MediaEvent::DeviceLost(why)) = events.recv().await {
                    return why;
                }
            }
        };
        let why =
            tokio::time::timeout(Duration::from_secs(30), lost).await.expect("the card is ended by the test");
        println!("lost: {why}");
        let before = media.stats(phone.id).await.expect("the call is up");
        tokio::time::sleep(Duration::from_secs(2)).await;
        while let Ok(event) = events.try_recv() {
            println!("then {event:?}");
        }
        let closed = media.close(phone.id).await.expect("the call was up");
        println!("sent_after_loss={}", closed.stats.sent.packets - before.sent.packets);
        println!("received_after_loss={}", closed.stats.received.packets - before.received.packets);
        if let Some(record) = media.close(peer.id).await.and_then(|closed| closed.record) {
            record.finish();
        }
    });
}

fn open() {
    for spec in ["device", "device:pulse", "device:no such card"] {
        match spec.parse::<AudioSpec>().expect("a valid value").open() {
            Ok(Audio { warning: Some(warning), .. }) => println!("{spec} → warning: {warning}"),
            Ok(_) => println!("{spec} → opened"),
            Err(why) => println!("{spec} → error: {why}"),
        }
    }
}

/// A child and what it says.
struct Running {
    process: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(pulse: &Pulse, role: &str) -> Self {
        let mut command = pulse.command(std::env::current_exe().expect("this binary"));
        command.args(["device::child", "--exact", "--nocapture", "--test-threads=1"]);
        Self::spawn(command.env(ROLE, role).env(FOLDER, pulse.folder()))
    }

    fn spawn(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a program of ours");
        let (to, lines) = channel();
        let (out, err) = (process.stdout.take().expect("piped"), process.stderr.take().expect("piped"));
        let errors = to.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = to.send(line);
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = errors.send(format!("stderr: {line}"));
            }
        });
        Self { process, lines }
    }

    fn wait_for(&mut self, start: &str, seconds: u64) {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(seconds)) {
                Ok(line) if line.starts_with(start) => return,
                Ok(line) => before.push(line),
                Err(why) => panic!("no `{start}` from the call ({why}); it said {before:#?}"),
            }
        }
    }

    /// What it still says until it ends, which it must do well, and without a word from the sound libraries.
    fn finish(mut self, seconds: u64) -> Vec<String> {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(seconds)) {
            rest.push(line);
        }
        let ended = self.process.try_wait().expect("a child of ours");
        let ended = ended.or_else(|| {
            std::thread::sleep(Duration::from_millis(500));
            self.process.try_wait().expect("a child of ours")
        });
        assert!(ended.is_some_and(|status| status.success()), "the call ended with {ended:?}: {rest:#?}");
        assert!(!rest.iter().any(|line| line.starts_with("stderr:")), "{rest:#?}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How much of the sound is a tone of `hz`, 0…1: the median over windows of 50 ms, because two clocks that are brought
/// together shift a tone by a fraction of a percent.
fn share(pcm: &[i16], rate: u32, hz: f32) -> f64 {
    let mut shares: Vec<f64> = pcm
        .chunks_exact(rate as usize / 20)
        .map(|window| {
            let (mut re, mut im, mut power) = (0.0, 0.0, 1.0);
            for (n, sample) in window.iter().enumerate() {
                let (sample, angle) =
                    (f64::from(*sample), std::f64::consts::TAU * f64::from(hz) * n as f64 / f64::from(rate));
                re += sample * angle.cos();
                im += sample * angle.sin();
                power += sample * sample;
            }
            2.0 * (re * re + im * im) / (power * window.len() as f64)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    shares.get(shares.len() / 2).copied().unwrap_or(0.0)
}

fn right_side(path: &Path) -> (u32, Vec<i16>) {
    let mut reader = hound::WavReader::open(path).expect("the peer's recording");
    let rate = reader.spec().sample_rate;
    let samples = reader.samples::<i16>().map(|sample| sample.expect("a whole recording"));
    (rate, samples.skip(1).step_by(2).collect())
}

fn number(lines: &[String], name: &str) -> f64 {
    lines.iter().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or(-1.0)
}

const SIP_CALL: &str = env!("CARGO_BIN_EXE_sip-call");
const ROLE: &str = "SIPKIT_DEVICE_TEST";
const FOLDER: &str = "SIPKIT_DEVICE_FOLDER";
/// Hz.
const MICROPHONE_HZ: f32 = 700.0;
/// Hz.
const PEER_HZ: f32 = 1700.0;
