//! Connections that carry a stream (RFC 3261 §18): listening, opening, and the task that reads messages off one
//! and writes what is queued for it.
//!
//! A connection tells its owner [`Event`]s through a bounded queue; when that is full it stops reading, so that
//! the peer is slowed down and nothing is lost. What is to be written waits in a bounded queue too; while much
//! waits there, hardly anything is read, so that a peer who asks and never listens costs next to nothing. One that
//! takes nothing for [`Times::stall`], or does not finish within [`Times::message`] the message it has begun, is
//! left. An idle connection holds no buffer and no timer.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, split},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, mpsc},
    time::{Instant, timeout, timeout_at},
};

use super::{Direction, FlowError, Protocol, Segment, SegmentEvent, Tap, udp::BindError};
use crate::{
    message::{Frame, FrameError, Framer, Limits, Side},
    util::slab::Key,
};

/// What a connection tells its owner, who knows it by a key.
pub type Events = mpsc::Sender<(Key, Event)>;

/// In this order: `Opened`, any number of frames, `Closed`; or `Closed` alone.
#[derive(Debug)]
pub enum Event {
    /// Both ends, as the network has them, and whom the certificate of a client names.
    Opened {
        local: SocketAddr,
        remote: SocketAddr,
        names: Box<[Arc<str>]>,
    },
    Frame(Frame),
    /// What came is no message; after a final error `Closed` follows.
    Malformed(FrameError),
    /// Nothing more comes. What waits to be written is still written unless the connection broke.
    Closed(FlowError),
}

/// How long a connection may take over what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// To be opened, the handshakes of TLS and WebSocket included: so short that the next target of a request is
    /// tried before a person gives up.
    pub open: Duration,
    /// From the first octet of a message to its last.
    pub message: Duration,
    /// Without taking anything of what waits to be written.
    pub stall: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(4),
            message: Duration::from_secs(32),
            stall: Duration::from_secs(10),
        }
    }
}

/// A listening socket of one family; a port that another process serves is an error.
pub fn listen(addr: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    Ok(bind(addr, false).map_err(|error| BindError::new(addr, error))?.into())
}

/// Listening sockets of one family, which share the connections that come; a port that another process serves is an
/// error. Port 0 takes a free one, the same for all.
pub fn listen_shared(addr: SocketAddr, count: u16) -> Result<Vec<std::net::TcpListener>, BindError> {
    let open = || {
        let first = bind(addr, false)?;
        let mut all = vec![first];
        #[cfg(target_os = "linux")]
        if let Some(first) = all.first().filter(|_| count > 1) {
            // Only now, so that nobody else was joined.
            first.set_reuse_port(true)?;
            let local = first.local_addr()?.as_socket().unwrap_or(addr);
            for _ in 1..count {
                all.push(bind(local, true)?);
            }
        }
        if all.len() < usize::from(count) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(all)
    };
    let all = open().map_err(|error| BindError::new(addr, error))?;
    Ok(all.into_iter().map(Into::into).collect())
}

fn bind(addr: SocketAddr, joins: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run may still be closing; a living listener is an error all the same.
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(joins)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Takes connections and hands them on; ends when nobody takes them any more.
pub async fn accept<T>(listener: TcpListener, tag: T, to: mpsc::Sender<(T, TcpStream, SocketAddr)>)
where
    T: Copy,
{
    let mut is_told = false;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                is_told = false;
                if to.send((tag, stream, remote)).await.is_err() {
                    return;
                }
            }
            // The peer has given up already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Out of descriptors, most likely: they do not come back by asking again at once.
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("no connection can be accepted: {error}");
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Opens a connection from `local`, or from wherever the route says.
pub async fn open(local: Option<IpAddr>, remote: SocketAddr) -> Result<TcpStream, FlowError> {
    let connect = async {
        let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(ip) = local {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        socket.connect(remote).await
    };
    connect.await.map_err(|error: io::Error| error.kind().into())
}

/// What goes out by a connection.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::Receiver<Bytes>,
    waiting: Arc<Waiting>,
}

/// The way to a connection's [`Outgoing`]; when it is dropped the connection is closed after the rest is written.
#[derive(Debug)]
pub struct Queue {
    queue: mpsc::Sender<Bytes>,
    waiting: Arc<Waiting>,
}

/// How much waits to be written.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    octets: AtomicUsize,
    /// It has become little again.
    eased: Notify,
}

impl Waiting {
    /// Returns at once while little waits, else when it has become little; but [`BREATHER`] later in any case: two
    /// who waited for each other would wait for ever.
    pub async fn ease(&self) -> bool {
        if self.octets.load(Ordering::Relaxed) <= HIGH {
            return false;
        }
        let _ = timeout(BREATHER, self.eased.notified()).await;
        true
    }

    fn add(&self, length: usize) {
        self.octets.fetch_add(length + MESSAGE, Ordering::Relaxed);
    }

    fn remove(&self, messages: usize, octets: usize) {
        let gone = octets + messages * MESSAGE;
        let before = self.octets.fetch_sub(gone, Ordering::Relaxed);
        if before > LOW && before - gone <= LOW {
            self.eased.notify_waiters();
        }
    }
}

/// The peer reads more slowly than we write: the message is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too much waits to be written")]
pub struct Full;

/// A queue of at most [`QUEUE`] messages and [`QUEUE_OCTETS`] octets.
pub fn queue() -> (Queue, Outgoing) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let waiting = Arc::new(Waiting::default());
    (Queue { queue: sender, waiting: waiting.clone() }, Outgoing { queue: receiver, waiting })
}

impl Queue {
    pub fn push(&self, bytes: Bytes) -> Result<(), Full> {
        let length = bytes.len();
        if self.waiting.octets.load(Ordering::Relaxed).saturating_add(length) > QUEUE_OCTETS {
            return Err(Full);
        }
        self.waiting.add(length);
        self.queue.try_send(bytes).map_err(|_| {
            self.waiting.remove(1, length);
            Full
        })
    }
}

impl Outgoing {
    /// The next thing to write; `None` when the owner wants the connection closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.queue.recv().await
    }

    /// What is to be written next, with what waits behind it if that is not much: together it is one system call, one
    /// segment and one TLS record. Says how many messages it is.
    async fn lot(&mut self) -> Option<(Bytes, usize)> {
        let first = self.next().await?;
        // Alone, as it mostly is when there is little to do, it need not be copied.
        let Ok(second) = self.queue.try_recv() else { return Some((first, 1)) };
        let mut lot = BytesMut::with_capacity(LOT);
        lot.extend_from_slice(&first);
        lot.extend_from_slice(&second);
        let mut count = 2;
        while lot.len() < LOT
            && let Ok(more) = self.queue.try_recv()
        {
            lot.extend_from_slice(&more);
            count += 1;
        }
        Some((lot.freeze(), count))
    }

    /// So many messages have left that [`next`](Self::next) gave, and so many octets.
    pub fn done(&self, messages: usize, octets: usize) {
        self.waiting.remove(messages, octets);
    }

    pub(super) fn waiting(&self) -> Arc<Waiting> {
        self.waiting.clone()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Prepares a fresh connection: no delay for small messages, and a peer that vanished is found out in time.
pub fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    let prepared =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = prepared {
        tracing::debug!(%error, "connection options");
    }
}

/// Carries messages until either side ends, and says `Closed` to `events` once nothing more comes.
pub async fn run<S>(
    stream: S,
    side: Side,
    limits: Limits,
    times: Times,
    outgoing: Outgoing,
    key: Key,
    events: &Events,
) where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = split(stream);
    let waiting = outgoing.waiting();
    let mut writing = pin!(write(&mut writer, outgoing, times.stall));
    let (why, is_written) = tokio::select! {
        why = read(&mut reader, Framer::new(side, limits), times.message, &waiting, key, events) => (why, None),
        written = &mut writing => (written.clone().err().unwrap_or(FlowError::Lost), Some(written)),
    };
    let is_broken = matches!(is_written, Some(Err(_)));
    if events.send((key, Event::Closed(why))).await.is_err() || is_broken {
        return;
    }
    // The owner drops its end of the queue now, and what it put there before is still written. A peer that has
    // closed only its own direction gets its answers.
    if is_written.is_none() && writing.await.is_err() {
        return;
    }
    // Octets nobody has read would turn our last ones into a reset.
    let _ =
        timeout(LINGER, async { while read_some(&mut reader, |_| ()).await.is_ok_and(|read| read > 0) {} })
            .await;
}

async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    mut framer: Framer,
    within: Duration,
    waiting: &Waiting,
    key: Key,
    events: &Events,
) -> FlowError {
    // Since when a message is incomplete.
    let mut begun: Option<Instant> = None;
    loop {
        if waiting.ease().await {
            // The peer is not to blame for what we did not read.
            begun = begun.map(|_| Instant::now());
        }
        let some = read_some(reader, |bytes| framer.push(bytes));
        let read = match begun {
            Some(begun) => match timeout_at(begun + within, some).await {
                Ok(read) => read,
                Err(_) => {
                    tracing::debug!("half a message and no more: connection closed");
                    return FlowError::Unfinished;
                }
            },
            None => some.await,
        };
        match read {
            Ok(0) => return FlowError::Lost,
            Ok(_) => {}
            Err(error) => return lost(&error),
        }
        while let Some(frame) = framer.next() {
            begun = None;
            let (event, is_final) = match frame {
                Ok(frame) => (Event::Frame(frame), false),
                Err(error) => {
                    let is_final = error.is_final() || error.bytes().starts_with(WEB);
                    (Event::Malformed(error), is_final)
                }
            };
            if events.send((key, event)).await.is_err() {
                return FlowError::Lost;
            }
            if is_final {
                return FlowError::NotSip;
            }
        }
        if framer.is_between() {
            begun = None;
        } else if begun.is_none() {
            begun = Some(Instant::now());
        }
    }
}

/// Reads what there is, up to [`SCRATCH`] octets, without a buffer of the connection's own.
async fn read_some<R: AsyncRead + Unpin>(reader: &mut R, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
    }
    poll_fn(|cx| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *reader).poll_read(cx, &mut buffer))?;
            take(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    })
    .await
}

/// Writes until the owner closes the queue.
async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut outgoing: Outgoing,
    stall: Duration,
) -> Result<(), FlowError> {
    while let Some((mut bytes, messages)) = outgoing.lot().await {
        let octets = bytes.len();
        while !bytes.is_empty() {
            let written = timeout(stall, writer.write_buf(&mut bytes)).await;
            settle(written)?;
        }
        outgoing.done(messages, octets);
        if outgoing.is_empty() {
            settle(timeout(stall, writer.flush()).await)?;
        }
    }
    settle(timeout(stall, writer.shutdown()).await)
}

/// What became of a write.
fn settle<T>(written: Result<io::Result<T>, tokio::time::error::Elapsed>) -> Result<(), FlowError> {
    match written {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(lost(&error)),
        Err(_) => {
            tracing::debug!("the peer does not read: connection closed");
            Err(FlowError::TimedOut)
        }
    }
}

/// Why an established connection broke. With TLS 1.3 only here a client learns that its certificate is refused.
fn lost(error: &io::Error) -> FlowError {
    tracing::debug!(%error, "connection");
    #[cfg(feature = "tls")]
    if let Some(error) = super::tls::TlsError::of_connection(error) {
        return FlowError::Tls(Box::new(error));
    }
    FlowError::Lost
}

/// A connection whose octets are shown to a [`Tap`], as they are below TLS and WebSocket.
pub struct Watched<S> {
    inner: S,
    watch: Option<Watch>,
}

struct Watch {
    tap: Arc<dyn Tap>,
    connection: u64,
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
}

impl<S> Watched<S> {
    /// An established connection between `ends`, ours first.
    pub fn new(
        inner: S,
        protocol: Protocol,
        side: Side,
        (local, remote): (SocketAddr, SocketAddr),
        tap: Option<Arc<dyn Tap>>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let connection = NEXT.fetch_add(1, Ordering::Relaxed);
        let watch = tap.map(|tap| Watch { tap, connection, protocol, local, remote });
        let watched = Self { inner, watch };
        let by = if side == Side::Opened { Direction::Sent } else { Direction::Received };
        watched.show(SegmentEvent::Opened { by });
        watched
    }

    fn show(&self, event: SegmentEvent<'_>) {
        if let Some(Watch { tap, connection, protocol, local, remote }) = &self.watch {
            let (connection, protocol, local, remote) = (*connection, *protocol, *local, *remote);
            tap.segment(&Segment { at: SystemTime::now(), connection, protocol, local, remote, event });
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        if !bytes.is_empty() {
            self.show(SegmentEvent::Octets { direction: Direction::Received, bytes });
        } else if buffer.remaining() > 0 {
            self.show(SegmentEvent::Finished { by: Direction::Received });
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        let bytes = bytes.get(..written).unwrap_or_default();
        self.show(SegmentEvent::Octets { direction: Direction::Sent, bytes });
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        self.show(SegmentEvent::Finished { by: Direction::Sent });
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.show(SegmentEvent::Closed);
    }
}

/// Messages waiting to be written to one connection at most.
pub const QUEUE: usize = 1_024;
/// Their octets together.
pub const QUEUE_OCTETS: usize = 4 << 20;
/// While more waits to be written, counted as [`QUEUE_OCTETS`] are, the connection is read only now and then.
const HIGH: usize = QUEUE_OCTETS / 16;
/// Less than this is little.
const LOW: usize = HIGH / 2;
/// What a message counts for besides its octets, so that half of [`QUEUE`] short ones are above [`HIGH`].
const MESSAGE: usize = 2 * HIGH / QUEUE;
/// From one reading to the next while much waits to be written.
const BREATHER: Duration = Duration::from_millis(250);
/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1_024;
/// Octets written together, if the last message does not make it more: what a TLS record holds (RFC 8446 §5.1).
const LOT: usize = 16 << 10;
/// Octets read at once.
const SCRATCH: usize = 16 << 10;
/// What web servers answer. It has the form of a message, but nobody who speaks SIP says it.
const WEB: &[u8] = b"HTTP/";
/// A pause before connections are accepted again.
const BREATH: Duration = Duration::from_millis(100);
/// After so much silence the kernel asks whether the peer's host is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long what the peer still sends is read after our end was closed.
const LINGER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    /// An owner who answers each message with a longer one; gives how many messages came.
    async fn answer(mut events: mpsc::Receiver<(Key, Event)>, queue: Queue, came: Arc<AtomicUsize>) {
        while let Some((_, event)) = events.recv().await {
            if let Event::Frame(Frame::Message(_)) = event {
                came.fetch_add(1, Ordering::Relaxed);
                assert_eq!(queue.push(Bytes::from_static(&[b'x'; ANSWER])), Ok(()), "nothing is lost");
            }
        }
    }

    #[tokio::test]
    async fn who_does_not_read_is_hardly_read_until_it_does() {
        let (ours, theirs) = duplex(16 << 10);
        let (sender, events) = mpsc::channel(64);
        let (queue, outgoing) = queue();
        let came = Arc::new(AtomicUsize::new(0));
        let key = Key { index: 0, generation: 1 };
        let carry = async move {
            run(ours, Side::Accepted, Limits::default(), Times::default(), outgoing, key, &sender).await
        };
        let carrying = tokio::spawn(carry);
        let answering = tokio::spawn(answer(events, queue, came.clone()));
        let (mut reader, mut writer) = tokio::io::split(theirs);
        let asking = tokio::spawn(async move { while writer.write_all(OPTIONS.as_bytes()).await.is_ok() {} });
        // A little over what the pipe and the queue take; without a limit it would be tens of thousands.
        tokio::time::sleep(BREATHER * 2).await;
        let (before, often) = (came.load(Ordering::Relaxed), HIGH / ANSWER + 5 * SCRATCH / OPTIONS.len());
        assert!(before > HIGH / (ANSWER + MESSAGE) && before < often, "{before} of at most {often}");
        // Once it reads it is served as before: now and then would be 350 in a second.
        let mut buffer = vec![0; SCRATCH];
        let until = Instant::now() + Duration::from_secs(20);
        let mut read = 0;
        while read < 20_000 * ANSWER {
            let more = timeout_at(until, reader.read(&mut buffer)).await;
            read += more.unwrap_or_else(|_| panic!("only {} answers", read / ANSWER)).unwrap();
        }
        asking.abort();
        carrying.abort();
        answering.abort();
    }

    /// Remembers what each write was.
    struct Writes(Vec<Vec<u8>>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_waits_leaves_together_but_not_endlessly() {
        let (queue, outgoing) = queue();
        let waiting = outgoing.waiting();
        let messages: Vec<_> = (0..40_u8).map(|n| vec![n; ANSWER]).collect();
        for message in &messages {
            assert_eq!(queue.push(message.clone().into()), Ok(()));
        }
        drop(queue);
        let mut writer = Writes(Vec::new());
        assert_eq!(write(&mut writer, outgoing, BREATHER).await, Ok(()));
        let lengths: Vec<_> = writer.0.iter().map(Vec::len).collect();
        assert_eq!(lengths, [17 * ANSWER, 17 * ANSWER, 6 * ANSWER]);
        assert_eq!(writer.0.concat(), messages.concat());
        assert_eq!(waiting.octets.load(Ordering::Relaxed), 0);
    }

    const ANSWER: usize = 1_000;
    const OPTIONS: &str = "OPTIONS sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\
                           From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
                           Content-Length: 0\r\n\r\n";
}
