//! Why a server refuses a change: the document in a 409 (RFC 4825 §11), and the same in words.

use std::fmt;

use crate::presence::{Element, Limits};

/// `<xcap-error>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What is wrong.
    pub condition: Condition,
    /// What the server says to a person.
    pub phrase: Option<String>,
}

/// The error elements of §11.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The body was no well-formed document.
    NotWellFormed,
    /// The body was no element.
    NotXmlFragment,
    /// What it should be put into is not there.
    NoParent {
        /// The closest one that is, as a URI.
        ancestor: Option<String>,
    },
    /// The document would break its schema.
    SchemaValidation,
    /// The body was no value of an attribute.
    NotXmlAttributeValue,
    /// Reading what was put there would give something else.
    CannotInsert,
    /// Another node would be where the deleted one was.
    CannotDelete,
    /// Something has to be unique and is not.
    Uniqueness(Vec<NotUnique>),
    /// The document would break a rule of its usage.
    Constraint,
    /// The document would not be UTF-8.
    NotUtf8,
    /// Something else: the name of its element.
    Other(String),
}

/// `<exists>`: a value that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnique {
    /// Where, as a relative URI.
    pub field: String,
    /// Values that are free.
    pub alternatives: Vec<String>,
}

impl Conflict {
    /// Reads the body of a 409; `None` if it does not say anything that is understood (§11.1, `<extension>`).
    pub fn read(body: &[u8]) -> Option<Self> {
        let root = Element::read(body, &Limits::default()).ok()?;
        if !root.is(XCAP_ERROR, "xcap-error") {
            return None;
        }
        let error = root.elements().find(|element| *element.name.namespace == *XCAP_ERROR)?;
        let condition = match &*error.name.local {
            "not-well-formed" => Condition::NotWellFormed,
            "not-xml-frag" => Condition::NotXmlFragment,
            "no-parent" => Condition::NoParent {
                ancestor: error.child(XCAP_ERROR, "ancestor").map(|ancestor| ancestor.text().into_owned()),
            },
            "schema-validation-error" => Condition::SchemaValidation,
            "not-xml-att-value" => Condition::NotXmlAttributeValue,
            "cannot-insert" => Condition::CannotInsert,
            "cannot-delete" => Condition::CannotDelete,
            "uniqueness-failure" => {
                let exists = error.elements().filter(|child| child.is(XCAP_ERROR, "exists"));
                Condition::Uniqueness(exists.take(SHOWN).map(NotUnique::from_element).collect())
            }
            "constraint-failure" => Condition::Constraint,
            "not-utf-8" => Condition::NotUtf8,
            "extension" => return None,
            other => Condition::Other(other.to_owned()),
        };
        let phrase = error.attribute("phrase").map(str::trim).filter(|phrase| !phrase.is_empty());
        Some(Self { condition, phrase: phrase.map(str::to_owned) })
    }
}

impl NotUnique {
    fn from_element(element: &Element) -> Self {
        let alternatives = element.elements().filter(|child| child.is(XCAP_ERROR, "alt-value"));
        Self {
            field: element.attribute("field").unwrap_or_default().to_owned(),
            alternatives: alternatives.take(SHOWN).map(|value| value.text().into_owned()).collect(),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.condition)?;
        match &self.phrase {
            Some(phrase) => write!(f, " ({phrase})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWellFormed => "what was sent is no well-formed XML document",
            Self::NotXmlFragment => "what was sent is no XML element",
            Self::NoParent { ancestor: Some(ancestor) } => {
                return write!(f, "what it belongs into is not there; the closest that is: {ancestor}");
            }
            Self::NoParent { ancestor: None } => "what it belongs into is not there",
            Self::SchemaValidation => "the document would break its schema",
            Self::NotXmlAttributeValue => "what was sent is no value of an attribute",
            Self::CannotInsert => "the selector would not lead to what was put there",
            Self::CannotDelete => "after the deletion the selector would lead to another node",
            Self::Uniqueness(fields) => {
                f.write_str("something must be unique and is there already")?;
                for NotUnique { field, alternatives } in fields {
                    write!(f, "; {field}")?;
                    if !alternatives.is_empty() {
                        write!(f, ", free is {}", alternatives.join(" or "))?;
                    }
                }
                return Ok(());
            }
            Self::Constraint => "the document would break a rule of its application usage",
            Self::NotUtf8 => "the document would not be UTF-8",
            Self::Other(name) => name,
        })
    }
}

const XCAP_ERROR: &str = "urn:ietf:params:xml:ns:xcap-error";
/// Rows of a list that are kept: they are for a person.
const SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(inner: &str) -> Option<String> {
        let body = format!("<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\">{inner}</xcap-error>");
        Conflict::read(body.as_bytes()).map(|conflict| conflict.to_string())
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 4825 §11.1.
        let told = said(
            r#"<uniqueness-failure><exists field="rls-services/service/@uri">
               <alt-value>sip:mybuddies@example.com</alt-value></exists></uniqueness-failure>"#,
        );
        let wanted = "something must be unique and is there already; rls-services/service/@uri, free is \
                      sip:mybuddies@example.com";
        assert_eq!(told.as_deref(), Some(wanted));
    }

    #[test]
    fn every_condition_has_words() {
        for name in [
            "not-well-formed",
            "not-xml-frag",
            "no-parent",
            "schema-validation-error",
            "not-xml-att-value",
            "cannot-insert",
            "cannot-delete",
            "uniqueness-failure",
            "constraint-failure",
            "not-utf-8",
        ] {
            let told = said(&format!("<{name} phrase=\"why\"/>")).expect(name);
            assert!(told.ends_with(" (why)") && !told.starts_with(name), "{name}: {told}");
        }
        assert_eq!(said("<new-trouble/>").as_deref(), Some("new-trouble"));
        let told = said("<no-parent><ancestor>a/~~/b</ancestor></no-parent>");
        assert_eq!(told.as_deref(), Some("what it belongs into is not there; the closest that is: a/~~/b"));
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        assert_eq!(said("<extension><x xmlns=\"y\"/></extension>"), None);
        assert_eq!(said(""), None);
        for body in ["", "<html>no</html>", "<xcap-error/>", "<!DOCTYPE a>", "\u{0}"] {
            assert_eq!(Conflict::read(body.as_bytes()), None, "{body:?}");
        }
    }
}
