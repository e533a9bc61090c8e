//! Deliveries that were handed to TAO's own import: with which files, and what became of it.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use taosync_model::Digest;

use crate::values::{Record, cut};
use crate::{Durability, Store, StoreError};

/// Characters of a reason that are kept.
const REASON: usize = 4_000;

/// What became of handing a delivery to TAO's import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Begun, and not ended yet: or the process that did it has died.
    Running,
    /// TAO has compiled it.
    Done,
    /// TAO could not; the delivery is not offered until its package changes or a person asks again.
    Failed,
}

impl ImportState {
    /// The spelling in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for ImportState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Running, Self::Done, Self::Failed].into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is not a state of an import"))
    }
}

/// A delivery that was handed to TAO's import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Delivery URI.
    pub delivery: String,
    /// Hash of the files that were handed over.
    pub tree: Digest,
    /// What became of it.
    pub state: ImportState,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it began or ended.
    pub at: Timestamp,
}

impl Store {
    /// All deliveries that were handed over, in the order of their URIs.
    pub async fn imports_list(&self) -> Result<Vec<Import>, StoreError> {
        let rows = sqlx::query("SELECT delivery, tree, state, reason, at FROM tao_import ORDER BY delivery")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("imports_list"))?;
        rows.iter().map(import).collect()
    }

    /// Notes how handing a delivery over stands. It has reached the disk when this returns.
    pub async fn import_note(
        &self,
        delivery: &str,
        tree: Digest,
        state: ImportState,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write("import_note", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO tao_import (delivery, tree, state, reason, at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (delivery) DO UPDATE
             SET tree = excluded.tree, state = excluded.state, reason = excluded.reason, at = excluded.at",
        )
        .bind(delivery)
        .bind(tree.0.to_vec())
        .bind(state.as_str())
        .bind(reason.map(|reason| cut(reason, REASON)))
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }
}

fn import(row: &SqliteRow) -> Result<Import, StoreError> {
    let row = Record::new("tao_import", row);
    Ok(Import {
        delivery: row.get("delivery")?,
        tree: row.digest("tree")?,
        state: row.word("state")?,
        reason: row.get("reason")?,
        at: row.time("at")?,
    })
}
