//! What all programs share: flags, configuration, output, capture, signals, exit statuses.
//!
//! A program is its flags (a [`Program`]) and an async function from flags and [`Context`] to `Result<(), Failure>`;
//! [`run`] does the rest: it parses, reads the configuration, opens captures, ends the run when it must end, and
//! turns the outcome into the result and the exit status. No program reads a clock for its deadline, installs a signal
//! handler or prints on its own.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub mod account;
pub mod args;
mod ask;
pub mod call;
pub mod capture;
pub mod config;
mod conversation;
mod datagram;
#[cfg(feature = "dns")]
pub mod dns;
pub mod event;
pub mod event_state;
pub mod exit;
pub mod failure;
pub mod generate;
pub mod hep;
pub mod keys;
mod ladder;
pub mod live;
mod log;
pub mod message;
pub mod metrics;
mod nearest;
pub mod options;
pub mod output;
mod pipe;
mod place;
pub mod printable;
pub mod proxy;
pub mod publish;
mod recorder;
pub mod register;
mod registering;
pub mod secret;
mod segments;
mod serve;
pub mod settings;
pub mod stop;
pub mod subscribe;
pub mod terminal;
pub mod test_server;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
pub mod tls_check;
#[cfg(feature = "tls")]
pub mod tls_report;
mod trace;
#[cfg(feature = "dns")]
mod tree;
mod typed;
pub mod value;
pub mod write_out;
#[cfg(feature = "xcap")]
pub mod xcap;

use self::{
    capture::Capture,
    config::Config,
    generate::Manual,
    ladder::Ladder,
    output::Form,
    recorder::{Recorder, Writer},
    trace::Trace,
};
pub use self::{
    event::{Event, Summary},
    exit::ExitStatus,
    failure::Failure,
    keys::{Key, Keys},
    live::{Live, View},
    output::Out,
    stop::{Stop, Why},
};
use crate::transport::Tap;

/// The flags of a program, and its manual.
pub trait Program: clap::Parser {
    const MANUAL: Manual;
    /// Whether it has a live view for a person at a terminal.
    const LIVE: bool = false;
    /// Whether it tells what happens as time passes; else its lines are the answer to a question, and stand alone.
    const TIMELINE: bool = true;

    fn common(&self) -> &args::Common;

    /// The same, where it depends on what was asked for.
    fn is_timeline(&self) -> bool {
        Self::TIMELINE
    }

    /// Whether a monitoring system asks: one line and its own exit statuses ([`Summary::check`]) instead of ours.
    fn is_monitored(&self) -> bool {
        false
    }

    /// Whether the configuration file that is named may be missing, because it is to be made.
    fn makes_config(&self) -> bool {
        false
    }
}

/// What [`run`] gives a program.
#[derive(Debug)]
pub struct Context {
    pub config: Config,
    pub out: Out,
    pub stop: Stop,
    pub live: Live,
    /// When the process started, for timings.
    pub started: Instant,
    tap: Option<Arc<Recorder>>,
}

impl Context {
    /// To be given to the endpoint; `None` if neither a capture nor a trace was asked for.
    pub fn tap(&self) -> Option<Arc<dyn Tap>> {
        self.tap.clone().map(|tap| tap as Arc<dyn Tap>)
    }

    /// The keys a person presses, where there is a live view and a keyboard.
    pub fn keys(&self) -> Option<Keys> {
        if self.live.is_enabled() { Keys::open() } else { None }
    }
}

/// Runs a program from its command line to its exit status. Call it first thing in `main`: the signals it takes
/// must be blocked before there is another thread.
pub fn run<P, F, Fut>(name: &'static str, program: F) -> ExitCode
where
    P: Program,
    F: FnOnce(P, Context) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let started = Instant::now();
    stop::block_signals();
    if let Some(kind) = generate::asked(name) {
        return match kind.map(|kind| generate::generate::<P>(kind, &mut io::stdout().lock())) {
            Ok(Ok(())) => ExitStatus::Done.into(),
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Done.into(),
            Ok(Err(error)) => {
                complain(name, &Failure::usage(format_args!("cannot write to standard output: {error}")));
                ExitStatus::Usage.into()
            }
            Err(error) => answer_usage(&error),
        };
    }
    let matches = generate::command::<P>().try_get_matches();
    let args = match matches.and_then(|matches| P::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) => return answer_usage(&error),
    };

    log::start(name, args.common().output.report.verbose);
    let stop = Stop::new();
    let form = match &args.common().output.report {
        report if report.json => Form::Json,
        args::Report { write_out: Some(template), .. } => Form::WriteOut(template.clone()),
        _ if args.is_monitored() => Form::Check,
        _ if args.is_timeline() => Form::Lines,
        _ => Form::Plain,
    };
    let is_monitored = args.is_monitored();
    let live = P::LIVE && form == Form::Lines && is_person_there();
    let out = match Out::stdout(form, started, stop.clone()) {
        Ok(out) => out,
        Err(error) => {
            complain(name, &Failure::new(ExitStatus::Defect, format_args!("cannot start a thread: {error}")));
            return ExitStatus::Defect.into();
        }
    };
    catch_panics(name, &stop);

    let outcome = open_recorder(args.common()).and_then(|tap| {
        let farewell = {
            let (out, tap) = (out.clone(), tap.clone());
            move || {
                if let Some(tap) = &tap {
                    tap.finish();
                }
                out.finish(ExitStatus::Interrupted, None);
            }
        };
        stop::watch_signals(stop.clone(), farewell).map_err(|error| {
            Failure::new(ExitStatus::Defect, format_args!("cannot watch signals: {error}"))
        })?;
        let recorder = tap.clone();
        let outcome = Config::load(args.common().run.config.as_deref(), args.makes_config())
            .map_err(Failure::usage)
            .and_then(|config| {
                let timeout = args.common().run.timeout.or(config.defaults.timeout);
                let deadline = timeout.map(|timeout| started + timeout);
                out.ends_at(deadline);
                let is_over = Arc::new(AtomicBool::new(false));
                if let Some(deadline) = deadline {
                    let (out, is_over) = (out.clone(), is_over.clone());
                    let leave = move || {
                        let failure = Failure::from(Why::Deadline);
                        complain(name, &failure);
                        out.finish(ExitStatus::Deadline, Some(&failure));
                    };
                    stop::watch_deadline(deadline, 2 * GRACE, stop.clone(), is_over, leave).map_err(
                        |error| {
                            Failure::new(ExitStatus::Defect, format_args!("cannot start a thread: {error}"))
                        },
                    )?;
                }
                let live = Live::new(live);
                let cx = Context { config, out: out.clone(), stop: stop.clone(), live, started, tap };
                let outcome = drive(|| program(args, cx), deadline, &stop);
                is_over.store(true, Ordering::Release);
                outcome
            });
        match recorder.map_or(0, |recorder| recorder.finish()) {
            0 => {}
            lost => tracing::warn!(
                "{lost} packets are missing from the capture: they came faster than it was written"
            ),
        }
        outcome
    });

    terminal::restore();
    let failure = judge(outcome, stop.why()).err();
    let status = failure.as_ref().map_or(ExitStatus::Done, Failure::status);
    if let Some(failure) = failure.as_ref().filter(|failure| failure.status() != ExitStatus::Interrupted) {
        complain(name, failure);
    }
    out.finish(status, failure.as_ref());
    if is_monitored {
        return out.summary(|summary| summary.check.as_ref().map_or(CHECK_UNKNOWN, |check| check.0)).into();
    }
    status.into()
}

/// Runs the program's future until it returns, or until the deadline and a moment for a graceful end have passed.
fn drive<Fut>(program: impl FnOnce() -> Fut, deadline: Option<Instant>, stop: &Stop) -> Result<(), Failure>
where
    Fut: Future<Output = Result<(), Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(ExitStatus::Defect, format_args!("cannot start the runtime: {error}"))
    })?;
    let run = async {
        let program = std::pin::pin!(program());
        let mut program = program;
        let Some(deadline) = deadline else { return program.await };
        tokio::select! {
            biased;
            outcome = &mut program => outcome,
            () = tokio::time::sleep_until(deadline.into()) => {
                stop.request(Why::Deadline);
                let ended = tokio::time::timeout(GRACE, program).await;
                ended.unwrap_or_else(|_| Err(Why::Deadline.into()))
            }
        }
    };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)));
    // Whatever still blocks a thread of the runtime must not keep the process.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|_| Err(Why::Defect.into()))
}

/// A deadline and a defect outweigh what the program says about itself; after an interruption its word counts: a
/// call that was up has reached its goal.
fn judge(outcome: Result<(), Failure>, why: Option<Why>) -> Result<(), Failure> {
    match why {
        Some(why @ (Why::Deadline | Why::Defect)) => Err(why.into()),
        Some(Why::Interrupt | Why::OutputClosed | Why::Terminate) | None => outcome,
    }
}

/// Help and version go to standard output and succeed; everything else is a usage error.
fn answer_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitStatus::Done.into();
    }
    let message = error.render().to_string();
    let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    if std::env::args_os().any(|argument| argument == "--monitoring") {
        // A bar would begin the performance data.
        let line = printable::Printable(first).to_string().replace('|', "/");
        let _ = writeln!(io::stdout(), "SIP UNKNOWN - {line}");
        return CHECK_UNKNOWN.into();
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        output::early_json_result(ExitStatus::Usage, first);
    }
    ExitStatus::Usage.into()
}

fn open_recorder(common: &args::Common) -> Result<Option<Arc<Recorder>>, Failure> {
    let mut writers: Vec<Box<dyn Writer>> = Vec::new();
    let mut media = false;
    if let Some(path) = &common.capture.pcap {
        media = !common.capture.pcap_no_rtp;
        let mode = path.mode(common.capture.pcap_mode).map_err(Failure::usage)?;
        let capture = Capture::create(path, mode, media).map_err(|error| {
            let path = path.as_path().display();
            Failure::usage(format_args!("cannot write the capture file {path}: {error}"))
        })?;
        writers.push(Box::new(capture));
    }
    if common.output.trace {
        writers.push(Box::new(Trace));
    }
    if common.output.ladder {
        writers.push(Box::new(Ladder::default()));
    }
    if writers.is_empty() {
        return Ok(None);
    }
    Recorder::start(writers, media, common.capture.pcap.is_some())
        .map(Some)
        .map_err(|error| Failure::new(ExitStatus::Defect, format_args!("cannot start the recorder: {error}")))
}

/// A panic anywhere puts the terminal back, says that it is a defect, and ends the run gracefully with status 1.
fn catch_panics(name: &'static str, stop: &Stop) {
    let stop = stop.clone();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        terminal::restore();
        report(info);
        let _ = writeln!(io::stderr(), "{name}: internal error: a defect of the program, please report it");
        stop.request(Why::Defect);
    }));
}

fn complain(name: &str, failure: &Failure) {
    let _ = live::write_stderr(format!("{name}: error: {failure}\n").as_bytes());
}

fn is_person_there() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !dumb && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// What `--json` prints, as JSON Schema; `--generate schema` prints it.
pub const EVENT_SCHEMA: &str = include_str!("events.schema.json");

/// UNKNOWN, as monitoring plug-ins say it: 0 is OK, 1 a warning, 2 critical.
const CHECK_UNKNOWN: u8 = 3;
/// From the deadline to the end, whatever the network does.
const GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_holds_whatever_the_program_does() {
        let stop = Stop::new();
        let deadline = Instant::now() + Duration::from_millis(20);
        // Polite: ends when it is asked to.
        let polite = {
            let stop = stop.clone();
            || async move {
                stop.requested().await;
                Ok(())
            }
        };
        let outcome = drive(polite, Some(deadline), &stop);
        assert_eq!(judge(outcome, stop.why()).map_err(|f| f.status()), Err(ExitStatus::Deadline));
        // Deaf: left behind.
        let stop = Stop::new();
        let outcome = drive(std::future::pending, Some(deadline), &stop);
        assert_eq!(judge(outcome, stop.why()).map_err(|f| f.status()), Err(ExitStatus::Deadline));
    }

    #[test]
    fn after_an_interruption_the_programs_word_counts() {
        assert_eq!(judge(Ok(()), Some(Why::Interrupt)), Ok(()));
        let failure = judge(Err(Why::Terminate.into()), Some(Why::Terminate));
        assert_eq!(failure.map_err(|f| f.status().code()), Err(130));
        assert_eq!(judge(Ok(()), Some(Why::Defect)).map_err(|f| f.status().code()), Err(1));
    }

    #[test]
    fn a_panic_is_a_defect() {
        let outcome = drive(|| async { panic!("a test of what a panic does") }, None, &Stop::new());
        assert_eq!(outcome.map_err(|f| f.status().code()), Err(1));
    }
}
