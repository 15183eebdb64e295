//! Common presence and instant messaging bodies: message/cpim (RFC 3862), an envelope for instant messages
//! that survives gateways.
//!
//! Its header fields are not those of SIP: names compare with their case, `NS` declares prefixes, values may
//! be in any language. Then comes an empty line and a MIME part with header fields of its own.

use std::fmt::Write as _;

use memchr::memmem;
use thiserror::Error;

use super::{
    Cursor, Limits,
    header::{ContentType, Header, MediaType},
    scan::{ascii, trim},
};

/// An instant message in its envelope; everything borrows from the body.
#[derive(Debug, Clone, Copy)]
pub struct Cpim<'m> {
    head: &'m str,
    content_head: &'m [u8],
    content: &'m [u8],
}

/// Why a body is no message/cpim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CpimError {
    #[error("the empty line after the message headers is missing")]
    NoContent,
    #[error("the message headers are larger than allowed")]
    TooLarge,
    #[error("the message headers are not UTF-8 (octet {0})")]
    NotUtf8(usize),
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
            if split(line).is_none() {
                return Err(CpimError::Line(index + 1));
            }
        }
        let rest = &body[end + 4..];
        // The part may have no header fields of its own; then it begins with the empty line.
        let (content_head, content) = match (rest.strip_prefix(b"\r\n"), memmem::find(rest, b"\r\n\r\n")) {
            (Some(content), _) => (&rest[..0], content),
            (None, Some(at)) => (&rest[..at], &rest[at + 4..]),
            (None, None) => return Err(CpimError::NoContent),
        };
        Ok(Self { head, content_head, content })
    }

    /// Name and value of each message header, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'m str, &'m str)> + use<'m> {
        self.head.split("\r\n").filter_map(split)
    }

    /// The first message header of that name; names are compared as they stand (§3.1).
    pub fn header(&self, name: &str) -> Option<&'m str> {
        self.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
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
        self.headers().filter(|(name, _)| *name == "NS").find_map(|(_, value)| {
            let (prefix, uri) = value.split_once('<')?;
            (uri.strip_suffix('>')? == namespace).then_some(prefix.trim())
        })
    }

    /// What the content is; text/plain if it does not say (RFC 2045 §5.2).
    pub fn content_type(&self) -> Option<MediaType<'m>> {
        let line = self.content_head.split(|&byte| byte == b'\n').find_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let name = ascii(trim(&line[..colon]))?;
            name.eq_ignore_ascii_case("Content-Type").then_some(trim(&line[colon + 1..]))
        })?;
        ContentType::read(&mut Cursor::new(line)).ok()
    }

    pub fn content(&self) -> &'m [u8] {
        self.content
    }
}

/// Writes a message/cpim body.
///
/// Line breaks and control characters in values are written as escapes (§3.2): nothing breaks out of a header.
pub fn write<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    content_type: &str,
    content: &[u8],
) -> Vec<u8> {
    let mut head = String::new();
    for (name, value) in headers {
        let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
        let _ = write!(head, "{name}: ");
        for c in value.chars() {
            if c.is_control() {
                let _ = write!(head, "\\u{:04x}", u32::from(c));
            } else {
                head.push(c);
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

/// §3.1: a name, a colon, one space, a value.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|name| (name, "")))?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())).then_some((name, value))
}

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
        let body = EXAMPLE.replace("Subject:;lang=fr ", "Subject: ");
        let cpim = Cpim::parse(body.as_bytes(), &Limits::default()).unwrap();
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
        assert_eq!(cpim.header("Subject"), Some("two\\u000d\\u000alines"));
        assert_eq!((cpim.address("To"), cpim.content()), (Some((None, "sip:c@d")), &b"hi\r\n"[..]));
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
