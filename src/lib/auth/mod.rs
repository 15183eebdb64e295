//! Digest authentication for SIP (RFC 3261 §22, RFC 7616, RFC 8760): the computations, the side
//! that answers challenges and the side that issues them.
//!
//! Time and randomness come from the caller. Basic authentication is neither sent nor accepted
//! (RFC 8760 §2.6); AKA and Bearer challenges are passed over.

pub mod client;
pub mod digest;
pub mod server;
#[cfg(test)]
mod tests;

pub use self::{
    client::{Answer, Client, Downgrade, GiveUp, Offered, Outcome, Side, Verdict},
    digest::{Algorithm, Login, Qop, Secret},
    server::{Check, Policy, Server},
};
