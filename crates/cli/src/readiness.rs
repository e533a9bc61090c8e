//! Whether a local server is ready for the exam: one line a check, and a sentence. *Ready* means verified equal to
//! central with all tests here, not that no error was seen.

mod checks;
mod facts;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::node::Node;

pub use checks::{clock, disk, whole};
pub use facts::clock_ahead;
pub use taosync_model::readiness::{Check, Level, Readiness};

/// Settings: whether the node was ready when last looked at, and since when that is so.
const STATE: &str = "ready";
const SINCE: &str = "ready_since";

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
