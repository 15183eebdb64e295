//! What a server knows: the document xcap-caps/global/index (RFC 4825 §12).

use crate::presence::{Element, Error, Limits};

/// `<xcap-caps>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The application usages that it has.
    pub auids: Vec<String>,
    /// Extensions of the protocol.
    pub extensions: Vec<String>,
    /// The namespaces whose elements it can check.
    pub namespaces: Vec<String>,
}

impl Capabilities {
    /// Reads the document. A root element of another name has no capabilities in it.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let root = Element::read(body, &Limits::default())?;
        let list = |all: &str, one: &str| {
            let lists = root.elements().filter(|child| child.is(XCAP_CAPS, all));
            let rows = lists.flat_map(Element::elements).filter(|row| row.is(XCAP_CAPS, one));
            rows.map(|row| row.text().into_owned()).collect()
        };
        Ok(Self {
            auids: list("auids", "auid"),
            extensions: list("extensions", "extension"),
            namespaces: list("namespaces", "namespace"),
        })
    }
}

const XCAP_CAPS: &str = "urn:ietf:params:xml:ns:xcap-caps";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let body = br#"<xcap-caps xmlns="urn:ietf:params:xml:ns:xcap-caps">
          <auids><auid>xcap-caps</auid><auid> rls-services </auid></auids>
          <extensions/>
          <namespaces><namespace>urn:ietf:params:xml:ns:xcap-caps</namespace></namespaces>
        </xcap-caps>"#;
        let capabilities = Capabilities::read(body).expect("well formed");
        assert_eq!(capabilities.auids, ["xcap-caps", "rls-services"]);
        assert!(capabilities.extensions.is_empty());
        assert_eq!(capabilities.namespaces.len(), 1);
        assert!(Capabilities::read(b"<xcap-caps").is_err());
    }
}
