//! Request methods (RFC 3261 §7.1 and the extensions in the IANA registry), case-sensitive tokens.

use std::fmt;

use super::{
    Malformed,
    block::{self, end_of},
    scan::{self, Cursor},
};

/// A request method; one that is not known here keeps its name.
#[derive(Debug, Clone, Copy, Eq)]
pub enum Method<'m> {
    /// ACK: acknowledges the final response to an INVITE (RFC 3261 §13).
    Ack,
    /// BYE: ends a session (RFC 3261 §15).
    Bye,
    /// CANCEL: withdraws an INVITE (RFC 3261 §9).
    Cancel,
    /// INFO: something for the application within a dialog (RFC 6086).
    Info,
    /// INVITE: begins or changes a session (RFC 3261 §13, §14).
    Invite,
    /// MESSAGE: a text message (RFC 3428).
    Message,
    /// NOTIFY: the state that was subscribed to (RFC 6665).
    Notify,
    /// OPTIONS: asks what a peer can do (RFC 3261 §11).
    Options,
    /// PRACK: acknowledges a reliable provisional response (RFC 3262).
    Prack,
    /// PUBLISH: brings state to where it can be subscribed to (RFC 3903).
    Publish,
    /// REFER: asks the recipient to contact somebody (RFC 3515).
    Refer,
    /// REGISTER: binds contacts to an address of record (RFC 3261 §10).
    Register,
    /// SUBSCRIBE: asks to be notified of state (RFC 6665).
    Subscribe,
    /// UPDATE: changes a session before or after it is answered (RFC 3311).
    Update,
    /// Any other, as written; methods are compared by case.
    Other(&'m str),
}

impl<'m> Method<'m> {
    /// Every method this library knows by name.
    pub const KNOWN: [Method<'static>; 14] = [
        Method::Ack,
        Method::Bye,
        Method::Cancel,
        Method::Info,
        Method::Invite,
        Method::Message,
        Method::Notify,
        Method::Options,
        Method::Prack,
        Method::Publish,
        Method::Refer,
        Method::Register,
        Method::Subscribe,
        Method::Update,
    ];

    /// Any name; methods are case-sensitive (RFC 3261 §7.1), so `invite` is an unknown one.
    pub fn parse(name: &'m str) -> Self {
        Self::of(name.as_bytes()).unwrap_or(Self::Other(name))
    }

    /// The method of that name, if it is known.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        // By length, so that few are compared with.
        Some(match name.len() {
            3 => match name {
                b"ACK" => Self::Ack,
                b"BYE" => Self::Bye,
                _ => return None,
            },
            4 if name == b"INFO" => Self::Info,
            5 => match name {
                b"PRACK" => Self::Prack,
                b"REFER" => Self::Refer,
                _ => return None,
            },
            6 => match name {
                b"INVITE" => Self::Invite,
                b"CANCEL" => Self::Cancel,
                b"NOTIFY" => Self::Notify,
                b"UPDATE" => Self::Update,
                _ => return None,
            },
            7 => match name {
                b"OPTIONS" => Self::Options,
                b"MESSAGE" => Self::Message,
                b"PUBLISH" => Self::Publish,
                _ => return None,
            },
            8 if name == b"REGISTER" => Self::Register,
            9 if name == b"SUBSCRIBE" => Self::Subscribe,
            _ => return None,
        })
    }

    /// Takes a name, which is a token.
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        // All that are known are of letters, which are no more than a host holds.
        let bytes = cursor.octets.bytes;
        let end = end_of::<block::Host>(bytes, cursor.at);
        if bytes.get(end).is_none_or(|&byte| !scan::is_token(byte))
            && let Some(method) = bytes.get(cursor.at..end).and_then(Self::of)
        {
            cursor.at = end;
            return Ok(method);
        }
        cursor.token().map(Self::Other)
    }

    /// The name as it is on the wire.
    pub fn as_str(self) -> &'m str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
            Self::Other(name) => name,
        }
    }

    /// The same method if it is one of [`Method::KNOWN`], freed from the message it was read in.
    pub fn known(self) -> Option<Method<'static>> {
        match Method::KNOWN.into_iter().find(|known| known.as_str() == self.as_str()) {
            Some(Method::Other(_)) | None => None,
            known => known,
        }
    }

    /// Whether the name is a token, as it must be to be sent.
    pub fn is_valid(self) -> bool {
        !self.as_str().is_empty() && self.as_str().bytes().all(scan::is_token)
    }
}

/// By name, so that `Other("INVITE")` is `Invite`.
impl PartialEq for Method<'_> {
    fn eq(&self, other: &Method<'_>) -> bool {
        self.as_str() == other.as_str()
    }
}

impl std::hash::Hash for Method<'_> {
    fn hash<S: std::hash::Hasher>(&self, state: &mut S) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_case_matters() {
        for method in Method::KNOWN {
            assert_eq!(Method::parse(method.as_str()), method);
            assert!(!matches!(Method::parse(method.as_str()), Method::Other(_)));
            assert_eq!(method.known(), Some(method));
        }
        assert_eq!(Method::parse("invite"), Method::Other("invite"));
        assert_ne!(Method::parse("invite"), Method::Invite);
        assert_eq!(Method::Other("x").known(), None);
        assert!(!Method::Other("A B").is_valid());
    }
}
