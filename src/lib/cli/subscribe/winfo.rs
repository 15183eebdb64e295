//! `sip-subscribe-winfo`: its flags, its manual, and what watcher information (RFC 3857) looks like.

use clap::Parser;
use serde_json::{Value, json};

#[cfg(feature = "xcap")]
use super::decide::{DECISIONS, Decisions};
use super::{
    Content, EXPECTATIONS, Facts, Flags, Keys, Refused, Spec, View, Watched, Wish, run,
    view::{Column, Table, ageing, column, span},
};
use crate::{
    cli::{
        Context, Failure, Program,
        account::Account,
        args,
        generate::{Example, Manual, Section},
    },
    presence::{
        Applied, Document,
        winfo::{Status, Watcher, WatcherInfo, WatcherList, Watchers},
    },
    ua::package,
};

/// See who watches somebody's presence
///
/// Subscribes to the watcher information of TARGET (RFC 3857) and shows who watches and whether that was allowed. Watchers
/// that wait for a decision are pending; --allow, --block and --ask decide.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-winfo", version, max_term_width = 100)]
#[command(mut_arg("poll", |arg| arg.hide_short_help(true)), mut_arg("count", |arg| arg.hide_short_help(true)))]
pub struct Args {
    /// Whose watchers [default: --from or the account's]
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    #[command(flatten)]
    pub flags: Flags,

    #[cfg(feature = "xcap")]
    #[command(flatten)]
    pub decisions: Decisions,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &[
            "[OPTIONS] [TARGET]",
            "[OPTIONS] --once [TARGET]",
            #[cfg(feature = "xcap")]
            "[OPTIONS] [--allow PATTERN]... [--block PATTERN]... [--ask] [TARGET]",
        ],
        sections: &[
            #[cfg(feature = "xcap")]
            Section { title: "DECISIONS", text: DECISIONS, terms: &[] },
            Section { title: "EXPECTATIONS", text: EXPECTATIONS, terms: SPEC.keys.all },
        ],
        examples: &[
            Example {
                about: "See who watches an account of the configuration file",
                command: "sip-subscribe-winfo --account work",
            },
            Example {
                about: "Wait until somebody asks for permission",
                command: "sip-subscribe-winfo sip:alice@127.0.0.1:5070 --expect 'pending>=1'",
            },
            #[cfg(feature = "xcap")]
            Example {
                about: "Let colleagues see, and ask about everybody else",
                command: "sip-subscribe-winfo --account work --allow '*@example.com' --ask",
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
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let flags = args.flags;
    let account = Account::resolve(&flags.identity, &flags.route, &cx.config)?;
    let target = run::target(args.target.as_deref(), &account)?;
    let wish = Wish {
        #[cfg(feature = "xcap")]
        acts: args.decisions.open(target.as_str(), &account, &flags, &cx)?,
        ..Wish::default()
    };
    run::watch_as(&SPEC, wish, (account, target), flags, cx).await
}

pub(super) const SPEC: Spec = Spec {
    package: package::PRESENCE_WINFO,
    types: &[<WatcherInfo as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("watchers", "How many watch or want to (a number)."),
            ("active", "How many of them may (a number)."),
            ("pending", "How many of them wait for a decision (a number)."),
            ("waiting", "How many went away before there was a decision (a number)."),
            ("watcher", "The URI of a watcher."),
            (
                "status",
                "The status of a watcher: active, pending, waiting or terminated; status[bob] is that of bob.",
            ),
            ("event", "What brought it there: subscribe, approved, rejected and others."),
            ("subscription", "The state of our own subscription: active, pending or terminated."),
        ],
        numbers: &["watchers", "active", "pending", "waiting"],
    },
    watched: || Box::new(Watch(Watchers::default(), false)),
};

/// The watchers, and whether any document told of them.
struct Watch(Watchers, bool);

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        let document = content.document()?;
        self.1 = true;
        Ok(self.0.apply(document))
    }

    fn view(&self) -> View {
        let mut view = View::default();
        for list in &self.0.lists {
            let mut table = Table::new(WATCHERS, "nobody watches");
            if self.0.lists.len() > 1 {
                table.title = Some(format!("{} of {}", list.package, list.resource));
            }
            for watcher in &list.watchers {
                let name = watcher.display_name.as_ref().map(|name| format!("{name} "));
                let uri = match &name {
                    Some(name) => format!("{name}<{}>", watcher.uri),
                    None => watcher.uri.clone(),
                };
                table.row(
                    &watcher.id,
                    watcher.status == Status::Terminated,
                    [
                        uri,
                        watcher.status.to_string(),
                        watcher.event.to_string(),
                        watcher.duration_subscribed.map(span).unwrap_or_default(),
                        watcher.expiration.map(span).unwrap_or_default(),
                    ],
                );
            }
            view.tables.push(table);
        }
        if view.tables.is_empty() && self.1 {
            view.tables.push(Table::new(WATCHERS, "nobody watches"));
        }
        view
    }

    fn document(&self) -> Value {
        let watcher = |watcher: &Watcher| {
            json!({
                "uri": watcher.uri,
                "id": watcher.id,
                "status": watcher.status.as_str(),
                "event": watcher.event.as_str(),
                "display_name": watcher.display_name,
                "subscribed_s": watcher.duration_subscribed,
                "expires_s": watcher.expiration,
            })
        };
        let list = |list: &WatcherList| {
            json!({
                "resource": list.resource,
                "package": list.package,
                "watchers": list.watchers.iter().map(watcher).collect::<Vec<_>>(),
            })
        };
        json!({ "lists": self.0.lists.iter().map(list).collect::<Vec<_>>() })
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if !self.1 {
            return facts;
        }
        let all = || self.0.lists.iter().flat_map(|list| &list.watchers);
        let count = |status: &Status| all().filter(|watcher| watcher.status == *status).count();
        facts.say("watchers", all().filter(|watcher| watcher.status != Status::Terminated).count());
        facts.say("active", count(&Status::Active));
        facts.say("pending", count(&Status::Pending));
        facts.say("waiting", count(&Status::Waiting));
        for watcher in all() {
            facts.say_of(&watcher.uri, "watcher", &watcher.uri);
            facts.say_of(&watcher.uri, "status", &watcher.status);
            facts.say_of(&watcher.uri, "event", &watcher.event);
        }
        facts
    }

    fn settle(&mut self) {
        self.0.forget_terminated();
    }
}

const WATCHERS: &[Column] =
    &[column("watcher"), column("status"), column("event"), ageing("since"), ageing("expires")];
