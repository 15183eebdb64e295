//! Refer-Sub (RFC 4488 §4): whether a REFER makes a subscription.

use super::header;
use crate::message::{Cursor, Malformed, Params};

header!(
    /// Whether the sender of a REFER wants to be told what becomes of it; parameters are passed over.
    ReferSub, Single, bool, |cursor: &mut Cursor<'m>| {
        let start = *cursor;
        let word = cursor.token()?;
        let wanted = if word.eq_ignore_ascii_case("true") {
            true
        } else if word.eq_ignore_ascii_case("false") {
            false
        } else {
            *cursor = start;
            return Err(Malformed::Boolean);
        };
        Params::read(cursor)?;
        Ok(wanted)
    }
);
