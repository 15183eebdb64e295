//! phone
pub mod behaviour;
pub mod exchange;
pub mod stream;
