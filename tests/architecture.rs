//! The borders that one crate cannot enforce by itself: which layer may import which (the import table of
//! ARCHITECTURE.md), where the clock, sockets and threads may be touched, where `unsafe` may stand, and how long a
//! file may grow. It reads the sources as tokens, so comments and strings never trigger it. It does not expand
//! macros and does not follow re-exports: a path has to name the module that it comes from.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The import table. A module may import from the rows above it, never from its own row or below.
const ROWS: &[&[&str]] = &[
    &["time", "util"],
    &["message", "sdp", "presence", "media", "msrp"],
    &["auth", "transport"],
    &["resolve", "transaction", "xcap"],
    &["stack"],
    &["dialog", "location"],
    &["ua", "proxy", "registrar"],
    &["endpoint", "sim"],
    &["phone"],
    &["cli"],
];
/// The row of the programs in src/bin, below everything.
const PROGRAMS: usize = ROWS.len();
const ENDPOINT: usize = 7;

/// Imports inside one row that the table names: the timing wheel of `util` counts in `time::Instant`.
const NAMED: &[(&str, &str)] = &[("util", "time")];

/// Where rows 0–6 may touch sockets, the clock and threads all the same.
const DOERS: &[&str] =
    &["transport/udp", "transport/stream", "transport/tls", "transport/ws", "resolve/system", "media/device"];
const UNSAFE: &[&str] = &["transport/udp", "media/device"];

const MAX_LINES: usize = 1000;
const MAX_PROGRAM_LINES: usize = 150;

const CRATES_THAT_DO: &[&str] = &["tokio", "socket2", "mio", "nix", "libc", "cpal"];
const SOCKETS: &[&str] = &[
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "TcpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "to_socket_addrs",
];
/// Paths that stop a decider from being one. Each is matched as consecutive path segments.
const CLOCKS: &[&[&str]] = &[&["Instant", "now"], &["SystemTime", "now"], &["UNIX_EPOCH", "elapsed"]];
/// Paths by which a program could open a socket although its crate is fine to use for other things.
const SOCKET_PATHS: &[&[&str]] = &[&["tokio", "net"], &["nix", "sys", "socket"], &["libc", "socket"]];

#[test]
fn the_sources_keep_to_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 3, "found no sources under {}", root.display());
    let mut found = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name =
            path.strip_prefix(&root).expect("listed under the root").to_string_lossy().replace('\\', "/");
        found.extend(check(&name, &text));
    }
    let report: String = found.iter().map(|v| format!("\n  {v}")).collect();
    assert!(found.is_empty(), "{} violation(s) of the architecture:{report}", found.len());
}

/// Two providers of cryptography in one program panic at run time, so there is ring and no other.
#[test]
fn no_dependency_brings_another_cryptography() {
    let lock =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("Cargo.lock");
    assert!(lock.contains("name = \"ring\""));
    for name in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in Cargo.lock");
    }
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("a readable folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// One broken rule, printed as an editor can jump to it.
#[derive(Debug, PartialEq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Every rule broken by one file; `name` is its path below src/, such as `lib/ua/call/uac.rs`.
fn check(name: &str, text: &str) -> Vec<Violation> {
    let tokens = test_marked(tokens(text), name);
    let file = File::of(name);
    let mut found = Vec::new();
    let mut say = |line: usize, what: String| found.push(Violation { file: name.to_string(), line, what });

    let Some(row) = file.row else {
        say(1, format!("`{}` is in no row of the import table of tests/architecture.rs", file.module()));
        return found;
    };
    if !file.is_crate_root() {
        for import in imports(&tokens, &file) {
            if let Some(what) = refuse_import(&file, row, &import.module) {
                say(import.line, what);
            }
        }
    }
    for (at, token) in tokens.iter().enumerate() {
        if token.is("unsafe") {
            if !file.is_in(UNSAFE) {
                say(token.line, format!("`unsafe` outside {}", UNSAFE.join(", ")));
            } else if tokens.get(at + 1).is_some_and(|t| t.is("{")) && !has_safety_comment(text, token.line) {
                say(token.line, "an `unsafe` block without a `// SAFETY:` line above it".into());
            }
        }
        if token.test {
            continue;
        }
        if let Some(what) = refuse_doing(&tokens, at, row, &file) {
            say(token.line, what);
        }
    }
    let own = lines_outside_tests(text, &tokens);
    let limit = if row == PROGRAMS { MAX_PROGRAM_LINES } else { MAX_LINES };
    if own > limit {
        say(limit + 1, format!("{own} lines without tests, more than {limit}: split the file"));
    }
    found
}

fn refuse_import(file: &File, row: usize, module: &str) -> Option<String> {
    let own = file.module();
    if module == own {
        return None;
    }
    if module == "*" || module == "as" {
        return Some("the crate root must not be imported whole: name the module".into());
    }
    let Some(target) = row_of(module) else {
        return Some(format!(
            "crate::{module} is no module of the import table: name the module it comes from"
        ));
    };
    if target < row || NAMED.contains(&(own, module)) {
        return None;
    }
    let how = if target == row { "of the same row" } else { "of a row below" };
    Some(format!("`{own}` (row {row}) must not import crate::{module} (row {target}), a module {how}"))
}

/// Refuses what only the doing part of the program may do, at the token `at`.
fn refuse_doing(tokens: &[Token], at: usize, row: usize, file: &File) -> Option<String> {
    let token = &tokens[at];
    // `sim` drives stacks as the endpoint does, but on a virtual clock.
    let decides = (row < ENDPOINT && !file.is_in(DOERS)) || file.module() == "sim";
    let opens_no_sockets = decides || row > ENDPOINT;
    if decides {
        // A crate name starts a path; `cx.nix` or `fn tokio` would not.
        let starts_path = tokens.get(at + 1).is_some_and(|t| t.is("::")) && !preceded_by(tokens, at, "::");
        let imported = preceded_by(tokens, at, "use");
        if CRATES_THAT_DO.contains(&token.text.as_str()) && (starts_path || imported) {
            return Some(format!("`{}` in a module that only decides", token.text));
        }
        for path in CLOCKS {
            if path_at(tokens, at, path) {
                return Some(format!(
                    "`{}` in a module that only decides: take `now` as an argument",
                    path.join("::")
                ));
            }
        }
        let thread = token.is("thread")
            && (path_at(tokens, at, &["thread"]) && tokens.get(at + 1).is_some_and(|t| t.is("::"))
                || preceded_by(tokens, at, "::"));
        if thread || token.is("thread_local") {
            return Some(format!("`{}` in a module that only decides", token.text));
        }
    }
    if opens_no_sockets {
        if SOCKETS.contains(&token.text.as_str()) || token.is("socket2") {
            return Some(format!("`{}`: this layer opens no sockets", token.text));
        }
        for path in SOCKET_PATHS {
            if path_at(tokens, at, path) {
                return Some(format!("`{}`: this layer opens no sockets", path.join("::")));
            }
        }
    }
    None
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// Where a file stands in the module tree.
struct File {
    /// The module path, such as `["ua", "call", "uac"]`; empty for the crate root and the programs.
    path: Vec<String>,
    row: Option<usize>,
}

impl File {
    fn of(name: &str) -> File {
        let Some(inside) = name.strip_prefix("lib/") else {
            return File { path: Vec::new(), row: Some(PROGRAMS) };
        };
        let stem = inside.strip_suffix(".rs").unwrap_or(inside);
        if stem == "lib" {
            return File { path: Vec::new(), row: Some(0) };
        }
        let mut path: Vec<String> = stem.split('/').map(str::to_string).collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        let row = path.first().and_then(|module| row_of(module));
        File { path, row }
    }

    fn module(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    fn is_crate_root(&self) -> bool {
        self.path.is_empty() && self.row == Some(0)
    }

    /// True under one of these folders or in the file of that name.
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            let place: Vec<&str> = place.split('/').collect();
            self.path.len() >= place.len() && self.path.iter().zip(&place).all(|(own, want)| own == want)
        })
    }
}

struct Import {
    line: usize,
    /// The first module below the crate root; `*` and `as` stand for the root itself.
    module: String,
}

/// All paths that start at the crate root, written `crate::…`, `sipkit::…` or with enough `super::`s.
fn imports(tokens: &[Token], file: &File) -> Vec<Import> {
    let mut found = Vec::new();
    // Inline modules (`mod tests { … }`) deepen the path that `super` climbs.
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0;
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.text.as_str() {
            "{" => {
                let opens_module = at >= 2 && tokens[at - 2].is("mod");
                braces += 1;
                if opens_module {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces = braces.saturating_sub(1);
            }
            "crate" | "sipkit"
                if tokens.get(at + 1).is_some_and(|t| t.is("::")) && !preceded_by(tokens, at, "::") =>
            {
                from_root(tokens, at + 2, &mut found);
            }
            "crate" | "sipkit" if preceded_by(tokens, at, "use") => {
                found.push(Import { line: token.line, module: "as".into() });
            }
            "super" if !preceded_by(tokens, at, "::") => {
                let mut climbed = 0;
                while tokens.get(at).is_some_and(|t| t.is("super")) {
                    climbed += 1;
                    at += if tokens.get(at + 1).is_some_and(|t| t.is("::")) { 2 } else { 1 };
                }
                if !file.path.is_empty() && climbed >= file.path.len() + inline.len() {
                    from_root(tokens, at, &mut found);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads what follows `crate::`: a name, `*`, or a group in braces of which each element names its own module.
fn from_root(tokens: &[Token], at: usize, found: &mut Vec<Import>) {
    let Some(first) = tokens.get(at) else { return };
    if !first.is("{") {
        found.push(Import { line: first.line, module: first.text.clone() });
        return;
    }
    let mut depth = 0;
    let mut expected = true;
    for token in &tokens[at..] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
            "," if depth == 1 => expected = true,
            "self" if depth == 1 => expected = false,
            _ if depth == 1 && expected => {
                found.push(Import { line: token.line, module: token.text.clone() });
                expected = false;
            }
            _ => {}
        }
    }
}

/// True when the token before `at` is `text`.
fn preceded_by(tokens: &[Token], at: usize, text: &str) -> bool {
    at.checked_sub(1).and_then(|before| tokens.get(before)).is_some_and(|t| t.is(text))
}

/// True when the tokens from `at` on are this path. A group counts too: `tokio::{net, time}` holds `tokio::net`.
fn path_at(tokens: &[Token], at: usize, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    if !tokens.get(at).is_some_and(|t| t.is(first)) {
        return false;
    }
    if rest.is_empty() {
        return true;
    }
    if !tokens.get(at + 1).is_some_and(|t| t.is("::") || t.is(".")) {
        return false;
    }
    if !tokens.get(at + 2).is_some_and(|t| t.is("{")) {
        return path_at(tokens, at + 2, rest);
    }
    let mut depth = 0;
    for (offset, token) in tokens[at + 2..].iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return false,
            "}" => depth -= 1,
            _ if depth == 1 && path_at(tokens, at + 2 + offset, rest) => return true,
            _ => {}
        }
    }
    false
}

/// A `SAFETY:` comment on the line itself or in the few lines above it.
fn has_safety_comment(text: &str, line: usize) -> bool {
    text.lines().take(line).skip(line.saturating_sub(6)).any(|l| l.contains("SAFETY:"))
}

fn lines_outside_tests(text: &str, tokens: &[Token]) -> usize {
    let mut in_test = vec![false; text.lines().count() + 2];
    let mut open: Option<usize> = None;
    for token in tokens {
        match (token.test, open) {
            (true, None) => open = Some(token.line),
            (false, Some(from)) => {
                in_test[from..token.line].fill(true);
                open = None;
            }
            _ => {}
        }
    }
    if let Some(from) = open {
        in_test[from..].fill(true);
    }
    (1..=text.lines().count()).filter(|line| !in_test[*line]).count()
}

#[derive(Clone, Debug)]
struct Token {
    line: usize,
    text: String,
    /// Belongs to an item marked `#[cfg(test)]`, or to a file of tests.
    test: bool,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// Marks the items behind `#[cfg(test)]`, and whole files that are declared as such where they are mounted.
fn test_marked(mut tokens: Vec<Token>, name: &str) -> Vec<Token> {
    let file = name.rsplit('/').next().unwrap_or(name);
    if file == "tests.rs" || name.contains("/tests/") {
        tokens.iter_mut().for_each(|t| t.test = true);
        return tokens;
    }
    let mut at = 0;
    while at < tokens.len() {
        let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
        let here =
            attribute.iter().enumerate().all(|(i, want)| tokens.get(at + i).is_some_and(|t| t.is(want)));
        if !here {
            at += 1;
            continue;
        }
        let from = at;
        at += attribute.len();
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let ends = depth == 0 && (tokens[at].is("}") || tokens[at].is(";"));
            at += 1;
            if ends {
                break;
            }
        }
        tokens[from..at].iter_mut().for_each(|t| t.test = true);
    }
    tokens
}

/// Identifiers, `::` and single punctuation marks; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let s: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    let peek = |at: usize| s.get(at).copied().unwrap_or('\0');
    while at < s.len() {
        let c = s[at];
        match c {
            '\n' => {
                line += 1;
                at += 1;
            }
            '/' if peek(at + 1) == '/' => {
                while at < s.len() && s[at] != '\n' {
                    at += 1;
                }
            }
            '/' if peek(at + 1) == '*' => {
                let mut depth = 0;
                while at < s.len() {
                    if s[at] == '/' && peek(at + 1) == '*' {
                        depth += 1;
                        at += 2;
                    } else if s[at] == '*' && peek(at + 1) == '/' {
                        depth -= 1;
                        at += 2;
                        if depth == 0 {
                            break;
                        }
                    } else {
                        line += usize::from(s[at] == '\n');
                        at += 1;
                    }
                }
            }
            '"' => at = after_string(&s, at + 1, 0, false, &mut line),
            '\'' => {
                // 'a' and '\n' are characters; 'a in <'a> is a lifetime.
                if peek(at + 1) == '\\' {
                    at += 3;
                    while at < s.len() && s[at] != '\'' {
                        at += 1;
                    }
                    at += 1;
                } else if peek(at + 2) == '\'' {
                    line += usize::from(peek(at + 1) == '\n');
                    at += 3;
                } else {
                    at += 1;
                    while peek(at).is_alphanumeric() || peek(at) == '_' {
                        at += 1;
                    }
                }
            }
            _ if c.is_alphabetic() || c == '_' => {
                let from = at;
                while peek(at).is_alphanumeric() || peek(at) == '_' {
                    at += 1;
                }
                let word: String = s[from..at].iter().collect();
                let raw = matches!(word.as_str(), "r" | "br" | "cr");
                let hashes = s[at..].iter().take_while(|c| **c == '#').count();
                if raw && peek(at + hashes) == '"' {
                    at = after_string(&s, at + hashes + 1, hashes, true, &mut line);
                } else if matches!(word.as_str(), "b" | "c") && matches!(peek(at), '"' | '\'') {
                    // The quote that follows is handled by itself.
                } else if raw && hashes == 1 {
                    at += 1; // r#type: the name follows
                } else {
                    out.push(Token { line, text: word, test: false });
                }
            }
            ':' if peek(at + 1) == ':' => {
                out.push(Token { line, text: "::".into(), test: false });
                at += 2;
            }
            _ if c.is_whitespace() => at += 1,
            _ => {
                out.push(Token { line, text: c.to_string(), test: false });
                at += 1;
            }
        }
    }
    out
}

/// The position behind a string that is open at `at`; `raw` ones end at a quote with that many hashes.
fn after_string(s: &[char], mut at: usize, hashes: usize, raw: bool, line: &mut usize) -> usize {
    while at < s.len() {
        match s[at] {
            '\n' => *line += 1,
            '\\' if !raw => {
                *line += usize::from(s.get(at + 1) == Some(&'\n'));
                at += 1;
            }
            '"' if s[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                return at + 1 + hashes;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// The checker's own tests: each rule refuses what it must, and nothing else.
mod checker {
    use super::check;

    #[track_caller]
    fn refuses(file: &str, text: &str, line: usize, part: &str) {
        let found = check(file, text);
        assert!(
            found.iter().any(|v| v.line == line && v.what.contains(part)),
            "{file} should be refused at line {line} with {part:?}; found {found:?}"
        );
        assert!(found.iter().all(|v| v.to_string().starts_with(&format!("src/{file}:"))));
    }

    #[track_caller]
    fn accepts(file: &str, text: &str) {
        assert_eq!(check(file, text), [], "{file}:\n{text}");
    }

    #[test]
    fn imports_go_up_only() {
        accepts("lib/stack/mod.rs", "use crate::message::Message;\nuse crate::transaction::{self, Cx};");
        refuses("lib/message/mod.rs", "\nuse crate::stack::Cx;", 2, "row below");
        refuses("lib/sdp/mod.rs", "use crate::message::Uri;", 1, "same row");
        refuses("lib/endpoint/shard.rs", "fn f() { crate::sim::World::new(); }", 1, "same row");
        refuses("lib/phone/mod.rs", "use crate::cli;", 1, "row below");
        refuses("lib/time.rs", "use crate::util::slab;", 1, "same row");
        accepts("lib/util/wheel.rs", "use crate::time::Instant;");
        accepts(
            "lib/ua/call/uac.rs",
            "use crate::ua::account::Account; use super::offer; use super::super::usage;",
        );
    }

    #[test]
    fn groups_are_taken_apart() {
        accepts("lib/ua/mod.rs", "use crate::{dialog, message::{Request, Response}, stack::Cx};");
        refuses(
            "lib/ua/mod.rs",
            "use crate::{\n dialog,\n message::{cli, ua},\n endpoint::{Endpoint},\n};",
            4,
            "endpoint",
        );
        refuses("lib/auth/mod.rs", "use crate::{time::Instant, transport};", 1, "transport");
    }

    #[test]
    fn super_is_followed_to_the_root() {
        refuses("lib/media/codec/g711.rs", "use super::super::super::message::Uri;", 1, "message");
        refuses("lib/media/mod.rs", "use super::sdp::Sdp;", 1, "sdp");
        accepts("lib/media/mod.rs", "#[cfg(test)] mod tests { use super::*; use super::jitter; }");
        refuses("lib/media/mod.rs", "#[cfg(test)]\nmod tests {\n use super::super::stack; }", 3, "stack");
        refuses("lib/media/mod.rs", "mod a { } use super::stack::Cx;", 1, "stack");
    }

    #[test]
    fn the_root_is_not_a_way_round() {
        refuses("lib/ua/mod.rs", "use crate::*;", 1, "root");
        refuses("lib/ua/mod.rs", "use crate as root;", 1, "root");
        refuses("lib/ua/mod.rs", "use crate::Endpoint;", 1, "name the module");
        accepts("lib/lib.rs", "pub use crate::endpoint::Endpoint; pub use cli::run;");
        refuses("lib/nonsense/mod.rs", "", 1, "no row");
    }

    #[test]
    fn deciders_do_nothing() {
        for (text, part) in [
            ("use tokio::sync::mpsc;", "tokio"),
            ("fn f() { tokio::spawn(x); }", "tokio"),
            ("use std::net::UdpSocket;", "UdpSocket"),
            ("use std::net::{IpAddr, TcpStream};", "TcpStream"),
            ("let t = std::time::Instant::now();", "Instant::now"),
            ("let t = SystemTime::now();", "SystemTime::now"),
            ("std::thread::sleep(d);", "thread"),
            ("use std::thread;", "thread"),
            ("use socket2::Socket;", "socket2"),
        ] {
            refuses("lib/transaction/table.rs", text, 1, part);
            refuses("lib/sim/world.rs", text, 1, part);
            refuses("lib/transport/mod.rs", text, 1, part);
            for doer in
                ["transport/udp/linux.rs", "transport/stream.rs", "resolve/system.rs", "media/device/cpal.rs"]
            {
                accepts(&format!("lib/{doer}"), text);
            }
            accepts("lib/endpoint/shard.rs", text);
            accepts(
                "lib/transaction/table.rs",
                &format!("#[cfg(test)]\nmod tests {{ fn f() {{ {text} }} }}"),
            );
            accepts("lib/transaction/tests.rs", text);
        }
        accepts(
            "lib/transport/mod.rs",
            "use std::time::SystemTime; use std::net::SocketAddr; // Instant::now()",
        );
        accepts(
            "lib/stack/mod.rs",
            "let now = cx.now(); let text = \"std::thread::spawn\"; let n = r#\"tokio::x\"#;",
        );
        refuses(
            "lib/stack/mod.rs",
            "#[cfg(test)]\nfn a() { Instant::now(); }\nfn b() { Instant::now(); }",
            3,
            "now",
        );
    }

    #[test]
    fn programs_open_no_sockets() {
        accepts(
            "lib/cli/mod.rs",
            "use tokio::{signal, time}; fn f() { SystemTime::now(); std::thread::sleep(d); }",
        );
        refuses("lib/cli/mod.rs", "use tokio::{signal, net::TcpStream};", 1, "tokio::net");
        refuses("lib/phone/mod.rs", "let s = std::net::UdpSocket::bind(a);", 1, "UdpSocket");
        refuses("bin/sip-call.rs", "use socket2::Socket;", 1, "socket2");
        accepts("bin/sip-call.rs", "use sipkit::{cli, phone}; fn main() { sipkit::cli::run(); }");
        refuses("bin/sip-call.rs", "use sipkit::Endpoint;", 1, "name the module");
    }

    #[test]
    fn unsafe_has_its_places_and_its_reason() {
        refuses("lib/message/scan.rs", "fn f() { unsafe { g() } }", 1, "`unsafe` outside");
        refuses(
            "lib/message/scan.rs",
            "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }",
            1,
            "`unsafe` outside",
        );
        refuses("lib/transport/udp/linux.rs", "\nfn f() { unsafe { g() } }", 2, "SAFETY");
        accepts("lib/transport/udp/linux.rs", "fn f() {\n // SAFETY: g only reads.\n unsafe { g() }\n}");
        accepts("lib/message/scan.rs", "#![forbid(unsafe_code)] // unsafe { }");
    }

    #[test]
    fn files_stay_short() {
        let long = "fn f() {}\n".repeat(1001);
        refuses("lib/message/mod.rs", &long, 1001, "split");
        let tested = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "fn f() {}\n".repeat(999),
            "fn t() {}\n".repeat(500)
        );
        accepts("lib/message/mod.rs", &tested);
        refuses("bin/sip-call.rs", &"fn f() {}\n".repeat(151), 151, "split");
    }

    #[test]
    fn odd_tokens_do_not_hide_what_follows() {
        refuses("lib/ua/mod.rs", "fn f<'a>(c: char) { c == '\"'; }\nuse crate::cli;", 2, "cli");
        refuses("lib/ua/mod.rs", "/* a /* b */ \" */ use crate::cli;", 1, "cli");
        refuses("lib/ua/mod.rs", "let s = \"a\\\"b\nc\"; let b = b'\\'';\nuse crate::cli;", 3, "cli");
        refuses("lib/ua/mod.rs", "let s = r##\"x\"# crate::cli\"##;\nuse crate::cli;", 2, "cli");
    }
}
