//! Application usages (RFC 4825 §5): what a document is, by the AUID it is kept under.

/// What is known of an application usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Its AUID, the first segment of a path.
    pub auid: &'static str,
    /// The media type of its documents.
    pub media_type: &'static str,
    /// The namespace of names without a prefix in selectors.
    pub namespace: &'static str,
    /// The usual name of a document.
    pub document: &'static str,
}

impl Usage {
    /// The usage with this AUID.
    pub fn find(auid: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|usage| usage.auid == auid)
    }

    /// Those of RFC 4825 §12, RFC 4826 §3.4 and §4.4, RFC 4827 §3 to §9, RFC 5025 §9, and the presence rules of OMA.
    pub const ALL: &'static [Self] = &[
        Self {
            auid: "pres-rules",
            media_type: "application/auth-policy+xml",
            namespace: "urn:ietf:params:xml:ns:pres-rules",
            document: "index",
        },
        Self {
            auid: "resource-lists",
            media_type: "application/resource-lists+xml",
            namespace: "urn:ietf:params:xml:ns:resource-lists",
            document: "index",
        },
        Self {
            auid: "rls-services",
            media_type: "application/rls-services+xml",
            namespace: "urn:ietf:params:xml:ns:rls-services",
            document: "index",
        },
        Self {
            auid: "pidf-manipulation",
            media_type: "application/pidf+xml",
            namespace: "urn:ietf:params:xml:ns:pidf",
            document: "index",
        },
        Self {
            auid: "xcap-caps",
            media_type: "application/xcap-caps+xml",
            namespace: "urn:ietf:params:xml:ns:xcap-caps",
            document: "index",
        },
        Self {
            auid: "org.openmobilealliance.pres-rules",
            media_type: "application/auth-policy+xml",
            namespace: "urn:ietf:params:xml:ns:common-policy",
            document: "pres-rules",
        },
    ];
}
