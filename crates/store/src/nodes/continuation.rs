//! Whether a machine is the one that synced last, or a copy, or restored; and whether central itself went back.

use serde_json::json;
use taosync_model::OrgId;
use taosync_model::continuation::{Claim, Judgement, Memory, Shown};
use taosync_model::receipt_mark::ReceiptMark;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::{Durability, Store, StoreError, Tx};

/// Setting: when this central learned that it had gone back to an older state (milliseconds since 1970).
pub const WENT_BACK_AT: &str = "went_back_at";

/// Steps in the table of a node that is taken at its word once.
const OPEN: i64 = -1;

impl Store {
    /// Judges what a machine shows, takes the step if it is one, and notes what is wrong if it is not. Says how many
    /// steps there were with it. A receipt that is not held here proves that central went back.
    pub async fn continuation_show(
        &self,
        tx: &mut Tx,
        node: Uuid,
        org: &OrgId,
        shown: &Shown,
        newest: Option<&ReceiptMark>,
    ) -> Result<(Judgement, u64), StoreError> {
        let memory = tx.continuation_memory(node, org).await?;
        let mut judgement = memory.judge(shown);
        // Also on somebody's word: it is about the machine, not about what central holds.
        let is_taken = matches!(judgement, Judgement::Follows | Judgement::Repeated | Judgement::Claimed);
        if let Some(mark) = newest.filter(|_| is_taken)
            && !self.receipt_is_known(mark).await?
        {
            judgement = Judgement::CentralWentBack;
        }
        let memory = match judgement {
            Judgement::Follows | Judgement::Claimed => {
                let after = memory.after(shown);
                if after != memory {
                    tx.continuation_step(node, org, &after).await?;
                }
                after
            }
            _ => memory,
        };
        match judgement {
            Judgement::Copied => self.diverged_note(tx, node, org, "copied").await?,
            Judgement::Old => self.diverged_note(tx, node, org, "old").await?,
            Judgement::CentralWentBack => self.behind_note(tx, node, org).await?,
            Judgement::Claimed => self.claim_note(tx, node, org, shown.claim).await?,
            Judgement::Follows | Judgement::Repeated => {}
        }
        Ok((judgement, memory.count()))
    }

    /// Whether the newest receipt a machine holds was given in this history. One of another history says nothing: such
    /// a machine finds out by itself.
    pub async fn receipt_is_known(&self, mark: &ReceiptMark) -> Result<bool, StoreError> {
        if !mark.is_of(self.identity().await?.epoch) {
            return Ok(true);
        }
        let held: Option<Vec<u8>> = sqlx::query_scalar("SELECT digest FROM received WHERE receipt_no = $1")
            .bind(mark.receipt_no)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(StoreError::sql("receipt_is_known"))?;
        Ok(held.is_some_and(|digest| mark.names(&digest)))
    }

    /// Notes that a machine holds a receipt that is not known here: this central went back.
    pub async fn receipt_unknown(&self, node: Uuid, org: &OrgId) -> Result<(), StoreError> {
        let mut tx = self.write("receipt_unknown", Durability::Flushed).await?;
        self.behind_note(&mut tx, node, org).await?;
        tx.commit().await
    }

    async fn behind_note(&self, tx: &mut Tx, node: Uuid, org: &OrgId) -> Result<(), StoreError> {
        let sql = tx.sql();
        let now = self.now_ms();
        let noted = sqlx::query(
            "INSERT INTO node_org (node, org, behind_at) VALUES ($1, $2, $3)
             ON CONFLICT (node, org) DO UPDATE SET behind_at = excluded.behind_at WHERE behind_at IS NULL",
        )
        .bind(node)
        .bind(org.as_str())
        .bind(now)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        if noted.rows_affected() == 0 {
            return Ok(());
        }
        tx.setting_set(WENT_BACK_AT, &now.to_string()).await?;
        self.continuation_audit(tx, node, org, "central.went-back").await
    }

    async fn diverged_note(&self, tx: &mut Tx, node: Uuid, org: &OrgId, how: &str) -> Result<(), StoreError> {
        let sql = tx.sql();
        let noted = sqlx::query(
            "INSERT INTO node_org (node, org, diverged, diverged_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node, org) DO UPDATE SET diverged = excluded.diverged, diverged_at = excluded.diverged_at
             WHERE diverged IS NULL",
        )
        .bind(node)
        .bind(org.as_str())
        .bind(how)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        // Every further sync of the copy is told the same; the log needs it once.
        if noted.rows_affected() == 0 {
            return Ok(());
        }
        let act = if how == "copied" { "node.copied" } else { "node.old" };
        self.continuation_audit(tx, node, org, act).await
    }

    async fn claim_note(&self, tx: &mut Tx, node: Uuid, org: &OrgId, claim: Claim) -> Result<(), StoreError> {
        if claim != Claim::Adopted {
            return self.behind_note(tx, node, org).await;
        }
        let sql = tx.sql();
        sqlx::query("UPDATE node_org SET diverged = NULL, diverged_at = NULL WHERE node = $1 AND org = $2")
            .bind(node)
            .bind(org.as_str())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        self.continuation_audit(tx, node, org, "node.adopted").await
    }

    async fn continuation_audit(&self, tx: &mut Tx, node: Uuid, org: &OrgId, act: &str) -> Result<(), StoreError> {
        let (actor, object) = (format!("node {node}"), node.to_string());
        let entry = AuditEntry { actor: &actor, act, object: &object, detail: json!({"org": org}) };
        self.audit_add(tx, &entry).await?;
        Ok(())
    }
}

impl Tx {
    async fn continuation_memory(&mut self, node: Uuid, org: &OrgId) -> Result<Memory, StoreError> {
        let sql = self.sql();
        let row: Option<(i64, Option<String>)> =
            sqlx::query_as("SELECT steps, continuation FROM node_org WHERE node = $1 AND org = $2")
                .bind(node)
                .bind(org.as_str())
                .fetch_optional(self.conn())
                .await
                .map_err(sql)?;
        Ok(match row {
            Some((steps, Some(current))) => Memory::Step { count: steps.unsigned_abs(), current },
            Some((OPEN, None)) => Memory::Open,
            _ => Memory::Nothing,
        })
    }

    async fn continuation_step(&mut self, node: Uuid, org: &OrgId, step: &Memory) -> Result<(), StoreError> {
        let Memory::Step { count, current } = step else { return Ok(()) };
        let sql = self.sql();
        sqlx::query(
            "INSERT INTO node_org (node, org, steps, continuation) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node, org) DO UPDATE SET steps = excluded.steps, continuation = excluded.continuation",
        )
        .bind(node)
        .bind(org.as_str())
        .bind(i64::try_from(*count).unwrap_or(i64::MAX))
        .bind(current)
        .execute(self.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }

    /// After a restore of central: every machine has gone on since, and is taken at its word once.
    pub async fn continuations_open(&mut self) -> Result<(), StoreError> {
        let sql = self.sql();
        let query = sqlx::query("UPDATE node_org SET steps = $1, continuation = NULL").bind(OPEN);
        query.execute(self.conn()).await.map_err(sql)?;
        Ok(())
    }
}
