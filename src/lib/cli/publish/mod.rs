//! The programs that publish: `sip-publish-presence` and `sip-publish-mwi` (RFC 3903).
//!
//! They differ in the state that is published: a `State` each, in a file of its own with its flags and its manual. What is
//! shared: [`flags`] what can be asked for, `run` the loop from the first PUBLISH to the exit status, `typed` lines
//! that change the state, `cause` why a publication is over.

mod cause;
pub mod flags;
pub mod mwi;
pub mod presence;
mod run;

use crate::ua::call::Body;

pub use self::flags::Flags;

/// A state of ours that is to be published, and how it is changed.
pub(in crate::cli) trait State {
    /// What can be typed, and what it does.
    const COMMANDS: &'static [(&'static str, &'static str)];

    /// One of them, for who begins.
    const EXAMPLE: &'static str;

    /// The document, for who is named by this URI.
    fn body(&self, entity: &str) -> Body;

    /// The state in a few words.
    fn describe(&self) -> String;

    /// Takes a change that was typed; otherwise what is wrong about it, or nothing if there is no such command.
    fn take(&mut self, word: &str, rest: &str) -> Result<(), Option<String>>;

    /// Another state, made of some random number.
    fn change(&mut self, random: u64);
}
