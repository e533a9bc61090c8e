//! Saving during an attempt. What was confirmed here survives a power cut.

use serde::Serialize;
use serde_json::Value;
use taosync_model::assessment::LogEntry;
use taosync_store::executions::{NewPart, PartKind, Saved};
use uuid::Uuid;

use super::{Runner, RunnerError, SavedVariables};

/// Bytes of JSON saved at once.
pub const MAX_SAVE: usize = 8 * 1024 * 1024;
/// Bytes of JSON saved in an attempt, so that it can always be handed in.
pub const MAX_PARTS: usize = 24 * 1024 * 1024;
/// Bytes of a position.
pub const MAX_POSITION: usize = 64 * 1024;

impl Runner {
    /// Saves variables of items, or of the test, under an id that the runner chose: the same again stores nothing twice,
    /// so a save whose answer was lost can be repeated. A later value replaces an earlier one.
    pub async fn save_variables(
        &self,
        execution: Uuid,
        save: Uuid,
        variables: &[SavedVariables],
    ) -> Result<(), RunnerError> {
        let body = body(variables)?;
        let _turn = self.turn(execution).await;
        match self.save(execution, save, PartKind::Variables, body).await? {
            Saved::Over => Err(RunnerError::Over { execution }),
            _ => Ok(()),
        }
    }

    /// Saves log rows, under an id as for variables. After the attempt is over they become an item of their own.
    pub async fn save_log(&self, execution: Uuid, save: Uuid, entries: &[LogEntry]) -> Result<(), RunnerError> {
        let body = body(entries)?;
        let _turn = self.turn(execution).await;
        if self.save(execution, save, PartKind::Log, body).await? == Saved::Over {
            let attempt = self.store.execution_get(execution).await?;
            self.queue_late_log(&attempt, save, entries).await?;
        }
        Ok(())
    }

    /// Saves where the test taker is; only the newest is kept.
    pub async fn save_position(&self, execution: Uuid, position: &Value) -> Result<(), RunnerError> {
        let body = body(position)?;
        check_size("the position", body.len(), MAX_POSITION, "save less in it")?;
        let _turn = self.turn(execution).await;
        let part = NewPart { save: None, kind: PartKind::Position, at: self.store.clock().now(), body };
        match self.store.execution_save(execution, &part, MAX_POSITION).await? {
            Saved::Over => Err(RunnerError::Over { execution }),
            _ => Ok(()),
        }
    }

    /// Saves a part; only [`Saved::Over`] is for the caller to judge.
    async fn save(&self, execution: Uuid, save: Uuid, kind: PartKind, body: Vec<u8>) -> Result<Saved, RunnerError> {
        let size = body.len();
        check_size("the request", size, MAX_SAVE, "save in smaller steps")?;
        let before = self.saved_bytes(execution).await?;
        let part = NewPart { save: Some(save), kind, at: self.store.clock().now(), body };
        let saved = self.store.execution_save(execution, &part, MAX_PARTS.saturating_sub(before)).await?;
        match saved {
            Saved::Now => self.remember_saved(execution, Some(before + size)),
            Saved::Again | Saved::Over => {}
            Saved::Differs => return Err(RunnerError::SaveDiffers { save }),
            Saved::NoRoom => {
                let advice = "save less often, or keep large files outside the results";
                let (what, size) = ("the attempt", before + size);
                return Err(RunnerError::TooMuch { what, size, limit: MAX_PARTS, advice });
            }
        }
        Ok(saved)
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
}

pub(super) fn check_size(
    what: &'static str,
    size: usize,
    limit: usize,
    advice: &'static str,
) -> Result<(), RunnerError> {
    if size > limit { Err(RunnerError::TooMuch { what, size, limit, advice }) } else { Ok(()) }
}

fn body(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, RunnerError> {
    serde_json::to_vec(value)
        .map_err(|_| RunnerError::Request("what is to be saved is not representable as JSON".into()))
}
