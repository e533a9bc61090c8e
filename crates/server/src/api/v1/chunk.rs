//! `GET /api/v1/chunks/{name}`: one chunk, or a part of it after a cut line.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::Stream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use taosync_model::Digest;
use taosync_store::blobs::Blobs;

use super::chunks::{allowed, cut};
use crate::oauth::Caller;
use crate::problem::ApiError;
use crate::range::{Part, part};
use crate::state::Central;

/// Bytes that are read at once: for each the disk's thread is asked.
const PIECE: usize = 128 * 1024;

pub(crate) async fn chunk(
    State(central): State<Arc<Central>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (name, length) = find(&central, &caller, name.map(|Path(name)| name).ok().as_deref()).await?;
    let etag = format!("\"{name}\"");
    if headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        return Ok(with_headers(StatusCode::NOT_MODIFIED, Body::empty(), &[(ETAG, etag)]));
    }
    let (status, first, last) = match part(&headers, &etag, length) {
        Part::Whole => (StatusCode::OK, 0, length.saturating_sub(1)),
        Part::Bytes(first, last) => (StatusCode::PARTIAL_CONTENT, first, last),
        Part::Unsatisfiable => return Err(outside(length)),
    };
    let count = if length == 0 { 0 } else { last - first + 1 };
    let mut facts = vec![
        (ETAG, etag),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, count.to_string()),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        facts.push((CONTENT_RANGE, format!("bytes {first}-{last}/{length}")));
    }
    let body = Body::from_stream(pieces(central.blobs.clone(), name, first, count));
    Ok(with_headers(status, body, &facts))
}

/// A chunk the caller may have, and its bytes. Unknown, another org's and malformed names get the same answer.
async fn find(central: &Central, caller: &Caller, name: Option<&str>) -> Result<(Digest, u64), ApiError> {
    let unknown = || ApiError::not_found("there is no such chunk for this organisation");
    let name: Digest = name.and_then(|name| name.parse().ok()).ok_or_else(unknown)?;
    if !allowed(central, caller, &[name]).await?.contains(&name) {
        return Err(unknown());
    }
    let length = central.blobs.size(name).await?;
    if length.is_none() {
        tracing::error!(chunk = %name, "a published chunk is not on disk");
    }
    Ok((name, length.ok_or_else(unknown)?))
}

fn outside(length: u64) -> ApiError {
    let range = HeaderValue::from_str(&format!("bytes */{length}")).unwrap_or(HeaderValue::from_static("bytes */*"));
    let detail = format!("the range lies outside the chunk of {length} bytes");
    ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_outside", detail, "fetch the chunk from its start")
        .with_header(CONTENT_RANGE, range)
}

/// The bytes, piece by piece. A chunk that is shorter than it was cuts the answer.
fn pieces(
    blobs: Blobs,
    name: Digest,
    first: u64,
    count: u64,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    futures_util::stream::try_unfold((blobs, first, count), move |(blobs, at, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = blobs.piece(name, at, length).await.map_err(cut)?;
        if piece.len() < length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let read = piece.len() as u64;
        Ok(Some((Bytes::from(piece), (blobs, at + read, left - read))))
    })
}

fn with_headers(status: StatusCode, body: Body, headers: &[(HeaderName, String)]) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
