//! When a rule applies (RFC 4745 §7).

use super::COMMON_POLICY;
use crate::presence::{Element, Error, Timestamp};

/// `<conditions>`: all of them must hold; none hold always.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conditions {
    /// Who the watcher must be: one of these.
    pub identity: Option<Vec<Identity>>,
    /// The sphere that the presentity must be in: one of these.
    pub sphere: Vec<String>,
    /// When: in one of these times.
    pub validity: Option<Vec<Validity>>,
    /// Conditions that are not known, so that the rule does not apply.
    pub unknown: Vec<Element>,
}

/// Who a watcher may be (RFC 4745 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// This one: a URI.
    One(String),
    /// Everybody whose identity is known.
    Many {
        /// From this domain only.
        domain: Option<String>,
        /// Not these: URIs.
        except_ids: Vec<String>,
        /// Not those from these domains.
        except_domains: Vec<String>,
    },
}

/// A time (RFC 4745 §7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

/// What conditions are compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'c> {
    /// The URI of the watcher, if it is authenticated. Compared without its parameters, the host without regard to
    /// case.
    pub watcher: Option<&'c str>,
    /// The sphere of the presentity, if it is known.
    pub sphere: Option<&'c str>,
    /// Now, if a rule may ask.
    pub now: Option<Timestamp>,
}

impl Conditions {
    pub(super) fn hold(&self, context: &Context<'_>) -> bool {
        let identity = self.identity.as_ref().is_none_or(|identities| {
            context.watcher.is_some_and(|watcher| identities.iter().any(|identity| identity.is(watcher)))
        });
        let sphere = self.sphere.is_empty()
            || context.sphere.is_some_and(|sphere| self.sphere.iter().any(|wanted| wanted == sphere));
        let validity = self.validity.as_ref().is_none_or(|times| {
            let within = |now| times.iter().any(|time| time.from <= now && now <= time.until);
            context.now.is_some_and(within)
        });
        identity && sphere && validity && self.unknown.is_empty()
    }

    pub(super) fn read(element: &Element) -> Result<Self, Error> {
        let mut conditions = Self::default();
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (COMMON_POLICY, "identity") => conditions.read_identity(child)?,
                (COMMON_POLICY, "sphere") => conditions.sphere.push(child.required("value")?.to_owned()),
                (COMMON_POLICY, "validity") => {
                    conditions.validity.get_or_insert_default().extend(Validity::read(child)?);
                }
                _ => conditions.unknown.push(child.clone()),
            }
        }
        Ok(conditions)
    }

    fn read_identity(&mut self, element: &Element) -> Result<(), Error> {
        let identities = self.identity.get_or_insert_default();
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (COMMON_POLICY, "one") => identities.push(Identity::One(child.required("id")?.to_owned())),
                (COMMON_POLICY, "many") => identities.push(Identity::many(child)),
                // Another way to name somebody: it names nobody here.
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn write(&self) -> Element {
        let new = |local: &str| Element::new(COMMON_POLICY, local);
        let identity = self.identity.as_ref();
        let identity =
            identity.map(|all| new("identity").with_children(all.iter().map(Identity::to_element)));
        let validity = self.validity.as_ref().map(|times| {
            let times = times
                .iter()
                .flat_map(|time| [new("from").with_text(&time.from), new("until").with_text(&time.until)]);
            new("validity").with_children(times)
        });
        new("conditions")
            .with_children(identity)
            .with_children(self.sphere.iter().map(|sphere| new("sphere").with("value", sphere)))
            .with_children(validity)
            .with_children(self.unknown.iter().cloned())
    }
}

impl Validity {
    /// Pairs of begin and end.
    fn read(element: &Element) -> Result<Vec<Self>, Error> {
        let mut times = Vec::new();
        let mut from = None;
        for child in element.elements().filter(|child| *child.name.namespace == *COMMON_POLICY) {
            match (&*child.name.local, from) {
                ("from", _) => from = Some(child.content()?),
                ("until", Some(begin)) => {
                    times.push(Self { from: begin, until: child.content()? });
                    from = None;
                }
                _ => return Err(child.lacks("from")),
            }
        }
        if from.is_some() { Err(element.lacks("until")) } else { Ok(times) }
    }
}

impl Identity {
    /// Everybody whose identity is known.
    pub const fn anybody() -> Self {
        Self::Many { domain: None, except_ids: Vec::new(), except_domains: Vec::new() }
    }

    fn many(element: &Element) -> Self {
        let excepted = |attribute: &str| {
            let exceptions = element.elements().filter(|child| child.is(COMMON_POLICY, "except"));
            exceptions.filter_map(|except| except.string(attribute)).collect()
        };
        let domain = element.string("domain");
        Self::Many { domain, except_ids: excepted("id"), except_domains: excepted("domain") }
    }

    fn is(&self, watcher: &str) -> bool {
        let watcher = Address::of(watcher);
        match self {
            Self::One(id) => Address::of(id).is(&watcher),
            Self::Many { domain, except_ids, except_domains } => {
                let from = |domain: &String| domain.eq_ignore_ascii_case(watcher.host);
                domain.as_ref().is_none_or(from)
                    && !except_domains.iter().any(from)
                    && !except_ids.iter().any(|id| Address::of(id).is(&watcher))
            }
        }
    }

    fn to_element(&self) -> Element {
        match self {
            Self::One(id) => Element::new(COMMON_POLICY, "one").with("id", id),
            Self::Many { domain, except_ids, except_domains } => {
                let except = |attribute: &'static str| {
                    move |value: &String| Element::new(COMMON_POLICY, "except").with(attribute, value)
                };
                Element::new(COMMON_POLICY, "many")
                    .with_some("domain", domain.as_ref())
                    .with_children(except_ids.iter().map(except("id")))
                    .with_children(except_domains.iter().map(except("domain")))
            }
        }
    }
}

/// As much of a URI as tells who somebody is.
struct Address<'u> {
    scheme: &'u str,
    user: &'u str,
    host: &'u str,
}

impl<'u> Address<'u> {
    fn of(uri: &'u str) -> Self {
        let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
        let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        // An IPv6 address has colons of its own.
        let end = match host.find(']') {
            Some(end) => end + 1,
            None => host.find([';', ':', '?']).unwrap_or(host.len()),
        };
        Self { scheme, user, host: host.get(..end).unwrap_or(host) }
    }

    fn is(&self, other: &Self) -> bool {
        let secure = |scheme: &str| {
            if scheme.eq_ignore_ascii_case("sips") { "sip" } else { scheme }.to_ascii_lowercase()
        };
        secure(self.scheme) == secure(other.scheme)
            && self.user == other.user
            && self.host.eq_ignore_ascii_case(other.host)
    }
}
