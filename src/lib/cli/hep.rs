//! `--hep`: a copy of every SIP message for a capture server, by HEP version 3 over UDP.
//!
//! It has a recorder of its own: whoever carries messages puts a copy into a bounded queue and never waits, and a thread
//! sends from there. What does not get away is counted.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Failure,
    exit::ExitStatus,
    recorder::{Recorded, Recorder, Writer},
    secret::Password,
};
use crate::{
    resolve::{Query, Records, system::Resolver},
    transport::{Packet, PacketKind, Segment, Tap, hep::Agent, udp::Socket},
};

/// `--hep HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HepServer {
    host: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is wanted, perhaps with a port, such as homer.example:9060 or [2001:db8::1]")]
pub struct HepServerError;

impl FromStr for HepServer {
    type Err = HepServerError;

    fn from_str(text: &str) -> Result<Self, HepServerError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self { host: ip.to_string(), port: PORT });
        }
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Self { host: addr.ip().to_string(), port: addr.port() });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, port.parse().map_err(|_| HepServerError)?),
            _ => (text, PORT),
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(ip) => ip.parse::<Ipv6Addr>().map_err(|_| HepServerError)?.to_string(),
            None if is_name(host) => host.to_owned(),
            None => return Err(HepServerError),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for HepServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// What the flags and the configuration say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub server: HepServer,
    pub id: u32,
    /// A file whose first line the server wants to be told.
    pub password_file: Option<PathBuf>,
}

/// The way to a capture server. It ends with [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Hep {
    recorder: Arc<Recorder>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    unsent: AtomicU64,
}

impl Hep {
    /// Finds the server and starts. That a server hears nobody can know.
    pub async fn start(settings: &Settings, resolver: &Resolver) -> Result<Self, Failure> {
        let server = &settings.server;
        let to = SocketAddr::new(address(&server.host, resolver).await?, server.port);
        let key = settings.password_file.as_deref().map(Password::from_file).transpose();
        let key = key.map_err(Failure::usage)?;
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = Socket::bind(SocketAddr::new(any, 0)).map_err(Failure::usage)?;
        let counts = Arc::<Counts>::default();
        let sender = Sender { socket, to, id: settings.id, key, counts: counts.clone(), out: Vec::new() };
        let recorder = Recorder::start(vec![Box::new(sender)], false, false).map_err(|error| {
            Failure::new(ExitStatus::Defect, format_args!("cannot start a thread: {error}"))
        })?;
        Ok(Self { recorder, counts })
    }

    /// A tap that gives to this one and to another one.
    pub fn beside(&self, other: Option<Arc<dyn Tap>>) -> Arc<dyn Tap> {
        match other {
            Some(other) => Arc::new(Both(self.recorder.clone(), other)),
            None => self.recorder.clone(),
        }
    }

    /// Packets sent, and messages that were not: there were too many at once, or they are too long, or the system did not
    /// send them.
    pub fn counts(&self) -> (u64, u64) {
        let unsent = self.counts.unsent.load(Ordering::Relaxed) + self.recorder.dropped();
        (self.counts.sent.load(Ordering::Relaxed), unsent)
    }

    /// Sends what waits, and ends.
    pub fn finish(&self) {
        self.recorder.finish();
        if let (_, lost @ 1..) = self.counts() {
            tracing::warn!("{lost} messages were not told to the capture server");
        }
    }
}

async fn address(host: &str, resolver: &Resolver) -> Result<IpAddr, Failure> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    let unknown = |why: &dyn fmt::Display| {
        Failure::new(ExitStatus::NameResolution, format_args!("the capture server {host}: {why}"))
    };
    let query = Query::Addresses { name: host.into() };
    match resolver.answer(&query, LOOKUP).await {
        Ok(answer) => match answer.records {
            Records::Addresses(addresses) => addresses.first().copied().ok_or(unknown(&"it has no address")),
            Records::Naptr(_) | Records::Srv(_) => Err(unknown(&"it has no address")),
        },
        Err(error) => Err(unknown(&error)),
    }
}

/// Sends on the recorder's thread.
struct Sender {
    socket: Socket,
    to: SocketAddr,
    id: u32,
    key: Option<Password>,
    counts: Arc<Counts>,
    out: Vec<u8>,
}

impl Writer for Sender {
    fn write(&mut self, packet: &Recorded) -> io::Result<()> {
        // Keep-alives are no messages.
        if packet.kind != PacketKind::Sip || packet.bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let &Recorded { at, kind, direction, protocol, local, remote, ref bytes } = packet;
        let agent = Agent { id: self.id, key: self.key.as_ref().map(|key| key.reveal().as_bytes()) };
        let is_written = agent
            .write(&Packet { at, kind, direction, protocol, local, remote, bytes }, &mut self.out)
            .inspect_err(|why| tracing::debug!("{why}"))
            .is_ok();
        let is_sent = is_written && self.socket.try_send(&self.out, self.to, None).is_ok();
        let count = if is_sent { &self.counts.sent } else { &self.counts.unsent };
        count.fetch_add(1, Ordering::Relaxed);
        // It may be there again for the next one.
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Who does not listen is of no interest, but what the kernel keeps of it is taken away.
        while self.socket.take_error().is_some() {}
        Ok(())
    }

    fn name(&self) -> String {
        format!("the capture server {}", self.to)
    }
}

/// Two taps at one place.
struct Both(Arc<dyn Tap>, Arc<dyn Tap>);

impl Tap for Both {
    fn packet(&self, packet: &Packet<'_>) {
        self.0.packet(packet);
        self.1.packet(packet);
    }

    fn segment(&self, segment: &Segment<'_>) {
        self.0.segment(segment);
        self.1.segment(segment);
    }

    fn secret(&self, line: &str) {
        self.0.secret(line);
        self.1.secret(line);
    }
}

/// Where capture servers listen.
const PORT: u16 = 9060;
const LOOKUP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        let table = [
            ("homer.example", Some("homer.example:9060")),
            ("homer.example:9070", Some("homer.example:9070")),
            ("192.0.2.1", Some("192.0.2.1:9060")),
            ("192.0.2.1:1", Some("192.0.2.1:1")),
            ("::1", Some("[::1]:9060")),
            ("[::1]", Some("[::1]:9060")),
            ("[::1]:1", Some("[::1]:1")),
            ("homer.example:x", None),
            ("udp:homer.example:1", None),
            ("", None),
            (":1", None),
            ("a b", None),
        ];
        for (text, expected) in table {
            let read = text.parse::<HepServer>().ok().map(|server| server.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
