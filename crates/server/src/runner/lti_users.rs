//! `POST lti-users`: a user who came through LTI, to be handed in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taosync_model::OrgId;
use uuid::Uuid;

use super::MAX_BODY;
use super::key::Reach;
use crate::body;
use crate::problem::ApiError;
use crate::state::Local;

#[derive(Deserialize)]
struct New {
    organisation_id: OrgId,
    user: Value,
}

#[derive(Serialize)]
pub(super) struct Queued {
    /// Id of the item; the same for the same user.
    item: Uuid,
}

pub(super) async fn lti_user(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    request: Body,
) -> Result<(StatusCode, Json<Queued>), ApiError> {
    let New { organisation_id, user } = body::read_json(request, MAX_BODY).await?;
    if !reach.has(&organisation_id) {
        return Err(ApiError::not_found("there is no such organisation for this key"));
    }
    let item = local.runner.lti_user_add(&organisation_id, &user).await?;
    Ok((StatusCode::CREATED, Json(Queued { item })))
}
