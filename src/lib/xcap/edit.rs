//! The changes people make to their documents: who may see them (RFC 5025), who is in a list, and which lists can be
//! subscribed to (RFC 4826).
//!
//! They are made to the elements as they were read, so that what is not known here stays as it was; only comments are
//! lost. Each says whether there is anything to write.

use crate::presence::{
    Element, Error, Node, XmlDocument,
    pres_rules::{COMMON_POLICY, Context, Identity, Rule, Ruleset, SubHandling},
    resource_lists::{Entry, RESOURCE_LISTS, RLS_SERVICES, Service},
};

/// Rules without a rule in them.
pub fn no_rules() -> Element {
    Element::new(COMMON_POLICY, "ruleset")
}

/// No list.
pub fn no_lists() -> Element {
    Element::new(RESOURCE_LISTS, "resource-lists")
}

/// No service.
pub fn no_services() -> Element {
    Element::new(RLS_SERVICES, "rls-services")
}

/// A row of the rules: who, and what becomes of their subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// A URI, or whom a rule for many is for.
    pub who: String,
    /// The `id` of the rule.
    pub rule: String,
    /// What it says of subscriptions, if it does.
    pub handling: Option<SubHandling>,
}

/// Whom the rules name.
pub fn watchers(ruleset: &Ruleset) -> Vec<Watcher> {
    let mut rows = Vec::new();
    for rule in &ruleset.rules {
        let row =
            |who: String| Watcher { who, rule: rule.id.clone(), handling: rule.permissions.sub_handling };
        match &rule.conditions.identity {
            None => rows.push(row("anybody".into())),
            Some(identities) => rows.extend(identities.iter().map(|identity| {
                row(match identity {
                    Identity::One(uri) => uri.clone(),
                    Identity::Many { domain, except_ids, except_domains } => {
                        let of = domain.as_deref().map(|domain| format!(" of {domain}")).unwrap_or_default();
                        let except: Vec<_> =
                            except_ids.iter().chain(except_domains).map(String::as_str).collect();
                        match except.as_slice() {
                            [] => format!("everybody{of}"),
                            except => format!("everybody{of} except {}", except.join(", ")),
                        }
                    }
                })
            })),
        }
    }
    rows
}

/// Gives one watcher a rule of their own, and takes them out of all others; without a `handling` that was all.
///
/// What rules give adds up (RFC 4745 §10.2), so rules for many that give more get an exception. The result is what
/// the rules say of the watcher then; it differs from what was wanted if a rule for anybody gives more.
pub fn handle(
    root: &mut Element,
    watcher: &str,
    handling: Option<SubHandling>,
) -> Result<SubHandling, Error> {
    let context = Context { watcher: Some(watcher), ..Context::default() };
    let said = |root: &Element| Ok(Ruleset::from_element(root)?.permissions(&context).handling());
    if let Some(wanted) = handling
        && rules_for(root, watcher) == 1
        && said(root)? == wanted
    {
        return Ok(wanted);
    }
    root.children.retain_mut(|node| match node {
        Node::Element(rule) if rule.is(COMMON_POLICY, "rule") => !forget(rule, watcher),
        _ => true,
    });
    if let Some(wanted) = handling {
        let rules = root.children.iter_mut().filter_map(|node| match node {
            Node::Element(rule) if rule.is(COMMON_POLICY, "rule") => Some(rule),
            _ => None,
        });
        for rule in rules {
            let read = Rule::from_element(rule)?;
            let alone = Ruleset { rules: vec![read], ..Ruleset::default() };
            if alone.permissions(&context).handling() > wanted {
                except(rule, watcher);
            }
        }
        let taken: Vec<&str> = root.elements().filter_map(|rule| rule.attribute("id")).collect();
        let base = format!("{}-{}", wanted.as_str(), id_of(watcher));
        let mut id = base.clone();
        let mut number = 2;
        while taken.contains(&id.as_str()) {
            id = format!("{base}-{number}");
            number += 1;
        }
        root.push(Rule::for_watcher(id, watcher, wanted).to_element());
    }
    said(root)
}

/// How often rules name a watcher.
fn rules_for(root: &Element, watcher: &str) -> usize {
    let within = |element: &Element, local: &'static str| {
        element.elements().find(|child| child.is(COMMON_POLICY, local)).cloned()
    };
    let identities = root
        .elements()
        .filter(|rule| rule.is(COMMON_POLICY, "rule"))
        .filter_map(|rule| within(&within(rule, "conditions")?, "identity"));
    identities
        .map(|identity| identity.children.iter().filter(|node| is_about(node, "one", watcher)).count())
        .sum()
}

/// As in the names of rules: an NCName, which a URI is not.
fn id_of(uri: &str) -> String {
    let uri = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    uri.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
        .collect()
}

/// Takes a watcher out of a rule; true if the rule was for nobody else.
fn forget(rule: &mut Element, watcher: &str) -> bool {
    let Some(identity) = within(rule, "conditions").and_then(|conditions| within(conditions, "identity"))
    else {
        return false;
    };
    let before = identity.children.len();
    identity.children.retain(|node| !is_about(node, "one", watcher));
    let is_gone = identity.children.len() < before && identity.elements().next().is_none();
    for node in &mut identity.children {
        if let Node::Element(many) = node {
            many.children.retain(|node| !is_about(node, "except", watcher));
        }
    }
    is_gone
}

/// Takes a watcher out of those a rule for many is for.
fn except(rule: &mut Element, watcher: &str) {
    let Some(identity) = within(rule, "conditions").and_then(|conditions| within(conditions, "identity"))
    else {
        return;
    };
    for node in &mut identity.children {
        if let Node::Element(many) = node
            && many.is(COMMON_POLICY, "many")
        {
            many.push(Element::new(COMMON_POLICY, "except").with("id", watcher));
        }
    }
}

fn within<'e>(element: &'e mut Element, local: &str) -> Option<&'e mut Element> {
    element.children.iter_mut().find_map(|node| match node {
        Node::Element(child) if child.is(COMMON_POLICY, local) => Some(child),
        _ => None,
    })
}

fn is_about(node: &Node, local: &str, watcher: &str) -> bool {
    matches!(node, Node::Element(element)
        if element.is(COMMON_POLICY, local) && element.attribute("id").is_some_and(|id| same_uri(id, watcher)))
}

/// Adds somebody to the list of that name, which is made if it is not there; false if they are in it.
pub fn add_entry(root: &mut Element, list: &str, entry: &Entry) -> bool {
    let has_list = root.elements().any(|child| is_list(child, list));
    if !has_list {
        insert(root, Element::new(RESOURCE_LISTS, "list").with("name", list));
    }
    for node in &mut root.children {
        if let Node::Element(found) = node
            && is_list(found, list)
        {
            let is_there = found.elements().any(|child| is_entry(child, &entry.uri));
            if !is_there {
                insert(found, entry.to_element());
            }
            return !is_there;
        }
    }
    false
}

/// Takes somebody out of the list of that name; false if they are not in it.
pub fn remove_entry(root: &mut Element, list: &str, uri: &str) -> bool {
    let mut removed = false;
    for node in &mut root.children {
        if let Node::Element(found) = node
            && is_list(found, list)
        {
            let before = found.children.len();
            found.children.retain(|node| !matches!(node, Node::Element(child) if is_entry(child, uri)));
            removed |= found.children.len() < before;
        }
    }
    removed
}

/// Adds a service, or puts it in the place of the one with its URI.
pub fn set_service(root: &mut Element, service: &Service) {
    let new = service.to_element();
    for node in &mut root.children {
        if let Node::Element(found) = node
            && is_service(found, &service.uri)
        {
            *found = new;
            return;
        }
    }
    insert(root, new);
}

/// Behind its like, but before what other namespaces add: that stands last (RFC 4826 §3.2, §4.2).
fn insert(parent: &mut Element, child: Element) {
    let own = parent.name.namespace.clone();
    let is_foreign = |node: &Node| matches!(node, Node::Element(element) if element.name.namespace != own);
    let last = parent.children.iter().rposition(|node| matches!(node, Node::Element(_)) && !is_foreign(node));
    let at = match last {
        Some(last) => last + 1,
        None => parent.children.iter().position(is_foreign).unwrap_or(parent.children.len()),
    };
    parent.children.insert(at, Node::Element(child));
}

/// Takes a service out; false if there is none with that URI.
pub fn remove_service(root: &mut Element, uri: &str) -> bool {
    let before = root.children.len();
    root.children.retain(|node| !matches!(node, Node::Element(child) if is_service(child, uri)));
    root.children.len() < before
}

fn is_list(element: &Element, name: &str) -> bool {
    element.is(RESOURCE_LISTS, "list") && element.attribute("name") == Some(name)
}

fn is_entry(element: &Element, uri: &str) -> bool {
    element.is(RESOURCE_LISTS, "entry") && element.attribute("uri").is_some_and(|own| same_uri(own, uri))
}

fn is_service(element: &Element, uri: &str) -> bool {
    element.is(RLS_SERVICES, "service") && element.attribute("uri").is_some_and(|own| same_uri(own, uri))
}

/// The host without regard to case, the rest by its letters (RFC 4826 §5 leaves the rest to the client).
fn same_uri(one: &str, two: &str) -> bool {
    let parts = |uri: &str| {
        let (user, host) = uri.trim().rsplit_once('@').unwrap_or(("", uri.trim()));
        (user.to_owned(), host.to_ascii_lowercase())
    };
    parts(one) == parts(two)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::{
        Document, Limits,
        resource_lists::{ResourceLists, RlsServices, Source},
    };

    fn read(text: &str) -> Element {
        Element::read(text.as_bytes(), &Limits::default()).expect("well formed")
    }

    #[test]
    fn one_watcher_has_one_rule() {
        let mut root = no_rules();
        for handling in
            [SubHandling::Allow, SubHandling::Block, SubHandling::PoliteBlock, SubHandling::Confirm]
        {
            let now = handle(&mut root, "sip:bob@example.com", Some(handling)).expect("rules");
            assert_eq!(now, handling);
            assert_eq!(root.elements().count(), 1);
        }
        handle(&mut root, "sip:carol@example.com", Some(SubHandling::Allow)).expect("rules");
        let again = Ruleset::read(root.write().as_bytes()).expect("rules");
        let rows = watchers(&again);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].who.as_str(), rows[0].rule.as_str()),
            ("sip:bob@example.com", "confirm-bob_example.com")
        );
        handle(&mut root, "sip:bob@EXAMPLE.com", None).expect("rules");
        assert_eq!(root.elements().count(), 1);
    }

    #[test]
    fn a_rule_for_many_gets_an_exception_and_the_rest_stays() {
        let mut root = read(
            r#"<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
              <rule id="a"><conditions><identity><many/><one id="sip:bob@b.example"/></identity></conditions>
              <actions><pr:sub-handling>allow</pr:sub-handling></actions><x:new xmlns:x="urn:x">kept</x:new></rule>
            </ruleset>"#,
        );
        let block = |root: &mut Element| handle(root, "sip:bob@b.example", Some(SubHandling::Block));
        assert_eq!(block(&mut root), Ok(SubHandling::Block));
        assert_eq!(block(&mut root), Ok(SubHandling::Block));
        let text = root.write();
        assert!(text.contains("kept"), "{text}");
        assert_eq!(text.matches("except id").count(), 1, "{text}");
        let rows = watchers(&Ruleset::from_element(&root).expect("rules"));
        assert_eq!(rows[0].who, "everybody except sip:bob@b.example");
        // Nothing is left of it.
        assert_eq!(handle(&mut root, "sip:bob@b.example", None), Ok(SubHandling::Allow));
    }

    #[test]
    fn a_rule_for_anybody_is_told() {
        let mut root = read(
            r#"<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"><actions>
            <sub-handling xmlns="urn:ietf:params:xml:ns:pres-rules">allow</sub-handling></actions></rule></ruleset>"#,
        );
        assert_eq!(handle(&mut root, "sip:b@c", Some(SubHandling::Block)), Ok(SubHandling::Allow));
    }

    #[test]
    fn entries_come_and_go() {
        let mut root = no_lists();
        assert!(add_entry(&mut root, "friends", &Entry::new("sip:bob@example.com")));
        assert!(!add_entry(&mut root, "friends", &Entry::new("sip:bob@Example.com")));
        assert!(add_entry(&mut root, "work", &Entry::new("sip:bob@example.com")));
        let lists = ResourceLists::read(root.write().as_bytes()).expect("lists");
        assert_eq!((lists.lists.len(), lists.entries().count()), (2, 2));
        assert!(!remove_entry(&mut root, "friends", "sip:nobody@example.com"));
        assert!(remove_entry(&mut root, "friends", "sip:bob@example.com"));
        assert_eq!(ResourceLists::from_element(&root).expect("lists").entries().count(), 1);
    }

    #[test]
    fn what_others_add_stays_last() {
        let mut root = read(
            r#"<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="a"><display-name>A</display-name>
            <x:b xmlns:x="urn:x"/></list><list name="b"><x:b xmlns:x="urn:x"/></list><x:c xmlns:x="urn:x"/></resource-lists>"#,
        );
        for list in ["a", "b", "c"] {
            assert!(add_entry(&mut root, list, &Entry::new("sip:bob@example.com")));
            assert!(add_entry(&mut root, list, &Entry::new("sip:carol@example.com")));
        }
        let names = |element: &Element| {
            element.elements().map(|child| child.name.local.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&root), "list list list c");
        let lists: Vec<_> = root.elements().take(3).map(names).collect();
        assert_eq!(lists, ["display-name entry entry b", "entry entry b", "entry entry"]);
    }

    #[test]
    fn services_come_and_go() {
        let service = |list: &str| Service {
            uri: "sip:friends@example.com".into(),
            source: Source::ResourceList(list.into()),
            packages: vec!["presence".into()],
            extensions: Vec::new(),
        };
        let mut root = no_services();
        set_service(&mut root, &service("http://a/1"));
        set_service(&mut root, &service("http://a/2"));
        let services = RlsServices::read(root.write().as_bytes()).expect("services").services;
        assert_eq!(services, [service("http://a/2")]);
        assert!(remove_service(&mut root, "sip:friends@example.com"));
        assert!(!remove_service(&mut root, "sip:friends@example.com"));
    }
}
