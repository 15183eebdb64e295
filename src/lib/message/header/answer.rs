//! Answer-Mode and Priv-Answer-Mode (RFC 5373 §4): whether a person must answer.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params};

header!(
    /// How the call should be answered.
    AnswerMode, Single, AnswerModeValue<'m>, AnswerModeValue::read);
header!(
    /// The same with authority over what the callee has set.
    PrivAnswerMode, Single, AnswerModeValue<'m>, AnswerModeValue::read);

/// How to answer.
#[derive(Debug, Clone, Copy)]
pub struct AnswerModeValue<'m> {
    /// Manual, Auto or another, in any case.
    pub mode: &'m str,
    /// require and others.
    pub params: Params<'m>,
}

impl<'m> AnswerModeValue<'m> {
    /// Without a person.
    pub fn is_auto(&self) -> bool {
        self.mode.eq_ignore_ascii_case("Auto")
    }

    /// By a person.
    pub fn is_manual(&self) -> bool {
        self.mode.eq_ignore_ascii_case("Manual")
    }

    /// In no other way: the call is rather refused.
    pub fn is_required(&self) -> bool {
        self.params.has("require")
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { mode: cursor.token()?, params: Params::read(cursor)? })
    }
}

impl fmt::Display for AnswerModeValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.mode, self.params)
    }
}
