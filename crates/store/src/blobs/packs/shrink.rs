//! Packs in which little is needed any more: nothing of one, and it goes; less than half, and the rest moves to a new one.
//! So no more lies there in vain than what is needed.

use std::collections::HashSet;
use std::fs;

use jiff::Timestamp;
use taosync_model::Digest;

use super::{Blobs, ChunkRef, failed, read_head};
use crate::StoreError;
use crate::blobs::{list, remove_file, was_written_before};

/// A pack, and what it says is in it: nothing, when it is damaged there.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Its name.
    pub name: Digest,
    /// What is in it.
    pub chunks: Vec<ChunkRef>,
}

impl Pack {
    /// The names of its chunks.
    pub fn names(&self) -> Vec<Digest> {
        self.chunks.iter().map(|chunk| chunk.name).collect()
    }

    /// Whether more than half of its bytes lie there in vain, when these chunks are not needed.
    pub fn is_wasteful(&self, not_needed: &[Digest]) -> bool {
        let not_needed: HashSet<_> = not_needed.iter().collect();
        let bytes = |chunk: &ChunkRef| chunk.bytes.max(1);
        let all: u64 = self.chunks.iter().map(bytes).sum();
        let waste: u64 = self.chunks.iter().filter(|chunk| not_needed.contains(&chunk.name)).map(bytes).sum();
        all == 0 || 2 * waste > all
    }
}

impl Blobs {
    /// Packs that were last written before `before`.
    pub async fn packs_before(&self, before: Timestamp) -> Result<Vec<Pack>, StoreError> {
        self.run(move |blobs| {
            let folder = blobs.packs_folder();
            let files = if folder.is_dir() { list(&folder)? } else { Vec::new() };
            let mut packs = Vec::new();
            for path in files.into_iter().filter(|path| was_written_before(path, before)) {
                let text = path.file_name().and_then(|name| name.to_str());
                let Some(name) = text.and_then(|text| text.parse().ok()) else { continue };
                let chunks = read_head(&path, name).map_err(|e| failed("read", &path, e))?.unwrap_or_default();
                packs.push(Pack { name, chunks });
            }
            Ok(packs)
        })
        .await
    }

    /// Deletes a pack; what is whole in it and not among `not_needed` is written to another before, and has reached the
    /// disk.
    pub async fn pack_shrink(&self, pack: Pack, not_needed: Vec<Digest>) -> Result<(), StoreError> {
        self.run(move |blobs| {
            let path = blobs.pack_path(pack.name);
            let not_needed: HashSet<_> = not_needed.into_iter().collect();
            if pack.chunks.iter().any(|chunk| !not_needed.contains(&chunk.name)) {
                let bytes = fs::read(&path).map_err(|e| failed("read", &path, e))?;
                let needed = needed(&pack, &bytes, &not_needed);
                if needed.len() == pack.chunks.len() {
                    return Ok(());
                }
                if !needed.is_empty() {
                    let new = blobs.pack_write(&needed)?;
                    blobs.packs_flush(&[new])?;
                }
            }
            remove_file(&path)
        })
        .await
    }
}

fn needed(pack: &Pack, bytes: &[u8], not_needed: &HashSet<Digest>) -> Vec<(Digest, Vec<u8>)> {
    let whole = super::offsets(&pack.chunks).filter_map(|(chunk, at)| {
        let bytes = bytes.get(at as usize..(at + chunk.bytes) as usize)?;
        (Digest::of(bytes) == chunk.name).then(|| (chunk.name, bytes.to_vec()))
    });
    whole.filter(|(name, _)| !not_needed.contains(name)).collect()
}
