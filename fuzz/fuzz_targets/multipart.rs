//! Multipart bodies with their nesting.
#![no_main]

use sipkit::message::{Limits, Message, Multipart, Part, header};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let mut bytes = b"MESSAGE sip:a SIP/2.0\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n".to_vec();
    bytes.extend_from_slice(data);
    let Ok(message) = Message::parse(bytes.into(), &limits) else { return };
    let Ok(multipart) = Multipart::of(&message, &limits) else { return };
    let parts = walk(&multipart, 0);
    assert!(parts <= message.body().len() + 1, "a part or an error for each octet at most");
    let _ = (multipart.check(), multipart.find("application", "sdp").map(|part| part.body().len()));
});

fn walk(multipart: &Multipart<'_>, depth: usize) -> usize {
    assert!(depth <= Limits::default().depth);
    multipart.parts().map(|part| part.map_or(1, |part| 1 + inside(&part, depth))).sum()
}

fn inside(part: &Part<'_>, depth: usize) -> usize {
    let _ = (part.headers().count(), part.is_optional(), part.find::<header::ContentType>().is_ok());
    let _ = (part.find::<header::ContentDisposition>().is_ok(), part.find::<header::ContentId>().is_ok());
    part.multipart().map_or(0, |multipart| walk(&multipart, depth + 1))
}
