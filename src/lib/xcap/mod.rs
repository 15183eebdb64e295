//! XCAP (RFC 4825): documents on a server, read and written whole or by their parts, over HTTP. No IO: what a
//! request looks like, what an answer means, and what to do next.
//!
//! * [`Url`], [`Resource`]: where a document or a part of it is (§6), percent-encoded as HTTP wants it.
//! * [`NodeSelector`]: which part it is: an element, an attribute, or the namespaces in scope (§6.3, §6.4).
//! * [`Exchange`]: a request, its challenges (RFC 7616) and redirections, and its [`Answer`] or [`Refusal`].
//! * [`Conflict`]: why a server refused a change (§11); [`Capabilities`]: what it knows (§12).
//! * [`edit`]: the changes people make: who may see them, who is in a list, which lists can be subscribed to.
//!
//! Refused are roots with a query, fragment or user, selectors that break the grammar, prefixes that are not bound,
//! and redirections to another host.
#![warn(missing_docs)]

mod capabilities;
mod conflict;
pub mod edit;
mod exchange;
mod fuzz;
mod resource;
mod selector;
mod url;
mod usage;

#[doc(hidden)]
pub use fuzz::fuzz_parse;

pub use self::{
    capabilities::Capabilities,
    conflict::{Condition, Conflict, NotUnique},
    exchange::{Answer, Exchange, Method, Refusal, Request, Response, Step, Why},
    resource::{Precondition, Resource, Tree},
    selector::{NodeSelector, SelectorError, Target, attribute_test},
    url::{Url, UrlError},
    usage::Usage,
};
