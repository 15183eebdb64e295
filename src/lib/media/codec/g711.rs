//! G.711: PCMU and PCMA (RFC 3551 §4.5.14), one octet per sample at 8000 Hz.
//!
//! Both laws are computed from their definition: a sign, a segment, a step within it. Decoding goes through tables that
//! are built at compile time.

/// One µ-law octet for a sample.
pub const fn to_ulaw(sample: i16) -> u8 {
    // One's complement, so that −1 mirrors 0; the bias makes every segment a power of two.
    let (sign, magnitude) = if sample < 0 { (0x80, !sample as i32) } else { (0, sample as i32) };
    let biased = if magnitude > ULAW_CLIP { ULAW_CLIP + ULAW_BIAS } else { magnitude + ULAW_BIAS };
    let segment = 24 - (biased as u32).leading_zeros(); // bias 0x84 keeps bit 7 or above set: 0…7
    let step = (biased >> (segment + 3)) & 0x0f;
    !(sign | (segment as u8) << 4 | step as u8)
}

/// One A-law octet for a sample, even bits inverted as on the wire.
pub const fn to_alaw(sample: i16) -> u8 {
    // One's complement here, too; 12 bits of magnitude.
    let (sign, magnitude) = if sample < 0 { (0, !sample >> 3) } else { (0x80, sample >> 3) };
    let magnitude = magnitude as u16;
    let octet = if magnitude < 32 {
        magnitude >> 1
    } else {
        let segment = 11 - magnitude.leading_zeros(); // 32… is segment 1
        (segment as u16) << 4 | (magnitude >> segment) & 0x0f
    };
    (sign | octet as u8) ^ 0x55
}

/// The sample a µ-law octet stands for.
pub const fn from_ulaw(octet: u8) -> i16 {
    ULAW[octet as usize]
}

/// The sample an A-law octet stands for.
pub const fn from_alaw(octet: u8) -> i16 {
    ALAW[octet as usize]
}

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

static ULAW: [i16; 256] = table(true);
static ALAW: [i16; 256] = table(false);

const fn table(ulaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = if ulaw { expand_ulaw(octet as u8) } else { expand_alaw(octet as u8) };
        octet += 1;
    }
    table
}

const fn expand_ulaw(octet: u8) -> i16 {
    let octet = !octet;
    let step = (octet & 0x0f) as i32;
    let segment = (octet >> 4 & 7) as i32;
    let magnitude = (((step << 3) + ULAW_BIAS) << segment) - ULAW_BIAS;
    (if octet & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

const fn expand_alaw(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let step = (octet & 0x0f) as i32;
    let segment = (octet >> 4 & 7) as i32;
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    (if octet & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_decodes_as_tabulated() {
        let text = include_str!("../../../../tests/data/media/g711-decode.tsv");
        let mut rows = 0;
        for line in text.lines().skip(1) {
            let row: Vec<i32> = line.split('\t').map(|cell| cell.parse().unwrap()).collect();
            assert_eq!(i32::from(from_ulaw(row[0] as u8)), row[1], "ulaw {}", row[0]);
            assert_eq!(i32::from(from_alaw(row[0] as u8)), row[2], "alaw {}", row[0]);
            rows += 1;
        }
        assert_eq!(rows, 256);
    }

    #[test]
    fn every_octet_survives_the_round_trip() {
        for octet in 0..=255u8 {
            assert_eq!(to_alaw(from_alaw(octet)), octet);
            // µ-law has two zeroes; the negative one is not produced.
            let want = if octet == 0x7f { 0xff } else { octet };
            assert_eq!(to_ulaw(from_ulaw(octet)), want);
        }
    }

    /// Every sample is coded near its value: where two segments meet, a step of the upper one is twice as wide, so
    /// the cut is not half way and the error may be twice the least possible.
    #[test]
    fn every_sample_is_coded_as_near_as_possible() {
        for (encode, decode) in [(to_ulaw as fn(i16) -> u8, from_ulaw as fn(u8) -> i16), (to_alaw, from_alaw)]
        {
            let mut values: Vec<i32> = (0..=255).map(|octet| i32::from(decode(octet))).collect();
            values.sort_unstable();
            for sample in i16::MIN..=i16::MAX {
                let sample_ = i32::from(sample);
                let after = values.partition_point(|&value| value < sample_);
                let best = [after.checked_sub(1), Some(after)]
                    .into_iter()
                    .flatten()
                    .filter_map(|at| values.get(at))
                    .map(|value| (value - sample_).abs())
                    .min()
                    .unwrap();
                let got = (i32::from(decode(encode(sample))) - sample_).abs();
                assert!(got <= 2 * best + 8, "{sample}: off by {got}, best {best}");
            }
        }
    }
}
