//! The terminal's mode: single keys without echo while a call is shown, and the way back on every exit path.
//!
//! The mode that was found is kept in one place of the process, because a panic hook, the signal thread and the
//! normal end must all be able to put it back, whoever comes first.

use std::{
    io,
    os::fd::AsFd,
    sync::{Mutex, PoisonError},
};

use nix::{
    sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};

/// Puts the mode back when dropped.
#[derive(Debug)]
pub struct KeyMode(());

impl KeyMode {
    /// Switches standard input to single keys without echo. `None` if it is no terminal, or one that another
    /// job has in the foreground (changing its mode would stop us with SIGTTOU). Ctrl-C and Ctrl-Z stay signals.
    pub fn enter() -> Option<Self> {
        let stdin = io::stdin();
        if tcgetpgrp(stdin.as_fd()).ok()? != getpgrp() {
            return None;
        }
        let found = tcgetattr(stdin.as_fd()).ok()?;
        let mut keys = found.clone();
        keys.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        for (index, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(control) = keys.control_chars.get_mut(index as usize) {
                *control = value;
            }
        }
        // Saved first: whoever is interrupted between the two lines restores what is there anyway.
        saved(|saved| *saved = Some(found));
        match tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &keys) {
            Ok(()) => Some(Self(())),
            Err(_) => {
                saved(|saved| *saved = None);
                None
            }
        }
    }
}

/// Has the present mode put back on every exit path, for somebody else is about to change it.
pub(super) fn remember() -> Option<KeyMode> {
    let found = tcgetattr(io::stdin().as_fd()).ok()?;
    saved(|saved| saved.get_or_insert(found).clone());
    Some(KeyMode(()))
}

impl Drop for KeyMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts back the mode that was found. Does nothing if it was not changed, or is back already.
pub fn restore() {
    if let Some(found) = saved(Option::take) {
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &found);
    }
}

/// Puts the mode back for the time the process is stopped; the result says whether keys were on.
pub(super) fn suspend() -> bool {
    let was_on = saved(|saved| saved.is_some());
    restore();
    was_on
}

/// Takes single keys again after [`suspend`].
pub(super) fn resume(was_on: bool) {
    if was_on {
        // The guard that is still alive elsewhere restores at the end, as before.
        std::mem::forget(KeyMode::enter());
    }
}

fn saved<T>(change: impl FnOnce(&mut Option<Termios>) -> T) -> T {
    static SAVED: Mutex<Option<Termios>> = Mutex::new(None);
    change(&mut SAVED.lock().unwrap_or_else(PoisonError::into_inner))
}
