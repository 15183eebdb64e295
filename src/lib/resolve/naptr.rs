//! Which NAPTR records of a domain are of use, and in which order (RFC 3263 §4.1, RFC 3403 §4.1, RFC 7118 §5.5).
//!
//! A record is of use if its service is SIP over a transport we speak, if it leads to SRV records (flag `s`), and
//! if it leads there by name: regular expressions are refused, as RFC 3263 wants them empty.

use std::{fmt, sync::Arc};

use crate::transport::Protocol;

use super::{Naptr, Protocols, plain};

/// A way into a domain: a transport and the name of its SRV records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub protocol: Protocol,
    pub service: Arc<str>,
}

/// Why a NAPTR record is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Useless {
    /// Its service is not SIP: ENUM, XMPP, …
    NotSip,
    /// A transport that this library does not know, such as SCTP.
    UnknownTransport,
    /// A transport that this program does not speak.
    NotSpoken(Protocol),
    /// Not encrypted, and the URI is a SIPS URI (RFC 3263 §4.1).
    NotSecure(Protocol),
    /// It does not lead to SRV records.
    Flags,
    /// It rewrites by a regular expression instead of naming what it leads to.
    Regexp,
    /// It leads nowhere.
    NoReplacement,
    /// It repeats one before it, or there are too many.
    Surplus,
}

impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSip => f.write_str("not SIP"),
            Self::UnknownTransport => f.write_str("an unknown transport"),
            Self::NotSpoken(protocol) => write!(f, "{protocol}, which is not spoken here"),
            Self::NotSecure(protocol) => write!(f, "{protocol}, which a sips URI does not admit"),
            Self::Flags => f.write_str("its flags do not lead to SRV records"),
            Self::Regexp => f.write_str("it has a regular expression"),
            Self::NoReplacement => f.write_str("it leads nowhere"),
            Self::Surplus => f.write_str("one too many"),
        }
    }
}

/// Sorts `records` and says of each what it is good for. Those with the lowest order come first, among equals
/// those with the lowest preference; what is still equal is sorted by its text, so that the same records always
/// give the same order (RFC 3263 §4.4).
pub(super) fn select(
    mut records: Vec<Naptr>,
    spoken: Protocols,
    sips: bool,
) -> Vec<(Naptr, Result<Way, Useless>)> {
    records.sort_by(|a, b| {
        (a.order, a.preference, &a.service, &a.replacement).cmp(&(
            b.order,
            b.preference,
            &b.service,
            &b.replacement,
        ))
    });
    let mut ways: Vec<Way> = Vec::new();
    let judged = records.into_iter().map(|record| {
        let verdict = judge(&record, spoken, sips).and_then(|way| {
            if ways.contains(&way) || ways.len() >= MAX_WAYS {
                return Err(Useless::Surplus);
            }
            ways.push(way.clone());
            Ok(way)
        });
        (record, verdict)
    });
    judged.collect()
}

fn judge(record: &Naptr, spoken: Protocols, sips: bool) -> Result<Way, Useless> {
    let protocol = protocol(&record.service)?;
    if sips && !protocol.is_secure() {
        return Err(Useless::NotSecure(protocol));
    }
    if !spoken.contains(protocol) {
        return Err(Useless::NotSpoken(protocol));
    }
    if !record.flags.eq_ignore_ascii_case("s") {
        return Err(Useless::Flags);
    }
    if !record.regexp.is_empty() {
        return Err(Useless::Regexp);
    }
    match plain(&record.replacement) {
        name if matches!(&*name, "" | ".") => Err(Useless::NoReplacement),
        service => Ok(Way { protocol, service }),
    }
}

/// The services of the IANA registry that RFC 3263 §9 began. TLS over UDP (`SIPS+D2U`) does not exist.
fn protocol(service: &str) -> Result<Protocol, Useless> {
    let known = SERVICES.iter().find(|(name, _)| service.eq_ignore_ascii_case(name));
    match known {
        Some((_, protocol)) => Ok(*protocol),
        None if starts_with(service, "SIP+D2") || starts_with(service, "SIPS+D2") => {
            Err(Useless::UnknownTransport)
        }
        None => Err(Useless::NotSip),
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

const SERVICES: [(&str, Protocol); 5] = [
    ("SIP+D2U", Protocol::Udp),
    ("SIP+D2T", Protocol::Tcp),
    ("SIPS+D2T", Protocol::Tls),
    ("SIP+D2W", Protocol::Ws),
    ("SIPS+D2W", Protocol::Wss),
];

/// The most SRV queries that come of NAPTR records.
const MAX_WAYS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(order: u16, preference: u16, service: &str) -> Naptr {
        Naptr {
            order,
            preference,
            flags: "s".into(),
            service: service.into(),
            regexp: "".into(),
            replacement: format!("_x{order}-{preference}.example").into(),
        }
    }

    /// Every service with every kind of client.
    #[test]
    fn services_are_judged_by_what_is_spoken() {
        use Protocol::{Tcp, Tls, Udp, Ws, Wss};
        let udp_only = Protocols::UDP;
        let table: [(&str, Protocols, bool, Result<Protocol, Useless>); 15] = [
            ("SIP+D2U", Protocols::ALL, false, Ok(Udp)),
            ("sip+d2t", Protocols::ALL, false, Ok(Tcp)),
            ("SIPS+D2T", Protocols::ALL, false, Ok(Tls)),
            ("SIP+D2W", Protocols::ALL, false, Ok(Ws)),
            ("SIPS+D2W", Protocols::ALL, false, Ok(Wss)),
            ("SIPS+D2T", Protocols::ALL, true, Ok(Tls)),
            ("SIPS+D2W", Protocols::ALL, true, Ok(Wss)),
            ("SIP+D2T", Protocols::ALL, true, Err(Useless::NotSecure(Tcp))),
            ("SIP+D2T", udp_only, false, Err(Useless::NotSpoken(Tcp))),
            ("SIPS+D2T", udp_only, true, Err(Useless::NotSpoken(Tls))),
            ("SIP+D2S", Protocols::ALL, false, Err(Useless::UnknownTransport)),
            ("SIPS+D2U", Protocols::ALL, false, Err(Useless::UnknownTransport)),
            ("E2U+sip", Protocols::ALL, false, Err(Useless::NotSip)),
            ("SIP", Protocols::ALL, false, Err(Useless::NotSip)),
            ("SIP+D\u{e9}", Protocols::ALL, false, Err(Useless::NotSip)),
        ];
        for (service, spoken, sips, expected) in table {
            let judged = select(vec![record(1, 1, service)], spoken, sips);
            let verdict = judged[0].1.as_ref().map(|way| way.protocol).map_err(|useless| *useless);
            assert_eq!(verdict, expected, "{service} {spoken:?} sips={sips}");
        }
    }

    #[test]
    fn records_that_lead_elsewhere_than_to_srv_are_refused() {
        let one = |change: fn(&mut Naptr)| {
            let mut naptr = record(1, 1, "SIP+D2U");
            change(&mut naptr);
            select(vec![naptr], Protocols::ALL, false).remove(0).1
        };
        assert_eq!(one(|naptr| naptr.flags = "".into()), Err(Useless::Flags));
        assert_eq!(one(|naptr| naptr.flags = "u".into()), Err(Useless::Flags));
        assert_eq!(one(|naptr| naptr.regexp = "!^.*$!sip:x@y!".into()), Err(Useless::Regexp));
        assert_eq!(one(|naptr| naptr.replacement = ".".into()), Err(Useless::NoReplacement));
        let way = one(|naptr| {
            naptr.flags = "S".into();
            naptr.replacement = "_SIP._udp.Other.Example.".into();
        });
        assert_eq!(way, Ok(Way { protocol: Protocol::Udp, service: "_sip._udp.other.example".into() }));
    }

    #[test]
    fn order_before_preference_and_never_by_chance() {
        let mut records = vec![
            record(20, 1, "SIP+D2U"),
            record(10, 9, "SIP+D2T"),
            record(10, 1, "SIPS+D2T"),
            record(10, 1, "SIP+D2W"),
        ];
        let order = |records: &[Naptr]| -> Vec<String> {
            let judged = select(records.to_vec(), Protocols::ALL, false);
            judged.iter().map(|(record, _)| record.service.to_string()).collect()
        };
        let expected = ["SIP+D2W", "SIPS+D2T", "SIP+D2T", "SIP+D2U"];
        for _ in 0..records.len() {
            records.rotate_left(1);
            assert_eq!(order(&records), expected);
        }
    }

    #[test]
    fn repetitions_and_floods_are_cut() {
        let same = vec![record(1, 1, "SIP+D2U"); 3];
        let verdicts: Vec<_> =
            select(same, Protocols::ALL, false).into_iter().map(|(_, verdict)| verdict.is_ok()).collect();
        assert_eq!(verdicts, [true, false, false]);
        let many = (0..100).map(|n| record(n, 1, "SIP+D2U")).collect();
        let used = select(many, Protocols::ALL, false).iter().filter(|(_, verdict)| verdict.is_ok()).count();
        assert_eq!(used, MAX_WAYS);
    }
}
