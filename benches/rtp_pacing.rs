//! How evenly our RTP leaves, beside the best that this machine can do at this moment.
//!
//! Two senders run at the same time towards two sockets on loopback: a thread that does nothing but sleep until the
//! next absolute multiple of 20 ms and send, and a session of the media thread that sends a tone. The kernel stamps
//! each packet as it comes in. The 99th percentile of ours should stay within 1 ms of the bare one's.
//!
//! `cargo bench --bench rtp_pacing [-- SECONDS]`

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use sipkit::endpoint::media::{MediaThread, Start};
use sipkit::media::device::Audio;
use sipkit::media::session::Config;

fn main() {
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10);
    let span = Duration::from_secs(seconds);
    let bare = receiver();
    let ours = receiver();
    let bare_at = bare.local_addr().expect("bound");
    let ours_at = ours.local_addr().expect("bound");
    let stamps = [bare, ours].map(|socket| thread::spawn(move || arrivals(&socket, span)));
    let sender = thread::spawn(move || send_bare(bare_at, span));
    send_ours(ours_at, span);
    sender.join().expect("the bare sender");
    let [bare, ours] = stamps.map(|stamps| jitter(&stamps.join().expect("the receiver")));
    println!("          packets    p50 ms    p99 ms    max ms");
    for (name, jitter) in [("bare", &bare), ("session", &ours)] {
        let at = |share| percentile(jitter, share);
        println!("{name:8} {:8} {:9.3} {:9.3} {:9.3}", jitter.len() + 1, at(0.5), at(0.99), at(1.0));
    }
    println!("p99 difference: {:+.3} ms", percentile(&ours, 0.99) - percentile(&bare, 0.99));
}

/// The bare sender: nothing but deadlines.
fn send_bare(to: SocketAddr, span: Duration) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let start = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock"));
    let mut packet = [0u8; 172];
    packet[0] = 0x80;
    for n in 1..=span.as_millis() as u32 / 20 {
        let at = TimeSpec::from(start + n * PACKET_TIME);
        while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at).is_err() {}
        let _ = socket.send_to(&packet, to);
    }
}

/// A session of the media thread, sending a tone as PCMU.
fn send_ours(to: SocketAddr, span: Duration) {
    let media = MediaThread::spawn(None).expect("the media thread");
    let port = media.open(Ipv4Addr::LOCALHOST.into(), None).expect("ports");
    let config = Config { remote_rtp: Some(to), cname: "pacing".into(), ..Config::default() };
    let start = Start { config, audio: Audio::tone(440.0), record: None, events: None };
    media.start(port.id, start).expect("a session");
    thread::sleep(span);
}

fn receiver() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("kernel timestamps");
    socket
}

/// When the kernel saw each RTP packet.
fn arrivals(socket: &UdpSocket, span: Duration) -> Vec<Duration> {
    let deadline = Instant::now() + span + Duration::from_secs(1);
    let mut stamps = Vec::new();
    let mut buffer = [0u8; 2048];
    while Instant::now() < deadline {
        let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        let Ok(received) = received else { continue };
        let stamped = received.cmsgs().into_iter().flatten().find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
            _ => None,
        });
        stamps.extend(stamped);
    }
    stamps
}

/// How far each interval is from 20 ms, in ms, sorted.
fn jitter(stamps: &[Duration]) -> Vec<f64> {
    let mut off: Vec<f64> = stamps
        .windows(2)
        .map(|pair| {
            ((pair[1].as_secs_f64() - pair[0].as_secs_f64()) - PACKET_TIME.as_secs_f64()).abs() * 1000.0
        })
        .collect();
    off.sort_by(f64::total_cmp);
    off
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

const PACKET_TIME: Duration = Duration::from_millis(20);
