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
    /// A host name as written: in any case, perhaps with a dot at its end.
    Name(&'m str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; written in square brackets.
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
    #[inline(always)]
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let rest = cursor.rest();
        if rest.first() == Some(&b'[') {
            let length = memchr::memchr(b']', rest).ok_or(Malformed::Host)?;
            let address = scan::ascii(&rest[1..length]).and_then(|text| text.parse().ok());
            let address = address.ok_or(Malformed::Host)?;
            cursor.advance(length + 1);
            return Ok(Self::V6(address));
        }
        if let Some((address, length)) = dotted(&front(rest)) {
            cursor.advance(length);
            return Ok(Self::V4(address));
        }
        let length = scan::length_while(rest, scan::is_host);
        if length == 0 || rest[0] == b'.' {
            return Err(Malformed::Host);
        }
        cursor.take_text(length).map(Self::Name).ok_or(Malformed::Host)
    }
}

/// Whether a host lies there, and its address if that is one; what is around it is none of a host's octets.
#[inline(always)]
pub(super) fn plain(text: &[u8], start: usize, end: usize) -> Option<Option<Ipv4Addr>> {
    let first = *text.get(start)?;
    if start == end || first == b'.' {
        return None;
    }
    Some(if first.is_ascii_digit() { address(text, start, end) } else { None })
}

/// The address that lies there, if it is one.
#[inline(never)]
fn address(text: &[u8], start: usize, end: usize) -> Option<Ipv4Addr> {
    let (address, length) = match text.get(start..)?.first_chunk() {
        Some(block) => dotted(block)?,
        None => dotted(&front(text.get(start..end)?))?,
    };
    (start + length == end).then_some(address)
}

/// The front of a text, filled up with zeros.
#[cold]
fn front(text: &[u8]) -> [u8; 16] {
    let mut front = [0; 16];
    for (place, &byte) in front.iter_mut().zip(text) {
        *place = byte;
    }
    front
}

/// An IPv4 address and its length: four numbers up to 255 without leading zeros, which could be read as
/// octal. What goes on like a name is none. With what ends it, it takes no more than sixteen octets.
#[inline(always)]
fn dotted(text: &[u8; 16]) -> Option<(Ipv4Addr, usize)> {
    // The remainder keeps the place within the text, where it is.
    let digit = |at: usize| text[at % 16].wrapping_sub(b'0');
    let mut address = 0_u32;
    let mut at = 0;
    for count in 0..4 {
        let first = digit(at);
        if first > 9 {
            return None;
        }
        at += 1;
        let mut value = u32::from(first);
        if digit(at) <= 9 {
            if first == 0 {
                return None;
            }
            value = value * 10 + u32::from(digit(at));
            at += 1;
            if digit(at) <= 9 {
                value = value * 10 + u32::from(digit(at));
                at += 1;
                if value > 255 {
                    return None;
                }
            }
        }
        address = address << 8 | value;
        if count < 3 {
            if text[at % 16] != b'.' {
                return None;
            }
            at += 1;
        }
    }
    (!scan::is_host(text[at % 16])).then(|| (Ipv4Addr::from_bits(address), at))
}

/// The port of up to five digits that lies there.
#[inline(always)]
pub(super) fn plain_port(text: &[u8], start: usize, end: usize) -> Option<u16> {
    let length = end.wrapping_sub(start);
    if !(1..=4).contains(&length) {
        return five_digits(text, start, end);
    }
    // The last digit becomes the highest octet; below the first there are zeros.
    let octets = u32::from_le_bytes(*text.get(start..)?.first_chunk()?) ^ ZEROS;
    let digits = octets << (32 - 8 * length);
    if (digits.wrapping_add(SIXES) | digits) & TENS != 0 {
        return None;
    }
    // Two digits to a number, then all four.
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00FF_00FF;
    Some((pairs.wrapping_mul(100 << 16 | 1) >> 16) as u16)
}

/// "0" in each octet.
const ZEROS: u32 = 0x3030_3030;
/// With this a number above 9 carries into the upper half of its octet.
const SIXES: u32 = 0x0606_0606;
/// The upper half of each octet.
const TENS: u32 = 0xF0F0_F0F0;

#[inline(never)]
fn five_digits(text: &[u8], start: usize, end: usize) -> Option<u16> {
    let [first @ b'0'..=b'6', _, _, _, _] = *text.get(start..end)? else { return None };
    u16::try_from(u32::from(first - b'0') * 10_000 + u32::from(plain_port(text, start + 1, end)?)).ok()
}

/// A port in digits, which may have any number of leading zeros.
#[inline(always)]
pub(super) fn read_port(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    let mut port = 0_u32;
    let mut length = 0;
    for &byte in cursor.rest() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Beyond 65535 more digits do not make it any better.
        port = (port * 10 + u32::from(digit)).min(1 << 16);
        length += 1;
    }
    cursor.advance(length);
    match u16::try_from(port) {
        Ok(port) if length > 0 => Ok(port),
        _ => Err(Malformed::Port),
    }
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
    fn ports_of_up_to_five_digits() {
        for port in 0..=65535_u32 {
            let text = format!(":{port};branch=1");
            let end = 1 + port.to_string().len();
            assert_eq!(plain_port(text.as_bytes(), 1, end).map(u32::from), Some(port));
        }
        for (text, length, port) in [
            ("00007;abc", 5, Some(7)),
            ("65536;abc", 5, None),
            ("99999;abc", 5, None),
            ("506000;ab", 6, None),
        ] {
            assert_eq!(plain_port(text.as_bytes(), 0, length), port, "{text}");
        }
        for wrong in 0..=255_u8 {
            for at in 0..5 {
                let mut text = *b"11111;;;;";
                text[at] = wrong;
                assert_eq!(
                    plain_port(&text, 0, 5).is_some(),
                    wrong.is_ascii_digit() && (at > 0 || wrong < b'7')
                );
            }
        }
        assert_eq!(plain_port(b"5060", 0, 0), None);
    }

    #[test]
    fn names_addresses_and_nonsense() {
        assert_eq!(Host::parse("Example.COM"), Some(Host::Name("example.com")));
        assert_eq!(Host::parse("192.0.2.1"), Some(Host::V4(Ipv4Addr::new(192, 0, 2, 1))));
        let v6 = "2001:db8::9:255".parse().unwrap();
        assert_eq!(Host::parse("[2001:db8::9:255]"), Some(Host::V6(v6)));
        assert_eq!(Host::parse("2001:DB8::9:255"), Some(Host::V6(v6)));
        assert_eq!(Host::V6(v6).to_string(), "[2001:db8::9:255]");
        assert_eq!(Host::parse("[::ffff:192.0.2.2]").unwrap().to_string(), "[::ffff:192.0.2.2]");
        let names =
            ["1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", "1.2.3.4.", "1.2.3.4a", "00.0.0.0"];
        for name in names {
            assert_eq!(Host::parse(name), Some(Host::Name(name)), "{name}");
            assert!(name.parse::<Ipv4Addr>().is_err());
        }
        assert_eq!(Host::parse("0.0.0.0"), Some(Host::V4(Ipv4Addr::UNSPECIFIED)));
        assert_eq!(Host::parse("255.255.255.255"), Some(Host::V4(Ipv4Addr::BROADCAST)));
        for wrong in ["", "[::1", "::1]", "a b", "[2001:db8:::192.0.2.1]", "[]", "a:1", ".a"] {
            assert_eq!(Host::parse(wrong), None, "{wrong}");
        }
    }
}
