//! Small data structures every layer above may use: no SIP, no IO, no clock.

pub mod id;
pub mod slab;
pub mod text;
pub mod wheel;
