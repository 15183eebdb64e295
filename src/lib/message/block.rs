//! Where words end: octets are looked at sixteen and more at a time, which of them are of a class as a bit each.

use std::num::NonZero;

use wide::{i8x16, u8x16};

/// A class of octets that words in a message consist of.
pub(super) trait Class {
    /// Whether an octet is of the class.
    fn has(byte: u8) -> bool;

    /// Sets all bits of each octet that is not of the class.
    fn others(octets: u8x16) -> u8x16;
}

/// Writes a class: its name, how it is told of one octet, and of sixteen.
macro_rules! class {
    ($(#[$doc:meta])* $name:ident, $has:expr, $others:expr) => {
        $(#[$doc])*
        pub(super) enum $name {}

        impl Class for $name {
            #[inline]
            fn has(byte: u8) -> bool {
                ($has)(byte)
            }

            #[inline(always)]
            fn others(octets: u8x16) -> u8x16 {
                ($others)(octets)
            }
        }
    };
}

class!(
    /// Letters, digits, "-", ".": host names, and most other words.
    Host,
    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'),
    |octets: u8x16| {
        let letters = range(octets | u8x16::splat(0x20), b'a', 25);
        let more = range(octets, b'-', b'9' - b'-');
        !(letters | more) | is(octets, b'/')
    }
);
class!(
    /// Visible in ASCII.
    Visible,
    |byte: u8| byte.is_ascii_graphic(),
    |octets| !range(octets, b'!', b'~' - b'!')
);
class!(
    /// Visible but ";", ",", quotes, angle brackets, "=": a parameter's name.
    Name,
    |byte: u8| Value::has(byte) && byte != b'=',
    // ";", "<", "=", ">" follow one another.
    |octets| Visible::others(octets) | is(octets, b',') | is(octets, b'"') | range(octets, b';', 3)
);
class!(
    /// The same with "=": a parameter's value.
    Value,
    |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'<' | b'>'),
    |octets: u8x16| {
        let angles = (octets | u8x16::splat(2)).simd_eq(u8x16::splat(b'>'));
        Visible::others(octets) | is(octets, b',') | is(octets, b'"') | is(octets, b';') | angles
    }
);
class!(
    /// Anything but quotes and backslashes.
    Quoted,
    |byte: u8| !matches!(byte, b'"' | b'\\'),
    |octets| is(octets, b'"') | is(octets, b'\\')
);
class!(
    /// Anything but "<" and ";".
    Front,
    |byte: u8| !matches!(byte, b'<' | b';'),
    |octets| is(octets, b'<') | is(octets, b';')
);
class!(
    /// Anything but commas, quotes and angle brackets.
    Plain,
    |byte: u8| !matches!(byte, b',' | b'"' | b'<' | b'>'),
    |octets: u8x16| {
        let angles = (octets | u8x16::splat(2)).simd_eq(u8x16::splat(b'>'));
        is(octets, b',') | is(octets, b'"') | angles
    }
);
class!(
    /// Anything but ">".
    Inside,
    |byte: u8| byte != b'>',
    |octets| is(octets, b'>')
);

#[inline(always)]
fn is(octets: u8x16, byte: u8) -> u8x16 {
    octets.simd_eq(u8x16::splat(byte))
}

/// From `first` to `more` octets above it, which are fewer than 128.
#[inline(always)]
fn range(octets: u8x16, first: u8, more: u8) -> u8x16 {
    // The last becomes the greatest signed number, and what is beyond it becomes less than the first.
    let moved = octets + u8x16::splat(127 - (first + more));
    moved.cast_signed().simd_gt(i8x16::splat(126 - more as i8)).cast_unsigned()
}

/// Where the octets of a class that begin at `at` end; the end of the text at the latest.
#[inline(always)]
pub(super) fn end_of<C: Class>(text: &[u8], at: usize) -> usize {
    // Most words are short, so the loop is kept away.
    match text.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(block) => match others::<C>(block) {
            0 => long_end_of::<C>(text, at + 16),
            others => at + others.trailing_zeros() as usize,
        },
        None => long_end_of::<C>(text, at),
    }
}

#[inline(never)]
fn long_end_of<C: Class>(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let others = others::<C>(block);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += 16;
    }
    // Fewer than sixteen are left; those before them, which are of the class or not asked for, are shifted out.
    if let Some(block) = text.last_chunk()
        && at < text.len()
    {
        let others = others::<C>(block) >> (at + 16 - text.len());
        return if others == 0 { text.len() } else { at + others.trailing_zeros() as usize };
    }
    while text.get(at).is_some_and(|&byte| C::has(byte)) {
        at += 1;
    }
    at
}

/// A bit for each octet that is not of the class, the first the lowest.
#[inline(always)]
fn others<C: Class>(block: &[u8; 16]) -> u32 {
    C::others(u8x16::new(*block)).to_bitmask()
}

/// Goes from one octet to the next that is none of a host's: the ends of words, and some octets within.
#[derive(Clone, Copy)]
pub(super) struct Walk<'m> {
    text: &'m [u8],
    /// Where the 32 octets that are looked at begin.
    base: usize,
    /// A bit for each such octet among them that is still to come, the first octet's the lowest.
    ends: u32,
}

impl<'m> Walk<'m> {
    /// From `start` on.
    #[inline(always)]
    pub(super) fn new(text: &'m [u8], start: usize) -> Self {
        Self { text, base: start.wrapping_sub(32), ends: 0 }
    }

    /// Where the next one is, and which; at the end of the text NUL.
    #[inline(always)]
    pub(super) fn next(&mut self) -> (usize, u8) {
        let ends = match NonZero::new(self.ends) {
            Some(ends) => ends,
            None => {
                let base = self.base.wrapping_add(32);
                let block = self.text.get(base..).and_then(|rest| rest.first_chunk());
                let ends = block.and_then(|block| NonZero::new(host_ends(block)));
                let (base, ends) = match ends {
                    Some(ends) => (base, ends),
                    None => far_host_ends(self.text, base),
                };
                self.base = base;
                ends
            }
        };
        let at = self.base + ends.trailing_zeros() as usize;
        self.ends = ends.get() & (ends.get() - 1);
        (at, self.text.get(at).copied().unwrap_or_default())
    }

    /// The same, but octets of some kinds are passed over.
    #[inline(always)]
    pub(super) fn next_but(&mut self, kinds: u8) -> (usize, u8) {
        loop {
            let (at, byte) = self.next();
            if KINDS[usize::from(byte)] & kinds == 0 {
                return (at, byte);
            }
        }
    }
}

/// What a name of a parameter may hold that no host holds.
pub(super) const IN_NAME: u8 = 1;
/// The same for its value.
pub(super) const IN_VALUE: u8 = 2;
/// The same for a parameter of a URI, without escapes.
pub(super) const IN_URI_PARAM: u8 = 4;
/// The same for the user part of a URI, without escapes and what may stand for something else.
pub(super) const IN_USER: u8 = 8;
/// The same for a quoted string, if nothing in it is escaped.
pub(super) const IN_QUOTES: u8 = 16;

#[inline(always)]
pub(super) fn is_in_user(byte: u8) -> bool {
    KINDS[usize::from(byte)] & IN_USER != 0
}

static KINDS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 1;
    while byte < 256 {
        let mut kinds = 0;
        if byte > 0x20 && byte < 0x7F {
            kinds = match byte as u8 {
                b';' | b',' | b'"' | b'<' | b'>' => 0,
                b'=' => IN_VALUE,
                b'?' | b'%' | b'@' => IN_NAME | IN_VALUE,
                _ => IN_NAME | IN_VALUE | IN_URI_PARAM,
            };
        }
        if matches!(byte as u8, b'_' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'&' | b'+' | b'$') {
            kinds |= IN_USER;
        }
        if byte < 0x80 && !matches!(byte as u8, b'"' | b'\\') {
            kinds |= IN_QUOTES;
        }
        table[byte] = kinds;
        byte += 1;
    }
    table
};

/// A bit for each octet that is none of a host's.
#[inline(always)]
fn host_ends(block: &[u8; 32]) -> u32 {
    match block.as_chunks().0 {
        [first, second] => others::<Host>(first) | others::<Host>(second) << 16,
        _ => 0,
    }
}

/// The first block from `base` on with such an octet in it, and those; NUL at the end of the text is one.
#[inline(never)]
fn far_host_ends(text: &[u8], mut base: usize) -> (usize, NonZero<u32>) {
    while let Some(block) = text.get(base..).and_then(|rest| rest.first_chunk()) {
        if let Some(ends) = NonZero::new(host_ends(block)) {
            return (base, ends);
        }
        base += 32;
    }
    let rest = text.get(base..).unwrap_or_default();
    let ends = match text.last_chunk() {
        // What is before the rest is shifted out.
        Some(last) if !rest.is_empty() => host_ends(last) >> (32 - rest.len()),
        _ => {
            let mut block = [0; 32];
            for (place, &byte) in block.iter_mut().zip(rest) {
                *place = byte;
            }
            host_ends(&block)
        }
    };
    // The rest is shorter than a block, and NUL follows.
    (base, NonZero::new(1 << (rest.len() % 32)).unwrap_or(NonZero::<u32>::MIN) | ends)
}

/// A bit for each of sixteen octets that is this one, the first the lowest.
#[inline(always)]
pub(super) fn equal(byte: u8, block: &[u8; 16]) -> u32 {
    is(u8x16::new(*block), byte).to_bitmask()
}

/// A bit for each of sixteen octets that is the same in both blocks, once the first block's are masked.
#[inline(always)]
pub(super) fn same(block: &[u8; 16], mask: u8, other: &[u8; 16]) -> u32 {
    (u8x16::new(*block) & u8x16::splat(mask)).simd_eq(u8x16::new(*other)).to_bitmask()
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

    fn check<C: Class>(expected: impl Fn(u8) -> bool) {
        for byte in 0..=255 {
            assert_eq!(C::has(byte), expected(byte), "{byte:#x}");
            for at in 0..16 {
                let mut block = [b'a'; 16];
                block[at] = byte;
                assert_eq!(others::<C>(&block) == 0, expected(byte), "{byte:#x} at {at}");
            }
        }
        let other = (0..=255).find(|&byte| !expected(byte)).unwrap();
        for before in 0..20 {
            for length in 0..40 {
                for after in 0..20 {
                    let end = before + length;
                    let mut text = vec![other; before];
                    text.resize(end, b'a');
                    text.resize(end + after, other);
                    assert_eq!(end_of::<C>(&text, before), end, "{before} {length} {after}");
                }
            }
        }
        assert_eq!(end_of::<C>(b"a", 1), 1);
        assert_eq!(end_of::<C>(b"", 0), 0);
    }

    #[test]
    fn words_end_where_another_octet_is() {
        let visible = |byte: u8| byte.is_ascii_graphic();
        check::<Host>(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        check::<Visible>(visible);
        check::<Name>(|byte| visible(byte) && !b";,\"<>=".contains(&byte));
        check::<Value>(|byte| visible(byte) && !b";,\"<>".contains(&byte));
        check::<Quoted>(|byte| !b"\"\\".contains(&byte));
        check::<Front>(|byte| !b"<;".contains(&byte));
        check::<Inside>(|byte| byte != b'>');
    }

    #[test]
    fn a_walk_passes_over_no_end() {
        for length in 0..80 {
            let text: Vec<u8> = b"ab;c.d-e_f:=g\xE9\0h".iter().copied().cycle().take(length).collect();
            for start in 0..=length {
                let mut walk = Walk::new(&text, start);
                for at in (start..length).filter(|&at| !Host::has(text[at])) {
                    assert_eq!(walk.next(), (at, text[at]), "{length} {start}");
                }
                assert_eq!(walk.next(), (length, 0), "{length} {start}");
            }
        }
    }
}
