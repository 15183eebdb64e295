//! `sip-publish-mwi`: publishes how many messages wait.

use std::process::ExitCode;

use sipkit::cli::{self, publish::mwi};

fn main() -> ExitCode {
    cli::run("sip-publish-mwi", mwi::run)
}
