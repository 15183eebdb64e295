//! %-escapes of URIs (RFC 3261 §19.1.2, RFC 3986 §2.1): undone for reading, never in place.

use std::borrow::Cow;

/// The octets an escaped text stands for, unescaped once; they may include NUL and need not be UTF-8.
pub fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    Cow::Owned(octets(text.as_bytes()).map(|octet| octet.value).collect())
}

/// `text` with everything escaped that is not unreserved, so that it fits any part of a SIP URI.
pub fn escape(text: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    escaped
}

/// Equality by RFC 3261 §19.1.4: an escaped character equals itself unless it is a reserved one.
pub(super) fn eq_unescaped(left: &[u8], right: &[u8], ignore_case: bool) -> bool {
    let fold = |octet: Octet| match (ignore_case, octet.escaped && is_reserved(octet.value)) {
        (true, escaped) => (octet.value.to_ascii_lowercase(), escaped),
        (false, escaped) => (octet.value, escaped),
    };
    octets(left).map(fold).eq(octets(right).map(fold))
}

/// One octet that a text stands for, and whether it was written as an escape.
#[derive(Clone, Copy)]
pub(super) struct Octet {
    pub(super) value: u8,
    pub(super) escaped: bool,
}

pub(super) fn octets(text: &[u8]) -> impl Iterator<Item = Octet> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let &first = text.get(at)?;
        if first == b'%'
            && let Some(value) = text.get(at + 1..at + 3).and_then(hex)
        {
            at += 3;
            return Some(Octet { value, escaped: true });
        }
        at += 1;
        Some(Octet { value: first, escaped: false })
    })
}

fn hex(two: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match two {
        &[high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

pub(super) fn is_reserved(byte: u8) -> bool {
    b";/?:@&=+$,".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescaping_happens_once_and_keeps_nul() {
        assert_eq!(&*unescape("v%61lue%25%34%31"), b"value%41");
        assert_eq!(&*unescape("null-%00-null"), b"null-\0-null");
        assert_eq!(&*unescape("100%"), b"100%");
        assert_eq!(escape("a b@é".as_bytes()), "a%20b%40%C3%A9");
        assert_eq!(&*unescape(&escape(&[0, 255, b'%'])), &[0, 255, b'%']);
    }

    #[test]
    fn reserved_characters_differ_from_their_escapes() {
        assert!(eq_unescaped(b"%61lice", b"alice", false));
        assert!(!eq_unescaped(b"a%3Bb", b"a;b", false));
        assert!(eq_unescaped(b"a%3Bb", b"a%3bb", false));
        assert!(!eq_unescaped(b"A", b"a", false));
    }
}
