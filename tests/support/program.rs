//! The programs, started as a user would, with an environment that holds nothing of the user's.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{PATIENCE, folder::Folder};

/// A running program; killed if the test ends first.
pub struct Program {
    child: Child,
    out: Lines,
    err: Lines,
    _home: Folder,
}

impl Program {
    /// `sip-call` with these arguments.
    pub fn call<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start(env!("CARGO_BIN_EXE_sip-call"), args)
    }

    /// `sip-dns` with these arguments.
    #[cfg(feature = "dns")]
    pub fn dns<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start(env!("CARGO_BIN_EXE_sip-dns"), args)
    }

    /// `sip-register` with these arguments, in JSON, from loopback.
    pub fn register<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::asking(env!("CARGO_BIN_EXE_sip-register"), args)
    }

    /// `sip-message`, the same.
    pub fn message<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::asking(env!("CARGO_BIN_EXE_sip-message"), args)
    }

    /// `sip-options`, the same.
    pub fn options<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::asking(env!("CARGO_BIN_EXE_sip-options"), args)
    }

    fn asking<S: AsRef<str>>(path: &str, args: impl IntoIterator<Item = S>) -> Self {
        let common = ["--json", "--local", "127.0.0.1", "--timeout", "1m"].map(str::to_owned);
        Self::start(path, common.into_iter().chain(args.into_iter().map(|arg| arg.as_ref().to_owned())))
    }

    /// One of the three without any arguments but these, its standard input from a pipe.
    pub fn with_input<S: AsRef<str>>(path: &str, args: impl IntoIterator<Item = S>, input: &str) -> Self {
        let mut program = Self::begin(path, args, Stdio::piped());
        let mut pipe = program.child.stdin.take().unwrap();
        std::io::Write::write_all(&mut pipe, input.as_bytes()).unwrap();
        program
    }

    /// The program at this path.
    pub fn start<S: AsRef<str>>(path: &str, args: impl IntoIterator<Item = S>) -> Self {
        Self::begin(path, args, Stdio::null())
    }

    fn begin<S: AsRef<str>>(path: &str, args: impl IntoIterator<Item = S>, stdin: Stdio) -> Self {
        let home = Folder::new();
        let mut command = Command::new(path);
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        command.env_clear().env("HOME", home.path()).env("USER", "tester").env("NO_COLOR", "1");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Self { child, out, err, _home: home }
    }

    /// Waits for a line of standard output that holds `wanted`.
    pub fn line(&self, wanted: &str) -> String {
        let line = self.out.wait_for(wanted);
        line.unwrap_or_else(|| panic!("no {wanted:?} in\n{}---\n{}", self.out, self.err))
    }

    /// Waits for an event of `--json`.
    pub fn event(&self, name: &str) -> Value {
        let line = self.line(&format!("{{\"event\":\"{name}\""));
        serde_json::from_str(&line).unwrap()
    }

    /// Octets of memory it holds.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// What it printed on standard error up to a line that holds `wanted`, and perhaps more.
    pub fn errors_until(&self, wanted: &str) -> String {
        let found = self.err.wait_for(wanted).is_some();
        assert!(found, "no {wanted:?} in\n{}", self.err);
        self.err.to_string()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > until => {
                    panic!("it does not end:\n{}---\n{}", self.out, self.err);
                }
                None => thread::sleep(TICK),
            }
        };
        self.out.wait_for_end();
        self.err.wait_for_end();
        let (out, err) = (self.out.to_string(), self.err.to_string());
        assert!(!err.contains("panicked"), "{err}");
        Finished { code: status.code(), out, err }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `sip-test-server` on a free port of 127.0.0.1, with `--json`.
pub struct Server {
    pub program: Program,
    pub addr: SocketAddr,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(args: &[&str]) -> Self {
        let common = ["--listen", "127.0.0.1:0", "--json", "--timeout", "2m"];
        let program = Program::start(env!("CARGO_BIN_EXE_sip-test-server"), common.iter().chain(args));
        let listening = program.event("listening");
        let addr = listening["local"].as_str().unwrap().parse().unwrap();
        Self { program, addr }
    }

    /// A target for `sip-call`.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.addr)
    }

    /// Ends it as Ctrl-C does; a server that came through well says 0.
    pub fn stop(self) -> Finished {
        self.program.interrupt();
        self.program.finish().expect(0)
    }
}

/// How a program ended.
pub struct Finished {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Finished {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit status\n{self}");
        self
    }

    /// The lines of `--json`.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.out.lines().map(parse).collect()
    }

    /// The one result of `--json`, which is the last line.
    #[track_caller]
    pub fn result(&self) -> Value {
        let mut events = self.events();
        let results = events.iter().filter(|event| event["event"] == "result").count();
        assert_eq!(results, 1, "{self}");
        let last = events.pop().unwrap();
        assert_eq!(last["event"], "result", "{self}");
        assert_eq!(last["exit"].as_i64(), self.code.map(i64::from), "{self}");
        last
    }

    /// The message on standard error holds all of `words`.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not said\n{self}");
        }
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--- standard error ---\n{}", self.out, self.err)
    }
}

/// What a program prints, read by a thread so that it never waits for us.
#[derive(Clone)]
struct Lines(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let all = lines.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                all.change(|read| read.lines.push(String::from_utf8_lossy(&line).trim_end().to_owned()));
                line.clear();
            }
            all.change(|read| read.ended = true);
        });
        lines
    }

    fn change(&self, change: impl FnOnce(&mut Printed)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn wait_for(&self, wanted: &str) -> Option<String> {
        let (read, changed) = &*self.0;
        let has = |read: &Printed| read.lines.iter().find(|line| line.contains(wanted)).cloned();
        let waits = |read: &mut Printed| has(read).is_none() && !read.ended;
        let (read, _) = changed.wait_timeout_while(read.lock().unwrap(), PATIENCE, waits).unwrap();
        has(&read)
    }

    fn wait_for_end(&self) {
        let (read, changed) = &*self.0;
        let ended = changed.wait_timeout_while(read.lock().unwrap(), PATIENCE, |read| !read.ended).unwrap();
        assert!(ended.0.ended, "its output stays open");
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.lock().unwrap().lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

const TICK: std::time::Duration = std::time::Duration::from_millis(2);
