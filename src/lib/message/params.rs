//! Parameters after ";" in header values and URIs (RFC 3261 §25.1 generic-param, uri-parameters).

use std::fmt;

use super::{
    Malformed,
    escape::eq_unescaped,
    scan::{self, Cursor},
};

/// `;name=value` pairs where they stand; reading them again costs a scan, never an allocation.
///
/// Names compare without regard to case, and in a URI with %-escapes undone (RFC 3261 §19.1.4).
/// Values come as written: without the quotes of a quoted-string, but with its backslashes.
#[derive(Clone, Copy, Default)]
pub struct Params<'m> {
    text: &'m str,
    origin: usize,
    in_uri: bool,
}

impl<'m> Params<'m> {
    /// No parameters.
    pub const NONE: Params<'static> = Params { text: "", origin: 0, in_uri: false };

    /// `None`: there is no such parameter. `Some(None)`: it has no value, as in `;lr`.
    pub fn get(&self, name: &str) -> Option<Option<&'m str>> {
        self.find(name).map(|param| param.value)
    }

    /// The value, if the parameter is there and has one.
    pub fn value(&self, name: &str) -> Option<&'m str> {
        self.get(name).flatten()
    }

    /// Whether there is such a parameter.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Name and value of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'m str, Option<&'m str>)> + use<'m> {
        self.each().map(|param| (param.name, param.value))
    }

    /// The same with what else is known of each.
    pub fn each(&self) -> impl Iterator<Item = Param<'m>> + use<'m> {
        let mut cursor = Cursor::within(self.text.as_bytes(), self.origin);
        std::iter::from_fn(move || read_param(&mut cursor).ok().flatten())
    }

    /// The first parameter of that name.
    pub fn find(&self, name: &str) -> Option<Param<'m>> {
        let in_uri = self.in_uri;
        self.each().find(|param| {
            param.name.eq_ignore_ascii_case(name)
                || in_uri && eq_unescaped(param.name.as_bytes(), name.as_bytes(), true)
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// As written, from the first ";" on.
    pub fn as_str(&self) -> &'m str {
        self.text
    }

    /// Where the parameters end, in octets from the start of the message: a further one goes there.
    pub fn end(&self) -> usize {
        self.origin + self.text.len()
    }

    /// Takes all parameters that follow; each is checked, so that reading them later cannot fail.
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let (all, origin) = (cursor.rest(), cursor.position());
        let mut length = 0;
        while read_param(cursor)?.is_some() {
            length = cursor.position() - origin;
        }
        let text = std::str::from_utf8(&all[..length]).map_err(|_| Malformed::Utf8)?;
        Ok(Self { text, origin, in_uri: false })
    }

    /// URI parameters, already checked.
    pub(super) fn in_uri(text: &'m str) -> Self {
        Self { text, origin: 0, in_uri: true }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'m> {
    /// As written.
    pub name: &'m str,
    /// Without quotes; `None` without a "=".
    pub value: Option<&'m str>,
    /// Whether the value stood in quotes.
    pub quoted: bool,
    /// Octets from the start of the message (or URI) where name and value lie, without the ";".
    pub span: scan::Span,
}

impl fmt::Display for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.value {
            Some(value) if self.quoted => write!(f, "=\"{value}\""),
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

/// Writes them back with the optional white space left out.
impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each().try_for_each(|param| write!(f, ";{param}"))
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The next `;name[=value]`; `None` when no ";" follows.
fn read_param<'m>(cursor: &mut Cursor<'m>) -> Result<Option<Param<'m>>, Malformed> {
    if !cursor.eat_spaced(b';') {
        return Ok(None);
    }
    let start = cursor.position();
    let name = cursor.take_while(|byte| scan::is_value(byte) && byte != b'=');
    let name = scan::ascii(name).filter(|name| !name.is_empty()).ok_or(Malformed::Parameter)?;
    let (value, quoted) = if !cursor.eat_spaced(b'=') {
        (None, false)
    } else if cursor.peek() == Some(b'"') {
        (Some(cursor.quoted()?), true)
    } else {
        (Some(cursor.take_while(scan::is_value)), false)
    };
    let value = match value {
        Some(bytes) => Some(std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8)?),
        None => None,
    };
    Ok(Some(Param { name, value, quoted, span: scan::Span::new(start, cursor.position()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Params<'_>, Malformed> {
        let mut cursor = Cursor::new(text.as_bytes());
        let params = Params::read(&mut cursor)?;
        cursor.finish()?;
        Ok(params)
    }

    #[test]
    fn names_values_flags_and_white_space() {
        let params = read(";lr ; A =\r\n b;q=\"x;\\\"y\" ;empty=").unwrap();
        assert_eq!(params.get("LR"), Some(None));
        assert_eq!(params.value("a"), Some("b"));
        assert_eq!(params.value("q"), Some("x;\\\"y"));
        assert_eq!(params.value("empty"), Some(""));
        assert_eq!(params.get("none"), None);
        assert_eq!(params.to_string(), ";lr;A=b;q=\"x;\\\"y\";empty=");
        assert_eq!(params.iter().count(), 4);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn separators_without_a_parameter_are_refused() {
        for text in [";;a", ";", ";a;", ";=b", "; ;", ";,"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read(";a=\"b").unwrap_err(), Malformed::Quote);
    }
}
