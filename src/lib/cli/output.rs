//! Standard output: events as they happen and exactly one result at the end; nothing else ever goes there.
//!
//! For a person one line per event, with `--json` one JSON object per line (JSON Lines), with `--write-out` only the
//! user's line at the end. A reader that goes away ends the run gracefully; one that stays and does not read keeps it
//! from nothing: see `pipe.rs`.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use super::{
    event::{Event, Summary, milliseconds},
    exit::ExitStatus,
    failure::Failure,
    live,
    pipe::{Pipe, Push},
    printable::PrintableLines,
    stop::{Stop, Why},
    write_out::Template,
};

/// How results are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    Json,
    /// Each event with its time and name.
    Lines,
    /// Only what the events say.
    Plain,
    WriteOut(Template),
    /// One line for a monitoring system.
    Check,
}

/// Where a program reports; clones write to the same place.
#[derive(Clone)]
pub struct Out(Arc<Mutex<Inner>>);

struct Inner {
    form: Form,
    terminal: bool,
    colour: bool,
    started: Instant,
    stop: Stop,
    summary: Summary,
    /// When the run must be over.
    deadline: Option<Instant>,
    /// None: the result is out.
    sink: Option<Pipe>,
}

impl Out {
    /// Standard output, coloured if it is a terminal and `NO_COLOR` is not set.
    pub(super) fn stdout(form: Form, started: Instant, stop: Stop) -> io::Result<Self> {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal();
        let (out, pipe) = Self::new(form, started, stop, terminal && !no_color, Above(io::stdout()))?;
        out.lock().terminal = terminal;
        let _ = STDOUT.set(pipe);
        Ok(out)
    }

    fn new(
        form: Form,
        started: Instant,
        stop: Stop,
        colour: bool,
        sink: impl Write + Send + 'static,
    ) -> io::Result<(Self, Pipe)> {
        let gone = {
            let stop = stop.clone();
            move |error: io::Error| {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    tracing::error!("cannot write to standard output: {error}");
                }
                stop.request(Why::OutputClosed);
            }
        };
        let pipe = Pipe::start(sink, gone)?;
        let (summary, deadline, sink) = (Summary::default(), None, Some(pipe.clone()));
        let terminal = false;
        let inner = Inner { form, terminal, colour, started, stop, summary, deadline, sink };
        Ok((Self(Arc::new(Mutex::new(inner))), pipe))
    }

    /// When the run must be over, whoever does not read.
    pub(super) fn ends_at(&self, deadline: Option<Instant>) {
        self.lock().deadline = deadline;
    }

    /// Reports something that happened. After the result, nothing is written any more.
    pub fn event(&self, event: Event) {
        let mut inner = self.lock();
        let line = match &inner.form {
            Form::Json => json_line(event.name(), &event),
            Form::Lines => inner.human_line(event.name(), &event),
            Form::Plain => format!("{event}\n"),
            Form::WriteOut(_) | Form::Check => return,
        };
        inner.write(&line);
    }

    /// Shows a person `text` as it is; in the other forms events say it.
    pub fn text(&self, text: impl fmt::Display) {
        let mut inner = self.lock();
        if matches!(inner.form, Form::Lines | Form::Plain) {
            inner.write(&text.to_string());
        }
    }

    /// Reports something that a person was shown in another way.
    pub fn data(&self, event: &Event) {
        let mut inner = self.lock();
        if inner.form == Form::Json {
            inner.write(&json_line(event.name(), event));
        }
    }

    /// Shows a person octets as they are, or harmlessly at a terminal; in the other forms events have them.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        if matches!(inner.form, Form::Lines | Form::Plain) {
            match inner.terminal {
                true => inner.write(&PrintableLines { bytes, indent: "" }.to_string()),
                false => inner.write_bytes(bytes),
            }
        }
    }

    /// Whether what a person is shown may be coloured.
    pub fn is_coloured(&self) -> bool {
        self.lock().colour
    }

    /// Whether it is data that is printed.
    pub fn is_json(&self) -> bool {
        self.lock().form == Form::Json
    }

    /// Changes what the result will say. It is written whatever happens later, so fill it in as soon as you know.
    pub fn summary<T>(&self, change: impl FnOnce(&mut Summary) -> T) -> T {
        change(&mut self.lock().summary)
    }

    /// Writes the result and waits until it is read, if the run may last so long; only the first call does.
    pub(super) fn finish(&self, status: ExitStatus, failure: Option<&Failure>) {
        let mut inner = self.lock();
        let total = milliseconds(inner.started.elapsed());
        inner.summary.timings.total_ms.get_or_insert(total);
        let line = match &inner.form {
            Form::Json => {
                let message = failure.map(ToString::to_string);
                json_line("result", &ResultFields::new(status, message, &inner.summary))
            }
            Form::Lines => inner.human_line("result", &ResultLine { status, summary: &inner.summary }),
            Form::Plain => String::new(),
            Form::WriteOut(template) => template.render(status, &inner.summary),
            Form::Check => match (&inner.summary.check, failure) {
                (Some((_, line)), _) => format!("{line}\n"),
                (None, Some(failure)) => format!("SIP UNKNOWN - {failure}\n"),
                (None, None) => "SIP UNKNOWN - interrupted\n".to_owned(),
            },
        };
        let Some(pipe) = inner.sink.take() else { return };
        let (stop, deadline) = (inner.stop.clone(), inner.deadline);
        drop(inner);
        pipe.close(line);
        let mut last = None;
        while !pipe.drain(LOOK) {
            let now = Instant::now();
            if stop.why().is_some() || deadline.is_some_and(|deadline| deadline <= now) {
                let last = *last.get_or_insert(now + FAREWELL);
                if last <= now {
                    break;
                }
            }
        }
        match pipe.missing() {
            0 => {}
            1 => tracing::warn!("1 line is missing from standard output, which was not read"),
            missing => tracing::warn!("{missing} lines are missing from standard output, which was not read"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").finish_non_exhaustive()
    }
}

impl Inner {
    fn human_line(&self, name: &str, what: &dyn fmt::Display) -> String {
        let style = match name {
            _ if !self.colour => Style::new(),
            "answered" | "listening" => AnsiColor::Green.on_default(),
            "warning" => AnsiColor::Yellow.on_default(),
            "result" => Style::new().bold(),
            _ => AnsiColor::Cyan.on_default(),
        };
        let seconds = self.started.elapsed().as_secs_f64();
        format!("{seconds:>8.3}  {style}{name:<11}{style:#}  {what}\n")
    }

    fn write(&mut self, line: &str) {
        self.write_bytes(line.as_bytes());
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        if let Some(pipe) = &self.sink
            && pipe.push(bytes.to_vec()) == Push::FirstLost
        {
            tracing::warn!(
                "standard output is not read: what happens is not written there for the time being"
            );
        }
    }
}

/// Whatever is written to standard error follows what standard output was given before, if that is read.
pub(super) fn settle() {
    if let Some(pipe) = STDOUT.get() {
        pipe.settle();
    }
}

/// Writes with the live view off the screen meanwhile.
struct Above<W>(W);

impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        live::above(|| self.0.write(bytes).and_then(|written| self.0.flush().map(|()| written)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static STDOUT: OnceLock<Pipe> = OnceLock::new();
/// How often a run that is over but not read looks whether it must end.
const LOOK: Duration = Duration::from_millis(20);
/// For the last lines, once the run must end.
const FAREWELL: Duration = Duration::from_millis(500);

/// The result of a run that ended before there was an [`Out`]: a mistake in the flags.
pub(super) fn early_json_result(status: ExitStatus, message: &str) {
    let summary = Summary::default();
    let fields = ResultFields::new(status, Some(message.into()), &summary);
    let _ = io::stdout().write_all(json_line("result", &fields).as_bytes());
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn rfc3339(at: SystemTime) -> String {
    // A clock before 1970 or beyond 9999 is no clock; the epoch says so plainly.
    let known =
        SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    let at = if known.contains(&at) { at } else { SystemTime::UNIX_EPOCH };
    humantime::format_rfc3339_millis(at).to_string()
}

fn json_line(event: &str, fields: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, T> {
        event: &'a str,
        time: String,
        #[serde(flatten)]
        fields: &'a T,
    }
    let line = Line { event, time: rfc3339(SystemTime::now()), fields };
    // Structs with string keys always serialise.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct ResultFields<'a> {
    exit: u8,
    status: &'static str,
    message: Option<String>,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl<'a> ResultFields<'a> {
    fn new(status: ExitStatus, message: Option<String>, summary: &'a Summary) -> Self {
        Self { exit: status.code(), status: status.name(), message, summary }
    }
}

/// The result for a person: the numbers that are known.
struct ResultLine<'a> {
    status: ExitStatus,
    summary: &'a Summary,
}

impl fmt::Display for ResultLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { code, ended_by, calls, timings, media, ping, .. } = self.summary;
        write!(f, "{} (exit {})", self.status.name(), self.status.code())?;
        if let Some(code) = code {
            write!(f, ", SIP {code}")?;
        }
        if let Some(by) = ended_by {
            write!(f, ", ended by {by}")?;
        }
        if let Some(calls) = calls {
            write!(f, ", {calls} calls")?;
        }
        if let Some(total) = timings.total_ms {
            write!(f, ", {:.1} s", total / 1000.0)?;
        }
        if let Some(ping) = ping {
            write!(f, "\n          {ping}")?;
        }
        let Some(media) = media else { return Ok(()) };
        // On lines of their own: together they are wider than most terminals.
        for line in [media.packets(), media.quality()] {
            if !line.is_empty() {
                write!(f, "\n          {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cli::event_state::{Publication, Published, Watcher};
    use crate::cli::{
        event::{Binding, Cause, Forwarded, MediaSummary, Party, Record, Registered, Share, Target, Way},
        subscribe::told::{Malformed, Notified},
    };

    /// A sink that can be looked into, or that is closed.
    #[derive(Clone, Default)]
    struct Sink {
        written: Arc<Mutex<Vec<u8>>>,
        closed: bool,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.written.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.written.lock().expect("unpoisoned").clone()).expect("UTF-8")
        }
    }

    fn out(form: Form, pipe: &Sink) -> (Out, Stop) {
        let stop = Stop::new();
        (Out::new(form, Instant::now(), stop.clone(), false, pipe.clone()).expect("a thread").0, stop)
    }

    fn binding() -> Binding {
        Binding { uri: "sip:a@192.0.2.1".into(), expires_ms: Some(1000.0), q: Some(0.5), instance: None }
    }

    /// One of each.
    fn events() -> Vec<Event> {
        let call_id = || "a@b".to_owned();
        let media = MediaSummary {
            codec: Some("PCMU/8000".into()),
            packets_sent: Some(250),
            packets_rejected: Some(3),
            jitter_ms: Some(0.123_456),
            level_in_dbfs: Some(f64::NEG_INFINITY),
            ..MediaSummary::default()
        };
        let cause = Cause { protocol: "Q.850".into(), cause: Some(16), text: Some("Normal".into()) };
        vec![
            Event::Listening { protocol: "UDP".into(), local: "127.0.0.1:5070".into() },
            Event::Calling {
                call_id: call_id(),
                from: "sip:a@b".into(),
                target: "sip:c@d".into(),
                local: None,
                remote: Some("192.0.2.1:5060".into()),
            },
            Event::Challenged { call_id: call_id(), realm: "r".into(), algorithm: "SHA-256".into() },
            Event::Checked { path: "/etc/sipkit.toml".into() },
            Event::Device { name: "pulse".into(), description: String::new(), input: true, output: false },
            Event::Setting { key: "a.b".into(), value: Some("c".into()), line: Some(1) },
            Event::Progress { call_id: call_id(), code: 181, reason: "Forwarded".into() },
            Event::Ringing { call_id: call_id(), code: 180, reason: "Ringing".into() },
            Event::EarlyMedia { call_id: call_id(), code: 183, reason: "Progress".into(), codec: None },
            Event::Incoming {
                call_id: call_id(),
                from: "sip:a@b".into(),
                target: "sip:c@d".into(),
                remote: "192.0.2.1:5060".into(),
            },
            Event::Bindings {
                aor: "sip:a@b".into(),
                remote: "r".into(),
                bindings: vec![binding()],
                rtt_ms: 1.5,
            },
            Event::Bound { aor: "sip:a@b".into(), remote: "r".into(), code: 423, bindings: Vec::new() },
            Event::Decided {
                target: "sip:a@b".into(),
                watcher: "sip:b@c".into(),
                handling: "allow",
                changed: true,
            },
            Event::Expected { target: "sip:a@b".into(), expectations: vec!["status=open".into()] },
            Event::ForkEnded { target: "sip:a@b".into(), fork: 1, reason: "timeout".into() },
            Event::Malformed(Box::new(Malformed { line: Some(1), column: Some(2), ..Malformed::default() })),
            Event::Notified(Box::new(Notified {
                sequence: 1,
                changes: Some(Vec::new()),
                ..Notified::default()
            })),
            Event::SubscribeAgain { target: "sip:a@b".into(), reason: "423".into() },
            Event::Subscribed {
                target: "sip:a@b".into(),
                package: "presence".into(),
                remote: "r".into(),
                code: 200,
                expires_ms: 1000.0,
                rtt_ms: 1.0,
            },
            Event::SubscriptionFailed {
                target: "sip:a@b".into(),
                code: Some(503),
                reason: "503 Busy".into(),
                retry_ms: 1000.0,
                remaining_ms: None,
            },
            Event::Unchanged { target: "sip:a@b".into(), fork: 0, expires_ms: 1000.0 },
            Event::Unsubscribed { target: "sip:a@b".into(), reason: None },
            Event::FlowLost { aor: "sip:a@b".into(), remote: "r".into() },
            Event::NoResponse {
                call_id: call_id(),
                method: "OPTIONS".into(),
                target: "sip:c@d".into(),
                sequence: Some(2),
                reason: "timeout".into(),
            },
            Event::RegisterAgain { aor: "sip:a@b".into(), reason: "seen as r".into() },
            Event::Registered(Box::new(Registered {
                aor: "sip:a@b".into(),
                expires_ms: 60_000.0,
                bindings: vec![binding(), binding()],
                ..Registered::default()
            })),
            Event::RegistrationFailed {
                aor: "sip:a@b".into(),
                code: None,
                reason: "timeout".into(),
                retry_ms: 30_000.0,
                remaining_ms: Some(1.0),
            },
            Event::Response {
                call_id: call_id(),
                method: "MESSAGE".into(),
                target: "sip:c@d".into(),
                remote: None,
                code: 202,
                reason: "Accepted".into(),
                rtt_ms: 2.25,
                sequence: None,
            },
            Event::Unregistered {
                aor: "sip:a@b".into(),
                remote: "r".into(),
                bindings: Vec::new(),
                rtt_ms: 1.0,
            },
            Event::Answered {
                call_id: call_id(),
                by: Party::Remote,
                code: 200,
                reason: "OK".into(),
                codec: Some("PCMU/8000".into()),
                media_remote: Some("192.0.2.1:4000".into()),
            },
            Event::Media {
                call_id: call_id(),
                codec: None,
                direction: "sendonly".into(),
                media_remote: Some("192.0.2.1:4000".into()),
            },
            Event::Held { call_id: call_id(), by: Party::Local },
            Event::Resumed { call_id: call_id(), by: Party::Remote },
            Event::Dtmf { call_id: call_id(), way: Way::Received, digit: '#', duration_ms: Some(100) },
            Event::Statistics { call_id: call_id(), media },
            Event::Ended {
                call_id: call_id(),
                by: Party::Remote,
                code: None,
                reason: None,
                cause: Some(cause),
                duration_ms: Some(5012.0),
            },
            Event::Request {
                call_id: call_id(),
                method: "OPTIONS".into(),
                from: "sip:a@b".into(),
                remote: "192.0.2.1:5060".into(),
                code: 200,
                text: None,
            },
            Event::Query {
                lookup: 1,
                kind: "NAPTR",
                name: "example.com".into(),
                records: vec![Record { record: "10 50".into(), protocol: Some("UDP"), refused: None }],
                alias: None,
                ttl_s: Some(60),
                source: Some("DNS server 192.0.2.53".into()),
                error: None,
                duration_ms: Some(0.8),
            },
            Event::Forwarded(Forwarded {
                requests: 4,
                responses: 8,
                answered: 1,
                dropped: 2,
                messages_per_second: 12.0,
            }),
            Event::Rate { calls: 10, active: 2, calls_per_second: 1.5 },
            Event::Rule { lookup: 1, rule: "domain", protocol: None, text: "why".into() },
            Event::Shares {
                lookups: 10,
                shares: vec![Share {
                    protocol: "UDP",
                    address: "192.0.2.1:5060".into(),
                    lookups: 10,
                    percent: 100.0,
                }],
            },
            Event::Targets {
                lookup: 1,
                targets: vec![Target {
                    protocol: "UDP",
                    address: "192.0.2.1:5060".into(),
                    host: Some("a.example.com".into()),
                    service: Some("_sip._udp.example.com".into()),
                    priority: Some(10),
                    weight: Some(1),
                }],
                duration_ms: None,
            },
            Event::Warning { call_id: None, message: "no\x1b sound card".into() },
            Event::Watcher(Box::new(Watcher {
                what: "accepted",
                package: "presence".into(),
                resource: "sip:alice@192.0.2.1".into(),
                watcher: Some("sip:bob@192.0.2.2".into()),
                handling: Some("allow".into()),
                expires_ms: Some(3_600_000.0),
                ..Watcher::default()
            })),
            Event::Publication(Box::new(Publication {
                what: "initial",
                package: "presence".into(),
                resource: "sip:alice@192.0.2.1".into(),
                etag: Some("a1".into()),
                ..Publication::default()
            })),
            Event::Published(Box::new(Published {
                target: "sip:alice@192.0.2.1".into(),
                package: "presence".into(),
                operation: "initial",
                etag: Some("a1".into()),
                expires_ms: 3_600_000.0,
                rtt_ms: 0.4,
                ..Published::default()
            })),
            Event::PublicationFailed {
                target: "sip:alice@192.0.2.1".into(),
                code: Some(503),
                reason: "503 Service Unavailable".into(),
                retry_ms: 4_000.0,
                remaining_ms: Some(60_000.0),
            },
            Event::PublishAgain {
                target: "sip:alice@192.0.2.1".into(),
                reason: "423 Interval Too Brief".into(),
            },
            Event::Unpublished {
                target: "sip:alice@192.0.2.1".into(),
                package: "presence".into(),
                rtt_ms: 0.4,
            },
            Event::XcapAnswer {
                method: "PUT",
                uri: "http://a/b".into(),
                code: 201,
                reason: "Created".into(),
                etag: Some("\"1\"".into()),
                media_type: None,
                body: None,
            },
            Event::XcapEntry { kind: "rule", list: None, uri: "sip:a@b".into(), value: Some("allow".into()) },
            Event::XcapRequest { method: "PUT", uri: "u".into(), fields: vec!["A: b".into()], body: None },
        ]
    }

    #[test]
    fn every_json_line_keeps_to_the_schema_and_the_schema_knows_no_more() {
        let schema: Value = serde_json::from_str(crate::cli::EVENT_SCHEMA).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
        let pipe = Sink::default();
        let (out, _) = out(Form::Json, &pipe);
        for event in events() {
            out.event(event);
        }
        out.summary(|summary| {
            summary.code = Some(200);
            summary.ended_by = Some(Party::Local);
            summary.cause = Some(Cause::default());
            summary.media = Some(MediaSummary::default());
        });
        out.finish(ExitStatus::Busy, Some(&Failure::response(486, "Busy Here", "192.0.2.1:5060")));
        let mut names = Vec::new();
        for line in pipe.text().lines() {
            let value: Value = serde_json::from_str(line).expect("JSON");
            let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{line}: {errors:?}");
            names.push(value["event"].as_str().expect("a name").to_owned());
            let mut more = value.clone();
            more["surprise"] = Value::Bool(true);
            assert!(!validator.is_valid(&more), "a field the schema does not know: {line}");
        }
        assert_eq!(names.last().map(String::as_str), Some("result"));
        names.sort_unstable();
        let mut known: Vec<_> =
            schema["$defs"]["events"].as_object().expect("an object").keys().cloned().collect();
        known.sort_unstable();
        // A report of many lines, made from a live server.
        known.retain(|name| name != "tls");
        assert_eq!(names, known);
    }

    #[test]
    fn there_is_exactly_one_result_and_it_is_the_last_line() {
        let pipe = Sink::default();
        let (out, _) = out(Form::Json, &pipe);
        out.finish(ExitStatus::Done, None);
        out.finish(ExitStatus::Defect, None);
        out.event(Event::Rate { calls: 0, active: 0, calls_per_second: 0.0 });
        let text = pipe.text();
        assert_eq!(text.lines().count(), 1);
        let result: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&result["exit"], &result["status"]), (&Value::from(0), &Value::from("done")));
        assert_eq!(result["code"], Value::Null, "not known: null");
        assert!(result["timings"]["total_ms"].is_number());
    }

    #[test]
    fn a_person_gets_one_line_per_event_without_control_characters() {
        let pipe = Sink::default();
        let (out, _) = out(Form::Lines, &pipe);
        let count = events().len();
        for event in events() {
            out.event(event);
        }
        assert!(out.lock().sink.as_ref().is_some_and(|sink| sink.drain(Duration::from_secs(10))));
        let text = pipe.text();
        assert_eq!(text.lines().count(), count);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(text.contains("ended        by the peer (Q.850 16 Normal) after 5.0 s"), "{text}");
        assert!(text.contains("calling      sip:c@d at 192.0.2.1:5060, from sip:a@b"), "{text}");
        assert!(text.contains("PCMU/8000: 250 sent, 3 from strangers dropped, jitter 0.1 ms\n"), "{text}");
    }

    #[test]
    fn write_out_is_all_there_is() {
        let pipe = Sink::default();
        let (out, _) = out(Form::WriteOut(r"%{code}\n".parse().expect("a template")), &pipe);
        for event in events() {
            out.event(event);
        }
        out.summary(|summary| summary.code = Some(603));
        out.finish(ExitStatus::Declined, None);
        assert_eq!(pipe.text(), "603\n");
    }

    #[test]
    fn a_reader_that_went_away_ends_the_run() {
        let (out, stop) = out(Form::Json, &Sink { closed: true, ..Sink::default() });
        out.event(Event::Rate { calls: 0, active: 0, calls_per_second: 0.0 });
        out.finish(ExitStatus::Done, None);
        assert_eq!(stop.why(), Some(Why::OutputClosed));
    }

    #[test]
    fn who_does_not_read_does_not_keep_a_run_that_must_end() {
        /// Nothing is ever taken.
        struct Stuck;
        impl Write for Stuck {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                std::thread::sleep(Duration::from_secs(600));
                Ok(0)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for by_deadline in [true, false] {
            let (begun, stop) = (Instant::now(), Stop::new());
            let (out, pipe) = Out::new(Form::Json, begun, stop.clone(), false, Stuck).expect("a thread");
            for _ in 0..20_000 {
                out.event(Event::Rate { calls: 0, active: 0, calls_per_second: 0.0 });
            }
            match by_deadline {
                true => out.ends_at(Some(begun)),
                false => drop(stop.request(Why::Interrupt)),
            }
            out.finish(ExitStatus::Done, None);
            assert_eq!(pipe.missing(), 20_001);
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn times_are_rfc3339_whatever_the_clock_says() {
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)),
            "2023-11-14T22:13:20.250Z"
        );
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)),
            "1970-01-01T00:00:00.000Z"
        );
    }
}
