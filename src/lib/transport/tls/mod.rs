//! TLS for SIP (RFC 3261 §26.2.1, RFC 5922): TLS 1.2 and 1.3 through rustls with ring.
//!
//! `ClientTls` and `ServerTls` make handshakes over any byte stream and describe the result as a `Session`.
//! The chain is verified by webpki; whom a certificate names is decided in [`identity`], because SIP's rules are
//! not those of HTTP: `sip:` URIs come before DNS names, and wildcards never match. TLS 1.0 and 1.1, key exchange by
//! RSA encryption and CBC ciphers are not supported; [`TlsError`] tells a peer that has nothing else.
//!
//! Without the feature `tls` only the types of errors and certificates are there.

pub mod certificate;
#[cfg(feature = "tls")]
mod config;
pub mod date;
pub mod error;
#[cfg(feature = "tls")]
mod hello;
pub mod identity;
#[cfg(feature = "tls")]
mod inspect;
#[cfg(feature = "tls")]
mod keylog;
#[cfg(feature = "tls")]
mod outcome;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod verify;
mod version;
#[cfg(feature = "tls")]
mod x509;

#[cfg(all(test, feature = "tls"))]
pub(crate) mod authority;
#[cfg(all(test, feature = "tls"))]
mod tests;

#[cfg(feature = "tls")]
pub use self::{
    config::{ClientAuth, ClientSettings, ClientTls, Credentials, Roots, ServerSettings, ServerTls},
    inspect::{Findings, InspectError},
    session::{Session, Verification},
    verify::Trust,
};
pub use self::{
    error::{TlsConfigError, TlsError},
    version::{UnknownVersion, Version},
};
