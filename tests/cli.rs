//! What every program owes its user on the command line: help that fits, generated files that are fresh, mistakes
//! that are named, and manual examples that work as printed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::Value;
#[cfg(feature = "dns")]
use sipkit::cli::dns;
use sipkit::cli::{
    ExitStatus, Program, call, generate::Manual, message, options, proxy, publish, register, settings,
    subscribe, test_server,
};

#[cfg(feature = "dns")]
use crate::support::dns::DnsServer;
use crate::support::{message::Draft, peer::Peer, program::Server};

mod terminal;

const SIP_CALL: (&str, &str) = ("sip-call", env!("CARGO_BIN_EXE_sip-call"));
const SIP_MESSAGE: (&str, &str) = ("sip-message", env!("CARGO_BIN_EXE_sip-message"));
const SIP_OPTIONS: (&str, &str) = ("sip-options", env!("CARGO_BIN_EXE_sip-options"));
const SIP_PUBLISH_MWI: (&str, &str) = ("sip-publish-mwi", env!("CARGO_BIN_EXE_sip-publish-mwi"));
const SIP_PUBLISH_PRESENCE: (&str, &str) =
    ("sip-publish-presence", env!("CARGO_BIN_EXE_sip-publish-presence"));
const SIP_REGISTER: (&str, &str) = ("sip-register", env!("CARGO_BIN_EXE_sip-register"));
const SIP_TEST_SERVER: (&str, &str) = ("sip-test-server", env!("CARGO_BIN_EXE_sip-test-server"));
const SIP_SETTINGS: (&str, &str) = ("sip-settings", env!("CARGO_BIN_EXE_sip-settings"));
#[cfg(feature = "tls")]
const SIP_TLS_CHECK: (&str, &str) = ("sip-tls-check", env!("CARGO_BIN_EXE_sip-tls-check"));
#[cfg(feature = "xcap")]
const SIP_XCAP: (&str, &str) = ("sip-xcap", env!("CARGO_BIN_EXE_sip-xcap"));
#[cfg(feature = "dns")]
const SIP_DNS: (&str, &str) = ("sip-dns", env!("CARGO_BIN_EXE_sip-dns"));
const PROGRAMS: &[(&str, &str, Manual)] = &[
    (SIP_CALL.0, SIP_CALL.1, call::Args::MANUAL),
    #[cfg(feature = "dns")]
    (SIP_DNS.0, SIP_DNS.1, dns::Args::MANUAL),
    (SIP_MESSAGE.0, SIP_MESSAGE.1, message::Args::MANUAL),
    (SIP_OPTIONS.0, SIP_OPTIONS.1, options::Args::MANUAL),
    (SIP_PUBLISH_MWI.0, SIP_PUBLISH_MWI.1, publish::mwi::Args::MANUAL),
    (SIP_PUBLISH_PRESENCE.0, SIP_PUBLISH_PRESENCE.1, publish::presence::Args::MANUAL),
    (SIP_REGISTER.0, SIP_REGISTER.1, register::Args::MANUAL),
    (SIP_SETTINGS.0, SIP_SETTINGS.1, settings::Args::MANUAL),
    ("sip-stateless-proxy", env!("CARGO_BIN_EXE_sip-stateless-proxy"), proxy::Args::MANUAL),
    (
        "sip-subscribe-conference",
        env!("CARGO_BIN_EXE_sip-subscribe-conference"),
        subscribe::conference::Args::MANUAL,
    ),
    ("sip-subscribe-dialog", env!("CARGO_BIN_EXE_sip-subscribe-dialog"), subscribe::dialog::Args::MANUAL),
    ("sip-subscribe-mwi", env!("CARGO_BIN_EXE_sip-subscribe-mwi"), subscribe::mwi::Args::MANUAL),
    (
        "sip-subscribe-presence",
        env!("CARGO_BIN_EXE_sip-subscribe-presence"),
        subscribe::presence::Args::MANUAL,
    ),
    ("sip-subscribe-reg", env!("CARGO_BIN_EXE_sip-subscribe-reg"), subscribe::reg::Args::MANUAL),
    ("sip-subscribe-rls", env!("CARGO_BIN_EXE_sip-subscribe-rls"), subscribe::rls::Args::MANUAL),
    ("sip-subscribe-winfo", env!("CARGO_BIN_EXE_sip-subscribe-winfo"), subscribe::winfo::Args::MANUAL),
    (
        "sip-subscribe-xcap-diff",
        env!("CARGO_BIN_EXE_sip-subscribe-xcap-diff"),
        subscribe::xcap_diff::Args::MANUAL,
    ),
    (SIP_TEST_SERVER.0, SIP_TEST_SERVER.1, test_server::Args::MANUAL),
    #[cfg(feature = "tls")]
    (SIP_TLS_CHECK.0, SIP_TLS_CHECK.1, sipkit::cli::tls_check::Args::MANUAL),
    #[cfg(feature = "xcap")]
    (SIP_XCAP.0, SIP_XCAP.1, sipkit::cli::xcap::Args::MANUAL),
];

#[test]
fn short_help_fits_a_screen_and_help_is_complete() {
    for &(name, path, _) in PROGRAMS {
        let folder = Folder::new();
        let short = finish(folder.command(path).arg("-h"));
        assert!(short.status.success(), "{name} -h");
        let short = text(&short.stdout);
        let lines = short.lines().count();
        assert!((16..=50).contains(&lines), "{name} -h has {lines} lines");
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
#[cfg(all(feature = "opus", feature = "dns"))]
fn generated_files_are_what_the_programs_generate() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for &(name, path, _) in PROGRAMS {
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
    for (path, flags, told) in [
        (SIP_MESSAGE.1, &["--type", "text", "sip:a@127.0.0.1", "x"][..], "such as text/plain"),
        (SIP_MESSAGE.1, &["--type", "text/plain\r\nX: y", "sip:a@127.0.0.1", "x"], "such as text/plain"),
        (SIP_OPTIONS.1, &["http://127.0.0.1"], "the scheme http is not known"),
        (SIP_OPTIONS.1, &["sip:127.0.0.1:0"], "nobody listens on port 0"),
        (SIP_OPTIONS.1, &["--transport", "tcp", "sip:127.0.0.1;transport=udp"], "contradicts ;transport=udp"),
        (SIP_OPTIONS.1, &["--transport", "udp", "sips:127.0.0.1"], "encrypted, which UDP is not"),
    ] {
        let output = finish(Folder::new().command(path).args(flags));
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {errors}");
        assert!(errors.contains(told) && !errors.contains("DNS"), "{flags:?}: {errors}");
    }
    // So does whoever monitors.
    let output = finish(Folder::new().command(SIP_OPTIONS.1).args(["--monitoring", "--crti", "1s", "sip:a"]));
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).starts_with("SIP UNKNOWN - unexpected argument '--crti'"), "{output:?}");
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
fn settings_are_written_shown_and_used() {
    let folder = Folder::new();
    let run = |words: &[&str], input: &str| {
        let mut command = folder.command(SIP_SETTINGS.1);
        let child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    // A file that is named need not be there to be written, but to be read.
    let named = folder.0.join("new.toml").display().to_string();
    assert_eq!(run(&["list", "--config", &named], "").0, Some(2));
    assert_eq!(run(&["set", "--config", &named, "defaults.account", "x"], "").0, Some(0));
    assert_eq!(run(&["list", "--config", &named], "").1, "defaults.account = x\n");
    let (code, told, _) = run(&["set", "account.work.from", "sip:alice@example.com"], "");
    assert_eq!(code, Some(0));
    assert!(told.contains("sipkit/config.toml: nothing wrong"), "{told}");
    assert_eq!(run(&["set", "account.work.password"], "tops3cret\nrest").0, Some(0));
    assert_eq!(run(&["set", "defaults.account", "work"], "").0, Some(0));
    let (code, told, _) = run(&["list"], "");
    assert_eq!(code, Some(0));
    assert_eq!(
        told,
        "account.work.from = sip:alice@example.com\naccount.work.password is set and not shown\n\
         defaults.account = work\n"
    );
    let (code, told, _) = run(&["show", "account.work.from", "--json"], "");
    assert_eq!(code, Some(0));
    let setting: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&setting["value"], &setting["line"]), (&"sip:alice@example.com".into(), &2.into()));
    for (words, told) in [
        (&["set", "defaults.timeout", "20"][..], "20 has no unit"),
        (&["set", "defaults.timeot", "20s"], "did you mean `timeout`?"),
        (&["set", "account.work.password", "x"], "a password is no argument"),
        (&["set", "account.work"], "a value is missing"),
        (&["show", "media.codec"], "the file does not set media.codec"),
        (&["unset", "media.codec"], "media.codec is not set"),
        (&["list", "media.codec"], "no key is wanted here"),
        (&["shwo"], "a similar value exists: 'show'"),
    ] {
        let (code, _, errors) = run(words, "");
        assert_eq!(code, Some(2), "{words:?}");
        assert!(errors.contains(told), "{words:?}: {errors}");
    }
    assert_eq!(run(&["check"], "").0, Some(0));
    assert_eq!(run(&["unset", "account.work"], "").0, Some(0));
    let (code, _, errors) = run(&["check"], "");
    assert_eq!(code, Some(2));
    assert!(errors.contains("there is no [account.work]"), "{errors}");
    assert_eq!(run(&["devices"], "").0, if cfg!(feature = "audio") { Some(0) } else { Some(2) });
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
    for &(name, _, manual) in PROGRAMS {
        assert!(!manual.examples.is_empty(), "{name}");
        for example in manual.examples {
            assert!(example.command.len() <= 76, "wrapped at 80 columns: {}", example.command);
            let words = words(example.command);
            assert_eq!(words[0], name);
            let parsed = match name {
                "sip-call" => call::Args::try_parse_from(&words).map(drop),
                #[cfg(feature = "dns")]
                "sip-dns" => dns::Args::try_parse_from(&words).map(drop),
                "sip-message" => message::Args::try_parse_from(&words).map(drop),
                "sip-options" => options::Args::try_parse_from(&words).map(drop),
                "sip-publish-mwi" => publish::mwi::Args::try_parse_from(&words).map(drop),
                "sip-publish-presence" => publish::presence::Args::try_parse_from(&words).map(drop),
                "sip-register" => register::Args::try_parse_from(&words).map(drop),
                "sip-settings" => settings::Args::try_parse_from(&words).map(drop),
                "sip-stateless-proxy" => proxy::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-conference" => subscribe::conference::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-dialog" => subscribe::dialog::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-mwi" => subscribe::mwi::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-presence" => subscribe::presence::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-reg" => subscribe::reg::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-rls" => subscribe::rls::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-winfo" => subscribe::winfo::Args::try_parse_from(&words).map(drop),
                "sip-subscribe-xcap-diff" => subscribe::xcap_diff::Args::try_parse_from(&words).map(drop),
                #[cfg(feature = "tls")]
                "sip-tls-check" => sipkit::cli::tls_check::Args::try_parse_from(&words).map(drop),
                #[cfg(feature = "xcap")]
                "sip-xcap" => sipkit::cli::xcap::Args::try_parse_from(&words).map(drop),
                _ => test_server::Args::try_parse_from(&words).map(drop),
            };
            parsed.unwrap_or_else(|error| panic!("{}: {error}", example.command));
        }
    }
}

/// All but the one that no program returns so far.
#[test]
fn the_readme_tells_every_exit_status() {
    let readme = include_str!("../README.md");
    let table = readme.split("## Exit status").nth(1).expect("a section").split("\n## ").next().unwrap();
    let mut told: Vec<u8> = table.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
    told.sort_unstable();
    let unused = [ExitStatus::Media];
    let codes = ExitStatus::ALL.iter().filter(|status| !unused.contains(status));
    assert_eq!(told, codes.map(|status| status.code()).collect::<Vec<_>>());
}

#[test]
fn manual_pages_are_plain_and_tell_every_exit_status() {
    for &(name, path, _) in PROGRAMS {
        let folder = Folder::new();
        let page = finish(folder.command(path).args(["--generate", "man"]));
        assert!(page.stdout.is_ascii(), "{name}: not every troff reads UTF-8");
        let page = text(&page.stdout);
        let table = page.split(".SH \"EXIT STATUS\"").nth(1).expect("a section").replace("\\-", "-");
        let mut rest = table.split(".SH").next().unwrap();
        for status in ExitStatus::ALL {
            let row = format!("\\fB{}\\fR\n{}\n", status.code(), status.meaning());
            let at = rest.find(&row).unwrap_or_else(|| panic!("{name}: no {row:?} in {rest}"));
            rest = &rest[at + row.len()..];
        }
        let file = folder.write("page.1", &page);
        // A formatter that is not there finds nothing wrong.
        let lint =
            [("mandoc", &["-T", "lint", "-W", "warning"][..]), ("groff", &["-ww", "-man", "-Tascii", "-z"])];
        for (formatter, flags) in lint {
            if let Ok(output) = Command::new(formatter).args(flags).arg(&file).output() {
                let told = text(&output.stdout) + &text(&output.stderr);
                assert!(
                    told.is_empty() || formatter == "mandoc" && output.status.success(),
                    "{formatter}: {told}"
                );
            }
        }
    }
}

#[test]
fn completions_are_scripts_of_their_shell() {
    for &(name, path, _) in PROGRAMS {
        for shell in ["bash", "zsh", "fish"] {
            let folder = Folder::new();
            let script = finish(folder.command(path).args(["--generate", shell]));
            let script = folder.write("script", &text(&script.stdout));
            // A shell that is not there has no objections.
            if let Ok(output) = Command::new(shell).arg("-n").arg(&script).output() {
                assert!(output.status.success(), "{name}, {shell}: {}", text(&output.stderr));
            }
        }
    }
    let zsh = text(&finish(Folder::new().command(SIP_CALL.1).args(["--generate", "zsh"])).stdout);
    assert!(zsh.contains(r"]:NAME\: VALUE:") && zsh.contains(r"]:IP[\:PORT]:"), "{zsh}");
}

/// What nobody reads.
fn unread(command: &mut Command) -> Background {
    Background(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn who_does_not_read_standard_output_does_not_keep_a_program() {
    let server = Server::start();
    let target = format!("sip:echo@{}", server.addr);
    let ping = |more: &[&str]| {
        let mut command = Command::new(SIP_OPTIONS.1);
        let flags = ["--json", "--count", "1000000", "--interval", "1ms", "--local", "127.0.0.1", "-H"];
        command.args(flags).arg(format!("X-Long: {}", "x".repeat(100))).args(more).arg(&target);
        unread(&mut command)
    };
    // A pipe takes 64 KiB, we keep a mebibyte.
    let mut program = ping(&["--timeout", "8s"]);
    let begun = Instant::now();
    assert_eq!(wait(&mut program, Duration::from_secs(30)).code(), Some(3));
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    let mut told = String::new();
    program.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("missing from standard output, which was not read"), "{told}");
    // The first Ctrl-C.
    let mut program = ping(&[]);
    thread::sleep(Duration::from_secs(2));
    let pid = nix::unistd::Pid::from_raw(program.0.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(wait(&mut program, Duration::from_secs(10)).code(), Some(130));
    server.stop();
}

#[test]
fn the_deadline_holds_where_nobody_writes_the_password() {
    let folder = Folder::new();
    let pipe = folder.0.join("password");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = folder.command(SIP_OPTIONS.1);
    command.args(["--json", "--timeout", "300ms", "--user", "a", "--password-file"]).arg(&pipe);
    let begun = Instant::now();
    let output = finish(command.arg("sip:a@127.0.0.1:9"));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(text(&output.stdout).contains("\"exit\":3"), "{}", text(&output.stdout));
}

#[test]
fn colour_is_for_terminals_without_no_color() {
    let folder = Folder::new();
    let command = format!("{} --listen 127.0.0.1:0 --timeout 300ms", SIP_TEST_SERVER.1);
    let at_terminal = |no_color: &str| {
        let mut script = folder.command("script");
        script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", no_color);
        script.stderr(Stdio::null()).output().ok().map(|output| text(&output.stdout))
    };
    // Without util-linux there is no terminal to be had.
    if let Some(told) = at_terminal("") {
        assert!(told.contains("\x1b[32mlistening"), "{told:?}");
        let told = at_terminal("1").unwrap();
        assert!(told.contains("listening") && !told.contains("\x1b[3"), "{told:?}");
    }
    let piped = finish(folder.command("sh").args(["-c", &command]).env("TERM", "xterm"));
    assert_eq!(piped.status.code(), Some(3));
    assert!(!text(&piped.stdout).contains('\x1b') && !text(&piped.stderr).contains('\x1b'));
}

#[test]
fn verbose_explains_which_address_and_which_challenge() {
    let folder = Folder::new();
    folder.write("secret", "tops3cret\n");
    let (server, at) = folder.serve(
        "--listen 127.0.0.1:0 --json --user alice --password-file secret --auth-alg SHA-512-256".split(' '),
    );
    let target = format!("sip:tone@{}", at.replace("127.0.0.1", "localhost"));
    let flags =
        "-v --user alice --password-file secret --local 127.0.0.1 --audio none --codec pcmu --duration 300ms";
    let output = finish(folder.command(SIP_CALL.1).args(flags.split(' ')).arg(&target));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for needed in [
        "A/AAAA localhost: 127.0.0.1",
        &format!("requests go to {at} over UDP, from 127.0.0.1:"),
        "(--local says so)",
        "Digest SHA-512-256 for \"sipkit\": chosen",
        "the peer sends PCMU, payload type 0",
    ] {
        assert!(told.contains(needed), "no {needed:?} in {told}");
    }
    assert!(!told.contains("tops3cret"));
    drop(server);
}

#[test]
fn an_account_says_who_calls_and_with_which_password() {
    let folder = Folder::new();
    folder.write("secret", "tops3cret\n");
    let (_server, at) =
        folder.serve("--listen 127.0.0.1:0 --json --user alice --password-file secret".split(' '));
    fs::create_dir(folder.0.join("sipkit")).unwrap();
    let config = format!(
        "[defaults]\naccount = \"work\"\n[media]\naudio = \"none\"\n\
         [account.work]\nfrom = \"sip:alice@example.com\"\npassword = \"tops3cret\"\nproxy = \"sip:{at}\"\n\
         [account.guest]\nfrom = \"sip:guest@example.com\"\nproxy = \"sip:{at}\"\n"
    );
    folder.write("sipkit/config.toml", &config);
    let call = |more: &[&str]| {
        let flags = ["--json", "--duration", "200ms", "sip:tone@example.com"];
        finish(folder.command(SIP_CALL.1).args(more).args(flags))
    };
    for (more, code, from) in [
        (&[][..], 0, "sip:alice@example.com"),
        (
            &["--account", "work", "--from", "sip:bob@example.com", "--user", "alice"],
            0,
            "sip:bob@example.com",
        ),
        (&["--account", "guest"], 13, "sip:guest@example.com"),
    ] {
        let output = call(more);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {}", text(&output.stderr));
        let calling: Value = serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
        assert_eq!((&calling["event"], &calling["from"]), (&"calling".into(), &from.into()), "{more:?}");
    }
    let unknown = call(&["--account", "wokr"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean work?"), "{}", text(&unknown.stderr));
}

#[test]
fn a_message_is_shown_harmlessly_and_as_data() {
    let server = Server::start();
    let peer = Peer::new();
    let mut page = Draft::new("MESSAGE", server.uri("alice"), peer.addr).more("Content-Type: text/plain\r\n");
    page.body = "Watson, come here\x1b[2J\n".into();
    assert_eq!(peer.ask(server.addr, &page).status(), Some(200));
    let told = server.program.event("request");
    assert_eq!(told["text"], "Watson, come here\x1b[2J\n");
    assert_eq!((&told["method"], &told["call_id"]), (&"MESSAGE".into(), &Value::from(page.call_id.as_str())));
    // What was answered, whatever that was.
    for (more, status) in [("", 200), ("Require: magic\r\n", 420)] {
        let ask = Draft::new("OPTIONS", server.uri("alice"), peer.addr).more(more);
        assert_eq!(peer.ask(server.addr, &ask).status(), Some(status));
        let line = server.program.line(&format!("\"call_id\":\"{}\"", ask.call_id));
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&told["method"], &told["code"]), (&"OPTIONS".into(), &status.into()), "{told}");
    }
    server.stop();

    let folder = Folder::new();
    let mut server = folder.command(SIP_TEST_SERVER.1);
    let mut server = Background(server.args("--listen 127.0.0.1:0 --timeout 1m".split(' ')).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let listening = lines.next().unwrap();
    let at = listening.split_whitespace().find_map(|word| word.parse().ok()).expect("an address");
    page = Draft::new("MESSAGE", format!("sip:alice@{at}"), peer.addr).more(&page.more);
    page.body = "Watson, come here\x1b[2J\n".into();
    peer.ask(at, &page);
    let line = lines.find(|line| !line.contains("listening")).unwrap();
    assert!(line.ends_with(r": 200, “Watson, come here\x1b[2J”"), "{line}");
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
    let flags = ["--json", "--audio", "none", "--duration", "500ms", "--timeout", "20s", &target];
    let calling = finish(folder.command(SIP_CALL.1).args(flags));
    assert_eq!(calling.status.code(), Some(0), "calling {command}: {}", text(&calling.stderr));
    let told = text(&calling.stdout);
    let at = |event: &str| told.find(&format!("\"event\":\"{event}\"")).expect("told");
    assert!(at("ringing") < at("answered"), "it rings first: {told}");
    assert!(wait(&mut answering, Duration::from_secs(10)).success(), "{command}");
}

#[cfg(feature = "dns")]
#[test]
fn manual_examples_of_sip_dns_work() {
    let dns = DnsServer::new("_sip._tcp.example.com SRV 1 1 5060 a.example.com\na.example.com A 192.0.2.1\n");
    for example in dns::Args::MANUAL.examples {
        let command = example.command.replace("127.0.0.1:5353", &dns.addr.to_string());
        let output = finish(Folder::new().command(SIP_DNS.1).args(&words(&command)[1..]));
        let (told, errors) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{command}: {errors}");
        let wanted = match command.as_str() {
            command if command.contains("--json") => "{\"event\":\"targets\"",
            command if command.contains("--count") => "100.00 %",
            command if command.contains("tcp") => "192.0.2.1:5060 over TCP",
            command if command.contains("sips:") => "192.0.2.1:5061 over TLS",
            _ => ":5060 over UDP, localhost",
        };
        assert!(told.contains(wanted), "{command}: no {wanted:?} in {told}");
    }
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
fn wait(child: &mut Background, limit: Duration) -> std::process::ExitStatus {
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
