//! The audit log: every authenticated act, append-only. It carries random ids and names of acts, never answers or secrets.

use jiff::Timestamp;
use uuid::Uuid;

use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// Something somebody did.
#[derive(Clone, Debug)]
pub struct AuditEntry<'a> {
    /// Who: a consumer's client key, a user of the dashboard, `command line` …
    pub actor: &'a str,
    /// What, such as `consumer.revoke`.
    pub act: &'a str,
    /// To what: an id or name.
    pub object: &'a str,
    /// Further facts.
    pub detail: serde_json::Value,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// Id of the line.
    pub id: Uuid,
    /// When, by this node's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub act: String,
    /// To what.
    pub object: String,
    /// Further facts.
    pub detail: serde_json::Value,
}

impl Store {
    /// Writes a line in a transaction of its own.
    pub async fn audit_write(&self, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("audit_write", Durability::Flushed).await?;
        self.audit_add(&mut tx, entry).await?;
        tx.commit().await
    }

    /// Writes a line in the transaction of the act itself: both happen or neither.
    pub async fn audit_add(&self, tx: &mut Tx, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
        let sql = tx.sql();
        sqlx::query("INSERT INTO audit (id, at, actor, act, object, detail) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(self.clock.new_id())
            .bind(self.now_ms())
            .bind(entry.actor)
            .bind(entry.act)
            .bind(entry.object)
            .bind(json_text(&entry.detail)?)
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        Ok(())
    }

    /// The newest lines, newest first.
    pub async fn audit_list(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = sqlx::query("SELECT id, at, actor, act, object, detail FROM audit ORDER BY id DESC LIMIT $1")
            .bind(limit)
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("audit_list"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("audit", row);
                Ok(AuditRecord {
                    id: row.get("id")?,
                    at: row.time("at")?,
                    actor: row.get("actor")?,
                    act: row.get("act")?,
                    object: row.get("object")?,
                    detail: row.json("detail")?,
                })
            })
            .collect()
    }
}
