//! The session of a call that has no media: every description of ours says `inactive`, at the discard port (RFC 3264
//! §5.1, §8.4), so that nothing has to be opened and next to nothing kept. Only port 0 would refuse the stream.
//!
//! What is offered is judged as for a call with media (415, 400, 488), and our `o=` line is constant but for its version
//! (RFC 3264 §8).

use bytes::Bytes;

use crate::{
    sdp::{Capabilities, LocalOrigin, Session, negotiate},
    ua::call::Body,
};

use super::exchange::{Unfit, read};

/// What is kept of such a session.
#[derive(Clone, Debug)]
pub struct Inactive {
    id: u64,
    /// Of the description given last; rises with each.
    version: u32,
    /// We offered: the ACK has to bring the answer.
    is_asking: bool,
    /// A call was agreed on.
    is_agreed: bool,
    /// What a 2xx is to say again.
    given: Option<Bytes>,
}

impl Inactive {
    /// `id` must be random enough to differ between calls.
    pub const fn new(id: u64) -> Self {
        Self { id, version: 0, is_asking: false, is_agreed: false, given: None }
    }

    /// Our answer to an offer.
    pub fn answer(&mut self, offer: &Body, caps: &Capabilities) -> Result<Body, Unfit> {
        let offer = read(offer)?;
        let origin = self.origin(self.version + 1, caps);
        let answer = negotiate::answer_once(&offer, caps, &origin)?;
        self.version += 1;
        (self.is_agreed, self.is_asking) = (true, false);
        Ok(Body::sdp(answer.to_bytes()))
    }

    /// Our offer, where an INVITE has none.
    pub fn offer(&mut self, caps: &Capabilities) -> Body {
        self.version += 1;
        self.is_asking = true;
        Body::sdp(self.offered(caps).to_bytes())
    }

    /// The ACK came, with the answer if we offered. Without one what was agreed on before stays, if there is anything.
    pub fn acknowledged(&mut self, answer: Option<&Body>, caps: &Capabilities) -> Result<(), Unfit> {
        self.given = None;
        if !self.is_asking {
            return Ok(());
        }
        self.is_asking = false;
        match answer {
            Some(answer) => {
                negotiate::accept_answer(&self.offered(caps), &read(answer)?, caps)?;
                self.is_agreed = true;
                Ok(())
            }
            None if self.is_agreed => Ok(()),
            None => Err(Unfit::Unanswered),
        }
    }

    /// Keeps a description that is to be said again: the 2xx repeats that of its 183 (RFC 3261 §13.2.1).
    pub fn keep(&mut self, body: &Body) {
        self.given = Some(body.bytes.clone());
    }

    pub fn given(&self) -> Option<Body> {
        self.given.clone().map(Body::sdp)
    }

    /// The offer of the present version: the same each time.
    fn offered(&self, caps: &Capabilities) -> Session {
        negotiate::offer(caps, &mut self.origin(self.version, caps))
    }

    fn origin(&self, version: u32, caps: &Capabilities) -> LocalOrigin {
        LocalOrigin::new(self.id, caps.address).at(version.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        phone::exchange::Exchange,
        sdp::{Codec, Direction},
    };

    fn caps(direction: Direction) -> Capabilities {
        Capabilities {
            codecs: vec![Codec::OPUS, Codec::PCMU],
            own_order: false,
            telephone_event: true,
            ptime: 20,
            address: [192, 0, 2, 1].into(),
            rtp_port: 9,
            rtcp_port: 10,
            rtcp_mux: true,
            direction,
        }
    }

    fn text(body: &Body) -> String {
        String::from_utf8_lossy(&body.bytes).into_owned()
    }

    #[test]
    fn a_stream_that_is_accepted_and_inactive() {
        let mut alice = Exchange::new(caps(Direction::SendRecv), 1);
        let (mut bob, caps) = (Inactive::new(2), caps(Direction::Inactive));
        let answer = bob.answer(&alice.offer(), &caps).unwrap();
        assert!(
            text(&answer).contains("m=audio 9 RTP/AVP 96 0 ") && text(&answer).contains("\r\na=inactive\r\n")
        );
        alice.accept(&answer).unwrap();
        assert_eq!(alice.current().unwrap().audio.as_ref().unwrap().direction, Direction::Inactive);
        bob.acknowledged(None, &caps).unwrap();

        let first = text(&answer).replace("IN IP4", "").split("\r\n").nth(1).map(str::to_owned);
        let again = bob.answer(&alice.offer(), &caps).unwrap();
        assert_eq!(first.as_deref(), Some("o=- 1 1  192.0.2.1"));
        assert!(text(&again).contains("o=- 1 2 IN IP4 192.0.2.1\r\n"), "the version rises");
        alice.accept(&again).unwrap();
    }

    #[test]
    fn an_ack_owes_the_answer_to_a_late_offer() {
        let (mut bob, caps) = (Inactive::new(2), caps(Direction::Inactive));
        bob.offer(&caps);
        assert!(matches!(bob.acknowledged(None, &caps), Err(Unfit::Unanswered)));
        let mut alice = Exchange::new(caps.clone(), 1);
        let answer = alice.answer(&bob.offer(&caps)).unwrap();
        bob.acknowledged(Some(&answer), &caps).unwrap();
        bob.offer(&caps);
        bob.acknowledged(None, &caps).expect("what was agreed on stays");
    }

    #[test]
    fn what_does_not_do_has_a_status() {
        let (mut bob, caps) = (Inactive::new(1), caps(Direction::Inactive));
        let mut status = |kind: &str, text: &str| {
            let body = Body { kind: kind.into(), bytes: text.to_owned().into() };
            bob.answer(&body, &caps).unwrap_err().status()
        };
        assert_eq!(status("text/plain", "hi"), 415);
        assert_eq!(status("application/sdp", "nonsense"), 400);
        let odd = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 9 RTP/AVP 97\r\na=rtpmap:97 X/8000\r\n";
        assert_eq!(status("application/sdp", odd), 488);
    }
}
