//! `sip-register`: registers with a SIP server, or shows what is registered there.

use std::process::ExitCode;

use sipkit::cli::{self, register};

fn main() -> ExitCode {
    cli::run("sip-register", register::run)
}
