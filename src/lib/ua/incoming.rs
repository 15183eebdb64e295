//! Requests from outside: who they are for, and what is answered without asking anybody (RFC 3261 §8.2).

use std::ops::Deref;

use bytes::Bytes;

use crate::{
    message::{Builder, HeaderId, Limits, Method, Multipart, MultipartError, Part, Request, Scheme, header},
    stack::Cx,
    transaction::ServerId,
    transport::Flow,
};

use super::{CallId, Config, Event, UserAgent, call::Call, notifier};

impl UserAgent {
    pub(super) fn in_dialog(
        &mut self,
        request: Request,
        tag: &str,
        id: ServerId,
        from: Flow,
        cx: &mut Cx<'_>,
    ) {
        if request.method() == Method::Notify {
            return self.notify_received(request, tag, id, from, cx);
        }
        let call =
            self.by_tag(tag).filter(|&call| self.calls.get(call.0).is_some_and(|call| call.owns(&request)));
        if let Err(refusal) = self.understood(&request) {
            let response = refusal.build(&self.config, &request);
            return self.reply(id, response, cx);
        }
        if request.method() == Method::Subscribe {
            return self.resubscribe_received(&request, tag, id, from, cx);
        }
        match call {
            Some(call) => self.act(call, cx, |call, cx| call.request(&request, id, from, cx)),
            None => {
                // §12.2.2; a MESSAGE or OPTIONS that merely carries a tag is no exception.
                self.stats.strays += 1;
                let response = self.response(&request, 481).into_bytes();
                self.reply(id, response, cx);
            }
        }
    }

    /// What is notified of nothing we subscribed to gets 481 (RFC 6665 §4.1.3).
    fn notify_received(&mut self, request: Request, tag: &str, id: ServerId, from: Flow, cx: &mut Cx<'_>) {
        let subscription = self.subscription_of(&request, tag);
        let lists = subscription
            .and_then(|id| self.subscription(id))
            .is_some_and(super::subscription::Subscription::takes_lists);
        let known: &[&str] = if lists { &["eventlist"] } else { &[] };
        match (subscription, self.extensions(&request, known)) {
            (Some(subscription), Ok(())) => {
                self.act_on_subscription(subscription, cx, |subscription, cx| {
                    subscription.notified(request, id, from, cx);
                });
            }
            (Some(_), Err(refusal)) => {
                let response = refusal.build(&self.config, &request);
                self.reply(id, response, cx);
            }
            (None, _) => {
                self.stats.strays += 1;
                let response = self.response(&request, 481).into_bytes();
                self.reply(id, response, cx);
            }
        }
    }

    pub(super) fn out_of_dialog(&mut self, request: Request, id: ServerId, from: Flow, cx: &mut Cx<'_>) {
        if self.merged.is_copy(&request, cx.now()) {
            self.stats.merged += 1;
            return self.refuse(&request, id, 482, cx);
        }
        if let Err(refusal) = self.understood(&request) {
            let response = refusal.tagged(&self.config, &request, &cx.ids().tag());
            return self.reply(id, response, cx);
        }
        match request.method() {
            Method::Invite => self.incoming_call(request, id, from, cx),
            Method::Options => {
                // §11.2: as we would answer an INVITE now.
                let tag = cx.ids().tag();
                let status = if self.config.incoming_calls { 200 } else { 486 };
                let response = self
                    .response(&request, status)
                    .to_tag(&tag)
                    .header(HeaderId::Accept, "application/sdp")
                    .header(HeaderId::AcceptEncoding, "identity")
                    .header(HeaderId::AcceptLanguage, "en")
                    .header(HeaderId::Contact, self.contact_on(&from).on(&from))
                    .into_bytes();
                self.reply(id, response, cx);
            }
            Method::Message => {
                let tag = cx.ids().tag();
                let response = self.response(&request, 200).to_tag(&tag).into_bytes();
                self.reply(id, response, cx);
                self.events.push_back(Event::Page { request: Box::new(request), from });
            }
            Method::Subscribe => self.subscribe_received(request, id, from, cx),
            Method::Publish => self.publish_received(request, id, from, cx),
            // Requests that only make sense in a dialog.
            _ => {
                self.stats.strays += 1;
                self.refuse(&request, id, 481, cx);
            }
        }
    }

    fn incoming_call(&mut self, request: Request, id: ServerId, from: Flow, cx: &mut Cx<'_>) {
        if !self.config.incoming_calls || self.calls.len() >= self.config.calls {
            return self.refuse(&request, id, 486, cx);
        }
        let shard = cx.shard();
        let mut made = None;
        let contact = self.contact_on(&from);
        let key = self.calls.insert_with(|key| {
            let cookie = cx.ids().cookie(shard, key);
            let (call, error) = Call::incoming(cookie, &request, id, from, contact.clone());
            made = error;
            call
        });
        if let Some(error) = made {
            // No Contact, or one that cannot be read: no dialog can come of it (§8.1.1.8).
            tracing::debug!(%error, "INVITE without a usable Contact");
            self.calls.remove(key);
            return self.refuse(&request, id, 400, cx);
        }
        self.stats.incoming_calls += 1;
        let call = CallId(key);
        self.invites.insert(id, call);
        self.act(call, cx, |call, cx| call.arrived(request, cx));
    }

    pub(super) fn refuse(&self, request: &Request, id: ServerId, status: u16, cx: &mut Cx<'_>) {
        let tag = cx.ids().tag();
        let response = self.response(request, status).to_tag(&tag).into_bytes();
        self.reply(id, response, cx);
    }

    /// §8.2.1 to §8.2.3, in the order given there.
    fn understood(&self, request: &Request) -> Result<(), Refusal> {
        match request.method() {
            Method::Invite | Method::Bye | Method::Options => {}
            Method::Message if self.config.pages => {}
            Method::Subscribe if self.config.notifier.is_some() => {}
            Method::Publish if takes_publications(&self.config) => {}
            Method::Other(_) => return Err(Refusal::of(501)),
            _ => return Err(Refusal::of(405)),
        }
        if let Ok(uri) = request.uri()
            && !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Tel)
        {
            return Err(Refusal::of(416));
        }
        // RFC 4662 §4.1: who subscribes says what it can take, and may insist.
        let lists: &[&str] = if request.method() == Method::Subscribe { &["eventlist"] } else { &[] };
        self.extensions(request, lists)?;
        self.body_understood(request)
    }

    /// §8.2.2.3.
    fn extensions(&self, request: &Request, known: &[&str]) -> Result<(), Refusal> {
        let mut unsupported = Vec::new();
        for option in request.each::<header::Require>() {
            match option {
                Ok(option) if known.iter().any(|known| known.eq_ignore_ascii_case(option)) => {}
                Ok(option) => unsupported.push(option.to_string()),
                Err(_) => return Err(Refusal::of(400)),
            }
        }
        if !unsupported.is_empty() {
            return Err(Refusal {
                status: 420,
                extra: Some((HeaderId::Unsupported, unsupported.join(", "))),
            });
        }
        Ok(())
    }

    /// §8.2.3: content we cannot read is refused unless it may be ignored.
    fn body_understood(&self, request: &Request) -> Result<(), Refusal> {
        if request.body().is_empty() {
            return self.answer_wanted(request);
        }
        let optional = request
            .find::<header::ContentDisposition>()
            .is_ok_and(|d| d.is_some_and(|d| d.params.value("handling") == Some("optional")));
        if optional {
            return self.answer_wanted(request);
        }
        let encoded = request
            .each::<header::ContentEncoding>()
            .any(|coding| coding.map_or(true, |coding| !coding.eq_ignore_ascii_case("identity")));
        if encoded {
            return Err(Refusal {
                status: 415,
                extra: Some((HeaderId::AcceptEncoding, "identity".to_owned())),
            });
        }
        let kind = match request.find::<header::ContentType>() {
            Ok(Some(kind)) => kind,
            Ok(None) | Err(_) => return Err(Refusal::of(400)),
        };
        // Beyond the limits nobody knows what is in it; what else is wrong makes it unreadable, as below.
        let parts = Multipart::of(request, &Limits::default()).and_then(|parts| parts.check());
        if let Err(MultipartError::TooManyParts | MultipartError::TooDeep) = parts {
            return Err(Refusal::of(400));
        }
        let readable = match request.method() {
            Method::Message => kind.type_.eq_ignore_ascii_case("text") || kind.is("message", "cpim"),
            Method::Invite => kind.is("application", "sdp") || has_sdp(request),
            _ => true,
        };
        if !readable {
            let accepted = if request.method() == Method::Message { "text/plain" } else { "application/sdp" };
            return Err(Refusal { status: 415, extra: Some((HeaderId::Accept, accepted.to_owned())) });
        }
        self.answer_wanted(request)
    }

    /// An INVITE whose Accept has no room for a session description cannot be answered (§21.4.7).
    fn answer_wanted(&self, request: &Request) -> Result<(), Refusal> {
        if request.method() != Method::Invite || request.raw(HeaderId::Accept).next().is_none() {
            return Ok(());
        }
        let wanted = request.each::<header::Accept>().any(|range| {
            range.is_ok_and(|range| {
                range.type_ == "*"
                    || (range.type_.eq_ignore_ascii_case("application")
                        && (range.subtype == "*" || range.subtype.eq_ignore_ascii_case("sdp")))
            })
        });
        if wanted { Ok(()) } else { Err(Refusal::of(406)) }
    }
}

/// Whether a multipart body has a session description, and no other part that must be understood.
fn has_sdp(request: &Request) -> bool {
    let Ok(parts) = Multipart::of(request, &Limits::default()) else { return false };
    let alternative = request
        .find::<header::ContentType>()
        .is_ok_and(|kind| kind.is_some_and(|kind| kind.subtype.eq_ignore_ascii_case("alternative")));
    let known = |part: Part<'_>| {
        let kind = part.find::<header::ContentType>();
        part.is_optional() || kind.is_ok_and(|kind| kind.is_some_and(|kind| kind.is("application", "sdp")))
    };
    parts.find("application", "sdp").is_some()
        && (alternative || parts.parts().all(|part| part.is_ok_and(known)))
}

/// A final response owed to a request we do not take.
struct Refusal {
    status: u16,
    extra: Option<(HeaderId, String)>,
}

impl Refusal {
    fn of(status: u16) -> Self {
        Self { status, extra: None }
    }

    fn build(self, own: &Own, request: &Request) -> Bytes {
        let builder = response(own, request, self.status);
        self.complete(builder)
    }

    fn tagged(self, own: &Own, request: &Request, tag: &str) -> Bytes {
        let builder = response(own, request, self.status).to_tag(tag);
        self.complete(builder)
    }

    fn complete(self, builder: Builder) -> Bytes {
        match self.extra {
            Some((id, value)) => builder.header(id, value).into_bytes(),
            None => builder.into_bytes(),
        }
    }
}

/// The configuration, and what responses say of it.
pub(super) struct Own {
    config: Config,
    allow: String,
    allow_events: String,
}

impl Own {
    pub fn new(config: Config) -> Self {
        let allow_events = config.notifier.as_ref().map(notifier::Config::allow_events).unwrap_or_default();
        Self { allow: allow(&config), allow_events, config }
    }
}

impl Deref for Own {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

/// A response with Server, and Allow where §20.5 and §21.4.6 want it.
pub(super) fn response(own: &Own, request: &Request, status: u16) -> Builder {
    let builder = Builder::response(request, status, None).header(HeaderId::Server, &own.product);
    let offers = matches!(request.method(), Method::Invite | Method::Options) && status / 100 == 2;
    let builder = if offers || matches!(status, 405 | 501) {
        builder.header(HeaderId::Allow, &own.allow).header(HeaderId::Supported, "")
    } else {
        builder
    };
    // RFC 6665 §4.4.4, §8.3.2.
    if own.notifier.is_some() && (offers || status == 489) {
        return builder.header(HeaderId::AllowEvents, &own.allow_events);
    }
    builder
}

fn takes_publications(config: &Config) -> bool {
    config.notifier.as_ref().is_some_and(|notifier| notifier.publications)
}

/// The Allow value of this user agent.
pub(super) fn allow(config: &Config) -> String {
    let mut methods = String::from("INVITE, ACK, CANCEL, BYE, OPTIONS");
    let more = [
        (config.pages, ", MESSAGE"),
        (config.notifier.is_some(), ", SUBSCRIBE"),
        (takes_publications(config), ", PUBLISH"),
    ];
    methods.extend(more.into_iter().filter(|(is_taken, _)| *is_taken).map(|(_, method)| method));
    methods
}
