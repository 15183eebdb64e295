//! Requests outside calls, as `sip-message` and `sip-options` send them: who asks, and what became of it.

use std::time::Duration;

use crate::{
    auth::{self, GiveUp},
    endpoint::agent::Agent,
    message::{AddressBuf, Response, Scheme, UriBuf},
    phone::call::Identity,
    transport::Flow,
    ua::page::{Query, QueryEvent},
};

use super::{
    Context, Event, ExitStatus, Failure, account::Account, conversation, event::milliseconds, place,
};

/// Who asks, and which way requests go.
pub(super) struct Way {
    pub from: AddressBuf,
    /// Where requests go first, if not to where the target leads.
    pub hop: Option<UriBuf>,
    pub flow: Flow,
}

/// The final response to a request.
pub(super) struct Reply {
    pub status: u16,
    pub reason: String,
    pub remote: Option<String>,
    pub round_trip: Duration,
    /// Why a challenge in it could not be answered.
    pub unauthorized: Option<Failure>,
}

impl Reply {
    /// What it means for who asked: `peer` answered so.
    pub fn into_result(self, peer: &str) -> Result<(), Failure> {
        match (self.unauthorized, self.status) {
            (Some(failure), _) => Err(failure),
            (None, 200..=299) => Ok(()),
            (None, status) => {
                Err(Failure::response(status, &self.reason, self.remote.as_deref().unwrap_or(peer)))
            }
        }
    }
}

/// Finds the flow that requests to the target take; the time for it is noted in the result.
pub(super) async fn way(
    agent: &Agent,
    target: &UriBuf,
    account: &Account,
    cx: &Context,
) -> Result<Way, Failure> {
    let proxy = account.proxy.as_deref().map(|text| place::uri(text, "--proxy")).transpose()?;
    let hop = place::first_hop(target, proxy, account)?;
    let first = hop.clone().unwrap_or_else(|| target.clone());
    let flow = tokio::select! {
        biased;
        why = cx.stop.requested() => return Err(why.into()),
        flow = agent.route(first) => flow,
    };
    let flow = flow.map_err(|error| Failure::new(ExitStatus::Defect, error))?;
    let (flow, times) = flow.map_err(|why| {
        conversation::note_remote(&why, cx);
        conversation::failure(&why)
    })?;
    tracing::info!("requests go to {}, from {}", flow.target(), flow.local);
    cx.out.summary(|summary| {
        summary.timings.way(times);
        summary.remote = Some(flow.remote.to_string());
    });
    let from = match place::identity(account)? {
        Identity::Address(address) => address,
        Identity::Local { user, display } => {
            let (ip, port) = (flow.local.ip(), flow.local.port());
            let uri = UriBuf::new(Scheme::Sip, Some(&user), ip.into(), Some(port));
            let uri = uri.map_err(|_| {
                Failure::usage("our own address cannot be written as a SIP URI").hint("give --from")
            })?;
            AddressBuf::new(display.as_deref(), uri)
        }
    };
    Ok(Way { from, hop, flow })
}

/// Sends a request and waits for its outcome. What happens on the way is told.
pub(super) async fn ask(
    agent: &Agent,
    query: Query,
    sequence: Option<u64>,
    cx: &Context,
) -> Result<Reply, Failure> {
    let (method, target) = (query.method.clone(), query.target.to_string());
    let gone = |error: &dyn std::fmt::Display| Failure::new(ExitStatus::Defect, error);
    let mut pending = agent.query(query).await.map_err(|error| gone(&error))?;
    let call_id = pending.call_id().to_owned();
    cx.out.summary(|summary| summary.call_id = Some(call_id.clone()));
    loop {
        let event = tokio::select! {
            biased;
            event = pending.next() => event,
            why = cx.stop.requested() => return Err(why.into()),
        };
        match event {
            None => return Err(gone(&"the endpoint stopped")),
            Some(QueryEvent::Provisional { status, reason }) => {
                cx.out.event(Event::Progress { call_id: call_id.clone(), code: status, reason });
            }
            Some(QueryEvent::Challenged { offered, downgrade }) => {
                challenged(&call_id, &offered, downgrade.as_ref(), cx);
            }
            Some(QueryEvent::Answered { response, flow, round_trip }) => {
                let remote = flow.map(|flow| flow.remote.to_string());
                let reply = reply(&response, remote, round_trip);
                tell(&reply, call_id, method, target, sequence, cx);
                return Ok(reply);
            }
            Some(QueryEvent::Unauthorized { response, flow, why, offered, round_trip }) => {
                let remote = flow.map(|flow| flow.remote.to_string());
                let mut reply = reply(&response, remote, round_trip);
                reply.unauthorized = Some(unauthorized(&target, reply.status, &why, &offered));
                tell(&reply, call_id, method, target, sequence, cx);
                return Ok(reply);
            }
            Some(QueryEvent::Failed(why)) => {
                conversation::note_remote(&why, cx);
                let failure = conversation::failure(&why);
                let reason = failure.message();
                cx.out.event(Event::NoResponse { call_id, method, target, sequence, reason });
                return Err(failure);
            }
        }
    }
}

fn reply(response: &Response, remote: Option<String>, round_trip: Duration) -> Reply {
    let reason = response.reason().to_string();
    Reply { status: response.status(), reason, remote, round_trip, unauthorized: None }
}

fn tell(reply: &Reply, call_id: String, method: String, target: String, sequence: Option<u64>, cx: &Context) {
    let Reply { status, reason, remote, round_trip, .. } = reply;
    cx.out.summary(|summary| {
        summary.code = Some(*status);
        summary.reason = Some(reason.clone());
        if remote.is_some() {
            // Not the one asked first, if that one failed.
            summary.remote.clone_from(remote);
        }
        summary.timings.answer_ms = Some(milliseconds(*round_trip));
    });
    cx.out.event(Event::Response {
        call_id,
        method,
        target,
        remote: remote.clone(),
        code: *status,
        reason: reason.clone(),
        rtt_ms: milliseconds(*round_trip),
        sequence,
    });
}

/// Tells which challenge is answered.
pub(super) fn challenged(
    call_id: &str,
    offered: &[auth::Offered],
    downgrade: Option<&auth::Downgrade>,
    cx: &Context,
) {
    for offered in offered {
        tracing::info!("{offered}");
        if offered.verdict == auth::Verdict::Chosen {
            cx.out.event(Event::Challenged {
                call_id: call_id.to_owned(),
                realm: offered.realm.clone(),
                algorithm: offered.algorithm.clone().unwrap_or_else(|| "MD5".into()),
            });
        }
    }
    if let Some(downgrade) = downgrade {
        let message = format!("the server asks for a weaker algorithm than before: {downgrade}");
        cx.out.event(Event::Warning { call_id: Some(call_id.to_owned()), message });
    }
}

/// A challenge that could not be answered.
pub(super) fn unauthorized(peer: &str, status: u16, why: &GiveUp, offered: &[auth::Offered]) -> Failure {
    let reason = crate::message::reason_phrase(status);
    let message = match reason {
        "" => format!("{peer} answered {status}: {why}"),
        reason => format!("{peer} answered {status} {reason}: {why}"),
    };
    let failure = Failure::new(ExitStatus::AuthenticationFailed, message);
    match why {
        GiveUp::NoCredentials(_) => failure.hint("give --user and --password-file"),
        GiveUp::Rejected(_) => failure.hint("check --user and the password"),
        _ if offered.is_empty() => failure.hint("the response has no challenge that can be read"),
        _ => {
            let offered: Vec<_> = offered.iter().map(ToString::to_string).collect();
            failure.hint(format_args!("offered was: {}", offered.join("; ")))
        }
    }
}
