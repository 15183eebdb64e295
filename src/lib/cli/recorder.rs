//! The tap of the programs: packets are copied into a bounded queue, and one thread writes them to the capture file
//! and the trace. Socket threads never wait: what does not fit is counted and left out.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use zeroize::Zeroizing;

use crate::transport::{Direction, Packet, PacketKind, Protocol, Segment, SegmentEvent, Tap};

/// A packet with its bytes, on its way to the writers.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub at: SystemTime,
    pub kind: PacketKind,
    pub direction: Direction,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: Vec<u8>,
}

/// An event of a connection with its octets.
#[derive(Clone, Debug)]
pub(super) struct RecordedSegment {
    pub at: SystemTime,
    pub connection: u64,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub event: RecordedEvent,
}

/// [`SegmentEvent`] with its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordedEvent {
    Opened { by: Direction },
    Octets { direction: Direction, bytes: Vec<u8> },
    Finished { by: Direction },
    Closed,
}

impl RecordedEvent {
    fn length(&self) -> usize {
        match self {
            Self::Octets { bytes, .. } => bytes.len(),
            Self::Opened { .. } | Self::Finished { .. } | Self::Closed => 0,
        }
    }
}

/// Where packets go; runs on the recorder's thread, so it may block.
pub(super) trait Writer: Send {
    fn write(&mut self, packet: &Recorded) -> io::Result<()>;

    fn segment(&mut self, _segment: &RecordedSegment) -> io::Result<()> {
        Ok(())
    }

    /// A line of a key log, without its end.
    fn secret(&mut self, _line: &str) -> io::Result<()> {
        Ok(())
    }

    /// Called soon after something was written, and as long as the writer waits for something.
    fn flush(&mut self) -> io::Result<()>;

    /// Whether it keeps something back that it will write at a later flush.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Called once, at the end.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// What a message about a failed write calls it.
    fn name(&self) -> String;
}

/// The tap. Clones of the `Arc` go to the endpoint; [`Recorder::finish`] ends the thread.
pub(super) struct Recorder {
    queue: SyncSender<Item>,
    queued_bytes: Arc<AtomicUsize>,
    dropped: AtomicU64,
    /// Whether anybody wants RTP and RTCP.
    media: bool,
    /// Whether anybody wants connections below TLS, and their secrets.
    connections: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Item {
    Packet(Recorded),
    Segment(RecordedSegment),
    Secret(Zeroizing<String>),
    Finish,
}

impl Recorder {
    pub fn start(writers: Vec<Box<dyn Writer>>, media: bool, connections: bool) -> io::Result<Arc<Self>> {
        let (queue, items) = sync_channel(QUEUE_PACKETS);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let thread = thread::Builder::new().name("recorder".into()).spawn({
            let queued_bytes = Arc::clone(&queued_bytes);
            move || write_all(&items, &queued_bytes, writers)
        })?;
        let thread = Mutex::new(Some(thread));
        let dropped = AtomicU64::new(0);
        Ok(Arc::new(Self { queue, queued_bytes, dropped, media, connections, thread }))
    }

    /// What had to be left out so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is queued, flushes, and says how many packets had to be left out. Later packets are ignored.
    pub fn finish(&self) -> u64 {
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The thread takes everything it is given, so this waits for a slow disk at most.
            let _ = self.queue.send(Item::Finish);
            let _ = thread.join();
        }
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Tap for Recorder {
    fn packet(&self, packet: &Packet<'_>) {
        if packet.kind != PacketKind::Sip && !self.media {
            return;
        }
        let &Packet { at, kind, direction, protocol, local, remote, bytes } = packet;
        self.put(bytes.len(), || {
            Item::Packet(Recorded { at, kind, direction, protocol, local, remote, bytes: bytes.to_vec() })
        });
    }

    fn segment(&self, segment: &Segment<'_>) {
        if !self.connections {
            return;
        }
        let &Segment { at, connection, protocol, local, remote, event } = segment;
        let length = match event {
            SegmentEvent::Octets { bytes, .. } => bytes.len(),
            SegmentEvent::Opened { .. } | SegmentEvent::Finished { .. } | SegmentEvent::Closed => 0,
        };
        self.put(length, || {
            let event = match event {
                SegmentEvent::Opened { by } => RecordedEvent::Opened { by },
                SegmentEvent::Octets { direction, bytes } => {
                    RecordedEvent::Octets { direction, bytes: bytes.to_vec() }
                }
                SegmentEvent::Finished { by } => RecordedEvent::Finished { by },
                SegmentEvent::Closed => RecordedEvent::Closed,
            };
            Item::Segment(RecordedSegment { at, connection, protocol, local, remote, event })
        });
    }

    fn secret(&self, line: &str) {
        if self.connections {
            self.put(0, || Item::Secret(Zeroizing::new(line.to_owned())));
        }
    }
}

impl Recorder {
    /// Queues an item of so many bytes, or counts it as left out.
    fn put(&self, length: usize, item: impl FnOnce() -> Item) {
        if self.queued_bytes.fetch_add(length, Ordering::Relaxed) + length > QUEUE_BYTES {
            self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Err(error) = self.queue.try_send(item()) {
            self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            // After the end nobody asked for it any more; a full queue is a loss.
            if matches!(error, TrySendError::Full(_)) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

fn write_all(items: &Receiver<Item>, queued_bytes: &AtomicUsize, mut writers: Vec<Box<dyn Writer>>) {
    let mut flushed = Instant::now();
    let mut dirty = false;
    loop {
        let item = match dirty {
            true => items.recv_timeout(FLUSH_INTERVAL.saturating_sub(flushed.elapsed())),
            // With nothing unwritten there is nothing to wake up for.
            false => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match item {
            Ok(Item::Packet(packet)) => {
                queued_bytes.fetch_sub(packet.bytes.len(), Ordering::Relaxed);
                attempt(&mut writers, |writer| writer.write(&packet));
            }
            Ok(Item::Segment(segment)) => {
                queued_bytes.fetch_sub(segment.event.length(), Ordering::Relaxed);
                attempt(&mut writers, |writer| writer.segment(&segment));
            }
            Ok(Item::Secret(line)) => attempt(&mut writers, |writer| writer.secret(&line)),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Item::Finish) | Err(RecvTimeoutError::Disconnected) => {
                attempt(&mut writers, |writer| writer.finish());
                return;
            }
        }
        if !dirty {
            flushed = Instant::now();
            dirty = true;
        }
        if flushed.elapsed() >= FLUSH_INTERVAL {
            attempt(&mut writers, |writer| writer.flush());
            flushed = Instant::now();
            dirty = writers.iter().any(|writer| writer.is_waiting());
        }
    }
}

/// A writer that fails is reported once and given up: a full disk must not end a call.
fn attempt(writers: &mut Vec<Box<dyn Writer>>, mut step: impl FnMut(&mut dyn Writer) -> io::Result<()>) {
    writers.retain_mut(|writer| match step(writer.as_mut()) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("cannot write to {}: {error}; it ends here", writer.name());
            false
        }
    });
}

const QUEUE_PACKETS: usize = 4096;
/// Bounds the queue's memory: 4096 packets of 64 KiB would be 256 MiB.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// A run that is killed loses less than a second.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects packets; blocks while the gate is locked.
    struct Probe {
        gate: Arc<Mutex<()>>,
        seen: Arc<Mutex<Vec<Recorded>>>,
        fail: bool,
    }

    impl Writer for Probe {
        fn write(&mut self, packet: &Recorded) -> io::Result<()> {
            let _open = self.gate.lock();
            if self.fail {
                return Err(io::Error::other("full"));
            }
            self.seen.lock().expect("unpoisoned").push(packet.clone());
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn name(&self) -> String {
            "probe".into()
        }
    }

    fn packet(kind: PacketKind, bytes: &[u8]) -> Packet<'_> {
        let local = SocketAddr::from(([127, 0, 0, 1], 5060));
        Packet {
            at: SystemTime::UNIX_EPOCH,
            kind,
            direction: Direction::Sent,
            protocol: Protocol::Udp,
            local,
            remote: local,
            bytes,
        }
    }

    #[test]
    fn a_stuck_writer_costs_packets_and_never_blocks_the_tap() {
        let gate = Arc::new(Mutex::new(()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let probe = Probe { gate: Arc::clone(&gate), seen: Arc::clone(&seen), fail: false };
        let recorder = Recorder::start(vec![Box::new(probe)], true, false).expect("a thread");
        let closed = gate.lock().expect("unpoisoned");
        let bytes = vec![0; 60_000];
        for _ in 0..1000 {
            recorder.packet(&packet(PacketKind::Rtp, &bytes));
        }
        drop(closed);
        let dropped = recorder.finish();
        let seen = seen.lock().expect("unpoisoned").len() as u64;
        assert_eq!(seen + dropped, 1000);
        assert!((QUEUE_BYTES as u64 / 60_000..=QUEUE_BYTES as u64 / 60_000 + 2).contains(&seen), "{seen}");
        recorder.packet(&packet(PacketKind::Sip, b"late"));
        assert_eq!(recorder.finish(), dropped, "after the end packets are ignored, not lost");
    }

    #[test]
    fn a_failing_writer_leaves_the_others_alone_and_media_is_skipped_when_nobody_wants_it() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let probe =
            |fail| Box::new(Probe { gate: Arc::default(), seen: Arc::clone(&seen), fail }) as Box<dyn Writer>;
        let recorder = Recorder::start(vec![probe(true), probe(false)], false, false).expect("a thread");
        recorder.packet(&packet(PacketKind::Sip, b"one"));
        recorder.packet(&packet(PacketKind::Rtcp, b"two"));
        recorder.packet(&packet(PacketKind::Sip, b"three"));
        assert_eq!(recorder.finish(), 0);
        let seen: Vec<_> = seen.lock().expect("unpoisoned").iter().map(|p| p.bytes.clone()).collect();
        assert_eq!(seen, [b"one".to_vec(), b"three".to_vec()]);
    }
}
