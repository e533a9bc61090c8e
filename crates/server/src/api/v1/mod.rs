//! Version 1 of the protocol for local servers (docs/PROTOCOL.md), one file each endpoint.

pub(crate) mod chunk;
pub(crate) mod chunks;
pub(crate) mod compare;
pub(crate) mod delivery_keys;
pub(crate) mod feed;
pub(crate) mod outbox;
pub(crate) mod report;
pub(crate) mod time;

use http::HeaderMap;
use taosync_wire::v1::SYNC_ID;
use uuid::Uuid;

use crate::problem::ApiError;

/// Media type of frames.
pub(crate) const FRAMES: &str = "application/zstd";
/// Bytes of a chunk that are read and sent at a time.
const PIECE: usize = 64 * 1024;

/// The sync a request says it belongs to.
fn sync_id(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    let Some(value) = headers.get(SYNC_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| ApiError::bad_request(format!("the header {SYNC_ID} is not an id")))
}
