//! The presence server of a test endpoint: who may watch what, what they are told, and what is published.
//!
//! The state of a resource is what was published for it, composed if several did (RFC 3903 §6, RFC 4480), or what the
//! server was told at its start ([`Stated`]), and for some packages what it knows itself: its registrar's bindings (RFC
//! 3680), its own calls (RFC 4235), its watchers (RFC 3857). [`List`]s are several states watched as one (RFC 4662).
//! [`Rule`]s say who may watch (RFC 5025 §3.2.1).
//!
//! Everybody who is told the same shares one [`Document`]. So who may not see the truth watches, in the terms of the
//! user agent, another resource: its name has one more word. What is kept is bounded by how many watch and publish.

mod compose;
mod documents;
mod list;
mod publications;
mod resource;
mod rules;
mod stated;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use crate::{
    message::{Request, Uri, UriBuf, header},
    presence::pres_rules::SubHandling,
    stack::Cx,
    time::{Duration, Instant},
    transport::Flow,
    ua::{
        CallId, UserAgent, WatcherId,
        compositor::{self, Compositor},
        notifier::{self, Acceptance, Cause, Document, Standing, WatcherEvent},
        package::{Known, Package},
        publication::Operation,
    },
};

use super::{behaviour::Behaviour, bindings::Bindings};

pub use list::{List, NoList};
pub use rules::{NoRule, RULES, Rule};
pub use stated::{SYNTAX, State, Stated, Unstated, counted, kind_of_message};

/// What a server tells of, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where nothing is published.
    pub stated: Vec<Stated>,
    pub lists: Vec<List>,
    pub rules: Vec<Rule>,
    /// At once; 503 beyond.
    pub watchers: usize,
    /// Shorter subscriptions and publications are refused (423).
    pub least: Duration,
    pub publications: compositor::Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stated: Vec::new(),
            lists: Vec::new(),
            rules: Vec::new(),
            watchers: 100_000,
            least: Duration::from_secs(60),
            publications: compositor::Limits {
                publications: 20_000,
                octets: 64 << 20,
                largest: 64 << 10,
                ..compositor::Limits::default()
            },
        }
    }
}

impl Config {
    /// For the user agent of the server.
    pub fn notifier(&self) -> notifier::Config {
        // Tests do not want to wait: every change is told at once.
        let at_once = |known: Known| Arc::new(Known { pace: Duration::ZERO, ..known }) as Arc<dyn Package>;
        notifier::Config {
            packages: PACKAGES.into_iter().map(at_once).collect(),
            least: self.least,
            watchers: self.watchers,
            publications: true,
            ..notifier::Config::default()
        }
    }
}

/// What a program may want to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Of a subscription of somebody, who is not known any more if it failed.
    Watcher { package: String, resource: String, watcher: Option<String>, what: Happened },
    /// A PUBLISH was answered.
    Published {
        package: String,
        resource: String,
        from: String,
        remote: SocketAddr,
        status: u16,
        /// What it did; nothing if it was refused.
        operation: Option<Operation>,
        etag: Option<String>,
        expires: Option<Duration>,
    },
    /// What was published ran out.
    Expired { package: String, resource: String },
}

/// What happened to a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    Accepted {
        remote: SocketAddr,
        handling: SubHandling,
        expires: Duration,
    },
    Refused {
        remote: SocketAddr,
        status: u16,
    },
    Refreshed {
        expires: Duration,
    },
    /// A NOTIFY was answered so, and the subscription goes on.
    NotifyFailed {
        status: u16,
    },
    Ended {
        why: String,
    },
}

/// What the notifications of a server are made of, and who is to know of them.
pub struct Events {
    compositor: Compositor,
    stated: Vec<Stated>,
    lists: Vec<List>,
    rules: Vec<Rule>,
    /// What is watched.
    topics: HashMap<Key, Topic>,
    /// Those of them that are lists.
    watched_lists: BTreeSet<Key>,
    seats: HashMap<WatcherId, Seat>,
    /// Our own calls, by who was called. Of thousands each costs its id; the rest is the user agent's to know.
    calls: HashMap<Arc<str>, BTreeSet<CallId>>,
    /// Topics to be told anew, and when.
    due: BTreeSet<(Instant, Key)>,
    /// When we asked to be woken.
    armed: Option<Instant>,
    serial: u32,
}

/// The package by its place, and the name of what is watched: a resource, and a word if not all of it is told.
type Key = (u8, Arc<str>);

/// Something that somebody watches.
#[derive(Default)]
struct Topic {
    document: Option<Arc<Document>>,
    version: u32,
    /// What its rows were when it was told last.
    told: Vec<Row>,
    due: Option<Instant>,
}

/// A row of a document: its id, its URI, and when it ends.
type Row = (String, String, Option<Instant>);

/// Where a watcher sits.
struct Seat {
    topic: Key,
    /// Names it in watcher information.
    serial: u32,
}

/// What a server has besides: who is asked, and what its registrar knows.
pub(super) struct Around<'a, 'c> {
    pub ua: &'a mut UserAgent,
    pub bindings: Option<&'a Bindings>,
    pub cx: &'a mut Cx<'c>,
}

impl Events {
    pub fn new(config: &Config) -> Self {
        let Config { stated, lists, rules, .. } = config.clone();
        Self {
            compositor: Compositor::new(compositor::Limits { least: config.least, ..config.publications }),
            stated,
            lists,
            rules,
            topics: HashMap::new(),
            watched_lists: BTreeSet::new(),
            seats: HashMap::new(),
            calls: HashMap::new(),
            due: BTreeSet::new(),
            armed: None,
            serial: 0,
        }
    }

    /// Watchers that were accepted and are not gone.
    pub fn watchers(&self) -> usize {
        self.seats.len()
    }

    /// Publications that hold.
    pub fn publications(&self) -> usize {
        self.compositor.len()
    }

    /// Something happened to a subscription.
    pub(super) fn watcher(
        &mut self,
        id: WatcherId,
        event: WatcherEvent,
        around: &mut Around<'_, '_>,
    ) -> Option<Notice> {
        match event {
            WatcherEvent::Asked { request, event, expires, from } => {
                self.asked(id, &request, event.name(), expires, from, around)
            }
            WatcherEvent::Refreshed { expires } => self.told(id, Happened::Refreshed { expires }, around),
            WatcherEvent::NotifyFailed { status } => self.told(id, Happened::NotifyFailed { status }, around),
            WatcherEvent::Ended { cause } => self.left(id, &cause, around),
        }
    }

    fn told(&self, id: WatcherId, what: Happened, around: &Around<'_, '_>) -> Option<Notice> {
        let (package, name) = &self.seats.get(&id)?.topic;
        let watcher = around.ua.watcher(id).map(|watcher| watcher.subscriber().uri().to_string());
        Some(Notice::Watcher {
            package: name_of(*package).to_owned(),
            resource: split(name).0.to_owned(),
            watcher,
            what,
        })
    }

    fn asked(
        &mut self,
        id: WatcherId,
        request: &Request,
        event: &str,
        expires: Duration,
        from: Flow,
        around: &mut Around<'_, '_>,
    ) -> Option<Notice> {
        let remote = from.remote;
        let notice = |resource: &str, what| {
            let watcher = request.from().map(|from| from.uri.to_string()).ok();
            Some(Notice::Watcher { package: event.to_owned(), resource: resource.to_owned(), watcher, what })
        };
        let package = place_of(event)?;
        let (Ok(uri), Ok(watcher)) = (request.uri(), request.from()) else {
            around.ua.refuse_watcher(id, 400, &[], around.cx);
            return notice("", Happened::Refused { remote, status: 400 });
        };
        let resource = resource::name(&uri);
        let mut refuse = |status, headers: &[(String, String)]| {
            around.ua.refuse_watcher(id, status, headers, around.cx);
            notice(&resource, Happened::Refused { remote, status })
        };
        // These users refuse calls, and subscriptions as well.
        if let Some(status @ 400..) = Behaviour::of(resource::user(&resource)).and_then(refusal) {
            return refuse(status, &[]);
        }
        let handling = rules::handling(&self.rules, &watcher.uri, &resource);
        if handling == SubHandling::Block {
            return refuse(403, &[]);
        }
        let list = self.list(package, &resource).filter(|_| handling == SubHandling::Allow);
        let takes_lists =
            request.each::<header::Supported>().flatten().any(|o| o.eq_ignore_ascii_case(EVENTLIST));
        // RFC 4662 §4.2.
        if list.is_some() && !takes_lists {
            return refuse(421, &[("Require".to_owned(), EVENTLIST.to_owned())]);
        }
        let name: Arc<str> = match (handling, list) {
            (SubHandling::Allow, None) => resource.as_str().into(),
            (SubHandling::Allow, Some(list)) => {
                let of =
                    |member| rules::handling(&self.rules, &watcher.uri, &resource::uri(member, &resource));
                let allowed = list::word(list.members.iter().map(|member| of(member)));
                format!("{resource} {allowed}").into()
            }
            (handling, _) => format!("{resource} {handling}").into(),
        };
        let key = match self.topics.get_key_value(&(package, name.clone())) {
            // The name is shared by all who watch it.
            Some((known, _)) => known.clone(),
            None => self.open((package, name), around),
        };
        let document = self.topics.get(&key).and_then(|topic| topic.document.clone());
        let standing = if handling == SubHandling::Confirm { Standing::Pending } else { Standing::Active };
        self.serial = self.serial.wrapping_add(1);
        let name = key.1.clone();
        self.seats.insert(id, Seat { topic: key, serial: self.serial });
        around.ua.accept_watcher(id, Acceptance { resource: name, standing, document }, around.cx);
        self.watchers_changed(package, &resource, around);
        notice(&resource, Happened::Accepted { remote, handling, expires })
    }

    /// Somebody is the first to watch it.
    fn open(&mut self, key: Key, around: &mut Around<'_, '_>) -> Key {
        self.topics.insert(key.clone(), Topic::default());
        if split(&key.1).1.is_some_and(|word| word.starts_with(list::WORD)) {
            self.watched_lists.insert(key.clone());
        }
        self.compose(&key, around);
        key
    }

    /// Nobody watches it any more.
    fn close(&mut self, key: Key) {
        self.watched_lists.remove(&key);
        if let Some(Topic { due: Some(at), .. }) = self.topics.remove(&key) {
            self.due.remove(&(at, key));
        }
    }

    fn left(&mut self, id: WatcherId, cause: &Cause, around: &mut Around<'_, '_>) -> Option<Notice> {
        // Who was refused has no seat.
        let notice = self.told(id, Happened::Ended { why: why(cause) }, around);
        let topic = self.seats.remove(&id)?.topic;
        let (package, name) = topic.clone();
        let known = PACKAGES.get(usize::from(package))?;
        if around.ua.watchers_of(known.name, &name).next().is_none() {
            self.close(topic);
        }
        self.watchers_changed(package, split(&name).0, around);
        notice
    }

    /// The bindings of a resource are other ones.
    pub(super) fn bound(&mut self, uri: &str, around: &mut Around<'_, '_>) {
        if let Ok(uri) = UriBuf::parse(uri) {
            self.changed(REG, &resource::name(&uri.as_uri()), around);
        }
    }

    /// A call to one of our users began; the name under which that is known.
    pub(super) fn calling(
        &mut self,
        target: &Uri<'_>,
        call: CallId,
        around: &mut Around<'_, '_>,
    ) -> Arc<str> {
        let name = resource::name(target);
        let resource = match self.calls.get_key_value(name.as_str()) {
            Some((known, _)) => known.clone(),
            None => name.into(),
        };
        self.calls.entry(resource.clone()).or_default().insert(call);
        self.changed(DIALOG, &resource, around);
        resource
    }

    /// One was answered.
    pub(super) fn call_answered(&mut self, resource: &str, around: &mut Around<'_, '_>) {
        self.changed(DIALOG, resource, around);
    }

    /// One is over.
    pub(super) fn call_ended(&mut self, resource: &str, call: CallId, around: &mut Around<'_, '_>) {
        let Some(calls) = self.calls.get_mut(resource) else { return };
        calls.remove(&call);
        if calls.is_empty() {
            self.calls.remove(resource);
        }
        self.changed(DIALOG, resource, around);
    }

    /// It is time for what was to happen then. Whose publications ran out is told.
    pub(super) fn deadline(&mut self, around: &mut Around<'_, '_>) -> Vec<Notice> {
        let now = around.cx.now();
        self.armed = None;
        let mut notices = Vec::new();
        for topic in self.compositor.expire(now) {
            if let Some(package) = place_of(&topic.event) {
                self.changed(package, &topic.resource, around);
            }
            notices.push(Notice::Expired { package: topic.event.into(), resource: topic.resource.into() });
        }
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, key)) = self.due.pop_first()
        {
            if let Some(topic) = self.topics.get_mut(&key) {
                topic.due = None;
                self.tell(&key, around);
            }
        }
        self.arm(around.cx);
        notices
    }

    fn arm(&mut self, cx: &mut Cx<'_>) {
        let due = self.due.first().map(|(at, _)| *at);
        let Some(next) = [self.compositor.next_expiry(), due].into_iter().flatten().min() else { return };
        // Far ones in steps: what the stack was asked for it keeps.
        let next = next.min(cx.now() + FURTHEST);
        if self.armed.is_none_or(|armed| next < armed) {
            self.armed = Some(next);
            cx.wake(next, UserAgent::SPARE_TOKEN);
        }
    }

    /// The topic is told anew at `at`, if not before.
    fn schedule(&mut self, key: &Key, at: Instant, cx: &mut Cx<'_>) {
        let Some(topic) = self.topics.get_mut(key) else { return };
        if let Some(before) = topic.due {
            if before <= at {
                return;
            }
            self.due.remove(&(before, key.clone()));
        }
        topic.due = Some(at);
        self.due.insert((at, key.clone()));
        self.arm(cx);
    }

    /// Somebody began to watch, or left. Of many who do at once is told once.
    fn watchers_changed(&mut self, package: u8, resource: &str, around: &mut Around<'_, '_>) {
        if package == PRESENCE {
            let at = around.cx.now() + PAUSE;
            self.schedule(&(WINFO, resource.into()), at, around.cx);
        }
    }

    /// The state of a resource is another one: whoever watches it is told, and whoever watches a list it is on.
    fn changed(&mut self, package: u8, resource: &str, around: &mut Around<'_, '_>) {
        if self.topics.is_empty() {
            return;
        }
        self.tell(&(package, resource.into()), around);
        let is_on = |(of, name): &&Key| {
            let uri = split(name).0;
            let list = self.list(package, uri).filter(|_| *of == package);
            list.is_some_and(|list| list.members.iter().any(|member| resource::uri(member, uri) == resource))
        };
        let on: Vec<Key> = self.watched_lists.iter().filter(is_on).cloned().collect();
        for key in on {
            self.tell(&key, around);
        }
    }

    /// Composes a topic anew if somebody watches it, and tells them.
    fn tell(&mut self, key: &Key, around: &mut Around<'_, '_>) {
        if !self.topics.contains_key(key) {
            return;
        }
        self.compose(key, around);
        let document = self.topics.get(key).and_then(|topic| topic.document.clone());
        if let Some(document) = document {
            around.ua.notify_all(name_of(key.0), &key.1, &document, around.cx);
        }
    }

    /// The list that a resource is, if it is one that has this package.
    fn list(&self, package: u8, resource: &str) -> Option<&List> {
        let user = resource::user(resource);
        self.lists.iter().find(|list| package != WINFO && list.name == user)
    }
}

/// The status with which a user refuses everything.
fn refusal(behaviour: Behaviour) -> Option<u16> {
    match behaviour {
        Behaviour::Status(status) => Some(status),
        Behaviour::Decline => Some(603),
        _ => None,
    }
}

/// The resource of a topic, and the word that says that not all of it is told.
fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once(' ').map_or((name, None), |(resource, word)| (resource, Some(word)))
}

fn place_of(package: &str) -> Option<u8> {
    u8::try_from(PACKAGES.iter().position(|known| known.name == package)?).ok()
}

fn name_of(package: u8) -> &'static str {
    PACKAGES.get(usize::from(package)).map_or("", |known| known.name)
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Expired => "expired".into(),
        Cause::Unsubscribed => "unsubscribed".into(),
        Cause::Fetched => "fetched".into(),
        Cause::Terminated(reason) => reason.to_string(),
        Cause::NotifyRefused { status } => format!("NOTIFY was answered {status}"),
        Cause::NotifyFailed(_) => "NOTIFY was not answered".into(),
        Cause::Refused { status } => format!("refused with {status}"),
        Cause::Undecided => "undecided".into(),
    }
}

/// The packages by their places.
const PACKAGES: [Known; 7] = Known::ALL;
const PRESENCE: u8 = 0;
const WINFO: u8 = 1;
const DIALOG: u8 = 3;
const REG: u8 = 5;

/// Words after the name of a resource. No URI has a space.
const POLITE: &str = "polite-block";
const CONFIRM: &str = "confirm";

const EVENTLIST: &str = "eventlist";
/// How long changes of who watches are gathered before they are told.
const PAUSE: Duration = Duration::from_millis(200);
/// Rows of a document at most.
const MOST_ROWS: usize = 1000;
/// How far ahead the stack is asked to wake us.
const FURTHEST: Duration = Duration::from_secs(600);
