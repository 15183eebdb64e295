//! What the parser benchmarks do with a message: read it for routing, read all of it, edit it as a proxy.
//!
//! Shared by `examples/parse_bench.rs` and the tests. Everything read goes into a [`Sum`]: nothing can be
//! left out by the compiler, and a slow reader of its own kind, which works on the text alone, must come
//! to the same figure (`tests/slow_reader.rs`).

use bytes::{Bytes, BytesMut};
use sipkit::message::{
    ContactValue, Edits, Header, HeaderId, Host, Limits, Message, NameAddr, Params, RawHeader, StartLine,
    Uri, count_values, header,
};

/// A running figure over lengths and numbers, in the order in which they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(pub u64);

/// Mixes the figures well, in one step.
const PRIME: u64 = 0x0100_0193;

impl Sum {
    pub fn number(&mut self, number: impl Into<u64>) {
        self.0 = self.0.wrapping_mul(PRIME).wrapping_add(number.into());
    }

    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        self.number(text.as_ref().len() as u64);
    }

    /// Nothing, and something of no length, are two things.
    pub fn optional(&mut self, text: Option<impl AsRef<[u8]>>) {
        self.number(text.map_or(0, |text| text.as_ref().len() as u64 + 1));
    }

    fn host(&mut self, host: Host<'_>) {
        match host {
            Host::Name(name) => self.text(name),
            Host::V4(address) => self.number(u32::from(address)),
            Host::V6(address) => {
                let bits = u128::from(address);
                self.number((bits >> 64) as u64);
                self.number(bits as u64);
            }
        }
    }

    fn port(&mut self, port: Option<u16>) {
        self.number(port.map_or(0, |port| u64::from(port) + 1));
    }

    #[inline(always)]
    fn params(&mut self, params: &Params<'_>) {
        if !params.is_empty() {
            self.each_param(params);
        }
    }

    fn each_param(&mut self, params: &Params<'_>) {
        for (name, value) in params.iter() {
            self.text(name);
            self.optional(value);
        }
    }

    fn uri(&mut self, uri: &Uri<'_>) {
        self.text(uri.scheme_name());
        self.optional(uri.user());
        self.optional(uri.password());
        if uri.is_sip() {
            self.host(uri.host());
            self.port(uri.port());
        }
        self.params(&uri.params());
        for (name, value) in uri.headers() {
            self.text(name);
            self.text(value);
        }
    }

    fn address(&mut self, address: &NameAddr<'_>) {
        self.optional(address.display.map(|display| display.raw()));
        self.uri(&address.uri);
        self.params(&address.params);
    }

    fn via(&mut self, via: &header::Via<'_>) {
        self.text(via.version);
        self.text(via.transport);
        self.host(via.host);
        self.port(via.port);
        self.params(&via.params);
    }

    fn cseq(&mut self, cseq: &header::CSeq<'_>) {
        self.number(cseq.number);
        self.text(cseq.method.as_str());
    }

    fn media(&mut self, media: &header::MediaType<'_>) {
        self.text(media.type_);
        self.text(media.subtype);
        self.params(&media.params);
    }
}

/// The message, its Request-URI and what routing needs: top Via, first Route, Call-ID, CSeq, the tags,
/// Max-Forwards. `None` if one that must be there cannot be read.
pub fn scan(bytes: Bytes) -> Option<Sum> {
    let parsed = Message::parse(bytes, &Limits::default());
    let message = parsed.as_ref().ok()?;
    let mut sum = Sum::default();
    start(&mut sum, message)?;
    sum.via(&message.via().ok()?);
    if let Some(route) = message.find::<header::Route>().ok()? {
        sum.address(&route);
    }
    sum.text(message.call_id().ok()?);
    sum.cseq(&message.cseq().ok()?);
    sum.optional(message.from_tag().ok()?);
    sum.optional(message.to_tag().ok()?);
    sum.number(message.find::<header::MaxForwards>().ok()?.unwrap_or(70));
    Some(sum)
}

/// Every known header field read as what it is, with every component of it, in the order of the rows.
/// `None` if one is malformed.
pub fn full(bytes: Bytes) -> Option<Sum> {
    let parsed = Message::parse(bytes, &Limits::default());
    let message = parsed.as_ref().ok()?;
    let mut sum = Sum::default();
    start(&mut sum, message)?;
    for row in message.headers() {
        sum.number(row.id as u8);
        read(&mut sum, row)?;
    }
    sum.text(message.body());
    Some(sum)
}

/// Every value of every field this library knows, sound or not.
pub fn check(bytes: Bytes) -> Option<Sum> {
    let message = Message::parse(bytes, &raised()).ok()?;
    let (count, malformed) = count_values(&message);
    let mut sum = Sum::default();
    sum.number(count as u64);
    sum.number(malformed as u64);
    Some(sum)
}

/// As much as can be.
pub fn raised() -> Limits {
    Limits {
        head: Limits::MAX_HEAD,
        rows: usize::MAX,
        uri: Limits::MAX_HEAD,
        body: usize::MAX,
        ..Limits::default()
    }
}

fn start(sum: &mut Sum, message: &Message) -> Option<()> {
    match message.start_line() {
        StartLine::Request { method, .. } => {
            sum.text(method.as_str());
            sum.uri(&message.request_uri()?.ok()?);
        }
        StartLine::Response { status, reason } => {
            sum.number(status);
            sum.text(reason.raw());
        }
    }
    Some(())
}

/// All values of one row.
#[inline(always)]
fn read(sum: &mut Sum, row: RawHeader<'_>) -> Option<()> {
    #[inline(always)]
    fn each<'m, H: Header>(row: RawHeader<'m>, fold: impl FnMut(&H::View<'m>)) -> Option<()> {
        row.visit::<H>(fold).ok()
    }
    use HeaderId as Id;
    match row.id {
        Id::Via => each::<header::Via>(row, |via| sum.via(via)),
        Id::From => each::<header::From>(row, |address| sum.address(address)),
        Id::To => each::<header::To>(row, |address| sum.address(address)),
        Id::Contact => each::<header::Contact>(row, |contact| match contact {
            ContactValue::Star => sum.text("*"),
            ContactValue::Addr(address) => sum.address(address),
        }),
        Id::Route => each::<header::Route>(row, |address| sum.address(address)),
        Id::RecordRoute => each::<header::RecordRoute>(row, |address| sum.address(address)),
        Id::CallId => each::<header::CallId>(row, |id| sum.text(id)),
        Id::CSeq => each::<header::CSeq>(row, |cseq| sum.cseq(cseq)),
        Id::MaxForwards => each::<header::MaxForwards>(row, |number| sum.number(*number)),
        Id::Expires => each::<header::Expires>(row, |number| sum.number(*number)),
        Id::ContentLength => each::<header::ContentLength>(row, |number| sum.number(*number)),
        Id::ContentType => each::<header::ContentType>(row, |media| sum.media(media)),
        Id::Accept => each::<header::Accept>(row, |media| sum.media(media)),
        Id::Allow => each::<header::Allow>(row, |method| sum.text(method)),
        Id::Supported => each::<header::Supported>(row, |option| sum.text(option)),
        Id::Require => each::<header::Require>(row, |option| sum.text(option)),
        Id::UserAgent => each::<header::UserAgent>(row, |text| sum.text(text.raw())),
        Id::Server => each::<header::Server>(row, |text| sum.text(text.raw())),
        // A field that no benchmark message has: a message with one is refused, not read in part.
        _ => None,
    }
}

/// What a proxy does to a request (RFC 3261 §16.6): the top Route goes, one hop less is left, and its own
/// Record-Route and Via are put in.
pub fn edit(message: &Message, hop: &Hop<'_>, out: &mut BytesMut) -> Option<Sum> {
    let row = message.raw(HeaderId::MaxForwards).next()?;
    let left = row.read::<header::MaxForwards>().ok()?.checked_sub(1)?;
    let mut edits = Edits::new(message);
    edits.pop_value(HeaderId::Route).replace(row, left);
    let Hop { record_route, sent_by, branch } = hop;
    edits.prepend(HeaderId::RecordRoute, record_route);
    edits.prepend(HeaderId::Via, format_args!("SIP/2.0/UDP {sent_by};branch={branch}"));
    out.clear();
    edits.write(out);
    let mut sum = Sum::default();
    sum.text(out);
    Some(sum)
}

/// What this proxy is called, and the branch of its transaction.
pub struct Hop<'h> {
    pub record_route: &'h str,
    pub sent_by: &'h str,
    pub branch: &'h str,
}

/// The proxy of the benchmarks.
pub const HOP: Hop<'_> = Hop {
    record_route: "<sip:192.0.2.77:5062;lr>",
    sent_by: "192.0.2.77:5062",
    branch: "z9hG4bKe5c04d1f97ab3862",
};

/// The benchmark messages by file name.
#[cfg(test)]
pub fn messages() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/data");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "sip"));
    files.sort();
    let read = |path: std::path::PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}
