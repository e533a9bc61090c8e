//! `POST /api/v1/compare…`: both sides find out what differs, then central answers with that.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use taosync_sync::down::compare::answer;
use taosync_wire::v1::compare::MAX_MESSAGE;
use taosync_wire::v1::feed::FeedQuery;
use tokio::sync::SemaphorePermit;

use super::FRAMES;
use super::feed::offer_request;
use crate::body::{self, Gathered};
use crate::oauth::{Caller, CallerOnce};
use crate::problem::ApiError;
use crate::state::Central;

/// Bytes a round may have more than its message: the header and what compression adds.
const ROUND_EXTRA: usize = 8 * 1024;
/// A list or a question must be here within this time.
const WHOLE_BODY: Duration = Duration::from_secs(600);

/// One round of reconciliation.
pub(crate) async fn round(
    State(central): State<Arc<Central>>,
    caller: Caller,
    request: Body,
) -> Result<Response, ApiError> {
    central.store.poll_count("compare");
    let message = body::read(request, MAX_MESSAGE + ROUND_EXTRA).await?;
    let _turn = turn(&central).await?;
    whole(answer::round(&central.store, &caller.org, &message, central.comparison).await?)
}

/// The whole list of what local holds.
pub(crate) async fn listing(
    State(central): State<Arc<Central>>,
    caller: Caller,
    request: Body,
) -> Result<Response, ApiError> {
    central.store.poll_count("compare");
    let list = gather(&central, request).await?;
    let _turn = turn(&central).await?;
    whole(answer::listing(&central.store, &caller.org, list.stream(), central.comparison).await?)
}

/// What differs, by name.
pub(crate) async fn compare(
    State(central): State<Arc<Central>>,
    CallerOnce(caller): CallerOnce,
    headers: HeaderMap,
    query: Result<Query<FeedQuery>, QueryRejection>,
    request: Body,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::bad_request("the query of the comparison cannot be read"))?;
    let asked = offer_request(&central, caller, &headers, query)?;
    let question = gather(&central, request).await?;
    let _turn = turn(&central).await?;
    Ok(body::streamed(
        FRAMES,
        answer::answer(central.store.clone(), asked, question.stream(), central.comparison).await?,
    ))
}

/// A body that may be large. It has to be here before it gets a turn: who stalls would hold up all who compare.
async fn gather(central: &Central, request: Body) -> Result<Gathered<'_>, ApiError> {
    let gathered = tokio::time::timeout(WHOLE_BODY, body::gather(request, &central.questions)).await;
    gathered.map_err(|_| body::stalled())?
}

/// A comparison holds an org's whole set in memory: only so many are made at once.
async fn turn(central: &Central) -> Result<SemaphorePermit<'_>, ApiError> {
    match tokio::time::timeout(central.comparison_wait, central.comparisons.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(ApiError::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "central is comparing with other local servers",
            "try again in a minute",
        )),
    }
}

fn whole(bytes: Vec<u8>) -> Result<Response, ApiError> {
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(axum::body::Bytes::from(bytes))]);
    Ok(body::streamed(FRAMES, pieces))
}
