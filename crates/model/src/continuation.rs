//! Continuations: how central knows a machine that was copied or restored, and a machine knows a central that was
//! (DESIGN §4, "Which node").
//!
//! A local server counts its syncs of an organisation. With each it shows how many it has had, the word it chose at the
//! last one, and a fresh word for the next. Central keeps its last step. Two copies of one machine choose different
//! words, so the first of them that syncs takes the step and the other one is found out, however they alternate.

use std::fmt;
use std::str::FromStr;

/// Characters of a word at most; ours have 16.
const MAX_WORD: usize = 43;

/// What a person, or the machine itself, says about a step that does not follow from the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nothing.
    #[default]
    None,
    /// A person said that this is the same machine, restored (`taosync node adopt`): from here on it is the one.
    Adopted,
    /// The machine knows that central went back, and has offered again what central may have lost.
    CentralWentBack,
}

/// What a local server shows of itself: `COUNT.HAVE.NEXT`, and a claim if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How many syncs it has had.
    pub count: u64,
    /// The word of the last one; none before the first.
    pub have: Option<String>,
    /// The word it has chosen for this one, on its disk before it is shown; none when it only looks.
    pub next: Option<String>,
    /// What is said about it.
    pub claim: Claim,
}

/// What central remembers of a local server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: it never synced.
    #[default]
    Nothing,
    /// Central was restored by a person who said so: whatever comes is taken once.
    Open,
    /// Its last step.
    Step {
        /// How many there were.
        count: u64,
        /// The word it chose then.
        current: String,
    },
}

/// What central makes of what it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The next step, or the first.
    Follows,
    /// The last step once more: the answer was lost on its way.
    Repeated,
    /// A step on somebody's word.
    Claimed,
    /// Another copy has taken this step: two machines with one identity.
    Copied,
    /// The machine is in an older state than the one central has met.
    Old,
    /// The machine has met a newer state of central than this.
    CentralWentBack,
}

impl Memory {
    /// Judges what a local server shows.
    pub fn judge(&self, shown: &Shown) -> Judgement {
        let (count, current) = match self {
            Self::Open => return Judgement::Follows,
            Self::Nothing if shown.count == 0 => return Judgement::Follows,
            Self::Nothing if shown.claim == Claim::None => return Judgement::CentralWentBack,
            Self::Nothing => return Judgement::Claimed,
            Self::Step { count, current } => (*count, current),
        };
        if shown.next.as_ref() == Some(current) {
            return Judgement::Repeated;
        }
        if shown.claim != Claim::None {
            return Judgement::Claimed;
        }
        if shown.count > count {
            return Judgement::CentralWentBack;
        }
        if shown.count == count && shown.have.as_ref() == Some(current) {
            return Judgement::Follows;
        }
        if shown.count.saturating_add(1) >= count { Judgement::Copied } else { Judgement::Old }
    }

    /// What to remember after a step that was taken: nothing new when the machine only looked.
    #[must_use]
    pub fn after(&self, shown: &Shown) -> Self {
        let known = if let Self::Step { count, .. } = self { *count } else { 0 };
        match &shown.next {
            // A claim may come from a machine that has counted less: the other copy must not seem to be ahead.
            Some(next) => Self::Step { count: known.max(shown.count).saturating_add(1), current: next.clone() },
            None => self.clone(),
        }
    }

    /// How many steps there were.
    pub const fn count(&self) -> u64 {
        if let Self::Step { count, .. } = self { *count } else { 0 }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        write!(f, "{}.{}.{}", self.count, word(&self.have), word(&self.next))?;
        match self.claim {
            Claim::None => Ok(()),
            claim => write!(f, ".{}", claim.as_str()),
        }
    }
}

impl Claim {
    /// The spelling in the database and on the network.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Adopted => "adopted",
            Self::CentralWentBack => "went-back",
        }
    }
}

/// A continuation that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl FromStr for Claim {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        [Self::None, Self::Adopted, Self::CentralWentBack].into_iter().find(|c| c.as_str() == text).ok_or(Malformed)
    }
}

impl FromStr for Shown {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.splitn(4, '.');
        let count = parts.next().unwrap_or_default();
        // `parse` alone would take a sign, and numbers that no column holds.
        let is_number = !count.is_empty() && count.len() <= 18 && count.bytes().all(|b| b.is_ascii_digit());
        let count = if is_number { count.parse().map_err(|_| Malformed)? } else { return Err(Malformed) };
        let have = word(parts.next())?;
        let next = word(parts.next())?;
        let claim = parts.next().unwrap_or_default().parse()?;
        Ok(Self { count, have, next, claim })
    }
}

fn word(text: Option<&str>) -> Result<Option<String>, Malformed> {
    let text = text.ok_or(Malformed)?;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.len() > MAX_WORD || !text.bytes().all(is_word) {
        return Err(Malformed);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests;
