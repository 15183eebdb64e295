//! Random lives of a table against what must hold in all of them: every transaction has one outcome,
//! says nothing after its end, ends in time, and leaves no memory behind.

use std::collections::HashMap;

use super::{
    ClientId, Effect, Received, Report, ServerId, Table, Timing,
    fixture::{first_word, flow, request, response},
};
use crate::{
    message::Builder,
    time::{Duration, Instant},
    transport::Protocol,
    util::id::Ids,
};

#[derive(Debug)]
struct ClientLife {
    method: &'static str,
    branch: String,
    port: u16,
    outcomes: u32,
    has_2xx: bool,
    /// Proceeding and not cancelled: only the peer or the user can end it.
    may_wait: bool,
    is_cancelled: bool,
    /// The user or the model abandoned it: it may stay without an outcome.
    abandoned: bool,
    last_input: Instant,
}

#[derive(Debug)]
struct ServerLife {
    method: &'static str,
    branch: String,
    failures: u32,
    finals: u32,
    /// The status of the failure response on the wire: all copies bear it.
    failed_with: Option<String>,
    last_input: Instant,
}

struct Model {
    ids: Ids,
    now: Instant,
    table: Table,
    protocol: Protocol,
    clients: HashMap<ClientId, ClientLife>,
    servers: HashMap<ServerId, ServerLife>,
    fx: Vec<Effect>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut ids = Ids::from_number(seed);
        let protocol = if ids.below(4) == 0 { Protocol::Tcp } else { Protocol::Udp };
        let table = Table::new(0, Timing::default(), seed, 40);
        let now = Instant::from_millis(1 + ids.below(10_000));
        Self { ids, now, table, protocol, clients: HashMap::new(), servers: HashMap::new(), fx: Vec::new() }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.ids.below(from.len() as u64);
        from.get(at as usize).copied()
    }

    fn any_client(&mut self) -> Option<ClientId> {
        let mut all: Vec<ClientId> = self.clients.keys().copied().collect();
        all.sort();
        self.pick(&all)
    }

    fn any_server(&mut self) -> Option<ServerId> {
        let mut all: Vec<ServerId> = self.servers.keys().copied().collect();
        all.sort();
        self.pick(&all)
    }

    fn step(&mut self) -> Option<()> {
        match self.ids.below(12) {
            0 => self.start()?,
            1 => self.receive()?,
            2..=4 => self.hear()?,
            5 | 6 => self.respond()?,
            7 => self.repeat_request()?,
            8 => self.cancel()?,
            9 if self.ids.below(4) == 0 => {
                let port = 5070 + self.ids.below(3) as u16;
                self.table.unreachable(flow(self.protocol, port).remote, self.now, &mut self.fx);
            }
            9 if self.ids.below(4) == 0 => {
                let id = self.any_client()?;
                self.table.abandon(id);
                let life = self.clients.get_mut(&id)?;
                life.abandoned = true;
                life.may_wait = false;
                life.last_input = self.now;
            }
            _ => {
                let magnitude = self.ids.below(16);
                let span = Duration::from_millis(self.ids.below(1 << magnitude));
                self.pass(span);
            }
        }
        Some(())
    }

    fn start(&mut self) -> Option<()> {
        let method = self.pick(&["INVITE", "OPTIONS", "BYE"])?;
        let id = self.table.reserve()?;
        let branch = self.table.branch(id).to_string();
        let port = 5070 + self.ids.below(3) as u16;
        let flow = flow(self.protocol, port);
        self.table.start(id, &request(method, &branch), flow, self.now, &mut self.fx);
        self.enter(id, method, branch, port);
        Some(())
    }

    fn enter(&mut self, id: ClientId, method: &'static str, branch: String, port: u16) {
        let life = ClientLife {
            method,
            branch,
            port,
            outcomes: 0,
            has_2xx: false,
            may_wait: false,
            is_cancelled: false,
            abandoned: false,
            last_input: self.now,
        };
        assert!(self.clients.insert(id, life).is_none(), "an id is never given out twice");
    }

    fn cancel(&mut self) -> Option<()> {
        let invite = self.any_client()?;
        let (branch, port) = self.clients.get(&invite).map(|life| (life.branch.clone(), life.port))?;
        let flow = flow(self.protocol, port);
        let cancel = request("CANCEL", &branch);
        let id = self.table.start_cancel(invite, &cancel, flow, self.now, &mut self.fx)?;
        let life = self.clients.get_mut(&invite)?;
        assert_eq!((life.method, life.outcomes), ("INVITE", 0), "only an INVITE without its outcome");
        life.may_wait = false;
        life.is_cancelled = true;
        life.last_input = self.now;
        self.enter(id, "CANCEL", branch, port);
        Some(())
    }

    /// A response to one of our requests, sensible or not.
    fn hear(&mut self) -> Option<()> {
        let id = self.any_client()?;
        let status = self.pick(&[100, 180, 183, 200, 202, 302, 408, 486, 487, 500, 603])?;
        let life = self.clients.get_mut(&id)?;
        let found = self.table.response(&response(status, life.method, &life.branch), self.now, &mut self.fx);
        if let Some(found) = found {
            assert_eq!(found, id);
            life.last_input = self.now;
            life.may_wait = status < 200
                && life.method == "INVITE"
                && life.outcomes == 0
                && !life.is_cancelled
                && !life.abandoned;
            let delivers = |fx: &Effect| *fx == Effect::Client { id, report: Report::Deliver };
            let delivered = self.fx.iter().any(delivers);
            if life.method == "INVITE" && (200..300).contains(&status) {
                if life.has_2xx && !life.abandoned {
                    assert!(delivered, "every 2xx goes up while Accepted");
                }
                life.has_2xx |= delivered;
            }
            if delivered && status >= 200 {
                life.outcomes += u32::from(!(life.has_2xx && life.outcomes == 1));
            }
        } else {
            assert!(self.fx.is_empty(), "what matches nothing does nothing");
        }
        Some(())
    }

    fn receive(&mut self) -> Option<()> {
        let method = self.pick(&["INVITE", "OPTIONS", "BYE"])?;
        let branch = format!("z9hG4bK{}", self.ids.tag());
        let port = 5070 + self.ids.below(3) as u16;
        let request = request(method, &branch);
        let received = self.table.request(&request, flow(self.protocol, port), self.now, &mut self.fx);
        match received {
            Received::New(id) => {
                let life = ServerLife {
                    method,
                    branch,
                    failures: 0,
                    finals: 0,
                    failed_with: None,
                    last_input: self.now,
                };
                assert!(self.servers.insert(id, life).is_none(), "an id is never given out twice");
            }
            other => assert_eq!(other, Received::Refused),
        }
        Some(())
    }

    fn repeat_request(&mut self) -> Option<()> {
        let id = self.any_server()?;
        let alive = self.table.request_of(id).is_some();
        let life = self.servers.get_mut(&id)?;
        let method = match life.method {
            "INVITE" if self.ids.below(2) == 0 => "ACK",
            method => method,
        };
        if !alive {
            return None;
        }
        let flow = flow(self.protocol, 5070);
        let received = self.table.request(&request(method, &life.branch), flow, self.now, &mut self.fx);
        match method {
            "ACK" => assert!(matches!(received, Received::Ack | Received::StrayAck)),
            _ => assert_eq!(received, Received::Repeated),
        }
        life.last_input = self.now;
        Some(())
    }

    fn respond(&mut self) -> Option<()> {
        let id = self.any_server()?;
        let status = self.pick(&[100, 180, 183, 200, 202, 302, 408, 486, 487, 603])?;
        let life = self.servers.get_mut(&id)?;
        let answer =
            Builder::response(&request(life.method, &life.branch), status, None).to_tag("b").into_bytes();
        let alive = self.table.request_of(id).is_some();
        match self.table.respond(id, &answer, self.now, &mut self.fx) {
            Ok(()) => {
                assert!(alive);
                life.last_input = self.now;
                life.finals += u32::from(status >= 200);
                life.failures += u32::from(status >= 300);
                assert!(life.failures <= 1, "never two failures: {life:?}");
                assert!(life.failures == 0 || life.finals == 1, "nor a failure beside a 2xx: {life:?}");
            }
            Err(_) => assert!(self.fx.is_empty(), "what is refused does nothing"),
        }
        Some(())
    }

    /// Time passes in the driver's way: from deadline to deadline.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.table.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.table.advance(self.now, &mut self.fx);
            self.check();
        }
        self.now = end;
        self.table.advance(self.now, &mut self.fx);
    }

    /// Judges the effects of one step.
    fn check(&mut self) {
        for effect in self.fx.drain(..) {
            match effect {
                Effect::Transmit { bytes, .. } => {
                    // Forgotten lives are those that ended in an earlier step: they must be silent.
                    let text = String::from_utf8_lossy(&bytes);
                    let via = text.lines().find_map(|line| line.strip_prefix("Via: ")).expect("a Via");
                    let is_its = |branch: &str| via.ends_with(&format!("branch={branch}"));
                    let what = first_word(&bytes);
                    if let Some(life) = self.servers.values_mut().find(|life| is_its(&life.branch)) {
                        assert!(what != "408" || life.method == "INVITE", "408 to a non-INVITE");
                        if what.as_str() >= "300" {
                            let before = life.failed_with.replace(what.clone());
                            assert!(before.is_none_or(|before| before == what), "two failures: {life:?}");
                        }
                    } else {
                        let is_alive = self.clients.values().any(|life| is_its(&life.branch));
                        assert!(is_alive, "{what} is sent after the end of its transaction");
                    }
                }
                Effect::Client { id, report } => {
                    let life = self.clients.get_mut(&id).expect("a known client");
                    assert!(!life.abandoned, "{report:?} after it was abandoned");
                    if matches!(report, Report::Timeout | Report::Unreachable) {
                        life.outcomes += 1;
                    }
                    assert!(life.outcomes <= 1, "{report:?} is a second outcome: {life:?}");
                    assert_ne!(report, Report::Ack);
                    assert!(report != Report::Ended || life.has_2xx, "{life:?}");
                }
                Effect::Server { id, report } => {
                    let life = self.servers.get(&id).expect("a known server");
                    let expected = match life.method {
                        "INVITE" => matches!(report, Report::Ack | Report::Timeout) && life.failures == 1,
                        _ => report == Report::Timeout && life.finals == 0,
                    };
                    assert!(expected, "{report:?} for {life:?}");
                }
            }
        }
        // 64·T1 + T4 after the last input, and a tick of the wheel.
        let longest = Duration::from_millis(37_004);
        let (table, now) = (&self.table, self.now);
        self.servers.retain(|id, life| {
            let Some(facts) = table.request_of(*id) else { return false };
            assert!(
                facts.is_invite && !facts.is_answered || now.since(life.last_input) <= longest,
                "{life:?} lives too long"
            );
            true
        });
        self.clients.retain(|id, life| {
            if table.contains(*id) {
                assert!(life.may_wait || now.since(life.last_input) <= longest, "{life:?} lives too long");
                return true;
            }
            assert!(life.abandoned || life.outcomes == 1, "it ended without an outcome: {life:?}");
            false
        });
    }

    /// Answers and abandons everything, lets time pass, and looks whether anything is left.
    fn end(mut self, seed: u64) {
        let (mut clients, mut servers): (Vec<_>, Vec<_>) =
            (self.clients.keys().copied().collect(), self.servers.keys().copied().collect());
        clients.sort();
        servers.sort();
        for id in clients {
            self.table.abandon(id);
            self.clients.entry(id).and_modify(|life| life.abandoned = true);
        }
        for id in servers {
            let Some(life) = self.servers.get_mut(&id) else { continue };
            let answer =
                Builder::response(&request(life.method, &life.branch), 500, None).to_tag("b").into_bytes();
            if self.table.respond(id, &answer, self.now, &mut self.fx).is_ok() {
                life.finals += 1;
                life.failures += 1;
                life.last_input = self.now;
            }
        }
        self.pass(Duration::from_secs(40));
        self.check();
        assert_eq!(self.table.len(), 0, "seed {seed} leaves transactions");
        assert_eq!(self.table.footprint(), (0, 0, 0), "seed {seed} leaves index entries");
        self.pass(Duration::from_secs(40));
        assert!(self.fx.is_empty(), "seed {seed}: something is said after the end");
    }
}

#[test]
fn random_lives_keep_the_rules() {
    for seed in 0..300 {
        let mut model = Model::new(seed);
        for _ in 0..400 {
            model.step();
            model.check();
        }
        model.end(seed);
    }
}

#[test]
fn a_life_is_repeatable() {
    let life = |seed| {
        let mut model = Model::new(seed);
        let mut seen = Vec::new();
        for _ in 0..200 {
            model.step();
            seen.append(&mut model.fx.clone());
            model.check();
        }
        seen
    };
    assert_eq!(life(7), life(7));
}
