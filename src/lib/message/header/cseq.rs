//! CSeq (RFC 3261 §20.16) and RAck (RFC 3262 §7.2): numbers that tie messages together.

use std::fmt;

use super::{Form, Header, header};
use crate::message::{Cursor, HeaderId, Malformed, Method};

/// Sequence number and method of a request. As a type parameter it names the header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'m> {
    /// Below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method of the request line.
    pub method: Method<'m>,
}

impl Header for CSeq<'_> {
    const ID: HeaderId = HeaderId::CSeq;
    const FORM: Form = Form::Single;
    type View<'m> = CSeq<'m>;

    #[inline]
    fn read<'m>(cursor: &mut Cursor<'m>) -> Result<CSeq<'m>, Malformed> {
        let number = cursor.number_u32()?;
        if number > MAX {
            return Err(Malformed::Range);
        }
        Ok(CSeq { number, method: Method::read(spaced(cursor)?)? })
    }
}

impl fmt::Display for CSeq<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

const MAX: u32 = (1 << 31) - 1;

header!(
    /// Which reliable provisional response a PRACK acknowledges.
    RAck, Single, RAckValue<'m>, |cursor: &mut Cursor<'m>| {
        let response = cursor.number_u32()?;
        let cseq = CSeq::read(spaced(cursor)?)?;
        Ok(RAckValue { response, cseq })
    }
);

/// Numbers of the response that is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RAckValue<'m> {
    /// The RSeq of the response.
    pub response: u32,
    /// The CSeq of the response.
    pub cseq: CSeq<'m>,
}

impl fmt::Display for RAckValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.response, self.cseq)
    }
}

/// The white space that must come next.
#[inline]
fn spaced<'c, 'm>(cursor: &'c mut Cursor<'m>) -> Result<&'c mut Cursor<'m>, Malformed> {
    let before = cursor.position();
    cursor.skip_ws();
    if cursor.position() == before { Err(Malformed::Token) } else { Ok(cursor) }
}
