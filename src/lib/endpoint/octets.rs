//! What hyper reads from and writes to, made of what tokio reads from and writes to.

use std::{
    io,
    pin::Pin,
    task::{self, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of tokio as hyper wants it.
pub(super) struct Octets<S>(pub S);

impl<S: AsyncRead + Unpin> Read for Octets<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut room = [0; 8192];
        let wanted = into.remaining().min(room.len());
        let mut read = ReadBuf::new(room.get_mut(..wanted).unwrap_or_default());
        let outcome = Pin::new(&mut self.0).poll_read(cx, &mut read);
        if let Poll::Ready(Ok(())) = &outcome {
            into.put_slice(read.filled());
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> Write for Octets<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
