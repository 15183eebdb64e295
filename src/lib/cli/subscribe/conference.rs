//! `sip-subscribe-conference`: its flags, its manual, and what a conference (RFC 4575) looks like.

use clap::Parser;
use serde_json::{Value, json};

use super::{
    Content, EXPECTATIONS, Facts, Flags, Keys, Refused, Spec, View, Watched, Wish,
    json::joined,
    run,
    view::{Column, Table, column},
};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
    },
    presence::{
        Applied, Document,
        conference::{Change, Conference, ConferenceInfo, Endpoint, EndpointStatus, Media, User},
    },
    ua::package,
};

/// Watch a conference
///
/// Subscribes to the state of the conference TARGET (RFC 4575) and shows what it is about and who takes part with what.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-subscribe-conference", version, max_term_width = 100)]
pub struct Args {
    /// The conference, such as sip:room@example.com
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
                about: "See who takes part",
                command: "sip-subscribe-conference --once sip:room@127.0.0.1:5070",
            },
            Example {
                about: "Wait until three do",
                command: "sip-subscribe-conference sip:room@127.0.0.1:5070 --expect 'users>=3'",
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
    package: package::CONFERENCE,
    types: &[<ConferenceInfo as Document>::MEDIA_TYPE],
    lists: false,
    keys: Keys {
        all: &[
            ("users", "How many take part (a number)."),
            ("connected", "How many of their endpoints are connected (a number)."),
            ("user", "The URI of one."),
            (
                "status",
                "The status of an endpoint: connected, alerting, on-hold and others; status[bob] is that of bob.",
            ),
            ("role", "What a user is in the conference."),
            ("subject", "What it is about."),
            ("active", "yes if it takes place, no if not."),
            ("locked", "yes if nobody else can come in, no if not."),
            ("subscription", "The state of the subscription: active, pending or terminated."),
        ],
        numbers: &["users", "connected"],
    },
    watched: || Box::new(Watch::default()),
};

/// The conference as it is now.
#[derive(Default)]
struct Watch(Conference);

impl Watched for Watch {
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused> {
        Ok(self.0.apply(content.document()?)?)
    }

    fn view(&self) -> View {
        self.0.info.as_ref().map(view).unwrap_or_default()
    }

    fn document(&self) -> Value {
        self.0.info.as_ref().map_or(Value::Null, document)
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if let Some(info) = &self.0.info {
            tell(info, &mut facts);
        }
        facts
    }
}

fn tell(info: &ConferenceInfo, facts: &mut Facts) {
    let endpoints = || info.users().flat_map(|user| &user.endpoints);
    let connected = endpoints().filter(|endpoint| endpoint.status == Some(EndpointStatus::Connected));
    facts.say("users", info.users().count());
    facts.say("connected", connected.count());
    for user in info.users() {
        facts.say_of(&user.entity, "user", &user.entity);
        user.roles.iter().for_each(|role| facts.say_of(&user.entity, "role", role));
        for status in user.endpoints.iter().filter_map(|endpoint| endpoint.status.as_ref()) {
            facts.say_of(&user.entity, "status", status);
        }
    }
    if let Some(subject) = info.description.as_ref().and_then(|about| about.subject.as_ref()) {
        facts.say("subject", subject);
    }
    let state = info.conference_state.as_ref();
    for (key, is) in [("active", state.and_then(|s| s.active)), ("locked", state.and_then(|s| s.locked))] {
        if let Some(is) = is {
            facts.say(key, yes(is));
        }
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn view(info: &ConferenceInfo) -> View {
    let mut view = View::default();
    view.line("conference", info.entity.clone());
    if let Some(about) = &info.description {
        view.line("name", about.display_text.clone().unwrap_or_default());
        view.line("subject", about.subject.clone().unwrap_or_default());
        view.line("about", about.free_text.clone().unwrap_or_default());
        let media = about.available_media.iter().map(|media| media.media_type.as_str());
        view.line("media", joined(media, ", "));
        view.line(
            "at most",
            about.maximum_user_count.map(|most| format!("{most} users")).unwrap_or_default(),
        );
    }
    if let Some(host) = info.host_info.as_ref().and_then(|host| host.display_text.clone()) {
        view.line("host", host);
    }
    if let Some(state) = &info.conference_state {
        view.line("active", state.active.map(yes).unwrap_or_default());
        view.line("locked", state.locked.map(yes).unwrap_or_default());
        view.line("users", state.user_count.map(|count| count.to_string()).unwrap_or_default());
    }
    if info.state == Change::Deleted {
        view.line("over", "yes");
    }
    let mut users = Table::new(USERS, "nobody takes part");
    for user in info.users() {
        let name = match &user.display_text {
            Some(name) => format!("{name} <{}>", user.entity),
            None => user.entity.clone(),
        };
        let roles = joined(&user.roles, ", ");
        if user.endpoints.is_empty() {
            users.row(&user.entity, false, [name, roles, String::new(), String::new(), String::new()]);
            continue;
        }
        for (at, endpoint) in user.endpoints.iter().enumerate() {
            let (name, roles) = if at == 0 { (name.clone(), roles.clone()) } else { Default::default() };
            let status = endpoint.status.as_ref().map(ToString::to_string).unwrap_or_default();
            let cells = [name, roles, status, media(endpoint), came(endpoint)];
            users.row(format!("{} {}", user.entity, endpoint.entity), false, cells);
        }
    }
    view.tables.push(users);
    view
}

fn media(endpoint: &Endpoint) -> String {
    let one = |media: &Media| {
        let kind = media.media_type.as_deref().or(media.display_text.as_deref()).unwrap_or("?");
        match &media.status {
            Some(status) => format!("{kind} {status}"),
            None => kind.to_owned(),
        }
    };
    joined(endpoint.media.iter().map(one), ", ")
}

fn came(endpoint: &Endpoint) -> String {
    let went = endpoint.disconnection_method.as_ref().map(ToString::to_string);
    let came = endpoint.joining_method.as_ref().map(ToString::to_string);
    let when = endpoint.joining_info.as_ref().and_then(|info| info.when).map(|when| when.to_string());
    match went {
        Some(went) => went,
        None => joined(came.into_iter().chain(when), " "),
    }
}

fn document(info: &ConferenceInfo) -> Value {
    let about = info.description.as_ref();
    let state = info.conference_state.as_ref();
    json!({
        "entity": info.entity,
        "deleted": info.state == Change::Deleted,
        "display_name": about.and_then(|about| about.display_text.as_ref()),
        "subject": about.and_then(|about| about.subject.as_ref()),
        "maximum_users": about.and_then(|about| about.maximum_user_count),
        "user_count": state.and_then(|state| state.user_count),
        "active": state.and_then(|state| state.active),
        "locked": state.and_then(|state| state.locked),
        "users": info.users().map(user).collect::<Vec<_>>(),
    })
}

fn user(user: &User) -> Value {
    let media = |media: &Media| {
        json!({
            "id": media.id,
            "type": media.media_type,
            "label": media.label,
            "status": media.status.as_ref().map(|status| status.as_str()),
        })
    };
    let endpoint = |endpoint: &Endpoint| {
        json!({
            "entity": endpoint.entity,
            "display_name": endpoint.display_text,
            "status": endpoint.status.as_ref().map(|status| status.as_str()),
            "joining_method": endpoint.joining_method.as_ref().map(|method| method.as_str()),
            "disconnection_method": endpoint.disconnection_method.as_ref().map(|method| method.as_str()),
            "media": endpoint.media.iter().map(media).collect::<Vec<_>>(),
        })
    };
    json!({
        "entity": user.entity,
        "display_name": user.display_text,
        "roles": user.roles,
        "endpoints": user.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

const USERS: &[Column] = &[column("user"), column("role"), column("status"), column("media"), column("came")];
