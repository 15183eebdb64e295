//! Packets on their way out of a session.

use std::net::SocketAddr;

/// Which of the peer's ports a packet is for, and so which of our sockets it leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Rtp,
    /// Goes out of the RTP socket too with rtcp-mux: then [`Destination::Rtp`] is given.
    Rtcp,
}

/// Packets to send; keeps its memory, so that sending does not allocate once it is warm.
#[derive(Debug, Default)]
pub struct Outgoing {
    pub(super) bytes: Vec<u8>,
    /// Where each packet goes and where it ends in `bytes`.
    pub(super) packets: Vec<(Destination, SocketAddr, usize)>,
}

impl Outgoing {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Destination, SocketAddr, &[u8])> {
        let mut start = 0;
        self.packets.iter().map(move |&(destination, to, end)| {
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (destination, to, bytes)
        })
    }

    /// What was appended to `bytes` since the last packet is one.
    pub(super) fn end(&mut self, destination: Destination, to: SocketAddr) {
        self.packets.push((destination, to, self.bytes.len()));
    }
}
