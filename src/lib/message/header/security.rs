//! Security-Client, Security-Server, Security-Verify (RFC 3329 §2.2): agreement on how the first hop is
//! secured.

use std::fmt;

use super::{header, qvalue::thousandths};
use crate::message::{Cursor, Malformed, Params};

header!(
    /// What the client can do.
    SecurityClient, List, SecurityMechanism<'m>, SecurityMechanism::read);
header!(
    /// What the server can do.
    SecurityServer, List, SecurityMechanism<'m>, SecurityMechanism::read);
header!(
    /// What the client heard from the server, so that nobody can have weakened it.
    SecurityVerify, List, SecurityMechanism<'m>, SecurityMechanism::read);

/// One mechanism.
#[derive(Debug, Clone, Copy)]
pub struct SecurityMechanism<'m> {
    /// digest, tls, ipsec-ike, ipsec-man, ipsec-3gpp, sdes-srtp or another.
    pub name: &'m str,
    /// q, d-alg, d-qop, d-ver and others.
    pub params: Params<'m>,
}

impl<'m> SecurityMechanism<'m> {
    /// The preference in thousandths; `None` if there is none or it is malformed.
    pub fn q(&self) -> Option<u16> {
        thousandths(self.params.value("q")?)
    }

    /// The digest algorithm (d-alg).
    pub fn digest_algorithm(&self) -> Option<&'m str> {
        self.params.value("d-alg")
    }

    /// The digest quality of protection (d-qop).
    pub fn digest_qop(&self) -> Option<&'m str> {
        self.params.value("d-qop")
    }

    /// The digest over the server's list (d-ver), 32 hexadecimal digits.
    pub fn digest_verify(&self) -> Option<&'m str> {
        self.params.value("d-ver")
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { name: cursor.token()?, params: Params::read(cursor)? })
    }
}

impl fmt::Display for SecurityMechanism<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.params)
    }
}
