//! `POST /api/v1/chunks`: many small chunks in one stream of frames.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::Stream;
use http::StatusCode;
use taosync_model::Digest;
use taosync_store::StoreError;
use taosync_store::blobs::{Blobs, Found};
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::packages::{ChunkFrame, ChunkHead, ChunksWanted, MAX_CHUNKS};

use super::{FRAMES, PIECE};
use crate::body;
use crate::oauth::Caller;
use crate::problem::ApiError;
use crate::state::Central;

/// Most bytes of the request: 1,000 names and what stands between them.
const MAX_BODY: usize = 128 * 1024;
/// Small chunks that are read together at most, and their bytes.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: u64 = 256 * 1024;

pub(crate) async fn chunks(
    State(central): State<Arc<Central>>,
    caller: Caller,
    request: Body,
) -> Result<Response, ApiError> {
    let ChunksWanted { names } = body::read_json(request, MAX_BODY).await?;
    if names.len() > MAX_CHUNKS {
        let detail = format!("more than {MAX_CHUNKS} chunks are asked for in one request");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", detail, "ask in several requests"));
    }
    central.store.poll_count("chunks.read");
    let allowed = allowed(&central, &caller, &names).await?;
    let writer = FrameWriter::of_sealed().map_err(|error| ApiError::internal(&error))?;
    let (blobs, names, ready) = (central.blobs.clone(), names.into(), VecDeque::new());
    let sending = Sending { blobs, names, allowed, ready, now: None, writer: Some(writer) };
    Ok(body::streamed(FRAMES, sending.stream()))
}

/// Those of the names that the caller's org may have now.
pub(super) async fn allowed(central: &Central, caller: &Caller, names: &[Digest]) -> Result<HashSet<Digest>, ApiError> {
    let Some(state) = central.store.feed_state(&caller.org).await? else { return Ok(HashSet::new()) };
    Ok(central.store.chunks_allowed(state.scope, names).await?.into_iter().collect())
}

/// Chunks on their way; some small ones, or one piece of a large one, are in memory.
struct Sending {
    blobs: Blobs,
    names: VecDeque<Digest>,
    allowed: HashSet<Digest>,
    ready: VecDeque<(Digest, Found)>,
    now: Option<Open>,
    /// Taken at the end.
    writer: Option<FrameWriter>,
}

struct Open {
    name: Digest,
    sent: u64,
    bytes: u64,
}

impl Sending {
    fn stream(self) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        futures_util::stream::try_unfold(self, |mut sending: Self| async move {
            Ok(sending.next().await?.map(|bytes| (Bytes::from(bytes), sending)))
        })
    }

    /// The next bytes for the network; `None` after the last.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, std::io::Error> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        while writer.ready() < PIECE {
            if !self.advance(&mut writer).await? {
                writer.push(&ChunkFrame::End, &[])?;
                return writer.finish().map(Some);
            }
        }
        let bytes = writer.take();
        self.writer = Some(writer);
        Ok(Some(bytes))
    }

    /// Writes the next piece or the next head; false when nothing is left.
    async fn advance(&mut self, writer: &mut FrameWriter) -> Result<bool, std::io::Error> {
        if let Some(open) = &mut self.now {
            let piece = self.blobs.piece(open.name, open.sent, PIECE).await.map_err(cut)?;
            open.sent += piece.len() as u64;
            if piece.is_empty() || open.sent > open.bytes {
                return Err(std::io::Error::other("a chunk changed while it was read"));
            }
            writer.part(&piece)?;
            if open.sent == open.bytes {
                self.now = None;
            }
            return Ok(true);
        }
        if self.ready.is_empty() {
            self.look().await?;
        }
        let Some((name, found)) = self.ready.pop_front() else { return Ok(false) };
        match found {
            Found::Whole(bytes) => {
                writer.push(&ChunkFrame::Chunk(ChunkHead { name, len: bytes.len() as u64 }), &bytes)?;
            }
            Found::Large(bytes) => {
                writer.begin(&ChunkFrame::Chunk(ChunkHead { name, len: bytes }))?;
                self.now = Some(Open { name, sent: 0, bytes });
            }
            Found::Absent => writer.push(&ChunkFrame::Missing(name), &[])?,
        }
        Ok(true)
    }

    /// Reads the next small chunks together: looking for each by itself costs more than reading it.
    async fn look(&mut self) -> Result<(), std::io::Error> {
        let names: Vec<Digest> = self.names.iter().copied().take(TOGETHER).collect();
        let asked = names.iter().copied().filter(|name| self.allowed.contains(name)).collect();
        let mut found = self.blobs.look(asked, PIECE as u64, TOGETHER_BYTES).await.map_err(cut)?.into_iter().peekable();
        for name in names {
            let is_allowed = self.allowed.contains(&name);
            match found.next_if(|(found, _)| *found == name) {
                Some(chunk) => self.ready.push_back(chunk),
                None if is_allowed => break,
                None => self.ready.push_back((name, Found::Absent)),
            }
            self.names.pop_front();
        }
        Ok(())
    }
}

/// The answer has begun: all that can be done is to cut it, which the other side notices.
pub(super) fn cut(error: StoreError) -> std::io::Error {
    tracing::error!(%error, "a chunk could not be read");
    std::io::Error::other("a chunk could not be read")
}
