//! The record of a sync of a box: begun with its first listing, ended with its confirmation.

use serde_json::Value;
use taosync_model::OrgId;
use taosync_store::history::{RunEnd, SyncOutcome};
use taosync_store::tao::TaoRun;
use taosync_store::{Store, StoreError};
use taosync_wire::tao::SyncParams;
use taosync_wire::tao::items::Confirmation;

use super::ids;

/// Bytes of the ids that a box gives; longer ones are not recorded.
const MAX_ID: usize = 64;
/// Bytes of what a box says of its machine; more is not recorded.
const MAX_STATE: usize = 16 * 1024;

/// How a sync ended, by the address the box told it at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `confirmSyncFinished`.
    Finished,
    /// `confirmSyncFailed`.
    Failed,
}

/// The record a request belongs to. A box that does not say who it is has none, as in TAO.
fn run_of<'a>(params: &'a SyncParams, org: &'a OrgId, actor: &'a str) -> Option<TaoRun<'a>> {
    let short = |text: &'a Option<String>| text.as_deref().filter(|id| !id.is_empty() && id.len() <= MAX_ID);
    let (box_id, sync_id) = (short(&params.box_id)?, short(&params.sync_id)?);
    let version = short(&params.tao_version);
    Some(TaoRun { node: ids::node_of(box_id), org, actor, box_id, sync_id, version })
}

/// Notes that a sync has begun.
pub async fn begun(store: &Store, params: &SyncParams, org: &OrgId, actor: &str) -> Result<(), StoreError> {
    match run_of(params, org, actor) {
        Some(run) => store.tao_run_begin(&run).await.map(drop),
        None => Ok(()),
    }
}

/// Notes how it ended.
pub async fn ended(
    store: &Store,
    word: &Confirmation,
    org: &OrgId,
    actor: &str,
    ending: Ending,
) -> Result<(), StoreError> {
    let Some(run) = run_of(&word.params, org, actor) else { return Ok(()) };
    let state = word.params.client_state.as_ref().filter(|state| state.to_string().len() <= MAX_STATE);
    let reason = word.reason();
    let failed = ending == Ending::Failed || state.is_some_and(has_error);
    let reason = reason.as_deref().or(Some("the box reports errors")).filter(|_| failed);
    let outcome = if failed { SyncOutcome::Failed } else { SyncOutcome::Success };
    let end = RunEnd { outcome, code: None, reason, summary: &Value::Null };
    store.tao_run_end(&run, &end, state).await
}

/// Whether a report, or one below it, is of the type error. As deep as the reader lets it be.
fn has_error(report: &Value) -> bool {
    report.get("type").and_then(Value::as_str) == Some("error")
        || report.get("children").and_then(Value::as_array).is_some_and(|list| list.iter().any(has_error))
}
