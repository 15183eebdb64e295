//! What a program tells on standard output: events as they happen, and the summary that ends as the result.
//!
//! Field names are stable; `events.schema.json` describes them and a test holds both together. What was not measured is
//! `null`, never a default. Times are milliseconds, levels dBFS.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

#[cfg(feature = "tls")]
use super::tls_report::TlsReport;
use super::{
    event_state::{Publication, Published, Watcher},
    printable::Printable,
    subscribe::told::{Malformed, Notified},
};
use crate::stack::Times;

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
    /// What the registrar has bound: the answer to a question.
    Bindings {
        aor: String,
        remote: String,
        bindings: Vec<Binding>,
        rtt_ms: f64,
    },
    /// A registrar answered a REGISTER.
    Bound {
        aor: String,
        remote: String,
        code: u16,
        /// What is bound now.
        bindings: Vec<Binding>,
    },
    /// An INVITE leaves; once more if not the first server responded to it but another one.
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
    /// What was expected of a state is the case.
    Expected {
        target: String,
        expectations: Vec<String>,
    },
    /// The connection that was registered is gone; a new one is made.
    FlowLost {
        aor: String,
        remote: String,
    },
    /// One of the subscriptions that a SUBSCRIBE led to is over; the others go on.
    ForkEnded {
        target: String,
        fork: u32,
        reason: String,
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
    /// A NOTIFY has a document that says nothing.
    Malformed(Box<Malformed>),
    /// Codec, direction or address of the audio were agreed anew.
    Media {
        call_id: String,
        codec: Option<String>,
        direction: String,
        media_remote: Option<String>,
    },
    /// A request outside calls got no response.
    NoResponse {
        call_id: String,
        method: String,
        target: String,
        sequence: Option<u64>,
        reason: String,
    },
    /// A NOTIFY came.
    Notified(Box<Notified>),
    /// Something was published at a server of ours, or ran out there.
    Publication(Box<Publication>),
    /// A publication failed and is tried again.
    PublicationFailed {
        target: String,
        code: Option<u16>,
        reason: String,
        retry_ms: f64,
        /// How long what is published still holds.
        remaining_ms: Option<f64>,
    },
    /// A PUBLISH goes out again, changed.
    PublishAgain {
        target: String,
        reason: String,
    },
    /// A state of ours is published.
    Published(Box<Published>),
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
    /// How much a proxy forwards.
    Forwarded(Forwarded),
    /// How busy a server is.
    Rate {
        calls: u64,
        active: u64,
        calls_per_second: f64,
    },
    /// A registrar has us.
    Registered(Box<Registered>),
    /// A REGISTER goes out again, changed.
    RegisterAgain {
        aor: String,
        reason: String,
    },
    /// A REGISTER failed and is tried again.
    RegistrationFailed {
        aor: String,
        code: Option<u16>,
        reason: String,
        retry_ms: f64,
        /// How long the registrar still keeps the binding.
        remaining_ms: Option<f64>,
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
    /// The final response to a request outside calls of ours.
    Response {
        call_id: String,
        method: String,
        target: String,
        remote: Option<String>,
        code: u16,
        reason: String,
        /// From the request to the response.
        rtt_ms: f64,
        /// Of several requests the number of this one, from 1.
        sequence: Option<u64>,
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
    /// A SUBSCRIBE goes out again, or another one in its place.
    SubscribeAgain {
        target: String,
        reason: String,
    },
    /// A 2xx to a SUBSCRIBE.
    Subscribed {
        target: String,
        package: String,
        remote: String,
        code: u16,
        expires_ms: f64,
        rtt_ms: f64,
    },
    /// A subscription failed and is tried again.
    SubscriptionFailed {
        target: String,
        code: Option<u16>,
        reason: String,
        retry_ms: f64,
        /// How long the notifier still keeps what there is.
        remaining_ms: Option<f64>,
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
    /// A refresh found nothing new.
    Unchanged {
        target: String,
        fork: u32,
        expires_ms: f64,
    },
    /// What was published is taken away.
    Unpublished {
        target: String,
        package: String,
        rtt_ms: f64,
    },
    /// Bindings were removed.
    Unregistered {
        aor: String,
        remote: String,
        /// What remains.
        bindings: Vec<Binding>,
        rtt_ms: f64,
    },
    /// A subscription is over.
    Unsubscribed {
        target: String,
        /// Why, if not because it was enough.
        reason: Option<String>,
    },
    /// A subscription at a server of ours.
    Watcher(Box<Watcher>),
    /// A watcher that waited was given a rule in the presence rules.
    Decided {
        target: String,
        watcher: String,
        /// What the rule says: allow, block, polite-block.
        handling: &'static str,
        /// It did not say so before.
        changed: bool,
    },
    /// An XCAP server did as it was told.
    XcapAnswer {
        method: &'static str,
        uri: String,
        code: u16,
        reason: String,
        etag: Option<String>,
        media_type: Option<String>,
        body: Option<String>,
    },
    /// A row of a document: a rule, an entry of a list, a service, a capability.
    XcapEntry {
        kind: &'static str,
        /// The list or rule it stands in, or the list of a service.
        list: Option<String>,
        uri: String,
        /// What is said of it, or what was done.
        value: Option<String>,
    },
    /// What would have been sent.
    XcapRequest {
        method: &'static str,
        uri: String,
        fields: Vec<String>,
        body: Option<String>,
    },
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
            Self::Bindings { .. } => "bindings",
            Self::Bound { .. } => "bound",
            Self::Calling { .. } => "calling",
            Self::Challenged { .. } => "challenged",
            Self::Checked { .. } => "checked",
            Self::Device { .. } => "device",
            Self::Dtmf { .. } => "dtmf",
            Self::EarlyMedia { .. } => "early-media",
            Self::Ended { .. } => "ended",
            Self::Decided { .. } => "decided",
            Self::Expected { .. } => "expected",
            Self::FlowLost { .. } => "flow-lost",
            Self::ForkEnded { .. } => "fork-ended",
            Self::Held { .. } => "held",
            Self::Incoming { .. } => "incoming",
            Self::Listening { .. } => "listening",
            Self::Malformed(_) => "malformed",
            Self::Media { .. } => "media",
            Self::NoResponse { .. } => "no-response",
            Self::Notified(_) => "notified",
            Self::Progress { .. } => "progress",
            Self::Publication(_) => "publication",
            Self::PublicationFailed { .. } => "publication-failed",
            Self::PublishAgain { .. } => "publish-again",
            Self::Published(_) => "published",
            Self::Query { .. } => "query",
            Self::Forwarded(_) => "forwarded",
            Self::Rate { .. } => "rate",
            Self::Registered(_) => "registered",
            Self::RegisterAgain { .. } => "register-again",
            Self::RegistrationFailed { .. } => "registration-failed",
            Self::Request { .. } => "request",
            Self::Response { .. } => "response",
            Self::Resumed { .. } => "resumed",
            Self::Ringing { .. } => "ringing",
            Self::Setting { .. } => "setting",
            Self::Rule { .. } => "rule",
            Self::Shares { .. } => "shares",
            Self::Statistics { .. } => "statistics",
            Self::SubscribeAgain { .. } => "subscribe-again",
            Self::Subscribed { .. } => "subscribed",
            Self::SubscriptionFailed { .. } => "subscription-failed",
            Self::Unchanged { .. } => "unchanged",
            Self::Unpublished { .. } => "unpublished",
            Self::Unregistered { .. } => "unregistered",
            Self::Unsubscribed { .. } => "unsubscribed",
            Self::Watcher(_) => "watcher",
            Self::Targets { .. } => "targets",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "tls",
            Self::Warning { .. } => "warning",
            Self::XcapAnswer { .. } => "xcap-answer",
            Self::XcapEntry { .. } => "xcap-entry",
            Self::XcapRequest { .. } => "xcap-request",
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
            Self::Bindings { aor, remote, bindings, rtt_ms } => {
                write!(f, "{} at {remote}: {} ({rtt_ms:.1} ms)", Printable(aor), List(bindings))
            }
            Self::Bound { aor, remote, code, bindings } => {
                write!(f, "{code} for {} from {remote}: {}", Printable(aor), List(bindings))
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
            Self::Decided { watcher, handling, changed, .. } => {
                write!(f, "{}: {handling}", Printable(watcher))?;
                f.write_str(if *changed { "" } else { ", as before" })
            }
            Self::Expected { target, expectations } => {
                write!(f, "{}: {}", Printable(target), Printable(&expectations.join(", ")))
            }
            Self::ForkEnded { target, fork, reason } => {
                write!(f, "{}, subscription {}: {}", Printable(target), fork + 1, Printable(reason))
            }
            Self::FlowLost { aor, remote } => write!(f, "to {remote}; registering {} anew", Printable(aor)),
            Self::Held { by, .. } | Self::Resumed { by, .. } => write!(f, "by {by}"),
            Self::Incoming { from, target, remote, .. } => {
                write!(f, "{} at {remote}, to {}", Printable(from), Printable(target))
            }
            Self::Listening { protocol, local } => write!(f, "on {local} over {protocol}"),
            Self::Malformed(malformed) => write!(f, "{malformed}"),
            Self::Notified(notified) => write!(f, "{notified}"),
            Self::Media { codec, direction, media_remote, .. } => {
                write!(f, "{direction}{}{}", After(" ", codec), After(" with ", media_remote))
            }
            Self::NoResponse { method, target, sequence, reason, .. } => {
                write!(
                    f,
                    "{}{} {}: {}",
                    Number(*sequence),
                    Printable(method),
                    Printable(target),
                    Printable(reason)
                )
            }
            Self::Publication(publication) => write!(f, "{publication}"),
            Self::PublicationFailed { target, reason, retry_ms, .. } => {
                write!(f, "{}: {}; again in {:.0} s", Printable(target), Printable(reason), retry_ms / 1000.0)
            }
            Self::PublishAgain { target, reason } => {
                write!(f, "{}: {}", Printable(target), Printable(reason))
            }
            Self::Published(published) => write!(f, "{published}"),
            Self::Unpublished { target, package, .. } => write!(f, "{package} of {}", Printable(target)),
            Self::Watcher(watcher) => write!(f, "{watcher}"),
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
            Self::Forwarded(Forwarded { requests, responses, answered, dropped, messages_per_second }) => {
                write!(
                    f,
                    "{messages_per_second:.0} messages/s; {requests} requests and {responses} responses forwarded"
                )?;
                if *answered > 0 {
                    write!(f, ", {answered} answered")?;
                }
                if *dropped > 0 {
                    write!(f, ", {dropped} dropped")?;
                }
                Ok(())
            }
            Self::Rate { calls, active, calls_per_second } => {
                write!(f, "{calls_per_second:.1} calls/s, {active} active, {calls} in all")
            }
            Self::Registered(registered) => write!(f, "{registered}"),
            Self::RegisterAgain { aor, reason } => write!(f, "{}: {}", Printable(aor), Printable(reason)),
            Self::RegistrationFailed { aor, reason, retry_ms, .. } => {
                write!(f, "{}: {}; again in {:.0} s", Printable(aor), Printable(reason), retry_ms / 1000.0)
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
            Self::Response { method, target, remote, code, reason, rtt_ms, sequence, .. } => {
                write!(f, "{}{code} {} from {}", Number(*sequence), Printable(reason), Printable(target))?;
                write!(f, "{}: {} in {rtt_ms:.1} ms", After(" at ", remote), Printable(method))
            }
            Self::Unregistered { aor, remote, bindings, .. } => {
                write!(f, "{} at {remote}; remaining: {}", Printable(aor), List(bindings))
            }
            Self::SubscribeAgain { target, reason } => {
                write!(f, "{}: {}", Printable(target), Printable(reason))
            }
            Self::Subscribed { target, package, remote, expires_ms, .. } => {
                let (target, package) = (Printable(target), Printable(package));
                write!(f, "to {package} of {target} at {remote}")?;
                if *expires_ms > 0.0 { write!(f, " for {:.0} s", expires_ms / 1000.0) } else { Ok(()) }
            }
            Self::SubscriptionFailed { target, reason, retry_ms, .. } => {
                write!(f, "{}: {}; again in {:.0} s", Printable(target), Printable(reason), retry_ms / 1000.0)
            }
            Self::Unchanged { target, expires_ms, .. } => {
                write!(f, "{}: nothing new, for {:.0} s", Printable(target), expires_ms / 1000.0)
            }
            Self::Unsubscribed { target, reason } => {
                write!(f, "from {}{}", Printable(target), After(": ", reason))
            }
            Self::Statistics { media, .. } => write!(f, "{media}"),
            Self::Targets { targets, .. } => {
                let list: Vec<_> = targets.iter().map(|target| target.address.as_str()).collect();
                write!(f, "{}", list.join(", "))
            }
            #[cfg(feature = "tls")]
            Self::Tls(report) => f.write_str(report.to_string().trim_end()),
            Self::Warning { message, .. } => write!(f, "{}", Printable(message)),
            Self::XcapAnswer { method, uri, code, reason, etag, .. } => {
                write!(f, "{code} {}: {method} {}", Printable(reason), Printable(uri))?;
                write!(f, "{}", After(", entity tag ", etag))
            }
            Self::XcapEntry { list, uri, value, .. } => {
                write!(f, "{:<40}", Printable(uri).to_string())?;
                write!(f, "  {:<14}{}", Shown(value), After("  ", list))
            }
            Self::XcapRequest { method, uri, fields, body } => {
                write!(f, "{method} {}", Printable(uri))?;
                fields.iter().try_for_each(|field| write!(f, "; {}", Printable(field)))?;
                match body {
                    Some(body) => write!(f, "; {}", Printable(body)),
                    None => Ok(()),
                }
            }
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

/// A binding of an address of record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Binding {
    pub uri: String,
    /// What is left of it.
    pub expires_ms: Option<f64>,
    /// Preference, 0 to 1.
    pub q: Option<f64>,
    pub instance: Option<String>,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.uri))?;
        if let Some(expires) = self.expires_ms {
            write!(f, " for {:.0} s", expires / 1000.0)?;
        }
        match self.q {
            Some(q) => write!(f, " (q {q})"),
            None => Ok(()),
        }
    }
}

/// Bindings one after the other, or that there are none.
struct List<'a>(&'a [Binding]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("nothing is bound") };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|binding| write!(f, ", {binding}"))
    }
}

/// `3: `, where requests are counted.
struct Number(Option<u64>);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |number| write!(f, "{number}: "))
    }
}

/// What a registrar granted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Registered {
    pub aor: String,
    /// Where we said we are.
    pub contact: Option<String>,
    /// The registrar, or the proxy before it.
    pub remote: String,
    pub expires_ms: f64,
    /// When it is refreshed; nothing if it is not.
    pub refresh_ms: Option<f64>,
    pub rtt_ms: f64,
    pub bindings: Vec<Binding>,
    /// The route of requests of this account (RFC 3608).
    pub service_route: Vec<String>,
    /// The proxies on the way back (RFC 3327).
    pub path: Vec<String>,
    /// RFC 5626.
    pub outbound: bool,
    /// RFC 5627.
    pub public_gruu: Option<String>,
    pub temporary_gruu: Option<String>,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} for {:.0} s", Printable(&self.aor), self.remote, self.expires_ms / 1000.0)?;
        write!(f, "{}", After(", as ", &self.contact))?;
        let others = self.bindings.len().saturating_sub(1);
        if others > 0 {
            write!(f, ", beside {others} more")?;
        }
        Ok(())
    }
}

/// Requests sent and answered, and how long that took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ping {
    pub sent: u64,
    pub received: u64,
    #[serde(serialize_with = "rounded")]
    pub lost_percent: Option<f64>,
    #[serde(serialize_with = "rounded")]
    pub min_ms: Option<f64>,
    #[serde(serialize_with = "rounded")]
    pub avg_ms: Option<f64>,
    #[serde(serialize_with = "rounded")]
    pub max_ms: Option<f64>,
}

impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, .. } = self;
        write!(f, "{sent} sent, {received} answered, {:.0} % lost", self.lost_percent.unwrap_or_default())?;
        match (self.min_ms, self.avg_ms, self.max_ms) {
            (Some(min), Some(avg), Some(max)) => {
                write!(f, ", round trip min/avg/max {min:.1}/{avg:.1}/{max:.1} ms")
            }
            _ => Ok(()),
        }
    }
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

impl Timings {
    /// Notes how long the way of the first request took.
    pub(super) fn way(&mut self, times: Times) {
        self.resolve_ms.get_or_insert(milliseconds(times.lookup));
        if let Some(connect) = times.connect {
            self.connect_ms.get_or_insert(milliseconds(connect));
        }
    }
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
    pub ping: Option<Ping>,
    /// What a monitoring system is told, and the exit status it knows.
    #[serde(skip)]
    pub check: Option<(u8, String)>,
}

/// What a proxy did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Forwarded {
    pub requests: u64,
    pub responses: u64,
    /// Requests that went no further.
    pub answered: u64,
    pub dropped: u64,
    /// Requests and responses that went on in the last second.
    pub messages_per_second: f64,
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

/// A value, or nothing, as wide as a column.
struct Shown<'a>(&'a Option<String>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.as_deref().map(|text| Printable(text).to_string()).unwrap_or_default())
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
