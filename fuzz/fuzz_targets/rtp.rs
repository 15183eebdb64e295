//! RTP packets: what is read is written the same but for extension, sources and padding; events in them.
#![no_main]

use sipkit::media::{
    dtmf,
    rtp::{self, Packet},
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = dtmf::Payload::read(data).map(dtmf::Payload::bytes);
    let Ok(packet) = Packet::parse(data) else { return };
    assert!(!rtp::is_rtcp(data) && packet.payload.len() <= data.len());
    let mut written = Vec::new();
    packet.write(&mut written);
    assert_eq!(Packet::parse(&written).as_ref(), Ok(&packet));
});
