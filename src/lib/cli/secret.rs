//! Passwords: wiped from memory when dropped, never shown.

use std::{
    fmt,
    io::{self, IsTerminal, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A password. `Debug` says nothing of it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// For the digest computation, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first line of a file; `-` is standard input.
    pub fn from_file(path: &Path) -> Result<Self, PasswordError> {
        let text = if path == Path::new("-") {
            read_bounded(io::stdin())
        } else {
            warn_if_others_can_read(path);
            std::fs::File::open(path).and_then(read_bounded)
        };
        let text = text.map_err(|source| PasswordError::File { path: path.into(), source })?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Self::new(line.into())),
            _ => Err(PasswordError::Empty(path.into())),
        }
    }

    /// From the environment (`SIPKIT_PASSWORD`).
    pub fn from_environment() -> Option<Self> {
        std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty()).map(Self::new)
    }

    /// Asks at the terminal, without echo.
    pub fn ask(user: &str) -> Result<Self, PasswordError> {
        if !io::stdin().is_terminal() {
            return Err(PasswordError::Missing(user.into()));
        }
        // Who is interrupted at the prompt has his echo back.
        let _mode = super::terminal::remember();
        let prompt = format!("Password for {}: ", super::printable::Printable(user));
        rpassword::prompt_password(prompt).map(Self::new).map_err(|source| match source.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => PasswordError::Refused,
            _ => PasswordError::Prompt { source },
        })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("{}: its first line is empty, where the password should be", .0.display())]
    Empty(PathBuf),
    #[error("cannot read the password from {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "no password for user {0}; give --password-file FILE, SIPKIT_PASSWORD, or `password` of an account in the \
         configuration file"
    )]
    Missing(String),
    #[error("cannot ask for the password: {source}")]
    Prompt { source: io::Error },
    #[error("no password was given")]
    Refused,
}

/// Says so if the file's mode lets others read it.
pub(super) fn warn_if_others_can_read(path: &Path) {
    if others_can_read(path) {
        let path = path.display();
        tracing::warn!("{path} holds a password and others can read it; chmod 600 {path}");
    }
}

pub(super) fn others_can_read(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o044 != 0)
}

/// A password file that is a device or a film must not fill the memory.
fn read_bounded(file: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    file.take(64 * 1024).read_to_string(&mut text)?;
    Ok(text)
}

/// The environment variable with the password.
pub(super) const PASSWORD_VARIABLE: &str = "SIPKIT_PASSWORD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let password = Password::new("tops3cret".into());
        assert!(!format!("{password:?}").contains("tops3cret"));
        assert_eq!(password.reveal(), "tops3cret");
    }

    #[test]
    fn the_first_line_of_a_file() {
        let path = std::env::temp_dir().join(format!("sipkit-{}-password", std::process::id()));
        for (content, password) in
            [("secret\r\nrest\n", Some("secret")), ("a b ", Some("a b ")), ("\n", None), ("", None)]
        {
            std::fs::write(&path, content).expect("room on the disk");
            let read = Password::from_file(&path).ok();
            assert_eq!(read.as_ref().map(Password::reveal), password, "{content:?}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(others_can_read(&path));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
        assert!(!others_can_read(&path));
        let _ = std::fs::remove_file(&path);
        assert!(matches!(Password::from_file(&path), Err(PasswordError::File { .. })));
    }
}
