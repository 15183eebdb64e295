//! Fields that are one text or word: Call-ID (RFC 3261 §20.8), Subject, User-Agent, Server, Organization
//! (§20.36, §20.41, §20.35, §20.25), Priority (§20.26), In-Reply-To (§20.21), SIP-ETag and SIP-If-Match
//! (RFC 3903 §11.3), Suppress-If-Match (RFC 5839 §7.2).

use super::header;
use crate::message::{Cursor, Malformed, Text, scan};

header!(
    /// Which call or registration the message belongs to; compared octet by octet.
    CallId, Single, &'m str, |cursor: &mut Cursor<'m>| {
        let word = cursor.take_text(scan::visible_length(cursor.rest()));
        word.filter(|word| !word.is_empty()).ok_or(Malformed::Empty)
    }
);
header!(
    /// Call-IDs of the calls that this one returns.
    InReplyTo, List, &'m str, CallId::read);
header!(
    /// What the call is about.
    Subject, Single, Text<'m>, Text::read_all);
header!(
    /// The software of the client.
    UserAgent, Single, Text<'m>, Text::read_all);
header!(
    /// The software of the server.
    Server, Single, Text<'m>, Text::read_all);
header!(
    /// Whom the sender belongs to.
    Organization, Single, Text<'m>, Text::read_all);
header!(
    /// emergency, urgent, normal, non-urgent or another.
    Priority, Single, &'m str, Cursor::token);
header!(
    /// The name of the published state.
    SipEtag, Single, &'m str, Cursor::token);
header!(
    /// The state that a PUBLISH changes.
    SipIfMatch, Single, &'m str, Cursor::token);
header!(
    /// The state that the subscriber has, so that it need not be sent again; "*" is any.
    SuppressIfMatch, Single, &'m str, Cursor::token);
