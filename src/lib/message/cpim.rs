//! Common presence and instant messaging bodies: message/cpim (RFC 3862), an envelope for instant messages
//! that survives gateways.
//!
//! Its header fields are not those of SIP: names compare with their case, `NS` declares prefixes, values may
//! be in any language. Then comes an empty line and a MIME part with header fields of its own.

use std::{borrow::Cow, fmt::Write as _};

use memchr::memmem;
use thiserror::Error;

use super::{
    Limits, Part,
    header::{ContentType, MediaType},
};

/// An instant message in its envelope; everything borrows from the body.
#[derive(Debug, Clone, Copy)]
pub struct Cpim<'m> {
    head: &'m str,
    part: Part<'m>,
}

/// A message header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'m> {
    /// As written, a namespace prefix and its dot included; case matters.
    pub name: &'m str,
    /// `lang=fr;x="y"`, as written; empty if there are none.
    pub params: &'m str,
    /// As written, with its escapes.
    pub value: &'m str,
}

impl<'m> Field<'m> {
    /// §3.1: a name, a colon, parameters, one space, a value.
    fn read(line: &'m str) -> Option<Self> {
        let (name, rest) = line.split_once(':')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let space = rest.bytes().position(|byte| {
            let found = byte == b' ' && !quoted;
            quoted ^= byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            found
        });
        // Senders leave out the space before an empty value.
        let (params, value) = space.map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]));
        let params = if params.is_empty() { params } else { params.strip_prefix(';')? };
        Some(Self { name, params, value })
    }

    /// The value with its escapes (§2.3) resolved.
    pub fn text(&self) -> Cow<'m, str> {
        unescape(self.value)
    }

    /// The language the value is in (§3.1).
    pub fn language(&self) -> Option<&'m str> {
        self.params.split(';').find_map(|param| param.strip_prefix("lang="))
    }
}

/// Why a body is no message/cpim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CpimError {
    /// No empty line ends the message headers, or those of the content.
    #[error("the empty line after the message headers is missing")]
    NoContent,
    /// More octets than [`Limits::head`] or more lines than [`Limits::rows`].
    #[error("the message headers are larger than allowed")]
    TooLarge,
    /// With the first octet of the body that is not.
    #[error("the message headers are not UTF-8 (octet {0})")]
    NotUtf8(usize),
    /// With the number of the line, from 1.
    #[error("message header line {0} has no name, no colon or no space after it")]
    Line(usize),
}

impl<'m> Cpim<'m> {
    /// Reads a body; `limits.head` bounds its header fields and `limits.rows` their number.
    pub fn parse(body: &'m [u8], limits: &Limits) -> Result<Self, CpimError> {
        let end = memmem::find(body, b"\r\n\r\n").ok_or(CpimError::NoContent)?;
        if end > limits.head {
            return Err(CpimError::TooLarge);
        }
        let head =
            std::str::from_utf8(&body[..end]).map_err(|error| CpimError::NotUtf8(error.valid_up_to()))?;
        for (index, line) in head.split("\r\n").enumerate() {
            if index >= limits.rows {
                return Err(CpimError::TooLarge);
            }
            if Field::read(line).is_none() {
                return Err(CpimError::Line(index + 1));
            }
        }
        let rest = &body[end + 4..];
        // The part may have no header fields of its own; then it begins with the empty line.
        if !rest.starts_with(b"\r\n") && memmem::find(rest, b"\r\n\r\n").is_none() {
            return Err(CpimError::NoContent);
        }
        Ok(Self { head, part: Part::split(rest, *limits, 0) })
    }

    /// Each message header, in order.
    pub fn headers(&self) -> impl Iterator<Item = Field<'m>> + use<'m> {
        self.head.split("\r\n").filter_map(Field::read)
    }

    /// The first message header of that name; names are compared as they stand (§3.1).
    pub fn header(&self, name: &str) -> Option<&'m str> {
        self.headers().find(|field| field.name == name).map(|field| field.value)
    }

    /// From, To and cc: a formal name, if given, and a URI.
    pub fn address(&self, name: &str) -> Option<(Option<&'m str>, &'m str)> {
        let value = self.header(name)?;
        let (display, rest) = value.rsplit_once('<')?;
        let display = display.trim().trim_matches('"');
        Some(((!display.is_empty()).then_some(display), rest.strip_suffix('>')?))
    }

    /// The prefix that `NS` headers give a namespace, for headers such as `imdn.Message-ID` (RFC 5438).
    pub fn prefix(&self, namespace: &str) -> Option<&'m str> {
        self.headers().filter(|field| field.name == "NS").find_map(|field| {
            let (prefix, uri) = field.value.split_once('<')?;
            (uri.strip_suffix('>')? == namespace).then_some(prefix.trim())
        })
    }

    /// What the content is; text/plain if it does not say (RFC 2045 §5.2).
    pub fn content_type(&self) -> Option<MediaType<'m>> {
        self.part.find::<ContentType>().ok().flatten()
    }

    /// The MIME part: its header fields, and the parts in it if it has some.
    pub fn part(&self) -> Part<'m> {
        self.part
    }

    /// What the message says: the body of its MIME part.
    pub fn content(&self) -> &'m [u8] {
        self.part.body()
    }
}

/// Writes a message/cpim body.
///
/// Values are plain text: backslashes, line breaks and control characters in them are written as escapes (§2.3.1),
/// so that nothing breaks out of a header. A name of which nothing is left is left out.
pub fn write<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    content_type: &str,
    content: &[u8],
) -> Vec<u8> {
    let mut head = String::new();
    for (name, value) in headers {
        let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
        if name.is_empty() {
            continue;
        }
        let _ = write!(head, "{name}: ");
        for c in value.chars() {
            match ESCAPES.iter().find(|(_, plain)| *plain == c) {
                Some((letter, _)) => head.extend(['\\', *letter]),
                None if c.is_ascii_control() => _ = write!(head, "\\u{:04x}", u32::from(c)),
                None => head.push(c),
            }
        }
        head.push_str("\r\n");
    }
    let kind: String = content_type.chars().filter(|c| !c.is_control()).collect();
    let _ = write!(head, "\r\nContent-Type: {kind}\r\n\r\n");
    let mut body = head.into_bytes();
    body.extend_from_slice(content);
    body
}

/// §2.3.1; an unknown escape is the character after the backslash, a backslash at the end is nothing.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let Some(letter) = rest.next() else { break };
        let code = rest.as_str().get(..4).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (letter, code) {
            ('u', Some(code)) => {
                let code = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                plain.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = rest.as_str()[4..].chars();
            }
            _ => {
                let known = ESCAPES.iter().find(|(known, _)| *known == letter);
                plain.push(known.map_or(letter, |(_, plain)| *plain));
            }
        }
    }
    plain.into()
}

/// The letters of the special sequences and what they mean (§2.3).
const ESCAPES: [(char, char); 5] = [('\\', '\\'), ('b', '\u{8}'), ('t', '\t'), ('n', '\n'), ('r', '\r')];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3862 §5.1.
    const EXAMPLE: &str = "From: MR SANDERS <im:piglet@100akerwood.com>\r\nTo: Depressed Donkey <im:eeyore@100akerwood.com>\r\n\
        DateTime: 2000-12-13T13:40:00-08:00\r\nSubject: the weather will be fine today\r\n\
        Subject:;lang=fr beau temps prevu pour aujourd'hui\r\nNS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n\
        Require: MyFeatures.VitalMessageOption\r\n\r\nContent-type: text/xml; charset=utf-8\r\n\
        Content-ID: <1234567890@foo.com>\r\n\r\n<body>\r\nHere is the text of my message.\r\n</body>";

    #[test]
    fn the_example_of_the_rfc() {
        let cpim = Cpim::parse(EXAMPLE.as_bytes(), &Limits::default()).unwrap();
        let french = cpim.headers().find(|field| field.language() == Some("fr")).unwrap();
        assert_eq!((french.name, french.value), ("Subject", "beau temps prevu pour aujourd'hui"));
        assert_eq!(cpim.headers().count(), 7);
        assert_eq!(cpim.part().headers().count(), 2);
        assert_eq!(cpim.address("From"), Some((Some("MR SANDERS"), "im:piglet@100akerwood.com")));
        assert_eq!(cpim.header("DateTime"), Some("2000-12-13T13:40:00-08:00"));
        assert_eq!(cpim.header("datetime"), None);
        assert_eq!(cpim.prefix("mid:MessageFeatures@id.foo.com"), Some("MyFeatures"));
        assert!(cpim.content_type().unwrap().is("text", "xml"));
        assert!(cpim.content().starts_with(b"<body>"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let body = write(
            [("From", "<sip:a@b>"), ("To", "<sip:c@d>"), ("Subject", "two\r\nlines")],
            "text/plain",
            b"hi\r\n",
        );
        let cpim = Cpim::parse(&body, &Limits::default()).unwrap();
        assert_eq!(cpim.header("Subject"), Some("two\\r\\nlines"));
        assert_eq!((cpim.address("To"), cpim.content()), (Some((None, "sip:c@d")), &b"hi\r\n"[..]));
    }

    #[test]
    fn escapes_and_parameters() {
        for (value, text) in [
            ("plain", "plain"),
            (r"a\\b\tc\u00e9\u0000", "a\\b\tcé\0"),
            (r#"\"q\" \x \uZZZZ \u12"#, "\"q\" x uZZZZ u12"),
            (r"\ud800é\", "\u{fffd}é"),
        ] {
            assert_eq!(unescape(value), text, "{value}");
        }
        let plain = "a\\b\r\n\t\u{1}\u{7f}é\u{85}\"";
        let body = write([("Subject", plain), ("\r\n:", "nothing")], "text/plain", b"");
        let cpim = Cpim::parse(&body, &Limits::default()).unwrap();
        assert_eq!(cpim.headers().map(|field| field.text()).collect::<Vec<_>>(), [plain]);
        let field = Field::read("X:;a=\"b \\\" c\";lang=de e: f").unwrap();
        assert_eq!(
            (field.params, field.language(), field.value),
            ("a=\"b \\\" c\";lang=de", Some("de"), "e: f")
        );
        assert_eq!(Field::read("X:no space"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let table: [(&[u8], CpimError); 5] = [
            (b"", CpimError::NoContent),
            (b"From: x\r\n\r\n", CpimError::NoContent),
            (b"From x\r\n\r\n\r\nhi", CpimError::Line(1)),
            (b"A: b\r\n: c\r\n\r\n\r\nhi", CpimError::Line(2)),
            (b"A: \xff\r\n\r\n\r\nhi", CpimError::NotUtf8(3)),
        ];
        for (body, error) in table {
            assert_eq!(Cpim::parse(body, &Limits::default()).unwrap_err(), error, "{}", body.escape_ascii());
        }
    }
}
