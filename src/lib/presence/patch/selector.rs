//! The selectors of patch operations: the part of XPath that RFC 5261 §4.1 and §4.2 need.
//!
//! ```text
//! selector  = ["/"] (id | step) *("/" step) ["/" target]
//! id        = "id(" literal ")"
//! step      = ("*" | name) *("[" predicate "]")
//! predicate = number | ("." | "@" name | name) "=" literal
//! target    = "@" name | "text()" ["[" number "]"]
//! ```

use std::sync::Arc;

use thiserror::Error;

use crate::presence::{
    Element, Name, Node,
    xml::{XML, free_prefix, is_name, trim},
};

/// Finds one element, attribute or text of a document. Names compare with their namespaces, not their prefixes.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    id: Option<String>,
    steps: Vec<Step>,
    pub(super) target: Target,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.steps, &self.target) == (&other.id, &other.steps, &other.target)
    }
}

/// Not a selector, or one that uses more of XPath than is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a selector that is understood")]
pub struct NoSelector;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Element,
    Attribute(Name),
    /// The number of the text, from 1; without one it is the only text.
    Text(Option<usize>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// None for `*`.
    name: Option<Name>,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Predicate {
    Number(usize),
    Attribute(Name, String),
    Child(Name, String),
    Own(String),
}

type Prefixes = Vec<(Box<str>, Arc<str>)>;

impl Selector {
    /// Reads a selector; `prefixes` are declared around it, later ones hide earlier ones. Names of elements without
    /// a prefix are in the default namespace (RFC 5261 §4.2.2).
    pub fn read(text: &str, prefixes: &[(Box<str>, Arc<str>)]) -> Result<Self, NoSelector> {
        let text = trim(text);
        if text.len() > LONGEST {
            return Err(NoSelector);
        }
        let mut parts =
            split(text.strip_prefix('/').unwrap_or(text), '/').ok_or(NoSelector)?.into_iter().peekable();
        let mut selector =
            Self { text: text.to_owned(), id: None, steps: Vec::new(), target: Target::Element };
        if let Some(first) = parts.peek().and_then(|part| part.strip_prefix("id(")) {
            let id = first.strip_suffix(')').and_then(literal).ok_or(NoSelector)?;
            selector.id = Some(id.to_owned());
            parts.next();
        }
        while let Some(part) = parts.next() {
            let part = trim(part);
            let is_target = part.starts_with('@') || part.starts_with("text()");
            if is_target {
                if parts.next().is_some() || (selector.steps.is_empty() && selector.id.is_none()) {
                    return Err(NoSelector);
                }
                selector.target = Target::read(part, prefixes).ok_or(NoSelector)?;
                break;
            }
            selector.steps.push(Step::read(part, prefixes).ok_or(NoSelector)?);
        }
        if selector.steps.len() > STEPS || (selector.steps.is_empty() && selector.id.is_none()) {
            return Err(NoSelector);
        }
        Ok(selector)
    }

    /// As it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it is written, with the prefixes that must be declared for it.
    pub(super) fn write(&self) -> (String, Prefixes) {
        let mut prefixes = Prefixes::new();
        let mut parts = Vec::new();
        if let Some(id) = &self.id {
            parts.push(format!("id({})", quoted(id)));
        }
        for step in &self.steps {
            let mut part = step.name.as_ref().map_or("*".to_owned(), |name| qualified(name, &mut prefixes));
            for predicate in &step.predicates {
                part += &match predicate {
                    Predicate::Number(number) => format!("[{number}]"),
                    Predicate::Own(value) => format!("[.={}]", quoted(value)),
                    Predicate::Attribute(name, value) => {
                        format!("[@{}={}]", qualified(name, &mut prefixes), quoted(value))
                    }
                    Predicate::Child(name, value) => {
                        format!("[{}={}]", qualified(name, &mut prefixes), quoted(value))
                    }
                };
            }
            parts.push(part);
        }
        match &self.target {
            Target::Element => {}
            Target::Attribute(name) => parts.push(format!("@{}", qualified(name, &mut prefixes))),
            Target::Text(None) => parts.push("text()".to_owned()),
            Target::Text(Some(number)) => parts.push(format!("text()[{number}]")),
        }
        (parts.join("/"), prefixes)
    }

    /// The places among children that lead from the root element to the one element that is meant.
    pub(super) fn locate(&self, root: &Element) -> Option<Vec<usize>> {
        let mut found: Vec<Vec<usize>> = Vec::new();
        let mut steps = self.steps.iter();
        if let Some(id) = &self.id {
            by_id(root, id, &mut found);
        } else if steps.next()?.is_met(root, 1) {
            found.push(Vec::new());
        }
        for step in steps {
            let mut inside = Vec::new();
            for path in found {
                let element = path.iter().try_fold(root, |element, &index| inner(element, index))?;
                for index in step.choose(element) {
                    let mut path = path.clone();
                    path.push(index);
                    inside.push(path);
                }
            }
            found = inside;
        }
        // §4.1: one thing, not several.
        if found.len() == 1 { found.pop() } else { None }
    }
}

impl Target {
    fn read(text: &str, prefixes: &[(Box<str>, Arc<str>)]) -> Option<Self> {
        if let Some(attribute) = text.strip_prefix('@') {
            return Some(Self::Attribute(name(trim(attribute), prefixes, false)?));
        }
        let rest = trim(text.strip_prefix("text()")?);
        if rest.is_empty() {
            return Some(Self::Text(None));
        }
        let number = rest.strip_prefix('[')?.strip_suffix(']')?;
        Some(Self::Text(Some(trim(number).parse().ok()?)))
    }
}

impl Step {
    fn read(text: &str, prefixes: &[(Box<str>, Arc<str>)]) -> Option<Self> {
        let (own, mut rest) = text.split_at(text.find('[').unwrap_or(text.len()));
        let own = trim(own);
        let name = if own == "*" { None } else { Some(name(own, prefixes, true)?) };
        let mut predicates = Vec::new();
        while !rest.is_empty() {
            let end = split(rest.strip_prefix('[')?, ']')?.first()?.len();
            let (predicate, after) = rest.get(1..)?.split_at_checked(end)?;
            predicates.push(Predicate::read(trim(predicate), prefixes)?);
            rest = trim(after.strip_prefix(']')?);
        }
        (predicates.len() <= PREDICATES).then_some(Self { name, predicates })
    }

    fn is_named(&self, element: &Element) -> bool {
        self.name.as_ref().is_none_or(|name| *name == element.name)
    }

    fn is_met(&self, element: &Element, number: usize) -> bool {
        self.is_named(element) && self.predicates.iter().all(|predicate| predicate.is_met(element, number))
    }

    /// The places of the children that it selects. A number counts among those that the predicates before it left.
    fn choose(&self, parent: &Element) -> Vec<usize> {
        let children = parent.children.iter().enumerate();
        let mut chosen: Vec<(usize, &Element)> = children
            .filter_map(|(index, node)| match node {
                Node::Element(element) if self.is_named(element) => Some((index, element)),
                _ => None,
            })
            .collect();
        for predicate in &self.predicates {
            let mut number = 0;
            chosen.retain(|(_, element)| {
                number += 1;
                predicate.is_met(element, number)
            });
        }
        chosen.into_iter().map(|(index, _)| index).collect()
    }
}

impl Predicate {
    fn read(text: &str, prefixes: &[(Box<str>, Arc<str>)]) -> Option<Self> {
        let Some((left, right)) = text.split_once('=') else {
            return Some(Self::Number(text.parse().ok().filter(|&number| number > 0)?));
        };
        let (left, value) = (trim(left), literal(trim(right))?.to_owned());
        if left == "." {
            return Some(Self::Own(value));
        }
        match left.strip_prefix('@') {
            Some(attribute) => Some(Self::Attribute(name(trim(attribute), prefixes, false)?, value)),
            None => Some(Self::Child(name(left, prefixes, true)?, value)),
        }
    }

    fn is_met(&self, element: &Element, number: usize) -> bool {
        match self {
            Self::Number(wanted) => *wanted == number,
            Self::Attribute(name, value) => {
                element.attributes.iter().any(|(known, is)| known == name && is == value)
            }
            Self::Child(name, value) => {
                element.elements().any(|child| child.name == *name && child.text() == trim(value))
            }
            Self::Own(value) => element.text() == trim(value),
        }
    }
}

fn inner(element: &Element, index: usize) -> Option<&Element> {
    match element.children.get(index) {
        Some(Node::Element(inner)) => Some(inner),
        _ => None,
    }
}

/// Every element with that `id` or `xml:id`.
fn by_id(root: &Element, id: &str, found: &mut Vec<Vec<usize>>) {
    let mut stack = vec![(root, Vec::new())];
    while let Some((element, path)) = stack.pop() {
        for (index, node) in element.children.iter().enumerate() {
            if let Node::Element(inner) = node {
                let mut path: Vec<usize> = path.clone();
                path.push(index);
                stack.push((inner, path));
            }
        }
        if element.attribute("id") == Some(id) || element.attribute_in(XML, "id") == Some(id) {
            found.push(path);
        }
    }
}

/// Cuts at what stands neither in quotes nor in brackets; none if quotes or brackets do not end.
fn split(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quote, mut depth) = (Vec::new(), 0, None, 0_u32);
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, _) if character == at && depth == 0 => {
                parts.push(text.get(start..index)?);
                start = index + character.len_utf8();
                // Who looks for the end of brackets needs no more.
                if at == ']' {
                    return Some(parts);
                }
            }
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (quote.is_none() && depth == 0 && at != ']').then_some(parts)
}

fn literal(text: &str) -> Option<&str> {
    let text = trim(text);
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(quote)).then_some(inside)
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    format!("{quote}{text}{quote}")
}

/// A name with its prefix resolved.
pub(super) fn name(text: &str, prefixes: &[(Box<str>, Arc<str>)], is_element: bool) -> Option<Name> {
    let (prefix, local) = text.split_once(':').unwrap_or(("", text));
    if !is_name(local) || (text.contains(':') && !is_name(prefix)) {
        return None;
    }
    if prefix.is_empty() && !is_element {
        // No attribute, and a way to move an element into another namespace.
        if local == "xmlns" {
            return None;
        }
        return Some(Name::new("", local));
    }
    if prefix == "xml" {
        return Some(Name::new(XML, local));
    }
    match prefixes.iter().rev().find(|(declared, _)| **declared == *prefix) {
        Some((_, namespace)) => Some(Name { namespace: namespace.clone(), local: local.into() }),
        None if prefix.is_empty() => Some(Name::new("", local)),
        None => None,
    }
}

/// A name with a prefix that is now in the list.
pub(super) fn qualified(name: &Name, prefixes: &mut Prefixes) -> String {
    let Name { namespace, local } = name;
    if namespace.is_empty() {
        return local.to_string();
    }
    if **namespace == *XML {
        return format!("xml:{local}");
    }
    if let Some((prefix, _)) = prefixes.iter().find(|(_, known)| known == namespace) {
        return format!("{prefix}:{local}");
    }
    let prefix = free_prefix(namespace, |prefix| prefixes.iter().any(|(taken, _)| **taken == *prefix));
    prefixes.push((prefix.clone(), namespace.clone()));
    format!("{prefix}:{local}")
}

const STEPS: usize = 64;
const PREDICATES: usize = 4;
const LONGEST: usize = 4096;
