//! `sip-subscribe-conference`: watches who takes part in a conference.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::conference};

fn main() -> ExitCode {
    cli::run("sip-subscribe-conference", conference::run)
}
