//! SIP messages as plain text, apart from the library under test: read by splitting lines, written by format!.

use std::net::SocketAddr;

/// A message that came, in the strict form our programs write.
#[derive(Clone, Debug)]
pub struct Text(pub String);

impl Text {
    pub fn of(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn start(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.headers(name).next()
    }

    pub fn headers(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().skip(1).filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub fn must(&self, name: &'static str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name} in\n{}", self.0))
    }

    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub fn status(&self) -> Option<u16> {
        self.start().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn method(&self) -> &str {
        self.start().split(' ').next().unwrap_or_default()
    }

    pub fn number(&self) -> u32 {
        self.must("CSeq").split(' ').next().unwrap().parse().unwrap()
    }

    pub fn tag(&self, name: &'static str) -> Option<&str> {
        self.must(name).split(";tag=").nth(1)
    }

    /// The URI of the Contact.
    pub fn contact(&self) -> &str {
        self.must("Contact").trim_start_matches(|c| c != '<').trim_matches(['<', '>'])
    }

    /// Where the session description wants its audio.
    pub fn audio(&self) -> SocketAddr {
        let line = |start| self.body().lines().find_map(|line: &str| line.strip_prefix(start)).unwrap();
        let ip = line("c=IN IP4 ");
        let port = line("m=audio ").split(' ').next().unwrap();
        format!("{ip}:{port}").parse().unwrap()
    }

    /// A response to this request. `more` is header lines and perhaps an empty line and a body; `Contact` is
    /// added where dialogs need it.
    pub fn response(&self, status: u16, tag: &str, contact: SocketAddr, more: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status} Because\r\n");
        for via in self.headers("Via") {
            text += &format!("Via: {via}\r\n");
        }
        let to = self.must("To");
        let tag = if to.contains(";tag=") || status == 100 { String::new() } else { format!(";tag={tag}") };
        text += &format!("From: {}\r\nTo: {to}{tag}\r\n", self.must("From"));
        text += &format!("Call-ID: {}\r\nCSeq: {}\r\n", self.must("Call-ID"), self.must("CSeq"));
        if (101..300).contains(&status) {
            text += &format!("Contact: <sip:{contact}>\r\n");
        }
        text += more;
        finish(text, body)
    }
}

/// A request to be written.
#[derive(Clone)]
pub struct Draft {
    pub method: &'static str,
    pub uri: String,
    pub local: SocketAddr,
    pub branch: String,
    pub from_tag: String,
    /// With its parameters.
    pub to: String,
    pub call_id: String,
    pub number: u32,
    /// Further header lines, each with CRLF.
    pub more: String,
    pub body: String,
}

impl Draft {
    /// A request outside a dialog, unlike any other of this test run.
    pub fn new(method: &'static str, uri: impl Into<String>, local: SocketAddr) -> Self {
        let uri = uri.into();
        let unique = unique();
        Self {
            method,
            to: format!("<{uri}>"),
            uri,
            local,
            branch: format!("z9hG4bK{unique}"),
            from_tag: format!("f{unique}"),
            call_id: format!("{unique}@test"),
            number: 1,
            more: String::new(),
            body: String::new(),
        }
    }

    /// An INVITE that offers PCMU, received at a port nobody listens to.
    pub fn invite(uri: impl Into<String>, local: SocketAddr) -> Self {
        Self::new("INVITE", uri, local).body(&sdp(SocketAddr::new(local.ip(), 9), PCMU))
    }

    pub fn more(mut self, lines: &str) -> Self {
        self.more += lines;
        self
    }

    pub fn body(mut self, sdp: &str) -> Self {
        self.more += "Content-Type: application/sdp\r\n";
        self.body = sdp.to_owned();
        self
    }

    /// A request within the dialog that `response` (to this one) made.
    pub fn within(&self, method: &'static str, response: &Text) -> Self {
        let mut next = Self::new(method, response.contact(), self.local);
        next.from_tag.clone_from(&self.from_tag);
        next.to = response.must("To").to_owned();
        next.call_id.clone_from(&self.call_id);
        next.number = if method == "ACK" { self.number } else { self.number + 1 };
        next
    }

    /// The ACK for a response other than 2xx, or the CANCEL: parts of the same transaction.
    pub fn same(&self, method: &'static str, to: &str) -> Self {
        Self { method, to: to.to_owned(), more: String::new(), body: String::new(), ..self.clone() }
    }

    pub fn text(&self) -> String {
        let Self { method, uri, local, branch, from_tag, to, call_id, number, more, body } = self;
        let head = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:test@{local}>;tag={from_tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:test@{local}>\r\n{more}"
        );
        finish(head, body)
    }
}

/// A session description with one audio stream; `formats` is the rest of its m-line and its rtpmaps.
pub fn sdp(at: SocketAddr, formats: &str) -> String {
    let (ip, port) = (at.ip(), at.port());
    let kind = if at.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n"
    )
}

pub const PCMU: &str = "0\r\na=rtpmap:0 PCMU/8000";
pub const UNKNOWN_CODEC: &str = "97\r\na=rtpmap:97 X-NOBODY/8000";

fn finish(head: String, body: &str) -> String {
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
