//! From a stream to its script.

use std::collections::VecDeque;
use std::io::Read;

use taosync_model::Digest;

use super::bits::{BitReader, BitString};
use super::predict::{Predictor, Settings};
use super::read::{Block, Body, block};
use super::script::{Kind, Plan, Size};
use super::text::{AHEAD, Text};
use super::trees::Trees;
use super::{DeflateError, Work, unfit};

/// Text on which the settings are tried.
const SAMPLE_BYTES: u32 = 128 * 1024;
/// A text is at most so long: places are 32-bit numbers.
const TEXT_BYTES: u32 = 1 << 31;

/// A stream that was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// What [`super::Replay`] needs beside the text. Its first byte is the settings.
    pub(crate) script: Vec<u8>,
    /// BLAKE3 of the text.
    pub(crate) text: Digest,
}

/// Records a stream. `script_bytes` is how large a script is worth having; `settings` are tried first: one program
/// packs all files of a package with the same. Refused when the stream is not whole, or of an unknown making.
pub(crate) fn record<R: Read>(
    stream: R,
    script_bytes: usize,
    settings: u8,
    work: &mut Work,
) -> Result<Recorded, DeflateError> {
    let mut source = Source::new(stream);
    while source.text.end() < SAMPLE_BYTES && source.more()? {}
    let number = fitting(&source, settings, work)?;
    let Some(settings) = Settings::numbered(number) else { return unfit("settings that do not exist") };
    let mut script = vec![number];
    let mut predictor = Predictor::new(settings);
    let mut at = 0;
    loop {
        while !source.is_known_behind(at) && source.more()? {}
        let Some(block) = source.blocks.pop_front() else { break };
        let is_rest = block.last && source.is_complete;
        plan(&block, &source.text, at, &mut predictor, settings, is_rest, work)?.write(&mut script);
        if script.len() > script_bytes {
            return unfit("a stream that was made in another way");
        }
        at += block.length;
        source.text.forget_before(at);
    }
    Ok(Recorded { script, text: Digest(*source.hasher.finalize().as_bytes()) })
}

/// A stream on its way: blocks that were read, with their text.
struct Source<R> {
    bits: BitReader<R>,
    text: Text,
    blocks: VecDeque<Block>,
    hasher: blake3::Hasher,
    is_complete: bool,
}

impl<R: Read> Source<R> {
    fn new(stream: R) -> Self {
        let (bits, text, hasher) = (BitReader::new(stream), Text::default(), blake3::Hasher::new());
        Self { bits, text, blocks: VecDeque::new(), hasher, is_complete: false }
    }

    /// Reads one more block; false when there is none.
    fn more(&mut self) -> Result<bool, DeflateError> {
        if self.is_complete {
            return Ok(false);
        }
        let start = self.text.end();
        let block = block(&mut self.bits, &mut self.text)?;
        self.hasher.update(self.text.slice(start, self.text.end()));
        if self.text.end() > TEXT_BYTES {
            return unfit("a very long text");
        }
        if block.last {
            self.is_complete = true;
            if self.bits.padding() != 0 || !self.bits.is_at_end()? {
                return unfit("something behind the end of the stream");
            }
        }
        self.blocks.push_back(block);
        Ok(true)
    }

    /// Whether the text of the first block, which starts at `at`, and what a search looks at behind it, is known.
    fn is_known_behind(&self, at: u32) -> bool {
        self.is_complete || self.blocks.front().is_some_and(|block| at + block.length + AHEAD <= self.text.end())
    }
}

/// The settings with which fewest tokens of the sample are departures.
fn fitting<R>(source: &Source<R>, first: u8, work: &mut Work) -> Result<u8, DeflateError> {
    let tokens: usize = source.blocks.iter().map(|block| block.body.tokens().len()).sum();
    let mut best = (tokens / 3, None);
    let others = (0..Settings::COUNT).filter(|number| *number != first);
    for number in std::iter::once(first).chain(others) {
        let Some(settings) = Settings::numbered(number) else { continue };
        if let Some(departures) = departures(source, settings, best.0, work)? {
            best = (departures, Some(number));
            if departures == 0 {
                break;
            }
        }
    }
    best.1.map_or_else(|| unfit("a stream that was made in another way"), Ok)
}

/// How many tokens of the sample depart from what is predicted; `None` when not fewer than `limit`, and not none.
fn departures<R>(
    source: &Source<R>,
    settings: Settings,
    limit: usize,
    work: &mut Work,
) -> Result<Option<usize>, DeflateError> {
    let text = &source.text;
    let known = if source.is_complete { text.end() } else { text.end().saturating_sub(AHEAD) };
    let mut predictor = Predictor::new(settings);
    let (mut at, mut departures) = (0, 0);
    for block in &source.blocks {
        let end = at + block.length;
        for token in block.body.tokens() {
            if at >= known.min(2 * SAMPLE_BYTES) {
                return Ok(Some(departures));
            }
            let predicted = predictor.token(text, at, work)?;
            predictor.follow(text, at, *token, predicted);
            departures += usize::from(predicted != *token);
            if departures > 0 && departures >= limit {
                return Ok(None);
            }
            at += token.length();
        }
        if at < end {
            at = end;
            predictor.pass(text, at);
        }
    }
    Ok(Some(departures))
}

/// What the script says of a block.
fn plan(
    block: &Block,
    text: &Text,
    mut at: u32,
    predictor: &mut Predictor,
    settings: Settings,
    is_rest: bool,
    work: &mut Work,
) -> Result<Plan, DeflateError> {
    let tokens = block.body.tokens();
    let (kind, header) = match &block.body {
        Body::Stored { padding: 0 } => (Kind::Stored, BitString::default()),
        Body::Stored { .. } => return unfit("a stored block with bits before it"),
        Body::Fixed(_) => (Kind::Fixed, BitString::default()),
        Body::Dynamic(tokens, header) if Trees::of(tokens).header == *header => (Kind::Predicted, BitString::default()),
        Body::Dynamic(_, header) => (Kind::Noted, header.clone()),
    };
    let size = match kind {
        _ if is_rest => Size::Rest,
        Kind::Stored => Size::Given(block.length as usize),
        _ if tokens.len() == settings.block_tokens() => Size::Usual,
        _ => Size::Given(tokens.len()),
    };
    let (mut departures, mut before) = (Vec::new(), 0);
    for token in tokens {
        let predicted = predictor.token(text, at, work)?;
        predictor.follow(text, at, *token, predicted);
        at += token.length();
        if predicted == *token {
            before += 1;
        } else {
            departures.push((before, (*token).into()));
            before = 0;
        }
    }
    if kind == Kind::Stored {
        predictor.pass(text, at + block.length);
    }
    Ok(Plan { kind, last: block.last, size, header, departures })
}
