//! Taking our own marks off a request (RFC 3261 §16.4), and what becomes of its Request-URI and Routes when it leaves
//! (§16.6 step 6).

use smallvec::SmallVec;

use crate::message::{Edits, HeaderId, Host, NameAddr, Request, Scheme, Uri, UriBuf, header::Route};

use super::{Own, admit::Refusal};

/// A request without what only concerned this proxy.
#[derive(Debug)]
pub struct Way<'m> {
    /// The Request-URI, if it is another one now.
    uri: Option<UriBuf>,
    original: Uri<'m>,
    /// Routes of ours that stood on top.
    taken: usize,
    /// The last of them.
    ours: Option<Uri<'m>>,
    routes: SmallVec<[NameAddr<'m>; 2]>,
    /// All Routes have to be written anew.
    rewritten: bool,
}

impl<'m> Way<'m> {
    /// Reads the way of `request`, whose Request-URI is `uri`.
    pub fn of(request: &'m Request, uri: Uri<'m>, own: &Own) -> Result<Self, Refusal> {
        let mut way =
            Way { uri: None, original: uri, taken: 0, ours: None, routes: SmallVec::new(), rewritten: false };
        if request.has(HeaderId::Route) {
            for route in request.each::<Route>() {
                way.routes.push(route.map_err(|_| Refusal::bad("Bad Route"))?);
            }
            // A strict router before us put our Record-Route into the Request-URI; the real one is the last Route.
            if own.is(&uri)
                && uri.params().has("lr")
                && let Some(last) = way.routes.pop()
            {
                way.uri = Some(last.uri.into());
                way.ours = Some(uri);
                way.rewritten = true;
            }
            let ours = way.routes.iter().take(MARKS).take_while(|route| own.is(&route.uri)).count();
            if let Some(last) = ours.checked_sub(1).and_then(|last| way.routes.get(last)) {
                way.ours = Some(last.uri);
            }
            way.routes.drain(..ours);
            way.taken = ours;
        }
        way.without_maddr(own);
        // What may not be in a Request-URI (§19.1.5).
        let uri = way.target();
        if uri.headers().next().is_some() {
            way.uri = UriBuf::parse(uri.without_headers()).ok().or(way.uri);
        }
        Ok(way)
    }

    /// A Request-URI whose maddr is ours has come where it was sent: maddr, port and transport go (§16.4).
    fn without_maddr(&mut self, own: &Own) {
        let uri = self.target();
        let Some(maddr) = uri.params().value("maddr").and_then(Host::parse) else { return };
        let default = if uri.scheme() == Scheme::Sips { 5061 } else { 5060 };
        if !own.is_at(maddr, uri.port(), default) {
            return;
        }
        let mut text = format!("{}:", uri.scheme_name());
        if let Some(user) = uri.user() {
            text += user;
            if let Some(password) = uri.password() {
                text = text + ":" + password;
            }
            text.push('@');
        }
        text += &uri.host().to_string();
        for (name, value) in uri.params().iter() {
            if !name.eq_ignore_ascii_case("maddr") && !name.eq_ignore_ascii_case("transport") {
                text = text + ";" + name;
                if let Some(value) = value {
                    text = text + "=" + value;
                }
            }
        }
        if let Ok(uri) = UriBuf::parse(&text) {
            self.uri = Some(uri);
        }
    }

    /// The Request-URI that the request is about now.
    pub fn target(&self) -> Uri<'_> {
        self.uri.as_ref().map_or(self.original, UriBuf::as_uri)
    }

    /// The last of our own Routes that led here.
    pub const fn ours(&self) -> Option<Uri<'m>> {
        self.ours
    }

    /// The next Route, which is not ours.
    pub fn route(&self) -> Option<Uri<'m>> {
        self.routes.first().map(|route| route.uri)
    }

    /// Writes it down: for a strict router as next hop it is put into the Request-URI, and what was there behind the
    /// Routes.
    pub fn apply(&self, edits: &mut Edits<'_>) {
        let strict = self.route().filter(|route| !route.params().has("lr"));
        if let Some(strict) = strict {
            let bracketed = |uri: &str| format!("<{uri}>");
            let mut routes: Vec<_> = self.routes.iter().skip(1).map(written).collect();
            routes.push(bracketed(self.target().as_str()));
            edits.uri(strict.without_headers()).set(HeaderId::Route, routes.join(", "));
            return;
        }
        if let Some(uri) = &self.uri {
            edits.uri(uri.as_str());
        }
        if !self.rewritten {
            for _ in 0..self.taken {
                edits.pop_value(HeaderId::Route);
            }
        } else if self.routes.is_empty() {
            edits.remove(HeaderId::Route);
        } else {
            edits.set(HeaderId::Route, self.routes.iter().map(written).collect::<Vec<_>>().join(", "));
        }
    }
}

/// A Route as it would be written today; nobody looks at display names there.
fn written(route: &NameAddr<'_>) -> String {
    let params = route.params.as_str();
    let separator = if params.is_empty() || params.starts_with(';') { "" } else { ";" };
    format!("<{}>{separator}{params}", route.uri)
}

/// We put in two Routes at most (RFC 5658 §5); what is behind them was put in on another visit.
const MARKS: usize = 2;
