//! Whether a node is ready, as people and monitors are told: a sentence, and one line a check.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// How serious something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// Somebody should look.
    Warning,
    /// Not ready.
    Critical,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// Whether nothing is to be done.
    pub ok: bool,
    /// How serious it is.
    pub level: Level,
    /// For people.
    pub text: String,
    /// For programs.
    pub value: Value,
}

impl Check {
    /// A line.
    pub fn new(name: &'static str, level: Level, text: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { name, ok: level == Level::Ok, level, text: text.into(), value: value.into() }
    }
}

/// The answer to "are we ready?".
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether the exam can be run with what is here.
    pub ready: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// One line each.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// The most serious of all lines.
    pub fn level(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }
}
