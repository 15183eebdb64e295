//! What a proxy does not forward (RFC 3261 §16.3), and the fields of what it does.
//!
//! Only what forwarding depends on is looked at: a malformed field that nobody here reads goes on as it came.

use crate::message::{
    HeaderId, Request, Scheme, Uri, Via,
    header::{Marks, MaxForwards, ProxyRequire},
};

/// Why a request goes no further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: u16,
    /// Instead of the usual phrase.
    pub reason: Option<&'static str>,
    /// What explains it: Unsupported, Retry-After.
    pub row: Option<(HeaderId, String)>,
}

impl Refusal {
    pub const fn new(status: u16, reason: Option<&'static str>) -> Self {
        Self { status, reason, row: None }
    }

    pub const fn bad(reason: &'static str) -> Self {
        Self::new(400, Some(reason))
    }
}

/// What a request says that is fit to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'m> {
    pub uri: Uri<'m>,
    /// The topmost one.
    pub via: Via<'m>,
    pub marks: Marks<'m>,
    pub call_id: &'m str,
    pub cseq: u32,
    /// Max-Forwards; a request without one is an old one (§16.3).
    pub hops: Option<u32>,
}

/// Judges a request whose framing is sound.
pub fn check(request: &Request) -> Result<Facts<'_>, Refusal> {
    let once = [HeaderId::From, HeaderId::To, HeaderId::CallId, HeaderId::CSeq, HeaderId::MaxForwards];
    if request.repeated(&once).is_some() {
        return Err(Refusal::bad("A header that may stand once stands twice"));
    }
    let via = request.via().map_err(|_| Refusal::bad("Bad Via"))?;
    let uri = request.uri().map_err(|_| Refusal::bad("Bad Request-URI"))?;
    if uri.scheme() == Scheme::Other {
        return Err(Refusal::new(416, None));
    }
    request.from_tag().map_err(|_| Refusal::bad("Bad From"))?;
    request.to_tag().map_err(|_| Refusal::bad("Bad To"))?;
    let call_id = request.call_id().map_err(|_| Refusal::bad("Bad Call-ID"))?;
    let cseq = request.cseq().map_err(|_| Refusal::bad("Bad CSeq"))?;
    if cseq.method != request.method() {
        return Err(Refusal::bad("CSeq method does not match the request"));
    }
    let hops = request.find::<MaxForwards>().map_err(|_| Refusal::bad("Bad Max-Forwards"))?;
    if hops == Some(0) {
        return Err(Refusal::new(483, None));
    }
    if request.has(HeaderId::ProxyRequire) {
        let wanted: Vec<_> = request.each::<ProxyRequire>().flatten().collect();
        let row = (!wanted.is_empty()).then(|| (HeaderId::Unsupported, wanted.join(", ")));
        return Err(Refusal { status: 420, reason: None, row });
    }
    Ok(Facts { uri, marks: via.marks(), via, call_id, cseq: cseq.number, hops })
}
