//! `sip-settings`: shows, changes and checks the configuration file that all programs share.

use std::process::ExitCode;

use sipkit::cli::{self, settings};

fn main() -> ExitCode {
    cli::run("sip-settings", settings::run)
}
