//! One table for each family of fields: values that read, and what is wrong with others at which octet.

use std::fmt::Display;

use proptest::prelude::*;

use super::*;
use crate::message::{HeaderError, Limits, Message, UriError};

fn message(rows: &str) -> Message {
    let text = format!("OPTIONS sip:bob@example.com SIP/2.0\r\n{rows}\r\n\r\n");
    Message::parse(text.into(), &Limits::default()).unwrap()
}

fn row<H: Header>(value: &str) -> Message {
    message(&format!("{}: {value}", H::ID.name()))
}

/// `good`: a row and its values as they are written back, between "|". `bad`: a row, the reason, and the
/// octet of the value that is wrong.
fn table<H: Header>(good: &[(&str, &str)], bad: &[(&str, Malformed, usize)])
where
    for<'m> H::View<'m>: Display,
{
    let shown = |text: &str| -> Vec<String> {
        let message = row::<H>(text);
        message
            .each::<H>()
            .map(|value| value.unwrap_or_else(|error| panic!("{text}: {error}")).to_string())
            .collect()
    };
    for (text, expected) in good {
        let values = shown(text);
        assert_eq!(values.join("|"), *expected, "{}: {text}", H::ID);
        for value in values {
            assert_eq!(
                shown(&value),
                std::slice::from_ref(&value),
                "{}: what is written reads the same",
                H::ID
            );
        }
    }
    for (text, why, at) in bad {
        let message = row::<H>(text);
        let found = message.each::<H>().find_map(Result::err);
        let start = message.raw(H::ID).next().unwrap().span.start;
        let expected = HeaderError::Malformed { id: H::ID, at: start + at, why: *why };
        assert_eq!(found, Some(expected), "{}: {text}", H::ID);
    }
}

/// The first value of a row that reads.
macro_rules! first {
    ($field:ident, $text:expr, |$view:ident| $then:expr) => {{
        let message = row::<$field>($text);
        let $view = message.header::<$field>().unwrap();
        $then
    }};
}

#[test]
fn every_known_field_has_a_type() {
    let mut typed = Vec::new();
    macro_rules! collect {
        ($($field:ident)*) => { $(typed.push(<$field as Header>::ID);)* };
    }
    every_header!(collect);
    typed.sort_unstable();
    assert_eq!(typed, HeaderId::KNOWN);
}

#[test]
fn check_reads_all() {
    assert_eq!(check(&message("Max-Forwards: 70\r\nZ: \"\r\nAllow: A, B\r\nk:")), Ok(()));
    let error = check(&message("Max-Forwards: 70\r\nZ: \"\r\nMax-Forwards: 1x")).unwrap_err();
    assert_eq!(error.to_string(), "Max-Forwards is malformed: something follows the value (octet 76)");
}

#[test]
fn addresses() {
    let good = [
        ("sip:a@b", "<sip:a@b>"),
        ("\"A \\\"x\\\"\" <sip:a@b;lr>;tag=1", "\"A \\\"x\\\"\" <sip:a@b;lr>;tag=1"),
        ("A  b <tel:+1>;x", "A  b <tel:+1>;x"),
        ("<urn:service:sos>", "<urn:service:sos>"),
    ];
    let bad = [
        ("", Malformed::Empty, 0),
        ("\"A <sip:a@b>", Malformed::Quote, 0),
        ("\"A\" sip:a@b", Malformed::Angle, 4),
        ("A, B <sip:a@b>", Malformed::DisplayName, 1),
        ("<sip:a@b", Malformed::Angle, 0),
        ("<sip:a@b;;>", Malformed::Uri(UriError::Parameter), 9),
        ("A < sip:a b@c>", Malformed::Uri(UriError::Character), 9),
        ("sip:a@b?x=y", Malformed::BareUri, 7),
        ("sip:@b", Malformed::Uri(UriError::User), 4),
        ("<sip:a@b>;=x", Malformed::Parameter, 10),
        ("<sip:a@b> x", Malformed::Trailing, 10),
        ("bob", Malformed::Uri(UriError::Scheme), 0),
    ];
    table::<From>(&good, &bad);
    table::<To>(&good, &bad);
    table::<ReplyTo>(&good, &bad);
    table::<ReferTo>(&good, &bad);
    table::<ReferredBy>(&good, &bad);
    table::<PCalledPartyId>(&good, &bad);
    table::<PServedUser>(&good, &bad);
    table::<PProfileKey>(&good, &bad);
    table::<PChargeInfo>(&good, &bad);
    let list = [("<sip:a@b>, \"x, y\"<tel:1>;z ,sip:c", "<sip:a@b>|\"x, y\" <tel:1>;z|<sip:c>")];
    let bad = [
        ("<sip:a@b>,", Malformed::Empty, 10),
        ("<sip:a@b>,,<sip:c>", Malformed::Empty, 10),
        ("<sip:a@b>, <sip:>", Malformed::Uri(UriError::Empty), 16),
    ];
    table::<PAssertedIdentity>(&list, &bad);
    table::<PPreferredIdentity>(&list, &bad);
    table::<RemotePartyId>(&list, &bad);
    table::<PolicyId>(&list, &bad);
    table::<Route>(&list, &bad);
    table::<RecordRoute>(&list, &bad);
    table::<Path>(&list, &bad);
    table::<ServiceRoute>(&list, &bad);
    table::<PermissionMissing>(&list, &bad);
    table::<PAssociatedUri>(&[list[0], ("", "")], &bad);
    table::<PRefusedUriList>(
        &[("sip:l@b;members=<cid:a@b;c>,<sip:x>", "<sip:l@b>;members=<cid:a@b;c>|<sip:x>")],
        &[("sip:l@b;members=<cid:a", Malformed::Angle, 16)],
    );
    table::<Contact>(
        &[("*", "*"), list[0]],
        &[("*;x", Malformed::Trailing, 1), ("<sip:a@b>x", Malformed::Trailing, 9)],
    );
}

#[test]
fn contacts_of_devices() {
    let text = "<sip:a@b>;+sip.instance=\"<urn:uuid:0-1>\";reg-id=1;pub-gruu=\"sip:a@b;gr=x\";\
                temp-gruu=\"sip:t@b;gr\";audio;methods=\"INVITE,!BYE\";q=0.5;Video=\"FALSE\"";
    first!(Contact, text, |contact| {
        assert_eq!(
            (contact.instance(), contact.reg_id(), contact.q()),
            (Some("urn:uuid:0-1"), Some(1), Some(500))
        );
        assert_eq!(contact.public_gruu().unwrap().as_str(), "sip:a@b;gr=x");
        assert_eq!(contact.temporary_gruu().unwrap().as_str(), "sip:t@b;gr");
        let names: Vec<_> = contact.features().map(|feature| feature.name).collect();
        assert_eq!(names, ["+sip.instance", "audio", "methods", "Video"]);
    });
    first!(Contact, "<sip:a@b>;reg-id=0;q=2", |contact| {
        assert_eq!((contact.instance(), contact.reg_id(), contact.q()), (None, None, None));
    });
    let q = ["0", "1", "0.", "1.000", "0.7", "0.07", "0.999", "1.001", "2", "0.1234", "0.x", "", ".5", "01"];
    let found: Vec<_> = q.iter().map(|text| qvalue::thousandths(text)).collect();
    let expected = [
        Some(0),
        Some(1000),
        Some(0),
        Some(1000),
        Some(700),
        Some(70),
        Some(999),
        None,
        None,
        None,
        None,
        None,
        None,
        None,
    ];
    assert_eq!(found, expected);
}

#[test]
fn references() {
    let good = [
        ("<http://a/b,c;d?e>;purpose=icon , <sip:x@y>", "<http://a/b,c;d?e>;purpose=icon|<sip:x@y>"),
        ("< urn:alert:source:external >;appearance=1", "<urn:alert:source:external>;appearance=1"),
    ];
    let bad = [
        ("http://a", Malformed::Angle, 0),
        ("\"x\" <sip:a>", Malformed::Angle, 0),
        ("<>", Malformed::Uri(UriError::Scheme), 1),
        ("<http:>", Malformed::Uri(UriError::Empty), 6),
        ("<http://a b>", Malformed::Uri(UriError::Character), 9),
        ("<http://a", Malformed::Angle, 0),
        ("<http://a>;", Malformed::Parameter, 11),
        ("", Malformed::Empty, 0),
    ];
    table::<AlertInfo>(&good, &bad);
    table::<CallInfo>(&good, &bad);
    table::<ErrorInfo>(&good, &bad);
    table::<PolicyContact>(&good, &bad);
    table::<Geolocation>(&good, &bad);
    let one = [("<aaa://host.example.com;transport=tcp>", "<aaa://host.example.com;transport=tcp>")];
    table::<PUserDatabase>(&one, &[("aaa://x", Malformed::Angle, 0)]);
    table::<ReferEventsAt>(&[("<sip:a@b>", "<sip:a@b>")], &[("<sip:a@b>,<sip:c>", Malformed::Trailing, 9)]);
    table::<IdentityInfo>(
        &[("<https://a/b>;alg=rsa-sha1", "<https://a/b>;alg=rsa-sha1")],
        &[("x", Malformed::Angle, 0)],
    );
    first!(CallInfo, "<http://a>;purpose=info", |info| assert_eq!(info.purpose(), Some("info")));
}

#[test]
fn privacy() {
    table::<Privacy>(
        &[("none", "none"), ("user ;\r\n id; critical", "user;id;critical"), ("history", "history")],
        &[
            ("", Malformed::Token, 0),
            ("id;", Malformed::Token, 3),
            ("id;;user", Malformed::Token, 3),
            ("id, user", Malformed::Trailing, 2),
        ],
    );
    first!(Privacy, "User;ID ; critical", |privacy| {
        assert!(privacy.has("id") && privacy.has("user") && privacy.is_critical() && !privacy.has("none"));
    });
}

#[test]
fn identity() {
    let token =
        "eyJhbGciOiJFUzI1NiJ9..x_-+/=;info=<https://biloxi.example.org/a;b,c.cer>;alg=ES256;ppt=shaken";
    let two = format!("{token}, \"Zm9v\";x");
    table::<Identity>(
        &[(token, token), (&two, &format!("{token}|\"Zm9v\";x"))],
        &[
            ("", Malformed::Empty, 0),
            (";info=<x:y>", Malformed::Digest, 0),
            ("\"\"", Malformed::Digest, 2),
            ("abc!", Malformed::Trailing, 3),
            ("abc;info=<https://x", Malformed::Angle, 9),
            ("\"abc", Malformed::Quote, 0),
        ],
    );
    first!(Identity, token, |identity| {
        assert_eq!(identity.info().unwrap().as_str(), "https://biloxi.example.org/a;b,c.cer");
        assert_eq!((identity.algorithm(), identity.passport_type()), ("ES256", Some("shaken")));
    });
    first!(Identity, "abc", |identity| assert!(identity.info().is_none() && identity.algorithm() == "ES256"));
}

#[test]
fn history() {
    let entry =
        "<sip:bob@x?Reason=SIP%3Bcause%3D302%3Btext%3D%22a%22&privacy=%68istory>;index=1.2;mp=1;rc=1.1";
    table::<HistoryInfo>(
        &[
            ("<sip:a@b>;index=0", "<sip:a@b>;index=0"),
            (&format!("A <sip:a@b>;index=1,{entry}"), &format!("A <sip:a@b>;index=1|{entry}")),
        ],
        &[
            ("<sip:a@b>", Malformed::Index, 9),
            ("<sip:a@b>;index", Malformed::Index, 15),
            ("<sip:a@b>;index=", Malformed::Index, 16),
            ("<sip:a@b>;index=1..2", Malformed::Index, 20),
            ("<sip:a@b>;index=1.02", Malformed::Index, 20),
            ("<sip:a@b>;index=a", Malformed::Index, 17),
            ("<sip:a@b?x=\"y\">;index=1", Malformed::Uri(UriError::Character), 11),
        ],
    );
    first!(HistoryInfo, entry, |entry| {
        assert_eq!(entry.index.numbers().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((entry.cause(), entry.is_private()), (Some(302), true));
        let Some(Retarget::Resource(from)) = entry.retarget() else { panic!() };
        assert_eq!(from.as_str(), "1.1");
        first!(HistoryInfo, "<sip:a>;index=1", |parent| {
            assert!(entry.index.is_child_of(parent.index) && !parent.index.is_child_of(parent.index));
            assert_eq!((parent.cause(), parent.is_private(), parent.retarget()), (None, false, None));
        });
    });
    let long = format!("<sip:a?Reason=SIP{}>;index=1", "%20".repeat(300));
    first!(HistoryInfo, &long, |entry| assert_eq!(entry.cause(), None));
}

#[test]
fn diversion() {
    let text = "\"Bob\" <sip:b@c>;reason=user-busy;counter=2;limit=5;privacy=\"full\";screen=yes";
    table::<Diversion>(
        &[(&format!("{text}, <tel:1>"), &format!("{text}|<tel:1>"))],
        &[("", Malformed::Empty, 0), ("<sip:b@c>;reason=\"x", Malformed::Quote, 17)],
    );
    first!(Diversion, text, |diversion| {
        assert_eq!(diversion.reason().unwrap(), "user-busy");
        assert_eq!((diversion.counter(), diversion.limit()), (2, Some(5)));
        assert_eq!(
            (diversion.privacy().unwrap().to_string().as_str(), diversion.is_screened()),
            ("full", Some(true))
        );
    });
    first!(Diversion, "<tel:1>;counter=x", |diversion| assert_eq!(diversion.counter(), 1));
}

#[test]
fn geolocation() {
    for (text, routed) in
        [("yes", true), ("NO", false), ("maybe", false), ("yes=\"no\"", false), ("yes = x", false)]
    {
        assert_eq!(row::<GeolocationRouting>(text).header::<GeolocationRouting>(), Ok(routed), "{text}");
    }
    table::<GeolocationRouting>(&[], &[("", Malformed::Token, 0), ("yes no", Malformed::Trailing, 4)]);
    table::<GeolocationError>(
        &[("100 ; code=\"Cannot\"", "100;code=\"Cannot\""), ("4", "4")],
        &[
            ("", Malformed::Number, 0),
            ("x", Malformed::Number, 0),
            ("1000", Malformed::Range, 4),
            ("100 code=\"x\"", Malformed::Trailing, 4),
        ],
    );
    first!(GeolocationError, "200;code=\"a \\\"b\\\"\"", |fault| assert_eq!(
        fault.text().unwrap(),
        "a \"b\""
    ));
}

#[test]
fn security() {
    let good = [(
        "ipsec-ike;q=0.1, digest; d-alg=MD5;d-qop=auth;d-ver=\"0a\"",
        "ipsec-ike;q=0.1|digest;d-alg=MD5;d-qop=auth;d-ver=\"0a\"",
    )];
    let bad = [
        ("", Malformed::Empty, 0),
        ("tls;;", Malformed::Parameter, 4),
        ("tls,", Malformed::Empty, 4),
        ("a=b", Malformed::Trailing, 1),
    ];
    table::<SecurityClient>(&good, &bad);
    table::<SecurityServer>(&good, &bad);
    table::<SecurityVerify>(&good, &bad);
    first!(SecurityVerify, "digest;q=1;d-alg=MD5;d-qop=auth;d-ver=\"0a\"", |mechanism| {
        assert_eq!((mechanism.q(), mechanism.digest_algorithm()), (Some(1000), Some("MD5")));
        assert_eq!((mechanism.digest_qop(), mechanism.digest_verify()), (Some("auth"), Some("0a")));
    });
}

#[test]
fn features() {
    let text =
        "*;audio;+sip.x=\"<a, b>\";class=\"!personal,business\";+n=\"#>=2,!#1:5\";require;explicit;other=1";
    let good = [(text, text), ("* , *;mobility=\"fixed\"", "*|*;mobility=\"fixed\"")];
    let bad = [
        ("", Malformed::Empty, 0),
        ("audio", Malformed::Star, 0),
        ("*;", Malformed::Parameter, 2),
        ("* audio", Malformed::Trailing, 2),
        ("*;class=\"x", Malformed::Quote, 8),
    ];
    table::<AcceptContact>(&good, &bad);
    table::<RejectContact>(&good, &bad);
    table::<FeatureCaps>(&good, &bad);
    first!(AcceptContact, text, |set| {
        assert!(set.is_required() && set.is_explicit());
        let features: Vec<_> = set.features().collect();
        let values = |at: usize| features[at].values().collect::<Vec<_>>();
        assert_eq!(features.len(), 4);
        assert_eq!(values(0), [(false, FeatureValue::Token("TRUE"))]);
        assert_eq!(values(1), [(false, FeatureValue::String("a, b"))]);
        assert_eq!(
            values(2),
            [(true, FeatureValue::Token("personal")), (false, FeatureValue::Token("business"))]
        );
        assert_eq!(values(3), [(false, FeatureValue::Numeric(">=2")), (true, FeatureValue::Numeric("1:5"))]);
        assert!(features[0].allows("true") && features[2].allows("Business") && !features[1].allows("a"));
    });
}

#[test]
fn dispositions_and_answers() {
    table::<RequestDisposition>(
        &[
            ("proxy, Redirect,cancel,no-cancel,fork,no-fork", "proxy|redirect|cancel|no-cancel|fork|no-fork"),
            (
                "recurse,no-recurse,parallel,sequential,queue,no-queue,x",
                "recurse|no-recurse|parallel|sequential|queue|no-queue|x",
            ),
        ],
        &[("", Malformed::Empty, 0), ("fork;x", Malformed::Trailing, 4), ("fork,", Malformed::Empty, 5)],
    );
    first!(RequestDisposition, "NO-fork", |directive| assert_eq!(directive, Directive::NoFork));
    let good = [("Auto;require", "Auto;require"), ("manual", "manual"), ("Other ; x=y", "Other;x=y")];
    let bad = [("", Malformed::Token, 0), ("Auto, Manual", Malformed::Trailing, 4)];
    table::<AnswerMode>(&good, &bad);
    table::<PrivAnswerMode>(&good, &bad);
    first!(AnswerMode, "AUTO;Require", |mode| assert!(
        mode.is_auto() && mode.is_required() && !mode.is_manual()
    ));
    first!(PrivAnswerMode, "manual", |mode| assert!(mode.is_manual() && !mode.is_required()));
}

#[test]
fn resources_packages_and_sessions() {
    let good = [("wps.3, dsn.flash-override", "wps.3|dsn.flash-override")];
    let bad = [
        ("wps", Malformed::ResourcePriority, 3),
        ("a.b.c", Malformed::ResourcePriority, 5),
        (".1", Malformed::ResourcePriority, 2),
        ("a.1 b", Malformed::Trailing, 4),
    ];
    table::<ResourcePriority>(&[good[0]], &bad);
    table::<ResourcePriority>(&[], &[("", Malformed::Empty, 0)]);
    table::<AcceptResourcePriority>(&[good[0], ("", "")], &bad);
    first!(ResourcePriority, "ets.0", |value| assert_eq!((value.namespace, value.priority), ("ets", "0")));

    table::<InfoPackage>(
        &[("foo;x=1", "foo;x=1")],
        &[("", Malformed::Token, 0), ("a, b", Malformed::Trailing, 1)],
    );
    table::<RecvInfo>(
        &[("", ""), ("a, b;x", "a|b;x")],
        &[("a,", Malformed::Empty, 2), ("a=b", Malformed::Trailing, 1)],
    );

    let id = "ab30317f1a784dc48ff824d0d3715d86";
    let nil = "0".repeat(32);
    let both = format!("{id} ;remote={nil}");
    table::<SessionId>(
        &[(id, id), (&both, &format!("{id};remote={nil}"))],
        &[
            ("", Malformed::Uuid, 0),
            (&id[1..], Malformed::Uuid, 31),
            (&id.to_uppercase(), Malformed::Uuid, 32),
            (&format!("{id}0"), Malformed::Uuid, 33),
        ],
    );
    first!(SessionId, &both, |session| assert_eq!(session.remote(), Some(&nil[..])));
    first!(SessionId, &format!("{id};remote=x"), |session| assert_eq!(session.remote(), None));
}

#[test]
fn user_data_and_consent() {
    let text = "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar";
    table::<UserToUser>(
        &[(&format!("{text}, \"a, b\""), &format!("{text}|\"a, b\""))],
        &[("", Malformed::Empty, 0), (";encoding=hex", Malformed::Token, 0), ("\"a", Malformed::Quote, 0)],
    );
    first!(UserToUser, text, |data| {
        assert_eq!(data.data, "56a390f3d2b7310023a2");
        assert_eq!(
            (data.encoding(), data.purpose(), data.content()),
            (Some("hex"), Some("foo"), Some("bar"))
        );
    });
    let text = "sip:123@relay.example.com;target-uri=\"sip:friends@relay.example.com\"";
    table::<TriggerConsent>(
        &[(&format!("{text}, sips:x"), &format!("{text}|sips:x"))],
        &[
            ("", Malformed::Empty, 0),
            ("x", Malformed::Uri(UriError::Scheme), 0),
            ("sip:a?b=c", Malformed::BareUri, 5),
        ],
    );
    first!(TriggerConsent, text, |trigger| {
        assert_eq!(trigger.target().unwrap().as_str(), "sip:friends@relay.example.com");
    });
}

#[test]
fn private_fields() {
    table::<PVisitedNetworkId>(
        &[("other.net, \"Visited, 1\";x", "other.net|\"Visited, 1\";x")],
        &[("\"x", Malformed::Quote, 0), ("a b", Malformed::Trailing, 2)],
    );
    table::<PAccessNetworkInfo>(
        &[(
            "3GPP-UTRAN-TDD; utran-cell-id-3gpp=23\\4D0FCE11, ADSL2+;np",
            "3GPP-UTRAN-TDD;utran-cell-id-3gpp=23\\4D0FCE11|ADSL2+;np",
        )],
        &[("", Malformed::Empty, 0), ("a;;", Malformed::Parameter, 2)],
    );
    table::<PChargingFunctionAddresses>(
        &[(
            "ccf=192.1.1.1; ccf=[5555::1];ecf=\"a b\" , ecf-2=x",
            "ccf=192.1.1.1;ccf=[5555::1];ecf=\"a b\"|ecf-2=x",
        )],
        &[
            ("", Malformed::Empty, 0),
            (";ccf=x", Malformed::Parameter, 0),
            ("ccf=x;", Malformed::Parameter, 6),
        ],
    );
    let vector = "icid-value=\"AyretyU0dm+6O2IrT5tAFrbHLso=023551024\";orig-ioi=home1.net;term-ioi=\"b\"";
    table::<PChargingVector>(
        &[
            (vector, vector),
            ("icid-value=1 ; icid-generated-at=192.0.6.8", "icid-value=1;icid-generated-at=192.0.6.8"),
        ],
        &[
            ("", Malformed::Parameter, 0),
            ("orig-ioi=x", Malformed::Parameter, 10),
            ("icid-value", Malformed::Parameter, 10),
        ],
    );
    first!(PChargingVector, vector, |vector| {
        assert_eq!(vector.icid, "AyretyU0dm+6O2IrT5tAFrbHLso=023551024");
        assert_eq!(
            (vector.originating().unwrap(), vector.terminating().unwrap()),
            (crate::message::Text::plain(b"home1.net"), crate::message::Text::plain(b"b"))
        );
    });
    let service = [(
        "urn:urn-7:3gpp-service.ims.icsi.mmtel, urn:urn-xxx:a",
        "urn:urn-7:3gpp-service.ims.icsi.mmtel|urn:urn-xxx:a",
    )];
    let bad = [
        ("", Malformed::Empty, 0),
        ("mmtel", Malformed::Uri(UriError::Scheme), 0),
        ("urn:a b", Malformed::Trailing, 6),
    ];
    table::<PPreferredService>(&service, &bad);
    table::<PAssertedService>(&service, &bad);
    table::<PEarlyMedia>(
        &[("supported, Gated", "supported|Gated"), ("", "")],
        &[("a,", Malformed::Empty, 2)],
    );
    table::<PMediaAuthorization>(&[("0020AbfF", "0020AbfF")], &[("0x20", Malformed::Hex, 4)]);
    table::<PAnswerState>(&[("Unconfirmed", "Unconfirmed")], &[("", Malformed::Token, 0)]);
    table::<PPrivateNetworkIndication>(&[("example.com", "example.com")], &[("<x>", Malformed::Token, 0)]);
}

#[test]
fn bodies() {
    let bad = [
        ("", Malformed::Token, 0),
        ("text", Malformed::Token, 4),
        ("text/", Malformed::Token, 5),
        ("a/b;=", Malformed::Parameter, 4),
    ];
    table::<ContentType>(&[("text / html ; charset=\"a;b\"", "text/html;charset=\"a;b\"")], &bad);
    table::<Accept>(&[("", ""), ("*/*;q=0.3, a/b", "*/*;q=0.3|a/b")], &bad[1..]);
    table::<ContentDisposition>(
        &[("session ; handling=optional", "session;handling=optional")],
        &[("", Malformed::Token, 0), ("a b", Malformed::Trailing, 2)],
    );
    table::<ContentEncoding>(
        &[("gzip, tar", "gzip|tar")],
        &[("", Malformed::Empty, 0), ("a/b", Malformed::Trailing, 1)],
    );
    table::<AcceptEncoding>(&[("", ""), ("gzip;q=1.0, *", "gzip;q=1.0|*")], &[("a,", Malformed::Empty, 2)]);
    table::<AcceptLanguage>(
        &[("", ""), ("da, en-gb;q=0.8", "da|en-gb;q=0.8")],
        &[(";q=1", Malformed::Token, 0)],
    );
    table::<ContentLanguage>(
        &[("fr, i-klingon", "fr|i-klingon")],
        &[("", Malformed::Empty, 0), ("a;b", Malformed::Trailing, 1)],
    );
    table::<ContentId>(
        &[],
        &[
            ("a@b", Malformed::Angle, 0),
            ("<>", Malformed::Empty, 1),
            ("<a b>", Malformed::Angle, 2),
            ("<a", Malformed::Angle, 2),
        ],
    );
    first!(ContentId, "<target123@atlanta.example.com>", |id| assert_eq!(
        id,
        "target123@atlanta.example.com"
    ));
    first!(MimeVersion, "1.0", |version| assert_eq!(version, (1, 0)));
    for (text, why) in [("1", Malformed::Number), ("a.b", Malformed::Number), ("1.0.0", Malformed::Trailing)]
    {
        let error = row::<MimeVersion>(text).header::<MimeVersion>().unwrap_err();
        assert!(matches!(error, HeaderError::Malformed { why: found, .. } if found == why), "{error}");
    }
    first!(Accept, "a/b;q=0.3", |range| assert_eq!(range.q(), Some(300)));
    first!(AcceptLanguage, "en;Q=x", |language| assert!(language.is("EN") && language.q().is_none()));
    first!(AcceptEncoding, "gzip", |encoding| assert_eq!(encoding.q(), Some(1000)));
}

#[test]
fn numbers() {
    let bad = [("", Malformed::Number, 0), ("-1", Malformed::Number, 0), ("1 2", Malformed::Trailing, 2)];
    let big = ("4294967296", Malformed::Range, 10);
    table::<FlowTimer>(&[("0120", "120")], &bad);
    table::<MaxBreadth>(&[("60", "60")], &bad);
    table::<MaxForwards>(&[("255", "255")], &[bad[0], bad[1], bad[2], ("256", Malformed::Range, 3)]);
    table::<ContentLength>(&[("0", "0")], &[]);
    table::<Expires>(&[("4294967295", "4294967295")], &[bad[0], bad[1], bad[2], big]);
    table::<MinExpires>(&[("60", "60")], &[bad[0], bad[1], bad[2], big]);
    table::<RSeq>(&[("1", "1")], &[bad[0], bad[1], bad[2], big]);
    table::<MinSe>(&[("90", "90")], &[bad[0], ("90;", Malformed::Parameter, 3)]);
    table::<SessionExpires>(
        &[("90 ;refresher=uac", "90;refresher=uac")],
        &[bad[0], ("90;;", Malformed::Parameter, 3)],
    );
    table::<RetryAfter>(
        &[
            ("18000;duration=3600", "18000;duration=3600"),
            ("120 (I'm (in) a \\) meeting) ;x", "120 (I'm (in) a \\) meeting);x"),
        ],
        &[
            bad[0],
            big,
            ("1 (open", Malformed::Comment, 2),
            ("1 ((a)", Malformed::Comment, 2),
            ("1 (a) b", Malformed::Trailing, 6),
        ],
    );
    first!(RetryAfter, "1 (a\\)b);duration=7", |after| {
        assert_eq!(
            (after.seconds, after.duration(), after.comment.unwrap().to_string().as_str()),
            (1, Some(7), "a)b")
        );
    });
    table::<Timestamp>(&[("54.21 0.5", "54.21 0.5"), ("1", "1")], &[("x", Malformed::Number, 0)]);
    table::<CSeq>(
        &[("0009  INVITE", "9 INVITE")],
        &[("1", Malformed::Token, 1), ("2147483648 X", Malformed::Range, 10)],
    );
    table::<RAck>(
        &[("7 1 INVITE", "7 1 INVITE")],
        &[("7 1", Malformed::Token, 3), ("7", Malformed::Token, 1)],
    );
    table::<ReferSub>(
        &[("FALSE", "false"), ("true;x=y", "true")],
        &[("maybe", Malformed::Boolean, 0), ("", Malformed::Token, 0)],
    );
}

#[test]
fn words_and_texts() {
    let list = [("a , b", "a|b")];
    let bad = [("a,", Malformed::Empty, 2), ("a b", Malformed::Trailing, 2), (";", Malformed::Token, 0)];
    table::<Require>(&list, &bad);
    table::<ProxyRequire>(&list, &bad);
    table::<Unsupported>(&list, &bad);
    table::<AllowEvents>(&list, &bad);
    table::<Supported>(&[list[0], ("", "")], &bad);
    table::<Allow>(&[list[0], ("", "")], &bad);
    table::<InReplyTo>(
        &[("70710@saturn.bell-tel.com, 17320@x", "70710@saturn.bell-tel.com|17320@x")],
        &[bad[0], bad[1]],
    );
    let bad = [("", Malformed::Token, 0), ("a b", Malformed::Trailing, 2)];
    table::<Priority>(&[("non-urgent", "non-urgent")], &bad);
    table::<SipEtag>(&[("dx200xyz", "dx200xyz")], &bad);
    table::<SipIfMatch>(&[("dx200xyz", "dx200xyz")], &bad);
    table::<SuppressIfMatch>(&[("*", "*"), ("b4cf7", "b4cf7")], &bad);
    table::<Event>(&[("presence.winfo;id=1", "presence.winfo;id=1")], &bad);
    table::<SubscriptionState>(&[("active;expires=3", "active;expires=3")], &bad);
    table::<CallId>(&[("a@b", "a@b")], &[("", Malformed::Empty, 0), ("a b", Malformed::Trailing, 2)]);
    table::<Subject>(&[("", ""), ("a, \"b\"", "a, \"b\"")], &[]);
    table::<Organization>(&[("Boxes by Bob", "Boxes by Bob")], &[]);
    table::<UserAgent>(&[("A/1 (b)", "A/1 (b)")], &[]);
    table::<Server>(&[("A/1 (b)", "A/1 (b)")], &[]);
}

#[test]
fn reasons_and_dialogs() {
    table::<Reason>(
        &[("SIP;cause=200;text=\"a, b\", Q.850 ;cause=16", "SIP;cause=200;text=\"a, b\"|Q.850;cause=16")],
        &[("", Malformed::Empty, 0), ("SIP;text=\"a", Malformed::Quote, 9)],
    );
    table::<Warning>(
        &[
            (
                "307 isi.edu \"a, \\\"b\\\"\", 399 [::1]:5060 \"\"",
                "307 isi.edu \"a, \\\"b\\\"\"|399 [::1]:5060 \"\"",
            ),
            // A code has three digits whatever it counts.
            ("018 a \"\"", "018 a \"\""),
        ],
        &[
            ("30 a \"b\"", Malformed::Number, 2),
            ("307 \"b\"", Malformed::Quote, 7),
            ("307 a b", Malformed::Quote, 6),
        ],
    );
    let good = [("x@y ;to-tag=1;from-tag=2;early-only", "x@y;to-tag=1;from-tag=2;early-only")];
    let bad = [
        ("x@y", Malformed::Parameter, 3),
        (";to-tag=1;from-tag=2", Malformed::Token, 0),
        ("x;to-tag=1;", Malformed::Parameter, 11),
    ];
    table::<Replaces>(&good, &bad);
    table::<Join>(&good, &bad);
    table::<TargetDialog>(&[("x;local-tag=1;remote-tag=2", "x;local-tag=1;remote-tag=2")], &bad[..2]);
}

#[test]
fn vias_dates_and_secrets() {
    table::<Via>(
        &[
            (
                "SIP / 2.0 / UDP h:5060 ;branch=z9hG4bKa, SIP/2.0/TCP [::1]",
                "SIP/2.0/UDP h:5060;branch=z9hG4bKa|SIP/2.0/TCP [::1]",
            ),
            ("SIP/2.0/TLS-SCTP 1.2.3.4;rport;received=::1", "SIP/2.0/TLS-SCTP 1.2.3.4;rport;received=::1"),
        ],
        &[
            ("SIP/2.0 h", Malformed::Token, 7),
            ("SIP/2.0/UDP [::1", Malformed::Host, 12),
            ("SIP/2.0/UDP h:", Malformed::Port, 14),
            ("SIP/2.0/UDP h;;", Malformed::Parameter, 14),
            ("SIP/2.0/UDP h h", Malformed::Trailing, 14),
        ],
    );
    table::<Date>(
        &[("Sat, 13 Nov 2010 23:29:00 GMT", "Sat, 13 Nov 2010 23:29:00 GMT")],
        &[
            ("Sat, 13 Nov 2010 23:29:00 UTC", Malformed::Date, 29),
            ("Sam, 13 Nov 2010 23:29:00 GMT", Malformed::Date, 29),
        ],
    );
    let good = [
        ("Digest realm=\"a, b\", nonce=\"c\"", "Digest realm=\"a, b\", nonce=\"c\""),
        ("Bearer a.b==", "Bearer a.b=="),
    ];
    let bad = [("", Malformed::Token, 0), ("Digest", Malformed::Token, 6)];
    table::<WwwAuthenticate>(&good, &bad);
    table::<ProxyAuthenticate>(&good, &bad);
    table::<Authorization>(&good, &bad);
    table::<ProxyAuthorization>(&good, &bad);
    let good = [("nextnonce=\"x\", nc=00000001", "nextnonce=\"x\", nc=00000001")];
    table::<AuthenticationInfo>(&good, &bad[..1]);
    table::<ProxyAuthenticationInfo>(&good, &bad[..1]);
}

/// What is wrong, where, and in which field, on one line.
#[test]
fn errors_are_one_line_for_people() {
    let error = |text: &str| check(&message(text)).unwrap_err().to_string();
    assert_eq!(
        error("From: <sip:a b@c>"),
        "From is malformed: the URI is wrong: a character is not allowed (octet 49)"
    );
    assert_eq!(error("Contact: <sip:a@b>,"), "Contact is malformed: a value is empty (octet 56)");
    assert_eq!(error("k: a;b"), "Supported is malformed: something follows the value (octet 41)");
}

/// Pieces of values, so that random ones are nearly right.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "<",
        ">",
        "\"",
        "\\",
        ";",
        ",",
        "=",
        "*",
        "%",
        "%3B",
        "(",
        ")",
        ".",
        "1",
        "a",
        " ",
        "\r\n ",
        "é",
        "sip:a@b",
        "<sip:x>",
        "?Reason=SIP%3Bcause%3D1",
        "&Privacy=id",
        ";index=1.1",
        ";rc=1",
        ";+f=\"<a>\"",
        ";q=0.5",
        "Digest a=b",
        "yes",
        "SIP/2.0/UDP h",
        "1 INVITE",
        "info=<x:y>",
        "icid-value=",
        "wps.0",
        ";class=\"!#>=1,b\"",
    ];
    prop_oneof![prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), "[ -~]{0,6}"]
}

proptest! {
    /// Any value of any field is read or refused, and what is refused is refused within its row.
    #[test]
    fn any_value_is_survived(pieces in prop::collection::vec(piece(), 0..8)) {
        let value = pieces.concat();
        macro_rules! read {
            ($($field:ident)*) => {$(
                if <$field as Header>::ID != HeaderId::ContentLength {
                    let message = row::<$field>(&value);
                    let span = message.raw(<$field as Header>::ID).next().unwrap().span;
                    for value in message.each::<$field>() {
                        match value {
                            Ok(view) => drop(format!("{view:?}")),
                            Err(HeaderError::Malformed { at, .. }) => {
                                prop_assert!((span.start..=span.end).contains(&at), "{at} {span:?}");
                            }
                            Err(HeaderError::Missing(_)) => unreachable!(),
                        }
                    }
                }
            )*};
        }
        every_header!(read);
        let message = message(&format!("History-Info: {value}\r\nContact: {value}\r\nAccept-Contact: {value}"));
        for entry in message.each::<HistoryInfo>().flatten() {
            let _ = (entry.cause(), entry.is_private(), entry.retarget(), entry.index.numbers().count());
        }
        for contact in message.each::<Contact>().flatten() {
            let _ = (contact.instance(), contact.q(), contact.reg_id(), contact.public_gruu());
            contact.features().for_each(|feature| {
                let _ = feature.values().count();
            });
        }
        for set in message.each::<AcceptContact>().flatten() {
            set.features().for_each(|feature| {
                let _ = feature.allows("a");
            });
        }
    }
}
