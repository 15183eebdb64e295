//! Calls with sound: a user agent's call, a session description and a media stream joined.
//!
//! [`call::PhoneCall`] is a call as a person has it; [`responder::Responder`] answers calls the way tests want
//! them answered, and tells of events as [`events`] has them. [`exchange`] and [`stream`] are what both are made of.

pub mod behaviour;
pub mod bindings;
pub mod call;
pub mod events;
pub mod exchange;
mod inactive;
pub mod responder;
pub mod stream;
