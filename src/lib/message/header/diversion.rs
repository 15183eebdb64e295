//! Diversion (RFC 5806): who sent the call on to whom, and why. The latest diversion comes first.

use std::fmt;

use super::header;
use crate::message::{Cursor, NameAddr, Text};

header!(
    /// A diversion of the call.
    Diversion, List, DiversionValue<'m>, |cursor: &mut Cursor<'m>| {
        Ok(DiversionValue { address: NameAddr::read(cursor)? })
    }
);

/// One diversion.
#[derive(Debug, Clone, Copy)]
pub struct DiversionValue<'m> {
    /// Who diverted, with the parameters.
    pub address: NameAddr<'m>,
}

impl<'m> DiversionValue<'m> {
    /// user-busy, no-answer, unconditional, deflection, … or another.
    pub fn reason(&self) -> Option<Text<'m>> {
        self.address.params.text("reason")
    }

    /// How many diversions this value stands for; 1 if nothing is said.
    pub fn counter(&self) -> u8 {
        self.address.params.number("counter").unwrap_or(1)
    }

    /// How many diversions there may be.
    pub fn limit(&self) -> Option<u8> {
        self.address.params.number("limit")
    }

    /// full, name, uri, off or another.
    pub fn privacy(&self) -> Option<Text<'m>> {
        self.address.params.text("privacy")
    }

    /// Whether the address was verified, if it is said.
    pub fn is_screened(&self) -> Option<bool> {
        self.address.params.value("screen").map(|screen| screen.eq_ignore_ascii_case("yes"))
    }
}

impl fmt::Display for DiversionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
