//! Diagnostics: what the library traces, on standard error, as lines a person reads.
//!
//! Without flags warnings and errors; `-v` explains decisions, `-vv` adds state changes, `-vvv` everything.

use std::fmt;

use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::filter_fn,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use super::{live::Stderr, output::rfc3339};

/// Sends the traces of this process to standard error. Only the first call of a process counts.
pub(super) fn start(program: &'static str, verbosity: u8) {
    let level = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(|| Stderr)
        .event_format(Line { program, detailed: verbosity > 1 })
        .finish()
        // The dependencies' own diagnostics are for their developers.
        .with(filter_fn(|metadata| {
            metadata.target().starts_with(env!("CARGO_PKG_NAME")) || *metadata.level() <= Level::WARN
        }));
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// `sip-call: warning: no sound card`; detailed ones begin with the time and name the module.
struct Line {
    program: &'static str,
    detailed: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        match self.detailed {
            true => write!(out, "{} {} ", rfc3339(std::time::SystemTime::now()), metadata.target())?,
            false => write!(out, "{}: ", self.program)?,
        }
        match *metadata.level() {
            Level::ERROR => write!(out, "error: ")?,
            Level::WARN => write!(out, "warning: ")?,
            Level::INFO => {}
            Level::DEBUG => write!(out, "debug: ")?,
            Level::TRACE => write!(out, "trace: ")?,
        }
        cx.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}
