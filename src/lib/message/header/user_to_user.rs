//! User-to-User (RFC 7433 §4): data of the users that the network only carries.

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, Params, Text};

header!(
    /// Data from one user to the other.
    UserToUser, List, UserData<'m>, UserData::read);

/// One piece of data.
#[derive(Debug, Clone, Copy)]
pub struct UserData<'m> {
    /// As written; [`UserData::encoding`] says how to read it.
    pub data: Text<'m>,
    /// purpose, content, encoding and others.
    pub params: Params<'m>,
}

impl<'m> UserData<'m> {
    /// The package.
    pub fn purpose(&self) -> Option<&'m str> {
        self.params.value("purpose")
    }

    /// What the data is.
    pub fn content(&self) -> Option<&'m str> {
        self.params.value("content")
    }

    /// hex, or another.
    pub fn encoding(&self) -> Option<&'m str> {
        self.params.value("encoding")
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let data = if cursor.peek() == Some(b'"') {
            Text::quoted(cursor.quoted()?)
        } else {
            Text::plain(cursor.token()?.as_bytes())
        };
        Ok(Self { data, params: Params::read(cursor)? })
    }
}

impl fmt::Display for UserData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.data.is_quoted() { "\"" } else { "" };
        write!(f, "{quote}{}{quote}{}", String::from_utf8_lossy(self.data.raw()), self.params)
    }
}
