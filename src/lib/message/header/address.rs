//! Fields that hold one address: From, To (RFC 3261 §20.20, §20.39), Reply-To, Refer-To (RFC 3515),
//! Referred-By (RFC 3892), the identities of RFC 3325, Remote-Party-ID of the drafts before it, Policy-ID
//! (RFC 6794).

use super::{Form, Header, header};
use crate::message::{Cursor, HeaderId, Malformed, NameAddr, address::read_tag};

header!(
    /// Who sends the request.
    From, Single, NameAddr<'m>, NameAddr::read, address);
header!(
    /// Whom the request is meant for.
    To, Single, NameAddr<'m>, NameAddr::read, address);
header!(
    /// Where to call back.
    ReplyTo, Single, NameAddr<'m>, NameAddr::read);
header!(
    /// What the receiver is asked to send a request to.
    ReferTo, Single, NameAddr<'m>, NameAddr::read);
header!(
    /// Who asked for the request.
    ReferredBy, Single, NameAddr<'m>, NameAddr::read);
header!(
    /// Who the sender is, by a trusted network's word.
    PAssertedIdentity, List, NameAddr<'m>, NameAddr::read);
header!(
    /// Which identity the sender wishes to have asserted.
    PPreferredIdentity, List, NameAddr<'m>, NameAddr::read);
header!(
    /// Who a party is, as networks said before RFC 3325; party, screen and privacy are parameters.
    RemotePartyId, List, NameAddr<'m>, NameAddr::read);
header!(
    /// A session policy that was taken into account.
    PolicyId, List, NameAddr<'m>, NameAddr::read);

/// The tag of From, without reading the address: all that is needed to match a message to its dialog.
pub(in crate::message) enum FromTag {}

/// The tag of To.
pub(in crate::message) enum ToTag {}

impl Header for FromTag {
    const ID: HeaderId = HeaderId::From;
    const FORM: Form = Form::Single;
    type View<'m> = Option<&'m str>;

    fn read<'m>(cursor: &mut Cursor<'m>) -> Result<Option<&'m str>, Malformed> {
        read_tag(cursor)
    }
}

impl Header for ToTag {
    const ID: HeaderId = HeaderId::To;
    const FORM: Form = Form::Single;
    type View<'m> = Option<&'m str>;

    fn read<'m>(cursor: &mut Cursor<'m>) -> Result<Option<&'m str>, Malformed> {
        read_tag(cursor)
    }
}
