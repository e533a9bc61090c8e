//! Errors over HTTP: RFC 9457 problem details with a stable code.

use serde::{Deserialize, Serialize};

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, for programs (`code`) and people (`detail`, `advice`). Never holds a secret or personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code, such as `cursor_too_old`; listed in docs/ERRORS.md.
    pub code: String,
    /// Short name of the kind of problem.
    pub title: String,
    /// What happened, where.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Problem {
    /// A problem with its code, what happened, and what to do.
    pub fn new(status: u16, code: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        let title = code.replace('_', " ");
        Self { status, code: code.to_owned(), title, detail: detail.into(), advice: advice.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.detail)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}
