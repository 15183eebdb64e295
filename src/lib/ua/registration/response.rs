//! Reading the final response to a REGISTER, and what follows from it.

use std::net::SocketAddr;

use crate::{
    auth,
    message::{AddressBuf, ContactValue, HeaderId, Response, UriBuf, header},
    time::Duration,
    transport::{Flow, Protocol, keepalive::Pulse},
};

use super::{
    Adjusted, Cause, Granted, Input, Listed, MAX_LISTED, MAX_ROUTES, MAX_TRANSLATIONS, Pending, Registration,
    RegistrationEvent, RegistrationId, State, Task, UaCx, uri_in,
};

impl Registration {
    pub(super) fn answered(
        &mut self,
        pending: &Pending,
        response: &Response,
        cx: &mut UaCx<'_, '_, RegistrationId>,
    ) {
        if self.times.is_none() {
            self.times = cx.stack.times(pending.id);
        }
        match response.status() {
            200..=299 => self.granted_by(pending, response, cx),
            401 | 407 => self.challenged(pending, response, cx),
            423 => self.too_brief(response, cx),
            301 | 302 => self.redirected(response, cx),
            439 if self.outbound => {
                self.outbound = false;
                self.again(Adjusted::NoOutbound, cx);
            }
            _ => self.outcome(refused(response), cx),
        }
    }

    fn again(&mut self, why: Adjusted, cx: &mut UaCx<'_, '_, RegistrationId>) {
        cx.event(RegistrationEvent::Adjusted(why));
        self.go_on(Input::Again, cx);
    }

    fn challenged(&mut self, pending: &Pending, response: &Response, cx: &mut UaCx<'_, '_, RegistrationId>) {
        // The first response is the earliest sign of a NAT: a REGISTER saved.
        if let Some(flow) = cx.stack.flow(pending.id)
            && let Some(adjusted) = self.translated(pending, response, &flow, self.outbound)
        {
            cx.event(RegistrationEvent::Adjusted(adjusted));
        }
        let ids = cx.stack.ids();
        let answer = self.register.auth.challenged(response, &pending.sent, &mut || ids.u64());
        match answer.outcome {
            auth::Outcome::Retry(credentials) => {
                self.credentials = Some(credentials);
                cx.event(RegistrationEvent::Challenged {
                    offered: answer.offered,
                    downgrade: answer.downgrade,
                });
                self.go_on(Input::Again, cx);
            }
            auth::Outcome::GiveUp(why) => {
                let (status, offered) = (response.status(), answer.offered);
                self.outcome(Cause::Unauthorized { status, why, offered }, cx);
            }
        }
    }

    /// §10.2.8.
    fn too_brief(&mut self, response: &Response, cx: &mut UaCx<'_, '_, RegistrationId>) {
        match response.find::<header::MinExpires>() {
            Ok(Some(least)) if least > self.expires && self.expires > 0 => {
                let asked = seconds(std::mem::replace(&mut self.expires, least));
                self.again(Adjusted::TooBrief { asked, least: seconds(least) }, cx);
            }
            _ => self.outcome(refused(response), cx),
        }
    }

    /// Once, and not from sips to sip (§8.1.3.4). 301 is remembered.
    fn redirected(&mut self, response: &Response, cx: &mut UaCx<'_, '_, RegistrationId>) {
        let secure = self.register.registrar.as_uri().scheme_name().eq_ignore_ascii_case("sips");
        let target = response.each::<header::Contact>().flatten().find_map(|contact| {
            let uri = contact.address()?.uri;
            let fits = uri.is_sip() && (!secure || uri.scheme_name().eq_ignore_ascii_case("sips"));
            fits.then(|| UriBuf::parse(uri.without_headers()).ok()).flatten()
        });
        match target {
            Some(to) if self.cycle.redirected.is_none() => {
                self.cycle.redirected = Some(to.clone());
                if response.status() == 301 {
                    self.register.registrar = to.clone();
                }
                self.again(Adjusted::Redirected { status: response.status(), to }, cx);
            }
            _ => self.outcome(refused(response), cx),
        }
    }

    fn granted_by(&mut self, pending: &Pending, response: &Response, cx: &mut UaCx<'_, '_, RegistrationId>) {
        self.register.auth.accepted(response);
        let Some(flow) = cx.stack.flow(pending.id) else { return };
        let round_trip = cx.stack.sent_at(pending.id).map_or(Duration::ZERO, |at| cx.now() - at);
        let times = self.times.unwrap_or_default();
        let (bindings, unread) = listed(response);
        for (number, why) in unread {
            cx.event(RegistrationEvent::Unread { number, why });
        }
        match &self.register.task {
            Task::Query => {
                cx.event(RegistrationEvent::Bindings { bindings, flow, round_trip, times });
                return self.go_on(Input::Granted, cx);
            }
            Task::Remove(_) | Task::RemoveAll => {
                cx.event(RegistrationEvent::Removed { bindings, flow, round_trip, times });
                return self.go_on(Input::Granted, cx);
            }
            Task::Keep { .. } | Task::Once { .. } if pending.removal => {
                self.machine.bound = false;
                cx.event(RegistrationEvent::Removed { bindings, flow, round_trip, times });
                return self.go_on(Input::Granted, cx);
            }
            Task::Keep { .. } | Task::Once { .. } => {}
        }
        self.machine.bound = true;
        let contact = pending.contact.as_ref().and_then(|contact| uri_in(&contact.on(&flow)));
        let own = self.own(&bindings, contact.as_ref());
        let asked = seconds(self.expires);
        let expires = own
            .and_then(|own| bindings.get(own)?.expires)
            .or_else(|| response.find::<header::Expires>().ok().flatten().map(seconds))
            .unwrap_or(asked);
        if self.machine.state() == State::Leaving {
            return self.go_on(Input::Granted, cx);
        }
        if let Some(adjusted) = self.moved(pending, response, &flow, &bindings, contact.as_ref()) {
            return self.again(adjusted, cx);
        }
        if expires.is_zero() && !asked.is_zero() {
            return self.outcome(Cause::NotGranted, cx);
        }
        if !self.cycle.translated {
            self.translations = 0;
        }
        self.failures = 0;
        self.bound_until = Some(cx.now() + expires);
        let refresh_in = refresh_in(expires, cx.stack.ids().u64());
        let granted = Granted {
            bindings,
            own,
            expires,
            refresh_in,
            service_route: routes(response),
            path: rows(response, HeaderId::Path),
            outbound: self.outbound && requires_outbound(response),
            flow_timer: response.find::<header::FlowTimer>().ok().flatten().map(seconds),
            contact,
            flow,
            round_trip,
            times,
        };
        if matches!(self.register.task, Task::Keep { .. }) {
            self.keep_alive(self.pulse(&granted).map(|pulse| (flow, pulse)), cx);
        }
        self.granted = Some(granted.clone());
        cx.event(RegistrationEvent::Registered(Box::new(granted)));
        self.go_on(Input::Granted, cx);
    }

    /// How the flow is kept alive (RFC 5626 §4.4): the registrar answers if it granted Outbound. Otherwise only what
    /// would close by itself is used: connections, and what an address translator opened for us.
    fn pulse(&self, granted: &Granted) -> Option<Pulse> {
        let reliable = granted.flow.protocol.is_reliable();
        let checked = granted.outbound;
        let usual = if reliable { CONNECTION_PULSE } else { DATAGRAM_PULSE };
        let wanted = checked || reliable || self.public.is_some() || granted.flow_timer.is_some();
        wanted.then(|| Pulse { every: granted.flow_timer.unwrap_or(usual).max(SOONEST), checked })
    }

    /// Whether what was just bound is not where we are reached, so that it must be bound once more.
    fn moved(
        &mut self,
        pending: &Pending,
        response: &Response,
        flow: &Flow,
        bindings: &[Listed],
        contact: Option<&UriBuf>,
    ) -> Option<Adjusted> {
        let contact = contact?;
        // What the registrar does not list (any more) needs no removal.
        let lists = |uri: &UriBuf| bindings.iter().any(|b| b.uri.as_uri().equivalent(&uri.as_uri()));
        self.stale.clear();
        let before =
            self.current.replace(contact.clone()).filter(|before| before != contact && lists(before));
        self.stale.extend(before.clone());
        // With an instance and reg-id the registrar replaces the binding by itself (RFC 5626 §6), if it knows of that.
        let outbound = self.outbound && requires_outbound(response);
        if let Some(adjusted) = self.translated(pending, response, flow, outbound) {
            if !outbound {
                self.stale.push(contact.clone());
            }
            return Some(adjusted);
        }
        before.filter(|_| !outbound).map(|from| Adjusted::Moved { from })
    }

    /// RFC 3581 §4: the topmost Via of the response says from where the REGISTER came. Once in a cycle, and not
    /// for ever where each request finds another address. Where Outbound is granted the flow is what counts, and where
    /// it is asked for that is to be seen first.
    fn translated(
        &mut self,
        pending: &Pending,
        response: &Response,
        flow: &Flow,
        outbound: bool,
    ) -> Option<Adjusted> {
        let said = pending.contact.as_ref()?.address.unwrap_or(flow.local);
        let is_socket = matches!(flow.protocol, Protocol::Udp | Protocol::Tcp | Protocol::Tls);
        if !self.register.rewrite || outbound || !is_socket {
            return None;
        }
        let via = response.via().ok()?;
        let ip = via.received().or_else(|| via.host.ip())?;
        let port = via.rport().flatten()?;
        let public = SocketAddr::new(ip, port);
        if public == said || port == 0 || self.cycle.translated {
            return None;
        }
        self.cycle.translated = true;
        self.translations = self.translations.saturating_add(1);
        if self.translations > MAX_TRANSLATIONS {
            tracing::warn!(
                "seen from the registrar our address keeps changing, now {public}; {said} stays registered"
            );
            return None;
        }
        self.public = (public != flow.local).then_some(public);
        Some(Adjusted::Translated { local: flow.local, public })
    }

    /// Which of the bindings is ours: by instance and reg-id (RFC 5626 §6), else by address.
    fn own(&self, bindings: &[Listed], contact: Option<&UriBuf>) -> Option<usize> {
        let first = match &self.register.task {
            Task::Keep { contacts, .. } | Task::Once { contacts, .. } => {
                contacts.iter().find_map(|contact| contact.uri.as_ref())
            }
            Task::Query | Task::Remove(_) | Task::RemoveAll => None,
        };
        let contact = contact.or(first)?;
        let instance = self.register.instance.as_deref().filter(|_| self.outbound);
        let same_device = |listed: &Listed| {
            let same =
                listed.instance.as_deref().zip(instance).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
            same && listed.reg_id == self.register.reg_id
        };
        let same_uri = |listed: &Listed| listed.uri.as_uri().equivalent(&contact.as_uri());
        bindings.iter().position(same_device).or_else(|| bindings.iter().position(same_uri))
    }
}

/// Early enough that a lost REGISTER can be repeated for as long as a transaction takes, and not at the same moment
/// for all who were cut off together.
pub(in crate::ua) fn refresh_in(expires: Duration, random: u64) -> Duration {
    let thousandths = 750 + u32::try_from(random % 151).unwrap_or(0);
    let usual = expires * thousandths / 1000;
    let early = expires.saturating_sub(TRANSACTION).max(expires * (thousandths - 250) / 1000);
    usual.min(early).max(SOONEST)
}

fn listed(response: &Response) -> (Vec<Listed>, Vec<(usize, String)>) {
    let read = |contact: ContactValue<'_>| {
        let address = contact.address()?;
        Some(Listed {
            uri: address.uri.into(),
            expires: contact.expires().map(seconds),
            q: contact.q(),
            instance: contact.instance().map(str::to_owned),
            reg_id: contact.reg_id(),
            public_gruu: contact.public_gruu().map(UriBuf::from),
            temporary_gruu: contact.temporary_gruu().map(UriBuf::from),
        })
    };
    let (mut listed, mut unread) = (Vec::new(), Vec::new());
    for (at, contact) in response.each::<header::Contact>().take(MAX_LISTED).enumerate() {
        match contact.map(read) {
            Ok(Some(contact)) => listed.push(contact),
            Ok(None) => unread.push((at + 1, "it names no address".to_owned())),
            Err(error) => unread.push((at + 1, error.to_string())),
        }
    }
    (listed, unread)
}

/// A route of which a part cannot be read leads nowhere.
fn routes(response: &Response) -> Vec<AddressBuf> {
    let routes: Result<Vec<_>, _> = response
        .each::<header::ServiceRoute>()
        .take(MAX_ROUTES)
        .map(|route| route.map(AddressBuf::from))
        .collect();
    routes.unwrap_or_else(|error| {
        tracing::debug!(%error, "unreadable Service-Route");
        Vec::new()
    })
}

fn rows(response: &Response, id: HeaderId) -> Vec<String> {
    response.raw(id).take(MAX_ROUTES).map(|row| row.text().to_string()).collect()
}

fn requires_outbound(response: &Response) -> bool {
    response.each::<header::Require>().flatten().any(|option| option.eq_ignore_ascii_case("outbound"))
}

fn refused(response: &Response) -> Cause {
    let details = [HeaderId::Warning, HeaderId::RetryAfter, HeaderId::MinExpires, HeaderId::Unsupported];
    Cause::Refused {
        status: response.status(),
        reason: response.reason().to_string(),
        retry_after: response.find::<header::RetryAfter>().ok().flatten().map(|value| seconds(value.seconds)),
        details: details
            .iter()
            .flat_map(|&id| rows(response, id).into_iter().map(move |value| (id.name().to_owned(), value)))
            .take(MAX_ROUTES)
            .collect(),
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// The longest a REGISTER may take over UDP (64 × T1), and a little more.
const TRANSACTION: Duration = Duration::from_secs(40);
/// RFC 5626 §4.4.1 and §4.4.2.
const CONNECTION_PULSE: Duration = Duration::from_secs(120);
const DATAGRAM_PULSE: Duration = Duration::from_secs(29);
/// A registrar that grants less gets no more of our time.
const SOONEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_leaves_room_for_a_lost_one() {
        for random in [0, 75, 150, 151, u64::MAX] {
            for seconds in [1_u64, 2, 10, 60, 120, 300, 3600, u64::from(u32::MAX)] {
                let expires = Duration::from_secs(seconds);
                let refresh = refresh_in(expires, random);
                assert!(refresh <= expires.max(SOONEST), "{refresh:?} of {expires:?}");
                assert!(refresh >= expires / 2, "{refresh:?} of {expires:?}");
                assert!(seconds < 120 || expires - refresh >= TRANSACTION, "{refresh:?} of {expires:?}");
            }
        }
        assert_ne!(refresh_in(Duration::from_secs(3600), 1), refresh_in(Duration::from_secs(3600), 2));
        assert_eq!(refresh_in(Duration::ZERO, 1), SOONEST);
    }
}
