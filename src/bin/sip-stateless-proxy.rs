//! `sip-stateless-proxy`: forwards SIP messages and remembers nothing of them.

use std::process::ExitCode;

use sipkit::cli::{self, proxy};

fn main() -> ExitCode {
    cli::run("sip-stateless-proxy", proxy::run)
}
