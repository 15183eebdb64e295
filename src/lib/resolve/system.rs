//! Who really asks: the hosts file, then the DNS (feature `dns`), or the operating system's own name service.
//!
//! A name in the hosts file has the addresses given there and nothing else: whoever wrote it there wants it so, and
//! no NAPTR or SRV record leads elsewhere. `localhost` and what is below never leave the machine (RFC 6761 §6.3).
//! With the system's configuration, names of one label and names in `.local` are left to the operating system, which
//! knows search lists and mDNS (RFC 6762 §3); with servers given by hand those are asked for everything.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::transport::udp::local_address_for;

use super::{Answer, Query, QueryError, Records, Response, Source, hosts::Hosts};

#[cfg(feature = "dns")]
mod dns;
mod os;

/// Whom to ask.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Config {
    /// DNS servers, the first being preferred. None: what the system is configured with.
    #[cfg(feature = "dns")]
    pub servers: Vec<SocketAddr>,
}

/// Answers queries; made once, used by many.
#[derive(Debug)]
pub struct Resolver {
    hosts: Mutex<HostsFile>,
    #[cfg(feature = "dns")]
    dns: dns::Dns,
}

#[derive(Default, Debug)]
struct HostsFile {
    /// Its time of modification when it was read.
    read: Option<SystemTime>,
    hosts: Arc<Hosts>,
}

impl Resolver {
    #[cfg_attr(
        not(feature = "dns"),
        expect(unused_variables, reason = "without the DNS there is nothing to configure")
    )]
    pub fn new(config: Config) -> Self {
        Self {
            hosts: Mutex::default(),
            #[cfg(feature = "dns")]
            dns: dns::Dns::new(config.servers),
        }
    }

    /// Answers `query`, at the latest after `within`. Must run in a tokio runtime with its timer and IO enabled.
    pub async fn answer(&self, query: &Query, within: Duration) -> Answer {
        if let Some(known) = self.known_here(query) {
            return known;
        }
        let mut answer = self.ask(query, within).await?;
        if let Records::Addresses(addresses) = &mut answer.records {
            usable_first(addresses);
        }
        for host in &mut answer.additional {
            usable_first(&mut host.addresses);
        }
        Ok(answer)
    }

    #[cfg(feature = "dns")]
    async fn ask(&self, query: &Query, within: Duration) -> Answer {
        let host = host_of(query);
        let local = is_below(host, "local") || !host.contains('.');
        let servers = self.dns.servers();
        match (query, servers) {
            (_, Some(servers)) if !local || self.dns.is_by_hand() => servers.ask(query, within).await,
            (Query::Addresses { name }, _) => os::addresses(name, within).await,
            (Query::Naptr { .. } | Query::Srv { .. }, _) => os::no_data(),
        }
    }

    #[cfg(not(feature = "dns"))]
    async fn ask(&self, query: &Query, within: Duration) -> Answer {
        match query {
            Query::Addresses { name } => os::addresses(name, within).await,
            Query::Naptr { .. } | Query::Srv { .. } => os::no_data(),
        }
    }

    /// What need not be asked of anybody.
    fn known_here(&self, query: &Query) -> Option<Answer> {
        let host = host_of(query);
        let hosts = self.hosts();
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let (addresses, source) = match hosts.addresses(host) {
            Some(addresses) => (addresses, Source::Hosts),
            None if is_below(host, "localhost") => (loopback.as_slice(), Source::System),
            None => return None,
        };
        Some(match query {
            Query::Addresses { .. } => {
                let mut addresses = addresses.to_vec();
                usable_first(&mut addresses);
                Ok(Response::new(Records::Addresses(addresses), NOT_KEPT, source))
            }
            Query::Naptr { .. } | Query::Srv { .. } => Err(QueryError::NoData { by: source, ttl: NOT_KEPT }),
        })
    }

    /// The hosts file, read again when it was changed.
    fn hosts(&self) -> Arc<Hosts> {
        let modified = fs::metadata(HOSTS).and_then(|file| file.modified()).ok();
        let mut file = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if file.read != modified {
            let text = fs::read(HOSTS).unwrap_or_default();
            file.hosts = Arc::new(Hosts::parse(&String::from_utf8_lossy(&text)));
            file.read = modified;
        }
        file.hosts.clone()
    }
}

/// The host a query is about: without the labels that name a service.
fn host_of(query: &Query) -> &str {
    let mut host: &str = query.name();
    while let Some((label, rest)) = host.split_once('.') {
        if !label.starts_with('_') {
            break;
        }
        host = rest;
    }
    host
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Puts the families that this machine has no route for last (RFC 6724 §6, rule 1); among the others IPv6 comes
/// first, as RFC 6724 §2.1 has it for hosts with both.
fn usable_first(addresses: &mut [IpAddr]) {
    let usable = |ip: &IpAddr| local_address_for(SocketAddr::new(*ip, 9)).is_ok();
    let first = |v4: bool| addresses.iter().find(|ip| ip.is_ipv4() == v4);
    let (v4, v6) = (first(true).is_some_and(usable), first(false).is_some_and(usable));
    addresses.sort_by_key(|ip| match ip {
        IpAddr::V6(_) => u8::from(!v6) * 2,
        IpAddr::V4(_) => u8::from(!v4) * 2 + 1,
    });
}

const NOT_KEPT: Duration = Duration::ZERO;
#[cfg(not(windows))]
const HOSTS: &str = "/etc/hosts";
#[cfg(windows)]
const HOSTS: &str = r"C:\Windows\System32\drivers\etc\hosts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_about_a_host() {
        for (query, host) in [
            (Query::addresses("a.example"), "a.example"),
            (Query::srv("_sip._udp.a.example"), "a.example"),
            (Query::srv("_sips._tcp.pbx"), "pbx"),
            (Query::srv("_sip"), "_sip"),
            (Query::naptr("_odd.example"), "example"),
        ] {
            assert_eq!(host_of(&query), host);
        }
        for (host, below) in
            [("localhost", true), ("a.localhost", true), ("notlocalhost", false), ("", false)]
        {
            assert_eq!(is_below(host, "localhost"), below, "{host}");
        }
    }

    #[tokio::test]
    async fn localhost_never_leaves_the_machine() {
        let resolver = Resolver::new(Config::default());
        for name in ["localhost", "any.localhost"] {
            let Ok(found) = resolver.answer(&Query::addresses(name), Duration::ZERO).await else {
                panic!("{name} not found")
            };
            let Records::Addresses(addresses) = found.records else { panic!() };
            assert!(!addresses.is_empty() && addresses.iter().all(|ip| ip.is_loopback()), "{addresses:?}");
            for query in [Query::naptr(name), Query::srv(&format!("_sip._udp.{name}"))] {
                let answer = resolver.answer(&query, Duration::ZERO).await;
                assert!(matches!(answer, Err(QueryError::NoData { .. })), "{query}: {answer:?}");
            }
        }
    }

    #[test]
    fn families_without_a_route_come_last() {
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        usable_first(&mut addresses);
        assert_eq!(addresses.len(), 1);
        let mut both: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        usable_first(&mut both);
        let v6_works = local_address_for(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 9)).is_ok();
        assert_eq!(both[0].is_ipv6(), v6_works);
    }
}
