//! What a program tells on standard output: events as they happen, and the summary that ends as the result.
//!
//! Field names are stable; `events.schema.json` describes them and a test holds both together. What was not measured is
//! `null`, never a default. Times are milliseconds, levels dBFS.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::printable::Printable;
#[cfg(feature = "tls")]
use super::tls_report::TlsReport;

/// Who did something, or who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    Local,
    Remote,
    /// Nobody: the peer could not be reached, or fell silent.
    Network,
}

/// Which way DTMF went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Received,
    Sent,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// The 2xx was sent or received.
    Answered {
        call_id: String,
        by: Party,
        code: u16,
        reason: String,
        codec: Option<String>,
        media_remote: Option<String>,
    },
    /// A file was read or written and is sound.
    Checked {
        path: String,
    },
    /// An INVITE leaves.
    Calling {
        call_id: String,
        from: String,
        target: String,
        local: Option<String>,
        remote: Option<String>,
    },
    /// A 401 or 407 is being answered with this algorithm.
    Challenged {
        call_id: String,
        realm: String,
        algorithm: String,
    },
    /// A sound card.
    Device {
        /// What `--audio device:NAME` takes.
        name: String,
        description: String,
        input: bool,
        output: bool,
    },
    /// One DTMF digit.
    Dtmf {
        call_id: String,
        way: Way,
        digit: char,
        duration_ms: Option<u32>,
    },
    /// A provisional with media, so that something can be heard before the answer.
    EarlyMedia {
        call_id: String,
        code: u16,
        reason: String,
        codec: Option<String>,
    },
    /// The call is over; code and reason are those of the final response, or of the BYE.
    Ended {
        call_id: String,
        by: Party,
        code: Option<u16>,
        reason: Option<String>,
        cause: Option<Cause>,
        duration_ms: Option<f64>,
    },
    Held {
        call_id: String,
        by: Party,
    },
    /// An INVITE arrived.
    Incoming {
        call_id: String,
        from: String,
        target: String,
        remote: String,
    },
    /// A socket is open for calls.
    Listening {
        protocol: String,
        local: String,
    },
    /// Codec, direction or address of the audio were agreed anew.
    Media {
        call_id: String,
        codec: Option<String>,
        direction: String,
        media_remote: Option<String>,
    },
    /// Any other provisional.
    Progress {
        call_id: String,
        code: u16,
        reason: String,
    },
    /// A question to the DNS was answered.
    Query {
        /// Which lookup it belongs to, from 1.
        lookup: u64,
        /// `NAPTR`, `SRV` or `A/AAAA`.
        kind: &'static str,
        name: String,
        /// In the order in which they count.
        records: Vec<Record>,
        /// What the name is an alias of.
        alias: Option<String>,
        ttl_s: Option<u64>,
        /// Who answered; nobody if the answer came along with another one, or nobody did.
        source: Option<String>,
        /// Why there are no records.
        error: Option<String>,
        #[serde(serialize_with = "rounded")]
        duration_ms: Option<f64>,
    },
    /// How busy a server is.
    Rate {
        calls: u64,
        active: u64,
        calls_per_second: f64,
    },
    /// A request outside calls was answered.
    Request {
        call_id: String,
        method: String,
        from: String,
        remote: String,
        code: u16,
        /// What a MESSAGE says.
        text: Option<String>,
    },
    Resumed {
        call_id: String,
        by: Party,
    },
    Ringing {
        call_id: String,
        code: u16,
        reason: String,
    },
    /// What decided how a lookup goes on (RFC 3263 §4.1, §4.2).
    Rule {
        lookup: u64,
        rule: &'static str,
        protocol: Option<&'static str>,
        text: String,
    },
    /// How often each target came first.
    Shares {
        lookups: u64,
        shares: Vec<Share>,
    },
    /// What the configuration file says of one key; passwords are not told.
    Setting {
        key: String,
        /// `null`: it is a password, or the file does not say.
        value: Option<String>,
        /// Where it stands, from 1.
        line: Option<usize>,
    },
    /// Media statistics of a call, now.
    Statistics {
        call_id: String,
        media: MediaSummary,
    },
    /// The end of a lookup: targets in the order in which they are tried.
    Targets {
        lookup: u64,
        targets: Vec<Target>,
        #[serde(serialize_with = "rounded")]
        duration_ms: Option<f64>,
    },
    /// What a server's TLS is like.
    #[cfg(feature = "tls")]
    Tls(Box<TlsReport>),
    /// Something is not as it should be, and the run goes on.
    Warning {
        call_id: Option<String>,
        message: String,
    },
}

impl Event {
    /// The value of the field `event`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Calling { .. } => "calling",
            Self::Challenged { .. } => "challenged",
            Self::Checked { .. } => "checked",
            Self::Device { .. } => "device",
            Self::Dtmf { .. } => "dtmf",
            Self::EarlyMedia { .. } => "early-media",
            Self::Ended { .. } => "ended",
            Self::Held { .. } => "held",
            Self::Incoming { .. } => "incoming",
            Self::Listening { .. } => "listening",
            Self::Media { .. } => "media",
            Self::Progress { .. } => "progress",
            Self::Query { .. } => "query",
            Self::Rate { .. } => "rate",
            Self::Request { .. } => "request",
            Self::Resumed { .. } => "resumed",
            Self::Ringing { .. } => "ringing",
            Self::Setting { .. } => "setting",
            Self::Rule { .. } => "rule",
            Self::Shares { .. } => "shares",
            Self::Statistics { .. } => "statistics",
            Self::Targets { .. } => "targets",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "tls",
            Self::Warning { .. } => "warning",
        }
    }
}

/// The event for a person, without its name.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { by, code, reason, codec, media_remote, .. } => {
                write!(f, "by {by}: {code} {}{}", Printable(reason), After(" with ", codec))?;
                write!(f, "{}", After(", media at ", media_remote))
            }
            Self::Calling { from, target, remote, .. } => {
                write!(f, "{}{}, from {}", Printable(target), After(" at ", remote), Printable(from))
            }
            Self::Challenged { realm, algorithm, .. } => {
                write!(f, "for realm {}: answering with {}", Printable(realm), Printable(algorithm))
            }
            Self::Checked { path } => write!(f, "{}: nothing wrong", Printable(path)),
            Self::Device { name, description, input, output } => {
                let ways = match (input, output) {
                    (true, true) => "records and plays",
                    (true, false) => "records",
                    (false, true) => "plays",
                    (false, false) => "cannot be used",
                };
                write!(f, "{:<24} {ways:<18} {}", Printable(name).to_string(), Printable(description))
            }
            Self::Dtmf { way, digit, .. } => write!(f, "{digit} {way}"),
            Self::EarlyMedia { code, reason, codec, .. } => {
                write!(f, "{code} {}{}", Printable(reason), After(" with ", codec))
            }
            Self::Ended { by, code, reason, cause, duration_ms, .. } => {
                write!(f, "by {by}")?;
                if let Some(code) = code {
                    write!(f, ": {code} {}", Printable(reason.as_deref().unwrap_or_default()))?;
                } else {
                    write!(f, "{}", After(": ", reason))?;
                }
                if let Some(cause) = cause {
                    write!(f, " ({cause})")?;
                }
                match duration_ms {
                    Some(duration) => write!(f, " after {:.1} s", duration / 1000.0),
                    None => Ok(()),
                }
            }
            Self::Held { by, .. } | Self::Resumed { by, .. } => write!(f, "by {by}"),
            Self::Incoming { from, target, remote, .. } => {
                write!(f, "{} at {remote}, to {}", Printable(from), Printable(target))
            }
            Self::Listening { protocol, local } => write!(f, "on {local} over {protocol}"),
            Self::Media { codec, direction, media_remote, .. } => {
                write!(f, "{direction}{}{}", After(" ", codec), After(" with ", media_remote))
            }
            Self::Progress { code, reason, .. } | Self::Ringing { code, reason, .. } => {
                write!(f, "{code} {}", Printable(reason))
            }
            Self::Query { kind, name, records, error, .. } => {
                write!(f, "{kind} {}: ", Printable(name))?;
                match error {
                    Some(error) => write!(f, "{}", Printable(error)),
                    None => write!(f, "{} records", records.len()),
                }
            }
            Self::Rate { calls, active, calls_per_second } => {
                write!(f, "{calls_per_second:.1} calls/s, {active} active, {calls} in all")
            }
            Self::Request { method, from, remote, code, text, .. } => {
                write!(f, "{} from {} at {remote}: {code}", Printable(method), Printable(from))?;
                match text {
                    Some(text) => write!(f, ", “{}”", Printable(text.trim_end())),
                    None => Ok(()),
                }
            }
            Self::Setting { key, value: Some(value), .. } => {
                write!(f, "{} = {}", Printable(key), Printable(value))
            }
            Self::Setting { key, line: Some(_), .. } => write!(f, "{} is set and not shown", Printable(key)),
            Self::Setting { key, .. } => write!(f, "{} is not set", Printable(key)),
            Self::Rule { text, .. } => write!(f, "{}", Printable(text)),
            Self::Shares { lookups, shares } => {
                write!(f, "{} first targets of {lookups} lookups", shares.len())
            }
            Self::Statistics { media, .. } => write!(f, "{media}"),
            Self::Targets { targets, .. } => {
                let list: Vec<_> = targets.iter().map(|target| target.address.as_str()).collect();
                write!(f, "{}", list.join(", "))
            }
            #[cfg(feature = "tls")]
            Self::Tls(report) => f.write_str(report.to_string().trim_end()),
            Self::Warning { message, .. } => write!(f, "{}", Printable(message)),
        }
    }
}

/// A DNS record, as a zone file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    pub record: String,
    /// The transport a NAPTR record leads to.
    pub protocol: Option<&'static str>,
    /// Why it is passed over.
    pub refused: Option<String>,
}

/// A target of a lookup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    pub protocol: &'static str,
    pub address: String,
    pub host: Option<String>,
    /// The name and the numbers of the SRV record that led here.
    pub service: Option<String>,
    pub priority: Option<u16>,
    pub weight: Option<u16>,
}

/// How often a target came first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    pub protocol: &'static str,
    pub address: String,
    pub lookups: u64,
    pub percent: f64,
}

/// Why a call ended, from a Reason header (RFC 3326).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// `Q.850` or `SIP`.
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.protocol))?;
        if let Some(cause) = self.cause {
            write!(f, " {cause}")?;
        }
        write!(f, "{}", After(" ", &self.text))
    }
}

/// Times of a call, each from the start of what it names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Looking up the name of the target.
    pub resolve_ms: Option<f64>,
    /// Opening a connection; nothing over UDP.
    pub connect_ms: Option<f64>,
    /// From the INVITE to the first ringing.
    pub ring_ms: Option<f64>,
    /// From the INVITE to the answer.
    pub answer_ms: Option<f64>,
    /// From the start of the program to its end. Filled in at the end.
    pub total_ms: Option<f64>,
}

/// Media statistics of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MediaSummary {
    pub codec: Option<String>,
    pub packets_sent: Option<u64>,
    pub packets_received: Option<u64>,
    pub packets_lost: Option<u64>,
    /// Of the packets expected, in per cent.
    #[serde(serialize_with = "rounded")]
    pub loss_percent: Option<f64>,
    pub packets_reordered: Option<u64>,
    pub packets_duplicated: Option<u64>,
    /// From strangers, and dropped.
    pub packets_rejected: Option<u64>,
    #[serde(serialize_with = "rounded")]
    pub jitter_ms: Option<f64>,
    #[serde(serialize_with = "rounded")]
    pub rtt_ms: Option<f64>,
    #[serde(serialize_with = "rounded")]
    pub level_in_dbfs: Option<f64>,
    #[serde(serialize_with = "rounded")]
    pub level_out_dbfs: Option<f64>,
}

impl MediaSummary {
    /// What was counted, in words.
    pub fn packets(&self) -> String {
        let loss = self.loss_percent.map(|percent| format!(" ({percent:.1} %)")).unwrap_or_default();
        let some = |count: &Option<u64>| count.filter(|&count| count > 0);
        let counts = [
            self.packets_sent.map(|count| format!("{count} sent")),
            self.packets_received.map(|count| format!("{count} received")),
            self.packets_lost.map(|count| format!("{count} lost{loss}")),
            some(&self.packets_reordered).map(|count| format!("{count} reordered")),
            some(&self.packets_duplicated).map(|count| format!("{count} duplicated")),
            some(&self.packets_rejected).map(|count| format!("{count} from strangers dropped")),
        ];
        let codec = self.codec.as_deref().unwrap_or("no codec");
        format!("{codec}: {}", joined(counts))
    }

    /// What was measured, in words; empty if nothing was.
    pub fn quality(&self) -> String {
        let known = |value: Option<f64>| value.filter(|value| value.is_finite());
        joined([
            known(self.jitter_ms).map(|ms| format!("jitter {ms:.1} ms")),
            known(self.rtt_ms).map(|ms| format!("round trip {ms:.1} ms")),
            known(self.level_in_dbfs).map(|level| format!("level {level:.1} dBFS in")),
            known(self.level_out_dbfs).map(|level| format!("{level:.1} dBFS out")),
        ])
    }
}

fn joined<const N: usize>(known: [Option<String>; N]) -> String {
    known.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl fmt::Display for MediaSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined([Some(self.packets()), Some(self.quality()).filter(|text| !text.is_empty())]))
    }
}

/// What is known at the end; a program fills it in as it learns it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub call_id: Option<String>,
    /// The final SIP status code, and the words beside it.
    pub code: Option<u16>,
    pub reason: Option<String>,
    pub ended_by: Option<Party>,
    pub cause: Option<Cause>,
    /// The peer's signalling address.
    pub remote: Option<String>,
    pub timings: Timings,
    pub media: Option<MediaSummary>,
    /// How many calls a server took part in.
    pub calls: Option<u64>,
}

/// A duration as the results have it: milliseconds, to the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "us",
            Self::Remote => "the peer",
            Self::Network => "the network",
        })
    }
}

impl Party {
    /// As in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "received",
            Self::Sent => "sent",
        })
    }
}

/// A prefix and a value, or nothing.
struct After<'a>(&'a str, &'a Option<String>);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(value) => write!(f, "{}{}", self.0, Printable(value)),
            None => Ok(()),
        }
    }
}

/// Three decimals are more than any of these measurements knows; what is not finite was not measured.
fn rounded<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value
        .filter(|value| value.is_finite())
        .map(|value| (value * 1000.0).round() / 1000.0)
        .serialize(serializer)
}
