//! What XCAP servers answer, URLs, selectors, and rules that are edited.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sipkit::xcap::fuzz_parse(data));
