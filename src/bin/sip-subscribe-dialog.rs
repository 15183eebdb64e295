//! `sip-subscribe-dialog`: watches somebody's calls.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::dialog};

fn main() -> ExitCode {
    cli::run("sip-subscribe-dialog", dialog::run)
}
