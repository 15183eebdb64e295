//! The DNS itself, over UDP, and over TCP where an answer is too long.
//!
//! Of several servers the first is asked; when it is silent for half a second or cannot answer, the next is asked
//! as well, and the first answer counts. Who answered is asked first next time. Aliases (CNAME) are followed here,
//! within an answer and by further questions. Nothing is kept: that is the stack's business.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    str,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{NameServerConfig, ResolverOpts},
    net::{
        DnsError, NetError, NoRecords,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer},
    },
    proto::{
        op::{DnsRequestOptions, Message, Query as Question, ResponseCode},
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::resolve::{
    Additional, Answer, Fault, Naptr, Query, QueryError, Records, Response, Source, Srv, plain,
};

/// Which servers there are: given by hand, or as the system has them.
#[derive(Debug)]
pub(super) struct Dns {
    by_hand: Option<Arc<Servers>>,
    system: Mutex<SystemServers>,
}

#[derive(Default, Debug)]
struct SystemServers {
    /// Whether the configuration was read at all, and its time of modification then.
    read: Option<Option<SystemTime>>,
    servers: Option<Arc<Servers>>,
}

impl Dns {
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        let by_hand = (!servers.is_empty()).then(|| Arc::new(Servers::new(&servers)));
        Self { by_hand, system: Mutex::default() }
    }

    pub const fn is_by_hand(&self) -> bool {
        self.by_hand.is_some()
    }

    /// `None` if the system has no DNS servers. Its configuration is read when it is first needed, and again when it
    /// was changed: laptops travel.
    pub fn servers(&self) -> Option<Arc<Servers>> {
        if self.by_hand.is_some() {
            return self.by_hand.clone();
        }
        let modified = fs::metadata(CONFIGURATION).and_then(|file| file.modified()).ok();
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if system.read != Some(modified) {
            system.read = Some(modified);
            system.servers = match read_system_conf() {
                Ok((config, _)) => {
                    let addr = |server: &NameServerConfig| SocketAddr::new(server.ip, 53);
                    let servers: Vec<_> = config.name_servers().iter().map(addr).collect();
                    (!servers.is_empty()).then(|| Arc::new(Servers::new(&servers)))
                }
                Err(error) => {
                    tracing::debug!(%error, "no DNS servers configured");
                    None
                }
            };
        }
        system.servers.clone()
    }
}

/// Some DNS servers, the better first.
pub(super) struct Servers {
    servers: Vec<(SocketAddr, Pool)>,
    /// The one that answered last.
    preferred: AtomicUsize,
}

type Pool = NameServerPool<TokioRuntimeProvider>;

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.servers.iter().map(|(addr, _)| addr)).finish()
    }
}

/// What one question came to.
enum Reply {
    /// The server's answer, with or without records.
    Message(Box<Message>),
    /// It knows that there is nothing; for how long.
    Nothing { exists: bool, ttl: Duration },
}

impl Servers {
    fn new(addresses: &[SocketAddr]) -> Self {
        let known = addresses.iter().take(MAX_SERVERS);
        let servers = known.filter_map(|&addr| Some((addr, pool(addr)?))).collect();
        Self { servers, preferred: AtomicUsize::new(0) }
    }

    /// Answers `query`, at the latest after `within`.
    pub async fn ask(&self, query: &Query, within: Duration) -> Answer {
        let until = Instant::now() + within;
        match query {
            Query::Naptr { .. } => self.follow(query, RecordType::NAPTR, until).await,
            Query::Srv { .. } => self.follow(query, RecordType::SRV, until).await,
            Query::Addresses { .. } => self.addresses(query, until).await,
        }
    }

    /// Both families at once. When one is there, the other may take a little longer and no more (RFC 8305 §3): some
    /// servers are silent about AAAA.
    async fn addresses(&self, query: &Query, until: Instant) -> Answer {
        let v6 = self.follow(query, RecordType::AAAA, until);
        let v4 = self.follow(query, RecordType::A, until);
        tokio::pin!(v6, v4);
        let (first, second) = tokio::select! {
            first = &mut v6 => {
                let grace = grace(&first, until);
                (first, timeout_at(grace, v4).await)
            }
            first = &mut v4 => {
                let grace = grace(&first, until);
                (first, timeout_at(grace, v6).await)
            }
        };
        match (first, second) {
            (Ok(first), Ok(Ok(second))) => Ok(merge(first, second)),
            // The other family has none, and says for how long.
            (Ok(mut one), Ok(Err(error))) | (Err(error), Ok(Ok(mut one))) => {
                if !error.is_negative() {
                    one.ttl = Duration::ZERO;
                }
                Ok(one)
            }
            // It may come with the next question.
            (Ok(mut one), Err(_)) => {
                one.ttl = Duration::ZERO;
                Ok(one)
            }
            (Err(one), Ok(Err(other))) if one.is_negative() => Err(other),
            (Err(one), _) => Err(one),
        }
    }

    /// One kind of record, along aliases.
    async fn follow(&self, query: &Query, kind: RecordType, until: Instant) -> Answer {
        let Ok(mut name) = Name::from_utf8(format!("{}.", query.name())) else {
            // Labels of more than 63 characters and the like: no server could know it.
            return Err(QueryError::NoName { by: Source::System, ttl: Duration::ZERO });
        };
        let mut seen = vec![name.clone()];
        let mut alias_ttl = Duration::MAX;
        loop {
            let (by, reply) = self.first_reply(&name, kind, until).await?;
            let message = match reply {
                Reply::Nothing { exists: false, ttl } => {
                    return Err(QueryError::NoName { by, ttl: ttl.min(alias_ttl) });
                }
                Reply::Nothing { exists: true, ttl } => {
                    return Err(QueryError::NoData { by, ttl: ttl.min(alias_ttl) });
                }
                Reply::Message(message) => message,
            };
            // The aliases in this answer, in whatever order they stand.
            let asked = name.clone();
            while let Some((target, ttl)) = alias_of(&message.answers, &name) {
                if seen.contains(&target) || seen.len() > MAX_ALIASES {
                    return Err(QueryError::Fault { by, fault: Fault::Aliases });
                }
                alias_ttl = alias_ttl.min(ttl);
                seen.push(target.clone());
                name = target;
            }
            let found: Vec<&Record> = message
                .answers
                .iter()
                .filter(|record| record.name == name && record.record_type() == kind)
                .take(MAX_RECORDS)
                .collect();
            if !found.is_empty() {
                let mut response = response(&message, &found, kind, by);
                response.ttl = response.ttl.min(alias_ttl);
                response.alias = (seen.len() > 1).then(|| text(&name));
                return Ok(response);
            }
            let exists = message.metadata.response_code != ResponseCode::NXDomain;
            if !exists || name == asked {
                let ttl = negative_ttl(&message).min(alias_ttl);
                return Err(if exists {
                    QueryError::NoData { by, ttl }
                } else {
                    QueryError::NoName { by, ttl }
                });
            }
            // The server names the alias and leaves the rest to us.
        }
    }

    /// Asks one server after the other until one answers.
    async fn first_reply(
        &self,
        name: &Name,
        kind: RecordType,
        until: Instant,
    ) -> Result<(Source, Reply), QueryError> {
        let count = self.servers.len();
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut waiting = (0..count).map(|offset| (preferred + offset) % count);
        let mut asked: Vec<Source> = Vec::new();
        let mut running = JoinSet::new();
        let mut why = None;
        let mut next_at = Instant::now();
        loop {
            if running.is_empty() || next_at <= Instant::now() {
                match waiting.next().and_then(|index| Some((index, self.servers.get(index)?))) {
                    Some((index, (addr, pool))) => {
                        let question = Question::query(name.clone(), kind);
                        let reply = pool.lookup(question, options());
                        running.spawn(async move { (index, reply.first_answer().await) });
                        asked.push(Source::Server(*addr));
                        next_at = Instant::now() + PATIENCE;
                    }
                    None if running.is_empty() => {
                        return Err(why.unwrap_or(QueryError::Timeout { asked: asked.into() }));
                    }
                    None => next_at = until,
                }
            }
            tokio::select! {
                () = sleep_until(until) => return Err(why.unwrap_or(QueryError::Timeout { asked: asked.into() })),
                () = sleep_until(next_at) => {}
                Some(done) = running.join_next() => {
                    // A task that panicked has no answer; the others may.
                    let Ok((index, result)) = done else { continue };
                    let Some((addr, _)) = self.servers.get(index) else { continue };
                    let by = Source::Server(*addr);
                    match reply(result) {
                        Ok(reply) => {
                            self.preferred.store(index, Ordering::Relaxed);
                            return Ok((by, reply));
                        }
                        Err(Some(fault)) => {
                            why.get_or_insert(QueryError::Fault { by, fault });
                            next_at = Instant::now();
                        }
                        Err(None) => next_at = Instant::now(),
                    }
                }
            }
        }
    }
}

/// What the library below makes of the answer: some it hands on as errors. `Err(None)` is silence.
fn reply(result: Result<impl Into<Message>, NetError>) -> Result<Reply, Option<Fault>> {
    match result {
        Ok(message) => {
            let message: Message = message.into();
            match message.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => Ok(Reply::Message(Box::new(message))),
                code => Err(Some(Fault::Code(code.into()))),
            }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, negative_ttl, .. }))) => {
            match response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => {
                    let exists = response_code == ResponseCode::NoError;
                    Ok(Reply::Nothing { exists, ttl: seconds(negative_ttl.unwrap_or(0)) })
                }
                code => Err(Some(Fault::Code(code.into()))),
            }
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(Some(Fault::Code(code.into()))),
        Err(NetError::Timeout) => Err(None),
        Err(NetError::Io(error)) => Err(Some(Fault::Io(error.kind()))),
        Err(error) => {
            tracing::debug!(%error, "DNS");
            Err(Some(Fault::Malformed))
        }
    }
}

fn alias_of(records: &[Record], name: &Name) -> Option<(Name, Duration)> {
    records.iter().filter(|record| record.name == *name).find_map(|record| match &record.data {
        RData::CNAME(target) => Some((target.0.clone(), seconds(record.ttl))),
        _ => None,
    })
}

fn response(message: &Message, found: &[&Record], kind: RecordType, by: Source) -> Response {
    let ttl = found.iter().map(|record| record.ttl).min().map_or(Duration::ZERO, seconds);
    let data = || found.iter().map(|record| &record.data);
    let records = match kind {
        RecordType::NAPTR => Records::Naptr(data().filter_map(naptr).collect()),
        RecordType::SRV => Records::Srv(data().filter_map(srv).collect()),
        _ => Records::Addresses(data().filter_map(address).collect()),
    };
    let mut response = Response::new(records, ttl, by);
    if let Records::Srv(records) = &response.records {
        response.additional = additional(message, records);
    }
    response
}

/// The addresses of SRV targets that came along, if they are all the target has: a server that keeps answers for
/// others puts in what it happens to have, which may be one family of two. It is complete if both are there, or if
/// the server speaks for the zone itself.
fn additional(message: &Message, records: &[Srv]) -> Vec<Additional> {
    let mut hosts: Vec<Additional> = Vec::new();
    for record in message.additionals.iter().take(MAX_RECORDS) {
        let Some(ip) = address(&record.data) else { continue };
        let (name, ttl) = (text(&record.name), seconds(record.ttl));
        match hosts.iter_mut().find(|host| host.name == name) {
            Some(host) => {
                host.addresses.push(ip);
                host.ttl = host.ttl.min(ttl);
            }
            None => hosts.push(Additional { name, addresses: vec![ip], ttl }),
        }
    }
    let whole = message.metadata.authoritative && !message.metadata.truncation;
    hosts.retain(|host| {
        let both = |v4: bool| host.addresses.iter().any(|ip| ip.is_ipv4() == v4);
        records.iter().any(|srv| srv.target == host.name) && (whole || both(true) && both(false))
    });
    hosts
}

fn merge(mut one: Response, other: Response) -> Response {
    if let (Records::Addresses(addresses), Records::Addresses(more)) = (&mut one.records, other.records) {
        addresses.extend(more);
    }
    one.ttl = one.ttl.min(other.ttl);
    one
}

fn grace(first: &Answer, until: Instant) -> Instant {
    if first.is_ok() { until.min(Instant::now() + OTHER_FAMILY) } else { until }
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    // The registered values are ASCII; whatever else there is cannot match them.
    let field = |bytes: &[u8]| -> Arc<str> { String::from_utf8_lossy(bytes).into() };
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: field(&record.flags),
        service: field(&record.services),
        regexp: field(&record.regexp),
        replacement: text(&record.replacement),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    let target = text(&record.target);
    Some(Srv { priority: record.priority, weight: record.weight, port: record.port, target })
}

const fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(ip) => Some(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
        _ => None,
    }
}

/// RFC 2308 §5.
fn negative_ttl(message: &Message) -> Duration {
    let ttl = message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    seconds(ttl.unwrap_or(0))
}

fn text(name: &Name) -> Arc<str> {
    plain(&name.to_ascii())
}

const fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl as u64)
}

/// One server, by UDP, and by TCP if an answer does not fit. It cannot fail: there is no TLS to be set up.
fn pool(addr: SocketAddr) -> Option<Pool> {
    let mut server = NameServerConfig::udp_and_tcp(addr.ip());
    for connection in &mut server.connections {
        connection.port = addr.port();
    }
    let mut options = ResolverOpts::default();
    // Ours is shorter, and counts.
    options.timeout = Duration::from_secs(30);
    options.attempts = 0;
    options.cache_size = 0;
    options.num_concurrent_reqs = 1;
    let context = Arc::new(PoolContext::new(options, TlsConfig::new().ok()?));
    Some(NameServerPool::from_config([server], context, TokioRuntimeProvider::default()))
}

fn options() -> DnsRequestOptions {
    let mut options = DnsRequestOptions::default();
    options.recursion_desired = true;
    options.use_edns = true;
    options.edns_payload_len = EDNS_PAYLOAD;
    options
}

/// How long a server may be silent before the next is asked as well.
const PATIENCE: Duration = Duration::from_millis(500);
/// How much later than one family the other may come.
const OTHER_FAMILY: Duration = Duration::from_millis(250);
/// What passes every network unfragmented (DNS flag day 2020); longer answers come by TCP.
const EDNS_PAYLOAD: u16 = 1_232;
const MAX_SERVERS: usize = 8;
const MAX_ALIASES: usize = 8;
const MAX_RECORDS: usize = 128;
const CONFIGURATION: &str = "/etc/resolv.conf";
