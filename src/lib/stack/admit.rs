//! What is answered, or dropped, before any user sees it (RFC 3261 §8.2, §16.3, §18.3).
//!
//! A request must carry the fields every rule below depends on: a readable top Via, From, To, Call-ID and
//! CSeq whose method agrees with the request line. A missing Max-Forwards is tolerated, as §16.3 asks.

use crate::message::{
    HeaderError, HeaderId, Message, Request,
    header::{self, MaxForwards},
};

/// Why a request is refused here, with the status to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    pub why: &'static str,
}

/// Judges a well-framed request.
pub(super) fn request(request: &Request) -> Result<(), Refusal> {
    let bad = |why| Err(Refusal { status: 400, why });
    for id in [HeaderId::From, HeaderId::To, HeaderId::CallId, HeaderId::CSeq, HeaderId::MaxForwards] {
        if request.raw(id).count() > 1 {
            return bad("A header that may stand once stands twice");
        }
    }
    if request.from().is_err() {
        return bad("Bad From");
    }
    if request.to().is_err() {
        return bad("Bad To");
    }
    if request.call_id().is_err() {
        return bad("Bad Call-ID");
    }
    match request.cseq() {
        Ok(cseq) if cseq.method == request.method() => {}
        Ok(_) => return bad("CSeq method does not match the request"),
        Err(_) => return bad("Bad CSeq"),
    }
    if request.find::<MaxForwards>().is_err() {
        return bad("Bad Max-Forwards");
    }
    if request.each::<header::Via>().any(|via| via.is_err()) {
        return bad("Bad Via");
    }
    if request.raw(HeaderId::Contact).next().is_some() && request.contact().is_err() {
        return bad("Bad Contact");
    }
    if request.uri().is_err() {
        return bad("Bad Request-URI");
    }
    Ok(())
}

/// The status for a request that could not even be framed, if it should be answered at all.
pub(super) fn broken(status: Option<u16>, salvaged: &Message) -> Option<Refusal> {
    let status = status?;
    (salvaged.is_request() && salvaged.via().is_ok()).then_some(Refusal { status, why: "" })
}

/// Whether a response is fit to be looked at; others are dropped and counted (§18.1.2).
pub(super) fn response(response: &Message) -> Result<(), HeaderError> {
    response.via()?;
    response.cseq()?;
    response.call_id()?;
    response.from()?;
    response.to()?;
    Ok(())
}
