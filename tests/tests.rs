//! One integration binary; its modules are the suites.

mod architecture;
mod cli;
mod device;
mod ladder;
mod torture;
mod transport;
