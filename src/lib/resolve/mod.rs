//! From the host of a URI to the addresses to try (RFC 3263 §4), as a state machine: it wants queries, is
//! given answers, and asks nobody itself.
//!
//! A host is an IP literal or a name with A and AAAA records. NAPTR and SRV records are not asked for: the
//! lookup behaves as RFC 3263 does when there are none. They come in as more kinds of [`Query`] and more
//! states; whoever drives a [`Lookup`] need not change.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use smallvec::{SmallVec, smallvec};

use crate::{
    message::{self, Scheme, Uri},
    transport::{Protocol, Target},
};

pub mod system;

/// Where a request is to go, as its URI says it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Destination {
    /// The `maddr` parameter if there is one, else the host (RFC 3263 §4: TARGET).
    pub host: Host,
    pub port: Option<u16>,
    /// The `transport` parameter.
    pub transport: Option<Protocol>,
    /// Whether the scheme is SIPS, which admits secure transports only.
    pub sips: bool,
}

impl Destination {
    /// Where a request for `uri` goes: its `maddr` or host, its port, its `transport` parameter (RFC 3263 §4).
    ///
    /// Fails for a URI without a host (`tel:`) and for a transport this library does not speak.
    pub fn of(uri: &Uri<'_>) -> Result<Self, LookupError> {
        if !uri.is_sip() {
            return Err(LookupError::NoHost);
        }
        let params = uri.params();
        let host = match params.value("maddr") {
            Some(maddr) => Host::parse(maddr),
            None => uri.host().into(),
        };
        let transport = match params.value("transport").map(Protocol::parse) {
            None => None,
            Some(Some(protocol)) => Some(protocol),
            Some(None) => return Err(LookupError::NoTransport { host }),
        };
        Ok(Self { host, port: uri.port(), transport, sips: uri.scheme() == Scheme::Sips })
    }
}

/// The host of a [`Destination`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    Name(Arc<str>),
    Ip(IpAddr),
}

/// A question for whoever knows names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Query {
    /// All A and AAAA records of `name`, in the order to try them.
    Addresses { name: Arc<str> },
}

/// What came of a [`Query`].
pub type Answer = Result<Records, QueryError>;

/// Records found, of the kind that was asked for; not empty.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Records {
    Addresses(Vec<IpAddr>),
}

/// Why a [`Query`] has no records.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The name does not exist, or has no record of this kind.
    #[error("no such name")]
    NotFound,
    /// Whoever knows names could not be asked, or refused.
    #[error("{0}")]
    Failed(Arc<io::Error>),
    #[error("no answer in time")]
    Timeout,
}

/// Why a [`Destination`] leads nowhere.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    #[error("{host} is not a known host name")]
    NotFound { host: Host },
    #[error("{host} cannot be looked up: {source}")]
    Failed { host: Host, source: Arc<io::Error> },
    #[error("looking up {host} took too long")]
    Timeout { host: Host },
    /// A SIPS URI with a transport that is not encrypted (RFC 3261 §26.2.2).
    #[error("{host} is to be reached securely (sips), which {protocol} is not")]
    Insecure { host: Host, protocol: Protocol },
    #[error("{host} is to be reached over a transport this program does not speak")]
    NoTransport { host: Host },
    /// A `tel` URI or the like: it takes a proxy or gateway to reach it.
    #[error("the address names no host")]
    NoHost,
}

/// What a [`Lookup`] wants next.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Ask these; call [`Lookup::answer`] for each.
    Ask(SmallVec<[Query; 2]>),
    /// Earlier queries are still to be answered.
    Wait,
    /// The end: targets to try in this order, each after the failure of the one before (RFC 3263 §4.3); not
    /// empty, no two the same, at most [`MAX_TARGETS`].
    Found(Vec<Target>),
    /// The end.
    Failed(LookupError),
}

/// One lookup under way.
///
/// ```text
///              IP literal
///    start ───────────────────────────────▶ Done
///      │ name            ┌───────────┐        ▲
///      └────────────────▶│ Addresses ├────────┘
///         ask addresses  └───────────┘  answer: found, or failed
/// ```
#[derive(Clone, Debug)]
pub struct Lookup {
    destination: Destination,
    protocol: Protocol,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Waits for the addresses of the host.
    Addresses,
    /// The end was reported; whatever still comes is ignored.
    Done,
}

impl Lookup {
    /// Starts a lookup; it may already end here.
    pub fn start(destination: Destination) -> (Self, Progress) {
        let protocol = match choose_protocol(&destination) {
            Ok(protocol) => protocol,
            Err(protocol) => {
                let host = destination.host.clone();
                let lookup = Self { destination, protocol, state: State::Done };
                return (lookup, Progress::Failed(LookupError::Insecure { host, protocol }));
            }
        };
        let mut lookup = Self { destination, protocol, state: State::Addresses };
        let progress = match &lookup.destination.host {
            Host::Ip(ip) => {
                let ip = *ip;
                lookup.found(&[ip])
            }
            Host::Name(name) if !may_be_name(name) => lookup.failed(&QueryError::NotFound),
            Host::Name(name) => Progress::Ask(smallvec![Query::Addresses { name: name.clone() }]),
        };
        (lookup, progress)
    }

    /// Takes the answer to `query`. Answers to questions this lookup did not ask, or no longer asks, change
    /// nothing.
    pub fn answer(&mut self, query: &Query, answer: Answer) -> Progress {
        match (self.state, query, &self.destination.host, answer) {
            (State::Addresses, Query::Addresses { name }, Host::Name(host), answer) if name == host => {
                match answer {
                    Ok(Records::Addresses(addresses)) => self.found(&addresses),
                    Err(error) => self.failed(&error),
                }
            }
            _ => Progress::Wait,
        }
    }

    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    fn found(&mut self, addresses: &[IpAddr]) -> Progress {
        let port = self.destination.port.unwrap_or(self.protocol.default_port());
        let mut targets = Vec::with_capacity(addresses.len().min(MAX_TARGETS));
        for &ip in addresses {
            let target = Target { protocol: self.protocol, addr: SocketAddr::new(ip, port) };
            if targets.len() < MAX_TARGETS && !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            return self.failed(&QueryError::NotFound);
        }
        self.state = State::Done;
        Progress::Found(targets)
    }

    fn failed(&mut self, error: &QueryError) -> Progress {
        self.state = State::Done;
        let host = self.destination.host.clone();
        Progress::Failed(match error {
            QueryError::NotFound => LookupError::NotFound { host },
            QueryError::Failed(source) => LookupError::Failed { host, source: source.clone() },
            QueryError::Timeout => LookupError::Timeout { host },
        })
    }
}

impl Host {
    /// Reads an IP literal (IPv6 with or without brackets) or takes `text` as a name.
    pub fn parse(text: &str) -> Self {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Self::Ip(ip);
        }
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        match inner.map(str::parse::<Ipv6Addr>) {
            Some(Ok(ip)) => Self::Ip(ip.into()),
            _ => Self::Name(text.into()),
        }
    }
}

impl From<message::Host<'_>> for Host {
    fn from(host: message::Host<'_>) -> Self {
        match host {
            message::Host::Name(name) => Self::Name(name.into()),
            message::Host::V4(ip) => Self::Ip(ip.into()),
            message::Host::V6(ip) => Self::Ip(ip.into()),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// The most targets one lookup yields: a name with more addresses gains nothing from trying them all.
pub const MAX_TARGETS: usize = 16;

/// RFC 3263 §4.1 without NAPTR and SRV records. `Err` names the transport that a SIPS URI must not use.
fn choose_protocol(destination: &Destination) -> Result<Protocol, Protocol> {
    match (destination.transport, destination.sips) {
        (None, false) => Ok(Protocol::Udp),
        // "TCP for a SIPS URI" means TLS over it.
        (None | Some(Protocol::Tcp), true) => Ok(Protocol::Tls),
        (Some(Protocol::Ws), true) => Ok(Protocol::Wss),
        (Some(protocol), true) if !protocol.is_secure() => Err(protocol),
        (Some(protocol), _) => Ok(protocol),
    }
}

/// Whether it is worth asking: 1 to 253 characters (RFC 1035 §2.3.4) and none that would end or confuse a
/// query.
fn may_be_name(name: &str) -> bool {
    (1..=254).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(uri: &str) -> Destination {
        Destination::of(&Uri::parse(uri).unwrap()).unwrap()
    }

    fn found(progress: Progress) -> Vec<String> {
        match progress {
            Progress::Found(targets) => targets.iter().map(Target::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn ips(list: &[&str]) -> Answer {
        Ok(Records::Addresses(list.iter().map(|ip| ip.parse().unwrap()).collect()))
    }

    /// RFC 3263 §4.1 and §4.2.
    #[test]
    fn literals_need_no_question() {
        let table = [
            ("sip:192.0.2.1", "192.0.2.1:5060 over UDP"),
            ("sip:192.0.2.1:5070", "192.0.2.1:5070 over UDP"),
            ("sip:[2001:db8::1]", "[2001:db8::1]:5060 over UDP"),
            ("sip:bob@[2001:db8::1]:5070", "[2001:db8::1]:5070 over UDP"),
            ("sip:bob@phone.example;maddr=192.0.2.9", "192.0.2.9:5060 over UDP"),
            ("sip:192.0.2.1;transport=TCP", "192.0.2.1:5060 over TCP"),
            ("sip:192.0.2.1;transport=tls", "192.0.2.1:5061 over TLS"),
            ("sips:192.0.2.1", "192.0.2.1:5061 over TLS"),
            ("sips:192.0.2.1;transport=tcp", "192.0.2.1:5061 over TLS"),
            ("sips:192.0.2.1;transport=ws", "192.0.2.1:443 over WSS"),
        ];
        for (uri, target) in table {
            assert_eq!(found(Lookup::start(destination(uri)).1), [target], "{uri}");
        }
        let refused = Lookup::start(destination("sips:192.0.2.1;transport=udp")).1;
        assert!(matches!(refused, Progress::Failed(LookupError::Insecure { protocol: Protocol::Udp, .. })));
    }

    #[test]
    fn a_name_is_asked_for_and_its_addresses_kept_in_order() {
        let (mut lookup, progress) = Lookup::start(destination("sip:phone.example:5080"));
        let Progress::Ask(queries) = progress else { panic!("{progress:?}") };
        assert_eq!(queries.as_slice(), [Query::Addresses { name: "phone.example".into() }]);
        let progress = lookup.answer(&queries[0], ips(&["2001:db8::1", "192.0.2.1", "2001:db8::1"]));
        assert_eq!(found(progress), ["[2001:db8::1]:5080 over UDP", "192.0.2.1:5080 over UDP"]);
    }

    /// Every state with every event.
    #[test]
    fn table() {
        let asked = Query::Addresses { name: "a.example".into() };
        let foreign = Query::Addresses { name: "b.example".into() };
        let failed = || Err(QueryError::Failed(Arc::new(io::ErrorKind::Other.into())));
        let events: [(&Query, Answer, &str); 6] = [
            (&asked, ips(&["192.0.2.1"]), "found"),
            (&asked, ips(&[]), "not found"),
            (&asked, Err(QueryError::NotFound), "not found"),
            (&asked, failed(), "failed"),
            (&asked, Err(QueryError::Timeout), "timeout"),
            (&foreign, ips(&["192.0.2.1"]), "wait"),
        ];
        for (query, answer, expected) in events {
            let (mut lookup, _) = Lookup::start(destination("sip:a.example"));
            let outcome = |progress| match progress {
                Progress::Ask(_) => "ask",
                Progress::Wait => "wait",
                Progress::Found(_) => "found",
                Progress::Failed(LookupError::NotFound { .. }) => "not found",
                Progress::Failed(LookupError::Failed { .. }) => "failed",
                Progress::Failed(LookupError::Timeout { .. }) => "timeout",
                Progress::Failed(_) => "not for an answer",
            };
            assert_eq!(outcome(lookup.answer(query, answer.clone())), expected);
            assert_eq!(lookup.state == State::Done, expected != "wait");
            lookup.state = State::Done;
            assert_eq!(outcome(lookup.answer(query, answer)), "wait", "done is done");
        }
    }

    #[test]
    fn nonsense_is_not_asked_for() {
        for name in ["", "a b", "a\0b", "a\nb", &"x".repeat(300)] {
            let host = Host::parse(name);
            let nonsense = Destination { host, port: None, transport: None, sips: false };
            let progress = Lookup::start(nonsense).1;
            assert!(matches!(progress, Progress::Failed(LookupError::NotFound { .. })), "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_destination() {
        let of = |uri| Destination::of(&Uri::parse(uri).unwrap());
        assert!(matches!(of("tel:+1-201-555-0123"), Err(LookupError::NoHost)));
        assert!(matches!(of("sip:a.example;transport=sctp"), Err(LookupError::NoTransport { .. })));
    }

    #[test]
    fn the_list_is_bounded() {
        let many = (0..100).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let (mut lookup, _) = Lookup::start(destination("sip:a.example"));
        let query = Query::Addresses { name: "a.example".into() };
        assert_eq!(found(lookup.answer(&query, Ok(Records::Addresses(many)))).len(), MAX_TARGETS);
    }
}
