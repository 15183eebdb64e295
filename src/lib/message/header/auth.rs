//! Challenges and credentials: WWW-Authenticate, Proxy-Authenticate, Authorization, Proxy-Authorization,
//! Authentication-Info (RFC 3261 §20.44, §20.27, §20.7, §20.28, §20.6; RFC 7235), Proxy-Authentication-Info
//! (RFC 7615).
//!
//! Their commas separate parameters, so a row is one value (RFC 3261 §7.3.1). What a scheme other than
//! Digest has to say is kept as it is: it need not consist of parameters.

use std::{borrow::Cow, fmt};

use super::header;
use crate::message::{Cursor, Malformed, Text, scan};

header!(
    /// The challenge of a user agent server or registrar (401).
    WwwAuthenticate, Single, Challenge<'m>, Challenge::read);
header!(
    /// The challenge of a proxy (407).
    ProxyAuthenticate, Single, Challenge<'m>, Challenge::read);
header!(
    /// Credentials for a user agent server or registrar.
    Authorization, Single, Credentials<'m>, Credentials::read);
header!(
    /// Credentials for a proxy.
    ProxyAuthorization, Single, Credentials<'m>, Credentials::read);
header!(
    /// What the server says after it has accepted credentials.
    AuthenticationInfo, Single, AuthParams<'m>, |cursor: &mut Cursor<'m>| AuthParams::read(cursor, true));
header!(
    /// What a proxy says after it has accepted credentials.
    ProxyAuthenticationInfo, Single, AuthParams<'m>, |cursor: &mut Cursor<'m>| AuthParams::read(cursor, true));

/// What credentials are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Challenge<'m> {
    /// As written; Digest in most cases.
    pub scheme: &'m str,
    /// What the scheme has to say.
    pub params: AuthParams<'m>,
}

impl<'m> Challenge<'m> {
    /// Whether the scheme is Digest, in any case.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(DIGEST)
    }

    /// Reads one that stands alone, such as a part of a field of HTTP.
    pub fn parse(text: &'m str) -> Option<Self> {
        Self::read(&mut Cursor::new(text.trim().as_bytes())).ok()
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let (scheme, params) = scheme_and_params(cursor)?;
        Ok(Self { scheme, params })
    }
}

/// Proof of knowing a secret.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'m> {
    /// As written; Digest in most cases.
    pub scheme: &'m str,
    /// What the scheme has to say.
    pub params: AuthParams<'m>,
}

impl<'m> Credentials<'m> {
    /// Whether the scheme is Digest, in any case.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(DIGEST)
    }

    /// Reads what stands alone.
    pub fn parse(text: &'m str) -> Option<Self> {
        Self::read(&mut Cursor::new(text.trim().as_bytes())).ok()
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let (scheme, params) = scheme_and_params(cursor)?;
        Ok(Self { scheme, params })
    }
}

/// The scheme and what it has to say, as written.
macro_rules! display {
    ($view:ident) => {
        impl fmt::Display for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.scheme, self.params)
            }
        }
    };
}
display!(Challenge);
display!(Credentials);

fn scheme_and_params<'m>(cursor: &mut Cursor<'m>) -> Result<(&'m str, AuthParams<'m>), Malformed> {
    let scheme = cursor.token()?;
    cursor.skip_ws();
    Ok((scheme, AuthParams::read(cursor, scheme.eq_ignore_ascii_case(DIGEST))?))
}

const DIGEST: &str = "Digest";

/// `name=value` pairs between commas, or whatever else the scheme has.
#[derive(Clone, Copy)]
pub struct AuthParams<'m> {
    text: &'m str,
}

/// One parameter; `value` is without its quotes, backslashes still in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthParam<'m> {
    /// As written.
    pub name: &'m str,
    /// Without quotes.
    pub value: &'m str,
    /// Whether the value stood in quotes.
    pub quoted: bool,
}

impl<'m> AuthParams<'m> {
    /// The value without its quotes, as digests are computed over it (RFC 7616 §3.4); names in any case.
    pub fn get(&self, name: &str) -> Option<&'m str> {
        self.find(name).map(|param| param.value)
    }

    /// The value with its backslash escapes undone.
    pub fn text(&self, name: &str) -> Option<Cow<'m, str>> {
        let param = self.find(name)?;
        let bytes = param.value.as_bytes();
        Some(if param.quoted { Text::quoted(bytes) } else { Text::plain(bytes) }.to_str())
    }

    /// The first parameter of that name, in any case.
    pub fn find(&self, name: &str) -> Option<AuthParam<'m>> {
        self.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }

    /// All parameters; it ends where something else begins.
    pub fn iter(&self) -> impl Iterator<Item = AuthParam<'m>> + use<'m> {
        let mut cursor = Cursor::new(self.text.as_bytes());
        std::iter::from_fn(move || {
            let param = read_param(&mut cursor).ok();
            cursor.eat_spaced(b',');
            param
        })
    }

    /// Reads parameters that stand alone.
    pub fn parse(text: &'m str) -> Option<Self> {
        Self::read(&mut Cursor::new(text.trim().as_bytes()), true).ok()
    }

    /// Everything after the scheme, as written.
    pub fn as_str(&self) -> &'m str {
        self.text
    }

    fn read(cursor: &mut Cursor<'m>, strict: bool) -> Result<Self, Malformed> {
        if strict {
            let mut check = *cursor;
            read_param(&mut check)?;
            while check.eat_spaced(b',') {
                read_param(&mut check)?;
            }
            check.finish()?;
        }
        let text = std::str::from_utf8(cursor.take_rest()).map_err(|_| Malformed::Utf8)?;
        Ok(Self { text })
    }
}

fn read_param<'m>(cursor: &mut Cursor<'m>) -> Result<AuthParam<'m>, Malformed> {
    let name = cursor.token()?;
    if !cursor.eat_spaced(b'=') {
        return Err(Malformed::Parameter);
    }
    let quoted = cursor.peek() == Some(b'"');
    let value = if quoted { cursor.quoted()? } else { cursor.take_while(scan::is_value) };
    let value = std::str::from_utf8(value).map_err(|_| Malformed::Utf8)?;
    Ok(AuthParam { name, value, quoted })
}

impl fmt::Display for AuthParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Debug for AuthParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|param| (param.name, param.value))).finish()
    }
}
