//! The secrets of connections for who may read along: the capture, and the file that `SSLKEYLOGFILE` names.
//!
//! In the key log format of NSS, a line for each secret: label, client random, secret, the latter two in hexadecimal.
//! Nothing is kept here.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::KeyLog;
use zeroize::Zeroizing;

use super::super::Tap;

/// Passes secrets on. Without a tap and without the variable, rustls is told not to bother.
pub(super) struct Secrets {
    file: Option<Mutex<File>>,
    tap: Option<Arc<dyn Tap>>,
}

impl Secrets {
    /// A file that cannot be opened is told in a warning: the connection is what matters.
    pub fn new(tap: Option<Arc<dyn Tap>>) -> Self {
        let path = std::env::var_os("SSLKEYLOGFILE").filter(|path| !path.is_empty());
        let file = path.and_then(|path| {
            let opened = open(&path);
            opened.map_err(|error| tracing::warn!("SSLKEYLOGFILE: cannot write {path:?}: {error}")).ok()
        });
        Self { file: file.map(Mutex::new), tap }
    }
}

/// Others have no business with it. What is there already is kept: several programs may share the file.
fn open(path: &std::ffi::OsStr) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let length = label.len() + 3 + 2 * (client_random.len() + secret.len());
        let mut line = Zeroizing::new(String::with_capacity(length));
        line.push_str(label);
        for octets in [client_random, secret] {
            line.push(' ');
            octets.iter().for_each(|octet| push_hex(&mut line, *octet));
        }
        if let Some(tap) = &self.tap {
            tap.secret(&line);
        }
        if let Some(file) = &self.file {
            line.push('\n');
            // One write for a line, so that programs that share the file do not mix theirs.
            let written = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
            if let Err(error) = written {
                tracing::warn!("SSLKEYLOGFILE: {error}");
            }
        }
    }

    fn will_log(&self, _: &str) -> bool {
        self.file.is_some() || self.tap.is_some()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, tap } = self;
        f.debug_struct("Secrets").field("file", &file.is_some()).field("tap", &tap.is_some()).finish()
    }
}

fn push_hex(line: &mut String, octet: u8) {
    for nibble in [octet >> 4, octet & 15] {
        line.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
    }
}
