//! Plain bytes of files, piece by piece. A class watches one video: its chunks are opened once for all, and a slow
//! reader holds one piece, not the chunk it is from.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use taosync_model::Digest;
use taosync_packages::TreeFile;
use taosync_packages::tree::{CHUNK_BYTES, open_piece};
use taosync_store::StoreError;
use tokio::sync::Semaphore;

use super::opened::Opened;
use crate::problem::ApiError;
use crate::state::Local;

/// Bytes that are handed to the network at a time.
const PIECE: usize = 256 * 1024;
/// Bytes of opened chunks that are kept: twelve full ones.
const KEPT_BYTES: usize = 12 * CHUNK_BYTES;
/// Chunks opened at once; each takes twice its size meanwhile.
const OPENING: usize = 4;

/// Opened chunks that were used last.
pub(crate) struct Chunks {
    kept: Mutex<VecDeque<(Digest, Bytes)>>,
    opening: Semaphore,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { kept: Mutex::default(), opening: Semaphore::new(OPENING) }
    }
}

impl Chunks {
    fn get(&self, name: Digest) -> Option<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| *known == name)?;
        let found = kept.remove(at)?;
        let bytes = found.1.clone();
        kept.push_front(found);
        Some(bytes)
    }

    fn keep(&self, name: Digest, bytes: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((name, bytes));
        let mut total = 0;
        let fitting = kept.iter().take_while(|(_, bytes)| {
            total += bytes.len();
            total <= KEPT_BYTES
        });
        let fitting = fitting.count();
        kept.truncate(fitting);
    }
}

/// A part of a file that is read.
pub(super) struct Reading {
    local: Arc<Local>,
    opened: Arc<Opened>,
    /// Place of the file in the list.
    file: usize,
    at: u64,
    end: u64,
}

impl Reading {
    /// `count` bytes from `first` of the file at this place of the list.
    pub fn new(local: Arc<Local>, opened: Arc<Opened>, file: usize, first: u64, count: u64) -> Self {
        Self { local, opened, file, at: first, end: first + count }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let file = &self.opened.tree.files[self.file];
        let chunk = opened_chunk(&self.local, file, (self.at / CHUNK_BYTES as u64) as usize).await?;
        let from = (self.at % CHUNK_BYTES as u64) as usize;
        let length = PIECE.min(chunk.len() - from).min(usize::try_from(self.end - self.at).unwrap_or(PIECE));
        self.at += length as u64;
        // A piece of a chunk would keep all of it.
        let piece = chunk.slice(from..from + length);
        Ok(Some(if length == chunk.len() { piece } else { Bytes::copy_from_slice(&piece) }))
    }

    /// The rest. An answer that has begun can only be cut, which its length gives away.
    pub fn rest(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::try_unfold(self, |mut reading| async move {
            let piece = reading.next().await.map_err(|_| io::Error::other("the file could not be read"))?;
            Ok(piece.map(|piece| (piece, reading)))
        })
    }
}

/// A chunk of a file, verified and unpacked. One that is damaged is told as such, and to the operator by name.
async fn opened_chunk(local: &Local, file: &TreeFile, number: usize) -> Result<Bytes, ApiError> {
    let damaged = || ApiError::from(StoreError::Damaged { what: "a file of a test".into() });
    let chunk = file.chunks.get(number).ok_or_else(damaged)?;
    if let Some(bytes) = local.chunks.get(chunk.name) {
        return Ok(bytes);
    }
    let _turn = local.chunks.opening.acquire().await.map_err(|error| ApiError::internal(&error))?;
    if let Some(bytes) = local.chunks.get(chunk.name) {
        return Ok(bytes);
    }
    let (blobs, path, wanted) = (local.blobs.clone(), file.path.clone(), chunk.clone());
    let work = move || open_piece(&path, &wanted, &|name| blobs.get_waiting(*name).map_err(io::Error::other));
    let bytes = tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(&error))?;
    let bytes = Bytes::from(bytes.map_err(|error| {
        tracing::error!(%error, "a file of a test cannot be read");
        damaged()
    })?);
    if bytes.len() as u64 != chunk.plain_bytes {
        return Err(damaged());
    }
    local.chunks.keep(chunk.name, bytes.clone());
    Ok(bytes)
}
