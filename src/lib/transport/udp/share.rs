//! One address for several sockets, each of which is read by a thread of its own.
//!
//! The first socket is bound as any other, so that a port that somebody else serves is an error; only then it lets the
//! others join. Which of them gets a datagram depends on where it comes from, so that what one peer sends keeps its
//! order. The system's own choice is a hash, with which a handful of peers may all get to one socket; ours spreads
//! neighbouring ports and addresses evenly.

use std::{io, net::SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};

use super::{BindError, Options, Socket};

impl Socket {
    /// `count` sockets bound to `addr`; port 0 takes a free one, the same for all.
    pub fn bind_shared(addr: SocketAddr, options: Options, count: u16) -> Result<Vec<Self>, BindError> {
        let first = Self::bind_with(addr, options)?;
        let mut sockets = vec![first];
        if count > 1 {
            Self::join(&mut sockets, options, count).map_err(|source| BindError::new(addr, source))?;
        }
        Ok(sockets)
    }

    fn join(sockets: &mut Vec<Self>, options: Options, count: u16) -> io::Result<()> {
        let Some(first) = sockets.first() else { return Ok(()) };
        let local = first.local_addr();
        setsockopt(first, sockopt::ReusePort, &true)?;
        for _ in 1..count {
            sockets.push(Self::open(local, Options { joins: true, ..options })?);
        }
        if let Some(first) = sockets.first() {
            choose(first, local, count)?;
        }
        Ok(())
    }
}

/// Tells the kernel which socket gets a datagram: a number made of the source address and port, times the golden ratio,
/// of which the high bits are taken, so that neighbours are far apart.
fn choose(socket: &Socket, local: SocketAddr, count: u16) -> io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_ABS) as u16;
    let by = |code: u32, k: u32| libc::sock_filter {
        code: (libc::BPF_ALU | libc::BPF_K | code) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let plain = |code: u16, k: u32| libc::sock_filter { code, jt: 0, jf: 0, k };
    // From the start of the IP header (socket filters, SKF_NET_OFF): the last 32 bits of the source, and the port behind
    // a header without options.
    let header = |offset: u32| (libc::SKF_NET_OFF as u32).wrapping_add(offset);
    let (source, port) = if local.is_ipv4() { (12, 20) } else { (20, 40) };
    let mut program = [
        plain(LOAD | libc::BPF_W as u16, header(source)),
        plain((libc::BPF_MISC | libc::BPF_TAX) as u16, 0),
        plain(LOAD | libc::BPF_H as u16, header(port)),
        plain((libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X) as u16, 0),
        by(libc::BPF_MUL, 0x9e37_79b1),
        by(libc::BPF_RSH, 16),
        by(libc::BPF_MUL, u32::from(count)),
        by(libc::BPF_RSH, 16),
        plain((libc::BPF_RET | libc::BPF_A) as u16, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &filter)?)
}
