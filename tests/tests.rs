//! One integration binary; its modules are the suites.

mod allocations;
mod architecture;
mod bad_input;
mod cli;
mod device;
mod instructions;
mod ladder;
#[cfg(feature = "dns")]
mod lookup;
mod notifier;
#[cfg(target_os = "linux")]
mod overload;
mod presence;
mod programs;
mod proxy_page;
mod proxying;
mod publication;
mod publishing;
mod registering;
mod registration;
mod shards;
mod slow_reader;
mod subscribing;
mod subscription;
mod support;
#[cfg(feature = "tls")]
mod tls_check;
mod torture;
mod transport;
mod transports;
mod verdicts;
#[cfg(feature = "xcap")]
mod xcap;

#[path = "../benches/reading.rs"]
mod reading;

#[cfg(feature = "tls")]
#[path = "../src/lib/transport/tls/authority.rs"]
mod authority;
