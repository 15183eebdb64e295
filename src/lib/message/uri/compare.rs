//! When two URIs mean the same, and one way to write them all: RFC 3261 §19.1.4 with RFC 5954 §4.2 for
//! sip and sips, RFC 3966 §4 for tel, text with its escapes undone (RFC 3986 §6.2.2) for other schemes.
//!
//! §19.1.4 is no equivalence relation: a parameter that only one side has is passed over unless it is
//! user, ttl, method, maddr or transport, so `sip:a@b;x=1` and `sip:a@b;x=2` both equal `sip:a@b`, but not
//! each other. A normal form cannot follow that; it keeps every parameter. So two URIs with the same
//! normal form are equivalent, and two equivalent ones have the same normal form if they have
//! parameters of the same names. For tel and other schemes it is "if and only if".
//!
//! Header fields are compared as octets with their escapes undone, not by the grammar of each field.

use std::{fmt::Write, net::IpAddr};

use super::{Host, Scheme, Uri, UriBuf};
use crate::message::{
    Params,
    escape::{self, Octet, eq_unescaped, octets},
};

impl Uri<'_> {
    /// Whether both name the same resource by RFC 3261 §19.1.4 or, for tel, by RFC 3966 §4. A port that is
    /// left out differs from one that is written, even if it is the default. Other schemes are compared as
    /// text with escapes undone.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if !self.scheme_name().eq_ignore_ascii_case(other.scheme_name()) {
            return false;
        }
        if self.is_crowded() || other.is_crowded() {
            return self.normal_text() == other.normal_text();
        }
        match self.scheme() {
            Scheme::Tel => {
                same_digits(self.user().unwrap_or_default(), other.user().unwrap_or_default())
                    && tel_params_cover(self.params(), other.params())
                    && tel_params_cover(other.params(), self.params())
            }
            Scheme::Other => eq_unescaped(self.opaque().as_bytes(), other.opaque().as_bytes(), false),
            Scheme::Sip | Scheme::Sips => {
                same(self.user(), other.user())
                    && same(self.password(), other.password())
                    && self.host() == other.host()
                    && self.port() == other.port()
                    && params_cover(self.params(), other.params())
                    && params_cover(other.params(), self.params())
                    && headers_cover(self, other)
                    && headers_cover(other, self)
            }
        }
    }

    /// The URI in the one way in which its equals are written too: scheme and host in lower case, an address
    /// as RFC 5952 has it, no escapes but the needed ones, parameters and header fields sorted, parameters in
    /// lower case, the visual separators of a tel URI left out. It can be a key where comparing each with
    /// each would be slow; the module's documentation says what it cannot be.
    ///
    /// A URI that would grow beyond 65535 octets is given back as it is.
    pub fn normal(&self) -> UriBuf {
        UriBuf::parse(&self.normal_text()).unwrap_or_else(|_| (*self).into())
    }

    fn normal_text(&self) -> String {
        let mut text = self.scheme_name().to_ascii_lowercase();
        text.push(':');
        match self.scheme() {
            Scheme::Other => push_octets(&mut text, self.opaque(), false),
            Scheme::Tel => {
                text.extend(digits(self.user().unwrap_or_default()));
                push_sorted(
                    &mut text,
                    self.params().iter().map(|(name, value)| tel_param(name, value)),
                    ';',
                    ';',
                );
            }
            Scheme::Sip | Scheme::Sips => {
                if let Some(user) = self.user() {
                    push_octets(&mut text, user, false);
                    if let Some(password) = self.password() {
                        text.push(':');
                        push_octets(&mut text, password, false);
                    }
                    text.push('@');
                }
                push_host(&mut text, self.host());
                if let Some(port) = self.port() {
                    let _ = write!(text, ":{port}");
                }
                push_sorted(
                    &mut text,
                    self.params().iter().map(|(name, value)| sip_param(name, value)),
                    ';',
                    ';',
                );
                push_sorted(&mut text, self.headers().map(|(name, value)| header(name, value)), '?', '&');
            }
        }
        text
    }

    fn is_crowded(&self) -> bool {
        self.params().iter().nth(CROWD).is_some() || self.headers().nth(CROWD).is_some()
    }
}

/// More than anybody writes by hand; few enough to compare each with each.
const CROWD: usize = 64;

/// Parameters that decide even if only one side has them. That transport is one of them is said by the
/// list of defaults and by an example of §19.1.4.
const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

fn same(left: Option<&str>, right: Option<&str>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => eq_unescaped(left.as_bytes(), right.as_bytes(), false),
        (left, right) => left.is_none() && right.is_none(),
    }
}

fn same_name(left: &str, right: &str) -> bool {
    eq_unescaped(left.as_bytes(), right.as_bytes(), true)
}

/// Each parameter of `left` is equal in `right`, or there missing and of no consequence.
fn params_cover(left: Params<'_>, right: Params<'_>) -> bool {
    left.iter().all(|(name, value)| {
        let mut there = right.iter().filter(|(other, _)| same_name(name, other)).peekable();
        if there.peek().is_none() {
            return !DECISIVE.iter().any(|decisive| same_name(decisive, name));
        }
        there.any(|(_, other)| match (value, other) {
            (Some(value), Some(other)) => {
                eq_unescaped(value.as_bytes(), other.as_bytes(), true)
                    || same_name(name, MADDR)
                        && address(value).is_some_and(|host| address(other) == Some(host))
            }
            (value, other) => value.is_none() && other.is_none(),
        })
    })
}

const MADDR: &str = "maddr";

/// The address that a maddr parameter holds.
fn address(text: &str) -> Option<IpAddr> {
    Host::parse(std::str::from_utf8(&escape::unescape(text)).ok()?)?.ip()
}

/// Each header field of `left` is in `right` with the same value.
fn headers_cover(left: &Uri<'_>, right: &Uri<'_>) -> bool {
    left.headers().all(|(name, value)| {
        right.headers().any(|(other, there)| same_name(name, other) && same(Some(value), Some(there)))
    })
}

/// A number without its visual separators, in lower case (RFC 3966 §5.1.1).
fn digits(number: &str) -> impl Iterator<Item = char> + '_ {
    number
        .chars()
        .filter(|&digit| !matches!(digit, '-' | '.' | '(' | ')'))
        .map(|digit| digit.to_ascii_lowercase())
}

fn same_digits(left: &str, right: &str) -> bool {
    digits(left).eq(digits(right))
}

/// Each parameter of `left` is in `right` with the same value.
fn tel_params_cover(left: Params<'_>, right: Params<'_>) -> bool {
    left.iter().all(|(name, value)| {
        right.iter().any(|(other, there)| {
            same_name(name, other)
                && match (value, there) {
                    (Some(value), Some(there)) if is_number(name, value) && is_number(other, there) => {
                        same_digits(value, there)
                    }
                    (Some(value), Some(there)) => same_name(value, there),
                    (value, there) => value.is_none() && there.is_none(),
                }
        })
    })
}

/// Whether the value of a tel parameter is a number, in which separators do not count.
fn is_number(name: &str, value: &str) -> bool {
    same_name(name, "ext") || same_name(name, "phone-context") && value.starts_with('+')
}

fn tel_param(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) if is_number(name, value) => {
            let mut text = lower(name);
            text.push('=');
            text.extend(digits(value));
            text
        }
        value => param(name, value),
    }
}

fn sip_param(name: &str, value: Option<&str>) -> String {
    match value.and_then(address) {
        Some(address) if same_name(name, MADDR) => format!("{MADDR}={}", Host::from(address)),
        _ => param(name, value),
    }
}

fn param(name: &str, value: Option<&str>) -> String {
    let mut text = lower(name);
    if let Some(value) = value {
        text.push('=');
        push_octets(&mut text, value, true);
    }
    text
}

fn header(name: &str, value: &str) -> String {
    let mut text = lower(name);
    text.push('=');
    push_octets(&mut text, value, false);
    text
}

fn lower(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    push_octets(&mut text, name, true);
    text
}

fn push_host(text: &mut String, host: Host<'_>) {
    match host {
        Host::Name(name) => text.extend(name.chars().map(|letter| letter.to_ascii_lowercase())),
        address => _ = write!(text, "{address}"),
    }
}

/// Sets, not lists: the order does not count, nor does it how often one is written.
fn push_sorted(text: &mut String, parts: impl Iterator<Item = String>, first: char, then: char) {
    let mut parts: Vec<String> = parts.collect();
    parts.sort_unstable();
    parts.dedup();
    for (at, part) in parts.iter().enumerate() {
        text.push(if at == 0 { first } else { then });
        text.push_str(part);
    }
}

/// Escapes what must be escaped, and a reserved character that was; nothing else.
fn push_octets(text: &mut String, from: &str, lower: bool) {
    for Octet { value, escaped } in octets(from.as_bytes()) {
        let value = if lower { value.to_ascii_lowercase() } else { value };
        let must = !value.is_ascii_graphic() || matches!(value, b'"' | b'<' | b'>' | b'%');
        if must || escaped && escape::is_reserved(value) {
            let _ = write!(text, "%{value:02X}");
        } else {
            text.push(char::from(value));
        }
    }
}
