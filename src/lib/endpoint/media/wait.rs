//! Waiting for three things at once: a packet on any of thousands of sockets, a deadline, a command.
//!
//! On Linux one epoll set holds them all: sockets are registered once and cost nothing while they are quiet, and the
//! deadline is an absolute timer with the clock's own resolution. A runtime's timers are rounded to milliseconds, which
//! would go straight into the jitter of what we send.

use std::io;
use std::sync::Arc;

use crate::time::Instant;
use crate::transport::udp::Socket;

#[cfg(target_os = "linux")]
pub use self::linux::{Waiter, Waker, now};
#[cfg(not(target_os = "linux"))]
pub use self::portable::{Waiter, Waker, now};

/// A socket that has something.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// As given to [`Waiter::add`].
    pub token: u64,
    /// An error may wait there, beside or instead of a packet.
    pub error: bool,
}

/// A waiter and what wakes it up from other threads.
pub fn pair() -> io::Result<(Waiter, Arc<Waker>)> {
    let waker = Arc::new(Waker::new()?);
    Ok((Waiter::new(Arc::clone(&waker))?, waker))
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    use std::time::Duration;

    use nix::errno::Errno;
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
    use nix::sys::eventfd::{EfdFlags, EventFd};
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use nix::time::clock_gettime;

    /// Microseconds of the clock that the timer runs on.
    pub fn now() -> Instant {
        // The monotonic clock cannot fail on any Linux.
        clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .map_or(Instant::ZERO, |at| Instant::ZERO + Duration::from(at))
    }

    /// Ends a [`Waiter::wait`] from any thread. Never blocks.
    #[derive(Debug)]
    pub struct Waker(EventFd);

    impl Waker {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?))
        }

        pub fn wake(&self) {
            // Full means that a wake-up is pending: just as good.
            let _ = self.0.write(1);
        }
    }

    /// The epoll set.
    pub struct Waiter {
        epoll: Epoll,
        timer: TimerFd,
        /// What the timer is set to, to save a system call when it does not change.
        armed: Option<Instant>,
        waker: Arc<Waker>,
        events: Vec<EpollEvent>,
    }

    impl Waiter {
        pub(super) fn new(waker: Arc<Waker>) -> io::Result<Self> {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            let timer =
                TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
            epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
            epoll.add(&waker.0, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
            Ok(Self { epoll, timer, armed: None, waker, events: vec![EpollEvent::empty(); EVENTS] })
        }

        /// From now on a packet or an error on `socket` ends the wait and is told by its `token` (below 2⁶³).
        pub fn add(&self, socket: &Socket, token: u64) -> io::Result<()> {
            Ok(self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
        }

        /// The end of [`add`](Self::add).
        pub fn remove(&self, socket: &Socket, _token: u64) {
            // Closing it would do as well.
            let _ = self.epoll.delete(socket);
        }

        /// Waits for a packet, a wake-up or `deadline`, and puts the tokens of the sockets that have something into
        /// `ready`.
        pub fn wait(&mut self, deadline: Option<Instant>, ready: &mut Vec<Ready>) -> io::Result<()> {
            ready.clear();
            if deadline != self.armed {
                match deadline {
                    Some(at) => {
                        // Zero would disarm the timer.
                        let at = TimeSpec::from(Duration::from_micros(at.as_micros().max(1)));
                        self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
                    }
                    None => self.timer.unset()?,
                }
                self.armed = deadline;
            }
            let count = match self.epoll.wait(&mut self.events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => return Ok(()),
                Err(why) => return Err(why.into()),
            };
            for event in self.events.iter().take(count) {
                match event.data() {
                    TIMER => {
                        // It has fired: only setting it again makes it quiet.
                        let _ = self.timer.wait();
                        self.armed = None;
                    }
                    WAKER => drop(self.waker.0.read()),
                    token => {
                        ready.push(Ready { token, error: event.events().intersects(EpollFlags::EPOLLERR) });
                    }
                }
            }
            Ok(())
        }
    }

    const TIMER: u64 = u64::MAX;
    const WAKER: u64 = u64::MAX - 1;
    /// Sockets told of per wait; the others are told of by the next.
    const EVENTS: usize = 256;
}

#[cfg(not(target_os = "linux"))]
mod portable {
    //! No epoll and no timer descriptor: looks at every socket each millisecond. Correct, but neither cheap nor exact.

    use super::*;

    use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    /// Microseconds since this was first asked.
    pub fn now() -> Instant {
        static START: OnceLock<std::time::Instant> = OnceLock::new();
        Instant::ZERO + START.get_or_init(std::time::Instant::now).elapsed()
    }

    /// Ends a [`Waiter::wait`] from any thread.
    #[derive(Debug, Default)]
    pub struct Waker {
        woken: Mutex<bool>,
        changed: Condvar,
    }

    impl Waker {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self::default())
        }

        pub fn wake(&self) {
            *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.changed.notify_one();
        }
    }

    /// The sockets to look at.
    pub struct Waiter {
        waker: Arc<Waker>,
        tokens: Mutex<Vec<u64>>,
    }

    impl Waiter {
        pub(super) fn new(waker: Arc<Waker>) -> io::Result<Self> {
            Ok(Self { waker, tokens: Mutex::default() })
        }

        /// From now on the socket is looked at after each wait.
        pub fn add(&self, _socket: &Socket, token: u64) -> io::Result<()> {
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(token);
            Ok(())
        }

        /// The end of [`add`](Self::add).
        pub fn remove(&self, _socket: &Socket, token: u64) {
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).retain(|held| *held != token);
        }

        /// Waits for a wake-up, a millisecond or `deadline`; every socket may have something.
        pub fn wait(&mut self, deadline: Option<Instant>, ready: &mut Vec<Ready>) -> io::Result<()> {
            ready.clear();
            let tokens = self.tokens.get_mut().unwrap_or_else(PoisonError::into_inner);
            ready.extend(tokens.iter().map(|token| Ready { token: *token, error: true }));
            let left = deadline.map_or(LOOK_EVERY, |at| (at - now()).min(LOOK_EVERY));
            let woken = self.waker.woken.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut woken, _) = self
                .waker
                .changed
                .wait_timeout_while(woken, left, |woken| !*woken)
                .unwrap_or_else(PoisonError::into_inner);
            *woken = false;
            Ok(())
        }
    }

    const LOOK_EVERY: Duration = Duration::from_millis(1);
}
