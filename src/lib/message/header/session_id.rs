//! Session-ID (RFC 7989 §5, before it RFC 7329): one name for a call across all its dialogs.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params, scan};

header!(
    /// The session across all its hops.
    SessionId, Single, SessionIdValue<'m>, |cursor: &mut Cursor<'m>| {
        let word = cursor.take_while(|byte| byte.is_ascii_alphanumeric());
        let local = scan::ascii(word).filter(|word| is_uuid(word)).ok_or(Malformed::Uuid)?;
        Ok(SessionIdValue { local, params: Params::read(cursor)? })
    }
);

/// The identifiers of both sides.
#[derive(Debug, Clone, Copy)]
pub struct SessionIdValue<'m> {
    /// The sender's: 32 hexadecimal digits in lower case.
    pub local: &'m str,
    /// remote and others.
    pub params: Params<'m>,
}

impl<'m> SessionIdValue<'m> {
    /// The receiver's; all zeros (the nil UUID) if the sender does not know it yet. `None` if it is missing,
    /// as before RFC 7989, or malformed.
    pub fn remote(&self) -> Option<&'m str> {
        self.params.value("remote").filter(|remote| is_uuid(remote))
    }
}

/// Only lower case is allowed, so that elements may compare octets.
fn is_uuid(word: &str) -> bool {
    word.len() == 32 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for SessionIdValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.local, self.params)
    }
}
