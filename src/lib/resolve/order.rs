//! The order in which servers and addresses are tried: SRV records by priority and weight (RFC 2782), or always
//! the same for a stateless proxy (RFC 3263 §4.4); and the families of a host's addresses in turn.

use std::{cmp::Reverse, net::IpAddr};

use crate::util::id::Ids;

use super::Srv;

/// How SRV records of one priority are ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// By chance, as their weights say. The same seed draws the same order.
    Weighted { seed: u64 },
    /// Always the same: a stateless proxy must send what belongs together to one place.
    Fixed,
}

impl Order {
    /// Sorts `records` into the order in which to try them.
    pub fn sort(self, records: &[Srv]) -> Vec<Srv> {
        match self {
            Self::Weighted { seed } => weighted(records, &mut Ids::from_number(seed)),
            Self::Fixed => fixed(records),
        }
    }
}

/// RFC 2782: the lowest priority first; among equals each next record is drawn with a chance in proportion to
/// its weight.
///
/// The RFC leaves it open in which order the running sums are made, but for records of weight 0, which come first
/// so that they are hardly ever drawn. Here chance decides, so that nobody gains from the position in the answer:
/// not the first of several zeros, and not who happens to own the sum that belongs to nobody.
pub fn weighted(records: &[Srv], ids: &mut Ids) -> Vec<Srv> {
    let mut rest: Vec<&Srv> = records.iter().collect();
    shuffle(&mut rest, ids);
    rest.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut sorted = Vec::with_capacity(rest.len());
    while let Some(priority) = rest.first().map(|record| record.priority) {
        let same = rest.partition_point(|record| record.priority == priority);
        let (candidates, _) = rest.split_at(same);
        let sum: u64 = candidates.iter().map(|record| u64::from(record.weight)).sum();
        let drawn = ids.below(sum + 1);
        let mut running = 0;
        let position = candidates.iter().position(|record| {
            running += u64::from(record.weight);
            running >= drawn
        });
        // The last running sum is the sum, so there always is one.
        sorted.push(rest.remove(position.unwrap_or(0)).clone());
    }
    sorted
}

/// The lowest priority first, among equals the heaviest, and what is still equal by the alphabet.
pub fn fixed(records: &[Srv]) -> Vec<Srv> {
    let mut sorted = records.to_vec();
    sorted.sort_by(|a, b| {
        let key = |record: &Srv| (record.priority, Reverse(record.weight));
        key(a).cmp(&key(b)).then_with(|| (&a.target, a.port).cmp(&(&b.target, b.port)))
    });
    sorted
}

/// The addresses of one host with the families in turn, beginning with the family of the first (RFC 8305 §4).
///
/// Whoever answered has put the better family first, by the routes of this machine (RFC 6724, as RFC 7984 wants
/// it). If that family turns out not to work, one timeout leads to the other family and not, address by address,
/// to the end of the first. Within a family the order stays: it is how a DNS server spreads the load.
pub fn families(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let of = |wanted: bool| addresses.iter().copied().filter(move |ip| ip.is_ipv4() == wanted);
    let (mut better, mut other) = (of(first.is_ipv4()), of(!first.is_ipv4()));
    let mut sorted = Vec::with_capacity(addresses.len());
    loop {
        match (better.next(), other.next()) {
            (None, None) => return sorted,
            (a, b) => sorted.extend(a.into_iter().chain(b)),
        }
    }
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], ids: &mut Ids) {
    for last in (1..items.len()).rev() {
        let other = ids.below(last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.into() }
    }

    /// How often each target comes first in 100,000 draws, in percent.
    fn shares(records: &[Srv]) -> HashMap<String, f64> {
        let mut ids = Ids::from_number(2782);
        let mut shares = HashMap::new();
        for _ in 0..100_000 {
            let first = weighted(records, &mut ids).swap_remove(0);
            *shares.entry(first.target.to_string()).or_insert(0.0) += 0.001;
        }
        shares
    }

    #[test]
    fn draws_keep_to_the_weights_within_one_percent() {
        let records = [srv(10, 70, "a"), srv(10, 20, "b"), srv(10, 10, "c"), srv(20, 100, "d")];
        for rotation in 0..records.len() {
            let mut records = records.clone();
            records.rotate_left(rotation);
            let shares = shares(&records);
            for (target, weight) in [("a", 70.0), ("b", 20.0), ("c", 10.0)] {
                assert!((shares[target] - weight).abs() < 1.0, "{target} {shares:?}");
            }
            assert!(!shares.contains_key("d"));
        }
    }

    /// The second place, too: of b and c, once a is gone, b has two thirds.
    #[test]
    fn the_rest_is_drawn_by_its_own_weights() {
        let records = [srv(10, 70, "a"), srv(10, 20, "b"), srv(10, 10, "c")];
        let mut ids = Ids::from_number(1);
        let (mut b, mut all) = (0.0, 0.0);
        for _ in 0..100_000 {
            let order = weighted(&records, &mut ids);
            if &*order[0].target == "a" {
                all += 1.0;
                b += f64::from(u8::from(&*order[1].target == "b"));
            }
        }
        assert!((b / all * 100.0 - 66.67).abs() < 1.0, "{b} of {all}");
    }

    #[test]
    fn zeros_are_drawn_now_and_then_and_evenly_among_themselves() {
        let mixed = shares(&[srv(10, 0, "a"), srv(10, 0, "b"), srv(10, 100, "c")]);
        assert!(mixed["c"] > 98.0 && mixed["c"] < 100.0, "{mixed:?}");
        assert!(mixed["a"] > 0.2 && mixed["b"] > 0.2, "{mixed:?}");
        let zeros = shares(&[srv(10, 0, "a"), srv(10, 0, "b")]);
        assert!((zeros["a"] - 50.0).abs() < 1.0, "{zeros:?}");
        let equal = shares(&[srv(10, 1, "a"), srv(10, 1, "b")]);
        assert!((equal["a"] - 50.0).abs() < 1.0, "{equal:?}");
    }

    #[test]
    fn every_record_is_there_once_in_the_order_of_priorities() {
        let records: Vec<_> = (0..40).map(|n| srv(n % 4, n % 3 * 1000, &format!("h{n}"))).collect();
        for seed in 0..50 {
            let order = Order::Weighted { seed };
            let sorted = order.sort(&records);
            assert!(sorted.is_sorted_by_key(|record| record.priority));
            assert_eq!(fixed(&sorted), fixed(&records));
            assert_eq!(sorted, order.sort(&records), "the seed decides");
        }
        let heavy = [srv(1, u16::MAX, "a"), srv(1, u16::MAX, "b")];
        assert_eq!(weighted(&heavy, &mut Ids::from_number(0)).len(), 2);
        assert!(weighted(&[], &mut Ids::from_number(0)).is_empty());
    }

    /// RFC 3263 §4.4.
    #[test]
    fn a_stateless_proxy_always_takes_the_same_order() {
        let mut records =
            vec![srv(10, 1, "c"), srv(10, 1, "b"), srv(10, 5, "d"), srv(0, 0, "e"), srv(10, 1, "a")];
        for _ in 0..records.len() {
            records.rotate_left(1);
            let order: Vec<_> =
                Order::Fixed.sort(&records).iter().map(|record| record.target.clone()).collect();
            assert_eq!(order.concat(), "edabc");
        }
    }

    #[test]
    fn families_take_turns() {
        let table = [
            ("", ""),
            ("::1", "::1"),
            ("1.1.1.1 2.2.2.2", "1.1.1.1 2.2.2.2"),
            ("::1 ::2 1.1.1.1", "::1 1.1.1.1 ::2"),
            ("1.1.1.1 ::1 ::2 ::3", "1.1.1.1 ::1 ::2 ::3"),
            ("1.1.1.1 2.2.2.2 3.3.3.3 ::1", "1.1.1.1 ::1 2.2.2.2 3.3.3.3"),
        ];
        for (given, expected) in table {
            let given: Vec<IpAddr> = given.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
            let sorted: Vec<_> = families(&given).iter().map(IpAddr::to_string).collect();
            assert_eq!(sorted.join(" "), expected);
        }
    }
}
