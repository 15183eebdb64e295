//! qvalue: a preference from 0 to 1 with up to three digits after the point (RFC 3261 §25.1).

/// Thousandths, 0 to 1000.
pub(super) fn thousandths(text: &str) -> Option<u16> {
    let (&first, rest) = text.as_bytes().split_first()?;
    let fraction = match rest {
        [] => rest,
        [b'.', fraction @ ..] if fraction.len() <= 3 => fraction,
        _ => return None,
    };
    let mut q = match first {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (&digit, weight) in fraction.iter().zip([100, 10, 1]) {
        q += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * weight;
    }
    (q <= 1000).then_some(q)
}
