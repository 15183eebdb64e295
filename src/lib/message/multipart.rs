//! Multipart bodies (RFC 2046 §5.1, RFC 5621), nested to a limit; parts borrow from the message.
//!
//! Finding a boundary line is one forward search over the body. A body whose closing line is missing still
//! yields its parts, the last one marked; senders that forget it exist.

use std::borrow::Cow;

use memchr::memmem;
use thiserror::Error;

use super::{
    Cursor, Header, HeaderError, HeaderId, Limits, Message,
    header::{ContentDisposition, ContentType, MediaType},
    scan::{ascii, trim},
};

/// A multipart body and how its parts are told apart.
#[derive(Debug, Clone)]
pub struct Multipart<'m> {
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    body: &'m [u8],
    limits: Limits,
    depth: usize,
}

/// One part: header fields and a body.
#[derive(Debug, Clone, Copy)]
pub struct Part<'m> {
    head: &'m [u8],
    body: &'m [u8],
    limits: Limits,
    depth: usize,
}

/// Why a body is no multipart body, or a part cannot be read. All of them are 400; a type that is not
/// multipart is nobody's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MultipartError {
    /// There is no Content-Type, or it is not `multipart/…`.
    #[error("the body is not multipart")]
    NotMultipart,
    /// The boundary parameter is missing or not as RFC 2046 §5.1.1 has it.
    #[error("the Content-Type of a multipart body has no boundary of 1 to 70 characters")]
    Boundary,
    /// The boundary of Content-Type never occurs.
    #[error("no boundary line is in the body")]
    NoParts,
    /// More parts than [`Limits::parts`](super::Limits::parts).
    #[error("the body has more parts than allowed")]
    TooManyParts,
    /// More levels than [`Limits::depth`](super::Limits::depth).
    #[error("parts are nested deeper than allowed")]
    TooDeep,
    /// The body ends before `--boundary--`; perhaps something was lost.
    #[error("the closing boundary line is missing")]
    Unterminated,
    /// A header field of the message or of a part that is needed to go on.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl MultipartError {
    /// The status that answers a request with such a body: 400, but for what is no fault of the body.
    pub fn status(&self) -> Option<u16> {
        (*self != Self::NotMultipart).then_some(400)
    }
}

impl<'m> Multipart<'m> {
    /// The parts of a message's body.
    pub fn of(message: &'m Message, limits: &Limits) -> Result<Self, MultipartError> {
        match message.find::<ContentType>()? {
            Some(kind) => Self::new(&kind, message.body(), limits, 0),
            None => Err(MultipartError::NotMultipart),
        }
    }

    fn new(
        kind: &MediaType<'_>,
        body: &'m [u8],
        limits: &Limits,
        depth: usize,
    ) -> Result<Self, MultipartError> {
        if !kind.type_.eq_ignore_ascii_case("multipart") {
            return Err(MultipartError::NotMultipart);
        }
        if depth >= limits.depth {
            return Err(MultipartError::TooDeep);
        }
        let boundary = kind.params.value("boundary").map(unquoted).unwrap_or_default();
        if boundary.is_empty() || boundary.len() > 70 {
            return Err(MultipartError::Boundary);
        }
        let delimiter = [b"--", boundary.as_bytes()].concat();
        Ok(Self { delimiter, body, limits: *limits, depth })
    }

    /// Each part in order. The first error is the last item.
    pub fn parts(&self) -> impl Iterator<Item = Result<Part<'m>, MultipartError>> + '_ {
        let mut count = 0;
        let mut next = self.boundary(0);
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let (_, start, closing) = match next {
                Some(line) => line,
                None if count == 0 => {
                    failed = true;
                    return Some(Err(MultipartError::NoParts));
                }
                None => {
                    failed = true;
                    return Some(Err(MultipartError::Unterminated));
                }
            };
            if closing {
                failed = true;
                return (count == 0).then_some(Err(MultipartError::NoParts));
            }
            if count >= self.limits.parts {
                failed = true;
                return Some(Err(MultipartError::TooManyParts));
            }
            count += 1;
            next = self.boundary(start);
            // The line end before a boundary line belongs to the boundary (RFC 2046 §5.1.1).
            let end = next.map_or(self.body.len(), |(line, ..)| line);
            let part = self.body.get(start..end).unwrap_or_default();
            let part = part.strip_suffix(b"\n").map_or(part, |part| part.strip_suffix(b"\r").unwrap_or(part));
            Some(Ok(Part::split(part, self.limits, self.depth + 1)))
        })
    }

    /// The next boundary line from `from` on: where it begins, where what follows begins, whether it closes.
    fn boundary(&self, from: usize) -> Option<(usize, usize, bool)> {
        for at in memmem::find_iter(self.body.get(from..)?, &self.delimiter).map(|at| at + from) {
            if at > 0 && self.body.get(at - 1) != Some(&b'\n') {
                continue;
            }
            let rest = self.body.get(at + self.delimiter.len()..)?;
            let (closing, rest) = match rest.strip_prefix(b"--") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            // Only white space may follow on the line.
            let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            if rest.get(..line)?.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                let after = (self.body.len() - rest.len() + line + 1).min(self.body.len());
                return Some((at, after, closing));
            }
        }
        None
    }

    /// Goes through all parts, nested ones too, and gives the first error. A missing closing line is none.
    pub fn check(&self) -> Result<(), MultipartError> {
        for part in self.parts() {
            let part = match part {
                Err(MultipartError::Unterminated) => return Ok(()),
                part => part?,
            };
            match part.multipart() {
                Ok(inner) => inner.check()?,
                Err(MultipartError::NotMultipart) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first part of a media type, looked for in nested multiparts too (RFC 5621 §3.2); parts that may be
    /// ignored are passed over unless they are what is wanted.
    pub fn find(&self, type_: &str, subtype: &str) -> Option<Part<'m>> {
        for part in self.parts() {
            let part = part.ok()?;
            let Ok(Some(kind)) = part.find::<ContentType>() else { continue };
            if kind.is(type_, subtype) {
                return Some(part);
            }
            if let Ok(inner) = part.multipart()
                && let Some(found) = inner.find(type_, subtype)
            {
                return Some(found);
            }
        }
        None
    }
}

impl<'m> Part<'m> {
    pub(super) fn split(part: &'m [u8], limits: Limits, depth: usize) -> Self {
        // A part without header fields begins with the empty line.
        let (head, body) = if let Some(body) = part.strip_prefix(b"\r\n") {
            (&part[..0], body)
        } else {
            // Bare LF is tolerated here; whichever empty line comes first ends the head.
            let crlf = memmem::find(part, b"\r\n\r\n").map(|at| (at + 2, at + 4));
            let lf = memmem::find(&part[..crlf.map_or(part.len(), |(_, body)| body)], b"\n\n");
            let (end, start) = lf.map(|at| (at + 1, at + 2)).or(crlf).unwrap_or((part.len(), part.len()));
            (&part[..end], &part[start..])
        };
        Self { head, body, limits, depth }
    }

    /// What it holds, as it is encoded by its Content-Transfer-Encoding.
    pub fn body(&self) -> &'m [u8] {
        self.body
    }

    /// Name and value of each header field, folds left in; lines without a colon are passed over.
    pub fn headers(&self) -> impl Iterator<Item = (&'m str, &'m str)> + use<'m> {
        let mut rest = self.head;
        let rows = std::iter::from_fn(move || {
            let line_end =
                |from: usize| memchr::memchr(b'\n', &rest[from..]).map_or(rest.len(), |at| from + at + 1);
            let mut end = line_end(0);
            while matches!(rest.get(end), Some(b' ' | b'\t')) {
                end = line_end(end);
            }
            let (row, after) = rest.split_at(end);
            rest = after;
            (!row.is_empty()).then_some(row)
        });
        rows.filter_map(|row| {
            let colon = memchr::memchr(b':', row)?;
            Some((ascii(trim(&row[..colon]))?, std::str::from_utf8(trim(&row[colon + 1..])).ok()?))
        })
    }

    /// A header field read as a value of its own type; positions in errors count from the start of the value.
    pub fn find<H: Header>(&self) -> Result<Option<H::View<'m>>, HeaderError> {
        let named = |name: &str| HeaderId::from_name(name.as_bytes()) == H::ID;
        let Some((_, value)) = self.headers().find(|(name, _)| named(name)) else { return Ok(None) };
        let mut cursor = Cursor::new(value.as_bytes());
        let view = H::read(&mut cursor).and_then(|view| {
            cursor.skip_ws();
            cursor.finish().map(|()| view)
        });
        view.map(Some).map_err(|why| HeaderError::Malformed { id: H::ID, at: cursor.position(), why })
    }

    /// Whether a receiver that does not understand the part may pass it over (RFC 3261 §20.11).
    pub fn is_optional(&self) -> bool {
        matches!(self.find::<ContentDisposition>(), Ok(Some(disposition))
            if disposition.params.value("handling").is_some_and(|how| how.eq_ignore_ascii_case("optional")))
    }

    /// The parts of this part.
    pub fn multipart(&self) -> Result<Multipart<'m>, MultipartError> {
        match self.find::<ContentType>()? {
            Some(kind) => Multipart::new(&kind, self.body, &self.limits, self.depth),
            None => Err(MultipartError::NotMultipart),
        }
    }
}

/// A parameter value without the backslashes of a quoted-string.
fn unquoted(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, body: &str) -> Message {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(text.into(), &Limits::default()).unwrap()
    }

    fn bodies(message: &Message) -> Vec<Result<String, MultipartError>> {
        let multipart = Multipart::of(message, &Limits::default()).unwrap();
        multipart
            .parts()
            .map(|part| part.map(|part| String::from_utf8_lossy(part.body()).into_owned()))
            .collect()
    }

    const SIMPLE: &str = "preamble\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1  \r\n\r\nno head\r\n--b1--\r\nepilogue --b1\r\n";

    #[test]
    fn parts_with_and_without_heads() {
        for kind in ["multipart/mixed;boundary=b1", "Multipart/Mixed; boundary=\"b\\1\""] {
            let message = message(kind, SIMPLE);
            assert_eq!(bodies(&message), [Ok("v=0\r\n".to_owned()), Ok("no head".to_owned())], "{kind}");
        }
    }

    #[test]
    fn a_boundary_is_a_line_of_its_own() {
        let body = "--b\r\n\r\ntext --b\r\n--bb\r\nmore\r\n--b--\r\n";
        let message = message("multipart/mixed;boundary=b", body);
        assert_eq!(bodies(&message), [Ok("text --b\r\n--bb\r\nmore".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let table = [
            ("no boundary line", vec![Err(MultipartError::NoParts)]),
            ("--b--\r\n", vec![Err(MultipartError::NoParts)]),
            ("--b\r\n\r\nx", vec![Ok("x".to_owned()), Err(MultipartError::Unterminated)]),
            ("--b", vec![Ok(String::new()), Err(MultipartError::Unterminated)]),
        ];
        for (body, expected) in table {
            assert_eq!(bodies(&message("multipart/mixed;boundary=b", body)), expected, "{body:?}");
        }
        for (kind, expected) in [
            ("text/plain", MultipartError::NotMultipart),
            ("multipart/mixed", MultipartError::Boundary),
            ("multipart/mixed;boundary=\"\"", MultipartError::Boundary),
        ] {
            let message = message(kind, SIMPLE);
            assert_eq!(Multipart::of(&message, &Limits::default()).unwrap_err(), expected, "{kind}");
        }
    }

    #[test]
    fn nesting_is_followed_and_bounded() {
        let inner = "--i\r\nContent-Type: text/plain\r\n\r\nhi\r\n--i\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--i--\r\n";
        let outer =
            format!("--o\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n{inner}\r\n--o--\r\n");
        let nested = message("multipart/mixed;boundary=o", &outer);
        let multipart = Multipart::of(&nested, &Limits::default()).unwrap();
        assert_eq!(multipart.find("application", "sdp").unwrap().body(), b"v=0");
        let shallow = Limits { depth: 1, ..Limits::default() };
        assert!(Multipart::of(&nested, &shallow).unwrap().find("application", "sdp").is_none());

        // A body that is its own inner part would be for ever deep.
        let mut body = String::from("--b\r\n\r\nx\r\n--b--");
        for level in 0..100 {
            let kind = format!(
                "multipart/mixed;boundary=b{}",
                if level == 0 { String::new() } else { level.to_string() }
            );
            body = format!("--b{}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--b{}--", level + 1, level + 1);
        }
        let deep = message("multipart/mixed;boundary=b100", &body);
        assert!(Multipart::of(&deep, &Limits::default()).unwrap().find("application", "sdp").is_none());

        let many = "--b\r\n\r\n\r\n".repeat(1000);
        let many = message("multipart/mixed;boundary=b", &many);
        let outcomes = bodies(&many);
        assert_eq!(outcomes.len(), Limits::default().parts + 1);
        assert_eq!(outcomes.last(), Some(&Err(MultipartError::TooManyParts)));
        assert_eq!(MultipartError::TooManyParts.status(), Some(400));
        let deep = Multipart::of(&deep, &Limits::default()).unwrap();
        assert_eq!(deep.check(), Err(MultipartError::TooDeep));
    }

    #[test]
    fn header_fields_of_a_part_may_be_folded() {
        let body = "--o\r\nContent-Type: multipart/mixed;\r\n boundary=i\r\nX: a\r\n\tb: c\r\n\r\n\
            --i\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--i--\r\n--o\r\nA: b\n\nx\r\n\r\ny\r\n--o--";
        let message = message("multipart/mixed;boundary=o", body);
        let multipart = Multipart::of(&message, &Limits::default()).unwrap();
        assert_eq!(multipart.check(), Ok(()));
        assert_eq!(multipart.find("application", "sdp").unwrap().body(), b"v=0");
        let parts: Vec<_> = multipart.parts().map(Result::unwrap).collect();
        assert_eq!(parts[0].headers().last(), Some(("X", "a\r\n\tb: c")));
        assert_eq!((parts[1].headers().count(), parts[1].body()), (1, &b"x\r\n\r\ny"[..]));
    }

    #[test]
    fn optional_parts_say_so() {
        let body = "--b\r\nContent-Disposition: session;handling=optional\r\nContent-Type: a/b\r\n\r\n\r\n--b\r\nContent-Type: c/d\r\n\r\n\r\n--b--";
        let message = message("multipart/mixed;boundary=b", body);
        let multipart = Multipart::of(&message, &Limits::default()).unwrap();
        let optional: Vec<_> = multipart.parts().map(|part| part.unwrap().is_optional()).collect();
        assert_eq!(optional, [true, false]);
    }
}
