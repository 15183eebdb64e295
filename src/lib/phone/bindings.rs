//! Who can be reached where: the bindings of a small registrar in memory (RFC 3261 §10.3), for tests.
//!
//! It keeps the order of REGISTERs, refuses what is too brief, removes one or all, and knows a device again by its
//! instance and reg-id (RFC 5626 §6), for which it makes a public GRUU (RFC 5627 §5.3). Both the addresses of record
//! and the bindings of each are bounded. It lists bindings and routes nothing.

use std::collections::BTreeMap;

use crate::{
    message::{ContactValue, Quoted, Request, UriBuf, header},
    time::{Duration, Instant},
};

/// How long bindings live, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Less is refused with 423.
    pub least: Duration,
    /// More is cut down to this.
    pub most: Duration,
    /// Where nothing is asked for.
    pub usual: Duration,
    /// Addresses of record.
    pub records: usize,
    /// Bindings of each.
    pub bindings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(60),
            most: Duration::from_secs(7200),
            usual: Duration::from_secs(3600),
            records: 10_000,
            bindings: 10,
        }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Bindings {
    limits: Limits,
    records: BTreeMap<Box<str>, Vec<Binding>>,
}

/// One address at which somebody is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub uri: UriBuf,
    pub until: Instant,
    /// Preference in thousandths.
    pub q: Option<u16>,
    pub instance: Option<Box<str>>,
    pub reg_id: Option<u32>,
    gruu: Option<Box<str>>,
    call_id: Box<str>,
    number: u32,
}

impl Binding {
    /// The value of its row in a 2xx.
    pub fn row(&self, now: Instant) -> String {
        use std::fmt::Write as _;
        // Rounded up: what is bound has not run out.
        let left = (self.until - now).as_micros().div_ceil(1_000_000);
        let mut row = format!("<{}>;expires={left}", self.uri);
        // Writing to a string does not fail.
        if let Some(q) = self.q {
            let _ = write!(row, ";q={}.{:03}", q / 1000, q % 1000);
        }
        if let Some(instance) = &self.instance {
            let _ = write!(row, ";+sip.instance={}", Quoted(&format!("<{instance}>")));
        }
        if let Some(reg_id) = self.reg_id {
            let _ = write!(row, ";reg-id={reg_id}");
        }
        if let Some(gruu) = &self.gruu {
            let _ = write!(row, ";pub-gruu={}", Quoted(gruu));
        }
        row
    }
}

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 400: an address of record or a Contact that cannot be used.
    Malformed,
    /// 420: something is required that is not known here.
    Extension,
    /// 423, with the least there is.
    TooBrief(Duration),
    /// 500: an older one than was seen before (§10.3 step 7).
    OutOfOrder,
    /// 503: no room.
    Full,
}

impl Refused {
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Extension => 420,
            Self::TooBrief(_) => 423,
            Self::OutOfOrder => 500,
            Self::Full => 503,
        }
    }
}

/// A change a REGISTER asks for.
struct Wish {
    binding: Binding,
    /// Nothing: removed.
    expires: Duration,
}

impl Bindings {
    pub fn new(limits: Limits) -> Self {
        Self { limits, records: BTreeMap::new() }
    }

    /// Takes a REGISTER, all of it or nothing, and gives what is bound afterwards.
    pub fn register(&mut self, request: &Request, now: Instant) -> Result<&[Binding], Refused> {
        let (key, wishes) = self.read(request, now)?;
        self.forget_old(&key, now);
        if self.records.len() >= self.limits.records && !self.records.contains_key(&key) {
            self.records.retain(|_, bindings| bindings.iter().any(|binding| binding.until > now));
            if self.records.len() >= self.limits.records {
                return Err(Refused::Full);
            }
        }
        let mut bindings = self.records.get(&key).cloned().unwrap_or_default();
        match wishes {
            None => {
                let (call_id, number) = order(request)?;
                if bindings.iter().any(|known| *known.call_id == *call_id && known.number >= number) {
                    return Err(Refused::OutOfOrder);
                }
                bindings.clear();
            }
            Some(wishes) => {
                // One that is named twice is older than neither of its names.
                let before = bindings.clone();
                for wish in wishes {
                    apply(&mut bindings, &before, wish)?;
                }
            }
        }
        if bindings.len() > self.limits.bindings {
            return Err(Refused::Full);
        }
        match bindings.is_empty() {
            true => {
                self.records.remove(&key);
                Ok(&[])
            }
            false => {
                let record = self.records.entry(key).or_default();
                *record = bindings;
                Ok(record)
            }
        }
    }

    /// Addresses of record, and what is bound to each; some of it may have run out.
    pub fn records(&self) -> impl Iterator<Item = (&str, &[Binding])> {
        self.records.iter().map(|(aor, bindings)| (&**aor, bindings.as_slice()))
    }

    /// Bindings of all.
    pub fn len(&self, now: Instant) -> usize {
        self.records.values().flatten().filter(|binding| binding.until > now).count()
    }

    fn forget_old(&mut self, key: &str, now: Instant) {
        if let Some(bindings) = self.records.get_mut(key) {
            bindings.retain(|binding| binding.until > now);
            if bindings.is_empty() {
                self.records.remove(key);
            }
        }
    }

    /// The address of record, and what is wanted; `None` for the removal of all.
    fn read(&self, request: &Request, now: Instant) -> Result<(Box<str>, Option<Vec<Wish>>), Refused> {
        let to = request.to().map_err(|_| Refused::Malformed)?;
        let aor = UriBuf::parse(to.uri.without_headers()).map_err(|_| Refused::Malformed)?;
        if !aor.as_uri().is_sip() {
            return Err(Refused::Malformed);
        }
        let key: Box<str> = aor.as_uri().normal().as_str().into();
        let usual = match request.find::<header::Expires>() {
            Ok(Some(seconds)) => Duration::from_secs(seconds.into()),
            // One that cannot be read counts as if it were not there (§10.2.1.1).
            Ok(None) | Err(_) => self.limits.usual,
        };
        let (call_id, number) = order(request)?;
        let wants_gruu =
            request.each::<header::Supported>().flatten().any(|o| o.eq_ignore_ascii_case("gruu"));
        let mut wishes = Vec::new();
        let mut star = false;
        for contact in request.each::<header::Contact>() {
            match contact.map_err(|_| Refused::Malformed)? {
                ContactValue::Star => star = true,
                value @ ContactValue::Addr(address) => {
                    let expires = value.expires().map_or(usual, |s| Duration::from_secs(s.into()));
                    if !expires.is_zero() && expires < self.limits.least {
                        return Err(Refused::TooBrief(self.limits.least));
                    }
                    let expires = expires.min(self.limits.most);
                    let instance: Option<Box<str>> = value.instance().map(Into::into);
                    let gruu = instance.as_ref().filter(|_| wants_gruu);
                    let binding = Binding {
                        uri: address.uri.into(),
                        until: now + expires,
                        q: value.q(),
                        reg_id: value.reg_id().filter(|_| instance.is_some()),
                        gruu: gruu.map(|instance| format!("{};gr={instance}", aor.as_str()).into()),
                        instance,
                        call_id: call_id.into(),
                        number,
                    };
                    wishes.push(Wish { binding, expires });
                }
            }
        }
        match (star, wishes.is_empty(), usual.is_zero()) {
            (false, ..) => Ok((key, Some(wishes))),
            (true, true, true) => Ok((key, None)),
            // §10.3 step 6.
            (true, ..) => Err(Refused::Malformed),
        }
    }
}

fn order(request: &Request) -> Result<(&str, u32), Refused> {
    let call_id = request.call_id().map_err(|_| Refused::Malformed)?;
    let number = request.cseq().map_err(|_| Refused::Malformed)?.number;
    Ok((call_id, number))
}

fn apply(bindings: &mut Vec<Binding>, before: &[Binding], wish: Wish) -> Result<(), Refused> {
    let Wish { binding, expires } = wish;
    let same_device = |known: &Binding| {
        binding.reg_id.is_some() && (known.reg_id, &known.instance) == (binding.reg_id, &binding.instance)
    };
    let same = |known: &Binding| same_device(known) || known.uri.as_uri().equivalent(&binding.uri.as_uri());
    let is_older = |known: &Binding| known.call_id == binding.call_id && known.number >= binding.number;
    if before.iter().find(|known| same(known)).is_some_and(is_older) {
        return Err(Refused::OutOfOrder);
    }
    match bindings.iter().position(same) {
        Some(at) if expires.is_zero() => {
            bindings.remove(at);
        }
        Some(at) => {
            if let Some(known) = bindings.get_mut(at) {
                *known = binding;
            }
        }
        None if expires.is_zero() => {}
        None => bindings.push(binding),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{self, Message};

    fn request(number: u32, call_id: &str, rows: &str) -> Request {
        let text = format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\
             From: <sip:bob@example.com>;tag=1\r\nTo: Bob <sip:bob@EXAMPLE.com>\r\nCall-ID: {call_id}\r\n\
             CSeq: {number} REGISTER\r\n{rows}Content-Length: 0\r\n\r\n"
        );
        let message = Message::parse(Bytes::from(text), &message::Limits::default()).unwrap();
        message.into_request().unwrap()
    }

    fn rows(bindings: Result<&[Binding], Refused>, now: Instant) -> Result<String, Refused> {
        bindings.map(|all| all.iter().map(|binding| binding.row(now)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn bind_refresh_query_remove() {
        let mut table = Bindings::default();
        let steps = [
            (0, request(1, "a", ""), Ok("")),
            (
                0,
                request(2, "a", "Contact: <sip:bob@192.0.2.1>;q=0.5\r\n"),
                Ok("<sip:bob@192.0.2.1>;expires=3600;q=0.500"),
            ),
            (
                10,
                request(
                    3,
                    "a",
                    "Contact: <sip:bob@192.0.2.1>, <sip:b@[2001:db8::1]>;expires=60\r\nExpires: 99999\r\n",
                ),
                Ok("<sip:bob@192.0.2.1>;expires=7200 <sip:b@[2001:db8::1]>;expires=60"),
            ),
            // One of them named twice.
            (
                15,
                request(
                    4,
                    "a",
                    "Contact: <sip:bob@192.0.2.1>;expires=900, <sip:bob@192.0.2.1>;expires=7195\r\n",
                ),
                Ok("<sip:bob@192.0.2.1>;expires=7195 <sip:b@[2001:db8::1]>;expires=55"),
            ),
            // An old one; a brief one; nothing changed by either.
            (20, request(3, "a", "Contact: <sip:bob@192.0.2.1>;expires=0\r\n"), Err(Refused::OutOfOrder)),
            (
                20,
                request(4, "a", "Contact: <sip:x@192.0.2.3>;expires=59, <sip:bob@192.0.2.1>;expires=0\r\n"),
                Err(Refused::TooBrief(Duration::from_secs(60))),
            ),
            (
                20,
                request(9, "b", ""),
                Ok("<sip:bob@192.0.2.1>;expires=7190 <sip:b@[2001:db8::1]>;expires=50"),
            ),
            (71, request(10, "b", ""), Ok("<sip:bob@192.0.2.1>;expires=7139")),
            (72, request(1, "c", "Contact: *\r\n"), Err(Refused::Malformed)),
            (
                72,
                request(2, "c", "Contact: *\r\nContact: <sip:x@y>\r\nExpires: 0\r\n"),
                Err(Refused::Malformed),
            ),
            (73, request(1, "c", "Contact: *\r\nExpires: 0\r\n"), Ok("")),
        ];
        for (at, request, expected) in steps {
            let now = Instant::from_millis(at * 1000);
            let got = rows(table.register(&request, now), now);
            assert_eq!(got, expected.map(str::to_owned), "at {at}: {request:?}");
        }
        assert_eq!(table.records.len(), 0);
    }

    #[test]
    fn an_address_of_record_is_a_sip_uri() {
        let strange = String::from_utf8_lossy(request(1, "a", "").bytes()).replace("sip:bob@EX", "isbn:1@EX");
        let strange = Message::parse(Bytes::from(strange), &message::Limits::default()).unwrap();
        let strange = strange.into_request().unwrap();
        assert_eq!(Bindings::default().register(&strange, Instant::ZERO), Err(Refused::Malformed));
    }

    #[test]
    fn a_device_has_one_binding_a_flow_and_a_gruu() {
        let mut table = Bindings::default();
        let contact = |ip: &str| {
            format!(
                "Contact: <sip:b@{ip}>;reg-id=1;+sip.instance=\"<urn:uuid:0>\"\r\nSupported: path, gruu\r\n"
            )
        };
        table.register(&request(1, "a", &contact("192.0.2.1")), Instant::ZERO).unwrap();
        let moved = request(1, "b", &contact("192.0.2.2"));
        assert_eq!(
            rows(table.register(&moved, Instant::ZERO), Instant::ZERO).unwrap(),
            "<sip:b@192.0.2.2>;expires=3600;+sip.instance=\"<urn:uuid:0>\";reg-id=1;\
             pub-gruu=\"sip:bob@EXAMPLE.com;gr=urn:uuid:0\""
        );
    }

    #[test]
    fn there_is_a_limit() {
        let mut table = Bindings::new(Limits { records: 1, bindings: 2, ..Limits::default() });
        let bind = |number, uris: &[&str]| {
            let uris: String = uris.iter().map(|uri| format!("Contact: <{uri}>\r\n")).collect();
            request(number, "a", &uris)
        };
        assert!(table.register(&bind(1, &["sip:1@x", "sip:2@x"]), Instant::ZERO).is_ok());
        assert_eq!(table.register(&bind(2, &["sip:3@x"]), Instant::ZERO), Err(Refused::Full));
        assert_eq!(table.len(Instant::ZERO), 2);
        let other = |from: &Request| {
            let text = String::from_utf8_lossy(from.bytes()).replace("sip:bob@EX", "sip:eve@EX");
            Message::parse(Bytes::from(text), &message::Limits::default()).unwrap().into_request().unwrap()
        };
        let eve = other(&bind(1, &["sip:9@x"]));
        assert_eq!(table.register(&eve, Instant::ZERO), Err(Refused::Full));
        // What has run out makes room.
        assert!(table.register(&eve, Instant::from_millis(3_600_001)).is_ok());
    }
}
