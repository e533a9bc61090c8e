//! Reading small request bodies: bounded in bytes and in time, also against a client that trickles.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::Stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::problem::ApiError;

/// A small body must be here within this time.
const WHOLE_BODY: Duration = Duration::from_secs(30);

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(WHOLE_BODY, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| stalled())? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(error) if is_stall(error.as_ref()) => Err(stalled()),
        Err(_) => Err(cut()),
    }
}

/// Reads a JSON body of at most `limit` bytes.
pub(crate) async fn read_json<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    json(&read(body, limit).await?)
}

/// Reads JSON; what is wrong with it is told by place, never by value.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "a field is missing, unknown or of another type",
            serde_json::error::Category::Eof => "it is cut short",
            _ => "it is not JSON",
        };
        let place = format!("line {}, column {}", error.line(), error.column());
        ApiError::bad_request(format!("the body cannot be read: {kind} ({place})"))
    })
}

/// A body as a stream; it fails when nothing comes for a while.
pub(crate) fn stream(body: Body) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    body.into_data_stream()
}

/// A streamed answer.
pub(crate) fn streamed<S, E>(media_type: &'static str, stream: S) -> Response
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<axum::BoxError>,
{
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}

fn is_stall(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.any(|cause| cause.downcast_ref().is_some_and(|e: &std::io::Error| e.kind() == std::io::ErrorKind::TimedOut))
}

fn too_large(limit: usize) -> ApiError {
    let detail = format!("the body is larger than {limit} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail, "send less in one request")
}

pub(crate) fn stalled() -> ApiError {
    let detail = "the body of the request did not come in time";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_stalled", detail, "check the line and try again")
}

fn cut() -> ApiError {
    let detail = "the body of the request was cut";
    ApiError::new(StatusCode::BAD_REQUEST, "body_cut", detail, "check the line and try again")
}
