//! The offer/answer exchanges of one call (RFC 3264) as the phone sees them: bodies in, bodies out, and what
//! is in force in between.

use crate::{
    sdp::{
        self, Capabilities, Direction, LocalOrigin, Session,
        negotiate::{self, Negotiated},
    },
    ua::call::Body,
};

/// What we can do, what we offered last, and what both sides agreed on.
#[derive(Clone, Debug)]
pub struct Exchange {
    caps: Capabilities,
    origin: LocalOrigin,
    /// Given out and not answered yet.
    offered: Option<Session>,
    /// It is no offer of our own accord: a request without one asked for it.
    asked_for: bool,
    current: Option<Negotiated>,
    /// We hold the peer.
    holding: bool,
    /// Counts what came into force, for the rule of one latch per exchange.
    number: u64,
}

/// Why a body did not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unfit {
    #[error("the body is {0}, not a session description")]
    NotSdp(String),
    #[error("the session description cannot be read: {0}")]
    Unreadable(#[from] sdp::ParseError),
    #[error("no agreement on the session: {0}")]
    Refused(#[from] negotiate::Refused),
    /// An answer to no offer.
    #[error("an answer without an offer")]
    Unasked,
    /// No answer to an offer.
    #[error("the offer was not answered")]
    Unanswered,
}

impl Unfit {
    /// The status to refuse an offer with (RFC 3261 §21.4).
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotSdp(_) => 415,
            Self::Unreadable(_) | Self::Unasked | Self::Unanswered => 400,
            Self::Refused(_) => 488,
        }
    }
}

impl Exchange {
    /// `session_id` must be random enough to differ between calls.
    pub fn new(caps: Capabilities, session_id: u64) -> Self {
        let origin = LocalOrigin::new(session_id, caps.address);
        Self { caps, origin, offered: None, asked_for: false, current: None, holding: false, number: 0 }
    }

    /// What is in force.
    pub fn current(&self) -> Option<&Negotiated> {
        self.current.as_ref()
    }

    /// The description we gave last, to be said again: a 2xx repeats that of its 183.
    pub fn given(&self) -> Option<Body> {
        let session = self.offered.as_ref().or(self.current.as_ref().map(|current| &current.local));
        session.map(|session| Body::sdp(session.to_bytes()))
    }

    /// Rises each time something new comes into force.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn holding(&self) -> bool {
        self.holding
    }

    /// An offer of all we can do: the first one, or the one an INVITE without a body asks for.
    pub fn offer(&mut self) -> Body {
        let caps = self.caps_now();
        let session = match &self.current {
            Some(current) => negotiate::reoffer_with(current, &caps, &mut self.origin),
            None => negotiate::offer(&caps, &mut self.origin),
        };
        self.asked_for = true;
        self.give(session)
    }

    /// An offer that puts the peer on hold, or takes it back (RFC 3264 §8.4). `None` while there is nothing to
    /// change yet, or another offer of ours is not answered (§4).
    pub fn hold(&mut self, on: bool) -> Option<Body> {
        let current = self.current.as_ref().filter(|_| self.offered.is_none())?;
        let before = current.audio.as_ref().map_or(Direction::SendRecv, |audio| audio.direction);
        self.holding = on;
        let direction = if on { before.held() } else { self.caps.direction };
        let session = negotiate::reoffer(&current.local, direction, &mut self.origin);
        self.asked_for = false;
        Some(self.give(session))
    }

    /// Answers the peer's offer.
    pub fn answer(&mut self, offer: &Body) -> Result<Body, Unfit> {
        let offer = read(offer)?;
        let caps = self.caps_now();
        let agreed = negotiate::answer(&offer, &caps, &mut self.origin, self.current.as_ref())?;
        let body = Body::sdp(agreed.local.to_bytes());
        self.agree(agreed);
        Ok(body)
    }

    /// Takes the answer to our offer. Called again with what a 2xx repeats of a 183, it changes nothing.
    pub fn accept(&mut self, answer: &Body) -> Result<(), Unfit> {
        let answer = read(answer)?;
        if self.current.as_ref().is_some_and(|current| current.remote == answer) && self.offered.is_none() {
            return Ok(());
        }
        let offered = self.offered.clone().or_else(|| self.current.as_ref().map(|now| now.local.clone()));
        let offered = offered.ok_or(Unfit::Unasked)?;
        let agreed = negotiate::accept_answer(&offered, &answer, &self.caps)?;
        self.offered = None;
        self.agree(agreed);
        Ok(())
    }

    /// The ACK for a 2xx of ours came: with the answer, if that 2xx had an offer. Whether there is something new
    /// in force. An ACK without the answer it owes leaves what was in force before, if there is anything.
    pub fn acknowledged(&mut self, answer: Option<&Body>) -> Result<bool, Unfit> {
        match answer {
            Some(answer) => self.accept(answer).map(|()| true),
            None if self.current.is_none() => Err(Unfit::Unanswered),
            None => {
                self.lapse();
                Ok(false)
            }
        }
    }

    /// An offer that the peer's request without one asked for came to nothing.
    pub fn lapse(&mut self) {
        if self.asked_for {
            self.withdraw();
        }
    }

    /// Our offer was refused: what was in force stays (RFC 3261 §14.1).
    pub fn withdraw(&mut self) {
        if self.offered.take().is_some()
            && let Some(audio) = self.current.as_ref().and_then(|current| current.audio.as_ref())
        {
            self.holding = matches!(audio.direction, Direction::SendOnly | Direction::Inactive)
                && !audio.held_by_peer
                && self.caps.direction == Direction::SendRecv;
        }
    }

    fn agree(&mut self, agreed: Negotiated) {
        self.number += 1;
        self.asked_for = false;
        self.current = Some(agreed);
    }

    fn give(&mut self, session: Session) -> Body {
        let body = Body::sdp(session.to_bytes());
        self.offered = Some(session);
        body
    }

    fn caps_now(&self) -> Capabilities {
        let mut caps = self.caps.clone();
        if self.holding {
            caps.direction = caps.direction.held();
        }
        caps
    }
}

pub(super) fn read(body: &Body) -> Result<Session, Unfit> {
    let kind = body.kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/sdp") {
        return Err(Unfit::NotSdp(kind.to_owned()));
    }
    Ok(Session::parse(&body.bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Codec;

    fn caps() -> Capabilities {
        Capabilities {
            codecs: vec![Codec::OPUS, Codec::PCMU],
            own_order: false,
            telephone_event: true,
            ptime: 20,
            address: [192, 0, 2, 1].into(),
            rtp_port: 4000,
            rtcp_port: 4001,
            rtcp_mux: false,
            direction: Direction::SendRecv,
        }
    }

    fn direction(exchange: &Exchange) -> Direction {
        exchange.current().unwrap().audio.as_ref().unwrap().direction
    }

    #[test]
    fn offer_answer_hold_resume() {
        let (mut alice, mut bob) = (Exchange::new(caps(), 1), Exchange::new(caps(), 2));
        let answer = bob.answer(&alice.offer()).unwrap();
        alice.accept(&answer).unwrap();
        assert_eq!((direction(&alice), direction(&bob)), (Direction::SendRecv, Direction::SendRecv));
        let number = alice.number();
        alice.accept(&answer).unwrap();
        assert_eq!(alice.number(), number, "the 2xx repeats the 183");

        let hold = alice.hold(true).unwrap();
        alice.accept(&bob.answer(&hold).unwrap()).unwrap();
        assert_eq!((direction(&alice), direction(&bob)), (Direction::SendOnly, Direction::RecvOnly));
        let resume = alice.hold(false).unwrap();
        alice.accept(&bob.answer(&resume).unwrap()).unwrap();
        assert_eq!((direction(&alice), direction(&bob)), (Direction::SendRecv, Direction::SendRecv));
    }

    #[test]
    fn a_refused_hold_is_no_hold() {
        let (mut alice, mut bob) = (Exchange::new(caps(), 1), Exchange::new(caps(), 2));
        alice.accept(&bob.answer(&alice.clone().offer()).unwrap()).unwrap_err();
        let offer = alice.offer();
        alice.accept(&bob.answer(&offer).unwrap()).unwrap();
        alice.hold(true).unwrap();
        alice.withdraw();
        assert!(!alice.holding());
        assert_eq!(direction(&alice), Direction::SendRecv);
    }

    #[test]
    fn what_does_not_do_has_a_status() {
        let mut exchange = Exchange::new(caps(), 1);
        let text = Body { kind: "text/plain".into(), bytes: "hi".into() };
        assert_eq!(exchange.answer(&text).unwrap_err().status(), 415);
        assert_eq!(exchange.answer(&Body::sdp("nonsense")).unwrap_err().status(), 400);
        let odd = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 9 RTP/AVP 97\r\na=rtpmap:97 X/8000\r\n";
        assert_eq!(exchange.answer(&Body::sdp(odd)).unwrap_err().status(), 488);
    }

    #[test]
    fn one_offer_at_a_time() {
        let (mut alice, mut bob) = (Exchange::new(caps(), 1), Exchange::new(caps(), 2));
        let offer = alice.offer();
        alice.accept(&bob.answer(&offer).unwrap()).unwrap();
        let hold = alice.hold(true).unwrap();
        assert!(alice.hold(false).is_none(), "the first one is still on its way");
        assert!(!alice.acknowledged(None).unwrap(), "the ACK of another exchange");
        alice.accept(&bob.answer(&hold).unwrap()).unwrap();
        assert!(alice.holding());
        assert_eq!(direction(&alice), Direction::SendOnly);
    }

    #[test]
    fn an_ack_owes_the_answer_to_a_late_offer() {
        let (mut alice, mut bob) = (Exchange::new(caps(), 1), Exchange::new(caps(), 2));
        let offer = bob.offer();
        assert_eq!(bob.given(), Some(offer.clone()), "said again in the 2xx");
        assert!(bob.acknowledged(None).is_err(), "nothing is agreed on");
        assert!(bob.acknowledged(Some(&alice.answer(&offer).unwrap())).unwrap());
        bob.offer();
        assert!(!bob.acknowledged(None).unwrap(), "what was in force stays");
        assert!(bob.hold(true).is_some());
    }
}
