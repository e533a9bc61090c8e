//! Central's history from what local servers report: one record a sync, whatever central saw of it itself.

use jiff::Timestamp;
use serde_json::{Value, json};
use taosync_model::OrgId;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::history::SyncOutcome;
use crate::values::{cut, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// A sync as a local server reports it.
#[derive(Clone, Debug)]
pub struct ReportedRun<'a> {
    /// Id of the sync.
    pub id: Uuid,
    /// The node, from the token.
    pub node: Uuid,
    /// The org, from the token.
    pub org: &'a OrgId,
    /// The consumer's key.
    pub actor: &'a str,
    /// When it began, by central's clock.
    pub started_at: Timestamp,
    /// When it ended, by central's clock.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: SyncOutcome,
    /// Code of the reason.
    pub code: Option<&'a str>,
    /// The reason in words.
    pub reason: Option<&'a str>,
    /// The report.
    pub report: &'a Value,
    /// Whether node and central were proven equal, and nothing waits there: what central may have lost is back.
    pub is_whole: bool,
    /// Whether anything changed there, came in from there, or went wrong.
    pub has_news: bool,
    /// Copies of results erased there so far, by the node's signed word.
    pub purged: Option<u64>,
}

impl Store {
    /// Keeps a report: as the node's last word about the org, and as the end of its sync in the history. The same
    /// report again changes nothing; an id that belongs to a sync of another node or org is refused.
    pub async fn sync_reported(&self, run: &ReportedRun<'_>) -> Result<(), StoreError> {
        let body = json_text(run.report)?;
        let mut tx = self.write("sync_reported", Durability::Flushed).await?;
        let sql = tx.sql();
        let kept = sqlx::query(
            "INSERT INTO sync_run (id, node, org, actor, what, started_at, ended_at, outcome, code, reason, summary)
             VALUES ($1, $2, $3, $4, 'all', $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at, ended_at = excluded.ended_at,
                 outcome = excluded.outcome, code = excluded.code, reason = excluded.reason, summary = excluded.summary
             WHERE sync_run.node = excluded.node AND sync_run.org = excluded.org",
        )
        .bind(run.id)
        .bind(run.node)
        .bind(run.org.as_str())
        .bind(run.actor)
        .bind(run.started_at.as_millisecond())
        .bind(run.ended_at.as_millisecond())
        .bind(run.outcome.as_str())
        .bind(run.code.map(|code| cut(code, 64)))
        .bind(run.reason.map(|reason| cut(reason, 2000)))
        .bind(&body)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        if kept.rows_affected() == 0 {
            return Err(StoreError::Refused(format!("sync {} is another machine's or organisation's", run.id)));
        }
        tx.records_bound(run.id).await?;
        self.purge_note(&mut tx, run).await?;
        sqlx::query(
            "INSERT INTO node_org (node, org, report, reported_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node, org) DO UPDATE SET report = excluded.report, reported_at = excluded.reported_at,
                 behind_at = CASE WHEN $5 THEN NULL ELSE behind_at END",
        )
        .bind(run.node)
        .bind(run.org.as_str())
        .bind(&body)
        .bind(self.now_ms())
        .bind(run.is_whole)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        if run.has_news {
            let object = run.id.to_string();
            let detail = json!({"org": run.org, "node": run.node, "outcome": run.outcome.as_str()});
            let entry = AuditEntry { actor: run.actor, act: "sync.report", object: &object, detail };
            self.audit_add(&mut tx, &entry).await?;
        } else {
            self.poll_count("sync.report");
        }
        tx.commit().await
    }

    /// Notes what a local server says it has erased, when that is more than it said before.
    async fn purge_note(&self, tx: &mut Tx, run: &ReportedRun<'_>) -> Result<(), StoreError> {
        let Some(copies) = run.purged else { return Ok(()) };
        let sql = tx.sql();
        let before: Option<Option<i64>> =
            sqlx::query_scalar("SELECT report -> 'purged' ->> 'copies' FROM node_org WHERE node = $1 AND org = $2")
                .bind(run.node)
                .bind(run.org.as_str())
                .fetch_optional(tx.conn())
                .await
                .map_err(sql)?;
        if copies <= before.flatten().unwrap_or(0).unsigned_abs() {
            return Ok(());
        }
        let object = run.node.to_string();
        let detail = json!({"org": run.org, "copies": copies});
        let entry = AuditEntry { actor: run.actor, act: "retention.purged", object: &object, detail };
        self.audit_add(tx, &entry).await?;
        Ok(())
    }
}
