//! Whether next hops are there: OPTIONS at an interval, and a hop that has not answered for 32 s is taken by no request
//! until it answers again.
//!
//! ```text
//!           any answer but 503 ┌──────────────────────────────┐ any answer but 503
//!                              ▼                              │
//!                             up ── failed ──► failing ── 32 s of it ──► down
//! ```

use std::collections::HashMap;

use crate::{
    message::{Builder, HeaderId, Method, UriBuf},
    stack::{Cx, Failure, NextHop, Outgoing, RequestId},
    time::{Duration, Instant},
};

use super::Table;

/// Asks, and judges.
#[derive(Debug)]
pub struct Probes {
    every: Option<Duration>,
    /// Who was asked, under the name it has in the table.
    asked: HashMap<RequestId, String>,
    /// Since when hops have not answered.
    failing: HashMap<String, Instant>,
    /// Questions of an earlier round are not waited for.
    round: u64,
}

impl Probes {
    pub fn new(every: Option<Duration>) -> Self {
        Self { every, asked: HashMap::new(), failing: HashMap::new(), round: 0 }
    }

    /// Sees to it that the first round begins.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        if self.every.is_some() {
            cx.wake(cx.now(), self.round);
        }
    }

    /// Asks every hop that has not still to answer.
    pub fn deadline(&mut self, token: u64, table: &mut Table, cx: &mut Cx<'_>) {
        let Some(every) = self.every.filter(|_| token == self.round) else { return };
        self.round += 1;
        cx.wake(cx.now() + every, self.round);
        let hops: Vec<UriBuf> = table.hops().map(|hop| hop.uri().clone()).collect();
        self.failing.retain(|name, _| hops.iter().any(|hop| hop.as_str() == name));
        for hop in hops {
            let name = hop.as_str().to_owned();
            if !self.asked.values().any(|asked| *asked == name) {
                let question = question(hop, cx);
                let id = cx.send(question);
                self.asked.insert(id, name);
            }
        }
    }

    /// A hop answered.
    pub fn answered(&mut self, id: RequestId, status: u16, table: &mut Table, now: Instant) {
        if status < 200 {
            return;
        }
        let Some(name) = self.asked.remove(&id) else { return };
        if status == 503 {
            return self.missing(name, &"503 Service Unavailable", table, now);
        }
        self.failing.remove(&name);
        if table.is_down(&name) {
            tracing::warn!("{name} answers again: requests go there");
            table.set_down(&name, false);
        }
    }

    /// A hop did not answer.
    pub fn failed(&mut self, id: RequestId, why: &Failure, table: &mut Table, now: Instant) {
        if let Some(name) = self.asked.remove(&id) {
            self.missing(name, why, table, now);
        }
    }

    fn missing(&mut self, name: String, why: &dyn std::fmt::Display, table: &mut Table, now: Instant) {
        let known = table.hops().any(|hop| hop.uri().as_str() == name);
        if !known || table.is_down(&name) {
            return;
        }
        // A question that timed out was asked 32 s ago, but what was asked before it was answered.
        let since = *self.failing.entry(name.clone()).or_insert(now);
        if now.since(since) >= PATIENCE {
            tracing::warn!("{name} does not answer ({why}): requests go elsewhere");
            table.set_down(&name, true);
        }
    }
}

fn question(hop: UriBuf, cx: &mut Cx<'_>) -> Outgoing {
    let (tag, call_id) = (cx.ids().tag(), cx.ids().call_id());
    let request = Builder::request(Method::Options, hop.as_uri().without_headers())
        .header(HeaderId::MaxForwards, 70)
        .header(HeaderId::From, format_args!("<sip:probe@invalid>;tag={tag}"))
        .header(HeaderId::To, format_args!("<{hop}>", hop = hop.as_str()))
        .header(HeaderId::CallId, call_id)
        .header(HeaderId::CSeq, "1 OPTIONS")
        .finish();
    Outgoing::new(request, NextHop::Uri(hop))
}

/// Of silence, until a hop is given up.
const PATIENCE: Duration = Duration::from_secs(32);
