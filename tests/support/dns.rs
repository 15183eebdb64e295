//! A DNS server of the tests' own: one zone, told as lines of text, over UDP and TCP on loopback.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV},
    },
};

/// How a name is dealt with that is no plain name.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Questions are swallowed.
    Mute,
    /// Only those about AAAA records.
    MuteV6,
    /// The server answers with this code.
    Code(ResponseCode),
    /// Over UDP the answer does not fit.
    Truncated,
}

pub struct DnsServer {
    pub addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    records: Mutex<Vec<Record>>,
    manners: Mutex<HashMap<String, Manner>>,
    asked: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl DnsServer {
    /// Lines are `NAME TYPE DATA`, names without the last dot; a TTL of a minute. What is asked about other names
    /// does not exist, for five seconds.
    pub fn new(zone: &str) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            // The same port must be free for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let addr = udp.local_addr().unwrap();
        let state = Arc::new(State::default());
        let server = Self { addr, state: state.clone() };
        server.change(zone);
        udp.set_read_timeout(Some(TICK)).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let over_tcp = state.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !state.stop.load(Ordering::Relaxed) {
                let Ok((len, from)) = udp.recv_from(&mut buffer) else { continue };
                if let Some(answer) = state.answer(&buffer[..len], false) {
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        thread::spawn(move || {
            while !over_tcp.stop.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = tcp.accept() else {
                    thread::sleep(TICK);
                    continue;
                };
                let state = over_tcp.clone();
                thread::spawn(move || {
                    stream.set_nonblocking(false).unwrap();
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; u16::from_be_bytes(length).into()];
                        if stream.read_exact(&mut question).is_err() {
                            break;
                        }
                        let Some(answer) = state.answer(&question, true) else { continue };
                        let mut framed = (answer.len() as u16).to_be_bytes().to_vec();
                        framed.extend(answer);
                        let _ = stream.write_all(&framed);
                    }
                });
            }
        });
        server
    }

    /// Replaces the zone.
    pub fn change(&self, zone: &str) {
        *self.state.records.lock().unwrap() = zone.lines().filter_map(record).collect();
    }

    /// Deals with `name`, and with all below it, in another way.
    pub fn with(self, name: &str, manner: Manner) -> Self {
        self.state.manners.lock().unwrap().insert(name.to_owned(), manner);
        self
    }

    /// What was asked since the last call, as `TYPE NAME`, sorted.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.state.asked.lock().unwrap());
        asked.sort_unstable();
        asked
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
    }
}

impl State {
    fn answer(&self, bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(bytes).ok()?;
        let question = request.queries.first()?.clone();
        let (name, kind) =
            (question.name.to_ascii().trim_end_matches('.').to_lowercase(), question.query_type);
        self.asked.lock().unwrap().push(format!("{kind} {name}"));
        let manners = self.manners.lock().unwrap();
        let mut rest = Some(name.as_str());
        let manner = std::iter::from_fn(|| {
            let this = rest?;
            rest = this.split_once('.').map(|(_, rest)| rest);
            Some(manners.get(this).copied())
        })
        .flatten()
        .next();
        drop(manners);
        let mut message = Message::response(request.metadata.id, OpCode::Query);
        message.add_query(question.clone());
        message.metadata.recursion_available = true;
        match manner {
            Some(Manner::Mute) => return None,
            Some(Manner::MuteV6) if kind == RecordType::AAAA => return None,
            Some(Manner::Code(code)) => {
                message.metadata.response_code = code;
                return message.to_vec().ok();
            }
            Some(Manner::Truncated) if !tcp => {
                message.metadata.truncation = true;
                return message.to_vec().ok();
            }
            _ => {}
        }
        let records = self.records.lock().unwrap();
        let own = |kind: RecordType| {
            records.iter().filter(move |record| record.record_type() == kind).cloned().collect::<Vec<_>>()
        };
        let of_name = |mut records: Vec<Record>| {
            records.retain(|record| record.name == question.name);
            records
        };
        let mut found = of_name(own(kind));
        if found.is_empty() {
            found = of_name(own(RecordType::CNAME));
        }
        if found.is_empty() {
            let exists = records.iter().any(|record| question.name.zone_of(&record.name));
            if !exists {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            let soa = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86_400, 5);
            message.add_authority(Record::from_rdata(Name::root(), 3600, RData::SOA(soa)));
        }
        for record in found {
            message.add_answer(record);
        }
        message.to_vec().ok()
    }
}

fn record(line: &str) -> Option<Record> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, kind, data @ ..] = words.as_slice() else { return None };
    let fqdn = |name: &str| match name {
        "." => Name::root(),
        name => Name::from_ascii(format!("{name}.")).unwrap(),
    };
    let number = |at: usize| data[at].parse().unwrap();
    let text = |at: usize| data[at].trim_matches('"').as_bytes().into();
    let data = match *kind {
        "A" => RData::A(A(data[0].parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(data[0].parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(fqdn(data[0]))),
        "SRV" => RData::SRV(SRV::new(number(0), number(1), number(2), fqdn(data[3]))),
        "NAPTR" => RData::NAPTR(NAPTR::new(number(0), number(1), text(2), text(3), text(4), fqdn(data[5]))),
        other => panic!("no such type: {other}"),
    };
    Some(Record::from_rdata(fqdn(name), 60, data))
}

const TICK: Duration = Duration::from_millis(5);
