//! Keys of test runners on a local server: kept as hashes, gone at once when revoked.

use std::collections::BTreeSet;

use jiff::Timestamp;
use taosync_model::{EntityType, OrgId};
use taosync_vault::tokens;

use crate::values::{Record, cut, json_text};
use crate::{Durability, Store, StoreError};

/// What a key of a test runner opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RunnerScope {
    /// All organisations this server serves, now and later.
    #[default]
    All,
    /// These.
    Of(BTreeSet<OrgId>),
}

/// A key of a test runner; the key itself is never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerKey {
    /// The first hex characters of its hash: how lists and `revoke` name it.
    pub name: String,
    /// What a person called it.
    pub label: String,
    /// What it opens.
    pub scope: RunnerScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Hex characters of [`RunnerKey::name`].
const NAME_CHARACTERS: usize = 12;

impl RunnerScope {
    /// Whether an organisation is open.
    pub fn has(&self, org: &OrgId) -> bool {
        match self {
            Self::All => true,
            Self::Of(orgs) => orgs.contains(org),
        }
    }

    /// The organisations; `None` for all.
    pub fn orgs(&self) -> Option<&BTreeSet<OrgId>> {
        match self {
            Self::All => None,
            Self::Of(orgs) => Some(orgs),
        }
    }

    fn from_json(text: Option<&str>) -> Result<Self, StoreError> {
        let Some(text) = text else { return Ok(Self::All) };
        serde_json::from_str(text).map(Self::Of).map_err(|_| StoreError::damaged("runner_key.orgs"))
    }

    /// As it is bound to statements; none for all.
    pub(crate) fn to_json(&self) -> Result<Option<String>, StoreError> {
        self.orgs().map(json_text).transpose()
    }
}

impl Store {
    /// Keeps a key by its hash (`vault::tokens`) and says how it is called.
    pub async fn runner_key_add(
        &self,
        hash: &[u8; 32],
        label: &str,
        scope: &RunnerScope,
    ) -> Result<String, StoreError> {
        let mut tx = self.write("runner_key_add", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("INSERT INTO runner_key (hash, label, orgs, created_at) VALUES ($1, $2, $3, $4)")
            .bind(hash.as_slice())
            .bind(cut(label, 128))
            .bind(scope.to_json()?)
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await?;
        Ok(name_of(hash))
    }

    /// Label and scope of a key that may be used; `None` when it is unknown or revoked. A server has few keys: all are
    /// compared, each in constant time, so that how long it takes says nothing about any.
    pub async fn runner_key_check(&self, hash: &[u8; 32]) -> Result<Option<(String, RunnerScope)>, StoreError> {
        let keys: Vec<(Vec<u8>, String, Option<String>)> =
            sqlx::query_as("SELECT hash, label, orgs FROM runner_key WHERE revoked_at IS NULL")
                .fetch_all(&self.pools.readers)
                .await
                .map_err(StoreError::sql("runner_key_check"))?;
        let mut found = None;
        for (kept, label, orgs) in keys {
            if tokens::equal(hash, &kept) {
                found = Some((label, orgs));
            }
        }
        found.map(|(label, orgs)| Ok((label, RunnerScope::from_json(orgs.as_deref())?))).transpose()
    }

    /// Whether a key with this scope may read a delivery's tests: an organisation of it has the delivery, or had it and
    /// has attempts at it.
    pub async fn runner_may_read(&self, scope: &RunnerScope, delivery: &str) -> Result<bool, StoreError> {
        let Some(orgs) = scope.to_json()? else { return Ok(true) };
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM replica_entry r CROSS JOIN replica_scope s ON s.id = r.scope
                            WHERE r.uri = $2 AND r.type = $3 AND s.org IN (SELECT value FROM json_each($1)))
             OR EXISTS (SELECT 1 FROM execution WHERE delivery = $2 AND org IN (SELECT value FROM json_each($1)))",
        )
        .bind(orgs)
        .bind(delivery)
        .bind(EntityType::Delivery.code())
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("runner_may_read"))
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
                    scope: RunnerScope::from_json(row.get("orgs")?)?,
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
                advice: "see 'taosync runner-key list'",
            });
        }
        tx.commit().await
    }
}

fn name_of(hash: &[u8]) -> String {
    hex::encode(hash).chars().take(NAME_CHARACTERS).collect()
}
