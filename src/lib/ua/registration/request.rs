//! Writing REGISTERs (RFC 3261 §10.2).

use std::fmt::Write as _;

use crate::{
    message::{Builder, HeaderId, Method, Quoted, UriBuf},
    stack::{Contact, Outgoing},
};

use super::{Binding, Cause, MAX_ROUNDS, Pending, Registration, RegistrationId, Task, UaCx};

impl Registration {
    pub(super) fn send(&mut self, removal: bool, cx: &mut UaCx<'_, '_, RegistrationId>) {
        self.cycle.rounds += 1;
        if self.cycle.rounds > MAX_ROUNDS {
            return self.outcome(Cause::Endless, cx);
        }
        self.number += 1;
        let target = self.cycle.redirected.as_ref().unwrap_or(&self.register.registrar);
        let credentials = self.credentials.take();
        let credentials =
            credentials.unwrap_or_else(|| self.register.auth.authorize("REGISTER", target.as_str(), b""));
        let aor = &self.register.aor;
        let mut builder = Builder::request(Method::Register, target)
            .header(HeaderId::MaxForwards, 70)
            .header(HeaderId::From, format_args!("{aor};tag={}", self.tag))
            .header(HeaderId::To, aor)
            .header(HeaderId::CallId, &self.call_id)
            .header(HeaderId::CSeq, format_args!("{} REGISTER", self.number))
            .header(HeaderId::Supported, self.supported())
            .header(HeaderId::Allow, crate::ua::incoming::allow(cx.config))
            .header(HeaderId::UserAgent, &cx.config.product);
        for (id, value) in credentials {
            builder = builder.header(id, value);
        }
        for (name, value) in &self.register.headers {
            builder = builder.named(name, value);
        }
        let (builder, contact) = self.bindings(builder, removal, cx.config.contact_user.clone());
        let Ok(sent) = builder.finish().into_request() else { return };
        // A refresh stays on the connection that was registered; after a failure a new one is better.
        let flow = self.granted.as_ref().map(|granted| granted.flow);
        let outgoing = Outgoing {
            contact: contact.clone(),
            flow: flow.filter(|flow| flow.protocol.is_reliable() && self.failures == 0),
            ..Outgoing::new(sent.clone().into_message(), self.register.next.clone())
        };
        let id = cx.send(outgoing);
        self.pending = Some(Pending { id, sent, contact, removal });
    }

    /// RFC 3327 §5.1; RFC 5626 §4.2.1; RFC 5627 §4.1.
    fn supported(&self) -> String {
        let mut options = String::from("path");
        if self.outbound {
            options += ", outbound";
        }
        if self.register.gruu && self.register.instance.is_some() {
            options += ", gruu";
        }
        options
    }

    /// Expires and Contact.
    fn bindings(&self, builder: Builder, removal: bool, user: Option<String>) -> (Builder, Option<Contact>) {
        let row = |builder: Builder, uri: &UriBuf, params: &str| {
            builder.header(HeaderId::Contact, format_args!("<{uri}>{params}"))
        };
        match &self.register.task {
            Task::Query => (builder, None),
            Task::RemoveAll => (builder.header(HeaderId::Expires, 0).header(HeaderId::Contact, "*"), None),
            Task::Remove(uris) => {
                let builder = builder.header(HeaderId::Expires, 0);
                (uris.iter().fold(builder, |builder, uri| row(builder, uri, "")), None)
            }
            Task::Keep { contacts, .. } | Task::Once { contacts, .. } => {
                let mut builder = builder.header(HeaderId::Expires, if removal { 0 } else { self.expires });
                let mut own = None;
                for binding in contacts {
                    let params = self.params(binding);
                    match &binding.uri {
                        Some(uri) => builder = row(builder, uri, &params),
                        None => {
                            own = Some(Contact {
                                user: user.clone(),
                                uri: None,
                                address: self.public,
                                params,
                                sips: self.is_sips(),
                            });
                        }
                    }
                }
                for uri in &self.stale {
                    builder = row(builder, uri, ";expires=0");
                }
                (builder, own)
            }
        }
    }

    fn params(&self, binding: &Binding) -> String {
        let mut params = String::new();
        // Writing to a string does not fail.
        if let Some(q) = binding.q {
            let _ = write!(params, ";q={}.{:03}", q / 1000, q % 1000);
        }
        if binding.uri.is_none()
            && let Some(instance) = &self.register.instance
        {
            let _ = write!(params, ";+sip.instance={}", Quoted(&format!("<{instance}>")));
            if let Some(reg_id) = self.register.reg_id.filter(|_| self.outbound) {
                let _ = write!(params, ";reg-id={reg_id}");
            }
        }
        params
    }
}
