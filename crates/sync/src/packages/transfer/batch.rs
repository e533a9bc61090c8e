//! Many small chunks in one request (`POST chunks`).

use std::collections::BTreeMap;

use taosync_model::Digest;
use taosync_store::StoreError;
use taosync_store::packages::ChunkRef;
use taosync_wire::v1;
use taosync_wire::v1::packages::{ChunkFrame, ChunksWanted};

use super::plan::Asked;
use super::{Fresh, Group, Transfer, Way};
use crate::link::{Link, LinkError, Request};
use crate::session::SyncError;

/// Chunks that come together in a pack, at least: fewer are a file each, so that many small updates do not make many packs.
const PACKED: usize = 8;
/// Chunks of one request whose answers are held in memory.
const AT_ONCE_IN_MEMORY: usize = 64;

impl Transfer<'_> {
    /// Fetches a batch; after a cut only what has not come is asked for again.
    pub(super) async fn batch(&self, mut asked: Asked, way: &Way<'_>) -> Result<(), SyncError> {
        let (mut failures, mut missing) = (0, None);
        // Kept while it waits for a better line: whoever took it would wait too.
        let mut turn = way.turn().await;
        while turn.is_some() && !way.is_closed() {
            let answer = answer(self.link, &mut asked).await;
            if answer.end.is_ok() {
                turn = None;
            }
            missing = missing.or(answer.missing);
            failures = if answer.chunks.is_empty() { failures + 1 } else { 1 };
            let group = self.kept(answer.chunks).await.map_err(not_kept)?;
            self.arrived(group, way.arrived).await;
            match answer.end {
                Ok(()) if asked.0.is_empty() => return all_there(missing),
                Ok(()) => return Err(LinkError::Protocol("not all of the chunks that were asked for".into()).into()),
                Err(error) => self.wait(failures, error).await?,
            }
        }
        Ok(())
    }

    /// Fetches a batch in one try, and keeps what came.
    pub(super) async fn once(&self, mut asked: Asked) -> Result<(), SyncError> {
        let answer = answer(self.link, &mut asked).await;
        self.kept(answer.chunks).await.map_err(not_kept)?;
        Ok(answer.end?)
    }

    /// Writes what came: together, when it is much.
    async fn kept(&self, came: Vec<(Digest, Vec<u8>)>) -> Result<Group, StoreError> {
        let chunks: Vec<_> =
            came.iter().map(|(name, body)| ChunkRef { name: *name, bytes: body.len() as u64 }).collect();
        let mut group = Group { chunks, ..Group::default() };
        self.meter.add(group.bytes());
        let small = Fresh::small_of(&came);
        if came.len() < PACKED {
            group.parts = group.chunks.iter().map(|chunk| chunk.name).collect();
            self.blobs.parts_put(came).await?;
        } else {
            group.packs.push(self.blobs.pack_put(came).await?);
        }
        self.fresh.keep(small);
        Ok(group)
    }
}

/// Small chunks that are read and not kept, in requests of bounded size. Those that central lacks are an error.
pub(in crate::packages) async fn in_memory(
    link: &Link,
    wanted: &[ChunkRef],
    missing: &[Digest],
) -> Result<BTreeMap<Digest, Vec<u8>>, SyncError> {
    let mut read = BTreeMap::new();
    let sizes: BTreeMap<Digest, u64> = wanted.iter().map(|chunk| (chunk.name, chunk.bytes)).collect();
    for names in missing.chunks(AT_ONCE_IN_MEMORY) {
        let mut asked = Asked(names.iter().map(|name| (*name, sizes.get(name).copied().unwrap_or(0))).collect());
        let answer = answer(link, &mut asked).await;
        answer.end?;
        all_there(answer.missing)?;
        if answer.chunks.iter().any(|(name, body)| Digest::of(body) != *name) {
            return Err(other_bytes());
        }
        read.extend(answer.chunks);
    }
    Ok(read)
}

/// Why what came was not kept: what is damaged here was so when it came.
fn not_kept(error: StoreError) -> SyncError {
    if matches!(error, StoreError::Damaged { .. }) { other_bytes() } else { error.into() }
}

/// The error about a chunk that is not the one its name says.
pub(super) fn other_bytes() -> SyncError {
    LinkError::Protocol("a chunk that does not have its name's hash".into()).into()
}

/// What came of a request before it ended.
struct Answer {
    chunks: Vec<(Digest, Vec<u8>)>,
    /// What central does not have.
    missing: Option<Digest>,
    end: Result<(), LinkError>,
}

/// Asks once. What comes is struck out of `asked`.
async fn answer(link: &Link, asked: &mut Asked) -> Answer {
    let mut answer = Answer { chunks: Vec::new(), missing: None, end: Ok(()) };
    answer.end = read(link, asked, &mut answer.chunks, &mut answer.missing).await;
    answer
}

async fn read(
    link: &Link,
    asked: &mut Asked,
    chunks: &mut Vec<(Digest, Vec<u8>)>,
    missing: &mut Option<Digest>,
) -> Result<(), LinkError> {
    let names = asked.0.keys().copied().collect();
    let mut frames =
        link.send(Request::post_json(v1::PATH_CHUNKS, &ChunksWanted { names })).await?.frames::<ChunkFrame>()?;
    loop {
        match frames.next().await? {
            Some((ChunkFrame::Chunk(head), body)) => {
                asked.take(head.name, &body)?;
                chunks.push((head.name, body));
            }
            Some((ChunkFrame::Missing(name), _)) => {
                asked.strike(name)?;
                *missing = Some(name);
            }
            Some((ChunkFrame::End, _)) | None => return Ok(()),
        }
    }
}

/// The error about a chunk that central does not have.
fn all_there(name: Option<Digest>) -> Result<(), SyncError> {
    match name {
        None => Ok(()),
        Some(name) => Err(SyncError::Package(format!("central has no chunk {name} for it; publish it again there"))),
    }
}
