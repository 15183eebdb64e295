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
