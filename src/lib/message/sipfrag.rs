//! Fragments of SIP messages as bodies: message/sipfrag (RFC 3420), most often the status line of a NOTIFY
//! about a REFER.
//!
//! A fragment is a message with anything left out: the start line, header fields, the body. It may not even
//! end with an empty line.

use bytes::{Bytes, BytesMut};

use super::{Limits, Message, ParseError};

/// A fragment, read as the message it is part of.
#[derive(Debug, Clone)]
pub struct Fragment {
    message: Message,
    has_start_line: bool,
}

impl Fragment {
    /// Reads a body of type message/sipfrag.
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
        if memchr::memmem::find(&whole, b"\r\n\r\n").is_none() {
            if !whole.ends_with(b"\r\n") {
                whole.extend_from_slice(b"\r\n");
            }
            whole.extend_from_slice(b"\r\n");
        }
        Ok(Self { message: Message::parse(Bytes::from(whole), limits)?, has_start_line })
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

/// A header line has its colon before any space; a start line has a space first, or is a status line.
fn is_start_line(line: &[u8]) -> bool {
    let space = memchr::memchr(b' ', line);
    let colon = memchr::memchr(b':', line);
    match (space, colon) {
        (Some(space), Some(colon)) => {
            space < colon && line.windows(5).any(|window| window == b" SIP/") || line.starts_with(b"SIP/")
        }
        (Some(_), None) => true,
        (None, _) => false,
    }
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
    fn nonsense_is_an_error() {
        for body in ["nonsense", "SIP/2.0 99 Low", "\0\0\0"] {
            assert!(Fragment::parse(body.as_bytes(), &Limits::default()).is_err(), "{body:?}");
        }
    }
}
