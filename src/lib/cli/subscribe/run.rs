//! From the first SUBSCRIBE to the exit status: subscribes, tells what comes, and ends when it is enough.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Act, Acts, Flags, Spec, Watched, Wish, cause,
    content::{Content, Refused},
    expect::Facts,
    told::{Malformed, Notified},
    view::View,
};
use crate::{
    cli::{
        Context, Event, ExitStatus, Failure, account::Account, ask, conversation, event::milliseconds, place,
        printable::Printable,
    },
    endpoint::agent::{Agent, Subscription},
    message::UriBuf,
    presence::Applied,
    stack::NextHop,
    ua::{
        self,
        package::{self, Termination},
        subscription::{Cause, Forking, Notification, Subscribe, SubscriptionEvent, Task},
    },
};

/// Watches until it is enough.
pub(super) async fn watch(spec: &'static Spec, wish: Wish, flags: Flags, cx: Context) -> Result<(), Failure> {
    let account = Account::resolve(&flags.identity, &flags.route, &cx.config)?;
    let target = target(wish.target.as_deref(), &account)?;
    watch_as(spec, wish, (account, target), flags, cx).await
}

/// The same where it is known already who we are and what is watched.
pub(super) async fn watch_as(
    spec: &'static Spec,
    wish: Wish,
    (account, target): (Account, UriBuf),
    flags: Flags,
    cx: Context,
) -> Result<(), Failure> {
    flags.subscription.expect.iter().try_for_each(|expectation| expectation.check(&spec.keys))?;
    let (task, event, accept) =
        (flags.subscription.task(spec)?, flags.subscription.event(spec)?, flags.subscription.accept(spec)?);
    let config = ua::Config {
        contact_user: place::contact_user(&account),
        incoming_calls: false,
        ..ua::Config::default()
    };
    let security = place::security(&flags.tls, &account, false, &cx)?;
    let listen = place::listen(&account, false);
    let agent = place::start(&listen, cx.tap(), account.resolver.clone(), security, config)?;
    let outcome = async {
        let way = ask::way(&agent, &target, &account, &cx).await?;
        let mut subscribe = Subscribe::new(&spec.package, target.clone(), way.from);
        subscribe.next = way.hop.map_or(NextHop::RequestUri, NextHop::Uri);
        (subscribe.task, subscribe.event, subscribe.accept) = (task, event.clone(), accept);
        (subscribe.lists, subscribe.body) = (spec.lists, wish.body);
        subscribe.event_parameters = wish.event_parameters;
        if !matches!(task, Task::Keep { .. }) {
            // Who asks wants an answer, not to wait whether there are others.
            subscribe.forks = Forking::First;
        }
        subscribe.auth = account.auth()?;
        subscribe.backoff = place::BACKOFF;
        let own = flags.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone()));
        subscribe.headers = wish.headers.into_iter().chain(own).collect();
        let remote = way.flow.remote.to_string();
        let mut run = Run::new(spec, &flags, target.to_string(), event, remote, &cx);
        run.acts = wish.acts;
        run.run(&agent, subscribe).await
    };
    let outcome = outcome.await;
    agent.stop().await;
    outcome
}

/// What was named, or our own address.
pub(super) fn target(named: Option<&str>, account: &Account) -> Result<UriBuf, Failure> {
    if let Some(text) = named {
        return place::target(text, account);
    }
    let own = account.from.as_deref().ok_or_else(|| {
        Failure::usage("nothing to watch")
            .hint("give an address, such as sip:alice@example.com, or --account")
    })?;
    let address = place::address(own, "--from")?;
    place::uri(address.uri().as_str(), "--from")
}

/// The state by one subscription.
struct One {
    watched: Box<dyn Watched>,
    /// As it was told last; nothing before the first document.
    told: Option<View>,
    /// Names the state that was told (RFC 5839).
    etag: Option<String>,
    /// The state of the subscription before this one, which still holds: it is not told again.
    still: Option<Box<dyn Watched>>,
}

impl One {
    fn new(watched: Box<dyn Watched>) -> Self {
        Self { watched, told: None, etag: None, still: None }
    }

    fn state(&self) -> &dyn Watched {
        self.still.as_deref().unwrap_or(&*self.watched)
    }

    /// Takes over what was known by the subscription before.
    fn go_on(&mut self, last: Self) {
        (self.told, self.etag) = (last.told, last.etag);
        self.still = Some(last.still.unwrap_or(last.watched));
    }
}

struct Run<'a> {
    spec: &'static Spec,
    flags: &'a Flags,
    target: String,
    package: String,
    remote: String,
    cx: &'a Context,
    call_id: String,
    forks: BTreeMap<u32, One>,
    /// Of the subscription that ended last, for the next one to differ from.
    last: Option<One>,
    /// What is known now; of what has ended too, until there is something new.
    facts: Facts,
    notifications: u64,
    /// Why the last document says nothing.
    unread: Option<String>,
    /// There is a subscription, or was.
    goal: bool,
    /// When the whole state was asked for last.
    asked: Option<Instant>,
    /// What was printed last has no end of line.
    open: bool,
    /// Who does something about it.
    acts: Option<Box<dyn Acts>>,
}

impl<'a> Run<'a> {
    fn new(
        spec: &'static Spec,
        flags: &'a Flags,
        target: String,
        package: String,
        remote: String,
        cx: &'a Context,
    ) -> Self {
        Self {
            spec,
            flags,
            target,
            package,
            remote,
            cx,
            call_id: String::new(),
            forks: BTreeMap::new(),
            last: None,
            facts: Facts::default(),
            notifications: 0,
            unread: None,
            goal: false,
            asked: None,
            open: false,
            acts: None,
        }
    }

    async fn run(&mut self, agent: &Agent, subscribe: Subscribe) -> Result<(), Failure> {
        let defect = |error: &dyn std::fmt::Display| Failure::new(ExitStatus::Defect, error);
        let mut subscription = agent.subscribe(subscribe).await.map_err(|error| defect(&error))?;
        self.call_id = subscription.call_id().to_owned();
        self.cx.out.summary(|summary| summary.call_id = Some(self.call_id.clone()));
        loop {
            let event = tokio::select! {
                biased;
                acted = act(&mut self.acts) => match acted {
                    Ok(Act::Continue(())) => continue,
                    Ok(Act::Break(())) => {
                        let acted = self.settle().await;
                        self.leave(&mut subscription).await;
                        return acted.and_then(|()| self.verdict());
                    }
                    Err(failure) => {
                        self.leave(&mut subscription).await;
                        return Err(failure);
                    }
                },
                why = self.cx.stop.requested() => {
                    self.tell_unmet();
                    self.leave(&mut subscription).await;
                    // Being told that it is enough is how watching ends well.
                    let is_open_ended =
                        self.flags.subscription.expect.is_empty() && self.flags.subscription.count.is_none();
                    return if self.goal && is_open_ended { Ok(()) } else { Err(why.into()) };
                }
                event = subscription.next() => event,
            };
            match event {
                None => return Err(defect(&"the endpoint stopped")),
                Some(SubscriptionEvent::Ended { cause }) => {
                    let acted = self.settle().await;
                    return self.ended(cause).and(acted);
                }
                Some(event) => {
                    if self.take(event, &subscription)? {
                        let acted = self.settle().await;
                        self.leave(&mut subscription).await;
                        return acted.and_then(|()| self.verdict());
                    }
                }
            }
        }
    }

    /// Waits until everything is done, or somebody does not want to wait.
    async fn settle(&mut self) -> Result<(), Failure> {
        while self.acts.as_ref().is_some_and(|acts| !acts.is_settled()) {
            tokio::select! {
                biased;
                why = self.cx.stop.requested() => return Err(why.into()),
                // That it is enough, is known here.
                acted = act(&mut self.acts) => drop(acted?),
            }
        }
        Ok(())
    }

    /// Whether it is enough.
    fn take(&mut self, event: SubscriptionEvent, subscription: &Subscription) -> Result<bool, Failure> {
        let target = self.target.clone();
        match event {
            SubscriptionEvent::Accepted { status, expires, flow, round_trip } => {
                self.goal = true;
                if let Some(flow) = flow {
                    self.remote = flow.remote.to_string();
                }
                self.cx.out.summary(|summary| {
                    summary.code = Some(status);
                    summary.reason = Some(crate::message::reason_phrase(status).to_owned());
                    summary.remote = Some(self.remote.clone());
                    summary.timings.answer_ms.get_or_insert(milliseconds(round_trip));
                });
                self.tell(Event::Subscribed {
                    target,
                    package: self.package.clone(),
                    remote: self.remote.clone(),
                    code: status,
                    expires_ms: milliseconds(expires),
                    rtt_ms: milliseconds(round_trip),
                });
            }
            SubscriptionEvent::Notified(notification) => {
                self.goal = true;
                return Ok(self.notified(&notification, subscription));
            }
            SubscriptionEvent::Unchanged { fork, expires } => {
                self.tell(Event::Unchanged { target, fork, expires_ms: milliseconds(expires) });
            }
            SubscriptionEvent::NotifyRefused { status, why } => {
                self.warn(format!("a NOTIFY about {target} was refused with {status}: {why}"));
            }
            SubscriptionEvent::Challenged { offered, downgrade } => {
                if self.flags.is_timeline() || self.flags.common.output.report.json {
                    ask::challenged(&self.call_id, &offered, downgrade.as_ref(), self.cx);
                }
            }
            SubscriptionEvent::Adjusted(why) => {
                self.tell(Event::SubscribeAgain { target, reason: cause::adjusted(&why) });
            }
            SubscriptionEvent::FlowLost { flow } => {
                let reason = format!("the connection to {} was lost", flow.remote);
                self.tell(Event::SubscribeAgain { target, reason });
            }
            SubscriptionEvent::ForkEnded { fork, cause } => {
                self.forget(fork);
                self.tell(Event::ForkEnded { target, fork, reason: cause::reason(&cause) });
            }
            SubscriptionEvent::Renewing { cause } => {
                self.forget_all();
                self.tell(Event::SubscribeAgain { target, reason: cause::reason(&cause) });
            }
            SubscriptionEvent::Failed { cause, retry_in, remaining } => {
                // Who never had a subscription wants to know why, and not to wait.
                if !self.goal {
                    return self.ended(Some(cause)).map(|()| true);
                }
                if remaining.is_none() {
                    self.forget_all();
                }
                self.tell(Event::SubscriptionFailed {
                    target,
                    code: cause::code(&cause),
                    reason: cause::reason(&cause),
                    retry_ms: milliseconds(retry_in),
                    remaining_ms: remaining.map(milliseconds),
                });
            }
            SubscriptionEvent::Missed { count } => {
                self.warn(format!("{count} notifications about {target} came faster than they were told"));
                self.ask_again(subscription);
            }
            // Taken out before.
            SubscriptionEvent::Ended { .. } => {}
        }
        Ok(false)
    }

    /// Takes a NOTIFY in and tells of it. Whether it is enough.
    fn notified(&mut self, notification: &Notification, subscription: &Subscription) -> bool {
        self.notifications += 1;
        self.remote = notification.flow.remote.to_string();
        let content = Content::of(&notification.request);
        let is_empty = content.body.is_empty();
        let one = self.forks.entry(notification.fork).or_insert_with(|| {
            let mut one = One::new((self.spec.watched)());
            let is_same = |last: &mut One| is_empty && last.etag.is_some() && last.etag == notification.etag;
            if let Some(last) = self.last.take_if(is_same) {
                one.go_on(last);
            }
            one
        });
        // Who says nothing, and does not say either that it is the same as before, has nothing to say any more.
        let is_same = notification.etag.is_some() && one.etag == notification.etag;
        if is_empty && !is_same && !matches!(notification.state, package::State::Terminated(_)) {
            *one = One::new((self.spec.watched)());
        }
        let taken = if is_empty { Ok(None) } else { one.watched.take(&content).map(Some) };
        if let Ok(applied) = &taken {
            one.etag.clone_from(&notification.etag);
            one.still.take_if(|_| applied.is_some());
        }
        self.unread = taken.as_ref().err().map(Refused::reason);
        match taken {
            Ok(applied) => {
                self.tell_state(notification, &content, applied);
                if applied.is_some_and(Applied::needs_refresh) {
                    self.warn(format!("documents about {} are missing: asking for all of it", self.target));
                    self.ask_again(subscription);
                }
            }
            Err(refused) => {
                self.malformed(&refused, &content);
                if refused.needs_refresh() {
                    self.ask_again(subscription);
                }
            }
        }
        self.look(&notification.state);
        if let Some(acts) = &mut self.acts {
            acts.look(&self.facts);
        }
        if let Some(one) = self.forks.get_mut(&notification.fork).filter(|one| one.told.is_some()) {
            one.watched.settle();
            one.told = Some(one.state().view());
        }
        if matches!(notification.state, package::State::Terminated(_)) {
            self.forget(notification.fork);
        }
        let expect = &self.flags.subscription.expect;
        if !expect.is_empty() && !self.flags.subscription.once && self.unmet().next().is_none() {
            let expectations = expect.iter().map(ToString::to_string).collect();
            self.tell(Event::Expected { target: self.target.clone(), expectations });
            return true;
        }
        self.flags.subscription.count.is_some_and(|count| self.notifications >= count)
    }

    fn tell_state(&mut self, notification: &Notification, content: &Content<'_>, applied: Option<Applied>) {
        let Some(one) = self.forks.get_mut(&notification.fork) else { return };
        let is_known = applied.is_some() || one.told.is_some();
        let view = is_known.then(|| one.state().view());
        let last = self.last.take_if(|_| is_known && one.told.is_none());
        let before = one.told.take().or_else(|| last.and_then(|last| last.told));
        let changes = match (&view, &before) {
            (Some(view), Some(before)) => Some(view.changes(before)),
            _ => None,
        };
        let Termination { reason, retry_after } = match &notification.state {
            package::State::Terminated(termination) => termination.clone(),
            _ => Termination::default(),
        };
        let is_new = changes.as_ref().is_none_or(|changes| !changes.is_empty());
        let told = Notified {
            target: self.target.clone(),
            package: self.package.clone(),
            remote: self.remote.clone(),
            fork: notification.fork,
            state: notification.state.as_str().to_owned(),
            reason: reason.map(|reason| reason.to_string()),
            retry_after_ms: retry_after.map(milliseconds),
            expires_ms: notification.expires.map(milliseconds),
            sequence: self.notifications,
            content_type: notification.content_type().filter(|_| !content.body.is_empty()),
            applied: applied.map(applied_name),
            changes,
            document: if is_known { one.state().document() } else { serde_json::Value::Null },
            body: self.flags.raw.then(|| String::from_utf8_lossy(content.body).into_owned()),
        };
        let shown = view.as_ref().filter(|_| is_new);
        let shown = shown.map(|view| view.render(before.as_ref(), self.cx.out.is_coloured()));
        one.told.clone_from(&view);
        let heading = heading(&told);
        if self.flags.is_timeline() {
            self.cx.out.event(Event::Notified(Box::new(told)));
            self.cx.out.text(indented(&shown.unwrap_or_default()));
            return;
        }
        self.cx.out.data(&Event::Notified(Box::new(told)));
        if self.flags.raw {
            self.print(content.body);
        } else {
            self.cx.out.text(format_args!("{heading}\n{}", shown.unwrap_or_default()));
        }
    }

    fn malformed(&mut self, refused: &Refused, content: &Content<'_>) {
        let place = refused.place();
        let malformed = Malformed {
            target: self.target.clone(),
            package: self.package.clone(),
            remote: self.remote.clone(),
            content_type: Some(content.kind.to_owned()).filter(|kind| !kind.is_empty()),
            line: place.map(|place| place.0),
            column: place.map(|place| place.1),
            reason: refused.reason(),
            body: self.flags.raw.then(|| String::from_utf8_lossy(content.body).into_owned()),
        };
        tracing::warn!("{malformed}");
        self.cx.out.data(&Event::Malformed(Box::new(malformed)));
        if self.flags.raw {
            self.print(content.body);
        }
    }

    /// What expectations look at.
    fn look(&mut self, state: &package::State) {
        let mut facts = Facts::default();
        facts.say("subscription", state.as_str());
        let known = self.forks.values().filter(|one| one.told.is_some());
        facts.0.extend(known.flat_map(|one| one.state().facts().0));
        self.facts = facts;
    }

    fn unmet(&self) -> impl Iterator<Item = &super::expect::Expectation> {
        self.flags.subscription.expect.iter().filter(|expectation| !expectation.holds(&self.facts))
    }

    /// Says what did not come about, before something else ends the run.
    fn tell_unmet(&self) {
        for unmet in self.unmet().filter(|_| self.goal) {
            self.warn(unmet.instead(&self.facts));
        }
    }

    /// Whether what was expected is the case in the end.
    fn verdict(&self) -> Result<(), Failure> {
        // Who asks once wants that one document, if not as it is.
        if let Some(why) = self.unread.as_ref().filter(|_| self.flags.subscription.once && !self.flags.raw) {
            let message = format_args!("the state of {} cannot be read: {why}", self.target);
            return Err(Failure::new(ExitStatus::NotAcceptable, message));
        }
        let unmet: Vec<_> = self.unmet().map(|unmet| unmet.instead(&self.facts)).collect();
        match &unmet[..] {
            [] => Ok(()),
            unmet => Err(Failure::new(ExitStatus::Expectation, unmet.join("; "))),
        }
    }

    fn ended(&mut self, cause: Option<Cause>) -> Result<(), Failure> {
        let reason = cause.as_ref().map(cause::reason);
        if self.goal {
            self.tell(Event::Unsubscribed { target: self.target.clone(), reason });
        }
        let Some(cause) = cause else { return self.verdict() };
        let code = cause::code(&cause);
        self.cx.out.summary(|summary| {
            if let Some(code) = code {
                summary.code = Some(code);
                summary.reason = Some(match &cause {
                    Cause::Refused { reason, .. } => reason.clone(),
                    _ => crate::message::reason_phrase(code).to_owned(),
                });
            }
        });
        if let Cause::Failed(why) = &cause {
            conversation::note_remote(why, self.cx);
        }
        match cause::failure(&cause, &self.target, &self.package) {
            None => self.verdict(),
            Some(failure) => {
                self.tell_unmet();
                Err(failure)
            }
        }
    }

    /// Unsubscribes, and gives it a moment.
    async fn leave(&mut self, subscription: &mut Subscription) {
        if subscription.unsubscribe().is_err() {
            return;
        }
        let over = async {
            while let Some(event) = subscription.next().await {
                if let SubscriptionEvent::Ended { cause } = event {
                    return Some(cause.as_ref().map(cause::reason));
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, over).await {
            Ok(Some(reason)) => self.tell(Event::Unsubscribed { target: self.target.clone(), reason }),
            Ok(None) => {}
            Err(_) => tracing::info!("{} may keep the subscription: no answer in time", self.remote),
        }
    }

    /// The subscription is over, its state is what the next one differs from.
    fn forget(&mut self, fork: u32) {
        if let Some(one) = self.forks.remove(&fork).filter(|one| one.told.is_some()) {
            self.last = Some(one);
        }
    }

    fn forget_all(&mut self) {
        while let Some((&fork, _)) = self.forks.first_key_value() {
            self.forget(fork);
        }
    }

    /// Asks for the whole state, but not again and again.
    fn ask_again(&mut self, subscription: &Subscription) {
        if self.asked.is_some_and(|asked| asked.elapsed() < PAUSE) {
            return;
        }
        self.asked = Some(Instant::now());
        // An endpoint that stopped says so itself.
        let _ = subscription.refresh(None);
    }

    /// On standard output among other events, or not at all where documents alone stand there.
    fn tell(&self, event: Event) {
        match self.flags.is_timeline() {
            true => self.cx.out.event(event),
            false => self.cx.out.data(&event),
        }
    }

    fn warn(&self, message: String) {
        if !self.flags.is_timeline() {
            tracing::warn!("{}", Printable(&message));
        }
        self.tell(Event::Warning { call_id: None, message });
    }

    /// A document as it came; the next one begins on a line of its own.
    fn print(&mut self, body: &[u8]) {
        if self.cx.out.is_json() || body.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.open, !body.ends_with(b"\n")) {
            self.cx.out.bytes(b"\n");
        }
        self.cx.out.bytes(body);
    }
}

/// Never ready where nothing is done.
async fn act(acts: &mut Option<Box<dyn Acts>>) -> Result<Act, Failure> {
    match acts {
        Some(acts) => acts.act().await,
        None => std::future::pending().await,
    }
}

/// Below what stands after the time in a line of events.
fn indented(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| if line == "\n" { line.to_owned() } else { format!("      {line}") })
        .collect()
}

/// The first line of a state that stands alone.
fn heading(told: &Notified) -> String {
    let target = Printable(&told.target).to_string();
    match (&*told.state, told.document.is_null()) {
        ("pending", _) => format!("{target}: it is not decided yet whether you may watch"),
        (_, true) => format!("{target}: nothing is known"),
        _ => target,
    }
}

const fn applied_name(applied: Applied) -> &'static str {
    match applied {
        Applied::Full => "full",
        Applied::Partial => "partial",
        Applied::Gap => "gap",
        Applied::Stale => "stale",
    }
}

/// How long the notifier may take in the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two wishes for the whole state.
const PAUSE: Duration = Duration::from_secs(10);
