//! The programs that subscribe: `sip-subscribe-presence` and its relatives (RFC 6665).
//!
//! They differ in what they subscribe to and in what its documents mean: a `Spec` and a `Watched` each, in a file of
//! their own with their flags and their manual. Everything else is shared: [`flags`] what can be asked for, `run` the
//! loop from the first SUBSCRIBE to the exit status, [`expect`] what scripts wait for, `view` what a person is shown,
//! `content` how a body becomes a document, `decide` what is done about watchers, `cause` why a subscription is over, `json` documents as data.

mod cause;
pub mod conference;
mod content;
#[cfg(feature = "xcap")]
pub mod decide;
pub mod dialog;
pub mod expect;
pub mod flags;
mod json;
pub mod mwi;
pub mod presence;
pub mod reg;
pub mod rls;
mod run;
#[cfg(test)]
mod tests;
pub mod told;
pub(in crate::cli) mod view;
pub mod winfo;
pub mod xcap_diff;

use std::{ops::ControlFlow, pin::Pin};

use serde_json::Value;

use self::{
    content::{Content, Refused},
    expect::{Facts, Keys},
    view::View,
};
use crate::{
    cli::Failure,
    presence::Applied,
    ua::{call::Body, package::Known},
};

pub use self::flags::Flags;

/// What a program subscribes to.
#[derive(Debug)]
pub(in crate::cli) struct Spec {
    pub package: Known,
    /// Documents that are understood.
    pub types: &'static [&'static str],
    /// The target may be a list (RFC 4662).
    pub lists: bool,
    pub keys: Keys,
    /// The state of one subscription, of which nothing is known yet.
    pub watched: fn() -> Box<dyn Watched>,
}

/// The state that the documents of one subscription tell of, kept from one to the next.
pub(in crate::cli) trait Watched {
    /// Takes a document in.
    fn take(&mut self, content: &Content<'_>) -> Result<Applied, Refused>;

    /// The state for a person.
    fn view(&self) -> View;

    /// The state as data.
    fn document(&self) -> Value;

    /// The state as expectations look at it.
    fn facts(&self) -> Facts;

    /// Drops what has ended, once it was told.
    fn settle(&mut self) {}
}

/// What a program does about a state, beside telling of it.
pub(in crate::cli) trait Acts {
    /// Takes in what is known now.
    fn look(&mut self, facts: &Facts);

    /// Does what is to be done; ready when all is done, the run is to end, or it failed. Cancel-safe.
    fn act(&mut self) -> Pin<Box<dyn Future<Output = Result<Act, Failure>> + '_>>;

    /// Whether there is nothing left to be done.
    fn is_settled(&self) -> bool;
}

/// Whether the run goes on, or somebody said that it is enough.
pub(in crate::cli) type Act = ControlFlow<()>;

/// What the command line asks to watch.
#[derive(Default)]
pub(in crate::cli) struct Wish {
    /// Nothing: our own address.
    pub target: Option<String>,
    /// Goes along with the SUBSCRIBE.
    pub body: Option<Body>,
    /// Header fields that belong to it.
    pub headers: Vec<(String, String)>,
    /// Parameters of Event.
    pub event_parameters: Vec<(String, String)>,
    /// Acts on what comes.
    pub acts: Option<Box<dyn Acts>>,
}

/// The section of a manual that lists keys.
pub(in crate::cli) const EXPECTATIONS: &str = "--expect compares one of these keys with a value. Where a key stands \
     several times in the state, = holds if any of them is equal, != if none is.";
