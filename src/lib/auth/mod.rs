//! Digest authentication for SIP (RFC 3261 §22, RFC 7616, RFC 8760): the computations, the side
//! that answers challenges and the side that issues them. The first answers those of HTTP too.
//!
//! Time and randomness come from the caller. Basic authentication is neither sent nor accepted
//! (RFC 8760 §2.6); AKA and Bearer challenges are passed over.

pub mod client;
pub mod digest;
mod http;
pub mod server;
#[cfg(test)]
mod tests;

pub use self::{
    client::{Answer, Client, Downgrade, GiveUp, Offered, Outcome, Side, Verdict},
    digest::{Algorithm, Login, Qop, Secret},
    http::HttpRequest,
    server::{Check, Policy, Server},
};
