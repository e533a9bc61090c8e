//! `POST /api/v1/report`: how a sync ended, so that central knows what local knows.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use taosync_store::history::SyncOutcome;
use taosync_store::reported_runs::ReportedRun;
use taosync_vault::node_key;
use taosync_wire::v1::report::{Purged, Report};

use crate::body;
use crate::oauth::{Caller, CallerOnce};
use crate::problem::ApiError;
use crate::state::Central;

/// Most bytes of a report.
pub(crate) const MAX_REPORT: usize = 16 * 1024;

pub(crate) async fn report(
    State(central): State<Arc<Central>>,
    CallerOnce(caller): CallerOnce,
    request: Body,
) -> Result<StatusCode, ApiError> {
    // Fields a newer local server adds are kept: what is stored is what came.
    let whole: serde_json::Value = body::read_json(request, MAX_REPORT).await?;
    let report: Report = serde_json::from_value(whole.clone())
        .map_err(|_| ApiError::bad_request("a field of the report is missing or of another type"))?;
    let outcome = report.outcome.parse().ok().filter(|outcome| *outcome != SyncOutcome::Running);
    let outcome =
        outcome.ok_or_else(|| ApiError::bad_request("the outcome of the report is none of the known ones"))?;
    let purged = purged(&central, &caller, &report).await?;
    let run = ReportedRun {
        id: report.sync,
        node: caller.node,
        org: &caller.org,
        actor: &caller.consumer,
        started_at: here(report.started_at, report.clock),
        ended_at: here(report.ended_at, report.clock),
        outcome,
        code: report.code.as_deref(),
        reason: report.reason.as_deref(),
        report: &whole,
        is_whole: outcome == SyncOutcome::Success && report.equal && report.pending == 0,
        has_news: outcome != SyncOutcome::Success || report.sent > 0 || report.changed != [0; 3],
        purged,
    };
    central.store.sync_reported(&run).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many copies the node says it has erased, if it signed that.
async fn purged(central: &Central, caller: &Caller, report: &Report) -> Result<Option<u64>, ApiError> {
    let Some(Purged { copies, audit, signature }) = &report.purged else { return Ok(None) };
    let node = central.store.node_get(caller.node).await?;
    let mut bytes = [0; 64];
    let public = node.and_then(|node| <[u8; 32]>::try_from(node.public_key).ok());
    let is_signed = public.is_some_and(|public| {
        let signed = Purged::signed_bytes(caller.node, &caller.org, *copies, audit);
        hex::decode_to_slice(signature, &mut bytes).is_ok() && node_key::verify(&public, &signed, &bytes).is_ok()
    });
    if is_signed { Ok(Some(*copies)) } else { Err(ApiError::bad_request("what was erased is not signed by this node")) }
}

/// A time by local's clock, by the clock here.
fn here(there: Timestamp, seconds_ahead: i64) -> Timestamp {
    there.checked_sub(SignedDuration::from_secs(seconds_ahead)).unwrap_or(there)
}
