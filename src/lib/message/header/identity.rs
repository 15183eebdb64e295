//! Identity (RFC 8224 §4) and what it replaced: Identity with a quoted signature, Identity-Info (RFC 4474).
//!
//! The signature is kept as written; that it is one, only those who verify it can say.

use std::fmt;

use super::{Reference, header};
use crate::message::{Cursor, Malformed, Params, Uri, scan};

header!(
    /// A signature over who calls whom; there may be several.
    Identity, List, IdentityValue<'m>, IdentityValue::read);
header!(
    /// Where the certificate is (RFC 4474; gone in RFC 8224).
    IdentityInfo, Single, Reference<'m>, Reference::read);

/// One signature.
#[derive(Debug, Clone, Copy)]
pub struct IdentityValue<'m> {
    /// Base64 and dots: a PASSporT in full or compact form, or a bare signature if it was quoted.
    pub digest: &'m str,
    /// Whether it stood in quotes, as RFC 4474 has it.
    pub quoted: bool,
    /// info, alg, ppt and others.
    pub params: Params<'m>,
}

impl<'m> IdentityValue<'m> {
    /// Where the certificate is.
    pub fn info(&self) -> Option<Uri<'m>> {
        let text = self.params.value("info")?;
        Uri::parse(text.strip_prefix('<')?.strip_suffix('>')?).ok()
    }

    /// The algorithm, ES256 if nothing is said (RFC 8224 §4).
    pub fn algorithm(&self) -> &'m str {
        self.params.value("alg").unwrap_or("ES256")
    }

    /// The type of PASSporT: shaken (RFC 8588), div (RFC 8946) or another.
    pub fn passport_type(&self) -> Option<&'m str> {
        self.params.value("ppt")
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let quoted = cursor.peek() == Some(b'"');
        let digest = if quoted { cursor.quoted()? } else { cursor.take_while(is_digest) };
        if digest.is_empty()
            || !digest.iter().copied().all(|byte| is_digest(byte) || quoted && scan::is_ws(byte))
        {
            return Err(Malformed::Digest);
        }
        let digest = scan::ascii(digest).ok_or(Malformed::Digest)?;
        Ok(Self { digest, quoted, params: Params::read_bracketed(cursor)? })
    }
}

/// Base64 in its usual and its URL alphabet, with padding, and the dots of a PASSporT.
fn is_digest(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'.')
}

impl fmt::Display for IdentityValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.quoted { "\"" } else { "" };
        write!(f, "{quote}{}{quote}{}", self.digest, self.params)
    }
}
