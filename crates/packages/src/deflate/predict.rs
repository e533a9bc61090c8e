//! The search for copies as zlib does it: which token comes next.
//!
//! Every three bytes have a place in a table of hashes, and all places with one hash are a chain, newest first. How far
//! a chain is followed and when a better copy at the next byte is looked for are the settings of zlib's levels 1 to 9.

use super::text::Text;
use super::{DeflateError, LONGEST, SHORTEST, Token, Work};

/// How far back a search reaches: a little less than the format allows, as zlib keeps room to look ahead.
const REACH: u32 = 32 * 1024 - LONGEST - 4;
/// A copy of three bytes from further away costs more than three literals.
const TOO_FAR: u32 = 4096;
const MASK: u32 = 32 * 1024 - 1;
/// Chains end at the start of the text, which so is never found itself; zlib has this too.
const NOWHERE: u32 = 0;

/// How one program searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Above this length a chain is followed only a quarter as far.
    good: u32,
    /// Lazy: below this length a better copy at the next byte is looked for. Eager: a longer copy's inside is not noted.
    lazy: u32,
    /// A copy this long ends the search.
    nice: u32,
    /// Steps along a chain.
    chain: u32,
    /// Whether copies wait for a better one.
    is_lazy: bool,
    /// Bits of a hash; also decides how many tokens a block has.
    hash_bits: u32,
}

const fn eager(lazy: u32, nice: u32, chain: u32) -> Settings {
    Settings { good: 4, lazy, nice, chain, is_lazy: false, hash_bits: 15 }
}

const fn lazy(good: u32, lazy: u32, nice: u32, chain: u32) -> Settings {
    Settings { good, lazy, nice, chain, is_lazy: true, hash_bits: 15 }
}

/// Levels of zlib, the most usual first.
const LEVELS: [Settings; 9] = [
    lazy(8, 16, 128, 128),
    lazy(32, 258, 258, 4096),
    eager(4, 8, 4),
    lazy(8, 16, 32, 32),
    lazy(32, 128, 258, 1024),
    lazy(8, 32, 128, 256),
    lazy(4, 4, 16, 16),
    eager(6, 32, 32),
    eager(5, 16, 8),
];

impl Settings {
    /// Ways to search that a script can name.
    pub(super) const COUNT: u8 = 2 * LEVELS.len() as u8;

    /// The settings with a number below [`Self::COUNT`]: each level with the usual memory, then with the most.
    pub(super) fn numbered(number: u8) -> Option<Self> {
        let level = LEVELS.get(usize::from(number / 2))?;
        Some(Self { hash_bits: 15 + u32::from(number % 2), ..*level })
    }

    /// Tokens after which a block ends.
    pub(super) fn block_tokens(self) -> usize {
        (1 << (self.hash_bits - 1)) - 1
    }
}

#[derive(Clone, Copy)]
struct Found {
    length: u32,
    distance: u32,
}

/// Follows a text token by token, and says before each what zlib would choose.
pub(super) struct Predictor {
    settings: Settings,
    heads: Vec<u32>,
    /// For each place, the one before it in its chain.
    before: Vec<u32>,
    /// Places before this one are in the chains.
    noted: u32,
    /// What was found at the next place, where a literal was chosen to wait for it.
    waiting: Option<(u32, Found)>,
}

impl Predictor {
    pub(super) fn new(settings: Settings) -> Self {
        let heads = vec![NOWHERE; 1 << settings.hash_bits];
        Self { settings, heads, before: vec![NOWHERE; MASK as usize + 1], noted: 0, waiting: None }
    }

    /// The token that zlib would choose at `at`. The text must be known up to its end or [`super::text::AHEAD`] bytes on.
    pub(super) fn token(&mut self, text: &Text, at: u32, work: &mut Work) -> Result<Token, DeflateError> {
        let literal = Token::literal(text.byte(at));
        let here = match self.waiting.take() {
            Some((place, found)) if place == at => Some(found),
            _ => self.search(text, at, SHORTEST - 1, work)?,
        };
        let Some(here) = here else { return Ok(literal) };
        if self.settings.is_lazy
            && here.length < self.settings.lazy
            && let Some(next) = self.search(text, at + 1, here.length, work)?
        {
            self.waiting = Some((at + 1, next));
            return Ok(literal);
        }
        Ok(Token::copy(here.length, here.distance))
    }

    /// What was chosen in truth: goes on behind it.
    pub(super) fn follow(&mut self, text: &Text, at: u32, token: Token, predicted: Token) {
        if token != predicted {
            self.waiting = None;
        }
        let end = at + token.length();
        if self.settings.is_lazy || token.length() <= self.settings.lazy {
            self.note(text, end);
        } else {
            self.note(text, at + 1);
            self.noted = end;
        }
    }

    /// Goes on behind bytes that were stored without a search.
    pub(super) fn pass(&mut self, text: &Text, end: u32) {
        self.waiting = None;
        self.note(text, end);
    }

    /// Puts the places before `end` into their chains.
    fn note(&mut self, text: &Text, end: u32) {
        while self.noted < end {
            let at = self.noted;
            self.noted += 1;
            if text.end() - at >= SHORTEST {
                let head = &mut self.heads[hash(text.slice(at, at + SHORTEST), self.settings.hash_bits)];
                self.before[(at & MASK) as usize] = *head;
                *head = at;
            }
        }
    }

    /// The longest copy for `at` that is longer than `best`; the nearest of equals.
    fn search(&mut self, text: &Text, at: u32, mut best: u32, work: &mut Work) -> Result<Option<Found>, DeflateError> {
        let ahead = text.end().saturating_sub(at).min(LONGEST);
        if ahead < SHORTEST {
            return Ok(None);
        }
        self.note(text, at + 1);
        let mut place = self.before[(at & MASK) as usize];
        if place == NOWHERE || at - place > REACH {
            return Ok(None);
        }
        let limit = at.saturating_sub(REACH);
        let nice = self.settings.nice.min(ahead);
        let most = if best >= self.settings.good { self.settings.chain / 4 } else { self.settings.chain };
        let (mut found, mut steps) = (None, 0);
        loop {
            steps += 1;
            let is_candidate = best < ahead && text.byte(place + best) == text.byte(at + best);
            let length = if is_candidate { text.equal(place, at, ahead) } else { 0 };
            if length > best {
                best = length;
                found = Some(Found { length, distance: at - place });
                if length >= nice {
                    break;
                }
            }
            place = self.before[(place & MASK) as usize];
            if place <= limit || steps == most {
                break;
            }
        }
        work.spend(u64::from(steps))?;
        Ok(found.filter(|found| found.length > SHORTEST || found.distance <= TOO_FAR || !self.settings.is_lazy))
    }
}

fn hash(three: &[u8], bits: u32) -> usize {
    let shift = bits.div_ceil(3);
    let mixed = three.iter().fold(0u32, |hash, byte| (hash << shift) ^ u32::from(*byte));
    (mixed & ((1 << bits) - 1)) as usize
}
