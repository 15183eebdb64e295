//! Commands on their way to the media thread.
//!
//! Pushing never waits for the thread: the lock is held for as long as it takes to push one command or to swap the
//! whole queue for an empty one. The bound concerns what can be refused; ending a session cannot.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::wait::Waker;

/// Both ends hold it.
#[derive(Debug)]
pub struct Queue<C> {
    commands: Mutex<Vec<C>>,
    /// Nobody will push any more.
    closed: AtomicBool,
    waker: Arc<Waker>,
}

impl<C> Queue<C> {
    pub fn new(waker: Arc<Waker>) -> Self {
        Self { commands: Mutex::default(), closed: AtomicBool::new(false), waker }
    }

    /// Gives the command back if too many wait already.
    pub fn push(&self, command: C) -> Result<(), C> {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() >= MOST {
            return Err(command);
        }
        self.wake_after(&mut commands, command);
        Ok(())
    }

    /// For what must not be lost. There is at most one of these per session, and the sessions are bounded by `push`.
    pub fn push_always(&self, command: C) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake_after(&mut commands, command);
    }

    /// Everything that waits; `taken` must be empty and becomes the new queue.
    pub fn take(&self, taken: &mut Vec<C>) {
        std::mem::swap(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner), taken);
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// One wake-up for a whole batch: only who makes the queue non-empty has to give it.
    fn wake_after(&self, commands: &mut Vec<C>, command: C) {
        commands.push(command);
        if commands.len() == 1 {
            self.waker.wake();
        }
    }
}

/// Commands that may wait: several for each of a few thousand sessions that begin at once.
const MOST: usize = 32_768;
