//! Header field names: which are known, their compact forms (RFC 3261 §7.3.3), lookup in any case.

/// A header field by name. What is not listed is `Unknown`; its name stays in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum HeaderId {
    Accept,
    AcceptContact,
    AcceptEncoding,
    AcceptLanguage,
    AcceptResourcePriority,
    AlertInfo,
    Allow,
    AllowEvents,
    AnswerMode,
    AuthenticationInfo,
    Authorization,
    CallId,
    CallInfo,
    Contact,
    ContentDisposition,
    ContentEncoding,
    ContentId,
    ContentLanguage,
    ContentLength,
    ContentType,
    CSeq,
    Date,
    Diversion,
    ErrorInfo,
    Event,
    Expires,
    FeatureCaps,
    FlowTimer,
    From,
    Geolocation,
    GeolocationError,
    GeolocationRouting,
    HistoryInfo,
    Identity,
    IdentityInfo,
    InfoPackage,
    InReplyTo,
    Join,
    MaxBreadth,
    MaxForwards,
    MimeVersion,
    MinExpires,
    MinSe,
    Organization,
    PAccessNetworkInfo,
    PAssertedIdentity,
    PAssociatedUri,
    PCalledPartyId,
    PChargingVector,
    PEarlyMedia,
    PPreferredIdentity,
    PVisitedNetworkId,
    Path,
    PolicyContact,
    PolicyId,
    Priority,
    Privacy,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    ProxyAuthorization,
    ProxyRequire,
    RAck,
    Reason,
    RecordRoute,
    RecvInfo,
    ReferEventsAt,
    ReferSub,
    ReferTo,
    ReferredBy,
    RejectContact,
    RemotePartyId,
    Replaces,
    ReplyTo,
    RequestDisposition,
    Require,
    ResourcePriority,
    RetryAfter,
    Route,
    RSeq,
    SecurityClient,
    SecurityServer,
    SecurityVerify,
    Server,
    ServiceRoute,
    SessionExpires,
    SessionId,
    SipEtag,
    SipIfMatch,
    Subject,
    SubscriptionState,
    Supported,
    SuppressIfMatch,
    TargetDialog,
    Timestamp,
    To,
    Unsupported,
    UserAgent,
    UserToUser,
    Via,
    Warning,
    WwwAuthenticate,
    Unknown,
}

impl HeaderId {
    /// Every header field known by name.
    pub const KNOWN: [Self; COUNT] = [
        Self::Accept,
        Self::AcceptContact,
        Self::AcceptEncoding,
        Self::AcceptLanguage,
        Self::AcceptResourcePriority,
        Self::AlertInfo,
        Self::Allow,
        Self::AllowEvents,
        Self::AnswerMode,
        Self::AuthenticationInfo,
        Self::Authorization,
        Self::CallId,
        Self::CallInfo,
        Self::Contact,
        Self::ContentDisposition,
        Self::ContentEncoding,
        Self::ContentId,
        Self::ContentLanguage,
        Self::ContentLength,
        Self::ContentType,
        Self::CSeq,
        Self::Date,
        Self::Diversion,
        Self::ErrorInfo,
        Self::Event,
        Self::Expires,
        Self::FeatureCaps,
        Self::FlowTimer,
        Self::From,
        Self::Geolocation,
        Self::GeolocationError,
        Self::GeolocationRouting,
        Self::HistoryInfo,
        Self::Identity,
        Self::IdentityInfo,
        Self::InfoPackage,
        Self::InReplyTo,
        Self::Join,
        Self::MaxBreadth,
        Self::MaxForwards,
        Self::MimeVersion,
        Self::MinExpires,
        Self::MinSe,
        Self::Organization,
        Self::PAccessNetworkInfo,
        Self::PAssertedIdentity,
        Self::PAssociatedUri,
        Self::PCalledPartyId,
        Self::PChargingVector,
        Self::PEarlyMedia,
        Self::PPreferredIdentity,
        Self::PVisitedNetworkId,
        Self::Path,
        Self::PolicyContact,
        Self::PolicyId,
        Self::Priority,
        Self::Privacy,
        Self::ProxyAuthenticate,
        Self::ProxyAuthenticationInfo,
        Self::ProxyAuthorization,
        Self::ProxyRequire,
        Self::RAck,
        Self::Reason,
        Self::RecordRoute,
        Self::RecvInfo,
        Self::ReferEventsAt,
        Self::ReferSub,
        Self::ReferTo,
        Self::ReferredBy,
        Self::RejectContact,
        Self::RemotePartyId,
        Self::Replaces,
        Self::ReplyTo,
        Self::RequestDisposition,
        Self::Require,
        Self::ResourcePriority,
        Self::RetryAfter,
        Self::Route,
        Self::RSeq,
        Self::SecurityClient,
        Self::SecurityServer,
        Self::SecurityVerify,
        Self::Server,
        Self::ServiceRoute,
        Self::SessionExpires,
        Self::SessionId,
        Self::SipEtag,
        Self::SipIfMatch,
        Self::Subject,
        Self::SubscriptionState,
        Self::Supported,
        Self::SuppressIfMatch,
        Self::TargetDialog,
        Self::Timestamp,
        Self::To,
        Self::Unsupported,
        Self::UserAgent,
        Self::UserToUser,
        Self::Via,
        Self::Warning,
        Self::WwwAuthenticate,
    ];

    /// The field a name means: full or compact, in any case.
    pub fn from_name(name: &[u8]) -> Self {
        if let &[letter] = name {
            return match letter.to_ascii_lowercase() {
                b'a' => Self::AcceptContact,
                b'b' => Self::ReferredBy,
                b'c' => Self::ContentType,
                b'd' => Self::RequestDisposition,
                b'e' => Self::ContentEncoding,
                b'f' => Self::From,
                b'i' => Self::CallId,
                b'j' => Self::RejectContact,
                b'k' => Self::Supported,
                b'l' => Self::ContentLength,
                b'm' => Self::Contact,
                b'n' => Self::IdentityInfo,
                b'o' => Self::Event,
                b'r' => Self::ReferTo,
                b's' => Self::Subject,
                b't' => Self::To,
                b'u' => Self::AllowEvents,
                b'v' => Self::Via,
                b'x' => Self::SessionExpires,
                b'y' => Self::Identity,
                _ => Self::Unknown,
            };
        }
        let (Some(&start), Some(&end)) =
            (BY_LENGTH.starts.get(name.len()), BY_LENGTH.starts.get(name.len() + 1))
        else {
            return Self::Unknown;
        };
        BY_LENGTH.order[usize::from(start)..usize::from(end)]
            .iter()
            .find(|&&at| NAMES[usize::from(at)].as_bytes().eq_ignore_ascii_case(name))
            .map_or(Self::Unknown, |&at| Self::KNOWN[usize::from(at)])
    }

    /// The name as the RFCs write it; empty for `Unknown`.
    pub const fn name(self) -> &'static str {
        let at = self as usize;
        if at < COUNT { NAMES[at] } else { "" }
    }
}

const COUNT: usize = 101;

const NAMES: [&str; COUNT] = [
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Resource-Priority",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Answer-Mode",
    "Authentication-Info",
    "Authorization",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-ID",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "Date",
    "Diversion",
    "Error-Info",
    "Event",
    "Expires",
    "Feature-Caps",
    "Flow-Timer",
    "From",
    "Geolocation",
    "Geolocation-Error",
    "Geolocation-Routing",
    "History-Info",
    "Identity",
    "Identity-Info",
    "Info-Package",
    "In-Reply-To",
    "Join",
    "Max-Breadth",
    "Max-Forwards",
    "MIME-Version",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Asserted-Identity",
    "P-Associated-URI",
    "P-Called-Party-ID",
    "P-Charging-Vector",
    "P-Early-Media",
    "P-Preferred-Identity",
    "P-Visited-Network-ID",
    "Path",
    "Policy-Contact",
    "Policy-ID",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "Reason",
    "Record-Route",
    "Recv-Info",
    "Refer-Events-At",
    "Refer-Sub",
    "Refer-To",
    "Referred-By",
    "Reject-Contact",
    "Remote-Party-ID",
    "Replaces",
    "Reply-To",
    "Request-Disposition",
    "Require",
    "Resource-Priority",
    "Retry-After",
    "Route",
    "RSeq",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Server",
    "Service-Route",
    "Session-Expires",
    "Session-ID",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Subscription-State",
    "Supported",
    "Suppress-If-Match",
    "Target-Dialog",
    "Timestamp",
    "To",
    "Unsupported",
    "User-Agent",
    "User-to-User",
    "Via",
    "Warning",
    "WWW-Authenticate",
];

/// The names grouped by length: a lookup compares only with those as long as what it looks for.
struct ByLength {
    order: [u8; COUNT],
    /// `order[starts[n]..starts[n + 1]]` are the names of n octets.
    starts: [u8; LONGEST + 2],
}

const LONGEST: usize = 25;

const BY_LENGTH: ByLength = {
    let mut table = ByLength { order: [0; COUNT], starts: [0; LONGEST + 2] };
    let mut filled = 0;
    let mut length = 0;
    while length <= LONGEST {
        table.starts[length] = filled as u8;
        let mut at = 0;
        while at < COUNT {
            if NAMES[at].len() == length {
                table.order[filled] = at as u8;
                filled += 1;
            }
            at += 1;
        }
        length += 1;
    }
    table.starts[LONGEST + 1] = filled as u8;
    assert!(filled == COUNT);
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (at, id) in HeaderId::KNOWN.into_iter().enumerate() {
            assert_eq!(id as usize, at);
            assert_eq!(HeaderId::from_name(id.name().as_bytes()), id);
            assert_eq!(HeaderId::from_name(id.name().to_uppercase().as_bytes()), id);
            assert_eq!(HeaderId::from_name(id.name().to_lowercase().as_bytes()), id);
        }
    }

    #[test]
    fn compact_forms_and_strangers() {
        assert_eq!(HeaderId::from_name(b"v"), HeaderId::Via);
        assert_eq!(HeaderId::from_name(b"V"), HeaderId::Via);
        assert_eq!(HeaderId::from_name(b"L"), HeaderId::ContentLength);
        assert_eq!(HeaderId::from_name(b"z"), HeaderId::Unknown);
        assert_eq!(HeaderId::from_name(b""), HeaderId::Unknown);
        assert_eq!(HeaderId::from_name(b"C%6Fntact"), HeaderId::Unknown);
        assert_eq!(HeaderId::from_name(&[b'x'; 300]), HeaderId::Unknown);
        assert_eq!(HeaderId::Unknown.name(), "");
    }
}
