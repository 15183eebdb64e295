//! What the proxy tells Prometheus.

use std::{net::SocketAddr, time::SystemTime};

use crate::{
    cli::metrics::{
        process::{self, Process},
        text::{Kind, Text},
    },
    endpoint::{self, Shards},
    proxy::{self, Stateless},
    transport::Protocol,
};

/// Everything the page says.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub proxy: proxy::Figures,
    /// Of all shards together.
    pub endpoint: endpoint::Figures,
    /// Messages that came to each shard and are none of its own.
    pub received: Vec<u64>,
    pub process: Process,
    /// Datagrams dropped because they were not read in time, and octets that wait to be read.
    pub unread: Option<(u64, u64)>,
    /// Messages that a capture server was told of, and those that it was not.
    pub hep: Option<(u64, u64)>,
}

impl Told {
    /// Asks the shards; `None` if they have stopped.
    pub async fn by(endpoint: &Shards<Stateless>, started: SystemTime) -> Option<Self> {
        let each = endpoint.each(|proxy, _| proxy.figures()).await.ok()?;
        let received = each.iter().map(|shard| shard.counters.requests + shard.counters.responses).collect();
        let proxy = each.into_iter().sum();
        let figures = endpoint.figures().await.ok()?.into_iter().sum();
        let sockets = endpoint.local().iter().filter(|target| target.protocol == Protocol::Udp);
        let sockets: Vec<SocketAddr> = sockets.map(|target| target.addr).collect();
        let unread = process::unread(&sockets);
        let process = Process::read(started);
        Some(Self { proxy, endpoint: figures, received, process, unread, hep: None })
    }

    pub fn page(&self) -> String {
        let mut text = Text::default();
        let version = env!("CARGO_PKG_VERSION");
        let about = "What this program is, in its labels.";
        text.family(Kind::Gauge, "sipkit_build_info", about)
            .sample(&[("program", "sip-stateless-proxy"), ("version", version)], 1);
        self.proxy(&mut text);
        self.next_hops(&mut text);
        self.messages(&mut text);
        self.datagrams(&mut text);
        self.connections(&mut text);
        if let Some((sent, unsent)) = self.hep {
            let help = "Messages that the capture server was told of, or was to be told of.";
            text.counters(
                "sipkit_hep_messages_total",
                help,
                "outcome",
                [("sent", sent), ("dropped", unsent)],
            );
        }
        let excess = self.endpoint.excess as f64 / (255 * self.endpoint.shards.max(1)) as f64;
        let help = "Share of new requests that are answered 503 because more comes than can be read, 0 to 1.";
        text.one(Kind::Gauge, "sipkit_overload_ratio", help, excess);
        let shards = "Threads that share the work.";
        text.one(Kind::Gauge, "sipkit_shards", shards, self.endpoint.shards);
        let received = self.received.iter().enumerate().map(|(shard, count)| (shard.to_string(), count));
        let help = "Requests and responses that came in, by the thread that dealt with them.";
        text.counters("sipkit_shard_messages_received_total", help, "shard", received);
        text.counters(
            "sipkit_shard_handed_over_total",
            "Messages that one thread left to another, whose connection they concern; lost if that had no time.",
            "outcome",
            [("taken", self.endpoint.handed_over), ("lost", self.endpoint.unclaimed)],
        );
        self.process.write(&mut text);
        text.finish()
    }

    fn proxy(&self, text: &mut Text) {
        let counted = &self.proxy.counters;
        let total = |text: &mut Text, name, help, value| text.one(Kind::Counter, name, help, value);
        total(text, "sipkit_proxy_requests_total", "Requests that came in.", counted.requests);
        let help = "Responses that came in with a branch of ours.";
        total(text, "sipkit_proxy_responses_total", help, counted.responses);
        text.counters(
            "sipkit_proxy_forwarded_total",
            "Messages that went on.",
            "kind",
            [("request", counted.requests_forwarded), ("response", counted.responses_forwarded)],
        );
        text.counters(
            "sipkit_proxy_forwarded_by_transport_total",
            "Messages that went on, by the transport they left by.",
            "transport",
            Protocol::ALL.iter().map(|protocol| protocol.as_param()).zip(counted.by_transport),
        );
        text.counters(
            "sipkit_proxy_answered_total",
            "Requests that were answered instead of forwarded.",
            "status",
            counted.answered.iter().map(|(status, count)| (status.to_string(), count)),
        );
        text.counters(
            "sipkit_proxy_dropped_total",
            "Messages that neither went on nor were answered.",
            "reason",
            [
                ("ack", counted.acks_dropped),
                ("own_ack", counted.acks_own),
                ("foreign_response", counted.responses_foreign),
                ("stuck_response", counted.responses_stuck),
            ],
        );
        let help = "Requests that wait until it is known how their destination is reached.";
        text.one(Kind::Gauge, "sipkit_proxy_requests_waiting", help, self.proxy.waiting);
        let help = "Memory that requests take which wait.";
        text.one(Kind::Gauge, "sipkit_proxy_requests_waiting_bytes", help, self.proxy.waiting_octets);
        let help = "Destinations that it is known of how they are reached.";
        text.one(Kind::Gauge, "sipkit_proxy_destinations", help, self.proxy.ways);
    }

    fn next_hops(&self, text: &mut Text) {
        let help = "Whether requests go to a next hop: 0 while it does not answer.";
        let mut family = text.family(Kind::Gauge, "sipkit_proxy_next_hop_up", help);
        for (hop, is_up) in &self.proxy.hops {
            family.sample(&[("next_hop", hop)], u8::from(*is_up));
        }
    }

    fn messages(&self, text: &mut Text) {
        let stack = &self.endpoint.stack;
        text.one(Kind::Counter, "sipkit_messages_sent_total", "Messages sent.", stack.sent);
        let help = "Keep-alives that came in: line ends, empty datagrams.";
        text.one(Kind::Counter, "sipkit_keep_alives_total", help, stack.keep_alives);
        text.counters(
            "sipkit_messages_malformed_total",
            "What came in and cannot be read: no message at all, requests that were answered so, responses.",
            "kind",
            [("garbage", stack.garbage), ("request", stack.refused), ("response", stack.bad_responses)],
        );
        let help = "Responses to nothing that was asked by the program itself.";
        text.one(Kind::Counter, "sipkit_stray_responses_total", help, stack.stray_responses);
        text.one(
            Kind::Gauge,
            "sipkit_transactions",
            "Transactions alive: those of next hops that are asked whether they are there.",
            self.endpoint.transactions,
        );
        text.one(
            Kind::Gauge,
            "sipkit_lookups",
            "Names that are being looked up at the moment.",
            self.endpoint.lookups,
        );
    }

    fn datagrams(&self, text: &mut Text) {
        let datagrams = &self.endpoint.datagrams;
        let mut dropped = text.family(
            Kind::Counter,
            "sipkit_datagrams_dropped_total",
            "Datagrams lost here: come in faster than they were read, longer than any message, or not sent.",
        );
        if let Some((unread, _)) = self.unread {
            dropped.sample(&[("reason", "not_read")], unread);
        }
        for (reason, count) in [
            ("truncated", datagrams.sockets.truncated),
            ("send_buffer_full", datagrams.sockets.unsent),
            ("send_error", datagrams.unsendable),
        ] {
            dropped.sample(&[("reason", reason)], count);
        }
        if let Some((_, waiting)) = self.unread {
            let help = "Datagrams that wait to be read, in bytes as the kernel counts them.";
            text.one(Kind::Gauge, "sipkit_datagrams_waiting_bytes", help, waiting);
        }
        let help = "Reads of a socket that failed.";
        text.one(Kind::Counter, "sipkit_socket_errors_total", help, datagrams.unreadable);
        let help = "ICMP errors that came for datagrams of ours.";
        text.one(Kind::Counter, "sipkit_icmp_errors_total", help, datagrams.icmp);
    }

    fn connections(&self, text: &mut Text) {
        let counted = &self.endpoint.connections;
        text.one(Kind::Gauge, "sipkit_connections", "Connections at the moment.", counted.open);
        text.counters(
            "sipkit_connections_total",
            "Connections by what became of the wish for one: accepted, opened by us (failed are among them), refused \
             because there were too many.",
            "outcome",
            [
                ("accepted", counted.accepted),
                ("opened", counted.opened),
                ("failed", counted.failed),
                ("refused", counted.refused),
            ],
        );
        let help = "Connections closed because nothing happened on them.";
        text.one(Kind::Counter, "sipkit_connections_idle_total", help, counted.idle);
        text.counters(
            "sipkit_connection_messages_dropped_total",
            "Messages that did not get onto their connection: its peer reads too slowly, or it is gone.",
            "reason",
            [("queue_full", counted.overrun), ("gone", counted.stranded)],
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::proxy::Counters;

    #[test]
    fn every_figure_has_its_line() {
        let told = Told {
            proxy: proxy::Figures {
                counters: Counters {
                    requests: 10,
                    requests_forwarded: 7,
                    by_transport: [6, 1, 0, 0, 0],
                    answered: BTreeMap::from([(404, 2), (503, 1)]),
                    ..Counters::default()
                },
                waiting: 3,
                hops: BTreeMap::from([("sip:192.0.2.1".into(), true), ("sip:b.example;x=\"".into(), false)]),
                ..proxy::Figures::default()
            },
            unread: Some((5, 0)),
            hep: Some((8, 9)),
            ..Told::default()
        };
        let page = told.page();
        for line in [
            "sipkit_proxy_requests_total 10",
            "sipkit_proxy_forwarded_total{kind=\"request\"} 7",
            "sipkit_proxy_forwarded_by_transport_total{transport=\"tcp\"} 1",
            "sipkit_proxy_answered_total{status=\"404\"} 2",
            "sipkit_proxy_requests_waiting 3",
            "sipkit_proxy_next_hop_up{next_hop=\"sip:192.0.2.1\"} 1",
            "sipkit_proxy_next_hop_up{next_hop=\"sip:b.example;x=\\\"\"} 0",
            "sipkit_datagrams_dropped_total{reason=\"not_read\"} 5",
            "sipkit_hep_messages_total{outcome=\"dropped\"} 9",
            "process_start_time_seconds 0",
        ] {
            assert!(page.lines().any(|got| got == line), "no {line} in\n{page}");
        }
        // Each sample stands below its HELP and TYPE, each name once.
        let mut seen = HashSet::new();
        let mut lines = page.lines().peekable();
        while let Some(help) = lines.next() {
            let name = help.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).expect(help);
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name));
            let is_counter = kind.expect(name) == " counter";
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            assert!(seen.insert(name), "{name} twice");
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                assert!(
                    sample.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])),
                    "{sample}"
                );
            }
        }
        assert!(page.ends_with('\n'));
    }
}
