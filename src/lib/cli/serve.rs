//! What `sip-test-server` does: starts a responder on each address and tells what happens until it must end.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    auth::{self, Login},
    endpoint::{
        Builder, ConnectionOptions, Endpoint, Security, descriptors,
        media::{MediaHandle, MediaThread},
    },
    phone::{
        bindings,
        events::{self, Happened},
        responder::{self, Counts, Notice, Responder},
    },
    transport::{Tap, Target},
    ua::{
        self,
        call::{By, Cause},
        publication::Operation,
    },
};

use super::{
    Context, Event, ExitStatus, Failure, Why,
    event::{Binding, Party, milliseconds},
    event_state::{Publication, Watcher},
    place,
    test_server::{Args, Challenge, MediaPorts},
};

/// Answers calls until told to stop, or until `--calls` is reached.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let settings = args.settings(&cx.config)?;
    let tap = cx.tap();
    let (media, rtp_ports) = match settings.media {
        MediaPorts::None => (None, None),
        MediaPorts::Any => (Some(media_thread(&tap)?), None),
        MediaPorts::Of(ports) => (Some(media_thread(&tap)?), Some(ports.first..=ports.last)),
    };
    // It stays open though nobody may write to it.
    let (sender, mut notices) = mpsc::channel(NOTICES);
    let responder = Responder::new(responder::Config {
        ua: ua::Config { pages: true, ..ua::Config::default() },
        media,
        rtp_ports,
        codecs: place::codecs(&[]),
        behaviour: None,
        auth: settings.challenge.as_ref().map(policy).transpose()?,
        registrar: Some(bindings::Limits { least: settings.min_expires, ..bindings::Limits::default() }),
        events: Some(settings.events.clone()),
        notices: (!settings.quiet).then(|| sender.clone()),
    });
    let connections = connections();
    let listen: Vec<Target> = settings.listen.iter().flat_map(|listen| listen.targets(Args::port)).collect();
    let security = security(&args, &cx)?;
    let endpoint = Builder { listen, connections, security, tap, ..Builder::default() }
        .start(responder)
        .map_err(|error| place::start_failure(&error))?;
    for local in endpoint.local() {
        cx.out.event(Event::Listening {
            protocol: local.protocol.as_str().to_owned(),
            local: local.addr.to_string(),
        });
    }
    let outcome = serve(&args, &cx, &endpoint, &mut notices).await;
    let counts = endpoint.with(|responder, _| responder.counts()).await.unwrap_or_default();
    cx.out.summary(|summary| summary.calls = Some(counts.calls));
    let (watchers, publications) =
        endpoint.with(|responder, _| responder.event_counts()).await.unwrap_or_default();
    tracing::info!(
        "{} subscriptions accepted, {watchers} of them left; {} PUBLISHes taken, {publications} publications left",
        counts.subscriptions,
        counts.publications
    );
    if counts.unread > 0 {
        tracing::warn!("{} events came faster than they could be told", counts.unread);
    }
    endpoint.stop().await;
    outcome
}

fn media_thread(tap: &Option<Arc<dyn Tap>>) -> Result<MediaHandle, Failure> {
    MediaThread::spawn(tap.clone()).map_err(|error| {
        Failure::new(ExitStatus::Defect, format_args!("cannot start the media thread: {error}"))
    })
}

/// As many connections as there may be open files, without those that calls need for their media, or a program for
/// itself.
pub(super) fn connections() -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    match descriptors::raise() {
        Ok(raised) => {
            options.most = most_connections(raised.after, options.most);
            let before = if raised.after > raised.before {
                format!(", {} before", raised.before)
            } else {
                String::new()
            };
            tracing::info!("up to {} open files{before}, and {} connections", raised.after, options.most);
        }
        Err(error) => tracing::warn!("the limit of open files stays as it is: {error}"),
    }
    options
}

/// A quarter of the open files is for media, listening sockets and files.
fn most_connections(files: u64, wanted: usize) -> usize {
    usize::try_from(files / 4 * 3).map_or(wanted, |files| files.min(wanted))
}

#[cfg(feature = "tls")]
fn security(args: &Args, cx: &Context) -> Result<Security, Failure> {
    let server = super::tls::server(&args.tls, &cx.config, cx.tap())?;
    Ok(Security { server: server.map(Into::into), ..Security::default() })
}

#[cfg(not(feature = "tls"))]
fn security(_: &Args, _: &Context) -> Result<Security, Failure> {
    Ok(Security::default())
}

async fn serve(
    args: &Args,
    cx: &Context,
    endpoint: &Endpoint<Responder>,
    notices: &mut mpsc::Receiver<Notice>,
) -> Result<(), Failure> {
    let mut tick = tokio::time::interval(SECOND);
    let mut teller = Teller::default();
    let mut before = Counts::default();
    loop {
        tokio::select! {
            biased;
            why = cx.stop.requested() => {
                end_calls(endpoint, cx, notices, &mut teller).await;
                // Being told to stop is how a server ends well; a deadline is not.
                return if why == Why::Deadline { Err(why.into()) } else { Ok(()) };
            }
            notice = notices.recv() => {
                if let Some(notice) = notice {
                    teller.tell(notice, cx);
                }
            }
            _ = tick.tick() => {
                let Ok((now, active)) = endpoint.with(|r, _| (r.counts(), r.active())).await else { return Ok(()) };
                if now.calls != before.calls {
                    let per_second = (now.calls - before.calls) as f64 / SECOND.as_secs_f64();
                    let rate = Event::Rate {
                        calls: now.calls,
                        active: active as u64,
                        calls_per_second: per_second,
                    };
                    cx.out.event(rate);
                }
                before = now;
            }
        }
        // Notices may get lost when they come too fast; the responder's own count is right, if late.
        let enough = args.calls.is_some_and(|calls| teller.ended.max(before.ended) >= calls);
        if enough {
            end_calls(endpoint, cx, notices, &mut teller).await;
            return Ok(());
        }
    }
}

/// BYE to every call, and a moment for the answers.
async fn end_calls(
    endpoint: &Endpoint<Responder>,
    cx: &Context,
    notices: &mut mpsc::Receiver<Notice>,
    teller: &mut Teller,
) {
    if endpoint.with(Responder::hang_up_all).await.is_err() {
        return;
    }
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    while endpoint.with(|responder, _| responder.active()).await.is_ok_and(|active| active > 0) {
        tokio::select! {
            () = &mut patience => return,
            Some(notice) = notices.recv() => teller.tell(notice, cx),
            // Who is quiet is not told either.
            () = tokio::time::sleep(GLANCE) => {}
        }
    }
    while let Ok(notice) = notices.try_recv() {
        teller.tell(notice, cx);
    }
}

/// Notices as events.
#[derive(Default)]
pub(super) struct Teller {
    /// When each call was answered.
    answered: HashMap<Arc<str>, Instant>,
    ended: u64,
}

impl Teller {
    pub fn tell(&mut self, notice: Notice, cx: &Context) {
        let event = match notice {
            Notice::Incoming { call_id, from, target, remote, behaviour: _ } => {
                Event::Incoming { call_id: call_id.to_string(), from, target, remote: remote.to_string() }
            }
            Notice::Answered { call_id, codec } => {
                self.answered.insert(call_id.clone(), Instant::now());
                Event::Answered {
                    call_id: call_id.to_string(),
                    by: Party::Local,
                    code: 200,
                    reason: "OK".into(),
                    codec,
                    media_remote: None,
                }
            }
            Notice::Ended { call_id, by, cause } => {
                self.ended += 1;
                let answered = self.answered.remove(&call_id);
                let (code, reason) = match &cause {
                    Cause::Refused(refused) => (Some(refused.status), Some(refused.reason.clone())),
                    Cause::Cancelled => (Some(487), Some("Request Terminated".to_owned())),
                    Cause::NoAck => (None, Some("our 200 was never acknowledged".to_owned())),
                    _ => (None, None),
                };
                Event::Ended {
                    call_id: call_id.to_string(),
                    by: match by {
                        By::Local => Party::Local,
                        By::Remote => Party::Remote,
                        By::Network => Party::Network,
                    },
                    code,
                    reason,
                    cause: None,
                    duration_ms: answered.map(|answered| milliseconds(answered.elapsed())),
                }
            }
            Notice::Bound { aor, remote, status, bindings } => {
                let binding = |bound: responder::Bound| Binding {
                    uri: bound.uri,
                    expires_ms: Some(milliseconds(bound.expires)),
                    ..Binding::default()
                };
                let bindings = bindings.into_iter().map(binding).collect();
                Event::Bound { aor, remote: remote.to_string(), code: status, bindings }
            }
            Notice::Events(notice) => event_of(notice),
            // Servers do not register.
            Notice::Registration(_) => return,
            Notice::Request { call_id, method, from, remote, status, text } => {
                Event::Request { call_id, method, from, remote: remote.to_string(), code: status, text }
            }
        };
        cx.out.event(event);
    }
}

fn event_of(notice: events::Notice) -> Event {
    match notice {
        events::Notice::Watcher { package, resource, watcher, what } => {
            let told = Watcher { package, resource, watcher, ..Watcher::default() };
            Event::Watcher(Box::new(match what {
                Happened::Accepted { remote, handling, expires } => Watcher {
                    what: "accepted",
                    remote: Some(remote.to_string()),
                    handling: Some(handling.to_string()),
                    expires_ms: Some(milliseconds(expires)),
                    ..told
                },
                Happened::Refused { remote, status } => {
                    Watcher { what: "refused", remote: Some(remote.to_string()), code: Some(status), ..told }
                }
                Happened::Refreshed { expires } => {
                    Watcher { what: "refreshed", expires_ms: Some(milliseconds(expires)), ..told }
                }
                Happened::NotifyFailed { status } => {
                    let reason = matches!(status, 401 | 407)
                        .then(|| "who notifies is asked for credentials on the way, and has none".to_owned());
                    Watcher { what: "notify-failed", code: Some(status), reason, ..told }
                }
                Happened::Ended { why } => Watcher { what: "ended", reason: Some(why), ..told },
            }))
        }
        events::Notice::Published { package, resource, from, remote, status, operation, etag, expires } => {
            Event::Publication(Box::new(Publication {
                what: operation.map_or("refused", Operation::as_str),
                package,
                resource,
                from: Some(from),
                remote: Some(remote.to_string()),
                code: Some(status),
                etag,
                expires_ms: expires.map(milliseconds),
            }))
        }
        events::Notice::Expired { package, resource } => Event::Publication(Box::new(Publication {
            what: "expired",
            package,
            resource,
            ..Publication::default()
        })),
    }
}

fn policy(challenge: &Challenge) -> Result<(auth::Policy, Vec<Login>), Failure> {
    let mut policy = auth::Policy::new(auth::Side::Server, challenge.realm.clone());
    policy.algorithms = challenge.algorithms.iter().map(|algorithm| algorithm.auth()).collect();
    policy.qop = challenge.qop.iter().map(|qop| qop.auth()).collect();
    policy.lifetime = challenge.nonce_lifetime;
    policy.userhash = challenge.userhash;
    Ok((policy, vec![challenge.credentials.login()?]))
}

/// How often the rate of calls is told.
const SECOND: Duration = Duration::from_secs(1);
/// How long peers may take over our BYE.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have come.
const GLANCE: Duration = Duration::from_millis(20);
/// Notices waiting to be told at most.
const NOTICES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_media() {
        assert_eq!(most_connections(1 << 20, 16_384), 16_384);
        assert_eq!(most_connections(1_024, 16_384), 768);
    }
}
