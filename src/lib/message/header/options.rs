//! Fields that list tokens: option tags in Require, Proxy-Require, Supported, Unsupported
//! (RFC 3261 §20.32, §20.29, §20.37, §20.40), methods in Allow (§20.5).

use super::header;
use crate::message::Cursor;

header!(
    /// Extensions the server must support.
    Require, List, &'m str, Cursor::token, tokens);
header!(
    /// Extensions every proxy must support.
    ProxyRequire, List, &'m str, Cursor::token, tokens);
header!(
    /// Extensions the sender supports, possibly none.
    Supported, OptionalList, &'m str, Cursor::token, tokens);
header!(
    /// Extensions that were required and are not supported.
    Unsupported, List, &'m str, Cursor::token, tokens);
header!(
    /// Methods the sender supports, possibly none.
    Allow, OptionalList, &'m str, Cursor::token, tokens);
