//! The hosts file: names that the owner of this machine has given addresses to (hosts(5)).

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::plain;

/// A hosts file that was read.
#[derive(Clone, Default, Debug)]
pub struct Hosts(HashMap<Arc<str>, Vec<IpAddr>>);

impl Hosts {
    /// Reads the text of a hosts file: an address and its names in each line, `#` begins a comment. Lines that make
    /// no sense are passed over, and so is what comes after very many.
    pub fn parse(text: &str) -> Self {
        let mut hosts: HashMap<Arc<str>, Vec<IpAddr>> = HashMap::new();
        for line in text.lines().take(MAX_LINES) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            // An IPv6 address may have its link after a percent sign, which a SIP target cannot say.
            let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words.take(MAX_NAMES) {
                let addresses = hosts.entry(plain(name)).or_default();
                if addresses.len() < MAX_ADDRESSES && !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
        }
        Self(hosts)
    }

    /// The addresses of `name`, in the order of the file.
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

const MAX_LINES: usize = 1 << 20;
const MAX_NAMES: usize = 64;
const MAX_ADDRESSES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_is_read_as_others_read_it() {
        let hosts = Hosts::parse(
            "# a comment\n127.0.0.1\tlocalhost  Localhost.Example.\n::1 localhost # and more\n\n\
             192.0.2.1 pbx\n192.0.2.2 pbx pbx2\n192.0.2.1 pbx\nnonsense here\n300.1.1.1 x\n192.0.2.3\n\
             fe80::1%lo0 link\n192.0.2.4#pbx2\r\n192.0.2.5 last\r\n",
        );
        let of = |name: &str| -> Vec<String> {
            hosts.addresses(name).unwrap_or_default().iter().map(IpAddr::to_string).collect()
        };
        assert_eq!(of("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(of("localhost.example"), ["127.0.0.1"]);
        assert_eq!(of("pbx"), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(of("pbx2"), ["192.0.2.2"]);
        assert_eq!(of("last"), ["192.0.2.5"]);
        for name in ["here", "x", "link", "", "more"] {
            assert!(hosts.addresses(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_hostile_file_is_bounded() {
        let names = "n ".repeat(10_000);
        let lines: String = (0..1_000).map(|n| format!("10.0.{}.{} {names}\n", n / 256, n % 256)).collect();
        assert_eq!(Hosts::parse(&lines).addresses("n").unwrap().len(), MAX_ADDRESSES);
    }
}
