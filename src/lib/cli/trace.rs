//! `--trace`: every SIP message as sent and received, with time, direction and flow, on standard error.
//!
//! Messages are printed whole; what a hostile peer put in to play with the terminal comes out as escapes.

use std::io;

use super::{
    live,
    output::rfc3339,
    printable::PrintableLines,
    recorder::{Recorded, Writer},
};
use crate::transport::{Direction, PacketKind};

#[derive(Debug)]
pub(super) struct Trace;

impl Writer for Trace {
    fn write(&mut self, packet: &Recorded) -> io::Result<()> {
        match packet.kind {
            PacketKind::Sip => live::write_stderr(format(packet).as_bytes()),
            PacketKind::Rtp | PacketKind::Rtcp => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        "the trace on standard error".into()
    }
}

fn format(packet: &Recorded) -> String {
    let Recorded { at, protocol, local, remote, bytes, .. } = packet;
    let (verb, from, to) = match packet.direction {
        Direction::Sent => ("sent", local, remote),
        Direction::Received => ("received", remote, local),
    };
    let (time, length) = (rfc3339(*at), bytes.len());
    let lines = PrintableLines { bytes, indent: "    " };
    format!("{time} {verb} {protocol} {from} -> {to}, {length} bytes\n{lines}\n")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::transport::Protocol;

    #[test]
    fn a_message_has_time_direction_and_flow() {
        let packet = Recorded {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            kind: PacketKind::Sip,
            direction: Direction::Received,
            protocol: Protocol::Udp,
            local: ([127, 0, 0, 1], 5060).into(),
            remote: ([192, 0, 2, 1], 5070).into(),
            bytes: b"SIP/2.0 200 \x1b[31mOK\r\n\r\n".to_vec(),
        };
        assert_eq!(
            format(&packet),
            "2023-11-14T22:13:20.250Z received UDP 192.0.2.1:5070 -> 127.0.0.1:5060, 23 bytes\n    \
             SIP/2.0 200 \\x1b[31mOK\n    \n\n"
        );
    }
}
