//! Why a document is refused, and where.

use thiserror::Error;

/// A document that is not what it should be. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// More octets than [`Limits::octets`](super::Limits::octets); nothing was read.
    #[error("the document has {octets} octets, {limit} are allowed")]
    TooLarge {
        /// How many there are.
        octets: usize,
        /// How many may be there.
        limit: usize,
    },
    /// More of something than [`Limits`](super::Limits) allow.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many may be there.
        limit: usize,
    },
    /// Octets that are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// An encoding that is not UTF-8, declared or seen.
    #[error("the encoding is {0}, only UTF-8 is read")]
    Encoding(String),
    /// A document type declaration: nothing here needs one, and entities are how documents explode.
    #[error("a document type declaration is refused")]
    DocType,
    /// A reference to an entity that XML does not define.
    #[error("the entity \"{0}\" is not known")]
    Entity(String),
    /// A character that no XML document may have, as it stands or as a reference.
    #[error("the character U+{0:04X} is not allowed")]
    Character(u32),
    /// A prefix that nothing declares.
    #[error("the prefix \"{0}\" is not declared")]
    Prefix(String),
    /// An end tag that does not fit.
    #[error("the end tag is \"{found}\" where \"{expected}\" ends")]
    EndTag {
        /// What is open; empty if nothing is.
        expected: String,
        /// What the end tag says.
        found: String,
    },
    /// Not well formed in another way.
    #[error("not well formed: {0}")]
    Malformed(&'static str),
    /// Another kind of document.
    #[error("the document is <{found}>, expected <{expected}>")]
    Root {
        /// The name that was wanted.
        expected: &'static str,
        /// The namespace and the name that were there.
        found: String,
    },
    /// An element or attribute that must be there.
    #[error("<{element}> lacks {missing}")]
    Missing {
        /// Where it should be.
        element: String,
        /// What should be there.
        missing: &'static str,
    },
    /// A value that does not fit what it is a value of.
    #[error("{what} cannot be \"{value}\"")]
    Value {
        /// An element, attribute or field.
        what: String,
        /// What it says, cut after 40 characters.
        value: String,
    },
    /// A text document without something that it must have.
    #[error("{0} is missing")]
    Absent(&'static str),
    /// A line of a text document that is neither a header field nor a summary line.
    #[error("not a line of a message summary")]
    Line,
}

impl Reason {
    pub(super) fn value(what: &str, value: &str) -> Self {
        Self::Value { what: what.to_owned(), value: value.chars().take(40).collect() }
    }
}
