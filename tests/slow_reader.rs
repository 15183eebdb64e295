//! A reader that has nothing in common with the library's: it works on copies of text, step by step, and knows
//! just enough for the benchmark messages. What it finds must be what the benchmark of the fast one found.

use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};
use sipkit::message::{HeaderId, Limits, Message};

use crate::reading::{self, Sum};

#[test]
fn the_fast_reader_finds_what_a_slow_one_finds() {
    let messages = reading::messages();
    assert_eq!(messages.len(), 5);
    for (name, bytes) in messages {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(reading::full(Bytes::from(bytes.clone())), Some(full(&text)), "{name}: everything");
        assert_eq!(reading::scan(Bytes::from(bytes)), Some(scan(&text)), "{name}: what routing needs");
    }
}

/// Every component has a part in the figure: with one octet more or another digit it is another.
#[test]
fn nothing_is_left_out() {
    let (_, bytes) = reading::messages().into_iter().find(|(name, _)| name == "invite2route.sip").unwrap();
    let before = reading::full(Bytes::from(bytes.clone())).unwrap();
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let mut changed = 0;
    for at in 0..head {
        // Inside a word or number, but not in a name known to the library or a version.
        let word = |at: usize| bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit();
        if !(word(at) && word(at + 1)) {
            continue;
        }
        let mut longer = bytes.clone();
        longer.insert(at + 1, if bytes[at].is_ascii_digit() { b'1' } else { b'x' });
        changed += 1;
        assert_ne!(reading::full(Bytes::from(longer)), Some(before), "octet {at}");
    }
    assert!(changed > 300, "{changed}");
}

struct Row<'t> {
    name: &'t str,
    value: &'t str,
}

fn split(text: &str) -> (&str, Vec<Row<'_>>, &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap();
    let rows = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            Row { name, value: value.trim() }
        })
        .collect();
    (start, rows, body)
}

fn full(text: &str) -> Sum {
    let (line, rows, body) = split(text);
    let mut sum = Sum::default();
    start(&mut sum, line);
    for row in rows {
        let id = HeaderId::KNOWN.into_iter().find(|id| id.name() == row.name).unwrap();
        sum.number(id as u8);
        match row.name {
            "Via" => via(&mut sum, row.value),
            "From" | "To" | "Contact" => address(&mut sum, row.value),
            "Record-Route" | "Route" => {
                row.value.split(',').for_each(|value| address(&mut sum, value.trim()))
            }
            "Call-ID" | "User-Agent" | "Server" => length(&mut sum, row.value),
            "CSeq" => cseq(&mut sum, row.value),
            "Max-Forwards" | "Expires" | "Content-Length" => sum.number(row.value.parse::<u64>().unwrap()),
            "Content-Type" | "Accept" => {
                let (kind, subtype) = row.value.split_once('/').unwrap();
                length(&mut sum, kind);
                length(&mut sum, subtype);
            }
            "Allow" | "Supported" => row.value.split(',').for_each(|value| length(&mut sum, value.trim())),
            other => panic!("{other} in a benchmark message"),
        }
    }
    length(&mut sum, body);
    sum
}

fn scan(text: &str) -> Sum {
    let (line, rows, _) = split(text);
    let value = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.value);
    let mut sum = Sum::default();
    start(&mut sum, line);
    via(&mut sum, value("Via").unwrap());
    if let Some(route) = value("Route") {
        address(&mut sum, route);
    }
    length(&mut sum, value("Call-ID").unwrap());
    cseq(&mut sum, value("CSeq").unwrap());
    for name in ["From", "To"] {
        let tag = value(name).unwrap().split(";tag=").nth(1);
        optional(&mut sum, tag);
    }
    sum.number(value("Max-Forwards").map_or(70_u64, |value| value.parse().unwrap()));
    sum
}

fn length(sum: &mut Sum, text: &str) {
    sum.number(text.chars().count() as u64);
}

fn optional(sum: &mut Sum, text: Option<&str>) {
    sum.number(text.map_or(0, |text| text.chars().count() as u64 + 1));
}

fn start(sum: &mut Sum, line: &str) {
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    if words[0] == "SIP/2.0" {
        sum.number(words[1].parse::<u64>().unwrap());
        length(sum, words[2]);
    } else {
        length(sum, words[0]);
        uri(sum, words[1]);
    }
}

fn cseq(sum: &mut Sum, value: &str) {
    let (number, method) = value.split_once(' ').unwrap();
    sum.number(number.parse::<u64>().unwrap());
    length(sum, method);
}

fn via(sum: &mut Sum, value: &str) {
    let (protocol, rest) = value.split_once(' ').unwrap();
    let words: Vec<&str> = protocol.split('/').collect();
    length(sum, words[1]);
    length(sum, words[2]);
    let (sent_by, rest) = rest.split_at(rest.find(';').unwrap());
    host_and_port(sum, sent_by);
    params(sum, rest);
}

fn host_and_port(sum: &mut Sum, text: &str) {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse::<u64>().unwrap() + 1),
        None => (text, 0),
    };
    match host.parse::<Ipv4Addr>() {
        Ok(address) => sum.number(address.to_bits()),
        Err(_) => length(sum, host),
    }
    sum.number(port);
}

fn params(sum: &mut Sum, text: &str) {
    for param in text.split(';').skip(1) {
        let (name, value) = match param.split_once('=') {
            Some((name, value)) => (name, Some(value.trim_matches('"'))),
            None => (param, None),
        };
        length(sum, name);
        optional(sum, value);
    }
}

fn address(sum: &mut Sum, value: &str) {
    let (before, rest) = value.split_once('<').unwrap();
    let (inside, after) = rest.split_once('>').unwrap();
    let display = before.trim().trim_matches('"');
    optional(sum, (!display.is_empty()).then_some(display));
    uri(sum, inside);
    params(sum, after);
}

fn uri(sum: &mut Sum, text: &str) {
    let (scheme, rest) = text.split_once(':').unwrap();
    length(sum, scheme);
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    optional(sum, user);
    optional(sum, None);
    let (sent_to, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    host_and_port(sum, sent_to);
    params(sum, rest);
}

/// What the forwarding proxy of the benchmark writes, made the slow way.
#[test]
fn the_fast_edit_writes_what_a_slow_one_writes() {
    for name in ["invite.sip", "invite2route.sip"] {
        let (_, bytes) = reading::messages().into_iter().find(|(file, _)| file == name).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let message = Message::parse(bytes.into(), &Limits::default()).unwrap();
        let mut written = BytesMut::new();
        reading::edit(&message, &reading::HOP, &mut written).unwrap();
        assert_eq!(String::from_utf8_lossy(&written), forwarded(&text), "{name}");
    }
}

/// Each new row stands before the first of its kind, or first of all.
fn forwarded(text: &str) -> String {
    let hop = reading::HOP;
    let (line, rows, body) = split(text);
    let mut rows: Vec<(String, String)> =
        rows.into_iter().map(|row| (row.name.to_owned(), row.value.to_owned())).collect();
    if let Some(at) = rows.iter().position(|(name, _)| name == "Route") {
        match rows[at].1.split_once(',') {
            Some((_, rest)) => rows[at].1 = rest.trim().to_owned(),
            None => _ = rows.remove(at),
        }
    }
    for (name, value) in &mut rows {
        if name == "Max-Forwards" {
            *value = (value.parse::<u32>().unwrap() - 1).to_string();
        }
    }
    let mut insert = |name: &str, value: String| {
        let at = rows.iter().position(|(other, _)| other == name).unwrap_or(0);
        rows.insert(at, (name.to_owned(), value));
    };
    insert("Record-Route", hop.record_route.to_owned());
    insert("Via", format!("SIP/2.0/UDP {};branch={}", hop.sent_by, hop.branch));
    let head: String = rows.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line}\r\n{head}\r\n{body}")
}
