//! Saving during an attempt. What was confirmed here survives a power cut.

use serde::Serialize;
use serde_json::Value;
use taosync_model::assessment::LogEntry;
use taosync_store::executions::{NewPart, PartKind};
use taosync_store::outbox::Queued;
use uuid::Uuid;

use super::{Runner, RunnerError, SavedVariables};

/// Bytes of JSON saved at once.
pub const MAX_SAVE: usize = 8 * 1024 * 1024;
/// Bytes of JSON saved in an attempt, so that it can always be handed in.
pub const MAX_PARTS: usize = 24 * 1024 * 1024;
/// Bytes of a position.
pub const MAX_POSITION: usize = 64 * 1024;

impl Runner {
    /// Saves variables of items, or of the test. A later value replaces an earlier one.
    pub async fn save_variables(&self, execution: Uuid, variables: &[SavedVariables]) -> Result<(), RunnerError> {
        let bodies = variables.iter().map(body).collect::<Result<Vec<_>, _>>()?;
        let _turn = self.turn(execution).await;
        self.save(execution, PartKind::Variables, bodies).await
    }

    /// Saves log rows. After the attempt is over they become an item of their own.
    pub async fn save_log(&self, execution: Uuid, entries: &[LogEntry]) -> Result<(), RunnerError> {
        let bodies = entries.iter().map(body).collect::<Result<Vec<_>, _>>()?;
        let _turn = self.turn(execution).await;
        let attempt = self.store.execution_get(execution).await?;
        if attempt.state.is_over() {
            self.queue_late_log(&attempt, entries).await?;
            return Ok(());
        }
        self.save(execution, PartKind::Log, bodies).await
    }

    /// Saves where the test taker is; only the newest is kept.
    pub async fn save_position(&self, execution: Uuid, position: &Value) -> Result<(), RunnerError> {
        let body = body(position)?;
        check_size("the position", body.len(), MAX_POSITION, "save less in it")?;
        let _turn = self.turn(execution).await;
        let part = NewPart { kind: PartKind::Position, at: self.store.clock().now(), body };
        Ok(self.store.execution_save(execution, &[part]).await?)
    }

    async fn save(&self, execution: Uuid, kind: PartKind, bodies: Vec<Vec<u8>>) -> Result<(), RunnerError> {
        let size = bodies.iter().map(Vec::len).sum();
        check_size("the request", size, MAX_SAVE, "save in smaller steps")?;
        let total = self.saved_bytes(execution).await? + size;
        check_size("the attempt", total, MAX_PARTS, "save less often, or keep large files outside the results")?;
        let at = self.store.clock().now();
        let parts: Vec<NewPart> = bodies.into_iter().map(|body| NewPart { kind, at, body }).collect();
        self.store.execution_save(execution, &parts).await?;
        self.remember_saved(execution, Some(total));
        Ok(())
    }

    /// Bytes of an attempt's parts; counted once after a start of the program.
    async fn saved_bytes(&self, execution: Uuid) -> Result<usize, RunnerError> {
        let known = self.saved.lock().ok().and_then(|saved| saved.get(&execution).copied());
        if let Some(bytes) = known {
            return Ok(bytes);
        }
        let parts = self.store.execution_parts(execution).await?;
        Ok(parts.iter().filter(|part| part.kind != PartKind::Position).map(|part| part.body.len()).sum())
    }

    /// Keeps the count, or forgets it once the attempt is over.
    pub(super) fn remember_saved(&self, execution: Uuid, bytes: Option<usize>) {
        // A poisoned lock only costs counting anew.
        if let Ok(mut saved) = self.saved.lock() {
            match bytes {
                Some(bytes) => saved.insert(execution, bytes),
                None => saved.remove(&execution),
            };
        }
    }

    /// Puts an item into the outbox; [`Queued::Already`] when the same came before.
    pub(super) fn expect_queued(queued: &[Queued]) -> Result<(), RunnerError> {
        if queued.contains(&Queued::Different) {
            return Err(RunnerError::Request(
                "an item with this id is in the outbox with other bytes; it is kept".into(),
            ));
        }
        Ok(())
    }
}

pub(super) fn check_size(
    what: &'static str,
    size: usize,
    limit: usize,
    advice: &'static str,
) -> Result<(), RunnerError> {
    if size > limit { Err(RunnerError::TooMuch { what, size, limit, advice }) } else { Ok(()) }
}

fn body(value: &impl Serialize) -> Result<Vec<u8>, RunnerError> {
    serde_json::to_vec(value)
        .map_err(|_| RunnerError::Request("what is to be saved is not representable as JSON".into()))
}
