//! The end of an attempt: parts are folded, packed and put into the outbox, never to be remade (DESIGN §5).

use serde_json::Value;
use taosync_model::Digest;
use taosync_model::execution::ExecutionState;
use taosync_model::item::{Envelope, ItemKind};
use taosync_results::{MAX_VARIABLES, encode_attempt};
use taosync_store::executions::{Execution, Finish};
use taosync_store::outbox::NewItem;
use taosync_wire::frame::MAX_BODY;
use uuid::Uuid;

use super::save::check_size;
use super::seal::Sealed;
use super::{Runner, RunnerError, fold};

/// Characters of a reason.
const MAX_REASON: usize = 1_000;

impl Runner {
    /// Ends an attempt as finished, terminated or canceled. One that is over already is given as it is, so a request
    /// whose answer was lost can be repeated.
    pub async fn finish(
        &self,
        execution: Uuid,
        state: ExecutionState,
        reason: Option<&str>,
    ) -> Result<Execution, RunnerError> {
        if !state.is_over() {
            return Err(RunnerError::Request(format!("'{state}' is not an end; use finished, terminated or canceled")));
        }
        check_size("the reason", reason.map_or(0, |r| r.chars().count()), MAX_REASON, "say it in fewer words")?;
        let _turn = self.turn(execution).await;
        let running = self.store.execution_get(execution).await?;
        if running.state.is_over() {
            return Ok(running);
        }
        let item = self.pack(&running, state, reason).await?;
        let resume_until = self.window_end();
        self.store.execution_finish(&Finish { reason, resume_until, item }).await?;
        self.remember_saved(execution, None);
        Ok(self.store.execution_get(execution).await?)
    }

    /// Ends an attempt on somebody's word; what was answered until then is kept and can be handed in.
    pub async fn terminate(&self, execution: Uuid, reason: &str) -> Result<Execution, RunnerError> {
        if reason.trim().is_empty() {
            return Err(RunnerError::Request("an attempt is terminated with a reason; say why".into()));
        }
        self.finish(execution, ExecutionState::Terminated, Some(reason.trim())).await
    }

    /// Lets an attempt that was ended go on, within its window. Its next end makes the next version of its item.
    pub async fn reactivate(&self, execution: Uuid) -> Result<Execution, RunnerError> {
        let _turn = self.turn(execution).await;
        Ok(self.store.execution_reactivate(execution).await?)
    }

    async fn pack(
        &self,
        execution: &Execution,
        state: ExecutionState,
        reason: Option<&str>,
    ) -> Result<NewItem, RunnerError> {
        // A clock that was set back must not make an attempt end before it began.
        let ended = self.store.clock().now().max(execution.started_at);
        let parts = self.store.execution_parts(execution.id).await?;
        let mut attempt = fold::fold(execution, &parts, ended)?;
        if let Some(reason) = reason {
            attempt.other.insert("reason".to_owned(), Value::from(reason));
        }
        let counts = fold::counts(&attempt);
        let advice = "the parts are kept: export them and tell the people who run central";
        check_size("the attempt's variables", counts.variables as usize, MAX_VARIABLES, advice)?;
        let sealing = self.sealing(&execution.org).await?;
        let Sealed { payload, form, source } = self.seal(&sealing, encode_attempt(&attempt))?;
        check_size("the packed attempt", payload.len(), MAX_BODY as usize, advice)?;
        let envelope = Envelope {
            kind: ItemKind::Attempt,
            item: execution.id,
            org: execution.org.clone(),
            origin: self.node,
            version: execution.version,
            previous: execution.previous,
            digest: Digest::of(&payload),
            size: payload.len() as u64,
            form,
            execution: None,
            delivery: Some(execution.delivery.clone()),
            test_taker: Some(execution.test_taker.clone()),
            state: Some(state),
            started_at: Some(execution.started_at),
            finished_at: Some(ended),
            counts,
        };
        Ok(NewItem { envelope, payload, source })
    }
}
