//! Records of syncs of TAO clients: begun by the first listing, ended by the confirmation, if one comes.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::history::{NewRun, RunEnd, SyncOutcome};
use crate::values::Record;
use crate::{Store, StoreError};

/// Whose sync, and which of its syncs.
#[derive(Clone, Copy, Debug)]
pub struct TaoRun<'a> {
    /// The box, as a node.
    pub node: Uuid,
    /// The org.
    pub org: &'a OrgId,
    /// The consumer's key.
    pub actor: &'a str,
    /// What the box calls itself.
    pub box_id: &'a str,
    /// Number of the sync on the box.
    pub sync_id: &'a str,
    /// Version of TAO on the box, when it says so.
    pub version: Option<&'a str>,
}

/// A box as its syncs show it, for one org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaoBox {
    /// The box, as a node.
    pub node: Uuid,
    /// What it calls itself.
    pub box_id: String,
    /// The org.
    pub org: OrgId,
    /// The consumer's key, or the manager's login, that it last came with.
    pub actor: String,
    /// Version of TAO on it.
    pub version: Option<String>,
    /// When its last sync began.
    pub last_seen: Timestamp,
    /// How that ended.
    pub outcome: SyncOutcome,
    /// When one last ended well.
    pub last_success: Option<Timestamp>,
}

impl Store {
    /// Every box that has synced, the last one first.
    pub async fn tao_boxes(&self) -> Result<Vec<TaoBox>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.node, r.org, r.actor, r.outcome, max(r.started_at) AS last_seen,
                 json_extract(r.summary, '$.tao.box_id') AS box_id,
                 json_extract(r.summary, '$.tao.version') AS version,
                 (SELECT max(s.ended_at) FROM sync_run s
                  WHERE s.node = r.node AND s.org = r.org AND s.outcome = 'success') AS last_success
             FROM sync_run r WHERE json_extract(r.summary, '$.tao.box_id') IS NOT NULL
             GROUP BY r.node, r.org ORDER BY last_seen DESC, r.org",
        )
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("tao_boxes"))?;
        rows.iter().map(tao_box).collect()
    }

    /// Begins a record, unless this sync has one.
    pub async fn tao_run_begin(&self, run: &TaoRun<'_>) -> Result<Uuid, StoreError> {
        if let Some(id) = self.tao_run_find(run).await? {
            return Ok(id);
        }
        let id = self.clock.new_id();
        self.sync_begin(&NewRun { id, node: run.node, org: run.org, actor: run.actor, what: "all" }).await?;
        self.sync_note(id, &names_of(run, None)).await?;
        Ok(id)
    }

    /// Ends the record of a sync; one that was not begun here is begun and ended at once. `state` is what the box says
    /// of its machine.
    pub async fn tao_run_end(
        &self,
        run: &TaoRun<'_>,
        end: &RunEnd<'_>,
        state: Option<&Value>,
    ) -> Result<(), StoreError> {
        let id = self.tao_run_begin(run).await?;
        self.sync_end(id, &RunEnd { summary: &names_of(run, state), ..end.clone() }).await
    }

    async fn tao_run_find(&self, run: &TaoRun<'_>) -> Result<Option<Uuid>, StoreError> {
        sqlx::query_scalar(
            "SELECT id FROM sync_run WHERE org = $1 AND node = $2 AND json_extract(summary, '$.tao.sync_id') = $3
             ORDER BY id DESC LIMIT 1",
        )
        .bind(run.org.as_str())
        .bind(run.node)
        .bind(run.sync_id)
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("tao_run_find"))
    }

    async fn sync_note(&self, id: Uuid, summary: &Value) -> Result<(), StoreError> {
        let mut tx = self.write("sync_note", crate::Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE sync_run SET summary = $2 WHERE id = $1")
            .bind(id)
            .bind(summary.to_string())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }
}

fn tao_box(row: &SqliteRow) -> Result<TaoBox, StoreError> {
    let row = Record::new("sync_run", row);
    Ok(TaoBox {
        node: row.get("node")?,
        box_id: row.get("box_id")?,
        org: row.word("org")?,
        actor: row.get("actor")?,
        version: row.get("version")?,
        last_seen: row.time("last_seen")?,
        outcome: row.word("outcome")?,
        last_success: row.time_or_none("last_success")?,
    })
}

fn names_of(run: &TaoRun<'_>, state: Option<&Value>) -> Value {
    let mut summary = json!({"tao": {"box_id": run.box_id, "sync_id": run.sync_id, "version": run.version}});
    if let Some(state) = state {
        summary["tao"]["client_state"] = state.clone();
    }
    summary
}
