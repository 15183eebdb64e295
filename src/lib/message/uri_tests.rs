use proptest::prelude::*;

use super::*;

#[test]
fn parts_of_a_full_uri() {
    let uri =
        Uri::parse("SIP:al%69ce;p=1?x:pa$s@Example.com:5070;lr;transport=tcp?Subject=a&Priority=b").unwrap();
    assert_eq!(uri.scheme(), Scheme::Sip);
    assert_eq!(uri.scheme_name(), "SIP");
    assert_eq!(uri.user(), Some("al%69ce;p=1?x"));
    assert_eq!(&*uri.user_decoded().unwrap(), b"alice;p=1?x");
    assert_eq!(uri.password(), Some("pa$s"));
    assert_eq!(uri.host(), Host::Name("example.com"));
    assert_eq!(uri.port(), Some(5070));
    assert_eq!(uri.params().get("lr"), Some(None));
    assert_eq!(uri.params().value("Transport"), Some("tcp"));
    assert_eq!(uri.headers().collect::<Vec<_>>(), [("Subject", "a"), ("Priority", "b")]);
    assert!(uri.without_headers().ends_with("tcp"));
}

#[test]
fn other_schemes() {
    let tel = Uri::parse("tel:+1-201-555-0123;phone-context=example.com").unwrap();
    assert_eq!((tel.scheme(), tel.user()), (Scheme::Tel, Some("+1-201-555-0123")));
    assert_eq!(tel.params().value("phone-context"), Some("example.com"));
    assert_eq!(tel.host(), Host::Name(""));
    let other = Uri::parse("nobodyKnowsThisScheme:totally%opaque?").unwrap();
    assert_eq!(other.scheme(), Scheme::Other);
    assert_eq!((other.scheme_name(), other.opaque()), ("nobodyKnowsThisScheme", "totally%opaque?"));
    assert_eq!(other.user(), None);
}

#[test]
fn ipv6_references() {
    let uri = Uri::parse("sip:[2001:db8::10]:5070").unwrap();
    assert_eq!(uri.host().to_string(), "[2001:db8::10]");
    assert_eq!(uri.port(), Some(5070));
    assert_eq!(Uri::parse("sip:[2001:db8::10:5070]").unwrap().port(), None);
    assert_eq!(Uri::parse("sip:2001:db8::10"), Err(UriError::Port));
}

#[test]
fn refused() {
    let cases = [
        ("", UriError::Scheme),
        ("alice", UriError::Scheme),
        ("1sip:a", UriError::Scheme),
        ("sip:", UriError::Empty),
        ("sip:@host", UriError::User),
        ("sip:user@", UriError::Host),
        ("sip:a@b@c", UriError::Host),
        ("sip:a@b:70000", UriError::Port),
        ("sip:a@b:", UriError::Port),
        ("sip:a@b;;lr", UriError::Parameter),
        ("sip:a@b;", UriError::Parameter),
        ("sip:a b@c", UriError::Character),
        ("sip:a@b\r\nX: y", UriError::Character),
        ("<sip:a@b>", UriError::Scheme),
        ("sip:100%@b", UriError::Escape),
        ("sip:a@[::1", UriError::Host),
        ("tel:;x=y", UriError::User),
    ];
    for (text, error) in cases {
        assert_eq!(Uri::parse(text), Err(error), "{text}");
    }
    assert_eq!(Uri::parse(&format!("sip:{}", "a".repeat(70_000))), Err(UriError::TooLong));
}

/// An error points at the octet that is wrong.
#[test]
fn faults_have_a_place() {
    let cases = [
        ("sip:a b@c", 5, UriError::Character),
        ("sip:a@b c", 7, UriError::Character),
        ("sip:a@b;x=\"y\"", 10, UriError::Character),
        ("sip:a@b?x=<y>", 10, UriError::Character),
        ("sip:%4g@b", 4, UriError::Escape),
        ("sip:a@b;p=%", 10, UriError::Escape),
        ("sip:a@b?p=%0", 10, UriError::Escape),
        ("sip:@b", 4, UriError::User),
        ("sip:a@", 6, UriError::Host),
        ("sip:a@b@c", 7, UriError::Host),
        ("sip:a@b,c", 7, UriError::Host),
        ("sip:a@b:65536", 8, UriError::Port),
        ("sip:a@b:1:2", 9, UriError::Port),
        ("sip:a@b;", 8, UriError::Parameter),
        ("sip:a@b;=x", 8, UriError::Parameter),
        ("sip:a@b;;x", 8, UriError::Parameter),
        ("sip:a@b;x,y", 9, UriError::Parameter),
        ("tel:1;", 6, UriError::Parameter),
        ("tel:1 2", 5, UriError::Character),
        ("x:a\tb", 3, UriError::Character),
    ];
    for (text, at, why) in cases {
        assert_eq!(Uri::read(text).unwrap_err(), (at, why), "{text}");
    }
}

/// The examples of RFC 3261 §19.1.4, RFC 5954 §4.2 and the rules of RFC 3966 §4.
#[test]
fn equivalence() {
    let same = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:[2001:db8::1]", "sip:[2001:DB8:0::1]"),
        ("sip:bob@[::ffff:192.0.2.128]", "sip:bob@[::ffff:c000:280]"),
        ("sip:[2001:db8::9:1]", "sip:[2001:db8::9:01]"),
        ("sip:[0:0:0:0:0:FFFF:129.144.52.38]", "sip:[::FFFF:129.144.52.38]"),
        ("sip:a@b;maddr=[2001:db8::1]", "sip:a@b;maddr=[2001:DB8:0:0::1]"),
        ("sip:a@b:05060", "sip:a@b:5060"),
        ("sip:a@b;x=1;x=2", "sip:a@b;x=2;x=1"),
        ("sip:a@b;p%61r=%31", "sip:a@b;PAR=1"),
        ("tel:+1-201", "tel:+1-201"),
        ("tel:+1-201-555-0123", "TEL:+1(201)555.0123"),
        ("tel:7042;phone-context=Example.com", "tel:7042;PHONE-context=example.COM"),
        ("tel:863-1234;phone-context=+1-914-555", "tel:8631234;phone-context=+1914555"),
        ("tel:+1201;isub=a;ext=1-2", "tel:+1201;ext=12;isub=A"),
        ("tel:a*#;phone-context=+1", "tel:A*#;phone-context=+1"),
        ("urn:service:%73os", "URN:service:sos"),
    ];
    let different = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a:p@b", "sip:a@b"),
        ("sip:a:p@b", "sip:a:P@b"),
        ("sip:a%3Bb@c", "sip:a;b@c"),
        ("sip:a@b;user=ip", "sip:a@b"),
        ("sip:a@b;ttl=1", "sip:a@b"),
        ("sip:a@b;method=INVITE", "sip:a@b"),
        ("sip:a@b;maddr=192.0.2.1", "sip:a@b"),
        ("sip:a@b;lr", "sip:a@b;lr="),
        ("sip:[2001:db8::10]:5070", "sip:[2001:db8::10:5070]"),
        ("sip:[::ffff:192.0.2.1]", "sip:192.0.2.1"),
        ("tel:+1201", "tel:1201"),
        ("tel:+1201", "tel:+1201;x"),
        ("tel:1;phone-context=+1", "tel:1;phone-context=+2"),
        ("tel:1;phone-context=a.com", "tel:1"),
        ("urn:service:sos", "urn:service:SOS"),
        ("http://a/b%2Fc", "http://a/b/c"),
    ];
    for (pairs, expected) in [(&same[..], true), (&different[..], false)] {
        for (left, right) in pairs {
            let (a, b) = (Uri::parse(left).unwrap(), Uri::parse(right).unwrap());
            assert_eq!(a.equivalent(&b), expected, "{left} {right}");
            assert_eq!(b.equivalent(&a), expected, "{right} {left}");
            if names(&a) == names(&b) {
                assert_eq!(a.normal() == b.normal(), expected, "{left} {right}");
            }
        }
    }
}

#[test]
fn the_normal_form() {
    let cases = [
        (
            "SIP:%41l%3bic%C3%A9:P%61ss@EXAMPLE.com:05060;Transport=TCP;lr;X=%41?To=sip:A%40b&Subject=%41%20b&a",
            "sip:Al%3Bic%C3%A9:Pass@example.com:5060;lr;transport=tcp;x=a?a=&subject=A%20b&to=sip:A%40b",
        ),
        ("sips:[2001:DB8:0:0::1];maddr=[0::1]", "sips:[2001:db8::1];maddr=[::1]"),
        ("sip:é@b", "sip:%C3%A9@b"),
        ("tel:(0)55.A-1;Phone-Context=+49(7);EXT=1-2", "tel:055a1;ext=12;phone-context=+497"),
        ("HTTP://A/%7Eb%2f%zz", "http://A/~b%2F%25zz"),
    ];
    for (text, normal) in cases {
        let found = Uri::parse(text).unwrap().normal();
        assert_eq!(found.as_str(), normal);
        assert_eq!(found.as_uri().normal(), found);
    }
    let long = format!("sip:{}@b", "é".repeat(30_000));
    assert_eq!(Uri::parse(&long).unwrap().normal().as_str(), long);
}

/// The names of the parameters, by which alone the normal form is finer than §19.1.4.
fn names(uri: &Uri<'_>) -> std::collections::BTreeSet<String> {
    let name = |(name, _): (&str, _)| String::from_utf8(escape::unescape(name).to_ascii_lowercase()).unwrap();
    uri.params().iter().map(name).collect()
}

/// URIs that often mean the same.
fn uri() -> impl Strategy<Value = String> {
    let part = |pieces: &'static [&'static str], most: usize| {
        prop::collection::vec(prop::sample::select(pieces), 0..=most).prop_map(|pieces| pieces.concat())
    };
    let sip = (
        prop::sample::select(vec!["sip:", "SIP:", "sips:"]),
        prop::sample::select(vec!["", "a@", "%61@", "A@", "a:b@", "a;x@", "a%3bx@", "a%3Bx@"]),
        prop::sample::select(vec!["h", "H", "1.2.3.4", "[::1]", "[0::1]", "h:5060", "h:05060"]),
        part(
            &[
                ";x=1",
                ";X=%31",
                ";x=2",
                ";lr",
                ";%6cr",
                ";transport=tcp",
                ";maddr=[::1]",
                ";maddr=[0::%31]",
                ";user=A",
                ";user=a",
            ],
            3,
        ),
        part(&["?", "&", "a=b&", "A=%62&", "a=B&", "c&", "c=&", "a=%26"], 3),
    )
        .prop_map(|(scheme, user, host, params, headers)| {
            let headers = if headers.is_empty() { headers } else { format!("?{headers}") };
            format!("{scheme}{user}{host}{params}{headers}")
        });
    let tel = (
        prop::sample::select(vec!["tel:+1", "tel:+1-", "Tel:1", "tel:a", "tel:A."]),
        part(
            &[
                ";ext=1",
                ";EXT=1-",
                ";phone-context=+1",
                ";phone-context=+(1)",
                ";phone-context=a",
                ";x",
                ";x=A",
                ";x=%61",
            ],
            3,
        ),
    )
        .prop_map(|(number, params)| format!("{number}{params}"));
    let other =
        part(&["a", "A", "%41", "%", "/", "%2f", "%2F", "?"], 3).prop_map(|text| format!("urn:{text}x"));
    prop_oneof![4 => sip, 2 => tel, 1 => other]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The same normal form means equivalent, and the other way round where §19.1.4 is transitive.
    #[test]
    fn normal_forms_agree_with_equivalence(left in uri(), right in uri()) {
        let (left, right) = (Uri::parse(&left).unwrap(), Uri::parse(&right).unwrap());
        let equivalent = left.equivalent(&right);
        let same = left.normal() == right.normal();
        prop_assert_eq!(equivalent, right.equivalent(&left));
        prop_assert!(left.equivalent(&left) && left.equivalent(&left.normal().as_uri()));
        prop_assert!(!same || equivalent, "{} {}", left.normal(), right.normal());
        if names(&left) == names(&right) || !left.is_sip() {
            prop_assert_eq!(equivalent, same, "{} {}", left.normal(), right.normal());
        }
    }

    /// Whatever text it is: the parts of a URI that reads are in its text, and its normal form reads.
    #[test]
    fn any_uri_that_reads_has_a_normal_form(text in "(sip|sips|tel|x):[ -~é%]{0,40}") {
        if let Ok(uri) = Uri::parse(&text) {
            let normal = uri.normal();
            prop_assert!(uri.equivalent(&normal.as_uri()) && normal.as_uri().equivalent(&uri));
            prop_assert_eq!(&normal.as_uri().normal(), &normal);
        }
    }
}

#[test]
fn comparing_takes_no_longer_than_reading() {
    let many: String = (0..10_000).map(|number| format!(";p{number}")).collect();
    let (left, right) = (format!("sip:a@b{many}"), format!("sip:a@b{many};q"));
    let (left, right) = (Uri::parse(&left).unwrap(), Uri::parse(&right).unwrap());
    assert!(left.equivalent(&left) && !left.equivalent(&right));
}

#[test]
fn owned_twin_and_construction() {
    let buf = UriBuf::parse("sip:bob@host:5070;lr?a=b").unwrap();
    assert_eq!(buf.as_uri().port(), Some(5070));
    assert_eq!(buf.with_param("ob", None).unwrap().as_str(), "sip:bob@host:5070;lr;ob?a=b");
    let new = UriBuf::new(Scheme::Sip, Some("a b@c"), Host::parse("::1").unwrap(), Some(5062)).unwrap();
    assert_eq!(new.as_str(), "sip:a%20b%40c@[::1]:5062");
    assert_eq!(UriBuf::new(Scheme::Sips, None, Host::Name("x"), None).unwrap().as_str(), "sips:x");
    assert!(UriBuf::new(Scheme::Sip, None, Host::Name("a>b"), None).is_err());
}
