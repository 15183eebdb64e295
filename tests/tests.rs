//! One integration binary; its modules are the suites.

mod architecture;
mod bad_input;
mod cli;
mod device;
mod ladder;
mod programs;
mod support;
mod torture;
mod transport;
mod verdicts;
