//! Resource-Priority and Accept-Resource-Priority (RFC 4412 §3): who goes first when resources are scarce.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed};

header!(
    /// The priorities of the request.
    ResourcePriority, List, ResourceValue<'m>, ResourceValue::read);
header!(
    /// The priorities a server knows, possibly none.
    AcceptResourcePriority, OptionalList, ResourceValue<'m>, ResourceValue::read);

/// `namespace.priority`; neither holds a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceValue<'m> {
    /// dsn, drsn, q735, ets, wps, esnet or another.
    pub namespace: &'m str,
    /// What the namespace defines.
    pub priority: &'m str,
}

impl<'m> ResourceValue<'m> {
    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        match cursor.token()?.split_once('.') {
            Some((namespace, priority))
                if !namespace.is_empty() && !priority.is_empty() && !priority.contains('.') =>
            {
                Ok(Self { namespace, priority })
            }
            _ => Err(Malformed::ResourcePriority),
        }
    }
}

impl fmt::Display for ResourceValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.priority)
    }
}
