//! A registrar that does as it is told: what it answers next, and what it makes of the sender's address.

use std::{collections::VecDeque, net::SocketAddr};

use sipkit::{
    auth,
    message::{Builder, Edits, HeaderId, Message, Method, Request, Response},
    phone::bindings::{Bindings, Limits, Refused},
    stack::{Cx, Failure, RequestId, TransactionUser},
    transaction::ServerId,
    transport::Flow,
};

#[derive(Default)]
pub struct Registrar {
    pub bindings: Bindings,
    /// Answers to the next REGISTERs, whatever they say: status and rows.
    pub script: VecDeque<(u16, Vec<(&'static str, String)>)>,
    /// Rows of each 2xx.
    pub extra: Vec<(&'static str, String)>,
    /// From where requests seem to come, the next one first; the last one stays.
    pub seen_from: Vec<SocketAddr>,
    pub auth: Option<(auth::Server, Vec<auth::Login>)>,
    /// REGISTERs that came, as they are.
    pub requests: Vec<Request>,
    /// Bindings after each 2xx.
    pub bound: Vec<usize>,
    pub text: Vec<String>,
}

impl Registrar {
    pub fn new(limits: Limits) -> Self {
        Self { bindings: Bindings::new(limits), ..Self::default() }
    }

    fn answer(&mut self, request: &Request, cx: &mut Cx<'_>) -> Builder {
        let reply = |status| Builder::response(request, status, None);
        let with = |builder: Builder, rows: &[(&str, String)]| {
            rows.iter().fold(builder, |builder, (name, value)| builder.named(name, value))
        };
        if let Some((server, logins)) = &mut self.auth {
            let stale = match server.check(cx.now(), request, logins) {
                auth::Check::Accepted { .. } => None,
                auth::Check::Challenge { stale } => Some(stale),
                other => panic!("{other:?}"),
            };
            if let Some(stale) = stale {
                let now = cx.now();
                let ids = cx.ids();
                let rows = server.challenges(now, stale, &mut || ids.u64());
                return rows.iter().fold(reply(401), |builder, (id, value)| builder.header(*id, value));
            }
        }
        if let Some((status, rows)) = self.script.pop_front() {
            return with(reply(status), &rows);
        }
        if request.method() == Method::Message {
            self.text.push(String::from_utf8_lossy(request.body()).into_owned());
            return reply(200);
        }
        match self.bindings.register(request, cx.now()) {
            Ok(bindings) => {
                self.bound.push(bindings.len());
                let now = cx.now();
                let builder = with(reply(200), &self.extra);
                bindings.iter().fold(builder, |builder, b| builder.header(HeaderId::Contact, b.row(now)))
            }
            Err(Refused::TooBrief(least)) => reply(423).header(HeaderId::MinExpires, least.as_secs()),
            Err(refused) => reply(refused.status()),
        }
    }

    /// The request as if it had come through an address translator.
    fn translated(&mut self, request: Request) -> Request {
        let Some(&from) = self.seen_from.first() else { return request };
        if self.seen_from.len() > 1 {
            self.seen_from.remove(0);
        }
        let mut edits = Edits::new(&request);
        edits.top_via_param("received", Some(&from.ip())).top_via_param("rport", Some(&from.port()));
        edits.finish().into_request().unwrap()
    }
}

impl TransactionUser for Registrar {
    fn request(&mut self, request: Request, id: Option<ServerId>, _: Flow, cx: &mut Cx<'_>) {
        let Some(id) = id else { return };
        self.requests.push(request.clone());
        let request = self.translated(request);
        let response: Message = self.answer(&request, cx).to_tag("registrar").finish();
        cx.respond(id, response).unwrap();
    }

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, _: Response, _: &mut Cx<'_>) {}

    fn failed(&mut self, _: RequestId, _: Failure, _: &mut Cx<'_>) {}

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}
}
