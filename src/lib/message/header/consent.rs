//! Trigger-Consent and Permission-Missing (RFC 5360 §5.9, §5.11): consent of those a list relays to.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, NameAddr, Params, Uri, address::bare_uri};

header!(
    /// What to do so that the recipients are asked for their consent.
    TriggerConsent, List, ConsentTrigger<'m>, ConsentTrigger::read);
header!(
    /// Recipients whose consent is missing.
    PermissionMissing, List, NameAddr<'m>, NameAddr::read);

/// Where to send the request that triggers asking.
#[derive(Debug, Clone, Copy)]
pub struct ConsentTrigger<'m> {
    /// A sip or sips URI without brackets.
    pub uri: Uri<'m>,
    /// target-uri and others.
    pub params: Params<'m>,
}

impl<'m> ConsentTrigger<'m> {
    /// The list that the trigger is about.
    pub fn target(&self) -> Option<Uri<'m>> {
        Uri::parse(self.params.value("target-uri")?).ok()
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { uri: bare_uri(cursor)?, params: Params::read(cursor)? })
    }
}

impl fmt::Display for ConsentTrigger<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.uri, self.params)
    }
}
