//! `sip-call`: places a SIP call, or waits for one.

use std::process::ExitCode;

use sipkit::cli::{self, call};

fn main() -> ExitCode {
    cli::run("sip-call", call::run)
}
