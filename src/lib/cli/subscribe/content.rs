//! What a NOTIFY carries: a document of a known kind, or the reason why it is none.

use crate::{
    message::{Limits, Message, Multipart, MultipartError, header},
    presence::{self, Document, partial},
};

/// The body of a NOTIFY, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Content<'m> {
    /// The Content-Type; empty if there is none.
    pub kind: &'m str,
    pub body: &'m [u8],
    message: Option<&'m Message>,
}

/// Why a body says nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(in crate::cli) enum Refused {
    #[error("it is {found}, expected was {expected}")]
    Kind { expected: &'static str, found: String },
    #[error("{0}")]
    Document(#[from] presence::Error),
    #[error("{0}")]
    Partial(#[from] partial::Failed),
    #[error("{0}")]
    Multipart(#[from] MultipartError),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("the part about {of}: {why}")]
    Part { of: String, why: Box<Refused> },
}

impl Refused {
    /// Line and column, where the document has a wrong place.
    pub fn place(&self) -> Option<(usize, usize)> {
        match self {
            Self::Document(error) | Self::Partial(partial::Failed::Presence(error)) => {
                Some((error.line, error.column))
            }
            Self::Part { why, .. } => why.place(),
            _ => None,
        }
    }

    /// What is wrong, without the place.
    pub fn reason(&self) -> String {
        match self {
            Self::Document(error) => error.reason.to_string(),
            Self::Part { of, why } => format!("the part about {of}: {}", why.reason()),
            other => other.to_string(),
        }
    }

    /// Whether the whole state is to be asked for (RFC 5263 §4.5).
    pub fn needs_refresh(&self) -> bool {
        matches!(self, Self::Partial(_))
    }
}

impl<'m> Content<'m> {
    pub fn of(message: &'m Message) -> Self {
        let kind = message.raw(crate::message::HeaderId::ContentType).next();
        let kind = kind.and_then(|row| std::str::from_utf8(row.value).ok()).unwrap_or_default();
        Self { kind, body: message.body(), message: Some(message) }
    }

    /// A part of a multipart body.
    pub fn part(kind: &'m str, body: &'m [u8]) -> Self {
        Self { kind, body, message: None }
    }

    /// Whether it is of this type, whatever its parameters.
    pub fn is(&self, media_type: &str) -> bool {
        let bare = self.kind.split(';').next().unwrap_or_default().trim();
        bare.eq_ignore_ascii_case(media_type)
    }

    pub fn document<D: Document>(&self) -> Result<D, Refused> {
        if !self.is(D::MEDIA_TYPE) {
            return Err(self.unexpected(D::MEDIA_TYPE));
        }
        Ok(D::read(self.body)?)
    }

    pub fn unexpected(&self, expected: &'static str) -> Refused {
        let found = match self.kind {
            "" => "of no type".to_owned(),
            kind => kind.to_owned(),
        };
        Refused::Kind { expected, found }
    }

    /// The parts, if there are several.
    pub fn multipart(&self) -> Result<Multipart<'m>, Refused> {
        let message = self.message.ok_or(MultipartError::NotMultipart)?;
        Ok(Multipart::of(message, &Limits { parts: PARTS, ..Limits::default() })?)
    }

    /// The Content-ID of the part that a multipart/related begins with, if it says (RFC 2387 §3.2).
    pub fn start(&self) -> Option<String> {
        let kind = self.message?.find::<header::ContentType>().ok()??;
        kind.params.value("start").map(|start| start.trim_matches('"').to_owned())
    }
}

/// Resources of a list, at most.
const PARTS: usize = 4096;
