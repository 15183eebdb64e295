//! `sip-subscribe-xcap-diff`: watches documents of an XCAP server change.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::xcap_diff};

fn main() -> ExitCode {
    cli::run("sip-subscribe-xcap-diff", xcap_diff::run)
}
