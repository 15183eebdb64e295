//! Fragments of messages (message/sipfrag, RFC 3420).
#![no_main]

use sipkit::message::{Fragment, Limits, header};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let fragment = match Fragment::parse(data, &Limits::default()) {
        Ok(fragment) => fragment,
        Err(error) => {
            assert!(error.at <= data.len(), "an error is somewhere in the fragment");
            return;
        }
    };
    assert!(fragment.status().is_none() || fragment.has_start_line());
    assert!(fragment.message().body().len() <= data.len());
    let _ = header::check(fragment.message());
    for row in fragment.message().headers() {
        let _ = (row.name(), row.text().to_string());
    }
});
