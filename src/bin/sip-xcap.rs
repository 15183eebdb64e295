//! `sip-xcap`: documents on an XCAP server: read, written, and edited by what they are for.

use std::process::ExitCode;

use sipkit::cli::{self, xcap};

fn main() -> ExitCode {
    cli::run("sip-xcap", xcap::run)
}
