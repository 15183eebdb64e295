//! Offer and answer (RFC 3264) for one audio stream: what we can do times what the peer wants.
//!
//! * [`offer`] writes our first offer, [`answer`] answers the peer's, [`accept_answer`] reads the
//!   answer to ours; both end in [`Negotiated`].
//! * [`reoffer`] changes the direction of what is in force (hold, resume); [`reoffer_with`] offers
//!   our capabilities anew (other address, other codecs, an INVITE without SDP).
//!
//! Of several audio sections the first usable one is taken, all other sections are refused with
//! port 0. Usable is plain RTP (`RTP/AVP`, `RTP/AVPF`) to a unicast address of our family with a
//! codec in common. Payload type numbers: each side says by which numbers it wants to receive;
//! an answer of ours takes over the numbers of the offer (RFC 3264 §6.1).

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{
    Capabilities, Codec, Connection, Direction, Limits, Line, LocalOrigin, Media, Origin, Port, RtpMap,
    Session, TelephoneEvent, address_type,
};
use crate::util::text::Ip;

/// What offer and answer agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The description we gave.
    pub local: Session,
    /// The description the peer gave.
    pub remote: Session,
    /// `None` if all audio is refused or ended.
    pub audio: Option<AudioStream>,
}

/// The audio stream in force, from our point of view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioStream {
    /// Index of its section in both descriptions.
    pub line: usize,
    /// What to send, with the peer's payload type and parameters.
    pub send_codec: Codec,
    /// What may arrive, with our payload types and parameters; most preferred first.
    pub receive: Vec<Codec>,
    /// For events we send: the clock of `send_codec` if the peer takes it, else what it takes.
    pub telephone_event_send: Option<TelephoneEvent>,
    /// Events that may arrive.
    pub telephone_event_receive: Vec<TelephoneEvent>,
    /// Where to send; `None` if the peer gave `0.0.0.0` or `::`.
    pub remote_rtp: Option<TransportAddress>,
    /// Where to send RTCP; the same as `remote_rtp` with `rtcp_mux`.
    pub remote_rtcp: Option<TransportAddress>,
    /// Whether we send, whether we receive.
    pub direction: Direction,
    /// Milliseconds of audio in a packet we send.
    pub ptime: u32,
    pub rtcp_mux: bool,
    /// The peer does not take audio for now (`sendonly`, `inactive`, or the address `0.0.0.0`).
    pub held_by_peer: bool,
}

/// Host and port of media; the host may be a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransportAddress {
    pub host: String,
    pub port: u16,
}

impl TransportAddress {
    /// The address, unless the host is a name.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }
}

impl fmt::Display for TransportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// No section of the peer's description can be used: 488 for an offer, the end of the call for an
/// answer. Names the first audio section that failed, else the first section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", section(*.line))]
pub struct Refused {
    /// The `m=` section, counted from 1; 0 if it concerns all.
    pub line: usize,
    pub why: Unusable,
}

impl Refused {
    /// The code for a Warning header (RFC 3261 §20.43).
    pub const fn warning(&self) -> u16 {
        match self.why {
            Unusable::Family { .. } => 300,
            Unusable::Protocol(_) => 302,
            Unusable::Kind(_) | Unusable::Ended => 304,
            Unusable::Codecs(_) => 305,
            Unusable::Multicast => 330,
            Unusable::NoConnection | Unusable::Count { .. } | Unusable::Address(_) => 399,
        }
    }
}

/// Why a section cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("{0} is not supported, only audio is")]
    Kind(String),
    #[error("port 0, the stream is ended")]
    Ended,
    #[error("protocol {0} is not supported, only RTP/AVP is")]
    Protocol(String),
    #[error("no c= gives its address")]
    NoConnection,
    #[error("{0} is no usable address")]
    Address(String),
    #[error("multicast is not supported")]
    Multicast,
    #[error("the peer's address {theirs} is of another family than ours, {ours}")]
    Family { ours: IpAddr, theirs: IpAddr },
    #[error("no codec in common, the peer has {0}")]
    Codecs(String),
    #[error("{offered} sections offered, {answered} answered")]
    Count { offered: usize, answered: usize },
}

/// Our first offer: one audio section with all codecs.
pub fn offer(caps: &Capabilities, origin: &mut LocalOrigin) -> Session {
    let mut session = blank(caps.address);
    let (codecs, events) = numbered(caps, &[]);
    session.media.push(audio(caps, "RTP/AVP", &codecs, &events, caps.direction, caps.rtcp_mux));
    origin.stamp(session)
}

/// Answers an offer. `previous` is what was in force before, if anything: its audio section is
/// preferred over earlier ones.
///
/// An offer in which no section is in use (none at all, or all with port 0) is answered in kind,
/// without audio. If some are, but none for us, the offer is refused.
pub fn answer(
    offer: &Session,
    caps: &Capabilities,
    origin: &mut LocalOrigin,
    previous: Option<&Negotiated>,
) -> Result<Negotiated, Refused> {
    let before = previous.and_then(|p| p.audio.as_ref()).map(|audio| audio.line);
    let (local, audio) = answered(offer, caps, before)?;
    Ok(Negotiated { local: origin.stamp(local), remote: offer.clone(), audio })
}

/// The same where nothing of it is kept: the description alone, with the version that `origin` has now.
pub fn answer_once(offer: &Session, caps: &Capabilities, origin: &LocalOrigin) -> Result<Session, Refused> {
    let (local, _) = answered(offer, caps, None)?;
    Ok(Session { origin: origin.line(), ..local })
}

/// Our side of an answer, without its `o=` line; the section `before` is preferred.
fn answered(
    offer: &Session,
    caps: &Capabilities,
    before: Option<usize>,
) -> Result<(Session, Option<AudioStream>), Refused> {
    let rest = (0..offer.media.len()).filter(|index| Some(*index) != before);
    let mut chosen = None;
    let mut refused: Option<Refused> = None;
    for line in before.into_iter().chain(rest) {
        let Some(media) = offer.media.get(line) else { continue };
        match Remote::of(offer, media, caps) {
            Ok(remote) => {
                chosen = Some((line, remote));
                break;
            }
            Err(Unusable::Ended) => {}
            // What is wrong with the audio matters more than that there is video as well.
            Err(why) => {
                let is_kind = |why: &Unusable| matches!(why, Unusable::Kind(_));
                if refused.as_ref().is_none_or(|first| is_kind(&first.why) && !is_kind(&why)) {
                    refused = Some(Refused { line: line + 1, why });
                }
            }
        }
    }
    if let (None, Some(refused)) = (&chosen, refused) {
        return Err(refused);
    }

    let mut local = blank(caps.address);
    // RFC 3264 §6: the times of the answer are those of the offer.
    local.lines.retain(|line| line.kind() != 't');
    local.lines.extend(offer.lines.iter().filter(|line| line.kind() == 't').cloned());
    let mut audio = None;
    for (line, media) in offer.media.iter().enumerate() {
        match chosen.take_if(|(index, _)| *index == line) {
            Some((_, remote)) => {
                let (section, stream) = accept(line, remote, caps);
                local.media.push(section);
                audio = Some(stream);
            }
            None => local.media.push(refuse(media)),
        }
    }
    Ok((local, audio))
}

/// Reads the answer to our offer. Audio the peer refused (port 0) is `audio: None`.
pub fn accept_answer(offer: &Session, answer: &Session, caps: &Capabilities) -> Result<Negotiated, Refused> {
    if offer.media.len() != answer.media.len() {
        let why = Unusable::Count { offered: offer.media.len(), answered: answer.media.len() };
        return Err(Refused { line: 0, why });
    }
    let ours = offer.media.iter().position(|media| media.kind == "audio" && !media.port.is_zero());
    let pair = ours.and_then(|line| Some((line, offer.media.get(line)?, answer.media.get(line)?)));
    let audio = match pair {
        Some((_, _, theirs)) if theirs.port.is_zero() => None,
        Some((line, own, theirs)) => Some(
            agreed(line, offer, own, answer, theirs, caps).map_err(|why| Refused { line: line + 1, why })?,
        ),
        None => None,
    };
    Ok(Negotiated { local: offer.clone(), remote: answer.clone(), audio })
}

/// What is in force, in another direction: hold with [`Direction::held`], resume with
/// [`Direction::resumed`] of our last direction.
pub fn reoffer(previous: &Session, direction: Direction, origin: &mut LocalOrigin) -> Session {
    let mut session = previous.clone();
    session.lines.retain(|line| line.as_attribute().is_none_or(|a| Direction::parse(a.name).is_none()));
    if let Some(media) = session.media.iter_mut().find(|m| m.kind == "audio" && !m.port.is_zero()) {
        media.lines.retain(|line| line.as_attribute().is_none_or(|a| Direction::parse(a.name).is_none()));
        media.lines.push(Line::attribute(direction.as_str(), None));
    }
    origin.stamp(session)
}

/// Our capabilities offered anew within a session: sections keep their places (RFC 3264 §8), and a
/// dynamic payload type that means something already keeps its meaning (§8.3.2).
pub fn reoffer_with(previous: &Negotiated, caps: &Capabilities, origin: &mut LocalOrigin) -> Session {
    let live = |media: &&Media| media.kind == "audio" && !media.port.is_zero();
    let line = previous.audio.as_ref().map(|audio| audio.line);
    let line = line.or_else(|| previous.local.media.iter().position(|media| live(&media)));
    // A section that was given up may be offered again in its place (RFC 3264 §8.1).
    let line = line.or_else(|| previous.local.media.iter().position(|media| media.kind == "audio"));
    // So may one of another kind, but peers are used to a new one at the end: only where that would be one too many.
    let is_full = previous.local.media.len() >= Limits::default().media;
    let line = line.or_else(|| previous.local.media.iter().position(|media| is_full && media.port.is_zero()));

    let known: Vec<&Media> = [&previous.local, &previous.remote]
        .into_iter()
        .filter_map(|session| session.media.get(line?))
        .collect();
    let (codecs, events) = numbered(caps, &known);
    let plain = known.first().map(|media| media.proto.as_str()).filter(|proto| is_plain(proto));
    let proto = plain.unwrap_or("RTP/AVP");
    let section = audio(caps, proto, &codecs, &events, caps.direction, caps.rtcp_mux);

    let mut session = blank(caps.address);
    session.media = previous.local.media.iter().map(refuse).collect();
    match line.and_then(|line| session.media.get_mut(line)) {
        Some(place) => *place = section,
        None => session.media.push(section),
    }
    origin.stamp(session)
}

/// The peer's section, found usable.
struct Remote<'a> {
    session: &'a Session,
    media: &'a Media,
    /// Codecs in common under the peer's number, in the order of preference: as we receive them, and the first as we send it.
    receive: Vec<Codec>,
    send: Codec,
    events: Vec<TelephoneEvent>,
    place: Place,
}

/// Where the peer receives.
struct Place {
    rtp: Option<TransportAddress>,
    rtcp: Option<TransportAddress>,
}

impl<'a> Remote<'a> {
    fn of(session: &'a Session, media: &'a Media, caps: &Capabilities) -> Result<Self, Unusable> {
        let place = Place::of(session, media, caps.address)?;
        let mut codecs: Vec<(usize, Codec)> = Vec::with_capacity(media.formats.len().min(caps.codecs.len()));
        for number in media.payload_types() {
            let Some(map) = media.rtpmap(number) else { continue };
            let Some(index) = caps.codecs.iter().position(|codec| codec.is_map(&map)) else { continue };
            let codec = caps.codecs[index].clone();
            // The same codec under a second number (other parameters) gains nothing.
            if codecs.iter().all(|(known, ..)| *known != index) {
                codecs.push((index, Codec { payload_type: number, ..codec }));
            }
        }
        if caps.own_order {
            codecs.sort_by_key(|(index, ..)| *index);
        }
        let receive: Vec<_> = codecs.into_iter().map(|(_, codec)| codec).collect();
        let Some(first) = receive.first() else { return Err(Unusable::Codecs(names(media))) };
        let send = Codec { fmtp: media.fmtp(first.payload_type).map(str::to_owned), ..first.clone() };
        let clock = |rate| rate == 8_000 || receive.iter().any(|codec| codec.clock_rate == rate);
        let events = match caps.telephone_event {
            true => events_of(media, media).filter(|event| clock(event.clock_rate)).collect(),
            false => Vec::new(),
        };
        Ok(Self { session, media, receive, send, events, place })
    }
}

impl Place {
    /// Checks everything about a section but its codecs.
    fn of(session: &Session, media: &Media, ours: IpAddr) -> Result<Self, Unusable> {
        let port = match media.port.number() {
            Some(0) => return Err(Unusable::Ended),
            port => port,
        };
        if media.kind != "audio" {
            return Err(Unusable::Kind(media.kind.clone()));
        }
        if !is_plain(&media.proto) {
            return Err(Unusable::Protocol(media.proto.clone()));
        }
        let Some(port) = port else { return Err(Unusable::Address(media.port.to_string())) };
        let connection = session.connection(media).ok_or(Unusable::NoConnection)?;
        let rtp = Self::reach(&connection, port, ours)?;
        let rtcp = match media.rtcp() {
            Some((port, Some(other))) => Self::reach(&other, port, ours).ok().flatten(),
            Some((port, None)) => Self::reach(&connection, port, ours)?,
            None => port.checked_add(1).and_then(|port| Self::reach(&connection, port, ours).ok().flatten()),
        };
        // A peer on hold takes no RTCP either (RFC 3264 §8.4).
        let rtcp = rtcp.filter(|_| rtp.is_some());
        Ok(Self { rtp, rtcp })
    }

    /// `None` is nowhere, the hold of RFC 2543.
    fn reach(connection: &Connection, port: u16, ours: IpAddr) -> Result<Option<TransportAddress>, Unusable> {
        if connection.is_unspecified() {
            return Ok(None);
        }
        let known = matches!(connection.address_type.as_str(), "IP4" | "IP6");
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        match connection.address() {
            _ if connection.net_type != "IN" || !known => {
                return Err(Unusable::Address(connection.to_string()));
            }
            Some(ip) if ip.is_multicast() => return Err(Unusable::Multicast),
            Some(theirs) if theirs.is_ipv4() != ours.is_ipv4() => {
                return Err(Unusable::Family { ours, theirs });
            }
            Some(_) => {}
            None if connection.host().bytes().all(is_name) => {}
            None => return Err(Unusable::Address(connection.to_string())),
        }
        Ok(Some(TransportAddress { host: connection.host().to_owned(), port }))
    }
}

/// Our section of an answer, and the stream it makes.
fn accept(line: usize, remote: Remote<'_>, caps: &Capabilities) -> (Media, AudioStream) {
    let Remote { session, media, receive, send, events, place } = remote;
    let theirs = session.direction(media);
    // 0.0.0.0 with sendrecv is the sendonly of RFC 2543.
    let theirs = if place.rtp.is_none() { theirs.held() } else { theirs };
    let direction = theirs.reversed().and(caps.direction);
    let mux = caps.rtcp_mux && media.rtcp_mux();
    let mut section = audio(caps, &media.proto, &receive, &events, direction, mux);
    if mux {
        section.lines.retain(|line| line.as_attribute().is_none_or(|a| a.name != "rtcp"));
    }
    let stream = AudioStream {
        line,
        telephone_event_send: event_for(&send, &events),
        telephone_event_receive: events,
        remote_rtcp: if mux { place.rtp.clone() } else { place.rtcp },
        remote_rtp: place.rtp,
        direction,
        ptime: packet_time(media, caps.ptime, &send),
        rtcp_mux: mux,
        held_by_peer: !theirs.receives(),
        send_codec: send,
        receive,
    };
    (section, stream)
}

/// The stream that our section and its answer make.
fn agreed(
    line: usize,
    offer: &Session,
    own: &Media,
    answer: &Session,
    theirs: &Media,
    caps: &Capabilities,
) -> Result<AudioStream, Unusable> {
    let place = Place::of(answer, theirs, caps.address)?;
    let mut receive: Vec<Codec> = Vec::new();
    let mut send_codec = None;
    for number in theirs.payload_types() {
        // A dynamic number without rtpmap can only mean what we offered under it.
        let Some(map) = theirs.rtpmap(number).or_else(|| own.rtpmap(number)) else { continue };
        let Some(codec) = caps.codecs.iter().find(|codec| codec.is_map(&map)) else { continue };
        let offered = own.payload_types().find(|pt| own.rtpmap(*pt).is_some_and(|map| codec.is_map(&map)));
        let Some(offered) = offered else { continue };
        if receive.iter().any(|known| known.payload_type == offered) {
            continue;
        }
        let fmtp = |media: &Media, pt| media.fmtp(pt).map(str::to_owned);
        receive.push(Codec { payload_type: offered, fmtp: fmtp(own, offered), ..codec.clone() });
        send_codec.get_or_insert_with(|| Codec {
            payload_type: number,
            fmtp: fmtp(theirs, number),
            ..codec.clone()
        });
    }
    let send_codec = send_codec.ok_or_else(|| Unusable::Codecs(names(theirs)))?;

    let their_events: Vec<_> = events_of(theirs, own).collect();
    let answered = |event: &TelephoneEvent| their_events.iter().any(|e| e.clock_rate == event.clock_rate);
    let telephone_event_receive: Vec<_> = events_of(own, own).filter(answered).collect();
    let their_direction = answer.direction(theirs);
    let their_direction = if place.rtp.is_none() { their_direction.held() } else { their_direction };
    let offered = offer.direction(own);
    let mux = own.rtcp_mux() && theirs.rtcp_mux();
    Ok(AudioStream {
        line,
        telephone_event_send: match telephone_event_receive.is_empty() {
            // What we did not offer was not accepted either.
            true => None,
            false => event_for(&send_codec, &their_events),
        },
        telephone_event_receive,
        remote_rtcp: if mux { place.rtp.clone() } else { place.rtcp },
        remote_rtp: place.rtp,
        direction: offered.and(their_direction.reversed()),
        ptime: packet_time(theirs, caps.ptime, &send_codec),
        rtcp_mux: mux,
        held_by_peer: offered.sends() && !their_direction.receives(),
        send_codec,
        receive,
    })
}

/// Our codecs and events with numbers for an offer. Numbers that have a meaning in `known` keep it;
/// no number gets two.
fn numbered(caps: &Capabilities, known: &[&Media]) -> (Vec<Codec>, Vec<TelephoneEvent>) {
    let find = |wanted: &dyn Fn(&RtpMap<'_>) -> bool| {
        known.iter().find_map(|media| {
            media.payload_types().find(|pt| media.rtpmap(*pt).is_some_and(|map| wanted(&map)))
        })
    };
    let mut numbers = Numbers { used: known.iter().flat_map(|media| media.payload_types()).collect() };
    let mut codecs: Vec<Codec> = Vec::new();
    let mut clocks: Vec<u32> = Vec::new();
    for codec in &caps.codecs {
        if codecs.iter().any(|known| known.is_codec(codec)) {
            continue;
        }
        let number = find(&|map| codec.is_map(map)).or_else(|| numbers.take(codec.payload_type));
        let Some(payload_type) = number else { continue };
        codecs.push(Codec { payload_type, ..codec.clone() });
        if !clocks.contains(&codec.clock_rate) {
            clocks.push(codec.clock_rate);
        }
    }
    let events = |clock_rate| {
        let is_event = |map: &RtpMap<'_>| is_event(map) && map.clock_rate == clock_rate;
        let payload_type = find(&is_event).or_else(|| numbers.take(101))?;
        Some(TelephoneEvent { payload_type, clock_rate })
    };
    // RFC 4733 §2.1: events share the clock of the audio. 8000 Hz first, for peers that look at one.
    clocks.sort_unstable();
    let clocks = clocks.into_iter().filter(|_| caps.telephone_event);
    let events = clocks.filter_map(events).collect();
    (codecs, events)
}

/// Payload type numbers in use.
struct Numbers {
    used: Vec<u8>,
}

impl Numbers {
    /// The wanted number, else the next free dynamic one (RFC 3551 §3), else none.
    fn take(&mut self, wanted: u8) -> Option<u8> {
        let free = |number: &u8| *number < 128 && !self.used.contains(number);
        let number = Some(wanted).filter(free).or_else(|| (wanted.max(96)..128).chain(96..128).find(free))?;
        self.used.push(number);
        Some(number)
    }
}

/// A description with nothing in it: our address, no name, unbounded time (RFC 3264 §5).
fn blank(address: IpAddr) -> Session {
    Session {
        // Filled in by `LocalOrigin::stamp`.
        origin: Origin {
            username: "-".into(),
            session_id: String::new(),
            version: String::new(),
            net_type: String::new(),
            address_type: String::new(),
            address: String::new(),
        },
        name: Some("-".into()),
        lines: vec![
            Line::of('c', format_args!("IN {} {}", address_type(address), Ip(address))),
            Line::new('t', "0 0"),
        ],
        media: Vec::new(),
    }
}

fn audio(
    caps: &Capabilities,
    proto: &str,
    codecs: &[Codec],
    events: &[TelephoneEvent],
    direction: Direction,
    mux: bool,
) -> Media {
    let mut media = Media {
        kind: "audio".into(),
        port: Port::Number(caps.rtp_port),
        proto: proto.into(),
        formats: Vec::with_capacity(codecs.len() + events.len()),
        lines: Vec::with_capacity(2 * (codecs.len() + events.len()) + 4),
    };
    let mut say = |value: fmt::Arguments<'_>| media.lines.push(Line::of('a', value));
    for codec in codecs {
        let number = codec.payload_type;
        media.formats.push(number.to_string());
        say(format_args!("rtpmap:{number} {codec}"));
        if let Some(fmtp) = &codec.fmtp {
            say(format_args!("fmtp:{number} {fmtp}"));
        }
    }
    for TelephoneEvent { payload_type, clock_rate } in events {
        media.formats.push(payload_type.to_string());
        say(format_args!("rtpmap:{payload_type} telephone-event/{clock_rate}"));
        // The DTMF events (RFC 4733 §3.2).
        say(format_args!("fmtp:{payload_type} 0-15"));
    }
    say(format_args!("ptime:{}", caps.ptime));
    // RFC 3605: said only if it is not the port after RTP's. With an offer of rtcp-mux it is for
    // a peer that does not take that (RFC 5761 §5.1.1).
    if caps.rtp_port.checked_add(1) != Some(caps.rtcp_port) {
        say(format_args!("rtcp:{}", caps.rtcp_port));
    }
    if mux {
        media.lines.push(Line::attribute("rtcp-mux", None));
    }
    media.lines.push(Line::attribute(direction.as_str(), None));
    media
}

/// A section with port 0: same place, same kind, protocol and formats (RFC 3264 §6).
fn refuse(media: &Media) -> Media {
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let mut formats = media.formats.clone();
    if formats.is_empty() {
        formats.push("0".into());
    }
    Media {
        kind: media.kind.clone(),
        port: Port::Number(0),
        proto: or(&media.proto, "RTP/AVP"),
        formats,
        lines: Vec::new(),
    }
}

/// Plain RTP. AVPF only allows feedback earlier and more kinds of it (RFC 4585 §3), so a peer that
/// sends none is served as well.
fn is_plain(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("RTP/AVP") || proto.eq_ignore_ascii_case("RTP/AVPF")
}

fn is_event(map: &RtpMap<'_>) -> bool {
    map.encoding.eq_ignore_ascii_case("telephone-event")
}

/// The events of a section; numbers without rtpmap are looked up in `other`.
fn events_of<'a>(media: &'a Media, other: &'a Media) -> impl Iterator<Item = TelephoneEvent> + 'a {
    media
        .payload_types()
        .filter_map(|pt| media.rtpmap(pt).or_else(|| other.rtpmap(pt)))
        .filter(is_event)
        .map(|map| TelephoneEvent { payload_type: map.payload_type, clock_rate: map.clock_rate })
}

/// Events want the clock of the audio they interrupt (RFC 4733 §2.1); peers that offer Opus with
/// 8000 Hz events only take those.
fn event_for(codec: &Codec, events: &[TelephoneEvent]) -> Option<TelephoneEvent> {
    let same = events.iter().find(|event| event.clock_rate == codec.clock_rate);
    same.or_else(|| events.first()).copied()
}

/// Milliseconds per packet: the receiver's wish if we can keep it, within its maximum (RFC 8866
/// §6.4, §6.5).
fn packet_time(theirs: &Media, own: u32, codec: &Codec) -> u32 {
    let usable = |ms: &u32| (10..=60).contains(ms) && ms.is_multiple_of(10);
    let wish = theirs.ptime().filter(usable).unwrap_or(if usable(&own) { own } else { 20 });
    let limit = theirs.maxptime().filter(|ms| *ms >= 10).unwrap_or(60);
    let time = wish.min(limit / 10 * 10);
    // Opus has frames of 10, 20, 40 and 60 ms (RFC 6716 §2.1.4).
    match time {
        30 if codec.is("opus") => 20,
        50 if codec.is("opus") => 40,
        time => time,
    }
}

/// The head of a [`Refused`] message.
fn section(line: usize) -> String {
    if line == 0 { String::new() } else { format!("media section {line}: ") }
}

/// The encodings of a section, for the message that none of them is ours.
fn names(media: &Media) -> String {
    let name = |format: &String| {
        let map = format.parse().ok().and_then(|pt| media.rtpmap(pt));
        map.map_or_else(|| format.clone(), |map| format!("{}/{}", map.encoding, map.clock_rate))
    };
    media.formats.iter().take(8).map(name).collect::<Vec<_>>().join(", ")
}
