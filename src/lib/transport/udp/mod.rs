//! UDP sockets (RFC 3261 §18, RFC 3581 §4): an answer leaves from the address its request came to, and an
//! ICMP error names the destination it is about.
//!
//! [`Socket`] never blocks and knows no runtime; [`UdpSocket`] adds waiting under tokio. Both come per
//! address family: an IPv6 socket does not carry IPv4, so a dual-stack endpoint binds two. No port is ever
//! shared: a port that another process serves is a [`BindError`].
//!
//! Nothing is queued here. What arrives faster than it is read is dropped by the kernel, and a datagram the
//! kernel has no room to send is dropped and counted ([`Counters::unsent`]): over UDP the transactions
//! retransmit, and media that is late is worthless.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering},
};

use socket2::{Domain, SockRef, Type};

mod batch;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod share;

pub use batch::{BATCH, Inbox, Outgoing};
#[cfg(target_os = "linux")]
use linux::Reactor;
#[cfg(target_os = "linux")]
pub use linux::Socket;
#[cfg(not(target_os = "linux"))]
use portable::Reactor;
#[cfg(not(target_os = "linux"))]
pub use portable::Socket;

/// The receive buffer that truncates no datagram, in bytes.
pub const MAX_DATAGRAM: usize = 65_535;

/// A [`Socket`] to be awaited in a tokio runtime.
///
/// One wake-up, then read everything: loop over [`readable`](Self::readable),
/// [`take_error`](Self::take_error) until `None`, and [`try_recv`](Self::try_recv) until it says
/// `WouldBlock`. Leaving either early makes `readable` return at once again; nothing is lost.
pub struct UdpSocket {
    reactor: Reactor,
}

impl UdpSocket {
    /// Binds to `addr`; port 0 takes a free one.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(addr, Options::default())
    }

    /// As [`bind`](Self::bind), with options.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn bind_with(addr: SocketAddr, options: Options) -> Result<Self, BindError> {
        Self::from_socket(Socket::bind_with(addr, options)?)
            .map_err(|source| BindError::Failed { addr, source })
    }

    /// Registers a bound socket with the runtime, for instance on another thread than the one that bound it.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn from_socket(socket: Socket) -> io::Result<Self> {
        Ok(Self { reactor: Reactor::new(socket)? })
    }

    /// The bound address: with a wildcard bind the address is unspecified, the port is always the real one.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket().local_addr()
    }

    /// Waits until a datagram or an error can be read.
    pub async fn readable(&self) -> io::Result<()> {
        self.reactor.readable().await
    }

    /// See [`Socket::try_recv`].
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.reactor.try_read(|socket| socket.try_recv(buffer))
    }

    /// See [`Socket::try_send`].
    pub fn try_send(&self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        self.socket().try_send(bytes, to, from)
    }

    /// See [`Socket::try_recv_batch`].
    pub fn try_recv_batch(&self, inbox: &mut Inbox) -> io::Result<()> {
        self.reactor.try_read(|socket| socket.try_recv_batch(inbox))
    }

    /// Nothing was left when it was read last: [`readable`](Self::readable) waits for what comes after that.
    pub fn set_drained(&self) {
        let _ = self.reactor.try_read(|_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }

    /// See [`Socket::try_send_batch`].
    pub fn try_send_batch(&self, datagrams: &[Outgoing]) -> (usize, io::Result<()>) {
        self.socket().try_send_batch(datagrams)
    }

    /// See [`Socket::take_error`].
    pub fn take_error(&self) -> Option<DestinationError> {
        self.reactor.try_error(|socket| socket.take_error().ok_or(io::ErrorKind::WouldBlock.into())).ok()
    }

    pub fn counters(&self) -> Counters {
        self.socket().counters()
    }

    /// See [`Socket::fill`].
    pub fn fill(&self) -> Option<f32> {
        self.socket().fill()
    }

    fn socket(&self) -> &Socket {
        self.reactor.socket()
    }
}

/// What was received, apart from the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Bytes written to the buffer; 0 for an empty datagram.
    pub len: usize,
    pub from: SocketAddr,
    /// The address it was sent to, hence the one to answer from; never the wildcard on Linux. Port: the
    /// socket's.
    pub to: SocketAddr,
}

/// A datagram sent to `to` could not be delivered: an ICMP error came back (RFC 3261 §18.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DestinationError {
    pub to: SocketAddr,
    /// `ConnectionRefused` for port unreachable, `HostUnreachable`, `NetworkUnreachable`, …
    pub kind: io::ErrorKind,
}

/// How a socket is set up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Options {
    /// Kernel receive and send buffer in bytes each; `None` leaves the system's default. The kernel silently
    /// takes less if its own limit (`net.core.rmem_max`, `wmem_max`) is lower.
    pub buffer: Option<usize>,
    /// Whether it joins others of ours that have the address already.
    pub(super) joins: bool,
}

impl Options {
    /// With buffers of that many bytes.
    pub const fn buffer(bytes: usize) -> Self {
        Self { buffer: Some(bytes), joins: false }
    }
}

/// What happened to datagrams that neither arrived nor failed loudly.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Received, but longer than the buffer: dropped.
    pub truncated: u64,
    /// Dropped because the kernel's send buffer was full.
    pub unsent: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.truncated += other.truncated;
        self.unsent += other.unsent;
    }
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{addr} is in use by another process")]
    InUse { addr: SocketAddr },
    #[error("{addr} is not an address of this host")]
    NotAvailable { addr: SocketAddr },
    #[error("binding {addr} is not permitted")]
    Denied { addr: SocketAddr },
    #[error("{} is not available on this host, so {addr} cannot be bound", family(addr))]
    NoFamily { addr: SocketAddr },
    #[error("{addr} cannot be bound: {source}")]
    Failed { addr: SocketAddr, source: io::Error },
}

impl BindError {
    pub(in crate::transport) fn new(addr: SocketAddr, source: io::Error) -> Self {
        if source.raw_os_error() == Some(libc::EAFNOSUPPORT) {
            return Self::NoFamily { addr };
        }
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotAvailable { addr },
            io::ErrorKind::PermissionDenied => Self::Denied { addr },
            _ => Self::Failed { addr, source },
        }
    }

    /// The address that was asked for.
    pub const fn addr(&self) -> SocketAddr {
        match self {
            Self::InUse { addr }
            | Self::NotAvailable { addr }
            | Self::Denied { addr }
            | Self::NoFamily { addr }
            | Self::Failed { addr, .. } => *addr,
        }
    }
}

/// The address of this host from which packets to `to` would leave; nothing is sent.
///
/// Fails with `NetworkUnreachable` or the like if there is no route.
pub fn local_address_for(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    // Some systems refuse port 0 although no packet leaves.
    probe.connect(if to.port() == 0 { with_port(to, PROBE_PORT) } else { to })?;
    Ok(probe.local_addr()?.ip())
}

/// A non-blocking socket of one family, without SO_REUSEADDR, and without SO_REUSEPORT unless it joins others.
fn bind(addr: SocketAddr, options: Options) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(options.joins)?;
    if let Some(bytes) = options.buffer {
        let socket = SockRef::from(&socket);
        socket.set_recv_buffer_size(bytes)?;
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn bound_addr(socket: &socket2::Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Keeps the scope of a link-local address, which [`SocketAddr::new`] would lose.
fn with_port(addr: SocketAddr, port: u16) -> SocketAddr {
    match addr {
        SocketAddr::V4(addr) => SocketAddr::new(IpAddr::V4(*addr.ip()), port),
        SocketAddr::V6(addr) => SocketAddrV6::new(*addr.ip(), port, addr.flowinfo(), addr.scope_id()).into(),
    }
}

fn family(addr: &SocketAddr) -> &'static str {
    if addr.is_ipv4() { "IPv4" } else { "IPv6" }
}

#[derive(Debug, Default)]
struct Tally {
    truncated: AtomicU64,
    unsent: AtomicU64,
}

impl Tally {
    fn count_truncated(&self) {
        self.truncated.fetch_add(1, Ordering::Relaxed);
    }

    fn count_unsent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }

    fn counters(&self) -> Counters {
        Counters {
            truncated: self.truncated.load(Ordering::Relaxed),
            unsent: self.unsent.load(Ordering::Relaxed),
        }
    }
}

const PROBE_PORT: u16 = 5060;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_decides_the_local_address() {
        for local in ["127.0.0.1", "127.0.0.9", "::1"] {
            let to = SocketAddr::new(local.parse().unwrap(), 5060);
            let ip = local_address_for(to).unwrap();
            assert!(ip.is_loopback() && ip.is_ipv4() == to.is_ipv4(), "{to}: {ip}");
            assert_eq!(local_address_for(with_port(to, 0)).unwrap(), ip);
        }
    }

    #[test]
    fn a_bind_error_names_the_address() {
        let first = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = first.local_addr();
        let error = Socket::bind(taken).map(drop).unwrap_err();
        assert!(matches!(error, BindError::InUse { addr } if addr == taken), "{error}");
        assert_eq!(error.to_string(), format!("{taken} is in use by another process"));
        let foreign: SocketAddr = "198.51.100.7:5060".parse().unwrap();
        let error = Socket::bind(foreign).map(drop).unwrap_err();
        assert!(matches!(error, BindError::NotAvailable { addr } if addr == foreign), "{error}");
        assert_eq!(error.addr(), foreign);
        // A wildcard bind would take over part of the port.
        let wild = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), taken.port());
        assert!(matches!(Socket::bind(wild).map(drop), Err(BindError::InUse { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn how_full_it_is_is_told() {
        let options = Options::buffer(64 * 1024);
        let socket = Socket::bind_with("127.0.0.1:0".parse().unwrap(), options).unwrap();
        assert_eq!(socket.fill(), Some(0.0));
        let to = socket.local_addr();
        (0..4).for_each(|_| socket.try_send(&[b'x'; 8_000], to, None).unwrap());
        let fill = socket.fill().unwrap();
        assert!((0.2..=0.8).contains(&fill), "{fill}");
        let mut buffer = [0; 9_000];
        while socket.try_recv(&mut buffer).is_ok() {}
        assert_eq!(socket.fill(), Some(0.0));
    }

    #[test]
    fn a_buffer_size_is_taken() {
        let options = Options::buffer(16 * 1024);
        let socket = Socket::bind_with("127.0.0.1:0".parse().unwrap(), options).unwrap();
        // Linux doubles the figure for its own overhead.
        assert!((16 * 1024..=64 * 1024).contains(&socket.receive_buffer().unwrap()));
    }
}
