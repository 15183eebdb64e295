//! Node selectors (RFC 4825 §6.3): `resource-lists/list[@name="friends"]/entry/@uri`, as people write them, and
//! percent-encoded as they stand in a URI.
//!
//! Extension selectors are not known. A slash inside a quoted value is encoded, so that it separates nothing.

use std::{fmt, str::FromStr};

use super::url::encode_segment;

/// Steps from the root element of a document to one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeSelector {
    steps: Vec<String>,
    target: Target,
}

/// What a selector leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An element.
    Element,
    /// An attribute: `@name`.
    Attribute,
    /// The bindings of namespaces in scope: `namespace::*`. They are only read.
    Namespaces,
}

impl Target {
    /// The media type of such a part (§15.2).
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Element => "application/xcap-el+xml",
            Self::Attribute => "application/xcap-att+xml",
            Self::Namespaces => "application/xcap-ns+xml",
        }
    }
}

impl NodeSelector {
    /// What it leads to.
    pub fn target(&self) -> Target {
        self.target
    }

    /// As it stands in a URI, after `~~/`.
    pub fn encoded(&self) -> String {
        let steps: Vec<String> = self.steps.iter().map(|step| encode_segment(step)).collect();
        steps.join("/")
    }

    /// The prefixes of its names, which the query must bind (§6.4).
    pub fn prefixes(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for name in self.steps.iter().filter(|step| *step != NAMESPACES).flat_map(|step| names(step)) {
            if let Some((prefix, _)) = name.split_once(':')
                && !found.contains(&prefix)
            {
                found.push(prefix);
            }
        }
        found
    }
}

impl FromStr for NodeSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        // A leading slash is the root of the document.
        let text = text.strip_prefix('/').unwrap_or(text);
        let steps = split(text)?;
        let mut target = Target::Element;
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.iter().enumerate() {
            target = match step.strip_prefix('@') {
                Some(name) if at == last && at > 0 && is_name(name) => Target::Attribute,
                None if at == last && at > 0 && step == NAMESPACES => Target::Namespaces,
                None if is_step(step) => Target::Element,
                _ => return Err(SelectorError::Step(step.clone())),
            };
        }
        Ok(Self { steps, target })
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.steps.join("/"))
    }
}

/// Why a selector is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Nothing there, or nothing between two slashes.
    #[error("a step is empty")]
    Empty,
    /// A step that breaks the grammar.
    #[error("{0:?} is no step: write name, name[1], name[@attribute=\"value\"], or at the end @attribute")]
    Step(String),
    /// A quote or bracket that is never closed.
    #[error("a quotation mark or bracket is not closed")]
    Open,
    /// A prefix without a namespace.
    #[error("the prefix {0} has no namespace")]
    Unbound(String),
}

/// `@name="value"` for a step's predicate, quoted as XML has it.
pub fn attribute_test(name: &str, value: &str) -> String {
    let mut quoted = String::new();
    for character in value.chars() {
        match character {
            '&' => quoted.push_str("&amp;"),
            '<' => quoted.push_str("&lt;"),
            '"' => quoted.push_str("&quot;"),
            other => quoted.push(other),
        }
    }
    format!("[@{name}=\"{quoted}\"]")
}

/// At the slashes that are not inside quotation marks.
fn split(text: &str) -> Result<Vec<String>, SelectorError> {
    let mut steps = vec![String::new()];
    let (mut quote, mut bracket) = (None, false);
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if bracket => quote = Some(character),
            (None, '[') => bracket = true,
            (None, ']') => bracket = false,
            (None, '/') if !bracket => {
                steps.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(step) = steps.last_mut() {
            step.push(character);
        }
    }
    if quote.is_some() || bracket {
        return Err(SelectorError::Open);
    }
    if steps.iter().any(String::is_empty) {
        return Err(SelectorError::Empty);
    }
    Ok(steps)
}

/// by-name, by-pos, by-attr or by-pos-attr.
fn is_step(step: &str) -> bool {
    let Some((name, position, test)) = parts(step) else { return false };
    let position = position.is_none_or(|digits| {
        !digits.is_empty() && digits.len() < 10 && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let test = test.is_none_or(|(name, _)| is_name(name));
    (name == "*" || is_name(name)) && position && test
}

type Parts<'s> = (&'s str, Option<&'s str>, Option<(&'s str, &'s str)>);

/// The name, the position, and attribute and value of the test.
fn parts(step: &str) -> Option<Parts<'_>> {
    let Some(at) = step.find('[') else { return Some((step, None, None)) };
    let (name, mut rest) = step.split_at_checked(at)?;
    let mut position = None;
    if !rest.starts_with("[@") {
        let (digits, after) = rest.strip_prefix('[')?.split_once(']')?;
        position = Some(digits);
        rest = after;
    }
    if rest.is_empty() {
        return Some((name, position, None));
    }
    let (attribute, value) = rest.strip_prefix("[@")?.strip_suffix(']')?.split_once('=')?;
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let value = value.strip_prefix(quote)?.strip_suffix(quote)?;
    // AttValue of XML.
    (!value.contains([quote, '<'])).then_some((name, position, Some((attribute, value))))
}

/// The names in a step that may have prefixes.
fn names(step: &str) -> Vec<&str> {
    if let Some(attribute) = step.strip_prefix('@') {
        return vec![attribute];
    }
    let Some((name, _, test)) = parts(step) else { return Vec::new() };
    std::iter::once(name).chain(test.map(|(attribute, _)| attribute)).collect()
}

/// A QName; which letters XML takes beyond ASCII is left to the server.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let mut characters = part.chars();
        let starts = |c: char| c.is_alphabetic() || c == '_';
        characters.next().is_some_and(starts)
            && characters.all(|c| starts(c) || c.is_numeric() || matches!(c, '-' | '.' | '\u{B7}'))
    };
    match text.split_once(':') {
        Some((prefix, local)) => is_part(prefix) && is_part(local),
        None => is_part(text),
    }
}

const NAMESPACES: &str = "namespace::*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_encoded() {
        for (text, encoded, target) in [
            ("resource-lists", "resource-lists", Target::Element),
            (
                // The example of RFC 4825 §7.4, with capital hex digits.
                r#"rls-services/service[@uri="sip:good-friends@example.com"]"#,
                "rls-services/service%5B@uri=%22sip:good-friends@example.com%22%5D",
                Target::Element,
            ),
            ("/a/*[2][@id='x']", "a/*%5B2%5D%5B@id='x'%5D", Target::Element),
            ("a/b[3]/@c", "a/b%5B3%5D/@c", Target::Attribute),
            ("p:a/q:b/@r:c", "p:a/q:b/@r:c", Target::Attribute),
            ("a/namespace::*", "a/namespace::*", Target::Namespaces),
            ("a[@b=\"x/y z%\"]/c", "a%5B@b=%22x%2Fy%20z%25%22%5D/c", Target::Element),
            ("a[@b=\"]['\"]", "a%5B@b=%22%5D%5B'%22%5D", Target::Element),
            ("À", "%C3%80", Target::Element),
            ("ア[@b=\"~~\"]", "%E3%82%A2%5B@b=%22~~%22%5D", Target::Element),
        ] {
            let selector: NodeSelector = text.parse().expect(text);
            assert_eq!((selector.encoded().as_str(), selector.target()), (encoded, target), "{text}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for text in [
            "",
            "/",
            "a//b",
            "a/",
            "a b",
            "a[",
            "a[x]",
            "a[@b]",
            "a[@b=c]",
            "a[@b=\"c]",
            "a[@b=\"<\"]",
            "@a",
            "a/@b/c",
            "a/@b[1]",
            "namespace::*",
            "a[@b=\"c\"][1]",
            "a[1]x",
            "a[]",
            "a[12345678901]",
            "a:b:c",
            "1a",
            "a]",
            "..",
            "a[@b=\"c\"x\"]",
        ] {
            assert!(text.parse::<NodeSelector>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn prefixes_are_found_in_names_only() {
        let selector: NodeSelector = "cr:a/b[@p:q=\"x:y\"]/cr:c/namespace::*".parse().expect("a selector");
        assert_eq!(selector.prefixes(), ["cr", "p"]);
    }

    #[test]
    fn values_are_quoted_for_tests() {
        let test = attribute_test("uri", "sip:a\"<&'@b");
        assert_eq!(test, "[@uri=\"sip:a&quot;&lt;&amp;'@b\"]");
        assert!(format!("a{test}").parse::<NodeSelector>().is_ok());
    }
}
