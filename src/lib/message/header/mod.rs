//! Header fields with types: a marker per field (`header::Contact`), the view it is read as, one file per
//! family. A field without a marker is still there by [`HeaderId`] or name, as a [`RawHeader`].

mod address;
mod answer;
mod auth;
mod consent;
mod contact;
mod content;
mod cseq;
mod date;
mod disposition;
mod diversion;
mod event;
mod feature;
mod geolocation;
mod history;
mod identity;
mod info;
mod info_package;
mod number;
mod options;
mod privacy;
mod private;
mod qvalue;
mod reason;
mod refer;
mod replaces;
mod resource;
mod route;
mod security;
mod session;
mod session_id;
mod text;
mod user_to_user;
pub(super) mod values;
mod via;

pub use address::{
    From, PAssertedIdentity, PPreferredIdentity, PolicyId, ReferTo, ReferredBy, RemotePartyId, ReplyTo, To,
};
pub(super) use address::{FromTag, ToTag};
pub use answer::{AnswerMode, AnswerModeValue, PrivAnswerMode};
pub use auth::{
    AuthParam, AuthParams, AuthenticationInfo, Authorization, Challenge, Credentials, ProxyAuthenticate,
    ProxyAuthenticationInfo, ProxyAuthorization, WwwAuthenticate,
};
pub use consent::{ConsentTrigger, PermissionMissing, TriggerConsent};
pub use contact::{Contact, ContactValue};
pub use content::{
    Accept, AcceptEncoding, AcceptLanguage, ContentDisposition, ContentEncoding, ContentId, ContentLanguage,
    ContentType, MediaType, MimeVersion, TokenParams,
};
pub use cseq::{CSeq, RAck, RAckValue};
pub use date::{Date, DateTime, Timestamp, TimestampValue};
pub use disposition::{Directive, RequestDisposition};
pub use diversion::{Diversion, DiversionValue};
pub use event::{AllowEvents, Event, SubscriptionState};
pub use feature::{AcceptContact, Feature, FeatureCaps, FeatureSet, FeatureValue, RejectContact};
pub use geolocation::{Geolocation, GeolocationError, GeolocationFault, GeolocationRouting};
pub use history::{HistoryEntry, HistoryIndex, HistoryInfo, Retarget};
pub use identity::{Identity, IdentityInfo, IdentityValue};
pub use info::{AlertInfo, CallInfo, ErrorInfo, PUserDatabase, PolicyContact, ReferEventsAt, Reference};
pub use info_package::{InfoPackage, RecvInfo};
pub use number::{
    ContentLength, Expires, FlowTimer, MaxBreadth, MaxForwards, MinExpires, RSeq, RetryAfter, RetryAfterValue,
};
pub use options::{Allow, ProxyRequire, Require, Supported, Unsupported};
pub use privacy::{Privacy, PrivacyValue};
pub use private::{
    ChargingVector, PAccessNetworkInfo, PAnswerState, PAssertedService, PAssociatedUri, PCalledPartyId,
    PChargeInfo, PChargingFunctionAddresses, PChargingVector, PEarlyMedia, PMediaAuthorization,
    PPreferredService, PPrivateNetworkIndication, PProfileKey, PRefusedUriList, PServedUser,
    PVisitedNetworkId, ParamList, VisitedNetwork,
};
pub use reason::{Reason, ReasonValue, Warning, WarningValue};
pub use refer::ReferSub;
pub use replaces::{DialogId, Join, Replaces, TargetDialog};
pub use resource::{AcceptResourcePriority, ResourcePriority, ResourceValue};
pub use route::{Path, RecordRoute, Route, ServiceRoute};
pub use security::{SecurityClient, SecurityMechanism, SecurityServer, SecurityVerify};
pub use session::{MinSe, Refresher, SessionExpires, SessionInterval};
pub use session_id::{SessionId, SessionIdValue};
pub use text::{
    CallId, InReplyTo, Organization, Priority, Server, SipEtag, SipIfMatch, Subject, SuppressIfMatch,
    UserAgent,
};
pub use user_to_user::{UserData, UserToUser};
pub use values::RawHeader;
pub use via::{Marks, Via};

use super::{Cursor, HeaderError, HeaderId, Malformed, Message};

/// A header field that can be read as a value of its own type.
pub trait Header {
    /// The field's name.
    const ID: HeaderId;
    /// Whether rows are lists.
    const FORM: Form;
    /// Whether [`Header::read`] always stops before a comma that separates values, so that they need not be
    /// cut apart before they are read.
    const STOPS_AT_COMMA: bool = false;
    /// What one value is read as; it borrows from the message.
    type View<'m>;

    /// Reads one value; the caller has skipped white space before it and checks that nothing follows.
    fn read<'m>(cursor: &mut Cursor<'m>) -> Result<Self::View<'m>, Malformed>;

    /// The value that comes next, at the end of its row or before a comma, sooner read if there is nothing unusual
    /// in it; otherwise, and if it is not worth the while, `None`.
    #[doc(hidden)]
    #[inline(always)]
    fn plain<'m>(_: &Cursor<'m>) -> Option<Self::View<'m>> {
        None
    }

    /// The same for a value that is read in a few steps, with where it ends, behind which there may be anything.
    #[doc(hidden)]
    #[inline(always)]
    fn plain_word<'m>(_: Cursor<'m>) -> Option<(Self::View<'m>, usize)> {
        None
    }

    /// Goes to the values of a list up to the first with anything unusual in it, and gives where that one begins;
    /// `None` if there is none.
    #[doc(hidden)]
    #[inline(always)]
    fn plain_front<'m>(cursor: Cursor<'m>, _: impl FnMut(&Self::View<'m>)) -> Option<usize> {
        Some(cursor.at)
    }
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
        header!($(#[$doc])* $name, $form, $view, $read, cut);
    };
    ($(#[$doc:meta])* $name:ident, $form:ident, $view:ty, $read:expr, stops) => {
        header!($(#[$doc])* $name, $form, $view, $read, cut, const STOPS_AT_COMMA: bool = true;);
    };
    ($(#[$doc:meta])* $name:ident, $form:ident, $view:ty, $read:expr, address) => {
        header!(
            $(#[$doc])* $name, $form, $view, $read, cut,
            const STOPS_AT_COMMA: bool = true;
            #[inline(always)]
            fn plain<'m>(cursor: &$crate::message::Cursor<'m>) -> Option<$crate::message::NameAddr<'m>> {
                $crate::message::NameAddr::plain(cursor)
            }

            #[inline(always)]
            fn plain_front<'m>(
                cursor: $crate::message::Cursor<'m>,
                with: impl FnMut(&$crate::message::NameAddr<'m>),
            ) -> Option<usize> {
                $crate::message::NameAddr::plain_front(Self::FORM, cursor, with)
            }
        );
    };
    ($(#[$doc:meta])* $name:ident, $form:ident, $view:ty, $read:expr, tokens) => {
        header!(
            $(#[$doc])* $name, $form, $view, $read, cut,
            const STOPS_AT_COMMA: bool = true;
            #[inline(always)]
            fn plain_word<'m>(cursor: $crate::message::Cursor<'m>) -> Option<(&'m str, usize)> {
                cursor.plain_spaced_token()
            }

            #[inline(always)]
            fn plain_front<'m>(cursor: $crate::message::Cursor<'m>, with: impl FnMut(&&'m str)) -> Option<usize> {
                cursor.plain_tokens(with)
            }
        );
    };
    ($(#[$doc:meta])* $name:ident, $form:ident, $view:ty, $read:expr, words $word:expr) => {
        header!(
            $(#[$doc])* $name, $form, $view, $read, cut,
            const STOPS_AT_COMMA: bool = true;
            #[inline(always)]
            fn plain_word<'m>(cursor: $crate::message::Cursor<'m>) -> Option<($view, usize)> {
                ($word)(cursor)
            }
        );
    };
    ($(#[$doc:meta])* $name:ident, $form:ident, $view:ty, $read:expr, cut $(, $($more:item)*)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl $crate::message::header::Header for $name {
            const ID: $crate::message::HeaderId = $crate::message::HeaderId::$name;
            const FORM: $crate::message::header::Form = $crate::message::header::Form::$form;
            $($($more)*)?
            type View<'m> = $view;

            #[inline]
            fn read<'m>(
                cursor: &mut $crate::message::Cursor<'m>,
            ) -> Result<Self::View<'m>, $crate::message::Malformed> {
                ($read)(cursor)
            }
        }
    };
}
use header;

/// Calls a macro with every marker there is, one for each [`HeaderId`].
macro_rules! every_header {
    ($with:ident) => {
        $with! {
            Accept AcceptContact AcceptEncoding AcceptLanguage AcceptResourcePriority AlertInfo Allow AllowEvents
            AnswerMode AuthenticationInfo Authorization CSeq CallId CallInfo Contact ContentDisposition
            ContentEncoding ContentId ContentLanguage ContentLength ContentType Date Diversion ErrorInfo Event
            Expires FeatureCaps FlowTimer From Geolocation GeolocationError GeolocationRouting HistoryInfo Identity
            IdentityInfo InReplyTo InfoPackage Join MaxBreadth MaxForwards MimeVersion MinExpires MinSe Organization
            PAccessNetworkInfo PAnswerState PAssertedIdentity PAssertedService PAssociatedUri PCalledPartyId
            PChargeInfo PChargingFunctionAddresses PChargingVector PEarlyMedia PMediaAuthorization
            PPreferredIdentity PPreferredService PPrivateNetworkIndication PProfileKey PRefusedUriList PServedUser
            PUserDatabase PVisitedNetworkId Path PermissionMissing PolicyContact PolicyId Priority PrivAnswerMode
            Privacy ProxyAuthenticate ProxyAuthenticationInfo ProxyAuthorization ProxyRequire RAck RSeq Reason
            RecordRoute RecvInfo ReferEventsAt ReferSub ReferTo ReferredBy RejectContact RemotePartyId Replaces
            ReplyTo RequestDisposition Require ResourcePriority RetryAfter Route SecurityClient SecurityServer
            SecurityVerify Server ServiceRoute SessionExpires SessionId SipEtag SipIfMatch Subject SubscriptionState
            Supported SuppressIfMatch TargetDialog Timestamp To TriggerConsent Unsupported UserAgent UserToUser Via
            Warning WwwAuthenticate
        }
    };
}

pub(super) use every_header;

/// Whether a comma separates values of a field, which nobody can say of one that is not known.
#[inline]
pub(super) fn has_lists(id: HeaderId) -> bool {
    macro_rules! has_lists {
        ($($field:ident)*) => {
            match id {
                $(HeaderId::$field => !matches!(<$field as Header>::FORM, Form::Single),)*
                HeaderId::Unknown => false,
            }
        };
    }
    every_header!(has_lists)
}

/// Reads every value of every known header field and gives the first error. Nobody need do this: a field
/// is judged when it is read, and an element that forwards passes on what it does not read.
pub fn check(message: &Message) -> Result<(), HeaderError> {
    macro_rules! check {
        ($($field:ident)*) => {$(
            if message.has(<$field as Header>::ID) {
                message.each::<$field>().try_for_each(|value| value.map(|_| ()))?;
            }
        )*};
    }
    every_header!(check);
    Ok(())
}

#[cfg(test)]
mod family_tests;
#[cfg(test)]
mod tests;
