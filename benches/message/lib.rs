//! The syntax layer of sipkit as a crate of its own, for measurements.

#[path = "../../src/lib/message/mod.rs"]
pub mod message;
