//! Several datagrams at a time: what was read together, and what is to be sent together.
//!
//! How they are moved is each system's own: one call for all of them on Linux, one each elsewhere.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{Datagram, MAX_DATAGRAM};

/// Datagrams moved by one call at most.
pub const BATCH: usize = 32;

/// Room for what is read together. No datagram is truncated; memory that no datagram reached is not used.
#[derive(Debug)]
pub struct Inbox {
    pub(super) space: Box<[u8]>,
    /// What was read, and into which part of the space.
    pub(super) read: Vec<(usize, Datagram)>,
}

impl Inbox {
    pub fn new() -> Self {
        Self { space: vec![0; BATCH * MAX_DATAGRAM].into(), read: Vec::with_capacity(BATCH) }
    }

    /// How many were read by the last call.
    pub const fn len(&self) -> usize {
        self.read.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// What the `index`th says, and where it came from and went to.
    pub fn datagram(&self, index: usize) -> Option<(&[u8], Datagram)> {
        let (part, datagram) = *self.read.get(index)?;
        let start = part * MAX_DATAGRAM;
        Some((self.space.get(start..start + datagram.len)?, datagram))
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// A datagram that is to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub bytes: Bytes,
    pub to: SocketAddr,
    /// The local address it leaves from; the wildcard leaves the choice to the route.
    pub from: IpAddr,
}
