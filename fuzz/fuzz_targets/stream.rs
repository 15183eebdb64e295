//! A byte stream: however it is cut into reads, the same comes out. The first octet says how it is cut.
#![no_main]

use sipkit::message::{Frame, FrameError, Framer, Limits, Side};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let side = if cut & 1 == 0 { Side::Accepted } else { Side::Opened };
    // Small limits are met by small inputs.
    let small = Limits { head: 300, rows: 8, uri: 40, body: 100, ..Limits::default() };
    let limits = if cut & 2 == 0 { Limits::default() } else { small };
    let whole = frames(side, limits, stream, stream.len().max(1));
    assert_eq!(frames(side, limits, stream, usize::from(cut >> 2) + 1), whole);
    for frame in &whole {
        if let Err(error) = frame {
            let _ = (error.status(), error.to_string());
        }
    }
    let last = whole.iter().position(|frame| frame.as_ref().is_err_and(FrameError::is_final));
    assert!(last.is_none_or(|at| at + 1 == whole.len()), "nothing comes after the end");
    let _ = sipkit::message::websocket(stream.to_vec().into(), &limits);
});

fn frames(side: Side, limits: Limits, stream: &[u8], size: usize) -> Vec<Result<Frame, FrameError>> {
    let mut framer = Framer::new(side, limits);
    let mut frames = Vec::new();
    for read in stream.chunks(size) {
        framer.push(read);
        while let Some(frame) = framer.next() {
            frames.push(frame);
        }
        assert!(framer.buffered() <= limits.head + limits.body + size);
    }
    frames
}
