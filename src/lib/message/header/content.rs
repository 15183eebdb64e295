//! Fields about bodies: Content-Type, Content-Disposition, Content-Encoding, Accept, Accept-Encoding,
//! Accept-Language (RFC 3261 §20.15, §20.11, §20.12, §20.1 to §20.3).

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params};

header!(
    /// What the body is.
    ContentType, Single, MediaType<'m>, MediaType::read);
header!(
    /// Bodies the sender takes; an empty field means none.
    Accept, OptionalList, MediaType<'m>, MediaType::read);
header!(
    /// What the body is for.
    ContentDisposition, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// How the body is encoded, innermost first.
    ContentEncoding, List, &'m str, Cursor::token);
header!(
    /// Encodings the sender takes, possibly none but identity.
    AcceptEncoding, OptionalList, TokenParams<'m>, TokenParams::read);
header!(
    /// Languages the sender takes.
    AcceptLanguage, OptionalList, TokenParams<'m>, TokenParams::read);

/// `type/subtype;params`; `*` stands for any in a range.
#[derive(Debug, Clone, Copy)]
pub struct MediaType<'m> {
    /// As written: text, application, …
    pub type_: &'m str,
    /// As written.
    pub subtype: &'m str,
    /// Parameters after it.
    pub params: Params<'m>,
}

impl<'m> MediaType<'m> {
    /// Whether it is this type and subtype, in any case.
    pub fn is(&self, type_: &str, subtype: &str) -> bool {
        self.type_.eq_ignore_ascii_case(type_) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// Whether this range takes that type: equal, `type/*` or `*/*`.
    pub fn accepts(&self, type_: &str, subtype: &str) -> bool {
        (self.type_ == "*" || self.type_.eq_ignore_ascii_case(type_))
            && (self.subtype == "*" || self.subtype.eq_ignore_ascii_case(subtype))
    }

    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let type_ = cursor.token()?;
        if !cursor.eat_spaced(b'/') {
            return Err(Malformed::Token);
        }
        Ok(Self { type_, subtype: cursor.token()?, params: Params::read(cursor)? })
    }
}

impl fmt::Display for MediaType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.type_, self.subtype, self.params)
    }
}

/// A token with parameters, the shape of many fields.
#[derive(Debug, Clone, Copy)]
pub struct TokenParams<'m> {
    /// As written.
    pub token: &'m str,
    /// Parameters after it.
    pub params: Params<'m>,
}

impl<'m> TokenParams<'m> {
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { token: cursor.token()?, params: Params::read(cursor)? })
    }
}

impl fmt::Display for TokenParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.token, self.params)
    }
}
