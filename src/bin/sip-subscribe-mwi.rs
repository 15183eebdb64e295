//! `sip-subscribe-mwi`: sees whether messages wait.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::mwi};

fn main() -> ExitCode {
    cli::run("sip-subscribe-mwi", mwi::run)
}
