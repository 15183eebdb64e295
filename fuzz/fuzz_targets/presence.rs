//! Documents of event packages: read, written, read again, and taken into states.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sipkit::presence::fuzz_parse(data));
