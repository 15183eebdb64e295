//! The dialog of RFC 3261 §12: identifiers, sequence numbers, route set and remote target, as data with
//! rules. It owns no usage and sends nothing; [`Dialog::request`] builds, [`Dialog::accept`] judges.

mod forks;
mod route;

use std::sync::Arc;

use crate::{
    message::{
        AddressBuf, Builder, HeaderError, HeaderId, Host, Message, Method, NameAddr, Request, Response,
        UriBuf, UriError, header,
    },
    stack::{NextHop, Outgoing},
    transport::Flow,
};

pub use forks::Forks;
use route::RouteSet;

/// A dialog, early or confirmed, seen from this side.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: Box<str>,
    local: AddressBuf,
    local_tag: Box<str>,
    remote: AddressBuf,
    /// Empty with a peer of RFC 2543, which sends no tag (§12.2.1.1).
    remote_tag: Box<str>,
    local_seq: u32,
    remote_seq: Option<u32>,
    target: UriBuf,
    route: RouteSet,
    state: State,
    flow: Flow,
    /// No proxy stands between us and the peer.
    is_neighbour: bool,
    domain: Option<Arc<str>>,
}

/// ```text
///  1xx with To tag ──► Early ──2xx──► Confirmed
///                        └── 3xx–6xx, nothing: gone
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Early,
    Confirmed,
}

/// Why a message makes no dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DialogError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the Request-URI of our own request cannot be read: {0}")]
    RequestUri(UriError),
}

/// Why a request within the dialog is refused, with the status to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// A CSeq lower than the last one (§12.2.2).
    #[error("CSeq {got} after {last}")]
    OutOfOrder { got: u32, last: u32 },
    #[error("unreadable Contact")]
    BadContact,
}

impl Reject {
    pub const fn status(self) -> u16 {
        match self {
            Self::OutOfOrder { .. } => 500,
            Self::BadContact => 400,
        }
    }
}

impl Dialog {
    /// The dialog a response to our own request makes or belongs to (§12.1.2). `flow` is the one the
    /// response came by. Without a Contact that can be read, which some peers leave out of a 180, the
    /// Request-URI stands in: a 2xx must be acknowledged.
    pub fn uac(request: &Request, response: &Response, flow: Flow) -> Result<Self, DialogError> {
        let from = request.from()?;
        let to = response.to()?;
        let target = match contact(response) {
            Ok(Some(uri)) => uri,
            Ok(None) | Err(_) => request.uri().map(UriBuf::from).map_err(DialogError::RequestUri)?,
        };
        Ok(Self {
            call_id: request.call_id()?.into(),
            local: identity(&from),
            local_tag: from.tag().unwrap_or_default().into(),
            remote: identity(&to),
            remote_tag: to.tag().unwrap_or_default().into(),
            local_seq: request.cseq()?.number,
            remote_seq: None,
            target,
            route: RouteSet::recorded(response, true),
            state: if response.status() < 200 { State::Early } else { State::Confirmed },
            flow,
            is_neighbour: false,
            domain: None,
        })
    }

    /// The dialog an incoming request makes once answered with `local_tag` (§12.1.1). A request that
    /// creates a dialog must carry a Contact.
    pub fn uas(request: &Request, local_tag: &str, local_seq: u32, flow: Flow) -> Result<Self, HeaderError> {
        let (from, to) = (request.from()?, request.to()?);
        let target = contact(request)?.ok_or(HeaderError::Missing(HeaderId::Contact))?;
        Ok(Self {
            call_id: request.call_id()?.into(),
            local: identity(&to),
            local_tag: local_tag.into(),
            remote: identity(&from),
            remote_tag: from.tag().unwrap_or_default().into(),
            local_seq,
            remote_seq: Some(request.cseq()?.number),
            target,
            route: RouteSet::recorded(request, false),
            state: State::Early,
            flow,
            is_neighbour: request.raw(HeaderId::Via).count() == 1,
            domain: None,
        })
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Who is at the other end, without the tag.
    pub fn remote(&self) -> &AddressBuf {
        &self.remote
    }

    /// Our tag, where it is made after the dialog, as it names what owns it.
    pub fn set_local_tag(&mut self, tag: &str) {
        self.local_tag = tag.into();
    }

    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// Where requests go, before routing: the peer's Contact.
    pub fn target(&self) -> &UriBuf {
        &self.target
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// The flow that carried the dialog's last message from the peer.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether the two-sided identifier of a message is this dialog's (§12). `local` and `remote` are the
    /// tags as seen from here.
    pub fn is(&self, call_id: &str, local: &str, remote: &str) -> bool {
        *self.call_id == *call_id && *self.local_tag == *local && *self.remote_tag == *remote
    }

    /// A 2xx confirms an early dialog and replaces its route set and target (§13.2.2.4).
    /// A Contact that cannot be read leaves the target as it is: the 2xx must be acknowledged all the same.
    pub fn confirm(&mut self, response: &Response) {
        if self.state == State::Early {
            self.route = RouteSet::recorded(response, true);
            self.state = State::Confirmed;
        }
        if let Ok(Some(uri)) = contact(response) {
            self.target = uri;
        }
    }

    /// Our own 2xx was sent.
    pub fn confirm_local(&mut self) {
        self.state = State::Confirmed;
    }

    /// A response to a target refresh request of ours carries a new target (§12.2.1.2).
    pub fn refresh(&mut self, response: &Response) -> Result<(), HeaderError> {
        if let Some(uri) = contact(response)? {
            self.target = uri;
        }
        Ok(())
    }

    /// Judges a request of the peer's within the dialog and takes over its sequence number and, for a
    /// target refresh request, its Contact (§12.2.2). ACK follows the INVITE it acknowledges and is not
    /// judged here.
    pub fn accept(&mut self, request: &Request, flow: Flow) -> Result<(), Reject> {
        let Ok(cseq) = request.cseq() else { return Ok(()) };
        if let Some(last) = self.remote_seq
            && cseq.number < last
        {
            return Err(Reject::OutOfOrder { got: cseq.number, last });
        }
        self.remote_seq = Some(cseq.number);
        self.flow = flow;
        if matches!(cseq.method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify) {
            match contact(request) {
                Ok(Some(uri)) => self.target = uri,
                Ok(None) => {}
                Err(_) => return Err(Reject::BadContact),
            }
        }
        Ok(())
    }

    /// The next request in the dialog, with its CSeq number (§12.2.1.1).
    pub fn request(&mut self, method: Method<'_>) -> Builder {
        let number = self.next_number();
        self.build(method, number)
    }

    /// The next CSeq number of ours, for a request sent again with credentials.
    pub fn next_number(&mut self) -> u32 {
        // §8.1.1.5: below 2^31; a dialog that gets there is not of this world, but must not panic.
        self.local_seq = self.local_seq.wrapping_add(1) & 0x7fff_ffff;
        self.local_seq
    }

    /// A request that goes under an earlier number: the ACK for a 2xx (§13.2.2.4).
    pub fn ack(&self, number: u32) -> Builder {
        self.build(Method::Ack, number)
    }

    fn build(&self, method: Method<'_>, number: u32) -> Builder {
        let (uri, routes) = self.route.apply(&self.target);
        let mut builder = Builder::request(method, uri);
        for route in routes {
            builder = builder.header(HeaderId::Route, route);
        }
        builder
            .header(HeaderId::MaxForwards, 70)
            .header(HeaderId::From, Tagged(&self.local, &self.local_tag))
            .header(HeaderId::To, Tagged(&self.remote, &self.remote_tag))
            .header(HeaderId::CallId, &self.call_id)
            .header(HeaderId::CSeq, format_args!("{number} {method}"))
    }

    /// Where requests of this dialog go first.
    pub fn next_hop(&self) -> NextHop {
        self.route.next_hop()
    }

    /// The connection requests stay on while it lives: that of the nearest hop, be it the first proxy of the route
    /// set or the peer itself. Over UDP each goes where the route set and the target say.
    pub fn connection(&self) -> Option<Flow> {
        let nearest = !self.route.is_empty() || self.is_neighbour || self.is_at_peer();
        (self.flow.protocol.is_reliable() && nearest).then_some(self.flow)
    }

    /// Whom a certificate must be for, whatever Contact and Record-Route say: the domain of the URI that began the
    /// dialog (RFC 5922 §7).
    pub fn set_domain(&mut self, domain: Option<Arc<str>>) {
        self.domain = domain;
    }

    /// A request of this dialog, on its way.
    pub fn outgoing(&self, request: Message) -> Outgoing {
        let (flow, domain) = (self.connection(), self.domain.clone());
        Outgoing { flow, domain, ..Outgoing::new(request, self.next_hop()) }
    }

    /// Whether the target is whom the connection leads to; a name that cannot exist is (RFC 7118 §5).
    fn is_at_peer(&self) -> bool {
        match self.target.as_uri().host() {
            Host::Name(name) => name.len() > 8 && name[name.len() - 8..].eq_ignore_ascii_case(".invalid"),
            host => host.ip() == Some(self.flow.remote.ip()),
        }
    }
}

/// A From or To value: the identity, and its tag if it has one.
struct Tagged<'a>(&'a AddressBuf, &'a str);

impl std::fmt::Display for Tagged<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        if self.1.is_empty() { Ok(()) } else { write!(f, ";tag={}", self.1) }
    }
}

/// From or To without its parameters.
fn identity(address: &NameAddr<'_>) -> AddressBuf {
    AddressBuf::new(address.display.map(|text| text.to_string()).as_deref(), UriBuf::from(address.uri))
}

/// The URI of the one Contact a dialog message has; `*` is for REGISTER alone.
fn contact(message: &crate::message::Message) -> Result<Option<UriBuf>, HeaderError> {
    Ok(message.find::<header::Contact>()?.and_then(|contact| contact.address().map(|a| UriBuf::from(a.uri))))
}

#[cfg(test)]
mod tests;
