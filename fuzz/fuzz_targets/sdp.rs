//! Session descriptions: what was read and written can be read and written again, the same; an offer is answered,
//! and its answer can be read by whoever made it.
#![no_main]

use sipkit::sdp::{self, Capabilities, Codec, Direction, LocalOrigin, Session};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(session) = Session::parse(data) else { return };
    let written = session.to_bytes();
    let again = Session::parse(&written).expect("what is written can be read");
    assert_eq!(again.to_bytes(), written);
    for media in &session.media {
        let _ = (session.connection(media), session.direction(media), media.is_rtp());
        let _ = (media.attributes().count(), media.payload_types().count());
        for payload_type in media.payload_types() {
            let _ = (
                media.rtpmap(payload_type),
                media.fmtp(payload_type).map(|fmtp| sdp::attribute::parameters(fmtp).count()),
            );
        }
        let _ = (media.ptime(), media.maxptime(), media.rtcp(), media.rtcp_mux());
    }
    negotiate(&session);
});

fn negotiate(session: &Session) {
    let ours = Capabilities {
        codecs: vec![Codec::OPUS, Codec::PCMU, Codec::PCMA, Codec::G722],
        own_order: session.media.len() % 2 == 1,
        telephone_event: true,
        ptime: 20,
        address: [192, 0, 2, 1].into(),
        rtp_port: 40_000,
        rtcp_port: 40_001,
        rtcp_mux: true,
        direction: Direction::SendRecv,
    };
    let mut origin = LocalOrigin::new(1, ours.address);
    let offered = sdp::offer(&ours, &mut origin);
    if let Ok(agreed) = sdp::accept_answer(&offered, session, &ours) {
        readable(&sdp::reoffer_with(&agreed, &ours, &mut origin));
    }
    let Ok(first) = sdp::answer(session, &ours, &mut origin, None) else { return };
    assert_eq!(first.local.media.len(), session.media.len(), "an answer has the sections of the offer");
    readable(&first.local);
    readable(&sdp::reoffer(&first.local, Direction::SendOnly, &mut origin));
    readable(&sdp::reoffer_with(&first, &ours, &mut origin));
    if let Ok(second) = sdp::answer(session, &ours, &mut origin, Some(&first)) {
        assert_eq!(second.audio, first.audio, "the same offer has the same answer");
    }
}

fn readable(session: &Session) {
    let bytes = session.to_bytes();
    let again = Session::parse(&bytes).expect("what we send can be read");
    assert_eq!(again.to_bytes(), bytes);
}
