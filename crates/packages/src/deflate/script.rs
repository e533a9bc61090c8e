//! The script of a stream: the settings, then for each block how it is written and where it departs from the search.
//!
//! | | |
//! |---|---|
//! | settings | one byte, [`Settings::numbered`](super::predict::Settings::numbered) |
//! | block | control byte; number of tokens or stored bytes, when the control byte asks for it; bits of the header (their number, then bytes), when they are noted; departures, when there are any |
//! | control byte | bits 0–1 [`Kind`], bit 2 last block, bits 3–4 [`Size`], bit 5 there are departures |
//! | departures | their number, then for each: tokens as predicted before it; 0 for a literal, or length − 2 and distance |

use super::bits::BitString;
use super::{BLOCK_TOKENS, DeflateError, LONGEST, SHORTEST, Step, Token, unfit};
use crate::bytes::{ByteReader, put_bytes, put_number};

/// How a block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes as they are.
    Stored,
    /// In the code of the standard.
    Fixed,
    /// In the code that zlib makes.
    Predicted,
    /// In the code of a noted header.
    Noted,
}

/// How much is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// So many tokens, or stored bytes.
    Given(usize),
    /// As many tokens as zlib takes.
    Usual,
    /// What is left of the text.
    Rest,
}

/// What a script says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) last: bool,
    pub(super) size: Size,
    pub(super) header: BitString,
    /// Tokens as predicted before each departure, and what stands there instead.
    pub(super) departures: Vec<(usize, Departure)>,
}

/// A token that is not as predicted. The byte of a literal is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Literal,
    Copy { length: u32, distance: u32 },
}

impl From<Token> for Departure {
    fn from(token: Token) -> Self {
        match token.step() {
            Step::Literal(_) => Self::Literal,
            Step::Copy { length, distance } => Self::Copy { length, distance },
        }
    }
}

impl Plan {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, size) = (
            self.kind as u8,
            match self.size {
                Size::Given(_) => 0,
                Size::Usual => 1,
                Size::Rest => 2,
            },
        );
        out.push(kind | u8::from(self.last) << 2 | size << 3 | u8::from(!self.departures.is_empty()) << 5);
        if let Size::Given(size) = self.size {
            put_number(out, size as u64);
        }
        if self.kind == Kind::Noted {
            put_number(out, u64::from(self.header.bits));
            put_bytes(out, &self.header.bytes);
        }
        if !self.departures.is_empty() {
            put_number(out, self.departures.len() as u64);
        }
        for (before, departure) in &self.departures {
            put_number(out, *before as u64);
            match departure {
                Departure::Literal => put_number(out, 0),
                Departure::Copy { length, distance } => {
                    put_number(out, u64::from(length - SHORTEST + 1));
                    put_number(out, u64::from(*distance));
                }
            }
        }
    }

    pub(super) fn read(script: &mut ByteReader<'_>) -> Result<Self, DeflateError> {
        Self::parse(script).ok_or(DeflateError::Unfit("a script that cannot be read"))
    }

    fn parse(script: &mut ByteReader<'_>) -> Option<Self> {
        let control = script.byte()?;
        let kind = [Kind::Stored, Kind::Fixed, Kind::Predicted, Kind::Noted][usize::from(control & 3)];
        let size = match control >> 3 & 3 {
            0 => Size::Given(script.count(BLOCK_TOKENS)?),
            1 => Size::Usual,
            2 => Size::Rest,
            _ => return None,
        };
        let mut header = BitString::default();
        if kind == Kind::Noted {
            header.bits = u32::try_from(script.number()?).ok()?;
            header.bytes = script.bytes()?.to_vec();
        }
        let mut departures = Vec::new();
        if control >> 5 & 1 == 1 {
            for _ in 0..script.count(BLOCK_TOKENS)? {
                departures.push((script.count(BLOCK_TOKENS)?, departure(script)?));
            }
        }
        let is_possible = control >> 6 == 0 && u64::from(header.bits.div_ceil(8)) == header.bytes.len() as u64;
        is_possible.then_some(Self { kind, last: control >> 2 & 1 == 1, size, header, departures })
    }
}

fn departure(script: &mut ByteReader<'_>) -> Option<Departure> {
    match script.count((LONGEST - SHORTEST + 1) as usize)? as u32 {
        0 => Some(Departure::Literal),
        length => {
            let distance = script.count(32 * 1024)? as u32;
            (distance > 0).then_some(Departure::Copy { length: length + SHORTEST - 1, distance })
        }
    }
}

/// Gives the token at each place: as predicted, or the departure whose turn it is.
#[derive(Debug)]
pub(super) struct Departures {
    list: std::vec::IntoIter<(usize, Departure)>,
    next: Option<(usize, Departure)>,
}

impl Departures {
    pub(super) fn new(list: Vec<(usize, Departure)>) -> Self {
        let mut list = list.into_iter();
        let next = list.next();
        Self { list, next }
    }

    /// The token here, whose literal would be `byte`.
    pub(super) fn token(&mut self, predicted: Token, byte: u8) -> Token {
        match &mut self.next {
            None => predicted,
            Some((0, departure)) => {
                let token = match *departure {
                    Departure::Literal => Token::literal(byte),
                    Departure::Copy { length, distance } => Token::copy(length, distance),
                };
                self.next = self.list.next();
                token
            }
            Some((before, _)) => {
                *before -= 1;
                predicted
            }
        }
    }

    pub(super) fn end(&self) -> Result<(), DeflateError> {
        if self.next.is_some() { unfit("a script with more departures than tokens") } else { Ok(()) }
    }
}
