//! A connection that shows its octets to a [`Tap`]: put between TCP and what is spoken over it, such as TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::SystemTime,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Direction, Protocol, Segment, SegmentEvent, Tap};

/// A byte stream whose octets a tap sees as they are read and written. Its drop is the connection's end.
pub struct Tapped<S> {
    stream: S,
    seen: Option<Seen>,
}

/// What the tap is told of this connection each time.
struct Seen {
    tap: Arc<dyn Tap>,
    connection: u64,
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
    /// Sent, received: whether it was told that nothing more comes.
    finished: [bool; 2],
}

impl<S> Tapped<S> {
    /// Tells the tap that the connection is there. `protocol` is what is spoken over it, `by` who opened it:
    /// [`Direction::Sent`] for this side. Without a tap it is the stream and nothing else.
    pub fn new(
        stream: S,
        tap: Option<Arc<dyn Tap>>,
        protocol: Protocol,
        by: Direction,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let seen = tap.map(|tap| Seen {
            tap,
            connection: NEXT.fetch_add(1, Ordering::Relaxed),
            protocol,
            local,
            remote,
            finished: [false; 2],
        });
        if let Some(seen) = &seen {
            seen.tell(SegmentEvent::Opened { by });
        }
        Self { stream, seen }
    }

    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl Seen {
    fn tell(&self, event: SegmentEvent<'_>) {
        let &Self { connection, protocol, local, remote, .. } = self;
        self.tap.segment(&Segment { at: SystemTime::now(), connection, protocol, local, remote, event });
    }

    fn octets(&self, direction: Direction, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.tell(SegmentEvent::Octets { direction, bytes });
        }
    }

    fn finished(&mut self, by: Direction) {
        let [sent, received] = &mut self.finished;
        let told = match by {
            Direction::Sent => sent,
            Direction::Received => received,
        };
        if !std::mem::replace(told, true) {
            self.tell(SegmentEvent::Finished { by });
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, seen } = self.get_mut();
        let before = into.filled().len();
        let has_room = into.remaining() > 0;
        ready!(Pin::new(stream).poll_read(cx, into))?;
        if let Some(seen) = seen {
            match into.filled().get(before..) {
                Some(bytes) if !bytes.is_empty() => seen.octets(Direction::Received, bytes),
                _ if has_room => seen.finished(Direction::Received),
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, seen } = self.get_mut();
        let written = ready!(Pin::new(stream).poll_write(cx, bytes))?;
        if let Some(seen) = seen {
            seen.octets(Direction::Sent, bytes.get(..written).unwrap_or(bytes));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, seen } = self.get_mut();
        let written = ready!(Pin::new(stream).poll_write_vectored(cx, slices))?;
        if let Some(seen) = seen {
            let mut left = written;
            for slice in slices {
                let part = slice.get(..left).unwrap_or(slice);
                seen.octets(Direction::Sent, part);
                left -= part.len();
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, seen } = self.get_mut();
        ready!(Pin::new(stream).poll_shutdown(cx))?;
        if let Some(seen) = seen {
            seen.finished(Direction::Sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for Tapped<S> {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.tell(SegmentEvent::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::transport::Packet;

    #[derive(Default)]
    struct Witness(Mutex<Vec<String>>);

    impl Tap for Witness {
        fn packet(&self, _: &Packet<'_>) {}

        fn segment(&self, segment: &Segment<'_>) {
            let text = match segment.event {
                SegmentEvent::Octets { direction, bytes } => {
                    format!("{direction:?} {}", String::from_utf8_lossy(bytes))
                }
                other => format!("{other:?}"),
            };
            self.0.lock().expect("unpoisoned").push(text);
        }
    }

    #[tokio::test]
    async fn a_connection_from_beginning_to_end() {
        let witness = Arc::new(Witness::default());
        let (near, mut far) = duplex(3);
        let addr = SocketAddr::from(([127, 0, 0, 1], 5060));
        let tap = Some(Arc::clone(&witness) as Arc<dyn Tap>);
        let mut tapped = Tapped::new(near, tap, Protocol::Tcp, Direction::Sent, addr, addr);
        let peer = async {
            let mut got = [0; 5];
            far.read_exact(&mut got).await.expect("what was written");
            far.write_all(b"ok").await.expect("room");
            drop(far);
        };
        let own = async {
            tapped.write_all(b"hello").await.expect("room");
            tapped.read_to_end(&mut Vec::new()).await.expect("the answer");
            tapped.shutdown().await.expect("room");
        };
        tokio::join!(own, peer);
        drop(tapped);
        let seen = witness.0.lock().expect("unpoisoned").clone();
        assert_eq!(
            seen,
            [
                "Opened { by: Sent }",
                "Sent hel",
                "Sent lo",
                "Received ok",
                "Finished { by: Received }",
                "Finished { by: Sent }",
                "Closed"
            ]
        );
    }
}
