//! What changed in an XCAP server: xcap-diff (RFC 5874), as the event package of RFC 5875 carries it.

use super::{
    Element, Error, Reason, XmlDocument,
    patch::{self, Patch},
};

/// `<xcap-diff>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct XcapDiff {
    /// The XCAP root, an HTTP URI that the selectors continue.
    pub xcap_root: String,
    /// What changed, in order.
    pub changes: Vec<Change>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A document, element or attribute that changed (RFC 5874 §4).
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A document: its entity tags tell what became of it.
    Document {
        /// The path below the XCAP root.
        selector: String,
        /// The tag that it has now; none if it is gone.
        new_etag: Option<String>,
        /// The tag that it had; none if it is new, or not told.
        previous_etag: Option<String>,
        /// What was done to it.
        content: Content,
    },
    /// An element.
    Element {
        /// The path below the XCAP root.
        selector: String,
        /// Whether it is there, if told.
        exists: Option<bool>,
        /// What it is now.
        element: Option<Element>,
    },
    /// An attribute.
    Attribute {
        /// The path below the XCAP root.
        selector: String,
        /// Whether it is there, if told.
        exists: Option<bool>,
        /// What it is now; nothing if it is not there.
        value: Option<String>,
    },
}

/// What was done to a document.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Content {
    /// Not told: fetch it.
    #[default]
    Untold,
    /// Nothing: it has a new tag only.
    NotChanged,
    /// This, from the previous tag to the new one.
    Patches(Vec<Patch>),
}

impl Change {
    /// The path below the XCAP root.
    pub fn selector(&self) -> &str {
        match self {
            Self::Document { selector, .. }
            | Self::Element { selector, .. }
            | Self::Attribute { selector, .. } => selector,
        }
    }

    fn from_element(element: &Element, root: &Element, patches: &mut usize) -> Result<Option<Self>, Error> {
        let selector = || element.required("sel").map(joined);
        Ok(Some(match &*element.name.local {
            "document" => Self::Document {
                selector: selector()?,
                new_etag: element.string("new-etag"),
                previous_etag: element.string("previous-etag"),
                content: Content::from_element(element, root, patches)?,
            },
            "element" => Self::Element {
                selector: selector()?,
                exists: element.boolean("exists")?,
                element: element.elements().next().cloned(),
            },
            "attribute" => {
                let exists = element.boolean("exists")?;
                let value = element.text().into_owned();
                let value = (exists != Some(false) || !value.is_empty()).then_some(value);
                Self::Attribute { selector: selector()?, exists, value }
            }
            _ => return Ok(None),
        }))
    }

    fn to_element(&self) -> Element {
        match self {
            Self::Document { selector, new_etag, previous_etag, content } => {
                Element::new(XCAP_DIFF, "document")
                    .with("sel", selector)
                    .with_some("new-etag", new_etag.as_ref())
                    .with_some("previous-etag", previous_etag.as_ref())
                    .with_children(content.to_elements())
            }
            Self::Element { selector, exists, element } => Element::new(XCAP_DIFF, "element")
                .with("sel", selector)
                .with_some("exists", exists.as_ref())
                .with_children(element.iter().cloned()),
            Self::Attribute { selector, exists, value } => Element::new(XCAP_DIFF, "attribute")
                .with("sel", selector)
                .with_some("exists", exists.as_ref())
                .with_text(value.as_deref().unwrap_or_default()),
        }
    }
}

impl Content {
    fn from_element(document: &Element, root: &Element, count: &mut usize) -> Result<Self, Error> {
        if document.child(XCAP_DIFF, "body-not-changed").is_some() {
            return Ok(Self::NotChanged);
        }
        let scope = [root.prefixes.as_slice(), document.prefixes.as_slice()].concat();
        let mut patches = Vec::new();
        for child in document.elements().filter(|child| *child.name.namespace == *XCAP_DIFF) {
            *count += 1;
            if *count > patch::OPERATIONS {
                let reason = Reason::TooMany { what: "patch operations", limit: patch::OPERATIONS };
                return Err(child.refuse(reason));
            }
            patches.extend(Patch::from_element(child, &scope)?);
        }
        Ok(if patches.is_empty() { Self::Untold } else { Self::Patches(patches) })
    }

    fn to_elements(&self) -> Vec<Element> {
        match self {
            Self::Untold => Vec::new(),
            Self::NotChanged => vec![Element::new(XCAP_DIFF, "body-not-changed")],
            Self::Patches(patches) => patches.iter().map(|patch| patch.to_element(XCAP_DIFF)).collect(),
        }
    }
}

impl XmlDocument for XcapDiff {
    const MEDIA_TYPE: &'static str = "application/xcap-diff+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(XCAP_DIFF, "xcap-diff")?;
        let mut document = Self { xcap_root: root.required("xcap-root")?.to_owned(), ..Self::default() };
        let mut patches = 0;
        for child in root.elements() {
            let change = match &*child.name.namespace {
                XCAP_DIFF => Change::from_element(child, root, &mut patches)?,
                _ => None,
            };
            match change {
                Some(change) => document.changes.push(change),
                None => document.extensions.push(child.clone()),
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        let mut root = Element::new(XCAP_DIFF, "xcap-diff")
            .with("xcap-root", &self.xcap_root)
            .with_children(self.changes.iter().map(Change::to_element))
            .with_children(self.extensions.iter().cloned());
        // Documents without a namespace are patched with names without a prefix: there must be no default one.
        root.prefixes.push(("d".into(), XCAP_DIFF.into()));
        root
    }
}

/// A path as it is without the line breaks and spaces that lay it out.
fn joined(path: &str) -> String {
    path.split_ascii_whitespace().collect()
}

/// The namespace of xcap-diff.
pub const XCAP_DIFF: &str = "urn:ietf:params:xml:ns:xcap-diff";
