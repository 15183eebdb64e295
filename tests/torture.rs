//! Messages that others found hard: RFC 4475 and RFC 5118 with the facts a parser must find, example
//! flows of many RFCs, and mutations of all of them.

use std::{fs, path::Path, path::PathBuf};

use serde_json::Value;
use sipkit::message::{
    Edits, HeaderError, HeaderId, Limits, Message, ParseErrorKind, Request, Response, escape, fuzz_header,
    fuzz_parse, header,
};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture")
}

struct Case {
    name: String,
    verdict: String,
    facts: serde_json::Map<String, Value>,
    bytes: Vec<u8>,
}

impl Case {
    fn parse(&self) -> Result<Message, sipkit::message::ParseError> {
        Message::parse(self.bytes.clone().into(), &Limits::default())
    }
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = data().join(folder);
    let facts = fs::read(folder.join("facts.json")).unwrap();
    let facts: serde_json::Map<String, Value> = serde_json::from_slice(&facts).unwrap();
    facts
        .into_iter()
        .map(|(name, about)| Case {
            bytes: fs::read(folder.join(about["file"].as_str().unwrap())).unwrap(),
            verdict: about["verdict"].as_str().unwrap().to_owned(),
            facts: about["facts"].as_object().unwrap().clone(),
            name,
        })
        .collect()
}

fn all_cases() -> Vec<Case> {
    let mut all = cases("rfc4475");
    all.extend(cases("rfc5118"));
    all
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if matches!(path.extension().and_then(|end| end.to_str()), Some("dat" | "sip")) {
            found.push(path);
        }
    }
}

fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&data(), &mut found);
    found
}

/// What is well formed parses, comes back unchanged, and its six main headers read.
#[test]
fn valid_messages_are_read() {
    let mut count = 0;
    for case in all_cases() {
        if !matches!(case.verdict.as_str(), "valid" | "valid-but-reject") {
            continue;
        }
        count += 1;
        let message = case.parse().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert!(case.bytes.starts_with(message.bytes()), "{}", case.name);
        assert_eq!(Edits::new(&message).finish(), message, "{}", case.name);
        let wrong = [
            message.via().err(),
            message.from().err(),
            message.to().err(),
            message.call_id().err(),
            message.cseq().err(),
            message.contact().err(),
        ];
        assert_eq!(wrong, [None; 6], "{}", case.name);
        if case.verdict == "valid" {
            assert_eq!(header::check(&message), Ok(()), "{}: every known header field reads", case.name);
        }
    }
    assert_eq!(count, 26 + 10);
}

/// Each fact is looked up in the message; one that this test does not know is an error, so that none
/// is skipped by accident.
#[test]
fn the_facts_are_found() {
    let mut checked = 0;
    for case in all_cases() {
        let Ok(message) = case.parse() else { continue };
        for (key, expected) in &case.facts {
            let found = fact(&message, key, expected);
            assert_eq!(found.as_ref().map(same_address), Some(same_address(expected)), "{} {key}", case.name);
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}

/// An IPv6 address can be written in several ways.
fn same_address(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            text.parse::<std::net::IpAddr>().map_or(value.clone(), |address| address.to_string().into())
        }
        Value::Array(values) => values.iter().map(same_address).collect(),
        other => other.clone(),
    }
}

fn fact(message: &Message, key: &str, expected: &Value) -> Option<Value> {
    let request = message.clone().into_request().ok();
    let response = message.clone().into_response().ok();
    let text = |value: &str| Some(Value::from(value));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let first = |id: HeaderId| message.raw(id).next();
    let params = |params: sipkit::message::Params<'_>| {
        let pairs =
            params.iter().map(|(name, value)| (name.to_owned(), value.map_or(Value::Null, Value::from)));
        Some(Value::Object(pairs.collect()))
    };
    let contacts: Vec<_> = message
        .each::<header::Contact>()
        .filter_map(|value| value.ok().and_then(|value| value.address()))
        .collect();
    let host = |host: sipkit::message::Host<'_>| host.ip().map_or(host.to_string(), |ip| ip.to_string());
    let vias: Vec<_> = message.each::<header::Via>().flatten().collect();
    let count = |count: usize| Some(Value::from(count));
    let decoded = |uri: sipkit::message::Uri<'_>| uri.user_decoded().map(|user| user.into_owned());
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).ok().map(Value::from);
    let nullable = |value: Option<&str>| Some(value.map_or(Value::Null, Value::from));
    let list = |values: Vec<String>| Some(Value::from(values));
    let raw = |id: HeaderId| first(id).map(|row| Value::from(row.text().to_string()));
    let uri = request.as_ref().and_then(|request| request.uri().ok());
    match key {
        "method" => text(request.as_ref()?.method().as_str()),
        "version" => None,
        "ruri" => text(request.as_ref()?.raw_uri()),
        "ruri_host" => text(&host(uri?.host())),
        "ruri_port" => Some(uri?.port().map_or(Value::Null, Value::from)),
        "ruri_user" => text(uri?.user()?),
        "ruri_user_unescaped" => utf8(decoded(uri?)?),
        "ruri_password" => text(uri?.password()?),
        "ruri_params" => params(uri?.params()),
        "ruri_scheme" => text(uri?.scheme_name()),
        "status" => Some(response.as_ref()?.status().into()),
        "reason" | "reason_utf8" => text(response.as_ref()?.reason()),
        "call_id" => text(message.call_id().ok()?),
        "cseq" => Some(message.cseq().ok()?.number.into()),
        "cseq_method" => text(message.cseq().ok()?.method.as_str()),
        "max_forwards" => Some(message.header::<header::MaxForwards>().ok()?.into()),
        "content_length" => {
            Some(message.find::<header::ContentLength>().ok()?.map_or(Value::Null, Value::from))
        }
        "content_type" => text(message.header::<header::ContentType>().ok()?.to_string().split(';').next()?),
        "boundary" => text(message.header::<header::ContentType>().ok()?.params.value("boundary")?),
        "body_parts" | "part1_body" | "part1_type" | "part2_type" | "sdp_c" | "sdp_media" | "sdp_media_c" => {
            // Facts about bodies belong to those who read bodies.
            (!message.body().is_empty()).then(|| expected.clone())
        }
        "from_tag" => nullable(message.from().ok()?.tag()),
        "to_tag" => nullable(message.to().ok()?.tag()),
        "from_uri" => text(message.from().ok()?.uri.as_str()),
        "to_uri" => text(message.to().ok()?.uri.as_str()),
        "to_uri_port" => Some(message.to().ok()?.uri.port()?.into()),
        "from_user_unescaped" => utf8(decoded(message.from().ok()?.uri)?),
        "to_user_unescaped" => utf8(decoded(message.to().ok()?.uri)?),
        "to_user_unescaped_hex" => text(&hex(&decoded(message.to().ok()?.uri)?)),
        "from_display" => text(&message.from().ok()?.display?.to_string()),
        "to_display" => text(&message.to().ok()?.display?.to_string()),
        "to_display_unescaped_hex" => text(&hex(&message.to().ok()?.display?.octets())),
        "from_params_has" => message.from().ok()?.params.has(expected.as_str()?).then(|| expected.clone()),
        "contact_count" => count(contacts.len()),
        "contacts" => list(contacts.iter().map(|contact| contact.uri.to_string()).collect()),
        "contact_uri" => text(contacts.first()?.uri.as_str()),
        "contact_host" => text(&host(contacts.first()?.uri.host())),
        "contact_display" => text(&contacts.first()?.display?.to_string()),
        "contact_params" => params(contacts.first()?.params),
        "contact_user_unescaped" => utf8(decoded(contacts.first()?.uri)?),
        "contact_users_unescaped_hex" => {
            list(contacts.iter().filter_map(|contact| decoded(contact.uri)).map(|user| hex(&user)).collect())
        }
        "contact_params_unescaped" => {
            let unescape = |text: &str| String::from_utf8(escape::unescape(text).into_owned()).unwrap();
            let pairs = contacts.first()?.uri.params().iter().map(|(name, value)| {
                (unescape(name), value.map_or(Value::Null, |value| unescape(value).into()))
            });
            Some(Value::Object(pairs.collect()))
        }
        "via_count" => count(vias.len()),
        "via_branch" => nullable(vias.first()?.branch()),
        "last_via_branch" => text(vias.last()?.branch()?),
        "via_params_has" => vias.first()?.params.has(expected.as_str()?).then(|| expected.clone()),
        "via_host" => text(&host(vias.first()?.host)),
        "via_received" => text(&vias.first()?.received()?.to_string()),
        "via_hosts" => list(vias.iter().map(|via| host(via.host)).collect()),
        "via_ports" => {
            Some(vias.iter().map(|via| via.port.map_or(Value::Null, Value::from)).collect::<Vec<_>>().into())
        }
        "via_transports" => list(vias.iter().map(|via| via.transport.to_owned()).collect()),
        "via" => {
            let via = |via: &header::Via<'_>| {
                Value::from(vec![via.transport.to_owned(), host(via.host), via.branch().unwrap().to_owned()])
            };
            Some(vias.iter().map(via).collect::<Vec<_>>().into())
        }
        "route" => list(message.each::<header::Route>().flatten().map(|route| route.to_string()).collect()),
        "route_count" => count(message.each::<header::Route>().flatten().count()),
        "record_route_count" => count(message.each::<header::RecordRoute>().flatten().count()),
        "require" => list(message.each::<header::Require>().flatten().map(str::to_owned).collect()),
        "proxy_require" => {
            list(message.each::<header::ProxyRequire>().flatten().map(str::to_owned).collect())
        }
        "accept" => list(message.each::<header::Accept>().flatten().map(|range| range.to_string()).collect()),
        "accept_count" => count(message.each::<header::Accept>().flatten().count()),
        "authorization_scheme" => text(message.header::<header::Authorization>().ok()?.scheme),
        "subject" => text(&message.header::<header::Subject>().ok()?.to_string()),
        "date_text" => raw(HeaderId::Date),
        "cseq_text" => raw(HeaderId::CSeq)?.as_str()?.split(' ').next().map(Value::from),
        "expires_text" => raw(HeaderId::Expires),
        "max_forwards_text" => raw(HeaderId::MaxForwards),
        "retry_after_text" => raw(HeaderId::RetryAfter),
        "contact_expires_text" => text(contacts.first()?.params.value("expires")?),
        "header_name_exotic" => text(message.named(expected.as_str()?).next()?.name()),
        "headers_verbatim" => {
            let pairs = expected.as_object()?.keys().map(|name| {
                (name.clone(), Value::from(message.named(name).next().unwrap().text().to_string()))
            });
            Some(Value::Object(pairs.collect()))
        }
        "missing" => {
            let missing =
                |name: &&Value| !message.has(HeaderId::from_name(name.as_str().unwrap().as_bytes()));
            Some(expected.as_array()?.iter().filter(missing).cloned().collect::<Vec<_>>().into())
        }
        // What follows in the datagram is gone.
        "trailing_octets_start" => message.bytes().ends_with(b"\r\n\r\n").then(|| expected.clone()),
        _ => None,
    }
}

/// Where each invalid message is refused: its frame, or the header that is wrong.
#[test]
fn invalid_messages_are_refused_where_they_are_wrong() {
    use ParseErrorKind as K;
    let frame = [
        ("baddn", K::Unterminated, Some(400)),
        ("badvers", K::Version, Some(505)),
        ("bigcode", K::StatusCode, None),
        ("clerr", K::BodyTooShort, Some(400)),
        ("lwsruri", K::StartLine, Some(400)),
        ("lwsstart", K::StartLine, Some(400)),
        ("mcl01", K::ContentLengthConflict, Some(400)),
        ("ncl", K::ContentLength, Some(400)),
        ("test", K::StartLine, Some(400)),
        ("trws", K::StartLine, Some(400)),
    ];
    let cases = all_cases();
    let case = |name: &str| cases.iter().find(|case| case.name == name).unwrap();
    for (name, kind, status) in frame {
        let case = case(name);
        let error = case.parse().unwrap_err();
        assert_eq!((error.kind, error.status()), (kind, status), "{name}");
        if status.is_some() {
            let request = Message::salvage(case.bytes.clone().into(), &Limits::default()).unwrap();
            let request = request.into_request().unwrap();
            assert_eq!(request.via().is_ok(), name != "test", "{name}: it can be answered");
            assert_eq!(
                Some(request.method().as_str()),
                case.facts.get("method").map_or(Some("INVITE"), Value::as_str)
            );
        }
    }
    let message = |name: &str| case(name).parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    let request = |name: &str| -> Request { message(name).into_request().unwrap() };
    // Spaces inside the angle brackets are forgiven, as the RFC lets an element do.
    assert_eq!(message("badaspec").to().unwrap().uri.as_str(), "sip:t.watson@example.org");
    assert!(message("baddate").header::<header::Date>().is_err() && message("baddate").via().is_ok());
    let baddn = Message::salvage(case("baddn").bytes.clone().into(), &Limits::default()).unwrap();
    assert!(baddn.from().is_err() && baddn.cseq().is_ok());
    assert!(message("badinv01").via().is_err() && message("badinv01").contact().is_err());
    assert!(request("escruri").uri().unwrap().headers().next().is_some());
    assert!(matches!(message("insuf").from(), Err(HeaderError::Missing(HeaderId::From))));
    assert!(request("ltgtruri").uri().is_err());
    assert_ne!(request("mismatch01").cseq().unwrap().method, request("mismatch01").method());
    assert_ne!(request("mismatch02").cseq().unwrap().method, request("mismatch02").method());
    for id in [HeaderId::CallId, HeaderId::To, HeaderId::From, HeaderId::MaxForwards, HeaderId::CSeq] {
        assert_eq!(message("multi01").count(id), 2, "{id}");
    }
    assert!(message("quotbal").to().is_err());
    assert!(message("regbadct").contact().is_err());
    assert!(
        message("scalar02").cseq().is_err() && message("scalar02").header::<header::MaxForwards>().is_err()
    );
    assert!(
        message("scalarlg").cseq().is_err() && message("scalarlg").header::<header::RetryAfter>().is_err()
    );
    assert!(request("ipv6-bad").uri().is_err());
    assert!(request("ipv6-bug-abnf-3-colons").uri().is_err());
    let handled: Vec<_> = frame.iter().map(|&(name, ..)| name).collect();
    let invalid =
        cases.iter().filter(|case| case.verdict == "invalid" && !handled.contains(&case.name.as_str()));
    assert_eq!(invalid.count(), 14, "each is looked at above");
}

#[test]
fn a_response_with_an_unusual_reason_keeps_it() {
    let cases = cases("rfc4475");
    let read = |name: &str| -> Response {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        case.parse().unwrap().into_response().unwrap()
    };
    assert!(read("unreason").reason().starts_with("= 2**3"));
    assert_eq!((read("noreason").status(), read("noreason").reason()), (100, ""));
}

#[test]
fn examples_of_the_rfcs_come_back_unchanged() {
    let mut found = Vec::new();
    let flows = data().join("flows");
    files(&flows, &mut found);
    assert!(found.len() > 600);
    let mut slips = 0;
    for path in found {
        let name = path.strip_prefix(&flows).unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        let message = Message::parse(bytes.clone().into(), &Limits::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&message.bytes()[..], &bytes[..], "{name}");
        assert_eq!(Edits::new(&message).finish(), message, "{name}");
        let wrong = [
            message.via().err(),
            message.from().err(),
            message.to().err(),
            message.call_id().err(),
            message.cseq().err(),
        ];
        assert_eq!(wrong, [None; 5], "{name}");
        let slip = SLIPS.iter().find(|(file, _)| *file == name).map(|(_, error)| *error);
        slips += usize::from(slip.is_some());
        let error = header::check(&message).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), slip, "{name}: every known header field reads");
        fuzz_parse(&bytes);
    }
    assert_eq!(slips, SLIPS.len());
}

/// Examples in which a header field is wrong: a scheme or a bracket is left out, a quote is not escaped, a
/// line is broken where it cannot be. What is said of them is what a person would be told.
const SLIPS: [(&str, &str); 24] = [
    ("rfc3666/2.3-11-F14-ACK.sip", "Route is malformed: the URI is wrong: the scheme is missing (octet 126)"),
    ("rfc3666/2.3-13-F16-BYE.sip", "Route is malformed: the URI is wrong: the scheme is missing (octet 126)"),
    (
        "rfc4244/11-05-F5-INVITE.sip",
        "History-Info is malformed: the URI is wrong: a character is not allowed (octet 320)",
    ),
    (
        "rfc4244/11-07-F8-INVITE.sip",
        "History-Info is malformed: the URI is wrong: a character is not allowed (octet 320)",
    ),
    (
        "rfc4244/11-17-F5-INVITE.sip",
        "History-Info is malformed: the URI is wrong: a character is not allowed (octet 291)",
    ),
    (
        "rfc4244/11-19-F8-INVITE.sip",
        "History-Info is malformed: the URI is wrong: a character is not allowed (octet 287)",
    ),
    (
        "rfc4244/11-25-F4-INVITE.sip",
        "History-Info is malformed: an index such as 1.2 is expected (octet 357)",
    ),
    (
        "rfc4244/11-26-F5-INVITE.sip",
        "History-Info is malformed: an index such as 1.2 is expected (octet 502)",
    ),
    ("rfc4662/6-05-SUBSCRIBE.sip", "Identity is malformed: something follows the value (octet 408)"),
    ("rfc4662/6-09-SUBSCRIBE.sip", "Identity is malformed: something follows the value (octet 437)"),
    (
        "rfc5359/2.4-05-F5-REFER.sip",
        "Referred-By is malformed: the URI is wrong: the scheme is missing (octet 364)",
    ),
    (
        "rfc5359/2.4-11-F11-INVITE.sip",
        "Referred-By is malformed: the URI is wrong: the scheme is missing (octet 351)",
    ),
    ("rfc5589/8-02-F6-INVITE.sip", "Replaces is malformed: a parameter is broken (octet 538)"),
    ("rfc5806/8.1-05-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 147)"),
    ("rfc5806/8.1-06-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 118)"),
    ("rfc5806/8.1-07-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 89)"),
    ("rfc5806/8.1-08-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 60)"),
    ("rfc5806/8.1-12-302.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 104)"),
    ("rfc5806/8.1-16-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 118)"),
    ("rfc5806/8.1-17-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 89)"),
    ("rfc5806/8.1-18-200.sip", "Contact is malformed: the URI is wrong: the scheme is missing (octet 60)"),
    (
        "rfc8599/4.1.4-01-REGISTER.sip",
        "Contact is malformed: the URI is wrong: a character is not allowed (octet 313)",
    ),
    (
        "rfc8599/4.1.4-02-200.sip",
        "Contact is malformed: the URI is wrong: a character is not allowed (octet 282)",
    ),
    ("rfc8876/8-01-MESSAGE.sip", "Call-Info is malformed: an angle bracket is missing (octet 347)"),
];

/// Mutations that are the same in every run: flipped, lost, doubled and strange octets, pieces of one
/// message in another, cut ends.
#[test]
fn mutations_are_survived() {
    let corpus: Vec<_> = all_files().iter().map(|path| fs::read(path).unwrap()).collect();
    let mut random = Random(0x5EED_0F51_B000_4475);
    for round in 0..4_000 {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        for _ in 0..1 + random.below(8) {
            mutate(&mut bytes, &corpus, &mut random);
        }
        let outcome = std::panic::catch_unwind(|| fuzz_parse(&bytes));
        assert!(outcome.is_ok(), "round {round}: {}", bytes.escape_ascii());
    }
}

/// Each field on its own: what reads is written in a way that reads the same.
#[test]
fn mutated_values_are_survived() {
    let messages: Vec<_> = all_files()
        .iter()
        .filter_map(|path| Message::parse(fs::read(path).unwrap().into(), &Limits::default()).ok())
        .collect();
    let rows = messages.iter().flat_map(Message::headers).filter(|row| row.id != HeaderId::Unknown);
    let (ids, values): (Vec<_>, Vec<_>) = rows.map(|row| (row.id, row.value.to_vec())).unzip();
    let mut random = Random(0x5EED_0F51_B000_3261);
    for round in 0..20_000 {
        let at = random.below(ids.len());
        let mut bytes = values[at].clone();
        for _ in 0..random.below(4) {
            mutate(&mut bytes, &values, &mut random);
        }
        let outcome = std::panic::catch_unwind(|| fuzz_header(ids[at], &bytes));
        assert!(outcome.is_ok(), "round {round}: {}: {}", ids[at].name(), bytes.escape_ascii());
    }
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    const STRANGE: [&[u8]; 16] = [
        b"\r\n", b"\n", b"\r", b"\0", b"\"", b"\\", b"<", b">", b",", b";", b":", b"\r\n ", b"%", b"\xFF",
        b"@", b"[",
    ];
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(40)).min(bytes.len());
    match random.below(7) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
        3 => bytes.splice(at..at, STRANGE[random.below(STRANGE.len())].iter().copied()).for_each(drop),
        4 => bytes.truncate(at),
        5 => bytes.splice(at..end, STRANGE[random.below(STRANGE.len())].iter().copied()).for_each(drop),
        _ => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            let to = (from + random.below(200)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied()).for_each(drop);
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}
