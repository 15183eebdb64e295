//! The flags of every program that subscribes.

use std::time::Duration;

use super::{Spec, expect::Expectation};
use crate::{
    cli::{Failure, args, value::parse_duration},
    ua::{package::Package, subscription::Task},
};

#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    pub subscription: Subscription,

    /// Print documents as they come, and nothing else
    ///
    /// With --json they are in the field "body".
    #[arg(long, conflicts_with = "write_out", help_heading = "Output")]
    pub raw: bool,

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

/// What is wanted, and until when.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Subscription")]
pub struct Subscription {
    /// Ask for the state once, print it, and end
    #[arg(long, conflicts_with_all = ["watch", "poll", "count", "expires"])]
    pub once: bool,

    /// Print each change until the run ends (the default)
    #[arg(long, conflicts_with = "poll")]
    pub watch: bool,

    /// Ask again and again at this interval instead
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "expires")]
    pub poll: Option<Duration>,

    /// End as soon as this holds, such as status=open
    ///
    /// KEY=VALUE, or with !=, >=, <=, >, < (numbers) or ~ (contains). May be repeated: all must hold. The manual lists
    /// the keys. With --once or --count the exit status is 31 if it does not hold; with --timeout 3 if it never came
    /// about. KEY[WHO] looks only at what is said of WHO.
    // The help is no Markdown: nothing is linked to.
    #[allow(rustdoc::broken_intra_doc_links)]
    #[arg(long, value_name = "EXPR")]
    pub expect: Vec<Expectation>,

    /// End after this many notifications
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// How long to subscribe at a time
    ///
    /// It is refreshed before. The default is that of the event package, an hour for most.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    #[arg(hide_short_help = true)]
    pub expires: Option<Duration>,

    /// Subscribe to this event package instead
    #[arg(long, value_name = "NAME")]
    #[arg(hide_short_help = true)]
    pub event: Option<String>,

    /// Accept these types of documents instead; may be repeated
    #[arg(long, value_name = "TYPE/SUBTYPE")]
    #[arg(hide_short_help = true)]
    pub accept: Vec<String>,
}

impl Flags {
    /// Whether it tells what happens as time passes, or only answers.
    pub fn is_timeline(&self) -> bool {
        !self.subscription.once && !self.raw
    }
}

impl Subscription {
    pub(super) fn task(&self, spec: &Spec) -> Result<Task, Failure> {
        if self.once {
            return Ok(Task::Fetch);
        }
        if let Some(every) = self.poll {
            if every < LEAST {
                return Err(Failure::usage("--poll: more often than once a second is too often"));
            }
            return Ok(Task::Poll { every });
        }
        let expires = self.expires.unwrap_or_else(|| spec.package.expires());
        if expires.as_secs() == 0 {
            return Err(
                Failure::usage("a subscription for less than a second is none").hint("--once asks once")
            );
        }
        Ok(Task::Keep { expires })
    }

    /// The package by name, if it can be one (RFC 6665 §8.4).
    pub(super) fn event(&self, spec: &Spec) -> Result<String, Failure> {
        let Some(name) = &self.event else { return Ok(spec.package.name.to_owned()) };
        let is_token = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
        };
        match is_token(name) {
            true => Ok(name.clone()),
            false => Err(Failure::usage(format_args!("--event {name}: that is no name of an event package"))),
        }
    }

    pub(super) fn accept(&self, spec: &Spec) -> Result<Vec<String>, Failure> {
        let is_type = |kind: &String| {
            let sides = kind.split_once('/');
            sides.is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty())
                && kind.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
        };
        if let Some(wrong) = self.accept.iter().find(|kind| !is_type(kind)) {
            return Err(Failure::usage(format_args!("--accept {wrong}: that is no type"))
                .hint("write it as application/pidf+xml"));
        }
        if !self.accept.is_empty() {
            return Ok(self.accept.clone());
        }
        Ok(spec.types.iter().map(|&kind| kind.to_owned()).collect())
    }
}

/// Between two polls.
const LEAST: Duration = Duration::from_secs(1);
