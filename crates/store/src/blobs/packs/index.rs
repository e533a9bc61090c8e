//! Which chunk is in which pack, in memory: about 100 bytes for each. Made from the heads of packs when it is first needed.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use taosync_model::Digest;

use super::{Blobs, ChunkRef, offsets};

/// Where in a pack a chunk is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub pack: Digest,
    pub offset: u64,
    pub bytes: u64,
}

/// Packs that are known, and what they hold.
#[derive(Debug, Default)]
pub(in crate::blobs) struct Index {
    packs: HashSet<Digest>,
    slots: HashMap<Digest, Vec<Slot>>,
}

impl Index {
    pub(super) fn slots(&self, name: Digest) -> Vec<Slot> {
        self.slots.get(&name).cloned().unwrap_or_default()
    }

    pub(super) fn add(&mut self, pack: Digest, chunks: &[ChunkRef]) {
        let lies_there = |chunk: &ChunkRef| self.slots(chunk.name).iter().any(|slot| slot.pack == pack);
        // One that was damaged is known as empty, and may be written again.
        if self.packs.contains(&pack) && chunks.first().is_none_or(lies_there) {
            return;
        }
        self.packs.insert(pack);
        for (chunk, offset) in offsets(chunks) {
            self.slots.entry(chunk.name).or_default().push(Slot { pack, offset, bytes: chunk.bytes });
        }
    }

    /// Forgets packs that are not named, and gives those names that are not known.
    pub(super) fn keep(&mut self, names: &HashSet<Digest>) -> Vec<Digest> {
        if !self.packs.is_subset(names) {
            self.packs.retain(|pack| names.contains(pack));
            let packs = &self.packs;
            self.slots.retain(|_, slots| {
                slots.retain(|slot| packs.contains(&slot.pack));
                !slots.is_empty()
            });
        }
        names.difference(&self.packs).copied().collect()
    }
}

impl Blobs {
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
