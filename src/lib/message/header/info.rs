//! Fields that hold URIs in angle brackets and nothing before them: Alert-Info, Call-Info, Error-Info
//! (RFC 3261 §20.4, §20.9, §20.18, RFC 7462), Policy-Contact (RFC 6794), Refer-Events-At (RFC 7614),
//! P-User-Database (RFC 4457).
//!
//! A bare URI is refused: its parameters and those of the field could not be told apart.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params, Uri, address::bracketed_uri};

header!(
    /// How to alert: a ring tone, or a urn:alert (RFC 7462).
    AlertInfo, List, Reference<'m>, Reference::read);
header!(
    /// More about the caller or callee.
    CallInfo, List, Reference<'m>, Reference::read);
header!(
    /// More about the error.
    ErrorInfo, List, Reference<'m>, Reference::read);
header!(
    /// Where to ask for session policies.
    PolicyContact, List, Reference<'m>, Reference::read);
header!(
    /// Where the state of the reference can be subscribed to.
    ReferEventsAt, Single, Reference<'m>, Reference::read);
header!(
    /// The Diameter database that holds the user.
    PUserDatabase, Single, Reference<'m>, Reference::read);

/// `<URI>;params`
#[derive(Debug, Clone, Copy)]
pub struct Reference<'m> {
    /// The URI, of any scheme.
    pub uri: Uri<'m>,
    /// Parameters after it.
    pub params: Params<'m>,
}

impl<'m> Reference<'m> {
    /// What the URI is for in Call-Info: icon, info, card or another.
    pub fn purpose(&self) -> Option<&'m str> {
        self.params.value("purpose")
    }

    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { uri: bracketed_uri(cursor)?, params: Params::read(cursor)? })
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>{}", self.uri, self.params)
    }
}
