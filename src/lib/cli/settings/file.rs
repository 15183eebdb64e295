//! The configuration file as text that is edited: comments, order and white space stay.
//!
//! Every change is read back as a whole before it is written, so a file that was sound stays sound. The new text
//! replaces the old in one step; a file that is made is its owner's alone.

use std::{
    fmt,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};
use zeroize::Zeroizing;

use crate::cli::{
    Event,
    config::{Config, Mistake, keys_of, tables},
    nearest::nearest,
};

/// `TABLE.KEY`, `account.NAME.KEY`, or the front of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl Key {
    /// Whether it names a password, which is never shown.
    pub(super) fn is_password(&self) -> bool {
        self.0.last().is_some_and(|key| key == "password" || key == "ha1")
    }

    /// Whether a value can stand there, not a table.
    fn is_whole(&self) -> bool {
        self.0.len() == self.depth()
    }

    fn depth(&self) -> usize {
        if self.0.first().is_some_and(|table| table == "account") { 3 } else { 2 }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (table, rest) = text.split_once('.').map_or((text, None), |(table, rest)| (table, Some(rest)));
        let known = keys_of(table).ok_or_else(|| KeyError::Table {
            table: table.into(),
            nearest: nearest(table, tables().iter().copied()),
        })?;
        let mut key = vec![table.to_owned()];
        let Some(rest) = rest else { return Ok(Self(key)) };
        // An account may have dots in its name; no key has.
        let name = match rest.rsplit_once('.') {
            Some((account, name)) if table == "account" => {
                key.push(account.to_owned());
                name
            }
            _ if table == "account" => return Ok(Self(vec![table.to_owned(), rest.to_owned()])),
            _ => rest,
        };
        if !known.contains(&name) {
            // An account with a dot in its name, all of it.
            if table == "account" && nearest(name, known.iter().copied()).is_none() {
                return Ok(Self(vec![table.to_owned(), rest.to_owned()]));
            }
            let nearest = nearest(name, known.iter().copied());
            return Err(KeyError::Name { table: key.join("."), name: name.into(), nearest, known });
        }
        key.push(name.to_owned());
        Ok(Self(key))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Why a key is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    Table { table: String, nearest: Option<&'static str> },
    Name { table: String, name: String, nearest: Option<&'static str>, known: &'static [&'static str] },
}

impl std::error::Error for KeyError {}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { table, nearest: Some(nearest) } => {
                write!(f, "there is no table `{table}`; did you mean `{nearest}`?")
            }
            Self::Table { table, nearest: None } => {
                write!(f, "there is no table `{table}`; there are {}", tables().join(", "))
            }
            Self::Name { table, name, nearest: Some(nearest), .. } => {
                write!(f, "there is no key `{name}` in {table}; did you mean `{nearest}`?")
            }
            Self::Name { table, name, nearest: None, known } => {
                write!(f, "there is no key `{name}` in {table}; there are {}", known.join(", "))
            }
        }
    }
}

/// The file's text, to be looked at and changed.
pub(super) struct SettingsFile {
    path: PathBuf,
    text: Zeroizing<String>,
}

impl SettingsFile {
    /// Reads it; one that is not there is empty.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        // What a link leads to is what is changed.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path, text: Zeroizing::new(text) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { path, text: Zeroizing::new(String::new()) })
            }
            Err(source) => Err(FileError::Io { path, source }),
        }
    }

    /// What it says of all keys that begin with `front`, in the order of the file.
    pub(super) fn settings(&self, front: &Key) -> impl Iterator<Item = Event> {
        let mut found = Vec::new();
        // A file that cannot be read is refused before this.
        if let Ok(document) = self.text.parse::<toml_edit::Document<String>>() {
            collect(document.as_table(), &mut Vec::new(), &mut found);
            found.sort_by_key(|(_, _, at)| *at);
            found.retain(|(path, _, _)| path.starts_with(&front.0));
        }
        let line = |at: usize| self.text.get(..at).map(|before| before.matches('\n').count() + 1);
        let setting = |(path, value, at): (Vec<String>, String, usize)| {
            let key = Key(path);
            let value = (!key.is_password()).then_some(value);
            Event::Setting { key: key.to_string(), value, line: line(at) }
        };
        found.into_iter().map(setting).collect::<Vec<_>>().into_iter()
    }

    /// Writes a value: as a string if that is what the key takes, else as TOML says it (`true`, `7`, `["a"]`).
    pub(super) fn set(self, key: &Key, value: &str) -> Result<Self, FileError> {
        if !key.is_whole() {
            return Err(FileError::NoValue(key.clone()));
        }
        let as_text = self.with(key, Value::from(value));
        let mistake = match as_text {
            Ok(text) => return Ok(Self { text, ..self }),
            Err(mistake) => mistake,
        };
        match value.parse::<Value>().map(|value| self.with(key, value)) {
            Ok(Ok(text)) => Ok(Self { text, ..self }),
            _ => Err(FileError::Value { key: key.clone(), mistake }),
        }
    }

    /// Takes a key or an account out.
    pub(super) fn unset(self, key: &Key) -> Result<Self, FileError> {
        let mut document = self.document()?;
        let mut table: &mut dyn TableLike = document.as_table_mut();
        let Some((last, front)) = key.0.split_last() else { return Ok(self) };
        for name in front {
            table = match table.get_mut(name).and_then(Item::as_table_like_mut) {
                Some(table) => table,
                None => return Err(FileError::NotSet(key.clone())),
            };
        }
        if table.remove(last).is_none() {
            return Err(FileError::NotSet(key.clone()));
        }
        Ok(Self { text: Zeroizing::new(document.to_string()), ..self })
    }

    /// Puts the text in the place of the file in one step.
    pub(super) fn save(self) -> Result<(), FileError> {
        let path = self.path;
        let io = |source| FileError::Io { path: path.clone(), source };
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(io)?;
        let mode = std::fs::metadata(&path).map_or(0o600, |there| there.permissions().mode() & 0o777);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        let written = options.write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
            file.write_all(self.text.as_bytes())?;
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written.map_err(io)
    }

    fn document(&self) -> Result<DocumentMut, FileError> {
        // The configuration was read before, by a stricter reader.
        self.text.parse().map_err(|_| FileError::NotToml(self.path.clone()))
    }

    /// The text with that value, if the whole is a configuration then.
    fn with(&self, key: &Key, value: Value) -> Result<Zeroizing<String>, Mistake> {
        // What is no TOML is told by the check below.
        let mut document = self.document().unwrap_or_default();
        let mut table: &mut dyn TableLike = document.as_table_mut();
        let Some((last, front)) = key.0.split_last() else { return Ok(self.text.clone()) };
        for (depth, name) in front.iter().enumerate() {
            let mut new = Table::new();
            // `[account]` itself has nothing to say.
            new.set_implicit(depth + 1 < front.len());
            let item = table.entry(name).or_insert(Item::Table(new));
            if !item.is_table_like() {
                *item = Item::Table(Table::new());
            }
            // It has just been made one.
            let Some(next) = item.as_table_like_mut() else { return Ok(self.text.clone()) };
            table = next;
        }
        match table.get_mut(last) {
            Some(Item::Value(there)) => {
                let decor = there.decor().clone();
                *there = value;
                *there.decor_mut() = decor;
            }
            _ => _ = table.insert(last, Item::Value(value)),
        }
        let text = Zeroizing::new(document.to_string());
        Config::parse(&text).map(|_| text)
    }
}

/// Each value with its path and where it stands.
fn collect(table: &dyn TableLike, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String, usize)>) {
    for (name, item) in table.iter() {
        path.push(name.to_owned());
        if let Some(inner) = item.as_table_like() {
            collect(inner, path, found);
        } else if let Some(value) = item.as_value() {
            let at = value.span().map_or(0, |span| span.start);
            let text =
                value.as_str().map_or_else(|| value.clone().decorated("", "").to_string(), str::to_owned);
            found.push((path.clone(), text, at));
        }
        path.pop();
    }
}

/// Why the file cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no TOML file", .0.display())]
    NotToml(PathBuf),
    #[error("{0} is a table; name one of its keys")]
    NoValue(Key),
    #[error("{0} is not set")]
    NotSet(Key),
    #[error("that is no value for {key}: {}", mistake.kind)]
    Value { key: Key, mistake: Mistake },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SettingsFile {
        SettingsFile { path: "config.toml".into(), text: Zeroizing::new(text.into()) }
    }

    fn key(text: &str) -> Key {
        text.parse().expect("a key")
    }

    #[test]
    fn keys_and_what_is_none() {
        assert_eq!(key("account.work.user").0, ["account", "work", "user"]);
        assert_eq!(key("account.pbx.example.com.user").0, ["account", "pbx.example.com", "user"]);
        assert_eq!(key("account.work").0, ["account", "work"]);
        assert_eq!(key("account.pbx.example").0, ["account", "pbx.example"]);
        for (text, told) in [
            ("default.timeout", "there is no table `default`; did you mean `defaults`?"),
            ("colour.x", "there is no table `colour`; there are defaults, tls, media, account, server"),
            ("defaults.timout", "there is no key `timout` in defaults; did you mean `timeout`?"),
            ("account.work.pasword", "there is no key `pasword` in account.work; did you mean `password`?"),
        ] {
            let error = text.parse::<Key>().expect_err(text);
            assert!(error.to_string().starts_with(told), "{error}");
        }
    }

    #[test]
    fn changes_keep_the_rest_as_it_is() {
        let before =
            "# mine\n[defaults] # all\ntimeout = '20s'  # long\n\n[account.work]\nuser = \"alice\"\n";
        let after = file(before).set(&key("defaults.timeout"), "30s").expect("a duration");
        assert_eq!(*after.text, before.replace("'20s'", "\"30s\""));
        let after = after.set(&key("account.home.from"), "sip:a@b").expect("an address");
        assert!(
            after.text.ends_with("user = \"alice\"\n\n[account.home]\nfrom = \"sip:a@b\"\n"),
            "{}",
            *after.text
        );
        let after = after.unset(&key("account.home")).expect("it is there");
        assert_eq!(*after.text, before.replace("'20s'", "\"30s\""));
        let after = file("").set(&key("media.codec"), "[\"pcmu\", \"pcma\"]").expect("a list");
        assert_eq!(*after.text, "[media]\ncodec = [\"pcmu\", \"pcma\"]\n");
        let dotted =
            file("account.work.user = \"a\"\n").set(&key("account.work.from"), "sip:a@b").expect("set");
        assert!(Config::parse(&dotted.text).is_ok_and(|config| config.account["work"].from.is_some()));
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        for (name, value, told) in [
            ("defaults.timeout", "20", "20 has no unit"),
            ("media.audio", "mic", "that is no value for media.audio: "),
            ("account.work", "x", "account.work is a table; name one of its keys"),
        ] {
            let error = file("[defaults]\n").set(&key(name), value).err().expect(name).to_string();
            assert!(error.contains(told), "{error}");
        }
        let error = file("").unset(&key("defaults.timeout")).err().expect("not there").to_string();
        assert_eq!(error, "defaults.timeout is not set");
    }

    #[test]
    fn passwords_are_not_told() {
        let file =
            file("[server]\nuser = \"a\"\npassword = \"pssst\"\n[account.work]\npassword = \"psst\"\n");
        let told: Vec<_> = file.settings(&Key::default()).map(|setting| setting.to_string()).collect();
        assert_eq!(
            told,
            [
                "server.user = a",
                "server.password is set and not shown",
                "account.work.password is set and not shown"
            ]
        );
        let lines: Vec<_> = file
            .settings(&key("account"))
            .map(|setting| matches!(setting, Event::Setting { line: Some(5), value: None, .. }))
            .collect();
        assert_eq!(lines, [true]);
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        let folder = std::env::temp_dir().join(format!("sipkit-{}-settings", std::process::id()));
        let path = folder.join("deep/config.toml");
        let save = |value: &str| {
            let file = SettingsFile::open(&path).expect("readable");
            file.set(&key("account.work.user"), value)
                .and_then(SettingsFile::save)
                .expect("room on the disk");
            std::fs::metadata(&path).expect("there").permissions().mode() & 0o777
        };
        assert_eq!(save("alice"), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("ours");
        assert_eq!(save("bob"), 0o640, "the owner's choice stays");
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some("[account.work]\nuser = \"bob\"\n"));
        assert_eq!(
            std::fs::read_dir(path.parent().expect("a folder")).expect("there").count(),
            1,
            "nothing beside it"
        );
        let _ = std::fs::remove_dir_all(folder);
    }
}
