//! Sessions on loopback, in real time: the sans-IO parts have their own tests.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Mutex;

use super::*;
use crate::media::codec::{Codec, Tuning};
use crate::media::device::{Condition, Input, Output, Sink, Source, none};
use crate::media::session::{Direction, Event, Format};
use crate::transport::{Direction as Way, Packet, PacketKind};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn pcmu(to: SocketAddr) -> Config {
    Config {
        local_ssrc: to.port().into(),
        cname: "test".into(),
        seed: 1,
        remote_rtp: Some(to),
        ..Config::default()
    }
}

fn start(config: Config, audio: Audio) -> Start {
    Start { config, audio, record: None, events: None }
}

async fn run(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Remembers what it hears, for the test to look at.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<(u32, Vec<i16>)>>);

impl Sink for Ear {
    fn write(&mut self, pcm: &[i16]) {
        self.0.lock().unwrap().1.extend_from_slice(pcm);
    }
}

impl Output for Ear {
    fn set_rate(&mut self, rate: u32) {
        let mut heard = self.0.lock().unwrap();
        heard.0 = rate;
        heard.1.clear();
    }
}

impl Ear {
    /// How much of the last quarter of a second is a tone of `hz`, 0…1.
    fn share(&self, hz: f64) -> f64 {
        let heard = self.0.lock().unwrap();
        let (rate, pcm) = (f64::from(heard.0), &heard.1);
        let tail = &pcm[pcm.len().saturating_sub(heard.0 as usize / 4)..];
        let (mut re, mut im, mut power) = (0.0, 0.0, 1.0);
        for (n, sample) in tail.iter().enumerate() {
            let (sample, angle) = (f64::from(*sample), std::f64::consts::TAU * hz * n as f64 / rate);
            re += sample * angle.cos();
            im += sample * angle.sin();
            power += sample * sample;
        }
        2.0 * (re * re + im * im) / (power * tail.len().max(1) as f64)
    }
}

#[test]
fn two_sessions_hear_each_others_tone() {
    runtime().block_on(async {
        for bind in [HERE, Ipv6Addr::LOCALHOST.into()] {
            let media = MediaThread::spawn(None).unwrap();
            let Ok(one) = media.open(bind, None) else { continue };
            let two = media.open(bind, None).unwrap();
            let ears = [Ear::default(), Ear::default()];
            let tone = |hz, ear: &Ear| Audio::new(crate::media::device::tone::Tone::new(hz), ear.clone());
            media.start(one.id, start(pcmu(two.rtp), tone(440.0, &ears[0]))).unwrap();
            media.start(two.id, start(pcmu(one.rtp), tone(1000.0, &ears[1]))).unwrap();
            run(1000).await;
            assert!(ears[0].share(1000.0) > 0.95, "{}", ears[0].share(1000.0));
            assert!(ears[1].share(440.0) > 0.95, "{}", ears[1].share(440.0));
            let live = media.stats(one.id).await.unwrap();
            assert!(live.received.level_dbfs.is_some_and(|level| (-12.0..-6.0).contains(&level)), "{live:?}");
            let closed = media.close(one.id).await.unwrap();
            assert!((40..=55).contains(&closed.stats.sent.packets), "{:?}", closed.stats);
            assert!((38..=55).contains(&closed.stats.received.packets), "{:?}", closed.stats);
            assert_eq!((closed.stats.received.lost, closed.stats.strangers), (Some(0), 0));
            assert!(media.stats(one.id).await.is_none());
            assert!(media.close(one.id).await.is_none());
        }
    });
}

#[test]
fn an_echo_comes_back_and_a_codec_change_is_followed() {
    runtime().block_on(async {
        let media = MediaThread::spawn(None).unwrap();
        let (one, two) = (media.open(HERE, None).unwrap(), media.open(HERE, None).unwrap());
        let ear = Ear::default();
        let speaker = Audio::new(crate::media::device::tone::Tone::new(700.0), ear.clone());
        media.start(one.id, start(pcmu(two.rtp), speaker)).unwrap();
        media.start(two.id, start(pcmu(one.rtp), Audio::echo())).unwrap();
        run(1000).await;
        assert!(ear.share(700.0) > 0.95, "{}", ear.share(700.0));
        let codec = if cfg!(feature = "opus") { Codec::Opus } else { Codec::Pcma };
        let changed = |to| Config {
            send: Some(Format { payload_type: 96, codec, tuning: Tuning::default() }),
            receive: vec![(96, codec)],
            exchange: 1,
            ..pcmu(to)
        };
        media.reconfigure(one.id, changed(two.rtp)).unwrap();
        media.reconfigure(two.id, changed(one.rtp)).unwrap();
        run(1000).await;
        assert_eq!(ear.0.lock().unwrap().0, codec.rate());
        assert!(ear.share(700.0) > 0.9, "{}", ear.share(700.0));
        // Muted here, the echo falls silent too.
        media.mute(one.id, true).unwrap();
        run(700).await;
        assert!(ear.share(700.0) < 0.1, "{}", ear.share(700.0));
    });
}

#[derive(Default)]
struct Counting(Mutex<[u32; 4]>);

impl Tap for Counting {
    fn packet(&self, packet: &Packet<'_>) {
        let kind = match packet.kind {
            PacketKind::Rtp => 0,
            PacketKind::Rtcp => 2,
            PacketKind::Sip => return,
        };
        assert_ne!(packet.local, packet.remote);
        self.0.lock().unwrap()[kind + usize::from(packet.direction == Way::Received)] += 1;
    }
}

#[test]
fn the_tap_sees_every_packet_and_a_refusing_peer_is_only_counted() {
    runtime().block_on(async {
        let tap = Arc::new(Counting::default());
        let media = MediaThread::spawn(Some(Arc::clone(&tap) as Arc<dyn Tap>)).unwrap();
        let port = media.open(HERE, None).unwrap();
        // Bound and closed again: nobody listens there.
        let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        media.start(port.id, start(pcmu(gone), Audio::silence())).unwrap();
        run(500).await;
        // A stranger's packet is seen by the tap and dropped by the session.
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().send_to(&[0x80; 172], port.rtp).unwrap();
        run(200).await;
        let closed = media.close(port.id).await.unwrap();
        run(50).await;
        let [sent, received, sent_rtcp, _] = *tap.0.lock().unwrap();
        assert!((28..=38).contains(&sent), "{sent}");
        assert_eq!(u64::from(sent), closed.stats.sent.packets);
        assert_eq!(received, 1);
        assert!(sent_rtcp >= 1, "a BYE");
        assert!(closed.stats.icmp_errors > 10, "{:?}", closed.stats);
    });
}

#[test]
fn events_arrive_dtmf_goes_through_and_a_session_may_ignore_its_own() {
    runtime().block_on(async {
        let media = MediaThread::spawn(None).unwrap();
        let (one, two) = (media.open(HERE, None).unwrap(), media.open(HERE, None).unwrap());
        let (sender, mut events) = mpsc::channel(64);
        let with_keys = |to| {
            let mut config = pcmu(to);
            config.telephone_event.send = Some((101, 8000));
            config.telephone_event.receive = vec![(101, 8000)];
            config
        };
        media.start(one.id, start(with_keys(two.rtp), Audio::silence())).unwrap();
        media
            .start(two.id, Start { events: Some(sender), ..start(with_keys(one.rtp), Audio::silence()) })
            .unwrap();
        run(200).await;
        media.dtmf(one.id, "1w#").unwrap();
        assert!(matches!(media.dtmf(one.id, "1x"), Err(DtmfError::NoKey { character: 'x', at: 2 })));
        let mut keys = String::new();
        let mut first = false;
        while keys.len() < 2 {
            match tokio::time::timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap() {
                MediaEvent::Session(Event::Dtmf { digit, .. }) => keys.push(digit),
                MediaEvent::Session(Event::FirstRtp { from }) => first = from == one.rtp,
                _ => {}
            }
        }
        assert_eq!(keys, "1#");
        assert!(first);
        // What cannot be is told, and changes nothing.
        media.reconfigure(two.id, Config { receive: vec![(72, Codec::Pcmu)], ..with_keys(one.rtp) }).unwrap();
        let refused = tokio::time::timeout(Duration::from_secs(1), events.recv()).await.unwrap().unwrap();
        assert_eq!(refused, MediaEvent::Refused(SessionError::PayloadType(72)));
        media.reconfigure(two.id, Config { direction: Direction::Inactive, ..with_keys(one.rtp) }).unwrap();
        media.dtmf(two.id, "5").unwrap();
        let refused = tokio::time::timeout(Duration::from_secs(1), events.recv()).await.unwrap().unwrap();
        assert_eq!(refused, MediaEvent::DtmfRefused(DtmfError::Held));
    });
}

/// A device that breaks when it is told to.
struct Fragile(Arc<Mutex<Condition>>);

impl Source for Fragile {
    fn read(&mut self, out: &mut [i16]) {
        out.fill(0);
    }
}

impl Input for Fragile {
    fn set_rate(&mut self, _rate: u32) {}

    fn condition(&self) -> Condition {
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_lost_device_is_told_once_and_the_stream_goes_on() {
    runtime().block_on(async {
        let media = MediaThread::spawn(None).unwrap();
        let (one, two) = (media.open(HERE, None).unwrap(), media.open(HERE, None).unwrap());
        let condition = Arc::new(Mutex::new(Condition::Working));
        let (sender, mut events) = mpsc::channel(8);
        let audio = Audio::new(Fragile(Arc::clone(&condition)), none::Discard);
        media.start(one.id, Start { events: Some(sender), ..start(pcmu(two.rtp), audio) }).unwrap();
        run(100).await;
        *condition.lock().unwrap() = Condition::Lost(Loss::Stalled);
        let before = media.stats(one.id).await.unwrap().sent.packets;
        run(300).await;
        assert_eq!(events.try_recv(), Ok(MediaEvent::DeviceLost(Loss::Stalled)));
        assert!(events.try_recv().is_err());
        assert!(media.stats(one.id).await.unwrap().sent.packets >= before + 10);
    });
}

#[test]
fn both_sides_are_recorded() {
    runtime().block_on(async {
        let path = std::env::temp_dir().join(format!("sipkit-media-{}.wav", std::process::id()));
        let media = MediaThread::spawn(None).unwrap();
        let (one, two) = (media.open(HERE, None).unwrap(), media.open(HERE, None).unwrap());
        let record = Some(Recorder::create(&path).unwrap());
        media.start(one.id, Start { record, ..start(pcmu(two.rtp), Audio::tone(440.0)) }).unwrap();
        media.start(two.id, start(pcmu(one.rtp), Audio::tone(1000.0))).unwrap();
        run(1000).await;
        media.close(one.id).await.unwrap().record.unwrap().finish();
        let mut reader = hound::WavReader::open(&path).unwrap();
        let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
        let _ = std::fs::remove_file(&path);
        for (side, hz) in [(0, 440.0), (1, 1000.0)] {
            let pcm = samples.iter().skip(side).step_by(2).copied().collect();
            let ear = Ear(Arc::new(Mutex::new((8000, pcm))));
            assert!(ear.share(hz) > 0.95, "{side}: {}", ear.share(hz));
        }
    });
}

#[test]
fn a_thousand_idle_ports_are_cheap_and_many_sessions_are_spread_out() {
    runtime().block_on(async {
        let media = MediaThread::spawn(None).unwrap();
        // A container may allow few descriptors; as many as there are will do.
        let idle: Vec<_> = (0..400).map_while(|_| media.open(HERE, None).ok()).collect();
        assert!(idle.len() >= 100, "{}", idle.len());
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = sink.local_addr().unwrap();
        for port in idle.iter().take(100) {
            media.start(port.id, start(pcmu(to), Audio::silence())).unwrap();
        }
        run(500).await;
        let stats = media.stats(idle[0].id).await.unwrap();
        assert!((15..=28).contains(&stats.sent.packets), "{stats:?}");
        for port in idle {
            drop(media.close(port.id));
        }
        let again = media.open(HERE, None).unwrap();
        assert!(media.stats(again.id).await.is_some());
    });
}

#[test]
fn first_beats_use_every_millisecond_of_the_packet_time() {
    let session = Session::new(Instant::ZERO, Config::default()).unwrap();
    let mut phase = 0;
    let mut used = std::collections::BTreeSet::new();
    for n in 0..20u64 {
        let now = Instant::from_micros(123_456_789 + n * 3);
        let at = first_beat(now, &session, &mut phase);
        assert!(at > now && at.since(now) <= Duration::from_millis(20));
        assert_eq!(at.as_micros() % 1000, 0);
        used.insert(at.as_micros() % 20_000 / 1000);
    }
    assert_eq!(used.len(), 20);
}
