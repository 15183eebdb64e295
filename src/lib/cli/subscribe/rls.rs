//! `sip-subscribe-rls`: its flags, its manual, and what the state of a list (RFC 4662) looks like: a row for each
//! resource. The list may be kept by the server, or come along with the subscription (RFC 5367).

use std::collections::{HashMap, HashSet};

use clap::Parser;
use serde_json::{Value, json};

use super::{
    Content, EXPECTATIONS, Facts, Flags, Keys, Refused, Spec, View, Watched, Wish, dialog,
    json::said,
    mwi, presence, run,
    view::{Column, Table, column},
};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
    },
    message::{Multipart, MultipartError, Part as MimePart, header},
    presence::{
        Applied, Document,
        dialog_info::{DialogInfo, Dialogs},
        mwi::MessageSummary,
        pidf::Presence,
        resource_lists::{Entry, List, Member, ResourceLists},
        rlmi::{Instance, Part, Resource, ResourceList, Resources, State},
    },
    ua::{call::Body, package},
};

/// Watch a list of people at once
///
/// Subscribes to a list of resources (RFC 4662) and shows the state of each in a table. The list is kept by the server at
/// TARGET, or made of --member. --event chooses what is watched: presence (the default), dialog or message-summary.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-rls", version, max_term_width = 100)]
pub struct Args {
    /// The list, such as sip:friends@example.com
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// Watch these, by way of TARGET (RFC 5367); may be repeated
    ///
    /// The list goes along with the subscription: a server that cannot do that says so.
    #[arg(long, value_name = "URI", help_heading = "Subscription")]
    pub member: Vec<String>,

    #[command(flatten)]
    pub flags: Flags,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] [--member URI]... TARGET", "[OPTIONS] --once TARGET"],
        sections: &[Section { title: "EXPECTATIONS", text: EXPECTATIONS, terms: SPEC.keys.all }],
        examples: &[
            Example {
                about: "Watch a list that the server keeps",
                command: "sip-subscribe-rls --account work sip:friends@example.com",
            },
            Example {
                about: "Wait until two can be reached",
                command: "sip-subscribe-rls sip:friends@127.0.0.1:5070 --expect 'open>=2'",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.flags.common
    }

    fn is_timeline(&self) -> bool {
        self.flags.is_timeline()
    }
}

/// Watches.
pub async fn run(mut args: Args, cx: Context) -> Result<(), Failure> {
    if args.flags.subscription.accept.is_empty() && args.flags.subscription.event.is_some() {
        args.flags.subscription.accept = types(args.flags.subscription.event.as_deref());
    }
    let body = body(&args.member);
    let headers = match body {
        // RFC 5367 §5.
        Some(_) => vec![("Require".to_owned(), "recipient-list-subscribe".to_owned())],
        None => Vec::new(),
    };
    run::watch(&SPEC, Wish { target: Some(args.target), body, headers, ..Wish::default() }, args.flags, cx)
        .await
}

/// Documents of the resources, by event package.
fn types(event: Option<&str>) -> Vec<String> {
    let known = package::Known::ALL.into_iter().find(|known| Some(known.name) == event);
    known.map(|known| known.types.iter().map(|&kind| kind.to_owned()).collect()).unwrap_or_default()
}

/// The list that goes along.
fn body(members: &[String]) -> Option<Body> {
    let members: Vec<_> = members.iter().map(|uri| Member::Entry(Entry::new(uri.as_str()))).collect();
    if members.is_empty() {
        return None;
    }
    let lists =
        ResourceLists { lists: vec![List { members, ..List::default() }], ..ResourceLists::default() };
    let kind = <ResourceLists as Document>::MEDIA_TYPE.to_owned();
    Some(Body { kind, bytes: lists.write().into_bytes().into() })
}

pub(super) const SPEC: Spec = Spec {
    package: package::PRESENCE,
    types: &[<Presence as Document>::MEDIA_TYPE],
    lists: true,
    keys: Keys {
        all: &[
            ("resources", "How many resources the list has (a number)."),
            ("active", "How many of their subscriptions are active (a number)."),
            ("pending", "How many are pending (a number)."),
            ("terminated", "How many are terminated (a number)."),
            ("open", "How many can be reached (a number)."),
            ("closed", "How many cannot (a number)."),
            (
                "state",
                "The state of the subscription to one: active, pending or terminated; state[bob] is that to bob.",
            ),
            (
                "status",
                "The status of one: open or closed; with --event dialog idle, early, confirmed and others; \
                        with --event message-summary waiting or none.",
            ),
            (
                "activity",
                "What one does; activity[bob] is what bob does. The same for mood, place, sphere, idle and note.",
            ),
            ("mood", "As activity."),
            ("place", "As activity."),
            ("sphere", "As activity."),
            ("idle", "As activity: yes or no."),
            ("note", "As activity."),
            ("subscription", "The state of the subscription to the list: active, pending or terminated."),
        ],
        numbers: &["resources", "active", "pending", "terminated", "open", "closed"],
    },
    watched: || Box::new(Watch::default()),
};

/// The list as it is now.
#[derive(Default)]
struct Watch {
    known: bool,
    uri: String,
    list: Resources<()>,
    /// What instances told, by resource and instance, each with its octets.
    told: HashMap<(String, String), (usize, Told)>,
}

/// The state of one instance.
enum Told {
    Presence(Box<Presence>),
    Dialogs(Dialogs),
    Messages(MessageSummary),
    /// A list inside the list.
    List(Box<Watch>),
    /// Of a kind that is not looked into.
    Other(String),
    /// It says nothing.
    Malformed(Refused),
}

/// A part of a notification.
struct Piece<'m> {
    id: Option<String>,
    kind: String,
    part: MimePart<'m>,
}

/// A row of the table: who, by which instance, and what it told; lists inside the list are deeper.
struct Row<'w> {
    depth: usize,
    resource: &'w Resource,
    instance: Option<&'w Instance>,
    told: Option<&'w Told>,
}

impl<'m> Piece<'m> {
    fn of(part: &MimePart<'m>) -> Self {
        let field = |wanted: &str| {
            let found = part.headers().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.to_owned())
        };
        let kind = field("Content-Type").or_else(|| field("c")).unwrap_or_default();
        Self { id: field("Content-ID"), kind, part: *part }
    }

    fn content(&self) -> Content<'_> {
        Content::part(&self.kind, self.part.body())
    }
}

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        if !content.is(RELATED) && !content.is(MIXED) {
            return Err(content.unexpected(RELATED));
        }
        self.take_parts(&content.multipart()?, content.start())
    }

    fn view(&self) -> View {
        let mut view = View::default();
        if !self.known {
            return view;
        }
        view.line("list", self.uri.clone());
        view.line("name", said(&self.list.names));
        let mut table = Table::new(RESOURCES, "nobody is in the list");
        for Row { depth, resource, instance, told } in self.rows() {
            let (status, doing) = told.map(Told::brief).unwrap_or_default();
            let state = match instance {
                Some(Instance { state, reason: Some(reason), .. }) => format!("{state} ({reason})"),
                Some(Instance { state, .. }) => state.to_string(),
                None => "unknown".to_owned(),
            };
            let id = instance.map(|instance| instance.id.as_str()).unwrap_or_default();
            let uri = format!("{:width$}{}", "", resource.uri, width = depth * 2);
            let key = format!("{} {id}", resource.uri);
            table.row(key.trim_end(), false, [uri, said(&resource.names), state, status, doing]);
        }
        view.tables.push(table);
        view
    }

    fn document(&self) -> Value {
        let one = |Row { resource, instance, told, depth }: Row<'_>| {
            let (status, _) = told.map(Told::brief).unwrap_or_default();
            json!({
                "uri": resource.uri,
                "name": resource.names.first().map(|name| &name.text),
                "depth": depth,
                "instance": instance.map(|instance| &instance.id),
                "state": instance.map(|instance| instance.state.as_str()),
                "reason": instance.and_then(|instance| instance.reason.as_ref()),
                "status": (!status.is_empty()).then_some(status),
                "presence": told.and_then(Told::presence),
                "dialogs": told.and_then(Told::dialogs),
                "messages": told.and_then(Told::messages),
                "malformed": told.and_then(Told::malformed),
            })
        };
        json!({
            "uri": self.uri,
            "name": self.list.names.first().map(|name| &name.text),
            "resources": self.rows().into_iter().map(one).collect::<Vec<_>>(),
        })
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if !self.known {
            return facts;
        }
        let rows = self.rows();
        let states = |wanted: &State| {
            let instances = rows.iter().filter_map(|row| row.instance);
            instances.filter(|instance| instance.state == *wanted).count()
        };
        facts.say("resources", rows.len());
        facts.say("active", states(&State::Active));
        facts.say("pending", states(&State::Pending));
        facts.say("terminated", states(&State::Terminated));
        let (mut open, mut closed) = (0, 0);
        for Row { resource, instance, told, .. } in rows {
            if let Some(instance) = instance {
                facts.say_of(&resource.uri, "state", &instance.state);
            }
            let status = told.map(|told| told.brief().0).unwrap_or_default();
            match &*status {
                "open" => open += 1,
                "closed" => closed += 1,
                _ => {}
            }
            match told {
                Some(Told::Presence(presence)) => presence::tell(presence, Some(&resource.uri), &mut facts),
                _ if !status.is_empty() => facts.say_of(&resource.uri, "status", status),
                _ => {}
            }
        }
        facts.say("open", open);
        facts.say("closed", closed);
        facts
    }
}

impl Watch {
    fn take_parts(&mut self, multipart: &Multipart<'_>, start: Option<String>) -> Result<Applied, Refused> {
        let mut pieces = Vec::new();
        for part in multipart.parts() {
            match part {
                Ok(part) => pieces.push(Piece::of(&part)),
                // Senders that forget the closing line exist, and what came is whole.
                Err(MultipartError::Unterminated) => {}
                Err(why) => return Err(why.into()),
            }
        }
        // The root is what `start` names, else the first one (RFC 2387 §3.2).
        let root = pieces.iter().position(|piece| piece.id.is_some() && piece.id == start);
        let root = root.or_else(|| pieces.iter().position(|piece| piece.content().is(ROOT)));
        let root = root.ok_or(Refused::Missing(ROOT))?;
        let root = pieces.remove(root);
        let document: ResourceList = root.content().document().map_err(|why| about("the list", why))?;
        let uri = document.uri.clone();
        let by_id = |piece: &Piece<'_>| Part {
            content_id: piece.id.clone().unwrap_or_default(),
            content_type: piece.kind.clone(),
            body: (),
        };
        let bodies: HashMap<String, &Piece<'_>> =
            pieces.iter().filter_map(|piece| Some((bare(piece.id.as_deref()?).to_owned(), piece))).collect();
        let named = cids(&document);
        let (applied, told) = self.list.apply(document, pieces.iter().map(by_id));
        if applied != Applied::Stale {
            (self.known, self.uri) = (true, uri);
        }
        let rows = self.list.resources.iter().flat_map(|resource| {
            resource.instances.iter().map(|instance| (resource.uri.as_str(), instance.id.as_str()))
        });
        let there: HashSet<_> = rows.collect();
        self.told.retain(|(resource, instance), _| there.contains(&(resource.as_str(), instance.as_str())));
        // What has no row any more is not kept.
        let told: Vec<_> = told.into_iter().map(|one| (one.resource, one.instance)).collect();
        let told = told
            .into_iter()
            .filter(|(resource, instance)| there.contains(&(resource.as_str(), instance.as_str())));
        for key in told.collect::<Vec<_>>() {
            let Some(piece) = named.get(&key).and_then(|cid| bodies.get(bare(cid))) else { continue };
            let before = self.told.remove(&key).map(|(_, told)| told);
            self.told.insert(key, (piece.part.body().len(), Told::of(piece, before)));
        }
        if self.told.values().map(|(octets, _)| octets).sum::<usize>() > MOST {
            *self = Self::default();
            return Ok(Applied::Gap);
        }
        Ok(applied)
    }

    /// Each instance, and resources without one; those of a list inside this one come after it.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        self.add_rows(0, &mut rows);
        rows
    }

    fn add_rows<'w>(&'w self, depth: usize, rows: &mut Vec<Row<'w>>) {
        for resource in &self.list.resources {
            if resource.instances.is_empty() {
                rows.push(Row { depth, resource, instance: None, told: None });
            }
            for instance in &resource.instances {
                let told = self.told.get(&(resource.uri.clone(), instance.id.clone())).map(|(_, told)| told);
                rows.push(Row { depth, resource, instance: Some(instance), told });
                if let Some(Told::List(list)) = told {
                    list.add_rows(depth + 1, rows);
                }
            }
        }
    }
}

impl Told {
    fn of(piece: &Piece<'_>, before: Option<Self>) -> Self {
        let content = piece.content();
        if content.is(RELATED) || content.is(MIXED) {
            let mut list = match before {
                Some(Self::List(list)) => list,
                _ => Box::default(),
            };
            let multipart = piece.part.multipart().map_err(Refused::from);
            let taken = multipart.and_then(|multipart| list.take_parts(&multipart, start(&piece.part)));
            return taken.map_or_else(Self::Malformed, |_| Self::List(list));
        }
        if content.is(<Presence as Document>::MEDIA_TYPE) {
            return content
                .document()
                .map_or_else(Self::Malformed, |presence| Self::Presence(Box::new(presence)));
        }
        if content.is(<MessageSummary as Document>::MEDIA_TYPE) {
            return content.document().map_or_else(Self::Malformed, Self::Messages);
        }
        if !content.is(<DialogInfo as Document>::MEDIA_TYPE) {
            return Self::Other(content.kind.to_owned());
        }
        let mut dialogs = match before {
            Some(Self::Dialogs(dialogs)) => dialogs,
            _ => Dialogs::default(),
        };
        dialogs.forget_terminated();
        match content.document() {
            Err(refused) => Self::Malformed(refused),
            Ok(document) => {
                dialogs.apply(document);
                Self::Dialogs(dialogs)
            }
        }
    }

    /// Status, and a few words beside it.
    fn brief(&self) -> (String, String) {
        match self {
            Self::Presence(presence) => presence::brief(presence),
            Self::Dialogs(dialogs) => dialog::brief(&dialogs.dialogs),
            Self::Messages(summary) => mwi::brief(summary),
            Self::List(list) => (String::new(), said(&list.list.names)),
            Self::Other(kind) => (String::new(), kind.clone()),
            Self::Malformed(refused) => (String::new(), format!("malformed: {refused}")),
        }
    }

    fn presence(&self) -> Option<Value> {
        if let Self::Presence(presence) = self { Some(presence::document(presence)) } else { None }
    }

    fn dialogs(&self) -> Option<Value> {
        let Self::Dialogs(dialogs) = self else { return None };
        Some(Value::Array(dialogs.dialogs.iter().map(dialog::dialog).collect()))
    }

    fn messages(&self) -> Option<Value> {
        if let Self::Messages(summary) = self { Some(mwi::document(summary)) } else { None }
    }

    fn malformed(&self) -> Option<String> {
        if let Self::Malformed(refused) = self { Some(refused.to_string()) } else { None }
    }
}

/// The parts that instances name.
fn cids(list: &ResourceList) -> HashMap<(String, String), String> {
    let instances = list.resources.iter().flat_map(|resource| {
        resource.instances.iter().filter_map(move |instance| {
            Some(((resource.uri.clone(), instance.id.clone()), instance.cid.clone()?))
        })
    });
    instances.collect()
}

/// The Content-ID of the part that it begins with.
fn start(part: &MimePart<'_>) -> Option<String> {
    let kind = part.find::<header::ContentType>().ok()??;
    kind.params.value("start").map(|start| start.trim_matches('"').to_owned())
}

fn about(of: &str, why: Refused) -> Refused {
    Refused::Part { of: of.to_owned(), why: Box::new(why) }
}

/// A Content-ID without its angle brackets, and without the `cid:` that some write.
fn bare(id: &str) -> &str {
    let id = id.trim();
    let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
    id.strip_prefix("cid:").unwrap_or(id)
}

const ROOT: &str = <ResourceList as Document>::MEDIA_TYPE;
/// Octets of all documents together; beyond it what is known is dropped, as the list itself is.
const MOST: usize = 16 << 20;
const RELATED: &str = "multipart/related";
/// What some servers call it.
const MIXED: &str = "multipart/mixed";
const RESOURCES: &[Column] =
    &[column("resource"), column("name"), column("subscription"), column("status"), column("state")];
