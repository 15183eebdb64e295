//! What the usages of a user agent share: whose a request is, whose a deadline, and what one works with.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    message::{Builder, Request},
    stack::{Contact, Cx, Outgoing, RequestId},
    time::Instant,
    transaction::ServerId,
    util::slab::{Key, KeyMap},
};

use super::{
    CallId, Event, PublicationId, QueryId, RegistrationId, SubscriptionId, WatcherId,
    call::{Acked, CallEvent},
    incoming::Own,
    notifier::WatcherEvent,
    page::QueryEvent,
    publication::PublicationEvent,
    registration::RegistrationEvent,
    subscription::SubscriptionEvent,
};

/// Whose request it is.
pub(super) enum Owner {
    Call(CallId),
    Registration(RegistrationId),
    Query(QueryId),
    Subscription(SubscriptionId),
    Publication(PublicationId),
    Watcher(WatcherId),
    /// An answered INVITE of a call that is over: further 2xx must still be acknowledged.
    Past(Box<Acked>),
    Route,
    /// Sent to tidy up; nobody waits for the outcome.
    Nobody,
}

/// One of the usages there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Usage {
    Call(CallId),
    Registration(RegistrationId),
    Query(QueryId),
    Subscription(SubscriptionId),
    Publication(PublicationId),
    Watcher(WatcherId),
    /// All watchers: those who wait to be told something.
    Turns,
}

impl From<CallId> for Usage {
    fn from(id: CallId) -> Self {
        Self::Call(id)
    }
}

impl From<RegistrationId> for Usage {
    fn from(id: RegistrationId) -> Self {
        Self::Registration(id)
    }
}

impl From<QueryId> for Usage {
    fn from(id: QueryId) -> Self {
        Self::Query(id)
    }
}

impl From<SubscriptionId> for Usage {
    fn from(id: SubscriptionId) -> Self {
        Self::Subscription(id)
    }
}

impl From<PublicationId> for Usage {
    fn from(id: PublicationId) -> Self {
        Self::Publication(id)
    }
}

impl From<WatcherId> for Usage {
    fn from(id: WatcherId) -> Self {
        Self::Watcher(id)
    }
}

impl From<Usage> for Owner {
    fn from(usage: Usage) -> Self {
        match usage {
            Usage::Call(id) => Self::Call(id),
            Usage::Registration(id) => Self::Registration(id),
            Usage::Query(id) => Self::Query(id),
            Usage::Subscription(id) => Self::Subscription(id),
            Usage::Publication(id) => Self::Publication(id),
            Usage::Watcher(id) => Self::Watcher(id),
            // They send nothing as such.
            Usage::Turns => Self::Nobody,
        }
    }
}

impl Usage {
    /// Names the usage in a deadline: the slot in the lower half, its three topmost bits say of which kind.
    pub fn token(self) -> u64 {
        let (kind, key) = match self {
            Self::Call(id) => (0, id.0),
            Self::Registration(id) => (1, id.0),
            Self::Query(id) => (2, id.0),
            Self::Subscription(id) => (3, id.0),
            Self::Publication(id) => (4, id.0),
            Self::Watcher(id) => (5, id.0),
            Self::Turns => (6, Key { index: 0, generation: 0 }),
        };
        u64::from(key.generation) << 32 | u64::from(kind << KIND_AT | key.index & SLOTS)
    }

    pub fn of_token(token: u64) -> Option<Self> {
        let low = token as u32;
        let key = Key { index: low & SLOTS, generation: (token >> 32) as u32 };
        match low >> KIND_AT {
            0 => Some(Self::Call(CallId(key))),
            1 => Some(Self::Registration(RegistrationId(key))),
            2 => Some(Self::Query(QueryId(key))),
            3 => Some(Self::Subscription(SubscriptionId(key))),
            4 => Some(Self::Publication(PublicationId(key))),
            5 => Some(Self::Watcher(WatcherId(key))),
            6 => Some(Self::Turns),
            _ => None,
        }
    }
}

/// Where the kind stands in a token; what is below leaves room for five hundred million of each.
const KIND_AT: u32 = 29;
const SLOTS: u32 = (1 << KIND_AT) - 1;
/// Of no usage.
pub(super) const SPARE_TOKEN: u64 = 7 << KIND_AT;

/// What a usage works with: the stack, and what the user agent keeps for all of them.
pub(super) struct UaCx<'a, 'b, I = CallId> {
    pub stack: &'a mut Cx<'b>,
    pub config: &'a Own,
    pub requests: &'a mut KeyMap<RequestId, Owner>,
    pub invites: &'a mut KeyMap<ServerId, CallId>,
    pub events: &'a mut VecDeque<Event>,
    pub id: I,
}

impl<I: Copy + Into<Usage>> UaCx<'_, '_, I> {
    pub fn now(&self) -> Instant {
        self.stack.now()
    }

    pub fn send(&mut self, outgoing: Outgoing) -> RequestId {
        let id = self.stack.send(outgoing);
        self.requests.insert(id, self.id.into().into());
        id
    }

    /// Sends something whose outcome nobody waits for.
    pub fn send_and_forget(&mut self, outgoing: Outgoing) {
        send_and_forget(outgoing, self.stack, self.requests);
    }

    /// Our Contact where no registration says otherwise.
    pub fn own_contact(&self) -> Contact {
        Contact { user: self.config.contact_user.clone(), ..Contact::default() }
    }

    pub fn response(&self, request: &Request, status: u16) -> Builder {
        super::incoming::response(self.config, request, status)
    }

    /// A final response.
    pub fn reply(&mut self, id: ServerId, response: impl Into<Bytes>) {
        self.invites.remove(&id);
        self.provisional(id, response);
    }

    pub fn provisional(&mut self, id: ServerId, response: impl Into<Bytes>) {
        if self.stack.respond(id, response).is_err() {
            tracing::debug!(?id, "answered too late: the transaction is over");
        }
    }
}

impl UaCx<'_, '_> {
    pub fn event(&mut self, event: CallEvent) {
        self.events.push_back(Event::Call(self.id, event));
    }
}

impl UaCx<'_, '_, RegistrationId> {
    pub fn event(&mut self, event: RegistrationEvent) {
        self.events.push_back(Event::Registration(self.id, event));
    }
}

impl UaCx<'_, '_, QueryId> {
    pub fn event(&mut self, event: QueryEvent) {
        self.events.push_back(Event::Query(self.id, event));
    }
}

impl UaCx<'_, '_, SubscriptionId> {
    pub fn event(&mut self, event: SubscriptionEvent) {
        self.events.push_back(Event::Subscription(self.id, event));
    }
}

impl UaCx<'_, '_, PublicationId> {
    pub fn event(&mut self, event: PublicationEvent) {
        self.events.push_back(Event::Publication(self.id, event));
    }
}

impl UaCx<'_, '_, WatcherId> {
    pub fn event(&mut self, event: WatcherEvent) {
        self.events.push_back(Event::Watcher(self.id, event));
    }
}

/// Sends something whose outcome nobody waits for.
pub(super) fn send_and_forget(outgoing: Outgoing, cx: &mut Cx<'_>, requests: &mut KeyMap<RequestId, Owner>) {
    let is_ack = outgoing.is_ack();
    let id = cx.send(outgoing);
    // An ACK's id ends at once.
    if !is_ack {
        requests.insert(id, Owner::Nobody);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back() {
        let key = Key { index: SLOTS, generation: u32::MAX };
        for usage in [
            Usage::Call(CallId(key)),
            Usage::Registration(RegistrationId(key)),
            Usage::Query(QueryId(key)),
            Usage::Subscription(SubscriptionId(key)),
            Usage::Publication(PublicationId(key)),
            Usage::Watcher(WatcherId(key)),
            Usage::Turns,
        ] {
            assert_eq!(Usage::of_token(usage.token()), Some(usage));
        }
        assert_eq!(Usage::of_token(u64::MAX), None);
    }
}
