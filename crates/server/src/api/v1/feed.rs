//! `GET /api/v1/feed`: what is new for the caller's org.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use taosync_model::receipt_mark::ReceiptMark;
use taosync_sync::down::offer::{OfferRequest, offer};
use taosync_wire::v1::feed::FeedQuery;
use taosync_wire::v1::{CONTINUATION, RECEIPT};

use super::{FRAMES, sync_id};
use crate::body;
use crate::oauth::{Caller, CallerOnce};
use crate::problem::ApiError;
use crate::state::Central;

/// Most bytes of a continuation or the mark of a receipt; ours have about 50.
const MAX_SHOWN: usize = 128;

pub(crate) async fn feed(
    State(central): State<Arc<Central>>,
    CallerOnce(caller): CallerOnce,
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
        shown: shown(headers, CONTINUATION)?.unwrap_or_default(),
        receipt: receipt(headers)?,
        node: caller.node,
        actor: caller.consumer,
        sync: sync_id(headers)?,
        chunk_size: central.chunk_size,
    })
}

/// The newest receipt the caller holds.
pub(super) fn receipt(headers: &HeaderMap) -> Result<Option<ReceiptMark>, ApiError> {
    shown(headers, RECEIPT)
}

fn shown<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_SHOWN);
    let shown = text.and_then(|text| text.parse().ok());
    shown.map(Some).ok_or_else(|| ApiError::bad_request(format!("the header {name} is malformed")))
}
