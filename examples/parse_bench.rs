//! How fast a message is read and edited: `parse_bench MODE FILE ITERS`.
//!
//! MODE is `scan` (the message and what routing needs), `full` (every component of every header field),
//! `edit` (what a proxy changes in a message that is read already, and writing it out) or `check` (every value
//! of every field this library knows, sound or not, with the limits raised). Runs ITERS/10 times to warm up,
//! then ITERS times, and prints one line with `N ns/msg` of processor time and a checksum over all that was
//! read.

#[path = "../benches/reading.rs"]
mod reading;

use std::{env, fs, hint::black_box, path::Path, process::ExitCode, time::Duration};

use bytes::{Bytes, BytesMut};
use nix::time::{ClockId, clock_gettime};
use reading::{HOP, Sum};
use sipkit::message::Message;

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("parse_bench: {what}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Vec<String>) -> Result<String, String> {
    let [mode, file, iterations] = &args[..] else {
        return Err("usage: parse_bench scan|full|edit|check FILE ITERS".into());
    };
    let iterations: u64 = iterations.parse().map_err(|_| format!("ITERS is a number, not {iterations}"))?;
    let bytes = Bytes::from(fs::read(file).map_err(|error| format!("{file}: {error}"))?);
    let size = bytes.len();
    let message = Message::parse(bytes.clone(), &reading::raised()).map_err(|error| error.to_string())?;
    let mut out = BytesMut::with_capacity(4 << 10);
    let (sum, seconds) = match mode.as_str() {
        "scan" => measure(iterations, || reading::scan(black_box(bytes.clone()))),
        "full" => measure(iterations, || reading::full(black_box(bytes.clone()))),
        "edit" => measure(iterations, || reading::edit(black_box(&message), black_box(&HOP), &mut out)),
        "check" => measure(iterations, || reading::check(black_box(bytes.clone()))),
        _ => return Err(format!("no mode {mode}: scan, full, edit or check")),
    }
    .ok_or_else(|| format!("{file} cannot be read in full"))?;
    let each = seconds / iterations.max(1) as f64;
    let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
    Ok(format!(
        "sipkit {mode} {name} {size} B {iterations} it {:.0} ns/msg {:.0} msg/s checksum {:016x}",
        each * 1e9,
        1.0 / each,
        sum.0
    ))
}

/// Warms up, then runs; the last figure and the seconds it took. `None` if the message cannot be read.
fn measure(iterations: u64, mut once: impl FnMut() -> Option<Sum>) -> Option<(Sum, f64)> {
    let mut sum = once()?;
    for _ in 0..iterations / 10 {
        sum = black_box(once()?);
    }
    let begun = processor_time();
    for _ in 0..iterations {
        sum = black_box(once()?);
    }
    Some((sum, (processor_time() - begun).as_secs_f64()))
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
