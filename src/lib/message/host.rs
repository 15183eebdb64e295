//! Hosts in URIs and Via: a name, an IPv4 address, an IPv6 reference in brackets (RFC 3261 §25.1 host,
//! RFC 5118). An IPv6 address without brackets is refused: its last group would read as a port.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    Malformed,
    scan::{self, Cursor},
};

/// Where something is: names compare without regard to case, addresses by value (RFC 5954 §4.2).
#[derive(Debug, Clone, Copy)]
pub enum Host<'m> {
    Name(&'m str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'m> Host<'m> {
    /// A host alone, with nothing around it; an IPv6 address may come with or without brackets.
    pub fn parse(text: &'m str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Some(Self::V6(address));
        }
        let mut cursor = Cursor::new(text.as_bytes());
        let host = Self::read(&mut cursor).ok()?;
        cursor.is_done().then_some(host)
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Name(_) => None,
            Self::V4(address) => Some(address.into()),
            Self::V6(address) => Some(address.into()),
        }
    }

    /// Takes a host and no port.
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        if cursor.eat(b'[') {
            let inner = cursor.take_while(|byte| byte != b']');
            let address = scan::ascii(inner).and_then(|text| text.parse().ok()).ok_or(Malformed::Host)?;
            return if cursor.eat(b']') { Ok(Self::V6(address)) } else { Err(Malformed::Host) };
        }
        let name = scan::ascii(cursor.take_while(scan::is_host))
            .filter(|name| !name.is_empty() && !name.starts_with('.'))
            .ok_or(Malformed::Host)?;
        let numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match name.parse() {
            Ok(address) if numeric => Ok(Self::V4(address)),
            _ => Ok(Self::Name(name)),
        }
    }
}

/// A port in digits, which may have any number of leading zeros.
pub(super) fn read_port(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    let number = cursor.number().map_err(|_| Malformed::Port)?;
    u16::try_from(number).map_err(|_| Malformed::Port)
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Self::Name(left), Host::Name(right)) => left.eq_ignore_ascii_case(right),
            (Self::V4(left), Host::V4(right)) => left == right,
            (Self::V6(left), Host::V6(right)) => left == right,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl From<IpAddr> for Host<'static> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

/// As it stands in a URI: IPv6 in brackets.
impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_nonsense() {
        assert_eq!(Host::parse("Example.COM"), Some(Host::Name("example.com")));
        assert_eq!(Host::parse("192.0.2.1"), Some(Host::V4(Ipv4Addr::new(192, 0, 2, 1))));
        let v6 = "2001:db8::9:255".parse().unwrap();
        assert_eq!(Host::parse("[2001:db8::9:255]"), Some(Host::V6(v6)));
        assert_eq!(Host::parse("2001:DB8::9:255"), Some(Host::V6(v6)));
        assert_eq!(Host::V6(v6).to_string(), "[2001:db8::9:255]");
        assert_eq!(Host::parse("[::ffff:192.0.2.2]").unwrap().to_string(), "[::ffff:192.0.2.2]");
        for wrong in ["", "[::1", "::1]", "a b", "[2001:db8:::192.0.2.1]", "[]", "a:1", ".a"] {
            assert_eq!(Host::parse(wrong), None, "{wrong}");
        }
    }
}
