//! Session timers: Session-Expires and Min-SE (RFC 4028 §4, §5).

use std::fmt;

use super::header;
use crate::message::{Cursor, Params};

header!(
    /// The session interval and who refreshes it.
    SessionExpires, Single, SessionInterval<'m>, |cursor: &mut Cursor<'m>| {
        Ok(SessionInterval { seconds: cursor.number_u32()?, params: Params::read(cursor)? })
    }
);
header!(
    /// The least session interval, in seconds; its parameters are passed over.
    MinSe, Single, u32, |cursor: &mut Cursor<'m>| {
        let seconds = cursor.number_u32()?;
        Params::read(cursor)?;
        Ok(seconds)
    }
);

/// How long a session lives without a refresh.
#[derive(Debug, Clone, Copy)]
pub struct SessionInterval<'m> {
    /// The interval.
    pub seconds: u32,
    /// The refresher and others.
    pub params: Params<'m>,
}

/// Which side of the transaction refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answers it.
    Uas,
}

impl SessionInterval<'_> {
    /// Who refreshes, if it is said.
    pub fn refresher(&self) -> Option<Refresher> {
        let side = self.params.value("refresher")?;
        if side.eq_ignore_ascii_case("uac") {
            return Some(Refresher::Uac);
        }
        side.eq_ignore_ascii_case("uas").then_some(Refresher::Uas)
    }
}

impl fmt::Display for SessionInterval<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.seconds, self.params)
    }
}
