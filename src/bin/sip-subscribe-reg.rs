//! `sip-subscribe-reg`: watches what is registered for an address.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::reg};

fn main() -> ExitCode {
    cli::run("sip-subscribe-reg", reg::run)
}
