//! Whether a local server is ready for the exam: one line a check, and a sentence. *Ready* means verified equal to
//! central with all tests here, not that no error was seen.

mod checks;
mod facts;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::node::Node;

pub use checks::{disk, whole};

/// Settings: whether the node was ready when last looked at, and since when that is so.
const STATE: &str = "ready";
const SINCE: &str = "ready_since";

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

/// Looks at everything, and remembers when the answer changed.
pub async fn look(node: &Node) -> Result<Readiness, Failure> {
    let facts = facts::gather(node).await?;
    let checks = checks::of(&facts);
    let ready = checks.iter().all(|check| check.level < Level::Critical);
    let since = remember(node, ready, facts.verified_at().unwrap_or(facts.now)).await?;
    Ok(Readiness { ready, since, checks })
}

/// Looks after a sync, so that `since` is right whenever somebody asks.
pub async fn note(node: &Node) -> Result<(), Failure> {
    look(node).await.map(drop)
}

/// Since when it is so. A node that became ready is so since its data were last verified.
async fn remember(node: &Node, ready: bool, verified_at: Timestamp) -> Result<Timestamp, Failure> {
    let word = if ready { "yes" } else { "no" };
    let known = node.store.setting_get(STATE).await?;
    let since = node.store.setting_get(SINCE).await?.and_then(|text| text.parse().ok());
    if let (Some(known), Some(since)) = (known, since)
        && known == word
    {
        return Ok(since);
    }
    let since = if ready { verified_at } else { node.clock.now() };
    let mut tx = node.store.write("readiness", taosync_store::Durability::Relaxed).await?;
    tx.setting_set(STATE, word).await?;
    tx.setting_set(SINCE, &since.to_string()).await?;
    tx.commit().await?;
    Ok(since)
}

#[cfg(test)]
mod tests;
