//! Fields of event notification: Event, Subscription-State, Allow-Events (RFC 6665 §8.2).

use super::{TokenParams, header};
use crate::message::Cursor;

header!(
    /// The event package, with its parameters such as id.
    Event, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// active, pending, terminated or another, with expires, reason and retry-after.
    SubscriptionState, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// Event packages the sender supports.
    AllowEvents, List, &'m str, Cursor::token, tokens);
