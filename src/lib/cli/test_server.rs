//! `sip-test-server`: its flags and its manual.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueHint};

use super::{
    Program,
    account::Credentials,
    args,
    config::Config,
    failure::Failure,
    generate::{Example, Manual, Section},
    secret::Password,
    value::{
        DigestAlgorithm, EventState, ListenAddress, LocalAddress, PortRange, Protection, parse_duration,
    },
};
use crate::{
    phone::{
        behaviour::Behaviour,
        events::{self, List, Rule},
    },
    transport::Protocol,
};

/// Answer SIP calls in every way a test needs
///
/// The user part of the Request-URI says what happens to a call: sip:busy@HOST is busy, sip:echo@HOST sends back what
/// it hears. Answers OPTIONS and MESSAGE too, registers who asks for it, and is a presence server: it takes SUBSCRIBE and
/// PUBLISH. Listens on loopback unless told otherwise.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-test-server", version, max_term_width = 100)]
#[command(
    after_help = "Call these users: echo, tone, silence, busy, decline, ring, early, hangup,\nstatus-NNN (such as status-503), redirect"
)]
#[command(after_long_help = user_parts_help())]
pub struct Args {
    /// Where to listen [default: 127.0.0.1:5070]
    ///
    /// May be repeated. PROTO is udp, tcp, tls, ws or wss, and without it both udp and tcp; tls and wss want
    /// --tls-cert. Without a port: 5070, for tls 5071, for ws 5072, for wss 5073. 0.0.0.0 and :: are all addresses of
    /// this machine.
    #[arg(long, value_name = "[PROTO:]IP[:PORT]")]
    pub listen: Vec<ListenAddress>,

    /// End after this many calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub calls: Option<u64>,

    /// Refuse to keep anything for less [default: 60s]
    ///
    /// Registrations, subscriptions and publications (423).
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    #[arg(hide_short_help = true)]
    pub min_expires: Option<Duration>,

    #[command(flatten)]
    pub presence: Presence,
    #[command(flatten)]
    pub auth: Auth,
    #[cfg(feature = "tls")]
    #[command(flatten)]
    pub tls: args::ListenTls,
    #[command(flatten)]
    pub media: Media,
    /// Do not report each call and request
    ///
    /// What is left is where it listens, once a second how many calls there are, and the result. For servers under load.
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
    #[command(flatten)]
    pub common: args::Common,
}

/// What calls are answered with.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Media")]
pub struct Media {
    /// Answer calls, but neither send nor receive media
    ///
    /// Answers say that the stream is inactive, at the discard port; no socket is opened for a call. For tests of
    /// signalling, and for load.
    #[arg(long, conflicts_with = "rtp_ports")]
    pub no_media: bool,

    #[command(flatten)]
    pub ports: args::RtpPorts,
}

/// What subscriptions are told, and whose are taken.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Presence")]
pub struct Presence {
    /// A state, such as mwi=3/1 or presence:alice=busy
    ///
    /// PACKAGE[:USER]=STATE, of all users or of one; @FILE instead of STATE is a document. It holds as long as nothing is
    /// published. May be repeated; the manual lists the words of each package.
    // The help is no Markdown: nothing is linked to.
    #[allow(rustdoc::broken_intra_doc_links)]
    #[arg(long, value_name = "STATE")]
    pub event: Vec<EventState>,

    /// Users watched as one, such as friends=alice,bob
    ///
    /// NAME=USER,...: who subscribes to NAME, and knows lists (RFC 4662), is told the states of all of them. May be
    /// repeated.
    #[arg(long, value_name = "LIST")]
    pub list: Vec<List>,

    /// Who may watch, such as bob=block [default: all]
    ///
    /// [WHO][:WHOM]=RULE, for watchers WHO of WHOM, or RULE for all. The rules are allow, block, polite-block and confirm.
    /// May be repeated: the last one that names both counts. The manual says more.
    // The help is no Markdown: nothing is linked to.
    #[allow(rustdoc::broken_intra_doc_links)]
    #[arg(long, value_name = "RULE")]
    pub watcher: Vec<Rule>,
}

/// The digest challenge.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Authentication")]
pub struct Auth {
    /// Challenge requests from outside for this user
    ///
    /// INVITE, MESSAGE, REGISTER, SUBSCRIBE and PUBLISH, unless they are within a dialog.
    #[arg(long, value_name = "NAME", env = "SIPKIT_USER", hide_env = true)]
    pub user: Option<String>,

    /// File with the password in its first line
    ///
    /// - is standard input. Without it: SIPKIT_PASSWORD, the configuration file, or a prompt.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Algorithms, in this order [default: SHA-256]
    ///
    /// A challenge for each, the first one first: MD5, SHA-256, SHA-512-256, or one of them with -sess.
    #[arg(long, value_name = "NAME,...", value_enum, hide_possible_values = true, ignore_case = true)]
    #[arg(value_delimiter = ',')]
    pub auth_alg: Vec<DigestAlgorithm>,

    /// auth, auth-int or both [default: auth]
    #[arg(long, value_name = "NAME,...", value_enum, hide_possible_values = true, value_delimiter = ',')]
    #[arg(hide_short_help = true)]
    pub auth_qop: Vec<Protection>,

    /// How long a nonce is good [default: 5m]
    ///
    /// One that is older is stale: the client is asked again, with another one. No request counts twice.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    #[arg(hide_short_help = true)]
    pub nonce_lifetime: Option<Duration>,

    /// Ask for user names to be hashed (RFC 7616)
    #[arg(long)]
    #[arg(hide_short_help = true)]
    pub userhash: bool,

    /// Realm of the challenge [default: sipkit]
    #[arg(long, value_name = "TEXT")]
    #[arg(hide_short_help = true)]
    pub realm: Option<String>,
}

/// What the flags and the configuration say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// At least one.
    pub listen: Vec<ListenAddress>,
    pub challenge: Option<Challenge>,
    /// Shorter registrations are refused.
    pub min_expires: Duration,
    /// Where media is received.
    pub media: MediaPorts,
    /// Single calls and requests are not reported.
    pub quiet: bool,
    pub events: events::Config,
}

/// Where the media of calls is received, if at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MediaPorts {
    /// Nowhere: calls have none.
    None,
    Any,
    Of(PortRange),
}

/// Who may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    pub credentials: Credentials,
    /// At least one.
    pub algorithms: Vec<DigestAlgorithm>,
    /// At least one.
    pub qop: Vec<Protection>,
    pub nonce_lifetime: Duration,
    pub userhash: bool,
    pub realm: String,
}

impl Args {
    /// The port listened on where none is given: not SIP's own, which a phone on this machine may have.
    pub const fn port(protocol: Protocol) -> u16 {
        match protocol {
            Protocol::Udp | Protocol::Tcp => 5070,
            Protocol::Tls => 5071,
            Protocol::Ws => 5072,
            Protocol::Wss => 5073,
        }
    }

    pub fn settings(&self, config: &Config) -> Result<Settings, Failure> {
        let server = &config.server;
        let listen = match (self.listen.as_slice(), server.listen.as_deref()) {
            (&[], None | Some(&[])) => {
                let address = LocalAddress { ip: std::net::Ipv4Addr::LOCALHOST.into(), port: None };
                &[ListenAddress { protocol: None, address }][..]
            }
            (&[], Some(listen)) | (listen, _) => listen,
        };
        let challenge = match self.auth.user.as_ref().or(server.user.as_ref()) {
            None => None,
            Some(user) => Some(Challenge {
                credentials: Credentials::new(user.clone(), self.auth.password(user, config)?),
                algorithms: chosen(&self.auth.auth_alg, server.auth_alg.as_ref(), DigestAlgorithm::Sha256),
                qop: chosen(&self.auth.auth_qop, None, Protection::Auth),
                nonce_lifetime: self.auth.nonce_lifetime.or(server.nonce_lifetime).unwrap_or(NONCE_LIFETIME),
                userhash: self.auth.userhash,
                realm: self
                    .auth
                    .realm
                    .clone()
                    .or_else(|| server.realm.clone())
                    .unwrap_or_else(|| "sipkit".into()),
            }),
        };
        let media = match (&self.media, server.no_media) {
            (Media { no_media: true, .. }, _) => MediaPorts::None,
            (Media { ports: args::RtpPorts { rtp_ports: Some(ports) }, .. }, _) => MediaPorts::Of(*ports),
            (_, Some(true)) => MediaPorts::None,
            _ => server.rtp_ports.map_or(MediaPorts::Any, MediaPorts::Of),
        };
        let quiet = self.quiet || server.quiet == Some(true);
        let min_expires = self.min_expires.or(server.min_expires).unwrap_or(MIN_EXPIRES);
        let Presence { event, list, watcher } = &self.presence;
        let stated = together(server.event.as_ref(), event);
        let events = events::Config {
            stated: stated.into_iter().map(|EventState(stated)| stated).collect(),
            lists: together(server.list.as_ref(), list),
            rules: together(server.watcher.as_ref(), watcher),
            least: min_expires,
            ..events::Config::default()
        };
        Ok(Settings { listen: listen.to_vec(), challenge, min_expires, media, quiet, events })
    }
}

impl Auth {
    fn password(&self, user: &str, config: &Config) -> Result<Password, Failure> {
        if let Some(path) = &self.password_file {
            return Password::from_file(path).map_err(Failure::usage);
        }
        if let Some(password) = Password::from_environment().or_else(|| config.server.password.clone()) {
            return Ok(password);
        }
        match &config.server.password_file {
            Some(path) => Password::from_file(path),
            None => Password::ask(user),
        }
        .map_err(Failure::usage)
    }
}

/// The flag before the file before what is usual.
fn chosen<T: Copy>(flag: &[T], file: Option<&Vec<T>>, usual: T) -> Vec<T> {
    match (flag, file) {
        ([], Some(file)) if !file.is_empty() => file.clone(),
        ([], _) => vec![usual],
        (flag, _) => flag.to_vec(),
    }
}

/// What the file says and then, as the last one counts, the flags.
fn together<T: Clone>(file: Option<&Vec<T>>, flags: &[T]) -> Vec<T> {
    file.into_iter().flatten().chain(flags).cloned().collect()
}

const MIN_EXPIRES: Duration = Duration::from_secs(60);
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

pub use super::serve::run;

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS]"],
        sections: &[
            Section {
                title: "USER PARTS",
                text: "The user part of the Request-URI chooses what happens to a call:",
                terms: &Behaviour::NAMES,
            },
            Section {
                title: "EVENTS",
                text: "SUBSCRIBE is answered for presence, presence.winfo, message-summary, dialog, conference, reg and \
                       xcap-diff; PUBLISH for those of them that are not the server's own knowledge. What is published \
                       holds until it expires, and the presence that several publish is made one. Calls to this server \
                       are dialogs of who is called, and what registers here is told of by reg. A resource is the user \
                       and host of the Request-URI. The users decline and status-NNN (from 400) refuse subscriptions \
                       too. With --event a state is given:",
                terms: &events::SYNTAX,
            },
            Section {
                title: "WATCHERS",
                text: "Without --watcher everybody may watch everybody. --watcher [WHO][:WHOM]=RULE, or watcher in [server] of \
                       the configuration file, says otherwise of who watches (From) and whom: USER, USER@HOST or @HOST \
                       each, where * stands for any characters and what is left out for anybody. Who watches themselves \
                       needs no permission. The last rule that names both counts, those of the command line after those of the file; so the general ones come first. In \
                       the file: watcher = [\"confirm\", \"@example.com=allow\", \"eve:alice=polite-block\"]. The rules \
                       (RFC 5025) are:",
                terms: &events::RULES,
            },
        ],
        examples: &[
            Example { about: "Serve calls on this machine", command: "sip-test-server" },
            Example {
                about: "Serve one call on another port, with results a script can read",
                command: "sip-test-server --listen 127.0.0.1:5072 --calls 1 --json --timeout 1m",
            },
            Example {
                about: "Tell who subscribes that alice is busy, and of three new messages",
                command: "sip-test-server --event presence:alice=busy --event mwi=3/1",
            },
            Example {
                about: "Take many calls, for a load test",
                command: "sip-test-server --no-media --quiet",
            },
            Example {
                about: "Ask for a password, with each message shown",
                command: "sip-test-server --user alice --password-file secret --auth-alg MD5 --trace",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.common
    }
}

fn user_parts_help() -> String {
    let mut text = String::from("User parts of the Request-URI, and what happens to the call:");
    for (term, meaning) in Behaviour::NAMES {
        text += &format!("\n  {term:<11} {meaning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &str, config: &str) -> Settings {
        let args = Args::try_parse_from(format!("test {flags}").split_whitespace()).expect("known flags");
        args.settings(&Config::parse(config).expect("well-formed")).expect("complete")
    }

    #[test]
    fn loopback_unless_told_otherwise() {
        let listen = |flags, config| -> Vec<_> {
            settings(flags, config).listen.iter().map(|l| l.targets(Args::port)[0].addr.to_string()).collect()
        };
        assert_eq!(listen("", ""), ["127.0.0.1:5070"]);
        assert_eq!(listen("", "[server]\nlisten = []"), ["127.0.0.1:5070"]);
        assert_eq!(listen("", "[server]\nlisten = '::1'"), ["[::1]:5070"]);
        assert_eq!(
            listen("--listen 0.0.0.0:5060 --listen ::1", "[server]\nlisten = '::1'"),
            ["0.0.0.0:5060", "[::1]:5070"]
        );
    }

    #[test]
    fn no_media_and_quiet_are_of_the_flags_or_the_file() {
        let of = |flags: &str, config: &str| {
            let settings = settings(flags, config);
            (settings.media, settings.quiet)
        };
        let ports = PortRange { first: 20000, last: 20100 };
        assert_eq!(of("", ""), (MediaPorts::Any, false));
        assert_eq!(of("--no-media -q", ""), (MediaPorts::None, true));
        assert_eq!(of("", "[server]\nno-media = true\nquiet = true"), (MediaPorts::None, true));
        assert_eq!(of("--rtp-ports 20000-20100", "[server]\nno-media = true").0, MediaPorts::Of(ports));
        assert_eq!(of("--no-media", "[server]\nrtp-ports = '20000-20100'").0, MediaPorts::None);
        assert_eq!(of("", "[server]\nrtp-ports = '20000-20100'").0, MediaPorts::Of(ports));
        assert!(Args::try_parse_from(["test", "--no-media", "--rtp-ports", "20000-20100"]).is_err());
    }

    #[test]
    fn each_transport_has_its_port() {
        let targets = |flags: &str| -> Vec<_> {
            let listen = settings(flags, "").listen;
            listen.iter().flat_map(|listen| listen.targets(Args::port)).map(|t| t.to_string()).collect()
        };
        assert_eq!(targets(""), ["127.0.0.1:5070 over UDP", "127.0.0.1:5070 over TCP"]);
        assert_eq!(
            targets("--listen tls:::1 --listen wss:[::1] --listen ws:127.0.0.1:80 --listen UDP:0.0.0.0"),
            ["[::1]:5071 over TLS", "[::1]:5073 over WSS", "127.0.0.1:80 over WS", "0.0.0.0:5070 over UDP"]
        );
        assert!(Args::try_parse_from(["test", "--listen", "sctp:127.0.0.1"]).is_err());
    }

    #[test]
    fn states_lists_and_rules_are_of_the_file_and_then_of_the_flags() {
        let config = "[server]\nevent = ['presence=open', 'mwi=3/1(1/0),fax:1/0']\nlist = 'friends=alice,bob'\n\
                      watcher = ['block', '@example.com=allow']";
        let events = settings("--event presence:bob=closed --watcher eve=polite-block", config).events;
        let users: Vec<_> = events.stated.iter().map(|stated| stated.user.as_deref()).collect();
        assert_eq!(users, [None, None, Some("bob")]);
        assert_eq!((events.lists[0].members.len(), events.rules.len()), (2, 3));
        assert_eq!(settings("", "").events, events::Config::default());
        let mistake = Config::parse("[server]\nwatcher = 'maybe'").unwrap_err().to_string();
        assert!(mistake.contains("2:11: `maybe` is none of allow, block"), "{mistake}");
        let mistake = Args::try_parse_from(["test", "--event", "mwi=@/nonexistent"]).unwrap_err().to_string();
        assert!(mistake.contains("cannot read /nonexistent"), "{mistake}");
    }

    #[test]
    fn a_challenge_needs_a_user() {
        let config = "[server]\npassword = 'x'\nrealm = 'here'\nauth-alg = 'MD5'";
        assert_eq!(settings("", config).challenge, None);
        let challenge =
            settings("--user alice --auth-alg sha-512-256", config).challenge.expect("a challenge");
        assert_eq!(challenge.algorithms, [DigestAlgorithm::Sha512_256]);
        assert_eq!(challenge.realm, "here");
        let in_order = settings("--user alice --auth-alg md5,sha-256-sess", config).challenge;
        let expected = [DigestAlgorithm::Md5, DigestAlgorithm::Sha256Sess];
        assert_eq!(in_order.expect("a challenge").algorithms, expected);
    }
}
