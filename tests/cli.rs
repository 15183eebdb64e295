//! What every program owes its user on the command line: help that fits, generated files that are fresh, mistakes
//! that are named, and manual examples that work as printed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::Value;
use sipkit::cli::{Program, call, generate::Manual, test_server};

mod terminal;

const SIP_CALL: (&str, &str) = ("sip-call", env!("CARGO_BIN_EXE_sip-call"));
const SIP_TEST_SERVER: (&str, &str) = ("sip-test-server", env!("CARGO_BIN_EXE_sip-test-server"));
const PROGRAMS: [(&str, &str, Manual); 2] = [
    (SIP_CALL.0, SIP_CALL.1, call::Args::MANUAL),
    (SIP_TEST_SERVER.0, SIP_TEST_SERVER.1, test_server::Args::MANUAL),
];

#[test]
fn short_help_fits_a_screen_and_help_is_complete() {
    for (name, path, _) in PROGRAMS {
        let folder = Folder::new();
        let short = finish(folder.command(path).arg("-h"));
        assert!(short.status.success(), "{name} -h");
        let short = text(&short.stdout);
        let lines = short.lines().count();
        assert!((24..=50).contains(&lines), "{name} -h has {lines} lines");
        for line in short.lines() {
            assert!(line.chars().count() <= 80, "{name} -h: too wide: {line}");
        }
        let long = finish(folder.command(path).arg("--help"));
        assert!(long.status.success(), "{name} --help");
        let long = text(&long.stdout);
        for flag in short.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.trim_end_matches("...");
            assert!(long.contains(flag), "{name} --help does not tell {flag}");
        }
        for needed in ["--config", "SIPKIT_PASSWORD", "Examples:"] {
            assert!(long.contains(needed), "{name} --help does not tell {needed}");
        }
        let version = finish(folder.command(path).arg("--version"));
        assert_eq!(text(&version.stdout), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// `UPDATE=1` writes the files instead.
#[test]
#[cfg(feature = "opus")]
fn generated_files_are_what_the_programs_generate() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, path, _) in PROGRAMS {
        for (kind, file) in [
            ("man", format!("man/{name}.1")),
            ("bash", format!("completions/{name}.bash")),
            ("fish", format!("completions/{name}.fish")),
            ("zsh", format!("completions/_{name}")),
        ] {
            let output = finish(Folder::new().command(path).args(["--generate", kind]));
            assert!(output.status.success(), "{name} --generate {kind}: {}", text(&output.stderr));
            let file = root.join(file);
            if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &output.stdout).unwrap();
            }
            let fresh = fs::read(&file).is_ok_and(|there| there == output.stdout);
            assert!(fresh, "{} is stale: run `make man` and commit it", file.display());
        }
    }
}

#[test]
fn the_schema_is_shipped_with_the_program() {
    let output = finish(Folder::new().command(SIP_CALL.1).args(["--generate", "schema"]));
    assert_eq!(text(&output.stdout), sipkit::cli::EVENT_SCHEMA);
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
}

#[test]
fn a_mistake_in_the_flags_is_named_with_the_nearest() {
    for (flags, told) in [
        (&["--jsno", "x"][..], "a similar argument exists: '--json'"),
        (&["--rign-timeout", "20s", "x"], "a similar argument exists: '--ring-timeout'"),
        (&["--ring-timeout", "20", "x"], "20 has no unit: write 20s"),
        (&["--write-out", "%{coed}", "x"], "did you mean %{code}?"),
        (&["--codec", "pcmaa", "x"], "a similar value exists: 'pcma'"),
        (&["--pcap", "call.cap", "x"], ".pcapng"),
        (&["-H", "Via: x", "x"], "Via is written by the program itself"),
        (&["--local", "localhost", "x"], "127.0.0.1:5070"),
        (&["--rtp-ports", "7", "x"], "20000-20100"),
        (&["--dtmf", "12x", "x"], "`x` is no DTMF digit"),
        (&["--answer", "x"], "--answer"),
        (&["--pcap-no-rtp", "x"], "--pcap <FILE>"),
        (&[], "<TARGET>"),
    ] {
        let output = finish(Folder::new().command(SIP_CALL.1).args(flags));
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains(told), "{flags:?}: {errors}");
        assert!(output.stdout.is_empty(), "{flags:?}: results only on standard output");
    }
    // Whoever reads JSON gets its one result even so.
    let output = finish(Folder::new().command(SIP_CALL.1).args(["--json", "--jsno"]));
    assert_eq!(output.status.code(), Some(2));
    let result: Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    assert_eq!((&result["event"], &result["exit"]), (&Value::from("result"), &Value::from(2)));
}

#[test]
fn a_mistake_in_the_configuration_has_line_column_and_the_nearest_key() {
    let folder = Folder::new();
    let config = folder.write("typo.toml", "# telephones\n[account.work]\nusr = \"alice\"\n");
    let told = format!("{}:3:1: unknown key `usr` in [account.work]; did you mean `user`?", config.display());
    let by_flag = finish(folder.command(SIP_CALL.1).arg("--config").arg(&config).arg("x"));
    let by_variable = finish(folder.command(SIP_CALL.1).env("SIPKIT_CONFIG", &config).arg("x"));
    fs::create_dir(folder.0.join("sipkit")).unwrap();
    let usual = folder.write("sipkit/config.toml", "[defaults]\ntimeout = 20\n");
    let by_place = finish(folder.command(SIP_TEST_SERVER.1).args(["--listen", "127.0.0.1:0", "--json"]));
    for (output, told) in [
        (&by_flag, told.clone()),
        (&by_variable, told),
        (&by_place, format!("{}:2:11: invalid type: integer `20`", usual.display())),
    ] {
        assert_eq!(output.status.code(), Some(2));
        let errors = text(&output.stderr);
        assert!(errors.contains(&told), "{errors}");
    }
    let missing = finish(folder.command(SIP_CALL.1).args(["--config", "nowhere.toml", "x"]));
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("nowhere.toml"));
}

#[test]
fn a_password_that_others_can_read_is_worth_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let config = folder.write("open.toml", "[account.work]\npassword = \"pssst\"\n");
    let call =
        || finish(folder.command(SIP_CALL.1).arg("--config").arg(&config).args(["--account", "no", "x"]));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let errors = text(&call().stderr);
    assert!(errors.contains("warning") && errors.contains("chmod 600"), "{errors}");
    assert!(!errors.contains("pssst"));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let errors = text(&call().stderr);
    assert!(!errors.contains("warning"), "{errors}");
}

#[test]
fn a_capture_that_cannot_be_written_is_told_before_anything_is_sent() {
    let output = finish(Folder::new().command(SIP_CALL.1).args(["--pcap", "no/such/folder/a.pcap", "x"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no/such/folder/a.pcap"), "{}", text(&output.stderr));
}

#[test]
fn manual_examples_are_understood_and_short_enough_to_copy() {
    for (name, _, manual) in PROGRAMS {
        assert!(!manual.examples.is_empty(), "{name}");
        for example in manual.examples {
            assert!(example.command.len() <= 76, "wrapped at 80 columns: {}", example.command);
            let words = words(example.command);
            assert_eq!(words[0], name);
            let parsed = match name {
                "sip-call" => call::Args::try_parse_from(&words).map(drop),
                _ => test_server::Args::try_parse_from(&words).map(drop),
            };
            parsed.unwrap_or_else(|error| panic!("{}: {error}", example.command));
        }
    }
}

/// Each as printed, but for names and ports that belong to others, and an end to those that would go on.
#[test]
fn manual_examples_of_sip_call_work() {
    thread::scope(|scope| {
        for example in call::Args::MANUAL.examples {
            scope.spawn(|| match example.command.contains("--answer") {
                true => answered_example(example.command),
                false => calling_example(example.command),
            });
        }
    });
}

fn calling_example(command: &str) {
    let folder = Folder::new();
    let (mut server, at) = folder.serve(["--listen", "127.0.0.1:0", "--calls", "1", "--json"]);
    let config = folder.write("config.toml", "[account.work]\nfrom = \"sip:alice@example.com\"\n");
    let command =
        command.replace("127.0.0.1:5070", &at).replace("192.0.2.1", &at).replace("example.com", &at);
    let mut words = words(&command);
    words.extend(["--timeout".into(), "20s".into()]);
    if !command.contains("--duration") && !command.contains("hangup@") {
        words.extend(["--duration".into(), "500ms".into()]);
    }
    let output = finish(folder.command(SIP_CALL.1).env("SIPKIT_CONFIG", config).args(&words[1..]));
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command}: {errors}");
    assert!(wait(&mut server, Duration::from_secs(10)).success(), "the server of: {command}");
    if command.contains("--write-out") {
        assert_eq!(text(&output.stdout), "200\n", "{command}");
    }
    for file in words.iter().filter(|word| word.starts_with("a.")) {
        let length = fs::metadata(folder.0.join(file)).map(|file| file.len()).unwrap_or(0);
        assert!(length > 1000, "{command}: {file} has {length} bytes");
    }
}

fn answered_example(command: &str) {
    let folder = Folder::new();
    let words = words(&command.replace(":5080", ":0"));
    let mut answering = Background(folder.command(SIP_CALL.1).args(&words[1..]).spawn().unwrap());
    let at = listening(&mut answering);
    let target = format!("sip:anyone@{at}");
    let flags = ["--audio", "none", "--duration", "500ms", "--timeout", "20s", &target];
    let calling = finish(folder.command(SIP_CALL.1).args(flags));
    assert_eq!(calling.status.code(), Some(0), "calling {command}: {}", text(&calling.stderr));
    assert!(wait(&mut answering, Duration::from_secs(10)).success(), "{command}");
}

#[test]
fn manual_examples_of_sip_test_server_work() {
    thread::scope(|scope| {
        for example in test_server::Args::MANUAL.examples {
            scope.spawn(|| {
                let folder = Folder::new();
                folder.write("secret", "tops3cret\n");
                let mut words = words(&example.command.replace(":5072", ":0"));
                for (flag, value) in
                    [("--listen", Some("127.0.0.1:0")), ("--calls", Some("1")), ("--json", None)]
                {
                    if !words.iter().any(|word| word == flag) {
                        words.push(flag.into());
                        words.extend(value.map(Into::into));
                    }
                }
                let (mut server, at) = folder.serve(&words[1..]);
                let target = format!("sip:tone@{at}");
                let flags =
                    ["--user", "alice", "--password-file", "secret", "--audio", "none", "--codec", "pcma"];
                let flags = flags.into_iter().chain(["--duration", "500ms", "--timeout", "20s", &target]);
                let calling = finish(folder.command(SIP_CALL.1).args(flags));
                let errors = text(&calling.stderr);
                assert_eq!(calling.status.code(), Some(0), "calling {}: {errors}", example.command);
                assert!(wait(&mut server, Duration::from_secs(10)).success(), "{}", example.command);
            });
        }
    });
}

/// A folder of the test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sipkit-cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A program that works in this folder and knows nothing of the tester's own settings.
    fn command(&self, path: &str) -> Command {
        let mut command = Command::new(path);
        command.current_dir(&self.0).env("XDG_CONFIG_HOME", &self.0).env("HOME", &self.0);
        for variable in ["ACCOUNT", "CONFIG", "FROM", "LOCAL", "PASSWORD", "PROXY", "USER"] {
            command.env_remove(format!("SIPKIT_{variable}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A server with `--json` among its flags, and where it listens.
    fn serve<S: AsRef<std::ffi::OsStr>>(&self, flags: impl IntoIterator<Item = S>) -> (Background, String) {
        let mut server = Background(self.command(SIP_TEST_SERVER.1).args(flags).spawn().unwrap());
        let at = listening(&mut server);
        (server, at)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that is ended if the test fails.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of the first event, which is `listening`; everything after it is read and forgotten.
fn listening(program: &mut Background) -> String {
    let mut lines = BufReader::new(program.0.stdout.take().unwrap());
    let mut errors = program.0.stderr.take().unwrap();
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let Ok(event) = serde_json::from_str::<Value>(&first) else {
        let mut told = String::new();
        let _ = errors.read_to_string(&mut told);
        panic!("no event but {first:?}: {told}");
    };
    assert_eq!(event["event"], "listening", "{first}");
    thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    thread::spawn(move || errors.read_to_end(&mut Vec::new()));
    event["local"].as_str().unwrap().to_owned()
}

/// Runs it to its end, which must come within a minute.
fn finish(command: &mut Command) -> Output {
    let mut child = Background(command.spawn().unwrap());
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let stdout = read(child.0.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = read(child.0.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = wait(&mut child, Duration::from_secs(60));
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

#[track_caller]
fn wait(child: &mut Background, limit: Duration) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < limit, "still running after {limit:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// As a shell splits a command with single quotes in it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}
