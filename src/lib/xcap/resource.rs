//! Where a document or a part of it is (RFC 4825 §6): root, application usage, tree, name, node.

use super::{
    selector::{NodeSelector, SelectorError},
    url::{Url, UrlError, encode_query, encode_segment},
    usage::Usage,
};

/// A document on a server, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The XCAP root: a URL without a query.
    pub root: Url,
    /// The application usage.
    pub auid: String,
    /// Whose it is.
    pub tree: Tree,
    /// The name of the document; folders with slashes between them.
    pub document: String,
    /// The part, if it is not the whole.
    pub node: Option<NodeSelector>,
    /// Prefixes of the selector and their namespaces.
    pub namespaces: Vec<(String, String)>,
}

/// The part of the server below an AUID (§6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Of all users.
    Global,
    /// Of the user with this XUI, in most cases an address of record.
    User(String),
}

impl Resource {
    /// Reads a root (§6.1).
    pub fn root(text: &str) -> Result<Url, UrlError> {
        let url: Url = text.parse()?;
        if url.target().contains('?') { Err(UrlError::Query) } else { Ok(url) }
    }

    /// The whole document of a usage, by its usual name.
    pub fn document(root: Url, usage: &Usage, tree: Tree) -> Self {
        let (auid, document) = (usage.auid.to_owned(), usage.document.to_owned());
        Self { root, auid, tree, document, node: None, namespaces: Vec::new() }
    }

    /// The URL to ask for.
    pub fn url(&self) -> Result<Url, SelectorError> {
        let mut path = encode_segment(&self.auid);
        match &self.tree {
            Tree::Global => path.push_str("/global"),
            Tree::User(xui) => {
                path.push_str("/users/");
                path.push_str(&encode_segment(xui));
            }
        }
        for segment in self.document.split('/').filter(|segment| !segment.is_empty()) {
            path.push('/');
            path.push_str(&encode_dots(segment));
        }
        if let Some(node) = &self.node {
            let bound = |prefix: &str| self.namespaces.iter().any(|(known, _)| known == prefix);
            if let Some(prefix) = node.prefixes().into_iter().find(|prefix| !bound(prefix)) {
                return Err(SelectorError::Unbound(prefix.to_owned()));
            }
            path.push_str("/~~/");
            path.push_str(&node.encoded());
            if !self.namespaces.is_empty() {
                path.push('?');
            }
            for (prefix, namespace) in &self.namespaces {
                let binding = format!("xmlns({prefix}={})", escape_pointer(namespace));
                path.push_str(&encode_query(&binding));
            }
        }
        Ok(self.root.below(&path))
    }

    /// The media type of what is put there; `None` if the usage is not known.
    pub fn media_type(&self) -> Option<&'static str> {
        match &self.node {
            Some(node) => Some(node.target().media_type()),
            None => Usage::find(&self.auid).map(|usage| usage.media_type),
        }
    }
}

/// What must be so for a request to be done (§7.11, RFC 9110 §13.1): entity tags are as the server wrote them, with
/// their quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The document has this tag; `*`: it is there.
    Match(String),
    /// The document does not have it; `*`: it is not there.
    NoneMatch(String),
}

impl Precondition {
    /// The field that says so.
    pub fn field(&self) -> (&'static str, &str) {
        match self {
            Self::Match(tag) => ("If-Match", tag),
            Self::NoneMatch(tag) => ("If-None-Match", tag),
        }
    }
}

/// Segments of dots only lead elsewhere (RFC 3986 §5.2.4), so they are hidden.
fn encode_dots(segment: &str) -> String {
    match segment {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => encode_segment(segment),
    }
}

/// Parentheses and circumflexes of a namespace (XPointer Framework §3.1).
fn escape_pointer(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if matches!(character, '(' | ')' | '^') {
            escaped.push('^');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(node: Option<&str>, namespaces: &[(&str, &str)]) -> Resource {
        Resource {
            root: Resource::root("http://xcap.example.com").expect("a root"),
            auid: "test".into(),
            tree: Tree::User("sip:joe@example.com".into()),
            document: "index".into(),
            node: node.map(|text| text.parse().expect("a selector")),
            namespaces: namespaces.iter().map(|(p, n)| ((*p).to_owned(), (*n).to_owned())).collect(),
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 4825 §6.2 and §6.4.
        let url = resource(None, &[]).url().expect("a URL").to_string();
        assert_eq!(url, "http://xcap.example.com/test/users/sip:joe@example.com/index");
        let bindings = [("a", "urn:test:namespace1-uri"), ("b", "urn:test:namespace2-uri")];
        let url = resource(Some("foo/a:bar/b:baz"), &bindings).url().expect("a URL").to_string();
        assert_eq!(
            url,
            "http://xcap.example.com/test/users/sip:joe@example.com/index/~~/foo/a:bar/b:baz\
             ?xmlns(a=urn:test:namespace1-uri)xmlns(b=urn:test:namespace2-uri)"
        );
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        let mut there = resource(None, &[]);
        there.root = Resource::root("https://h:1/xcap-root/").expect("a root");
        there.tree = Tree::User("sip:a/../b?c#d@e".into());
        there.document = "/x/../y z".into();
        let url = there.url().expect("a URL").to_string();
        assert_eq!(url, "https://h:1/xcap-root/test/users/sip:a%2F..%2Fb%3Fc%23d@e/x/%2E%2E/y%20z");
        there.tree = Tree::Global;
        assert!(there.url().expect("a URL").to_string().contains("/test/global/x/"));
    }

    #[test]
    fn prefixes_must_be_bound_and_namespaces_are_escaped() {
        let unbound = resource(Some("a:b"), &[]).url();
        assert_eq!(unbound, Err(SelectorError::Unbound("a".into())));
        let url = resource(Some("a:b"), &[("a", "x(y)^&#")]).url().expect("a URL");
        assert!(url.target().ends_with("?xmlns(a=x%5E(y%5E)%5E%5E&%23)"), "{url}");
    }

    #[test]
    fn a_root_has_no_query() {
        assert_eq!(Resource::root("http://a/?b"), Err(UrlError::Query));
    }
}
