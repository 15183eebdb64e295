//! A datagram, read in every way there is, edited and answered.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sipkit::message::fuzz_parse(data));
