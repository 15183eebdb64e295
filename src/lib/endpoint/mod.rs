//! endpoint.
pub mod media;
