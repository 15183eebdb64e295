//! What tests of the programs need: the programs themselves, peers that follow a script, messages as plain
//! text, and folders that vanish. Everything runs on loopback, on ports that were free.

pub mod compositor;
#[cfg(feature = "dns")]
pub mod dns;
pub mod folder;
pub mod message;
pub mod notifier;
pub mod peer;
pub mod peer_in_sim;
pub mod program;
pub mod registrar;

use std::time::Duration;

/// How long a test waits for something that should take no time at all, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(15);
