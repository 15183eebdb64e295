//! What a program tells of a subscription.

use std::fmt;

use serde::Serialize;

use super::view::Change;
use crate::cli::printable::Printable;

/// A NOTIFY, and the state as it is since then.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Notified {
    pub target: String,
    pub package: String,
    pub remote: String,
    /// Which of the subscriptions that the SUBSCRIBE led to; from 0, and on through new ones.
    pub fork: u32,
    /// Of the subscription: active, pending, terminated.
    pub state: String,
    /// Why it is terminated.
    pub reason: Option<String>,
    pub retry_after_ms: Option<f64>,
    /// What is left of the subscription.
    pub expires_ms: Option<f64>,
    /// The number of the NOTIFY, from 1.
    pub sequence: u64,
    pub content_type: Option<String>,
    /// What the document was to the state: `full`, `partial`, `gap`, `stale`; nothing if it said nothing.
    pub applied: Option<&'static str>,
    /// Since the state told last; nothing if there was none.
    pub changes: Option<Vec<Change>>,
    /// The whole state; nothing if none is known.
    pub document: serde_json::Value,
    /// The body as it came, if it was asked for.
    pub body: Option<String>,
}

impl fmt::Display for Notified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Printable(&self.target), Printable(&self.state))?;
        if let Some(reason) = &self.reason {
            write!(f, " ({})", Printable(reason))?;
        }
        if let Some(expires) = self.expires_ms {
            write!(f, " for {:.0} s", expires / 1000.0)?;
        }
        if self.fork > 0 {
            write!(f, ", subscription {}", self.fork + 1)?;
        }
        match &self.changes {
            Some(changes) if changes.is_empty() => f.write_str(", nothing new"),
            Some(changes) if changes.len() == 1 => f.write_str(", 1 change"),
            Some(changes) => write!(f, ", {} changes", changes.len()),
            None if self.document.is_null() => f.write_str(", no state"),
            None => Ok(()),
        }
    }
}

/// A document that says nothing, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Malformed {
    pub target: String,
    pub package: String,
    pub remote: String,
    pub content_type: Option<String>,
    /// Where it is wrong, from 1.
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub reason: String,
    pub body: Option<String>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the document of {} from {}", Printable(&self.target), self.remote)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", Printable(&self.reason))
    }
}
