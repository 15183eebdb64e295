//! What flags, environment and configuration file say together: flag > environment > account > defaults.
//!
//! The environment is read by the flags themselves (`env` in [`args`]), so two sources are left here.

use std::time::Duration;

use crate::{auth, resolve::system, transport::Protocol};

use super::{
    args,
    config::{self, Config},
    failure::Failure,
    nearest::nearest,
    secret::Password,
    value::{Audio, Codec, DigestAlgorithm, LocalAddress, PortRange},
};

/// Who we are, and which way our requests go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Our address of record; None: made from the login name and the route.
    pub from: Option<String>,
    pub display_name: Option<String>,
    /// For authentication; None: only what needs none.
    pub credentials: Option<Credentials>,
    /// Answers challenges with this algorithm only.
    pub auth_alg: Option<DigestAlgorithm>,
    pub proxy: Option<String>,
    pub registration: Registration,
    pub local: Option<LocalAddress>,
    /// Of the first hop.
    pub transport: Option<Protocol>,
    /// The same if the command line or the environment says so.
    pub asked_transport: Option<Protocol>,
    /// Who knows names.
    pub resolver: system::Config,
    /// Where documents are.
    pub xcap_root: Option<String>,
    /// Whose documents, if not our own.
    pub xcap_user: Option<String>,
}

/// What the configuration says of registering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    pub registrar: Option<String>,
    pub expires: Option<Duration>,
    pub outbound: bool,
    pub gruu: bool,
    /// Names this device.
    pub instance: Option<String>,
}

/// What answers a digest challenge.
#[derive(Clone, Debug, PartialEq)]
pub struct Credentials {
    pub user: String,
    pub password: Password,
    /// The password is a hash: `[ALGORITHM:]HEX`.
    pub hashed: bool,
    /// Where it is good; None: everywhere.
    pub realm: Option<String>,
}

impl Credentials {
    pub fn new(user: String, password: Password) -> Self {
        Self { user, password, hashed: false, realm: None }
    }

    /// For the digest computation.
    pub fn login(&self) -> Result<auth::Login, Failure> {
        let login = auth::Login::new(self.user.clone(), "");
        let secret = if self.hashed { hash(self.password.reveal())? } else { self.secret() };
        Ok(auth::Login { secret, realm: self.realm.clone(), ..login })
    }

    fn secret(&self) -> auth::Secret {
        auth::Secret::new(self.password.reveal())
    }
}

/// `[ALGORITHM:]HEX`; without the name 32 digits are MD5 and 64 SHA-256.
pub(super) fn hash(text: &str) -> Result<auth::Secret, Failure> {
    let (name, hex) = text.split_once(':').map_or((None, text), |(name, hex)| (Some(name), hex));
    let algorithm = match name {
        Some(name) => auth::Algorithm::parse(name.trim()),
        None if hex.len() == 32 => Some(auth::Algorithm::Md5),
        None => Some(auth::Algorithm::Sha256),
    };
    let secret = algorithm.and_then(|algorithm| auth::Secret::ha1(algorithm, hex.trim()));
    secret.ok_or_else(|| {
        Failure::usage("that is no hash (ha1)").hint(
            "write the hash of user:realm:password in hex, 32 digits for MD5, 64 for SHA-256, or before it another \
             algorithm and a colon",
        )
    })
}

impl Account {
    /// Asks for the password at the terminal if a user is named and no password is found.
    pub fn resolve(identity: &args::Identity, route: &args::Route, config: &Config) -> Result<Self, Failure> {
        let defaults = &config.defaults;
        let name = identity.account.as_ref().or(defaults.account.as_ref());
        let nothing = config::Account::default();
        let account = match name {
            None => &nothing,
            Some(name) => config.account.get(name).ok_or_else(|| unknown_account(name, config))?,
        };
        let first = |choices: [&Option<String>; 3]| choices.into_iter().find_map(Clone::clone);
        let from = first([&identity.from, &account.from, &defaults.from]);
        let password = find_password(identity, account)?;
        let user = first([&identity.user, &account.user, &None]);
        let hashed = password.is_none() && account.ha1.is_some();
        let password = password.or_else(|| account.ha1.clone());
        let complete = |user, password| {
            // Of another realm nothing is known where the password was given beside the account.
            let realm = account.realm.clone().filter(|_| identity.password_file.is_none());
            Some(Credentials { hashed, realm, ..Credentials::new(user, password) })
        };
        let credentials = match (user, password) {
            (Some(user), Some(password)) => complete(user, password),
            (Some(user), None) => {
                let password = Password::ask(&user).map_err(Failure::usage)?;
                complete(user, password)
            }
            (None, Some(password)) => {
                let user = from.as_deref().and_then(user_part).ok_or_else(|| {
                    Failure::usage("there is a password and no user name").hint("give --user or --from")
                })?;
                complete(user.into(), password)
            }
            (None, None) => None,
        };
        Ok(Self {
            from,
            display_name: first([&identity.display_name, &account.display_name, &defaults.display_name]),
            credentials,
            auth_alg: identity.auth_alg.or(account.auth_alg),
            proxy: first([&route.proxy, &account.proxy, &defaults.proxy]),
            registration: Registration {
                registrar: account.registrar.clone(),
                expires: account.expires,
                outbound: account.outbound.unwrap_or(false),
                gruu: account.gruu.unwrap_or(false),
                instance: account.instance.clone(),
            },
            local: route.local.or(account.local).or(defaults.local),
            asked_transport: route.transport,
            transport: route.transport.or(account.transport).or(defaults.transport),
            resolver: resolver(&route.dns, config),
            xcap_root: account.xcap_root.clone(),
            xcap_user: account.xcap_user.clone(),
        })
    }

    /// What answers challenges.
    pub fn auth(&self) -> Result<auth::Client, Failure> {
        let logins = self.credentials.iter().map(Credentials::login).collect::<Result<_, _>>()?;
        Ok(auth::Client::new(logins).only(self.auth_alg.map(DigestAlgorithm::auth)))
    }
}

/// The DNS servers of the flag or of the file, else the system's.
#[cfg(feature = "dns")]
pub fn resolver(dns: &args::Dns, config: &Config) -> system::Config {
    let servers = match (dns.dns.as_slice(), &config.defaults.dns) {
        ([], Some(servers)) => servers,
        (servers, _) => servers,
    };
    system::Config { servers: servers.iter().map(|server| server.0).collect() }
}

/// Without the DNS only the system can be asked.
#[cfg(not(feature = "dns"))]
pub fn resolver(_: &args::Dns, _: &Config) -> system::Config {
    system::Config::default()
}

fn find_password(identity: &args::Identity, account: &config::Account) -> Result<Option<Password>, Failure> {
    if let Some(path) = &identity.password_file {
        return Password::from_file(path).map(Some).map_err(Failure::usage);
    }
    if let Some(password) = Password::from_environment().or_else(|| account.password.clone()) {
        return Ok(Some(password));
    }
    account.password_file.as_deref().map(Password::from_file).transpose().map_err(Failure::usage)
}

fn unknown_account(name: &str, config: &Config) -> Failure {
    let failure = Failure::usage(format_args!("the configuration file has no [account.{name}]"));
    match nearest(name, config.account.keys().map(String::as_str)) {
        Some(nearest) => failure.hint(format_args!("did you mean {nearest}?")),
        None => failure,
    }
}

/// The user of `sip:user@host` or `"Name" <sip:user@host>`; the address itself is judged by who uses it.
fn user_part(uri: &str) -> Option<&str> {
    let uri = uri.rsplit_once('<').map_or(uri, |(_, uri)| uri);
    let (user, _) = uri.split_once('@')?;
    let user = user.split_once(':').map_or(user, |(_, user)| user);
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    (!user.is_empty()).then_some(user)
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTimes {
    pub ring_timeout: Duration,
    /// From the answer; None: until somebody hangs up.
    pub duration: Option<Duration>,
}

impl CallTimes {
    pub fn resolve(times: &args::CallTimes, config: &Config) -> Self {
        let defaults = &config.defaults;
        Self {
            ring_timeout: times.ring_timeout.or(defaults.ring_timeout).unwrap_or(RING_TIMEOUT),
            duration: times.duration.or(defaults.duration),
        }
    }
}

/// A phone that nobody answers is left alone after this; scripts must come to an end.
const RING_TIMEOUT: Duration = Duration::from_secs(60);

/// The audio of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// None: the sound card, or silence if there is none.
    pub audio: Option<Audio>,
    /// Empty: all there are.
    pub codecs: Vec<Codec>,
    pub rtp_ports: Option<PortRange>,
}

impl Media {
    pub fn resolve(media: &args::Media, config: &Config) -> Self {
        let codecs = match media.codec.is_empty() {
            true => config.media.codec.clone().unwrap_or_default(),
            false => media.codec.clone(),
        };
        Self {
            audio: media.audio.clone().or_else(|| config.media.audio.clone()),
            codecs,
            rtp_ports: media.ports.rtp_ports.or(config.media.rtp_ports),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        identity: args::Identity,
        #[command(flatten)]
        route: args::Route,
    }

    fn resolve(flags: &str) -> Result<Account, Failure> {
        let config = Config::parse(
            r#"
            [defaults]
            account = "work"
            from = "sip:nobody@example.net"
            proxy = "sip:default.example.net"
            [account.work]
            from = "sip:alice@example.com"
            user = "alice"
            password = "work-secret"
            proxy = "sip:work.example.com"
            [account.home]
            password = "home-secret"
            "#,
        )
        .expect("well-formed");
        let flags = Flags::try_parse_from(format!("test {flags}").split_whitespace()).expect("known flags");
        Account::resolve(&flags.identity, &flags.route, &config)
    }

    #[test]
    fn flag_before_account_before_defaults() {
        let account = resolve("").expect("complete");
        assert_eq!(account.from.as_deref(), Some("sip:alice@example.com"));
        assert_eq!(account.proxy.as_deref(), Some("sip:work.example.com"));
        let account = resolve("--from sip:bob@example.com --proxy sip:p --user bob").expect("complete");
        assert_eq!(account.from.as_deref(), Some("sip:bob@example.com"));
        assert_eq!(account.proxy.as_deref(), Some("sip:p"));
        let credentials = account.credentials.expect("the account's password");
        assert_eq!((credentials.user.as_str(), credentials.password.reveal()), ("bob", "work-secret"));
        let account = resolve("--account home --from sip:carol:x@example.com").expect("complete");
        assert_eq!(account.proxy.as_deref(), Some("sip:default.example.net"));
        assert_eq!(account.credentials.map(|c| c.user).as_deref(), Some("carol"), "the user of --from");
    }

    #[cfg(feature = "dns")]
    #[test]
    fn dns_servers_come_from_the_flag_or_the_file() {
        let servers = |flags: &str, file: &str| -> Vec<String> {
            let flags =
                Flags::try_parse_from(format!("test {flags}").split_whitespace()).expect("known flags");
            let config = Config::parse(file).expect("well-formed");
            let resolver = super::resolver(&flags.route.dns, &config);
            resolver.servers.iter().map(ToString::to_string).collect()
        };
        let file = "[defaults]\ndns = [\"192.0.2.9\", \"[::1]:5353\"]";
        assert!(servers("", "").is_empty(), "the system's");
        assert_eq!(servers("", file), ["192.0.2.9:53", "[::1]:5353"]);
        assert_eq!(servers("--dns 192.0.2.1", file), ["192.0.2.1:53"]);
        assert_eq!(
            servers("--dns ::1,192.0.2.1:54 --dns 192.0.2.2", file),
            ["[::1]:53", "192.0.2.1:54", "192.0.2.2:53"]
        );
    }

    #[test]
    fn an_unknown_account_is_named_with_the_nearest() {
        let failure = resolve("--account hmoe").expect_err("no such account");
        assert_eq!(failure.to_string(), "the configuration file has no [account.hmoe]; did you mean home?");
    }

    #[test]
    fn a_hash_stands_for_the_password() {
        let login = |text: &str| {
            let password = Password::new(text.into());
            Credentials { hashed: true, ..Credentials::new("alice".into(), password) }.login()
        };
        let (md5, sha) = ("0123456789abcdef".repeat(2), "0123456789abcdef".repeat(4));
        for (text, algorithm) in [
            (md5.clone(), auth::Algorithm::Md5),
            (sha.clone(), auth::Algorithm::Sha256),
            (format!("sha-512-256: {sha}"), auth::Algorithm::Sha512_256),
        ] {
            let secret = login(&text).expect("a hash").secret;
            let serves: Vec<_> = auth::Algorithm::ALL.into_iter().filter(|a| secret.serves(*a)).collect();
            assert_eq!(serves[0], algorithm, "{text}");
        }
        for text in ["", "secret", "MD5:secret", "ROT13:00"] {
            assert!(login(text).is_err(), "{text}");
        }
    }

    #[test]
    fn users_of_addresses() {
        for (uri, user) in [
            ("sip:alice@example.com", Some("alice")),
            ("alice@example.com", Some("alice")),
            ("\"A <b>\" <sip:alice:pw@example.com;x=y>", Some("alice")),
            ("sip:example.com", None),
            ("sip:@example.com", None),
        ] {
            assert_eq!(user_part(uri), user, "{uri}");
        }
    }
}
