//! name-addr and addr-spec as From, To, Contact, Route and their kin use them (RFC 3261 §20.10).
//!
//! Refuses a bare URI with "?" (it needs angle brackets) and an unquoted display name that is more than
//! tokens. Octets above ASCII in such a name, and white space next to the brackets, are let pass: both are
//! common, and neither can be misread (RFC 4475 §3.1.2.14).

use std::fmt;

use super::{
    Malformed, Params, Text, Uri, UriBuf,
    block::{self, end_of},
    header::Form,
    scan::{self, Cursor},
    text::Quoted,
    uri::Walked,
};

/// An address with its display name and header parameters.
#[derive(Debug, Clone, Copy)]
pub struct NameAddr<'m> {
    /// What to call the person or thing.
    pub display: Option<Text<'m>>,
    /// The URI, without the brackets.
    pub uri: Uri<'m>,
    /// The header's parameters, not the URI's.
    pub params: Params<'m>,
}

impl<'m> NameAddr<'m> {
    /// A whole address and nothing else.
    pub fn parse(text: &'m str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip_ws();
        let address = Self::read(&mut cursor)?;
        cursor.finish()?;
        Ok(address)
    }

    /// The tag parameter of From and To.
    pub fn tag(&self) -> Option<&'m str> {
        self.params.value("tag")
    }

    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        match Self::plain(cursor) {
            Some(address) => {
                cursor.at = address.params.end();
                Ok(address)
            }
            None => Self::read_any(cursor),
        }
    }

    /// Goes to the values of a list, or to the one value there may be, up to the first with anything unusual in it;
    /// gives where that one begins, or `None` if there is none.
    #[inline(always)]
    pub(super) fn plain_front(
        form: Form,
        mut cursor: Cursor<'m>,
        mut with: impl FnMut(&Self),
    ) -> Option<usize> {
        loop {
            // It stays where it is read to.
            let address = Self::plain(&cursor);
            let Some(address) = &address else { return Some(cursor.at) };
            let end = address.params.end();
            if form == Form::Single && end != cursor.end {
                return Some(cursor.at);
            }
            with(address);
            cursor.at = cursor.after_comma(end)?;
        }
    }

    /// `["display name"] <sip:…>` with nothing unusual in it, at the end or before a comma.
    #[inline(never)]
    pub(super) fn plain(cursor: &Cursor<'m>) -> Option<Self> {
        let Cursor { octets, mut at, end } = *cursor;
        let octets = octets.checked(at, end);
        let bytes = octets.bytes.get(..end)?;
        // One in a list has a space before it.
        at += usize::from(bytes.get(at) == Some(&b' '));
        let mut display = None;
        if bytes.get(at) == Some(&b'"') {
            let quote = end_of::<block::Quoted>(bytes, at + 1);
            display = Some(Text::quoted(bytes.get(at + 1..quote)?));
            if bytes.get(quote) != Some(&b'"') {
                return None;
            }
            at = quote + 1;
            at += usize::from(bytes.get(at) == Some(&b' '));
        }
        if bytes.get(at) != Some(&b'<') {
            return None;
        }
        let (uri, Walked { mut walk, at, byte }) = Uri::plain(octets, at + 1)?;
        if byte != b'>' || at >= end {
            return None;
        }
        let (after, byte) = if at + 1 == end { (end, 0) } else { walk.next() };
        if after != at + 1 {
            return None;
        }
        Some(Self { display, uri, params: Params::walked(octets, &mut walk, after, byte, end)? })
    }

    #[inline(never)]
    fn read_any(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Self::read_with(cursor, Params::read)
    }

    /// The same for a field in whose parameters there may be URIs in angle brackets.
    pub(super) fn read_bracketed(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Self::read_with(cursor, Params::read_bracketed)
    }

    #[inline]
    fn read_with(
        cursor: &mut Cursor<'m>,
        params: impl FnOnce(&mut Cursor<'m>) -> Result<Params<'m>, Malformed>,
    ) -> Result<Self, Malformed> {
        let display = match cursor.peek() {
            None => return Err(Malformed::Empty),
            Some(b'<') => None,
            Some(b'"') => {
                let text = Text::quoted(cursor.quoted()?);
                cursor.skip_ws();
                Some(text)
            }
            Some(_) => match plain_display(cursor)? {
                Some(display) => Some(display),
                None => {
                    let uri = bare_uri(cursor)?;
                    return Ok(Self { display: None, uri, params: params(cursor)? });
                }
            },
        };
        let uri = bracketed_uri(cursor)?;
        Ok(Self { display, uri, params: params(cursor)? })
    }
}

/// The tag parameter of an address of which nothing else is looked at.
pub(super) fn read_tag<'m>(cursor: &mut Cursor<'m>) -> Result<Option<&'m str>, Malformed> {
    match plain_tag(cursor) {
        Some(tag) => {
            cursor.at = cursor.end;
            Ok(tag)
        }
        None => any_tag(cursor),
    }
}

/// The same, if nothing is unusual up to the tag.
#[inline(always)]
fn plain_tag<'m>(cursor: &Cursor<'m>) -> Option<Option<&'m str>> {
    let Cursor { octets, mut at, end } = *cursor;
    let bytes = octets.bytes.get(..end)?;
    if bytes.get(at) == Some(&b'"') {
        at = end_of::<block::Quoted>(bytes, at + 1);
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        at += 1;
    }
    at = end_of::<block::Front>(bytes, at);
    if bytes.get(at) == Some(&b'<') {
        at = end_of::<block::Inside>(bytes, at) + 1;
    }
    Params::plain_one(octets, at, end, b"tag")
}

#[inline(never)]
fn any_tag<'m>(cursor: &mut Cursor<'m>) -> Result<Option<&'m str>, Malformed> {
    if cursor.peek() == Some(b'"') {
        cursor.quoted()?;
    }
    let rest = cursor.rest();
    let length = scan::length_while(rest, |byte| !matches!(byte, b'<' | b';'));
    if rest.get(length) == Some(&b'<') {
        let end = memchr::memchr(b'>', &rest[length..]).ok_or(Malformed::Angle)?;
        cursor.advance(length + end + 1);
    } else {
        cursor.advance(length);
    }
    let tag = Params::read_one(cursor, "tag");
    cursor.take_rest();
    tag
}

/// The address as this library writes it: always with angle brackets.
impl fmt::Display for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = self.display {
            let raw = String::from_utf8_lossy(display.raw());
            match (display.is_quoted(), display.is_empty()) {
                (true, _) => write!(f, "\"{raw}\" ")?,
                (false, true) => {}
                (false, false) => write!(f, "{raw} ")?,
            }
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// `*(token LWS)` before "<"; no white space is needed between them (RFC 4475 §3.1.1.6). `None`: it is
/// a bare addr-spec, because the colon of a scheme comes first.
fn plain_display<'m>(cursor: &mut Cursor<'m>) -> Result<Option<Text<'m>>, Malformed> {
    let rest = cursor.rest();
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        if !(scan::is_token(byte) || scan::is_ws(byte) || byte >= 0x80) {
            break;
        }
        at += 1;
    }
    match rest.get(at) {
        Some(b'<') => {
            cursor.advance(at);
            Ok(Some(Text::plain(scan::trim(&rest[..at]))))
        }
        // What has no bracket can only be a URI, whatever is wrong with it.
        Some(b':') if !rest[..at].iter().any(|&byte| scan::is_ws(byte)) => Ok(None),
        _ if memchr::memchr(b'<', rest).is_none() => Ok(None),
        _ => {
            cursor.advance(at);
            Err(Malformed::DisplayName)
        }
    }
}

/// `<URI>`; white space next to the brackets is let pass.
#[inline]
pub(super) fn bracketed_uri<'m>(cursor: &mut Cursor<'m>) -> Result<Uri<'m>, Malformed> {
    let rest = cursor.rest();
    if rest.first() != Some(&b'<') {
        return Err(Malformed::Angle);
    }
    let end = memchr::memchr(b'>', rest).ok_or(Malformed::Angle)?;
    cursor.advance(1);
    cursor.skip_ws();
    let inner = scan::trim(&rest[1..end]);
    let uri = uri_of(cursor, inner.len())?;
    cursor.advance(inner.len());
    cursor.skip_ws();
    cursor.eat(b'>');
    Ok(uri)
}

/// An addr-spec without brackets: ";" begins the header's parameters, "?" is not allowed (§20.10).
pub(super) fn bare_uri<'m>(cursor: &mut Cursor<'m>) -> Result<Uri<'m>, Malformed> {
    let rest = cursor.rest();
    let end = |&byte: &u8| scan::is_ws(byte) || matches!(byte, b';' | b',' | b'?');
    let length = rest.iter().position(end).unwrap_or(rest.len());
    if rest.get(length) == Some(&b'?') {
        cursor.advance(length);
        return Err(Malformed::BareUri);
    }
    let uri = uri_of(cursor, length)?;
    cursor.advance(length);
    Ok(uri)
}

/// The URI that comes next; if it is wrong, the cursor is left where it is so.
#[inline]
fn uri_of<'m>(cursor: &mut Cursor<'m>, length: usize) -> Result<Uri<'m>, Malformed> {
    let text = cursor.ahead(length).ok_or(Malformed::Utf8)?;
    Uri::read(text).map_err(|(at, why)| {
        cursor.advance(at);
        Malformed::Uri(why)
    })
}

/// An address of its own: a display name and a URI, without header parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressBuf {
    display: Option<Box<str>>,
    uri: UriBuf,
}

impl AddressBuf {
    /// Any form a header or a person may write: `"Bob" <sip:bob@host>`, `<sip:bob@host>`, `sip:bob@host`.
    /// Header parameters are dropped.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Ok(NameAddr::parse(text)?.into())
    }

    /// From a display name, which may hold anything, and a URI.
    pub fn new(display: Option<&str>, uri: UriBuf) -> Self {
        Self { display: display.map(Into::into), uri }
    }

    /// The display name with its escapes undone.
    pub fn display(&self) -> Option<&str> {
        self.display.as_deref()
    }

    /// The URI, owned.
    pub fn uri(&self) -> &UriBuf {
        &self.uri
    }

    /// The URI as a view.
    pub fn as_uri(&self) -> Uri<'_> {
        self.uri.as_uri()
    }
}

impl From<NameAddr<'_>> for AddressBuf {
    fn from(address: NameAddr<'_>) -> Self {
        let display = address.display.filter(|display| !display.is_empty());
        Self { display: display.map(|display| display.to_str().into()), uri: address.uri.into() }
    }
}

impl From<UriBuf> for AddressBuf {
    fn from(uri: UriBuf) -> Self {
        Self { display: None, uri }
    }
}

impl std::str::FromStr for AddressBuf {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::parse(text)
    }
}

/// As a header takes it: the display name quoted, the URI in angle brackets.
impl fmt::Display for AddressBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", Quoted(display))?;
        }
        write!(f, "<{}>", self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::UriError;

    #[test]
    fn the_forms_of_an_address() {
        let cases = [
            ("sip:a@b;tag=1", None, "sip:a@b", Some("1"), "<sip:a@b>;tag=1"),
            ("<sip:a@b;lr>;tag=1", None, "sip:a@b;lr", Some("1"), "<sip:a@b;lr>;tag=1"),
            ("caller<sip:a@b>", Some("caller"), "sip:a@b", None, "caller <sip:a@b>"),
            ("T. Watson  <sip:a@b>", Some("T. Watson"), "sip:a@b", None, "T. Watson <sip:a@b>"),
            ("\"A, \\\"B\\\" <x>\" <sip:a@b>", Some("A, \"B\" <x>"), "sip:a@b", None, ""),
            ("\"\"<sip:a@b>", Some(""), "sip:a@b", None, "\"\" <sip:a@b>"),
            ("Zoë <sip:a@b>", Some("Zoë"), "sip:a@b", None, "Zoë <sip:a@b>"),
            ("sip:a@b;x=\"<y>\"", None, "sip:a@b", None, "<sip:a@b>;x=\"<y>\""),
            ("<sip:a,b@c?x=y>", None, "sip:a,b@c?x=y", None, "<sip:a,b@c?x=y>"),
            ("< sip:a@b >", None, "sip:a@b", None, "<sip:a@b>"),
            ("http://www.example.com;tag=x", None, "http://www.example.com", Some("x"), ""),
        ];
        for (text, display, uri, tag, written) in cases {
            let address = NameAddr::parse(text).unwrap();
            assert_eq!(address.display.map(|text| text.to_string()).as_deref(), display, "{text}");
            assert_eq!((address.uri.as_str(), address.tag()), (uri, tag), "{text}");
            if !written.is_empty() {
                assert_eq!(address.to_string(), written);
            }
            assert_eq!(NameAddr::parse(&address.to_string()).unwrap().to_string(), address.to_string());
        }
    }

    #[test]
    fn refused() {
        let cases = [
            ("", Malformed::Empty),
            ("\"Mr. J. User <sip:j.user@example.com>", Malformed::Quote),
            ("Bell, Alexander <sip:a@b>", Malformed::DisplayName),
            ("\"x\" sip:a@b", Malformed::Angle),
            ("<sip:a@b", Malformed::Angle),
            ("<sip:a @b>", Malformed::Uri(UriError::Character)),
            ("sip:a@b?Route=%3Csip:x%3E", Malformed::BareUri),
            ("<sip:a@b>;;;;", Malformed::Parameter),
            ("<sip:a@b> x", Malformed::Trailing),
            ("<>", Malformed::Uri(UriError::Scheme)),
        ];
        for (text, why) in cases {
            assert_eq!(NameAddr::parse(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn owned_addresses_quote_their_name() {
        let address = AddressBuf::new(Some("a \"b\"\r\nX: y"), UriBuf::parse("sip:a@b").unwrap());
        assert_eq!(address.to_string(), "\"a \\\"b\\\"  X: y\" <sip:a@b>");
        let folded = AddressBuf::parse("\"a\\\r\n b\" <sip:b@c>").unwrap();
        assert_eq!(AddressBuf::parse(&folded.to_string()), Ok(folded));
        let read = AddressBuf::parse("\"Bob \\\\\" <sip:bob@x>;tag=1").unwrap();
        assert_eq!(read.display(), Some("Bob \\"));
        assert_eq!(read.to_string(), "\"Bob \\\\\" <sip:bob@x>");
    }
}
