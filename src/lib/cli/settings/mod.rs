//! `sip-settings`: its flags, its manual, and what it does.

mod file;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use self::file::{Key, SettingsFile};
use super::{
    Context, Event, Program, args,
    config::{Config, usual_path},
    failure::Failure,
    generate::{Example, Manual, Section},
    secret::Password,
};

/// Show, change and check the configuration that all programs share
///
/// Keys are written as in the file, with the table before them: defaults.timeout, media.codec, account.work.user,
/// server.listen. Comments and order of the file are kept, and what would make it unreadable is refused.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-settings", version, max_term_width = 100)]
pub struct Args {
    /// What to do
    #[arg(value_enum, value_name = "ACTION")]
    pub action: Action,

    /// A key, such as account.work.user
    #[arg(value_name = "KEY")]
    pub key: Option<Key>,

    /// The new value
    ///
    /// A password is no argument, where others could see it: leave the value out, and it is asked for or read from
    /// standard input.
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: Option<String>,

    #[command(flatten)]
    pub common: args::WithoutTraffic,
}

/// What `sip-settings` can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Everything the file says
    List,
    /// What it says of one key, or of all keys that begin so
    Show,
    /// Write a value; the file is made if it is not there
    Set,
    /// Take a key out, or an account
    Unset,
    /// Say whether the file is sound; exit status 2 if not
    Check,
    /// The sound cards, by the names that --audio device:NAME takes
    Devices,
}

impl Program for Args {
    const TIMELINE: bool = false;
    const MANUAL: Manual = Manual {
        synopsis: &[
            "list | check | devices [OPTIONS]",
            "show | unset [OPTIONS] KEY",
            "set [OPTIONS] KEY [VALUE]",
        ],
        sections: &[Section {
            title: "ACTIONS",
            text: "What is to be done:",
            terms: &[
                ("list", "Everything the file says, a line each; passwords are not shown."),
                ("show", "What it says of one key, or of all keys that begin so (account.work)."),
                ("set", "Write a value. The file is made if it is not there, readable by its owner only."),
                ("unset", "Take a key out, or a whole account."),
                (
                    "check",
                    "Say whether the file is sound. A mistake is told with its line and column (exit 2).",
                ),
                ("devices", "The sound cards, by the names that --audio device:NAME takes."),
            ],
        }],
        examples: &[
            Example {
                about: "An account in three lines",
                command: "sip-settings set account.work.from sip:alice@example.com",
            },
            Example { about: "Its password, asked for", command: "sip-settings set account.work.password" },
            Example { about: "Use it from now on", command: "sip-settings set defaults.account work" },
            Example { about: "What is set", command: "sip-settings list" },
        ],
    };

    fn makes_config(&self) -> bool {
        self.action == Action::Set
    }

    fn common(&self) -> &args::Common {
        &self.common.0
    }
}

/// The program.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let unwanted = |what: &str| Err(Failure::usage(format_args!("{what}; see sip-settings --help")));
    match (args.action, &args.key, &args.value) {
        (Action::List | Action::Check | Action::Devices, Some(_), _) => {
            return unwanted("no key is wanted here");
        }
        (Action::Show | Action::Set | Action::Unset, None, _) => return unwanted("a key is missing"),
        (Action::Show | Action::Unset, _, Some(_)) => return unwanted("no value is wanted here"),
        _ => {}
    }
    if args.action == Action::Devices {
        return devices(&cx);
    }
    let path = match args.common.0.run.config.clone().or_else(usual_path) {
        Some(path) => path,
        None => {
            return Err(Failure::usage("there is no home directory; say with --config where the file is"));
        }
    };
    let file = SettingsFile::open(&path).map_err(Failure::usage)?;
    let everything = Key::default();
    let key = args.key.as_ref().unwrap_or(&everything);
    match args.action {
        Action::List => file.settings(key).for_each(|setting| cx.out.event(setting)),
        Action::Show => {
            let mut found = file.settings(key).peekable();
            if found.peek().is_none() {
                let key = key.to_string();
                cx.out.event(Event::Setting { key: key.clone(), value: None, line: None });
                return Err(Failure::usage(format_args!("the file does not set {key}")));
            }
            found.for_each(|setting| cx.out.event(setting));
        }
        Action::Set => {
            let changed = match &args.value {
                Some(_) if key.is_password() => {
                    return Err(Failure::usage(
                        "a password is no argument, where others can see it: leave it out, and it is asked for",
                    ));
                }
                Some(value) => file.set(key, value),
                None if key.is_password() => file.set(key, ask(key)?.reveal()),
                None => return Err(Failure::usage("a value is missing")),
            };
            changed.and_then(SettingsFile::save).map_err(Failure::usage)?;
            written(&path, &cx);
        }
        Action::Unset => {
            file.unset(key).and_then(SettingsFile::save).map_err(Failure::usage)?;
            written(&path, &cx);
        }
        Action::Check => {
            // It has been read, or this would not run; accounts must fit together as well.
            check_accounts(&cx.config)?;
            if !path.exists() {
                return Err(Failure::usage(format_args!("{} is not there", path.display())));
            }
            cx.out.event(Event::Checked { path: path.display().to_string() });
        }
        Action::Devices => {}
    }
    Ok(())
}

/// What is right by itself may still name an account that is not there.
fn check_accounts(config: &Config) -> Result<(), Failure> {
    match &config.defaults.account {
        Some(name) if !config.account.contains_key(name) => {
            Err(Failure::usage(format_args!("defaults.account is {name}, and there is no [account.{name}]")))
        }
        _ => Ok(()),
    }
}

fn written(path: &std::path::Path, cx: &Context) {
    cx.out.event(Event::Checked { path: path.display().to_string() });
}

/// At a terminal without echo, else the first line of standard input.
fn ask(key: &Key) -> Result<Password, Failure> {
    use std::io::IsTerminal;
    let password = match std::io::stdin().is_terminal() {
        true => Password::ask(&key.to_string()),
        false => Password::from_file(&PathBuf::from("-")),
    };
    password.map_err(Failure::usage)
}

#[cfg(feature = "audio")]
fn devices(cx: &Context) -> Result<(), Failure> {
    for device in crate::media::device::devices() {
        let crate::media::device::DeviceInfo { name, description, input, output } = device;
        cx.out.event(Event::Device { name, description, input, output });
    }
    Ok(())
}

#[cfg(not(feature = "audio"))]
fn devices(_: &Context) -> Result<(), Failure> {
    Err(Failure::usage("this program was built without sound cards (feature audio)"))
}
