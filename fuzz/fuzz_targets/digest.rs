//! Digest: whatever a challenge or credentials say, there is an answer to them. The first octet says which they are.
#![no_main]

use sipkit::{
    auth::{Client, Login, Outcome, Policy, Server, Side},
    message::{Builder, HeaderId, Limits, Message, Method, Request, Response},
    time::Instant,
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&kind, value)) = data.split_first() else { return };
    match kind % 4 {
        0 => challenge("WWW-Authenticate", value),
        1 => challenge("Proxy-Authenticate", value),
        2 => credentials(Side::Server, "Authorization", value),
        _ => credentials(Side::Proxy, "Proxy-Authorization", value),
    }
});

fn challenge(name: &str, value: &[u8]) {
    let Some(mut sent) = request("Subject", b"") else { return };
    let Some(response) = response(name, value) else { return };
    let mut client = Client::new(vec![Login::new("bob", "zanzibar")]);
    let mut number = 0;
    let mut random = || {
        number += 1;
        number
    };
    // Whoever challenges again and again is given up.
    for _ in 0..8 {
        let Outcome::Retry(headers) = client.challenged(&response, &sent, &mut random).outcome else {
            assert!(
                !client.authorize("BYE", "sip:a", b"").iter().any(|(_, value)| value.contains(['\r', '\n']))
            );
            return;
        };
        let mut again = Builder::request(Method::Options, "sip:a@b");
        for (id, value) in &headers {
            again = again.header(*id, value);
        }
        let again = again.finish();
        let read = |id: HeaderId| again.raw(id).count();
        assert_eq!(read(HeaderId::Authorization) + read(HeaderId::ProxyAuthorization), headers.len());
        assert_eq!(sipkit::message::header::check(&again), Ok(()), "what we answer can be read");
        client.accepted(&response);
        sent = again.into_request().expect("it was built as a request");
    }
    panic!("a client that never gives up");
}

fn credentials(side: Side, name: &str, value: &[u8]) {
    let Some(request) = request(name, value) else { return };
    let mut server = Server::new(Policy::new(side, "atlanta.example.com"), &mut || 1);
    let users = [Login::new("bob", "zanzibar")];
    let first = server.check(Instant::ZERO, &request, &users);
    assert_eq!(
        server.check(Instant::ZERO, &request, &users),
        first,
        "nothing was accepted that could be used up"
    );
}

fn request(name: &str, value: &[u8]) -> Option<Request> {
    let front = format!("OPTIONS sip:a@b SIP/2.0\r\n{name}: ");
    read([front.as_bytes(), value, b"\r\n\r\n"].concat())?.into_request().ok()
}

fn response(name: &str, value: &[u8]) -> Option<Response> {
    let front = format!("SIP/2.0 401 Unauthorized\r\n{name}: ");
    read([front.as_bytes(), value, b"\r\n\r\n"].concat())?.into_response().ok()
}

fn read(bytes: Vec<u8>) -> Option<Message> {
    Message::parse(bytes.into(), &Limits::default()).ok()
}
