//! A call from INVITE to result, as `sip-call` runs it: its events told, its keys obeyed, its limits kept.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    auth::Verdict,
    endpoint::media::MediaEvent,
    media::{session, stats::Stats},
    phone::call::{Agreed, PhoneCall, PhoneEvent},
    resolve::LookupError,
    stack,
    transport::{Flow, FlowError, Target},
    ua::call::{By, Cause},
};

use super::{
    Context, Event, ExitStatus, Failure, Key, Keys, View, Why,
    account::CallTimes,
    ask,
    event::{self, MediaSummary, Party, Way, milliseconds},
    live,
    value::{DtmfScript, DtmfStep},
};

/// One call being run.
pub(super) struct Conversation<'a> {
    cx: &'a Context,
    call: PhoneCall,
    call_id: String,
    peer: String,
    remote: Target,
    times: CallTimes,
    script: VecDeque<DtmfStep>,
    /// When the INVITE went or came.
    began: Instant,
    answered: Option<Instant>,
    progress: Progress,
    ending: Option<Ending>,
    muted: bool,
    held: bool,
    codec: Option<String>,
    statistics: Option<Stats>,
    told_holding: bool,
    told_held: bool,
    /// They call us.
    incoming: bool,
    /// Who we said we are, calling.
    from: String,
}

/// How far the unanswered call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing heard of the peer.
    Silence,
    Trying,
    Ringing,
}

/// Why we are ending the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// `--duration` is over, or `q`.
    Done,
    RingTimeout,
    Stop(Why),
    Unfit,
}

impl<'a> Conversation<'a> {
    pub fn new(
        cx: &'a Context,
        call: PhoneCall,
        peer: String,
        remote: Target,
        times: CallTimes,
        dtmf: Option<DtmfScript>,
    ) -> Self {
        let call_id = call.call_id().to_owned();
        cx.out.summary(|summary| {
            summary.call_id = Some(call_id.clone());
            summary.remote = Some(remote.addr.to_string());
        });
        Self {
            cx,
            call,
            call_id,
            peer,
            remote,
            times,
            script: dtmf.map(|script| script.0.into()).unwrap_or_default(),
            began: Instant::now(),
            answered: None,
            progress: Progress::Silence,
            ending: None,
            muted: false,
            held: false,
            codec: None,
            statistics: None,
            told_holding: false,
            told_held: false,
            incoming: false,
            from: String::new(),
        }
    }

    /// A call of ours whose INVITE leaves by this flow.
    pub fn calling(mut self, from: String, flow: &Flow) -> Self {
        self.from = from;
        self.goes_by(flow);
        self
    }

    /// A call of theirs that was just answered.
    pub fn answering(mut self) -> Self {
        self.incoming = true;
        self
    }

    /// Runs the call to its end.
    pub async fn run(mut self) -> Result<(), Failure> {
        let mut keys = self.cx.keys();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut report = tokio::time::interval_at((Instant::now() + REPORT).into(), REPORT);
        let mut digits_at: Option<tokio::time::Instant> = None;
        let mut leave_at: Option<tokio::time::Instant> = None;
        let outcome = loop {
            let limit = self.limit();
            tokio::select! {
                biased;
                event = self.call.next() => match event {
                    Some(PhoneEvent::Ended { by, cause }) => break self.ended(by, cause),
                    Some(event) => {
                        let before = self.answered.is_some();
                        self.event(event);
                        if !before && self.answered.is_some() {
                            digits_at = Some(tokio::time::Instant::now());
                        }
                    }
                    None => break Err(Failure::new(ExitStatus::Defect, "the endpoint stopped in mid-call")),
                },
                why = self.cx.stop.requested(), if self.ending.is_none() => self.end(Ending::Stop(why)),
                () = at(limit), if self.ending.is_none() => {
                    self.end(if self.answered.is_some() { Ending::Done } else { Ending::RingTimeout });
                }
                () = at(leave_at) => break self.abandoned(),
                () = at(digits_at) => digits_at = self.dial_on(),
                key = pressed(&mut keys) => self.key(key),
                _ = tick.tick(), if self.cx.live.is_enabled() => self.show().await,
                _ = report.tick(), if !self.cx.live.is_enabled() => self.report().await,
            }
            if self.ending.is_some() && leave_at.is_none() {
                leave_at = Some(tokio::time::Instant::now() + self.patience());
            }
        };
        self.close().await;
        self.cx.live.clear();
        outcome
    }

    /// When the call has lasted, or rung, long enough.
    fn limit(&self) -> Option<tokio::time::Instant> {
        let at = match self.answered {
            Some(answered) => answered + self.times.duration?,
            None => self.began + self.times.ring_timeout,
        };
        Some(at.into())
    }

    /// How long the peer may take over our CANCEL or BYE before we leave all the same. One that never said a word
    /// cannot even be sent a CANCEL (RFC 3261 §9.1).
    fn patience(&self) -> Duration {
        match (self.answered, self.progress) {
            (None, Progress::Silence) => Duration::from_millis(500),
            _ => Duration::from_secs(4),
        }
    }

    fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        if self.call.hang_up().is_err() {
            tracing::debug!("the endpoint is gone already");
        }
    }

    fn event(&mut self, event: PhoneEvent) {
        let call_id = self.call_id.clone();
        match event {
            PhoneEvent::Moved { flow } if flow.target() == self.remote => {}
            PhoneEvent::Moved { flow } => self.goes_by(&flow),
            PhoneEvent::Progress { status, reason, early } => self.progressed(status, reason, early),
            PhoneEvent::Answered { agreed } => {
                let now = Instant::now();
                self.answered = Some(now);
                self.agreed(agreed.as_ref());
                let answer = milliseconds(now - self.began);
                self.cx.out.summary(|summary| {
                    summary.code = Some(200);
                    summary.reason = Some("OK".into());
                    summary.timings.answer_ms = Some(answer);
                });
                self.cx.out.event(Event::Answered {
                    call_id,
                    by: self.answerer(),
                    code: 200,
                    reason: "OK".into(),
                    codec: self.codec.clone(),
                    media_remote: media_remote(agreed.as_ref()),
                });
            }
            PhoneEvent::Challenged { offered, downgrade } => {
                for challenge in &offered {
                    tracing::info!("challenge: {challenge}");
                }
                if let Some(downgrade) = downgrade {
                    self.warn(format!("the server asks for a weaker algorithm than before: {downgrade}"));
                }
                if let Some(chosen) = offered.iter().find(|offer| offer.verdict == Verdict::Chosen) {
                    let algorithm = chosen.algorithm.clone().unwrap_or_else(|| "MD5".into());
                    self.cx.out.event(Event::Challenged { call_id, realm: chosen.realm.clone(), algorithm });
                }
            }
            PhoneEvent::Changed { agreed, holding, held } => self.changed(agreed, holding, held),
            PhoneEvent::Refused { status } => self.warn(match status {
                Some(status) => format!("the peer refused the change of the session with {status}"),
                None => "the change of the session did not reach the peer".to_owned(),
            }),
            PhoneEvent::Media(event) => self.media(event),
            PhoneEvent::Unfit(unfit) => {
                self.warn(format!("the peer's session description does not do: {unfit}"));
                self.ending = Some(Ending::Unfit);
            }
            PhoneEvent::Ended { .. } => {}
        }
    }

    /// Whom the INVITE went to, for events, the result and messages.
    fn goes_by(&mut self, flow: &Flow) {
        self.remote = flow.target();
        let remote = flow.remote.to_string();
        self.cx.out.summary(|summary| summary.remote = Some(remote.clone()));
        self.cx.out.event(Event::Calling {
            call_id: self.call_id.clone(),
            from: self.from.clone(),
            target: self.peer.clone(),
            local: Some(flow.local.to_string()),
            remote: Some(remote),
        });
    }

    fn answerer(&self) -> Party {
        if self.incoming { Party::Local } else { Party::Remote }
    }

    fn progressed(&mut self, status: u16, reason: String, early: Option<Agreed>) {
        let call_id = self.call_id.clone();
        let first_ring = self.progress != Progress::Ringing && status > 100;
        self.progress = if status > 100 { Progress::Ringing } else { Progress::Trying };
        if first_ring {
            let ring = milliseconds(self.began.elapsed());
            self.cx.out.summary(|summary| summary.timings.ring_ms = Some(ring));
        }
        self.agreed(early.as_ref());
        self.cx.out.event(match (status, &early) {
            (101.., Some(_)) => {
                Event::EarlyMedia { call_id, code: status, reason, codec: self.codec.clone() }
            }
            (180, None) => Event::Ringing { call_id, code: status, reason },
            _ => Event::Progress { call_id, code: status, reason },
        });
    }

    fn agreed(&mut self, agreed: Option<&Agreed>) {
        if let Some(agreed) = agreed {
            self.codec = Some(agreed.codec.clone());
        }
    }

    fn changed(&mut self, agreed: Option<Agreed>, holding: bool, held: bool) {
        let call_id = self.call_id.clone();
        self.agreed(agreed.as_ref());
        // Who is on hold is not to overhear the room.
        self.call.mute(self.muted || holding);
        for (now, told, by) in
            [(holding, &mut self.told_holding, Party::Local), (held, &mut self.told_held, Party::Remote)]
        {
            if now != *told {
                *told = now;
                let call_id = call_id.clone();
                let event = if now { Event::Held { call_id, by } } else { Event::Resumed { call_id, by } };
                self.cx.out.event(event);
            }
        }
        self.held = held;
        let direction = agreed.as_ref().map_or("inactive", |agreed| agreed.direction.as_str()).to_owned();
        self.cx.out.event(Event::Media {
            call_id,
            codec: self.codec.clone(),
            direction,
            media_remote: media_remote(agreed.as_ref()),
        });
    }

    fn media(&mut self, event: MediaEvent) {
        let call_id = self.call_id.clone();
        match event {
            MediaEvent::Session(session::Event::Dtmf { digit, duration_ms }) => {
                let duration_ms = Some(duration_ms);
                self.cx.out.event(Event::Dtmf { call_id, way: Way::Received, digit, duration_ms });
            }
            MediaEvent::Session(session::Event::FirstRtp { from }) => {
                tracing::info!("media: the first packet came from {from}");
            }
            MediaEvent::Session(session::Event::Latched { to }) => {
                tracing::info!(
                    "media: sent to {to}, where the peer's comes from, not to the address it described"
                );
            }
            MediaEvent::Session(session::Event::CodecChanged { payload_type, codec }) => {
                tracing::info!("media: the peer sends {codec}, payload type {payload_type}");
            }
            MediaEvent::Session(session::Event::RemoteSsrcChanged { from, to }) => {
                tracing::info!("media: the peer's source changed, SSRC {from:08x} to {to:08x}");
            }
            MediaEvent::Finished => {
                tracing::info!("the file is played to its end; silence is sent from here on");
            }
            MediaEvent::DeviceLost(loss) => {
                self.warn(format!("the sound device is gone ({loss}); the call goes on with silence"));
            }
            MediaEvent::RecordFailed => self.warn("the recording cannot be written any further".into()),
            MediaEvent::Refused(error) => self.warn(format!("no media: {error}")),
            MediaEvent::DtmfRefused(error) => self.warn(format!("digits not sent: {error}")),
        }
    }

    fn warn(&self, message: String) {
        self.cx.out.event(Event::Warning { call_id: Some(self.call_id.clone()), message });
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Digit(digit) => self.digit(digit),
            Key::Hold => {
                if self.call.hold(!self.call.holding()).is_err() {
                    tracing::debug!("the endpoint is gone already");
                }
            }
            Key::Mute => {
                self.muted = !self.muted;
                self.call.mute(self.muted || self.call.holding());
            }
            Key::HangUp if self.answered.is_some() => self.end(Ending::Done),
            Key::HangUp => self.end(Ending::Stop(Why::Interrupt)),
            Key::List => live::note(Key::HELP),
        }
    }

    fn digit(&mut self, digit: char) {
        match self.call.dtmf(digit.encode_utf8(&mut [0; 4])) {
            Ok(()) => {
                let call_id = self.call_id.clone();
                self.cx.out.event(Event::Dtmf { call_id, way: Way::Sent, digit, duration_ms: None });
            }
            Err(error) => self.warn(format!("{digit} is not sent: {error}")),
        }
    }

    /// The next steps of the script, up to its next wait.
    fn dial_on(&mut self) -> Option<tokio::time::Instant> {
        loop {
            match self.script.pop_front()? {
                DtmfStep::Digit(digit) => self.digit(digit),
                DtmfStep::Wait(wait) => return Some(tokio::time::Instant::now() + wait),
            }
        }
    }

    /// Off a terminal: how the media is doing, now and then.
    async fn report(&mut self) {
        if self.answered.is_none() {
            return;
        }
        let Some(stats) = self.call.stats().await else { return };
        let media = summary(&stats, self.codec.clone());
        self.cx.out.event(Event::Statistics { call_id: self.call_id.clone(), media });
    }

    async fn show(&mut self) {
        self.statistics = self.call.stats().await.or_else(|| self.statistics.take());
        let stats = self.statistics.as_ref();
        let state = match (self.answered, self.progress) {
            _ if self.ending.is_some() => "ending",
            (Some(_), _) if self.call.holding() => "holding",
            (Some(_), _) if self.held => "on hold",
            (Some(_), _) => "in call",
            (None, Progress::Silence) => "calling",
            (None, Progress::Trying) => "trying",
            (None, Progress::Ringing) => "ringing",
        };
        self.cx.live.show(&View {
            state: state.into(),
            peer: self.peer.clone(),
            codec: self.codec.clone(),
            duration: self.answered.map(|answered| answered.elapsed()),
            level_in: stats.and_then(|stats| stats.received.level_dbfs),
            level_out: stats.and_then(|stats| stats.sent.level_dbfs),
            loss: stats.and_then(loss),
            jitter_ms: stats.and_then(|stats| stats.received.jitter_ms),
            rtt_ms: stats.and_then(|stats| stats.round_trip).map(milliseconds),
            muted: self.muted,
        });
    }

    /// The last statistics, and the recording on the disk.
    async fn close(&mut self) {
        let Some(closed) = self.call.close_media().await else { return };
        if let Some(recorder) = closed.record {
            // Waits for the disk, not for ever: the thread that writes is the recorder's own.
            let _ = tokio::task::spawn_blocking(move || recorder.finish()).await;
        }
        // Without an agreement there was no media to measure.
        if self.codec.is_some() {
            let media = summary(&closed.stats, self.codec.clone());
            self.cx.out.summary(|summary| summary.media = Some(media));
        }
    }

    /// What came of the call.
    fn ended(&mut self, by: By, cause: Cause) -> Result<(), Failure> {
        let party = party(by);
        let (code, reason) = match &cause {
            Cause::Refused(refused) => (Some(refused.status), Some(refused.reason.clone())),
            Cause::Cancelled => (Some(487), Some("Request Terminated".into())),
            Cause::Unauthorized { status, .. } | Cause::Broken { status } => {
                (Some(*status), Some(crate::message::reason_phrase(*status).to_owned()))
            }
            Cause::Bye { .. } | Cause::Failed(_) | Cause::NoAck => (None, None),
        };
        let q850 = match &cause {
            Cause::Bye { reason } => reason.as_ref(),
            Cause::Refused(refused) => refused.cause.as_ref(),
            _ => None,
        };
        let q850 = q850.map(|reason| event::Cause {
            protocol: reason.protocol.clone(),
            cause: reason.cause,
            text: reason.text.clone(),
        });
        self.cx.out.summary(|summary| {
            summary.ended_by = Some(party);
            summary.cause = q850.clone();
            if code.is_some() {
                summary.code = code;
                summary.reason.clone_from(&reason);
            }
        });
        self.cx.out.event(Event::Ended {
            call_id: self.call_id.clone(),
            by: party,
            code,
            reason,
            cause: q850,
            duration_ms: self.answered.map(|answered| milliseconds(answered.elapsed())),
        });
        match self.ending {
            Some(Ending::Unfit) => {
                return Err(Failure::new(
                    ExitStatus::NotAcceptable,
                    format_args!("{} answered with a session description that does not do", self.remote.addr),
                )
                .hint("offer other codecs with --codec"));
            }
            Some(Ending::RingTimeout) => return Err(self.unanswered()),
            Some(Ending::Stop(why)) if self.answered.is_none() => return Err(why.into()),
            Some(Ending::Done | Ending::Stop(_)) => return Ok(()),
            None => {}
        }
        self.outcome(cause)
    }

    fn outcome(&self, cause: Cause) -> Result<(), Failure> {
        let remote = self.remote.addr;
        match cause {
            Cause::Bye { .. } => Ok(()),
            Cause::Cancelled => {
                Err(Failure::new(ExitStatus::NotAnswered, format_args!("{remote} gave up before the answer")))
            }
            Cause::Refused(refused) => {
                let failure = Failure::response(refused.status, &refused.reason, remote);
                Err(match (refused.contacts.first(), refused.details.first()) {
                    (Some(contact), _) => {
                        failure.hint(format_args!("it points to {contact}; redirections are not followed"))
                    }
                    (None, Some((name, value))) => failure.hint(format_args!("{name}: {value}")),
                    (None, None) => failure,
                })
            }
            Cause::Unauthorized { status, why, offered } => {
                Err(ask::unauthorized(&remote.to_string(), status, &why, &offered))
            }
            Cause::Failed(why) => {
                note_remote(&why, self.cx);
                Err(failure(&why))
            }
            Cause::NoAck => Err(Failure::new(
                ExitStatus::NoResponse,
                format_args!("{remote} never acknowledged our 200 OK"),
            )
            .hint("our Contact may not be reachable for it: check --local, and NAT in between")),
            Cause::Broken { status } => Err(Failure::new(
                ExitStatus::from_sip(status),
                format_args!("{remote} has lost the call ({status})"),
            )),
        }
    }

    /// `--ring-timeout` has passed; what the peer answers to our CANCEL no longer matters.
    fn unanswered(&self) -> Failure {
        let (seconds, remote) = (self.times.ring_timeout.as_secs_f64(), self.remote.addr);
        match self.progress {
            Progress::Silence => Failure::new(
                ExitStatus::NoResponse,
                format_args!("{remote} did not respond within {seconds} s"),
            )
            .hint("check the address and that a SIP server listens there"),
            Progress::Trying | Progress::Ringing => Failure::new(
                ExitStatus::NotAnswered,
                format_args!("not answered within {seconds} s (--ring-timeout)"),
            ),
        }
    }

    /// The peer does not even answer our CANCEL or BYE.
    fn abandoned(&mut self) -> Result<(), Failure> {
        tracing::warn!("{} does not answer; leaving", self.remote.addr);
        let cause = match self.answered {
            Some(_) => Cause::Bye { reason: None },
            None => Cause::Failed(stack::Failure::Timeout(self.remote)),
        };
        self.ended(By::Local, cause)
    }
}

/// Of several targets that failed, the result names the one that the message is about: the last.
pub(super) fn note_remote(why: &stack::Failure, cx: &Context) {
    if let stack::Failure::Timeout(target) | stack::Failure::Unreachable { target, .. } = why {
        cx.out.summary(|summary| summary.remote = Some(target.addr.to_string()));
    }
}

/// A request that got no final response, for the user.
pub(super) fn failure(why: &stack::Failure) -> Failure {
    match why {
        stack::Failure::Lookup(error) => {
            let failure = Failure::new(ExitStatus::NameResolution, error);
            match error {
                LookupError::NoAddress { .. }
                | LookupError::Unavailable { .. }
                | LookupError::NoName { .. } => {
                    failure.hint("check the host name and the DNS of this machine")
                }
                LookupError::Insecure { .. }
                | LookupError::NotSpoken { .. }
                | LookupError::NoTransport { .. }
                | LookupError::NoHost => failure.hint("check the address and its transport"),
            }
        }
        stack::Failure::Timeout(target) => {
            Failure::new(ExitStatus::NoResponse, format_args!("{} did not respond", short(target)))
                .hint("check the address, and a firewall in between")
        }
        stack::Failure::Unreachable { target, why } => unreachable(target, why),
        stack::Failure::Cancelled | stack::Failure::NoNextHop | stack::Failure::Overrun => {
            Failure::new(ExitStatus::Defect, why)
        }
    }
}

/// Why there is no way to a target: an ICMP error, a connection refused or lost.
fn unreachable(target: &Target, why: &FlowError) -> Failure {
    let target = short(target);
    let new = |message: &dyn std::fmt::Display| Failure::new(ExitStatus::Unreachable, message);
    match why {
        FlowError::Refused => new(&format_args!("connection refused by {target}"))
            .hint("check the port, and that a SIP server listens there"),
        FlowError::TimedOut => new(&format_args!("no connection to {target} in time"))
            .hint("check the address, and a firewall in between"),
        FlowError::Lost | FlowError::Idle | FlowError::Silent => {
            new(&format_args!("the connection to {target} was lost"))
        }
        FlowError::Unfinished => Failure::new(
            ExitStatus::NoResponse,
            format_args!("{target} began a message and did not finish it"),
        ),
        FlowError::NotSip => {
            Failure::new(ExitStatus::NoResponse, format_args!("what {target} sent cannot be read as SIP"))
                .hint("check the port, and that a SIP server listens there")
        }
        FlowError::Unreachable(kind) => {
            new(&format_args!("{target} cannot be reached: {kind}")).hint("check the address and the network")
        }
        FlowError::Tls(error) => {
            Failure::new(ExitStatus::Tls, format_args!("TLS with {target} failed: {error}"))
        }
        FlowError::Overrun | FlowError::Unsupported(_) | FlowError::WebSocket(_) => {
            new(&format_args!("{target}: {why}"))
        }
    }
}

/// `192.0.2.1:5060/tcp`.
pub(super) fn short(target: &Target) -> String {
    format!("{}/{}", target.addr, target.protocol.as_param())
}

fn party(by: By) -> Party {
    match by {
        By::Local => Party::Local,
        By::Remote => Party::Remote,
        By::Network => Party::Network,
    }
}

fn media_remote(agreed: Option<&Agreed>) -> Option<String> {
    agreed.and_then(|agreed| agreed.remote).map(|remote| remote.to_string())
}

/// Of the packets expected, in per cent.
fn loss(stats: &Stats) -> Option<f64> {
    let lost = stats.received.lost?;
    let expected = stats.received.packets + lost;
    (expected > 0).then(|| lost as f64 * 100.0 / expected as f64)
}

fn summary(stats: &Stats, codec: Option<String>) -> MediaSummary {
    MediaSummary {
        codec,
        packets_sent: Some(stats.sent.packets),
        packets_received: Some(stats.received.packets),
        packets_lost: stats.received.lost,
        loss_percent: loss(stats),
        packets_reordered: stats.received.reordered,
        packets_duplicated: stats.received.duplicates,
        packets_rejected: Some(stats.strangers),
        jitter_ms: stats.received.jitter_ms,
        rtt_ms: stats.round_trip.map(milliseconds),
        level_in_dbfs: stats.received.mean_level_dbfs,
        level_out_dbfs: stats.sent.mean_level_dbfs,
    }
}

async fn at(when: Option<tokio::time::Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

async fn pressed(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

/// How often statistics are told where there is no live view.
const REPORT: Duration = Duration::from_secs(2);
/// How often the live view changes.
const TICK: Duration = Duration::from_millis(100);
