//! The media thread: every RTP session of the process, on one thread that does nothing else.
//!
//! It owns a pair of UDP ports per session (RFC 3550 §11), feeds [`Session`], and keeps
//! the beat: each session has absolute deadlines one packet time apart, on the kernel's own timer. Sessions begin on
//! different milliseconds, so that a thousand of them do not all want to send at once. An idle pair of ports costs its
//! two sockets and a map entry, no task and no timer.
//!
//! [`MediaHandle`] is how everybody else reaches it: nothing there blocks, so that a
//! [`TransactionUser`](crate::stack) may open, start and close sessions in line. Media never ends a call: what
//! goes wrong is counted, or told as a [`MediaEvent`].

mod line;
mod ports;
mod queue;
mod wait;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use self::line::{Line, Workshop};
pub use self::ports::PortError;
use self::queue::Queue;
use self::wait::{Ready, Waiter};
use crate::media::device::{Audio, Loss, Recorder};
use crate::media::dtmf::{self, DtmfError, Tone};
use crate::media::session::{self, Config, Session, SessionError};
use crate::media::stats::Stats;
use crate::time::{Duration, Instant};
use crate::transport::Tap;
use crate::transport::udp::Socket;

/// Starts the thread; [`MediaHandle`] is what remains of it.
pub struct MediaThread;

impl MediaThread {
    /// One thread for all sessions; it ends, with a goodbye to every peer, when the last handle is dropped. The `tap`
    /// sees every RTP and RTCP packet.
    ///
    /// # Errors
    /// If the system has no thread, timer or file descriptor left.
    pub fn spawn(tap: Option<Arc<dyn Tap>>) -> io::Result<MediaHandle> {
        let (waiter, waker) = wait::pair()?;
        let queue = Arc::new(Queue::new(waker));
        let thread = Thread {
            waiter,
            queue: Arc::clone(&queue),
            lines: HashMap::new(),
            due: BinaryHeap::new(),
            phase: 0,
            shop: Workshop::new(tap),
        };
        thread::Builder::new().name("media".into()).spawn(move || thread.run())?;
        let shared = Shared { queue, cursor: ports::Cursor::default(), next_id: AtomicU64::new(1) };
        Ok(MediaHandle { shared: Arc::new(shared) })
    }
}

/// A pair of ports on the media thread, and the session on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaId(u64);

/// What [`MediaHandle::open`] has bound: the addresses to write into a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Names the session from now on.
    pub id: MediaId,
    /// Even port. The address is the one given to `open`, so possibly the wildcard.
    pub rtp: SocketAddr,
    /// The port above.
    pub rtcp: SocketAddr,
}

/// How a session begins.
#[derive(Debug)]
pub struct Start {
    /// What was negotiated.
    pub config: Config,
    /// What is sent, and what becomes of what is heard.
    pub audio: Audio,
    /// Records both sides.
    pub record: Option<Recorder>,
    /// Where events go; what does not fit is lost. `None` for who does not care.
    pub events: Option<mpsc::Sender<MediaEvent>>,
}

/// What a session tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// Of the stream.
    Session(session::Event),
    /// The file being played is through; silence is sent from here on.
    Finished,
    /// The sound device is gone; the call goes on with silence. Told once.
    DeviceLost(Loss),
    /// The recording could not be written any further; the call goes on. Told once.
    RecordFailed,
    /// What [`MediaHandle::start`] or [`MediaHandle::reconfigure`] asked for cannot be done; all is as before.
    Refused(SessionError),
    /// The keys of [`MediaHandle::dtmf`] are not sent.
    DtmfRefused(DtmfError),
}

/// What is left of a closed session.
#[derive(Debug)]
pub struct Closed {
    /// Everything it measured.
    pub stats: Stats,
    /// The recording: [`Recorder::finish`] waits until it is on the disk, dropping it does not.
    pub record: Option<Recorder>,
}

/// Too many commands wait for the media thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the media thread is overloaded")]
pub struct Overloaded;

/// The way to the media thread, from any thread, blocking or not.
#[derive(Clone)]
pub struct MediaHandle {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue<Command>>,
    cursor: ports::Cursor,
    next_id: AtomicU64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl MediaHandle {
    /// Binds a pair of ports on `bind`, from `ports` or wherever the system likes.
    ///
    /// Takes a few system calls; more when the range is nearly used up.
    pub fn open(&self, bind: IpAddr, ports: Option<RangeInclusive<u16>>) -> Result<Port, PortError> {
        let (rtp, rtcp) = self.shared.cursor.bind(bind, ports)?;
        let id = MediaId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let port = Port { id, rtp: rtp.local_addr(), rtcp: rtcp.local_addr() };
        self.push(Command::Open { id, rtp, rtcp }).map_err(|Overloaded| PortError::Overloaded)?;
        Ok(port)
    }

    /// Begins the session. For one that has begun already: another configuration, other sound, and, if given,
    /// another recording and another place for events.
    pub fn start(&self, id: MediaId, start: Start) -> Result<(), Overloaded> {
        self.push(Command::Start { id, start: Box::new(start) })
    }

    /// A new offer/answer exchange has agreed on something else.
    pub fn reconfigure(&self, id: MediaId, config: Config) -> Result<(), Overloaded> {
        self.push(Command::Reconfigure { id, config: Box::new(config) })
    }

    /// Sends keys as RFC 4733 events, see [`dtmf::parse`] for how they are written.
    ///
    /// # Errors
    /// If a key is none. That the peer does not take them is told by [`MediaEvent::DtmfRefused`].
    pub fn dtmf(&self, id: MediaId, keys: &str) -> Result<(), DtmfError> {
        let tones = dtmf::parse(keys)?;
        self.push(Command::Dtmf { id, tones }).map_err(|Overloaded| DtmfError::QueueFull)
    }

    /// Sends silence instead of the source's sound, or no longer.
    pub fn mute(&self, id: MediaId, muted: bool) -> Result<(), Overloaded> {
        self.push(Command::Mute { id, muted })
    }

    /// What the session has measured so far, levels included; `None` if there is no such session.
    pub async fn stats(&self, id: MediaId) -> Option<Stats> {
        let (reply, answer) = oneshot::channel();
        self.push(Command::Stats { id, reply }).ok()?;
        answer.await.ok()
    }

    /// Ends the session at once, with an RTCP BYE. Awaiting the answer is optional; `None` if there was no such
    /// session.
    pub fn close(&self, id: MediaId) -> impl Future<Output = Option<Closed>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push_always(Command::Close { id, reply });
        async { answer.await.ok() }
    }

    fn push(&self, command: Command) -> Result<(), Overloaded> {
        self.shared.queue.push(command).map_err(|_| Overloaded)
    }
}

enum Command {
    Open { id: MediaId, rtp: Socket, rtcp: Socket },
    Start { id: MediaId, start: Box<Start> },
    Reconfigure { id: MediaId, config: Box<Config> },
    Dtmf { id: MediaId, tones: Vec<Tone> },
    Mute { id: MediaId, muted: bool },
    Stats { id: MediaId, reply: oneshot::Sender<Stats> },
    Close { id: MediaId, reply: oneshot::Sender<Closed> },
}

struct Thread {
    waiter: Waiter,
    queue: Arc<Queue<Command>>,
    lines: HashMap<MediaId, Line>,
    /// One entry per running session. The entries of closed ones are passed over when their time comes.
    due: BinaryHeap<Reverse<(Instant, MediaId)>>,
    /// Which millisecond the next session begins on.
    phase: u64,
    shop: Workshop,
}

impl Thread {
    fn run(mut self) {
        let mut ready = Vec::new();
        let mut commands = Vec::new();
        loop {
            let deadline = self.due.peek().map(|Reverse((at, _))| *at);
            if let Err(why) = self.waiter.wait(deadline, &mut ready) {
                tracing::error!(%why, "the media thread cannot wait and ends");
                return;
            }
            self.beats();
            self.queue.take(&mut commands);
            let closed = self.queue.is_closed() && commands.is_empty();
            for command in commands.drain(..) {
                self.obey(command);
            }
            for Ready { token, error } in ready.drain(..) {
                if let Some(line) = self.lines.get_mut(&MediaId(token >> 1)) {
                    line.receive(token & 1 == 1, error, &mut self.shop);
                }
                self.beats();
            }
            if closed {
                let now = wait::now();
                for (_, line) in self.lines.drain() {
                    line.close(now, &mut self.shop);
                }
                return;
            }
        }
    }

    /// Every frame that is due now. What becomes due meanwhile waits for the next round: with more sessions than the
    /// machine can carry, packets and commands must get their turn too.
    fn beats(&mut self) {
        let now = wait::now();
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                return;
            }
            self.due.pop();
            let Some(line) = self.lines.get_mut(&id).filter(|line| line.next() == Some(at)) else { continue };
            line.beat(now, &mut self.shop);
            if let Some(next) = line.next() {
                self.due.push(Reverse((next, id)));
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = wait::now();
        match command {
            Command::Open { id, rtp, rtcp } => {
                let line = Line::new(rtp, rtcp);
                for (socket, token) in line.sockets().into_iter().zip(tokens(id)) {
                    if let Err(why) = self.waiter.add(socket, token) {
                        tracing::warn!(%why, "a media port cannot be listened on");
                    }
                }
                self.lines.insert(id, line);
            }
            Command::Start { id, start } => {
                let Some(line) = self.lines.get_mut(&id) else { return };
                let phase = &mut self.phase;
                if line.start(now, *start, |session| first_beat(now, session, phase))
                    && let Some(next) = line.next()
                {
                    self.due.push(Reverse((next, id)));
                }
            }
            Command::Reconfigure { id, config } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.reconfigure(now, *config);
                }
            }
            Command::Dtmf { id, tones } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.dtmf(&tones);
                }
            }
            Command::Mute { id, muted } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.mute(muted);
                }
            }
            Command::Stats { id, reply } => {
                if let Some(line) = self.lines.get(&id) {
                    let _ = reply.send(line.stats());
                }
            }
            Command::Close { id, reply } => {
                let Some(line) = self.lines.remove(&id) else { return };
                for (socket, token) in line.sockets().into_iter().zip(tokens(id)) {
                    self.waiter.remove(socket, token);
                }
                let (stats, record) = line.close(now, &mut self.shop);
                let _ = reply.send(Closed { stats, record });
            }
        }
    }
}

/// Of the RTP and the RTCP socket.
fn tokens(id: MediaId) -> [u64; 2] {
    [id.0 << 1, id.0 << 1 | 1]
}

/// The next instant on this session's own millisecond of the packet time: those who begin together are spread out, and
/// those who share a millisecond share a wake-up.
fn first_beat(now: Instant, session: &Session, phase: &mut u64) -> Instant {
    let packet_time = (session.ptime().as_micros() as u64).max(1000);
    // Seven has no common divisor with any usual packet time, so all milliseconds get their turn, neighbours last.
    *phase = (*phase + 7) % 60;
    let offset = *phase * 1000 % packet_time;
    let past = (now.as_micros() + packet_time - offset) % packet_time;
    now + Duration::from_micros(packet_time - past)
}

#[cfg(test)]
mod tests;
