//! The configuration file: TOML, one for all programs, every key named like the flag it stands for.
//!
//! `[defaults]`, `[tls]`, `[media]`, `[server]` and any number of `[account.NAME]`. Order: flag > environment > account >
//! defaults. A key nobody knows is an error that says where it is and which one was probably meant; nothing in the
//! file is ignored.

use std::{
    collections::BTreeMap,
    fmt, io,
    num::NonZeroU16,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use toml::de::DeTable;
use zeroize::Zeroizing;

#[cfg(feature = "dns")]
use super::value::DnsServer;
use super::{
    account,
    hep::HepServer,
    metrics::MetricsAddress,
    nearest::nearest,
    place,
    proxy::{HopUri, RouteRule},
    secret::{self, Password},
    value::{
        Audio, Codec, DigestAlgorithm, EventState, ListenAddress, LocalAddress, PortRange, parse_duration,
    },
};
use crate::{
    message::Scheme,
    phone::events::{List, Rule},
    transport::{Protocol, tls::Version},
};

/// Everything the file may say; what it does not say is `None` or empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    pub defaults: Defaults,
    pub tls: Tls,
    pub media: Media,
    pub account: BTreeMap<String, Account>,
    pub server: Server,
    pub proxy: Proxy,
}

/// `[defaults]`: for every program that has the flag.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Defaults {
    /// The account used when none is named.
    pub account: Option<String>,
    #[serde(deserialize_with = "address")]
    pub from: Option<String>,
    pub display_name: Option<String>,
    #[serde(deserialize_with = "uri")]
    pub proxy: Option<String>,
    #[serde(deserialize_with = "text")]
    pub local: Option<LocalAddress>,
    #[serde(deserialize_with = "text")]
    pub transport: Option<Protocol>,
    #[cfg(feature = "dns")]
    #[serde(deserialize_with = "text_list")]
    pub dns: Option<Vec<DnsServer>>,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub ring_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub duration: Option<Duration>,
}

/// `[tls]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    #[serde(deserialize_with = "text_list")]
    pub ca: Option<Vec<PathBuf>>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub min: Option<Version>,
}

/// `[media]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Media {
    #[serde(deserialize_with = "text")]
    pub audio: Option<Audio>,
    #[serde(deserialize_with = "text_list")]
    pub codec: Option<Vec<Codec>>,
    #[serde(deserialize_with = "text")]
    pub rtp_ports: Option<PortRange>,
}

/// `[account.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Account {
    #[serde(deserialize_with = "address")]
    pub from: Option<String>,
    pub user: Option<String>,
    pub password: Option<Password>,
    pub password_file: Option<PathBuf>,
    /// In place of the password: `[ALGORITHM:]` and the hash of user, realm and password in hex.
    #[serde(deserialize_with = "hash")]
    pub ha1: Option<Password>,
    /// The password is for this realm only.
    pub realm: Option<String>,
    #[serde(deserialize_with = "text")]
    pub auth_alg: Option<DigestAlgorithm>,
    pub display_name: Option<String>,
    #[serde(deserialize_with = "uri")]
    pub proxy: Option<String>,
    #[serde(deserialize_with = "uri")]
    pub registrar: Option<String>,
    #[serde(deserialize_with = "duration")]
    pub expires: Option<Duration>,
    pub outbound: Option<bool>,
    pub gruu: Option<bool>,
    #[serde(deserialize_with = "urn")]
    pub instance: Option<String>,
    /// Where documents are: an XCAP root.
    #[serde(deserialize_with = "xcap_root")]
    pub xcap_root: Option<String>,
    /// Whose they are, if not those of `from`: an XUI.
    pub xcap_user: Option<String>,
    #[serde(deserialize_with = "text")]
    pub local: Option<LocalAddress>,
    #[serde(deserialize_with = "text")]
    pub transport: Option<Protocol>,
}

/// `[server]`: for programs that answer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    #[serde(deserialize_with = "text_list")]
    pub listen: Option<Vec<ListenAddress>>,
    pub realm: Option<String>,
    pub user: Option<String>,
    pub password: Option<Password>,
    pub password_file: Option<PathBuf>,
    #[serde(deserialize_with = "text_list")]
    pub auth_alg: Option<Vec<DigestAlgorithm>>,
    #[serde(deserialize_with = "duration")]
    pub nonce_lifetime: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub min_expires: Option<Duration>,
    #[serde(deserialize_with = "text")]
    pub rtp_ports: Option<PortRange>,
    /// Calls are answered, and have no media.
    pub no_media: Option<bool>,
    /// Single calls and requests are not reported.
    pub quiet: Option<bool>,
    /// What subscriptions are told as long as nothing is published.
    #[serde(deserialize_with = "texts")]
    pub event: Option<Vec<EventState>>,
    #[serde(deserialize_with = "texts")]
    pub list: Option<Vec<List>>,
    /// Who may watch.
    #[serde(deserialize_with = "texts")]
    pub watcher: Option<Vec<Rule>>,
}

/// `[proxy]`: for programs that forward.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proxy {
    #[serde(deserialize_with = "text_list")]
    pub listen: Option<Vec<ListenAddress>>,
    #[serde(deserialize_with = "texts")]
    pub next_hop: Option<Vec<HopUri>>,
    #[serde(deserialize_with = "texts")]
    pub route: Option<Vec<RouteRule>>,
    #[serde(deserialize_with = "text_list")]
    pub domain: Option<Vec<String>>,
    pub record_route: Option<bool>,
    #[serde(deserialize_with = "duration")]
    pub probe: Option<Duration>,
    pub flow_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "text_or_number")]
    pub metrics: Option<MetricsAddress>,
    pub shards: Option<NonZeroU16>,
    #[serde(deserialize_with = "text")]
    pub hep: Option<HepServer>,
    pub hep_id: Option<u32>,
    pub hep_password_file: Option<PathBuf>,
}

impl Config {
    /// The file named, or else the one in its usual place if it is there.
    /// One that is named must be there, unless it is about to be made.
    pub fn load(named: Option<&Path>, is_made: bool) -> Result<Self, ConfigError> {
        let path = match named {
            Some(path) if is_made && !path.exists() => return Ok(Self::default()),
            Some(path) => path.to_owned(),
            None => match usual_path() {
                Some(path) if path.exists() => path,
                _ => return Ok(Self::default()),
            },
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let config =
            Self::parse(&text).map_err(|mistake| ConfigError::Mistake { path: path.clone(), mistake })?;
        if config.holds_a_password() {
            secret::warn_if_others_can_read(&path);
        }
        Ok(config)
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let document = DeTable::parse(text).map_err(|error| Mistake::of_toml(text, &error))?;
        check_keys(text, document.get_ref())?;
        toml::from_str(text).map_err(|error| Mistake::of_toml(text, &error))
    }

    fn holds_a_password(&self) -> bool {
        let holds = |account: &Account| account.password.is_some() || account.ha1.is_some();
        self.server.password.is_some() || self.account.values().any(holds)
    }
}

/// `$XDG_CONFIG_HOME/sipkit/config.toml`, by default below `~/.config`.
pub fn usual_path() -> Option<PathBuf> {
    // A relative path there is to be ignored (XDG Base Directory Specification).
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match base {
        Some(base) => base,
        None => PathBuf::from(std::env::var_os("HOME")?).join(".config"),
    };
    Some(base.join("sipkit").join("config.toml"))
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}:{mistake}", path.display())]
    Mistake { path: PathBuf, mistake: Mistake },
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

/// What is wrong in the text, and where: line and column from 1, the column in characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct Mistake {
    pub line: usize,
    pub column: usize,
    pub kind: MistakeKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MistakeKind {
    /// The TOML itself, or a value: in the words of who read it.
    #[error("{0}")]
    Malformed(String),
    #[error("unknown key `{key}` in {table}; did you mean `{nearest}`?")]
    Misspelt { key: String, table: String, nearest: &'static str },
    #[error("unknown key `{key}` in {table}; known are {}", known.join(", "))]
    Unknown { key: String, table: String, known: &'static [&'static str] },
}

impl Mistake {
    fn new(text: &str, at: usize, kind: MistakeKind) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { line, column, kind }
    }

    fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        // One line: the place is told by us.
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Self::new(text, at, MistakeKind::Malformed(message))
    }
}

/// Refuses keys that no struct here has, before the values are looked at.
fn check_keys(text: &str, document: &DeTable<'_>) -> Result<(), Mistake> {
    check_table(text, "the file", field_names::<Config>(), document)?;
    for (name, value) in document {
        let Some(table) = value.get_ref().as_table() else { continue };
        let name = name.get_ref().as_ref();
        let known = keys_of(name).unwrap_or_default();
        if name == "account" {
            for (account, value) in table {
                let Some(table) = value.get_ref().as_table() else { continue };
                let title = format!("[account.{}]", account.get_ref());
                check_table(text, &title, known, table)?;
            }
            continue;
        }
        check_table(text, &format!("[{name}]"), known, table)?;
    }
    Ok(())
}

fn check_table(
    text: &str,
    title: &str,
    known: &'static [&'static str],
    table: &DeTable<'_>,
) -> Result<(), Mistake> {
    let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
    // The first one in the file, not in the alphabet.
    let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
    let name = key.get_ref().to_string();
    let table = title.to_owned();
    let kind = match nearest(&name, known.iter().copied()) {
        Some(nearest) => MistakeKind::Misspelt { key: name, table, nearest },
        None => MistakeKind::Unknown { key: name, table, known },
    };
    Err(Mistake::new(text, key.span().start, kind))
}

/// The keys of a table, by its name; of an account's for "account".
pub(super) fn keys_of(table: &str) -> Option<&'static [&'static str]> {
    Some(match table {
        "defaults" => field_names::<Defaults>(),
        "tls" => field_names::<Tls>(),
        "media" => field_names::<Media>(),
        "account" => field_names::<Account>(),
        "server" => field_names::<Server>(),
        "proxy" => field_names::<Proxy>(),
        _ => return None,
    })
}

/// The tables of the file.
pub(super) fn tables() -> &'static [&'static str] {
    field_names::<Config>()
}

/// The field names of a struct, from its own `Deserialize`, so that they are written once.
pub(super) fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Asked<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("only structs are asked"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(de::Error::custom("that was all"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(Asked(&mut names));
    names
}

/// A value with a `FromStr`, written as a string.
fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// The same for what may be nothing but a number.
fn text_or_number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string or a number is wanted")]
    enum Value {
        Text(String),
        Number(u64),
    }

    let text = match Value::deserialize(deserializer)? {
        Value::Text(text) => text,
        Value::Number(number) => number.to_string(),
    };
    text.parse().map(Some).map_err(de::Error::custom)
}

/// Text that is checked and kept as it is written: who needs it reads it again.
fn checked<'de, D: Deserializer<'de>, E: fmt::Display>(
    deserializer: D,
    check: impl FnOnce(&str) -> Result<(), E>,
) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    check(&text).map_err(de::Error::custom)?;
    Ok(Some(text))
}

fn uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |text| place::uri(text, "the URI").map(drop))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |text| {
        let address = place::address(text, "the address")?;
        let scheme = address.as_uri().scheme();
        match scheme == Scheme::Tel {
            true => Ok(()),
            false => place::uri(address.uri().as_str(), "the address").map(drop),
        }
    })
}

fn xcap_root<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |text| crate::xcap::Resource::root(text).map(drop))
}

/// RFC 8141; a device's name goes between quotation marks and angle brackets (RFC 5626 §4.1).
fn urn<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |text| {
        let is_urn = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
        let is_plain = text.bytes().all(|octet| octet.is_ascii_graphic() && !b"\"<>\\".contains(&octet));
        match is_urn && is_plain {
            true => Ok(()),
            false => Err("a URN is wanted, such as urn:uuid:00000000-0000-1000-8000-000A95A0E128"),
        }
    })
}

/// The value itself is not told.
fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Password>, D::Error> {
    let password = Password::deserialize(deserializer)?;
    account::hash(password.reveal()).map_err(de::Error::custom)?;
    Ok(Some(password))
}

/// One string, or a list of them; each may hold several, as on the command line: `"opus,pcma"`.
fn text_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let texts = Texts::deserialize(deserializer)?.into_vec();
    let values = texts.iter().flat_map(|text| text.split(',')).map(|text| text.trim().parse());
    values.collect::<Result<_, _>>().map(Some).map_err(de::Error::custom)
}

/// One string, or a list of them, each as it is: commas belong to the value.
fn texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let texts = Texts::deserialize(deserializer)?.into_vec();
    texts
        .iter()
        .map(|text| text.trim().parse())
        .collect::<Result<_, _>>()
        .map(Some)
        .map_err(de::Error::custom)
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a string or a list of strings is wanted")]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        Config::parse(text).expect_err("a mistake").to_string()
    }

    #[test]
    fn a_whole_file() {
        let config = Config::parse(
            r#"
            [defaults]
            account = "work"
            ring-timeout = "20s"
            local = "127.0.0.1:5062"
            [tls]
            ca = ["a.pem", "b.pem"]
            min = "1.3"
            [media]
            audio = "tone:440"
            codec = ["pcmu", "pcma"]
            rtp-ports = "20000-20100"
            [account.work]
            from = "sip:alice@example.com"
            user = "alice"
            password = "secret"
            [account.home]
            password-file = "/home/alice/.sip"
            [server]
            listen = "127.0.0.1:5070, [::1]:5070"
            auth-alg = "sha-256"
            "#,
        )
        .expect("well-formed");
        assert_eq!(config.defaults.ring_timeout, Some(Duration::from_secs(20)));
        assert_eq!(config.tls.ca.as_ref().map(Vec::len), Some(2));
        assert_eq!(config.tls.min, Some(Version::Tls13));
        assert_eq!(config.media.audio, Some(Audio::Tone(440.0)));
        assert_eq!(config.media.codec.as_ref().map(Vec::len), Some(2));
        assert_eq!(config.account["work"].password.as_ref().map(Password::reveal), Some("secret"));
        assert_eq!(config.server.listen.as_ref().map(Vec::len), Some(2));
        assert_eq!(config.server.auth_alg, Some(vec![DigestAlgorithm::Sha256]));
        assert!(config.holds_a_password());
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn mistakes_have_line_column_and_the_nearest_key() {
        for (text, message) in [
            (
                "[server]\nlisten = \"::1\"\n  lisen = 1\n",
                "3:3: unknown key `lisen` in [server]; did you mean `listen`?",
            ),
            ("[sever]\n", "1:2: unknown key `sever` in the file; did you mean `server`?"),
            (
                "[account.work]\npasword = \"x\"",
                "2:1: unknown key `pasword` in [account.work]; did you mean `password`?",
            ),
            ("account.work.ussr = \"x\"", "1:14: unknown key `ussr` in [account.work]; did you mean `user`?"),
            (
                "[media]\ncolour = 1",
                "2:1: unknown key `colour` in [media]; known are audio, codec, rtp-ports",
            ),
            ("[defaults]\ntimeout = \"20\"", "2:11: 20 has no unit: write 20s for seconds, or ms, m, h"),
        ] {
            assert_eq!(mistake(text), message);
        }
        for (text, place) in [
            ("[defaults]\nfrom = sip", "2:8: "),
            ("[defaults]\nfrom = 7", "2:8: "),
            ("defaults = 7", "1:12: "),
            ("[account]\nwork = 1", "2:8: "),
            ("[media]\naudio = \"mic\"", "2:9: "),
            ("[defaults]\nproxy = \"sip:\"", "2:9: the URI sip:"),
            (
                "[defaults]\nproxy = \"http://192.0.2.1\"",
                "2:9: the URI http://192.0.2.1: the scheme http is not known",
            ),
            ("[account.a]\nregistrar = \"sip:a;transport=sctp\"", "2:13: "),
            ("[account.a]\nfrom = \"alice at home\"", "2:8: the address alice at home: "),
            ("[account.a]\nfrom = \"http://alice@home\"", "2:8: the address http://alice@home: "),
            ("[account.a]\nha1 = \"secret\"", "2:7: that is no hash"),
            ("[account.a]\nha1 = \"0123456789abcdef0123456789abcdeg\"", "2:7: that is no hash"),
            ("[account.a]\ninstance = \"me\"", "2:12: a URN is wanted"),
            ("[media]\ncodec = [\"pcmu\", \"g729\"]", "2:9: "),
            ("[media]\ncodec = 7", "2:9: "),
            ("[defaults", "1:10: "),
            ("é = \"\"\n", "1:1: "),
        ] {
            let message = mistake(text);
            assert!(message.starts_with(place), "{text:?}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn any_text_is_a_configuration_or_a_mistake() {
        for text in
            ["\u{0}", "[", "a=", "[[account]]", "account=[]", "[account.\"\"]\n", "\u{feff}[media]", "x\r"]
        {
            let _ = Config::parse(text);
        }
    }
}
