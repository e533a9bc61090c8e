//! Reading request bodies: bounded in bytes and in time, also against a client that trickles.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

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

/// Gathers a body before anything is held for it: what of it has come takes from `room` (KiB all such bodies may have
/// together), so that a client that stalls holds up nobody, and many cannot fill the memory.
pub(crate) async fn gather(body: Body, room: &Semaphore) -> Result<Gathered<'_>, ApiError> {
    let mut gathered = Gathered { pieces: Vec::new(), taken: None };
    let mut pieces = std::pin::pin!(body.into_data_stream());
    let (mut bytes, mut held) = (0, 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| if is_stall(&error) { stalled() } else { cut() })?;
        bytes += piece.len();
        let wanted = bytes.div_ceil(1024);
        let more = u32::try_from(wanted - held).map_err(|_| no_room())?;
        let permit = room.try_acquire_many(more).map_err(|_| no_room())?;
        match &mut gathered.taken {
            Some(taken) => taken.merge(permit),
            None => gathered.taken = Some(permit),
        }
        held = wanted;
        gathered.pieces.push(piece);
    }
    Ok(gathered)
}

/// A body of at most `limit` bytes in one piece, with the room it takes while it is held; otherwise the status that says
/// what is wrong.
pub(crate) async fn gather_whole(
    body: Body,
    limit: usize,
    room: &Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'_>>), StatusCode> {
    let status = |error: ApiError| StatusCode::from_u16(error.problem().status).unwrap_or(StatusCode::BAD_REQUEST);
    let Gathered { mut pieces, taken } = match gather(Body::new(Limited::new(body, limit)), room).await {
        Ok(gathered) => gathered,
        Err(error) => return Err(status(error)),
    };
    let whole = if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() };
    Ok((whole, taken))
}

/// A body that is here, and the room it takes.
pub(crate) struct Gathered<'a> {
    pieces: Vec<Bytes>,
    taken: Option<SemaphorePermit<'a>>,
}

impl Gathered<'_> {
    /// Its pieces; each is given back when it has been read, the room when all are.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        let Self { pieces, taken } = self;
        futures_util::stream::iter(pieces).map(move |piece| {
            let _held = &taken;
            Ok(piece)
        })
    }
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

fn no_room() -> ApiError {
    let detail = "central is reading from too many local servers at once";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail, "try again in a minute")
}

fn cut() -> ApiError {
    let detail = "the body of the request was cut";
    ApiError::new(StatusCode::BAD_REQUEST, "body_cut", detail, "check the line and try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_a_depth() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(json::<serde_json::Value>(nested(127).as_bytes()).is_ok());
        let error = json::<serde_json::Value>(nested(128).as_bytes()).unwrap_err();
        assert_eq!((error.problem().status, error.problem().code.as_str()), (400, "bad_request"));
        assert!(json::<serde_json::Value>("[".repeat(1_000_000).as_bytes()).is_err(), "and no crash");
    }
}
