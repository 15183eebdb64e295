use std::net::IpAddr;

use super::*;
use crate::message::{HeaderError, HeaderId, Host, Limits, Message, Method, NameAddr, UriError};

fn message(rows: &str) -> Message {
    let text = format!("OPTIONS sip:bob@example.com SIP/2.0\r\n{rows}\r\n\r\n");
    Message::parse(text.into(), &Limits::default()).unwrap()
}

/// How one value of a field reads, as its debug text or the reason why it does not.
fn read<H: Header>(value: &str) -> Result<String, Malformed>
where
    for<'m> H::View<'m>: std::fmt::Debug,
{
    match message(&format!("{}: {value}", H::ID.name())).header::<H>() {
        Ok(view) => Ok(format!("{view:?}")),
        Err(HeaderError::Malformed { why, .. }) => Err(why),
        Err(HeaderError::Missing(_)) => unreachable!("the row is there"),
    }
}

#[test]
fn via() {
    let message = message(
        "Via: SIP / 2.0\r\n /UDP\r\n  [2001:db8::9:1] : 5062 ;rport;received=[2001:db8::9:255];\r\n branch = \
         z9hG4bKx ;ttl=16;maddr=224.2.0.1, sip/2.0/tls h ; RPORT=7000;received=192.0.2.1;branch=old\r\n",
    );
    let vias: Vec<_> = message.each::<Via>().map(Result::unwrap).collect();
    let [first, second] = vias[..] else { panic!("{vias:?}") };
    assert_eq!(first.to_string().split(';').next(), Some("SIP/2.0/UDP [2001:db8::9:1]:5062"));
    assert_eq!((first.transport, first.port, first.branch()), ("UDP", Some(5062), Some("z9hG4bKx")));
    assert_eq!(first.received(), Some(IpAddr::V6("2001:db8::9:255".parse().unwrap())));
    assert_eq!((first.rport(), second.rport()), (Some(None), Some(Some(7000))));
    assert_eq!((first.ttl(), first.maddr()), (Some(16), Host::parse("224.2.0.1")));
    assert!(first.has_magic_cookie() && !second.has_magic_cookie());
    assert_eq!((second.transport, second.host, second.port), ("tls", Host::Name("h"), None));
    for via in [first, second] {
        let value = &message.bytes()[via.span.start..via.span.end];
        assert!(value[..3].eq_ignore_ascii_case(b"SIP") && !value.ends_with(b" "));
    }
    for (value, why) in [
        ("SIP/2.0/UDP", Malformed::Host),
        ("SIP/2.0 h", Malformed::Token),
        ("SIP/2.0/UDP h:99999", Malformed::Port),
        ("SIP/2.0/UDP h:", Malformed::Port),
        ("SIP/2.0/UDP h;;branch=x", Malformed::Parameter),
        ("SIP/2.0/UDP [::1;branch=x", Malformed::Host),
        ("SIP/2.0/UDP h x", Malformed::Trailing),
        (", SIP/2.0/UDP h", Malformed::Empty),
        ("", Malformed::Empty),
    ] {
        assert_eq!(read::<Via>(value), Err(why), "{value}");
    }
    assert!(!message.via().unwrap().params.has("none"));
}

#[test]
fn the_bare_magic_cookie_is_no_branch_of_rfc_3261() {
    assert!(!message("Via: SIP/2.0/UDP h;branch=z9hG4bK").via().unwrap().has_magic_cookie());
    assert!(message("Via: SIP/2.0/UDP h;branch=Z9HG4bk1").via().unwrap().has_magic_cookie());
}

#[test]
fn cseq_and_rack() {
    let one = message("CSeq: 0009\r\n  INVITE");
    assert_eq!(one.cseq(), Ok(CSeq { number: 9, method: Method::Invite }));
    assert_eq!(message("CSeq: 2147483647 X").cseq().map(|cseq| cseq.number), Ok((1 << 31) - 1));
    for (value, why) in [
        ("2147483648 X", Malformed::Range),
        ("36893488147419103232 X", Malformed::Range),
        ("-1 X", Malformed::Number),
        ("1", Malformed::Token),
        ("1INVITE", Malformed::Token),
        ("INVITE 1", Malformed::Number),
        ("1 INVITE 2", Malformed::Trailing),
        ("", Malformed::Number),
    ] {
        assert_eq!(read::<CSeq>(value), Err(why), "{value}");
    }
    let rack = message("RAck: 776656 1 INVITE");
    let rack = rack.header::<RAck>().unwrap();
    assert_eq!((rack.response, rack.cseq.number, rack.to_string()), (776656, 1, "776656 1 INVITE".into()));
    assert!(read::<RAck>("1 INVITE").is_err());
}

#[test]
fn contact() {
    let message = message(
        "m: \"A, B\" <sip:a,x@b;lr>;q=0.33;expires=7200, <sip:c@d>;q=1.001 ;expires=soon,\r\n sip:e@f;q=1\r\nContact: *",
    );
    let contacts: Vec<_> = message.each::<Contact>().map(Result::unwrap).collect();
    assert_eq!(contacts.iter().map(ContactValue::q).collect::<Vec<_>>(), [Some(330), None, Some(1000), None]);
    let expires: Vec<_> = contacts.iter().map(ContactValue::expires).collect();
    assert_eq!(expires, [Some(7200), Some(3600), None, None]);
    assert!(matches!(contacts[3], ContactValue::Star));
    assert_eq!(contacts[0].to_string(), "\"A, B\" <sip:a,x@b;lr>;q=0.33;expires=7200");
    assert_eq!(read::<Contact>("*;expires=0"), Err(Malformed::Trailing));
    assert_eq!(read::<Contact>("<sip:a@b;;>"), Err(Malformed::Uri(UriError::Parameter)));
}

#[test]
fn header_and_uri_parameters_are_kept_apart() {
    let outside = message("Contact: sip:a@b;unknown").contact().unwrap().unwrap().to_string();
    assert_eq!(outside, "<sip:a@b>;unknown");
    let message =
        message("Contact: <sip:a@b;unknown>;q=0.1\r\nRoute: <sip:a;%6C%72;n%61me=v%61lue%25%34%31>");
    let contact = message.contact().unwrap().unwrap().address().unwrap();
    assert!(contact.uri.params().has("unknown") && !contact.params.has("unknown"));
    let route: NameAddr<'_> = message.header::<Route>().unwrap();
    assert_eq!(route.uri.params().get("lr"), Some(None));
    assert_eq!(route.uri.params().value("name"), Some("v%61lue%25%34%31"));
}

#[test]
fn numbers() {
    for (value, result) in [("0068", Ok("68")), ("255", Ok("255")), ("0", Ok("0"))] {
        assert_eq!(read::<MaxForwards>(value), result.map(str::to_owned));
    }
    for (value, why) in [("256", Malformed::Range), ("x", Malformed::Number), ("1 2", Malformed::Trailing)] {
        assert_eq!(read::<MaxForwards>(value), Err(why));
    }
    assert_eq!(read::<Expires>("4294967295"), Ok("4294967295".into()));
    assert_eq!(read::<Expires>("4294967296"), Err(Malformed::Range));
    assert_eq!(read::<RetryAfter>("949302838503028349304023988"), Err(Malformed::Range));
    assert_eq!(read::<RSeq>("988789"), Ok("988789".into()));
    assert_eq!(read::<MinSe>("90;lr"), Ok("90".into()));
}

#[test]
fn tokens_and_media_types() {
    let message = message(
        "k: 100rel , timer\r\nSupported:\r\nAllow:\r\nAccept: application/sdp;level=1 , text / * ;q=0.5,*/*\r\n\
         c: multipart/mixed;boundary=\"a;b\"\r\nContent-Disposition: session;handling=optional\r\nRequire: a b",
    );
    assert_eq!(message.each::<Supported>().collect::<Result<Vec<_>, _>>().unwrap(), ["100rel", "timer"]);
    assert_eq!(message.each::<Allow>().count(), 0);
    let accept: Vec<_> = message.each::<Accept>().map(|range| range.unwrap().to_string()).collect();
    assert_eq!(accept, ["application/sdp;level=1", "text/*;q=0.5", "*/*"]);
    let ranges: Vec<_> =
        message.each::<Accept>().map(|range| range.unwrap().accepts("TEXT", "plain")).collect();
    assert_eq!(ranges, [false, true, true]);
    let kind = message.header::<ContentType>().unwrap();
    assert!(kind.is("MULTIPART", "mixed"));
    assert_eq!(kind.params.value("boundary"), Some("a;b"));
    let disposition = message.header::<ContentDisposition>().unwrap();
    assert_eq!((disposition.token, disposition.params.value("handling")), ("session", Some("optional")));
    assert!(message.header::<Require>().is_err());
    assert_eq!(read::<ContentType>("text"), Err(Malformed::Token));
    assert_eq!(read::<ContentType>(""), Err(Malformed::Token));
}

#[test]
fn challenges_and_credentials() {
    let message = message(
        "WWW-Authenticate: Digest realm=\"a, \\\"b\\\"\",\r\n nonce=\"n\" , qop=\"auth,auth-int\",stale=FALSE\r\n\
         Proxy-Authenticate: NoOneKnows opaque-data ==\r\nAuthorization: digest username=\"Bob\",nc=00000001,uri=\"sip:b\"\r\n\
         Authentication-Info: nextnonce=\"x\"",
    );
    let challenge = message.header::<WwwAuthenticate>().unwrap();
    assert!(challenge.is_digest());
    assert_eq!(challenge.params.get("Realm"), Some("a, \\\"b\\\""));
    assert_eq!(challenge.params.text("realm").as_deref(), Some("a, \"b\""));
    assert_eq!(challenge.params.get("qop"), Some("auth,auth-int"));
    assert_eq!(challenge.params.get("stale"), Some("FALSE"));
    assert_eq!(challenge.params.find("stale").map(|param| param.quoted), Some(false));
    assert_eq!(challenge.params.iter().count(), 4);
    let opaque = message.header::<ProxyAuthenticate>().unwrap();
    assert_eq!((opaque.scheme, opaque.params.as_str()), ("NoOneKnows", "opaque-data =="));
    let credentials = message.header::<Authorization>().unwrap();
    assert_eq!((credentials.is_digest(), credentials.params.get("nc")), (true, Some("00000001")));
    assert_eq!(message.header::<AuthenticationInfo>().unwrap().get("nextnonce"), Some("x"));
    for value in [
        "Digest",
        "Digest realm",
        "Digest realm=\"x",
        "Digest realm=\"x\" nonce=\"y\"",
        "",
        "Digest a=1,,b=2",
    ] {
        assert!(read::<WwwAuthenticate>(value).is_err(), "{value}");
    }
}

#[test]
fn dates() {
    let example = message("Date: Sat, 13 Nov 2010 23:29:00 GMT");
    let date = example.header::<Date>().unwrap();
    assert_eq!(date, DateTime(1_289_690_940));
    assert_eq!(date.to_string(), "Sat, 13 Nov 2010 23:29:00 GMT");
    for day in (0..400 * 366).step_by(17) {
        let date = DateTime(day * 86_400 + 86_399);
        let text = date.to_string();
        assert_eq!(message(&format!("Date: {text}")).header::<Date>(), Ok(date), "{text}");
    }
    assert_eq!(DateTime(951_782_400).to_string(), "Tue, 29 Feb 2000 00:00:00 GMT");
    for wrong in
        ["Fri, 01 Jan 2010 16:00:00 EST", "", "Fri, 32 Jan 2010 16:00:00 GMT", "x, 1 Jan 1969 0:0:0 GMT"]
    {
        assert_eq!(read::<Date>(wrong), Err(Malformed::Date), "{wrong}");
    }
    let stamp = message("Timestamp: 54.21 0.5");
    assert_eq!(stamp.header::<Timestamp>(), Ok(TimestampValue { time: "54.21", delay: Some("0.5") }));
    assert!(read::<Timestamp>("x").is_err() && read::<Timestamp>("1 2 3").is_err());
}

#[test]
fn reasons_and_warnings() {
    let message = message(
        "Reason: SIP;cause=200;text=\"Call, completed\", Q.850 ;cause=16\r\n\
         Warning: 307 isi.edu \"Not \\\"sdp\\\"\", 399 [::1]:5060 \"b\"",
    );
    let reasons: Vec<_> = message.each::<Reason>().map(Result::unwrap).collect();
    assert_eq!(reasons.iter().map(ReasonValue::cause).collect::<Vec<_>>(), [Some(200), Some(16)]);
    assert_eq!(reasons[0].text().unwrap(), "Call, completed");
    assert_eq!(reasons[1].protocol, "Q.850");
    let warnings: Vec<_> = message.each::<Warning>().map(Result::unwrap).collect();
    assert_eq!((warnings[0].code, warnings[0].agent), (307, "isi.edu"));
    assert_eq!(warnings[0].text, "Not \"sdp\"");
    assert_eq!(warnings[1].agent, "[::1]:5060");
    assert_eq!(read::<Warning>("1812 overture \"In Progress\""), Err(Malformed::Number));
}

#[test]
fn dialogs_sessions_and_events() {
    let message = message(
        "Replaces: 425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only\r\nx: 3600 ;refresher=UAS\r\n\
         o: presence;id=1\r\nSubscription-State: terminated;reason=timeout\r\nTarget-Dialog: x;local-tag=1;remote-tag=2\r\n\
         u: presence, dialog",
    );
    let dialog = message.header::<Replaces>().unwrap();
    assert_eq!(
        (dialog.call_id, dialog.to_tag, dialog.from_tag),
        ("425928@bobster.example.org", "7743", "6472")
    );
    assert!(dialog.is_early_only());
    assert_eq!(message.header::<TargetDialog>().unwrap().from_tag, "2");
    let session = message.header::<SessionExpires>().unwrap();
    assert_eq!((session.seconds, session.refresher()), (3600, Some(Refresher::Uas)));
    let event = message.header::<Event>().unwrap();
    assert_eq!((event.token, event.params.value("id")), ("presence", Some("1")));
    let state = message.header::<SubscriptionState>().unwrap();
    assert_eq!((state.token, state.params.value("reason")), ("terminated", Some("timeout")));
    assert_eq!(message.each::<AllowEvents>().count(), 2);
    assert_eq!(read::<Replaces>("x;to-tag=1"), Err(Malformed::Parameter));
}

#[test]
fn texts_and_words() {
    let odd = "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{";
    let message = message(&format!("Call-ID: {odd}\r\nSubject:\r\nUser-Agent: a\r\n\tb \"c\\d\""));
    assert_eq!(message.call_id(), Ok(odd));
    assert!(message.header::<Subject>().unwrap().is_empty());
    assert_eq!(message.header::<UserAgent>().unwrap(), "a b \"c\\d\"");
    assert_eq!(read::<CallId>("a b"), Err(Malformed::Trailing));
    assert_eq!(read::<CallId>(""), Err(Malformed::Empty));
}

#[test]
fn the_rest_of_a_field_with_many_malformed_values_is_not_read() {
    let told = usize::from(Limits::MALFORMED);
    let read = |rows: &str| {
        let all: Vec<_> = message(rows).each::<Contact>().map(|value| value.is_ok()).collect();
        (all.iter().filter(|&&sound| !sound).count(), all.len())
    };
    // In one row, and over several, with a sound value before each or without.
    assert_eq!(read(&format!("Contact: {}<sip:a>", ",".repeat(told - 1))), (told - 1, told));
    assert_eq!(read(&format!("Contact: {}<sip:a>", ",".repeat(told))), (told, told));
    assert_eq!(read(&format!("Contact: {}a", "<sip:a>, b c, ".repeat(told))), (told, 2 * told));
    assert_eq!(read(&vec!["Contact: <"; told + 1].join("\r\n")), (told, told));
    assert_eq!(
        read(&vec!["Contact: *, \"never ends, so it is one"; told + 1].join("\r\n")),
        (told, 2 * told)
    );
    // The next field is read.
    let message = message(&format!("Contact: {}\r\nAllow: BYE", ",".repeat(99)));
    assert_eq!(message.each::<Allow>().count(), 1);
    assert_eq!(
        message.raw(HeaderId::Contact).map(|row| row.values::<Contact>().count()).sum::<usize>(),
        told
    );
}

#[test]
fn rows_without_values_are_passed_over() {
    let rows = ["Supported:"; 200].join("\r\n");
    assert_eq!(message(&rows).each::<Supported>().count(), 0);
    assert_eq!(message(&format!("{rows}\r\nk: a, b")).each::<Supported>().count(), 2);
}

#[test]
fn words_are_read_alike_with_and_without_parameters() {
    for value in ["*/*", "a/*", "*/* ", "a/b;q=0.5", "a/b ;q=1", "a-b.c/d"] {
        let alone = read::<Accept>(value);
        assert!(alone.is_ok(), "{value}: {alone:?}");
        for list in [format!("{value},text/x"), format!(" {value}, text/x"), format!("text/x, {value}")] {
            let all = message(&format!("Accept: {list}"));
            let all: Vec<_> = all.each::<Accept>().map(|each| each.unwrap().to_string()).collect();
            assert!(
                all.len() == 2 && all.iter().any(|each| each.starts_with(value.split(' ').next().unwrap())),
                "{list}: {all:?}"
            );
        }
    }
    assert_eq!(read::<Accept>("*/"), Err(Malformed::Token));
    assert_eq!(read::<Contact>("*x").map(|_| ()), Err(Malformed::Trailing));
    assert_eq!(read::<AcceptContact>("*").map(|_| ()), Ok(()));
}
