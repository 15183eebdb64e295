//! `sip-register`: its flags and its manual.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, builder::TypedValueParser};

use super::{
    Failure, Program,
    account::Account,
    args,
    config::Config,
    generate::{Example, Manual, Section},
    place,
    value::{Preference, parse_duration},
};
use crate::{
    message::{AddressBuf, UriBuf},
    phone::behaviour::Behaviour,
    stack::NextHop,
    ua::registration::{Binding, Register, Task},
};

/// Register with a SIP server, or see what is registered there
///
/// Binds our address to this machine (or to --contact), says what the registrar granted, and leaves it so. With --keep
/// the binding is kept alive until the run ends, and then removed; --answer takes calls and messages meanwhile.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-register", version, max_term_width = 100)]
pub struct Args {
    /// The address of record [default: --from or the account's]
    #[arg(value_name = "ADDRESS")]
    pub address: Option<String>,

    /// Refresh until the run ends, then remove
    ///
    /// A registrar that cannot be reached is tried again after 30 to 60 seconds, later less and less often.
    #[arg(long, group = "task")]
    pub keep: bool,

    /// Take calls and messages meanwhile; implies --keep
    ///
    /// What happens to a call is said as in the user parts of sip-test-server: echo, tone, busy and others; echo
    /// without a name.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "echo")]
    #[arg(value_parser = behaviour())]
    pub answer: Option<Behaviour>,

    /// Show what is bound
    #[arg(long, group = "task", conflicts_with_all = ["answer", "expires", "contact", "q"])]
    pub query: bool,

    /// Remove --contact, or what is bound to this machine
    #[arg(long, group = "task", conflicts_with_all = ["answer", "expires", "q"])]
    pub remove: bool,

    /// Remove all bindings
    #[arg(long, group = "task", conflicts_with_all = ["answer", "expires", "contact", "q"])]
    pub remove_all: bool,

    #[command(flatten)]
    pub binding: BindingArgs,
    #[command(flatten)]
    pub headers: args::Headers,
    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub route: args::Route,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub ports: args::RtpPorts,
    #[command(flatten)]
    pub common: args::Common,
}

/// What is registered, and how.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Binding")]
pub struct BindingArgs {
    /// How long to bind [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub expires: Option<Duration>,

    /// Bind this address instead of ours; may be repeated
    #[arg(long, value_name = "URI")]
    pub contact: Vec<String>,

    /// Preference, from 0 to 1
    #[arg(long, value_name = "Q")]
    #[arg(hide_short_help = true)]
    pub q: Option<Preference>,

    /// The registrar [default: the domain of the address]
    #[arg(long, value_name = "URI")]
    pub registrar: Option<String>,

    /// Use connections both ways (RFC 5626)
    #[arg(long)]
    #[arg(hide_short_help = true)]
    pub outbound: bool,

    /// Ask for addresses of this very device (RFC 5627)
    #[arg(long)]
    #[arg(hide_short_help = true)]
    pub gruu: bool,

    /// Bind our own address even if a NAT shows another one
    #[arg(long)]
    #[arg(hide_short_help = true)]
    pub no_nat: bool,
}

/// What flags and configuration say together.
pub(super) struct Settings {
    pub account: Account,
    pub register: Register,
    /// Bindings of this machine are to be removed, once they are known.
    pub remove_own: bool,
}

impl Args {
    /// Refreshed until the run ends.
    pub fn is_kept(&self) -> bool {
        self.keep || self.answer.is_some()
    }

    pub(super) fn settings(&self, config: &Config) -> Result<Settings, Failure> {
        let mut identity = self.identity.clone();
        if self.address.is_some() {
            identity.from.clone_from(&self.address);
        }
        let account = Account::resolve(&identity, &self.route, config)?;
        let own = account.from.as_deref().ok_or_else(|| {
            Failure::usage("no address to register")
                .hint("give one, such as sip:alice@example.com, or --account")
        })?;
        let address = place::address(own, "the address")?;
        place::uri(address.uri().as_str(), "the address")?;
        let aor =
            AddressBuf::new(account.display_name.as_deref().or(address.display()), address.uri().clone());
        if self.binding.expires.or(account.registration.expires).is_some_and(|time| time.as_secs() == 0) {
            return Err(Failure::usage("a binding for less than a second is none")
                .hint("to remove what is bound: --remove or --remove-all"));
        }
        let registrar = match self.binding.registrar.as_ref().or(account.registration.registrar.as_ref()) {
            Some(text) => place::uri(text, "--registrar")?,
            None => domain(&aor)?,
        };
        let uris = self.binding.contact.iter().map(|text| place::uri(text, "--contact"));
        let uris = uris.collect::<Result<Vec<_>, _>>()?;
        let mut register = Register::new(aor, registrar);
        register.task = self.task(&uris, &account);
        register.auth = account.auth()?;
        let proxy = account.proxy.as_deref().map(|proxy| place::uri(proxy, "--proxy")).transpose()?;
        let is_own_domain = self.binding.registrar.is_none() && account.registration.registrar.is_none();
        let proxy = proxy.or_else(|| if is_own_domain { way_of(&register) } else { None });
        if let Some(hop) = place::first_hop(&register.registrar, proxy, &account)? {
            register.next = NextHop::Uri(hop);
        }
        let (outbound, gruu) = (
            self.binding.outbound || account.registration.outbound,
            self.binding.gruu || account.registration.gruu,
        );
        register.instance = match &account.registration.instance {
            Some(instance) => Some(instance.clone()),
            None if outbound || gruu => Some(instance(own)?),
            None => None,
        };
        register.reg_id = outbound.then_some(1);
        register.gruu = gruu;
        register.rewrite = !self.binding.no_nat;
        register.headers = self.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
        let remove_own = self.remove && uris.is_empty();
        Ok(Settings { account, register, remove_own })
    }

    fn task(&self, uris: &[UriBuf], account: &Account) -> Task {
        if self.remove_all {
            return Task::RemoveAll;
        }
        if self.query || (self.remove && uris.is_empty()) {
            return Task::Query;
        }
        if self.remove {
            return Task::Remove(uris.to_vec());
        }
        let q = self.binding.q.map(|q| q.thousandths);
        let contacts = match uris {
            [] => vec![Binding { uri: None, q }],
            uris => uris.iter().map(|uri| Binding { uri: Some(uri.clone()), q }).collect(),
        };
        let expires = self.binding.expires.or(account.registration.expires).unwrap_or(HOUR);
        if self.is_kept() { Task::Keep { contacts, expires } } else { Task::Once { contacts, expires } }
    }
}

/// The Request-URI of a REGISTER: scheme, host and port of the address, and nothing else (RFC 3261 §10.2).
fn domain(aor: &AddressBuf) -> Result<UriBuf, Failure> {
    let uri = aor.as_uri();
    UriBuf::new(uri.scheme(), None, uri.host(), uri.port())
        .map_err(|why| Failure::usage(format_args!("{uri} names no registrar: {why}")))
}

/// What the address of record says of the way to its registrar, which no Request-URI repeats (RFC 3261 §10.2).
fn way_of(register: &Register) -> Option<UriBuf> {
    let aor = register.aor.as_uri();
    let mut way = register.registrar.clone();
    for name in ["transport", "maddr"] {
        if let Some(value) = aor.params().value(name) {
            way = way.with_param(name, Some(value)).ok()?;
        }
    }
    (way != register.registrar).then_some(way)
}

/// A name for this device and account that stays the same (RFC 5626 §4.1): made from what names the machine, which it
/// does not tell.
fn instance(aor: &str) -> Result<String, Failure> {
    let machine = machine()?;
    let login = place::login_name();
    let hash = crate::auth::digest::ha1(
        crate::auth::Algorithm::Sha256,
        &login,
        aor,
        &crate::auth::Secret::new(machine.trim()),
        "",
        "",
    );
    let hex = hash.as_str();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    // The form of a UUID whose bits mean nothing in particular (RFC 9562 §5.8).
    Ok(format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    ))
}

/// What names this machine and no other: what the system has for that, else something random that is kept in the
/// folder for such things (XDG Base Directory Specification).
fn machine() -> Result<String, Failure> {
    let system = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    // systemd writes "uninitialized" into images.
    if system.trim().len() == 32 {
        return Ok(system);
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let folder = state.map(|state| state.join("sipkit"));
    let no_place = |why: &dyn std::fmt::Display| {
        Failure::usage(format_args!("this device has no name, and none can be kept: {why}"))
            .hint("give `instance` of the account in the configuration file, or set XDG_STATE_HOME")
    };
    let folder = folder.ok_or_else(|| no_place(&"neither XDG_STATE_HOME nor HOME is set"))?;
    kept(&folder).map_err(|error| no_place(&format_args!("{}: {error}", folder.display())))
}

/// The name in the folder, which is made if it is not there. Of several who make it at once the first one wins.
fn kept(folder: &Path) -> std::io::Result<String> {
    let path = folder.join("instance");
    if let Ok(name) = std::fs::read_to_string(&path)
        && !name.trim().is_empty()
    {
        return Ok(name);
    }
    std::fs::create_dir_all(folder)?;
    let name = format!("{:032x}\n", rand::random::<u128>());
    let beside = folder.join(format!("instance.{}", std::process::id()));
    std::fs::write(&beside, &name)?;
    let linked = std::fs::hard_link(&beside, &path);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Ok(()) => Ok(name),
        Err(_) => std::fs::read_to_string(&path),
    }
}

/// A name of what happens to calls.
fn behaviour() -> impl TypedValueParser<Value = Behaviour> {
    clap::builder::NonEmptyStringValueParser::new().try_map(|name| {
        // Any other name would be a user who is answered with an echo.
        let known = Behaviour::of(&name).filter(|known| known.to_string().eq_ignore_ascii_case(&name));
        known.ok_or_else(|| format!("{name} is no behaviour: try echo, tone, silence or busy"))
    })
}

const HOUR: Duration = Duration::from_secs(3600);

pub use super::registering::run;

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &[
            "[OPTIONS] [ADDRESS]",
            "[OPTIONS] --keep | --answer[=NAME] [ADDRESS]",
            "[OPTIONS] --query | --remove | --remove-all [ADDRESS]",
        ],
        sections: &[Section {
            title: "CALLS",
            text: "With --answer calls are taken, and this happens to them:",
            terms: &Behaviour::NAMES,
        }],
        examples: &[
            Example {
                about: "Register an account of the configuration file",
                command: "sip-register --account work",
            },
            Example {
                about: "Stay registered, and answer calls with a tone",
                command: "sip-register --account work --answer=tone",
            },
            Example {
                about: "See what is registered, as JSON",
                command: "sip-register --query --json sip:alice@127.0.0.1:5070",
            },
            Example {
                about: "Have another address rung as well",
                command: "sip-register --contact sip:alice@192.0.2.7 --q 0.5 sip:alice@127.0.0.1:5070",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &str, config: &str) -> Result<Settings, Failure> {
        let args = Args::try_parse_from(format!("test {flags}").split_whitespace()).expect("known flags");
        args.settings(&Config::parse(config).expect("well-formed"))
    }

    const WORK: &str = "[account.work]\nfrom = 'Alice <sip:alice@example.com;x=y>'\nregistrar = 'sip:reg.example.com'\n\
                        expires = '10m'\nproxy = 'sip:proxy.example.com'\noutbound = true\n";

    #[test]
    fn an_account_says_everything() {
        let register = settings("--account work", WORK).expect("complete").register;
        assert_eq!(register.aor.display(), Some("Alice"));
        assert_eq!(register.registrar.as_str(), "sip:reg.example.com");
        assert!(matches!(&register.next, NextHop::Uri(proxy) if proxy.as_str() == "sip:proxy.example.com"));
        let Task::Once { contacts, expires } = register.task else { panic!() };
        assert_eq!((contacts.len(), expires), (1, Duration::from_secs(600)));
        assert_eq!(register.reg_id, Some(1));
        let instance = register.instance.expect("a name");
        assert_eq!(instance.len(), "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6".len(), "{instance}");
        assert_eq!(settings("--account work", WORK).expect("complete").register.instance, Some(instance));
    }

    #[test]
    fn a_name_that_is_made_is_kept() {
        let folder = std::env::temp_dir().join(format!("sipkit-{}-instance", std::process::id()));
        let (first, again) = (kept(&folder), kept(&folder));
        let _ = std::fs::remove_dir_all(&folder);
        let (first, again) = (first.expect("room on the disk"), again.expect("it is there"));
        assert_eq!((first.trim().len(), &first), (32, &again));
        assert_ne!(kept(&folder).expect("room on the disk"), first, "another folder's name is another one");
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn tasks() {
        let task = |flags: &str| settings(flags, "").expect("complete").register.task;
        assert!(matches!(task("--keep sip:a@b"), Task::Keep { .. }));
        assert!(matches!(task("--answer sip:a@b"), Task::Keep { .. }));
        assert!(matches!(task("--query sip:a@b"), Task::Query));
        assert!(matches!(task("--remove-all sip:a@b"), Task::RemoveAll));
        assert!(matches!(task("--remove --contact sip:x@y sip:a@b"), Task::Remove(uris) if uris.len() == 1));
        let own = settings("--remove sip:a@b", "").expect("complete");
        assert!(own.remove_own && matches!(own.register.task, Task::Query));
        let Task::Once { contacts, .. } = task("--contact sip:x@y --contact sip:z@y --q 0.25 sip:a@b") else {
            panic!()
        };
        assert_eq!((contacts.len(), contacts[1].q), (2, Some(250)));
    }

    #[test]
    fn an_address_is_needed_and_gives_the_registrar() {
        let register = settings("sip:alice@192.0.2.1:5070;transport=udp", "").expect("complete").register;
        assert_eq!(register.registrar.as_str(), "sip:192.0.2.1:5070");
        assert!(
            matches!(&register.next, NextHop::Uri(way) if way.as_str() == "sip:192.0.2.1:5070;transport=udp")
        );
        let register = settings("sip:alice@192.0.2.1", "").expect("complete").register;
        assert!(matches!(register.next, NextHop::RequestUri));
        assert!(settings("sip:alice@192.0.2.1 --expires 0s", "").is_err());
        let failure = settings("", "").map(drop).expect_err("nothing to register");
        assert!(failure.to_string().contains("no address to register"), "{failure}");
        for wrong in ["--query --keep sip:a@b", "--query --answer sip:a@b", "--answer=what sip:a@b"] {
            assert!(Args::try_parse_from(format!("test {wrong}").split_whitespace()).is_err(), "{wrong}");
        }
    }
}
