//! What `sip-register` does: registers, tells what comes of it, takes calls if it is to, and cleans up.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::{
    endpoint::{Builder, Endpoint, media::MediaThread},
    message::UriBuf,
    phone::responder::{self, Notice, Responder},
    stack::Times,
    transport::Flow,
    ua::{
        self, RegistrationId,
        registration::{Adjusted, Cause, Granted, Listed, Register, RegistrationEvent, Task},
    },
};

use super::{
    Context, Event, ExitStatus, Failure, ask, conversation,
    event::{Binding, Registered, milliseconds},
    place,
    register::{Args, Settings},
    serve::Teller,
};

/// Registers until it is done, or until the run ends.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let Settings { account, register, remove_own } = args.settings(&cx.config)?;
    let tap = cx.tap();
    let media = match args.answer {
        Some(_) => Some(MediaThread::spawn(tap.clone()).map_err(|error| {
            Failure::new(ExitStatus::Defect, format_args!("cannot start the media thread: {error}"))
        })?),
        None => None,
    };
    let (sender, notices) = mpsc::channel(NOTICES);
    let user = place::contact_user(&account);
    let security = place::security(&args.tls, &account, false, &cx)?;
    let endpoint = place::bind(&place::listen(&account, false), |listen| {
        let responder = Responder::new(responder::Config {
            ua: ua::Config {
                contact_user: user.clone(),
                pages: args.answer.is_some(),
                incoming_calls: args.answer.is_some(),
                ..ua::Config::default()
            },
            media: media.clone(),
            rtp_ports: args.ports.rtp_ports.map(|ports| ports.first..=ports.last),
            codecs: place::codecs(&[]),
            behaviour: args.answer,
            auth: None,
            registrar: None,
            events: None,
            notices: Some(sender.clone()),
        });
        let (tap, resolver, security) = (tap.clone(), account.resolver.clone(), security.clone());
        Builder { listen, tap, resolver, security, ..Builder::default() }.start(responder)
    })?;
    let aor = register.aor.uri().to_string();
    let registrar = register.registrar.to_string();
    let mut run = Run {
        kept: args.is_kept(),
        binds_own: args.binding.contact.is_empty(),
        wants_outbound: register.reg_id.is_some(),
        aor,
        registrar,
        cx: &cx,
        endpoint: &endpoint,
        notices,
        teller: Teller::default(),
        call_id: String::new(),
        listed: None,
        goal: false,
    };
    let mut outcome = run.perform(register.clone()).await;
    if remove_own && outcome.is_ok() {
        let own = run.own(user.as_deref());
        if own.is_empty() {
            let message = format!("nothing of {} is bound to this machine", run.aor);
            cx.out.event(Event::Warning { call_id: None, message });
        } else {
            outcome = run.perform(Register { task: Task::Remove(own), ..register }).await;
        }
    }
    endpoint.stop().await;
    outcome
}

struct Run<'a> {
    kept: bool,
    /// Our own address is what is bound, not one that was given; unset once the user was warned.
    binds_own: bool,
    wants_outbound: bool,
    aor: String,
    registrar: String,
    cx: &'a Context,
    endpoint: &'a Endpoint<Responder>,
    notices: mpsc::Receiver<Notice>,
    teller: Teller,
    call_id: String,
    /// The answer to a question, and by which flow it came.
    listed: Option<(Vec<Listed>, Flow)>,
    /// Registered at least once.
    goal: bool,
}

impl Run<'_> {
    /// Carries out one task.
    async fn perform(&mut self, register: Register) -> Result<(), Failure> {
        let defect = |error: &dyn std::fmt::Display| Failure::new(ExitStatus::Defect, error);
        let id = self.endpoint.with(move |responder, cx| {
            let id = responder.register(register, cx);
            let call_id = responder.registration(id).map(|r| r.call_id().to_owned());
            (id, call_id.unwrap_or_default())
        });
        let (id, call_id) = id.await.map_err(|error| defect(&error))?;
        self.cx.out.summary(|summary| summary.call_id = Some(call_id.clone()));
        self.call_id = call_id;
        loop {
            let notice = tokio::select! {
                biased;
                why = self.cx.stop.requested() => {
                    self.leave(id).await;
                    // Registered, and kept so until somebody said it is enough.
                    return if self.goal && self.kept { Ok(()) } else { Err(why.into()) };
                }
                notice = self.notices.recv() => notice,
            };
            match notice {
                None => return Err(defect(&"the endpoint stopped")),
                Some(Notice::Registration(RegistrationEvent::Ended { cause })) => {
                    return cause.map_or(Ok(()), |cause| Err(self.failure(&cause)));
                }
                Some(notice) => self.tell(notice),
            }
        }
    }

    /// Removes the binding and ends the calls, and gives both a moment.
    async fn leave(&mut self, id: RegistrationId) {
        let ended = self.endpoint.with(move |responder, cx| {
            responder.hang_up_all(cx);
            responder.unregister(id, cx);
        });
        if ended.await.is_err() {
            return;
        }
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut over = false;
        while !over || self.endpoint.with(|responder, _| responder.active()).await.is_ok_and(|n| n > 0) {
            tokio::select! {
                biased;
                notice = self.notices.recv() => match notice {
                    Some(Notice::Registration(RegistrationEvent::Ended { cause })) => {
                        over = true;
                        if let Some(cause) = cause {
                            let message = format!("{} may still be bound: {}", self.aor, reason(&cause));
                            self.cx.out.event(Event::Warning { call_id: None, message });
                        }
                    }
                    Some(notice) => self.tell(notice),
                    None => return,
                },
                () = &mut patience => {
                    if !over {
                        let message = format!("{} may still be bound: no answer in time", self.aor);
                        self.cx.out.event(Event::Warning { call_id: None, message });
                    }
                    return;
                }
            }
        }
    }

    fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Registration(event) => self.registration(event),
            other => self.teller.tell(other, self.cx),
        }
    }

    fn registration(&mut self, event: RegistrationEvent) {
        let aor = self.aor.clone();
        let mut warning = None;
        let event = match event {
            RegistrationEvent::Registered(granted) => {
                warning = self.short_lived(&granted.flow);
                self.registered(*granted)
            }
            RegistrationEvent::Bindings { bindings, flow, round_trip, times } => {
                self.took(times, round_trip);
                let event = Event::Bindings {
                    aor,
                    remote: self.answered_by(&flow),
                    bindings: bindings.iter().map(binding).collect(),
                    rtt_ms: milliseconds(round_trip),
                };
                self.listed = Some((bindings, flow));
                event
            }
            RegistrationEvent::Removed { bindings, flow, round_trip, times } => {
                self.took(times, round_trip);
                Event::Unregistered {
                    aor,
                    remote: self.answered_by(&flow),
                    bindings: bindings.iter().map(binding).collect(),
                    rtt_ms: milliseconds(round_trip),
                }
            }
            RegistrationEvent::Unread { number, why } => {
                let message = format!(
                    "Contact {number} of the response cannot be read, and what it binds is not shown: {why}"
                );
                Event::Warning { call_id: None, message }
            }
            RegistrationEvent::Challenged { offered, downgrade } => {
                return ask::challenged(&self.call_id, &offered, downgrade.as_ref(), self.cx);
            }
            RegistrationEvent::Adjusted(why) => Event::RegisterAgain { aor, reason: adjusted(&why) },
            RegistrationEvent::FlowLost { flow } => Event::FlowLost { aor, remote: flow.remote.to_string() },
            RegistrationEvent::Failed { cause, retry_in, remaining } => Event::RegistrationFailed {
                aor,
                code: code(&cause),
                reason: reason(&cause),
                retry_ms: milliseconds(retry_in),
                remaining_ms: remaining.map(milliseconds),
            },
            // Taken out before.
            RegistrationEvent::Ended { .. } => return,
        };
        self.cx.out.event(event);
        if let Some(message) = warning {
            self.cx.out.event(Event::Warning { call_id: None, message });
        }
    }

    /// What is bound leads to a connection that ends with us, and nobody can open another one.
    fn short_lived(&mut self, flow: &Flow) -> Option<String> {
        let is_short = !self.kept && flow.protocol.is_reliable();
        (is_short && std::mem::take(&mut self.binds_own)).then(|| {
            format!(
                "the connection over {} that is bound ends now, and calls to {} will not arrive by it: \
                 --keep stays, --contact binds another address",
                flow.protocol.as_str(),
                self.aor
            )
        })
    }

    fn registered(&mut self, granted: Granted) -> Event {
        self.took(granted.times, granted.round_trip);
        let remote = self.answered_by(&granted.flow);
        if granted.own.is_none() {
            let message = format!("{remote} does not list what it bound for {}", self.aor);
            self.cx.out.event(Event::Warning { call_id: None, message });
        }
        let own = granted.own.and_then(|own| granted.bindings.get(own));
        self.explain(&granted, own);
        let gruu = |uri: Option<&UriBuf>| uri.map(ToString::to_string);
        let event = Event::Registered(Box::new(Registered {
            aor: self.aor.clone(),
            contact: granted.contact.as_ref().map(ToString::to_string),
            remote,
            expires_ms: milliseconds(granted.expires),
            refresh_ms: self.kept.then(|| milliseconds(granted.refresh_in)),
            rtt_ms: milliseconds(granted.round_trip),
            bindings: granted.bindings.iter().map(binding).collect(),
            service_route: granted.service_route.iter().map(ToString::to_string).collect(),
            path: granted.path.clone(),
            outbound: granted.outbound,
            public_gruu: gruu(own.and_then(|own| own.public_gruu.as_ref())),
            temporary_gruu: gruu(own.and_then(|own| own.temporary_gruu.as_ref())),
        }));
        self.goal = true;
        event
    }

    /// What was granted beyond the binding, and what that means.
    fn explain(&self, granted: &Granted, own: Option<&Listed>) {
        let Granted { flow, .. } = granted;
        tracing::info!("registered at {}, from {}", flow.target(), flow.local);
        if self.kept {
            tracing::info!("refreshed in {} s", granted.refresh_in.as_secs());
        }
        for route in &granted.service_route {
            tracing::info!("Service-Route: requests of this account go by way of {route}");
        }
        for path in &granted.path {
            tracing::info!("Path: calls to this account come by way of {path}");
        }
        if granted.outbound {
            tracing::info!("Outbound: calls come by the flow that registered");
        } else if self.wants_outbound {
            tracing::info!(
                "Outbound was asked for and not granted: calls come to the address that was bound"
            );
        }
        if let Some(timer) = granted.flow_timer {
            tracing::info!("Flow-Timer: the flow is kept alive every {} s at least", timer.as_secs());
        }
        if let Some(gruu) = own.and_then(|own| own.public_gruu.as_ref()) {
            tracing::info!("GRUU: {gruu} leads to this device alone");
        }
    }

    /// Notes a 2xx in the result, and gives who sent it.
    fn answered_by(&self, flow: &Flow) -> String {
        let remote = flow.remote.to_string();
        self.cx.out.summary(|summary| {
            summary.code = Some(200);
            summary.reason = Some("OK".into());
            summary.remote = Some(remote.clone());
        });
        remote
    }

    /// Of the first answer.
    fn took(&self, times: Times, round_trip: Duration) {
        self.cx.out.summary(|summary| {
            summary.timings.way(times);
            summary.timings.answer_ms.get_or_insert(milliseconds(round_trip));
        });
    }

    /// The bindings that were listed and lead to this machine.
    fn own(&self, user: Option<&str>) -> Vec<UriBuf> {
        let Some((listed, flow)) = &self.listed else { return Vec::new() };
        let is_own = |listed: &&Listed| {
            let uri = listed.uri.as_uri();
            uri.host().ip() == Some(flow.local.ip()) && uri.user() == user
        };
        listed.iter().filter(is_own).map(|listed| listed.uri.clone()).collect()
    }

    fn failure(&self, cause: &Cause) -> Failure {
        self.cx.out.summary(|summary| {
            summary.code = code(cause);
            summary.reason = match cause {
                Cause::Refused { reason, .. } => Some(reason.clone()),
                _ => code(cause).map(|code| crate::message::reason_phrase(code).to_owned()),
            };
        });
        match cause {
            Cause::Refused { status, reason, .. } => Failure::response(*status, reason, &self.registrar),
            Cause::Unauthorized { status, why, offered } => {
                ask::unauthorized(&self.registrar, *status, why, offered)
            }
            Cause::Failed(why) => {
                conversation::note_remote(why, self.cx);
                conversation::failure(why)
            }
            Cause::NotGranted | Cause::Endless => Failure::new(ExitStatus::ServerFailure, reason(cause)),
        }
    }
}

fn code(cause: &Cause) -> Option<u16> {
    match cause {
        Cause::Refused { status, .. } | Cause::Unauthorized { status, .. } => Some(*status),
        Cause::Failed(_) | Cause::NotGranted | Cause::Endless => None,
    }
}

fn reason(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, reason, .. } => format!("{status} {reason}"),
        Cause::Unauthorized { status, why, .. } => format!("{status}: {why}"),
        Cause::Failed(why) => conversation::failure(why).message(),
        Cause::NotGranted => "the registrar said 200 and bound nothing".into(),
        Cause::Endless => "the registrar asks again and again for another REGISTER".into(),
    }
}

fn adjusted(why: &Adjusted) -> String {
    match why {
        Adjusted::TooBrief { asked, least } => {
            format!("{} s is too brief, the registrar wants at least {} s", asked.as_secs(), least.as_secs())
        }
        Adjusted::Redirected { status, to } => format!("{status}: sent on to {to}"),
        Adjusted::Translated { local, public } => {
            format!("{local} is seen as {public} from outside, which is bound instead")
        }
        Adjusted::Moved { from } => format!("we were at {from} before, which is removed"),
        Adjusted::NoOutbound => "the first hop cannot do Outbound (439)".into(),
    }
}

fn binding(listed: &Listed) -> Binding {
    Binding {
        uri: listed.uri.to_string(),
        expires_ms: listed.expires.map(milliseconds),
        q: listed.q.map(|q| f64::from(q) / 1000.0),
        instance: listed.instance.clone(),
    }
}

/// How long the registrar and the peers of calls may take in the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Notices waiting to be told at most.
const NOTICES: usize = 1024;
