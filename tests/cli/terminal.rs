//! A person at a terminal: keys act on the call, and the terminal is as it was whatever way the run ends.

use std::{
    fs::File,
    io::{Read, Write},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};

use super::{Background, Folder, SIP_CALL, wait};

#[test]
fn keys_act_on_the_call_and_the_terminal_is_put_back() {
    let folder = Folder::new();
    let (_server, at) = folder.serve(["--listen", "127.0.0.1:0", "--json"]);
    let mut terminal = Terminal::call(&folder, &at);
    terminal.wait_for("in call");
    assert!(!terminal.echoes(), "keys are taken without echo");
    for (key, told) in
        [("5", "5 sent"), ("?", "hang up"), (" ", "held"), (" ", "resumed"), ("m", "muted"), ("\x1b[A", "")]
    {
        terminal.press(key);
        terminal.wait_for(told);
    }
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));
    terminal.wait_for("ended");
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let folder = Folder::new();
    let (_server, at) = folder.serve(["--listen", "127.0.0.1:0", "--json"]);
    let mut terminal = Terminal::call(&folder, &at);
    terminal.wait_for("in call");
    assert!(!terminal.echoes());
    kill(Pid::from_raw(terminal.program.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(terminal.end(), Some(0), "the call was up: ended gracefully");
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_puts_the_terminal_back() {
    let folder = Folder::new();
    let (server, at) = folder.serve(["--listen", "127.0.0.1:0", "--json"]);
    let mut terminal = Terminal::call(&folder, &at);
    terminal.wait_for("in call");
    // Nobody answers our BYE, so that the graceful end takes its time.
    kill(Pid::from_raw(server.0.id().cast_signed()), Signal::SIGSTOP).unwrap();
    terminal.press("\x03");
    thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    terminal.press("\x03");
    assert_eq!(terminal.end(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// `sip-call` with a terminal of its own.
struct Terminal {
    program: Background,
    screen: Arc<Mutex<String>>,
    /// How much of the screen has been waited for.
    seen: usize,
    keyboard: File,
}

impl Terminal {
    fn call(folder: &Folder, at: &str) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&size, None).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        // A session of its own, whose terminal this becomes: as in a terminal window.
        let mut command = folder.command("setsid");
        command.args(["--ctty", "--wait", SIP_CALL.1, "--audio", "tone:440", "--timeout", "1m"]);
        command.arg(format!("sip:echo@{at}")).env("TERM", "xterm");
        let program = Background(command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap());
        // The command holds ends of the terminal too.
        drop(command);
        let screen = Arc::new(Mutex::new(String::new()));
        let keyboard = File::from(pair.master);
        let mut output = keyboard.try_clone().unwrap();
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut chunk) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..length]));
            }
        });
        Self { program, screen, seen: 0, keyboard }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, after what was waited for before.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            let screen = self.screen.lock().unwrap().clone();
            if let Some(at) = screen.get(self.seen..).and_then(|new| new.find(text)) {
                self.seen += at + text.len();
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "`{text}` is not shown:\n{screen}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether what is typed is shown, line by line: the mode a shell expects to find.
    fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard).unwrap().local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// Waits for the program's end; the terminal must be as it was.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let status = wait(&mut self.program, Duration::from_secs(10));
        assert!(self.echoes(), "the terminal was left in key mode:\n{}", self.screen.lock().unwrap());
        status.code()
    }
}
