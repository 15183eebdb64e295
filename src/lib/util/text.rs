//! Writing bytes as text: base32 for identifiers, hexadecimal, addresses, and foreign text made safe to print.

use std::{
    fmt::{self, Write},
    net::{IpAddr, SocketAddr},
};

/// Shows bytes from the network on one line of a terminal or log: control characters, which could move the
/// cursor or fake another line, and bytes that are not UTF-8 appear as `\r`, `\n`, `\x1b`, …
#[derive(Clone, Copy)]
pub struct Visible<'a>(pub &'a [u8]);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\r' => f.write_str("\\r")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    c if c.is_control() => write!(f, "\\x{:02x}", c as u32)?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Writes `bytes` in the 32 characters `a`–`z`, `2`–`7`, which stand in any SIP token and survive a peer that
/// changes their case. `out` receives ⌈bits / 5⌉ characters, padded with zero bits; what does not fit is left
/// out.
pub fn base32(bytes: &[u8], out: &mut [u8]) {
    for (bytes, digits) in bytes.chunks(5).zip(out.chunks_mut(8)) {
        // 40 bits, of which the last ones are padding.
        let bits =
            bytes.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte)) << (8 * (5 - bytes.len()));
        let count = (bytes.len() * 8).div_ceil(5);
        for (at, digit) in digits.iter_mut().take(count).enumerate() {
            *digit = ALPHABET[(bits >> (35 - 5 * at)) as usize & 31];
        }
    }
}

/// Reads what [`base32`] wrote into exactly `out.len()` bytes; `None` if the length, a character or the
/// padding is not what it would have written.
pub fn from_base32(text: &[u8], out: &mut [u8]) -> Option<()> {
    if text.len() != (out.len() * 8).div_ceil(5) {
        return None;
    }
    let mut strange = 0;
    for (digits, bytes) in text.chunks(8).zip(out.chunks_mut(5)) {
        let bits = digits.iter().fold(0u64, |bits, &digit| {
            let value = VALUES[usize::from(digit)];
            strange |= value & !31;
            bits << 5 | u64::from(value & 31)
        });
        let bits = bits << (5 * (8 - digits.len()));
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = (bits >> (32 - 8 * at)) as u8;
        }
        let padding = 40 - 8 * bytes.len();
        strange |= u8::from(bits & ((1 << padding) - 1) != 0) << 7;
    }
    (strange == 0).then_some(())
}

/// An address as the standard library writes it. Those of IPv4 stand in several places of every message, and are written at
/// a tenth of the cost.
#[derive(Clone, Copy)]
pub struct Ip(pub IpAddr);

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => f.write_str(Digits::default().address(ip.octets()).as_str()),
            IpAddr::V6(ip) => ip.fmt(f),
        }
    }
}

/// The same with a port.
#[derive(Clone, Copy)]
pub struct Socket(pub SocketAddr);

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SocketAddr::V4(addr) => {
                let mut digits = Digits::default();
                digits.address(addr.ip().octets()).push(b':').number(addr.port());
                f.write_str(digits.as_str())
            }
            SocketAddr::V6(addr) => addr.fmt(f),
        }
    }
}

/// Room for `255.255.255.255:65535`.
#[derive(Default)]
struct Digits {
    text: [u8; 21],
    length: usize,
}

impl Digits {
    fn address(&mut self, octets: [u8; 4]) -> &mut Self {
        for (at, octet) in octets.into_iter().enumerate() {
            if at > 0 {
                self.push(b'.');
            }
            self.number(octet.into());
        }
        self
    }

    fn number(&mut self, number: u16) -> &mut Self {
        for unit in [10_000, 1_000, 100, 10] {
            if number >= unit {
                self.push(b'0' + (number / unit % 10) as u8);
            }
        }
        self.push(b'0' + (number % 10) as u8)
    }

    fn push(&mut self, byte: u8) -> &mut Self {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
        self
    }

    fn as_str(&self) -> &str {
        // Digits and dots.
        self.text.get(..self.length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// `bytes` in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// What each character stands for, in either case; 255 for those that stand for nothing.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        values[ALPHABET[value].to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_the_network_cannot_move_the_cursor() {
        assert_eq!(
            Visible(b"a\r\n\x1b[2J\xff\xc3\xa9\xc2\x9b").to_string(),
            "a\\r\\n\\x1b[2J\\xff\u{e9}\\x9b"
        );
    }

    #[test]
    fn base32_matches_rfc_4648_section_10() {
        for (plain, coded) in
            [("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb")]
        {
            let mut out = vec![0; coded.len()];
            base32(plain.as_bytes(), &mut out);
            assert_eq!(out, coded.as_bytes());
            let mut back = vec![0; plain.len()];
            assert_eq!(from_base32(coded.to_uppercase().as_bytes(), &mut back), Some(()));
            assert_eq!(back, plain.as_bytes());
        }
        assert_eq!(from_base32(b"mz", &mut [0]), None, "set padding bits");
        assert_eq!(from_base32(b"m1", &mut [0]), None);
        assert_eq!(from_base32(b"myy", &mut [0]), None);
    }

    #[test]
    fn addresses_are_written_as_ever() {
        for octets in [[0, 0, 0, 0], [1, 10, 100, 255], [127, 0, 0, 1], [255; 4], [9, 99, 101, 200]] {
            for port in [0, 9, 10, 99, 100, 999, 1_000, 5_060, 10_000, 60_100, 65_535] {
                let addr = SocketAddr::from((octets, port));
                assert_eq!(Socket(addr).to_string(), addr.to_string());
                assert_eq!(Ip(addr.ip()).to_string(), addr.ip().to_string());
            }
        }
        let v6: SocketAddr = "[2001:db8::1]:5060".parse().unwrap();
        assert_eq!(Socket(v6).to_string(), v6.to_string());
        assert_eq!(Ip(v6.ip()).to_string(), "2001:db8::1");
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
