//! Forwarding messages (RFC 3261 §16): a [`TransactionUser`](crate::stack::TransactionUser) that stands between others.
//!
//! [`Stateless`] forwards each message on its own and remembers none (§16.11). What it must know of a request when the
//! response comes back is in the request: [`branch`] says how its Via is made and known again, [`token`] how the
//! connection of a client is named in Via, Record-Route and Path so that nobody can make one up (RFC 5626 §5.2).
//!
//! One file is one step of §16: [`admit`] refuses what must not go on (§16.3), [`path`] takes our own Routes away
//! (§16.4), [`table`] knows where the rest goes (§16.5), [`stateless`] adds what a proxy adds (§16.6) and sends
//! responses back (§16.7).

pub mod admit;
pub mod branch;
pub mod own;
pub mod path;
mod probe;
mod record;
pub mod stateless;
pub mod table;
pub mod token;
mod ways;

pub use self::{
    own::Own,
    stateless::{Config, Counters, RecordRoute, Stateless},
    table::{Hop, Match, Rule, Table},
    token::Secret,
};
