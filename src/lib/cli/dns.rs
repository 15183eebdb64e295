//! `sip-dns`: looks up a URI as RFC 3263 has it and shows each decision.

use std::{collections::HashMap, fmt, sync::Arc, time::Instant};

use clap::{Parser, ValueEnum};
use tokio::task::JoinSet;

use super::{
    Context, Event, ExitStatus, Failure, Program, account, args,
    event::{self, Record, Share, milliseconds},
    generate::{Example, Manual, Section},
    tree::Tree,
};
use crate::{
    message::UriBuf,
    resolve::{
        Answer, Choice, Destination, Lookup, LookupError, Order, Progress, Protocols, Query, Records,
        Settings, Step, system::Resolver,
    },
    time::Duration,
    transport::{self, Protocol},
};

/// Show where a SIP address leads, and why
///
/// Looks up TARGET as every SIP program should (RFC 3263): NAPTR, SRV, A and AAAA records, and shows as a tree what was
/// asked, what was answered, and the order in which servers are tried. Nothing is sent to these servers.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-dns", version, max_term_width = 100)]
pub struct Args {
    /// What to look up: sip:bob@example.com, or example.com
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// Only for this transport: udp, tcp, tls, ws or wss
    ///
    /// As if the address had it as its transport parameter.
    #[arg(long, value_name = "NAME", value_enum, hide_possible_values = true, ignore_case = true)]
    #[arg(help_heading = "Route")]
    pub transport: Option<Transport>,

    #[command(flatten)]
    pub dns: args::Dns,

    /// Look it up N times, and count which target comes first
    ///
    /// Each time everything is asked anew. Only the first lookup is shown as a tree.
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub count: u64,

    #[command(flatten)]
    pub common: args::WithoutTraffic,
}

/// `--transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => Self::Udp,
            Transport::Tcp => Self::Tcp,
            Transport::Tls => Self::Tls,
            Transport::Ws => Self::Ws,
            Transport::Wss => Self::Wss,
        }
    }
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET"],
        sections: &[Section {
            title: "THE TREE",
            text: "Each question stands with its answer, who gave it and for how long it holds; below it its records, \
                   in the order in which they count:",
            terms: &[
                ("NAPTR", "order, preference, flags, service, expression, and the name of its SRV records."),
                (
                    "SRV",
                    "priority, weight, port and host; equal priorities are ordered by chance and weight.",
                ),
                ("A/AAAA", "addresses, the families in turn."),
                ("targets", "what a program tries, one after the failure of the other."),
            ],
        }],
        examples: &[
            Example { about: "Where does this call go?", command: "sip-dns sip:bob@localhost" },
            Example { about: "An address needs no DNS", command: "sip-dns sips:192.0.2.1" },
            Example {
                about: "Ask this DNS server, for TCP only",
                command: "sip-dns --dns 127.0.0.1:5353 --transport tcp example.com",
            },
            Example {
                about: "Do the shares keep to the weights?",
                command: "sip-dns --count 1000 sip:localhost",
            },
            Example { about: "The same for a script", command: "sip-dns --json sip:bob@localhost" },
        ],
    };

    const TIMELINE: bool = false;

    fn common(&self) -> &args::Common {
        &self.common.0
    }
}

/// Looks up the target.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let (uri, destination) = destination(&args)?;
    let resolver = Arc::new(Resolver::new(account::resolver(&args.dns, &cx.config)));
    let mut firsts: Vec<(transport::Target, u64)> = Vec::new();
    for number in 1..=args.count {
        let looked_up = tokio::select! {
            biased;
            why = cx.stop.requested() => return Err(why.into()),
            looked_up = look_up(&resolver, destination.clone()) => looked_up,
        };
        looked_up.events(number).iter().for_each(|event| cx.out.data(event));
        if number == 1 {
            cx.out.text(looked_up.tree(&uri));
            cx.out.summary(|summary| summary.timings.resolve_ms = Some(milliseconds(looked_up.took)));
        }
        match looked_up.result {
            Ok(first) => match firsts.iter_mut().find(|(target, _)| *target == first) {
                Some((_, count)) => *count += 1,
                None => firsts.push((first, 1)),
            },
            Err(error) => return Err(failure(&error)),
        }
    }
    if args.count > 1 {
        firsts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        cx.out.text(Counted { firsts: &firsts, lookups: args.count });
        cx.out.data(&shares(&firsts, args.count));
    }
    Ok(())
}

/// The target as a URI (`sip:` may be left out), and what is to be looked up.
fn destination(args: &Args) -> Result<(UriBuf, Destination), Failure> {
    let text = &args.target;
    let bad = |why: &dyn fmt::Display| {
        Failure::usage(format_args!("{text} cannot be looked up: {why}"))
            .hint("write it as sip:bob@example.com, sips:example.com or example.com")
    };
    let has_scheme = ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let full = if has_scheme { text.clone() } else { format!("sip:{text}") };
    let uri = UriBuf::parse(&full).map_err(|why| bad(&why))?;
    let mut destination = Destination::of(&uri.as_uri()).map_err(|why| bad(&why))?;
    if let Some(transport) = args.transport {
        destination.transport = Some(transport.into());
    }
    Ok((uri, destination))
}

/// One lookup that is over.
struct LookedUp {
    steps: Vec<Step>,
    /// The target that comes first.
    result: Result<transport::Target, LookupError>,
    /// How long each question took.
    times: HashMap<Query, Duration>,
    took: Duration,
}

/// Asks whatever the lookup wants to know, each question as long as the programs would wait for it.
async fn look_up(resolver: &Arc<Resolver>, destination: Destination) -> LookedUp {
    let begun = Instant::now();
    let order = Order::Weighted { seed: rand::random() };
    let settings = Settings { spoken: Protocols::ALL, order, explain: true };
    let (mut lookup, mut progress) = Lookup::start(destination, settings);
    let mut asked: JoinSet<(Query, Answer, Duration)> = JoinSet::new();
    let mut times = HashMap::new();
    loop {
        match progress {
            Progress::Ask(queries) => {
                for query in queries {
                    let within = query.share(WITHIN.saturating_sub(begun.elapsed()));
                    let resolver = resolver.clone();
                    asked.spawn(async move {
                        let begun = Instant::now();
                        let answer = resolver.answer(&query, within).await;
                        (query, answer, begun.elapsed())
                    });
                }
                progress = Progress::Wait;
            }
            Progress::Wait => match asked.join_next().await {
                Some(Ok((query, answer, took))) => {
                    times.insert(query.clone(), took);
                    progress = lookup.answer(&query, answer);
                }
                // A panic was reported by its hook, which ends the run.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            },
            Progress::Found(_) | Progress::Failed(_) => break,
        }
    }
    let result = match progress {
        Progress::Failed(error) => Err(error),
        Progress::Found(targets) => targets.first().copied().ok_or(LookupError::NoHost),
        Progress::Ask(_) | Progress::Wait => Err(LookupError::NoHost),
    };
    LookedUp { steps: lookup.steps().to_vec(), result, times, took: begun.elapsed() }
}

impl LookedUp {
    fn tree(&self, uri: &UriBuf) -> Tree {
        let mut tree = Tree::new(uri);
        for step in &self.steps {
            match step {
                Step::Answer { query, .. } => match self.times.get(query) {
                    Some(took) => {
                        tree.push(step.depth(), format_args!("{step} ({:.1} ms)", milliseconds(*took)))
                    }
                    None => tree.push(step.depth(), step),
                },
                Step::Targets(choices) => {
                    tree.push(0, step);
                    choices.iter().for_each(|choice| tree.push(1, choice));
                }
                _ => tree.push(step.depth(), step),
            }
        }
        tree
    }

    /// The steps as data. Records join the answer they belong to.
    fn events(&self, lookup: u64) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for step in &self.steps {
            match step {
                Step::Rule(rule) => events.push(Event::Rule {
                    lookup,
                    rule: rule.name(),
                    protocol: rule.protocol().map(Protocol::as_str),
                    text: rule.to_string(),
                }),
                Step::Answer { query, answer } => events.push(self.query(lookup, query, answer)),
                Step::Naptr { record, verdict } => add(
                    &mut events,
                    Record {
                        record: record.to_string(),
                        protocol: verdict.as_ref().ok().map(|protocol| protocol.as_str()),
                        refused: verdict.as_ref().err().map(ToString::to_string),
                    },
                ),
                Step::Srv { record } => {
                    let refused = (!record.is_available()).then(|| "the service is not available".to_owned());
                    add(&mut events, Record { record: record.to_string(), protocol: None, refused });
                }
                Step::Additional(host) => events.push(Event::Query {
                    lookup,
                    kind: Query::addresses(&host.name).kind(),
                    name: host.name.to_string(),
                    records: host.addresses.iter().map(plain_record).collect(),
                    alias: None,
                    ttl_s: Some(host.ttl.as_secs()),
                    source: None,
                    error: None,
                    duration_ms: None,
                }),
                Step::Targets(choices) => events.push(Event::Targets {
                    lookup,
                    targets: choices.iter().map(target).collect(),
                    duration_ms: Some(milliseconds(self.took)),
                }),
                // The result says it.
                _ => {}
            }
        }
        events
    }

    fn query(&self, lookup: u64, query: &Query, answer: &Answer) -> Event {
        let found = answer.as_ref().ok();
        let records = match found.map(|response| &response.records) {
            Some(Records::Addresses(addresses)) => addresses.iter().map(plain_record).collect(),
            // They follow, in their order.
            _ => Vec::new(),
        };
        Event::Query {
            lookup,
            kind: query.kind(),
            name: query.name().to_string(),
            records,
            alias: found.and_then(|response| response.alias.as_ref()).map(ToString::to_string),
            ttl_s: found.map(|response| response.ttl.as_secs()),
            source: found.map(|response| response.source.to_string()),
            error: answer.as_ref().err().map(ToString::to_string),
            duration_ms: self.times.get(query).copied().map(milliseconds),
        }
    }
}

fn add(events: &mut [Event], record: Record) {
    if let Some(Event::Query { records, .. }) = events.last_mut() {
        records.push(record);
    }
}

fn plain_record(record: &impl ToString) -> Record {
    Record { record: record.to_string(), protocol: None, refused: None }
}

fn target(choice: &Choice) -> event::Target {
    event::Target {
        protocol: choice.target.protocol.as_str(),
        address: choice.target.addr.to_string(),
        host: choice.host.as_ref().map(ToString::to_string),
        service: choice.srv.as_ref().map(|(service, _)| service.to_string()),
        priority: choice.srv.as_ref().map(|(_, srv)| srv.priority),
        weight: choice.srv.as_ref().map(|(_, srv)| srv.weight),
    }
}

fn shares(firsts: &[(transport::Target, u64)], lookups: u64) -> Event {
    let shares = firsts.iter().map(|(target, count)| Share {
        protocol: target.protocol.as_str(),
        address: target.addr.to_string(),
        lookups: *count,
        percent: percent(*count, lookups),
    });
    Event::Shares { lookups, shares: shares.collect() }
}

fn percent(count: u64, of: u64) -> f64 {
    (count as f64 * 100_000.0 / of as f64).round() / 1_000.0
}

/// How often each target came first, for a person.
struct Counted<'a> {
    firsts: &'a [(transport::Target, u64)],
    lookups: u64,
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "first of {} lookups:", self.lookups)?;
        for (target, count) in self.firsts {
            writeln!(f, "{count:>8} {:>6.2} %  {target}", percent(*count, self.lookups))?;
        }
        Ok(())
    }
}

/// Where no lookup helps the address is at fault, else the DNS.
fn failure(error: &LookupError) -> Failure {
    match error {
        LookupError::NoAddress { .. } => Failure::new(ExitStatus::NameResolution, error)
            .hint("check the name, and the DNS server with --dns"),
        LookupError::Unavailable { .. } => Failure::new(ExitStatus::NameResolution, error)
            .hint("with a port, such as :5060, only the address counts"),
        LookupError::Insecure { .. }
        | LookupError::NotSpoken { .. }
        | LookupError::NoTransport { .. }
        | LookupError::NoName { .. }
        | LookupError::NoHost => Failure::usage(error),
    }
}

/// What the other programs allow themselves for a whole lookup.
const WITHIN: Duration = Duration::from_secs(5);
