//! `sip-subscribe-mwi`: its flags, its manual, and what waiting messages (RFC 3842) look like.

use clap::Parser;
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
        mwi::{Class, Count, MessageSummary},
    },
    ua::package,
};

/// See whether messages wait in a mailbox
///
/// Subscribes to the message summary of TARGET (RFC 3842) and shows how many messages there are, new and old. --expect
/// waits for some, for scripts.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-mwi", version, max_term_width = 100)]
pub struct Args {
    /// Whose mailbox [default: --from or the account's]
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    #[command(flatten)]
    pub flags: Flags,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] [TARGET]", "[OPTIONS] --once [TARGET]"],
        sections: &[Section { title: "EXPECTATIONS", text: EXPECTATIONS, terms: SPEC.keys.all }],
        examples: &[
            Example {
                about: "Watch the mailbox of an account of the configuration file",
                command: "sip-subscribe-mwi --account work",
            },
            Example {
                about: "Wait until there is a new voice message",
                command: "sip-subscribe-mwi sip:alice@127.0.0.1:5070 --expect 'voice-new>=1'",
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
    run::watch(&SPEC, Wish { target: args.target, ..Wish::default() }, args.flags, cx).await
}

pub(super) const SPEC: Spec = Spec {
    package: package::MESSAGE_SUMMARY,
    types: &[<MessageSummary as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("waiting", "yes if there are new messages, else no."),
            ("account", "Whose mailbox it is."),
            (
                "voice-new",
                "New voice messages (a number), 0 if none are told of; voice-old: those that were heard.",
            ),
            ("voice-old", "As voice-new."),
            ("fax-new", "The same for fax messages."),
            ("fax-old", "As fax-new."),
            ("text-new", "The same for text messages."),
            ("text-old", "As text-new."),
            ("multimedia-new", "The same for multimedia messages."),
            ("multimedia-old", "As multimedia-new."),
            ("pager-new", "The same for pager messages."),
            ("pager-old", "As pager-new."),
            ("new", "New messages of all kinds (a number)."),
            ("old", "Old messages of all kinds (a number)."),
            ("urgent", "Urgent new messages of all kinds (a number)."),
            ("subscription", "The state of the subscription: active, pending or terminated."),
        ],
        numbers: &[
            "voice-new",
            "voice-old",
            "fax-new",
            "fax-old",
            "text-new",
            "text-old",
            "multimedia-new",
            "multimedia-old",
            "pager-new",
            "pager-old",
            "new",
            "old",
            "urgent",
        ],
    },
    watched: || Box::new(Watch::default()),
};

/// The last summary.
#[derive(Default)]
struct Watch(Option<MessageSummary>);

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        self.0 = Some(content.document()?);
        Ok(Applied::Full)
    }

    fn view(&self) -> View {
        let mut view = View::default();
        let Some(summary) = &self.0 else { return view };
        view.line("waiting", if summary.waiting { "yes" } else { "no" });
        view.line("account", summary.account.as_deref().unwrap_or_default());
        for (at, message) in summary.messages.iter().enumerate() {
            let field = |name: &str| {
                let found = message.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.as_str())
            };
            let told = [field("Subject"), field("From"), field("Date")];
            let told = super::json::joined(told.into_iter().flatten(), ", ");
            view.line(format!("message {}", at + 1), told);
        }
        let mut counts = Table::new(COUNTS, "no numbers");
        for Count { class, new, old, urgent } in &summary.counts {
            let urgent = urgent.map(|(new, old)| format!("{new} new, {old} old")).unwrap_or_default();
            counts.row(
                class.as_str(),
                false,
                [name(class).to_owned(), new.to_string(), old.to_string(), urgent],
            );
        }
        view.tables.push(counts);
        view
    }

    fn document(&self) -> Value {
        self.0.as_ref().map_or(Value::Null, document)
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if let Some(summary) = &self.0 {
            tell(summary, &mut facts);
        }
        facts
    }
}

fn tell(summary: &MessageSummary, facts: &mut Facts) {
    facts.say("waiting", if summary.waiting { "yes" } else { "no" });
    if let Some(account) = &summary.account {
        facts.say("account", account);
    }
    for (class, new, old) in [
        (Class::Voice, "voice-new", "voice-old"),
        (Class::Fax, "fax-new", "fax-old"),
        (Class::Text, "text-new", "text-old"),
        (Class::Multimedia, "multimedia-new", "multimedia-old"),
        (Class::Pager, "pager-new", "pager-old"),
    ] {
        let count = summary.count(&class);
        facts.say(new, count.map_or(0, |count| count.new));
        facts.say(old, count.map_or(0, |count| count.old));
    }
    let sum = |of: fn(&Count) -> u32| summary.counts.iter().map(|count| u64::from(of(count))).sum::<u64>();
    facts.say("new", sum(|count| count.new));
    facts.say("old", sum(|count| count.old));
    facts.say("urgent", sum(|count| count.urgent.map_or(0, |urgent| urgent.0)));
}

/// A summary in a few words, for a row of a list.
pub(super) fn brief(summary: &MessageSummary) -> (String, String) {
    let status = if summary.waiting { "waiting" } else { "none" };
    let counts =
        summary.counts.iter().map(|count| format!("{} {}/{}", name(&count.class), count.new, count.old));
    (status.to_owned(), super::json::joined(counts, ", "))
}

/// A summary as data.
pub(super) fn document(summary: &MessageSummary) -> Value {
    let count = |Count { class, new, old, urgent }: &Count| {
        json!({
            "class": name(class),
            "new": new,
            "old": old,
            "urgent_new": urgent.map(|urgent| urgent.0),
            "urgent_old": urgent.map(|urgent| urgent.1),
        })
    };
    let field = |(name, value): &(String, String)| json!({ "name": name, "value": value });
    let message = |message: &Vec<(String, String)>| message.iter().map(field).collect::<Vec<_>>();
    json!({
        "waiting": summary.waiting,
        "account": summary.account,
        "counts": summary.counts.iter().map(count).collect::<Vec<_>>(),
        "messages": summary.messages.iter().map(message).collect::<Vec<_>>(),
    })
}

/// The kind without what is the same in all of them.
fn name(class: &Class) -> &str {
    class.as_str().strip_suffix("-message").unwrap_or(class.as_str())
}

const COUNTS: &[Column] = &[column("messages"), column("new"), column("old"), column("urgent")];
