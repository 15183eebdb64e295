//! Header field names: which are known, their compact forms (RFC 3261 §7.3.3), lookup in any case.
//!
//! The list holds the fields of RFC 3261 and its extensions as registered, Diversion (RFC 5806) and the
//! Remote-Party-ID of older networks. Any other field is kept by its name.

/// Writes the enum and its names from one list in the order of the alphabet.
macro_rules! names {
    ($($id:ident $name:literal,)*) => {
        /// A header field by name. What is not listed is `Unknown`; its name stays in the message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum HeaderId {
            $(#[doc = $name] $id,)*
            /// A field that is not in this list.
            Unknown,
        }

        const COUNT: usize = [$($name),*].len();
        const NAMES: [&str; COUNT] = [$($name),*];

        impl HeaderId {
            /// Every header field known by name.
            pub const KNOWN: [Self; COUNT] = [$(Self::$id),*];
        }
    };
}

names! {
    Accept "Accept",
    AcceptContact "Accept-Contact",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    AcceptResourcePriority "Accept-Resource-Priority",
    AlertInfo "Alert-Info",
    Allow "Allow",
    AllowEvents "Allow-Events",
    AnswerMode "Answer-Mode",
    AuthenticationInfo "Authentication-Info",
    Authorization "Authorization",
    CallId "Call-ID",
    CallInfo "Call-Info",
    Contact "Contact",
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding",
    ContentId "Content-ID",
    ContentLanguage "Content-Language",
    ContentLength "Content-Length",
    ContentType "Content-Type",
    CSeq "CSeq",
    Date "Date",
    Diversion "Diversion",
    ErrorInfo "Error-Info",
    Event "Event",
    Expires "Expires",
    FeatureCaps "Feature-Caps",
    FlowTimer "Flow-Timer",
    From "From",
    Geolocation "Geolocation",
    GeolocationError "Geolocation-Error",
    GeolocationRouting "Geolocation-Routing",
    HistoryInfo "History-Info",
    Identity "Identity",
    IdentityInfo "Identity-Info",
    InReplyTo "In-Reply-To",
    InfoPackage "Info-Package",
    Join "Join",
    MaxBreadth "Max-Breadth",
    MaxForwards "Max-Forwards",
    MimeVersion "MIME-Version",
    MinExpires "Min-Expires",
    MinSe "Min-SE",
    Organization "Organization",
    PAccessNetworkInfo "P-Access-Network-Info",
    PAnswerState "P-Answer-State",
    PAssertedIdentity "P-Asserted-Identity",
    PAssertedService "P-Asserted-Service",
    PAssociatedUri "P-Associated-URI",
    PCalledPartyId "P-Called-Party-ID",
    PChargeInfo "P-Charge-Info",
    PChargingFunctionAddresses "P-Charging-Function-Addresses",
    PChargingVector "P-Charging-Vector",
    PEarlyMedia "P-Early-Media",
    PMediaAuthorization "P-Media-Authorization",
    PPreferredIdentity "P-Preferred-Identity",
    PPreferredService "P-Preferred-Service",
    PPrivateNetworkIndication "P-Private-Network-Indication",
    PProfileKey "P-Profile-Key",
    PRefusedUriList "P-Refused-URI-List",
    PServedUser "P-Served-User",
    PUserDatabase "P-User-Database",
    PVisitedNetworkId "P-Visited-Network-ID",
    Path "Path",
    PermissionMissing "Permission-Missing",
    PolicyContact "Policy-Contact",
    PolicyId "Policy-ID",
    Priority "Priority",
    PrivAnswerMode "Priv-Answer-Mode",
    Privacy "Privacy",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthenticationInfo "Proxy-Authentication-Info",
    ProxyAuthorization "Proxy-Authorization",
    ProxyRequire "Proxy-Require",
    RAck "RAck",
    Reason "Reason",
    RecordRoute "Record-Route",
    RecvInfo "Recv-Info",
    ReferEventsAt "Refer-Events-At",
    ReferSub "Refer-Sub",
    ReferTo "Refer-To",
    ReferredBy "Referred-By",
    RejectContact "Reject-Contact",
    RemotePartyId "Remote-Party-ID",
    Replaces "Replaces",
    ReplyTo "Reply-To",
    RequestDisposition "Request-Disposition",
    Require "Require",
    ResourcePriority "Resource-Priority",
    RetryAfter "Retry-After",
    Route "Route",
    RSeq "RSeq",
    SecurityClient "Security-Client",
    SecurityServer "Security-Server",
    SecurityVerify "Security-Verify",
    Server "Server",
    ServiceRoute "Service-Route",
    SessionExpires "Session-Expires",
    SessionId "Session-ID",
    SipEtag "SIP-ETag",
    SipIfMatch "SIP-If-Match",
    Subject "Subject",
    SubscriptionState "Subscription-State",
    Supported "Supported",
    SuppressIfMatch "Suppress-If-Match",
    TargetDialog "Target-Dialog",
    Timestamp "Timestamp",
    To "To",
    TriggerConsent "Trigger-Consent",
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    UserToUser "User-to-User",
    Via "Via",
    Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

impl HeaderId {
    /// The field a name means: full or compact, in any case.
    #[inline]
    pub fn from_name(name: &[u8]) -> Self {
        let (&[first, .., last], Some(&middle)) = (name, name.get(name.len() / 2)) else {
            return match name {
                &[letter] => COMPACT[usize::from(letter)],
                _ => Self::Unknown,
            };
        };
        let id = SLOTS[slot(name.len(), first, middle, last)];
        if same_name(name, id.name().as_bytes()) { id } else { Self::Unknown }
    }

    /// The name as the RFCs write it; empty for `Unknown`.
    pub const fn name(self) -> &'static str {
        let at = self as usize;
        if at < COUNT { NAMES[at] } else { "" }
    }

    /// The one-letter form of the name, if it has one.
    pub const fn compact(self) -> Option<char> {
        let mut at = 0;
        while at < LETTERS.len() {
            if LETTERS[at].1 as u8 == self as u8 {
                return Some(LETTERS[at].0 as char);
            }
            at += 1;
        }
        None
    }
}

/// The canonical name.
impl std::fmt::Display for HeaderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The compact forms that are registered: RFC 3261 §7.3.3, RFC 3841 (a, d, j), RFC 3892 (b), RFC 3515 (r),
/// RFC 6665 (o, u), RFC 4028 (x), RFC 4474 (n, y).
const LETTERS: [(u8, HeaderId); 20] = [
    (b'a', HeaderId::AcceptContact),
    (b'b', HeaderId::ReferredBy),
    (b'c', HeaderId::ContentType),
    (b'd', HeaderId::RequestDisposition),
    (b'e', HeaderId::ContentEncoding),
    (b'f', HeaderId::From),
    (b'i', HeaderId::CallId),
    (b'j', HeaderId::RejectContact),
    (b'k', HeaderId::Supported),
    (b'l', HeaderId::ContentLength),
    (b'm', HeaderId::Contact),
    (b'n', HeaderId::IdentityInfo),
    (b'o', HeaderId::Event),
    (b'r', HeaderId::ReferTo),
    (b's', HeaderId::Subject),
    (b't', HeaderId::To),
    (b'u', HeaderId::AllowEvents),
    (b'v', HeaderId::Via),
    (b'x', HeaderId::SessionExpires),
    (b'y', HeaderId::Identity),
];

const COMPACT: [HeaderId; 256] = {
    let mut table = [HeaderId::Unknown; 256];
    let mut at = 0;
    while at < LETTERS.len() {
        let (letter, id) = LETTERS[at];
        table[letter as usize] = id;
        table[letter.to_ascii_uppercase() as usize] = id;
        at += 1;
    }
    table
};

/// Each name in a slot of its own, so that a lookup compares with one name. Whoever adds a field and is
/// stopped by the assertion looks for other multipliers in `slot`.
const SLOTS: [HeaderId; SLOT_COUNT] = {
    let mut slots = [HeaderId::Unknown; SLOT_COUNT];
    let mut at = 0;
    while at < COUNT {
        let name = NAMES[at].as_bytes();
        let slot = slot(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]);
        assert!(matches!(slots[slot], HeaderId::Unknown), "two names in one slot");
        slots[slot] = HeaderId::KNOWN[at];
        at += 1;
    }
    slots
};

const SLOT_COUNT: usize = 512;

/// Setting bit 5 makes letters lower case; what it does to other octets the comparison finds out.
const fn slot(length: usize, first: u8, middle: u8, last: u8) -> usize {
    let letters =
        (first | 0x20) as usize * 504 + (middle | 0x20) as usize * 990 + (last | 0x20) as usize * 449;
    (length.wrapping_mul(824) + letters) % SLOT_COUNT
}

/// Equality in any case, eight octets at a time; the last eight may overlap those before. `known` consists
/// of letters and hyphens.
#[inline]
fn same_name(name: &[u8], known: &[u8]) -> bool {
    let length = name.len();
    if length != known.len() {
        return false;
    }
    if let (Some(left), Some(right)) = (name.first_chunk(), known.first_chunk())
        && let (Some(left_end), Some(right_end)) = (name.last_chunk(), known.last_chunk())
    {
        return !differ(u64::from_le_bytes(*left), u64::from_le_bytes(*right))
            && !differ(u64::from_le_bytes(*left_end), u64::from_le_bytes(*right_end))
            && (length <= 16 || same_name(&name[8..length - 8], &known[8..length - 8]));
    }
    if let (Some(left), Some(right)) = (name.first_chunk(), known.first_chunk())
        && let (Some(left_end), Some(right_end)) = (name.last_chunk(), known.last_chunk())
    {
        let wide = |start: &[u8; 4], end: &[u8; 4]| {
            u64::from(u32::from_le_bytes(*start)) << 32 | u64::from(u32::from_le_bytes(*end))
        };
        return !differ(wide(left, left_end), wide(right, right_end));
    }
    name.eq_ignore_ascii_case(known)
}

/// Whether they differ in more than the case of letters; in `known`, bit 6 tells a letter from a hyphen.
const fn differ(name: u64, known: u64) -> bool {
    let case = (known & 0x4040_4040_4040_4040) >> 1;
    (name ^ known) & !case != 0
}

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
            assert!(id.name().bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'), "{id}");
        }
    }

    /// Every octet of a name counts, and in a letter only its case does not.
    #[test]
    fn near_misses_are_strangers() {
        for id in HeaderId::KNOWN {
            for at in 0..id.name().len() {
                for octet in 0..=255_u8 {
                    let mut name = id.name().as_bytes().to_vec();
                    let same = name[at].eq_ignore_ascii_case(&octet);
                    name[at] = octet;
                    assert_eq!(HeaderId::from_name(&name) == id, same, "{}", name.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn compact_forms_and_strangers() {
        for (letter, id) in LETTERS {
            assert_eq!(HeaderId::from_name(&[letter]), id);
            assert_eq!(HeaderId::from_name(&[letter.to_ascii_uppercase()]), id);
            assert_eq!(id.compact(), Some(char::from(letter)));
        }
        assert_eq!(HeaderId::Route.compact(), None);
        for stranger in [&b""[..], b"z", b"g", b"C%6Fntact", b"Vi", b"Viaa", b"-", b"--", &[b'x'; 300]] {
            assert_eq!(HeaderId::from_name(stranger), HeaderId::Unknown);
        }
        assert_eq!(HeaderId::Unknown.name(), "");
        assert_eq!(HeaderId::Unknown.compact(), None);
    }
}
