//! A network in memory: stacks, links and a clock that jumps (architecture §9).
//!
//! A [`World`] drives any number of [`Stack`](crate::stack::Stack)s exactly as the endpoint does, but on
//! a virtual clock and over links that lose, delay, reorder and double packets as their seed says: a
//! minute of SIP takes microseconds, and the same seed gives the same bytes. Connections are there too, with segments
//! of any size, and can be cut at any moment ([`stream`]). What happened is in the
//! [`Ladder`]. It is public so that users of the library can test their own transaction users with it.

pub mod ladder;
pub mod link;
pub mod stream;
pub mod world;

pub use ladder::{Fate, Ladder};
pub use link::{Link, LinkConfig};
pub use stream::StreamConfig;
pub use world::{Node, World};

#[cfg(test)]
mod tests;
