//! A request and what comes of it: challenges answered (RFC 7616), redirections followed (RFC 9110 §15.4), the
//! final answer judged (RFC 4825 §7, §8.5, §11).
//!
//! ```text
//!            first                    401, 407 that can be answered: with credentials
//!  start ────────────▶ sent ────────────────────────────────────────────┐
//!                     ▲  │  301, 302, 307, 308 to the same host: there  │
//!                     │  ├───────────────────────────────────────────── │
//!                     └──┼───────────────────────◀──────────────────────┘
//!                        │ 2xx, 304        ─▶ done: Answer
//!                        │ everything else ─▶ done: Refusal
//! ```

use std::fmt;

use super::{
    conflict::Conflict,
    resource::Precondition,
    url::{Url, UrlError},
};
use crate::{
    auth::{self, GiveUp, Side},
    message::HeaderId,
};

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read it.
    Get,
    /// Write it.
    Put,
    /// Remove it.
    Delete,
}

impl Method {
    /// As the request line has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Header fields but Host and Content-Length.
    pub fields: Vec<(&'static str, String)>,
    /// The body of a PUT.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads what is there.
    pub fn get(url: Url) -> Self {
        Self::new(Method::Get, url, Vec::new())
    }

    /// Writes `body` there.
    pub fn put(url: Url, media_type: &str, body: Vec<u8>) -> Self {
        let mut request = Self::new(Method::Put, url, body);
        request.fields.push(("Content-Type", media_type.to_owned()));
        request
    }

    /// Removes what is there.
    pub fn delete(url: Url) -> Self {
        Self::new(Method::Delete, url, Vec::new())
    }

    /// Only if that is so.
    #[must_use]
    pub fn only_if(mut self, condition: Option<&Precondition>) -> Self {
        if let Some((name, value)) = condition.map(Precondition::field) {
            self.fields.push((name, value.to_owned()));
        }
        self
    }

    fn new(method: Method, url: Url, body: Vec<u8>) -> Self {
        Self { method, url, fields: Vec::new(), body }
    }
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub code: u16,
    /// The words beside it; empty if there are none.
    pub reason: String,
    /// Header fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    /// Those that RFC 9110 §5.5 allows: what is answered to a field may repeat parts of it.
    fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).filter(|value| !value.contains(['\r', '\n', '\0']))
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Request),
    /// That was all.
    Done(Result<Answer, Refusal>),
}

/// The server did as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 201, another 2xx; 304 if the entity tag is still the same.
    pub code: u16,
    /// The words beside it.
    pub reason: String,
    /// The entity tag of the document now, with its quotation marks (§8.5).
    pub etag: Option<String>,
    /// The media type of the body, without parameters.
    pub media_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The server did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: u16,
    /// The words beside it, or else those of the RFC.
    pub reason: String,
    /// More, if more is known.
    pub why: Option<Why>,
}

/// What is known about a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The server explains a 409.
    #[error("{0}")]
    Conflict(Conflict),
    /// A challenge could not be answered.
    #[error("{0}")]
    Challenge(GiveUp),
    /// A redirection that is not followed leads here.
    #[error("it leads to {0}, which is not followed")]
    Elsewhere(String),
    /// A redirection leads nowhere.
    #[error("where it leads cannot be read: {0}")]
    Nowhere(UrlError),
    /// One redirection after the other.
    #[error("more than {MAX_REDIRECTIONS} redirections")]
    TooManyRedirections,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reason)?;
        match &self.why {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// From the first request to the final answer. The credentials it learned to use are the client's, for the next one.
#[derive(Debug)]
pub struct Exchange<'c> {
    auth: &'c mut auth::Client,
    request: Request,
    /// The credentials that the last request went out with.
    sent: Vec<(HeaderId, String)>,
    redirections: usize,
    challenges: usize,
}

impl<'c> Exchange<'c> {
    /// Begins; send what is given back.
    pub fn start(auth: &'c mut auth::Client, request: Request) -> (Self, Request) {
        let mut exchange = Self { auth, request, sent: Vec::new(), redirections: 0, challenges: 0 };
        exchange.authorize();
        let first = exchange.next();
        (exchange, first)
    }

    /// Takes the answer to what was sent. `random` gives unpredictable numbers.
    pub fn answered(&mut self, response: Response, random: &mut impl FnMut() -> u64) -> Step {
        match response.code {
            200..=299 | 304 => {
                let info = |name| response.field(name).map(str::to_owned);
                if let Some(info) = info("Authentication-Info") {
                    self.auth.accepted_over_http(Side::Server, &info);
                }
                if let Some(info) = info("Proxy-Authentication-Info") {
                    self.auth.accepted_over_http(Side::Proxy, &info);
                }
                Step::Done(Ok(Answer::of(response)))
            }
            301 | 302 | 307 | 308 => self.redirected(&response),
            401 | 407 => self.challenged(&response, random),
            409 => refuse(&response, Conflict::read(&response.body).map(Why::Conflict)),
            _ => refuse(&response, None),
        }
    }

    fn challenged(&mut self, response: &Response, random: &mut impl FnMut() -> u64) -> Step {
        self.challenges += 1;
        let field = if response.code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        let side = if response.code == 401 { Side::Server } else { Side::Proxy };
        let challenges: Vec<(Side, &str)> = response.fields(field).map(|value| (side, value)).collect();
        let sent = auth::HttpRequest {
            method: self.request.method.as_str(),
            target: self.request.url.target(),
            body: &self.request.body,
            credentials: &self.sent,
        };
        let answer = self.auth.challenged_over_http(&challenges, &sent, random);
        match answer.outcome {
            auth::Outcome::Retry(fields) if self.challenges <= MAX_CHALLENGES => {
                self.sent = fields;
                Step::Send(self.next())
            }
            auth::Outcome::Retry(_) => refuse(response, None),
            auth::Outcome::GiveUp(why) => refuse(response, Some(Why::Challenge(why))),
        }
    }

    /// Only to the same port of a host, or from http to https: what is written is meant for that server and nobody else.
    fn redirected(&mut self, response: &Response) -> Step {
        self.redirections += 1;
        if self.redirections > MAX_REDIRECTIONS {
            return refuse(response, Some(Why::TooManyRedirections));
        }
        let Some(location) = response.field("Location") else { return refuse(response, None) };
        let there = match self.request.url.resolve(location.trim()) {
            Ok(there) => there,
            Err(error) => return refuse(response, Some(Why::Nowhere(error))),
        };
        let here = &self.request.url;
        // 301 and 302 let clients turn a PUT into a GET, so they only count for a GET.
        let keeps_method = self.request.method == Method::Get || matches!(response.code, 307 | 308);
        let is_upgrade = there.is_secure() && !here.is_secure();
        let is_same = there.is_secure() == here.is_secure() && there.port() == here.port();
        let stays = there.host() == here.host() && (is_same || is_upgrade);
        if !keeps_method || !stays {
            return refuse(response, Some(Why::Elsewhere(there.to_string())));
        }
        self.request.url = there;
        self.authorize();
        Step::Send(self.next())
    }

    fn authorize(&mut self) {
        let Request { method, url, body, .. } = &self.request;
        self.sent = self.auth.authorize(method.as_str(), url.target(), body);
    }

    fn next(&self) -> Request {
        let mut request = self.request.clone();
        for (id, value) in &self.sent {
            let name = if *id == HeaderId::Authorization { "Authorization" } else { "Proxy-Authorization" };
            request.fields.push((name, value.clone()));
        }
        request
    }
}

impl Answer {
    fn of(response: Response) -> Self {
        let text = |name| response.field(name).map(|value: &str| value.trim().to_owned());
        let media_type = text("Content-Type")
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        Self {
            code: response.code,
            etag: text("ETag").filter(|tag| !tag.is_empty()),
            media_type: media_type.filter(|value| !value.is_empty()),
            reason: reason(&response),
            body: response.body,
        }
    }
}

fn refuse(response: &Response, why: Option<Why>) -> Step {
    Step::Done(Err(Refusal { code: response.code, reason: reason(response), why }))
}

/// Servers need not send words (RFC 9112 §4); people read them.
fn reason(response: &Response) -> String {
    if !response.reason.is_empty() {
        return response.reason.clone();
    }
    let known = match response.code {
        200 => "OK",
        201 => "Created",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        415 => "Unsupported Media Type",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    };
    known.to_owned()
}

const MAX_REDIRECTIONS: usize = 5;
/// Of servers and proxies, with stale nonces.
const MAX_CHALLENGES: usize = 6;

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
