//! UDP where the system's own extensions are not used: plain sends and receives.
//!
//! What is missing against Linux: a wildcard socket does not learn which address a datagram came to, nor
//! chooses the one it leaves from (bind to specific addresses on multi-homed hosts), and no error names its
//! destination.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use tokio::io::Interest;

use super::{
    BindError, Counters, Datagram, DestinationError, MAX_DATAGRAM, Options, Tally,
    batch::{Inbox, Outgoing},
};

/// A non-blocking UDP socket of one address family.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
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
        let open = || {
            let socket = super::bind(addr, options)?;
            let local = super::bound_addr(&socket)?;
            Ok(Self { socket: socket.into(), local, tally: Tally::default() })
        };
        open().map_err(|source| BindError::new(addr, source))
    }

    /// One socket bound to `addr`; several cannot share it here.
    pub fn bind_shared(addr: SocketAddr, options: Options, count: u16) -> Result<Vec<Self>, BindError> {
        if count > 1 {
            return Err(BindError::new(addr, io::ErrorKind::Unsupported.into()));
        }
        Ok(vec![Self::bind_with(addr, options)?])
    }

    /// The bound address: with a wildcard bind the address is unspecified, the port is always the real one.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes the next datagram into `buffer`; `WouldBlock` if there is none. One that fills the buffer may
    /// have been cut and is dropped and counted.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        for _ in 0..ATTEMPTS {
            match self.socket.recv_from(buffer) {
                Ok((len, _)) if len == buffer.len() => self.tally.count_truncated(),
                Ok((len, from)) => return Ok(Datagram { len, from, to: self.local }),
                // An error about an earlier send, to nobody knows whom.
                Err(error) if is_about_a_send(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Sends one datagram to `to`; the address it leaves from is the bound one or the route's.
    pub fn try_send(&self, bytes: &[u8], to: SocketAddr, _from: Option<IpAddr>) -> io::Result<()> {
        match self.socket.send_to(bytes, to) {
            Ok(_) => Ok(()),
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock {
                    self.tally.count_unsent();
                }
                Err(error)
            }
        }
    }

    /// Takes as many datagrams as there are and `inbox` has room for, in the order they came; `WouldBlock` if there is
    /// none.
    pub fn try_recv_batch(&self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.read.clear();
        for (part, space) in inbox.space.chunks_exact_mut(MAX_DATAGRAM).enumerate() {
            match self.try_recv(space) {
                Ok(datagram) => inbox.read.push((part, datagram)),
                Err(error) if inbox.read.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Sends the first of `datagrams`, and says that one is dealt with. Call again for the rest.
    pub fn try_send_batch(&self, datagrams: &[Outgoing]) -> (usize, io::Result<()>) {
        (1, datagrams.first().map_or(Ok(()), |first| self.try_send(&first.bytes, first.to, Some(first.from))))
    }

    /// Always `None`: errors do not name their destination here, and to fail the wrong one is worse than to
    /// wait.
    pub fn take_error(&self) -> Option<DestinationError> {
        None
    }

    pub fn counters(&self) -> Counters {
        self.tally.counters()
    }

    /// How full the kernel's buffer for received datagrams is: nobody says.
    pub const fn fill(&self) -> Option<f32> {
        None
    }

    /// Bytes the kernel keeps for received datagrams.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        socket2::SockRef::from(&self.socket).recv_buffer_size()
    }
}

/// A socket registered with tokio, through a second descriptor of its own.
pub(super) struct Reactor {
    socket: Socket,
    registered: tokio::net::UdpSocket,
}

impl Reactor {
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        let registered = tokio::net::UdpSocket::from_std(socket.socket.try_clone()?)?;
        Ok(Self { socket, registered })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.registered.readable().await
    }

    pub(super) fn try_read<R>(&self, read: impl FnOnce(&Socket) -> io::Result<R>) -> io::Result<R> {
        self.registered.try_io(Interest::READABLE, || read(&self.socket))
    }

    pub(super) fn try_error<R>(&self, read: impl FnOnce(&Socket) -> io::Result<R>) -> io::Result<R> {
        read(&self.socket)
    }
}

fn is_about_a_send(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted
    )
}

const ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_datagram_there_and_back() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (left, right) = (Socket::bind(any).unwrap(), Socket::bind(any).unwrap());
        assert!(Socket::bind_shared(any, Options::default(), 2).is_err());
        assert_eq!(Socket::bind_shared(any, Options::default(), 1).unwrap().len(), 1);
        let right = Reactor::new(right).unwrap();
        left.try_send(b"hello", right.socket().local_addr(), None).unwrap();
        right.readable().await.unwrap();
        let mut buffer = [0; 16];
        let got = right.try_read(|socket| socket.try_recv(&mut buffer)).unwrap();
        assert_eq!((&buffer[..got.len], got.from), (&b"hello"[..], left.local_addr()));
        assert!(
            right.try_error(|socket| socket.take_error().ok_or(io::ErrorKind::WouldBlock.into())).is_err()
        );
        right.socket().try_send(&[7; 40], got.from, None).unwrap();
        let two = [b"one", b"two"].map(|text| Outgoing {
            bytes: bytes::Bytes::from_static(text),
            to: right.socket().local_addr(),
            from: left.local_addr().ip(),
        });
        assert!(matches!(left.try_send_batch(&two), (1, Ok(()))));
        assert!(matches!(left.try_send_batch(&two[1..]), (1, Ok(()))));
        let mut inbox = Inbox::new();
        right.socket().try_recv_batch(&mut inbox).unwrap();
        let read: Vec<_> = (0..inbox.len()).map(|index| inbox.datagram(index).unwrap().0).collect();
        assert_eq!(read, [b"one", b"two"]);
        assert_eq!(right.socket().try_recv_batch(&mut inbox).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let error = left.try_recv(&mut buffer).unwrap_err();
        assert_eq!((error.kind(), left.counters().truncated), (io::ErrorKind::WouldBlock, 1));
        assert!(left.receive_buffer().unwrap() > 0);
        assert_eq!(left.fill(), None);
    }
}
