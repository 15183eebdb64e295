//! A pair of UDP ports for one session: RTP on an even one, RTCP on the odd one above it (RFC 3550 §11).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::transport::udp::{BindError, Socket};

/// No pair of ports could be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The address itself cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Every pair of the range is in use.
    #[error("no free pair of RTP ports on {bind} in {}–{}", .ports.start(), .ports.end())]
    Exhausted {
        /// The address.
        bind: IpAddr,
        /// The range that was searched.
        ports: RangeInclusive<u16>,
    },
    /// The range holds no even port with an odd one above it.
    #[error("the port range {}–{} holds no pair of an even port and the odd one above it", .0.start(), .0.end())]
    Range(RangeInclusive<u16>),
    /// The system would not give a free pair.
    #[error("the system gave no free pair of RTP ports on {0}")]
    NoPair(IpAddr),
    /// More commands wait for the media thread than it may fall behind.
    #[error("the media thread is overloaded")]
    Overloaded,
}

/// Where the search for a free pair goes on: ports just freed are taken last, so that a stray packet of the old call
/// does not reach a new one.
#[derive(Debug, Default)]
pub struct Cursor(AtomicU32);

impl Cursor {
    /// Binds a pair, RTP first.
    pub fn bind(
        &self,
        bind: IpAddr,
        ports: Option<RangeInclusive<u16>>,
    ) -> Result<(Socket, Socket), PortError> {
        match ports {
            Some(ports) => self.within(bind, ports),
            None => anywhere(bind),
        }
    }

    fn within(&self, bind: IpAddr, ports: RangeInclusive<u16>) -> Result<(Socket, Socket), PortError> {
        let first = u32::from(*ports.start()).next_multiple_of(2).max(2);
        let pairs = (u32::from(*ports.end()) + 1).saturating_sub(first) / 2;
        if pairs == 0 {
            return Err(PortError::Range(ports));
        }
        for _ in 0..pairs {
            let pair = self.0.fetch_add(1, Ordering::Relaxed) % pairs;
            let Ok(port) = u16::try_from(first + 2 * pair) else { continue };
            let Some(rtp) = free(Socket::bind(SocketAddr::new(bind, port)))? else { continue };
            let Some(rtcp) = free(Socket::bind(SocketAddr::new(bind, port + 1)))? else { continue };
            return Ok((rtp, rtcp));
        }
        Err(PortError::Exhausted { bind, ports })
    }
}

fn anywhere(bind: IpAddr) -> Result<(Socket, Socket), PortError> {
    for _ in 0..ATTEMPTS {
        let one = Socket::bind(SocketAddr::new(bind, 0))?;
        let port = one.local_addr().port();
        // Flipping the last bit names the other one of the pair, and there is always one: no system gives out 0 or 1.
        let Some(other) = free(Socket::bind(SocketAddr::new(bind, port ^ 1)))? else { continue };
        return Ok(if port % 2 == 0 { (one, other) } else { (other, one) });
    }
    Err(PortError::NoPair(bind))
}

/// A port in use is no error, only a reason to look on.
fn free(bound: Result<Socket, BindError>) -> Result<Option<Socket>, PortError> {
    match bound {
        Ok(socket) => Ok(Some(socket)),
        Err(BindError::InUse { .. }) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

/// How often the system may give a port whose neighbour is taken.
const ATTEMPTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn pairs_are_even_and_odd() {
        let cursor = Cursor::default();
        let held: Vec<_> = (0..50).map(|_| cursor.bind(HERE, None).unwrap()).collect();
        for (rtp, rtcp) in &held {
            assert_eq!(rtp.local_addr().port() % 2, 0);
            assert_eq!(rtp.local_addr().port() + 1, rtcp.local_addr().port());
        }
    }

    #[test]
    fn a_range_is_used_up_skips_what_is_taken_and_says_so() {
        // Find six neighbouring free ports first.
        let start = (0..100)
            .find_map(|_| {
                let start = anywhere(HERE).ok()?.0.local_addr().port();
                let all =
                    (start..start.checked_add(6)?).map(|port| Socket::bind(SocketAddr::new(HERE, port)));
                all.collect::<Result<Vec<_>, _>>().ok().map(|_| start)
            })
            .unwrap();
        let taken = Socket::bind(SocketAddr::new(HERE, start + 3)).unwrap();
        let cursor = Cursor::default();
        let ports = start..=start + 5;
        let held: Vec<_> = (0..2).map(|_| cursor.bind(HERE, Some(ports.clone())).unwrap()).collect();
        let mut rtp: Vec<_> = held.iter().map(|(rtp, _)| rtp.local_addr().port()).collect();
        rtp.sort_unstable();
        assert_eq!(rtp, [start, start + 4]);
        assert!(matches!(cursor.bind(HERE, Some(ports.clone())), Err(PortError::Exhausted { .. })));
        drop((held, taken));
        assert!(cursor.bind(HERE, Some(ports)).is_ok());
    }

    #[test]
    fn ranges_without_a_pair_are_refused() {
        let cursor = Cursor::default();
        #[allow(clippy::reversed_empty_ranges)]
        for ports in [5001..=5002, 5000..=5000, 6000..=5000, 0..=1, 65535..=65535] {
            assert!(matches!(cursor.bind(HERE, Some(ports)), Err(PortError::Range(_))));
        }
    }

    #[test]
    fn an_address_of_another_host_is_told() {
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert!(matches!(
            Cursor::default().bind(elsewhere, None),
            Err(PortError::Bind(BindError::NotAvailable { .. }))
        ));
    }
}
