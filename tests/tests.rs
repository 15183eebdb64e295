//! One integration binary; its modules are the suites.

mod allocations;
mod architecture;
mod device;
mod instructions;
mod ladder;
mod slow_reader;
mod torture;
mod transport;

#[path = "../benches/reading.rs"]
mod reading;
