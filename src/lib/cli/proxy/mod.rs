//! `sip-stateless-proxy`: its flags and its manual.

mod page;
mod rules;
mod run;

use std::{net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

use clap::{Parser, ValueHint};

use super::{
    Program, args,
    config::Config,
    failure::Failure,
    generate::{Example, Manual, Section},
    hep::{self, HepServer},
    metrics::MetricsAddress,
    value::{ListenAddress, LocalAddress, parse_duration},
};
use crate::{
    message::UriBuf,
    proxy::{Match, RecordRoute, Rule},
    resolve::Host,
    transport::{Protocol, udp},
};

pub use self::{
    rules::{HopUri, RouteRule},
    run::run,
};

/// Forward SIP messages, and remember nothing of them
///
/// Each message goes on by itself (RFC 3261 section 16.11): a request to the next hop that its Call-ID is for, a response
/// back by its Vias. Between UDP, TCP, TLS and WebSocket, IPv4 and IPv6. Without --next-hop and --route requests go where
/// their URI says.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-stateless-proxy", version, max_term_width = 100)]
pub struct Args {
    /// Send requests to this URI; may be repeated
    ///
    /// Of several, each call has one, by a hash of its Call-ID: with one less only its own calls move.
    #[arg(long, value_name = "URI")]
    pub next_hop: Vec<HopUri>,

    /// Send what matches elsewhere; may be repeated
    ///
    /// MATCH=URI[,URI...], such as a.example=sip:192.0.2.7. MATCH is the host of the Request-URI, *.HOST for all below it, or a regular expression
    /// between slashes for the whole of it. dns instead of a URI: where the Request-URI says. The first one that matches
    /// counts, and --next-hop is for the rest.
    #[arg(long, value_name = "MATCH=URI")]
    pub route: Vec<RouteRule>,

    /// Where to listen [default: see --help]
    ///
    /// May be repeated. PROTO is udp, tcp, tls, ws or wss, and without it both udp and tcp; tls and wss want --tls-cert.
    /// Without a port: 5060, for tls 5061, for ws 5062, for wss 5063. The default is the address of this machine that
    /// leads to the first next hop, and loopback without one.
    #[arg(long, value_name = "[PROTO:]IP[:PORT]")]
    pub listen: Vec<ListenAddress>,

    /// A name that leads here; may be repeated
    ///
    /// Routes with it are ours, as those with an address that is listened on.
    #[arg(long, value_name = "NAME")]
    pub domain: Vec<String>,

    /// Stay on the path of every dialog
    ///
    /// Without it a Record-Route is put in only where it is needed: between transports, families or addresses, and for
    /// clients that are reached by their own connection only.
    #[arg(long)]
    pub record_route: bool,

    /// Ask next hops with OPTIONS [default: 10s]
    ///
    /// One that has not answered for 32 s gets no requests until it does. 0s is never, and the default where there is one hop only.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub probe: Option<Duration>,

    /// File with the secret of branches and flow tokens
    ///
    /// Its first 16 octets at least. With it they outlive a restart over UDP, and several proxies can share them.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(hide_short_help = true)]
    pub flow_key_file: Option<PathBuf>,

    /// Threads that share the work [default: 1]
    ///
    /// What one peer sends is read by one of them, in order; so they help only where there are many peers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_SHARDS))]
    pub shards: Option<u16>,

    /// Answer Prometheus at this port: /metrics
    ///
    /// Over HTTP; with a port alone only for this machine. The figures are in MONITORING below.
    #[arg(long, value_name = "[IP:]PORT")]
    pub metrics: Option<MetricsAddress>,

    /// Tell a capture server of every message
    ///
    /// By HEP version 3 over UDP, as Homer and others take it; without a port 9060. What is encrypted is told as it was
    /// before.
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Capture")]
    pub hep: Option<HepServer>,

    /// The number by which it knows us [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Capture")]
    #[arg(hide_short_help = true)]
    pub hep_id: Option<u32>,

    /// File with what it wants to be told in its first line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Capture")]
    #[arg(hide_short_help = true)]
    pub hep_password_file: Option<PathBuf>,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub dns: args::Dns,
    #[command(flatten)]
    pub common: args::Common,
}

/// What the flags and the configuration say together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At least one.
    pub listen: Vec<ListenAddress>,
    pub rules: Vec<Rule>,
    pub domains: Vec<String>,
    pub record_route: RecordRoute,
    pub probe: Option<Duration>,
    pub flow_key_file: Option<PathBuf>,
    pub metrics: Option<MetricsAddress>,
    pub shards: NonZeroU16,
    pub hep: Option<hep::Settings>,
}

impl Args {
    /// The port listened on where none is given.
    pub const fn port(protocol: Protocol) -> u16 {
        match protocol {
            Protocol::Udp | Protocol::Tcp => 5060,
            Protocol::Tls => 5061,
            Protocol::Ws => 5062,
            Protocol::Wss => 5063,
        }
    }

    pub fn settings(&self, config: &Config) -> Result<Settings, Failure> {
        let config = &config.proxy;
        let next_hops = given(&self.next_hop, config.next_hop.as_ref());
        let mut rules: Vec<_> =
            given(&self.route, config.route.as_ref()).into_iter().map(|RouteRule(rule)| rule).collect();
        if !next_hops.is_empty() {
            rules.push(Rule {
                when: Match::Any,
                hops: next_hops.into_iter().map(|HopUri(hop)| hop).collect(),
            });
        }
        let listen = match &given(&self.listen, config.listen.as_ref())[..] {
            [] => vec![towards(&rules)?],
            listen => listen.to_vec(),
        };
        let share = rules.iter().any(|rule| rule.hops.len() > 1);
        let probe = self.probe.or(config.probe).unwrap_or(if share { PROBE } else { Duration::ZERO });
        if config.shards.is_some_and(|shards| i64::from(shards.get()) > MOST_SHARDS) {
            return Err(Failure::usage(format_args!("shards: at most {MOST_SHARDS}")));
        }
        if !probe.is_zero() && probe < LEAST_PROBE {
            return Err(Failure::usage("--probe: next hops are asked every 100ms at most"));
        }
        Ok(Settings {
            listen,
            rules,
            domains: given(&self.domain, config.domain.as_ref()),
            record_route: match self.record_route || config.record_route == Some(true) {
                true => RecordRoute::Always,
                false => RecordRoute::Needed,
            },
            probe: (!probe.is_zero()).then_some(probe),
            flow_key_file: self.flow_key_file.clone().or_else(|| config.flow_key_file.clone()),
            metrics: self.metrics.or(config.metrics),
            shards: self.shards.and_then(NonZeroU16::new).or(config.shards).unwrap_or(NonZeroU16::MIN),
            hep: self.hep.as_ref().or(config.hep.as_ref()).map(|server| hep::Settings {
                server: server.clone(),
                id: self.hep_id.or(config.hep_id).unwrap_or(1),
                password_file: self.hep_password_file.clone().or_else(|| config.hep_password_file.clone()),
            }),
        })
    }
}

/// The flags before the file.
fn given<T: Clone>(flags: &[T], file: Option<&Vec<T>>) -> Vec<T> {
    match file {
        Some(file) if flags.is_empty() => file.clone(),
        _ => flags.to_vec(),
    }
}

/// The address of this machine that leads to the first next hop.
fn towards(rules: &[Rule]) -> Result<ListenAddress, Failure> {
    let hop = rules.iter().flat_map(|rule| &rule.hops).next();
    let ip = match hop.map(|hop| (&hop.destination().host, hop.uri())) {
        None => std::net::Ipv4Addr::LOCALHOST.into(),
        Some((Host::Ip(ip), _)) => udp::local_address_for(SocketAddr::new(*ip, 5060)).map_err(|error| {
            Failure::usage(format_args!("no address of this machine leads to {ip}: {error}"))
        })?,
        Some((Host::Name(_), uri)) => return Err(needs_listen(uri)),
    };
    Ok(ListenAddress { protocol: None, address: LocalAddress { ip, port: None } })
}

fn needs_listen(uri: &UriBuf) -> Failure {
    let uri = uri.as_str();
    Failure::usage(format_args!(
        "{uri} is a name: say with --listen which address of this machine leads there"
    ))
}

const PROBE: Duration = Duration::from_secs(10);
const LEAST_PROBE: Duration = Duration::from_millis(100);
const MOST_SHARDS: i64 = 64;

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] --next-hop URI...", "[OPTIONS] --route MATCH=URI..."],
        sections: &[
            Section {
                title: "ROUTING",
                text: "A request whose Route names another element goes there. What is left is sent by --route and \
                       --next-hop, and without them by its Request-URI (RFC 3263). The next hop of a call depends on \
                       nothing but its Call-ID and the table, so that repetitions, CANCEL and ACK follow their INVITE. \
                       Requests within a dialog whose Route is ours go where their Request-URI says. With SIGHUP the \
                       configuration file is read again: routes, names and record-route change, and no message is lost.",
                terms: &[],
            },
            Section {
                title: "CLIENTS THAT CANNOT BE CALLED",
                text: "Who comes over WebSocket or a connection of his own, or from behind an address translator, is \
                       reached by the flow he opened: its token is in Path, Record-Route and Via. A token whose flow is \
                       gone is answered 430, and one that was not made here 403 (RFC 5626).",
                terms: &[],
            },
            Section {
                title: "OVERLOAD",
                text: "When more comes than can be read, new requests are answered 503 with Retry-After: a share that \
                       grows as the socket fills, always the same calls of it. Responses, ACK, CANCEL and requests within \
                       dialogs go on, so that calls that were let in can be finished. A request for a connection that is \
                       gone, or whose peer reads too slowly, is answered 503 as well. The more a socket may hold \
                       (net.core.rmem_max, of which up to 4 MiB are taken) the longer bursts may be.",
                terms: &[],
            },
            Section {
                title: "MONITORING",
                text: "With --metrics there is a page in the text format of Prometheus, at most eight connections at a \
                       time. Every figure is explained on the page; these are the ones to watch.",
                terms: &[
                    ("sipkit_proxy_requests_total, sipkit_proxy_responses_total", "What came in."),
                    ("sipkit_proxy_forwarded_total", "What went on; _by_transport_total by how."),
                    (
                        "sipkit_proxy_answered_total{status}",
                        "What was answered instead: 503 is overload or a lost way.",
                    ),
                    ("sipkit_proxy_next_hop_up{next_hop}", "0 while a next hop does not answer."),
                    (
                        "sipkit_proxy_dropped_total, sipkit_datagrams_dropped_total, sipkit_connection_messages_dropped_total",
                        "What was lost, by reason: not_read and queue_full say that this machine or a peer is too slow.",
                    ),
                    (
                        "sipkit_overload_ratio",
                        "The share of new requests that is refused because there are too many.",
                    ),
                    ("sipkit_connections", "Connections at the moment."),
                ],
            },
        ],
        examples: &[
            Example {
                about: "Everything to one server",
                command: "sip-stateless-proxy --next-hop sip:10.0.0.2",
            },
            Example {
                about: "Calls shared by two servers",
                command: "sip-stateless-proxy --next-hop 192.0.2.7 --next-hop 192.0.2.8",
            },
            Example {
                about: "From WebSocket to UDP",
                command: "sip-stateless-proxy --listen ws::: --listen 0.0.0.0 --next-hop pbx.example",
            },
            Example {
                about: "With figures for Prometheus at http://127.0.0.1:9100/metrics",
                command: "sip-stateless-proxy --next-hop 192.0.2.7 --metrics 9100",
            },
            Example {
                about: "With a copy of every message for Homer",
                command: "sip-stateless-proxy --next-hop 192.0.2.7 --hep homer.example",
            },
            Example {
                about: "Numbers to a gateway, and the rest where it wants",
                command: "sip-stateless-proxy --route '/^sip:[+]?[0-9]+@/=sip:192.0.2.7'",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &str, file: &str) -> Result<Settings, Failure> {
        let args = Args::try_parse_from(format!("test {flags}").split_whitespace()).expect("known flags");
        args.settings(&Config::parse(file).expect("well-formed"))
    }

    #[test]
    fn it_listens_where_the_next_hop_is_reached() {
        let listen = |flags: &str, file: &str| {
            settings(flags, file).unwrap().listen[0].targets(Args::port)[0].to_string()
        };
        assert_eq!(listen("", ""), "127.0.0.1:5060 over UDP");
        assert_eq!(listen("--next-hop 127.0.0.1:5070", ""), "127.0.0.1:5060 over UDP");
        assert_eq!(listen("--next-hop sip:pbx.example --listen ws:::1", ""), "[::1]:5062 over WS");
        assert_eq!(listen("", "[proxy]\nlisten = 'tls:192.0.2.1'"), "192.0.2.1:5061 over TLS");
        let mistake = settings("--route a.example=pbx.example", "").unwrap_err().to_string();
        assert!(mistake.contains("sip:pbx.example is a name: say with --listen"), "{mistake}");
    }

    #[test]
    fn hops_that_share_calls_are_asked_whether_they_are_there() {
        let probe = |flags: &str, file: &str| settings(flags, file).map(|settings| settings.probe);
        let two = "--next-hop 127.0.0.1 --next-hop 127.0.0.2";
        assert_eq!(probe("--next-hop 127.0.0.1", ""), Ok(None));
        assert_eq!(probe(two, ""), Ok(Some(PROBE)));
        assert_eq!(probe(&format!("{two} --probe 0s"), ""), Ok(None));
        assert_eq!(
            probe("", "[proxy]\nnext-hop = '127.0.0.1'\nprobe = '3s'"),
            Ok(Some(Duration::from_secs(3)))
        );
        assert!(probe("--probe 1us", "").unwrap_err().to_string().contains("100ms at most"));
    }

    #[test]
    fn there_is_one_shard_at_least_and_a_bound() {
        let shards = |flags: &str, file: &str| settings(flags, file).map(|settings| settings.shards.get());
        assert_eq!(shards("", ""), Ok(1));
        assert_eq!(shards("", "[proxy]\nshards = 3"), Ok(3));
        assert_eq!(shards("--shards 2", "[proxy]\nshards = 3"), Ok(2));
        assert!(shards("", "[proxy]\nshards = 65").unwrap_err().to_string().contains("at most 64"));
        assert!(Config::parse("[proxy]\nshards = 0").is_err());
        for wrong in ["0", "65", "-1", "two"] {
            assert!(Args::try_parse_from(["test", "--shards", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_go_before_the_file_and_next_hops_behind_the_routes() {
        let file = "[proxy]\nroute = ['a.example=127.0.0.1', '/^tel:/=dns']\nnext-hop = '127.0.0.2'\nrecord-route = true\n\
                    domain = 'proxy.example'";
        let of_file = settings("", file).unwrap();
        assert_eq!((of_file.rules.len(), of_file.domains.len()), (3, 1));
        assert_eq!((&of_file.rules[2].when, of_file.record_route), (&Match::Any, RecordRoute::Always));
        let of_flags = settings("--route b.example=127.0.0.3", file).unwrap();
        assert_eq!(of_flags.rules.len(), 2, "other routes, the same next hop");
        assert_eq!(settings("", "").unwrap().record_route, RecordRoute::Needed);
        let hep =
            |flags: &str| settings(flags, "[proxy]\nhep = 'a.example'\nhep-id = 5").unwrap().hep.unwrap();
        assert_eq!((hep("").server.to_string(), hep("").id), ("a.example:9060".into(), 5));
        assert_eq!(hep("--hep [::1]:1 --hep-id 6").id, 6);
        let metrics =
            |flags: &str, file: &str| settings(flags, file).unwrap().metrics.map(|at| at.to_string());
        assert_eq!(metrics("", ""), None);
        assert_eq!(metrics("", "[proxy]\nmetrics = 9100").as_deref(), Some("127.0.0.1:9100"));
        assert_eq!(metrics("--metrics [::1]:1", "[proxy]\nmetrics = '9100'").as_deref(), Some("[::1]:1"));
    }
}
