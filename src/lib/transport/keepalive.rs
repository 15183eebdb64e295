//! Keeping flows alive and noticing when they are not (RFC 5626 §4.4): CRLF on connections, STUN on UDP.
//!
//! Of STUN (RFC 5389) only what that takes: a Binding request without attributes, its success response with the
//! address as the peer sees it, and the answer to such a request. No other method, no credentials, no fingerprint
//! (RFC 5626 §8.3 asks for none); what carries an attribute that must be understood is not answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use crate::{
    time::{Duration, Instant},
    util::id::Ids,
};

/// How often, and whether silence is the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pulse {
    /// The longest pause; each is 80 to 100 % of it (RFC 5626 §4.4).
    pub every: Duration,
    /// Whether the peer is known to answer, so that a flow on which it does not is dead. Otherwise keep-alives only
    /// hold the ways through translators and firewalls open.
    pub checked: bool,
}

/// What a keep-alive wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// To be sent on the flow.
    Send(Bytes),
    /// The flow has failed: no answer within [`PATIENCE`], or the peer sees us at another address than before.
    Dead,
    Nothing,
}

/// The keep-alives of one flow.
///
/// ```text
///            80–100 % of `every`, checked              PATIENCE
///  ──► Quiet ────────────────────────────► Waiting ───────────────► dead
///      │  ▲ ▲                               │   │ ▲
///      └──┘ └── pong, response, any message ┘   └─┘ UDP: sent again
///     unchecked                             │
///                                           └─ response with another address ──► dead
/// ```
#[derive(Clone, Debug)]
pub struct KeepAlive {
    pulse: Pulse,
    is_stream: bool,
    /// Our address as the peer saw it.
    mapped: Option<SocketAddr>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Quiet { until: Instant },
    Waiting { until: Instant, again: Instant, gap: Duration, id: [u8; 12] },
}

impl KeepAlive {
    /// On a connection (`is_stream`) or a UDP flow; the first one is sent after a pause.
    pub fn new(pulse: Pulse, is_stream: bool, now: Instant, ids: &mut Ids) -> Self {
        let state = State::Quiet { until: now + pause(pulse.every, ids) };
        Self { pulse, is_stream, mapped: None, state }
    }

    /// When [`advance`](Self::advance) is due.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Quiet { until } => until,
            State::Waiting { until, again, .. } => until.min(again),
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: Instant, ids: &mut Ids) -> Step {
        if now < self.deadline() {
            return Step::Nothing;
        }
        match self.state {
            State::Quiet { .. } if !self.pulse.checked => {
                self.rest(now, ids);
                Step::Send(Bytes::from_static(PING))
            }
            State::Quiet { .. } => {
                let mut id = [0; 12];
                ids.fill(&mut id);
                let until = now + PATIENCE;
                let again = if self.is_stream { until } else { now + RTO };
                self.state = State::Waiting { until, again, gap: RTO, id };
                Step::Send(if self.is_stream { Bytes::from_static(PING) } else { binding_request(id) })
            }
            State::Waiting { until, .. } if now >= until => Step::Dead,
            State::Waiting { until, gap, id, .. } => {
                // RFC 5389 §7.2.1: each pause twice the one before.
                let gap = 2 * gap;
                self.state = State::Waiting { until, again: now + gap, gap, id };
                Step::Send(binding_request(id))
            }
        }
    }

    /// Something came by a connection: a pong, or a message, which is as good a sign of life. Whether it was waited
    /// for, and the deadline is a new one.
    pub fn heard(&mut self, now: Instant, ids: &mut Ids) -> bool {
        let is_news = self.is_stream && matches!(self.state, State::Waiting { .. });
        if is_news {
            self.rest(now, ids);
        }
        is_news
    }

    /// A Binding response came by a UDP flow; [`Step::Dead`] if the address it tells is a new one, since the way back
    /// that others know is gone then (RFC 5626 §4.4.2).
    pub fn answered(&mut self, response: &Response, now: Instant, ids: &mut Ids) -> Step {
        match self.state {
            State::Waiting { id, .. } if id == response.id => {}
            State::Waiting { .. } | State::Quiet { .. } => return Step::Nothing,
        }
        if let (Some(before), Some(now)) = (self.mapped, response.mapped)
            && before != now
        {
            return Step::Dead;
        }
        self.mapped = self.mapped.or(response.mapped);
        self.rest(now, ids);
        Step::Nothing
    }

    fn rest(&mut self, now: Instant, ids: &mut Ids) {
        self.state = State::Quiet { until: now + pause(self.pulse.every, ids) };
    }
}

/// 80 to 100 % of `every`.
fn pause(every: Duration, ids: &mut Ids) -> Duration {
    let fifth = u64::try_from(every.as_micros() / 5).unwrap_or(u64::MAX);
    every - Duration::from_micros(ids.below(fifth.saturating_add(1)))
}

/// A STUN message, as far as it is of use here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stun {
    BindingRequest {
        id: [u8; 12],
    },
    Response(Response),
    /// Anything else; it is no SIP message either.
    Other,
}

/// A Binding success or error response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    pub id: [u8; 12],
    /// Our address as the peer sees it.
    pub mapped: Option<SocketAddr>,
}

impl Stun {
    /// `None` if it is no STUN: that begins with two zero bits, which no SIP message does, and holds the magic cookie
    /// (RFC 5389 §6).
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, mut attributes) = bytes.split_at_checked(HEADER)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if header[0] & 0xc0 != 0 || header[4..8] != COOKIE || usize::from(word(2)) != attributes.len() {
            return None;
        }
        let mut id = [0; 12];
        id.copy_from_slice(&header[8..]);
        let (mut mapped, mut is_understood) = (None, true);
        while let Some((head, rest)) = attributes.split_at_checked(4) {
            let (kind, length) =
                (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
            // §15: values are padded to four octets.
            let padded = usize::from(length).next_multiple_of(4);
            let Some((value, rest)) = rest.split_at_checked(padded) else { return Some(Self::Other) };
            match kind {
                XOR_MAPPED_ADDRESS => mapped = address(value, &id),
                // §15: below 0x8000 an attribute must be understood.
                0..0x8000 => is_understood = false,
                _ => {}
            }
            attributes = rest;
        }
        Some(match word(0) {
            BINDING_REQUEST if is_understood => Self::BindingRequest { id },
            BINDING_SUCCESS | BINDING_ERROR => Self::Response(Response { id, mapped }),
            _ => Self::Other,
        })
    }
}

/// A Binding request without attributes (RFC 5626 §4.4.2).
pub fn binding_request(id: [u8; 12]) -> Bytes {
    message(BINDING_REQUEST, id, &[])
}

/// The answer to a Binding request that came from `from`.
pub fn binding_response(id: [u8; 12], from: SocketAddr) -> Bytes {
    let mut value = vec![0, if from.is_ipv4() { 1 } else { 2 }];
    value.extend((from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]])).to_be_bytes());
    match from.ip() {
        IpAddr::V4(ip) => value.extend(xor(ip.octets(), &id)),
        IpAddr::V6(ip) => value.extend(xor(ip.octets(), &id)),
    }
    message(BINDING_SUCCESS, id, &value)
}

fn message(kind: u16, id: [u8; 12], mapped: &[u8]) -> Bytes {
    let length = if mapped.is_empty() { 0 } else { 4 + mapped.len() };
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.extend(kind.to_be_bytes());
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend(COOKIE);
    bytes.extend(id);
    if !mapped.is_empty() {
        bytes.extend(XOR_MAPPED_ADDRESS.to_be_bytes());
        bytes.extend((mapped.len() as u16).to_be_bytes());
        bytes.extend(mapped);
    }
    bytes.into()
}

/// The value of XOR-MAPPED-ADDRESS (RFC 5389 §15.2).
fn address(value: &[u8], id: &[u8; 12]) -> Option<SocketAddr> {
    let (&[_, family, high, low], ip) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([high ^ COOKIE[0], low ^ COOKIE[1]]);
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from(xor(<[u8; 4]>::try_from(ip).ok()?, id)).into(),
        2 => Ipv6Addr::from(xor(<[u8; 16]>::try_from(ip).ok()?, id)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// With the magic cookie and the transaction's id, in this order.
fn xor<const N: usize>(mut octets: [u8; N], id: &[u8; 12]) -> [u8; N] {
    for (octet, mask) in octets.iter_mut().zip(COOKIE.iter().chain(id)) {
        *octet ^= mask;
    }
    octets
}

/// How long an answer may take (RFC 5626 §4.4.1).
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before a request over UDP is sent again (RFC 5389 §7.2.1).
const RTO: Duration = Duration::from_millis(500);
const PING: &[u8] = b"\r\n\r\n";
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Instant {
        Instant::from_micros((seconds * 1e6) as u64)
    }

    #[test]
    fn pauses_are_80_to_100_per_cent() {
        let mut ids = Ids::from_number(1);
        let every = Duration::from_secs(120);
        let pauses: Vec<_> = (0..1_000).map(|_| pause(every, &mut ids)).collect();
        assert!(pauses.iter().all(|pause| (Duration::from_secs(96)..=every).contains(pause)));
        let early = pauses.iter().filter(|pause| pause.as_secs() < 108).count();
        assert!((400..600).contains(&early), "{early}");
        assert_eq!(pause(Duration::ZERO, &mut ids), Duration::ZERO);
    }

    /// Every state with every event, on both kinds of flows.
    #[test]
    fn table() {
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Event {
            /// The deadline has come.
            Due,
            Late,
            Heard,
            Response,
            Moved,
            Foreign,
        }
        use Event::*;
        let every = Duration::from_secs(30);
        let id = [7; 12];
        let mapped: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let quiet = State::Quiet { until: at(30.0) };
        let waiting = |stream: bool| State::Waiting {
            until: at(40.0),
            again: at(if stream { 40.0 } else { 30.5 }),
            gap: RTO,
            id,
        };
        let table = [
            // stream, checked, waits, event, sends or dies, waits then
            (true, true, false, Due, "send", true),
            (true, false, false, Due, "send", false),
            (false, true, false, Due, "send", true),
            (false, false, false, Due, "send", false),
            (true, true, false, Heard, "", false),
            (false, true, false, Response, "", false),
            (false, true, false, Moved, "", false),
            (true, true, true, Due, "dead", true),
            (false, true, true, Due, "send", true),
            (false, true, true, Late, "dead", true),
            (true, true, true, Heard, "", false),
            (false, true, true, Heard, "", true),
            (false, true, true, Response, "", false),
            (false, true, true, Moved, "dead", true),
            (false, true, true, Foreign, "", true),
        ];
        for row @ (is_stream, checked, waits, event, expected, waits_then) in table {
            let mut ids = Ids::from_number(1);
            let state = if waits { waiting(is_stream) } else { quiet };
            let pulse = Pulse { every, checked };
            let mut machine = KeepAlive { pulse, is_stream, mapped: Some(mapped), state };
            let due = machine.deadline();
            assert_eq!(machine.advance(at(due.as_micros() as f64 / 1e6 - 0.1), &mut ids), Step::Nothing);
            let other = "192.0.2.1:5061".parse().unwrap();
            let step = match event {
                Due => machine.advance(due, &mut ids),
                Late => machine.advance(at(40.0), &mut ids),
                Heard => {
                    machine.heard(due, &mut ids);
                    Step::Nothing
                }
                Response => machine.answered(&super::Response { id, mapped: Some(mapped) }, due, &mut ids),
                Moved => machine.answered(&super::Response { id, mapped: Some(other) }, due, &mut ids),
                Foreign => machine.answered(&super::Response { id: [8; 12], mapped: None }, due, &mut ids),
            };
            let what = match step {
                Step::Send(bytes) => {
                    assert_eq!(bytes == PING, is_stream || !checked, "{row:?}");
                    "send"
                }
                Step::Dead => "dead",
                Step::Nothing => "",
            };
            let is_waiting = matches!(machine.state, State::Waiting { .. });
            assert_eq!((what, is_waiting), (expected, waits_then), "{row:?}");
        }
    }

    #[test]
    fn a_request_over_udp_is_sent_five_times_in_ten_seconds() {
        let mut ids = Ids::from_number(1);
        let pulse = Pulse { every: Duration::ZERO, checked: true };
        let mut machine = KeepAlive::new(pulse, false, Instant::ZERO, &mut ids);
        let mut sent = Vec::new();
        loop {
            let now = machine.deadline();
            match machine.advance(now, &mut ids) {
                Step::Send(_) => sent.push(now.as_micros() / 1_000),
                Step::Dead => break assert_eq!((sent, now), (vec![0, 500, 1_500, 3_500, 7_500], at(10.0))),
                Step::Nothing => panic!("a deadline for nothing"),
            }
        }
    }

    #[test]
    fn stun_there_and_back() {
        let id = *b"0123456789ab";
        for addr in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
            let addr = addr.parse().unwrap();
            assert_eq!(Stun::parse(&binding_request(id)), Some(Stun::BindingRequest { id }));
            let response = Stun::Response(Response { id, mapped: Some(addr) });
            assert_eq!(Stun::parse(&binding_response(id, addr)), Some(response));
        }
    }

    /// The responses of RFC 5769 §2.2 and §2.3, whose further attributes need not be understood or come with
    /// credentials.
    #[test]
    fn the_test_vectors_of_rfc_5769() {
        let id = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        let header = |length: u8| [&[1, 1, 0, length][..], &COOKIE, &id].concat();
        let software = b"\x80\x22\x00\x0btest vector ";
        let v4 = b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";
        let v6 = b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        for (value, expected) in
            [(&v4[..], "192.0.2.1:32853"), (v6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let bytes = [&header(16 + value.len() as u8)[..], software, value].concat();
            let mapped = Some(expected.parse().unwrap());
            assert_eq!(Stun::parse(&bytes), Some(Stun::Response(Response { id, mapped })));
        }
    }

    #[test]
    fn what_is_no_stun_or_not_for_us() {
        let request = binding_request([1; 12]);
        for length in 0..request.len() {
            assert_eq!(Stun::parse(&request[..length]), None);
        }
        assert_eq!(Stun::parse(b"OPTIONS sip:bob@biloxi.example SIP/2.0\r\n"), None);
        let with = |kind: u16, attribute: &[u8]| {
            let mut bytes = request.to_vec();
            bytes[..2].copy_from_slice(&kind.to_be_bytes());
            bytes[3] = attribute.len() as u8;
            bytes.extend(attribute);
            Stun::parse(&bytes)
        };
        assert_eq!(with(0x0003, &[]), Some(Stun::Other), "Allocate");
        assert_eq!(with(0x0001, b"\x00\x06\x00\x01a\0\0\0"), Some(Stun::Other), "a USERNAME");
        assert_eq!(with(0x0001, b"\x00\x06\x00\x09a\0\0\0"), Some(Stun::Other), "longer than the message");
        assert_eq!(with(0x0001, b"\x80\x22\x00\x01a\0\0\0"), Some(Stun::BindingRequest { id: [1; 12] }));
        assert_eq!(
            with(0x0101, b"\x00\x20\x00\x02\0\x01\0\0"),
            Some(Stun::Response(Response { id: [1; 12], mapped: None }))
        );
    }
}
