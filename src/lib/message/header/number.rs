//! Fields that are a number: Max-Forwards, Content-Length, Expires, Min-Expires, Retry-After
//! (RFC 3261 §20.22, §20.14, §20.19, §20.23, §20.33), RSeq (RFC 3262 §7.1).

use super::header;
use crate::message::{Cursor, Malformed, Params};

header!(
    /// How many more hops the request may take, 0 to 255.
    MaxForwards, Single, u32, |cursor: &mut Cursor<'m>| match cursor.number_u32()? {
        hops @ 0..=255 => Ok(hops),
        _ => Err(Malformed::Range),
    }
);
header!(
    /// Octets of the body.
    ContentLength, Single, u32, Cursor::number_u32);
header!(
    /// Seconds until what the message offers ends.
    Expires, Single, u32, Cursor::number_u32);
header!(
    /// The least number of seconds a registrar or notifier takes.
    MinExpires, Single, u32, Cursor::number_u32);
header!(
    /// The number of a reliable provisional response.
    RSeq, Single, u32, Cursor::number_u32);
header!(
    /// Seconds to wait before the next try; a comment and parameters are passed over.
    RetryAfter, Single, u32, |cursor: &mut Cursor<'m>| {
        let seconds = cursor.number_u32()?;
        cursor.skip_ws();
        if cursor.peek() == Some(b'(') {
            comment(cursor)?;
        }
        Params::read(cursor)?;
        Ok(seconds)
    }
);

/// `( … )`, which nests and has escapes (RFC 3261 §25.1 comment).
fn comment(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut depth = 0_u32;
    loop {
        let plain = |byte| !matches!(byte, b'(' | b')' | b'\\');
        cursor.take_while(plain);
        if cursor.eat(b'(') {
            depth += 1;
        } else if cursor.eat(b')') {
            depth -= 1;
            if depth == 0 {
                return Ok(());
            }
        } else if cursor.eat(b'\\') {
            let escaped = cursor.peek().ok_or(Malformed::Quote)?;
            cursor.eat(escaped);
        } else {
            return Err(Malformed::Quote);
        }
    }
}
