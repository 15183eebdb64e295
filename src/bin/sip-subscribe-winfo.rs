//! `sip-subscribe-winfo`: sees who watches somebody's presence.

use std::process::ExitCode;

use sipkit::cli::{self, subscribe::winfo};

fn main() -> ExitCode {
    cli::run("sip-subscribe-winfo", winfo::run)
}
