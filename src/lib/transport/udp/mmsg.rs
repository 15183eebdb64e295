//! Several datagrams by one call: recvmmsg(2) and sendmmsg(2).
#![allow(unsafe_code)]

use std::{
    mem::{self, MaybeUninit, offset_of},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsRawFd, RawFd},
    ptr,
};

use nix::errno::Errno;
use socket2::SockAddr;

use super::{
    Datagram, MAX_DATAGRAM,
    batch::{BATCH, Inbox, Outgoing},
    linux::{Source, source},
};

/// Reads what is there, as far as the inbox has room, from a socket bound to `local`; the second figure is how many
/// datagrams did not fit and are lost.
pub(super) fn receive(fd: &impl AsRawFd, local: SocketAddr, inbox: &mut Inbox) -> Result<usize, Errno> {
    inbox.read.clear();
    let mut names = [const { MaybeUninit::<libc::sockaddr_storage>::uninit() }; BATCH];
    let mut controls = [const { MaybeUninit::<Info>::uninit() }; BATCH];
    let mut parts = [const { libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 } }; BATCH];
    let mut headers = [EMPTY; BATCH];
    // Only a wildcard socket does not know where its datagrams went to.
    let is_wild = local.ip().is_unspecified();
    let space = inbox.space.chunks_exact_mut(MAX_DATAGRAM);
    let rest = names.iter_mut().zip(&mut controls).zip(&mut parts).zip(&mut headers);
    for (space, (((name, control), part), header)) in space.zip(rest) {
        *part = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        if is_wild {
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = mem::size_of::<Info>() as _;
        }
    }
    // SAFETY: each header points to a part of the inbox, a name and a control of its own, with their sizes, all of which
    // live on; the descriptor is open as long as the socket is borrowed.
    let count = unsafe {
        libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), BATCH as _, libc::MSG_DONTWAIT, ptr::null_mut())
    };
    let count = Errno::result(count)? as usize;
    let mut lost = 0;
    for (index, (header, name)) in headers.iter().zip(&names).take(count).enumerate() {
        let message = &header.msg_hdr;
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            lost += 1;
            continue;
        }
        // SAFETY: the kernel wrote msg_namelen octets of an address into it; those of it that it did not write are not
        // looked at, as the family says.
        let Some(from) = (unsafe { address(name, message.msg_namelen) }) else { continue };
        // SAFETY: as the kernel left it, with the control it points to.
        let to = if is_wild { unsafe { destination(message, local.port()) } } else { None };
        let datagram = Datagram { len: header.msg_len as usize, from, to: to.unwrap_or(local) };
        inbox.read.push((index, datagram));
    }
    Ok(lost)
}

/// Sends from the front as many as the kernel takes, at least one or else it is an error about the first, from a socket
/// bound to `local`.
pub(super) fn send(fd: &impl AsRawFd, local: SocketAddr, datagrams: &[Outgoing]) -> Result<usize, Errno> {
    let mut names = [const { MaybeUninit::<SockAddr>::uninit() }; BATCH];
    let mut controls = [const { MaybeUninit::<Info>::uninit() }; BATCH];
    let mut parts = [const { libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 } }; BATCH];
    let mut headers = [EMPTY; BATCH];
    let rest = names.iter_mut().zip(&mut controls).zip(&mut parts).zip(&mut headers);
    for (datagram, (((name, control), part), header)) in datagrams.iter().zip(rest) {
        let name = name.write(datagram.to.into());
        // The kernel only reads it.
        *part = libc::iovec {
            iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
            iov_len: datagram.bytes.len(),
        };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        // What the socket is bound to it sends from unasked.
        let from = Some(datagram.from).filter(|from| local.ip() != *from);
        if let Some(source) = source(from, datagram.to) {
            let (control, len) = Info::write(control, source);
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = len as _;
        }
    }
    let count = datagrams.len().min(BATCH);
    sent(fd.as_raw_fd(), &mut headers, count)
}

fn sent(fd: RawFd, headers: &mut [libc::mmsghdr; BATCH], count: usize) -> Result<usize, Errno> {
    // SAFETY: the first `count` headers were filled in by the caller with what lives until it returns.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count as _, 0) };
    Ok(Errno::result(sent)? as usize)
}

/// One control message, with its packet information (ip(7), ipv6(7)).
#[repr(C, align(8))]
struct Info {
    header: libc::cmsghdr,
    info: Payload,
}

#[repr(C)]
union Payload {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

impl Info {
    /// Gives it and how many octets of it count.
    fn write(place: &mut MaybeUninit<Self>, source: Source) -> (&mut Self, usize) {
        // SAFETY: integers all of it.
        let control = place.write(unsafe { mem::zeroed() });
        let size = match source {
            Source::V4(v4) => {
                control.header.cmsg_level = libc::IPPROTO_IP;
                control.header.cmsg_type = libc::IP_PKTINFO;
                control.info = Payload { v4 };
                mem::size_of::<libc::in_pktinfo>()
            }
            Source::V6(v6) => {
                control.header.cmsg_level = libc::IPPROTO_IPV6;
                control.header.cmsg_type = libc::IPV6_PKTINFO;
                control.info = Payload { v6 };
                mem::size_of::<libc::in6_pktinfo>()
            }
        };
        let len = offset_of!(Self, info) + size;
        control.header.cmsg_len = len as _;
        (control, len)
    }
}

/// An address as the kernel wrote it.
///
/// # Safety
/// At least the part that the family, or `len`, stands for must have been written.
unsafe fn address(name: &MaybeUninit<libc::sockaddr_storage>, len: libc::socklen_t) -> Option<SocketAddr> {
    if (len as usize) < mem::size_of::<libc::sockaddr_in>() {
        return None;
    }
    let place = name.as_ptr();
    // SAFETY: the caller's promise; a storage is aligned for each of them.
    unsafe {
        match i32::from((*place.cast::<libc::sockaddr_in>()).sin_family) {
            libc::AF_INET => {
                let name = &*place.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::new(ip.into(), u16::from_be(name.sin_port)))
            }
            libc::AF_INET6 if len as usize >= mem::size_of::<libc::sockaddr_in6>() => {
                let name = &*place.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let port = u16::from_be(name.sin6_port);
                Some(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// Where a datagram was sent to, if its control message says so.
///
/// # Safety
/// The message must be as the kernel left it, and what it points to must live.
unsafe fn destination(message: &libc::msghdr, port: u16) -> Option<SocketAddr> {
    // SAFETY: the caller's promise; the macros look at no more than msg_controllen octets, and payloads are copied out.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = at.as_ref() {
            let data = libc::CMSG_DATA(header);
            match (header.cmsg_level, header.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                    // ipi_spec_dst, not ipi_addr: for a broadcast the former is the address to answer from.
                    let ip = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
                    return Some(SocketAddr::new(IpAddr::V4(ip), port));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    let scope = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                    return Some(SocketAddrV6::new(ip, port, 0, scope).into());
                }
                _ => at = libc::CMSG_NXTHDR(message, header),
            }
        }
    }
    None
}

const EMPTY: libc::mmsghdr = {
    // SAFETY: null pointers and zeros are a header that names nothing.
    unsafe { mem::zeroed() }
};
