//! `--ladder`: the flow of messages as a ladder, on standard error at the end of the run.
//!
//! ```text
//!          127.0.0.1:40112              127.0.0.1:5070/tcp
//!   0.000  INVITE, SDP ───────────────────────────────────>
//!   0.002  <────────────────────────────────── 180 Ringing
//! ```
//!
//! We stand on the left. The heading comes again where the peer or its transport changes. Times are seconds since the
//! first message; where there are several calls each line names its own by a number. The latest 10,000 messages are
//! kept.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    time::SystemTime,
};

use bytes::Bytes;

use super::{
    live,
    printable::Printable,
    recorder::{Recorded, Writer},
};
use crate::{
    message::{HeaderId, Limits, Message, Method},
    transport::{Direction, PacketKind, Protocol},
};

#[derive(Debug, Default)]
pub(super) struct Ladder {
    begun: Option<SystemTime>,
    rungs: VecDeque<Rung>,
    forgotten: usize,
    /// Calls by Call-ID, in the order in which they came.
    calls: HashMap<String, usize>,
}

#[derive(Debug)]
struct Rung {
    at: f64,
    direction: Direction,
    ends: (SocketAddr, SocketAddr, Protocol),
    label: String,
    call: Option<usize>,
}

impl Writer for Ladder {
    fn write(&mut self, packet: &Recorded) -> io::Result<()> {
        if packet.kind == PacketKind::Sip {
            self.add(packet);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        live::write_stderr(self.text().as_bytes())
    }

    fn name(&self) -> String {
        "the ladder on standard error".into()
    }
}

impl Ladder {
    fn add(&mut self, packet: &Recorded) {
        let begun = *self.begun.get_or_insert(packet.at);
        let at = packet.at.duration_since(begun).unwrap_or_default().as_secs_f64();
        let (label, call_id) = describe(&packet.bytes);
        let next = self.calls.len() + 1;
        let call = call_id.and_then(|id| match self.calls.get(&id) {
            Some(&call) => Some(call),
            None if next > MOST => None,
            None => {
                self.calls.insert(id, next);
                Some(next)
            }
        });
        if self.rungs.len() == MOST {
            self.rungs.pop_front();
            self.forgotten += 1;
        }
        let ends = (packet.local, packet.remote, packet.protocol);
        self.rungs.push_back(Rung { at, direction: packet.direction, ends, label, call });
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.forgotten > 0 {
            text.push_str(&format!("{} earlier messages are left out\n", self.forgotten));
        }
        let mut ends = None;
        for rung in &self.rungs {
            if ends != Some(rung.ends) {
                ends = Some(rung.ends);
                let (local, remote, protocol) = rung.ends;
                let remote = format!("{remote}/{}", protocol.as_param());
                let local = local.to_string();
                let gap = WIDTH.saturating_sub(remote.len());
                text.push_str(&format!("{:9} {local:<gap$}{remote}\n", ""));
            }
            let label = &rung.label;
            let dashes = "─".repeat(WIDTH.saturating_sub(label.chars().count() + 2).max(3));
            let arrow = match rung.direction {
                Direction::Sent => format!("{label} {dashes}>"),
                Direction::Received => format!("<{dashes} {label}"),
            };
            let call = rung.call.filter(|_| self.calls.len() > 1);
            let call = call.map(|call| format!("  call {call}")).unwrap_or_default();
            text.push_str(&format!("{:9.3} {arrow}{call}\n", rung.at));
        }
        text
    }
}

/// A message in a few words, and its Call-ID.
fn describe(bytes: &[u8]) -> (String, Option<String>) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()) else {
        return (format!("{} bytes that are no SIP message", bytes.len()), None);
    };
    let call_id = message.call_id().ok().map(str::to_owned);
    let body = body(&message);
    let method = message.cseq().ok().map(|cseq| cseq.method.as_str().to_owned());
    let label = match message.into_request() {
        Ok(request) => format!("{}{body}", Printable(request.method().as_str())),
        Err(message) => match message.into_response() {
            Ok(response) => {
                let reason = Printable(response.reason()).to_string();
                let reason: String = reason.chars().take(LONGEST_REASON).collect();
                // What is answered goes without saying where it is the INVITE.
                let to = method.filter(|method| method != Method::Invite.as_str());
                let to = to.map(|method| format!(" ({})", Printable(&method))).unwrap_or_default();
                format!("{} {reason}{to}{body}", response.status())
            }
            Err(_) => String::new(),
        },
    };
    (label, call_id)
}

fn body(message: &Message) -> &'static str {
    let kind = message.raw(HeaderId::ContentType).next().map_or(&b""[..], |row| row.value);
    match message.body().is_empty() {
        true => "",
        false if kind.get(..SDP.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(SDP)) => ", SDP",
        false => ", body",
    }
}

const SDP: &[u8] = b"application/sdp";
/// From one side to the other, in characters.
const WIDTH: usize = 60;
/// Messages kept, and calls told apart.
const MOST: usize = 10_000;
const LONGEST_REASON: usize = 30;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn packet(at: u64, direction: Direction, protocol: Protocol, text: &str) -> Recorded {
        Recorded {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000 + at),
            kind: PacketKind::Sip,
            direction,
            protocol,
            local: ([127, 0, 0, 1], 40_000).into(),
            remote: ([192, 0, 2, 1], 5060).into(),
            bytes: text.replace('\n', "\r\n").into_bytes(),
        }
    }

    const COMMON: &str =
        "Via: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=x\nTo: <sip:b@b>\nCall-ID: c\n";

    #[test]
    fn it_reads_like_a_ladder() {
        use Direction::{Received, Sent};
        let invite = format!(
            "INVITE sip:b@b SIP/2.0\n{COMMON}CSeq: 1 INVITE\nContent-Type: application/sdp\nContent-Length: 3\n\nv=0"
        );
        let answer = |status: &str, method: &str| {
            format!("SIP/2.0 {status}\n{COMMON}CSeq: 1 {method}\nContent-Length: 0\n\n")
        };
        let mut ladder = Ladder::default();
        ladder.add(&packet(0, Sent, Protocol::Udp, &invite));
        ladder.add(&packet(12, Received, Protocol::Udp, &answer("180 Ring\x1b[31ming", "INVITE")));
        ladder.add(&packet(1_500, Received, Protocol::Tcp, &answer("200 OK", "BYE")));
        ladder.add(&packet(1_501, Received, Protocol::Tcp, "what?"));
        let expected = "
          127.0.0.1:40000                         192.0.2.1:5060/udp
    0.000 INVITE, SDP ───────────────────────────────────────────────>
    0.012 <──────────────────────────────────── 180 Ring\\x1b[31ming
          127.0.0.1:40000                         192.0.2.1:5060/tcp
    1.500 <───────────────────────────────────────────── 200 OK (BYE)
    1.501 <─────────────────────── 5 bytes that are no SIP message
";
        let text = ladder.text();
        let squeeze = |text: &str| text.replace('─', "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&text), squeeze(expected), "{text}");
        // Both sides stand straight.
        assert!(text.lines().all(|line| line.chars().count() == 10 + WIDTH), "{text}");
    }

    #[test]
    fn several_calls_are_told_apart_and_only_the_latest_messages_are_kept() {
        let mut ladder = Ladder::default();
        let bye = |call: usize| {
            let common = COMMON.replace("Call-ID: c", &format!("Call-ID: c{call}"));
            format!("BYE sip:b@b SIP/2.0\n{common}CSeq: 1 BYE\nContent-Length: 0\n\n")
        };
        for call in 0..MOST + 2 {
            ladder.add(&packet(0, Direction::Sent, Protocol::Udp, &bye(call)));
        }
        let text = ladder.text();
        assert!(text.starts_with("2 earlier messages are left out\n"), "{}", &text[..80]);
        assert!(text.contains(">  call 3\n"));
        assert_eq!((ladder.rungs.len(), ladder.calls.len()), (MOST, MOST));
    }
}
