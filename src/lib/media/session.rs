//! One audio stream of a call, both ways, without IO: packets and sound in, packets and sound out.
//!
//! The driver owns the sockets and the beat. It calls [`Session::receive`] for each datagram, [`Session::frame`] with
//! one packet time of sound, [`Session::playout`] for each 10 ms or so of sound to hear, and [`Session::advance`] when
//! [`Session::deadline`] has come. What is to be sent is put into an [`Outgoing`] that the driver empties and uses again.
//!
//! RFC 3550, RFC 3551 (marker), RFC 3264 §8.4 (held streams), RFC 4733, RFC 5761. Nothing from a stranger is heard;
//! who is one, [`latch`](super::latch) decides. While the direction forbids sending, nothing but RTCP is sent.

mod config;
mod outgoing;

use std::{collections::VecDeque, net::SocketAddr};

pub use config::{Config, Direction, Format, SessionError, TelephoneEvent};
use config::{check, frame_len, ptime_ms, rate};
pub use outgoing::{Destination, Outgoing};

use crate::{
    media::{
        codec::{Codec, Encoder, MAX_PAYLOAD},
        dtmf::{self, DtmfError, Tone},
        latch::{Latch, Verdict},
        level::Level,
        playout::Playout,
        rtcp::{self, Control, Said, SenderInfo},
        rtp,
        source::{Arrival, Source},
        stats::{Received, Sent, Stats},
    },
    time::{Duration, Instant},
};

/// What happened, for whoever cares; at most [`MAX_EVENTS`] wait, later ones are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first RTP packet that was not a stranger's.
    FirstRtp {
        from: SocketAddr,
    },
    /// The peer pressed a key.
    Dtmf {
        digit: char,
        duration_ms: u32,
    },
    /// Media now goes to this address instead of the described one.
    Latched {
        to: SocketAddr,
    },
    /// Another payload type is heard, or the first one.
    CodecChanged {
        payload_type: u8,
        codec: Codec,
    },
    RemoteSsrcChanged {
        from: u32,
        to: u32,
    },
}

/// What [`Session::reconfigure`] changed for the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// [`Session::rate`] is another: sources and sinks have to be made anew.
    pub rate: bool,
    /// [`Session::frame_len`] is another.
    pub frame: bool,
}

/// The stream.
pub struct Session {
    config: Config,
    rate: u32,
    ptime_ms: u32,
    muted: bool,
    sending: Sending,
    receiving: Receiving,
    latch: Latch,
    /// Where the peer's RTCP was seen to come from, if its RTP was latched to another IP.
    rtcp_source: Option<SocketAddr>,
    control: Control,
    /// Packets sent at the last two reports: whoever sent since the one before last is a sender (RFC 3550 §6.2.1).
    sent_at_reports: [u64; 2],
    received_at_report: u64,
    events: VecDeque<Event>,
    stats: Stats,
}

/// The half that makes packets.
struct Sending {
    encoder: Option<Encoder>,
    payload: Vec<u8>,
    silence: Vec<i16>,
    sequence: u16,
    /// Of the next frame.
    timestamp: u32,
    last_frame: Option<Instant>,
    /// The next audio packet begins a talkspurt (RFC 3551 §4.1).
    marker: bool,
    dtmf: dtmf::Sender,
    level: Level,
    /// Of this SSRC, as sender reports count them.
    packets: u32,
    octets: u32,
    /// Whether anything was ever sent: if not there is nothing to say goodbye to.
    spoke: bool,
}

/// The half that takes them.
struct Receiving {
    source: Option<Source>,
    /// Another SSRC and the number its second packet must have.
    candidate: Option<(u32, u16)>,
    last_heard: Option<Instant>,
    /// What sources before this one lost, had reordered and repeated.
    before: [u64; 3],
    playout: Playout,
    dtmf: dtmf::Receiver,
    dtmf_ssrc: Option<u32>,
    level: Level,
}

impl Session {
    /// # Errors
    /// [`SessionError`] if a codec is not in this build or a payload type cannot be used.
    pub fn new(now: Instant, config: Config) -> Result<Self, SessionError> {
        check(&config)?;
        let rate = rate(&config);
        let ptime_ms = ptime_ms(&config);
        let mut random = config.seed;
        let first = rtcp::splitmix(&mut random);
        let dice = rtcp::splitmix(&mut random);
        Ok(Self {
            rate,
            ptime_ms,
            muted: false,
            sending: Sending {
                encoder: config.send.map(|format| Encoder::new(format.codec, format.tuning)).transpose()?,
                payload: vec![0; MAX_PAYLOAD],
                silence: vec![0; frame_len(rate, ptime_ms)],
                sequence: first as u16,
                timestamp: (first >> 32) as u32,
                last_frame: None,
                marker: true,
                dtmf: dtmf::Sender::new(),
                level: Level::new(rate),
                packets: 0,
                octets: 0,
                spoke: false,
            },
            receiving: Receiving {
                source: None,
                candidate: None,
                last_heard: None,
                before: [0; 3],
                playout: Playout::new(rate, &config.receive)?,
                dtmf: dtmf::Receiver::default(),
                dtmf_ssrc: None,
                level: Level::new(rate),
            },
            latch: Latch::new(config.remote_rtp, config.nat),
            rtcp_source: None,
            control: Control::new(now, config.local_ssrc, &config.cname, config.ntp_epoch, dice),
            sent_at_reports: [0; 2],
            received_at_report: 0,
            events: VecDeque::new(),
            stats: Stats::default(),
            config,
        })
    }

    /// Takes over what a new offer/answer exchange agreed on; sequence numbers, timestamps and statistics go on.
    ///
    /// # Errors
    /// [`SessionError`] as for [`Session::new`]; the session is unchanged then.
    pub fn reconfigure(&mut self, now: Instant, config: Config) -> Result<Change, SessionError> {
        check(&config)?;
        let (new_rate, new_ptime) = (rate(&config), ptime_ms(&config));
        let change = Change {
            rate: new_rate != self.rate,
            frame: frame_len(new_rate, new_ptime) != frame_len(self.rate, self.ptime_ms),
        };
        let coding = |config: &Config| config.send.map(|format| (format.codec, format.tuning));
        // Everything that can fail first.
        let encoder = (coding(&config) != coding(&self.config))
            .then(|| coding(&config).map(|(codec, tuning)| Encoder::new(codec, tuning)).transpose())
            .transpose()?;
        let playout = (change.rate || config.receive != self.config.receive)
            .then(|| Playout::new(new_rate, &config.receive))
            .transpose()?;
        if let Some(encoder) = encoder {
            self.sending.encoder = encoder;
        }
        if let Some(playout) = playout {
            self.receiving.playout = playout;
        }
        if change.rate {
            self.sending.level = Level::new(new_rate);
            self.receiving.level = Level::new(new_rate);
        }
        let old = std::mem::replace(&mut self.config, config);
        (self.rate, self.ptime_ms) = (new_rate, new_ptime);
        self.sending.silence.resize(frame_len(new_rate, new_ptime), 0);
        self.sending.marker = true;
        if !self.config.direction.receives() {
            self.receiving.playout.silence();
        }
        if self.config.telephone_event.send != old.telephone_event.send {
            self.sending.dtmf.clear();
        }
        let here = &self.config;
        if (here.exchange, here.remote_rtp, here.nat) != (old.exchange, old.remote_rtp, old.nat) {
            self.latch = Latch::new(here.remote_rtp, here.nat);
            self.rtcp_source = None;
        }
        if here.local_ssrc != old.local_ssrc || here.cname != old.cname {
            let mut random = here.seed;
            let first = rtcp::splitmix(&mut random);
            let dice = rtcp::splitmix(&mut random);
            self.control = Control::new(now, here.local_ssrc, &here.cname, here.ntp_epoch, dice);
            if here.local_ssrc != old.local_ssrc {
                self.sending.sequence = first as u16;
                self.sending.timestamp = (first >> 32) as u32;
                (self.sending.packets, self.sending.octets) = (0, 0);
                self.sending.spoke = false;
            }
        }
        Ok(change)
    }

    /// Hz of all sound in and out: the send codec's rate.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// How much sound a packet carries.
    pub fn ptime(&self) -> Duration {
        Duration::from_millis(self.ptime_ms.into())
    }

    /// Samples [`Session::frame`] takes.
    pub fn frame_len(&self) -> usize {
        frame_len(self.rate, self.ptime_ms)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sends silence instead of what it is given.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Takes one datagram from either socket: RTP and RTCP are told apart by what they are (RFC 5761 §4).
    pub fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if rtp::is_rtcp(bytes) {
            return self.receive_rtcp(now, from, bytes);
        }
        let Ok(packet) = rtp::Packet::parse(bytes) else {
            let known = self.latch.knows_ip(from.ip());
            *(if known { &mut self.stats.malformed } else { &mut self.stats.strangers }) += 1;
            return;
        };
        let codec = number_of(&self.config.receive, packet.payload_type);
        let event_clock = number_of(&self.config.telephone_event.receive, packet.payload_type);
        match self.latch.judge(from, codec.is_some() || event_clock.is_some()) {
            Verdict::Stranger => {
                self.stats.strangers += 1;
                return;
            }
            Verdict::Latched if self.latch.sdp() != self.latch.latched() => {
                self.tell(Event::Latched { to: from })
            }
            Verdict::Accept | Verdict::Latched | Verdict::Unnegotiated => {}
        }
        let Some(clock) = codec.map(Codec::clock).or(event_clock) else {
            self.stats.unnegotiated += 1;
            // Its number is not lost, though.
            if let Some(source) = self.receiving.source.as_mut().filter(|source| source.ssrc == packet.ssrc)
                && let Arrival::Fresh(number) = source.arrive(packet.sequence)
            {
                self.receiving.playout.insert_other(number);
            }
            return;
        };
        if self.stats.received.packets == 0 {
            self.tell(Event::FirstRtp { from });
        }
        if let Some(clock) = event_clock {
            self.receive_event(now, &packet, clock);
        }
        let Some(arrival) = self.arrive(now, &packet, clock, codec.is_some()) else { return };
        let number = match arrival {
            Arrival::Fresh(number) => number,
            Arrival::Restarted(number) => {
                self.receiving.playout.restart();
                number
            }
            Arrival::Duplicate | Arrival::Rejected => return,
        };
        self.stats.received.packets += 1;
        self.stats.received.octets += packet.payload.len() as u64;
        let receives = self.config.direction.receives();
        let Receiving { source, playout, .. } = &mut self.receiving;
        match (codec, source) {
            (Some(codec), Some(source)) => {
                source.set_clock(codec.clock());
                source.timing(now, packet.timestamp);
                if receives {
                    playout.insert(now, number, packet.timestamp, packet.payload_type, packet.payload);
                }
            }
            _ => playout.insert_other(number),
        }
    }

    /// Takes one packet time of sound ([`Session::frame_len`] samples), puts what is to be sent into `out`.
    ///
    /// To be called on each beat, also while held: time passes for the stream. Sound of another length is not sent.
    pub fn frame(&mut self, now: Instant, pcm: &[i16], out: &mut Outgoing) {
        let clock = self.send_clock();
        let units = self.ptime_ms * clock / 1000;
        self.catch_up(now, clock);
        let timestamp = self.sending.timestamp;
        self.sending.timestamp = timestamp.wrapping_add(units);
        let (Some(format), Some(to)) = (self.config.send, self.send_to()) else {
            self.sending.marker = true;
            return;
        };
        if pcm.len() != self.frame_len() {
            return;
        }
        if let Some((payload_type, event_clock)) = self.config.telephone_event.send {
            let event_units = (u64::from(self.ptime_ms) * u64::from(event_clock) / 1000) as u32;
            if let Some(report) = self.sending.dtmf.advance(timestamp, self.ptime(), event_units) {
                let payload = report.payload.bytes();
                for copy in 0..report.copies {
                    let marker = report.marker && copy == 0;
                    self.send(payload_type, marker, report.timestamp, &payload, to, out);
                }
                // Sound stops for a key, so a new talkspurt follows.
                self.sending.marker = true;
                return;
            }
        }
        let Sending { encoder, payload, silence, level, .. } = &mut self.sending;
        let pcm = if self.muted { silence.as_slice() } else { pcm };
        level.measure(pcm);
        let Some(Ok(len)) = encoder.as_mut().map(|encoder| encoder.encode(pcm, payload)) else { return };
        let payload = std::mem::take(&mut self.sending.payload);
        let marker = std::mem::replace(&mut self.sending.marker, false);
        self.send(format.payload_type, marker, timestamp, payload.get(..len).unwrap_or_default(), to, out);
        self.sending.payload = payload;
    }

    /// Fills `out` (a multiple of 10 ms) with what is heard next.
    pub fn playout(&mut self, now: Instant, out: &mut [i16]) {
        if !self.config.direction.receives() {
            out.fill(0);
            self.receiving.level.rest(out.len());
            return;
        }
        self.receiving.playout.read(now, out);
        if self.receiving.source.is_some() {
            self.receiving.level.measure(out);
        }
        if let Some((payload_type, codec)) = self.receiving.playout.take_change() {
            self.tell(Event::CodecChanged { payload_type, codec });
        }
    }

    /// Queues keys to send, see [`dtmf::parse`].
    ///
    /// # Errors
    /// [`DtmfError`] if the peer does not take telephone-event, nothing may be sent now, or too much waits already.
    pub fn dtmf(&mut self, tones: &[Tone]) -> Result<(), DtmfError> {
        if self.config.telephone_event.send.is_none() || self.config.send.is_none() {
            return Err(DtmfError::NotNegotiated);
        }
        if !self.config.direction.sends() {
            return Err(DtmfError::Held);
        }
        self.sending.dtmf.queue(tones)
    }

    /// Whether keys are being sent or wait.
    pub fn is_dialling(&self) -> bool {
        self.sending.dtmf.is_busy()
    }

    /// When [`Session::advance`] has something to do.
    pub fn deadline(&self) -> Instant {
        let control = self.control.deadline();
        self.receiving.dtmf.deadline().map_or(control, |dtmf| dtmf.min(control))
    }

    /// Does what is due: RTCP, and keys whose release was lost.
    pub fn advance(&mut self, now: Instant, out: &mut Outgoing) {
        if let Some(pressed) = self.receiving.dtmf.advance(now) {
            self.tell_pressed(pressed);
        }
        if self.control.deadline() <= now {
            self.report(now, false, out);
        }
    }

    /// The last report, with BYE; nothing is to be sent after it.
    pub fn bye(&mut self, now: Instant, out: &mut Outgoing) {
        // RFC 3550 §6.3.7: whoever never sent anything must not send BYE.
        if self.sending.spoke {
            self.report(now, true, out);
        }
    }

    /// The network refused a packet of ours: counted, no more; the call may well live.
    pub fn icmp_error(&mut self) {
        self.stats.icmp_errors += 1;
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was measured so far.
    pub fn stats(&self) -> Stats {
        let Receiving { source, before: [lost, reordered, duplicates], playout, level, .. } = &self.receiving;
        let about_us = self.control.about_us();
        let counters = playout.counters();
        let clock = f64::from(self.send_clock());
        let source = source.as_ref();
        Stats {
            sent: Sent {
                lost: about_us.map(|report| report.lost.max(0) as u64),
                jitter_ms: about_us.map(|report| f64::from(report.jitter) * 1000.0 / clock),
                level_dbfs: self.sending.level.dbfs(),
                mean_level_dbfs: self.sending.level.mean_dbfs(),
                ..self.stats.sent.clone()
            },
            received: Received {
                lost: source.map(|source| lost + source.lost()),
                reordered: source.map(|source| reordered + source.reordered()),
                duplicates: source.map(|source| duplicates + source.duplicates()),
                jitter_ms: source.and_then(Source::jitter_time).map(millis),
                level_dbfs: level.dbfs(),
                mean_level_dbfs: level.mean_dbfs(),
                discarded: source.map(|_| counters.late + counters.discarded + playout.undecodable()),
                concealed_ms: source.map(|_| millis(playout.concealed())),
                delay_ms: source.map(|_| millis(playout.target())),
                ..self.stats.received.clone()
            },
            round_trip: self.control.round_trip(),
            ..self.stats.clone()
        }
    }

    /// Where RTP goes now, if anywhere: `None` while held or without a usable address.
    pub fn send_to(&self) -> Option<SocketAddr> {
        self.latch.destination().filter(|&to| self.config.direction.sends() && usable(to))
    }

    fn receive_rtcp(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if !self.latch.knows_ip(from.ip()) {
            self.stats.strangers += 1;
            return;
        }
        let (control, encoder, ours) = (&mut self.control, &mut self.sending.encoder, self.config.local_ssrc);
        let heard = rtcp::read(bytes, |said| {
            if let (Said::Report(report), Some(encoder)) = (said, encoder.as_mut())
                && report.about == ours
            {
                encoder.expect_loss((u16::from(report.fraction_lost) * 100 / 256) as u8);
            }
            control.hear(now, said);
        });
        if heard.is_err() {
            self.stats.malformed += 1;
            return;
        }
        self.control.weigh(bytes.len());
        if self.latch.latched().is_some_and(|latched| latched.ip() == from.ip().to_canonical()) {
            self.rtcp_source.get_or_insert(from);
        }
    }

    fn receive_event(&mut self, now: Instant, packet: &rtp::Packet<'_>, clock: u32) {
        let changed = self.receiving.dtmf_ssrc.replace(packet.ssrc).is_some_and(|ssrc| ssrc != packet.ssrc);
        let before = if changed { self.receiving.dtmf.restart() } else { None };
        let pressed = self.receiving.dtmf.receive(now, packet.timestamp, clock, packet.payload);
        before.into_iter().chain(pressed).for_each(|pressed| self.tell_pressed(pressed));
    }

    /// Finds the packet's place in its stream; `None` if it is of a stream we do not follow (yet).
    fn arrive(&mut self, now: Instant, packet: &rtp::Packet<'_>, clock: u32, sound: bool) -> Option<Arrival> {
        let Receiving { source, candidate, last_heard, before, playout, .. } = &mut self.receiving;
        match source {
            Some(source) if source.ssrc == packet.ssrc => {
                *candidate = None;
                *last_heard = Some(now);
                return Some(source.arrive(packet.sequence));
            }
            Some(old) => {
                // A gateway may send keys under an SSRC of their own: heard, but not followed.
                if !sound {
                    return None;
                }
                // RFC 3550 A.1's probation, two in sequence, so that two streams at once do not tear the sound
                // apart packet by packet; not needed when the old one has gone quiet.
                let quiet = last_heard.is_none_or(|heard| now.since(heard) > QUIET);
                // §8.2: our own SSRC is our own sound in a loop. It is heard as long as nobody else speaks
                // (that is what an echo test is for), but whoever does takes its place and keeps it.
                let ours = self.config.local_ssrc;
                if packet.ssrc == ours && !quiet {
                    return None;
                }
                if old.ssrc != ours && !quiet && *candidate != Some((packet.ssrc, packet.sequence)) {
                    *candidate = Some((packet.ssrc, packet.sequence.wrapping_add(1)));
                    return None;
                }
                let from = old.ssrc;
                for (sum, part) in before.iter_mut().zip([old.lost(), old.reordered(), old.duplicates()]) {
                    *sum += part;
                }
                playout.restart();
                self.received_at_report = self.stats.received.packets;
                self.tell(Event::RemoteSsrcChanged { from, to: packet.ssrc });
            }
            None => {}
        }
        let mut source = Source::new(packet.ssrc, packet.sequence, clock);
        let arrival = source.arrive(packet.sequence);
        self.receiving.source = Some(source);
        self.receiving.candidate = None;
        self.receiving.last_heard = Some(now);
        Some(arrival)
    }

    /// If beats were missed for long, the timestamp leaps over them, so that it keeps to real time.
    fn catch_up(&mut self, now: Instant, clock: u32) {
        if let Some(last) = self.sending.last_frame {
            let missed = now.since(last).saturating_sub(self.ptime());
            if missed > MISSED {
                let units = missed.as_micros() * u128::from(clock) / 1_000_000;
                self.sending.timestamp = self.sending.timestamp.wrapping_add(units as u32);
                self.sending.marker = true;
            }
        }
        self.sending.last_frame = Some(now);
    }

    fn send(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        to: SocketAddr,
        out: &mut Outgoing,
    ) {
        let Sending { sequence, packets, octets, spoke, .. } = &mut self.sending;
        let ssrc = self.config.local_ssrc;
        rtp::Packet { payload_type, marker, sequence: *sequence, timestamp, ssrc, payload }
            .write(&mut out.bytes);
        out.end(Destination::Rtp, to);
        *sequence = sequence.wrapping_add(1);
        *packets = packets.wrapping_add(1);
        *octets = octets.wrapping_add(payload.len() as u32);
        *spoke = true;
        self.stats.sent.packets += 1;
        self.stats.sent.octets += payload.len() as u64;
    }

    /// Sends a compound RTCP packet, or lets its time pass if there is nowhere to send it to.
    fn report(&mut self, now: Instant, bye: bool, out: &mut Outgoing) {
        let sent = self.stats.sent.packets;
        let is_sender = sent > self.sent_at_reports[1];
        self.sent_at_reports = [sent, self.sent_at_reports[0]];
        let clock = u128::from(self.send_clock());
        let since = self.sending.last_frame.map_or(Duration::ZERO, |last| now.since(last));
        let sender = is_sender.then(|| SenderInfo {
            rtp: self.sending.timestamp.wrapping_add((since.as_micros() * clock / 1_000_000) as u32),
            packets: self.sending.packets,
            octets: self.sending.octets,
        });
        let received = self.stats.received.packets;
        let heard_since = received > self.received_at_report;
        self.received_at_report = received;
        let about = self.receiving.source.as_mut().filter(|_| heard_since).map(|source| rtcp::Report {
            reporter: self.config.local_ssrc,
            about: source.ssrc,
            fraction_lost: source.fraction_lost(),
            lost: source.lost().min(i32::MAX as u64) as i32,
            highest: source.highest(),
            jitter: source.jitter(),
            last_sr: 0,
            since_last_sr: 0,
        });
        let Some((destination, to)) = self.rtcp_to() else {
            self.control.write(now, sender, about, bye, &mut Vec::new());
            return;
        };
        self.control.write(now, sender, about, bye, &mut out.bytes);
        out.end(destination, to);
        self.sending.spoke = true;
    }

    fn rtcp_to(&self) -> Option<(Destination, SocketAddr)> {
        let config = &self.config;
        // A refused stream (port 0) has no RTCP either.
        config.remote_rtp.filter(|rtp| rtp.port() != 0)?;
        let to = if config.rtcp_mux {
            (Destination::Rtp, self.latch.destination()?)
        } else {
            let moved = self
                .latch
                .latched()
                .zip(self.latch.sdp())
                .is_some_and(|(latched, sdp)| latched.ip() != sdp.ip());
            // Behind a NAT the RTCP port has a mapping of its own, known once something came from it.
            let to = if moved {
                self.rtcp_source?
            } else {
                config.remote_rtcp.or_else(|| next_port(config.remote_rtp?))?
            };
            (Destination::Rtcp, to)
        };
        usable(to.1).then_some(to)
    }

    fn send_clock(&self) -> u32 {
        self.config.send.map_or(self.rate, |format| format.codec.clock())
    }

    fn tell_pressed(&mut self, pressed: dtmf::Pressed) {
        self.tell(Event::Dtmf { digit: pressed.key, duration_ms: pressed.duration_ms });
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}

fn number_of<T: Copy>(numbers: &[(u8, T)], payload_type: u8) -> Option<T> {
    numbers.iter().find(|&&(number, _)| number == payload_type).map(|&(_, what)| what)
}

fn next_port(addr: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(addr.ip(), addr.port().checked_add(1)?))
}

/// Port 0 and the unspecified address mean "send nothing" (RFC 3264 §5.1, §8.4).
fn usable(addr: SocketAddr) -> bool {
    addr.port() != 0 && !addr.ip().is_unspecified()
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Events that may wait.
pub const MAX_EVENTS: usize = 64;

/// A source that has said nothing for so long may be replaced at once.
const QUIET: Duration = Duration::from_millis(200);
/// Beats missed for less are made up for by the driver.
const MISSED: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
