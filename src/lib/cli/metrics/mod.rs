//! `--metrics`: a page for Prometheus, and where it is.
//!
//! What is on it is for each program to say; here is the form ([`text`]) and what all have ([`process`]).

pub mod process;
pub mod text;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use super::{Event, Failure, Out, place};
use crate::endpoint::{StartError, page::Page};

/// `--metrics [ADDR:]PORT`: with a port alone nobody but this machine can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsAddress(pub SocketAddr);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a port is wanted, or an IP address and a port, such as 9100 or 192.0.2.1:9100")]
pub struct MetricsAddressError;

impl FromStr for MetricsAddress {
    type Err = MetricsAddressError;

    fn from_str(text: &str) -> Result<Self, MetricsAddressError> {
        let port = || Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), text.parse().ok()?));
        text.parse().ok().or_else(port).map(Self).ok_or(MetricsAddressError)
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Listens for those who want the page, and says where.
pub fn open(address: MetricsAddress, out: &Out) -> Result<Page, Failure> {
    let page = Page::bind(address.0, PATH, text::CONTENT_TYPE)
        .map_err(|error| place::start_failure(&StartError::Bind(error)))?;
    out.event(Event::Listening { protocol: "HTTP".into(), local: page.local().to_string() });
    Ok(page)
}

const PATH: &str = "/metrics";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_address_it_is_for_this_machine() {
        let table = [
            ("9100", Some("127.0.0.1:9100")),
            ("0", Some("127.0.0.1:0")),
            ("0.0.0.0:9100", Some("0.0.0.0:9100")),
            ("[::1]:9100", Some("[::1]:9100")),
            ("127.0.0.1", None),
            ("host:9100", None),
            ("99999", None),
            ("", None),
        ];
        for (text, expected) in table {
            let read = text.parse::<MetricsAddress>().ok().map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
