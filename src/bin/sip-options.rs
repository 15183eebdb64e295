//! `sip-options`: asks a SIP server whether it is there.

use std::process::ExitCode;

use sipkit::cli::{self, options};

fn main() -> ExitCode {
    cli::run("sip-options", options::run)
}
