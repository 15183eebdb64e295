//! `sip-tls-check`: its flags, its manual, and what it does.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use clap::Parser;
use tokio::task::JoinSet;

use super::{
    Context, Event, ExitStatus, Failure, Program, account, args,
    event::milliseconds,
    generate::{Example, Manual, Section},
    tls,
    tls_report::TlsReport,
    value::parse_duration,
};
use crate::{
    message::UriBuf,
    resolve::{
        Destination, Host, Lookup, LookupError, Order, Progress, Protocols, Settings, system::Resolver,
    },
    transport::{
        FlowError, Protocol,
        tls::{ClientTls, Findings, InspectError},
    },
};

/// Check the TLS of a SIP server
///
/// Connects to TARGET as a SIP program would and shows its certificates, whom they name by the rules of SIP (RFC 5922,
/// which are not those of the web), how long they are valid, and which versions of TLS the server takes. No SIP message
/// is sent.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-tls-check", version, max_term_width = 100)]
#[command(mut_arg("pcap_no_rtp", |arg| arg.hide(true)), mut_arg("trace", |arg| arg.hide(true)))]
pub struct Args {
    /// The server: sips:example.com, or example.com:5061
    ///
    /// Without a port: 5061.
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// Warn if it expires within N days [default: 14]
    ///
    /// The exit status is 0 all the same; the result has the days that are left.
    #[arg(long, value_name = "N", default_value_t = 14, hide_default_value = true)]
    pub warn_days: u64,

    /// How long each step may take [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Time")]
    #[arg(hide_short_help = true)]
    pub step_timeout: Option<Duration>,

    #[command(flatten)]
    pub dns: args::Dns,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub common: args::Common,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET"],
        sections: &[Section {
            title: "WHAT IS CHECKED",
            text: "The exit status is 0 if a SIP program would trust the server, 22 if not, 21 if there is no connection \
                   to it, and 20 if its name is not known. Old versions are only asked for; no program here uses them.",
            terms: &[
                (
                    "names",
                    "If the subjectAltName has a sip: URI without user part, only such URIs count; otherwise its DNS \
                     names; the common name only if there is no subjectAltName. Names are compared whole, and wildcards \
                     never match (RFC 5922 sections 7.1 and 7.2).",
                ),
                ("usage", "The extendedKeyUsage is missing, or has serverAuth, sipDomain (RFC 5924) or any."),
                ("chain", "It must lead to an authority of the system, or of --tls-ca."),
                (
                    "versions",
                    "1.3 and 1.2 should be accepted, 1.1 and 1.0 not (RFC 8996), nor key exchange by RSA encryption.",
                ),
            ],
        }],
        examples: &[
            Example { about: "Is this server's TLS in order?", command: "sip-tls-check example.com" },
            Example {
                about: "A server with an authority of its own, reached by its address",
                command: "sip-tls-check --tls-ca ca.pem --tls-name example.com 127.0.0.1:5061",
            },
            Example {
                about: "For a script: exit status 22 if it is not trusted",
                command: "sip-tls-check --json --warn-days 30 sips:example.com",
            },
            Example {
                about: "With our own certificate, and a capture of the handshakes",
                command: "sip-tls-check --tls-cert me.pem --pcap a.pcapng example.com",
            },
        ],
    };
    const TIMELINE: bool = false;

    fn common(&self) -> &args::Common {
        &self.common
    }
}

/// Checks the server at the first address that can be connected to.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let tls = tls::client(&args.tls, &cx.config, cx.tap())?;
    let (domain, destination) = destination(&args.target)?;
    let checking = async {
        let resolver = Arc::new(Resolver::new(account::resolver(&args.dns, &cx.config)));
        let addresses = addresses(destination, resolver, &cx).await?;
        let within = args.step_timeout.unwrap_or(STEP);
        let (address, findings) = inspect(&tls, &domain, &addresses, within, &cx).await?;
        report(&args, &cx, address, &findings)
    };
    tokio::select! {
        biased;
        why = cx.stop.requested() => Err(why.into()),
        outcome = checking => outcome,
    }
}

/// The domain that the certificate must name, and where to connect to.
fn destination(text: &str) -> Result<(String, Destination), Failure> {
    let has_scheme = ["sip:", "sips:"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let uri = if has_scheme { text.to_owned() } else { format!("sips:{text}") };
    let bad = |why: &dyn std::fmt::Display| {
        Failure::usage(format_args!("{text} is no server: {why}"))
            .hint("write it as sips:example.com, example.com or 192.0.2.1:5061")
    };
    let uri = UriBuf::parse(&uri).map_err(|error| bad(&error))?;
    let uri = uri.as_uri();
    let mut destination = Destination::of(&uri).map_err(|error| bad(&error))?;
    destination.transport = Some(Protocol::Tls);
    let domain = match uri.host().into() {
        Host::Name(name) => name.to_string(),
        Host::Ip(ip) => ip.to_string(),
    };
    Ok((domain, destination))
}

/// Looks the server up (RFC 3263); the name that counts is the one above, whatever comes of it.
async fn addresses(
    destination: Destination,
    resolver: Arc<Resolver>,
    cx: &Context,
) -> Result<Vec<SocketAddr>, Failure> {
    let started = Instant::now();
    let order = Order::Weighted { seed: rand::random() };
    let spoken = Protocols::NONE.and(Protocol::Tls);
    let (mut lookup, mut progress) = Lookup::start(destination, Settings { spoken, order, explain: false });
    let mut asked = JoinSet::new();
    let found = loop {
        match progress {
            Progress::Found(targets) => break targets.iter().map(|target| target.addr).collect(),
            Progress::Failed(error) => return Err(lookup_failure(&error)),
            Progress::Ask(queries) => {
                for query in queries {
                    let within = query.share(LOOKUP.saturating_sub(started.elapsed()));
                    let resolver = Arc::clone(&resolver);
                    asked.spawn(async move {
                        let answer = resolver.answer(&query, within).await;
                        (query, answer)
                    });
                }
                progress = Progress::Wait;
            }
            Progress::Wait => match asked.join_next().await {
                Some(Ok((query, answer))) => progress = lookup.answer(&query, answer),
                // A panic was reported by its hook, which ends the run.
                Some(Err(_)) => {}
                None => return Err(lookup_failure(&LookupError::NoHost)),
            },
        }
    };
    cx.out.summary(|summary| summary.timings.resolve_ms = Some(milliseconds(started.elapsed())));
    Ok(found)
}

fn lookup_failure(error: &LookupError) -> Failure {
    Failure::new(ExitStatus::NameResolution, error).hint("check the host name and the DNS of this machine")
}

/// One address after the other, until one takes a connection.
async fn inspect(
    tls: &ClientTls,
    domain: &str,
    addresses: &[SocketAddr],
    within: Duration,
    cx: &Context,
) -> Result<(SocketAddr, Findings), Failure> {
    let mut last = Failure::new(ExitStatus::NameResolution, format_args!("{domain} has no address"));
    for &address in addresses {
        tracing::info!("checking {address} as {domain}");
        cx.out.summary(|summary| summary.remote = Some(address.to_string()));
        match tls.inspect(domain, address, within).await {
            Ok(findings) => return Ok((address, findings)),
            Err(InspectError::Flow(address, error)) => {
                tracing::info!("{address}: {error}");
                last = unreachable(address, &error);
            }
            Err(InspectError::Tls(error)) => {
                return Err(Failure::new(ExitStatus::Tls, format_args!("{address}/tls: {error}")));
            }
        }
    }
    Err(last)
}

fn unreachable(address: SocketAddr, error: &FlowError) -> Failure {
    let new = |message: &dyn std::fmt::Display| Failure::new(ExitStatus::Unreachable, message);
    match error {
        FlowError::Refused => new(&format_args!("connection refused by {address}/tls"))
            .hint("check the port, and that a SIP server listens there; 5061 is usual for TLS"),
        FlowError::TimedOut => new(&format_args!("no connection to {address}/tls in time"))
            .hint("check the address, and a firewall in between"),
        error => new(&format_args!("{address}/tls cannot be reached: {error}"))
            .hint("check the address and the network"),
    }
}

fn report(args: &Args, cx: &Context, address: SocketAddr, findings: &Findings) -> Result<(), Failure> {
    let report = TlsReport::new(&args.target, address, findings, args.warn_days, SystemTime::now());
    let days_left = report.days_left().filter(|_| report.expires_soon);
    cx.out.event(Event::Tls(Box::new(report)));
    match &findings.verdict {
        Ok(_) => {}
        Err(error) if args.tls.tls_insecure => tracing::warn!("--tls-insecure: not trusted; {error}"),
        Err(error) => return Err(Failure::new(ExitStatus::Tls, format_args!("{address}/tls: {error}"))),
    }
    if let Some(days) = days_left {
        tracing::warn!("the certificate expires in {days} days");
    }
    Ok(())
}

const LOOKUP: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(5);
