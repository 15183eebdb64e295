//! Request-Disposition (RFC 3841 §9.1): how servers are asked to treat a request.

use std::fmt;

use super::header;
use crate::message::Cursor;

header!(
    /// How servers should treat the request.
    RequestDisposition, List, Directive<'m>, |cursor: &mut Cursor<'m>| cursor.token().map(Directive::of));

/// One wish; those that come in pairs exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive<'m> {
    /// `proxy`: servers shall forward rather than redirect.
    Proxy,
    /// `redirect`: servers shall redirect rather than forward.
    Redirect,
    /// `cancel`: the other branches are to be cancelled after a 2xx.
    Cancel,
    /// `no-cancel`: they are to ring on.
    NoCancel,
    /// `fork`: several targets may be tried.
    Fork,
    /// `no-fork`: one target only.
    NoFork,
    /// `recurse`: a server may try the contacts of a 3xx by itself.
    Recurse,
    /// `no-recurse`: the caller wants to see the 3xx.
    NoRecurse,
    /// `parallel`: targets are to be tried at once.
    Parallel,
    /// `sequential`: one after the other.
    Sequential,
    /// `queue`: a callee who is busy may put the call in a queue (182).
    Queue,
    /// `no-queue`: such a caller wants 486 instead.
    NoQueue,
    /// A directive of an extension, as written.
    Other(&'m str),
}

impl<'m> Directive<'m> {
    fn of(token: &'m str) -> Self {
        let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(token));
        known.map_or(Self::Other(token), |&(_, directive)| directive)
    }
}

impl fmt::Display for Directive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(token) => f.write_str(token),
            known => f.write_str(KNOWN.iter().find(|(_, other)| other == known).map_or("", |(name, _)| name)),
        }
    }
}

const KNOWN: [(&str, Directive<'static>); 12] = [
    ("proxy", Directive::Proxy),
    ("redirect", Directive::Redirect),
    ("cancel", Directive::Cancel),
    ("no-cancel", Directive::NoCancel),
    ("fork", Directive::Fork),
    ("no-fork", Directive::NoFork),
    ("recurse", Directive::Recurse),
    ("no-recurse", Directive::NoRecurse),
    ("parallel", Directive::Parallel),
    ("sequential", Directive::Sequential),
    ("queue", Directive::Queue),
    ("no-queue", Directive::NoQueue),
];
