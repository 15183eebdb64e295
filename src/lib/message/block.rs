//! Sixteen octets at a time: which of them are of a class, as a bit each.
//!

use wide::u8x16;

/// A class of octets that words in a message consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Letters, digits, "-", ".", "_": host names, and most other words.
    Host,
    /// Visible in ASCII.
    Visible,
    /// Visible but ";", ",", quotes, angle brackets, "=": a parameter's name.
    Name,
    /// The same with "=": a parameter's value.
    Value,
    /// Anything but quotes and backslashes.
    Quoted,
    /// Anything but "<" and ";".
    Front,
    /// Anything but ">".
    Inside,
    /// Visible but ";", "=", "?", ",", "%", "@", quotes, angle brackets: a parameter of a URI without escapes.
    Uri,
}

impl Class {
    /// Whether an octet is of the class.
    #[inline]
    const fn has(self, byte: u8) -> bool {
        let visible = (byte > b' ') & (byte < 0x7F);
        match self {
            Self::Host => {
                let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
                letter | ((byte.wrapping_sub(b'-') < 13) & (byte != b'/')) | (byte == b'_')
            }
            Self::Visible => visible,
            // ";", "<", "=", ">" follow one another.
            Self::Name => visible & (byte != b',') & (byte != b'"') & (byte.wrapping_sub(b';') > 3),
            Self::Value => {
                visible & (byte != b',') & (byte != b'"') & (byte != b';') & (byte | 2 != b'>')
            }
            Self::Quoted => (byte != b'"') & (byte != b'\\'),
            Self::Front => (byte != b'<') & (byte != b';'),
            Self::Inside => byte != b'>',
            // ";" to "@" follow one another.
            Self::Uri => {
                let rare = (byte != b',') & (byte != b'"') & (byte != b'%');
                visible & rare & (byte.wrapping_sub(b';') > 5)
            }
        }
    }
}

/// Where the octets of a class that begin at `at` end; the end of the text at the latest.
#[inline(always)]
pub(super) fn end_of(class: Class, text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let others = others(class, block);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += 16;
    }
    // Fewer than sixteen are left; those before them, which are of the class or not asked for, are shifted out.
    if let Some(block) = text.last_chunk::<16>()
        && at < text.len()
    {
        let others = others(class, block) >> (at + 16 - text.len());
        return if others == 0 { text.len() } else { at + others.trailing_zeros() as usize };
    }
    while text.get(at).is_some_and(|&byte| class.has(byte)) {
        at += 1;
    }
    at
}

/// A bit for each octet that is not of the class, the first the lowest.
#[inline(always)]
fn others(class: Class, block: &[u8; 16]) -> u32 {
    let octets = u8x16::new(*block);
    let is = |byte: u8| octets.simd_eq(u8x16::splat(byte));
    // Up to `more` octets above the first.
    let range = |octets: u8x16, first: u8, more: u8| {
        let above = octets - u8x16::splat(first);
        above.min(u8x16::splat(more)).simd_eq(above)
    };
    let visible = || range(octets, b'!', b'~' - b'!');
    let others = match class {
        Class::Host => {
            let letters = range(octets | u8x16::splat(0x20), b'a', 25);
            let more = range(octets, b'-', b'9' - b'-') | is(b'_');
            !(letters | more) | is(b'/')
        }
        Class::Visible => !visible(),
        // ";", "<", "=", ">" follow one another.
        Class::Name => !visible() | is(b',') | is(b'"') | range(octets, b';', 3),
        Class::Value => {
            let angles = (octets | u8x16::splat(2)).simd_eq(u8x16::splat(b'>'));
            !visible() | is(b',') | is(b'"') | is(b';') | angles
        }
        Class::Quoted => is(b'"') | is(b'\\'),
        Class::Front => is(b'<') | is(b';'),
        Class::Inside => is(b'>'),
        Class::Uri => !visible() | is(b',') | is(b'"') | is(b'%') | range(octets, b';', 5),
    };
    others.to_bitmask()
}

/// Where the first of an octet is among sixteen.
#[inline(always)]
pub(super) fn first(byte: u8, block: &[u8; 16]) -> Option<usize> {
    let found = u8x16::new(*block).simd_eq(u8x16::splat(byte)).to_bitmask();
    (found != 0).then(|| found.trailing_zeros() as usize % 16)
}

/// Where lines may end: the octets below 14 in order, which are CR, LF, HTAB and what is rare.
#[derive(Default)]
pub(super) struct LineEnds {
    /// Where the block of 64 octets that is looked at ends.
    end: usize,
    /// A bit for each that is still to come in it, the first octet's the lowest.
    low: u64,
}

impl LineEnds {
    /// The next in this block.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.low == 0 {
            return None;
        }
        let at = self.end - 64 + self.low.trailing_zeros() as usize;
        self.low &= self.low.wrapping_sub(1);
        Some(at)
    }

    /// Passes over the LF behind a CR, if it is in the same block.
    #[inline(always)]
    pub(super) fn pass_feed(&mut self) {
        self.low &= self.low.wrapping_sub(1);
    }

    /// Looks at the next block; `None` at the end.
    #[inline(always)]
    pub(super) fn look(&mut self, head: &[u8]) -> Option<()> {
        let rest = head.get(self.end..)?;
        self.low = match rest.first_chunk::<64>() {
            Some(block) => low(block),
            None if rest.is_empty() => return None,
            None => last_low(rest),
        };
        self.end += 64;
        Some(())
    }
}

/// A bit for each octet below 14, the first the lowest.
#[inline(always)]
fn low(block: &[u8; 64]) -> u64 {
    let (sixteens, _) = block.as_chunks::<16>();
    let mut bits = 0;
    for (at, sixteen) in sixteens.iter().enumerate() {
        let octets = u8x16::new(*sixteen);
        bits |= u64::from(octets.min(u8x16::splat(13)).simd_eq(octets).to_bitmask()) << (16 * at);
    }
    bits
}

/// The same for fewer octets.
#[cold]
fn last_low(rest: &[u8]) -> u64 {
    let mut block = [b' '; 64];
    for (place, &byte) in block.iter_mut().zip(rest) {
        *place = byte;
    }
    low(&block)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [Class; 8] = [
        Class::Host,
        Class::Visible,
        Class::Name,
        Class::Value,
        Class::Quoted,
        Class::Front,
        Class::Inside,
        Class::Uri,
    ];

    fn expected(class: Class, byte: u8) -> bool {
        match class {
            Class::Host => byte.is_ascii_alphanumeric() || b"-._".contains(&byte),
            Class::Visible => byte.is_ascii_graphic(),
            Class::Name => byte.is_ascii_graphic() && !b";,\"<>=".contains(&byte),
            Class::Value => byte.is_ascii_graphic() && !b";,\"<>".contains(&byte),
            Class::Quoted => !b"\"\\".contains(&byte),
            Class::Front => !b"<;".contains(&byte),
            Class::Inside => byte != b'>',
            Class::Uri => byte.is_ascii_graphic() && !b";=?,<>\"%@".contains(&byte),
        }
    }

    #[test]
    fn every_octet_is_in_its_classes() {
        for class in CLASSES {
            for byte in 0..=255 {
                for at in 0..16 {
                    let mut block = [b'a'; 16];
                    block[at] = byte;
                    assert_eq!(others(class, &block) == 0, expected(class, byte), "{class:?} {byte:#x} at {at}");
                }
            }
        }
    }

    #[test]
    fn words_end_wherever_they_lie() {
        for class in CLASSES {
            for before in 0..20 {
                for length in 0..40 {
                    for after in 0..20 {
                        let end = before + length;
                        let other = (0..=255).find(|&byte| !expected(class, byte)).unwrap();
                        let mut text = vec![other; before];
                        text.resize(end, b'a');
                        text.resize(end + after, other);
                        assert_eq!(end_of(class, &text, before), end, "{class:?} {before} {length} {after}");
                    }
                }
            }
            assert_eq!(end_of(class, b"a", 1), 1);
            assert_eq!(end_of(class, b"", 0), 0);
        }
    }
}
