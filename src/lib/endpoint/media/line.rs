//! One session on the media thread: its two sockets, its sound, its recording.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::{MediaEvent, Start};
use crate::media::device::{Audio, Condition, Recorder};
use crate::media::dtmf::Tone;
use crate::media::rtp;
use crate::media::session::{Config, Destination, Outgoing, Session};
use crate::media::stats::Stats;
use crate::time::Instant;
use crate::transport::udp::Socket;
use crate::transport::{Direction, Packet, PacketKind, Protocol, Tap};

/// What every session borrows from the thread while it is at work: nothing of it is kept per session.
pub(super) struct Workshop {
    pub tap: Option<Arc<dyn Tap>>,
    pub outgoing: Outgoing,
    /// What is sent in this beat, and what is heard.
    pub local: Vec<i16>,
    pub remote: Vec<i16>,
    pub datagram: Vec<u8>,
}

impl Workshop {
    pub fn new(tap: Option<Arc<dyn Tap>>) -> Self {
        Self {
            tap,
            outgoing: Outgoing::new(),
            local: Vec::new(),
            remote: Vec::new(),
            datagram: vec![0; crate::transport::udp::MAX_DATAGRAM],
        }
    }

    fn tap(&self, direction: Direction, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        if let Some(tap) = &self.tap {
            // With rtcp-mux both come in at one port: what a packet is, it says itself.
            let kind = if rtp::is_rtcp(bytes) { PacketKind::Rtcp } else { PacketKind::Rtp };
            let at = SystemTime::now();
            tap.packet(&Packet { at, kind, direction, protocol: Protocol::Udp, local, remote, bytes });
        }
    }
}

/// A socket and the address it is seen under: bound to the wildcard, only what comes in says which one that is.
struct Port {
    socket: Socket,
    local: SocketAddr,
}

/// An open pair of ports, and the session on it once it has begun.
pub(super) struct Line {
    rtp: Port,
    rtcp: Port,
    running: Option<Running>,
}

struct Running {
    session: Session,
    audio: Audio,
    record: Option<Recorder>,
    events: Option<mpsc::Sender<MediaEvent>>,
    /// When the next frame is due.
    next: Instant,
    /// What has been told of the input, the output and the recording.
    told: [bool; 3],
}

impl Line {
    pub fn new(rtp: Socket, rtcp: Socket) -> Self {
        let port = |socket: Socket| Port { local: socket.local_addr(), socket };
        Self { rtp: port(rtp), rtcp: port(rtcp), running: None }
    }

    pub fn sockets(&self) -> [&Socket; 2] {
        [&self.rtp.socket, &self.rtcp.socket]
    }

    /// When the next frame is due; `None` before the session has begun.
    pub fn next(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.next)
    }

    /// Begins the session, or goes on with it under another configuration and with other sound.
    ///
    /// Says whether it was begun: then it wants its first beat at `first`.
    pub fn start(&mut self, now: Instant, start: Start, first: impl FnOnce(&Session) -> Instant) -> bool {
        let Start { config, audio, record, events } = start;
        if let Some(running) = &mut self.running {
            running.audio = audio;
            running.told = [false; 3];
            running.record = record.or(running.record.take());
            running.events = events.or(running.events.take());
            running.reconfigure(now, config);
            running.follow_rate();
            return false;
        }
        match Session::new(now, config) {
            Ok(session) => {
                let next = first(&session);
                let mut running = Running { session, audio, record, events, next, told: [false; 3] };
                running.follow_rate();
                self.running = Some(running);
                true
            }
            Err(why) => {
                if let Some(events) = events {
                    let _ = events.try_send(MediaEvent::Refused(why));
                }
                false
            }
        }
    }

    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        if let Some(running) = &mut self.running {
            running.reconfigure(now, config);
        }
    }

    pub fn dtmf(&mut self, tones: &[Tone]) {
        if let Some(running) = &mut self.running
            && let Err(why) = running.session.dtmf(tones)
        {
            running.tell(MediaEvent::DtmfRefused(why));
        }
    }

    pub fn mute(&mut self, muted: bool) {
        if let Some(running) = &mut self.running {
            running.session.mute(muted);
        }
    }

    pub fn stats(&self) -> Stats {
        self.running.as_ref().map(|running| running.session.stats()).unwrap_or_default()
    }

    /// Says goodbye; what is left is the statistics and the recording.
    pub fn close(mut self, now: Instant, shop: &mut Workshop) -> (Stats, Option<Recorder>) {
        let stats = self.stats();
        if let Some(running) = &mut self.running {
            shop.outgoing.clear();
            running.session.bye(now, &mut shop.outgoing);
            self.transmit(shop);
        }
        (stats, self.running.and_then(|running| running.record))
    }

    /// Reads what has come to one of the sockets, in bounded portions: a flood must not delay the beat of others.
    pub fn receive(&mut self, on_rtcp: bool, error: bool, shop: &mut Workshop) {
        let port = if on_rtcp { &mut self.rtcp } else { &mut self.rtp };
        if error {
            for _ in 0..PORTION {
                let Some(error) = port.socket.take_error() else { break };
                tracing::debug!(to = %error.to, kind = %error.kind, "media was refused by the network");
                if let Some(running) = &mut self.running {
                    running.session.icmp_error();
                }
            }
        }
        let mut datagram = std::mem::take(&mut shop.datagram);
        for _ in 0..PORTION {
            let Ok(received) = port.socket.try_recv(&mut datagram) else { break };
            let now = super::wait::now();
            let Some(bytes) = datagram.get(..received.len) else { break };
            port.local = received.to;
            shop.tap(Direction::Received, received.to, received.from, bytes);
            // Before the session begins nobody knows whose packets these are: read, so that they do not come in a
            // heap later.
            if let Some(running) = &mut self.running {
                running.session.receive(now, received.from, bytes);
            }
        }
        shop.datagram = datagram;
        if let Some(running) = &mut self.running {
            running.pass_events();
        }
    }

    /// One packet time: sends, plays, records, and moves [`next`](Self::next) on.
    pub fn beat(&mut self, now: Instant, shop: &mut Workshop) {
        let Some(running) = &mut self.running else { return };
        // A beat a little late is made up for at once, so that the peer gets its 50 packets a second; after a longer
        // absence (a suspended laptop) a burst would help nobody, and the stream leaps.
        let at = if now.since(running.next) > MOST_LATE { now } else { running.next };
        running.next = at + running.session.ptime();
        let Running { session, audio, .. } = running;
        let length = session.frame_len();
        shop.outgoing.clear();
        shop.local.resize(length, 0);
        audio.input.read(&mut shop.local);
        session.frame(at, &shop.local, &mut shop.outgoing);
        if session.deadline() <= now {
            session.advance(now, &mut shop.outgoing);
        }
        self.transmit(shop);

        let Some(Running { session, audio, record, .. }) = &mut self.running else { return };
        shop.remote.resize(length, 0);
        session.playout(at, &mut shop.remote);
        audio.output.write(&shop.remote);
        if let Some(record) = record {
            if session.is_muted() || session.send_to().is_none() {
                shop.local.fill(0);
            }
            record.write(session.rate(), &shop.local, &shop.remote);
        }
        if let Some(running) = &mut self.running {
            running.look_after();
            running.pass_events();
        }
    }

    fn transmit(&mut self, shop: &Workshop) {
        for (destination, to, bytes) in shop.outgoing.iter() {
            let port = match destination {
                Destination::Rtp => &self.rtp,
                Destination::Rtcp => &self.rtcp,
            };
            match port.socket.try_send(bytes, to, None) {
                Ok(()) => shop.tap(Direction::Sent, port.local, to, bytes),
                Err(why) => {
                    tracing::debug!(%to, %why, "media cannot be sent");
                    if let Some(running) = &mut self.running {
                        running.session.icmp_error();
                    }
                }
            }
        }
    }
}

impl Running {
    fn reconfigure(&mut self, now: Instant, config: Config) {
        match self.session.reconfigure(now, config) {
            Ok(change) if change.rate => self.follow_rate(),
            Ok(_) => {}
            Err(why) => self.tell(MediaEvent::Refused(why)),
        }
    }

    fn follow_rate(&mut self) {
        let rate = self.session.rate();
        self.audio.input.set_rate(rate);
        self.audio.output.set_rate(rate);
    }

    /// Tells once what has happened to the sound.
    fn look_after(&mut self) {
        let [input, output, record] = self.told;
        let heard = [self.audio.input.condition(), self.audio.output.condition()];
        if !input && heard[0] == Condition::Finished {
            self.told[0] = true;
            self.tell(MediaEvent::Finished);
        }
        // Both ends of one card are lost together, and that is one event.
        if !output
            && let Some(why) = heard.into_iter().find_map(|end| match end {
                Condition::Lost(why) => Some(why),
                _ => None,
            })
        {
            self.told[1] = true;
            self.tell(MediaEvent::DeviceLost(why));
        }
        if !record && self.record.as_ref().is_some_and(Recorder::failed) {
            self.told[2] = true;
            self.tell(MediaEvent::RecordFailed);
        }
    }

    fn pass_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.tell(MediaEvent::Session(event));
        }
    }

    /// A program that does not read its events loses them: media does not wait.
    fn tell(&mut self, event: MediaEvent) {
        if let Some(events) = &self.events
            && let Err(mpsc::error::TrySendError::Closed(_)) = events.try_send(event)
        {
            self.events = None;
        }
    }
}

/// Datagrams and errors read from one socket before others get their turn.
const PORTION: usize = 64;
/// Beyond this, missed beats are not made up for; the session leaps its timestamp by the same measure.
const MOST_LATE: std::time::Duration = std::time::Duration::from_millis(200);
