//! Geolocation, Geolocation-Routing, Geolocation-Error (RFC 6442 §4.1 to §4.3): where somebody is.

use std::fmt;

use super::{Reference, header};
use crate::message::{Cursor, Malformed, Params, Text, scan};

header!(
    /// Where the location can be had; a cid URI names a part of the body.
    Geolocation, List, Reference<'m>, Reference::read);
header!(
    /// Whether proxies may route by the location; any value but yes means no.
    GeolocationRouting, Single, bool, |cursor: &mut Cursor<'m>| {
        let value = cursor.token()?;
        if cursor.eat_spaced(b'=') {
            let _ = if cursor.peek() == Some(b'"') { cursor.quoted()? } else { cursor.take_while(scan::is_value) };
            return Ok(false);
        }
        Ok(value.eq_ignore_ascii_case("yes"))
    }
);
header!(
    /// What was wrong with the location.
    GeolocationError, Single, GeolocationFault<'m>, |cursor: &mut Cursor<'m>| {
        let digits = cursor.take_while(|byte| byte.is_ascii_digit());
        let code = match digits.len() {
            0 => return Err(Malformed::Number),
            1..=3 => scan::number(digits)? as u16,
            _ => return Err(Malformed::Range),
        };
        Ok(GeolocationFault { code, params: Params::read(cursor)? })
    }
);

/// Why a location was of no use.
#[derive(Debug, Clone, Copy)]
pub struct GeolocationFault<'m> {
    /// 1xx: cannot be used; 2xx: permission missing; 3xx: to be corrected; up to 999.
    pub code: u16,
    /// code and others.
    pub params: Params<'m>,
}

impl<'m> GeolocationFault<'m> {
    /// What it says to people.
    pub fn text(&self) -> Option<Text<'m>> {
        self.params.text("code")
    }
}

impl fmt::Display for GeolocationFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.code, self.params)
    }
}
