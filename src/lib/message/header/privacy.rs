//! Privacy (RFC 3323 §4.2): what the network is asked to hide. Values are separated by ";".

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, scan};

header!(
    /// What the sender wants to be hidden.
    Privacy, Single, PrivacyValue<'m>, PrivacyValue::read);

/// The values of a Privacy field.
#[derive(Debug, Clone, Copy)]
pub struct PrivacyValue<'m> {
    text: &'m str,
}

impl<'m> PrivacyValue<'m> {
    /// header, session, user, none, critical, id (RFC 3325), history (RFC 7044) or another, as written.
    pub fn iter(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        self.text.split(';').map(|value| value.trim_ascii())
    }

    /// Whether this value is there, in any case.
    pub fn has(&self, value: &str) -> bool {
        self.iter().any(|other| other.eq_ignore_ascii_case(value))
    }

    /// Whether the request must fail where the privacy cannot be had.
    pub fn is_critical(&self) -> bool {
        self.has("critical")
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let all = cursor.rest();
        let start = cursor.position();
        cursor.token()?;
        let mut length = cursor.position() - start;
        while cursor.eat_spaced(b';') {
            cursor.token()?;
            length = cursor.position() - start;
        }
        let text = scan::ascii(&all[..length]).ok_or(Malformed::Token)?;
        Ok(Self { text })
    }
}

impl fmt::Display for PrivacyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(at, value)| {
            let separator = if at == 0 { "" } else { ";" };
            write!(f, "{separator}{value}")
        })
    }
}
