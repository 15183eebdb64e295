//! `sip-message`: sends a text message over SIP, or receives some.

use std::process::ExitCode;

use sipkit::cli::{self, message};

fn main() -> ExitCode {
    cli::run("sip-message", message::run)
}
