//! Answers of the DNS, kept for as long as their time to live says (RFC 1035 §3.2.1), and what is known not to
//! exist for as long as its zone says (RFC 2308 §5). Servers that fail are not remembered here.
//!
//! It is told what time it is.

use std::collections::HashMap;

use crate::time::{Duration, Instant};

use super::{Answer, Query, QueryError, Records, Response};

/// Answers by question; bounded.
#[derive(Debug)]
pub struct Cache {
    entries: HashMap<Query, Entry>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    until: Instant,
}

impl Cache {
    /// Keeps no more than `capacity` answers.
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// The answer to `query` if it still holds, with the time it will hold from now.
    pub fn get(&self, query: &Query, now: Instant) -> Option<Answer> {
        let entry = self.entries.get(query).filter(|entry| entry.until > now)?;
        let rest = entry.until.since(now);
        let mut answer = entry.answer.clone();
        match &mut answer {
            Ok(response) => response.ttl = rest,
            Err(QueryError::NoName { ttl, .. } | QueryError::NoData { ttl, .. }) => *ttl = rest,
            Err(_) => {}
        }
        Some(answer)
    }

    /// Keeps `answer`, unless it says that it is not to be kept. Addresses that came along are kept as answers of
    /// their own: they may hold longer or shorter.
    pub fn insert(&mut self, query: Query, mut answer: Answer, now: Instant) {
        if let Ok(response) = &mut answer {
            for host in std::mem::take(&mut response.additional) {
                let query = Query::Addresses { name: host.name };
                // What was asked for is the better answer.
                if self.get(&query, now).is_none() {
                    let response =
                        Response::new(Records::Addresses(host.addresses), host.ttl, response.source);
                    self.keep(query, Ok(response), now);
                }
            }
        }
        self.keep(query, answer, now);
    }

    /// Answers kept, among them those that no longer hold.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets everything, as after a change of networks.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    fn keep(&mut self, query: Query, answer: Answer, now: Instant) {
        let ttl = match &answer {
            Ok(response) => response.ttl.min(LONGEST),
            Err(error) => error.ttl().min(LONGEST_NEGATIVE),
        };
        if ttl.is_zero() || self.capacity == 0 {
            self.entries.remove(&query);
            return;
        }
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&query) {
            self.make_room(now);
        }
        self.entries.insert(query, Entry { answer, until: now + ttl });
    }

    /// What no longer holds goes first, else what would go next.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.until > now);
        if self.entries.len() < self.capacity {
            return;
        }
        let next = self.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(query, _)| query.clone());
        if let Some(query) = next {
            self.entries.remove(&query);
        }
    }
}

/// Whatever the record says: who forgot an old address for a week would be called broken.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// RFC 2308 §5 suggests hours; somebody who just made the record is waiting.
const LONGEST_NEGATIVE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{
        super::{Additional, Source},
        *,
    };

    const SERVER: Source = Source::Hosts;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    fn addresses(ttl: u64) -> Answer {
        Ok(Response::new(Records::Addresses(vec![IpAddr::from([192, 0, 2, 1])]), seconds(ttl), SERVER))
    }

    fn ttl(answer: Option<Answer>) -> Option<u64> {
        answer.map(|answer| match answer {
            Ok(response) => response.ttl.as_secs(),
            Err(error) => error.ttl().as_secs(),
        })
    }

    /// What is put in, and how long it is there.
    #[test]
    fn each_kind_of_answer_is_kept_as_long_as_it_says() {
        let no_name = |ttl| Err(QueryError::NoName { by: SERVER, ttl: seconds(ttl) });
        let table: [(Answer, u64); 9] = [
            (addresses(60), 60),
            (addresses(0), 0),
            (addresses(1_000_000), 86_400),
            (no_name(5), 5),
            (no_name(0), 0),
            (no_name(86_400), 300),
            (Err(QueryError::NoData { by: SERVER, ttl: seconds(7) }), 7),
            (Err(QueryError::Timeout { asked: [SERVER].into() }), 0),
            (Err(QueryError::Fault { by: SERVER, fault: super::super::Fault::Code(2) }), 0),
        ];
        for (answer, held) in table {
            let mut cache = Cache::new(10);
            let query = Query::addresses("a.example");
            cache.insert(query.clone(), answer.clone(), at(100));
            assert_eq!(ttl(cache.get(&query, at(100))), (held > 0).then_some(held), "{answer:?}");
            if held > 1 {
                assert_eq!(ttl(cache.get(&query, at(100 + held - 1))), Some(1), "{answer:?}");
            }
            assert!(cache.get(&query, at(100 + held)).is_none(), "{answer:?}");
            assert!(cache.get(&Query::srv("a.example"), at(100)).is_none());
        }
    }

    #[test]
    fn a_new_answer_replaces_the_old() {
        let mut cache = Cache::new(10);
        let query = Query::addresses("A.Example.");
        cache.insert(query.clone(), addresses(60), at(0));
        cache.insert(Query::addresses("a.example"), addresses(10), at(0));
        assert_eq!(ttl(cache.get(&query, at(0))), Some(10));
        cache.insert(query.clone(), Err(QueryError::Timeout { asked: [SERVER].into() }), at(1));
        assert!(cache.is_empty());
    }

    #[test]
    fn what_came_along_is_kept_by_itself_and_never_replaces_an_answer() {
        let along = |name: &str, ttl| Additional {
            name: name.into(),
            addresses: vec![IpAddr::from([192, 0, 2, 9])],
            ttl: seconds(ttl),
        };
        let mut cache = Cache::new(10);
        cache.insert(Query::addresses("b.example"), addresses(5), at(0));
        let mut response = Response::new(Records::Srv(Vec::new()), seconds(60), SERVER);
        response.additional = vec![along("a.example", 30), along("b.example", 30)];
        cache.insert(Query::srv("_sip._udp.example"), Ok(response), at(0));
        assert_eq!(ttl(cache.get(&Query::addresses("a.example"), at(0))), Some(30));
        assert_eq!(ttl(cache.get(&Query::addresses("b.example"), at(0))), Some(5));
        let Some(Ok(kept)) = cache.get(&Query::srv("_sip._udp.example"), at(0)) else { panic!() };
        assert!(kept.additional.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let mut cache = Cache::new(3);
        let query = |n: u64| Query::addresses(&format!("h{n}.example"));
        for n in 1..=3 {
            cache.insert(query(n), addresses(n * 10), at(0));
        }
        cache.insert(query(4), addresses(100), at(0));
        assert_eq!(cache.len(), 3);
        assert!(cache.get(&query(1), at(0)).is_none(), "the one with the least time left goes");
        cache.insert(query(5), addresses(100), at(31));
        assert_eq!(cache.len(), 2, "all that is over goes");
        cache.clear();
        assert!(cache.is_empty());
        let mut nothing = Cache::new(0);
        nothing.insert(query(1), addresses(60), at(0));
        assert!(nothing.is_empty());
    }
}
