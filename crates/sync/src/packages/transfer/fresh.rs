//! What came just now: it can be read before it has landed, and the small chunks of it without the disk. Compiling reads
//! small files only.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taosync_model::Digest;
use taosync_store::blobs::Blobs;

/// Bytes of a chunk that is kept in memory, at most.
const SMALL_BYTES: usize = 16 * 1024;
/// Bytes of all of them together, at most; what comes after is read from the disk.
const TOGETHER_BYTES: usize = 8 * 1024 * 1024;

/// Chunks that are here, landed or not.
#[derive(Clone)]
pub(in crate::packages) struct Fresh {
    blobs: Blobs,
    small: Arc<Mutex<Small>>,
}

#[derive(Default)]
struct Small {
    chunks: HashMap<Digest, Vec<u8>>,
    bytes: usize,
}

impl Fresh {
    pub fn new(blobs: &Blobs) -> Self {
        Self { blobs: blobs.clone(), small: Arc::default() }
    }

    /// A chunk that is the one its name says. Waits for the disk.
    pub fn read(&self, name: &Digest) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.small().chunks.get(name) {
            return Ok(bytes.clone());
        }
        self.blobs.get_arrived_waiting(*name).map_err(io::Error::other)
    }

    /// Those that may be kept in memory, once they have been checked.
    pub fn small_of(came: &[(Digest, Vec<u8>)]) -> Vec<(Digest, Vec<u8>)> {
        came.iter().filter(|(_, bytes)| bytes.len() <= SMALL_BYTES).cloned().collect()
    }

    /// Keeps chunks that have their names' hash.
    pub fn keep(&self, chunks: Vec<(Digest, Vec<u8>)>) {
        let mut small = self.small();
        for (name, bytes) in chunks {
            if small.bytes + bytes.len() <= TOGETHER_BYTES {
                small.bytes += bytes.len();
                small.chunks.insert(name, bytes);
            }
        }
    }

    /// Empties the memory.
    pub fn forget(&self) {
        *self.small() = Small::default();
    }

    fn small(&self) -> MutexGuard<'_, Small> {
        self.small.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: usize, bytes: usize) -> (Digest, Vec<u8>) {
        let bytes = number.to_le_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>();
        (Digest::of(&bytes), bytes)
    }

    #[tokio::test]
    async fn so_much_is_kept_in_memory_and_not_more() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = Fresh::new(&Blobs::open(dir.path()).await.unwrap());
        let most = TOGETHER_BYTES / SMALL_BYTES;
        let many: Vec<_> = (0..=most).map(|number| chunk(number, SMALL_BYTES)).collect();
        fresh.keep(Fresh::small_of(&many));
        let held = many.iter().filter(|(name, bytes)| fresh.read(name).is_ok_and(|read| read == *bytes));
        assert_eq!(held.count(), most);
        fresh.forget();
        assert!(fresh.read(&many[0].0).is_err(), "it is not on the disk");
        assert!(Fresh::small_of(&[chunk(1, SMALL_BYTES + 1)]).is_empty());
    }

    #[tokio::test]
    async fn what_has_not_landed_is_read_and_what_is_half_here_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).await.unwrap();
        let fresh = Fresh::new(&blobs);
        let (name, bytes) = chunk(1, 40_000);
        let part = blobs.part_take_up(name, 40_000).await.unwrap();
        let part = part.add(vec![bytes[..30_000].to_vec()]).await.unwrap();
        assert!(fresh.read(&name).is_err());
        part.add(vec![bytes[30_000..].to_vec()]).await.unwrap().check().await.unwrap();
        assert_eq!(fresh.read(&name).unwrap(), bytes);
        assert!(blobs.get(name).await.is_err(), "nobody else sees it");
        blobs.parts_land(vec![name]).await.unwrap();
        assert_eq!(fresh.read(&name).unwrap(), bytes);
    }
}
