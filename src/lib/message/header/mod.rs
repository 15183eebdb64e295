//! Header fields with types: a marker per field (`header::Contact`), the view it is read as, one file per
//! family. A field without a marker is still there by [`HeaderId`] or name, as a [`RawHeader`].

mod address;
mod auth;
mod contact;
mod content;
mod cseq;
mod date;
mod event;
mod number;
mod options;
mod reason;
mod replaces;
mod route;
mod session;
mod text;
pub(super) mod values;
mod via;

pub use address::{From, PAssertedIdentity, PPreferredIdentity, ReferTo, ReferredBy, ReplyTo, To};
pub use auth::{
    AuthParam, AuthParams, AuthenticationInfo, Authorization, Challenge, Credentials, ProxyAuthenticate,
    ProxyAuthorization, WwwAuthenticate,
};
pub use contact::{Contact, ContactValue};
pub use content::{
    Accept, AcceptEncoding, AcceptLanguage, ContentDisposition, ContentEncoding, ContentType, MediaType,
    TokenParams,
};
pub use cseq::{CSeq, RAck, RAckValue};
pub use date::{Date, DateTime, Timestamp, TimestampValue};
pub use event::{AllowEvents, Event, SubscriptionState};
pub use number::{ContentLength, Expires, MaxForwards, MinExpires, RSeq, RetryAfter};
pub use options::{Allow, ProxyRequire, Require, Supported, Unsupported};
pub use reason::{Reason, ReasonValue, Warning, WarningValue};
pub use replaces::{DialogId, Join, Replaces, TargetDialog};
pub use route::{Path, RecordRoute, Route, ServiceRoute};
pub use session::{MinSe, Refresher, SessionExpires, SessionInterval};
pub use text::{CallId, Organization, Priority, Server, SipEtag, SipIfMatch, Subject, UserAgent};
pub use values::RawHeader;
pub use via::Via;

use super::{Cursor, HeaderId, Malformed};

/// A header field that can be read as a value of its own type.
pub trait Header {
    /// The field's name.
    const ID: HeaderId;
    /// Whether rows are lists.
    const FORM: Form;
    /// What one value is read as; it borrows from the message.
    type View<'m>;

    /// Reads one value; the caller has skipped white space before it and checks that nothing follows.
    fn read<'m>(cursor: &mut Cursor<'m>) -> Result<Self::View<'m>, Malformed>;
}

/// How the values of a field share rows (RFC 3261 §7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One value a row; a comma belongs to it.
    Single,
    /// Values are separated by commas; each must be there.
    List,
    /// As `List`, but a row may be empty and then holds no value (`Supported:`).
    OptionalList,
}

/// Writes a marker type and its `Header`: name, form, view, how one value is read.
macro_rules! header {
    ($(#[$doc:meta])* $name:ident, $form:ident, $view:ty, $read:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl $crate::message::header::Header for $name {
            const ID: $crate::message::HeaderId = $crate::message::HeaderId::$name;
            const FORM: $crate::message::header::Form = $crate::message::header::Form::$form;
            type View<'m> = $view;

            fn read<'m>(
                cursor: &mut $crate::message::Cursor<'m>,
            ) -> Result<Self::View<'m>, $crate::message::Malformed> {
                ($read)(cursor)
            }
        }
    };
}
use header;

#[cfg(test)]
mod tests;
