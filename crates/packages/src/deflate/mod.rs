//! Giving back a deflate stream (RFC 1951) bit by bit from what it unpacks to.
//!
//! The same text can be compressed in countless ways, so a zip cannot be rebuilt from its files alone. Keeping the
//! compressed bytes beside the files would double what is stored and sent. Instead [`record()`] plays the part of the
//! program that compressed them: it searches the text as zlib does, with the settings that fit best, and notes in a
//! *script* only where the stream does otherwise. [`replay::Replay`] searches again and follows the script. For what zlib,
//! Info-ZIP and their many users made, the script is a few bytes; a stream of quite another program gets no script.
//!
//! The search, the order of settings and the script are a format: both sides and later versions must do the same.
//! Nothing here trusts its input: sizes are bounded, and so are the steps of all searches together ([`Work`]).

mod bits;
mod codes;
mod predict;
mod read;
mod record;
mod replay;
mod script;
#[cfg(test)]
mod tests;
mod text;
mod trees;

pub(crate) use record::record;
pub(crate) use replay::Replay;

/// Tokens of one block at most. Every known program ends a block long before.
const BLOCK_TOKENS: usize = 128 * 1024;
/// Shortest and longest copy.
const SHORTEST: u32 = 3;
const LONGEST: u32 = 258;

/// Why a stream is not recorded, or a script not replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeflateError {
    /// The stream is none that a script could describe, or the script does not fit the text.
    #[error("{0}")]
    Unfit(&'static str),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn unfit<T>(why: &'static str) -> Result<T, DeflateError> {
    Err(DeflateError::Unfit(why))
}

/// Steps that searches may still take: texts can be made for which every step of every search is needed.
#[derive(Debug)]
pub(crate) struct Work(u64);

impl Work {
    /// Enough for a large package of ordinary files; some ten seconds when a hostile one uses all of it.
    pub(crate) const fn of_a_package() -> Self {
        Self(4_000_000_000)
    }

    fn spend(&mut self, steps: u64) -> Result<(), DeflateError> {
        match self.0.checked_sub(steps) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => unfit("it takes too many steps"),
        }
    }
}

/// A literal or a copy, packed: a block can have very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token(u32);

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Literal(u8),
    Copy { length: u32, distance: u32 },
}

impl Token {
    fn literal(byte: u8) -> Self {
        Self(u32::from(byte))
    }

    /// `length` is 3 to 258, `distance` 1 to 32768.
    fn copy(length: u32, distance: u32) -> Self {
        Self(1 << 31 | (length - SHORTEST) << 16 | (distance - 1))
    }

    fn step(self) -> Step {
        if self.0 >> 31 == 0 {
            Step::Literal(self.0 as u8)
        } else {
            Step::Copy { length: (self.0 >> 16 & 0xff) + SHORTEST, distance: (self.0 & 0x7fff) + 1 }
        }
    }

    /// Bytes of text it stands for.
    fn length(self) -> u32 {
        match self.step() {
            Step::Literal(_) => 1,
            Step::Copy { length, .. } => length,
        }
    }
}
