//! Challenges by the corpus, and client and server against each other.

use bytes::Bytes;

use super::*;
use crate::{
    message::{HeaderId, Limits, Message, Request, Response, header},
    time::{Duration, Instant},
};

// ---- the client

/// tests/data/digest/challenges.json: what is understood and chosen.
#[test]
fn challenges_of_the_corpus() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/digest/challenges.json");
    let sets: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for set in sets.as_array().unwrap() {
        let id = set["id"].as_str().unwrap();
        let headers: Vec<&str> =
            set["headers"].as_array().unwrap().iter().map(|h| h.as_str().unwrap()).collect();
        let sent = request("REGISTER", &[], b"");
        let response = response(401, &headers);
        let mut client = Client::new(vec![Login::new("alice", "s3cr3t")]);
        let answer = client.challenged(&response, &sent, &mut random());
        assert_eq!(answer.offered.len(), set["count"].as_u64().unwrap() as usize, "{id}");
        let expected = &set["use"];
        let rows = match &answer.outcome {
            Outcome::Retry(rows) => rows,
            Outcome::GiveUp(why) => {
                let liberal = expected["liberal"].as_bool() == Some(true);
                let none = expected.is_null() && set["use_all_realms"].is_null();
                assert!(none || liberal, "{id}: {why}");
                continue;
            }
        };
        assert!(!expected.is_null() || !set["use_all_realms"].is_null(), "{id} is answered");
        let retry = retry("REGISTER", rows, b"");
        let mut realms = Vec::new();
        for side in [Side::Server, Side::Proxy] {
            for credentials in side.credentials_in(&retry) {
                let text = |name: &str| credentials.params.text(name).map(|text| text.into_owned());
                let want = |name: &str| expected[name].as_str().map(str::to_owned);
                realms.push(text("realm").unwrap());
                for name in ["realm", "nonce", "opaque"] {
                    assert!(want(name).is_none() || text(name) == want(name), "{id} {name}");
                }
                if let Some(name) = want("algorithm") {
                    let used = text("algorithm").unwrap_or("MD5".into());
                    assert!(used.eq_ignore_ascii_case(&name), "{id} {used}");
                }
                match &expected["qop"] {
                    serde_json::Value::Null => {}
                    qop => assert_eq!(text("qop").as_deref(), qop.as_str(), "{id}"),
                }
                if expected.get("qop").is_some_and(serde_json::Value::is_null) {
                    assert_eq!((text("qop"), text("nc"), text("cnonce")), (None, None, None), "{id}");
                }
                if expected["userhash"].as_bool() == Some(true) {
                    let hash = digest::userhash(Algorithm::Sha256, "alice", "r");
                    assert_eq!(text("username").as_deref(), Some(hash.as_str()));
                    assert_eq!(text("userhash").as_deref(), Some("true"));
                }
            }
        }
        if let Some(all) = set["use_all_realms"].as_array() {
            assert_eq!(realms, all.iter().map(|realm| realm.as_str().unwrap()).collect::<Vec<_>>(), "{id}");
        }
    }
}

#[test]
fn credentials_as_written() {
    let mut client = Client::new(vec![Login::new("al\"ice", "s3cr3t")]);
    let challenge =
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", opaque=\"o\\\\p\", algorithm=md5, qop=auth";
    let answer =
        client.challenged(&response(401, &[challenge]), &request("REGISTER", &[], b""), &mut random());
    let Outcome::Retry(rows) = answer.outcome else { panic!() };
    let login = Login::new("al\"ice", "s3cr3t");
    let cnonce = "00000000000000010000000000000002";
    let proof = digest::Proof {
        algorithm: Algorithm::Md5,
        method: "REGISTER",
        uri: "sip:example.com",
        body: b"",
        nonce: "n",
        qop: Some(Qop::Auth),
        nc: "00000001",
        cnonce,
    };
    let ha1 = digest::ha1(Algorithm::Md5, "al\"ice", "r", &login.secret, "n", cnonce);
    let response = proof.response(&ha1);
    let expected = format!(
        "Digest username=\"al\\\"ice\", realm=\"r\", nonce=\"n\", uri=\"sip:example.com\", response=\"{}\", \
         algorithm=md5, cnonce=\"{cnonce}\", opaque=\"o\\\\p\", qop=auth, nc=00000001",
        response.as_str()
    );
    assert_eq!(rows, [(HeaderId::Authorization, expected)]);
}

#[test]
fn strongest_is_chosen_and_the_rest_explained() {
    let headers = [
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\", algorithm=MD5, qop=\"auth\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"2\", algorithm=SHA-256, qop=\"auth\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"3\", algorithm=SHA-512-256, qop=\"auth\"",
        "WWW-Authenticate: Bearer x",
    ];
    let sent = request("INVITE", &[], b"");
    let mut client = Client::new(vec![Login::new("alice", "s3cr3t")]);
    let answer = client.challenged(&response(401, &headers), &sent, &mut random());
    let verdicts: Vec<_> = answer.offered.iter().map(|row| row.verdict).collect();
    use Verdict::{Chosen, Excluded, UnknownScheme, Weaker};
    assert_eq!(verdicts, [Weaker, Chosen, Weaker, UnknownScheme]);
    assert_eq!(answer.offered[1].to_string(), "Digest SHA-256 for \"r\": chosen");
    assert_eq!(answer.downgrade, None);

    // Someone leaves only the weak one: it is answered, and said.
    let Outcome::Retry(rows) = answer.outcome else { panic!() };
    client.authorize("BYE", "sip:example.com", b"");
    let answer =
        client.challenged(&response(401, &headers[..1]), &retry("INVITE", &rows, b""), &mut random());
    let expected = Downgrade { realm: "r".into(), from: Algorithm::Sha256, to: Algorithm::Md5 };
    assert_eq!(answer.downgrade, Some(expected));

    let mut client = Client::new(vec![Login::new("alice", "s3cr3t")]).only(Some(Algorithm::Sha512_256));
    let answer = client.challenged(&response(401, &headers), &sent, &mut random());
    let verdicts: Vec<_> = answer.offered.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Excluded, Excluded, Chosen, UnknownScheme]);
}

#[test]
fn when_it_gives_up() {
    let digest = |extra: &str| format!("Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"{extra}");
    let other = Login { realm: Some("elsewhere".into()), ..Login::new("alice", "x") };
    let table: [(Vec<Login>, Vec<String>, GiveUp); 7] = [
        (vec![], vec![digest("")], GiveUp::NoCredentials("r".into())),
        (vec![other], vec![digest("")], GiveUp::NoCredentials("r".into())),
        (
            login(),
            vec![digest(", algorithm=FOO"), digest(", algorithm=AKAv1-MD5")],
            GiveUp::UnsupportedAlgorithm("FOO, AKAv1-MD5".into()),
        ),
        (login(), vec![digest(", qop=\"token\"")], GiveUp::UnsupportedQop("r".into())),
        (
            login(),
            vec!["Proxy-Authenticate: Basic realm=\"r\"".into()],
            GiveUp::UnsupportedScheme("Basic".into()),
        ),
        (login(), vec!["Proxy-Authenticate: Digest realm=\"r\"".into()], GiveUp::Malformed),
        (login(), vec![], GiveUp::NoChallenge),
    ];
    for (logins, headers, expected) in table {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = Client::new(logins).challenged(
            &response(407, &headers),
            &request("INVITE", &[], b""),
            &mut random(),
        );
        assert_eq!(answer.outcome, Outcome::GiveUp(expected));
    }
}

#[test]
fn refused_credentials_are_not_sent_again() {
    let mut client = Client::new(login());
    let mut random = random();
    let ask = |nonce: &str, more: &str| {
        response(
            401,
            &[&format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"{more}")],
        )
    };
    let mut next = |client: &mut Client, response: &Response, sent: &Request| match client
        .challenged(response, sent, &mut random)
        .outcome
    {
        Outcome::Retry(rows) => Ok(retry("INVITE", &rows, b"")),
        Outcome::GiveUp(why) => Err(why),
    };
    let rejected = Err(GiveUp::Rejected("r".into()));
    let count = |request: &Request| {
        let credentials = request.header::<header::Authorization>().unwrap();
        (
            credentials.params.get("nonce").unwrap().to_owned(),
            credentials.params.get("nc").unwrap().to_owned(),
        )
    };

    let first = request("INVITE", &[], b"");
    let second = next(&mut client, &ask("a", ""), &first).unwrap();
    assert_eq!(count(&second), ("a".into(), "00000001".into()));
    // The same nonce or another one: the password is wrong.
    assert_eq!(next(&mut client.clone(), &ask("a", ""), &second).map(drop), rejected);
    assert_eq!(next(&mut client.clone(), &ask("b", ""), &second).map(drop), rejected);
    // Stale is no refusal, but not without end.
    let mut sent = second.clone();
    for round in 0..3 {
        sent = next(&mut client, &ask(&format!("s{round}"), ", stale=TRUE"), &sent).unwrap();
    }
    assert_eq!(next(&mut client, &ask("t", ", stale=true"), &sent).map(drop), rejected);

    // A nonce that served before may have run out without anybody saying so; once.
    let mut client = Client::new(login());
    next(&mut client, &ask("a", ""), &first).unwrap();
    let later = retry("INVITE", &client.authorize("INVITE", "sip:example.com", b""), b"");
    assert_eq!(count(&later), ("a".into(), "00000002".into()));
    assert_eq!(next(&mut client.clone(), &ask("a", ""), &later).map(drop), rejected);
    let again = next(&mut client, &ask("b", ""), &later).unwrap();
    assert_eq!(count(&again), ("b".into(), "00000001".into()));
    assert_eq!(next(&mut client, &ask("c", ""), &again).map(drop), rejected);
    assert!(client.authorize("BYE", "sip:example.com", b"").is_empty());
}

#[test]
fn proxy_first_then_server() {
    let mut client = Client::new(login());
    let mut random = random();
    let proxy = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\", qop=\"auth\"";
    let server = "WWW-Authenticate: Digest realm=\"s\", nonce=\"2\", qop=\"auth\"";
    let first = request("INVITE", &[], b"");
    let Outcome::Retry(rows) = client.challenged(&response(407, &[proxy]), &first, &mut random).outcome
    else {
        panic!()
    };
    let second = retry("INVITE", &rows, b"");
    let Outcome::Retry(rows) = client.challenged(&response(401, &[server]), &second, &mut random).outcome
    else {
        panic!()
    };
    let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [HeaderId::ProxyAuthorization, HeaderId::Authorization]);
    assert!(rows[0].1.contains("nc=00000002") && rows[1].1.contains("nc=00000001"));

    // A realm without login does not keep the other from being answered.
    let only = Login { realm: Some("s".into()), ..Login::new("alice", "s3cr3t") };
    let answer = Client::new(vec![only]).challenged(&response(401, &[server, proxy]), &first, &mut random);
    assert!(matches!(answer.outcome, Outcome::Retry(rows) if rows.len() == 1));
    assert_eq!(answer.offered[1].verdict, Verdict::NoCredentials);
}

#[test]
fn next_nonce() {
    let mut client = Client::new(login());
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\", qop=\"auth\"";
    client.challenged(&response(401, &[challenge]), &request("REGISTER", &[], b""), &mut random());
    client.accepted(&response(200, &["Authentication-Info: nextnonce=\"2\", qop=auth"]));
    let rows = client.authorize("REGISTER", "sip:example.com", b"");
    assert!(rows[0].1.contains("nonce=\"2\"") && rows[0].1.contains("nc=00000001"));
}

#[test]
fn next_nonce_of_a_proxy_and_the_same_again() {
    let mut client = Client::new(login());
    let challenges = [
        "Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\", qop=\"auth\"",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"2\", qop=\"auth\"",
    ];
    client.challenged(&response(401, &challenges), &request("REGISTER", &[], b""), &mut random());
    // The nonce in use is no next one: its count goes on.
    client.accepted(&response(
        200,
        &["Proxy-Authentication-Info: nextnonce=\"3\"", "Authentication-Info: nextnonce=\"2\", nc=00000001"],
    ));
    let rows = client.authorize("REGISTER", "sip:example.com", b"");
    let of = |id: HeaderId| rows.iter().find(|row| row.0 == id).unwrap().1.clone();
    let (proxy, server) = (of(HeaderId::ProxyAuthorization), of(HeaderId::Authorization));
    assert!(proxy.contains("nonce=\"3\"") && proxy.contains("nc=00000001"), "{proxy}");
    assert!(server.contains("nonce=\"2\"") && server.contains("nc=00000002"), "{server}");
}

/// The strongest challenge a hash can answer is taken; one it cannot answer is said.
#[test]
fn a_hash_in_place_of_the_password() {
    let hex = digest::ha1(Algorithm::Md5, "alice", "r", &Secret::new("s3cr3t"), "", "");
    let secret = Secret::ha1(Algorithm::Md5, hex.as_str()).unwrap();
    let hashed = Login { secret, realm: Some("r".into()), ..Login::new("alice", "") };
    let ask = |algorithm| {
        format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm={algorithm}")
    };
    let both = [ask("SHA-256"), ask("MD5")];
    let both: Vec<_> = both.iter().map(String::as_str).collect();
    let sent = request("REGISTER", &[], b"");
    let answer = |login: Login, rows: &[&str]| {
        Client::new(vec![login]).challenged(&response(401, rows), &sent, &mut random())
    };
    let got = answer(hashed.clone(), &both);
    assert_eq!(
        got.offered.iter().map(|row| row.verdict).collect::<Vec<_>>(),
        [Verdict::OtherHash, Verdict::Chosen]
    );
    let Outcome::Retry(rows) = got.outcome else { panic!() };
    let Outcome::Retry(plain) = answer(Login::new("alice", "s3cr3t"), &both[1..]).outcome else { panic!() };
    assert_eq!(rows, plain);
    let gave_up = answer(hashed.clone(), &both[..1]).outcome;
    assert_eq!(gave_up, Outcome::GiveUp(GiveUp::UnsupportedAlgorithm("SHA-256".into())));

    // A server that has only the hash checks by it.
    let policy = Policy { algorithms: vec![Algorithm::Md5], ..Policy::new(Side::Server, "r") };
    let mut random = random();
    let mut server = Server::new(policy, &mut random);
    let sent = answered(&mut Client::new(login()), &server, Instant::ZERO, false, &sent, &mut random);
    assert!(matches!(server.check(Instant::ZERO, &sent, &[hashed]), Check::Accepted { .. }));
}

/// However often and under however many names a server asks: there is an end.
#[test]
fn no_server_keeps_us_busy_for_ever() {
    let mut random = random();
    // The last has a line end that is escaped, which nobody can write.
    for (realm, stale) in [(None, ""), (Some("r"), ", stale=true"), (Some("r\\\r\n s"), "")] {
        let mut client = Client::new(login());
        let mut sent = request("REGISTER", &[], b"");
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100);
            let realm = realm.map_or_else(|| rounds.to_string(), str::to_owned);
            let ask = format!(
                "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"{rounds}\", qop=\"auth\"{stale}"
            );
            match client.challenged(&response(401, &[&ask]), &sent, &mut random).outcome {
                Outcome::Retry(rows) => sent = retry("REGISTER", &rows, b""),
                Outcome::GiveUp(_) => break,
            }
        }
    }
}

// ---- client and server

#[test]
fn server_takes_what_the_client_sends() {
    for algorithm in Algorithm::ALL {
        for qop in [Qop::Auth, Qop::AuthInt] {
            for (side, userhash) in [(Side::Server, false), (Side::Proxy, true)] {
                let policy = Policy { algorithms: vec![algorithm], qop: vec![qop], userhash, ..policy(side) };
                let mut random = random();
                let mut server = Server::new(policy, &mut random);
                let users = [Login::new("bob", "1"), Login::new("alice", "s3cr3t")];
                let mut client = Client::new(login());
                let now = Instant::from_millis(1_000);
                let first = request("INVITE", &[], b"body");
                assert_eq!(server.check(now, &first, &users), Check::Challenge { stale: false });
                let sent = answered(&mut client, &server, now, false, &first, &mut random);
                let accepted = Check::Accepted { username: "alice".into() };
                assert_eq!(server.check(now, &sent, &users), accepted, "{algorithm} {qop:?} {side:?}");
                // The same again is a replay; the next count is not.
                assert_eq!(server.check(now, &sent, &users), Check::Challenge { stale: true });
                let next = retry("INVITE", &client.authorize("INVITE", "sip:example.com", b"body"), b"body");
                assert_eq!(server.check(now, &next, &users), accepted);
                // Another body is noticed with auth-int only.
                let rows = client.authorize("INVITE", "sip:example.com", b"body");
                let forged = retry("INVITE", &rows, b"BODY");
                let expected = match qop {
                    Qop::Auth => accepted.clone(),
                    Qop::AuthInt => Check::Forbidden { username: name_in(&forged, side) },
                };
                assert_eq!(server.check(now, &forged, &users), expected);
                // Another method always.
                let rows = client.authorize("INVITE", "sip:example.com", b"");
                let forged = retry("BYE", &rows, b"");
                assert!(matches!(server.check(now, &forged, &users), Check::Forbidden { .. }));
            }
        }
    }
}

#[test]
fn wrong_password_unknown_user_foreign_nonce() {
    let mut random = random();
    let mut server = Server::new(policy(Side::Server), &mut random);
    let users = [Login::new("alice", "right")];
    let now = Instant::ZERO;
    let first = request("INVITE", &[], b"");
    for (name, password) in [("alice", "wrong"), ("mallory", "right"), ("mallory", "")] {
        let mut client = Client::new(vec![Login::new(name, password)]);
        let sent = answered(&mut client, &server, now, false, &first, &mut random);
        assert_eq!(server.check(now, &sent, &users), Check::Forbidden { username: name.into() });
    }
    // A nonce of another server proves nothing; with the right password it is stale.
    let other = Server::new(policy(Side::Server), &mut random);
    for (password, stale) in [("wrong", false), ("right", true)] {
        let mut client = Client::new(vec![Login::new("alice", password)]);
        let sent = answered(&mut client, &other, now, false, &first, &mut random);
        assert_eq!(server.check(now, &sent, &users), Check::Challenge { stale });
    }
    // Another realm's credentials are none.
    let foreign =
        ["Authorization: Digest username=\"alice\", realm=\"x\", nonce=\"n\", uri=\"u\", response=\"r\""];
    assert_eq!(
        server.check(now, &request("INVITE", &foreign, b""), &users),
        Check::Challenge { stale: false }
    );
}

#[test]
fn malformed_credentials() {
    let mut server = Server::new(policy(Side::Server), &mut random());
    let full = [
        ("username", "\"alice\""),
        ("nonce", "\"n\""),
        ("uri", "\"sip:x\""),
        ("response", "\"0\""),
        ("cnonce", "\"c\""),
        ("nc", "00000001"),
        ("qop", "auth"),
        ("realm", "\"lab\""),
        ("algorithm", "SHA-256"),
    ];
    let mut check = |change: &dyn Fn(&str) -> Option<&'static str>| {
        let params: Vec<String> = full
            .iter()
            .filter_map(|(name, value)| match change(name) {
                Some("") => None,
                Some(other) => Some(format!("{name}={other}")),
                None => Some(format!("{name}={value}")),
            })
            .collect();
        let row = format!("Authorization: Digest {}", params.join(", "));
        server.check(Instant::ZERO, &request("INVITE", &[&row], b""), &[Login::new("alice", "s")])
    };
    let again = Check::Challenge { stale: false };
    assert_eq!(check(&|_| None), again);
    for name in ["username", "nonce", "uri", "response", "cnonce", "nc"] {
        let got = check(&|n| (n == name).then_some(""));
        assert!(matches!(got, Check::Malformed(why) if why.starts_with(name)), "{name}: {got:?}");
    }
    assert_eq!(check(&|n| (n == "nc").then_some("0")), Check::Malformed("nc is no count"));
    assert_eq!(check(&|n| (n == "qop").then_some("auth-int")), Check::Malformed("qop was not offered"));
    assert_eq!(check(&|n| (n == "algorithm").then_some("SHA-512-256")), again);
    assert_eq!(
        check(&|n| (n == "nonce").then_some("\"\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}x\"")),
        again
    );
}

#[test]
fn nonces_age_and_the_table_is_bounded() {
    let mut random = random();
    let mut server = Server::new(Policy { table: 2, ..policy(Side::Server) }, &mut random);
    let users = login();
    let first = request("INVITE", &[], b"");
    let accepted = Check::Accepted { username: "alice".into() };
    let stale = Check::Challenge { stale: true };

    let mut client = Client::new(login());
    let sent = answered(&mut client, &server, Instant::ZERO, false, &first, &mut random);
    assert_eq!(server.check(Instant::from_millis(60_001), &sent, &users), stale);
    // The client takes the stale challenge for what it is.
    let now = Instant::from_millis(60_001);
    let sent = answered(&mut client, &server, now, true, &sent, &mut random);
    assert_eq!(server.check(now, &sent, &users), accepted);

    // Two more nonces push the first out: its next count is stale, not accepted twice.
    for ms in [60_002, 60_003] {
        let now = Instant::from_millis(ms);
        let sent = answered(&mut Client::new(login()), &server, now, false, &first, &mut random);
        assert_eq!(server.check(now, &sent, &users), accepted);
    }
    let now = Instant::from_millis(60_004);
    assert_eq!(server.check(now, &sent, &users), stale);
    let next = retry("INVITE", &client.authorize("INVITE", "sip:example.com", b""), b"");
    assert_eq!(server.check(now, &next, &users), stale);
}

#[test]
fn requests_overtake() {
    let mut random = random();
    let mut server = Server::new(policy(Side::Server), &mut random);
    let mut client = Client::new(login());
    let now = Instant::ZERO;
    let first = request("INVITE", &[], b"");
    let mut sent = vec![answered(&mut client, &server, now, false, &first, &mut random)];
    for _ in 0..99 {
        sent.push(retry("INVITE", &client.authorize("INVITE", "sip:example.com", b""), b""));
    }
    let mut check =
        |index: usize| matches!(server.check(now, &sent[index], &login()), Check::Accepted { .. });
    assert!(check(2) && check(0) && check(1) && !check(1) && check(70) && check(69) && check(7));
    // Further behind than the window: refused, used or not.
    assert!(!check(5) && !check(0) && !check(7) && check(99));
}

// ---- what the tests stand on

fn login() -> Vec<Login> {
    vec![Login::new("alice", "s3cr3t")]
}

fn policy(side: Side) -> Policy {
    Policy { lifetime: Duration::from_secs(60), ..Policy::new(side, "lab") }
}

fn random() -> impl FnMut() -> u64 {
    let mut last = 0;
    move || {
        last += 1;
        last
    }
}

/// The client's answer to a challenge of the server.
fn answered(
    client: &mut Client,
    server: &Server,
    now: Instant,
    stale: bool,
    sent: &Request,
    random: &mut impl FnMut() -> u64,
) -> Request {
    let rows = server.challenges(now, stale, random);
    let rows: Vec<String> = rows.iter().map(|(id, value)| format!("{}: {value}", id.name())).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    match client.challenged(&response(401, &rows), sent, random).outcome {
        Outcome::Retry(rows) => retry(sent.method().as_str(), &rows, sent.body()),
        Outcome::GiveUp(why) => panic!("{why}"),
    }
}

fn name_in(request: &Request, side: Side) -> String {
    side.credentials_in(request)[0].params.text("username").unwrap().into_owned()
}

fn retry(method: &str, rows: &[(HeaderId, String)], body: &[u8]) -> Request {
    let rows: Vec<String> = rows.iter().map(|(id, value)| format!("{}: {value}", id.name())).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    request(method, &rows, body)
}

fn request(method: &str, headers: &[&str], body: &[u8]) -> Request {
    let start = format!("{method} sip:example.com SIP/2.0");
    message(&start, method, headers, body).into_request().ok().unwrap()
}

fn response(status: u16, headers: &[&str]) -> Response {
    message(&format!("SIP/2.0 {status} X"), "REGISTER", headers, b"").into_response().ok().unwrap()
}

fn message(start: &str, method: &str, headers: &[&str], body: &[u8]) -> Message {
    let mut text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@example.com>;tag=1\r\n\
         To: <sip:b@example.com>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let bytes = [text.as_bytes(), body].concat();
    Message::parse(Bytes::from(bytes), &Limits::default()).unwrap()
}
