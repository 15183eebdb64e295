//! The syntax layer of sipkit as a crate of its own, for measurements.
// What only the layers above call.
#![allow(dead_code)]

#[path = "../../src/lib/message/mod.rs"]
pub mod message;
