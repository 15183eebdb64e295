//! Writing: the namespace of the document is the default one, the others get the prefixes they usually have.
//! Indented, unless there are characters beside elements. What XML cannot say becomes U+FFFD.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use super::{Element, Name, Node, XML};

/// The document with its declaration.
pub(super) fn document(root: &Element) -> String {
    let mut writer = Writer { out: String::from(DECLARATION), scope: Vec::new() };
    let mut namespaces = BTreeSet::new();
    collect(root, &mut namespaces);
    let mut declared: Vec<(Box<str>, Arc<str>)> = Vec::new();
    // Unless the root element brings a prefix for its namespace, that is the default one.
    let brings = |namespace: &Arc<str>| {
        root.prefixes.iter().any(|(prefix, known)| !prefix.is_empty() && known == namespace)
    };
    let default = if brings(&root.name.namespace) {
        root.prefixes.iter().rev().find(|(prefix, _)| prefix.is_empty()).map(|(_, default)| default)
    } else {
        Some(&root.name.namespace)
    };
    let default = default.filter(|default| !default.is_empty() && ***default != *XML);
    declared.extend(default.map(|default| ("".into(), default.clone())));
    for namespace in namespaces {
        // An attribute needs a prefix even for the namespace that is the default one.
        let needed = default != Some(&namespace) || prefixed_attributes(root, &namespace);
        if declared.len() < HOISTED && needed && !brings(&namespace) {
            let prefix = free_prefix(&namespace, |prefix| {
                declared.iter().chain(&root.prefixes).any(|(taken, _)| **taken == *prefix)
            });
            declared.push((prefix, namespace));
        }
    }
    writer.element(root, 0, declared, true);
    writer.out.push('\n');
    writer.out
}

/// The namespaces of everything in it but itself, and of its attributes.
fn collect(element: &Element, into: &mut BTreeSet<Arc<str>>) {
    let mut stack = vec![element];
    while let Some(element) = stack.pop() {
        let names = std::iter::once(&element.name).chain(element.attributes.iter().map(|(name, _)| name));
        for name in names {
            if !name.namespace.is_empty() && *name.namespace != *XML && !into.contains(&name.namespace) {
                into.insert(name.namespace.clone());
            }
        }
        stack.extend(element.elements());
    }
}

fn prefixed_attributes(root: &Element, namespace: &str) -> bool {
    let mut stack = vec![root];
    while let Some(element) = stack.pop() {
        if element.attributes.iter().any(|(name, _)| *name.namespace == *namespace) {
            return true;
        }
        stack.extend(element.elements());
    }
    false
}

struct Writer {
    out: String,
    /// Declarations in scope; later ones hide earlier ones.
    scope: Vec<(Box<str>, Arc<str>)>,
}

impl Writer {
    fn element(
        &mut self,
        element: &Element,
        level: usize,
        mut declared: Vec<(Box<str>, Arc<str>)>,
        indent: bool,
    ) {
        let before = self.scope.len();
        for (prefix, namespace) in &element.prefixes {
            let there = declared.iter().any(|(other, _)| other == prefix);
            if !prefix.is_empty() && !there && self.lookup(prefix).is_none_or(|bound| bound != namespace) {
                declared.push((prefix.clone(), namespace.clone()));
            }
        }
        self.scope.append(&mut declared.clone());
        let tag = self.qualify(&element.name, true, &mut declared);
        let mut attributes = String::new();
        for (name, value) in &element.attributes {
            let name = self.qualify(name, false, &mut declared);
            let _ = write!(attributes, " {name}=\"");
            escape(&mut attributes, value, true);
            attributes.push('"');
        }
        let _ = write!(self.out, "<{tag}");
        for (prefix, namespace) in &declared {
            let colon = if prefix.is_empty() { "" } else { ":" };
            let _ = write!(self.out, " xmlns{colon}{prefix}=\"");
            escape(&mut self.out, namespace, true);
            self.out.push('"');
        }
        self.out.push_str(&attributes);
        if element.children.is_empty() {
            self.out.push_str("/>");
        } else {
            self.out.push('>');
            let indent = indent && !element.children.iter().any(|node| matches!(node, Node::Text(_)));
            for node in &element.children {
                match node {
                    Node::Text(text) => escape(&mut self.out, text, false),
                    Node::Element(child) => {
                        if indent {
                            self.line(level + 1);
                        }
                        self.element(child, level + 1, Vec::new(), indent);
                    }
                }
            }
            if indent {
                self.line(level);
            }
            let _ = write!(self.out, "</{tag}>");
        }
        self.scope.truncate(before);
    }

    fn line(&mut self, level: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', level));
    }

    fn lookup(&self, prefix: &str) -> Option<&Arc<str>> {
        let mut scope = self.scope.iter().rev();
        scope.find(|(declared, _)| **declared == *prefix).map(|(_, namespace)| namespace)
    }

    /// The name as it is written here, declaring what is not declared yet.
    fn qualify(&mut self, name: &Name, is_element: bool, declared: &mut Vec<(Box<str>, Arc<str>)>) -> String {
        let Name { namespace, local } = name;
        if **namespace == *XML {
            return format!("xml:{local}");
        }
        if is_element && self.lookup("").map_or("", |bound| bound) == &**namespace
            || !is_element && namespace.is_empty()
        {
            return local.to_string();
        }
        if is_element && namespace.is_empty() {
            declared.retain(|(prefix, _)| !prefix.is_empty());
            declared.push(("".into(), namespace.clone()));
            self.scope.push(("".into(), namespace.clone()));
            return local.to_string();
        }
        let mut scope = self.scope.iter().rev();
        let usable = scope.find(|(prefix, bound)| {
            bound == namespace && !prefix.is_empty() && self.lookup(prefix) == Some(namespace)
        });
        if let Some((prefix, _)) = usable {
            return format!("{prefix}:{local}");
        }
        let prefix = free_prefix(namespace, |prefix| self.lookup(prefix).is_some());
        declared.push((prefix.clone(), namespace.clone()));
        self.scope.push((prefix.clone(), namespace.clone()));
        format!("{prefix}:{local}")
    }
}

/// The usual prefix of a namespace, or the first one that is not taken.
pub(in crate::presence) fn free_prefix(namespace: &str, taken: impl Fn(&str) -> bool) -> Box<str> {
    let usual = PREFIXES.iter().find(|(known, _)| *known == namespace).map(|(_, prefix)| *prefix);
    if let Some(prefix) = usual.filter(|prefix| !taken(prefix)) {
        return prefix.into();
    }
    let mut numbered = (1..).map(|number: u32| format!("n{number}"));
    numbered.find(|prefix| !taken(prefix)).unwrap_or_default().into()
}

fn escape(out: &mut String, text: &str, attribute: bool) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            // A reader makes spaces or line ends of these where they stand as they are.
            '\r' => out.push_str("&#13;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}' => {
                out.push('\u{FFFD}')
            }
            _ => out.push(character),
        }
    }
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
/// Namespaces declared at the root; a reader allows few.
const HOISTED: usize = 32;
const PREFIXES: &[(&str, &str)] = &[
    ("urn:ietf:params:xml:ns:pidf", "p"),
    ("urn:ietf:params:xml:ns:pidf:data-model", "dm"),
    ("urn:ietf:params:xml:ns:pidf:rpid", "rpid"),
    ("urn:ietf:params:xml:ns:pidf:cipid", "c"),
    ("urn:ietf:params:xml:ns:pidf:caps", "caps"),
    ("urn:ietf:params:xml:ns:pidf:geopriv10", "gp"),
    ("urn:ietf:params:xml:ns:location-type", "lt"),
    ("urn:ietf:params:xml:ns:pidf-diff", "d"),
    ("urn:ietf:params:xml:ns:common-policy", "cr"),
    ("urn:ietf:params:xml:ns:pres-rules", "pr"),
    ("urn:ietf:params:xml:ns:resource-lists", "rl"),
    ("urn:ietf:params:xml:ns:gruuinfo", "gr"),
    ("http://www.w3.org/2001/XMLSchema-instance", "xsi"),
];
