//! Items of their own: log rows written after an attempt's item was made, and LTI users.

use serde_json::Value;
use taosync_model::assessment::LogEntry;
use taosync_model::item::{Counts, Envelope, FORM_ZSTD_JSON, ItemKind};
use taosync_model::{Digest, OrgId};
use taosync_store::executions::Execution;
use taosync_store::outbox::NewItem;
use uuid::Uuid;

use super::save::check_size;
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
        self.queue(ItemKind::LtiUser, org, None, Counts::default(), user).await
    }

    /// Queues log rows of an attempt that is over. The same rows twice are one item, so a request whose answer was
    /// lost can be repeated.
    pub(super) async fn queue_late_log(&self, attempt: &Execution, log: &[LogEntry]) -> Result<(), RunnerError> {
        if log.is_empty() {
            return Ok(());
        }
        let batch = LogBatch { execution: attempt.id, log: log.to_vec() };
        let counts = Counts { log: log.len() as u32, ..Counts::default() };
        self.queue(ItemKind::Log, &attempt.org, Some(attempt), counts, &batch).await.map(drop)
    }

    async fn queue(
        &self,
        kind: ItemKind,
        org: &OrgId,
        attempt: Option<&Execution>,
        counts: Counts,
        document: &impl serde::Serialize,
    ) -> Result<Uuid, RunnerError> {
        let payload = payload::encode(document)
            .map_err(|_| RunnerError::Request("what is to be handed in is not representable as JSON".into()))?;
        let digest = Digest::of(&payload);
        let envelope = Envelope {
            kind,
            item: self.id_of(kind.as_str(), &[org.as_str(), &digest.to_hex()]),
            org: org.clone(),
            origin: self.node,
            version: 1,
            previous: None,
            digest,
            size: payload.len() as u64,
            form: FORM_ZSTD_JSON,
            execution: attempt.map(|attempt| attempt.id),
            delivery: attempt.map(|attempt| attempt.delivery.clone()),
            test_taker: attempt.map(|attempt| attempt.test_taker.clone()),
            state: None,
            started_at: None,
            finished_at: None,
            counts,
        };
        let item = envelope.item;
        Self::expect_queued(&self.store.outbox_add(&[NewItem { envelope, payload }]).await?)?;
        Ok(item)
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
