//! Text for people: quoted strings, display names, reason phrases, TEXT-UTF8 (RFC 3261 §25.1).

use std::{borrow::Cow, fmt};

use super::{Malformed, scan::Cursor};

/// Text as it lies in the message; it should be UTF-8 and need not be, so it is displayed lossily.
#[derive(Clone, Copy)]
pub struct Text<'m> {
    raw: &'m [u8],
    quoted: bool,
}

impl<'m> Text<'m> {
    /// Text without quotes around it, in which a backslash is a backslash.
    pub fn plain(raw: &'m [u8]) -> Self {
        Self { raw, quoted: false }
    }

    /// The inside of a quoted-string, in which a backslash escapes what follows it.
    pub fn quoted(raw: &'m [u8]) -> Self {
        Self { raw, quoted: true }
    }

    /// As it is in the message, without the quotes.
    pub fn raw(&self) -> &'m [u8] {
        self.raw
    }

    /// Whether it stood in quotes.
    pub fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// What it says: escapes undone, a fold read as one space (RFC 3261 §7.3.1).
    pub fn octets(&self) -> Cow<'m, [u8]> {
        let plain = |byte: &u8| !(matches!(byte, b'\r' | b'\n') || self.quoted && *byte == b'\\');
        if self.raw.iter().all(plain) {
            return Cow::Borrowed(self.raw);
        }
        let mut said = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            match byte {
                // No line end can be escaped: it is a fold, with a stray backslash before it.
                b'\\' if self.quoted && matches!(rest.peek(), Some(b'\r' | b'\n')) => {}
                b'\\' if self.quoted => said.extend(rest.next()),
                b'\r' | b'\n' => {
                    while rest.next_if(|next| b" \t\r\n".contains(next)).is_some() {}
                    if !matches!(said.last(), Some(b' ' | b'\t')) {
                        said.push(b' ');
                    }
                }
                other => said.push(other),
            }
        }
        Cow::Owned(said)
    }

    /// The same as a string, with U+FFFD for what is not UTF-8.
    pub fn to_str(&self) -> Cow<'m, str> {
        match self.octets() {
            Cow::Borrowed(octets) => String::from_utf8_lossy(octets),
            Cow::Owned(octets) => Cow::Owned(String::from_utf8_lossy(&octets).into_owned()),
        }
    }

    /// Takes the whole value as it is.
    pub(super) fn read_all(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self::plain(cursor.take_rest()))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_str())
    }
}

/// Equal if they say the same, quoted or not.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        *self.octets() == *other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// Writes any text as a quoted-string: the quotes, a backslash before `"` and `\`, and a space for each
/// CR and LF, which a quoted-string cannot hold even escaped (RFC 3261 §25.1).
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'t>(pub &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\r' | '\n' => f.write_char(' ')?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_folds_and_wrong_octets() {
        assert_eq!(Text::quoted(br#"a \"b\" \\"#), r#"a "b" \"#);
        assert_eq!(Text::plain(br"a \b"), r"a \b");
        assert_eq!(Text::plain(b"a\r\n  b"), "a b");
        assert_eq!(Text::plain(b"a \r\n\tb"), "a b");
        assert_eq!(Text::quoted(b"nul\\\0!").octets().as_ref(), b"nul\0!");
        assert_eq!(Text::quoted(b"a\\\r\n b\\\r\n\tc\\"), "a b c");
        assert_eq!(Text::plain(b"caf\xE9").to_string(), "caf\u{FFFD}");
        assert_eq!(Quoted("say \"\\\"\r\nBye: x").to_string(), r#""say \"\\\"  Bye: x""#);
    }
}
