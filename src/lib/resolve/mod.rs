//! From the host of a URI to the addresses to try (RFC 3263 §4): questions, answers, and the machine that asks
//! the one and is given the other.
//!
//! This file has the words: [`Destination`] is what a URI says, [`Query`] and [`Answer`] what is asked of the
//! DNS. [`Lookup`] is the machine, [`order`] sorts what it finds, [`Step`] says why. [`cache`] and [`failed`]
//! remember. None of these asks anybody: [`system`] does.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{
    message::{self, Scheme, Uri},
    transport::Protocol,
};

pub mod cache;
pub mod explain;
pub mod failed;
mod hosts;
mod lookup;
mod naptr;
pub mod order;
pub mod system;

pub use self::{
    explain::{Choice, Rule, Step},
    lookup::{Lookup, MAX_TARGETS, Progress, Settings},
    naptr::Useless,
    order::Order,
};

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

/// A question for whoever knows names. Names are in lower case and without the last dot ([`Query::naptr`] and its
/// like make them so).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Query {
    /// The NAPTR records of a domain (RFC 3403).
    Naptr { name: Arc<str> },
    /// The SRV records of a service, such as `_sip._udp.example.com` (RFC 2782).
    Srv { name: Arc<str> },
    /// All A and AAAA records of a host, the better family first.
    Addresses { name: Arc<str> },
}

impl Query {
    pub fn naptr(name: &str) -> Self {
        Self::Naptr { name: plain(name) }
    }

    pub fn srv(name: &str) -> Self {
        Self::Srv { name: plain(name) }
    }

    pub fn addresses(name: &str) -> Self {
        Self::Addresses { name: plain(name) }
    }

    /// How much of the time left for a lookup this question may take. Half for NAPTR and SRV records, so that a server
    /// that is silent about them leaves time for the addresses.
    pub fn share(&self, rest: Duration) -> Duration {
        match self {
            Self::Addresses { .. } => rest,
            Self::Naptr { .. } | Self::Srv { .. } => rest / 2,
        }
    }

    /// What kind of record is asked for: `NAPTR`, `SRV` or `A/AAAA`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Naptr { .. } => "NAPTR",
            Self::Srv { .. } => "SRV",
            Self::Addresses { .. } => "A/AAAA",
        }
    }

    /// The name asked about.
    pub const fn name(&self) -> &Arc<str> {
        match self {
            Self::Naptr { name } | Self::Srv { name } | Self::Addresses { name } => name,
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// What came of a [`Query`].
pub type Answer = Result<Response, QueryError>;

/// Records found, with where they come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Of the kind that was asked for.
    pub records: Records,
    /// How long they hold; zero if they are not to be kept at all.
    pub ttl: Duration,
    pub source: Source,
    /// The name that the one asked about is an alias of (CNAME).
    pub alias: Option<Arc<str>>,
    /// Addresses of hosts named in the records, which came along (RFC 2782, "Additional Data"). Only hosts whose
    /// addresses are all there.
    pub additional: Vec<Additional>,
}

impl Response {
    pub const fn new(records: Records, ttl: Duration, source: Source) -> Self {
        Self { records, ttl, source, alias: None, additional: Vec::new() }
    }
}

/// The addresses of a host, not asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Additional {
    pub name: Arc<str>,
    pub addresses: Vec<IpAddr>,
    pub ttl: Duration,
}

/// Records of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Records {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Addresses(Vec<IpAddr>),
}

impl Records {
    pub const fn len(&self) -> usize {
        match self {
            Self::Naptr(records) => records.len(),
            Self::Srv(records) => records.len(),
            Self::Addresses(records) => records.len(),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: Arc<str>,
    /// Such as `SIP+D2U`.
    pub service: Arc<str>,
    pub regexp: Arc<str>,
    /// The name to go on with, `.` for none.
    pub replacement: Arc<str>,
}

impl fmt::Display for Naptr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, preference, flags, service, regexp, replacement } = self;
        write!(f, "{order} {preference} \"{flags}\" {service} \"{regexp}\" {replacement}")
    }
}

/// An SRV record (RFC 2782).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// The host, `.` if the service is not available.
    pub target: Arc<str>,
}

impl Srv {
    /// A target of `.` says that the domain does not offer the service; a port of 0 can only mean the same.
    pub fn is_available(&self) -> bool {
        self.port != 0 && !matches!(&*self.target, "" | ".")
    }
}

impl fmt::Display for Srv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { priority, weight, port, target } = self;
        write!(f, "{priority} {weight} {port} {target}")
    }
}

/// Who gave an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// A DNS server.
    Server(SocketAddr),
    /// The hosts file of this machine.
    Hosts,
    /// The operating system, which does not say where it has it from.
    System,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(addr) if addr.port() == 53 => write!(f, "DNS server {}", addr.ip()),
            Self::Server(addr) => write!(f, "DNS server {addr}"),
            Self::Hosts => f.write_str("the hosts file"),
            Self::System => f.write_str("the system"),
        }
    }
}

/// Why a [`Query`] has no records. A server that says so is told from one that does not know, and from silence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The name does not exist (NXDOMAIN).
    #[error("no such name, says {by}")]
    NoName {
        by: Source,
        /// How long that holds (RFC 2308 §5); zero if it is not to be kept.
        ttl: Duration,
    },
    /// The name exists and has no record of this kind.
    #[error("no record of that kind, says {by}")]
    NoData { by: Source, ttl: Duration },
    /// The server does not know, or will not say.
    #[error("{by} {fault}")]
    Fault { by: Source, fault: Fault },
    /// The operating system could not find out.
    #[error("{0}")]
    System(Arc<io::Error>),
    #[error("no answer in time from {}", OneOf(asked))]
    Timeout { asked: Arc<[Source]> },
}

impl QueryError {
    /// Whether it is known that there are no such records, rather than unknown whether there are.
    pub const fn is_negative(&self) -> bool {
        matches!(self, Self::NoName { .. } | Self::NoData { .. })
    }

    /// How long it holds.
    pub const fn ttl(&self) -> Duration {
        match self {
            Self::NoName { ttl, .. } | Self::NoData { ttl, .. } => *ttl,
            Self::Fault { .. } | Self::System(_) | Self::Timeout { .. } => Duration::ZERO,
        }
    }
}

struct OneOf<'a>(&'a [Source]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("anybody"),
            [first, rest @ ..] => {
                first.fmt(f)?;
                rest.iter().try_for_each(|source| write!(f, " or {source}"))
            }
        }
    }
}

/// What is wrong with a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// A response code (RFC 1035 §4.1.1) other than "no error" and "no such name".
    Code(u16),
    /// Its answer cannot be read.
    Malformed,
    /// Alias follows alias (CNAME) in a circle or for too long.
    Aliases,
    /// It cannot be asked.
    Io(io::ErrorKind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(1) => f.write_str("does not understand the question (FORMERR)"),
            Self::Code(2) => f.write_str("failed to find out (SERVFAIL)"),
            Self::Code(4) => f.write_str("does not know such questions (NOTIMP)"),
            Self::Code(5) => f.write_str("refuses to answer (REFUSED)"),
            Self::Code(code) => write!(f, "answered with code {code}"),
            Self::Malformed => f.write_str("sent an answer that cannot be read"),
            Self::Aliases => f.write_str("leads from alias to alias without end"),
            Self::Io(kind) => write!(f, "cannot be asked: {kind}"),
        }
    }
}

/// Why a [`Destination`] leads nowhere.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// The host of the URI, or the only host that its SRV records name, has no address.
    #[error("{name} has no address: {error}")]
    NoAddress { name: Arc<str>, error: QueryError },
    /// The domain says that it does not offer the service (RFC 2782: a target of `.`).
    #[error("{host} does not offer SIP: its SRV record {service} says so")]
    Unavailable { host: Host, service: Arc<str> },
    /// A SIPS URI with a transport that is not encrypted (RFC 3261 §26.2.2).
    #[error("{host} is to be reached securely (sips), which {protocol} is not")]
    Insecure { host: Host, protocol: Protocol },
    #[error("{host} is to be reached over {protocol}, which this program does not speak")]
    NotSpoken { host: Host, protocol: Protocol },
    /// The URI names a transport that is not known at all.
    #[error("{host} is to be reached over a transport that is not known")]
    NoTransport { host: Host },
    #[error("{host} cannot be a host name")]
    NoName { host: Host },
    /// A `tel` URI or the like: it takes a proxy or gateway to reach it.
    #[error("the address names no host")]
    NoHost,
}

/// The transports a program speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Protocols(u8);

impl Protocols {
    pub const NONE: Self = Self(0);
    pub const UDP: Self = Self::NONE.and(Protocol::Udp);
    pub const ALL: Self =
        Self::UDP.and(Protocol::Tcp).and(Protocol::Tls).and(Protocol::Ws).and(Protocol::Wss);

    /// These and one more.
    #[must_use]
    pub const fn and(self, protocol: Protocol) -> Self {
        Self(self.0 | 1 << protocol as u8)
    }

    pub const fn contains(self, protocol: Protocol) -> bool {
        self.0 & 1 << protocol as u8 != 0
    }

    /// Those that a SIPS URI admits.
    #[must_use]
    pub fn secure(self) -> Self {
        self.iter().filter(|protocol| protocol.is_secure()).collect()
    }

    /// In the order in which they are tried when nobody says otherwise: UDP is what every SIP element speaks (RFC
    /// 3263 §4.1), WebSocket what a server speaks for browsers.
    pub fn iter(self) -> impl Iterator<Item = Protocol> {
        let all = [Protocol::Udp, Protocol::Tcp, Protocol::Tls, Protocol::Ws, Protocol::Wss];
        all.into_iter().filter(move |&protocol| self.contains(protocol))
    }
}

impl FromIterator<Protocol> for Protocols {
    fn from_iter<I: IntoIterator<Item = Protocol>>(protocols: I) -> Self {
        protocols.into_iter().fold(Self::NONE, Self::and)
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
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

/// A name as it is compared and kept: in lower case (RFC 4343), without the dot that ends it; the root stays `.`.
fn plain(name: &str) -> Arc<str> {
    let name = match name.strip_suffix('.') {
        Some("") | None => name,
        Some(name) => name,
    };
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// Whether it is worth asking: 1 to 253 characters (RFC 1035 §2.3.4) and none that would end or confuse a
/// query.
fn may_be_name(name: &str) -> bool {
    (1..=253).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
}
