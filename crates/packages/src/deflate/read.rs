//! Blocks of a deflate stream, with every bit that the text alone does not tell.

use std::io::Read;

use super::bits::{BitReader, BitString};
use super::codes::{CODE_LENGTH_ORDER, CODE_LENGTHS, Decoder, END, fixed_lengths};
use super::text::Text;
use super::{BLOCK_TOKENS, DeflateError, Token, unfit};

/// Codes a header may have more than are used.
const MOST_LITERALS: usize = 288;
const MOST_DISTANCES: usize = 32;

/// One block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) last: bool,
    pub(super) body: Body,
    /// Bytes of text it stands for.
    pub(super) length: u32,
}

/// What is in a block.
#[derive(Debug)]
pub(super) enum Body {
    /// Bytes as they are; the bits before them up to a whole byte.
    Stored { padding: u32 },
    /// Tokens in the code of the standard.
    Fixed(Vec<Token>),
    /// Tokens in a code of its own, with the header that tells it.
    Dynamic(Vec<Token>, BitString),
}

impl Body {
    pub(super) fn tokens(&self) -> &[Token] {
        match self {
            Self::Stored { .. } => &[],
            Self::Fixed(tokens) | Self::Dynamic(tokens, _) => tokens,
        }
    }
}

/// The codes a header tells.
pub(super) struct Header {
    pub(super) literals: Vec<u8>,
    pub(super) distances: Vec<u8>,
}

/// Reads the next block and adds its text.
pub(super) fn block<R: Read>(bits: &mut BitReader<R>, text: &mut Text) -> Result<Block, DeflateError> {
    let start = text.end();
    let last = bits.bits(1)? == 1;
    let body = match bits.bits(2)? {
        0 => stored(bits, text)?,
        1 => {
            let (literals, distances) = fixed_lengths();
            Body::Fixed(tokens(bits, text, &Header { literals, distances })?)
        }
        2 => {
            let mut noted = BitString::default();
            let header = header(&mut |count| {
                let read = bits.bits(count)?;
                noted.push(read, count);
                Ok(read)
            })?;
            Body::Dynamic(tokens(bits, text, &header)?, noted)
        }
        _ => return unfit("a block of an unknown kind"),
    };
    Ok(Block { last, body, length: text.end() - start })
}

fn stored<R: Read>(bits: &mut BitReader<R>, text: &mut Text) -> Result<Body, DeflateError> {
    let padding = bits.padding();
    let length = bits.bits(16)?;
    if bits.bits(16)? != length ^ 0xffff {
        return unfit("a stored block whose length contradicts itself");
    }
    for _ in 0..length {
        text.push_byte(bits.bits(8)? as u8);
    }
    Ok(Body::Stored { padding })
}

/// Reads a header through `next`, which gives so many bits.
pub(super) fn header(next: &mut dyn FnMut(u32) -> Result<u32, DeflateError>) -> Result<Header, DeflateError> {
    let literals = next(5)? as usize + 257;
    let distances = next(5)? as usize + 1;
    if literals > MOST_LITERALS || distances > MOST_DISTANCES {
        return unfit("a header with too many codes");
    }
    let given = next(4)? as usize + 4;
    let mut own = [0u8; CODE_LENGTHS];
    for symbol in &CODE_LENGTH_ORDER[..given] {
        own[*symbol] = next(3)? as u8;
    }
    let codes = super::codes::codes(&own);
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (length, run) = match one_of(&codes, next)? {
            16 => (lengths.last().copied(), next(2)? + 3),
            17 => (Some(0), next(3)? + 3),
            18 => (Some(0), next(7)? + 11),
            length => (Some(length as u8), 1),
        };
        let Some(length) = length else { return unfit("a header that repeats nothing") };
        lengths.extend(std::iter::repeat_n(length, run as usize));
    }
    if lengths.len() > literals + distances {
        return unfit("a header with too many lengths");
    }
    let distances = lengths.split_off(literals);
    Ok(Header { literals: lengths, distances })
}

/// Reads a symbol bit by bit: a header is short.
fn one_of(codes: &[(u32, u32)], next: &mut dyn FnMut(u32) -> Result<u32, DeflateError>) -> Result<usize, DeflateError> {
    let mut read = 0;
    for bits in 1..=7 {
        read |= next(1)? << (bits - 1);
        if let Some(symbol) = codes.iter().position(|code| *code == (read, bits)) {
            return Ok(symbol);
        }
    }
    unfit("bits of a header that are no code")
}

fn tokens<R: Read>(bits: &mut BitReader<R>, text: &mut Text, header: &Header) -> Result<Vec<Token>, DeflateError> {
    let (literals, distances) = (Decoder::new(&header.literals)?, Decoder::new(&header.distances)?);
    let mut tokens = Vec::new();
    loop {
        let symbol = literals.symbol(bits)?;
        if symbol == END {
            return Ok(tokens);
        }
        if tokens.len() == BLOCK_TOKENS {
            return unfit("a block with very many tokens");
        }
        if symbol < END {
            text.push_byte(symbol as u8);
            tokens.push(Token::literal(symbol as u8));
            continue;
        }
        let length = Decoder::length(symbol, bits)?;
        let symbol = distances.symbol(bits)?;
        let distance = Decoder::distance(symbol, bits)?;
        if !text.push_copy(distance, length) {
            return unfit("a copy of what is before the start");
        }
        tokens.push(Token::copy(length, distance));
    }
}
