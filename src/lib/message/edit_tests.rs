use super::*;
use crate::message::Limits;

const MESSAGE: &str = "INVITE sip:bob@b SIP/2.0\r\n\
    v: SIP/2.0/UDP a:5062;rport;branch=z9hG4bK1 ,\r\n SIP/2.0/TCP b\r\n\
    Subject:\r\n\
    Route: <sip:r1;lr>, <sip:r2;x=\",\">\r\n\
    Via: SIP/2.0/UDP c\r\n\
    Route: <sip:r3>\r\n\
    Content-Length: 2\r\n\r\nhi";

fn edited(edit: impl FnOnce(&mut Edits<'_>)) -> String {
    let message = Message::parse(MESSAGE.into(), &Limits::default()).unwrap();
    let mut edits = Edits::new(&message);
    edit(&mut edits);
    let written = edits.finish();
    assert_eq!(Message::parse(written.bytes().clone(), &Limits::default()), Ok(written.clone()));
    String::from_utf8(written.bytes().to_vec()).unwrap()
}

fn replaced(from: &str, to: &str) -> String {
    assert!(MESSAGE.contains(from), "{from}");
    MESSAGE.replacen(from, to, 1)
}

#[test]
fn without_edits_the_bytes_are_the_same() {
    assert_eq!(edited(|_| {}), MESSAGE);
}

#[test]
fn a_proxy_forwards() {
    let text = edited(|edits| {
        edits
            .top_via_param("received", Some(&"192.0.2.9"))
            .top_via_param("RPORT", Some(&5063))
            .uri("sip:bob@there")
            .prepend(HeaderId::RecordRoute, "<sip:p;lr>")
            .prepend(HeaderId::Via, "SIP/2.0/UDP p;branch=z9hG4bK2")
            .pop_value(HeaderId::Route);
    });
    let expected = replaced("bob@b SIP", "bob@there SIP")
        .replace("v: SIP", "Via: SIP/2.0/UDP p;branch=z9hG4bK2\r\nRecord-Route: <sip:p;lr>\r\nv: SIP")
        .replace(";rport;branch=z9hG4bK1", ";RPORT=5063;branch=z9hG4bK1;received=192.0.2.9")
        .replace("<sip:r1;lr>, ", "");
    assert_eq!(text, expected);
}

#[test]
fn values_are_popped_one_after_the_other() {
    let pop = |times: usize| {
        edited(|edits| {
            for _ in 0..times {
                edits.pop_value(HeaderId::Route);
            }
        })
    };
    let whole = "Route: <sip:r1;lr>, <sip:r2;x=\",\">\r\n";
    assert_eq!(pop(1), replaced("<sip:r1;lr>, ", ""));
    assert_eq!(pop(2), replaced(whole, ""));
    assert_eq!(pop(3), replaced(whole, "").replace("Route: <sip:r3>\r\n", ""));
    assert_eq!(pop(4), pop(3));
    let vias = edited(|edits| _ = edits.pop_value(HeaderId::Via));
    assert_eq!(vias, replaced("SIP/2.0/UDP a:5062;rport;branch=z9hG4bK1 ,\r\n ", ""));
}

#[test]
fn rows_come_and_go() {
    assert_eq!(edited(|edits| _ = edits.remove(HeaderId::Via).remove(HeaderId::Route)), {
        "INVITE sip:bob@b SIP/2.0\r\nSubject:\r\nContent-Length: 2\r\n\r\nhi"
    });
    assert_eq!(
        edited(|edits| _ =
            edits.append(HeaderId::Via, "X").append(HeaderId::UserAgent, "U").append_named("Z", "z")),
        replaced("UDP c\r\n", "UDP c\r\nVia: X\r\n").replace("h: 2\r\n", "h: 2\r\nUser-Agent: U\r\nZ: z\r\n")
    );
    assert_eq!(
        edited(|edits| _ = edits.prepend(HeaderId::Route, "1").prepend(HeaderId::Route, "2")),
        replaced("Route: <sip:r1", "Route: 2\r\nRoute: 1\r\nRoute: <sip:r1")
    );
    assert_eq!(
        edited(|edits| _ = edits.set(HeaderId::Route, "<sip:x>").set(HeaderId::Subject, "s")),
        replaced("<sip:r1;lr>, <sip:r2;x=\",\">", "<sip:x>")
            .replace("Route: <sip:r3>\r\n", "")
            .replace("Subject:", "Subject: s")
    );
    assert_eq!(
        edited(|edits| _ = edits.remove(HeaderId::Via).prepend(HeaderId::Via, "V").append_named("", "")),
        edited(|edits| _ = edits.prepend(HeaderId::Via, "V").remove(HeaderId::Via)),
    );
}

#[test]
fn edits_within_what_goes_go_too() {
    let gone = edited(|edits| _ = edits.remove(HeaderId::Via));
    let both = edited(|edits| _ = edits.top_via_param("received", Some(&1)).remove(HeaderId::Via));
    assert_eq!(gone, both);
    let both = edited(|edits| _ = edits.remove(HeaderId::Via).top_via_param("rport", None));
    assert_eq!(gone, both);
}

#[test]
fn a_body_brings_its_headers() {
    let text = edited(|edits| _ = edits.body("text/plain", b"hello"));
    assert_eq!(text, replaced("h: 2\r\n\r\nhi", "h: 5\r\nContent-Type: text/plain\r\n\r\nhello"));
    let text = edited(|edits| _ = edits.body("a/b", b"x").body("", b""));
    assert_eq!(Message::parse(text.into(), &Limits::default()).unwrap().body(), b"");
    let bare = Message::parse("BYE sip:a SIP/2.0\r\nc: a/b\r\n\r\nrest".into(), &Limits::default()).unwrap();
    let edited = Edits::new(&bare).body("", b"").finish();
    assert_eq!(&edited.bytes()[..], b"BYE sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn the_last_of_two_that_contradict_wins() {
    let text = edited(|edits| _ = edits.set(HeaderId::Subject, "a").set(HeaderId::Subject, "b"));
    assert_eq!(text, replaced("Subject:", "Subject: b"), "a row that was empty");
    let text = edited(|edits| _ = edits.set(HeaderId::Route, "<sip:a>").set(HeaderId::Route, "<sip:b>"));
    assert_eq!(Message::parse(text.into(), &Limits::default()).unwrap().count(HeaderId::Route), 1);
    let text = edited(|edits| _ = edits.set(HeaderId::MaxForwards, 2).set(HeaderId::MaxForwards, 1));
    assert_eq!(text, replaced("h: 2\r\n", "h: 2\r\nMax-Forwards: 1\r\n"), "a row that was not there");
    let text = edited(|edits| _ = edits.set(HeaderId::MaxForwards, 2).remove(HeaderId::MaxForwards));
    assert_eq!(text, MESSAGE);
    let text = edited(|edits| _ = edits.remove(HeaderId::Route).set(HeaderId::Route, "<sip:x>"));
    assert_eq!(text, edited(|edits| _ = edits.set(HeaderId::Route, "<sip:x>")), "a row that was removed");
    let text = edited(|edits| {
        edits
            .top_via_param("received", Some(&1))
            .top_via_param("x", None)
            .top_via_param("RECEIVED", Some(&2));
        edits.top_via_param("rport", Some(&1)).top_via_param("rport", Some(&2));
    });
    assert_eq!(text, replaced(";rport;branch=z9hG4bK1", ";rport=2;branch=z9hG4bK1;RECEIVED=2;x"));
    assert_eq!(edited(|edits| _ = edits.uri("sip:a").uri("sip:b")), replaced("sip:bob@b", "sip:b"));
    assert_eq!(edited(|edits| _ = edits.set(HeaderId::Unknown, "x")), MESSAGE);
}

#[test]
fn an_empty_value_gives_way_with_the_space_around_it() {
    for row in ["Subject:", "s :", "SUBJECT: \t ", "Subject:\r\n ", "Subject:\r\n \r\n\t"] {
        let text = format!("BYE sip:a SIP/2.0\r\n{row}\r\nCall-ID: 1\r\n\r\n");
        let message = Message::parse(text.into(), &Limits::default()).unwrap();
        let name = row.split([':', ' ']).next().unwrap();
        for edited in [
            Edits::new(&message).set(HeaderId::Subject, "a").set(HeaderId::Subject, "b").finish(),
            Edits::new(&message).replace(message.headers().next().unwrap(), "b").finish(),
            // What was replaced has no value left that could be popped.
            Edits::new(&message).set(HeaderId::Subject, "b").pop_value(HeaderId::Subject).finish(),
        ] {
            let expected = format!("BYE sip:a SIP/2.0\r\n{name}: b\r\nCall-ID: 1\r\n\r\n");
            assert_eq!(edited.bytes(), expected.as_bytes(), "{row:?}");
        }
        let popped = Edits::new(&message).pop_value(HeaderId::Subject).finish();
        assert_eq!(popped.count(HeaderId::Subject), 0, "{row:?}");
    }
}

/// Two lengths, or the length of another body, would be two messages on a stream.
#[test]
fn a_body_has_one_length() {
    let bare = Message::parse("BYE sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n".into(), &Limits::default()).unwrap();
    let edited = Edits::new(&bare).body("a/b", b"hello").body("c/d", b"hi").finish();
    let expected = "BYE sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Type: c/d\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(edited.bytes(), expected.as_bytes());
    let typed = edited.clone();
    let edited = Edits::new(&typed).body("", b"").body("e/f", b"hey").finish();
    assert_eq!(
        edited.bytes(),
        expected.replace("c/d", "e/f").replace("2\r\n\r\nhi", "3\r\n\r\nhey").as_bytes()
    );
    let edited = Edits::new(&bare).body("a/b", b"hello").body("", b"").finish();
    assert_eq!(edited.bytes(), "BYE sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n".as_bytes());

    let mut edits = Edits::new(&typed);
    for length in (0..60_000).rev().step_by(7_919) {
        edits.append_named("X", "x".repeat(length));
    }
    for letter in "abcdefgh".repeat(8).chars() {
        edits.append_named("X", letter).body("g/h", letter.to_string().repeat(12_345).as_bytes());
    }
    let edited = edits.finish();
    assert!(edited.rows_end > 60_000, "the head is full");
    assert_eq!((edited.body().len(), edited.body()[0]), (12_345, b'h'));
    assert_eq!(Message::parse(edited.bytes().clone(), &Limits::NONE), Ok(edited));
}

#[test]
fn a_comma_that_separates_nothing_is_no_end_of_a_value() {
    let text = "MESSAGE sip:a SIP/2.0\r\nSubject: one, two\r\ns: three\r\n\r\n";
    let message = Message::parse(text.into(), &Limits::default()).unwrap();
    let popped = Edits::new(&message).pop_value(HeaderId::Subject).finish();
    assert_eq!(popped.bytes(), text.replace("Subject: one, two\r\n", "").as_bytes());
}

#[test]
fn nothing_breaks_out_of_its_place() {
    let text = edited(|edits| {
        edits.uri("sip:a b\r\nX: y").append(HeaderId::Subject, "s\r\nX: y").append_named("A:\r\nB", "\n\n");
        edits.insert_param(MESSAGE.find(" ,").unwrap(), ";p=\r\nX: y").insert_param(usize::MAX, "no");
    });
    assert!(
        !text.contains("\nX:")
            && text.contains("sip:a%20b%0D%0AX:%20y SIP")
            && text.contains("\r\nA---B:   \r\n")
    );
    assert!(text.contains("z9hG4bK1;p=  X: y ,"));
}

#[test]
fn a_head_never_outgrows_its_index() {
    let long = "x".repeat(40_000);
    let message = Message::parse(MESSAGE.into(), &Limits::default()).unwrap();
    let mut edits = Edits::new(&message);
    edits.append_named("X-1", &long).append_named("X-2", &long).append_named("X-3", "c");
    let edited = edits.finish();
    assert_eq!(["X-1", "X-2", "X-3"].map(|name| edited.named(name).count()), [1, 0, 1]);
    assert_eq!(Message::parse(edited.bytes().clone(), &Limits::NONE), Ok(edited));
}
