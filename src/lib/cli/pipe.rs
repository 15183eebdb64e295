//! Lines on their way to a reader who may be slow, stopped or gone, without anybody but a thread waiting for him.
//!
//! A pipe that nobody reads takes 64 KiB and then blocks who writes to it: timers, `--timeout` and Ctrl-C must not be
//! among those. Up to [`MOST`] octets wait here. When that is full the next line waits for [`PATIENCE`], so that a reader
//! who is merely slow misses nothing; if nothing moved meanwhile, lines are counted instead until there is room again.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Clones lead to the same reader.
#[derive(Clone)]
pub(super) struct Pipe(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to write, or no more will come.
    more: Condvar,
    /// There is more room, or everything is written, or the reader is gone.
    less: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    octets: usize,
    /// Lines the thread is writing.
    writing: u64,
    /// Lines left out because there was no room.
    lost: u64,
    /// Nothing moved while somebody waited: nobody waits again before something does.
    is_stuck: bool,
    is_gone: bool,
    is_closed: bool,
}

/// What became of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Push {
    /// It is on its way, or the reader is gone and nobody wants it.
    Taken,
    /// The first that was left out since there was room last.
    FirstLost,
    Lost,
}

impl Pipe {
    /// Starts the thread that writes. `gone` is told once when the reader is.
    pub fn start(
        sink: impl Write + Send + 'static,
        gone: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), more: Condvar::new(), less: Condvar::new() });
        let pipe = Self(shared.clone());
        thread::Builder::new().name("output".into()).spawn(move || shared.write(sink, gone))?;
        Ok(pipe)
    }

    pub fn push(&self, line: impl Into<Vec<u8>>) -> Push {
        let line = line.into();
        let mut state = self.0.lock();
        let has_room = |state: &State| state.octets == 0 || state.octets + line.len() <= MOST;
        if !has_room(&state) && !state.is_stuck {
            let waited =
                self.0.less.wait_timeout_while(state, PATIENCE, |state| !has_room(state) && !state.is_gone);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if has_room(&state) || state.is_gone {
            state.is_stuck = false;
            self.0.put(state, line);
            return Push::Taken;
        }
        state.lost += 1;
        match std::mem::replace(&mut state.is_stuck, true) {
            false => Push::FirstLost,
            true => Push::Lost,
        }
    }

    /// The last line, for which there is always room.
    pub fn close(&self, line: impl Into<Vec<u8>>) {
        let mut state = self.0.lock();
        state.is_closed = true;
        self.0.put(state, line.into());
    }

    /// Waits until everything is written, or for so long; whether it is.
    pub fn drain(&self, within: Duration) -> bool {
        let waited = self.0.less.wait_timeout_while(self.0.lock(), within, |state| !state.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    /// A moment for what was said before, if there is hope.
    pub fn settle(&self) {
        let state = self.0.lock();
        if !state.is_stuck {
            let waited = self.0.less.wait_timeout_while(state, MOMENT, |state| !state.is_empty());
            let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state.is_stuck |= timeout.timed_out() && !state.is_empty();
        }
    }

    /// Lines that were left out or are not yet written.
    pub fn missing(&self) -> u64 {
        let state = self.0.lock();
        if state.is_gone { 0 } else { state.lost + state.writing + state.lines.len() as u64 }
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.writing == 0
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut state: MutexGuard<'_, State>, line: Vec<u8>) {
        if !state.is_gone && !line.is_empty() {
            state.octets += line.len();
            state.lines.push_back(line);
        }
        drop(state);
        self.more.notify_one();
    }

    fn write(&self, mut sink: impl Write, gone: impl FnOnce(io::Error)) {
        let mut text = Vec::new();
        loop {
            let waited =
                self.more.wait_while(self.lock(), |state| state.lines.is_empty() && !state.is_closed);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.lines.is_empty() {
                return;
            }
            text.clear();
            while text.len() < AT_ONCE
                && let Some(line) = state.lines.pop_front()
            {
                text.extend_from_slice(&line);
                state.writing += 1;
            }
            drop(state);
            let written = sink.write_all(&text).and_then(|()| sink.flush());
            let mut state = self.lock();
            state.writing = 0;
            state.octets -= text.len();
            state.is_stuck = false;
            if let Err(error) = written {
                // What waits has nowhere to go; what could not be written for another reason has been lost.
                let unwritten = std::mem::take(&mut state.lines);
                state.octets = 0;
                state.is_gone = true;
                drop((state, unwritten));
                gone(error);
                return self.less.notify_all();
            }
            drop(state);
            self.less.notify_all();
        }
    }
}

/// Octets that wait at most.
const MOST: usize = 1 << 20;
/// Octets handed over at once, if there are so many.
const AT_ONCE: usize = 16 << 10;
/// How long a line waits for room.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long something for standard error waits for what came before it.
const MOMENT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// Takes what it is allowed to.
    struct Slow(mpsc::Receiver<io::Result<()>>, mpsc::Sender<String>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().expect("allowed")?;
            let _ = self.1.send(String::from_utf8(bytes.to_vec()).expect("text"));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Pipe, mpsc::Sender<io::Result<()>>, mpsc::Receiver<String>, mpsc::Receiver<io::ErrorKind>) {
        let (allow, allowed) = mpsc::channel();
        let (written, read) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let gone = move |error: io::Error| tell.send(error.kind()).expect("somebody listens");
        let pipe = Pipe::start(Slow(allowed, written), gone).expect("a thread");
        (pipe, allow, read, told)
    }

    #[test]
    fn nobody_waits_for_who_does_not_read_and_what_is_left_out_is_counted() {
        let (pipe, allow, read, _told) = slow();
        let line = || "x".repeat(64 << 10);
        for _ in 0..16 {
            assert_eq!(pipe.push(line()), Push::Taken);
        }
        let begun = Instant::now();
        assert_eq!(pipe.push(line()), Push::FirstLost);
        for _ in 0..1_000 {
            assert_eq!(pipe.push(line()), Push::Lost);
        }
        pipe.settle();
        assert!(begun.elapsed() < 5 * PATIENCE, "{:?}", begun.elapsed());
        pipe.close("the result");
        assert!(!pipe.drain(MOMENT));
        assert_eq!(pipe.missing(), 16 + 1_001 + 1);
        for _ in 0..17 {
            allow.send(Ok(())).expect("it waits");
        }
        assert!(pipe.drain(Duration::from_secs(10)));
        assert_eq!(pipe.missing(), 1_001);
        assert_eq!(read.iter().last().as_deref(), Some("the result"));
    }

    #[test]
    fn who_reads_slowly_misses_nothing() {
        let (pipe, allow, read, _told) = slow();
        let reader = thread::spawn(move || {
            for _ in 0..40 {
                thread::sleep(Duration::from_millis(2));
                allow.send(Ok(())).expect("it waits");
            }
            (0..40).map(|_| read.recv().expect("written").len()).sum::<usize>()
        });
        for _ in 0..40 {
            assert_eq!(pipe.push("x".repeat(64 << 10)), Push::Taken);
        }
        assert!(pipe.drain(Duration::from_secs(10)));
        assert_eq!(reader.join().expect("no panic"), 40 << 16);
    }

    #[test]
    fn a_reader_who_is_gone_is_told_of_once() {
        let (pipe, allow, _read, told) = slow();
        pipe.push("x");
        allow.send(Err(io::ErrorKind::BrokenPipe.into())).expect("it waits");
        assert_eq!(told.recv(), Ok(io::ErrorKind::BrokenPipe));
        assert!(pipe.drain(Duration::from_secs(10)));
        assert_eq!(pipe.push("y"), Push::Taken);
        pipe.close("z");
        assert!(pipe.drain(Duration::ZERO));
        assert_eq!(pipe.missing(), 0);
    }
}
