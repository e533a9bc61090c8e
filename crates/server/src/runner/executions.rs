//! `executions`: starting, saving and ending attempts. What is answered with success survives a power cut.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use taosync_model::OrgId;
use taosync_model::assessment::LogEntry;
use taosync_model::execution::ExecutionState;
use taosync_store::executions::{Execution, PartKind};
use taosync_sync::runner::SavedVariables;
use uuid::Uuid;

use super::key::Reach;
use super::{MAX_BODY, opened};
use crate::body;
use crate::problem::ApiError;
use crate::state::Local;

type Id = Result<Path<Uuid>, PathRejection>;
type Save = Result<Path<(String, String)>, PathRejection>;

#[derive(Deserialize)]
struct New {
    delivery: String,
    test_taker: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(default = "finished")]
    state: ExecutionState,
    #[serde(default)]
    reason: Option<String>,
}

const fn finished() -> ExecutionState {
    ExecutionState::Finished
}

/// An attempt as a runner sees it.
#[derive(Serialize)]
pub(super) struct Attempt {
    id: Uuid,
    organisation_id: OrgId,
    delivery: String,
    test_taker: String,
    /// Version of the package to run, whatever is published meanwhile.
    package_version: u32,
    /// Where its test, items and files are, as long as they are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    package_address: Option<String>,
    state: ExecutionState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    /// Until when it can be reactivated.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_until: Option<Timestamp>,
}

/// An attempt with what is needed to resume it.
#[derive(Serialize)]
pub(super) struct Resumable {
    #[serde(flatten)]
    attempt: Attempt,
    /// What was saved last.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Box<RawValue>>,
    /// What was saved, in that order; a later value replaces an earlier one.
    variables: Vec<Box<RawValue>>,
}

pub(super) async fn start(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    request: Body,
) -> Result<(StatusCode, Json<Attempt>), ApiError> {
    let New { delivery, test_taker } = body::read_json(request, MAX_BODY).await?;
    let execution = reach.runner(&local).start(&delivery, &test_taker).await?;
    Ok((StatusCode::CREATED, Json(attempt(&local, execution).await?)))
}

pub(super) async fn show(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    id: Id,
) -> Result<Json<Resumable>, ApiError> {
    let execution = reach.execution(&local, known(id)?).await?;
    let parts = local.store.execution_parts(execution.id).await?;
    let unreadable = |error| ApiError::internal(&error);
    let (mut position, mut variables) = (None, Vec::new());
    for part in parts {
        match part.kind {
            PartKind::Position => position = Some(serde_json::from_slice(&part.body).map_err(unreadable)?),
            PartKind::Variables => {
                variables.extend(serde_json::from_slice::<Vec<Box<RawValue>>>(&part.body).map_err(unreadable)?);
            }
            PartKind::Log => {}
        }
    }
    Ok(Json(Resumable { attempt: attempt(&local, execution).await?, position, variables }))
}

pub(super) async fn variables(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    save: Save,
    request: Body,
) -> Result<StatusCode, ApiError> {
    let (id, save) = named(save)?;
    let variables: Vec<SavedVariables> = body::read_json(request, MAX_BODY).await?;
    reach.check(&local, id).await?;
    local.runner.save_variables(id, save, &variables).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn log(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    save: Save,
    request: Body,
) -> Result<StatusCode, ApiError> {
    let (id, save) = named(save)?;
    let entries: Vec<LogEntry> = body::read_json(request, MAX_BODY).await?;
    reach.check(&local, id).await?;
    local.runner.save_log(id, save, &entries).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn position(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    id: Id,
    request: Body,
) -> Result<StatusCode, ApiError> {
    let position: Value = body::read_json(request, MAX_BODY).await?;
    let id = reach.check(&local, known(id)?).await?;
    local.runner.save_position(id, &position).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn finish(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    id: Id,
    request: Body,
) -> Result<Json<Attempt>, ApiError> {
    let bytes = body::read(request, MAX_BODY).await?;
    // Nothing said is an ordinary end.
    let end = if bytes.is_empty() { End { state: finished(), reason: None } } else { body::json(&bytes)? };
    let id = reach.check(&local, known(id)?).await?;
    let execution = local.runner.finish(id, end.state, end.reason.as_deref()).await?;
    Ok(Json(attempt(&local, execution).await?))
}

pub(super) async fn reactivate(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    id: Id,
) -> Result<Json<Attempt>, ApiError> {
    let id = reach.check(&local, known(id)?).await?;
    let execution = local.runner.reactivate(id).await?;
    Ok(Json(attempt(&local, execution).await?))
}

/// Execution and save of an address.
fn named(save: Save) -> Result<(Uuid, Uuid), ApiError> {
    let Path((id, save)) = save.map_err(|_| ApiError::not_found("there is no such execution"))?;
    let id = id.parse().map_err(|_| ApiError::not_found("there is no such execution"))?;
    let save = save.parse().map_err(|_| ApiError::bad_request("the id of a save is a UUID that the runner chooses"))?;
    Ok((id, save))
}

/// An id that is no UUID names no execution.
fn known(id: Id) -> Result<Uuid, ApiError> {
    id.map(|Path(id)| id).map_err(|_| ApiError::not_found("there is no such execution"))
}

async fn attempt(local: &Local, execution: Execution) -> Result<Attempt, ApiError> {
    let package = local.store.package_get(&execution.delivery, execution.package_version).await?;
    Ok(Attempt {
        id: execution.id,
        organisation_id: execution.org,
        delivery: execution.delivery,
        test_taker: execution.test_taker,
        package_version: execution.package_version,
        package_address: package.map(|package| opened::address(package.reference.tree_digest)),
        state: execution.state,
        reason: execution.reason,
        started_at: execution.started_at,
        finished_at: execution.finished_at,
        resume_until: execution.resume_until,
    })
}
