use super::*;
use crate::auth::Login;

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}

fn response(code: u16, fields: &[(&str, &str)], body: &str) -> Response {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Response { code, reason: String::new(), fields, body: body.into() }
}

fn client() -> auth::Client {
    auth::Client::new(vec![Login::new("alice", "secret")])
}

fn sent(step: Step) -> Request {
    match step {
        Step::Send(request) => request,
        Step::Done(done) => panic!("nothing is sent: {done:?}"),
    }
}

fn refused(step: Step) -> Refusal {
    match step {
        Step::Done(Err(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

const CHALLENGE: &str = "Digest realm=\"x\", nonce=\"abc\", qop=\"auth\", algorithm=SHA-256";

#[test]
fn an_answer_has_its_tag_and_type() {
    let mut auth = client();
    let (mut exchange, first) = Exchange::start(&mut auth, Request::get(url("http://a/b?c")));
    assert_eq!((first.method, first.url.target(), first.fields.len()), (Method::Get, "/b?c", 0));
    let fields = [("etag", "\"7\""), ("Content-type", "Application/Pidf+XML; charset=utf-8")];
    let Step::Done(Ok(answer)) = exchange.answered(response(200, &fields, "<a/>"), &mut || 1) else {
        panic!("an answer");
    };
    assert_eq!(answer.etag.as_deref(), Some("\"7\""));
    assert_eq!(answer.media_type.as_deref(), Some("application/pidf+xml"));
    assert_eq!((answer.reason.as_str(), answer.body.as_slice()), ("OK", &b"<a/>"[..]));
}

#[test]
fn a_challenge_is_answered_once_and_the_nonce_serves_again() {
    let mut auth = client();
    let request = Request::put(url("http://a/b%5B"), "text/xml", b"x".to_vec())
        .only_if(Some(&Precondition::Match("\"1\"".into())));
    let (mut exchange, first) = Exchange::start(&mut auth, request);
    assert_eq!(first.fields, [("Content-Type", "text/xml".into()), ("If-Match", "\"1\"".to_owned())]);
    // Several challenges in one field, as HTTP allows.
    let both = format!("Basic realm=\"x, y\", {CHALLENGE}, Negotiate");
    let again = sent(exchange.answered(response(401, &[("WWW-Authenticate", &both)], ""), &mut || 1));
    let credentials = &again.fields.last().expect("credentials").1;
    assert!(credentials.contains("uri=\"/b%5B\"") && credentials.contains("nonce=\"abc\""), "{credentials}");
    let refusal =
        refused(exchange.answered(response(401, &[("WWW-Authenticate", CHALLENGE)], ""), &mut || 1));
    assert!(matches!(refusal.why, Some(Why::Challenge(GiveUp::Rejected(_)))), "{refusal}");

    let (mut exchange, _) = Exchange::start(&mut auth, Request::get(url("http://a/b")));
    let fields = [("WWW-Authenticate", CHALLENGE)];
    let _ = exchange.answered(response(401, &fields, ""), &mut || 1);
    let _ = exchange.answered(response(200, &[("Authentication-Info", "nextnonce=\"def\"")], ""), &mut || 1);
    let (_, next) = Exchange::start(&mut auth, Request::get(url("http://a/c")));
    assert!(next.fields.iter().any(|(_, value)| value.contains("nonce=\"def\"")), "{next:?}");
}

#[test]
fn without_credentials_or_digest_it_is_said() {
    for (challenge, why) in [
        (CHALLENGE, GiveUp::NoCredentials("x".into())),
        ("Basic realm=\"x\"", GiveUp::UnsupportedScheme("Basic".into())),
        ("", GiveUp::NoChallenge),
        ("Digest realm=\"x\0\", nonce=\"n\"", GiveUp::NoChallenge),
    ] {
        let mut auth = auth::Client::default();
        let (mut exchange, _) = Exchange::start(&mut auth, Request::get(url("http://a/b")));
        let refusal =
            refused(exchange.answered(response(401, &[("WWW-Authenticate", challenge)], ""), &mut || 1));
        assert_eq!(refusal.why, Some(Why::Challenge(why)));
    }
}

#[test]
fn challenges_without_end_end() {
    let mut auth = client();
    let (mut exchange, _) = Exchange::start(&mut auth, Request::get(url("http://a/b")));
    for round in 0..100 {
        let challenge = format!("Digest realm=\"{round}\", nonce=\"n\", stale=true");
        match exchange.answered(response(401, &[("WWW-Authenticate", &challenge)], ""), &mut || 1) {
            Step::Send(_) => assert!(round < 10),
            Step::Done(_) => return,
        }
    }
    panic!("it never ends");
}

#[test]
fn redirections_stay_at_home() {
    let follow = |from: &str, request: fn(Url) -> Request, code: u16, location: &str| {
        let mut auth = client();
        let (mut exchange, _) = Exchange::start(&mut auth, request(url(from)));
        exchange.answered(response(code, &[("Location", location)], ""), &mut || 1)
    };
    let put = |url| Request::put(url, "a/b", Vec::new());
    assert_eq!(sent(follow("http://a/b", Request::get, 302, "/c")).url, url("http://a/c"));
    assert_eq!(sent(follow("http://a/b", put, 307, "https://a/c")).url, url("https://a/c"));
    for (from, request, code, location) in [
        ("http://a/b", Request::get as fn(Url) -> Request, 302, "http://b/c"),
        ("https://a/b", Request::get, 308, "http://a/b"),
        ("http://a/b", put, 302, "http://a/c"),
    ] {
        let refusal = refused(follow(from, request, code, location));
        assert_eq!(refusal.why, Some(Why::Elsewhere(location.into())), "{from} {code}");
    }
    assert!(matches!(refused(follow("http://a/b", put, 307, "c")).why, Some(Why::Nowhere(_))));

    let mut auth = client();
    let (mut exchange, _) = Exchange::start(&mut auth, Request::get(url("http://a/b")));
    for _ in 0..MAX_REDIRECTIONS {
        sent(exchange.answered(response(302, &[("Location", "/b")], ""), &mut || 1));
    }
    let refusal = refused(exchange.answered(response(302, &[("Location", "/b")], ""), &mut || 1));
    assert_eq!(refusal.why, Some(Why::TooManyRedirections));
}

#[test]
fn a_conflict_is_told_in_words() {
    let mut auth = client();
    let (mut exchange, _) = Exchange::start(&mut auth, Request::delete(url("http://a/b")));
    let body = "<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><cannot-delete/></xcap-error>";
    let refusal = refused(exchange.answered(response(409, &[], body), &mut || 1));
    let told = "409 Conflict: after the deletion the selector would lead to another node";
    assert_eq!(refusal.to_string(), told);
    assert_eq!(
        refused(exchange.answered(response(409, &[], "<html/>"), &mut || 1)).to_string(),
        "409 Conflict"
    );
}
