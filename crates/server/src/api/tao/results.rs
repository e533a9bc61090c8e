//! What a box hands in, and its word about how a sync ended.

use axum::response::Response;
use serde_json::Value;
use taosync_sync::tao::confirm::{self, Ending};
use taosync_sync::tao::hand_in::HandIn;
use taosync_wire::tao::items::{CONFIRMED, Confirmation, Confirmed, LtiUsersRequest, SessionsRequest};
use taosync_wire::tao::logs::LogsRequest;
use taosync_wire::tao::results::ResultsRequest;
use taosync_wire::tao::{PATH_CONFIRM_FINISHED, SyncParams};

use super::Asked;
use super::caller::Caller;
use super::entities::scope_of;
use super::fault::{Fault, answer};

pub(super) async fn results(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    let request: ResultsRequest = asked.document()?;
    let hand_in = hand_in(asked, caller, &request.sync_params)?;
    Ok(answer(&hand_in.results(request).await?))
}

pub(super) async fn logs(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    let request: LogsRequest = asked.document()?;
    let hand_in = hand_in(asked, caller, &request.sync_params)?;
    Ok(answer(&hand_in.logs(request).await?))
}

pub(super) async fn sessions(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    let request: SessionsRequest = asked.document()?;
    let hand_in = hand_in(asked, caller, &request.sync_params)?;
    Ok(answer(&hand_in.sessions(request).await?))
}

pub(super) async fn lti_users(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    let request: LtiUsersRequest = asked.document()?;
    let hand_in = hand_in(asked, caller, &request.sync_params)?;
    Ok(answer(&hand_in.lti_users(request).await?))
}

/// The answer is the same whatever the box says; what of it makes sense goes into the history.
pub(super) async fn confirm(asked: &Asked, caller: &Caller, path: &str) -> Result<Response, Fault> {
    let body: Value = asked.document()?;
    let word: Confirmation = serde_json::from_value(body).unwrap_or_default();
    let ending = if path == PATH_CONFIRM_FINISHED { Ending::Finished } else { Ending::Failed };
    let store = &asked.central.store;
    if let Some(scope) = caller.reach.scope(word.params.organisation_id.as_deref()) {
        confirm::ended(store, &word, scope.org(), &caller.name, ending).await?;
    }
    Ok(answer(&Confirmed { message: CONFIRMED.to_owned() }))
}

fn hand_in(asked: &Asked, caller: &Caller, params: &SyncParams) -> Result<HandIn, Fault> {
    asked.check_version(params)?;
    let scope = scope_of(caller, params)?;
    let identity = &asked.central.identity;
    let box_id = params.box_id.as_deref().unwrap_or(&caller.name);
    Ok(HandIn::new(asked.central.store.clone(), identity.node, identity.epoch, scope.org().clone(), box_id))
}
