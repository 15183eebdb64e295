//! Fields that are a number: Max-Forwards, Content-Length, Expires, Min-Expires, Retry-After
//! (RFC 3261 §20.22, §20.14, §20.19, §20.23, §20.33), RSeq (RFC 3262 §7.1), Flow-Timer (RFC 5626 §8),
//! Max-Breadth (RFC 5393 §5.8).

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params, Text};

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
    /// Seconds after which the server takes a silent flow for dead.
    FlowTimer, Single, u32, Cursor::number_u32);
header!(
    /// How many branches may exist at once.
    MaxBreadth, Single, u32, Cursor::number_u32);
header!(
    /// When to try again.
    RetryAfter, Single, RetryAfterValue<'m>, |cursor: &mut Cursor<'m>| {
        let seconds = cursor.number_u32()?;
        cursor.skip_ws();
        let comment = if cursor.peek() == Some(b'(') { Some(comment(cursor)?) } else { None };
        Ok(RetryAfterValue { seconds, comment, params: Params::read(cursor)? })
    }
);

/// When to try again, and why not before.
#[derive(Debug, Clone, Copy)]
pub struct RetryAfterValue<'m> {
    /// Seconds to wait.
    pub seconds: u32,
    /// What it says to people, without the outer parentheses.
    pub comment: Option<Text<'m>>,
    /// duration and others.
    pub params: Params<'m>,
}

impl RetryAfterValue<'_> {
    /// Seconds for which the callee can be reached from then on.
    pub fn duration(&self) -> Option<u32> {
        self.params.number("duration")
    }
}

impl fmt::Display for RetryAfterValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        if let Some(comment) = self.comment {
            write!(f, " ({})", String::from_utf8_lossy(comment.raw()))?;
        }
        self.params.fmt(f)
    }
}

/// `( … )`, which nests and has escapes (RFC 3261 §25.1 comment).
fn comment<'m>(cursor: &mut Cursor<'m>) -> Result<Text<'m>, Malformed> {
    let text = cursor.rest();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
        if depth == 0 {
            cursor.advance(at + 1);
            return Ok(Text::quoted(&text[1..at]));
        }
        at += 1;
    }
    Err(Malformed::Comment)
}
