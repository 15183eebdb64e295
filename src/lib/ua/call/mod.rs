//! One call (RFC 3261 §13–§15): its state is a product, and so it is kept as one.
//!
//! ```text
//!  Phase:  Trying ─► Early ─► Accepted ─► Confirmed ─► Ending ─► Over
//!             │        │          │            │          ▲
//!             └────────┴──────────┴────────────┴──────────┘ hang-up, refusal, failure
//!            (Accepted: our 2xx waits for its ACK; a caller goes from Early to Confirmed)
//!  Offer:  see `offer.rs`
//! ```
//!
//! `uac.rs` has the caller's half, `uas.rs` the callee's, `within.rs` what happens in an answered call
//! and how one ends; this file only combines them.

pub mod offer;
mod uac;
mod uas;
mod within;

pub(super) use uac::{Acked, with_headers};

use std::net::IpAddr;

use bytes::Bytes;

use crate::{
    auth,
    dialog::{Dialog, Forks},
    message::{AddressBuf, HeaderId, Limits, Message, Method, Multipart, Request, Response, UriBuf, header},
    stack::{Contact, Failure, NextHop, RequestId},
    time::{Duration, Instant},
    transaction::ServerId,
    transport::{Flow, Target},
    util::id::Cookie,
};

use super::{Event, RegistrationId, UaCx};
use offer::Offer;

/// A message body and its media type, most often `application/sdp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub kind: String,
    pub bytes: Bytes,
}

impl Body {
    /// A session description.
    pub fn sdp(text: impl Into<Bytes>) -> Self {
        Self { kind: "application/sdp".into(), bytes: text.into() }
    }

    fn of(message: &Message) -> Option<Self> {
        if message.body().is_empty() {
            return None;
        }
        // A session description may come beside other parts (RFC 5621 §3).
        if let Ok(parts) = Multipart::of(message, &Limits::default()) {
            return parts
                .find("application", "sdp")
                .map(|part| Self::sdp(Bytes::copy_from_slice(part.body())));
        }
        let kind = message.raw(HeaderId::ContentType).next().map(|kind| kind.text().to_string());
        Some(Self { kind: kind.unwrap_or_default(), bytes: Bytes::copy_from_slice(message.body()) })
    }

    /// The session description of a request we understood: any other body in it was optional, or it would
    /// have been refused (RFC 3261 §8.2.3).
    fn offered(request: &Request) -> Option<Self> {
        let is_sdp = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/sdp")
        };
        Self::of(request).filter(|body| is_sdp(&body.kind))
    }
}

/// A call to place.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Request-URI and To.
    pub target: UriBuf,
    /// From, without tag.
    pub from: AddressBuf,
    /// An outbound proxy, or where the Request-URI leads.
    pub next: NextHop,
    pub offer: Body,
    /// Answers challenges; one without logins gives up at the first.
    pub auth: auth::Client,
    /// Takes route and Contact of this account.
    pub registration: Option<RegistrationId>,
    /// Further headers, name and value.
    pub headers: Vec<(String, String)>,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// INVITE sent or received, nothing but 100 seen.
    Trying,
    /// A provisional response was exchanged.
    Early,
    /// We answered 2xx; its ACK has not come.
    Accepted,
    /// Both sides know it is answered.
    Confirmed,
    /// CANCEL or BYE is under way.
    Ending,
    /// Nothing more will come of it.
    Over,
}

/// What the application learns of a call, in this order: one of `Incoming` or nothing, any number of the
/// middle ones, exactly one `Ended`.
#[derive(Clone, Debug)]
pub enum CallEvent {
    /// Somebody calls. Answer with `progress`, `answer` or `reject`.
    Incoming { request: Box<Request>, offer: Option<Body>, path: Path },
    /// Our INVITE was sent to another server after the first one failed (RFC 3263 §4.3), and this one responds.
    Moved { flow: Flow },
    /// 100–199 from the callee, with a session description for early media if it has one.
    Progress { status: u16, reason: String, body: Option<Body>, path: Path },
    /// The callee answered. `body` answers our offer.
    Answered { body: Option<Body>, path: Path },
    /// The ACK for our 2xx came, with the answer to an offer made there.
    Acknowledged { body: Option<Body>, path: Path },
    /// A re-INVITE: the peer offers (or asks for an offer, `None`). Answer with `accept_offer` or
    /// `reject_offer`.
    Offered { body: Option<Body>, path: Path },
    /// The peer cancelled its re-INVITE.
    OfferWithdrawn,
    /// Our re-INVITE was accepted.
    Reanswered { body: Option<Body>, path: Path },
    /// It was refused, or failed; the call goes on as it was.
    OfferRefused { status: Option<u16> },
    /// A challenge is being answered: what was offered, and whether it is weaker than before.
    Challenged { offered: Vec<auth::Offered>, downgrade: Option<auth::Downgrade> },
    /// The time asked for with `alarm` has come.
    Alarm,
    /// The call is over.
    Ended { by: By, cause: Cause },
}

/// The way a message of the peer's came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    pub flow: Flow,
    /// The address in its Contact, if that is a literal one. One that differs from the packet's source shows
    /// a NAT, or a proxy in between.
    pub contact: Option<IpAddr>,
}

impl Path {
    fn of(message: &Message, flow: Flow) -> Self {
        let contact = match message.contact() {
            Ok(Some(contact)) => contact.address().and_then(|address| address.uri.host().ip()),
            Ok(None) | Err(_) => None,
        };
        Self { flow, contact }
    }
}

/// Who ended a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Local,
    Remote,
    Network,
}

/// Why it ended.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A BYE after an answer.
    Bye { reason: Option<Reason> },
    /// Given up before an answer (487).
    Cancelled,
    /// A final response other than 2xx, received or sent by us.
    Refused(Box<Refused>),
    /// No response, or no way to send.
    Failed(Failure),
    /// The challenge could not be answered.
    Unauthorized { status: u16, why: auth::GiveUp, offered: Vec<auth::Offered> },
    /// Our 2xx was never acknowledged.
    NoAck,
    /// The peer said the dialog is not there (481), or the session description did not fit.
    Broken { status: u16 },
}

/// The final response that refused a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub reason: String,
    /// Where a 3xx points (§21.3).
    pub contacts: Vec<String>,
    pub cause: Option<Reason>,
    /// Warning, Retry-After and the like as they came, for people to read.
    pub details: Vec<(String, String)>,
}

/// The first value of a Reason header (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `Q.850` or `SIP`.
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: Option<String>,
}

impl Reason {
    fn of(message: &Message) -> Option<Self> {
        let reason = message.find::<header::Reason>().ok()??;
        Some(Self {
            protocol: reason.protocol.to_owned(),
            cause: reason.cause(),
            text: reason.text().map(|text| text.to_string()),
        })
    }
}

/// One call; see the module's description.
pub struct Call {
    cookie: Cookie,
    /// Of a call of ours; one from outside has it in its dialog.
    call_id: Box<str>,
    phase: Phase,
    offer: Offer,
    dialog: Option<Dialog>,
    forks: Forks,
    /// The last server that the application was told of with [`CallEvent::Moved`].
    moved: Option<Target>,
    /// Our INVITE without a final response yet.
    invite: Option<Box<uac::Pending>>,
    /// The peer's INVITE we have not answered finally.
    incoming: Option<Box<uas::Unanswered>>,
    /// Our 2xx whose ACK has not come.
    unacked: Option<Box<uas::Unacked>>,
    /// ACKs of ours, kept for repeated 2xx.
    acked: Vec<Acked>,
    bye: Option<Box<uac::Pending>>,
    /// The application wants the call ended as soon as the rules allow.
    leaving: bool,
    auth: auth::Client,
    /// We sent the first INVITE, so the Call-ID is ours (§14.1).
    caller: bool,
    glare: Option<Box<uac::Glare>>,
    /// When the re-INVITE that keeps meeting another was sent first.
    glare_since: Option<Instant>,
    alarm: Option<Instant>,
    /// Where the peer reaches us.
    contact: Contact,
    /// The earliest deadline the stack already knows of.
    armed: Option<Instant>,
}

impl Call {
    pub(super) fn outgoing(cookie: Cookie) -> Self {
        Self {
            cookie,
            call_id: Box::default(),
            phase: Phase::Trying,
            offer: Offer::Stable,
            dialog: None,
            forks: Forks::default(),
            moved: None,
            invite: None,
            incoming: None,
            unacked: None,
            acked: Vec::new(),
            bye: None,
            leaving: false,
            auth: auth::Client::default(),
            caller: true,
            glare: None,
            glare_since: None,
            alarm: None,
            contact: Contact::default(),
            armed: None,
        }
    }

    pub fn call_id(&self) -> &str {
        self.dialog.as_ref().filter(|_| !self.caller).map_or(&self.call_id, Dialog::call_id)
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn offer(&self) -> Offer {
        self.offer
    }

    /// The dialog once there is one.
    pub fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_ref()
    }

    pub(super) fn cookie(&self) -> Cookie {
        self.cookie
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether a request within a dialog is within ours.
    pub(super) fn owns(&self, request: &Request) -> bool {
        let (Ok(call_id), Ok(local), Ok(remote)) = (request.call_id(), request.to_tag(), request.from_tag())
        else {
            return false;
        };
        let (local, remote) = (local.unwrap_or_default(), remote.unwrap_or_default());
        self.dialog.iter().chain(self.forks.iter()).any(|dialog| dialog.is(call_id, local, remote))
    }

    /// The requests of ours the user agent may forget with the call.
    pub(super) fn requests(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.invite.iter().chain(&self.bye).map(|pending| pending.id)
    }

    /// The INVITEs whose 2xx may still come again, or come from another fork, when the call is over.
    pub(super) fn past(&mut self) -> impl Iterator<Item = Acked> + '_ {
        self.acked.drain(..)
    }

    /// No more 2xx come for this INVITE.
    pub(super) fn invite_ended(&mut self, id: RequestId) {
        self.acked.retain(|acked| acked.invite != id);
    }

    /// The incoming INVITE that is still to be answered.
    pub(super) fn server(&self) -> Option<ServerId> {
        self.incoming.as_ref().map(|incoming| incoming.id)
    }

    /// A deadline to ask the stack for, if it does not know it yet. Far ones are asked for in steps: the stack
    /// keeps what it was asked for though the call may be over long before, and the peer chooses its Expires.
    pub(super) fn arm(&mut self, now: Instant) -> Option<Instant> {
        let next = [
            self.unacked.as_ref().map(|unacked| unacked.next()),
            self.incoming.as_ref().and_then(|incoming| incoming.next()),
            self.glare.as_ref().map(|glare| glare.at),
            self.alarm,
        ]
        .into_iter()
        .flatten()
        .min()?
        .min(now + LONGEST_WAIT);
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        Some(next)
    }

    pub(super) fn set_alarm(&mut self, at: Instant) {
        self.alarm = Some(at);
    }

    pub(super) fn deadline(&mut self, cx: &mut UaCx<'_, '_>) {
        let now = cx.now();
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
        if self.alarm.is_some_and(|at| at <= now) {
            self.alarm = None;
            cx.event(CallEvent::Alarm);
        }
        self.repeat_answer(cx);
        self.incoming_deadline(cx);
        if self.glare.as_ref().is_some_and(|glare| glare.at <= now)
            && let Some(glare) = self.glare.take()
        {
            self.offer_again(*glare, cx);
        }
    }

    /// A response to any request of this call.
    pub(super) fn response(&mut self, id: RequestId, response: &Response, cx: &mut UaCx<'_, '_>) {
        if self.invite.as_ref().is_some_and(|pending| pending.id == id) {
            self.invite_response(response, cx);
        } else if self.bye.as_ref().is_some_and(|pending| pending.id == id) {
            self.bye_response(response, cx);
        } else {
            self.repeated_answer(id, response, cx);
        }
    }

    pub(super) fn failed(&mut self, id: RequestId, why: Failure, cx: &mut UaCx<'_, '_>) {
        if self.invite.as_ref().is_some_and(|pending| pending.id == id) {
            self.invite_failed(why, cx);
        } else if self.bye.as_ref().is_some_and(|pending| pending.id == id) {
            // Whether or not the peer heard it, the call is over.
            self.bye = None;
            self.end(By::Local, Cause::Bye { reason: None }, cx);
        }
    }

    /// What its dialog relies on.
    pub(super) fn flow(&self) -> Option<Flow> {
        self.dialog.as_ref().map(Dialog::flow)
    }

    /// A request of the peer within the dialog.
    pub(super) fn request(&mut self, request: &Request, id: ServerId, from: Flow, cx: &mut UaCx<'_, '_>) {
        if let Some(dialog) = self.dialog_of(request)
            && let Err(reject) = dialog.accept(request, from)
        {
            tracing::debug!(%reject, "request within the dialog refused");
            let response = cx.response(request, reject.status()).into_bytes();
            return cx.reply(id, response);
        }
        match request.method() {
            Method::Bye => self.bye_received(request, id, cx),
            Method::Invite => self.reinvited(request, id, from, cx),
            Method::Message => {
                let response = cx.response(request, 200).into_bytes();
                cx.reply(id, response);
                cx.events.push_back(Event::Page { request: Box::new(request.clone()), from });
            }
            _ => {
                let response =
                    cx.response(request, 200).header(HeaderId::Accept, "application/sdp").into_bytes();
                cx.reply(id, response);
            }
        }
    }

    fn dialog_of(&mut self, request: &Request) -> Option<&mut Dialog> {
        let remote = request.from_tag().ok()?.unwrap_or_default();
        self.dialog.iter_mut().chain(self.forks.iter_mut()).find(|dialog| dialog.remote_tag() == remote)
    }

    /// The end, told exactly once.
    fn end(&mut self, by: By, cause: Cause, cx: &mut UaCx<'_, '_>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            cx.event(CallEvent::Ended { by, cause });
        }
    }
}

/// The Contact URIs and the readable details of a refusal.
fn refused(response: &Response) -> Box<Refused> {
    let rows = |id: HeaderId| response.raw(id).map(|row| row.text().to_string());
    let details = [HeaderId::Warning, HeaderId::RetryAfter, HeaderId::Unsupported];
    Box::new(Refused {
        status: response.status(),
        reason: response.reason().to_string(),
        contacts: response
            .each::<header::Contact>()
            .flatten()
            .filter_map(|contact| contact.address().map(|address| address.uri.as_str().to_owned()))
            .take(16)
            .collect(),
        cause: Reason::of(response),
        details: details
            .iter()
            .flat_map(|&id| rows(id).take(4).map(move |value| (id.name().to_owned(), value)))
            .collect(),
    })
}

/// How far ahead a call asks to be woken.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
