//! phone
#[allow(dead_code)]
pub mod behaviour;
pub mod exchange;
