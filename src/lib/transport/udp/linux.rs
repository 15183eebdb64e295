//! UDP on Linux: IP_PKTINFO and IPV6_RECVPKTINFO for the local address of each datagram, IP_RECVERR and
//! IPV6_RECVERR for errors that name their destination (ip(7), ipv6(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    BindError, Counters, Datagram, DestinationError, Options, Tally,
    batch::{Inbox, Outgoing},
    mmsg,
};

/// A non-blocking UDP socket of one address family.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    local: SocketAddr,
    tally: Tally,
}

impl Socket {
    /// Binds to `addr`; port 0 takes a free one.
    pub fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(addr, Options::default())
    }

    /// As [`bind`](Self::bind), with options.
    pub fn bind_with(addr: SocketAddr, options: Options) -> Result<Self, BindError> {
        Self::open(addr, options).map_err(|source| BindError::new(addr, source))
    }

    pub(super) fn open(addr: SocketAddr, options: Options) -> io::Result<Self> {
        let socket = super::bind(addr, options)?;
        let local = super::bound_addr(&socket)?;
        let fd = OwnedFd::from(socket);
        let is_wild = addr.ip().is_unspecified();
        if addr.is_ipv4() {
            setsockopt(&fd, sockopt::Ipv4PacketInfo, &is_wild)?;
            setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &is_wild)?;
            setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?;
        }
        Ok(Self { fd, local, tally: Tally::default() })
    }

    /// The bound address: with a wildcard bind the address is unspecified, the port is always the real one.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes the next datagram into `buffer`; `WouldBlock` if there is none.
    ///
    /// A datagram that does not fit is dropped and counted: half a message is none. ICMP errors are not
    /// reported here but by [`take_error`](Self::take_error). After many of either in a row it gives up with
    /// `Interrupted`, so that a flood does not hold the thread: call again. Any other error is one of this
    /// socket.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        for _ in 0..ATTEMPTS {
            match self.receive(buffer) {
                Ok(Some(datagram)) => return Ok(datagram),
                Ok(None) => self.tally.count_truncated(),
                Err(errno) if is_pending_icmp(errno) || errno == Errno::EINTR => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        // Still something to read: the caller must come back, not sleep.
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Sends one datagram to `to`, from the local address `from` if given and not the wildcard.
    ///
    /// Errors: `WouldBlock` if the kernel has no room (dropped and counted); otherwise why this datagram
    /// cannot be sent at all, for instance no route. A peer that cannot be reached shows later, in
    /// [`take_error`](Self::take_error).
    pub fn try_send(&self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let mut last = Errno::UnknownErrno;
        for _ in 0..ATTEMPTS {
            match self.send(bytes, to, from) {
                Ok(()) => return Ok(()),
                // An ICMP error about another destination is handed to whichever call comes next, and takes
                // its place.
                Err(errno) if is_pending_icmp(errno) || errno == Errno::EINTR => last = errno,
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    self.tally.count_unsent();
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(last.into())
    }

    /// Takes as many datagrams as there are and `inbox` has room for, in the order they came; `WouldBlock` if there is
    /// none. Otherwise as [`try_recv`](Self::try_recv).
    pub fn try_recv_batch(&self, inbox: &mut Inbox) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            match mmsg::receive(&self.fd, self.local, inbox) {
                Ok(truncated) => {
                    (0..truncated).for_each(|_| self.tally.count_truncated());
                    return Ok(());
                }
                Err(errno) if is_pending_icmp(errno) || errno == Errno::EINTR => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Sends `datagrams`, from the front, and says how many are dealt with: as many as the kernel took, or one, with an
    /// error as [`try_send`](Self::try_send) has it. Call again for the rest.
    pub fn try_send_batch(&self, datagrams: &[Outgoing]) -> (usize, io::Result<()>) {
        let mut last = Errno::UnknownErrno;
        for _ in 0..ATTEMPTS {
            match mmsg::send(&self.fd, self.local, datagrams) {
                Ok(sent) => return (sent, Ok(())),
                Err(errno) if is_pending_icmp(errno) || errno == Errno::EINTR => last = errno,
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    self.tally.count_unsent();
                    return (1, Err(io::ErrorKind::WouldBlock.into()));
                }
                Err(errno) => return (1, Err(errno.into())),
            }
        }
        (1, Err(last.into()))
    }

    /// The oldest unreported ICMP error, with the destination of the datagram that met it; `None` if there is
    /// none.
    ///
    /// Reports host, network, port and protocol unreachable and parameter problems (RFC 3261 §18.4). Time
    /// exceeded and "too big" are not failures: the kernel fragments the retransmission.
    pub fn take_error(&self) -> Option<DestinationError> {
        loop {
            match self.receive_error() {
                Ok(Some(error)) => return Some(error),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    pub fn counters(&self) -> Counters {
        self.tally.counters()
    }

    /// Bytes the kernel keeps for received datagrams.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        Ok(nix::sys::socket::getsockopt(&self.fd, sockopt::RcvBuf)?)
    }

    /// How full the kernel's buffer for received datagrams is, from 0 to 1 and a little above; `None` if it does not say.
    pub fn fill(&self) -> Option<f32> {
        let [used, room] = nix::sys::socket::getsockopt(&self.fd, Memory).ok()?;
        (room > 0).then(|| used as f32 / room as f32)
    }

    /// `None` for a datagram that did not fit.
    fn receive(&self, buffer: &mut [u8]) -> Result<Option<Datagram>, Errno> {
        let mut control = Control::default();
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.fd.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control.0), MsgFlags::empty())?;
        if message.flags.contains(MsgFlags::MSG_TRUNC) {
            return Ok(None);
        }
        let from = message.address.as_ref().and_then(socket_addr).ok_or(Errno::EAFNOSUPPORT)?;
        let to = message.cmsgs()?.find_map(|control| match control {
            // ipi_spec_dst, not ipi_addr: for a broadcast the former is the address to answer from.
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(SocketAddr::new(
                Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(),
                self.local.port(),
            )),
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                let scope = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                Some(SocketAddrV6::new(ip, self.local.port(), 0, scope).into())
            }
            _ => None,
        });
        Ok(Some(Datagram { len: message.bytes, from, to: to.unwrap_or(self.local) }))
    }

    fn send(&self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> Result<(), Errno> {
        let parts = [IoSlice::new(bytes)];
        let fd = self.fd.as_raw_fd();
        let name = SockaddrStorage::from(to);
        let flags = MsgFlags::empty();
        // What a socket is bound to it sends from unasked.
        match source(from.filter(|from| self.local.ip() != *from), to) {
            Some(Source::V4(info)) => {
                sendmsg(fd, &parts, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&name))
            }
            Some(Source::V6(info)) => {
                sendmsg(fd, &parts, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&name))
            }
            None => sendmsg(fd, &parts, &[], flags, Some(&name)),
        }
        .map(drop)
    }

    /// One entry of the error queue, `None` for one that is not to be reported.
    fn receive_error(&self) -> Result<Option<DestinationError>, Errno> {
        let mut control = Control::default();
        // The queue returns the datagram that failed; who sent it knows it already.
        let mut parts = [];
        let fd = self.fd.as_raw_fd();
        let message =
            recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control.0), MsgFlags::MSG_ERRQUEUE)?;
        let Some(to) = message.address.as_ref().and_then(socket_addr) else { return Ok(None) };
        let Ok(mut controls) = message.cmsgs() else { return Ok(None) };
        Ok(controls.find_map(|control| {
            let error = match control {
                ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                    error
                }
                _ => return None,
            };
            is_failure(&error).then(|| DestinationError {
                to,
                kind: io::Error::from_raw_os_error(error.ee_errno.cast_signed()).kind(),
            })
        }))
    }
}

/// What the kernel keeps for received datagrams, and may, in its own octets (the first two of SK_MEMINFO).
#[derive(Clone, Copy)]
struct Memory;

nix::getsockopt_impl!(Memory, libc::SOL_SOCKET, libc::SO_MEMINFO, [u32; 2], sockopt::GetStruct<[u32; 2]>);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A socket registered with tokio, which reports errors as a readiness of their own.
pub(super) struct Reactor(AsyncFd<Socket>);

impl Reactor {
    #[allow(unsafe_code)]
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        // SAFETY: a Socket owns its descriptor, never replaces it and closes it only when dropped; the
        // AsyncFd owns the Socket and hands out no more than shared references to it.
        let registered =
            unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE | Interest::ERROR) };
        Ok(Self(registered?))
    }

    pub(super) fn socket(&self) -> &Socket {
        self.0.get_ref()
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.ready(Interest::READABLE | Interest::ERROR).await.map(drop)
    }

    pub(super) fn try_read<R>(&self, read: impl FnOnce(&Socket) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::READABLE, read)
    }

    pub(super) fn try_error<R>(&self, read: impl FnOnce(&Socket) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::ERROR, read)
    }
}

/// Room for the control messages of one datagram: packet information and an extended error with its offender
/// take less than 128 bytes. Aligned, because it is read as the kernel's structures.
#[repr(align(8))]
struct Control([u8; 256]);

impl Default for Control {
    fn default() -> Self {
        Self([0; 256])
    }
}

pub(super) enum Source {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// The packet information that makes a datagram to `to` leave from `from`; `None` leaves the choice to the
/// route.
pub(super) fn source(from: Option<IpAddr>, to: SocketAddr) -> Option<Source> {
    match (from?, to) {
        (ip, _) if ip.is_unspecified() || ip.is_multicast() => None,
        (IpAddr::V4(ip), SocketAddr::V4(_)) => {
            let none = libc::in_addr { s_addr: 0 };
            let spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
            Some(Source::V4(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: none }))
        }
        (IpAddr::V6(ip), SocketAddr::V6(to)) => {
            // A link-local source means nothing without its link (RFC 4007 §6), which the destination names.
            let link_local = ip.is_unicast_link_local();
            if link_local && to.scope_id() == 0 {
                return None;
            }
            let addr = libc::in6_addr { s6_addr: ip.octets() };
            let scope = if link_local { to.scope_id() } else { 0 };
            Some(Source::V6(libc::in6_pktinfo { ipi6_addr: addr, ipi6_ifindex: scope }))
        }
        _ => None,
    }
}

fn socket_addr(name: &SockaddrStorage) -> Option<SocketAddr> {
    match (name.as_sockaddr_in(), name.as_sockaddr_in6()) {
        (Some(addr), _) => Some(SocketAddr::from(*addr)),
        (_, Some(addr)) => Some(SocketAddr::from(*addr)),
        _ => None,
    }
}

/// Errors the kernel may hand to any call after an ICMP message; details wait in the error queue.
const fn is_pending_icmp(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ECONNREFUSED
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EPROTO
            | Errno::EACCES
            | Errno::EOPNOTSUPP
            | Errno::EMSGSIZE
    )
}

/// Whether an extended error means that the destination cannot be reached (RFC 3261 §18.4).
const fn is_failure(error: &libc::sock_extended_err) -> bool {
    match error.ee_origin {
        // RFC 792: destination unreachable except "fragmentation needed", parameter problem.
        libc::SO_EE_ORIGIN_ICMP => matches!((error.ee_type, error.ee_code), (3, 0..=3 | 5..) | (12, _)),
        // RFC 4443: destination unreachable, parameter problem.
        libc::SO_EE_ORIGIN_ICMP6 => matches!(error.ee_type, 1 | 4),
        // Local ones were returned by the call that met them.
        _ => false,
    }
}

/// How often a call is repeated that failed for someone else's reason.
const ATTEMPTS: usize = 16;
