//! What reading a message and what a call cost, in instructions, which do not depend on what else the machine does.
//!
//! Counted by callgrind in builds of the syntax layer alone (`benches/message`) and of the layers up to calls
//! (`benches/calls`), optimised as the programs that are shipped. The counts of one compiler, processor level and C library are recorded in
//! `benches/instructions.txt`; there a count may not grow by more than a tenth. Anywhere else, and without
//! valgrind, the counts are printed and nothing fails. `UPDATE=1` records them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

/// Everything in one test, because it is one record.
#[test]
fn what_messages_and_calls_cost() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("no valgrind, so no instructions are counted: `make test` installs it");
        return;
    }
    let bench = Bench::build("message", "parse_bench");
    let mut counts = bench.counts();
    let calls = Bench::build("calls", "call_bench");
    counts.extend(CALLS.map(|mode| ((mode.to_owned(), "call".to_owned()), calls.instructions(mode, None))));
    let found = Record { environment: environment(), counts };
    let path = root().join("benches/instructions.txt");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, found.to_string()).unwrap();
    }
    let recorded = Record::parse(&fs::read_to_string(&path).unwrap());
    println!("{}", found.beside(&recorded));
    if found.environment == recorded.environment {
        found.assert_no_growth(&recorded);
    } else {
        println!(
            "not compared: this is {:?}, the record is of {:?}",
            found.environment, recorded.environment
        );
    }
    bench.assert_linear();
}

/// What is counted.
const CASES: [(&str, &str); 8] = [
    ("scan", "invite.sip"),
    ("scan", "invite2route.sip"),
    ("full", "invite.sip"),
    ("full", "invite2route.sip"),
    ("full", "ok.sip"),
    ("full", "register.sip"),
    ("edit", "invite.sip"),
    ("edit", "invite2route.sip"),
];

/// What is counted of a call, caller and callee together: `examples/call_bench.rs` says what.
const CALLS: [&str; 2] = ["transactions", "calls"];

/// By how much a count may exceed the recorded one, in percent.
const GROWTH: u64 = 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Bench {
    program: PathBuf,
    /// Where inputs are written and callgrind leaves its counts.
    folder: PathBuf,
}

impl Bench {
    fn build(name: &str, program: &str) -> Self {
        let package = root().join("benches").join(name);
        // The versions of the library's own dependencies; cargo drops what this package does not need.
        fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let folder = target.join("counts");
        fs::create_dir_all(&folder).unwrap();
        Self { program: target.join("release").join(program), folder }
    }

    fn counts(&self) -> BTreeMap<(String, String), u64> {
        thread::scope(|scope| {
            let count = |(mode, file): (&str, &str)| {
                let path = root().join("benches/data").join(file);
                ((mode.to_owned(), file.to_owned()), self.instructions(mode, Some(&path)))
            };
            let (left, right) = CASES.split_at(CASES.len() / 2);
            let left = scope.spawn(move || left.iter().copied().map(count).collect::<Vec<_>>());
            let mut counts: BTreeMap<_, _> = right.iter().copied().map(count).collect();
            counts.extend(left.join().unwrap());
            counts
        })
    }

    /// Instructions for one message, or call: a longer run less a shorter one, so that starting does not count.
    fn instructions(&self, mode: &str, file: Option<&Path>) -> u64 {
        let total = |iterations: u64| {
            let of = file.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            let name = format!("{mode}-{of}-{iterations}");
            let counts = self.folder.join(name);
            let run = Command::new("valgrind")
                .args(["--tool=callgrind", "--quiet"])
                .arg(format!("--callgrind-out-file={}", counts.display()))
                .arg(&self.program)
                .arg(mode)
                .args(file)
                .arg(iterations.to_string())
                .output()
                .unwrap();
            assert!(run.status.success(), "{mode} {file:?}: {}", String::from_utf8_lossy(&run.stderr));
            let text = fs::read_to_string(&counts).unwrap();
            let summary = text.lines().find_map(|line| line.strip_prefix("summary: ")).unwrap();
            summary.trim().parse::<u64>().unwrap()
        };
        // With its warm-up, 20 iterations run 22 times and 10 run 11 times.
        (total(20) - total(10)) / 11
    }

    /// Hostile input costs no more than a few ordinary messages of its length, or of its number of values: nothing
    /// is looked at again and again.
    fn assert_linear(&self) {
        let cost = |name: &str, text: &[u8]| {
            let path = self.folder.join(name);
            fs::write(&path, text).unwrap();
            self.instructions("check", Some(&path)) as f64
        };
        let message = fs::read(root().join("benches/data/invite.sip")).unwrap();
        let ordinary = cost("ordinary", &message);
        let octet = ordinary / message.len() as f64;
        println!("octets  instructions/octet  input ({octet:.1} for an ordinary message)");
        let mut dear = Vec::new();
        for (name, text) in hostile() {
            let found = cost(name, text.as_bytes()) / text.len() as f64;
            println!("{:6}  {found:18.1}  {name}", text.len());
            if found > 4.0 * octet {
                dear.push(name);
            }
        }
        let value = ordinary / ORDINARY_VALUES;
        println!("values  instructions/value  input ({value:.1} for an ordinary message)");
        for (name, values, text) in dense() {
            let found = cost(name, text.as_bytes()) / values as f64;
            println!("{values:6}  {found:18.1}  {name}");
            if found > 3.0 * value {
                dear.push(name);
            }
        }
        assert!(dear.is_empty(), "too many times what a message costs: {dear:?}");
    }
}

/// Inputs that would take long if anything were looked at again and again, or if there were much to do for a few
/// octets: each close to 64 KiB. An octet may cost as much as four of an ordinary message.
fn hostile() -> Vec<(&'static str, String)> {
    vec![
        ("parentheses", message(format!("Retry-After: 1 {}\r\n", "(".repeat(64_000)))),
        ("parentheses in pairs", message(format!("Retry-After: 1 ({})\r\n", "()".repeat(32_000)))),
        (
            "parentheses nested",
            message(format!("Retry-After: 1 {}{}\r\n", "(".repeat(32_000), ")".repeat(32_000))),
        ),
        ("parentheses in a product", row("User-Agent", "(")),
        ("10000 header fields", message("z:b\r\n".repeat(10_000))),
        ("10000 Contacts", message("m:*\r\n".repeat(10_000))),
        ("10000 malformed header fields", message("a:b\r\n".repeat(10_000))),
        ("10000 malformed Vias", message("v:a\r\n".repeat(10_000))),
        ("3000 Vias", message("Via:SIP/2.0/UDP a;b\r\n".repeat(3_000))),
        ("folds", row("Subject", "\r\n ")),
        ("folds in a list", row("Allow", "\r\n A,")),
        ("folds before a value", message(format!("Via: {}SIP/2.0/UDP a\r\n", "\r\n ".repeat(21_000)))),
        ("nothing but commas", row("Contact", ",")),
        ("commas and no brackets", row("Contact", "a b,")),
        ("quotes and commas", row("Contact", "\",")),
        ("stars and commas", row("Contact", "*,")),
        ("commas in a list of tokens", row("Supported", "a,")),
        ("commas in Warning", row("Warning", "1,")),
        ("commas in Accept", row("Accept", "*/*,")),
        ("commas in Accept-Encoding", row("Accept-Encoding", "a,")),
        ("commas in History-Info", row("History-Info", "<sip:a>,")),
        ("commas and feature tags", row("Accept-Contact", "*;a=\"<b>\",")),
        ("commas in a product", row("User-Agent", ",")),
        ("addresses", row("Contact", "<sip:a@b.example>, ")),
        ("open brackets", row("Route", "<")),
        ("open brackets and commas", row("Route", "<,")),
        ("quotes", row("Contact", "\"")),
        ("backslashes", row("Contact", "\"\\")),
        ("semicolons", row("From", ";")),
        ("parameters", row("Via", "SIP/2.0/UDP a;b;c=d;e;f=\"g\";h,")),
        ("parameters of one Via", message(format!("Via: SIP/2.0/UDP a{}\r\n", ";a".repeat(32_000)))),
        ("parameters of one URI", message(format!("To: <sip:a{}>\r\n", ";a".repeat(32_000)))),
        ("header fields of a URI", message(format!("To: <sip:a?{}a=b>\r\n", "a=b&".repeat(16_000)))),
        ("escapes", message(format!("To: <sip:{}@b>\r\n", "%41".repeat(21_000)))),
        ("at signs", row("To", "sip:@")),
        ("spaces", row("To", " ")),
        ("credentials", row("WWW-Authenticate", "Digest a=b,")),
        ("octets beyond ASCII", row("From", "é")),
    ]
}

/// Sound values of a few octets each, and how many those are: what one costs, whatever its length, weighs more here
/// than the octets, which by themselves cost more than four of an ordinary message. A value may cost as much as three
/// of an ordinary message.
fn dense() -> Vec<(&'static str, usize, String)> {
    let values = |name, field: &str, value: &str| {
        let text = row(field, value);
        (name, text.matches(value).count(), text)
    };
    vec![
        values("reasons of one octet", "Reason", "a,"),
        values("mechanisms of one octet", "Security-Client", "a,"),
        values("addresses of three octets", "P-Asserted-Identity", "a:b,"),
        values("addresses of seven octets", "Route", "<sip:a>,"),
        values("addresses with an index", "History-Info", "<a:b>;index=1,"),
    ]
}

/// The values in the message for comparison.
const ORDINARY_VALUES: f64 = 29.0;

fn message(rows: String) -> String {
    format!("OPTIONS sip:a@b SIP/2.0\r\n{rows}\r\n")
}

/// A message of one row.
fn row(name: &str, piece: &str) -> String {
    message(format!("{name}: {}\r\n", piece.repeat((65_000 - 40) / piece.len())))
}

/// On what the counts depend besides the sources.
fn environment() -> Vec<String> {
    let output = |command: &mut Command| {
        let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        output.unwrap_or_default()
    };
    let rustc = output(Command::new("rustc").arg("-vV"));
    let rustc = |field: &str| {
        rustc.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("unknown").trim().to_owned()
    };
    // memchr chooses its code by this.
    #[cfg(target_arch = "x86_64")]
    let level = if is_x86_feature_detected!("avx2") { "avx2" } else { "sse2" };
    #[cfg(not(target_arch = "x86_64"))]
    let level = "other";
    let libc = output(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    vec![
        format!("rustc {}", rustc("release:")),
        format!("host {}", rustc("host:")),
        format!("processor {level}"),
        format!("libc {}", libc.trim()),
        format!("flags {flags}").trim_end().to_owned(),
    ]
}

struct Record {
    environment: Vec<String>,
    counts: BTreeMap<(String, String), u64>,
}

impl Record {
    fn parse(text: &str) -> Self {
        let mut record = Self { environment: Vec::new(), counts: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                [mode, file, count] if count.parse::<u64>().is_ok() => {
                    record.counts.insert((mode.to_owned(), file.to_owned()), count.parse().unwrap());
                }
                _ => record.environment.push(line.to_owned()),
            }
        }
        record
    }

    fn beside(&self, recorded: &Self) -> String {
        let mut table = String::from("mode          what                instructions    recorded\n");
        for (case @ (mode, file), count) in &self.counts {
            let before = recorded.counts.get(case).copied().unwrap_or_default();
            writeln!(table, "{mode:13} {file:18} {count:13} {before:11}").unwrap();
        }
        table
    }

    fn assert_no_growth(&self, recorded: &Self) {
        let keys: Vec<_> = self.counts.keys().collect();
        assert_eq!(keys, recorded.counts.keys().collect::<Vec<_>>(), "UPDATE=1 records new cases");
        for (case, count) in &self.counts {
            let before = recorded.counts[case];
            assert!(
                count * 100 <= before * (100 + GROWTH),
                "{} {}: {count} instructions, {before} recorded; if that is meant, record it with UPDATE=1",
                case.0,
                case.1
            );
        }
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "# Instructions for one message or call, as tests/instructions.rs counts them, and on what they depend."
        )?;
        self.environment.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.counts.iter().try_for_each(|((mode, file), count)| writeln!(f, "{mode} {file} {count}"))
    }
}
