//! Keys while a call is up: digits send DTMF, space holds, m mutes, q hangs up, ? lists them.

use std::{
    io::{self, Read},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;

use super::terminal::KeyMode;

/// One key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `0`–`9`, `*`, `#`, `A`–`D`: to be sent as DTMF.
    Digit(char),
    /// Space: hold, or resume.
    Hold,
    /// `m`: stop sending audio, or send it again.
    Mute,
    /// `q`: hang up.
    HangUp,
    /// `?`: list the keys.
    List,
}

impl Key {
    /// What [`Key::List`] shows.
    pub const HELP: &str =
        "keys: 0-9 * # A-D send DTMF · space hold/resume · m mute · q hang up · ? this list";

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D' => Some(Self::Digit(byte.into())),
            b' ' => Some(Self::Hold),
            b'm' | b'M' => Some(Self::Mute),
            b'q' | b'Q' => Some(Self::HangUp),
            b'?' | b'h' => Some(Self::List),
            _ => None,
        }
    }
}

/// Keys as they are pressed; the terminal is in key mode as long as this lives.
#[derive(Debug)]
pub struct Keys {
    pressed: mpsc::Receiver<Key>,
    ended: Arc<AtomicBool>,
    _mode: KeyMode,
}

impl Keys {
    /// `None` if standard input is no terminal of ours.
    pub fn open() -> Option<Self> {
        let mode = KeyMode::enter()?;
        let (sender, pressed) = mpsc::channel(32);
        let ended = Arc::new(AtomicBool::new(false));
        let read = {
            let ended = Arc::clone(&ended);
            move || read_keys(&sender, &ended)
        };
        thread::Builder::new().name("keys".into()).spawn(read).ok()?;
        Some(Self { pressed, ended, _mode: mode })
    }

    /// The next key; waits for ever once standard input has ended. Cancel-safe.
    pub async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn read_keys(pressed: &mpsc::Sender<Key>, ended: &AtomicBool) {
    let stdin = io::stdin();
    let mut chunk = [0; 64];
    while !ended.load(Ordering::Relaxed) {
        // Woken now and then, so that a key typed after the call is left for the shell.
        let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(200u8)) {
            Ok(0) | Err(nix::Error::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let length = match stdin.lock().read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        for key in meant(chunk.get(..length).unwrap_or_default()) {
            // Full: the program is far behind, and a lost key is better than one that acts a minute later.
            let _ = pressed.try_send(key);
        }
    }
}

/// The keys among the bytes that were typed, leaving out the sequences of arrow and function keys (ECMA-48 §5.4:
/// ESC, `[`, parameters, one final byte), whose letters are not meant. A sequence comes in one piece.
fn meant(typed: &[u8]) -> impl Iterator<Item = Key> {
    let mut sequence = Sequence::None;
    typed.iter().filter_map(move |&byte| {
        let (next, is_key) = match (sequence, byte) {
            (_, 0x1b) => (Sequence::Escape, false),
            (Sequence::None, _) => (Sequence::None, true),
            (Sequence::Escape, b'[' | b'O') => (Sequence::Parameters, false),
            (Sequence::Parameters, 0x20..0x40) => (Sequence::Parameters, false),
            (Sequence::Escape | Sequence::Parameters, _) => (Sequence::None, false),
        };
        sequence = next;
        if is_key { Key::from_byte(byte) } else { None }
    })
}

#[derive(Clone, Copy)]
enum Sequence {
    None,
    /// After ESC.
    Escape,
    /// After `ESC [` or `ESC O`.
    Parameters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_list_says() {
        let keys: Vec<_> = b"1*#A mq?z\x03".iter().map(|&b| Key::from_byte(b)).collect();
        assert_eq!(
            keys,
            [
                Some(Key::Digit('1')),
                Some(Key::Digit('*')),
                Some(Key::Digit('#')),
                Some(Key::Digit('A')),
                Some(Key::Hold),
                Some(Key::Mute),
                Some(Key::HangUp),
                Some(Key::List),
                None,
                None
            ]
        );
    }

    #[test]
    fn arrow_and_function_keys_are_not_their_letters() {
        let keys: Vec<_> = meant(b"\x1b[A1\x1bOP2\x1b[15;2~3\x1bq4\x1b").collect();
        assert_eq!(keys, ['1', '2', '3', '4'].map(Key::Digit));
    }
}
