//! `sip-subscribe-reg`: its flags, its manual, and what the registrations of a user (RFC 3680) look like.

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
        reg::{Contact, ContactState, RegInfo, Registration, Registrations, State},
    },
    ua::package,
};

/// Watch what is registered for an address
///
/// Subscribes to the registrations of TARGET (RFC 3680) and shows which contacts come, are refreshed and go.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-reg", version, max_term_width = 100)]
pub struct Args {
    /// Whose registrations [default: --from or the account's]
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
                about: "Watch the phones of an account of the configuration file",
                command: "sip-subscribe-reg --account work",
            },
            Example {
                about: "Wait until a phone is registered",
                command: "sip-subscribe-reg sip:alice@127.0.0.1:5070 --expect 'contacts>=1'",
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
    package: package::REGISTRATION,
    types: &[<RegInfo as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("state", "The state of an address: init, active or terminated."),
            ("contacts", "How many contacts are registered (a number)."),
            ("contact", "The URI of one."),
            (
                "event",
                "What happened to one: registered, created, refreshed, expired, unregistered and others.",
            ),
            ("subscription", "The state of the subscription: active, pending or terminated."),
        ],
        numbers: &["contacts"],
    },
    watched: || Box::new(Watch(Registrations::default(), false)),
};

/// The registrations, and whether any document told of them.
struct Watch(Registrations, bool);

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        let document = content.document()?;
        self.1 = true;
        Ok(self.0.apply(document))
    }

    fn view(&self) -> View {
        let mut view = View::default();
        if !self.1 {
            return view;
        }
        for registration in &self.0.registrations {
            view.line(&registration.aor, registration.state.to_string());
        }
        let mut table = Table::new(CONTACTS, "nothing is registered");
        for registration in &self.0.registrations {
            for contact in &registration.contacts {
                let params = contact.params.iter().map(|(name, value)| match &**value {
                    "" => name.clone(),
                    value => format!("{name}={value}"),
                });
                table.row(
                    format!("{} {}", registration.id, contact.id),
                    contact.state == ContactState::Terminated || registration.state == State::Terminated,
                    [
                        contact.uri.clone(),
                        contact.state.to_string(),
                        contact.event.to_string(),
                        contact.q.clone().unwrap_or_default(),
                        contact.expires.map(span).unwrap_or_default(),
                        contact.duration_registered.map(span).unwrap_or_default(),
                        super::json::joined(params, "; "),
                    ],
                );
            }
        }
        view.tables.push(table);
        view
    }

    fn document(&self) -> Value {
        let param = |(name, value): &(String, String)| json!({ "name": name, "value": value });
        let contact = |contact: &Contact| {
            json!({
                "id": contact.id,
                "uri": contact.uri,
                "state": contact.state.as_str(),
                "event": contact.event.as_str(),
                "display_name": contact.display_name.as_ref().map(|name| &name.text),
                "q": contact.q,
                "expires_s": contact.expires,
                "registered_s": contact.duration_registered,
                "retry_after_s": contact.retry_after,
                "call_id": contact.call_id,
                "cseq": contact.cseq,
                "params": contact.params.iter().map(param).collect::<Vec<_>>(),
                "public_gruu": contact.pub_gruu,
                "temporary_gruu": contact.temp_gruu.as_ref().map(|(uri, _)| uri),
            })
        };
        let registration = |registration: &Registration| {
            json!({
                "aor": registration.aor,
                "id": registration.id,
                "state": registration.state.as_str(),
                "contacts": registration.contacts.iter().map(contact).collect::<Vec<_>>(),
            })
        };
        json!({ "registrations": self.0.registrations.iter().map(registration).collect::<Vec<_>>() })
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if !self.1 {
            return facts;
        }
        let contacts = || self.0.registrations.iter().flat_map(|registration| &registration.contacts);
        facts.say("contacts", contacts().filter(|contact| contact.state == ContactState::Active).count());
        for registration in &self.0.registrations {
            facts.say_of(&registration.aor, "state", &registration.state);
        }
        for contact in contacts() {
            facts.say_of(&contact.uri, "contact", &contact.uri);
            facts.say_of(&contact.uri, "event", &contact.event);
        }
        facts
    }

    fn settle(&mut self) {
        self.0.forget_terminated();
    }
}

const CONTACTS: &[Column] = &[
    column("contact"),
    column("state"),
    column("event"),
    column("q"),
    ageing("expires"),
    ageing("since"),
    column("parameters"),
];
