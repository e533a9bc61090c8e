//! A large chunk by itself (`GET chunks/{name}`): what has come is kept, the rest is asked for by range.

use http::StatusCode;
use taosync_store::StoreError;
use taosync_store::blobs::Part;
use taosync_store::packages::ChunkRef;
use taosync_wire::v1;

use super::batch::other_bytes;
use super::{Group, Transfer, Way};
use crate::link::{LinkError, Request, Response};
use crate::session::SyncError;

impl Transfer<'_> {
    /// Fetches a chunk, in as many tries as it takes while each brings something.
    pub(super) async fn ranged(&self, chunk: ChunkRef, way: &Way<'_>) -> Result<(), SyncError> {
        let mut part = self.blobs.part_take_up(chunk.name, chunk.bytes).await?;
        let mut is_from_earlier = part.bytes() > 0;
        let (mut failures, mut turn) = (0, None);
        loop {
            let before = part.bytes();
            if before < chunk.bytes {
                // Kept while it waits for a better line: whoever took it would wait too.
                turn = if turn.is_some() { turn } else { way.turn().await };
                if turn.is_none() || way.is_closed() {
                    return Ok(());
                }
                let end = self.rest(&mut part, chunk).await?;
                failures = if part.bytes() > before { 1 } else { failures + 1 };
                if let Err(error) = end {
                    part.write_all().await?;
                    self.wait(failures, error).await?;
                    continue;
                }
            }
            drop(turn.take());
            match part.check().await {
                Ok(()) => {
                    let group = Group { chunks: vec![chunk], parts: vec![chunk.name], packs: Vec::new() };
                    self.arrived(group, way.arrived).await;
                    return Ok(());
                }
                // A start that a dead machine left may be no longer what it was.
                Err(StoreError::Damaged { .. }) if is_from_earlier => {
                    is_from_earlier = false;
                    part = self.blobs.part_take_up(chunk.name, chunk.bytes).await?;
                    self.meter.expect(chunk.bytes);
                }
                Err(StoreError::Damaged { .. }) => return Err(other_bytes()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks for what is missing of a chunk. Fails itself only when the disk does.
    async fn rest(&self, part: &mut Part, chunk: ChunkRef) -> Result<Result<(), LinkError>, StoreError> {
        let mut request = Request::get(format!("{}/{}", v1::PATH_CHUNKS, chunk.name));
        if part.bytes() > 0 {
            request = request.header("range", format!("bytes={}-", part.bytes()));
        }
        let response = match self.link.send(request).await {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        };
        match begins_at(&response) {
            Some(at) if at == part.bytes() => {}
            Some(0) => {
                self.meter.expect(part.bytes());
                part.restart().await?;
            }
            _ => return Ok(Err(LinkError::Protocol("another part of a chunk than was asked for".into()))),
        }
        self.read(response, part, chunk).await
    }

    async fn read(
        &self,
        mut response: Response,
        part: &mut Part,
        chunk: ChunkRef,
    ) -> Result<Result<(), LinkError>, StoreError> {
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if part.bytes() + piece.len() as u64 > chunk.bytes => return Ok(Err(another_size())),
                Ok(Some(piece)) => {
                    self.meter.add(piece.len() as u64);
                    let mut rest = part.take(&piece);
                    while !rest.is_empty() {
                        part.write().await?;
                        rest = part.take(rest);
                    }
                }
                Ok(None) if part.bytes() < chunk.bytes => return Ok(Err(another_size())),
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

fn another_size() -> LinkError {
    LinkError::Protocol("a chunk of another size than the list of files says".into())
}

/// Where in the chunk an answer begins (RFC 9110 §14.4); `None` when it cannot be told.
fn begins_at(response: &Response) -> Option<u64> {
    if response.status == StatusCode::OK {
        return Some(0);
    }
    let range = response.headers.get("content-range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
