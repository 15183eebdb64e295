//! `sip-subscribe-xcap-diff`: its flags, its manual, and what changes of XCAP documents (RFC 5875) look like.

use std::collections::BTreeMap;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use super::{
    Content, EXPECTATIONS, Facts, Flags, Keys, Refused, Spec, View, Watched, Wish, run,
    view::{Column, Table, column},
};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
    },
    presence::{
        Applied, Document,
        resource_lists::{Entry, List, Member, ResourceLists},
        xcap_diff::{Change, Content as Done, XcapDiff},
    },
    ua::{call::Body, package},
};

/// Watch documents of an XCAP server change
///
/// Subscribes at TARGET to changes of documents of an XCAP server (RFC 5875): contact lists, presence rules and the like.
/// Which ones, --document says; they are named by their path below the XCAP root.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-xcap-diff", version, max_term_width = 100)]
pub struct Args {
    /// Whose documents [default: --from or the account's]
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    /// A document or collection to watch; may be repeated
    ///
    /// A path below the XCAP root, such as resource-lists/users/sip:alice@example.com/index; what ends in a slash is a
    /// collection: everything in it. Without one, the server decides.
    #[arg(long, value_name = "PATH", help_heading = "Subscription")]
    pub document: Vec<String>,

    /// How changes are told [default: no-patching]
    #[arg(long, value_name = "MODE", value_enum, help_heading = "Subscription")]
    #[arg(hide_short_help = true)]
    pub diff_processing: Option<DiffProcessing>,

    #[command(flatten)]
    pub flags: Flags,
}

/// What the server is asked to tell of a change (RFC 5875 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffProcessing {
    /// That a document changed, and its tag
    NoPatching,
    /// Each single change
    XcapPatching,
    /// Changes, several in one if the server likes
    Aggregate,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] [--document PATH]... [TARGET]"],
        sections: &[Section { title: "EXPECTATIONS", text: EXPECTATIONS, terms: SPEC.keys.all }],
        examples: &[Example {
            about: "Watch the contact lists of an account",
            command: "sip-subscribe-xcap-diff --account work --document resource-lists/",
        }],
    };

    fn common(&self) -> &args::Common {
        &self.flags.common
    }

    fn is_timeline(&self) -> bool {
        self.flags.is_timeline()
    }
}

/// Watches.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let body = body(&args.document);
    let processing = args.diff_processing.as_ref().and_then(ValueEnum::to_possible_value);
    let processing = processing.map(|mode| ("diff-processing".to_owned(), mode.get_name().to_owned()));
    let event_parameters = processing.into_iter().collect();
    let wish = Wish { target: args.target, body, event_parameters, ..Wish::default() };
    run::watch(&SPEC, wish, args.flags, cx).await
}

/// The list of what to watch (RFC 5875 §4.4).
fn body(paths: &[String]) -> Option<Body> {
    let members: Vec<_> = paths.iter().map(|path| Member::Entry(Entry::new(path.as_str()))).collect();
    let lists =
        ResourceLists { lists: vec![List { members, ..List::default() }], ..ResourceLists::default() };
    let kind = <ResourceLists as Document>::MEDIA_TYPE.to_owned();
    (!paths.is_empty()).then(|| Body { kind, bytes: lists.write().into_bytes().into() })
}

pub(super) const SPEC: Spec = Spec {
    package: package::XCAP_DIFF,
    types: &[<XcapDiff as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("documents", "How many documents, elements and attributes are there (a number)."),
            ("path", "The path of one."),
            ("change", "What became of one: there, changed or removed; change[PATH] is that of PATH."),
            ("etag", "The entity-tag of a document."),
            ("subscription", "The state of the subscription: active, pending or terminated."),
        ],
        numbers: &["documents"],
    },
    watched: || Box::new(Watch::default()),
};

/// What was told of, by its path.
#[derive(Default)]
struct Watch {
    known: bool,
    root: String,
    resources: BTreeMap<String, Resource>,
}

/// A document, element or attribute.
#[derive(Clone, Debug, PartialEq)]
struct Resource {
    kind: &'static str,
    change: &'static str,
    etag: Option<String>,
    /// In words: how it changed, or what it is.
    what: String,
}

impl Resource {
    fn of(change: &Change, before: Option<&Self>) -> Self {
        let there = if before.is_some() { "changed" } else { "there" };
        match change {
            Change::Document { new_etag, previous_etag, content, .. } => {
                let change = match (new_etag, previous_etag) {
                    (None, _) => "removed",
                    (Some(_), Some(_)) => "changed",
                    (Some(_), None) if before.is_some() => "changed",
                    (Some(_), None) => "there",
                };
                let what = match content {
                    Done::Untold => String::new(),
                    Done::NotChanged => "its tag only".to_owned(),
                    Done::Patches(patches) if patches.len() == 1 => "1 change in it".to_owned(),
                    Done::Patches(patches) => format!("{} changes in it", patches.len()),
                };
                Self { kind: "document", change, etag: new_etag.clone(), what }
            }
            Change::Element { exists, element, .. } => {
                let change = if *exists == Some(false) { "removed" } else { there };
                let what =
                    element.as_ref().map(|element| format!("<{}>", element.name.local)).unwrap_or_default();
                Self { kind: "element", change, etag: None, what }
            }
            Change::Attribute { exists, value, .. } => {
                let change = if *exists == Some(false) { "removed" } else { there };
                Self { kind: "attribute", change, etag: None, what: value.clone().unwrap_or_default() }
            }
        }
    }
}

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        let document: XcapDiff = content.document()?;
        let is_first = !std::mem::replace(&mut self.known, true);
        self.root = document.xcap_root;
        for change in &document.changes {
            let now = Resource::of(change, self.resources.get(change.selector()));
            self.resources.insert(change.selector().to_owned(), now);
            if self.resources.len() > MOST {
                self.resources.pop_last();
            }
        }
        Ok(if is_first { Applied::Full } else { Applied::Partial })
    }

    fn view(&self) -> View {
        let mut view = View::default();
        if !self.known {
            return view;
        }
        view.line("root", self.root.clone());
        let mut table = Table::new(RESOURCES, "no documents");
        for (path, Resource { kind, change, etag, what }) in &self.resources {
            let cells =
                [path.clone(), (*kind).to_owned(), (*change).to_owned(), etag.clone().unwrap_or_default()];
            table.row(path, *change == "removed", cells.into_iter().chain([what.clone()]));
        }
        view.tables.push(table);
        view
    }

    fn document(&self) -> Value {
        let resource = |(path, resource): (&String, &Resource)| {
            let Resource { kind, change, etag, what } = resource;
            json!({ "path": path, "kind": kind, "change": change, "etag": etag, "what": what })
        };
        json!({ "root": self.root, "resources": self.resources.iter().map(resource).collect::<Vec<_>>() })
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if !self.known {
            return facts;
        }
        let there = self.resources.values().filter(|resource| resource.change != "removed");
        facts.say("documents", there.count());
        for (path, resource) in &self.resources {
            facts.say_of(path, "path", path);
            facts.say_of(path, "change", resource.change);
            if let Some(etag) = &resource.etag {
                facts.say_of(path, "etag", etag);
            }
        }
        facts
    }

    fn settle(&mut self) {
        self.resources.retain(|_, resource| resource.change != "removed");
        for resource in self.resources.values_mut() {
            (resource.change, resource.what) = ("there", String::new());
        }
    }
}

const RESOURCES: &[Column] =
    &[column("path"), column("kind"), column("change"), column("etag"), column("what")];
/// Kept at most; servers have no bound.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_watch_goes_along() {
        assert!(body(&[]).is_none());
        let body = body(&["resource-lists/users/sip:a@b/index".to_owned(), "rls-services/".to_owned()])
            .expect("a body");
        let lists = ResourceLists::read(&body.bytes).expect("readable");
        let paths: Vec<_> = lists.entries().map(|entry| entry.uri.as_str()).collect();
        assert_eq!(paths, ["resource-lists/users/sip:a@b/index", "rls-services/"]);
    }
}
