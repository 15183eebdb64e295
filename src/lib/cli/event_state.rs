//! What programs tell of subscriptions and publications: at a server, and of their own publications.

use std::fmt;

use serde::Serialize;

use super::printable::Printable;

/// Something happened to a subscription at a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Watcher {
    /// `accepted`, `refused`, `refreshed`, `notify-failed` or `ended`.
    pub what: &'static str,
    pub package: String,
    pub resource: String,
    /// Nothing: not known any more.
    pub watcher: Option<String>,
    pub remote: Option<String>,
    /// The status it was refused with, or the NOTIFY.
    pub code: Option<u16>,
    /// `allow`, `polite-block` or `confirm`.
    pub handling: Option<String>,
    pub expires_ms: Option<f64>,
    /// Why it ended.
    pub reason: Option<String>,
}

impl fmt::Display for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.watcher.as_deref().unwrap_or("somebody");
        write!(f, "{} of {} of {}: {}", Printable(who), self.package, Printable(&self.resource), self.what)?;
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        if let Some(handling) = self.handling.as_deref().filter(|handling| *handling != "allow") {
            write!(f, " ({handling})")?;
        }
        if let Some(expires) = self.expires_ms {
            write!(f, " for {:.0} s", expires / 1000.0)?;
        }
        match &self.reason {
            Some(reason) => write!(f, ", {}", Printable(reason)),
            None => Ok(()),
        }
    }
}

/// Something happened to a publication at a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Publication {
    /// `initial`, `refresh`, `modify`, `remove`, `refused` or `expired`.
    pub what: &'static str,
    pub package: String,
    pub resource: String,
    pub from: Option<String>,
    pub remote: Option<String>,
    pub code: Option<u16>,
    pub etag: Option<String>,
    pub expires_ms: Option<f64>,
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.package, Printable(&self.resource), self.what)?;
        if let Some(code) = self.code.filter(|code| *code != 200) {
            write!(f, " {code}")?;
        }
        if let Some(from) = &self.from {
            write!(f, " by {}", Printable(from))?;
        }
        match self.expires_ms.filter(|expires| *expires > 0.0) {
            Some(expires) => write!(f, " for {:.0} s", expires / 1000.0),
            None => Ok(()),
        }
    }
}

/// A state of ours is published.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Published {
    pub target: String,
    pub package: String,
    pub remote: Option<String>,
    /// `initial`, `refresh` or `modify`.
    pub operation: &'static str,
    /// Names what is published.
    pub etag: Option<String>,
    pub expires_ms: f64,
    /// When it is refreshed; nothing if it is not.
    pub refresh_ms: Option<f64>,
    pub rtt_ms: f64,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match self.operation {
            "refresh" => "refreshed",
            "modify" => "changed",
            _ => "published",
        };
        write!(f, "{} of {} {done}", self.package, Printable(&self.target))?;
        write!(f, " for {:.0} s", self.expires_ms / 1000.0)?;
        match &self.etag {
            Some(etag) => write!(f, ", entity-tag {}", Printable(etag)),
            None => f.write_str(", without an entity-tag"),
        }
    }
}
