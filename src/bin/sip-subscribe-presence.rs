//! `sip-subscribe-presence`: watches somebody's presence.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::presence};

fn main() -> ExitCode {
    cli::run("sip-subscribe-presence", presence::run)
}
