//! Fields about bodies: Content-Type, Content-Disposition, Content-Encoding, Content-Language, MIME-Version,
//! Accept, Accept-Encoding, Accept-Language (RFC 3261 §20.15, §20.11 to §20.13, §20.24, §20.1 to §20.3),
//! Content-ID (RFC 8262 §4).

use std::fmt;

use super::{header, qvalue::thousandths};
use crate::message::{Cursor, Malformed, Params, scan};

header!(
    /// What the body is.
    ContentType, Single, MediaType<'m>, MediaType::read);
header!(
    /// Bodies the sender takes; an empty field means none.
    Accept, OptionalList, MediaType<'m>, MediaType::read, words MediaType::plain);
header!(
    /// What the body is for.
    ContentDisposition, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// How the body is encoded, innermost first.
    ContentEncoding, List, &'m str, Cursor::token, tokens);
header!(
    /// Languages of the body.
    ContentLanguage, List, &'m str, Cursor::token, tokens);
header!(
    /// The name of the body, `local@domain`, by which cid URIs refer to it; without the brackets.
    ContentId, Single, &'m str, |cursor: &mut Cursor<'m>| {
        if !cursor.eat(b'<') {
            return Err(Malformed::Angle);
        }
        let id = cursor.take_while(|byte| byte.is_ascii_graphic() && byte != b'>');
        let id = scan::ascii(id).filter(|id| !id.is_empty()).ok_or(Malformed::Empty)?;
        if cursor.eat(b'>') { Ok(id) } else { Err(Malformed::Angle) }
    }
);
header!(
    /// The version of MIME, 1.0.
    MimeVersion, Single, (u32, u32), |cursor: &mut Cursor<'m>| {
        let major = cursor.number_u32()?;
        if !cursor.eat(b'.') {
            return Err(Malformed::Number);
        }
        Ok((major, cursor.number_u32()?))
    }
);
header!(
    /// Encodings the sender takes, possibly none but identity.
    AcceptEncoding, OptionalList, TokenParams<'m>, TokenParams::read, words TokenParams::plain);
header!(
    /// Languages the sender takes.
    AcceptLanguage, OptionalList, TokenParams<'m>, TokenParams::read, words TokenParams::plain);

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

    /// The preference in thousandths, 1000 if nothing is said; `None` if it is malformed.
    pub fn q(&self) -> Option<u16> {
        self.params.get("q").map_or(Some(1000), |q| thousandths(q?))
    }

    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let type_ = cursor.token()?;
        if !cursor.eat_spaced(b'/') {
            return Err(Malformed::Token);
        }
        Ok(Self { type_, subtype: cursor.token()?, params: Params::read(cursor)? })
    }

    /// One without parameters that comes next in a list, and where it ends.
    #[inline(always)]
    fn plain(mut cursor: Cursor<'m>) -> Option<(Self, usize)> {
        cursor.skip_ws();
        let start = cursor.at;
        let slash = cursor.plain_word_end()?;
        if !cursor.eat_at(slash, b'/') {
            return None;
        }
        let end = cursor.plain_word_end().filter(|&end| cursor.ends_at(end))?;
        let type_ = cursor.octets.text(start, slash)?;
        let subtype = cursor.octets.text(slash + 1, end)?;
        Some((Self { type_, subtype, params: Params::none_at(end) }, end))
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
    /// Whether it is this token, in any case.
    pub fn is(&self, token: &str) -> bool {
        self.token.eq_ignore_ascii_case(token)
    }

    /// The preference in thousandths, 1000 if nothing is said; `None` if it is malformed.
    pub fn q(&self) -> Option<u16> {
        self.params.get("q").map_or(Some(1000), |q| thousandths(q?))
    }

    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { token: cursor.token()?, params: Params::read(cursor)? })
    }

    /// One without parameters that comes next in a list, and where it ends.
    #[inline(always)]
    pub(super) fn plain(cursor: Cursor<'m>) -> Option<(Self, usize)> {
        let (token, end) = cursor.plain_value()?;
        Some((Self { token, params: Params::none_at(end) }, end))
    }
}

impl fmt::Display for TokenParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.token, self.params)
    }
}
