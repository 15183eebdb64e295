//! Fragments of SIP messages as bodies: message/sipfrag (RFC 3420), most often the status line of a NOTIFY
//! about a REFER.
//!
//! A fragment is a message with anything left out: the start line, header fields, the body. It may not even
//! end with an empty line.

use bytes::BytesMut;

use super::{Limits, Message, ParseError, ParseErrorKind, scan};

/// A fragment, read as the message it is part of.
#[derive(Debug, Clone)]
pub struct Fragment {
    message: Message,
    has_start_line: bool,
}

impl Fragment {
    /// Reads a body of type message/sipfrag; positions in errors count from its start.
    ///
    /// ```
    /// # use sipkit::message::{Fragment, Limits};
    /// let fragment = Fragment::parse(b"SIP/2.0 200 OK\r\n", &Limits::default()).unwrap();
    /// assert_eq!(fragment.status(), Some(200));
    /// ```
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        let first = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let has_start_line = is_start_line(first);
        let mut whole = BytesMut::with_capacity(body.len() + STAND_IN.len() + 4);
        if !has_start_line {
            whole.extend_from_slice(STAND_IN);
        }
        whole.extend_from_slice(body);
        // §2: without a body the empty line may be missing, and with it the last line end.
        let is_head = memchr::memmem::find(&whole, b"\r\n\r\n").is_none();
        if is_head {
            if !whole.ends_with(b"\r\n") {
                whole.extend_from_slice(b"\r\n");
            }
            whole.extend_from_slice(b"\r\n");
        }
        match Message::assemble(whole.freeze(), limits) {
            (Some(message), None) => Ok(Self { message, has_start_line }),
            // Content-Length is about the body that was left out.
            (Some(message), Some(error)) if is_head && error.kind == ParseErrorKind::BodyTooShort => {
                Ok(Self { message, has_start_line })
            }
            (_, error) => {
                let kind = ParseErrorKind::StartLine;
                let error = error.unwrap_or(ParseError { at: 0, kind, response: false });
                let before = if has_start_line { 0 } else { STAND_IN.len() };
                // What was put behind it is not in it.
                Err(ParseError { at: error.at.saturating_sub(before).min(body.len()), ..error })
            }
        }
    }

    /// The status, if it is the fragment of a response with its status line.
    pub fn status(&self) -> Option<u16> {
        if !self.has_start_line {
            return None;
        }
        self.message.clone().into_response().ok().map(|response| response.status())
    }

    /// Whether the start line was in the fragment; if not, that of [`Fragment::message`] means nothing.
    pub fn has_start_line(&self) -> bool {
        self.has_start_line
    }

    /// Header fields and body, read as those of any message.
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// After the first word a header line has its colon, and a request line its URI.
fn is_start_line(line: &[u8]) -> bool {
    if line.get(..4).is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/")) {
        return true;
    }
    let word = line.iter().take_while(|&&byte| scan::is_token(byte)).count();
    let rest = &line[word..];
    rest.first() == Some(&b' ') && rest.trim_ascii_start().first() != Some(&b':')
}

/// Stands in for a start line that was left out.
const STAND_IN: &[u8] = b"SIP/2.0 100 -\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Fragment {
        Fragment::parse(body.as_bytes(), &Limits::default()).unwrap()
    }

    /// RFC 3420 §3 and the NOTIFYs of RFC 3515.
    #[test]
    fn whatever_is_there_is_read() {
        assert_eq!(parse("SIP/2.0 100 Trying").status(), Some(100));
        assert_eq!(parse("SIP/2.0 603 Declined\r\n").status(), Some(603));
        let request = parse("INVITE sip:alice@atlanta.example SIP/2.0\r\n");
        assert!(request.has_start_line() && request.status().is_none());
        let headers =
            parse("From: Alice <sip:alice@atlanta.example>\r\nDate: Thu, 21 Feb 2002 13:02:03 GMT\r\n");
        assert!(!headers.has_start_line());
        assert_eq!(headers.message().from().unwrap().uri.host().to_string(), "atlanta.example");
        assert_eq!(headers.status(), None);
        let body = parse("Content-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0");
        assert_eq!(body.message().body(), b"v=0");
        let whole = parse("SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!((whole.status(), whole.message().body()), (Some(200), &b"hi"[..]));
    }

    #[test]
    fn the_first_line_tells_header_fields_from_start_lines() {
        let header = parse("Subject : of SIP/2.0\r\nl: 247\r\n");
        assert_eq!((header.has_start_line(), header.message().headers().count()), (false, 2));
        assert_eq!(parse("\r\nonly a body").message().body(), b"only a body");
        assert_eq!(
            parse("sip/2.0 180 Ringing\r\nContent-Length: 247").status(),
            Some(180),
            "the body is left out"
        );
        let error = |body: &str| Fragment::parse(body.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error("X: y\r\nno colon").at, 6, "counted from the start of the fragment");
        assert_eq!(error("l: 9\r\n\r\nshort").kind, ParseErrorKind::BodyTooShort);
        let limits = Limits { head: 12, ..Limits::default() };
        let long = Fragment::parse(b"SIP/2.0 200", &limits).unwrap_err();
        assert_eq!(long.at, 11, "not where the empty line would be that it has not");
    }

    #[test]
    fn nonsense_is_an_error() {
        for body in ["nonsense", "SIP/2.0 99 Low", "\0\0\0"] {
            assert!(Fragment::parse(body.as_bytes(), &Limits::default()).is_err(), "{body:?}");
        }
    }
}
