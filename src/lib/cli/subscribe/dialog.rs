//! `sip-subscribe-dialog`: its flags, its manual, and what the dialogs of a user (RFC 4235) look like.

use clap::Parser;
use serde_json::{Value, json};

use super::{
    Content, EXPECTATIONS, Facts, Flags, Keys, Refused, Spec, View, Watched, Wish, run,
    view::{Column, Table, ageing, column, span},
};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
    },
    presence::{
        Applied, Document,
        dialog_info::{Dialog, DialogInfo, Dialogs, Direction, Identity, Participant, State},
    },
    ua::package,
};

/// Watch somebody's calls
///
/// Subscribes to the dialogs of TARGET (RFC 4235), as the lamps of a switchboard do, and shows with whom it talks, since
/// when, and which calls come and go.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-dialog", version, max_term_width = 100)]
pub struct Args {
    /// Whose calls, such as sip:bob@example.com
    #[arg(value_name = "TARGET")]
    pub target: String,

    #[command(flatten)]
    pub flags: Flags,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET", "[OPTIONS] --once TARGET"],
        sections: &[Section { title: "EXPECTATIONS", text: EXPECTATIONS, terms: SPEC.keys.all }],
        examples: &[
            Example {
                about: "Watch the calls of a phone",
                command: "sip-subscribe-dialog --account work sip:bob@example.com",
            },
            Example {
                about: "Wait until somebody is in a call",
                command: "sip-subscribe-dialog sip:bob@127.0.0.1:5070 --expect state=confirmed",
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
    run::watch(&SPEC, Wish { target: Some(args.target), ..Wish::default() }, args.flags, cx).await
}

pub(super) const SPEC: Spec = Spec {
    package: package::DIALOG,
    types: &[<DialogInfo as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("dialogs", "How many there are, those that ended not counted (a number)."),
            ("confirmed", "How many of them are in a conversation (a number)."),
            (
                "state",
                "The state of one: trying, proceeding, early, confirmed or terminated; state[bob] is that with bob.",
            ),
            (
                "event",
                "What ended one: cancelled, rejected, replaced, local-bye, remote-bye, error or timeout.",
            ),
            ("direction", "Who began one: initiator is who is watched, recipient the other side."),
            ("local", "The address of who is watched."),
            ("remote", "The address of the other side."),
            ("subscription", "The state of the subscription: active, pending or terminated."),
        ],
        numbers: &["dialogs", "confirmed"],
    },
    watched: || Box::new(Watch::default()),
};

/// The dialogs as they are now.
#[derive(Default)]
struct Watch {
    /// Who is watched; nothing before the first document.
    entity: Option<String>,
    dialogs: Dialogs,
}

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        let document: DialogInfo = content.document()?;
        self.entity = Some(document.entity.clone());
        Ok(self.dialogs.apply(document))
    }

    fn view(&self) -> View {
        let mut view = View::default();
        let Some(entity) = &self.entity else { return view };
        let mut table = Table::new(DIALOGS, "no calls");
        for dialog in &self.dialogs.dialogs {
            let way = match &dialog.direction {
                Some(Direction::Initiator) => "calls",
                Some(Direction::Recipient) => "is called by",
                _ => "",
            };
            let ended = dialog.event.as_ref().map(ToString::to_string);
            let code = dialog.code.map(|code| code.to_string());
            table.row(
                &dialog.id,
                dialog.state == State::Terminated,
                [
                    named(&dialog.local).unwrap_or_else(|| entity.clone()),
                    way.to_owned(),
                    named(&dialog.remote).unwrap_or_else(|| "?".to_owned()),
                    dialog.state.to_string(),
                    super::json::joined(ended.into_iter().chain(code), ", "),
                    dialog.duration.map(span).unwrap_or_default(),
                ],
            );
        }
        view.tables.push(table);
        view
    }

    fn document(&self) -> Value {
        json!({ "entity": self.entity, "dialogs": self.dialogs.dialogs.iter().map(dialog).collect::<Vec<_>>() })
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if self.entity.is_some() {
            tell(&self.dialogs.dialogs, &mut facts);
        }
        facts
    }

    fn settle(&mut self) {
        self.dialogs.forget_terminated();
    }
}

fn tell(dialogs: &[Dialog], facts: &mut Facts) {
    let count = |wanted: fn(&State) -> bool| dialogs.iter().filter(|dialog| wanted(&dialog.state)).count();
    facts.say("dialogs", count(|state| *state != State::Terminated));
    facts.say("confirmed", count(|state| *state == State::Confirmed));
    for dialog in dialogs {
        let (local, remote) = (uri(&dialog.local), uri(&dialog.remote));
        let of = remote.unwrap_or_default();
        facts.say_of(of, "state", &dialog.state);
        if let Some(event) = &dialog.event {
            facts.say_of(of, "event", event);
        }
        if let Some(direction) = &dialog.direction {
            facts.say_of(of, "direction", direction);
        }
        if let Some(local) = local {
            facts.say_of(of, "local", local);
        }
        if let Some(remote) = remote {
            facts.say_of(of, "remote", remote);
        }
    }
}

/// Dialogs in a few words, for a row of a list: the state that is furthest, and with whom.
pub(super) fn brief(dialogs: &[Dialog]) -> (String, String) {
    let rank = |state: &State| match state {
        State::Confirmed => 4,
        State::Early => 3,
        State::Proceeding => 2,
        State::Trying => 1,
        _ => 0,
    };
    let live = dialogs.iter().filter(|dialog| dialog.state != State::Terminated);
    match live.max_by_key(|dialog| rank(&dialog.state)) {
        Some(dialog) => (dialog.state.to_string(), named(&dialog.remote).unwrap_or_default()),
        None => ("idle".to_owned(), String::new()),
    }
}

fn uri(participant: &Participant) -> Option<&str> {
    let identity = participant.identities.first().map(|identity| identity.uri.as_str());
    identity.or_else(|| participant.target.as_ref().map(|target| target.uri.as_str()))
}

fn named(participant: &Participant) -> Option<String> {
    match (participant.identities.first(), uri(participant)) {
        (Some(Identity { uri, display: Some(name) }), _) => Some(format!("{name} <{uri}>")),
        (_, uri) => uri.map(str::to_owned),
    }
}

/// A dialog as data.
pub(super) fn dialog(dialog: &Dialog) -> Value {
    let side = |participant: &Participant| {
        json!({
            "uri": participant.identities.first().map(|identity| &identity.uri),
            "display_name": participant.identities.first().and_then(|identity| identity.display.as_ref()),
            "target": participant.target.as_ref().map(|target| &target.uri),
        })
    };
    json!({
        "id": dialog.id,
        "state": dialog.state.as_str(),
        "event": dialog.event.as_ref().map(|event| event.as_str()),
        "code": dialog.code,
        "direction": dialog.direction.as_ref().map(|direction| direction.as_str()),
        "call_id": dialog.call_id,
        "local_tag": dialog.local_tag,
        "remote_tag": dialog.remote_tag,
        "duration_s": dialog.duration,
        "local": side(&dialog.local),
        "remote": side(&dialog.remote),
    })
}

const DIALOGS: &[Column] =
    &[column("who"), column(""), column("other side"), column("state"), column("ended"), ageing("since")];
