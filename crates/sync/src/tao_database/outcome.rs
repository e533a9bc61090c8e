//! What a pull or a push did, or would do: counts in words, and what deserves a look.

use std::fmt::Write as _;

use serde::Serialize;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether nothing was changed, only said.
    pub dry_run: bool,
    /// How many of what, in the order they are told.
    pub counts: Vec<Count>,
    /// What deserves a look.
    pub notes: Vec<Note>,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// In words for people, as of several: `results written`.
    pub what: &'static str,
    /// The same words as of a single one.
    #[serde(skip)]
    pub single: &'static str,
    /// How many.
    pub number: u64,
}

impl Count {
    /// As it is told.
    fn words(&self) -> &'static str {
        if self.number == 1 { self.single } else { self.what }
    }
}

/// Something that deserves a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about: a URI, a file, or empty.
    pub about: String,
    /// What is so.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Outcome {
    /// Adds a count, in words as of one and as of several; what did not happen is not told.
    pub fn count(&mut self, [single, what]: [&'static str; 2], number: u64) {
        if number > 0 {
            self.counts.push(Count { what, single, number });
        }
    }

    /// Adds a note.
    pub fn note(&mut self, about: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) {
        self.notes.push(Note { about: about.into(), what: what.into(), advice: advice.into() });
    }

    /// The answer for people.
    pub fn to_text(&self) -> String {
        let mut text = if self.counts.is_empty() { "Nothing to do.\n".to_owned() } else { String::new() };
        text.push_str(&self.told());
        if self.dry_run {
            text.push_str("This was a dry run: nothing was changed.\n");
        }
        text
    }

    /// Counts and notes, as a part of an answer.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for count in &self.counts {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} {}", count.number, count.words());
        }
        for Note { about, what, advice } in &self.notes {
            let about = if about.is_empty() { String::new() } else { format!("{about}: ") };
            let _ = writeln!(text, "{about}{what}\n  → {advice}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_reads_well() {
        let mut outcome = Outcome { dry_run: true, ..Outcome::default() };
        assert_eq!(outcome.to_text(), "Nothing to do.\nThis was a dry run: nothing was changed.\n");
        outcome.count(["result written", "results written"], 5);
        outcome.count(["result written before", "results written before"], 0);
        outcome.count(["batch of log rows", "batches of log rows"], 1);
        outcome.note("maths", "its package is missing", "bring it");
        assert_eq!(
            outcome.to_text(),
            "5 results written\n1 batch of log rows\nmaths: its package is missing\n  → bring it\nThis was a dry run: nothing was changed.\n"
        );
    }
}
