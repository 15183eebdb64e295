//! The event state compositor of RFC 3903 §6, as a value: what was published for which resource, under which entity-tag,
//! and until when. It sends nothing, knows no clock, and leaves what is in a state, and how several are made one, to
//! whoever asks for [`Compositor::states`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    message::{Builder, HeaderId, Request, header},
    time::{Duration, Instant},
};

use super::{package, publication::Operation};

/// How much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What is asked to last less is refused (423).
    pub least: Duration,
    /// Nothing lasts longer.
    pub most: Duration,
    /// How long it lasts if nothing is said.
    pub usual: Duration,
    /// Publications at once; 503 beyond.
    pub publications: usize,
    /// Octets of all of them; 503 beyond.
    pub octets: usize,
    /// Octets of one; 413 beyond.
    pub largest: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(60),
            most: Duration::from_secs(3600),
            usual: Duration::from_secs(3600),
            publications: 100_000,
            octets: 256 << 20,
            largest: 256 << 10,
        }
    }
}

/// What was published and holds.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its Content-Type.
    pub kind: Box<str>,
    pub body: Bytes,
    /// The newest tag.
    pub etag: Box<str>,
    /// When it was published or modified last; a refresh does not count.
    pub since: Instant,
    pub until: Instant,
    /// Orders it by expiry.
    serial: u64,
}

/// What became of a PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub operation: Operation,
    pub etag: String,
    pub expires: Duration,
}

impl Stored {
    /// Whether the state of the resource may be another one now.
    pub fn has_changed(&self) -> bool {
        self.operation != Operation::Refresh
    }

    /// The rows of the 200 (§6, step 6).
    pub fn rows(&self, response: Builder) -> Builder {
        response.header(HeaderId::SipEtag, &self.etag).header(HeaderId::Expires, self.expires.as_secs())
    }
}

/// Why a PUBLISH is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("no Event, no state, or fields that cannot be read")]
    Malformed,
    #[error("nothing is published under that entity-tag")]
    Unknown,
    #[error("an interval of less than {0:?}")]
    TooBrief(Duration),
    #[error("a state that is too large")]
    TooLarge,
    #[error("no room for more")]
    Full,
}

impl Refused {
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unknown => 412,
            Self::TooBrief(_) => 423,
            Self::TooLarge => 413,
            Self::Full => 503,
        }
    }

    /// The rows its response needs.
    pub fn rows(self, response: Builder) -> Builder {
        match self {
            Self::TooBrief(least) => response.header(HeaderId::MinExpires, least.as_secs()),
            Self::Full => response.header(HeaderId::RetryAfter, RETRY_AFTER.as_secs()),
            Self::Malformed | Self::Unknown | Self::TooLarge => response,
        }
    }
}

/// A resource and the package its state is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    pub event: Box<str>,
    pub resource: Box<str>,
}

impl Topic {
    pub fn new(event: &str, resource: &str) -> Self {
        Self { event: event.into(), resource: resource.into() }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Compositor {
    limits: Limits,
    topics: HashMap<Arc<Topic>, Vec<Entity>>,
    expiries: BTreeMap<(Instant, u64), Arc<Topic>>,
    octets: usize,
    serial: u64,
}

impl Compositor {
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a PUBLISH for `resource`, which the caller has made of the Request-URI; whether it is one of ours, its
    /// package known and its body of a type that is understood the caller has seen to (steps 1, 2 and 5). `random` makes
    /// entity-tags that cannot be guessed. All or nothing is done.
    pub fn publish(
        &mut self,
        request: &Request,
        resource: &str,
        now: Instant,
        random: u64,
    ) -> Result<Stored, Refused> {
        let (event, _) = package::event(request).ok_or(Refused::Malformed)?;
        let topic = Topic::new(event, resource);
        let known = match request.raw(HeaderId::SipIfMatch).count() {
            0 => None,
            1 => Some(request.find::<header::SipIfMatch>().ok().flatten().ok_or(Refused::Malformed)?),
            _ => return Err(Refused::Malformed),
        };
        let at = match known {
            None => None,
            Some(etag) => {
                let entities = self.topics.get(&topic).map_or(&[][..], Vec::as_slice);
                let holds = |entity: &Entity| *entity.etag == *etag && entity.until > now;
                Some(entities.iter().position(holds).ok_or(Refused::Unknown)?)
            }
        };
        let expires = self.expires(request)?;
        let body = request.body();
        let operation = match (at, body.is_empty()) {
            _ if expires.is_zero() => Operation::Remove,
            (None, true) => return Err(Refused::Malformed),
            (None, false) => Operation::Initial,
            (Some(_), true) => Operation::Refresh,
            (Some(_), false) => Operation::Modify,
        };
        let kind = match request.find::<header::ContentType>() {
            Ok(kind) if kind.is_some() || body.is_empty() => request
                .raw(HeaderId::ContentType)
                .next()
                .map(|row| row.text().to_string())
                .unwrap_or_default(),
            Ok(_) | Err(_) => return Err(Refused::Malformed),
        };
        if body.len() > self.limits.largest {
            return Err(Refused::TooLarge);
        }
        let before = at.and_then(|at| self.topics.get(&topic)?.get(at)).map_or(0, |entity| entity.body.len());
        let octets = self.octets - before + body.len();
        let is_full = at.is_none() && self.expiries.len() >= self.limits.publications;
        if matches!(operation, Operation::Initial | Operation::Modify)
            && (is_full || octets > self.limits.octets)
        {
            return Err(Refused::Full);
        }
        // What was assigned before never comes again (step 6), and what comes cannot be guessed.
        self.serial += 1;
        let etag = format!("{:x}.{random:016x}", self.serial);
        let stored = Stored { operation, etag: etag.clone(), expires };
        let old = at.and_then(|at| self.take(&topic, at));
        if operation != Operation::Remove {
            let (kind, body, since) = match (operation, old) {
                (Operation::Refresh, Some(old)) => (old.kind, old.body, old.since),
                _ => (kind.into(), Bytes::copy_from_slice(body), now),
            };
            let until = now + expires;
            let entity = Entity { kind, body, etag: etag.into(), since, until, serial: self.serial };
            self.put(topic, entity);
        }
        Ok(stored)
    }

    /// Step 4.
    fn expires(&self, request: &Request) -> Result<Duration, Refused> {
        let asked = match request.find::<header::Expires>() {
            Ok(Some(seconds)) => Duration::from_secs(seconds.into()),
            Ok(None) => self.limits.usual,
            Err(_) => return Err(Refused::Malformed),
        };
        if !asked.is_zero() && asked < self.limits.least {
            return Err(Refused::TooBrief(self.limits.least));
        }
        Ok(asked.min(self.limits.most))
    }

    fn take(&mut self, topic: &Topic, at: usize) -> Option<Entity> {
        let entities = self.topics.get_mut(topic)?;
        if at >= entities.len() {
            return None;
        }
        let entity = entities.remove(at);
        if entities.is_empty() {
            self.topics.remove(topic);
        }
        self.expiries.remove(&(entity.until, entity.serial));
        self.octets -= entity.body.len();
        Some(entity)
    }

    fn put(&mut self, topic: Topic, entity: Entity) {
        let topic = match self.topics.get_key_value(&topic) {
            Some((known, _)) => known.clone(),
            None => Arc::new(topic),
        };
        self.octets += entity.body.len();
        self.expiries.insert((entity.until, entity.serial), topic.clone());
        self.topics.entry(topic).or_default().push(entity);
    }

    /// What is published for a resource, in no particular order.
    pub fn states(&self, event: &str, resource: &str) -> &[Entity] {
        self.topics.get(&Topic::new(event, resource)).map_or(&[], Vec::as_slice)
    }

    /// Everything there is something published for.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys().map(|topic| &**topic)
    }

    /// Publications that hold.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.expiries.is_empty()
    }

    /// When the next one expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out what has expired; whose state is another one now, each once.
    pub fn expire(&mut self, now: Instant) -> Vec<Topic> {
        let mut changed: Vec<Topic> = Vec::new();
        while let Some((&(at, serial), topic)) = self.expiries.first_key_value() {
            if at > now {
                break;
            }
            let topic = topic.clone();
            let place = self.topics.get(&topic).and_then(|all| all.iter().position(|e| e.serial == serial));
            match place {
                Some(place) => self.take(&topic, place),
                None => self.expiries.remove(&(at, serial)).and(None),
            };
            if changed.last() != Some(&*topic) {
                changed.push((*topic).clone());
            }
        }
        changed.sort();
        changed.dedup();
        changed
    }
}

/// How long who finds it full should wait.
const RETRY_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Method;

    fn publish(etag: Option<&str>, expires: Option<u32>, body: &str) -> Request {
        let mut builder = Builder::request(Method::Publish, "sip:a@b").header(HeaderId::Event, "presence");
        if let Some(etag) = etag {
            builder = builder.header(HeaderId::SipIfMatch, etag);
        }
        if let Some(expires) = expires {
            builder = builder.header(HeaderId::Expires, expires);
        }
        if !body.is_empty() {
            builder = builder.body("text/plain", body.as_bytes());
        }
        builder.finish().into_request().unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn bodies(compositor: &Compositor) -> Vec<&[u8]> {
        compositor.states("presence", "a").iter().map(|entity| &entity.body[..]).collect()
    }

    /// The operations of table 1, with all that may be wrong about them.
    #[test]
    fn a_life_of_a_publication() {
        let mut compositor = Compositor::default();
        let first = compositor.publish(&publish(None, Some(100), "one"), "a", at(0), 1).unwrap();
        assert_eq!((first.operation, first.expires), (Operation::Initial, Duration::from_secs(100)));
        assert!(first.has_changed());
        let other = compositor.publish(&publish(None, None, "two"), "a", at(0), 1).unwrap();
        assert_ne!(first.etag, other.etag);
        assert_eq!(other.expires, Duration::from_secs(3600));
        assert_eq!(bodies(&compositor), [b"one", b"two"]);
        assert!(compositor.states("dialog", "a").is_empty() && compositor.states("presence", "b").is_empty());

        let refreshed =
            compositor.publish(&publish(Some(&first.etag), Some(200), ""), "a", at(50), 1).unwrap();
        assert_eq!(refreshed.operation, Operation::Refresh);
        assert!(!refreshed.has_changed());
        let again = publish(Some(&first.etag), Some(200), "");
        assert_eq!(compositor.publish(&again, "a", at(50), 1), Err(Refused::Unknown), "a tag serves once");
        let modified = publish(Some(&refreshed.etag), Some(200), "three");
        assert_eq!(compositor.publish(&modified, "b", at(50), 1), Err(Refused::Unknown));
        let modified = compositor.publish(&modified, "a", at(60), 1).unwrap();
        assert_eq!(modified.operation, Operation::Modify);
        assert_eq!(bodies(&compositor), [&b"two"[..], b"three"]);
        assert_eq!(compositor.states("presence", "a")[1].since, at(60));
        let gone = compositor.publish(&publish(Some(&modified.etag), Some(0), ""), "a", at(70), 1).unwrap();
        assert_eq!((gone.operation, gone.expires), (Operation::Remove, Duration::ZERO));
        assert_eq!(bodies(&compositor), [b"two"]);

        assert_eq!(compositor.next_expiry(), Some(at(3600)));
        assert!(compositor.expire(at(3599)).is_empty());
        assert_eq!(compositor.expire(at(3600)), [Topic::new("presence", "a")]);
        assert!(compositor.is_empty() && compositor.topics().next().is_none() && compositor.octets == 0);
    }

    #[test]
    fn what_is_not_taken() {
        let limits = Limits { publications: 2, octets: 10, largest: 6, ..Limits::default() };
        let mut compositor = Compositor::new(limits);
        let mut refused =
            |request: Request| compositor.publish(&request, "a", at(0), 1).unwrap_err().status();
        assert_eq!(refused(publish(None, Some(100), "")), 400);
        assert_eq!(refused(publish(Some("x"), Some(100), "one")), 412);
        assert_eq!(refused(publish(Some("x, y"), Some(100), "one")), 400);
        assert_eq!(refused(publish(None, Some(59), "one")), 423);
        assert_eq!(refused(publish(None, Some(100), "too long")), 413);
        let no_event = Builder::request(Method::Publish, "sip:a@b").body("text/plain", b"x").finish();
        assert_eq!(refused(no_event.into_request().unwrap()), 400);
        // Nothing is kept of what is to last no time.
        assert!(compositor.publish(&publish(None, Some(0), "one"), "a", at(0), 1).is_ok());
        assert!(compositor.is_empty());
        let one = compositor.publish(&publish(None, None, "12345"), "a", at(0), 1).unwrap();
        let more = publish(None, None, "123456");
        assert_eq!(compositor.publish(&more, "a", at(0), 1), Err(Refused::Full), "octets");
        compositor.publish(&publish(None, None, "1"), "b", at(0), 1).unwrap();
        assert_eq!(compositor.publish(&publish(None, None, "1"), "c", at(0), 1), Err(Refused::Full));
        assert!(compositor.publish(&publish(Some(&one.etag), None, "123456"), "a", at(0), 1).is_ok());
        assert_eq!(compositor.octets, 7);
    }
}
