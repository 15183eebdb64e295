//! Where media goes and whose media is heard.
//!
//! Media goes to the SDP address. It may latch to the source of received media at most once per offer/answer exchange,
//! and only on a packet with a negotiated payload type that comes
//!
//! * (a) from the SDP IP, any port, or
//! * (b) from the source IP of the signalling, while no packet from the SDP IP has come, if the signalling showed NAT.
//!
//! Everything else is a stranger: dropped and counted. A new exchange (re-INVITE, UPDATE) resets all of it.
//! The SDP address itself is never a stranger, but hearing it after the latch does not move the latch.
//! Not full ICE or symmetric RTP "to whoever spoke last" (RFC 4961 §3 is what peers may rely on): an address that
//! anyone can claim by sending a packet would hand the call to whoever sends first.

use std::net::{IpAddr, SocketAddr};

/// The rule above as a value.
///
/// ```text
///              qualifying packet (a)/(b)
///   ┌───────┐ ───────────────────────────► ┌─────────┐
///   │ Fresh │                              │ Latched │  only its source and the SDP address are heard
///   └───────┘ ◄─────────────────────────── └─────────┘
///              reset: new exchange
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latch {
    sdp: Option<SocketAddr>,
    nat: Option<IpAddr>,
    latched: Option<SocketAddr>,
    /// A packet from the SDP IP has come, of whatever payload type: (b) is closed.
    sdp_heard: bool,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Accept, and media goes to the packet's source from now on.
    Latched,
    /// From the peer, but with a payload type nobody negotiated: not heard, no stranger either.
    Unnegotiated,
    Stranger,
}

impl Latch {
    /// `sdp` is the address of the peer's description, `nat` the source IP of its signalling if that showed NAT.
    pub fn new(sdp: Option<SocketAddr>, nat: Option<IpAddr>) -> Self {
        Self { sdp: sdp.map(plain), nat: nat.map(|ip| ip.to_canonical()), latched: None, sdp_heard: false }
    }

    /// Judges one RTP packet; `negotiated` says whether its payload type is.
    pub fn judge(&mut self, from: SocketAddr, negotiated: bool) -> Verdict {
        let from = plain(from);
        let from_sdp_ip = self.sdp.is_some_and(|sdp| sdp.ip() == from.ip());
        let known = self.latched == Some(from) || self.sdp == Some(from);
        let open = self.latched.is_none()
            && (from_sdp_ip || (!self.sdp_heard && self.nat.is_some_and(|nat| nat == from.ip())));
        self.sdp_heard |= from_sdp_ip;
        match (known || open, negotiated) {
            (false, _) => Verdict::Stranger,
            (true, false) => Verdict::Unnegotiated,
            (true, true) if open => {
                self.latched = Some(from);
                Verdict::Latched
            }
            (true, true) => Verdict::Accept,
        }
    }

    /// Whether RTCP from there is the peer's: same IP as the latch or the description, any port, because without
    /// rtcp-mux it has a port, and behind NAT a mapping, of its own. RTCP never latches.
    pub fn knows_ip(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        [self.latched, self.sdp].into_iter().flatten().any(|known| known.ip() == from)
    }

    /// Where RTP goes.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.latched.or(self.sdp)
    }

    /// Where media really came from, once it has.
    pub fn latched(&self) -> Option<SocketAddr> {
        self.latched
    }

    /// The SDP address.
    pub fn sdp(&self) -> Option<SocketAddr> {
        self.sdp
    }
}

/// An IPv4 address as a dual-stack socket shows it is the IPv4 address; scope and flow label do not name a peer.
fn plain(addr: SocketAddr) -> SocketAddr {
    match (addr, addr.ip().to_canonical()) {
        (SocketAddr::V6(v6), IpAddr::V6(_)) => {
            let mut v6 = v6;
            v6.set_flowinfo(0);
            SocketAddr::V6(v6)
        }
        (_, ip) => SocketAddr::new(ip, addr.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};

    const SDP: &str = "192.0.2.1:4000";
    const SDP_OTHER_PORT: &str = "192.0.2.1:5000";
    const SDP_THIRD_PORT: &str = "192.0.2.1:6000";
    const NAT: &str = "198.51.100.7:31000";
    const NAT_OTHER_PORT: &str = "198.51.100.7:31001";
    const ATTACKER: &str = "203.0.113.66:4000";

    struct Case {
        name: &'static str,
        nat: bool,
        /// Source, negotiated payload type, verdict.
        packets: &'static [(&'static str, bool, Verdict)],
        destination: &'static str,
    }

    const TABLE: &[Case] = &[
        Case { name: "nothing came", nat: false, packets: &[], destination: SDP },
        Case {
            name: "peer as described",
            nat: false,
            packets: &[(SDP, true, Latched), (SDP, true, Accept)],
            destination: SDP,
        },
        Case {
            name: "attacker first, no NAT",
            nat: false,
            packets: &[(ATTACKER, true, Stranger), (SDP, true, Latched), (ATTACKER, true, Stranger)],
            destination: SDP,
        },
        Case {
            name: "attacker first, NAT",
            nat: true,
            packets: &[
                (ATTACKER, true, Stranger),
                (ATTACKER, false, Stranger),
                (NAT, true, Latched),
                (NAT, true, Accept),
            ],
            destination: NAT,
        },
        Case {
            name: "attacker in mid-call",
            nat: true,
            packets: &[
                (NAT, true, Latched),
                (ATTACKER, true, Stranger),
                (ATTACKER, false, Stranger),
                (NAT, true, Accept),
            ],
            destination: NAT,
        },
        Case {
            name: "attacker in mid-call, peer as described",
            nat: false,
            packets: &[(SDP, true, Latched), (ATTACKER, true, Stranger), (NAT, true, Stranger)],
            destination: SDP,
        },
        Case {
            name: "attacker behind the SDP IP in mid-call",
            nat: false,
            packets: &[(SDP, true, Latched), (SDP_OTHER_PORT, true, Stranger)],
            destination: SDP,
        },
        Case {
            name: "attacker behind the signalling IP in mid-call",
            nat: true,
            packets: &[(NAT, true, Latched), (NAT_OTHER_PORT, true, Stranger)],
            destination: NAT,
        },
        Case {
            name: "(a) another port of the SDP IP, once",
            nat: false,
            packets: &[
                (SDP_OTHER_PORT, true, Latched),
                (SDP_OTHER_PORT, true, Accept),
                (SDP_THIRD_PORT, true, Stranger),
                (SDP, true, Accept),
            ],
            destination: SDP_OTHER_PORT,
        },
        Case {
            name: "(a) needs a negotiated payload type",
            nat: false,
            packets: &[(SDP_OTHER_PORT, false, Unnegotiated), (SDP, true, Latched)],
            destination: SDP,
        },
        Case {
            name: "(b) needs NAT in the signalling",
            nat: false,
            packets: &[(NAT, true, Stranger)],
            destination: SDP,
        },
        Case {
            name: "(b) needs a negotiated payload type",
            nat: true,
            packets: &[(NAT, false, Unnegotiated), (NAT_OTHER_PORT, true, Latched)],
            destination: NAT_OTHER_PORT,
        },
        Case {
            name: "(b) is closed by any packet from the SDP IP",
            nat: true,
            packets: &[
                (SDP_OTHER_PORT, false, Unnegotiated),
                (NAT, true, Stranger),
                (SDP, true, Latched),
                (NAT, true, Stranger),
            ],
            destination: SDP,
        },
        Case {
            name: "(b) then the SDP address: heard, not followed",
            nat: true,
            packets: &[(NAT, true, Latched), (SDP, true, Accept), (SDP_OTHER_PORT, true, Stranger)],
            destination: NAT,
        },
    ];

    #[test]
    fn table() {
        for case in TABLE {
            let nat = case.nat.then(|| NAT.parse::<SocketAddr>().unwrap().ip());
            let mut latch = Latch::new(Some(SDP.parse().unwrap()), nat);
            for (step, &(from, negotiated, want)) in case.packets.iter().enumerate() {
                let got = latch.judge(from.parse().unwrap(), negotiated);
                assert_eq!(got, want, "{}: packet {step} from {from}", case.name);
            }
            assert_eq!(latch.destination(), Some(case.destination.parse().unwrap()), "{}", case.name);
        }
    }

    #[test]
    fn without_a_description_everybody_is_a_stranger() {
        let mut latch = Latch::new(None, None);
        assert_eq!(latch.judge(SDP.parse().unwrap(), true), Stranger);
        assert_eq!(latch.destination(), None);
    }

    #[test]
    fn mapped_addresses_are_the_same_peer() {
        let mut latch = Latch::new(Some(SDP.parse().unwrap()), None);
        assert_eq!(latch.judge("[::ffff:192.0.2.1]:4000".parse().unwrap(), true), Latched);
        assert_eq!(latch.destination(), Some(SDP.parse().unwrap()));
    }

    #[test]
    fn rtcp_is_known_by_ip() {
        let mut latch = Latch::new(Some(SDP.parse().unwrap()), Some("198.51.100.7".parse().unwrap()));
        assert!(latch.knows_ip("192.0.2.1".parse().unwrap()));
        assert!(!latch.knows_ip("198.51.100.7".parse().unwrap()));
        latch.judge(NAT.parse().unwrap(), true);
        assert!(latch.knows_ip("198.51.100.7".parse().unwrap()));
        assert!(!latch.knows_ip("203.0.113.66".parse().unwrap()));
    }
}
