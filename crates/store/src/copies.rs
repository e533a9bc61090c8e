//! A consistent copy of the database while it is in use, for a backup; and what has to change in one that is restored.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use taosync_model::Digest;
use taosync_vault::random;

use crate::audit::AuditEntry;
use crate::settings::{RECEIPT_NO, Role};
use crate::{Durability, Store, StoreError};

/// Setting: number of the newest receipt inside a verified backup.
const SAFE_RECEIPT_NO: &str = "safe_receipt_no";

/// How long the copy waits for a writer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a copy holds.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Receipts up to this number were given when it was made (central).
    pub receipts_through: i64,
    /// Chunks that its packages need.
    pub chunks: Vec<Digest>,
}

impl Store {
    /// Writes a copy of the database, as it is at one moment, into a new file, and checks it. Writers go on meanwhile.
    pub async fn copy_to(&self, path: &Path) -> Result<Copied, StoreError> {
        let target = path.to_str().ok_or_else(|| StoreError::Refused(format!("{} is no text", path.display())))?;
        let sql = StoreError::sql("copy_to");
        // A connection of its own: a reader's may not write, and a writer's would hold up everybody.
        let source = SqliteConnectOptions::new().filename(self.dir.join("taosync.sqlite")).busy_timeout(PATIENCE);
        let mut source = source.disable_statement_logging().connect().await.map_err(&sql)?;
        sqlx::query("VACUUM INTO $1").bind(target).execute(&mut source).await.map_err(&sql)?;
        source.close().await.map_err(&sql)?;
        let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
        let mut copy = options.connect().await.map_err(&sql)?;
        let verdict: String =
            sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut copy).await.map_err(&sql)?;
        if verdict != "ok" {
            return Err(StoreError::damaged("the database"));
        }
        let number: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(RECEIPT_NO)
            .fetch_optional(&mut copy)
            .await
            .map_err(&sql)?;
        let rows = sqlx::query("SELECT name FROM chunk ORDER BY name").fetch_all(&mut copy).await.map_err(&sql)?;
        let chunk = |row: &sqlx::sqlite::SqliteRow| {
            let name = row.try_get::<&[u8], _>("name").ok().and_then(|name| Digest::from_slice(name).ok());
            name.ok_or_else(|| StoreError::damaged("chunk.name"))
        };
        let chunks = rows.iter().map(chunk).collect::<Result<_, _>>()?;
        copy.close().await.map_err(sql)?;
        Ok(Copied { receipts_through: number.and_then(|text| text.parse().ok()).unwrap_or(0), chunks })
    }

    /// After a backup was verified: what it holds is safe, and locals may be told so.
    pub async fn backup_verified(&self, receipts_through: i64, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("backup_verified", Durability::Flushed).await?;
        let safe = tx.setting_add(SAFE_RECEIPT_NO, 0).await?;
        tx.setting_set(SAFE_RECEIPT_NO, &safe.max(receipts_through).to_string()).await?;
        self.audit_add(&mut tx, entry).await?;
        tx.commit().await
    }

    /// Makes a restored database ready to be used. A central begins a new history: positions, tokens and steps of the old
    /// one are void, and its receipts are all in the backup. A local server shows the step it had: if it, or a machine
    /// that lives on elsewhere, has gone on since, central asks a person.
    pub async fn restored(&self, actor: &str) -> Result<(), StoreError> {
        let identity = self.identity().await?;
        let epoch = random::uuid();
        let mut tx = self.write("restored", Durability::Flushed).await?;
        let sql = tx.sql();
        if identity.role == Role::Central {
            let through = tx.setting_add(RECEIPT_NO, 0).await?;
            tx.setting_set(SAFE_RECEIPT_NO, &through.to_string()).await?;
            tx.setting_set("epoch", &epoch.to_string()).await?;
            sqlx::query("UPDATE scope SET epoch = $1").bind(epoch).execute(tx.conn()).await.map_err(&sql)?;
            sqlx::query("DELETE FROM token").execute(tx.conn()).await.map_err(&sql)?;
            tx.continuations_open().await?;
        } else {
            // Chosen before the backup, the word may be known to another machine by now.
            let query = sqlx::query("UPDATE replica_scope SET next_continuation = NULL");
            query.execute(tx.conn()).await.map_err(&sql)?;
        }
        let (object, epoch) = (identity.node.to_string(), (identity.role == Role::Central).then_some(epoch));
        let entry = AuditEntry { actor, act: "node.restore", object: &object, detail: json!({"epoch": epoch}) };
        self.audit_add(&mut tx, &entry).await?;
        tx.commit().await
    }
}
