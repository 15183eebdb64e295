//! Why something happened: Reason (RFC 3326) and Warning (RFC 3261 §20.43).

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params, Text, scan};

header!(
    /// Why a request or response was sent, one value per protocol.
    Reason, List, ReasonValue<'m>, |cursor: &mut Cursor<'m>| {
        Ok(ReasonValue { protocol: cursor.token()?, params: Params::read(cursor)? })
    },
    words |cursor: Cursor<'m>| {
        let (protocol, end) = cursor.plain_value()?;
        Some((ReasonValue { protocol, params: Params::none_at(end) }, end))
    }
);
header!(
    /// What else there is to know about a status.
    Warning, List, WarningValue<'m>, |cursor: &mut Cursor<'m>| {
        let code = match (cursor.take_while(|byte| byte.is_ascii_digit()), cursor.peek()) {
            (digits, Some(b' ' | b'\t' | b'\r')) if digits.len() == 3 => scan::number(digits)?,
            _ => return Err(Malformed::Number),
        };
        cursor.skip_ws();
        let agent = cursor.take_while(|byte| byte.is_ascii_graphic());
        let agent = scan::ascii(agent).filter(|agent| !agent.is_empty()).ok_or(Malformed::Host)?;
        cursor.skip_ws();
        Ok(WarningValue { code: code as u16, agent, text: Text::quoted(cursor.quoted()?) })
    }
);

/// One Reason value.
#[derive(Debug, Clone, Copy)]
pub struct ReasonValue<'m> {
    /// SIP, Q.850, …
    pub protocol: &'m str,
    /// Parameters such as cause and text.
    pub params: Params<'m>,
}

impl<'m> ReasonValue<'m> {
    /// The status code or release cause.
    pub fn cause(&self) -> Option<u16> {
        self.params.number("cause")
    }

    /// What it says to people.
    pub fn text(&self) -> Option<Text<'m>> {
        self.params.text("text")
    }
}

/// One Warning value.
#[derive(Debug, Clone, Copy)]
pub struct WarningValue<'m> {
    /// Three digits, 300 to 399 by RFC 3261.
    pub code: u16,
    /// A host, or a name in its place.
    pub agent: &'m str,
    /// What it says to people.
    pub text: Text<'m>,
}

impl fmt::Display for ReasonValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.protocol, self.params)
    }
}

impl fmt::Display for WarningValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {} \"{}\"", self.code, self.agent, String::from_utf8_lossy(self.text.raw()))
    }
}
