//! `sip-options`: its flags, its manual, and what it does: asks with OPTIONS (RFC 3261 §11), once or again and again.

use std::time::{Duration, Instant};

use clap::Parser;

use super::{
    Context, Failure, Program,
    account::Account,
    args, ask,
    event::{Ping, milliseconds},
    generate::{Example, Manual, Section},
    place,
    value::parse_duration,
};
use crate::{
    endpoint::agent::Agent,
    message::UriBuf,
    stack::NextHop,
    ua::{self, page::Query},
};

/// Ask a SIP server whether it is there, and how long it takes
///
/// Sends OPTIONS to TARGET and waits for the final response, --count times. With --monitoring it says the outcome as
/// monitoring plug-ins do.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-options", version, max_term_width = 100)]
pub struct Args {
    /// Whom to ask, such as sip:192.0.2.1
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// How many requests to send [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Time from one request to the next [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub interval: Option<Duration>,

    /// Say it as a monitoring plug-in: a line, and 0, 1, 2 or 3
    ///
    /// 0 is OK, 1 a warning (an answer other than 2xx, or beyond --warn, or some requests lost), 2 critical (no answer
    /// at all, or beyond --crit), 3 unknown. After a bar come performance data.
    #[arg(long, help_heading = "Monitoring", conflicts_with_all = ["json", "write_out"])]
    pub monitoring: bool,

    /// Warn if the mean round trip is longer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Monitoring")]
    #[arg(requires = "monitoring")]
    pub warn: Option<Duration>,

    /// Critical if the mean round trip is longer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Monitoring")]
    #[arg(requires = "monitoring")]
    pub crit: Option<Duration>,

    #[command(flatten)]
    pub headers: args::Headers,
    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub route: args::Route,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub common: args::Common,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET"],
        sections: &[Section {
            title: "MONITORING",
            text: "With --monitoring standard output has one line, and these are the only exit statuses:",
            terms: &[
                ("0", "OK: all requests were answered with 2xx, in time."),
                ("1", "WARNING: some were not, or the mean round trip is above --warn."),
                ("2", "CRITICAL: none was answered, or the mean round trip is above --crit."),
                ("3", "UNKNOWN: nothing could be asked."),
            ],
        }],
        examples: &[
            Example { about: "Ask once", command: "sip-options sip:127.0.0.1:5070" },
            Example {
                about: "Ask ten times a second apart, and print how many per cent were lost",
                command: "sip-options --count 10 --write-out '%{lost_percent}\\n' sip:192.0.2.1",
            },
            Example {
                about: "Let a monitoring system ask",
                command: "sip-options --monitoring --timeout 10s --warn 100ms --crit 1s sip:pbx",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.common
    }

    fn is_monitored(&self) -> bool {
        self.monitoring
    }
}

/// Asks, and says what came of it.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let account = Account::resolve(&args.identity, &args.route, &cx.config)?;
    let target = place::target(&args.target, &account)?;
    let config = ua::Config {
        contact_user: place::contact_user(&account),
        incoming_calls: false,
        ..ua::Config::default()
    };
    let listen = place::listen(&account, false);
    let security = place::security(&args.tls, &account, false, &cx)?;
    let agent = place::start(&listen, cx.tap(), account.resolver.clone(), security, config)?;
    let mut trips = Trips::default();
    let outcome = series(&target, &args, &account, &agent, &mut trips, &cx).await;
    agent.stop().await;
    trips.note(&cx);
    if args.monitoring {
        let check = trips.check(&args, outcome.as_ref().err());
        cx.out.summary(|summary| summary.check = check);
    }
    outcome
}

async fn series(
    target: &UriBuf,
    args: &Args,
    account: &Account,
    agent: &Agent,
    trips: &mut Trips,
    cx: &Context,
) -> Result<(), Failure> {
    let way = ask::way(agent, target, account, cx).await?;
    let auth = account.auth()?;
    let count = args.count.unwrap_or(1);
    let interval = args.interval.unwrap_or(Duration::from_secs(1));
    let mut failure = None;
    for sequence in 1..=count {
        let begun = Instant::now();
        let mut query = Query::options(target.clone(), way.from.clone());
        query.next = way.hop.clone().map_or(NextHop::RequestUri, NextHop::Uri);
        query.auth = auth.clone();
        query.headers = args.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
        trips.sent += 1;
        match ask::ask(agent, query, (count > 1).then_some(sequence), cx).await {
            Ok(reply) => {
                trips.answered(reply.round_trip);
                if reply.status >= 300 {
                    trips.odd = Some((reply.status, reply.reason.clone()));
                }
                if let Err(why) = reply.into_result(&way.flow.remote.to_string()) {
                    failure = Some(why);
                }
            }
            Err(why) if cx.stop.why().is_some() => {
                if begun.elapsed() < PATIENCE {
                    // This one was hardly waited for.
                    trips.sent -= 1;
                }
                return Err(why);
            }
            Err(why) => failure = Some(why),
        }
        trips.note(cx);
        if sequence < count {
            tokio::select! {
                biased;
                why = cx.stop.requested() => return Err(why.into()),
                () = tokio::time::sleep(interval.saturating_sub(begun.elapsed())) => {}
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Who has not answered by then is taken for lost when the run ends: T1 of RFC 3261 §17.1.1.1, the round trip that
/// is expected at most.
const PATIENCE: Duration = Duration::from_millis(500);

/// The round trips so far.
#[derive(Default)]
struct Trips {
    sent: u64,
    received: u64,
    total: Duration,
    shortest: Option<Duration>,
    longest: Duration,
    /// An answer other than 2xx.
    odd: Option<(u16, String)>,
}

impl Trips {
    fn answered(&mut self, after: Duration) {
        self.received += 1;
        self.total += after;
        self.shortest = Some(self.shortest.map_or(after, |shortest| shortest.min(after)));
        self.longest = self.longest.max(after);
    }

    fn ping(&self) -> Ping {
        let lost = self.sent.saturating_sub(self.received);
        Ping {
            sent: self.sent,
            received: self.received,
            lost_percent: (self.sent > 0).then(|| lost as f64 * 100.0 / self.sent as f64),
            min_ms: self.shortest.map(milliseconds),
            avg_ms: self.mean().map(milliseconds),
            max_ms: (self.received > 0).then(|| milliseconds(self.longest)),
        }
    }

    fn mean(&self) -> Option<Duration> {
        (self.received > 0).then(|| self.total.div_f64(self.received as f64))
    }

    /// What the result says.
    fn note(&self, cx: &Context) {
        if self.sent > 0 {
            cx.out.summary(|summary| summary.ping = Some(self.ping()));
        }
    }

    /// Exit status and line of a monitoring plug-in; nothing if nothing was asked.
    fn check(&self, args: &Args, failure: Option<&Failure>) -> Option<(u8, String)> {
        if self.sent == 0 {
            // A name that is not known or a port without a server: that is what is watched for.
            let failure = failure.filter(|failure| (20..=23).contains(&failure.status().code()))?;
            return Some((2, format!("SIP CRITICAL - {failure} | loss=100%;;;0;100")));
        }
        let ping = self.ping();
        let mean = self.mean();
        let beyond = |limit: Option<Duration>| limit.zip(mean).is_some_and(|(limit, mean)| mean > limit);
        let lost = ping.sent - ping.received;
        let (code, word) = match () {
            () if ping.received == 0 || beyond(args.crit) => (2, "CRITICAL"),
            () if lost > 0 || self.odd.is_some() || beyond(args.warn) => (1, "WARNING"),
            () => (0, "OK"),
        };
        let mut line = format!("SIP {word} - {} of {} answered", ping.received, ping.sent);
        if let Some((status, reason)) = &self.odd {
            line += &format!(", {status} {}", super::printable::Printable(reason));
        } else if let Some(failure) = failure.filter(|_| lost > 0) {
            line += &format!(", {}", failure.message());
        }
        if let Some(mean) = mean {
            line += &format!(", round trip {:.1} ms", milliseconds(mean));
        }
        // A bar would begin the performance data.
        let line = line.replace('|', "/");
        let limit =
            |limit: Option<Duration>| limit.map_or(String::new(), |limit| format!("{}", milliseconds(limit)));
        let trip = mean.map_or(String::new(), |mean| {
            format!("rtt={:.3}ms;{};{};0 ", milliseconds(mean), limit(args.warn), limit(args.crit))
        });
        Some((code, format!("{line} | {trip}loss={:.0}%;;;0;100", ping.lost_percent.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ExitStatus;

    #[test]
    fn what_a_monitoring_system_is_told() {
        let args = |flags: &str| {
            Args::try_parse_from(format!("test sip:x --monitoring {flags}").split_whitespace())
                .expect("known")
        };
        let trips = |sent, all: &[u64], odd: Option<u16>| {
            let odd = odd.map(|status| (status, "A|B".to_owned()));
            let mut trips = Trips { sent, odd, ..Trips::default() };
            all.iter().for_each(|&ms| trips.answered(Duration::from_millis(ms)));
            trips
        };
        let lost = Failure::new(ExitStatus::NoResponse, "nobody there");
        for (flags, trips, failure, code, line) in [
            (
                "",
                trips(2, &[10, 20], None),
                None,
                0,
                "SIP OK - 2 of 2 answered, round trip 15.0 ms | rtt=15.000ms;;;0 loss=0%;;;0;100",
            ),
            (
                "--warn 1s --crit 2s",
                trips(1, &[1500], None),
                None,
                1,
                "SIP WARNING - 1 of 1 answered, round trip 1500.0 ms | rtt=1500.000ms;1000;2000;0 loss=0%;;;0;100",
            ),
            (
                "--warn 1s --crit 2s",
                trips(1, &[2500], None),
                None,
                2,
                "SIP CRITICAL - 1 of 1 answered, round trip 2500.0 ms | rtt=2500.000ms;1000;2000;0 loss=0%;;;0;100",
            ),
            (
                "",
                trips(1, &[10], Some(404)),
                None,
                1,
                "SIP WARNING - 1 of 1 answered, 404 A/B, round trip 10.0 ms | rtt=10.000ms;;;0 loss=0%;;;0;100",
            ),
            (
                "",
                trips(4, &[10], None),
                Some(&lost),
                1,
                "SIP WARNING - 1 of 4 answered, nobody there, round trip 10.0 ms | rtt=10.000ms;;;0 loss=75%;;;0;100",
            ),
            (
                "",
                trips(1, &[], None),
                Some(&lost),
                2,
                "SIP CRITICAL - 0 of 1 answered, nobody there | loss=100%;;;0;100",
            ),
            ("", trips(0, &[], None), Some(&lost), 2, "SIP CRITICAL - nobody there | loss=100%;;;0;100"),
        ] {
            assert_eq!(trips.check(&args(flags), failure), Some((code, line.to_owned())));
        }
        let usage = Failure::usage("what?");
        assert_eq!(trips(0, &[], None).check(&args(""), Some(&usage)), None);
    }
}
