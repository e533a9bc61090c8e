//! Settings of a node: named texts and counters, and who the node is.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;

use crate::{Durability, Store, StoreError, Tx};

/// Number of the last receipt that was given out (central).
pub const RECEIPT_NO: &str = "receipt_no";

/// Numbers of the column keys that values may be sealed with, as a JSON list.
pub(crate) const COLUMN_KEYS: &str = "column_keys";

const NODE_ID: &str = "node_id";
const ROLE: &str = "role";
const EPOCH: &str = "epoch";

/// Which of the two roles a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Holds the truth.
    Central,
    /// Stands in a school.
    Local,
}

impl Role {
    /// The spelling in the database, in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Local => "local",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Central, Self::Local]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a role; use central or local"))
    }
}

/// Who the node is, set by `taosync init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Node id.
    pub node: Uuid,
    /// Role.
    pub role: Role,
    /// Id of the history of this database; a restore sets a new one.
    pub epoch: Uuid,
}

impl Store {
    /// A setting.
    pub async fn setting_get(&self, name: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(StoreError::sql("setting_get"))
    }

    /// All settings whose names begin so.
    pub async fn settings_named(&self, prefix: &str) -> Result<HashMap<String, String>, StoreError> {
        let found: Vec<(String, String)> =
            sqlx::query_as("SELECT name, value FROM setting WHERE substr(name, 1, length($1)) = $1")
                .bind(prefix)
                .fetch_all(&self.pools.readers)
                .await
                .map_err(StoreError::sql("settings_named"))?;
        Ok(found.into_iter().collect())
    }

    /// Sets a setting.
    pub async fn setting_set(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut tx = self.write("setting_set", Durability::Flushed).await?;
        tx.setting_set(name, value).await?;
        tx.commit().await
    }

    /// Who the node is; [`StoreError::NotFound`] before `taosync init`.
    pub async fn identity(&self) -> Result<Identity, StoreError> {
        let rows = sqlx::query("SELECT name, value FROM setting WHERE name IN ($1, $2, $3)")
            .bind(NODE_ID)
            .bind(ROLE)
            .bind(EPOCH)
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("identity"))?;
        Ok(Identity {
            node: setting_of(&rows, NODE_ID)?,
            role: setting_of(&rows, ROLE)?,
            epoch: setting_of(&rows, EPOCH)?,
        })
    }

    /// Makes a copy a machine of its own: a new node id, no memory of syncs, and everything it holds is compared at the
    /// next one. What it made keeps the id it was made under. The keys are the caller's.
    pub async fn identity_renew(&self) -> Result<Uuid, StoreError> {
        let node = self.clock.new_id();
        let mut tx = self.write("identity_renew", Durability::Flushed).await?;
        tx.setting_set(NODE_ID, &node.to_string()).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE replica_scope SET steps = 0, continuation = NULL, next_continuation = NULL, claim = '',
                 compare_due = 1",
        )
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await?;
        Ok(node)
    }

    /// Says who the node is; afterwards also the way to give it a new id or epoch.
    pub async fn identity_set(&self, identity: &Identity) -> Result<(), StoreError> {
        let mut tx = self.write("identity_set", Durability::Flushed).await?;
        tx.setting_set(NODE_ID, &identity.node.to_string()).await?;
        tx.setting_set(ROLE, identity.role.as_str()).await?;
        tx.setting_set(EPOCH, &identity.epoch.to_string()).await?;
        tx.commit().await
    }
}

impl Tx {
    /// The epoch of this database's history.
    pub(crate) async fn epoch(&mut self) -> Result<Uuid, StoreError> {
        let sql = self.sql();
        let rows = sqlx::query("SELECT name, value FROM setting WHERE name = $1")
            .bind(EPOCH)
            .fetch_all(self.conn())
            .await
            .map_err(sql)?;
        setting_of(&rows, EPOCH)
    }

    /// Sets a setting.
    pub async fn setting_set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let sql = self.sql();
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(self.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }

    /// Adds to a counter, which begins at 0, and says what it is now.
    pub async fn setting_add(&mut self, name: &str, by: i64) -> Result<i64, StoreError> {
        let sql = self.sql();
        let value: String = sqlx::query_scalar(
            "INSERT INTO setting (name, value) VALUES ($1, CAST($2 AS TEXT))
             ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + $2 AS TEXT) RETURNING value",
        )
        .bind(name)
        .bind(by)
        .fetch_one(self.conn())
        .await
        .map_err(sql)?;
        value.parse().map_err(|_| StoreError::damaged(format!("setting '{name}'")))
    }
}

fn setting_of<T: std::str::FromStr>(rows: &[sqlx::sqlite::SqliteRow], name: &str) -> Result<T, StoreError> {
    let row = rows.iter().find(|row| row.try_get::<&str, _>("name").is_ok_and(|n| n == name));
    let row = row.ok_or_else(|| StoreError::NotFound {
        what: format!("setting '{name}'"),
        advice: "run 'taosync init central' or 'taosync init local' first",
    })?;
    let value = row.try_get::<&str, _>("value").ok().and_then(|v| v.parse().ok());
    value.ok_or_else(|| StoreError::damaged(format!("setting '{name}'")))
}
