//! What a [`Lookup`](super::Lookup) did and why, as values: for `-v`, for `sip-dns`, and for tests.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use crate::transport::{Protocol, Target};

use super::{Additional, Answer, LookupError, Naptr, Query, Records, Response, Source, Srv, Useless};

/// One step of a lookup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Which rule of RFC 3263 says what to do next.
    Rule(Rule),
    /// What was answered to a question.
    Answer { query: Query, answer: Answer },
    /// Addresses that the answer before brought along, so that they need not be asked for.
    Additional(Additional),
    /// A NAPTR record of the answer before, in the order of preference, and what it is good for.
    Naptr { record: Naptr, verdict: Result<Protocol, Useless> },
    /// An SRV record of the answer before, in the order drawn.
    Srv { record: Srv },
    /// The end: the targets in the order in which they are tried.
    Targets(Vec<Choice>),
    /// The end.
    Failed(LookupError),
}

/// A rule of RFC 3263 §4.1 and §4.2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// The host is an IP address: nothing is looked up.
    Numeric(Protocol),
    /// The URI has a port: neither NAPTR nor SRV records count, only addresses.
    Port(Protocol),
    /// The URI names a transport: SRV records of that transport.
    Transport(Protocol),
    /// The URI leaves transport and port to the domain: NAPTR records say them.
    Domain,
    /// No NAPTR record is of use: SRV records of every transport spoken.
    NoNaptr,
    /// There are no SRV records: the addresses of the host itself, at the port that is usual for the transport.
    NoSrv(Protocol),
}

/// A target and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    pub target: Target,
    /// The host it is an address of; none if the URI has the address itself.
    pub host: Option<Arc<str>>,
    /// The SRV record that named the host, and the name that record belongs to.
    pub srv: Option<(Arc<str>, Srv)>,
}

impl Step {
    /// How deep it stands in the tree: 0 for what is decided and asked, 1 for what belongs to the line above.
    pub const fn depth(&self) -> usize {
        match self {
            Self::Rule(_) | Self::Answer { .. } | Self::Targets(_) | Self::Failed(_) => 0,
            Self::Naptr { .. } | Self::Srv { .. } | Self::Additional(_) => 1,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::Answer { query, answer: Ok(response) } => {
                write!(f, "{query}: {}, {}", Found(response), Kept(response))
            }
            Self::Additional(Additional { name, addresses, .. }) => {
                write!(f, "{name} came along: {}", join(addresses))
            }
            Self::Answer { query, answer: Err(error) } => write!(f, "{query}: {error}"),
            Self::Naptr { record, verdict: Ok(protocol) } => write!(f, "{record}: {protocol}"),
            Self::Naptr { record, verdict: Err(useless) } => write!(f, "{record}: passed over, {useless}"),
            Self::Srv { record } if record.is_available() => record.fmt(f),
            Self::Srv { record } => write!(f, "{record}: the service is not available"),
            Self::Targets(choices) if choices.len() == 1 => f.write_str("the only target"),
            Self::Targets(choices) => {
                write!(f, "{} targets, each tried when the one before fails", choices.len())
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Rule {
    /// A stable word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Numeric(_) => "numeric",
            Self::Port(_) => "port",
            Self::Transport(_) => "transport",
            Self::Domain => "domain",
            Self::NoNaptr => "no-naptr",
            Self::NoSrv(_) => "no-srv",
        }
    }

    /// The transport it settles.
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Numeric(protocol)
            | Self::Port(protocol)
            | Self::Transport(protocol)
            | Self::NoSrv(protocol) => Some(*protocol),
            Self::Domain | Self::NoNaptr => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numeric(protocol) => write!(f, "the host is an IP address: nothing to look up, over {protocol}"),
            Self::Port(protocol) => {
                write!(f, "the URI has a port: only addresses are looked up, over {protocol}")
            }
            Self::Transport(protocol) => write!(f, "the URI says {protocol}: its SRV records name the servers"),
            Self::Domain => f.write_str(
                "the URI has neither port nor transport: NAPTR records say which transports the domain offers",
            ),
            Self::NoNaptr => f.write_str("no NAPTR record is of use: SRV records of every transport spoken here"),
            Self::NoSrv(protocol) => write!(
                f,
                "no SRV records: the addresses of the host itself, {}, the default port of SIP over {protocol}",
                protocol.default_port()
            ),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)?;
        if let Some(host) = &self.host {
            write!(f, ", {host}")?;
        }
        if let Some((service, Srv { priority, weight, .. })) = &self.srv {
            write!(f, ", priority {priority} weight {weight} of {service}")?;
        }
        Ok(())
    }
}

/// The records of a response in few words.
struct Found<'a>(&'a Response);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(alias) = &self.0.alias {
            write!(f, "an alias of {alias}, ")?;
        }
        match &self.0.records {
            Records::Addresses(addresses) => f.write_str(&join(addresses)),
            records if records.len() == 1 => f.write_str("1 record"),
            records => write!(f, "{} records", records.len()),
        }
    }
}

/// How long it holds and who says so.
struct Kept<'a>(&'a Response);

impl fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.source, self.0.ttl) {
            (source @ Source::Server(_), ttl) => write!(f, "for {}, says {source}", seconds(ttl)),
            (source, _) => write!(f, "says {source}"),
        }
    }
}

fn seconds(ttl: Duration) -> String {
    format!("{} s", ttl.as_secs())
}

fn join(addresses: &[IpAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    addresses.join(", ")
}
