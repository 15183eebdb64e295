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

/// The examples of RFC 3261 §19.1.4.
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
        ("tel:+1-201", "tel:+1-201"),
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
    ];
    for (pairs, expected) in [(&same[..], true), (&different[..], false)] {
        for (left, right) in pairs {
            let (a, b) = (Uri::parse(left).unwrap(), Uri::parse(right).unwrap());
            assert_eq!(a.equivalent(&b), expected, "{left} {right}");
            assert_eq!(b.equivalent(&a), expected, "{right} {left}");
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
