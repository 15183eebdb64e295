//! Manual pages and completions, made from the same definitions that parse the flags.

use std::io::{self, Write};

use clap::{Arg, ValueEnum, value_parser};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

use super::{
    EVENT_SCHEMA, Program,
    config::{self, Config, field_names},
    exit::ExitStatus,
    secret::PASSWORD_VARIABLE,
    write_out::Template,
};

/// What `--generate` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    Bash,
    Fish,
    Man,
    /// The JSON Schema of the lines that `--json` prints.
    Schema,
    Zsh,
}

/// The parts of a manual page that flags cannot tell.
#[derive(Clone, Copy, Debug)]
pub struct Manual {
    /// Each way to call the program, without its name.
    pub synopsis: &'static [&'static str],
    /// Sections of its own: title, then paragraphs or terms.
    pub sections: &'static [Section],
    pub examples: &'static [Example],
}

/// A section of a manual page.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    pub title: &'static str,
    pub text: &'static str,
    /// Terms and what they mean.
    pub terms: &'static [(&'static str, &'static str)],
}

/// A command a user may copy. Tests parse and run them.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    pub about: &'static str,
    pub command: &'static str,
}

/// What `--generate KIND` asks for, if it is the first argument.
///
/// It is not among a program's flags: it is for those who build packages, and completions need not offer it.
pub(super) fn asked(name: &'static str) -> Option<Result<Generate, clap::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    if !arguments.next()?.to_str()?.starts_with("--generate") {
        return None;
    }
    let kind = Arg::new("generate").long("generate").value_name("KIND").required(true);
    let command = clap::Command::new(name).arg(kind.value_parser(value_parser!(Generate)));
    let matches = command.try_get_matches();
    // Required, so it is there.
    matches.map(|mut matches| matches.remove_one("generate")).transpose()
}

/// Writes what was asked for.
pub(super) fn generate<P: Program>(kind: Generate, out: &mut dyn Write) -> io::Result<()> {
    let mut command = P::command();
    let name = command.get_name().to_owned();
    // Made in memory: the generators panic where a pipe is closed.
    let mut bytes = Vec::new();
    match kind {
        Generate::Bash => clap_complete::generate(Shell::Bash, &mut command, name, &mut bytes),
        Generate::Fish => clap_complete::generate(Shell::Fish, &mut command, name, &mut bytes),
        Generate::Zsh => {
            clap_complete::generate(Shell::Zsh, &mut command, name, &mut bytes);
            bytes = escape_value_names(&command, bytes);
        }
        Generate::Man => manual_page::<P>(&mut bytes)?,
        Generate::Schema => bytes.extend(EVENT_SCHEMA.as_bytes()),
    }
    out.write_all(&bytes)?;
    out.flush()
}

/// A colon ends a field of zsh's `_arguments`; clap_complete leaves those of value names as they are, and what
/// follows would be run as a command.
fn escape_value_names(command: &clap::Command, script: Vec<u8>) -> Vec<u8> {
    let mut script = String::from_utf8_lossy(&script).into_owned();
    let names = command.get_arguments().filter_map(|argument| argument.get_value_names()).flatten();
    for name in names.filter(|name| name.contains(':')) {
        script = script.replace(&format!("]:{name}:"), &format!("]:{}:", name.replace(':', "\\:")));
    }
    script.into_bytes()
}

/// A program's flags as clap knows them, with environment and examples below `--help`.
pub(super) fn command<P: Program>() -> clap::Command {
    let command = P::command();
    let mut after = match command.get_after_long_help() {
        Some(own) => format!("{own}\n\n"),
        None => String::new(),
    };
    after += "Environment:";
    for (variable, flag) in environment(&command) {
        after += &format!("\n  {variable:<15} {flag}");
    }
    after += &format!("\n  {PASSWORD_VARIABLE:<15} the password\n\nExamples:");
    for Example { about, command } in P::MANUAL.examples {
        after += &format!("\n  {about}:\n    {command}");
    }
    command.after_long_help(after)
}

/// Each variable with the flag it stands for.
fn environment(command: &clap::Command) -> Vec<(String, String)> {
    let variables = command.get_arguments().filter_map(|argument| {
        let variable = argument.get_env()?.to_str()?.to_owned();
        Some((variable, format!("--{}", argument.get_long()?)))
    });
    variables.collect()
}

fn manual_page<P: Program>(out: &mut Vec<u8>) -> io::Result<()> {
    // The short help leaves some out; the manual is for those who want to know.
    let command = P::command().mut_args(|argument| argument.hide_short_help(false));
    let name = command.get_name().to_owned();
    let environment = environment(&command);
    let man = Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("sipkit ", env!("CARGO_PKG_VERSION")))
        .manual("sipkit programs");
    man.render_title(out)?;
    man.render_name_section(out)?;

    let manual = P::MANUAL;
    let mut page = Roff::new();
    page.control("SH", ["SYNOPSIS"]);
    for (index, synopsis) in manual.synopsis.iter().enumerate() {
        if index > 0 {
            page.control("br", []);
        }
        page.text([bold(&*name), roman(" "), roman(*synopsis)]);
    }
    page.to_writer(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;

    let mut page = Roff::new();
    for Section { title, text, terms } in manual.sections {
        page.control("SH", [*title]);
        page.text([roman(*text)]);
        for (term, meaning) in *terms {
            push_term(&mut page, [bold(*term)], meaning);
        }
    }
    push_results(&mut page);
    push_exit_status(&mut page);
    push_environment(&mut page, &environment);
    push_files(&mut page);
    page.control("SH", ["EXAMPLES"]);
    for Example { about, command } in manual.examples {
        page.control("PP", []);
        page.text([roman(format!("{about}:"))]);
        page.control("PP", []);
        page.control("RS", ["4"]);
        page.control("EX", []);
        page.text([roman(*command)]);
        page.control("EE", []);
        page.control("RE", []);
    }
    page.control("SH", ["SEE ALSO"]);
    let others: Vec<_> =
        PROGRAMS.iter().filter(|other| **other != name).map(|other| format!("{other}(1)")).collect();
    page.text([roman(others.join(", "))]);
    page.to_writer(out)
}

fn push_results(page: &mut Roff) {
    page.control("SH", ["RESULTS"]);
    page.text([roman(
        "Standard output carries results only: one line per event, and one for the result. Diagnostics go to standard \
         error. With --json each line is a JSON object with the fields event and time (RFC 3339, UTC) and those listed \
         here; what is not known is null. The last line is always the result.",
    )]);
    for (event, description, fields) in events() {
        push_term(page, [bold(event)], &format!("{description} Fields: {}.", fields.join(", ")));
    }
    page.control("PP", []);
    let names: Vec<_> = Template::names().collect();
    page.text([roman(format!("The names that --write-out knows: {}.", names.join(", ")))]);
}

/// Name, description and fields of each event, from the schema.
fn events() -> Vec<(String, String, Vec<String>)> {
    let schema: serde_json::Value = serde_json::from_str(EVENT_SCHEMA).unwrap_or_default();
    let Some(events) = schema.pointer("/$defs/events").and_then(|events| events.as_object()) else {
        return Vec::new();
    };
    let events = events.iter().map(|(name, event)| {
        let description = event.get("description").and_then(|text| text.as_str()).unwrap_or_default();
        let required = event.get("required").and_then(|required| required.as_array()).into_iter().flatten();
        let fields =
            required.filter_map(|field| field.as_str()).filter(|field| !matches!(*field, "event" | "time"));
        (name.clone(), description.to_owned(), fields.map(Into::into).collect())
    });
    events.collect()
}

fn push_exit_status(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    page.text([roman("The same in all programs; the exact SIP code is in the result.")]);
    for status in ExitStatus::ALL {
        push_term(page, [bold(status.code().to_string())], status.meaning());
    }
}

fn push_environment(page: &mut Roff, of_flags: &[(String, String)]) {
    page.control("SH", ["ENVIRONMENT"]);
    for (variable, flag) in of_flags {
        push_term(page, [bold(&**variable)], &format!("As {flag}, which goes before it."));
    }
    push_term(page, [bold(PASSWORD_VARIABLE)], "The password; --password-file goes before it.");
    push_term(
        page,
        [bold("SSLKEYLOGFILE")],
        "A file to which the secrets of TLS connections are added, for Wireshark. Who has it can read along.",
    );
    push_term(page, [bold("NO_COLOR")], "If set and not empty, nothing is coloured.");
    push_term(
        page,
        [bold("XDG_CONFIG_HOME")],
        "Where the configuration is looked for; by default ~/.config.",
    );
}

fn push_files(page: &mut Roff) {
    page.control("SH", ["FILES"]);
    push_term(
        page,
        [italic("$XDG_CONFIG_HOME/sipkit/config.toml")],
        "The configuration of all programs, in TOML. Each key has the name of the flag it stands for. A flag goes \
         before the environment, the environment before the account, the account before the defaults. An unknown key \
         is an error. Keep a file with passwords from the eyes of others (chmod 600).",
    );
    for (table, keys) in [
        ("[defaults]", field_names::<config::Defaults>()),
        ("[tls]", field_names::<config::Tls>()),
        ("[media]", field_names::<config::Media>()),
        ("[account.NAME]", field_names::<config::Account>()),
        ("[server]", field_names::<config::Server>()),
        ("[proxy]", field_names::<config::Proxy>()),
    ] {
        push_term(page, [bold(table)], &format!("{}.", keys.join(", ")));
    }
    debug_assert_eq!(field_names::<Config>().len(), 6, "a new table wants a line here");
}

fn push_term<const N: usize>(page: &mut Roff, term: [Inline; N], meaning: &str) {
    page.control("TP", []);
    page.text(term);
    page.text([roman(meaning)]);
}

/// All there are, for SEE ALSO.
const PROGRAMS: [&str; 19] = [
    "sip-call",
    "sip-message",
    "sip-options",
    "sip-publish-mwi",
    "sip-publish-presence",
    "sip-register",
    "sip-settings",
    "sip-stateless-proxy",
    "sip-subscribe-conference",
    "sip-subscribe-dialog",
    "sip-subscribe-mwi",
    "sip-subscribe-presence",
    "sip-subscribe-reg",
    "sip-subscribe-rls",
    "sip-subscribe-winfo",
    "sip-subscribe-xcap-diff",
    "sip-test-server",
    "sip-tls-check",
    "sip-xcap",
];
