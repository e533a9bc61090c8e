//! `POST authenticate`: login and password of a test taker.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use taosync_model::OrgId;
use taosync_sync::runner::{SignedIn, StartableDelivery};
use uuid::Uuid;

use super::key::Reach;
use crate::body;
use crate::problem::ApiError;
use crate::state::Local;

/// Most bytes of the request.
pub(crate) const MAX_LOGIN: usize = 4 * 1024;

#[derive(Deserialize)]
struct Login {
    login: String,
    #[serde(with = "taosync_wire::secret_text")]
    password: SecretString,
    /// Where the candidate sits: wrong tries are slowed down there only.
    #[serde(default)]
    device: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Taker {
    test_taker: String,
    label: String,
    deliveries: Vec<Startable>,
}

#[derive(Serialize)]
struct Startable {
    uri: String,
    label: String,
    organisation_id: OrgId,
    package_version: u32,
    /// The attempt that is running already.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<Uuid>,
}

pub(super) async fn authenticate(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    request: Body,
) -> Result<Json<Taker>, ApiError> {
    let Login { login, password, device } = body::read_json(request, MAX_LOGIN).await?;
    let SignedIn { test_taker, label, deliveries } =
        reach.runner(&local).authenticate(&login, &password, device.as_deref()).await?;
    Ok(Json(Taker { test_taker, label, deliveries: deliveries.into_iter().map(startable).collect() }))
}

fn startable(delivery: StartableDelivery) -> Startable {
    let StartableDelivery { uri, label, org, package_version, running } = delivery;
    Startable { uri, label, organisation_id: org, package_version, running }
}
