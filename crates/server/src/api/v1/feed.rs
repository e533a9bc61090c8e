//! `GET /api/v1/feed`: what is new for the caller's org.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use taosync_sync::down::offer::{OfferRequest, offer};
use taosync_wire::v1::CONTINUATION;
use taosync_wire::v1::feed::FeedQuery;

use super::{FRAMES, sync_id};
use crate::body;
use crate::oauth::Caller;
use crate::problem::ApiError;
use crate::state::Central;

/// Most bytes of a continuation; ours has 43.
const MAX_CONTINUATION: usize = 128;

pub(crate) async fn feed(
    State(central): State<Arc<Central>>,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<FeedQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::bad_request("the query of the feed cannot be read"))?;
    let request = offer_request(&central, caller, &headers, query)?;
    Ok(body::streamed(FRAMES, offer(central.store.clone(), request).await?))
}

/// What is asked for: org and node come from the token, the rest from the request.
pub(super) fn offer_request(
    central: &Central,
    caller: Caller,
    headers: &HeaderMap,
    query: FeedQuery,
) -> Result<OfferRequest, ApiError> {
    Ok(OfferRequest {
        org: caller.org,
        query,
        continuation: continuation(headers)?,
        node: caller.node,
        actor: caller.consumer,
        sync: sync_id(headers)?,
        chunk_size: central.chunk_size,
    })
}

fn continuation(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(CONTINUATION) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_CONTINUATION);
    let text = text.ok_or_else(|| ApiError::bad_request(format!("the header {CONTINUATION} is malformed")))?;
    Ok(Some(text.to_owned()))
}
