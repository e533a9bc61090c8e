//! What is wrong with a file, where, and what to do about it.

/// No more problems than this are collected; a file with more is better mended in pieces.
pub const MAX_PROBLEMS: usize = 100;

/// One thing wrong in a file. Logins, names, addresses and passwords are never quoted: the place is enough to find
/// them, and problems are printed and logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}{}: {message}; {advice}", in_column(column.as_deref()))]
pub struct RosterProblem {
    /// Name of the file, as the caller gave it.
    pub file: String,
    /// Line, from 1; where the row begins, when it spans several.
    pub line: u64,
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// What happened.
    pub message: String,
    /// What to do.
    pub advice: String,
}

fn in_column(column: Option<&str>) -> String {
    column.map_or_else(String::new, |c| format!(", column \"{c}\""))
}

/// Problems of one file, up to [`MAX_PROBLEMS`].
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    list: Vec<RosterProblem>,
}

impl Problems {
    pub(crate) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// A problem of a whole line, or (line 1) of the file.
    pub(crate) fn line(&mut self, line: u64, message: impl Into<String>, advice: impl Into<String>) {
        self.push(line, None, message.into(), advice.into());
    }

    /// A problem of one cell.
    pub(crate) fn cell(&mut self, line: u64, column: &str, message: impl Into<String>, advice: impl Into<String>) {
        self.push(line, Some(column.to_owned()), message.into(), advice.into());
    }

    fn push(&mut self, line: u64, column: Option<String>, message: String, advice: String) {
        if !self.is_full() {
            self.list.push(RosterProblem { file: self.file.clone(), line, column, message, advice });
        }
    }

    /// An empty list for the same file.
    pub(crate) fn beside(&self) -> Self {
        Self::of(&self.file)
    }

    /// Adds the problems of another list behind these.
    pub(crate) fn append(&mut self, others: Self) {
        let room = MAX_PROBLEMS.saturating_sub(self.list.len());
        self.list.extend(others.list.into_iter().take(room));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_PROBLEMS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The value, when nothing went wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Vec<RosterProblem>> {
        if self.list.is_empty() { Ok(value) } else { Err(self.list) }
    }
}

/// A text from a file, cut for a message.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let cut: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let dots = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("\"{cut}{dots}\"")
}
