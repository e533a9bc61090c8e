//! From a text and its script to the stream.

use std::io::Write;

use super::bits::BitWriter;
use super::codes::{END, Encoder, distance, fixed_lengths, length};
use super::predict::{Predictor, Settings};
use super::read::{Header, header};
use super::script::{Departures, Kind, Plan, Size};
use super::text::{AHEAD, Text};
use super::trees::Trees;
use super::{BLOCK_TOKENS, DeflateError, Step, Token, Work, unfit};
use crate::bytes::ByteReader;

/// Bytes a stored block can have.
const STORED_BYTES: u32 = 0xffff;

/// Writes a stream again. The text comes in pieces; what is written is not whole before [`Self::finish`].
pub(crate) struct Replay<'a, W> {
    script: ByteReader<'a>,
    settings: Settings,
    predictor: Predictor,
    text: Text,
    /// Bytes of the whole text.
    bytes: u32,
    /// Place of the next token.
    at: u32,
    block: Option<Open>,
    is_over: bool,
    out: BitWriter<W>,
}

/// A block whose tokens are not all known yet.
struct Open {
    plan: Plan,
    departures: Departures,
    tokens: Vec<Token>,
    start: u32,
}

impl<'a, W: Write> Replay<'a, W> {
    /// For a text of so many bytes. Refused when the script is none.
    pub(crate) fn new(script: &'a [u8], bytes: u64, out: W) -> Result<Self, DeflateError> {
        let mut script = ByteReader::new(script);
        let settings = script.byte().and_then(Settings::numbered);
        let (Some(settings), Ok(bytes)) = (settings, u32::try_from(bytes)) else {
            return unfit("a script that cannot be read");
        };
        let (predictor, out) = (Predictor::new(settings), BitWriter::new(out));
        let text = Text::default();
        Ok(Self { script, settings, predictor, text, bytes, at: 0, block: None, is_over: false, out })
    }

    /// Takes the next piece of the text, and writes what can be written.
    pub(crate) fn push(&mut self, piece: &[u8], work: &mut Work) -> Result<(), DeflateError> {
        if piece.len() as u64 > u64::from(self.bytes - self.text.end()) {
            return unfit("a text that is longer than it should be");
        }
        self.text.push(piece);
        while !self.is_over {
            let mut open = match self.block.take() {
                Some(open) => open,
                None => self.open()?,
            };
            let is_whole =
                if open.plan.kind == Kind::Stored { self.store(&open)? } else { self.continue_block(&mut open, work)? };
            if !is_whole {
                self.block = Some(open);
                return Ok(());
            }
            self.is_over = open.plan.last;
            self.text.forget_before(self.at);
        }
        Ok(())
    }

    /// Ends the stream and gives back where it was written.
    pub(crate) fn finish(mut self, work: &mut Work) -> Result<(), DeflateError> {
        self.push(&[], work)?;
        if !self.is_over || self.at != self.bytes || self.text.end() != self.bytes || !self.script.is_empty() {
            return unfit("a script that does not fit the text");
        }
        self.out.pad(0)?;
        Ok(self.out.flush()?)
    }

    fn open(&mut self) -> Result<Open, DeflateError> {
        let mut plan = Plan::read(&mut self.script)?;
        let departures = Departures::new(std::mem::take(&mut plan.departures));
        Ok(Open { plan, departures, tokens: Vec::new(), start: self.at })
    }

    /// Whether what a search at `at` looks at is known.
    fn is_known(&self, at: u32) -> bool {
        self.text.end() == self.bytes || self.text.end() - at >= AHEAD
    }

    /// Adds tokens to a block, and writes it when it has all.
    fn continue_block(&mut self, open: &mut Open, work: &mut Work) -> Result<bool, DeflateError> {
        let most = match open.plan.size {
            Size::Given(tokens) => tokens,
            Size::Usual => self.settings.block_tokens(),
            Size::Rest => BLOCK_TOKENS,
        };
        while open.tokens.len() < most && !(open.plan.size == Size::Rest && self.at == self.bytes) {
            if !self.is_known(self.at) {
                return Ok(false);
            }
            if self.at == self.bytes {
                return unfit("a script for a longer text");
            }
            let predicted = self.predictor.token(&self.text, self.at, work)?;
            let token = open.departures.token(predicted, self.text.byte(self.at));
            self.check(token)?;
            self.predictor.follow(&self.text, self.at, token, predicted);
            open.tokens.push(token);
            self.at += token.length();
        }
        open.departures.end()?;
        self.write(open)?;
        Ok(true)
    }

    /// A departure may be a copy of something that is not there.
    fn check(&self, token: Token) -> Result<(), DeflateError> {
        let is_possible = match token.step() {
            Step::Literal(_) => true,
            Step::Copy { length, distance } => {
                distance <= self.at
                    && length <= self.bytes - self.at
                    && self.text.equal(self.at - distance, self.at, length) == length
            }
        };
        if is_possible { Ok(()) } else { unfit("a script with a copy of what is not there") }
    }

    fn write(&mut self, open: &Open) -> Result<(), DeflateError> {
        let kind = if open.plan.kind == Kind::Fixed { 1 } else { 2 };
        self.out.bits(u32::from(open.plan.last) | kind << 1, 3)?;
        let Header { literals, distances } = self.header(open)?;
        let (literals, distances) = (Encoder::new(&literals), Encoder::new(&distances));
        for token in &open.tokens {
            match token.step() {
                Step::Literal(byte) => literals.symbol(usize::from(byte), &mut self.out)?,
                Step::Copy { length: long, distance: far } => {
                    let (long, far) = (length(long), distance(far));
                    literals.symbol(long.symbol, &mut self.out)?;
                    self.out.bits(long.extra, long.extra_bits)?;
                    distances.symbol(far.symbol, &mut self.out)?;
                    self.out.bits(far.extra, far.extra_bits)?;
                }
            }
        }
        literals.symbol(END, &mut self.out)
    }

    /// Writes the header of a block, if it has one, and gives its codes.
    fn header(&mut self, open: &Open) -> Result<Header, DeflateError> {
        match open.plan.kind {
            Kind::Predicted => {
                let trees = Trees::of(&open.tokens);
                trees.header.write(&mut self.out)?;
                Ok(Header { literals: trees.literals, distances: trees.distances })
            }
            Kind::Noted => {
                open.plan.header.write(&mut self.out)?;
                let mut noted = super::bits::BitReader::new(open.plan.header.bytes.as_slice());
                header(&mut |count| Ok(noted.bits(count)?))
            }
            Kind::Fixed | Kind::Stored => {
                let (literals, distances) = fixed_lengths();
                Ok(Header { literals, distances })
            }
        }
    }

    /// Writes a stored block when all of it is known.
    fn store(&mut self, open: &Open) -> Result<bool, DeflateError> {
        let left = self.bytes - self.at;
        let length = match open.plan.size {
            Size::Given(bytes) => bytes as u32,
            Size::Rest => left,
            Size::Usual => return unfit("a script that cannot be read"),
        };
        if length > STORED_BYTES || length > left {
            return unfit("a script for a longer text");
        }
        let end = open.start + length;
        if end > self.text.end() || !self.is_known(end) {
            return Ok(false);
        }
        open.departures.end()?;
        self.out.bits(u32::from(open.plan.last), 3)?;
        self.out.pad(0)?;
        self.out.bits(length, 16)?;
        self.out.bits(length ^ 0xffff, 16)?;
        self.out.bytes(self.text.slice(open.start, end))?;
        self.predictor.pass(&self.text, end);
        self.at = end;
        Ok(true)
    }
}
