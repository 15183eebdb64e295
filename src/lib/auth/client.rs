//! Answers challenges (RFC 3261 §22.2 and §22.3, RFC 8760 §2.4): which of them, with what, and when
//! to give up.
//!
//! Of the challenges of one realm the strongest algorithm wins, the topmost among equals. Each realm
//! there is a login for is answered, of servers and proxies at once. Credentials that were refused
//! are not sent again; only a nonce that went stale, or one that had served before, is replaced.

use std::fmt::{self, Write as _};

use super::digest::{self, Algorithm, Login, Proof, Qop};
use crate::message::{
    HeaderId, Quoted, Request, Response,
    header::{
        AuthParams, AuthenticationInfo, Authorization, Challenge, Credentials, ProxyAuthenticate,
        ProxyAuthenticationInfo, ProxyAuthorization, WwwAuthenticate,
    },
};

/// Logins and the nonces they were used with: one for each registration, call or other usage.
#[derive(Clone, Debug, Default)]
pub struct Client {
    logins: Vec<Login>,
    only: Option<Algorithm>,
    sessions: Vec<Session>,
}

impl Client {
    /// The first login that fits a realm is used there.
    pub fn new(logins: Vec<Login>) -> Self {
        Self { logins, only: None, sessions: Vec::new() }
    }

    /// Whether there is anything to answer with.
    pub fn has_logins(&self) -> bool {
        !self.logins.is_empty()
    }

    /// Answers nothing but this algorithm.
    #[must_use]
    pub fn only(mut self, algorithm: Option<Algorithm>) -> Self {
        self.only = algorithm;
        self
    }

    /// Takes a 401 or 407 to the request `sent`. `random` gives unpredictable numbers.
    ///
    /// On [`Outcome::Retry`] the caller sends the request anew (next CSeq), with all its
    /// Authorization and Proxy-Authorization fields replaced by the given ones.
    pub fn challenged(
        &mut self,
        response: &Response,
        sent: &Request,
        random: &mut impl FnMut() -> u64,
    ) -> Answer {
        let server = response.each::<WwwAuthenticate>().map(|view| (Side::Server, view.ok()));
        let proxy = response.each::<ProxyAuthenticate>().map(|view| (Side::Proxy, view.ok()));
        let sent = Sent {
            method: sent.method().as_str(),
            uri: sent.raw_uri(),
            body: sent.body(),
            nonce: &|side, realm| side.nonce_sent(sent, realm),
        };
        self.choose(server.chain(proxy), &sent, random)
    }

    /// Takes the challenges of an answer to `sent`, whatever the protocol.
    pub(super) fn choose<'v>(
        &mut self,
        challenges: impl Iterator<Item = (Side, Option<Challenge<'v>>)>,
        sent: &Sent<'_>,
        random: &mut impl FnMut() -> u64,
    ) -> Answer {
        let mut offered: Vec<Offered> = Vec::new();
        let mut asked: Vec<Option<Asked>> = Vec::new();
        for (side, view) in challenges.take(MAX_CHALLENGES) {
            let (row, ask) = self.judge(side, view);
            offered.push(row);
            asked.push(ask);
        }

        let mut downgrade = None;
        let mut answered = false;
        for index in strongest(&asked) {
            let Some(ask) = asked.get_mut(index).and_then(Option::take) else { continue };
            let Some(row) = offered.get_mut(index) else { continue };
            row.verdict = self.decide(&ask, sent);
            let known = self.sessions.iter().position(|s| s.side == ask.side && s.realm == ask.realm);
            let before = known.map(|at| self.sessions.remove(at));
            if row.verdict == Verdict::Chosen && self.sessions.len() < MAX_REALMS {
                let from = before.as_ref().map(|session| session.ask.algorithm);
                if let Some(from) = from.filter(|from| from.strength() > ask.algorithm.strength()) {
                    downgrade = Some(Downgrade { realm: ask.realm.clone(), from, to: ask.algorithm });
                }
                let stale = before.map_or(0, |session| session.stale) + u8::from(ask.stale);
                self.sessions.push(Session::new(ask, stale, random));
                answered = true;
            }
        }
        let outcome = match answered {
            true => Outcome::Retry(self.headers(sent.method, sent.uri, sent.body)),
            false => Outcome::GiveUp(why(&offered)),
        };
        Answer { outcome, offered, downgrade }
    }

    /// Credentials for a further request, from the nonces in hand; empty before any challenge.
    ///
    /// An ACK for a 2xx carries those of its INVITE instead (RFC 3261 §22.1), a CANCEL none.
    pub fn authorize(&mut self, method: &str, uri: &str, body: &[u8]) -> Vec<(HeaderId, String)> {
        for session in &mut self.sessions {
            session.stale = 0;
        }
        self.headers(method, uri, body)
    }

    /// Takes a 2xx: server and proxy may name the nonce they want next (RFC 7616 §3.5, RFC 7615 §4).
    pub fn accepted(&mut self, response: &Response) {
        if let Ok(Some(info)) = response.find::<AuthenticationInfo>() {
            self.next_nonce(Side::Server, info);
        }
        if let Ok(Some(info)) = response.find::<ProxyAuthenticationInfo>() {
            self.next_nonce(Side::Proxy, info);
        }
    }

    /// The field names no realm, so it is only clear with a single one.
    pub(super) fn next_nonce(&mut self, side: Side, info: AuthParams<'_>) {
        let Some(next) = info.text("nextnonce").filter(|next| !next.is_empty()) else { return };
        let mut sessions = self.sessions.iter_mut().filter(|session| session.side == side);
        if let (Some(session), None) = (sessions.next(), sessions.next())
            && session.ask.nonce != next
        {
            session.ask.nonce = next.into_owned();
            session.nc = 0;
        }
    }

    fn headers(&mut self, method: &str, uri: &str, body: &[u8]) -> Vec<(HeaderId, String)> {
        let logins = &self.logins;
        let value = |session: &mut Session| {
            let login = logins.get(session.ask.login)?;
            Some((session.side.credentials(), session.credentials(login, method, uri, body)))
        };
        self.sessions.iter_mut().filter_map(value).collect()
    }

    /// Whether a challenge can be answered at all.
    fn judge(&self, side: Side, view: Option<Challenge<'_>>) -> (Offered, Option<Asked>) {
        let Some(view) = view else {
            let verdict = Verdict::Malformed;
            let row = Offered { side, scheme: String::new(), realm: String::new(), algorithm: None, verdict };
            return (row, None);
        };
        let asked = Asked::read(side, &view, self);
        let row = Offered {
            side,
            scheme: view.scheme.to_owned(),
            realm: view.params.text("realm").unwrap_or_default().into_owned(),
            algorithm: view.params.get("algorithm").map(str::to_owned),
            verdict: *asked.as_ref().err().unwrap_or(&Verdict::Weaker),
        };
        (row, asked.ok())
    }

    /// Whether an answer makes sense after what was `sent` to this realm.
    fn decide(&self, ask: &Asked, sent: &Sent<'_>) -> Verdict {
        let Some(used) = (sent.nonce)(ask.side, &ask.realm) else { return Verdict::Chosen };
        let session = self.sessions.iter().find(|s| s.side == ask.side && s.realm == ask.realm);
        let again = match session {
            Some(session) if ask.stale => session.stale < MAX_STALE,
            None if ask.stale => true,
            // It was good for an earlier request, so it has run out though nobody says so.
            Some(session) => session.nc > 1 && session.ask.nonce == used && ask.nonce != used,
            None => false,
        };
        if again { Verdict::Chosen } else { Verdict::Rejected }
    }
}

/// A request that was challenged.
pub(super) struct Sent<'s> {
    pub method: &'s str,
    pub uri: &'s str,
    pub body: &'s [u8],
    /// The nonce that its credentials for a realm had.
    pub nonce: &'s dyn Fn(Side, &str) -> Option<String>,
}

/// What to do about a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// All challenges in their order, and what became of each.
    pub offered: Vec<Offered>,
    /// A realm that asked for a stronger algorithm before: perhaps someone is in between.
    pub downgrade: Option<Downgrade>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Send the request again with these fields and no others of their kind.
    Retry(Vec<(HeaderId, String)>),
    GiveUp(GiveUp),
}

/// Why a challenge is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    #[error("no user and password for realm {0:?}")]
    NoCredentials(String),
    #[error("realm {0:?} does not accept user or password")]
    Rejected(String),
    #[error("no digest algorithm in common, asked for {0}")]
    UnsupportedAlgorithm(String),
    #[error("authentication scheme {0} is not supported, only Digest is")]
    UnsupportedScheme(String),
    #[error("realm {0:?} asks for a quality of protection other than auth and auth-int")]
    UnsupportedQop(String),
    #[error("the challenge cannot be read")]
    Malformed,
    #[error("the response asks for credentials but has no challenge")]
    NoChallenge,
}

/// One challenge of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub side: Side,
    pub scheme: String,
    pub realm: String,
    /// As written; `None` means MD5.
    pub algorithm: Option<String>,
    pub verdict: Verdict,
}

/// `Digest SHA-256 for "example.com": chosen`
impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = self.algorithm.as_deref().unwrap_or("MD5");
        write!(f, "{} {algorithm} for {:?}: {}", self.scheme, self.realm, self.verdict.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Chosen,
    /// A stronger one, or an equal one above it, was chosen for the realm.
    Weaker,
    UnknownScheme,
    UnknownAlgorithm,
    /// The caller asked for another algorithm ([`Client::only`]).
    Excluded,
    UnknownQop,
    /// Unreadable, or without realm or nonce.
    Malformed,
    NoCredentials,
    /// There is a hash instead of a password, and it is of another algorithm.
    OtherHash,
    /// Credentials were sent and not accepted.
    Rejected,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Weaker => "a better one is there",
            Self::UnknownScheme => "unknown scheme",
            Self::UnknownAlgorithm => "unknown algorithm",
            Self::Excluded => "excluded by configuration",
            Self::UnknownQop => "unknown quality of protection",
            Self::Malformed => "malformed",
            Self::NoCredentials => "no credentials",
            Self::OtherHash => "the hash at hand is of another algorithm",
            Self::Rejected => "credentials were rejected",
        }
    }
}

/// A realm asks for a weaker algorithm than it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downgrade {
    pub realm: String,
    pub from: Algorithm,
    pub to: Algorithm,
}

/// `"example.com" went from SHA-256 to MD5`
impl fmt::Display for Downgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} went from {} to {}", self.realm, self.from.as_str(), self.to.as_str())
    }
}

/// Who asks: a UAS or registrar (401), or a proxy (407).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Proxy,
}

impl Side {
    /// The field that carries credentials.
    pub const fn credentials(self) -> HeaderId {
        match self {
            Self::Server => HeaderId::Authorization,
            Self::Proxy => HeaderId::ProxyAuthorization,
        }
    }

    /// The field that carries challenges.
    pub const fn challenge(self) -> HeaderId {
        match self {
            Self::Server => HeaderId::WwwAuthenticate,
            Self::Proxy => HeaderId::ProxyAuthenticate,
        }
    }

    /// The digest credentials of a request.
    pub(super) fn credentials_in<'m>(self, request: &'m Request) -> Vec<Credentials<'m>> {
        let digest = |view: &Credentials<'m>| view.is_digest();
        match self {
            Self::Server => request.each::<Authorization>().flatten().filter(digest).collect(),
            Self::Proxy => request.each::<ProxyAuthorization>().flatten().filter(digest).collect(),
        }
    }

    fn nonce_sent(self, request: &Request, realm: &str) -> Option<String> {
        let credentials = self.credentials_in(request);
        let own = credentials.iter().find(|c| c.params.text("realm").is_some_and(|text| text == realm))?;
        Some(own.params.text("nonce")?.into_owned())
    }
}

/// A challenge that can be answered.
#[derive(Clone, Debug)]
struct Asked {
    side: Side,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As written, to be repeated; absent if it was absent.
    algorithm_name: Option<String>,
    qop: Option<Qop>,
    stale: bool,
    userhash: bool,
    /// Index of the login.
    login: usize,
}

impl Asked {
    fn read(side: Side, view: &Challenge<'_>, client: &Client) -> Result<Self, Verdict> {
        if !view.is_digest() {
            return Err(Verdict::UnknownScheme);
        }
        let text = |name: &str| view.params.text(name).map(|text| text.into_owned());
        let (Some(realm), Some(nonce)) = (text("realm"), text("nonce")) else {
            return Err(Verdict::Malformed);
        };
        let algorithm_name = text("algorithm");
        let algorithm = match &algorithm_name {
            Some(name) => Algorithm::parse(name).ok_or(Verdict::UnknownAlgorithm)?,
            None => Algorithm::Md5,
        };
        if client.only.is_some_and(|only| only != algorithm) {
            return Err(Verdict::Excluded);
        }
        let qop = match text("qop") {
            Some(list) => {
                let known: Vec<Qop> = list.split(',').filter_map(|name| Qop::parse(name.trim())).collect();
                // Proxies may change bodies, so integrity is for those who insist.
                let auth = known.iter().find(|qop| **qop == Qop::Auth).or(known.first());
                Some(*auth.ok_or(Verdict::UnknownQop)?)
            }
            None => None,
        };
        let flag = |name: &str| view.params.get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let fits = |login: &Login| login.fits(&realm);
        let login = client.logins.iter().position(|login| fits(login) && login.secret.serves(algorithm));
        let lacking =
            if client.logins.iter().any(fits) { Verdict::OtherHash } else { Verdict::NoCredentials };
        Ok(Self {
            side,
            nonce,
            opaque: text("opaque"),
            algorithm,
            algorithm_name,
            qop,
            stale: flag("stale"),
            userhash: flag("userhash"),
            login: login.ok_or(lacking)?,
            realm,
        })
    }
}

/// A challenge that was answered, and how often.
#[derive(Clone, Debug)]
struct Session {
    side: Side,
    realm: String,
    ask: Asked,
    /// One for all requests with this nonce: the -sess algorithms need it so.
    cnonce: String,
    /// Requests sent with this nonce.
    nc: u32,
    /// Answers in a row that the nonce was stale.
    stale: u8,
}

impl Session {
    fn new(ask: Asked, stale: u8, random: &mut impl FnMut() -> u64) -> Self {
        let cnonce = format!("{:016x}{:016x}", random(), random());
        Self { side: ask.side, realm: ask.realm.clone(), ask, cnonce, nc: 0, stale }
    }

    /// The value of the field for one more request (RFC 7616 §3.4).
    fn credentials(&mut self, login: &Login, method: &str, uri: &str, body: &[u8]) -> String {
        self.nc = self.nc.saturating_add(1);
        let Asked { realm, nonce, algorithm, qop, .. } = &self.ask;
        let nc = format!("{:08x}", self.nc);
        let ha1 = digest::ha1(*algorithm, &login.username, realm, &login.secret, nonce, &self.cnonce);
        let proof = Proof {
            algorithm: *algorithm,
            method,
            uri,
            body,
            nonce,
            qop: *qop,
            nc: &nc,
            cnonce: &self.cnonce,
        };
        let response = proof.response(&ha1);
        let hashed;
        let username = match self.ask.userhash {
            true => {
                hashed = digest::userhash(*algorithm, &login.username, realm);
                hashed.as_str()
            }
            false => &login.username,
        };

        // RFC 7616 §3.4 lists which values are quoted and which must not be.
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{}\"",
            Quoted(username),
            Quoted(realm),
            Quoted(nonce),
            Quoted(uri),
            response.as_str(),
        );
        let mut say = |name: &str, text: &dyn fmt::Display| {
            // Writing to a string does not fail.
            let _ = write!(value, ", {name}={text}");
        };
        if let Some(name) = &self.ask.algorithm_name {
            say("algorithm", name);
        }
        if qop.is_some() || algorithm.is_session() {
            say("cnonce", &Quoted(&self.cnonce));
        }
        if let Some(opaque) = &self.ask.opaque {
            say("opaque", &Quoted(opaque));
        }
        if let Some(qop) = qop {
            say("qop", &qop.as_str());
            say("nc", &nc);
        }
        if self.ask.userhash {
            say("userhash", &"true");
        }
        value
    }
}

/// For each realm the index of its strongest challenge, the topmost among equals.
fn strongest(asked: &[Option<Asked>]) -> Vec<usize> {
    let mut best: Vec<(usize, &Asked)> = Vec::new();
    for (index, ask) in asked.iter().enumerate() {
        let Some(ask) = ask else { continue };
        match best.iter_mut().find(|(_, known)| known.side == ask.side && known.realm == ask.realm) {
            Some(known) if ask.algorithm.strength() > known.1.algorithm.strength() => *known = (index, ask),
            Some(_) => {}
            None => best.push((index, ask)),
        }
    }
    best.into_iter().map(|(index, _)| index).collect()
}

/// The one reason among the verdicts that helps the user most.
fn why(offered: &[Offered]) -> GiveUp {
    let find = |verdict| offered.iter().find(|row| row.verdict == verdict);
    let names = |verdict| {
        let rows = offered.iter().filter(|row| row.verdict == verdict);
        rows.map(|row| row.algorithm.as_deref().unwrap_or("MD5")).collect::<Vec<_>>().join(", ")
    };
    if let Some(row) = find(Verdict::Rejected) {
        GiveUp::Rejected(row.realm.clone())
    } else if let Some(row) = find(Verdict::NoCredentials).or_else(|| find(Verdict::Chosen)) {
        GiveUp::NoCredentials(row.realm.clone())
    } else if find(Verdict::OtherHash).is_some() {
        GiveUp::UnsupportedAlgorithm(names(Verdict::OtherHash))
    } else if find(Verdict::Excluded).is_some() {
        GiveUp::UnsupportedAlgorithm(names(Verdict::Excluded))
    } else if find(Verdict::UnknownAlgorithm).is_some() {
        GiveUp::UnsupportedAlgorithm(names(Verdict::UnknownAlgorithm))
    } else if let Some(row) = find(Verdict::UnknownQop) {
        GiveUp::UnsupportedQop(row.realm.clone())
    } else if find(Verdict::Malformed).is_some() {
        GiveUp::Malformed
    } else if let Some(row) = find(Verdict::UnknownScheme) {
        GiveUp::UnsupportedScheme(row.scheme.clone())
    } else {
        GiveUp::NoChallenge
    }
}

/// Challenges of one response that are looked at.
const MAX_CHALLENGES: usize = 32;
/// Realms answered at once.
const MAX_REALMS: usize = 16;
/// Stale nonces in a row before it counts as a refusal.
const MAX_STALE: u8 = 3;
