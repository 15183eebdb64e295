//! Fields that name another dialog: Replaces (RFC 3891 §6.1), Join (RFC 3911), Target-Dialog (RFC 4538).
//!
//! The tags are from the view of the recipient: to-tag is its local tag in Replaces and Join.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params, scan};

header!(
    /// The dialog that this call takes the place of.
    Replaces, Single, DialogId<'m>, |cursor: &mut Cursor<'m>| DialogId::read(cursor, "to-tag", "from-tag"));
header!(
    /// The dialog that this call is to be joined with.
    Join, Single, DialogId<'m>, |cursor: &mut Cursor<'m>| DialogId::read(cursor, "to-tag", "from-tag"));
header!(
    /// A dialog whose knowledge authorises the request.
    TargetDialog, Single, DialogId<'m>, |cursor: &mut Cursor<'m>| {
        DialogId::read(cursor, "local-tag", "remote-tag")
    }
);

/// Identifiers of another dialog.
#[derive(Debug, Clone, Copy)]
pub struct DialogId<'m> {
    /// Its Call-ID.
    pub call_id: &'m str,
    /// to-tag, or local-tag in Target-Dialog.
    pub to_tag: &'m str,
    /// from-tag, or remote-tag in Target-Dialog.
    pub from_tag: &'m str,
    /// All parameters, the tags among them.
    pub params: Params<'m>,
}

impl<'m> DialogId<'m> {
    /// Only a dialog that is not confirmed yet is meant.
    pub fn is_early_only(&self) -> bool {
        self.params.has("early-only")
    }

    fn read(cursor: &mut Cursor<'m>, to: &str, from: &str) -> Result<Self, Malformed> {
        let call_id = cursor.take_while(|byte| byte.is_ascii_graphic() && byte != b';');
        let call_id = scan::ascii(call_id).filter(|id| !id.is_empty()).ok_or(Malformed::Token)?;
        let params = Params::read(cursor)?;
        match (params.value(to), params.value(from)) {
            (Some(to_tag), Some(from_tag)) => Ok(Self { call_id, to_tag, from_tag, params }),
            _ => Err(Malformed::Parameter),
        }
    }
}

impl fmt::Display for DialogId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.call_id, self.params)
    }
}
