//! A call with its media: what `sip-call` holds, and any softphone could.
//!
//! The signalling runs on the agent's shard and the media on its own thread; this joins the two. Dropping a
//! [`PhoneCall`] hangs up and ends its media.

use std::{net::SocketAddr, ops::RangeInclusive};

use tokio::sync::mpsc;

use crate::{
    auth,
    endpoint::{
        Unavailable,
        agent::{Agent, Call},
        media::{Closed, MediaEvent, MediaHandle, MediaId, PortError, Start},
    },
    media::{
        device::{Audio, Recorder},
        dtmf::DtmfError,
        stats::Stats,
    },
    message::{AddressBuf, Request, UriBuf},
    sdp::{Capabilities, Codec, Direction},
    stack::{Failure, NextHop, Times},
    transport::Flow,
    ua::call::{Body, By, CallEvent, Cause, Invite, Path},
    util::id::Ids,
};

use super::{
    exchange::{Exchange, Unfit},
    stream::StreamIdentity,
};

/// The sound of a call and how it is carried.
pub struct Sound {
    /// In order of preference.
    pub codecs: Vec<Codec>,
    /// The user named the codecs, so an answer keeps their order too.
    pub own_order: bool,
    pub rtp_ports: Option<RangeInclusive<u16>>,
    pub audio: Audio,
    pub record: Option<Recorder>,
}

/// A call to place.
pub struct Dial {
    pub target: UriBuf,
    /// From, or none for `sip:NAME@` and our address on the route.
    pub from: Identity,
    pub proxy: Option<UriBuf>,
    pub auth: auth::Client,
    pub headers: Vec<(String, String)>,
}

/// Who we say we are.
pub enum Identity {
    Address(AddressBuf),
    /// A user at whatever address we have on the route.
    Local {
        user: String,
        display: Option<String>,
    },
}

/// Why a call could not even be placed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error(transparent)]
    Route(Failure),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("our own address cannot be written as a URI")]
    Identity,
    #[error(transparent)]
    Endpoint(#[from] Unavailable),
}

/// What happens in a call, for a person or a script.
#[derive(Debug)]
pub enum PhoneEvent {
    /// Our INVITE left the server of [`PhoneCall::dial`] for another one, which responds.
    Moved {
        flow: Flow,
    },
    /// 100–199.
    Progress {
        status: u16,
        reason: String,
        early: Option<Agreed>,
    },
    /// The call is answered, by them or by us.
    Answered {
        agreed: Option<Agreed>,
    },
    /// A challenge is being answered.
    Challenged {
        offered: Vec<auth::Offered>,
        downgrade: Option<auth::Downgrade>,
    },
    /// The session was agreed anew.
    Changed {
        agreed: Option<Agreed>,
        holding: bool,
        held: bool,
    },
    /// A change of ours was refused.
    Refused {
        status: Option<u16>,
    },
    Media(MediaEvent),
    /// The peer's session description does not do; the call is being ended.
    Unfit(Unfit),
    Ended {
        by: By,
        cause: Cause,
    },
}

/// The audio agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// `name/rate`.
    pub codec: String,
    pub direction: Direction,
    /// Where the peer wants its media.
    pub remote: Option<SocketAddr>,
}

/// See the module's description.
pub struct PhoneCall {
    call: Call,
    media: MediaHandle,
    port: Option<MediaId>,
    exchange: Option<Exchange>,
    identity: StreamIdentity,
    /// Attached when the media starts.
    attach: Option<(Audio, Option<Recorder>)>,
    capabilities: Sketch,
    media_events: mpsc::Receiver<MediaEvent>,
    events: Option<mpsc::Sender<MediaEvent>>,
    /// The INVITE of a call that came in, until it is answered.
    incoming: Option<(Option<Body>, Path)>,
    answered: bool,
    held: bool,
    path: Option<Path>,
}

/// Capabilities but for the addresses, which the route decides.
#[derive(Default)]
struct Sketch {
    codecs: Vec<Codec>,
    own_order: bool,
    rtp_ports: Option<RangeInclusive<u16>>,
}

impl PhoneCall {
    /// Finds the way to the target, opens media ports on it, and sends the INVITE. Gives the call, who we
    /// said we are, the way, and how long it took to find.
    pub async fn dial(
        agent: &Agent,
        media: &MediaHandle,
        dial: Dial,
        sound: Sound,
        ids: &mut Ids,
    ) -> Result<(Self, AddressBuf, Flow, Times), DialError> {
        let Dial { target, from, proxy, auth, headers } = dial;
        let hop = proxy.clone().unwrap_or_else(|| target.clone());
        let (flow, times) = agent.route(hop).await?.map_err(DialError::Route)?;
        let from = match from {
            Identity::Address(address) => address,
            Identity::Local { user, display } => {
                let uri =
                    UriBuf::parse(&format!("sip:{user}@{}", flow.local)).map_err(|_| DialError::Identity)?;
                AddressBuf::new(display.as_deref(), uri)
            }
        };
        let us = from.clone();
        let (sketch, attach) = sound.split();
        let port = media.open(flow.local.ip(), sketch.rtp_ports.clone())?;
        let caps = sketch.capabilities(flow.local.ip(), port.rtp.port(), port.rtcp.port());
        let mut exchange = Exchange::new(caps, ids.u64());
        let offer = exchange.offer();
        let next = proxy.map_or(NextHop::RequestUri, NextHop::Uri);
        let call =
            match agent.call(Invite { target, from, next, offer, auth, registration: None, headers }).await {
                Ok(call) => call,
                Err(error) => {
                    drop(media.close(port.id));
                    return Err(error.into());
                }
            };
        let (events, media_events) = mpsc::channel(MEDIA_EVENTS);
        let phone = Self {
            call,
            media: media.clone(),
            port: Some(port.id),
            exchange: Some(exchange),
            identity: StreamIdentity::new(ids),
            attach: Some(attach),
            capabilities: sketch,
            media_events,
            events: Some(events),
            incoming: None,
            answered: false,
            held: false,
            path: None,
        };
        Ok((phone, us, flow, times))
    }

    /// Takes over a call that came in; `None` if it was over before its INVITE could be read.
    pub async fn receive(
        mut call: Call,
        media: &MediaHandle,
        sound: Sound,
        ids: &mut Ids,
    ) -> Option<(Self, Request, Flow)> {
        let Some(CallEvent::Incoming { request, offer, path }) = call.next().await else { return None };
        let (sketch, attach) = sound.split();
        let (events, media_events) = mpsc::channel(MEDIA_EVENTS);
        let phone = Self {
            call,
            media: media.clone(),
            port: None,
            exchange: None,
            identity: StreamIdentity::new(ids),
            attach: Some(attach),
            capabilities: sketch,
            media_events,
            events: Some(events),
            incoming: Some((offer, path)),
            answered: false,
            held: false,
            path: Some(path),
        };
        Some((phone, *request, path.flow))
    }

    /// Takes the sound back from a call that could not be answered.
    pub fn into_sound(mut self) -> Option<Sound> {
        let (audio, record) = self.attach.take()?;
        let Sketch { codecs, own_order, rtp_ports } = std::mem::take(&mut self.capabilities);
        Some(Sound { codecs, own_order, rtp_ports, audio, record })
    }

    /// The Call-ID of its messages.
    pub fn call_id(&self) -> &str {
        self.call.call_id()
    }

    /// Answers a call that came in.
    pub fn answer(&mut self, ids: &mut Ids) -> Result<(), AnswerError> {
        let Some((offer, path)) = self.incoming.take() else { return Ok(()) };
        let ip = path.flow.local.ip();
        let port = match self.media.open(ip, self.capabilities.rtp_ports.clone()) {
            Ok(port) => port,
            Err(error) => {
                self.call.reject(500)?;
                return Err(error.into());
            }
        };
        self.port = Some(port.id);
        let caps = self.capabilities.capabilities(ip, port.rtp.port(), port.rtcp.port());
        let mut exchange = Exchange::new(caps, ids.u64());
        let body = match &offer {
            Some(offer) => exchange.answer(offer),
            None => Ok(exchange.offer()),
        };
        match body {
            Ok(body) => {
                self.exchange = Some(exchange);
                self.start();
                self.call.answer(Some(body))?;
                Ok(())
            }
            Err(unfit) => {
                self.call.reject(unfit.status())?;
                Err(unfit.into())
            }
        }
    }

    /// Rings without answering.
    pub fn ring(&self) -> Result<(), Unavailable> {
        self.call.progress(180, None)
    }

    pub fn hang_up(&self) -> Result<(), Unavailable> {
        self.call.hang_up()
    }

    /// Puts the peer on hold, or takes it back; [`PhoneEvent::Changed`] or [`PhoneEvent::Refused`] tells.
    pub fn hold(&mut self, on: bool) -> Result<(), Unavailable> {
        match self.exchange.as_mut().and_then(|exchange| exchange.hold(on)) {
            Some(offer) => self.call.reoffer(offer),
            None => Ok(()),
        }
    }

    pub fn holding(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::holding)
    }

    pub fn mute(&self, muted: bool) {
        if let Some(port) = self.port
            && let Err(error) = self.media.mute(port, muted)
        {
            tracing::warn!(%error, "not muted");
        }
    }

    /// Sends DTMF (RFC 4733), after what is being sent already.
    pub fn dtmf(&self, keys: &str) -> Result<(), DtmfError> {
        match self.port {
            Some(port) => self.media.dtmf(port, keys),
            None => Ok(()),
        }
    }

    /// What the media measured so far.
    pub async fn stats(&self) -> Option<Stats> {
        self.media.stats(self.port?).await
    }

    /// Ends the media and says what it measured in all.
    pub async fn close_media(&mut self) -> Option<Closed> {
        self.media.close(self.port.take()?).await
    }

    /// What is agreed on now.
    pub fn agreed(&self) -> Option<Agreed> {
        let audio = self.exchange.as_ref()?.current()?.audio.as_ref()?;
        Some(Agreed {
            codec: audio.send_codec.to_string(),
            direction: audio.direction,
            remote: audio.remote_rtp.as_ref().and_then(|address| address.socket_addr()),
        })
    }

    /// The next thing that happens; `None` after [`PhoneEvent::Ended`]. Can be cancelled without losing any.
    pub async fn next(&mut self) -> Option<PhoneEvent> {
        loop {
            tokio::select! {
                biased;
                event = self.call.next() => {
                    let event = event?;
                    if let Some(event) = self.signalled(event) {
                        return Some(event);
                    }
                }
                Some(event) = self.media_events.recv() => return Some(PhoneEvent::Media(event)),
            }
        }
    }

    fn signalled(&mut self, event: CallEvent) -> Option<PhoneEvent> {
        match event {
            CallEvent::Moved { flow } => Some(PhoneEvent::Moved { flow }),
            CallEvent::Progress { status, reason, body, path } => {
                self.path = Some(path);
                let early = body.and_then(|body| self.agree(&body).ok()).and_then(|()| self.agreed());
                Some(PhoneEvent::Progress { status, reason, early })
            }
            CallEvent::Answered { body, path } => {
                self.path = Some(path);
                self.answered = true;
                // A 2xx without a body, after a 183 that had one, is bad manners but clear enough.
                let agreed = match (body, self.agreed()) {
                    (Some(body), _) => self.agree(&body),
                    (None, Some(_)) => Ok(()),
                    (None, None) => Err(Unfit::Unanswered),
                };
                Some(self.settle(agreed, PhoneEvent::Answered { agreed: self.agreed() }))
            }
            CallEvent::Acknowledged { body, path } => {
                self.path = Some(Path { contact: self.path.and_then(|path| path.contact), ..path });
                let first = !std::mem::replace(&mut self.answered, true);
                match self
                    .exchange
                    .as_mut()
                    .map_or(Ok(false), |exchange| exchange.acknowledged(body.as_ref()))
                {
                    Ok(new) => {
                        if new {
                            self.start();
                        }
                        match (first, new) {
                            (true, _) => Some(PhoneEvent::Answered { agreed: self.agreed() }),
                            // Only now the offer of a 2xx to an empty re-INVITE is answered.
                            (false, true) => Some(self.changed()),
                            (false, false) => None,
                        }
                    }
                    Err(unfit) => Some(self.give_up(unfit)),
                }
            }
            CallEvent::Offered { body, path } => {
                self.path = Some(path);
                self.offered(body)
            }
            CallEvent::Reanswered { body, path } => {
                self.path = Some(path);
                match body.map_or(Err(Unfit::Unanswered), |body| self.agree(&body)) {
                    Ok(()) => Some(self.changed()),
                    Err(unfit) => Some(self.give_up(unfit)),
                }
            }
            CallEvent::OfferRefused { status } => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.withdraw();
                }
                Some(PhoneEvent::Refused { status })
            }
            CallEvent::Challenged { offered, downgrade } => {
                Some(PhoneEvent::Challenged { offered, downgrade })
            }
            CallEvent::Ended { by, cause } => Some(PhoneEvent::Ended { by, cause }),
            CallEvent::OfferWithdrawn => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.lapse();
                }
                None
            }
            CallEvent::Incoming { .. } | CallEvent::Alarm => None,
        }
    }

    fn settle(&mut self, agreed: Result<(), Unfit>, event: PhoneEvent) -> PhoneEvent {
        match agreed {
            Ok(()) => match event {
                PhoneEvent::Answered { .. } => PhoneEvent::Answered { agreed: self.agreed() },
                other => other,
            },
            Err(unfit) => self.give_up(unfit),
        }
    }

    fn give_up(&mut self, unfit: Unfit) -> PhoneEvent {
        if self.call.hang_up().is_err() {
            tracing::debug!("the endpoint is gone already");
        }
        PhoneEvent::Unfit(unfit)
    }

    /// A re-INVITE: answered at once, since what we can do has not changed.
    fn offered(&mut self, body: Option<Body>) -> Option<PhoneEvent> {
        let exchange = self.exchange.as_mut()?;
        let answer = match &body {
            Some(offer) => exchange.answer(offer),
            None => Ok(exchange.offer()),
        };
        let told = match answer {
            Ok(answer) => self.call.accept_offer(Some(answer)),
            Err(unfit) => {
                tracing::debug!(%unfit, "re-INVITE refused");
                let refused = self.call.reject_offer(unfit.status());
                return refused.err().map(|_| PhoneEvent::Refused { status: None });
            }
        };
        if told.is_err() || body.is_none() {
            // Without an offer of theirs, the change comes with the ACK.
            return None;
        }
        self.start();
        Some(self.changed())
    }

    fn changed(&mut self) -> PhoneEvent {
        let audio = self.exchange.as_ref().and_then(|exchange| exchange.current()?.audio.as_ref());
        self.held = audio.is_some_and(|audio| audio.held_by_peer);
        PhoneEvent::Changed { agreed: self.agreed(), holding: self.holding(), held: self.held }
    }

    fn agree(&mut self, answer: &Body) -> Result<(), Unfit> {
        let exchange = self.exchange.as_mut().ok_or(Unfit::Unasked)?;
        exchange.accept(answer)?;
        self.start();
        Ok(())
    }

    /// Starts the media, or brings it up to what was agreed last.
    fn start(&mut self) {
        let (Some(port), Some(exchange)) = (self.port, &self.exchange) else { return };
        let Some(audio) = exchange.current().and_then(|current| current.audio.as_ref()) else { return };
        let config = self.identity.config(audio, exchange.number(), self.path.as_ref());
        let done = match self.attach.take() {
            Some((audio, record)) => {
                self.media.start(port, Start { config, audio, record, events: self.events.take() })
            }
            None => self.media.reconfigure(port, config),
        };
        if let Err(error) = done {
            // Cannot happen with one call's few commands; the call goes on, and what was agreed is shown.
            tracing::warn!(%error, "media not started");
        }
    }
}

impl Drop for PhoneCall {
    fn drop(&mut self) {
        if let Some(port) = self.port.take() {
            drop(self.media.close(port));
        }
    }
}

impl Sound {
    fn split(self) -> (Sketch, (Audio, Option<Recorder>)) {
        let Self { codecs, own_order, rtp_ports, audio, record } = self;
        (Sketch { codecs, own_order, rtp_ports }, (audio, record))
    }
}

impl Sketch {
    fn capabilities(&self, address: std::net::IpAddr, rtp_port: u16, rtcp_port: u16) -> Capabilities {
        Capabilities {
            codecs: self.codecs.clone(),
            own_order: self.own_order,
            telephone_event: true,
            ptime: 20,
            address,
            rtp_port,
            rtcp_port,
            rtcp_mux: true,
            direction: Direction::SendRecv,
        }
    }
}

/// Why a call that came in could not be answered; it has been refused.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Endpoint(#[from] Unavailable),
}

/// Media events waiting to be read at most.
const MEDIA_EVENTS: usize = 64;
