//! Messages of message/cpim (RFC 3862): read, written and read again.
#![no_main]

use sipkit::message::{
    Limits,
    cpim::{self, Cpim},
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let Ok(cpim) = Cpim::parse(data, &limits) else { return };
    for field in cpim.headers() {
        assert!(cpim.header(field.name).is_some());
        let _ = (field.text(), field.language(), cpim.address(field.name), cpim.prefix(field.value));
    }
    let _ = (cpim.content_type(), cpim.part().headers().count());
    let texts: Vec<_> = cpim.headers().map(|field| (field.name, field.text())).collect();
    if !texts.iter().all(|(name, _)| name.bytes().all(|byte| byte.is_ascii_graphic())) {
        return;
    }
    let written =
        cpim::write(texts.iter().map(|(name, text)| (*name, &**text)), "text/plain", cpim.content());
    let again =
        Cpim::parse(&written, &Limits { head: usize::MAX, ..limits }).expect("what is written can be read");
    assert_eq!(again.content(), cpim.content());
    assert_eq!(again.headers().map(|field| (field.name, field.text())).collect::<Vec<_>>(), texts);
});
