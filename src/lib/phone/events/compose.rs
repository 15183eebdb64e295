//! Documents out of what is known: what was published, what the server was told at its start, its own calls.

use std::collections::HashSet;

use bytes::Bytes;

use crate::{
    presence::{
        Document, Error,
        compose::compose,
        conference::ConferenceInfo,
        dialog_info::{Dialog, DialogInfo},
        mwi::MessageSummary,
        pidf::Presence,
        reg::{self, RegInfo, Registration},
        xcap_diff::XcapDiff,
    },
    time::Instant,
};

use super::{super::bindings::Binding, Row, resource};

/// Whether a body is a document of a package.
pub(super) fn check(package: &str, body: &[u8]) -> Result<(), Error> {
    match package {
        "presence" => Presence::read(body).map(drop),
        "message-summary" => MessageSummary::read(body).map(drop),
        "dialog" => DialogInfo::read(body).map(drop),
        "conference" => ConferenceInfo::read(body).map(drop),
        "reg" => RegInfo::read(body).map(drop),
        _ => XcapDiff::read(body).map(drop),
    }
}

/// What a package says of a resource: the state of all `bodies`, the oldest first; each was checked before.
pub(super) fn state(package: &str, entity: &str, bodies: &[&Bytes], version: u32, own: Vec<Dialog>) -> Bytes {
    match package {
        "presence" => {
            let all: Vec<_> = bodies.iter().filter_map(|body| Presence::read(body).ok()).collect();
            compose(entity, &all).write().into()
        }
        "message-summary" => match bodies.last() {
            Some(&newest) => newest.clone(),
            None => MessageSummary { account: Some(entity.to_owned()), ..MessageSummary::default() }
                .write()
                .into(),
        },
        "dialog" => dialogs(entity, bodies, version, own).write().into(),
        "conference" => {
            let mut info = newest::<ConferenceInfo>(bodies)
                .unwrap_or_else(|| ConferenceInfo { entity: entity.into(), ..ConferenceInfo::default() });
            info.version = Some(version);
            info.write().into()
        }
        "reg" => {
            let mut info = newest::<RegInfo>(bodies).unwrap_or_else(|| RegInfo {
                registrations: vec![Registration::new(entity, "r", reg::State::Init)],
                ..RegInfo::default()
            });
            (info.version, info.full) = (version, true);
            info.write().into()
        }
        _ => match bodies.last() {
            Some(&newest) => newest.clone(),
            None => XcapDiff { xcap_root: xcap_root(entity), ..XcapDiff::default() }.write().into(),
        },
    }
}

fn newest<D: Document>(bodies: &[&Bytes]) -> Option<D> {
    bodies.iter().rev().find_map(|body| D::read(body).ok())
}

/// The dialogs of all who publish some, and our own.
fn dialogs(entity: &str, bodies: &[&Bytes], version: u32, own: Vec<Dialog>) -> DialogInfo {
    let published =
        bodies.iter().filter_map(|body| DialogInfo::read(body).ok()).flat_map(|info| info.dialogs);
    let mut seen = HashSet::new();
    let dialogs = own.into_iter().chain(published).filter(|dialog| seen.insert(dialog.id.clone())).collect();
    DialogInfo { version, full: true, entity: entity.into(), dialogs, ..DialogInfo::default() }
}

/// Where the documents of a host would be.
pub(super) fn xcap_root(entity: &str) -> String {
    format!("http://{}/xcap-root/", resource::host(entity))
}

/// The bindings of an address of record, and those that it had when it was `told` last (RFC 3680 §5). Rows are the id,
/// the URI and when it ends.
pub(super) fn registration(
    entity: &str,
    bindings: &[Binding],
    told: &[Row],
    version: u32,
    now: Instant,
) -> (Bytes, Vec<Row>) {
    let left = |until: Instant| (until - now).as_micros().div_ceil(1_000_000);
    let state = match (bindings, told) {
        ([], []) => reg::State::Init,
        ([], _) => reg::State::Terminated,
        _ => reg::State::Active,
    };
    let mut registration = Registration::new(entity, "r", state);
    let mut rows = Vec::new();
    for binding in bindings {
        let uri = binding.uri.to_string();
        let id = id(&uri);
        let event = match told.iter().any(|(known, ..)| *known == id) {
            true => reg::Event::Refreshed,
            false => reg::Event::Registered,
        };
        let mut contact = reg::Contact::new(&id, &uri, reg::ContactState::Active, event);
        contact.expires = Some(u64::try_from(left(binding.until)).unwrap_or(u64::MAX));
        contact.q = binding.q.map(|q| format!("{}.{:03}", q / 1000, q % 1000));
        registration.contacts.push(contact);
        rows.push((id, uri, Some(binding.until)));
    }
    for (id, uri, until) in told {
        if rows.iter().all(|(known, ..)| known != id) {
            let event = match until {
                Some(until) if *until <= now => reg::Event::Expired,
                _ => reg::Event::Unregistered,
            };
            registration.contacts.push(reg::Contact::new(id, uri, reg::ContactState::Terminated, event));
        }
    }
    let info = RegInfo { version, full: true, registrations: vec![registration], ..RegInfo::default() };
    (info.write().into(), rows)
}

/// The same for the same URI, and short (FNV-1a).
fn id(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
