//! `GET packages/{package}/files/{path}`: one file of a package, or a part of it, decrypted on the way.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::caching::{Keep, mark, tag_of, unchanged};
use super::key::Reach;
use super::media_type;
use super::opened::opened;
use super::packages::{Place, both};
use super::pieces::Reading;
use crate::problem::ApiError;
use crate::range::{Part, part};
use crate::state::Local;

pub(super) async fn file(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    place: Place,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let (package, path) = both(place)?;
    let opened = opened(&local, &reach, &package).await?;
    // Paths are compared with those of the package, and never lead to a disk.
    let found = opened.tree.files.binary_search_by(|file| file.path.as_str().cmp(&path));
    let place = found.map_err(|_| ApiError::not_found("there is no such file in the package"))?;
    let file = &opened.tree.files[place];
    let tag = tag_of(file.digest);
    if let Some(unchanged) = unchanged(&asked, &tag, Keep::ForEver) {
        return Ok(unchanged);
    }
    let length = file.bytes;
    let (status, first, count) = match part(&asked, &tag, length) {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Bytes(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Part::Unsatisfiable => return Err(outside(length)),
    };
    let mut reading = Reading::new(Arc::clone(&local), opened, place, first, count);
    // A file that is damaged from its start is an error, not half an answer.
    let piece = reading.next().await?;
    let pieces = futures_util::stream::iter(piece.map(Ok)).chain(reading.rest());
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    mark(headers, &tag, Keep::ForEver);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(count));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type::of(&path)));
    // A page out of a package runs no script with the rights of this server.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(CONTENT_RANGE, shown(&format!("bytes {first}-{}/{length}", first + count - 1)));
    }
    Ok(response)
}

fn outside(length: u64) -> ApiError {
    let detail = format!("the range lies outside the file of {length} bytes");
    ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_outside", detail, "fetch the file from its start")
        .with_header(CONTENT_RANGE, shown(&format!("bytes */{length}")))
}

fn shown(range: &str) -> HeaderValue {
    HeaderValue::from_str(range).unwrap_or(HeaderValue::from_static("bytes */*"))
}
