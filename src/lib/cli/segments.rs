//! Connections as TCP packets for a capture, and the packets of TLS connections held back until their secrets are
//! known.
//!
//! The octets come from a tap above the kernel's TCP, so handshake, sequence numbers and acknowledgements are made up
//! (RFC 9293): they run without gaps, which is all that a reader needs to put the stream together again. A reader
//! that goes through the file once can decrypt only what stands behind the secrets, hence the waiting: until they
//! come, the connection ends, [`HOLD`] is over or [`HELD_PACKETS`] are held.
//!
//! Nothing here writes or reads a clock.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant, SystemTime},
};

use zeroize::Zeroizing;

use super::{
    datagram::{ACK, Datagram, FIN, PSH, SYN, Tcp},
    recorder::{RecordedEvent, RecordedSegment},
};
use crate::transport::Direction;

/// What goes into the file.
pub(super) enum Piece {
    /// Lines of a key log, each with its end.
    Secrets(Zeroizing<String>),
    Packet {
        at: SystemTime,
        datagram: Datagram,
    },
}

/// All connections of a capture.
#[derive(Default)]
pub(super) struct Segments {
    connections: HashMap<u64, Connection>,
    secrets: Secrets,
    held: usize,
    /// Packets that had to be written without their secrets.
    overdue: u64,
}

struct Connection {
    /// The next sequence number of what is sent and of what is received.
    next: [u32; 2],
    finished: [bool; 2],
    /// Whoever did so last: the other one acknowledges it.
    last: Direction,
    secrecy: Secrecy,
    held: Vec<Piece>,
    since: Instant,
}

/// How far we are with the secrets of a connection.
enum Secrecy {
    /// The first octets of the client, until they tell its random number.
    Hello(Vec<u8>),
    /// The secrets of this random number are missing.
    Wanted(String),
    /// Nothing to wait for.
    Open,
}

impl Segments {
    /// Turns an event into packets, or holds them.
    pub fn segment(&mut self, now: Instant, segment: &RecordedSegment, out: &mut Vec<Piece>) {
        if self.connections.len() >= MOST_CONNECTIONS && !self.connections.contains_key(&segment.connection) {
            // Only ends that got lost can bring us here.
            self.release_all(out);
            self.connections.clear();
        }
        let connection = self.connections.entry(segment.connection).or_insert_with(|| Connection {
            next: FIRST,
            finished: [false; 2],
            last: Direction::Received,
            secrecy: if segment.protocol.is_secure() { Secrecy::Hello(Vec::new()) } else { Secrecy::Open },
            held: Vec::new(),
            since: now,
        });
        let before = connection.held.len();
        connection.packets(segment);
        self.held += connection.held.len() - before;
        if let RecordedEvent::Octets { bytes, .. } = &segment.event {
            connection.listen(bytes);
        }
        let full = connection.held.len() > HELD_PACKETS || self.held > HELD_PACKETS_OF_ALL;
        let is_open = match &connection.secrecy {
            Secrecy::Open => true,
            Secrecy::Wanted(random) => self.secrets.are_complete(random),
            Secrecy::Hello(_) => false,
        };
        if segment.event == RecordedEvent::Closed {
            self.release(segment.connection, false, out);
            self.connections.remove(&segment.connection);
        } else if is_open || full {
            self.release(segment.connection, !is_open, out);
        }
    }

    /// Takes a line of a key log; what waited for it is free.
    pub fn secret(&mut self, line: &str, out: &mut Vec<Piece>) {
        let Some(random) = self.secrets.add(line) else { return };
        let is_wanted = |connection: &Connection| matches!(&connection.secrecy, Secrecy::Wanted(wanted) if *wanted == random);
        // Both ends may be in this process.
        let waiting = self.connections.iter().filter(|(_, connection)| is_wanted(connection));
        let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
        if self.secrets.were_written(&random) {
            out.push(Piece::Secrets(Zeroizing::new(format!("{line}\n"))));
        }
        if self.secrets.are_complete(&random) {
            waiting.into_iter().for_each(|id| self.release(id, false, out));
        }
    }

    /// Frees what has waited too long.
    pub fn advance(&mut self, now: Instant, out: &mut Vec<Piece>) {
        if self.held == 0 {
            return;
        }
        let late = |connection: &Connection| {
            !connection.held.is_empty() && now.saturating_duration_since(connection.since) >= HOLD
        };
        let late: Vec<u64> =
            self.connections.iter().filter(|(_, connection)| late(connection)).map(|(id, _)| *id).collect();
        for id in late {
            self.release(id, true, out);
        }
    }

    /// Frees everything.
    pub fn release_all(&mut self, out: &mut Vec<Piece>) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            self.release(id, false, out);
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.held > 0
    }

    /// How many packets went out before their secrets came.
    pub fn overdue(&self) -> u64 {
        self.overdue
    }

    fn release(&mut self, id: u64, is_overdue: bool, out: &mut Vec<Piece>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Secrecy::Wanted(random) = &connection.secrecy
            && let Some(lines) = self.secrets.take(random)
        {
            out.push(Piece::Secrets(lines));
        }
        connection.secrecy = Secrecy::Open;
        self.held -= connection.held.len();
        if is_overdue {
            self.overdue += connection.held.len() as u64;
        }
        out.append(&mut connection.held);
    }
}

impl Connection {
    fn packets(&mut self, segment: &RecordedSegment) {
        match &segment.event {
            RecordedEvent::Opened { by } => {
                self.packet(segment, *by, SYN, &[]);
                self.packet(segment, other(*by), SYN | ACK, &[]);
                self.packet(segment, *by, ACK, &[]);
            }
            RecordedEvent::Octets { direction, bytes } => {
                for part in bytes.chunks(LONGEST_SEGMENT) {
                    self.packet(segment, *direction, PSH | ACK, part);
                }
            }
            RecordedEvent::Finished { by } => self.finish(segment, *by),
            RecordedEvent::Closed => {
                for by in [Direction::Sent, Direction::Received] {
                    self.finish(segment, by);
                }
                self.packet(segment, other(self.last), ACK, &[]);
            }
        }
    }

    fn finish(&mut self, segment: &RecordedSegment, by: Direction) {
        if let Some(finished) = self.finished.get_mut(index(by))
            && !std::mem::replace(finished, true)
        {
            self.last = by;
            self.packet(segment, by, FIN | ACK, &[]);
        }
    }

    fn packet(&mut self, segment: &RecordedSegment, direction: Direction, flags: u8, payload: &[u8]) {
        let [sent, received] = &mut self.next;
        let (from, to, own, peer) = match direction {
            Direction::Sent => (segment.local, segment.remote, sent, received),
            Direction::Received => (segment.remote, segment.local, received, sent),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { *peer };
        // SYN and FIN count as one octet each (RFC 9293 §3.4).
        let length = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let sequence = *own;
        *own = own.wrapping_add(length);
        let datagram = Datagram::tcp(from, to, Tcp { sequence, acknowledged, flags }, payload);
        self.held.push(Piece::Packet { at: segment.at, datagram });
    }

    /// Reads the client's random number off its first octets (RFC 8446 §4.1.2, §5.1): whoever speaks first is the
    /// client.
    fn listen(&mut self, bytes: &[u8]) {
        let Secrecy::Hello(hello) = &mut self.secrecy else { return };
        hello.extend(bytes.iter().take(HELLO - hello.len().min(HELLO)));
        // A record of type handshake (22) that begins with a client hello (1); not TLS otherwise.
        let is_hello =
            hello.first().is_none_or(|kind| *kind == 22) && hello.get(5).is_none_or(|kind| *kind == 1);
        if !is_hello {
            self.secrecy = Secrecy::Open;
        } else if let Some(random) = hello.get(HELLO - 32..HELLO) {
            self.secrecy = Secrecy::Wanted(random.iter().map(|octet| format!("{octet:02x}")).collect());
        }
    }
}

/// The secrets that came, by the client's random number in hexadecimal.
#[derive(Default)]
struct Secrets {
    known: HashMap<String, Known>,
    order: VecDeque<String>,
}

#[derive(Default)]
struct Known {
    lines: Zeroizing<String>,
    labels: Vec<String>,
    is_written: bool,
}

impl Secrets {
    /// Keeps a line; its random number, if it is one of a key log.
    fn add(&mut self, line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let (label, random) = (words.next()?, words.next()?.to_ascii_lowercase());
        words.next()?;
        let known = self.entry(&random);
        if known.labels.len() < MOST_LINES {
            known.labels.push(label.to_owned());
            // What is written is not kept.
            if !known.is_written {
                known.lines.push_str(line);
                known.lines.push('\n');
            }
        }
        Some(random)
    }

    fn entry(&mut self, random: &str) -> &mut Known {
        if !self.known.contains_key(random) {
            if self.order.len() >= MOST_SECRETS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(random.to_owned());
        }
        self.known.entry(random.to_owned()).or_default()
    }

    /// Whether the application's data can be read: TLS 1.2 has one secret, TLS 1.3 one for each direction.
    fn are_complete(&self, random: &str) -> bool {
        let Some(known) = self.known.get(random) else { return false };
        let has = |label: &str| known.labels.iter().any(|own| own == label);
        has("CLIENT_RANDOM") || (has("CLIENT_TRAFFIC_SECRET_0") && has("SERVER_TRAFFIC_SECRET_0"))
    }

    fn were_written(&self, random: &str) -> bool {
        self.known.get(random).is_some_and(|known| known.is_written)
    }

    fn take(&mut self, random: &str) -> Option<Zeroizing<String>> {
        let known = self.entry(random);
        known.is_written = true;
        Some(std::mem::take(&mut known.lines)).filter(|lines| !lines.is_empty())
    }
}

const fn other(direction: Direction) -> Direction {
    match direction {
        Direction::Sent => Direction::Received,
        Direction::Received => Direction::Sent,
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Sent => 0,
        Direction::Received => 1,
    }
}

/// How long packets wait for their secrets.
const HOLD: Duration = Duration::from_secs(2);
const HELD_PACKETS: usize = 256;
const HELD_PACKETS_OF_ALL: usize = 16_384;
const MOST_CONNECTIONS: usize = 65_536;
/// Of random numbers, and of lines for each; more than TLS has.
const MOST_SECRETS: usize = 4096;
const MOST_LINES: usize = 16;
/// Where sequence numbers begin; any number would do.
const FIRST: [u32; 2] = [1000, 1_000_000];
const LONGEST_SEGMENT: usize = 16 * 1024;
/// Header of a record (5), of a handshake message (4), a version (2) and the random number (32).
const HELLO: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Protocol;

    fn segment(protocol: Protocol, event: RecordedEvent) -> RecordedSegment {
        let local = "127.0.0.1:40000".parse().expect("an address");
        let remote = "127.0.0.2:5061".parse().expect("an address");
        RecordedSegment { at: SystemTime::UNIX_EPOCH, connection: 7, protocol, local, remote, event }
    }

    fn octets(direction: Direction, bytes: &[u8]) -> RecordedEvent {
        RecordedEvent::Octets { direction, bytes: bytes.to_vec() }
    }

    /// Flags, sequence and acknowledgement numbers, payload length; or the secrets.
    fn told(pieces: &[Piece]) -> Vec<String> {
        let number = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let line = |piece: &Piece| match piece {
            Piece::Secrets(lines) => lines.replace('\n', "|"),
            Piece::Packet { datagram, .. } => {
                let tcp = &datagram.bytes[20..];
                format!("{} {} {} {}", tcp[13], number(&tcp[4..]), number(&tcp[8..]), tcp.len() - 20)
            }
        };
        pieces.iter().map(line).collect()
    }

    fn hello(random: u8) -> Vec<u8> {
        let mut hello = vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        hello.extend([random; 32]);
        hello.extend([0; 20]);
        hello
    }

    #[test]
    fn sequence_numbers_run_from_handshake_to_end() {
        let mut segments = Segments::default();
        let mut out = Vec::new();
        let now = Instant::now();
        for event in [
            RecordedEvent::Opened { by: Direction::Sent },
            octets(Direction::Sent, b"hello"),
            octets(Direction::Received, &[1; LONGEST_SEGMENT + 1]),
            RecordedEvent::Finished { by: Direction::Received },
            RecordedEvent::Closed,
        ] {
            segments.segment(now, &segment(Protocol::Tcp, event), &mut out);
        }
        assert_eq!(
            told(&out),
            [
                "2 1000 0 0",
                "18 1000000 1001 0",
                "16 1001 1000001 0",
                "24 1001 1000001 5",
                "24 1000001 1006 16384",
                "24 1016385 1006 1",
                "17 1016386 1006 0",
                "17 1006 1016387 0",
                "16 1016387 1007 0",
            ]
        );
        assert!(!segments.is_waiting());
        assert!(segments.connections.is_empty());
    }

    #[test]
    fn packets_wait_for_their_secrets() {
        let random = "05".repeat(32);
        for lines in [
            vec![format!("CLIENT_RANDOM {random} aa")],
            vec![
                format!("CLIENT_HANDSHAKE_TRAFFIC_SECRET {random} aa"),
                format!("SERVER_TRAFFIC_SECRET_0 {random} bb"),
                format!("CLIENT_TRAFFIC_SECRET_0 {random} cc"),
            ],
        ] {
            let mut segments = Segments::default();
            let mut out = Vec::new();
            let now = Instant::now();
            segments.segment(
                now,
                &segment(Protocol::Tls, RecordedEvent::Opened { by: Direction::Sent }),
                &mut out,
            );
            // Split at every octet: the random number is put together all the same.
            for octet in hello(5) {
                segments.segment(now, &segment(Protocol::Tls, octets(Direction::Sent, &[octet])), &mut out);
            }
            segments.secret(&format!("CLIENT_RANDOM {} ff", "06".repeat(32)), &mut out);
            assert!(out.is_empty() && segments.is_waiting());
            for line in &lines {
                assert!(out.is_empty());
                segments.secret(line, &mut out);
            }
            let told = told(&out);
            assert_eq!(told[0], lines.join("|") + "|", "the secrets come first");
            assert_eq!(told.len(), 1 + 3 + hello(5).len());
            segments.segment(now, &segment(Protocol::Tls, octets(Direction::Sent, b"x")), &mut out);
            assert_eq!(out.len(), told.len() + 1, "and what follows is not held");
            segments.secret(&format!("CLIENT_TRAFFIC_SECRET_1 {random} dd"), &mut out);
            assert!(matches!(out.last(), Some(Piece::Secrets(_))), "later secrets follow");
            assert_eq!((segments.overdue(), segments.is_waiting()), (0, false));
        }
    }

    #[test]
    fn but_not_for_ever_and_not_all_of_them() {
        let start = Instant::now();
        let feed = |segments: &mut Segments, out: &mut Vec<Piece>| {
            segments.segment(start, &segment(Protocol::Tls, octets(Direction::Sent, &hello(5))), out);
        };
        let (mut segments, mut out) = (Segments::default(), Vec::new());
        feed(&mut segments, &mut out);
        segments.advance(start + HOLD / 2, &mut out);
        assert!(out.is_empty());
        segments.advance(start + HOLD, &mut out);
        assert_eq!((out.len(), segments.overdue()), (1, 1));

        let (mut segments, mut out) = (Segments::default(), Vec::new());
        for _ in 0..=HELD_PACKETS {
            feed(&mut segments, &mut out);
        }
        assert_eq!((out.len(), segments.overdue()), (HELD_PACKETS + 1, HELD_PACKETS as u64 + 1));

        // A handshake that fails has no secrets, and nothing is missing.
        let (mut segments, mut out) = (Segments::default(), Vec::new());
        feed(&mut segments, &mut out);
        segments.segment(start, &segment(Protocol::Tls, RecordedEvent::Closed), &mut out);
        assert_eq!((out.len(), segments.overdue(), segments.is_waiting()), (4, 0, false));

        // What is no TLS is not held.
        let (mut segments, mut out) = (Segments::default(), Vec::new());
        segments.segment(start, &segment(Protocol::Tls, octets(Direction::Sent, b"SIP/2.0 ")), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn secrets_are_bounded() {
        let mut segments = Segments::default();
        let mut out = Vec::new();
        for number in 0..MOST_SECRETS * 2 {
            segments.secret(&format!("CLIENT_RANDOM {number:064x} aa"), &mut out);
        }
        for line in ["", "CLIENT_RANDOM", "CLIENT_RANDOM 00", "# a comment"] {
            segments.secret(line, &mut out);
        }
        assert_eq!(segments.secrets.known.len(), MOST_SECRETS);
        assert_eq!(segments.secrets.order.len(), MOST_SECRETS);
        assert!(out.is_empty());
    }
}
