//! `sip-publish-presence`: publishes presence.

use std::process::ExitCode;

use sipkit::cli::{self, publish::presence};

fn main() -> ExitCode {
    cli::run("sip-publish-presence", presence::run)
}
