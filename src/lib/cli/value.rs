//! Values of flags and of configuration keys: read once, from the same text in both places.

use std::{
    fmt,
    io::Read,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

pub use crate::media::device::AudioSpec as Audio;
use crate::{
    auth,
    media::codec,
    phone::events::{Stated, Unstated},
    transport::{Protocol, Target},
};

/// `20s`, `500ms`, `2m`, `1h30m`. A bare number is refused: in one program it would be seconds, in the next not.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(DurationError::NoUnit(text.into()));
    }
    let duration =
        humantime::parse_duration(text).map_err(|why| DurationError::Malformed { text: text.into(), why })?;
    if duration > LONGEST { Err(DurationError::TooLong) } else { Ok(duration) }
}

/// Why a duration was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DurationError {
    #[error("{text:?} is no time ({why}): write a number with a unit, such as 20s, 500ms or 1h30m")]
    Malformed { text: String, why: humantime::DurationError },
    #[error("{0} has no unit: write {0}s for seconds, or ms, m, h")]
    NoUnit(String),
    #[error("longer than a year")]
    TooLong,
}

/// Anything beyond is a slip of the pen, and could not be added to a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A local IP address with an optional port: `192.0.2.1`, `192.0.2.1:5062`, `::1`, `[::1]:5062`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    pub ip: IpAddr,
    /// None: any free port, or the program's usual one.
    pub port: Option<u16>,
}

impl LocalAddress {
    pub fn with_default_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

impl FromStr for LocalAddress {
    type Err = LocalAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: addr.ip(), port: Some(addr.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(ip) => Ok(Self { ip, port: None }),
            Err(_) => Err(LocalAddressError),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an IP address with an optional port is wanted, such as 127.0.0.1, 127.0.0.1:5070 or [::1]:5070")]
pub struct LocalAddressError;

/// `--dns`: a DNS server's IP address with an optional port; 53 without.
#[cfg(feature = "dns")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsServer(pub SocketAddr);

#[cfg(feature = "dns")]
impl FromStr for DnsServer {
    type Err = LocalAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<LocalAddress>().map(|addr| Self(addr.with_default_port(53)))
    }
}

/// Where a server listens: a [`LocalAddress`], after a transport and a colon if only that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// None: UDP and TCP, which every SIP element has (RFC 3261 §18).
    pub protocol: Option<Protocol>,
    pub address: LocalAddress,
}

impl ListenAddress {
    /// What to bind; `port` gives the port of a transport where none is written.
    pub fn targets(self, port: impl Fn(Protocol) -> u16) -> Vec<Target> {
        let target = |protocol| Target { protocol, addr: self.address.with_default_port(port(protocol)) };
        match self.protocol {
            Some(protocol) => vec![target(protocol)],
            None => vec![target(Protocol::Udp), target(Protocol::Tcp)],
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self { protocol: None, address });
        }
        let (protocol, address) = text.split_once(':').ok_or(ListenAddressError)?;
        match (protocol.parse(), address.parse()) {
            (Ok(protocol), Ok(address)) => Ok(Self { protocol: Some(protocol), address }),
            _ => Err(ListenAddressError),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an IP address is wanted, perhaps with a transport and a port, such as 127.0.0.1:5070 or tcp:[::1]:5070"
)]
pub struct ListenAddressError;

/// `-H 'Name: value'`: a header added to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine {
    pub name: String,
    pub value: String,
}

impl FromStr for HeaderLine {
    type Err = HeaderLineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or(HeaderLineError::NoColon)?;
        let (name, value) = (name.trim_end(), value.trim());
        // token of RFC 3261 §25.1.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)) {
            return Err(HeaderLineError::Name(name.into()));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(HeaderLineError::Control);
        }
        if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return Err(HeaderLineError::Ours(name.into()));
        }
        Ok(Self { name: name.into(), value: value.into() })
    }
}

impl fmt::Display for HeaderLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderLineError {
    #[error("a header is one line: no line break, no control character")]
    Control,
    #[error("`{0}` is no header name")]
    Name(String),
    #[error("write it as 'Name: value'")]
    NoColon,
    #[error("{0} is written by the program itself")]
    Ours(String),
}

/// Headers that make the message work, with their compact forms (RFC 3261 §7.3.3): a second one would break it.
const OURS: [&str; 21] = [
    "Authorization",
    "Call-ID",
    "Contact",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "From",
    "Max-Forwards",
    "Proxy-Authorization",
    "Record-Route",
    "Require",
    "Route",
    "To",
    "Via",
    "c",
    "f",
    "i",
    "l",
    "m",
    "t",
    "v",
];

/// `--codec`: an audio codec by its name in SDP (RFC 4855).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Codec {
    #[cfg(feature = "opus")]
    Opus,
    Pcmu,
    Pcma,
}

impl Codec {
    /// The codec behind the name.
    pub const fn media(self) -> codec::Codec {
        match self {
            #[cfg(feature = "opus")]
            Self::Opus => codec::Codec::Opus,
            Self::Pcmu => codec::Codec::Pcmu,
            Self::Pcma => codec::Codec::Pcma,
        }
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, true)
    }
}

/// `--auth-alg`: a digest algorithm (RFC 7616 §3.2, RFC 8760 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum DigestAlgorithm {
    #[value(name = "MD5")]
    Md5,
    #[value(name = "MD5-sess")]
    Md5Sess,
    #[value(name = "SHA-256")]
    Sha256,
    #[value(name = "SHA-256-sess")]
    Sha256Sess,
    #[value(name = "SHA-512-256")]
    Sha512_256,
    #[value(name = "SHA-512-256-sess")]
    Sha512_256Sess,
}

impl DigestAlgorithm {
    /// The algorithm behind the name.
    pub const fn auth(self) -> auth::Algorithm {
        match self {
            Self::Md5 => auth::Algorithm::Md5,
            Self::Md5Sess => auth::Algorithm::Md5Sess,
            Self::Sha256 => auth::Algorithm::Sha256,
            Self::Sha256Sess => auth::Algorithm::Sha256Sess,
            Self::Sha512_256 => auth::Algorithm::Sha512_256,
            Self::Sha512_256Sess => auth::Algorithm::Sha512_256Sess,
        }
    }
}

impl FromStr for DigestAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, true)
    }
}

/// `--auth-qop`: what the digest protects (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Protection {
    /// The request line.
    Auth,
    /// The body as well.
    AuthInt,
}

impl Protection {
    /// The quality of protection behind the name.
    pub const fn auth(self) -> auth::Qop {
        match self {
            Self::Auth => auth::Qop::Auth,
            Self::AuthInt => auth::Qop::AuthInt,
        }
    }
}

/// `--q`: a preference from 0 to 1 with up to three digits after the point (RFC 3261 §25.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    pub thousandths: u16,
}

impl FromStr for Preference {
    type Err = PreferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        let value: f64 = text.parse().map_err(|_| PreferenceError)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !plain || digits > 3 || !(0.0..=1.0).contains(&value) {
            return Err(PreferenceError);
        }
        Ok(Self { thousandths: (value * 1000.0).round() as u16 })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number from 0 to 1 with at most three digits after the point is wanted, such as 0.5")]
pub struct PreferenceError;

/// `--rtp-ports`: the UDP ports media may use, `FIRST-LAST`. RTP takes the even one of a pair, RTCP the odd one
/// (RFC 3550 §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').ok_or(PortRangeError::Syntax)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| PortRangeError::Syntax);
        let (first, last) = (port(first)?, port(last)?);
        // The first even port of the range and the odd one after it.
        match first.checked_add(first % 2).and_then(|even| even.checked_add(1)) {
            Some(odd) if first > 0 && odd <= last => Ok(Self { first, last }),
            _ => Err(PortRangeError::NoPair),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortRangeError {
    #[error("the range holds no even port followed by an odd one")]
    NoPair,
    #[error("write it as FIRST-LAST, such as 20000-20100")]
    Syntax,
}

/// `--dtmf`: digits to send once the call is answered, with waits between them: `w2 123#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtmfScript(pub Vec<DtmfStep>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfStep {
    /// One of `0`–`9`, `*`, `#`, `A`–`D` (RFC 4733 §3.2).
    Digit(char),
    Wait(Duration),
}

impl FromStr for DtmfScript {
    type Err = DtmfError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut steps = Vec::new();
        for word in text.split_whitespace() {
            let mut rest = word;
            while let Some(c) = rest.chars().next() {
                if matches!(c, 'w' | 'W') {
                    // A wait takes the rest of its word: in "w2123" nobody could say where the digits begin.
                    steps.push(DtmfStep::Wait(parse_wait(&rest[1..])?));
                    break;
                }
                match c.to_ascii_uppercase() {
                    digit @ ('0'..='9' | '*' | '#' | 'A'..='D') => steps.push(DtmfStep::Digit(digit)),
                    _ => return Err(DtmfError::Digit(c)),
                }
                rest = &rest[1..];
            }
        }
        if steps.len() > MAX_STEPS { Err(DtmfError::TooLong) } else { Ok(Self(steps)) }
    }
}

/// Nothing: one second; a number: seconds; a number with a unit: that.
fn parse_wait(text: &str) -> Result<Duration, DtmfError> {
    let wait = match text {
        "" => return Ok(Duration::from_secs(1)),
        number if number.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            number.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        }
        with_unit => parse_duration(with_unit).ok(),
    };
    wait.filter(|&wait| wait <= LONGEST).ok_or_else(|| DtmfError::Wait(text.into()))
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DtmfError {
    #[error("`{0}` is no DTMF digit (0-9 * # A-D)")]
    Digit(char),
    #[error("more than {MAX_STEPS} steps")]
    TooLong,
    #[error("`w{0}` is no wait: write w, w2, w0.5 or w500ms, and a space before the digits")]
    Wait(String),
}

const MAX_STEPS: usize = 1000;

/// A state that a server is given at its start: in words, or a document from a file (`presence:alice=@FILE`).
#[derive(Clone, Debug, PartialEq)]
pub struct EventState(pub Stated);

impl FromStr for EventState {
    type Err = EventStateError;

    fn from_str(text: &str) -> Result<Self, EventStateError> {
        let Some((of, path)) = text.split_once("=@") else { return Ok(Self(text.parse()?)) };
        let read = |source| EventStateError::Read { path: path.to_owned(), source: Arc::new(source) };
        let mut body = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_STATE + 1).read_to_end(&mut body))
            .map_err(read)?;
        if body.len() as u64 > LARGEST_STATE {
            return Err(EventStateError::TooLarge(path.to_owned()));
        }
        Ok(Self(Stated::with_document(of, body)?))
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum EventStateError {
    #[error(transparent)]
    Unstated(#[from] Unstated),
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: Arc<std::io::Error> },
    #[error("{0} has more than {LARGEST_STATE} octets")]
    TooLarge(String),
}

/// As much as may be published.
const LARGEST_STATE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        for (text, millis) in
            [("20s", 20_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("1m 30s", 90_000)]
        {
            assert_eq!(parse_duration(text).map(|d| d.as_millis()), Ok(millis), "{text}");
        }
        let refused = parse_duration("20").map_err(|error| error.to_string());
        assert_eq!(refused, Err("20 has no unit: write 20s for seconds, or ms, m, h".into()));
        for text in ["", "s", "-5s", "5 parsecs", "2years", "18446744073709551615s", "99999999999999999999h"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_with_and_without_a_port() {
        for (text, ip, port) in [
            ("127.0.0.1", "127.0.0.1", None),
            ("127.0.0.1:5070", "127.0.0.1", Some(5070)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:5070", "::1", Some(5070)),
        ] {
            let ip = ip.parse().expect("an address");
            assert_eq!(text.parse(), Ok(LocalAddress { ip, port }), "{text}");
        }
        for text in ["", "localhost", "127.0.0.1:", "127.0.0.1:70000", "[::1"] {
            assert_eq!(text.parse::<LocalAddress>(), Err(LocalAddressError), "{text}");
        }
    }

    #[test]
    fn header_lines() {
        let line = "Subject:  lunch: now ".parse::<HeaderLine>();
        assert_eq!(line, Ok(HeaderLine { name: "Subject".into(), value: "lunch: now".into() }));
        assert!("X-Empty:".parse::<HeaderLine>().is_ok());
        assert_eq!("Subject".parse::<HeaderLine>(), Err(HeaderLineError::NoColon));
        assert_eq!("a b: c".parse::<HeaderLine>(), Err(HeaderLineError::Name("a b".into())));
        assert_eq!("X: a\r\nVia: b".parse::<HeaderLine>(), Err(HeaderLineError::Control));
        for ours in ["via: x", "V: x", "call-id: x", "Content-Length: 0"] {
            assert!(matches!(ours.parse::<HeaderLine>(), Err(HeaderLineError::Ours(_))), "{ours}");
        }
    }

    #[test]
    fn port_ranges_hold_a_pair() {
        assert_eq!("20000-20100".parse(), Ok(PortRange { first: 20000, last: 20100 }));
        assert!("1-3".parse::<PortRange>().is_ok());
        for text in ["20000-20000", "20001-20002", "5-4", "0-100", "65535-65535"] {
            assert_eq!(text.parse::<PortRange>(), Err(PortRangeError::NoPair), "{text}");
        }
        for text in ["", "20000", "20000-", "a-b", "1-70000"] {
            assert_eq!(text.parse::<PortRange>(), Err(PortRangeError::Syntax), "{text}");
        }
    }

    #[test]
    fn dtmf_scripts() {
        use DtmfStep::{Digit, Wait};
        let wait = |millis| Wait(Duration::from_millis(millis));
        for (text, steps) in [
            ("w2 123#", vec![wait(2000), Digit('1'), Digit('2'), Digit('3'), Digit('#')]),
            ("1w 2", vec![Digit('1'), wait(1000), Digit('2')]),
            ("w0.5 w500ms *d", vec![wait(500), wait(500), Digit('*'), Digit('D')]),
            ("", vec![]),
        ] {
            assert_eq!(text.parse(), Ok(DtmfScript(steps)), "{text}");
        }
        assert_eq!("12é".parse::<DtmfScript>(), Err(DtmfError::Digit('é')));
        assert_eq!("w2#".parse::<DtmfScript>(), Err(DtmfError::Wait("2#".into())));
        assert_eq!("w9e99s".parse::<DtmfScript>(), Err(DtmfError::Wait("9e99s".into())));
        assert_eq!("1".repeat(2000).parse::<DtmfScript>(), Err(DtmfError::TooLong));
    }
}
