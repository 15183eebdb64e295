//! Builds a request, changes it as a proxy would, and reads it as the other side would.

use sipkit::message::{Builder, Edits, HeaderId, Limits, Message, Method, header};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Build. Content-Length is written for you, and nothing in a value can break out of its line.
    let request = Builder::request(Method::Message, "sip:bob@example.com")
        .header(HeaderId::Via, "SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bK776")
        .header(HeaderId::MaxForwards, 70)
        .header(HeaderId::From, "\"Alice\" <sip:alice@example.org>;tag=1928")
        .header(HeaderId::To, "<sip:bob@example.com>")
        .header(HeaderId::CallId, "a84b4c76e66710")
        .header(HeaderId::CSeq, "1 MESSAGE")
        .named("X-Mood", "cheerful")
        .body("text/plain", b"Hello, Bob.")
        .finish();

    // Edit. What is not touched stays as it is, octet for octet.
    let mut edits = Edits::new(&request);
    edits.top_via_param("rport", Some(&5060)).set(HeaderId::MaxForwards, 69);
    edits.prepend(HeaderId::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK777");
    println!("On the wire:\n\n{}\n", String::from_utf8_lossy(edits.finish().bytes()));

    // Read. Views borrow from the message; an error names the header, the octet and the reason.
    let message = Message::parse(edits.finish().bytes().clone(), &Limits::default())?;
    let from = message.from()?;
    println!(
        "{} at {} says: {}",
        from.uri.user().unwrap_or("?"),
        from.uri.host(),
        String::from_utf8_lossy(message.body())
    );
    for via in message.each::<header::Via>() {
        println!("it came by way of {}", via?.host);
    }
    let broken =
        Message::parse("BYE sip:bob@example.com SIP/2.0\r\nTo: <sip:bob\r\n\r\n".into(), &Limits::default())?;
    println!("of another message: {}", broken.to().unwrap_err());
    Ok(())
}
