//! The one place that says a run must end: Ctrl-C, SIGTERM, the deadline, a closed standard output, a defect.
//!
//! A program awaits [`Stop::requested`] beside its own work, ends gracefully (CANCEL or BYE) and returns. Only the
//! first reason counts. Signals are taken by a thread of their own, so that they work while the program is busy,
//! waits at a prompt, or is stuck.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::{SigSet, Signal, raise};
use tokio::sync::watch;

use super::{exit::ExitStatus, live, terminal};

/// Why a run must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `--timeout` has passed.
    Deadline,
    /// A thread panicked.
    Defect,
    /// Ctrl-C.
    Interrupt,
    /// Nobody reads standard output any more.
    OutputClosed,
    /// SIGTERM, or SIGHUP unless the program does something else with it.
    Terminate,
}

/// Cloneable; all clones are the same request.
#[derive(Clone, Debug)]
pub struct Stop {
    why: Arc<watch::Sender<Option<Why>>>,
    /// How often SIGHUP came; `None` if it ends the run.
    hangups: Arc<watch::Sender<Option<u64>>>,
}

impl Stop {
    pub fn new() -> Self {
        Self { why: Arc::new(watch::Sender::new(None)), hangups: Arc::new(watch::Sender::new(None)) }
    }

    /// Asks the run to end. Says whether this was the first reason.
    pub fn request(&self, why: Why) -> bool {
        self.why.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(why);
            first
        })
    }

    /// From now on SIGHUP does not end the run: it asks to read the configuration again, and each one is seen here.
    pub fn hangups(&self) -> watch::Receiver<Option<u64>> {
        self.hangups.send_modify(|count| *count = count.or(Some(0)));
        let mut hangups = self.hangups.subscribe();
        hangups.mark_unchanged();
        hangups
    }

    /// SIGHUP came; says whether somebody takes it.
    fn hang_up(&self) -> bool {
        self.hangups.send_if_modified(|count| count.as_mut().map(|count| *count += 1).is_some())
    }

    /// The reason, if the run was asked to end.
    pub fn why(&self) -> Option<Why> {
        *self.why.borrow()
    }

    /// Waits until the run is asked to end. Cancel-safe, and returns at once ever after.
    pub async fn requested(&self) -> Why {
        let mut receiver = self.why.subscribe();
        loop {
            if let Some(why) = *receiver.borrow_and_update() {
                return why;
            }
            // The sender lives in `self`, so it cannot be gone.
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the signals from every thread started after this, so that only [`watch_signals`] gets them.
/// To be called before any other thread exists.
pub(super) fn block_signals() {
    // Fails only for a signal set that does not exist.
    let _ = signals().thread_block();
}

/// Starts the thread that turns signals into requests. The second one runs `leave` for at most half a second and
/// ends the process.
pub(super) fn watch_signals(stop: Stop, leave: impl Fn() + Send + 'static) -> std::io::Result<()> {
    let watch = move || {
        let signals = signals();
        let mut leave = Some(leave);
        loop {
            let first = match signals.wait() {
                Ok(Signal::SIGINT) => stop.request(Why::Interrupt),
                Ok(Signal::SIGHUP) if stop.hang_up() => continue,
                Ok(Signal::SIGTERM | Signal::SIGHUP) => stop.request(Why::Terminate),
                Ok(Signal::SIGTSTP) => {
                    let keys = terminal::suspend();
                    // The shell prints where the live view was, so that is drawn anew afterwards. Sent to
                    // this thread, which so takes not one step more; to the process it would.
                    let _ = live::above(|| raise(Signal::SIGSTOP));
                    terminal::resume(keys);
                    continue;
                }
                _ => continue,
            };
            if first {
                continue;
            }
            if let Some(leave) = leave.take() {
                depart(leave, ExitStatus::Interrupted);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}

/// Starts the thread that ends the process with `leave` if the run does not notice its deadline because it is stuck:
/// at a prompt, say, or where nobody writes into a pipe. One that has noticed has `grace` to end by itself.
pub(super) fn watch_deadline(
    deadline: Instant,
    grace: Duration,
    stop: Stop,
    is_over: Arc<AtomicBool>,
    leave: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    let watch = move || {
        thread::sleep((deadline + NOTICE).saturating_duration_since(Instant::now()));
        if stop.why() == Some(Why::Deadline) {
            thread::sleep(grace);
        }
        if !is_over.load(Ordering::Acquire) {
            depart(leave, ExitStatus::Deadline);
        }
    };
    thread::Builder::new().name("deadline".into()).spawn(watch).map(drop)
}

/// Ends the process. A stuck disk or pipe must not keep it: the farewell runs beside us.
fn depart(leave: impl Fn() + Send + 'static, status: ExitStatus) -> ! {
    let farewell = thread::spawn(leave);
    for _ in 0..50 {
        if farewell.is_finished() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    terminal::restore();
    std::process::exit(status.code().into())
}

/// How soon a run that is not stuck notices that its deadline has passed.
const NOTICE: Duration = Duration::from_millis(200);

fn signals() -> SigSet {
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGTSTP].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_ends_the_run_unless_somebody_takes_it() {
        let stop = Stop::new();
        assert!(!stop.hang_up());
        let hangups = stop.hangups();
        assert!(!hangups.has_changed().unwrap(), "none came");
        assert!(stop.hang_up() && hangups.has_changed().unwrap());
        assert_eq!(stop.why(), None);
    }

    #[tokio::test]
    async fn the_first_reason_counts_and_everybody_hears_it() {
        let stop = Stop::new();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.requested().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(stop.why(), None);
        assert!(stop.request(Why::Deadline));
        assert!(!stop.request(Why::Interrupt));
        assert_eq!(waiting.await.ok(), Some(Why::Deadline));
        assert_eq!(stop.requested().await, Why::Deadline, "asked again later: the same answer");
    }
}
