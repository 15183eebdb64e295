//! `sip-subscribe-rls`: watches a list of people at once.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::rls};

fn main() -> ExitCode {
    cli::run("sip-subscribe-rls", rls::run)
}
