//! Canonical Huffman codes (RFC 1951 §3.2.2), and what their symbols stand for (§3.2.5).

use std::io::{Read, Write};

use super::bits::{BitReader, BitWriter};
use super::{DeflateError, unfit};

/// Literals, the end of a block, and lengths.
pub(super) const LITERALS: usize = 286;
/// Distances.
pub(super) const DISTANCES: usize = 30;
/// Lengths of codes in a block's header.
pub(super) const CODE_LENGTHS: usize = 19;
/// The symbol that ends a block.
pub(super) const END: usize = 256;
/// The order in which a header gives the lengths of its own code.
pub(super) const CODE_LENGTH_ORDER: [usize; CODE_LENGTHS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const LONGEST: usize = 15;
const FAST_BITS: u32 = 10;

/// A length or distance as symbol and extra bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) symbol: usize,
    pub(super) extra: u32,
    pub(super) extra_bits: u32,
}

/// The symbol of a length of 3 to 258.
pub(super) fn length(length: u32) -> Coded {
    match length - 3 {
        255 => Coded { symbol: 285, extra: 0, extra_bits: 0 },
        short @ 0..8 => Coded { symbol: 257 + short as usize, extra: 0, extra_bits: 0 },
        long => {
            let coded = grouped(long, 2);
            Coded { symbol: coded.symbol + 257, ..coded }
        }
    }
}

/// The symbol of a distance of 1 to 32768.
pub(super) fn distance(distance: u32) -> Coded {
    match distance - 1 {
        short @ 0..4 => Coded { symbol: short as usize, extra: 0, extra_bits: 0 },
        long => grouped(long, 1),
    }
}

/// Both tables have `2^split` symbols for each power of two.
fn grouped(value: u32, split: u32) -> Coded {
    let extra_bits = value.ilog2() - split;
    let symbol = ((extra_bits << split) + (value >> extra_bits)) as usize;
    Coded { symbol, extra: value & ((1 << extra_bits) - 1), extra_bits }
}

/// First value and extra bits of the symbol of a length, from 0 for 257.
fn length_base(symbol: u32) -> (u32, u32) {
    match symbol {
        28 => (258, 0),
        _ => group_base(symbol, 2, 3),
    }
}

fn group_base(symbol: u32, split: u32, first: u32) -> (u32, u32) {
    match symbol >> split {
        0 => (symbol + first, 0),
        group => ((((1 << split) + (symbol & ((1 << split) - 1))) << (group - 1)) + first, group - 1),
    }
}

/// A code for reading.
pub(super) struct Decoder {
    /// For the next ten bits: symbol and length of the code they begin with; length 0 when it is longer.
    fast: Vec<(u16, u8)>,
    counts: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Decoder {
    /// The code with these lengths. Refused when it has more codes than there is room for.
    pub(super) fn new(lengths: &[u8]) -> Result<Self, DeflateError> {
        let counts = counts(lengths);
        let mut left = 1i32;
        for count in &counts[1..] {
            left = (left << 1) - i32::from(*count);
            if left < 0 {
                return unfit("a code with too many symbols");
            }
        }
        let mut starts = [0usize; LONGEST + 2];
        for length in 1..=LONGEST {
            starts[length + 1] = starts[length] + usize::from(counts[length]);
        }
        let mut symbols = vec![0; starts[LONGEST + 1]];
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            symbols[starts[usize::from(*length)]] = symbol as u16;
            starts[usize::from(*length)] += 1;
        }
        let mut fast = vec![(0, 0); 1 << FAST_BITS];
        for (symbol, (code, length)) in codes(lengths).iter().enumerate() {
            if (1..=FAST_BITS).contains(length) {
                for entry in fast.iter_mut().skip(*code as usize).step_by(1 << length) {
                    *entry = (symbol as u16, *length as u8);
                }
            }
        }
        Ok(Self { fast, counts, symbols })
    }

    pub(super) fn symbol<R: Read>(&self, bits: &mut BitReader<R>) -> Result<usize, DeflateError> {
        let next = bits.peek()?;
        let (symbol, length) = self.fast[(next & ((1 << FAST_BITS) - 1)) as usize];
        if length > 0 {
            bits.skip(u32::from(length))?;
            return Ok(usize::from(symbol));
        }
        let (mut code, mut first, mut index) = (0i32, 0i32, 0i32);
        for length in 1..=LONGEST {
            code |= (next >> (length - 1) & 1) as i32;
            let count = i32::from(self.counts[length]);
            if code - count < first {
                bits.skip(length as u32)?;
                return Ok(usize::from(self.symbols[(index + code - first) as usize]));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        unfit("bits that are no code")
    }

    /// The length that a symbol above [`END`] stands for.
    pub(super) fn length<R: Read>(symbol: usize, bits: &mut BitReader<R>) -> Result<u32, DeflateError> {
        let (first, extra_bits) = length_base((symbol - 257) as u32);
        let length = first + bits.bits(extra_bits)?;
        // The longest has a symbol of its own; written in the other way it could not be told from it.
        if symbol > 285 || (length == 258 && symbol != 285) { unfit("a length in an unusual form") } else { Ok(length) }
    }

    /// The distance that a symbol stands for.
    pub(super) fn distance<R: Read>(symbol: usize, bits: &mut BitReader<R>) -> Result<u32, DeflateError> {
        if symbol >= DISTANCES {
            return unfit("a distance that does not exist");
        }
        let (first, extra_bits) = group_base(symbol as u32, 1, 1);
        Ok(first + bits.bits(extra_bits)?)
    }
}

/// A code for writing.
pub(super) struct Encoder(Vec<(u32, u32)>);

impl Encoder {
    pub(super) fn new(lengths: &[u8]) -> Self {
        Self(codes(lengths))
    }

    /// Writes a symbol. Refused when the code has none for it.
    pub(super) fn symbol<W: Write>(&self, symbol: usize, out: &mut BitWriter<W>) -> Result<(), DeflateError> {
        match self.0.get(symbol) {
            Some((code, length)) if *length > 0 => Ok(out.bits(*code, *length)?),
            _ => unfit("a symbol without a code"),
        }
    }
}

/// Code and length of each symbol, the first bit of a code lowest.
pub(super) fn codes(lengths: &[u8]) -> Vec<(u32, u32)> {
    let counts = counts(lengths);
    let mut next = [0u32; LONGEST + 1];
    for length in 1..LONGEST {
        next[length + 1] = (next[length] + u32::from(counts[length])) << 1;
    }
    let code = |length: &u8| {
        let length = u32::from(*length);
        if length == 0 {
            return (0, 0);
        }
        let code = next[length as usize];
        next[length as usize] += 1;
        (code.reverse_bits() >> (32 - length), length)
    };
    lengths.iter().map(code).collect()
}

fn counts(lengths: &[u8]) -> [u16; LONGEST + 1] {
    let mut counts = [0; LONGEST + 1];
    for length in lengths.iter().filter(|length| **length > 0) {
        counts[usize::from(*length)] += 1;
    }
    counts
}

/// Lengths of the fixed codes (RFC 1951 §3.2.6).
pub(super) fn fixed_lengths() -> (Vec<u8>, Vec<u8>) {
    let literal = |symbol| match symbol {
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    };
    ((0..288).map(literal).collect(), vec![5; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_distance_reads_back() {
        for value in 3..=258 {
            let coded = length(value);
            let (first, bits) = length_base((coded.symbol - 257) as u32);
            assert_eq!((first + coded.extra, bits), (value, coded.extra_bits), "length {value}");
        }
        for value in 1..=32_768 {
            let coded = distance(value);
            let (first, bits) = group_base(coded.symbol as u32, 1, 1);
            assert_eq!((first + coded.extra, bits), (value, coded.extra_bits), "distance {value}");
            assert!(coded.symbol < DISTANCES);
        }
        assert_eq!(length(257), Coded { symbol: 284, extra: 30, extra_bits: 5 });
        assert_eq!(distance(32_768), Coded { symbol: 29, extra: 8_191, extra_bits: 13 });
    }
}
