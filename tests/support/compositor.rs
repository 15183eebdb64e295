//! An event state compositor that does as it is told, or as RFC 3903 says.

use std::collections::VecDeque;

use sipkit::{
    auth,
    message::{Builder, Request, Response},
    stack::{Cx, Failure, RequestId, TransactionUser},
    transaction::ServerId,
    transport::Flow,
    ua::compositor::Compositor,
};

#[derive(Default)]
pub struct Desk {
    pub compositor: Compositor,
    /// Answers to the next PUBLISHes, whatever they say: status and rows; 0 for none.
    pub script: VecDeque<(u16, Vec<(&'static str, String)>)>,
    pub auth: Option<(auth::Server, Vec<auth::Login>)>,
    /// PUBLISHes that came, as they are.
    pub requests: Vec<Request>,
}

impl Desk {
    fn answer(&mut self, request: &Request, cx: &mut Cx<'_>) -> Option<Builder> {
        let reply = |status| Builder::response(request, status, None);
        if let Some((server, logins)) = &mut self.auth {
            let stale = match server.check(cx.now(), request, logins) {
                auth::Check::Accepted { .. } => None,
                auth::Check::Challenge { stale } => Some(stale),
                _ => return Some(reply(403)),
            };
            if let Some(stale) = stale {
                let now = cx.now();
                let ids = cx.ids();
                let rows = server.challenges(now, stale, &mut || ids.u64());
                return Some(rows.iter().fold(reply(401), |builder, (id, value)| builder.header(*id, value)));
            }
        }
        if let Some((status, rows)) = self.script.pop_front() {
            let with = |builder: Builder, (name, value): &(&str, String)| builder.named(name, value);
            return (status > 0).then(|| rows.iter().fold(reply(status), with));
        }
        let now = cx.now();
        self.compositor.expire(now);
        Some(match self.compositor.publish(request, request.raw_uri(), now, cx.ids().u64()) {
            Ok(stored) => stored.rows(reply(200)),
            Err(refused) => refused.rows(reply(refused.status())),
        })
    }
}

impl TransactionUser for Desk {
    fn request(&mut self, request: Request, id: Option<ServerId>, _: Flow, cx: &mut Cx<'_>) {
        let Some(id) = id else { return };
        self.requests.push(request.clone());
        if let Some(response) = self.answer(&request, cx) {
            cx.respond(id, response.to_tag("desk").finish()).unwrap();
        }
    }

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, _: Response, _: &mut Cx<'_>) {}

    fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
}
