//! The end of an attempt: state and outbox row in one flushed transaction, never remade (DESIGN §5).

use std::collections::HashMap;

use jiff::Timestamp;
use taosync_model::item::{Envelope, ItemKind};
use taosync_model::{Digest, execution::ExecutionState};
use uuid::Uuid;

use super::Execution;
use crate::outbox::{NewItem, Queued};
use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// How an attempt ends. Its id and its new state stand in the envelope.
#[derive(Clone, Debug)]
pub struct Finish<'a> {
    /// Why somebody else ended it.
    pub reason: Option<&'a str>,
    /// Until when it can be reactivated.
    pub resume_until: Option<Timestamp>,
    /// What is handed in.
    pub item: NewItem,
}

/// What [`Store::execution_finish`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The attempt is over and waits in the outbox.
    Now,
    /// It was finished with the same bytes before.
    Already,
}

/// An attempt that was run elsewhere and comes in finished (`taosync execution submit`).
#[derive(Clone, Debug)]
pub struct FinishedExecution {
    /// Version of the package that was run.
    pub package_version: u32,
    /// Why somebody else ended it.
    pub reason: Option<String>,
    /// What is handed in.
    pub item: NewItem,
}

/// Facts of an envelope that an attempt must have.
struct Ending<'a> {
    state: ExecutionState,
    delivery: &'a str,
    test_taker: &'a str,
    started_at: Timestamp,
    finished_at: Timestamp,
}

impl Store {
    /// Finishes an attempt and puts its item into the outbox, in one flushed transaction. Again with the same bytes is
    /// fine; with others it is refused.
    pub async fn execution_finish(&self, finish: &Finish<'_>) -> Result<Finished, StoreError> {
        let envelope = &finish.item.envelope;
        let ending = ending(envelope)?;
        let mut tx = self.write("execution_finish", Durability::Flushed).await?;
        let execution = tx.execution(envelope.item).await?;
        if execution.state.is_over() {
            return already_finished(&execution, envelope);
        }
        check_continues(&execution, envelope)?;
        let queued = self.outbox_queue(&mut tx, std::slice::from_ref(&finish.item)).await?;
        // A sealed payload is never the same twice: what is there has another digest.
        let is_other = queued == [Queued::Different] || (queued == [Queued::Already] && finish.item.source.is_some());
        if is_other {
            return Err(StoreError::Refused(format!(
                "version {} of execution {} is in the outbox with other bytes; they are kept",
                envelope.version, envelope.item
            )));
        }
        let sql = tx.sql();
        sqlx::query(
            "UPDATE execution SET state = $2, reason = $3, digest = $4, finished_at = $5, resume_until = $6
             WHERE id = $1",
        )
        .bind(envelope.item)
        .bind(ending.state.as_str())
        .bind(finish.reason.map(|reason| self.sealed_reason(envelope.item, reason)))
        .bind(envelope.digest.0.as_slice())
        .bind(ending.finished_at.as_millisecond())
        .bind(finish.resume_until.map(Timestamp::as_millisecond))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await?;
        Ok(Finished::Now)
    }

    /// Takes attempts that were run elsewhere into executions and outbox, all in one flushed transaction; answers in
    /// the order given. What is known with other bytes is left out and said to be [`Queued::Different`].
    pub async fn execution_insert_finished(&self, finished: &[FinishedExecution]) -> Result<Vec<Queued>, StoreError> {
        let endings = finished.iter().map(|f| ending(&f.item.envelope)).collect::<Result<Vec<_>, _>>()?;
        let mut tx = self.write("execution_insert_finished", Durability::Flushed).await?;
        let known = tx.execution_digests(finished.iter().map(|f| &f.item.envelope.item)).await?;
        let mut answers = vec![Queued::Different; finished.len()];
        let mut new = Vec::new();
        for (index, f) in finished.iter().enumerate() {
            match known.get(&f.item.envelope.item) {
                None => new.push(index),
                Some(digest) if *digest == Some(f.item.envelope.digest) => answers[index] = Queued::Already,
                Some(_) => {}
            }
        }
        let items: Vec<NewItem> = new.iter().map(|&index| finished[index].item.clone()).collect();
        for (index, queued) in new.into_iter().zip(self.outbox_queue(&mut tx, &items).await?) {
            answers[index] = queued;
        }
        let added: Vec<usize> = (0..finished.len()).filter(|&index| answers[index] == Queued::Added).collect();
        let sql = tx.sql();
        rows::insert(
            tx.conn(),
            "INSERT INTO execution (id, org, delivery, test_taker, package_version, state, reason, version, previous,
                 digest, started_at, finished_at) ",
            &added,
            "",
            |mut row, &index| {
                let (f, ending) = (&finished[index], &endings[index]);
                let envelope = &f.item.envelope;
                row.push_bind(envelope.item).push_bind(envelope.org.as_str());
                row.push_bind(ending.delivery).push_bind(ending.test_taker).push_bind(f.package_version);
                let reason = f.reason.as_deref().map(|reason| self.sealed_reason(envelope.item, reason));
                row.push_bind(ending.state.as_str()).push_bind(reason).push_bind(envelope.version);
                row.push_bind(envelope.previous.map(|d| d.0.to_vec())).push_bind(envelope.digest.0.to_vec());
                row.push_bind(ending.started_at.as_millisecond()).push_bind(ending.finished_at.as_millisecond());
            },
        )
        .await
        .map_err(sql)?;
        tx.commit().await?;
        Ok(answers)
    }
}

impl Tx {
    async fn execution_digests(
        &mut self,
        ids: impl Iterator<Item = &Uuid>,
    ) -> Result<HashMap<Uuid, Option<Digest>>, StoreError> {
        let sql = self.sql();
        let rows = sqlx::query("SELECT id, digest FROM execution WHERE id IN (SELECT unhex(value) FROM json_each($1))")
            .bind(rows::id_array(ids))
            .fetch_all(self.conn())
            .await
            .map_err(sql)?;
        rows.iter()
            .map(|row| {
                let row = Record::new("execution", row);
                Ok((row.get("id")?, row.digest_or_none("digest")?))
            })
            .collect()
    }
}

fn ending(envelope: &Envelope) -> Result<Ending<'_>, StoreError> {
    let incomplete = || {
        StoreError::Refused(format!(
            "the envelope of execution {} is incomplete: an attempt has a delivery, a test taker, a final state and times",
            envelope.item
        ))
    };
    if envelope.kind != ItemKind::Attempt {
        return Err(incomplete());
    }
    Ok(Ending {
        state: envelope.state.filter(|state| state.is_over()).ok_or_else(incomplete)?,
        delivery: envelope.delivery.as_deref().ok_or_else(incomplete)?,
        test_taker: envelope.test_taker.as_deref().ok_or_else(incomplete)?,
        started_at: envelope.started_at.ok_or_else(incomplete)?,
        finished_at: envelope.finished_at.ok_or_else(incomplete)?,
    })
}

fn already_finished(execution: &Execution, envelope: &Envelope) -> Result<Finished, StoreError> {
    if execution.digest == Some(envelope.digest) {
        return Ok(Finished::Already);
    }
    Err(StoreError::Refused(format!(
        "execution {} is {} already, with other contents; what was handed in first stays, reactivate the execution to \
         make the next version",
        execution.id, execution.state
    )))
}

fn check_continues(execution: &Execution, envelope: &Envelope) -> Result<(), StoreError> {
    let same = execution.version == envelope.version
        && execution.previous == envelope.previous
        && execution.org == envelope.org
        && Some(execution.delivery.as_str()) == envelope.delivery.as_deref()
        && Some(execution.test_taker.as_str()) == envelope.test_taker.as_deref();
    if same {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "the envelope of execution {} does not fit it: expected version {} after {}, and its own organisation, delivery \
         and test taker",
        execution.id,
        execution.version,
        execution.previous.map_or_else(|| "none".to_owned(), Digest::to_hex)
    )))
}
