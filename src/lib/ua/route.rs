//! The way of an account's requests: its service route (RFC 3608), its outbound proxy, its Contact.

use crate::{
    message::{AddressBuf, Builder, HeaderId},
    stack::{Contact, NextHop},
};

/// What a registration says of requests made under it; nothing for those made under none.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Becomes the Route of requests that make a dialog or stand alone.
    pub service_route: Vec<AddressBuf>,
    pub next: Option<NextHop>,
    /// A GRUU, or our address as a NAT shows it.
    pub contact: Option<Contact>,
}

impl Way {
    pub fn apply(&self, builder: Builder) -> Builder {
        self.service_route.iter().fold(builder, |builder, route| builder.header(HeaderId::Route, route))
    }

    /// A proxy that was configured stays the first hop (RFC 3608 §6.1); else the service route is followed.
    pub fn next(&self, own: NextHop) -> NextHop {
        match (own, &self.next) {
            (NextHop::Uri(proxy), _) => NextHop::Uri(proxy),
            (_, Some(NextHop::Uri(proxy))) => NextHop::Uri(proxy.clone()),
            _ if !self.service_route.is_empty() => NextHop::TopRoute,
            (own, _) => own,
        }
    }
}
