//! Contact: where to reach somebody directly (RFC 3261 §20.10).

use super::header;
use crate::message::{Cursor, NameAddr};

header!(
    /// Addresses, or "*" in a REGISTER that removes all bindings.
    Contact, List, ContactValue<'m>, |cursor: &mut Cursor<'m>| {
        if cursor.eat(b'*') {
            return Ok(ContactValue::Star);
        }
        NameAddr::read(cursor).map(ContactValue::Addr)
    }
);

/// One Contact value.
#[derive(Debug, Clone, Copy)]
pub enum ContactValue<'m> {
    /// All bindings.
    Star,
    /// One address.
    Addr(NameAddr<'m>),
}

impl<'m> ContactValue<'m> {
    /// The address, unless it is "*".
    pub fn address(&self) -> Option<NameAddr<'m>> {
        match *self {
            Self::Star => None,
            Self::Addr(address) => Some(address),
        }
    }

    /// Seconds of the expires parameter; a malformed one counts as 3600 (RFC 3261 §20.10).
    pub fn expires(&self) -> Option<u32> {
        let text = self.address()?.params.get("expires")?;
        Some(text.and_then(|text| text.parse().ok()).unwrap_or(3600))
    }

    /// The preference in thousandths, 0 to 1000; `None` if there is none or it is malformed.
    pub fn q(&self) -> Option<u16> {
        thousandths(self.address()?.params.value("q")?)
    }
}

impl std::fmt::Display for ContactValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Star => f.write_str("*"),
            Self::Addr(address) => address.fmt(f),
        }
    }
}

/// A qvalue: `0[.ddd]` or `1[.000]`.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1")
        || fraction.len() > 3
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let q = format!("{whole}{fraction:0<3}").parse().ok()?;
    (q <= 1000).then_some(q)
}
