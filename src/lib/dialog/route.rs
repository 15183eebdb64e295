//! The route set of a dialog (RFC 3261 §12.1, §12.2.1.1): loose routes and the strict ones of old.

use crate::{
    message::{AddressBuf, HeaderId, Message, UriBuf, header::RecordRoute},
    stack::NextHop,
};

/// The proxies that asked to stay in the path, nearest first.
#[derive(Clone, Debug, Default)]
pub struct RouteSet(Box<[AddressBuf]>);

impl RouteSet {
    /// From the Record-Route of the message that made the dialog; a UAC takes them in reverse. A row that
    /// cannot be read leaves the set empty: the peer is then reached directly or not at all.
    pub fn recorded(message: &Message, reverse: bool) -> Self {
        let mut routes = Vec::new();
        if message.raw(HeaderId::RecordRoute).next().is_some() {
            for route in message.each::<RecordRoute>() {
                match route {
                    Ok(route) => routes.push(AddressBuf::from(route)),
                    Err(error) => {
                        tracing::debug!(%error, "unreadable Record-Route");
                        return Self::default();
                    }
                }
            }
        }
        if reverse {
            routes.reverse();
        }
        Self(routes.into())
    }

    /// The Request-URI and the Route values of a request to `target` (§12.2.1.1).
    pub fn apply<'a>(&'a self, target: &'a UriBuf) -> (&'a UriBuf, Vec<AddressBuf>) {
        match self.0.split_first() {
            Some((first, rest)) if !is_loose(first) => {
                let mut routes = rest.to_vec();
                routes.push(AddressBuf::new(None, target.clone()));
                (first.uri(), routes)
            }
            _ => (target, self.0.to_vec()),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn next_hop(&self) -> NextHop {
        match self.0.first() {
            Some(first) if is_loose(first) => NextHop::TopRoute,
            _ => NextHop::RequestUri,
        }
    }
}

fn is_loose(route: &AddressBuf) -> bool {
    route.uri().as_uri().params().get("lr").is_some()
}
