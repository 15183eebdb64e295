//! Which addresses and names are ours.

use std::net::{IpAddr, SocketAddr};

use crate::{
    message::{Host, Scheme, Uri},
    transport::{Protocol, Target},
};

/// What a proxy answers to: where it listens, and names that lead there.
#[derive(Clone, Debug, Default)]
pub struct Own {
    listening: Vec<Target>,
    /// Addresses behind a wildcard that messages came to, or leave from.
    seen: Vec<IpAddr>,
    names: Vec<String>,
}

impl Own {
    /// `names` are compared without case.
    pub const fn new(listening: Vec<Target>, names: Vec<String>) -> Self {
        Self { listening, seen: Vec::new(), names }
    }

    /// Another set of names; addresses stay.
    pub fn rename(&mut self, names: Vec<String>) {
        self.names = names;
    }

    /// Notes one of this machine's addresses: a message came to it.
    pub fn see(&mut self, ip: IpAddr) {
        if self.seen.last() == Some(&ip) || self.seen.contains(&ip) {
            return;
        }
        if self.listening.iter().any(|target| target.addr.ip().is_unspecified())
            && self.seen.len() < ADDRESSES
        {
            self.seen.push(ip);
        }
    }

    /// Whether who sends there over that transport reaches us: the end of a connection that we opened is no such place.
    pub fn listens(&self, protocol: Protocol, at: SocketAddr) -> bool {
        self.listening.iter().any(|target| {
            let ip = target.addr.ip();
            target.protocol == protocol
                && target.addr.port() == at.port()
                && (ip == at.ip() || ip.is_unspecified())
        })
    }

    /// Whether a URI's host and port are ours.
    pub fn is(&self, uri: &Uri<'_>) -> bool {
        let default = if uri.scheme() == Scheme::Sips { 5061 } else { 5060 };
        uri.is_sip() && self.is_at(uri.host(), uri.port(), default)
    }

    /// The same for a host, a port, and the port that is meant without one.
    pub fn is_at(&self, host: Host<'_>, port: Option<u16>, default: u16) -> bool {
        match host.ip() {
            Some(ip) => {
                let port = port.unwrap_or(default);
                let here = |at: IpAddr| at == ip || at.is_unspecified() && self.seen.contains(&ip);
                self.listening.iter().any(|target| target.addr.port() == port && here(target.addr.ip()))
            }
            None => {
                let Host::Name(name) = host else { return false };
                let name = name.strip_suffix('.').unwrap_or(name);
                let known = self.names.iter().any(|own| own.eq_ignore_ascii_case(name));
                known
                    && port.is_none_or(|port| self.listening.iter().any(|target| target.addr.port() == port))
            }
        }
    }
}

/// Addresses of one machine at most.
const ADDRESSES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_or_not() {
        let listening = ["192.0.2.1:5060", "tls:192.0.2.1:5061", "udp:[::]:5070"];
        let listening = listening.iter().map(|text| text.parse().unwrap()).collect();
        let mut own = Own::new(listening, vec!["proxy.example".into()]);
        own.see("2001:db8::1".parse().unwrap());
        let table = [
            ("sip:192.0.2.1", true),
            ("sip:a@192.0.2.1:5060;lr", true),
            ("sips:192.0.2.1", true),
            ("sip:192.0.2.1:5061;transport=tls", true),
            ("sip:192.0.2.1:5062", false),
            ("sip:192.0.2.2", false),
            ("sip:[2001:db8::1]:5070", true),
            ("sip:[2001:db8::1]", false),
            ("sip:[2001:db8::2]:5070", false),
            ("sip:Proxy.Example", true),
            ("sip:proxy.example.", true),
            ("sip:proxy.example:5061", true),
            ("sip:proxy.example:5099", false),
            ("sip:other.example", false),
            ("tel:+1", false),
        ];
        for (uri, expected) in table {
            assert_eq!(own.is(&Uri::parse(uri).unwrap()), expected, "{uri}");
        }
    }
}
