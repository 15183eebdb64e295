use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn message(rows: &str) -> Message {
    parse(&format!("OPTIONS sip:bob@example.com SIP/2.0\r\n{rows}\r\n")).unwrap()
}

fn refusal(text: &str) -> (ParseErrorKind, Option<u16>) {
    let error = parse(text).unwrap_err();
    (error.kind, error.status())
}

#[test]
fn the_frame_of_a_request_and_what_is_around_it() {
    let text = "\r\n\r\nBYE sip:a@b SIP/2.0\r\nl: 2\r\n\r\nhithis goes";
    let message = parse(text).unwrap();
    assert_eq!(&message.bytes()[..], &text.as_bytes()[4..text.len() - 9]);
    assert_eq!(message.body(), b"hi");
    let request = message.into_request().unwrap();
    assert_eq!((request.method(), request.raw_uri()), (Method::Bye, "sip:a@b"));
    assert!(request.clone().into_message().into_response().is_err());
    assert_eq!(parse("BYE sip:a@b SIP/2.0\r\n\r\nto the end").unwrap().body(), b"to the end");
}

#[test]
fn the_frame_of_a_response() {
    let status = |text: &str| {
        parse(text).map(|message| {
            let response = message.into_response().unwrap();
            (response.status(), response.reason().to_owned())
        })
    };
    assert_eq!(status("SIP/2.0 200 OK\r\n\r\n"), Ok((200, "OK".into())));
    assert_eq!(status("sip/2.0 100 \r\n\r\n"), Ok((100, "".into())));
    assert_eq!(status("SIP/2.0 699\r\n\r\n"), Ok((699, "".into())));
    assert_eq!(status("SIP/2.0 486 Где же  ты\r\n\r\n"), Ok((486, "Где же  ты".into())));
    for text in ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 4294967496 x", "SIP/2.0 2x0 x", "SIP/2.0 0200 x"] {
        assert_eq!(refusal(&format!("{text}\r\n\r\n")), (ParseErrorKind::StatusCode, None), "{text}");
    }
    assert_eq!(refusal("SIP/3.0 200 OK\r\n\r\n"), (ParseErrorKind::Version, None));
    assert_eq!(refusal("SIP/2.0 200 OK\r\nl: 5\r\n\r\n"), (ParseErrorKind::BodyTooShort, None));
}

#[test]
fn broken_frames_have_their_status() {
    use ParseErrorKind as K;
    let cases: [(&str, K, u16); 21] = [
        ("INVITE sip:a\r\n\r\n", K::StartLine, 400),
        ("INVITE  sip:a SIP/2.0\r\n\r\n", K::StartLine, 400),
        ("INVITE sip:a  SIP/2.0\r\n\r\n", K::StartLine, 400),
        ("INVITE sip:a SIP/2.0 \r\n\r\n", K::StartLine, 400),
        ("INVITE sip:a; lr SIP/2.0\r\n\r\n", K::StartLine, 400),
        ("INVITE\tsip:a\tSIP/2.0\r\n\r\n", K::StartLine, 400),
        ("INVITE sip:a HTTP/1.1\r\n\r\n", K::StartLine, 400),
        ("IN<VITE sip:a SIP/2.0\r\n\r\n", K::StartLine, 400),
        ("INVITE sip:a SIP/7.0\r\n\r\n", K::Version, 505),
        ("INVITE sip:a SIP/2.0\r\nno colon\r\n\r\n", K::HeaderLine, 400),
        ("INVITE sip:a SIP/2.0\r\n: no name\r\n\r\n", K::HeaderLine, 400),
        ("INVITE sip:a SIP/2.0\r\nTo\r\n : x\r\n\r\n", K::HeaderLine, 400),
        ("INVITE sip:a SIP/2.0\r\n folded: x\r\n\r\n", K::HeaderLine, 400),
        ("INVITE sip:a SIP/2.0\r\nTo: x\n\r\n", K::LineEnd, 400),
        ("INVITE sip:a SIP/2.0\nTo: x\n\n", K::LineEnd, 400),
        ("INVITE sip:a SIP/2.0\r\nTo: x\ry\r\n\r\n", K::LineEnd, 400),
        ("INVITE sip:a SIP/2.0\r\nTo: x\r\n", K::Unterminated, 400),
        ("INVITE sip:a SIP/2.0\r\nl: -1\r\n\r\n", K::ContentLength, 400),
        ("INVITE sip:a SIP/2.0\r\nl:\r\n\r\n", K::ContentLength, 400),
        ("INVITE sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 0\r\n\r\nx", K::ContentLengthConflict, 400),
        ("INVITE sip:a SIP/2.0\r\nl: 99999999999999999999999\r\n\r\nx", K::BodyTooShort, 400),
    ];
    for (text, kind, status) in cases {
        assert_eq!(refusal(text), (kind, Some(status)), "{text:?}");
    }
    assert_eq!(refusal(""), (K::Empty, None));
    assert_eq!(refusal("\r\n\r\n"), (K::Empty, None));
    assert!(parse("BYE sip:a SIP/2.0\r\nl: 1\r\nl: 01\r\n\r\nx").is_ok(), "two that agree");
    assert_eq!(parse("\r\nBYE sip:a SIP/2.0\r\nx\r\n\r\n").unwrap_err().at, 21);
}

#[test]
fn limits_have_their_status() {
    let limits = Limits { head: 100, rows: 3, uri: 20, body: 10, ..Limits::default() };
    let parse =
        |text: String| Message::parse(text.into(), &limits).map_err(|error| (error.kind, error.status()));
    let long = "a".repeat(200);
    let cases = [
        (format!("BYE sip:{}@b SIP/2.0\r\n\r\n", &long[..30]), ParseErrorKind::UriTooLong, 414),
        (format!("BYE sip:{long}@b SIP/2.0\r\n\r\n"), ParseErrorKind::UriTooLong, 414),
        (format!("BYE sip:a@b SIP/2.0\r\nX: {long}\r\n\r\n"), ParseErrorKind::HeadTooLarge, 513),
        ("BYE sip:a@b SIP/2.0\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n".into(), ParseErrorKind::TooManyRows, 513),
        ("BYE sip:a@b SIP/2.0\r\nl:11\r\n\r\n12345678901".into(), ParseErrorKind::BodyTooLarge, 413),
        (long.clone(), ParseErrorKind::StartLine, 400),
    ];
    for (text, kind, status) in cases {
        assert_eq!(parse(text.clone()).unwrap_err(), (kind, Some(status)), "{text}");
        if kind != ParseErrorKind::StartLine {
            assert!(Message::salvage(text.into(), &limits).is_some(), "the refusal can be answered");
        }
    }
    let most = format!("BYE sip:a@b SIP/2.0\r\nX: {}\r\n\r\n", &long[..72]);
    assert_eq!(most.len(), 100);
    assert!(parse(most).is_ok(), "a limit itself is allowed");
}

#[test]
fn a_head_as_large_as_an_index_can_hold() {
    let limits = Limits { head: usize::MAX, ..Limits::default() };
    let text = format!("BYE sip:a@b SIP/2.0\r\nX: {}\r\nl: 2\r\n\r\nhi", "a".repeat(65_535 - 34));
    let message = Message::parse(text.clone().into(), &limits).unwrap();
    assert_eq!(message.headers().map(|row| row.line.end).last(), Some(65_533));
    assert_eq!(message.body(), b"hi");
    let error = Message::parse(text.replace("X: ", "X: a").into(), &limits).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::HeadTooLarge);
}

#[test]
fn salvage_gives_what_an_answer_needs() {
    let rows = "Via: SIP/2.0/UDP c;branch=z9hG4bK1\r\nno colon\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n\
                Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 999\r\n\r\nshort";
    let broken = Message::salvage(format!("INVITE  sip:b; x  SIP/2.0 \r\n{rows}").into(), &Limits::default());
    let request = broken.unwrap().into_request().unwrap();
    assert_eq!((request.method(), request.raw_uri()), (Method::Invite, "sip:b; x"));
    let answer = Builder::response(&request, 400, None).to_tag("t").finish();
    assert_eq!(
        &answer.bytes()[..],
        b"SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\n\
          To: <sip:b>;tag=t\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
    for garbage in ["", "\r\n", "\0\x01\x02", "SIP/2.0 999 x\r\n\r\n", "SIP/2.0 200 OK\r\nl: 9\r\n\r\n"] {
        assert!(Message::salvage(garbage.into(), &Limits::default()).is_none(), "{garbage:?}");
    }
}

#[test]
fn rows_by_id_by_name_and_in_order() {
    let message = message(
        "v: SIP/2.0/UDP a\r\nX-a: 1\r\nVIA : SIP/2.0/UDP b,\r\n SIP/2.0/TCP c\r\nx-A:2\r\nRoute:\r\n <sip:r>\r\n",
    );
    assert_eq!(message.raw(HeaderId::Via).map(|row| row.name()).collect::<Vec<_>>(), ["v", "VIA"]);
    assert_eq!(message.named("via").count(), 2);
    assert_eq!(message.named("x-a").map(|row| row.value).collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(message.count(HeaderId::Via), 2);
    assert!(message.has(HeaderId::Route) && !message.has(HeaderId::Contact));
    let transports: Vec<_> = message.each::<header::Via>().map(|via| via.unwrap().transport).collect();
    assert_eq!(transports, ["UDP", "UDP", "TCP"]);
    for row in message.headers() {
        assert_eq!(&message.bytes()[row.span.start..row.span.end], row.value);
        assert!(message.bytes()[row.line.start..row.line.end].ends_with(b"\r\n"));
    }
    assert_eq!(
        message.headers().map(|row| row.line.end - row.line.start).sum::<usize>(),
        message.rows_end - 37
    );
    assert_eq!(message.raw(HeaderId::Route).next().unwrap().value, b"<sip:r>");
    assert!(message.raw(HeaderId::Via).nth(1).unwrap().is_folded());
}

#[test]
fn errors_name_field_and_place() {
    let message = message("From: <sip:a>;;\r\nRequire: a, ,b\r\nSupported:\r\nRequire:\r\nCSeq: 1 A B\r\n");
    let at = |text: &str| memchr::memmem::find(message.bytes(), text.as_bytes()).unwrap();
    let malformed = |id, at, why| HeaderError::Malformed { id, at, why };
    assert_eq!(message.to().unwrap_err(), HeaderError::Missing(HeaderId::To));
    assert!(message.find::<header::To>().unwrap().is_none());
    assert_eq!(message.from().unwrap_err(), malformed(HeaderId::From, at(";;") + 1, Malformed::Parameter));
    assert_eq!(message.cseq().unwrap_err(), malformed(HeaderId::CSeq, at(" B") + 1, Malformed::Trailing));
    let tags: Vec<_> = message.each::<header::Require>().collect();
    assert_eq!(tags[0], Ok("a"));
    assert_eq!(tags[1], Err(malformed(HeaderId::Require, at(",b"), Malformed::Empty)));
    assert_eq!(tags[2], Ok("b"));
    assert!(tags[3].is_err());
    assert_eq!(message.each::<header::Supported>().count(), 0);
}

/// Pieces that matter to the syntax, so that random messages are nearly right.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        prop::sample::select(vec![
            "\r\n",
            "\r\n ",
            "\n",
            "\r",
            ":",
            ",",
            ";",
            "=",
            "\"",
            "\\",
            "<",
            ">",
            "@",
            "%",
            "[",
            "]",
            "\t",
            "\0",
            "é",
            "Via: ",
            "v:",
            "SIP/2.0/UDP ",
            "From: ",
            "To:",
            "Contact: ",
            "*",
            "l: 3\r\n",
            "sip:a@b",
            ";tag=1",
            ";lr",
            "CSeq: 1 INVITE",
            "Route: <sip:r;lr>, <sip:s>",
            "Date: ",
            "Authorization: Digest a=\"b\", c=d",
            "INVITE sip:a SIP/2.0\r\n",
            "\r\n\r\n",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_parse(&bytes);
    }

    #[test]
    fn nearly_right_messages_are_survived(pieces in prop::collection::vec(piece(), 0..24)) {
        fuzz_parse(pieces.concat().as_bytes());
        fuzz_parse(format!("INVITE sip:b SIP/2.0\r\n{}\r\n\r\n", pieces.concat()).as_bytes());
    }

    /// Every row that goes in comes out as it was, in its order, and the bytes are the same.
    #[test]
    fn writing_then_reading_is_identity(
        rows in prop::collection::vec(("X-[a-z]{1,8}", "[!-~]([ -~]{0,40}[!-~])?"), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut builder = Builder::request(Method::Other("X-METHOD"), "sip:a@b");
        for (name, value) in &rows {
            builder = builder.named(name, value);
        }
        let message = builder.body("", &body).finish();
        let again = Message::parse(message.bytes().clone(), &Limits::default()).unwrap();
        prop_assert_eq!(again.bytes(), message.bytes());
        prop_assert_eq!(again.body(), &body[..]);
        let read: Vec<_> = again
            .headers()
            .filter(|row| row.id == HeaderId::Unknown)
            .map(|row| (row.name().to_owned(), row.text().to_string()))
            .collect();
        prop_assert_eq!(read, rows);
        prop_assert_eq!(Edits::new(&again).finish(), again);
    }
}
