//! Keys of test runners on a local server: kept as hashes, gone at once when revoked.

use jiff::Timestamp;
use taosync_vault::tokens;

use crate::values::{Record, cut};
use crate::{Durability, Store, StoreError};

/// A key of a test runner; the key itself is never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerKey {
    /// The first hex characters of its hash: how lists and `revoke` name it.
    pub name: String,
    /// What a person called it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Hex characters of [`RunnerKey::name`].
const NAME_CHARACTERS: usize = 12;

impl Store {
    /// Keeps a key by its hash (`vault::tokens`) and says how it is called.
    pub async fn runner_key_add(&self, hash: &[u8; 32], label: &str) -> Result<String, StoreError> {
        let mut tx = self.write("runner_key_add", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("INSERT INTO runner_key (hash, label, created_at) VALUES ($1, $2, $3)")
            .bind(hash.as_slice())
            .bind(cut(label, 128))
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await?;
        Ok(name_of(hash))
    }

    /// The label of a key that may be used; `None` when it is unknown or revoked. A server has few keys: all are compared,
    /// each in constant time, so that how long it takes says nothing about any.
    pub async fn runner_key_check(&self, hash: &[u8; 32]) -> Result<Option<String>, StoreError> {
        let keys: Vec<(Vec<u8>, String)> =
            sqlx::query_as("SELECT hash, label FROM runner_key WHERE revoked_at IS NULL")
                .fetch_all(&self.pools.readers)
                .await
                .map_err(StoreError::sql("runner_key_check"))?;
        let mut found = None;
        for (kept, label) in keys {
            if tokens::equal(hash, &kept) {
                found = Some(label);
            }
        }
        Ok(found)
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn runner_keys_list(&self) -> Result<Vec<RunnerKey>, StoreError> {
        let rows = sqlx::query("SELECT * FROM runner_key ORDER BY created_at, hash")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("runner_keys_list"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("runner_key", row);
                Ok(RunnerKey {
                    name: name_of(row.get("hash")?),
                    label: row.get("label")?,
                    created_at: row.time("created_at")?,
                    revoked_at: row.time_or_none("revoked_at")?,
                })
            })
            .collect()
    }

    /// Revokes the key of this name (see [`RunnerKey::name`]).
    pub async fn runner_key_revoke(&self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.write("runner_key_revoke", Durability::Flushed).await?;
        let sql = tx.sql();
        let revoked = sqlx::query(
            "UPDATE runner_key SET revoked_at = coalesce(revoked_at, $2) WHERE substr(lower(hex(hash)), 1, $3) = $1",
        )
        .bind(name)
        .bind(self.now_ms())
        .bind(NAME_CHARACTERS as i64)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        if revoked.rows_affected() == 0 {
            return Err(StoreError::NotFound {
                what: format!("runner key '{}'", cut(name, 64)),
                advice: "list the keys to see their names",
            });
        }
        tx.commit().await
    }
}

fn name_of(hash: &[u8]) -> String {
    hex::encode(hash).chars().take(NAME_CHARACTERS).collect()
}
