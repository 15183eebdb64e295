//! SUBSCRIBE and PUBLISH from outside: who they are for, and what is answered without asking anybody (RFC 6665
//! §4.2.1.1).

use std::sync::Arc;

use crate::{
    dialog::Dialog,
    message::{Builder, HeaderId, Request, header},
    stack::Cx,
    time::Duration,
    transaction::ServerId,
    transport::Flow,
    ua::{
        Config, Event, UaCx, UserAgent, WatcherId,
        incoming::{Own, response},
        package,
        package::Package,
    },
    util::id::Cookie,
};

use super::{Watcher, challenge::Challenges, watcher::Asked};

impl UserAgent {
    /// A SUBSCRIBE outside dialogs.
    pub(in crate::ua) fn subscribe_received(
        &mut self,
        request: Request,
        id: ServerId,
        from: Flow,
        cx: &mut Cx<'_>,
    ) {
        let Some(package) = self.package_of(&request) else { return self.bad_event(&request, id, cx) };
        let Some(config) = &self.config.notifier else { return self.refuse(&request, id, 405, cx) };
        let Some(known) = config.packages.get(usize::from(package)).cloned() else { return };
        if self.watchers.len() >= config.watchers {
            let tag = cx.ids().tag();
            let response = self.response(&request, 503).header(HeaderId::RetryAfter, RETRY_AFTER.as_secs());
            return self.reply(id, response.to_tag(&tag).finish(), cx);
        }
        if !accepts(&request, &*known) {
            let tag = cx.ids().tag();
            let response = self.response(&request, 406).header(HeaderId::Accept, known.types().join(", "));
            return self.reply(id, response.to_tag(&tag).finish(), cx);
        }
        let expires = match interval(&self.config, &request, &*known) {
            Ok(expires) => expires,
            Err(unfit) => {
                let tag = cx.ids().tag();
                let response = unfit.response(&self.config, &request).to_tag(&tag);
                return self.reply(id, response.finish(), cx);
            }
        };
        // Its tag follows, as it leads to the watcher.
        let dialog = match Dialog::uas(&request, "", 0, from) {
            Ok(dialog) => dialog,
            Err(error) => {
                tracing::debug!(%error, "SUBSCRIBE without a usable Contact");
                return self.refuse(&request, id, 400, cx);
            }
        };
        let (shard, now, challenges) = (cx.shard(), cx.now(), Challenges::of(&config.auth));
        let asked = Asked { id, request, expires, from };
        let key = self.watchers.insert_with(|key| {
            let cookie = cx.ids().cookie(shard, key);
            Watcher::new(cookie, package, dialog, asked, now).answering(challenges)
        });
        self.act_on_watcher(WatcherId(key), cx, Watcher::arrived);
    }

    /// One within a dialog.
    pub(in crate::ua) fn resubscribe_received(
        &mut self,
        request: &Request,
        tag: &str,
        id: ServerId,
        from: Flow,
        cx: &mut Cx<'_>,
    ) {
        match self.watcher_of(request, tag) {
            Some(watcher) => {
                self.act_on_watcher(watcher, cx, |watcher, cx| watcher.subscribed(request, id, from, cx));
            }
            None => {
                self.stats.strays += 1;
                let response = self.response(request, 481).finish();
                self.reply(id, response, cx);
            }
        }
    }

    /// A PUBLISH: the application has a compositor.
    pub(in crate::ua) fn publish_received(
        &mut self,
        request: Request,
        id: ServerId,
        from: Flow,
        cx: &mut Cx<'_>,
    ) {
        if self.package_of(&request).is_none() {
            return self.bad_event(&request, id, cx);
        }
        self.events.push_back(Event::Publish { request: Box::new(request), id, from });
    }

    fn package_of(&self, request: &Request) -> Option<u8> {
        let (event, _) = package::event(request)?;
        let packages = &self.config.notifier.as_ref()?.packages;
        u8::try_from(packages.iter().position(|package| package.name() == event)?).ok()
    }

    /// 489 says what there is (§8.3.2).
    fn bad_event(&mut self, request: &Request, id: ServerId, cx: &mut Cx<'_>) {
        let tag = cx.ids().tag();
        let response = self.response(request, 489).to_tag(&tag);
        self.reply(id, response.finish(), cx);
    }

    /// The watcher whose local tag this is, if the rest of the dialog is its own too.
    fn watcher_of(&self, request: &Request, tag: &str) -> Option<WatcherId> {
        let cookie = Cookie::decode(tag)?;
        let watcher = self.watchers.get(cookie.key())?;
        (watcher.cookie() == cookie && watcher.owns(request)).then_some(WatcherId(cookie.key()))
    }
}

impl UaCx<'_, '_, WatcherId> {
    pub(super) fn package(&self, index: u8) -> Option<Arc<dyn Package>> {
        self.config.notifier.as_ref()?.packages.get(usize::from(index)).cloned()
    }

    /// How long a SUBSCRIBE within a dialog gets.
    pub(super) fn interval(&self, request: &Request, package: &dyn Package) -> Result<Duration, Unfit> {
        interval(self.config, request, package)
    }
}

/// Why a SUBSCRIBE gets no time.
pub(super) enum Unfit {
    Unreadable,
    /// Less than this is not given.
    TooBrief(Duration),
}

impl Unfit {
    pub fn response(&self, own: &Own, request: &Request) -> Builder {
        match self {
            Self::Unreadable => response(own, request, 400),
            Self::TooBrief(least) => {
                response(own, request, 423).header(HeaderId::MinExpires, least.as_secs())
            }
        }
    }
}

fn interval(config: &Config, request: &Request, package: &dyn Package) -> Result<Duration, Unfit> {
    let asked = match request.find::<header::Expires>() {
        Ok(Some(seconds)) => Duration::from_secs(seconds.into()),
        Ok(None) => package.expires(),
        Err(_) => return Err(Unfit::Unreadable),
    };
    let (least, most) = match &config.notifier {
        Some(notifier) => (notifier.least.min(HOUR), notifier.most),
        None => (Duration::ZERO, HOUR),
    };
    if !asked.is_zero() && asked < least {
        return Err(Unfit::TooBrief(least));
    }
    Ok(asked.min(most))
}

/// Whether one of the types of a package is wanted; without Accept the default one is.
fn accepts(request: &Request, package: &dyn Package) -> bool {
    if request.raw(HeaderId::Accept).next().is_none() {
        return true;
    }
    request.each::<header::Accept>().flatten().any(|range| {
        package.types().iter().any(|known| {
            let (kind, subtype) = known.split_once('/').unwrap_or((known, ""));
            (range.type_ == "*" || range.type_.eq_ignore_ascii_case(kind))
                && (range.subtype == "*" || range.subtype.eq_ignore_ascii_case(subtype))
        })
    })
}

/// How long who finds it full should wait.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longer than that nobody may be made to ask for (§4.2.1.1).
const HOUR: Duration = Duration::from_secs(3600);
