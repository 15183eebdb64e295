//! Everything this layer does to bytes from outside, in one call: what tests feed with mutations and a fuzzer with
//! its inputs.

use std::fmt::Debug;

use super::{
    Document, Element, Limits, compose,
    composing::IsComposing,
    conference::{Conference, ConferenceInfo},
    dialog_info::{DialogInfo, Dialogs},
    imdn::Imdn,
    mwi::MessageSummary,
    partial::{Content, PartialPresence, PartialState},
    pidf::Presence,
    pres_rules::{Context, Ruleset},
    reg::{RegInfo, Registrations},
    resource_lists::{ResourceLists, RlsServices},
    rlmi::{Part, ResourceList, Resources},
    winfo::{WatcherInfo, Watchers},
    xcap_diff::XcapDiff,
};

/// Reads any bytes as every document there is, and takes what can be read into states.
///
/// # Panics
///
/// If a property is broken that must hold for every input: what is written reads as what was written, and a refusal
/// says where it is.
pub fn fuzz_parse(bytes: &[u8]) {
    again::<MessageSummary>(bytes);
    let root = match Element::read(bytes, &Limits::default()) {
        Ok(root) => root,
        Err(error) => {
            assert!(error.line > 0 && error.column > 0 && !error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(Element::read(root.write().as_bytes(), &WIDE).as_ref(), Ok(&root), "{}", root.write());
    if let Some(presence) = again::<Presence>(bytes) {
        let whole = compose::compose("sip:a@example.com", [&presence, &presence]);
        assert!(whole.persons.len() <= 1 && whole.tuples.len() <= presence.tuples.len());
        rewritten(&whole);
        assert_eq!(whole.basic().is_some(), presence.basic().is_some());
    }
    if let Some(document) = again::<PartialPresence>(bytes) {
        patch(&document);
    }
    if let Some(document) = again::<WatcherInfo>(bytes) {
        let mut state = Watchers::default();
        let _ = (state.apply(document.clone()), state.apply(document));
        state.forget_terminated();
    }
    if let Some(document) = again::<DialogInfo>(bytes) {
        let mut state = Dialogs::default();
        let _ = (state.apply(document.clone()), state.apply(document));
        state.forget_terminated();
    }
    if let Some(document) = again::<RegInfo>(bytes) {
        let mut state = Registrations::default();
        let _ = (state.apply(document.clone()), state.apply(document));
        state.forget_terminated();
    }
    if let Some(mut document) = again::<ConferenceInfo>(bytes) {
        let mut state = Conference::default();
        let _ = state.apply(document.clone());
        document.version = document.version.and_then(|version| version.checked_add(1));
        let _ = state.apply(document);
    }
    if let Some(document) = again::<ResourceList>(bytes) {
        let part = Part { content_id: "<a@b>".to_owned(), content_type: String::new(), body: () };
        let mut state = Resources::default();
        let _ = (state.apply(document.clone(), [part]), state.apply(document, []));
        state.forget_terminated();
    }
    if let Some(rules) = again::<Ruleset>(bytes) {
        let context = Context { watcher: Some("sip:a@example.com"), ..Context::default() };
        let _ = rules.permissions(&context).filter(&Presence::unavailable("sip:b@example.com"));
    }
    again::<XcapDiff>(bytes);
    again::<ResourceLists>(bytes);
    again::<RlsServices>(bytes);
    again::<IsComposing>(bytes);
    again::<Imdn>(bytes);
}

fn patch(document: &PartialPresence) {
    let mut state = PartialState::default();
    let _ = state.apply(document);
    let presence = Presence::unavailable("sip:a@example.com");
    let before = PartialPresence { version: Some(0), content: Content::Full(presence) };
    let mut state = PartialState::default();
    let _ = state.apply(&before);
    if let Ok((_, Some(presence))) = state.apply(&PartialPresence { version: Some(1), ..document.clone() }) {
        rewritten(&presence);
    }
}

/// The document in the bytes, if it is one.
fn again<D: Document + PartialEq + Debug>(bytes: &[u8]) -> Option<D> {
    let document = D::read(bytes).ok()?;
    rewritten(&document);
    Some(document)
}

fn rewritten<D: Document + PartialEq + Debug>(document: &D) {
    let written = document.write();
    let again = D::read_within(written.as_bytes(), &WIDE);
    assert_eq!(again.as_ref(), Ok(document), "what is written can be read: {written}");
}

/// What is written may be larger than what was read: it declares each namespace where it is needed, and references
/// are longer than characters.
const WIDE: Limits =
    Limits { octets: usize::MAX, depth: 128, elements: usize::MAX, attributes: 1024, namespaces: 4096 };

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::*;

    /// The examples, and what they become when pieces of them are moved, doubled or dropped.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/presence");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|end| end != "tsv")).collect();
        files.sort();
        let examples: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        let change = (0_u8..5, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>());
        (prop::sample::select(examples), prop::collection::vec(change, 0..4)).prop_map(
            |(mut bytes, changes)| {
                for (kind, one, two, byte) in changes {
                    let (one, two) = (one.index(bytes.len() + 1), two.index(bytes.len() + 1));
                    let (from, to) = (one.min(two), one.max(two));
                    match kind {
                        0 => _ = bytes.drain(from..to.min(from + 9)),
                        1 => bytes.insert(from, byte),
                        2 => bytes.insert(from, b"<>&'\"/ =:[]@*()x1;\t\n"[usize::from(byte) % 20]),
                        3 => {
                            let piece = bytes[from..to.min(from + 60)].to_vec();
                            bytes.splice(two..two, piece);
                        }
                        _ => bytes.truncate(to.max(20)),
                    }
                }
                bytes
            },
        )
    }

    proptest! {
        #[test]
        fn mutated_documents_keep_the_rules(bytes in mutated()) {
            fuzz_parse(&bytes);
        }
    }
}
