//! The way of an account's requests: its service route (RFC 3608), its outbound proxy, its Contact.

use std::sync::Arc;

use crate::{
    message::{AddressBuf, Builder, HeaderId, Message},
    stack::{Contact, NextHop, Outgoing},
    transport::Flow,
};

/// What a registration says of requests made under it; nothing for those made under none.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Becomes the Route of requests that make a dialog or stand alone.
    pub service_route: Vec<AddressBuf>,
    pub next: Option<NextHop>,
    /// The connection that was registered, if it is one (RFC 5626 §4.3).
    pub flow: Option<Flow>,
    /// Whom a certificate must be for: the domain the account names, wherever the service route leads.
    pub domain: Option<Arc<str>>,
    /// A GRUU, or our address as a NAT shows it.
    pub contact: Option<Contact>,
}

impl Way {
    pub fn apply(&self, builder: Builder) -> Builder {
        self.service_route.iter().fold(builder, |builder, route| builder.header(HeaderId::Route, route))
    }

    /// A request with what the way says, `next` for one that says nothing.
    pub fn outgoing(&self, builder: Builder, next: NextHop, contact: Option<Contact>) -> Outgoing {
        self.outgoing_message(builder.finish(), next, contact)
    }

    /// The same for a request that is written already.
    pub fn outgoing_message(&self, request: Message, next: NextHop, contact: Option<Contact>) -> Outgoing {
        let flow = self.flow;
        let domain = self.domain.clone().filter(|_| !self.service_route.is_empty());
        Outgoing { contact, flow, domain, ..Outgoing::new(request, self.next(next)) }
    }

    /// A proxy that was configured stays the first hop (RFC 3608 §6.1); else the service route is followed.
    fn next(&self, own: NextHop) -> NextHop {
        match (own, &self.next) {
            (NextHop::Uri(proxy), _) => NextHop::Uri(proxy),
            (_, Some(NextHop::Uri(proxy))) => NextHop::Uri(proxy.clone()),
            _ if !self.service_route.is_empty() => NextHop::TopRoute,
            (own, _) => own,
        }
    }
}
