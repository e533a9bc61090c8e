//! Items of their own: log rows written after an attempt's item was made, and LTI users.

use serde_json::Value;
use taosync_model::assessment::LogEntry;
use taosync_model::item::{Counts, Envelope, ItemKind};
use taosync_model::{Digest, OrgId};
use taosync_store::executions::Execution;
use taosync_store::outbox::{NewItem, Queued, SealedSource};
use uuid::Uuid;

use super::save::check_size;
use super::seal::Sealed;
use super::{Runner, RunnerError};
use crate::up::payload::{self, LogBatch};

/// Bytes of JSON of an LTI user.
pub const MAX_LTI_USER: usize = 64 * 1024;

impl Runner {
    /// Queues an LTI user to be handed in. The same one twice is one item.
    pub async fn lti_user_add(&self, org: &OrgId, user: &Value) -> Result<Uuid, RunnerError> {
        if !user.is_object() {
            return Err(RunnerError::Request("an LTI user is a JSON object".into()));
        }
        check_size("the LTI user", user.to_string().len(), MAX_LTI_USER, "leave out what is not needed")?;
        let plain = packed(user)?;
        let item = self.id_of(ItemKind::LtiUser.as_str(), &[org.as_str(), &Digest::of(&plain).to_hex()]);
        let Sealed { payload, form, source } = self.seal_unshown(org, plain).await?;
        let envelope = Envelope { form, ..Envelope::first(ItemKind::LtiUser, item, org.clone(), self.node, &payload) };
        self.queue(NewItem { envelope, payload, source }).await?;
        Ok(item)
    }

    /// Queues log rows of an attempt that is over. The same save twice is one item.
    pub(super) async fn queue_late_log(
        &self,
        attempt: &Execution,
        save: Uuid,
        log: &[LogEntry],
    ) -> Result<(), RunnerError> {
        if log.is_empty() {
            return Ok(());
        }
        let plain = packed(&LogBatch { execution: attempt.id, log: log.to_vec(), tao: None })?;
        let Sealed { payload, form, source } = self.seal_unshown(&attempt.org, plain).await?;
        let item = self.id_of(ItemKind::Log.as_str(), &[&attempt.id.to_string(), &save.to_string()]);
        let envelope = Envelope {
            form,
            execution: Some(attempt.id),
            delivery: Some(attempt.delivery.clone()),
            test_taker: Some(attempt.test_taker.clone()),
            counts: Counts { log: log.len() as u32, ..Counts::default() },
            ..Envelope::first(ItemKind::Log, item, attempt.org.clone(), self.node, &payload)
        };
        match self.queue(NewItem { envelope, payload, source }).await? {
            Queued::Different => Err(RunnerError::SaveDiffers { save }),
            Queued::Added | Queued::Already => Ok(()),
        }
    }

    /// Items that are no attempts are never shown here: nothing readable stays of them.
    pub(crate) async fn seal_unshown(&self, org: &OrgId, plain: Vec<u8>) -> Result<Sealed, RunnerError> {
        let mut sealed = self.seal(&self.sealing(org).await?, plain)?;
        sealed.source = sealed.source.map(|source| SealedSource { readable: None, ..source });
        Ok(sealed)
    }

    async fn queue(&self, item: NewItem) -> Result<Queued, RunnerError> {
        let queued = self.store.outbox_add(&[item]).await?;
        Ok(queued.first().copied().unwrap_or(Queued::Already))
    }

    /// An id that is always the same for the same contents, and tells nothing about them without this node's key.
    pub(super) fn id_of(&self, field: &str, parts: &[&str]) -> Uuid {
        let lengths = parts.iter().map(|part| part.len().to_string()).collect::<Vec<_>>();
        let joined = format!("{}\n{}", lengths.join(","), parts.concat());
        // The index folds case; a digest does not.
        let digest = Digest::of(joined.as_bytes()).to_hex();
        uuid::Builder::from_custom_bytes(self.store.keyring().index().of(field, &digest)).into_uuid()
    }
}

fn packed(document: &impl serde::Serialize) -> Result<Vec<u8>, RunnerError> {
    payload::encode(document)
        .map_err(|_| RunnerError::Request("what is to be handed in is not representable as JSON".into()))
}
