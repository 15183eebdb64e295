//! `sip-tls-check`: what a server's TLS is worth: certificates, names, expiry, versions.

use std::process::ExitCode;

use sipkit::cli::{self, tls_check};

fn main() -> ExitCode {
    cli::run("sip-tls-check", tls_check::run)
}
