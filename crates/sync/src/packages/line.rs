//! How fast the line to central is: what is here of tests is fetched once more, in the same requests as before, and
//! thrown away as it comes.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use taosync_model::Digest;
use taosync_store::Store;
use taosync_wire::v1;
use taosync_wire::v1::packages::ChunksWanted;

use super::transfer::{AT_ONCE, Piece, TransferPlan};
use crate::link::{Link, LinkError, Request};
use crate::session::SyncError;

/// What came, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineSpeed {
    /// Bytes of answers, heads not counted.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
    /// From the first request to the last byte.
    pub seconds: f64,
}

/// Connections over which tests are fetched.
pub const CONNECTIONS: usize = AT_ONCE;

/// Measures over so many connections at once. Nothing is unpacked, checked or kept, so this is what the line and central
/// alone are good for.
pub async fn measure(store: &Store, link: &Link, connections: usize) -> Result<LineSpeed, SyncError> {
    let chunks = store.chunks_list().await?;
    let names: Vec<Digest> = chunks.iter().map(|chunk| chunk.name).collect();
    let plan = TransferPlan::of(&chunks, &names, &BTreeMap::new());
    // The token is not part of it.
    link.access().await?;
    let (since, requests) = (Instant::now(), plan.pieces.len() as u64);
    let came = stream::iter(plan.pieces).map(|piece| drain(link, piece)).buffer_unordered(connections);
    let bytes = came.try_fold(0, |sum, bytes| async move { Ok(sum + bytes) }).await?;
    Ok(LineSpeed { bytes, requests, seconds: since.elapsed().as_secs_f64() })
}

/// Bytes of one answer; none of a chunk that central does not give any more.
async fn drain(link: &Link, piece: Piece) -> Result<u64, LinkError> {
    let request = match piece {
        Piece::Batch(asked) => {
            Request::post_json(v1::PATH_CHUNKS, &ChunksWanted { names: asked.0.into_keys().collect() })
        }
        Piece::Large(chunk) => Request::get(format!("{}/{}", v1::PATH_CHUNKS, chunk.name)),
    };
    let mut answer = match link.send(request).await {
        Err(LinkError::Problem(problem)) if problem.status == 404 => return Ok(0),
        answer => answer?,
    };
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await? {
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}
