//! Who may see what: presence authorization rules (RFC 5025) in the form of common policy (RFC 4745).
//!
//! Rules only permit: what no rule that applies gives is not given. A condition that is not known never holds.

mod condition;
mod permission;
#[cfg(test)]
mod tests;

pub use condition::{Conditions, Context, Identity, Validity};
pub use permission::{Attribute, Permissions, Provided, SubHandling, UserInputLevel};

use super::{Element, Error, XmlDocument};

/// `<ruleset>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ruleset {
    /// The rules; their order says nothing.
    pub rules: Vec<Rule>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// `<rule>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// Unique in the document.
    pub id: String,
    /// When the rule applies: all of them must hold.
    pub conditions: Conditions,
    /// What it gives: its actions and transformations.
    pub permissions: Permissions,
}

impl Ruleset {
    /// What a watcher may see: all that the rules that apply give together (RFC 4745 §10.2).
    pub fn permissions(&self, context: &Context<'_>) -> Permissions {
        let mut all = Permissions::default();
        for rule in self.rules.iter().filter(|rule| rule.conditions.hold(context)) {
            all.add(&rule.permissions);
        }
        all
    }
}

impl Rule {
    /// A rule for one watcher that says how its subscriptions are handled and, if they are allowed, shows all.
    pub fn for_watcher(id: impl Into<String>, uri: impl Into<String>, handling: SubHandling) -> Self {
        let conditions =
            Conditions { identity: Some(vec![Identity::One(uri.into())]), ..Conditions::default() };
        let mut permissions = Permissions { sub_handling: Some(handling), ..Permissions::default() };
        if handling == SubHandling::Allow {
            permissions.show_all();
        }
        Self { id: id.into(), conditions, permissions }
    }

    /// Reads `<rule>`.
    pub fn from_element(element: &Element) -> Result<Self, Error> {
        let mut rule = Self { id: element.required("id")?.to_owned(), ..Self::default() };
        for child in element.elements().filter(|child| *child.name.namespace == *COMMON_POLICY) {
            match &*child.name.local {
                "conditions" => rule.conditions = Conditions::read(child)?,
                "actions" => rule.permissions.read_actions(child)?,
                "transformations" => rule.permissions.read_transformations(child)?,
                _ => {}
            }
        }
        Ok(rule)
    }

    /// Writes `<rule>`.
    pub fn to_element(&self) -> Element {
        Element::new(COMMON_POLICY, "rule")
            .with("id", &self.id)
            .with_child(self.conditions.write())
            .with_child(self.permissions.write_actions())
            .with_child(self.permissions.write_transformations())
    }
}

impl XmlDocument for Ruleset {
    const MEDIA_TYPE: &'static str = "application/auth-policy+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(COMMON_POLICY, "ruleset")?;
        let mut document = Self::default();
        for child in root.elements() {
            if child.is(COMMON_POLICY, "rule") {
                document.rules.push(Rule::from_element(child)?);
            } else {
                document.extensions.push(child.clone());
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        Element::new(COMMON_POLICY, "ruleset")
            .with_children(self.rules.iter().map(Rule::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

/// The namespace of common policy.
pub const COMMON_POLICY: &str = "urn:ietf:params:xml:ns:common-policy";
/// The namespace of presence authorization rules.
pub const PRES_RULES: &str = "urn:ietf:params:xml:ns:pres-rules";
