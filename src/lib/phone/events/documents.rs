//! The documents of topics: whose state it is, and how much of it is told.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::{
    Around, Bindings, CONFIRM, DIALOG, Events, Key, MOST_ROWS, PACKAGES, POLITE, PRESENCE, REG, Row, Stated,
    WINFO, compose, list, resource, split,
};
use crate::{
    message::UriBuf,
    presence::{
        Document as _,
        dialog_info::{self, Dialog, Direction, Identity},
        pidf::Presence,
        pres_rules::SubHandling,
        winfo::{self, WatcherInfo, WatcherList},
    },
    ua::{
        call::{Call, Phase},
        notifier::{Document, Standing},
        package::{self, Known},
    },
};

impl Events {
    /// Makes the document of a topic.
    pub(super) fn compose(&mut self, key: &Key, around: &mut Around<'_, '_>) {
        let (package, name) = key;
        let Some(topic) = self.topics.get(key) else { return };
        let version = topic.version;
        let (resource, word) = split(name);
        let mut told = Vec::new();
        let mut due = None;
        let document = match (word, *package) {
            (Some(CONFIRM), _) => None,
            (Some(POLITE), package) => Some(nothing(package, resource, version)),
            (Some(word), package) if word.starts_with(list::WORD) => {
                self.list(package, resource).map(|list| {
                    let state = |(member, handling): (&String, SubHandling)| {
                        let uri = resource::uri(member, resource);
                        let state = match handling {
                            SubHandling::Allow => {
                                list::Member::Active(self.state(package, &uri, version, around))
                            }
                            SubHandling::PoliteBlock => list::Member::Active(nothing(package, &uri, version)),
                            SubHandling::Confirm => list::Member::Pending,
                            SubHandling::Block => list::Member::Rejected,
                        };
                        (uri, state)
                    };
                    let members: Vec<_> = list.members.iter().zip(list::handlings(word)).map(state).collect();
                    list::document(resource, &list.name, &members, version)
                })
            }
            (_, WINFO) => {
                let (document, rows) = self.watcher_info(resource, &topic.told, version, around);
                told = rows;
                Some(document)
            }
            (_, REG) => match self.registration(resource, &topic.told, version, around) {
                Some((document, rows)) => {
                    told = rows;
                    due = told.iter().filter_map(|(.., until)| *until).min();
                    Some(document)
                }
                None => Some(self.state(REG, resource, version, around)),
            },
            (_, package) => Some(self.state(package, resource, version, around)),
        };
        if let Some(topic) = self.topics.get_mut(key) {
            topic.document = document.map(Arc::new);
            topic.version = topic.version.wrapping_add(1);
            topic.told = told;
        }
        if let Some(at) = due {
            self.schedule(key, at, around.cx);
        }
    }

    /// What was published, or stated, or what is the case if neither.
    fn state(&self, package: u8, resource: &str, version: u32, around: &Around<'_, '_>) -> Document {
        let known = PACKAGES.get(usize::from(package)).copied().unwrap_or(package::PRESENCE);
        if package == REG
            && let Some((document, _)) = self.registration(resource, &[], version, around)
        {
            return document;
        }
        let mut published: Vec<_> = self.compositor.states(known.name, resource).iter().collect();
        published.sort_by_key(|entity| entity.since);
        let mut bodies: Vec<&Bytes> = published.iter().map(|entity| &entity.body).collect();
        let stated = if bodies.is_empty() { self.stated(known, resource) } else { None };
        bodies.extend(&stated);
        let own = if package == DIALOG { self.dialogs(resource, around) } else { Vec::new() };
        let body = compose::state(known.name, resource, &bodies, version, own);
        Document::new(known.types.first().copied().unwrap_or_default(), body)
    }

    fn stated(&self, package: Known, resource: &str) -> Option<Bytes> {
        let user = resource::user(resource);
        let fits = |stated: &&Stated| stated.package.name == package.name;
        let his = |stated: &&Stated| stated.user.as_deref() == Some(user);
        let all = || self.stated.iter().rev().filter(fits);
        let stated = all().find(his).or_else(|| all().find(|stated| stated.user.is_none()))?;
        Some(stated.document(resource))
    }

    fn dialogs(&self, resource: &str, around: &Around<'_, '_>) -> Vec<Dialog> {
        let dialog = |call: &Call| {
            let is_early = matches!(call.phase(), Phase::Trying | Phase::Early);
            let state = if is_early { dialog_info::State::Early } else { dialog_info::State::Confirmed };
            let mut dialog = Dialog::new(call.call_id(), state);
            dialog.call_id = Some(call.call_id().to_owned());
            dialog.direction = Some(Direction::Recipient);
            let peer = call.dialog().map(|dialog| dialog.remote().uri().to_string()).unwrap_or_default();
            dialog.remote.identities.push(Identity { uri: peer, display: None });
            dialog
        };
        let calls = self.calls.get(resource).into_iter().flatten();
        calls.filter_map(|&id| around.ua.call(id)).take(MOST_ROWS).map(dialog).collect()
    }

    /// What the registrar has bound for a resource, or had when it was told; nothing if neither.
    fn registration(
        &self,
        resource: &str,
        told: &[Row],
        version: u32,
        around: &Around<'_, '_>,
    ) -> Option<(Document, Vec<Row>)> {
        let now = around.cx.now();
        let is_ours =
            |aor: &str| UriBuf::parse(aor).is_ok_and(|uri| resource::name(&uri.as_uri()) == resource);
        let bindings: Vec<_> = around
            .bindings
            .into_iter()
            .flat_map(Bindings::records)
            .filter(|(aor, _)| is_ours(aor))
            .flat_map(|(_, bindings)| bindings.iter().filter(|binding| binding.until > now).cloned())
            .take(MOST_ROWS)
            .collect();
        if bindings.is_empty() && told.is_empty() {
            return None;
        }
        let (body, rows) = compose::registration(resource, &bindings, told, version, now);
        Some((Document::new(package::REGISTRATION.types[0], body), rows))
    }

    /// Who watches the presence of a resource, and who did when that was told last (RFC 3858).
    fn watcher_info(
        &self,
        resource: &str,
        told: &[Row],
        version: u32,
        around: &Around<'_, '_>,
    ) -> (Document, Vec<Row>) {
        let now = around.cx.now();
        let mut list =
            WatcherList { resource: resource.into(), package: "presence".into(), watchers: Vec::new() };
        let mut rows = Vec::new();
        let lists = self.watched_lists.iter().map(|(_, name)| name.to_string());
        let lists = lists.filter(|name| split(name).0 == resource);
        let others = [POLITE, CONFIRM].map(|word| format!("{resource} {word}"));
        for name in [resource.to_owned()].into_iter().chain(lists).chain(others) {
            for id in around.ua.watchers_of("presence", &name) {
                let (Some(seat), Some(watcher)) = (self.seats.get(&id), around.ua.watcher(id)) else {
                    continue;
                };
                if watcher.is_ending() || rows.len() >= MOST_ROWS {
                    continue;
                }
                let (status, event) = match watcher.standing() {
                    Standing::Pending => (winfo::Status::Pending, winfo::Event::Subscribe),
                    Standing::Active => (winfo::Status::Active, winfo::Event::Subscribe),
                };
                let (uri, serial) = (watcher.subscriber().uri().to_string(), format!("w{}", seat.serial));
                let mut row = winfo::Watcher::new(&uri, &serial, status, event);
                row.display_name = watcher.subscriber().display().map(str::to_owned);
                row.expiration = Some((watcher.until() - now).as_secs());
                row.duration_subscribed = Some((now - watcher.since()).as_secs());
                list.watchers.push(row);
                rows.push((serial, uri, None));
            }
        }
        let here: HashSet<_> = rows.iter().map(|(id, ..)| id.clone()).collect();
        // Who unsubscribes or is gone is one whose time is out (RFC 3857 §4.7.1).
        for (id, uri, _) in told.iter().filter(|(id, ..)| !here.contains(id)) {
            let row = winfo::Watcher::new(uri, id, winfo::Status::Terminated, winfo::Event::Timeout);
            list.watchers.push(row);
        }
        let info = WatcherInfo { version, full: true, lists: vec![list], ..WatcherInfo::default() };
        (Document::new(package::PRESENCE_WINFO.types[0], info.write()), rows)
    }
}

/// What a watcher is told who must not notice that he is told nothing.
fn nothing(package: u8, resource: &str, version: u32) -> Document {
    let known = PACKAGES.get(usize::from(package)).copied().unwrap_or(package::PRESENCE);
    let body = match package {
        PRESENCE => Presence::unavailable(resource).write().into(),
        WINFO => WatcherInfo { version, full: true, ..WatcherInfo::default() }.write().into(),
        _ => compose::state(known.name, resource, &[], version, Vec::new()),
    };
    Document::new(known.types.first().copied().unwrap_or_default(), body)
}
