//! `sip-dns`: shows and explains where a SIP URI leads.

use std::process::ExitCode;

use sipkit::cli::{self, dns};

fn main() -> ExitCode {
    cli::run("sip-dns", dns::run)
}
