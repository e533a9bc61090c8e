//! Executions on local: one test taker's attempt at a delivery, from its start to its hand-in.
//!
//! `version` is the number of the item that the next finish makes, `previous` the digest of the version before;
//! `digest` is set while the execution is finished and its item is made (DESIGN §5).

mod finish;
mod parts;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};
use taosync_model::execution::ExecutionState;
use taosync_model::{Digest, OrgId};
use uuid::Uuid;

pub use finish::{Finish, Finished, FinishedExecution};
pub use parts::{NewPart, Part, PartKind, Saved};

use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// An attempt to be started.
#[derive(Clone, Copy, Debug)]
pub struct NewExecution<'a> {
    /// Organisation.
    pub org: &'a OrgId,
    /// Delivery URI.
    pub delivery: &'a str,
    /// Test taker URI.
    pub test_taker: &'a str,
    /// Version of the package that is run, to the end, whatever is published meanwhile.
    pub package_version: u32,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Id; also of its item.
    pub id: Uuid,
    /// Organisation.
    pub org: OrgId,
    /// Delivery URI.
    pub delivery: String,
    /// Test taker URI.
    pub test_taker: String,
    /// Version of the package that is run.
    pub package_version: u32,
    /// State.
    pub state: ExecutionState,
    /// Why it was ended by somebody else.
    pub reason: Option<String>,
    /// Version of the item it makes when it finishes, or has made.
    pub version: u32,
    /// Digest of the version before.
    pub previous: Option<Digest>,
    /// Digest of the item it has made.
    pub digest: Option<Digest>,
    /// When it began, by this node's clock.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Until when it can be reactivated.
    pub resume_until: Option<Timestamp>,
}

/// Which executions to list; empty fields mean all.
#[derive(Clone, Debug, Default)]
pub struct ExecutionFilter {
    /// Organisation.
    pub org: Option<OrgId>,
    /// Delivery URI.
    pub delivery: Option<String>,
    /// Test taker URI.
    pub test_taker: Option<String>,
    /// State.
    pub state: Option<ExecutionState>,
    /// Only those after this one: the last of the page before.
    pub after: Option<Uuid>,
}

impl Store {
    /// Starts an attempt.
    pub async fn execution_start(&self, new: &NewExecution<'_>) -> Result<Uuid, StoreError> {
        let id = self.clock.new_id();
        let mut tx = self.write("execution_start", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO execution (id, org, delivery, test_taker, package_version, state, version, started_at)
             VALUES ($1, $2, $3, $4, $5, 'active', 1, $6)",
        )
        .bind(id)
        .bind(new.org.as_str())
        .bind(new.delivery)
        .bind(new.test_taker)
        .bind(new.package_version)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await?;
        Ok(id)
    }

    /// An attempt; [`StoreError::NotFound`] when there is none.
    pub async fn execution_get(&self, id: Uuid) -> Result<Execution, StoreError> {
        let query = sqlx::query("SELECT * FROM execution WHERE id = $1").bind(id);
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("execution_get"))?;
        self.execution_with_reason(&row.ok_or_else(|| unknown(id))?)
    }

    /// Attempts in the order of their start, at most `limit`.
    pub async fn executions_list(&self, filter: &ExecutionFilter, limit: u32) -> Result<Vec<Execution>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM execution WHERE 1");
        if let Some(org) = &filter.org {
            query.push(" AND org = ").push_bind(org.as_str());
        }
        if let Some(delivery) = &filter.delivery {
            query.push(" AND delivery = ").push_bind(delivery);
        }
        if let Some(test_taker) = &filter.test_taker {
            query.push(" AND test_taker = ").push_bind(test_taker);
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        if let Some(after) = filter.after {
            query.push(" AND id > ").push_bind(after);
        }
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pools.readers).await.map_err(StoreError::sql("executions_list"))?;
        rows.iter().map(|row| self.execution_with_reason(row)).collect()
    }

    fn execution_with_reason(&self, row: &SqliteRow) -> Result<Execution, StoreError> {
        let execution = execution(row)?;
        let sealed: Option<&[u8]> = Record::new("execution", row).get("reason")?;
        let open = |sealed| self.unseal("execution", execution.id.as_bytes(), "reason", sealed);
        let reason = sealed.map(open).transpose()?.map(String::from_utf8).transpose();
        let reason = reason.map_err(|_| StoreError::damaged("execution.reason"))?;
        Ok(Execution { reason, ..execution })
    }

    /// Why somebody ended an attempt, for its column.
    fn sealed_reason(&self, execution: Uuid, reason: &str) -> Vec<u8> {
        self.seal("execution", execution.as_bytes(), "reason", reason.as_bytes())
    }

    /// How many executions are in each state; states without any are left out.
    pub async fn executions_count(&self) -> Result<Vec<(ExecutionState, u64)>, StoreError> {
        let rows = sqlx::query("SELECT state, count(*) AS number FROM execution GROUP BY state ORDER BY state")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("executions_count"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("execution", row);
                Ok((row.word("state")?, row.number("number")?))
            })
            .collect()
    }

    /// Moves an attempt that is not over between active, paused, awaiting and authorized. Endings have their own ways:
    /// [`Store::execution_finish`] and [`Store::execution_terminate`].
    pub async fn execution_move(&self, id: Uuid, state: ExecutionState) -> Result<(), StoreError> {
        if state.is_over() {
            return Err(StoreError::Refused(format!("an execution does not become {state} by a change of state")));
        }
        let mut tx = self.write("execution_move", Durability::Flushed).await?;
        tx.open_execution(id).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE execution SET state = $2 WHERE id = $1").bind(id).bind(state.as_str());
        query.execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Ends an attempt without handing it in. It can be reactivated until `resume_until`.
    pub async fn execution_terminate(
        &self,
        id: Uuid,
        reason: &str,
        resume_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write("execution_terminate", Durability::Flushed).await?;
        tx.open_execution(id).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE execution SET state = 'terminated', reason = $2, finished_at = $3, resume_until = $4 WHERE id = $1",
        )
        .bind(id)
        .bind(self.sealed_reason(id, reason))
        .bind(self.now_ms())
        .bind(resume_until.map(Timestamp::as_millisecond))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// Lets an attempt that was ended go on, within its window. What was handed in stays; the next finish makes the
    /// next version of the item.
    pub async fn execution_reactivate(&self, id: Uuid) -> Result<Execution, StoreError> {
        let mut tx = self.write("execution_reactivate", Durability::Flushed).await?;
        let ended = tx.execution(id).await?;
        if !ended.state.is_over() {
            return Err(StoreError::Refused(format!("execution {id} is {} and needs no reactivation", ended.state)));
        }
        if ended.resume_until.is_none_or(|until| until < self.clock.now()) {
            return Err(StoreError::Refused(format!(
                "execution {id} cannot be reactivated: its window is over and what was needed to resume is erased; \
                 start a new execution"
            )));
        }
        let sql = tx.sql();
        sqlx::query(
            "UPDATE execution SET state = 'active', reason = NULL, finished_at = NULL, resume_until = NULL,
                 version = version + (digest IS NOT NULL), previous = coalesce(digest, previous), digest = NULL
             WHERE id = $1",
        )
        .bind(id)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        let active = tx.execution(id).await?;
        tx.commit().await?;
        Ok(active)
    }

    /// Erases what was needed to resume, and what could be read of sealed results, wherever the window is over, and says
    /// for how many executions. Whoever has left
    /// meanwhile is forgotten with it.
    pub async fn executions_erase_resume(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write("executions_erase_resume", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "DELETE FROM execution_part WHERE execution IN
                 (SELECT id FROM execution WHERE state IN ('finished', 'terminated', 'canceled')
                  AND (resume_until IS NULL OR resume_until < $1))",
        )
        .bind(now.as_millisecond())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        let query = sqlx::query("DELETE FROM outbox_readable WHERE until < $1").bind(now.as_millisecond());
        query.execute(tx.conn()).await.map_err(&sql)?;
        let query = sqlx::query("UPDATE execution SET resume_until = NULL WHERE resume_until < $1");
        let erased = query.bind(now.as_millisecond()).execute(tx.conn()).await.map_err(&sql)?.rows_affected();
        tx.parted_forget().await?;
        tx.commit().await?;
        Ok(erased)
    }
}

impl Tx {
    async fn execution(&mut self, id: Uuid) -> Result<Execution, StoreError> {
        let sql = self.sql();
        let query = sqlx::query("SELECT * FROM execution WHERE id = $1").bind(id);
        let row = query.fetch_optional(self.conn()).await.map_err(sql)?;
        execution(&row.ok_or_else(|| unknown(id))?)
    }

    async fn open_execution(&mut self, id: Uuid) -> Result<Execution, StoreError> {
        let execution = self.execution(id).await?;
        if execution.state.is_over() {
            return Err(StoreError::Refused(format!(
                "execution {id} is {} already; reactivate it first, or start a new one",
                execution.state
            )));
        }
        Ok(execution)
    }
}

/// What is said of an execution that is not there, or not there for whoever asks.
pub fn unknown(id: Uuid) -> StoreError {
    StoreError::NotFound { what: format!("execution {id}"), advice: "see 'taosync execution list'" }
}

/// An attempt without its reason, which is sealed.
fn execution(row: &SqliteRow) -> Result<Execution, StoreError> {
    let row = Record::new("execution", row);
    Ok(Execution {
        id: row.get("id")?,
        org: row.word("org")?,
        delivery: row.get("delivery")?,
        test_taker: row.get("test_taker")?,
        package_version: row.number("package_version")?,
        state: row.word("state")?,
        reason: None,
        version: row.number("version")?,
        previous: row.digest_or_none("previous")?,
        digest: row.digest_or_none("digest")?,
        started_at: row.time("started_at")?,
        finished_at: row.time_or_none("finished_at")?,
        resume_until: row.time_or_none("resume_until")?,
    })
}
