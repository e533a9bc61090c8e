//! What happened: one record a sync on both sides, and reports that central has not answered yet.

use jiff::Timestamp;
use serde_json::Value;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::rows;
use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Not ended yet.
    Running,
    /// Everything was done and verified.
    Success,
    /// Done, but something is left, such as refused items or held removals.
    Partial,
    /// Not done, see the reason.
    Failed,
    /// The process ended in the middle of it.
    Interrupted,
}

impl SyncOutcome {
    /// The spelling in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl std::str::FromStr for SyncOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Running, Self::Success, Self::Partial, Self::Failed, Self::Interrupted]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not an outcome of a sync"))
    }
}

/// A sync that begins.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// Id, made by the local server; the same on both sides.
    pub id: Uuid,
    /// Local node that syncs.
    pub node: Uuid,
    /// Organisation.
    pub org: &'a OrgId,
    /// Who started it: a user, `schedule`, a consumer.
    pub actor: &'a str,
    /// `data`, `results` or `all`.
    pub what: &'a str,
}

/// How a sync ended.
#[derive(Clone, Debug)]
pub struct RunEnd<'a> {
    /// Outcome.
    pub outcome: SyncOutcome,
    /// Code of the message, such as `TS-203`.
    pub code: Option<&'a str>,
    /// What happened, in words for a person.
    pub reason: Option<&'a str>,
    /// Counts, positions, digests.
    pub summary: &'a Value,
}

/// A sync.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncRun {
    /// Id; the same in reports.
    pub id: Uuid,
    /// Local node that syncs.
    pub node: Uuid,
    /// Organisation.
    pub org: OrgId,
    /// Who started it.
    pub actor: String,
    /// `data`, `results` or `all`.
    pub what: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: SyncOutcome,
    /// Code of the message.
    pub code: Option<String>,
    /// What happened, in words for a person.
    pub reason: Option<String>,
    /// Counts, positions, digests.
    pub summary: Value,
}

/// When a node last synced an organisation with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSuccess {
    /// Local node.
    pub node: Uuid,
    /// Organisation.
    pub org: OrgId,
    /// When.
    pub at: Timestamp,
}

/// A report that central has not answered yet.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedReport {
    /// Row.
    pub id: Uuid,
    /// The report.
    pub body: Value,
}

/// Records of one node about one organisation that are kept; further ones push the oldest out.
pub const RECORDS: u32 = 1_000;

/// Reports of one organisation that wait at most; further ones push the oldest out. The newest says how things stand.
pub const REPORTS: u32 = 500;

impl Store {
    /// Forgets syncs that began before a moment, except each node's last success about an organisation. Says how many.
    pub async fn syncs_forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write("syncs_forget", Durability::Relaxed).await?;
        let sql = tx.sql();
        let forgotten = sqlx::query(
            "DELETE FROM sync_run WHERE started_at < $1 AND ended_at IS NOT NULL AND id NOT IN
                 (SELECT id FROM (SELECT id, max(ended_at) FROM sync_run WHERE outcome = 'success' GROUP BY node, org))",
        )
        .bind(before.as_millisecond())
        .execute(tx.conn())
        .await
        .map_err(sql)?
        .rows_affected();
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Begins a record, which may be lost with the power: nothing but the record itself speaks of it. Runs of the same node, organisation and direction that never ended are called interrupted.
    pub async fn sync_begin(&self, new: &NewRun<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("sync_begin", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE sync_run SET outcome = 'interrupted', ended_at = $4,
                 reason = 'the program or the machine stopped in the middle of this sync; nothing is lost, the next one \
             goes on where it stopped'
             WHERE node = $1 AND org = $2 AND id <> $5 AND outcome = 'running'
               AND (what = $3 OR what = 'all' OR $3 = 'all')",
        )
        .bind(new.node)
        .bind(new.org.as_str())
        .bind(new.what)
        .bind(self.now_ms())
        .bind(new.id)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        sqlx::query(
            "INSERT INTO sync_run (id, node, org, actor, what, started_at, outcome, summary)
             VALUES ($1, $2, $3, $4, $5, $6, 'running', '{}') ON CONFLICT (id) DO NOTHING",
        )
        .bind(new.id)
        .bind(new.node)
        .bind(new.org.as_str())
        .bind(new.actor)
        .bind(new.what)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        tx.commit().await
    }

    /// Ends a record.
    pub async fn sync_end(&self, id: Uuid, end: &RunEnd<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("sync_end", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE sync_run SET outcome = $2, code = $3, reason = $4, summary = $5, ended_at = $6 WHERE id = $1",
        )
        .bind(id)
        .bind(end.outcome.as_str())
        .bind(end.code)
        .bind(end.reason)
        .bind(json_text(end.summary)?)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.records_bound(id).await?;
        tx.commit().await
    }

    /// The newest records, newest first, of one organisation or of all.
    pub async fn sync_list(&self, org: Option<&OrgId>, limit: u32) -> Result<Vec<SyncRun>, StoreError> {
        let rows = sqlx::query("SELECT * FROM sync_run WHERE $1 IS NULL OR org = $1 ORDER BY id DESC LIMIT $2")
            .bind(org.map(OrgId::as_str))
            .bind(limit)
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("sync_list"))?;
        rows.iter().map(|row| sync_run(&Record::new("sync_run", row))).collect()
    }

    /// When each node last synced each organisation with success.
    pub async fn sync_last_success(&self) -> Result<Vec<LastSuccess>, StoreError> {
        let rows = sqlx::query(
            "SELECT node, org, max(ended_at) AS at FROM sync_run WHERE outcome = 'success' GROUP BY node, org
             ORDER BY org, node",
        )
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("sync_last_success"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("sync_run", row);
                Ok(LastSuccess { node: row.get("node")?, org: row.word("org")?, at: row.time("at")? })
            })
            .collect()
    }

    /// Keeps a report until central has answered it, the newest [`REPORTS`] of each organisation: a school that is never
    /// reached fills no disk with them. It may be lost with the power: the next sync makes another.
    pub async fn report_add(&self, remote: Uuid, org: &OrgId, body: &Value) -> Result<(), StoreError> {
        let mut tx = self.write("report_add", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query("INSERT INTO report_queue (id, remote, org, body) VALUES ($1, $2, $3, $4)")
            .bind(self.clock.new_id())
            .bind(remote)
            .bind(org.as_str())
            .bind(json_text(body)?)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        sqlx::query(
            "DELETE FROM report_queue WHERE id IN (SELECT id FROM report_queue WHERE remote = $1 AND org = $2
                 ORDER BY id DESC LIMIT -1 OFFSET $3)",
        )
        .bind(remote)
        .bind(org.as_str())
        .bind(REPORTS)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// The oldest reports of an organisation for a central, at most `limit`.
    pub async fn report_next(&self, remote: Uuid, org: &OrgId, limit: u32) -> Result<Vec<QueuedReport>, StoreError> {
        let query =
            sqlx::query("SELECT id, body FROM report_queue WHERE remote = $1 AND org = $2 ORDER BY id LIMIT $3");
        let query = query.bind(remote).bind(org.as_str()).bind(limit);
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("report_next"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("report_queue", row);
                Ok(QueuedReport { id: row.get("id")?, body: row.json("body")? })
            })
            .collect()
    }

    /// Forgets reports that central has answered.
    pub async fn report_done(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.write("report_done", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query("DELETE FROM report_queue WHERE id IN (SELECT unhex(value) FROM json_each($1))")
            .bind(rows::id_array(ids))
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }
}

impl Tx {
    /// Drops what is too much of the history of this sync's node and organisation: the oldest records, but not the last
    /// success.
    pub(crate) async fn records_bound(&mut self, sync: Uuid) -> Result<(), StoreError> {
        let sql = self.sql();
        sqlx::query(
            "DELETE FROM sync_run WHERE id IN
                 (SELECT r.id FROM sync_run n JOIN sync_run r ON r.node = n.node AND r.org = n.org WHERE n.id = $1
                  ORDER BY r.started_at DESC, r.id DESC LIMIT -1 OFFSET $2)
             AND id <> coalesce((SELECT r.id FROM sync_run n JOIN sync_run r ON r.node = n.node AND r.org = n.org
                  WHERE n.id = $1 AND r.outcome = 'success' ORDER BY r.started_at DESC, r.id DESC LIMIT 1), x'')",
        )
        .bind(sync)
        .bind(RECORDS)
        .execute(self.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }
}

fn sync_run(row: &Record<'_>) -> Result<SyncRun, StoreError> {
    Ok(SyncRun {
        id: row.get("id")?,
        node: row.get("node")?,
        org: row.word("org")?,
        actor: row.get("actor")?,
        what: row.get("what")?,
        started_at: row.time("started_at")?,
        ended_at: row.time_or_none("ended_at")?,
        outcome: row.word("outcome")?,
        code: row.get("code")?,
        reason: row.get("reason")?,
        summary: row.json("summary")?,
    })
}
