//! Bits in the order of RFC 1951: the lowest of a byte first.

use std::io::{self, Read, Write};

const BUFFER_BYTES: usize = 64 * 1024;

/// Reads bits from bytes that come from a file.
pub(super) struct BitReader<R> {
    source: R,
    buffer: Vec<u8>,
    at: usize,
    /// Bits read from the buffer and not yet given out; the next one is the lowest.
    held: u64,
    held_bits: u32,
}

impl<R: Read> BitReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), at: 0, held: 0, held_bits: 0 }
    }

    /// The next `count` bits, at most 32.
    pub(super) fn bits(&mut self, count: u32) -> io::Result<u32> {
        while self.held_bits < count {
            let byte = self.next_byte()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.held |= u64::from(byte) << self.held_bits;
            self.held_bits += 8;
        }
        let bits = (self.held & ((1 << count) - 1)) as u32;
        self.drop_bits(count);
        Ok(bits)
    }

    /// Up to 16 of the next bits without taking them; where the bytes end, zeros stand for the rest.
    pub(super) fn peek(&mut self) -> io::Result<u32> {
        while self.held_bits < 16 {
            let Some(byte) = self.next_byte()? else { break };
            self.held |= u64::from(byte) << self.held_bits;
            self.held_bits += 8;
        }
        Ok((self.held & 0xffff) as u32)
    }

    /// Takes bits that were peeked at.
    pub(super) fn skip(&mut self, count: u32) -> io::Result<()> {
        if count > self.held_bits {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.drop_bits(count);
        Ok(())
    }

    /// The bits up to the end of the byte.
    pub(super) fn padding(&mut self) -> u32 {
        let count = self.held_bits % 8;
        let bits = (self.held & ((1 << count) - 1)) as u32;
        self.drop_bits(count);
        bits
    }

    /// Whether every byte was taken; call at the start of a byte.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        if self.held_bits > 0 {
            return Ok(false);
        }
        match self.next_byte()? {
            None => Ok(true),
            Some(_) => Ok(false),
        }
    }

    fn drop_bits(&mut self, count: u32) {
        self.held >>= count;
        self.held_bits -= count;
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            (&mut self.source).take(BUFFER_BYTES as u64).read_to_end(&mut self.buffer)?;
        }
        let byte = self.buffer.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }
}

/// Writes bits.
pub(super) struct BitWriter<W> {
    target: W,
    buffer: Vec<u8>,
    held: u64,
    held_bits: u32,
}

impl<W: Write> BitWriter<W> {
    pub(super) fn new(target: W) -> Self {
        Self { target, buffer: Vec::new(), held: 0, held_bits: 0 }
    }

    /// Writes the lowest `count` bits of a number, at most 32.
    pub(super) fn bits(&mut self, bits: u32, count: u32) -> io::Result<()> {
        self.held |= u64::from(bits) << self.held_bits;
        self.held_bits += count;
        while self.held_bits >= 8 {
            self.buffer.push(self.held as u8);
            self.held >>= 8;
            self.held_bits -= 8;
        }
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Fills the byte with bits of a number, as many as it lacks.
    pub(super) fn pad(&mut self, bits: u32) -> io::Result<()> {
        match self.held_bits {
            0 => Ok(()),
            held => {
                let missing = 8 - held;
                self.bits(bits & ((1 << missing) - 1), missing)
            }
        }
    }

    /// Writes whole bytes; call at the start of a byte.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.target.write_all(bytes)
    }

    /// Hands on what is complete.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.target.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Some bits kept for later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BitString {
    pub(super) bytes: Vec<u8>,
    pub(super) bits: u32,
}

impl BitString {
    pub(super) fn push(&mut self, bits: u32, count: u32) {
        for n in 0..count {
            let bit = (bits >> n & 1) as u8;
            match self.bytes.last_mut() {
                Some(byte) if !self.bits.is_multiple_of(8) => *byte |= bit << (self.bits % 8),
                _ => self.bytes.push(bit),
            }
            self.bits += 1;
        }
    }

    /// Writes them.
    pub(super) fn write<W: Write>(&self, out: &mut BitWriter<W>) -> io::Result<()> {
        let mut left = self.bits;
        for byte in &self.bytes {
            let count = left.min(8);
            out.bits(u32::from(*byte), count)?;
            left -= count;
        }
        Ok(())
    }
}
