//! `POST /api/v1/compare`: local shows what it holds, central answers with what differs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use taosync_sync::down::compare;
use taosync_wire::v1::feed::FeedQuery;

use super::FRAMES;
use super::feed::offer_request;
use crate::body;
use crate::oauth::Caller;
use crate::problem::ApiError;
use crate::state::Central;

pub(crate) async fn compare(
    State(central): State<Arc<Central>>,
    caller: Caller,
    headers: HeaderMap,
    request: Body,
) -> Result<Response, ApiError> {
    let query = FeedQuery { epoch: None, after: String::new(), types: None };
    let asked = offer_request(&central, caller, &headers, query)?;
    let held = body::stream(request);
    Ok(body::streamed(FRAMES, compare::answer(central.store.clone(), asked, held).await?))
}
