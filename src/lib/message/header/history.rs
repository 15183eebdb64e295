//! History-Info (RFC 7044 §5, before it RFC 4244): where the request has been on its way.
//!
//! An entry without an index is refused: it has no place in the history. Reason and Privacy of an entry
//! are header fields in its URI, with %-escapes.

use std::fmt;

use super::{Header, PrivacyValue, Reason, header};
use crate::message::{Cursor, Malformed, NameAddr, escape};

header!(
    /// Where the request has been, oldest first.
    HistoryInfo, List, HistoryEntry<'m>, HistoryEntry::read, stops);

/// One step of the way.
#[derive(Debug, Clone, Copy)]
pub struct HistoryEntry<'m> {
    /// The Request-URI of that step, with its Reason and Privacy in the URI's header fields.
    pub address: NameAddr<'m>,
    /// The place among the steps.
    pub index: HistoryIndex<'m>,
}

/// How a step's URI came from an earlier one, and from which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retarget<'m> {
    /// rc: another URI of the same user.
    Resource(HistoryIndex<'m>),
    /// mp: another user.
    Mapped(HistoryIndex<'m>),
    /// np: the same URI.
    NoChange(HistoryIndex<'m>),
}

impl<'m> HistoryEntry<'m> {
    /// How the URI came about, if it is said.
    pub fn retarget(&self) -> Option<Retarget<'m>> {
        let index = |name| self.address.params.value(name).and_then(HistoryIndex::of);
        let mapped = || index("mp").map(Retarget::Mapped);
        index("rc").map(Retarget::Resource).or_else(mapped).or_else(|| index("np").map(Retarget::NoChange))
    }

    /// The Reason in the URI, escapes still in place; [`escape::unescape`] undoes them.
    pub fn reason(&self) -> Option<&'m str> {
        self.uri_header("Reason")
    }

    /// The protocol and the cause of the first Reason: why this target was given up.
    pub fn cause(&self) -> Option<u16> {
        unescaped(self.reason()?, |text| Reason::read(&mut Cursor::new(text)).ok()?.cause())
    }

    /// The Privacy in the URI, escapes still in place.
    pub fn privacy(&self) -> Option<&'m str> {
        self.uri_header("Privacy")
    }

    /// Whether the entry must not leave the domain: a Privacy of history, session or header.
    pub fn is_private(&self) -> bool {
        let hides = |privacy: PrivacyValue<'_>| {
            ["history", "session", "header"].iter().any(|value| privacy.has(value))
        };
        let read = |text: &[u8]| super::Privacy::read(&mut Cursor::new(text)).ok().map(hides);
        self.privacy().and_then(|text| unescaped(text, read)).unwrap_or(false)
    }

    fn uri_header(&self, name: &str) -> Option<&'m str> {
        self.address.uri.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let address = NameAddr::read(cursor)?;
        let index = address.params.value("index").and_then(HistoryIndex::of).ok_or(Malformed::Index)?;
        Ok(Self { address, index })
    }
}

impl fmt::Display for HistoryEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Numbers between dots, one for each hop and fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryIndex<'m> {
    text: &'m str,
}

impl<'m> HistoryIndex<'m> {
    /// As written.
    pub fn as_str(&self) -> &'m str {
        self.text
    }

    /// The numbers; one that does not fit is the greatest there is.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<'m> {
        self.text.split('.').map(|number| number.parse().unwrap_or(u32::MAX))
    }

    /// Whether this step came directly from that one.
    pub fn is_child_of(&self, parent: HistoryIndex<'_>) -> bool {
        self.text.rsplit_once('.').is_some_and(|(front, _)| front == parent.text)
    }

    /// `number *("." number)`, numbers without leading zeros.
    fn of(text: &'m str) -> Option<Self> {
        let number = |number: &str| {
            number.bytes().all(|byte| byte.is_ascii_digit())
                && !number.is_empty()
                && (number == "0" || !number.starts_with('0'))
        };
        text.split('.').all(number).then_some(Self { text })
    }
}

/// What `read` makes of a text with its escapes undone; longer ones than anybody writes are not read.
fn unescaped<T>(text: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let mut buffer = [0; 256];
    let mut length = 0;
    for octet in escape::octets(text.as_bytes()) {
        *buffer.get_mut(length)? = octet.value;
        length += 1;
    }
    read(&buffer[..length])
}
