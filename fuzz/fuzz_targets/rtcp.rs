//! Compound RTCP packets: all or nothing is heard.
#![no_main]

use sipkit::media::rtcp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut heard = 0;
    let result = rtcp::read(data, |_| heard += 1);
    assert!(result.is_ok() || heard == 0);
    assert!(heard <= data.len());
});
