//! `sip-test-server`: answers SIP calls in every way a test needs.

use std::process::ExitCode;

use sipkit::cli::{self, test_server};

fn main() -> ExitCode {
    cli::run("sip-test-server", test_server::run)
}
