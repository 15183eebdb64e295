//! One lookup as RFC 3263 §4 has it: which records to ask for, and the targets they lead to.
//!
//! Where the RFC leaves a choice: all transports that the NAPTR records offer and we speak are looked up, and the
//! targets of the less preferred come after those of the more preferred, so that a domain whose TLS cannot be used
//! is still reached over TCP (a SIPS URI never leaves what is encrypted). A server that cannot answer for NAPTR or
//! SRV records is taken for one that has none, as cheap resolvers know A and AAAA only; whether the name is known
//! at all shows with its addresses.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use smallvec::SmallVec;

use crate::transport::{Protocol, Target};

use super::{
    Additional, Answer, Destination, Host, LookupError, Order, Protocols, Query, QueryError, Records,
    Response, Rule, Srv, Step, explain::Choice, may_be_name, naptr, order, plain,
};

/// How a lookup is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The transports this program speaks.
    pub spoken: Protocols,
    pub order: Order,
    /// Whether to note each [`Step`].
    pub explain: bool,
}

/// What a [`Lookup`] wants next.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Ask these; call [`Lookup::answer`] for each.
    Ask(SmallVec<[Query; 2]>),
    /// Earlier queries are still to be answered.
    Wait,
    /// The end: targets to try in this order, each after the failure of the one before (RFC 3263 §4.3); not
    /// empty, no two the same, at most [`MAX_TARGETS`].
    Found(Vec<Target>),
    /// The end.
    Failed(LookupError),
}

/// One lookup under way.
///
/// ```text
///           IP literal, or nothing that may be asked
///  start ───────────────────────────────────────────────────────────────────▶ Done
///    │ │ │  nothing said     ┌───────┐                                         ▲ ▲
///    │ │ └─────────────────▶ │ Naptr │                                         │ │
///    │ │     ask NAPTR       └───┬───┘                                         │ │
///    │ │                         │ answer: ask SRV of what is offered,         │ │
///    │ │                         ▼ or, if that is nothing, of what is spoken   │ │
///    │ │ transport= only     ┌───────┐ all answered: none available            │ │
///    │ └───────────────────▶ │  Srv  ├─────────────────────────────────────────┘ │
///    │       ask SRV         └───┬───┘                                           │
///    │                           │ all answered: ask addresses of the targets,   │
///    │                           ▼ or, if there are no records, of the host      │
///    │ port                ┌───────────┐ all answered: found, or no address      │
///    └───────────────────▶ │ Addresses ├─────────────────────────────────────────┘
///          ask addresses   └───────────┘
/// ```
///
/// Where an answer brought along what would be asked next, it is not asked.
#[derive(Clone, Debug)]
pub struct Lookup {
    destination: Destination,
    settings: Settings,
    state: State,
    /// What was asked last, with the answers that came.
    pending: SmallVec<[(Query, Option<Answer>); 2]>,
    /// Where to look for SRV records, the most preferred first.
    services: Vec<Service>,
    /// What SRV records or the URI say, in the order to try.
    hops: Vec<Hop>,
    /// Addresses of hosts, as they became known.
    hosts: Vec<KnownHost>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Waits for the NAPTR records of the domain.
    Naptr,
    /// Waits for the SRV records of each service.
    Srv,
    /// Waits for the addresses of each host.
    Addresses,
    /// The end was reported; whatever still comes is ignored.
    Done,
}

#[derive(Clone, Debug)]
struct Service {
    protocol: Protocol,
    name: Arc<str>,
    records: Vec<Srv>,
}

type KnownHost = (Arc<str>, Result<Vec<IpAddr>, QueryError>);

#[derive(Clone, Debug)]
struct Hop {
    protocol: Protocol,
    host: Arc<str>,
    port: u16,
    srv: Option<(Arc<str>, Srv)>,
}

impl Lookup {
    /// Starts a lookup; it may already end here.
    pub fn start(destination: Destination, settings: Settings) -> (Self, Progress) {
        let mut lookup = Self {
            destination,
            settings,
            state: State::Done,
            pending: SmallVec::new(),
            services: Vec::new(),
            hops: Vec::new(),
            hosts: Vec::new(),
            steps: Vec::new(),
        };
        let progress = match lookup.begin() {
            Ok(progress) => progress,
            Err(error) => lookup.failed(error),
        };
        (lookup, progress)
    }

    /// Takes the answer to `query`. Answers to questions this lookup did not ask, or no longer asks, change
    /// nothing.
    pub fn answer(&mut self, query: &Query, answer: Answer) -> Progress {
        let open = self.pending.iter_mut().find(|(pending, answer)| pending == query && answer.is_none());
        let Some((_, open)) = open else { return Progress::Wait };
        *open = Some(answer);
        if self.pending.iter().any(|(_, answer)| answer.is_none()) {
            return Progress::Wait;
        }
        // In the order asked, so that the order of arrival changes nothing.
        let answers = std::mem::take(&mut self.pending);
        let mut answers = answers.into_iter().filter_map(|(query, answer)| Some((query, answer?)));
        let progress = match self.state {
            State::Naptr => match answers.next() {
                Some((query, answer)) => self.naptr_known(&query, answer),
                None => Ok(Progress::Wait),
            },
            State::Srv => {
                answers.for_each(|(query, answer)| self.srv_known(&query, answer));
                self.services_known()
            }
            State::Addresses => {
                for (query, answer) in answers {
                    self.note_answer(&query, &answer);
                    self.hosts.push((query.name().clone(), addresses(answer)));
                }
                self.addresses_known()
            }
            State::Done => Ok(Progress::Wait),
        };
        progress.unwrap_or_else(|error| self.failed(error))
    }

    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What happened so far, if [`Settings::explain`] is set.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// RFC 3263 §4.1: which question comes first.
    fn begin(&mut self) -> Result<Progress, LookupError> {
        let named = self.named_protocol()?;
        match (&self.destination.host, self.destination.port) {
            (&Host::Ip(ip), port) => {
                let protocol = self.or_default(named)?;
                self.note(|| Step::Rule(Rule::Numeric(protocol)));
                let addr = SocketAddr::new(ip, port.unwrap_or(protocol.default_port()));
                Ok(self.found(vec![Choice { target: Target { protocol, addr }, host: None, srv: None }]))
            }
            (Host::Name(name), _) if !may_be_name(name) => {
                Err(LookupError::NoName { host: self.destination.host.clone() })
            }
            (Host::Name(name), Some(port)) => {
                let host = plain(name);
                let protocol = self.or_default(named)?;
                self.note(|| Step::Rule(Rule::Port(protocol)));
                self.hops.push(Hop { protocol, host, port, srv: None });
                self.ask_addresses()
            }
            (Host::Name(name), None) => match named {
                Some(protocol) => {
                    let service = service(protocol, name);
                    self.note(|| Step::Rule(Rule::Transport(protocol)));
                    self.ask_services(vec![(protocol, service)])
                }
                None => {
                    let query = Query::naptr(name);
                    self.or_default(None)?;
                    self.note(|| Step::Rule(Rule::Domain));
                    Ok(self.ask(State::Naptr, [query]))
                }
            },
        }
    }

    /// What the `transport` parameter says, if it may and can be done.
    fn named_protocol(&self) -> Result<Option<Protocol>, LookupError> {
        let Destination { host, transport, sips, .. } = &self.destination;
        let Some(transport) = *transport else { return Ok(None) };
        let protocol = match (transport, sips) {
            // "TCP for a SIPS URI" means TLS over it.
            (Protocol::Tcp, true) => Protocol::Tls,
            (Protocol::Ws, true) => Protocol::Wss,
            (protocol, true) if !protocol.is_secure() => {
                return Err(LookupError::Insecure { host: host.clone(), protocol });
            }
            (protocol, _) => protocol,
        };
        if self.settings.spoken.contains(protocol) {
            Ok(Some(protocol))
        } else {
            Err(LookupError::NotSpoken { host: host.clone(), protocol })
        }
    }

    /// UDP for a SIP URI and TLS for a SIPS URI, or what is spoken instead.
    fn or_default(&self, named: Option<Protocol>) -> Result<Protocol, LookupError> {
        let usual = if self.destination.sips { Protocol::Tls } else { Protocol::Udp };
        let protocol = named.or_else(|| self.admitted().iter().next());
        protocol
            .ok_or_else(|| LookupError::NotSpoken { host: self.destination.host.clone(), protocol: usual })
    }

    fn admitted(&self) -> Protocols {
        if self.destination.sips { self.settings.spoken.secure() } else { self.settings.spoken }
    }

    fn naptr_known(&mut self, query: &Query, answer: Answer) -> Result<Progress, LookupError> {
        self.note_answer(query, &answer);
        let mut records = match answer {
            Ok(Response { records: Records::Naptr(records), .. }) => records,
            _ => Vec::new(),
        };
        records.truncate(MAX_RECORDS);
        let mut ways = Vec::new();
        for (record, verdict) in naptr::select(records, self.settings.spoken, self.destination.sips) {
            self.note(|| Step::Naptr {
                record,
                verdict: verdict.as_ref().map(|way| way.protocol).map_err(|u| *u),
            });
            ways.extend(verdict.ok().map(|way| (way.protocol, way.service)));
        }
        if ways.is_empty() {
            self.note(|| Step::Rule(Rule::NoNaptr));
            let name = query.name();
            ways = self.admitted().iter().map(|protocol| (protocol, service(protocol, name))).collect();
        }
        self.ask_services(ways)
    }

    fn ask_services(&mut self, ways: Vec<(Protocol, Arc<str>)>) -> Result<Progress, LookupError> {
        let queries: Vec<_> = ways.iter().map(|(_, name)| Query::Srv { name: name.clone() }).collect();
        let services =
            ways.into_iter().map(|(protocol, name)| Service { protocol, name, records: Vec::new() });
        self.services = services.collect();
        Ok(self.ask(State::Srv, queries))
    }

    fn srv_known(&mut self, query: &Query, answer: Answer) {
        self.note_answer(query, &answer);
        if let Ok(Response { records: Records::Srv(mut records), additional, .. }) = answer {
            records.truncate(MAX_RECORDS);
            let sorted = self.settings.order.sort(&records);
            for record in &sorted {
                self.note(|| Step::Srv { record: record.clone() });
            }
            for service in self.services.iter_mut().filter(|service| service.name == *query.name()) {
                service.records.clone_from(&sorted);
            }
            self.learn(additional);
        }
    }

    /// RFC 3263 §4.2, after the SRV queries.
    fn services_known(&mut self) -> Result<Progress, LookupError> {
        let mut hops = Vec::new();
        for Service { protocol, name, records } in &self.services {
            let available = records.iter().filter(|record| record.is_available());
            hops.extend(available.map(|record| Hop {
                protocol: *protocol,
                host: plain(&record.target),
                port: record.port,
                srv: Some((name.clone(), record.clone())),
            }));
        }
        hops.truncate(MAX_RECORDS);
        self.hops = hops;
        if self.hops.is_empty() {
            self.without_srv()?;
        }
        self.ask_addresses()
    }

    /// No SRV records: the host's own addresses, with the transport determined before. Not if the domain says that
    /// there is no such service.
    fn without_srv(&mut self) -> Result<(), LookupError> {
        let Host::Name(name) = &self.destination.host else { return Ok(()) };
        let Some(first) = self.services.first() else { return Ok(()) };
        let refused = self.services.iter().find(|service| !service.records.is_empty());
        if let Some(Service { name, .. }) = refused.filter(|service| service.protocol == first.protocol) {
            let host = self.destination.host.clone();
            return Err(LookupError::Unavailable { host, service: name.clone() });
        }
        let (protocol, host) = (first.protocol, plain(name));
        self.note(|| Step::Rule(Rule::NoSrv(protocol)));
        self.hops.push(Hop { protocol, host, port: protocol.default_port(), srv: None });
        Ok(())
    }

    fn ask_addresses(&mut self) -> Result<Progress, LookupError> {
        let mut queries: Vec<Query> = Vec::new();
        for Hop { host, .. } in &self.hops {
            let query = Query::Addresses { name: host.clone() };
            if self.hosts.iter().any(|(known, _)| known == host) {
                // It came along.
            } else if let Host::Ip(ip) = Host::parse(host) {
                // An address where a name should be is not allowed, and seen.
                self.hosts.push((host.clone(), Ok(vec![ip])));
            } else if !queries.contains(&query) && queries.len() < MAX_HOSTS {
                queries.push(query);
            }
        }
        if queries.is_empty() { self.addresses_known() } else { Ok(self.ask(State::Addresses, queries)) }
    }

    fn addresses_known(&mut self) -> Result<Progress, LookupError> {
        let mut choices: Vec<Choice> = Vec::new();
        let mut why = None;
        for Hop { protocol, host, port, srv } in &self.hops {
            let known = self.hosts.iter().find(|(name, _)| name == host);
            let addresses = match known {
                Some((_, Ok(addresses))) => order::families(addresses),
                Some((_, Err(error))) => {
                    // Not to know is worse than to know that there is none.
                    if why
                        .as_ref()
                        .is_none_or(|(_, old): &(_, QueryError)| old.is_negative() && !error.is_negative())
                    {
                        why = Some((host.clone(), error.clone()));
                    }
                    continue;
                }
                None => continue,
            };
            for ip in addresses {
                let target = Target { protocol: *protocol, addr: SocketAddr::new(ip, *port) };
                if choices.len() < MAX_TARGETS && choices.iter().all(|choice| choice.target != target) {
                    choices.push(Choice { target, host: Some(host.clone()), srv: srv.clone() });
                }
            }
        }
        match why {
            Some((name, error)) if choices.is_empty() => Err(LookupError::NoAddress { name, error }),
            // Every hop has a host that was asked for, so there is a reason if there is no target.
            None if choices.is_empty() => Err(LookupError::NoName { host: self.destination.host.clone() }),
            _ => Ok(self.found(choices)),
        }
    }

    fn ask(&mut self, state: State, queries: impl IntoIterator<Item = Query>) -> Progress {
        self.state = state;
        let mut asked: SmallVec<[Query; 2]> = SmallVec::new();
        for query in queries {
            if !asked.contains(&query) {
                asked.push(query);
            }
        }
        self.pending = asked.iter().map(|query| (query.clone(), None)).collect();
        Progress::Ask(asked)
    }

    /// Addresses that came along; what is asked for is believed rather.
    fn learn(&mut self, additional: Vec<Additional>) {
        for mut host in additional.into_iter().take(MAX_RECORDS) {
            host.addresses.truncate(MAX_RECORDS);
            if !host.addresses.is_empty() && self.hosts.iter().all(|(known, _)| *known != host.name) {
                self.hosts.push((host.name.clone(), Ok(host.addresses.clone())));
                self.note(|| Step::Additional(host));
            }
        }
    }

    fn found(&mut self, choices: Vec<Choice>) -> Progress {
        self.state = State::Done;
        let targets = choices.iter().map(|choice| choice.target).collect();
        self.note(|| Step::Targets(choices));
        Progress::Found(targets)
    }

    fn failed(&mut self, error: LookupError) -> Progress {
        self.state = State::Done;
        self.pending.clear();
        self.note(|| Step::Failed(error.clone()));
        Progress::Failed(error)
    }

    fn note(&mut self, step: impl FnOnce() -> Step) {
        if self.settings.explain {
            self.steps.push(step());
        }
    }

    fn note_answer(&mut self, query: &Query, answer: &Answer) {
        self.note(|| Step::Answer { query: query.clone(), answer: answer.clone() });
    }
}

fn addresses(answer: Answer) -> Result<Vec<IpAddr>, QueryError> {
    let response = answer?;
    match response.records {
        Records::Addresses(mut addresses) if !addresses.is_empty() => {
            addresses.truncate(MAX_RECORDS);
            Ok(addresses)
        }
        _ => Err(QueryError::NoData { by: response.source, ttl: Duration::ZERO }),
    }
}

/// The name of a domain's SRV records for a transport (RFC 3263 §4.2). RFC 7118 names none for WebSocket; these are
/// made like the others.
fn service(protocol: Protocol, domain: &str) -> Arc<str> {
    let prefix = match protocol {
        Protocol::Udp => "_sip._udp",
        Protocol::Tcp => "_sip._tcp",
        Protocol::Tls => "_sips._tcp",
        Protocol::Ws => "_sip._ws",
        Protocol::Wss => "_sips._ws",
    };
    plain(&format!("{prefix}.{domain}"))
}

/// The most targets one lookup yields: a name with more addresses gains nothing from trying them all.
pub const MAX_TARGETS: usize = 16;
/// The most records of one answer that are looked at: all that any honest answer has.
const MAX_RECORDS: usize = 128;
/// The most hosts whose addresses are asked for.
const MAX_HOSTS: usize = 16;

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
